"""Paths where there may be no working directory: a test may stand in one that is deleted."""

from __future__ import annotations

import os
from typing import Final

#: The name of the files that pytest imports for a folder.
CONFTEST: Final = "conftest.py"


def is_conftest(file: str) -> bool:
    """Tell whether a file, or a node id, is that of a conftest."""
    return os.path.basename(file) == CONFTEST


def packages_of(file: str | os.PathLike[str]) -> list[str]:
    """Return the folders that are the packages of a file, the innermost first.

    As for pytest, a folder is none whose name no import statement can spell, whatever lies in it: a clone
    called ``my-plugin``, say, that has an ``__init__.py``.
    """
    found: list[str] = []
    folder = os.path.dirname(file)
    while os.path.basename(folder).isidentifier() and os.path.isfile(os.path.join(folder, "__init__.py")):
        found.append(folder)
        folder = os.path.dirname(folder)
    return found


def absolute(path: str | os.PathLike[str]) -> str:
    """Return a path from the root on; one that counts from a directory which is gone stays as it is."""
    try:
        return os.path.abspath(path)
    except (OSError, ValueError):  # an entry of sys.path may hold any text
        return os.path.normpath(path)


def working_directory() -> str:
    """Return the working directory, ``""`` if it is gone."""
    try:
        return os.getcwd()
    except OSError:
        return ""
