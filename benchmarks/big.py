"""A public suite of more than ten thousand tests: by default that of packaging, from its source distribution."""

from __future__ import annotations

import functools
import subprocess
import sys
import tarfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

from benchmarks.machine import installed
from benchmarks.paired import alternate, ratio
from benchmarks.suites import PLAIN_PYTEST, PLUGIN, Plan, SuiteError, run_pytest
from benchmarks.tables import Section, Table, seconds, times

_ROUNDS = 3

#: Without one file of 50,000 tests that are all alike, and without the tests that look for counter-examples.
_ARGUMENTS = {
    "full": ("tests", "--ignore=tests/test_version.py", "--ignore=tests/property"),
    "check": ("tests/test_utils.py",),
    "small": ("tests/test_utils.py",),
}
_NEEDS = ("packaging", "pretend", "tomli_w")

_VARIANTS = {
    "plain": PLAIN_PYTEST,
    "report": ("-p", PLUGIN, "--import-leak-report"),
    "=test": ("-p", PLUGIN, "--isolate-imports=test"),
}


def measure(plan: Plan) -> Section:
    """Measure the suite that the plan names, or that of packaging."""
    about = "A public suite. User and system time of pytest and of all its processes, median of paired rounds (quartiles)."
    if plan.checkout is not None:
        folder, arguments = plan.checkout, plan.arguments
        name = f"pytest {' '.join(arguments)}" if arguments else "pytest"
    else:
        lacking = tuple(
            f"the suite of packaging: {name} is not installed" for name in _NEEDS if not installed(name)
        )
        if lacking:
            return Section("big", about, (), lacking)
        try:
            folder = _downloaded(plan.workshop.root / "big")
        except SuiteError as error:
            return Section("big", about, (), (str(error),))
        arguments = _ARGUMENTS[plan.size]
        name = folder.name
    env = plan.workshop.environment()
    run = functools.partial(run_pytest, folder, env=env, python=plan.python)
    run(arguments)  # the bytecode is written
    runs = alternate(
        {name: functools.partial(run, (*given, *arguments)) for name, given in _VARIANTS.items()},
        plan.rounds_or(_ROUNDS),
    )
    plain = runs["plain"]
    rows = tuple(
        (
            variant,
            seconds(median(cost.cpu for cost in costs)),
            times(ratio([cost.cpu for cost in costs], [cost.cpu for cost in plain])),
            seconds(median(cost.wall for cost in costs)),
            ", ".join(f"{number:,} {word}" for word, number in costs[0].outcomes.items()),
        )
        for variant, costs in runs.items()
    )
    columns = ("", "time", "times plain", "wall clock", "outcomes")
    ratios = {
        f"{variant}, times plain": ratio([cost.cpu for cost in costs], [cost.cpu for cost in plain])
        for variant, costs in runs.items()
    }
    return Section(
        "big", about, (Table(name, columns, rows),), (), ratios, ("pytest-import-isolation", "pytest")
    )


def _downloaded(folder: Path) -> Path:
    try:
        wanted = f"packaging=={version('packaging')}"
    except PackageNotFoundError:
        wanted = "packaging"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=packaging"]
    command += [f"--dest={folder}", wanted]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    archives = list(folder.glob("packaging-*.tar.gz"))
    if done.returncode or not archives:
        raise SuiteError(f"pip cannot download {wanted}: {done.stdout.strip()}")
    with tarfile.open(archives[0]) as archive:
        archive.extractall(folder, filter="data")
    return next(path for path in folder.iterdir() if path.is_dir())
