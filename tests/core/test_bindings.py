"""What packages hold for their submodules, read again only for what was added to a table."""

from __future__ import annotations

import sys
from types import ModuleType

from hypothesis import given
from hypothesis import strategies as st

from pytest_import_isolation.machinery.modules import ABSENT
from pytest_import_isolation.state.entries import Entries
from pytest_import_isolation.state.odd_keys import entries_in
from pytest_import_isolation.state.restoring import restore
from pytest_import_isolation.state.snapshot import ImportState
from pytest_import_isolation.state.submodule_attributes import BindingIndex

_PARTS = st.sampled_from("abc")
_NAMES = st.lists(_PARTS, min_size=1, max_size=3).map(".".join)


def _table(names: list[str], bound: set[str]) -> dict[str, ModuleType]:
    modules = {name: ModuleType(name) for name in names}
    for name in bound & modules.keys():
        parent, _, child = name.rpartition(".")
        if parent in modules:
            setattr(modules[parent], child, modules[name])
    return modules


@given(st.lists(_NAMES, unique=True), st.sets(_NAMES), st.integers(0, 10), st.booleans())
def test_an_index_that_grew_reads_what_a_new_one_reads(
    names: list[str], bound: set[str], number: int, with_a_third: bool
) -> None:
    table = _table(names, bound)
    before = BindingIndex(Entries(dict(list(table.items())[:number])))
    if with_a_third:
        before = BindingIndex(Entries(dict(list(table.items())[: number + 2])), before)
    grown, new = BindingIndex(Entries(dict(table)), before), BindingIndex(Entries(dict(table)))
    assert dict(zip(grown.names, grown.read(), strict=True)) == dict(zip(new.names, new.read(), strict=True))
    assert sorted(grown.names) == sorted(
        name for name in table if "." in name and name.rpartition(".")[0] in table
    )
    for name, value in zip(grown.names, grown.read(), strict=True):
        assert value is (table[name] if name in bound else ABSENT)
    assert grown.entries.are_of(dict(table))
    assert new.entries.are_of(dict(table))


@given(
    st.lists(_NAMES, unique=True), st.sets(_NAMES), st.integers(0, 10), st.integers(0, 10), st.sets(_NAMES)
)
def test_an_index_that_grew_from_one_that_was_read_sees_what_changed_since(
    names: list[str], bound: set[str], number: int, more: int, rebound: set[str]
) -> None:
    table = _table(names, bound)
    before = BindingIndex(Entries(dict(list(table.items())[:number])))
    before.read()
    for name in rebound & table.keys():
        parent, _, child = name.rpartition(".")
        if parent in table:
            setattr(table[parent], child, before)
    middle = BindingIndex(Entries(dict(list(table.items())[: number + more])), before)
    grown, new = BindingIndex(Entries(dict(table)), middle), BindingIndex(Entries(dict(table)))
    for one in (grown, middle):
        expected = dict(zip(new.names, new.read(), strict=True))
        found = dict(zip(one.names, one.read(), strict=True))
        assert found == {name: expected[name] for name in found}
    assert sorted(grown.names) == sorted(new.names)


@given(st.dictionaries(_NAMES, st.integers()), st.dictionaries(_NAMES, st.integers()), st.booleans())
def test_what_was_appended_is_known_only_if_nothing_else_changed(
    before: dict[str, int], more: dict[str, int], changed: bool
) -> None:
    objects: dict[str, object] = {name: ModuleType(name) for name in before}
    entries, first = Entries(objects.copy()), next(iter(objects), "")
    now = {**objects, **{name: ModuleType(name) for name in more if name not in objects}}
    if changed and objects:
        now[first] = ModuleType("another")
        assert entries.changes_to(Entries(now.copy())).replaced == {first: (objects[first], now[first])}
        del now[first]
        assert entries.changes_to(Entries(now.copy())).removed == {first: objects[first]}
    else:
        found = {name: module for name, module in now.items() if name not in objects}
        assert entries.changes_to(Entries(now.copy())) == (found, {}, {})


def test_a_key_that_cannot_be_compared_is_a_change() -> None:
    class Key:
        def __init__(self) -> None:
            self.hash = 1

        def __hash__(self) -> int:
            return self.hash

        def __eq__(self, other: object) -> bool:
            raise RuntimeError

    one, other = Key(), Key()
    other.hash = 2
    before, after = entries_in({one: sys}), entries_in({other: sys, "sys": sys})
    changes = Entries(before).changes_to(Entries(after))
    assert [key.key for key in changes.removed] == [one]
    assert [key.key for key in changes.added if key != "sys"] == [other]
    index = BindingIndex(Entries(before))
    assert BindingIndex(Entries(after), index).entries.keys.objects[1:] == ("sys",)


def test_a_package_that_another_one_replaces_brings_its_own_attributes(unchanged: None) -> None:
    packages, submodules = [ModuleType("bnd_pkg"), ModuleType("bnd_pkg")], [ModuleType("s"), ModuleType("s")]
    for package, submodule in zip(packages, submodules, strict=True):
        package.sub = submodule  # type: ignore[attr-defined]
    sys.modules.update({"bnd_pkg": packages[0], "bnd_pkg.sub": submodules[0]})
    try:
        around, before = ImportState.capture(), ImportState.capture()
        sys.modules["bnd_pkg"] = packages[1]
        around.follow(before.differences(), before)
        assert not around.differences()
        del sys.modules["bnd_pkg"]
        restore(around, lambda leaving: None)
        assert (sys.modules["bnd_pkg"], packages[1].sub) == (packages[1], submodules[1])
    finally:
        del sys.modules["bnd_pkg"], sys.modules["bnd_pkg.sub"]
