"""Which names a module reads while it is executed, and not only when somebody calls something of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from pytest_import_isolation.machinery.syntax import called, parsed, walk

_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)


def names_read_at_import(source: str) -> frozenset[str]:
    """Return the names and attributes that are read when a text is executed as a module.

    Functions and classes of its own count if it calls them, or decorates something with them.
    """
    tree = parsed(source)
    if tree is None:
        return frozenset()
    definitions = {node.name: node for node in walk(tree) if isinstance(node, (*_FUNCTIONS, ast.ClassDef))}
    found: set[str] = set()
    bodies: list[Iterator[ast.AST]] = [_running(tree)]
    seen: set[str] = set()
    while bodies:
        for node in bodies.pop():
            if isinstance(node, ast.Attribute):
                found.add(node.attr)
            elif isinstance(node, ast.Name):
                found.add(node.id)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)  # getattr(shop, "RATE")
            decorators = getattr(node, "decorator_list", [])
            for name in (called(node), *(one.id for one in decorators if isinstance(one, ast.Name))):
                if name in definitions and name not in seen:
                    seen.add(name)
                    bodies.append(walk(definitions[name]))
    return frozenset(found)


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
