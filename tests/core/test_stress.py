"""The two stress runs of the benchmarks, in a size that the tests can afford."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import TAKES_LONG

STRESS = Path(__file__).parents[2] / "benchmarks" / "stress.py"


def _run(*options: str) -> str:
    done = subprocess.run(
        [sys.executable, str(STRESS), *options],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        # Coverage keeps every code object that it saw, and with it what the code was made for.
        env={key: value for key, value in os.environ.items() if not key.startswith("COVERAGE_")},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_threads_that_import_beside_windows_and_worlds_meet_no_error_and_no_second_copy() -> None:
    output = _run("threads", "--seconds=0", "--windows=50", "--modules=200")
    found = re.match(r"(\d+) windows, (\d+) of 200 modules imported, 0 errors", output)
    assert found, output
    assert int(found[1]) > 10
    assert int(found[2]) > 100


@TAKES_LONG
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the resident memory from /proc")
def test_windows_that_execute_a_package_again_and_again_let_go_of_it() -> None:
    # Each of the 100 windows after the hundredth loads about 1 MB; kept, they would be far beyond the limit.
    output = _run("memory", "--windows=200")
    assert "200 windows of 30 modules" in output
