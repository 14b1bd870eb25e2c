"""Ctrl-C, kept back where an exception would be lost or would leave a process behind."""

from __future__ import annotations

import sys
from signal import SIGINT
from typing import Any

try:
    # Those of signal try to make a constant of an enumeration of each function that they take and return.
    from _signal import SIG_IGN, getsignal, signal  # type: ignore[import-not-found]
except ImportError:  # another implementation of Python
    from signal import SIG_IGN, getsignal, signal


class HeldInterrupt:
    """Keeps Ctrl-C back while a child is started, followed and ended. The second one in a row gets through.

    Python prints an exception that comes up in the functions that it calls at a fork, and goes on. After a
    fork an exception would leave a child that nobody waits for, and after a read it would lose what was read.
    """

    def __init__(self) -> None:
        self._before: Any = None
        self._hearing: Any = None
        #: Whether something was heard that is kept back. A child forgets what its parent heard before the
        #: fork, and will handle.
        self.is_noted = False
        self._is_let_through = False

    def __enter__(self) -> HeldInterrupt:
        self.is_noted = self._is_let_through = False
        before = getsignal(SIGINT)
        if callable(before):
            self._before, self._hearing = before, self._hear
            try:
                signal(SIGINT, self._hearing)
            except ValueError:  # in another thread than the main one, which alone hears it
                self._before = None
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Put back what hears Ctrl-C, and let it hear what was kept back."""
        before = self._before
        if before is None:
            return
        if getsignal(SIGINT) is self._hearing:
            signal(SIGINT, before)
        self.check()
        self._before = None

    def _hear(self, number: int, frame: Any) -> None:
        if self._is_let_through or self.is_noted:
            self._before(number, frame)
        else:
            self.is_noted = True

    def check(self) -> None:
        """Let the process hear what was kept back."""
        if self.is_noted:
            self.is_noted = False
            self._before(SIGINT, sys._getframe())

    def let_through(self) -> None:
        """Keep nothing back until :meth:`hold` is called: what is called now may take long."""
        self._is_let_through = True
        self.check()

    def hold(self) -> None:
        """Keep Ctrl-C back again."""
        self._is_let_through = False


def ignore_interrupts() -> None:
    """Ignore Ctrl-C in a process that is about to end."""
    try:  # noqa: SIM105 - what suppress() needs is in pages of memory that nothing else here writes to
        signal(SIGINT, SIG_IGN)
    except ValueError:  # in another thread than the main one, which alone hears it
        pass
