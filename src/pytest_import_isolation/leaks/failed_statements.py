"""The statements at which a test failed: their syntax trees and the values that their names had."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Iterator
from types import CodeType, FrameType, ModuleType, TracebackType
from typing import Any, Final

from pytest_import_isolation.machinery.modules import ABSENT, namespace
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.source_text import text_of
from pytest_import_isolation.machinery.syntax import parsed, walk

_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_space_of_type: Final = type.__dict__["__dict__"].__get__
_mro_of_type: Final = type.__dict__["__mro__"].__get__


class FailedStatement(NamedTuple):
    """A statement that was being executed when an exception passed."""

    #: The statement, and those around it in the same function, the innermost first.
    nodes: tuple[ast.stmt, ...]
    #: The function; the whole file for code at its top level.
    function: ast.AST
    frame: FrameType

    def value(self, node: ast.AST) -> object:
        """Return what a name, or a chain of attributes, stands for; ABSENT if that takes running code.

        Of what a class makes it is the class: there its methods are.
        """
        if isinstance(node, ast.Name):
            return value_of(node.id, self.frame)
        if isinstance(node, ast.Attribute):
            return attribute_of(self.value(node.value), node.attr)
        if isinstance(node, ast.Call):
            made = self.value(node.func)
            return made if issubclass(type(made), type) else ABSENT
        return ABSENT


def failed_statements(error: BaseException, is_user_code: Callable[[str], bool]) -> Iterator[FailedStatement]:
    """Yield the statements of the users' own code through which an exception passed, the innermost first.

    Args:
        error: what was raised.
        is_user_code: tells whether a file is the users' own.
    """
    steps: list[tuple[FrameType, int]] = []
    step: TracebackType | None = error.__traceback__
    while step is not None:
        if is_user_code(step.tb_frame.f_code.co_filename):
            steps.append((step.tb_frame, step.tb_lineno or 0))
        step = step.tb_next
    for frame, line in reversed(steps):
        code = frame.f_code
        function = find_function(code)
        nodes = () if function is None else tuple(reversed(list(_statements_at(function, line))))
        if function is not None and nodes:
            yield FailedStatement(nodes, function, frame)


def find_function(code: CodeType) -> ast.AST | None:
    """Return the syntax tree of some code: of a function, or of a whole file."""
    tree = tree_of(code.co_filename)
    if tree is None or code.co_name == "<module>":
        return tree
    for node in walk(tree):
        if isinstance(node, _FUNCTIONS) and getattr(node, "name", "<lambda>") == code.co_name:
            decorators = getattr(node, "decorator_list", ())
            if code.co_firstlineno in (node.lineno, *(one.lineno for one in decorators)):
                return node
    return None


def tree_of(file: str) -> ast.Module | None:
    """Return the syntax tree of a source file, or None if it cannot be read."""
    return _parsed(text_of(file))


_parsed: Final = functools.lru_cache(maxsize=32)(parsed)


def _statements_at(node: ast.AST, line: int) -> Iterator[ast.stmt]:
    """Yield the statements that span a line, the outermost first, without those of functions inside."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _FUNCTIONS):
            continue
        if isinstance(child, ast.stmt):
            if child.lineno <= line <= (child.end_lineno or child.lineno):
                yield child
                yield from _statements_at(child, line)
                return
        else:
            yield from _statements_at(child, line)


def value_of(name: str, frame: FrameType) -> object:
    """Return what a name stands for in a frame, or ABSENT."""
    local: Any = frame.f_locals
    # The body of a class may have a mapping of the user's own.
    local = local if type(local) is dict or type(local).__name__ == "FrameLocalsProxy" else {}
    for space in (local, frame.f_globals, frame.f_builtins):
        if name in space:
            return space[name]
    return ABSENT


def attribute_of(owner: object, name: str) -> object:
    """Return an attribute that stands in the namespace of a module, class or object, or ABSENT.

    Args:
        owner: anything; no code of it is run, so what it computes is not found.
        name: the attribute.
    """
    kind = type(owner)
    spaces: list[Any] = [namespace(owner) or {}] if not issubclass(kind, type) else []
    if not issubclass(kind, ModuleType):
        spaces += map(_space_of_type, _mro_of_type(owner if issubclass(kind, type) else kind))
    for space in spaces:
        if name in space:
            return space[name]
    return ABSENT
