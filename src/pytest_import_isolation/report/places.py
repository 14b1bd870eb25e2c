"""Where a statement probably stands that changed the import system, read from the source text.

What is found here is an inference, and reported as such: the statement was not watched.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

_WRITERS = frozenset(
    ("__setitem__", "setdefault", "update", "pop", "clear", "insert", "append", "extend", "remove", "reload",
     "setitem", "delitem", "dict", "syspath_prepend", "addsitedir")
)  # fmt: skip


def guess_line(source: str, container: str, name: str, lines: range | None = None) -> int | None:
    """Return the line that probably changed an entry of a container of ``sys``.

    Args:
        source: the text of the file that made the change.
        container: ``"modules"``, ``"path"``, ``"meta_path"`` or ``"path_hooks"``.
        name: the module name or path entry that was changed.
        lines: the lines to look at first, such as those of one test function; the whole file if None.

    Returns:
        The line number of the best candidate, or None if nothing in the text points to one.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return None
    writes = [
        statement for statement in _statements(tree) if _mentions(statement, container) and _writes(statement)
    ]
    near = [statement for statement in writes if lines is None or statement.lineno in lines]
    looping = _loops_over(tree, name)
    # A test may write through a helper of its file, which then must say the name.
    for candidates in (near, writes):
        for naming in (lambda s: _names(s, name), looping.__contains__):
            found = [statement.lineno for statement in candidates if naming(statement)]
            if found:
                return found[0]
    # A helper writes under a variable; one candidate alone is worth telling.
    return near[0].lineno if len(near) == 1 else None


def _statements(tree: ast.AST) -> Iterator[ast.stmt]:
    """Yield the statements that can write, in the order of the text."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]
    for node in sorted(nodes, key=lambda node: node.lineno):
        if isinstance(
            node, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.Delete, ast.With, ast.Return)
        ):
            yield node


def _loops_over(tree: ast.AST, name: str) -> set[ast.AST]:
    """Return the nodes inside of loops over literals, or over names of literals, that hold the name."""

    def holds(node: ast.AST) -> bool:
        return any(isinstance(part, ast.Constant) and part.value == name for part in ast.walk(node))

    nodes = list(ast.walk(tree))
    lists = {
        target.id
        for node in nodes
        if isinstance(node, ast.Assign) and holds(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return {
        inner
        for node in nodes
        if isinstance(node, (ast.For, ast.AsyncFor))
        if holds(node.iter)
        or any(isinstance(part, ast.Name) and part.id in lists for part in ast.walk(node.iter))
        for inner in ast.walk(node)
    }


def _own_nodes(statement: ast.stmt) -> Iterator[ast.AST]:
    if isinstance(statement, ast.With):
        for item in statement.items:
            yield from ast.walk(item)
    else:
        yield from ast.walk(statement)


def _any_node(statement: ast.stmt, test: Callable[[ast.AST], bool]) -> bool:
    return any(test(node) for node in _own_nodes(statement))


def _mentions(statement: ast.stmt, container: str) -> bool:
    return _any_node(
        statement,
        lambda node: (
            (isinstance(node, ast.Attribute) and node.attr == container)
            or (isinstance(node, ast.Constant) and node.value == f"sys.{container}")
            or (container == "path" and isinstance(node, ast.Attribute) and node.attr == "syspath_prepend")
        ),
    )


def _writes(statement: ast.stmt) -> bool:
    targets: list[ast.expr] = []
    if isinstance(statement, (ast.Assign, ast.Delete)):
        targets = statement.targets
    elif isinstance(statement, (ast.AugAssign, ast.AnnAssign)):
        targets = [statement.target]
    if any(isinstance(target, (ast.Subscript, ast.Attribute)) for target in targets):
        return True
    return _any_node(
        statement,
        lambda node: (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _WRITERS
        ),
    )


def _names(statement: ast.stmt, name: str) -> bool:
    return _any_node(statement, lambda node: isinstance(node, ast.Constant) and node.value == name)
