"""Whatever a file holds, linting it ends in findings or in one message."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_import_isolation.lint.linter import Result, lint

_WORDS = """
import sys|from sys import modules|import importlib|from unittest.mock import patch, Mock|import shop.prices as p
sys.modules["a"] = Mock()|del sys.modules["a"]|sys.modules.pop(x, None)|sys.modules.update({"a": 1, **b})|sys.path = []
importlib.reload(shop)|sys.modules[x][y] = z|x = y = sys.modules|sys.modules|= {"a": 1}|x.y = 3|sys.modules, x = y, z
x = [m for m in sys.modules if m.startswith("a")]|sys.modules[f"{x}.{y!r:>{z}}"] = None|(lambda: sys.modules.clear())()
def f(x, *y, z=sys.modules.clear(), **w):|def test_it(self, monkeypatch):|class A(B, metaclass=C):|async def f():
if __name__ == "__main__":|for x, (y, *z) in sys.modules.items():|while x:|try:|finally:|except* E:|except E as x:|else:
with patch.dict(sys.modules) as x, y:|async with x:|match x:|case {"a": y, **z}:|yield|yield from x|await x|return f()
self.addCleanup(sys.modules.pop, "a")|@patch.dict("sys.modules")|@pytest.fixture(autouse=True)|f(*x, **y)|f()|x := sys.modules
global sys|nonlocal x|raise|pass|x: int = sys.modules|x: int|import a.b.c|from . import x|from .. import *|A().f()|A.f
sys.modules.update(dict.fromkeys(x, y))|monkeypatch.setattr("sys.modules", {})|monkeypatch.delitem(sys.modules, x, False)
"a%s" % x|sys.modules["a" * 3]|sys.modules[1:2]|sys.modules[()] = ()|[*x][0]|{**sys.modules}|x if y else z|"{}{}".format(x)
"""
_STATEMENTS = [part for line in _WORDS.strip().splitlines() for part in line.split("|")]
_LINES = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from(_STATEMENTS)).map(lambda line: "    " * line[0] + line[1])
)


def _lint(folder: Path, data: bytes, name: str = "test_it.py") -> Result:
    file = folder / name
    file.write_bytes(data)
    return lint([str(file)], str(folder))


@settings(deadline=None)
@given(lines=_LINES)
@example(lines=["import sys", "def f(x=sys.modules.clear()): f()", "f()"])
def test_statements_in_any_order_are_linted(
    lines: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    result = _lint(tmp_path_factory.mktemp("any"), "\n".join(lines).encode())
    assert len(result.problems) <= 1
    assert not (result.problems and result.findings)


@settings(deadline=None)
@given(statements=st.lists(st.sampled_from(_STATEMENTS)))
def test_each_statement_in_a_function_is_linted(
    statements: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    body = "".join(f"    {one} pass\n" if one.endswith(":") else f"    {one}\n" for one in statements)
    result = _lint(tmp_path_factory.mktemp("any"), f"async def test_it(x):\n{body}    sys.modules\n".encode())
    assert len(result.problems) <= 1


@settings(deadline=None)
@given(data=st.binary() | st.text().map(lambda text: f"sys.modules {text}".encode("utf-8", "surrogatepass")))
def test_bytes_of_any_kind_are_linted(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert _lint(tmp_path_factory.mktemp("any"), data).findings == ()


_ODD = {
    "a syntax error": (b"import sys\nsys.modules[ = 1\n", 2),
    "Python 2": (b"import sys\nprint 'x'\nsys.modules['a'] = 1\n", 2),
    "a null byte": (b"sys.modules\x00", 1),
    "another encoding": ("# coding: latin-1\nimport sys\nsys.modules['\xe9'] = 1\n".encode("latin-1"), 0),
    "an unknown encoding": (b"# coding: nothing\nsys.modules\n", 1),
    "no encoding": (b"sys.modules['\xff'] = 1\n", 1),
    "deep brackets": (b"sys.modules[" + b"(" * 2000 + b")" * 2000 + b"]", 1),
    "deep operators": (b"import sys\nx = sys.modules" + b"[0]" * 20000, 1),
    "a byte order mark": (b"\xef\xbb\xbfimport sys\r\nsys.modules['a'] = 1\r\n", 0),
    "old line ends": (b"import sys\rsys.modules['a'] = 1\r", 0),
    "a function that calls itself": (b"import sys\ndef f(x):\n    f(x)\n    sys.modules['a'] = 1\nf(1)\n", 0),
    "a class above itself": (
        b"import sys\nclass A(A):\n    def test_it(self):\n        del sys.modules['a']\n",
        0,
    ),
    "nothing": (b"", -1),
}


@pytest.mark.parametrize(("data", "line"), _ODD.values(), ids=_ODD)
def test_a_file_that_cannot_be_linted_is_one_problem_at_its_line(
    data: bytes, line: int, tmp_path: Path
) -> None:
    result = _lint(tmp_path, data)
    assert [problem.line for problem in result.problems] == ([line] if line > 0 else [])
    assert len(result.findings) == int(line == 0)


def test_what_python_warns_of_in_a_text_is_not_told(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    assert len(_lint(tmp_path, b"import sys\nx = '\\d' is 3\nsys.modules['a'] = 1\n").findings) == 1
    assert list(recwarn) == []


def test_newer_syntax_is_read_where_python_has_it(tmp_path: Path) -> None:
    text = b"import sys\ntype X = int\ndef f[T](x: T):\n    sys.modules['a'] = 1\nf(1)\n"
    assert len(_lint(tmp_path, text).findings) == int(sys.version_info >= (3, 12))
