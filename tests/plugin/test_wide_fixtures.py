"""What a fixture of a wider scope does lasts until its teardown, although tests have windows of their own."""

from __future__ import annotations

from typing import Any

import pytest

OPENINGS = {
    "context": "context = IsolatedImportContext(fakes={'zz9': {'value': 1}}); context.start()",
    "fake": "context = fake_module('zz9', value=1); context.start()",
}


@pytest.mark.parametrize("scope", ["class", "module", "session"])
@pytest.mark.parametrize("opening", OPENINGS)
@pytest.mark.parametrize("mode", ["--isolate-imports=test", "--isolate-imports=file"])
def test_a_wide_fixture_may_open_a_window_of_its_own(suite: Any, opening: str, scope: str, mode: str) -> None:
    run = suite.run(
        f"""
        import sys
        import unittest
        import pytest
        from pytest_import_isolation import IsolatedImportContext, fake_module

        @pytest.fixture(scope="{scope}")
        def faked(request):
            {OPENINGS[opening]}
            yield
            context.stop()
            assert "zz9" not in sys.modules

        @pytest.mark.isolated_imports
        class TestIt:
            def test_a(self, faked):
                sys.modules["left"] = object()
                import zz9
                assert zz9.value == 1

            def test_b(self, faked):
                import zz9
                assert zz9.value == 1
                assert "left" not in sys.modules

        class CaseTest(unittest.TestCase):
            @classmethod
            def setUpClass(cls):
                cls.context = fake_module("zz8", value=1)
                cls.context.start()

            @classmethod
            def tearDownClass(cls):
                cls.context.stop()
                assert "zz8" not in sys.modules

            def test_c(self):
                import zz8

            def test_d(self):
                import zz8
        """,
        mode,
        "-W",
        "error::pytest_import_isolation.ImportIsolationWarning",
        report=False,
    )
    assert run.outcomes == {"passed": 4}
    assert run.status == 0


@pytest.mark.parametrize("scope", ["class", "module", "session"])
@pytest.mark.parametrize(
    "rebinding",
    [
        "sys.path = [folder, *sys.path]",
        "sys.path[:] = [folder, *sys.path]",
        "sys.path.insert(0, folder); sys.meta_path = list(sys.meta_path)",
        "sys.path.insert(0, folder); sys.path_hooks = list(sys.path_hooks)",
        "sys.path.insert(0, folder); sys.path_importer_cache = dict(sys.path_importer_cache)",
        "sys.path.insert(0, folder); sys.modules = dict(sys.modules)",
    ],
)
def test_what_a_wide_fixture_rebinds_lasts_until_its_teardown(suite: Any, rebinding: str, scope: str) -> None:
    run = suite.run(
        f"""
        import importlib
        import sys
        import pytest

        NAMES = ("path", "meta_path", "path_hooks", "path_importer_cache", "modules")

        @pytest.fixture(scope="{scope}")
        def garden(tmp_path_factory):
            folder = str(tmp_path_factory.mktemp("garden"))
            with open(folder + "/rake.py", "w"):
                pass
            before = {{name: getattr(sys, name) for name in NAMES}}
            {rebinding}
            sys.path_importer_cache[folder + "/odd"] = None
            after = {{name: getattr(sys, name) for name in NAMES}}
            yield folder, after
            assert all(getattr(sys, name) is after[name] for name in NAMES)
            del sys.path_importer_cache[folder + "/odd"]
            for name in NAMES:
                setattr(sys, name, before[name])
            if folder in sys.path:
                sys.path.remove(folder)

        class TestTools:
            @pytest.mark.parametrize("round", [1, 2, 3])
            def test_it(self, garden, round):
                folder, after = garden
                assert all(getattr(sys, name) is after[name] for name in NAMES)
                assert folder + "/odd" in sys.path_importer_cache
                assert "rake" not in sys.modules
                importlib.import_module("rake")
        """,
        "--isolate-imports=test",
        report=False,
    )
    assert run.outcomes == {"passed": 3}


@pytest.mark.parametrize("mode", ["--isolate-imports=test", "--isolate-imports=file"])
@pytest.mark.parametrize("scope", ["package", "session"])
def test_a_fixture_of_a_file_with_a_world_of_its_own_finds_at_its_teardown_what_it_set_up(
    suite: Any, scope: str, mode: str
) -> None:
    run = suite.run(
        {
            "test_a.py": f"""
                import sys
                import pytest
                from types import ModuleType

                sys.modules["zz9"] = ModuleType("zz9")
                set_up = []

                class Finder:
                    def find_spec(self, name, path=None, target=None):
                        return None

                @pytest.fixture(scope="{scope}")
                def finder():
                    set_up.append(1)
                    finder = Finder()
                    sys.meta_path.insert(0, finder)
                    sys.modules["zz8"] = ModuleType("zz8")
                    yield finder
                    sys.meta_path.remove(finder)
                    del sys.modules["zz8"]

                @pytest.fixture(scope="{scope}")
                def failing(finder):
                    yield
                    assert finder in sys.meta_path
                    raise ValueError("of the teardown")

                def test_a1(failing):
                    pass

                def test_a2(finder):
                    assert finder in sys.meta_path
                    assert set_up == [1]
                """,
            "test_b.py": """
                import sys

                def test_b():
                    assert "zz8" not in sys.modules
                    assert "zz9" not in sys.modules
                """,
        },
        mode,
        report=False,
    )
    assert run.outcomes == {"passed": 3, "error": 1}
    assert "ValueError: of the teardown" in run.output
    assert "not in list" not in run.output
    assert "fixture_adoption" not in run.output


@pytest.mark.parametrize("mode", ["--isolate-imports=test", "--isolate-imports=file"])
def test_what_a_session_fixture_of_a_file_leaves_goes_with_the_file(suite: Any, mode: str) -> None:
    run = suite.run(
        {
            "conftest.py": """
                import json.decoder
                import sys
                import pytest
                from types import ModuleType

                @pytest.fixture(scope="session")
                def of_all():
                    sys.modules["zz7"] = ModuleType("zz7")
                """,
            "test_a.py": """
                import sys
                import pytest

                @pytest.fixture(scope="session")
                def leaving():
                    sys.modules["json"] = object()
                    sys.modules["zz8"] = object()

                def test_a1(of_all, leaving):
                    pass

                def test_a2():
                    assert "zz8" in sys.modules
                """,
            "test_b.py": """
                import sys

                def test_b(of_all):
                    import json.decoder
                    assert json.loads("1") == 1
                    assert "zz8" not in sys.modules
                    assert "zz7" in sys.modules
                """,
        },
        mode,
    )
    assert run.outcomes == {"passed": 3}
    assert {
        (leak["name"], leak["contained"]) for leak in run.leaks if leak["polluter"]["phase"] == "setup"
    } >= {
        ("json", True),
        ("zz8", True),
    }


def test_what_a_plugin_exchanges_while_pytest_reports_is_not_put_back_after_the_test(suite: Any) -> None:
    files = {
        "pytest.ini": "[pytest]\npythonpath = lib/site-packages\naddopts = -p exchanging\n",
        "lib/site-packages/exchanging.py": """
            import os, sys, types
            import pytest

            class Finder:
                alive = True
                def find_spec(self, name, path=None, target=None):
                    assert self.alive, "asked after it was taken out"

            class Exchange:
                on, finder, real = False, None, os

                def put(self):
                    self.finder, self.on = Finder(), True
                    sys.meta_path.insert(0, self.finder)
                    sys.modules["os"] = fake = types.ModuleType("os")
                    fake.__dict__.update(self.real.__dict__, path=types.ModuleType("fake_path"))

                def take(self):
                    self.finder.alive = self.on = False
                    sys.meta_path.pop(0)
                    sys.modules["os"] = self.real

            exchange = Exchange()

            @pytest.fixture(scope="module")
            def other_os():
                exchange.put()
                yield exchange
                exchange.take()

            @pytest.hookimpl(wrapper=True)
            def pytest_runtest_logreport():
                was_on = exchange.on
                if was_on:
                    exchange.take()
                try:
                    return (yield)
                finally:
                    if was_on:
                        exchange.put()
        """,
        "test_a.py": """
            import sys

            def test_first(other_os):
                assert sys.modules["os"].path.__name__ == "fake_path"

            def test_second():
                assert sys.modules["os"].path.__name__ == "fake_path"
        """,
        "test_b.py": """
            import os

            def test_third():
                import colorsys
                assert os.path.__name__ == "posixpath" or os.name == "nt"
        """,
    }
    for mode in ("file", "test"):
        run = suite.run(files, f"--isolate-imports={mode}", report=False)
        assert run.outcomes == {"passed": 3}, run.output


def test_a_second_copy_that_a_teardown_puts_into_the_place_of_what_a_test_imported_is_told(
    suite: Any,
) -> None:
    run = suite.run(
        {
            "test_a.py": """
                import importlib, sys

                def teardown_module():
                    del sys.modules["wave"]
                    importlib.import_module("wave")

                def test_it(): import wave
            """,
            "test_b.py": "def test_it(): import wave",
        }
    )
    assert run.kinds == [("replaced", "wave")]
    assert run.leak("replaced", "wave")["polluter"] == {"nodeid": "test_a.py", "phase": "teardown"}


@pytest.mark.parametrize("mode", ["", "--isolate-imports=test"])
def test_what_a_test_took_out_and_a_teardown_imports_again_is_the_first_copy_after_the_test(
    suite: Any, mode: str
) -> None:
    run = suite.run(
        {
            "app/__init__.py": "",
            "app/late.py": "",
            "conftest.py": "import app",
            "test_a.py": f"""
                import pytest, sys

                @pytest.fixture(scope="module")
                def wide():
                    yield
                    import app.late

                def test_first(wide): pass

                {"" if mode else "@pytest.mark.isolated_imports"}
                def test_last():
                    del sys.modules["app"]
            """,
            "test_b.py": """
                import app, sys

                def test_other():
                    assert sys.modules["app"] is app
            """,
        },
        *filter(None, [mode]),
    )
    assert run.outcomes == {"passed": 3}
    assert [(leak["kind"], leak["contained"]) for leak in run.leaks] == [("replaced", True)]


@pytest.mark.parametrize("mode", ["off", "file", "test"])
def test_what_a_session_fixture_loads_where_something_is_faked_is_bound_to_the_package_of_others(
    suite: Any, mode: str
) -> None:
    run = suite.run(
        {
            "app/__init__.py": "",
            "app/early.py": "",
            "app/late.py": "X = 1",
            "app/sub/__init__.py": "",
            "app/sub/deep.py": "X = 2",
            "conftest.py": """
                import pytest

                @pytest.fixture(scope="session", autouse=True)
                def late():
                    import app.late, app.sub.deep
                    return app.late
            """,
            "test_a.py": """
                import sys, types
                sys.modules["plum"] = types.ModuleType("plum")
                def test_a(): pass
            """,
            "test_b.py": """
                import app.early

                def test_b(late):
                    import app.late, app.sub.deep
                    assert app.late is late
                    assert app.sub.deep.X == 2

                def test_again(late):
                    from app import late as other
                    assert other is late
            """,
            "test_c.py": """
                import app.early

                def test_c(late):
                    import app.late
                    assert app.late.X == 1
            """,
        },
        f"--isolate-imports={mode}",
    )
    assert run.outcomes == {"passed": 4}
    assert [(leak["name"], leak["contained"]) for leak in run.leaks] == [("plum", mode != "off")]
