"""Naming the command ``blame`` once, beside the first failure of a test that no leak explains."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Final

import pytest

from pytest_import_isolation.leaks.hints import EXECUTED_TITLE, GUARD_TITLE, TITLE
from pytest_import_isolation.plugin.executions import TITLE as EXECUTION_TITLE
from pytest_import_isolation.plugin.sections import RAN_ALONE, add_section, has_section
from pytest_import_isolation.wording import plain

BLAME_TITLE: Final = "does it pass alone?"
_EXPLAINED: Final = frozenset((TITLE, GUARD_TITLE, EXECUTED_TITLE, EXECUTION_TITLE))
#: Options of the report, which ``blame`` sets for itself; some take a value.
_OWN: Final = "--import-leak"
#: The terminal's category of what was run again, which is no failure of the run.
_REPEATED: Final = "rerun"
_WITH_VALUE: Final = ("--import-leak-allow", "--import-leak-baseline", "--import-leak-file")


class BlameHint:
    """Adds the section; on the controller if there are workers.

    Args:
        config: the run.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._is_told = False

    def add(self, report: pytest.TestReport, first: str, *, is_logged: bool) -> None:
        """Add the section to the first failure that nothing explains.

        Args:
            report: of a phase of a test, with all other sections.
            first: the node id of the test that ran first: it did so alone.
            is_logged: whether it counts; it does not if the test is going to run again.
        """
        if self._is_told or not report.failed or report.nodeid == first:
            return
        if getattr(report, RAN_ALONE, False):
            return
        if hasattr(self._config, "workerinput") or has_section(report, _EXPLAINED):
            return
        self._is_told = is_logged
        add_section(report, BLAME_TITLE, blame_hint(report.nodeid, self._config.invocation_params.args))


def explains_all_failures(session: pytest.Session) -> bool:
    """Tell whether each failure of a run has a section that says where it comes from.

    Args:
        session: the run, which is over.
    """
    if not session.testsfailed:
        return True
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if terminal is None:  # nobody has kept the failures
        return False
    failures = [
        report
        for category, reports in terminal.stats.items()
        if category != _REPEATED
        for report in reports
        if isinstance(report, (pytest.TestReport, pytest.CollectReport)) and report.failed
    ]
    return bool(failures) and all(has_section(report, _EXPLAINED) for report in failures)


def blame_hint(nodeid: str, arguments: Sequence[str]) -> str:
    """Return the text of the section.

    Args:
        nodeid: the test that failed.
        arguments: those of the run.
    """
    command = f"python -m pytest_import_isolation blame {shlex.quote(nodeid)}"
    others = shlex.join(_without_own(arguments))
    if others:
        command += f" -- {others}"
    return f"Then this proves what changes its outcome:\n    {plain(command)}"


def _without_own(arguments: Sequence[str]) -> Iterator[str]:
    is_value = False
    for argument in arguments:
        if not is_value and not argument.startswith(_OWN):
            yield argument
        is_value = argument in _WITH_VALUE
