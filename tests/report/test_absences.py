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

def assert_absent(name):
    assert name not in sys.modules

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
    ],
)
def test_every_form_of_the_assertion(names: Callable[..., list[str]], body: str) -> None:
    assert names(body) == ["heavy_one"]


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
    ],
)
def test_what_is_no_such_assertion(names: Callable[..., list[str]], body: str) -> None:
    assert names(body) == []
