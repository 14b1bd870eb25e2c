"""What was found out about a test, as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pytest_import_isolation.machinery.named_tuples import NamedTuple

POLLUTED: Final = "polluted"
NEEDS_OTHERS: Final = "needs-others"
FAILS_ALONE: Final = "fails-alone"
PASSES_IN_WHOLE: Final = "passes-in-whole"
FLAKY: Final = "flaky"
UNPROVEN: Final = "unproven"

SUSPECT: Final = "suspect"
BISECTION: Final = "bisection"


class Cure(NamedTuple):
    """An option or a mark that was tried on the shortest run."""

    option: str
    works: bool


class Verdict(NamedTuple):
    """Why a test has another outcome in the whole run than alone."""

    victim: str
    verdict: str
    #: Node ids or files, in the order in which they are executed.
    polluters: tuple[str, ...] = ()
    #: How they were found: ``suspect`` or ``bisection``.
    by: str | None = None
    #: File and line of the statement that did it, if a report names one.
    location: tuple[str, int] | None = None
    #: The shortest pytest command that shows it.
    command: str | None = None
    cures: tuple[Cure, ...] = ()
    #: Whether the failures that were compared are of one kind.
    same_error: bool = True
    runs: int = 0
    #: Sentences that only the text has.
    remarks: tuple[str, ...] = ()

    @property
    def is_proven(self) -> bool:
        """Whether it is known who changes the outcome."""
        return self.verdict in (POLLUTED, NEEDS_OTHERS)

    def as_builtins(self) -> dict[str, Any]:
        """Return it as dictionaries, lists, strings, numbers, booleans and None."""
        location = None if self.location is None else dict(zip(("file", "line"), self.location, strict=True))
        return {
            "victim": self.victim,
            "verdict": self.verdict,
            "polluters": list(self.polluters),
            "by": self.by,
            "location": location,
            "command": self.command,
            "cures": [cure._asdict() for cure in self.cures],
            "same_error": self.same_error,
            "runs": self.runs,
        }


def names_of(units: Sequence[Any]) -> str:
    """Return the names of units, as a sentence has them."""
    return " and ".join(unit.name for unit in units)
