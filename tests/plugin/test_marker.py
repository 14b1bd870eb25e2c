"""The marker isolated_imports: where it may stand, what it takes, and what a mistake says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

_TREE = {
    "app/__init__.py": "value = 'app'",
    "app/settings.py": "loads = []",
    "extra/plugins.py": "here = True",
}


def test_it_isolates_functions_classes_and_modules(suite: Suite) -> None:
    run = suite.run(
        {
            **_TREE,
            "test_function.py": """
                import sys, pytest

                @pytest.mark.isolated_imports
                def test_marked():
                    import app.settings
                    sys.path.append("/nowhere")
                    sys.modules["fake"] = object()

                def test_after():
                    assert "app" not in sys.modules
                    assert "/nowhere" not in sys.path
                    assert "fake" not in sys.modules

                @pytest.mark.isolated_imports()
                @pytest.mark.parametrize("number", [1, 2, 3])
                def test_each_case(number):
                    assert "app" not in sys.modules
                    import app.settings
            """,
            "test_class.py": """
                import sys, pytest

                @pytest.mark.isolated_imports
                class TestMarked:
                    def test_one(self):
                        import app.settings
                    def test_two(self):
                        assert "app" not in sys.modules

                class TestNotMarked:
                    def test_one(self):
                        import app
                    def test_two(self):
                        assert "app" in sys.modules
                        del sys.modules["app"]
            """,
            "test_module.py": """
                import sys, pytest
                pytestmark = [pytest.mark.isolated_imports]

                def test_one():
                    import app.settings
                def test_two():
                    assert "app" not in sys.modules
            """,
        },
        "--strict-markers",
        report=False,
    )
    assert run.outcomes == {"passed": 11}


def test_marks_of_enclosing_scopes_add_up_and_the_nearest_fake_wins(suite: Suite) -> None:
    run = suite.run(
        {
            **_TREE,
            "test_it.py": """
                import sys, pytest
                pytestmark = pytest.mark.isolated_imports(
                    missing="wave",
                    fakes={"one": {"value": "module"}, "two": {"value": "module"}},
                    path="outer",
                )

                def test_of_the_module():
                    import one, two
                    assert (one.value, two.value) == ("module", "module")

                @pytest.mark.isolated_imports(
                    missing=["colorsys"], fakes={"two": {"value": "class"}}, path=["inner"]
                )
                class TestIt:
                    def test_of_the_class(self):
                        import one, two
                        assert (one.value, two.value) == ("module", "class")

                    @pytest.mark.isolated_imports(missing="netrc", fakes={"two": {"value": "function"}})
                    @pytest.mark.isolated_imports(fakes={"three": {"value": "function"}})
                    def test_of_the_function(self):
                        import one, two, three
                        assert (one.value, two.value, three.value) == ("module", "function", "function")
                        for name in ("wave", "colorsys", "netrc"):
                            with pytest.raises(ModuleNotFoundError):
                                __import__(name)
                        assert sys.path[:2] == ["inner", "outer"]
            """,
        },
        report=False,
    )
    assert run.outcomes == {"passed": 3}


def test_all_six_parameters(suite: Suite) -> None:
    run = suite.run(
        {
            **_TREE,
            "other.py": "",
            "test_it.py": """
                import sys, pytest, types, pathlib
                import app.settings
                import wave
                first, first_wave = app.settings, wave

                @pytest.mark.isolated_imports(fresh="app.settings")
                def test_fresh():
                    import app.settings
                    assert app.settings is not first

                def test_after_fresh():
                    assert app.settings is first is sys.modules["app.settings"]

                @pytest.mark.isolated_imports(unloaded="wave")
                def test_unloaded():
                    assert "wave" not in sys.modules
                    import wave
                    assert wave is first_wave

                @pytest.mark.isolated_imports(missing=("wave", "app.*"))
                def test_missing():
                    with pytest.raises(ModuleNotFoundError) as caught:
                        import wave
                    assert caught.value.name == "wave"
                    with pytest.raises(ImportError):
                        from app import settings

                @pytest.mark.isolated_imports(
                    fakes={"boto": {"client": 1}, "a.b": types.ModuleType("a.b"), "mock": 3}
                )
                def test_fakes():
                    import boto, a.b, mock
                    assert boto.client == 1
                    assert type(a.b) is types.ModuleType
                    assert mock == 3

                @pytest.mark.isolated_imports(path=[pathlib.Path(__file__).parent / "extra"])
                def test_path():
                    import plugins
                    assert plugins.here

                @pytest.mark.isolated_imports(keep="other")
                def test_keep():
                    import other

                def test_at_the_end():
                    assert "other" in sys.modules
                    assert sys.modules["wave"] is first_wave
                    for gone in ("boto", "a", "a.b", "mock", "plugins"):
                        assert gone not in sys.modules
                    assert not [entry for entry in sys.path if str(entry).endswith("extra")]
            """,
        },
        report=False,
    )
    assert run.outcomes == {"passed": 8}


@pytest.mark.neighbours("pytest_asyncio")
def test_doctests_in_text_files_and_modules_unittest_and_async_tests(suite: Suite) -> None:
    run = suite.run(
        {
            **_TREE,
            "conftest.py": """
                import pytest

                def pytest_collection_modifyitems(items):
                    for item in items:
                        if item.path.suffix == ".txt":
                            item.add_marker(pytest.mark.isolated_imports(fakes={"faked": {"value": 1}}))
            """,
            "text.txt": """
                >>> import sys, app.settings, faked
                >>> faked.value
                1
            """,
            "documented.py": '''
                import pytest
                pytestmark = pytest.mark.isolated_imports(fakes={"faked": {"value": 2}})

                def function():
                    """
                    >>> import sys, app.settings, faked
                    >>> faked.value
                    2
                    """
            ''',
            "test_classes.py": """
                import asyncio, sys, unittest, pytest

                @pytest.mark.isolated_imports(fakes={"faked": {"value": 3}})
                class TestIt(unittest.TestCase):
                    def test_method(self):
                        import app.settings, faked
                        assert faked.value == 3

                class TestAsync(unittest.IsolatedAsyncioTestCase):
                    @pytest.mark.isolated_imports(fakes={"faked": {"value": 4}})
                    async def test_method(self):
                        await asyncio.sleep(0)
                        import app.settings, faked
                        assert faked.value == 4

                @pytest.mark.asyncio
                @pytest.mark.isolated_imports(fakes={"faked": {"value": 5}})
                async def test_coroutine():
                    await asyncio.sleep(0)
                    import app.settings, faked
                    assert faked.value == 5

                def test_nothing_is_left():
                    assert not {"app", "app.settings", "faked"} & set(sys.modules)
            """,
        },
        *("--doctest-modules", "--doctest-glob=*.txt", "text.txt", "documented.py", "test_classes.py"),
        plugins=("asyncio",),
        ini="asyncio_default_fixture_loop_scope = function",
        report=False,
    )
    assert run.outcomes == {"passed": 6}


_TAKES = "it takes fresh, unloaded, missing, fakes, path, keep, distributions, finders, path_hooks, process, timeout"
_MISTAKES = {
    "'numpy'": (
        "takes keyword arguments only, not 'numpy'; "
        'for example @pytest.mark.isolated_imports(fresh="myapp.settings")'
    ),
    "frsh='numpy'": f"has no parameter 'frsh' (did you mean 'fresh'?); {_TAKES}",
    "blocked='numpy'": f"has no parameter 'blocked'; {_TAKES}",
    "missing=''": ": missing: '' is no module name; give a dotted name such as 'package.module'",
    "fresh='.app'": ": fresh: '.app' is relative; give the absolute name, such as 'package.module'",
    "keep=3": ": keep: expected a pattern or a list of patterns, not int (3)",
    "unloaded=[3]": (": unloaded: a pattern is a string such as 'numpy' or 'myapp.plugins.*', not int (3)"),
    "fakes=['numpy']": (
        ": fakes: expected a mapping of module names to fakes, such as {'boto3': {'client': ...}}, "
        "not list (['numpy'])"
    ),
    "fakes={'numpy': None}": (
        ": fakes: 'numpy' is None; to make a module look not installed, use missing='numpy'"
    ),
    "fakes={'3': {}}": ": fakes: '3' is no module name; give a dotted name such as 'package.module'",
    "finders=[3]": (": finders: 3 is no meta path finder: it has no method find_spec(name, path, target)"),
    "fakes={'sys': {}}": (
        ": fakes='sys': the interpreter needs this module while the test runs. To change single functions of it, "
        "use monkeypatch.setattr or unittest.mock.patch on the module that calls them; for anything more, run the "
        "test in a subprocess"
    ),
    "path=3": ": path: expected a path or a list of paths, not 3",
}


@pytest.mark.parametrize("arguments", list(_MISTAKES))
def test_a_mistake_is_a_usage_error_that_names_the_test(suite: Suite, arguments: str) -> None:
    run = suite.run(
        f"""
        import pytest

        def test_good():
            pass

        @pytest.mark.isolated_imports({arguments})
        def test_bad():
            pass
        """,
        report=False,
    )
    assert run.status == 4
    where = "test_it.py::test_bad: @pytest.mark.isolated_imports"
    separator = "" if _MISTAKES[arguments].startswith(":") else " "
    assert f"ERROR: {where}{separator}{_MISTAKES[arguments]}\n" in run.output
    assert "Traceback" not in run.output
    assert "INTERNALERROR" not in run.output


def test_all_mistakes_are_told_at_once_each_with_its_test(suite: Suite) -> None:
    run = suite.run(
        {
            "test_it.py": """
                import pytest

                @pytest.mark.isolated_imports(freshh="a")
                @pytest.mark.parametrize("number", range(30))
                def test_typo(number):
                    pass

                @pytest.mark.isolated_imports(path=3)
                class TestIt:
                    @pytest.mark.isolated_imports(1)
                    def test_positional(self):
                        pass

                @pytest.mark.isolated_imports(fresh="a", keep="a")
                @pytest.mark.parametrize("number", range(30))
                def test_contradiction(number):
                    pass
            """,
            "test_other.py": "import pytest\npytestmark = pytest.mark.isolated_imports(fakes=[1])\ndef test(): pass\n",
        },
        report=False,
    )
    assert run.status == 4
    told = [line.partition(": @")[0] for line in run.output.splitlines() if line.startswith("ERROR: ")]
    assert told == [
        "ERROR: test_it.py::test_typo[0]",
        "ERROR: test_it.py::TestIt::test_positional",
        "ERROR: test_it.py::TestIt",
        "ERROR: test_it.py::test_contradiction[0]",
        "ERROR: test_other.py",
    ]


def test_a_mistake_on_a_class_or_a_module_names_that(suite: Suite) -> None:
    text = """
        import pytest
        {on_module}
        {on_class}
        class TestIt:
            def test_bad(self):
                pass
    """
    mark = "pytest.mark.isolated_imports(1)"
    run = suite.run(text.format(on_module="", on_class=f"@{mark}"), report=False)
    assert run.status == 4
    assert "ERROR: test_it.py::TestIt: @pytest.mark.isolated_imports takes" in run.output
    run = suite.run(text.format(on_module=f"pytestmark = {mark}", on_class=""), report=True)
    assert run.status == 4
    assert "ERROR: test_it.py: @pytest.mark.isolated_imports takes" in run.output
    assert "Traceback" not in run.output


def test_a_mistake_is_no_internal_error_under_xdist(suite: Suite) -> None:
    run = suite.run(
        """
        import pytest

        @pytest.mark.isolated_imports(frsh="numpy")
        def test_bad():
            pass
        """,
        "-n2",
        plugins=("xdist",),
        report=False,
    )
    assert run.status != 0
    assert (
        "test_it.py::test_bad: @pytest.mark.isolated_imports has no parameter 'frsh' (did you mean 'fresh'?)"
        in run.output
    )
    assert "INTERNALERROR" not in run.output


@pytest.mark.neighbours("numpy")
def test_fresh_of_an_extension_package_fails_that_test_and_no_other(suite: Suite) -> None:
    run = suite.run(
        """
        import pytest
        import numpy
        first = numpy

        @pytest.mark.isolated_imports(fresh="numpy")
        def test_bad():
            pass

        @pytest.mark.isolated_imports(unloaded="numpy")
        def test_good():
            import sys
            assert "numpy" not in sys.modules
            import numpy
            assert numpy is first
            assert numpy.arange(3).sum() == 3
        """,
    )
    assert run.outcomes == {"error": 1, "passed": 1}
    assert (
        "test_it.py::test_bad: @pytest.mark.isolated_imports: fresh='numpy' covers extension modules (numpy."
        in run.output
    )
    assert (
        "and executing those twice in one process fails or crashes. Use unloaded='numpy' to have them absent "
        "until they are imported again (the same objects come back), or name the pure Python modules that "
        "you need fresh."
    ) in run.output
    assert "pytest_import_isolation/" not in run.output
    assert run.kinds == []


def test_a_failure_is_reported_although_all_modules_are_missing(suite: Suite) -> None:
    run = suite.run(
        """
        import pytest

        @pytest.mark.isolated_imports(missing="*")
        def test_it():
            with pytest.raises(ImportError):
                import faulthandler
            assert {"a": 1} == {"a": 2}

        def test_after():
            import faulthandler, difflib
        """,
        report=False,
    )
    assert "INTERNALERROR" not in run.output
    assert (run.status, run.outcomes) == (1, {"failed": 1, "passed": 1})
