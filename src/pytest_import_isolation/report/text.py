"""The report as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from pytest_import_isolation.report.records import (
    ERROR,
    INFO,
    SEVERITIES,
    Exposure,
    Leak,
    Report,
    more_of_first_import,
)
from pytest_import_isolation.wording import count, listing, plain

#: How many lines the report has without ``-v``: those of a small terminal.
_SCREEN: Final = 24
#: Without ``-v``: how many lines of a file, contained or allowed changes, and files are named.
_LINES: Final = 6
_BRIEF: Final = 4
_FILES: Final = 5
#: How many groups are told with ``-q``.
_QUIET: Final = 10
_HOW_MANY_LOADED: Final = 200
_INDENT: Final = "    "
_BAD: Final = ("failed", "error")


class Line(NamedTuple):
    """A line of text and how it is meant: a severity, ``"advice"``, ``"good"`` or ``""``."""

    text: str
    style: str = ""


def render(
    report: Report,
    *,
    verbosity: int = 0,
    width: int = 80,
    notes: Iterable[Line] = (),
    guards: bool = True,
) -> Iterator[Line]:
    """Return the lines of the report, the worst first.

    Args:
        report: what to tell.
        verbosity: above 0, every leak is told in full, and first imports and accepted changes are listed;
            below 0, one line for each group of errors; below -1, only the verdict.
        width: where lines are broken.
        notes: what else is to be said of the run.
        guards: whether the run fails for errors, or nothing can be said about that.
    """
    lines = (
        _quiet(report, verbosity, width)
        if verbosity < 0
        else _whole(report, width, notes, verbose=verbosity > 0, guards=guards)
    )
    return (line._replace(text=plain(line.text)) for line in lines)


def _whole(
    report: Report, width: int, notes: Iterable[Line], *, verbose: bool, guards: bool
) -> Iterator[Line]:
    told = [_group(group, width, verbose) for group in _groups(report, verbose)]
    tail = [line for note in _tail(report, verbose, notes) for line in _wrapped(note, width, _INDENT)]
    shown = [group.lines for group in told] if verbose else _fitting(told, _SCREEN - 2 - len(tail))
    for lines in shown:
        yield from lines
    rest = [leak for group in told[len(shown) :] for leak in group.leaks]
    if rest:
        yield Line(f"... and {count(len(rest), 'more leak')}, by file:")
        yield from _by_file(rest)
    yield from tail
    yield _verdict(report, hidden=bool(rest), guards=guards)


class _Group(NamedTuple):
    """Leaks that belong together, and what is said of them."""

    leaks: list[Leak]
    lines: list[Line]
    #: Without the sentences that all of one kind have in common.
    brief: list[Line]


def _fitting(told: list[_Group], room: int) -> list[list[Line]]:
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


def _quiet(report: Report, verbosity: int, width: int) -> Iterator[Line]:
    errors = [group for group in _groups(report, verbose=False) if group[0].severity == ERROR]
    if verbosity == -1:
        for group in errors[:_QUIET]:
            exposed = "".join(f"; {text}" for text in _exposed(group, verbose=False))
            yield Line(f"{_what(group, width)} {_who(group)}{_where(group)}{exposed}", ERROR)
        if len(errors) > _QUIET:
            yield Line(f"... and {sum(map(len, errors[_QUIET:]))} more")
    yield from _gaps(report)
    verdict = _verdict(report, hidden=False, guards=True)
    if verbosity == -1 or verdict.style != "good":
        yield verdict


# Groups


def _groups(report: Report, verbose: bool) -> list[list[Leak]]:
    """Return leaks that belong together, the worst first.

    Together are leaks of one kind by one file; if it is verbose, only those that differ in nothing but
    their names and lines.
    """
    groups: dict[object, list[Leak]] = {}
    for leak in report.leaks:
        if leak.is_harmful:
            place = leak.location and leak.location.file
            apart = (leak.polluter, leak.detail, place) if verbose else _file_of(leak)
            groups.setdefault((leak.kind, leak.severity, apart), []).append(leak)

    def harm(group: list[Leak]) -> tuple[int, int, int]:
        met = _met(group)
        failed = sum(exposure.outcome in _BAD for exposure in met)
        return SEVERITIES.index(group[0].severity), -failed, -len(met)

    return sorted(groups.values(), key=harm)


def _file_of(leak: Leak) -> str:
    return leak.polluter.nodeid.partition("::")[0]


def _met(group: Iterable[Leak]) -> list[Exposure]:
    """Return who met one of the leaks, each once, with the worst that became of it."""
    met: dict[str, Exposure] = {}
    for leak in group:
        for exposure in leak.exposed:
            known = met.get(exposure.nodeid)
            if known is None or (exposure.outcome in _BAD and known.outcome not in _BAD):
                met[exposure.nodeid] = exposure
    return list(met.values())


def _group(group: list[Leak], width: int, verbose: bool) -> _Group:
    first = group[0]
    # A single name stays beside its kind, however long: people look for it with grep.
    what = Line(_what(group, None if verbose else width), first.severity)
    head = list(_wrapped(what, width, _INDENT * 2)) if verbose and len(group) > 1 else [what]
    several = len({leak.detail for leak in group}) > 1
    detail = Line(f"{first.name}: {first.detail}" if several else first.detail)
    way = " > ".join(f"{link.file}:{link.line}" for link in first.chain)
    facts = [
        Line(f"{_who(group)}{_where(group, verbose)}"),
        detail,
        *([Line(f"by way of {way}")] if verbose and len(first.chain) > 1 else ()),
        *(Line(text) for text in _exposed(group, verbose)),
        Line(first.advice, "advice"),
    ]

    def told(lines: list[Line]) -> list[Line]:
        indented = (Line(f"{_INDENT}{line.text}", line.style) for line in lines)
        return head + [part for line in indented for part in _wrapped(line, width, _INDENT * 2)]

    return _Group(group, told(facts), told([facts[0], *facts[2:-1]]))


def _what(group: list[Leak], width: int | None) -> str:
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


def _who(group: Sequence[Leak]) -> str:
    polluter = group[0].polluter
    others = len({leak.polluter.nodeid for leak in group}) - 1
    more = f" and {others} more of this file" if others else ""
    return f"by {polluter.nodeid or 'the test run'} ({polluter.phase}){more}"


def _where(group: Sequence[Leak], verbose: bool = False) -> str:
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
        most = max(map(len, places.values())) if verbose else _LINES
        told = [f"{file}:{listing(lines, most)}" for file, lines in places.items()]
        text = f", {'' if exact else 'probably '}at {listing(told, len(told) if verbose else 2)}"
    if through:
        text += f", through {listing(list(dict.fromkeys(through)), 2)}"
    return text


def _exposed(group: list[Leak], verbose: bool) -> Iterator[str]:
    met = _met(group)
    bad = [exposure for exposure in met if exposure.outcome in _BAD]
    if len(met) == 1:
        yield f"exposed: {met[0].nodeid} ({met[0].outcome})"
    elif met:
        failed = f"of these {len(bad)} failed" if bad else "none failed"
        yield f"exposed: {len(met)}, {failed}, first: {(bad or met)[0].nodeid}"
    if verbose:
        for exposure in met:
            place = f"{exposure.file}:{exposure.line}"
            yield f"{_INDENT}{exposure.nodeid} ({exposure.phase}) at {place}: {exposure.outcome}"


def polluter_of(leak: Leak) -> str:
    """Return who made a leak."""
    return _who([leak])


def place_of(leak: Leak) -> str:
    """Return where a leak was made, with a comma before it, or nothing if that is not known."""
    return _where([leak])


def _by_file(leaks: list[Leak]) -> Iterator[Line]:
    counts: dict[str, int] = {}
    for leak in leaks:
        file = _file_of(leak) or "the test run"
        counts[file] = counts.get(file, 0) + 1
    files = sorted(counts.items(), key=lambda pair: -pair[1])
    shown = files if len(files) <= _FILES else files[: _FILES - 1]
    for file, number in shown:
        yield Line(f"{_INDENT}{number:4} {file}")
    rest = files[len(shown) :]
    if rest:
        yield Line(f"{_INDENT}{sum(number for _, number in rest):4} in {len(rest)} more files")


# What is said after the leaks


def _tail(report: Report, verbose: bool, notes: Iterable[Line]) -> Iterator[Line]:
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
        if verbose:
            for leak in leaks:
                yield Line(f"  {leak.kind} {leak.name}, {_who([leak])}")
    if verbose:
        yield from _loaded(report)
    yield from notes
    yield from _gaps(report)


def _loaded(report: Report) -> Iterator[Line]:
    loaded = [leak for leak in report.leaks if leak.kind == "loaded"]
    if loaded:
        yield Line(f"first imports ({len(loaded)}):")
    for leak in loaded[:_HOW_MANY_LOADED]:
        yield Line(f"  {leak.name} {_who([leak])}{_where([leak])}{more_of_first_import(leak)}")
    if len(loaded) > _HOW_MANY_LOADED:
        yield Line(
            f"  ... and {len(loaded) - _HOW_MANY_LOADED} more, all of them in the file of --import-leak-file"
        )


def _gaps(report: Report) -> Iterator[Line]:
    for worker, state in sorted(report.workers.items()):
        if state != "ok":
            yield Line(f"worker {worker}: {state}", ERROR)
    if not report.complete:
        yield Line("this report is not complete: the run ended before everything was seen", ERROR)


def _verdict(report: Report, *, hidden: bool, guards: bool) -> Line:
    summary = report.summary
    loaded = f"({count(summary['info'], 'first import')})"
    if not summary["error"] and not summary["warning"]:
        clean = "no import leaks" if report.complete else "no import leaks seen"
        clean += " except the allowed ones" if summary["allowed"] else ""
        hint = "" if guards or not report.complete else "; --import-leak-fail keeps it so"
        return Line(f"{clean} {loaded}{hint}", "good")
    counts = f"{count(summary['error'], 'error')}, {count(summary['warning'], 'warning')}"
    return Line(
        f"import leaks: {counts} {loaded}{'; -v shows all' if hidden else ''}",
        ERROR if summary["error"] else "warning",
    )


# Lines of a terminal


def _wrapped(line: Line, width: int, hanging: str) -> Iterator[Line]:
    """Break a line between its words; paths and calls stay in one piece, to be copied."""
    text = line.text
    if len(text) <= width:
        yield line
        return
    indent = text[: len(text) - len(text.lstrip())]
    taken = ""
    for word in _words(text.strip(), width - len(hanging)):
        longer = f"{taken} {word}" if taken else f"{indent}{word}"
        if taken and len(longer) > width:
            yield Line(taken, line.style)
            longer = f"{hanging}{word}"
        taken = longer
    yield Line(taken, line.style)


def _words(text: str, width: int) -> Iterator[str]:
    """Yield the words of a text; a call or a node id with blanks in its brackets is one, if there is room."""
    depth, start = 0, 0
    for at, char in enumerate(f"{text} "):
        if text[start : start + 1] != "(":  # a remark in brackets is prose
            depth += (char in "([{") - (char in ")]}")
        if char == " " and depth <= 0:
            word = text[start:at]
            if len(word) > width:
                yield from word.split(" ")
            elif word:
                yield word
            depth, start = 0, at + 1
    if text[start:]:  # a bracket that is never closed
        yield from text[start:].split(" ")
