"""Odd entries, containers, paths, finders, and what peers break."""

from __future__ import annotations

import builtins
import enum
import importlib
import importlib.machinery
import linecache
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import pytest

from pytest_import_isolation import IsolatedImportContext
from pytest_import_isolation.state.entries import Entries, same_entries
from pytest_import_isolation.state.list_changes import compare_lists, place_of
from pytest_import_isolation.state.odd_keys import entries_in
from pytest_import_isolation.state.snapshot import ImportState

Tree = Callable[[dict[str, str]], Path]


class Equal:
    """Says that it is equal to everything."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


class Hostile:
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("do not compare me")

    __hash__ = None  # type: ignore[assignment]

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("do not ask me")

    def __bool__(self) -> bool:
        raise RuntimeError("do not test me")


class LazyModule(ModuleType):
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("do not ask me")


class BadDict:
    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("do not look")


ODD: list[Any] = [
    None, 7, "text", (), object(), Equal(), Hostile(), BadDict(), LazyModule("odd"), ModuleType("odd"), mock.ANY,
    mock.MagicMock(), mock.Mock(spec=["x"]), Hostile, ImportState,
]  # fmt: skip


# By number: pytest asks parameters for attributes.
@pytest.mark.parametrize("number", range(len(ODD)), ids=[type(value).__name__ for value in ODD])
@pytest.mark.parametrize(
    "name", ["odd_new", "odd_new.child", "json", "email.mime", 7, None, ("a",), b"x"], ids=repr
)
def test_any_object_under_any_key_is_undone(name: Any, number: int, picture: Any) -> None:
    import email.mime.text  # noqa: F401
    import json  # noqa: F401

    before = picture()
    with IsolatedImportContext() as context:
        sys.modules[name] = ODD[number]
    assert before.differences() == []
    assert str(context.changes)
    # And one that is there before a window stays.
    if name == "odd_new":
        sys.modules[name] = ODD[number]
        before = picture()
        try:
            with IsolatedImportContext():
                del sys.modules[name]
            assert before.differences() == []
        finally:
            del sys.modules[name]


class Key:
    """A key with code of its own, which must not run once the key is in place: SystemExit is no Exception."""

    armed = False

    def __init__(self, number: int) -> None:
        self.number = number

    def __hash__(self) -> int:
        if Key.armed:
            raise SystemExit("hash")
        return self.number

    def __eq__(self, other: object) -> bool:
        raise SystemExit("eq")

    def __repr__(self) -> str:
        raise SystemExit("repr")

    __str__ = __repr__


class Text(str):
    """A string with code of its own."""

    __slots__ = ()

    def __hash__(self) -> int:
        if Key.armed:
            raise SystemExit("hash")
        return 1

    def __eq__(self, other: object) -> bool:
        raise SystemExit("eq")

    def __str__(self) -> str:
        raise SystemExit("str")

    __repr__ = __str__


class Plugin(str, enum.Enum):
    ONE = "odd_plugin"


ODD_KEYS: dict[str, Callable[[], Any]] = {
    "object": lambda: Key(5),
    "text": lambda: Text("odd.text"),
    "in a tuple": lambda: ("odd", Key(6)),
    "module": lambda: ModuleType("odd"),
    "class": lambda: Key,
    "enum": lambda: Plugin.ONE,
    "frozenset": lambda: frozenset((1,)),
}


@pytest.fixture
def armed() -> Iterator[Callable[[], None]]:
    """Return what forbids the code of keys from now on. Nothing is asked of them to clean up."""

    def arm() -> None:
        Key.armed = True

    yield arm
    Key.armed = False


def _odd_keys() -> list[int]:
    return [id(key) for key in sys.modules if type(key) is not str]


@pytest.mark.usefixtures("with_and_without_versions")
@pytest.mark.parametrize("kind", ODD_KEYS)
def test_the_code_of_a_key_runs_neither_to_take_it_out_nor_to_put_it_back(
    kind: str, armed: Callable[[], None]
) -> None:
    name, before = ODD_KEYS[kind](), {**sys.modules}
    # With a string behind it, and one more of its kind.
    with IsolatedImportContext() as context:
        sys.modules[name] = ModuleType("odd")
        sys.modules["odd_behind"] = ModuleType("odd_behind")
        sys.modules[Key(7)] = ModuleType("another")  # type: ignore[index]
        armed()
    assert _odd_keys() == []
    assert sys.modules == before
    assert str(context.changes)
    Key.armed = False
    # What was there before a window is there after it, whatever happens to it inside.
    other, value = Key(8), ModuleType("odd")
    sys.modules[name] = sys.modules[other] = value  # type: ignore[index]
    try:
        with IsolatedImportContext():
            armed()
        assert _odd_keys() == [id(name), id(other)]
        for take in (sys.modules.popitem, sys.modules.clear):
            kept = sys.modules.copy()
            with IsolatedImportContext():
                take()
                if not sys.modules:
                    sys.modules.update({n: m for n, m in kept.items() if type(n) is str})
            assert sorted(_odd_keys()) == sorted([id(name), id(other)])
            assert [module for key, module in sys.modules.items() if key is name] == [value]
    finally:
        Key.armed = False
        for key in (name, other):
            del sys.modules[key]  # type: ignore[arg-type]
    assert sys.modules == before


class Forbidding(dict[Any, Any]):
    """A dictionary whose class has code that copying must not run."""

    def keys(self) -> Any:
        raise SystemExit("keys")

    copy = items = values = __getitem__ = __missing__ = keys  # type: ignore[assignment]  # nobody may call them


class Table(dict[Any, Any]):
    pass


class Iterating(dict[Any, Any]):
    def __iter__(self) -> Any:
        raise SystemExit("iter")


@pytest.mark.parametrize("kind", [dict, Forbidding])
def test_a_key_with_code_of_its_own_is_told_by_its_class_or_its_text(
    kind: type[dict[Any, Any]], armed: Callable[[], None]
) -> None:
    table = kind(
        {Key(5): sys, Text("odd.text"): sys, ("odd", Key(6)): sys, Plugin.ONE: sys, "os": sys, 7: sys}
    )
    armed()
    home = __name__
    assert [*map(str, entries_in(table))] == [
        f"<a key of {home}.Key>",
        "odd.text",
        "<a key of tuple>",
        "odd_plugin",
        "os",
        "7",
    ]


def test_keys_with_code_of_their_own_are_not_read_where_a_class_iterates_by_itself(
    armed: Callable[[], None],
) -> None:
    table = Iterating({Key(5): sys, "os": sys})
    armed()
    assert entries_in(table) == {"os": sys}


def test_a_module_that_a_member_of_an_enumeration_names_is_undone(tree: Tree, picture: Any) -> None:
    tree({"odd_plugin.py": "VALUE = 1"})
    before = picture()
    for _ in range(2):
        with IsolatedImportContext() as context:
            assert importlib.import_module(Plugin.ONE).VALUE == 1
        assert [change.name for change in context.changes.modules if "plugin" in str(change.name)]
    assert before.differences() == []


class Silent(list[Any]):
    """A list that must not be iterated over by its own code."""

    def __iter__(self) -> Any:
        raise SystemExit("iter")

    __len__ = __eq__ = __contains__ = __iter__  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("name", ["path", "meta_path", "path_hooks"])
def test_the_code_of_what_stands_in_a_list_of_sys_does_not_run(name: str, picture: Any) -> None:
    class Item:
        def __eq__(self, other: object) -> bool:
            raise SystemExit("eq")

        def __hash__(self) -> int:
            raise SystemExit("hash")

        def __bool__(self) -> bool:
            raise SystemExit("bool")

        def find_spec(self, *arguments: object) -> None:
            return None

        def __call__(self, entry: str) -> None:
            raise ImportError(entry)

    before = picture()
    with IsolatedImportContext() as context:
        getattr(sys, name).append(Item())
        getattr(sys, name).insert(0, Item())
        # One item in the place of another: as many as before.
        state = ImportState.capture()
        getattr(sys, name)[-1] = Item()
        assert state.shows_same_number()
        assert not state.shows_same_entries()
        assert not state.holds_still()
        assert state.differences().lists[name].added
    assert before.differences() == []
    assert len(context.changes.items) == 2
    with IsolatedImportContext() as context:
        found = getattr(sys, name)
        setattr(sys, name, Silent(found))
        state = ImportState.capture()
        assert state.contents(name) == tuple(found)
        assert not state.differences()
    assert before.differences() == []
    assert context.changes.rebound == (f"sys.{name}",)


def test_an_object_that_equals_everything_is_told_apart() -> None:
    assert not same_entries({"a": 1}, {"a": Equal()})
    assert not same_entries({"a": object()}, {"a": Hostile()})
    assert same_entries({"a": sys, "b": builtins}, {"b": builtins, "a": sys})
    assert not same_entries({"a": sys}, {"a": sys, "b": sys})


@pytest.mark.usefixtures("with_and_without_versions")
def test_looks_see_what_they_promise_to_see(tree: Tree) -> None:
    tree({"lookpkg/__init__.py": "", "lookpkg/sub.py": ""})
    importlib.import_module("lookpkg.sub")
    lookpkg, before = sys.modules["lookpkg"], ImportState.capture()
    looks = (before.shows_same_number, before.shows_same_entries, before.looks_same)

    def seen() -> list[bool]:
        return [look() for look in looks] + [not before.differences()]

    assert seen() == [True, True, True, True]
    sys.modules["added"] = lookpkg
    assert seen() == [False, False, False, False]
    del sys.modules["added"]
    sys.modules["lookpkg"] = ModuleType("lookpkg")
    assert seen() == [True, False, False, False]
    sys.modules["lookpkg"] = Equal()
    assert seen() == [True, False, False, False]
    # The same objects in the same order, one of them under another key.
    sys.modules["lookpkg"] = lookpkg
    sys.modules["lookpkg.late"] = sys.modules.pop("lookpkg.sub")
    assert seen() == [True, False, False, False]
    sys.modules["lookpkg.sub"] = sys.modules.pop("lookpkg.late")
    assert seen() == [True, True, True, True]
    lookpkg.sub, sub = 1, lookpkg.sub
    assert seen() == [True, True, False, False]
    lookpkg.sub = Equal()
    assert seen() == [True, True, False, False]
    del lookpkg.sub
    assert seen() == [True, True, False, False]
    lookpkg.sub = sub
    sys.path.append("/looked")
    assert seen() == [False, False, False, False]
    sys.path.remove("/looked")
    path, sys.path = sys.path, [*sys.path]
    assert seen() == [False, False, False, False]
    sys.path = path
    table, sys.modules = sys.modules, sys.modules.copy()
    rebound = seen()
    sys.modules = table
    assert rebound == [True, False, False, False]
    assert seen() == [True, True, True, True]


def test_a_table_with_lazy_objects_is_compared_without_asking_for_their_hash() -> None:
    class Lazy:
        def __hash__(self) -> int:
            raise AssertionError("it loads what it stands for")

    lazy = Lazy()
    entries = Entries({"lazy": lazy})
    assert entries.are_of({"lazy": lazy})
    assert not entries.are_of({"lazy": Lazy()})
    plain = Entries({"sys": sys})
    assert not plain.are_of({"sys": lazy})
    assert not plain.are_of({"sys": mock.ANY})


@pytest.mark.parametrize("kind", ["dict", "subclass", "empty", "number", "none"])
def test_a_rebound_sys_modules_is_the_original_again(kind: str, run_script: Callable[..., str]) -> None:
    # In an interpreter of its own: with an empty table pytest itself could not go on.
    run_script(
        f"""
        import sys
        from picture import Picture
        from pytest_import_isolation import IsolatedImportContext
        class Table(dict): pass
        before = Picture()
        context = IsolatedImportContext()
        context.start()
        if {kind!r} == "number":
            sys.modules = 7
        elif {kind!r} == "none":
            sys.modules = None
        else:
            sys.modules = {{"dict": dict, "subclass": Table, "empty": lambda modules: {{}}}}[{kind!r}](sys.modules)
        try:
            import colorsys
        except Exception:
            pass
        context.stop()
        assert before.differences() == []
        assert context.changes.rebound == ("sys.modules",)
        """
    )


def test_a_key_with_code_of_its_own_is_undone_in_a_subclass_of_dict(armed: Callable[[], None]) -> None:
    found, key = sys.modules, Key(9)
    sys.modules = table = Table(found)
    dict.__setitem__(table, key, sys)
    try:
        before = [(id(name), id(module)) for name, module in dict.items(table)]
        with IsolatedImportContext():
            dict.__setitem__(table, Text("odd.text"), ModuleType("odd"))
            armed()
        assert [(id(name), id(module)) for name, module in dict.items(table)] == before
    finally:
        sys.modules = found


@pytest.mark.parametrize("name", ["path", "meta_path", "path_hooks", "path_importer_cache"])
@pytest.mark.parametrize("how", ["copy", "empty", "none", "deleted"])
def test_a_rebound_container_is_the_same_object_with_the_same_contents(
    name: str, how: str, picture: Any
) -> None:
    before = picture()
    found = getattr(sys, name)
    with IsolatedImportContext() as context:
        if how == "copy":
            setattr(sys, name, found.copy())
        elif how == "empty":
            setattr(sys, name, type(found)())
            found.clear()
        elif how == "none" and name != "path_importer_cache":
            setattr(sys, name, None)
        elif name != "path_importer_cache":
            delattr(sys, name)
            # A window inside leaves it deleted.
            with IsolatedImportContext():
                setattr(sys, name, [])
            assert not hasattr(sys, name)
    assert before.differences() == []
    if getattr(context.changes, "rebound", ()):
        assert context.changes.rebound == (f"sys.{name}",)


def test_entries_of_sys_path_are_never_normalised(picture: Any) -> None:
    strange: list[Any] = [
        "",
        ".",
        "/a/../b",
        "__editable__.x.finder.__path_hook__",
        Path("/p"),
        b"/b",
        None,
        7,
    ]
    sys.path.extend(strange)
    try:
        before = picture()
        with IsolatedImportContext() as context:
            sys.path[:] = [str(entry) for entry in sys.path if entry]
        assert before.differences() == []
        assert sys.path[-len(strange) :] == strange
        removed = [item for item in context.changes.items if item.change == "removed"]
        assert ("path", "", "removed", "undone") in removed
    finally:
        del sys.path[-len(strange) :]


def test_lists_are_compared_as_multisets_and_then_by_order() -> None:
    marker = object()
    assert not compare_lists(["a", marker], ["a", marker])
    assert compare_lists(["a", "b"], ["b", "a"]) == ((), (), True)
    assert compare_lists(["a"], ["a", "a"]) == (("a",), (), False)
    assert compare_lists(["a", "b"], ["b", "c", "a"]) == (("c",), (), False)
    assert compare_lists([marker], [Equal()])[1] == (marker,)


def test_a_replaced_import_function_is_put_back(picture: Any) -> None:
    before = picture()
    original = builtins.__import__
    with IsolatedImportContext() as context:
        builtins.__import__ = lambda *args, **kwargs: original(*args, **kwargs)
    assert before.differences() == []
    assert context.changes.rebound == ("builtins.__import__",)


def test_a_wrapper_around_what_watches_imports_is_put_back(picture: Any) -> None:
    # Below Python 3.12 a fake puts an object of an installed package, of this one, in the place of the function.
    with IsolatedImportContext(fakes={"odd_faked": {}}):
        before = picture()
        with IsolatedImportContext() as context:
            original = builtins.__import__
            builtins.__import__ = lambda *args, **kwargs: original(*args, **kwargs)
        assert before.differences() == []
        assert context.changes.rebound == ("builtins.__import__",)


def test_finders_and_hooks_of_a_test_are_gone_and_those_removed_are_back(picture: Any) -> None:
    class Finder:
        @classmethod
        def find_spec(cls, name: str, path: object = None, target: object = None) -> None:
            return None

    def hook(entry: str) -> None:
        raise ImportError(entry)

    before = picture()
    with IsolatedImportContext() as context:
        sys.meta_path.insert(0, Finder)  # type: ignore[arg-type]
        sys.meta_path.remove(importlib.machinery.PathFinder)
        sys.path_hooks[:] = [hook, *sys.path_hooks[1:]]  # type: ignore[list-item]
    assert before.differences() == []
    found = {(item.where, item.change) for item in context.changes.items}
    assert found == {
        (where, change) for where in ("meta_path", "path_hooks") for change in ("added", "removed")
    }
    assert f"undone: '{__name__}." in str(context.changes)


def test_the_finder_of_a_parked_package_leaves_and_returns_with_it(run_script: Callable[..., str]) -> None:
    run_script(
        """
        import os, sys
        from picture import Picture
        from pytest_import_isolation import IsolatedImportContext

        folder = os.path.join(os.getcwd(), "site-packages")
        os.makedirs(folder + "/findlib/_vendor", exist_ok=True)
        with open(folder + "/findlib/__init__.py", "w") as file:
            file.write(
                "import os, sys\\n"
                "class Finder:\\n    def find_spec(self, name, path=None, target=None): return None\\n"
                "def hook(entry): raise ImportError(entry)\\n"
                "finder = Finder()\\n"
                "sys.meta_path.insert(0, finder)\\n"
                "sys.path_hooks.append(hook)\\n"
                "sys.path.append(os.path.join(os.path.dirname(__file__), '_vendor'))\\n"
            )
        with open(folder + "/findlib/_vendor/vendored.py", "w") as file:
            file.write("VALUE = 1")
        sys.path.insert(0, folder)

        def run():
            before = Picture()
            for _ in range(3):
                with IsolatedImportContext() as context:
                    import findlib
                    import vendored
                    assert sum(finder is findlib.finder for finder in sys.meta_path) == 1
                    assert sys.path_hooks[-1] is findlib.hook
                    assert sys.path[-1].endswith("_vendor")
                assert before.differences() == []
                assert ("meta_path", "findlib.Finder", "added", "parked") in context.changes.items, context.changes
            import findlib
            assert findlib.finder in sys.meta_path[:2]
            assert sys.path[-1].endswith("_vendor")
        run()
        """
    )


def test_the_finder_of_a_kept_package_stays(tree: Tree) -> None:
    tree(
        {
            "odd_finder.py": """
                import sys
                class Finder:
                    def find_spec(self, name, path=None, target=None): return None
                finder = Finder()
                sys.meta_path.append(finder)
                """
        }
    )
    with IsolatedImportContext(keep="odd_finder") as context:
        module: Any = importlib.import_module("odd_finder")
    try:
        assert sys.meta_path[-1] is module.finder
        assert context.changes.items == (("meta_path", "odd_finder.Finder", "added", "kept"),)
    finally:
        sys.meta_path.remove(module.finder)


def test_a_module_written_in_one_window_and_rewritten_in_the_next_runs_its_new_code(
    tree: Tree, picture: Any
) -> None:
    importlib.invalidate_caches()  # as tree() does, which drops the importer cache's negative entries
    before = picture()
    for number in range(10, 19):
        # The same size, and within the same second: the bytecode of the first would be taken for valid.
        tree({"odd_stale.py": f"VALUE = {number}"})
        with IsolatedImportContext():
            assert number == importlib.import_module("odd_stale").VALUE
            assert linecache.getline(sys.modules["odd_stale"].__file__ or "", 1) == f"VALUE = {number}\n"
    assert before.differences() == []


def test_the_importer_cache_loses_what_the_window_added(tree: Tree, tmp_path: Path, picture: Any) -> None:
    before = picture()
    with IsolatedImportContext(path=tmp_path):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("odd_nowhere")
        assert str(tmp_path) in sys.path_importer_cache
        first = next(iter(before.cache))
        sys.path_importer_cache[first] = None
    assert before.differences() == []


def test_a_relative_entry_that_was_tried_elsewhere_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        (tmp_path / f"d{number}").mkdir()
        (tmp_path / f"d{number}" / "odd_relative.py").write_text(f"VALUE = {number}")
    for number in (1, 2):
        monkeypatch.chdir(tmp_path / f"d{number}")
        for entry in ("", "."):
            with IsolatedImportContext(path=entry):
                assert number == importlib.import_module("odd_relative").VALUE


def test_mock_patch_dict_and_a_window_do_not_disturb_each_other(picture: Any, tree: Tree) -> None:
    tree({"odd_patched.py": ""})
    before = picture()
    with IsolatedImportContext():
        with mock.patch.dict(sys.modules, {"json": None}):
            importlib.import_module("odd_patched")
        with pytest.raises(KeyError):
            sys.modules["odd_patched"]
    with mock.patch.dict(sys.modules), IsolatedImportContext():
        importlib.import_module("odd_patched")
    assert before.differences() == []


def test_a_finder_that_was_popped_blindly_is_back(picture: Any) -> None:
    # As pyfakefs does; the door stands at position 0 then.
    before = picture()
    with IsolatedImportContext():
        sys.meta_path.pop(0)
        sys.meta_path.pop(0)
        with IsolatedImportContext():
            assert type(sys.meta_path[0]).__name__ == "ParkedModuleFinder"
    assert before.differences() == []


def test_a_captured_state_is_a_value() -> None:
    state = ImportState.capture()
    assert not state.differences()
    assert state.contents("path") == tuple(sys.path)
    sys.modules["odd_admitted"] = ModuleType("odd_admitted")
    sys.path.append("/odd")
    difference = state.differences()
    assert list(difference.added) == ["odd_admitted"]
    assert difference.lists["path"].added == ("/odd",)
    state.admit(difference.added)
    state.admit_item("path", "/odd", place_of("/odd", sys.path))
    assert not state.differences()
    del sys.modules["odd_admitted"]
    sys.path.remove("/odd")
    assert list(state.differences().removed) == ["odd_admitted"]
