"""Fixtures of a wider scope than the test, with the whole suite isolated: what they load lives as long."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

_TREE = {
    "app/__init__.py": "",
    "app/db.py": "class Connection: pass",
    "app/settings.py": "import vendor\nvendor_name = vendor.name\n",
    "other.py": "",
    "vendor.py": "name = 'real'",
    "lib/only_in_lib.py": "",
}

#: The last file: what the file before it and its fixtures did is not there any more.
_NOTHING_IS_LEFT = """
    import sys

    def test_nothing_is_left():
        assert not {"app", "app.db", "other", "fake", "only_in_lib"} & set(sys.modules)
        assert "lib" not in sys.path
"""

#: What a file with a world of its own begins with.
_PLANT = """
    import sys, types
    import pytest
    sys.modules["vendor"] = types.ModuleType("vendor")
    sys.modules["vendor"].name = "fake"
"""


@pytest.fixture(params=["off", "file", "test"])
def mode(request: pytest.FixtureRequest) -> str:
    """Return each mode in turn."""
    return str(request.param)


@pytest.fixture(params=["file", "test"])
def isolating(request: pytest.FixtureRequest) -> str:
    """Return each mode that isolates."""
    return str(request.param)


# Each way of asking for a fixture: its decorator's arguments, how a test has it, and what a test does.
_REQUESTS = {
    "signature": ("", "", "wider", "pass"),
    "autouse": ("autouse=True", "", "request", "wider = request.getfixturevalue('wider')"),
    "usefixtures": ("", "@pytest.mark.usefixtures('wider')", "request", "pass"),
    "getfixturevalue": ("", "", "request", "request.getfixturevalue('wider')"),
    "parametrized": ("params=[1, 2]", "", "wider", "pass"),
}


@pytest.mark.parametrize(
    ("scope", "asked"), [("class", "signature"), *(("module", asked) for asked in _REQUESTS)]
)
def test_what_a_fixture_of_a_class_or_module_does_is_there_for_the_rest_of_the_file(
    suite: Suite, mode: str, scope: str, asked: str
) -> None:
    arguments, decorator, names, body = _REQUESTS[asked]
    run = suite.run(
        {
            **_TREE,
            "test_it.py": f"""
    import sys, types
    import pytest

    @pytest.fixture(scope="{scope}", {arguments})
    def wider(request):
        from app.db import Connection
        sys.path.insert(0, "lib")
        sys.modules["fake"] = types.ModuleType("fake")
        yield Connection
        assert "fake" in sys.modules
        from app.db import Connection as again
        assert again is Connection

    {decorator}
    class TestIt:
        def test_first(self, {names}):
            {body}
            self.in_place()

        def test_second(self, {names}):
            {body}
            self.in_place()

        def in_place(self):
            assert {{"app", "app.db", "fake"}} <= set(sys.modules)
            assert "lib" in sys.path
            import other
    """,
            "test_the_end.py": _NOTHING_IS_LEFT,
        },
        f"--isolate-imports={mode}",
        "-W",
        "error",
        report=False,
    )
    tests = 4 if asked == "parametrized" else 2
    assert run.outcomes == ({"passed": tests, "failed": 1} if mode == "off" else {"passed": tests + 1})


@pytest.mark.parametrize("asked", list(_REQUESTS))
def test_what_a_session_fixture_of_a_conftest_loads_stays_for_all_later_files(
    suite: Suite, isolating: str, asked: str
) -> None:
    arguments, decorator, names, body = _REQUESTS[asked]
    tests = f"""
    import pytest
    import sys

    {decorator}
    def test_first({names}):
        {body}
        in_place()

    def test_second(request):
        in_place()

    def in_place():
        import conftest
        assert sys.modules["app.db"] is conftest.made[-1] is sys.modules["app"].db
        assert "lib" in sys.path
        assert len({{id(module) for module in conftest.made}}) == 1
        assert "other" not in sys.modules or "other" in here
        import other
        here.add("other")

    here = set()
    """
    run = suite.run(
        {
            **_TREE,
            "conftest.py": f"""
    import sys
    import pytest
    made = []

    @pytest.fixture(scope="session", {arguments})
    def wider(request):
        import app.db
        made.append(app.db)
        sys.path.insert(0, "lib")
        yield app.db
        sys.path.remove("lib")
        from app import db
        assert db is sys.modules["app.db"] is app.db
    """,
            "test_a.py": tests,
            # A file with a world of its own between the others.
            "test_b.py": _PLANT + tests,
            "test_c.py": tests,
            "test_the_end.py": """
    import sys

    def test_what_the_tests_imported_is_gone():
        import conftest
        assert sys.modules["app.db"] is conftest.made[0]
        assert "other" not in sys.modules
    """,
        },
        f"--isolate-imports={isolating}",
        "-W",
        "error",
        report=False,
    )
    tests_of_each = 3 if asked == "parametrized" else 2
    assert run.outcomes == {"passed": 3 * tests_of_each + 1}


def test_what_a_fixture_of_a_package_loads_stays_for_the_files_of_the_package(
    suite: Suite, isolating: str
) -> None:
    tests = """
    import sys

    def test_it(connection):
        from app.db import Connection
        assert type(connection) is Connection
    """
    run = suite.run(
        {
            **_TREE,
            "one/__init__.py": "",
            "one/conftest.py": """
    import pytest

    @pytest.fixture(scope="package")
    def connection():
        from app.db import Connection
        yield Connection()
        from app.db import Connection as again
        assert again is Connection
    """,
            "one/test_a.py": tests,
            "one/test_b.py": _PLANT + tests,
            "one/inner/__init__.py": "",
            "one/inner/test_c.py": tests,
        },
        f"--isolate-imports={isolating}",
        report=False,
    )
    assert run.outcomes == {"passed": 3}


@pytest.mark.parametrize("scope", ["class", "module"])
def test_a_fixture_of_a_polluting_file_may_hold_what_was_executed_with_its_fakes(
    suite: Suite, isolating: str, scope: str
) -> None:
    run = suite.run(
        {
            **_TREE,
            "test_it.py": f"""{_PLANT}
    @pytest.fixture(scope="{scope}")
    def settings():
        import app.settings
        yield app.settings
        import app.settings as again
        assert again is app.settings

    class TestIt:
        def test_first(self, settings):
            assert settings.vendor_name == "fake"

        def test_second(self, settings):
            assert settings.vendor_name == "fake"
            import app.settings
            assert app.settings is settings
    """,
            "test_the_end.py": """
    def test_last():
        import app.settings
        assert app.settings.vendor_name == "real"
    """,
        },
        f"--isolate-imports={isolating}",
        "-W",
        "error",
        report=False,
    )
    assert run.outcomes == {"passed": 3}


def test_a_session_fixture_whose_packages_a_clean_file_loaded_before(suite: Suite, isolating: str) -> None:
    use = """
    import sys
    {imports}
    def test_it(connection):
        from app.db import Connection
        assert type(connection) is Connection
        assert sys.modules["app"].db is sys.modules["app.db"]
        assert sys.modules["app.db"].errors is sys.modules["app.errors"] is sys.modules["app"].errors
    """
    run = suite.run(
        {
            **_TREE,
            "app/db.py": "from app import errors\nclass Connection: pass\n",
            "app/errors.py": "",
            "conftest.py": """
    import pytest

    @pytest.fixture(scope="session")
    def connection():
        from app.db import Connection
        return Connection()
    """,
            "test_a.py": use.format(imports="import app.errors"),
            "test_b.py": _PLANT + use.format(imports=""),
            "test_c.py": use.format(imports="import app.db"),
            "test_d.py": use.format(imports=""),
        },
        f"--isolate-imports={isolating}",
        "-W",
        "error",
        report=False,
    )
    assert run.outcomes == {"passed": 4}


def test_a_session_fixture_that_a_test_file_defines(suite: Suite, isolating: str) -> None:
    fixture = """
    import sys
    import pytest

    @pytest.fixture(scope="session")
    def connection():
        from app.db import Connection
        sys.path.insert(0, "lib")
        yield Connection()
        sys.path.remove("lib")
        # It is torn down with the last test of the run, in another file.
        from app.db import Connection as again
        assert again is Connection

    def test_first(connection):
        from app.db import Connection
        assert type(connection) is Connection

    def test_second(connection):
        from app.db import Connection
        assert type(connection) is Connection
    """
    run = suite.run(
        {**_TREE, "test_a.py": fixture, "test_b.py": "def test_it(): pass"},
        f"--isolate-imports={isolating}",
        "test_a.py",
        "test_b.py",
        report=False,
    )
    assert run.outcomes == {"passed": 3}


def test_a_session_fixture_that_a_polluting_file_defines(suite: Suite, isolating: str) -> None:
    run = suite.run(
        {
            **_TREE,
            "test_a.py": f"""{_PLANT}
    @pytest.fixture(scope="session")
    def settings():
        import app.settings
        sys.path.insert(0, "lib")
        yield app.settings
        if "lib" in sys.path:
            sys.path.remove("lib")

    def test_first(settings):
        assert settings.vendor_name == "fake"
        import app.settings
        assert app.settings is settings

    def test_second(settings):
        import app.settings
        assert app.settings is settings
        assert "lib" in sys.path
    """,
            "test_b.py": """
    import sys

    def test_it():
        import app.settings
        assert app.settings.vendor_name == "real"
        assert "lib" not in sys.path
    """,
        },
        f"--isolate-imports={isolating}",
        "-W",
        "error",
        report=False,
    )
    assert run.outcomes == {"passed": 3}


# What makes a module look otherwise than elsewhere: the first lines of a file, or a mark.
_FAKES = {
    "fake of the file": (_PLANT, "", "fake"),
    "block of the file": ("    import sys, pytest\n    sys.modules['vendor'] = None\n", "", None),
    "fake of a mark": (
        "    import sys, pytest\n",
        "@pytest.mark.isolated_imports(fakes={'vendor': {'name': 'fake'}})",
        "fake",
    ),
    "block of a mark": (
        "    import sys, pytest\n",
        "@pytest.mark.isolated_imports(missing='vendor')",
        None,
    ),
}


@pytest.mark.parametrize("fake", list(_FAKES))
def test_a_session_fixture_set_up_under_a_fake_or_a_block_is_named(
    suite: Suite, isolating: str, fake: str
) -> None:
    top, mark, name = _FAKES[fake]
    run = suite.run(
        {
            **_TREE,
            "app/settings.py": """
                try:
                    import vendor
                    vendor_name = vendor.name
                except ImportError:
                    vendor_name = None
            """,
            "conftest.py": """
                import pytest

                @pytest.fixture(scope="session")
                def settings():
                    import app.settings
                    return app.settings
            """,
            "test_it.py": f"""{top}
    {mark}
    def test_it(settings):
        assert settings.vendor_name == {name!r}
        import app.settings
        assert app.settings is settings
    """,
            "test_other_file.py": """
    import sys

    def test_what_it_loaded_left_with_the_file(settings):
        assert not {"app.settings", "vendor"} & set(sys.modules)
        import app.settings
        assert app.settings is not settings
        assert app.settings.vendor_name == "real"
    """,
        },
        f"--isolate-imports={isolating}",
        report=False,
    )
    assert run.outcomes == {"passed": 2, "warning": 1}
    words = " ".join(run.output.split())
    assert "conftest.py:4: ImportIsolationWarning: the session-scoped fixture 'settings' was set up" in words
    assert "app.settings (it was first imported while vendor was faked or blocked)" in words
    # A block of a mark leaves no entry.
    assert ("vendor (it is a fake)" in words) is (fake != "block of a mark")


def test_a_session_fixture_that_asks_for_no_fake_is_not_named(suite: Suite, isolating: str) -> None:
    run = suite.run(
        {
            **_TREE,
            "conftest.py": """
                import pytest

                @pytest.fixture(scope="session")
                def connection():
                    import app.db
                    return app.db
            """,
            "test_it.py": f"""{_PLANT}
    def test_it(connection):
        import vendor
        assert vendor.name == "fake"
    """,
            "test_marked.py": """
    import pytest

    @pytest.mark.isolated_imports(missing="vendor", fakes={"faked": {}})
    def test_it(connection):
        import app.db
        assert app.db is connection
    """,
            "test_other_file.py": """
    import sys

    def test_it(connection):
        assert sys.modules["app.db"] is connection
    """,
        },
        f"--isolate-imports={isolating}",
        "-W",
        "error",
        report=False,
    )
    assert run.outcomes == {"passed": 3}


def test_a_fixture_that_undoes_its_fakes_leaves_the_real_modules(suite: Suite, mode: str) -> None:
    run = suite.run(
        {
            **_TREE,
            "conftest.py": """
                import sys, types
                import pytest

                @pytest.fixture(scope="session")
                def patched():
                    with pytest.MonkeyPatch.context() as patch:
                        fake = types.ModuleType("vendor")
                        fake.name = "session"
                        patch.setitem(sys.modules, "vendor", fake)
                        patch.syspath_prepend("lib")
                        yield

                def pytest_sessionfinish():
                    import vendor
                    assert vendor.name == "real"
                    assert "lib" not in sys.path
                    print("all is undone")
            """,
            "test_a.py": """
    import sys
    import vendor

    def test_first(patched):
        import vendor
        assert vendor.name == "session"

    def test_second():
        import vendor
        assert vendor.name == "session"
        assert "lib" in sys.path
    """,
            "test_b.py": """
    import sys

    def test_while_it_lives():
        import vendor
        assert vendor.name == "session"
        assert "lib" in sys.path
    """,
        },
        f"--isolate-imports={mode}",
        "-s",
        report=False,
    )
    assert run.outcomes == {"passed": 3}
    assert "all is undone" in run.output
