"""Tests in processes in which nothing of the suite was imported yet."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import pytest
from tests.conftest import TAKES_LONG
from tests.plugin.test_processes import _DUMP, _LEAVES_NOTHING, _RECORDER, _assert_same, _events, _processes

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")

_SUITE = {
    "conftest.py": _RECORDER
    + """
    import heavy
    heavy.LOADED.append("conftest")

    def pytest_collection_modifyitems(items):
        for item in items:
            item.seen = True

    @pytest.fixture(scope="session")
    def session_wide():
        yield 1
""",
    "heavy.py": "LOADED = []\nimport os\nVALUE = os.environ.get('READ_AT_IMPORT', 'no')\n",
    "test_before.py": "import colorsys, os\n\ndef test_here(): os.environ['READ_AT_IMPORT'] = 'yes'\n",
    "test_it.py": """
        import os
        import sys
        import warnings

        import pytest

        import heavy

        pytestmark = pytest.mark.isolated_imports(process="cold")

        @pytest.mark.parametrize("n", [1, 2])
        def test_starts_anew(n, session_wide, tmp_path, record_property):
            record_property("n", n)
            print("printed")
            assert heavy.LOADED == ["conftest"]
            heavy.LOADED.append("test")
            assert "test_before" not in sys.modules
            assert not list(tmp_path.iterdir())
            (tmp_path / "file").write_text("here")

        def test_fails(request):
            warnings.warn("old")
            assert not hasattr(request.node, "seen"), "seen"

        @pytest.mark.xfail
        def test_xfail(): assert 0

        class TestClass:
            def test_skips(self): pytest.skip("now")
    """,
}
_ANEW = """
    def test_environment_is_read_anew():
        assert heavy.VALUE == "yes"

    def test_extension_module_is_new():
        import _heapq
        assert not hasattr(_heapq, "marked_by_the_parent")
"""


def test_a_cold_process_gives_the_events_of_one_process(suite: Suite) -> None:
    options = ("--junitxml=junit.xml", "-v")
    # In one process the modules are not new: the tests themselves are not marked there.
    text = (
        _SUITE["test_it.py"].replace("assert heavy", "heavy").replace('assert "test_before"', '"test_before"')
    )
    plain_text = text.replace('process="cold"', "process=False")
    suite.run({**_SUITE, "test_it.py": plain_text}, *options, report=False)
    plain = _events(suite)
    _processes(suite)
    run = suite.run({"test_it.py": text}, *options, report=False)
    _assert_same(_events(suite), plain)
    processes = dict(_processes(suite))
    assert len(set(processes.values())) == 6  # one of the run, and one for each cold test
    assert run.outcomes["failed"] == 1


def test_nothing_of_the_suite_and_its_environment_is_left_in_a_cold_process(suite: Suite) -> None:
    text = _SUITE["test_it.py"] + _ANEW.replace("\n", "\n    ")
    before = "import colorsys, os, _heapq\n_heapq.marked_by_the_parent = 1\n\ndef test_here(): os.environ['READ_AT_IMPORT'] = 'yes'\n"
    conftest = _SUITE["conftest.py"] + _LEAVES_NOTHING
    run = suite.run({**_SUITE, "conftest.py": conftest, "test_before.py": before, "test_it.py": text})
    assert run.outcomes == {"passed": 5, "failed": 1, "skipped": 1, "xfailed": 1, "warning": 1}
    assert "nothing is left" in run.output


def test_the_parts_of_the_plugin_are_imported_once_for_all_cold_processes(suite: Suite) -> None:
    run = suite.run(
        {
            "conftest.py": """
                import sys
                # Windows are needed when tests are collected, and that is later.
                BEFORE = "pytest_import_isolation.plugin.windows" in sys.modules
            """,
            "test_it.py": """
                import pytest, conftest

                @pytest.mark.isolated_imports(process="cold")
                def test_cold(): assert conftest.BEFORE

                def test_here(): assert not conftest.BEFORE
            """,
        }
    )
    assert run.outcomes == {"passed": 2}


def test_crashes_and_timeouts_of_cold_processes_are_told(suite: Suite) -> None:
    run = suite.run(
        """
            import os
            import time

            import pytest

            pytestmark = pytest.mark.isolated_imports(process="cold")

            def test_dies(): os.abort()

            @pytest.mark.isolated_imports(timeout=1)
            def test_hangs():
                while True:
                    time.sleep(1)

            def test_leaves(): os._exit(4)

            def test_passes(): pass

            if os.environ.get("PYTEST_CURRENT_TEST") is None and "COLD" not in os.environ:
                os.environ["COLD"] = "1"

                def test_is_not_there(): pass
        """,
        report=False,
    )
    assert run.outcomes == {"failed": 3, "passed": 1, "error": 1}
    assert "the process of this test died in its call by SIGABRT" in run.output
    assert "the test timed out: it took longer than 1 s in its call, and was ended by SIGABRT" in run.output
    assert "ended in its call with exit status 4" in run.output
    assert "a cold process collected the file of this test and did not find the test" in run.output


#: A plugin that is imported in the process from which the cold ones are forked too.
_REFUSING = """
import os

FORK = os.fork

def fork():
    if os.path.exists("refuse"):
        raise BlockingIOError(11, "no fork")
    if os.path.exists("die"):
        os._exit(3)
    return FORK()

os.fork = fork
"""


@pytest.mark.parametrize(
    ("file", "reason"),
    [("refuse", "Resource temporarily unavailable"), ("die", "it would be forked from is gone")],
)
def test_a_test_for_which_no_cold_process_can_be_started_fails(suite: Suite, file: str, reason: str) -> None:
    run = suite.run(
        {
            "refusing.py": _REFUSING,
            "conftest.py": _LEAVES_NOTHING
            + f"""
    def pytest_runtest_logstart(nodeid):
        if "refused" in nodeid:
            open({file!r}, "w").close()

    def pytest_runtest_logfinish(nodeid):
        if "refused" in nodeid:
            os.remove({file!r})
""",
            "test_it.py": """
                import pytest

                pytestmark = pytest.mark.isolated_imports(process="cold")

                def test_before(): pass

                def test_refused(): pass

                def test_after(): pass
            """,
        },
        "-p",
        "refusing",
        report=False,
    )
    assert run.outcomes == {"passed": 2, "error": 1}
    assert "no process could be started for this test: a cold process: " in run.output
    assert reason in run.output
    assert "nothing is left" in run.output


def test_a_process_that_ends_the_run_ends_it(suite: Suite) -> None:
    run = suite.run(
        {
            "conftest.py": _LEAVES_NOTHING,
            "test_it.py": """
                import pytest

                @pytest.mark.isolated_imports(process="cold")
                def test_ends(): pytest.exit("enough", returncode=9)

                def test_never(): pass
            """,
        },
        report=False,
    )
    assert run.status == 9
    assert "Exit: enough" in run.output
    assert "nothing is left" in run.output


@TAKES_LONG  # forks of workers are tried in test_processes.py
def test_cold_processes_start_from_xdist_workers(suite: Suite) -> None:
    run = suite.run(_SUITE, "-n2", plugins=("xdist",), report=False)
    assert run.outcomes == {"passed": 3, "failed": 1, "skipped": 1, "xfailed": 1, "warning": 1}


@pytest.mark.neighbours("pytest_cov")
def test_coverage_measures_cold_processes(suite: Suite) -> None:
    files = {
        "app.py": "def choose(value):\n    if value:\n        return 1\n    return 2\n",
        "test_it.py": """
            import pytest

            import app

            @pytest.mark.isolated_imports(process={process})
            def test_one(): assert app.choose(1) == 1

            @pytest.mark.isolated_imports(process={process})
            def test_two(): assert app.choose(0) == 2
        """,
    }
    found = []
    for process in ("False", '"cold"'):
        suite.run(
            {**files, "test_it.py": files["test_it.py"].format(process=process)},
            "--cov=app", "--cov-branch", "--cov-context=test", plugins=("cov",), report=False, measured=False,
        )  # fmt: skip
        measured = json.loads(suite.tool("-c", _DUMP).stdout)
        found.append(measured["app.py"])
    plain, cold = found
    assert cold[:2] == plain[:2]
    # What importing the module executes is executed in each process.
    assert {line: contexts for line, contexts in cold[2].items() if line != "1"} == {
        line: contexts for line, contexts in plain[2].items() if line != "1"
    }


def test_a_file_that_a_plugin_writes_for_an_option_is_not_emptied_by_cold_processes(suite: Suite) -> None:
    run = suite.run(
        {
            "writer.py": """
                def pytest_addoption(parser):
                    parser.addoption("--ends", help="a file for the ends of tests")
                    parser.addoption("--database", help="a file that tests read and write")

                def pytest_configure(config):
                    global ENDS, BASE
                    ENDS = open(config.option.ends, "w", buffering=1)
                    BASE = open(config.option.database, "r+")

                def pytest_runtest_logreport(report):
                    if report.when == "call":
                        ENDS.write(f"{report.nodeid}\\n")
            """,
            "data.txt": "data",
            "test_it.py": """
                import os
                import pytest

                def test_here(): os.chdir("/")

                @pytest.mark.isolated_imports(process="cold")
                @pytest.mark.parametrize("n", [1, 2])
                def test_cold(n, request):
                    with open(os.path.join(request.config.rootpath, request.config.option.database)) as file:
                        assert file.read() == "data"
            """,
        },
        "-p", "writer", "--ends=ends.txt", "--database=data.txt", report=False,
    )  # fmt: skip
    assert run.outcomes == {"passed": 3}
    ends = (suite.root / "ends.txt").read_text(encoding="utf-8").splitlines()
    assert ends == ["test_it.py::test_here", "test_it.py::test_cold[1]", "test_it.py::test_cold[2]"]


def test_what_hooks_print_before_the_test_is_shown_once(suite: Suite) -> None:
    run = suite.run(
        {
            "conftest.py": """
                import os, pytest
                print("a conftest is loaded")

                def pytest_configure(): print("it configures")
                def pytest_sessionstart(): print("it starts")
                def pytest_collection_modifyitems(): os.system("echo it orders")
                def pytest_collection_finish(): print("it has collected")

                @pytest.fixture
                def shows(capsys):
                    with capsys.disabled():
                        print("it is shown")
            """,
            "test_it.py": """
                import pytest
                pytestmark = pytest.mark.isolated_imports(process="cold")
                print("a file is loaded")

                def test_passes(shows): print("unseen")
                def test_fails(shows): print("captured"); assert 0
            """,
        },
        report=False,
    )
    assert run.outcomes == {"passed": 1, "failed": 1}
    said = (
        "is loaded",
        "it configures",
        "it starts",
        "it orders",
        "it has collected",
        "it is shown",
        "unseen",
    )
    assert [run.output.count(words) for words in said] == [0, 1, 1, 1, 1, 2, 0]
    assert re.search(r"Captured stdout call -+\ncaptured\n", run.output)


def test_a_plugin_that_reads_the_command_line_itself_reads_all_of_it(suite: Suite) -> None:
    run = suite.run(
        {
            "reader.py": """
                def pytest_addoption(parser):
                    parser.addoption("--hooks")
                    parser.addoption("--more")

                def pytest_load_initial_conftests(early_config, parser, args):
                    found = parser.parse_known_args(args)
                    early_config.found = found.hooks, found.more
            """,
            "test_it.py": """
                import pytest

                @pytest.mark.isolated_imports(process="cold")
                def test_cold(request):
                    assert request.config.found == ("app", "rest")
                    assert "--hooks=app" in request.config.invocation_params.args

                @pytest.mark.isolated_imports(process="cold")
                def test_plain_asserts():
                    with pytest.raises(AssertionError, match="^$"):
                        assert 1 == 2
            """,
        },
        "-p", "reader", "--hooks=app", "--assert=plain", ini="addopts = --more=rest\n", report=False,
    )  # fmt: skip
    assert run.outcomes == {"passed": 2}
