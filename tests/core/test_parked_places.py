"""A parked module does not answer an import that means another module of its name."""

from __future__ import annotations

import importlib
import os
import sys
import zipimport
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from pytest_import_isolation import IsolatedImportContext
from pytest_import_isolation.parking.finder import FINDER

Install = Callable[[str], Path]


@pytest.fixture
def install(tmp_path: Path, unchanged: None) -> Iterator[Install]:
    """Return a function that writes the package ``pap_lib`` into a site-packages folder of its own."""

    def install(where: str) -> Path:
        folder = tmp_path / where / "site-packages"
        (folder / "pap_lib").mkdir(parents=True)
        (folder / "pap_lib/__init__.py").write_text(f"where = {where!r}")
        (folder / "pap_lib/sub.py").write_text(f"where = {where!r}")
        return folder

    path = sys.path.copy()
    yield install
    sys.path[:] = path
    FINDER.lot.drop(lambda name: name.startswith("pap_"))
    for entry in [entry for entry in sys.path_importer_cache if str(entry).startswith(str(tmp_path))]:
        del sys.path_importer_cache[entry]


def _load(*path: Path | str) -> tuple[Any, Any]:
    with IsolatedImportContext(path=list(map(str, path))):
        sub = importlib.import_module("pap_lib.sub")
        return sys.modules["pap_lib"], sub


def test_a_parked_module_comes_back_if_nobody_else_has_one_of_its_name(install: Install) -> None:
    first = _load(install("one"))
    with IsolatedImportContext():
        assert importlib.import_module("pap_lib") is first[0]


def test_a_module_of_the_same_name_in_another_directory_is_executed(install: Install) -> None:
    one, two = install("one"), install("two")
    _load(one)
    package, sub = _load(two)
    assert (package.where, sub.where) == ("two", "two")
    assert _load(two) == (package, sub)  # it is parked in place of the other one


def test_a_package_that_is_imported_twice_in_a_window_does_not_become_the_parked_one(
    install: Install,
) -> None:
    one, two = install("one"), install("two")
    _load(one)
    with IsolatedImportContext(path=str(two)):
        for _ in range(2):
            assert importlib.import_module("pap_lib").where == "two"
            del sys.modules["pap_lib"]


def test_what_hides_its_directory_hides_the_parked_module(install: Install) -> None:
    one, two = install("one"), install("two")
    first = _load(one)
    package, sub = _load(two, one)
    assert (package.where, sub.where) == ("two", "two")
    assert first[0] is not package


def test_a_submodule_is_not_taken_from_the_parked_package_of_another_directory(install: Install) -> None:
    one, two = install("one"), install("two")
    (two / "pap_lib/sub.py").unlink()
    _load(one)
    with (
        IsolatedImportContext(path=str(two)),
        pytest.raises(ModuleNotFoundError, match=r"No module named 'pap_lib\.sub'"),
    ):
        importlib.import_module("pap_lib.sub")


def test_the_same_object_comes_back_with_its_directory(install: Install) -> None:
    one = install("one")
    first = _load(one)
    assert _load(one, install("two")) == first
    assert _load(one) == first


def test_nothing_of_the_one_package_comes_back_with_the_other(install: Install) -> None:
    one, two = install("one"), install("two")
    (one / "pap_lib/only_here.py").write_text("")
    with IsolatedImportContext(path=str(one)):
        importlib.import_module("pap_lib.only_here")
    _load(two)
    with IsolatedImportContext(path=str(two)):
        importlib.import_module("pap_lib.sub")
        assert "pap_lib.only_here" not in sys.modules


def test_the_same_object_comes_back_by_another_spelling_of_its_directory(install: Install) -> None:
    one = install("one")
    first = _load(one)
    assert _load(one / ".." / one.name) == first


def test_the_same_object_comes_back_by_a_finder_that_needs_no_path(install: Install) -> None:
    one = install("one")
    first = _load(one)

    class Finder:
        @staticmethod
        def find_spec(name: str, path: Any = None, target: object = None) -> ModuleSpec | None:
            return PathFinder.find_spec(name, path or [str(one)])

    with IsolatedImportContext():
        sys.meta_path.append(Finder)
        assert importlib.import_module("pap_lib") is first[0]


def _write_again(archive: Path, *names: str) -> None:
    with ZipFile(archive, "w") as file:
        for name in names:
            file.writestr(name, "where = 'archive'")
    zipimport._zip_directory_cache.pop(str(archive), None)  # type: ignore[attr-defined]
    sys.path_importer_cache.pop(str(archive), None)


def test_an_archive_that_is_written_anew_hides_the_parked_module(install: Install, tmp_path: Path) -> None:
    archive, folder = tmp_path / "parts.zip", install("one")
    _write_again(archive, "pap_other.py")
    first = _load(archive, folder)
    assert _load(archive, folder) == first
    _write_again(archive, "pap_lib/__init__.py", "pap_lib/sub.py")
    package, sub = _load(archive, folder)
    assert (package.where, sub.where) == ("archive", "archive")


@pytest.mark.parametrize("times", [1, 2])
def test_a_module_that_is_written_into_an_earlier_directory_hides_the_parked_one(
    install: Install, tmp_path: Path, times: int
) -> None:
    earlier, folder = tmp_path / "earlier", install("one")
    earlier.mkdir()
    os.utime(earlier, (1, 1))
    for _ in range(times):
        _load(earlier, folder)
    (earlier / "pap_lib").mkdir()
    (earlier / "pap_lib/__init__.py").write_text("where = 'earlier'")
    with IsolatedImportContext(path=[str(earlier), str(folder)]):
        assert importlib.import_module("pap_lib").where == "earlier"


def _load_from_listed(*path: Path) -> tuple[Any, Any]:
    """Load it after another import along the same path, so that finders have listed the directories."""
    with IsolatedImportContext(path=list(map(str, path))):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("pap_absent")
        sub = importlib.import_module("pap_lib.sub")
        return sys.modules["pap_lib"], sub


def test_nobody_looks_for_it_again_along_a_path_that_has_not_changed(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = install("one")
    # One of an earlier test may wait in its place.
    FINDER.lot.drop(lambda name: name.startswith("pap_"))
    # Another directory may change at any time, and of one that has been removed nothing is known.
    library = os.path.dirname(os.__file__)
    sys.path[:] = [entry for entry in sys.path if entry.startswith(library)]
    path = folder, tmp_path / "nothing"
    first = _load_from_listed(*path)
    with IsolatedImportContext(path=list(map(str, path))), monkeypatch.context() as patch:
        patch.setattr(PathFinder, "find_spec", None)
        assert importlib.import_module("pap_lib.sub") is first[1]


@pytest.mark.parametrize("is_there", [True, False])
def test_it_is_looked_for_if_a_listed_directory_has_changed(
    install: Install, tmp_path: Path, is_there: bool
) -> None:
    earlier, folder = tmp_path / "earlier", install("one")
    if is_there:
        earlier.mkdir()
        os.utime(earlier, (1, 1))
    _load_from_listed(earlier, folder)
    (earlier / "pap_lib").mkdir(parents=True)
    (earlier / "pap_lib/__init__.py").write_text("where = 'earlier'")
    sys.path_importer_cache.pop(str(earlier), None)  # if nothing was there, its finder says so for ever
    with IsolatedImportContext(path=[str(earlier), str(folder)]):
        assert importlib.import_module("pap_lib").where == "earlier"


def test_it_is_looked_for_along_a_path_of_which_nothing_is_known(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = install("one")
    with IsolatedImportContext(path=str(folder)):
        monkeypatch.delattr(sys, "path_importer_cache")
        with pytest.raises(AttributeError, match="path_importer_cache"):
            importlib.import_module("pap_lib")  # importlib's own words
        monkeypatch.undo()
    assert _load(folder) == _load(folder)
