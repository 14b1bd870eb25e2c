"""The report and its guard in every mode of pytest-xdist, and without it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.conftest import TAKES_LONG

if TYPE_CHECKING:
    from tests.plugin.conftest import Run, Suite

_LEAKY = {
    "stub.py": "import sys\ndef stub(name): sys.modules[name] = object()\n",
    "test_a.py": "import stub\nstub.stub('at_collection')\ndef test_a(): pass\n",
    "test_b.py": "import sys\ndef test_b():\n    sys.modules['in_test'] = object()\n",
    "test_c.py": "def test_c1(): pass\ndef test_c2(): pass\n",
}
_CRASH = {"test_crash.py": "import os\ndef test_crash():\n    os._exit(3)\n"}
_FAIL = "--import-leak-fail"
_XDIST = ("xdist",)

_MODES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "not-installed": ((), ()),
    "no:xdist": ((), ("-p", "no:xdist")),
    "not-used": (_XDIST, ()),
    "-n0": (_XDIST, ("-n0",)),
    "-n2": (_XDIST, ("-n2",)),
    "each": (_XDIST, ("--dist=each", "--tx", "2*popen")),
    "maxprocesses": (_XDIST, ("-n8", "--maxprocesses=2")),
}
_WORKERS = {"-n2": 2, "each": 2, "maxprocesses": 2}


def _last(run: Run) -> str:
    return [line for line in run.output.splitlines() if line.strip()][-1]


# One way of sharing the tests shows what the others vary.
@pytest.mark.parametrize(
    "mode",
    [pytest.param(m, marks=[TAKES_LONG] if m in ("each", "maxprocesses") else []) for m in _MODES],
)
def test_every_mode_says_every_leak_once_and_fails_for_it(suite: Suite, mode: str) -> None:
    plugins, options = _MODES[mode]
    if mode == "not-installed":
        suite.write({"xdist.py": "raise ImportError('there is no xdist')\n"})
    run = suite.run(_LEAKY, _FAIL, *options, plugins=plugins)
    assert run.status == 1
    assert run.outcomes == {"passed": 8 if mode == "each" else 4}
    assert sorted(run.kinds) == [("fake-left", "at_collection"), ("fake-left", "in_test")]
    assert run.report["complete"] is True
    assert run.report["workers"] == {f"gw{n}": "ok" for n in range(_WORKERS.get(mode, 0))}
    assert run.section.count("error: fake-left") == 2
    assert _last(run) == "import leaks: exit status 1: 2 errors not allowed (--import-leak-fail)"


@pytest.mark.parametrize("mode", ["-n2", pytest.param("each", marks=TAKES_LONG)])
def test_the_allow_list_and_the_baseline_are_the_controllers(suite: Suite, mode: str) -> None:
    options = _MODES[mode][1]
    guard = (
        "--import-leak-baseline=known.json",
        "--import-leak-allow=*:in_test",
        "--import-leak-allow=*:serial",
    )
    run = suite.run(_LEAKY, _FAIL, *guard, "--import-leak-write-baseline", *options, plugins=_XDIST)
    assert run.status == 0
    assert "unused: nothing matched the allow entry '*:serial'" in run.section
    known = {"test_a.py": {"fake-left": ["at_collection"]}}
    assert json.loads((suite.root / "known.json").read_text())["known"] == known
    run = suite.run({"test_a.py": "def test_a(): pass\n"}, _FAIL, *guard, *options, plugins=_XDIST)
    assert run.status == 0
    assert "fixed: 1 known leak no longer occurred" in run.section
    run = suite.run({}, _FAIL, *guard, "-k", "test_c1 or test_b", *options, plugins=_XDIST)
    assert run.status == 0
    assert "fixed" not in run.section
    assert "unused" not in run.section


def test_a_worker_that_crashed_is_named_and_the_run_fails(suite: Suite) -> None:
    run = suite.run({**_LEAKY, **_CRASH}, "-n2", "--max-worker-restart=0", plugins=_XDIST)
    assert run.status == 1
    assert run.report["complete"] is False
    crashed = [worker for worker, state in run.report["workers"].items() if state != "ok"]
    assert len(crashed) == 1
    assert f"worker {crashed[0]}: sent no report" in run.section
    assert "import leaks: exit status" not in run.output  # the test that crashed failed already


_NO_REPORT = """
    import pytest
    from pytest_import_isolation.plugin.output import Output

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(session):
        yield
        output = getattr(session.config, "workeroutput", {{}})
        if session.config.workerinput["workerid"] == "gw1" if output else False:
            {what}
"""


@pytest.mark.parametrize(
    ("what", "state"),
    [
        ("del output['import_leak_report']", "sent no report"),
        (
            "output['import_leak_report'] = 'x'",
            "sent a report that cannot be read (this is no JSON: Expecting value: line 1 column 1 (char 0))",
        ),
        pytest.param(
            "output['import_leak_report'] = 3",
            "sent a report that cannot be read (this is no import leak report: TypeError: the JSON object must be str, bytes or bytearray, not int)",
            marks=TAKES_LONG,
        ),
        pytest.param(
            """output['import_leak_report'] = '{"version": 2}'""",
            "sent a report that cannot be read (this is no import leak report of version 1 (its version is 2))",
            marks=TAKES_LONG,
        ),
        pytest.param(
            "output['import_leak_parts'] = '{}'",
            "sent a report that cannot be read ('collected')",
            marks=TAKES_LONG,
        ),
        pytest.param(
            """output['import_leak_parts'] = '{"collected": {"a": []}, "ran": {}, "whole": [], "broken": []}'""",
            "sent a report that cannot be read (int() argument must be a string, a bytes-like object or a real number, not 'list')",
            marks=TAKES_LONG,
        ),
    ],
    ids=["nothing", "no-json", "no-text", "other-version", "no-parts", "other-parts"],
)
def test_a_worker_whose_report_cannot_be_used_is_named_and_fails_a_guarded_run(
    suite: Suite, what: str, state: str
) -> None:
    allow = "--import-leak-allow=fake-left:*"
    files = {**_LEAKY, "conftest.py": _NO_REPORT.format(what=what)}
    run = suite.run(files, "-n2", _FAIL, allow, plugins=_XDIST)
    assert run.status == 1
    assert run.report["complete"] is False
    assert run.report["workers"] == {"gw0": "ok", "gw1": state}
    assert ("fake-left", "at_collection") in run.kinds
    assert "this report is not complete" in run.section
    assert "INTERNALERROR" not in run.output
    assert _last(run) == f"import leaks: exit status 1: worker gw1 {state} (--import-leak-fail)"


@pytest.mark.parametrize(
    "options", [("-x",), pytest.param(("--maxfail=1",), marks=TAKES_LONG)], ids=lambda options: options[0]
)
def test_stopping_early_reports_what_the_workers_saw(suite: Suite, options: tuple[str, ...]) -> None:
    run = suite.run({**_LEAKY, "test_0.py": "def test_0(): assert 0\n"}, "-n2", *options, plugins=_XDIST)
    assert run.status in (1, 2)  # older and newer releases of xdist
    assert "INTERNALERROR" not in run.output
    assert ("fake-left", "at_collection") in run.kinds
    assert run.report["workers"] == {"gw0": "ok", "gw1": "ok"}


def test_collecting_only_and_interrupts_under_xdist(suite: Suite) -> None:
    run = suite.run(_LEAKY, "-n2", "--co", _FAIL, plugins=_XDIST)
    assert run.status == 1
    assert run.kinds == [("fake-left", "at_collection")]
    stopping = "import pytest\ndef test_0(): pytest.exit('enough')\n"
    run = suite.run({"test_0.py": stopping}, "-n2", _FAIL, plugins=_XDIST)
    assert run.status == 2
    assert "INTERNALERROR" not in run.output
    assert run.report["complete"] is False
