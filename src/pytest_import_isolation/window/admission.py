"""Letting what was loaded in a window belong to the state around it, where it stays when the window ends."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from pytest_import_isolation.machinery.finders import without_own_finder
from pytest_import_isolation.machinery.modules import top_level
from pytest_import_isolation.parking.belongings import Belonging, owner_of
from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.state.differences import Difference, stands_in_front
from pytest_import_isolation.state.snapshot import ImportState
from pytest_import_isolation.window.outcomes import Outcome


def admit(around: ImportState, modules: Mapping[Any, object], difference: Difference) -> None:
    """Let modules belong to the state around a window, with what their packages put into lists of ``sys``.

    Args:
        around: the state.
        modules: the modules.
        difference: tells what is new in the lists.
    """
    around.admit(modules)
    admit_items(around, difference, dict.fromkeys(modules, Outcome.KEEP))


def admit_item(around: ImportState, list_name: str, item: object) -> None:
    """Let an item of a list of ``sys`` belong to the state around a window."""
    around.admit_item(list_name, item, in_front=_is_in_front(around, list_name, item))


def admit_items(around: ImportState, difference: Difference, outcomes: Mapping[Any, Outcome]) -> None:
    """Let new finders, hooks and path entries stay, or leave and return, with their package.

    Args:
        around: the state around the window.
        difference: tells what is new.
        outcomes: what becomes of the modules of the packages.
    """
    packages: dict[str, Outcome] = {}
    for name, outcome in outcomes.items():
        if type(name) is str:
            package = top_level(name)
            packages[package] = max(outcome, packages.get(package, Outcome.FORGET))
    known = {package: FINDER.lot.module(package) or sys.modules.get(package) for package in packages}
    for list_name, change in difference.lists.items():
        for item in change.added:
            owner = owner_of(list_name, item, known)
            if owner is None:
                continue
            if packages[owner] is Outcome.KEEP:
                admit_item(around, list_name, item)
            elif packages[owner] is Outcome.PARK:
                in_front = _is_in_front(around, list_name, item)
                FINDER.lot.entrust(owner, Belonging(list_name, item, in_front))


def _is_in_front(around: ImportState, list_name: str, item: object) -> bool:
    now, before = (
        without_own_finder(items)  # what comes back stands behind the finder
        for items in (getattr(sys, list_name), around.contents(list_name))
    )
    return stands_in_front(item, now, before)
