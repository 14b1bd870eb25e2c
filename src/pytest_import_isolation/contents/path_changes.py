"""Which packages' ``__path__`` a text changes in place: by a method of the list, or by an item of it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from pytest_import_isolation.machinery.syntax import called, walk

#: Where a package has the list of the folders in which its submodules are looked for.
PATH: Final = "__path__"
_CHANGING: Final = frozenset(
    ("append", "extend", "insert", "remove", "pop", "clear", "reverse", "sort", "__setitem__", "__delitem__")
)
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)

#: By another name for the list of a package, the package: an expression, or its name.
Aliases = Mapping[str, ast.expr | str]


def aliases_in(nodes: Iterable[ast.AST]) -> Aliases:
    """Return the names that a text gives to lists of packages."""
    found: dict[str, ast.expr | str] = {}
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if alias.name == PATH:
                    found[alias.asname or PATH] = node.module or ""
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Attribute):
            for target in node.targets if node.value.attr == PATH else ():
                if isinstance(target, ast.Name):
                    found[target.id] = node.value.value
    return found


def changed_package(node: ast.AST, aliases: Aliases) -> ast.expr | str | None:
    """Return the package whose list a node changes in place, None if it changes none."""
    changed = _changed(node)
    if isinstance(changed, ast.Attribute) and changed.attr == PATH:
        return changed.value
    return aliases.get(changed.id) if isinstance(changed, ast.Name) else None


def _changed(node: ast.AST) -> ast.expr | None:
    """Return what a node changes in place, if it is a list."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.value if called(node) in _CHANGING else None
    if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
        return node.value
    return node.target if isinstance(node, ast.AugAssign) else None


def changes_own_path(nodes: Iterable[ast.AST]) -> bool:
    """Tell whether functions of a package's own text name its list: they may change it at any time."""
    functions = (node for node in nodes if isinstance(node, _FUNCTIONS))
    return any(
        isinstance(node, ast.Name) and node.id == PATH for function in functions for node in walk(function)
    )


def packages_changed(nodes: Iterable[ast.AST]) -> Iterator[ast.expr | str]:
    """Yield the packages whose lists a text changes in place."""
    nodes = list(nodes)
    aliases = aliases_in(nodes)
    found = (changed_package(node, aliases) for node in nodes)
    return (package for package in found if package is not None)
