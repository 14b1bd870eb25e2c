"""The fixtures, marks and set-up functions around a test, as the text tells them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from pytest_import_isolation.lint.calls import guard_of
from pytest_import_isolation.lint.definitions import Kind, Routine
from pytest_import_isolation.lint.effects import is_own, names_entries, patcher_of
from pytest_import_isolation.lint.events import ENTRIES, OBJECT, WINDOW, Guard
from pytest_import_isolation.lint.expressions import evaluate, family
from pytest_import_isolation.lint.run import Run
from pytest_import_isolation.lint.scopes import Scope
from pytest_import_isolation.lint.sources import Member, Source
from pytest_import_isolation.lint.values import Arguments, Items, Patcher, Thing, Value
from pytest_import_isolation.machinery.named_tuples import NamedTuple

#: Set-up functions with the functions that undo what they do.
SET_UPS: Final = {
    "setUp": "tearDown",
    "asyncSetUp": "asyncTearDown",
    "setUpClass": "tearDownClass",
    "setup_method": "teardown_method",
    "setup_class": "teardown_class",
    "setup": "teardown",
    "setUpModule": "tearDownModule",
    "setup_module": "teardown_module",
    "setup_function": "teardown_function",
}
TEAR_DOWNS: Final = frozenset(SET_UPS.values())
#: Fixtures of pytest that put back ``sys.modules`` and ``sys.path`` at their end.
_RESTORING: Final = frozenset(("pytester", "testdir"))


class Fixture(NamedTuple):
    """A fixture: its function, and whether each test of its place has it."""

    name: str
    node: ast.FunctionDef | ast.AsyncFunctionDef
    source: Source
    owner: ast.ClassDef | None
    is_automatic: bool


def last_name(node: ast.expr) -> str:
    """Return the last part of a dotted name, or of that of a function that is called."""
    node = node.func if isinstance(node, ast.Call) else node
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def fixture_of(source: Source, member: Member) -> Fixture | None:
    """Return the fixture that a function is, if it is one."""
    for decorator in member.node.decorator_list:
        if last_name(decorator) in ("fixture", "async_fixture", "yield_fixture"):
            keywords = {one.arg: one.value for one in getattr(decorator, "keywords", ())}
            named, automatic = keywords.get("name"), keywords.get("autouse")
            name = named.value if isinstance(named, ast.Constant) else member.node.name
            return Fixture(
                str(name),
                member.node,
                source,
                member.owner,
                isinstance(automatic, ast.Constant) and automatic.value is True,
            )
    return None


class Surroundings:
    """What is around the tests of a file."""

    def __init__(self, source: Source) -> None:
        self.source = source
        places = [source, *(one for one in source.project.conftests(source) if one is not source)]
        self._fixtures: dict[str, list[Fixture]] = {}
        for place in places:
            for member in place.members:
                fixture = fixture_of(place, member)
                if fixture is not None:
                    self._fixtures.setdefault(fixture.name, []).append(fixture)
        self._functions = {member.node.name: member.node for member in source.members if member.owner is None}

    def fixtures(self, member: Member, kind: Kind | None) -> list[Fixture]:
        """Return the fixtures that are entered before a function, the widest first."""
        owners = [] if kind is None else [one.node for one in family(kind)]
        automatic = [
            fixture
            for group in reversed(self._fixtures.values())
            for fixture in group
            if fixture.is_automatic and (fixture.owner is None or fixture.owner in owners)
        ]
        found = {fixture.node: fixture for fixture in automatic if fixture.node is not member.node}
        for name in self._requested(member, owners):
            self._add(name, found, owners, member.node)
        return list(found.values())

    def _add(
        self,
        name: str,
        found: dict[ast.FunctionDef | ast.AsyncFunctionDef, Fixture],
        owners: list[ast.ClassDef],
        user: ast.AST,
    ) -> None:
        for fixture in self._fixtures.get(name, ()):
            if fixture.node is not user and (fixture.owner is None or fixture.owner in owners):
                if fixture.node not in found:
                    for inner in parameters_of(fixture.node):
                        self._add(inner, found, owners, fixture.node)
                    found[fixture.node] = fixture
                return

    def _requested(self, member: Member, owners: list[ast.ClassDef]) -> Iterator[str]:
        marks = [*member.node.decorator_list, *(one for owner in owners for one in owner.decorator_list)]
        yield from used_fixtures(marks)
        yield from parameters_of(member.node)
        for node in self.source.tree.body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "pytestmark":
                yield from used_fixtures([node.value, *getattr(node.value, "elts", ())])

    def unknown_fixtures(self, member: Member, kind: Kind | None) -> set[str]:
        """Return the names of fixtures that a function asks for and whose text is not known."""
        asked = self._requested(member, [] if kind is None else [one.node for one in family(kind)])
        return set(asked) - self._fixtures.keys()

    def set_ups(self, kind: Kind | None) -> Iterator[tuple[Routine, Routine | None]]:
        """Yield set-up functions that are called before a test, each with the one that undoes it."""
        for name, opposite in SET_UPS.items():
            node, undo = self._functions.get(name), self._functions.get(opposite)
            if node is not None or undo is not None:
                scope = self.source.scope
                yield Routine(node or _nothing(), scope), Routine(undo, scope) if undo is not None else None


def _nothing() -> ast.FunctionDef:
    function = ast.parse("def nothing(): pass").body[0]
    assert isinstance(function, ast.FunctionDef)
    return function


def methods_of(kind: Kind, name: str) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, Scope]]:
    """Yield the methods of a name in a class and its bases."""
    for one in family(kind):
        for node in one.node.body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name:
                yield node, one.scope


def parameters_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """Return the names of a function's parameters."""
    return [one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]


def used_fixtures(marks: list[ast.expr]) -> Iterator[str]:
    """Yield the fixtures that marks ask for."""
    for mark in marks:
        if isinstance(mark, ast.Call) and last_name(mark) == "usefixtures":
            for argument in mark.args:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value


def fixture_guards(names: set[str]) -> tuple[Guard, ...]:
    """Return what fixtures of pytest, and ours, put back."""
    guards: list[Guard] = []
    if any(map(is_own, names)):
        guards.append(Guard(WINDOW))
    if any(map(names_entries, names)):
        guards.append(Guard(ENTRIES))
    if names & _RESTORING:
        guards += [Guard(ENTRIES), Guard(OBJECT, ("path", "modules", "meta_path"))]
    return tuple(guards)


def mark_guards(run: Run, marks: list[ast.expr], scope: Scope) -> tuple[Guard, ...]:
    """Return what marks and decorators put back."""
    return tuple(guard for mark in marks for guard in _guards(evaluate(run, mark, scope)))


def value_guards(value: Value) -> tuple[Guard, ...]:
    """Return what the value of ``pytestmark`` puts back."""
    return tuple(_guards(value))


def _guards(value: Value) -> Iterator[Guard]:
    if isinstance(value, Thing):
        patcher = patcher_of(value.path, Arguments(), None)
        if patcher is not None and patcher.guard == WINDOW:
            yield Guard(WINDOW)
    elif isinstance(value, Patcher):
        yield guard_of(value)
    elif isinstance(value, Items):
        for one in value.values:
            yield from _guards(one)
