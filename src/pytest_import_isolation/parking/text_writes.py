"""Whether the text of a file changes something of the import system itself, or only looks at it."""

from __future__ import annotations

import ast
from functools import lru_cache
from typing import Final

from pytest_import_isolation.machinery.syntax import called, parsed, walk

#: By what is changed, the name of it; of ``builtins.__import__`` there is one, and it holds nothing.
_NAMES: Final = {
    "path": "path",
    "meta_path": "meta_path",
    "path_hooks": "path_hooks",
    "path_importer_cache": "path_importer_cache",
    "import_function": "__import__",
}
#: Functions that are given a list or table and only read it.
_READERS: Final = frozenset(
    (
        "all",
        "any",
        "dict",
        "enumerate",
        "filter",
        "frozenset",
        "id",
        "isinstance",
        "iter",
        "len",
        "list",
        "map",
        "max",
        "min",
        "next",
        "print",
        "repr",
        "reversed",
        "set",
        "sorted",
        "str",
        "sum",
        "tuple",
        "type",
        "zip",
    )
)
#: Methods that only read.
_READING_METHODS: Final = frozenset(("copy", "count", "get", "index", "items", "keys", "values"))
#: Functions that add to ``sys.path`` by themselves.
_ADDERS: Final = frozenset(("addsitedir", "syspath_prepend", "syspathinsert"))


@lru_cache(maxsize=256)
def writes(text: str, what: str) -> bool:
    """Tell whether a text may change something: what it hands on may be changed too.

    Args:
        text: Python source.
        what: a list's name, ``"path_importer_cache"`` or ``"import_function"``.
    """
    name = _NAMES[what]
    if name not in text and what != "path":
        return False
    tree = parsed(text)
    if tree is None:
        return True
    parents = {child: node for node in walk(tree) for child in ast.iter_child_nodes(node)}
    return any(
        not (_only_calls(node) if what == "import_function" else _only_reads(node, parents))
        for node in walk(tree)
        if _names(node, name, what)
    )


def _names(node: ast.AST, name: str, what: str) -> bool:
    """Tell whether a node stands for what may be changed."""
    if isinstance(node, ast.Attribute):
        if what == "path":
            return node.attr in _ADDERS or (node.attr == name and "sys" in _last_name(node.value))
        return node.attr == name
    if isinstance(node, ast.Constant):
        return type(node.value) is str and _is_said(node.value, name, what)
    if isinstance(node, ast.ImportFrom):
        return node.module in ("sys", "site", "builtins") and any(
            alias.name == name or alias.name in _ADDERS for alias in node.names
        )
    return isinstance(node, ast.Name) and node.id == name and what == "import_function"


def _last_name(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def _is_said(constant: str, name: str, what: str) -> bool:
    # Many texts have the word "path" in them.
    return constant == name or f"sys.{name}" in constant if what == "path" else name in constant


def _only_calls(node: ast.AST) -> bool:
    """Tell whether the import function is called or looked at, and nothing is put into its place."""
    return isinstance(node, (ast.Attribute, ast.Name)) and isinstance(node.ctx, ast.Load)


def _only_reads(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> bool:
    """Tell whether a list or table is only looked at."""
    if not isinstance(node, ast.Attribute) or node.attr in _ADDERS or not isinstance(node.ctx, ast.Load):
        return False
    above = parents.get(node)
    if isinstance(above, ast.Attribute):
        return above.attr in _READING_METHODS
    if isinstance(above, ast.Subscript):
        return above.value is not node or isinstance(above.ctx, ast.Load)
    if isinstance(above, ast.Call):
        return above.func is not node and called(above) in _READERS and isinstance(above.func, ast.Name)
    if isinstance(above, (ast.For, ast.AsyncFor, ast.comprehension)):
        return above.iter is node
    if isinstance(above, ast.Starred):
        return not isinstance(parents.get(above), ast.Call)
    return isinstance(above, (ast.Compare, ast.BinOp, ast.Assert, ast.FormattedValue, ast.Expr))
