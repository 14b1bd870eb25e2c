"""What a child knows at its end beside the reports of its tests: lines, leaks, history, a wish to stop."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_import_isolation.processes.coverage_data import ChildCoverage, ParentCoverage, running_coverage
from pytest_import_isolation.report.records import Event, Exposure, Report

if TYPE_CHECKING:
    from pytest_import_isolation.leaks.found_leaks import FoundLeaks
    from pytest_import_isolation.leaks.tainted_modules import TaintedModules
    from pytest_import_isolation.plugin.history import HistoryRecorder

_OBSERVER: Final = "import-leak-observer"
_HISTORY: Final = "import-leak-history"
#: Where pytest keeps errors of finalizers and threads until the next phase of a test, by module and key.
_WAITING: Final = (
    ("_pytest.unraisableexception", "unraisable_exceptions"),
    ("_pytest.threadexception", "thread_exceptions"),
)
_WISHES: Final = ("shouldstop", "shouldfail")


def _found(config: pytest.Config) -> FoundLeaks | None:
    observer: Any = config.pluginmanager.get_plugin(_OBSERVER)
    return None if observer is None else observer.boundaries.found


def _tainted(config: pytest.Config) -> TaintedModules | None:
    observer: Any = config.pluginmanager.get_plugin(_OBSERVER)
    return None if observer is None else observer.boundaries.tainted


def _history(config: pytest.Config) -> HistoryRecorder | None:
    recorder: HistoryRecorder | None = config.pluginmanager.get_plugin(_HISTORY)
    return recorder


class ChildState:
    """Takes note of what there is when a child begins, and of what it adds.

    Args:
        session: the run.
    """

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self._found = _found(session.config)
        self._history = _history(session.config)
        self._coverage: ChildCoverage | None = None
        self._leaks = self._events = 0

    def prepare(self) -> None:
        """Take note of what there is, before the fork."""
        if self._found is not None:
            self._leaks = len(self._found.leaks)
        if self._history is not None:
            self._events = len(self._history.history.events)

    def measure(self, measured: ChildCoverage | None) -> None:
        """Keep what is measured from now on, in the child.

        Args:
            measured: what coverage measures here, if it was started here.
        """
        running = None if measured else running_coverage()
        self._coverage = measured if running is None else ChildCoverage(running)

    def wishes(self) -> dict[str, Any]:
        """Return what code of a test or hook in this process told the run, to have it stop."""
        return {name: wish for name in _WISHES if (wish := getattr(self._session, name, False))}

    def gather(self, nodeids: set[str]) -> dict[str, Any]:
        """Return what was added, as builtins.

        Args:
            nodeids: the tests that ran here.
        """
        state: dict[str, Any] = self.wishes()
        if self._coverage is not None:
            state["coverage"] = self._coverage.gather()
        if self._found is not None:
            leaks, met = self._found.since(self._leaks, nodeids)
            if leaks:
                state["leaks"] = Report(leaks).as_builtins()
            if met:
                state["met"] = {number: list(map(tuple, exposures)) for number, exposures in met.items()}
        if self._history is not None:
            events, imports = self._history.history
            state["history"] = list(map(tuple, events[self._events :])), dict(imports)
        return state


class ParentState:
    """Adds what children knew to what this process knows.

    Args:
        session: the run.
    """

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        #: What children measured.
        self.coverage = ParentCoverage()
        self._found = _found(session.config)
        self._tainted = _tainted(session.config)
        self._history = _history(session.config)

    def add(self, state: dict[str, Any]) -> None:
        """Take what :meth:`ChildState.gather` returned in a child."""
        for name in _WISHES:
            if state.get(name) and not getattr(self._session, name, False):
                setattr(self._session, name, state[name])
        if "coverage" in state:
            self.coverage.add(*state["coverage"])
        found = self._found
        if found is not None:
            if "leaks" in state:
                leaks = Report.from_builtins(state["leaks"]).leaks
                found.add_contained(leaks if self._tainted is None else self._tainted.take_over(leaks))
            for number, exposures in state.get("met", {}).items():
                found.add_exposures(number, [Exposure(*values) for values in exposures])
        history = self._history
        if history is not None and "history" in state:
            events, imports = state["history"]
            history.add([Event(*values) for values in events], imports)


def waiting_errors(config: pytest.Config) -> list[Any]:
    """Return what holds, all the run long, the errors of finalizers and threads that wait to be told."""
    keys = [getattr(sys.modules.get(module), name, None) for module, name in _WAITING]
    return [config.stash[key] for key in keys if key is not None and key in config.stash]
