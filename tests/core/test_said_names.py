"""Where the strings of a text say the name of a module."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_import_isolation.leaks import said_names
from pytest_import_isolation.leaks.said_names import SaidNames
from pytest_import_isolation.machinery.syntax import parsed, walk

_PARTS = st.sampled_from(("app", "db", "app_db", "", " ", "x y", "1"))
_NAMES = st.lists(_PARTS, min_size=1, max_size=4).map(".".join)


@given(st.lists(_NAMES, max_size=6), st.lists(st.sampled_from(("app", "db", "1")), min_size=1, max_size=3))
def test_all_lines_are_found_that_a_look_at_each_string_finds(said: list[str], parts: list[str]) -> None:
    text, name = "\n".join(map(repr, said)), ".".join(parts)
    tree = parsed(text)
    assert tree is not None
    expected = [
        node.lineno
        for node in walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if f"{node.value}.".startswith(f"{name}.")
    ]
    assert [*SaidNames().lines("test_a.py", text, name)] == expected


def test_a_key_is_no_name_that_somebody_imports() -> None:
    text = 'sys.modules["app.db"] = 1\ndel sys.modules["app"]\n\npatch(x["a"]["app.db"], "app.db.X")\n'
    assert [[*SaidNames().lines("a.py", text, name)] for name in ("app", "app.db", "a")] == [[4], [4], []]


def test_a_text_is_read_once_as_long_as_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def read_text(text: str) -> ast.Module | None:
        read.append(text)
        return parsed(text)

    monkeypatch.setattr(said_names, "parsed", read_text)
    said, text = SaidNames(), "\n'app.db'\nimport other"
    assert [[*said.lines("a.py", text, name)] for name in ("app", "app.db", "other", "absent")] == [
        *([2], [2], [], [])
    ]
    assert read == [text]
    assert [*said.lines("a.py", f"\n{text}", "app")] == [3]
