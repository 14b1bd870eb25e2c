"""What an expression stands for, and what its calls do."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable
from typing import Final

from pytest_import_isolation.lint.calls import call
from pytest_import_isolation.lint.definitions import Instance, Kind, Routine
from pytest_import_isolation.lint.filters import narrow
from pytest_import_isolation.lint.run import Run
from pytest_import_isolation.lint.scopes import Scope
from pytest_import_isolation.lint.values import (
    ANY,
    UNKNOWN,
    Arguments,
    Copy,
    Fake,
    Items,
    Method,
    Patcher,
    Real,
    Saved,
    Table,
    Text,
    Thing,
    Value,
    concatenated,
    either,
    elements,
    is_entries,
    is_unknown,
    texts,
)

#: A longer literal is data, and holds nothing that matters.
_LONG: Final = 300


def evaluate(run: Run, node: ast.AST | None, scope: Scope) -> Value:
    """Return what an expression stands for; what its calls do becomes events of the run."""
    handler = _HANDLERS.get(type(node))
    if handler is not None:
        return handler(run, node, scope)
    if node is not None:
        for child in ast.iter_child_nodes(node):
            evaluate(run, child, scope)
    return UNKNOWN


def _constant(run: Run, node: ast.Constant, scope: Scope) -> Value:
    return Text((node.value,)) if isinstance(node.value, str) else Fake(repr(node.value))


def _name(run: Run, node: ast.Name, scope: Scope) -> Value:
    if node.id == "__file__":
        return Text((scope.source.path,))
    if node.id == "__name__":
        return Text(("__name__",))
    return scope.look_up(node.id)


def _attribute(run: Run, node: ast.Attribute, scope: Scope) -> Value:
    return attribute_of(evaluate(run, node.value, scope), node.attr)


def attribute_of(owner: Value, name: str) -> Value:
    """Return an attribute of what an expression stands for."""
    if isinstance(owner, Thing):
        return Thing(f"{owner.path}.{name}")
    if isinstance(owner, (Real, Fake)) and name in ("__name__", "name"):  # of a module, of a spec
        return UNKNOWN if ANY in owner.name else Text((owner.name,))
    if isinstance(owner, Text) and name == "parent":  # of a path
        return texts(os.path.dirname(one) for one in owner.options)
    if isinstance(owner, Instance):
        if name in owner.attributes:
            value = owner.attributes[name]
            return Thing(f"?{name}") if type(value) is Value else value
        return member(owner.kind, name, owner)
    if isinstance(owner, Kind):
        return member(owner, name, None)
    if isinstance(owner, (Text, Items, Table, Saved, Patcher)):
        return Method(owner, name)
    return Thing(f"?.{name}")


def member(kind: Kind, name: str, instance: Instance | None) -> Value:
    """Return a method or an attribute that a class, or one of its bases in the text, defines."""
    for one in family(kind):
        for node in one.node.body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name:
                static = any(
                    getattr(decorator, "id", "") == "staticmethod" for decorator in node.decorator_list
                )
                return Routine(node, one.scope, None if static else instance or Instance(kind, {}))
        for node in one.node.body:
            if isinstance(node, ast.Assign) and any(
                getattr(target, "id", "") == name for target in node.targets
            ):
                if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
                    return Text((node.value.value,))
                if isinstance(node.value, (ast.Name, ast.Attribute)):
                    return _dotted(node.value, one.scope)
    return Thing(f"?self.{name}")


def _dotted(node: ast.expr, scope: Scope) -> Value:
    if isinstance(node, ast.Name):
        return scope.look_up(node.id)
    return attribute_of(_dotted(node.value, scope), node.attr) if isinstance(node, ast.Attribute) else UNKNOWN


def family(kind: Kind) -> list[Kind]:
    """Return a class and its bases in the text, the nearest first."""
    found = [kind]
    for one in found:
        for base in one.node.bases:
            value: Value | None = _dotted(base, one.scope)
            if isinstance(value, Thing) and value.is_known:
                value = one.scope.source.find(value.path)
            if isinstance(value, Kind) and all(value.node is not other.node for other in found):
                found.append(value)
    return found


def _call(run: Run, node: ast.Call, scope: Scope) -> Value:
    if isinstance(node.func, ast.Name) and node.func.id in ("any", "all", "next", "list", "set", "sorted"):
        # A comprehension in it is executed as a loop.
        function: Value = Thing(f"builtins.{node.func.id}")
    else:
        function = evaluate(run, node.func, scope)
    positional: list[Value] = []
    for argument in node.args:
        value = evaluate(run, argument.value if isinstance(argument, ast.Starred) else argument, scope)
        if isinstance(argument, ast.Starred):
            positional += value.values if isinstance(value, Items) else [UNKNOWN]
        else:
            positional.append(value)
    named = tuple((one.arg or "**", evaluate(run, one.value, scope)) for one in node.keywords)
    return call(run, function, Arguments(tuple(positional), named), node, scope)


def _subscript(run: Run, node: ast.Subscript, scope: Scope) -> Value:
    index = node.slice
    number = index.value if isinstance(index, ast.Constant) and isinstance(index.value, int) else None
    if isinstance(node.value, ast.Attribute) and node.value.attr == "parents" and number is not None:
        path = evaluate(run, node.value.value, scope)
        for _ in range(min(number + 1, 50)):
            path = attribute_of(path, "parent")
        return path
    owner, key = evaluate(run, node.value, scope), evaluate(run, index, scope)
    if isinstance(owner, Saved) or is_entries(owner):
        return Saved()
    if isinstance(owner, Thing) and owner.path.startswith("sys."):
        return Copy(owner.path) if isinstance(index, ast.Slice) else UNKNOWN
    if isinstance(owner, Items):
        if isinstance(index, ast.Slice):
            return owner
        if number is not None and -len(owner.values) <= number < len(owner.values):
            return owner.values[number]
        return either(owner.values)
    if isinstance(owner, Table):
        return either(
            [value for at, value in owner.pairs if at == key] or [value for _, value in owner.pairs]
        )
    return UNKNOWN


def _binary(run: Run, node: ast.BinOp, scope: Scope) -> Value:
    left, right = evaluate(run, node.left, scope), evaluate(run, node.right, scope)
    if isinstance(node.op, ast.Add):
        if isinstance(left, Items) and isinstance(right, Items):
            return Items((*left.values, *right.values))
        if isinstance(left, Items) or isinstance(right, Items):
            return left if isinstance(left, Items) else right
        return concatenated((left, right)) if isinstance(left, Text) or isinstance(right, Text) else UNKNOWN
    if isinstance(node.op, ast.Div) and isinstance(left, Text) and isinstance(right, Text):
        return texts(os.path.normpath(os.path.join(a, b)) for a in left.options for b in right.options)
    if isinstance(node.op, ast.Mod) and isinstance(left, Text):
        return texts(one.replace("%s", "*").replace("%d", "*") for one in left.options)
    if isinstance(node.op, ast.BitOr) and isinstance(left, Table) and isinstance(right, Table):
        return Table((*left.pairs, *right.pairs))
    return left if isinstance(node.op, ast.Sub) else UNKNOWN  # set(sys.modules) - before


def _formatted(run: Run, node: ast.JoinedStr, scope: Scope) -> Value:
    return concatenated(
        evaluate(run, part.value if isinstance(part, ast.FormattedValue) else part, scope)
        for part in node.values
    )


def _elements(run: Run, node: ast.List | ast.Tuple | ast.Set, scope: Scope) -> Value:
    if len(node.elts) > _LONG:
        return UNKNOWN
    found: list[Value] = []
    for one in node.elts:
        value = evaluate(run, one.value if isinstance(one, ast.Starred) else one, scope)
        if isinstance(one, ast.Starred):
            found += value.values if isinstance(value, Items) else [elements(value)]
        else:
            found.append(value)
    return Items(tuple(found))


def _dictionary(run: Run, node: ast.Dict, scope: Scope) -> Value:
    if len(node.keys) > _LONG:
        return UNKNOWN
    pairs: list[tuple[Value, Value]] = []
    for key, one in zip(node.keys, node.values, strict=True):
        value = evaluate(run, one, scope)
        if key is not None:
            pairs.append((evaluate(run, key, scope), value))
        elif isinstance(value, Table):
            pairs += value.pairs
    return Table(tuple(pairs))


def _comprehension(
    run: Run, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, scope: Scope
) -> Value:
    inner = Scope(scope.source, scope)
    for part in node.generators:
        bind_target(run, part.target, elements(evaluate(run, part.iter, inner)), inner)
        for condition in part.ifs:
            evaluate(run, condition, inner)
            narrow(condition, inner)
    if isinstance(node, ast.DictComp):
        return Table(((evaluate(run, node.key, inner), evaluate(run, node.value, inner)),))
    return Items((evaluate(run, node.elt, inner),))


def bind_target(run: Run, target: ast.expr, value: Value, scope: Scope) -> None:
    """Bind the names of a target of a loop or an assignment."""
    if isinstance(target, ast.Name):
        scope.bind(target.id, value, is_fallback=run.is_fallback)
    elif isinstance(target, ast.Starred):
        bind_target(run, target.value, UNKNOWN, scope)
    elif isinstance(target, (ast.Tuple, ast.List)):
        parts = value.values if isinstance(value, Items) and len(value.values) == len(target.elts) else None
        for position, one in enumerate(target.elts):
            bind_target(run, one, parts[position] if parts else UNKNOWN, scope)
    elif isinstance(target, ast.Attribute):
        owner = evaluate(run, target.value, scope)
        if isinstance(owner, Instance):
            owner.attributes[target.attr] = value


def _either(run: Run, node: ast.IfExp | ast.BoolOp, scope: Scope) -> Value:
    if isinstance(node, ast.IfExp):
        evaluate(run, node.test, scope)
        values = [evaluate(run, one, scope) for one in (node.body, node.orelse)]
    else:
        values = [evaluate(run, one, scope) for one in node.values]
    nothing = Fake("None")
    return next((value for value in values if not is_unknown(value) and value != nothing), values[0])


def _lambda(run: Run, node: ast.Lambda, scope: Scope) -> Value:
    return Routine(node, scope)


def _walrus(run: Run, node: ast.NamedExpr, scope: Scope) -> Value:
    value = evaluate(run, node.value, scope)
    bind_target(run, node.target, value, scope)
    return value


def _inner(run: Run, node: ast.Await | ast.Starred | ast.FormattedValue, scope: Scope) -> Value:
    return evaluate(run, node.value, scope)


def _yield(run: Run, node: ast.Yield | ast.YieldFrom, scope: Scope) -> Value:
    evaluate(run, node.value, scope)
    scope.note_yield(run.block_guards)
    run.cleanup = True  # until the function ends
    return UNKNOWN


_HANDLERS: Final[dict[type, Callable[..., Value]]] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.Attribute: _attribute,
    ast.Call: _call,
    ast.Subscript: _subscript,
    ast.BinOp: _binary,
    ast.JoinedStr: _formatted,
    ast.List: _elements,
    ast.Tuple: _elements,
    ast.Set: _elements,
    ast.Dict: _dictionary,
    ast.ListComp: _comprehension,
    ast.SetComp: _comprehension,
    ast.GeneratorExp: _comprehension,
    ast.DictComp: _comprehension,
    ast.IfExp: _either,
    ast.BoolOp: _either,
    ast.Lambda: _lambda,
    ast.NamedExpr: _walrus,
    ast.Await: _inner,
    ast.Starred: _inner,
    ast.FormattedValue: _inner,
    ast.Yield: _yield,
    ast.YieldFrom: _yield,
}
