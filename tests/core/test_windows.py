"""What the fixtures need of windows beside opening and closing: adopting, and closing forgotten ones."""

from __future__ import annotations

import builtins
import gc
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, cast
from unittest import mock

import pytest

from pytest_import_isolation import IsolatedImportContext
from pytest_import_isolation.window.adoption import adopt, adopting
from pytest_import_isolation.window.closing import close_window, close_with_inner
from pytest_import_isolation.window.open_windows import innermost_window
from pytest_import_isolation.window.opening import reopen_window
from pytest_import_isolation.window.window import Window

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
    assert adopt(context.window, context.window.around.added(), ()) == {
        "win_tainted": "it was first imported while win_none was faked or blocked"
    }
    context.stop()
    assert sys.modules["win_old"] is old
    assert before.differences() == []


def _closed_window() -> Window:
    context = IsolatedImportContext()
    with context:
        window = context.window
    return window


@pytest.mark.parametrize(
    "change",
    [
        lambda package: sys.modules.update(win_new=ModuleType("win_new")),
        lambda package: sys.modules.pop("win_pkg.sub"),
        lambda package: sys.modules.update({"win_pkg.sub": mock.ANY}),
        lambda package: sys.modules.update({"win_pkg.sub": cast("Any", None)}),
        lambda package: setattr(package, "sub", mock.ANY),
        lambda package: setattr(package, "sub", ["cannot be hashed"]),
        lambda package: delattr(package, "sub"),
        lambda package: sys.path.append("/win"),
        lambda package: sys.meta_path.reverse(),
        lambda package: sys.path_importer_cache.update(win=None),
        lambda package: setattr(builtins, "__import__", lambda *args, **more: None),
    ],
)
def test_a_window_that_saw_nothing_can_be_opened_again_and_restores_as_exactly(
    tree: Tree, picture: Any, change: Callable[[ModuleType], object]
) -> None:
    tree({"win_pkg/__init__.py": "", "win_pkg/sub.py": ""})
    with IsolatedImportContext():
        package = importlib.import_module("win_pkg.sub") and sys.modules["win_pkg"]
        gc.collect()  # a module of an earlier test that dies later is a change: then another window is opened
        before = picture()
        window = _closed_window()
        for _ in range(2):
            assert reopen_window(window, None)
            assert innermost_window() is window
            close_window(window)
        assert reopen_window(window, None)
        change(package)
        close_window(window)
        assert before.differences() == []


@pytest.mark.parametrize(
    "between",
    [
        lambda: sys.modules.update(win_new=ModuleType("win_new")),
        lambda: sys.path.append("/win"),
        lambda: sys.path_importer_cache.update(win=None),
        lambda: setattr(builtins, "__import__", lambda *args, **more: None),
    ],
)
def test_a_window_is_not_opened_again_if_something_has_changed_since(between: Callable[[], object]) -> None:
    with IsolatedImportContext():
        outer = innermost_window()
        window = _closed_window()
        between()
        assert not reopen_window(window, None)
        assert innermost_window() is outer


@pytest.mark.parametrize(
    "inside",
    [
        lambda context: importlib.import_module("win_plain"),
        lambda context: context.block("win_plain"),
        lambda context: context.fake({"win_plain": {}}),
        lambda context: context.unload("unittest.mock"),
        lambda context: context.add_path("/win"),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest_import_isolation.ImportIsolationWarning")
def test_a_window_in_which_something_happened_is_not_opened_again(
    tree: Tree, inside: Callable[[IsolatedImportContext], object]
) -> None:
    tree({"win_plain.py": ""})
    with IsolatedImportContext() as context:
        window = context.window
        inside(context)
    assert not reopen_window(window, None)
