"""Who met a leak, and what a failing test or file is told of it."""

from __future__ import annotations

import re
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import TAKES_LONG

if TYPE_CHECKING:
    from tests.plugin.conftest import Run, Suite


@pytest.fixture(autouse=True)
def _wide(suite: Suite) -> None:
    """Let no line of a section be wrapped."""
    suite.columns = 1000


_TREE = {
    "app/__init__.py": "",
    "app/db.py": "class Connection: pass\n",
    "app/audio.py": """\
        import torchy
        from app import db

        def volume():
            return torchy.mean([1, 2])

        def lazily():
            import lazy_fake
            return lazy_fake.answer
    """,
    "app/studio.py": "from app import audio\n",
}
_PLANTER = """\
    import sys
    from unittest.mock import MagicMock
    sys.modules["torchy"] = MagicMock()
    sys.modules["lazy_fake"] = MagicMock()
    import app.audio

    def test_own():
        import torchy
        assert app.audio.volume() == 1
"""


def _met(leak: dict[str, Any]) -> list[tuple[str, str, str, int, str]]:
    return [
        (one["nodeid"], one["phase"], one["file"], one["line"], one["outcome"]) for one in leak["exposed"]
    ]


def _sections(run: Run) -> list[str]:
    """Return the texts of the sections in failures."""
    parts = re.split(r" import leaks[^\n]*: something imported here had been changed ", run.output)[1:]
    found = []
    for part in parts:
        lines = part.splitlines()[1:]
        end = next(
            i for i, line in enumerate(lines) if line.startswith("    ") and "isolat" in line + lines[i - 1]
        )
        while end + 1 < len(lines) and lines[end + 1].startswith("    "):
            end += 1
        found.append("\n".join(lines[: end + 1]))
    return found


@pytest.mark.parametrize(
    "options", [(), pytest.param(("-n2",), marks=TAKES_LONG), ("--tb=short",), ("--show-capture=no",)]
)
def test_a_file_that_cannot_be_collected_is_told_why(suite: Suite, options: tuple[str, ...]) -> None:
    run = suite.run(
        {
            "test_a.py": """\
                import sys
                from types import ModuleType
                sys.modules["torchy"] = ModuleType("torchy")

                def test_a():
                    pass
            """,
            "test_b.py": """\
                from torchy import mean

                def test_b():
                    pass
            """,
        },
        *options,
        plugins=("xdist",),
    )
    assert _met(run.leak("fake-left", "torchy")) == [("test_b.py", "collect", "test_b.py", 1, "error")]
    if options != ("--show-capture=no",):
        assert (
            _sections(run)[0]
            == dedent("""\
            torchy: sys.modules['torchy'] is a bare ModuleType().
                fake-left by test_a.py (collect), at test_a.py:3
                imported here at test_b.py:1
            To contain it, run pytest with --isolate-imports=file, or change the file that left it:
                Import what needs the fake in "with IsolatedImportContext(fakes={"torchy": {...}}):". Tests whose code imports torchy later also need @pytest.mark.isolated_imports(fakes=...).""")
        )


def test_whoever_imports_a_leaked_name_is_exposed_and_the_polluter_is_not(suite: Suite) -> None:
    run = suite.run(
        {
            **_TREE,
            "test_a.py": _PLANTER,
            "test_b.py": """\
                from app import db, studio

                def test_through_what_its_file_imported():
                    assert studio.audio.volume() == 1

                def test_imports_nothing_leaked():
                    import app.db
            """,
            "test_c.py": """\
                import importlib
                import pytest

                def test_statement():
                    import torchy

                def test_submodule():
                    with pytest.raises(ImportError):
                        import torchy.nn

                def test_from():
                    from torchy import mean

                def test_import_module():
                    importlib.import_module("torchy")

                def test_call():
                    __import__("torchy", fromlist=["mean"])

                def test_importorskip():
                    pytest.importorskip("torchy")

                def test_patch():
                    from unittest import mock
                    with mock.patch("torchy.mean"):
                        pass

                def test_code_under_test():
                    from app import audio
                    assert audio.lazily() == 42

                def test_not_at_all():
                    assert "torchy"
            """,
        },
    )
    assert run.outcomes == {"failed": 3, "passed": 9}
    met = _met(run.leak("fake-left", "torchy"))
    assert met == [
        ("test_c.py::test_statement", "call", "test_c.py", 5, "passed"),
        ("test_c.py::test_submodule", "call", "test_c.py", 9, "passed"),
        ("test_c.py::test_from", "call", "test_c.py", 12, "passed"),
        ("test_c.py::test_import_module", "call", "test_c.py", 15, "passed"),
        ("test_c.py::test_call", "call", "test_c.py", 18, "passed"),
        ("test_c.py::test_importorskip", "call", "test_c.py", 21, "passed"),
        ("test_c.py::test_patch", "call", "test_c.py", 25, "passed"),
    ]
    assert _met(run.leak("fake-left", "lazy_fake")) == [
        ("test_c.py::test_code_under_test", "call", "app/audio.py", 8, "failed")
    ]
    tainted = run.leak("tainted", "app.audio")
    assert tainted["polluter"] == {"nodeid": "test_a.py", "phase": "collect"}
    assert tainted["location"] == {"file": "test_a.py", "line": 5, "exact": True}
    assert tainted["detail"] == (
        "It was first imported while torchy was a unittest.mock.MagicMock, and still depends on that."
    )
    assert _met(tainted)[:2] == [
        ("test_b.py", "collect", "app/studio.py", 1, "passed"),
        ("test_b.py::test_through_what_its_file_imported", "call", "app/studio.py", 1, "failed"),
    ]
    through, lazily = _sections(run)
    assert through.splitlines()[:4] == [
        f"app.audio: sys.modules['app.audio'] is the module of {suite.root}/app/audio.py.",
        "    tainted by test_a.py (collect), at test_a.py:5",
        "    imported here at app/studio.py:1",
        "    It was first imported while torchy was a unittest.mock.MagicMock, and still depends on that.",
    ]
    assert lazily.splitlines()[:3] == [  # the failure compares what came from it
        "lazy_fake: sys.modules['lazy_fake'] is a unittest.mock.MagicMock.",
        "    fake-left by test_a.py (collect), at test_a.py:4",
        "    imported here at app/audio.py:8",
    ]


def test_outcomes_of_every_sort(suite: Suite) -> None:
    run = suite.run(
        {
            "test_a.py": """\
                import sys
                from unittest.mock import MagicMock
                sys.modules["torchy"] = MagicMock()

                def test_a():
                    pass
            """,
            "test_b.py": """\
                import unittest
                import pytest

                def test_skips():
                    import torchy
                    pytest.skip("no")

                @pytest.mark.xfail
                def test_expected_to_fail():
                    import torchy
                    assert False

                @pytest.mark.xfail
                def test_passes_unexpectedly():
                    import torchy

                @pytest.fixture
                def broken():
                    import torchy
                    raise RuntimeError

                def test_error_in_setup(broken):
                    pass

                @pytest.fixture
                def broken_later():
                    yield
                    import torchy
                    raise RuntimeError

                def test_error_in_teardown(broken_later):
                    pass

                class TestIt(unittest.TestCase):
                    def test_method(self):
                        import torchy
                        self.fail()

                @pytest.mark.parametrize("x", ["a::b", "[c]"])
                def test_parametrized(x):
                    import torchy
                    assert x == "a::b"
            """,
        }
    )
    outcomes = {one["nodeid"].partition("::")[2]: (one["phase"], one["outcome"])
                for one in run.leak("fake-left", "torchy")["exposed"]}  # fmt: skip
    assert outcomes == {
        "test_skips": ("call", "skipped"),
        "test_expected_to_fail": ("call", "xfailed"),
        "test_passes_unexpectedly": ("call", "passed"),
        "test_error_in_setup": ("setup", "error"),
        "test_error_in_teardown": ("teardown", "error"),
        "TestIt::test_method": ("call", "failed"),
        "test_parametrized[a::b]": ("call", "passed"),
        "test_parametrized[[c]]": ("call", "failed"),
    }
    assert len(_sections(run)) == 4


@pytest.mark.parametrize("options", [(), pytest.param(("-n2", "--dist=loadfile"), marks=TAKES_LONG)])
def test_leaks_of_tests_have_exposed_too_and_end_when_they_are_undone(
    suite: Suite, options: tuple[str, ...]
) -> None:
    run = suite.run(
        {
            **_TREE,
            "test_it.py": """\
                import sys
                from unittest.mock import MagicMock
                import app.db
                real = app.db

                def test_before():
                    import app.db

                def test_replaces():
                    sys.modules["app.db"] = MagicMock()

                def test_meets():
                    from app.db import Connection
                    assert Connection is real.Connection

                def test_cleans_up():
                    sys.modules["app.db"] = real

                def test_after():
                    from app.db import Connection

                def test_undone_by_itself(monkeypatch):
                    monkeypatch.setitem(sys.modules, "app.db", MagicMock())
                    import app.db

                def test_again_after():
                    import app.db
                    assert False
            """,
        },
        *options,
        plugins=("xdist",),
    )
    leak = run.leak("replaced", "app.db")
    assert leak["polluter"] == {"nodeid": "test_it.py::test_replaces", "phase": "call"}
    assert _met(leak) == [("test_it.py::test_meets", "call", "test_it.py", 13, "failed")]
    assert len(_sections(run)) == 1


def test_removed_and_evicted_modules_are_met_by_who_executes_the_second_copy(suite: Suite) -> None:
    run = suite.run(
        {
            **_TREE,
            # The function is a cycle: the first copy is there until the garbage is collected, here never.
            "site-packages/exp_lib/__init__.py": "from exp_lib import part, last\ndef function(): pass\n",
            "site-packages/exp_lib/part.py": "",
            "site-packages/exp_lib/last.py": "",
            "test_a.py": """\
                import sys
                from unittest import mock
                from app.db import Connection

                def test_removes():
                    del sys.modules["app.db"]

                def test_evicts():
                    __import__("gc").disable()
                    with mock.patch.dict(sys.modules):
                        import exp_lib
            """,
            "test_b.py": """\
                from app.db import Connection

                def test_identity():
                    import app.db
                    assert app.db.Connection is Connection

                def test_second():
                    import exp_lib

                def test_in_a_function_of_the_app():
                    pass
            """,
        },
        env={"PYTHONPATH": f"{suite.root / 'site-packages'}:{suite.python_path}"},
    )
    assert _met(run.leak("removed", "app.db")) == [
        ("test_b.py::test_identity", "call", "test_b.py", 4, "failed")
    ]
    assert _met(run.leak("evicted", "exp_lib")) == [
        ("test_b.py::test_second", "call", "test_b.py", 8, "passed")
    ]
    assert _sections(run)[0].splitlines()[:3] == [
        f"app.db: sys.modules['app.db'] is the module of {suite.root}/app/db.py; "
        "test_b.Connection came from another execution of it.",
        "    removed by test_a.py::test_removes (call), at test_a.py:6",
        "    imported here at test_b.py:4",
    ]


def test_a_module_first_imported_under_an_undone_fake_or_block_is_tainted(suite: Suite) -> None:
    run = suite.run(
        {
            **_TREE,
            "app/optional.py": """\
                try:
                    import colorsys
                except ImportError:
                    colorsys = None
            """,
            "app/clean.py": "import json\n",
            "test_it.py": """\
                import sys
                from unittest.mock import MagicMock

                def test_fake(monkeypatch):
                    monkeypatch.setitem(sys.modules, "torchy", MagicMock())
                    import app.audio
                    import app.clean

                def test_block(monkeypatch):
                    monkeypatch.setitem(sys.modules, "colorsys", None)
                    import app.optional

                def test_victim():
                    import app.optional
                    assert app.optional.colorsys

                def test_not_tainted(monkeypatch):
                    import app.db
                    monkeypatch.setitem(sys.modules, "torchy", MagicMock())
                    import app.db
            """,
        },
    )
    assert [(leak["kind"], leak["name"], leak["polluter"]["nodeid"]) for leak in run.leaks] == [
        ("tainted", "app.audio", "test_it.py::test_fake"),
        ("tainted", "app.optional", "test_it.py::test_block"),
    ]
    assert run.leaks[1]["detail"] == (
        "It was first imported while colorsys was blocked, and still depends on that."
    )
    assert run.leaks[1]["location"] == {"file": "test_it.py", "line": 11, "exact": True}
    assert _met(run.leaks[1]) == [("test_it.py::test_victim", "call", "test_it.py", 14, "failed")]


def test_a_module_tainted_by_a_fake_is_seen_also_where_no_line_is(suite: Suite) -> None:
    run = suite.run(
        {
            **_TREE,
            "app/one.py": "from torchy import Tensor\n",
            "app/two.py": "import torchy\n",
            "app/three.py": "from torchy import name\n",
            "app/four.py": "import json\n",
            "conftest.py": """
                import sys
                from pytest_import_isolation.watching.lines import LineWatch
                LineWatch.start = lambda self: False  # as if another tool had the lines

                def pytest_collectstart(collector):
                    for plugin in collector.config.pluginmanager.get_plugins():
                        leak_watch = getattr(plugin, "_leak_watch", None)
                        if leak_watch is not None:
                            leak_watch.stop()
            """,
            "test_bare.py": """\
                import sys
                from types import ModuleType

                class Tensor: pass
                Tensor.__module__ = "torchy"
                fake = ModuleType("torchy")
                fake.Tensor, fake.name = Tensor, "name"
                sys.modules["torchy"] = fake
                import app.one, app.two, app.three, app.four

                def test_it(): pass
            """,
            "test_mock.py": """\
                import sys
                from unittest.mock import MagicMock
                sys.modules["torchy"] = MagicMock()
                for name in ("app.one", "app.two", "app.audio"):
                    sys.modules.pop(name, None)
                import app.audio

                def test_it(): pass
            """,
        },
        measured=False,
    )
    tainted = [(leak["name"], leak["polluter"]["nodeid"]) for leak in run.leaks if leak["kind"] == "tainted"]
    assert tainted == [
        ("app.one", "test_bare.py"),
        ("app.two", "test_bare.py"),
        ("app.audio", "test_mock.py"),
    ]
    assert run.leak("tainted", "app.two")["location"]["line"] == 9


def test_a_tainted_module_that_goes_with_the_test_is_no_leak(suite: Suite) -> None:
    run = suite.run(
        {
            **_TREE,
            "test_it.py": """\
                import sys
                from unittest import mock
                from unittest.mock import MagicMock
                import pytest

                def test_patched():
                    with mock.patch.dict(sys.modules, {"torchy": MagicMock()}):
                        import app.audio

                @pytest.mark.isolated_imports(fakes={"torchy": {}})
                def test_marked():
                    import app.audio
            """,
        },
    )
    assert [leak for leak in run.kinds if leak[0] == "tainted"] == []


def test_a_module_that_was_executed_again_without_the_fake_is_not_tainted(suite: Suite) -> None:
    head = """\
        import sys
        from unittest import mock
        from pytest_import_isolation import IsolatedImportContext
    """
    run = suite.run(
        {
            "shop.py": "try:\n    import nocloud\nexcept ImportError:\n    nocloud = None\n",
            "test_context.py": f"""{head}
        with IsolatedImportContext(fakes={{"nocloud": {{"upload": None}}}}, fresh="shop"):
            import shop as shop_with_cloud
        import shop

        def test_both():
            assert shop.nocloud is None and shop_with_cloud.nocloud is not None
            """,
            "test_by_hand.py": f"""{head}
        def test_by_hand():
            sys.modules.pop("shop", None)
            with mock.patch.dict(sys.modules, nocloud=mock.Mock()):
                import shop
            import shop
            assert shop.nocloud is None
            """,
            "test_stays.py": f"""{head}
        def test_stays():
            del sys.modules["shop"]
            sys.modules["nocloud"] = mock.Mock()
            import shop
            del sys.modules["nocloud"]
            """,
        },
    )
    assert run.outcomes == {"passed": 3}
    tainted = [leak["polluter"]["nodeid"] for leak in run.leaks if leak["kind"] == "tainted"]
    assert tainted == ["test_stays.py::test_stays"]


def test_isolated_files_and_tests_expose_nobody(suite: Suite) -> None:
    files = {
        **_TREE,
        "test_a.py": _PLANTER,
        "test_b.py": "import sys\n\ndef test_b():\n    assert 'torchy' not in sys.modules\n    assert 0",
    }
    run = suite.run(files, "--isolate-imports=file")
    assert [leak["exposed"] for leak in run.leaks] == [[] for _ in run.leaks]
    assert {leak["contained"] for leak in run.leaks} == {True}
    assert _sections(run) == []


def test_fakes_of_a_conftest_are_a_decision_and_expose_nobody(suite: Suite) -> None:
    run = suite.run(
        {
            "conftest.py": "import sys\nfrom unittest.mock import MagicMock\nsys.modules['torchy'] = MagicMock()",
            "test_a.py": "import torchy\n\ndef test_a():\n    assert torchy.x == 1\n",
        }
    )
    assert run.leak("fake-left", "torchy")["severity"] == "warning"
    assert run.leak("fake-left", "torchy")["exposed"] == []
    assert _sections(run) == []


@pytest.mark.parametrize("plugin", ["report", "off"])
def test_the_import_function_is_replaced_nowhere_but_below_3_12_while_something_is_leaked(
    suite: Suite, plugin: str
) -> None:
    run = suite.run(
        """\
        import builtins, sys, importlib._bootstrap as bootstrap
        from types import BuiltinFunctionType, ModuleType

        def is_plain():
            return type(builtins.__import__) is BuiltinFunctionType and bootstrap._gcd_import.__module__ == \\
                "_frozen_importlib"

        def test_before():
            assert is_plain()

        def test_leaks():
            sys.modules["fake"] = ModuleType("fake")

        def test_while_it_is_there(request):
            has_events = (3, 12) <= sys.version_info < (3, 15)
            assert is_plain() is (has_events or not request.config.option.import_leak_report)
            assert isinstance(builtins.__import__, BuiltinFunctionType)

        def test_cleans():
            del sys.modules["fake"]

        def test_after():
            assert is_plain()
        """,
        *(["--import-leak-report"] if plugin == "report" else []),
        report=False,
    )
    assert run.outcomes == {"passed": 5}


def test_a_failing_import_has_the_same_traceback_as_ever(suite: Suite) -> None:
    run = suite.run(
        """\
        import sys
        from types import ModuleType

        def length():
            try:
                import not_there
            except ImportError as error:
                found, traceback = 0, error.__traceback__
            while traceback:
                found, traceback = found + 1, traceback.tb_next
            return found

        def test_leaks():
            assert length() == 1
            sys.modules["not_there"] = None

        def test_meets():
            assert length() == 1
        """,
    )
    assert run.outcomes == {"passed": 2}


def test_a_test_that_takes_getframe_away_is_not_disturbed(suite: Suite) -> None:
    run = suite.run(
        """\
        import sys

        def test_without(monkeypatch):
            def refuse(depth=0):
                raise ValueError("no frames")
            monkeypatch.setattr(sys, "_getframe", refuse)
            sys.modules["fake"] = object()
            x = 1
        """,
        measured=False,
    )
    assert run.outcomes == {"passed": 1}
    assert run.leak("fake-left", "fake")["location"] == {"file": "test_it.py", "line": 7, "exact": True}


def test_odd_leaked_entries_break_nothing(suite: Suite) -> None:
    run = suite.run(
        """\
        import sys
        from unittest import mock

        class Angry:
            def __eq__(self, other): raise RuntimeError("eq")
            def __bool__(self): raise RuntimeError("bool")
            def __getattr__(self, name): raise RuntimeError("attribute")
            __hash__ = None

        def test_plants():
            sys.modules["angry"] = Angry()
            sys.modules["any"] = mock.ANY
            sys.modules["number"] = 5
            sys.modules["two\\nlines"] = 5
            sys.modules[7] = "seven"
            sys.modules["json.nothing"] = None

        def test_meets():
            for name in ("angry", "any", "number", "json.nothing", "two\\nlines"):
                try:
                    __import__(name)
                except (ImportError, RuntimeError, AttributeError):
                    pass
            assert False
        """,
    )
    assert run.outcomes == {"passed": 1, "failed": 1}
    assert "INTERNALERROR" not in run.output
    # No import statement can spell a name of two lines: nobody is harmed.
    assert {name for _, name in run.kinds} == {"angry", "any", "number", "7", "json.nothing"}
    assert "... and 2 more leaked names: number, json.nothing" in run.output
    assert "two\\nlines" not in run.section


def test_a_leak_is_armed_again_when_what_was_laid_over_it_is_gone(suite: Suite) -> None:
    run = suite.run(
        {
            "store.py": "LIMIT = 1",
            "app.py": "def limit():\n    from store import LIMIT\n    return LIMIT\n",
            "pytest.ini": "[pytest]\npythonpath = .\n",
            "test_1_polluter.py": """
                import sys

                def test_polluter():
                    del sys.modules["store"]
                    import store
            """,
            "test_2_victim.py": """
                import sys
                import pytest
                import app, store

                @pytest.fixture(scope="class")
                def blocked():
                    with pytest.MonkeyPatch.context() as patch:
                        patch.setitem(sys.modules, "store", None)
                        yield

                def test_without_store(monkeypatch):
                    monkeypatch.setitem(sys.modules, "store", None)
                    with pytest.raises(ImportError):
                        app.limit()

                class TestWithoutStore:
                    def test_one(self, blocked):
                        pass
                    def test_two(self, blocked):
                        pass

                def test_victim(monkeypatch):
                    monkeypatch.setattr(store, "LIMIT", 5)
                    assert app.limit() == 5
            """,
        }
    )
    assert run.outcomes == {"passed": 4, "failed": 1}
    exposed = [one["nodeid"] for one in run.leak("replaced", "store")["exposed"]]
    assert exposed == ["test_2_victim.py::test_victim"]
    assert "replaced by test_1_polluter.py::test_polluter (call)" in run.output


def test_a_leak_that_the_ends_of_two_fixtures_bring_back_is_met_again(suite: Suite) -> None:
    run = suite.run(
        {
            "store.py": "LIMIT = 1",
            "pytest.ini": "[pytest]\npythonpath = .\n",
            "test_1.py": """\
                import sys
                import store

                def test_polluter():
                    sys.modules["store"] = type("Fake", (), {"LIMIT": 99})()
            """,
            "test_2.py": """\
                import sys
                import types
                from unittest import mock
                import pytest

                @pytest.fixture(scope="module")
                def covered():
                    with mock.patch.dict(sys.modules, {"store": types.SimpleNamespace(LIMIT=1)}):
                        yield

                @pytest.fixture(scope="class")
                def gone():
                    taken = sys.modules.pop("store")
                    yield
                    sys.modules["store"] = taken

                def test_covered(covered):
                    pass

                class TestGone:
                    def test_gone(self, gone):
                        pass
            """,
            "test_3.py": """\
                def test_victim():
                    import store
                    assert store.LIMIT == 1
            """,
        }
    )
    assert run.outcomes == {"passed": 3, "failed": 1}
    assert run.kinds == [("replaced", "store")]
    assert [one["nodeid"] for one in run.leaks[0]["exposed"]] == ["test_3.py::test_victim"]
    assert "replaced by test_1.py::test_polluter (call)" in run.output


_OWN_VICTIM = """
    import sys
    from unittest import mock

    import maker

    def test_own_victim():
        with mock.patch.dict("sys.modules", {{"optional_part": None}}):
            made = maker.make()
        from shapes import Shape

        assert isinstance(made, Shape) is {expected}
"""


@pytest.mark.parametrize("mode", ["off", pytest.param("file", marks=TAKES_LONG), "test"])
def test_a_failing_test_may_be_its_own_victim(suite: Suite, mode: str) -> None:
    run = suite.run(
        {
            "shapes.py": "class Shape: pass",
            "forms.py": "class Shape: pass",
            "maker.py": "def make():\n    from shapes import Shape\n    return Shape()\n",
            "pytest.ini": "[pytest]\npythonpath = .\n",
            "test_passing.py": _OWN_VICTIM.format(expected=False).replace("shapes", "forms"),
            "test_self.py": _OWN_VICTIM.format(expected=True),
        },
        f"--isolate-imports={mode}",
    )
    leak = run.leak("evicted", "shapes")
    assert leak["location"] == {"file": "test_self.py", "line": 8, "exact": True}
    assert leak["polluter"] == {"nodeid": "test_self.py::test_own_victim", "phase": "call"}
    assert [one["nodeid"] for one in leak["exposed"]] == ["test_self.py::test_own_victim"]
    assert "evicted by test_self.py::test_own_victim (call)" in run.output
    # No option cures it; the advice does, both halves of it.
    assert "To cure it:\n    Import shapes before the mock.patch.dict(sys.modules) block" in run.output
    before = _OWN_VICTIM.format(expected=True).replace("import maker", "import maker, shapes")
    block = 'with mock.patch.dict("sys.modules", {"optional_part": None}):'
    missing = _OWN_VICTIM.format(expected=True).replace(block, "if True:")
    missing = missing.replace(
        "def test", '@pytest.mark.isolated_imports(missing="optional_part")\n    def test'
    )
    for cured in (before, missing.replace("import maker", "import maker, pytest")):
        run = suite.run({"test_self.py": cured}, f"--isolate-imports={mode}")
        assert run.outcomes == {"passed": 2}
        assert [leak for leak in run.leaks if not leak["contained"]] == []


@pytest.mark.parametrize("mode", ["off", "test"])
def test_modules_that_a_window_forgot_make_nobody_his_own_victim(suite: Suite, mode: str) -> None:
    run = suite.run(
        {
            "shapes.py": "class Shape: pass",
            "pytest.ini": "[pytest]\npythonpath = .\n",
            "test_it.py": """
                import sys
                from pytest_import_isolation import IsolatedImportContext

                def test_it():
                    with IsolatedImportContext():
                        import shapes
                    assert "shapes" not in sys.modules
                    import shapes
                    assert not shapes

                def test_fresh():
                    import shapes
                    with IsolatedImportContext(fresh="shapes"):
                        import shapes
                        assert not shapes
            """,
        },
        f"--isolate-imports={mode}",
    )
    assert run.outcomes == {"failed": 2}
    assert [leak for leak in run.leaks if not leak["contained"]] == []


@pytest.mark.parametrize("mode", ["off", "file", "test"])
def test_what_is_imported_to_suggest_other_names_is_nobodys_own_import(suite: Suite, mode: str) -> None:
    # From Python 3.12 on the words of such an error need the module, and so it is executed once more.
    run = suite.run(
        {
            "store.py": "LIMIT = 1",
            "user.py": "from store import LIMITS",
            "shop.py": "LIMIT = 1",
            "customer.py": "from shop import LIMITS",
            "test_file.py": """
                import sys

                try:
                    import user
                finally:
                    del sys.modules["store"]
            """,
            "test_test.py": """
                import sys

                def test_it():
                    try:
                        import customer
                    finally:
                        del sys.modules["shop"]
            """,
        },
        f"--isolate-imports={mode}",
        "--continue-on-collection-errors",
    )
    assert run.outcomes == {"failed": 1, "error": 1}
    assert [leak for leak in run.leaks if not leak["contained"]] == []
    assert "cannot import name 'LIMITS' from 'store'" in run.output


def test_a_decorator_that_evicts_is_the_place(suite: Suite) -> None:
    run = suite.run(
        """\
        import sys
        from unittest import mock

        @mock.patch.dict("sys.modules", {"optional_part": None})
        def test_first():
            global keep
            import wsgiref.util as keep

        def test_second():
            import wsgiref.util
            assert wsgiref.util is keep
        """
    )
    leak = run.leak("evicted", "wsgiref")
    assert leak["location"] == {"file": "test_it.py", "line": 4, "exact": False}
    assert "imported here at test_it.py:10" in run.output


def test_a_second_copy_in_the_place_of_a_fake_is_compared_with_the_original(suite: Suite) -> None:
    run = suite.run(
        {
            **{f"{name}.py": "class Error(Exception): pass" for name in ("app", "cleaned", "healed")},
            "pytest.ini": "[pytest]\npythonpath = .\n",
            "test_it.py": """
                import sys
                import app as first, cleaned, healed

                def test_1():
                    sys.modules["app"] = 7
                    sys.modules["cleaned"] = sys.modules["healed"] = None

                def test_2():
                    del sys.modules["app"], sys.modules["cleaned"]
                    import app
                    sys.modules["healed"] = healed

                def test_3():
                    import app
                    assert app.Error is first.Error
            """,
        }
    )
    assert run.outcomes == {"passed": 2, "failed": 1}
    blamed = [(leak["kind"], leak["name"], leak["polluter"]["nodeid"][-6:]) for leak in run.leaks]
    assert sorted(blamed) == [
        ("blocked-left", "cleaned", "test_1"),
        ("blocked-left", "healed", "test_1"),
        ("removed", "cleaned", "test_2"),
        ("replaced", "app", "test_1"),
        ("replaced", "app", "test_2"),
    ]
    assert "replaced by test_it.py::test_2 (call)" in run.output


@pytest.mark.parametrize("fake", ["types.ModuleType('radio')", "object()"])
def test_a_fake_that_find_spec_refuses_was_met(suite: Any, fake: str) -> None:
    run = suite.run(
        {
            "test_a.py": f"import sys, types\nsys.modules['radio'] = {fake}\ndef test_a(): pass\n",
            "test_b.py": """
                import importlib.util

                def has(name):
                    return importlib.util.find_spec(name) is not None

                def test_b():
                    assert not has("radio")

                def test_c():
                    raise ValueError("station.__spec__ is None")
            """,
        }
    )
    [met] = run.leak("fake-left", "radio")["exposed"]
    assert (met["nodeid"], met["file"], met["line"]) == ("test_b.py::test_b", "test_b.py", 5)
    assert "fake-left by test_a.py (collect), at test_a.py:2" in run.output
