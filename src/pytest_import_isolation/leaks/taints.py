"""Modules that were imported first while something was faked or blocked, and keep what they made of that."""

from __future__ import annotations

import sys
from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any, Final

from pytest_import_isolation.leaks.entries import has_private_name
from pytest_import_isolation.leaks.exposures import Exposures
from pytest_import_isolation.leaks.first_imports import FirstImports
from pytest_import_isolation.leaks.places import Places
from pytest_import_isolation.leaks.reachable_imports import importers_at_top
from pytest_import_isolation.leaks.touched import parts_of
from pytest_import_isolation.leaks.user_code import UserCode
from pytest_import_isolation.leaks.watched_changes import Taint, WatchedChange
from pytest_import_isolation.machinery.modules import ABSENT, is_initializing, namespace, spec_of
from pytest_import_isolation.machinery.on_disk import lies_on_disk
from pytest_import_isolation.report.records import Leak, Location, Polluter, make_leak
from pytest_import_isolation.state.origins import describe

#: Kinds of leaks that a module which is imported meanwhile keeps something of.
TAINTING: Final = ("fake-left", "blocked-left", "replaced")


class Taints:
    """Finds the modules that are tainted.

    Args:
        exposures: knows which modules asked for a fake while they were imported.
        code: the users' own code.
        first_imports: tells where a module was imported.
        places: finds the statements.
        entry_before: returns what an entry of ``sys.modules`` was at the last boundary, ABSENT for nothing.
    """

    def __init__(
        self,
        exposures: Exposures,
        code: UserCode,
        first_imports: FirstImports,
        places: Places,
        entry_before: Callable[[Any], object],
    ) -> None:
        self._exposures = exposures
        self._code = code
        self._first_imports = first_imports
        self._places = places
        self._entry_before = entry_before
        # Since the last boundary: what was imported first, and fakes whose statement was not observed.
        self._imported: list[str] = []
        self._unobserved: list[WatchedChange] = []

    def __bool__(self) -> bool:
        """Whether anything happened since the last boundary that may have tainted a module."""
        return bool(self._exposures.taints or self._imported or self._unobserved)

    def note_import(self, name: str) -> None:
        """Take note of a module that was imported for the first time."""
        self._imported.append(name)

    def note_unobserved(self, fake: WatchedChange) -> None:
        """Take note of a fake or block that was there before anybody could watch who asks for it."""
        self._unobserved.append(fake)

    def reach(self, tainted: WatchedChange, first: Mapping[str, Polluter]) -> None:
        """Let who imports a module that took something of a tainted one meet that.

        Args:
            tainted: that the tainted module is there.
            first: the first importers of all modules.
        """
        by = first.get(tainted.name)
        if by is not None:
            # Who was executed before it asked for another copy, and who is executed later asks anew.
            among = [name for name, importer in first.items() if importer.nodeid == by.nodeid]
            self._exposures.reach(tainted, importers_at_top(tainted.name, among, self._code.has_source))

    def take(self, first: Container[str]) -> Iterator[Taint]:
        """Yield the modules that were tainted since the last boundary.

        Args:
            first: the modules whose first import was seen.
        """
        found = [taint for taint in (*self._exposures.taints, *self._inferred()) if taint.is_of_now]
        taints = {taint.module: taint for taint in reversed(found)}
        self._exposures.taints.clear()
        self._imported.clear()
        self._unobserved.clear()
        for name, taint in reversed(taints.items()):
            module, before = sys.modules.get(name), self._entry_before(name)
            if module is before:
                continue  # a second copy was executed, and the first is back
            if name in first and not is_initializing(module) and not has_private_name(name, module):
                yield taint

    def leak_of_kept(self, name: str, fake: str, why: str, by: Polluter) -> Leak:
        """Return the leak of a module that a test had executed with a fake of its own, and that stays.

        Args:
            name: the module.
            fake: what it asked for.
            why: what refers to it.
            by: the test.
        """
        first = self._first_imports.leak(name, by)
        detail = f"It was first imported while {fake} was faked or blocked, and stays after that: {why}."
        return make_leak(
            "tainted", name, by, detail, location=first.location, chain=first.chain, case="tainted-by-mark"
        )

    def _inferred(self) -> Iterator[Taint]:
        """Yield the modules that hold a fake which nobody saw being placed, or something of it."""
        parts = {id(part): fake for fake in self._unobserved for part in parts_of(fake.change.after)}
        for name in self._imported if parts else []:
            module = sys.modules.get(name)
            for value in list((namespace(module) or {}).values()):
                fake = parts.get(id(value))
                if fake is not None and fake.name != name:
                    yield Taint(name, fake.name, fake, spec_of(module))
                    break

    def leak(self, taint: Taint, by: Polluter, decider: Polluter | None = None) -> Leak:
        """Return the leak that a tainted module is.

        Args:
            taint: the module.
            by: who imported it.
            decider: the conftest or plugin that answers for the fake: who imports a module there does
                nothing wrong.
        """
        left_by, after = taint.watched.polluter, taint.watched.change.after
        first = self._first_imports.leak(taint.module, by)
        if decider is not None:
            return self._leak_of_decider(taint, decider, by, first.location)
        whose = "" if by.nodeid == left_by.nodeid else f", left by {left_by.nodeid or 'the test run'}"
        state = ("blocked" if after is None else describe(after)) + whose
        detail = f"It was first imported while {taint.watched.name} was {state}, and still depends on that."
        return make_leak(
            "tainted",
            taint.module,
            by,
            detail,
            location=first.location,
            chain=first.chain,
            case="tainted-by-others" if whose else _case(taint.watched),
        )

    def _leak_of_decider(
        self, taint: Taint, decider: Polluter, by: Polluter, location: Location | None
    ) -> Leak:
        fake = taint.watched.change
        at = by.nodeid if location is None else f"{location.file}:{location.line}"
        name, state = taint.watched.name, "blocked" if fake.after is None else describe(fake.after)
        return make_leak(
            "tainted",
            taint.module,
            decider,
            f"It was first imported at {at}, while {name} was {state}, and still depends on that.",
            location=self._places.of(fake, decider, name).location,
            case="tainted-by-decision",
        )


def _case(fake: WatchedChange) -> str | None:
    """Return the special case of a taint: by a block, or by a fake of what cannot be imported without it."""
    if fake.change.after is None:
        return "tainted-by-block"
    return None if fake.change.before is not ABSENT or lies_on_disk(fake.name) else "tainted-by-stand-in"
