"""Entering context managers whose text is known, or which are known to put import state back."""

from __future__ import annotations

import ast
from collections.abc import Callable

from pytest_import_isolation.lint.definitions import Instance, Manager, Routine
from pytest_import_isolation.lint.events import Guard
from pytest_import_isolation.lint.run import Run, place_of
from pytest_import_isolation.lint.scopes import Scope
from pytest_import_isolation.lint.values import Arguments, Patcher, Value


def enter(
    run: Run, value: Value, node: ast.AST, scope: Scope, guard_of: Callable[[Patcher], Guard]
) -> tuple[Guard, ...]:
    """Enter a context manager, and execute its end as a cleanup.

    Args:
        run: the execution.
        value: the context manager.
        node: where it is entered.
        scope: the names there.
        guard_of: gives what a patcher does while it is entered.

    Returns:
        What it puts back at its end.
    """
    if isinstance(value, Patcher):
        return (guard_of(value),)
    if isinstance(value, Manager):
        return enter_generator(run, value.routine, value.arguments, node, scope)
    if isinstance(value, Instance):
        for method in value.kind.node.body:
            if isinstance(method, (ast.FunctionDef, ast.AsyncFunctionDef)):
                routine, call = Routine(method, value.kind.scope, value), place_of(node, scope)
                if method.name in ("__enter__", "__aenter__"):
                    run.invoke(run, routine, Arguments(), call)
                elif method.name in ("__exit__", "__aexit__"):
                    with run.cleaning():
                        run.invoke(run, routine, Arguments(), call)
    return ()


def enter_generator(
    run: Run, routine: Routine, arguments: Arguments, node: ast.AST | None, scope: Scope
) -> tuple[Guard, ...]:
    """Execute a function that yields once, and return what encloses its ``yield``."""
    before = len(run.block_guards)
    done = run.invoke(run, routine, arguments, None if node is None else place_of(node, scope))
    return () if done is None or done.guards_at_yield is None else done.guards_at_yield[before:]
