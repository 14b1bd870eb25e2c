"""Several reports made one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pytest_import_isolation.report.records import SEVERITIES, Event, History, Leak, Report


def merge(reports: Iterable[Report]) -> Report:
    """Return one report with every leak said once.

    Every xdist worker collects every file and so sees the same leaks at collection; a leak of one kind,
    of one name and by one polluter is one leak, with all who were exposed to it.
    """
    leaks: dict[object, Leak] = {}
    complete = True
    workers: dict[str, str] = {}
    events: dict[Event, None] = {}
    imports: dict[str, float] = {}
    for report in reports:
        complete = complete and report.complete
        for worker, state in report.workers.items():
            # Shards number their workers alike: what went wrong in one of them is not to be lost.
            if workers.get(worker, "ok") == "ok":
                workers[worker] = state
        events.update(dict.fromkeys(_apart(report.history.events, events)))
        for name, seconds in report.history.imports.items():
            # The longest was the first in its process; another shard may have had the file in a cache.
            imports[name] = max(seconds, imports.get(name, 0))
        for leak in report.leaks:
            key = (leak.kind, leak.name, leak.polluter, leak.contained)
            known = leaks.get(key)
            leaks[key] = leak if known is None else _both(known, leak)
    return Report(tuple(leaks.values()), complete, workers, History(tuple(events), imports))


def _apart(events: Iterable[Event], known: Mapping[Event, None]) -> Iterator[Event]:
    """Yield new events; those of another process of the same name get one that is free."""
    taken = {event.worker for event in known}
    names: dict[str, str] = {}
    for event in events:
        if event in known:
            continue
        if event.worker not in names:
            name, number = event.worker, 1
            while name in taken:
                number += 1
                name = f"{event.worker or 'run'} #{number}"
            names[event.worker] = name
            taken.add(name)
        yield event._replace(worker=names[event.worker])


def _both(one: Leak, other: Leak) -> Leak:
    """Return what two processes know of a leak: the better place, the worse severity, all who met it."""
    better = other if _certainty(other) > _certainty(one) else one
    more = tuple(exposure for exposure in other.exposed if exposure not in one.exposed)
    return one._replace(
        severity=min(one.severity, other.severity, key=SEVERITIES.index),
        location=better.location,
        chain=better.chain,
        # Accepted by the rules of one run only is not accepted.
        allowed=one.allowed and other.allowed,
        exposed=one.exposed + more,
    )


def _certainty(leak: Leak) -> tuple[int, bool]:
    place = leak.location
    return (0 if place is None else 2 if place.exact else 1), bool(leak.chain)
