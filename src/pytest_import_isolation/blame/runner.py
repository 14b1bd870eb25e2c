"""Running parts of the suite, each in a fork of one pytest that is ready, or in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from importlib.metadata import entry_points
from pathlib import Path
from types import TracebackType
from typing import IO, Final

from pytest_import_isolation.blame.requests import HUNG, Answer, Outcome, Request
from pytest_import_isolation.errors import BlameError

#: What runs inside of pytest, the name of its option, and our own plugin.
PLUGIN: Final = "pytest_import_isolation.plugin.partial_run"
OPTION: Final = "--import-isolation-partial-run"
#: Before a request comes, the option says by which files, those of a pipe, they come.
PIPES: Final = "pipes"
#: Exit status of a fork that does not take part: the process has threads.
REFUSED: Final = 98
#: Exit status in the place of that of a run that was ended.
TOO_LONG: Final = 97

_ENTRY_POINT: Final = "pytest_import_isolation"
_TAIL: Final = 12  # lines
#: A part of the suite that takes so many times what the whole took, and at least so many seconds, is ended.
#: After one that did not end, others are expected: a search asks for the same test again and again.
_TIMES: Final = 5
_LEAST: Final = 30.0
_LEAST_AFTER: Final = 10.0


class Runner:
    """Runs parts of a suite.

    Args:
        arguments: those of the user for pytest.
        forks: whether runs may be forks of one process.
    """

    def __init__(self, arguments: Sequence[str], *, forks: bool = True) -> None:
        self._stack = ExitStack()
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="blame-")))
        # The cache of the user's own runs stays as it is.
        self._arguments = [*_plugins(), "-o", f"cache_dir={self._folder / 'cache'}", *arguments]
        self._forks = forks and hasattr(os, "fork") and sys.platform not in ("darwin", "emscripten")
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: IO[bytes] | None = None
        self._statuses: IO[bytes] | None = None
        self.runs = 0
        #: Seconds that the first run took, which is the whole.
        self._whole: float | None = None
        self._least = _LEAST

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        self._stack.close()

    def run(self, request: Request) -> Answer:
        """Run a part of the suite.

        Args:
            request: what to run; the files that it names for answer and output are chosen here.

        Raises:
            BlameError: pytest did not come to run anything.
        """
        self.runs += 1
        answer, log = self._folder / f"{self.runs}.json", self._folder / f"{self.runs}.log"
        limit = None if self._whole is None else max(self._least, _TIMES * self._whole)
        request = request._replace(answer=str(answer), log=str(log), limit=limit)
        begun = time.monotonic()
        status = self._forked(request) if self._forks else None
        if status is None:
            self._forks = False
            status = self._alone(request)
        if self._whole is None:
            self._whole = time.monotonic() - begun
        if status == TOO_LONG:
            self._least = min(self._least, _LEAST_AFTER)
            return Answer(Outcome(HUNG))
        if not answer.exists():
            lines = (
                log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
            )
            raise BlameError(f"blame: pytest ended with status {status} and ran nothing" + _end(lines))
        return Answer.load(answer.read_text(encoding="utf-8"))

    def read(self, name: str) -> str:
        """Return the text of a file that a run wrote into the folder of this runner, empty if it did not."""
        file = self._folder / name
        return file.read_text(encoding="utf-8") if file.exists() else ""

    def path(self, name: str) -> str:
        """Return where a run is to write a file."""
        return str(self._folder / name)

    def _alone(self, request: Request) -> int:
        file = Path(f"{request.answer}.request")
        file.write_text(request.dump(), encoding="utf-8")
        with open(request.log, "wb") as log:
            try:
                return subprocess.run(
                    [sys.executable, "-m", "pytest", f"{OPTION}={file}", *self._arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    check=False,
                    timeout=request.limit,
                ).returncode
            except subprocess.TimeoutExpired:
                return TOO_LONG

    def _forked(self, request: Request) -> int | None:
        """Run it in a fork; return None if that cannot be."""
        try:
            if self._process is None:
                self._start()
            assert self._requests is not None
            assert self._statuses is not None
            self._requests.write(request.dump().encode() + b"\n")
            self._requests.flush()
            line = self._statuses.readline()
        except OSError:
            line = b""
        status = int(line) if line.strip() else REFUSED
        if status != REFUSED:
            return status
        self._stop()
        return None

    def _start(self) -> None:
        requests_end, requests = os.pipe()
        statuses, statuses_end = os.pipe()
        self._requests, self._statuses = os.fdopen(requests, "wb"), os.fdopen(statuses, "rb")
        try:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "pytest",
                    f"{OPTION}={PIPES}:{requests_end}:{statuses_end}",
                    *self._arguments,
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(requests_end, statuses_end),
            )
        finally:
            os.close(requests_end)
            os.close(statuses_end)

    def _stop(self) -> None:
        for pipe in (self._requests, self._statuses):
            if pipe is not None:
                with suppress(OSError):  # the process is gone, and what was not sent with it
                    pipe.close()
        if self._process is not None:
            self._process.wait()
        self._process = self._requests = self._statuses = None


def _plugins() -> list[str]:
    installed = entry_points(group="pytest11").names
    ours = _ENTRY_POINT if _ENTRY_POINT in installed else f"{_ENTRY_POINT}.plugin"
    return ["-p", PLUGIN, "-p", ours]


def _end(lines: Sequence[str]) -> str:
    return "".join(f"\n    {line}" for line in lines[-_TAIL:])
