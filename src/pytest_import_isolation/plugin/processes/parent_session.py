"""The hooks of the parent: each test that wants a process gets one, and its events are seen here."""

from __future__ import annotations

import logging
import random
import sys
import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_import_isolation.plugin.marker import parameters_of
from pytest_import_isolation.plugin.options import Settings
from pytest_import_isolation.plugin.processes.child_session import ChildSession
from pytest_import_isolation.plugin.processes.crashes import Crash
from pytest_import_isolation.plugin.processes.events import Forwarder
from pytest_import_isolation.plugin.processes.following import GONE, WAITS, Followed, follow_end
from pytest_import_isolation.plugin.processes.gathering import ParentState
from pytest_import_isolation.plugin.processes.modes import COLD, FILE, Mode, mode_key, mode_of
from pytest_import_isolation.plugin.processes.refusals import (
    refuse_loaded_extensions,
    refuse_other_plugins,
    refuse_without_fork,
)
from pytest_import_isolation.processes.child import Child, Ending, Parent, fork
from pytest_import_isolation.processes.endings import UNCOLLECTED, StacksFile, words_for

if TYPE_CHECKING:
    from pytest_import_isolation.plugin.file_runs import FileRuns
    from pytest_import_isolation.processes.cold import ColdServer


class ProcessTests:
    """The hooks that run tests in processes of their own.

    Args:
        config: the run.
        settings: its options.
        runs: knows the worlds in which tests run, if the whole suite is isolated.
        path: ``sys.path`` before the suite changed it.
    """

    def __init__(
        self, config: pytest.Config, settings: Settings, runs: FileRuns | None, path: list[str]
    ) -> None:
        self._config = config
        self._settings = settings
        self._runs = runs
        self._forwarder = Forwarder(config)
        self._is_child = False
        # What a run of tests has, from its begin on.
        self._session: pytest.Session | None = None
        self._state: ParentState | None = None
        self._stacks: StacksFile | None = None
        self._waits = False
        self._path = path
        self._cold: ColdServer | None = None
        self._numbers: dict[int, int] = {}
        # The process that runs the tests of a file, while it waits for the next one.
        self._child: Child | None = None

    def prepare(self, items: list[pytest.Item]) -> None:
        """Parse the marks of every test, so that a mistake ends the run before it begins.

        Raises:
            pytest.UsageError: a mark cannot be used.
        """
        for item in items:
            mode = mode_of(item, self._settings)
            if mode is None:
                continue
            who = f"{item.nodeid}: process={mode.kind!r}"
            refuse_other_plugins(self._config, who)
            refuse_without_fork(mode, who)
            parameters = parameters_of(item)
            if parameters is not None:
                refuse_loaded_extensions(mode, parameters.fresh, item.nodeid)
            item.stash[mode_key] = mode

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Be the outermost of those around each test; bring what was measured home before plugins save it."""
        self._begin(session)
        protocol = _Protocol(self)
        self._config.pluginmanager.register(protocol, "import-isolation-processes-protocol")
        try:
            return (yield)
        finally:
            self._config.pluginmanager.unregister(protocol)
            self._end()

    def _begin(self, session: pytest.Session) -> None:
        self._session = session
        self._state = ParentState(session)
        self._stacks = StacksFile()
        self._numbers = {id(item): number for number, item in enumerate(session.items)}
        self._waits = _must_wait(self._config)
        factory: Any = getattr(self._config, "_tmp_path_factory", None)
        if factory is not None:
            factory.getbasetemp()  # each child would make one of its own

    def _end(self) -> None:
        self.end_file()
        if self._state is not None:
            self._state.coverage.write()
        if self._cold is not None:
            self._cold.stop()
        if self._stacks is not None:
            self._stacks.close()
        self._session = self._state = self._stacks = self._cold = None
        self._numbers.clear()

    def wants(self, item: pytest.Item) -> Mode | None:
        """Return how a test runs elsewhere, or None."""
        return None if self._is_child else item.stash.get(mode_key, None)

    def run(self, item: pytest.Item, nextitem: pytest.Item | None, mode: Mode) -> None:
        """Run a test in another process."""
        assert self._state is not None
        if self._runs is not None:
            self._runs.begin_test(item)
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        follower = nextitem if self._shares(item, mode, nextitem) else None
        began = time.time()
        child, self._child = self._child, None
        if mode.kind == COLD:
            child = self._start_cold(item)
        elif child is None:
            child = self._fork(item, follower)
        else:
            child.command("run", self._numbers[id(item)], self._number_of(follower))
        followed = Followed(self._config, self._state, child, item, mode)
        outcome = followed.follow()
        child.limit(None)
        if outcome == WAITS:
            self._child = child
        else:
            ending = child.end()
            if outcome == GONE and followed.error is None:
                self._report_crash(item, followed, ending, mode, began)
        self._end_test(item, nextitem)
        if followed.error is not None:
            self.end_file()
            raise followed.error

    def _shares(self, item: pytest.Item, mode: Mode, other: pytest.Item | None) -> bool:
        """Tell whether the next test runs in the process of this one."""
        if mode.kind != FILE or other is None:
            return False
        its = other.stash.get(mode_key, None)
        known = id(item) in self._numbers and id(other) in self._numbers
        return known and its is not None and its.kind == FILE and its.path == mode.path

    def _number_of(self, item: pytest.Item | None) -> int:
        return -1 if item is None else self._numbers[id(item)]

    def _fork(self, item: pytest.Item, nextitem: pytest.Item | None) -> Child:
        assert self._session is not None
        assert self._stacks is not None
        self._flush()
        randomness = random.getstate()
        there = fork(commands=nextitem is not None, waits=self._waits)
        if isinstance(there, Parent):
            there.leave_after(lambda: self._be_child(there, item, nextitem, randomness))
        return there

    def _start_cold(self, item: pytest.Item) -> Child:
        from pytest_import_isolation.plugin.processes.cold_request import modules_to_import, request_for
        from pytest_import_isolation.processes.cold import ColdServer

        assert self._session is not None
        assert self._stacks is not None
        self._flush()
        if self._cold is None:
            self._cold = ColdServer(
                f"{__package__}.cold_session:run",
                self._path,
                modules_to_import(self._config),
                self._stacks.descriptor,
                str(self._config.invocation_params.dir),
            )
        before = self._session.items[: self._numbers.get(id(item), 0)]
        number = sum(other.nodeid == item.nodeid for other in before)
        return self._cold.start(request_for(item, number), waits=self._waits)

    def _be_child(
        self, parent: Parent, item: pytest.Item, nextitem: pytest.Item | None, randomness: object
    ) -> None:
        assert self._session is not None
        assert self._stacks is not None
        self._is_child = True
        if self._runs is not None:
            self._runs.is_child = True
        child = ChildSession(self._session, self._forwarder, parent, self._stacks.descriptor, randomness)
        child.run_all(item, nextitem)

    def _flush(self) -> None:
        """Print now what both processes would print."""
        terminal: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None:
            terminal.flush()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()

    def _report_crash(
        self, item: pytest.Item, followed: Followed, ending: Ending, mode: Mode, began: float
    ) -> None:
        assert self._stacks is not None
        replay, stacks = followed.replay, self._stacks.take()
        phase = "teardown" if replay.phase == "end" else replay.phase
        if followed.uncollected is not None:
            words, stacks = UNCOLLECTED, followed.uncollected
        else:
            words = words_for(ending, phase, mode.timeout, replay.printed)
        for report in Crash(item, phase, began).reports(words, stacks):
            item.ihook.pytest_runtest_logreport(report=report)
        if not replay.is_finished:
            item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)

    def _end_test(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        session = item.session
        if session.shouldstop or session.shouldfail:
            nextitem = None
            self.end_file()
        if session._setupstate.stack:
            self._tear_down(item, nextitem)
        if self._runs is not None:
            self._runs.end_test(item, nextitem)

    def _tear_down(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        """Tear down here what tests before set up here, and the next one does not need."""
        call = pytest.CallInfo.from_call(
            lambda: item.session._setupstate.teardown_exact(nextitem),
            when="teardown",
            reraise=(KeyboardInterrupt, pytest.exit.Exception),
        )
        if call.excinfo is not None:
            report = item.ihook.pytest_runtest_makereport(item=item, call=call)
            item.ihook.pytest_runtest_logreport(report=report)

    def end_file(self) -> None:
        """End the process that waits for the next test of its file."""
        assert self._state is not None
        child, self._child = self._child, None
        if child is not None:
            child.command("end")
            follow_end(child, self._state)


class _Protocol:
    """The two wrappers around the protocol of a test; no other plugin's wrapper is around these.

    The inner one runs the test elsewhere and raises, so that the wrappers inside of it never begin. The outer
    one makes the result of that. Methods are registered in the order of their names, the outermost last.

    Args:
        tests: runs tests elsewhere.
    """

    def __init__(self, tests: ProcessTests) -> None:
        self._tests = tests

    @pytest.hookimpl(wrapper=True, tryfirst=True, specname="pytest_runtest_protocol")
    def pytest_runtest_protocol_1_inner(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """Run a test elsewhere."""
        mode = self._tests.wants(item)
        if mode is not None:
            self._tests.run(item, nextitem, mode)
            raise _Done
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True, specname="pytest_runtest_protocol")
    def pytest_runtest_protocol_2_outer(self) -> Generator[None, object, object]:
        """Say that a test was run."""
        try:
            return (yield)
        except _Done:
            return True


class _Done(Exception):  # noqa: N818 - it is no error
    """A test ran elsewhere: no other plugin of this process has anything to do for it."""


def _must_wait(config: pytest.Config) -> bool:
    """Tell whether what children print directly must not come before what this process prints of them."""
    option, live = config.option, getattr(config.pluginmanager.get_plugin("logging-plugin"), "log_cli_handler", None)
    return bool(
        getattr(option, "usepdb", False)
        or getattr(option, "trace", False)
        or getattr(option, "capture", "") == "no"
        or (live is not None and not isinstance(live, logging.NullHandler))
    )
