"""Where the report goes: the terminal, files, and from an xdist worker to its controller."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_import_isolation.plugin.options import Settings
from pytest_import_isolation.report.merging import merge
from pytest_import_isolation.report.records import ERROR, WARNING, Report
from pytest_import_isolation.report.text import render

_WORKER_KEY = "import_leak_report"
_MARKUP: dict[str, dict[str, bool]] = {
    ERROR: {"red": True, "bold": True},
    WARNING: {"yellow": True},
    "good": {"green": True},
    "advice": {"cyan": True},
}


class Output:
    """Takes the finished report of this process, and on a controller those of the workers.

    Args:
        config: the run.
        settings: its options.
    """

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self._config = config
        self._settings = settings
        self._reports: list[Report] = []
        self._workers: dict[str, str] = {}
        self._written: list[Path] = []
        self._failures: list[str] = []
        config.pluginmanager.register(self, "import-leak-output")

    def finish(self, session: pytest.Session, report: Report) -> None:
        """Take the report of this process, and write the files unless this is a worker."""
        if hasattr(self._config, "workerinput"):
            # A string: what crosses the process boundary is builtins only.
            self._config.workeroutput[_WORKER_KEY] = json.dumps(report.as_builtins())  # type: ignore[attr-defined]
            return
        self._reports.append(report)
        for file in self._settings.files:
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(json.dumps(self._merged().as_builtins(), indent=2) + "\n", encoding="utf-8")
                self._written.append(file)
            except OSError as error:
                self._failures.append(f"the import leak report could not be written to {file}: {error}")
        if self._failures and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _merged(self) -> Report:
        complete = all(state == "ok" for state in self._workers.values())
        return merge([*self._reports, Report(complete=complete, workers=self._workers)])

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodeready(self, node: Any) -> None:
        """Expect a report from a worker that started."""
        self._workers[node.gateway.id] = "sent no report"

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take the report that a worker sent."""
        sent = getattr(node, "workeroutput", {}).get(_WORKER_KEY)
        if sent is None:
            self._workers[node.gateway.id] = f"sent no report ({error})" if error else "sent no report"
            return
        self._reports.append(Report.from_builtins(json.loads(sent)))
        self._workers[node.gateway.id] = "ok"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the report."""
        terminalreporter.section("import leaks")
        for line in render(self._merged(), verbose=self._config.get_verbosity() > 0):
            terminalreporter.write_line(line.text, **_MARKUP.get(line.style, {}))
        for file in self._written:
            terminalreporter.write_line(f"written to {file}")
        for failure in self._failures:
            terminalreporter.write_line(f"ERROR: {failure}", **_MARKUP[ERROR])
