"""Compares the ratios that matter with their bounds, for continuous integration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from benchmarks.bounds import Bound
from benchmarks.paired import Spread
from benchmarks.tables import Table, times

#: How many times as many rounds what exceeded its bound gets before that counts.
PATIENCE = 3

#: From a benchmark's name, and how patient it is to be, to its figures by name.
Measure = Callable[[str, int], Mapping[str, Spread]]

Figures = Mapping[tuple[str, str], Spread]


def figures(bounds: Sequence[Bound], measure: Measure, say: Callable[[str], None]) -> Figures:
    """Measure what the bounds are about, and once more, with more rounds, what does not hold.

    Args:
        bounds: what is compared.
        measure: runs a benchmark.
        say: is told what is done.

    Returns:
        The figures that were found, by benchmark and name; what a benchmark did not measure is not there.
    """
    found = _measured(bounds, measure, 1)
    exceeding = [bound for bound in bounds if bound.key in found and not bound.holds(found[bound.key])]
    if exceeding:
        names = ", ".join(dict.fromkeys(bound.benchmark for bound in exceeding))
        say(f"beyond a bound, so measured again with {PATIENCE} times as many rounds: {names}")
        found.update(_measured(exceeding, measure, PATIENCE))
    return found


def _measured(bounds: Sequence[Bound], measure: Measure, patience: int) -> dict[tuple[str, str], Spread]:
    found = {}
    for name in dict.fromkeys(bound.benchmark for bound in bounds):
        found.update({(name, figure): spread for figure, spread in measure(name, patience).items()})
    return found


def verdicts(bounds: Iterable[Bound], found: Figures) -> Table:
    """Return the table of what was measured, beside goals and bounds."""
    rows = []
    for bound in bounds:
        if bound.key not in found:
            continue
        measured = found[bound.key]
        verdict = (
            "BEYOND THE BOUND"
            if not bound.holds(measured)
            else ""
            if bound.reached(measured)
            else "not the goal"
        )
        word = "at least" if bound.at_least else "at most"
        rows.append(
            (
                f"{bound.benchmark}: {bound.figure}",
                times(measured),
                f"{word} {bound.goal:.3g}",
                f"{bound.limit:.3g}",
                verdict,
            )
        )
    return Table("Key ratios", ("", "measured", "goal", "bound", ""), tuple(rows))
