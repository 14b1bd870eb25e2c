"""Cold views execute first-party modules anew, and guards that prove nothing say so."""

from __future__ import annotations

import importlib
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from pytest_import_isolation import (
    ImportIsolationWarning,
    ImportTrace,
    IsolatedImportContext,
    import_budget,
    trace_imports,
)

Tree = Callable[[dict[str, str]], Path]
_APP = {
    "cold_app/__init__.py": "from cold_app import core\n",
    "cold_app/core.py": "import xmlrpc.client\nclass Cart: pass\n",
    "cold_lazy.py": "def export():\n    import xmlrpc.client\n",
}


@pytest.fixture(autouse=True)
def _loaded(tree: Tree) -> None:
    tree(_APP)
    for name in ("cold_app", "cold_lazy", "xmlrpc.client"):
        importlib.import_module(name)


def test_first_party_modules_are_executed_anew_and_the_old_copies_come_back(picture: Any) -> None:
    before, old = picture("cold_app"), sys.modules["cold_app.core"]
    with IsolatedImportContext(unloaded="*") as context:
        assert not {"cold_app", "cold_app.core", "xmlrpc"} & set(sys.modules)
        app = importlib.import_module("cold_app")
        assert app.core is not old
        assert sys.modules["xmlrpc.client"] is app.core.xmlrpc.client is old.xmlrpc.client
        cart = app.core.Cart()
        assert type(pickle.loads(pickle.dumps(cart))) is type(cart)
        with pytest.raises(pickle.PicklingError):
            pickle.dumps(old.Cart())
        importlib.import_module("cold_lazy").export()
    assert before.differences() == []
    assert type(pickle.loads(pickle.dumps(old.Cart()))) is old.Cart
    assert sys.modules["cold_app.core"] is old
    assert not context.changes.kept


def test_a_window_in_a_cold_view_and_a_cold_view_in_a_window_restore_exactly(picture: Any) -> None:
    before = picture("cold_app")
    with IsolatedImportContext(unloaded="cold_app"), IsolatedImportContext(unloaded="*"):
        first = importlib.import_module("cold_app")
        with IsolatedImportContext(unloaded="*"):
            assert importlib.import_module("cold_app") is not first
        assert importlib.import_module("cold_app") is first
        with IsolatedImportContext():
            assert importlib.import_module("cold_app") is first
    assert before.differences() == []


def test_what_runs_and_what_pytest_loaded_stays_what_it_is() -> None:
    here = sys.modules[__name__]
    with IsolatedImportContext(unloaded="*"):
        assert importlib.import_module(__name__) is here
    with IsolatedImportContext() as context:
        context.unload("*")
        assert importlib.import_module("cold_app") is not None
        assert "xmlrpc" in sys.modules


@pytest.mark.parametrize("parameters", [{"unloaded": "*"}, {"fresh": "cold_app"}])
def test_kept_modules_are_not_executed_anew(parameters: dict[str, str]) -> None:
    package, old = sys.modules["cold_app"], sys.modules["cold_app.core"]
    with IsolatedImportContext(**parameters, keep="cold_app.core"):  # type: ignore[arg-type]
        app = importlib.import_module("cold_app")
        assert app.core is old
        assert app is not package
        assert importlib.import_module("cold_app.core") is sys.modules["cold_app.core"] is old
        importlib.import_module("xmlrpc.client")
    assert sys.modules["cold_app"].core is sys.modules["cold_app.core"] is old


def test_a_trace_proves_nothing_of_what_is_kept_and_says_so() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # to keep it is a decision
        with trace_imports(unloaded="*", keep="cold_app.core") as trace:
            importlib.import_module("cold_app")
    with pytest.raises(AssertionError) as caught:
        trace.assert_not_imported("xmlrpc")
    assert str(caught.value).startswith("xmlrpc is imported:")
    with trace_imports(unloaded="xmlrpc", keep="cold_app.core") as trace:
        importlib.import_module("cold_app.core")
    with pytest.raises(AssertionError) as caught:
        trace.assert_not_imported("xmlrpc")
    assert str(caught.value) == (
        "this proves nothing: cold_app.core was executed before and is not executed again by importing it. "
        "Ask a new interpreter: import_budget(..., forbid=..., process=True)"
    )


@pytest.mark.neighbours("numpy")
def test_packages_with_extension_modules_come_back_as_they_are(tree: Tree, tmp_path: Path) -> None:
    numpy = importlib.import_module("numpy")
    with IsolatedImportContext(unloaded="*"):
        assert importlib.import_module("numpy") is numpy


@pytest.mark.parametrize("cold", [{"unloaded": "*"}, {"unloaded": "xmlrpc", "fresh": "cold_app"}])
def test_a_guard_fails_where_the_module_is_loaded_and_passes_where_it_is_not(cold: dict[str, str]) -> None:
    with IsolatedImportContext(**cold):  # type: ignore[arg-type]
        importlib.import_module("cold_lazy")
        assert "xmlrpc.client" not in sys.modules
        importlib.import_module("cold_app")
        assert "xmlrpc.client" in sys.modules
    with trace_imports(**cold) as trace:  # type: ignore[arg-type]
        importlib.import_module("cold_app")
    with pytest.raises(AssertionError, match="xmlrpc is imported:"):
        trace.assert_not_imported("xmlrpc")
    with trace_imports(**cold) as trace:  # type: ignore[arg-type]
        importlib.import_module("cold_lazy")
    trace.assert_not_imported("xmlrpc")


def test_a_budget_forbids_what_another_first_party_package_loads(tree: Tree) -> None:
    tree({"cold_user.py": "import cold_app\n"})
    importlib.import_module("cold_user")
    with pytest.raises(AssertionError, match="it imports xmlrpc"):
        import_budget("cold_user", forbid="xmlrpc", process=False)
    import_budget("cold_lazy", forbid="xmlrpc", process=False)


def _import_in(context: AbstractContextManager[object], name: str) -> None:
    with context:
        exec(f"import {name}")
        assert "xmlrpc.client" not in sys.modules


_PROVES_NOTHING = (
    "{name} was executed before and is not executed again by importing it. Add fresh='cold_app', or take "
    "unloaded='*', which executes first-party modules anew"
)


@pytest.mark.parametrize("name", ["cold_app", "cold_app.core"])
def test_an_absence_is_doubted_where_what_imports_the_module_was_executed_before(name: str) -> None:
    says = _PROVES_NOTHING.format(name=name)
    with pytest.warns(ImportIsolationWarning, match="stayed absent proves nothing") as caught:
        _import_in(IsolatedImportContext(unloaded="xmlrpc"), name)
    assert [str(one.message) for one in caught] == [f"that xmlrpc stayed absent proves nothing: {says}"]
    assert caught[0].filename == __file__
    trace = ImportTrace()

    def traced() -> Iterator[None]:
        nonlocal trace
        with trace_imports(unloaded="xmlrpc") as trace:
            yield
            with pytest.raises(AssertionError, match="this proves nothing"):
                trace.assert_not_imported("xmlrpc.client")

    with pytest.warns(ImportIsolationWarning):
        _import_in(contextmanager(traced)(), name)
    with pytest.raises(AssertionError) as failed:
        trace.assert_not_imported("xmlrpc")
    assert str(failed.value) == f"this proves nothing: {says}"
    trace.assert_not_imported("wave")


def test_nothing_is_doubted_that_proves_something() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with IsolatedImportContext(unloaded="xmlrpc"):  # nobody asks for what refers to it
            importlib.import_module("cold_lazy")
        with IsolatedImportContext(unloaded="xmlrpc"):  # it is back
            import xmlrpc.client  # noqa: F401

            import cold_app
        with IsolatedImportContext(unloaded="xmlrpc", fresh="cold_app"):
            import cold_app  # noqa: F401
        with IsolatedImportContext(unloaded="xmlrpc", missing="xmlrpc"):
            pass
        with trace_imports(unloaded="xmlrpc", fresh="cold_app") as trace:
            import cold_lazy  # noqa: F401
        trace.assert_not_imported("xmlrpc")
