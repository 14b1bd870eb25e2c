"""What a forked child does: it runs the protocol of a test, or of several, and ends."""

from __future__ import annotations

import faulthandler
import random
import sys
from typing import Any

import pytest

from pytest_import_isolation.plugin.processes.errors import describe
from pytest_import_isolation.plugin.processes.events import Forwarder
from pytest_import_isolation.plugin.processes.gathering import ChildState
from pytest_import_isolation.processes.child import Parent
from pytest_import_isolation.processes.coverage_data import ChildCoverage
from pytest_import_isolation.processes.interrupts import ignore_interrupts


class ChildSession:
    """Runs tests in a forked child.

    Args:
        session: the run, as the parent has it.
        forwarder: tells the events.
        parent: the parent of this process.
        stacks: the file to which stacks go if this process crashes; -1 for none.
        randomness: the state of :mod:`random` in the parent, which Python replaces in a child.
        measured: what coverage measures here, if it was started here.
    """

    def __init__(
        self,
        session: pytest.Session,
        forwarder: Forwarder,
        parent: Parent,
        stacks: int,
        randomness: Any,
        measured: ChildCoverage | None = None,
    ) -> None:
        self._session = session
        self._forwarder = forwarder
        self._parent = parent
        self._nodeids: set[str] = set()
        if stacks != -1:
            faulthandler.enable(stacks)
        # Kept: to free its numbers is to write to all pages that hold them.
        self._randomness = randomness
        if randomness is not None:
            random.setstate(randomness)
        #: The test after the one that runs.
        self.nextitem: pytest.Item | None = None
        disinherit(session)
        self._state = ChildState(session, measured)
        forwarder.begin(parent)

    def run_all(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        """Run a test and those that the parent names after it, and end.

        Args:
            item: the first test.
            nextitem: the one after it, None if there is none.
        """
        self.expect(item, nextitem)
        self.go_on(self._run(item, nextitem))

    def expect(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        """Take note which test runs now, and which one then."""
        self._nodeids.add(item.nodeid)
        self._forwarder.expect(item.nodeid)
        self.nextitem = nextitem

    def go_on(self, error: BaseException | None) -> None:
        """Run what the parent names next, and end.

        Args:
            error: what the first test raised through pytest's protocol, which ends the run.
        """
        items = self._session.items
        while error is None and self.nextitem is not None:
            try:
                self._parent.tell("waits")
                command = self._parent.ask()
            except KeyboardInterrupt as interrupt:
                error = interrupt
                break
            if command is None or command[0] != "run":
                break
            number, next_number = command[1:]
            item, nextitem = items[number], None if next_number == -1 else items[next_number]
            self.expect(item, nextitem)
            error = self._run(item, nextitem)
        if error is not None:
            self._tell(error)
        self._end()

    def _run(self, item: pytest.Item, nextitem: pytest.Item | None) -> BaseException | None:
        """Run a test; return what ends the run: Ctrl-C, pytest.exit() or an internal error."""
        try:
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=nextitem)
        except BaseException as error:
            return error
        return None

    def _tell(self, error: BaseException) -> None:
        self._parent.tell("raised", *describe(error))

    def _end(self) -> None:
        """Tear down what is still set up, and tell what only the end knows."""
        try:
            self._session._setupstate.teardown_exact(None)
        except BaseException as error:
            self._tell(error)
        ignore_interrupts()
        state = self._state.gather(self._nodeids)
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            try:  # noqa: SIM105 - what suppress() needs is in pages of memory that nothing else here writes to
                stream.flush()  # type: ignore[union-attr]
            except Exception:  # a test may have closed it
                pass
        self._parent.tell("done", state)


def disinherit(session: pytest.Session) -> None:
    """Let the parent alone tear down what was set up there."""
    stack = session._setupstate.stack
    for node, (finalizers, error) in list(stack.items()):
        stack[node] = ([], error)
        for finalizer in finalizers:
            definition = _finished_by(finalizer)
            if definition is not None:
                # A fixture with another parameter ends those that use it: here they are forgotten, no more.
                definition._finalizers[:] = filter(_finished_by, definition._finalizers)


def _finished_by(finalizer: object) -> Any:
    """Return the definition of the fixture that a finalizer ends, or None."""
    owner = getattr(getattr(finalizer, "func", None), "__self__", None)
    return owner if isinstance(owner, pytest.FixtureDef) else None
