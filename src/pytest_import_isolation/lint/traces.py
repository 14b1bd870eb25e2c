"""Traces: all events of one file's collection, or of one test with what is around it."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_import_isolation.lint.contexts import enter_generator
from pytest_import_isolation.lint.definitions import Instance, Kind, Routine
from pytest_import_isolation.lint.events import Event
from pytest_import_isolation.lint.fixtures import (
    SET_UPS,
    TEAR_DOWNS,
    Fixture,
    Surroundings,
    fixture_guards,
    fixture_of,
    mark_guards,
    methods_of,
    value_guards,
)
from pytest_import_isolation.lint.run import Run
from pytest_import_isolation.lint.scopes import Scope
from pytest_import_isolation.lint.sources import Member, Source
from pytest_import_isolation.lint.statements import execute, invoke
from pytest_import_isolation.lint.test_files import HELPER
from pytest_import_isolation.lint.values import UNKNOWN, Arguments
from pytest_import_isolation.machinery.named_tuples import NamedTuple


class Trace(NamedTuple):
    """The events of one order of execution."""

    source: Source
    #: The function; None for the body of the file.
    function: str | None
    events: tuple[Event, ...]


def trace_body(source: Source) -> Trace:
    """Execute the body of a file, which also tells what its names stand for."""
    run = Run(invoke, is_module=True)
    execute(run, source.tree.body, source.scope)
    return Trace(source, None, tuple(run.trace))


def trace_functions(source: Source) -> Iterator[Trace]:
    """Execute each function of a file that changes import state, with what is around it.

    The body of the file was executed before.
    """
    around = Surroundings(source)
    for member in source.members:
        name = member.node.name
        if name in TEAR_DOWNS or name not in source.interesting:
            continue
        if _is_entry(source, member):
            run = Run(invoke)
            _execute(run, around, member)
            yield Trace(source, name, tuple(run.trace))


def _is_entry(source: Source, member: Member) -> bool:
    """Tell whether somebody outside of the file calls a function, rather than others in it."""
    name = member.node.name
    if name in SET_UPS or name.startswith("test") or fixture_of(source, member) is not None:
        return True
    if source.role == HELPER or (name.startswith("__") and name.endswith("__")):
        return False
    return source.mentions(name) < 2  # noqa: PLR2004 - its definition is one


def _execute(run: Run, around: Surroundings, member: Member) -> None:
    source, node = around.source, member.node
    kind = None if member.owner is None else Kind(member.owner, source.scope)
    instance = None if kind is None else Instance(kind, {})
    marks = [*node.decorator_list, *([] if member.owner is None else member.owner.decorator_list)]
    run.own = False
    run.lasting = (
        *mark_guards(run, marks, source.scope),
        *value_guards(source.scope.names.get("pytestmark", UNKNOWN)),
        *fixture_guards(around.unknown_fixtures(member, kind)),
    )
    is_test = node.name.startswith("test")
    undoing = list(_set_up(run, around, kind, instance, is_test)) if is_test else _opposite(source, member)
    for fixture in around.fixtures(member, kind) if is_test or node.name not in SET_UPS else ():
        if fixture.name in fixture.source.interesting or fixture.node.name in fixture.source.interesting:
            _enter(run, fixture, instance)
    run.own = True
    static = any(getattr(decorator, "id", "") == "staticmethod" for decorator in node.decorator_list)
    invoke(run, Routine(node, source.scope, None if static else instance), Arguments(), None)
    run.own = False
    with run.cleaning():
        for routine in undoing:
            owner = instance if routine.instance is not None else None
            invoke(run, Routine(routine.node, routine.scope, owner), Arguments(), None)


def _enter(run: Run, fixture: Fixture, instance: Instance | None) -> None:
    scope: Scope = fixture.source.scope
    owner = instance if fixture.owner is not None else None
    marks = mark_guards(run, fixture.node.decorator_list, scope)
    run.lasting += marks
    routine = Routine(fixture.node, scope, owner)
    guards = enter_generator(run, routine, Arguments(), None, scope)
    run.lasting += guards  # after the call, which may add some itself


def _set_up(
    run: Run, around: Surroundings, kind: Kind | None, instance: Instance | None, is_test: bool
) -> Iterator[Routine]:
    """Call what is called before a test, and yield what undoes it."""
    for routine, undo in around.set_ups(kind):
        invoke(run, routine, Arguments(), None)
        if undo is not None:
            yield undo
    if kind is None or not is_test:
        return
    for name, opposite in SET_UPS.items():
        for node, scope in methods_of(kind, name):
            if node.name in scope.source.interesting:
                invoke(run, Routine(node, scope, instance), Arguments(), None)
        for node, scope in methods_of(kind, opposite):
            yield Routine(node, scope, instance)


def _opposite(source: Source, member: Member) -> list[Routine]:
    """Return what undoes a set-up function."""
    opposite = SET_UPS.get(member.node.name)
    if opposite is None:
        return []
    if member.owner is None:
        return [
            Routine(one.node, source.scope)
            for one in source.members
            if one.owner is None and one.node.name == opposite
        ]
    kind = Kind(member.owner, source.scope)
    return [Routine(node, scope, Instance(kind, {})) for node, scope in methods_of(kind, opposite)]
