"""``python -m pytest_import_isolation lint``."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from pytest_import_isolation.errors import ParameterError, ReportError
from pytest_import_isolation.lint.baseline import Known, portable, read_baseline, split, write_baseline
from pytest_import_isolation.lint.confirmation import confirm
from pytest_import_isolation.lint.findings import ERROR, WARNING, Finding, Problem
from pytest_import_isolation.lint.linter import lint
from pytest_import_isolation.lint.sarif import as_sarif
from pytest_import_isolation.lint.text_format import as_annotations, as_lines, summary
from pytest_import_isolation.report.files import write_text
from pytest_import_isolation.report.records import Report
from pytest_import_isolation.wording import count

#: Prints a line of the result, with its severity; and one beside it.
Print = Callable[[str, str], None]


def run(options: argparse.Namespace, report: Report | None, show: Print, complain: Print) -> int:
    """Lint, and print what was found.

    Args:
        options: the arguments of the command.
        report: the report of ``--from-report``.
        show: prints a line of the result.
        complain: prints a line beside the result.

    Returns:
        The exit status.

    Raises:
        ImportIsolationError: a mistake in the arguments or in a file that they name.
    """
    baseline: Path | None = options.baseline
    if options.write_baseline and baseline is None:
        raise ParameterError("lint: --write-baseline needs --baseline FILE")
    root = os.getcwd()
    known = _read_baseline(baseline, may_miss=options.write_baseline)
    result = lint(options.paths, root)
    for problem in result.problems:
        complain(f"{problem.file}:{problem.line}: not linted: {problem.reason}", "")
    findings = list(result.findings)
    if baseline is not None:
        home = str(baseline.absolute().parent)
        new, counted = split(findings, known, root, home)
        linted = {portable(file, root, home) for file in result.files}
        gone = {
            key for key in known if key.file in linted or not os.path.exists(os.path.join(home, key.file))
        }
        if options.write_baseline:
            kept = {key: number for key, number in known.items() if key not in gone}
            write_text(baseline, write_baseline({**kept, **counted}))
            show(f"{baseline}: {count(sum({**kept, **counted}.values()), 'known finding')}", "good")
            return 0
        fixed = sum(max(0, known[key] - counted.get(key, 0)) for key in gone)
        if fixed:
            complain(
                f"{baseline}: {count(fixed, 'known finding')} gone; --write-baseline takes them out",
                "",
            )
        findings = new
    if report is not None:
        findings = confirm(findings, report)
    _render(options.format, findings, result.problems, root, show)
    failing = (ERROR, WARNING) if options.strict else (ERROR,)
    return int(any(finding.severity in failing for finding in findings))


def _read_baseline(file: Path | None, *, may_miss: bool) -> Known:
    if file is None or (may_miss and not file.exists()):
        return {}
    try:
        return read_baseline(file.read_text(encoding="utf-8"))
    except ReportError as error:
        raise ReportError(f"{file}: {error}") from None
    except UnicodeDecodeError:
        raise ReportError(f"{file}: this is no text; name a file that --write-baseline wrote") from None
    except OSError as error:
        raise ReportError(
            f"{file}: it cannot be read: {error.strerror}; --write-baseline writes it"
        ) from None


def _render(
    form: str, findings: Sequence[Finding], problems: Sequence[Problem], root: str, show: Print
) -> None:
    if form == "json":
        show(json.dumps({"findings": [finding._asdict() for finding in findings]}, indent=2), "")
    elif form == "sarif":
        show(json.dumps(as_sarif(findings, problems, Path(root).as_uri(), _version()), indent=2), "")
    elif form == "github":
        for line in as_annotations(findings):
            show(line, "")
    else:
        for line, severity in as_lines(findings):
            show(line, severity)
        show(summary(findings), "" if findings else "good")


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("pytest-import-isolation")
    except PackageNotFoundError:  # run from its sources
        return "0"
