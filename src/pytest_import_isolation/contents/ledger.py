"""What all namespaces hold, looked at as cheaply as the interpreter allows, and what changed in them since.

A look reads one number for each namespace; contents are compared only where that is another one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from itertools import chain, compress, repeat
from typing import Any, Final

from pytest_import_isolation.contents.changes import ContentChange, compare
from pytest_import_isolation.contents.finder_classes import FinderClasses
from pytest_import_isolation.contents.looks import Look, State, changes_between, earlier, was_known
from pytest_import_isolation.contents.named_spaces import NamedSpaces
from pytest_import_isolation.contents.spaces import Space, space_of_class
from pytest_import_isolation.contents.versions import Versions
from pytest_import_isolation.contents.watched_modules import (
    HAS_VERSIONS,
    Wanting,
    WatchedModules,
    is_unwatched,
)
from pytest_import_isolation.machinery.dict_versions import Moment
from pytest_import_isolation.machinery.modules import (
    class_home,
    class_namespace,
    class_qualname,
    is_initializing,
    is_rewritten,
    namespace,
)
from pytest_import_isolation.state.entries import Entries
from pytest_import_isolation.state.loaded_names import Beginning
from pytest_import_isolation.state.odd_keys import entries_in
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.watching.executed_modules import EXECUTED


class Contents:
    """Knows what the namespaces hold. It is the process's, as ``sys.modules`` is, and on while it is used."""

    def __init__(self) -> None:
        # One for all: each time that a method is asked for there is one object more.
        self._on_death: Final = self._died
        self._watched = WatchedModules(lambda key: key in self._spaces or key in self._resting)
        # By the identity of a module: its own namespace, and those of its classes.
        self._spaces: dict[int, list[Space]] = {}
        self._finder_classes = FinderClasses(self._on_death)
        self._named = NamedSpaces(self._on_death, self._look_at_others)
        # By the identity of a module that was loaded earlier and lives.
        self._resting: dict[int, Space] = {}
        self._state: State = {}
        self._versions = Versions()
        # When the last look was, what sys.modules held then, of how many modules namespaces were known, and
        # the names of those with none.
        self._moment = Moment(None)
        self._beginning = Beginning(Entries({}))
        self._number = 0
        self._unsettled: list[Any] = []
        # Whether modules were executed since, whose namespaces are known by now; whether namespaces were
        # copied since the state was made, or others belong to it.
        self._has_more = self._is_stale = False

    def start(self, wanting: Wanting) -> None:
        """Note what modules hold when they have been executed; each user of it starts and stops it.

        Args:
            wanting: the user. What modules hold that it does not want is not noted before the next look: a
                copy holds what the module holds, and some modules shall be gone by then.
        """
        self._watched.wanting.append(wanting)
        if len(self._watched.wanting) == 1:
            EXECUTED.when_settled.append(self._note_executed)

    def stop(self, wanting: Wanting) -> None:
        """Note nothing more, if nobody else uses it. What is known stays: the next user needs it again."""
        self._watched.wanting.remove(wanting)
        if not self._watched.wanting:
            EXECUTED.settle()
            EXECUTED.when_settled.remove(self._note_executed)

    def _died(self, space: Space) -> None:
        """Read the versions of now no more; a namespace of another module may have the same identity."""
        self._versions.note_death()
        self._named.forget(space)
        if not space.is_class:
            _end_classes(space, self._spaces.get(space.identity, []))
            self._watched.forget(space.identity)
            self._resting.pop(space.identity, None)

    def take(self) -> State:
        """Return what is there now: the same object as last time if nothing has changed."""
        is_here = self._moment.lasts_for(sys.modules) and not self._has_more and self._are_others_same
        if is_here and (now := self._versions.now()) and self._follow(now):
            return self._state
        return self._look()

    def _follow(self, now: bytes) -> bool:
        """Copy what has changed in the namespaces that are known; tell whether there are no others now."""
        if self._is_stale:
            return False
        changed = self._renew(self._versions.others(now))
        if self._is_stale:
            return False
        self._versions.known = now
        if changed:
            self._state = Look(self._state, changed)
        return True

    def _renew(self, spaces: Iterable[Space]) -> list[Space]:
        """Copy what some namespaces hold now; return those that hold something else than before."""
        changed = [space for space in spaces if space.refresh()]
        for space in changed:
            found = self._spaces.get(id(space.owner()))
            if found is not None and found[0] is space:
                classes = _classes(space, found[1:], self._on_death)
                _late([each for each in classes if each not in found])
                if classes != found[1:]:
                    found[1:] = classes
                    self._is_stale = True
                self._named.follow({space.name: space.owner()})
        return changed

    def _look(self) -> State:
        moment = Moment(sys.modules)
        loaded = Entries.of(sys.modules)
        entries, beginning = loaded.contents, Beginning(loaded)
        is_longer = beginning.goes_on_from(self._beginning)
        if not (self._look_at_more(loaded) if is_longer else self._look_at_fewer(beginning, entries)):
            self._look_at_all(entries)
        self._moment, self._beginning, self._number = moment, beginning, len(self._spaces)
        self._has_more = False
        return self._state

    def _look_at_fewer(self, beginning: Beginning, entries: dict[Any, object]) -> bool:
        """Look again if nothing came, and what left stood at the end; tell whether that was so."""
        if self._is_stale or self._has_more or not self._beginning.goes_on_from(beginning):
            return False
        if any(is_initializing(sys.modules.get(name)) for name in self._unsettled):
            return False
        if self._watched.names_more() or not self._are_others_same:
            return False
        if not (now := self._versions.now()) or not self._follow(now):
            return False
        behind = self._beginning.identities_behind(beginning)
        gone = {key: found for key in behind if (found := self._spaces.get(key)) is not None}
        return not gone or self._let_go(gone, entries)

    def _let_go(self, gone: dict[int, list[Space]], entries: dict[Any, object]) -> bool:
        """Look no more at modules that left; tell whether none of them is loaded under another name."""
        if type(self._state) is not Look or not gone.keys().isdisjoint(map(id, entries.values())):
            return False
        self._state = self._state.without(chain.from_iterable(gone.values()))
        self._let_rest(gone)
        for key in gone:  # one by one: other threads may import, which enters modules
            self._spaces.pop(key, None)
        self._versions.begin([*self._state])
        return True

    def _look_at_more(self, loaded: Entries) -> bool:
        """Look at what was imported since the last look; tell whether nothing else has come or gone."""
        now = b"" if self._is_stale else self._versions.now()
        if not now or not self._are_others_same:
            return False
        changed = self._renew(self._versions.others(now))
        entries, more = loaded.contents, loaded.behind(self._beginning.names)
        asked = {**{name: entries[name] for name in self._unsettled if name in entries}, **more}
        self._named.follow(asked)
        came: dict[int, list[Space]] = {}
        for key, found, is_known in self._asked({**asked, **self._watched.named(entries)}):
            if is_known:
                changed += self._renew(found)
            self._spaces[key] = found
            if found[0] not in self._state:
                came[key] = found
        # One that was executed and is not loaded any more is in no entry.
        is_all = not self._is_stale and len(self._spaces) == self._number + len(came)
        spaces = [*chain(*came.values())]
        self._is_stale = not (is_all and self._versions.extend(now, spaces))
        if not self._is_stale and (changed or spaces):
            self._state = Look(self._state, [*dict.fromkeys((*changed, *spaces))])
        return not self._is_stale

    def _look_at_all(self, entries: dict[Any, object]) -> None:
        has_changed = bool(self._renew(self._versions.begin_again() if HAS_VERSIONS else ()))
        spaces = self._still_there(entries)
        again: list[Space] = []
        for key, found, is_known in self._asked(entries):
            again += found if is_known else ()
            has_changed = has_changed or not is_known
            spaces[key] = found
        has_changed = bool(self._renew(again)) or has_changed or len(spaces) != len(self._spaces)
        self._let_rest({key: found for key, found in [*self._spaces.items()] if key not in spaces})
        classes = (space for found in spaces.values() for space in found[1:])
        has_changed = self._finder_classes.look(classes) or has_changed
        has_changed = self._named.refresh(entries) or has_changed
        self._spaces = spaces
        if has_changed or self._has_more or self._is_stale or not self._state:
            self._is_stale = False
            self._state = Look((), [*self._all_spaces()])
        self._versions.begin([*self._state])

    def _asked(self, entries: dict[Any, object]) -> Iterator[tuple[int, list[Space], bool]]:
        """Yield the identity of each module to ask about, its namespaces, and whether they were known."""
        self._unsettled = []
        named = self._watched.named(entries)
        for name, module in chain(named.items(), self._watched.among(entries)):
            key = id(module)
            known = self._spaces.get(key)
            is_known = known is not None and known[0].owner() is module and known[0].dictionary is not None
            found = known if is_known else self._woken(module) or _late(self._begin(name, module))
            if found is None:
                self._unsettled.append(name)
            else:
                self._watched.settle(key, name)
                for space in found if name in named else ():
                    space.was_there = True
                yield key, found, is_known

    def _still_there(self, entries: dict[Any, object]) -> dict[int, list[Space]]:
        """Return the namespaces of modules that are loaded still and about which nothing is to be asked."""
        if not HAS_VERSIONS:
            return {}
        loaded = {*map(id, entries.values())}
        return {key: found for key, found in [*self._spaces.items()] if key in loaded}

    def _let_rest(self, gone: dict[int, list[Space]]) -> None:
        """Remember the namespaces of modules that are not loaded now, but nothing of what is in them.

        What a module held earlier is looked up by its namespace when it is back.
        """
        for key, found in gone.items():
            self._watched.forget(key)
            if found[0].owner() is not None:
                self._resting[key] = found[0]
                for space in found:
                    space.rest()

    def _woken(self, module: object) -> list[Space] | None:
        """Return the namespaces of a module that is loaded again, None for another one."""
        space = self._resting.get(id(module))
        dictionary = None if space is None else namespace(module)
        if space is None or space.owner() is not module or dictionary is None:
            return None
        self._resting.pop(id(module), None)
        space.wake(dictionary)
        return [space, *_classes(space, [], self._on_death)]

    def _all_spaces(self) -> Iterator[Space]:
        # Of copies of the tables: other threads may import, which enters modules.
        finder_classes = [*self._finder_classes.spaces.values()]
        return chain(*[*self._spaces.values()], finder_classes, self._named.spaces)

    def _note_executed(self, modules: Sequence[tuple[str, object]]) -> None:
        """Note what modules hold at the end of their first execution."""
        wants, has_names = self._watched.wants(), self._named.has_names
        for name, module in modules:
            is_wanted = wants(name)
            if not (is_wanted or has_names) or is_unwatched(name):
                continue
            self._named.look(name, module, self._finder_classes.spaces)
            if is_wanted and not is_rewritten(module):
                self._note_one(name, module)

    def _note_one(self, name: str, module: object) -> None:
        known = self._spaces.get(id(module))
        is_known = known is not None and known[0].owner() is module
        if not is_known and (found := self._woken(module) or self._begin(name, module)) is not None:
            self._spaces[id(module)] = found
            self._watched.forget(id(module))
            self._has_more = True

    def _begin(self, name: str, module: object) -> list[Space] | None:
        dictionary = namespace(module)
        if dictionary is None or is_initializing(module):
            return None
        try:
            space = Space(name, name, module, dictionary, self._on_death)
        except TypeError:  # nothing can refer to it weakly: it is no module
            return None
        return [space, *_classes(space, [], self._on_death)]

    def begin_anew(self) -> None:
        """Look at the modules that may be written to now: other test code runs from here on."""
        if not HAS_VERSIONS or self._watched.names_more():
            self._moment = Moment(None)
            _in_time(self.take())  # later, those that it names would hold already what it writes to them

    def name(self, names: Set[str]) -> None:
        """Look, too, at what test code writes to by some names; see :meth:`.NamedSpaces.name`."""
        self._named.name(names, lambda: entries_in(sys.modules), self._finder_classes.spaces)

    @property
    def _are_others_same(self) -> bool:
        return self._finder_classes.are_same and self._named.are_same

    def _look_at_others(self) -> None:
        """Look at all next time: other namespaces belong to what is looked at."""
        self._is_stale = True
        self._versions.stop()

    def space_of(self, module: object) -> Space | None:
        """Return the namespace of a module that is watched."""
        self.take()
        found = self._spaces.get(id(module))
        return found[0] if found is not None and found[0].owner() is module else None

    def written(self, since: State, held: Callable[[], Set[int]]) -> list[ContentChange]:
        """Return what is different in the namespaces that are known; no others are looked at.

        Args:
            since: the earlier moment.
            held: returns the identities of objects, if it is asked. Changes may be left out that do not have
                one of them as the new value, in a namespace whose owner is none of them.
        """
        found: list[ContentChange] = []
        for space in list(self._all_spaces()):
            before = earlier(space, since)
            if before is None or not space.may_differ(before, held):
                continue
            self._is_stale = space.refresh() or self._is_stale
            if space.copy is not before:
                found += compare(space, before, space.copy, is_new=not was_known(space, since))
        if self._is_stale:
            self._versions.stop()
        return found

    def changes(self, since: State, now: State | None = None) -> list[ContentChange]:
        """Return what is different from an earlier moment, whoever did it.

        Of modules that were executed since, what is different from the end of their execution. Nothing of
        those that nobody looked at then: a test may have patched them before they were looked at.

        Args:
            since: the earlier moment.
            now: what :meth:`take` returned a moment ago, if it was asked: looking costs.
        """
        return changes_between(since, self.take() if now is None else now)


def _end_classes(space: Space, known: list[Space]) -> None:
    """Let go of the classes of a module that is no more: copies of them keep them alive, by descriptors."""
    for cls in known[1:] if space in known[:1] else ():
        cls.end()


def _in_time(spaces: Iterable[Space]) -> None:
    """Note that some namespaces are looked at before anybody can have written to them."""
    for space in spaces:
        if space.is_late:
            space.first, space.is_late = space.copy, False


def _late(spaces: list[Space] | None) -> list[Space] | None:
    """Return some namespaces that are looked at some time after they came."""
    for space in spaces or ():
        space.is_late = True
    return spaces


def _classes(space: Space, known: list[Space], on_death: Callable[[Space], object]) -> list[Space]:
    """Return the namespaces of the classes that a first-party module defines."""
    module, dictionary = space.owner(), space.dictionary
    if dictionary is None or not Origins.usual().is_first_party(space.name, module):
        return []
    by_class = {id(old.owner()): old for old in known}
    name, home = space.name, space.home
    found = [
        old
        for path, cls in classes_in(name, dictionary)
        if (old := by_class.get(id(cls)) or space_of_class(f"{name}.{path}", home, cls, on_death)) is not None
    ]
    if known:  # also what is no longer in the module: others may hold it
        found += [old for old in known if old not in found and old.owner() is not None]
    return found


def classes_in(name: str, dictionary: dict[str, Any]) -> Iterator[tuple[str, type]]:
    """Yield the classes that a module defines and those that are defined in them, with their names in it."""
    seen: set[int] = set()
    waiting = [("", dictionary.copy())]
    while waiting:
        above, holding = waiting.pop()
        # At the speed of C: a namespace has many values, and few of them are classes.
        values = holding.values()
        for key, value in compress(holding.items(), map(issubclass, map(type, values), repeat(type))):
            if class_home(value) == name and id(value) not in seen:
                seen.add(id(value))
                path = class_qualname(value)
                if "<locals>" in path:  # nobody can find it under that
                    path = f"{above}{key}"
                yield path, value
                waiting.append((f"{path}.", class_namespace(value).copy()))


#: Of this process, which has one set of modules.
CONTENTS: Final = Contents()
