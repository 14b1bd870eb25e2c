"""A pytest plugin that hides the versions of dictionaries.

A plugin of the project that writes to attributes itself would be looked at after each test.
"""

from __future__ import annotations

import benchmarks.hidden_versions  # noqa: F401 - for what it does
