"""Where the report goes: the terminal, files, and from an xdist worker to its controller."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from json import dumps, loads
from pathlib import Path
from typing import Any

import pytest

from pytest_import_isolation.errors import ReportError
from pytest_import_isolation.plugin.options import Settings
from pytest_import_isolation.plugin.sections import MARKUP
from pytest_import_isolation.report.groups import groups_of
from pytest_import_isolation.report.lines import Line
from pytest_import_isolation.report.merging import merge
from pytest_import_isolation.report.policy import (
    Parts,
    Policy,
    Verdict,
    join_parts,
    judge,
    read_baseline,
    write_baseline,
)
from pytest_import_isolation.report.records import ERROR, MODULE_KINDS, WARNING, Report, parse_report
from pytest_import_isolation.report.seen_from import relocation, seen_from
from pytest_import_isolation.report.text import render
from pytest_import_isolation.wording import count, listing

_WORKER_KEY = "import_leak_report"
_PARTS_KEY = "import_leak_parts"
#: The suffix of a page for the browser; other files are JSON.
_PAGE = ".html"
#: The verbosity of ``-qq``.
_VERDICT_ONLY = -2


class Output:
    """Takes the finished report of this process, and on a controller those of the workers.

    Args:
        config: the run.
        settings: its options.
    """

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self._config = config
        self._settings = settings
        self._policy = Policy(settings.allow, None, settings.write_baseline, settings.fail)
        self._reports: list[Report] = []
        self._parts: list[Parts] = []
        self._workers: dict[str, str] = {}
        self._verdict = Verdict(Report())
        self._written: list[Path] = []
        self._failures: list[str] = []
        self._remarks: list[str] = []
        # Why the exit status is another one than pytest's own.
        self._reason = ""
        self._participation = None
        if settings.allow or settings.baseline:
            from pytest_import_isolation.plugin.participation import Participation

            self._participation = Participation(config)
        self._history = None
        self._render_page: Callable[..., str] | None = None
        self._is_explained = True
        if any(file.suffix == _PAGE for file in settings.files):
            from pytest_import_isolation.plugin.history import HistoryRecorder

            # Now: at the end there may be fakes in place of what it needs.
            from pytest_import_isolation.report.html import render_page

            self._history = HistoryRecorder(config)
            self._render_page = render_page
        config.pluginmanager.register(self, "import-leak-output")

    @property
    def _is_worker(self) -> bool:
        return hasattr(self._config, "workerinput")

    def pytest_configure(self) -> None:
        """Read the baseline; a worker, perhaps on another machine, does not need it."""
        file = self._settings.baseline
        begins = self._settings.write_baseline and file is not None and not file.exists()
        if file is None or begins or self._is_worker or getattr(self._config.option, "help", False):
            return
        who = f"--import-leak-baseline={file}"
        try:
            self._policy = self._policy._replace(known=read_baseline(file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise pytest.UsageError(
                f"{who}: there is no such file; write it with --import-leak-write-baseline"
            ) from None
        except ReportError as error:
            raise pytest.UsageError(f"{who}: {error}") from None
        except (OSError, ValueError) as error:
            raise pytest.UsageError(
                f"{who}: it cannot be read ({error}); name another file, or write a new one with "
                "--import-leak-write-baseline"
            ) from None

    def remark(self, text: str) -> None:
        """Let the terminal say something about the report itself."""
        self._remarks.append(text)

    # What workers send

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodeready(self, node: Any) -> None:
        """Expect a report from a worker that started."""
        self._workers[node.gateway.id] = "sent no report"

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take the report that a worker sent."""
        sent = getattr(node, "workeroutput", None) or {}
        reason = f" ({str(error).strip().splitlines()[0]})" if str(error or "").strip() else ""
        try:
            if _WORKER_KEY not in sent:
                self._workers[node.gateway.id] = f"sent no report{reason}"
                return
            report = parse_report(sent[_WORKER_KEY])
            parts = Parts.from_builtins(loads(sent[_PARTS_KEY])) if _PARTS_KEY in sent else None
        except (AttributeError, KeyError, TypeError, ValueError) as mistake:
            self._workers[node.gateway.id] = f"sent a report that cannot be read ({mistake})"
            return
        self._reports.append(report)
        self._parts += [parts] if parts is not None else []
        self._workers[node.gateway.id] = "ok"

    def _merged(self) -> Report:
        complete = all(state == "ok" for state in self._workers.values())
        return merge([*self._reports, Report(complete=complete, workers=self._workers)])

    # The end of the run

    def finish(self, session: pytest.Session, report: Report, *, is_explained: bool) -> None:
        """Take the report of this process; unless this is a worker, judge it and write the files.

        Args:
            session: the run.
            report: of this process.
            is_explained: whether each failure has a section that says where it comes from.
        """
        if self._history is not None:
            report = report._replace(history=self._history.history)
        if self._is_worker:
            # Strings: what crosses the process boundary is builtins only.
            output: dict[str, Any] = self._config.workeroutput  # type: ignore[attr-defined]
            output[_WORKER_KEY] = dumps(report.as_builtins())
            if self._participation is not None:
                output[_PARTS_KEY] = dumps(self._participation.parts.as_builtins())
            return
        self._reports.append(report)
        self._verdict = self._judge()
        self._is_explained = is_explained
        for file in self._settings.files:
            self._write(file, self._text_for(file), "the import leak report")
        if self._settings.write_baseline and self._settings.baseline is not None:
            self._write(self._settings.baseline, write_baseline(self._verdict.baseline), "the baseline")
        reasons = [
            *(f"{failure} (--import-leak-fail)" for failure in self._verdict.failures),
            *self._failures,
        ]
        if reasons and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            self._reason = "; ".join(reasons)
        self._add_to_junit()

    def _text_for(self, file: Path) -> str:
        report = self._verdict.report
        if self._render_page is not None and file.suffix == _PAGE:
            return self._render_page(report, self._config.rootpath, is_explained=self._is_explained)
        return dumps(report.as_builtins(), indent=2) + "\n"

    def _judge(self) -> Verdict:
        report, root = self._merged(), self._config.rootpath
        if self._participation is None:
            return judge(report, self._policy, str(root), lambda file: False)
        from pytest_import_isolation.plugin.participation import Selection

        selection = Selection(self._config)
        parts = join_parts(self._parts if self._workers else [self._participation.parts])
        known = report.complete and not selection.is_unknown
        whole = known and parts.is_whole and not selection.is_partial

        def took_part(file: str) -> bool:
            if not file:
                return whole
            if not os.path.exists(root / file):  # unlike Path.exists(), it has an answer for every text
                return True
            # Any test may call a hook of a conftest or plugin, or ask for its fixtures.
            is_asked_by_any = file.endswith(".py") and file not in parts.collected
            took_part = known and parts.took_part(file) and file not in selection.files
            return took_part and (whole or not is_asked_by_any)

        verdict = judge(report, self._policy, str(root), took_part)
        return verdict if whole else verdict._replace(unused=())

    def _write(self, file: Path, text: str, what: str) -> None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            self._written.append(file)
        except OSError as error:
            self._failures.append(f"{what} could not be written to {file}: {error}")

    def _add_to_junit(self) -> None:
        """Add properties of the whole suite to --junitxml.

        A test's own properties are written with its last phase, and what it left is seen only after that.
        """
        try:
            from _pytest.junitxml import xml_key

            add = self._config.stash[xml_key].add_global_property
            for name, value in self._properties():
                add(name, value)
        except (ImportError, KeyError, AttributeError, TypeError):
            return  # no --junitxml, or a pytest in which it is another thing

    def _properties(self) -> Iterator[tuple[str, object]]:
        report = self._verdict.report
        for name, number in report.summary.items():
            yield f"import_leaks_{name}", number
        yield "import_leaks_complete", str(report.complete).lower()
        for leak in report.leaks:
            if leak.is_harmful:
                place = f", at {leak.location.file}:{leak.location.line}" if leak.location else ""
                by = leak.polluter.nodeid or "the test run"
                yield f"import_leak_{leak.severity}", f"{leak.kind} {leak.name}, by {by}{place}"

    # The terminal

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the report."""
        verbosity, invocation = self._config.get_verbosity(), self._config.invocation_params.dir
        if verbosity > _VERDICT_ONLY:
            terminalreporter.section("import leaks")
        for line in render(
            seen_from(self._verdict.report, relocation(self._config.rootpath, invocation)),
            verbosity=verbosity,
            width=getattr(getattr(terminalreporter, "_tw", None), "fullwidth", 80),
            notes=self._notes(),
            guards=self._settings.fail,
            is_explained=self._is_explained,
        ):
            terminalreporter.write_line(line.text, **MARKUP.get(line.style, {}))
        if verbosity > _VERDICT_ONLY:
            for file in self._written:
                terminalreporter.write_line(f"written to {_seen_from(invocation, file)}")
            self._tell_of_who(terminalreporter, invocation)
        for failure in self._failures:
            terminalreporter.write_line(f"ERROR: {failure}", **MARKUP[ERROR])
        if os.environ.get("GITHUB_ACTIONS") == "true":
            self._annotate(terminalreporter)

    def _tell_of_who(self, terminalreporter: pytest.TerminalReporter, here: Path) -> None:
        """Name the command that knows more of the worst leak, if it can read a report."""
        file = next((file for file in self._written if file.suffix == ".json"), None)
        leak = next((group[0] for group in groups_of(self._verdict.report)), None)
        if file is None or leak is None or leak.kind not in MODULE_KINDS:
            return
        terminalreporter.write_line(
            f"python -m pytest_import_isolation who {leak.name} {_seen_from(here, file)} "
            "tells who imported it first"
        )

    def _notes(self) -> Iterator[Line]:
        for remark in self._remarks:
            yield Line(remark, WARNING)
        fixed, known = self._verdict.fixed, self._policy.known or frozenset()
        new = len(self._verdict.baseline - known)
        if self._settings.write_baseline:
            changes = [f"{new} new", f"{len(fixed)} fixed"]
            yield Line(f"baseline: {count(len(self._verdict.baseline), 'known leak')} ({', '.join(changes)})")
        if fixed:
            hint = "" if self._settings.write_baseline else "; --import-leak-write-baseline takes them out"
            yield Line(
                f"fixed: {count(len(fixed), 'known leak')} no longer occurred "
                f"({listing([str(key) for key in fixed])}){hint}",
                "good",
            )
        for entry in self._verdict.unused:
            yield Line(f"unused: nothing matched the allow entry {entry.text!r}", WARNING)

    def _annotate(self, terminalreporter: pytest.TerminalReporter) -> None:
        from pytest_import_isolation.report.annotations import annotate

        root, workspace = self._config.rootpath, os.environ.get("GITHUB_WORKSPACE")
        prefix = ""
        if workspace and root.is_relative_to(workspace):
            prefix = root.relative_to(workspace).as_posix().removeprefix(".")
        for line in annotate(self._verdict.report, prefix):
            terminalreporter.write_line(line)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, Any, Any]:
        """Say in the last line why the exit status is not 0 though all tests passed."""
        result = yield
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if self._reason and terminal is not None:
            terminal.write_line(f"import leaks: exit status 1: {self._reason}", **MARKUP[ERROR])
        return result


def _seen_from(here: Path, file: Path) -> Path:
    """Return the path of a file as short as it can be given in a directory."""
    return file.relative_to(here) if file.is_relative_to(here) else file
