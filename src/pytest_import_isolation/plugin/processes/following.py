"""Following a child: its messages are handled until the test is over, whatever happens meanwhile."""

from __future__ import annotations

import signal
from typing import Any, Final

import pytest

from pytest_import_isolation.plugin.processes.errors import interrupted_in, raised_again
from pytest_import_isolation.plugin.processes.events import Replay
from pytest_import_isolation.plugin.processes.gathering import ParentState
from pytest_import_isolation.plugin.processes.modes import COLD, Mode
from pytest_import_isolation.processes.child import Child
from pytest_import_isolation.processes.interrupts import HeldInterrupt

#: The test is over, and the child waits for the next one.
WAITS: Final = "waits"
#: The child has said all, what it knows at its end too, and leaves.
DONE: Final = "done"
#: The child ended before it said so.
GONE: Final = "gone"

#: How long a child has to say that Ctrl-C interrupted it too: it was typed for both processes.
_SHORTLY: Final = 1.0


class Followed:
    """A test that runs in a child.

    Args:
        config: the run.
        state: takes what the child knows at its end.
        child: the process.
        item: the test.
        hook: calls the hooks for it.
        mode: how it runs.
    """

    def __init__(
        self,
        config: pytest.Config,
        state: ParentState,
        child: Child,
        item: pytest.Item,
        hook: Any,
        mode: Mode,
    ) -> None:
        self._state = state
        self._child = child
        self._item = item
        self._seconds = mode.timeout
        child.limit(None if mode.kind == COLD else mode.timeout)
        #: Lets the plugins see the events.
        self.replay = Replay(config, item, hook)
        #: What ends the run: Ctrl-C, pytest.exit(), or the error of a plugin that saw an event.
        self.error: BaseException | None = None
        #: Why a cold process could not find the test, None if it could.
        self.uncollected: str | None = None
        self._was_told = False

    def follow(self, interrupt: HeldInterrupt) -> str:
        """Handle messages until the test is over.

        Args:
            interrupt: keeps Ctrl-C back; it is let through to the hooks that a message calls.

        Returns:
            :data:`WAITS`, :data:`DONE` or :data:`GONE`.
        """
        while True:
            try:
                message = self._child.receive(interrupt.check)
                if message is None:
                    return GONE
                interrupt.let_through()
                over = self._handle(*message)
                interrupt.hold()
                self._child.handled()
                if over is not None:
                    return over
            except BaseException as error:
                interrupt.hold()
                self._stop(error)

    def _handle(self, kind: str, *values: Any) -> str | None:
        if kind == WAITS:
            return kind
        if kind == DONE:
            self._state.add(values[0])
            return kind
        if kind == "raised":
            self._was_told = True
            self._child.limit(None)
            told = raised_again(*values)
            if self.error is None or (
                isinstance(self.error, KeyboardInterrupt) and isinstance(told, KeyboardInterrupt)
            ):
                self.error = told  # it says where
        elif kind == "begun":  # what a cold process does before is not the test's
            self._child.limit(self._seconds)
        elif kind == "uncollected":
            self.uncollected = values[0]
        elif self.error is None or self._was_told:
            self.replay.handle(kind, values)
        return None

    def _stop(self, error: BaseException) -> None:
        """Let the child tear down and end."""
        if self.error is not None:
            self._child.send_signal(signal.SIGKILL)
            return
        self.error = interrupted_in(self._item) if isinstance(error, KeyboardInterrupt) else error
        if isinstance(error, KeyboardInterrupt):
            self._child.interrupt(_SHORTLY)
        else:
            self._child.handled()  # it may wait for that
            self._child.interrupt(0)


def follow_end(child: Child, state: ParentState, *, is_interrupted: bool = False) -> None:
    """Let a child that has nothing more to do end, and take what it knows.

    Args:
        child: the process; it was told to end.
        state: takes what it knows.
        is_interrupted: whether Ctrl-C was typed, which it may not have heard.
    """
    if is_interrupted:
        child.interrupt(_SHORTLY)
    with HeldInterrupt() as interrupt:
        while True:
            try:
                message = child.receive(interrupt.check)
                if message is None or message[0] == DONE:
                    if message is not None:
                        state.add(message[1])
                    child.end()
                    return
                if message[0] == WAITS:
                    child.command("end")
                elif message[0] == "raised":
                    child.limit(None)
                child.handled()
            except KeyboardInterrupt:
                child.send_signal(signal.SIGKILL)
