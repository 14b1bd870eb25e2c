"""Trying modules in other processes: in new interpreters, and in forks of this one.

Where a process can fork, a tree of processes does it (:mod:`.process_tree`).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Collection, Sequence
from contextlib import closing
from typing import IO, Any, Final

from pytest_import_isolation.cycles.answers import Answer, answers_in, answers_of, json_of, request_of
from pytest_import_isolation.cycles.circles import Attempt, BrokenModule
from pytest_import_isolation.cycles.process_tree import Forked, Pipes, Shared, serve
from pytest_import_isolation.cycles.trials import Hearing, attempt
from pytest_import_isolation.machinery.code_cache import CODE, is_monitored
from pytest_import_isolation.machinery.paths import working_directory
from pytest_import_isolation.machinery.platform import has_fork
from pytest_import_isolation.machinery.threads import runs_native_threads
from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.watching.executed_modules import EXECUTED
from pytest_import_isolation.window.open_windows import open_windows

_CHILD: Final = """
import os, sys
sys.path[:] = eval(sys.argv[1])
answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)  # what the modules print
from pytest_import_isolation.cycles.interpreters import answer_parent
answer_parent(answer)
"""
#: What it is asked comes through the standard input, which the modules must find empty.
_ROOT: Final = """
import os, sys
sys.path[:] = eval(sys.argv[1])
pipes = os.dup(0), os.dup(1)
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
os.dup2(2, 1)
from pytest_import_isolation.cycles.interpreters import serve_parent
serve_parent(*pipes)
"""


def _command(program: str) -> list[str]:
    path = [working_directory() if item == "" else item for item in sys.path if issubclass(type(item), str)]
    return [sys.executable, "-c", program, repr(path)]


def attempt_in_fresh_interpreter(entry: str, known: Collection[str]) -> Attempt:
    """Do as :func:`attempt` in a new process, with this one's ``sys.path`` and environment."""
    import subprocess

    done = subprocess.run(
        _command(_CHILD),
        input=json.dumps([entry, sorted(known)]),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    try:
        answer = answers_of(done.stdout)[0]
    except ValueError:
        return _ended(entry, done.returncode)
    return answer.attempt or _ended(entry, done.returncode)


def answer_parent(answer: Any) -> None:
    """Do what :func:`attempt_in_fresh_interpreter` asked for."""
    entry, known = json.load(sys.stdin)
    # Modules that this package needs are none of the attempt's; they are as the first import left them.
    answer.write(json_of([Answer(attempt(entry, set(known)))]))
    answer.flush()


def _ended(entry: str, status: int | None) -> Attempt:
    reason = f"a fresh interpreter that imports it ends with status {status}"
    return Attempt(entry, problem=BrokenModule(entry, reason, None, None))


def serve_parent(requests: int, answers: int) -> None:
    """Be the root of a tree in an interpreter that has imported nothing else."""
    with closing(Pipes(os.fdopen(requests, "rb"), os.fdopen(answers, "wb"))) as pipes:
        names, shares = json.loads(pipes.requests.readline())
        known = frozenset(names)
        # Else the other end is told by the silence.
        if not runs_native_threads():
            CODE.begin(lambda name, file: name in known)
            serve(Shared(known, known.__contains__, False, shares, Hearing()), pipes)


class FreshInterpreters:
    """Tries modules in new interpreters, as :func:`attempt_in_fresh_interpreter` does.

    Where it can, it starts one interpreter, which forks for each attempt.

    Args:
        known: the modules of the package.
        shares: whether foreign modules may be executed once for all attempts.
    """

    def __init__(self, known: Collection[str], *, shares: bool) -> None:
        self._known = known
        self._shares = shares
        self._process: Any = None
        self._may_fork = has_fork()

    def attempt(self, entry: str, *, is_alone: bool) -> Attempt:
        """Try a module; see :func:`.request_of`."""
        if self._may_fork:
            if self._process is None:
                self._start()
            for done, _ in self._tree.ask([entry], is_alone=is_alone):
                return done
            self.close()
            self._may_fork = False
        return attempt_in_fresh_interpreter(entry, self._known)

    def _start(self) -> None:
        import subprocess

        process: Any = subprocess.Popen(
            _command(_ROOT),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._process = process
        self._tree = _Tree(process.pid, process.stdin, process.stdout)
        with contextlib.suppress(OSError):
            process.stdin.write(json.dumps([sorted(self._known), self._shares]).encode() + b"\n")

    def close(self) -> None:
        """End the processes."""
        process, self._process = self._process, None
        if process is not None:
            self._tree.close()
            with process:  # waits for it
                pass


class _Tree:
    """A tree of processes, as the one sees it that asks.

    Args:
        root: the process at the root, which leads a process group.
        requests: where it is asked.
        answers: where it answers.
    """

    def __init__(self, root: int, requests: IO[bytes], answers: IO[bytes]) -> None:
        self._root = root
        self._pipes = Pipes(requests, answers)
        # What happened when packages were imported on which processes stand.
        self._bases: dict[str | None, Attempt] = {}
        self._is_waited_for = False

    def ask(self, names: Sequence[str], *, is_alone: bool) -> list[tuple[Attempt, Answer]]:
        """Let modules be tried; return nothing if the process at the root has ended."""
        requests, answers = self._pipes
        self._is_waited_for = True
        with contextlib.suppress(OSError, ValueError):
            requests.write(request_of(names, is_alone=is_alone))
            requests.flush()
            found = answers_in(answers.readline())
            self._is_waited_for = False
            return [
                (self._attempt_in(answer, name), answer) for answer, name in zip(found, names, strict=False)
            ]
        return []

    def _attempt_in(self, answer: Answer, entry: str) -> Attempt:
        if answer.attempt is None:
            return _ended(entry, answer.status)
        done = self._bases[entry] = answer.attempt.after(self._bases.get(answer.base))
        return done

    def close(self) -> None:
        """End all its processes; the one at the root is still to be waited for."""
        if not self._is_waited_for:
            self._pipes.close()  # which lets it end by itself
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, self._root, os.WEXITED | os.WNOWAIT)
        # Also what modules have started there.
        with contextlib.suppress(OSError):
            os.killpg(self._root, signal.SIGKILL)
        self._pipes.close()


class Forks:
    """Tries modules in forks of this process, for as long as none of them ends the first one.

    Args:
        shared: what they know.
    """

    def __init__(self, shared: Shared) -> None:
        self._tree: _Tree | None = None
        try:
            root = Forked(lambda pipes: _begin(shared, pipes))
        except (OSError, RuntimeError):  # there are too many, or this interpreter must not
            return
        self._root = root
        self._tree = _Tree(root.process, *root.pipes)

    def attempt(self, names: Sequence[str], *, is_alone: bool) -> list[Attempt]:
        """Try modules; see :func:`.request_of`. Nothing is returned if they must be tried elsewhere."""
        told = [] if self._tree is None else self._tree.ask(names, is_alone=is_alone)
        if not told:
            self.close()
        for _, answer in told:
            for stream, text in zip((sys.stdout, sys.stderr), answer.printed, strict=True):
                if text:
                    stream.write(text)
            if answer.status == -signal.SIGINT:
                raise KeyboardInterrupt
        return [done for done, _ in told]

    def close(self) -> None:
        """End the processes."""
        tree, self._tree = self._tree, None
        if tree is not None:
            tree.close()
            self._root.end()


def may_fork_here() -> bool:
    """Tell whether modules can be tried in forks of this process.

    Its other threads would not be there, with all that they hold, and what a debugger, a profiler or
    coverage.py sees there would be lost.
    """
    return (
        has_fork()
        and sys.gettrace() is None
        and sys.getprofile() is None
        and not is_monitored()
        and not runs_native_threads()
    )


def _begin(shared: Shared, pipes: Pipes) -> None:
    os.setpgid(0, 0)
    # Nobody wants to know what is imported here.
    for window in open_windows:
        FINDER.unlisten(window.log)
        EXECUTED.stop()
        CODE.end(window.recurs)
    serve(shared, pipes)
