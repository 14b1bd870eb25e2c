"""Paths as somebody sees them who stands in another directory than the rootdir."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Final

from pytest_import_isolation.machinery.regexes import regex
from pytest_import_isolation.report.records import Leak, Report

#: A path to a Python file in a sentence.
_FILE: Final = regex(r"[^\s'\"(),;:]+\.py(?![\w.])")

#: Gives for a path relative to the rootdir one relative to another directory; other paths as they are.
Relocate = Callable[[str], str]


def relocation(root: Path, here: Path) -> Relocate | None:
    """Return what gives the paths of a report as they are seen from a directory; None if they are the same.

    Args:
        root: the rootdir, to which the paths of a report are relative.
        here: the directory.
    """
    if root == here:
        return None

    @cache
    def relocate(path: str) -> str:
        if not path or os.path.isabs(path):
            return path
        try:
            return os.path.relpath(root / path, here).replace(os.sep, "/")
        except ValueError:  # on another drive
            return path

    return relocate


def seen_from(report: Report, relocate: Relocate | None) -> Report:
    """Return a report with other paths, also in its node ids and sentences."""
    return report if relocate is None else report._replace(leaks=leaks_seen_from(report.leaks, relocate))


def leaks_seen_from(leaks: Iterable[Leak], relocate: Relocate | None) -> tuple[Leak, ...]:
    """Return leaks with other paths."""
    return tuple(leaks) if relocate is None else tuple(_leak(leak, relocate) for leak in leaks)


def _leak(leak: Leak, relocate: Relocate) -> Leak:
    place = leak.location
    return leak._replace(
        polluter=leak.polluter._replace(nodeid=_nodeid(leak.polluter.nodeid, relocate)),
        location=place and place._replace(file=relocate(place.file)),
        chain=tuple(link._replace(file=relocate(link.file)) for link in leak.chain),
        detail=_FILE.sub(lambda found: relocate(found[0]), leak.detail),
        exposed=tuple(
            met._replace(nodeid=_nodeid(met.nodeid, relocate), file=relocate(met.file))
            for met in leak.exposed
        ),
    )


def _nodeid(nodeid: str, relocate: Relocate) -> str:
    file, separator, rest = nodeid.partition("::")
    return f"{relocate(file)}{separator}{rest}"
