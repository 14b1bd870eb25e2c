"""Effects on what the interpreter uses: hooks, streams, trace functions and the filter of lazy imports."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final

from pytest_import_isolation.machinery.modules import loaded_namespace
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.watching.effect_names import Effect, describe, is_runners

_HOOKS: Final = ("excepthook", "displayhook", "unraisablehook", "breakpointhook")
_STREAMS: Final = ("stdin", "stdout", "stderr")
_HOOK_NAMES: Final = (
    *(f"sys.{name}" for name in _HOOKS),
    "threading.excepthook",
    "builtins.open",
    "builtins.__import__",
    *(f"sys.{name}" for name in _STREAMS),
)
# The test run itself puts these on and off at any time.
_SWAPPED: Final = frozenset(("builtins.__import__", *(f"sys.{name}" for name in _STREAMS)))


class LazyImports(NamedTuple):
    """What decides which imports are lazy (PEP 810, from Python 3.15 on)."""

    mode: str
    filter: object
    #: The identity of ``sys.lazy_modules``, and whether it is empty. Each lazy import adds to it: no effect.
    names: int
    is_empty: bool


def read_hooks() -> tuple[object, ...]:
    """Return what stands in the places of hooks, streams, ``open`` and ``__import__``."""
    space, builtins = sys.__dict__, loaded_namespace("builtins")
    return (
        *map(space.get, _HOOKS),
        loaded_namespace("threading").get("excepthook"),
        builtins.get("open"),
        builtins.get("__import__"),
        *map(space.get, _STREAMS),
    )


def _originals() -> tuple[object, ...]:
    """Return what the hooks are at the start, in their order; None where nobody keeps it."""
    return (
        *(sys.__dict__.get(f"__{name}__") for name in _HOOKS),
        loaded_namespace("threading").get("__excepthook__"),
        loaded_namespace("_io").get("open"),
        *(None for _ in _SWAPPED),
    )


def tell_hooks(old: tuple[object, ...], new: tuple[object, ...]) -> Iterator[Effect]:
    """Tell which hooks are others, and what they are."""
    for name, earlier, later, original in zip(_HOOK_NAMES, old, new, _originals(), strict=True):
        if earlier is later or is_runners(later):
            continue
        if not is_runners(earlier) or (name not in _SWAPPED and later is not original):
            now, then = (
                "the interpreter's own" if hook is original else describe(hook) for hook in (later, earlier)
            )
            yield Effect(name, f"{name} is {now}; it was {then}.")


def tell_tracers(old: tuple[object, ...], new: tuple[object, ...]) -> Iterator[Effect]:
    """Tell which trace functions were set and taken away."""
    for name, earlier, later in zip(("settrace", "setprofile"), old, new, strict=True):
        if (earlier is None) is (later is None) or (later is not None and is_runners(later)):
            continue
        if later is None:
            yield Effect(f"sys.{name}", f"sys.{name}() took {describe(earlier)} away.")
        else:
            yield Effect(f"sys.{name}", f"sys.{name}() is at {describe(later)}.")


def read_lazy_imports() -> LazyImports | None:
    """Return what decides which imports are lazy; None before Python 3.15."""
    get_mode, get_filter = map(sys.__dict__.get, ("get_lazy_imports", "get_lazy_imports_filter"))
    if get_mode is None or get_filter is None:
        return None
    names = sys.__dict__.get("lazy_modules")
    return LazyImports(get_mode(), get_filter(), id(names), not names)


def tell_lazy_imports(old: LazyImports, new: LazyImports) -> Iterator[Effect]:
    """Tell what decides otherwise now."""
    if old.mode != new.mode:
        text = f"The mode of lazy imports is {new.mode!r}; it was {old.mode!r}."
        yield Effect("sys.set_lazy_imports", text)
    if old.filter is not new.filter:
        text = f"The filter of lazy imports is {describe(new.filter)}; it was {describe(old.filter)}."
        yield Effect("sys.set_lazy_imports_filter", text)
    if old.names != new.names:
        yield Effect("sys.lazy_modules", "sys.lazy_modules is another object.")
    elif new.is_empty and not old.is_empty:
        yield Effect("sys.lazy_modules", "sys.lazy_modules was emptied.")
