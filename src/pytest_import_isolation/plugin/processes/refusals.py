"""What cannot run tests in processes of their own: said before the first test, with what to do."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from typing import Final

import pytest

from pytest_import_isolation.machinery.modules import file_of
from pytest_import_isolation.patterns import Patterns
from pytest_import_isolation.plugin.marker import MARKER
from pytest_import_isolation.plugin.processes.modes import COLD, Mode

#: Options of other plugins that give tests processes too, and the plugins.
_OTHERS: Final = {
    "forked": ("--forked", "pytest-forked"),
    "isolate": ("--isolate", "pytest-isolate"),
    "cleanslate": ("--cleanslate", "pytest-cleanslate"),
}


def refuse_other_plugins(config: pytest.Config, who: str) -> None:
    """Refuse to run beside a plugin that runs each test elsewhere too.

    Args:
        config: the run.
        who: what asks for processes.

    Raises:
        pytest.UsageError: there is one.
    """
    for name, (option, plugin) in _OTHERS.items():
        if getattr(config.option, name, False):
            raise pytest.UsageError(
                f"{who} and {option} of {plugin} both run tests in processes of their own; leave {option} out"
            )


def refuse_without_fork(who: str) -> None:
    """Refuse to fork where that cannot be done.

    Raises:
        pytest.UsageError: a test wants it.
    """
    if not hasattr(os, "fork"):
        raise pytest.UsageError(
            f"{who} needs os.fork, which this system lacks; --isolate-imports=test isolates all tests in one "
            "process"
        )


def refuse_loaded_extensions(mode: Mode, fresh: Patterns, nodeid: str) -> None:
    """Refuse to execute an extension module anew in a forked process, which has it from its parent.

    Raises:
        pytest.UsageError: a test wants it.
    """
    if mode.kind == COLD or not fresh:
        return
    for pattern in fresh:
        name = next(_loaded_extensions(Patterns(pattern)), None)
        if name is not None:
            raise pytest.UsageError(
                f"{nodeid}: @pytest.mark.{MARKER}: fresh={pattern!r} covers the extension module {name}, "
                "which is loaded already, and so it is in a process that is forked from this one; "
                'process="cold" runs the test in one that has not loaded it'
            )


def _loaded_extensions(patterns: Patterns) -> Iterator[str]:
    for name, module in sys.modules.copy().items():
        if type(name) is str and patterns.match(name):
            file = file_of(module)
            if file is not None and file.endswith(tuple(EXTENSION_SUFFIXES)):
                yield name
