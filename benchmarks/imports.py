"""What the first import of a package costs in a window, which notes who asks for what and parks it at the end."""

from __future__ import annotations

import functools
import gc
import importlib
import json
import subprocess
import sys
import time
import warnings
from typing import Final, NamedTuple

from benchmarks.machine import installed
from benchmarks.paired import Spread, alternate, ratio
from benchmarks.suites import ROOT, Plan
from benchmarks.tables import Section, Table, times

_ROUNDS: Final = {"full": 25, "check": 7, "small": 1}
#: eventlet imports its dependencies a second time, under other names, and renames what it gets.
_PACKAGES: Final = {
    "full": ("eventlet", "numpy", "pandas", "sqlalchemy", "pydantic"),
    "check": ("numpy", "sqlalchemy"),
    "small": ("json",),
}
_PLAIN: Final = "plain"
_WINDOW: Final = "window"


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
    return Section(
        "imports",
        "The first import of a package in a window, beside the same import without one, in a fresh process each, in "
        "which the plugin has opened and closed one before. CPU time of the thread. The second column also has what opens the window and what closes it, which parks all that "
        "was imported.",
        (Table("In a window / without", ("package", "the import", "with opening and closing"), tuple(rows)),),
        ratios=ratios,
        missing=tuple(
            f"{name}, which is not installed" for name in _PACKAGES[plan.size] if name not in packages
        ),
        distributions=("pytest-import-isolation", *packages),
    )


def _import(how: str, package: str) -> _Cost:
    warnings.simplefilter("ignore")
    # Both begin in the same state: eventlet, for one, looks through all that is loaded for each module that it renames.
    from pytest_import_isolation import IsolatedImportContext

    context = IsolatedImportContext()
    with context:  # what the plugin loads for its first window is loaded
        pass
    # And after a full collection: whether the next one falls into an import is chance, and a tenth of it.
    gc.collect()
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
    print(json.dumps(_import(*sys.argv[1:])))
