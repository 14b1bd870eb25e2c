"""The hooks of the parent: each test that wants a process gets one, and its events are seen here."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_import_isolation.plugin.marker import parameters_of
from pytest_import_isolation.plugin.options import Settings
from pytest_import_isolation.plugin.plugin_hooks import PluginHooks
from pytest_import_isolation.plugin.processes.crashes import Crash
from pytest_import_isolation.plugin.processes.errors import interrupted_in
from pytest_import_isolation.plugin.processes.following import GONE, WAITS, Followed, follow_end
from pytest_import_isolation.plugin.processes.forks import Forks
from pytest_import_isolation.plugin.processes.gathering import ParentState
from pytest_import_isolation.plugin.processes.modes import COLD, FILE, Mode, mode_key, mode_of
from pytest_import_isolation.plugin.processes.refusals import (
    refuse_loaded_extensions,
    refuse_other_plugins,
    refuse_without_fork,
)
from pytest_import_isolation.processes.child import Child, Ending, NotStartedError
from pytest_import_isolation.processes.endings import UNCOLLECTED, StacksFile, words_for

if TYPE_CHECKING:
    from pytest_import_isolation.plugin.file_runs import FileRuns
    from pytest_import_isolation.processes.cold import ColdServer


#: For how many tests something is found out at once.
_AHEAD: Final = 50


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
        #: Forks, and knows what runs here if this is a child.
        self.forks = Forks(config, runs)
        # The test that was asked about last, and how it runs.
        self._asked: tuple[pytest.Item | None, Mode | None] = (None, None)
        # What a run of tests has, from its begin on.
        self._session: pytest.Session | None = None
        self._state: ParentState | None = None
        self._stacks: StacksFile | None = None
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
            refuse_without_fork(who)
            parameters = parameters_of(item, {})  # mistakes are told already
            if parameters is not None:
                refuse_loaded_extensions(mode, parameters.fresh, item.nodeid)
            item.stash[mode_key] = mode

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Be the outermost of those around each test; bring what was measured home before plugins save it."""
        self._begin(session)
        protocol = _Protocol(self)
        self.forks.run_here = protocol.run_here
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
        self.forks.begin(session, self._stacks.descriptor)
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
        self.forks.end()
        self._session = self._state = self._stacks = self._cold = None
        self._numbers.clear()

    def wants(self, item: pytest.Item) -> Mode | None:
        """Return how a test runs elsewhere, or None."""
        if self.forks.child_session is not None:
            return None
        if item is not self._asked[0]:
            self._asked = item, item.stash.get(mode_key, None)
        return self._asked[1]

    def forks_inside(self, mode: Mode) -> bool:
        """Tell whether a test's process begins inside of the wrappers around the test.

        So it does if these wrappers are known not to mind that they begin in one process and end in two.
        """
        return self.forks.are_inside and mode.kind != COLD and self._child is None

    def run(self, item: pytest.Item, nextitem: pytest.Item | None, mode: Mode) -> None:
        """Run a test in another process."""
        assert self._state is not None
        runs = None if self.forks_inside(mode) else self._runs  # its own wrapper is around this then
        if runs is not None:
            runs.begin_test(item)
        if "location" not in vars(item):
            self._look_ahead(item)
        hook = item.ihook
        hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        follower = nextitem if self._shares(item, mode, nextitem) else None
        began = time.time()
        try:
            with self.forks.interrupt:
                followed, ending = self._follow(item, hook, follower, mode)
        except KeyboardInterrupt:
            raise interrupted_in(item) from None
        except NotStartedError as failure:
            error = None
            self._tell_end(item, Crash(item, "setup", began).reports(str(failure), ""))
        else:
            if followed is None:
                return
            error = followed.error
            if ending is not None and error is None:
                self._report_crash(item, followed, ending, mode, began)
        self._end_test(item, nextitem)
        if runs is not None:
            runs.end_test(item, nextitem)
        if error is not None:
            self.end_file()
            raise error

    def _look_ahead(self, item: pytest.Item) -> None:
        """Find the lines of the next tests too: after each fork, this process writes to all its memory anew.

        Only where nobody's code but pytest's does that, and no other process may get these tests.
        """
        if self._session is None or hasattr(self._config, "workerinput"):
            return
        first = self._numbers.get(id(item), len(self._numbers))
        for other in self._session.items[first : first + _AHEAD]:
            if type(other) is pytest.Function and type(other.parent) is pytest.Module:
                other.location  # noqa: B018 - it is kept

    def _follow(
        self, item: pytest.Item, hook: Any, follower: pytest.Item | None, mode: Mode
    ) -> tuple[Followed | None, Ending | None]:
        """Run a test in another process.

        Args:
            item: the test.
            hook: calls the hooks for it.
            follower: the test that runs in the same process afterwards, if there is one.
            mode: how it runs.

        Returns:
            What is known of the test, None in the child; the end of the process if it came before the test's.
        """
        assert self._state is not None
        started, self._child = self._child, None
        child = started or self._start(item, follower, mode)
        if child is None:
            return None, None
        try:
            if started is not None:
                child.command("run", self._numbers[id(item)], self._number_of(follower))
            followed = Followed(self._config, self._state, child, item, hook, mode)
            outcome = followed.follow(self.forks.interrupt)
        except BaseException:  # Ctrl-C again and again
            follow_end(child, self._state, is_interrupted=True)
            raise
        if outcome == GONE:
            return followed, child.end()
        child.limit(None)
        if outcome == WAITS:
            self._child = child
        else:
            child.end()
        return followed, None

    def _shares(self, item: pytest.Item, mode: Mode, other: pytest.Item | None) -> bool:
        """Tell whether the next test runs in the process of this one."""
        if mode.kind != FILE or other is None:
            return False
        its = other.stash.get(mode_key, None)
        known = id(item) in self._numbers and id(other) in self._numbers
        return known and its is not None and its.kind == FILE and its.path == mode.path

    def _number_of(self, item: pytest.Item | None) -> int:
        return -1 if item is None else self._numbers[id(item)]

    def _start(self, item: pytest.Item, nextitem: pytest.Item | None, mode: Mode) -> Child | None:
        self._flush()
        if mode.kind == COLD:
            return self._start_cold(item)
        return self.forks.start(item, nextitem, is_inside=self.forks_inside(mode))

    def _start_cold(self, item: pytest.Item) -> Child:
        from pytest_import_isolation.plugin.processes.cold_request import modules_to_import, request_for
        from pytest_import_isolation.processes.cold import ColdServer

        assert self._session is not None
        assert self._stacks is not None
        before = self._session.items[: self._numbers.get(id(item), 0)]
        request = request_for(item, sum(other.nodeid == item.nodeid for other in before))
        server, self._cold = self._cold, None
        try:
            if server is None:
                server = ColdServer(
                    f"{__package__}.cold_session:run",
                    self._path,
                    modules_to_import(self._config),
                    self._stacks.descriptor,
                    str(self._config.invocation_params.dir),
                )
            child = server.start(request, waits=self.forks.waits)
        except OSError as error:
            if server is not None:
                server.stop()  # the next test gets another one
            raise NotStartedError("a cold process", error) from error
        self._cold = server
        return child

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
        self._tell_end(item, Crash(item, phase, began).reports(words, stacks), is_told=replay.is_finished)

    def _tell_end(
        self, item: pytest.Item, reports: list[pytest.TestReport], *, is_told: bool = False
    ) -> None:
        """Tell the reports of a test that did not end itself, and its end unless that was told."""
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        if not is_told:
            item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)

    def _end_test(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        session = item.session
        if session.shouldstop or session.shouldfail:
            nextitem = None
            self.end_file()
        if session._setupstate.stack:
            self._tear_down(item, nextitem)

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
    """What is around and in the place of the protocol of a test; no other plugin's wrapper is around these.

    A child begins in the middle, inside of all wrappers, if that is right for them. Or it begins in the
    second wrapper, which raises in the parent, so that the wrappers inside of it never begin there, and the
    outermost makes the result of that. Methods are registered by their names, the outermost last.

    Args:
        tests: runs tests elsewhere.
    """

    def __init__(self, tests: ProcessTests) -> None:
        self._tests = tests
        # How many implementations of the protocol there are, and those that run in the place of this one.
        self._number = 0
        self._others: list[tuple[Callable[..., object], Sequence[str]]] = []
        # Those of them that only take note of a test: they do that before the fork.
        self._notes: list[Callable[..., object]] = []

    @pytest.hookimpl(tryfirst=True, specname="pytest_runtest_protocol")
    def pytest_runtest_protocol_1_middle(self, item: pytest.Item, nextitem: pytest.Item | None) -> object:
        """Run a test elsewhere; in the child, run it."""
        mode = self._tests.wants(item)
        if mode is None:
            return None
        tests = self._tests
        self._find_others(item.config)
        for note in self._notes:
            note(item=item)
        tests.run(item, nextitem, mode)
        forks = tests.forks
        if forks.child_session is None:
            return True
        if forks.error is not None:
            raise forks.error
        return forks.result

    def run_here(self, item: pytest.Item, nextitem: pytest.Item | None) -> object:
        """Do what pytest does after this implementation, with another next test."""
        given = {"item": item, "nextitem": nextitem}
        for function, names in self._others:
            result = function(*[given[name] for name in names])
            if result is not None:
                return result
        return None

    def _find_others(self, config: pytest.Config) -> None:
        """Find the implementations after this one: in the parent, as long as none is added."""
        caller: Any = config.hook.pytest_runtest_protocol
        if len(caller._hookimpls) != self._number:
            self._number = len(caller._hookimpls)
            inner = [one for one in reversed(caller.get_hookimpls()) if not (one.wrapper or one.hookwrapper)]
            self._notes = [one.function for one in inner if type(one.plugin) is PluginHooks]
            self._others = [
                (one.function, one.argnames)
                for one in inner
                if one.plugin is not self and type(one.plugin) is not PluginHooks
            ]

    @pytest.hookimpl(wrapper=True, tryfirst=True, specname="pytest_runtest_protocol")
    def pytest_runtest_protocol_2_inner(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """Run a test elsewhere, if its wrappers must not begin here."""
        mode = self._tests.wants(item)
        if mode is not None and not self._tests.forks_inside(mode):
            self._tests.run(item, nextitem, mode)
            raise _Done
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True, specname="pytest_runtest_protocol")
    def pytest_runtest_protocol_3_outer(self) -> Generator[None, object, object]:
        """Say that a test was run; leave a child in which one ran."""
        try:
            result = yield
        except _Done:
            return True
        except BaseException as error:
            self._tests.forks.leave_child(error)
            raise
        self._tests.forks.leave_child(None)
        return result


class _Done(Exception):  # noqa: N818 - it is no error
    """A test ran elsewhere: no other plugin of this process has anything to do for it."""
