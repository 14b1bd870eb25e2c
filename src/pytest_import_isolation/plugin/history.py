"""What only an HTML report shows: files and tests in their order, and how long they and the imports took."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Mapping
from typing import Any

import pytest

from pytest_import_isolation.leaks.exposures import rank
from pytest_import_isolation.report.records import Event, History
from pytest_import_isolation.watching.import_watch import imports_can_be_watched, watch_imports


class HistoryRecorder:
    """The hooks that note when what began and ended.

    Args:
        config: the run.
    """

    def __init__(self, config: pytest.Config) -> None:
        # Kept in an object: libraries that stop the clock replace the functions that modules hold.
        self._clock = time.perf_counter
        self._zero = self._clock()
        self._config = config
        self._events: list[Event] = []
        self._imports: dict[str, float] = {}
        self._outcomes: list[str] = []
        if imports_can_be_watched():
            config.add_cleanup(watch_imports(self))
        config.pluginmanager.register(self, "import-leak-history")

    @property
    def history(self) -> History:
        """What was seen up to now."""
        return History(tuple(self._events), {name: round(took, 5) for name, took in self._imports.items()})

    # What watch_imports() tells

    def begin(self, name: str) -> tuple[str, float]:
        """Note that a module is about to be imported."""
        return name, self._clock()

    def end(self, token: tuple[str, float], error: BaseException | None) -> None:
        """Note how long that took; the first time counts, later ones may bring back what was put aside."""
        name, start = token
        if error is None:
            self._imports.setdefault(name, max(0.0, self._clock() - start))

    def add(self, events: Iterable[Event], imports: Mapping[str, float]) -> None:
        """Take what another process saw that ran tests of this one.

        Args:
            events: in their order; both processes have the same clock.
            imports: seconds by module.
        """
        self._events += events
        for name, seconds in imports.items():
            self._imports.setdefault(name, seconds)

    # The hooks

    def _note(self, nodeid: str, phase: str, outcome: str, start: float) -> None:
        began, took = start - self._zero, self._clock() - start
        worker = str(getattr(self._config, "workerinput", {}).get("workerid", ""))  # not there from the start
        self._events.append(
            Event(nodeid, phase, outcome, round(max(0.0, began), 4), round(max(0.0, took), 4), worker)
        )

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Note the collection of a file."""
        if not isinstance(collector, pytest.File):
            return (yield)
        start = self._clock()
        outcome = "error"
        try:
            report = yield
            outcome = "error" if report.failed else report.outcome
            return report
        finally:
            self._note(collector.nodeid, "collect", outcome, start)

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, None]:
        """Note a test."""
        self._outcomes = []
        start = self._clock()
        result = yield
        if result.excinfo is not None:  # it was interrupted
            self._outcomes.append("error")
        self._note(item.nodeid, "test", min(self._outcomes, key=rank, default="unknown"), start)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note what a phase of a test came to."""
        report = yield
        if call.when == "setup":
            self._outcomes = []  # it may be tried again
        outcome: str = "error" if report.failed and call.when != "call" else report.outcome
        if hasattr(report, "wasxfail") and report.skipped:
            outcome = "xfailed"
        self._outcomes.append(outcome)
        return report
