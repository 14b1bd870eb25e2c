"""The verdict as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pytest_import_isolation.blame.verdicts import (
    BISECTION,
    FAILS_ALONE,
    FLAKY,
    NEEDS_OTHERS,
    PASSES_IN_WHOLE,
    POLLUTED,
    UNPROVEN,
    Verdict,
)
from pytest_import_isolation.report.lines import Line
from pytest_import_isolation.wording import count, plain

_HEADS: Final = {
    POLLUTED: "{victim} fails because of:",
    NEEDS_OTHERS: "{victim} passes only together with:",
    FAILS_ALONE: "{victim} fails alone, too: no other test is the reason.",
    PASSES_IN_WHOLE: "{victim} has the same outcome in the whole run and alone, and does not fail.",
    FLAKY: "{victim} is flaky: nobody is blamed.",
    UNPROVEN: "{victim} has another outcome in the whole run than alone, and it is not proven why.",
}


def render_verdict(verdict: Verdict) -> Iterator[Line]:
    """Yield the verdict as lines of text."""
    for line in _lines(verdict):
        yield line._replace(text=plain(line.text))


def _lines(verdict: Verdict) -> Iterator[Line]:
    style = "error" if verdict.verdict == POLLUTED else "good" if verdict.verdict == PASSES_IN_WHOLE else ""
    yield Line(_HEADS[verdict.verdict].format(victim=verdict.victim), style)
    for polluter in verdict.polluters:
        yield Line(f"    {polluter}")
    if verdict.location is not None:
        file, line = verdict.location
        yield Line(f"    at {file}:{line}")
    for remark in verdict.remarks:
        yield Line(f"{remark[0].upper()}{remark[1:]}." if not remark.endswith(".") else remark)
    if not verdict.same_error:
        which = "alone" if verdict.verdict == FAILS_ALONE else "so"
        yield Line(f"It fails, by another error, {which}.")
    for cure in verdict.cures:
        yield Line(
            f"{cure.option} {'cures' if cure.works else 'does not cure'} it.", "advice" if cure.works else ""
        )
    if verdict.command is not None:
        yield Line("To see it:")
        yield Line(f"    {verdict.command}")
    by = " by bisection" if verdict.by == BISECTION else ""
    yield Line(
        f"Found{by} in {count(verdict.runs, 'run')}."
        if verdict.is_proven
        else f"{count(verdict.runs, 'run')}."
    )
