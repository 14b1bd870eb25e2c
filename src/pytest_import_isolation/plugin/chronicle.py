"""What only an HTML report shows: files and tests in their order, and how long they and the imports took."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Generator
from typing import Any

import pytest

from pytest_import_isolation.report.exposures import rank
from pytest_import_isolation.report.records import Event, History

#: Private, but the one place where every module is executed; without it there are no times of imports.
_LOAD = "_load_unlocked"
#: Frames of importlib are taken out of the traceback of a failing import by the name of their file.
_IMPORTLIB_FILE = "<frozen importlib._bootstrap>"


class Chronicle:
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
        config.add_cleanup(self._time_imports())
        config.pluginmanager.register(self, "import-leak-chronicle")

    @property
    def history(self) -> History:
        """What was seen up to now."""
        return History(tuple(self._events), {name: round(took, 5) for name, took in self._imports.items()})

    def _time_imports(self) -> Callable[[], None]:
        """Begin to measure, and return what ends it."""
        bootstrap: Any = importlib._bootstrap
        load: Any = getattr(bootstrap, _LOAD, None)
        if load is None:
            return lambda: None
        clock, times = self._clock, self._imports

        def timed(spec: Any) -> Any:  # pragma: no cover (it is executed, under the name of another file)
            start = clock()
            try:
                return load(spec)
            finally:
                if type(spec.name) is str:  # a finder may have made it
                    times.setdefault(spec.name, max(0.0, clock() - start))

        timed.__code__ = timed.__code__.replace(co_filename=_IMPORTLIB_FILE)
        setattr(bootstrap, _LOAD, timed)

        def stop() -> None:
            if getattr(bootstrap, _LOAD) is timed:
                setattr(bootstrap, _LOAD, load)

        return stop

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

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Note a test."""
        self._outcomes = []
        start = self._clock()
        try:
            return (yield)
        except BaseException:  # it was interrupted
            self._outcomes.append("error")
            raise
        finally:
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
