"""What it takes to prove a polluter with ``blame``, beside detect-test-pollution, which bisects all tests."""

from __future__ import annotations

import functools
import json
import re
import resource
import subprocess
import sys
from pathlib import Path
from statistics import median

from benchmarks.generated import write
from benchmarks.machine import installed
from benchmarks.paired import alternate, ratio
from benchmarks.suites import Plan
from benchmarks.tables import Section, Table, seconds, times

_PEER = "detect-test-pollution"
_MODULE = "detect_test_pollution"
#: Files, and tests in each.
_SIZES = {"full": (10, 50), "check": (10, 50), "small": (3, 4)}
_ROUNDS = 3

#: What a test leaves, and what fails then: an effect that the report sees, and one that it does not.
_LEFT = {
    "with a suspect": (
        "import os",
        "os.environ['LEFT_BY_A_TEST'] = 'here'",
        "assert 'LEFT_BY_A_TEST' not in os.environ",
    ),
    "without one": ("import shop", "shop.carts.append(1)", "assert shop.carts == []"),
}


def measure(plan: Plan) -> Section:
    """Measure both cases."""
    files, tests = _SIZES[plan.size]
    rows = []
    for case, (head, polluter, victim) in _LEFT.items():
        folder = plan.workshop.root / case.replace(" ", "-")
        failing = _write(folder, files, tests, head, polluter, victim)
        env = plan.workshop.environment(folder)
        contenders = {"blame": functools.partial(_blame, folder, failing, env)}
        if installed(_MODULE):
            contenders[_PEER] = functools.partial(_detect, folder, failing, env)
        samples = alternate(contenders, plan.rounds_or(_ROUNDS))
        ours, peers = samples["blame"], samples.get(_PEER, [])
        cpu = [float(found["cpu"]) for found in ours]
        rows.append(
            (
                case,
                f"{ours[0]['runs']:.0f}",
                f"{peers[0]['runs']:.0f}" if peers else "",
                seconds(median(cpu)),
                times(ratio(cpu, [float(found["cpu"]) for found in peers])) if peers else "",
            )
        )
    return Section(
        "blame",
        f"A test of the second last of {files} files, {tests} tests each, fails for what one of the fourth file "
        "leaves. All runs until it is proven, the first and the last included. User and system time of all processes, "
        "median of paired rounds (quartiles).",
        (
            Table(
                "Proving a polluter",
                ("", "runs", f"runs of {_PEER}", "time", f"time / {_PEER}"),
                tuple(rows),
            ),
        ),
        () if installed(_MODULE) else (f"{_PEER}: not installed",),
        distributions=("pytest-import-isolation", "pytest", _PEER),
    )


def _write(folder: Path, files: int, tests: int, head: str, polluter: str, victim: str) -> str:
    special = {(min(3, files - 3), tests // 3): polluter, (files - 2, tests // 2): victim}
    write(folder / "pytest.ini", "[pytest]\n")
    write(folder / "shop.py", "carts = []\n")
    for file in range(files):
        bodies = (f"def test_{test}():\n    {special.get((file, test), 'pass')}\n" for test in range(tests))
        write(folder / f"test_f{file}.py", "\n\n".join([head, *bodies]))
    return f"test_f{files - 2}.py::test_{tests // 2}"


def _blame(folder: Path, failing: str, env: dict[str, str]) -> dict[str, float]:
    command = [sys.executable, "-m", "pytest_import_isolation", "blame", failing, "--json", "verdict.json"]
    cpu = _cpu(command, folder, env)[0]
    verdict = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
    if verdict["verdict"] != "polluted":
        raise AssertionError(verdict)
    return {"cpu": cpu, "runs": verdict["runs"]}


def _detect(folder: Path, failing: str, env: dict[str, str]) -> dict[str, float]:
    # As its script does: it hands its own name to pytest.
    program = f"import sys, {_MODULE}; sys.exit({_MODULE}.main())"
    command = [sys.executable, "-c", program, "--failing-test", failing, "--tests", "."]
    cpu, output = _cpu(command, folder, env)
    if "the polluting test is" not in output:
        raise AssertionError(output)
    # Beside its steps it runs all tests to list them, the test alone, the test with all, and what it found.
    return {"cpu": cpu, "runs": len(re.findall(r"running step", output)) + 4}


def _cpu(command: list[str], folder: Path, env: dict[str, str]) -> tuple[float, str]:
    before = _of_children()
    output = subprocess.run(
        command, cwd=folder, env=env, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    return _of_children() - before, output


def _of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
