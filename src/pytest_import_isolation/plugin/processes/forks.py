"""Forks at a test, and what the child does: it runs the test, and others if it is told to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from pytest_import_isolation.plugin.processes.around import (
    are_quiet,
    are_simple,
    must_wait,
    recorded_warnings,
)
from pytest_import_isolation.plugin.processes.child_session import ChildSession
from pytest_import_isolation.plugin.processes.events import Forwarder
from pytest_import_isolation.plugin.processes.gathering import waiting_errors
from pytest_import_isolation.processes.child import Child, Fork, Parent
from pytest_import_isolation.processes.interrupts import HeldInterrupt

if TYPE_CHECKING:
    from pytest_import_isolation.plugin.file_runs import FileRuns


class Forks:
    """Forks at tests.

    Args:
        config: the run.
        runs: knows the worlds in which tests run, if the whole suite is isolated.
    """

    def __init__(self, config: pytest.Config, runs: FileRuns | None) -> None:
        self._config = config
        self._runs = runs
        self._forwarder = Forwarder(config)
        #: Keeps Ctrl-C back while a process is started and followed.
        self.interrupt = HeldInterrupt()
        #: Whether processes wait until what they told was handled.
        self.waits = False
        #: Whether processes are forked inside of the wrappers around a test.
        self.are_inside = False
        # Whether these have nothing to do at the end of a test in which no warning was recorded.
        self._is_quiet = False
        # What a child will run, and what holds errors that the next child tells.
        self._ready: ChildSession | None = None
        self._waiting: list[Any] = []
        #: What this process runs if it is a child, None in the parent.
        self.child_session: ChildSession | None = None
        self._parent: Parent | None = None
        #: What runs a test inside of the wrappers around it, and in a child what that returned or raised.
        self.run_here: Callable[[pytest.Item, pytest.Item | None], object] = lambda *_: None
        self.result: object = None
        self.error: BaseException | None = None

    def begin(self, session: pytest.Session, stacks: int) -> None:
        """Find out, once, what each fork needs to know.

        Args:
            session: the run.
            stacks: the file to which the stacks of a child go if it crashes.
        """
        self.waits = must_wait(self._config)
        self.are_inside, self._is_quiet = are_simple(self._config), are_quiet(self._config)
        self._forwarder.choose(session)
        self._ready = ChildSession(session, self._forwarder, stacks)
        self._waiting = waiting_errors(self._config)

    def end(self) -> None:
        """Forget the run."""
        self._ready = None

    def start(self, item: pytest.Item, nextitem: pytest.Item | None, *, is_inside: bool) -> Child | None:
        """Start a process; return None in that process if what is around the test goes on there.

        Args:
            item: the test that runs there.
            nextitem: the one after it that does, None if there is none.
            is_inside: whether that process begins inside of the wrappers around the test.
        """
        session = self._ready
        assert session is not None
        fork = Fork(commands=nextitem is not None, waits=self.waits)
        session.prepare(fork.parent, item, nextitem)
        recorded = recorded_warnings()
        try:
            child = fork.start()
        except BaseException:  # there are too many processes, for example
            session.stay()
            raise
        if child is not None:
            session.stay()
            for errors in self._waiting:
                errors.clear()  # the new child tells them
            return child
        self.interrupt.is_noted = False
        self.child_session = session
        if self._runs is not None:
            self._runs.is_child = True
        if not is_inside:
            fork.parent.leave_after(self._run_all, session, item)
        self._run_inside(fork.parent, session, item, recorded)
        return None

    def _run_all(self, session: ChildSession, item: pytest.Item) -> None:
        session.begin()
        try:
            self.interrupt.leave()
        except BaseException as error:
            session.go_on(error)
        else:
            session.run_all(item)

    def _run_inside(
        self, parent: Parent, session: ChildSession, item: pytest.Item, recorded: list[Any] | None
    ) -> None:
        """Run a test, and end if it is the only one and what is around it has nothing more to do.

        The test runs here, not after the return to the hook: each function that returns is written to.

        Args:
            parent: the parent of this process.
            session: what this process runs.
            item: the test.
            recorded: the warnings that are told when what is around the test ends, None if that is not known.
        """
        self._parent = parent
        try:
            session.begin()
        except BaseException:
            parent.leave_with_traceback()
        try:
            self.interrupt.leave()
            self.result = self.run_here(item, session.nextitem)
        except BaseException as error:
            self.error = error
            return
        if self._is_quiet and recorded == [] and session.nextitem is None:
            parent.leave_after(session.end)

    def leave_child(self, error: BaseException | None) -> None:
        """Go on with other tests and end, if this is a child whose first test is over.

        Args:
            error: what it raised.
        """
        parent, self._parent = self._parent, None
        session = self.child_session
        if parent is not None and session is not None:
            parent.leave_after(session.go_on, error)
