"""A module that a caller makes from the spec of a parked one gets its contents, and executes nothing."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import ExtensionFileLoader, SourceFileLoader
from pathlib import Path
from typing import Any

import pytest

from pytest_import_isolation import IsolatedImportContext
from pytest_import_isolation.parking.finder import FINDER

Tree = Callable[[dict[str, str]], Path]
Make = Callable[[str], Any]


@pytest.fixture
def package(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a package that counts as installed, and is parked. It notes who executes it, and its submodule."""
    root = tree(
        {
            "site-packages/mmlog.py": "callers = []\n",
            "site-packages/mmpkg/__init__.py": (
                "import sys, mmlog\nmmlog.callers.append(sys._getframe(1).f_code.co_filename)\n"
                "from mmpkg import sub\nfrom mmpkg.sub import Item\n"
            ),
            "site-packages/mmpkg/sub.py": (
                "import mmlog\nmmlog.callers.append(__name__)\n\nclass Item:\n    pass\n"
            ),
            "site-packages/mmpkg/other.py": "from mmpkg import Item\n",
            "site-packages/mmpkg/data.txt": "data",
        }
    )
    monkeypatch.syspath_prepend(str(root / "site-packages"))
    importlib.import_module("mmlog")
    with IsolatedImportContext():
        found = importlib.import_module("mmpkg")
    assert "mmpkg" not in sys.modules
    yield found
    for name in [name for name in sys.modules if name.partition(".")[0] in ("mmpkg", "mmlog")]:
        del sys.modules[name]
    FINDER.lot.drop(lambda name: name.partition(".")[0] in ("mmpkg", "mmlog"))
    FINDER.settle()


def _executions() -> list[str]:
    return sys.modules["mmlog"].callers  # type: ignore[no-any-return]


def _spec(name: str) -> Any:
    return importlib.util.find_spec(name)


def _load(name: str) -> Any:
    spec = _spec(name)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _load_lazily(name: str) -> Any:
    spec = _spec(name)
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _load_lazily_by_second_loader(name: str) -> Any:
    spec = _spec(name)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    importlib.util.LazyLoader(spec.loader).exec_module(module)
    return module


every_way = pytest.mark.parametrize("make", [_load, _load_lazily, _load_lazily_by_second_loader])


@every_way
def test_a_made_module_holds_what_the_parked_one_holds(package: Any, make: Make) -> None:
    before = [*_executions()]
    for _ in range(2):
        with IsolatedImportContext():
            made = make("mmpkg")
            assert made.Item is package.Item
            assert sys.modules["mmpkg"] is made
            assert importlib.import_module("mmpkg.other").Item is package.Item
            assert importlib.import_module("mmpkg.sub") is package.sub
        assert "mmpkg" not in sys.modules
        with IsolatedImportContext():
            assert importlib.import_module("mmpkg") is package
            assert importlib.import_module("mmpkg.sub") is package.sub
    assert _executions() == before


@every_way
def test_the_parked_module_returns_after_a_made_one_that_nobody_used(package: Any, make: Make) -> None:
    before = [*_executions()]
    with IsolatedImportContext():
        made = make("mmpkg")
    with IsolatedImportContext():
        assert importlib.import_module("mmpkg") is package
    with IsolatedImportContext():
        importlib.import_module("mmpkg")
        assert made.Item is package.Item
    assert made.sub is package.sub
    assert _executions() == before


def test_data_of_a_parked_package_is_read_without_executing_it(package: Any) -> None:
    before = [*_executions()]
    with IsolatedImportContext():
        assert pkgutil.get_data("mmpkg", "data.txt") == b"data"
        assert sys.modules["mmpkg"].Item is package.Item
    assert _executions() == before


def test_a_copy_that_is_not_loaded_is_executed_without_a_frame_of_ours(package: Any) -> None:
    before = [*_executions()]
    with IsolatedImportContext():
        spec = _spec("mmpkg")
        copy = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(copy)
        assert copy is not package
        assert _executions()[len(before)].startswith("<frozen importlib")
        assert importlib.import_module("mmpkg") is package


def test_the_spec_of_a_parked_module_tells_what_it_tells_without_isolation(package: Any) -> None:
    with IsolatedImportContext():
        spec = _spec("mmpkg")
    assert (spec.name, spec.origin) == ("mmpkg", package.__file__)
    assert type(spec.loader) is SourceFileLoader
    loader: Any = spec.loader
    assert "Item" in loader.get_code("mmpkg").co_names
    assert loader.get_source("mmpkg").startswith("import sys")


def test_a_finder_that_refuses_a_parked_module_is_heard(
    package: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> None:
            if name == "mmpkg":
                raise ImportError("refused")

    with IsolatedImportContext():
        sys.meta_path.insert(0, Refusing)
        with pytest.raises(ImportError, match="refused") as caught:
            _spec("mmpkg")
    assert not any("pytest_import_isolation" in str(entry.path) for entry in caught.traceback[1:])


def test_a_made_extension_module_holds_what_the_parked_one_holds() -> None:
    name = "_csv"
    if type(_spec(name).loader) is not ExtensionFileLoader:
        pytest.skip("it is built into this Python")
    with IsolatedImportContext(unloaded=("csv", name)):
        parked = importlib.import_module(name)
        with IsolatedImportContext(unloaded=name):
            made = _load(name)
            assert made is not parked
            assert made.Dialect is parked.Dialect
