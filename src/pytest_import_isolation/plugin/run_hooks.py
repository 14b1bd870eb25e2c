"""What hooks change between the collection and the first test: it is there for all tests."""

from __future__ import annotations

from pytest_import_isolation.state.snapshot import ImportState
from pytest_import_isolation.window.adoption import (
    HeldThen,
    contents_now,
    follow_contents,
    follow_decisions,
)
from pytest_import_isolation.window.window import Window
from pytest_import_isolation.window.worlds import Worlds


class RunHooks:
    """Lets what hooks of conftests and plugins change for the whole run belong to no world.

    Args:
        worlds: those of the run.
    """

    def __init__(self, worlds: Worlds) -> None:
        self._worlds = worlds
        # What there was before them, as long as they run.
        self._before: tuple[Window, ImportState, HeldThen] | None = None

    def begin(self) -> None:
        """Take note of what there is before the hooks."""
        if self._worlds.chain:
            window = self._worlds.chain[0].window
            self._before = window, ImportState.capture(), contents_now(window)

    def end(self) -> None:
        """Let what is different since then be there for all tests."""
        if self._before is None:
            return
        (window, before, held), self._before = self._before, None
        # A hook may have collected more.
        if self._worlds.chain and self._worlds.chain[0].window is window:
            follow_contents(window, held)
            follow_decisions(window, before)
