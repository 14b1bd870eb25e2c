"""Executing statements in the mind: every branch once, every loop once, with what its variable may be."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from typing import Final

from pytest_import_isolation.lint.calls import guard_of
from pytest_import_isolation.lint.contexts import enter
from pytest_import_isolation.lint.definitions import FunctionNode, Kind, Routine
from pytest_import_isolation.lint.effects import (
    CONTAINERS,
    known_names,
    write_attribute,
    write_entry,
    write_table,
)
from pytest_import_isolation.lint.events import ATTRIBUTE, IMPORT, PATH, REMOVE, Guard, Place
from pytest_import_isolation.lint.expressions import bind_target, evaluate
from pytest_import_isolation.lint.filters import narrow
from pytest_import_isolation.lint.run import Run, place_of
from pytest_import_isolation.lint.scopes import Scope
from pytest_import_isolation.lint.values import (
    UNKNOWN,
    Arguments,
    Thing,
    Value,
    elements,
    is_entries,
    is_unknown,
    names_of,
)


def execute(run: Run, body: Iterable[ast.stmt], scope: Scope) -> None:
    """Execute statements one after the other."""
    for node in body:
        if not run.step():
            return
        handler = _HANDLERS.get(type(node))
        if handler is not None:
            handler(run, node, scope)
        else:
            for child in ast.iter_child_nodes(node):
                evaluate(run, child, scope)


def invoke(run: Run, routine: Routine, arguments: Arguments, call: Place | None) -> Scope | None:
    """Call a function whose text is known; see :class:`.Invoke`."""
    with run.entered(routine, call) as is_followed:
        if not is_followed:
            return None
        scope = Scope(routine.scope.source, routine.scope)
        _bind_parameters(run, routine, arguments, scope)
        cleanup = run.cleanup
        node: FunctionNode = routine.node
        if isinstance(node, ast.Lambda):
            scope.returned = evaluate(run, node.body, scope)
        else:
            execute(run, node.body, scope)
        run.cleanup = cleanup
        return scope


def _bind_parameters(run: Run, routine: Routine, arguments: Arguments, scope: Scope) -> None:
    parameters = routine.node.args
    names = [one.arg for one in (*parameters.posonlyargs, *parameters.args)]
    defaults = parameters.defaults
    for name, default in zip(names[len(names) - len(defaults) :], defaults, strict=True):
        scope.names[name] = evaluate(run, default, routine.scope)
    for one, optional in zip(parameters.kwonlyargs, parameters.kw_defaults, strict=True):
        scope.names[one.arg] = UNKNOWN if optional is None else evaluate(run, optional, routine.scope)
    given = arguments.positional if routine.instance is None else (routine.instance, *arguments.positional)
    scope.names.update(zip(names, given))  # noqa: B905 - there may be fewer or more
    known = {*names, *(one.arg for one in parameters.kwonlyargs)}
    scope.names.update((name, value) for name, value in arguments.named if name in known)
    for name in known:
        scope.names.setdefault(name, UNKNOWN)


def _assign(run: Run, node: ast.Assign, scope: Scope) -> None:
    value = evaluate(run, node.value, scope)
    for target in node.targets:
        _store(run, target, value, node, scope)


def _annotated(run: Run, node: ast.AnnAssign, scope: Scope) -> None:
    if node.value is not None:
        _store(run, node.target, evaluate(run, node.value, scope), node, scope)


def _store(run: Run, target: ast.expr, value: Value, node: ast.stmt, scope: Scope) -> None:
    if isinstance(target, ast.Subscript):
        owner = evaluate(run, target.value, scope)
        key = evaluate(run, target.slice, scope)
        if is_entries(owner):
            is_literal = isinstance(target.slice, ast.Constant)
            write_entry(run, key, value, node, scope, is_literal=is_literal)
    elif isinstance(target, ast.Attribute):
        write_attribute(run, evaluate(run, target.value, scope), target.attr, value, node, scope)
        bind_target(run, target, value, scope)
    elif isinstance(target, (ast.Tuple, ast.List)):
        bind_target(run, target, value, scope)
        parts = getattr(value, "values", ())
        for position, one in enumerate(target.elts):
            if not isinstance(one, ast.Name):
                part = parts[position] if len(parts) == len(target.elts) else UNKNOWN
                _store(run, one, part, node, scope)
    else:
        bind_target(run, target, value, scope)


def _augmented(run: Run, node: ast.AugAssign, scope: Scope) -> None:
    value = evaluate(run, node.value, scope)
    target = evaluate(run, node.target, scope)
    if is_entries(target):
        write_table(run, value, node, scope)
    elif target == Thing("sys.path"):
        run.emit(PATH, names_of(elements(value)), node, scope)
    elif isinstance(node.target, ast.Name) and not (isinstance(target, Thing) and target.is_known):
        scope.bind(node.target.id, _sum(target, value))
    elif isinstance(node.target, ast.Attribute):
        owner = evaluate(run, node.target.value, scope)
        if not (isinstance(owner, Thing) and owner.path == "sys" and node.target.attr in CONTAINERS):
            write_attribute(run, owner, node.target.attr, value, node, scope)


def _sum(target: Value, value: Value) -> Value:
    first, second = getattr(target, "values", None), getattr(value, "values", None)
    if first is not None and second is not None:
        return type(target)((*first, *second))  # type: ignore[call-arg]
    return UNKNOWN if is_unknown(target) else target


def _delete(run: Run, node: ast.Delete, scope: Scope) -> None:
    for target in node.targets:
        if isinstance(target, ast.Subscript):
            owner, key = evaluate(run, target.value, scope), evaluate(run, target.slice, scope)
            if is_entries(owner):
                is_literal = isinstance(target.slice, ast.Constant)
                run.emit(REMOVE, names_of(key), node, scope, is_literal=is_literal)
        elif isinstance(target, ast.Attribute):
            owner = evaluate(run, target.value, scope)
            if isinstance(owner, Thing) and owner.is_known:
                names = (f"{owner.path}.{target.attr}",)
                run.emit(ATTRIBUTE, names, node, scope, is_literal=scope.source.is_module(owner))


def _import(run: Run, node: ast.Import, scope: Scope) -> None:
    for alias in node.names:
        scope.source.modules.add(alias.name)
        bound = alias.asname or alias.name.partition(".")[0]
        scope.bind(bound, Thing(alias.name if alias.asname else bound, is_module=True))
    run.emit(IMPORT, tuple(alias.name for alias in node.names), node, scope)


def _import_from(run: Run, node: ast.ImportFrom, scope: Scope) -> None:
    base = scope.source.absolute("." * node.level + (node.module or ""))
    scope.source.modules.add(base)
    joint = "" if base.endswith(".") else "."
    for alias in node.names:
        if alias.name == "*":
            for name in known_names(base):
                scope.bind(name, Thing(f"{base}.{name}"))
            continue
        path = f"{base}{joint}{alias.name}"
        is_known_module = path in ("os.path", "unittest.mock", "importlib.util", "importlib.machinery")
        scope.bind(alias.asname or alias.name, Thing(path, is_known_module))
    run.emit(IMPORT, (base,), node, scope, Thing(",".join(alias.name for alias in node.names)))


def _if(run: Run, node: ast.If, scope: Scope) -> None:
    evaluate(run, node.test, scope)
    if not is_false_when_tested(node.test):
        narrow(node.test, scope)
        execute(run, node.body, scope)
    execute(run, node.orelse, scope)
    jumps = node.body and isinstance(node.body[-1], (ast.Continue, ast.Return, ast.Raise))
    if jumps and isinstance(node.test, ast.UnaryOp) and isinstance(node.test.op, ast.Not):
        narrow(node.test.operand, scope)


def is_false_when_tested(test: ast.expr) -> bool:
    """Tell whether a condition is false when pytest loads the file."""
    if isinstance(test, ast.Constant):
        return not test.value
    if (test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")) == "TYPE_CHECKING":
        return True
    if not (isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq)):
        return False
    sides = {
        getattr(side, "id", getattr(side, "value", None))
        for side in (test.left, test.comparators[0])
        if isinstance(side, (ast.Name, ast.Constant))
    }
    return sides == {"__name__", "__main__"}


def _for(run: Run, node: ast.For | ast.AsyncFor, scope: Scope) -> None:
    bind_target(run, node.target, elements(evaluate(run, node.iter, scope)), scope)
    execute(run, node.body, scope)
    execute(run, node.orelse, scope)


def _while(run: Run, node: ast.While, scope: Scope) -> None:
    evaluate(run, node.test, scope)
    execute(run, node.body, scope)
    execute(run, node.orelse, scope)


def _with(run: Run, node: ast.With | ast.AsyncWith, scope: Scope) -> None:
    guards: tuple[Guard, ...] = ()
    for item in node.items:
        with run.guarded(*guards):
            value = evaluate(run, item.context_expr, scope)
            guards += enter(run, value, item.context_expr, scope, guard_of)
            if item.optional_vars is not None:
                bind_target(run, item.optional_vars, UNKNOWN, scope)
    with run.guarded(*guards):
        execute(run, node.body, scope)


def _try(run: Run, node: ast.Try, scope: Scope) -> None:
    execute(run, node.body, scope)
    before, run.is_fallback = run.is_fallback, True
    for handler in node.handlers:
        execute(run, handler.body, scope)
    run.is_fallback = before
    execute(run, node.orelse, scope)
    with run.cleaning():
        execute(run, node.finalbody, scope)


def _function(run: Run, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope) -> None:
    scope.bind(node.name, Routine(node, scope))
    _decorate(run, node, scope)


def _class(run: Run, node: ast.ClassDef, scope: Scope) -> None:
    inner = Scope(scope.source, scope, is_class=True)
    execute(run, node.body, inner)
    scope.bind(node.name, Kind(node, scope))
    _decorate(run, node, scope)


def _decorate(run: Run, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, scope: Scope) -> None:
    """Call the decorators whose text is known, the nearest first."""
    for decorator in reversed(node.decorator_list):
        made_by = decorator.func if isinstance(decorator, ast.Call) else decorator
        function: Value | None = evaluate(run, made_by, scope)
        if isinstance(function, Thing) and function.is_known:
            function = scope.source.find(function.path)
        if not isinstance(function, Routine):
            continue
        place = place_of(decorator, scope)
        if isinstance(decorator, ast.Call):
            function = evaluate(run, decorator, scope)
        if isinstance(function, Routine):
            run.invoke(run, function, Arguments((scope.names.get(node.name, UNKNOWN),)), place)


def _return(run: Run, node: ast.Return, scope: Scope) -> None:
    value = evaluate(run, node.value, scope)
    if is_unknown(scope.returned):
        scope.returned = value


def _global(run: Run, node: ast.Global, scope: Scope) -> None:
    scope.globals.update(node.names)


def _match(run: Run, node: ast.Match, scope: Scope) -> None:
    evaluate(run, node.subject, scope)
    for case in node.cases:
        execute(run, case.body, scope)


_HANDLERS: Final[dict[type, Callable[..., None]]] = {
    ast.Assign: _assign,
    ast.AnnAssign: _annotated,
    ast.AugAssign: _augmented,
    ast.Delete: _delete,
    ast.Import: _import,
    ast.ImportFrom: _import_from,
    ast.If: _if,
    ast.For: _for,
    ast.AsyncFor: _for,
    ast.While: _while,
    ast.With: _with,
    ast.AsyncWith: _with,
    ast.Try: _try,
    ast.FunctionDef: _function,
    ast.AsyncFunctionDef: _function,
    ast.ClassDef: _class,
    ast.Return: _return,
    ast.Global: _global,
    ast.Match: _match,
}
if hasattr(ast, "TryStar"):  # Python 3.11
    _HANDLERS[ast.TryStar] = _try
