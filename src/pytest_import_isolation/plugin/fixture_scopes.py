"""How long a fixture lives, as far as its file is concerned."""

from __future__ import annotations

from typing import Any

import pytest


def is_of_file(fixturedef: pytest.FixtureDef[Any]) -> bool:
    """Tell whether a test file defines a fixture, and no conftest or plugin: no other file can request it."""
    return fixturedef.baseid.partition("::")[0].endswith(".py")


def ends_with_file(fixturedef: pytest.FixtureDef[Any]) -> bool:
    """Tell whether a fixture is torn down with the last test of a file where files are isolated."""
    return fixturedef.scope in ("class", "module") or is_of_file(fixturedef)
