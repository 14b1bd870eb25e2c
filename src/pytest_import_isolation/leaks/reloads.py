"""Reloads in place, and the modules that hold objects of the old execution."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
from importlib.machinery import BuiltinImporter, ExtensionFileLoader
from types import BuiltinFunctionType
from typing import Final

from pytest_import_isolation.contents.watched_modules import UNWATCHED
from pytest_import_isolation.machinery.modules import namespace, top_level
from pytest_import_isolation.watching.import_log import Reload
from pytest_import_isolation.wording import listing

_MOST_HOLDERS: Final = 5


def detail_of_reload(
    name: str, holders: Sequence[str], files: tuple[str, str] | None = None, because: str | None = None
) -> str:
    """Say what a reload in place did.

    Args:
        name: the module.
        holders: what still holds objects of the old execution.
        files: where the module was executed from before and now, if that is not the same file.
        because: who put the directory of the other file first.
    """
    detail = f"{name} was executed again in place"
    if files is not None:
        detail += f", from {files[1]} in place of {files[0]}"
        detail += f", because {because} put its directory on sys.path" if because else ""
    if holders:
        held = listing(holders, _MOST_HOLDERS)
        detail += f"{'; objects' if files else ', but objects'} of the old execution are still held by {held}"
    return f"{detail}."


def holders_of(old: Collection[int], reloaded: object) -> Iterator[str]:
    """Yield the names in other modules that hold one of some objects, given by their identities."""
    for name, module in sys.modules.copy().items():
        if module is reloaded or type(name) is not str or top_level(name) in UNWATCHED:
            continue
        for key, value in list((namespace(module) or {}).items()):
            if id(value) in old:
                yield f"{name}.{key}"


def is_of_c_code(reload: Reload) -> bool:
    """Tell whether a module of C code was to be executed again, which writes nothing in most of them."""
    loader = (namespace(reload.module) or {}).get("__loader__")
    return loader is BuiltinImporter or type(loader) is ExtensionFileLoader


def is_without_effect(reload: Reload) -> bool:
    """Tell whether a module of C code was asked to be executed again, and was not.

    Then it would have made its functions and classes anew. Others write to it too: the test run to ``sys``.
    """
    space, before = namespace(reload.module) or {}, reload.before
    return is_of_c_code(reload) and all(
        before.get(name) is value
        for name, value in space.items()
        if (type(value) is BuiltinFunctionType or issubclass(type(value), type))
        and type(before.get(name, value)) is type(value)
    )
