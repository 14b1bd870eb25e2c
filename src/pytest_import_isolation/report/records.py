"""The records of a leak report: frozen values made of strings, numbers and booleans."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from json import loads
from typing import Any, Final

from pytest_import_isolation.errors import ReportError
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.report.advice import FOR_TESTS, advise

#: The version of the JSON format. Fields may be added under the same version, never renamed or removed.
VERSION: Final = 1

ERROR: Final = "error"
WARNING: Final = "warning"
INFO: Final = "info"
#: Severities, the worst first.
SEVERITIES: Final = (ERROR, WARNING, INFO)


class Kind(NamedTuple):
    """A kind of leak: how bad it is, and what somebody should do whose test made one."""

    severity: str
    advice: str


_SEVERITIES_OF_KINDS: Final[Mapping[str, str]] = {
    "fake-left": ERROR,
    "replaced": ERROR,
    "removed": ERROR,
    "blocked-left": ERROR,
    "name-clash": ERROR,
    "stale-attribute": ERROR,
    "rebound": ERROR,
    "tainted": ERROR,
    "path-added": WARNING,
    "path-removed": WARNING,
    "path-moved": WARNING,
    "finder-added": WARNING,
    "finder-removed": WARNING,
    "hook-added": WARNING,
    "hook-removed": WARNING,
    "evicted": ERROR,
    "reloaded": WARNING,
    "twice-loaded": WARNING,
    "attribute-left": WARNING,
    "class-attribute-left": WARNING,
    "effect": WARNING,
    "loaded": INFO,
}

#: What each kind means.
KINDS: Final[Mapping[str, Kind]] = {
    kind: Kind(severity, FOR_TESTS[kind]) for kind, severity in _SEVERITIES_OF_KINDS.items()
}


#: Kinds whose name is that of a module, which somebody imported first.
MODULE_KINDS: Final = frozenset(
    (
        *("fake-left", "replaced", "removed", "blocked-left", "name-clash", "stale-attribute", "tainted"),
        *("evicted", "reloaded", "twice-loaded"),
    )
)

_FIRST_IMPORT: Final = "{name} was imported for the first time"


def first_import_detail(name: str, more: str) -> str:
    """Return the sentence of a first import.

    Args:
        name: the module.
        more: what else is known, each part with a comma before it.
    """
    return f"{_FIRST_IMPORT.format(name=name)}{more}."


#: The sentence of a module of the project that was thrown out, and executed again for somebody else.
SECOND_COPY: Final = (
    "It was first imported here and thrown out, and a later import executed a second copy, while somebody "
    "holds something of the first one."
)


def eviction_detail(names: str) -> str:
    """Return the sentence of modules that were evicted.

    Args:
        names: which, with a verb: ``"It was"``.
    """
    return f"{names} first imported here, and no entry is left: the next import executes a second copy."


def more_of_first_import(leak: Leak) -> str:
    """Return what the sentence of a first import says beyond that; see :func:`first_import_detail`."""
    plain = _FIRST_IMPORT.format(name=leak.name)
    return leak.detail.removeprefix(plain).removesuffix(".") if leak.detail.startswith(plain) else ""


class Polluter(NamedTuple):
    """Who made a change: a node id (or a file), and the phase of the run."""

    nodeid: str
    #: ``configure``, ``conftest``, ``collect``, ``setup``, ``call``, ``teardown`` or ``session``.
    phase: str


class Location(NamedTuple):
    """A statement; ``exact`` is false where it was inferred and not observed."""

    file: str
    line: int
    exact: bool


class Link(NamedTuple):
    """One step of a chain of imports: ``module`` was imported by that line of ``file``."""

    module: str
    file: str
    line: int


class Exposure(NamedTuple):
    """A test or file that met a leak: it imported the leaked name while the leak was in place."""

    nodeid: str
    phase: str
    file: str
    line: int
    outcome: str


class Leak(NamedTuple):
    """A change of the import state that outlives the test, or the collection of the file, that made it."""

    kind: str
    severity: str
    name: str
    polluter: Polluter
    location: Location | None
    chain: tuple[Link, ...]
    detail: str
    advice: str
    allowed: bool = False
    #: An isolated test made it, and it was undone.
    contained: bool = False
    exposed: tuple[Exposure, ...] = ()
    #: How many changes this stands for: the same in several tests, or several modules that a block evicted.
    count: int = 1  # type: ignore[assignment]  # nobody counts the fields of a leak

    @property
    def is_harmful(self) -> bool:
        """Whether it is more than information, and still in place."""
        return self.severity != INFO and not self.contained and not self.allowed


def make_leak(
    kind: str,
    name: str,
    polluter: Polluter,
    detail: str,
    *,
    location: Location | None = None,
    chain: Iterable[Link] = (),
    severity: str | None = None,
    contained: bool = False,
    case: str | None = None,
    by_fixture: bool = False,
) -> Leak:
    """Return a leak with the severity and the advice of its kind.

    Args:
        kind: a key of :data:`KINDS`.
        name: the module, the path entry, the finder's class or the container.
        polluter: who made it.
        detail: one sentence on what happened.
        location: the statement.
        chain: how an import led there, from the statement to the module.
        severity: in place of the kind's own.
        contained: whether it was undone already.
        case: a special case of the kind, which has an advice of its own.
        by_fixture: whether a fixture of a wider scope did it.
    """
    own = KINDS[kind]
    return Leak(
        kind=kind,
        severity=severity or own.severity,
        name=name,
        polluter=polluter,
        location=location,
        chain=tuple(chain),
        detail=detail,
        advice=advise(case or kind, polluter.nodeid, by_fixture=by_fixture).format(name=name),
        contained=contained,
    )


class Event(NamedTuple):
    """The collection of a file, or a test with its setup and teardown, in one process."""

    nodeid: str
    #: ``collect`` or ``test``.
    phase: str
    #: What it came to, the worst of its phases.
    outcome: str
    #: Seconds since that process began to watch.
    start: float
    seconds: float
    #: The xdist worker, empty without one.
    worker: str


class History(NamedTuple):
    """What a picture of the run needs beside the leaks; collected only for an HTML report."""

    #: By process, in order.
    events: tuple[Event, ...] = ()
    #: How many seconds the first execution of a module took, with what it imported.
    imports: Mapping[str, float] = {}  # an empty default that nobody changes


class Report(NamedTuple):
    """All leaks of a run, in the order in which they were made."""

    leaks: tuple[Leak, ...] = ()
    #: Whether everything was seen: false after an interruption, and when a worker sent nothing.
    complete: bool = True
    #: For each xdist worker, ``"ok"`` or what became of it.
    workers: Mapping[str, str] = {}  # an empty default that nobody changes
    history: History = History()

    @property
    def summary(self) -> dict[str, int]:
        """Counts by severity of what is neither allowed nor contained, and of what is."""
        counted = dict.fromkeys((*SEVERITIES, "allowed", "contained"), 0)
        for leak in self.leaks:
            if leak.severity == INFO:
                counted[INFO] += 1
            else:
                counted["allowed" if leak.allowed else "contained" if leak.contained else leak.severity] += 1
        return counted

    def as_builtins(self) -> dict[str, Any]:
        """Return the report as dictionaries, lists, strings, numbers, booleans and None."""
        return {
            "version": VERSION,
            "complete": self.complete,
            "workers": dict(self.workers),
            "summary": self.summary,
            "leaks": [_without_defaults(_as_builtins(leak)) for leak in self.leaks],
            # Fields that most reports have not.
            **(
                {"events": [_as_builtins(event) for event in self.history.events]}
                if self.history.events
                else {}
            ),
            **({"imports": dict(self.history.imports)} if self.history.imports else {}),
        }

    @classmethod
    def from_builtins(cls, data: Mapping[str, Any]) -> Report:
        """Return the report that :meth:`as_builtins` gave.

        Raises:
            ValueError: it is of another version of the format, or no report at all.
        """
        if data.get("version") != VERSION:
            raise ReportError(
                f"this is no import leak report of version {VERSION} (its version is {data.get('version')!r})"
            )
        workers = dict(data["workers"])
        if not all(isinstance(text, str) for pair in workers.items() for text in pair):
            raise ReportError("the workers of an import leak report are names and sentences")
        events = tuple(_record(Event, event) for event in data.get("events", ()))
        imports = dict(data.get("imports", {}))
        if not all(map(_is_duration, imports.values())):
            raise ReportError("the imports of an import leak report are names and seconds")
        history = History(events, imports)
        return cls(tuple(map(_leak, data["leaks"])), bool(data["complete"]), workers, history)


def parse_report(text: str) -> Report:
    """Return the report that a JSON text holds.

    Raises:
        ReportError: it holds none.
    """
    try:
        data = loads(text)
        if not isinstance(data, dict):
            raise ReportError("this is no import leak report")
        return Report.from_builtins(data)
    except ReportError:
        raise
    except (AttributeError, KeyError, TypeError) as error:
        raise ReportError(f"this is no import leak report: {type(error).__name__}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise ReportError(f"this is no JSON: {error}") from None


def _without_defaults(data: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a record without those that came later and have their usual value."""
    return {key: value for key, value in data.items() if _LATER.get(key, ...) != value}


def _as_builtins(record: Any) -> Any:
    if hasattr(record, "_asdict"):
        return {key: _as_builtins(value) for key, value in record._asdict().items()}
    if isinstance(record, tuple):
        return [_as_builtins(item) for item in record]
    return record


def _leak(data: Mapping[str, Any]) -> Leak:
    if data["severity"] not in SEVERITIES:
        raise ReportError(f"this is no import leak report: there is no severity {data['severity']!r}")
    flat = {
        **data,
        "polluter": _record(Polluter, data["polluter"]),
        "location": None if data["location"] is None else _record(Location, data["location"]),
        "chain": tuple(_record(Link, link) for link in data["chain"]),
        "exposed": tuple(_record(Exposure, exposure) for exposure in data["exposed"]),
    }
    leak: Leak = _record(Leak, flat)
    return leak


#: The types of the fields of all records that are no records themselves; the others are strings.
_TYPES: Final[Mapping[str, type]] = {
    "line": int,
    "exact": bool,
    "allowed": bool,
    "contained": bool,
    "count": int,
}
#: Fields that reports of an earlier release have not, with what they mean there.
_LATER: Final[Mapping[str, Any]] = {"count": 1}
_RECORDS: Final = frozenset(("polluter", "location", "chain", "exposed"))
_DURATIONS: Final = frozenset(("start", "seconds"))


def _is_duration(value: object) -> bool:
    """Tell whether this is a number of seconds; JSON as Python reads it has also NaN and Infinity."""
    return type(value) in (int, float) and 0 <= value < math.inf  # type: ignore[operator]


def _record(cls: Any, data: Mapping[str, Any]) -> Any:
    """Return a record; fields that a later release added are left out."""
    values = {name: data.get(name, _LATER[name]) if name in _LATER else data[name] for name in cls._fields}
    for name, value in values.items():
        if name in _RECORDS:
            continue
        if not (_is_duration(value) if name in _DURATIONS else type(value) is _TYPES.get(name, str)):
            raise ReportError(f"this is no import leak report: {name} is {value!r}")
    return cls(**values)
