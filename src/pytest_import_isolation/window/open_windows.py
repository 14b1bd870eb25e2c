"""The windows that are open."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # the report asks for the open ones, and loads nothing else of this
    from pytest_import_isolation.window.window import Window

#: The open windows, the innermost last. Like ``sys.modules`` they belong to the process: an inner pytest run
#: must close its windows before the outer run can.
open_windows: Final[list[Window]] = []


def innermost_window() -> Window | None:
    """Return the window that was opened last and is still open."""
    return open_windows[-1] if open_windows else None


def with_inner(window: Window) -> list[Window]:
    """Return an open window and those that were opened inside it."""
    return open_windows[open_windows.index(window) :]


def tainted_in(windows: Iterable[Window]) -> Mapping[str, str]:
    """Return the modules that are tainted in one of several windows, and what they asked for."""
    merged: dict[str, str] = {}
    for window in windows:
        merged.update(window.tainted)
    return merged
