"""What a process for each test, or each file, costs beside plugins that fork, and beside a bare fork."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

from benchmarks.machine import installed
from benchmarks.paired import Spread, alternate, extra
from benchmarks.suites import PLAIN_PYTEST, PLUGIN, ROOT, Cost, Plan, SuiteError, run_pytest
from benchmarks.tables import Section, Table, seconds, times

_FILES = {"full": 10, "check": 5, "small": 1}
_IN_FILE = 20
_ROUNDS = {"full": 5, "check": 3, "small": 1}
_HEAVY = "import numpy\nimport sqlalchemy\n"
_PLAIN = "plain"
_FORKED = "pytest-forked"
_OWN = {
    _PLAIN: PLAIN_PYTEST,
    "=process": ("-p", PLUGIN, "--isolate-imports=process"),
    "=process-file": ("-p", PLUGIN, "--isolate-imports=process-file"),
    # What a process for each test cannot go below.
    "a bare fork and pytest's protocol": ("-p", "benchmarks.bare_processes"),
}
#: A process that has loaded what the suite loads forks, and the child ends at once.
_BARE = """\
import os, sys, numpy, sqlalchemy, pytest
if sys.argv[2] == "fork":
    for number in range(int(sys.argv[1])):
        process = os.fork()
        if process == 0:
            os._exit(0)
        os.waitpid(process, 0)
"""


def measure(plan: Plan) -> Section:
    """Measure a suite of empty tests whose conftest loads numpy and sqlalchemy."""
    files = _FILES[plan.size]
    tests = files * _IN_FILE
    folder = plan.workshop.root / "processes"
    write_suite(folder, files, _HEAVY)
    env = plan.workshop.environment(ROOT)
    run = functools.partial(run_pytest, folder, env=env, passed=tests)
    contenders: dict[str, Callable[[], float]] = {
        name: functools.partial(_cpu, run, given) for name, given in _OWN.items()
    }
    missing = []
    if installed("pytest_forked"):
        contenders[_FORKED] = functools.partial(_cpu, run, ("-p", "pytest_forked", "--forked"))
    else:
        missing.append(f"{_FORKED}: not installed")
    for what in ("nothing", "fork"):
        contenders[f"bare {what}"] = functools.partial(_bare, tests, what, env)
    try:
        for sample in contenders.values():
            sample()  # the bytecode is written
    except SuiteError as error:
        missing.append(f"{_FORKED}: {error}")
        contenders.pop(_FORKED, None)
    costs = alternate(contenders, plan.rounds_or(_ROUNDS[plan.size]))
    # Beyond what the same process costs without forks, as plain pytest is for the others.
    bare = [
        a - b + c
        for a, b, c in zip(costs.pop("bare fork"), costs.pop("bare nothing"), costs[_PLAIN], strict=True)
    ]
    costs["a bare fork for each test"] = bare
    ratios: dict[str, Spread] = {}
    rows = []
    for name, cpu in costs.items():
        more = median(a - b for a, b in zip(cpu, costs[_PLAIN], strict=True)) / tests
        row = [name, seconds(median(cpu)), f"{more * 1e3:+.2f} ms", ""]
        if _FORKED in costs and name not in (_PLAIN, _FORKED):
            ratios[f"{name}, times {_FORKED}"] = spread = extra(cpu, costs[_FORKED], costs[_PLAIN])
            row[-1] = times(spread)
        rows.append(tuple(row))
    return Section(
        "processes",
        f"{tests} empty tests, {_IN_FILE} in a file; a conftest imports numpy and sqlalchemy. User and system time of "
        "pytest and of all its processes; the last column is what exceeds plain pytest.",
        (Table("A process for each test", ("", "time", "each test", f"times {_FORKED}"), tuple(rows)),),
        tuple(missing),
        ratios,
        ("pytest-import-isolation", "pytest", "pytest-forked", "numpy", "sqlalchemy"),
    )


def write_suite(folder: Path, files: int, conftest: str) -> None:
    """Write a suite of empty tests."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (folder / "conftest.py").write_text(conftest, encoding="utf-8")
    for number in range(files):
        text = "".join(f"def test_{number}_{one}():\n    pass\n\n\n" for one in range(_IN_FILE))
        (folder / f"test_{number:03}.py").write_text(text, encoding="utf-8")


def _cpu(run: Callable[..., Cost], given: tuple[str, ...]) -> float:
    return run(given).cpu


def _bare(tests: int, what: str, env: Mapping[str, str]) -> float:
    process = subprocess.Popen([sys.executable, "-c", _BARE, str(tests), what], env=dict(env))
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime
