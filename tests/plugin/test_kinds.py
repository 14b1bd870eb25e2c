"""Every kind of test, with the whole suite isolated: fakes are there for their file, and for no other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from tests.conftest import TAKES_LONG

if TYPE_CHECKING:
    from tests.plugin.conftest import Run, Suite

_TREE = {"vendor.py": "name = 'real'", "lib/only_in_lib.py": ""}

# A victim lies before the polluting file and one behind it, in the order of collection and of running.
_VICTIM = """
    import sys
    import vendor
    at_collection = vendor.name

    def test_victim():
        import vendor
        assert at_collection == vendor.name == "real"
        assert not {"left", "only_in_lib"} & set(sys.modules)
        assert not {"lib", "/left"} & set(sys.path)
"""


class Mode(NamedTuple):
    """A value of ``--isolate-imports``."""

    name: str

    @property
    def per_test(self) -> bool:
        """Whether each test is isolated by itself."""
        return self.name == "test"

    @property
    def head(self) -> str:
        """The first lines of a polluting file, indented like those after them.

        Each of its tests calls ``use()``, which checks what is in place, and leaves more.
        """
        return f"""
    import sys, types
    sys.modules["vendor"] = types.ModuleType("vendor")
    sys.modules["vendor"].name = "fake"
    sys.path.insert(0, "lib")
    PER_TEST = {self.per_test}
    uses = []

    def use():
        import vendor, only_in_lib
        assert vendor.name == "fake"
        found = ("left" in sys.modules, "/left" in sys.path)
        assert found == ((False, False) if PER_TEST or not uses else (True, True))
        uses.append(1)
        sys.modules["left"] = object()
        sys.path.append("/left")
"""

    def run(self, suite: Suite, files: Mapping[str, str], *options: str, **more: Any) -> Run:
        """Run a suite in this mode, with a victim on each side."""
        victims = {"test_a_victim.py": _VICTIM, "test_z_victim.py": _VICTIM}
        return suite.run({**_TREE, **victims, **files}, f"--isolate-imports={self.name}", *options, **more)

    def outcomes(self, **others: int) -> dict[str, int]:
        """Return the outcomes with those of the victims, which fail without isolation."""
        word = "failed" if self.name == "off" else "passed"
        return {**others, word: others.get(word, 0) + 2}


_ISOLATING = [Mode("file"), Mode("test")]


@pytest.fixture(params=[Mode("off"), *_ISOLATING], ids=lambda mode: mode.name)
def mode(request: pytest.FixtureRequest) -> Mode:
    """Return each mode in turn."""
    found: Mode = request.param
    return found


def test_functions_classes_and_parametrized_tests(suite: Suite, mode: Mode) -> None:
    run = mode.run(
        suite,
        {
            "test_it.py": f"""{mode.head}
    import pytest

    def test_function():
        use()

    @pytest.mark.parametrize("number", [1, 2])
    def test_parametrized(number):
        use()

    @pytest.fixture
    def using():
        use()
        yield
        assert sys.modules["vendor"].name == "fake"

    def test_with_a_fixture(using):
        assert "left" in sys.modules

    class TestClass:
        @classmethod
        def setup_class(cls):
            import vendor
            cls.vendor = vendor
            sys.modules["by_the_class"] = object()

        def test_method(self):
            use()
            assert self.vendor.name == "fake"
            assert "by_the_class" in sys.modules

        class TestInner:
            def setup_method(self):
                use()

            def teardown_method(self):
                assert "left" in sys.modules

            def test_method(self):
                assert "by_the_class" in sys.modules

    @pytest.mark.skip
    def test_skipped():
        use()

    @pytest.mark.xfail(raises=ZeroDivisionError)
    def test_expected_to_fail():
        use()
        1 / 0
    """,
        },
    )
    assert run.outcomes == mode.outcomes(passed=6, skipped=1, xfailed=1)


@pytest.mark.parametrize(
    "plugin",
    [
        pytest.param("asyncio", marks=pytest.mark.neighbours("pytest_asyncio")),
        pytest.param("anyio", marks=pytest.mark.neighbours("anyio")),
    ],
)
def test_async_tests(suite: Suite, mode: Mode, plugin: str) -> None:
    mine = {
        "anyio": """
    from pytest import fixture, fixture as wider_fixture

    @fixture(scope="session")
    def anyio_backend():
        return "asyncio"
""",
        "asyncio": """
    import functools
    from pytest_asyncio import fixture
    wider_fixture = functools.partial(fixture, loop_scope="module")
""",
    }
    run = mode.run(
        suite,
        {
            "test_it.py": f"""{mode.head}{mine[plugin]}
    import asyncio
    import pytest
    pytestmark = pytest.mark.{plugin}

    @fixture
    async def using():
        await asyncio.sleep(0)
        use()
        yield
        await asyncio.sleep(0)
        assert sys.modules["vendor"].name == "fake"
        assert "left" in sys.modules

    @wider_fixture(scope="module")
    async def wider():
        import wave
        await asyncio.sleep(0)
        return wave

    @pytest.mark.parametrize("number", [1, 2])
    async def test_with_fixtures(using, wider, number):
        await asyncio.sleep(0)
        assert "left" in sys.modules
        assert sys.modules["wave"] is wider

    async def test_without():
        use()
        await asyncio.sleep(0)
        assert sys.modules["vendor"].name == "fake"

    class TestClass:
        async def test_method(self):
            await asyncio.sleep(0)
            use()
    """,
        },
        plugins=(plugin,),
        ini="asyncio_default_fixture_loop_scope = function" if plugin == "asyncio" else "",
    )
    assert run.outcomes == mode.outcomes(passed=4)


def test_unittest(suite: Suite, mode: Mode) -> None:
    run = mode.run(
        suite,
        {
            "test_it.py": f"""{mode.head}
    import unittest

    def setUpModule():
        import vendor
        assert vendor.name == "fake"
        sys.modules["by_the_module"] = object()

    def tearDownModule():
        assert sys.modules["vendor"].name == "fake"
        del sys.modules["by_the_module"]

    class TestMethods(unittest.TestCase):
        @classmethod
        def setUpClass(cls):
            import wave
            cls.wave = wave
            sys.modules["by_the_class"] = object()

        @classmethod
        def tearDownClass(cls):
            assert sys.modules["wave"] is cls.wave
            del sys.modules["by_the_class"]

        def setUp(self):
            use()
            self.addCleanup(lambda: sys.modules["left"])

        def tearDown(self):
            assert "left" in sys.modules

        def test_one(self):
            assert {{"by_the_module", "by_the_class", "left"}} <= set(sys.modules)

        def test_two(self):
            assert {{"by_the_module", "by_the_class", "left"}} <= set(sys.modules)
            assert sys.modules["wave"] is self.wave

        def test_subtests(self):
            for number in range(2):
                with self.subTest(number=number):
                    import only_in_lib
                    assert sys.modules["vendor"].name == "fake"

        @unittest.skip("not now")
        def test_skipped(self):
            pass

        @unittest.expectedFailure
        def test_failing(self):
            assert False

    class TestAsync(unittest.IsolatedAsyncioTestCase):
        async def asyncSetUp(self):
            use()

        async def test_coroutine(self):
            assert "left" in sys.modules
            assert "by_the_class" not in sys.modules
    """,
        },
    )
    run.outcomes.pop("subtests", None)  # some versions count them
    assert run.outcomes == mode.outcomes(passed=4, skipped=1, xfailed=1)


@pytest.mark.parametrize("raising", ["unittest.SkipTest('not now')", "OSError"])
@pytest.mark.parametrize("where", ["setUpModule", "setUpClass"])
def test_unittest_whose_setup_skips_or_fails(suite: Suite, mode: Mode, where: str, raising: str) -> None:
    run = mode.run(
        suite,
        {
            "test_it.py": f"""{mode.head}
    import unittest

    def set_up(where):
        if where == "{where}":
            use()
            raise {raising}

    def setUpModule():
        set_up("setUpModule")

    class TestFirst(unittest.TestCase):
        @classmethod
        def setUpClass(cls):
            set_up("setUpClass")

        def test_one(self):
            pass

        def test_two(self):
            pass

    class TestSecond(unittest.TestCase):
        def test_three(self):
            import vendor
            assert vendor.name == "fake"
    """,
        },
    )
    word = "skipped" if "SkipTest" in raising else "error"
    of_this_file = {word: 3} if where == "setUpModule" else {word: 2, "passed": 1}
    assert run.outcomes == mode.outcomes(**of_this_file)


def test_doctests_in_modules_and_text_files(suite: Suite, mode: Mode) -> None:
    run = mode.run(
        suite,
        {
            "documented.py": f'''{mode.head}
    def first():
        """
        >>> use()
        >>> sys.modules["vendor"].name
        'fake'
        """

    def second():
        """
        >>> use()
        """
    ''',
            # This file is collected as a module with tests, and as one with doctests.
            "test_documented.py": f'''{mode.head}
    def test_function():
        """
        >>> sys.modules["vendor"].name
        'fake'
        """
        assert sys.modules["vendor"].name == "fake"
        import only_in_lib
    ''',
            "text.txt": """
    >>> import sys, types, vendor
    >>> vendor.name
    'real'
    >>> sys.path.insert(0, "lib")
    >>> import only_in_lib
    >>> sys.modules["vendor"] = types.ModuleType("vendor")
    >>> sys.modules["left"] = object()
    """,
            "text_after_it.txt": """
    >>> import sys, vendor
    >>> vendor.name
    'real'
    >>> sorted({"only_in_lib", "left"} & set(sys.modules))
    []
    >>> "lib" in sys.path
    False
    """,
        },
        "--doctest-modules",
        "--doctest-glob=*.txt",
        "test_a_victim.py",
        "documented.py",
        "test_documented.py",
        "text.txt",
        "text_after_it.txt",
        "test_z_victim.py",
    )
    text_files = "failed" if mode.name == "off" else "passed"
    expected = mode.outcomes(passed=4)
    expected[text_files] += 2
    assert run.outcomes == expected


def test_subtests(suite: Suite, mode: Mode) -> None:
    pytest.importorskip("_pytest.subtests")  # since pytest 9
    run = mode.run(
        suite,
        {
            "test_it.py": f"""{mode.head}
    def test_it(subtests):
        use()
        for number in range(3):
            with subtests.test(number=number):
                # What a subtest does is a part of its test.
                assert len([name for name in sys.modules if name.startswith("subtest_")]) == number
                sys.modules[f"subtest_{{number}}"] = object()
                assert sys.modules["vendor"].name == "fake"
        with subtests.test("failing"):
            assert sys.modules["vendor"].name == "real"

    def test_after():
        use()
        assert PER_TEST is ("subtest_0" not in sys.modules)
    """,
        },
    )
    assert run.output.count("SUBFAILED") == 1
    assert "SUBFAILED[failing] test_it.py::test_it" in run.output
    run.outcomes.pop("subtests", None)  # some versions count those that pass
    assert run.outcomes == mode.outcomes(passed=1, failed=2)  # the subtest, and its test


@pytest.mark.parametrize("method", ["inprocess", pytest.param("subprocess", marks=TAKES_LONG)])
def test_pytester_runs_inside_of_isolated_tests(suite: Suite, mode: Mode, method: str) -> None:
    suite.autoloads = True
    inner = f"""
    INNER = '''{mode.head}
    def test_one():
        use()
        import inner_module
        inner_module.state.append(1)

    def test_two():
        use()
        import inner_module
        assert inner_module.state == ([] if PER_TEST else [1])
    '''
    VICTIM = '''
    import sys

    def test_it():
        import vendor, inner_module
        assert vendor.name == "real"
        assert not {{"left", "only_in_lib"}} & set(sys.modules)
        assert inner_module.state == []
    '''
"""
    run = mode.run(
        suite,
        {
            "test_it.py": f"""{mode.head}{inner}
    import pytest
    pytest_plugins = ["pytester"]

    @pytest.mark.parametrize("attempt", [1, 2])
    def test_inner(pytester, attempt):
        fake = sys.modules["vendor"]
        pytester.makepyfile(
            inner_module="state = []",
            vendor="name = 'real'",
            test_inner=INNER,
            test_victim=VICTIM,
        )
        pytester.mkdir("lib").joinpath("only_in_lib.py").touch()
        # An inner run in this process begins with what is loaded in it.
        del sys.modules["vendor"]
        without = ("cacheprovider", "anyio", "asyncio", "xdist", "hypothesispytest", "rerunfailures", "randomly")
        options = ["--isolate-imports={mode.name}", *(f"-pno:{{name}}" for name in without)]
        if {suite.must_load}:
            options += ["-p", "pytest_import_isolation.plugin"]
        before = sys.modules.copy()
        result = pytester.runpytest_{method}(*options)
        if "{mode.name}" == "off":
            result.assert_outcomes(passed=2, failed=1)
        else:
            result.assert_outcomes(passed=3)
        assert not {{"left", "inner_module", "test_inner", "only_in_lib"}} & set(sys.modules)
        assert [name for name in before if before[name] is not sys.modules.get(name)] == []
        sys.modules["vendor"] = fake

    def test_after():
        use()
    """,
        },
    )
    assert run.outcomes == mode.outcomes(passed=3)


@pytest.mark.neighbours("pytest_rerunfailures")
def test_each_attempt_by_rerunfailures(suite: Suite, mode: Mode) -> None:
    run = mode.run(
        suite,
        {
            "test_it.py": f"""{mode.head}
    import pytest

    @pytest.fixture(scope="module")
    def shared():
        import shared_module
        return shared_module

    @pytest.mark.flaky(reruns=2)
    def test_flaky(shared):
        use()
        import shared_module
        assert shared_module is shared
        assert len(uses) == 3

    @pytest.mark.flaky(reruns=1)
    def test_never_passing():
        use()
        assert False
    """,
            "shared_module.py": "",
        },
        plugins=("rerunfailures",),
    )
    assert run.outcomes == mode.outcomes(passed=1, failed=1, rerun=3)


_ITEMS = """
    import sys, types
    import pytest

    class Item(pytest.Item):
        # It has no fixtures, and it is no function.
        def runtest(self):
            import vendor
            assert vendor.name == {vendor!r}
            assert ("left" in sys.modules) is (self.name == "two" and {shares})
            sys.modules["vendor"] = types.ModuleType("vendor")
            sys.modules["vendor"].name = {vendor!r}
            sys.modules["left"] = object()
            sys.path.append("/left")

        def reportinfo(self):
            return self.path, 0, self.name
"""


def test_items_of_a_collector_that_imports_something(suite: Suite, mode: Mode) -> None:
    run = mode.run(
        suite,
        {
            "conftest.py": _ITEMS.format(vendor="fake", shares=not mode.per_test)
            + """
    class File(pytest.File):
        def collect(self):
            sys.path.insert(0, "lib")
            import only_in_lib
            sys.modules["vendor"] = types.ModuleType("vendor")
            sys.modules["vendor"].name = "fake"
            for name in self.path.read_text().split():
                yield Item.from_parent(self, name=name)

    def pytest_collect_file(parent, file_path):
        if file_path.suffix == ".yaml":
            return File.from_parent(parent, path=file_path)
    """,
            "test_cases.yaml": "one two",
            "test_more_cases.yaml": "one" if mode.name != "off" else "",
        },
    )
    cases = 2 if mode.name == "off" else 3
    assert run.outcomes == mode.outcomes(passed=cases)


def test_items_that_belong_to_no_file(suite: Suite, mode: Mode) -> None:
    run = mode.run(
        suite,
        {
            "conftest.py": _ITEMS.format(
                vendor="fake" if mode.name == "off" else "real", shares=not mode.per_test
            )
            + """
    def pytest_collection_modifyitems(session, items):
        # One before all others and one between them.
        items.insert(0, Item.from_parent(session, name="one"))
        items.insert(2, Item.from_parent(session, name="two"))
    """,
            "test_it.py": f"""{mode.head}
    def test_it():
        use()
    """,
        },
    )
    # Without isolation the test finds what the first of them left.
    assert run.outcomes == mode.outcomes(
        **({"failed": 1, "passed": 2} if mode.name == "off" else {"passed": 3})
    )


@pytest.mark.parametrize("mode", _ISOLATING, ids=lambda mode: mode.name)
def test_the_parameters_of_marks_apply_and_the_nearest_wins(suite: Suite, mode: Mode) -> None:
    marks = """
    import pytest
    import app.settings, wave, one
    first, first_wave, first_one = app.settings, wave, one
    pytestmark = pytest.mark.isolated_imports(
        fakes={"one": {"name": "module"}, "two": {"name": "module"}}, missing="colorsys"
    )

    @pytest.mark.isolated_imports(fakes={"two": {"name": "class"}}, missing=["netrc"])
    class TestMarks:
        @pytest.mark.isolated_imports(fakes={"two": {"name": "function"}})
        def test_of_the_function(self):
            import one, two
            assert (one.name, two.name) == ("module", "function")
            for name in ("colorsys", "netrc"):
                with pytest.raises(ModuleNotFoundError):
                    __import__(name)

        def test_of_the_class(self):
            import one, two
            assert (one.name, two.name) == ("module", "class")

    @pytest.mark.isolated_imports(fakes={"vendor": {"name": "marker"}}, fresh="app.settings")
    def test_fakes():
        import app.settings
        assert app.settings.vendor_name == "marker"

    @pytest.mark.isolated_imports(missing="vendor")
    def test_missing():
        with pytest.raises(ModuleNotFoundError):
            import vendor

    @pytest.mark.isolated_imports(fresh="app.settings")
    def test_fresh():
        import app.settings
        assert app.settings is not first
        assert app.settings.vendor_name == VENDOR

    @pytest.mark.isolated_imports(unloaded=["wave", "app"])
    def test_unloaded():
        assert not {"wave", "app", "app.settings"} & set(sys.modules)
        import app.settings, wave
        assert wave is first_wave
        assert app.settings.vendor_name == VENDOR

    @pytest.mark.isolated_imports(keep="kept")
    def test_keep():
        import kept, not_kept

    def test_after():
        import vendor
        assert vendor.name == VENDOR
        assert "kept" in sys.modules
        assert "not_kept" not in sys.modules
        assert app.settings is first is sys.modules["app.settings"]
        assert sys.modules["one"].name == "module"
    """
    files = {
        "app/__init__.py": "",
        "app/settings.py": "import vendor\nvendor_name = vendor.name\n",
        "one.py": "name = 'real'",
        "kept.py": "",
        "not_kept.py": "",
        # The same in a file with fakes of its own and in one without.
        "test_it.py": f"{mode.head}\n    VENDOR = 'fake'\n{marks}",
        "test_plain.py": f"    import sys\n    VENDOR = 'real'\n{marks}",
        "test_the_end.py": """
            import sys

            def test_nothing_is_left():
                import one
                assert one.name == "real"
                assert not {"kept", "not_kept", "two"} & set(sys.modules)
        """,
    }
    run = mode.run(suite, files)
    assert run.outcomes == {"passed": 2 * 8 + 3}
