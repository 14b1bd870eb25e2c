"""Which modules to look at for changes of what they hold."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from itertools import compress
from operator import is_not
from typing import Any, Final

from pytest_import_isolation.machinery.dict_versions import cell_of
from pytest_import_isolation.machinery.modules import is_initializing, is_rewritten, namespace, top_level
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.state.single_changes import entry_of

#: Whether the versions of dictionaries tell of changes; without them all has to be compared.
HAS_VERSIONS: Final = cell_of({}) is not None
#: Those of the run itself change all the time; ``warnings`` is what pytest swaps for each test.
UNWATCHED: Final = frozenset(
    ("pytest_import_isolation", "_pytest", "pytest", "pluggy", "xdist", "execnet", "warnings", "__main__")
)
#: Of so many texts it is kept which modules they name.
_MOST_TEXTS: Final = 64
#: Stands for the last parts of names that are no words.
_ODD: Final = ""


class _Guard(weakref.ref[Any]):
    """Hears of the end of a module. There is one for each: a function of its own would be five objects."""

    __slots__ = ("key",)
    #: The identity of the module.
    key: int


class Wanting:
    """Who wants to know what modules hold: those that the test code names which runs now.

    Args:
        words_of: returns the words that the text of a file has.
        files: returns files of the test code that runs now.
        complete: returns such files, and the conftests above them.
        origins: knows the test files, and the plugins of the project.
    """

    def __init__(
        self,
        words_of: Callable[[str], Set[str]],
        files: Callable[[], Sequence[str]],
        complete: Callable[[Sequence[str]], Iterable[str]],
        origins: Origins,
    ) -> None:
        self._words_of = words_of
        self._files = files
        self._complete = complete
        self._origins = origins
        # The words of the files asked for last, and how many files of tests there were.
        self._known: tuple[Sequence[str], int, list[Set[str]]] = (), 0, []

    def words(self) -> list[Set[str]]:
        """Return the words that the test code says, file by file."""
        files, origins = self._files(), self._origins
        number = len(origins.test_files) + len(origins.plugin_files)
        if files != self._known[0] or number != self._known[1]:
            words = [*map(self._words_of, self._complete(files))]
            self._known = [*files], number, words
        return self._known[2]


class WatchedModules:
    """Knows about which modules nothing is to be asked, so that a look asks about new ones only.

    Args:
        has: tells, by the identity of a module, whether it is looked at, or was earlier.
    """

    def __init__(self, has: Callable[[int], bool]) -> None:
        self._has = has
        #: Those who want to know what modules hold.
        self.wanting: list[Wanting] = []
        # By the identity of a module, its name, if nothing is to be asked about it: it is watched and its
        # version tells of changes, or it is not to be watched, or not before test code names it.
        self._known: dict[int, object] = {}
        # Tell of the ends of the last, which are those of no namespace.
        self._guards: dict[int, _Guard] = {}
        self._on_end: Final = self._forget_ended
        # Their names, by their last parts.
        self._foreign: dict[str, dict[str, None]] = {}
        # Which last parts some words have, as long as there are no others: the words, and these.
        self._found: dict[int, tuple[Set[str], list[str]]] = {}

    def wants(self) -> Callable[[str], bool]:
        """Return a test for the modules to which test code may write, so that somebody looks at them."""
        texts = [words for wanting in self.wanting.copy() for words in wanting.words()]

        def is_wanted(name: str) -> bool:
            last = name.rpartition(".")[2]
            for words in texts:
                if last in words:
                    return True
            return bool(texts) and not last.isidentifier()

        return is_wanted

    def forget(self, key: int) -> None:
        """Ask about a module again, given by its identity."""
        self._known.pop(key, None)

    def settle(self, key: int, name: Any) -> None:
        """Note that nothing is to be asked about a module that is watched now."""
        if not HAS_VERSIONS:
            self._known.pop(key, None)  # once it was named it is looked at
            return
        self._known.setdefault(key, name)
        last = _last_part(name)
        if name in (left := self._foreign.get(last, {})):
            del left[name]
        if not left and self._foreign.pop(last, None) is not None:
            self._found.clear()

    def among(self, entries: dict[Any, object]) -> Iterator[tuple[Any, object]]:
        """Yield the entries to look at. Without versions, all that is looked at has to be compared."""
        # At the speed of C: nearly all are known.
        known = map(self._known.get, map(id, entries.values()))
        is_wanted = None
        for name, module in compress(entries.items(), map(is_not, known, entries)):
            is_wanted = is_wanted or self.wants()
            if not self._is_left_alone(name, module, is_wanted):
                yield name, module

    def named(self, entries: dict[Any, object]) -> dict[str, object]:
        """Return the entries that were left alone and that test code names now."""
        found = {name: entries.get(name) for last in self._named() for name in self._foreign.get(last, ())}
        return {name: module for name, module in found.items() if self._waits(name, module)}

    def names_more(self) -> bool:
        """Tell whether test code names modules now that were left alone."""
        names = (name for last in self._named() for name in [*self._foreign.get(last, ())])
        return any(self._waits(name, entry_of(name)) for name in names)

    def _waits(self, name: str, module: object) -> bool:
        """Tell whether a module was left alone under this name, and could be looked at."""
        return self._known.get(id(module)) is name and namespace(module) is not None

    def _named(self) -> Iterator[str]:
        for words in (words for wanting in self.wanting for words in wanting.words()):
            known = self._found.get(id(words))
            if known is None:
                if len(self._found) >= _MOST_TEXTS:
                    self._found.clear()
                # A text has many more words.
                known = words, [*filter(words.__contains__, self._foreign.copy())]
                self._found[id(words)] = known
            yield from known[1]
            yield _ODD

    def _is_left_alone(self, name: Any, module: object, is_wanted: Callable[[str], bool]) -> bool:
        """Tell whether not to look at a module, and remember it if that stays so."""
        if not is_unwatched(name):
            if is_initializing(module) or self._has(id(module)):
                return False
            # A test file or conftest may do with its own namespace what it likes.
            if not is_rewritten(module):
                if Origins.usual().is_first_party(name, module):
                    return False
                last = _last_part(name)
                if last not in self._foreign:
                    self._foreign[last] = {}
                    self._found.clear()
                self._foreign[last][name] = None
                self._leave_alone(name, module)
                return not is_wanted(name)
        self._known[id(module)] = name
        return True

    def _leave_alone(self, name: str, module: object) -> None:
        """Look at a foreign module no more, as long as it lives, until test code names it."""
        key = id(module)
        try:
            guard = self._guards[key] = _Guard(module, self._on_end)
        except TypeError:
            return  # nothing can refer to it weakly: it is no module
        guard.key = key
        self._known[key] = name

    def _forget_ended(self, guard: _Guard) -> None:
        self._known.pop(guard.key, None)
        self._guards.pop(guard.key, None)


def _last_part(name: str) -> str:
    last = name.rpartition(".")[2]
    return last if last.isidentifier() else _ODD


def is_unwatched(name: object) -> bool:
    """Tell by its key whether an entry of ``sys.modules`` is never looked at."""
    return type(name) is not str or top_level(name) in UNWATCHED
