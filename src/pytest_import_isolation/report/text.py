"""The report as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from pytest_import_isolation.report.records import ERROR, INFO, SEVERITIES, Leak, Report
from pytest_import_isolation.wording import count, listing

#: How many groups of leaks are told without ``-v``, and how many names and lines of each.
_FULL: Final = 6
_NAMES: Final = 6
_LINES: Final = 8
#: How many contained changes are named without ``-v``.
_BRIEF: Final = 4
_HOW_MANY_LOADED: Final = 200


class Line(NamedTuple):
    """A line of text and how it is meant: a severity, ``"advice"``, ``"good"`` or ``""``."""

    text: str
    style: str = ""


def render(report: Report, *, verbose: bool = False) -> Iterator[Line]:
    """Yield the lines of the report, the worst first.

    Args:
        report: what to tell.
        verbose: tell every leak in full, and list first imports and what was contained.
    """
    groups = _groups(leak for leak in report.leaks if leak.is_harmful)
    shown = groups if verbose else groups[:_FULL]
    for group in shown:
        yield from _one(group, len(group) if verbose else _NAMES)
    rest = [leak for group in groups[len(shown) :] for leak in group]
    if rest:
        yield Line(f"... and {count(len(rest), 'more leak')} (-v shows all), by file:")
        yield from _by_file(rest)
    contained = [leak for leak in report.leaks if leak.contained and leak.severity != INFO]
    if contained:
        changed = listing(list(dict.fromkeys(f"{leak.kind} {leak.name}" for leak in contained)), _BRIEF)
        yield Line(f"contained: {count(len(contained), 'change')} undone by isolation ({changed})")
        if verbose:
            for leak in contained:
                yield Line(f"  {leak.kind} {leak.name}, by {_who(leak)}")
    if verbose:
        yield from _loaded(report)
    for worker, state in sorted(report.workers.items()):
        if state != "ok":
            yield Line(f"worker {worker}: {state}", ERROR)
    if not report.complete:
        yield Line("this report is not complete: the run ended before everything was seen", ERROR)
    yield _verdict(report)


def _groups(leaks: Iterable[Leak]) -> list[list[Leak]]:
    """Return leaks that differ in nothing but their names and lines together, the worst first."""
    groups: dict[object, list[Leak]] = {}
    for leak in leaks:
        file = leak.location and leak.location.file
        groups.setdefault((leak.kind, leak.severity, leak.polluter, leak.detail, file), []).append(leak)
    return sorted(groups.values(), key=lambda group: SEVERITIES.index(group[0].severity))


def _one(group: list[Leak], names: int) -> Iterator[Line]:
    first = group[0]
    yield Line(
        f"{first.severity}: {first.kind} {listing([leak.name for leak in group], names)}", first.severity
    )
    yield Line(f"    by {_who(first)}{_where(group)}")
    yield Line(f"    {first.detail}")
    exposed = [exposure for leak in group for exposure in leak.exposed]
    if exposed:
        failed = sum(exposure.outcome in ("failed", "error") for exposure in exposed)
        yield Line(f"    {len(exposed)} exposed, {failed} failed")
    yield Line(f"    {first.advice}", "advice")


def _who(leak: Leak) -> str:
    return f"{leak.polluter.nodeid or 'the test run'} ({leak.polluter.phase})"


def _where(group: list[Leak]) -> str:
    """Return the places of a group of leaks, or nothing if none is known."""
    places = [leak.location for leak in group if leak.location is not None]
    if not places:
        return ""
    probably = "" if all(place.exact for place in places) else "probably "
    lines = listing(list(dict.fromkeys(str(place.line) for place in places)), _LINES)
    return f", {probably}at {places[0].file}:{lines}"


def _by_file(leaks: list[Leak]) -> Iterator[Line]:
    counts: dict[str, int] = {}
    for leak in leaks:
        file = leak.polluter.nodeid.partition("::")[0] or "the test run"
        counts[file] = counts.get(file, 0) + 1
    for file, number in sorted(counts.items(), key=lambda pair: -pair[1])[:10]:
        yield Line(f"    {number:4} {file}")


def _loaded(report: Report) -> Iterator[Line]:
    loaded = [leak for leak in report.leaks if leak.severity == INFO]
    if loaded:
        yield Line(f"first imports ({len(loaded)}):")
    for leak in loaded[:_HOW_MANY_LOADED]:
        yield Line(f"  {leak.name} by {_who(leak)}{_where([leak])}")
    if len(loaded) > _HOW_MANY_LOADED:
        yield Line(
            f"  ... and {len(loaded) - _HOW_MANY_LOADED} more, all of them in the file of --import-leak-file"
        )


def _verdict(report: Report) -> Line:
    summary = report.summary
    if not summary["error"] and not summary["warning"]:
        clean = "no import leaks" if report.complete else "no import leaks seen"
        return Line(f"{clean} ({count(summary['info'], 'first import')})", "good")
    counts = f"{count(summary['error'], 'error')}, {count(summary['warning'], 'warning')}"
    return Line(
        f"import leaks: {counts} ({count(summary['info'], 'first import')})",
        ERROR if summary["error"] else "warning",
    )
