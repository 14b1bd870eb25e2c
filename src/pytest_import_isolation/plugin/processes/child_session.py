"""What a forked child does: it runs the protocol of a test, or of several, and ends."""

from __future__ import annotations

import faulthandler
import sys
from collections.abc import Callable
from typing import Any

import pytest

from pytest_import_isolation.plugin.processes.errors import describe
from pytest_import_isolation.plugin.processes.events import Forwarder
from pytest_import_isolation.plugin.processes.gathering import ChildState
from pytest_import_isolation.processes.child import Parent
from pytest_import_isolation.processes.coverage_data import ChildCoverage
from pytest_import_isolation.processes.interrupts import ignore_interrupts
from pytest_import_isolation.processes.randomness import KeptRandomness


class ChildSession:
    """Runs tests in a forked child.

    What can be done before the fork is done there: all that a child writes to is copied.

    Args:
        session: the run, as the parent has it.
        forwarder: tells the events.
        stacks: the file to which stacks go if this process crashes; -1 for none.
    """

    def __init__(self, session: pytest.Session, forwarder: Forwarder, stacks: int) -> None:
        self._session = session
        self._forwarder = forwarder
        self._stacks = stacks
        self._state = ChildState(session)
        self._randomness = KeptRandomness()
        # What else has to be done in the child that is made next.
        self._to_do: list[Callable[[], object]] = []
        self._nodeids: set[str] = set()
        #: The test after the one that runs.
        self.nextitem: pytest.Item | None = None

    def prepare(self, parent: Parent, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        """Be ready to be in a child.

        Args:
            parent: the parent of the child.
            item: its first test.
            nextitem: the one after it, None if there is none.
        """
        self._parent = parent
        self._nodeids.clear()
        self._expect(item, nextitem)
        self._state.prepare()
        self._forwarder.prepare(parent)
        stack = self._session._setupstate.stack
        wanted = (
            (stack, lambda: disinherit(self._session)),
            (self._forwarder.junit is not None, self._forwarder.divert_junit),
        )
        self._to_do = [do for is_wanted, do in wanted if is_wanted]
        self._randomness.prepare()

    def stay(self) -> None:
        """Be in the parent, after the fork."""
        self._randomness.stay()
        self._forwarder.stay()

    def begin(self, measured: ChildCoverage | None = None) -> None:
        """Be in the child.

        Args:
            measured: what coverage measures here, if it was started here.
        """
        if self._stacks != -1:
            faulthandler.enable(self._stacks)
        self._randomness.arrive()
        for do in self._to_do:
            do()
        if measured is not None or "coverage" in sys.modules:
            self._state.measure(measured)

    def run_all(self, item: pytest.Item) -> None:
        """Run the first test and those that the parent names after it, and end."""
        self.go_on(self._run(item, self.nextitem))

    def _expect(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
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
        while error is None and self.nextitem is not None and not self._state.wishes():
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
            self._expect(item, nextitem)
            error = self._run(item, nextitem)
        if error is not None:
            self._tell(error)
        self.end()

    def _run(self, item: pytest.Item, nextitem: pytest.Item | None) -> BaseException | None:
        """Run a test; return what ends the run: Ctrl-C, pytest.exit() or an internal error."""
        try:
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=nextitem)
        except BaseException as error:
            return error
        return None

    def _tell(self, error: BaseException) -> None:
        self._parent.tell("raised", *describe(error))

    def end(self) -> None:
        """Tear down what is still set up, and tell what only the end knows."""
        try:
            if self._session._setupstate.stack:
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
