"""Twelve ways in which fixtures and tests share modules, each with the marker on every test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

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

_MARK = """
    import sys
    import pytest
    pytestmark = pytest.mark.isolated_imports
"""


@pytest.fixture(params=[False, True], ids=["no-report", "report"])
def report(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_what_a_session_fixture_imports_lazily_stays_loaded_for_all_tests(suite: Suite, report: bool) -> None:
    run = suite.run(
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
            "test_it.py": f"""{_MARK}
    def test_first(connection):
        from app.db import Connection
        assert isinstance(connection, Connection)

    def test_second(connection):
        assert "app.db" in sys.modules
        from app.db import Connection
        assert isinstance(connection, Connection)
        assert sys.modules["app"].db is sys.modules["app.db"]
    """,
        },
        report=report,
    )
    assert run.outcomes == {"passed": 2}


def test_a_session_fixture_asked_for_inside_the_test_belongs_to_the_outer_world(
    suite: Suite, report: bool
) -> None:
    run = suite.run(
        {
            **_APP,
            "conftest.py": """
                import pytest

                @pytest.fixture(scope="session")
                def connection():
                    from app.db import Connection
                    return Connection()
            """,
            "test_it.py": f"""{_MARK}
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
            "test_part.py": f"""{_MARK}
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
        },
        report=report,
    )
    assert run.outcomes == {"passed": 5}


def test_setup_of_modules_and_classes_belongs_to_the_outer_world(suite: Suite, report: bool) -> None:
    run = suite.run(
        {
            **_APP,
            "test_module.py": f"""{_MARK}
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
            "test_class.py": f"""{_MARK}
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
        },
        report=report,
    )
    assert run.outcomes == {"passed": 4}


def test_what_function_fixtures_unittest_methods_and_doctests_import_is_undone(
    suite: Suite, report: bool
) -> None:
    run = suite.run(
        {
            **_APP,
            "pytest.ini": "",
            "test_fixture.py": f"""{_MARK}
    @pytest.fixture
    def connection():
        assert "app.db" not in sys.modules
        import app.db
        app.db.connections.append(1)
        yield app.db.Connection()
        assert app.db is sys.modules["app.db"]

    @pytest.mark.parametrize("number", [1, 2])
    def test_each_has_its_own(connection, number):
        import app.db
        assert app.db.connections == [1]
        assert isinstance(connection, app.db.Connection)
    """,
            "test_unittest.py": f"""{_MARK}
    import unittest

    class TestIt(unittest.TestCase):
        def setUp(self):
            assert "app.db" not in sys.modules
            import app.db
            self.db = app.db

        def tearDown(self):
            assert sys.modules["app.db"] is self.db

        def test_first(self):
            self.db.connections.append(1)
            assert len(self.db.connections) == 1

        def test_second(self):
            self.db.connections.append(1)
            assert len(self.db.connections) == 1
    """,
            "documented.py": '''
                import pytest
                pytestmark = pytest.mark.isolated_imports

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
                    >>> "app.db" in sys.modules
                    False
                    >>> import app.db
                    >>> app.db.connections
                    []
                    """
            ''',
            "test_after.py": """
                import sys

                def test_nothing_is_left():
                    assert "app" not in sys.modules
                    assert "app.db" not in sys.modules
            """,
        },
        "--doctest-modules",
        "documented.py",
        "test_fixture.py",
        "test_unittest.py",
        "test_after.py",
        report=report,
    )
    assert run.outcomes == {"passed": 7}


def test_a_fixture_can_pickle_in_its_teardown_what_the_test_made(suite: Suite, report: bool) -> None:
    run = suite.run(
        {
            **_APP,
            "test_it.py": f"""{_MARK}
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
        from app.db import Connection
        box.append(Connection())
    """,
        },
        report=report,
    )
    assert run.outcomes == {"passed": 2}


def test_a_second_attempt_by_rerunfailures_starts_clean(suite: Suite, report: bool) -> None:
    run = suite.run(
        {
            **_APP,
            "test_it.py": f"""{_MARK}
    attempts = []

    @pytest.fixture(scope="module")
    def shared():
        import other
        return other

    @pytest.mark.flaky(reruns=2)
    def test_flaky(shared):
        attempts.append(1)
        assert "app.db" not in sys.modules
        import app.db, other
        assert other is shared
        assert app.db.connections == []
        app.db.connections.append(1)
        assert len(attempts) == 3
    """,
            "other.py": "",
        },
        report=report,
        plugins=("rerunfailures",),
    )
    assert run.outcomes == {"passed": 1, "rerun": 2}


def test_a_class_cached_lazily_in_surviving_code_keeps_its_module(suite: Suite, report: bool) -> None:
    run = suite.run(
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
            "test_it.py": f"""{_MARK}
    import cache

    def test_first():
        from app.db import Connection
        assert cache.connection_class() is Connection

    def test_second():
        from app.db import Connection
        assert cache.connection_class() is Connection
    """,
        },
        report=report,
    )
    assert run.outcomes == {"passed": 2}


def test_nested_pytester_runs_leave_nothing_behind(suite: Suite, report: bool) -> None:
    run = suite.run(
        {
            **_APP,
            "test_it.py": f"""{_MARK}
    pytest_plugins = ["pytester"]
    INNER = '''
    import sys, pytest
    pytestmark = pytest.mark.isolated_imports
    def test_first():
        import inner_module
        inner_module.state.append(1)
        sys.modules["inner_fake"] = object()
    def test_second():
        import inner_module
        assert inner_module.state == []
        assert "inner_fake" not in sys.modules
    '''

    @pytest.mark.parametrize("attempt", [1, 2])
    @pytest.mark.parametrize("method", ["inprocess", "subprocess"])
    def test_inner(pytester, method, attempt):
        pytester.makepyfile(inner_module="state = []", test_inner=INNER)
        import app.db
        app.db.connections.append(1)
        without = ("cacheprovider", "asyncio", "xdist", "hypothesispytest")
        options = [f"-pno:{{name}}" for name in without]
        if MUST_LOAD:
            options += ["-p", "pytest_import_isolation.plugin"]
        run = getattr(pytester, f"runpytest_{{method}}")
        result = run(*options)
        result.assert_outcomes(passed=2)
        assert app.db is sys.modules["app.db"]
        assert len(app.db.connections) == 1

    def test_after():
        assert "inner_module" not in sys.modules
        assert "test_inner" not in sys.modules
        assert "app.db" not in sys.modules
    """.replace("MUST_LOAD", repr(suite.must_load)),
        },
        report=report,
    )
    assert run.outcomes == {"passed": 5}
    if report:
        # pytester throws out what the inner run's plugins were the first to import; nothing else is left.
        assert {leak["kind"] for leak in run.leaks if not leak["contained"]} <= {"evicted"}


def test_async_tests_are_isolated_with_their_fixtures(suite: Suite, report: bool) -> None:
    run = suite.run(
        {
            **_APP,
            "test_it.py": f"""{_MARK}
    import asyncio
    import pytest_asyncio

    @pytest_asyncio.fixture
    async def connection():
        assert "app.db" not in sys.modules
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
        assert connections == [1]
    """,
            "other.py": "",
        },
        report=report,
        plugins=("asyncio",),
        ini="asyncio_default_fixture_loop_scope = function",
    )
    assert run.outcomes == {"passed": 2}


def test_what_pytest_and_its_plugins_import_for_themselves_in_a_window_stays(suite: Suite) -> None:
    run = suite.run(
        {
            "pytest_thing.py": """
                def pytest_runtest_call(item):
                    import wave
            """,
            "other_plugin.py": """
                def pytest_runtest_teardown(item):
                    import colorsys
            """,
            "test_it.py": f"""{_MARK}
    def test_failing():
        assert "wave" in sys.modules
        assert "colorsys" not in sys.modules
        import netrc
        assert {{"a": 1, "b": [1, 2, 3]}} == {{"a": 2, "b": [1, 2, 4]}}

    def test_after():
        assert "wave" in sys.modules
        assert "colorsys" in sys.modules
        assert "difflib" in sys.modules
        assert "netrc" not in sys.modules
    """,
        },
        *("-vv", "-p", "pytest_thing", "-p", "other_plugin"),
        env={"PYTHONPATH": suite.python_path},
    )
    assert run.outcomes == {"failed": 1, "passed": 1}
    assert run.kinds == []


def test_what_a_wider_fixture_undoes_in_the_window_of_its_last_test_stays_undone(
    suite: Suite, report: bool
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
    run = suite.run(
        {
            **_APP,
            "lib/only_in_lib.py": "",
            # Set up outside of a window, torn down inside of one.
            "test_a.py": f"""
    import sys, types, pytest
    {patches}
    def test_unmarked(patched):
        in_place()

    @pytest.mark.isolated_imports
    def test_marked(patched):
        in_place()
    """,
            "test_b.py": f"    import sys\n{after}",
            # Set up inside of one window and torn down inside of another.
            "test_c.py": f"""{_MARK}
    import types
    {patches}
    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_marked(patched, number):
        in_place()
        assert "only_in_lib" not in sys.modules
        import only_in_lib
    """,
            "test_d.py": f"    import sys\n{after}",
        },
        "-W",
        "error",
        report=report,
    )
    assert run.outcomes == {"passed": 7}
    if report:
        assert run.kinds == []
