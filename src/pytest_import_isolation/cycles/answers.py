"""What the processes that try modules are asked, and what they answer: lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pytest_import_isolation.cycles.circles import Attempt, BrokenModule, Crossing, ImportEdge
from pytest_import_isolation.machinery.named_tuples import NamedTuple

#: How a line of answers begins: whether the process goes on.
READY: Final = b"+"
_OVER: Final = b"-"
#: Stands before what a process tells the one that forked it.
_TOLD: Final = b"\t"


class Answer(NamedTuple):
    """What a process says of one import."""

    #: What happened; None if the process ended.
    attempt: Attempt | None
    #: The package that had been imported before, of which this is not said once more.
    base: str | None = None
    #: How it ended then, as the exit status of a child.
    status: int | None = None
    #: What was printed to ``sys.stdout`` and ``sys.stderr``, where these are not files.
    printed: tuple[str, str] = ("", "")


def request_of(names: Sequence[str], *, is_alone: bool) -> bytes:
    """Return what a process at the root is to be asked.

    Args:
        names: modules to be imported first one by one. The first may be a package, the others are modules
            that have the same package above them, and none below.
        is_alone: whether to execute the packages above them for each of them.
    """
    return json.dumps([names, is_alone]).encode() + b"\n"


def line_of(
    answers: Sequence[Answer], foreign: Sequence[str], files: Mapping[str, str], *, is_ready: bool
) -> bytes:
    """Return answers as a line.

    Args:
        answers: the answers.
        foreign: the foreign modules that were loaded.
        files: the files of other modules that were, by name.
        is_ready: whether the process goes on.
    """
    told = _TOLD + json.dumps([foreign, files]).encode() if foreign or files else b""
    return (READY if is_ready else _OVER) + json_of(answers).encode() + told + b"\n"


def told_in(line: bytes) -> tuple[bytes, list[Any] | None]:
    """Split a line: into what is told further, and the foreign modules and files that were loaded, if any."""
    answers, _, told = line.partition(_TOLD)
    return (answers + b"\n", json.loads(told)) if told else (line, None)


def answers_in(line: bytes) -> list[Answer]:
    """Return the answers to a request, at least one and maybe not all.

    Raises:
        ValueError: there is none.
    """
    return answers_of(line[1:])


def json_of(answers: Sequence[Answer]) -> str:
    """Return answers as JSON.

    Every module of a circle meets all its imports, and a process makes each of these once. So they are
    written once, and numbered.
    """
    numbers: dict[int, int] = {}
    edges: list[ImportEdge] = []

    def numbered(crossing: Crossing) -> list[Any]:
        found: list[int] = []
        for edge in crossing.edges:
            number = numbers.get(id(edge))
            if number is None:
                number = numbers[id(edge)] = len(edges)
                edges.append(edge)
            found.append(number)
        return [found, *crossing[1:]]

    def fields(attempt: Attempt) -> list[Any]:
        crossings = [numbered(crossing) for crossing in attempt.crossings]
        end = None if attempt.end is None else numbered(attempt.end)
        return [attempt.entry, attempt.loaded, crossings, attempt.problem, end]

    found = [(each.attempt and fields(each.attempt), *each[1:]) for each in answers]
    return json.dumps([edges, found])


def answers_of(text: str | bytes) -> list[Answer]:
    """Return the answers that :func:`json_of` wrote.

    Raises:
        ValueError: the text is no such one.
    """
    given, answers = json.loads(text)
    edges = [
        ImportEdge(importer, file, line, imported, tuple(names))
        for importer, file, line, imported, names in given
    ]

    def crossing(given: list[Any]) -> Crossing:
        numbers, lacking, is_unbound = given
        return Crossing(tuple(map(edges.__getitem__, numbers)), tuple(lacking), is_unbound)

    def attempt(given: list[Any]) -> Attempt:
        entry, loaded, crossings, problem, end = given
        return Attempt(
            entry,
            tuple(loaded),
            tuple(map(crossing, crossings)),
            BrokenModule(*problem) if problem else None,
            crossing(end) if end else None,
        )

    return [Answer(done and attempt(done), *more) for done, *more in answers]
