"""What outlives a module, and the attributes of packages."""

from __future__ import annotations

import gc
import importlib
import pickle
import pkgutil
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_import_isolation import IsolatedImportContext
from pytest_import_isolation.state.referrers import Referrers
from pytest_import_isolation.state.restoring import restore
from pytest_import_isolation.state.snapshot import ImportState

Tree = Callable[[dict[str, str]], Path]


def test_a_destructor_that_imports_leaves_nothing_behind(tree: Tree, picture: Any) -> None:
    tree({"ida_late.py": ""})
    before = picture()

    class Leaving:
        def __del__(self) -> None:
            ran.append(importlib.import_module("ida_late"))

    ran: list[object] = []
    with IsolatedImportContext():
        sys.modules["ida_leaving"] = Leaving()  # type: ignore[assignment]
    assert len(ran) == 1
    assert before.differences() == []


def test_a_weakref_callback_that_imports_leaves_nothing_behind(tree: Tree, picture: Any) -> None:
    tree({"ida_watched.py": "", "ida_late.py": "import json"})
    before = picture()
    ran: list[object] = []

    class Watched:
        pass

    with IsolatedImportContext():
        watched = Watched()
        sys.modules["ida_watched"] = watched  # type: ignore[assignment]
        reference = weakref.ref(watched, lambda _: ran.append(importlib.import_module("ida_late")))
        del watched
    assert reference() is None
    assert len(ran) == 1
    assert before.differences() == []


def test_forgotten_modules_are_freed(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Referrers, "_last", None)  # as in the first window of a process
    tree({"ida_freed.py": "class A: pass"})
    with IsolatedImportContext():
        importlib.import_module("ida_freed")
        # The inner window has seen the module, and remembers the table for the next one.
        with IsolatedImportContext():
            pass
        reference = weakref.ref(sys.modules["ida_freed"])
    gc.collect()
    assert reference() is None


@pytest.mark.parametrize(
    ("statement", "where"),
    [
        ("from ida_db import Conn as _class", "_class"),
        ("import ida_db as _module", "_module"),
        ("from ida_db import connect as _function", "_function"),
        ("from ida_db import Conn; _object = Conn()", "_object"),
        ("from ida_db import Conn; _method = Conn().close", "_method"),
        ("from ida_db import Conn; registry['conn'] = Conn", "registry"),
        ("from ida_db import Conn; listed.append(Conn())", "listed"),
        ("from ida_db import Conn; Keeper.conn = Conn", "Keeper.conn"),
        ("from ida_db import Conn; Keeper.table['x'] = Conn", "Keeper.table"),
        ("from ida_db import Conn; _nested = Conn.Options", "_nested"),
        ("from ida_db import make; _local = make()", "_local"),
        ("from ida_db import connect; _function = around(connect)", "_function"),
        ("from ida_db import connect; listed.append(around(connect))", "listed"),
        ("from ida_db import Conn; registry['conn'] = lambda made=Conn: made", "registry"),
        ("from ida_db import Conn; listed.append(partial(around, Conn))", "listed"),
    ],
)
def test_what_surviving_first_party_code_caches_is_kept(statement: str, where: str, tree: Tree) -> None:
    names = "_class, _module, _function, _object, _method, _nested, _local"
    tree(
        {
            "ida_db.py": """
                import ida_base
                class Conn(ida_base.Base):
                    class Options: pass
                    def close(self): pass
                def connect(): pass
                def make():
                    class Local: pass
                    return Local
                """,
            "ida_base.py": "class Base: pass",
            "ida_other.py": "",
            "ida_cache.py": f"""
                from functools import partial
                registry, listed = {{}}, []
                class Keeper:
                    table = {{}}
                def around(value):
                    return lambda: value
                def load():
                    global {names}
                    {statement}
                """,
        }
    )
    cache = importlib.import_module("ida_cache")
    with IsolatedImportContext() as context:
        cache.load()
        importlib.import_module("ida_other")
        loaded = sys.modules["ida_db"]
    assert context.changes.kept["ida_db"] == f"ida_cache.{where} refers to it"
    assert context.changes.kept["ida_base"] == "ida_db.ida_base refers to it, and ida_db is kept"
    assert set(context.changes.forgotten) == {"ida_other"}
    assert sys.modules["ida_db"] is loaded
    # In a later window it is what was there before, and stays without a word.
    with IsolatedImportContext() as context:
        cache.load()
    assert not context.changes


def test_a_class_of_an_older_copy_keeps_nothing(tree: Tree, picture: Any) -> None:
    tree({"ida_copy.py": "class Thing: pass", "ida_holder.py": "thing = None"})
    holder = importlib.import_module("ida_holder")
    holder.thing = importlib.import_module("ida_copy").Thing()
    del sys.modules["ida_copy"]
    before = picture()
    with IsolatedImportContext() as context:
        importlib.import_module("ida_copy")
    assert before.differences() == []
    assert set(context.changes.forgotten) == {"ida_copy"}


def test_packages_above_a_kept_module_are_kept_with_their_attributes(tree: Tree) -> None:
    tree({"ida_pkg/__init__.py": "", "ida_pkg/sub/__init__.py": "", "ida_pkg/sub/leaf.py": ""})
    with IsolatedImportContext(keep="ida_pkg.sub.leaf") as context:
        leaf = importlib.import_module("ida_pkg.sub.leaf")
    assert context.changes.kept == {
        "ida_pkg.sub.leaf": "keep='ida_pkg.sub.leaf'",
        "ida_pkg.sub": "ida_pkg.sub.leaf is kept",
        "ida_pkg": "ida_pkg.sub.leaf is kept",
    }
    assert sys.modules["ida_pkg"].sub.leaf is leaf


def test_the_attribute_of_a_surviving_package_goes_with_the_entry(tree: Tree, picture: Any) -> None:
    tree({"ida_app/__init__.py": "", "ida_app/b.py": "def f(): pass"})
    package = importlib.import_module("ida_app")
    before = picture("ida_app")
    with IsolatedImportContext() as context:
        importlib.import_module("ida_app.b")
        assert package.b.f
    assert before.differences() == []
    assert context.changes.attributes == ("ida_app.b",)
    assert not hasattr(package, "b")
    fresh = pkgutil.resolve_name("ida_app.b:f")
    assert fresh is sys.modules["ida_app.b"].f


@pytest.mark.parametrize("change", ["delete", "replace"])
def test_a_changed_attribute_of_a_loaded_submodule_is_put_back(change: str, tree: Tree, picture: Any) -> None:
    tree({"ida_app/__init__.py": "", "ida_app/b.py": ""})
    importlib.import_module("ida_app.b")
    package = sys.modules["ida_app"]
    before = picture("ida_app")
    with IsolatedImportContext():
        if change == "delete":
            del package.b
        else:
            package.b = object()
    assert before.differences() == []


def test_deleting_an_entry_and_importing_again_gives_both_back(tree: Tree, picture: Any) -> None:
    tree({"ida_app/__init__.py": "", "ida_app/b.py": ""})
    old = importlib.import_module("ida_app.b")
    before = picture("ida_app")
    with IsolatedImportContext() as context:
        del sys.modules["ida_app.b"]
        assert importlib.import_module("ida_app.b") is not old
    assert before.differences() == []
    assert list(context.changes.put_back) == ["ida_app.b"]
    assert context.changes.put_back["ida_app.b"].startswith("it had been replaced by the module of ")


def test_a_name_shared_by_a_function_and_a_submodule_is_the_function_again(tree: Tree, picture: Any) -> None:
    tree(
        {
            "ida_twin/__init__.py": "from ._impl import b",
            "ida_twin/_impl.py": "def b(): pass",
            "ida_twin/b.py": "",
        }
    )
    package = importlib.import_module("ida_twin")
    function = package.b
    before = picture("ida_twin")
    with IsolatedImportContext():
        importlib.import_module("ida_twin.b")
        assert package.b is sys.modules["ida_twin.b"]
    assert package.b is function
    assert before.differences() == []


def test_an_attribute_that_holds_something_else_by_now_is_left_alone(tree: Tree) -> None:
    # The package itself puts it there: what a test writes to a module is undone.
    tree({"ida_app/__init__.py": "def put(value):\n    global b\n    b = value\n", "ida_app/b.py": ""})
    package = importlib.import_module("ida_app")
    with IsolatedImportContext():
        importlib.import_module("ida_app.b")
        package.put("mine")
    assert package.b == "mine"


@pytest.mark.parametrize("name", ["late", "Late"])
def test_names_that_a_lazy_package_cached_are_computed_again(name: str, tree: Tree, picture: Any) -> None:
    tree(
        {
            "ida_lazy/__init__.py": """
                import importlib
                def __getattr__(name):
                    if name not in ("late", "Late"):
                        raise AttributeError(name)
                    module = importlib.import_module("ida_lazy.late")
                    globals()[name] = value = module if name == "late" else module.Late
                    return value
                """,
            "ida_lazy/late.py": "class Late: pass",
        }
    )
    package = importlib.import_module("ida_lazy")
    before = picture("ida_lazy")
    seen = []
    for _ in range(2):
        with IsolatedImportContext() as context:
            seen.append(getattr(package, name))
        assert before.differences() == []
        assert f"ida_lazy.{name}" in context.changes.attributes
    assert seen[0] is not seen[1]


def test_a_namespace_package_stays_as_long_as_a_child_stays(tree: Tree, picture: Any) -> None:
    tree({"ida_ns/part/deep.py": "", "ida_ns/part/other.py": ""})
    before = picture()
    with IsolatedImportContext():
        importlib.import_module("ida_ns.part.deep")
        importlib.import_module("ida_ns.part.other")
    assert before.differences() == []
    with IsolatedImportContext(keep="ida_ns.part.deep") as context:
        deep = importlib.import_module("ida_ns.part.deep")
    assert set(context.changes.kept) == {"ida_ns", "ida_ns.part", "ida_ns.part.deep"}
    assert sys.modules["ida_ns"].part.deep is deep


def test_children_leave_before_their_parents(tree: Tree) -> None:
    tree({"ida_order/__init__.py": "", "ida_order/a/__init__.py": "", "ida_order/a/b.py": ""})
    left: list[str] = []
    state = ImportState.capture()
    importlib.import_module("ida_order.a.b")
    restore(state, left.extend)
    assert left == ["ida_order.a.b", "ida_order.a", "ida_order"]


def test_pickles_made_in_a_window_load_while_the_class_is_kept(tree: Tree) -> None:
    tree({"ida_pickled.py": "class A: pass", "ida_holder.py": "made = None"})
    holder = importlib.import_module("ida_holder")
    with IsolatedImportContext():
        holder.made = importlib.import_module("ida_pickled").A()
    assert type(pickle.loads(pickle.dumps(holder.made))) is type(holder.made)
