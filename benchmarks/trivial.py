"""What the plugin adds to a suite of empty tests, beside running each test in a process of its own."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.machine import installed
from benchmarks.paired import Spread, alternate, extrapolate, ratio
from benchmarks.suites import PLAIN_PYTEST, PLUGIN, ROOT, TESTS_IN_FILE, Cost, Plan, SuiteError, run_pytest
from benchmarks.tables import Section, Table, seconds, times

_TESTS = {"full": 2_000, "check": 1_000, "small": 20}
_MODULES = {"full": (600, 1_500), "check": (600,), "small": (600,)}
_ROUNDS = {"full": 7, "check": 4, "small": 1}
_PEER_ROUNDS = 3

PLAIN = "plain"
_EMPTY_HOOKS = "benchmarks.empty_hooks"
_LOADED_PARTS = "benchmarks.loaded_parts"
#: What to give to pytest, by what it is called; plain comes first.
MODES = {
    PLAIN: PLAIN_PYTEST,
    "hooks of the report, empty": ("-p", _EMPTY_HOOKS),
    "its modules loaded, its hooks empty": ("-p", _LOADED_PARTS),
    "off": ("-p", PLUGIN),
    "report": ("-p", PLUGIN, "--import-leak-report"),
    "=file": ("-p", PLUGIN, "--isolate-imports=file"),
    "=test": ("-p", PLUGIN, "--isolate-imports=test"),
}
_UNVERSIONED = "benchmarks.unversioned"
_WITHOUT = "--import-isolation-contents=off"
#: What looking at contents adds, by mode: the mode with it, and without.
_CONTENTS = {
    "report": (MODES["report"], (*MODES["report"], _WITHOUT)),
    "=test": (MODES["=test"], (*MODES["=test"], _WITHOUT)),
    "report, no versions": (
        ("-p", _UNVERSIONED, *MODES["report"]),
        ("-p", _UNVERSIONED, *MODES["report"], _WITHOUT),
    ),
}


@dataclass(frozen=True)
class Peer:
    """A plugin that runs each test in a process of its own."""

    name: str
    module: str
    flag: str
    #: How many tests it gets: it takes too long for all.
    tests: int

    @property
    def arguments(self) -> tuple[str, ...]:
        """What to give to pytest."""
        return ("-p", self.module, self.flag)


_PEERS = (
    Peer("pytest-forked", "pytest_forked", "--forked", 200),
    Peer("pytest-isolate", "pytest_isolate.plugin", "--isolate", 200),
    Peer("pytest-isolated", "pytest_isolated.plugin", "--isolated", 10),
)


def measure(plan: Plan) -> Section:
    """Measure the plugin's modes with several numbers of modules, and the peers with the first of them."""
    tests = _TESTS[plan.size]
    tables: list[Table] = []
    missing: list[str] = []
    ratios: dict[str, Spread] = {}
    for modules in _MODULES[plan.size]:
        folder = plan.workshop.write_trivial(f"trivial-{modules}", tests, modules)
        run = functools.partial(run_pytest, folder, env=plan.workshop.environment(ROOT))
        rows = []
        plain: list[float] = []
        for name, cpu in _own(plan, run, tests).items():
            plain = plain or cpu
            rows.append(_row(name, cpu, plain, tests))
            ratios[f"{name}, {modules:,} modules, times plain"] = ratio(cpu, plain)
        tables.append(_table(f"{tests:,} empty tests, {modules:,} modules loaded", rows))
        if plan.size != "check":
            table, found = _contents(plan, folder, tests, modules)
            tables.append(table)
            ratios.update(found)
        if plan.size != "check" and modules == _MODULES[plan.size][0]:
            rows, missing = _peers(plan, run, tests)
            if rows:
                tables.append(
                    _table(f"Peers, {modules:,} modules, extrapolated from some of the tests", rows)
                )
    return Section(
        "trivial",
        "Empty tests, a hundred in a file; a conftest imports the modules. User and system time of pytest and "
        "of all its processes, median of paired rounds (quartiles).",
        tuple(tables),
        tuple(missing),
        ratios,
        ("pytest-import-isolation", "pytest", *(peer.name for peer in _PEERS)),
    )


def _own(plan: Plan, run: Callable[..., Cost], tests: int) -> dict[str, list[float]]:
    """Return what each mode takes, by round; plain comes first."""
    variants = dict(MODES)
    if plan.size == "check":
        for name in ("=file", "hooks of the report, empty", "its modules loaded, its hooks empty"):
            del variants[name]
    run(variants["=test"], passed=tests)  # the bytecode is written
    contenders = {name: functools.partial(run, given, passed=tests) for name, given in variants.items()}
    costs = alternate(contenders, plan.rounds_or(_ROUNDS[plan.size]))
    return {name: [cost.cpu for cost in samples] for name, samples in costs.items()}


def _contents(plan: Plan, folder: Path, tests: int, modules: int) -> tuple[Table, dict[str, Spread]]:
    """Return what looking at contents costs, each mode with it and without in turn."""
    run = functools.partial(run_pytest, folder, env=plan.workshop.environment(ROOT), passed=tests)
    costs = alternate(
        {
            (mode, is_on): functools.partial(run, given)
            for mode, both in _CONTENTS.items()
            for is_on, given in zip((True, False), both, strict=True)
        },
        plan.rounds_or(_ROUNDS[plan.size]),
    )
    found = {
        mode: ratio(*([cost.cpu for cost in costs[mode, is_on]] for is_on in (True, False)))
        for mode in _CONTENTS
    }
    rows = tuple((mode, times(spread)) for mode, spread in found.items())
    title = f"Looking at contents, {modules:,} modules, times import_isolation_contents = off"
    return (
        Table(title, ("", "times without"), rows),
        {f"contents, {mode}, {modules:,} modules, times off": spread for mode, spread in found.items()},
    )


def _peers(plan: Plan, run: Callable[..., Cost], tests: int) -> tuple[list[tuple[str, ...]], list[str]]:
    """Return a row for each peer, and why there is none."""
    rows, missing = [], []
    for peer in _PEERS:
        if not installed(peer.module):
            missing.append(f"{peer.name}: not installed")
            continue
        try:
            cpu, plain = _against(peer, run, min(peer.tests, tests), tests, plan.rounds_or(_PEER_ROUNDS))
        except SuiteError as error:
            missing.append(f"{peer.name}: {error}")
            continue
        rows.append(_row(peer.name, cpu, plain, tests))
    return rows, missing


def _table(title: str, rows: list[tuple[str, ...]]) -> Table:
    return Table(title, ("", "time", "times plain", "each test"), tuple(rows))


def _row(name: str, cpu: list[float], plain: list[float], tests: int) -> tuple[str, ...]:
    more = median(one - other for one, other in zip(cpu, plain, strict=True)) / tests
    return name, seconds(median(cpu)), times(ratio(cpu, plain)), f"{more * 1e6:+,.0f} us"


def _against(
    peer: Peer, run: Callable[..., Cost], share: int, tests: int, rounds: int
) -> tuple[list[float], list[float]]:
    """Return what all tests would cost with a peer and what they cost without, by round."""
    some = _first(share)
    costs = alternate(
        {
            "all": functools.partial(run, (), passed=tests),
            "some": functools.partial(run, some, passed=share),
            "peer": functools.partial(run, (*peer.arguments, *some), passed=share),
        },
        rounds,
    )
    cpu = {name: [cost.cpu for cost in samples] for name, samples in costs.items()}
    return extrapolate(cpu["peer"], cpu["some"], cpu["all"], tests / share), cpu["all"]


def _first(tests: int) -> tuple[str, ...]:
    files, rest = divmod(tests, TESTS_IN_FILE)
    return (
        *(f"test_{number:03}.py" for number in range(files)),
        *(f"test_{files:03}.py::test_{files * TESTS_IN_FILE + number}" for number in range(rest)),
    )
