"""Reloads in the setup of fixtures of a wider scope: no leak if the fixture takes them back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from pytest_import_isolation.contents.findings import is_taken_back
from pytest_import_isolation.contents.ledger import CONTENTS
from pytest_import_isolation.contents.restoring import put_back
from pytest_import_isolation.contents.spaces import copy_of
from pytest_import_isolation.watching.import_log import Reload


class FixtureReloads:
    """Knows what the fixtures that are alive had executed again.

    Args:
        seen: returns the reloads that were seen since the last boundary.
    """

    def __init__(self, seen: Callable[[], Iterable[Reload]]) -> None:
        self._seen = seen
        self._living: dict[int, list[Reload]] = {}
        # Those of setups and teardowns since the last boundary, and whether the fixture ends with its file.
        self._ends: list[tuple[Reload, bool]] = []
        # By the identities of those of teardowns: what the module held before the setup.
        self._before_setup: dict[int, dict[str, Any]] = {}
        # The numbers of the leaks that they are, by the identities of the reloads of the living.
        self._leaks: dict[int, int] = {}
        #: The numbers of the leaks that are none unless somebody failed: their fixture took them back.
        self.taken_back: set[int] = set()

    def begin(self) -> set[int]:
        """Return what was seen before the setup, or the teardown, of a fixture."""
        return {id(reload) for reload in self._seen()}

    def end(self, fixturedef: pytest.FixtureDef[Any], before: set[int], *, ends_with_file: bool) -> None:
        """Take note of what was seen in the setup of a fixture.

        Args:
            fixturedef: the fixture.
            before: what :meth:`begin` returned.
            ends_with_file: whether the fixture ends with its file where files are isolated.
        """
        again = self._since(before, ends_with_file=ends_with_file)
        if again:
            self._living[id(fixturedef)] = again

    def _since(self, before: set[int], *, ends_with_file: bool) -> list[Reload]:
        again = [reload for reload in self._seen() if id(reload) not in before]
        self._ends += ((reload, ends_with_file) for reload in again)
        return again

    def ends_with_file(self, reload: Reload) -> bool | None:
        """Tell whether the fixture that did a reload ends with its file; None for what no fixture did."""
        return next((ends for one, ends in self._ends if one is reload), None)

    def begin_anew(self) -> None:
        """Forget the reloads that were seen up to a boundary."""
        self._ends.clear()
        self._before_setup.clear()

    def as_a_whole(self, reload: Reload) -> Reload:
        """Return what a reload in a teardown did, together with that in the setup of the same fixture."""
        before = self._before_setup.get(id(reload))
        return reload if before is None else reload._replace(before=before)

    def note_leak(self, reload: Reload, number: int) -> None:
        """Take note that a reload was recorded as a leak."""
        if any(reload is one for living in self._living.values() for one in living):
            self._leaks[id(reload)] = number

    def finish(
        self, fixturedef: pytest.FixtureDef[Any], before: set[int], *, ends_with_file: bool, undoes: bool
    ) -> bool:
        """Look what a fixture that was torn down has taken back.

        Args:
            fixturedef: the fixture.
            before: what :meth:`begin` returned before the teardown.
            ends_with_file: whether the fixture ends with its file where files are isolated.
            undoes: whether the rest is undone now.

        Returns:
            Whether something was undone now.
        """
        undone = False
        living = self._living.pop(id(fixturedef), [])
        for again in self._since(before, ends_with_file=ends_with_file):
            first = next((one for one in living if one.module is again.module), None)
            if first is not None:
                self._before_setup[id(again)] = first.before
        for reload in reversed(living):
            number = self._leaks.pop(id(reload), None)
            space = CONTENTS.space_of(reload.module)
            if not is_taken_back(reload):
                undone |= undoes and space is not None and put_back(space, copy_of(reload.before))
            elif number is not None:
                self.taken_back.add(number)
        return undone
