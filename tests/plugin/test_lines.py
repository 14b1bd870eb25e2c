"""The line of the statement that changed the import system: observed, whatever its shape."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Run, Suite

#: The line that makes the leak ends in a comment with the name of the leak.
_MODULE_LEVEL = {
    "assignment": 'sys.modules["m1"] = MagicMock()  # m1',
    "assignment_over_lines": """
        sys.modules[  # m2
            "m2"
        ] = MagicMock(
            name="m2",
        )
    """,
    "setdefault": 'sys.modules.setdefault("m3", ModuleType("m3"))  # m3',
    "update": """
        sys.modules.update(  # m4
            {
                "m4": MagicMock(),
            }
        )
    """,
    "or_equal": 'sys.modules |= {"m5": MagicMock()}  # m5',
    "loop": """
        for name in ("m6", "m6.sub"):
            print(name)
            sys.modules[name] = MagicMock()  # m6, m6.sub
    """,
    "comprehension": 'x = [sys.modules.setdefault(name, MagicMock()) for name in ["m7"]]  # m7',
    "class_body": """
        class Stubs:
            y = 1
            sys.modules["m8"] = MagicMock()  # m8
    """,
    "condition": """
        if "m9" not in sys.modules:
            sys.modules["m9"] = MagicMock()  # m9
    """,
    "handler": """
        try:
            import m10
        except ImportError:
            m10 = sys.modules["m10"] = MagicMock()  # m10
    """,
    "patch_dict": """
        patcher = mock.patch.dict("sys.modules", {"m11": MagicMock()})
        patcher.start()  # m11
    """,
    "helper": """
        def stub(name):
            sys.modules[name] = ModuleType(name)

        stub("m12")  # m12
    """,
    "helper_of_another_module": """
        import helpers
        helpers.plant("m13")  # m13
    """,
    "module_that_plants": """
        import json
        import planter  # m14
    """,
    "pop": 'sys.modules.pop("colorsys")  # colorsys',
    "delete": """
        import chunk_ as gone
        del sys.modules["chunk_"]
        import wave
        del sys.modules["sndhdr_"]  # sndhdr_
    """,
    "monkeypatch": """
        patch = pytest.MonkeyPatch()
        patch.setitem(sys.modules, "m17", MagicMock())  # m17
    """,
    "module_from_spec": """
        spec = importlib.util.spec_from_file_location("user", Path(__file__).with_name("other_user.py"))
        module = importlib.util.module_from_spec(spec)
        sys.modules["user"] = module  # user
        spec.loader.exec_module(module)
    """,
    "exec": """
        text = '''
        import sys
        sys.modules["m19"] = 5
        '''
        exec(textwrap.dedent(text))  # m19
    """,
    "alias": """
        m = sys.modules
        m["m20"] = MagicMock()  # m20
    """,
    "with": """
        with open(__file__) as file:
            sys.modules["m21"] = None  # m21
    """,
    "import_of_sys_modules": """
        from sys import modules as table
        table["m22"] = MagicMock()  # m22
    """,
}
_HEAD = """\
import importlib.util, sys, textwrap
from pathlib import Path
from types import ModuleType
from unittest import mock
from unittest.mock import MagicMock
import pytest
"""
_FILES = {
    "conftest.py": "import colorsys, sndhdr_, user",
    "sndhdr_.py": "",
    "chunk_.py": "",
    "user.py": "",
    "other_user.py": "",
    "helpers.py": """\
        import sys
        from types import ModuleType

        def plant(name):
            sys.modules[name] = ModuleType(name)
    """,
    "planter.py": """\
        import sys
        sys.modules["m14"] = object()
    """,
}
_IN_TESTS = """\
import sys
from unittest import mock, TestCase
from unittest.mock import MagicMock
import pytest
import helpers

def test_function():
    x = 1
    sys.modules["t1"] = MagicMock()  # t1
    assert x

def test_calls_a_helper():
    helpers.plant("t2")  # t2

def test_fails():
    sys.modules["t3"] = MagicMock()  # t3
    raise RuntimeError

def test_fails_in_the_same_line():
    sys.modules.update({"t4": 1}) or sys.exit(3)  # t4

@pytest.fixture
def planted():
    sys.modules["t5"] = MagicMock()  # t5
    yield
    sys.modules["t6"] = MagicMock()  # t6

def test_fixture(planted):
    pass

def test_asks_for_a_fixture(request):
    request.getfixturevalue("late")  # t7

@pytest.fixture
def late():
    sys.modules["t7"] = MagicMock()

class TestUnit(TestCase):
    def setUp(self):
        sys.modules["t8"] = MagicMock()  # t8
        self.addCleanup(sys.modules.__setitem__, "t9", None)

    def test_method(self):
        sys.path.insert(0, "/added")  # /added

def test_generator():
    def steps():
        yield
        sys.modules["t10"] = MagicMock()
        yield
    for _ in steps():  # t10
        pass

def test_recursion(depth=3):
    if depth:
        test_recursion(depth - 1)
    else:
        sys.modules["t11"] = MagicMock()
test_recursion.__test__ = True

def test_many_lines_before_it():
    for i in range(3000):
        i += 1
    sys.modules["t12"] = MagicMock()  # t12

def test_lambda():
    plant = lambda: sys.modules.setdefault("t13", MagicMock())  # t13
    plant()

def test_conftest_fixture(from_conftest):
    pass
"""


def _expected(files: dict[str, str]) -> dict[str, tuple[str, int]]:
    found = {}
    for file, text in files.items():
        for number, line in enumerate(text.splitlines(), 1):
            _, mark, names = line.partition("  # ")
            for name in names.split(", ") if mark else []:
                found[name] = (file, number)
    return found


def _module_level() -> dict[str, str]:
    from textwrap import dedent

    return {
        f"test_{name}.py": f"{_HEAD}\nz = 0\n{dedent(text).strip()}\n\ndef test_it():\n    pass\n"
        for name, text in _MODULE_LEVEL.items()
    }


def _places(run: Run) -> dict[str, tuple[str, int, bool]]:
    return {
        leak["name"]: (leak["location"]["file"], leak["location"]["line"], leak["location"]["exact"])
        for leak in run.leaks
        if leak["location"] and leak["kind"] not in ("tainted", "stale-attribute")
    }


def _wrong(expected: dict[str, tuple[str, int]], run: Run, *, exact: bool) -> dict[str, Any]:
    places = _places(run)
    return {
        name: (place, places.get(name))
        for name, place in expected.items()
        if places.get(name) != (*place, exact)
    }


def test_every_shape_at_the_level_of_a_module_is_observed(suite: Suite) -> None:
    files = _module_level()
    run = suite.run(_FILES | files, "--continue-on-collection-errors", measured=False)
    assert run.outcomes == {"passed": len(files)}
    expected = _expected(files)
    wrong = _wrong(expected, run, exact=True)
    if sys.version_info < (3, 12):
        # Only files that could write are traced; what others call is inferred, and right.
        assert wrong.keys() <= {"m13", "m14"}
        assert _wrong({name: expected[name] for name in wrong}, run, exact=False) == {}
    else:
        assert wrong == {}
        assert run.leak("fake-left", "m13")["chain"] == [
            {"module": "helpers", "file": "test_helper_of_another_module.py", "line": expected["m13"][1]},
            {"module": "m13", "file": "helpers.py", "line": 5},
        ]
    line = run.leak("fake-left", "m14")["location"]["line"]
    assert run.leak("fake-left", "m14")["chain"] == [
        {"module": "planter", "file": "test_module_that_plants.py", "line": line},
        {"module": "m14", "file": "planter.py", "line": 2},
    ]


_IN_CONFTEST = """\
import sys
import pytest

@pytest.fixture
def from_conftest():
    sys.modules["t14"] = object()  # t14
"""


def test_statements_of_tests_fixtures_and_helpers_are_observed(suite: Suite) -> None:
    files = {"test_it.py": _IN_TESTS, "conftest.py": _IN_CONFTEST}
    run = suite.run(_FILES | files, measured=False)
    assert run.outcomes == {"passed": 10, "failed": 2}
    expected = _expected(files)
    # After a line that was executed many times, the next ones are no longer claimed.
    assert _places(run)["t12"] == (*expected.pop("t12"), False)
    # Where a call raises in the line of the change, only sys.monitoring sees it.
    if sys.version_info < (3, 12):
        expected.pop("t4")
    assert _wrong(expected, run, exact=True) == {}


@pytest.mark.neighbours("coverage")
@pytest.mark.parametrize("core", ["ctrace", "pytrace", *(["sysmon"] if sys.version_info >= (3, 12) else [])])
def test_coverage_and_the_lines_are_both_complete(suite: Suite, core: str) -> None:
    files = _module_level() | {"test_it.py": _IN_TESTS}
    env = {"COVERAGE_CORE": core}
    found: dict[bool, Any] = {}
    for load in (False, True):
        run = suite.run(
            _FILES | {**files, "conftest.py": _FILES["conftest.py"] + "\n" + _IN_CONFTEST},
            load=load,
            report=load,
            measured=False,
            env=env,
            interpreter=("-m", "coverage", "run", "--source=."),
        )
        assert run.outcomes == {"passed": 10 + len(_MODULE_LEVEL), "failed": 2}
        json_run = suite.tool("-m", "coverage", "json", "-o", "coverage.json", env=env)
        assert json_run.returncode == 0, json_run.stderr
        data = json.loads((suite.root / "coverage.json").read_text())
        found[load] = {name: file["executed_lines"] for name, file in data["files"].items()}
    assert found[True] == found[False]
    expected = _expected(files)
    del expected["t12"]
    places = _places(run)
    if sys.version_info >= (3, 12):
        assert _wrong(expected, run, exact=True) == {}
    else:  # the only way to the lines is taken, and places are inferred
        assert [name for name, place in places.items() if place[2]] == []
        right = [name for name, place in expected.items() if places.get(name, ())[:2] == place]
        assert len(right) / len(expected) >= 0.7, set(expected) - set(right)


def test_a_debugger_that_takes_the_trace_function_keeps_it(suite: Suite) -> None:
    run = suite.run(
        """\
        import sys

        def trace(frame, event, argument):
            return None

        def test_debugged():
            sys.settrace(trace)
            sys.modules["debugged"] = object()

        def test_still_there():
            assert sys.gettrace() is trace
            sys.settrace(None)

        def test_watched_again():
            sys.modules["later"] = object()
        """,
        measured=False,
    )
    assert run.outcomes == {"passed": 3}
    assert run.leak("fake-left", "debugged")["location"]["line"] == 8
    assert run.leak("fake-left", "later")["location"] == {"file": "test_it.py", "line": 15, "exact": True}


def test_an_inner_run_in_the_same_process_watches_too(suite: Suite) -> None:
    suite.autoloads = True
    run = suite.run(
        """\
        import sys
        pytest_plugins = ["pytester"]

        def test_inner(pytester):
            pytester.makepyfile('''
                import sys
                def test_it():
                    sys.modules["inner"] = object()
            ''')
            result = pytester.runpytest_inprocess(*LOAD, "--import-leak-report")
            # Below 3.12 the outer run has the trace function, unless it saw too many calls by then.
            place = "at" if hasattr(sys, "monitoring") else "*at"
            result.stdout.fnmatch_lines([f"*by test_inner.py::test_it (call), {place} test_inner.py:3"])

        def test_outer():
            sys.modules["outer"] = object()
        """.replace("*LOAD", '"-p", "pytest_import_isolation.plugin"' if suite.must_load else '"-q"'),
        measured=False,
    )
    assert run.outcomes["passed"] == 2
    assert run.leak("fake-left", "outer")["location"] == {"file": "test_it.py", "line": 16, "exact": True}


def test_lines_of_a_thread_are_not_claimed(suite: Suite) -> None:
    run = suite.run(
        """\
        import sys, threading

        def plant():
            sys.modules["threaded"] = object()

        def test_it():
            thread = threading.Thread(target=plant)
            thread.start()
            thread.join()
        """,
        measured=False,
    )
    location = run.leak("fake-left", "threaded")["location"]
    # The statement of the main thread that waited for it, or the inferred one.
    assert location["line"] in (4, 8, 9)


def test_looks_that_fail_fail_no_test_and_the_watching_goes_on(suite: Suite) -> None:
    run = suite.run(
        {
            "conftest.py": """
                from pytest_import_isolation.watching.statements import Statements

                real = Statements._changes

                def pytest_runtest_setup(item):
                    Statements._changes = (lambda self, entries: 1 / 0) if item.name == "test_it" else real
            """,
            "test_it.py": """\
                import sys

                def test_it():
                    sys.modules["fake"] = object()
                    x = 1

                def test_other():
                    sys.modules["other"] = object()
            """,
        },
        "--import-leak-report",
        measured=False,
    )
    assert run.outcomes == {"passed": 2}
    text = "looks at lines failed, and what changed there is inferred: ZeroDivisionError: division by zero"
    assert text in " ".join(run.section.split())
    for name, line, exact in (("fake", 4, False), ("other", 8, True)):
        assert run.leak("fake-left", name)["location"] == {"file": "test_it.py", "line": line, "exact": exact}


def test_a_fixture_of_a_wider_scope_that_leaves_a_fake_exposes_who_comes_after(suite: Suite) -> None:
    run = suite.run(
        {
            "test_a.py": """\
                import sys
                import pytest

                @pytest.fixture(scope="module")
                def left():
                    sys.modules["left"] = object()

                @pytest.fixture(scope="module")
                def undone():
                    sys.modules["undone"] = object()
                    yield
                    del sys.modules["undone"]

                def test_a(left, undone):
                    import left, undone

                def test_as_long_as_it_lives():
                    import left, undone
                    assert False
            """,
            "test_b.py": """\
                def test_b():
                    import left
                    assert False
            """,
        },
        measured=False,
    )
    assert run.kinds == [("fake-left", "left")]
    leak = run.leaks[0]
    assert leak["polluter"] == {"nodeid": "test_a.py", "phase": "setup"}
    assert leak["location"] == {"file": "test_a.py", "line": 6, "exact": True}
    assert [(one["nodeid"], one["outcome"]) for one in leak["exposed"]] == [("test_b.py::test_b", "failed")]
    assert run.output.count("something imported here had been changed") == 1


@pytest.mark.parametrize("where", ["fixture", "test"])
def test_code_that_begins_did_not_do_what_its_caller_did_unwatched_before(suite: Suite, where: str) -> None:
    # No line of these files says that it could change anything, so that they are not watched; tools.py is.
    planting = """
                plantlib.plant("left")
                done = 1
                tools.look()
    """
    test = (
        f"\n            def test_a():{planting}"
        if where == "test"
        else "\n            def test_a(left): pass\n"
    )
    fixture = f'\n            @pytest.fixture(scope="session")\n            def left():{planting}'
    run = suite.run(
        {
            "lib/site-packages/plantlib.py": """
                import sys, types

                def plant(name):
                    sys.modules[name] = types.ModuleType(name)
            """,
            "app/tools.py": """
                import sys

                def look():
                    return sys.modules.pop("never", None)
            """,
            "conftest.py": f"""
            import plantlib, pytest, tools
            {fixture}
            """,
            "test_a.py": f"""
            import plantlib, tools
            {test}
            """,
        },
        ini="pythonpath = app lib/site-packages\n",
    )
    leak = run.leak("fake-left", "left")
    file = "test_a.py" if where == "test" else "conftest.py"
    lines = (suite.root / file).read_text(encoding="utf-8").splitlines()
    line = next(number for number, text in enumerate(lines, 1) if "plantlib.plant(" in text)
    assert leak["location"] == {"file": file, "line": line, "exact": False}


_CLEANING = {
    "shop/__init__.py": "from shop import cart\n",
    "shop/cart.py": "class Cart: pass\n",
    "conftest.py": """
        import sys
        import pytest
        from unittest import mock

        @pytest.fixture(autouse=True)
        def anew():
            for name in list(sys.modules):
                if name.startswith("shop"):
                    del sys.modules[name]

        @pytest.fixture
        def wave():
            sys.modules["wave"] = mock.MagicMock()
            yield
            del sys.modules["wave"]
    """,
    "test_it.py": """
        import pytest

        def test_first():
            import shop

        @pytest.mark.parametrize("number", range(60))
        def test_often(wave, number):
            import shop

        def test_real():
            import wave

        def test_polluter(wave):
            pass
    """,
}


def test_who_throws_out_the_first_copy_is_named_for_the_second_one(suite: Suite) -> None:
    run = suite.run(_CLEANING)
    copies = [leak for leak in run.leaks if (leak["kind"], leak["name"]) == ("replaced", "shop.cart")]
    places = {(leak["location"]["file"], leak["location"]["line"]) for leak in copies}
    assert places == {("conftest.py", 10)}
    assert {leak["polluter"]["phase"] for leak in copies} == {"setup"}


def test_a_fixture_that_changes_something_is_watched_in_many_tests(suite: Suite) -> None:
    run = suite.run(_CLEANING)
    leak = run.leak("removed", "wave")
    assert leak["polluter"] == {"nodeid": "test_it.py::test_polluter", "phase": "teardown"}
    assert leak["location"] == {"file": "conftest.py", "line": 16, "exact": True}
