"""Sources without the bodies of most functions: their words are enough, and to parse them takes time."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from itertools import count, filterfalse
from typing import Final

from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.regexes import regex
from pytest_import_isolation.machinery.syntax import walk

#: A function without any of these neither imports nor binds anything for the module.
_SUSPECTS: Final = ("exec", "global", "import", "load", "run_module", "setattr", "vars")
#: These do it by themselves. Other names with such a word may be of what imports a module by its name.
_DOERS: Final = regex(
    r"\b(?:__import__|exec|exec_module|globals?|import|import_module|load_module|run_module|setattr|vars)\b"
)
_DEFINITIONS: Final = ("def ", "async def ")
_CLOSING: Final = ")]}"
#: Defaults that read no name.
_PLAIN_DEFAULT: Final = regex(r"=\s*(?:None|True|False|\d+)(?=\s*[,)])")
#: Stands in the place of a body.
_STATEMENT: Final = " 0"
_QUOTES: Final = ('"""', "'''")
_FunctionDef = (ast.FunctionDef, ast.AsyncFunctionDef)


def is_suspect(text: str) -> bool:
    """Tell whether a function might import something, or bind it for the module."""
    for word in _SUSPECTS:  # any() takes twice the time  # noqa: SIM110
        if word in text:
            return True
    return False


def is_worth_reading(text: str) -> bool:
    """Tell whether a function must be read by its syntax tree: else the words of its text say enough."""
    return is_suspect(text) and _DOERS.search(text) is not None


class Body(NamedTuple):
    """The lines of a function's body, from 1 on."""

    begin: int
    end: int


class ShortText:
    """A source in which functions that are not worth reading have one statement in the place of their bodies.

    That stands in the last line of the body, and empty lines before it: all nodes are in the lines in which
    they are in the source.

    What lines mean is known only when all is parsed, since a definition may be part of a string. So the
    reader of the tree has to ask about each function. If :attr:`is_right` says no in the end, something else
    was left out, and the source is to be read as it is.

    Args:
        lines: the lines of the source.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self._short = list(lines)
        #: The bodies that are left out, by the line of the definition.
        self._bodies: dict[int, Body] = {}
        #: Those of them that might be part of a string, which ends in them or has code in them.
        self._doubtful: set[int] = set()
        self._is_wrong = False
        at = 0
        in_string = False
        while at < len(lines):
            line = lines[at]
            at += 1
            if _QUOTES[0] in line:
                in_string = in_string != (line.count(_QUOTES[0]) % 2 == 1)
            text = line.lstrip()
            if text.startswith(_DEFINITIONS) and not in_string:
                at = self._shorten(at, line[: len(line) - len(text)])
        self.text = "\n".join(self._short)

    def _shorten(self, first: int, indent: str) -> int:
        """Leave out the body of a function, if that can be; return the line after what was looked at."""
        deeper = (f"{indent} ", f"{indent}\t")
        begin = self._end_of_header(first, (*deeper, *(indent + bracket for bracket in _CLOSING)))
        end = self._end_of_body(begin, deeper) if begin else 0
        if end == begin:
            return first
        text = "\n".join(self._lines[first - 1 : end])
        double, single = map(text.count, _QUOTES)
        if double % 2 or single % 2 or text.endswith("\\") or is_worth_reading(text):
            return first
        self._short[begin:end] = [""] * (end - begin)
        header = "\n".join(self._lines[first - 1 : begin])
        if "=" not in header or "=" not in _PLAIN_DEFAULT.sub("", header):
            self._short[first - 1 : begin] = [""] * (begin - first + 1)
            self._short[first - 1] = f"{self._lines[first - 1].partition('(')[0]}():"
        self._short[end - 1] = indent + _STATEMENT
        self._bodies[first] = Body(next(filterfalse(self._is_empty, count(begin + 1))), end)
        if double or single or "{" in text:
            self._doubtful.add(first)
        return end

    def _end_of_header(self, first: int, following: tuple[str, ...]) -> int:
        """Return the last line of a definition's header; 0 if the body begins there, or it is an odd one."""
        last = first
        while not self._lines[last - 1].partition("#")[0].rstrip().endswith(":"):
            if last == len(self._lines) or not self._lines[last].startswith(following):
                return 0
            last += 1
        return last

    def _end_of_body(self, begin: int, deeper: tuple[str, ...]) -> int:
        """Return the last line of a body that has something else than a comment."""
        end = begin
        for at in range(begin, len(self._lines)):
            line = self._lines[at]
            if line.startswith(deeper):
                end = at + 1
            elif line.lstrip()[:1] not in ("", "#"):
                break
        while end > begin and self._is_empty(end):
            end -= 1
        return end

    def _is_empty(self, line: int) -> bool:
        return self._lines[line - 1].lstrip()[:1] in ("", "#")

    @property
    def is_right(self) -> bool:
        """Whether all that was left out were bodies of functions, as far as that was asked about."""
        return not self._is_wrong and not self._doubtful

    def body_of(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Body | None:
        """Return the body of a function, if it has been left out."""
        body = self._bodies.get(node.lineno)
        if body is not None:
            self._is_wrong |= len(node.body) != 1 or node.body[0].lineno != body.end
            self._doubtful.discard(node.lineno)
        return body

    def pass_over(self, nodes: Iterable[ast.stmt]) -> None:
        """Ask about all functions below some nodes, of which nobody else does."""
        for node in nodes:
            if any(node.lineno <= line <= (node.end_lineno or 0) for line in self._doubtful):
                for inner in walk(node):
                    if isinstance(inner, _FunctionDef):
                        self.body_of(inner)
