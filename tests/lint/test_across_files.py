"""IL104, and what files know of each other: conftests, helpers, base classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lint.conftest import Lint

_HANDLER = "import os, sys\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), {folder!r}))\nimport handler\n"


@pytest.mark.parametrize(
    "line",
    [
        "sys.path.insert(0, os.path.join(os.path.dirname(__file__), 'src'))",
        "sys.path.append(os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '.', 'src')))",
        "sys.path.insert(0, str(Path(__file__).parent / 'src'))",
        "sys.path[:0] = []; sys.path.insert(0, str(Path(__file__).resolve().parents[0].joinpath('src')))",
        "HERE = Path(__file__).parent; sys.path += [str(HERE / 'src')]",
        "sys.path.extend([f'{Path(__file__).parent}/src'])",
    ],
)
@pytest.mark.parametrize("imports", ["import handler", "from handler import run"])
def test_one_name_in_two_folders_is_told_in_both_files(line: str, imports: str, findings: Lint) -> None:
    text = f"import os, sys\nfrom pathlib import Path\n{line}\n{imports}\n"
    found = findings(a__test_a=text, b__test_b=text, a__src__handler="", b__src__handler="")
    assert [(one.file, one.line, one.rule, one.name, one.severity) for one in found] == [
        ("a/test_a.py", 4, "IL104", "handler", "warning"),
        ("b/test_b.py", 4, "IL104", "handler", "warning"),
    ]
    assert "gets another handler than b/test_b.py means" in found[0].message


def test_relative_imports_are_no_bare_names(findings: Lint) -> None:
    text = "import sys\nsys.path.insert(0, {!r})\nfrom .stubs import x\nfrom . import stubs\n"
    packages = dict.fromkeys(("a____init__", "b____init__", "a__stubs", "b__stubs"), "")
    assert findings(a__test_a=text.format("/la/a"), b__test_b=text.format("/la/b"), **packages) == []


def test_one_file_for_both_is_no_clash(findings: Lint) -> None:
    text = "import sys\nfrom pathlib import Path\nsys.path.insert(0, str(Path(__file__).parents[1] / 'src'))\nimport handler\n"
    assert findings(a__test_a=text, b__test_b=text, src__handler="") == []
    other = text.replace("handler", "json, numpy")
    assert findings(a__test_a=other, b__test_b=other, src__handler="") == []


def test_folders_that_are_not_there_are_compared_by_their_names(findings: Lint) -> None:
    first, second = (
        f"import sys\nsys.path.insert(0, {folder!r})\nimport index\n" for folder in ("/la/a", "/la/b")
    )
    assert [one.rule for one in findings(a__test_a=first, b__test_b=second)] == ["IL104", "IL104"]
    assert findings(a__test_a=first, b__test_b=first) == []


def test_one_name_that_two_files_register_is_told_in_both(findings: Lint) -> None:
    text = (
        "import sys\nfrom importlib.util import module_from_spec, spec_from_file_location\n"
        "spec = spec_from_file_location('_tool', 'tool.py')\ntool = module_from_spec(spec)\n"
        "sys.modules['_tool'] = tool\nspec.loader.exec_module(tool)\n"
    )
    found = findings(a__test_a=text, b__test_b=text, c__test_c=text.replace("_tool", "_c"))
    assert [(one.file, one.line, one.rule, one.name) for one in found] == [
        ("a/test_a.py", 5, "IL104", "_tool"),
        ("b/test_b.py", 5, "IL104", "_tool"),
    ]
    assert "b/test_b.py also registers a module as _tool" in found[0].message


def test_one_name_that_two_files_register_by_the_name_of_the_module_is_told_at_the_calls(
    findings: Lint,
) -> None:
    text = """
    import sys
    from importlib.util import module_from_spec, spec_from_file_location

    def load(name, file):
        spec = spec_from_file_location(name, file)
        module = module_from_spec(spec)
        sys.modules[module.__name__] = module
        sys.modules[spec.name].__spec__.loader.exec_module(module)
        return module

    load("_tool", "tool.py")
    """
    found = findings(a__test_a=text, b__test_b=text, c__test_c=text.replace("_tool", "_c"))
    assert [(one.file, one.line, one.rule, one.name) for one in found] == [
        ("a/test_a.py", 11, "IL104", "_tool"),
        ("b/test_b.py", 11, "IL104", "_tool"),
    ]


def test_a_helper_of_another_file_that_a_body_calls_is_told_at_the_call(findings: Lint) -> None:
    helper = "import sys\ndef stub(name):\n    sys.modules[name] = object()\n"
    found = findings(tests__stubs=helper, tests__test_a="from stubs import stub\nstub('boto')\n")
    assert [(one.file, one.line, one.rule, one.name) for one in found] == [
        ("tests/test_a.py", 2, "IL101", "boto")
    ]
    found = findings(
        tests__stubs=helper,
        tests____init__="",
        tests__test_a="from tests import stubs\nstubs.stub('boto')\n",
        tests__test_b="from .stubs import stub as plant\nplant('b')\n",
    )
    assert [(one.file, one.line, one.name) for one in found] == [
        ("tests/test_a.py", 2, "boto"),
        ("tests/test_b.py", 2, "b"),
    ]


def test_the_body_of_a_helper_counts_if_a_test_file_imports_it(findings: Lint) -> None:
    helper = "import sys\nsys.modules['boto'] = object()\n"
    assert findings(tests__stubs=helper, tests__test_a="x = 1\n") == []
    found = findings(tests__stubs=helper, tests__test_a="import stubs\n")
    assert [(one.file, one.rule) for one in found] == [("tests/stubs.py", "IL101")]
    found = findings(tests____init__=helper, tests__test_a="x = 1\n", tests__stubs="")
    assert [(one.file, one.rule) for one in found] == [("tests/__init__.py", "IL101")]


def test_a_fixture_of_a_conftest_restores(findings: Lint) -> None:
    test = "import sys\ndef test_it({}):\n    sys.modules['a'] = object()\n"
    fixture = (
        "import sys, pytest\n@pytest.fixture{}\ndef clean():\n    old = dict(sys.modules)\n    yield\n"
        "    sys.modules.clear()\n    sys.modules.update(old)\n"
    )
    assert findings(conftest=fixture.format(""), a__test_a=test.format("clean")) == []
    assert [one.rule for one in findings(conftest=fixture.format(""), a__test_a=test.format(""))] == ["IL105"]
    automatic = fixture.format("(autouse=True)")
    assert findings(conftest=automatic, a__test_a=test.format("")) == []
    assert [one.rule for one in findings(conftest="", b__conftest=automatic, a__test_a=test.format(""))] == [
        "IL105"
    ]


def test_a_base_class_of_another_file_restores(findings: Lint) -> None:
    base = (
        "import sys, unittest\nclass Base(unittest.TestCase):\n    def setUp(self):\n        self.old = dict(sys.modules)\n"
        "    def tearDown(self):\n        sys.modules.clear()\n        sys.modules.update(self.old)\n"
    )
    test = "import sys\nfrom base import Base\nclass TestIt(Base):\n    def test_it(self):\n        del sys.modules['x']\n"
    assert findings(tests__base=base, tests__test_a=test) == []


def test_files_that_import_each_other_are_read_once(findings: Lint) -> None:
    text = "import sys\nfrom {} import {}\ndef {}():\n    sys.modules['a'] = {}()\n{}()\n"
    found = findings(
        tests__one=text.format("two", "second", "first", "second", "first"),
        tests__two=text.format("one", "first", "second", "first", "second"),
        tests__test_a="import one, two\none.first()\n",
    )
    assert {one.rule for one in found} == {"IL101"}
