"""Words for the end of a child that did not say that it was done, and what faulthandler wrote of it."""

from __future__ import annotations

import os
import signal
from typing import Final

from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.regexes import regex
from pytest_import_isolation.processes.child import CLOSED, GRACE, Ending

#: What pytest-timeout prints before its thread ends the process.
_PYTEST_TIMEOUT: Final = regex(r"\+ Timeout \+")
UNCOLLECTED: Final = "a cold process collected the file of this test and did not find the test"
_FRAME: Final = regex(r'  File "(?P<file>[^"]+)", line (?P<line>\d+) in ')
#: A frame of pytest, of pluggy, or of this package.
_RUNNER: Final = regex(r'  File "[^"]*[/\\](_pytest|pluggy|pytest_import_isolation)[/\\]')
_OWN_FOLDER: Final = f"{os.sep}pytest_import_isolation{os.sep}"
#: More of it is no stack that somebody reads.
_MOST: Final = 100_000


class Place(NamedTuple):
    """The statement that was executed when a process crashed."""

    file: str
    line: int


def words_for(ending: Ending, phase: str, seconds: float | None, printed: str) -> str:
    """Return a sentence on what ended the process of a test.

    Args:
        ending: how it ended.
        phase: of the test.
        seconds: how many it was allowed.
        printed: what its terminal got.
    """
    where = f"in its {phase}"
    if ending.timed_out:
        how = f"it took longer than {seconds:g} s {where}, and was ended by SIGABRT"
        if signal.SIGKILL in ending.sent:
            how += f" and, {GRACE:g} s later, SIGKILL"
        return f"the test timed out: {how}"
    if ending.signal is not None:
        return f"the process of this test died {where} by {_name_of(ending.signal)}"
    if ending.code == 1 and _PYTEST_TIMEOUT.search(printed):
        return f"pytest-timeout ended the process of this test {where} (timeout_method=thread does that)"
    if ending.code == CLOSED:
        return (
            f"the process of this test ended {where} with exit status {CLOSED}, which says that the test "
            "closed the pipe to the process that runs pytest, as os.closerange(3, 256) does"
        )
    if ending.code is not None:
        return (
            f"the process of this test ended {where} with exit status {ending.code}, as "
            f"os._exit({ending.code}) does"
        )
    return f"the process of this test ended {where}, and another function took its exit status"


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class StacksFile:
    """The file to which children write their stacks when they crash; it has no name."""

    def __init__(self) -> None:
        from tempfile import TemporaryFile  # most runs start no process

        self._file = TemporaryFile(buffering=0)  # noqa: SIM115 - it is open as long as children run
        #: Its number, for a child.
        self.descriptor = self._file.fileno()

    def take(self) -> str:
        """Return what a child wrote, and empty the file."""
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        text = os.read(self.descriptor, _MOST)
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        os.ftruncate(self.descriptor, 0)
        return _without_runner(text.decode("utf-8", "replace").strip())

    def close(self) -> None:
        """Close it."""
        self._file.close()


def _without_runner(stacks: str) -> str:
    """Return stacks without what called the test, as pytest shows a traceback."""
    lines = stacks.splitlines()
    ours = next((number for number, line in enumerate(lines) if _OWN_FOLDER in line), None)
    if ours is None:
        return stacks
    first = ours
    while first and _RUNNER.match(lines[first - 1]):
        first -= 1
    last = ours
    while last + 1 < len(lines) and lines[last + 1].startswith("  File "):
        last += 1
    return "\n".join((*lines[:first], *lines[last + 1 :])).strip()


def place_in(stacks: str, files: tuple[str, ...]) -> Place | None:
    """Return the innermost frame of the crashed thread that is in one of some files.

    Args:
        stacks: what faulthandler wrote.
        files: those of the test, the most telling first.
    """
    _, _, current = stacks.rpartition("Current thread ")
    frames = [Place(found["file"], int(found["line"])) for found in _FRAME.finditer(current)]
    for file in files:
        for frame in frames:
            if frame.file == file:
                return frame
    return None
