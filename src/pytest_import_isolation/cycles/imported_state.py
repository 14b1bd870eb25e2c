"""What the import system of a process holds that tries modules one by one, and how that is put back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from importlib.machinery import SourceFileLoader
from operator import is_
from types import ModuleType
from typing import Any

from pytest_import_isolation.machinery.modules import (
    ABSENT,
    class_home,
    last_keys,
    namespace,
    spec_of,
    spec_value,
)
from pytest_import_isolation.machinery.threads import runs_threads
from pytest_import_isolation.state.origins import Origin, Origins


class ImportedState:
    """What the import system had before the first attempt of a worker.

    Args:
        belongs: tells which modules leave after each attempt.
        repeats: whether it will be restored. To look at objects copies the memory that forks share.
    """

    def __init__(self, belongs: Callable[[str], bool], *, repeats: bool) -> None:
        self._belongs = belongs
        self._number = len(sys.modules)
        self._modules = dict(sys.modules) if repeats else {}
        self._lists = self._read_lists()
        self._spaces = [
            (name, space, space.copy())
            for name, module in self._modules.items()
            if belongs(name) and (space := namespace(module)) is not None
        ]

    @staticmethod
    def _read_lists() -> list[tuple[list[Any], list[Any]]]:
        return [(items, [*items]) for items in (sys.path, sys.meta_path, sys.path_hooks)]

    def _new(self) -> dict[str, ModuleType]:
        # What is entered goes to the end.
        names = last_keys(sys.modules, len(sys.modules) - self._number)
        return {name: sys.modules[name] for name in reversed(names)}

    def new_foreign(self) -> list[str]:
        """Return the foreign modules that the last attempt loaded."""
        return [
            name
            for name, module in self._new().items()
            if not self._belongs(name) and Origins.usual().verdict(name, module).origin is Origin.FOREIGN
        ]

    def new_files(self) -> dict[str, str]:
        """Return the source files of the package's modules that the last attempt loaded."""
        found: dict[str, str] = {}
        for name, module in self._new().items():
            loader = spec_value(spec_of(module), "loader") if self._belongs(name) else None
            path = vars(loader).get("path") if type(loader) is SourceFileLoader else None
            if type(path) is str:
                found[name] = path
        return found

    def restore(self) -> bool:
        """Take out what an attempt loaded of the package.

        Foreign modules that it loaded stay, since they must not be executed twice.

        Returns:
            Whether all is as it was, as far as that shows.
        """
        modules: dict[str, ModuleType] = sys.modules
        if runs_threads() or not self._lists_are_same():
            return False
        if len(modules) < len(self._modules) or not all(map(is_, modules.values(), self._modules.values())):
            return False
        new = self._new()
        for name, module in new.items():
            if not self._belongs(name):
                origin = Origins.usual().verdict(name, module).origin
                if origin is Origin.FAKE:
                    return False
                if origin is Origin.FOREIGN:
                    self._modules[name] = module
                    continue
            del modules[name]
        self._number = len(modules)
        return all(_put_back(name, space, before, new) for name, space, before in self._spaces)

    def _lists_are_same(self) -> bool:
        """Tell whether nothing was put there but finders of foreign modules, which stay with these."""
        for (items, _), (before, known) in zip(self._read_lists(), self._lists, strict=True):
            if items is not before:
                return False
            if len(items) != len(known) or not all(map(is_, items, known)):
                if items is not sys.meta_path or _own_ones(items) != _own_ones(known):
                    return False
                known[:] = items
        return True


def _own_ones(finders: Iterable[object]) -> list[int]:
    """Return the identities of those finders that are of no class of a foreign module."""
    return [id(finder) for finder in finders if not _is_foreign(finder)]


def _is_foreign(finder: object) -> bool:
    """Tell whether a finder is of a class of a foreign module."""
    kind = type(finder)
    home = class_home(finder if issubclass(kind, type) else kind)  # type: ignore[arg-type]
    module = sys.modules.get(home)
    return module is not None and Origins.usual().verdict(home, module).origin is Origin.FOREIGN


def _put_back(
    package: str, space: dict[str, Any], before: dict[str, Any], left: dict[str, ModuleType]
) -> bool:
    """Unbind the submodules that left; tell whether nothing else is different in a package."""
    if space.keys() == before.keys() and all(map(is_, space.values(), before.values())):
        return True
    for name, value in list(space.items()):
        known = before.get(name, ABSENT)
        if known is value:
            continue
        if left.get(f"{package}.{name}", ABSENT) is not value:
            return False
        if known is ABSENT:
            del space[name]
        else:
            space[name] = known
    return space.keys() == before.keys()
