"""Whether the cost of each test stays the same in large suites, and what a large report costs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

from benchmarks.generated import write
from benchmarks.machine import installed
from benchmarks.paired import alternate, ratio
from benchmarks.suites import PLAIN_PYTEST, PLUGIN, Cost, Plan, run_pytest
from benchmarks.tables import Section, Table, seconds, times

#: Numbers of tests and of modules, each with how many rounds.
_GRID = {
    "full": (
        (1_000, 1_000, 5),
        (5_000, 1_000, 3),
        (20_000, 1_000, 1),
        (1_000, 3_000, 3),
        (1_000, 10_000, 3),
    ),
    "check": (),
    "small": ((20, 600, 1),),
}
#: Numbers of files of two tests each, with how many rounds.
_FILES = {"full": ((100, 5), (400, 3), (1_600, 3)), "check": (), "small": ((5, 1),)}
_IN_FILE = 2
_LEAKS = {"full": 10_000, "check": 100, "small": 100}
_PARALLEL = {"full": 2_000, "check": 200, "small": 20}
_ROUNDS = 3

_REPORT = ("-p", PLUGIN, "--import-leak-report")
_FILE_MODE = ("-p", PLUGIN, "--isolate-imports=file")
_TEST_MODE = ("-p", PLUGIN, "--isolate-imports=test")

_LEAKING = """\
import sys
from types import ModuleType


def test_{number}():
    for leak in range({leaks}):
        name = f"leak_{number}_{{leak}}"
        sys.modules[name] = ModuleType(name)
"""


def measure(plan: Plan) -> Section:
    """Measure the grid, many small files, a report with many leaks, and two workers."""
    missing: list[str] = []
    tables = [_grid(plan), _small_files(plan), _leaks(plan)]
    if installed("xdist"):
        tables.append(_parallel(plan))
    else:
        missing.append("two workers: pytest-xdist is not installed")
    return Section(
        "scale",
        "Suites of empty tests, a hundred in a file as a rule. User and system time of pytest and of all its processes, median of "
        "paired rounds (quartiles); what each test costs more than with plain pytest.",
        tuple(tables),
        tuple(missing),
        distributions=("pytest-import-isolation", "pytest", "pytest-xdist"),
    )


def _grid(plan: Plan) -> Table:
    rows = []
    for tests, modules, rounds in _GRID[plan.size]:
        folder = plan.workshop.write_trivial(f"scale-{tests}-{modules}", tests, modules)
        cpu = _cpu(
            {
                name: functools.partial(_run, plan, folder, arguments, tests)
                for name, arguments in (("plain", PLAIN_PYTEST), ("report", _REPORT), ("=test", _TEST_MODE))
            },
            plan.rounds_or(rounds),
        )
        plain, report, test = cpu.values()
        rows.append(
            (
                f"{tests:,} tests, {modules:,} modules",
                seconds(median(plain)),
                _more(report, plain, tests),
                times(ratio(report, plain)),
                _more(test, plain, tests),
                times(ratio(test, plain)),
            )
        )
    columns = ("", "plain", "report, each test", "times plain", "=test, each test", "times plain")
    return Table("Numbers of tests and modules", columns, tuple(rows))


def _small_files(plan: Plan) -> Table:
    rows = []
    for files, rounds in _FILES[plan.size]:
        tests = files * _IN_FILE
        folder = plan.workshop.write_trivial(f"files-{files}", tests, 600, _IN_FILE)
        modes = (("plain", PLAIN_PYTEST), ("report", _REPORT), ("=file", _FILE_MODE))
        cpu = _cpu(
            {name: functools.partial(_run, plan, folder, arguments, tests) for name, arguments in modes},
            plan.rounds_or(rounds),
        )
        plain, report, file = cpu.values()
        both = (
            column
            for cost in (report, file)
            for column in (_more(cost, plain, files), times(ratio(cost, plain)))
        )
        rows.append((f"{files:,} files", seconds(median(plain)), *both))
    columns = ("", "plain", "report, each file", "times plain", "=file, each file", "times plain")
    return Table(f"Small files, {_IN_FILE} tests in each, 600 modules and themselves", columns, tuple(rows))


def _leaks(plan: Plan) -> Table:
    leaks = _LEAKS[plan.size]
    folder = plan.workshop.root / "leaks"
    tests = 100
    write(folder / "pytest.ini", "[pytest]\n")
    write(
        folder / "test_leaking.py",
        "\n\n".join(_LEAKING.format(number=number, leaks=leaks // tests) for number in range(tests)),
    )
    files = {"json": folder / "report.json", "html": folder / "report.html"}
    variants = {
        "plain": PLAIN_PYTEST,
        "report": _REPORT,
        **{name: (*_REPORT, f"--import-leak-file={file}") for name, file in files.items()},
    }
    cpu = _cpu(
        {name: functools.partial(_run, plan, folder, given, tests) for name, given in variants.items()},
        plan.rounds_or(_ROUNDS),
    )
    sizes = {name: f"{file.stat().st_size / 1e6:.1f} MB" for name, file in files.items()}
    rows = tuple(
        (
            name,
            seconds(median(samples)),
            "" if name == "plain" else _more(samples, cpu["plain"], leaks),
            sizes.get(name, ""),
        )
        for name, samples in cpu.items()
    )
    return Table(f"A report with {leaks:,} leaks", ("", "time", "each leak", "size of the file"), rows)


def _parallel(plan: Plan) -> Table:
    tests = _PARALLEL[plan.size]
    folder = plan.workshop.write_trivial("parallel", tests, 600)
    two = ("-p", "xdist.plugin", "-n2")
    runs = alternate(
        {
            name: functools.partial(_run, plan, folder, (*two, *arguments), tests)
            for name, arguments in (("plain", PLAIN_PYTEST), ("report", _REPORT), ("=test", _TEST_MODE))
        },
        plan.rounds_or(_ROUNDS),
    )
    plain = runs["plain"]
    rows = tuple(
        (
            name,
            seconds(median(cost.cpu for cost in costs)),
            times(ratio([cost.cpu for cost in costs], [cost.cpu for cost in plain])),
            seconds(median(cost.wall for cost in costs)),
            times(ratio([cost.wall for cost in costs], [cost.wall for cost in plain])),
        )
        for name, costs in runs.items()
    )
    columns = ("", "time", "times plain", "wall clock", "times plain")
    return Table(f"{tests:,} tests, 600 modules, pytest-xdist -n2", columns, rows)


def _run(plan: Plan, folder: Path, arguments: tuple[str, ...], passed: int) -> Cost:
    return run_pytest(folder, arguments, plan.workshop.environment(), passed=passed)


def _cpu(contenders: Mapping[str, Callable[[], Cost]], rounds: int) -> dict[str, list[float]]:
    contenders["plain"]()  # the bytecode is written
    return {name: [cost.cpu for cost in costs] for name, costs in alternate(contenders, rounds).items()}


def _more(one: list[float], other: list[float], number: int) -> str:
    each = median(a - b for a, b in zip(one, other, strict=True)) / number
    return f"{each * 1e6:+,.0f} us"
