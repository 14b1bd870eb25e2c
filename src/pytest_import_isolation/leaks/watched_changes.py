"""Changes of which is noted who imports what was changed, from the statement that makes them on."""

from __future__ import annotations

import sys
from collections.abc import Collection
from types import ModuleType

from pytest_import_isolation.leaks.deciders import folder_of
from pytest_import_isolation.machinery.modules import ABSENT, spec_of
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.report.records import Exposure, Polluter
from pytest_import_isolation.state.single_changes import SingleChange


class WatchedChange:
    """A change that others may meet.

    Args:
        change: the change.
        polluter: who made it.
        taints: whether a module that asks for it keeps something that it should not have.
    """

    def __init__(self, change: SingleChange, polluter: Polluter, *, taints: bool) -> None:
        self.change = change
        self.polluter = polluter
        # The folder for whose tests a conftest made the change, once that is known.
        self._folder: str | None = None
        self.taints = taints
        #: Whether the polluter is the victim, too.
        self.meets_polluter = False
        #: The numbers of the leaks that it was judged to be; none as long as it may be undone.
        self.leaks: list[int] = []
        #: The meeting of each test or file, by its node id; the first of those that tell most.
        self.met: dict[str, Exposure] = {}
        self._ranks: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"WatchedChange({self.name!r}, by {self.polluter.nodeid!r})"

    @property
    def name(self) -> str:
        """The module."""
        return str(self.change.key)

    def is_of(self, change: SingleChange) -> bool:
        """Tell whether a change leaves the same as this one did."""
        return self.change.what == change.what and self.change.after is change.after

    def taints_who_asks_for(self, wanted: str) -> bool:
        """Tell whether a module that asks for a name keeps something of this change.

        Who imports what asked for a fake has met that, but may have nothing of it.
        """
        return self.taints and (wanted == self.name or wanted.startswith(f"{self.name}."))

    def judged_again(self, *, taints: bool) -> WatchedChange:
        """Return this change, with a later judgement of it: where it was made, that was a first guess."""
        if not self.leaks:
            self.taints = taints
        return self

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

    def confirm(self, leak: int, polluter: Polluter, users: Collection[str] | None = None) -> None:
        """Take note that it was judged a leak.

        Args:
            leak: its number.
            polluter: who answers for it.
            users: the tests that had the fixture which made the change: they met what is theirs, and others
                what is not.
        """
        self.leaks.append(leak)
        self.polluter = polluter
        self._folder = folder_of(polluter.nodeid)
        is_own = self.is_own if users is None else users.__contains__
        self.met = {nodeid: met for nodeid, met in self.met.items() if not is_own(nodeid)}

    def is_own(self, nodeid: str) -> bool:
        """Tell whether a test or file is the polluter itself, or belongs to it, and no victim."""
        if self.meets_polluter:
            return False
        if self._folder is not None and nodeid.startswith(self._folder):
            return True
        return nodeid == self.polluter.nodeid or nodeid.startswith(f"{self.polluter.nodeid}::")

    def rank_of(self, nodeid: str) -> int:
        """Return how much the place tells at which a test or file met it, -1 if it did not."""
        return self._ranks.get(nodeid, 0) if nodeid in self.met else -1

    def meet(self, exposure: Exposure, rank: int = 0) -> None:
        """Note a meeting, if it is the first of this test or file, or tells more than the first.

        Args:
            exposure: who met it, and where.
            rank: how much that place tells.
        """
        if exposure.nodeid not in self.met or rank > self._ranks.get(exposure.nodeid, 0):
            self.met[exposure.nodeid] = exposure
            self._ranks[exposure.nodeid] = rank


class CoveredLeaks:
    """Leaks that are out of their places because something else was laid over them, which may go."""

    def __init__(self) -> None:
        # By name, the latest last, each with the modules by way of which others met it.
        self._leaks: dict[str, list[tuple[WatchedChange, list[str]]]] = {}
        #: The names of those that came since the last boundary: nothing may look changed there.
        self.lately: set[str] = set()

    @property
    def names(self) -> Collection[str]:
        """The names of them all."""
        return self._leaks.keys()

    def add(self, watched: WatchedChange, by_way: list[str]) -> None:
        """Keep a leak.

        Args:
            watched: the leak.
            by_way: the modules by way of which others met it.
        """
        self._leaks.setdefault(watched.name, []).append((watched, by_way))
        self.lately.add(watched.name)

    def pop(self, name: str) -> tuple[WatchedChange, list[str]] | None:
        """Hand out the leak of a name that is back in its place, if there is one."""
        several = self._leaks.get(name, [])
        back = next((one for one in reversed(several) if one[0].is_in_place), None)
        if back is not None:
            several.remove(back)
        return back

    def clear(self) -> None:
        """Keep none of them."""
        self._leaks.clear()


class Taint(NamedTuple):
    """A module that asked for a fake or blocked module while it was imported for the first time."""

    module: str
    wanted: str
    watched: WatchedChange
    #: The spec of that execution.
    spec: object

    @property
    def change(self) -> SingleChange:
        """The change that others can meet: that the module is loaded."""
        return SingleChange("entry", self.module, ABSENT, sys.modules.get(self.module))

    @property
    def is_of_now(self) -> bool:
        """Whether the module is loaded, and was not executed again since, perhaps without the fake."""
        module = sys.modules.get(self.module, ABSENT)
        if module is ABSENT:
            return False
        return type(module) is not ModuleType or spec_of(module) is self.spec
