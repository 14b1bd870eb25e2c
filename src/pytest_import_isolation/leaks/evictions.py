"""Modules that tests imported and that left ``sys.modules`` again, so that nothing looks different."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from pytest_import_isolation.leaks.first_imports import FirstImports
from pytest_import_isolation.leaks.places import Places
from pytest_import_isolation.machinery.modules import ABSENT, ancestors, top_level
from pytest_import_isolation.machinery.regexes import regex
from pytest_import_isolation.machinery.source_text import text_of
from pytest_import_isolation.parking.evicted import evicted_modules
from pytest_import_isolation.parking.ownership import Ownership, can_be_imported
from pytest_import_isolation.report.records import SECOND_COPY, Leak, Polluter, eviction_detail, make_leak
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.state.single_changes import SingleChange
from pytest_import_isolation.watching.import_log import ImportLog
from pytest_import_isolation.watching.statements import Trail

#: How a statement takes an entry out by itself.
_BY_HAND: Final = regex(r"\bdel\b|\.pop(item)?\(|\.clear\(|\bdelitem\(")


class Evictions:
    """Finds the modules that were evicted.

    Args:
        origins: gives the verdicts on modules.
        log: who imported what first.
        places: finds the statements.
        first_imports: tells who asked for a module.
    """

    def __init__(self, origins: Origins, log: ImportLog, places: Places, first_imports: FirstImports) -> None:
        self._origins = origins
        self._log = log
        self._ownership = Ownership(origins)
        self._places = places
        self._first_imports = first_imports

    def leaks(
        self, names: Iterable[str], polluter: Polluter, is_excused: Callable[[str], bool] = lambda name: False
    ) -> Iterator[Leak]:
        """Yield the foreign modules that tests imported and that are gone, though nobody restored anything.

        Args:
            names: modules that were asked for since the last time.
            polluter: who asked.
            is_excused: tells whether a module was thrown out by somebody who may do that.
        """
        names = frozenset(names)
        evicted = evicted_modules(names, self._log, self._origins)
        alive = {
            name
            for name in evicted
            if can_be_imported(name)
            and self._first_imports.asked_by_tests(name)
            # A library that throws out what it imported a moment ago knows why.
            and not self._ownership.blameless_maker(SingleChange("entry", name, evicted[name], ABSENT))
            and not is_excused(name)
        }
        for package in sorted({top_level(name) for name in alive}, key=self._depth):
            parts = {name for name in alive if top_level(name) == package}
            # A package that nobody holds is no more, and is what was asked for all the same.
            above = {ancestor for name in parts for ancestor in ancestors(name) if ancestor in names}
            lost = sorted(parts | {name for name in above if name not in sys.modules})
            trail = self._places.removal(lost[0])
            location, chain = self._places.of_removal(polluter, lost[0], trail)
            yield make_leak(
                "evicted",
                lost[0],
                polluter,
                eviction_detail(_with_others(lost)),
                location=location
                or self._places.guess(polluter, "modules", package)
                or self._first_imports.location(lost[0], exact=False),
                chain=chain,
                case=_case(trail),
            )

    def _depth(self, name: str) -> tuple[int, str]:
        """Return what is the less the nearer a module is to the statement that led to its import."""
        return sum(1 for _ in self._log.chain(name)), name

    def of_own_victim(self, name: str, polluter: Polluter, trail: Trail | None) -> Leak:
        """Return the record of a module that somebody imported, threw out, and imported again.

        Args:
            name: the module.
            polluter: who did it.
            trail: the statement that was seen to throw it out.
        """
        location, chain = self._places.of_removal(polluter, name, trail)
        detail = "It was first imported here and thrown out, and the next import here executed a second copy."
        return make_leak("evicted", name, polluter, detail, location=location, chain=chain, case=_case(trail))

    def of_other_victim(self, name: str, polluter: Polluter, trail: Trail | None) -> Leak:
        """Return the record of a module of the project that a test imported and threw out.

        Args:
            name: the module.
            polluter: who did it.
            trail: the statement that was seen to throw it out, if one was.
        """
        location, chain = self._places.of_removal(polluter, name, trail)
        return make_leak(
            "evicted", name, polluter, SECOND_COPY, location=location, chain=chain, case=_case(trail)
        )


def _case(trail: Trail | None) -> str | None:
    """Return the special case of an eviction that its statement says, None for that of a block that ends."""
    if trail is None or not trail.steps:
        return None
    at = trail.steps[-1]
    line = text_of(at.file).splitlines()[at.line - 1 : at.line]
    return "evicted-by-hand" if any(map(_BY_HAND.search, line)) else None


def _with_others(names: list[str]) -> str:
    if len(names) == 1:
        return "It was"
    return f"It and {len(names) - 1} more modules of its package were"
