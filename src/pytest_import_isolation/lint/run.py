"""One execution of code in the mind: where it stands, and what it did so far."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from pytest_import_isolation.lint.definitions import Routine
from pytest_import_isolation.lint.events import Event, Guard, Place
from pytest_import_isolation.lint.scopes import Scope, statement_text
from pytest_import_isolation.lint.values import UNKNOWN, Arguments, Value

#: How many statements one execution has, those of called functions included.
_MOST: Final = 20_000
#: How deep calls are followed.
_DEPTH: Final = 6


class Invoke(Protocol):
    """What calls a function whose text is known."""

    def __call__(self, run: Run, routine: Routine, arguments: Arguments, call: Place | None) -> Scope | None:
        """Call it, and return its names afterwards; None if it was not followed."""


class Run:
    """The state of an execution."""

    def __init__(self, invoke: Invoke, *, is_module: bool = False) -> None:
        self.invoke = invoke
        #: Whether a file is executed, not one of its functions.
        self.is_module = is_module
        self.trace: list[Event] = []
        #: Of the blocks that enclose the statement.
        self.block_guards: tuple[Guard, ...] = ()
        #: Of what lasts until the end.
        self.lasting: tuple[Guard, ...] = ()
        self.cleanup = False
        self.own = True
        #: Whether the statement is executed only if another one failed.
        self.is_fallback = False
        self.calls: tuple[Place, ...] = ()
        self._active: list[ast.AST] = []
        self._left = _MOST

    def step(self) -> bool:
        """Count a statement, and tell whether it is still to be executed."""
        self._left -= 1
        return self._left >= 0

    @contextmanager
    def entered(self, routine: Routine, call: Place | None) -> Iterator[bool]:
        """Follow a call; gives False if it is not to be followed any deeper."""
        if len(self._active) >= _DEPTH or routine.node in self._active:
            yield False
            return
        calls = self.calls
        if call is not None:
            self.calls = (*calls, call)
        self._active.append(routine.node)
        try:
            yield True
        finally:
            self._active.pop()
            self.calls = calls

    @contextmanager
    def cleaning(self) -> Iterator[None]:
        """Execute what is executed at the end, whatever happens in between."""
        before, self.cleanup = self.cleanup, True
        try:
            yield
        finally:
            self.cleanup = before

    @contextmanager
    def guarded(self, *guards: Guard) -> Iterator[None]:
        """Execute a block that something encloses."""
        before = self.block_guards
        self.block_guards = (*before, *guards)
        try:
            yield
        finally:
            self.block_guards = before

    def emit(
        self,
        kind: str,
        names: tuple[str, ...],
        node: ast.AST,
        scope: Scope,
        value: Value = UNKNOWN,
        *,
        is_literal: bool = True,
    ) -> None:
        """Note an event."""
        self.trace.append(
            Event(
                kind,
                names,
                place_of(node, scope),
                value,
                (*self.block_guards, *self.lasting),
                self.cleanup,
                self.own,
                self.calls,
                is_literal,
                statement_text(node),
            )
        )


def place_of(node: ast.AST, scope: Scope) -> Place:
    """Return where a statement or expression is."""
    line: int = getattr(node, "lineno", 1)
    column: int = getattr(node, "col_offset", 0)
    return Place(scope.source.name, line, column + 1, getattr(node, "end_lineno", None) or line)
