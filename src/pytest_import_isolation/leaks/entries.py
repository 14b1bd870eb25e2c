"""Entries of ``sys.modules``: which are real modules, and which changes of them are leaks."""

from __future__ import annotations

import os
import sys
import weakref
from types import ModuleType
from typing import Final

from pytest_import_isolation.leaks.findings import Finding
from pytest_import_isolation.machinery.modules import ABSENT, class_home, namespace, own_name_of, top_level
from pytest_import_isolation.parking.ownership import can_be_imported
from pytest_import_isolation.state.odd_keys import is_text
from pytest_import_isolation.state.origins import Origin, Origins, describe, describe_beside
from pytest_import_isolation.state.single_changes import SingleChange


def is_real(name: object, module: object, origins: Origins) -> bool:
    """Tell whether an entry is what an import makes, and no fake."""
    if origins.verdict(name, module).origin is Origin.FAKE:
        return False
    # sys.modules["ujson"] = json: the import system gives a top-level module no name but its own.
    if type(name) is not str or "." in name or name.startswith("__") or not is_second_name(name, module):
        return True
    # Cython enters a module of a package under its last name, too.
    return own_name_of(module).rpartition(".")[2] == name and origins.verdict(name, module).is_extension


def is_second_name(name: object, module: object) -> bool:
    """Tell whether a module was imported under another name, which it still has, too."""
    own_name = own_name_of(module)
    return own_name not in ("", name) and sys.modules.get(own_name) is module


def has_private_name(name: object, module: object) -> bool:
    """Tell whether a file was executed under a name that no import statement gives it.

    Tools do so with files that a user writes for them: each under the same name, one after the other.
    """
    if not can_be_imported(name):
        return True
    file = (namespace(module) or {}).get("__file__")
    if type(file) is not str or type(name) is not str:
        return False
    folder, base = os.path.split(file)  # a Path takes ten times as long, and every module is asked
    stem = base.partition(".")[0]
    spelled = os.path.basename(folder) if stem == "__init__" else stem
    return spelled != name.rpartition(".")[2]


def is_first_import(change: SingleChange, origins: Origins) -> bool:
    """Tell whether a change is a real module that was not loaded before."""
    if change.what != "entry" or change.before is not ABSENT or change.after is None:
        return False
    return is_real(change.key, change.after, origins)


# To fake it with the mark is impossible: there is no name.
_NO_STRING: Final = "Its key in sys.modules is no string: code that reads the names of all modules may fail."


def judge_entry(change: SingleChange, origins: Origins) -> Finding | None:
    """Return what a change of an entry is, or None if it harms nobody.

    Args:
        change: the change; no first import.
        origins: gives the verdicts on modules.
    """
    name, before, after = change.key, change.before, change.after
    if type(name) is str and not can_be_imported(name):
        return None  # coverage keeps an object there, $coverage.debug..., to have it once in a process
    if not is_text(name):
        return None if after is ABSENT else Finding("fake-left", _NO_STRING, case="fake-left-by-key")
    was_real = before is not ABSENT and is_real(name, before, origins)
    if after is ABSENT:
        if not was_real or type(before) is weakref.ProxyType:
            return None  # somebody cleaned up, or what it referred to is gone
        return Finding(
            "removed", "It was loaded, and its entry is gone: the next import loads a second copy."
        )
    if after is None:
        return Finding("blocked-left", "Its entry in sys.modules is None: every import of it fails.")
    if is_real(name, after, origins):
        if not was_real or _replaced_itself(name, after):
            return None
        return _replaced(before, _second_copy(before, after))
    if before is ABSENT or not was_real:
        return Finding(
            "fake-left", f"Its entry in sys.modules is {describe(after)}: every later import gets that."
        )
    return _replaced(before, describe_beside(after, before))._replace(case="replaced-by-fake")


def _replaced(before: object, now: str) -> Finding:
    return Finding("replaced", f"Its entry in sys.modules was {describe(before)} and is {now} now.")


def _replaced_itself(name: object, after: object) -> bool:
    """Tell whether a library put a stand-in for a module of its own into its place."""
    home = class_home(type(after))
    return type(after) is not ModuleType and type(name) is str and top_level(home) == top_level(name)


def _second_copy(before: object, after: object) -> str:
    file = (namespace(after) or {}).get("__file__")
    other = (namespace(before) or {}).get("__file__")
    if type(file) is str and type(other) is str and file == other:
        return "a second copy of it"
    return describe_beside(after, before)
