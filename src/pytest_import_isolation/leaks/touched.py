"""Which modules a failure touches: those that its traceback passes through, uses, or names."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Final

from pytest_import_isolation.leaks.reachable_code import ReachedCode
from pytest_import_isolation.machinery.modules import (
    class_home,
    home_of,
    is_instance_of_one,
    namespace,
)
from pytest_import_isolation.machinery.regexes import regex

#: How many exceptions of a chain are looked at.
_MOST_CAUSES: Final = 10
_PLACE: Final = regex(r"\S+:\d+: ")


class Touched:
    """Tells whether a failure touches a module; what is deep in values is not seen.

    Args:
        error: what was raised; None if that is not known.
        text: the failure as pytest tells it.
    """

    def __init__(self, error: BaseException | None, text: str) -> None:
        self._text = _told(text)
        self._values: dict[int, object] = {}
        self._homes: set[str] = set()
        for step in steps(error):
            self._note(step.tb_frame)

    def __call__(self, name: str) -> bool:
        """Tell it of a module, or of something in one, by its name."""
        if self._is_named(name) or any(home == name or home.startswith(f"{name}.") for home in self._homes):
            return True
        return any(id(part) in self._values for part in parts_of(sys.modules.get(name)))

    def _is_named(self, name: str) -> bool:
        path = name.replace(".", "/")
        return any(
            re.search(rf"(?<![\w.]){re.escape(text)}(?!\w)", self._text) is not None
            for text in {name, f"{path}.py", f"{path}/__init__.py"}
        )

    def _note(self, frame: FrameType) -> None:
        name = frame.f_globals.get("__name__")
        if type(name) is str:
            self._homes.add(name)
        for value in ReachedCode(frame.f_code, frame.f_globals, frame).values():
            if value is None or is_instance_of_one(value, (int, bool, str)):
                continue
            self._values[id(value)] = value
            home = home_of(value) or (class_home(type(value)), "")
            if type(home[0]) is str:
                self._homes.add(home[0])


def _told(text: str) -> str:
    """Return what a failure says itself, and the places of its traceback, without lines of source text."""
    lines = text.splitlines()
    if not any(line.startswith("E ") for line in lines):
        return text  # all of it is a message
    return "\n".join(line for line in lines if line.startswith("E ") or _PLACE.match(line))


def parts_of(fake: object) -> Iterator[object]:
    """Yield a fake, and what a module can have taken from it: classes, functions, mocks."""
    if fake is None:
        return
    yield fake
    own = namespace(fake) or {}
    children = own.get("_mock_children")  # a Mock keeps its attributes there
    yield from list(children.values()) if type(children) is dict else []
    name = own.get("__name__")
    for value in list(own.values()):
        home = home_of(value)
        if home is not None and type(name) is str and home[0] == name:
            yield value


def steps(error: BaseException | None) -> Iterator[TracebackType]:
    """Yield the steps of the traceback of an error, the outermost first, then those of what caused it."""
    for _ in range(_MOST_CAUSES):
        if error is None:
            return
        step = error.__traceback__
        while step is not None:
            # What runs the test touches everything.
            if not _is_of_pytest(step.tb_frame):
                yield step
            step = step.tb_next
        error = error.__cause__ or error.__context__


def _is_of_pytest(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__")
    return type(name) is str and name.partition(".")[0] in ("_pytest", "pluggy", "pytest")
