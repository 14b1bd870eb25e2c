"""The fixtures: doors to the running context of a test."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

_TREE = {
    "app/__init__.py": "",
    "app/settings.py": """
        import app.registry
        class Settings:
            pass
        try:
            import wave
        except ImportError:
            wave = None
        import helper
    """,
    "app/registry.py": "entries = []",
    "helper.py": "value = 'real'",
}


def test_isolated_imports_gives_the_running_context(suite: Suite) -> None:
    run = suite.run(
        {
            **_TREE,
            "test_it.py": """
                import sys, pytest
                from pytest_import_isolation import IsolatedImportContext
                contexts = []

                def test_in_the_signature(isolated_imports):
                    assert isinstance(isolated_imports, IsolatedImportContext)
                    contexts.append(isolated_imports)
                    import app.settings, netrc
                    sys.path.append("/nowhere")

                def test_its_changes_can_be_read_after_the_test():
                    changes = contexts[0].changes
                    assert "app.settings" in changes.forgotten
                    assert changes.parked["netrc"] == "the standard library"
                    assert changes.kept == {}
                    assert [(item.where, item.item, item.change) for item in changes.items] == [
                        ("path", "/nowhere", "added")
                    ]
                    assert "app" not in sys.modules

                def test_asked_for_in_the_middle(request):
                    import helper
                    context = request.getfixturevalue("isolated_imports")
                    assert request.getfixturevalue("isolated_imports") is context
                    import app.settings
                    sys.modules["fake"] = 1

                def test_what_came_before_it_stayed():
                    assert "helper" in sys.modules
                    assert "app" not in sys.modules
                    assert "fake" not in sys.modules

                @pytest.mark.isolated_imports(missing="wave")
                def test_with_the_marker(isolated_imports, request):
                    assert request.getfixturevalue("isolated_imports") is isolated_imports
                    import app.settings
                    assert app.settings.wave is None
                    isolated_imports.fake({"more": {"value": 1}})
                    import more
                    assert more.value == 1

                def test_another_fixture_in_the_middle(request):
                    request.getfixturevalue("fake_module")("late", value=2)
                    import late
                    assert late.value == 2

                def test_nothing_is_left():
                    assert not {"app", "more", "late"} & set(sys.modules)
            """,
        }
    )
    assert run.outcomes == {"passed": 7}
    assert [leak for leak in run.leaks if not leak["contained"]] == []


@pytest.mark.neighbours("numpy")
def test_fresh_import_gives_a_copy_that_works_as_a_module(suite: Suite) -> None:
    run = suite.run(
        {
            **_TREE,
            "test_it.py": """
                import importlib, pickle, sys
                import pytest
                import app.settings
                first = app.settings
                first_registry = app.registry

                def test_a_second_copy(fresh_import):
                    copy = fresh_import("app.settings")
                    assert copy is not first
                    assert copy is sys.modules["app.settings"] is app.settings
                    instance = copy.Settings()
                    assert type(pickle.loads(pickle.dumps(instance))) is copy.Settings
                    assert copy.app.registry is first_registry
                    assert importlib.reload(copy) is copy

                def test_the_old_copy_is_back():
                    assert sys.modules["app.settings"] is first is app.settings
                    assert type(pickle.loads(pickle.dumps(first.Settings()))) is first.Settings

                def test_deep(fresh_import):
                    me = sys.modules[__name__]
                    copy = fresh_import("app.settings", deep=True)
                    assert copy.app.registry is not first_registry
                    assert copy.helper is not first.helper
                    assert sys.modules[__name__] is me

                def test_missing_and_fakes(fresh_import):
                    assert fresh_import("app.settings", missing="wave").wave is None
                    copy = fresh_import("app.settings", fakes={"helper": {"value": "fake"}})
                    assert copy.helper.value == "fake"

                def test_all_is_back():
                    assert sys.modules["app.registry"] is first_registry
                    assert sys.modules["app"].registry is first_registry
                    assert sys.modules["helper"] is first.helper
                    assert first.helper.value == "real"
                    import wave

                def test_mistakes(fresh_import):
                    from pytest_import_isolation.errors import ExtensionModuleError, PatternError
                    with pytest.raises(ModuleNotFoundError):
                        fresh_import("app.nothing")
                    with pytest.raises(PatternError, match="fresh_import: '.app' is relative"):
                        fresh_import(".app")
                    import numpy
                    with pytest.raises(ExtensionModuleError):
                        fresh_import("numpy")
                    with pytest.raises(TypeError, match="fresh_import: fakes: 'helper' is None"):
                        fresh_import("app.settings", fakes={"helper": None})
            """,
        },
    )
    assert run.outcomes == {"passed": 6}
    assert [leak for leak in run.leaks if not leak["contained"]] == []


def test_a_deep_fresh_import_leaves_test_packages_and_conftests_alone(suite: Suite) -> None:
    run = suite.run(
        {
            **_TREE,
            "tests/__init__.py": "",
            "tests/conftest.py": "",
            "tests/inner/__init__.py": "",
            "tests/inner/test_it.py": """
                import pickle, sys
                import app.settings
                first = app.settings

                class Mine:
                    pass

                def test_deep(fresh_import):
                    before = {name for name in sys.modules if name.partition(".")[0] == "tests"}
                    assert fresh_import("app.settings", deep=True) is not first
                    assert before <= set(sys.modules)
                    assert type(pickle.loads(pickle.dumps(Mine()))) is Mine
            """,
        }
    )
    assert run.outcomes == {"passed": 1}
    assert run.kinds == []


def test_fake_module_makes_the_packages_above_and_missing_modules_hides(suite: Suite) -> None:
    run = suite.run(
        {
            **_TREE,
            "test_it.py": """
                import importlib.util, sys
                import pytest
                import app.registry
                real = app.registry

                def test_fakes(fake_module):
                    fake = fake_module("cloud.storage.client", connect=lambda: "connected", name="n")
                    import cloud.storage.client
                    from cloud import storage
                    assert storage.client is fake is sys.modules["cloud.storage.client"]
                    assert fake.connect() == "connected"
                    assert fake.name == "n"
                    assert importlib.util.find_spec("cloud.storage") is not None
                    other = fake_module("app.registry", entries="fake")
                    from app.registry import entries
                    assert entries == "fake"
                    assert app.registry is other
                    with pytest.raises(ValueError, match="is no module name"):
                        fake_module("not a name")

                def test_fakes_are_gone():
                    assert not [name for name in sys.modules if name.startswith("cloud")]
                    assert app.registry is real is sys.modules["app.registry"]

                def test_hides(missing_modules):
                    import wave
                    missing_modules("wave", "app.reg*")
                    assert importlib.util.find_spec("wave") is None
                    with pytest.raises(ModuleNotFoundError, match="No module named 'app.registry'"):
                        import app.registry
                    with pytest.raises(pytest.skip.Exception):
                        pytest.importorskip("wave")

                def test_nothing_is_hidden_after_it():
                    import wave
                    assert app.registry is real
            """,
        }
    )
    assert run.outcomes == {"passed": 4}
    assert [leak for leak in run.leaks if not leak["contained"]] == []


@pytest.mark.neighbours("numpy", "yaml")
def test_a_foreign_module_that_is_hidden_after_its_import_comes_back_as_the_same_object(suite: Suite) -> None:
    run = suite.run(
        """
        import sys
        import pytest
        seen = {}

        def test_hides(missing_modules, fake_module):
            import numpy, yaml
            numpy.mine = yaml.mine = True
            missing_modules("numpy")
            with pytest.raises(ImportError):
                import numpy
            fake_module("yaml")
            import yaml
            assert not hasattr(yaml, "mine")

        def test_after():
            assert "numpy" not in sys.modules
            import numpy, yaml
            assert numpy.mine
            assert yaml.mine
        """,
    )
    assert run.outcomes == {"passed": 2}
    assert [leak for leak in run.leaks if not leak["contained"]] == []


@pytest.mark.neighbours("numpy")
def test_the_fixtures_take_all_that_the_functions_take(suite: Suite) -> None:
    run = suite.run(
        {
            **_TREE,
            "config.py": "import os\nDEBUG = os.environ.get('FIX_DEBUG')",
            "client.py": "import wave\ndef opened(name): return wave.open(name)",
            "test_it.py": """
                import importlib.metadata, sys
                import pytest, client

                def test_fake_module(fake_module, fresh_import):
                    fake = fake_module("cloud", "def connect(): return 'text'", region="eu")
                    import cloud
                    assert (cloud.connect(), cloud.region) == ("text", "eu")
                    spec = fake_module("wave", autospec=True)
                    assert fresh_import("client").opened("x.wav") is spec.open.return_value
                    with pytest.raises(TypeError):
                        spec.open()
                    with pytest.raises(AttributeError, match="the real module 'wave' has none of this name"):
                        spec.opened
                    assert fake_module("loose", strict=False).anything() is not None
                    thing = object()
                    assert fake_module("thing", thing) is thing

                def test_missing_modules(missing_modules):
                    missing_modules("numpy", distributions=True)
                    with pytest.raises(importlib.metadata.PackageNotFoundError):
                        importlib.metadata.version("numpy")

                @pytest.mark.isolated_imports(missing="numpy", distributions=True)
                def test_marker():
                    with pytest.raises(importlib.metadata.PackageNotFoundError):
                        importlib.metadata.version("numpy")

                def test_env(fresh_import):
                    assert fresh_import("config", env={"FIX_DEBUG": "1"}).DEBUG == "1"
                    assert fresh_import("config").DEBUG is None

                class Finder:
                    @staticmethod
                    def find_spec(name, path, target=None):
                        return None

                @pytest.mark.isolated_imports(finders=[Finder])
                def test_finders(isolated_imports):
                    assert sys.meta_path[0] is Finder
                    import config
                    assert isolated_imports.found_by("config").__name__ == "PathFinder"

                def test_all_is_back():
                    assert Finder not in sys.meta_path
                    assert importlib.metadata.version("numpy")
                    assert not {"cloud", "wave", "thing", "config"} - {"wave"} & set(sys.modules)
            """,
        },
    )
    assert run.outcomes == {"passed": 6}
    assert [leak for leak in run.leaks if not leak["contained"]] == []


def test_warnings_stand_at_the_users_line_and_refusals_name_the_test(suite: Suite) -> None:
    run = suite.run(
        {
            "http_lib.py": "def get(): return 'real'",
            "client.py": "import http_lib",
            "test_it.py": """
                import functools
                import pytest, client

                def test_fixture(fake_module):
                    fake_module("http_lib", get=None)

                @pytest.mark.isolated_imports(fakes={"http_lib": {}})
                def test_marker():
                    import http_lib

                def wrapped(function):
                    @functools.wraps(function)
                    def wrapper():
                        return function()
                    return wrapper

                @pytest.mark.isolated_imports(fresh="clint")
                @wrapped
                def test_misspelt():
                    pass

                @pytest.mark.filterwarnings("error")
                @pytest.mark.isolated_imports(unloaded="clint")
                def test_error():
                    pass

                @pytest.mark.isolated_imports(fakes={"text": "1 / 0"})
                def test_source():
                    pass

                def test_refused(fake_module, missing_modules, fresh_import):
                    for refused in (
                        lambda: fake_module("pytest"),
                        lambda: missing_modules("_pytest"),
                        lambda: fresh_import("pluggy"),
                    ):
                        with pytest.raises(ImportError, match="pytest itself needs this module"):
                            refused()

                def test_mistake(fake_module):
                    fake_module("http_lib", autospec=True, gte=1)
            """,
        },
        report=False,
    )
    assert run.outcomes == {"passed": 4, "failed": 1, "error": 2, "warning": 3}
    assert "has no attribute 'gte': the real module 'http_lib' has none of this name" in run.output
    assert "pytest_import_isolation/" not in run.output  # no traceback through our own code
    assert re.findall(r"test_it\.py:(\d+): ImportIsolationWarning: (.*)", run.output) == [
        (
            line,
            "nothing under test imported the fake of 'http_lib': client imported the real module before, and "
            "client.http_lib still holds it. Let the fake be there first, and have client executed anew under it: "
            "fresh='client', or fresh_import('client')",
        )
        for line in ("6", "8")
    ] + [
        (
            "18",
            "fresh='clint' covers no module that is loaded or can be imported (did you mean 'client'?), so it "
            "changes nothing",
        )
    ]
    assert (
        "test_it.py::test_error: @pytest.mark.isolated_imports: unloaded='clint' covers no module"
        in run.output
    )
    assert (
        "test_it.py::test_source: @pytest.mark.isolated_imports: ZeroDivisionError: division by zero"
        in run.output
    )


#: What pytest imports while tests run, at the moment when it needs it.
_LAZY = (
    "ast",
    "attr",
    "difflib",
    "doctest",
    "inspect",
    "json",
    "linecache",
    "pdb",
    "pprint",
    "traceback",
    "tracemalloc",
)


@pytest.mark.parametrize("how", ["fakes={name: {} for name in LAZY}", "missing=LAZY"])
def test_faking_or_hiding_what_pytest_imports_lazily_breaks_no_run(suite: Suite, how: str) -> None:
    run = suite.run(
        f"""
        import sys, warnings
        import pytest
        LAZY = {_LAZY!r}

        @pytest.mark.isolated_imports({how})
        def test_fails():
            warnings.warn("one")
            print("captured")
            assert {{"a": [1, 2], "b": "x" * 100}} == {{"a": [1, 3], "b": "y" * 100}}

        @pytest.mark.isolated_imports({how})
        def test_raises():
            open("left.txt", "w")
            raise ValueError

        @pytest.mark.isolated_imports({how})
        def test_passes():
            assert "pprint" not in sys.modules or not hasattr(sys.modules["pprint"], "pprint")

        def test_all_is_back():
            import difflib, pprint
            assert difflib.ndiff and pprint.pprint
        """,
        "--showlocals",
        report=False,
    )
    assert run.outcomes == {"passed": 2, "failed": 2, "warning": 1}
    assert "INTERNALERROR" not in run.output


def test_make_package_runs_what_was_written_last(suite: Suite) -> None:
    run = suite.run(
        """
        import sys
        import pytest

        @pytest.mark.parametrize("value", range(6))
        def test_same_size_same_second(make_package, value):
            root = make_package({"box/__init__.py": "", "box/inner.py": f"value = {value}\\n"})
            assert sys.path[0] == str(root)
            import box.inner
            assert box.inner.value == value

        def test_rewritten_within_the_test(make_package, fresh_import, tmp_path):
            for value in range(6):
                root = make_package({"box.py": f"value = {value}\\n"})
                assert root == tmp_path / "packages"
                assert fresh_import("box").value == value

        def test_nothing_is_left():
            assert not [name for name in sys.modules if name.startswith("box")]
            assert not [entry for entry in sys.path if entry.endswith("/packages")]
            assert not [entry for entry in sys.path_importer_cache if entry.endswith("/packages")]

        def test_mistakes(make_package, tmp_path):
            for name in ("/box.py", "../box.py", ""):
                with pytest.raises(TypeError, match="is no relative path below the package's directory"):
                    make_package({name: ""})
            with pytest.raises(TypeError, match="the text of 'box.py' is a string or bytes, not int"):
                make_package({"box.py": 3})
        """
    )
    assert run.outcomes == {"passed": 9}
    assert [leak for leak in run.leaks if not leak["contained"]] == []


def test_a_session_fixture_set_up_under_a_fake_is_named(suite: Suite) -> None:
    run = suite.run(
        {
            **_TREE,
            "conftest.py": """
                import pytest

                @pytest.fixture(scope="session")
                def settings():
                    import app.settings
                    return app.settings
            """,
            "test_it.py": """
                import sys, pytest

                @pytest.mark.isolated_imports(fakes={"helper": {"value": "fake"}})
                def test_it(settings):
                    assert settings.helper.value == "fake"

                def test_what_it_loaded_left_with_the_test(settings):
                    assert "app.settings" not in sys.modules
                    assert "helper" not in sys.modules
                    import app.settings
                    assert app.settings.helper.value == "real"
            """,
        }
    )
    assert run.outcomes == {"passed": 2, "warning": 1}
    words = " ".join(run.output.split())
    assert (
        "ImportIsolationWarning: the session-scoped fixture 'settings' was set up while these modules "
        "differed from their state elsewhere: helper (it is a fake), app.settings (it was first imported while "
        "helper was faked or blocked). They are undone with the test or file that changed them, but the "
        "fixture still holds objects from them. Request the fixture earlier, where nothing is faked, or give "
        "it function scope."
    ) in words
    assert "conftest.py:4: ImportIsolationWarning" in run.output


@pytest.mark.parametrize("report", [False, True])
def test_a_window_that_the_test_left_open_is_closed_with_a_warning_at_its_line(
    suite: Suite, report: bool
) -> None:
    run = suite.run(
        """
        import sys, pytest
        from pytest_import_isolation import IsolatedImportContext

        def test_forgetful(isolated_imports):
            context = IsolatedImportContext(missing="wave")
            context.start()
            import netrc

        def test_after():
            import wave
            assert "netrc" not in sys.modules
        """,
        report=report,
    )
    assert run.outcomes == {"passed": 2, "warning": 1}
    file = suite.root / "test_it.py"
    assert f"{file}:7: ImportIsolationWarning" in run.output
    assert (
        "ImportIsolationWarning: test_it.py::test_forgetful left the IsolatedImportContext opened at "
        f"{file}:7 open; it was closed now. Use a with statement, or call stop()."
    ) in " ".join(run.output.split())
