"""Which leaks are accepted: those that an allow list names, and those that a baseline knows."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache
from json import dumps, loads
from pathlib import PurePath
from typing import Any, Final

from pytest_import_isolation.errors import ReportError
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.regexes import regex
from pytest_import_isolation.report.folding import fold
from pytest_import_isolation.report.records import ERROR, INFO, KINDS, Leak, Report
from pytest_import_isolation.wording import count, suggestion

#: The version of the baseline's format.
BASELINE_VERSION: Final = 1

_SHAPE: Final = (
    "expected kind:name, such as 'fake-left:boto*' or '*:serial', "
    "perhaps followed by ' in ' and the node ids of tests or files"
)
_REPAIR: Final = "repair it, or delete it and write a new one with --import-leak-write-baseline"
# pytest numbers its temporary directories, so that the same leak has another name in every run.
_TEMPORARY: Final = regex(r"^.*/pytest-of-[^/]+/pytest-\d+/(?:popen-gw\d+/)?")


@cache
def _glob(pattern: str) -> re.Pattern[str]:
    """Compile a glob of ``*`` and ``?``; brackets are literal, because node ids are full of them."""
    wild = {"*": ".*", "?": "."}
    return re.compile("".join(wild.get(char) or re.escape(char) for char in pattern), re.DOTALL)


def _matches(pattern: str, text: str) -> bool:
    return _glob(pattern).fullmatch(text) is not None


class Allowance(NamedTuple):
    """An entry of the allow list."""

    #: As the user wrote it.
    text: str
    kind: str
    name: str
    #: A glob for the node id of the polluter.
    nodeid: str = "*"

    def covers(self, leak: Leak, name: str) -> bool:
        """Tell whether a leak is accepted by this entry.

        Args:
            leak: the leak.
            name: its name as :func:`portable_name` gives it, which also may match.
        """
        return (
            _matches(self.kind, leak.kind)
            and (self._covers(leak.name) or self._covers(name))
            and _matches(self.nodeid, leak.polluter.nodeid)
        )

    def _covers(self, name: str) -> bool:
        # As everywhere: the name of a module covers its submodules.
        return _matches(self.name, name) or (
            all(part.isidentifier() for part in self.name.split(".")) and name.startswith(f"{self.name}.")
        )


def parse_allowance(text: str, who: str) -> Allowance:
    """Parse an entry of the allow list: ``kind:name``, or ``kind:name in nodeid``.

    Args:
        text: the entry.
        who: the option it was given to, for the messages.

    Raises:
        ReportError: it has another shape, or names a kind that does not exist.
    """
    what, separator, nodeid = text.strip().partition(" in ")
    kind, colon, name = (part.strip() for part in what.partition(":"))
    nodeid = nodeid.strip()
    if not (kind and colon and name) or bool(separator) is not bool(nodeid) or name.endswith(" in"):
        raise ReportError(f"{who}: cannot read {text!r}: {_SHAPE}")
    if not any(_matches(kind, known) for known in KINDS):
        raise ReportError(f"{who}: {text!r}: there is no kind {kind!r}{suggestion(kind, KINDS)}")
    return Allowance(text.strip(), kind, name, nodeid or "*")


def portable_name(name: str, root: str) -> str:
    """Return the name of a leak as it is the same on every machine and in every run.

    Args:
        name: a module, or a path entry.
        root: the rootdir: what lies below it is named relative to it.
    """
    if not PurePath(name).is_absolute():
        return name
    try:
        return PurePath(name).relative_to(root).as_posix()
    except ValueError:
        return _TEMPORARY.sub("<tmp>/", PurePath(name).as_posix())


class Key(NamedTuple):
    """What a baseline knows a leak by: not by its line, and not by how often there is one."""

    file: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}, by {self.file or 'the test run'}"


def key_of(leak: Leak, root: str) -> Key:
    """Return what a baseline knows a leak by."""
    return Key(leak.polluter.nodeid.partition("::")[0], leak.kind, portable_name(leak.name, root))


def read_baseline(text: str) -> frozenset[Key]:
    """Parse a baseline.

    Raises:
        ReportError: it is none; the message goes on after the name of the file.
    """
    try:
        data = loads(text)
    except (ValueError, RecursionError) as error:
        raise ReportError(f"it is no JSON ({error}); {_REPAIR}") from None
    known = data.get("known") if isinstance(data, dict) else None
    if not isinstance(data, dict) or data.get("version") != BASELINE_VERSION or not isinstance(known, dict):
        raise ReportError(f"it is no import leak baseline of version {BASELINE_VERSION}; {_REPAIR}")
    keys = []
    for file, kinds in known.items():
        for kind, names in kinds.items() if isinstance(kinds, dict) else [("", None)]:
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise ReportError(f"its entry {file!r} is no table of kinds and lists of names; {_REPAIR}")
            keys += [Key(file, kind, name) for name in names]
    return frozenset(keys)


def write_baseline(keys: Iterable[Key]) -> str:
    """Return the text of a baseline: sorted, and one name a line, so that changes of it read well."""
    known: dict[str, dict[str, list[str]]] = {}
    for key in sorted(set(keys)):
        known.setdefault(key.file, {}).setdefault(key.kind, []).append(key.name)
    return dumps({"version": BASELINE_VERSION, "known": known}, indent=2) + "\n"


class Policy(NamedTuple):
    """What the user accepts, and whether all else fails the run."""

    allow: tuple[Allowance, ...] = ()
    #: What the baseline knows; None without a baseline.
    known: frozenset[Key] | None = None
    #: Whether the baseline is being written.
    writes: bool = False
    fails: bool = False


class Verdict(NamedTuple):
    """A report under a policy."""

    #: The report, in which what is accepted is marked as allowed, and repetition is told once.
    report: Report
    #: Entries of the allow list that matched nothing.
    unused: tuple[Allowance, ...] = ()
    #: What the baseline knew and what did not occur, though all that could do it took part.
    fixed: tuple[Key, ...] = ()
    #: What a baseline written now holds.
    baseline: frozenset[Key] = frozenset()
    #: Why the run must fail: parts of one sentence.
    failures: tuple[str, ...] = ()


def judge(report: Report, policy: Policy, root: str, took_part: Callable[[str], bool]) -> Verdict:
    """Apply a policy to a report.

    Args:
        report: the report of the whole run.
        policy: what is accepted.
        root: the rootdir.
        took_part: tells whether all tests of a file were run, so that its leaks would have been seen. A
            file that is gone took part: it leaks no more.
    """
    known = policy.known or frozenset()
    used: set[Allowance] = set()
    seen: set[Key] = set()
    kept: set[Key] = set()
    leaks = []
    for leak in report.leaks:
        if leak.severity == INFO:
            leaks.append(leak)
            continue
        key = key_of(leak, root)
        by = [entry for entry in policy.allow if entry.covers(leak, key.name)]
        used.update(by)
        seen.add(key)
        # What was contained harms nobody now; a baseline goes on to know it, for the runs without isolation.
        if not by and (not leak.contained or key in known):
            kept.add(key)
        accepted = bool(by) or key in known or (policy.writes and not leak.contained)
        leaks.append(leak._replace(allowed=leak.allowed or (accepted and not leak.contained)))
    # Up to here each test is known by its node id; what many of them did alike is told once.
    judged = fold(report._replace(leaks=tuple(leaks)))
    gone = known - seen
    fixed = {key for key in gone if took_part(key.file)}
    return Verdict(
        judged,
        tuple(entry for entry in dict.fromkeys(policy.allow) if entry not in used),
        tuple(sorted(fixed)),
        frozenset(kept | (gone - fixed)),
        tuple(_failures(judged)) if policy.fails else (),
    )


def _failures(report: Report) -> Iterable[str]:
    errors = sum(leak.severity == ERROR and leak.is_harmful for leak in report.leaks)
    if errors:
        yield f"{count(errors, 'error')} not allowed"
    for worker, state in sorted(report.workers.items()):
        if state != "ok":
            yield f"worker {worker} {state}"


class Parts(NamedTuple):
    """Which files a process collected, and how many of their tests it ran."""

    #: For each file, how many tests it has.
    collected: Mapping[str, int] = {}
    #: For each file, how many of them were run.
    ran: Mapping[str, int] = {}
    #: Files and directories that were collected without a mistake, and conftests that were loaded.
    whole: Collection[str] = ()
    #: Files and directories whose collection failed, or was skipped.
    broken: Collection[str] = ()

    def as_builtins(self) -> dict[str, Any]:
        """Return the same as dictionaries and lists."""
        return {
            "collected": dict(self.collected),
            "ran": dict(self.ran),
            "whole": sorted(self.whole),
            "broken": sorted(self.broken),
        }

    @classmethod
    def from_builtins(cls, data: Mapping[str, Any]) -> Parts:
        """Return what :meth:`as_builtins` gave; anything else raises one of the errors of its parts."""
        collected, ran = (
            {file: int(number) for file, number in data[key].items()} for key in ("collected", "ran")
        )
        return cls(collected, ran, set(data["whole"]), set(data["broken"]))

    def took_part(self, file: str) -> bool:
        """Tell whether a file was collected and all of its tests were run."""
        return (
            file in self.whole
            and file not in self.broken
            and self.ran.get(file, 0) >= self.collected.get(file, 0)
        )

    @property
    def is_whole(self) -> bool:
        """Whether all that was collected was run."""
        return not self.broken and all(map(self.took_part, self.whole))


def join_parts(parts: Iterable[Parts]) -> Parts:
    """Return what several processes did together: each collects all files and runs some of their tests."""
    collected: dict[str, int] = {}
    ran: dict[str, int] = {}
    whole: set[str] = set()
    broken: set[str] = set()
    for part in parts:
        for file, number in part.collected.items():
            collected[file] = max(number, collected.get(file, 0))
        for file, number in part.ran.items():
            ran[file] = ran.get(file, 0) + number
        whole.update(part.whole)
        broken.update(part.broken)
    return Parts(collected, ran, whole, broken)
