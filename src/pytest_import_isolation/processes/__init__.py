"""Processes for tests: starting one, what it tells the process that started it, and how it ended.

Enters:
    Values of any kind that a child tells; what a child executes.

Leaves:
    The same values in the parent, as far as they can be told; words for the end of a child; the lines that
    coverage.py measured there.

May use:
    ``wording``.
"""
