"""What happens between two boundaries: which statement changes what, and who imports what is leaked."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType
from typing import Any, Final

from pytest_import_isolation.fakes.missing import WRAPPERS
from pytest_import_isolation.leaks.clashes import Clash, Clashes, leak_of_clash
from pytest_import_isolation.leaks.entries import is_first_import, is_real
from pytest_import_isolation.leaks.exposures import FAILURES, Exposures, Hazard, Taint
from pytest_import_isolation.leaks.first_imports import FirstImports
from pytest_import_isolation.leaks.hints import Met, state_with_holdings
from pytest_import_isolation.leaks.judging import Judge
from pytest_import_isolation.leaks.places import Places
from pytest_import_isolation.leaks.taints import leak_of_taint
from pytest_import_isolation.machinery.frames import Importer, calling_frame
from pytest_import_isolation.machinery.modules import ABSENT, is_initializing, namespace
from pytest_import_isolation.report.records import ERROR, WARNING, Exposure, Leak, Polluter
from pytest_import_isolation.state.origins import Origin, Origins
from pytest_import_isolation.state.single_changes import SingleChange
from pytest_import_isolation.watching.import_log import ImportLog
from pytest_import_isolation.watching.statements import Statements, Trail

_OWN_DIRECTORY: Final = os.path.dirname(os.path.dirname(__file__)) + os.sep
# The phases in which something is run that can leak an error.
_TESTING: Final = ("collect", "setup", "call", "teardown")
# Kinds of leaks that a module which is imported meanwhile keeps something of.
_TAINTING: Final = ("fake-left", "blocked-left", "replaced")


class LeakWatch:
    """Keeps the leaks of a run, with their statements and with those who met them.

    Args:
        root: the directory to which file names are relative.
        origins: gives the verdicts on modules.
        log: who imported what first.
        may_write: tells whether statements of a file could change the import state at all. The others are
            not watched: tests have many lines, and what is called in one could do it at most.
        is_own: tells whether a change is the test run's own.
        is_of_the_run: tells whether a module is a test file or conftest.
        found: returns what an entry of ``sys.modules`` was at the last boundary, ABSENT for nothing.
        exposes: whether others can meet what is left: not if it is contained.
    """

    def __init__(
        self,
        root: Path,
        origins: Origins,
        log: ImportLog,
        *,
        may_write: Callable[[Path], bool],
        is_own: Callable[[SingleChange], bool],
        is_of_the_run: Callable[[object], bool],
        found: Callable[[Any], object],
        exposes: bool,
    ) -> None:
        self._root = root
        self._origins = origins
        self._may_write = may_write
        self._is_own = is_own
        self._found = found
        self._exposes = exposes
        self._is_code_of_theirs: dict[str, bool] = {}
        self._statements = Statements(self._is_watched, self._is_shown, self._changed, WRAPPERS)
        self._exposures = Exposures(lambda: self.here, self._find_importer, is_of_the_run)
        self._clashes = Clashes(origins, self._find_importer, is_of_the_run, self._clashed)
        # Who imported each module first.
        self._first: dict[str, Polluter] = {}
        # Since the last boundary: what was imported first, and fakes whose statement was not observed.
        self._imported: list[str] = []
        self._unobserved: list[Hazard] = []
        # Since the last boundary: by what statements were seen to change, the identity of what was there then
        # and the phase. The object itself shall be gone if nobody else holds it.
        self._seen: dict[tuple[str, Any], tuple[int, str]] = {}
        #: Finds statements.
        self.places = Places(root, self._statements, log)
        #: Tells who imported what first.
        self.first_imports = FirstImports(origins, log, self.places)
        #: Judges changes.
        self.judge = Judge(origins, log, self.places)
        #: What was found, in order. An element may be replaced; none is taken out.
        self.leaks: list[Leak] = []
        #: The test or file that runs, and its phase.
        self.here: Polluter | None = None

    # Watching

    @property
    def is_always_watching(self) -> bool:
        """Whether lines are watched for the whole run, because that costs next to nothing."""
        return self._statements.is_always_on

    @property
    def failure(self) -> Exception | None:
        """Why lines are watched no more, if a look failed."""
        return self._statements.failure

    def start(self) -> None:
        """Watch lines from now on."""
        self._statements.start()

    def stop_tracing(self) -> None:
        """Watch lines no more where that is not done for the whole run; see :meth:`watching`."""
        if not self._statements.is_always_on:
            self._statements.stop()

    def stop(self) -> None:
        """Watch nothing more."""
        self._statements.stop()
        self._exposures.stop()
        self._clashes.stop()

    @contextmanager
    def watching(self, *files: Path) -> Iterator[None]:
        """Watch the lines of files in the block, also on a Python where that is not done all the time.

        Args:
            files: those whose code is about to run.
        """
        begins = not self._statements.is_always_on and any(map(self._may_write, files))
        if begins:
            self._statements.start()
        try:
            yield
        finally:
            if begins:
                self._statements.stop()

    def let_go(self) -> None:
        """Hold nothing that has left ``sys.modules``: what nobody else holds is not evicted but gone."""
        self._statements.synchronize()

    def begin_anew(self, changed: Collection[Any] | None = None) -> None:
        """Take what is there now as the state of a boundary.

        Args:
            changed: the entries, and the attributes by the names of their modules, that are not what they
                were at the last one; by default anything may be.
        """
        self._statements.synchronize(is_same=changed is not None and not changed)
        self._seen.clear()
        self._exposures.settle(changed)

    @property
    def has_met_nothing(self) -> bool:
        """Whether nothing is leaked that anybody could have met."""
        return not self._exposures

    @property
    def has_nothing_to_tell(self) -> bool:
        """Whether nothing was found since the last boundary that is still to be judged."""
        return not (self._exposures.taints or self._imported or self._unobserved)

    def phase_of(self, change: SingleChange) -> str | None:
        """Return the phase in which a statement was seen to make a change, if one was."""
        identity, phase = self._seen.get(change.place, (0, None))
        return phase if identity == id(change.after) else None

    def expect(self, root: Path, adder: str) -> None:
        """Take note of a directory on ``sys.path``; see :meth:`.clashes.Clashes.expect`."""
        self._clashes.expect(root, adder)

    def _is_watched(self, file: str) -> bool:
        return file.endswith(".py") and self._is_theirs(file) and self._may_write(Path(file))

    def _is_shown(self, module: str, file: str) -> bool:
        return file.endswith(".py") and self._is_theirs(file)

    def _is_theirs(self, file: str) -> bool:
        """Tell whether code is the users' own."""
        known = self._is_code_of_theirs.get(file)
        if known is None:
            known = self._origins.of_file("", file) is Origin.FIRST_PARTY
            known = known and not file.startswith(_OWN_DIRECTORY)
            self._is_code_of_theirs[file] = known
        return known

    def _find_importer(self, asker: Importer) -> Importer:
        """Return the users' own statement that imports; a library asks in the name of somebody."""
        if self._is_theirs(asker.file):
            return asker
        frame = calling_frame()
        while frame is not None:
            file = frame.f_code.co_filename
            if file.endswith(".py") and self._is_theirs(file):
                return Importer(str(frame.f_globals.get("__name__")), file, frame.f_lineno or 0)
            frame = frame.f_back
        return asker

    # What is found

    def record(self, leak: Leak, worst: str = ERROR, change: SingleChange | None = None) -> None:
        """Add a leak; note who meets it from now on, if it is an error.

        Args:
            leak: what was found.
            worst: the highest severity that it can have.
            change: the change, if there is one that others can meet.
        """
        if leak.kind == "loaded":
            self._first.setdefault(leak.name, leak.polluter)
            self._imported.append(leak.name)
        if worst == WARNING and leak.severity == ERROR:
            leak = leak._replace(severity=WARNING)
        if leak.severity == ERROR and change is not None and change.what in ("entry", "attribute"):
            self._arm(change, leak, len(self.leaks))
        self.leaks.append(leak)

    def record_taints(self, by: Polluter, worst: str) -> None:
        """Add the modules that were imported since the last boundary while something was faked or blocked.

        Args:
            by: who imported them.
            worst: see :meth:`record`.
        """
        found = [*self._exposures.taints, *self._infer_taints()]
        taints = {taint.module: taint for taint in reversed(found)}
        self._exposures.taints.clear()
        self._imported.clear()
        self._unobserved.clear()
        for name, taint in reversed(taints.items()):
            module = sys.modules.get(name)
            if module is self._found(name):
                continue  # a second copy was executed, and the first is back
            if name in self._first and not is_initializing(module):
                leak = leak_of_taint(taint, by, self.first_imports)
                self.record(leak, worst, SingleChange("entry", name, ABSENT, module))

    def _infer_taints(self) -> Iterator[Taint]:
        """Yield the modules that hold a fake which nobody saw being placed, or something of it."""
        parts = {id(part): hazard for hazard in self._unobserved for part in _parts_of(hazard.change.after)}
        for name in self._imported if parts else []:
            for value in list((namespace(sys.modules.get(name)) or {}).values()):
                hazard = parts.get(id(value))
                if hazard is not None and hazard.name != name:
                    yield Taint(name, hazard.name, hazard)
                    break

    def _arm(self, change: SingleChange, leak: Leak, number: int | None = None) -> None:
        if not self._exposes:
            return
        taints = leak.kind in _TAINTING and not is_real(change.key, change.after, self._origins)
        hazard = self._exposures.arm(change, leak.polluter, taints=taints)
        if number is not None:
            hazard.confirm(number, leak.polluter)
            if taints and (leak.location is None or not leak.location.exact):
                self._unobserved.append(hazard)

    def _changed(self, changes: list[SingleChange], trail: Trail) -> None:
        """Take note of what a statement has just changed, before anybody can meet it."""
        here = self.here
        if here is None or here.phase not in _TESTING:
            return
        self._seen.update({change.place: (id(change.after), here.phase) for change in changes})
        for change in changes:
            if change.what == "path" and change.before is ABSENT and type(change.after) is str:
                self.expect(Path(change.after), str(self._root / here.nodeid.partition("::")[0]))
            elif change.what == "entry":
                self._changed_entry(change, here)
        self._exposures.settle([change.key for change in changes])  # a statement may have undone something

    def _changed_entry(self, change: SingleChange, here: Polluter) -> None:
        # What was there before the test counts, not what was there a moment ago.
        change = change._replace(before=self._found(change.key))
        if change.after is change.before or self._is_own(change) or is_first_import(change, self._origins):
            return
        leak = self.judge.leak(change, here)
        if leak is not None and leak.severity == ERROR:
            self._arm(change, leak)

    def _clashed(self, clash: Clash) -> None:
        here = self.here
        if here is None:
            return
        if clash.adder is None:
            polluter = self._first.get(clash.name, Polluter("", "configure"))
        else:
            polluter = Polluter(self.places.shorten(clash.adder), "collect")
        if polluter.nodeid == here.nodeid:
            return  # two directories of one test's own
        change = SingleChange("entry", clash.name, ABSENT, sys.modules.get(clash.name))
        hazard = Hazard(change, polluter, taints=False)
        hazard.leak = len(self.leaks)
        hazard.meet(Exposure(here.nodeid, here.phase, clash.importer.file, clash.importer.line, "unknown"))
        self._exposures.add(hazard)
        self.leaks.append(leak_of_clash(clash, polluter, self.places, self.first_imports))

    # Who met it

    def note_outcome(
        self, nodeid: str, phase: str, outcome: str, holders: Iterable[tuple[str, dict[str, Any]]] = ()
    ) -> list[Met]:
        """Take note of what a phase of a test, or the collection of a file, came to.

        Args:
            nodeid: the test or file.
            phase: of the run.
            outcome: see :meth:`.exposures.Exposures.note_outcome`.
            holders: names and namespaces in which objects of an older execution of a module may be held.

        Returns:
            For a failure, the leaks that were met.
        """
        self._exposures.note_outcome(nodeid, phase, outcome)
        if outcome not in FAILURES:
            return []
        return [
            Met(
                leak,
                self._shortened(exposure),
                exposure.phase == "collect" and phase != "collect",
                state_with_holdings(leak.name, holders),
            )
            for hazard, exposure in self._exposures.of(nodeid)
            if hazard.leak is not None and not (leak := self.leaks[hazard.leak]).contained
        ]

    def loaded_before(self, names: Iterable[str], nodeid: str) -> list[Leak]:
        """Return the records of those modules that somebody else than this test imported first."""
        wanted = {name for name in names if name in self._first and self._first[name].nodeid != nodeid}
        return [leak for leak in self.leaks if leak.kind == "loaded" and leak.name in wanted]

    def testimony(self) -> tuple[Leak, ...]:
        """Return all leaks with those who were exposed to them."""
        met = self._exposures.by_leak()
        return tuple(
            leak._replace(exposed=tuple(map(self._shortened, met.get(number, ()))))
            for number, leak in enumerate(self.leaks)
        )

    def _shortened(self, exposure: Exposure) -> Exposure:
        return exposure._replace(file=self.places.shorten(exposure.file))


def _parts_of(fake: object) -> Iterator[object]:
    """Yield a fake, and what a module can have taken from it: classes, functions, mocks."""
    if fake is None:
        return
    yield fake
    own = namespace(fake) or {}
    children = own.get("_mock_children")  # a Mock keeps its attributes there
    yield from list(children.values()) if isinstance(children, dict) else []
    for value in list(own.values()):
        if isinstance(value, (type, FunctionType)) and value.__module__ == own.get("__name__"):
            yield value
