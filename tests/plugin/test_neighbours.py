"""The plugin beside other plugins and tools: isolating, it changes no outcome of theirs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import TAKES_LONG

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

MODES = ("off", "file", "test")

# A file that leaves a fake when it is collected: it gets a world of its own.
_POLLUTER = """
    import sys
    from types import ModuleType

    sys.modules["colorsys"] = ModuleType("colorsys")

    def test_the_fake_is_there():
        import colorsys
        assert not hasattr(colorsys, "rgb_to_hsv")
"""
_VICTIM = """
    def test_the_real_one_is_there():
        import colorsys
        assert colorsys.rgb_to_hsv(0, 0, 0) == (0, 0, 0)
"""


@pytest.fixture(params=[pytest.param("file", marks=TAKES_LONG), "test"])
def isolating(request: pytest.FixtureRequest) -> str:
    """Return an option that isolates the whole suite."""
    return f"--isolate-imports={request.param}"


@pytest.fixture(params=["prepend", "importlib"])
def import_mode(request: pytest.FixtureRequest) -> str:
    """Return an option that says how pytest imports test files."""
    return f"--import-mode={request.param}"


# Coverage

_HAS_MONITORING = sys.version_info >= (3, 12)
_CORES = ["ctrace", "pytrace", *(["sysmon"] if _HAS_MONITORING else [])]

# What the cores put in place, to see that isolation leaves it there.
_CORE_IS_AT_WORK = {
    "ctrace": "assert type(sys.gettrace()).__name__ == 'CTracer'",
    "pytrace": "assert type(sys.gettrace().__self__).__name__ == 'PyTracer'",
    "sysmon": "assert sys.monitoring.get_tool(sys.monitoring.COVERAGE_ID) == 'coverage.py'",
}


def _measured_suite(core: str) -> dict[str, str]:
    # Python before 3.14 cannot measure branches with sys.monitoring.
    return {
        ".coveragerc": f"[run]\nsource = .\nbranch = {core != 'sysmon'}\ncore = {core}\n",
        "app/__init__.py": "",
        "app/calc.py": """
            from app import steps

            def sign(number):
                if number > 0:
                    return steps.up()
                elif number < 0:
                    return steps.down()
                return 0
        """,
        "app/steps.py": """
            def up():
                return 1

            def down():
                return -1
        """,
        "app/alarm.py": """
            import colorsys

            if hasattr(colorsys, "rgb_to_hsv"):
                KIND = "real"
            else:
                KIND = "fake"

            def kind(shout):
                if shout:
                    return KIND.upper()
                return KIND
        """,
        "app/unused.py": "if True:\n    value = 1\n",
        "test_a_polluter.py": _POLLUTER
        + """
    def test_alarm():
        from app import alarm
        assert alarm.kind(False) == "fake"
    """,
        "test_b_first.py": f"""
            import sys

            def test_positive():
                from app import calc
                assert calc.sign(3) == 1
                {_CORE_IS_AT_WORK[core]}

            def test_zero_in_another_execution_of_the_module():
                from app import calc
                assert calc.sign(0) == 0
                {_CORE_IS_AT_WORK[core]}
        """,
        "test_c_second.py": """
            from app import calc

            def test_positive():
                assert calc.sign(3) == 1
        """,
    }


def _write_figures(suite: Suite) -> None:
    # The outer run may be measured itself: its variables name its own data.
    env = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE_")}
    command = [sys.executable, "-m", "coverage", "json", "-q", "-o", "cov.json"]
    subprocess.run(command, cwd=suite.root, env=env, check=True)


def _figures(suite: Suite) -> dict[str, dict[str, Any]]:
    report = json.loads((suite.root / "cov.json").read_text(encoding="utf-8"))
    kinds = ("executed_lines", "missing_lines", "executed_branches", "missing_branches")
    return {name: {kind: file.get(kind) for kind in kinds} for name, file in report["files"].items()}


@pytest.mark.neighbours("coverage")
@pytest.mark.parametrize("core", _CORES)
def test_coverage_run_gives_the_same_figures(suite: Suite, core: str) -> None:
    figures = {}
    for mode in MODES:
        run = suite.run(
            _measured_suite(core),
            f"--isolate-imports={mode}",
            report=False,
            measured=False,
            interpreter=("-m", "coverage", "run"),
        )
        assert run.outcomes == {"passed": 5}
        assert "CoverageWarning" not in run.output
        _write_figures(suite)
        figures[mode] = _figures(suite)
    assert figures["off"]["app/calc.py"]["missing_lines"] == [8]
    assert figures["off"]["app/unused.py"]["executed_lines"] == []
    assert figures["file"] == figures["off"]
    assert figures["test"] == figures["off"]


@pytest.mark.neighbours("pytest_cov")
@pytest.mark.parametrize(
    ("core", "processes"),
    [("ctrace", "-n0"), ("ctrace", "-n2"), *([("sysmon", "-n2")] if _HAS_MONITORING else [])],
)
def test_pytest_cov_gives_the_same_figures(suite: Suite, core: str, processes: str) -> None:
    figures = {}
    for mode in MODES:
        run = suite.run(
            _measured_suite(core),
            *(
                f"--isolate-imports={mode}",
                processes,
                "--dist=loadfile",
                "--cov",
                "--cov-report=json:cov.json",
            ),
            report=False,
            measured=False,
            plugins=("cov", "xdist"),
        )
        assert run.outcomes == {"passed": 5}
        assert "CoverageWarning" not in run.output
        figures[mode] = _figures(suite)
    assert figures["off"]["app/calc.py"]["missing_lines"] == [8]
    assert figures["file"] == figures["off"]
    assert figures["test"] == figures["off"]


@pytest.mark.neighbours("pytest_cov")
@pytest.mark.parametrize("core", ["ctrace", *(["sysmon"] if _HAS_MONITORING else [])])
def test_code_that_is_kept_is_measured_in_each_test_that_executes_it(suite: Suite, core: str) -> None:
    suite.write(
        {
            ".coveragerc": f"[run]\nsource = app\ncore = {core}\n[json]\nshow_contexts = True\n",
            "app.py": """
                import os
                if os.environ.get("APP_MODE"):
                    KIND = "some"
                else:
                    KIND = "none"

                def kind():
                    return KIND
            """,
        }
    )
    os.utime(suite.root / "app.py", (1e9, 1e9))  # what is younger than two seconds is not kept
    run = suite.run(
        f"""
        import pytest

        CODES = []

        @pytest.mark.parametrize("mode", ["", "x", "", "x"])
        def test_app(mode, fresh_import):
            app = fresh_import("app", env={{"APP_MODE": mode}})
            assert app.kind() == ("some" if mode else "none")
            CODES.append(app.kind.__code__)

        def test_what_was_kept():
            assert len(set(map(id, CODES))) == {1 if core == "ctrace" else 4}
        """,
        *("--cov", "--cov-context=test", "--cov-report=json:cov.json"),
        report=False,
        measured=False,
        plugins=("cov",),
    )
    assert run.outcomes["passed"] == 5
    figures = json.loads((suite.root / "cov.json").read_text(encoding="utf-8"))["files"]["app.py"]
    assert figures["missing_lines"] == []
    tests = [f"test_it.py::test_app[{mode}]|run" for mode in ("0", "x0", "1", "x1")]
    assert {line: set(contexts) for line, contexts in figures["contexts"].items()} == {
        **{line: set(tests) for line in ("2", "3", "8", "9")},
        "4": {tests[1], tests[3]},
        "6": {tests[0], tests[2]},
    }


@pytest.mark.neighbours("pytest_cov")
def test_what_was_executed_with_and_without_a_fake_is_measured_together(suite: Suite, isolating: str) -> None:
    run = suite.run(
        {
            **_measured_suite("ctrace"),
            "test_d_alarm.py": """
                from app import alarm

                def test_alarm():
                    assert alarm.kind(True) == "REAL"
            """,
        },
        *(isolating, "--cov", "--cov-report=json:cov.json"),
        report=False,
        measured=False,
        plugins=("cov",),
    )
    assert run.outcomes == {"passed": 6}
    assert _figures(suite)["app/alarm.py"]["missing_lines"] == []
    assert _figures(suite)["app/alarm.py"]["missing_branches"] == []


@pytest.mark.neighbours("pytest_cov")  # it needs coverage
@pytest.mark.parametrize("way", ["pytest-cov", "coverage run"])
def test_files_of_a_measured_package_that_nobody_imported_are_in_the_report(suite: Suite, way: str) -> None:
    # Coverage looks the package up in sys.modules when it ends, to find its other files.
    cov = way == "pytest-cov"
    measured = {}
    for mode in MODES:
        run = suite.run(
            {
                "src/app/__init__.py": "",
                "src/app/used.py": "",
                "src/app/unused.py": "value = 1\n",
                "test_it.py": "def test_it():\n    import app.used\n",
            },
            f"--isolate-imports={mode}",
            *(("--cov=app", "--cov-report=json:cov.json") if cov else ()),
            report=False,
            measured=False,
            plugins=("cov",) if cov else (),
            ini="pythonpath = src",
            interpreter=() if cov else ("-m", "coverage", "run", "--source=app"),
        )
        assert run.outcomes == {"passed": 1}
        if not cov:
            _write_figures(suite)
        measured[mode] = sorted(_figures(suite))
    assert measured["off"] == ["src/app/__init__.py", "src/app/unused.py", "src/app/used.py"]
    assert measured["file"] == measured["off"]
    assert measured["test"] == measured["off"]


# pytest-mock and monkeypatch

_SERVICE = {
    "app/__init__.py": "",
    "app/helper.py": """
        def load():
            return "loaded"
    """,
    "app/service.py": """
        from app.helper import load

        def serve():
            return load()
    """,
}


@pytest.mark.neighbours("pytest_mock")
def test_mocker_patches_by_name(suite: Suite, isolating: str, import_mode: str) -> None:
    run = suite.run(
        {
            **_SERVICE,
            "test_a.py": """
                import sys

                def test_patched(mocker):
                    load = mocker.patch("app.service.load", return_value="patched")
                    from app.service import serve
                    assert serve() == "patched"
                    load.assert_called_once_with()

                def test_spied_on(mocker):
                    from app import helper, service
                    assert service.serve() == "loaded"
                    spy = mocker.spy(helper, "load")
                    assert helper.load() == "loaded"
                    assert spy.spy_return == "loaded"

                def test_faked(mocker):
                    stub = mocker.MagicMock()
                    mocker.patch.dict(sys.modules, {"colorsys": stub, "not_installed": stub})
                    import colorsys, not_installed
                    assert colorsys is not_installed is stub

                def test_not_faked():
                    import colorsys
                    assert colorsys.rgb_to_hsv(0, 0, 0) == (0, 0, 0)
                    assert "not_installed" not in sys.modules
            """,
            "test_b.py": """
                import sys

                def test_nothing_is_left():
                    assert not {"app", "app.helper", "app.service", "not_installed"} & set(sys.modules)

                def test_it_is_as_before():
                    from app.service import serve
                    assert serve() == "loaded"
            """,
        },
        *(isolating, import_mode, "-W", "error"),
        report=False,
        plugins=("mock",),
        ini="pythonpath = .",
    )
    assert run.outcomes == {"passed": 6}


@pytest.mark.neighbours("pytest_mock")
def test_mocker_leaves_modules_without_isolation(suite: Suite) -> None:
    run = suite.run(
        {
            **_SERVICE,
            "test_a.py": "def test_patched(mocker):\n    mocker.patch('app.service.load')\n",
            "test_b.py": "import sys\ndef test_it_is_left():\n    assert 'app.service' in sys.modules\n",
        },
        report=False,
        plugins=("mock",),
        ini="pythonpath = .",
    )
    assert run.outcomes == {"passed": 2}


@pytest.mark.neighbours("pytest_mock")
def test_patches_of_wider_scopes_hold_for_all_their_tests(suite: Suite, isolating: str) -> None:
    test_file = """
        def test_one(patched):
            from app.service import serve
            assert serve() == "for the session"

        def test_two(patched):
            from app import service
            assert service.serve() == "for the session"
            service.state = 1
    """
    suite_files = {
        **_SERVICE,
        "conftest.py": """
            import pytest

            @pytest.fixture(scope="session")
            def patched(session_mocker):
                session_mocker.patch("app.service.load", return_value="for the session")
        """,
        "test_a.py": test_file,
        "test_b.py": test_file,
        "test_c.py": """
            import pytest
            from app import helper

            @pytest.fixture(scope="module", autouse=True)
            def patched_here(module_mocker):
                module_mocker.patch("app.helper.load", lambda: "for the module")

            def test_one():
                assert helper.load() == "for the module"

            def test_two():
                from app.helper import load
                assert load() == "for the module"
        """,
        "test_d.py": """
            def test_the_module_is_over():
                from app.helper import load
                assert load() == "loaded"
        """,
    }
    run = suite.run(suite_files, isolating, report=False, plugins=("mock",), ini="pythonpath = .")
    assert run.outcomes == {"passed": 7}


def test_monkeypatch_of_a_test(suite: Suite, isolating: str, import_mode: str) -> None:
    run = suite.run(
        {
            **_SERVICE,
            "extra/plugin.py": "where = 'extra'",
            "other/plugin.py": "where = 'other'",
            "test_it.py": """
                import sys
                import types
                import pytest

                before = list(sys.path)

                @pytest.mark.parametrize("folder", ["extra", "other"])
                def test_a_path(monkeypatch, pytestconfig, folder):
                    monkeypatch.syspath_prepend(str(pytestconfig.rootpath / folder))
                    import plugin
                    assert plugin.where == (folder if FORGETS else "extra")

                def test_the_path_is_gone():
                    assert sys.path == before
                    if FORGETS:
                        with pytest.raises(ImportError):
                            import plugin

                def test_entries(monkeypatch):
                    fake = types.ModuleType("fake")
                    import json
                    monkeypatch.setitem(sys.modules, "fake", fake)
                    monkeypatch.setitem(sys.modules, "colorsys", fake)
                    monkeypatch.delitem(sys.modules, "json")
                    import colorsys, json as second
                    assert colorsys is fake
                    assert second is not json

                def test_the_entries_are_back():
                    import colorsys, json
                    assert colorsys.rgb_to_hsv(0, 0, 0) == (0, 0, 0)
                    assert "fake" not in sys.modules
                    from json import decoder
                    assert decoder is json.decoder is sys.modules["json.decoder"]

                def test_a_dotted_name(monkeypatch):
                    monkeypatch.setattr("app.service.load", lambda: "patched")
                    import app.service
                    assert app.service.serve() == "patched"
                    monkeypatch.undo()
                    assert app.service.serve() == "loaded"
                    monkeypatch.setattr("app.service.load", lambda: "patched again")

                def test_the_dotted_name_is_back():
                    from app.service import serve
                    assert serve() == "loaded"
            """.replace("FORGETS", str(isolating.endswith("=test"))),
        },
        *(isolating, import_mode, "-W", "error"),
        report=False,
        ini="pythonpath = .",
    )
    assert run.outcomes == {"passed": 7}


def test_monkeypatch_that_outlives_the_test_is_undone_where_it_belongs(suite: Suite, isolating: str) -> None:
    run = suite.run(
        {
            **_SERVICE,
            "extra/plugin.py": "where = 'extra'",
            "test_a.py": """
                import os
                import sys
                import types
                import pytest

                fake = types.ModuleType("fake")
                FOLDER = os.path.join(os.path.dirname(__file__), "extra")

                @pytest.fixture(scope="module")
                def patch():
                    with pytest.MonkeyPatch.context() as patch:
                        patch.syspath_prepend(FOLDER)
                        patch.setitem(sys.modules, "fake", fake)
                        patch.setitem(sys.modules, "colorsys", fake)
                        patch.setattr("app.service.load", lambda: "patched")
                        yield patch

                @pytest.fixture
                def late(patch):
                    # This is done by the test, and undone at the latest with the module.
                    patch.setitem(sys.modules, "late", fake)

                def test_one(patch):
                    import app.service, colorsys
                    assert app.service.serve() == "patched"
                    assert colorsys is sys.modules["fake"] is fake
                    assert sys.path[0] == FOLDER
                    import plugin

                def test_two(patch):
                    from app.service import serve
                    assert serve() == "patched"
                    assert sys.modules["colorsys"] is sys.modules["fake"] is fake
                    assert sys.path[0] == FOLDER
                    import plugin

                def test_three(patch, late):
                    assert sys.modules["late"] is fake

                def test_four(patch):
                    assert ("late" in sys.modules) is STAYS
                    assert sys.path[0] == FOLDER
            """.replace("STAYS", str(isolating.endswith("=file"))),
            "test_b.py": """
                import sys

                def test_it_is_undone():
                    assert not {"fake", "late"} & set(sys.modules)
                    assert not [entry for entry in sys.path if entry.endswith("extra")]
                    import colorsys
                    assert colorsys.rgb_to_hsv(0, 0, 0) == (0, 0, 0)
                    from app.service import serve
                    assert serve() == "loaded"
            """,
        },
        *(isolating, "-W", "error"),
        report=False,
        ini="pythonpath = .",
    )
    assert run.outcomes == {"passed": 5}


def test_a_path_of_one_test_does_not_outlive_a_monkeypatch_of_its_module(
    suite: Suite, isolating: str
) -> None:
    # The patch remembers the path as it was in the first test, and puts that back after the last one.
    run = suite.run(
        {
            "test_a.py": """
                import sys
                import pytest

                @pytest.fixture(scope="module")
                def patch():
                    with pytest.MonkeyPatch.context() as patch:
                        patch.syspath_prepend("/nowhere/patched")
                        yield

                @pytest.mark.isolated_imports(path="/nowhere/of_one_test")
                def test_one(patch):
                    assert sys.path[:2] == ["/nowhere/patched", "/nowhere/of_one_test"]

                def test_two(patch):
                    assert "/nowhere/patched" in sys.path
                    assert "/nowhere/of_one_test" not in sys.path
            """,
            "test_b.py": """
                import sys

                def test_both_are_gone():
                    assert not [entry for entry in sys.path if entry.startswith("/nowhere")]
            """,
        },
        isolating,
        report=False,
    )
    assert run.outcomes == {"passed": 3}


# A fake file system and a fake clock


@pytest.mark.neighbours("pyfakefs")
@pytest.mark.parametrize("mode", MODES)
def test_a_fake_file_system(suite: Suite, mode: str) -> None:
    run = suite.run(
        {
            "store.py": """
                import os
                from os.path import exists
                from pathlib import Path

                def save(path):
                    Path(path).write_text("saved")
            """,
            "test_a.py": """
                import os

                def test_imported_inside(fs):
                    import mailbox, store
                    store.save("/saved-by-a-test")
                    assert store.os.path.exists("/saved-by-a-test")
                    mailbox.Maildir("/saved-by-a-library")

                def test_it_was_not_real():
                    assert not os.path.exists("/saved-by-a-test")
                    assert not os.path.exists("/saved-by-a-library")
                    import mailbox, store
                    assert mailbox.os is store.os is os
                    assert store.exists is os.path.exists
                    assert store.exists(__file__)

                def test_imported_before(fs):
                    import store
                    store.save("/saved-by-a-test")
                    assert os.path.exists("/saved-by-a-test")

                def test_it_was_not_real_either():
                    assert not os.path.exists("/saved-by-a-test")
            """,
            "test_b.py": """
                import os
                from pathlib import Path

                def test_it_is_real(tmp_path):
                    import store
                    store.save(tmp_path / "file")
                    assert store.exists(tmp_path / "file")
                    assert os.listdir(tmp_path) == ["file"]
            """,
            "test_polluter.py": _POLLUTER,
        },
        f"--isolate-imports={mode}",
        report=False,
        plugins=("pyfakefs",),
        ini="pythonpath = .",
    )
    assert run.outcomes == {"passed": 6}


@pytest.mark.neighbours("pyfakefs")
@pytest.mark.parametrize("mode", MODES)
def test_a_fake_file_system_while_windows_open_and_close(suite: Suite, mode: str) -> None:
    run = suite.run(
        {
            "store.py": "from pathlib import Path\ndef save(path):\n    Path(path).write_text('saved')\n",
            "test_a_polluter.py": _POLLUTER,
            "test_b.py": """
                import os
                import pytest

                @pytest.mark.parametrize("number", range(3))
                def test_it(fs_module, number):
                    import store, wave
                    store.save(f"/saved-{number}")
                    assert sorted(n for n in os.listdir("/") if n.startswith("saved")) == [
                        f"saved-{n}" for n in range(number + 1)
                    ]
            """,
            "test_c.py": """
                import os

                def test_it_is_over(tmp_path):
                    import store
                    assert not os.path.exists("/saved-0")
                    store.save(tmp_path / "file")
                    assert os.listdir(tmp_path) == ["file"]
            """,
        },
        f"--isolate-imports={mode}",
        report=False,
        plugins=("pyfakefs",),
        ini="pythonpath = .",
    )
    assert run.outcomes == {"passed": 5}


@pytest.mark.neighbours("pyfakefs")
@pytest.mark.parametrize("mode", MODES)
def test_a_library_that_another_test_loaded_writes_into_the_fake_file_system(suite: Suite, mode: str) -> None:
    # pyfakefs patches the modules that it finds in sys.modules when it begins.
    run = suite.run(
        {
            "test_a.py": "def test_it():\n    import mailbox\n",
            "test_b.py": """
                import os

                def test_written(fs, request):
                    import mailbox
                    fs.create_dir(request.config.rootpath)
                    mailbox.Maildir(os.path.join(request.config.rootpath, "mails"))
            """,
        },
        f"--isolate-imports={mode}",
        report=False,
        plugins=("pyfakefs",),
    )
    assert not (suite.root / "mails").exists()
    assert run.outcomes == {"passed": 2}


_CLOCK = """
    from datetime import datetime

    def year():
        return datetime.now().year
"""

_FREEZERS = {
    "freezegun": "from freezegun import freeze_time",
    "time-machine": "from functools import partial\nfrom time_machine import travel\n"
    "freeze_time = partial(travel, tick=False)",
}


@pytest.mark.neighbours("freezegun", "time_machine")
@pytest.mark.parametrize("freezer", _FREEZERS)
@pytest.mark.parametrize("mode", MODES)
def test_a_frozen_clock(suite: Suite, mode: str, freezer: str) -> None:
    run = suite.run(
        {
            "clock.py": _CLOCK,
            "frozen.py": _FREEZERS[freezer],
            "test_a.py": """
                from frozen import freeze_time
                import pytest

                @freeze_time("2001-02-03 12:00")
                def test_imported_inside():
                    import clock, xmlrpc.client
                    assert clock.year() == 2001
                    assert xmlrpc.client.datetime.now().year == 2001

                def test_thawed():
                    import clock, xmlrpc.client
                    assert clock.year() > 2020
                    assert xmlrpc.client.datetime.now().year > 2020
                    assert clock.datetime is xmlrpc.client.datetime

                def test_frozen_in_the_middle():
                    import clock
                    with freeze_time("2002-02-03 12:00"):
                        assert clock.year() == 2002
                    assert clock.year() > 2020
            """,
            "test_b.py": """
                from frozen import freeze_time
                import pytest

                @pytest.fixture(scope="module", autouse=True)
                def frozen():
                    with freeze_time("2003-02-03 12:00"):
                        yield

                @pytest.mark.parametrize("number", range(2))
                def test_all_of_a_module(number):
                    import clock, plistlib
                    assert clock.year() == 2003
                    assert plistlib.datetime.datetime.now().year == 2003
            """,
            "test_c.py": """
                import datetime
                def test_it_is_over():
                    import clock, plistlib
                    assert clock.year() > 2020
                    assert clock.datetime is datetime.datetime
                    assert plistlib.datetime.datetime.now().year > 2020
            """,
            "test_polluter.py": _POLLUTER,
        },
        *(f"--isolate-imports={mode}", "-W", "error"),
        report=False,
        plugins=("time-machine",),
        ini="pythonpath = .",
    )
    assert run.outcomes == {"passed": 7}


@pytest.mark.neighbours("freezegun", "time_machine")
@pytest.mark.parametrize("freezer", _FREEZERS)
@pytest.mark.parametrize("mode", MODES)
def test_a_library_that_another_test_loaded_is_frozen(suite: Suite, mode: str, freezer: str) -> None:
    # freezegun patches the modules that it finds in sys.modules when it begins.
    test_file = """
        from frozen import freeze_time

        def test_thawed():
            import xmlrpc.client
            assert xmlrpc.client.datetime.now().year > 2020

        def test_frozen():
            with freeze_time("2001-02-03 12:00"):
                import xmlrpc.client
                assert xmlrpc.client.datetime.now().year == 2001
    """
    run = suite.run(
        {
            "frozen.py": _FREEZERS[freezer],
            "test_a.py": "def test_it():\n    import xmlrpc.client\n",
            # Once with the library parked before the file, once with the library parked before the test.
            "test_b.py": test_file.replace("test_thawed", "thawed"),
            "test_c.py": test_file,
        },
        f"--isolate-imports={mode}",
        report=False,
        plugins=("time-machine",),
        ini="pythonpath = .",
    )
    assert run.outcomes == {"passed": 4}


@pytest.mark.parametrize(
    "freezer",
    [
        pytest.param("freezegun", marks=pytest.mark.neighbours("freezegun")),
        pytest.param("time-machine", marks=pytest.mark.neighbours("time_machine")),
    ],
)
def test_a_window_closes_beside_an_importing_thread_while_the_clock_stands_still(
    suite: Suite, freezer: str
) -> None:
    # Closing waits a second for other threads; by a clock that does not move it would wait for ever.
    run = suite.run(
        {
            "frozen.py": _FREEZERS[freezer],
            "slow/__init__.py": "",
            "slow/part.py": """
                import gate
                gate.begun.set()
                assert gate.done.wait(600), "nobody closed the window"
            """,
            "gate.py": "import threading\nbegun, done = threading.Event(), threading.Event()\n",
            "test_it.py": """
                import threading
                import pytest
                import gate
                from frozen import freeze_time

                failures = []

                def load():
                    try:
                        import slow.part
                    except BaseException as error:
                        failures.append(error)

                @pytest.fixture(scope="module", autouse=True)
                def frozen():
                    with freeze_time("2001-02-03 12:00"):
                        yield

                def test_it_imports():
                    global thread
                    thread = threading.Thread(target=load)
                    thread.start()
                    assert gate.begun.wait(600)

                def test_the_window_is_closed():
                    gate.done.set()
                    thread.join()
                    assert not failures
            """,
        },
        "--isolate-imports=test",
        report=False,
        ini="pythonpath = .",
    )
    assert run.outcomes == {"passed": 2}


# Order of tests, and generated examples

_LEAKY = {
    "lambdas/one/index.py": "name = 'one'",
    "lambdas/two/index.py": "name = 'two'",
    "test_a_polluter.py": _POLLUTER,
    "test_b_victim.py": _VICTIM,
    **{
        f"test_{name}.py": f"""
            import os, sys
            sys.path.insert(0, os.path.join(os.path.dirname(__file__), "lambdas", "{name}"))
            import index

            def test_module_level():
                assert index.name == "{name}"

            def test_in_the_function():
                import index as again
                assert again is index
        """
        for name in ("one", "two")
    },
    "test_c_run_time.py": """
        import sys

        def test_removes():
            import wave
            sys.modules["chunk_of_data"] = wave
            sys.modules["json"] = wave

        def test_other():
            pass
    """,
    "test_d_run_time.py": """
        def test_json():
            import json
            assert json.dumps(1) == "1"

        def test_other():
            pass
    """,
}


@pytest.mark.neighbours("pytest_randomly")
@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_random_orders(suite: Suite, seed: str) -> None:
    orders, outcomes = {}, {}
    for mode in MODES:
        run = suite.run(
            _LEAKY,
            f"--isolate-imports={mode}",
            f"--randomly-seed={seed}",
            "-v",
            report=False,
            plugins=("randomly",),
        )
        orders[mode] = re.findall(r"^(\S+::\S+) .*%\]$", run.output, re.MULTILINE)
        outcomes[mode] = run.outcomes
    assert orders["file"] == orders["test"] == orders["off"]
    assert outcomes["file"] == outcomes["test"] == {"passed": 10}
    assert outcomes["off"]["failed"] >= 1


@pytest.mark.neighbours("pytest_randomly")
def test_random_numbers_are_the_same_with_isolation(suite: Suite) -> None:
    printed = []
    for mode in MODES:
        run = suite.run(
            {
                "test_a.py": _POLLUTER,
                "test_b.py": """
                    def test_one():
                        import random
                        print("number", random.random())

                    def test_two():
                        import random
                        print("number", random.random())
                """,
            },
            *(f"--isolate-imports={mode}", "--randomly-seed=7", "-s"),
            report=False,
            plugins=("randomly",),
        )
        assert run.outcomes == {"passed": 3}
        printed.append([line for line in run.output.splitlines() if "number 0." in line])
    assert len(printed[0]) == 2
    assert printed[0] == printed[1] == printed[2]


def test_hypothesis_examples(suite: Suite, isolating: str) -> None:
    run = suite.run(
        {
            **_SERVICE,
            "test_a.py": _POLLUTER,
            "test_b.py": """
                import sys
                import pytest
                from hypothesis import HealthCheck, given, settings, strategies as st

                settings.register_profile("any speed", deadline=None, suppress_health_check=list(HealthCheck))
                settings.load_profile("any speed")

                @pytest.fixture(scope="module")
                def service():
                    from app import service
                    return service

                @given(number=st.integers())
                def test_alone(number):
                    from app.helper import load
                    assert load() == "loaded"

                @given(st.data())
                def test_with_a_fixture(service, data):
                    data.draw(st.text())
                    import app.service
                    assert app.service is service

                @pytest.mark.isolated_imports(missing="wave")
                @settings(max_examples=20)
                @given(text=st.from_regex("[a-z]+"), when=st.datetimes(timezones=st.timezones()))
                def test_marked(text, when):
                    with pytest.raises(ImportError):
                        import wave

                @pytest.mark.parametrize("kind", [int, str])
                @given(st.data())
                def test_parametrised(kind, data):
                    assert isinstance(data.draw(st.from_type(kind)), kind)

                class TestMethods:
                    @given(st.lists(st.integers()))
                    def test_it(self, numbers):
                        import wave
                        assert sorted(sorted(numbers)) == sorted(numbers)
            """,
        },
        *(isolating, "-W", "error"),
        report=False,
        plugins=("hypothesis",),
        ini="pythonpath = .",
    )
    assert run.outcomes == {"passed": 7}


def test_hypothesis_says_the_same_of_a_failing_example(suite: Suite) -> None:
    said = []
    for mode in MODES:
        run = suite.run(
            {
                "limits.py": "def allows(number):\n    if number > 100:\n        return False\n    return True\n",
                "test_it.py": """
                    from hypothesis import HealthCheck, given, settings, strategies as st

                    @settings(
                        database=None, derandomize=True, print_blob=False,
                        deadline=None, suppress_health_check=list(HealthCheck),
                    )
                    @given(st.integers())
                    def test_it(number):
                        import limits
                        assert limits.allows(number)
                """,
            },
            f"--isolate-imports={mode}",
            report=False,
            plugins=("hypothesis",),
        )
        assert run.outcomes == {"failed": 1}
        assert "number=101" in run.output
        lines = [line for line in run.output.splitlines() if line.startswith("E ")]
        said.append([re.sub(r"0x[0-9a-f]+", "0x", line) for line in lines])
    assert said[0] == said[1] == said[2]


# Django

_DJANGO_INI = "DJANGO_SETTINGS_MODULE = site_settings\npythonpath = .\n"

_DJANGO = {
    "site_settings.py": """
        SECRET_KEY = "not secret"
        DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
        INSTALLED_APPS = ["shop.apps.Shop"]
        MIDDLEWARE = ["shop.middleware.Stamp"]
        ROOT_URLCONF = "site_urls"
        TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
        DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
        USE_TZ = True
    """,
    "site_urls.py": """
        from django.urls import include, path
        urlpatterns = [path("shop/", include("shop.urls"))]
    """,
    "shop/__init__.py": "",
    "shop/apps.py": """
        from django.apps import AppConfig

        class Shop(AppConfig):
            name = "shop"

            def ready(self):
                from shop import signals
    """,
    "shop/models.py": """
        from django.db import models

        class Item(models.Model):
            name = models.CharField(max_length=20)
    """,
    "shop/signals.py": """
        from django.db.models.signals import post_save
        from django.dispatch import receiver
        from shop.models import Item

        saved = []

        @receiver(post_save, sender=Item)
        def on_save(sender, instance, **more):
            saved.append(instance.name)
    """,
    "shop/middleware.py": """
        class Stamp:
            def __init__(self, get_response):
                self.get_response = get_response

            def __call__(self, request):
                response = self.get_response(request)
                response["X-Stamp"] = "stamped"
                return response
    """,
    "shop/prices.py": """
        def price(name):
            raise RuntimeError("asks a server")
    """,
    "shop/views.py": """
        from django.shortcuts import get_object_or_404, render
        from shop.models import Item
        from shop.prices import price

        def item(request, name):
            found = get_object_or_404(Item, name=name)
            return render(request, "item.html", {"item": found, "price": price(name)})
    """,
    "shop/urls.py": """
        from django.urls import path
        from shop import views
        urlpatterns = [path("<str:name>/", views.item, name="item")]
    """,
    "shop/templatetags/__init__.py": "",
    "shop/templatetags/money.py": """
        from django import template
        register = template.Library()

        @register.filter
        def euros(value):
            return f"{value} euros"
    """,
    "shop/templates/item.html": "{% load money %}{{ item.name }}: {{ price|euros }}",
    "shop/management/__init__.py": "",
    "shop/management/commands/__init__.py": "",
    "shop/management/commands/count.py": """
        from django.core.management.base import BaseCommand
        from shop.models import Item

        class Command(BaseCommand):
            def handle(self, **options):
                self.stdout.write(f"{Item.objects.count()} items")
    """,
}

_DJANGO_TESTS = """
import io
from unittest import mock
import pytest

pytestmark = pytest.mark.django_db

@pytest.fixture
def item():
    from shop.models import Item
    return Item.objects.create(name="pen")

def test_a_patched_price(client, item):
    with mock.patch("shop.views.price", return_value=3) as price:
        response = client.get("/shop/pen/")
    assert response.content == b"pen: 3 euros"
    assert response["X-Stamp"] == "stamped"
    price.assert_called_once_with("pen")

def test_a_price_patched_otherwise(client, item, monkeypatch):
    monkeypatch.setattr("shop.views.price", lambda name: 4)
    assert client.get("/shop/pen/").content == b"pen: 4 euros"

def test_no_patch(client, item):
    with pytest.raises(RuntimeError, match="asks a server"):
        client.get("/shop/pen/")

def test_the_view_is_the_one_of_its_module():
    from django.urls import resolve, reverse
    from shop import views
    assert reverse("item", args=["pen"]) == "/shop/pen/"
    assert resolve("/shop/pen/").func is views.item

def test_a_signal(item):
    from shop import signals
    assert signals.saved[-1:] == ["pen"]

def test_a_command(item):
    from django.core.management import call_command
    out = io.StringIO()
    call_command("count", stdout=out)
    assert out.getvalue() == "1 items\\n"
"""


@pytest.mark.neighbours("pytest_django")
@pytest.mark.parametrize(("processes", "import_mode"), [("-n0", "prepend"), ("-n2", "importlib")])
@pytest.mark.parametrize("mode", MODES)
def test_a_django_project(suite: Suite, mode: str, processes: str, import_mode: str) -> None:
    run = suite.run(
        {
            **_DJANGO,
            "test_a.py": _DJANGO_TESTS,
            "test_b.py": "from shop import views\n" + _DJANGO_TESTS,
            "test_c.py": _DJANGO_TESTS,
            "test_polluter.py": _POLLUTER,
        },
        *(f"--isolate-imports={mode}", processes, f"--import-mode={import_mode}"),
        report=False,
        plugins=("django", "xdist"),
        ini=_DJANGO_INI,
    )
    assert run.outcomes == {"passed": 19}


@pytest.mark.neighbours("pytest_django")
@pytest.mark.parametrize("polluter", ["test_a.py", "test_b.py"])
@pytest.mark.parametrize("mode", MODES)
def test_a_django_project_with_a_file_that_fakes_a_library(suite: Suite, mode: str, polluter: str) -> None:
    # Django keeps the modules of its first request, whichever file made it.
    fake = "import sys\nfrom unittest.mock import MagicMock\nsys.modules['stripe'] = MagicMock()\n"
    files = dict.fromkeys(("test_a.py", "test_b.py", "test_c.py"), _DJANGO_TESTS)
    run = suite.run(
        {**_DJANGO, **files, polluter: fake + _DJANGO_TESTS},
        f"--isolate-imports={mode}",
        report=False,
        plugins=("django",),
        ini=_DJANGO_INI,
    )
    assert run.outcomes == {"passed": 18}


# Debuggers


def test_post_mortem_debugging_sees_the_world_of_the_test(suite: Suite, isolating: str) -> None:
    run = suite.run(
        {
            "app.py": "value = 'of the application'\n",
            "test_a_polluter.py": _POLLUTER,
            "test_b.py": """
                import sys

                def test_fails():
                    import app
                    sys.modules["fake"] = object()
                    assert app.value == "something else"

                def test_next():
                    pass
            """,
            "test_c.py": """
                import sys

                def test_it_is_undone():
                    assert not {"app", "fake"} & set(sys.modules)
            """,
        },
        *(isolating, "--pdb"),
        stdin="p 'fake' in sys.modules, sys.modules['app'] is app\np app.value\nc\n",
        report=False,
        ini="pythonpath = .",
    )
    assert "(True, True)" in run.output
    assert "(Pdb) 'of the application'" in run.output
    assert run.outcomes == {"failed": 1, "passed": 3}


def test_a_breakpoint_in_an_isolated_test(suite: Suite, isolating: str) -> None:
    run = suite.run(
        {
            "app.py": "def compute():\n    breakpoint()\n    return 42\n",
            "test_it.py": """
                import sys

                def test_one():
                    import app
                    sys.modules["fake"] = object()
                    assert app.compute() == 42

                def test_two():
                    assert ("fake" in sys.modules) is LEAKS
                    import app
                    assert app.compute() == 42
            """.replace("LEAKS", str(isolating.endswith("=file"))),
        },
        isolating,
        stdin="import sys\np 'fake' in sys.modules\nc\nc\n",
        report=False,
        ini="pythonpath = .",
    )
    assert "(Pdb) True" in run.output
    assert len(re.findall(r"^> .*app\.py\(\d\)compute\(\)$", run.output, re.MULTILINE)) == 2
    assert run.outcomes == {"passed": 2}


def test_trace_and_profile_functions_stay(suite: Suite, isolating: str) -> None:
    run = suite.run(
        {
            "conftest.py": """
                import sys
                import threading

                seen = set()

                def trace(frame, event, argument):
                    seen.add((frame.f_globals.get("__name__"), frame.f_code.co_name))
                    return trace

                def profile(frame, event, argument):
                    pass

                def pytest_configure():
                    sys.settrace(trace)
                    sys.setprofile(profile)
                    threading.settrace(trace)

                def pytest_unconfigure():
                    assert sys.gettrace() is trace
                    assert sys.getprofile() is profile
                    sys.settrace(None)
                    sys.setprofile(None)
                    print("seen:", ("app", "compute") in seen, ("test_b", "test_it") in seen)
            """,
            "app.py": "def compute():\n    return 1\n",
            "test_a.py": _POLLUTER,
            "test_b.py": """
                import sys

                def test_it():
                    trace = sys.gettrace()
                    import app, wave
                    assert app.compute() == 1
                    assert sys.gettrace() is trace
                    assert trace.__name__ == "trace"

                def test_two():
                    import conftest
                    assert sys.gettrace() is conftest.trace
                    assert sys.getprofile() is conftest.profile
            """,
        },
        isolating,
        "-s",
        report=False,
        measured=False,
        ini="pythonpath = .",
    )
    assert run.outcomes == {"passed": 3}
    assert "seen: True True" in run.output


# Logging and warnings


@pytest.mark.parametrize("mode", MODES)
def test_logging(suite: Suite, mode: str, import_mode: str) -> None:
    run = suite.run(
        {
            "handlers.py": """
                import logging

                kept = []

                class Memory(logging.Handler):
                    def emit(self, record):
                        kept.append(record.getMessage())
            """,
            "app.py": """
                import logging
                log = logging.getLogger(__name__)

                def run(what):
                    log.info("running %s", what)
            """,
            "test_a.py": """
                import logging, logging.config

                def test_handler_by_its_name():
                    # logging imports the module of the handler, and holds on to the handler.
                    logging.config.dictConfig({
                        "version": 1,
                        "disable_existing_loggers": False,
                        "handlers": {"memory": {"class": "handlers.Memory"}},
                        "loggers": {"app": {"handlers": ["memory"], "level": "INFO"}},
                    })
                    import app
                    app.run("first")

                def test_the_handler_of_a_module_that_may_be_forgotten_works(caplog):
                    import app
                    with caplog.at_level(logging.INFO):
                        app.run("second")
                    assert [record.getMessage() for record in caplog.records] == ["running second"]
                    (handler,) = logging.getLogger("app").handlers
                    assert handler.emit.__globals__["kept"] == ["running first", "running second"]
            """,
            "test_b.py": """
                import logging

                def test_caplog(caplog):
                    caplog.set_level(logging.INFO, "app")
                    import app
                    app.run("third")
                    assert caplog.messages == ["running third"]

                def test_once_more(caplog):
                    import app
                    app.run("fourth")
                    assert caplog.record_tuples == [("app", logging.INFO, "running fourth")]
            """,
            "test_polluter.py": _POLLUTER,
        },
        *(f"--isolate-imports={mode}", import_mode, "-W", "error"),
        report=False,
        ini="pythonpath = .",
    )
    assert run.outcomes == {"passed": 5}


_WARNING = {
    "old.py": """
        import warnings
        warnings.warn("old is old", DeprecationWarning, stacklevel=2)
    """,
    "test_a_polluter.py": _POLLUTER,
    "test_b.py": """
        import pytest

        def test_one():
            with pytest.warns(DeprecationWarning, match="old is old"):
                import old

        def test_two():
            with pytest.warns(DeprecationWarning, match="old is old"):
                import old
    """,
    "test_c.py": """
        import pytest

        def test_it():
            with pytest.warns(DeprecationWarning, match="old is old"):
                import old

        def test_unexpected():
            import warnings
            with pytest.raises(UserWarning):
                warnings.warn("an error")
    """,
}


def test_a_warning_of_an_import_is_given_to_each_who_imports_first(suite: Suite) -> None:
    for mode, outcomes in {
        "off": {"failed": 2, "passed": 3},  # the module is loaded already
        "file": {"failed": 1, "passed": 4},
        "test": {"passed": 5},
    }.items():
        run = suite.run(
            _WARNING, f"--isolate-imports={mode}", "-W", "error", report=False, ini="pythonpath = ."
        )
        assert run.outcomes == outcomes


def test_development_mode_and_warnings_as_errors_are_quiet(
    suite: Suite, isolating: str, import_mode: str
) -> None:
    run = suite.run(
        {
            **_SERVICE,
            **_LEAKY,
            "test_marked.py": """
                import asyncio
                import threading
                import pytest

                pytestmark = pytest.mark.isolated_imports(missing="wave")

                @pytest.fixture(scope="session")
                def session():
                    import app.service

                def test_it(session):
                    import netrc, app.service
                    thread = threading.Thread(target=__import__, args=["mailbox"])
                    thread.start()
                    thread.join()

                def test_a_loop():
                    async def go():
                        import app.helper
                        await asyncio.sleep(0)
                    asyncio.run(go())
            """,
        },
        *(isolating, import_mode, "-W", "error", "--strict-markers", "--strict-config"),
        report=False,
        interpreter=("-X", "dev"),
        env={"PYTHONWARNINGS": "error", "PYTHONDEVMODE": "1"},
        ini="pythonpath = .",
    )
    assert run.outcomes == {"passed": 12}
    assert "Warning" not in run.output
    assert "Exception ignored" not in run.output


# Evictions

# What a test leaves on a module is undone, but for those of pytest.
_EVICTING = {
    "at module level": """
        import sys
        from unittest import mock
        import pytest

        with mock.patch.dict(sys.modules):
            import numpy as first

        {at_once}

        def test_evicts():
            pytest.seen = first
    """,
    "in a function-scoped fixture": """
        import sys
        from unittest import mock
        import pytest

        @pytest.fixture
        def first():
            with mock.patch.dict(sys.modules):
                import numpy
            {at_once}
            return numpy

        def test_evicts(first):
            pytest.seen = first
    """,
    "in a session-scoped fixture": """
        import sys
        from unittest import mock
        import pytest

        @pytest.fixture(scope="session")
        def first():
            with mock.patch.dict(sys.modules):
                import numpy
            {at_once}
            return numpy

        def test_evicts(first):
            pytest.seen = first
    """,
    "around a test": """
        import sys
        from unittest import mock
        import pytest

        @mock.patch.dict(sys.modules, {{"fake": mock.MagicMock()}})
        def test_evicts():
            import numpy
            pytest.seen = numpy
            {at_once}
    """,
    "in a test": """
        import sys
        from unittest import mock
        import pytest

        def test_evicts():
            with mock.patch.dict(sys.modules):
                import numpy
            pytest.seen = numpy
            {at_once}
    """,
}

_SEEN_AGAIN = """
        def test_seen_again():
            import numpy
            import pytest
            import numpy.linalg
            assert numpy is pytest.seen
            assert numpy.array([1]).sum() == 1
"""


def _evicting(where: str, at_once: str) -> dict[str, str]:
    text = _EVICTING[where].format(at_once=at_once)
    return {"test_a.py": text + _SEEN_AGAIN, "test_b.py": _SEEN_AGAIN}


@pytest.mark.neighbours("numpy")
@pytest.mark.parametrize("where", _EVICTING)
def test_what_a_patched_dict_evicted_comes_back_as_the_same_object(
    suite: Suite, where: str, isolating: str
) -> None:
    run = suite.run(_evicting(where, ""), isolating, "-W", "error", report=False, measured=False)
    assert run.outcomes == {"passed": 3}


@pytest.mark.neighbours("numpy")
@pytest.mark.parametrize("where", [where for where in _EVICTING if where != "around a test"])
def test_what_a_patched_dict_evicted_comes_back_at_once(suite: Suite, where: str, isolating: str) -> None:
    at_once = "import numpy as second; assert second.array([1]).sum() == 1"
    run = suite.run(_evicting(where, at_once), isolating, "-W", "error", report=False, measured=False)
    assert run.outcomes == {"passed": 3}


@pytest.mark.neighbours("numpy")
def test_without_isolation_what_was_evicted_cannot_be_imported_again(suite: Suite) -> None:
    run = suite.run(_evicting("in a test", ""), report=False, measured=False)
    assert run.outcomes["failed"] >= 1  # numpy raises, or warns and is there twice
