"""Whether a failed statement checks which modules are loaded, by where its condition came from.

``sys.modules`` may stand in the condition itself, in the function that it calls, or in another statement of
the same function that gave a value to a name in the condition. A test that only writes to the table, and
checks something else, asks nothing of it. Nothing is evaluated.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Sequence
from types import FunctionType
from typing import Final

from pytest_import_isolation.leaks.failed_statements import FailedStatement, attribute_of
from pytest_import_isolation.machinery.modules import ABSENT, namespace
from pytest_import_isolation.machinery.syntax import called, owner_of_namespace, walk

_CONTAINERS: Final = (set, frozenset, list, tuple, dict)
#: What every listing of the loaded modules has.
_ALWAYS_LOADED: Final = ("sys", "builtins")
_FAILING: Final = frozenset(("fail", "skip", "exit", "xfail"))
_EXPECTING: Final = frozenset(("raises", "assertRaises", "assertRaisesRegex"))
#: What a look for something absent raises.
_OF_ABSENCE: Final = frozenset(("KeyError", "AttributeError", "LookupError", "Exception"))
_ATTRIBUTE_READERS: Final = frozenset(("hasattr", "getattr", "assertHasAttr", "assertNotHasAttr"))
_NAMESPACE_READERS: Final = frozenset(("vars", "dir"))
_ADDING: Final = frozenset(("add", "append", "extend", "insert", "update"))
_DEPTH: Final = 3
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class TableReads:
    """What a failed statement checks, and the statements that read it from the table.

    Args:
        statement: that through which an exception passed.
    """

    def __init__(self, statement: FailedStatement) -> None:
        self._statement = statement
        self._readers: dict[int, bool] = {}
        self._values: dict[str, object] = {}
        #: What was checked: expressions, or statements that expect an exception.
        self.checked = list(_conditions(statement.nodes))
        #: What gave names in it their values from the table.
        self.sources = list(self._sources_of(_names(self.checked)))

    def __bool__(self) -> bool:
        """Tell whether the table decides about what is checked, in a way that a missing entry passes."""
        if any(self._needs_entry(node) for node in self.checked):
            return False
        return bool(self.sources) or any(self._reads(node) for node in self.checked)

    def submodules(self, nodes: Iterable[ast.AST]) -> Iterator[str]:
        """Yield the loaded submodules that are looked for as attributes of their packages.

        Args:
            nodes: where they are looked for.
        """
        for node in nodes:
            is_expected = isinstance(node, (ast.With, ast.AsyncWith)) and _is_expecting(node)
            for part in walk(node):
                for owner, attribute in self._looks_for_attributes(part, is_expected=is_expected):
                    name = (namespace(owner) or {}).get("__name__")
                    if type(name) is str and sys.modules.get(name) is owner:
                        submodule = f"{name}.{attribute}"
                        if submodule in sys.modules:
                            yield submodule

    def _looks_for_attributes(self, node: ast.AST, *, is_expected: bool) -> Iterator[tuple[object, str]]:
        value = self._value
        if called(node) in _ATTRIBUTE_READERS:
            arguments = node.args  # type: ignore[attr-defined]
            if len(arguments) > 1 and (text := self._text(arguments[1])) is not None:
                yield value(arguments[0]), text
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.In, ast.NotIn)):
            text, space = self._text(node.left), node.comparators[0]
            if text is None:
                return
            if called(space) in _NAMESPACE_READERS and space.args:  # type: ignore[attr-defined]
                yield value(space.args[0]), text  # type: ignore[attr-defined]
            elif isinstance(space, ast.Attribute) and space.attr == "__dict__":
                yield value(space.value), text
        elif is_expected and isinstance(node, ast.Attribute):
            yield value(node.value), node.attr

    def _value(self, node: ast.AST) -> object:
        """Return what a name, or a chain of attributes, stands for; ABSENT if that takes running code."""
        if isinstance(node, ast.Attribute):
            return attribute_of(self._value(node.value), node.attr)
        if not isinstance(node, ast.Name):
            return ABSENT
        if node.id not in self._values:  # to ask a frame for its locals copies all of them
            self._values[node.id] = self._statement.value(node)
        return self._values[node.id]

    def _text(self, node: ast.AST) -> str | None:
        value = node.value if isinstance(node, ast.Constant) else self._value(node)
        return value if type(value) is str else None

    def _needs_entry(self, node: ast.AST) -> bool:
        """Tell whether an expression fails if an entry is missing, where nobody expects that."""
        return isinstance(node, ast.expr) and any(map(self._is_entry, walk(node)))

    def _is_entry(self, node: ast.AST) -> bool:
        is_read = isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load)
        return is_read and self._is_table(node.value)  # type: ignore[attr-defined]

    def _reads(self, node: ast.AST) -> bool:
        """Tell whether the table, or an attribute of a package, is looked at somewhere in a node."""
        parts = list(walk(node))
        if any(self._is_table(part) or self._is_reader(part) for part in parts):
            return True
        return next(self.submodules([node]), None) is not None

    def _is_table(self, node: ast.AST) -> bool:
        if isinstance(node, (ast.Name, ast.Attribute)):
            return is_listing(self._value(node))
        if isinstance(node, ast.Subscript) and owner_of_namespace(node.value) is not None:
            return isinstance(node.slice, ast.Constant) and node.slice.value == "modules"
        return called(node) == "getattr" and any(
            isinstance(part, ast.Constant) and part.value == "modules"
            for part in node.args  # type: ignore[attr-defined]
        )

    def _is_reader(self, node: ast.AST) -> bool:
        """Tell whether a node stands for a function that reads the table."""
        if not isinstance(node, (ast.Name, ast.Attribute)):
            return False
        return _is_reader(self._value(node), self._readers)

    def _sources_of(self, names: set[str]) -> Iterator[ast.AST]:
        """Yield what gave some names of the function values from the table, the last first."""
        for origins, bound in reversed(self._binders()):
            if not names.isdisjoint(bound):
                names |= _names(origins)
                yield from origins

    def _binders(self) -> list[tuple[list[ast.AST], set[str]]]:
        """Return the names that statements of the function read from the table, each with where from."""
        waiting = []
        for node, around in _simple_statements(self._statement.function):
            bound = _bound(node)
            if bound:
                origins = [*_sources(node), *_controls(around)]
                usable = [origin for origin in origins if not self._needs_entry(origin)]
                waiting.append((origins, bound, any(map(self._reads, usable)), _names(usable)))
        found: list[tuple[list[ast.AST], set[str]]] = []
        known: set[str] = set()
        is_new = True
        while is_new:
            new = [each for each in waiting if each[2] or not known.isdisjoint(each[3])]
            identities = set(map(id, new))
            waiting = [each for each in waiting if id(each) not in identities]
            found += ((origins, bound) for origins, bound, *_ in new)
            known = known.union(*(bound for _, bound, *_ in new))
            is_new = bool(new)
        return found


def _is_reader(value: object, known: dict[int, bool], depth: int = 0) -> bool:
    """Tell whether a value is a function that names the table, itself or in functions that it calls.

    Args:
        value: anything.
        known: the answers up to now, by the identity of the function.
        depth: how many functions call it.
    """
    if type(value) is not FunctionType or depth > _DEPTH:
        return False
    if id(value) not in known:
        known[id(value)] = False  # while it is looked at: it may call itself
        names, space = value.__code__.co_names, value.__globals__
        values = [space.get(name) for name in names]
        says_sys = "sys" in names or any(one is sys or one is sys.modules for one in values)
        known[id(value)] = ("modules" in names and says_sys) or any(
            _is_reader(one, known, depth + 1) for one in values
        )
    return known[id(value)]


def is_listing(value: object) -> bool:
    """Tell whether a value is ``sys.modules``, or lists what it holds."""
    if value is sys.modules:
        return True
    texts = texts_in(value)
    return texts is not None and all(name in texts for name in _ALWAYS_LOADED)


def texts_in(value: object) -> list[str] | None:
    """Return the texts in a builtin container, or None for anything else."""
    if not any(type(value) is kind for kind in _CONTAINERS):
        return None
    items: Iterable[object] = list(value)  # type: ignore[call-overload]
    return [item for item in items if type(item) is str]


def _nodes(roots: Iterable[ast.AST]) -> Iterator[ast.AST]:
    for root in roots:
        yield from walk(root)


def _names(roots: Iterable[ast.AST]) -> set[str]:
    return {node.id for node in _nodes(roots) if isinstance(node, ast.Name)}


# What was checked


def _conditions(nodes: Sequence[ast.stmt]) -> Iterator[ast.AST]:
    """Yield what decided that a statement failed.

    Args:
        nodes: the statement, and those around it, the innermost first.
    """
    innermost, *around = nodes
    block = around[0] if around else None
    if isinstance(block, ast.With) and block.lineno == innermost.lineno and _is_expecting(block):
        innermost, *around = around  # both stand in one line
    if isinstance(innermost, ast.Assert):
        yield innermost.test
        if isinstance(innermost.test, ast.Constant):
            yield from _controls(around)
        else:
            yield from (node.iter for node in around if isinstance(node, (ast.For, ast.AsyncFor)))
    elif isinstance(innermost, (ast.With, ast.AsyncWith)):
        if _is_expecting(innermost):
            yield innermost
            yield from _controls(around)
    else:
        is_failing = isinstance(innermost, ast.Raise)
        if isinstance(innermost, ast.Expr):
            is_failing = called(innermost.value) in _FAILING
            yield innermost.value
        if is_failing:
            yield from _controls(around)


def _controls(around: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield what decides whether the statements inside of others are executed."""
    for node in around:
        if isinstance(node, (ast.If, ast.While)):
            yield node.test
        elif isinstance(node, (ast.For, ast.AsyncFor)):
            yield node.iter
        elif isinstance(node, ast.Match):
            yield node.subject
        elif isinstance(node, ast.Try):
            yield from node.body  # statements: what fails in them is expected


def _is_expecting(node: ast.With | ast.AsyncWith) -> bool:
    """Tell whether a block expects that something is absent."""
    for item in node.items:
        call = item.context_expr
        if called(call) in _EXPECTING and not _names([call]).isdisjoint(_OF_ABSENCE):
            return True
    return False


# Where names get their values


def _simple_statements(
    node: ast.AST, around: tuple[ast.AST, ...] = ()
) -> Iterator[tuple[ast.stmt, tuple[ast.AST, ...]]]:
    """Yield the statements of a function, each with those around it, without those of functions inside."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt) and not isinstance(child, (*_FUNCTIONS, ast.ClassDef)):
            yield child, around
            yield from _simple_statements(child, (*around, child))
        elif isinstance(child, (ast.ExceptHandler, ast.match_case)):
            yield from _simple_statements(child, around)


def _bound(node: ast.stmt) -> set[str]:
    """Return the names that get another value in a statement itself, or are added to."""
    targets: list[ast.AST] = [
        part.target for part in _nodes(_expressions(node)) if isinstance(part, ast.NamedExpr)
    ]
    if isinstance(node, ast.Assign):
        targets += node.targets
    elif isinstance(node, (ast.AnnAssign, ast.AugAssign, ast.For, ast.AsyncFor)):
        targets.append(node.target)
    elif isinstance(node, (ast.With, ast.AsyncWith)):
        targets += [item.optional_vars for item in node.items if item.optional_vars is not None]
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        function = node.value.func
        if called(node.value) in _ADDING and isinstance(function, ast.Attribute):
            targets.append(function.value)
    return _names(targets)


def _sources(node: ast.stmt) -> Iterator[ast.AST]:
    """Yield from what the names that a statement binds get their values."""
    if isinstance(node, (ast.For, ast.AsyncFor)):
        yield node.iter
    elif isinstance(node, (ast.With, ast.AsyncWith)):
        yield from (item.context_expr for item in node.items)
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield from node.value.args
    else:
        yield from _expressions(node)


def _expressions(node: ast.stmt) -> Iterator[ast.expr]:
    """Yield the expressions of a statement, without those of statements inside."""
    return (child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr))
