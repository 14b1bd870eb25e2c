"""IL105 to IL108: what tests, fixtures and helpers do."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lint.conftest import Lint

_HEAD = """\
import contextlib
import importlib
import sys
import unittest
from unittest import mock
from unittest.mock import MagicMock, Mock, patch

import pytest
import shop
from pytest_import_isolation import IsolatedImportContext

"""
_FIRST = _HEAD.count("\n") + 1

_WRONG = {
    "a pop in a test": (
        "IL105 shop.prices",
        """
        def test_it():
            sys.modules.pop("shop.prices", None)  #!
            from shop import prices
        """,
    ),
    "a del in a test": (
        "IL105 shop",
        """
        def test_it():
            if "shop" in sys.modules:
                del sys.modules["shop"]  #!
            import shop
        """,
    ),
    "a fake in a test": (
        "IL105 boto",
        """
        def test_it():
            sys.modules["boto"] = MagicMock()  #!
        """,
    ),
    "a reload in a test": (
        "IL105 shop",
        """
        def test_it(monkeypatch):
            monkeypatch.setenv("X", "1")
            importlib.reload(shop)  #!
        """,
    ),
    "a reload in patch.dict": (
        "IL105 shop",
        """
        def test_it():
            with patch.dict(sys.modules, {"boto": None}):
                importlib.reload(shop)  #!
        """,
    ),
    "a fixture that returns": (
        "IL105 boto",
        """
        @pytest.fixture
        def boto():
            sys.modules["boto"] = fake = MagicMock()  #!
            return fake
        """,
    ),
    "a fixture that yields and puts another back": (
        "IL105 a",
        """
        @pytest.fixture
        def fakes():
            sys.modules["a"] = MagicMock()  #!
            yield
            del sys.modules["b"]
        """,
    ),
    "a pop that a second pop does not undo": (
        "IL105 shop",
        """
        @pytest.fixture
        def fresh():
            sys.modules.pop("shop", None)  #!
            yield
            sys.modules.pop("shop", None)
        """,
    ),
    "setUp without tearDown": (
        "IL105 boto",
        """
        class TestIt(unittest.TestCase):
            def setUp(self):
                sys.modules["boto"] = MagicMock()  #!

            def test_it(self):
                pass
        """,
    ),
    "a patcher that nobody stops": (
        "IL105 boto",
        """
        class TestIt(unittest.TestCase):
            def setUp(self):
                self.patcher = patch.dict(sys.modules, {"boto": MagicMock()})
                self.patcher.start()  #!
        """,
    ),
    "a helper that a test calls": (
        "IL105 shop.prices",
        """
        def unload(name):
            sys.modules.pop(name, None)  #!

        def test_it():
            unload("shop.prices")
            import shop.prices
        """,
    ),
    "a method that a test calls": (
        "IL105 shop",
        """
        class TestIt:
            def unload(self):
                for name in ["shop"]:
                    del sys.modules[name]  #!

            def test_it(self):
                self.unload()
        """,
    ),
    "a helper that nobody in the file calls": (
        "IL105 *",
        """
        def unload(name):
            del sys.modules[name]  #!
        """,
    ),
    "a prefix": (
        "IL105 shop IL105 shop.*",
        """
        def test_it():
            for name in list(sys.modules):
                if name == "shop" or name.startswith("shop."):
                    del sys.modules[name]  #!
        """,
    ),
    "a list rebound in a test": (
        "IL103 sys.path",
        """
        def test_it():
            old = sys.path.copy()
            try:
                sys.path.append("lib")
            finally:
                sys.path = old  #!
        """,
    ),
    "an attribute that stays behind monkeypatch": (
        "IL106 shop.prices",
        """
        def test_it(monkeypatch):
            monkeypatch.delitem(sys.modules, "shop.prices")  #!
            from shop import prices
        """,
    ),
    "an attribute that stays behind finally": (
        "IL106 shop.prices",
        """
        def test_it():
            old = sys.modules.pop("shop.prices")  #!
            try:
                importlib.import_module("shop.prices")
            finally:
                sys.modules["shop.prices"] = old
        """,
    ),
    "attributes of a prefix": (
        "IL106 shop.*",
        """
        @pytest.fixture
        def fresh():
            old = dict(sys.modules)
            for name in list(sys.modules):
                if name.startswith("shop."):
                    del sys.modules[name]  #!
            import shop.prices
            yield
            sys.modules.update(old)
        """,
    ),
    "an import in patch.dict": (
        "IL107 shop.upload",
        """
        def test_it():
            with patch.dict(sys.modules, {"boto": None}):
                import shop.upload  #!
        """,
    ),
    "an import from in patch.dict": (
        "IL107 shop.upload",
        """
        def test_it():
            with mock.patch.dict("sys.modules", {"boto": MagicMock()}):
                from shop.upload import put  #!
                from shop.upload import get
        """,
    ),
    "an import in a decorated test": (
        "IL107 numpy",
        """
        @patch.dict("sys.modules", {"boto": MagicMock()})
        def test_it():
            import numpy  #!
        """,
    ),
    "an import by a function in patch.dict": (
        "IL107 numpy",
        """
        def test_it():
            with patch.dict(sys.modules):
                importlib.import_module("numpy")  #!
        """,
    ),
    "an import below a fixture with patch.dict": (
        "IL107 shop.upload",
        """
        @pytest.fixture
        def boto():
            with patch.dict(sys.modules, {"boto": MagicMock()}):
                yield

        def test_it(boto):
            import shop.upload  #!
        """,
    ),
    "an import below mocker.patch.dict": (
        "IL107 shop.upload",
        """
        def test_it(mocker):
            mocker.patch.dict(sys.modules, {"boto": MagicMock()})
            import shop.upload  #!
        """,
    ),
    "an import of what was removed in patch.dict": (
        "IL107 shop",
        """
        def test_it():
            with patch.dict(sys.modules):
                del sys.modules["shop"]
                import shop  #!
        """,
    ),
}

_RIGHT = {
    "monkeypatch": """
        def test_it(monkeypatch):
            monkeypatch.setitem(sys.modules, "boto", MagicMock())
            monkeypatch.delitem(sys.modules, "shop", raising=True)
            sys.modules["boto"] = MagicMock()
            import shop
        """,
    "monkeypatch for all": """
        def test_it(monkeypatch):
            monkeypatch.setattr(sys, "modules", dict(sys.modules))
            monkeypatch.setattr("sys.path", [])
            sys.modules["boto"] = MagicMock()
            sys.path = ["lib"]
        """,
    "finally": """
        def test_it():
            sys.modules["boto"] = MagicMock()
            try:
                assert shop
            finally:
                del sys.modules["boto"]
        """,
    "finally that puts all back": """
        def test_it():
            old = sys.modules.copy()
            try:
                del sys.modules["shop"]
                sys.modules["boto"] = None
            finally:
                sys.modules.clear()
                sys.modules.update(old)
        """,
    "another dictionary meanwhile": """
        @contextlib.contextmanager
        def saved():
            before = sys.modules
            try:
                sys.modules = sys.modules.copy()
                yield
            finally:
                sys.modules = before

        def test_it():
            with saved():
                del sys.modules["shop"]
                sys.modules["boto"] = MagicMock()
        """,
    "a loop that puts back": """
        def test_it():
            saved = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith("boto")}
            try:
                assert shop
            finally:
                for name, module in saved.items():
                    sys.modules[name] = module
        """,
    "a fixture that yields": """
        @pytest.fixture
        def boto():
            old = sys.modules.get("boto")
            sys.modules["boto"] = MagicMock()
            yield
            if old is None:
                sys.modules.pop("boto", None)
            else:
                sys.modules["boto"] = old
        """,
    "a test with an automatic fixture": """
        @pytest.fixture(autouse=True)
        def clean():
            old = dict(sys.modules)
            yield
            sys.modules.clear()
            sys.modules.update(old)

        def test_it():
            sys.modules.pop("shop")
            import shop
        """,
    "a test with a fixture by its name": """
        @pytest.fixture(name="clean")
        def _clean():
            with patch.dict(sys.modules):
                yield

        def test_it(clean):
            sys.modules["boto"] = MagicMock()
        """,
    "a test with usefixtures": """
        @pytest.fixture
        def clean():
            with patch.dict(sys.modules):
                yield

        @pytest.mark.usefixtures("clean")
        class TestIt:
            def test_it(self):
                del sys.modules["shop"]
        """,
    "addCleanup": """
        class TestIt(unittest.TestCase):
            def test_it(self):
                self.addCleanup(sys.modules.pop, "boto", None)
                sys.modules["boto"] = MagicMock()

            def test_other(self):
                old = sys.modules.pop("shop")
                self.addCleanup(sys.modules.__setitem__, "shop", old)

            def test_third(self):
                old = sys.modules.pop("shop")
                self.addCleanup(sys.modules.update, {"shop": old})
        """,
    "addfinalizer": """
        @pytest.fixture
        def boto(request):
            sys.modules["boto"] = MagicMock()
            request.addfinalizer(lambda: sys.modules.pop("boto"))

        @pytest.fixture
        def other(request):
            def undo():
                del sys.modules["other"]
            sys.modules["other"] = MagicMock()
            request.addfinalizer(undo)
        """,
    "patch.dict around": """
        def test_it():
            with patch.dict(sys.modules, clear=False):
                del sys.modules["shop"]
                sys.modules["boto"] = None

        @patch.dict("sys.modules")
        def test_other():
            del sys.modules["shop"]

        @mock.patch.dict(sys.modules, {"boto": MagicMock()})
        class TestIt:
            def test_it(self):
                sys.modules["boto"].x = 1
                sys.modules["other"] = 1
        """,
    "patchers that are stopped": """
        class TestIt(unittest.TestCase):
            def setUp(self):
                self.patcher = patch.dict(sys.modules, {"boto": MagicMock()})
                self.patcher.start()

            def tearDown(self):
                self.patcher.stop()

        class TestOther(unittest.TestCase):
            def setUp(self):
                patcher = patch.dict(sys.modules, {"boto": MagicMock()})
                patcher.start()
                self.addCleanup(patcher.stop)

        class TestThird(unittest.TestCase):
            def setUp(self):
                patch.dict(sys.modules, {"boto": MagicMock()}).start()
                self.addCleanup(patch.stopall)
        """,
    "exit stacks": """
        def test_it():
            with contextlib.ExitStack() as stack:
                stack.enter_context(patch.dict(sys.modules, {"a": MagicMock()}))
                del sys.modules["shop"]

        def test_other():
            with contextlib.ExitStack() as stack:
                stack.callback(sys.modules.pop, "boto")
                sys.modules["boto"] = 1

        class TestIt(unittest.TestCase):
            def test_it(self):
                self.enterContext(patch.dict(sys.modules))
                del sys.modules["shop"]
        """,
    "tearDown": """
        class TestIt(unittest.TestCase):
            def setUp(self):
                self.old = dict(sys.modules)
                sys.modules["boto"] = MagicMock()

            def tearDown(self):
                sys.modules.clear()
                sys.modules.update(self.old)

            def test_it(self):
                del sys.modules["shop"]

        class TestBelow(TestIt):
            def test_other(self):
                del sys.modules["shop"]
        """,
    "teardown_module": """
        def setup_module():
            sys.modules["boto"] = MagicMock()

        def teardown_module():
            del sys.modules["boto"]
        """,
    "helpers around": """
        def plant(name):
            sys.modules[name] = MagicMock()

        def uproot(name):
            del sys.modules[name]

        @contextlib.contextmanager
        def planted(name):
            plant(name)
            try:
                yield
            finally:
                uproot(name)

        @pytest.fixture
        def boto():
            plant("boto")
            yield
            uproot("boto")

        def test_it():
            with planted("a"):
                assert shop
        """,
    "our own": """
        def test_context():
            with IsolatedImportContext(fresh="shop"):
                del sys.modules["shop"]
                importlib.reload(shop)

        @IsolatedImportContext()
        def test_decorator():
            del sys.modules["shop"]

        @pytest.mark.isolated_imports
        def test_mark():
            del sys.modules["shop"]

        @pytest.mark.isolated_imports(fresh="shop")
        class TestMark:
            def test_it(self):
                importlib.reload(shop)

        def test_fixture(isolated_imports):
            sys.modules["boto"] = MagicMock()

        def test_other_fixture(fresh_import):
            sys.modules["boto"] = MagicMock()
        """,
    "a mark of the file": """
        pytestmark = [pytest.mark.slow, pytest.mark.isolated_imports(unloaded="*")]

        def test_it():
            sys.modules["boto"] = MagicMock()
        """,
    "a process of its own": """
        @pytest.mark.forked
        def test_it():
            sys.modules["boto"] = MagicMock()

        @pytest.mark.subprocess(env={})
        def test_other():
            importlib.reload(shop)
        """,
    "names that say it": """
        from project.testing import keep_sys_modules

        @pytest.mark.usefixtures("rollback_sysmodules")
        def test_it():
            sys.modules.pop("shop")

        def test_other():
            with keep_sys_modules():
                sys.modules.pop("shop")
        """,
    "pytester": """
        def test_it(pytester):
            sys.modules["boto"] = MagicMock()
            sys.path = []
        """,
    "a real module": """
        def load(name, path):
            spec = importlib.util.spec_from_file_location(name, path)
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            spec.loader.exec_module(module)
            return module

        def test_it():
            assert load("tool", "tool.py")
        """,
    "what the test brought itself": """
        def test_it():
            import colour
            assert colour
            del sys.modules["colour"]
        """,
    "what the test wrote itself": """
        def test_it(tmp_path, monkeypatch):
            (tmp_path / "colour.py").write_text("")
            monkeypatch.syspath_prepend(tmp_path)
            sys.modules.pop("colour", None)
            import colour
        """,
    "a reload that is undone": """
        @pytest.fixture
        def debug(monkeypatch):
            importlib.reload(shop)
            yield
            importlib.reload(shop)
        """,
    "a reload whose old class is put back": """
        @pytest.fixture
        def model():
            before = shop.Model
            try:
                importlib.reload(shop)
                yield shop.Model
            finally:
                shop.Model = before
        """,
    "a reload of a copy that leaves": """
        def test_it():
            with patch.dict(sys.modules):
                del sys.modules["shop"]
                importlib.reload(importlib.import_module("shop"))  # import-leak: ok IL107
        """,
    "an attribute that is put back": """
        def test_it(monkeypatch):
            monkeypatch.delitem(sys.modules, "shop.prices")
            monkeypatch.delattr(shop, "prices")
            from shop import prices

        def test_other():
            old = sys.modules.pop("shop.prices")
            try:
                import shop.prices
            finally:
                sys.modules["shop.prices"] = old
                shop.prices = old
        """,
    "a package that leaves too": """
        def test_it(monkeypatch):
            monkeypatch.delitem(sys.modules, "shop.prices")
            monkeypatch.delitem(sys.modules, "shop")
            from shop import prices
        """,
    "an entry without another import": """
        def test_it(monkeypatch):
            monkeypatch.setitem(sys.modules, "shop.prices", MagicMock())
            monkeypatch.delitem(sys.modules, "shop.stock")
            assert shop
        """,
    "imports that load nothing new in patch.dict": """
        def test_it():
            with patch.dict(sys.modules, {"boto": MagicMock(), "boto.s3": MagicMock()}):
                import json
                import pytest
                import shop
                import boto
                from boto import s3
                from boto.s3 import client

        def test_missing():
            with patch.dict(sys.modules, {"boto": None}), pytest.raises(ImportError):
                import boto

        def test_before():
            import shop.upload
            with patch.dict(sys.modules, {"boto": None}):
                import shop.upload
        """,
    "patch.dict of something else": """
        def test_it():
            with patch.dict("os.environ", {"X": "1"}):
                import numpy
        """,
    "accepted": """
        def test_it():
            sys.modules.pop("shop")  # import-leak: ok IL105 the process ends after it
        """,
}


@pytest.mark.parametrize(("expected", "text"), _WRONG.values(), ids=_WRONG)
def test_what_is_not_undone_for_certain_is_found_at_its_line(
    expected: str, text: str, findings: Lint
) -> None:
    body = dedent(text).lstrip("\n")
    found = [one for one in findings(_HEAD + body) if one.severity != "info"]
    assert " ".join(f"{one.rule} {one.name}" for one in found) == expected
    line = next(number for number, part in enumerate(body.split("\n"), _FIRST) if "#!" in part)
    assert {one.line for one in found} == {line}
    assert {one.severity for one in found} == {"error" if "IL103" in expected else "warning"}


@pytest.mark.parametrize("text", _RIGHT.values(), ids=_RIGHT)
def test_what_is_undone_is_not_told(text: str, findings: Lint) -> None:
    assert findings(_HEAD + dedent(text).lstrip("\n")) == []


def test_what_is_undone_only_if_nothing_fails_is_told_for_information(findings: Lint) -> None:
    found = findings(
        "import sys\ndef test_it():\n    sys.modules['a'] = 1\n    assert 1\n    del sys.modules['a']\n"
    )
    assert [(one.rule, one.line, one.severity) for one in found] == [("IL105", 3, "info")]
    assert "is undone in line 5, unless something fails before" in found[0].message


def test_a_lenient_delitem_before_an_import_is_told_for_information(findings: Lint) -> None:
    found = findings(
        "import sys\ndef test_it(monkeypatch):\n"
        "    monkeypatch.delitem(sys.modules, 'shop', raising=False)\n    import shop\n"
    )
    assert [(one.rule, one.name, one.line, one.severity) for one in found] == [("IL108", "shop", 3, "info")]


@pytest.mark.parametrize(
    "body",
    [
        "    monkeypatch.delitem(sys.modules, 'shop')\n    import shop\n",
        "    monkeypatch.delitem(sys.modules, 'shop', raising=False)\n",
        "    monkeypatch.delitem(sys.modules, 'shop', raising=False)\n    import json\n",
    ],
    ids=["strict", "no import", "another import"],
)
def test_another_delitem_is_not_told(body: str, findings: Lint) -> None:
    assert findings(f"import sys\ndef test_it(monkeypatch):\n{body}") == []
