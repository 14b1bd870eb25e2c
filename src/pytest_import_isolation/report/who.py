"""Who imported a module first, and who met what was left of it."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_import_isolation.report.lines import Line
from pytest_import_isolation.report.records import Leak, Report, more_of_first_import
from pytest_import_isolation.report.text import place_of, polluter_of
from pytest_import_isolation.wording import count, suggestion


def who(report: Report, name: str) -> Iterator[Line]:
    """Yield the answer as lines of text.

    Args:
        report: what is known.
        name: a module; its submodules are meant too where leaks are told.
    """
    loaded = [leak for leak in report.leaks if leak.kind == "loaded" and leak.name == name]
    leaks = [
        leak
        for leak in report.leaks
        if leak.kind != "loaded" and (leak.name == name or leak.name.startswith(f"{name}."))
    ]
    for leak in loaded:
        yield Line(
            f"{name} was first imported {polluter_of(leak)}{place_of(leak)}{more_of_first_import(leak)}"
        )
        if len(leak.chain) > 1:
            yield from (Line(f"    {link.file}:{link.line} imported {link.module}") for link in leak.chain)
    for leak in leaks:
        yield from _leak(leak)
    if not leaks and not loaded:
        known = {leak.name for leak in report.leaks if leak.kind == "loaded"}
        yield Line(
            f"{name}: no import and no leak of it was seen{suggestion(name, known)}; "
            "it was loaded before the run began to watch, or never"
        )
    elif not loaded:
        yield Line(f"{name}: no first import was seen; it was loaded before the run began to watch, or never")


def _leak(leak: Leak) -> Iterator[Line]:
    decision = " (contained)" if leak.contained else " (allowed)" if leak.allowed else ""
    yield Line(
        f"{leak.severity}: {leak.kind} {leak.name}{decision} {polluter_of(leak)}{place_of(leak)}",
        leak.severity,
    )
    yield Line(f"    {leak.detail}")
    if leak.exposed:
        yield Line(f"    imported after that, {count(len(leak.exposed), 'time')}:")
    for exposure in leak.exposed:
        yield Line(
            f"        {exposure.nodeid} ({exposure.phase}), at {exposure.file}:{exposure.line}: "
            f"{exposure.outcome}"
        )
