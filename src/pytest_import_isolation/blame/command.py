"""The shortest pytest command that shows what was found."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

from pytest_import_isolation.blame.requests import Answer
from pytest_import_isolation.blame.suspects import CONFTEST, TEST, Unit


def shortest_command(whole: Answer, units: Sequence[Unit], arguments: Sequence[str]) -> str:
    """Return a command for a shell.

    Args:
        whole: the answer of the whole run.
        units: what is executed beside the victim, in order.
        arguments: those of the user for pytest.
    """
    executed = list(whole.executed)
    own = executed.index(whole.file) if whole.file in executed else len(executed)
    before: list[str] = []
    after: list[str] = []
    left_out: list[str] = []
    for unit in units:
        if unit.kind == TEST:
            before.append(_from_here(whole, unit.name))
            continue
        name = unit.name if unit.kind != CONFTEST else os.path.dirname(unit.name)
        (after if unit.kind != CONFTEST and executed.index(unit.name) > own else before).append(
            _from_here(whole, name)
        )
        # It is collected, and none of its tests run.
        left_out += ["--deselect", name if unit.kind != CONFTEST else f"{name}/"]
    options = [*_options(arguments, whole.named), *whole.ordering]
    return shlex.join(["pytest", *options, *before, _from_here(whole, whole.name), *after, *left_out])


def _from_here(whole: Answer, nodeid: str) -> str:
    """Return a node id as an argument: pytest takes it from the current directory."""
    file, separator, test = nodeid.partition("::")
    path = os.path.join(whole.rootdir, file)
    return f"{os.path.relpath(path).replace(os.sep, '/')}{separator}{test}"


def _options(arguments: Sequence[str], named: Sequence[str]) -> list[str]:
    """Return the arguments without the files and folders among them."""
    left = list(arguments)
    for name in named:
        if name in left:
            # From behind: files most often stand last.
            del left[len(left) - 1 - left[::-1].index(name)]
    return left
