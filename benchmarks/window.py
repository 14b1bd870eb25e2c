"""What it costs to enter and leave a window, beside other ways to put ``sys.modules`` back."""

from __future__ import annotations

import compileall
import functools
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from statistics import median
from unittest import mock

from benchmarks.contender import Contender, Timed, timed
from benchmarks.generated import fill, write_package
from benchmarks.machine import installed
from benchmarks.paired import alternate, ratio
from benchmarks.suites import ROOT, Plan
from benchmarks.tables import Section, Table, seconds, times

_SIZES = {"full": (500, 2_000, 10_000), "check": (2_000,), "small": (500,)}
_ROUNDS = 20

#: What happens inside, with the prefix of the packages that are imported: four packages of five modules.
_CASES = {
    "nothing changed": "",
    "20 foreign modules": "guest",
    "20 first-party modules": "house",
}
_CHOSEN = {
    "full": tuple(_CASES),
    "check": ("nothing changed", "20 foreign modules"),
    "small": ("20 first-party modules",),
}
_PACKAGES = 4
_MODULES_IN_PACKAGE = 5

_BARE = "dict(sys.modules)"
_WINDOW = "window"
_NAIVE = "naive context"
_IMPORT_HELPER = "import_helper"


@contextmanager
def naive() -> Iterator[None]:
    """What people write by hand: copy, delete what is new, put the old back."""
    before = dict(sys.modules)
    try:
        yield
    finally:
        for name in list(sys.modules):
            if name not in before:
                del sys.modules[name]
        sys.modules.update(before)


def _import_helper() -> Callable[[], AbstractContextManager[None]]:
    from test.support import import_helper  # type: ignore[import-not-found]

    @contextmanager
    def isolated_modules() -> Iterator[None]:
        """What the function of this name does, which only newer Pythons have."""
        saved = import_helper.modules_setup()
        try:
            yield
        finally:
            import_helper.modules_cleanup(*saved)

    return isolated_modules


def _pytest_snapshots() -> Callable[[], AbstractContextManager[None]]:
    from _pytest.pytester import SysModulesSnapshot, SysPathsSnapshot

    @contextmanager
    def snapshots() -> Iterator[None]:
        modules, paths = SysModulesSnapshot(), SysPathsSnapshot()
        try:
            yield
        finally:
            modules.restore()
            paths.restore()

    return snapshots


def _window() -> Callable[[], AbstractContextManager[object]]:
    from pytest_import_isolation import IsolatedImportContext

    return IsolatedImportContext


#: Name to a function that loads what the context needs and returns it.
_CONTEXTS: dict[str, Callable[[], Callable[[], AbstractContextManager[object]]]] = {
    _WINDOW: _window,
    _NAIVE: lambda: naive,
    "mock.patch.dict": lambda: lambda: mock.patch.dict(sys.modules),
    "pytest's snapshots": _pytest_snapshots,
    _IMPORT_HELPER: _import_helper,
}


def contender(kind: str, modules: int, folder: str) -> dict[str, Timed]:
    """Make a contender, in a process that is its own.

    Args:
        kind: a key of the contexts, or the bare copy.
        modules: how many modules are loaded.
        folder: where the packages of the project lie.

    Returns:
        What to time, by case.
    """
    sys.path.insert(0, folder)
    context = None if kind == _BARE else _CONTEXTS[kind]()
    fill(modules)
    if context is None:
        compact = dict(sys.modules.copy().items())  # every import leaves a hole in the table itself
        return dict.fromkeys(_CASES, timed(lambda: dict(compact)))

    def run(names: list[str]) -> None:
        with context():
            for name in names:
                importlib.import_module(name)

    return {
        case: timed(functools.partial(run, _packages(prefix) if prefix else []))
        for case, prefix in _CASES.items()
    }


def _packages(prefix: str) -> list[str]:
    return [f"{prefix}_{number}" for number in range(_PACKAGES)]


def measure(plan: Plan) -> Section:
    """Measure windows with several numbers of modules loaded."""
    project = plan.workshop.root / "project"
    for prefix, folder in (("guest", plan.workshop.site_packages), ("house", project)):
        for name in _packages(prefix):
            write_package(folder, name, _MODULES_IN_PACKAGE)
        compileall.compile_dir(folder, quiet=1)
    kinds = [_BARE, *_CONTEXTS]
    missing = []
    if plan.size == "check":
        kinds = [_BARE, _WINDOW, _NAIVE]
    elif not installed("test.support.import_helper"):
        kinds.remove(_IMPORT_HELPER)
        missing.append(f"{_IMPORT_HELPER}: this Python has no test.support")
    tables, ratios = [], {}
    for size in _SIZES[plan.size]:
        plan.workshop.write_fillers(size)
        rows = []
        for case, samples in _samples(plan, kinds, size, project).items():
            against = {kind: ratio(samples[kind], samples[_BARE]) for kind in kinds}
            to_naive = ratio(samples[_WINDOW], samples[_NAIVE])
            rows.append((case, *(times(against[kind]) for kind in kinds if kind != _BARE), times(to_naive)))
            ratios[f"{case}, {size:,} modules, times dict()"] = against[_WINDOW]
            ratios[f"{case}, {size:,} modules, times naive"] = to_naive
            bare = median(samples[_BARE])
        tables.append(
            Table(
                f"{size:,} modules, times {_BARE} ({seconds(bare)})",
                ("inside", *(kind for kind in kinds if kind != _BARE), "window / naive"),
                tuple(rows),
            )
        )
    return Section(
        "window",
        "Enter and leave, with so many modules loaded. CPU time of the thread, median of paired rounds (quartiles). "
        "Each contender has a process of its own. 20 modules are four packages of five. All but the window "
        "execute foreign modules each time.",
        tuple(tables),
        tuple(missing),
        ratios,
        ("pytest-import-isolation", "pytest"),
    )


def _samples(plan: Plan, kinds: list[str], modules: int, project: Path) -> dict[str, dict[str, list[float]]]:
    """Return the seconds of each contender for each case, by round."""
    target = f"{__name__}:{contender.__name__}"
    env = plan.workshop.environment(ROOT)
    with ExitStack() as stack:
        contenders = {
            kind: stack.enter_context(Contender(target, kind, modules, str(project), env=env))
            for kind in kinds
        }
        return {
            case: alternate(
                {kind: contender.runner(case) for kind, contender in contenders.items()},
                plan.rounds_or(_ROUNDS),
            )
            for case in _CHOSEN[plan.size]
        }
