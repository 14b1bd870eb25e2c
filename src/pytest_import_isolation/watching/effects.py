"""What code changes in the process beside the import system, as far as it can be seen cheaply.

No window undoes any of it. Nothing is imported in order to look at it: what was never loaded was not changed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from operator import eq, is_
from typing import Any, Final, TypeVar

from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.watching import interpreter_effects, library_effects, process_effects
from pytest_import_isolation.watching.effect_names import Effect

_T = TypeVar("_T")


class Effects(NamedTuple):
    """The side effects of code, at one moment. A member is None if it could not be seen."""

    #: The identity and class of ``os.environ``; the object would show all values.
    environ: tuple[int, type]
    variables: process_effects.Variables | None
    directory: str | None
    #: The number of functions that run at exit, without the one of ``weakref.finalize``.
    at_exit: int | None
    filters: tuple[Any, ...] | None
    logging: library_effects.Logging | None
    signals: tuple[object, ...] | None
    threads: frozenset[process_effects.Thread] | None
    hooks: tuple[object, ...]
    tracers: tuple[object, ...]
    reducers: dict[Any, Any] | None
    locale: str | None
    policy: type | None
    start_method: str | None
    lazy_imports: interpreter_effects.LazyImports | None

    @classmethod
    def capture(cls) -> Effects:
        """Look at all of it."""
        return cls(
            (id(os.environ), type(os.environ)),
            _seen(process_effects.read_variables),
            _seen(os.getcwd),
            _seen(process_effects.read_at_exit),
            _seen(library_effects.read_filters),
            _seen(library_effects.read_logging),
            _seen(process_effects.read_signals),
            _seen(process_effects.read_threads),
            interpreter_effects.read_hooks(),
            (sys.gettrace(), sys.getprofile()),
            _seen(library_effects.read_reducers),
            _seen(process_effects.read_locale),
            _seen(library_effects.read_policy),
            _seen(library_effects.read_start_method),
            _seen(interpreter_effects.read_lazy_imports),
        )

    def differences(self, after: Effects) -> list[Effect]:
        """Tell what changed until a later moment.

        Args:
            after: what was captured then.

        Returns:
            The changes, without what the test run itself does. A thread that ended is none.
        """
        found: list[Effect] = []
        for old, new, same, tell in zip(self, after, _SAME, _TELLERS, strict=True):
            if old is None or new is None:
                continue
            try:
                if not same(old, new):
                    found += tell(old, new)
            except Exception:
                continue  # what was put there may compare itself with nothing
        return found


def is_thread(effect: Effect) -> bool:
    """Tell whether an effect is a thread, which may be about to end by itself."""
    return effect.name == process_effects.THREADS


def _seen(look: Callable[[], _T | None]) -> _T | None:
    """Return what can be seen, or None: other code may have put anything anywhere."""
    try:
        return look()
    except Exception:
        return None


def _same_objects(old: tuple[object, ...], new: tuple[object, ...]) -> bool:
    return all(map(is_, old, new))  # what was put there may compare itself with anything


#: How each member is compared, and told if it differs; in the order of the members.
_MEMBERS: Final[Mapping[str, tuple[Callable[[Any, Any], bool], Callable[[Any, Any], Iterator[Effect]]]]] = {
    "environ": (eq, process_effects.tell_environ),
    "variables": (eq, process_effects.tell_variables),
    "directory": (eq, process_effects.tell_directory),
    "at_exit": (eq, process_effects.tell_at_exit),
    "filters": (eq, library_effects.tell_filters),
    "logging": (eq, library_effects.tell_logging),
    "signals": (_same_objects, process_effects.tell_signals),
    "threads": (eq, process_effects.tell_threads),
    "hooks": (_same_objects, interpreter_effects.tell_hooks),
    "tracers": (_same_objects, interpreter_effects.tell_tracers),
    "reducers": (eq, library_effects.tell_reducers),
    "locale": (eq, process_effects.tell_locale),
    "policy": (is_, library_effects.tell_policy),
    "start_method": (eq, library_effects.tell_start_method),
    "lazy_imports": (_same_objects, interpreter_effects.tell_lazy_imports),
}
_SAME: Final = tuple(same for same, _ in map(_MEMBERS.__getitem__, Effects._fields))
_TELLERS: Final = tuple(tell for _, tell in map(_MEMBERS.__getitem__, Effects._fields))
