"""What decides which imports of the process are lazy (PEP 810, from Python 3.15 on)."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from pytest_import_isolation.machinery.named_tuples import NamedTuple

_get_mode: Final[Any] = sys.__dict__.get("get_lazy_imports")
_get_filter: Final[Any] = sys.__dict__.get("get_lazy_imports_filter")
_set_mode: Final[Any] = sys.__dict__.get("set_lazy_imports")


class LazySettings(NamedTuple):
    """A mode and a filter of lazy imports; compared by identity: see :func:`lazy_settings`."""

    mode: str
    filter: object


# The latest one first. A filter may hold anything alive, so few are remembered.
_known: Final[deque[LazySettings]] = deque(maxlen=8)


def lazy_settings() -> LazySettings | None:
    """Return what decides now, the same object as earlier if it is the same; None before Python 3.15."""
    if _get_mode is None:
        return None
    mode, chosen = _get_mode(), _get_filter()
    for settings in _known:
        if settings.mode == mode and settings.filter is chosen:
            return settings
    settings = LazySettings(mode, chosen)
    _known.appendleft(settings)
    return settings


@contextmanager
def eager_imports() -> Iterator[None]:
    """Load modules of this package in the block that have no lazy names, whatever the mode.

    Their code runs in the middle of imports. A name that is resolved there imports, and so needs itself.
    """
    mode = "normal" if _get_mode is None else _get_mode()
    if mode == "normal":
        yield
        return
    _set_mode("normal")
    try:
        yield
    finally:
        _set_mode(mode)
