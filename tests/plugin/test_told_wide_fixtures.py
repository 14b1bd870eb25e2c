"""Fixtures of a wider scope than the test, as the report sees them: judged by what they found and what they left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Run, Suite


def _blamed(run: Run) -> list[tuple[str, str, str, str]]:
    return [
        (leak["kind"], leak["name"], leak["polluter"]["nodeid"], leak["polluter"]["phase"])
        for leak in run.leaks
    ]


def test_a_wide_fixture_that_takes_its_first_import_away_leaves_nothing(suite: Suite) -> None:
    scopes = ("class", "module", "package", "session")
    fixtures = "".join(
        f"""
@pytest.fixture(scope="{scope}")
def {scope}_import():
    sys.path.append("{scope}_lib")
    yield importlib.import_module("of_{scope}")
    sys.path.remove("{scope}_lib")
    del sys.modules["of_{scope}"]
"""
        for scope in scopes
    )
    run = suite.run(
        {
            **{f"{scope}_lib/of_{scope}.py": "" for scope in scopes},
            "conftest.py": f"import importlib, sys, pytest\n{fixtures}",
            "test_it.py": """
                class TestIt:
                    def test_one(self, class_import, module_import, package_import, session_import):
                        pass
                    def test_two(self, class_import, module_import, package_import, session_import):
                        pass

                def test_three(module_import, session_import):
                    pass
            """,
            "test_other.py": "def test_last(): pass",
        }
    )
    assert run.outcomes == {"passed": 4}
    assert _blamed(run) == []


def test_setups_of_xunit_and_unittest_that_take_their_first_imports_away_leave_nothing(suite: Suite) -> None:
    run = suite.run(
        {
            "lib/plum.py": "",
            "lib/fig.py": "",
            "lib/lime.py": "",
            "pytest.ini": "[pytest]\npythonpath = lib\n",
            "test_it.py": """
                import importlib, sys, unittest

                def setup_module():
                    importlib.import_module("fig")

                def teardown_module():
                    del sys.modules["fig"]

                class TestClass:
                    @classmethod
                    def setup_class(cls):
                        importlib.import_module("lime")
                    @classmethod
                    def teardown_class(cls):
                        sys.modules.pop("lime")
                    def test_one(self):
                        pass
                    def test_two(self):
                        pass

                class Base:
                    @classmethod
                    def setUpClass(cls):
                        cls.plum = importlib.import_module("plum")
                        cls.addClassCleanup(sys.modules.pop, "plum")
                    def test_one(self):
                        import plum
                        assert plum is self.plum
                    def test_two(self):
                        pass

                class TestBlue(Base, unittest.TestCase):
                    pass

                class TestRed(Base, unittest.TestCase):
                    pass
            """,
        }
    )
    assert run.outcomes == {"passed": 6}
    assert _blamed(run) == []


def test_a_wide_fixture_that_restores_a_snapshot_takes_away_what_tests_imported(suite: Suite) -> None:
    run = suite.run(
        {
            "quince.py": "",
            "pytest.ini": "[pytest]\npythonpath = .\n",
            "test_it.py": """
                import sys
                import pytest

                @pytest.fixture(scope="class")
                def snapshot():
                    before = sys.modules.copy()
                    yield
                    for name in set(sys.modules) - set(before):
                        del sys.modules[name]

                class TestIt:
                    def test_one(self, snapshot):
                        import quince
                    def test_two(self, snapshot):
                        pass
            """,
        }
    )
    assert run.outcomes == {"passed": 2}
    assert _blamed(run) == []


@pytest.mark.parametrize("last", [False, True])
def test_what_such_a_fixture_evicts_is_told_once(suite: Suite, last: bool) -> None:
    run = suite.run(
        f"""
        import sys
        import pytest

        @pytest.fixture(scope="module")
        def snapshot():
            before = sys.modules.copy()
            yield
            for name in set(sys.modules) - set(before):
                held.append(sys.modules.pop(name))

        held = []
        def test_one(snapshot): {"pass" if last else "import wsgiref.util"}
        def test_two(snapshot): {"import wsgiref.util" if last else "pass"}
        """
    )
    assert run.outcomes == {"passed": 2}
    assert [kind for kind, _ in run.kinds] == ["evicted"]


def test_parametrized_fixtures_that_are_torn_down_in_the_middle_leave_nothing(suite: Suite) -> None:
    run = suite.run(
        {
            "lib/one.py": "",
            "lib/two.py": "",
            "pytest.ini": "[pytest]\npythonpath = lib\n",
            "test_it.py": """
                import importlib, sys
                import pytest

                @pytest.fixture(scope="module", params=["one", "two"])
                def loaded(request):
                    importlib.import_module(request.param)
                    sys.modules["fake"] = object()
                    request.addfinalizer(lambda: sys.modules.pop(request.param))
                    request.addfinalizer(lambda: sys.modules.pop("fake"))

                def test_one(loaded):
                    pass

                def test_two(loaded):
                    pass
            """,
        }
    )
    assert run.outcomes == {"passed": 4}
    assert _blamed(run) == []


def test_a_wide_fixture_may_undo_in_finalizers_that_tests_registered_through_it(suite: Suite) -> None:
    run = suite.run(
        {
            "one.py": "",
            "two.py": "",
            "pytest.ini": "[pytest]\npythonpath = .\n",
            "test_it.py": """
                import importlib, sys
                import pytest

                @pytest.fixture(scope="module")
                def load(request):
                    def load(name):
                        importlib.import_module(name)
                        request.addfinalizer(lambda: sys.modules.pop(name))
                    return load

                def test_one(load):
                    load("one")

                def test_two(load):
                    load("two")
            """,
        }
    )
    assert run.outcomes == {"passed": 2}
    assert _blamed(run) == []


def test_a_foreign_module_that_a_wide_fixture_takes_away_is_evicted_as_with_any_fixture(suite: Suite) -> None:
    run = suite.run(
        """
        import sys
        from unittest import mock
        import pytest

        held = []

        @pytest.fixture(scope="class")
        def patched():
            with mock.patch.dict(sys.modules):
                import wsgiref.simple_server
                held.append(wsgiref.simple_server)
                yield

        class TestIt:
            def test_one(self, patched):
                pass
            def test_two(self, patched):
                pass
        """
    )
    assert run.outcomes == {"passed": 2}
    assert {(kind, phase) for kind, _, _, phase in _blamed(run)} == {("evicted", "teardown")}


def test_a_test_answers_for_what_it_changes_under_a_living_fixture(suite: Suite) -> None:
    run = suite.run(
        """
        import sys
        import pytest

        sys.modules["gone"] = object()

        @pytest.fixture(scope="module", autouse=True)
        def wide():
            del sys.modules["gone"]
            sys.modules["fake"] = object()
            yield
            del sys.modules["fake"]

        def test_one():
            pass

        def test_two():
            sys.modules["fake"] = object()

        def test_three():
            sys.modules["gone"] = 7
        """
    )
    assert _blamed(run) == [
        ("fake-left", "gone", "test_it.py", "collect"),
        ("fake-left", "fake", "test_it.py::test_two", "call"),
        ("fake-left", "gone", "test_it.py::test_three", "call"),
    ]


def test_what_a_wide_fixture_leaves_is_judged_by_what_it_found(suite: Suite) -> None:
    run = suite.run(
        {
            "store.py": "",
            "pytest.ini": "[pytest]\npythonpath = .\n",
            "test_it.py": """
                import colorsys, store, sys
                import pytest

                @pytest.fixture(scope="module", autouse=True)
                def takes_the_original_away_with_its_fake():
                    sys.modules["colorsys"] = object()
                    yield
                    del sys.modules["colorsys"]

                @pytest.fixture(scope="module", autouse=True)
                def makes_room_for_a_second_copy():
                    del sys.modules["store"]

                def test_one():
                    pass

                def test_two():
                    import store

                def test_three():
                    pass
            """,
        }
    )
    assert run.outcomes == {"passed": 3}
    assert sorted(_blamed(run)) == [
        ("removed", "colorsys", "test_it.py", "teardown"),
        ("replaced", "store", "test_it.py", "setup"),
    ]


def test_a_wide_fixture_answers_for_itself_also_if_another_one_asked_for_it(suite: Suite) -> None:
    run = suite.run(
        """
        import sys
        import pytest

        @pytest.fixture(scope="module")
        def inner():
            sys.modules["fake"] = object()
            yield
            del sys.modules["fake"]

        @pytest.fixture(scope="class")
        def outer(request):
            request.getfixturevalue("inner")

        class TestIt:
            def test_one(self, outer):
                pass

        def test_two(inner):
            pass
        """
    )
    assert run.outcomes == {"passed": 2}
    assert _blamed(run) == []


@pytest.mark.parametrize("mode", ["file", "test"])
def test_what_a_fixture_of_a_file_leaves_is_contained_with_the_file(suite: Suite, mode: str) -> None:
    run = suite.run(
        {
            "conftest.py": """
                import sys
                from types import ModuleType
                import pytest

                @pytest.fixture(scope="module")
                def of_module():
                    sys.modules["module_fake"] = ModuleType("module_fake")
            """,
            "test_a.py": """
                import sys
                import unittest
                from types import ModuleType
                import pytest

                class TestIt:
                    @pytest.fixture(scope="class")
                    @classmethod
                    def of_class(cls):
                        sys.path = ["/class_entry", *sys.path]
                        yield
                        sys.modules["torn_fake"] = ModuleType("torn_fake")

                    def test_one(self, of_class, of_module):
                        assert "/class_entry" in sys.path

                class CaseTest(unittest.TestCase):
                    @classmethod
                    def setUpClass(cls):
                        sys.modules["case_fake"] = ModuleType("case_fake")

                    def test_two(self):
                        assert "case_fake" in sys.modules
            """,
            "test_b.py": """
                import sys

                def test_three():
                    assert "/class_entry" not in sys.path
                    assert not {"module_fake", "torn_fake", "case_fake"} & sys.modules.keys()
            """,
        },
        f"--isolate-imports={mode}",
        "--import-leak-fail",
    )
    assert run.outcomes == {"passed": 3}
    assert run.status == 0
    assert {(kind, name) for kind, name in run.kinds} == {
        ("fake-left", "module_fake"),
        ("fake-left", "torn_fake"),
        ("fake-left", "case_fake"),
        ("rebound", "sys.path"),
        ("path-added", "/class_entry"),
    }
    assert all(leak["contained"] for leak in run.leaks)


def test_what_a_fixture_of_the_session_leaves_is_a_decision_and_not_contained(suite: Suite) -> None:
    run = suite.run(
        {
            "conftest.py": """
                import sys
                from types import ModuleType
                import pytest

                @pytest.fixture(scope="session")
                def of_session():
                    sys.modules["session_fake"] = ModuleType("session_fake")
            """,
            "test_a.py": "def test_one(of_session): pass",
            "test_b.py": "import sys\ndef test_two(): assert 'session_fake' in sys.modules",
        },
        "--isolate-imports=file",
        "--import-leak-fail",
    )
    assert run.outcomes == {"passed": 2}
    assert run.status == 0
    assert _blamed(run) == [("fake-left", "session_fake", "conftest.py", "setup")]
    assert [(leak["severity"], leak["contained"]) for leak in run.leaks] == [("warning", False)]


_DRIVER = {"drv.py": "import gpio\nPIN = gpio.PIN\n", "pytest.ini": "[pytest]\npythonpath = .\n"}
_PIN = "    import drv\n    assert drv.PIN == {}\n"


def _fixture(scope: str, teardown: str, more: str = "") -> dict[str, str]:
    return {
        **_DRIVER,
        "conftest.py": f"""
            import sys, types
            import pytest

            @pytest.fixture(scope="{scope}"{more})
            def fake_gpio():
                sys.modules["gpio"] = gpio = types.ModuleType("gpio")
                gpio.PIN = 1
                yield
                {teardown}
        """,
    }


_TAKES_ALL = "del sys.modules['gpio'], sys.modules['drv']"
_TAKES_FAKE = "del sys.modules['gpio']"
_FIRST = f"def test_one(fake_gpio):\n{_PIN.format(1)}\ndef test_two(fake_gpio):\n{_PIN.format(1)}"


@pytest.mark.parametrize("scope", ["class", "module", "package", "session"])
def test_a_wide_fixture_that_takes_away_what_asked_for_its_fake_leaves_nothing(
    suite: Suite, scope: str
) -> None:
    run = suite.run(
        {
            **_fixture(scope, "sys.modules.pop('gpio'), sys.modules.pop('drv', None)"),
            "test_a.py": _FIRST,
            "test_b.py": f"def test_three(fake_gpio):\n{_PIN.format(1)}",
        },
        "--import-leak-fail",
    )
    assert (run.status, run.outcomes) == (0, {"passed": 3})
    assert _blamed(run) == []


def test_setups_of_unittest_that_take_away_what_asked_for_their_fake_leave_nothing(suite: Suite) -> None:
    run = suite.run(
        {
            **_DRIVER,
            "test_a.py": """
                import sys, types, unittest

                class TestIt(unittest.TestCase):
                    @classmethod
                    def setUpClass(cls):
                        sys.modules["gpio"] = gpio = types.ModuleType("gpio")
                        gpio.PIN = 1

                    @classmethod
                    def tearDownClass(cls):
                        del sys.modules["gpio"], sys.modules["drv"]

                    def test_one(self):
                        import drv

                    def test_two(self):
                        import drv
            """,
        }
    )
    assert run.outcomes == {"passed": 2}
    assert _blamed(run) == []


def test_what_a_wide_fixture_leaves_of_what_asked_for_its_fake_is_told_after_it(suite: Suite) -> None:
    run = suite.run(
        {
            **_fixture("module", _TAKES_FAKE),
            "test_a.py": _FIRST,
            "test_b.py": f"def test_three():\n{_PIN.format(2)}",
        }
    )
    leak = run.leak("tainted", "drv")
    assert run.kinds == [("tainted", "drv")]
    assert (leak["severity"], leak["polluter"]) == (
        "error",
        {"nodeid": "test_a.py::test_one", "phase": "call"},
    )
    assert leak["location"] == {"file": "test_a.py", "line": 2, "exact": True}
    # Those that had the fixture are no victims.
    assert [(one["nodeid"], one["outcome"]) for one in leak["exposed"]] == [
        ("test_b.py::test_three", "failed")
    ]


def test_what_ends_with_a_wide_fixture_may_take_away_what_asked_for_its_fake(suite: Suite) -> None:
    run = suite.run(
        {
            **_DRIVER,
            "test_a.py": f"""
                import sys, types
                import pytest

                @pytest.fixture(scope="module")
                def no_drv():
                    yield
                    del sys.modules["drv"]

                @pytest.fixture(scope="module")
                def fake_gpio(no_drv):
                    sys.modules["gpio"] = gpio = types.ModuleType("gpio")
                    gpio.PIN = 1
                    yield
                    {_TAKES_FAKE}

                def test_one(fake_gpio):
                    import drv

                def test_two(fake_gpio):
                    import drv
            """,
        }
    )
    assert run.outcomes == {"passed": 2}
    assert _blamed(run) == []


@pytest.mark.parametrize("mark", ["", "@pytest.mark.isolated_imports(process=True)\n"])
def test_who_fails_for_the_fake_of_a_session_fixture_of_others_is_told_of_it(suite: Suite, mark: str) -> None:
    run = suite.run(
        {
            **_fixture("session", _TAKES_ALL),
            "test_a.py": _FIRST,
            "test_b.py": f"import pytest\n\n{mark}def test_three():\n{_PIN.format(2)}",
        }
    )
    assert [leak["contained"] for leak in run.leaks] == [False]
    leak = run.leak("tainted", "drv")
    assert (leak["severity"], leak["polluter"]["nodeid"]) == ("error", "conftest.py")
    assert leak["location"] == {"file": "conftest.py", "line": 7, "exact": True}
    assert [(one["nodeid"], one["outcome"]) for one in leak["exposed"]] == [
        ("test_b.py::test_three", "failed")
    ]
    assert "tainted by conftest.py (setup), at conftest.py:7" in run.output


@pytest.mark.parametrize(
    ("teardown", "kinds"),
    [
        ("pass", [("fake-left", "gpio")]),
        (_TAKES_FAKE, [("tainted", "drv")]),
        (_TAKES_ALL, []),
    ],
)
def test_what_a_session_fixture_fakes_for_all_tests_is_no_error(
    suite: Suite, teardown: str, kinds: list[tuple[str, str]]
) -> None:
    files = {
        **_fixture("session", teardown, ", autouse=True"),
        "test_a.py": f"def test_one():\n{_PIN.format(1)}",
        "test_b.py": f"def test_two():\n{_PIN.format(1)}",
    }
    run = suite.run(files, "--import-leak-fail")
    assert (run.status, run.kinds) == (0, kinds)
    for leak in run.leaks:
        assert leak["severity"] == "warning"
        assert leak["polluter"] == {"nodeid": "conftest.py", "phase": "setup"}
        assert leak["location"]["line"] == 7
        assert leak["exposed"] == []
    isolated = suite.run(files, "--import-leak-fail", "--isolate-imports=file")
    assert (isolated.status, isolated.outcomes) == (0, {"passed": 2})


_FOLDERS = {
    **_DRIVER,
    "one/conftest.py": """\
        import sys, types
        sys.modules["gpio"] = gpio = types.ModuleType("gpio")
        gpio.PIN = 1
    """,
    "one/test_a.py": "import drv\n\ndef test_one():\n    assert drv.PIN == 1\n",
}


def test_what_a_conftest_fakes_for_its_folder_is_a_warning_unless_others_fail(suite: Suite) -> None:
    harmless = "import drv\n\ndef test_two():\n    assert drv.PIN == {}\n"
    run = suite.run({**_FOLDERS, "two/test_b.py": harmless.format(1)}, "--import-leak-fail")
    assert (run.status, run.kinds) == (0, [("fake-left", "gpio"), ("tainted", "drv")])
    leak = run.leak("tainted", "drv")
    assert (leak["severity"], leak["polluter"]["nodeid"]) == ("warning", "one/conftest.py")
    assert leak["location"] == {"file": "one/conftest.py", "line": 2, "exact": True}
    assert leak["detail"] == (
        "It was first imported at one/test_a.py:1, while gpio was a bare ModuleType(), "
        "and still depends on that."
    )
    assert [one["nodeid"] for one in leak["exposed"]] == ["two/test_b.py"]
    failing = suite.run({"two/test_b.py": harmless.format(2)})
    assert [(one["kind"], one["severity"]) for one in failing.leaks] == [
        ("fake-left", "warning"),
        ("tainted", "error"),
    ]
    # What the advice says cures it.
    assert "Run with --isolate-imports=file" in leak["advice"]
    cured = suite.run({"gpio.py": "PIN = 2\n"}, "--isolate-imports=file", "--import-leak-fail")
    assert (cured.status, cured.outcomes) == (0, {"passed": 2})


def test_what_a_conftest_fakes_for_its_folder_is_an_error_if_others_fail_for_the_fake(suite: Suite) -> None:
    test = "import gpio\n\ndef test_it():\n    assert gpio.PIN == {}\n"
    run = suite.run(
        {**_FOLDERS, "one/test_c.py": test.format(3), "two/test_b.py": test.format(2)},
        "--import-leak-fail",
    )
    leak = run.leak("fake-left", "gpio")
    assert (leak["severity"], leak["polluter"]["nodeid"]) == ("error", "one/conftest.py")
    assert {one["nodeid"].partition("::")[0] for one in leak["exposed"]} == {"two/test_b.py"}


@pytest.mark.parametrize(("value", "severity"), [(1, "warning"), (2, "error")])
def test_what_a_conftest_s_fixture_leaves_in_a_module_is_a_warning_unless_others_fail(
    suite: Suite, value: int, severity: str
) -> None:
    run = suite.run(
        {
            "shop.py": "def load(): return 2\n",
            "pytest.ini": "[pytest]\npythonpath = .\n",
            "one/__init__.py": "",
            "one/conftest.py": """\
                import pytest, shop
                from unittest.mock import Mock

                @pytest.fixture(scope="package", autouse=True)
                def fake_load():
                    shop.load = Mock(return_value=1)
            """,
            "one/test_a.py": "import shop\n\ndef test_one():\n    assert shop.load() == 1\n",
            "two/test_b.py": f"import shop\n\ndef test_two():\n    assert shop.load() == {value}\n",
        }
    )
    leak = run.leak("attribute-left", "shop.load")
    assert (leak["severity"], leak["polluter"]) == (
        severity,
        {"nodeid": "one/conftest.py", "phase": "setup"},
    )
    assert leak["location"] == {"file": "one/conftest.py", "line": 6, "exact": False}


def test_what_a_parametrized_fixture_took_away_may_be_imported_again_for_the_next_parameter(
    suite: Suite,
) -> None:
    run = suite.run(
        {
            **_fixture("module", _TAKES_ALL, ", params=[1, 2]"),
            "test_a.py": _FIRST,
        }
    )
    assert run.outcomes == {"passed": 4}
    assert _blamed(run) == []


@pytest.mark.parametrize("scope", ["module", "session"])
def test_a_fixture_that_is_never_torn_down_answers_for_what_it_left(suite: Suite, scope: str) -> None:
    run = suite.run(
        {
            "pytest.ini": "[pytest]\npythonpath = app\n",
            "app/shop.py": "RATE = 1\n",
            "conftest.py": "import colorsys, shop\n",
            "test_a.py": f"""
                import sys
                import pytest, shop

                @pytest.fixture(scope="{scope}")
                def faked():
                    sys.modules["colorsys"] = 7
                    shop.RATE = 2
                    yield
                    raise AssertionError("pytest does not come here")

                @pytest.fixture(scope="{scope}")
                def leaves(faked):
                    yield
                    raise SystemExit(3)

                def test_it(leaves): pass
            """,
            "test_b.py": "def test_other(): pass\n",
        }
    )
    assert run.outcomes == {"passed": 2, "error": 1}
    leak = run.leak("replaced", "colorsys")
    assert (leak["polluter"]["phase"], leak["location"]["file"]) == ("setup", "test_a.py")
    assert not leak["contained"]
    if scope == "module":  # what a session's fixture writes to modules belongs to nobody
        assert run.leak("attribute-left", "shop.RATE")["location"]["file"] == "test_a.py"


def test_a_second_copy_over_a_wide_fixtures_gap_is_told_beside_an_attribute_of_its_name(suite: Suite) -> None:
    run = suite.run(
        {
            "app/__init__.py": "",
            "app/core.py": "",
            "conftest.py": "import app.core",
            "test_a.py": """
                import sys

                def setup_module():
                    for name in [name for name in sys.modules if name.partition(".")[0] == "app"]:
                        del sys.modules[name]

                class TestIt:
                    @classmethod
                    def teardown_class(cls):
                        import app.core
                        app.core = 7

                    def test_it(self): pass
            """,
            "test_b.py": "def test_b():\n    import app.core as core\n    assert core != 7\n",
        }
    )
    assert run.outcomes == {"passed": 1, "failed": 1}
    assert sorted(_blamed(run)) == [
        ("attribute-left", "app.core", "test_a.py::TestIt", "teardown"),
        ("replaced", "app", "test_a.py", "setup"),
        ("replaced", "app.core", "test_a.py", "setup"),
    ]


def test_a_second_copy_in_the_place_of_a_wide_fixtures_fake_is_told(suite: Suite) -> None:
    run = suite.run(
        {
            "app/__init__.py": "",
            "app/core.py": "class Core: pass",
            "conftest.py": "import app.core",
            "test_a.py": """
                import sys

                class TestIt:
                    @classmethod
                    def teardown_class(cls):
                        sys.modules["app.core"] = object()

                    def test_it(self): pass
            """,
            "test_b.py": "import importlib, sys\n\ndef test_b():\n"
            "    del sys.modules['app.core']\n    importlib.import_module('app.core')\n",
        }
    )
    assert run.outcomes == {"passed": 2}
    assert [who for who in _blamed(run) if who[0] == "replaced"] == [
        ("replaced", "app.core", "test_a.py::TestIt", "teardown"),
        ("replaced", "app.core", "test_b.py::test_b", "call"),
    ]


def test_a_second_copy_that_a_wide_fixture_puts_in_the_place_of_a_fake_is_told(suite: Suite) -> None:
    run = suite.run(
        {
            "app/__init__.py": "",
            "app/core.py": "",
            "conftest.py": "import app.core",
            "test_a.py": "import sys\n\ndef test_a(): sys.modules['app.core'] = object()\n",
            "test_b.py": """
                import importlib, sys

                class TestIt:
                    @classmethod
                    def setup_class(cls):
                        del sys.modules["app.core"]
                        importlib.import_module("app.core")

                    def test_it(self): pass
            """,
        }
    )
    assert run.outcomes == {"passed": 2}
    assert _blamed(run) == [
        ("replaced", "app.core", "test_a.py::test_a", "call"),
        ("replaced", "app.core", "test_b.py::TestIt", "setup"),
    ]


def test_who_imports_what_a_wide_fixture_removed_with_its_fake_is_not_blamed(suite: Suite) -> None:
    run = suite.run(
        {
            "app/__init__.py": "",
            "app/core.py": "",
            "conftest.py": "import app.core",
            "test_a.py": """
                import pytest, sys

                @pytest.fixture(scope="module")
                def fake():
                    sys.modules["app.core"] = object()
                    yield
                    del sys.modules["app.core"]

                def test_first(fake): pass

                def test_last(fake): pass
            """,
            "test_b.py": "def test_b():\n    import app.core\n",
        }
    )
    assert run.outcomes == {"passed": 3}
    assert _blamed(run) == [("removed", "app.core", "test_a.py", "teardown")]


@pytest.mark.parametrize("brings", ["import app", "pass"])
def test_who_takes_out_what_the_teardown_of_a_wide_fixture_imports_again_answers_for_it(
    suite: Suite, brings: str
) -> None:
    run = suite.run(
        {
            "app/__init__.py": "",
            "app/late.py": "",
            **({} if brings == "import app" else {"conftest.py": "import app"}),
            "test_a.py": f"""
                import pytest, sys, threading

                @pytest.fixture(scope="module")
                def wide():
                    {brings}
                    yield
                    import app.late

                def test_first(wide): pass

                def test_last():
                    thread = threading.Thread(target=lambda: sys.modules.pop("app"))
                    thread.start()
                    thread.join()
            """,
        }
    )
    assert run.outcomes == {"passed": 2}
    assert _blamed(run) == [("replaced", "app", "test_a.py::test_last", "teardown")]
    assert run.leak("loaded", "app.late")["polluter"]["nodeid"] == "test_a.py::test_last"


def test_who_imports_what_another_wide_fixture_took_out_is_not_blamed(suite: Suite) -> None:
    run = suite.run(
        {
            "app.py": "",
            "conftest.py": "import app",
            "test_a.py": """
                import pytest, sys

                @pytest.fixture(scope="module")
                def outer():
                    yield
                    import app

                @pytest.fixture(scope="module")
                def inner(outer):
                    yield
                    del sys.modules["app"]

                def test_first(inner): pass
            """,
        }
    )
    assert run.outcomes == {"passed": 1}
    assert [who[2:] for who in _blamed(run) if who[2] != "test_a.py"] == []
    assert ("removed", "app", "test_a.py", "teardown") in _blamed(run)


@pytest.mark.parametrize("mode", ["off", "test"])
def test_who_takes_the_patch_of_a_fixture_away_did_not_do_so_where_the_fixture_made_it(
    suite: Suite, mode: str
) -> None:
    run = suite.run(
        {
            "conftest.py": """
                import pytest, wave
                from unittest import mock

                @pytest.fixture(scope="session")
                def patched():
                    mock.patch("wave.open", lambda file: 5).start()
            """,
            "test_a.py": "def test_uses(patched): assert __import__('wave').open('') == 5\n",
            "test_b.py": "from unittest import mock\n\ndef test_stops(patched): mock.patch.stopall()\n",
        },
        f"--isolate-imports={mode}",
    )
    assert run.outcomes == {"passed": 2}
    leak = run.leak("attribute-left", "wave.open")
    assert (leak["polluter"]["nodeid"], leak["location"]) == ("test_b.py::test_stops", None)


@pytest.mark.parametrize("mode", ["off", "file", "test"])
@pytest.mark.parametrize("scope", ["function", "class", "module", "session"])
def test_who_puts_an_inherited_attribute_back_leaves_nothing(suite: Suite, scope: str, mode: str) -> None:
    run = suite.run(
        {
            "conftest.py": f"""
                import pytest
                from importlib.machinery import SourceFileLoader

                BEFORE = SourceFileLoader.exec_module
                SEEN = []

                def exec_module(self, module):
                    SEEN.append(module.__name__)
                    BEFORE(self, module)

                def take_away():
                    SourceFileLoader.exec_module = BEFORE

                @pytest.fixture(scope={scope!r})
                def seen():
                    SourceFileLoader.exec_module = exec_module
                    yield SEEN
                    take_away()
            """,
            "first.py": "",
            "second.py": "",
            "test_a.py": "def test_a(seen):\n    import first\n    assert 'first' in seen\n",
            "test_b.py": "def test_b(seen):\n    import second\n    assert 'second' in seen\n",
        },
        f"--isolate-imports={mode}",
    )
    assert run.outcomes == {"passed": 2}
    assert run.kinds == []


@pytest.mark.parametrize("mode", ["off", "file", "test"])
@pytest.mark.parametrize("scope", ["class", "module", "package", "session"])
@pytest.mark.parametrize("undoes", [True, False])
def test_the_import_function_of_a_fixture_is_there_until_its_teardown(
    suite: Suite, undoes: bool, scope: str, mode: str
) -> None:
    run = suite.run(
        {
            "conftest.py": f"""
                import builtins, pytest

                SEEN = []

                @pytest.fixture
                def seen(): return SEEN

                @pytest.fixture(scope={scope!r})
                def patched():
                    before = builtins.__import__

                    def __import__(name, *args, **more):
                        SEEN.append(name)
                        return before(name, *args, **more)

                    builtins.__import__ = __import__
                    yield
                    {"builtins.__import__ = before" if undoes else ""}
            """,
            **{
                f"test_{name}.py": f"""
                    class TestIt:
                        def test_{name}(self, patched, seen):
                            import {module}
                            assert {module!r} in seen

                        def test_more(self, patched, seen):
                            seen.clear()
                            import {module}
                            assert {module!r} in seen
                """
                for name, module in (("a", "wave"), ("b", "colorsys"))
            },
        },
        f"--isolate-imports={mode}",
    )
    assert run.outcomes == {"passed": 4}
    assert run.kinds == [] if undoes else {kind for kind, _ in run.kinds} <= {"rebound"}
    assert not undoes or "builtins.__import__" not in run.output


_CHANGES_BY_PATCHER = """
    import sys, types, pytest
    {patcher}
    @pytest.fixture(scope="{scope}", params={params})
    def changed({asked}request):
        patch = {patch}
        fake = types.ModuleType("plum")
        fake.number = request.param
        patch.setitem(sys.modules, "plum", fake)
        patch.setattr("app.answer", request.param)
        patch.syspath_prepend(f"nowhere_{{request.param}}")
"""
_PATCHER = """
    @pytest.fixture(scope="{scope}")
    def patcher():
        with pytest.MonkeyPatch.context() as patch:
            yield patch
"""


def _of_patcher(scope: str, *, patcher_scope: str = "", params: str = "[1]", by_request: bool = False) -> str:
    return _CHANGES_BY_PATCHER.format(
        patcher=_PATCHER.format(scope=patcher_scope or scope),
        scope=scope,
        params=params,
        asked="" if by_request else "patcher, ",
        patch='request.getfixturevalue("patcher")' if by_request else "patcher",
    )


_USES_CHANGED = """
    class TestIt:
        def test_one(self, changed):
            import app, plum
            assert app.answer == plum.number
        def test_two(self, changed):
            import app, plum
            assert app.answer == plum.number
"""
_FINDS_NOTHING = """
    import sys, app

    def test_last():
        assert app.answer == 42 and "plum" not in sys.modules
"""


@pytest.mark.parametrize("mode", ["off", "file", "test"])
@pytest.mark.parametrize(
    "conftest",
    [
        pytest.param(_of_patcher("class"), id="class"),
        pytest.param(_of_patcher("module"), id="module"),
        pytest.param(_of_patcher("module", by_request=True), id="asked-for-by-request"),
        pytest.param(_of_patcher("module", params="[1, 2, 3]"), id="parametrized"),
    ],
)
def test_what_a_fixture_changes_through_another_one_that_takes_it_back_is_no_leak(
    suite: Suite, conftest: str, mode: str
) -> None:
    run = suite.run(
        {
            "app.py": "answer = 42",
            "conftest.py": conftest,
            "test_it.py": _USES_CHANGED,
            "test_other.py": _FINDS_NOTHING,
        },
        f"--isolate-imports={mode}",
    )
    assert set(run.outcomes) == {"passed"}
    assert _blamed(run) == []


def test_what_a_fixture_changes_through_one_that_lives_on_is_a_leak(suite: Suite) -> None:
    run = suite.run(
        {
            "app.py": "answer = 42",
            "conftest.py": _of_patcher("module", patcher_scope="session"),
            "test_it.py": _USES_CHANGED,
            "test_other.py": _FINDS_NOTHING,
        }
    )
    assert run.outcomes == {"passed": 2, "failed": 1}
    assert {(kind, name, phase) for kind, name, _, phase in _blamed(run)} == {
        ("attribute-left", "app.answer", "setup"),
        ("fake-left", "plum", "setup"),
        ("path-added", "nowhere_1", "setup"),
    }


@pytest.mark.parametrize("scope", ["package", "session"])
def test_the_file_is_named_that_defines_a_fixture_for_the_run(suite: Suite, scope: str) -> None:
    run = suite.run(
        {
            "lib/plum.py": "PRICE = SIZE = 1\n",
            "pytest.ini": "[pytest]\npythonpath = lib\n",
            "test_it.py": f"""
                import sys
                import plum
                import pytest

                @pytest.fixture(scope="{scope}")
                def fruit():
                    sys.modules["fig"] = object()
                    plum.PRICE = 2
                    yield
                    sys.modules["lime"] = object()
                    plum.SIZE = 2

                def test_one(fruit): pass
            """,
            "test_other.py": "def test_last(): pass",
        }
    )
    assert sorted(_blamed(run)) == [
        ("attribute-left", "plum.PRICE", "test_it.py", "setup"),
        ("attribute-left", "plum.SIZE", "test_it.py", "teardown"),
        ("fake-left", "fig", "test_it.py", "setup"),
        ("fake-left", "lime", "test_it.py", "teardown"),
    ]
