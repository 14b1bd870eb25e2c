"""Repetition is one leak: what one statement does again and again, and all that one block evicts."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Final

from pytest_import_isolation.machinery.regexes import regex
from pytest_import_isolation.report.advice import advise
from pytest_import_isolation.report.records import INFO, SEVERITIES, Leak, Report, eviction_detail
from pytest_import_isolation.wording import listing

_EVICTED: Final = "evicted"
_CASES: Final = (_EVICTED, "evicted-by-hand")
_MOST_NAMES: Final = 6
#: Kinds whose sentences say who holds what, which is the message.
_WITH_HOLDERS: Final = frozenset(("reloaded", "tainted", "name-clash"))
_BAD: Final = ("failed", "error")
# pytest gives each test a temporary directory of its own.
_TEMPORARY: Final = regex(r"/pytest-of-[^/]+/pytest-\d+/(?:popen-gw\d+/)?[^/]+")


def fold(report: Report) -> Report:
    """Return a report in which each leak that was made several times is there once, with how often it was."""
    evicted = _joined(report.leaks, _block_of, _of_one_block)
    return report._replace(leaks=tuple(_joined(evicted, _statement_of, _together)))


def _joined(
    leaks: Iterable[Leak],
    key_of: Callable[[Leak], Hashable],
    join: Callable[[list[Leak]], Leak],
) -> list[Leak]:
    """Return leaks in their order, those with the same key joined in the place of the first."""
    kept: list[Leak] = []
    # By the place of the first: there are thousands of first imports, and nothing is joined to them.
    groups: dict[int, list[Leak]] = {}
    places: dict[Hashable, int] = {}
    for leak in leaks:
        key = None if leak.severity == INFO else key_of(leak)
        if key is not None:
            place = places.setdefault(key, len(kept))
            groups.setdefault(place, []).append(leak)
            if place != len(kept):
                continue
        kept.append(leak)
    for place, group in groups.items():
        kept[place] = group[0] if len(group) == 1 else join(group)
    return kept


def _block_of(leak: Leak) -> Hashable:
    """Return what all modules have in common that one block evicted; None for any other leak."""
    if leak.kind != _EVICTED or leak.location is None or not leak.detail.endswith(eviction_detail("")):
        return None
    place = leak.location
    return leak.polluter, leak.severity, place.file, place.line, leak.allowed, leak.contained


def _of_one_block(group: list[Leak]) -> Leak:
    """Return one leak for all, by the name of what failures needed most, else of the first."""
    group = sorted(group, key=_failures, reverse=True)
    names = [leak.name for leak in group]
    first = _together(group)
    advices = [advise(case, first.polluter.nodeid) for case in _CASES]
    advice = next((text for text in advices if text.format(name=first.name) == first.advice), advices[0])
    return first._replace(
        detail=eviction_detail(f"It and {listing(names[1:], _MOST_NAMES)} were"),
        advice=advice.format(name=listing(names, _MOST_NAMES)),
    )


def _statement_of(leak: Leak) -> Hashable:
    """Return what a leak has in common with the same one that another test made."""
    place, (nodeid, phase) = leak.location, leak.polluter
    # Parameters are in brackets.
    where = (place.file, place.line) if place is not None else nodeid.partition("[")[0]
    name = _TEMPORARY.sub("/*", leak.name)
    # The first of many tests found something else there than the second: that is the same leak all the same.
    message = leak.detail.replace(leak.name, name) if leak.kind in _WITH_HOLDERS else ""
    return leak.kind, name, message, leak.allowed, leak.contained, phase, where


def _together(group: list[Leak]) -> Leak:
    """Return the first of several leaks, as bad as the worst of them, with all who met one of them."""
    met = dict.fromkeys(exposure for leak in group for exposure in leak.exposed)
    worst = min((leak.severity for leak in group), key=SEVERITIES.index)
    total = sum(leak.count for leak in group)
    return group[0]._replace(severity=worst, exposed=tuple(met), count=total)


def _failures(leak: Leak) -> int:
    return sum(exposure.outcome in _BAD for exposure in leak.exposed)
