"""The report as one HTML file, which needs no network: a page for the browser.

The names in a report are anybody's. All of them are in one block of JSON, in which nothing can end a script;
the page makes text nodes of them, never markup.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator
from hashlib import sha256
from html import escape
from json import dumps
from pathlib import Path
from string import Template
from typing import Any, Final

from pytest_import_isolation.machinery.source_text import text_of
from pytest_import_isolation.report.advice import templates
from pytest_import_isolation.report.groups import PLAIN_KINDS, worst_file
from pytest_import_isolation.report.records import SEVERITIES, Event, Leak, Report
from pytest_import_isolation.report.text import verdict_of

_FOLDER: Final = Path(__file__).with_name("html_page")
#: How many lines are shown before and after the statement of a polluter, and those that it led to.
_AROUND: Final = 3
_AROUND_LINK: Final = 1
_LONGEST_LINE: Final = 200
_LARGEST_FILE: Final = 2_000_000
#: What stands for the name in a sentence that all leaks of a kind share.
_NAME: Final = "\0"
#: A name that is no longer would be found inside of words.
_SHORT: Final = 3
_COLLECT: Final = "collect"
_LOADED: Final = "loaded"


def render_page(report: Report, root: Path, *, is_explained: bool = True) -> str:
    """Return the page.

    Args:
        report: what to show.
        root: to which its files are relative; lines are shown of those that are there.
        is_explained: whether the reason of each failure is known, as far as anybody can say.
    """
    verdict = verdict_of(report, is_explained=is_explained)
    style, script = _part("style.css"), _part("script.js")
    return Template(_part("template.html")).substitute(
        verdict=escape(verdict.text),
        worst=escape(_worst(report)),
        level=verdict.style,
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        data=_block(page_data(report, root)),
    )


def _worst(report: Report) -> str:
    """Return who harms most, as a part of the verdict; nothing if nobody does."""
    found = worst_file(report)
    if found is None:
        return ""
    file, failed = found
    return f"The worst: {file or 'the test run'}{f' ({failed} failed that met it)' if failed else ''}"


def _part(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Return what the page's policy names: nothing else is executed."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _block(data: object) -> str:
    """Return JSON that can stand in a script element: in ASCII, and without what HTML gives a meaning."""
    text = dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


class _Table:
    """Values that are said once, and then by their numbers."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}

    def __call__(self, value: Any) -> int:
        return self._numbers.setdefault(value, len(self._numbers))

    @property
    def values(self) -> list[Any]:
        return list(self._numbers)


def page_data(report: Report, root: Path) -> dict[str, Any]:
    """Return what the page's script reads: lists of numbers, most of which stand for a text.

    Args:
        report: what to show.
        root: to which its files are relative.
    """
    text, exposures = _Table(), _Table()
    leaks = [leak for leak in report.leaks if leak.kind != _LOADED]
    events = report.history.events or _events_of(report.leaks)
    data = {
        "summary": report.summary,
        "complete": report.complete,
        "workers": dict(report.workers),
        "timed": bool(report.history.events),
        "plain": sorted(PLAIN_KINDS),
        "leaks": [_row(leak, text, exposures) for leak in leaks],
        "events": [
            [
                text(event.nodeid),
                int(event.phase != _COLLECT),
                text(event.outcome),
                round(event.start * 1000),
                round(event.seconds * 1000),
                text(event.worker),
            ]
            for event in events
        ],
        "imports": [
            [text(name), parent, text(by), text(file), line, seconds]
            for name, parent, by, file, line, seconds in _tree(report)
        ],
        "sources": {text(file): lines for file, lines in _sources(leaks, root)},
    }
    return {**data, "exposures": exposures.values, "text": text.values}


def _row(leak: Leak, text: _Table, exposures: _Table) -> list[Any]:
    """Return what the page's script reads of a leak."""
    place = leak.location
    return [
        text(leak.kind),
        SEVERITIES.index(leak.severity),
        text(leak.name),
        text(leak.polluter.nodeid),
        text(leak.polluter.phase),
        [text(place.file), place.line, int(place.exact)] if place else 0,
        [[text(link.module), text(link.file), link.line] for link in leak.chain],
        text(leak.detail.replace(leak.name, _NAME) if len(leak.name) > _SHORT else leak.detail),
        text(_shared_advice(leak)),
        1 if leak.allowed else 2 if leak.contained else 0,  # as the summary counts
        [
            exposures((text(met.nodeid), text(met.phase), text(met.file), met.line, text(met.outcome)))
            for met in leak.exposed
        ],
        *([leak.count] if leak.count > 1 else []),
    ]


def _shared_advice(leak: Leak) -> str:
    """Return the advice of a leak, in a form that leaks of its kind share where it is theirs."""
    for template in templates(leak.kind):
        advice = template.format(name=_NAME)
        if advice.replace(_NAME, leak.name) == leak.advice:
            return advice
    return leak.advice


def _events_of(leaks: Iterable[Leak]) -> Iterator[Event]:
    """Yield the files and tests that leaks name, files first, where nothing else is known of their order."""
    seen: dict[tuple[str, str], str] = {}
    for leak in leaks:
        polluter = leak.polluter
        if polluter.nodeid and polluter.phase in (_COLLECT, "setup", "call", "teardown"):
            seen.setdefault((polluter.nodeid, _phase(polluter.phase)), "unknown")
        for met in leak.exposed:
            seen[met.nodeid, _phase(met.phase)] = met.outcome
    for is_test in (False, True):
        for (nodeid, phase), outcome in seen.items():
            if (phase != _COLLECT) is is_test:
                yield Event(nodeid, phase, outcome, 0, 0, "")


def _phase(phase: str) -> str:
    return _COLLECT if phase == _COLLECT else "test"


def _tree(report: Report) -> Iterator[tuple[str, int, str, str, int, float]]:
    """Yield the first imports: name, number of the importing one or -1, node id, file, line, milliseconds."""
    loaded: dict[str, Leak] = {}
    for leak in report.leaks:
        if leak.kind == _LOADED:
            loaded.setdefault(leak.name, leak)
    numbers = {name: number for number, name in enumerate(loaded)}
    parents: dict[str, str | None] = {}
    for name, leak in loaded.items():
        above = [link.module for link in leak.chain[:-1] if link.module in loaded]
        # A package that imports its own submodule may itself be waiting for that one: no circle.
        parents[name] = above[-1] if above and not _leads_to(parents, above[-1], name) else None
    for name, leak in loaded.items():
        parent = parents[name]
        link = leak.chain[-1] if leak.chain else leak.location
        yield (
            name,
            -1 if parent is None else numbers[parent],
            leak.polluter.nodeid,
            link.file if link else "",
            link.line if link else 0,
            # Negative where it is not known.
            round(report.history.imports.get(name, -0.001) * 1000, 1),
        )


def _leads_to(parents: dict[str, str | None], name: str | None, to: str) -> bool:
    while name is not None and name != to:
        name = parents.get(name)
    return name == to


def _sources(leaks: Iterable[Leak], root: Path) -> Iterator[tuple[str, dict[int, str]]]:
    """Yield the files of the statements, each with the lines that are shown of it."""
    wanted: dict[str, set[int]] = {}
    for leak in leaks:
        places = [(leak.location, _AROUND), *((link, _AROUND_LINK) for link in leak.chain)]
        for place, around in places:
            if place is not None:
                numbers = range(max(1, place.line - around), place.line + around + 1)
                wanted.setdefault(place.file, set()).update(numbers)
    for file, asked in wanted.items():
        lines = _lines_of(file, root)
        shown = {n: lines[n - 1][:_LONGEST_LINE] for n in sorted(asked) if n <= len(lines)}
        if shown:
            yield file, shown


def _lines_of(file: str, root: Path) -> list[str]:
    """Return the lines of a Python file; of nothing else, since a report may come from somebody else."""
    if not file.endswith(".py"):
        return []
    path = root / file
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST_FILE:
            return []
    except (OSError, ValueError):
        return []
    text = text_of(path)
    return text.removesuffix("\n").split("\n") if text else []
