"""Processes in which nothing was imported yet: a server that is clean, and its forks, one for each test."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Any, Final

from pytest_import_isolation.processes.child import Child, Ending, Parent
from pytest_import_isolation.processes.frames import decode, encode
from pytest_import_isolation.processes.garbage import freeze_shared_objects

_HEAD: Final = 4
#: What the server executes; its arguments are the socket, the file for stacks, and the modules to import.
_PROGRAM: Final = """\
import sys
sys.path[:] = {path!r}
from pytest_import_isolation.processes.cold import serve
serve({target!r}, {connection}, {stacks}, {modules!r})
"""


class ColdServer:
    """Starts the server, and asks it for processes. It is a child of this process.

    Args:
        target: ``module:function`` to be called in each process, with its parent, a request and ``stacks``.
        path: ``sys.path`` there.
        modules: what to import once, before all processes.
        stacks: the file to which stacks go.
        folder: the directory in which it starts.
    """

    def __init__(
        self, target: str, path: Sequence[str], modules: Iterable[str], stacks: int, folder: str
    ) -> None:
        own, its = socket.socketpair()
        program = _PROGRAM.format(
            path=list(path), target=target, connection=its.fileno(), stacks=stacks, modules=list(modules)
        )
        with its:
            self._process = subprocess.Popen(
                [sys.executable, *_flags(), "-c", program], cwd=folder, pass_fds=(its.fileno(), stacks)
            )
        self._socket = own

    def start(self, request: object, *, waits: bool) -> Child:
        """Start a process.

        Args:
            request: what the target gets.
            waits: whether the process waits after each message until it was handled.

        Raises:
            OSError: the server is gone, or there are too many processes, for example.
        """
        events_in, events_out = os.pipe()
        commands_in, commands_out = os.pipe()
        message = encode((request, waits))
        try:
            try:
                socket.send_fds(self._socket, [message[:_HEAD]], [events_out, commands_in])
                self._socket.sendall(message[_HEAD:])
            finally:
                os.close(events_out)
                os.close(commands_in)
            process = self._answer()
            if process is None:
                raise ChildProcessError("the process that it would be forked from is gone")
            if process < 0:
                raise OSError(-process, os.strerror(-process))
        except OSError:
            os.close(events_in)
            os.close(commands_out)
            raise
        return _ColdChild(process, events_in, commands_out, self._answer, is_awaited=waits)

    def _answer(self) -> int | None:
        with contextlib.suppress(OSError):
            body = _receive(self._socket)
            if body is not None:
                answer: int = decode(body)
                return answer
        return None

    def stop(self) -> None:
        """End the server."""
        self._socket.close()
        self._process.wait()


class _ColdChild(Child):
    """A child of the server, which knows how it ended."""

    def __init__(
        self, process: int, events: int, commands: int, ask: Callable[[], int | None], *, is_awaited: bool
    ) -> None:
        super().__init__(process, events, commands, is_awaited=is_awaited)
        self._ask = ask

    def _is_gone(self) -> bool:
        return self._is_over

    def end(self) -> Ending:
        os.close(self._commands)
        os.close(self._events)
        self._status = self._ask()
        self._is_over = True
        return Ending(self._status, bool(self._sent), tuple(self._sent))


def _flags() -> list[str]:
    """Return the options with which this interpreter was started."""
    private: Any = subprocess
    try:
        return list(private._args_from_interpreter_flags())
    except AttributeError:
        return []


def _receive(connection: socket.socket, head: bytes = b"") -> bytes | None:
    while len(head) < _HEAD:
        part = connection.recv(_HEAD - len(head))
        if not part:
            return None
        head += part
    body = bytearray()
    size = int.from_bytes(head, "big")
    while len(body) < size:
        part = connection.recv(size - len(body))
        if not part:
            return None
        body += part
    return bytes(body)


def serve(target: str, connection: int, stacks: int, modules: Sequence[str]) -> None:
    """Be the server: fork for each request, and tell how the process ended."""
    # Ctrl-C is typed for the processes of tests too; the server ends with the process that started it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    module, _, name = target.partition(":")
    run = getattr(import_module(module), name)
    for each in modules:
        with contextlib.suppress(ImportError):  # the process of a test will say so
            import_module(each)
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=connection) as asked:
        while True:
            head, pipes, *_ = socket.recv_fds(asked, _HEAD, 2)
            body = _receive(asked, head) if head else None
            if body is None:
                return
            try:
                process = os.fork()
            except OSError as error:  # there are too many
                process = -(error.errno or errno.EAGAIN)
            if process == 0:
                freeze_shared_objects()
                signal.signal(signal.SIGINT, signal.default_int_handler)
                asked.close()
                request, waits = decode(body)
                parent = Parent(*pipes, waits=waits)
                parent.leave_after(lambda: run(parent, request, stacks))  # noqa: B023 - it is called now
            for pipe in pipes:
                os.close(pipe)
            asked.sendall(encode(process))
            if process > 0:
                asked.sendall(encode(os.waitpid(process, 0)[1]))
