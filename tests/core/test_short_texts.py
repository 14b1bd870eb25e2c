"""What is left out of a source before it is parsed, and that nothing that counts is lost by that."""

from __future__ import annotations

import ast
import asyncio
import email
import inspect
import unittest
from pathlib import Path
from textwrap import dedent

import _pytest
import pytest

import pytest_import_isolation
from pytest_import_isolation.cycles.short_texts import ShortText
from pytest_import_isolation.cycles.source_imports import Reading, read_source


def _told(reading: Reading) -> object:
    return [vars(scope) for scope in reading.scopes], reading.bound


def _read_whole(text: str) -> Reading:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ShortText, "_shorten", lambda self, first, indent: first)
        return read_source(text, "p.q")


def _short(source: str) -> ShortText:
    return ShortText(dedent(source).split("\n"))


@pytest.mark.parametrize(
    ("source", "short"),
    [
        ("def f(x: int) -> int:\n    return g(x)\ny = 1", "\npass\ny = 1"),
        ("def f(\n    x,\n) -> list[\n    int\n]:\n    return x", "\n\n\n\n\npass"),
        ("def f(x=None, y=1):\n    a\n\n    b\n", "\n\n\npass\n"),
        ("class A:\n\t# b\n\tasync def f(self):\n\t\tawait g", "class A:\n\t# b\n\n\tpass"),
        ("def f():\n    def g():\n        pass\n    return g", "\n\n\npass"),
        ("def f():\n    def g():\n        pass\n    import b", "def f():\n\n    pass\n    import b"),
        ("def load():\n    return payload", "\npass"),
        # What is read when the definition is executed stays.
        ("def f(x=y):\n    return x", "def f(x=y):\n 0"),
        ("def f(x=None or y):\n    return x", "def f(x=None or y):\n 0"),
        ("def f(\n    x='p.b',\n):\n    return x", "def f(\n    x='p.b',\n):\n 0"),
        ("@a\ndef f():\n    1\n# end\n\n    2\n    # 3\nx", "@a\ndef f():\n\n\n\n 0\n    # 3\nx"),
        ("@a\n# b\ndef f():\n    1", "@a\n# b\ndef f():\n 0"),
        ("def f[T: (A, B)](x: T):\n    return x", "def f[T: (A, B)](x: T):\n 0"),
        ("x = 1\ndef f(\n    x: int\n):\n    return x", "x = 1\ndef f():\n\n\n 0"),
    ],
)
def test_functions_are_left_out_and_lines_stay(source: str, short: str) -> None:
    assert _short(source).text == short


@pytest.mark.parametrize(
    "source",
    [
        "def f(): pass",
        "def f(): return [\n    1]",
        "def f():\n    import b",
        "def f():\n    global x\n    x = 1",
        "def f():\n    return globals()",
        "def f():\n    return import_module('b')",
        "def f():\n",
        "def f(x,\ny):\n    pass",
        "def f():\n    x = '''",
        'text = """\ndef f():\n    pass\n"""',
    ],
)
def test_what_is_left_as_it_is(source: str) -> None:
    assert _short(source).text == source


@pytest.mark.parametrize(
    "source",
    [
        # A definition that is a part of a string,
        "x = '''\ndef f():\n    pass\n''' + a\ny = b",
        "class A:\n    '''\ndef f():\n    pass\n    '''\n    def g(self):\n        '''Text'''\n        h()\nk()",
        "x = f'''\ndef f():\n    {load}\n'''",
        "x = '''\ndef f():\n    1''' + load() + '''2\n'''",
        "x = 'a\\\ndef f():\\\n    b'\nc",
        # a body that goes on where it seems to end,
        "def f():\n    x = [\n1, g]\n    h()\nk()",
        "def f():\n    x = '''\nimport a\n'''\n    h()",
        "def f():\n    x = 1 + \\\ny\nz",
        "def f():\n    a\n# between\n    b\n\n\nc",
        "def f():\n    # import\n    a",
        # headers,
        "def f(a=[b],  # see:\n      c=d):\n    return e",
        "def f(a: {1:\n      2}):\n    return e",
        "def f(a=lambda:\n      b):\n    return e",
        "def f(a: '#'):\n    return e",
        "def f(\n    a='p.b',\n    b=None,\n    *,\n    c=g,\n) -> (\n    h\n):\n    return e",
        "def f(): return a\nx = 1\nclass B:\n    import c",
        "def f(): pass\n\n    \ndef g():\n    h",
        "def  f (x):\n    return g",
        "def f[A, B\n](x):\n    return g",
        "@a(\n    b)\n@property\ndef f():\n    c",
        "@a\n\ndef f():\n    c\nd",
        "class A:\n    def __init__(self):\n        b\n    def __getattr__(self, x):\n        c\ndef __getattr__(x):\n    d",
        "class A:\n    pass\n\n    def f(self):\n        pass\npass",
        # what nobody reads,
        "if TYPE_CHECKING:\n    def f():\n        '''Text'''\n    class A:\n        def g(self):\n            '''Text'''",
        "def f(): g('''\n''')\nif __name__ == '__main__':\n    def h():\n        '''Text'''\n    h()",
        "def f(x,\ny):\n    def g():\n        '''Text'''\n    g()",
        # names and strings in functions,
        "class A:\n    def __init__(self):\n        self.b\n    def c(self):\n        load('p.d', f'p.e{1}', \"p:f\", 'g h')",
        "def f(x: 'p.a'):\n    # 'p.b'\n    load('p.c')",
        "def f():\n    @a('p.b')\n    def load():\n        pass",
        "def f():\n    x = 1\n    def g():\n        nonlocal x\n        x = loads('p.b')",
        # and what no editor shows.
        "import a\n\x0c\ndef f():\n    b\n\x0c\ndef g():\n    import c",
    ],
)
def test_the_reading_is_that_of_the_whole(source: str) -> None:
    assert _told(read_source(source, "p.q")) == _told(_read_whole(source))


@pytest.mark.parametrize("source", ["a b", "def f():\n    g\nx = (\n"])
def test_a_source_that_cannot_be_parsed_imports_nothing(source: str) -> None:
    assert read_source(source, "p.q") == Reading([], None)


def test_a_mistake_in_a_body_is_left_to_the_import() -> None:
    body, _ = read_source("def f():\n    a b\nimport c", "p.q").scopes
    assert [statement.module for statement in body.imports] == ["c"]


@pytest.mark.parametrize("package", [asyncio, email, unittest, _pytest, pytest_import_isolation])
def test_the_reading_of_real_modules_is_that_of_the_whole(package: object) -> None:
    files = sorted(Path(inspect.getfile(package)).parent.rglob("*.py"))  # type: ignore[arg-type]
    texts = [file.read_text("utf-8") for file in files]
    for file, text in zip(files, texts, strict=True):
        assert _told(read_source(text, "p.q")) == _told(_read_whole(text)), file
    shorter = sum(len(ShortText(text.split("\n")).text) for text in texts)
    assert shorter < 0.75 * sum(map(len, texts))


def test_what_was_left_out_of_a_string_is_read_after_all(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    parse = ast.parse

    def note(text: str) -> ast.Module:
        parsed.append(text)
        return parse(text)

    monkeypatch.setattr(ast, "parse", note)
    source = "x = f'''\ndef f():\n    {load}\n'''"
    read_source(source, "p.q")
    assert parsed == [_short(source).text, source]
