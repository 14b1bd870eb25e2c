"""The log of finders: which of them answered."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import _bootstrap
from importlib.machinery import FileFinder, ModuleSpec, PathFinder
from types import FrameType
from typing import Any

from pytest_import_isolation.machinery.finders import FINDER_LOOP, PATH_LOOP
from pytest_import_isolation.machinery.modules import namespace


class FinderLog:
    """Notes which finder answers each import, while it is on.

    importlib does not say it, and to ask the finders once more would show in those that are being tried. So
    the variables of its two loops are looked at when they return, with a profile function that is set for
    the time of one search. While somebody else profiles, nothing is noted.
    """

    def __init__(self) -> None:
        #: The finder of each module that was looked for and found.
        self.found: dict[str, object] = {}
        self._entry_finders: dict[str, object] = {}

    def begin(self) -> Callable[[], None]:
        """Note from now on; return the undo."""
        original: Any = getattr(_bootstrap, "_find_spec", None)
        if original is None or FINDER_LOOP is None:
            return lambda: None

        def _find_spec(name: str, path: Any, target: Any = None) -> Any:
            if sys.getprofile() is not None:
                return original(name, path, target)
            sys.setprofile(self._note)
            try:
                return original(name, path, target)
            finally:
                sys.setprofile(None)

        _bootstrap._find_spec = _find_spec  # type: ignore[attr-defined]

        def undo() -> None:
            # Somebody who wrapped it after us keeps the wrapper, which is slow then, and harmless.
            if _bootstrap._find_spec is _find_spec:  # type: ignore[attr-defined]
                _bootstrap._find_spec = original  # type: ignore[attr-defined]

        return undo

    def _note(self, frame: FrameType, event: str, value: object) -> None:
        if event != "return" or value is None:
            return
        variables = frame.f_locals
        if frame.f_code is FINDER_LOOP:
            name, finder = variables["name"], variables.get("finder")
            # The ordinary files are PathFinder's; another finder on a path is one that somebody wrote.
            entry_finder = self._entry_finders.pop(name, finder)
            self.found[name] = entry_finder if finder is PathFinder else finder
        elif frame.f_code is PATH_LOOP and _has_loader(value):
            finder = variables.get("finder")
            if not issubclass(type(finder), FileFinder):
                self._entry_finders[variables["fullname"]] = finder


def _has_loader(spec: object) -> bool:
    """Tell whether the finder of a path entry found more than a part of a namespace package."""
    return issubclass(type(spec), ModuleSpec) and (namespace(spec) or {}).get("loader") is not None
