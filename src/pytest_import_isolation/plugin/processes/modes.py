"""Which tests run in a process of their own, and for how long they may."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import pytest

from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.plugin.marker import MARKER, PROCESS_NAMES
from pytest_import_isolation.plugin.options import Settings

TEST: Final = "test"
FILE: Final = "file"
COLD: Final = "cold"
_BY_OPTION: Final = {"process": TEST, "process-file": FILE}
#: Options by which a plugin deletes at the end of a run, in pytest's process, what no test asked for there;
#: and the fixture with which tests ask.
_DELETERS: Final = {"update_snapshots": "snapshot"}


class Mode(NamedTuple):
    """How a test runs in another process."""

    #: ``test``, ``file`` or ``cold``.
    kind: str
    #: How many seconds it may take, or None.
    timeout: float | None
    #: The file that it belongs to.
    path: Path


mode_key = pytest.StashKey[Mode]()


def mode_of(item: pytest.Item, settings: Settings) -> Mode | None:
    """Return how a test runs, None for one that runs in this process. The nearest mark wins.

    A test stays here, whatever is asked, if a plugin would take its files for those of no test.

    Raises:
        pytest.UsageError: a mark cannot be used.
    """
    kind = _BY_OPTION.get(settings.isolate or "")
    timeout = settings.process_timeout
    given: dict[str, Any] = {}
    for node, mark in item.iter_markers_with_node(MARKER):
        for name in PROCESS_NAMES:
            if name in mark.kwargs and name not in given:
                given[name] = mark.kwargs[name]
                who = f"{node.nodeid}: @pytest.mark.{MARKER}: {name}"
                if name == "process":
                    kind = _kind(given[name], who)
                else:
                    timeout = seconds(given[name], who)
    if kind is None or _is_missed_at_the_end(item):
        return None
    file = item.getparent(pytest.File)  # type: ignore[type-abstract]
    return Mode(kind, timeout, item.path if file is None else file.path)


def _is_missed_at_the_end(item: pytest.Item) -> bool:
    """Tell whether a plugin would delete what a test asked for in another process."""
    asks = getattr(item, "fixturenames", ())
    return any(
        fixture in asks and getattr(item.config.option, name, False) is True
        for name, fixture in _DELETERS.items()
    )


def _kind(value: object, who: str) -> str | None:
    if value is True:
        return TEST
    if value is False:
        return None
    if type(value) is str and value in (FILE, COLD):
        return value
    raise pytest.UsageError(
        f'{who} is True (a process for this test), "file", "cold" or False, not {value!r}'
    )


def seconds(value: object, who: str) -> float:
    """Return a duration.

    Args:
        value: what was given.
        who: what it was given to, for the message.

    Raises:
        pytest.UsageError: it is none.
    """
    if type(value) in (int, float) and 0 < value < math.inf:  # type: ignore[operator]
        return float(value)  # type: ignore[arg-type]
    raise pytest.UsageError(f"{who} is a number of seconds above 0, not {value!r}")
