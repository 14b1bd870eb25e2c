"""The command, in the smallest size: that it works, not what it measures."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from benchmarks.paired import Spread
from benchmarks.suites import Cost, Plan, SuiteError, Workshop, counted, run_pytest
from benchmarks.tables import Section, Table
from tests.conftest import TAKES_LONG

from benchmarks import app, big, fresh, instructions, parked, run, scale, trivial

ROOT = Path(__file__).parents[2]


@pytest.fixture
def workshop() -> Iterator[Workshop]:
    made = Workshop()
    yield made
    made.close()


def _printed(*names: str) -> list[str]:
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "benchmarks" / "run.py"),
            "--small",
            *names,
        ],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={key: value for key, value in os.environ.items() if not key.startswith("COVERAGE_")},
    )

    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


# The tests below have the command's parts, and test_tables.py the tables.
@TAKES_LONG
def test_benchmarks_print_their_tables() -> None:
    lines = _printed("load", "window", "cycles")
    for expected in ("== load", "  20 first-party modules", "  synthetic  "):
        assert any(line.startswith(expected) for line in lines), lines


@pytest.mark.neighbours
@TAKES_LONG
def test_benchmarks_of_whole_runs_print_their_tables() -> None:
    lines = _printed("trivial")
    assert any(line.startswith("20 empty tests, 600 modules loaded") for line in lines), lines


@pytest.mark.parametrize("module", [trivial, app, scale, big])
@pytest.mark.parametrize("size", ["full", "check", "small"])
def test_benchmarks_of_suites_make_their_tables_in_every_size(
    module: Any, size: Any, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the runs themselves: each costs one second more than the one before."""
    runs = iter(range(1, 1_000))

    def fake_run(folder: Path, arguments: Sequence[str] = (), *_: object, **__: object) -> Cost:
        for argument in arguments:
            if argument.startswith("--import-leak-file="):
                Path(argument.partition("=")[2]).write_text("report", encoding="utf-8")
        assert folder.is_dir()
        number = float(next(runs))
        return Cost(number, number, {"passed": 77})

    monkeypatch.setattr(module, "run_pytest", fake_run)
    monkeypatch.setattr(module, "installed", lambda name: True)
    monkeypatch.setattr(big, "_downloaded", lambda folder: ROOT)
    monkeypatch.setattr(workshop, "write_trivial", lambda *given: ROOT)

    section = module.measure(Plan(size, workshop, rounds=1))

    assert section.tables
    assert section.missing == ()


@pytest.mark.parametrize(
    ("module", "missing"),
    [
        (
            trivial,
            [
                "pytest-forked: not installed",
                "pytest-isolate: not installed",
                "pytest-isolated: not installed",
            ],
        ),
        (app, ["all: sqlalchemy is not installed", "all: numpy is not installed"]),
        (
            fresh,
            [
                "django.db.models: django is not installed",
                "sqlalchemy.orm: sqlalchemy is not installed",
                "rich.console: rich is not installed",
                "jinja2: not installed",
                "flask: not installed",
            ],
        ),
        (parked, ["pandas: not installed", "sqlalchemy: not installed", "pydantic.main: not installed"]),
        (
            big,
            [
                "the suite of packaging: packaging is not installed",
                "the suite of packaging: pretend is not installed",
                "the suite of packaging: tomli_w is not installed",
            ],
        ),
    ],
)
def test_what_is_not_installed_is_named_and_the_rest_goes_on(
    module: Any, missing: list[str], workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "installed", lambda name: False)
    monkeypatch.setattr(module, "run_pytest", lambda *_, **__: Cost(1.0, 1.0, {}), raising=False)
    monkeypatch.setattr(workshop, "write_trivial", lambda *given: ROOT)

    section = module.measure(Plan("full", workshop, rounds=1))

    assert list(section.missing) == missing


def test_a_peer_that_does_not_work_is_named_and_the_rest_goes_on(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fake_run(folder: Path, arguments: Sequence[str] = (), *_: object, **__: object) -> Cost:
        if "--forked" in arguments:
            raise SuiteError("its run went wrong: 1 failed")
        return Cost(1.0, 1.0, {})

    monkeypatch.setattr(trivial, "installed", lambda name: name == "pytest_forked")
    monkeypatch.setattr(trivial, "run_pytest", fake_run)
    monkeypatch.setattr(workshop, "write_trivial", lambda *given: ROOT)

    section = trivial.measure(Plan("full", workshop, rounds=1))

    assert section.missing[0] == "pytest-forked: its run went wrong: 1 failed"
    assert [table.title for table in section.tables] == [
        "2,000 empty tests, 600 modules loaded",
        "Looking at contents, 600 modules, times import_isolation_contents = off",
        "2,000 empty tests, 1,500 modules loaded",
        "Looking at contents, 1,500 modules, times import_isolation_contents = off",
    ]


def test_instructions_are_counted_beside_those_of_plain_pytest(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fake_run(
        folder: Path, given: Sequence[str], *_: object, within: Sequence[str] = (), **__: object
    ) -> Cost:
        written = [Path(one.partition("=")[2]) for one in within if one.startswith("--cachegrind-out-file=")]
        for file in written:
            number = 3_000_000 if "--import-leak-report" in given else 2_000_000
            file.write_text(f"fl=a.c\nsummary: {number}\n")
        return Cost(1.0, 1.0, {})

    monkeypatch.setattr(instructions, "found_valgrind", lambda: "/bin/valgrind")
    monkeypatch.setattr(instructions, "run_pytest", fake_run)
    monkeypatch.setattr(workshop, "write_trivial", lambda *given: ROOT)

    section = instructions.measure(Plan("full", workshop))

    assert [table.title for table in section.tables] == [
        "2,000 empty tests, 600 modules loaded",
        "One empty test, no modules",
    ]
    assert ("report", "3 M", "1.50 (1.50-1.50)", "+1,000 k") in section.tables[1].rows
    assert section.ratios["report, One empty test, no modules, instructions, times plain"].median == 1.5


def test_instructions_are_not_counted_without_valgrind(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instructions, "found_valgrind", lambda: None)

    section = instructions.measure(Plan("full", workshop))

    assert section.tables == ()
    assert list(section.missing) == ["instructions: valgrind is not installed"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["windows"],
            "there is no benchmark 'windows', only window, imports, trivial, instructions, processes, app, fresh, "
            "parked, load, scale, big, cycles, blame",
        ),
        (["big", "--", "-x"], "what follows -- is for the pytest of --suite=DIR"),
        (["big", "--suite=nowhere"], "--suite: nowhere is no directory"),
        (
            ["--write", "--small"],
            "--write keeps the figures of whole benchmarks: not with --small, --check or --suite",
        ),
        (["--rounds=0"], "argument --rounds: '0' is not a number from 1 on"),
    ],
)
def test_a_mistake_in_the_command_line_is_told_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        run.main(arguments)

    assert stopped.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"run.py: error: {message}"


def section(name: str, **ratios: float) -> Section:
    spreads = {figure.replace("_", " "): Spread(value, value, value, 1) for figure, value in ratios.items()}
    return Section(
        name, f"About {name}.", (Table("A title", ("", "time"), (("plain", "1 s"),)),), (), spreads
    )


def test_a_benchmark_that_fails_is_named_and_the_others_are_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measured(name: str, plan: Plan) -> Section:
        if name == "big":
            raise SuiteError("its run in big went wrong: 1 failed", "the last lines")
        return section(name)

    monkeypatch.setattr(run, "_measured", measured)

    status = run.main(["big", "app", "--small"])

    lines = capsys.readouterr().out.splitlines()
    assert status == 1
    assert lines[:2] == ["== big failed: its run in big went wrong: 1 failed", "the last lines"]
    assert "== app" in lines
    assert lines[-1] == "failed: big"


def test_the_results_keep_what_was_not_measured_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    results = tmp_path / "RESULTS.md"
    monkeypatch.setattr(run, "_RESULTS", results)
    monkeypatch.setattr(run, "_measured", lambda name, plan: section(name))

    assert run.main(["app", "--write"]) == run.main(["window", "--write"]) == 0

    text = results.read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "# Results",
        "## window",
        "## app",
    ]
    assert "About app." in text
    assert str(tmp_path) not in text


@pytest.mark.parametrize(
    ("modules", "status", "last"),
    [
        (50, 0, "  load: milliseconds  15.0 (15.0-15.0)  at most 15     30"),
        (51, 1, "1 of 2 key ratios are beyond their bounds, also when measured again."),
    ],
)
def test_the_check_fails_for_a_figure_that_stays_beyond_its_bound(
    modules: int, status: int, last: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "_measured", lambda name, plan: section(name, modules=modules, milliseconds=15))

    assert run.main(["--check", "load"]) == status

    assert capsys.readouterr().out.splitlines()[-1] == last


@pytest.mark.parametrize(
    ("line", "outcomes"),
    [
        ("2000 passed in 1.23s", {"passed": 2000}),
        (
            "1 failed, 3 passed, 2 skipped, 1 warning in 61.00s (0:01:01)",
            {"failed": 1, "passed": 3, "skipped": 2},
        ),
        ("== 2 errors in 0.10s ==", {"error": 2}),
        ("Killed", {}),
    ],
)
def test_the_outcomes_are_in_the_last_line(line: str, outcomes: dict[str, int]) -> None:
    assert counted(["1 passed in a test's own words", line, ""]) == outcomes


def test_a_suite_that_does_not_pass_is_not_measured(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "test_failing.py").write_text("def test_failing():\n    assert False\n", encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")

    with pytest.raises(SuiteError) as raised:
        run_pytest(tmp_path, [], workshop.environment(), passed=1)

    assert str(raised.value).startswith(f"its run in {tmp_path.name} went wrong: 1 failed in ")
    assert "assert False" in raised.value.output
