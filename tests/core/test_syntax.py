"""Syntax trees, read while anything may stand in the place of ``__import__``."""

from __future__ import annotations

import ast
import builtins
from typing import Any

import pytest

from pytest_import_isolation.machinery.syntax import parsed, walk

_TEXT = """
import sys

class C:
    def method(self, *values, key=lambda each: each):
        return [value for value in values if value in sys.modules]

sys.modules["a"], *rest = (f"{C}", {**{}}), 1
"""


def test_all_nodes_are_there_in_the_order_of_the_standard_library() -> None:
    tree = parsed(_TEXT)
    assert tree is not None
    assert [*walk(tree)] == [*ast.walk(tree)]


def test_nothing_is_imported_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def importing(name: str, *_: Any) -> None:
        asked.append(name)

    tree = parsed(_TEXT)
    assert tree is not None
    with monkeypatch.context() as patch:
        patch.setattr(builtins, "__import__", importing)
        number = len([*walk(tree)])
    assert number > 40
    assert asked == []
