"""Leaks that belong together, and what the terminal says of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.report.lines import Line, wrapped
from pytest_import_isolation.report.records import SEVERITIES, Exposure, Leak, Report
from pytest_import_isolation.wording import listing

INDENT: Final = "    "
#: How many lines of a file are named if it is not verbose.
_LINES: Final = 6
_BAD: Final = ("failed", "error")
#: What their sentence says is said by the kind and the name; that of any other kind is never left out.
PLAIN_KINDS: Final = frozenset(
    (
        *("fake-left", "removed", "blocked-left", "evicted"),
        *("path-added", "path-removed", "path-moved"),
        *("finder-added", "finder-removed", "hook-added", "hook-removed"),
    )
)
#: What stands for the name of a leak in an advice that others share.
_NAME: Final = "\0"


class Group(NamedTuple):
    """Leaks that belong together, and what is said of them."""

    leaks: list[Leak]
    lines: list[Line]
    #: Without the sentences that all of one kind have in common.
    brief: list[Line]


def groups_of(report: Report) -> list[list[Leak]]:
    """Return the harmful leaks, those of one kind by one file together, the worst first.

    Leaks with different sentences are apart where the sentence is the message.
    """
    groups: dict[object, list[Leak]] = {}
    for leak in report.leaks:
        if leak.is_harmful:
            message = "" if leak.kind in PLAIN_KINDS else leak.detail.replace(leak.name, _NAME)
            groups.setdefault((leak.kind, leak.severity, file_of(leak), message), []).append(leak)
    return _sorted(groups.values())


def tell(group: list[Leak], width: int, *, verbose: bool) -> Group:
    """Return what is said of the leaks of a group.

    Args:
        group: the leaks, the worst first.
        width: where lines are broken.
        verbose: whether those that differ in more than their names and lines are told one by one.
    """
    if not verbose:
        return _told(group, width, [])
    parts: dict[object, list[Leak]] = {}
    for leak in group:
        place = leak.location and leak.location.file
        parts.setdefault((leak.polluter, leak.detail, place), []).append(leak)
    told: list[Line] = []
    before: list[list[Leak]] = []
    for part in _sorted(parts.values()):
        told += _told(part, width, before, verbose=True).lines
        before.append(part)
    return Group(group, told, told)


def _sorted(groups: Iterable[list[Leak]]) -> list[list[Leak]]:
    """Return groups, and the leaks in each, the worst first: what explains most failures."""
    return sorted((sorted(group, key=lambda leak: harm_of([leak])) for group in groups), key=harm_of)


def harm_of(group: list[Leak]) -> tuple[int, int, int]:
    """Return what is the less the worse some leaks are: by their severity, and by who met them."""
    met = met_of(group)
    failed = sum(exposure.outcome in _BAD for exposure in met)
    return min(SEVERITIES.index(leak.severity) for leak in group), -failed, -len(met)


def worst_file(report: Report) -> tuple[str, int] | None:
    """Return the file that harms most, and how many of those who met its leaks failed; None for no harm."""
    files: dict[str, list[Leak]] = {}
    for leak in report.leaks:
        if leak.is_harmful:
            files.setdefault(file_of(leak), []).append(leak)
    if not files:
        return None
    worst = min(files.values(), key=lambda group: (*harm_of(group), -len(group)))
    return file_of(worst[0]), -harm_of(worst)[1]


def file_of(leak: Leak) -> str:
    """Return the file of whoever made a leak, or nothing if that was the run itself."""
    return leak.polluter.nodeid.partition("::")[0]


def met_of(group: Iterable[Leak]) -> list[Exposure]:
    """Return who met one of the leaks, each once, with the worst that became of it."""
    met: dict[str, Exposure] = {}
    for leak in group:
        for exposure in leak.exposed:
            known = met.get(exposure.nodeid)
            if known is None or (exposure.outcome in _BAD and known.outcome not in _BAD):
                met[exposure.nodeid] = exposure
    return list(met.values())


def _told(group: list[Leak], width: int, before: Sequence[list[Leak]], *, verbose: bool = False) -> Group:
    first = group[0]
    # A single name stays beside its kind, however long: people look for it with grep.
    what = Line(what_of(group, None if verbose else width), first.severity)
    head = list(wrapped(what, width, INDENT * 2)) if verbose and len(group) > 1 else [what]
    several = len({leak.detail for leak in group}) > 1
    detail = Line(f"{first.name}: {first.detail}" if several else first.detail)
    way = " > ".join(f"{link.file}:{link.line}" for link in first.chain)
    advised = {_shared_advice(part[0]) for part in before}
    facts = [
        Line(f"{who_of(group)}{where_of(group, verbose=verbose)}"),
        detail,
        *([Line(f"by way of {way}")] if verbose and len(first.chain) > 1 else ()),
        *(Line(text) for text in (_all_exposed(group, before) if verbose else exposed_of(group))),
    ]
    advice = [Line(first.advice, "advice")] if _shared_advice(first) not in advised else []

    def told(lines: list[Line]) -> list[Line]:
        indented = (Line(f"{INDENT}{line.text}", line.style) for line in lines)
        return head + [part for line in indented for part in wrapped(line, width, INDENT * 2)]

    is_plain = first.kind in PLAIN_KINDS
    return Group(group, told([*facts, *advice]), told([facts[0], *facts[2 if is_plain else 1 :]]))


def _shared_advice(leak: Leak) -> str:
    return leak.advice.replace(leak.name, _NAME)


def what_of(group: list[Leak], width: int | None) -> str:
    """Return severity, kind and names, as many as fit into one line."""
    first = group[0]
    text = f"{first.severity}: {first.kind} {first.name}"
    names = list(dict.fromkeys(leak.name for leak in group))[1:]
    everything = ", ".join([text, *names])
    if width is None or len(everything) <= width:
        return everything
    while names and len(f"{text}, {names[0]} and {len(names) - 1} more") <= width:
        text = f"{text}, {names.pop(0)}"
    return f"{text} and {len(names)} more" if names else text


def who_of(group: Sequence[Leak]) -> str:
    """Return who made the leaks of a group, and how often."""
    polluter = group[0].polluter
    others = len({leak.polluter.nodeid for leak in group}) - 1
    more = f" and {others} more of this file" if others else ""
    changes = sum(leak.count for leak in group)
    if changes > len(group):
        more += f", {changes} changes in all" if len(group) > 1 else f", the first of {changes} such changes"
    return f"by {polluter.nodeid or 'the test run'} ({polluter.phase}){more}"


def where_of(group: Sequence[Leak], *, verbose: bool = False) -> str:
    """Return the places of a group of leaks, or nothing if none is known."""
    places: dict[str, list[str]] = {}
    exact = True
    through = []
    for leak in group:
        place = leak.location
        if place is not None:
            exact = exact and place.exact
            lines = places.setdefault(place.file, [])
            if str(place.line) not in lines:
                lines.append(str(place.line))
        if leak.chain:
            last = leak.chain[-1]
            if place is None or (last.file, last.line) != (place.file, place.line):
                through.append(f"{last.file}:{last.line}")
    text = ""
    if places:
        if verbose:  # each of them can be clicked
            told = ", ".join(f"{file}:{line}" for file, lines in places.items() for line in lines)
        else:
            told = listing([f"{file}:{listing(lines, _LINES)}" for file, lines in places.items()], 2)
        text = f", {'' if exact else 'probably '}at {told}"
    if through:
        text += f", through {listing(list(dict.fromkeys(through)), 2)}"
    return text


def exposed_of(group: list[Leak]) -> Iterator[str]:
    """Yield who met the leaks of a group, in one line."""
    met = met_of(group)
    if len(met) == 1:
        yield f"exposed: {met[0].nodeid} ({met[0].outcome})"
    elif met:
        bad = [exposure for exposure in met if exposure.outcome in _BAD]
        yield f"exposed: {_how_many(met)}, first: {(bad or met)[0].nodeid}"


def _all_exposed(group: list[Leak], before: Sequence[list[Leak]]) -> Iterator[str]:
    """Yield everybody who met the leaks of a group, unless the same were told a moment ago."""
    met = met_of(group)
    told = [
        f"{exposure.nodeid} ({exposure.phase}) at {exposure.file}:{exposure.line}: {exposure.outcome}"
        for exposure in met
    ]
    if len(met) == 1:
        yield f"exposed: {told[0]}"
    elif met and before and met_of(before[-1]) == met:
        yield f"exposed: {_how_many(met)}: the same as above"
    elif met:
        yield f"exposed: {_how_many(met)}:"
        yield from (f"{INDENT}{text}" for text in told)


def _how_many(met: Sequence[Exposure]) -> str:
    bad = sum(exposure.outcome in _BAD for exposure in met)
    return f"{len(met)}, {f'of these {bad} failed' if bad else 'none failed'}"
