"""How many instructions a process executes outside of the kernel, as valgrind's cachegrind counts them."""

from __future__ import annotations

from pathlib import Path
from shutil import which

from benchmarks.suites import SuiteError

_SUMMARY = "summary: "


def found_valgrind() -> str | None:
    """Return where valgrind is, None if it is not installed."""
    return which("valgrind")


def counting(valgrind: str, written: Path) -> tuple[str, ...]:
    """Return the words to put before a command, so that its instructions are counted.

    Args:
        valgrind: where that is.
        written: the file that gets the count.
    """
    return (valgrind, "--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={written}", "-q")


def counted(written: Path) -> int:
    """Return how many instructions were counted.

    Raises:
        SuiteError: nothing was.
    """
    for line in written.read_text().splitlines():
        if line.startswith(_SUMMARY):
            return int(line.removeprefix(_SUMMARY))
    raise SuiteError("cachegrind wrote no summary")
