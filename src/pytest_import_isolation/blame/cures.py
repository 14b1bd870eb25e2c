"""Trying what would cure it, on the shortest run that shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from pytest_import_isolation.blame.requests import Outcome
from pytest_import_isolation.blame.suite import Suite
from pytest_import_isolation.blame.suspects import TEST, Unit, effects_of
from pytest_import_isolation.blame.verdicts import Cure
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.report.records import Leak
from pytest_import_isolation.wording import listing

_OPTION: Final = "--isolate-imports"
_MARK: Final = "@pytest.mark.isolated_imports"
#: Modes that isolate imports alone; others isolate whole processes.
_OF_IMPORTS: Final = ("file", "test")
_OFF: Final = "off"


class _Attempt(NamedTuple):
    name: str
    options: dict[str, Any]
    marked: tuple[str, ...] = ()


class Attempts:
    """Tries cures, the mildest first, until one works.

    Args:
        suite: runs them.
        units: the polluters, of the shortest run.
        is_cured: whether an outcome is the one of the victim alone.
    """

    def __init__(self, suite: Suite, units: Sequence[Unit], is_cured: Callable[[Outcome], bool]) -> None:
        self._suite = suite
        self._units = units
        self._is_cured = is_cured

    def run(self, leaks: Sequence[Leak]) -> tuple[list[Cure], list[str]]:
        """Return what was tried, and sentences about what was not.

        Args:
            leaks: what the polluters left.
        """
        effects = effects_of(leaks)
        cures: list[Cure] = []
        for attempt in self._attempts(imports=not effects, thorough=bool(leaks)):
            works = self._is_cured(
                self._suite.run(
                    self._units, f"with {attempt.name}", options=attempt.options, marked=attempt.marked
                )
            )
            cures.append(Cure(attempt.name, works))
            if works:
                break
        if effects:
            return cures, [f"isolation of imports cannot cure this: it is {listing(effects)}"]
        return cures, []

    def _attempts(self, *, imports: bool, thorough: bool) -> Iterator[_Attempt]:
        """Yield what may help.

        If nothing is known of a file, one way to isolate imports says enough; of tests, which change what is
        imported already, none is needed.
        """
        modes = self._suite.whole.modes
        tests = tuple(unit.name for unit in self._units if unit.kind == TEST)
        if imports and (thorough or len(tests) < len(self._units)):
            if any(unit.file != self._suite.whole.file for unit in self._units):
                yield from self._modes(
                    m for m in modes if m in (_OF_IMPORTS if thorough else _OF_IMPORTS[:1])
                )
            else:
                if tests:
                    yield _Attempt(_MARK, {}, tests)
                yield from self._modes(mode for mode in modes if mode in _OF_IMPORTS[1:])
        if tests:  # what the collection of a file does is in every process
            yield from self._modes(mode for mode in modes if mode not in (_OFF, *_OF_IMPORTS))

    def _modes(self, modes: Iterator[str]) -> Iterator[_Attempt]:
        for mode in modes:
            yield _Attempt(f"{_OPTION}={mode}", {"isolate_imports": mode})
