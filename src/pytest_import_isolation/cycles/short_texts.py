"""Sources without the bodies of most functions: their words are enough, and to parse them takes time."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
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
#: One without type parameters.
_DEFINITION: Final = regex(r"\s*(?:async\s+)?def\s+(\w+)\s*\(")
_CLOSING: Final = ")]}"
#: Defaults that read no name.
_PLAIN_DEFAULT: Final = regex(r"=\s*(?:None|True|False|\d+)(?=\s*[,)])")
#: What stands in the place of a body, and of a function.
_BODY: Final = " 0"
_FUNCTION: Final = "pass"
_QUOTES: Final = ('"""', "'''")


def is_suspect(text: str) -> bool:
    """Tell whether a function might import something, or bind it for the module."""
    for word in _SUSPECTS:  # any() takes twice the time  # noqa: SIM110
        if word in text:
            return True
    return False


def is_worth_reading(text: str) -> bool:
    """Tell whether a function must be read by its syntax tree: else the words of its text say enough."""
    return is_suspect(text) and _DOERS.search(text) is not None


class LeftOut(NamedTuple):
    """A function that is left out, or its body."""

    name: str
    #: Its last line, from 1 on.
    end: int
    text: str
    #: The text of its body if that may name modules, else nothing.
    telling: str


class ShortText:
    """A source without the functions that are not worth reading.

    In the last line of such a function stands one statement in its place, or in that of its body, if it has
    decorators or defaults. Empty lines are before it: all nodes are in the lines in which they are in the
    source, and end in them.

    What lines mean is known only when all is parsed, since a definition may be part of a string. So the
    reader of the tree has to ask about each function and each ``pass``. If :attr:`is_right` says no in the
    end, something else was left out, and the source is to be read as it is.

    Args:
        lines: the lines of the source.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self._short = list(lines)
        #: What is left out, by the line of the node that tells of it.
        self._left_out: dict[int, LeftOut] = {}
        #: Those lines for what might be part of a string, which ends in it or has code in it.
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
        """Leave out a function, if that can be; return the line after what was looked at."""
        deeper = (f"{indent} ", f"{indent}\t")
        begin = self._end_of_header(first, indent, deeper)
        end = self._end_of_body(begin, deeper) if begin else 0
        if end == begin:
            return first
        text = "\n".join(self._lines[first - 1 : end])
        double, single = map(text.count, _QUOTES)
        may_tell = is_suspect(text)
        if double % 2 or single % 2 or text.endswith("\\") or (may_tell and _DOERS.search(text)):
            return first
        definition = _DEFINITION.match(self._lines[first - 1])
        name = definition[1] if definition else ""
        kept: Sequence[str] = ()
        if not name or not self._is_plain(first, begin):
            kept = self._lines[first - 1 : begin]
        elif self._may_be_decorated(first):
            kept = (f"{indent}def {name}():",)
        empty = [""] * (end - first - len(kept))
        self._short[first - 1 : end] = [*kept, *empty, indent + (_BODY if kept else _FUNCTION)]
        teller = first if kept else end
        self._left_out[teller] = LeftOut(name, end, text, self._body(begin, end) if may_tell else "")
        if double or single or "{" in text:
            self._doubtful.add(teller)
        return end

    def _is_plain(self, first: int, begin: int) -> bool:
        """Tell whether the header of a definition has no defaults that read something."""
        header = "\n".join(self._lines[first - 1 : begin])
        return "=" not in header or "=" not in _PLAIN_DEFAULT.sub("", header)

    def _may_be_decorated(self, first: int) -> bool:
        before = first - 1
        while before and self._lines[before - 1].lstrip().startswith("#"):
            before -= 1
        return before > 0 and self._lines[before - 1].rstrip()[-1:] not in ("", ":")

    def _body(self, begin: int, end: int) -> str:
        while self._is_empty(begin + 1):
            begin += 1
        return "\n".join(self._lines[begin:end])

    def _end_of_header(self, first: int, indent: str, deeper: tuple[str, ...]) -> int:
        """Return the last line of a definition's header; 0 if the body begins there, or it is an odd one."""
        last = first
        while not self._lines[last - 1].partition("#")[0].rstrip().endswith(":"):
            if last == len(self._lines):
                return 0
            line = self._lines[last]
            if not line.startswith(deeper) and line[: len(indent) + 1] not in {indent + c for c in _CLOSING}:
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

    def left_out(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Pass) -> LeftOut | None:
        """Return what has been left out where a node is."""
        found = self._left_out.get(node.lineno)
        if found is not None:
            if not isinstance(node, ast.Pass):
                self._is_wrong |= len(node.body) != 1 or node.body[0].lineno != found.end
            self._doubtful.discard(node.lineno)
        return found

    def pass_over(self, nodes: Iterable[ast.stmt]) -> None:
        """Ask about all functions below some nodes, of which nobody else does."""
        for node in nodes:
            if any(node.lineno <= line <= (node.end_lineno or 0) for line in self._doubtful):
                for inner in walk(node):
                    if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Pass)):
                        self.left_out(inner)
