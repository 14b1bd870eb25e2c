"""The code that a function can call, by names alone."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from pytest_import_isolation.leaks.reachable_code import Reach, reachable_code


def _module(name: str, source: str, **more: object) -> ModuleType:
    module = ModuleType(name)
    module.__dict__.update(more)
    exec(compile(source, f"{name}.py", "exec"), module.__dict__)
    return module


def _names(*functions: object) -> list[str]:
    return [one.code.co_name for one in reachable_code(functions, (), lambda file: file.endswith(".py"))]


def test_a_function_of_a_module_in_a_package_is_reached_through_the_package() -> None:
    inner = _module("app.shop.carts", "def total(): return 1\n")
    shop = _module("app.shop", "", carts=inner)
    user = _module("user", "def use(): return app.shop.carts.total()\n", app=_module("app", "", shop=shop))
    assert _names(user.use) == ["use", "total"]


def test_a_method_of_what_an_object_holds_is_reached_through_it() -> None:
    user = _module(
        "user",
        "class Cart:\n"
        "    def total(self): pass\n"
        "class Shop:\n"
        "    cart = Cart()\n"
        "shop = Shop()\n"
        "def use(): return shop.cart.total()\n",
    )
    assert _names(user.use) == ["use", "total"]


def test_packages_that_hold_each_other_are_looked_at_once() -> None:
    names = [f"part{number}" for number in range(20)]
    parts = {name: ModuleType(name) for name in names}
    for part in parts.values():
        part.__dict__.update(parts)
    source = f"def use(): return {'.'.join(names)}.total()\n"
    parts["part19"].__dict__["total"] = _module("app", "def total(): pass\n").total
    assert _names(_module("user", source, part0=parts["part0"]).use) == ["use", "total"]


def test_methods_inner_functions_and_what_is_wrapped_are_reached() -> None:
    user = _module(
        "user",
        "import functools\n"
        "class Cart:\n"
        "    def __init__(self): start()\n"
        "    def total(self): return [price() for _ in 'a']\n"
        "def start(): pass\n"
        "@functools.lru_cache\n"
        "def price(): pass\n"
        "def use(): return Cart().total()\n",
    )
    assert {"use", "total", "__init__", "start", "price"} <= {*_names(user.use)}


def test_code_of_others_and_in_a_mapping_of_a_users_own_is_not_followed() -> None:
    class Space(dict[str, Any]):
        def get(self, *_: object) -> object:
            pytest.fail("its code ran")

    foreign = _module("foreign", "def own(): return hidden()\ndef hidden(): pass\n")
    code = compile("def odd(): return hidden()\n", "odd.py", "exec")
    space = Space()
    exec(code, space)
    user = _module("user", "def use(): return own(), odd()\n", own=foreign.own, odd=space["odd"])
    told = [one.code.co_name for one in reachable_code([user.use], (), "foreign.py".__ne__)]
    assert told == ["use"]


def test_the_nearest_use_of_a_value_is_told_with_what_calls_it() -> None:
    class Held: ...

    held = Held()
    near = _module("near", "def near(): return held\n", held=held)
    far = _module("far", "def far(): return held\n", held=held)
    user = _module("user", "def use(): return far(), near()\n", far=far.far, near=near.near)
    reach = Reach([user.use], (), lambda file: True)
    for identity in (id(held), id(Held)):
        (use,) = reach.uses_among({identity, id(object())})
        assert (use.code.code.co_name, use.code.caller and use.code.caller.code.co_name) == ("far", "use")


def test_who_is_in_a_module_or_uses_it_or_a_class_of_it_can_read_its_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates = _module("rates_of_test", "RATE = 5\ndef double(): return 2 * RATE\nclass Rate: pass\n")
    monkeypatch.setitem(sys.modules, "rates_of_test", rates)
    source = "def use(): return double(), rates.RATE, Rate.RATE, other()\ndef other(): return RATE\n"
    user = _module("user", source, double=rates.double, rates=rates, Rate=rates.Rate, RATE=7)
    uses = Reach([user.use], (), lambda file: True).reads_of("rates_of_test")
    assert {use.code.code.co_name for use in uses if use.reads(frozenset(("RATE",)))} == {"use", "double"}
