"""What one run of a part of the suite is asked for, and what it answers: JSON between two processes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pytest_import_isolation.machinery.named_tuples import NamedTuple

#: Outcomes by how good they are. A test that is skipped neither passes nor fails.
GOOD: Final = "good"
SKIPPED: Final = "skipped"
BAD: Final = "bad"
#: The process ended before the outcome was known.
CRASHED: Final = "crashed"
#: The process did not end in time, which says nothing of the victim.
HUNG: Final = "hung"
#: Nothing of that name was collected.
ABSENT: Final = "absent"

_CLASSES: Final[Mapping[str, str]] = {
    "passed": GOOD,
    "xfailed": GOOD,
    "xpassed": GOOD,
    "skipped": SKIPPED,
    "failed": BAD,
    "error": BAD,
    CRASHED: BAD,
    HUNG: HUNG,
    ABSENT: BAD,
}


class Request(NamedTuple):
    """What to collect and what to run."""

    #: Where the answer is written, and where the output goes.
    answer: str
    log: str
    #: The node id as the user gave it.
    victim: str
    #: Test files, and folders whose conftests are loaded, in order; None for what the user's arguments name.
    collect: Sequence[str] | None = None
    #: Test files that are collected; files in a folder of ``collect`` are not, unless they are named here.
    files: Sequence[str] = ()
    #: Those whose conftests are loaded before all else.
    first: Sequence[str] = ()
    #: Node ids in order; None for all, up to the victim.
    tests: Sequence[str] | None = None
    #: Node ids that get the mark ``isolated_imports``.
    marked: Sequence[str] = ()
    #: Command line options that have another value in this run.
    options: Mapping[str, Any] = {}  # an empty default that nobody changes
    #: What the first run drew by chance.
    seeds: Mapping[str, Any] = {}
    #: Seconds after which the run is ended; None for no limit.
    limit: float | None = None

    def dump(self) -> str:
        """Return it as one line of JSON."""
        return json.dumps(self._asdict())

    @classmethod
    def load(cls, text: str) -> Request:
        """Return what :meth:`dump` gave."""
        return cls(**json.loads(text))


class Failure(NamedTuple):
    """Why something failed: enough to tell two failures apart."""

    #: The class of the exception, its first line, and the place where it was raised.
    error: str
    message: str
    place: str

    def is_like(self, other: Failure) -> bool:
        """Tell whether two failures are of one kind: the same error in one place or with one message."""
        return self.error == other.error and (self.place == other.place or self.message == other.message)


class Outcome(NamedTuple):
    """What the victim came to in one run."""

    word: str
    failure: Failure | None = None

    @property
    def kind(self) -> str:
        """``GOOD``, ``SKIPPED``, ``BAD`` or ``HUNG``."""
        return _CLASSES.get(self.word, BAD)


class Answer(NamedTuple):
    """What a run came to."""

    outcome: Outcome
    #: The node id of the victim from rootdir.
    name: str = ""
    #: Node ids of the tests that the victim's node id means.
    victims: Sequence[str] = ()
    #: The victim's file, relative to rootdir.
    file: str = ""
    #: Conftests and test files in the order in which they were executed, relative to rootdir.
    executed: Sequence[str] = ()
    #: Node id and file of every test that was collected, in order.
    tests: Sequence[tuple[str, str]] = ()
    rootdir: str = ""
    #: Test files and folders that the user's arguments named.
    named: Sequence[str] = ()
    #: Values of ``--isolate-imports``.
    modes: Sequence[str] = ()
    #: Arguments without which the order of the command line would not hold.
    ordering: Sequence[str] = ()
    seeds: Mapping[str, Any] = {}
    #: A node id that is like the one that was not found.
    similar: str = ""

    def dump(self) -> str:
        """Return it as JSON."""
        return json.dumps({**self._asdict(), "outcome": self.outcome})

    @classmethod
    def load(cls, text: str) -> Answer:
        """Return what :meth:`dump` gave."""
        data = json.loads(text)
        word, failure = data["outcome"]
        data["outcome"] = Outcome(word, None if failure is None else Failure(*failure))
        data["tests"] = [(nodeid, file) for nodeid, file in data["tests"]]
        return cls(**data)
