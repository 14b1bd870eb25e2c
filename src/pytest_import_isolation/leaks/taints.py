"""Modules that were imported first while something was faked or blocked, and keep what they made of that."""

from __future__ import annotations

from pytest_import_isolation.leaks.exposures import Taint
from pytest_import_isolation.leaks.first_imports import FirstImports
from pytest_import_isolation.report.records import Leak, Polluter, make_leak
from pytest_import_isolation.state.origins import describe


def leak_of_taint(taint: Taint, by: Polluter, first_imports: FirstImports) -> Leak:
    """Return the record of a module that was first imported while something was faked or blocked.

    Args:
        taint: what asked for what.
        by: who imported the module.
        first_imports: tells where it was imported.
    """
    polluter, after = taint.hazard.polluter, taint.hazard.change.after
    first = first_imports.leak(taint.module, by)
    who = "" if by.nodeid == polluter.nodeid else f" by {by.nodeid}"
    state = "blocked" if after is None else f"{describe(after)}"
    detail = (
        f"It was imported for the first time{who} while {taint.hazard.name} was {state}, "
        "and keeps what it made of that."
    )
    return make_leak("tainted", taint.module, polluter, detail, location=first.location, chain=first.chain)
