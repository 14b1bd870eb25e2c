"""What a call does and gives, by the function that is called."""

from __future__ import annotations

import ast
from typing import Final

from pytest_import_isolation.lint.builtin_calls import call_builtin, call_method
from pytest_import_isolation.lint.contexts import enter
from pytest_import_isolation.lint.definitions import Instance, Kind, Manager, Routine
from pytest_import_isolation.lint.effects import (
    CONTAINERS,
    FUNCTIONS,
    entries_method,
    list_method,
    makes_fake,
    monkeypatch_method,
    patcher_of,
)
from pytest_import_isolation.lint.events import PATCH, START, STOP, WINDOW, Guard
from pytest_import_isolation.lint.run import Run, place_of
from pytest_import_isolation.lint.scopes import Scope, statement_text
from pytest_import_isolation.lint.values import (
    ANY,
    UNKNOWN,
    Arguments,
    Fake,
    Method,
    Patcher,
    Real,
    Table,
    Thing,
    Value,
    names_of,
    pairs_of,
)

#: Methods that have a function called at the end.
_CLEANUPS: Final = frozenset(
    [
        "addCleanup",
        "addClassCleanup",
        "addModuleCleanup",
        "addAsyncCleanup",
        "addfinalizer",
        "callback",
        "push",
        "push_async_callback",
    ]
)
_LOADS: Final = frozenset(("load", "import"))
#: Methods that enter a context until the end.
_ENTERS: Final = frozenset(
    [
        "enter_context",
        "enter_async_context",
        "enterContext",
        "enterClassContext",
        "enterModuleContext",
        "enterAsyncContext",
    ]
)


def call(run: Run, function: Value, arguments: Arguments, node: ast.Call, scope: Scope) -> Value:
    """Call what an expression stands for, and return what it gives."""
    if isinstance(function, Thing):
        return _call_thing(run, function, arguments, node, scope)
    if isinstance(function, Routine):
        return call_routine(run, function, arguments, node, scope)
    if isinstance(function, Kind):
        return _instantiate(run, function, arguments, node, scope)
    if isinstance(function, Method):
        if isinstance(function.owner, Patcher):
            return _patcher_method(run, function.owner, function.name, node, scope)
        return call_method(function.owner, function.name, arguments)
    return UNKNOWN


def call_routine(run: Run, routine: Routine, arguments: Arguments, node: ast.Call, scope: Scope) -> Value:
    """Call a function whose text is known."""
    if any(
        _last_name(decorator) in ("contextmanager", "asynccontextmanager")
        for decorator in _decorators(routine)
    ):
        return Manager(routine, arguments)
    done = run.invoke(run, routine, arguments, place_of(node, scope))
    return UNKNOWN if done is None else done.returned


def _decorators(routine: Routine) -> list[ast.expr]:
    return getattr(routine.node, "decorator_list", [])


def _last_name(node: ast.expr) -> str:
    node = node.func if isinstance(node, ast.Call) else node
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _call_thing(run: Run, function: Thing, arguments: Arguments, node: ast.Call, scope: Scope) -> Value:
    path, last = function.path, function.path.rpartition(".")[2]
    container, _, method = path.removeprefix("sys.").partition(".")
    if path.startswith("sys.modules.") and method:
        return entries_method(run, method, arguments, node, scope)
    if path.startswith("sys.") and container in CONTAINERS and method:
        return list_method(run, container, method, arguments, node, scope)
    handler = FUNCTIONS.get(path)
    if handler is not None:
        return handler(run, arguments, node, scope)
    known = call_builtin(path, arguments)
    if known is not None:
        return known
    found = scope.source.find(path) if function.is_known else None
    if found is not None:
        return call(run, found, arguments, node, scope)
    if not function.is_known and monkeypatch_method(run, last, arguments, node, scope):
        return UNKNOWN
    patcher = patcher_of(path, arguments, node)
    if patcher is not None:
        if not function.is_known:  # pytest-mock: it begins at once, and ends with the test
            run.lasting += (guard_of(patcher),)
        return patcher
    return _call_other(run, function, last, arguments, node, scope)


def _call_other(
    run: Run, function: Thing, last: str, arguments: Arguments, node: ast.Call, scope: Scope
) -> Value:
    if last in _CLEANUPS or last in _ENTERS:
        return _call_at_end(run, last, arguments, node, scope)
    if last == "stopall":
        run.emit(STOP, (ANY,), node, scope)
    if makes_fake(function.path):
        return Fake(statement_text(node, 40))
    # A function of an unknown text that loads a module, by its name.
    return Real() if _LOADS.intersection(last.split("_")) else UNKNOWN


def guard_of(patcher: Patcher) -> Guard:
    """Return what a context manager does while it is entered."""
    if patcher.guard == PATCH:
        written = () if patcher.table == UNKNOWN else pairs_of(patcher.table)
        return Guard(PATCH, tuple(name for key, _ in written for name in names_of(key)))
    return Guard(patcher.guard, names_of(patcher.table))


def _call_at_end(run: Run, method: str, arguments: Arguments, node: ast.Call, scope: Scope) -> Value:
    function = arguments.get(0, "function")
    if method in _ENTERS:
        guards = enter(run, function, node, scope, guard_of)
        run.lasting += guards  # after the call, which may add some itself
        return UNKNOWN
    with run.cleaning():
        call(run, function, Arguments(arguments.positional[1:], arguments.named), node, scope)
    return UNKNOWN


def _instantiate(run: Run, kind: Kind, arguments: Arguments, node: ast.Call, scope: Scope) -> Value:
    instance = Instance(kind, {})
    for name in ("__init__",):
        method = next((one for one in kind.node.body if getattr(one, "name", "") == name), None)
        if isinstance(method, ast.FunctionDef):
            run.invoke(run, Routine(method, kind.scope, instance), arguments, place_of(node, scope))
    return instance


def _patcher_method(run: Run, patcher: Patcher, method: str, node: ast.Call, scope: Scope) -> Value:
    if method in ("start", "__enter__"):
        guard = guard_of(patcher)
        if guard.kind in (PATCH, WINDOW) and patcher.table != Table(()):
            run.emit(START, guard.names, node, scope, patcher)
        run.lasting += (guard,)
    elif method in ("stop", "__exit__"):
        run.emit(STOP, guard_of(patcher).names, node, scope, patcher)
    return UNKNOWN
