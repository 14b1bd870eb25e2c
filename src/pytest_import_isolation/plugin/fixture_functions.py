"""The functions of the fixtures that a test uses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


def fixture_functions(item: pytest.Item | None) -> Iterator[object]:
    """Yield the functions of a test's fixtures, of all definitions that one name has."""
    # Private, as are the definitions; without them there is none.
    info = getattr(item, "_fixtureinfo", None)
    for definitions in getattr(info, "name2fixturedefs", {}).values():
        yield from (definition.func for definition in definitions)
