"""Leaks in the contents of modules: reloads, and attributes that test code left on modules and classes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

from pytest_import_isolation.contents.changes import ContentChange
from pytest_import_isolation.contents.findings import ADDED, BOUND, REMOVED, Findings, Reloaded, how
from pytest_import_isolation.contents.path_changes import PATH
from pytest_import_isolation.contents.spaces import Space, copy_of
from pytest_import_isolation.contents.values import is_definition, is_mock, kind_of
from pytest_import_isolation.contents.writers import Writers
from pytest_import_isolation.leaks.original_contents import OriginalContents
from pytest_import_isolation.leaks.places import Places
from pytest_import_isolation.leaks.reachable_code import Reach, ReachedCode
from pytest_import_isolation.leaks.reloads import detail_of_reload, holders_of
from pytest_import_isolation.leaks.watched_changes import WatchedChange
from pytest_import_isolation.machinery.modules import ABSENT, home_of, namespace, parent_of
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.paths import is_conftest
from pytest_import_isolation.report.records import (
    ERROR,
    INFO,
    WARNING,
    Leak,
    Location,
    Polluter,
    make_leak,
)
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.state.single_changes import SingleChange
from pytest_import_isolation.watching.import_log import Reload
from pytest_import_isolation.wording import listing

_MOST_NAMES = 6
#: What was done to a name that asks for another advice, by how it is called.
_SPECIAL = {ADDED: "-by-adding", REMOVED: "-by-removing", BOUND: "-by-import"}


class ContentLeak(NamedTuple):
    """A leak, and what others can meet of it."""

    leak: Leak
    watched: WatchedContents
    #: Whether it is a reload that executed another file.
    is_from_elsewhere: bool = False
    #: Whether a hook of a conftest wrote it, and whether it did so for the run: then it is not undone.
    is_by_hook: bool = False
    is_kept: bool = False


class WatchedContents(WatchedChange):
    """A change of the contents of a module that others may meet.

    Args:
        module: the name of the module.
        names: the names that were written to.
        polluter: who did it.
        is_in_place: tells whether it is still so.
        before: what is there no more, by identity.
        is_back: tells whether what was there before is there again; None if what was left says it.
        values: those of the names that who reads them finds another value under; by default all. A class or
            function that was executed again does what the old one did.
    """

    def __init__(
        self,
        module: str,
        names: Iterable[str],
        polluter: Polluter,
        is_in_place: Callable[[], bool],
        before: Iterable[object] = (),
        is_back: Callable[[], bool] | None = None,
        values: Iterable[str] | None = None,
    ) -> None:
        super().__init__(SingleChange("contents", module, ABSENT, ABSENT), polluter, taints=False)
        #: The last parts of the names that were written to.
        self.names = tuple(names)
        self._values = frozenset(self.names if values is None else values)
        self._is_in_place = is_in_place
        self._is_back = is_back
        self._before = {id(value) for value in before}

    @property
    def is_in_place(self) -> bool:
        """Whether it is still there to be met."""
        return self._is_in_place()

    @property
    def is_met_below(self) -> bool:
        """Whether who imports a submodule meets it, too."""
        return PATH in self.names

    @property
    def is_over(self) -> bool:
        """Whether nobody can meet it any more.

        What the first of several reloads replaced is held by those who took it before, whatever is there now.
        """
        return not self.is_in_place and (self._is_back is None or self._is_back())

    def is_held_by(self, space: dict[str, object]) -> bool:
        """Tell whether a namespace holds the module, something of it, or what was replaced."""
        module = sys.modules.get(self.name)
        if not self.is_in_place:
            return any(map(self._was_replaced, list(space.values())))
        return any(
            value is module or id(value) in self._before or _is_of(self.name, value)
            for value in list(space.values())
        )

    def is_reached_from(self, space: dict[str, object]) -> bool:
        """Tell whether a namespace holds a package above the module, which has it as an attribute."""
        held = {id(value) for value in list(space.values())}
        name = self.name
        while (parts := parent_of(name))[0]:
            above = namespace(sys.modules.get(parts[0])) or {}
            if above.get(parts[1]) is not sys.modules.get(name, ABSENT):
                return False
            name = parts[0]
            if id(sys.modules.get(name)) in held:
                return True
        return False

    def is_own_space(self, space: Mapping[str, object]) -> bool:
        """Tell whether a namespace is that of the module."""
        return space is namespace(sys.modules.get(self.name))

    def used_by(self, reach: Reach) -> ReachedCode | None:
        """Return the nearest code that uses what was replaced, or reads a name that has another value now."""
        uses = [use for use in reach.uses_among(self._before) if self._was_replaced(use.value)]
        if self.is_in_place:
            uses += (use for use in reach.reads_of(self.name) if use.reads(self._values))
        return min(uses, key=attrgetter("number")).code if uses else None

    def _was_replaced(self, value: object) -> bool:
        """Tell whether this is a class or function of the execution that a reload replaced."""
        home = home_of(value)
        if home is None or home[0] != self.name or id(value) not in self._before:
            return False
        # What has died may have left its identity to its successor.
        return (namespace(sys.modules.get(self.name)) or {}).get(home[1]) is not value


class ContentLeaks:
    """Makes leaks of what test code did to contents.

    Args:
        origins: gives the verdicts on modules.
        places: shortens file names, and knows the lines of tests.
        writers: tells whose doing a change is.
    """

    def __init__(self, origins: Origins, places: Places, writers: Writers) -> None:
        self._origins = origins
        #: Shortens file names, and knows the lines of tests.
        self.places = places
        self.writers = writers
        writers.file_of_import = places.file_of_import
        self._originals = OriginalContents()

    def test_code(self, polluter: Polluter, home: str) -> tuple[str, ...]:
        """Return the files of test code that may have run for a polluter.

        None has, where a module is collected for its doctests alone: nothing runs but its own body.
        """
        file = str(self.places.file_of(polluter))
        if polluter.phase == "collect" and not self._origins.is_test_code(file):
            return ()
        return self.writers.test_code(file, home)

    def leaks(
        self,
        findings: Findings,
        by: Callable[[ContentChange], Polluter],
        *,
        by_fixture: bool = False,
    ) -> Iterator[ContentLeak]:
        """Yield the leaks, one for each reload and for each module and statement.

        Args:
            findings: what test code did.
            by: returns who made a change.
            by_fixture: whether fixtures of a wider scope did.
        """
        for reloaded in findings.reloaded:
            if reloaded.importer is None:  # the others are told by what heard of them
                polluter = by(_first_change(reloaded))
                guess = self.execution(polluter, reloaded.space.name)
                yield _leak_of(reloaded, polluter, self.places, None, guess, by_fixture=by_fixture)
        groups: dict[tuple[object, ...], list[tuple[ContentChange, Location | None]]] = {}
        for change in findings.written:
            if self._originals.takes_back(change):
                continue
            place, key = self._place(change, by(change))
            groups.setdefault((change.space.home, change.space.is_class, *key), []).append((change, place))
        for group in groups.values():
            changes = [change for change, _ in group]
            polluter = by(changes[0])
            hooks = self.writers.hooks.of(changes[0], self.test_code(polluter, changes[0].space.home))
            if hooks is None:
                if not is_conftest(polluter.nodeid):  # what a conftest decides on is not for others to undo
                    for change in changes:
                        self._originals.note_left(change)
                yield self._of_writes(changes, polluter, group[0][1], by_fixture=by_fixture)
            else:
                polluter = polluter._replace(nodeid=self.places.shorten(hooks.file))
                found = self._of_writes(changes, polluter, group[0][1], by_fixture=by_fixture)
                yield found._replace(is_by_hook=True, is_kept=hooks.are_of_the_run)

    def _place(self, change: ContentChange, polluter: Polluter) -> tuple[Location | None, tuple[object, ...]]:
        if change.submodule is not None:
            places, name = self.places, change.submodule
            location = places.of_first_import(name) or places.of_text(polluter, name)
            return location, ("submodule", change.full_name)
        writer = self.writers.statement(
            change,
            self.test_code(polluter, change.space.home),
            self.places.lines_of(polluter.nodeid),
            is_teardown=polluter.phase == "teardown",
        )
        is_original = change.after is change.space.first.value(change.name, ABSENT)
        if writer is not None and is_original and writer.file != str(self.places.file_of(polluter)):
            writer = None  # that statement writes what was taken away
        if writer is None:
            return None, ("unknown", change.full_name)
        statement = writer.statement
        location = Location(self.places.shorten(writer.file), statement.line, exact=False)
        return location, (writer.file, statement.line, statement.column)

    def execution(self, polluter: Polluter, module: str) -> Location | None:
        """Return the statement that probably let a body run again, where none was seen to do so."""
        file = str(self.places.file_of(polluter))
        writer = self.writers.execution(file, module, self.places.lines_of(polluter.nodeid))
        return (
            None
            if writer is None
            else Location(self.places.shorten(file), writer.statement.line, exact=False)
        )

    def _of_writes(
        self,
        changes: list[ContentChange],
        polluter: Polluter,
        location: Location | None,
        *,
        by_fixture: bool,
    ) -> ContentLeak:
        first = changes[0]
        severity = min((self._severity(change) for change in changes), key=(ERROR, WARNING, INFO).index)
        others = [f"{change.full_name} ({how(change)})" for change in changes[1:]]
        detail = _detail_of_path(first, self.places.shorten) or _detail(first)
        if others:
            detail += f" The same statement wrote to {listing(others, _MOST_NAMES)}."
        kind = "class-attribute-left" if first.space.is_class else "attribute-left"
        leak = make_leak(
            kind,
            first.full_name,
            polluter,
            detail,
            location=location,
            severity=severity,
            case=f"{kind}{_SPECIAL.get(how(first), '')}",
            by_fixture=by_fixture,
        )
        watched = WatchedContents(
            first.space.home,
            [change.name for change in changes],
            polluter,
            lambda: any(change.is_in_place for change in changes),
            [
                change.before
                for change in changes
                if change.before is not ABSENT and is_definition(change.before)
            ],
        )
        return ContentLeak(leak, watched)

    def _severity(self, change: ContentChange) -> str:
        # A package often imports a module whose name one of its submodules has, and uses it once.
        if is_mock(change.after) or (change.submodule and not issubclass(type(change.before), ModuleType)):
            return ERROR
        if change.before is ABSENT:
            home = change.space.home
            return INFO if self._origins.is_first_party(home, sys.modules.get(home)) else WARNING
        return ERROR if is_definition(change.before) else WARNING


def _detail_of_path(change: ContentChange, shorten: Callable[[str], str]) -> str | None:
    """Say which folders a package looks for its submodules in now, or no more; None if that is not known."""
    before, after = change.before, change.after
    if change.name != PATH or type(before) not in (list, tuple) or type(after) not in (list, tuple):
        return None
    was, now = _texts(before), _texts(after)
    what = [f"{shorten(folder)!r} was added" for folder in now if folder not in was]
    what += [f"{shorten(folder)!r} was removed" for folder in was if folder not in now]
    return (
        f"It says where submodules of {change.space.name} are looked for: "
        f"{listing(what or ['the order is another one'], _MOST_NAMES)}."
    )


def _texts(items: Any) -> list[str]:
    return [item if type(item) is str else kind_of(item) for item in items]


def _detail(change: ContentChange) -> str:
    before, after = kind_of(change.before), kind_of(change.after)
    if change.submodule is not None:
        return (
            f"The package exports {before} under this name, and importing the submodule {change.submodule} "
            "put the submodule into its place."
        )
    if change.before is ABSENT:
        return f"It was added: {after}."
    if change.after is ABSENT:
        return f"It was removed: {before}."
    return f"It was {before}, and it is {after} now."


def leak_of_reload(
    reload: Reload,
    polluter: Polluter,
    places: Places,
    adder: Callable[[str], str | None] = lambda file: None,
    guess: Callable[[], Location | None] = lambda: None,
    *,
    by_fixture: bool = False,
) -> ContentLeak:
    """Return the leak that a reload in place is.

    Args:
        reload: what was seen.
        polluter: who did it.
        places: shortens file names.
        adder: returns who put the directory of a file on the path.
        guess: returns the statement that probably did it, for where no users' own statement was running.
        by_fixture: whether a fixture of a wider scope did it.
    """
    dictionary = namespace(reload.module)
    space = Space(reload.name, reload.name, reload.module, {} if dictionary is None else dictionary, _nothing)
    reloaded = Reloaded(space, space.hold(copy_of(reload.before)), reload.importer)
    because = adder(str(reloaded.files[1])) if reloaded.is_from_elsewhere else None
    location = places.of_way(reload.way, exact=True) or guess() or places.of_way(reload.beside, exact=False)
    return _leak_of(reloaded, polluter, places, because, location, by_fixture=by_fixture)


def _nothing(space: Space) -> None:
    """Nobody has to hear of the death of a module that is looked at once."""


def _first_change(reloaded: Reloaded) -> ContentChange:
    """Return one of the names that the body of a module bound anew."""
    space, before = reloaded.space, reloaded.before
    for name, value in list((space.dictionary or {}).items()):
        if type(name) is str and before.value(name, ABSENT) is not value:
            return ContentChange(space, name, before.value(name, ABSENT), value)
    return ContentChange(space, "", ABSENT, ABSENT)


def _leak_of(
    reloaded: Reloaded,
    polluter: Polluter,
    places: Places,
    because: str | None,
    location: Location | None,
    *,
    by_fixture: bool,
) -> ContentLeak:
    space = reloaded.space
    now = dict(space.dictionary or {})
    before = {name: reloaded.before.value(name, ABSENT) for name in reloaded.before}
    old = [
        value for name, value in before.items() if _is_of(space.name, value) and now.get(name) is not value
    ]
    holders = list(holders_of({id(value) for value in old}, space.owner())) if old else []
    files = None
    if reloaded.is_from_elsewhere:
        was, now_is = reloaded.files
        files = places.shorten(str(was)), places.shorten(str(now_is))
    leak = make_leak(
        "reloaded",
        space.name,
        polluter,
        detail_of_reload(space.name, holders, files, because),
        location=location,
        severity=ERROR if holders or files else None,
        case="reloaded-by-path" if files else None,
        by_fixture=by_fixture,
    )
    new = [(name, value) for name, value in now.items() if before.get(name, ABSENT) is not value]
    # By identity: to hold it could hold a module alive.
    were = {name: id(before.get(name, ABSENT)) for name, _ in new}
    watched = WatchedContents(
        space.name,
        [name for name, _ in new if not name.startswith("__")],
        polluter,
        lambda: any((space.dictionary or {}).get(name) is value for name, value in new),
        old,
        lambda: all(id((space.dictionary or {}).get(name, ABSENT)) == was for name, was in were.items()),
        [name for name, value in new if not (name.startswith("__") or _is_of(space.name, value))],
    )
    return ContentLeak(leak, watched, files is not None)


def _is_of(module: str, value: object) -> bool:
    home = home_of(value)
    return home is not None and home[0] == module


def path_adder(leaks: Iterable[Leak], file: str, root: Path) -> str | None:
    """Return who put the directory on the path from which a file was found."""
    folder = os.path.dirname(os.path.realpath(file))
    for leak in leaks:
        if leak.kind == "path-added" and os.path.realpath(os.path.join(root, leak.name)) == folder:
            return leak.polluter.nodeid
    return None
