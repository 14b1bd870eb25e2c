"""python -m pytest_import_isolation: merge, show and who."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_import_isolation.__main__ import main
from pytest_import_isolation.report.merging import merge
from pytest_import_isolation.report.policy import parse_allowance
from pytest_import_isolation.report.records import (
    Exposure,
    Leak,
    Link,
    Location,
    Polluter,
    Report,
    make_leak,
    parse_report,
)
from pytest_import_isolation.report.who import who

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

Write = Callable[[str, Report], str]
Answer = tuple[int, str, str]


def _leak(kind: str, name: str, nodeid: str, line: int = 3) -> Leak:
    place = Location(nodeid.partition("::")[0], line, exact=True)
    return make_leak(kind, name, Polluter(nodeid, "call"), "Detail.", location=place)


_ONE = Report((_leak("fake-left", "boto", "test_a.py::test"), _leak("loaded", "wave", "test_a.py::test")))
_TWO = Report(
    (_leak("fake-left", "boto", "test_a.py::test"), _leak("removed", "wave", "test_b.py::test")),
    complete=False,
    workers={"gw0": "sent no report"},
)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def write(name: str, report: Report) -> str:
        Path(name).write_text(json.dumps(report.as_builtins()), encoding="utf-8")
        return name

    return write


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    def ask(*arguments: str) -> Answer:
        try:
            status = main(arguments)
        except SystemExit as stopped:  # argparse
            status = int(str(stopped.code))
        out, err = capsys.readouterr()
        return status, out, err

    return ask


def test_merge_writes_one_report_with_all_fields(write: Write, ask: Callable[..., Answer]) -> None:
    files = write("a.json", _ONE), write("b.json", _TWO)
    assert ask("merge", *files, "-o", "all.json") == (0, "all.json: 2 reports, 2 errors, 0 warnings\n", "")
    text = Path("all.json").read_text(encoding="utf-8")
    assert parse_report(text) == merge([_ONE, _TWO])
    assert json.loads(text)["workers"] == {"gw0": "sent no report"}
    assert ask("merge", "a.json", "--output=a.json")[0] == 0
    assert parse_report(Path("a.json").read_text(encoding="utf-8")) == _ONE


def test_show_prints_what_pytest_prints(write: Write, ask: Callable[..., Answer]) -> None:
    write("a.json", _ONE)
    status, out, err = ask("show", "a.json")
    assert (status, err) == (0, "")
    assert out == (
        "error: fake-left boto\n"
        "    by test_a.py::test (call), at test_a.py:3\n"
        "    Detail.\n"
        "    Fake it for the tests that need it only: mark them with\n"
        '        @pytest.mark.isolated_imports(fakes={"boto": {...}}), or use the\n'
        "        fake_module fixture.\n"
        "import leaks: 1 error, 0 warnings (1 first import)\n"
    )
    assert (
        "first imports (1):\n  wave by test_a.py::test (call), at test_a.py:3\n"
        in ask("show", "-vv", "a.json")[1]
    )
    write("b.json", _TWO)
    out = ask("show", "a.json", "b.json")[1]
    assert out.endswith(
        "worker gw0: sent no report\n"
        "this report is not complete: the run ended before everything was seen\n"
        "import leaks: 2 errors, 0 warnings (1 first import)\n"
    )


def test_show_is_as_wide_as_the_terminal_and_coloured_on_one(
    write: Write, ask: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    write("a.json", _ONE)
    monkeypatch.setenv("COLUMNS", "200")
    assert '(fakes={"boto": {...}}), or use the fake_module fixture.\n' in ask("show", "a.json")[1]
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert "\x1b[31;1merror: fake-left boto\x1b[0m\n    by test_a.py" in ask("show", "a.json")[1]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in ask("show", "a.json")[1]


def _who(report: Report, name: str) -> list[str]:
    return [line.text for line in who(report, name)]


def test_who_tells_the_first_importer_the_leaks_and_those_who_met_them() -> None:
    chain = (Link("app", "test_a.py", 1), Link("app.db", "app/__init__.py", 4))
    exposed = (
        Exposure("test_c.py::test", "call", "test_c.py", 7, "failed"),
        Exposure("test_d.py", "collect", "test_d.py", 1, "passed"),
    )
    report = Report(
        (
            _leak("loaded", "app.db", "test_a.py", 1)._replace(chain=chain),
            _leak("loaded", "app.db", "test_z.py", 9),
            _leak("loaded", "app", "test_a.py", 1),
            _leak("removed", "app.db", "test_b.py::test")._replace(exposed=exposed),
            _leak("removed", "app.database", "test_b.py::test"),
            _leak("fake-left", "app.db.pool", "test_b.py::test")._replace(contained=True),
            _leak("fake-left", "app.db.sql", "test_b.py::test")._replace(allowed=True, location=None),
        )
    )
    assert _who(report, "app.db") == [
        "app.db was first imported by test_a.py (call), at test_a.py:1, through app/__init__.py:4",
        "    test_a.py:1 imported app",
        "    app/__init__.py:4 imported app.db",
        "app.db was first imported by test_z.py (call), at test_z.py:9",
        "error: removed app.db by test_b.py::test (call), at test_b.py:3",
        "    Detail.",
        "    imported after that, 2 times:",
        "        test_c.py::test (call), at test_c.py:7: failed",
        "        test_d.py (collect), at test_d.py:1: passed",
        "error: fake-left app.db.pool (contained) by test_b.py::test (call), at test_b.py:3",
        "    Detail.",
        "error: fake-left app.db.sql (allowed) by test_b.py::test (call)",
        "    Detail.",
    ]
    assert _who(report, "app.database") == [
        "error: removed app.database by test_b.py::test (call), at test_b.py:3",
        "    Detail.",
        "app.database: no first import was seen; it was loaded before the run began to watch, or never",
    ]
    assert _who(report, "appp") == [
        "appp: no import and no leak of it was seen (did you mean 'app'?); "
        "it was loaded before the run began to watch, or never"
    ]


def test_who_reads_several_reports(write: Write, ask: Callable[..., Answer]) -> None:
    write("a.json", _ONE)
    write("b.json", _TWO)
    status, out, _ = ask("who", "wave", "a.json", "b.json")
    assert status == 0
    assert out.startswith(
        "wave was first imported by test_a.py::test (call), at test_a.py:3\nerror: removed wave by "
    )
    assert ask("who", "nothing", "a.json")[0] == 0


def test_files_that_cannot_be_used_are_named_in_one_line(write: Write, ask: Callable[..., Answer]) -> None:
    write("a.json", _ONE)
    Path("bad.json").write_text("{", encoding="utf-8")
    Path("baseline.json").write_text('{"version": 1, "known": {}}', encoding="utf-8")
    Path("future.json").write_text('{"version": 2}', encoding="utf-8")
    Path("binary.json").write_bytes(b"\xff\xfe\xff")
    Path("folder").mkdir()
    name_one = "name a file that pytest --import-leak-file wrote"
    json_error = "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"
    for file, sentence in {
        "nothing.json": "it cannot be read: No such file or directory",
        "folder": "it cannot be read: Is a directory",
        "bad.json": f"this is no JSON: {json_error}; {name_one}",
        "baseline.json": f"this is no import leak report: KeyError: 'workers'; {name_one}",
        "future.json": f"this is no import leak report of version 1 (its version is 2); {name_one}",
        "binary.json": f"this is no text; {name_one}",
    }.items():
        for command in (("show", file), ("who", "x", file), ("merge", "a.json", file, "-o", "new.json")):
            assert ask(*command) == (2, "", f"ERROR: {file}: {sentence}\n")
    assert not Path("new.json").exists()
    assert ask("merge", "a.json", "-o", "folder") == (
        2,
        "",
        "ERROR: folder: it cannot be written: Is a directory\n",
    )


def test_unusable_command_lines_are_mistakes(ask: Callable[..., Answer]) -> None:
    for command in ((), ("nothing",), ("show",), ("who", "x"), ("merge", "a.json")):
        status, out, err = ask(*command)
        assert (status, out) == (2, "")
        assert err.startswith("usage: python -m pytest_import_isolation ")
    status, out, _ = ask("--help")
    assert status == 0
    for name in ("merge", "show", "who"):
        assert f"\n    {name} " in out


def _command(suite: Suite, *arguments: str, code: str = "") -> subprocess.CompletedProcess[str]:
    how = ["-c", code] if code else ["-m", "pytest_import_isolation"]
    return subprocess.run(
        [sys.executable, *how, *arguments],
        cwd=suite.root,
        env={**os.environ, "PYTHONPATH": suite.python_path, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_the_commands_read_what_shards_wrote_and_show_what_pytest_showed(suite: Suite) -> None:
    files = {
        "test_a.py": "import sys\nsys.modules['boto'] = object()\nimport colorsys\ndef test_a(): pass\n",
        "test_b.py": "import sys\ndef test_b():\n    sys.modules['in_test'] = object()\n",
    }
    told = suite.run(files).section
    shown = _command(suite, "show", "report.json")
    assert shown.returncode == 0
    assert told.partition("\nwritten to")[0].strip() == shown.stdout.strip()
    suite.run({}, "test_a.py", "--import-leak-file=a.json", report=False)
    suite.run({}, "test_b.py", "--import-leak-file=b.json", report=False)
    merged = _command(suite, "merge", "a.json", "b.json", "-o", "all.json")
    assert merged.stdout == "all.json: 2 reports, 2 errors, 0 warnings\n"
    answer = _command(suite, "who", "colorsys", "all.json").stdout
    assert answer.startswith("colorsys was first imported by test_a.py (collect), at test_a.py:3\n")


def test_the_commands_of_the_readme_work(suite: Suite) -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```console\n((?:pytest --import-leak-b|python -m pytest_import)[^`]*)```", text)
    commands = [line for block in blocks for line in block.splitlines()]
    assert len(commands) == 5
    stub = "import sys\nsys.modules['smtplib'] = object()\ndef test_it(): pass\n"
    for name in ("a", "b"):
        suite.run(
            {f"test_{name}.py": stub}, f"test_{name}.py", f"--import-leak-file={name}.json", report=False
        )
    for command in commands:
        program, *rest = command.split()
        if program == "pytest":
            assert suite.run({}, *rest, report=False).status == 0
        else:
            done = _command(suite, *rest[2:])
            assert (done.returncode, done.stderr) == (0, "")
            assert ("fake-left smtplib" in done.stdout) is (rest[2] != "merge")


@pytest.mark.parametrize("page", ["README.md", "docs/how-to/ci.md", "docs/reference/accepting-leaks.md"])
def test_the_allow_lists_of_the_pages_can_be_read(page: str) -> None:
    text = (Path(__file__).parents[2] / page).read_text(encoding="utf-8")
    _, _, entries = text.partition("import_leak_allow =\n")
    for entry in entries.partition("```")[0].splitlines():
        assert parse_allowance(entry, page).text == entry.strip()


def test_the_commands_load_no_pytest_and_stop_when_nobody_reads(suite: Suite) -> None:
    code = "import sys, pytest_import_isolation.__main__ as m; print('pytest' in sys.modules, '_pytest' in sys.modules)"
    assert _command(suite, code=code).stdout == "False False\n"
    leaks = [_leak("loaded", f"module{n}\udcff", "test_a.py") for n in range(200)]
    (suite.root / "r.json").write_text(json.dumps(Report(tuple(leaks)).as_builtins()), encoding="utf-8")
    shown = _command(suite, "show", "-vv", "r.json")
    assert shown.returncode == 0
    assert "  module7\\udcff by test_a.py (call), at test_a.py:3\n" in shown.stdout
    closed = _command(
        suite,
        code="import os, sys\nfrom pytest_import_isolation.__main__ import main\n"
        "read, write = os.pipe()\nos.close(read)\nos.dup2(write, 1)\nsys.exit(main(['show', '-v', 'r.json']))",
    )
    assert (closed.returncode, closed.stderr) == (0, "")
