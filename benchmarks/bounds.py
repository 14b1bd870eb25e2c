"""The ratios that matter: what they are meant to be, and where the check of continuous integration fails."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final

from benchmarks.paired import Spread


@dataclass(frozen=True)
class Bound:
    """One figure of a benchmark."""

    #: The benchmark, and the name that it gives the figure.
    benchmark: str
    figure: str
    #: What is meant to be reached.
    goal: float
    #: What fails the check: twice the goal, or twice as far from 1 where 1 is the best there can be.
    limit: float
    #: Whether more is better.
    at_least: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What names the figure."""
        return self.benchmark, self.figure

    def holds(self, measured: Spread) -> bool:
        """Tell whether the check accepts a figure: it does unless three of four rounds are beyond the bound."""
        return measured.high >= self.limit if self.at_least else measured.low <= self.limit

    def reached(self, measured: Spread) -> bool:
        """Tell whether a figure is what it is meant to be."""
        return measured.median >= self.goal if self.at_least else measured.median <= self.goal


# CPython 3.14 and later do not count the changes of dictionaries: to compare their tables takes longer. The goals
# were set for both.
_HAS_VERSIONS: Final = sys.version_info < (3, 14)

BOUNDS: Final = (
    # Two looks at what modules hold are most of it.
    Bound("window", "nothing changed, 2,000 modules, times dict()", 12, 20 if _HAS_VERSIONS else 80),
    Bound("window", "20 foreign modules, 2,000 modules, times naive", 1, 2),
    # Not reached with the report: its limits are about twice as far from 1 as what is measured, and not as the
    # goals. The time of a run of pytest varies by some percent besides.
    Bound("trivial", "off, 600 modules, times plain", 1.01, 1.10),
    Bound("trivial", "report, 600 modules, times plain", 1.05, 1.30),
    Bound("trivial", "=test, 600 modules, times plain", 1.15, 1.40 if _HAS_VERSIONS else 1.60),
    Bound("trivial", "off, 1,500 modules, times plain", 1.01, 1.10),
    Bound("trivial", "report, 1,500 modules, times plain", 1.10, 1.30 if _HAS_VERSIONS else 1.60),
    Bound("trivial", "=test, 1,500 modules, times plain", 1.25, 1.50 if _HAS_VERSIONS else 2.0),
    Bound("trivial", "contents, report, 600 modules, times off", 1.02, 1.04),
    Bound("trivial", "contents, =test, 600 modules, times off", 1.03, 1.06),
    Bound("trivial", "contents, report, no versions, 600 modules, times off", 1.06, 1.12),
    Bound("app", "=test, times naive", 1 / 15, 2 / 15),
    Bound("app", "=test, times executing the app", 1.5, 2.0),
    # The first return of a package looks once at all that its modules hold: what they use comes back with them.
    Bound("parked", "first import, times second", 120, 60, at_least=True),
    # The code is read once, and each import is noted: the first gains what the second takes.
    Bound("fresh", "importlib, times fresh_import", 1.4, 1.0, at_least=True),
    Bound("load", "modules", 25, 50),
    Bound("load", "milliseconds", 15, 30),
)
