"""Contents of modules, without pytest: what a context undoes, what it leaves, and what it keeps alive."""

from __future__ import annotations

import gc
import importlib
import sys
import weakref
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_import_isolation import IsolatedImportContext
from pytest_import_isolation.contents.ledger import CONTENTS
from pytest_import_isolation.contents.read_names import (
    modules_in_imports,
    names_read_at_import,
    taken_at_import,
)
from pytest_import_isolation.contents.restoring import put_back
from pytest_import_isolation.contents.source_writes import (
    copies_attribute,
    may_write_attributes,
    may_write_to,
    owners_in,
    patched_in,
    writes_of,
)
from pytest_import_isolation.contents.spaces import value_of
from pytest_import_isolation.contents.values import is_mock, is_same, kind_of
from pytest_import_isolation.contents.watched_modules import Wanting, WatchedModules
from pytest_import_isolation.contents.write_statements import possible_writes, statements_writing
from pytest_import_isolation.contents.writers import Writers
from pytest_import_isolation.machinery.modules import ABSENT
from pytest_import_isolation.state.origins import Origins

_SOURCE = """
_cache = None
RATE = 5
def load():
    global _cache
    _cache = _cache or object()
    return _cache
def price():
    global price
    price = lambda: 2
    return price()
class Cart:
    def total(self): return 1
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a first-party module, loaded before any context."""
    tmp_path.joinpath("cnt").mkdir()
    tmp_path.joinpath("cnt/__init__.py").write_text("")
    tmp_path.joinpath("cnt/shop.py").write_text(_SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("cnt.shop")
    del sys.modules["cnt"]
    del sys.modules["cnt.shop"]


def test_a_context_puts_back_what_the_code_in_it_wrote_and_names_it(shop: Any) -> None:
    before = dict(vars(shop))
    total = shop.Cart.total
    with IsolatedImportContext() as context:
        shop.RATE = mock.Mock()
        shop.Cart.total = lambda self: 9
        shop.EXTRA = 1
        del shop.load
    assert dict(vars(shop)) == before
    assert shop.Cart.total is total
    assert set(context.changes.contents) == {
        "cnt.shop.RATE: assigned",
        "cnt.shop.Cart.total: assigned",
        "cnt.shop.EXTRA: added",
        "cnt.shop.load: removed",
    }
    assert "restored cnt.shop.RATE: assigned" in str(context.changes)


def test_what_the_module_did_to_itself_stays(shop: Any) -> None:
    with IsolatedImportContext() as context:
        kept = shop.load()
    assert shop.load() is kept
    assert not context.changes


def test_a_reload_is_undone_as_a_whole_and_keeps_what_the_module_had_done_to_itself(shop: Any) -> None:
    cart, spec = shop.Cart, shop.__spec__
    with IsolatedImportContext() as context:
        kept = shop.load()
        shop.RATE = 7
        importlib.reload(shop)
        assert shop.Cart is not cart
    assert (shop.Cart, shop.__spec__, shop.RATE, shop._cache) == (cart, spec, 5, kept)
    assert context.changes.contents == ("cnt.shop: reloaded",)


def test_what_a_patch_put_back_after_a_reload_stays(shop: Any) -> None:
    price = shop.price
    with IsolatedImportContext() as context:
        # It is a function again, and the module stores that name itself: nothing says whose doing it is.
        with mock.patch("cnt.shop.price", autospec=True):
            assert shop.price is not price
            importlib.reload(shop)
        assert shop.price is price
    assert shop.price is price
    assert context.changes.contents == ("cnt.shop: reloaded",)


def test_a_body_that_was_executed_again_by_its_loader_is_a_reload(shop: Any) -> None:
    cart = shop.Cart
    with IsolatedImportContext() as context:
        shop.__spec__.loader.exec_module(shop)
        assert shop.Cart is not cart
    assert shop.Cart is cart
    assert context.changes.contents == ("cnt.shop: reloaded",)


def test_contexts_undo_one_after_the_other(shop: Any) -> None:
    with IsolatedImportContext():
        shop.RATE = 6
        with IsolatedImportContext():
            shop.RATE = 7
        assert shop.RATE == 6
    assert shop.RATE == 5


@pytest.fixture
def colorsys() -> Iterator[Any]:
    yield importlib.import_module("colorsys")
    sys.modules.pop("colorsys", None)  # other tests want to load it


def test_a_module_of_the_standard_library_is_put_back_too(colorsys: Any) -> None:
    before = colorsys.hls_to_rgb
    with IsolatedImportContext() as context:
        colorsys.hls_to_rgb = mock.Mock()
        importlib.reload(colorsys)
    assert colorsys.hls_to_rgb is before
    assert context.changes.contents == ("colorsys: reloaded",)


def test_a_reload_is_undone_once_where_modules_were_loaded_too(tree: Any, colorsys: Any) -> None:
    tree({"cnt_new.py": ""})
    with IsolatedImportContext() as context:
        importlib.reload(colorsys)
        importlib.import_module("cnt_new")
    assert context.changes.contents == ("colorsys: reloaded",)


def test_values_whose_methods_raise_are_put_back_without_asking_them(shop: Any) -> None:
    def refuse(self: object, *args: object) -> Any:
        raise AssertionError

    names = ("__eq__", "__hash__", "__bool__", "__repr__")
    odd = type("Odd", (), {**dict.fromkeys(names, refuse), "__class__": property(refuse)})
    with IsolatedImportContext():
        shop.RATE = odd()
        shop.Cart.total = odd()
    assert shop.RATE == 5
    assert shop.Cart().total() == 1


def test_a_metaclass_is_not_asked_when_a_class_is_put_back(shop: Any) -> None:
    class Meta(type):
        def __setattr__(cls, name: str, value: object) -> None:
            raise AssertionError

    cls = Meta("Picky", (), {"__module__": "cnt.shop", "__qualname__": "Picky", "total": 1})
    shop.Picky = cls
    with IsolatedImportContext() as context:
        type.__setattr__(cls, "total", mock.Mock())
    assert cls.total == 1  # type: ignore[attr-defined]
    assert context.changes.contents == ("cnt.shop.Picky.total: assigned",)


def test_no_module_is_kept_alive(shop: Any) -> None:
    other = sys.modules["cnt_other"] = ModuleType("cnt_other")
    other.thing = type("Thing", (), {"__module__": "cnt_other"})  # type: ignore[attr-defined]
    shop.other = other
    CONTENTS.take()
    module, thing = weakref.ref(other), weakref.ref(other.thing)  # type: ignore[attr-defined]
    del sys.modules["cnt_other"], shop.other, other
    gc.collect()
    assert module() is None
    assert thing() is None
    CONTENTS.take()


@pytest.mark.usefixtures("with_and_without_versions")
def test_no_class_of_a_module_that_is_gone_is_kept_alive(shop: Any) -> None:
    other: Any = ModuleType("cnt_other")
    sys.modules["cnt_other"] = other
    exec("class Thing: pass\nclass Other(Thing):\n    def method(self): super().method()", vars(other))
    CONTENTS.take()
    things = weakref.ref(other.Thing), weakref.ref(other.Other)
    del sys.modules["cnt_other"], other
    gc.collect()
    assert [thing() for thing in things] == [None, None]
    CONTENTS.take()


def test_a_look_at_what_has_not_changed_gives_the_same_object(shop: Any) -> None:
    state = CONTENTS.take()
    assert CONTENTS.changes(state) == []
    if CONTENTS._versions._cells:
        assert CONTENTS.take() is state
    shop.RATE = 6
    assert [(change.full_name, change.before, change.after) for change in CONTENTS.changes(state)] == [
        ("cnt.shop.RATE", 5, 6)
    ]
    shop.RATE = 5


def test_a_module_that_is_executed_is_known_from_then_on(tmp_path: Path, shop: Any) -> None:
    tmp_path.joinpath("cnt_late.py").write_text("RATE = 5\n")
    with IsolatedImportContext():
        CONTENTS.take()
        late: Any = importlib.import_module("cnt_late")
        state = CONTENTS.take()
        assert "cnt_late" in {space.name for space in state}
        late.RATE = 6
        assert [change.full_name for change in CONTENTS.changes(state)] == ["cnt_late.RATE"]


def test_a_look_after_a_write_finds_it_and_the_classes_that_came_with_it(shop: Any) -> None:
    with IsolatedImportContext():
        first = CONTENTS.take()
        shop.RATE = 7
        second = CONTENTS.take()
        shop.New = type("New", (), {"__module__": "cnt.shop", "size": 1})
        third = CONTENTS.take()
        shop.New.size = 2
        changes = CONTENTS.changes(third)
    assert [space.name for space, copy in second.items() if first.get(space) is not copy] == ["cnt.shop"]
    assert "cnt.shop.New" in {space.name for space in third.keys() - second.keys()}
    assert [change.full_name for change in changes] == ["cnt.shop.New.size"]


def test_a_statement_that_stores_the_name_is_likelier_than_one_that_stores_any(tmp_path: Path) -> None:
    test, conftest, other = (tmp_path / name for name in ("test_a.py", "conftest.py", "helper.py"))
    test.write_text("def test_a(thing, name):\n    delattr(thing, name)\n")
    conftest.write_text("import shop\n\nshop.RATE = 7\n")
    other.write_text("def clear(thing, name):\n    delattr(thing, name)\n")
    writers = Writers(Origins())
    change: Any = mock.NonCallableMock()
    change.name = "RATE"
    found = [
        writers.statement(change, map(str, files))
        for files in ((test, conftest), (test, other), (other, test))
    ]
    assert [one and (Path(one.file).name, one.statement.line) for one in found] == [
        ("conftest.py", 3),
        ("test_a.py", 2),
        ("helper.py", 2),
    ]


def test_texts_say_which_names_they_write() -> None:
    writes = writes_of(
        "import shop\n"
        "def f():\n    global mine\n    mine = 1\n"
        "shop.a = 1\n"
        "del shop.b\n"
        "setattr(shop, 'c', 1)\n"
        "patch('shop.d').start()\n"
        "patch.multiple(shop, e=1)\n"
        "print(shop.read)\n"
    )
    assert writes.own == {"mine"}
    assert {"a", "b", "c"} <= writes.attributes
    assert {"d", "e"} <= writes.any
    assert "read" not in writes.any
    assert [one.line for one in statements_writing(possible_writes("x = 1\nshop.a = 2\n"), "a")] == [2]
    assert writes_of("def (") == writes_of("")


def test_texts_say_whose_attributes_they_write() -> None:
    targets = writes_of(
        "import shop.rates as r\n"
        "from shop import core\n"
        "r.a = 1\n"
        "vars(core)['b'] = 1\n"
        "sys.modules['shop.db'].c = 1\n"
        "exec('core.d = 1')\n"
        "found = shop.till\n"
        "found.e = 1\n"
        "patch('shop.mail.send').start()\n"
        "monkeypatch.setattr(core, 'f', 1)\n"
        "made = make()\n"
        "made.g = 1\n"
        "def test(db): db.h = 1\n"
        "for name in names: setattr(core, name, 1)\n"
    ).targets
    assert targets.named == {
        *(("rates", "a"), ("core", "b"), ("db", "c"), ("core", "d"), ("till", "e"), ("mail", "send")),
        *(("", "g"), ("", "h")),
    }
    assert targets.may_have("db", "h")
    assert targets.computed == {"core"}
    assert not writes_of("def f(self, name): setattr(self, name, 1)").targets.is_computed
    assert writes_of("self.a = other.b = 1").any == {"b"}


@pytest.mark.parametrize(
    "text",
    [
        "app.limit = 1",
        "app.limit += 1",
        "app.limit: int = 1",
        "app.other, app.limit = 1, 2",
        "(app.limit) = 1",
        "[app.limit, app.other] = 1, 2",
        "del app.limit",
        "for app.limit in (1, 2): pass",
        "with opened() as app.limit: pass",
        "setattr(app, 'limit', 1)",
        "patch('app.limit', 1)",
        'patch(f"{app}.limit", 1)',
        "patch('app.' 'limit')",
        "patch(\n    'app.limit',\n)",
        "patch.multiple(app, limit=1)",
        "patch.multiple(app, limit = 1)",
        "vars(app).update(limit=1)",
        "vars(app)['limit'] = 1",
        "app.limit **= 2",
        "app.limit \\\n = 1",
        "(\n    app.limit,\n    app.other,\n) = 1, 2",
        "for app.other, app.limit in things: pass",
        "for (app.limit) in things: pass",
        "with opened() as app.limit, opened(): pass",
        "with opened() as (app.other, app.limit): pass",
        "del app.other, app.limit",
        "del (app.limit)",
        "del other, \\\n    app.limit",
        "del (\n    app.limit\n)",
        "(\n    app.limit, other\n) = 1, 2",
        "(app.limit\n) = 1",
        "(other,\n app.limit\n), another = things",
        "for (other,\n     app.limit\n) in things: pass",
        "with (opened() as app.limit\n): pass",
        "[0 for app.limit\n in things]",
    ],
)
def test_what_writes_to_a_name_is_seen_before_the_text_is_parsed(text: str) -> None:
    assert "limit" in writes_of(text).any | writes_of("vars(app)\n" + text).any
    assert may_write_to(text, "limit")


@pytest.mark.parametrize(
    "text",
    [
        "from app import limit",
        "limit(1)",
        "app.limit()",
        "app.limit.of = 1",
        "app.limit[0] = 1",
        "if app == limit: x",
        "x = app.limit",
        "f(app.limit)",
        "f(app.limit, 1)",
        "f(default_limit=1)",
        "f('default_limit')",
        "from app.limit import x",
        "# What app.limit, or its kin, says.",
    ],
)
def test_what_only_reads_a_name_need_not_be_parsed(text: str) -> None:
    assert not may_write_to(text, "limit")


def test_what_a_module_stores_itself_is_not_copied_any_more(shop: Any) -> None:
    shop.load()
    before = CONTENTS.take()
    space = next(each for each in before if each.owner() is shop)
    space.overlook("_cache")
    shop._cache = None
    without = CONTENTS.take()
    shop._cache = object()
    assert CONTENTS.take()[space] is without[space]
    shop.RATE = 6
    assert {change.name for change in CONTENTS.changes(without)} == {"RATE", "_cache"}
    # What is put back belongs together.
    assert put_back(space, without[space])
    assert (shop.RATE, shop._cache) == (5, None)


@pytest.mark.parametrize(
    ("text", "copies"),
    [
        ("before = app.limits.copy()", True),
        ("before = app.limits[:]", True),
        ("before = app.limits [ : ]", True),
        ("before = copy(app.limits)", True),
        ("before = copy.deepcopy( shop.app.limits )", True),
        ("before = app.limits\nother = dict(app.limits)", True),
        ("before = list(app.limits, 1)", False),
        ("before = listed(app.limits)", False),
        ("before = app.limits.copy", False),
        ("before = app.all_limits.copy()", False),
        ("before = list(limits)", False),
    ],
)
def test_which_texts_copy_what_an_attribute_holds(text: str, copies: bool) -> None:
    assert copies_attribute(text, "limits") is copies


def test_the_folders_of_a_package_are_changed_in_other_words() -> None:
    assert may_write_to("app.__path__.append(folder)", "__path__")


def test_texts_say_by_name_what_they_may_write_to() -> None:
    source = (
        "shop.Cart.total = 1\n"
        "requests.Session.get += 1\n"
        "patch('http.client.Connection.send')\n"
        "patch.object(mail.Sender, 'send')\n"
        "setattr(Order, 'rate', 1)\n"
        "socket.socket.connect = guard\n"
        "vars(shop.Till)['size'] = 1\n"
        "del shop.Rate.size\n"
        "assert shop.Read.size == shop.Other.size()\n"
    )
    assert owners_in(source) == {
        *("Cart", "Session", "Connection", "Sender", "Order", "socket", "Till", "Rate")
    }


def test_texts_say_what_they_read_when_they_are_executed() -> None:
    read = names_read_at_import(
        "@before(x.a)\n"
        "def function(default=x.b): return x.no\n"
        "class Model(x.c):\n    def method(self): return x.no\n"
        "def called(): return x.d\n"
        "later = lambda: x.no\n"
        "CHOICES = called()\n"
        "@registers\nclass Form: pass\n"
        "def registers(cls): return x.e\n"
        "getattr(x, 'f')\n"
    )
    assert read.issuperset("abcdef")
    assert "no" not in read
    assert not names_read_at_import("def (")


def test_texts_say_what_they_take_when_they_are_executed() -> None:
    source = (
        "import os, shop.deep as deep\n"
        "from shop.conf import URL, RATE as rate, SIZE, LATER\n"
        "from . import near\n"
        "from ..up import FAR\n"
        "from shop.all import *\n"
        "try:\n    from fast import dumps\nexcept ImportError as error:\n    from slow import dumps\n"
        "SIZE = 1\n"
        "def function():\n    global LATER\n    from shop.conf import NO\n    return os.no\n"
        "VALUE = shop.deep.conf.FLAG\n"
        "class Model:\n    value = os.environ\n"
    )
    taken = taken_at_import(source, "app.inner")
    assert taken.imported == {
        "URL": ("shop.conf", "URL"),
        "rate": ("shop.conf", "RATE"),
        "near": ("app.inner", "near"),
        "FAR": ("app.up", "FAR"),
    }
    assert taken.all_from == "shop.all"
    assert {"SIZE", "dumps", "error", "VALUE", "Model"} <= taken.bound
    assert {("shop", "deep", "conf", "FLAG"), ("os", "environ")} <= taken.read
    assert ("os", "no") not in taken.read
    assert modules_in_imports(source, "app.inner") >= {
        *("os", "shop.deep", "shop.conf", "app.inner", "app.up", "shop.all", "fast", "slow")
    }
    assert taken_at_import("from a import *\nfrom b import *\n", "").all_from == ""
    assert not taken_at_import("def (", "").imported


def test_a_descriptor_is_the_same_as_another_one_of_the_same_functions_and_nothing_of_it_is_called() -> None:
    class Odd:
        def _no(self, *args: object) -> Any:
            raise AssertionError

        __call__ = __eq__ = _no

        def __hash__(self) -> int:
            raise AssertionError

    class Special(property):
        fget = property(lambda self: 1 / 0)  # type: ignore[assignment]

    odd, other = Odd(), Odd()
    for kind in (staticmethod, classmethod, property):
        assert is_same(kind(odd), kind(odd))
        assert not is_same(kind(odd), kind(other))
        assert not is_same(kind(odd), odd)
    assert not is_same(staticmethod(odd), classmethod(odd))
    assert not is_same(property(odd), property(odd, odd))
    assert not is_same(property(odd), property(odd, doc="another"))
    assert not is_same(Special(odd), Special(odd))
    assert is_same(odd, odd)
    assert not is_same(10**6, int("1000000"))  # there is one of each small number
    marked, named = staticmethod(kind_of), staticmethod(kind_of)
    marked.route = "/"  # type: ignore[attr-defined]
    assert not is_same(marked, named)
    odd_names: dict[Any, object] = {"route": "/", 5: 5}
    named.__dict__.update(odd_names)
    assert not is_same(marked, named)


def test_values_are_told_by_what_they_are() -> None:
    values: list[object] = [ABSENT, None, True, 5, "secret", [], kind_of, mock.Mock()]
    assert [kind_of(value) for value in values] == [
        *("nothing", "None", "True", "5", "a str", "a list"),
        "the function pytest_import_isolation.contents.values.kind_of",
        "a Mock",
    ]
    assert is_mock(mock.AsyncMock())
    assert not is_mock(mock)


@pytest.mark.parametrize(
    "statement",
    [
        "shop.RATE = 5",
        "if is_open(): shop.RATE = 5",
        "if rates[of(1)]: shop.RATE = 5",
        "found = find(1); shop.RATE = 5",
        "find_app().config.RATE = 5",
        "find_app().RATE: int = 5",
        "shop.RATE: int = 5",
        *(
            f"shop.RATE {sign}= 5"
            for sign in ("<<", ">>", "//", "**", "+", "-", "@", "|", "^", "&", "%", "*", "/")
        ),
        "shop.RATE, others = 1, 2",
        "others, shop.RATE = 1, 2",
        "[others, shop.RATE] = 1, 2",
        "if is_open(): shop.RATE, others = 1, 2",
        "open(); shop.RATE, others = 1, 2",
        "self.shop = shop.RATE = 5",
        "self.shop.RATE = 5",
        "shop \\\n.RATE = 5",
        "shop.RATE \\\n= 5",
        "del shop.RATE",
        "del(shop.RATE)",
        "for n, shop.RATE in []: pass",
        "[0 for shop.RATE in []]",
        "with open() as (others, shop.RATE): pass",
        "setattr(shop, 'RATE', 5)",
        "object.__setattr__(shop, 'RATE', 5)",
        "type(shop).__delattr__(shop, 'RATE')",
        "loader.load_module('shop')",
        "imp.load_source('shop', 'shop.py')",
    ],
)
def test_a_look_at_a_text_finds_every_form_of_a_write(statement: str) -> None:
    assert may_write_attributes(statement)
    assert may_write_attributes(
        f"import shop\n\n\ndef test_it(self):\n    {statement}\n    assert shop.RATE == 5\n"
    )


@pytest.mark.parametrize(
    "statement",
    [
        "assert shop.RATE == 5",
        "assert shop.rate(n=1) <= 5 != shop.RATE",
        "rate = shop.RATE",
        "rate(of=shop.RATE)",
        "rate(shop.RATE, n=1)",
        "rates = {'shop': shop.RATE}",
        "rates = [shop.RATE for shop in shops.all]",
        "import shop.rates as rates",
        "with open(shop.FILE) as file, open(shop.OTHER) as other: pass",
        "self.rate = shop.RATE",
        "cls.rate = 5",
    ],
)
def test_a_look_at_a_text_passes_over_what_only_reads(statement: str) -> None:
    assert not may_write_attributes(f"import shop\n\n\ndef test_it(self):\n    {statement}\n")


def test_a_context_in_which_nothing_happens_is_no_change_to_anything(shop: Any) -> None:
    gc.disable()  # Hypothesis counts collections in a module of its own
    try:
        with IsolatedImportContext():
            state = CONTENTS.take()
            for _ in range(2):
                with IsolatedImportContext() as context:
                    pass
                assert context.changes.contents == ()
                assert CONTENTS.take() is state or not CONTENTS._versions._cells
    finally:
        gc.enable()


_STEPS = ("load", "leave", "leave alive", "return", "write", "write to class", "add class", "remove", "look")


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(_STEPS), st.sampled_from("abc")), max_size=40))
def test_what_is_known_is_what_the_loaded_modules_hold_whatever_happened(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str]]
) -> None:
    file = str(tmp_path_factory.getbasetemp() / "cnt_any.py")
    alive: dict[str, ModuleType] = {}
    try:
        with IsolatedImportContext():
            for number, (step, letter) in enumerate(steps):
                _do(step, f"cnt_{letter}", number, file, alive)
                if step == "look":
                    _assert_known()
            _assert_known()
    finally:
        for name in ("cnt_a", "cnt_b", "cnt_c"):
            sys.modules.pop(name, None)


def _do(step: str, name: str, number: int, file: str, alive: dict[str, ModuleType]) -> None:
    module: Any = sys.modules.get(name)
    if step == "load" and module is None:
        module = sys.modules[name] = ModuleType(name)
        vars(module).update(
            __file__=file, RATE=number, Cart=type("Cart", (), {"__module__": name, "size": 1})
        )
    elif step == "return" and module is None and name in alive:
        sys.modules[name] = alive.pop(name)
    elif module is None:
        return
    elif step == "leave":
        del sys.modules[name]
    elif step == "leave alive":
        alive[name] = sys.modules.pop(name)
    elif step == "write":
        module.RATE = number
    elif step == "write to class":
        module.Cart.size = number
    elif step == "add class":
        module.New = type("New", (), {"__module__": name, "size": number})
    elif step == "remove":
        vars(module).pop("New", None)


def _assert_known() -> None:
    known = {id(owner): space for space in CONTENTS.take() if (owner := space.owner()) is not None}
    loaded = {name: module for name, module in sys.modules.items() if name.startswith("cnt_")}
    assert {space.home for space in known.values() if space.home.startswith("cnt_")} == loaded.keys()
    for module in loaded.values():
        for owner in (module, module.Cart, *([module.New] if "New" in vars(module) else [])):
            held = {name: value_of(value) for name, value in known[id(owner)].copy.items()}
            assert held == dict(vars(owner))


@pytest.fixture
def two_modules(tmp_path: Path) -> Iterator[tuple[Any, Any]]:
    modules: list[Any] = []
    for name in ("cnt_first", "cnt_last"):
        module: Any = ModuleType(name)
        sys.modules[name] = module
        module.__file__ = str(tmp_path / f"{name}.py")
        module.RATE = 5
        modules.append(module)
    with IsolatedImportContext():
        yield modules[0], modules[1]
    for name in ("cnt_first", "cnt_last", "cnt_other_name"):
        sys.modules.pop(name, None)


def test_what_a_module_holds_is_known_while_the_one_behind_it_is_away(two_modules: tuple[Any, Any]) -> None:
    first, last = two_modules
    before = CONTENTS.take()
    del sys.modules["cnt_last"]
    first.RATE = 6
    assert [change.full_name for change in CONTENTS.changes(before)] == ["cnt_first.RATE"]
    assert "cnt_last" not in {space.home for space in CONTENTS.take()}
    last.RATE = 7
    sys.modules["cnt_last"] = last
    found = CONTENTS.changes(before)
    assert [(change.full_name, change.before, change.after) for change in found] == [
        ("cnt_first.RATE", 5, 6),
        ("cnt_last.RATE", 5, 7),
    ]


def test_a_module_that_loses_its_last_name_is_looked_at_under_its_first(
    two_modules: tuple[Any, Any],
) -> None:
    first, _ = two_modules
    sys.modules["cnt_other_name"] = first
    before = CONTENTS.take()
    del sys.modules["cnt_other_name"]
    CONTENTS.take()
    first.RATE = 6
    assert [change.full_name for change in CONTENTS.changes(before)] == ["cnt_first.RATE"]


def test_an_entry_that_has_no_namespace_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A class may stand in sys.modules, as typing.re did: there is nothing to look at, ever."""
    watched = WatchedModules(lambda key: False)
    watched.wanting.append(Wanting(lambda file: {"re", "io"}, lambda: ["test_a.py"], list, Origins()))
    entries: dict[Any, object] = {"cnt_odd.re": type("re", (), {})}
    monkeypatch.setitem(sys.modules, "cnt_odd.re", entries["cnt_odd.re"])
    list(watched.among(entries))
    assert not watched.names_more()
    entries["cnt_odd.io"] = module = ModuleType("cnt_odd.io")
    watched.wanting[0] = Wanting(lambda file: frozenset(), lambda: ["test_b.py"], list, Origins())
    list(watched.among(entries))
    watched.wanting[0] = Wanting(lambda file: {"io"}, lambda: ["test_a.py"], list, Origins())
    assert not watched.names_more()  # it is not loaded
    monkeypatch.setitem(sys.modules, "cnt_odd.io", module)
    assert watched.names_more()


def test_a_failed_import_is_not_asked_about(unchanged: None) -> None:
    """A module that is being imported is asked about at each look, as long as it is there."""
    wanting = Wanting(lambda file: frozenset(), tuple, tuple, Origins())
    module = ModuleType("con_begun")
    spec: Any = ModuleSpec("con_begun", None)
    spec._initializing = True
    module.__spec__ = spec
    CONTENTS.start(wanting)
    CONTENTS.take()
    try:
        sys.modules["con_begun"] = module
        CONTENTS.take()
        del sys.modules["con_begun"]
        CONTENTS.take()
        sys.modules["con_new"] = ModuleType("con_new")
        CONTENTS.take()
    finally:
        sys.modules.pop("con_new", None)
        CONTENTS.stop(wanting)


def test_what_a_module_wrote_when_it_was_executed_goes_with_it(
    shop: Any, colorsys: Any, tmp_path: Path, with_and_without_versions: None
) -> None:
    tmp_path.joinpath("cnt/patching.py").write_text(
        "import colorsys\n_before = colorsys.rgb_to_hsv\n"
        "def rgb_to_hsv(*given): return _before(*given)\n"
        "colorsys.rgb_to_hsv = rgb_to_hsv\n"
    )
    before = colorsys.rgb_to_hsv
    for _ in range(2):
        with IsolatedImportContext() as context:
            patching: Any = importlib.import_module("cnt.patching")
            assert colorsys.rgb_to_hsv is patching.rgb_to_hsv
            assert patching._before is before
        assert colorsys.rgb_to_hsv is before
        assert "colorsys.rgb_to_hsv: assigned" in context.changes.contents


@pytest.mark.parametrize(
    ("source", "patched"),
    [
        ("json.dumps = 1", [("json", "dumps")]),
        ("one, a.b.c=2", [("a.b", "c")]),
        ("setattr(a.b, 'c', 1)", [("a.b", "c")]),
        ("class A:\n    def f(self): self.x = cls.y = 1", []),
        ("json.dumps == 1; json.dumps(1); (f() or b).c += 1", []),
    ],
)
def test_which_attributes_a_text_may_patch(source: str, patched: list[tuple[str, str]]) -> None:
    assert [*patched_in(source)] == patched
