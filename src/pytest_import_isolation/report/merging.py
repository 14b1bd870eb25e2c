"""Several reports made one."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_import_isolation.report.records import Leak, Report


def merge(reports: Iterable[Report]) -> Report:
    """Return one report with every leak said once.

    Every xdist worker collects every file and so sees the same leaks at collection; a leak of one kind,
    of one name and by one polluter is one leak, with all who were exposed to it.
    """
    leaks: dict[object, Leak] = {}
    complete = True
    workers: dict[str, str] = {}
    for report in reports:
        complete = complete and report.complete
        workers.update(report.workers)
        for leak in report.leaks:
            key = (leak.kind, leak.name, leak.polluter, leak.contained)
            known = leaks.get(key)
            if known is None:
                leaks[key] = leak
            else:
                more = tuple(exposure for exposure in leak.exposed if exposure not in known.exposed)
                leaks[key] = known._replace(exposed=known.exposed + more)
    return Report(tuple(leaks.values()), complete, workers)
