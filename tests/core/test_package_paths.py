"""Lists of packages, without pytest: what a context puts back in them."""

from __future__ import annotations

import ast
import gc
import importlib
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_import_isolation import IsolatedImportContext
from pytest_import_isolation.contents.ledger import CONTENTS
from pytest_import_isolation.contents.path_changes import (
    aliases_in,
    changed_package,
    changes_own_path,
    packages_changed,
)


@pytest.fixture
def pathed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a package that was loaded before any context.

    Tests call it by its name: who else could have written to it does not matter then.
    """
    tmp_path.joinpath("pathed").mkdir()
    tmp_path.joinpath("pathed/__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("pathed")
    sys.modules.pop("pathed", None)


def test_a_context_puts_the_items_back_in_place(pathed: Any, with_and_without_versions: None) -> None:
    path, before = pathed.__path__, [*pathed.__path__]
    for _ in range(2):
        with IsolatedImportContext() as context:
            pathed.__path__.append("/last")
            pathed.__path__.insert(0, "/first")
        assert pathed.__path__ is path
        assert path == before
        assert str(context.changes) == "restored pathed.__path__: changed in place"


def test_a_context_puts_the_list_itself_back(pathed: Any) -> None:
    path = pathed.__path__
    with IsolatedImportContext() as context:
        pathed.__path__ = ["/other"]
    assert pathed.__path__ is path
    assert str(context.changes) == "restored pathed.__path__: assigned"


def test_contexts_in_each_other_put_back_what_each_of_them_found(pathed: Any) -> None:
    before = [*pathed.__path__]
    with IsolatedImportContext():
        pathed.__path__.append("/outer")
        with IsolatedImportContext():
            pathed.__path__.append("/inner")
        assert pathed.__path__ == [*before, "/outer"]
    assert pathed.__path__ == before


def test_no_item_is_asked_whether_it_is_equal(pathed: Any) -> None:
    class Odd:
        def _no(self, *args: object) -> Any:
            raise RuntimeError

        __eq__ = __hash__ = __bool__ = __repr__ = _no

    before = [*pathed.__path__]
    with IsolatedImportContext() as context:
        pathed.__path__[:] = [Odd()]
    assert pathed.__path__ == before
    assert "changed in place" in str(context.changes)


def test_a_package_that_nobody_else_holds_still_dies() -> None:
    package = sys.modules["dying"] = ModuleType("dying")
    package.__path__ = ["/first"]
    CONTENTS.name(frozenset(("__path__",)))
    before = CONTENTS.take()
    package.__path__.append("/last")
    (change,) = (change for change in CONTENTS.changes(before) if change.full_name == "dying.__path__")
    assert (change.before, change.after) == (("/first",), ("/first", "/last"))
    gone = weakref.ref(package)
    del sys.modules["dying"], package, before
    gc.collect()
    assert gone() is None
    assert not change.is_in_place
    CONTENTS.take()


@pytest.mark.parametrize(
    ("source", "packages"),
    [
        ("shop.__path__.insert(0, x)", ["shop"]),
        ("a.shop.__path__[0] = x", ["a.shop"]),
        ("path = shop.__path__\npath += [x]", ["shop"]),
        ("from a.shop import __path__ as path\npath.append(x)", ["a.shop"]),
        ("for x in shop.__path__: print(shop.__path__[0], x)", []),
        ("path = shop.__path__\nsys.path.append(path)", []),
    ],
)
def test_which_packages_a_text_changes(source: str, packages: list[str]) -> None:
    nodes = [*ast.walk(ast.parse(source))]
    found = [one if isinstance(one, str) else ast.unparse(one) for one in packages_changed(nodes)]
    assert found == packages


def test_a_plain_name_is_a_list_of_a_package_only_if_it_was_given_one() -> None:
    (call,) = (node for node in ast.walk(ast.parse("path.append(x)")) if isinstance(node, ast.Call))
    assert changed_package(call, {}) is None
    assert aliases_in([call]) == {}


@pytest.mark.parametrize(
    ("source", "does"),
    [("__path__ = extend(__path__)", False), ("def plug(x):\n    __path__.append(x)", True)],
)
def test_whether_functions_of_a_package_may_change_its_list(source: str, does: bool) -> None:
    assert changes_own_path(ast.walk(ast.parse(source))) is does
