"""Import isolation and ``sys.modules`` hygiene for tests.

Importing this package loads no pytest, and the modules behind the names below only when one is used: the
plugin is loaded in every test run, and most runs need none of them.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from pytest_import_isolation.errors import ImportIsolationError, ImportIsolationWarning

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from pytest_import_isolation.cycles.circles import ImportCycle, ImportCycles
    from pytest_import_isolation.cycles.search import assert_no_circular_imports, find_import_cycles
    from pytest_import_isolation.helpers.fake_and_missing import fake_module, missing_modules
    from pytest_import_isolation.helpers.fresh import fresh_import
    from pytest_import_isolation.helpers.packages import make_package
    from pytest_import_isolation.state.changes import Changes
    from pytest_import_isolation.tracing.entries import TracedImport
    from pytest_import_isolation.tracing.guards import assert_importable, import_budget
    from pytest_import_isolation.tracing.trace import ImportTrace, trace_imports
    from pytest_import_isolation.window.context import IsolatedImportContext

__all__ = [
    "Changes",
    "ImportCycle",
    "ImportCycles",
    "ImportIsolationError",
    "ImportIsolationWarning",
    "ImportTrace",
    "IsolatedImportContext",
    "TracedImport",
    "assert_importable",
    "assert_no_circular_imports",
    "fake_module",
    "find_import_cycles",
    "fresh_import",
    "import_budget",
    "make_package",
    "missing_modules",
    "trace_imports",
]

# Groups of modules with the names that are taken from them. The first name of a group that is used loads the
# whole group, so that the next one, used inside a window, loads nothing more there.
_GROUPS: Final = (
    {
        "state.changes": ("Changes",),
        "helpers.fake_and_missing": ("fake_module", "missing_modules"),
        "helpers.fresh": ("fresh_import",),
        "window.context": ("IsolatedImportContext",),
        "helpers.packages": ("make_package",),
    },
    {
        "cycles.search": ("assert_no_circular_imports", "find_import_cycles"),
        "cycles.circles": ("ImportCycle", "ImportCycles"),
    },
    {"tracing.entries": ("TracedImport",), "tracing.trace": ("ImportTrace", "trace_imports")},
    {"tracing.guards": ("assert_importable", "import_budget")},
)


def __getattr__(name: str) -> Any:
    group = next((group for group in _GROUPS if any(name in names for names in group.values())), None)
    if group is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with _eager_imports():
        for home, names in group.items():
            module = import_module(f"{__name__}.{home}")
            globals().update((public, getattr(module, public)) for public in names)
    return globals()[name]


def _eager_imports() -> AbstractContextManager[None]:
    if sys.version_info < (3, 15):
        return nullcontext()
    from pytest_import_isolation.machinery.lazy_settings import eager_imports

    return eager_imports()


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
