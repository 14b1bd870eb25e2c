"""Source files: their text, their syntax tree, and the words without which no file is parsed."""

from __future__ import annotations

import ast
import io
import os
import re
import tokenize
import warnings
from collections.abc import Iterator
from functools import cached_property
from typing import Final, Protocol

from pytest_import_isolation.lint.scopes import Scope
from pytest_import_isolation.lint.values import Thing, Value
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.paths import packages_of

#: Without one of these a text changes no import state.
_WORDS: Final = re.compile(r"\b(?:modules|reload|reload_module|meta_path|path_hooks)\b|\bsys\b.*\bpath\b")
# `module.name = value` that begins a line, perhaps inside of a module-level `if` or `try`.
_ATTRIBUTE: Final = re.compile(
    r"^[ \t]*(?:(?!self\b|cls\b)(\w+)(?:\.\w+)+(?:\s*:[^=\n]+)?\s*=(?!=)|(?:set|del)attr\(\s*(\w+))", re.M
)
# An import statement: what follows its first word, with the lines that brackets join.
_IMPORT: Final = re.compile(r"^[ \t]*(?:from|import)[ \t]+([^\n(]*(?:\([^)]*\))?)", re.M)
_DEFINITION: Final = re.compile(r"^(?:async\s+def|def|class|@)", re.M)
_LEVEL: Final = re.compile(r"^\S", re.M)


#: How far above a file the folder is looked for from which an import starts.
_ABOVE: Final = 8


class UnreadableError(Exception):
    """A file that cannot be linted; the message says why."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


class Member(NamedTuple):
    """A function, and the class that it is a method of."""

    node: ast.FunctionDef | ast.AsyncFunctionDef
    owner: ast.ClassDef | None


class Neighbours(Protocol):
    """What a file asks of the others."""

    def interesting_names(self, source: Source) -> frozenset[str]:
        """Return the names of functions in other files that change import state."""

    def find(self, source: Source, path: str) -> Value | None:
        """Return a function or class of another file."""

    def conftests(self, source: Source) -> list[Source]:
        """Return the conftests whose fixtures a file can use."""


class Source:
    """One file of test code."""

    def __init__(self, path: str, name: str, role: str, project: Neighbours) -> None:
        self.path = path
        #: How findings name it.
        self.name = name
        self.role = role
        self.project = project
        self.scope = Scope(self)
        #: Modules that the body of the file imports.
        self.imported: set[str] = set()
        #: What any import statement of the file says to be a module.
        self.modules: set[str] = set()

    @cached_property
    def text(self) -> str:
        """The text; raises :class:`UnreadableError`."""
        try:
            with open(self.path, "rb") as file:
                data = file.read()
            encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
            return data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
        except OSError as error:
            raise UnreadableError(1, f"it cannot be read: {error.strerror}") from None
        except (SyntaxError, LookupError, UnicodeDecodeError) as error:
            raise UnreadableError(1, f"it is no text that Python reads: {error}") from None

    @cached_property
    def lines(self) -> list[str]:
        """The lines, as the syntax tree counts them."""
        return self.text.split("\n")

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree; raises :class:`UnreadableError`."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about the text, such as an invalid escape
                return ast.parse(self.text)
        except SyntaxError as error:
            raise UnreadableError(
                error.lineno or 1, f"it is no Python of this version: {error.msg}"
            ) from None
        except (ValueError, RecursionError, MemoryError) as error:
            raise UnreadableError(
                1, f"it is no Python of this version: {error or 'nested too deeply'}"
            ) from None

    @cached_property
    def has_words(self) -> bool:
        """Whether the text may change import state."""
        return _WORDS.search(self.text) is not None or self._may_write_attributes()

    @cached_property
    def import_words(self) -> frozenset[str]:
        """The words of the import statements, all parts of dotted names for themselves."""
        return frozenset(re.findall(r"\w+", " ".join(_IMPORT.findall(self.text))))

    def _may_write_attributes(self) -> bool:
        for match in _ATTRIBUTE.finditer(self.text):
            if (match[1] or match[2]) not in self.import_words:
                continue
            if match[0][:1] not in " \t" or self._is_in_module_body(match.start()):
                return True
        return False

    def _is_in_module_body(self, start: int) -> bool:
        """Tell whether an indented line belongs to a statement such as a module-level ``if``."""
        heads = [match.start() for match in _LEVEL.finditer(self.text, max(0, start - 20000), start)]
        return bool(heads) and _DEFINITION.match(self.text, heads[-1]) is None

    def text_of(self, node: ast.AST) -> str:
        """Return the lines of a statement, with its decorators."""
        first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))])  # type: ignore[attr-defined]
        return "\n".join(self.lines[first - 1 : node.end_lineno])  # type: ignore[attr-defined]

    def find(self, path: str) -> Value | None:
        """Return a function or class of another file by its dotted path."""
        return self.project.find(self, path)

    def is_module(self, thing: Thing) -> bool:
        """Tell whether something is a module for certain: by an import statement, or by a file."""
        if thing.is_module or any(f"{one}.".startswith(f"{thing.path}.") for one in self.modules):
            return True
        return self.has_file(thing.path)

    def has_file(self, module: str) -> bool:
        """Tell whether there is a source file of a module, seen from the folders above."""
        parts = module.lstrip(".").split(".")
        for folder in folders_for(self.folder, module):
            for base in (folder, os.path.join(folder, "src")):
                path = os.path.join(base, *parts)
                if os.path.isfile(f"{path}.py") or os.path.isfile(os.path.join(path, "__init__.py")):
                    return True
        return False

    def absolute(self, module: str) -> str:
        """Return the name of a module that a relative import names; dots stay where there is no package."""
        name = module.lstrip(".")
        level = len(module) - len(name)
        package = self._package
        if not 0 < level <= len(package):
            return module
        return ".".join([*package[: len(package) - level + 1], *([name] if name else [])])

    @cached_property
    def _package(self) -> list[str]:
        """The names of the packages that the file lies in, the outermost first."""
        packages = packages_of(os.path.join(self.folder, "__init__.py"))
        return [os.path.basename(package) for package in reversed(packages)]

    @cached_property
    def interesting(self) -> frozenset[str]:
        """The names of functions that change import state, by themselves or through others of the file."""
        texts: dict[str, str] = {}
        for member in self.members:
            texts[member.node.name] = f"{texts.get(member.node.name, '')}\n{self.text_of(member.node)}"
        found = {name for name, text in texts.items() if _WORDS.search(text)}
        found |= self.project.interesting_names(self)
        while found:
            pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(found)))})\b")
            more = {name for name, text in texts.items() if name not in found and pattern.search(text)}
            if not more:
                break
            found |= more
        return frozenset(found)

    @cached_property
    def members(self) -> list[Member]:
        """The functions of the file and of its classes, not those inside of functions."""
        found: list[Member] = []
        waiting: list[tuple[ast.AST, ast.ClassDef | None]] = [(self.tree, None)]
        while waiting:
            outer, owner = waiting.pop()
            for node in ast.iter_child_nodes(outer):
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    found.append(Member(node, owner))
                elif isinstance(node, (ast.stmt, ast.ExceptHandler)):
                    waiting.append((node, node if isinstance(node, ast.ClassDef) else owner))
        return sorted(found, key=lambda member: member.node.lineno)

    def mentions(self, name: str) -> int:
        """Count how often a name stands in the text."""
        return len(re.findall(rf"\b{re.escape(name)}\b", self.text))

    @property
    def folder(self) -> str:
        """Where it lies."""
        return os.path.dirname(self.path)


def folders_for(folder: str, module: str) -> Iterator[str]:
    """Yield the folders in which the first part of a module may lie."""
    level = len(module) - len(module.lstrip("."))
    if level:
        for _ in range(level - 1):
            folder = os.path.dirname(folder)
        yield folder
        return
    for _ in range(_ABOVE):
        yield folder
        above = os.path.dirname(folder)
        if above == folder:
            return
        folder = above
