"""Import isolation and ``sys.modules`` hygiene for tests.

Importing this package loads no pytest.
"""

from pytest_import_isolation.changes import Changes
from pytest_import_isolation.doors import fake_module, missing_modules
from pytest_import_isolation.errors import ImportIsolationError, ImportIsolationWarning
from pytest_import_isolation.fresh import fresh_import
from pytest_import_isolation.isolation import IsolatedImportContext

__all__ = [
    "Changes",
    "ImportIsolationError",
    "ImportIsolationWarning",
    "IsolatedImportContext",
    "fake_module",
    "fresh_import",
    "missing_modules",
]
