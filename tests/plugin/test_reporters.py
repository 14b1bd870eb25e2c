"""Plugins that read the report of a failure while it is made, or log it later, have our sections."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Run, Suite

# A reporter as allure-pytest is one. Its hook is registered before ours here, as a plugin's may be.
_REPORTER = """
    import json
    import pytest
    read = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(item, call):
        report = yield
        if call.excinfo is not None:
            read[item.name] = report.longreprtext
        return report

    def pytest_sessionfinish(session):
        with open("read.json", "w") as file:
            json.dump(read, file)
"""
_LEAKS = """
    import sys
    from unittest.mock import MagicMock
    import lib.registry

    def test_leaks():
        sys.modules["left"] = MagicMock()
"""
_TITLE = "import leaks: something imported here had been changed"
_PARTS = {
    "lib/__init__.py": "",
    "lib/registry.py": "REGISTERED = []\n",
    "lib/once.py": "import sys\nassert not hasattr(sys, 'it_ran')\nsys.it_ran = True\n",
    "reporter.py": _REPORTER,
    "test_a.py": _LEAKS,
}
_ALL = {
    **_PARTS,
    "test_b.py": """
        import sys
        import pytest

        def test_unexplained():
            assert 0

        def test_victim():
            import left
            assert left.answer == 42

        def test_guard():
            assert "lib.registry" not in sys.modules

        @pytest.mark.isolated_imports
        def test_first():
            import lib.once

        @pytest.mark.isolated_imports
        def test_second():
            import lib.once

        @pytest.mark.xfail
        def test_expected():
            import left
            assert left.answer == 42
    """,
}


def _run(suite: Suite, files: dict[str, str], *options: str, **more: Any) -> tuple[Run, dict[str, str]]:
    run = suite.run(files, "-p", "reporter", *options, env={"PYTHONPATH": suite.python_path}, **more)
    return run, json.loads((suite.root / "read.json").read_text(encoding="utf-8"))


def test_a_reporter_that_reads_a_failure_as_it_is_made_has_each_section_once(suite: Suite) -> None:
    run, read = _run(suite, _ALL)
    assert run.outcomes == {"failed": 4, "passed": 2, "xfailed": 1}
    titles = {
        "test_unexplained": "does it pass alone?",
        "test_victim": _TITLE,
        "test_guard": "modules that were loaded before",
        "test_second": "import isolation",
    }
    for name, title in titles.items():
        assert read[name].count(f" {title} ") == 1, name
        assert run.output.count(f" {title} ") == 1, name
    assert _TITLE not in read["test_expected"]
    (leak,) = (leak for leak in run.leaks if leak["name"] == "left")
    assert [(one["nodeid"], one["outcome"]) for one in leak["exposed"]] == [
        ("test_b.py::test_victim", "failed"),
        ("test_b.py::test_expected", "xfailed"),
    ]


def test_a_module_that_a_test_executes_anew_is_explained_to_a_reporter(suite: Suite) -> None:
    text = """
        import pytest
        import lib.once

        @pytest.mark.isolated_imports(fresh="lib")
        def test_second():
            import lib.once
    """
    run, read = _run(suite, {**_PARTS, "test_b.py": text}, report=False)
    assert run.outcomes == {"failed": 1, "passed": 1}
    assert read["test_second"].count(" import isolation ") == 1
    assert run.output.count(" import isolation ") == 1


_LATER = """
    import pytest
    from _pytest.runner import runtestprotocol
    from reporter import *

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(item, nextitem):
        # Plugins that run a test again see all its reports before they log one.
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for attempt in range(2):
            reports = runtestprotocol(item, nextitem=nextitem, log=False)
            if all(report.passed for report in reports):
                break
            if attempt == 0:
                for report in reports:
                    if report.failed:
                        report.outcome = "rerun"
                        item.ihook.pytest_runtest_logreport(report=report)
                item._initrequest()
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True
"""
_TWICE = """
    import sys
    attempts = []

    def test_passes_second():
        import left
        attempts.append(1)
        assert len(attempts) == 2

    def test_guard():
        assert "lib.registry" not in sys.modules

    def test_unexplained():
        assert 0
"""


def test_reports_that_are_logged_later_have_their_sections_and_outcomes(suite: Suite) -> None:
    run, read = _run(suite, {**_PARTS, "conftest.py": _LATER, "test_b.py": _TWICE})
    assert run.status == 1
    assert "something imported here had been changed" in read["test_passes_second"]
    # The error of the phase that failed is known though the teardown is over.
    assert run.output.count(" modules that were loaded before ") == 1
    assert run.output.count(" does it pass alone? ") == 1
    (leak,) = (leak for leak in run.leaks if leak["name"] == "left")
    assert [one["outcome"] for one in leak["exposed"]] == ["passed"]


_FORKS = """
    import os
    import pickle
    import pytest
    from _pytest.runner import runtestprotocol
    from reporter import *

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(item, nextitem):
        # As pytest-forked does: from the process of the test nothing comes back but reports, whose failures are texts.
        readable, writable = os.pipe()
        if os.fork() == 0:
            reports = runtestprotocol(item, log=False)
            for report in reports:
                report.longrepr = report.longrepr and str(report.longrepr)
            to_data = item.config.hook.pytest_report_to_serializable
            reports = [to_data(config=item.config, report=report) for report in reports]
            os.write(writable, pickle.dumps(reports))
            os._exit(0)
        os.wait()
        for data in pickle.loads(os.read(readable, 60_000)):
            report = item.config.hook.pytest_report_from_serializable(config=item.config, data=data)
            item.ihook.pytest_runtest_logreport(report=report)
        return True
"""


@pytest.mark.skipif(sys.platform in ("win32", "emscripten"), reason="there is no fork")
def test_a_victim_in_a_process_that_another_plugin_forks_is_told(suite: Suite) -> None:
    collected = "import sys\nsys.modules['left'] = object()\ndef test_it(): pass\n"
    files = {**_PARTS, "conftest.py": _FORKS, "test_a.py": collected, "test_b.py": _ALL["test_b.py"]}
    run = suite.run(files, "-k", "victim or test_it", env={"PYTHONPATH": suite.python_path})
    assert run.outcomes == {"failed": 1, "passed": 1, "deselected": 5}
    assert run.output.count(f" {_TITLE} ") == 1
    assert "does it pass alone?" not in run.output


_MAKERS = """
    import pytest

    calls = []

    def _report(item, call):
        calls.append(call.when)
        report = pytest.TestReport.from_item_and_call(item, call)
        report.user_properties.append(("maker", __name__))
        return report
"""


@pytest.mark.parametrize("order", ["", "tryfirst=True", "trylast=True"])
def test_a_conftest_may_make_the_reports_itself(suite: Suite, order: str) -> None:
    run = suite.run(
        {
            **_PARTS,
            "conftest.py": f"""{_MAKERS}
    @pytest.hookimpl({order})
    def pytest_runtest_makereport(call, item):
        return _report(item, call)

    def pytest_runtest_logreport(report):
        told = report.longreprtext.count(" import leaks: ")
        print(report.when, report.outcome, dict(report.user_properties), told)

    def pytest_sessionfinish():
        print(*calls)
""",
            "test_b.py": """
                import pytest

                def test_victim():
                    import left
                    assert left.answer == 42

                def test_skipped():
                    pytest.skip("not today")
            """,
        },
        "-s",
    )
    assert run.outcomes == {"passed": 1, "failed": 1, "skipped": 1}
    made = "{}" if order == "trylast=True" else "{'maker': 'conftest'}"
    assert f"call failed {made} 1" in run.output
    assert f"call skipped {made} 0" in run.output
    # Each phase has one report, whoever makes it.
    phases = "setup call teardown " * 3
    assert (phases.strip() in run.output) == (order != "trylast=True")
