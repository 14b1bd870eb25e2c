"""The code of source files that are executed again and again, kept so that it is read only once.

Only code is kept, and never a module: what a module finds when it is executed (the environment, files, the
clock, what a test has patched) may be different each time, and nothing in its namespace says whether it is.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.machinery import SourceFileLoader

# By these names, which a test that patches os.stat or the clock leaves alone.
from os import stat
from time import time
from types import CodeType
from typing import Any, Final

from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.platform import TOOL

#: Tells, by name and file, whether a module will be executed again.
Recurs = Callable[[str, str], bool]

# A file that was written a moment ago may be written again within the resolution of its times, which is two
# seconds at worst, and with the same size.
_YOUNG_SECONDS: Final = 2.0
# What leads from a file to its code; whoever replaces one of them wants to be asked each time.
_STEPS: Final = (
    "get_filename",
    "path_stats",
    "get_data",
    "set_data",
    "_cache_bytecode",
    "source_to_code",
)
_GET_CODE: Final = "get_code"
# What a loader has of its own, if nobody has given it more.
_ATTRIBUTES: Final = frozenset(("name", "path"))
_IMPORTLIB_FILE: Final = "<frozen importlib._bootstrap_external>"
# Any: it is there from Python 3.12 on.
_MONITORING: Final[Any] = getattr(sys, "monitoring", None)
_TOOLS: Final = range(6)

# All that the file system says of a file: its times, size and identity.
_Stamp = tuple[int, ...]


class _Kept(NamedTuple):
    code: CodeType
    source: _Stamp
    #: The bytecode file, and what it was after the code was read.
    bytecode: str | None
    bytecode_stamp: _Stamp | None
    settings: tuple[object, ...]


class CodeCache:
    """Gives importlib the code of an unchanged source file without reading it, while somebody asks for that.

    It answers in the place of ``SourceFileLoader.get_code``, for loaders of exactly this class. Everything
    that decides what that would return is compared at each time: the file, its bytecode file (which may
    be exempt from being checked, and is written again if it has gone), the settings that lead to it,
    and the loader's own methods. Two look-ups of files take the place of opening, reading and unmarshalling.

    Nothing is served while somebody else uses ``sys.monitoring``, as coverage does: which lines a tool wants
    to be told of no more is kept with the code, and would hide from it that a later test executes them, too.
    """

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}
        self._recurring: list[Recurs] = []
        self._left_alone: set[str] = set()
        self._steps = _steps()
        self._replacement = _replacement(self)

    def begin(self, recurs: Recurs) -> None:
        """Serve from now on, and keep the code of the modules that will be executed again."""
        self._recurring.append(recurs)
        # Somebody else's stays.
        if _GET_CODE not in SourceFileLoader.__dict__:
            setattr(SourceFileLoader, _GET_CODE, self._replacement)

    def end(self, recurs: Recurs) -> None:
        """Undo one :meth:`begin`; serve no more after the last."""
        self._recurring.remove(recurs)
        # Who wrapped it after us keeps it: now it is transparent.
        if not self._recurring and SourceFileLoader.__dict__.get(_GET_CODE) is self._replacement:
            delattr(SourceFileLoader, _GET_CODE)

    def leave_alone(self, file: str) -> None:
        """Serve a file no more: somebody must see each execution of it as if it were the first."""
        self._left_alone.add(file)
        self._kept.pop(file, None)

    def read_ahead(self, name: str, path: str) -> None:
        """Keep the code of a module that will be executed, if it is one whose code is kept."""
        loader = SourceFileLoader(name, path)
        found = self.find(loader, name)
        if found is not None and type(found) is not CodeType:
            with suppress(Exception):  # who executes it hears of that
                loader.get_code(name)

    def find(self, loader: SourceFileLoader, name: str) -> CodeType | _Stamp | None:
        """Look for the code of a module.

        Args:
            loader: the module's loader.
            name: for which module it was asked.

        Returns:
            The code; or what the source file is now, if the code is to be kept when it has been read;
            or None, if it is not.
        """
        if type(loader) is not SourceFileLoader:
            return None
        path = loader.__dict__.get("path")
        if type(path) is not str:
            return None
        kept = self._kept.get(path)
        if kept is None:  # as for nearly all: asked first, since each import comes here
            for recurs in tuple(self._recurring):
                if recurs(name, path):
                    break
            else:
                return None
        if not self._recurring or vars(loader).keys() != _ATTRIBUTES:
            return None
        if name != loader.name or path in self._left_alone:
            return None
        if _steps() != self._steps or is_monitored():
            return None
        source = _stamp(path)
        if (
            kept is not None
            and kept.source == source
            and kept.settings == _settings()
            and (kept.bytecode is None or kept.bytecode_stamp == _stamp(kept.bytecode))
        ):
            return kept.code
        return source

    def keep(self, path: str, source: _Stamp, code: CodeType) -> None:
        """Keep what has been read.

        Args:
            path: the source file.
            source: what it was before.
            code: its code.
        """
        if time() - source[0] / 1e9 < _YOUNG_SECONDS:
            self._kept.pop(path, None)
            return
        try:
            bytecode = importlib.util.cache_from_source(path)
        except NotImplementedError:  # this Python has no bytecode files
            bytecode = None
        stamp = None if bytecode is None else _stamp(bytecode)
        self._kept[path] = _Kept(code, source, bytecode, stamp, _settings())


def _stamp(path: str) -> _Stamp | None:
    try:
        found = stat(path)
    except (OSError, ValueError):
        return None
    # On most systems the last but two tells of every change, and nobody can set it back.
    return (found.st_mtime_ns, found.st_size, found.st_ctime_ns, found.st_ino, found.st_dev)


def _steps() -> list[object]:
    # The class below has the function that reads; ours is in front of it.
    below = super(SourceFileLoader, SourceFileLoader)
    return [getattr(below, _GET_CODE, None), *[getattr(SourceFileLoader, step, None) for step in _STEPS]]


def is_monitored() -> bool:
    """Tell whether somebody else uses ``sys.monitoring``."""
    if _MONITORING is None:
        return False
    return any(tool is not None and tool != TOOL for tool in map(_MONITORING.get_tool, _TOOLS))


def _settings() -> tuple[object, ...]:
    return (sys.dont_write_bytecode, sys.pycache_prefix, sys.implementation.cache_tag)


def _replacement(cache: CodeCache) -> Callable[[SourceFileLoader, str], CodeType | None]:
    def get_code(self: Any, fullname: str) -> CodeType | None:
        found = cache.find(self, fullname)
        if type(found) is CodeType:
            return found
        code: CodeType | None = super(SourceFileLoader, self).get_code(fullname)
        if found is not None and code is not None:
            cache.keep(self.path, found, code)
        return code

    # Where a source cannot be compiled, Python leaves importlib's own frames out of the traceback.
    get_code.__code__ = get_code.__code__.replace(co_filename=_IMPORTLIB_FILE)
    return get_code


#: The process's one cache: it replaces a method of importlib.
CODE: Final = CodeCache()
