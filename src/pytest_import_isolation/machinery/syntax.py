"""What the nodes of a syntax tree say."""

from __future__ import annotations

import ast
from collections.abc import Iterator


def parsed(source: str) -> ast.Module | None:
    """Return the syntax tree of a text, or None for what is no Python that this interpreter can parse."""
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and all below it, those of a level after those of the level above.

    :func:`ast.walk` has an import in it, and what a test left in the place of ``__import__`` would be asked.
    """
    waiting = [node]
    for each in waiting:
        waiting.extend(ast.iter_child_nodes(each))
        yield each


def called(node: ast.AST) -> str:
    """Return the last name of what a node calls, nothing if it is no call or calls what has no name."""
    function = node.func if isinstance(node, ast.Call) else None
    if isinstance(function, ast.Name):
        return function.id
    return function.attr if isinstance(function, ast.Attribute) else ""


def owner_of_namespace(node: ast.AST) -> ast.expr | None:
    """Return the object whose namespace an expression is: ``vars(owner)``, or ``owner.__dict__``."""
    if isinstance(node, ast.Attribute) and node.attr == "__dict__":
        return node.value
    return node.args[0] if isinstance(node, ast.Call) and called(node) == "vars" and node.args else None
