"""What a package costs that comes back from the parking lot, beside its first import."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from statistics import median

from benchmarks.machine import installed
from benchmarks.paired import alternate, ratio
from benchmarks.suites import ROOT, Plan
from benchmarks.tables import Section, Table, seconds, times

#: `import pydantic` alone loads little; `from pydantic import BaseModel` ends in pydantic.main.
_PACKAGES = {
    "full": ("pandas", "sqlalchemy", "pydantic.main"),
    "check": ("sqlalchemy", "pydantic.main"),
    "small": ("sqlalchemy",),
}
_ROUNDS = {"full": 9, "check": 3, "small": 1}


def measure(plan: Plan) -> Section:
    """Measure the packages that are installed."""
    env = plan.workshop.environment(ROOT)
    rows, missing, found = [], [], []
    for name in _PACKAGES[plan.size]:
        if not installed(name):
            missing.append(f"{name}: not installed")
            continue

        def imports(name: str = name) -> tuple[float, float]:
            command = [sys.executable, "-m", __name__, name]
            output = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout
            first, second = json.loads(output)
            return first, second

        imports()  # the files are in the memory of the system
        samples = alternate({name: imports}, plan.rounds_or(_ROUNDS[plan.size]))[name]
        first, second = [one for one, _ in samples], [other for _, other in samples]
        faster = ratio(first, second)
        found.append(faster)
        rows.append((name, seconds(median(first)), seconds(median(second)), times(faster)))
    title = "Two windows in which a package is imported"
    columns = ("", "first import", "second import", "first / second")
    return Section(
        "parked",
        "A fresh process for each round, in which two windows import the package. CPU time of the thread, median of the "
        "rounds (quartiles). The key ratio is the least of the packages.",
        (Table(title, columns, tuple(rows)),) if rows else (),
        tuple(missing),
        {"first import, times second": min(found, key=lambda spread: spread.median)} if found else {},
        ("pytest-import-isolation", *(name.partition(".")[0] for name in _PACKAGES["full"])),
    )


def _imports(name: str) -> tuple[float, float]:
    from pytest_import_isolation import IsolatedImportContext

    took = []
    for _ in range(2):
        with IsolatedImportContext():
            start = time.thread_time()
            importlib.import_module(name)
            took.append(time.thread_time() - start)
    return took[0], took[1]


if __name__ == "__main__":
    print(json.dumps(_imports(sys.argv[1])))
