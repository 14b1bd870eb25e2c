"""Import hooks under test: finders and path hooks for a window, and which of them answered."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
import zipfile
from collections.abc import Callable, Sequence
from importlib.machinery import BuiltinImporter, FileFinder, ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_import_isolation import IsolatedImportContext
from pytest_import_isolation.errors import ParameterError, WindowOrderError
from pytest_import_isolation.parking.finder import FINDER

Tree = Callable[[dict[str, str]], Path]


class Recording:
    """Answers for one name, once if it is told so, and records what it was asked for."""

    def __init__(self, name: str = "", *, once: bool = False) -> None:
        self.name = name
        self.once = once
        self.asked: list[str] = []

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        self.asked.append(fullname)
        if fullname != self.name or (self.once and self.asked.count(fullname) > 1):
            return None
        return ModuleSpec(fullname, self, origin="recording")  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None: ...

    def exec_module(self, module: ModuleType) -> None:
        module.found = True  # type: ignore[attr-defined]


def test_finders_are_asked_first_and_leave_with_the_window(tree: Tree, picture: Any) -> None:
    tree({"fd_file.py": ""})
    first, second = Recording("fd_made", once=True), Recording()
    before = picture()
    with IsolatedImportContext(finders=[first, second]) as context:
        assert sys.meta_path[:2] == [first, second]
        with IsolatedImportContext():
            assert sys.meta_path[:2] == [first, second]
            importlib.import_module("fd_file")
        assert importlib.import_module("fd_made").found
        importlib.import_module("fd_file")
        assert first.asked == ["fd_file", "fd_made", "fd_file"]
        assert second.asked == ["fd_file", "fd_file"]
        assert context.found_by("fd_made") is first
        assert context.found_by("fd_file") is PathFinder
        assert second.asked == ["fd_file", "fd_file"]  # nobody was asked again
        del sys.modules["fd_made"]
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("fd_made")
    assert before.differences() == []
    assert not context.changes.items


def test_a_finder_under_test_is_asked_for_parked_modules_too(tree: Tree) -> None:
    with IsolatedImportContext():
        wave = importlib.import_module("wave")
    recording = Recording()
    with IsolatedImportContext(finders=[recording]) as context:
        assert importlib.import_module("wave") is wave
        assert "wave" in recording.asked
        assert context.found_by("wave") is PathFinder


class Second:
    """Executes a pure Python module of the standard library a second time, as import hooks do."""

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return PathFinder.find_spec(fullname, path) if fullname == "wave" else None


def test_what_a_finder_executes_a_second_time_does_not_take_the_first_ones_place(picture: Any) -> None:
    with IsolatedImportContext():
        wave = importlib.import_module("wave")
    before = picture()
    with IsolatedImportContext(finders=[Second]) as context:
        assert importlib.import_module("wave") is not wave
        assert context.found_by("wave") is Second
    assert before.differences() == []
    with IsolatedImportContext():
        assert importlib.import_module("wave") is wave


class EntryFinder:
    """The finder of a path entry that is no directory."""

    def __init__(self, entry: str) -> None:
        if not entry.startswith("fd-scheme:"):
            raise ImportError
        self.entry = entry

    def find_spec(self, fullname: str, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != "fd_remote":
            return None
        return ModuleSpec(fullname, Recording(), origin=self.entry)  # type: ignore[arg-type]


def test_path_hooks_act_at_once_and_their_finder_is_named(tree: Tree, picture: Any) -> None:
    tree({"fd_file.py": ""})
    importlib.util.find_spec("fd_file")  # its directory has a finder
    seen: list[str] = []

    def hook(entry: str) -> FileFinder:
        if "tree" not in entry:
            raise ImportError
        seen.append(entry)
        return FileFinder(entry, (SourceFileLoader, [".py"]))

    before = picture()
    with IsolatedImportContext(path_hooks=[EntryFinder, hook], path="fd-scheme:x") as context:
        assert sys.path_hooks[:2] == [EntryFinder, hook]
        importlib.import_module("fd_remote")
        importlib.import_module("fd_file")
        assert len(seen) == 1
        found = context.found_by("fd_remote")
        assert isinstance(found, EntryFinder)
        assert found is sys.path_importer_cache["fd-scheme:x"]
        assert context.found_by("fd_file") is PathFinder
    assert before.differences() == []


def test_any_window_can_be_asked_who_would_answer(tree: Tree, tmp_path: Path) -> None:
    tree({"fd_app/__init__.py": "", "fd_app/inner.py": ""})
    with IsolatedImportContext() as context:
        importlib.import_module("fd_app.inner")
        assert context.found_by("fd_app.inner") is PathFinder
        assert context.found_by("sys") is BuiltinImporter
        assert context.found_by("fd_none") is None
        assert context.found_by("fd_none.below") is None
        with pytest.raises(ValueError, match=r"found_by: '\.x' is relative"):
            context.found_by(".x")
    with pytest.raises(WindowOrderError):
        context.found_by("fd_app")


def test_a_finder_that_imports_and_one_that_raises(tree: Tree) -> None:
    tree({"fd_helper.py": "", "fd_wanted.py": ""})

    class Importing(Recording):
        def find_spec(self, fullname: str, *rest: Any) -> ModuleSpec | None:
            if fullname == "fd_wanted":
                importlib.import_module("fd_helper")
            if fullname == "fd_broken":
                raise RuntimeError("broken finder")
            return None

    with IsolatedImportContext(finders=[Importing()]) as context:
        importlib.import_module("fd_wanted")
        assert context.found_by("fd_wanted") is PathFinder
        assert context.found_by("fd_helper") is PathFinder
        with pytest.raises(RuntimeError, match="broken finder"):
            importlib.import_module("fd_broken")
        assert context.found_by("fd_broken") is None
        assert sys.getprofile() is None


def test_while_somebody_profiles_nothing_is_noted_and_the_finders_are_asked_again(tree: Tree) -> None:
    tree({"fd_file.py": ""})
    finder = Recording("fd_made")

    def profile(*event: Any) -> None: ...

    with IsolatedImportContext(finders=[finder]) as context:
        sys.setprofile(profile)
        try:
            importlib.import_module("fd_made")
            assert sys.getprofile() is profile
        finally:
            sys.setprofile(None)
        assert context.found_by("fd_made") is finder
        assert finder.asked == ["fd_made", "fd_made"]


def test_a_finder_of_an_outer_window_moves_to_the_front_and_back() -> None:
    one, two = Recording(), Recording()
    with IsolatedImportContext(finders=[one]):
        with IsolatedImportContext(finders=[two, one]):
            assert sys.meta_path[:2] == [two, one]
            assert sys.meta_path.count(one) == 1
        assert sys.meta_path[0] is one
        assert two not in sys.meta_path
    assert one not in sys.meta_path


def test_a_zipimporter_of_the_path_is_found(tmp_path: Path) -> None:
    archive = tmp_path / "fd.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("fd_zipped.py", "")
    with IsolatedImportContext(finders=[Recording()], path=archive) as context:
        importlib.import_module("fd_zipped")
        assert type(context.found_by("fd_zipped")).__name__ == "zipimporter"


def test_a_finder_that_asks_a_zipimporter_is_the_one_that_answers(tmp_path: Path) -> None:
    class Delegating:
        def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
            return PathFinder.find_spec(name) if name == "fd_zipped" else None

    archive = tmp_path / "fd.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("fd_zipped.py", "")
    with IsolatedImportContext(finders=[finder := Delegating()], path=archive) as context:
        importlib.import_module("fd_zipped")
        assert context.found_by("fd_zipped") is finder


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"finders": [object()]}, "is no meta path finder: it has no method find_spec(name, path, target)"),
        ({"finders": 3}, "IsolatedImportContext: finders: expected a list of meta path finders, not 3"),
        (
            {"path_hooks": ["x"]},
            "'x' is no path hook: that is called with an entry of sys.path, and returns a",
        ),
        ({"path_hooks": None}, "path_hooks: expected a list of path hooks, not None"),
        ({"distributions": "numpy"}, "distributions is True or False, not 'numpy'; the plugin finds"),
    ],
)
def test_mistakes(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        IsolatedImportContext(**given)
    assert message in str(caught.value)


@pytest.mark.skipif("zlib" in sys.builtin_module_names, reason="no other one can be imported")
def test_what_another_module_of_its_name_needs_while_it_is_imported_is_not_the_parked_one(
    tmp_path: Path,
) -> None:
    archive = tmp_path / "archive.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as written:
        written.writestr("zlib.py", "FOUND = True\n" * 9)
    with IsolatedImportContext(unloaded=["zlib"]):
        sys.path.insert(0, str(archive))
        # It can be unpacked by zlib alone, which is itself, as without a window.
        with pytest.raises(ImportError):
            importlib.import_module("zlib")


class _First:
    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        return None


@pytest.mark.parametrize("number", [1, 2])
def test_who_puts_a_finder_first_and_takes_the_first_one_out_takes_out_its_own(
    number: int, unchanged: None
) -> None:
    finders = [finder for finder in sys.meta_path if finder is not FINDER]
    with IsolatedImportContext():
        first = [_First() for _ in range(number)]
        for finder in first:
            sys.meta_path.insert(0, finder)
        with IsolatedImportContext():
            assert sys.meta_path[0] is FINDER
        sys.meta_path.pop(0)
        with IsolatedImportContext():
            pass
        assert [finder for finder in sys.meta_path if finder is not FINDER] == [*first[:-1], *finders]


def test_who_moves_the_first_finder_to_the_end_takes_out_no_other(unchanged: None) -> None:
    finders = [finder for finder in sys.meta_path if finder is not FINDER]
    with IsolatedImportContext():
        with IsolatedImportContext():
            sys.meta_path.append(sys.meta_path.pop(0))
        with IsolatedImportContext():
            sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not FINDER]
        with IsolatedImportContext():
            pass
        assert [finder for finder in sys.meta_path if finder is not FINDER] == finders
    assert [finder for finder in sys.meta_path if finder is not FINDER] == finders
