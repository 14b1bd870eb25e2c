"""Loads the parts of this package at half the cost."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.machinery import PathFinder


@contextmanager
def plain_imports() -> Iterator[None]:
    """Import in the block without pytest's import hook.

    It loads the modules of all plugins, to rewrite their assertions: here are none that a user should read.
    And it reads their cached bytecode object by object.
    """
    collects = gc.isenabled()
    gc.disable()  # nothing of what is made here is garbage
    sys.meta_path.insert(0, PathFinder)
    try:
        with _eager_imports():
            yield
    finally:
        sys.meta_path.remove(PathFinder)  # the first one
        if collects:
            gc.enable()


def _eager_imports() -> AbstractContextManager[None]:
    # One module less for each run, as a rule.
    if sys.version_info < (3, 15) or vars(sys)["get_lazy_imports"]() == "normal":
        return nullcontext()
    from pytest_import_isolation.machinery.lazy_settings import eager_imports

    return eager_imports()
