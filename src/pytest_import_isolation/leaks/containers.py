"""The lists of ``sys`` and their items, and ``sys.modules`` as an object: which changes of them are leaks."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Final

from pytest_import_isolation.contents.values import kind_of
from pytest_import_isolation.leaks.findings import Finding
from pytest_import_isolation.machinery.modules import ABSENT, namespace
from pytest_import_isolation.parking.belongings import item_text
from pytest_import_isolation.report.records import WARNING
from pytest_import_isolation.state.differences import items_of
from pytest_import_isolation.state.single_changes import SAME_CONTENTS, SingleChange

#: As the report calls it.
IMPORT_FUNCTION: Final = "builtins.__import__"
_LIST_KINDS: Final = {"path": "path", "meta_path": "finder", "path_hooks": "hook"}


def items_of_lists() -> frozenset[tuple[str, str]]:
    """Return what stands in the lists of ``sys``: the kind of leak that each item would be, and its name."""
    return frozenset(
        (f"{kind}-added", item_text(item))
        for list_name, kind in _LIST_KINDS.items()
        for item in items_of(list_name)
    )


def judge_rebinding(change: SingleChange) -> Finding:
    """Return what it is that a container of ``sys`` is another object."""
    # A list with the same contents harms only those who hold the old one; nltk does it when imported. So
    # does another cache: what is missing there is made again.
    same = change.before is SAME_CONTENTS
    what = "another object than before, with the same contents" if same else "another object than before"
    # Of all these, the interpreter remembers where its modules are alone; the rest is read from sys.
    if change.key == "sys.modules":
        detail = (
            f"{change.key} is {what}; code that holds the old one, as the interpreter does, sees no changes."
        )
    else:
        detail = f"{change.key} is {what}; code that holds the old one sees no changes."
    is_mild = same or change.key == "sys.path_importer_cache"
    return Finding("rebound", detail, severity=WARNING if is_mild else None)


def judge_import_function(change: SingleChange) -> Finding:
    """Return what it is that every import statement calls another function."""
    detail = f"Every import statement calls {kind_of(change.after)} now."
    return Finding("rebound", detail, IMPORT_FUNCTION, case="rebound-by-function")


def judge_item(change: SingleChange, is_of_project: Callable[[str], bool]) -> Finding | None:
    """Return what a change of a list of ``sys`` is, or None if it harms nobody.

    Args:
        change: the change.
        is_of_project: tells whether a directory lies in the project.
    """
    if change.key == "order":
        if change.what != "path":
            return None
        return Finding("path-moved", "sys.path holds the same entries in another order.", "sys.path")
    added = change.before is ABSENT
    item = change.after if added else change.before
    name = item_text(item)
    is_temporary = added and change.what == "path" and _is_temporary(item) and not is_of_project(name)
    return Finding(
        f"{_LIST_KINDS[change.what]}-{'added' if added else 'removed'}",
        f"It was {'added to' if added else 'removed from'} sys.{change.what}.",
        name,
        case="path-added-by-temporary" if is_temporary else None,
    )


def _is_temporary(entry: object) -> bool:
    """Tell whether an entry of ``sys.path`` is a directory that another run will not have."""
    # Nothing is called: a test may have patched it. It is known once somebody has asked for such a directory.
    home = (namespace(sys.modules.get("tempfile")) or {}).get("tempdir")
    if type(entry) is not str or type(home) is not str or not os.path.isabs(home):
        return False
    return any(entry.startswith(os.path.join(each, "")) for each in (home, os.path.realpath(home)))
