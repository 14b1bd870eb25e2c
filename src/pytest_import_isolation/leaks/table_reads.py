"""Whether a failed statement checks which modules are loaded, by where its condition came from.

``sys.modules`` may stand in the condition itself, in the function that it calls, or in another statement of
the same function that gave a value to a name in the condition. A test that only writes to the table, and
checks something else, asks nothing of it. Nothing is evaluated.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise, takewhile
from operator import is_not
from typing import Final

from pytest_import_isolation.leaks.failed_statements import FailedStatement, attribute_of
from pytest_import_isolation.machinery.functions import codes_in, function_in
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
#: Where statements hold others, and what holds others in its turn.
_BLOCKS: Final = ("body", "orelse", "finalbody")
_HOLDERS: Final = ("handlers", "cases")
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
        self.checked = list(_conditions(statement))
        #: What gave names in it their values from the table.
        self.sources = list(self._sources_of(_names(self.checked)))

    def __bool__(self) -> bool:
        """Tell whether the table decides about what is checked, in a way that a missing entry passes."""
        if any(self._needs_entry(node) for node in self.checked):
            return False
        return bool(self.sources) or any(self._reads(node) for node in self.checked)

    @property
    def guards(self) -> list[tuple[ast.expr, bool]]:
        """What reads the table and led to a statement that fails in any case, and whether it was true."""
        return [guard for guard in _guards(self._statement) if self._reads(guard[0])]

    def subtracted(self) -> Iterator[object]:
        """Yield the earlier listings of modules that are left out, to see what has come since."""
        for node in _nodes([*self.checked, *self.sources]):
            left_out: Sequence[ast.expr] = ()
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
                left_out = [node.right]
            elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.NotIn):
                left_out = node.comparators
            elif isinstance(node, ast.Call) and called(node) == "difference":
                left_out = node.args
            values = map(self._value, left_out)
            yield from (value for value in values if value is not sys.modules and is_listing(value))

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
            return self._statement.value(node)
        if node.id not in self._values:  # to ask a frame for its locals copies all of them
            self._values[node.id] = self._statement.value(node)
        return self._values[node.id]

    def _text(self, node: ast.AST) -> str | None:
        value = node.value if isinstance(node, ast.Constant) else self._value(node)
        return value if type(value) is str else None

    def _needs_entry(self, node: ast.AST) -> bool:
        """Tell whether an expression fails if an entry is missing, where nobody expects that."""
        return isinstance(node, ast.expr) and not _expects(node) and any(map(self._is_entry, walk(node)))

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
        """Tell whether a node stands for a function that reads the table, or calls an object that does."""
        if isinstance(node, ast.Call):
            owner = self._value(node.func)
            return _is_reader(attribute_of(owner, "__call__"), self._readers, owner)
        if not isinstance(node, (ast.Name, ast.Attribute)):
            return False
        owner = self._value(node.value) if isinstance(node, ast.Attribute) else ABSENT
        return _is_reader(self._value(node), self._readers, owner)

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


def _is_reader(value: object, known: dict[int, bool], owner: object = ABSENT, depth: int = 0) -> bool:
    """Tell whether a value is a function that names the table, itself or in functions that it calls.

    Args:
        value: anything.
        known: the answers up to now, by the identity of the function.
        owner: what the function is an attribute of, by which it may call others.
        depth: how many functions call it.
    """
    function = function_in(value)
    if function is None or depth > _DEPTH:
        return False
    if id(function) not in known:
        known[id(function)] = False  # while it is looked at: it may call itself
        names = {name for code in codes_in(function.__code__) for name in code.co_names}
        values = [function.__globals__.get(name) for name in names]
        says_sys = "sys" in names or any(one is sys or one is sys.modules for one in values)
        values += [attribute_of(owner, name) for name in names] if owner is not ABSENT else []
        known[id(function)] = ("modules" in names and says_sys) or any(
            _is_reader(one, known, owner, depth + 1) for one in values
        )
    return known[id(function)]


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


def _conditions(statement: FailedStatement) -> Iterator[ast.AST]:
    """Yield what decided that a statement failed."""
    innermost, *around = statement.nodes
    block = around[0] if around else None
    if isinstance(block, ast.With) and block.lineno == innermost.lineno and _is_expecting(block):
        innermost, *around = around  # both stand in one line
    if _fails_in_any_case(innermost):
        yield from _controls(around)
        yield from (node for sibling in _siblings_before(statement) for node in _leaving(sibling))
    if isinstance(innermost, ast.Assert):
        yield innermost.test
        yield from (node.iter for node in around if isinstance(node, (ast.For, ast.AsyncFor)))
    elif isinstance(innermost, (ast.With, ast.AsyncWith)):
        if _is_expecting(innermost):
            yield innermost
            yield from _controls(around)
    elif isinstance(innermost, ast.Expr):
        yield innermost.value


def _fails_in_any_case(node: ast.stmt) -> bool:
    if isinstance(node, ast.Assert):
        return isinstance(node.test, ast.Constant)
    return isinstance(node, ast.Raise) or (isinstance(node, ast.Expr) and called(node.value) in _FAILING)


def _guards(statement: FailedStatement) -> Iterator[tuple[ast.expr, bool]]:
    """Yield the conditions that led to a statement that fails in any case, each with its value."""
    if not _fails_in_any_case(statement.nodes[0]):
        return
    for node, around in pairwise(statement.nodes):
        if isinstance(around, ast.If):
            yield around.test, any(node is one for one in around.body)
    for sibling in _siblings_before(statement):
        if isinstance(sibling, ast.If) and _leaves(sibling.body) is not _leaves(sibling.orelse):
            yield sibling.test, _leaves(sibling.orelse)


def _siblings_before(statement: FailedStatement) -> Iterator[ast.stmt]:
    """Yield the statements before a statement, in its block and in those around it."""
    for node, parent in pairwise((*statement.nodes, statement.function)):
        holders = (parent, *(holder for part in _HOLDERS for holder in getattr(parent, part, ())))
        for block in (getattr(holder, part, ()) for holder in holders for part in _BLOCKS):
            if isinstance(block, list) and any(one is node for one in block):
                yield from takewhile(partial(is_not, node), block)


def _leaves(block: Sequence[ast.stmt]) -> bool:
    """Tell whether what is behind a block is not executed after it."""
    return bool(block) and isinstance(block[-1], (ast.Return, ast.Continue, ast.Break, ast.Raise))


def _leaving(node: ast.stmt) -> Iterator[ast.AST]:
    """Yield what decides whether a statement lets those behind it be executed."""
    blocks = [holder.body for part in _HOLDERS for holder in getattr(node, part, ())]
    if isinstance(node, ast.If):
        blocks += [node.body, node.orelse]
    if any(map(_leaves, blocks)):
        yield from _controls([node])


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
    return any(_expects(item.context_expr) for item in node.items)


def _expects(node: ast.expr) -> bool:
    """Tell whether an expression is a call that expects that something is absent."""
    return called(node) in _EXPECTING and not _names([node]).isdisjoint(_OF_ABSENCE)


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
