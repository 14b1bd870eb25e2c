"""What it costs to execute a module again: by importlib after its removal, by ``fresh_import``, and alone."""

from __future__ import annotations

import importlib
import sys
import time
from contextlib import ExitStack
from statistics import median
from types import ModuleType
from typing import Any

from benchmarks.contender import Contender, Timed
from benchmarks.machine import installed
from benchmarks.paired import Spread, alternate, ratio
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
#: What a module holds before it is executed.
_GIVEN = {"__name__", "__spec__", "__loader__", "__package__", "__file__", "__cached__", "__path__"}


def by_importlib(name: str) -> dict[str, Timed]:
    """Make a contender that removes a module and all below it, and imports it again."""
    importlib.import_module(name)
    parent, _, child = name.rpartition(".")

    def once() -> float:
        old = _below(name)
        for key in old:
            del sys.modules[key]
        start = time.thread_time()
        importlib.import_module(name)
        took = time.thread_time() - start
        for key in _below(name):
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


def by_executing_alone(name: str) -> dict[str, Timed]:
    """Make a contender that executes the bodies of the same modules in their order, and does nothing else.

    Whoever executes them anew cannot take less: the code is at hand, and what a body imports is loaded.
    """
    importlib.import_module(name)
    old = _below(name)
    for key in old:
        del sys.modules[key]
    importlib.import_module(name)
    # importlib enters a module once more when it has been executed, so that those come first that others need.
    loaded = _below(name)
    codes = {key: module.__spec__.loader.get_code(key) for key, module in loaded.items()}

    def once() -> float:
        start = time.thread_time()
        for key, code in codes.items():
            if code is None:
                continue  # it has no source
            module = ModuleType(key)
            module.__dict__.update(
                (each, vars(loaded[key])[each]) for each in _GIVEN & vars(loaded[key]).keys()
            )
            sys.modules[key] = module
            exec(code, module.__dict__)
        took = time.thread_time() - start
        sys.modules.update(loaded)
        return took

    return {name: lambda number: sum(once() for _ in range(number))}


def _below(name: str) -> dict[str, Any]:
    return {key: module for key, module in sys.modules.items() if key == name or key.startswith(f"{name}.")}


_FACTORIES = (by_importlib.__name__, by_fresh_import.__name__, by_executing_alone.__name__)


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
                for factory in _FACTORIES
            }
            samples = alternate(contenders, plan.rounds_or(_ROUNDS[plan.size]))
        one, other, alone = samples.values()
        faster = [a / b for a, b in zip(one, other, strict=True)]
        found.append(faster)
        took = (seconds(median(each)) for each in (one, other, alone))
        rows.append((name, *took, times(Spread.of(faster)), times(ratio(one, alone))))
    over_all = [median(of_round) for of_round in zip(*found, strict=True)]
    ratios = {"importlib, times fresh_import": Spread.of(over_all)} if over_all else {}
    title = "Executing modules again"
    columns = (
        *("", "importlib", "fresh_import", "the bodies alone"),
        *("importlib / fresh_import", "importlib / the bodies alone"),
    )
    return Section(
        "fresh",
        "A module, with all below it that it imports, is executed again. CPU time of the thread, median of paired "
        "rounds (quartiles), each contender in a process of its own. The key ratio is the median over the modules, by round.",
        (Table(title, columns, tuple(rows)),) if rows else (),
        tuple(missing),
        ratios,
        ("pytest-import-isolation", *_MODULES.values()),
    )
