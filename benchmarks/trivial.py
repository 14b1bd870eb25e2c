"""What the plugin adds to a suite of empty tests, beside running each test in a process of its own."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from benchmarks.machine import installed
from benchmarks.paired import alternate, extrapolate, ratio
from benchmarks.suites import PLUGIN, TESTS_IN_FILE, Cost, Plan, SuiteError, run_pytest
from benchmarks.tables import Section, Table, seconds, times

_TESTS = {"full": 2_000, "check": 1_000, "small": 20}
_MODULES = {"full": (600, 1_500), "check": (600,), "small": (600,)}
_ROUNDS = {"full": 9, "check": 5, "small": 1}
_PEER_ROUNDS = 3

_PLAIN = "plain"
_OWN = {
    _PLAIN: (),
    "off": ("-p", PLUGIN),
    "report": ("-p", PLUGIN, "--import-leak-report"),
    "=file": ("-p", PLUGIN, "--isolate-imports=file"),
    "=test": ("-p", PLUGIN, "--isolate-imports=test"),
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
    """Measure the plugin's modes and the peers."""
    tests = _TESTS[plan.size]
    peers = [peer for peer in _PEERS if installed(peer.module)] if plan.size != "check" else []
    missing = [f"{peer.name}: not installed" for peer in _PEERS if plan.size != "check" and peer not in peers]
    tables, ratios = [], {}
    for modules in _MODULES[plan.size]:
        folder = plan.workshop.write_trivial(f"trivial-{modules}", tests, modules)
        run = functools.partial(run_pytest, folder, env=plan.workshop.environment())
        own = functools.partial(run, passed=tests)
        own(_OWN["=test"])  # the bytecode is written
        costs = alternate(
            {
                name: functools.partial(own, arguments)
                for name, arguments in _OWN.items()
                if plan.size != "check" or name != "=file"
            },
            plan.rounds_or(_ROUNDS[plan.size]),
        )
        cpu = {name: [cost.cpu for cost in samples] for name, samples in costs.items()}
        rows: list[tuple[str, ...]] = [(_PLAIN, seconds(median(cpu[_PLAIN])), "", "")]
        for name in list(cpu)[1:]:
            rows.append(_row(name, cpu[name], cpu[_PLAIN], tests))
            ratios[f"{name}, {modules:,} modules, times plain"] = ratio(cpu[name], cpu[_PLAIN])
        for peer in peers:
            share = min(peer.tests, tests)
            try:
                whole, plain = _against(peer, run, share, tests, plan.rounds_or(_PEER_ROUNDS))
            except SuiteError as error:
                missing.append(f"{peer.name}: {error}")
                continue
            rows.append(_row(f"{peer.name} *", whole, plain, tests))
        tables.append(
            Table(
                f"{tests:,} empty tests, {modules:,} modules loaded",
                ("", "time", "times plain", "each test"),
                tuple(rows),
            )
        )
    return Section(
        "trivial",
        "Empty tests, a hundred in a file; a conftest imports the modules. User and system time of pytest and "
        "of all its processes, median of paired rounds (quartiles)."
        + " * measured with some of the tests, and extrapolated."
        * bool(peers),
        tuple(tables),
        tuple(missing),
        ratios,
        ("pytest-import-isolation", "pytest", *(peer.name for peer in peers)),
    )


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
