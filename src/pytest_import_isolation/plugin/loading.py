"""Loads the parts of this package at half the cost."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder


@contextmanager
def plain_imports() -> Iterator[None]:
    """Import in the block without pytest's import hook.

    It loads the modules of all plugins, to rewrite their assertions. Here are none that a user should read.
    """
    sys.meta_path.insert(0, PathFinder)
    try:
        yield
    finally:
        sys.meta_path.remove(PathFinder)  # the first one
