"""Processes that import modules first and say what happened: what a package loads is executed once for many.

The process at the root forks others. Some of them stand on a package: they have imported it, and fork in
their turn for modules below it, since importing such a module imports the package before. The others are
workers.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import os
import signal
import sys
import warnings
from collections.abc import Callable, Collection, Iterable
from typing import IO, Any, Final, NoReturn

from pytest_import_isolation.cycles.answers import READY, Answer, line_of, told_in
from pytest_import_isolation.cycles.circles import Attempt
from pytest_import_isolation.cycles.imported_state import ImportedState
from pytest_import_isolation.cycles.repeated_imports import RepeatedImports
from pytest_import_isolation.cycles.trials import Hearing, attempt
from pytest_import_isolation.machinery.code_cache import CODE
from pytest_import_isolation.machinery.modules import ancestors
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.platform import fork
from pytest_import_isolation.machinery.threads import runs_native_threads

#: How many processes may stand on packages that one of them forked: each takes two file descriptors.
_MOST_STANDING: Final = 100


class Pipes(NamedTuple):
    """What a process is asked through, and through which it answers."""

    requests: IO[bytes]
    answers: IO[bytes]

    def answer(self, line: bytes) -> None:
        """Give an answer."""
        self.answers.write(line)
        self.answers.flush()

    def close(self) -> None:
        """Close both."""
        for pipe in self:
            with contextlib.suppress(OSError):
                pipe.close()


class Forked:
    """A process that this one forked.

    Args:
        run: what it does; it ends afterwards at once.
    """

    def __init__(self, run: Callable[[Pipes], None]) -> None:
        asked, ask = os.pipe()
        answer, answers = os.pipe()
        # Else it is written twice.
        for stream in (sys.stdout, sys.stderr):
            _flush(stream)
        self.process = fork()
        if self.process == 0:
            _leave_after(lambda: self._begin(run, asked, answers, (ask, answer)))
        os.close(asked)
        os.close(answers)
        self.pipes = Pipes(os.fdopen(ask, "wb"), os.fdopen(answer, "rb"))

    @staticmethod
    def _begin(run: Callable[[Pipes], None], asked: int, answers: int, others: tuple[int, int]) -> None:
        for other in others:
            os.close(other)
        # A collection would write to all that this process shares with the one before, and so copy it.
        gc.freeze()
        run(Pipes(os.fdopen(asked, "rb"), os.fdopen(answers, "wb")))

    def ask(self, request: bytes) -> bytes:
        """Return the answer to a request; nothing if the process ended."""
        with contextlib.suppress(OSError):
            self.pipes.requests.write(request)
            self.pipes.requests.flush()
            return self.pipes.answers.readline()
        return b""

    def forget(self) -> None:
        """Leave it to the process that forked this one."""
        self.pipes.close()

    def end(self) -> int:
        """Let it end, and say how it did."""
        self.pipes.close()
        try:
            return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
        except ChildProcessError:  # somebody else asked for all children
            return 0


def _flush(stream: Any) -> None:
    with contextlib.suppress(Exception):  # a stream that a module put there, or has closed
        stream.flush()


def _leave_after(run: Callable[[], None]) -> NoReturn:
    """End this process when that is done: nothing goes on that the process before does as well."""
    try:
        run()
    except KeyboardInterrupt:
        # As an interpreter ends for it.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BrokenPipeError:
        pass
    finally:
        os._exit(1)


class Shared(NamedTuple):
    """What all processes of a tree know."""

    known: Collection[str]
    #: The modules that leave after each attempt.
    belongs: Callable[[str], bool]
    #: Whether a worker may execute a module twice.
    may_repeat: bool
    #: Whether foreign modules are executed once for all attempts.
    shares: bool
    #: How circles are heard of.
    hearing: Hearing


def serve(shared: Shared, pipes: Pipes) -> None:
    """Be the process at the root, until there are no more requests."""
    if shared.may_repeat:
        RepeatedImports(shared.known).install()
    _Standing(shared, None, pipes).serve()


class _Standing:
    """A process that forks others.

    Args:
        shared: what all know.
        base: the package; None at the root.
        pipes: its own.
    """

    def __init__(self, shared: Shared, base: str | None, pipes: Pipes) -> None:
        self._shared = shared
        self._base = base
        self._pipes = pipes
        self._worker: Forked | None = None
        self._below: dict[str, Forked] = {}
        # The foreign modules that attempts have loaded below, and the files of others.
        self._told: list[str] = []
        self._files: dict[str, str] = {}

    def serve(self) -> None:
        """Answer until there are no more requests."""
        for request in self._pipes.requests:
            self._pipes.answer(self._answer(request))
        for process in self._others():
            process.end()

    def _answer(self, request: bytes) -> bytes:
        names, is_alone = json.loads(request)
        entry = names[0]
        if not is_alone:
            for package in ancestors(entry):
                below = self._below.get(package)
                if below is not None:
                    answer = below.ask(request)
                    if answer:
                        return answer
                    self._below.pop(package).end()
            is_package = any(name.startswith(f"{entry}.") for name in self._shared.known)
            if is_package and len(self._below) < _MOST_STANDING:
                return self._stand_on(entry, request)
        return self._let_work(names)

    def _stand_on(self, entry: str, request: bytes) -> bytes:
        self._learn()
        process = Forked(self._begin_standing)
        answer = self._listen(process.ask(request))
        if answer.startswith(READY):
            self._below[entry] = process
            return answer
        status = process.end()
        return answer or _ended(status)

    def _begin_standing(self, pipes: Pipes) -> None:
        self._forget_others()
        names, _ = json.loads(pipes.requests.readline())
        state = ImportedState(self._shared.belongs, repeats=False)
        answer, done = self._try(names[0])
        is_ready = done.problem is None and not runs_native_threads()
        pipes.answer(line_of([answer], state.new_foreign(), self._files_in(state), is_ready=is_ready))
        if is_ready:
            gc.freeze()
            _Standing(self._shared, names[0], pipes).serve()

    def _try(self, entry: str) -> tuple[Answer, Attempt]:
        with _Printed() as printed:
            done = attempt(entry, self._shared.known, self._shared.hearing)
        return Answer(done, self._base, printed=printed.texts()), done

    def _let_work(self, names: list[str]) -> bytes:
        while True:
            is_new = self._worker is None
            if is_new:
                self._learn()
            worker = self._worker = self._worker or Forked(self._begin_working)
            answer = self._listen(worker.ask(json.dumps(names).encode() + b"\n"))
            if answer.startswith(READY):
                return answer
            status = worker.end()
            self._worker = None
            if answer:
                return answer
            if is_new and len(names) == 1:
                return _ended(status)
            # What it executed before may be what it ended for.
            names = names[:1]

    def _begin_working(self, pipes: Pipes) -> None:
        self._forget_others()
        state = ImportedState(self._shared.belongs, repeats=self._shared.may_repeat)
        for request in pipes.requests:
            answers: list[Answer] = []
            foreign: list[str] = []
            files: dict[str, str] = {}
            is_ready = True
            for entry in json.loads(request):
                answers.append(self._try(entry)[0])
                foreign += state.new_foreign()
                files.update(self._files_in(state))
                is_ready = self._shared.may_repeat and state.restore()
                if not is_ready:
                    break
            pipes.answer(line_of(answers, foreign, files, is_ready=is_ready))
            if not is_ready:
                return

    def _files_in(self, state: ImportedState) -> dict[str, str]:
        # Who executes modules again and again has their code itself.
        return {} if self._shared.may_repeat else state.new_files()

    def _listen(self, answer: bytes) -> bytes:
        """Return an answer, and take note of the modules that it tells of."""
        line, told = told_in(answer)
        if told is not None:
            foreign, files = told
            self._told += foreign
            self._files.update(files)
        return line

    def _learn(self) -> None:
        """Do once for the next attempts what others have done before them.

        The code of modules that they have loaded is read, and foreign modules are imported. Another process
        does the latter, and goes on in the place of this one if nothing else has come of it.
        """
        for name, path in self._files.items():
            if name not in sys.modules:
                CODE.read_ahead(name, path)
        self._files.clear()
        names = [name for name in dict.fromkeys(self._told) if name not in sys.modules]
        self._told.clear()
        if not names or not self._shared.shares:
            return
        if self._worker is not None:
            self._worker.end()
            self._worker = None
        done, tell = os.pipe()
        process = fork()
        if process == 0:
            os.close(done)
            if not _import_all(names, self._shared.belongs):
                os._exit(1)
            os.write(tell, READY)
            os.close(tell)
            gc.freeze()
            return
        os.close(tell)
        is_replaced = os.read(done, 1) == READY
        os.close(done)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(process, 0)
        if is_replaced:
            os._exit(0)

    def _forget_others(self) -> None:
        """Let a new process not keep open what is its parent's."""
        self._pipes.close()
        for process in self._others():
            process.forget()

    def _others(self) -> list[Forked]:
        return [*self._below.values(), *([self._worker] if self._worker else ())]


def _ended(status: int) -> bytes:
    return line_of([Answer(None, status=status)], (), {}, is_ready=False)


def _import_all(names: Iterable[str], belongs: Callable[[str], bool]) -> bool:
    """Import foreign modules; tell whether nothing else has come of it."""
    before = [name for name in sys.modules if belongs(name)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            try:
                importlib.import_module(name)
            except ImportError:  # another module has put it there
                continue
            except BaseException:  # it needs what the attempt had prepared
                return False
    return before == [name for name in sys.modules if belongs(name)] and not runs_native_threads()


class _Printed:
    """Notes what is printed, where no file takes it: the memory of this process is not that of the caller."""

    def __enter__(self) -> _Printed:
        self._streams = [(stream, _text_in(stream)) for stream in (sys.stdout, sys.stderr)]
        return self

    def __exit__(self, *_: object) -> None:
        for stream, _before in self._streams:
            _flush(stream)

    def texts(self) -> tuple[str, str]:
        out, err = (
            "" if before is None else (_text_in(stream) or "")[len(before) :]
            for stream, before in self._streams
        )
        return (out, err if self._streams[0][0] is not self._streams[1][0] else "")


def _text_in(stream: object) -> str | None:
    """Return what was written to a stream in memory; None if it is no such stream."""
    try:
        if isinstance(stream, io.StringIO):
            return stream.getvalue()
        if isinstance(stream, io.TextIOWrapper) and isinstance(stream.buffer, io.BytesIO):
            stream.flush()
            return stream.buffer.getvalue().decode(stream.encoding, "replace")
    except ValueError:  # it is closed
        pass
    return None
