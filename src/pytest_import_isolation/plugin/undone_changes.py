"""Changes that a hook of the suite undoes before anybody else runs: they are nobody's leaks."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_import_isolation.report.records import INFO, Leak
from pytest_import_isolation.state.single_changes import SingleChange


class UndoneChanges:
    """Remembers what was found at the last boundary, until the next one."""

    def __init__(self) -> None:
        #: The numbers of leaks that are none.
        self.numbers: set[int] = set()
        # By their places, the changes and the leaks that they are.
        self._left: dict[tuple[str, object], tuple[SingleChange, int]] = {}

    def note(self, change: SingleChange, leak: Leak, number: int) -> None:
        """Take note of a leak.

        Args:
            change: the change that it is.
            leak: the leak. Who takes out what was imported undoes nothing: others import it a second time.
            number: its number.
        """
        if leak.severity != INFO and type(change.key) is str:
            self._left[change.place] = change, number

    def begin_anew(self) -> None:
        """Take note that somebody else runs now."""
        self._left.clear()

    def remaining(self, changes: Iterable[SingleChange]) -> list[SingleChange]:
        """Leave out the changes that undo what was noted, and take note that this harms nobody."""
        return [change for change in changes if not self._undoes(change)]

    def _undoes(self, change: SingleChange) -> bool:
        known = self._left.get(change.place) if type(change.key) is str else None
        if known is None:
            return False
        left, number = known
        if change.before is not left.after or change.after is not left.before:
            return False
        self.numbers.add(number)
        return True
