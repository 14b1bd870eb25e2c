"""Modules of the project that one test imported and threw out, and another imported again: two copies.

By itself that harms nobody: many tests want a module executed anew. Who imports the second copy, and fails
while somebody holds something of the first one, is told of it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from pytest_import_isolation.leaks.attributes import displaced_by
from pytest_import_isolation.leaks.evictions import Evictions
from pytest_import_isolation.leaks.exposures import Exposures
from pytest_import_isolation.leaks.found_leaks import FoundLeaks
from pytest_import_isolation.leaks.watched_changes import WatchedChange
from pytest_import_isolation.machinery.modules import (
    ABSENT,
    class_dictionary,
    file_of,
    home_of,
    namespace,
)
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.paths import is_conftest
from pytest_import_isolation.report.records import Exposure, Leak, Polluter
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.state.references import items_of_container
from pytest_import_isolation.state.single_changes import SingleChange
from pytest_import_isolation.watching.executed_modules import EXECUTED
from pytest_import_isolation.watching.statements import Trail


class _Removal(NamedTuple):
    """Who threw a module out, and where."""

    by: Polluter
    trail: Trail | None
    #: Who imported it again first, and where; None as long as nobody did.
    again: Exposure | None = None
    #: Who did after that, once that is watched.
    meetings: WatchedChange | None = None


class ThrownOut:
    """Remembers such modules.

    Args:
        origins: gives the verdicts on modules.
        evictions: makes the leaks.
        found: takes them.
        exposures: notes who imports the second copies.
    """

    def __init__(
        self, origins: Origins, evictions: Evictions, found: FoundLeaks, exposures: Exposures
    ) -> None:
        self._origins = origins
        self._evictions = evictions
        self._found = found
        self._exposures = exposures
        # By name: in the running test, in an earlier one, and those of which there is a second copy.
        self._now: dict[str, _Removal] = {}
        self._gone: dict[str, _Removal] = {}
        self._copied: dict[str, _Removal] = {}

    def note(self, name: str, by: Polluter, trail: Trail | None) -> None:
        """Take note that somebody threw out what was imported first in the same test or fixture."""
        if self._origins.was_first_party(name):
            self._now[name] = _Removal(by, trail)

    def note_gone(self, name: str, by: Polluter) -> None:
        """Take note that what a test imported first is gone at its end, and nobody was seen to do that."""
        if self._origins.was_first_party(name):
            self._now.setdefault(name, _Removal(by, None))

    def begin_anew(self) -> None:
        """Take note that another test begins, or another file."""
        if not self._now and not self._copied:
            return
        for name, removal in self._now.items():
            if displaced_by(name, sys.modules.get(name)) is not ABSENT:
                continue  # the first copy was put back, and the package holds the second: that is told
            # Who threw it out may have imported the second copy, too.
            (self._copied if name in sys.modules else self._gone)[name] = removal
        self._now.clear()
        for name, removal in self._copied.items():
            if removal.meetings is None and name in sys.modules:
                self._copied[name] = removal._replace(meetings=self._watch(name, removal))

    def note_import(self, name: str, exposure: Exposure) -> None:
        """Take note that a module is imported again."""
        removal = self._gone.pop(name, None)
        if removal is not None and removal.by.nodeid != exposure.nodeid:
            self._copied[name] = removal._replace(again=exposure)

    def blame(self, here: Polluter) -> None:
        """Record the modules of which a failing test met the second copy, while somebody holds the first."""
        above = (here.nodeid, here.nodeid.partition("::")[0])
        for name, removal in list(self._copied.items()):
            met = removal.meetings.met if removal.meetings is not None else {}
            is_met = removal.again is not None and removal.again.nodeid in above
            if not (is_met or any(nodeid in met for nodeid in above)):
                continue
            holders = list(_holders_of_another_copy(name, self._origins))
            if holders:
                del self._copied[name]
                watched = self._watch(name, removal)
                if is_met and watched is not None and removal.again is not None:
                    self._exposures.meet(watched, removal.again)
                self._record(name, removal, holders)

    def _record(self, name: str, removal: _Removal, holders: Sequence[str]) -> None:
        """Record a leak; where files or tests are isolated it ends with those that hold the first copy."""
        leak, change = self._leak(name, removal), _change(name)
        is_of_file = all(self._ends_with_file(holder, removal.by) for holder in holders)
        # In a setup a fixture of a wider scope may have done it.
        phases = {removal.by.phase, *(self._first_of(holder).phase for holder in holders)}
        if is_of_file and phases == {"call"}:
            self._found.record(leak, change=change)
        else:
            self._found.record_lasting(leak, change, ends_with_file=is_of_file)

    def _first_of(self, name: str) -> Polluter:
        return self._found.first_importers.get(name, Polluter("", ""))

    def _ends_with_file(self, holder: str, by: Polluter) -> bool:
        """Tell whether a module is there for the polluter's file alone where files are isolated."""
        if self._is_test_file(holder):
            return True  # no other file looks into it
        first, file = self._first_of(holder), by.nodeid.partition("::")[0]
        if is_conftest(file) or not file or first.nodeid.partition("::")[0] != file:
            return False
        # What files import that change nothing is there for all of them.
        return first.phase != "collect" or by.phase == "collect"

    def _is_test_file(self, name: str) -> bool:
        file = file_of(sys.modules.get(name))
        return file is not None and self._origins.is_test_file(file) and not is_conftest(file)

    def _watch(self, name: str, removal: _Removal) -> WatchedChange | None:
        watched = self._found.watch_importers(_change(name), self._leak(name, removal))
        if watched is not None and "::" not in removal.by.nodeid and not is_conftest(removal.by.nodeid):
            watched.meets_polluter = True  # what a test file keeps of the first copy fails its own tests
        return watched

    def _leak(self, name: str, removal: _Removal) -> Leak:
        return self._evictions.of_other_victim(name, removal.by, removal.trail)


def _change(name: str) -> SingleChange:
    return SingleChange("entry", name, ABSENT, sys.modules.get(name))


def _holders_of_another_copy(name: str, origins: Origins) -> Iterator[str]:
    """Yield the modules of the project, and test files, that hold something of another copy of a module."""
    module = sys.modules.get(name, ABSENT)
    own = namespace(module)
    if own is None and name not in EXECUTED.failed:
        return
    for key, other in sys.modules.copy().items():
        if (
            other is not module
            and type(key) is str
            and origins.is_first_party(key, other)
            and any(_is_of_other_copy(value, name, own) for value in _values_in(namespace(other) or {}, key))
        ):
            yield key


def _is_of_other_copy(value: object, name: str, own: dict[str, object] | None) -> bool:
    """Tell whether a value, or its class, says that a module defined it which holds another one there.

    Args:
        value: the value.
        name: the module.
        own: its namespace; None if its last execution failed, so that there is no such module.
    """
    defined = value if home_of(value) is not None else type(value)
    home = home_of(defined)
    if home is None or home[0] != name:
        return False
    if own is None:
        return True
    there = own.get(home[1], ABSENT)
    return there is not defined and type(there) is type(defined)


def _values_in(space: dict[str, object], home: str) -> Iterator[object]:
    """Yield the values of a module, of the classes that it defines, and of containers among them."""
    values: list[object] = []
    for value in list(space.values()):
        values.append(value)
        if issubclass(type(value), type) and (home_of(value) or ("", ""))[0] == home:
            values += list((class_dictionary(value) or {}).values())
    for value in values:
        yield value
        yield from items_of_container(value)
