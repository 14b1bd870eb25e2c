"""The baseline: known findings, counted by file, rule and name, so that it survives merges."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from pytest_import_isolation.errors import ReportError
from pytest_import_isolation.lint.findings import Finding
from pytest_import_isolation.machinery.named_tuples import NamedTuple

#: The version of the format.
VERSION: Final = 1
_REPAIR: Final = "repair it, or delete it and write a new one with --write-baseline"


class Key(NamedTuple):
    """What a known finding is counted by; not its line."""

    file: str
    rule: str
    name: str


Known = Mapping[Key, int]


def key_of(finding: Finding, root: str, home: str) -> Key:
    """Return what a finding is counted by.

    Args:
        finding: the finding.
        root: the folder relative to which it names its file.
        home: the folder of the baseline, relative to which that names files.
    """
    return Key(portable(finding.file, root, home), finding.rule, finding.name)


def portable(file: str, root: str, home: str) -> str:
    """Return how a baseline names a file."""
    try:
        return os.path.relpath(os.path.join(root, file), home).replace(os.sep, "/")
    except ValueError:  # another drive
        return file


def read_baseline(text: str) -> Known:
    """Parse a baseline.

    Raises:
        ReportError: it is none; the message goes on after the name of the file.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ReportError(f"it is no JSON ({error}); {_REPAIR}") from None
    known = data.get("known") if isinstance(data, dict) else None
    if not isinstance(data, dict) or data.get("version") != VERSION or not isinstance(known, dict):
        raise ReportError(f"it is no baseline of version {VERSION} of the linter; {_REPAIR}")
    found: dict[Key, int] = {}
    for file, rules in known.items():
        for rule, names in rules.items() if isinstance(rules, dict) else [("", None)]:
            if not isinstance(names, dict) or not all(type(number) is int for number in names.values()):
                raise ReportError(f"its entry {file!r} is no table of rules, names and numbers; {_REPAIR}")
            found.update({Key(file, rule, name): number for name, number in names.items()})
    return found


def write_baseline(known: Known) -> str:
    """Return the text of a baseline: sorted, and one name a line, so that changes of it read well."""
    table: dict[str, dict[str, dict[str, int]]] = {}
    for key in sorted(known):
        if known[key] > 0:
            table.setdefault(key.file, {}).setdefault(key.rule, {})[key.name] = known[key]
    return json.dumps({"version": VERSION, "known": table}, indent=2) + "\n"


def split(findings: Iterable[Finding], known: Known, root: str, home: str) -> tuple[list[Finding], Known]:
    """Take known findings away.

    Args:
        findings: all of them, in order.
        known: how many of each are known.
        root: the folder relative to which findings name files.
        home: the folder of the baseline.

    Returns:
        Those beyond the number that is known, the last of each group; and how many of each group there are.
    """
    counted: Counter[Key] = Counter()
    new = []
    for finding in findings:
        key = key_of(finding, root, home)
        counted[key] += 1
        if counted[key] > known.get(key, 0):
            new.append(finding)
    return new, counted
