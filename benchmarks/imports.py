"""What the first import of a package costs in a window, which notes who asks for what and parks it at the end."""

from __future__ import annotations

import functools
import gc
import importlib
import json
import os
import subprocess
import sys
import time
import warnings
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks.cachegrind import counted, counting, found_valgrind
from benchmarks.machine import installed
from benchmarks.paired import Spread, alternate, ratio
from benchmarks.suites import ROOT, Plan
from benchmarks.tables import Section, Table, times

if TYPE_CHECKING:
    from pytest_import_isolation import IsolatedImportContext

_ROUNDS: Final = {"full": 25, "check": 7, "small": 1}
#: eventlet imports its dependencies a second time, under other names, and renames what it gets.
_PACKAGES: Final = {
    "full": ("eventlet", "numpy", "pandas", "sqlalchemy", "pydantic"),
    "check": ("numpy", "sqlalchemy"),
    "small": ("json",),
}
_PLAIN: Final = "plain"
_WINDOW: Final = "window"
#: In place of a package: what else the process executes is counted.
_NOTHING: Final = "-"
#: Before the others: ends with the import.
_COUNTED: Final = "counted"


class _Cost(NamedTuple):
    """Seconds of CPU time of the thread."""

    #: What the statement takes.
    statement: float
    #: That, and to open and to close the window.
    whole: float


def measure(plan: Plan) -> Section:
    """Import packages in a window and without one, in a fresh process each time."""
    env = plan.workshop.environment(ROOT)

    def run(how: str, package: str) -> _Cost:
        command = [sys.executable, "-m", __name__, how, package]
        output = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout
        return _Cost(*json.loads(output.splitlines()[-1]))

    rows: list[tuple[str, ...]] = []
    ratios: dict[str, Spread] = {}
    packages = [name for name in _PACKAGES[plan.size] if name in sys.stdlib_module_names or installed(name)]
    for package in packages:
        contenders = {how: functools.partial(run, how, package) for how in (_PLAIN, _WINDOW)}
        alternate(contenders, 1)  # the bytecode is written
        samples = alternate(contenders, plan.rounds_or(_ROUNDS[plan.size]))
        plain = [cost.statement for cost in samples[_PLAIN]]
        found = [
            ratio([cost[part] for cost in samples[_WINDOW]], plain) for part in range(len(_Cost._fields))
        ]
        ratios[f"{package}, times plain"], ratios[f"{package}, whole window, times plain"] = found
        rows.append((package, *map(times, found)))
    counts = _count_all(plan, env, packages) if plan.size == "full" else []
    ratios.update({f"{package}, instructions, times plain": spread for package, spread in counts})
    counted_rows = tuple((package, times(spread)) for package, spread in counts)
    return Section(
        "imports",
        "The first import of a package in a window, beside the same import without one, in a fresh process each, in "
        "which the plugin has opened and closed one before. CPU time of the thread. The second column also has what opens the window and what closes it, which parks all that "
        "was imported. Below, the instructions of the import, as cachegrind counts them, without "
        "the garbage collector: no noise, and no caches.",
        (
            Table(
                "In a window / without", ("package", "the import", "with opening and closing"), tuple(rows)
            ),
            *(
                [Table("In a window / without, instructions", ("package", "the import"), counted_rows)]
                if counts
                else ()
            ),
        ),
        ratios=ratios,
        missing=tuple(
            f"{name}, which is not installed" for name in _PACKAGES[plan.size] if name not in packages
        ),
        distributions=("pytest-import-isolation", *packages),
    )


def _count_all(plan: Plan, env: dict[str, str], packages: list[str]) -> list[tuple[str, Spread]]:
    """Return by how much more instructions the import of each package takes in a window."""
    valgrind = found_valgrind()
    if valgrind is None:
        return []
    written = plan.workshop.root / "counted.out"
    tool = counting(valgrind, written)

    def count(how: str, package: str) -> int:
        command = [sys.executable, "-m", __name__, _COUNTED, how, package]
        subprocess.run([*tool, *command], env=env | {"PYTHONHASHSEED": "0"}, check=True)
        return counted(written)

    empty = {how: count(how, _NOTHING) for how in (_PLAIN, _WINDOW)}
    found = []
    for package in packages:
        cost = {how: count(how, package) - empty[how] for how in empty}
        found.append((package, Spread.of([cost[_WINDOW] / cost[_PLAIN]])))
    return found


def _import_and_end(how: str, package: str) -> None:
    """Import a package in a window or without one, and end the process as it is."""
    warnings.simplefilter("ignore")
    context = _prepared()
    gc.disable()  # a collection takes a part of what is counted, and where it falls is chance
    if how == _WINDOW:
        context.__enter__()
    if package != _NOTHING:
        importlib.import_module(package)
    os._exit(0)


def _prepared() -> IsolatedImportContext:
    """Return a context in the state in which both ways begin.

    A window was open before: what the plugin loads for its first one is loaded. eventlet, for one, looks through
    all that is loaded for each module that it renames. And all garbage is collected: whether the next collection
    falls into an import is chance, and a tenth of it.
    """
    from pytest_import_isolation import IsolatedImportContext

    context = IsolatedImportContext()
    with context:
        pass
    gc.collect()
    return context


def _import(how: str, package: str) -> _Cost:
    warnings.simplefilter("ignore")
    context = _prepared()
    if how == _PLAIN:
        start = time.thread_time()
        importlib.import_module(package)
        took = time.thread_time() - start
        return _Cost(took, took)

    start = time.thread_time()
    with context:
        begun = time.thread_time()
        importlib.import_module(package)
        took = time.thread_time() - begun
    return _Cost(took, time.thread_time() - start)


if __name__ == "__main__":
    if sys.argv[1] == _COUNTED:
        _import_and_end(*sys.argv[2:])
    print(json.dumps(_import(*sys.argv[1:])))
