"""What the plugin adds to a suite of empty tests, counted in executed instructions: no noise, and no caches."""

from __future__ import annotations

from pathlib import Path

from benchmarks.cachegrind import counted, counting, found_valgrind
from benchmarks.paired import Spread
from benchmarks.suites import PLAIN_PYTEST, PLUGIN, ROOT, Plan, run_pytest
from benchmarks.tables import Section, Table, times
from benchmarks.trivial import MODES, PLAIN

_TESTS = {"full": 2_000, "check": 1_000, "small": 20}
_MODULES = 600
#: One test that imports nothing: what it takes to start, and to end.
_STARTS = {
    PLAIN: PLAIN_PYTEST,
    "off": ("-p", PLUGIN),
    "report": ("-p", PLUGIN, "--import-leak-report"),
    "=test": ("-p", PLUGIN, "--isolate-imports=test"),
}


def measure(plan: Plan) -> Section:
    """Count what the modes execute, with many tests and with one."""
    valgrind = found_valgrind()
    tests = _TESTS[plan.size]
    tables: list[Table] = []
    ratios: dict[str, Spread] = {}
    suites = (
        (f"{tests:,} empty tests, {_MODULES} modules loaded", tests, _MODULES, MODES),
        ("One empty test, no modules", 1, 0, _STARTS),
    )
    for title, number, modules, modes in suites if valgrind is not None else ():
        folder = plan.workshop.write_trivial(f"counted-{number}", number, modules)
        env = plan.workshop.environment(ROOT)
        for given in modes.values():
            run_pytest(folder, given, env, passed=number)  # the bytecode is written
        counts = {
            name: _count(str(valgrind), folder, given, env, number, plan.workshop.root)
            for name, given in modes.items()
        }
        plain = counts[PLAIN]
        found = {name: Spread.of([count / plain]) for name, count in counts.items()}
        rows = [
            (name, f"{count / 1e6:,.0f} M", times(found[name]), f"{(count - plain) / number / 1e3:+,.0f} k")
            for name, count in counts.items()
        ]
        tables.append(Table(title, ("", "instructions", "times plain", "each test"), tuple(rows)))
        ratios.update({f"{name}, {title}, instructions, times plain": one for name, one in found.items()})
    return Section(
        "instructions",
        "The same suite of empty tests, and one test alone. Instructions that pytest executes outside of the "
        "kernel, as cachegrind counts them. Waiting for memory is not in it: that of the garbage collector "
        "takes more of the time than of the instructions.",
        tuple(tables),
        () if valgrind is not None else ("instructions: valgrind is not installed",),
        ratios,
        ("pytest-import-isolation", "pytest"),
    )


def _count(
    valgrind: str, folder: Path, given: tuple[str, ...], env: dict[str, str], passed: int, scratch: Path
) -> int:
    """Return how many instructions a run of pytest executes.

    Raises:
        SuiteError: the run went wrong, or nothing was counted.
    """
    written = scratch / "counted.out"
    run_pytest(folder, given, env, passed=passed, within=counting(valgrind, written))
    return counted(written)
