"""Names and what they are bound to, in a file and in a call of a function."""

from __future__ import annotations

import ast
from typing import Final, Protocol

from pytest_import_isolation.lint.events import Guard
from pytest_import_isolation.lint.values import UNKNOWN, Fake, Thing, Value, is_unknown

#: Builtins that the rules ask for by name.
_BUILTINS: Final = frozenset(
    [
        "__import__",
        "any",
        "delattr",
        "dict",
        "enumerate",
        "filter",
        "frozenset",
        "getattr",
        "iter",
        "list",
        "map",
        "object",
        "reversed",
        "set",
        "setattr",
        "sorted",
        "str",
        "tuple",
        "type",
        "vars",
        "zip",
    ]
)


class File(Protocol):
    """What a scope knows of its file."""

    @property
    def path(self) -> str:
        """Where it is."""

    @property
    def name(self) -> str:
        """How findings name it."""

    @property
    def interesting(self) -> frozenset[str]:
        """The names of its functions that change import state."""

    def find(self, path: str) -> Value | None:
        """Return a function or class of another file by its dotted path."""

    @property
    def modules(self) -> set[str]:
        """What it imports that must be modules."""

    def is_module(self, thing: Thing) -> bool:
        """Tell whether something is a module for certain."""

    def absolute(self, module: str) -> str:
        """Return the name of a module that a relative import names."""


class Scope:
    """The names of one execution of a module body, a class body or a function."""

    def __init__(self, source: File, parent: Scope | None = None, is_class: bool = False) -> None:
        self.source = source
        self.parent = parent
        #: Names of a class body are not seen by its methods.
        self.is_class = is_class
        self.names: dict[str, Value] = {}
        self.globals: set[str] = set()
        self.returned: Value = UNKNOWN
        #: The guards around a ``yield``, None before there was one.
        self.guards_at_yield: tuple[Guard, ...] | None = None

    @property
    def module(self) -> Scope:
        """The scope of the file."""
        scope = self
        while scope.parent is not None:
            scope = scope.parent
        return scope

    def note_yield(self, guards: tuple[Guard, ...]) -> None:
        """Note that the function yields: what follows is executed at the end of what it was yielded to."""
        if self.guards_at_yield is None:
            self.guards_at_yield = guards

    def look_up(self, name: str) -> Value:
        """Return what a name stands for."""
        scope: Scope | None = self.module if name in self.globals else self
        start = scope
        while scope is not None:
            if name in scope.names and (scope is start or not scope.is_class):
                value = scope.names[name]
                # Its text tells which kind of method is called on it.
                return Thing(f"?{name}") if type(value) is Value else value
            scope = scope.parent
        return Thing(f"builtins.{name}") if name in _BUILTINS else Thing(f"?{name}")

    def bind(self, name: str, value: Value, *, is_fallback: bool = False) -> None:
        """Let a name stand for a value.

        Args:
            name: the name.
            value: the value.
            is_fallback: whether only a failure leads here, as in ``except ImportError: x = None``.
        """
        scope = self.module if name in self.globals else self
        before = scope.names.get(name)
        if is_fallback and before is not None and not is_unknown(before) and isinstance(value, Fake):
            return
        scope.names[name] = value


def statement_text(node: ast.AST, most: int = 60) -> str:
    """Return how a source writes something, shortened."""
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= most else f"{text[: most - 3]}..."
