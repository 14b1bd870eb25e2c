"""Loads the parts of this package at half the cost."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.machinery import PathFinder

if sys.version_info >= (3, 15):
    from pytest_import_isolation.machinery.lazy_settings import eager_imports
else:
    eager_imports = nullcontext


@contextmanager
def plain_imports() -> Iterator[None]:
    """Import in the block without pytest's import hook.

    It loads the modules of all plugins, to rewrite their assertions. Here are none that a user should read.
    """
    sys.meta_path.insert(0, PathFinder)
    try:
        with eager_imports():
            yield
    finally:
        sys.meta_path.remove(PathFinder)  # the first one
