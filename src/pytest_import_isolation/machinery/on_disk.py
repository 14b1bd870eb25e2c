"""Whether there is a file that an import would find, seen without asking any finder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.machinery import all_suffixes

# By this name, which a test leaves alone that fakes the file system.
from os import stat as _stat

from pytest_import_isolation.machinery.modules import ABSENT, folders_in, namespace


def lies_on_disk(name: str) -> bool:
    """Tell whether a module has a file or folder on the path, or in that of its package.

    Args:
        name: its name. If its package is not loaded, that of the package counts.
    """
    parent, _, last = name.rpartition(".")
    above = sys.modules.get(parent, ABSENT) if parent else ABSENT
    if parent and above is ABSENT:
        return lies_on_disk(parent)
    if name in sys.builtin_module_names:
        return True
    folders = folders_in((namespace(above) or {}).get("__path__") if parent else sys.path)
    return any(_exists(path) for folder in folders or () for path in _candidates(folder, last))


def _candidates(folder: str, last: str) -> Iterator[str]:
    for suffix in ("", *all_suffixes()):
        yield os.path.join(folder, last + suffix)


def _exists(path: str) -> bool:
    try:
        _stat(path)
    except (OSError, ValueError):
        return False
    return True
