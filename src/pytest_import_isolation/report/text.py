"""The report as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from pytest_import_isolation.report.groups import (
    INDENT,
    Group,
    exposed_of,
    file_of,
    groups_of,
    tell,
    what_of,
    where_of,
    who_of,
)
from pytest_import_isolation.report.lines import Line, wrapped
from pytest_import_isolation.report.records import ERROR, INFO, Leak, Report, more_of_first_import
from pytest_import_isolation.wording import count, listing, plain

#: How many lines the report has without ``-v``: those of a small terminal.
_SCREEN: Final = 24
#: Without ``-v``: how many contained or allowed changes, and files, are named.
_BRIEF: Final = 4
_FILES: Final = 5
#: The verbosity of ``-vv``, with which first imports are listed.
_FIRST_IMPORTS: Final = 2


def render(
    report: Report,
    *,
    verbosity: int = 0,
    width: int = 80,
    notes: Iterable[Line] = (),
    guards: bool = True,
    is_explained: bool = True,
) -> Iterator[Line]:
    """Return the lines of the report, the worst first.

    Args:
        report: what to tell.
        verbosity: above 0, every leak is told in full, and accepted changes are listed; above 1, first
            imports too; below 0, only the worst leak and the verdict; below -1, only the verdict.
        width: where lines are broken.
        notes: what else is to be said of the run.
        guards: whether the run fails for errors, or nothing can be said about that.
        is_explained: whether the reason of each failure is known, as far as anybody can say.
    """
    lines = (
        _quiet(report, verbosity, width, is_explained=is_explained)
        if verbosity < 0
        else _whole(report, width, notes, verbosity=verbosity, guards=guards, is_explained=is_explained)
    )
    return (line._replace(text=plain(line.text)) for line in lines)


def _whole(
    report: Report,
    width: int,
    notes: Iterable[Line],
    *,
    verbosity: int,
    guards: bool,
    is_explained: bool,
) -> Iterator[Line]:
    told = [tell(group, width, verbose=verbosity > 0) for group in groups_of(report)]
    tail = [line for note in _tail(report, verbosity, notes) for line in wrapped(note, width, INDENT)]
    shown = [group.lines for group in told] if verbosity else _fitting(told, _SCREEN - 2 - len(tail))
    for lines in shown:
        yield from lines
    rest = [leak for group in told[len(shown) :] for leak in group.leaks]
    if rest:
        yield Line(f"... and {count(len(rest), 'more leak')}, by file:")
        yield from _by_file(rest)
    yield from tail
    more = "; -v shows all" if rest else ""
    if verbosity == 1 and _loaded_in(report):
        more = "; -vv lists first imports"
    yield _verdict(report, more=more, guards=guards, is_explained=is_explained)


def _fitting(told: list[Group], room: int) -> list[list[Line]]:
    """Return the lines of the groups that fit on a screen.

    If not all of them fit, what to do is said once for each kind, and room is left for the rest.
    """
    if sum(len(group.lines) for group in told) <= room:
        return [group.lines for group in told]
    room -= 1 + _FILES
    shown: list[list[Line]] = []
    kinds: set[str] = set()
    for group in told:
        kind = group.leaks[0].kind
        lines = group.brief if kind in kinds else group.lines
        kinds.add(kind)
        room -= len(lines)
        if shown and room < 0:
            break
        shown.append(lines)
    return shown


def _quiet(report: Report, verbosity: int, width: int, *, is_explained: bool) -> Iterator[Line]:
    if verbosity == -1:
        for worst in groups_of(report)[:1]:
            exposed = "".join(f"; {text}" for text in exposed_of(worst))
            yield Line(
                f"{what_of(worst, width)} {who_of(worst)}{where_of(worst)}{exposed}", worst[0].severity
            )
    yield from _gaps(report)
    verdict = _verdict(report, contained=True, is_explained=is_explained)
    if verbosity == -1 or verdict.style != "good":
        yield verdict


def verdict_of(report: Report, *, is_explained: bool = True) -> Line:
    """Return the last line of the report; see :func:`render`."""
    return _verdict(report, is_explained=is_explained)


def polluter_of(leak: Leak) -> str:
    """Return who made a leak."""
    return who_of([leak])


def place_of(leak: Leak) -> str:
    """Return where a leak was made, with a comma before it, or nothing if that is not known."""
    return where_of([leak])


def _by_file(leaks: list[Leak]) -> Iterator[Line]:
    counts: dict[str, int] = {}
    for leak in leaks:
        file = file_of(leak) or "the test run"
        counts[file] = counts.get(file, 0) + 1
    files = sorted(counts.items(), key=lambda pair: -pair[1])
    shown = files if len(files) <= _FILES else files[: _FILES - 1]
    for file, number in shown:
        yield Line(f"{INDENT}{number:4} {file}")
    rest = files[len(shown) :]
    if rest:
        yield Line(f"{INDENT}{sum(number for _, number in rest):4} in {len(rest)} more files")


# What is said after the leaks


def _tail(report: Report, verbosity: int, notes: Iterable[Line]) -> Iterator[Line]:
    harmless = {
        "contained: {} undone by isolation": [leak for leak in report.leaks if leak.contained],
        "allowed: {}": [leak for leak in report.leaks if leak.allowed and not leak.contained],
    }
    for sentence, found in harmless.items():
        leaks = [leak for leak in found if leak.severity != INFO]
        if not leaks:
            continue
        named = listing(list(dict.fromkeys(f"{leak.kind} {leak.name}" for leak in leaks)), _BRIEF)
        yield Line(f"{sentence.format(count(len(leaks), 'change'))} ({named})")
        if verbosity > 0:
            for leak in leaks:
                yield Line(f"  {leak.kind} {leak.name}, {who_of([leak])}{where_of([leak])}")
    if verbosity > 0:
        yield from _added(report)
    if verbosity >= _FIRST_IMPORTS:
        yield from _loaded(report)
    yield from notes
    yield from _gaps(report)


def _added(report: Report) -> Iterator[Line]:
    """Tell the names that were added to modules, which is information, too."""
    added = [leak for leak in report.leaks if leak.severity == INFO and leak.kind != "loaded"]
    if added:
        yield Line(f"added names ({len(added)}):")
    for leak in added:
        yield Line(f"  {leak.name} {who_of([leak])}{where_of([leak])}")


def _loaded_in(report: Report) -> list[Leak]:
    return [leak for leak in report.leaks if leak.kind == "loaded"]


def _loaded(report: Report) -> Iterator[Line]:
    loaded = _loaded_in(report)
    if loaded:
        yield Line(f"first imports ({len(loaded)}):")
    for leak in loaded:
        yield Line(f"  {leak.name} {who_of([leak])}{where_of([leak])}{more_of_first_import(leak)}")


def _gaps(report: Report) -> Iterator[Line]:
    for worker, state in sorted(report.workers.items()):
        if state != "ok":
            yield Line(f"worker {worker}: {state}", ERROR)
    if not report.complete:
        yield Line("this report is not complete: the run ended before everything was seen", ERROR)


def _verdict(
    report: Report,
    *,
    more: str = "",
    guards: bool = True,
    contained: bool = False,
    is_explained: bool = True,
) -> Line:
    summary = report.summary
    undone = f", {summary['contained']} contained" if contained and summary["contained"] else ""
    loaded = f"({count(len(_loaded_in(report)), 'first import')})"
    if not summary["error"] and not summary["warning"]:
        # A failure that nothing explains may have a reason that nobody can see.
        is_certain = report.complete and is_explained
        clean = "no import leaks" if is_certain else "no import leaks seen"
        clean += " except the allowed ones" if summary["allowed"] else ""
        hint = "" if guards or not is_certain else "; --import-leak-fail keeps it so"
        return Line(f"{clean}{undone} {loaded}{hint}{more}", "good")
    counts = f"{count(summary['error'], 'error')}, {count(summary['warning'], 'warning')}{undone}"
    return Line(f"import leaks: {counts} {loaded}{more}", ERROR if summary["error"] else "warning")
