"""From changes of the import state to leaks: every change is judged alone."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Collection, Container, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Final

from pytest_import_isolation.leaks.clashes import Clash
from pytest_import_isolation.leaks.exposures import Taint
from pytest_import_isolation.leaks.places import Places
from pytest_import_isolation.machinery.frames import Importer
from pytest_import_isolation.machinery.modules import ABSENT, home_of, namespace, parent_of, top_level
from pytest_import_isolation.parking.belongings import item_text, owner_of
from pytest_import_isolation.parking.evicted import evicted_modules
from pytest_import_isolation.report.records import (
    ERROR,
    WARNING,
    Leak,
    Link,
    Location,
    Polluter,
    first_import_detail,
    make_leak,
)
from pytest_import_isolation.state.origins import Origin, Origins, describe
from pytest_import_isolation.state.single_changes import SAME_CONTENTS, SingleChange
from pytest_import_isolation.watching.import_log import ImportLog, Reload
from pytest_import_isolation.wording import listing

_LIST_KINDS: Final = {"path": "path", "meta_path": "finder", "path_hooks": "hook"}
_MOST_HOLDERS: Final = 5


class Judge:
    """Turns single changes into leaks.

    Args:
        origins: gives the verdicts on modules.
        log: who imported what first.
        places: finds the statements.
    """

    def __init__(
        self,
        origins: Origins,
        log: ImportLog,
        places: Places | None = None,
    ) -> None:
        self._origins = origins
        self._log = log
        self._places = places or Places(Path())
        self._names_by_file: dict[str, list[str]] = {}

    def leak(self, change: SingleChange, polluter: Polluter) -> Leak | None:
        """Return the leak that an change is, or None for a change that harms nobody."""
        if change.what == "entry":
            return self._entry(change, polluter)
        if change.what == "attribute":
            return self._attribute(change, polluter)
        if change.what == "rebound":
            return self._rebound(change, polluter)
        return self._item(change, polluter)

    def _rebound(self, change: SingleChange, polluter: Polluter) -> Leak:
        # A list with the same contents harms only those who hold the old one; nltk does it when imported.
        same = change.before is SAME_CONTENTS
        what = "another object than before, with the same contents" if same else "another object than before"
        detail = f"{change.key} is {what}; code that holds the old one sees no changes."
        leak = self._leak("rebound", change, polluter, detail)
        return leak._replace(severity=WARNING) if same else leak

    def is_first_import(self, change: SingleChange) -> bool:
        """Tell whether an change is a real module that was not loaded before."""
        return change.what == "entry" and change.before is ABSENT and self.is_real(change.key, change.after)

    # Entries of sys.modules

    def _entry(self, change: SingleChange, polluter: Polluter) -> Leak | None:
        name, before, after = change.key, change.before, change.after
        was_real = before is not ABSENT and self.is_real(name, before)
        if after is ABSENT:
            if not was_real:
                return None  # somebody cleaned up
            return self._leak(
                "removed",
                change,
                polluter,
                "It was loaded, and its entry is gone: the next import loads a second copy.",
            )
        if after is None:
            return self._leak(
                "blocked-left",
                change,
                polluter,
                "Its entry in sys.modules is None: every import of it fails.",
            )
        if self.is_real(name, after):
            if not was_real or self._replaced_itself(name, after):
                return self.first_import(name, polluter) if before is ABSENT else None
            detail = (
                f"Its entry in sys.modules was {describe(before)} and is {self._second(before, after)} now."
            )
            return self._leak("replaced", change, polluter, detail)
        if before is ABSENT or not was_real:
            if polluter.phase == "configure" and not _can_be_imported(name):
                return (
                    None  # coverage keeps an object there, $coverage.debug..., to have it once in a process
                )
            return self._leak(
                "fake-left",
                change,
                polluter,
                f"Its entry in sys.modules is {describe(after)}: every later import gets that.",
            )
        return self._leak(
            "replaced",
            change,
            polluter,
            f"Its entry in sys.modules was {describe(before)} and is {describe(after)} now.",
        )

    def is_real(self, name: object, module: object) -> bool:
        """Tell whether an entry is what an import makes, and no fake."""
        if self._origins.verdict(name, module).origin is Origin.FAKE:
            return False
        # sys.modules["ujson"] = json: the import system gives a top-level module no name but its own.
        own_name = (namespace((namespace(module) or {}).get("__spec__")) or {}).get("name")
        is_second_name = type(own_name) is str and own_name != name and sys.modules.get(own_name) is module
        if not is_second_name or type(name) is not str or "." in name or name.startswith("__"):
            return True
        # Cython enters a module of a package under its last name, too.
        return str(own_name).rpartition(".")[2] == name and self._origins.verdict(name, module).is_extension

    def _replaced_itself(self, name: object, after: object) -> bool:
        """Tell whether a library put a stand-in for a module of its own into its place."""
        home = type(after).__module__
        return (
            type(after) is not ModuleType
            and isinstance(home, str)
            and isinstance(name, str)
            and top_level(home) == top_level(name)
        )

    def _second(self, before: object, after: object) -> str:
        file = (namespace(after) or {}).get("__file__")
        if file is not None and file == (namespace(before) or {}).get("__file__"):
            return "a second copy of it"
        return describe(after)

    def _leak(
        self, kind: str, change: SingleChange, polluter: Polluter, detail: str, name: str | None = None
    ) -> Leak:
        if name is None:
            name = change.key if isinstance(change.key, str) else repr(change.key)
        location, chain = self._places.of(change, polluter, name)
        return make_leak(kind, name, polluter, detail, location=location, chain=chain)

    def first_import(self, name: str, polluter: Polluter) -> Leak:
        """Return the record of a module's first import, with the chain that led there."""
        steps = list(self._log.chain(name)) if isinstance(name, str) else []
        location = None
        if steps:
            importer = steps[0][1]
            location = Location(self._places.shorten(importer.file), importer.line, exact=True)
        # How pytest came to import the test file is nobody's question.
        theirs = itertools.dropwhile(lambda step: not self._is_theirs(*step), reversed(steps))
        links = list(theirs) or list(reversed(steps))
        chain = [Link(module, self._places.shorten(by.file), by.line) for module, by in links]
        thread = self._log.threads.get(name)
        more = f", by the thread {thread.name!r}" if thread else ""
        lazy = self._log.lazily.get(name)
        if lazy is not None:
            more += f", which resolved the lazy import at {self._places.shorten(lazy.file)}:{lazy.line}"
        detail = first_import_detail(name, more)
        return make_leak("loaded", str(name), polluter, detail, location=location, chain=chain)

    # Attributes of packages

    def _attribute(self, change: SingleChange, polluter: Polluter) -> Leak | None:
        entry = sys.modules.get(change.key, ABSENT)
        # A mismatch that was there before is the library's own affair; only the transition counts.
        if entry is not change.before or entry is change.after:
            return None
        parent, child = parent_of(change.key)
        now = "it is gone" if change.after is ABSENT else f"it is {describe(change.after)} now"
        detail = (
            f"The attribute {child} of {parent} was the module in sys.modules, and {now}: "
            f"'import {change.key}' and '{change.key}' give different objects."
        )
        return self._leak("stale-attribute", change, polluter, detail)

    # Lists of sys

    def _item(self, change: SingleChange, polluter: Polluter) -> Leak | None:
        if change.key == "order":
            if change.what != "path":
                return None
            detail = "sys.path holds the same entries in another order."
            return self._leak("path-moved", change, polluter, detail, "sys.path")
        added = change.before is ABSENT
        item = change.after if added else change.before
        if added and self._installed_by_library(change.what, item):
            return None
        kind = f"{_LIST_KINDS[change.what]}-{'added' if added else 'removed'}"
        text = item_text(item)
        detail = f"It was {'added to' if added else 'removed from'} sys.{change.what}."
        return self._leak(kind, change, polluter, detail, text)

    def _installed_by_library(self, list_name: str, item: object) -> bool:
        """Tell whether an installed package put the item there for itself, when it was imported."""
        packages = {
            name: module
            for name, module in sys.modules.copy().items()
            if type(name) is str and "." not in name
        }
        owner = owner_of(list_name, item, packages)
        return owner is not None and self._origins.verdict(owner, packages[owner]).origin is Origin.FOREIGN

    # What leaves no difference, or another one than it is

    def evicted(self, names: Iterable[str], polluter: Polluter) -> Iterator[Leak]:
        """Yield the foreign modules that tests imported and that are gone, though nobody restored anything.

        Args:
            names: modules that were asked for since the last time.
            polluter: who asked.
        """
        evicted = evicted_modules(names, self._log, self._origins)
        alive = {name for name in evicted if self._tests_asked(name)}
        for package in sorted({top_level(name) for name in alive}):
            lost = sorted(name for name in alive if top_level(name) == package)
            location, chain = self._places.of_removal(polluter, lost[0])
            yield make_leak(
                "evicted",
                lost[0],
                polluter,
                f"{_with_others(lost)} first imported here, and no entry is left: "
                "the next import executes a second copy.",
                location=location
                or self._places.guess(polluter, "modules", package)
                or self._asked_at(lost[0]),
                chain=chain,
            )

    def _is_theirs(self, module: str, importer: Importer) -> bool:
        return self._origins.of_file(importer.module, importer.file) is Origin.FIRST_PARTY

    def _tests_asked(self, name: str) -> bool:
        """Tell whether first-party code stands in the chain that led to a module.

        If none does, it is a plugin's own: an inner pytest run throws out what its plugins imported.
        """
        return any(self._is_theirs(*step) for step in self._log.chain(name))

    def _asked_at(self, name: str) -> Location | None:
        importer = self._log.importers.get(name)
        return (
            None
            if importer is None
            else Location(self._places.shorten(importer.file), importer.line, exact=False)
        )

    def reloaded(self, reload: Reload, polluter: Polluter) -> Leak:
        """Return the record of a reload in place, with the modules that hold objects of the old execution."""
        name, importer, module, before = reload
        now = namespace(module) or {}
        old = {
            id(value)
            for key, value in before.items()
            if (home := home_of(value)) is not None and home[0] == name and now.get(key) is not value
        }
        holders = list(self._holders(old, module)) if old else []
        detail = f"{name} was executed again in place."
        if holders:
            detail = (
                f"{name} was executed again in place, but objects of the old execution are still held by "
                f"{listing(holders, _MOST_HOLDERS)}."
            )
        location = None
        if importer is not None:
            location = Location(self._places.shorten(importer.file), importer.line, exact=True)
        severity = ERROR if holders else None
        return make_leak("reloaded", name, polluter, detail, location=location, severity=severity)

    def _holders(self, old: Collection[int], reloaded: object) -> Iterator[str]:
        for name, module in sys.modules.copy().items():
            if module is reloaded or type(name) is not str:
                continue
            for key, value in list((namespace(module) or {}).items()):
                if id(value) in old:
                    yield f"{name}.{key}"

    def tainted(self, taint: Taint, polluter: Polluter, by: Polluter) -> Leak:
        """Return the record of a module that was first imported while something was faked or blocked.

        Args:
            taint: what asked for what.
            polluter: who made the fake or block.
            by: who imported the module.
        """
        first = self.first_import(taint.module, by)
        who = "" if by.nodeid == polluter.nodeid else f" by {by.nodeid}"
        after = taint.hazard.change.after
        state = "blocked" if after is None else f"{describe(after)}"
        detail = (
            f"It was imported for the first time{who} while {taint.hazard.name} was {state}, "
            "and keeps what it made of that."
        )
        return make_leak(
            "tainted", taint.module, polluter, detail, location=first.location, chain=first.chain
        )

    def clash(self, clash: Clash, polluter: Polluter) -> Leak:
        """Return the record of an import that got a module of the same name from another directory.

        Args:
            clash: what was found.
            polluter: who loaded the other module, or put its directory on the path.
        """
        got, meant = (self._places.shorten(file) for file in (clash.got, clash.meant))
        importer = f"{self._places.shorten(clash.importer.file)}:{clash.importer.line}"
        how = "is loaded already" if clash.adder is None else "lies before it on sys.path"
        detail = f"The import at {importer} means {meant} and gets {got}, which {how}."
        first = self.first_import(clash.name, polluter)
        return make_leak(
            "name-clash", clash.name, polluter, detail, location=first.location, chain=first.chain
        )

    def twice_loaded(self, names: Iterable[str], polluter: Polluter) -> Iterator[Leak]:
        """Yield the first-party files among these modules that are loaded under another name too."""
        files = {name: file for name in names if (file := self._first_party_file(name))}
        for name, file in files.items():
            for other in self._names_with_file(name, file, files):
                module = sys.modules.get(other)
                if other in (name, "__main__") or module is sys.modules.get(name) or _file_of(module) != file:
                    continue
                detail = (
                    f"The file {self._places.shorten(file)} is loaded as {other} and as {name}: "
                    "two modules, two copies of every class."
                )
                step = self.first_import(name, polluter)
                yield make_leak(
                    "twice-loaded", name, polluter, detail, location=step.location, chain=step.chain
                )

    def _names_with_file(self, name: str, file: str, new: Container[str]) -> list[str]:
        """Return the names under which a file was loaded up to now, and note another one.

        Going through all modules for each file would take longer the more of both there are.

        Args:
            name: the name that was loaded now.
            file: its file.
            new: all that was loaded now.
        """
        if not self._names_by_file:
            for other, module in sys.modules.copy().items():
                there = _file_of(module)
                if there is not None and type(other) is str and other not in new:
                    self._names_by_file.setdefault(there, []).append(other)
        known = self._names_by_file.setdefault(file, [])
        if name not in known:
            known.append(name)
        return known

    def _first_party_file(self, name: str) -> str | None:
        module = sys.modules.get(name)
        if module is None or not self._origins.is_first_party(name, module):
            return None
        return _file_of(module)


def _file_of(module: object) -> str | None:
    file = (namespace(module) or {}).get("__file__")
    return file if isinstance(file, str) else None


def _can_be_imported(name: object) -> bool:
    """Tell whether an import statement can have a name."""
    return isinstance(name, str) and all(part.isidentifier() for part in name.split("."))


def _with_others(names: list[str]) -> str:
    if len(names) == 1:
        return "It was"
    return f"It and {len(names) - 1} more modules of its package were"
