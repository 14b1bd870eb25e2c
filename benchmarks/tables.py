"""What a benchmark found, as data, and how it is shown: on a terminal and in RESULTS.md."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.paired import Spread


@dataclass(frozen=True)
class Table:
    """Rows of texts; the first column names the row."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """What one benchmark found."""

    name: str
    #: What was run, and which time was taken.
    about: str
    tables: tuple[Table, ...]
    #: What could not be measured, and why.
    missing: tuple[str, ...] = ()
    #: The ratios that :mod:`benchmarks.bounds` knows, by their names there.
    ratios: Mapping[str, Spread] = field(default_factory=dict)
    #: The distributions it is about, whose versions matter.
    distributions: tuple[str, ...] = ()


def seconds(value: float) -> str:
    """Return a time with three digits and a unit that suits it."""
    for factor, unit in ((1, "s"), (1e3, "ms")):
        if value * factor >= 1:
            return f"{_three_digits(value * factor)} {unit}"
    return f"{_three_digits(value * 1e6)} us"


def times(spread: Spread) -> str:
    """Return the median of ratios with its quartiles."""
    return f"{_ratio(spread.median)} ({_ratio(spread.low)}-{_ratio(spread.high)})"


def _ratio(value: float) -> str:
    return f"{value:.3f}" if 0 < abs(value) < 0.1 else _three_digits(value)


def _three_digits(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def terminal(table: Table) -> str:
    """Return a table in aligned columns, numbers to the right."""
    rows = [table.columns, *table.rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(table.columns))]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        ).rstrip()
        for row in rows
    ]
    return "\n".join([table.title, *(f"  {line}" for line in lines)])


def markdown(section: Section, measured_on: str) -> str:
    """Return a section of RESULTS.md.

    Args:
        section: what to show.
        measured_on: versions and machine, since sections may be measured at different times.

    Returns:
        The text, which begins with a heading and ends with a newline.
    """
    blocks = [f"## {section.name}", section.about, measured_on]
    for table in section.tables:
        blocks.append(f"**{table.title}**")
        blocks.append(
            "\n".join(
                f"| {' | '.join(row)} |"
                for row in [table.columns, ("---", *("---:",) * (len(table.columns) - 1)), *table.rows]
            )
        )
    if section.missing:
        blocks.append("\n".join(f"- Not measured: {text}" for text in section.missing))
    return "\n\n".join(blocks) + "\n"


def merged(old: str, head: str, new: Mapping[str, str], order: Sequence[str]) -> str:
    """Put new sections into the text of RESULTS.md.

    Args:
        old: the text so far, or nothing.
        head: what comes before the first section.
        new: texts of sections by name.
        order: the names of all sections; what it does not name is left out.

    Returns:
        The new text.
    """
    parts = re.split(r"^(?=## )", old, flags=re.MULTILINE)[1:]
    kept = {part.splitlines()[0].removeprefix("## ").strip(): part.strip() + "\n" for part in parts}
    sections = {**kept, **new}
    return "\n".join([head.strip() + "\n", *(sections[name] for name in order if name in sections)])
