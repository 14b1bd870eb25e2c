"""Suites that are written for a benchmark, and what a run of pytest costs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import pytest_import_isolation
from benchmarks.generated import IN_PACKAGE, filler, write, write_package

ROOT = Path(__file__).resolve().parent.parent
PLUGIN = "pytest_import_isolation.plugin"
#: Plain pytest gets a plugin without hooks. For the first ``-p`` it goes through all installed distributions,
#: as it does without PYTEST_DISABLE_PLUGIN_AUTOLOAD, and that is no cost of ours.
_NO_HOOKS = "plain_pytest"
PLAIN_PYTEST = ("-p", _NO_HOOKS)

TESTS_IN_FILE = 100
_WORDS = ("passed", "failed", "error", "skipped", "xfailed", "xpassed")


class SuiteError(Exception):
    """A run of pytest did not do what it was measured for; one line."""

    def __init__(self, message: str, output: str = "") -> None:
        super().__init__(message)
        #: The end of what the run printed.
        self.output = output


class Cost(NamedTuple):
    """What one run took, in seconds."""

    #: User and system time of the process and of all that it waited for.
    cpu: float
    wall: float
    #: Numbers of tests by word.
    outcomes: Mapping[str, int]


@dataclass(frozen=True)
class Plan:
    """How to measure."""

    #: ``full``: for RESULTS.md. ``check``: what the bounds are about. ``small``: to see that it works.
    size: Literal["full", "check", "small"]
    #: Where suites and packages are written.
    workshop: Workshop
    #: How many rounds, if not as many as each benchmark finds right.
    rounds: int | None = None
    #: Multiplies the rounds that each benchmark finds right.
    patience: int = 1
    #: For the big suite: a checkout, what to give to its pytest, and the interpreter that has what it needs.
    checkout: Path | None = None
    arguments: tuple[str, ...] = ()
    python: str = sys.executable

    def rounds_or(self, usual: int) -> int:
        """Return the number of rounds, which is ``usual`` unless told otherwise."""
        return self.rounds or (1 if self.size == "small" else usual * self.patience)


class Workshop:
    """A temporary folder that benchmarks share, with generated packages in a ``site-packages``."""

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="benchmarks-", ignore_cleanup_errors=True)
        self.root = Path(self._temporary.name)
        self.site_packages = self.root / "site-packages"
        self._fillers = 0
        self._of_pytest = 0
        write(self.site_packages / f"{_NO_HOOKS}.py", '"""A plugin without hooks."""\n')

    def close(self) -> None:
        """Remove the folder."""
        self._temporary.cleanup()

    def environment(self, *folders: Path) -> dict[str, str]:
        """Return environment variables under which generated packages and the plugin are found.

        Args:
            folders: further folders that modules are found in; :data:`ROOT` for the benchmarks themselves.

        Returns:
            This process's variables, without those that change what Python and pytest do.
        """
        unwanted = ("PYTHON", "PYTEST", "COVERAGE", "COV_CORE")
        variables = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
        path = [self.site_packages, *folders]
        source = Path(pytest_import_isolation.__file__).parent.parent
        if source == ROOT / "src":  # not installed
            path.append(source)
        return {
            **variables,
            "PYTHONPATH": os.pathsep.join(map(str, path)),
            "PYTHONHASHSEED": "0",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        }

    def write_fillers(self, modules: int) -> None:
        """Have generated packages of at least so many modules."""
        while self._fillers * IN_PACKAGE < modules:
            write_package(self.site_packages, filler(self._fillers))
            self._fillers += 1

    def write_trivial(self, name: str, tests: int, modules: int, in_file: int = TESTS_IN_FILE) -> Path:
        """Write a suite of empty tests.

        Args:
            name: the name of its folder.
            tests: how many.
            modules: about how many modules are loaded when plain pytest runs them.
            in_file: how many tests are in a file.

        Returns:
            The folder.
        """
        packages = max(0, round((modules - self._loaded_by_pytest()) / IN_PACKAGE))
        self.write_fillers(packages * IN_PACKAGE)
        folder = self.root / name
        imports = "".join(f"import {filler(number)}\n" for number in range(packages))
        write(folder / "pytest.ini", "[pytest]\n")
        write(folder / "conftest.py", imports)
        for start in range(0, tests, in_file):
            numbers = range(start, min(start + in_file, tests))
            write(
                folder / f"test_{start // in_file:03}.py",
                "\n\n".join(f"def test_{number}():\n    pass\n" for number in numbers),
            )
        return folder

    def _loaded_by_pytest(self) -> int:
        if not self._of_pytest:
            folder = self.root / "empty"
            write(folder / "pytest.ini", "[pytest]\n")
            write(folder / "test_one.py", "def test_one():\n    pass\n")
            program = (
                "import sys, pytest; pytest.main(['-qq', '-p', 'no:cacheprovider']); print(len(sys.modules))"
            )
            output = subprocess.run(
                [sys.executable, "-c", program],
                cwd=folder,
                env=self.environment(),
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            ).stdout
            self._of_pytest = int(output.split()[-1])
        return self._of_pytest


def run_pytest(
    folder: Path,
    arguments: Sequence[str],
    env: Mapping[str, str],
    *,
    python: str = sys.executable,
    passed: int | None = None,
    within: Sequence[str] = (),
) -> Cost:
    """Run pytest in a folder.

    Args:
        folder: where.
        arguments: what to give to pytest.
        env: the environment variables.
        python: the interpreter.
        passed: how many tests must pass; if this is None, any outcome is as good, but there must be one.
        within: a program that runs the interpreter, with its arguments.

    Returns:
        What the run took.

    Raises:
        SuiteError: the run ended otherwise than expected.
    """
    command = [*within, python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=dict(env), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        lines = output.read().splitlines()
    outcomes = counted(lines)
    expected = outcomes.get("passed") == passed and process.returncode == 0
    if (passed is not None and not expected) or process.returncode not in (0, 1) or not outcomes:
        ended = lines[-1] if lines else f"status {process.returncode}"
        raise SuiteError(f"its run in {folder.name} went wrong: {ended}", "\n".join(lines[-15:]))
    return Cost(usage.ru_utime + usage.ru_stime, wall, outcomes)


def counted(lines: Iterable[str]) -> dict[str, int]:
    """Return the numbers in pytest's last line, by word."""
    for line in reversed(list(lines)):
        if re.search(r"\d+ (passed|failed|errors?|skipped).* in [\d.]+s", line):
            found = re.findall(r"(\d+) (\w+)", line)
            return {
                word.removesuffix("s"): int(number)
                for number, word in found
                if word.removesuffix("s") in _WORDS
            }
    return {}
