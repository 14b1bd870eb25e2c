"""Side effects beside the import system: who is blamed, what is undone, and what is nobody's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.conftest import TAKES_LONG

if TYPE_CHECKING:
    from tests.plugin.conftest import Run, Suite

_ADVICE = "Isolation does not undo this. Undo it in the test, with a fixture or monkeypatch."
_OPTION = "--import-leak-effects"


def _told(run: Run) -> list[tuple[str, str, str, str]]:
    """Return name, polluter, phase and sentences of the effects."""
    return [
        (leak["name"], leak["polluter"]["nodeid"], leak["polluter"]["phase"], leak["detail"])
        for leak in run.report["leaks"]
        if leak["kind"] == "effect"
    ]


def _names(run: Run) -> list[str]:
    return [name for name, *_ in _told(run)]


def test_a_variable_that_a_test_leaves_is_told_and_what_is_undone_is_not(suite: Suite) -> None:
    run = suite.run(
        """
        import os, pytest

        @pytest.fixture
        def undone():
            os.environ["UNDONE"] = "1"
            yield
            del os.environ["UNDONE"]

        @pytest.fixture
        def left():
            os.environ["FROM_SETUP"] = "1"
            yield
            os.environ["FROM_TEARDOWN"] = "1"

        def test_leaves():
            os.environ["LEFT"] = "hunter2"

        def test_monkeypatch(monkeypatch, tmp_path):
            monkeypatch.setenv("PATCHED", "1")
            monkeypatch.delenv("LEFT")
            monkeypatch.chdir(tmp_path)

        def test_fixtures(undone, left):
            pass
        """,
        _OPTION,
    )
    assert run.outcomes == {"passed": 3}
    assert run.status == 0
    assert run.leak("effect", "os.environ:LEFT") == {
        "kind": "effect",
        "severity": "warning",
        "name": "os.environ:LEFT",
        "polluter": {"nodeid": "test_it.py::test_leaves", "phase": "call"},
        "location": None,
        "chain": [],
        "detail": "The environment variable LEFT was set.",
        "advice": _ADVICE,
        "allowed": False,
        "contained": False,
        "exposed": [],
    }
    assert _told(run)[1:] == [
        (f"os.environ:FROM_{phase.upper()}", "test_it.py::test_fixtures", phase, said)
        for phase, said in (
            ("setup", "The environment variable FROM_SETUP was set."),
            ("teardown", "The environment variable FROM_TEARDOWN was set."),
        )
    ]
    assert "hunter2" not in run.output + str(run.report)


def test_the_terminal_tells_an_effect_in_four_lines(suite: Suite) -> None:
    wide = {"COLUMNS": "250"}
    run = suite.run("import os\ndef test_it(): os.chdir('/')\n", _OPTION, report=False, env=wide)
    assert run.section.strip().splitlines()[:-1] == [
        "warning: effect cwd",
        "    by test_it.py::test_it (call)",
        f"    The working directory is /; it was {suite.root}.",
        f"    {_ADVICE}",
    ]


def test_a_file_and_a_conftest_are_blamed_for_what_they_do_when_they_are_loaded(suite: Suite) -> None:
    run = suite.run(
        {
            "conftest.py": "import os\nos.environ['FROM_CONFTEST'] = '1'\n",
            "below/conftest.py": "import os\nos.environ['FROM_BELOW'] = '1'\n",
            "below/test_it.py": """
                import logging, os, warnings
                os.environ["FROM_FILE"] = "1"
                logging.getLogger().addHandler(logging.StreamHandler())
                logging.getLogger().addHandler(logging.StreamHandler())
                warnings.simplefilter("ignore")  # pytest puts the filters back
                def test_it(): pass
            """,
        },
        _OPTION,
    )
    assert _told(run) == [
        (
            "os.environ:FROM_CONFTEST",
            "conftest.py",
            "conftest",
            "The environment variable FROM_CONFTEST was set.",
        ),
        (
            "os.environ:FROM_BELOW",
            "below/conftest.py",
            "conftest",
            "The environment variable FROM_BELOW was set.",
        ),
        (
            "os.environ:FROM_FILE",
            "below/test_it.py",
            "collect",
            "The environment variable FROM_FILE was set.",
        ),
        (
            "logging:root",
            "below/test_it.py",
            "collect",
            "A logging.StreamHandler was added to the logger root (2 times).",
        ),
    ]


def test_filters_that_outlive_the_collection_are_told(suite: Suite) -> None:
    run = suite.run(
        """
        import warnings
        warnings.filterwarnings("ignore", "some message")
        def test_it(): warnings.simplefilter("error")
        """,
        _OPTION,
        "-pno:warnings",
    )
    assert _told(run) == [
        ("warnings.filters", "test_it.py", "collect", "The filter 'ignore:some message:Warning' was added."),
        ("warnings.filters", "test_it.py::test_it", "call", "The filter 'error::Warning' was added."),
    ]


_WIDER = """
    import os, pytest

    @pytest.fixture(scope="session")
    def elsewhere(tmp_path_factory):
        old = os.getcwd()
        os.chdir(tmp_path_factory.mktemp("elsewhere"))
        yield
        os.chdir(old)

    @pytest.fixture(scope="module")
    def forgetful(elsewhere):
        os.environ["FORGOTTEN"] = "1"
        yield

    @pytest.fixture(scope="class")
    def on_demand(request):
        request.getfixturevalue("forgetful")
        os.environ["ALSO"] = "1"
        yield
        del os.environ["ALSO"]
"""


def test_what_a_wider_fixture_undoes_is_no_effect_and_what_it_leaves_is_its_own(suite: Suite) -> None:
    run = suite.run(
        {
            "conftest.py": _WIDER,
            "test_one.py": """
                def test_first(elsewhere): pass
                class TestIt:
                    def test_second(self, on_demand): pass
                    def test_third(self, on_demand): pass
            """,
            "test_two.py": "def test_last(elsewhere): pass\n",
        },
        _OPTION,
    )
    assert run.outcomes == {"passed": 4}
    assert _told(run) == [
        (
            "os.environ:FORGOTTEN",
            "test_one.py",
            "setup",
            "The environment variable FORGOTTEN was set. The fixture forgetful did it.",
        )
    ]


def test_a_test_is_blamed_for_its_own_beside_a_wider_fixture(suite: Suite) -> None:
    run = suite.run(
        {
            "conftest.py": _WIDER,
            "test_it.py": """
                import logging, os
                def test_it(elsewhere):
                    os.environ["OWN"] = "1"
                def test_further(elsewhere):
                    os.chdir("/")
                def test_last(elsewhere): pass
            """,
        },
        _OPTION,
    )
    assert [told[:3] for told in _told(run)] == [
        ("os.environ:OWN", "test_it.py::test_it", "call"),
        ("cwd", "test_it.py::test_further", "call"),
    ]


def test_what_a_session_fixture_leaves_is_no_effect_because_nobody_comes_after_it(suite: Suite) -> None:
    run = suite.run(
        """
        import os, pytest
        @pytest.fixture(scope="session")
        def wide(): os.environ["DECIDED"] = "1"
        def test_first(wide): pass
        def test_last(): pass
        """,
        _OPTION,
    )
    assert _names(run) == []


def test_setup_module_and_set_up_class_are_wider_fixtures(suite: Suite) -> None:
    run = suite.run(
        """
        import os, unittest

        def setup_module(): os.environ["OF_MODULE"] = "1"
        def teardown_module(): del os.environ["OF_MODULE"]

        class TestIt(unittest.TestCase):
            @classmethod
            def setUpClass(cls): os.environ["OF_CLASS"] = "1"
            def test_it(self): pass
        """,
        _OPTION,
    )
    sentence = "The environment variable OF_CLASS was set."
    assert _told(run) == [("os.environ:OF_CLASS", "test_it.py::TestIt", "setup", sentence)]


def test_all_of_the_vector_in_one_suite(suite: Suite) -> None:
    run = suite.run(
        """
        import asyncio, atexit, builtins, copyreg, locale, logging, multiprocessing, signal, sys, threading, time
        import warnings

        class Thing: pass
        def hook(*arguments): pass
        def opening(*arguments, open=open, **named): return open(*arguments, **named)

        def test_atexit(): atexit.register(hook)
        def test_logging():
            logging.getLogger("app").addHandler(logging.StreamHandler())
            logging.getLogger().setLevel("ERROR")
        def test_signal(): signal.signal(signal.SIGTERM, hook)
        def test_threads():
            threading.Thread(target=time.sleep, args=(60,), daemon=True, name="sleeper").start()
            threading.Thread(target=time.sleep, args=(0.01,), name="short").start()
        def test_hooks():
            sys.excepthook = hook
            builtins.open = opening
        def test_profile(): sys.setprofile(hook)
        def test_copyreg(): copyreg.pickle(Thing, hook)
        def test_locale(): locale.setlocale(locale.LC_ALL, "C")
        def test_policy():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                class Policy(asyncio.DefaultEventLoopPolicy): pass
                asyncio.set_event_loop_policy(Policy())
        def test_method(): multiprocessing.set_start_method("spawn")
        """,
        _OPTION,
        env={"LC_ALL": "C.UTF-8"},
        measured=False,
    )
    assert run.outcomes == {"passed": 10}
    told = [(name, node.partition("::")[2], detail) for name, node, _, detail in _told(run)]
    assert told == [
        ("atexit", "test_atexit", "One function more will run at exit."),
        ("logging:app", "test_logging", "A logging.StreamHandler was added to the logger app."),
        ("logging:root", "test_logging", "The level of the root logger is ERROR; it was WARNING."),
        ("signal:SIGTERM", "test_signal", "The handler of SIGTERM is test_it.hook; it was SIG_DFL."),
        ("sys.excepthook", "test_hooks", told[4][2]),
        ("builtins.open", "test_hooks", "builtins.open is test_it.opening; it was the interpreter's own."),
        ("sys.setprofile", "test_profile", "sys.setprofile() is at test_it.hook."),
        ("copyreg:test_it.Thing", "test_copyreg", "Objects of test_it.Thing are pickled with test_it.hook."),
        ("locale", "test_locale", told[8][2]),
        ("asyncio.policy", "test_policy", told[9][2]),
        ("multiprocessing.start_method", "test_method", told[10][2]),
        ("threads", "test_threads", "The daemon thread 'sleeper' of time.sleep is still running."),
    ]
    # exceptiongroup has one of its own below Python 3.11.
    assert told[4][2].startswith("sys.excepthook is test_it.hook; it was ")
    assert told[8][2].startswith("The locale is LC_CTYPE=C; it was LC_CTYPE=C.")
    assert told[9][2].startswith("The event loop policy of asyncio is test_it.test_policy.<locals>.Policy;")
    assert told[10][2].startswith("The start method of multiprocessing is spawn; it was f")


def test_what_libraries_do_when_they_are_first_imported_is_no_effect(suite: Suite) -> None:
    package = suite.root / "site-packages"
    suite.write(
        {
            "site-packages/library.py": """
                import atexit, copyreg, logging, os, warnings
                class Thing: pass
                def function(*arguments): pass
                atexit.register(function)
                copyreg.pickle(Thing, function)
                logging.getLogger("library.part").addHandler(logging.StreamHandler())
                os.environ["LIBRARY_SETTING"] = "1"
            """,
            "site-packages/other.py": "import os\nos.environ['CHOSEN'] = '2'\n",
        }
    )
    run = suite.run(
        {
            "test_collected.py": "import library\ndef test_it(): pass\n",
            "test_it.py": """
                import os
                def test_import(): import library
                def test_settings():
                    import other
                    os.environ["CHOSEN"] = "1"
            """,
        },
        _OPTION,
        "test_it.py",
        "test_collected.py",
        env={"PYTHONPATH": f"{suite.python_path}:{package}"},
    )
    assert _names(run) == ["os.environ:CHOSEN"]


def test_daemon_threads_that_installed_packages_keep_are_no_effect(suite: Suite) -> None:
    suite.write(
        {
            "site-packages/pool.py": """
                import threading
                event = threading.Event()
                def work(): event.wait()
                def start(daemon):
                    threading.Thread(target=work, daemon=daemon, name=f"{daemon}").start()
            """
        }
    )
    run = suite.run(
        """
        import pool, pytest
        def test_daemon(): pool.start(True)
        def test_thread(): pool.start(False)
        @pytest.fixture(scope="session", autouse=True)
        def end(request):
            yield
            pool.threading.Timer(1, pool.event.set).start()
        """,
        _OPTION,
        env={"PYTHONPATH": f"{suite.python_path}:{suite.root / 'site-packages'}"},
    )
    sentence = "thread 'False' of pool.work is still running, and the process waits for it at exit."
    assert _told(run)[0] == ("threads", "test_it.py::test_thread", "call", f"The {sentence}")
    assert len(_told(run)) == 2  # the other one is the timer


def test_what_a_wider_fixture_puts_back_in_part_is_told_once(suite: Suite) -> None:
    run = suite.run(
        """
        import os, pytest
        @pytest.fixture(scope="module")
        def wide():
            os.environ["PART"] = "1"
            yield
            os.environ["PART"] = "0"
        def test_first(wide): pass
        def test_last(wide): pass
        """,
        _OPTION,
    )
    assert [told[:3] for told in _told(run)] == [("os.environ:PART", "test_it.py", "setup")]


def test_temporary_directories_of_pytest_and_of_the_library_are_no_effect(suite: Suite) -> None:
    run = suite.run(
        """
        import atexit, tempfile
        def test_pytest(tmp_path): pass
        def test_library():
            with tempfile.TemporaryDirectory(): pass
        def test_unregistered():
            atexit.register(print)
            atexit.unregister(print)
        """,
        _OPTION,
    )
    assert _names(run) == []


_CLEAN = """
    import asyncio, logging, os, sys, warnings
    import pytest

    def test_capture(capsys):
        print("out")
        assert capsys.readouterr().out == "out\\n"

    def test_descriptors(capfd):
        os.system("echo out")
        assert capfd.readouterr().out == "out\\n"

    def test_log(caplog):
        caplog.set_level("DEBUG")
        with caplog.at_level("INFO", "app"):
            logging.getLogger("app").warning("text")
        assert caplog.records

    def test_warning():
        with pytest.warns(UserWarning), warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("text")

    def test_run():
        async def main(): await asyncio.to_thread(os.getpid)
        asyncio.run(main())

    def test_patch(monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "excepthook", print)
        monkeypatch.setattr("builtins.open", print)
"""


@pytest.mark.parametrize(
    ("options", "plugins"),
    [
        ((), ()),
        (("-s",), ()),
        (("--capture=sys", "--log-cli-level=INFO", "--log-level=DEBUG"), ()),
        pytest.param(("-n2",), ("xdist",), marks=TAKES_LONG),
        pytest.param(("--cov=.", "--cov-report="), ("cov",), marks=pytest.mark.neighbours("pytest_cov")),
        pytest.param(
            ("-p", "no:logging", "-p", "no:warnings", "-k", "not log and not warning"), (), marks=TAKES_LONG
        ),
        (("--isolate-imports=test",), ()),
    ],
    ids=lambda value: "-".join(value) or None,
)
def test_a_clean_suite_has_none(suite: Suite, options: tuple[str, ...], plugins: tuple[str, ...]) -> None:
    run = suite.run({"test_it.py": _CLEAN}, _OPTION, *options, plugins=plugins, measured=False)
    assert set(run.outcomes) <= {"passed", "deselected", "warning"}
    assert _told(run) == []


@pytest.mark.neighbours("pytest_asyncio")
def test_a_clean_async_suite_has_none(suite: Suite) -> None:
    run = suite.run(
        """
        import asyncio, pytest, pytest_asyncio

        @pytest_asyncio.fixture(scope="module", loop_scope="module")
        async def wide():
            yield asyncio.get_running_loop()

        @pytest.mark.asyncio
        async def test_function(): await asyncio.to_thread(print)

        @pytest.mark.asyncio(loop_scope="module")
        async def test_module(wide): assert wide is asyncio.get_running_loop()
        """,
        _OPTION,
        plugins=("asyncio",),
    )
    assert run.outcomes["passed"] == 2
    assert _told(run) == []


def test_xdist_workers_tell_theirs_and_what_all_collected_is_told_once(suite: Suite) -> None:
    run = suite.run(
        {
            "conftest.py": "import os\nos.environ['FROM_CONFTEST'] = '1'\n",
            "test_it.py": """
                import logging, os, pytest
                os.environ["FROM_FILE"] = "1"
                @pytest.mark.parametrize("number", range(4))
                def test_it(number): os.environ[f"NUMBER_{number}"] = "1"
            """,
        },
        _OPTION,
        "-n2",
        plugins=("xdist",),
    )
    assert run.report["workers"] == {"gw0": "ok", "gw1": "ok"}
    assert sorted((name, nodeid) for name, nodeid, *_ in _told(run)) == [
        ("os.environ:FROM_CONFTEST", "conftest.py"),
        ("os.environ:FROM_FILE", "test_it.py"),
        *((f"os.environ:NUMBER_{number}", f"test_it.py::test_it[{number}]") for number in range(4)),
    ]


def test_the_option_turns_the_report_on_and_so_does_the_ini_key(suite: Suite) -> None:
    text = "import os\ndef test_it(): os.environ['LEFT'] = '1'\n"
    line = "warning: effect os.environ:LEFT"
    assert line in suite.run(text, _OPTION, report=False).section
    assert line in suite.run(text, report=False, ini="import_leak_effects = true").section


def test_without_the_option_nothing_is_watched(suite: Suite) -> None:
    run = suite.run(
        """
        import os, sys
        def test_it():
            os.environ["LEFT"] = "1"
            assert "pytest_import_isolation.watching.effects" not in sys.modules
            assert "pytest_import_isolation.plugin.effects" not in sys.modules
        """,
        "--import-leak-report",
    )
    assert run.outcomes == {"passed": 1}
    assert run.leaks == []


def test_a_run_that_is_interrupted_in_a_test_tells_what_it_left(suite: Suite) -> None:
    run = suite.run(
        """
        import os
        def test_it():
            os.environ["LEFT"] = "1"
            raise KeyboardInterrupt
        """,
        _OPTION,
    )
    assert _told(run) == [
        ("os.environ:LEFT", "test_it.py::test_it", "call", "The environment variable LEFT was set.")
    ]


@pytest.mark.neighbours("pytest_rerunfailures")
def test_a_second_attempt_at_a_test_is_the_same_test(suite: Suite) -> None:
    run = suite.run(
        """
        import os
        def test_it():
            first = "LEFT" not in os.environ
            os.environ["LEFT"] = "1"
            assert not first
        """,
        _OPTION,
        "--reruns=1",
        plugins=("rerunfailures",),
    )
    assert run.outcomes == {"passed": 1, "rerun": 1}
    assert [told[:3] for told in _told(run)] == [("os.environ:LEFT", "test_it.py::test_it", "call")]


def test_filters_of_a_wider_fixture_are_put_back_by_pytest(suite: Suite) -> None:
    run = suite.run(
        """
        import pytest, warnings
        @pytest.fixture(scope="module")
        def wide(): warnings.simplefilter("error")
        def test_it(wide): pass
        """,
        _OPTION,
    )
    assert _names(run) == []


def test_variables_that_a_plugin_sets_before_the_conftests_are_not_put_down_to_one(suite: Suite) -> None:
    run = suite.run(
        {
            "pytest_dot.py": """
                import os, pytest
                @pytest.hookimpl(tryfirst=True)
                def pytest_load_initial_conftests(): os.environ["OF_PLUGIN"] = "1"
            """,
            "conftest.py": "import os\nos.environ['OF_CONFTEST'] = '1'\n",
            "test_it.py": "def test_it(): pass\n",
        },
        _OPTION,
        "-ppytest_dot",
        env={"PYTHONPATH": suite.python_path},
    )
    assert _names(run) == ["os.environ:OF_CONFTEST"]


def test_files_outside_of_rootdir_keep_their_whole_name(suite: Suite, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    suite.write({str(outside / "conftest.py"): "import os\nos.environ['LEFT'] = '1'\n"})
    suite.write({str(outside / "test_far.py"): "def test_it(): pass\n"})
    run = suite.run({}, _OPTION, f"--rootdir={suite.root}", str(outside))
    assert [told[1] for told in _told(run)] == [str(outside / "conftest.py")]
