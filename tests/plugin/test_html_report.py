"""--import-leak-file=report.html in runs of pytest, and what it adds to the JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import TAKES_LONG

from pytest_import_isolation.__main__ import main
from pytest_import_isolation.report.records import Polluter, Report, make_leak

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

_PAGE = "--import-leak-file=report.html"
_SUITE = {
    "slow/__init__.py": "import time\ntime.sleep(0.03)\nfrom slow import inner\n",
    "slow/inner.py": "import time\ntime.sleep(0.03)\n",
    "test_a.py": """
        import sys
        import slow
        import pytest

        sys.modules["at_collection"] = object()

        def test_passes(): sys.modules["in_test"] = object()
        def test_fails(): assert 0
        def test_is_skipped(): pytest.skip("not today")
        @pytest.mark.xfail(strict=True)
        def test_is_expected_to_fail(): assert 0
        @pytest.fixture
        def broken(): raise ValueError
        def test_has_no_setup(broken): pass
    """,
    "test_b.py": "import slow.broken\n",
    "slow/broken.py": "1 / 0\n",
    "test_c.py": """
        import contextlib

        class TestC:
            def test_c(self):
                with contextlib.suppress(ImportError):
                    import at_collection
    """,
}
_OUTCOMES = [
    ("test_a.py", "collect", "passed"),
    ("test_b.py", "collect", "error"),
    ("test_c.py", "collect", "passed"),
    ("test_a.py::test_passes", "test", "passed"),
    ("test_a.py::test_fails", "test", "failed"),
    ("test_a.py::test_is_skipped", "test", "skipped"),
    ("test_a.py::test_is_expected_to_fail", "test", "xfailed"),
    ("test_a.py::test_has_no_setup", "test", "error"),
    ("test_c.py::TestC::test_c", "test", "passed"),
]


def _data(suite: Suite, name: str = "report.html") -> dict[str, Any]:
    text = (suite.root / name).read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def _outcomes(report: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(event["nodeid"], event["phase"], event["outcome"]) for event in report["events"]]


def test_a_page_is_written_with_the_order_and_the_times_of_the_run(suite: Suite) -> None:
    run = suite.run(_SUITE, _PAGE, "--continue-on-collection-errors")
    assert "written to report.html\n" in run.output
    assert run.outcomes == {"failed": 1, "passed": 2, "skipped": 1, "xfailed": 1, "error": 2}
    # The clock is no frame of anybody's traceback.
    assert "slow/broken.py:1: in <module>" in run.output
    assert "<frozen" not in run.output
    assert "importwatch" not in run.output
    assert _outcomes(run.report) == _OUTCOMES
    events = run.report["events"]
    assert {event["worker"] for event in events} == {""}
    starts = [event["start"] for event in events]
    assert starts == sorted(starts)
    assert events[0]["seconds"] >= 0.06
    imports = run.report["imports"]
    assert "slow.broken" not in imports
    assert imports["slow"] >= imports["slow.inner"] + 0.03 >= 0.06
    data = _data(suite)
    assert data["timed"] is True
    assert [data["text"][row[2]] for row in data["leaks"]] == [leak["name"] for leak in run.leaks]
    assert len(data["events"]) == len(_OUTCOMES)
    tree = {data["text"][row[0]]: row for row in data["imports"]}
    assert data["text"][data["imports"][tree["slow.inner"][1]][0]] == "slow"
    assert tree["slow"][5] >= 60
    (lines,) = data["sources"].values()
    assert 'sys.modules["at_collection"] = object()' in lines.values()


def test_without_a_page_nothing_of_that_is_collected(suite: Suite) -> None:
    code = (
        "import sys\n"
        "def test_it():\n"
        "    assert 'pytest_import_isolation.plugin.history' not in sys.modules\n"
        "    assert 'pytest_import_isolation.report.html' not in sys.modules\n"
    )
    run = suite.run(code)
    assert run.outcomes == {"passed": 1}
    assert list(run.report) == ["version", "complete", "workers", "summary", "leaks"]


def test_imports_are_watched_until_the_end_of_the_run(suite: Suite) -> None:
    conftest = """
        import atexit, importlib._bootstrap as b

        def pytest_configure():
            now = b._ModuleLockManager.__name__
            atexit.register(lambda: print(f"first {now} then {b._ModuleLockManager.__name__}"))
    """
    run = suite.run({"conftest.py": conftest, "test_it.py": "def test_it(): import wave\n"}, _PAGE)
    assert "first _WatchedLock then _ModuleLockManager\n" in run.output
    assert "wave" in run.report["imports"]


def test_a_python_whose_imports_cannot_be_watched_has_no_times_of_imports(suite: Suite) -> None:
    run = suite.run(
        {
            "early.py": "import pytest_import_isolation.watching.import_watch as w\nw.LOCKS = ('_of_another_python',)\n",
            "test_it.py": "def test_it(): import wave\n",
        },
        _PAGE,
        *("-p", "early"),
        env={"PYTHONPATH": suite.python_path},
    )
    assert run.outcomes == {"passed": 1}
    assert "imports" not in run.report
    assert _outcomes(run.report)[-1] == ("test_it.py::test_it", "test", "passed")


@pytest.mark.neighbours("pytest_rerunfailures")
def test_a_test_that_is_tried_again_came_to_what_the_last_try_did(suite: Suite) -> None:
    text = "tries = []\ndef test_it():\n    tries.append(1)\n    assert len(tries) > 1\n"
    run = suite.run(text, _PAGE, "--reruns=2", plugins=("rerunfailures",))
    assert run.outcomes == {"passed": 1, "rerun": 1}
    assert _outcomes(run.report)[1:] == [("test_it.py::test_it", "test", "passed")]


def test_a_test_that_another_plugin_runs_has_no_known_outcome(suite: Suite) -> None:
    conftest = "def pytest_runtest_protocol(item): return True\n"
    run = suite.run({"conftest.py": conftest, "test_it.py": "def test_it(): pass\n"}, _PAGE)
    assert _outcomes(run.report)[1:] == [("test_it.py::test_it", "test", "unknown")]


def test_an_interrupted_test_and_a_collection_that_ends_the_run_are_in_the_page(suite: Suite) -> None:
    run = suite.run("def test_it(): raise KeyboardInterrupt\n", _PAGE)
    assert run.status == 2
    assert _outcomes(run.report) == [
        ("test_it.py", "collect", "passed"),
        ("test_it.py::test_it", "test", "error"),
    ]
    assert _data(suite)["complete"] is False
    run = suite.run("import pytest\npytest.exit('no more')\n", _PAGE)
    assert _outcomes(run.report) == [("test_it.py", "collect", "error")]


@pytest.mark.parametrize("isolation", [pytest.param("off", marks=TAKES_LONG), "file"])
def test_workers_send_what_they_saw(suite: Suite, isolation: str) -> None:
    options = ("-n2", "--continue-on-collection-errors", f"--isolate-imports={isolation}")
    run = suite.run(_SUITE, _PAGE, *options, plugins=("xdist",))
    assert run.report["workers"] == {"gw0": "ok", "gw1": "ok"}
    events = run.report["events"]
    for worker in ("gw0", "gw1"):
        own = [event["nodeid"] for event in events if event["worker"] == worker]
        assert own[:3] == ["test_a.py", "test_b.py", "test_c.py"]
    assert sorted(outcome for outcome in _outcomes(run.report) if outcome[1] == "test") == sorted(
        _OUTCOMES[3:]
    )
    assert "slow" in run.report["imports"]
    data = _data(suite)
    assert data["summary"]["contained" if isolation == "file" else "error"] >= 1
    assert {data["text"][event[5]] for event in data["events"]} == {"gw0", "gw1"}


def test_fakes_in_place_of_what_the_page_needs_break_nothing(suite: Suite) -> None:
    text = "import sys\ndef test_it():\n    for name in ('html', 'hashlib', 'base64', 'string'):\n        sys.modules[name] = object()\n"
    run = suite.run(text, _PAGE)
    assert run.outcomes == {"passed": 1}
    assert {name for _, name in run.kinds} == {"html", "hashlib", "base64", "string"}
    assert len(_data(suite)["leaks"]) == 4


def test_a_page_that_cannot_be_written_is_said(suite: Suite) -> None:
    run = suite.run("import os\ndef test_it(): os.mkdir('report.html')\n", _PAGE)
    assert run.status == 1
    assert "ERROR: the import leak report could not be written to " in run.output


def test_merge_writes_a_page_of_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    leak = make_leak("removed", "app.db", Polluter("test_a.py", "collect"), "Detail.")
    Path("a.json").write_text(json.dumps(Report((leak,)).as_builtins()), encoding="utf-8")
    assert main(["merge", "a.json", "-o", "all.html"]) == 0
    assert capsys.readouterr().out == "all.html: 1 report, 1 error, 0 warnings\n"
    assert "<title>import leaks: 1 error, 0 warnings (0 first imports)</title>" in Path("all.html").read_text(
        encoding="utf-8"
    )
    Path("folder.html").mkdir()
    assert main(["merge", "a.json", "-o", "folder.html"]) == 2
    assert capsys.readouterr().err == "ERROR: folder.html: it cannot be written: Is a directory\n"


def test_the_commands_of_the_page_about_it_work(suite: Suite) -> None:
    text = (Path(__file__).parents[2] / "docs/reference/html-report.md").read_text(encoding="utf-8")
    commands = [
        line for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL) for line in block.splitlines()
    ]
    assert [command.split()[0] for command in commands] == ["pytest", "pytest", "python"]
    stub = "import sys\nsys.modules['smtplib'] = object()\ndef test_it(): pass\n"
    for command in commands[:2]:
        assert suite.run(stub, *command.split()[1:], report=False).status == 0
        assert [row[5][1] for row in _data(suite)["leaks"]] == [2]
    done = suite.tool(*commands[2].split()[1:], env={"PYTHONPATH": suite.python_path})
    assert (done.stdout, done.stderr) == ("all.html: 1 report, 1 error, 0 warnings\n", "")
    assert _data(suite, "all.html") == _data(suite)
