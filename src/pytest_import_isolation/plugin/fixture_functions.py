"""The functions of the fixtures that a test uses."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest


def has_fixture(item: pytest.Item, fixturedef: pytest.FixtureDef[Any]) -> bool:
    """Tell whether a test has a fixture, by its arguments or because it asked for it."""
    # Private both; without them no test has one.
    found = getattr(getattr(item, "_request", None), "_fixture_defs", {}).values()
    named = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {}).values()
    return any(one is fixturedef for one in (*found, *chain.from_iterable(named)))


def fixture_functions(item: pytest.Item | None) -> Iterator[object]:
    """Yield the functions of a test's fixtures, of all definitions that one name has."""
    # Private, as are the definitions; without them there is none.
    info = getattr(item, "_fixtureinfo", None)
    for definitions in getattr(info, "name2fixturedefs", {}).values():
        yield from (definition.func for definition in definitions)
