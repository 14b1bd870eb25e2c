"""Who met a leak: every test or file that imports a leaked name while the leak is in place.

Nothing is wrapped while nothing is leaked.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from pytest_import_isolation.leaks.holders import Failure, held
from pytest_import_isolation.leaks.module_contents import WatchedContents
from pytest_import_isolation.leaks.user_code import UserCode
from pytest_import_isolation.leaks.watched_changes import CoveredLeaks, Taint, WatchedChange
from pytest_import_isolation.machinery.frames import caller, modules_in_execution
from pytest_import_isolation.machinery.locks import is_importing
from pytest_import_isolation.machinery.modules import ancestors, is_initializing, spec_of, top_level
from pytest_import_isolation.report.records import Exposure, Polluter
from pytest_import_isolation.state.single_changes import SingleChange
from pytest_import_isolation.watching.asked_imports import ASKED

#: Outcomes that a leak may have caused.
FAILURES = ("failed", "error")
_UNKNOWN = "unknown"
#: The worst first: what a test came to is the worst of its phases.
_OUTCOMES = ("error", "failed", "xfailed", "skipped", "passed")


class Exposures:
    """The changes that others may meet, and who met them.

    Args:
        here: returns the test or file that is running, and its phase.
        code: tells the users' own statements from others.
        is_of_the_run: tells whether a module is a test file or conftest: these are never tainted.
    """

    def __init__(
        self,
        here: Callable[[], Polluter | None],
        code: UserCode,
        is_of_the_run: Callable[[object], bool],
    ) -> None:
        self._here = here
        self._find_importer = code.importer
        self._is_users = code.has
        self._place = code.place
        self._is_of_the_run = is_of_the_run
        # By the names of their modules, those that were in place when that was asked last.
        self._in_place: dict[str, WatchedChange] = {}
        # By the names of the modules, changes of what is in them.
        self._contents: dict[str, list[WatchedContents]] = {}
        # Modules that imported something tainted or faked, by way of which others meet it.
        self._by_way_of: dict[str, WatchedChange] = {}
        # Leaks over which something else is laid.
        self._covered = CoveredLeaks()
        # The first parts of their names, or None if they have to be gathered: most imports are of others.
        self._tops: set[str] | None = None
        # By their identity: there may be thousands, and each is dropped by itself.
        self._all: dict[int, WatchedChange] = {}
        # Those of which it is not known yet whether they will be judged a leak.
        self._unjudged: list[WatchedChange] = []
        # By node id, those that a test or file met.
        self._met_by: dict[str, list[WatchedChange]] = {}
        #: What tests and files came to, the worst of their phases.
        self.outcomes: dict[str, str] = {}
        self._undo: Callable[[], None] | None = None
        self._release: Callable[[], None] | None = None
        #: Modules that asked for something faked or blocked, since the last boundary.
        self.taints: list[Taint] = []

    def __bool__(self) -> bool:
        """Whether there is anything that somebody could have met."""
        return bool(self._all)

    def watch(self, change: SingleChange, polluter: Polluter, *, taints: bool = False) -> WatchedChange:
        """Note who imports a name from now on.

        Args:
            change: the change of an entry, or of the attribute for it.
            polluter: who made it.
            taints: see :class:`WatchedChange`.
        """
        name = str(change.key)
        known = self._in_place.get(name)
        if known is None or not known.is_of(change):
            self._let_go(name)  # somebody laid something over a leak, maybe, and the leak is back
            known = self._in_place.get(name)
        if known is not None and known.is_of(change):
            return known.judged_again(taints=taints)
        watched = WatchedChange(change, polluter, taints=taints)
        if known is not None:
            self._cover(known)
        self._in_place[watched.name] = watched
        self._all[id(watched)] = watched
        self._unjudged.append(watched)
        self._listen((watched.name,))
        return watched

    def watch_contents(self, watched: WatchedContents) -> None:
        """Note who imports, from now on, a module whose contents were changed."""
        self._contents.setdefault(watched.name, []).append(watched)
        self._all[id(watched)] = watched
        self._listen((watched.name,))

    def reach(self, watched: WatchedChange, names: Iterable[str]) -> None:
        """Let who imports some other modules meet a change, too."""
        free = [name for name in names if (by := self._by_way_of.get(name)) is None or not by.is_in_place]
        self._by_way_of.update(dict.fromkeys(free, watched))
        self._listen(free)

    def add(self, watched: WatchedChange) -> None:
        """Take over a change that was judged, and met, before."""
        self._all[id(watched)] = watched
        for nodeid in watched.met:
            self._met_by.setdefault(nodeid, []).append(watched)

    def drop_undone(self, changed: Collection[Any] | None = None) -> None:
        """Forget what is no longer in place; go on watching only if something is.

        Args:
            changed: the entries, and the attributes by the names of their modules, that may have changed; all
                by default. There may be thousands of them, and a boundary at each test.
        """
        if not self._all:
            return
        if changed is None:
            changed = [*self._in_place, *self._by_way_of, *self._covered.names]
        for name in changed:
            self._let_go(name)
            if name in self._by_way_of and name not in sys.modules:
                del self._by_way_of[name]
        for name, several in list(self._contents.items()):
            self._contents[name] = [one for one in several if not one.is_over]
            if not self._contents[name]:
                del self._contents[name]
        for watched in self._unjudged:
            if not watched.leaks and not watched.is_in_place:
                self._all.pop(id(watched), None)
        self._unjudged = [w for w in self._unjudged if not w.leaks and id(w) in self._all]
        self._listen()

    def begin_anew(self, changed: Collection[Any] | None = None) -> None:
        """Do what :meth:`drop_undone` does at a boundary.

        Args:
            changed: what differs from the last boundary; by default anything may.
        """
        if changed is not None and self._covered.lately:
            changed = [*changed, *self._covered.lately]
        self.drop_undone(changed)
        self._covered.lately.clear()

    def _let_go(self, name: str) -> None:
        """Let what is out of its place make room for what is back in it."""
        watched = self._in_place.get(name)
        if watched is not None and not watched.is_in_place:
            del self._in_place[name]
            self._cover(watched)
        self._uncover(name)

    def _cover(self, watched: WatchedChange) -> None:
        """Keep a leak that is out of its place: what is laid over it may go."""
        by_way = [name for name, way in self._by_way_of.items() if way is watched]
        for name in by_way:
            del self._by_way_of[name]
        if watched.leaks:
            self._covered.add(watched, by_way)

    def _uncover(self, name: str) -> None:
        """Arm a leak again that is back in its place."""
        back = None if name in self._in_place else self._covered.pop(name)
        if back is not None:
            self._in_place[name], by_way = back
            self._by_way_of.update(dict.fromkeys((n for n in by_way if n in sys.modules), back[0]))

    def stop(self) -> None:
        """Watch no more; what was met stays known."""
        self._in_place.clear()
        self._contents.clear()
        self._by_way_of.clear()
        self._covered.clear()
        self._listen()
        if self._release is not None:
            self._release()
            self._release = None

    def _listen(self, new: Iterable[str] | None = None) -> None:
        """Listen to the imports of what there is to watch.

        Args:
            new: the names of what has come to it, if nothing has gone. A statement may throw out all modules.
        """
        tops = {*map(top_level, new or ())}
        if new is None:
            self._tops = None
        elif self._tops is not None:
            self._tops |= tops
        has_any = bool(self._in_place or self._contents)
        if has_any and self._undo is None:
            # There will be more, in the next test maybe.
            self._release = self._release or ASKED.hold()
            self._undo = ASKED.observe(self._find, self._imported, self._tops_now())
        elif not has_any and self._undo is not None:
            self._undo()
            self._undo = None
        elif self._undo is not None:
            ASKED.settle(tops)

    def _tops_now(self) -> set[str]:
        if self._tops is None:
            self._tops = {*map(top_level, [*self._in_place, *self._by_way_of, *self._contents])}
        return self._tops

    def _find(self, wanted: str) -> WatchedChange | None:
        if top_level(wanted) not in self._tops_now():
            return None
        watched = self._in_place.get(wanted) or self._by_way_of.get(wanted)
        if watched is None and "." in wanted:
            above = (self._in_place.get(ancestor) for ancestor in ancestors(wanted))
            watched = next(filter(None, above), None)
        return watched or next(iter(self._contents_of(wanted)), None)

    def _contents_of(self, wanted: str) -> list[WatchedContents]:
        """Return the changes of contents that who imports a module meets."""
        if not self._contents:
            return []
        above = (one for package in ancestors(wanted) for one in self._contents.get(package, ()))
        return [*self._contents.get(wanted, ()), *(one for one in above if one.is_met_below)]

    def _imported(self, wanted: str) -> None:
        contents = self._contents_of(wanted)
        if contents:
            self._met_contents(contents)
        watched, here = self._find(wanted), self._here()
        if watched is None or here is None:
            return
        most = _telling(watched, wanted, is_for_another=False)
        is_known = watched.is_own(here.nodeid) or watched.rank_of(here.nodeid) >= most
        if is_known and not is_importing():
            return  # as it is in a loop; the call stack is looked through for nothing then
        asker = caller()
        if asker is None or not watched.is_in_place:
            return
        running = [name for name in modules_in_execution() if self._is_new(name)]
        new = [name for name in running if name != watched.name and name not in self._by_way_of]
        if new:
            self._by_way_of.update(dict.fromkeys(new, watched))
            self._listen(new)
        if watched.taints_who_asks_for(wanted) and asker.module in running:
            spec = spec_of(sys.modules.get(asker.module))
            self.taints.append(Taint(asker.module, wanted, watched, spec))
        if not watched.is_own(here.nodeid):
            importer = self._find_importer(asker)
            exposure = Exposure(here.nodeid, here.phase, *self._place(importer, wanted), _UNKNOWN)
            # Nobody's statement tells least: traceback imports what it looks for suggestions in, for pytest.
            rank = _telling(watched, wanted, bool(running)) if self._is_users(importer.file) else 0
            self.meet(watched, exposure, rank)

    def _met_contents(self, contents: list[WatchedContents]) -> None:
        here = self._here()
        several = () if here is None else [one for one in contents if here.nodeid not in one.met]
        asker = caller() if several else None
        if asker is None or here is None:
            return
        importer = self._find_importer(asker)
        exposure = Exposure(here.nodeid, here.phase, importer.file, importer.line, _UNKNOWN)
        for watched in several if self._is_users(importer.file) else ():
            if not watched.is_own(here.nodeid) and watched.is_in_place:
                self.meet(watched, exposure)

    def note_failure(self, nodeid: str, phase: str, failure: Failure) -> Iterator[WatchedChange]:
        """Take note of a failing test that holds a module whose contents were changed, or calls what does.

        Yields:
            The changes that are noted so, and of which the failure itself says nothing.
        """
        watching = [one for several in self._contents.values() for one in several]
        for watched, (file, line), is_said in held(watching, self._in_place, failure, self._is_users):
            if not watched.is_own(nodeid) and nodeid not in watched.met:
                self.meet(watched, Exposure(nodeid, phase, file, line, _UNKNOWN))
                if not is_said:
                    yield watched

    def meet(self, watched: WatchedChange, exposure: Exposure, rank: int = 0) -> None:
        """Take note of a meeting."""
        if exposure.nodeid not in watched.met:
            self._met_by.setdefault(exposure.nodeid, []).append(watched)
        watched.meet(exposure, rank)

    def _is_new(self, name: str) -> bool:
        """Tell whether a module is being imported for the first time, and not by pytest as a test file."""
        return is_initializing(module := sys.modules.get(name)) and not self._is_of_the_run(module)

    # What became of those who met something

    def note_outcome(self, nodeid: str, phase: str, outcome: str) -> None:
        """Take note of what a phase of a test, or the collection of a file, came to.

        A test that fails was exposed to whatever its file imported.
        """
        if not self._all:
            return  # who met something did so before
        self.outcomes[nodeid] = min(outcome, self.outcomes.get(nodeid, outcome), key=rank)
        if outcome in FAILURES:
            for watched, met in list(self.met_by(nodeid)):
                self.meet(watched, met._replace(nodeid=nodeid, phase=phase))

    def met_by(self, nodeid: str) -> Iterator[tuple[WatchedChange, Exposure]]:
        """Yield the leaks that a test or file met, itself or, for a test, through its file."""
        above = [nodeid, *_above(nodeid)]
        changes = {id(watched): watched for node in above for watched in self._met_by.get(node, ())}
        for watched in sorted(changes.values(), key=lambda watched: watched.leaks[:1]):
            if watched.leaks and not watched.is_own(nodeid):
                met = next(filter(None, map(watched.met.get, above)), None)
                if met is not None:
                    yield watched, met

    def by_leak(self) -> dict[int, tuple[Exposure, ...]]:
        """Return who met each leak, in the order in which they did, with what became of them."""
        found: dict[int, list[Exposure]] = {}
        for watched in self._all.values():
            for leak in watched.leaks:
                found.setdefault(leak, []).extend(
                    exposure._replace(outcome=self.outcomes.get(exposure.nodeid, _UNKNOWN))
                    for exposure in watched.met.values()
                )
        return {leak: tuple(exposures) for leak, exposures in found.items()}


def _telling(watched: WatchedChange, wanted: str, is_for_another: bool) -> int:
    """Return how much a place tells: the statement that asks for the very name tells most.

    Args:
        watched: what was met.
        wanted: the module that was asked for.
        is_for_another: whether a module asked while it was imported: what it got has a leak of its own.
    """
    if wanted != watched.name and not wanted.startswith(f"{watched.name}."):
        return 1
    return 2 if is_for_another else 3


def _above(nodeid: str) -> Iterator[str]:
    """Yield the node ids of the classes and of the file that a test is in."""
    # Parameters, in brackets, may hold anything.
    path, bracket, _ = nodeid.partition("[")
    parts = (path if bracket else nodeid).split("::")
    for end in range(len(parts) - 1, 0, -1):
        yield "::".join(parts[:end])


def rank(outcome: str) -> int:
    """Return a number by which the worst outcome is the least; it is the largest for what is not known."""
    return _OUTCOMES.index(outcome) if outcome in _OUTCOMES else len(_OUTCOMES)
