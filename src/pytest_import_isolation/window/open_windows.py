"""The windows that are open."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from pytest_import_isolation.machinery.identities import Identities
from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.state.origins import Origin

if TYPE_CHECKING:  # the report asks for the open ones, and loads nothing else of this
    from pytest_import_isolation.window.window import Window

#: The open windows, the innermost last. Like ``sys.modules`` they belong to the process: an inner pytest run
#: must close its windows before the outer run can.
open_windows: Final[list[Window]] = []


def innermost_window() -> Window | None:
    """Return the window that was opened last and is still open."""
    return open_windows[-1] if open_windows else None


def home_of_copy(name: str, module: object) -> Callable[[], bool] | None:
    """Return what tells whether the window is open in which somebody threw out the first copy of a module.

    A world opens a window each time, with the same log.

    Args:
        name: the module.
        module: what is loaded under its name.

    Returns:
        None if no first copy comes back when the open windows are closed.
    """
    for window in reversed(open_windows):
        first = window.around.modules.get(name, module)
        if first is not module and window.origins.verdict(name, first).origin is Origin.FOREIGN:
            log = window.log
            return lambda: any(one.log is log for one in open_windows)
    return None


def _replaced() -> dict[str, object]:
    """Return the modules in whose places code has put others in ``sys.modules``, by their names.

    Those are what is there around the innermost window, or is parked. A window's own fakes are no code's.
    """
    lot, around = FINDER.lot, open_windows[-1].around if open_windows else None
    beside = lot.names_among(sys.modules.keys())
    # Nearly always none is: at the speed of C.
    if not beside and (
        around is None or around.index.entries.values.are_first_of(Identities(sys.modules.values()))
    ):
        return {}
    modules = sys.modules.copy()
    before = {name: lot.module(name) for name in beside} | (around.modules if around is not None else {})
    return {
        name: module
        for name, module in before.items()
        if modules.get(name, module) is not module
        and not any(name in window.placed or name in window.absent.taken for window in open_windows)
    }


FINDER.lot.replaced = _replaced


def with_inner(window: Window) -> list[Window]:
    """Return an open window and those that were opened inside it."""
    return open_windows[open_windows.index(window) :]


def tainted_in(windows: Iterable[Window]) -> Mapping[str, str]:
    """Return the modules that are tainted in one of several windows, and what they asked for."""
    merged: dict[str, str] = {}
    for window in windows:
        merged.update(window.tainted)
    return merged
