"""The report as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from pytest_import_isolation.report.records import ERROR, INFO, SEVERITIES, Leak, Report
from pytest_import_isolation.wording import count, listing

#: How many leaks are told in full without ``-v``.
_FULL: Final = 6
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
    harmful = sorted((leak for leak in report.leaks if leak.is_harmful), key=_rank)
    shown = harmful if verbose else harmful[:_FULL]
    for leak in shown:
        yield from _one(leak)
    if len(harmful) > len(shown):
        yield Line(f"... and {count(len(harmful) - len(shown), 'more leak')} (-v shows all), by file:")
        yield from _by_file(harmful[len(shown) :])
    contained = [leak for leak in report.leaks if leak.contained and leak.severity != INFO]
    if contained:
        names = listing(list(dict.fromkeys(f"{leak.kind} {leak.name}" for leak in contained)), _BRIEF)
        yield Line(f"contained: {count(len(contained), 'change')} undone by isolation ({names})")
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


def _rank(leak: Leak) -> int:
    return SEVERITIES.index(leak.severity)


def _one(leak: Leak) -> Iterator[Line]:
    yield Line(f"{leak.severity}: {leak.kind} {leak.name}", leak.severity)
    yield Line(f"    {_where(leak)}")
    yield Line(f"    {leak.detail}")
    if leak.exposed:
        failed = sum(exposure.outcome in ("failed", "error") for exposure in leak.exposed)
        yield Line(f"    {len(leak.exposed)} exposed, {failed} failed")
    yield Line(f"    {leak.advice}", "advice")


def _who(leak: Leak) -> str:
    return f"{leak.polluter.nodeid or 'the test run'} ({leak.polluter.phase})"


def _where(leak: Leak) -> str:
    if leak.location is None:
        return f"by {_who(leak)}"
    probably = "" if leak.location.exact else "probably "
    return f"by {_who(leak)}, {probably}at {leak.location.file}:{leak.location.line}"


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
        yield Line(f"  {leak.name} {_where(leak)}")
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
