"""Statements of a text that can have written a name, or let a module be executed again."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Final

from pytest_import_isolation.contents.path_changes import PATH, Aliases, aliases_in, changed_package
from pytest_import_isolation.contents.source_writes import (
    EXECUTERS,
    is_own_attribute,
    names_said,
    names_stored,
    nodes_of,
)
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.syntax import called, parsed, walk


class Statement(NamedTuple):
    """A statement that can have written a name: its line, and what tells it from others of the line."""

    line: int
    column: int
    #: Whether it stores the very attribute, and does not only name it in a string.
    is_direct: bool


_COMPOUND: Final = (ast.For, ast.AsyncFor, ast.While, ast.If, ast.With, ast.AsyncWith, ast.Try, ast.ClassDef)
_IMPORTS: Final = (ast.Import, ast.ImportFrom)
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
#: How the names of hooks begin.
_HOOK: Final = "pytest_"
#: How those begin that are called for each test.
_OF_TESTS: Final = (
    "pytest_runtest_",
    "pytest_fixture_",
    "pytest_pyfunc_",
    "pytest_assertrepr_",
    "pytest_exception_",
)


class PossibleWrite(NamedTuple):
    """A statement that can write to attributes of others."""

    line: int
    column: int
    #: The names of the attributes that it stores.
    stored: frozenset[str]
    #: The names that strings and keywords say in it, if it calls something.
    said: frozenset[str]
    #: Whether it sets what a string names.
    sets_by_name: bool


def possible_writes(source: str) -> list[PossibleWrite]:
    """Return the statements of a text that can write to attributes of others, whatever their names."""
    tree = parsed(source)
    aliases = aliases_in(walk(tree)) if tree is not None and PATH in source else None
    found: list[PossibleWrite] = []
    for statement, parts in () if tree is None else _simple_statements(tree):
        nodes = [*nodes_of(parts)]
        calls = [] if isinstance(statement, _IMPORTS) else [n for n in nodes if isinstance(n, ast.Call)]
        one = PossibleWrite(
            statement.lineno,
            statement.col_offset,
            _stored(nodes, aliases),
            frozenset(name for node in nodes for name in names_said(node)) if calls else frozenset(),
            any(called(call) in ("setattr", "delattr") for call in calls),
        )
        if one.stored or one.said or one.sets_by_name:
            found.append(one)
    return found


def _stored(nodes: Iterable[ast.AST], aliases: Aliases | None) -> frozenset[str]:
    nodes = list(nodes)
    stored = {name for node in nodes if not is_own_attribute(node) for name in names_stored(node)}
    if aliases is not None and any(changed_package(node, aliases) is not None for node in nodes):
        stored.add(PATH)
    return frozenset(stored)


def statements_writing(possible: Iterable[PossibleWrite], name: str) -> list[Statement]:
    """Return the statements that can have written an attribute, the likeliest first.

    Args:
        possible: what :func:`possible_writes` returned for a text.
        name: the attribute.
    """
    direct: list[Statement] = []
    naming: list[Statement] = []
    general: list[Statement] = []
    for line, column, stored_names, said_names, sets_by_name in possible:
        if name in stored_names:
            direct.append(Statement(line, column, is_direct=True))
        elif name in said_names:
            naming.append(Statement(line, column, is_direct=False))
        elif sets_by_name:
            general.append(Statement(line, column, is_direct=False))
    return [*direct, *naming, *general]


class Hook(NamedTuple):
    """A function that pytest calls as a hook."""

    lines: range
    #: Whether it is called for each test, and not for the run, a file or a directory.
    is_of_tests: bool


def hooks_in(source: str) -> list[Hook]:
    """Return the hooks of a text."""
    tree = parsed(source) if _HOOK in source else None
    functions = () if tree is None else (node for node in walk(tree) if isinstance(node, _FUNCTIONS))
    return [
        Hook(range(node.lineno, (node.end_lineno or node.lineno) + 1), node.name.startswith(_OF_TESTS))
        for node in functions
        if node.name.startswith(_HOOK)
    ]


def statements_executing(source: str, module: str) -> list[Statement]:
    """Return the statements of a text that can let the body of a module run again, the likeliest first."""
    tree = parsed(source)
    if tree is None:
        return []
    last = module.rpartition(".")[2]
    found: list[Statement] = []
    for statement, parts in _simple_statements(tree):
        nodes = [node for part in parts for node in walk(part)]
        if any(called(node) in EXECUTERS for node in nodes):
            names = {getattr(node, "id", getattr(node, "attr", None)) for node in nodes}
            said = {text for node in nodes for text in names_said(node)}
            found.append(
                Statement(statement.lineno, statement.col_offset, is_direct=last in names or last in said)
            )
    return sorted(found, key=lambda one: not one.is_direct)


def _simple_statements(tree: ast.AST) -> Iterator[tuple[ast.stmt, list[ast.AST]]]:
    """Yield each statement with its parts that belong to no statement inside of it."""
    for node in walk(tree):
        if not isinstance(node, ast.stmt):
            continue
        if isinstance(node, _FUNCTIONS):
            for decorator in node.decorator_list:
                yield ast.copy_location(ast.Expr(decorator), decorator), [decorator]
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            yield node, list(node.items)
        elif isinstance(node, (ast.For, ast.AsyncFor)):
            yield node, [node.target, node.iter]
        elif not isinstance(node, _COMPOUND):
            yield node, [node]
