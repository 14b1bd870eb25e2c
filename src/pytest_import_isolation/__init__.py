"""Import isolation and ``sys.modules`` hygiene for tests.

Importing this package loads no pytest, and the modules behind the names below only when one is used: the
plugin is loaded in every test run, and most runs need none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_import_isolation.errors import ImportIsolationError, ImportIsolationWarning

if TYPE_CHECKING:
    from pytest_import_isolation.changes import Changes
    from pytest_import_isolation.doors import fake_module, missing_modules
    from pytest_import_isolation.fresh import fresh_import
    from pytest_import_isolation.isolation import IsolatedImportContext
    from pytest_import_isolation.packages import make_package

__all__ = [
    "Changes",
    "ImportIsolationError",
    "ImportIsolationWarning",
    "IsolatedImportContext",
    "fake_module",
    "fresh_import",
    "make_package",
    "missing_modules",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # All at once: a name that is first used inside a window must not load anything more there.
    from pytest_import_isolation.changes import Changes
    from pytest_import_isolation.doors import fake_module, missing_modules
    from pytest_import_isolation.fresh import fresh_import
    from pytest_import_isolation.isolation import IsolatedImportContext
    from pytest_import_isolation.packages import make_package

    public = (Changes, IsolatedImportContext, fake_module, fresh_import, make_package, missing_modules)
    globals().update({item.__name__: item for item in public})
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
