"""What a process for each test, or each file, costs beside plugins that fork, and beside a bare fork."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

from benchmarks.machine import installed
from benchmarks.paired import Spread, alternate, extra, extrapolate
from benchmarks.suites import PLAIN_PYTEST, PLUGIN, ROOT, Cost, Plan, SuiteError, run_pytest
from benchmarks.tables import Section, Table, seconds, times

_FILES = {"full": 10, "check": 5, "small": 1}
_IN_FILE = 20
_ROUNDS = {"full": 5, "check": 3, "small": 1}
_COLD_TESTS = {"full": 100, "check": 20, "small": 4}
#: A new interpreter takes about half a second: such tests are a part, and extrapolated.
_FEWER = 10
_HEAVY = "import numpy\nimport sqlalchemy\n"
_PLAIN = "plain"
_FEW = "plain, some of the tests"
_FORKED = "pytest-forked"
_ISOLATED = "pytest-isolated, a group for each test"
_BARE_PROCESSES = ("-p", "benchmarks.bare_processes", "--bare-process")
_OWN = {
    _PLAIN: PLAIN_PYTEST,
    "=process": ("-p", PLUGIN, "--isolate-imports=process"),
    "=process-file": ("-p", PLUGIN, "--isolate-imports=process-file"),
    # What a process for each test, and for each file, cannot go below.
    "a bare fork and pytest's protocol": (*_BARE_PROCESSES, "test"),
    "a bare fork and pytest's protocol, by file": (*_BARE_PROCESSES, "file"),
}
_OF_NEW_INTERPRETERS = {
    _PLAIN: PLAIN_PYTEST,
    _FEW: PLAIN_PYTEST,
    'process="cold"': ("-p", PLUGIN),
    "=process": ("-p", PLUGIN, "--isolate-imports=process"),
    # What the latter cannot go below.
    "a bare fork and pytest's protocol": (*_BARE_PROCESSES, "test"),
    _ISOLATED: ("-p", "pytest_isolated.plugin", "--isolated"),
}
_COLD = 'import pytest\n\npytestmark = [pytest.mark.isolated_imports(process="cold")]\n\n\n'
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
#: A process that has loaded pytest forks, and the child runs one test in a run of its own. A cold process does the
#: same with less, since it is configured before it forks.
_BARE_COLD = """\
import os, sys, pytest
for nodeid in sys.argv[1:]:
    process = os.fork()
    if process == 0:
        os._exit(pytest.main(["-qq", "-p", "no:cacheprovider", nodeid]))
    if os.waitpid(process, 0)[1]:
        raise SystemExit(f"{nodeid} failed")
"""


def measure(plan: Plan) -> Section:
    """Measure a suite of empty tests whose conftest loads numpy and sqlalchemy."""
    tests = _FILES[plan.size] * _IN_FILE
    missing: list[str] = []
    table, ratios = _forks(plan, tests, missing)
    tables = [table]
    if plan.size != "check":
        for what, conftest in (("nothing heavy", ""), ("numpy and sqlalchemy", _HEAVY)):
            table, found = _new_interpreters(plan, what, conftest, missing)
            tables.append(table)
            ratios.update(found)
    return Section(
        "processes",
        f"{tests} empty tests, {_IN_FILE} in a file; a conftest imports numpy and sqlalchemy. User and system time of "
        "pytest and of all its processes; the last column is what exceeds plain pytest.",
        tuple(tables),
        tuple(missing),
        ratios,
        ("pytest-import-isolation", "pytest", "pytest-forked", "pytest-isolated", "numpy", "sqlalchemy"),
    )


def _forks(plan: Plan, tests: int, missing: list[str]) -> tuple[Table, dict[str, Spread]]:
    """Measure a process for each test, and for each file, beside pytest-forked and bare forks."""
    folder = plan.workshop.root / "processes"
    write_suite(folder, tests, _HEAVY)
    env = plan.workshop.environment(ROOT)
    run = functools.partial(run_pytest, folder, env=env, passed=tests)
    contenders: dict[str, Callable[[], float]] = {
        name: functools.partial(_cpu, run, given) for name, given in _OWN.items()
    }
    if installed("pytest_forked"):
        contenders[_FORKED] = functools.partial(_cpu, run, ("-p", "pytest_forked", "--forked"))
    else:
        missing.append(f"{_FORKED}: not installed")
    for what in ("nothing", "fork"):
        contenders[f"bare {what}"] = functools.partial(_bare, _BARE, [str(tests), what], env)
    _try(contenders, missing)
    costs = alternate(contenders, plan.rounds_or(_ROUNDS[plan.size]))
    costs["a bare fork for each test"] = _beyond(costs, "bare fork")
    return _compared("A process for each test", costs, tests, _FORKED)


def _new_interpreters(
    plan: Plan, what: str, conftest: str, missing: list[str]
) -> tuple[Table, dict[str, Spread]]:
    """Measure cold processes beside a new interpreter for each test, of which there are fewer."""
    env = plan.workshop.environment(ROOT)
    tests = _COLD_TESTS[plan.size]
    few = max(1, tests // _FEWER)
    contenders: dict[str, Callable[[], float]] = {}
    for name, given in _OF_NEW_INTERPRETERS.items():
        if name == _ISOLATED and not installed("pytest_isolated"):
            missing.append(f"{_ISOLATED}: not installed")
            continue
        number, is_cold = few if name in (_ISOLATED, _FEW) else tests, "cold" in name
        folder = plan.workshop.root / f"cold-{what.replace(' ', '-')}-{number}-{is_cold}"
        write_suite(folder, number, conftest, _COLD if is_cold else "")
        run = functools.partial(run_pytest, folder, env=env, passed=number)
        contenders[name] = functools.partial(_cpu, run, given)
    folder = plan.workshop.root / f"cold-{what.replace(' ', '-')}-{tests}-False"
    nodeids = [nodeid for file in sorted(folder.glob("test_*.py")) for nodeid in _tests_of(file)]
    for name, ids in (("bare nothing", []), ("bare run", nodeids)):
        contenders[name] = functools.partial(_bare, _BARE_COLD, ids, env, folder)
    _try(contenders, missing)
    costs = alternate(contenders, plan.rounds_or(_ROUNDS[plan.size]))
    costs["a bare fork and a run of pytest"] = _beyond(costs, "bare run")
    plain_few = costs.pop(_FEW)
    if _ISOLATED in costs:
        costs[_ISOLATED] = extrapolate(costs[_ISOLATED], plain_few, costs[_PLAIN], tests / few)
    title = f"{tests} tests, each in a process; a conftest imports {what}"
    return _compared(title, costs, tests, _ISOLATED)


def _beyond(costs: dict[str, list[float]], name: str) -> list[float]:
    """Return what forks cost beyond the same process without any, and plain pytest, as the others are given."""
    nothing = costs.pop("bare nothing")
    return [a - b + c for a, b, c in zip(costs.pop(name), nothing, costs[_PLAIN], strict=True)]


def _tests_of(file: Path) -> list[str]:
    names = re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    return [f"{file.name}::{name}" for name in names]


def _try(contenders: dict[str, Callable[[], float]], missing: list[str]) -> None:
    """Run each once, so that the bytecode is written; drop a peer that fails."""
    for name, sample in list(contenders.items()):
        try:
            sample()
        except SuiteError as error:
            if name not in (_FORKED, _ISOLATED):
                raise
            missing.append(f"{name}: {error}")
            del contenders[name]


def _compared(
    title: str, costs: Mapping[str, list[float]], tests: int, peer: str
) -> tuple[Table, dict[str, Spread]]:
    """Return what each costs, beyond plain, as many times as a peer does."""
    ratios: dict[str, Spread] = {}
    rows = []
    for name, cpu in costs.items():
        more = median(a - b for a, b in zip(cpu, costs[_PLAIN], strict=True)) / tests
        row = [name, seconds(median(cpu)), f"{more * 1e3:+.2f} ms", ""]
        if peer in costs and name not in (_PLAIN, peer):
            spread = extra(cpu, costs[peer], costs[_PLAIN])
            ratios[f"{title}: {name}, times {peer}" if peer != _FORKED else f"{name}, times {peer}"] = spread
            row[-1] = times(spread)
        rows.append(tuple(row))
    return Table(title, ("", "time", "each test", f"times {peer}"), tuple(rows)), ratios


def write_suite(folder: Path, tests: int, conftest: str, head: str = "") -> None:
    """Write a suite of empty tests.

    Args:
        folder: where.
        tests: how many.
        conftest: the text of its conftest.
        head: what stands at the top of each file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (folder / "conftest.py").write_text(conftest, encoding="utf-8")
    for number, start in enumerate(range(0, tests, _IN_FILE)):
        names = range(min(_IN_FILE, tests - start))
        text = "".join(f"def test_{number}_{one}():\n    pass\n\n\n" for one in names)
        (folder / f"test_{number:03}.py").write_text(head + text, encoding="utf-8")


def _cpu(run: Callable[..., Cost], given: tuple[str, ...]) -> float:
    return run(given).cpu


def _bare(program: str, given: list[str], env: Mapping[str, str], folder: Path | None = None) -> float:
    """Return the CPU time of a program and of its processes."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, *given], env=dict(env), cwd=folder, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SuiteError(f"the bare processes ended with {process.returncode}")
    return used.ru_utime + used.ru_stime
