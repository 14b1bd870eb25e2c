"""Under which names something else is loaded, followed from look to look."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_import_isolation.contents.loaded_files import LoadedFiles
from pytest_import_isolation.state.loaded_names import LoadedNames, NamesInFolders
from pytest_import_isolation.state.origins import Origins

_PREFIX = "loaded_names_"
_NAMES = st.sampled_from([f"{_PREFIX}{letter}" for letter in "abcdef"])
# Under a name: another module, or nothing.
_STEPS = st.lists(st.lists(st.tuples(_NAMES, st.booleans()), max_size=4), max_size=6)


@pytest.fixture(autouse=True)
def _leaves_nothing() -> Iterator[None]:
    yield
    _clear()


def _clear() -> None:
    for name in [*sys.modules]:
        if name.startswith(_PREFIX):
            del sys.modules[name]


def _apply(step: list[tuple[str, bool]], kept: list[ModuleType]) -> None:
    for name, is_there in step:
        if is_there:
            kept.append(ModuleType(name))  # another one may not lie where it lay
            sys.modules[name] = kept[-1]
        else:
            sys.modules.pop(name, None)


def _now() -> dict[str, ModuleType]:
    return {name: module for name, module in sys.modules.items() if name.startswith(_PREFIX)}


@given(_STEPS)
def test_what_changed_is_what_a_comparison_finds(steps: list[list[tuple[str, bool]]]) -> None:
    _clear()
    names, kept = LoadedNames(), list[ModuleType]()
    assert set(sys.modules) == set(names.changed())
    for step in steps:
        before = _now()
        _apply(step, kept)
        now = _now()
        assert {name for name in names.changed() if name.startswith(_PREFIX)} == {
            name for name in before.keys() | now.keys() if before.get(name) is not now.get(name)
        }
        assert names.changed() == []


@given(_STEPS, st.lists(st.sets(_NAMES), max_size=4))
def test_names_are_judged_as_if_all_were_looked_at_each_time(
    steps: list[list[tuple[str, bool]]], folders: list[set[str]]
) -> None:
    _clear()
    kept: list[ModuleType] = []

    def is_from_elsewhere(name: str, folder: str) -> bool:
        return (id(sys.modules[name]) >> 4) % 3 != int(folder) % 3

    names = NamesInFolders(is_from_elsewhere)
    for number, step in enumerate([*steps, *([[]] * len(folders))]):
        _apply(step, kept)
        if number < len(folders):
            names.add(str(number), folders[number])
        known = folders[: number + 1]
        for folder, own in enumerate(known):
            others = set[str]().union(*(each for at, each in enumerate(known) if at != folder))
            assert names.shared(str(folder)) == own & others
            assert names.from_elsewhere(str(folder)) == {
                name for name in own if name in sys.modules and is_from_elsewhere(name, str(folder))
            }


def test_only_what_was_loaded_since_is_looked_at() -> None:
    asked: list[str] = []

    def is_from_elsewhere(name: str, folder: str) -> bool:
        asked.append(name)
        return False

    names = NamesInFolders(is_from_elsewhere)
    names.add("folder", [f"{_PREFIX}{number}" for number in range(50)])
    for number in range(50):
        name = f"{_PREFIX}{number}"
        sys.modules[name] = ModuleType(name)
        assert names.from_elsewhere("folder") == set()
    assert asked == [f"{_PREFIX}{number}" for number in range(50)]


def _loaded(path: Path, name: str, text: str = "") -> ModuleType:
    path.write_text(text)
    module = sys.modules[name] = ModuleType(name)
    module.__file__ = str(path)
    return module


def test_a_helper_that_turns_out_to_be_a_test_file_is_a_helper_no_more(tmp_path: Path) -> None:
    origins = Origins()
    files = LoadedFiles(origins)
    origins.note_test_file(str(tmp_path / "test_a.py"))
    _loaded(tmp_path / "helper.py", f"{_PREFIX}helper")
    _loaded(tmp_path / "test_b.py", f"{_PREFIX}b")
    both = {str(tmp_path / "helper.py"), str(tmp_path / "test_b.py")}
    assert {*files.around(str(tmp_path / "test_a.py"), None)} & both == both
    origins.note_test_file(str(tmp_path / "test_b.py"))
    assert {*files.around(str(tmp_path / "test_a.py"), None)} & both == {str(tmp_path / "helper.py")}


def test_each_file_of_a_folder_is_left_out_of_what_is_around_itself(tmp_path: Path) -> None:
    origins = Origins()
    files = LoadedFiles(origins)
    origins.note_test_file(str(tmp_path / "test_a.py"))
    origins.note_test_file(str(tmp_path / "conftest.py"))
    helper = _loaded(tmp_path / "helper.py", f"{_PREFIX}helper")
    conftest = _loaded(tmp_path / "conftest.py", f"{_PREFIX}conftest")
    own = {helper.__file__, conftest.__file__}
    for name, around in (
        ("test_a.py", own),
        ("helper.py", {conftest.__file__}),
        ("conftest.py", {helper.__file__}),
    ):
        assert {*files.around(str(tmp_path / name), None)} & own == around
