from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import sys
import threading
import zipfile
import zipimport
from collections.abc import Callable
from importlib.machinery import FileFinder, ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from pytest_import_isolation import IsolatedImportContext
from pytest_import_isolation.machinery import finders, frames, modules, threads
from pytest_import_isolation.parking.belongings import item_text, owner_of
from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.watching.import_log import ImportLog

Tree = Callable[[dict[str, str]], Path]


def test_names_are_split() -> None:
    assert modules.parent_of("a.b.c") == ("a.b", "c")
    assert modules.parent_of("a") == ("", "a")
    assert list(modules.ancestors("a.b.c")) == ["a.b", "a"]
    assert modules.top_level("a.b.c") == "a"


def test_absent_is_false_and_says_its_name() -> None:
    assert not modules.ABSENT
    assert repr(modules.ABSENT) == "ABSENT"


def test_a_namespace_is_read_without_running_code() -> None:
    module = ModuleType("x")
    assert modules.namespace(module) is module.__dict__
    assert modules.namespace(7) is None

    class Raising:
        @property
        def __dict__(self) -> Any:  # type: ignore[override]
            raise RuntimeError

    assert modules.namespace(Raising()) is None


def test_a_mock_is_not_initializing() -> None:
    assert not modules.is_initializing(mock.MagicMock())
    assert modules.is_initializing(SimpleNamespace(__spec__=SimpleNamespace(_initializing=True)))


def _refuse(spec: object) -> None:
    raise AssertionError("asked")


class _Telling(ModuleSpec):
    origin: Any = property(_refuse, lambda spec, value: None)


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        (ModuleSpec("shop", None, origin="/shop.py"), "/shop.py"),
        (SimpleNamespace(origin="/shop.py"), "/shop.py"),
        (SimpleNamespace(), None),
        (_Telling("shop", None), None),
        (mock.MagicMock(), None),
        (None, None),
    ],
)
def test_a_spec_is_read_without_running_code(spec: object, value: object) -> None:
    assert modules.spec_value(spec, "origin") == value


@pytest.mark.skipif(sys.version_info[:2] not in ((3, 11), (3, 12)), reason="others have it or do not show it")
def test_a_plain_spec_that_is_asked_gets_no_dictionary(tree: Tree) -> None:
    tree({"mac_spec.py": ""})
    with IsolatedImportContext():
        module = importlib.import_module("mac_spec")
        spec = modules.spec_of(module)
        assert isinstance(spec, ModuleSpec)
        assert modules.own_name_of(module) == "mac_spec"
        assert not modules.is_initializing(module)
        assert modules.location_in(spec) == modules.executed_file_of(module) == module.__file__
        assert not any(type(held) is dict for held in gc.get_referents(spec))
    assert vars(spec)
    assert any(type(held) is dict for held in gc.get_referents(spec))


def test_a_finder_that_raises_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    class Raising:
        def invalidate_caches(self) -> None:
            raise RuntimeError

    class Asked:
        times = 0

        def invalidate_caches(self) -> None:
            self.times += 1

    asked = Asked()
    monkeypatch.setattr(sys, "meta_path", [Raising(), asked])
    finders.drop_finder_caches()
    assert asked.times == 1


def test_listings_are_read_again_unless_they_cannot_be_out_of_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000_000.0
    monkeypatch.setattr(finders, "_now", lambda: now)
    old, young = (tmp_path / name for name in ("old", "young"))
    finder_of: dict[Path, FileFinder] = {}
    for folder in (old, young):
        folder.mkdir()
        finder_of[folder] = FileFinder(str(folder), (SourceFileLoader, [".py"]))
        monkeypatch.setitem(sys.path_importer_cache, str(folder), finder_of[folder])

    def add(folder: Path, name: str, changed_at: float) -> bool:
        """Write a module at a moment that the directory's time tells; return whether it is found."""
        (folder / f"{name}.py").write_text("", encoding="utf-8")
        os.utime(folder, (changed_at, changed_at))
        return finder_of[folder].find_spec(name) is not None

    drop = finders._FinderCaches().drop
    hour_ago, moment_ago = now - 3600, now - 1
    assert add(old, "first", hour_ago)
    assert add(young, "first", moment_ago)
    assert not add(old, "second", hour_ago)  # unseen: it has the same time of change
    drop()  # nothing is known of when the first listings were read
    assert add(old, "third", hour_ago)
    assert add(young, "third", moment_ago)
    now += 1
    drop()
    assert not add(old, "fourth", hour_ago)  # nobody can have added it at that time
    assert add(young, "fourth", moment_ago)
    assert add(old, "fifth", now)
    assert finder_of[old].find_spec("fourth")


def test_an_archive_that_holds_the_standard_library_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    importers = []
    for name in ("stdlib.zip", "other.zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as file:
            file.writestr("mac_zipped.py", "")
        importers.append(zipimport.zipimporter(str(tmp_path / name)))
        monkeypatch.setitem(sys.path_importer_cache, str(tmp_path / name), importers[-1])
    stdlib, other = importers
    monkeypatch.setattr(finders, "_STANDARD_LIBRARY", stdlib.archive)
    with mock.patch.object(zipimport.zipimporter, "invalidate_caches", autospec=True) as invalidate:
        finders.drop_finder_caches()
    told = [call.args[0] for call in invalidate.call_args_list]
    assert other in told
    assert stdlib not in told


def test_the_distributions_cache_is_cleared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(metadata.PackageNotFoundError):
        metadata.version("mac-dist")
    info = tmp_path / "mac_dist-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mac-dist\nVersion: 1.0\n")
    finders.drop_finder_caches()
    assert metadata.version("mac-dist") == "1.0"


def test_the_importer_is_the_first_frame_outside_the_machinery(tree: Tree) -> None:
    tree(
        {
            "mac_a.py": "x = 1\nimport mac_b",
            "mac_b.py": "import importlib\nimportlib.import_module('mac_c')",
            "mac_c.py": "",
        }
    )
    log = ImportLog()
    FINDER.listen(log)
    try:
        importlib.import_module("mac_a")
        line = sys._getframe().f_lineno - 1
        importlib.reload(sys.modules["mac_c"])
        assert importlib.util.find_spec("mac_nothing") is None
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("mac_none")
    finally:
        FINDER.unlisten(log)
    chain = list(log.chain("mac_c"))
    assert [(name, importer.module, importer.line) for name, importer in chain] == [
        ("mac_c", "mac_b", 2),
        ("mac_b", "mac_a", 2),
        ("mac_a", __name__, line),
    ]
    assert chain[-1][1].file == __file__
    [(name, importer, module, before, way, beside)] = log.reloads
    assert way[0] == importer
    assert beside == ()
    assert (name, module) == ("mac_c", sys.modules["mac_c"])
    assert importer is not None
    assert importer.line == line + 2
    assert before["__name__"] == "mac_c"
    assert "mac_nothing" not in log.importers
    assert "mac_none" in log.importers


def test_without_the_private_loader_every_request_counts_as_an_import(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frames, "_find_and_load_code", None)
    assert frames.loading_frame("anything") is sys._getframe(1)


def test_namespaces_of_other_threads_are_named_and_no_frame_holds_itself() -> None:
    entered, go = threading.Event(), threading.Event()

    def wait() -> None:
        entered.set()
        go.wait(600)

    assert threads.namespaces_on_other_threads() == {} or len(sys._current_frames()) > 1
    thread = threading.Thread(target=wait, name="the-waiter")
    thread.start()
    try:
        assert entered.wait(600)
        assert threads.namespaces_on_other_threads()[id(globals())] == "the-waiter"
        assert frames.namespaces_on_the_stack()[id(globals())] is globals()
        assert __name__.partition(".")[0] in frames.packages_on_the_stack()
    finally:
        go.set()
        thread.join(600)


def test_the_door_is_there_only_while_it_is_needed(run_script: Callable[..., str]) -> None:
    run_script(
        """
        import sys
        from pytest_import_isolation import IsolatedImportContext
        def doors():
            return [n for n, finder in enumerate(sys.meta_path) if type(finder).__name__ == "ParkedModuleFinder"]
        def run():
            assert doors() == []
            with IsolatedImportContext():
                assert doors() == [0]
            assert doors() == []
            with IsolatedImportContext():
                import colorsys
            assert doors() == [0]
            sys.meta_path.insert(0, sys.meta_path.pop())
            with IsolatedImportContext():
                assert doors() == [0]
            import importlib.util
            assert importlib.util.find_spec("colorsys").origin.endswith("colorsys.py")
            assert "colorsys" not in sys.modules
        run()
        """
    )


def test_finders_and_path_entries_belong_to_the_package_that_installed_them(tmp_path: Path) -> None:
    package = ModuleType("lib")
    package.__file__ = str(tmp_path / "lib" / "__init__.py")
    packages = {"lib": package, "other": ModuleType("other")}

    class Finder:
        pass

    Finder.__module__ = "lib.finders"

    def hook() -> None: ...

    hook.__module__ = "elsewhere"
    assert owner_of("path", str(tmp_path / "lib" / "_vendor"), packages) == "lib"
    assert owner_of("path", str(tmp_path / "library"), packages) is None
    assert owner_of("path", 7, packages) is None
    assert owner_of("meta_path", Finder(), packages) == "lib"
    assert owner_of("meta_path", Finder, packages) == "lib"
    assert owner_of("path_hooks", hook, packages) is None
    assert item_text("/x") == "/x"
    assert item_text(Finder()).startswith("lib.finders.")


def test_the_package_loads_no_pytest(run_script: Callable[..., str]) -> None:
    run_script(
        """
        import sys
        import pytest_import_isolation
        for name in pytest_import_isolation.__all__:
            getattr(pytest_import_isolation, name)
        assert not {"pytest", "_pytest", "pluggy"} & set(sys.modules)
        """
    )


def test_a_context_with_globs_loads_nothing(run_script: Callable[..., str]) -> None:
    run_script(
        """
        from pytest_import_isolation import IsolatedImportContext
        from picture import Picture
        before = Picture()
        for given in ({"unloaded": "*"}, {"missing": "x.*"}, {"keep": ["a?"]}, {"fresh": "y*"}):
            with IsolatedImportContext(**given):
                pass
            assert before.differences() == []
        """
    )


def test_a_module_keeps_its_spec_while_it_is_parked() -> None:
    with IsolatedImportContext():
        module = importlib.import_module("sched")
        spec, loader = module.__spec__, module.__loader__
    with IsolatedImportContext():
        assert importlib.import_module("sched") is module
        assert module.__spec__ is spec
        assert module.__loader__ is loader


def test_without_the_gil_no_frame_of_another_thread_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        assert threads.namespaces_on_other_threads()
        monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
        with mock.patch.object(sys, "_current_frames") as current_frames:
            assert threads.namespaces_on_other_threads() == {}
            assert globals() in frames.namespaces_on_the_stack().values()
        current_frames.assert_not_called()
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize("failures", [0, 1, 1000])
def test_the_last_keys_of_a_table_are_found_while_others_enter_something(failures: int) -> None:
    class Table(dict[str, int]):
        """Grows between the making of an iterator and its first step, as other threads can do at any time."""

        def __reversed__(self) -> Any:
            nonlocal failures
            failures -= 1
            if failures < 0:
                return super().__reversed__()
            raise RuntimeError("dictionary changed size during iteration")

    assert modules.last_keys(Table(one=1, two=2, three=3), 2) == ["three", "two"]
