"""Lines of a terminal: what they say, how that is meant, and where they are broken."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_import_isolation.machinery.named_tuples import NamedTuple


class Line(NamedTuple):
    """A line of text and how it is meant: a severity, ``"advice"``, ``"good"`` or ``""``."""

    text: str
    style: str = ""


def wrapped(line: Line, width: int, hanging: str) -> Iterator[Line]:
    """Break a line between its words; paths and calls stay in one piece, to be copied.

    Args:
        line: the line, which may be indented.
        width: how many characters fit.
        hanging: what the lines after the first one begin with.
    """
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
