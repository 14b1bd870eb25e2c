"""Effects on the process: its environment, directory, exit functions, signals, threads and locale."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import repeat
from operator import is_
from typing import Any, Final

from pytest_import_isolation.machinery.modules import is_instance_of_one, loaded_namespace, namespace
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.watching.effect_names import Effect, describe, home_of, is_runners, name_of
from pytest_import_isolation.wording import listing

#: The name of every effect that is a thread.
THREADS: Final = "threads"
_RUNNERS_VARIABLES: Final = (
    "PYTEST_CURRENT_TEST",
    "PYTEST_VERSION",
    "PYTEST_XDIST_",
    "COV_CORE_",
    "COVERAGE_",
)
_MOST_CATEGORIES: Final = 3
_TEXTS: Final = (bytes, str)
#: The type of ``os.environ``; that of a copy is another one.
ENVIRONMENT: Final = type(os.environ)


class Variables(dict[Any, Any]):
    """A copy of the environment that does not show its values, which may be secrets."""

    def __repr__(self) -> str:
        return f"<{len(self)} environment variables>"


class Thread(NamedTuple):
    """What there is to tell of a thread, as long as it runs."""

    # Its identity only: a thread must not live longer because somebody looks at it.
    identity: int
    name: str
    daemon: bool
    kind: type
    #: Names what it runs, if that is no method of its class, and the module where that stands.
    runs: str
    home: str

    @property
    def effect(self) -> Effect:
        """What there is to tell about it."""
        what = f"thread {self.name!r}" + (f" of {self.runs}" if self.runs else "")
        if self.daemon:
            return Effect(THREADS, f"The daemon {what} is still running.")
        return Effect(THREADS, f"The {what} is still running, and the process waits for it at exit.")


def copy_environment() -> list[Any] | None:
    """Return the keys of the environment, then its values, or None if an unknown object stands for it.

    To copy a dictionary from which keys were deleted takes ten times as long, and pytest deletes one in each
    phase of a test.
    """
    found: Any = os.environ
    # Its own dictionary of bytes: copying that one decodes nothing.
    space = found.__dict__ if type(found) is ENVIRONMENT else namespace(found) or {}
    data = space.get("_data", found)
    if not issubclass(type(data), dict):
        return None
    keys, values = dict.keys(data), dict.values(data)
    return [*keys, *values]  # nothing is called in between, so no other thread changes it


def read_variables() -> Variables | None:
    """Return a copy of the environment, or None if an unknown object stands for it."""
    copy = copy_environment()
    return None if copy is None else variables_in(copy)


def variables_in(copy: list[Any]) -> Variables:
    """Return what a copy of the environment holds that is text: a test may have put anything there."""
    half = len(copy) // 2
    pairs = zip(copy[:half], copy[half:], strict=True)
    if all(map(is_, map(type, copy), repeat(bytes))):
        return Variables(pairs)
    return Variables(pair for pair in pairs if all(is_instance_of_one(each, _TEXTS) for each in pair))


def tell_environ(old: tuple[int, type], new: tuple[int, type]) -> Iterator[Effect]:
    """Tell that ``os.environ`` is another object."""
    now, then = name_of(new[1]), name_of(old[1])
    yield Effect("os.environ", f"os.environ is another object, of {now}; it was one of {then}.")


def tell_variables(old: Mapping[Any, Any], new: Mapping[Any, Any]) -> Iterator[Effect]:
    """Tell which variables were set, changed and removed."""
    for key in sorted({*old, *new}, key=os.fsdecode):
        name = os.fsdecode(key)
        if old.get(key) == new.get(key) or name.startswith(_RUNNERS_VARIABLES):
            continue
        verb = "set" if key not in old else "removed" if key not in new else "changed"
        yield Effect(f"os.environ:{name}", f"The environment variable {name} was {verb}.")


def tell_directory(old: str, new: str) -> Iterator[Effect]:
    """Tell what the working directory is now."""
    yield Effect("cwd", f"The working directory is {new}; it was {old}.")


def read_at_exit() -> int:
    """Return how many functions run at exit, without the one of ``weakref.finalize``."""
    number: int = loaded_namespace("atexit")["_ncallbacks"]()
    # Registers itself when the first finalizer is made, be it by a temporary directory.
    return number - bool(loaded_namespace("weakref")["finalize"]._registered_with_atexit)


def tell_at_exit(old: int, new: int) -> Iterator[Effect]:
    """Tell how many functions more or less run at exit, one effect for each."""
    more = "more" if new > old else "less"
    for _ in range(abs(new - old)):
        yield Effect("atexit", f"One function {more} will run at exit.")


@cache
def _signal_numbers() -> dict[str, int]:
    numbers: dict[int, str] = {}
    for name, number in loaded_namespace("_signal").items():
        if name.startswith("SIG") and not name.startswith("SIG_") and type(number) is int:
            numbers.setdefault(number, name)
    return {name: number for number, name in numbers.items()}


def read_signals() -> tuple[object, ...]:
    """Return the handlers of the signals, in the order of their numbers."""
    return tuple(map(loaded_namespace("_signal")["getsignal"], _signal_numbers().values()))


def tell_signals(old: tuple[object, ...], new: tuple[object, ...]) -> Iterator[Effect]:
    """Tell which handlers are others."""
    for name, earlier, later in zip(_signal_numbers(), old, new, strict=True):
        if earlier is later or earlier is None or later is None or is_runners(later):
            continue
        if is_runners(earlier) and type(later) is int:  # it took its handler away
            continue
        text = f"The handler of {name} is {_handler(later)}; it was {_handler(earlier)}."
        yield Effect(f"signal:{name}", text)


def _handler(handler: object) -> str:
    if type(handler) is int:
        return {0: "SIG_DFL", 1: "SIG_IGN"}.get(handler, str(handler))
    return describe(handler)


def read_threads() -> frozenset[Thread]:
    """Return what is to be told of the threads that run."""
    return frozenset(
        [
            Thread(id(thread), thread.name, thread.daemon, type(thread), *_task(thread))
            for thread in loaded_namespace("threading")["enumerate"]()
        ]
    )


def _task(thread: Any) -> tuple[str, str]:
    target = thread.__dict__.get("_target")  # none if its class has a run()
    return ("", home_of(thread)) if target is None else (describe(target), home_of(target))


def tell_threads(old: frozenset[Thread], new: frozenset[Thread]) -> Iterator[Effect]:
    """Tell which threads are new. One that ended is no effect."""
    for thread in sorted(new - old, key=lambda thread: thread.name):
        # A dummy stands for a thread that Python did not start; it is never taken away.
        if thread.kind.__name__ == "_DummyThread" or is_runners(thread.kind):
            continue
        yield thread.effect


def read_locale() -> str:
    """Return the locale of all categories, as ``setlocale()`` says it."""
    space = loaded_namespace("_locale")
    current: str = space["setlocale"](space["LC_ALL"], None)
    return current


def tell_locale(old: str, new: str) -> Iterator[Effect]:
    """Tell what the locale is now, in the categories that changed."""
    earlier, later = _categories(old), _categories(new)
    if len(earlier) != len(later):  # one of them is the same in all categories
        earlier = earlier if len(earlier) > 1 else dict.fromkeys(later, old)
        later = later if len(later) > 1 else dict.fromkeys(earlier, new)
    changed = [key for key in later if later[key] != earlier.get(key)]
    now, then = (
        listing([key + of.get(key, "") for key in changed], _MOST_CATEGORIES) for of in (later, earlier)
    )
    yield Effect("locale", f"The locale is {now}; it was {then}.")


def _categories(text: str) -> dict[str, str]:
    """Take ``LC_CTYPE=C.UTF-8;LC_NUMERIC=C`` apart; what is the same in all categories is one value."""
    if ";" not in text:
        return {"": text}
    pairs = (part.partition("=") for part in text.split(";"))
    return {name + sign: value for name, sign, value in pairs}
