"""Whose a function is that may be decorated: a decorator of a library returns a function of its own."""

from __future__ import annotations

from typing import Final

from pytest_import_isolation.machinery.functions import function_of, values_in_closure
from pytest_import_isolation.state.origins import Origins

#: How many functions are looked at; decorators wrap a few.
_MOST: Final = 20


def users_file(function: object, origins: Origins) -> str | None:
    """Return the file of the users' own of a function or what it wraps, None if all is installed."""
    waiting: list[object] = [function]
    seen: set[int] = set()
    while waiting and len(seen) < _MOST:
        value = function_of(waiting.pop())
        if value is None or id(value) in seen:
            continue
        seen.add(id(value))
        file = value.__code__.co_filename
        if not origins.is_installed(file):
            return file
        # Not every decorator says what it wraps, and all of them hold it.
        waiting.append(value.__dict__.get("__wrapped__"))
        waiting += values_in_closure(value)
    return None
