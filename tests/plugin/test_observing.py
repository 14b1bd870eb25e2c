"""Hostile but realistic suites beside the observer: no outcome changes, and what is claimed is right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from tests.conftest import TAKES_LONG

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.plugin.conftest import Run, Suite


def _junit(suite: Suite) -> dict[str, list[str]]:
    """Return what --junitxml says of each test."""
    found: dict[str, list[str]] = {}
    for case in ElementTree.parse(suite.root / "junit.xml").iter("testcase"):
        outcomes = [part.tag for part in case if part.tag in ("failure", "error", "skipped")]
        found.setdefault(f"{case.get('classname')}.{case.get('name')}", []).extend(outcomes or ["passed"])
    return found


def _compared(suite: Suite, files: Mapping[str, str], *options: str, **more: Any) -> Run:
    """Run a suite without the plugin and with it; all outcomes must be the same."""
    options = ("--continue-on-collection-errors", "--junitxml=junit.xml", *options)
    plain = suite.run(files, *options, load=suite.must_load is False, report=False, **more)
    before = _junit(suite)
    run = suite.run(files, *options, **more)
    assert _junit(suite) == before
    assert run.status == plain.status
    assert "INTERNALERROR" not in run.output
    assert "lines were no longer watched" not in run.output
    return run


def _places(run: Run) -> dict[str, tuple[str, int, bool]]:
    return {
        leak["name"]: (leak["location"]["file"], leak["location"]["line"], leak["location"]["exact"])
        for leak in run.leaks
        if leak["location"]
    }


def _exposed(run: Run, name: str) -> list[tuple[str, str]]:
    (leak,) = [leak for leak in run.leaks if leak["name"] == name]
    return [(one["nodeid"], one["outcome"]) for one in leak["exposed"]]


_TOOLS = """\
import builtins, importlib, sys
from unittest import mock

def test_replaces_the_import_function():
    sys.modules["planted"] = object()
    real = builtins.__import__
    with mock.patch("builtins.__import__", lambda *a, **k: real(*a, **k)):
        import planted
    with mock.patch("builtins.__import__", side_effect=OSError("mine")):
        try:
            import planted
        except OSError as error:
            assert str(error) == "mine"
    assert builtins.__import__ is real

def test_replaces_import_module(monkeypatch):
    asked = []
    monkeypatch.setattr(importlib, "import_module", asked.append)
    importlib.import_module("planted")
    assert asked == ["planted"]

def test_replaces_the_table():
    with mock.patch("sys.modules", dict(sys.modules)):
        sys.modules["elsewhere"] = object()
    for name in ("path", "meta_path", "path_hooks"):
        with mock.patch.object(sys, name, list(getattr(sys, name))):
            pass
        with mock.patch.object(sys, name, None):
            x = 1

def test_mocks_what_the_observer_uses_itself():
    with mock.patch("threading.get_ident", side_effect=RuntimeError), mock.patch("sys._getframe", None):
        sys.path.insert(0, "/planted")
        sys.modules["planted_2"] = object()

def test_uses_the_tool_ids():
    for tool in (3, 4) if hasattr(sys, "monitoring") else ():
        if sys.monitoring.get_tool(tool) is None:
            sys.monitoring.use_tool_id(tool, "mine")

def test_frees_the_tool_ids():
    for tool in (3, 4) if hasattr(sys, "monitoring") else ():
        sys.monitoring.set_events(tool, 0)
        sys.monitoring.free_tool_id(tool)
    sys.modules["planted_3"] = object()

def test_traces():
    seen, around = [], sys.gettrace()
    sys.settrace(lambda frame, event, argument: seen.append(frame.f_code.co_name))
    (lambda: None)()
    sys.settrace(around)
    assert seen == ["<lambda>"]

def test_fails():
    import planted
    assert False
"""


def test_tests_that_replace_what_the_observer_uses(suite: Suite) -> None:
    run = _compared(suite, {"test_it.py": _TOOLS}, measured=False)
    assert run.outcomes == {"failed": 1, "passed": 7}
    assert "Traceback" not in run.output
    places = _places(run)
    assert places["planted"] == ("test_it.py", 5, True)
    assert places["/planted"][1] == 33
    assert places["planted_2"][1] == 34
    assert places["planted_3"][1] == 45
    assert _exposed(run, "planted") == [
        ("test_it.py::test_fails", "failed"),
    ]


_FIXTURES = {
    "conftest.py": """\
        import sys
        import pytest

        @pytest.fixture(scope="session")
        def for_session():
            sys.modules["s1"] = object()
            yield
            del sys.modules["s1"]

        @pytest.fixture(scope="module", params=[1, 2])
        def for_module(request):
            sys.modules[f"p{request.param}"] = object()
            sys.path.insert(0, "/p")
            yield
            sys.path.remove("/p")
            del sys.modules[f"p{request.param}"]

        @pytest.fixture(scope="class")
        def for_class(request):
            import colorsys
            sys.modules["colorsys"] = None
            request.addfinalizer(lambda: sys.modules.__setitem__("colorsys", colorsys))

        @pytest.fixture
        def for_function(request):
            sys.modules["f1"] = object()
            yield
            sys.modules.pop("f1")
        """,
    "test_a.py": """\
        import sys
        import unittest
        from contextlib import ExitStack
        from unittest import mock
        import pytest

        def setup_module():
            sys.modules["m1"] = object()

        def teardown_module():
            del sys.modules["m1"]

        class TestAll:
            @classmethod
            def setup_class(cls):
                sys.modules["c1"] = object()

            @classmethod
            def teardown_class(cls):
                del sys.modules["c1"]

            def test_fails(self, for_session, for_module, for_class, for_function):
                import s1, m1, c1, f1
                with pytest.raises(ImportError):
                    import colorsys
                assert False

        class TestUnit(unittest.TestCase):
            @classmethod
            def setUpClass(cls):
                sys.modules["u1"] = object()

            @classmethod
            def tearDownClass(cls):
                del sys.modules["u1"]

            def setUp(self):
                sys.modules["u2"] = object()
                self.addCleanup(sys.modules.pop, "u2")

            def test_parts(self):
                for part in range(2):
                    with self.subTest(part=part):
                        import u1, u2
                        self.assertEqual(part, 0)

        @mock.patch.dict(sys.modules, {"d1": object()})
        def test_decorated():
            import d1
            assert False

        @mock.patch.dict(sys.modules, {"d2": object()})
        class TestDecorated:
            def test_it(self):
                import d2
                assert False

        def test_stack():
            with ExitStack() as stack:
                stack.enter_context(mock.patch.dict(sys.modules, {"e1": None}))
                sys.modules["e2"] = object()
                stack.callback(sys.modules.pop, "e2")
                import e2
            assert False
        """,
    "test_b.py": """\
        def test_fails(for_session):
            import s1
            assert False
        """,
}


def test_what_fixtures_and_contexts_undo_is_no_leak_and_nobody_is_told_of_it(suite: Suite) -> None:
    run = _compared(suite, _FIXTURES)
    assert run.outcomes["failed"] >= 6
    assert run.kinds == []
    assert "something imported here had been changed" not in run.output


_SHAPES = """\
import asyncio, contextlib, sys, threading

class Manager:
    def __enter__(self):
        sys.modules["inside"] = object()
    def __exit__(self, *error):
        sys.modules["out"] = object()

def test_context():
    with Manager():  # inside, out
        x = 1
    y = 2

def steps():
    sys.modules["g1"] = object()
    try:
        yield 1
    finally:
        sys.modules["g2"] = object()

def test_generator():
    running = steps()
    next(running)  # g1
    x = 1
    running.close()  # g2
    y = 2

def raises(name):
    sys.modules[name] = object()
    raise KeyError(name)

def passes_on(name):
    raises(name)

def test_exceptions():
    with contextlib.suppress(KeyError):
        passes_on("r1")  # r1
    try:
        passes_on("r2")  # r2
    except KeyError:
        x = 1

async def numbers():
    sys.modules["a1"] = object()
    yield 1
    await asyncio.sleep(0)
    sys.modules["a2"] = object()

def test_async():
    async def main():
        async for number in numbers():
            x = number
    y = 1
    asyncio.run(main())  # a1, a2

def test_texts():
    exec("import sys\\nx = 1\\nsys.modules['e1'] = 1")  # e1
    eval("sys.modules.setdefault('e2', 1)")  # e2

class Odd:
    @property
    def placement(self):
        sys.modules["o1"] = object()
    def __del__(self):
        sys.modules["o2"] = object()

def test_odd():
    odd = Odd()
    odd.placement  # o1
    x = 1
    del odd  # o2
    y = 1

def test_many_calls():
    def called(i):
        if i == 900:
            sys.modules["often"] = object()
    for i in range(1000):
        called(i)
    x = 1

def test_thread():
    begun, go = threading.Event(), threading.Event()
    def plant():
        begun.set()
        go.wait()
        sys.modules["threaded"] = object()
    thread = threading.Thread(target=plant)
    thread.start()
    begun.wait()
    go.set()
    thread.join()
"""


def test_lines_that_are_claimed_are_right(suite: Suite) -> None:
    run = _compared(suite, {"test_it.py": _SHAPES}, measured=False)
    assert run.outcomes == {"passed": 8}
    expected = {
        name: ("test_it.py", number, True)
        for number, line in enumerate(_SHAPES.splitlines(), 1)
        if "  # " in line
        for name in line.partition("  # ")[2].split(", ")
    }
    places = _places(run)
    assert [places.pop(name)[2] for name in ("often", "threaded")] == [False, False]
    assert places == expected


def test_the_wrapper_of_hypothesis_is_not_taken_for_the_test(suite: Suite) -> None:
    run = _compared(
        suite,
        {
            "test_it.py": """\
                import sys
                from hypothesis import given, settings, strategies

                @settings(max_examples=3, database=None, deadline=None)
                @given(strategies.booleans())
                def test_it(given):
                    x = 1
                    sys.modules["hypothetical"] = sys.modules.get("hypothetical") or object()
                """
        },
        plugins=("hypothesis",),
        measured=False,
    )
    assert _places(run) == {"hypothetical": ("test_it.py", 8, True)}


def test_failures_of_files_that_hold_lazy_objects_are_told_all_the_same(suite: Suite) -> None:
    run = _compared(
        suite,
        {
            "lazy.py": """\
                class Lazy:
                    @property
                    def __class__(self):
                        raise RuntimeError("not set up")

                class Meta(type):
                    @property
                    def __module__(cls):
                        raise RuntimeError("no module")

                class Odd(metaclass=Meta):
                    pass

                settings = Lazy()
                """,
            "test_a.py": "import sys\nsys.modules['leaked'] = 1\n",
            "test_b.py": """\
                import importlib
                import leaked, lazy
                from lazy import Odd, settings

                def test_fails():
                    assert False

                def test_reloads():
                    importlib.reload(lazy)
                """,
        },
    )
    assert run.outcomes == {"failed": 1, "passed": 1}
    assert run.output.count("something imported here had been changed") == 1
    assert _exposed(run, "leaked") == [("test_b.py", "passed"), ("test_b.py::test_fails", "failed")]


_VICTIMS = {
    "test_a.py": """\
        import sys
        sys.modules["fakey"] = 1

        class Base:
            def test_inherited(self):
                import fakey
                assert fakey is None
        """,
    "test_b.py": """\
        import pytest
        from test_a import Base

        class TestInherits(Base):
            @pytest.mark.parametrize("x", ["a::b", "[c]", "d[0]::e", "\\x00\\u2028"])
            def test_parameters(self, x):
                import fakey
                assert fakey is None

        @pytest.fixture
        def broken():
            import fakey
            raise RuntimeError("fakey")

        def test_setup(broken):
            pass

        @pytest.mark.xfail(strict=True)
        def test_passes_unexpectedly():
            import fakey

        def test_not_exposed():
            assert False
        """,
    "test_c.py": "from fakey import nothing\n",
}


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--tb=no",),
        ("--tb=native", "--import-mode=importlib", "--pythonpath-is-set"),
        ("--tb=line", "--show-capture=no"),
        ("-p", "no:terminal"),
        pytest.param(("-n2", "--dist=worksteal"), marks=TAKES_LONG),
    ],
    ids=lambda options: " ".join(options),
)
def test_victims_are_told_whatever_the_options_are(suite: Suite, options: tuple[str, ...]) -> None:
    ini = ""
    if "--pythonpath-is-set" in options:
        options, ini = options[:-1], "pythonpath = ."
    run = _compared(suite, _VICTIMS, *options, plugins=("xdist",), ini=ini)
    victims = {
        "test_b.py::TestInherits::test_inherited",
        *(
            f"test_b.py::TestInherits::test_parameters[{x}]"
            for x in ("a::b", "[c]", "d[0]::e", r"\x00\u2028")
        ),
        "test_b.py::test_setup",
        "test_b.py::test_passes_unexpectedly",
        "test_c.py",
    }
    assert {nodeid for nodeid, _ in _exposed(run, "fakey")} == victims
    hinted = [
        case.get("name")
        for case in ElementTree.parse(suite.root / "junit.xml").iter("testcase")
        if any("something imported here had been changed" in "".join(part.itertext()) for part in case)
    ]
    assert "test_not_exposed" not in hinted


def test_an_interrupted_run_reports_what_was_left(suite: Suite) -> None:
    run = suite.run(
        """\
        import sys
        def test_a():
            sys.modules["left"] = 1
            raise KeyboardInterrupt
        """,
        measured=False,
    )
    assert run.status == 2
    assert run.report["complete"] is False
    assert _places(run) == {"left": ("test_it.py", 3, True)}


@pytest.mark.neighbours("pytest_cov")
def test_what_coverage_keeps_for_itself_is_not_reported(suite: Suite) -> None:
    run = suite.run("def test_it():\n    pass\n", "--cov=.", plugins=("cov",), measured=False)
    assert run.outcomes == {"passed": 1}
    assert run.kinds == []


_ODD = """\
import os, pathlib, sys, zipfile
from types import ModuleType

here = os.path.dirname(__file__)
with zipfile.ZipFile(here + "/archive.zip", "w") as archive:
    archive.writestr("zipped.py", "import sys\\nsys.modules['from_zip'] = 1")
sys.path[:0] = [here + "/archive.zip", "relative", "/does/not/exist", pathlib.Path("/p"), 3, None]
sys.path += ["\\0", "\\udc80", b"/bytes", __file__, ""]
import zipped

class Evil(ModuleType):
    def __getattr__(self, name):
        raise RuntimeError(name)
    def __eq__(self, other):
        raise RuntimeError
    __hash__ = None

evil = Evil("evil")
evil.__spec__, evil.__name__, evil.__file__ = 5, 7, b"x"
sys.modules["evil"] = evil
sys.modules[5] = 3
sys.modules["a\\nb\\x1b\\udc80"] = 3
__name__ = 5

def test_odd():
    globals()["__name__"] = ["x"]
    sys.modules["evil_2"] = evil
    assert False
"""


def test_odd_entries_paths_and_sources(suite: Suite) -> None:
    (suite.root / "latin.py").write_bytes(
        b"# coding: latin-1\nimport sys\nx = '\xe9'\nsys.modules['latin_fake'] = 1\n"
    )
    run = _compared(
        suite,
        {
            "test_a.py": _ODD,
            "test_b.py": """\
                import evil, from_zip, latin

                def test_b():
                    __import__("a\\nb\\x1b\\udc80")
                    assert False, "\\udc80"
                """,
            "test_c.py": "x = '\0'\n",
            "test_d.py": "import latin_fake\n\ndef test_d():\n    assert False\n",
        },
        env={"PYTHONIOENCODING": "utf-8:backslashreplace"},
        measured=False,
    )
    assert run.outcomes == {"failed": 3, "error": 1}
    assert _exposed(run, "from_zip") == [("test_b.py", "passed"), ("test_b.py::test_b", "failed")]
    places = _places(run)
    assert places["evil"] == ("test_a.py", 20, True)
    assert places["latin_fake"][:2] == ("test_b.py", 1)
    assert places["from_zip"][:2] == ("test_a.py", 9)


_HOT = """\
import sys

def step(i):
    return i

def test_hot():
    sys.modules["hot"] = object()
    assert sum(step(i) for i in range(50000)) and [step(i) for i in range(50000)]
    for i in range(50000):
        step(i)
"""
_COUNTING = """\
from pytest_import_isolation.watching.statements import Statements

look, looks = Statements._look, []

def counted(self, frame, line, *, exact):
    looks.append(line)
    return look(self, frame, line, exact=exact)

Statements._look = counted

def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"looks: {len(looks)}")
"""


def test_hot_loops_are_looked_at_a_bounded_number_of_times(suite: Suite) -> None:
    run = suite.run(
        {"test_it.py": _HOT, "counting.py": _COUNTING},
        "-p",
        "counting",
        env={"PYTHONPATH": suite.python_path},
        measured=False,
    )
    assert run.outcomes == {"passed": 1}
    assert _places(run) == {"hot": ("test_it.py", 7, True)}
    looks = int(run.output.partition("looks: ")[2].split()[0])
    assert 5 < looks < 3000


@pytest.mark.parametrize("how", ["mark", "--isolate-imports=test", "--isolate-imports=file"])
def test_who_imported_first_is_told_also_of_what_isolation_forgets(suite: Suite, how: str) -> None:
    mark = "@pytest.mark.isolated_imports\n                " if how == "mark" else ""
    run = suite.run(
        {
            "app/__init__.py": "",
            "app/core.py": "",
            "test_a.py": f"""
                import pytest

                {mark}def test_one(): import app.core

                {mark}def test_two(): import app.core
            """,
        },
        *([how] if how != "mark" else []),
    )
    assert run.outcomes == {"passed": 2}
    first = [leak for leak in run.report["leaks"] if leak["name"] in ("app", "app.core")]
    assert [(leak["name"], leak["polluter"]["nodeid"], leak["location"]["line"]) for leak in first] == [
        ("app", "test_a.py::test_one", 5 if how == "mark" else 4),
        ("app.core", "test_a.py::test_one", 5 if how == "mark" else 4),
    ]
