"""What ``sys.modules`` held at a look, and where something else is loaded now. No module is kept alive."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import compress, filterfalse
from operator import ne
from typing import Any, Final

from pytest_import_isolation.machinery.dict_versions import Moment
from pytest_import_isolation.machinery.modules import are_strings
from pytest_import_isolation.state.entries import Entries

# How a memoryview reads where objects lie.
_POINTER: Final = "P"


class Beginning:
    """The entries that ``sys.modules`` had, to tell if it begins with them still. No module is kept alive.

    A module may lie where another one has died. Then that one had a namespace whose version is read no
    more, or none that is looked at.

    Args:
        entries: the table's.
    """

    __slots__ = ("_modules", "names")

    def __init__(self, entries: Entries) -> None:
        #: The keys. None has code of its own.
        self.names = entries.keys
        self._modules = entries.values.pointers

    def identities_behind(self, other: Beginning) -> Sequence[int]:
        """Return the identities of the modules that stand behind what another beginning has."""
        return memoryview((self._modules or b"")[len(other._modules or b"") :]).cast(_POINTER)

    def goes_on_from(self, before: Beginning) -> bool:
        """Tell whether these entries are known to begin with those of an earlier moment."""
        places = (self.names.pointers, before.names.pointers), (self._modules, before._modules)
        return all(now is not None and was is not None and now.startswith(was) for now, was in places)


class LoadedNames:
    """Follows ``sys.modules`` from look to look."""

    def __init__(self) -> None:
        self._moment = Moment(None)
        # What was loaded at the last look: in order, and by name, with the identities of the modules.
        self._beginning = Beginning(Entries({}))
        self._modules: dict[str, int] = {}

    @property
    def are_same(self) -> bool:
        """Whether it is known at a glance that nothing has changed."""
        return self._moment.lasts_for(sys.modules)

    def changed(self) -> list[str]:
        """Return the names that were entered, removed, or given to another module since the last time."""
        if self.are_same:
            return []
        table: Any = sys.modules
        self._moment = Moment(table)
        before, self._beginning = self._beginning, Beginning(Entries.of(table))
        # Nearly always what is new or gone stands at the end.
        if self._beginning.goes_on_from(before):
            others = [*self._beginning.names.behind(before.names)]
        elif before.goes_on_from(self._beginning):
            others = [*before.names.behind(self._beginning.names)]
        else:
            others = self._compared()
        found = others if are_strings(others) else [name for name in others if type(name) is str]
        self._modules.update(zip(found, map(id, map(table.get, found)), strict=True))
        for name in filterfalse(table.__contains__, found):
            self._modules.pop(name, None)
        return found

    def _compared(self) -> list[str]:
        modules = sys.modules.copy()
        if not are_strings(modules):
            modules = {name: module for name, module in modules.items() if type(name) is str}
        now = dict(zip(modules, map(id, modules.values()), strict=True))
        others = compress(now, map(ne, now.values(), map(self._modules.get, now)))
        return [*others, *filterfalse(now.__contains__, self._modules)]


class NamesInFolders:
    """The names of the modules in directories: which lie in several, and which are loaded from elsewhere.

    A directory may have thousands of files, of which each asks: only what was loaded since is looked at.

    Args:
        is_from_elsewhere: tells whether what is loaded under a name does not lie in a directory.
    """

    def __init__(self, is_from_elsewhere: Callable[[str, str], bool]) -> None:
        self._is_from_elsewhere = is_from_elsewhere
        # By name: the directories that have it. By directory: the names that others have, too, and those that
        # are loaded from elsewhere.
        self._folders: dict[str, list[str]] = {}
        self._shared: dict[str, set[str]] = {}
        self._elsewhere: dict[str, set[str]] = {}
        self._loaded = LoadedNames()

    def __contains__(self, folder: str) -> bool:
        return folder in self._shared

    def add(self, folder: str, names: Iterable[str]) -> None:
        """Take note of a directory, and of the names in it."""
        self._shared[folder], self._elsewhere[folder] = set(), set()
        for name in names:
            folders = self._folders.setdefault(name, [])
            folders.append(folder)
            if len(folders) > 1:
                for each in folders:
                    self._shared[each].add(name)
            self._judge(name, folder)

    def lie_in_several(self, name: str) -> bool:
        """Tell whether several directories have modules of a name."""
        return len(self._folders.get(name, ())) > 1

    def shared(self, folder: str) -> set[str]:
        """Return the names in a directory that lie in another one, too."""
        return self._shared[folder]

    def from_elsewhere(self, folder: str) -> set[str]:
        """Return the names in a directory under which a module from elsewhere is loaded."""
        for name in self._loaded.changed():
            for each in self._folders.get(name, ()):
                self._judge(name, each)
        return self._elsewhere[folder]

    def _judge(self, name: str, folder: str) -> None:
        if name in sys.modules and self._is_from_elsewhere(name, folder):
            self._elsewhere[folder].add(name)
        else:
            self._elsewhere[folder].discard(name)
