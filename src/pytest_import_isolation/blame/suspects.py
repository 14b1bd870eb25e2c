"""From a report to suspects: who left something that the victim may have met, the likeliest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.report.records import INFO, SEVERITIES, Leak, Report

TEST: Final = "test"
FILE: Final = "file"
CONFTEST: Final = "conftest"

#: How many are tried before the search begins.
_MOST: Final = 3
_CONFTEST_FILE: Final = "conftest.py"


class Unit(NamedTuple):
    """A part of a run that can be left out: a test, the collection of a file, the loading of a conftest."""

    kind: str
    #: A node id, or a file relative to rootdir.
    name: str
    #: Where it lies.
    file: str


def unit_of_file(file: str) -> Unit:
    """Return the unit that executes a conftest or collects a test file."""
    is_conftest = file.rpartition("/")[2] == _CONFTEST_FILE
    return Unit(CONFTEST if is_conftest else FILE, file, file)


def leaks_of(report: Report, unit: Unit) -> list[Leak]:
    """Return what a unit left, first imports included."""
    return [leak for leak in report.leaks if leak.polluter.nodeid == unit.name]


def suspects(report: Report, tests: Sequence[Unit], files: Sequence[str], victim: str) -> list[Unit]:
    """Return the suspects, the likeliest first.

    Args:
        report: of a run of everything.
        tests: those that ran before the victim, in order.
        files: conftests and test files that were executed, in order.
        victim: its node id.
    """
    places = {unit.name: place for place, unit in enumerate(tests)}
    executed = {name: place for place, name in enumerate(files)}
    file = victim.partition("::")[0]
    own = executed.get(file, len(files))
    ranked: list[tuple[tuple[int, ...], Unit]] = []
    for leak in report.leaks:
        name = leak.polluter.nodeid
        if leak.severity == INFO or name == victim:
            continue
        if name in places:
            unit, distance = tests[places[name]], len(tests) - places[name]
        elif name in executed and name != file:
            unit, distance = unit_of_file(name), abs(own - executed[name])
        else:
            continue
        exposed = {exposure.nodeid for exposure in leak.exposed}
        ranked.append(
            (
                (
                    victim not in exposed,
                    not any(nodeid.partition("::")[0] == file for nodeid in exposed),
                    SEVERITIES.index(leak.severity),
                    distance,
                ),
                unit,
            )
        )
    ranked.sort(key=lambda one: one[0])
    return list(dict.fromkeys(unit for _, unit in ranked))[:_MOST]


def effects_of(leaks: Sequence[Leak]) -> list[str]:
    """Return the names of side effects, if there is no leak beside them: isolation undoes none of them."""
    told = [leak for leak in leaks if leak.severity != INFO]
    if any(leak.kind != "effect" for leak in told):
        return []
    return list(dict.fromkeys(leak.name for leak in told))
