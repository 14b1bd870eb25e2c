"""Which changes in the contents of modules a failing test can have met in the code that it was in."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import CodeType, FrameType, FunctionType
from typing import Any, Final

from pytest_import_isolation.leaks.module_contents import WatchedContents
from pytest_import_isolation.leaks.reachable_code import Reach, ReachedCode
from pytest_import_isolation.leaks.watched_changes import WatchedChange
from pytest_import_isolation.machinery.modules import namespace
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.regexes import regex
from pytest_import_isolation.machinery.source_text import text_of
from pytest_import_isolation.report.records import Polluter
from pytest_import_isolation.state.single_changes import SingleChange

_WORD: Final = regex(r"\w+")
#: What importlib.util.find_spec() says of a fake.
_NO_SPEC: Final = regex(r"(?m)^E +ValueError: (\S+)\.__spec__ is (?:None|not set)$")


class Holder(NamedTuple):
    """A module that a failing test was in: its own, or one that its traceback passes through."""

    name: str
    space: dict[str, Any]
    #: The file and line at which the traceback does; None for the test's own module.
    place: tuple[str, int] | None = None
    #: The code that was running there.
    code: CodeType | None = None

    @property
    def file(self) -> str:
        """The file of the module, or its name if it has none."""
        file = self.space.get("__file__")
        return file if type(file) is str else self.name


class Failure(NamedTuple):
    """A failing test or file, as far as that says what it met."""

    #: What pytest tells of it.
    text: str
    #: The modules that it was in.
    holders: Sequence[Holder]
    #: What ran: the test, and the functions of its fixtures.
    functions: Sequence[object] = ()
    #: The frames of its traceback.
    frames: Sequence[FrameType] = ()

    def passes(self, file: str, line: int) -> bool:
        """Tell whether its traceback passes a line, such as one that imports something.

        Not every error names what was imported, such as that of a fake without a name.
        """
        return any(holder.place == (file, line) for holder in self.holders)


class WatchedFunction(WatchedContents):
    """A function that was left in the place of ``builtins.__import__``: every import calls it.

    Args:
        change: the change.
        polluter: who made it.
        leak: the number of the leak that it is.
    """

    def __init__(self, change: SingleChange, polluter: Polluter, leak: int) -> None:
        super().__init__("builtins.__import__", (), polluter, lambda: change.is_in_place)
        self.confirm(leak, polluter)
        self._codes = {id(code): code for code in _codes_of(change.after)}

    def place_in(self, holders: Sequence[Holder], is_users: Callable[[str], bool]) -> tuple[str, int] | None:
        """Return the users' own statement of a traceback that called the function, None if none did."""
        before: tuple[str, int] | None = None
        for holder in holders:
            if id(holder.code) in self._codes:
                return before
            if holder.place is not None and is_users(holder.place[0]):
                before = holder.place
        return None


def _codes_of(function: object) -> Iterator[CodeType]:
    """Yield the code that runs when a function is called; a Mock keeps functions among its attributes."""
    own = namespace(function) or {}
    for value in (function, own.get("_mock_side_effect"), own.get("_mock_wraps")):
        if type(value) is FunctionType:
            yield value.__code__


def held(
    watching: Iterable[WatchedContents],
    entries: Mapping[str, WatchedChange],
    failure: Failure,
    is_users: Callable[[str], bool],
) -> Iterator[tuple[WatchedChange, tuple[str, int], bool]]:
    """Yield the changes that a failing test can have met, where it did, and whether the failure says so.

    The place is a file and a line.

    Args:
        watching: the changes of contents.
        entries: those of entries, by name.
        failure: of the test.
        is_users: tells whether a file is the users' own.
    """
    holders = failure.holders
    spec = _NO_SPEC.search(failure.text)
    entry = entries.get(spec[1]) if spec is not None else None
    asked = [one.place for one in holders if one.place is not None and is_users(one.place[0])]
    if entry is not None and entry.is_in_place and asked:
        yield entry, asked[-1], True
    words: set[str] = set()
    reach: Reach | None = None
    for watched in watching:
        if isinstance(watched, WatchedFunction):
            at = None if watched.is_over else watched.place_in(holders, is_users)
            if at is not None:
                yield watched, at, True
            continue
        if watched.is_over:
            continue
        words = words or set(_WORD.findall(failure.text))
        place = said = _place_of_holder(watched, failure, words, is_users)
        if place is None:
            reach = reach or Reach(failure.functions, failure.frames, is_users)
            place = _place_of_user(watched, reach)
        if place is not None:
            file, line = place
            # The module itself, or else the package of which it is an attribute.
            lines = (line_of_import(file, part) for part in reversed(watched.name.split(".")))
            yield watched, (file, next(filter(None, lines), line)), said is not None


def _place_of_holder(
    watched: WatchedContents, failure: Failure, words: set[str], is_users: Callable[[str], bool]
) -> tuple[str, int] | None:
    """Return where a module lies that holds a change, if the failure says a name of it, or its module."""
    last = watched.name.rpartition(".")[2]
    is_named = not words.isdisjoint(watched.names)
    if not (is_named or last in words):
        return None
    # A traceback may pass through much that uses a library: the failure has to name what was changed.
    file = (namespace(sys.modules.get(watched.name)) or {}).get("__file__")
    passes = is_named or (type(file) is str and is_users(file))
    met = [one for one in failure.holders if one.place is None or (passes and is_users(one.place[0]))]
    holder = _holder_of(watched, met, last if is_named else "")
    return None if holder is None else holder.place or (holder.file, 1)


def _place_of_user(watched: WatchedContents, reach: Reach) -> tuple[str, int] | None:
    """Return where the nearest code lies that uses what was changed; of the module's own, its caller."""
    one: ReachedCode | None = watched.used_by(reach)
    while one is not None and one.caller is not None and watched.is_own_space(one.space):
        one = one.caller
    return None if one is None else (one.code.co_filename, one.code.co_firstlineno)


def _holder_of(watched: WatchedContents, holders: Iterable[Holder], last: str) -> Holder | None:
    """Return the first module that holds what was changed, or calls it.

    Args:
        watched: the change.
        holders: modules.
        last: how a text names the module as an attribute of its package; nothing if that does not count.
    """
    before: Holder | None = None
    for holder in holders:
        if holder.name == watched.name and watched.is_in_place:
            return before or holder
        if watched.is_held_by(holder.space):
            return holder
        if last and watched.is_reached_from(holder.space) and f".{last}." in text_of(holder.file):
            return holder
        before = holder
    return None


def line_of_import(file: str, name: str) -> int:
    """Return the line of a file that imports a name, 0 if none is found."""
    lines = text_of(file).splitlines() if file.endswith(".py") else []
    word = re.compile(rf"^\s*(?:from|import)\b.*\b{re.escape(name)}\b")
    return next((number for number, line in enumerate(lines, 1) if word.match(line)), 0)
