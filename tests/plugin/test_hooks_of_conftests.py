"""What hooks of conftests and of first-party plugins change: who answers for it, and how long it lasts."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import pytest
from tests.conftest import TAKES_LONG

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

#: Each runs while other code runs; the names say in which hook something is placed.
_PLANTING: Final = """
import sys, types

def plant(name):
    sys.modules.setdefault(name, types.ModuleType(name))

def pytest_collect_file(file_path, parent):
    plant("at_file")

def pytest_generate_tests(metafunc):
    plant("at_generation")

def pytest_runtest_logstart(nodeid, location):
    plant("at_start")

def pytest_runtest_setup(item):
    plant("at_setup")

def pytest_pyfunc_call(pyfuncitem):
    plant("at_call")
"""
_PHASES: Final = {
    "at_file": "collect",
    "at_generation": "collect",
    "at_start": "setup",
    "at_setup": "setup",
    "at_call": "call",
}
_ALL: Final = f"import sys\n\ndef test_it():\n    assert {{*{[*_PHASES]}}} <= sys.modules.keys()\n"


@pytest.mark.parametrize("file", ["conftest.py", "planting.py"])
def test_what_a_hook_of_a_conftest_or_plugin_changes_for_a_test_or_file_is_a_warning_at_most(
    suite: Suite, file: str
) -> None:
    # Before 3.12 lines are seen while a file runs that can change the import state.
    places = _PHASES if sys.version_info >= (3, 12) else {n: p for n, p in _PHASES.items() if n != "at_file"}
    run = suite.run(
        {file: _PLANTING, "test_a.py": _ALL, "test_b.py": _ALL},
        "--import-leak-fail",
        *(["-p", "planting"] if file == "planting.py" else []),
        ini="pythonpath = .",
        env={"PYTHONPATH": suite.python_path},
    )
    assert run.outcomes == {"passed": 2}
    for name, phase in places.items():
        leak = run.leak("fake-left", name)
        # By the test or file for which the hook was called, if it was called for one.
        node = {"at_file": file, "at_generation": "test_a.py"}.get(name, "test_a.py::test_it")
        assert (leak["severity"], leak["polluter"]) == ("warning", {"nodeid": node, "phase": phase})
        assert leak["location"]["file"] == file
        assert leak["exposed"] == []
    assert run.status == 0 or places is not _PHASES


@pytest.mark.parametrize("mode", ["file", "test"])
def test_what_a_hook_changes_is_a_warning_where_it_is_undone_too(suite: Suite, mode: str) -> None:
    run = suite.run(
        {"conftest.py": _PLANTING, "test_a.py": _ALL, "test_b.py": _ALL},
        f"--isolate-imports={mode}",
        "--import-leak-fail",
    )
    assert run.outcomes == {"passed": 2}
    of_tests = [leak for leak in run.leaks if leak["name"] in ("at_setup", "at_call") and leak["contained"]]
    assert of_tests
    assert {leak["severity"] for leak in of_tests} == {"warning"}
    assert run.status == 0


def test_what_a_function_of_a_conftest_does_for_a_test_is_the_test_s(suite: Suite) -> None:
    run = suite.run(
        {
            "conftest.py": """\
                import sys
                import pytest

                def plant(name):
                    sys.modules[name] = 1

                @pytest.fixture
                def planted():
                    plant("by_fixture")
            """,
            "test_it.py": """
                import sys
                from conftest import plant

                def test_it(planted):
                    plant("by_call")
            """,
        }
    )
    assert [(leak["name"], leak["severity"], leak["polluter"]) for leak in run.leaks] == [
        ("by_fixture", "error", {"nodeid": "test_it.py::test_it", "phase": "setup"}),
        ("by_call", "error", {"nodeid": "test_it.py::test_it", "phase": "call"}),
    ]


_SHOP: Final = "FOUND = GENERATED = SORTED = COLLECTED = LOOPED = 1\nTESTS = 0\n"
_WRITING: Final = """\
import shop

def pytest_ignore_collect(collection_path):
    shop.FOUND = 2

def pytest_generate_tests(metafunc):
    shop.GENERATED = 2

def pytest_collection_modifyitems(items):
    set_by_others(shop, "SORTED")

def pytest_collection_finish(session):
    shop.COLLECTED = 2

def pytest_runtestloop(session):
    shop.LOOPED = 2

def pytest_runtest_setup(item):
    shop.TESTS += 1

def set_by_others(module, name):
    setattr(module, name, 2)
"""
_WRITTEN: Final = (
    "import shop\n\ndef test_it():\n"
    "    assert (shop.FOUND, shop.GENERATED, shop.SORTED, shop.COLLECTED, shop.LOOPED) == (2,) * 5\n"
    "    assert shop.TESTS == {tests}\n"
)


@pytest.mark.parametrize("mode", ["file", "test", "process", "process-file"])
def test_what_hooks_write_to_modules_for_the_run_stays(suite: Suite, mode: str) -> None:
    files = {
        "shop.py": _SHOP,
        "conftest.py": _WRITING,
        "test_a.py": _WRITTEN.format(tests=1),
        # It writes to the same name, and that is undone.
        "test_b.py": f"{_WRITTEN.format(tests=1)}\ndef test_other():\n    shop.COLLECTED = 3\n",
        "test_c.py": _WRITTEN.format(tests=1),
    }
    run = suite.run(files, f"--isolate-imports={mode}", ini="pythonpath = .")
    assert run.outcomes == {"passed": 4}
    kept = {leak["name"]: leak for leak in run.leaks if not leak["contained"]}
    assert kept.keys() <= {"shop.FOUND", "shop.GENERATED"}
    assert {leak["polluter"]["nodeid"] for leak in kept.values()} <= {"conftest.py"}


def test_a_conftest_answers_for_what_its_hooks_write_to_modules_once(suite: Suite) -> None:
    run = suite.run(
        {
            "shop.py": _SHOP,
            "conftest.py": _WRITING,
            "test_a.py": _WRITTEN.format(tests=1),
            "test_b.py": _WRITTEN.format(tests=2),
        },
        ini="pythonpath = .",
    )
    assert run.outcomes == {"passed": 2}
    assert [(leak["name"], leak["polluter"], leak["location"]["line"]) for leak in run.leaks] == [
        ("shop.FOUND", {"nodeid": "conftest.py", "phase": "collect"}, 4),
        ("shop.GENERATED", {"nodeid": "conftest.py", "phase": "collect"}, 7),
        ("shop.TESTS", {"nodeid": "conftest.py", "phase": "setup"}, 19),
    ]
    assert {(leak["severity"], *leak["exposed"]) for leak in run.leaks} == {("warning",)}


@pytest.mark.parametrize("mode", ["file", "test", "process", "process-file"])
@pytest.mark.parametrize(
    "hook",
    [
        "pytest_collection_modifyitems(items)",
        "pytest_collection_finish(session)",
        "pytest_runtestloop(session)",
    ],
)
def test_what_hooks_change_between_collection_and_tests_is_there_in_every_world(
    suite: Suite, hook: str, mode: str
) -> None:
    test = "def test_it():\n    import gpio, sys\n    assert gpio.PIN == 1 and '/of_hook' in sys.path\n"
    run = suite.run(
        {
            "conftest.py": f"""
                import sys, types

                def {hook}:
                    sys.modules["gpio"] = gpio = types.ModuleType("gpio")
                    gpio.PIN = 1
                    sys.path.append("/of_hook")
            """,
            "test_a.py": test,
            "test_b.py": f"import sys\nsys.modules['other'] = None\n{test}",
            "test_c.py": f"{test}\ndef test_other():\n    import sys\n    assert 'other' not in sys.modules\n",
        },
        f"--isolate-imports={mode}",
    )
    assert run.outcomes == {"passed": 4}


def test_what_such_a_hook_imports_is_executed_anew_for_a_file_with_fakes(suite: Suite) -> None:
    run = suite.run(
        {
            "pytest.ini": "[pytest]\npythonpath = .\n",
            "drv.py": "import gpio\nPIN = gpio.PIN\n",
            "gpio.py": "PIN = 1\n",
            "conftest.py": "def pytest_collection_modifyitems(items):\n    import drv\n",
            "test_a.py": "def test_it():\n    import drv\n    assert drv.PIN == 1\n",
            "test_b.py": """
                import sys, types
                sys.modules["gpio"] = gpio = types.ModuleType("gpio")
                gpio.PIN = 2

                def test_it():
                    import drv
                    assert drv.PIN == 2
            """,
        },
        "--isolate-imports=file",
    )
    assert run.outcomes == {"passed": 2}


_KEEPING: Final = {
    "attribute": ("hasattr(item.config, 'made')", "item.config.made = DB()", "config.made"),
    "container": ("hasattr(item.config, 'made')", "item.config.made = [DB()]", "config.made[0]"),
    "stash": ("key in item.config.stash", "item.config.stash[key] = DB()", "config.stash[conftest.key]"),
}


@pytest.mark.parametrize("mode", ["file", "test", "process-file"])
@pytest.mark.parametrize("way", _KEEPING)
def test_what_a_hook_makes_once_for_all_tests_is_an_instance_for_all(
    suite: Suite, way: str, mode: str
) -> None:
    known, keep, made = _KEEPING[way]
    test = (
        "import conftest\n\ndef test_{}(pytestconfig):\n    config = pytestconfig\n"
        f"    from app.db import DB\n    assert isinstance({made}, DB)\n"
    )
    run = suite.run(
        {
            "app/__init__.py": "",
            "app/db.py": "class DB: pass\n",
            "conftest.py": f"""
                import pytest
                key = pytest.StashKey()

                def pytest_runtest_setup(item):
                    if not ({known}):
                        from app.db import DB
                        {keep}
            """,
            "test_a.py": test.format(1),
            "test_b.py": test.format(2) + test.format(3).partition("\n\n")[2],
        },
        f"--isolate-imports={mode}",
        ini="pythonpath = .",
    )
    assert run.outcomes == {"passed": 3}


def test_what_a_test_keeps_with_its_fake_in_the_config_keeps_no_module(suite: Suite) -> None:
    run = suite.run(
        {
            "drv.py": "import gpio\nclass Driver: pass\n",
            "test_it.py": """
                import sys
                import pytest

                @pytest.mark.isolated_imports(fakes={"gpio": {}})
                def test_with_fake(pytestconfig):
                    import drv
                    pytestconfig.made = drv.Driver()

                def test_after():
                    assert not {"drv", "gpio"} & sys.modules.keys()
            """,
        },
        ini="pythonpath = .",
    )
    assert run.outcomes == {"passed": 2}


@pytest.mark.parametrize("arguments", [(), pytest.param(("-n2",), marks=TAKES_LONG)])
def test_what_a_hook_undoes_as_soon_as_a_file_is_collected_is_no_leak(
    suite: Suite, arguments: tuple[str, ...]
) -> None:
    run = suite.run(
        {
            "conftest.py": """
                import sys

                import json

                def pytest_collectreport(report):
                    sys.modules.pop("fake_one", None)
                    sys.modules["json"] = json
                    sys.modules.pop("real", None)
                """,
            "real.py": "",
            "test_a.py": """
                import json, sys
                sys.modules["fake_one"] = sys.modules["json"] = object()
                sys.modules["fake_two"] = object()
                class TestIt:
                    def test_a(self): assert "fake_one" not in sys.modules
                """,
            "test_b.py": """
                import real
                def test_b(): pass
                """,
        },
        "--import-leak-fail",
        *arguments,
        plugins=("xdist",) if arguments else (),
    )
    assert run.outcomes == {"passed": 2}
    assert {leak["name"] for leak in run.leaks if leak["kind"] == "fake-left"} == {"fake_two"}
    assert not [leak for leak in run.leaks if leak["name"] == "json" and leak["severity"] != "info"]
    # Who imports it again gets a second copy.
    assert {leak["name"] for leak in run.leaks if leak["kind"] == "removed"} == {"real"}
