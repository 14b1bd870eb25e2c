"""Who answers for a change: a phase of the test, the test that started a thread, or one of several tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from threading import Thread
from weakref import WeakKeyDictionary

from pytest_import_isolation.leaks.leak_watch import LeakWatch
from pytest_import_isolation.machinery.modules import ABSENT
from pytest_import_isolation.machinery.threads import known_threads
from pytest_import_isolation.report.records import Polluter
from pytest_import_isolation.state.single_changes import SingleChange
from pytest_import_isolation.watching.import_log import ImportLog, Reload


class Attribution:
    """Attributes changes to those who made them.

    Args:
        log: who imported what first.
        leak_watch: knows what statements were seen to change.
    """

    def __init__(self, log: ImportLog, leak_watch: LeakWatch) -> None:
        self._log = log
        self._leak_watch = leak_watch
        # The changes of the running test, with the phase in which they appeared, by their places: a test may
        # import thousands of modules.
        self._phases: dict[object, list[tuple[SingleChange, str]]] = {}
        # How many modules had been asked for, and reloaded, at the end of each phase.
        self._marks: list[tuple[str, int, int]] = []
        # Whether attributes of packages were not looked at at the end of one.
        self._misses_attributes = False
        # The test, or file, in which a thread was seen first: it answers for what the thread imports later.
        self._threads: WeakKeyDictionary[Thread, Polluter] = WeakKeyDictionary()
        #: Who answers for what quick looks have missed, if there were any.
        self.unseen: Polluter | None = None

    def begin_test(self) -> None:
        """Forget the phases of the test before."""
        self._phases, self._marks, self._misses_attributes = {}, [], False

    def end_phase(self, phase: str, changes: Iterable[SingleChange], *, has_attributes: bool) -> None:
        """Take note of what is different at the end of a phase.

        Args:
            phase: the phase.
            changes: all that is different since the test began, as far as that was looked at: all entries.
            has_attributes: whether attributes of packages were looked at, too.
        """
        self._misses_attributes = self._misses_attributes or not has_attributes
        for change in changes:
            known = self._phases.setdefault(change.place, [])
            if not any(change.same(seen) for seen, _ in known):
                known.append((change, phase))
        self._marks.append((phase, len(self._log.importers), len(self._log.reloads)))

    def note_threads(self, polluter: Polluter) -> None:
        """Let a test or file answer for the threads that nobody else answers for."""
        for thread in known_threads().values():
            self._threads.setdefault(thread, polluter)

    def by_phase(self, last: str, asked: int) -> Iterator[tuple[str, list[str], list[Reload]]]:
        """Yield the modules that were asked for and the reloads since the last boundary, phase by phase.

        Args:
            last: the phase that ends now.
            asked: how many modules had been asked for at the last boundary.
        """
        names = list(self._log.importers)
        reloaded = 0
        for phase, asked_until, reloaded_until in (*self._marks, (last, len(names), len(self._log.reloads))):
            yield phase, names[asked:asked_until], self._log.reloads[reloaded:reloaded_until]
            asked, reloaded = asked_until, reloaded_until

    def polluter_of(self, change: SingleChange, polluter: Polluter) -> Polluter:
        """Return who made a change.

        Args:
            change: the change.
            polluter: what ends now.
        """
        thread = self._log.threads.get(change.key) if change.what == "entry" else None
        if thread is not None:
            return self._threads.get(thread, polluter)
        if self.unseen is not None and change.what == "attribute":
            return self.unseen
        if self._marks and (observed := self._leak_watch.phase_of(change)) is not None:
            return polluter._replace(phase=observed)  # that of the statement whose line is told
        for seen, phase in self._phases.get(change.place, ()):
            if change.same(seen):
                return polluter._replace(phase=phase)
        if polluter.phase == "teardown":
            is_looked_at = change.what == "entry" or (
                change.what == "attribute" and not self._misses_attributes
            )
            if is_looked_at and self._marks:
                return polluter  # it was not there when the teardown began
            return polluter._replace(phase=self._leak_watch.phase_since(change) or _likely_phase(change))
        return polluter


def _likely_phase(change: SingleChange) -> str:
    """Return the phase of a test that made a change which nobody saw.

    A quick look after each phase sees which entries were added or removed. What took the place of one, and
    what became of an attribute, may have come about in any phase, and it is the call that does most.
    """
    if change.what == "attribute":
        return "call"
    is_exchange = change.what == "entry" and change.before is not ABSENT and change.after is not ABSENT
    return "call" if is_exchange else "teardown"
