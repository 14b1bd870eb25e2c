"""What README.md shows is what happens."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from pytest_import_isolation.plugin.marker import DESCRIPTION, PROCESS_NAMES
from pytest_import_isolation.report.records import KINDS
from pytest_import_isolation.window.parameters import NAMES

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
REFERENCE = ROOT / "docs" / "reference"


@pytest.fixture
def examples(suite: Any) -> Any:
    shutil.copytree(ROOT / "examples", suite.root, dirs_exist_ok=True)
    return suite


def _block(language: str, containing: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    found: list[str] = [block for block in blocks if containing in block]
    assert len(found) == 1, (language, containing)
    return found[0]


def test_the_leaking_test_and_its_report_are_those_of_the_first_example(examples: Any) -> None:
    assert _block("python", "nothing is mailed") in (ROOT / "examples/stubbed/test_alarm.py").read_text()
    run = examples.run({}, "stubbed")
    assert "cannot import name 'SMTP' from 'smtplib' (unknown location)" in run.output
    assert _block("text", "= import leaks =").partition("\n")[2] in run.section + "\n"
    assert _block("text", "something imported here had been changed") in run.output


def test_the_three_leaking_examples_fail_and_the_report_says_why(examples: Any) -> None:
    examples.columns = 200
    run = examples.run({}, "stubbed", "lambdas", "guards", "--continue-on-collection-errors")
    assert run.outcomes == {"failed": 2, "passed": 3, "error": 1}
    assert sorted((leak["kind"], leak["polluter"]["nodeid"]) for leak in run.leaks) == [
        ("fake-left", "stubbed/test_alarm.py"),
        ("name-clash", "lambdas/test_orders.py"),
        ("path-added", "lambdas/test_orders.py"),
        ("path-added", "lambdas/test_payments.py"),
    ]
    assert (
        dedent(
            """\
        xmlrpc.client was first imported by guards/test_export.py::test_rows_are_exported (call), at guards/shop/__init__.py:2.
        To test as if nobody had imported it yet, mark the test:
            @pytest.mark.isolated_imports(unloaded="xmlrpc.client")
        """
        )
        in run.output
    )
    first = run.leak("loaded", "xmlrpc.client")
    assert first["polluter"]["nodeid"] == "guards/test_export.py::test_rows_are_exported"
    assert first["location"] == {"file": "guards/shop/__init__.py", "line": 2, "exact": True}


@pytest.mark.parametrize("mode", ["file", "test"])
def test_the_three_leaking_examples_pass_when_the_suite_is_isolated(examples: Any, mode: str) -> None:
    run = examples.run({}, "stubbed", "lambdas", "guards", f"--isolate-imports={mode}")
    assert run.outcomes == {"passed": 6}
    assert run.report["summary"] | {"info": 0} == {
        "error": 0, "warning": 0, "info": 0, "allowed": 0, "contained": 3,
    }  # fmt: skip


def test_the_clean_example_passes_and_leaves_nothing(examples: Any) -> None:
    run = examples.run({}, "clean")
    assert run.outcomes == {"passed": 6}
    assert run.leaks == []


def test_the_table_of_parameters_is_complete() -> None:
    page = (REFERENCE / "marker.md").read_text(encoding="utf-8")
    rule = re.compile(r"^\| `(\w+)` \| ", re.MULTILINE)
    table, _, behind = page.partition("| parameter | inside the test |")[2].partition("\n\n")
    assert tuple(rule.findall(table)) == NAMES
    of_process = behind.partition("\n## The process of a test\n")[2].partition("\n## ")[0]
    assert tuple(rule.findall(of_process)) == tuple(PROCESS_NAMES)
    assert tuple(re.findall(r"(\w+)=\.\.\.", DESCRIPTION)) == (*NAMES, *PROCESS_NAMES)


def test_the_table_of_kinds_is_complete_and_gives_the_severities() -> None:
    page = (REFERENCE / "kinds.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ((?:`[a-z-]+`(?:, )?)+) \| (\w+)", page, re.MULTILINE)
    told = {kind: severity for kinds, severity in rows for kind in re.findall(r"`([a-z-]+)`", kinds)}
    assert {kind: KINDS[kind].severity for kind in KINDS} == {
        kind: severity for kind, severity in told.items() if kind in KINDS
    }


def test_every_option_and_ini_key_of_the_readme_exists(suite: Any) -> None:
    text = suite.run({}, "--help", report=False).output
    for option in re.findall(r"`(--(?:import|isolate)-[a-z-]+)", README):
        assert option in text, option
    for key in re.findall(r"`((?:import_leak|import_isolation|isolate_imports)\w*)`", README):
        assert key in text, key


def test_every_kind_of_the_readme_exists() -> None:
    table = README.partition("| kind | left behind |")[2].partition("\n\n")[0]
    kinds = re.findall(r"^\| `([a-z-]+)` \| ", table, re.MULTILINE)
    assert kinds
    assert set(kinds) <= set(KINDS)


def test_the_test_command_installs_the_group_of_the_tests() -> None:
    tomllib = pytest.importorskip("tomllib", reason="it came with Python 3.11")
    command = README.partition("<!-- test -->")[2].partition("```bash")[2].partition("```")[0]
    [installed] = re.findall(r"pip install --quiet --editable \. (.*)", command)
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    assert {"pytest", *installed.split()} == {re.split("[<>=]", need)[0] for need in groups["test"]}


def test_the_demo_runs_what_these_tests_run() -> None:
    demo = README.partition("<!-- demo -->")[2].partition("```bash")[2].partition("```")[0]
    assert "examples/stubbed examples/lambdas examples/guards" in demo
    assert demo.count("--isolate-imports=file") == 1
    assert "examples/clean" in demo
