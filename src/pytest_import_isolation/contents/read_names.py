"""What a module reads while it is executed, and not only when somebody calls something of it."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator, Mapping
from typing import Final

from pytest_import_isolation.machinery.modules import package_above
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.regexes import regex
from pytest_import_isolation.machinery.syntax import called, parsed, walk

_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
#: What binds its name.
_BINDING: Final = (*_FUNCTIONS, ast.ClassDef, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)
_IMPORT: Final = regex(r"^[ \t]*(?:from[ \t]+([.\w]+)[ \t]+import\b|import[ \t]+([\w., \t]+))", re.MULTILINE)


class Taken(NamedTuple):
    """What a text takes from other modules when it is executed as a module."""

    #: The names that an import statement alone binds, each with the module and the name there.
    imported: Mapping[str, tuple[str, str]]
    #: The module all names of which are imported, if there is one; nothing if there are several.
    all_from: str
    #: The names that something binds, but for those of the module above.
    bound: frozenset[str]
    #: Attributes that are read of what is found by a dotted name, in their parts.
    read: frozenset[tuple[str, ...]]


def names_read_at_import(source: str) -> frozenset[str]:
    """Return the names and attributes that are read when a text is executed as a module.

    Functions and classes of its own count if it calls them, or decorates something with them.
    """
    tree = parsed(source)
    found: set[str] = set()
    for node in () if tree is None else _nodes_at_import(tree):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)  # getattr(shop, "RATE")
    return frozenset(found)


@functools.lru_cache(maxsize=64)
def names_read_later(source: str) -> frozenset[str]:
    """Return the names that the functions of a text read when they are called."""
    tree = parsed(source)
    functions = (*_FUNCTIONS, ast.Lambda)
    return frozenset(
        inner.id
        for node in (() if tree is None else walk(tree))
        if isinstance(node, functions)
        for inner in walk(node)
        if isinstance(inner, ast.Name)
    )


def modules_in_imports(source: str, package: str) -> set[str]:
    """Return the names of the modules that the import statements of a text name.

    Args:
        source: the text.
        package: that of its module, to which names that begin with dots are relative.
    """
    found: set[str] = set()
    for taken_from, imported in _IMPORT.findall(source):
        if taken_from:
            name = taken_from.lstrip(".")
            found.add(_absolute(name, len(taken_from) - len(name), package))
        found.update(part.split()[0] for part in imported.split(",") if part.strip())
    return found


def taken_at_import(source: str, package: str) -> Taken:
    """Return what a text takes from other modules; see :func:`modules_in_imports` for the arguments."""
    tree = parsed(source)
    imported: dict[str, tuple[str, str]] = {}
    bound: list[str] = []
    all_from: list[str] = []
    for node in () if tree is None else _running(tree):
        if isinstance(node, ast.ImportFrom):
            for name, module, key in _names_from(node, package):
                if key == "*":
                    all_from.append(module)
                else:
                    imported[name] = module, key
        bound += _bound(node)
    read: set[tuple[str, ...]] = set()
    for node in () if tree is None else walk(tree):
        if isinstance(node, ast.Global):  # a function may bind it, which the body may call
            bound += node.names
    for node in () if tree is None else _nodes_at_import(tree):
        if isinstance(node, ast.Attribute) and (parts := _parts_of(node)):
            read.add(parts)
    return Taken(
        {name: origin for name, origin in imported.items() if bound.count(name) == 1},
        all_from[0] if len(all_from) == 1 else "",
        frozenset(bound),
        frozenset(read),
    )


def tried_imports(source: str, package: str) -> Iterator[tuple[str, str, str]]:
    """Yield what a text imports at its import and can go on without; see :func:`modules_in_imports`.

    Yields:
        The name that is bound, the module, and the name there; an empty text for the module itself.
    """
    tree = parsed(source)
    for attempt in () if tree is None else _running(tree):
        for node in _running_in(attempt.body) if isinstance(attempt, ast.Try) else ():
            if isinstance(node, ast.Import):
                for name, alias in ((one.name, one.asname) for one in node.names):
                    top = name.partition(".")[0]
                    yield (alias, name, "") if alias else (top, top, "")
            elif isinstance(node, ast.ImportFrom):
                yield from _names_from(node, package)


def _running_in(body: list[ast.stmt]) -> Iterator[ast.AST]:
    for statement in body:
        yield from _running(statement)


def _names_from(node: ast.ImportFrom, package: str) -> Iterator[tuple[str, str, str]]:
    """Yield the names that a statement binds, with the modules and the names there that they stand for."""
    module = _absolute(node.module or "", node.level, package)
    for alias in node.names:
        yield alias.asname or alias.name, module, alias.name


def _absolute(name: str, level: int, package: str) -> str:
    if not level:
        return name
    base = package_above(package, level - 1)
    return f"{base}.{name}" if name else base


def _bound(node: ast.AST) -> Iterator[str]:
    """Yield the names that a node binds in its module, or may bind there."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.Name):
        yield from () if isinstance(node.ctx, ast.Load) else (node.id,)
    elif isinstance(node, _BINDING) and node.name:
        yield node.name


def _parts_of(node: ast.Attribute) -> tuple[str, ...]:
    """Return the parts of a dotted name; nothing if it begins with something else than a name."""
    parts: list[str] = []
    each: ast.expr = node
    while isinstance(each, ast.Attribute):
        parts.append(each.attr)
        each = each.value
    return (each.id, *reversed(parts)) if isinstance(each, ast.Name) else ()


def _nodes_at_import(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes that run when a text is executed, and those of functions and classes that it calls."""
    definitions = {node.name: node for node in walk(tree) if isinstance(node, (*_FUNCTIONS, ast.ClassDef))}
    bodies: list[Iterator[ast.AST]] = [_running(tree)]
    seen: set[str] = set()
    while bodies:
        for node in bodies.pop():
            yield node
            decorators = getattr(node, "decorator_list", [])
            for name in (called(node), *(one.id for one in decorators if isinstance(one, ast.Name))):
                if name in definitions and name not in seen:
                    seen.add(name)
                    bodies.append(walk(definitions[name]))


def _running(root: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes that run with a node: decorators and defaults of functions, and not their bodies."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, _FUNCTIONS):
            waiting += [*node.decorator_list, node.args]
        elif isinstance(node, ast.Lambda):
            waiting.append(node.args)
        else:
            waiting += ast.iter_child_nodes(node)
