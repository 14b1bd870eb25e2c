"""Which modules a failing assertion wants absent, whatever its form."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent, indent
from types import ModuleType
from typing import Any

import pytest

from pytest_import_isolation.leaks.absences import absent_names

_HEAD = """\
import fnmatch, re, sys, unittest
from sys import modules as loaded_now
import pytest

HEAVY = {"heavy_one", "heavy_two"}
EXPRESSION = re.compile(r"^heavy_one(\\.|$)")
CASE = unittest.TestCase()

class Settings:
    HEAVY = ["heavy_one"]

class Odd:
    def __getattr__(self, name):
        raise RuntimeError("nobody may ask")
    __eq__ = __bool__ = __hash__ = __iter__ = None

def is_heavy(name):
    return name.split(".")[0] in {"heavy_one", "other"}

def everything():
    return list(sys.modules)

def everything_sorted():
    return sorted(everything())

def number():
    return 3

def assert_absent(name):
    assert name not in sys.modules

class Guard:
    names = ("heavy_one", "heavy_two")
    def found(self): return [name for name in self.names if name in sys.modules]
    def again(self): return self.found()
    @property
    def bad(self): return [name for name in sys.modules if name in self.names]
    @staticmethod
    def loaded(): return "heavy_one" in sys.modules
    @classmethod
    def any(cls): return any(name in sys.modules for name in cls.names)
    def __call__(self): return sys.modules.keys() & self.names

guard = Guard()

def assert_all(condition, text):
    assert condition, text
"""


@pytest.fixture(autouse=True)
def _loaded() -> Iterator[None]:
    for name in ("heavy_one", "heavy_one.part", "heavy_other"):
        sys.modules[name] = ModuleType(name)
    yield
    for name in ("heavy_one", "heavy_one.part", "heavy_other"):
        del sys.modules[name]


@pytest.fixture
def names(tmp_path: Path) -> Callable[..., list[str]]:
    """Run the body of a test, and return the names that its failure tells."""

    def run(body: str, *arguments: Any) -> list[str]:
        file = tmp_path / "heavy_case.py"
        parameters = ", ".join(f"given{number}" for number in range(len(arguments)))
        file.write_text(f"{_HEAD}\n\ndef case({parameters}):\n{indent(dedent(body), '    ')}\n")
        spec = importlib.util.spec_from_file_location("heavy_case", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        with pytest.raises(BaseException) as caught:  # noqa: PT011 - whatever it is
            module.case(*arguments)
        return absent_names(caught.value, lambda name: name == str(file))

    return run


@pytest.mark.parametrize(
    "body",
    [
        'assert "heavy_one" not in sys.modules',
        'assert "heavy_one" not in loaded_now, "why"',
        'assert not ("heavy_one" in sys.modules)',
        'assert "heavy_one" not in list(sys.modules) and True',
        'assert sys.modules.get("heavy_one") is None',
        'assert not sys.modules.get("heavy_one")',
        'assert sys.modules.get("heavy_one") == None',
        "assert not HEAVY & set(sys.modules)",
        "assert HEAVY & set(sys.modules) == set()",
        "assert len(HEAVY & sys.modules.keys()) == 0",
        "assert len(HEAVY & sys.modules.keys()) < 1",
        "assert HEAVY.isdisjoint(sys.modules)",
        "assert sys.modules.keys().isdisjoint(HEAVY)",
        "assert all(name not in sys.modules for name in HEAVY)",
        "assert not any(name in sys.modules for name in HEAVY)",
        'assert not any(name.startswith("heavy_one") for name in sys.modules)',
        'assert not any(name.startswith("heavy_one.") or name == "heavy_one" for name in sys.modules)',
        'assert not [n for n in sys.modules if n.partition(".")[0] in Settings.HEAVY]',
        "assert not any(map(is_heavy, sys.modules))",
        "assert not any(is_heavy(name) for name in sys.modules)",
        "assert not list(filter(EXPRESSION.match, sys.modules))",
        r"""assert not any(re.match(r"heavy_one\b", name) for name in sys.modules)""",
        'assert "heavy_one" not in everything()',
        'assert_absent("heavy_one")',
        'assert_all("heavy_one" not in sys.modules, "too early")',
        'CASE.assertNotIn("heavy_one", sys.modules)',
        'CASE.assertIsNone(sys.modules.get("heavy_one"))',
        'CASE.assertFalse("heavy_one" in sys.modules)',
        'CASE.assertTrue("heavy_one" not in sys.modules)',
        "CASE.assertEqual(HEAVY & set(sys.modules), set())",
        'if "heavy_one" in sys.modules:\n    pytest.fail("too early")',
        'if "heavy_one" in sys.modules:\n    raise RuntimeError("too early")',
        'with pytest.raises(KeyError):\n    sys.modules["heavy_one"]',
        'for name in ("heavy_two", "heavy_one"):\n    assert name not in sys.modules',
        "found = HEAVY & sys.modules.keys()\nassert not found, f'loaded: {found}'",
        "found = [n for n in sys.modules if n in HEAVY]\nassert found == []",
        "number = len([n for n in sys.modules if n in HEAVY])\nassert number == 0",
        'present = "heavy_one" in sys.modules\nassert not present',
        'for name in sys.modules:\n    assert not name.startswith("heavy_one")',
        "odd = Odd()\nassert odd is None or not HEAVY & set(sys.modules)",
        'from sys import modules\nassert "heavy_one" not in modules',
        'assert ("heavy_one" in sys.modules) is False',
        'assert ("heavy_one" in sys.modules) is not True',
        "now = set(sys.modules)\nfound = now & HEAVY\nnumber = len(found)\nassert number == 0",
        'assert ("heavy_one" not in sys.modules) is True',
        'assert sys.modules.get("heavy_one", Odd) is Odd',
        'assert "heavy_one" not in getattr(sys, "modules")',
        'assert "heavy_one" not in vars(sys)["modules"]',
        'assert "heavy_one" not in sys.__dict__["modules"]',
        'assert "heavy_one" not in everything_sorted()',
        'assert not [n for n in sys.modules if n.startswith(("heavy_one", "nothing"))]',
        'assert f"heavy_{given0}" not in sys.modules',
        'assert "heavy_" + given0 not in sys.modules',
        'with CASE.assertRaises(KeyError): sys.modules["heavy_one"]',
        'CASE.assertRaises(KeyError, sys.modules.__getitem__, "heavy_one")',
        'try:\n    sys.modules["heavy_one"]\nexcept KeyError:\n    pass\nelse:\n    pytest.fail("loaded")',
        "bad = []\nfor n in HEAVY:\n    if n in sys.modules:\n        bad.append(n)\nassert not bad",
        'is_there = False\nif "heavy_one" in sys.modules:\n    is_there = True\nassert not is_there',
        'if "heavy_one" in sys.modules:\n    assert False, "too early"',
        'match sys.modules.get("heavy_one"):\n    case None: pass\n    case _: raise RuntimeError("loaded")',
        'if "heavy_one" not in sys.modules:\n    return\npytest.fail("loaded")',
        'if "heavy_one" in sys.modules:\n    print(1)\nelse:\n    return\nassert False, "loaded"',
        'try:\n    sys.modules["heavy_one"]\nexcept KeyError:\n    return\nassert False',
        'try:\n    sys.modules["heavy_one"]\nexcept KeyError:\n    return\nraise AssertionError("loaded")',
        "for n in HEAVY:\n    if n not in sys.modules:\n        continue\n    raise AssertionError(n)",
        'match "heavy_one" in sys.modules:\n    case False: return\npytest.fail("loaded")',
        "assert not Guard().found()",
        "assert Guard().again() == []",
        "assert not guard.found()",
        "assert guard.bad == []",
        "assert not Guard().bad",
        "assert not Guard.loaded()",
        "assert not Guard.any()",
        "assert not guard()",
        "assert not Guard()()",
        "found = guard.found()\nassert not found",
        'CASE.assertRaises(KeyError, lambda: sys.modules["heavy_one"])',
        'pytest.raises(KeyError, lambda: sys.modules["heavy_one"])',
        # It was to come, and had come before.
        'before = set(sys.modules)\nassert "heavy_one" in set(sys.modules) - before',
        'before = set(sys.modules)\nnew = set(sys.modules) - before\nassert "heavy_one" in new',
        'before = set(sys.modules)\nassert "heavy_one" in set(sys.modules).difference(before)',
        'before = [*sys.modules]\nnew = [n for n in sys.modules if n not in before]\nassert new == ["heavy_one"]',
        'before = set(sys.modules)\nassert {"heavy_one"} <= sys.modules.keys() - before',
        'before = set(sys.modules)\nCASE.assertIn("heavy_one", set(sys.modules) - before)',
        # What gave the name is used up.
        'names = ["heavy_one"]\nassert names.pop() not in sys.modules, "\'heavy_one\' not in {}"',
        'names = ["heavy_one"]\nCASE.assertNotIn(names.pop(), sys.modules)',
    ],
)
def test_every_form_of_the_assertion(names: Callable[..., list[str]], body: str) -> None:
    assert names(body, *["one"] * ("given0" in body)) == ["heavy_one"]


@pytest.mark.parametrize(
    "body",
    [
        'assert not hasattr(given0, "part")',
        'assert hasattr(given0, "part") is False',
        'assert getattr(given0, "part", None) is None',
        'assert not getattr(given0, "part", None)',
        'assert "part" not in vars(given0)',
        'assert "part" not in given0.__dict__',
        'assert "part" not in dir(given0)',
        'is_bound = hasattr(given0, "part")\nassert not is_bound',
        'CASE.assertFalse(hasattr(given0, "part"))',
        "with pytest.raises(AttributeError):\n    given0.part",
        'if hasattr(given0, "part"):\n    pytest.fail("too early")',
    ],
)
def test_a_submodule_that_is_looked_for_as_an_attribute_of_its_package(
    names: Callable[..., list[str]], body: str
) -> None:
    package: Any = sys.modules["heavy_one"]
    package.part = sys.modules["heavy_one.part"]
    assert names(body, package) == ["heavy_one.part"]
    if "raises" not in body:
        assert names(body, type("NoModule", (), {"part": 1, "__name__": "heavy_one"})) == []


def test_values_of_fixtures_and_parameters(names: Callable[..., list[str]]) -> None:
    assert names("assert given0 not in sys.modules", "heavy_one.part") == ["heavy_one.part"]
    assert names("assert not fnmatch.filter(sys.modules, 'heavy_o*')") == ["heavy_one", "heavy_other"]


@pytest.mark.parametrize(
    "body",
    [
        'assert "heavy_two" in sys.modules',
        'assert {"heavy_one", "heavy_two"} <= set(sys.modules)',
        'assert {"heavy_one", "heavy_two"}.issubset(sys.modules)',
        'assert all(name in sys.modules for name in ("heavy_one", "heavy_two"))',
        'assert sys.modules.get("heavy_two") is not None and "heavy_one"',
        'CASE.assertIn("heavy_two", {"heavy_one": sys.modules})',
        'assert "heavy_one" != "heavy_one"',
        'sys.modules["heavy_two"]; "heavy_one"',
        'sys.modules.get("heavy_one").nothing',
        "odd = Odd(); sys.modules; assert odd.x",
        # What is loaded is another one, or holds something else.
        'assert sys.modules["heavy_one"] is Odd',
        'assert sys.modules.get("heavy_one") is Odd',
        'assert sys.modules["heavy_one"] is not sys.modules["heavy_one"]',
        'assert sys.modules["heavy_one"].__name__ == "other"',
        'module = sys.modules["heavy_one"]\nassert module.__name__ == "other"',
        'assert ("heavy_one" in sys.modules) is not False and number() == 4',
        'assert ("heavy_one" not in sys.modules) == False and number() == 4',
        # The table is only written to, and something else is checked.
        'sys.modules["heavy_one"] = sys.modules.pop("heavy_one")\nassert number() == 4',
        "with pytest.MonkeyPatch.context() as patch:\n"
        '    patch.setitem(sys.modules, "heavy_one", None)\n    assert not number()',
        "with pytest.MonkeyPatch.context() as patch:\n"
        '    patch.setitem(sys.modules, "heavy_one", None)\n'
        "    with pytest.raises(ValueError):\n        number()",
        'list(sys.modules)\npytest.fail("heavy_one")',
        'list(sys.modules)\ntext = "heavy_one"\nassert "heavy_one" not in text',
        'before = set(sys.modules)\nassert "heavy_two" in set(sys.modules) - before',
        'before = {*sys.modules} - {"heavy_one"}\nassert {"heavy_one", "heavy_two"} <= {*sys.modules} - before',
        # What is missing led to the failure.
        "for n in sorted(HEAVY):\n    if n in sys.modules:\n        continue\n    raise AssertionError(n)",
        "for n in sorted(HEAVY):\n    if n not in sys.modules:\n        pytest.fail(n)",
        'if {"heavy_one", "heavy_two"}.issubset(sys.modules):\n    return\npytest.fail("missing")',
        # An attribute that is no submodule, or is wanted.
        "import os\nassert not hasattr(os, 'getcwd')",
        "import os\nassert hasattr(os, 'heavy_one')",
    ],
)
def test_what_is_no_such_assertion(names: Callable[..., list[str]], body: str) -> None:
    assert names(body) == []
