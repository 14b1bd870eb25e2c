"""No code of a user's object runs in ours: neither a ``__class__`` property nor ``__getattr__``."""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import linecache
import os
import sys
import threading
import typing
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest

from pytest_import_isolation import IsolatedImportContext, fake_module, missing_modules, trace_imports
from pytest_import_isolation.machinery.finders import drop_finder_caches
from pytest_import_isolation.machinery.modules import namespace
from pytest_import_isolation.state.origins import Origins, describe
from pytest_import_isolation.watching.effects import Effects

Tree = Callable[[dict[str, str]], Path]


class Untouchable:
    """Notes which module of the package asks for its class; importlib asks, too."""

    askers: ClassVar[list[str]] = []

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        asker = sys._getframe(1).f_globals["__name__"]
        if asker.startswith("pytest_import_isolation"):
            self.askers.append(asker)
        return object

    def __call__(self, entry: object) -> None:
        raise ImportError

    def find_spec(self, name: str, path: object = None, target: object = None) -> None: ...


@pytest.fixture(autouse=True)
def nobody_asks() -> Iterator[None]:
    Untouchable.askers.clear()
    yield
    assert Untouchable.askers == []


@pytest.mark.parametrize(
    "name",
    ["__file__", "__spec__", "__path__", "__name__", "__loader__", "__package__", "__all__", "__doc__"],
)
def test_of_what_a_module_says_of_itself(name: str, tree: Tree) -> None:
    tree({"plain.py": "", "other.py": "import colorsys"})
    for module in (ModuleType("odd"), importlib.import_module("plain")):
        with IsolatedImportContext(keep=["plain"]) as context:
            module.__dict__[name] = Untouchable()
            sys.modules["odd"] = module
            importlib.import_module("other")
            Origins().verdict("odd", module)
            describe(module)
        assert context.changes
        module.__dict__.pop(name, None)  # the context itself takes a __path__ away again


def test_of_a_fake() -> None:
    odd: Any = Untouchable()
    with IsolatedImportContext(fakes={"odd": odd, "made": {"thing": odd}}):
        assert importlib.import_module("odd") is odd
        assert importlib.import_module("made").thing is odd
    with fake_module("made", thing=odd) as made:
        assert made.thing is odd


def test_of_what_stands_in_the_containers_of_sys(tree: Tree) -> None:
    tree({"other.py": "import colorsys"})
    with IsolatedImportContext(missing=["wave"]):
        sys.meta_path.insert(0, Untouchable())
        sys.path_hooks.append(Untouchable())  # type: ignore[arg-type]
        sys.path_importer_cache["/odd"] = Untouchable()
        sys.path.append(Untouchable())  # type: ignore[arg-type]
        sys.modules["odd"] = Untouchable()  # type: ignore[assignment]
        with trace_imports(), missing_modules("aifc"), IsolatedImportContext(unloaded=["other*"]):
            importlib.import_module("other")
        sys.path.pop()
        drop_finder_caches()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # asyncio says so of the name from 3.14 on
def test_of_what_libraries_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in (
        (linecache, "cache"),
        (threading, "_active"),
        (asyncio, "DefaultEventLoopPolicy"),
        (os, "environ"),
    ):
        with monkeypatch.context() as patching:
            patching.setattr(module, name, Untouchable(), raising=False)
            list(Effects.capture().differences(Effects.capture()))
            with IsolatedImportContext(fakes={"made": "x = 1"}):
                importlib.import_module("made")


@pytest.mark.skipif(not hasattr(typing, "_UnionGenericAlias"), reason="this Python has no such name")
def test_a_class_that_warns_when_it_is_compared_is_not_compared(tree: Tree) -> None:
    # From 3.14 on its metaclass warns for ==, isinstance() and issubclass().
    tree({"other.py": "from typing import _UnionGenericAlias", "held.py": "", "user.py": "import typing"})
    user: Any = importlib.import_module("user")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with IsolatedImportContext(unloaded="user") as context:
            importlib.import_module("other")
            user.held = importlib.import_module("held")
            user.alias = importlib.import_module("typing").__dict__["_UnionGenericAlias"]
            user.several = [user.alias]
        with IsolatedImportContext(fresh="other"), trace_imports():
            importlib.import_module("other")
    assert [str(each.message) for each in caught] == []
    assert context.changes


def test_a_distribution_without_metadata_is_looked_at_without_a_warning(tree: Tree) -> None:
    root = tree({"half-1.0.dist-info/RECORD": ""})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with IsolatedImportContext(missing="half", distributions=True, path=str(root)):
            found = [*importlib.metadata.distributions(path=[str(root)])]
    assert len(found) == 1
    assert [str(each.message) for each in caught] == []


class AsksBack:
    """A finder without caches, whose ``__getattr__`` ends the run if it is asked for them."""

    def __getattr__(self, name: str) -> Any:
        pytest.fail(f"do not ask for {name}")

    def find_spec(self, name: str, path: object = None, target: object = None) -> None: ...


class Ends:
    """A finder that ends the run when its caches are dropped."""

    dropped = 0

    def find_spec(self, name: str, path: object = None, target: object = None) -> None: ...

    @classmethod
    def invalidate_caches(cls) -> None:
        cls.dropped += 1
        raise SystemExit(3)


def test_a_finder_is_told_to_drop_its_caches_if_it_has_any_and_may_raise_what_it_likes(tree: Tree) -> None:
    tree({"other.py": ""})
    Ends.dropped = 0
    with IsolatedImportContext():
        sys.meta_path += [AsksBack(), Ends(), Ends]  # type: ignore[list-item]
        with IsolatedImportContext():
            importlib.import_module("other")
    assert Ends.dropped >= 2
    assert id(Ends) not in map(id, sys.meta_path)


class _LikeProxyOfExtension:
    """Has what C code made for a class in the place of its own namespace, as the proxies of extensions do."""

    __slots__ = ()
    __dict__ = vars(BaseException)["__dict__"]
    __class__ = property(lambda self: int)  # type: ignore[assignment]  # as proxies lie


class _Refuses:
    """Has a namespace that is not given away, as a proxy of what has none."""

    __slots__ = ()
    __dict__ = vars(BaseException)["__dict__"]


@pytest.mark.parametrize("kind", [_LikeProxyOfExtension, _Refuses])
def test_of_a_namespace_that_only_c_code_could_give(kind: type) -> None:
    assert namespace(kind()) is None


def test_a_class_statement_gives_its_own_namespace_whatever_it_says_of_its_class() -> None:
    class Odd:
        __class__ = property(lambda self: int)  # type: ignore[assignment]  # as proxies lie

        def __init__(self) -> None:
            self.value = 1

    assert namespace(Odd()) == {"value": 1}
    assert namespace(OrderedDict()) == {}
