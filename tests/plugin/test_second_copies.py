"""A module of the project that one test throws out, and another imports again, while both copies are used."""

from __future__ import annotations

from textwrap import dedent
from typing import Final

import pytest
from tests.plugin.conftest import Suite

_PROJECT = {
    "shapes.py": "class Shape: pass\n",
    "maker.py": """
        CACHE = []
        def make():
            from shapes import Shape
            if not CACHE:
                CACHE.append(Shape)
            return CACHE[0]()
    """,
}
_THROWS_OUT = {
    "patch.dict": """
        import maker, sys
        from unittest import mock

        def test_polluter():
            with mock.patch.dict(sys.modules, {"option": None}):
                assert maker.make()
    """,
    "decorator": """
        import maker, sys
        from unittest import mock

        @mock.patch.dict("sys.modules", option=None)
        def test_polluter():
            assert maker.make()
    """,
    "decorated class": """
        import maker, sys
        from unittest import mock

        @mock.patch.dict("sys.modules", option=None)
        class TestIt:
            def test_polluter(self):
                assert maker.make()
    """,
    "addCleanup": """
        import maker, sys, unittest
        from unittest import mock

        class TestIt(unittest.TestCase):
            def setUp(self):
                patch = mock.patch.dict(sys.modules, {"option": None})
                patch.start()
                self.addCleanup(patch.stop)

            def test_polluter(self):
                assert maker.make()
    """,
    "del": """
        import maker, sys

        def test_polluter():
            assert maker.make()
            del sys.modules["shapes"]
    """,
    "del and import": """
        import maker, sys

        def test_polluter():
            assert maker.make()
            del sys.modules["shapes"]
            import shapes
    """,
    "setUpClass": """
        import maker, sys, unittest
        from unittest import mock

        class TestIt(unittest.TestCase):
            @classmethod
            def setUpClass(cls):
                patch = mock.patch.dict(sys.modules, {"option": None})
                patch.start()
                cls.addClassCleanup(patch.stop)

            def test_polluter(self):
                assert maker.make()
    """,
    "module fixture": """
        import maker, pytest, sys

        @pytest.fixture(scope="module")
        def shape():
            yield maker.make()
            sys.modules.pop("shapes")

        def test_polluter(shape): pass
    """,
}
_VICTIMS = """
    import maker

    def test_first():
        import shapes

    def test_victim():
        from shapes import Shape
        assert isinstance(maker.make(), Shape)

    def test_with_another_fault():
        assert 1 == 2
"""


@pytest.mark.parametrize("way", _THROWS_OUT)
def test_who_fails_with_two_copies_is_told_who_threw_out_the_first(suite: Suite, way: str) -> None:
    run = suite.run({**_PROJECT, "test_a.py": _THROWS_OUT[way], "test_b.py": _VICTIMS})
    leak = run.leak("evicted", "shapes")
    assert leak["polluter"]["nodeid"].startswith("test_a.py")
    assert leak["polluter"]["nodeid"].endswith("::test_polluter")
    failed = [met["nodeid"] for met in leak["exposed"] if met["outcome"] == "failed"]
    assert failed == ["test_b.py::test_victim"]
    assert ("mock.patch.dict" in leak["advice"]) is ("patch.dict" in _THROWS_OUT[way])
    assert run.output.count("    evicted by test_a.py::") == 1
    # A module of the project is not put aside: no mode brings the first copy back.
    assert "To cure it:" in run.output
    assert "To contain it" not in run.output


def test_the_first_importer_of_the_second_copy_is_told_too(suite: Suite) -> None:
    victim = "import maker\n\ndef test_victim():\n    from shapes import Shape\n    assert isinstance(maker.make(), Shape)\n"
    run = suite.run({**_PROJECT, "test_a.py": _THROWS_OUT["patch.dict"], "test_b.py": victim})
    assert [met["nodeid"] for met in run.leak("evicted", "shapes")["exposed"]] == ["test_b.py::test_victim"]


def test_a_method_of_a_testcase_answers_for_what_it_evicts(suite: Suite) -> None:
    run = suite.run(
        {
            "test_a.py": """
                import sys, unittest
                from unittest import mock

                class TestIt(unittest.TestCase):
                    def setUp(self):
                        patch = mock.patch.dict(sys.modules, {"option": None})
                        patch.start()
                        self.addCleanup(patch.stop)

                    def test_polluter(self):
                        import colorsys
                        self.__class__.held = colorsys
            """,
            "test_b.py": """
                from test_a import TestIt

                def test_victim():
                    import colorsys
                    assert colorsys is TestIt.held
            """,
        }
    )
    leak = run.leak("evicted", "colorsys")
    assert leak["polluter"]["nodeid"] == "test_a.py::TestIt::test_polluter"
    failed = [met["nodeid"] for met in leak["exposed"] if met["outcome"] == "failed"]
    assert failed == ["test_b.py::test_victim"]


_PACKAGE: Final = {"shop/__init__.py": "", "shop/db.py": "class Error(Exception): pass\n"}
#: Each throws out what it imported a moment before, imports it again, and puts the first copy back.
_EXCHANGES: Final = {
    "monkeypatch": """
        def test_polluter(monkeypatch):
            import {name}
            monkeypatch.delitem(sys.modules, "{name}")
            import {name}
    """,
    "patch.dict": """
        def test_polluter():
            import {name}
            with mock.patch.dict(sys.modules):
                del sys.modules["{name}"]
                import {name}
    """,
    "by hand": """
        def test_polluter():
            import {name}
            kept = sys.modules.pop("{name}")
            import {name}
            sys.modules["{name}"] = kept
    """,
}


@pytest.mark.parametrize("name", ["shop.db", "xml.sax"])
@pytest.mark.parametrize("way", _EXCHANGES)
def test_a_package_that_holds_the_second_copy_is_told_though_the_test_imported_the_first(
    suite: Suite, way: str, name: str
) -> None:
    polluter = "import sys\nfrom unittest import mock\n" + dedent(_EXCHANGES[way]).format(name=name)
    package, _, child = name.partition(".")
    victim = f"""
        import importlib

        def test_victim():
            from {package} import {child}
            assert {child} is importlib.import_module("{name}")
    """
    files = {**_PACKAGE, "test_a.py": polluter, "test_b.py": victim}
    run = suite.run(files)
    assert [(leak["kind"], leak["name"]) for leak in run.leaks] == [("stale-attribute", name)]
    leak = run.leak("stale-attribute", name)
    assert leak["polluter"]["nodeid"] == "test_a.py::test_polluter"
    assert [met["nodeid"] for met in leak["exposed"]] == ["test_b.py::test_victim"]
    assert suite.run(files, "--isolate-imports=file").outcomes == {"passed": 2}


@pytest.mark.parametrize(
    "victim",
    [
        "def test_b():\n    import shapes\n    assert 1 == 2\n",
        "def test_b():\n    from shapes import Shape\n    assert isinstance(Shape(), Shape)\n",
    ],
)
def test_a_second_copy_alone_is_no_leak(suite: Suite, victim: str) -> None:
    run = suite.run(
        {
            "shapes.py": "class Shape: pass\n",
            "test_a.py": """
                import sys
                from unittest import mock

                def test_a():
                    with mock.patch.dict(sys.modules, {"option": None}):
                        from shapes import Shape
                        assert Shape()
            """,
            "test_b.py": victim,
        }
    )
    assert run.leaks == []


def test_no_code_of_the_users_runs_while_both_copies_are_looked_for(suite: Suite) -> None:
    hostile = """
        import pytest

        class Meta(type):
            def __eq__(cls, other): pytest.fail("__eq__ of a metaclass")
            def __hash__(cls): pytest.fail("__hash__ of a metaclass")

        class Odd(list, metaclass=Meta):
            def _no(self, *args): pytest.fail("code of a value")
            __len__ = __iter__ = __eq__ = __bool__ = _no

        class Name(str):
            def _no(self, *args): pytest.fail("code of a key")
            __str__ = __format__ = partition = rpartition = startswith = _no

        VALUES = [Odd(), Odd]
        ODD = Odd()
    """
    polluter = """
        import maker, sys
        from unittest import mock
        from hostile import Name

        def test_polluter():
            with mock.patch.dict(sys.modules, {"option": None}):
                assert maker.make()
                sys.modules[Name("odd")] = None
            assert "odd" not in sys.modules
    """
    run = suite.run({**_PROJECT, "hostile.py": hostile, "test_a.py": polluter, "test_b.py": _VICTIMS})
    assert run.outcomes == {"passed": 2, "failed": 2}
    assert [met["nodeid"] for met in run.leak("evicted", "shapes")["exposed"]] == ["test_b.py::test_victim"]


def test_a_file_that_throws_out_and_imports_again_what_its_helper_holds_is_told_to_who_fails(
    suite: Suite,
) -> None:
    run = suite.run(
        {
            **_PROJECT,
            "test_a.py": """
                import maker, sys
                maker.make()
                sys.modules.pop("shapes")
                from shapes import Shape

                def test_polluter(): pass
            """,
            "test_b.py": _VICTIMS,
        },
        "--import-leak-report",
    )
    leak = run.leak("evicted", "shapes")
    assert leak["polluter"] == {"nodeid": "test_a.py", "phase": "collect"}
    assert leak["location"] == {"file": "test_a.py", "line": 4, "exact": True}
    failed = [met["nodeid"] for met in leak["exposed"] if met["outcome"] == "failed"]
    assert failed == ["test_b.py::test_victim"]


def test_who_puts_the_first_copy_back_has_thrown_nothing_out(suite: Suite) -> None:
    polluter = """
        import maker, sys

        def test_polluter(monkeypatch):
            assert maker.make()
            monkeypatch.delitem(sys.modules, "shapes")
            import shapes
    """
    run = suite.run({**_PROJECT, "test_a.py": polluter, "test_b.py": _VICTIMS}, "--import-leak-report")
    assert run.outcomes == {"passed": 3, "failed": 1}
    assert [leak["kind"] for leak in run.leaks if leak["kind"] != "loaded"] == []


_HELD = {
    "app/__init__.py": "",
    "app/models.py": "class Order: pass\n",
    "app/store.py": "from app.models import Order\n\ndef make(): return Order()\n",
    "app/registry.py": "known = {}\n",
    "app/items.py": """
        from app.registry import known

        class Item: pass

        assert "item" not in known, "it is registered twice"
        known["item"] = Item
    """,
}
_THROWERS = {
    "store": "import app.store, app.models\n{0}del sys.modules['app.models']\n",
    "registry": "import app.items\n{0}del sys.modules['app.items']\n",
}
_METERS = {
    "store": "from app.store import make\n{0}from app.models import Order\n{0}assert isinstance(make(), Order)\n",
    "registry": "import app.items\n",
}


def _in_test(name: str, text: str) -> str:
    return f"def {name}():\n    {text.format('    ')}"


@pytest.mark.parametrize("held_by", _THROWERS)
@pytest.mark.parametrize(
    ("thrower", "victim", "is_held_before", "cure"),
    [
        ("test", "test", False, "file"),
        ("test", "same file", False, "test"),
        ("collection", "test", False, "file"),
        ("collection", "collection", False, "file"),
        ("wide fixture", "test", False, "file"),
        ("wide fixture", "same file", False, None),
        ("test", "test", True, None),
        ("collection", "collection", True, None),
    ],
)
def test_a_mode_is_named_where_it_ends_with_those_who_hold_the_first_copy(
    suite: Suite, held_by: str, thrower: str, victim: str, is_held_before: bool, cure: str | None
) -> None:
    files = dict(_HELD)
    throws, meets = _THROWERS[held_by], _METERS[held_by]
    first = {
        "test": _in_test("test_first", throws),
        "collection": throws.format("") + "def test_first(): pass\n",
        "wide fixture": '@pytest.fixture(scope="module", autouse=True)\n'
        + _in_test("wide", throws)
        + "def test_first(): pass\n",
    }[thrower]
    last = (
        meets.format("") + "def test_last(): pass\n"
        if victim == "collection"
        else _in_test("test_last", meets)
    )
    files["test_a.py"] = f"import sys, pytest\n\n{first}\n" + (last if victim == "same file" else "")
    if victim != "same file":
        files["test_b.py"] = last
    if is_held_before:
        # What holds the first copy outlives every file.
        if held_by == "store":
            files["app/models.py"] = (
                "from app.registry import known\n\nclass Order: pass\n\nknown.setdefault(1, Order)\n"
            )
            files["app/store.py"] = "from app.registry import known\n\ndef make(): return known[1]()\n"
        files["conftest.py"] = "import app.registry\n"
    run = suite.run(files, "--continue-on-collection-errors")
    assert run.leak("evicted", "app.models" if held_by == "store" else "app.items")
    assert ("To cure it:" in run.output) is (cure is None)
    for mode in ("file", "test"):
        isolated = suite.run(files, f"--isolate-imports={mode}", "--continue-on-collection-errors")
        if mode == cure:
            assert f"run pytest with --isolate-imports={mode}, or" in run.output
            assert isolated.outcomes == {"passed": 2}
        if cure is None:
            assert isolated.outcomes != {"passed": 2}


#: Loads what the next tests ask for, so that it waits outside of sys.modules.
_LOADS_FIRST: Final = """
    def test_loads():
        import ftplib, statistics
        import xml.etree.ElementTree
"""
_EXECUTES_WITH_ANOTHER: Final = """
    import sys

    def executed(name, others):
        # As importlib's and eventlet's own tools do: what is not there need not be thrown out.
        names = [one for one in sys.modules if one == name or one in others]
        saved = {one: sys.modules.pop(one) for one in names}
        sys.modules.update(others)
        try:
            __import__(name)
            return sys.modules[name]
        finally:
            for one in (name, *others):
                sys.modules.pop(one, None)
            sys.modules.update(saved)
"""


@pytest.mark.parametrize("mode", ["off", "file", "test"])
def test_what_is_executed_with_another_module_is_not_the_copy_that_waits(suite: Suite, mode: str) -> None:
    run = suite.run(
        {
            "lib/site-packages/executing.py": _EXECUTES_WITH_ANOTHER,
            "test_a.py": _LOADS_FIRST,
            "test_b.py": """
                import socket, types
                from executing import executed

                def test_blocked():
                    python = executed("statistics", {"_statistics": None})
                    assert python._normal_dist_inv_cdf.__module__ == "statistics"

                def test_blocked_below_a_package():
                    python = executed("xml.etree.ElementTree", {"_elementtree": None})
                    assert "_set_factories" not in vars(python)

                def test_another():
                    other = types.ModuleType("socket")
                    vars(other).update(vars(socket))
                    assert executed("ftplib", {"socket": other}).socket is other

                def test_left(monkeypatch):
                    other = types.ModuleType("socket")
                    vars(other).update(vars(socket))
                    monkeypatch.setitem(__import__("sys").modules, "socket", other)
                    import ftplib
            """,
            "test_c.py": """
                import socket, sys
                SEEN = []

                def test_the_first_copies_are_there():
                    import ftplib, statistics
                    import xml.etree.ElementTree  # its package holds the other copy, in one process too
                    trees = sys.modules["xml.etree.ElementTree"]
                    assert ftplib.socket is socket
                    assert statistics._normal_dist_inv_cdf.__module__ == "_statistics"
                    assert "_set_factories" in vars(trees)
                    SEEN.extend((ftplib, statistics, trees))

                def test_and_stay():
                    import ftplib, statistics
                    import xml.etree.ElementTree
                    trees = sys.modules["xml.etree.ElementTree"]
                    assert all(map(lambda a, b: a is b, SEEN, (ftplib, statistics, trees)))
            """,
        },
        f"--isolate-imports={mode}",
        ini="pythonpath = lib/site-packages\n",
        report=False,
    )
    assert run.outcomes == {"passed": 7}
