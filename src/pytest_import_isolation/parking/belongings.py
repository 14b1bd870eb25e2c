"""Path entries, finders and hooks that a package installed, which leave and return with it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import FunctionType
from typing import NamedTuple

from pytest_import_isolation.machinery.modules import namespace, top_level


class Belonging(NamedTuple):
    """A path entry, finder or hook that a package had installed, which leaves and returns with it."""

    list_name: str
    item: object
    in_front: bool


def owner_of(list_name: str, item: object, packages: Mapping[str, object]) -> str | None:
    """Return the package that installed a finder, hook or path entry, or None.

    A finder's class says where it comes from; a path entry belongs to the package whose folder holds it
    (setuptools adds its ``_vendor``).

    Args:
        list_name: ``"path"``, ``"meta_path"`` or ``"path_hooks"``.
        item: what was found in that list.
        packages: the top-level packages to choose from.
    """
    if list_name == "path":
        if not isinstance(item, str):
            return None
        for package, module in packages.items():
            folder = folder_of(module)
            if folder and item.startswith(folder + os.sep):
                return package
        return None
    home = item.__module__ if isinstance(item, (type, FunctionType)) else type(item).__module__
    package = top_level(home) if isinstance(home, str) else ""
    return package if package in packages else None


def folder_of(module: object) -> str | None:
    """Return the folder of a package, or None for what is no package with a file."""
    file = (namespace(module) or {}).get("__file__")
    if isinstance(file, str) and os.path.basename(file).startswith("__init__."):
        return os.path.dirname(file)
    return None


def item_text(item: object) -> str:
    """Return a path entry as it is, and any other item as the name of its class or function."""
    if isinstance(item, str):
        return item
    named = item if isinstance(item, (type, FunctionType)) else type(item)
    return f"{named.__module__}.{named.__qualname__}"
