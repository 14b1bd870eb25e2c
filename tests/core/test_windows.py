"""What the fixtures need of windows beside opening and closing: adopting, and closing forgotten ones."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from pytest_import_isolation import IsolatedImportContext
from pytest_import_isolation.window import adopting, close_with_inner, innermost_window

Tree = Callable[[dict[str, str]], Path]


def test_the_innermost_window_is_the_one_opened_last() -> None:
    outer = innermost_window()
    with IsolatedImportContext() as first:
        with IsolatedImportContext() as second:
            assert innermost_window() is second.window
        assert innermost_window() is first.window
    assert innermost_window() is outer


def test_forgotten_inner_windows_are_closed_first_and_named(tree: Tree, picture: Any) -> None:
    tree({"win_inner.py": "", "win_outer.py": ""})
    before = picture()
    outer, inner = IsolatedImportContext().start(), IsolatedImportContext()
    window = outer.window
    importlib.import_module("win_outer")
    inner.start()
    importlib.import_module("win_inner")
    forgotten_window = inner.window
    changes, forgotten = close_with_inner(window)
    assert forgotten == [forgotten_window]
    assert list(changes.forgotten) == ["win_outer"]
    assert before.differences() == []


def test_what_is_adopted_stays_in_all_windows_and_the_rest_goes(tree: Tree) -> None:
    tree({"win_pkg/__init__.py": "", "win_pkg/wide.py": "", "win_narrow.py": ""})
    outer = IsolatedImportContext().start()
    inner = IsolatedImportContext().start()
    with adopting(outer.window) as refused:
        wide = importlib.import_module("win_pkg.wide")
        sys.modules["win_fake"] = ModuleType("win_fake")
        sys.path.append("/win")
    importlib.import_module("win_narrow")
    inner.stop()
    assert sys.modules["win_pkg.wide"] is wide
    outer.stop()
    try:
        assert sys.modules["win_pkg"].wide is wide
        assert sys.path[-1] == "/win"
        assert "win_narrow" not in sys.modules
        assert refused in ({}, {"win_fake": "it is a fake"})
    finally:
        sys.path.remove("/win")
        sys.modules.pop("win_fake", None)


def test_fresh_copies_and_tainted_modules_are_not_adopted(tree: Tree, picture: Any) -> None:
    tree({"win_old.py": "", "win_tainted.py": "try:\n    import win_none\nexcept ImportError: pass"})
    old = importlib.import_module("win_old")
    before = picture()
    context = IsolatedImportContext(fresh="win_old", missing="win_none").start()
    importlib.import_module("win_old")
    with adopting(context.window):
        importlib.import_module("win_tainted")
    assert context.window.adopt(context.window.loaded(), ()) == {
        "win_tainted": "it was first imported while win_none was faked or blocked"
    }
    context.stop()
    assert sys.modules["win_old"] is old
    assert before.differences() == []
