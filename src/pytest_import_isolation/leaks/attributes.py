"""Attributes by which packages hold their submodules: which changes of them are leaks."""

from __future__ import annotations

import sys

from pytest_import_isolation.leaks.findings import Finding
from pytest_import_isolation.machinery.modules import ABSENT, parent_of
from pytest_import_isolation.state.origins import describe_beside
from pytest_import_isolation.state.single_changes import SingleChange


def judge_attribute(change: SingleChange) -> Finding | None:
    """Return what a change of an attribute is, or None if it harms nobody."""
    entry = sys.modules.get(change.key, ABSENT)
    # A mismatch that was there before is the library's own affair; only the transition counts.
    if entry is not change.before or entry is change.after:
        return None
    parent, child = parent_of(change.key)
    now = (
        "it is gone"
        if change.after is ABSENT
        else f"it is {describe_beside(change.after, change.before)} now"
    )
    return Finding(
        "stale-attribute",
        f"The attribute {child} of {parent} was the module in sys.modules, and {now}: "
        f"'import {change.key}' and '{change.key}' give different objects.",
    )
