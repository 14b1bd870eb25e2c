"""The versions of dictionaries, or the numbers that stand for them: they change with every change.

What compares does without them too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_import_isolation.machinery import dict_versions, key_tables, scattered_memory
from pytest_import_isolation.machinery.dict_versions import (
    CELL_SIZE,
    Moment,
    cell_of,
    gathered,
    other_cells,
    read_cells,
)
from pytest_import_isolation.state.entries import Entries
from pytest_import_isolation.state.submodule_attributes import BindingIndex

HAVE_THEM = (
    sys.implementation.name == "cpython"
    and sys.version_info < (3, 16)
    and (sys.version_info < (3, 14) or sys.maxsize > 2**32)
    and getattr(sys, "_is_gil_enabled", lambda: True)()
)
HAVE_VERSIONS = sys.version_info < (3, 14)
needs_versions = pytest.mark.skipif(
    not HAVE_THEM, reason="neither versions nor key tables can be read without the GIL, or in WebAssembly"
)

_KEYS = st.sampled_from("abcd")
_VALUES = st.integers(0, 3)
_CHANGES = st.one_of(
    st.tuples(st.just("set"), _KEYS, _VALUES),
    st.tuples(st.just("update"), st.dictionaries(_KEYS, _VALUES)),
    st.tuples(st.just("setdefault"), _KEYS, _VALUES),
    st.tuples(st.just("pop"), _KEYS),
    st.tuples(st.sampled_from(("popitem", "clear", "copy", "items"))),
)


def _change(dictionary: dict[str, int], what: str, *arguments: Any) -> None:
    if what == "set":
        dictionary[arguments[0]] = arguments[1]
    elif what == "pop":
        dictionary.pop(arguments[0], None)
    elif what != "popitem" or dictionary:
        getattr(dictionary, what)(*arguments)


def test_they_are_found_where_there_are_any() -> None:
    assert Moment({}).is_known is HAVE_THEM
    assert Moment(sys.modules).is_known is HAVE_THEM


@needs_versions
@given(st.dictionaries(_KEYS, _VALUES), st.lists(_CHANGES, max_size=8))
def test_a_moment_lasts_exactly_as_long_as_nothing_changes(
    dictionary: dict[str, int], changes: list[tuple[Any, ...]]
) -> None:
    moment, was = Moment(dictionary), [*dictionary.items()]
    for change in changes:
        _change(dictionary, *change)
        if [*dictionary.items()] != was:
            assert not moment.lasts_for(dictionary)
        elif change[0] in ("copy", "items"):
            assert moment.lasts_for(dictionary)
        # To clear a dictionary that is empty may count as a change.
        moment, was = Moment(dictionary), [*dictionary.items()]
    assert moment.lasts_for(dictionary)
    assert not moment.lasts_for(dictionary.copy())


@needs_versions
def test_a_moment_is_moved_on_to_the_state_of_now() -> None:
    dictionary, other = {"a": 1}, {"a": 1}
    moment = Moment(dictionary)
    dictionary["a"] = 2
    moment = moment.renewed(dictionary)
    assert moment.lasts_for(dictionary)
    dictionary["a"] = 3
    assert not moment.lasts_for(dictionary)
    assert moment.renewed(other).lasts_for(other)


@given(st.integers(0, 1300), st.sets(st.integers(0, 1299), max_size=5))
def test_those_that_differ_are_found_among_however_many(number: int, differing: set[int]) -> None:
    before = [*range(number)]
    now = [value + 2**40 if at in differing else value for at, value in enumerate(before)]
    packed = [
        b"".join(value.to_bytes(CELL_SIZE, sys.byteorder) for value in values) for values in (before, now)
    ]
    assert [*other_cells(*packed)] == sorted(at for at in differing if at < number)


@needs_versions
def test_every_way_to_write_to_a_module_is_a_change() -> None:
    # Often enough that the interpreter writes by specialized instructions.
    module: Any = ModuleType("written")
    exec("def write(value):\n    global name\n    name = value", module.__dict__)
    cell = cell_of(module.__dict__)
    assert cell is not None
    seen = [cell.value]
    for _ in range(100):
        module.write(object())
        seen.append(cell.value)
        module.name = object()
        seen.append(cell.value)
        module.__dict__.update(name=object())
        seen.append(cell.value)
        del module.name
        seen.append(cell.value)
    assert len(set(seen)) == len(seen)


@needs_versions
def test_only_the_package_that_changed_is_a_reason_to_read_again() -> None:
    package: Any = ModuleType("package")
    other: Any = ModuleType("other")
    child = ModuleType("package.child")
    package.child, other.child = child, child
    index = BindingIndex(
        Entries({"package": package, "package.child": child, "other": other, "other.child": child})
    )
    before = index.read()
    assert before == [child, child]
    assert index.read() is before
    other.noise = 1
    again = index.read()
    assert again is not before
    assert again == before
    del package.child
    assert index.read() != before
    assert before == [child, child]


def test_a_package_that_is_no_module_is_read_each_time() -> None:
    class Package:
        child = 1

    package: Any = Package()
    package.child = 2
    index = BindingIndex(Entries({"package": package, "package.child": sys}))
    assert index.read() == [2]
    package.child = 3
    assert index.read() == [3]
    assert not index.has_versions


def test_a_table_of_another_type_has_no_version() -> None:
    class Table(dict[str, object]):
        pass

    table = Table(one=1)
    moment = Moment(table)
    assert not moment.is_known
    assert not moment.lasts_for(table)
    assert not Moment(None).lasts_for(None)


@pytest.mark.usefixtures("no_versions")
def test_without_versions_the_contents_are_compared() -> None:
    package: Any = ModuleType("package")
    child = ModuleType("package.child")
    package.child = child
    table: dict[Any, object] = {"package": package, "package.child": child}
    index = BindingIndex.of(table)
    assert index.entries.are_of(table)
    assert index.read() == [child]
    assert index.read() is not index.read()
    table["package"] = ModuleType("package")
    assert not index.entries.are_of(table)
    assert read_cells([]) == b""


@pytest.mark.parametrize("when", ["before", "afterwards"])
def test_an_audit_hook_may_forbid_to_read_them(when: str, run_script: Callable[..., str]) -> None:
    lines = [
        "import sys",
        "def hook(event, arguments):",
        "    if event.startswith('ctypes'): raise RuntimeError(event)",
        "from pytest_import_isolation import IsolatedImportContext",
        "import pytest_import_isolation.window.window",
        "from pytest_import_isolation.machinery.dict_versions import Moment",
    ]
    lines.insert(3 if when == "before" else len(lines), "sys.addaudithook(hook)")
    lines += [
        # No hook is asked about the tables.
        f"assert Moment({{}}).is_known is {key_tables.ARE_KNOWN and (when == 'before' or not HAVE_VERSIONS)}",
        "with IsolatedImportContext() as context:",
        "    import wave",
        "    sys.modules['colorsys'] = None",
        "assert 'colorsys' not in sys.modules, context.changes",
        "assert 'wave' not in sys.modules, context.changes",
    ]
    run_script("\n".join(lines))


def test_reading_them_does_not_load_ctypes(run_script: Callable[..., str]) -> None:
    run_script("import sys, pytest_import_isolation.window.window\nassert 'ctypes' not in sys.modules")


@needs_versions
@given(st.lists(st.tuples(st.integers(0, 9), _CHANGES), max_size=30), st.integers(0, 10), st.integers(1, 5))
def test_many_are_read_as_one_by_one(changes: list[tuple[int, Any]], first: int, looks: int) -> None:
    dictionaries: list[dict[str, int]] = [{} for _ in range(10)]
    cells = [cell_of(dictionary) for dictionary in dictionaries]
    many = gathered(cells[:first]).extended(cells[first:])
    for at, (what, *arguments) in changes:
        # Some are gathered only when they were found the same several times.
        was = [many.read() for _ in range(looks)][-1]
        assert was == read_cells(cells)
        _change(dictionaries[at], what, *arguments)
        now = many.read()
        assert now == read_cells(cells) == gathered(cells).read()
        assert [*other_cells(was, now)] == ([] if now == was else [at])
    assert gathered([*cells, None]).read() == b""
    assert gathered([]).read() == b""


@needs_versions
def test_they_are_read_at_once_and_else_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert scattered_memory.ARE_READ
    dictionaries: list[dict[str, int]] = [{f"{key}": key for key in range(at)} for at in range(300)]
    cells = [cell_of(dictionary) for dictionary in dictionaries]
    many = gathered(cells)
    for at in range(300):
        many = many.extended([cells[at]])
        assert many.read() == read_cells([*cells, *cells[: at + 1]])
    read = {many.read() for _ in range(3)}
    with monkeypatch.context() as patch:
        patch.setattr(dict_versions, "read_cells", None)
        patch.setattr(key_tables, "read_tables", None)
        assert {many.read()} == read  # by nothing else
    dictionaries[7]["b"] = 1
    assert many.read() == read_cells([*cells, *cells]) not in read


@needs_versions
def test_an_audit_hook_may_forbid_it_later(run_script: Callable[..., str]) -> None:
    lines = (
        "import sys",
        "from pytest_import_isolation.machinery.dict_versions import gathered, cell_of, read_cells",
        "dictionaries = [{}, {}, {}]",
        "cells = [*map(cell_of, dictionaries)]",
        "before = gathered(cells)",
        "def hook(event, arguments):",
        "    if event.startswith('ctypes'): raise RuntimeError(event)",
        "sys.addaudithook(hook)",
        "for many in (before, gathered(cells)):",
        "    for dictionary in dictionaries:",
        "        assert [many.read() for _ in range(6)] == [read_cells(cells)] * 6",
        "        dictionary['one'] = 1",
    )
    run_script("\n".join(lines))


@needs_versions
@pytest.mark.parametrize("event", ["ctypes.dlopen", "ctypes.dlsym", "ctypes.dlsym/handle"])
def test_an_audit_hook_may_forbid_to_read_them_at_once(event: str, run_script: Callable[..., str]) -> None:
    lines = (
        "import sys",
        "asked = []",
        "def hook(event, arguments):",
        f"    if event == {event!r}:",
        "        asked.append(event)",
        "        raise RuntimeError(event)",
        "sys.addaudithook(hook)",
        "from pytest_import_isolation.machinery.dict_versions import gathered, cell_of, read_cells",
        "from pytest_import_isolation.machinery import scattered_memory",
        "assert scattered_memory.ARE_READ is (not asked)",
        "dictionaries = [{}, {}, {}]",
        "cells = [*map(cell_of, dictionaries)]",
        "many = gathered(cells)",
        "assert all(many.read() == read_cells(cells) for _ in range(5))",
    )
    run_script("\n".join(lines))
