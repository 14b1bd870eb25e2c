"""Telling what failed in a callback of ours from what was raised in it by others.

A callback runs in the middle of the users' code. Whatever fails in it by itself must not be raised there.
But the handler of a signal, and an exception that is thrown into a thread, mean that code wherever it is.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # built in, and loaded already
import sys
from collections.abc import Iterator
from functools import partial
from types import CodeType, FunctionType, MethodType, TracebackType
from typing import Final

from pytest_import_isolation.machinery.modules import top_level

_OWN_TYPES: Final = {"builtins", top_level(__name__), *sys.stdlib_module_names}


def belongs_to_others(error: BaseException) -> bool:
    """Tell whether an exception has to be raised again, and take our frames out of its traceback if so.

    Args:
        error: what a callback of ours caught. Raise it again by a bare ``raise``, which adds no frame.
    """
    kind = type(error)
    # Types that are built in have no such entry.
    module = kind.__dict__.get("__module__", "builtins")
    is_own_type = issubclass(kind, Exception) and type(module) is str and top_level(module) in _OWN_TYPES
    handled = _part_of_handler(error.__traceback__)
    if is_own_type and handled is None:
        return False
    error.__traceback__ = handled
    return True


def _part_of_handler(traceback: TracebackType | None) -> TracebackType | None:
    """Return the part of a traceback that begins with the handler of a signal, if there is one."""
    codes = frozenset(_codes_of_handlers())
    while traceback is not None and id(traceback.tb_frame.f_code) not in codes:
        traceback = traceback.tb_next
    return traceback


def _codes_of_handlers() -> Iterator[int]:
    """Yield the identities of the code of all handlers of signals that are written in Python."""
    for number in _signal.valid_signals():
        handler: object = _signal.getsignal(number)
        while issubclass(type(handler), partial):
            handler = handler.func  # type: ignore[attr-defined]
        if not issubclass(type(handler), (FunctionType, MethodType)):
            handler = type(handler).__dict__.get("__call__")
        code = getattr(getattr(handler, "__func__", handler), "__code__", None)
        if isinstance(code, CodeType):
            yield id(code)
