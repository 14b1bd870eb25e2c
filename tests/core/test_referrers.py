"""What is remembered of references is what a look at everything finds, whatever happened in between."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_import_isolation.machinery.dict_versions import HAS_NUMBERS
from pytest_import_isolation.state.references import NewModules
from pytest_import_isolation.state.referrers import Referrers

_BODY: Final = """
class Cart:
    size = 1

    def add(self): ...

    @classmethod
    def make(cls): ...

def pay(): ...
"""


def _module(name: str, body: str = _BODY) -> Any:
    module = ModuleType(name)
    exec(body, vars(module))
    return module


def _values(module: Any) -> dict[str, object]:
    return {
        "module": module,
        "function": module.pay,
        "class": module.Cart,
        "instance": module.Cart(),
        "method": module.Cart().add,
        "class method": module.Cart.make,
        "number": 5,
    }


def _enter(table: dict[Any, object], value: object) -> None:
    table[len(table)] = value


def _remove(survivor: Any, value: object) -> None:
    for name in ("bound", "made", "Other"):
        vars(survivor).pop(name, None)
    for container in (survivor.ITEMS, survivor.TABLE, survivor.SET, survivor.Shop.TABLE, survivor.FRESH):
        container.clear()


#: How a value gets to where a survivor refers to it.
_WAYS: Final[dict[str, Callable[[Any, object], object]]] = {
    "bound": lambda survivor, value: setattr(survivor, "bound", value),
    "in a list": lambda survivor, value: setattr(survivor, "made", [value]),
    "in a long list": lambda survivor, value: setattr(survivor, "made", [value] * 1_001),
    "in a dict": lambda survivor, value: setattr(survivor, "made", {"key": value}),
    "in a set": lambda survivor, value: setattr(survivor, "made", {value}),
    "in a tuple": lambda survivor, value: setattr(survivor, "made", (1, value)),
    "in a nested tuple": lambda survivor, value: setattr(survivor, "made", ((value,),)),
    "appended": lambda survivor, value: survivor.ITEMS.append(value),
    "entered": lambda survivor, value: _enter(survivor.TABLE, value),
    "added": lambda survivor, value: survivor.SET.add(value),
    "on a class": lambda survivor, value: setattr(survivor.Shop, "held", value),
    "in a dict on a class": lambda survivor, value: setattr(survivor.Shop, "table", {"key": value}),
    "entered on a class": lambda survivor, value: _enter(survivor.Shop.TABLE, value),
    "on another class": lambda survivor, value: setattr(
        survivor, "Other", type("Other", (), {"__module__": survivor.__name__, "held": value})
    ),
    "on an instance": lambda survivor, value: setattr(survivor.SHOP, "held", value),
    "under a new name of an instance": lambda survivor, value: setattr(
        survivor.SHOP, f"name{len(vars(survivor.SHOP))}", value
    ),
    "appended on an instance": lambda survivor, value: survivor.SHOP.ITEMS.append(value),
    "entered on an instance": lambda survivor, value: _enter(survivor.SHOP.BOX, value),
    "in place of an item of an instance": lambda survivor, value: setattr(
        survivor.SHOP, "ITEMS", [*survivor.SHOP.ITEMS[1:], value]
    ),
    "in a list in a list of an instance": lambda survivor, value: survivor.MARKET.GRID[0].append(value),
    "in a slot": lambda survivor, value: setattr(survivor.SLOT, "held", value),
    "on a simple namespace": lambda survivor, value: setattr(survivor.SPACE, "held", value),
    "in a deque": lambda survivor, value: survivor.DEQUE.append(value),
    "in a cache": lambda survivor, value: survivor.cached(_Key(value)),
    "in a bounded cache": lambda survivor, value: survivor.bounded(_Key(value)),
    "in a list in a list": lambda survivor, value: survivor.NESTED[0].append(value),
    "in a dict in a list in a dict": lambda survivor, value: _enter(survivor.DEEP["a"][0], value),
    "bound in a closure": lambda survivor, value: setattr(survivor, "made", survivor.around(value)),
    "in an appended closure": lambda survivor, value: survivor.ITEMS.append(survivor.around(value)),
    "in a closure in another list": lambda survivor, value: setattr(
        survivor, "FRESH", [*survivor.FRESH, survivor.around(value)]
    ),
    "in a closure that holds itself": lambda survivor, value: _enter(survivor.TABLE, survivor.itself(value)),
    "in a closure on an instance": lambda survivor, value: setattr(
        survivor.SHOP, "held", survivor.around(value)
    ),
    "as a default": lambda survivor, value: survivor.ITEMS.append(survivor.with_default(value)),
    "as a default by name": lambda survivor, value: survivor.ITEMS.append(
        survivor.with_default_by_name(value)
    ),
    "in a partial": lambda survivor, value: survivor.ITEMS.append(partial(survivor.around, value)),
    "as the function of a partial": lambda survivor, value: survivor.ITEMS.append(
        partial(survivor.around(value))
    ),
    "remembered in a closure": lambda survivor, value: survivor.remember(value),
    "remembered in a closure in a list": lambda survivor, value: survivor.MAKERS[0](value),
    "removed": _remove,
}


class _Key:
    def __init__(self, value: object) -> None:
        self.value = value


_SURVIVOR: Final = """
from collections import deque
from functools import lru_cache
from types import SimpleNamespace

class Shop:
    TABLE = {}

class Slot:
    __slots__ = ("held",)

ITEMS, TABLE, SET = [], {}, set()
SHOP, SLOT, SPACE, DEQUE = Shop(), Slot(), SimpleNamespace(), deque()
SHOP.ITEMS, SHOP.BOX = [1], {}
MARKET = Shop()
MARKET.GRID = [[]]
NESTED, DEEP = [[]], {"a": [{}]}

FRESH = []

def around(value):
    def call():
        return value
    return call

def itself(value):
    def call():
        return value, call
    return call

def with_default(value):
    return lambda held=value: held

def with_default_by_name(value):
    return lambda *, held=value: held

def remembering():
    known = []
    def remember(value):
        known.append(value)
    return remember

remember = remembering()
MAKERS = [remembering()]

@lru_cache(maxsize=None)
def cached(key):
    return key.value

@lru_cache(maxsize=2)
def bounded(key):
    return key.value
"""


#: Those in which the value is found for certain, whatever else was done.
_CERTAIN: Final = {
    *("bound", "appended", "on an instance", "appended on an instance", "in a slot", "in a deque"),
    *("on a simple namespace", "in a cache", "in a bounded cache", "in a list in a list"),
    "in a dict in a list in a dict",
    *("bound in a closure", "in an appended closure", "in a closure in another list", "as a default"),
    *("in a closure that holds itself", "in a closure on an instance", "as a default by name"),
    *("in a partial", "as the function of a partial", "remembered in a closure"),
    "remembered in a closure in a list",
}


def _is_own(home: str) -> bool:
    return home.startswith(("survivor", "new"))


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([*_WAYS]),
            st.sampled_from(("new_a", "new_b")),
            st.sampled_from((*_values(_module("any")),)),
            st.sampled_from((("new_a",), ("new_b",), ("new_a", "new_b"), ("older",))),
        ),
        min_size=3,
        max_size=20,
    )
)
def test_what_is_remembered_is_what_a_look_at_everything_finds(
    steps: list[tuple[str, str, str, tuple[str, ...]]],
) -> None:
    modules = {name: _module(name) for name in ("new_a", "new_b", "older")}
    survivor = _module("survivor", _SURVIVOR)
    survivor.older = modules["older"].Cart
    referrers = Referrers()
    for way, name, kind, sought in steps:
        _WAYS[way](survivor, _values(modules[name])[kind])
        for _ in range(2):
            wanted = {one: modules[one] for one in sought}
            found = referrers.references("survivor", survivor, NewModules(wanted, _is_own))
            all_of_it = NewModules(wanted, _is_own).references(vars(survivor))
            # What is known of an object is told at once, and in another order than that of a namespace.
            assert sorted({*found}) == sorted({*all_of_it})
            if kind != "number" and way in _CERTAIN and name in sought:
                assert name in {home for home, _ in NewModules(wanted, _is_own).references(vars(survivor))}


@pytest.mark.skipif(not HAS_NUMBERS, reason="states of dictionaries have no numbers here")
def test_what_has_not_changed_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    survivor = _module("survivor")
    survivor.TABLE = {"key": survivor.pay}
    referrers = Referrers()
    looked: list[object] = []
    look = NewModules.home_of

    def home_of(self: NewModules, value: object) -> str | None:
        looked.append(value)
        return look(self, value)

    monkeypatch.setattr(NewModules, "home_of", home_of)
    new = _module("new_a")
    for _ in range(3):
        assert [*referrers.references("survivor", survivor, NewModules({"new_a": new}))] == []
    assert looked == []
    survivor.held = new
    found = referrers.references("survivor", survivor, NewModules({"new_a": new}))
    assert [*found] == [("new_a", "held")]


def test_only_what_is_asked_for_is_remembered() -> None:
    modules = {name: _module(name) for name in ("survivor", "other")}
    new = NewModules({"new_a": _module("new_a")})
    first = Referrers.among(modules)
    for name, module in modules.items():
        assert [*first.references(name, module, new)] == []
    known = dict(first._known)
    assert [*Referrers.among(["other", "not asked for yet"])._known.items()] == [
        (name, each) for name, each in known.items() if name == "other"
    ]
    assert not Referrers.among([])._known


def test_a_namespace_of_a_class_of_its_own_is_looked_at_each_time() -> None:
    class Odd(ModuleType): ...

    survivor: Any = Odd("survivor")
    new = _module("new_a")
    referrers = Referrers()
    for value, found in ((1, []), (new.pay, [("new_a", "held")]), (2, [])):
        survivor.held = value
        assert [*referrers.references("survivor", survivor, NewModules({"new_a": new}))] == found
