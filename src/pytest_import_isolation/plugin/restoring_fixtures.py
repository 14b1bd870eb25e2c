"""Fixtures of installed plugins that put ``sys.modules`` back as it was, as ``pytester`` does.

To throw out what a test imported in the meantime is their purpose, and no test's leak.
"""

from __future__ import annotations

import sys
from types import FunctionType
from typing import Final

import pytest

from pytest_import_isolation.parking.ownership import Ownership
from pytest_import_isolation.plugin.fixture_functions import fixture_functions

#: Where pytest makes the fixtures that call setUpClass, setup_module and their like: they restore nothing.
_OF_CLASSES: Final = frozenset(("_pytest.python", "_pytest.unittest"))


def has_restoring_fixture(item: pytest.Item | None, ownership: Ownership) -> bool:
    """Tell whether a test uses a fixture of a plugin whose code can throw modules out.

    Args:
        item: the test.
        ownership: tells what code can do.
    """
    homes = {one.__module__ for one in fixture_functions(item) if type(one) is FunctionType} - _OF_CLASSES
    return any(ownership.can_throw_out(sys.modules.get(home)) for home in homes)
