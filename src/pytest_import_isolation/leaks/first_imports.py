"""First imports: who asked for a module first, and the chain of imports that led to it."""

from __future__ import annotations

import sys
from typing import TypeAlias

from pytest_import_isolation.leaks.places import Places
from pytest_import_isolation.machinery.frames import Importer
from pytest_import_isolation.machinery.modules import ABSENT, file_of
from pytest_import_isolation.report.records import (
    Leak,
    Link,
    Location,
    Polluter,
    first_import_detail,
    make_leak,
)
from pytest_import_isolation.state.origins import Origin, Origins
from pytest_import_isolation.state.single_changes import SingleChange
from pytest_import_isolation.watching.import_log import LONGEST_CHAIN, ImportLog, Way
from pytest_import_isolation.watching.makers import Maker

_Known: TypeAlias = tuple[tuple[Link, ...], Location | None]


class FirstImports:
    """Tells how modules were imported first.

    Args:
        origins: gives the verdicts on modules.
        log: who imported what first.
        places: shortens file names.
    """

    def __init__(self, origins: Origins, log: ImportLog, places: Places) -> None:
        self._origins = origins
        self._log = log
        self._places = places
        # The ways of modules that were asked for, and how many imports there were then.
        self._known: dict[str, _Known] = {}
        self._number = 0

    def leak(self, name: str, polluter: Polluter) -> Leak:
        """Return the record of a module's first import, with the chain that led there."""
        chain, location = self._way_to(name)
        location = location or self._places.of_text(polluter, str(name))  # it may stand for a key
        thread = self._log.threads.get(name)
        more = f", by the thread {thread.name!r}" if thread else ""
        lazy = self._log.lazily.get(name)
        if lazy is not None:
            more += f", which resolved the lazy import at {self._places.shorten(lazy.file)}:{lazy.line}"
        detail = first_import_detail(name, more)
        return make_leak("loaded", str(name), polluter, detail, location=location, chain=chain)

    def _way_to(self, name: str) -> _Known:
        """Return the chain of a module's last import, and the innermost statement of the users' own in it."""
        if self._log.number != self._number:
            self._number = self._log.number
            self._known.clear()
        waiting: dict[str, Way] = {}
        known: _Known = (), None
        if type(name) is not str:  # no import statement can have it
            return known
        while name in self._log.importers and name not in waiting and len(waiting) < LONGEST_CHAIN:
            if name in self._known:  # many modules are imported by one
                known = self._known[name]
                break
            way = waiting[name] = self._log.last_way(name)
            if not way.goes_on or not way.statements:
                break
            name = way.statements[-1].module
        for module, way in reversed(waiting.items()):
            known = self._known[module] = self._followed(module, way, known)
        return known

    def _followed(self, name: str, way: Way, known: _Known) -> _Known:
        """Return the chain of a module, and so on, given those of the module that its way goes on with."""
        if not way.statements:  # a thread that runs import_module() itself, or other installed code only
            return known
        chain, location = known
        asked = [name, *(by.module for by in way.statements[:-1])]
        for module, by in zip(reversed(asked), reversed(way.statements), strict=True):
            file = self._places.shorten(by.file)
            if self._is_first_party(module, by):
                location = Location(file, by.line, exact=True)
            # How pytest came to import the test file is nobody's question.
            if location is not None:
                chain = (*chain, Link(module, file, by.line))
        return chain, location

    def leak_of_made(self, change: SingleChange, polluter: Polluter, maker: Maker) -> Leak | None:
        """Return the record of an entry that a module made; None for anything else."""
        if change.what != "entry" or change.after is ABSENT or type(change.key) is not str:
            return None
        when = "was called" if maker.is_call else "was executed"
        more = "" if maker.module == change.key else f", made by {maker.module} when that {when}"
        detail = first_import_detail(change.key, more)
        return make_leak("loaded", change.key, polluter, detail, location=self.location(maker.module))

    def location(self, name: str, *, exact: bool = True) -> Location | None:
        """Return the statement of the users' own that made a module be imported, if there is one.

        Of a module that was executed again, it is the last one.

        Args:
            name: the module.
            exact: whether that statement is the one that is looked for.
        """
        _, found = self._way_to(name)
        return found if found is None else found._replace(exact=exact)

    def location_in_tests(self, name: str) -> Location | None:
        """Return the users' own statement that led to a module, if there is one."""
        for module, importer in self._log.chain(name):
            if self._is_first_party(module, importer):
                return Location(self._places.shorten(importer.file), importer.line, exact=True)
        return None

    def asked_by_tests(self, name: str) -> bool:
        """Tell whether first-party code stands in the chain that led to a module.

        If none does, it is a plugin's own: an inner pytest run throws out what its plugins imported.
        """
        return any(self._is_first_party(*step) for step in self._log.chain(name))

    def asked_by_inner_run(self, name: str) -> bool:
        """Tell whether users' code in the chain that led to a module has left with it.

        An inner pytest run loads test files of its own.
        """
        return any(
            self._is_first_party(*step) and file_of(sys.modules.get(step[1].module)) != step[1].file
            for step in self._log.chain(name)
        )

    def _is_first_party(self, module: str, importer: Importer) -> bool:
        return self._origins.of_file(importer.module, importer.file) is Origin.FIRST_PARTY
