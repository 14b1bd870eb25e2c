"""How long a fixture lives, as far as its file is concerned."""

from __future__ import annotations

from typing import Any, Final

import pytest

# The scopes wider than that of a test of which no fixture outlives its file.
_INSIDE: Final = frozenset(("class", "module"))


def _is_of_file(fixturedef: pytest.FixtureDef[Any]) -> bool:
    """Tell whether a test file defines a fixture, and no conftest or plugin: no other file can request it."""
    return fixturedef.baseid.partition("::")[0].endswith(".py")


def is_for_many(fixturedef: pytest.FixtureDef[Any]) -> bool:
    """Tell whether a fixture of a conftest or plugin is set up for many files, and not for each one."""
    return fixturedef.scope not in _INSIDE and not _is_of_file(fixturedef)


def ends_with_file(fixturedef: pytest.FixtureDef[Any]) -> bool:
    """Tell whether a fixture is torn down with the last test of a file where files are isolated."""
    return fixturedef.scope in _INSIDE or _is_of_file(fixturedef)


def would_outlive_file(fixturedef: pytest.FixtureDef[Any]) -> bool:
    """Tell whether pytest tears a wide fixture of a test file down later than with the last test of it."""
    return fixturedef.scope not in _INSIDE and _is_of_file(fixturedef)


def owner_of(fixturedef: pytest.FixtureDef[Any], nodeid: str) -> str:
    """Return who answers for a fixture.

    Args:
        fixturedef: the fixture.
        nodeid: whose it is for pytest: that of the run says nothing, but a test file may define it.
    """
    return nodeid or (fixturedef.baseid if _is_of_file(fixturedef) else "")
