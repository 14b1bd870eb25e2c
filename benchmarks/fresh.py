"""What it costs to execute a module again: by importlib after its removal, and by ``fresh_import``."""

from __future__ import annotations

import importlib
import sys
import time
from contextlib import ExitStack
from statistics import median

from benchmarks.contender import Contender, Timed
from benchmarks.machine import installed
from benchmarks.paired import Spread, alternate
from benchmarks.suites import ROOT, Plan
from benchmarks.tables import Section, Table, seconds, times

#: Module to the distribution that it comes with.
_MODULES = {
    "django.db.models": "django",
    "sqlalchemy.orm": "sqlalchemy",
    "rich.console": "rich",
    "jinja2": "jinja2",
    "flask": "flask",
}
_CHOSEN = {"full": tuple(_MODULES), "check": ("sqlalchemy.orm", "jinja2"), "small": ("jinja2",)}
_ROUNDS = {"full": 15, "check": 5, "small": 1}


def by_importlib(name: str) -> dict[str, Timed]:
    """Make a contender that removes a module and all below it, and imports it again."""
    importlib.import_module(name)
    parent, _, child = name.rpartition(".")

    def once() -> float:
        old = {
            key: module for key, module in sys.modules.items() if key == name or key.startswith(f"{name}.")
        }
        for key in old:
            del sys.modules[key]
        start = time.thread_time()
        importlib.import_module(name)
        took = time.thread_time() - start
        for key in [key for key in sys.modules if key == name or key.startswith(f"{name}.")]:
            del sys.modules[key]
        sys.modules.update(old)
        if parent:
            setattr(sys.modules[parent], child, old[name])
        return took

    return {name: lambda number: sum(once() for _ in range(number))}


def by_fresh_import(name: str) -> dict[str, Timed]:
    """Make a contender that uses ``fresh_import``; the window around it is not timed."""
    from pytest_import_isolation import IsolatedImportContext, fresh_import

    importlib.import_module(name)

    def once() -> float:
        with IsolatedImportContext():
            start = time.thread_time()
            fresh_import(name)
            return time.thread_time() - start

    return {name: lambda number: sum(once() for _ in range(number))}


def measure(plan: Plan) -> Section:
    """Measure the modules that are installed."""
    env = plan.workshop.environment(ROOT)
    rows, missing, found = [], [], []
    for name in _CHOSEN[plan.size]:
        if not installed(name):
            lacking = "" if name == _MODULES[name] else f"{_MODULES[name]} is "
            missing.append(f"{name}: {lacking}not installed")
            continue
        with ExitStack() as stack:
            contenders = {
                factory: stack.enter_context(Contender(f"{__name__}:{factory}", name, env=env)).runner(name)
                for factory in (by_importlib.__name__, by_fresh_import.__name__)
            }
            samples = alternate(contenders, plan.rounds_or(_ROUNDS[plan.size]))
        one, other = samples.values()
        faster = [a / b for a, b in zip(one, other, strict=True)]
        found.append(faster)
        rows.append((name, seconds(median(one)), seconds(median(other)), times(Spread.of(faster))))
    over_all = [median(of_round) for of_round in zip(*found, strict=True)]
    ratios = {"importlib, times fresh_import": Spread.of(over_all)} if over_all else {}
    title = "Executing modules again"
    columns = ("", "importlib", "fresh_import", "importlib / fresh_import")
    return Section(
        "fresh",
        "A module, with all below it that it imports, is executed again. CPU time of the thread, median of paired "
        "rounds (quartiles), each contender in a process of its own. The key ratio is the median over the modules, by round.",
        (Table(title, columns, tuple(rows)),) if rows else (),
        tuple(missing),
        ratios,
        ("pytest-import-isolation", *_MODULES.values()),
    )
