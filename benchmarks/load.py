"""What loading the plugin costs every run of pytest, whether it is used or not."""

from __future__ import annotations

import json
import subprocess
import sys
import time

from benchmarks.paired import Spread, alternate
from benchmarks.suites import PLUGIN, ROOT, Plan
from benchmarks.tables import Section, Table, seconds

_ROUNDS = {"full": 15, "check": 5, "small": 1}


def measure(plan: Plan) -> Section:
    """Count and time the modules that the plugin loads in a process that has loaded pytest."""
    env = plan.workshop.environment(ROOT)

    def load() -> tuple[int, float]:
        command = [sys.executable, "-m", __name__]
        output = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout
        modules, took = json.loads(output)
        return modules, took

    load()  # the bytecode is written
    samples = alternate({"load": load}, plan.rounds_or(_ROUNDS[plan.size]))["load"]
    modules = Spread.of([number for number, _ in samples])
    took = Spread.of([each for _, each in samples])
    row = (
        PLUGIN,
        f"{modules.median:.0f}",
        f"{seconds(took.median)} ({seconds(took.low)}-{seconds(took.high)})",
    )
    return Section(
        "load",
        "What `import` of the plugin loads beyond pytest, in a fresh process each. CPU time of the thread.",
        (Table("The plugin's own load", ("", "modules", "time"), (row,)),),
        ratios={
            "modules": modules,
            "milliseconds": Spread.of([each * 1e3 for _, each in samples]),
        },
        distributions=("pytest-import-isolation", "pytest"),
    )


def _load() -> tuple[int, float]:
    import importlib

    import pytest  # noqa: F401

    before = len(sys.modules)
    start = time.thread_time()
    importlib.import_module(PLUGIN)
    return len(sys.modules) - before, time.thread_time() - start


if __name__ == "__main__":
    print(json.dumps(_load()))
