"""The tables of dictionaries: every change shows in them, and what nobody can read is not known."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_import_isolation.machinery import key_tables
from pytest_import_isolation.machinery.dict_versions import other_cells
from pytest_import_isolation.machinery.key_tables import GatheredTables, KeyTable, read_tables

ARE_READ = (
    sys.implementation.name == "cpython"
    and (3, 12) <= sys.version_info < (3, 16)
    and getattr(sys, "_is_gil_enabled", lambda: True)()
    and sys.maxsize > 2**32
)
needs_tables = pytest.mark.skipif(not ARE_READ, reason="this interpreter keeps its dictionaries another way")

_KEYS = st.sampled_from([f"name_{number}" for number in range(12)])
_VALUES = st.integers(0, 3)
_CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("set"), _KEYS, _VALUES),
        st.tuples(st.just("pop"), _KEYS),
        st.tuples(st.sampled_from(("clear", "popitem", "grow", "copy"))),
    ),
    max_size=12,
)


def _change(table: dict[Any, object], objects: list[object], what: str, *arguments: Any) -> None:
    if what == "set":
        table[arguments[0]] = objects[arguments[1]]
    elif what == "pop":
        table.pop(arguments[0], None)
    elif what == "grow":
        table.update((f"more_{number}", objects[0]) for number in range(40))
    elif what != "popitem" or table:
        getattr(table, what)()


def _is_same(table: dict[Any, object], was: list[tuple[Any, object]]) -> bool:
    return [*map(id, table.values())] == [id(value) for _, value in was] and [*table] == [k for k, _ in was]


def test_they_are_read_where_they_are_known() -> None:
    assert key_tables.ARE_KNOWN is ARE_READ


@needs_tables
@given(st.dictionaries(_KEYS, _VALUES), _CHANGES)
def test_each_change_gives_another_number(numbers: dict[str, int], changes: list[tuple[Any, ...]]) -> None:
    objects = [object() for _ in range(4)]
    dictionary: dict[Any, object] = {key: objects[number] for key, number in numbers.items()}
    table = KeyTable(dictionary)
    seen = [table.value]
    for change in changes:
        was = [*dictionary.items()]
        _change(dictionary, objects, *change)
        if not _is_same(dictionary, was):
            assert table.value not in seen
        elif change[0] == "copy":
            assert table.value == seen[-1]
        seen.append(table.value)
        assert table.value == seen[-1] == read_tables([table])
    assert KeyTable(dictionary).value not in seen


@needs_tables
def test_what_lies_in_it_is_the_keys_and_values() -> None:
    dictionary = dict.fromkeys(("one", "two", "three"), object())
    addresses = [id(each).to_bytes(8, sys.byteorder) for entry in dictionary.items() for each in entry]
    assert KeyTable(dictionary).entries == b"".join(addresses)


@needs_tables
def test_several_are_read_at_once_and_only_the_changed_one_has_another_number() -> None:
    several: list[dict[str, object]] = [{"one": number} for number in range(5)]
    tables = [*map(KeyTable, several)]
    before = read_tables(tables)
    assert read_tables(tables) == before
    several[3]["two"] = 1
    after = read_tables(tables)
    assert [*other_cells(before, after)] == [3]
    assert read_tables([]) == b""


@needs_tables
@given(st.lists(st.tuples(st.integers(0, 5), _CHANGES, st.integers(0, 4)), max_size=8), st.integers(0, 6))
def test_gathered_ones_give_the_numbers_of_each(
    rounds: list[tuple[int, list[tuple[Any, ...]], int]], first: int
) -> None:
    objects = [object() for _ in range(4)]
    several: list[dict[Any, object]] = [{f"name_{key}": key for key in range(at)} for at in range(6)]
    tables = [*map(KeyTable, several)]
    together = GatheredTables(tables[:first]).extended(tables[first:])
    for at, changes, looks in rounds:
        for _ in range(looks):
            assert together.read() == read_tables(tables)
        for change in changes:
            _change(several[at], objects, *change)
        assert together.read() == read_tables(tables)


@needs_tables
def test_gathered_ones_are_not_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    several: list[dict[str, object]] = [{"one": number} for number in range(50)]
    together = GatheredTables([*map(KeyTable, several)])
    numbers = {together.read() for _ in range(4)}
    with monkeypatch.context() as patch:
        patch.setattr(key_tables, "read_tables", None)
        assert {together.read()} == numbers
        several[3]["one"] = 100
        with pytest.raises(TypeError):
            together.read()
    assert together.read() not in numbers


@needs_tables
def test_one_of_which_nobody_can_read_the_table_is_a_change_at_each_look() -> None:
    together = GatheredTables([KeyTable({"one": 1}), KeyTable({1: 2})])
    assert len({together.read() for _ in range(8)}) == 8


class _Odd:
    def __eq__(self, other: object) -> bool:
        raise SystemExit("eq")

    def __hash__(self) -> int:
        return 1


@needs_tables
@pytest.mark.parametrize(
    "dictionary", [{1: 2}, {_Odd(): 1}, {"one": 1, None: 2}], ids=["number", "odd", "none"]
)
def test_with_a_key_that_is_no_string_each_look_is_told_of_a_change(dictionary: dict[Any, object]) -> None:
    table = KeyTable(dictionary)
    assert table.entries == b""
    assert table.value != table.value
    dictionary.clear()
    assert table.value == table.value


@needs_tables
def test_values_beside_the_table_are_a_change_at_each_look() -> None:
    space = vars(type("Plain", (), {"__init__": lambda self: setattr(self, "one", 1)})())
    table = KeyTable(space)
    space["one"] = 2
    seen = {table.value}
    space["one"] = 3
    assert table.value not in seen


@needs_tables
@pytest.mark.usefixtures("many_turns")
@pytest.mark.parametrize("is_gathered", [False, True], ids=["alone", "gathered"])
def test_another_thread_may_fill_and_empty_the_table(is_gathered: bool) -> None:
    table: dict[str, object] = {f"name_{number}": number for number in range(100)}
    is_over = threading.Event()

    def fill() -> None:
        number = 0
        while not is_over.is_set():
            number += 1
            table[f"more_{number}"] = number
            if number % 3000 == 0:
                table.clear()  # the memory of a large table goes back at once
                if is_gathered:
                    time.sleep(0.001)  # else it is never the same long enough

    thread = threading.Thread(target=fill)
    thread.start()
    try:
        read = KeyTable(table)
        together = GatheredTables([read])
        for _ in range(20_000):
            assert len(together.read() if is_gathered else read.value) == 8
    finally:
        is_over.set()
        thread.join()
    assert read.value == read.value
    assert bool(read.entries) is bool(table)


def test_reading_them_does_not_load_ctypes(run_script: Callable[..., str]) -> None:
    run_script(
        "import sys\nimport pytest_import_isolation.machinery.key_tables\nassert 'ctypes' not in sys.modules"
    )
