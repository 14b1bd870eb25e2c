"""What it costs to look for circular imports, beside importing all modules of the package once."""

from __future__ import annotations

import functools
import importlib
import json
import pkgutil
import resource
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.generated import write
from benchmarks.machine import installed
from benchmarks.paired import alternate, ratio
from benchmarks.suites import ROOT, Plan
from benchmarks.tables import Section, Table, seconds, times

_MODULES = {"full": 500, "check": 500, "small": 50}
#: With how many rounds: where extension modules are, each attempt has an interpreter of its own.
_REAL = {"full": {"rich": 3, "sqlalchemy": 1}, "check": {}, "small": {}}
_ROUNDS = 3

#: Each so many modules of the synthetic package import each other in a circle.
_IN_CIRCLE = 25


def measure(plan: Plan) -> Section:
    """Measure a synthetic package and those real ones that are installed."""
    synthetic = "synthetic"
    _write(plan.workshop.root / synthetic, synthetic, _MODULES[plan.size])
    env = plan.workshop.environment(plan.workshop.root / synthetic, ROOT)
    rows, missing = [], []
    for name, rounds in {synthetic: _ROUNDS, **_REAL[plan.size]}.items():
        if name != synthetic and not installed(name):
            missing.append(f"{name}: not installed")
            continue
        contenders = {what: functools.partial(_measured, what, name, env) for what in ("import", "search")}
        contenders["import"]()  # the bytecode is written
        samples = alternate(contenders, plan.rounds_or(rounds))
        imports, searches = ([found["cpu"] for found in found_by] for found_by in samples.values())
        found = samples["search"][0]
        rows.append(
            (
                name,
                f"{found['modules']:,}",
                f"{found['tried']:,}",
                f"{found['cycles']:,}",
                seconds(median(imports)),
                seconds(median(searches)),
                times(ratio(searches, imports)),
            )
        )
    columns = ("", "modules", "tried", "circles", "import all", "search", "search / import all")
    return Section(
        "cycles",
        "`find_import_cycles`, and an import of every module of the package, in fresh processes. User and system time, "
        f"median of paired rounds (quartiles). In the synthetic package every {_IN_CIRCLE} modules are a circle.",
        (Table("Looking for circular imports", columns, tuple(rows)),),
        tuple(missing),
        distributions=("pytest-import-isolation", "rich", "sqlalchemy"),
    )


def _write(folder: Path, name: str, modules: int) -> None:
    write(folder / name / "__init__.py", "")
    for number in range(modules - 1):
        first = number - number % _IN_CIRCLE
        following = number + 1 if number + 1 < min(first + _IN_CIRCLE, modules - 1) else first
        write(
            folder / name / f"part_{number}.py",
            f"import {name}.part_{following}\n\nNUMBER = {number}\n\n\ndef value():\n    return NUMBER\n",
        )


def _measured(what: str, name: str, env: dict[str, str]) -> dict[str, Any]:
    command = [sys.executable, "-m", __name__, what, name]
    output = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, Any] = json.loads(output)
    return found


def _cpu() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _import_all(name: str) -> dict[str, Any]:
    start = _cpu()
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, f"{name}.", onerror=lambda name: None):
        if not module.name.endswith("__main__"):
            try:
                importlib.import_module(module.name)
            except Exception:  # an optional dependency, or settings, are not there
                continue
    return {"cpu": _cpu() - start}


def _search(name: str) -> dict[str, Any]:
    from pytest_import_isolation import find_import_cycles

    start = _cpu()
    found = find_import_cycles(name)
    return {
        "cpu": _cpu() - start,
        "modules": found.modules,
        "tried": len(found.tried),
        "cycles": len(found.cycles),
    }


if __name__ == "__main__":
    print(json.dumps({"import": _import_all, "search": _search}[sys.argv[1]](sys.argv[2])))
