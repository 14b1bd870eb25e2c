"""python -m pytest_import_isolation lint: formats, baseline, reports, exit status; nothing of the project is imported."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest
from tests.lint.conftest import write

from pytest_import_isolation.__main__ import main
from pytest_import_isolation.lint.findings import RULES
from pytest_import_isolation.report.records import Location, Polluter, Report, make_leak

Ask = Callable[..., tuple[int, str, str]]

_FILES = {
    "tests/test_a.py": "import sys\nsys.modules['boto'] = object()\n",
    "tests/test_b.py": "import sys, shop\nshop.RATE = 2\ndef test_it():\n    sys.modules.pop('shop')\n",
    "tests/conftest.py": "import sys\nsys.modules['serial'] = None\n",
    "tests/test_c.py": "def test_it():\n    pass\n",
}


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, _FILES)

    def ask(*arguments: str) -> tuple[int, str, str]:
        try:
            status = main(["lint", *arguments])
        except SystemExit as stopped:  # argparse
            status = int(str(stopped.code))
        return status, *capsys.readouterr()

    return ask


def test_text_has_a_line_for_each_finding_and_one_for_all(ask: Ask) -> None:
    status, out, err = ask("tests")
    assert (status, err) == (1, "")
    assert out == dedent(
        """\
        tests/conftest.py:2:1: info IL101 sys.modules['serial'] = None: leaves a block for serial in place for every file that is collected later; import what needs it in 'with IsolatedImportContext(missing="serial"):'
        tests/test_a.py:2:1: error IL101 sys.modules['boto'] = object(): leaves a fake for boto in place for every file that is collected later; import what needs it in 'with IsolatedImportContext(fakes={"boto": {...}}):'
        tests/test_b.py:2:1: warning IL109 shop.RATE = 2: changes shop.RATE for every file; use monkeypatch.setattr in a fixture
        tests/test_b.py:4:5: warning IL105 sys.modules.pop('shop'): removes shop from sys.modules, and nothing puts it back; use the fresh_import fixture
        1 error, 2 warnings, 1 for information
        """
    )
    assert ask("tests/test_c.py") == (0, "no findings\n", "")


def test_names_that_one_statement_writes_share_a_line_of_text(ask: Ask) -> None:
    Path("test_x.py").write_text(
        "import sys\nfor x in 'abcdef':\n    sys.modules[x] = 1\nsys.modules.update(a=1, b=1)\n"
    )
    out = ask("test_x.py")[1]
    assert [line.rpartition(" (")[2] for line in out.splitlines()[:-1]][-1] == "also b)"
    assert len(json.loads(ask("test_x.py", "--format", "json")[1])["findings"]) == len(out.splitlines())


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["tests/test_a.py"], 1),
        (["tests/test_b.py"], 0),
        (["tests/test_b.py", "--strict"], 1),
        (["tests/conftest.py", "--strict"], 0),
        (["tests/test_c.py", "--strict"], 0),
        (["nowhere"], 2),
        ([], 2),
        (["tests", "--format", "xml"], 2),
        (["tests", "--write-baseline"], 2),
        (["tests", "--baseline", "nowhere.json"], 2),
        (["tests", "--from-report", "nowhere.json"], 2),
        (["tests", "--from-report", "tests/test_a.py"], 2),
        (["tests", "--baseline", "tests/test_a.py"], 2),
    ],
)
def test_the_exit_status(arguments: list[str], status: int, ask: Ask) -> None:
    got, _, err = ask(*arguments)
    assert got == status
    assert bool(err) is (status == 2)
    assert "Traceback" not in err


def test_json_has_the_fields_in_order(ask: Ask) -> None:
    status, out, _ = ask("tests/test_b.py", "--format=json")
    assert status == 0
    data = json.loads(out)
    assert list(data) == ["findings"]
    assert [list(finding) for finding in data["findings"]] == [
        ["file", "line", "column", "rule", "severity", "name", "message"]
    ] * 2
    assert data["findings"][1] == {
        "file": "tests/test_b.py",
        "line": 4,
        "column": 5,
        "rule": "IL105",
        "severity": "warning",
        "name": "shop",
        "message": "sys.modules.pop('shop'): removes shop from sys.modules, and nothing puts it back; "
        "use the fresh_import fixture",
    }
    assert json.loads(ask("tests/test_c.py", "--format=json")[1]) == {"findings": []}


def test_github_gets_workflow_commands(ask: Ask) -> None:
    out = ask("tests", "--format=github")[1].splitlines()
    assert [line.partition("::")[2].partition("::")[0] for line in out] == [
        "notice file=tests/conftest.py,line=2,col=1,title=IL101 serial",
        "error file=tests/test_a.py,line=2,col=1,title=IL101 boto",
        "warning file=tests/test_b.py,line=2,col=1,title=IL109 shop.RATE",
        "warning file=tests/test_b.py,line=4,col=5,title=IL105 shop",
    ]
    Path("test_x.py").write_text("import sys\nsys.modules['100%:,'] = 1\n")
    out = ask("test_x.py", "--format=github")[1].splitlines()
    assert out[0].startswith("::error file=test_x.py,line=2,col=1,title=IL101 100%25%3A%2C::")


def test_sarif_is_valid_and_complete(ask: Ask, tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((Path(__file__).parent / "sarif-2.1.0-used.schema.json").read_text(encoding="utf-8"))
    write(tmp_path, {"tests/test_é x.py": _FILES["tests/test_a.py"], "tests/test_broken.py": "sys.modules ="})
    status, out, err = ask("tests", "--format=sarif")
    log = json.loads(out)
    jsonschema.validate(log, schema, format_checker=jsonschema.FormatChecker())
    assert status == 1
    assert err == "tests/test_broken.py:1: not linted: it is no Python of this version: invalid syntax\n"
    run = log["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(RULES)
    assert [(result["ruleId"], result["level"]) for result in run["results"]] == [
        ("IL101", "note"),
        ("IL101", "error"),
        ("IL109", "warning"),
        ("IL105", "warning"),
        ("IL101", "error"),
    ]
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in run["results"])
    place = run["results"][4]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "tests/test_%C3%A9%20x.py", "uriBaseId": "ROOT"}
    assert place["region"] == {"startLine": 2, "startColumn": 1}
    assert len(run["invocations"][0]["toolExecutionNotifications"]) == 1
    jsonschema.validate(json.loads(ask("tests/test_c.py", "--format=sarif")[1]), schema)


def test_a_baseline_takes_known_findings_away(ask: Ask) -> None:
    assert ask("tests", "--baseline=known.json", "--write-baseline") == (
        0,
        "known.json: 4 known findings\n",
        "",
    )
    assert json.loads(Path("known.json").read_text()) == {
        "version": 1,
        "known": {
            "tests/conftest.py": {"IL101": {"serial": 1}},
            "tests/test_a.py": {"IL101": {"boto": 1}},
            "tests/test_b.py": {"IL105": {"shop": 1}, "IL109": {"shop.RATE": 1}},
        },
    }
    assert ask("tests", "--baseline=known.json", "--strict") == (0, "no findings\n", "")


def test_a_baseline_knows_no_lines_and_counts(ask: Ask) -> None:
    ask("tests", "--baseline=known.json", "--write-baseline")
    test = Path("tests/test_b.py")
    test.write_text("# moved\n\n" + _FILES["tests/test_b.py"])
    assert ask("tests", "--baseline=known.json")[1] == "no findings\n"
    test.write_text(test.read_text() + "def test_other():\n    sys.modules.pop('shop')\n")
    status, out, _ = ask("tests", "--baseline=known.json", "--format=json", "--strict")
    assert status == 1
    assert [(one["rule"], one["line"]) for one in json.loads(out)["findings"]] == [("IL105", 8)]


def test_a_baseline_that_is_written_again_forgets_what_is_gone_and_no_file_that_was_not_linted(
    ask: Ask,
) -> None:
    ask("tests", "--baseline=known.json", "--write-baseline")
    Path("tests/test_a.py").write_text("")
    assert ask("tests", "--baseline=known.json") == (
        0,
        "no findings\n",
        "known.json: 1 known finding gone; --write-baseline takes them out\n",
    )
    assert (
        ask("tests/test_a.py", "--baseline=known.json", "--write-baseline")[1]
        == "known.json: 3 known findings\n"
    )
    Path("tests/conftest.py").unlink()
    ask("tests/test_c.py", "--baseline=known.json", "--write-baseline")
    assert list(json.loads(Path("known.json").read_text())["known"]) == ["tests/test_b.py"]


def test_a_baseline_means_the_same_from_another_folder(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    ask("tests", "--baseline=known.json", "--write-baseline")
    monkeypatch.chdir("tests")
    assert ask(".", "--baseline=../known.json") == (0, "no findings\n", "")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nothing", "it is no JSON"),
        ("[]", "it is no baseline of version 1 of the linter"),
        ('{"version": 2, "known": {}}', "it is no baseline of version 1 of the linter"),
        ('{"version": 1, "known": {"a": []}}', "its entry 'a' is no table of rules, names and numbers"),
        ('{"version": 1, "known": {"a": {"IL101": {"b": "c"}}}}', "its entry 'a' is no table"),
    ],
)
def test_a_baseline_that_is_none_is_a_mistake(text: str, reason: str, ask: Ask) -> None:
    Path("known.json").write_text(text)
    status, _, err = ask("tests", "--baseline=known.json")
    assert status == 2
    assert err.startswith(f"ERROR: known.json: {reason}")


def test_a_report_raises_what_a_run_confirmed(ask: Ask) -> None:
    def leak(kind: str, name: str, nodeid: str, severity: str | None = None):  # type: ignore[no-untyped-def]
        place = Location(nodeid.partition("::")[0], 2, exact=True)
        return make_leak(kind, name, Polluter(nodeid, "call"), "Detail.", location=place, severity=severity)

    leaks = (
        leak("removed", "shop", "tests/test_b.py::test_it"),
        leak("blocked-left", "serial", "tests/conftest.py", "warning"),
        leak("removed", "boto", "tests/test_c.py::test_it"),
    )
    Path("r.json").write_text(json.dumps(Report(leaks).as_builtins()))
    status, out, _ = ask("tests", "--from-report=r.json", "--format=json")
    found = [(one["rule"], one["name"], one["severity"]) for one in json.loads(out)["findings"]]
    assert found == [
        ("IL101", "serial", "warning"),
        ("IL101", "boto", "error"),
        ("IL109", "shop.RATE", "warning"),
        ("IL105", "shop", "error"),
    ]
    assert status == 1
    assert json.loads(out)["findings"][3]["message"].endswith(
        " (confirmed: removed shop by tests/test_b.py::test_it)"
    )
    assert ask("tests/test_b.py", "--from-report=r.json")[0] == 1
    allowed = Report(tuple(one._replace(allowed=True) for one in leaks))
    Path("r.json").write_text(json.dumps(allowed.as_builtins()))
    assert ask("tests/test_b.py", "--from-report=r.json")[0] == 0


def test_it_imports_nothing_of_the_project_and_no_pytest(tmp_path: Path) -> None:
    trap = "raise SystemExit('imported')\n"
    write(
        tmp_path,
        {
            **{f"tests/{name}.py": trap for name in ("__init__", "helper")},
            "conftest.py": f"import sys\nsys.modules['a'] = 1\n{trap}",
            "tests/test_a.py": f"import sys, helper\nfrom helper import stub\nstub()\nsys.modules['a'] = 1\n{trap}",
            "shop.py": trap,
        },
    )
    code = (
        "import sys; sys.modules['pytest'] = sys.modules['_pytest'] = None\n"
        "from pytest_import_isolation.__main__ import main\n"
        "status = main(['lint', '.'])\n"
        "assert not {'tests', 'helper', 'conftest', 'shop', 'test_a', 'pluggy'} & set(sys.modules)\n"
        "raise SystemExit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.count("IL101") == 2
