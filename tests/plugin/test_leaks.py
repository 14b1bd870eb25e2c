"""Each kind of leak: who is blamed, in which phase, at which line, and in which words."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

_TREE = {
    "app/__init__.py": "",
    "app/db.py": "class Connection: pass\ndef connect(): pass\nlimit = 3\n",
    "app/user.py": "from app.db import Connection, connect\n",
    "plain.py": "value = 'plain'\n",
    "other_plain.py": "value = 'other'\n",
}


def _lines(leaks: list[dict[str, Any]]) -> list[tuple[str, str, int | None]]:
    return [(leak["kind"], leak["name"], leak["location"] and leak["location"]["line"]) for leak in leaks]


def test_fakes_left_by_every_sort_of_statement(suite: Suite) -> None:
    run = suite.run(
        {
            **_TREE,
            "stubs.py": """
                import sys, types

                def stub(name):
                    sys.modules[name] = types.ModuleType(name)
            """,
            "test_it.py": """\
                import sys, types
                from unittest import mock
                import pytest
                import stubs

                def test_assignment():
                    sys.modules["one"] = types.ModuleType("one")

                def test_setdefault():
                    sys.modules.setdefault("two", mock.MagicMock())

                def test_update():
                    sys.modules.update({"three": mock.Mock()})

                def test_loop():
                    for name in ("four", "four.sub"):
                        sys.modules[name] = types.SimpleNamespace()

                def test_helper():
                    stubs.stub("five")

                @pytest.fixture
                def fixture():
                    sys.modules["six_"] = 6

                def test_fixture(fixture):
                    pass

                @pytest.fixture
                def teardown():
                    yield
                    sys.modules["seven"] = "seven"

                def test_teardown(teardown):
                    pass

                class TestIt:
                    def test_method(self):
                        sys.modules["eight"] = object()
            """,
        }
    )
    assert run.outcomes == {"passed": 8}
    assert run.status == 0
    assert _lines(run.leaks) == [
        ("fake-left", "one", 7),
        ("fake-left", "two", 10),
        ("fake-left", "three", 13),
        ("fake-left", "four", 17),
        ("fake-left", "four.sub", 17),
        ("fake-left", "five", 20),
        ("fake-left", "six_", 24),
        ("fake-left", "seven", 32),
        ("fake-left", "eight", 39),
    ]
    assert [
        (leak["polluter"]["nodeid"].partition("::")[2], leak["polluter"]["phase"]) for leak in run.leaks
    ] == [
        ("test_assignment", "call"),
        ("test_setdefault", "call"),
        ("test_update", "call"),
        ("test_loop", "call"),
        ("test_loop", "call"),
        ("test_helper", "call"),
        ("test_fixture", "setup"),
        ("test_teardown", "teardown"),
        ("TestIt::test_method", "call"),
    ]
    assert [leak["detail"] for leak in run.leaks] == [
        f"Its entry in sys.modules is {what}: every later import gets that."
        for what in (
            "a bare ModuleType()",
            "a unittest.mock.MagicMock",
            "a unittest.mock.Mock",
            "a types.SimpleNamespace",
            "a types.SimpleNamespace",
            "a bare ModuleType()",
            "an int",
            "a str",
            "an object",
        )
    ]
    assert {leak["severity"] for leak in run.leaks} == {"error"}
    assert not any(leak["allowed"] or leak["contained"] or leak["exposed"] for leak in run.leaks)


def test_a_leak_has_exactly_the_documented_fields(suite: Suite, fields: list[str]) -> None:
    run = suite.run(
        {
            **_TREE,
            "test_it.py": """\
                import sys
                def test_it():
                    sys.modules["boto"] = object()
                def test_import():
                    import app.user
            """,
        }
    )
    assert list(run.report) == ["version", "complete", "workers", "summary", "leaks"]
    assert run.report["version"] == 1
    assert run.report["complete"] is True
    assert run.report["workers"] == {}
    infos = len(run.report["leaks"]) - 1
    assert run.report["summary"] == {"error": 1, "warning": 0, "info": infos, "allowed": 0, "contained": 0}
    assert run.leak("fake-left", "boto") == {
        "kind": "fake-left",
        "severity": "error",
        "name": "boto",
        "polluter": {"nodeid": "test_it.py::test_it", "phase": "call"},
        "location": {"file": "test_it.py", "line": 3, "exact": True},
        "chain": [],
        "detail": "Its entry in sys.modules is an object: every later import gets that.",
        "advice": "Fake it for the tests that need it only: mark them with "
        '@pytest.mark.isolated_imports(fakes={"boto": {...}}), or use the fake_module fixture.',
        "allowed": False,
        "contained": False,
        "exposed": [],
    }
    loaded = run.leak("loaded", "app.db")
    assert loaded == {
        "kind": "loaded",
        "severity": "info",
        "name": "app.db",
        "polluter": {"nodeid": "test_it.py::test_import", "phase": "call"},
        "location": {"file": "app/user.py", "line": 1, "exact": True},
        "chain": [
            {"module": "app.user", "file": "test_it.py", "line": 5},
            {"module": "app.db", "file": "app/user.py", "line": 1},
        ],
        "detail": "app.db was imported for the first time.",
        "advice": "Nothing to do: a first import is no leak.",
        "allowed": False,
        "contained": False,
        "exposed": [],
    }
    for leak in run.report["leaks"]:
        assert list(leak) == fields


def test_entries_replaced_removed_and_blocked(suite: Suite) -> None:
    run = suite.run(
        {
            **_TREE,
            "test_it.py": """\
                import importlib.util, sys, types
                from unittest import mock
                import app.db, app.user, plain, wave, colorsys, netrc

                def test_second_copy():
                    del sys.modules["app.db"]
                    import app.db

                def test_other_file():
                    spec = importlib.util.spec_from_file_location("plain", "other_plain.py")
                    module = importlib.util.module_from_spec(spec)
                    sys.modules["plain"] = module
                    spec.loader.exec_module(module)

                def test_mock():
                    sys.modules["wave"] = mock.MagicMock()

                def test_bare():
                    sys.modules["app.user"] = types.ModuleType("app.user")

                def test_removed():
                    sys.modules.pop("colorsys")

                def test_blocked():
                    sys.modules["netrc"] = None

                def test_blocked_that_was_never_loaded():
                    sys.modules["never_there"] = None

                def test_imports_again():
                    import colorsys
            """,
        }
    )
    assert run.outcomes == {"passed": 8}
    root = suite.root
    found = {leak["name"]: (leak["kind"], leak["detail"]) for leak in run.leaks}
    wave = found["wave"][1].partition(" and is ")[0]
    assert wave.startswith("Its entry in sys.modules was the module of /")
    assert wave.endswith("wave.py")
    found["wave"] = (found["wave"][0], found["wave"][1].replace(wave, "WAVE"))
    assert found == {
        "app.db": (
            "replaced",
            f"Its entry in sys.modules was the module of {root}/app/db.py and is a second copy of it now.",
        ),
        "plain": (
            "replaced",
            f"Its entry in sys.modules was the module of {root}/plain.py and is the module of {root}/other_plain.py now.",
        ),
        "wave": ("replaced", "WAVE and is a unittest.mock.MagicMock now."),
        "app.user": (
            "replaced",
            f"Its entry in sys.modules was the module of {root}/app/user.py and is a bare ModuleType() now.",
        ),
        "colorsys": ("removed", "It was loaded, and its entry is gone: the next import loads a second copy."),
        "netrc": ("blocked-left", "Its entry in sys.modules is None: every import of it fails."),
        "never_there": ("blocked-left", "Its entry in sys.modules is None: every import of it fails."),
    }
    assert {leak["severity"] for leak in run.leaks} == {"error"}
    assert run.blamed("removed", "colorsys") == ("test_it.py::test_removed", "call")
    assert [
        leak["location"]["line"] for leak in run.leaks if leak["kind"] in ("removed", "blocked-left")
    ] == [
        22,
        25,
        28,
    ]
    assert "stale-attribute" not in {leak["kind"] for leak in run.leaks}


def test_stale_attributes(suite: Suite) -> None:
    run = suite.run(
        {
            **_TREE,
            "test_it.py": """\
                import sys, types
                import app.db, app.user
                real_db, real_user = app.db, app.user

                def test_entry_put_back_and_attribute_not():
                    del sys.modules["app.db"]
                    import app.db
                    sys.modules["app.db"] = real_db

                def test_attribute_only():
                    app.user = types.ModuleType("app.user")

                def test_attribute_back_again_is_no_leak():
                    app.user = real_user

                def test_attribute_gone():
                    del app.user
            """,
        }
    )
    assert [
        (leak["kind"], leak["name"], leak["polluter"]["nodeid"].partition("::")[2]) for leak in run.leaks
    ] == [
        ("stale-attribute", "app.db", "test_entry_put_back_and_attribute_not"),
        ("stale-attribute", "app.user", "test_attribute_only"),
        ("stale-attribute", "app.user", "test_attribute_gone"),
    ]
    assert run.leaks[0]["detail"] == (
        "The attribute db of app was the module in sys.modules, and it is another copy of it now: "
        "'import app.db' and 'app.db' give different objects."
    )
    assert run.leaks[1]["detail"].startswith(
        "The attribute user of app was the module in sys.modules, and it is a bare ModuleType() now:"
    )
    assert run.leaks[2]["detail"] == (
        "app has no attribute user for the module in sys.modules: "
        "after 'import app.user', 'app.user' raises AttributeError."
    )
    assert [leak["location"]["line"] for leak in run.leaks] == [8, 11, 17]


_BY_HAND = """
    import sys
    from importlib.util import find_spec, module_from_spec

    def load(name):
        spec = find_spec(name)
        sys.modules[name] = made = module_from_spec(spec)
        spec.loader.exec_module(made)
        return made
"""


@pytest.mark.parametrize("where", ["collect", "call"])
@pytest.mark.parametrize("mode", ["", "--isolate-imports=file", "--isolate-imports=test"])
def test_a_submodule_that_test_code_executes_by_hand_and_its_package_lacks(
    suite: Suite, mode: str, where: str
) -> None:
    at_top, in_test = ("load('app.db')", "pass") if where == "collect" else ("", "load('app.db')")
    run = suite.run(
        {
            **_TREE,
            "test_a.py": f"{dedent(_BY_HAND)}\n{at_top}\ndef test_a(): {in_test}",
            "test_b.py": "def test_b():\n    import app.db\n    app.db",
        },
        *filter(None, [mode]),
    )
    assert run.outcomes == ({"passed": 2} if mode else {"failed": 1, "passed": 1})
    assert run.kinds == [("stale-attribute", "app.db")]
    leak = run.leak("stale-attribute", "app.db")
    assert leak["contained"] is bool(mode)
    assert leak["polluter"]["phase"] == where
    assert [exposed["nodeid"] for exposed in leak["exposed"]] == ([] if mode else ["test_b.py::test_b"])


@pytest.mark.parametrize("mode", ["", "--isolate-imports=file"])
def test_a_submodule_that_an_application_executes_by_hand_is_everybodys(suite: Suite, mode: str) -> None:
    run = suite.run(
        {
            **_TREE,
            "app/loading.py": _BY_HAND,
            "test_a.py": "import sys\nfrom app import loading\nloading.load('app.db')\n"
            "def test_a(): assert 'app.db' in sys.modules",
            "test_b.py": "import sys\ndef test_b(): assert 'app.db' in sys.modules",
        },
        *filter(None, [mode]),
    )
    assert run.outcomes == {"passed": 2}
    assert run.kinds == []


def test_a_submodule_that_is_loaded_by_hand_and_bound_or_taken_away_is_no_leak(suite: Suite) -> None:
    run = suite.run(
        {
            **_TREE,
            "app/loading.py": _BY_HAND,
            "test_bound.py": f"{dedent(_BY_HAND)}\nimport app\napp.db = load('app.db')\ndef test_it(): pass",
            "test_fixture.py": dedent(_BY_HAND)
            + dedent("""
                import pytest

                @pytest.fixture(scope="module")
                def user():
                    yield load("app.user")
                    del sys.modules["app.user"]

                def test_one(user): pass
                def test_two(user): pass
            """),
            "test_application.py": """
                from app import loading
                def test_it(): loading.load("app.user")
            """,
        },
        "test_bound.py",
        "test_fixture.py",
        "test_application.py",
    )
    assert run.outcomes == {"passed": 4}
    assert run.kinds == []


def test_containers_that_are_another_object(suite: Suite) -> None:
    run = suite.run(
        """\
        import sys

        def test_modules():
            sys.modules = dict(sys.modules)

        def test_path():
            sys.path = list(sys.path)

        def test_meta_path():
            sys.meta_path = list(sys.meta_path)

        def test_path_hooks():
            sys.path_hooks = list(sys.path_hooks)
        """
    )
    assert run.outcomes == {"passed": 4}
    assert _lines(run.leaks) == [
        ("rebound", "sys.modules", 4),
        ("rebound", "sys.path", 7),
        ("rebound", "sys.meta_path", 10),
        ("rebound", "sys.path_hooks", 13),
    ]
    leak = run.leak("rebound", "sys.modules")
    assert leak["severity"] == "error"
    assert leak["detail"] == (
        "sys.modules is another object than before; code that holds the old one, as the interpreter does, "
        "sees no changes."
    )
    assert leak["advice"] == "Change the contents of sys.modules and leave the object in place."


def test_another_cache_of_finders_is_a_warning_with_the_line_of_the_helper(suite: Suite) -> None:
    """astroid's tests copy the cache and put the copy into its place, in a helper of theirs."""
    run = suite.run(
        """\
        import sys
        from contextlib import contextmanager

        @contextmanager
        def restored(folder):
            cache = sys.path_importer_cache.copy()
            sys.path.insert(0, folder)
            yield
            sys.path.remove(folder)
            sys.path_importer_cache = cache

        def test_it(tmp_path):
            (tmp_path / "found.py").write_text("")
            with restored(str(tmp_path)):
                import found
        """
    )
    leak = run.leak("rebound", "sys.path_importer_cache")
    assert leak["severity"] == "warning"
    assert leak["detail"] == (
        "sys.path_importer_cache is another object than before; code that holds the old one sees no changes."
    )
    assert leak["location"] == {"file": "test_it.py", "line": 10, "exact": False}
    assert [other["kind"] for other in run.leaks] == ["rebound"]


def test_path_entries_finders_and_hooks(suite: Suite) -> None:
    run = suite.run(
        """\
        import sys

        class Finder:
            def find_spec(self, name, path=None, target=None):
                return None

        def hook(entry):
            raise ImportError

        finder = Finder()

        def test_path_added():
            sys.path.insert(0, "/first")
            sys.path.append("/last")

        def test_path_moved():
            sys.path.append(sys.path.pop(0))

        def test_path_removed():
            sys.path.remove("/last")

        def test_finder_added():
            sys.meta_path.insert(0, finder)

        def test_finder_removed():
            sys.meta_path.remove(finder)

        def test_hook_added():
            sys.path_hooks.append(hook)

        def test_hook_removed():
            sys.path_hooks.remove(hook)

        def test_another_finder_class():
            sys.meta_path.append(Finder)
        """
    )
    assert run.outcomes == {"passed": 8}
    assert _lines(run.leaks) == [
        ("path-added", "/first", 13),
        ("path-added", "/last", 14),
        ("path-moved", "sys.path", 17),
        ("path-removed", "/last", 20),
        ("finder-added", "test_it.Finder", 23),
        ("finder-removed", "test_it.Finder", 26),
        ("hook-added", "test_it.hook", 29),
        ("hook-removed", "test_it.hook", 32),
        ("finder-added", "test_it.Finder", 35),
    ]
    assert {leak["severity"] for leak in run.leaks} == {"warning"}
    assert [leak["detail"] for leak in run.leaks] == [
        "It was added to sys.path.",
        "It was added to sys.path.",
        "sys.path holds the same entries in another order.",
        "It was removed from sys.path.",
        "It was added to sys.meta_path.",
        "It was removed from sys.meta_path.",
        "It was added to sys.path_hooks.",
        "It was removed from sys.path_hooks.",
        "It was added to sys.meta_path.",
    ]


@pytest.mark.neighbours("numpy", "yaml")
def test_modules_thrown_out_by_patch_dict(suite: Suite) -> None:
    run = suite.run(
        {
            **_TREE,
            "test_it.py": """\
                import sys
                from unittest import mock
                import pytest

                def test_foreign():
                    with mock.patch.dict(sys.modules, {"boto": mock.Mock()}):
                        import yaml

                def test_healthy():
                    with mock.patch.dict(sys.modules, {"boto": mock.Mock()}):
                        import app.db

                def test_optional_dependency_that_is_not_installed():
                    with mock.patch.dict(sys.modules):
                        with pytest.raises(ImportError):
                            import nothing_there

                @pytest.mark.isolated_imports
                def test_isolated():
                    import numpy
            """,
        },
    )
    assert run.outcomes == {"passed": 4}
    assert _lines(run.leaks) == [("evicted", "yaml", 6)]
    leak = run.leaks[0]
    assert leak["severity"] == "error"
    assert leak["polluter"] == {"nodeid": "test_it.py::test_foreign", "phase": "call"}
    assert leak["detail"].startswith("It and ")
    assert leak["detail"].endswith(
        " more modules of its package were first imported here, and no entry is left: "
        "the next import executes a second copy."
    )
    assert leak["advice"] == (
        "Import yaml before the mock.patch.dict(sys.modules) block, "
        "or use fakes= or missing= of the marker instead."
    )


def test_a_module_that_imports_nothing_itself_is_thrown_out_too(suite: Suite) -> None:
    run = suite.run(
        """\
        import sys
        from unittest import mock

        held = []

        def test_it():
            with mock.patch.dict(sys.modules):
                import colorsys
                held.append(colorsys)

        def test_nobody_holds_it():
            with mock.patch.dict(sys.modules):
                import netrc
        """,
    )
    assert _lines(run.leaks) == [("evicted", "colorsys", 7)]


def test_what_pytester_throws_out_is_nobodys_leak(suite: Suite) -> None:
    run = suite.run(
        {
            "test_it.py": """\
                import sys
                from unittest import mock

                pytest_plugins = ["pytester"]
                held = []

                def run_inside(pytester, source):
                    pytester.makepyfile(helper_inside="import xmlrpc.client", test_inside=source)
                    pytester.inline_run("-pno:cacheprovider").assertoutcome(passed=1)

                def test_inner_run(pytester):
                    run_inside(pytester, "import colorsys, helper_inside\\ndef test_it(): import wave")

                def test_inner_run_that_writes(pytester):
                    run_inside(pytester, "import sys, netrc\\ndef test_it(): sys.modules['left'] = netrc")

                def test_own_import(pytester):
                    import mailcap_of_tests, filecmp
                    held.append(filecmp)

                def test_own_patch(pytester):
                    with mock.patch.dict(sys.modules):
                        import sched
                        held.append(sched)
                    run_inside(pytester, "def test_it(): pass")
            """,
            "mailcap_of_tests.py": "import getopt\nheld = getopt\n",
            "test_later.py": "def test_later():\n    import colorsys, wave, xmlrpc.client, filecmp, getopt\n",
        },
    )
    assert run.outcomes == {"passed": 5}
    assert _lines(run.leaks) == [("evicted", "sched", 22)]


@pytest.mark.neighbours("numpy")
def test_numpy_thrown_out_by_patch_dict(suite: Suite) -> None:
    run = suite.run(
        """\
        import sys
        from unittest import mock

        @mock.patch.dict(sys.modules)
        def test_it():
            import numpy
        """,
    )
    assert ("evicted", "numpy") in run.kinds
    assert run.leak("evicted", "numpy")["location"]["line"] in (4, 6)


def test_reloads_with_and_without_holders_of_the_old_execution(suite: Suite) -> None:
    run = suite.run(
        {
            **_TREE,
            "test_it.py": """\
                import importlib
                import plain

                def test_without():
                    importlib.reload(plain)

                def test_with():
                    import app.db, app.user
                    importlib.reload(app.db)
            """,
        }
    )
    assert run.outcomes == {"passed": 2}
    without = run.leak("reloaded", "plain")
    assert without["severity"] == "warning"
    assert without["detail"] == "plain was executed again in place."
    assert without["location"] == {"file": "test_it.py", "line": 5, "exact": True}
    with_holders = run.leak("reloaded", "app.db")
    assert with_holders["severity"] == "error"
    assert with_holders["detail"] == (
        "app.db was executed again in place, but objects of the old execution are still held by "
        "app.user.Connection, app.user.connect."
    )
    assert len(run.leaks) == 2


def test_one_file_under_two_names(suite: Suite) -> None:
    run = suite.run(
        {
            "tools/__init__.py": "",
            "tools/hammer.py": "",
            "test_it.py": """\
                import sys

                def test_first():
                    import tools.hammer

                def test_second(monkeypatch):
                    monkeypatch.syspath_prepend("tools")
                    import hammer
            """,
        }
    )
    leak = run.leak("twice-loaded", "hammer")
    assert leak["severity"] == "warning"
    assert leak["detail"] == (
        "The file tools/hammer.py is loaded as tools.hammer and as hammer: "
        "two modules, two copies of every class."
    )
    assert leak["polluter"]["nodeid"] == "test_it.py::test_second"
    assert leak["location"] == {"file": "test_it.py", "line": 8, "exact": True}
    assert leak["chain"][-1] == {"module": "hammer", "file": "test_it.py", "line": 8}
    assert len(run.leaks) == 1


_TWO_NAMES = {
    "tools/__init__.py": "",
    "tools/hammer.py": "",
    "test_it.py": """\
        import sys
        import tools.hammer

        def test_it(monkeypatch):
            monkeypatch.syspath_prepend("tools")
            import hammer
    """,
    "test_file.py": """\
        import sys
        import tools.nail

        sys.path.insert(0, "tools")
        import nail
        sys.path.pop(0)

        def test_it():
            pass
    """,
    "tools/nail.py": "",
}


@pytest.mark.parametrize("mode", ["file", "test", "process"])
def test_what_isolation_takes_back_of_two_names_is_contained_and_what_files_share_is_not(
    suite: Suite, mode: str
) -> None:
    run = suite.run(_TWO_NAMES, f"--isolate-imports={mode}")
    found = {leak["name"]: leak for leak in run.report["leaks"] if leak["kind"] == "twice-loaded"}
    assert {name: leak["contained"] for name, leak in found.items()} == {"hammer": True, "nail": False}
    assert found["hammer"]["location"] == {"file": "test_it.py", "line": 6, "exact": True}
    assert found["nail"]["location"] == {"file": "test_file.py", "line": 5, "exact": True}
    assert found["nail"]["polluter"]["nodeid"] == "test_file.py"


def test_a_module_that_shows_the_file_of_another_one_is_no_second_copy_of_it(suite: Suite) -> None:
    run = suite.run(
        {
            "slow/__init__.py": "from slow import core",
            "slow/core.py": "class Core: pass",
            # As toolz has it: the file is for readers of the source.
            "quick/__init__.py": """\
                import importlib, sys
                from importlib.machinery import ModuleSpec

                class Loader:
                    def create_module(self, spec):
                        return None

                    def exec_module(self, module):
                        real = importlib.import_module(module.__name__.replace("quick", "slow"))
                        module.__file__ = real.__file__
                        module.Core = real.Core if "." in module.__name__ else None

                core = importlib.util.module_from_spec(ModuleSpec("quick.core", Loader()))
                sys.modules["quick.core"] = core
                Loader().exec_module(core)
                Loader().exec_module(sys.modules[__name__])
            """,
            "test_it.py": """\
                def test_it():
                    import quick.core, slow.core
                    assert quick.core.Core is slow.core.Core
            """,
        },
        "--doctest-modules",
    )
    assert run.outcomes == {"passed": 1}
    assert [leak["kind"] for leak in run.leaks if leak["severity"] != "info"] == []


def test_first_imports_have_their_importer_and_the_chain_to_it(suite: Suite) -> None:
    run = suite.run(
        {
            **_TREE,
            "test_at_collection.py": "import app.user\ndef test_it(): pass\n",
            "test_in_a_test.py": """\
                import pytest

                @pytest.fixture
                def fixture():
                    import wave

                def test_it(fixture):
                    __import__("plain")

                def test_again():
                    import plain, wave, app.user
            """,
        }
    )
    assert run.outcomes == {"passed": 3}
    assert run.leaks == []
    assert run.blamed("loaded", "app.user") == ("test_at_collection.py", "collect")
    assert run.blamed("loaded", "app") == ("test_at_collection.py", "collect")
    assert run.leak("loaded", "app.user")["location"] == {
        "file": "test_at_collection.py",
        "line": 1,
        "exact": True,
    }
    chain = run.leak("loaded", "app.db")["chain"]
    assert [(link["module"], link["file"], link["line"]) for link in chain][-2:] == [
        ("app.user", "test_at_collection.py", 1),
        ("app.db", "app/user.py", 1),
    ]
    assert run.blamed("loaded", "wave") == ("test_in_a_test.py::test_it", "setup")
    assert run.blamed("loaded", "plain") == ("test_in_a_test.py::test_it", "call")


def test_what_an_isolated_test_does_is_listed_as_contained(suite: Suite) -> None:
    run = suite.run(
        {
            **_TREE,
            "test_it.py": """\
                import sys
                import pytest
                pytestmark = pytest.mark.isolated_imports(
                    fakes={"asked_for": {}}, missing="netrc", path="/mine"
                )
                import plain

                def test_it():
                    import app.db, wave, asked_for
                    sys.modules["fake"] = object()
                    sys.path.append("/nowhere")
                    del sys.modules["plain"]
                    sys.modules = dict(sys.modules)

                def test_clean():
                    import app.db
            """,
        }
    )
    assert run.outcomes == {"passed": 2}
    assert sorted(run.kinds) == [
        ("fake-left", "fake"),
        ("path-added", "/nowhere"),
        ("rebound", "sys.modules"),
        ("removed", "plain"),
    ]
    assert all(leak["contained"] for leak in run.leaks)
    assert {leak["polluter"]["nodeid"] for leak in run.leaks} == {"test_it.py::test_it"}
    summary = run.report["summary"]
    assert (summary["error"], summary["warning"], summary["contained"]) == (0, 0, 4)
    assert "contained: 4 changes undone by isolation (" in run.section
    assert "no import leaks (" in run.section


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("sys.modules['fake'] = types.ModuleType('fake')", ("fake-left", "fake")),
        ("app.sub = types.ModuleType('app.sub')", ("stale-attribute", "app.sub")),
        ("app.LIMIT = 2", ("attribute-left", "app.LIMIT")),
        ("import wsgiref", ("loaded", "wsgiref")),
    ],
)
@pytest.mark.parametrize("others", [0, 2])
def test_what_happens_when_a_class_is_collected_is_its_files_doing(
    suite: Suite, change: str, kind: tuple[str, str], others: int
) -> None:
    more = "".join(f"class Test{number}:\n    def test_it(self): pass\n" for number in range(others))
    named = f"""
import sys, types, pytest, app.sub

def name(value):
    {change}
    return str(value)

class TestNamed:
    @pytest.mark.parametrize("value", [1], ids=name)
    def test_it(self, value): pass
"""
    run = suite.run(
        {
            "app/__init__.py": "LIMIT = 1",
            "app/sub.py": "",
            "tests/test_a.py": named + more,
            "tests/test_b.py": "import app\nclass TestOther:\n    def test_it(self): pass\n",
        },
        ini="pythonpath = .\n",
    )
    assert run.outcomes == {"passed": 2 + others}
    nodeid, phase = run.blamed(*kind)
    assert (nodeid.partition("::")[0], phase) == ("tests/test_a.py", "collect")


def test_the_class_that_changed_something_is_told_with_its_victims_in_the_file(suite: Suite) -> None:
    run = suite.run(
        {
            "app/__init__.py": "value = 1\ndef get(): return value\n",
            "tests/test_0.py": "def test_it(): pass\n",
            "tests/test_a.py": """
                import pytest, app

                def name(value):
                    app.value = value
                    return str(value)

                class TestBefore:
                    def test_it(self): pass

                class TestNamed:
                    @pytest.mark.parametrize("value", [5], ids=name)
                    def test_it(self, value): pass

                class TestVictim:
                    def test_it(self): assert app.get() == 1
            """,
        },
        ini="pythonpath = .\n",
    )
    assert run.outcomes == {"passed": 3, "failed": 1}
    assert run.blamed("attribute-left", "app.value") == ("tests/test_a.py::TestNamed", "collect")
    exposed = run.leak("attribute-left", "app.value")["exposed"]
    assert [one["nodeid"] for one in exposed] == ["tests/test_a.py::TestVictim::test_it"]
