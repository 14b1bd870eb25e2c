"""Functions and classes whose text is known, as values."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from pytest_import_isolation.lint.scopes import Scope
from pytest_import_isolation.lint.values import Arguments, Value

Function = ast.FunctionDef | ast.AsyncFunctionDef
FunctionNode = Function | ast.Lambda


@dataclass(frozen=True, eq=False)
class Routine(Value):
    """A function whose text is known."""

    node: FunctionNode
    scope: Scope
    instance: Instance | None = None


@dataclass(frozen=True, eq=False)
class Kind(Value):
    """A class whose text is known."""

    node: ast.ClassDef
    scope: Scope


@dataclass(frozen=True, eq=False)
class Instance(Value):
    """An object of a class whose text is known: ``self``."""

    kind: Kind
    attributes: dict[str, Value]


@dataclass(frozen=True, eq=False)
class Manager(Value):
    """The call of a function that ``contextlib.contextmanager`` decorates."""

    routine: Routine
    arguments: Arguments
