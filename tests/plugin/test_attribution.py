"""Who is blamed: files at collection, conftests, tests by phase, fixtures of a wider scope."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

#: Who answers for the hooks of a conftest; before 3.12 nobody sees their lines outside of files and tests.
_OF_HOOKS: Final = "conftest.py" if sys.version_info >= (3, 12) else ""


def _blamed(run: object) -> list[tuple[str, str, str, str]]:
    return [
        (leak["kind"], leak["name"], leak["polluter"]["nodeid"], leak["polluter"]["phase"])
        for leak in run.leaks  # type: ignore[attr-defined]
    ]


def test_a_file_is_blamed_for_what_its_collection_changes(suite: Suite) -> None:
    run = suite.run(
        {
            "test_a_clean.py": "def test_it(): pass\n",
            "test_b_stubs.py": """\
                import sys, types
                from unittest.mock import MagicMock

                sys.modules["boto"] = MagicMock()
                for name in ("aws", "aws.s3"):
                    sys.modules[name] = types.ModuleType(name)
                sys.path.insert(0, "/stubs")

                def test_it(): pass
            """,
            "sub/test_c_class.py": """\
                import sys

                class TestIt:
                    sys.modules["in_class"] = object()
                    def test_it(self): pass
            """,
            "test_d_uses.py": "import boto\ndef test_it(): pass\n",
            "test_e_broken.py": """\
                import sys
                sys.modules["broken"] = object()
                raise RuntimeError("broken file")
            """,
            "test_f_skipped.py": """\
                import sys, pytest
                sys.modules["skipped"] = object()
                pytest.skip("not here", allow_module_level=True)
            """,
        },
        "--continue-on-collection-errors",
    )
    assert run.outcomes == {"passed": 4, "skipped": 1, "error": 1}
    assert _blamed(run) == [
        ("fake-left", "in_class", "sub/test_c_class.py", "collect"),
        ("fake-left", "boto", "test_b_stubs.py", "collect"),
        ("fake-left", "aws", "test_b_stubs.py", "collect"),
        ("fake-left", "aws.s3", "test_b_stubs.py", "collect"),
        ("path-added", "/stubs", "test_b_stubs.py", "collect"),
        ("fake-left", "broken", "test_e_broken.py", "collect"),
        ("fake-left", "skipped", "test_f_skipped.py", "collect"),
    ]
    places = [leak["location"] for leak in run.leaks]
    assert [place and (place["file"], place["line"]) for place in places] == [
        ("sub/test_c_class.py", 4),
        ("test_b_stubs.py", 4),
        ("test_b_stubs.py", 6),
        ("test_b_stubs.py", 6),
        ("test_b_stubs.py", 7),
        ("test_e_broken.py", 2),
        ("test_f_skipped.py", 2),
    ]
    assert run.report["complete"] is True


def test_collection_errors_that_end_the_run_do_not_make_the_report_incomplete(suite: Suite) -> None:
    run = suite.run("import sys\nsys.modules['fake'] = 1\nimport nothing_there\n")
    assert run.status == 2
    assert _blamed(run) == [("fake-left", "fake", "test_it.py", "collect")]
    assert run.report["complete"] is True


def test_phases_of_a_test(suite: Suite) -> None:
    run = suite.run(
        """
        import sys, unittest
        import pytest

        @pytest.fixture
        def all_phases():
            sys.modules["at_setup"] = 1
            yield
            sys.modules["at_teardown"] = 1

        def test_function(all_phases):
            sys.modules["at_call"] = 1

        class TestMethods(unittest.TestCase):
            def setUp(self):
                sys.modules["at_set_up"] = 1
            def tearDown(self):
                sys.modules["at_tear_down"] = 1
            def test_it(self):
                sys.modules["at_method"] = 1

        def test_that_fails():
            sys.modules["at_failure"] = 1
            assert False

        def test_that_is_skipped():
            sys.modules["at_skip"] = 1
            pytest.skip()

        @pytest.fixture
        def broken():
            sys.modules["at_broken"] = 1
            raise RuntimeError

        def test_with_a_broken_fixture(broken):
            pass

        @pytest.fixture
        def undone():
            sys.modules["undone"] = 1
            yield
            del sys.modules["undone"]

        def test_what_a_fixture_undoes_is_no_leak(undone):
            sys.modules["undone too"] = 1
            del sys.modules["undone too"]
        """
    )
    assert run.outcomes == {"passed": 3, "failed": 1, "skipped": 1, "error": 1}
    assert {leak["name"]: leak["polluter"]["phase"] for leak in run.leaks} == {
        "at_setup": "setup",
        "at_call": "call",
        "at_teardown": "teardown",
        "at_set_up": "call",  # pytest runs it in the call
        "at_method": "call",
        "at_tear_down": "call",
        "at_failure": "call",
        "at_skip": "call",
        "at_broken": "setup",
    }


def test_fixtures_of_a_wider_scope_that_undo_are_no_leaks(suite: Suite) -> None:
    scopes = ("class", "module", "package", "session")
    fixtures = "".join(
        f"""
@pytest.fixture(scope="{scope}")
def {scope}_fixture():
    sys.modules["{scope}_fake"] = 1
    sys.path.append("/{scope}")
    finder = Finder()
    sys.meta_path.append(finder)
    yield
    sys.meta_path.remove(finder)
    sys.path.remove("/{scope}")
    del sys.modules["{scope}_fake"]
"""
        for scope in scopes
    )
    class_finder = "class Finder:\n    find_spec = staticmethod(lambda name, path=None, target=None: None)\n"
    run = suite.run(
        {
            "conftest.py": f"import sys, pytest\n{class_finder}{fixtures}",
            "test_it.py": """
                import sys, unittest, pytest

                class TestIt:
                    def test_one(self, class_fixture, module_fixture, session_fixture, package_fixture):
                        pass
                    def test_two(self, class_fixture):
                        assert "class_fake" in sys.modules

                class TestUnit(unittest.TestCase):
                    @classmethod
                    def setUpClass(cls):
                        sys.modules["unit"] = 1
                    @classmethod
                    def tearDownClass(cls):
                        del sys.modules["unit"]
                    def test_one(self):
                        pass
                    def test_two(self):
                        pass

                def setup_module():
                    sys.modules["module"] = 1

                def teardown_module():
                    del sys.modules["module"]

                def test_last():
                    assert "class_fake" not in sys.modules
            """,
            "test_other.py": """
                import sys

                def test_session(session_fixture):
                    assert "session_fake" in sys.modules
                    assert "module_fake" not in sys.modules
            """,
        }
    )
    assert run.outcomes == {"passed": 6}
    assert _blamed(run) == []


def test_fixtures_of_a_wider_scope_that_do_not_undo_are_blamed_with_their_node(suite: Suite) -> None:
    scopes = ("class", "module", "session")
    fixtures = "".join(
        f"""
@pytest.fixture(scope="{scope}")
def {scope}_fixture():
    sys.modules["{scope}_fake"] = 1
    sys.modules["{scope}_undone"] = 1
    sys.path.append("/{scope}")
    yield
    del sys.modules["{scope}_undone"]
"""
        for scope in scopes
    )
    run = suite.run(
        {
            "conftest.py": f"import sys, pytest\n{fixtures}",
            "sub/test_it.py": """
                import sys

                class TestIt:
                    def test_one(self, session_fixture, module_fixture, class_fixture):
                        sys.modules["mine"] = 1

                    def test_two(self, session_fixture, module_fixture, class_fixture):
                        pass

                def test_three():
                    pass
            """,
        }
    )
    assert run.outcomes == {"passed": 3}
    assert sorted(_blamed(run)) == [
        ("fake-left", "class_fake", "sub/test_it.py::TestIt", "setup"),
        ("fake-left", "mine", "sub/test_it.py::TestIt::test_one", "call"),
        ("fake-left", "module_fake", "sub/test_it.py", "setup"),
        ("fake-left", "session_fake", "conftest.py", "setup"),
        ("path-added", "/class", "sub/test_it.py::TestIt", "setup"),
        ("path-added", "/module", "sub/test_it.py", "setup"),
        ("path-added", "/session", "conftest.py", "setup"),
    ]


def test_what_monkeypatch_undoes_is_no_leak(suite: Suite) -> None:
    run = suite.run(
        {
            "app/__init__.py": "",
            "app/db.py": "",
            "test_it.py": """
                import sys, types
                import pytest
                import app.db

                def test_it(monkeypatch):
                    monkeypatch.setitem(sys.modules, "fake", object())
                    monkeypatch.setitem(sys.modules, "app.db", types.ModuleType("app.db"))
                    monkeypatch.setattr(app, "db", None)
                    monkeypatch.syspath_prepend("/prepended")
                    monkeypatch.setattr(sys, "path", [*sys.path, "/set"])
                    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
                    monkeypatch.setattr(sys, "modules", dict(sys.modules))

                @pytest.fixture(scope="module")
                def module_patch():
                    with pytest.MonkeyPatch.context() as patch:
                        patch.setitem(sys.modules, "fake", object())
                        patch.delitem(sys.modules, "app.db")
                        patch.setattr(sys, "path", sys.path[::-1])
                        patch.setattr(sys, "modules", dict(sys.modules))
                        yield

                @pytest.fixture(scope="module")
                def moved():
                    before = sys.path[:]
                    sys.path.reverse()
                    yield
                    sys.path[:] = before

                def test_two(module_patch, moved):
                    pass

                def test_three(module_patch):
                    assert "fake" in sys.modules
            """,
            "test_moved.py": """
                import sys
                import pytest

                @pytest.fixture(scope="module")
                def moved():
                    before = sys.path[:]
                    sys.path.reverse()
                    yield
                    sys.path[:] = before

                def test_one(moved):
                    pass

                def test_two(moved):
                    pass
            """,
        }
    )
    assert run.outcomes == {"passed": 5}
    assert _blamed(run) == []


def test_conftests_are_blamed_for_what_they_change_with_a_warning_at_most(suite: Suite) -> None:
    run = suite.run(
        {
            "conftest.py": """\
                import sys
                from unittest.mock import MagicMock
                sys.modules["root_fake"] = MagicMock()
                sys.path.insert(0, "/root")
                pytest_plugins = ["helper_plugin"]

                def pytest_configure(config):
                    sys.modules["configured_fake"] = MagicMock()
            """,
            "helper_plugin.py": """
                import sys
                sys.modules["plugin_fake"] = object()
            """,
            "sub/conftest.py": """\
                import sys
                sys.modules["nested_fake"] = object()
            """,
            "sub/deeper/conftest.py": """\
                import sys
                sys.modules["deeper_fake"] = object()
            """,
            "sub/deeper/test_it.py": "def test_it(): pass\n",
            "test_it.py": "def test_it(): pass\n",
        },
        "--import-mode=importlib",
        env={"PYTHONPATH": suite.python_path},
    )
    assert run.outcomes == {"passed": 2}
    blamed = {leak["name"]: leak["polluter"] for leak in run.leaks}
    assert blamed["root_fake"] == {"nodeid": "conftest.py", "phase": "conftest"}
    assert blamed["/root"] == {"nodeid": "conftest.py", "phase": "conftest"}
    assert blamed["plugin_fake"]["phase"] in ("conftest", "configure")
    assert blamed["configured_fake"] == {"nodeid": "conftest.py", "phase": "configure"}
    assert blamed["nested_fake"] == {"nodeid": "sub/conftest.py", "phase": "conftest"}
    assert blamed["deeper_fake"] == {"nodeid": "sub/deeper/conftest.py", "phase": "conftest"}
    assert len(run.leaks) == 6
    assert {leak["severity"] for leak in run.leaks} == {"warning"}
    assert run.leak("fake-left", "nested_fake")["location"] == {
        "file": "sub/conftest.py",
        "line": 2,
        "exact": True,
    }


@pytest.mark.parametrize(
    ("what", "kind", "name"),
    [
        ("sys.modules['at_modifyitems'] = 1", "fake-left", "at_modifyitems"),
        ("sys.modules['colorsys'] = 1", "replaced", "colorsys"),
        ("sys.meta_path[:] = [*sys.meta_path]; sys.path[0] = '/elsewhere'", "path-added", "/elsewhere"),
    ],
)
def test_hooks_between_the_tests_are_the_conftest_s(suite: Suite, what: str, kind: str, name: str) -> None:
    run = suite.run(
        {
            "conftest.py": f"""
                import sys, colorsys

                def pytest_collection_modifyitems():
                    {what}

                def pytest_sessionfinish():
                    sys.modules["too_late"] = 1
            """,
            "test_it.py": "def test_it(): pass\n",
        }
    )
    assert (kind, name, _OF_HOOKS, "session") in _blamed(run)
    assert {(leak["severity"], leak["polluter"]["phase"]) for leak in run.leaks} == {("warning", "session")}


@pytest.mark.parametrize("mode", ["prepend", "append", "importlib"])
def test_pytest_s_own_entries_are_no_leaks_in_any_import_mode(suite: Suite, mode: str) -> None:
    run = suite.run(
        {
            "rootless/conftest.py": "",
            # Two conftests without packages around them cannot both be imported in the mode "append".
            **({"conftest.py": ""} if mode != "append" else {}),
            "rootless/test_one.py": "def test_it(): pass\n",
            "package/__init__.py": "",
            "package/conftest.py": "",
            "package/inner/__init__.py": "",
            "package/inner/test_two.py": "def test_it(): pass\n",
            "other/deep/test_three.py": "import sys\ndef test_it(): assert __name__ in sys.modules\n",
            "lib/shared.py": "",
            "documented.py": '''
                def function():
                    """
                    >>> 1
                    1
                    """
            ''',
        },
        f"--import-mode={mode}",
        "--doctest-modules",
        "rootless",
        "package",
        "other",
        "documented.py",
        ini="pythonpath = lib",
    )
    assert run.outcomes == {"passed": 4}
    assert _blamed(run) == []


@pytest.mark.neighbours("pytest_rerunfailures")
def test_a_rerun_of_a_test_says_a_leak_once(suite: Suite) -> None:
    run = suite.run(
        """
        import sys
        import pytest
        attempts = []

        @pytest.mark.flaky(reruns=3)
        def test_it():
            attempts.append(1)
            sys.modules["fake"] = object() if len(attempts) == 1 else sys.modules["fake"]
            assert len(attempts) == 3
        """,
        plugins=("rerunfailures",),
    )
    assert run.outcomes == {"passed": 1, "rerun": 2}
    assert _blamed(run) == [("fake-left", "fake", "test_it.py::test_it", "call")]


def test_a_leak_is_said_once_at_who_did_it_and_not_at_who_met_it(suite: Suite) -> None:
    run = suite.run(
        {
            "test_a.py": "import sys\ndef test_it():\n    sys.modules['fake'] = object()\n",
            "test_b.py": "def test_it():\n    import fake\n",
            "test_c.py": "def test_it():\n    import fake\n",
        }
    )
    assert _blamed(run) == [("fake-left", "fake", "test_a.py::test_it", "call")]


def test_somebody_who_cleans_up_is_not_blamed(suite: Suite) -> None:
    run = suite.run(
        {
            "test_a.py": """
                import sys
                def test_it():
                    sys.modules["fake"] = object()
                    sys.modules["blocked"] = None
            """,
            "test_b.py": """
                import sys
                def test_it():
                    del sys.modules["fake"], sys.modules["blocked"]
            """,
        }
    )
    assert _blamed(run) == [
        ("fake-left", "fake", "test_a.py::test_it", "call"),
        ("blocked-left", "blocked", "test_a.py::test_it", "call"),
    ]


def test_what_a_quick_look_cannot_see_is_put_down_to_the_file(suite: Suite) -> None:
    # Nothing in the text of the files could rebind an attribute: library code does it when they call it.
    run = suite.run(
        {
            "app/__init__.py": "",
            "app/db.py": "",
            "app/user.py": "",
            "helpers.py": """\
                import app.db, app.user

                def swap(package, name):
                    setattr(package, name, None)
            """,
            "test_a.py": """\
                import app
                from helpers import swap

                def test_before(): pass
                def test_swaps(): swap(app, "db")
                def test_after(): pass
            """,
            "test_b.py": """\
                import app
                from helpers import swap

                def test_swaps(): swap(app, "user")
                def test_imports(): import app.late
            """,
            "app/late.py": "",
        },
    )
    assert _blamed(run) == [
        ("stale-attribute", "app.db", "test_a.py", "call"),
        ("stale-attribute", "app.user", "test_b.py", "call"),
    ]


def test_an_exchange_that_nobody_saw_is_put_down_to_the_call(suite: Suite) -> None:
    run = suite.run(
        {
            "exchange.py": """\
                import sys as system, types

                def exchange(name):
                    getattr(system, "mod" + "ules")[name] = types.ModuleType(name)
                    return name
            """,
            "test_a.py": """\
                import csv
                from exchange import exchange

                def test_call(): exchange("csv")
            """,
        },
    )
    assert _blamed(run) == [("replaced", "csv", "test_a.py::test_call", "call")]


def test_what_a_library_leaves_that_a_harmless_file_calls_is_the_tests_own(suite: Suite) -> None:
    run = suite.run(
        {
            "pytest.ini": "[pytest]\npythonpath = site-packages\n",
            "site-packages/stubber.py": """\
                import sys, types

                def activate():
                    sys.modules["stubbed"] = types.ModuleType("stubbed")
            """,
            "test_a.py": """\
                import stubber

                def test_before(): pass
                def test_activates():
                    stubber.activate()
                def test_after(): import stubbed
            """,
        },
    )
    assert _blamed(run) == [("fake-left", "stubbed", "test_a.py::test_activates", "call")]
    [leak] = run.leaks
    # The lines of such a file are not watched: where it was is inferred.
    assert (leak["location"]["line"], leak["location"]["exact"]) == (5, False)
    assert [link["line"] for link in leak["chain"]] == [5, 4]
    assert [met["nodeid"] for met in leak["exposed"]] == ["test_a.py::test_after"]


def test_nobody_compares_what_took_the_place_of_an_attribute(suite: Suite) -> None:
    run = suite.run(
        {
            "hostpkg/__init__.py": "",
            "hostpkg/part.py": "",
            "conftest.py": "import hostpkg.part\n",
            "test_it.py": """\
                class Hostile:
                    __hash__ = None

                    def __eq__(self, other):
                        raise RuntimeError("do not compare")

                    def __getattr__(self, name):
                        raise RuntimeError("do not ask")

                    def __bool__(self):
                        raise RuntimeError("do not test")

                def test_it():
                    import hostpkg.part
                    hostpkg.part = Hostile()
            """,
        },
    )
    assert run.outcomes == {"passed": 1}
    assert "INTERNALERROR" not in run.output
    assert ("stale-attribute", "hostpkg.part", "test_it.py::test_it", "call") in _blamed(run)


def test_a_file_answers_for_what_it_changed_before_its_import_failed(suite: Suite) -> None:
    run = suite.run(
        {
            "test_a.py": """\
                import sys
                sys.path.append("/zz")
                sys.path_hooks = list(sys.path_hooks)
                raise ValueError("of the file")
            """,
            "test_b.py": "def test_it(): pass\n",
        },
        "--continue-on-collection-errors",
    )
    assert run.outcomes == {"passed": 1, "error": 1}
    assert sorted(_blamed(run)) == [
        ("path-added", "/zz", "test_a.py", "collect"),
        ("rebound", "sys.path_hooks", "test_a.py", "collect"),
    ]


def test_a_thread_that_runs_the_import_function_itself(suite: Suite) -> None:
    """No frame of the users' own stands on its stack."""
    run = suite.run(
        {
            "lib/plum.py": "import fig\n",
            "lib/fig.py": "",
            "pytest.ini": "[pytest]\npythonpath = lib\n",
            "test_it.py": """
                import importlib
                from concurrent.futures import ThreadPoolExecutor
                from threading import Thread

                def test_thread():
                    thread = Thread(target=importlib.import_module, args=["plum"])
                    thread.start()
                    thread.join()

                def test_pool():
                    with ThreadPoolExecutor() as pool:
                        list(pool.map(__import__, ["wave", "colorsys"]))
            """,
        },
        "--import-leak-report",
        "-vv",
    )
    assert run.outcomes == {"passed": 2}
    assert run.leak("loaded", "plum")["polluter"]["nodeid"] == "test_it.py::test_thread"
    assert "INTERNALERROR" not in run.output
