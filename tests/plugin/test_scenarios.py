"""Twelve ways in which fixtures and tests share modules, each in every way of isolating a suite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from tests.conftest import TAKES_LONG

if TYPE_CHECKING:
    from tests.plugin.conftest import Run, Suite

# Written by hand so that nothing else loads it: a first-party module and a foreign one.
_APP = {
    "app/__init__.py": "",
    "app/db.py": """
        import app.errors
        class Connection:
            pass
        connections = []
    """,
    "app/errors.py": "class Broken(Exception): pass",
}


class Way(NamedTuple):
    """A way of isolating all tests of a suite."""

    #: What stands at the top of each test file.
    mark: str = ""
    options: tuple[str, ...] = ()
    report: bool = True
    #: Whether each test is isolated by itself.
    per_test: bool = True
    #: Whether each file is isolated: what belongs to its modules and classes is not there for other files.
    per_file: bool = True

    @property
    def head(self) -> str:
        """The first lines of a test file, indented like those after them."""
        return f"""
    import sys
    import pytest
    PER_TEST = {self.per_test}
    PER_FILE = {self.per_file}
    {self.mark}
"""

    def run(self, suite: Suite, files: Mapping[str, str], *options: str, **more: Any) -> Run:
        """Run a suite in this way."""
        return suite.run(files, *self.options, *options, report=self.report, **more)


_NOTHING_IS_LEFT = """
    import sys

    def test_nothing_is_left():
        assert not {"app", "app.db", "app.errors"} & set(sys.modules)
"""
_MARK = "pytestmark = pytest.mark.isolated_imports"
_WAYS = {
    "marker-no-report": Way(_MARK, report=False, per_file=False),
    "marker": Way(_MARK, per_file=False),
    "file": Way(options=("--isolate-imports=file",), per_test=False),
    "test": Way(options=("--isolate-imports=test",)),
}


@pytest.fixture(
    params=[
        # With the report, the same is isolated and more is looked at.
        pytest.param(way, id=name, marks=() if way.report else TAKES_LONG)
        for name, way in _WAYS.items()
    ]
)
def way(request: pytest.FixtureRequest) -> Way:
    """Return each way in turn."""
    found: Way = request.param
    return found


def test_what_a_session_fixture_imports_lazily_stays_loaded_for_all_tests(suite: Suite, way: Way) -> None:
    run = way.run(
        suite,
        {
            **_APP,
            "conftest.py": """
                import pytest

                @pytest.fixture(scope="session")
                def connection():
                    from app.db import Connection
                    yield Connection()
                    from app.db import Connection as again
                    assert again is Connection

                @pytest.fixture
                def use():
                    import app.errors
                    return app.errors
            """,
            "test_it.py": f"""{way.head}
    def test_first(connection, use):
        from app.db import Connection
        assert isinstance(connection, Connection)
        import other

    def test_second(connection):
        assert "app.db" in sys.modules
        assert PER_TEST is ("other" not in sys.modules)
        from app.db import Connection
        assert isinstance(connection, Connection)
        assert sys.modules["app"].db is sys.modules["app.db"]
    """,
            "test_other_file.py": f"""{way.head}
    def test_third(connection):
        assert "app.db" in sys.modules
        assert "other" not in sys.modules
        from app.db import Connection
        assert isinstance(connection, Connection)
    """,
            "other.py": "",
        },
    )
    assert run.outcomes == {"passed": 3}


def test_a_session_fixture_asked_for_inside_the_test_belongs_to_the_outer_world(
    suite: Suite, way: Way
) -> None:
    run = way.run(
        suite,
        {
            **_APP,
            "conftest.py": """
                import pytest

                @pytest.fixture(scope="session")
                def connection():
                    from app.db import Connection
                    return Connection()
            """,
            "test_it.py": f"""{way.head}
    def test_first(request):
        connection = request.getfixturevalue("connection")
        from app.db import Connection
        assert isinstance(connection, Connection)

    def test_second(connection):
        from app.db import Connection
        assert isinstance(connection, Connection)

    def test_it_came_after_the_test_had_imported_part_of_it(request):
        assert "app.db" in sys.modules
    """,
            "test_part.py": f"""{way.head}
    @pytest.fixture(scope="module")
    def late():
        import other.deep
        return other.deep.Thing()

    def test_first(request):
        import other
        thing = request.getfixturevalue("late")
        assert sys.modules["other"] is other
        assert other.deep.Thing is type(thing)

    def test_second(late):
        import other.deep
        assert isinstance(late, other.deep.Thing)
        assert other.state == ["executed once"]
    """,
            "other/__init__.py": "state = ['executed once']",
            "other/deep.py": "class Thing: pass",
            "test_the_end.py": f"""{way.head}
    def test_last(connection):
        assert PER_FILE is ("other" not in sys.modules)
        assert type(connection) is sys.modules["app.db"].Connection
    """,
        },
    )
    assert run.outcomes == {"passed": 6}


def test_setup_of_modules_and_classes_belongs_to_the_outer_world(suite: Suite, way: Way) -> None:
    run = way.run(
        suite,
        {
            **_APP,
            "test_module.py": f"""{way.head}
    def setup_module():
        global Connection
        from app.db import Connection

    def teardown_module():
        from app.db import Connection as again
        assert again is Connection

    def test_first():
        from app.db import Connection as mine
        assert mine is Connection

    def test_second():
        from app.db import Connection as mine
        assert mine is Connection
    """,
            "test_class.py": f"""{way.head}
    import unittest

    class TestConnections(unittest.TestCase):
        @classmethod
        def setUpClass(cls):
            import other.deep
            cls.thing = other.deep.Thing()

        @classmethod
        def tearDownClass(cls):
            import other.deep
            assert type(cls.thing) is other.deep.Thing

        def test_first(self):
            import other.deep
            assert isinstance(self.thing, other.deep.Thing)

        def test_second(self):
            import other.deep
            assert isinstance(self.thing, other.deep.Thing)
    """,
            "other/__init__.py": "",
            "other/deep.py": "class Thing: pass",
            "test_the_end.py": f"""{way.head}
    def test_last():
        assert PER_FILE is ("app.db" not in sys.modules)
        assert PER_FILE is ("other.deep" not in sys.modules)
    """,
        },
    )
    assert run.outcomes == {"passed": 5}


def test_what_function_fixtures_unittest_methods_and_doctests_import_is_undone(
    suite: Suite, way: Way
) -> None:
    if way.mark and pytest.version_tuple < (8, 0, 1):
        pytest.skip("pytest 8.0.0 does not read the pytestmark of a module with doctests")
    run = way.run(
        suite,
        {
            **_APP,
            "test_fixture.py": f"""{way.head}
    @pytest.fixture
    def connection(number):
        assert ("app.db" in sys.modules) is (number == 2 and not PER_TEST)
        import app.db
        app.db.connections.append(1)
        yield app.db.Connection()
        assert app.db is sys.modules["app.db"]

    @pytest.mark.parametrize("number", [1, 2])
    def test_each_has_its_own(connection, number):
        import app.db
        assert len(app.db.connections) == (1 if PER_TEST else number)
        assert isinstance(connection, app.db.Connection)
    """,
            "test_unittest.py": f"""{way.head}
    import unittest

    class TestIt(unittest.TestCase):
        def setUp(self):
            self.was_loaded = "app.db" in sys.modules
            import app.db
            self.db = app.db
            self.db.connections.append(1)

        def tearDown(self):
            assert sys.modules["app.db"] is self.db

        def test_first(self):
            assert not self.was_loaded
            assert len(self.db.connections) == 1

        def test_second(self):
            assert self.was_loaded is not PER_TEST
            assert len(self.db.connections) == (1 if PER_TEST else 2)
    """,
            "documented.py": f'''{way.head}
    def first():
        """
        >>> import app.db, sys
        >>> app.db.connections.append(1)
        >>> len(app.db.connections)
        1
        """

    def second():
        """
        >>> import sys
        >>> ("app.db" in sys.modules) is PER_TEST
        False
        >>> import app.db
        >>> len(app.db.connections) == (0 if PER_TEST else 1)
        True
        """
    ''',
            "test_the_end.py": _NOTHING_IS_LEFT,
        },
        "--doctest-modules",
        "documented.py",
        "test_fixture.py",
        "test_unittest.py",
        "test_the_end.py",
    )
    assert run.outcomes == {"passed": 7}


def test_a_fixture_can_pickle_in_its_teardown_what_the_test_made(suite: Suite, way: Way) -> None:
    run = way.run(
        suite,
        {
            **_APP,
            "test_it.py": f"""{way.head}
    import pickle

    @pytest.fixture
    def box():
        made = []
        yield made
        for thing in made:
            copy = pickle.loads(pickle.dumps(thing))
            assert type(copy) is type(thing)

    def test_first(box):
        from app.db import Connection
        box.append(Connection())

    def test_second(box):
        assert PER_TEST is ("app.db" not in sys.modules)
        from app.db import Connection
        box.append(Connection())
    """,
            "test_the_end.py": _NOTHING_IS_LEFT,
        },
    )
    assert run.outcomes == {"passed": 3}


@pytest.mark.neighbours("pytest_rerunfailures")
def test_a_second_attempt_by_rerunfailures_starts_clean(suite: Suite, way: Way) -> None:
    run = way.run(
        suite,
        {
            **_APP,
            "test_it.py": f"""{way.head}
    attempts = []

    @pytest.fixture(scope="module")
    def shared():
        import other
        return other

    @pytest.mark.flaky(reruns=2)
    def test_flaky(shared):
        attempts.append(1)
        assert ("app.db" in sys.modules) is (len(attempts) > 1 and not PER_TEST)
        import app.db, other
        assert other is shared
        app.db.connections.append(1)
        assert len(app.db.connections) == (1 if PER_TEST else len(attempts))
        assert len(attempts) == 3
    """,
            "other.py": "",
            "test_the_end.py": _NOTHING_IS_LEFT,
        },
        plugins=("rerunfailures",),
    )
    assert run.outcomes == {"passed": 2, "rerun": 2}


def test_a_class_cached_lazily_in_surviving_code_keeps_its_module(suite: Suite, way: Way) -> None:
    run = way.run(
        suite,
        {
            **_APP,
            "cache.py": """
                _class = None

                def connection_class():
                    global _class
                    if _class is None:
                        from app.db import Connection
                        _class = Connection
                    return _class
            """,
            "test_it.py": f"""{way.head}
    import cache

    def test_first():
        from app.db import Connection
        assert cache.connection_class() is Connection

    def test_second():
        from app.db import Connection
        assert cache.connection_class() is Connection
    """,
            "test_other_file.py": f"""{way.head}
    def test_third():
        import cache
        from app.db import Connection
        assert cache.connection_class() is Connection
    """,
        },
    )
    assert run.outcomes == {"passed": 3}


def test_nested_pytester_runs_leave_nothing_behind(suite: Suite, way: Way) -> None:
    suite.autoloads = True
    run = way.run(
        suite,
        {
            **_APP,
            "test_it.py": f"""{way.head}
    pytest_plugins = ["pytester"]
    INNER = '''{way.head}
    def test_first():
        import inner_module
        inner_module.state.append(1)
        sys.modules["inner_fake"] = object()
    def test_second():
        import inner_module
        assert inner_module.state == ([] if PER_TEST else [1])
        assert PER_TEST is ("inner_fake" not in sys.modules)
    '''

    @pytest.mark.parametrize("attempt", [1, 2])
    @pytest.mark.parametrize("method", ["inprocess", "subprocess"])
    def test_inner(pytester, method, attempt):
        pytester.makepyfile(inner_module="state = []", test_inner=INNER)
        import app.db
        app.db.connections.append(1)
        without = ("cacheprovider", "anyio", "asyncio", "xdist", "hypothesispytest", "randomly")
        options = [*{way.options}, *(f"-pno:{{name}}" for name in without)]
        if {suite.must_load}:
            options += ["-p", "pytest_import_isolation.plugin"]
        run = getattr(pytester, f"runpytest_{{method}}")
        result = run(*options)
        result.assert_outcomes(passed=2)
        assert app.db is sys.modules["app.db"]
        assert len(app.db.connections) == 1  # pytester, too, puts back what was loaded before it

    def test_after():
        assert not {{"inner_module", "inner_fake", "test_inner"}} & set(sys.modules)
    """,
            "test_the_end.py": _NOTHING_IS_LEFT,
        },
    )
    assert run.outcomes == {"passed": 6}
    if way.report:
        # pytester throws out what the inner run's plugins were the first to import; nothing else is left.
        assert {leak["kind"] for leak in run.leaks if not leak["contained"]} <= {"evicted"}


@pytest.mark.neighbours("pytest_asyncio")
def test_async_tests_are_isolated_with_their_fixtures(suite: Suite, way: Way) -> None:
    run = way.run(
        suite,
        {
            **_APP,
            "test_it.py": f"""{way.head}
    import asyncio
    import pytest_asyncio

    @pytest_asyncio.fixture
    async def connection(number):
        assert ("app.db" in sys.modules) is (number == 2 and not PER_TEST)
        from app.db import Connection
        await asyncio.sleep(0)
        yield Connection()
        assert sys.modules["app.db"].Connection is Connection

    @pytest_asyncio.fixture(scope="module", loop_scope="module")
    async def shared():
        import other
        await asyncio.sleep(0)
        return other

    @pytest.mark.asyncio
    @pytest.mark.parametrize("number", [1, 2])
    async def test_each_has_its_own(connection, shared, number):
        await asyncio.sleep(0)
        from app.db import Connection, connections
        import other
        assert isinstance(connection, Connection)
        assert shared is other
        connections.append(1)
        assert len(connections) == (1 if PER_TEST else number)
    """,
            "other.py": "",
            "test_the_end.py": _NOTHING_IS_LEFT,
        },
        plugins=("asyncio",),
        ini="asyncio_default_fixture_loop_scope = function",
    )
    assert run.outcomes == {"passed": 3}


def test_what_pytest_and_its_plugins_import_for_themselves_in_a_window_stays(suite: Suite, way: Way) -> None:
    run = way.run(
        suite,
        {
            "pytest_thing.py": """
                def pytest_runtest_call(item):
                    import wave
            """,
            "other_plugin.py": """
                def pytest_runtest_teardown(item):
                    import colorsys
            """,
            "test_it.py": f"""{way.head}
    def test_failing():
        assert "wave" in sys.modules
        assert "colorsys" not in sys.modules
        import netrc
        assert {{"a": 1, "b": [1, 2, 3]}} == {{"a": 2, "b": [1, 2, 4]}}

    def test_after():
        assert "wave" in sys.modules
        assert "colorsys" in sys.modules
        assert "difflib" in sys.modules
        assert PER_TEST is ("netrc" not in sys.modules)
    """,
            "test_other_file.py": """
    import sys
    def test_third():
        assert {"wave", "colorsys", "difflib"} <= set(sys.modules)
        assert "netrc" not in sys.modules
    """,
        },
        *("-vv", "-p", "pytest_thing", "-p", "other_plugin"),
        env={"PYTHONPATH": suite.python_path},
    )
    assert run.outcomes == {"failed": 1, "passed": 2}
    if way.report:
        assert run.kinds == []


def test_what_a_wider_fixture_undoes_in_the_window_of_its_last_test_stays_undone(
    suite: Suite, way: Way
) -> None:
    patches = """
    @pytest.fixture(scope="module")
    def patched(request):
        import app.db
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend("lib")
            patch.setitem(sys.modules, "fake", types.ModuleType("fake"))
            patch.setitem(sys.modules, "app.db", types.ModuleType("app.db"))
            patch.setattr(app, "db", sys.modules["app.db"])
            sys.meta_path.append(Finder)
            yield
            sys.meta_path.remove(Finder)

    class Finder:
        find_spec = staticmethod(lambda name, path=None, target=None: None)

    def in_place():
        import app
        assert "fake" in sys.modules
        assert sys.path[0] == "lib"
        assert Finder in sys.meta_path
        assert not hasattr(sys.modules["app.db"], "Connection")
        assert app.db is sys.modules["app.db"]
    """
    after = """
    def test_after():
        import app.db
        assert "fake" not in sys.modules
        assert "lib" not in sys.path
        assert not [f for f in sys.meta_path if getattr(f, "__name__", "") == "Finder"]
        assert app.db is sys.modules["app.db"]
        assert app.db.Connection
    """
    run = way.run(
        suite,
        {
            **_APP,
            "lib/only_in_lib.py": "",
            # Set up outside of a window, torn down inside of one.
            "test_a.py": f"""
    import sys, types, pytest
    {patches}
    def test_unmarked(patched):
        in_place()

    {way.mark and "@pytest.mark.isolated_imports"}
    def test_marked(patched):
        in_place()
    """,
            "test_b.py": f"    import sys\n{after}",
            # Set up inside of one window and torn down inside of another.
            "test_c.py": f"""{way.head}
    import types
    {patches}
    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_marked(patched, number):
        in_place()
        assert ("only_in_lib" in sys.modules) is (number > 1 and not PER_TEST)
        import only_in_lib
    """,
            "test_d.py": f"    import sys\n{after}",
        },
        "-W",
        "error",
    )
    assert run.outcomes == {"passed": 7}
    if way.report:
        assert run.kinds == []
