"""What the condition of a loop over ``sys.modules`` says of the names for which it is true."""

from __future__ import annotations

import ast

from pytest_import_isolation.lint.scopes import Scope
from pytest_import_isolation.lint.values import ANY, Items, Text, names_of, texts


def narrow(test: ast.expr, scope: Scope) -> None:
    """Bind a name that may be anything to what a condition demands of it.

    Args:
        test: the condition; it is true.
        scope: where the name is bound.
    """
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        for part in test.values:
            narrow(part, scope)
        return
    found = _demanded(test, scope)
    if found is not None:
        name, options = found
        if scope.look_up(name) == Text((ANY,)):
            scope.bind(name, texts(options))


def _demanded(test: ast.expr, scope: Scope) -> tuple[str, tuple[str, ...]] | None:
    """Return a name, and the strings that it may be if the condition is true."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.Or):
        parts = [_demanded(part, scope) for part in test.values]
        known = [part for part in parts if part is not None]
        if len(known) == len(parts) and len({part[0] for part in known}) == 1:
            return known[0][0], tuple(option for part in known for option in part[1])
        return None
    if isinstance(test, ast.Compare):
        return _compared(test, scope)
    return _called(test, scope) if isinstance(test, ast.Call) else None


def _compared(test: ast.Compare, scope: Scope) -> tuple[str, tuple[str, ...]] | None:
    if len(test.ops) != 1 or not isinstance(test.ops[0], (ast.Eq, ast.In)):
        return None
    left, below = test.left, ""
    if isinstance(left, (ast.Subscript, ast.Call)):  # name.split(".")[0], name.partition(".")[0]
        inner = left.value if isinstance(left, ast.Subscript) else left
        if not (isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute)):
            return None
        if inner.func.attr not in ("split", "partition"):
            return None
        left, below = inner.func.value, ".*"
    options = _strings(test.comparators[0], scope) if isinstance(left, ast.Name) else ()
    if not options or not isinstance(left, ast.Name):
        return None
    return left.id, (*options, *(f"{one}{below}" for one in options if below))


def _called(test: ast.Call, scope: Scope) -> tuple[str, tuple[str, ...]] | None:
    function, first = test.func, next(iter(test.args), None)
    if isinstance(function, ast.Attribute) and function.attr == "startswith":
        options = () if first is None else _strings(first, scope)
        if options and isinstance(function.value, ast.Name):
            return function.value.id, tuple(f"{one}*" for one in options)
    elif getattr(function, "id", "") == "any" and isinstance(first, ast.GeneratorExp):
        loop = first.generators[0]
        options = _strings(loop.iter, scope)
        if options and isinstance(loop.target, ast.Name):
            inner_scope = Scope(scope.source, scope)
            inner_scope.bind(loop.target.id, Text(options))
            return _demanded(first.elt, inner_scope)
    return None


def _strings(node: ast.expr, scope: Scope) -> tuple[str, ...]:
    """Return the strings that an expression is, or holds; none if they are not known."""
    if isinstance(node, ast.Constant):
        return (node.value,) if isinstance(node.value, str) else ()
    if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        return tuple(option for one in node.elts for option in _strings(one, scope))
    if isinstance(node, ast.JoinedStr):
        parts = [
            _strings(getattr(part, "value", part), scope)
            if isinstance(part, ast.FormattedValue)
            else (str(part.value),)
            if isinstance(part, ast.Constant)
            else ()
            for part in node.values
        ]
        return ("".join(part[0] for part in parts),) if all(len(part) == 1 for part in parts) else ()
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _strings(node.left, scope), _strings(node.right, scope)
        return tuple(a + b for a in left for b in right)
    if isinstance(node, ast.Name):
        value = scope.look_up(node.id)
        if isinstance(value, (Text, Items)):
            return tuple(one for one in names_of(value) if one != ANY)
    return ()
