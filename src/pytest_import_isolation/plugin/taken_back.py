"""What a fixture of a wider scope left, and another one that it had asked for took back at once.

So do fixtures that patch through one of pytest-mock, or through a patcher of the suite's own: whoever made
the patcher ends it, after all that used it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

from pytest_import_isolation.leaks.found_leaks import FoundLeaks
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.report.records import Leak


class _Left(NamedTuple):
    """A leak of a fixture that was torn down a moment ago."""

    number: int
    leak: Leak
    fixturedef: pytest.FixtureDef[Any]
    #: Tells whether what was there before it is there again.
    is_back: Callable[[], bool]

    @property
    def what(self) -> tuple[int, str, str]:
        """Whose it is, and what was changed."""
        return id(self.fixturedef), self.leak.kind, self.leak.name


class TakenBack:
    """Remembers what fixtures left until all are torn down that end with the same test.

    Args:
        found: knows the leaks.
    """

    def __init__(self, found: FoundLeaks) -> None:
        self._found = found
        self._left: list[_Left] = []
        #: The numbers of leaks that are none.
        self.numbers: set[int] = set()

    def note(self, number: int, fixturedef: pytest.FixtureDef[Any], is_back: Callable[[], bool]) -> None:
        """Take note of what a fixture has left.

        Args:
            number: of the leak that was recorded for it.
            fixturedef: the fixture.
            is_back: tells whether what was there before is there again.
        """
        self._left.append(_Left(number, self._found.leaks[number], fixturedef, is_back))

    # Users' code may raise here: a wrapper of the new style is a frame in its traceback. Within those that
    # undo what the test did.
    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_teardown(self) -> Generator[None, Any, None]:
        """Look what is back once all are torn down that end with a test."""
        yield
        if self._left:
            self.look()

    def look(self) -> None:
        """Look what is back."""
        left, self._left = self._left, []
        # With its next parameter a fixture is set up anew, over what it left: that goes with the first.
        back = {one.what for one in left if one.is_back()}
        self.numbers |= {one.number for one in left if one.what in back}
        self._left += (
            one for one in left if one.what not in back and one.fixturedef.cached_result is not None
        )
