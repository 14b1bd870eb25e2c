"""A forked process, as its parent sees it: what it tells, and how it ended."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable
from typing import Any, Final, NoReturn

from pytest_import_isolation.machinery import platform
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.processes.frames import Frames, decode, encode, read_frame, read_some, write_all
from pytest_import_isolation.processes.garbage import freeze_shared_objects

try:
    # coverage.py may put another function in the place of os._exit, which writes a data file.
    from posix import _exit
except ImportError:  # not on this system
    from os import _exit

#: How long a look at the pipe waits before it asks whether the process is still there. Another process, which
#: the child started, may hold the pipe open.
_LOOK: Final = 0.2
#: How long a short test may take: its parent sleeps until it is over. What a process writes while another one
#: that shares the page runs is copied, and most tests have told all by then.
_REST: Final = 0.02
#: So many bytes any pipe takes while nobody reads it.
_FITS: Final = 4096
#: The exit status of a process whose test closed the pipe to its parent: no other way is left to say so.
CLOSED: Final = 113
#: How long a process has to write its stacks after SIGABRT.
GRACE: Final = 2.0


class Ending(NamedTuple):
    """How a process ended."""

    #: What :func:`os.waitpid` returned, None if somebody else asked before.
    status: int | None
    #: Whether it was ended because it took too long.
    timed_out: bool = False
    #: The signals that were sent to it.
    sent: tuple[int, ...] = ()

    @property
    def signal(self) -> int | None:
        """The number of the signal that ended it."""
        if self.status is None or not os.WIFSIGNALED(self.status):
            return None
        return os.WTERMSIG(self.status)

    @property
    def code(self) -> int | None:
        """Its exit status."""
        if self.status is None or not os.WIFEXITED(self.status):
            return None
        return os.WEXITSTATUS(self.status)


class Parent:
    """The parent of this process.

    Args:
        events: the pipe to it.
        commands: the pipe from it.
        waits: whether to wait after each message until it was read and handled.
        bell: the pipe that wakes it, which the end of this process does too; -1 if each message wakes it.
    """

    def __init__(self, events: int, commands: int, *, waits: bool, bell: int = -1) -> None:
        self._events = events
        self._commands = commands
        self._waits = waits
        self._bell = bell
        #: The number of this process.
        self.process = os.getpid()
        self._unsent: list[tuple[object, ...]] = []
        self._unread = 0
        found = {pipe: os.fstat(pipe) for pipe in (events, commands, bell) if pipe != -1}
        # What tells each from all other open files.
        self._known = {pipe: (its.st_dev, its.st_ino) for pipe, its in found.items()}

    def tell(self, *message: object) -> None:
        """Send a message; a process that the child forked in its turn says nothing."""
        if os.getpid() != self.process:
            return
        self._unsent.append(message)
        data = encode(self._unsent)
        self._unsent.clear()
        self._leave_if_closed(self._events)
        self._unread += len(data)
        if self._unread > _FITS:
            self._ring()
        written = os.write(self._events, data)
        if written < len(data):
            write_all(self._events, data[written:])
        if self._waits:
            self._leave_if_closed(self._commands)
            os.read(self._commands, 1)

    def _ring(self) -> None:
        """Wake the parent."""
        self._unread = 0
        if self._bell != -1:
            self._leave_if_closed(self._bell)
            with contextlib.suppress(BlockingIOError):  # it was rung so often that nothing more fits
                os.write(self._bell, b".")

    def tell_soon(self, *message: object) -> None:
        """Send a message together with the next one: each wakes the parent, which is asked for memory then.

        If this process ends before, the message is lost.
        """
        if self._waits:
            self.tell(*message)
        else:
            self._unsent.append(message)

    def _leave_if_closed(self, pipe: int) -> None:
        """End this process at once if a test closed a pipe; its number may belong to a file of the test."""
        try:
            found = os.fstat(pipe)
            if (found.st_dev, found.st_ino) == self._known[pipe]:
                return
        except OSError:  # its number belongs to none now
            pass
        _exit(CLOSED)

    def leave_after(self, run: Callable[..., object], *given: object) -> NoReturn:
        """Do what this process is for, and end it at once: nothing goes on that the parent does as well.

        Nothing is called that is registered with :mod:`atexit`.
        """
        code = 0
        try:
            run(*given)
        except BrokenPipeError:  # the parent is gone
            code = 1
        except KeyboardInterrupt:  # the parent hears it too
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        except BaseException:
            self.leave_with_traceback()
        finally:
            _exit(code)

    def leave_with_traceback(self) -> NoReturn:
        """End this process at once for the error that is being handled."""
        import traceback

        try:
            traceback.print_exc()
        finally:
            _exit(1)

    def ask(self) -> Any:
        """Wait for the next command; None means that there are no more, and none for its own forks."""
        if os.getpid() != self.process:
            return None
        self._ring()
        self._leave_if_closed(self._commands)
        return read_frame(self._commands)


class Child:
    """A process that was started by this one, and is waited for.

    Args:
        process: its number.
        events: the pipe from it.
        commands: the pipe to it.
        is_awaited: whether it waits after each message.
        is_own: false if it is the child of another process, which reports its end.
        bell: the pipe that it rings if it must be heard, and at its end; -1 if it is heard at each message.
    """

    def __init__(
        self,
        process: int,
        events: int,
        commands: int,
        *,
        is_awaited: bool,
        is_own: bool = True,
        bell: int = -1,
    ) -> None:
        #: Its number.
        self.process = process
        self._events = events
        self._commands = commands
        self._is_awaited = is_awaited
        self._is_own = is_own
        self._frames = Frames()
        # What was received, the next message last.
        self._messages: list[tuple[Any, ...]] = []
        self._bell = bell
        # Whether this process sleeps until the bell rings.
        self._rests = bell != -1
        self._poll = select.poll()
        self._poll.register(bell if self._rests else events, select.POLLIN)
        # Signals that will be sent, each with the moment, the next one first.
        self._plan: list[tuple[float, int]] = []
        self._sent: list[int] = []
        self._status: int | None = None
        self._is_over = False

    def limit(self, seconds: float | None) -> None:
        """Let what comes next take so many seconds; None for any time."""
        self._plan = []
        if seconds is not None:
            end = time.monotonic() + seconds
            self._plan = [(end, signal.SIGABRT), (end + GRACE, signal.SIGKILL)]

    def interrupt(self, seconds: float) -> None:
        """Send what Ctrl-C sends, in so many seconds unless :meth:`limit` is called before."""
        self._plan = [(time.monotonic() + seconds, signal.SIGINT)]

    def command(self, *command: object) -> None:
        """Send a command; a process that is gone does not miss it."""
        if self._bell != -1 and not self._rests:
            with contextlib.suppress(BlockingIOError):
                os.read(self._bell, _FITS)
            self._look_at(self._bell, self._events)
        with contextlib.suppress(OSError):
            write_all(self._commands, encode(command))

    def receive(self, check: Callable[[], None]) -> tuple[Any, ...] | None:
        """Return the next message, or None if the process ended without one.

        A process that takes too long is ended.

        Args:
            check: is called where an exception loses nothing.
        """
        while True:
            check()
            if self._messages:
                return self._messages.pop()
            frame = self._frames.next()
            if frame is not None:
                self._messages = decode(frame)[::-1]
                continue
            if self._rests:
                self._poll.poll(min(_REST, self._send_planned()) * 1000)
                self._look_at(self._events, self._bell)
            if not self._poll.poll(self._send_planned() * 1000):
                # What it wrote last is read before its end counts.
                if self._is_gone() and not self._poll.poll(0):
                    return None
                continue
            part = read_some(self._events)
            if not part:
                return None
            self._frames.add(part)

    def _look_at(self, pipe: int, other: int) -> None:
        self._poll.unregister(other)
        self._poll.register(pipe, select.POLLIN)
        self._rests = pipe == self._bell

    def handled(self) -> None:
        """Let a process go on that waits until its message was handled."""
        if self._is_awaited:
            with contextlib.suppress(OSError):
                os.write(self._commands, b".")

    def send_signal(self, number: int) -> None:
        """Send a signal."""
        if number == signal.SIGABRT:
            _forbid_core(self.process)
        if not self._is_over:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process, number)

    def _send_planned(self) -> float:
        """Send the signals whose moment has come; return how many seconds may pass until the next look."""
        now = time.monotonic()
        while self._plan and self._plan[0][0] <= now:
            _, number = self._plan.pop(0)
            self.send_signal(number)
            if number != signal.SIGINT:
                self._sent.append(number)
        return min(_LOOK, self._plan[0][0] - now) if self._plan else _LOOK

    def _is_gone(self) -> bool:
        if self._is_over or not self._is_own:
            return self._is_over
        try:
            process, status = os.waitpid(self.process, os.WNOHANG)
        except ChildProcessError:
            self._is_over = True
        else:
            if process:
                self._is_over, self._status = True, status
        return self._is_over

    def end(self) -> Ending:
        """Wait for the end of the process, close the pipes, and say how it ended."""
        if self._commands != -1:
            os.close(self._commands)
        try:
            self._wait_for_end()
        except BaseException:  # Ctrl-C, since it does not end
            self.send_signal(signal.SIGKILL)
            self._wait_for_end()
            raise
        finally:
            os.close(self._events)
            if self._bell != -1:
                os.close(self._bell)
        return Ending(self._status, bool(self._sent), tuple(self._sent))

    def _wait_for_end(self) -> None:
        while self._is_own and not self._is_over:
            if not self._plan:
                self._wait()
            elif not self._is_gone():
                time.sleep(min(0.01, self._send_planned()))

    def _wait(self) -> None:
        try:
            _, self._status = os.waitpid(self.process, 0)
        except ChildProcessError:  # somebody else asked for all children
            self._status = None
        self._is_over = True


def _forbid_core(process: int) -> None:
    """Let the signal that is about to be sent leave no file."""
    try:
        import resource

        resource.prlimit(process, resource.RLIMIT_CORE, (0, 0))
    except (ImportError, AttributeError, OSError, ValueError):
        return


class NotStartedError(Exception):
    """There is no process for a test.

    Args:
        what: the function that failed.
        error: what it raised.
    """

    def __init__(self, what: str, error: OSError) -> None:
        super().__init__(f"no process could be started for this test: {what}: {error}")


class Fork:
    """What is ready to be a child of this process.

    All that the child needs is made before it is: what a process writes to after a fork is copied.

    Args:
        commands: whether it will be told what to do next.
        waits: whether it waits after each message until it was handled.
    """

    def __init__(self, *, commands: bool, waits: bool) -> None:
        self._waits = waits
        self._commands = self._bell = commands_in = bell = -1
        # The ends of the pipes that are this process's, and those that are the child's.
        self._own: list[int] = []
        self._its: list[int] = []
        try:
            self._events, events = self._note(*os.pipe())
            if commands or waits:
                commands_in, self._commands = self._note(*os.pipe(), is_to_child=True)
            if not waits:
                self._bell, bell = self._note(*os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError as error:
            self._close()
            raise NotStartedError("os.pipe", error) from error
        #: The parent, for the child.
        self.parent = Parent(events, commands_in, waits=waits, bell=bell)

    def _note(self, reads: int, writes: int, *, is_to_child: bool = False) -> tuple[int, int]:
        """Note whose the ends of a pipe are, and return them."""
        self._own.append(writes if is_to_child else reads)
        self._its.append(reads if is_to_child else writes)
        return reads, writes

    def _close(self) -> None:
        for pipe in (*self._own, *self._its):
            os.close(pipe)

    def start(self) -> Child | None:
        """Start a process that goes on where this one is; return the child, or None in the child.

        Raises:
            NotStartedError: there are too many processes, for example.
        """
        try:
            process = platform.fork()
        except OSError as error:
            self._close()
            raise NotStartedError("os.fork", error) from error
        if process == 0:
            # Not in the parent, which goes on to collect: thawed, young garbage would be taken for old.
            freeze_shared_objects()
            self.parent.process = os.getpid()
            try:
                for pipe in self._own:
                    os.close(pipe)
            except OSError:  # a function that Python calls in a child closed it
                pass
            return None
        for pipe in self._its:
            os.close(pipe)
        return Child(process, self._events, self._commands, is_awaited=self._waits, bell=self._bell)
