"""Replacing a function of the import system without a frame of ours between its caller and itself.

Python calls an object by asking its class for ``__call__``. A property answers before the call, in a frame
that is gone when the call begins, and its answer is what is called: the original function. So
``stacklevel``, ``sys._getframe()`` and tracebacks are as without us. The property sees who calls, and by
what statement, but no arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any

from pytest_import_isolation.machinery.frames import get_frame
from pytest_import_isolation.machinery.modules import WRAPPED
from pytest_import_isolation.machinery.own_errors import belongs_to_others

#: Returns what is called in place of the original: this itself as a rule. Given the frame that calls.
Choose = Callable[[FrameType, Callable[..., Any]], Callable[..., Any]]


class _Stand:
    """What stands in the place of a function."""

    def __init__(self, original: Callable[..., Any], choose: Choose) -> None:
        self.__dict__.update({WRAPPED: original, "_choose": choose})
        for name in ("__module__", "__doc__"):  # what a class has, too
            self.__dict__[name] = getattr(original, name, None)

    @property
    def __call__(self) -> Callable[..., Any]:
        own = self.__dict__
        original: Callable[..., Any] = own[WRAPPED]
        try:
            chosen: Callable[..., Any] = own["_choose"](get_frame(1), original)
        except (RecursionError, MemoryError):
            return original  # without a call: there may be no room for one
        except BaseException as error:
            if belongs_to_others(error):
                raise
            return original
        return chosen

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # isinstance() and inspect ask it
        return type(self.__dict__[WRAPPED])

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__[WRAPPED], name)

    def __repr__(self) -> str:
        return repr(self.__dict__[WRAPPED])


class Replacement:
    """A function that is replaced for a time.

    Args:
        home: the module that holds it; where it has no such function, nothing is replaced.
        name: its name there.
        choose: called before each call.
    """

    def __init__(self, home: ModuleType, name: str, choose: Choose) -> None:
        self._home = home
        self._name = name
        self._original: Any = getattr(home, name, None)
        self._stand = None if self._original is None else _Stand(self._original, choose)

    def install(self) -> None:
        """Take the function's place; somebody else's replacement stays."""
        if self._stand is not None and getattr(self._home, self._name, None) is self._original:
            setattr(self._home, self._name, self._stand)

    def remove(self) -> None:
        """Put the function back. Who wrapped it after us keeps ours, which then lets everything through."""
        if self._stand is not None and getattr(self._home, self._name, None) is self._stand:
            setattr(self._home, self._name, self._original)


def without_own_frame(error: BaseException) -> BaseException:
    """Take the frame that catches an exception out of its traceback.

    A bare ``raise`` adds it again up to Python 3.10, and not from 3.11 on.
    """
    if error.__traceback__ is not None:
        error.__traceback__ = error.__traceback__.tb_next
    return error
