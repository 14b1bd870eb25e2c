"""Attributes by which packages hold their submodules: which changes of them are leaks."""

from __future__ import annotations

import sys
from types import ModuleType

from pytest_import_isolation.leaks.findings import Finding
from pytest_import_isolation.machinery.modules import ABSENT, file_of, is_initializing, own_name_of, parent_of
from pytest_import_isolation.state.origins import describe_beside
from pytest_import_isolation.state.single_changes import SingleChange
from pytest_import_isolation.state.submodule_attributes import bound_value, parent_namespace


def judge_attribute(change: SingleChange) -> Finding | None:
    """Return what a change of an attribute is, or None if it harms nobody."""
    entry = sys.modules.get(change.key, ABSENT)
    # A mismatch that was there before is the library's own affair; only the transition counts.
    if entry is not change.before or entry is change.after:
        return None
    parent, child = parent_of(change.key)
    if change.after is ABSENT:
        detail = (
            f"{parent} has no attribute {child} for the module in sys.modules: "
            f"after 'import {change.key}', '{change.key}' raises AttributeError."
        )
    else:
        now = describe_beside(change.after, change.before)
        detail = (
            f"The attribute {child} of {parent} was the module in sys.modules, and it is {now} now: "
            f"'import {change.key}' and '{change.key}' give different objects."
        )
    return Finding("stale-attribute", detail)


def is_bound(name: object, module: object) -> bool:
    """Tell whether the package above a module holds it, as the import system has it; so if there is none."""
    return type(name) is not str or "." not in name or bound_value(name) is module


def lacks_attribute(name: object, module: object) -> bool:
    """Tell whether a package is loaded and does not hold a submodule, which somebody entered by hand.

    The import system binds what it has loaded, and takes a loaded module as it is.
    """
    return (
        type(name) is str
        and issubclass(type(module), ModuleType)
        and parent_namespace(name) is not None
        and bound_value(name) is ABSENT
        and not is_initializing(module)
    )


def displaced_by(name: object, module: object) -> object:
    """Return the other copy of a module that its package holds in its place, ABSENT for none.

    Somebody threw the module out, imported it once more, and put the first one back.
    """
    bound = bound_value(name) if type(name) is str else ABSENT
    if bound is module or not (_is_module(bound) and _is_module(module)):
        return ABSENT
    file = file_of(module)
    is_copy = file is not None and file == file_of(bound) and own_name_of(bound) == name
    return bound if is_copy and not is_initializing(module) else ABSENT


def _is_module(value: object) -> bool:
    return issubclass(type(value), ModuleType)
