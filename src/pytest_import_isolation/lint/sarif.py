"""Findings as SARIF 2.1.0, which code scanning services read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from pytest_import_isolation.lint.findings import ERROR, INFO, RULES, WARNING, Finding, Problem

_LEVELS: Final = {ERROR: "error", WARNING: "warning", INFO: "note"}
_HELP: Final = (
    "https://github.com/pytest-import-isolation/pytest-import-isolation/blob/main/docs/reference/lint.md"
)


def as_sarif(
    findings: Sequence[Finding], problems: Sequence[Problem], root_uri: str, version: str
) -> dict[str, Any]:
    """Return a log with one run.

    Args:
        findings: the results.
        problems: files that could not be linted.
        root_uri: the folder relative to which files are named, as a ``file:`` URI.
        version: of this package.
    """
    driver = {
        "name": "pytest-import-isolation",
        "informationUri": "https://github.com/pytest-import-isolation/pytest-import-isolation",
        "version": version,
        "rules": [
            {
                "id": rule,
                "shortDescription": {"text": f"{about.title}."},
                "helpUri": f"{_HELP}#{rule.lower()}",
                "defaultConfiguration": {"level": _LEVELS[about.severity]},
            }
            for rule, about in RULES.items()
        ],
    }
    notifications = [
        {
            "level": "error",
            "message": {"text": problem.reason},
            "locations": [_location(problem.file, problem.line, 1)],
        }
        for problem in problems
    ]
    run: dict[str, Any] = {
        "tool": {"driver": driver},
        "originalUriBaseIds": {"ROOT": {"uri": root_uri if root_uri.endswith("/") else f"{root_uri}/"}},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding) for finding in findings],
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": notifications}],
    }
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }


def _result(finding: Finding) -> dict[str, Any]:
    return {
        "ruleId": finding.rule,
        "ruleIndex": list(RULES).index(finding.rule),
        "level": _LEVELS[finding.severity],
        "message": {"text": finding.message},
        "locations": [_location(finding.file, finding.line, finding.column)],
        # The same finding in the next run, though lines have moved.
        "partialFingerprints": {"importLeak/v1": f"{finding.file}:{finding.rule}:{finding.name}"},
    }


def _location(file: str, line: int, column: int) -> dict[str, Any]:
    artifact: dict[str, str] = {"uri": quote(file)}
    if not file.startswith("/"):
        artifact["uriBaseId"] = "ROOT"
    return {
        "physicalLocation": {
            "artifactLocation": artifact,
            "region": {"startLine": line, "startColumn": column},
        }
    }
