"""What is remembered of references is what a look at everything finds, whatever happened in between."""

from __future__ import annotations

from collections.abc import Callable
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
    for container in (survivor.ITEMS, survivor.TABLE, survivor.SET, survivor.Shop.TABLE):
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
    "removed": _remove,
}


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([*_WAYS]),
            st.sampled_from(("new_a", "new_b")),
            st.sampled_from((*_values(_module("any")),)),
            st.sampled_from((("new_a",), ("new_b",), ("new_a", "new_b"), ("older",))),
        ),
        max_size=15,
    )
)
def test_what_is_remembered_is_what_a_look_at_everything_finds(
    steps: list[tuple[str, str, str, tuple[str, ...]]],
) -> None:
    modules = {name: _module(name) for name in ("new_a", "new_b", "older")}
    survivor = _module("survivor", "class Shop:\n    TABLE = {}\nITEMS, TABLE, SET = [], {}, set()\n")
    survivor.older = modules["older"].Cart
    referrers = Referrers()
    for way, name, kind, sought in steps:
        _WAYS[way](survivor, _values(modules[name])[kind])
        for _ in range(2):
            found = referrers.references(
                "survivor", survivor, NewModules({one: modules[one] for one in sought})
            )
            all_of_it = NewModules({one: modules[one] for one in sought}).references(vars(survivor))
            assert [*found] == [*all_of_it]


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


def test_a_namespace_of_a_class_of_its_own_is_looked_at_each_time() -> None:
    class Odd(ModuleType): ...

    survivor: Any = Odd("survivor")
    new = _module("new_a")
    referrers = Referrers()
    for value, found in ((1, []), (new.pay, [("new_a", "held")]), (2, [])):
        survivor.held = value
        assert [*referrers.references("survivor", survivor, NewModules({"new_a": new}))] == found
