"""Who met a leak: every test or file that imports a leaked name while the leak is in place.

Nothing is wrapped while nothing is leaked.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

from pytest_import_isolation.fakes.missing import INTERCEPTOR
from pytest_import_isolation.machinery.frames import Importer, caller, modules_in_execution
from pytest_import_isolation.machinery.modules import ABSENT, ancestors, is_initializing, top_level
from pytest_import_isolation.report.records import Exposure, Polluter
from pytest_import_isolation.state.single_changes import SingleChange

#: Outcomes that a leak may have caused.
FAILURES = ("failed", "error")
_UNKNOWN = "unknown"
#: The worst first: what a test came to is the worst of its phases.
_OUTCOMES = ("error", "failed", "xfailed", "skipped", "passed")


class Hazard:
    """Something that others may meet.

    Args:
        change: the change.
        polluter: who made it.
        taints: whether a module that asks for it keeps something that it should not have.
    """

    def __init__(self, change: SingleChange, polluter: Polluter, *, taints: bool) -> None:
        self.change = change
        self.polluter = polluter
        self.taints = taints
        #: The number of the leak that it was judged to be, or None as long as it may be undone.
        self.leak: int | None = None
        #: The first meeting of each test or file, by its node id.
        self.met: dict[str, Exposure] = {}

    def __repr__(self) -> str:
        return f"Hazard({self.name!r}, by {self.polluter.nodeid!r})"

    @property
    def name(self) -> str:
        """The module."""
        return str(self.change.key)

    @property
    def is_in_place(self) -> bool:
        """Whether it is still there to be met; what was removed is met until it is back itself."""
        return (
            sys.modules.get(self.name) is not self.change.before if self._is_gap else self.change.is_in_place
        )

    @property
    def _is_gap(self) -> bool:
        return (
            self.change.what == "entry" and self.change.before is not ABSENT and self.change.after is ABSENT
        )

    def confirm(self, leak: int, polluter: Polluter) -> None:
        """Take note that it was judged a leak.

        Args:
            leak: its number.
            polluter: who answers for it; for what a fixture did, all the tests that had the fixture.
        """
        self.leak = leak
        self.polluter = polluter
        self.met = {nodeid: met for nodeid, met in self.met.items() if not self.is_own(nodeid)}

    def is_own(self, nodeid: str) -> bool:
        """Tell whether a test or file is the polluter itself, or belongs to it."""
        return nodeid == self.polluter.nodeid or nodeid.startswith(f"{self.polluter.nodeid}::")

    def meet(self, exposure: Exposure) -> None:
        """Note a meeting, if it is the first of this test or file."""
        self.met.setdefault(exposure.nodeid, exposure)


class Taint(NamedTuple):
    """A module that asked for a fake or blocked module while it was imported for the first time."""

    module: str
    wanted: str
    hazard: Hazard


class Exposures:
    """The hazards of a run, and who met them.

    Args:
        here: returns the test or file that is running, and its phase.
        find_importer: returns the statement that imports, given the frame's own answer.
        is_of_the_run: tells whether a module is a test file or conftest: these are never tainted.
    """

    def __init__(
        self,
        here: Callable[[], Polluter | None],
        find_importer: Callable[[Importer], Importer],
        is_of_the_run: Callable[[object], bool],
    ) -> None:
        self._here = here
        self._find_importer = find_importer
        self._is_of_the_run = is_of_the_run
        self._armed: dict[str, Hazard] = {}
        # Modules that imported something tainted or faked, by way of which others meet it.
        self._by_way_of: dict[str, Hazard] = {}
        # The first parts of their names, or None if they have to be gathered: most imports are of others.
        self._tops: frozenset[str] | None = None
        # By their identity: there may be thousands, and each is dropped by itself.
        self._all: dict[int, Hazard] = {}
        # Those of which it is not known yet whether they will be judged a leak.
        self._unjudged: list[Hazard] = []
        # By node id, those that a test or file met.
        self._met: dict[str, list[Hazard]] = {}
        self._outcomes: dict[str, str] = {}
        self._undo: Callable[[], None] | None = None
        #: Modules that asked for something faked or blocked, since the last boundary.
        self.taints: list[Taint] = []

    def __bool__(self) -> bool:
        """Whether there is anything that somebody could have met."""
        return bool(self._all)

    def arm(self, change: SingleChange, polluter: Polluter, *, taints: bool = False) -> Hazard:
        """Note who imports a name from now on.

        Args:
            change: the change of an entry, or of the attribute for it.
            polluter: who made it.
            taints: see :class:`Hazard`.
        """
        known = self._armed.get(str(change.key))
        if known is not None and known.change.what == change.what and known.change.after is change.after:
            return known
        hazard = Hazard(change, polluter, taints=taints)
        self._armed[hazard.name] = hazard
        self._all[id(hazard)] = hazard
        self._unjudged.append(hazard)
        self._watch()
        return hazard

    def add(self, hazard: Hazard) -> None:
        """Take over a hazard that was judged, and met, before."""
        self._all[id(hazard)] = hazard
        for nodeid in hazard.met:
            self._met.setdefault(nodeid, []).append(hazard)

    def settle(self, changed: Collection[Any] | None = None) -> None:
        """Forget what is no longer in place; go on watching only if something is.

        Args:
            changed: the entries, and the attributes by the names of their modules, that may have changed; all
                by default. There may be thousands of hazards, and a boundary at each test.
        """
        if not self._all:
            return
        gone = False
        for name in [*self._armed, *self._by_way_of] if changed is None else changed:
            hazard = self._armed.get(name)
            if hazard is not None and not hazard.is_in_place:
                del self._armed[name]
                gone = True
            if name in self._by_way_of and name not in sys.modules:
                del self._by_way_of[name]
        if gone:
            for name, hazard in list(self._by_way_of.items()):
                if self._armed.get(hazard.name) is not hazard:
                    del self._by_way_of[name]
        for hazard in self._unjudged:
            if hazard.leak is None and not hazard.is_in_place:
                self._all.pop(id(hazard), None)
        self._unjudged = [h for h in self._unjudged if h.leak is None and id(h) in self._all]
        self._watch()

    def stop(self) -> None:
        """Watch no more; what was met stays known."""
        self._armed.clear()
        self._by_way_of.clear()
        self._watch()

    def _watch(self) -> None:
        self._tops = None  # this is called whenever something was armed or disarmed
        if self._armed and self._undo is None:
            self._undo = INTERCEPTOR.observe(self._find, self._told)
        elif not self._armed and self._undo is not None:
            self._undo()
            self._undo = None
        INTERCEPTOR.settle()

    def _find(self, wanted: str) -> Hazard | None:
        if self._tops is None:
            self._tops = frozenset(map(top_level, [*self._armed, *self._by_way_of]))
        if top_level(wanted) not in self._tops:
            return None
        hazard = self._armed.get(wanted) or self._by_way_of.get(wanted)
        if hazard is None and "." in wanted:
            above = (self._armed.get(ancestor) for ancestor in ancestors(wanted))
            hazard = next(filter(None, above), None)
        return hazard

    def _told(self, wanted: str) -> None:
        hazard, here, asker = self._find(wanted), self._here(), caller()
        if hazard is None or here is None or asker is None or not hazard.is_in_place:
            return
        running = [name for name in modules_in_execution() if self._is_new(name)]
        for name in running:
            if name != hazard.name:
                self._by_way_of.setdefault(name, hazard)
                self._tops = None
        if hazard.taints and asker.module in running:
            self.taints.append(Taint(asker.module, wanted, hazard))
        if not hazard.is_own(here.nodeid):
            importer = self._find_importer(asker)
            self._meet(hazard, Exposure(here.nodeid, here.phase, importer.file, importer.line, _UNKNOWN))

    def _meet(self, hazard: Hazard, exposure: Exposure) -> None:
        if exposure.nodeid not in hazard.met:
            hazard.meet(exposure)
            self._met.setdefault(exposure.nodeid, []).append(hazard)

    def _is_new(self, name: str) -> bool:
        """Tell whether a module is being imported for the first time, and not by pytest as a test file."""
        module = sys.modules.get(name)
        return is_initializing(module) and not self._is_of_the_run(module)

    # What became of those who met something

    def note_outcome(self, nodeid: str, phase: str, outcome: str) -> None:
        """Take note of what a phase of a test, or the collection of a file, came to.

        A test that fails was exposed to whatever its file imported.
        """
        if not self._all:
            return  # who met something did so before
        self._outcomes[nodeid] = min(outcome, self._outcomes.get(nodeid, outcome), key=rank)
        if outcome in FAILURES:
            for hazard, met in list(self.of(nodeid)):
                self._meet(hazard, met._replace(nodeid=nodeid, phase=phase))

    def of(self, nodeid: str) -> Iterator[tuple[Hazard, Exposure]]:
        """Yield the leaks that a test or file met, itself or, for a test, through its file."""
        above = [nodeid, *_above(nodeid)]
        hazards = {id(hazard): hazard for node in above for hazard in self._met.get(node, ())}
        for hazard in sorted(hazards.values(), key=lambda hazard: -1 if hazard.leak is None else hazard.leak):
            if hazard.leak is not None and not hazard.is_own(nodeid):
                met = next(filter(None, map(hazard.met.get, above)), None)
                if met is not None:
                    yield hazard, met

    def by_leak(self) -> dict[int, tuple[Exposure, ...]]:
        """Return who met each leak, in the order in which they did, with what became of them."""
        found: dict[int, list[Exposure]] = {}
        for hazard in self._all.values():
            if hazard.leak is not None:
                found.setdefault(hazard.leak, []).extend(
                    exposure._replace(outcome=self._outcomes.get(exposure.nodeid, _UNKNOWN))
                    for exposure in hazard.met.values()
                )
        return {leak: tuple(exposures) for leak, exposures in found.items()}


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
