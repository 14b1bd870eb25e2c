"""What the plugin costs, beside what people would use in its place: ``python benchmarks/run.py --help``."""
