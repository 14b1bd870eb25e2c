"""Which module changed what in the import state while it was executed."""

from __future__ import annotations

import builtins
import functools
import gc
import importlib
import sys
import weakref
from collections.abc import Callable, Iterator
from importlib.machinery import FileFinder, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_import_isolation.machinery.modules import ABSENT
from pytest_import_isolation.parking.belongings import homes_of
from pytest_import_isolation.parking.ownership import can_be_imported
from pytest_import_isolation.state.single_changes import SingleChange
from pytest_import_isolation.watching.executed_modules import EXECUTED

Tree = Callable[[dict[str, str]], Path]


@pytest.fixture(autouse=True)
def _cleanly() -> Iterator[None]:
    modules, function = sys.modules.copy(), builtins.__import__
    lists = [(found, found[:]) for found in (sys.path, sys.meta_path, sys.path_hooks)]
    EXECUTED.start()
    try:
        yield
    finally:
        EXECUTED.stop()
        for name in sys.modules.keys() - modules.keys():
            del sys.modules[name]
        sys.modules.update(modules)
        builtins.__import__ = function
        for found, items in lists:
            found[:] = items  # type: ignore[index]
        importlib.invalidate_caches()


def _maker(what: str, key: object, after: object) -> str | None:
    maker = EXECUTED.maker(SingleChange(what, key, ABSENT, after))
    return None if maker is None else maker.module


def _entry(name: str) -> str | None:
    return _maker("entry", name, sys.modules.get(name, ABSENT))


def test_the_innermost_module_that_ran_made_it(tree: Tree) -> None:
    tree(
        {
            "em_a.py": "import sys\nsys.modules['em_x'] = object()\nimport em_b\nsys.modules['em_y'] = object()",
            "em_b.py": "import sys\nsys.modules['em_z'] = object()\nsys.path.append('/em')",
        }
    )
    sys.modules["em_w"] = ModuleType("em_w")
    importlib.import_module("em_a")
    assert [_entry(f"em_{letter}") for letter in "xyzw"] == ["em_a", "em_a", "em_b", None]
    assert _maker("path", "/em", "/em") == "em_b"
    assert _entry("em_a") is None
    sys.modules["em_x"] = ModuleType("em_x")
    assert _entry("em_x") is None  # by somebody else since


@pytest.mark.parametrize(
    ("statement", "what", "key"),
    [
        ("sys.path = sys.path[:]", "rebound", "sys.path"),
        ("sys.path_hooks = sys.path_hooks[:]", "rebound", "sys.path_hooks"),
        ("builtins.__import__ = lambda *a, f=builtins.__import__, **k: f(*a, **k)", "import_function", ""),
    ],
)
def test_what_else_a_module_writes_to_sys_and_builtins_hides_nothing(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, statement: str, what: str, key: str
) -> None:
    tree(
        {
            "em_a.py": "import em_b\nimport em_c\nimport em_d",
            "em_b.py": "import sys, builtins\nsys.em_one = builtins.em_two = 1",
            "em_c.py": f"import sys, builtins\nsys.em_three = 1\n{statement}\nbuiltins.em_four = 1",
            "em_d.py": "import sys\nsys.em_five = 1",
        }
    )
    for name in ("path", "path_hooks"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    importlib.import_module("em_a")
    for module in (sys, builtins):
        for name in [name for name in vars(module) if name.startswith("em_")]:
            delattr(module, name)
    now = getattr(sys, key.partition(".")[2]) if key else builtins.__import__
    assert _maker(what, key, now) == "em_c"


def test_what_else_a_module_writes_to_sys_hides_no_change_of_a_finder_class(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PathFinder, "em_method", None, raising=False)
    tree(
        {
            "em_a.py": "import em_b",
            "em_b.py": "import sys\nfrom importlib.machinery import PathFinder\n"
            "sys.em_one = 1\nPathFinder.em_method = len",
        }
    )
    importlib.import_module("em_a")
    del sys.em_one  # type: ignore[attr-defined]
    found = [(each.cls, each.name, each.after, each.maker.module) for each in EXECUTED.class_changes]
    assert (PathFinder, "em_method", len, "em_b") in found


def test_it_is_known_while_the_module_runs(tree: Tree) -> None:
    tree({"em_a.py": "import sys\nsys.modules['em_x'] = object()\nsys.modules['em_seen'](), 0"})
    seen: list[str | None] = []
    sys.modules["em_seen"] = lambda: seen.append(_entry("em_x"))  # type: ignore[assignment]
    importlib.import_module("em_a")
    assert seen == ["em_a"]


def test_what_goes_while_something_else_comes_is_seen(tree: Tree) -> None:
    tree(
        {
            "em_a.py": "import sys, em_b\ndel sys.modules['em_b']\nsys.modules['em_x'] = object()",
            "em_b.py": "",
        }
    )
    importlib.import_module("em_a")
    assert (_entry("em_b"), _entry("em_x")) == ("em_a", "em_a")


def test_a_module_that_is_executed_again_was_replaced_by_who_removed_it(tree: Tree) -> None:
    tree({"em_a.py": "import sys\ndel sys.modules['em_b']\nimport em_b", "em_b.py": ""})
    importlib.import_module("em_b")
    importlib.import_module("em_a")
    assert _entry("em_b") == "em_a"


def test_who_removes_two_modules_and_imports_one_of_them_removed_both(tree: Tree) -> None:
    old = {f"em_old{number}.py": "" for number in range(40)}
    tree(
        {
            **old,
            "em_all.py": "\n".join(f"import {name.removesuffix('.py')}" for name in old),
            "em_patcher.py": "import sys, em_all\ndel sys.modules['em_old0'], sys.modules['em_old1']\nimport em_old1",
        }
    )
    importlib.import_module("em_patcher")
    assert [_entry("em_old0"), _entry("em_old1"), _entry("em_old2")] == ["em_patcher", "em_patcher", None]


def test_what_failed_is_nobodys_removal(tree: Tree) -> None:
    tree({"em_a.py": "try:\n    import em_b\nexcept ZeroDivisionError: pass", "em_b.py": "1 / 0"})
    importlib.import_module("em_a")
    assert "em_b" in EXECUTED.failed
    assert _entry("em_b") is None


def test_a_stand_in_for_a_module_is_its_own_and_knows_the_finders(tree: Tree) -> None:
    tree({"em_a.py": "import sys\nsys.modules[__name__] = object()"})
    importlib.import_module("em_a")
    maker = EXECUTED.maker(SingleChange("entry", "em_a", ABSENT, sys.modules["em_a"]))
    assert maker is not None
    assert maker.is_import
    assert "_frozen_importlib_external" in maker.finders


def test_hooks_and_the_classes_of_finders(tree: Tree) -> None:
    tree(
        {
            "em_a.py": """
                import builtins, sys
                from importlib.machinery import PathFinder
                def hook(entry): raise ImportError
                def function(*args, **more): return before(*args, **more)
                before, builtins.__import__ = builtins.__import__, function
                sys.path_hooks.append(hook)
                PathFinder.em_new = 1
                del PathFinder.find_distributions
            """,
            "em_b.py": "import em_a",
        }
    )
    made = len(EXECUTED.class_changes)
    original = vars(PathFinder)["find_distributions"]
    module: Any = importlib.import_module("em_b").em_a
    assert _maker("path_hooks", id(module.hook), module.hook) == "em_a"
    assert _maker("import_function", "", module.function) == "em_a"
    changes = EXECUTED.class_changes[made:]
    assert sorted((change.name, change.maker.around) for change in changes) == [
        ("em_new", ("em_b",)),
        ("find_distributions", ("em_b",)),
    ]
    for change in changes:
        change.undo()
        change.undo()
    assert vars(PathFinder)["find_distributions"] is original
    assert not hasattr(PathFinder, "em_new")
    for change in changes:
        change.redo()
        change.undo()
    assert vars(PathFinder)["find_distributions"] is original
    del EXECUTED.class_changes[made:]


def test_nothing_is_noted_when_nobody_wants_it(tree: Tree) -> None:
    tree({"em_a.py": "import sys\nsys.modules['em_x'] = object()"})
    EXECUTED.stop()
    try:
        importlib.import_module("em_a")
    finally:
        EXECUTED.start()
    assert _entry("em_x") is None


def test_odd_objects_run_no_code(tree: Tree) -> None:
    tree(
        {
            "em_a.py": """
                import sys
                class Odd:
                    def __eq__(self, other): raise SystemExit
                    __hash__ = None
                    __bool__ = __getattr__ = __eq__
                class Key(str):
                    def __hash__(self): return 1
                sys.modules["em_odd"] = Odd()
                sys.meta_path.append(Odd.find_spec if hasattr(Odd, "find_spec") else type("F", (Odd,), {
                    "find_spec": lambda *_: None})())
                import em_b
            """,
            "em_b.py": "",
        }
    )
    importlib.import_module("em_a")
    assert _entry("em_odd") == "em_a"


_ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("import"), st.integers(0, 5)),
        st.tuples(st.just("enter"), st.integers(0, 5)),
        st.tuples(st.just("remove"), st.integers(0, 5)),
        st.tuples(st.just("path"), st.integers(0, 5)),
    ),
    max_size=6,
)
_LINES = {
    "import": "import em_m{}",
    "enter": "enter('em_e{}')",
    "remove": "remove('em_e{}')",
    "path": "add('/em/{}')",
}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bodies=st.lists(_ACTIONS, min_size=6, max_size=6))
def test_whatever_modules_do_in_whatever_order(tree: Tree, bodies: list[list[tuple[str, int]]]) -> None:
    made: dict[tuple[str, str], tuple[object, str]] = {}

    class Doer(ModuleType):
        """What the modules call, and what notes who did it."""

        @staticmethod
        def doing(module: str) -> tuple[Callable[[str], None], ...]:
            def enter(name: str) -> None:
                if name not in sys.modules:
                    sys.modules[name] = ModuleType(name)
                    made["entry", name] = (sys.modules[name], module)

            def remove(name: str) -> None:
                sys.modules.pop(name, None)
                made.pop(("entry", name), None)

            def add(entry: str) -> None:
                if entry not in sys.path:
                    sys.path.append(entry)
                    made["path", entry] = (entry, module)

            return enter, remove, add

    for name in [name for name in sys.modules if name.startswith("em_")]:
        del sys.modules[name]
    sys.path[:] = [entry for entry in sys.path if not entry.startswith("/em/")]
    sys.modules["em_doer"] = Doer("em_doer")
    head = "import em_doer\nenter, remove, add = em_doer.doing(__name__)\n"
    tree(
        {
            f"em_m{i}.py": head + "\n".join(_LINES[what].format(n) for what, n in body)
            for i, body in enumerate(bodies)
        }
    )
    importlib.invalidate_caches()
    for name in ("em_m0", "em_m3"):
        importlib.import_module(name)
    for (what, key), (after, module) in made.items():
        assert _maker(what, key, after) == module, (what, key)


def test_what_finders_and_hooks_are_made_of() -> None:
    class Loader(SourceFileLoader):
        def hook(self, entry: str) -> None: ...

    def function(entry: str, *, inner: object = Loader) -> object:
        return Loader

    loader = Loader("em", "em")
    hooks = (
        Loader,
        loader,
        loader.hook,
        function,
        functools.partial(loader.hook, 1),
        functools.partial(FileFinder, "em", (Loader, [".py"])),
        FileFinder.path_hook((Loader, [".py"])),
    )
    assert all(__name__ in homes_of(hook) for hook in hooks)
    assert next(homes_of(hooks[-1])).endswith("_bootstrap_external")
    assert __name__ not in homes_of(FileFinder.path_hook((SourceFileLoader, [".py"])))
    assert "builtins" in homes_of(len)


@pytest.mark.parametrize(
    ("name", "can"),
    [("a", True), ("a.b", True), ("$a", False), ("a.class", False), ("a..b", False), ("", False), (1, False)],
)
def test_which_names_an_import_statement_can_have(name: object, can: bool) -> None:
    assert can_be_imported(name) is can


def test_a_module_that_nobody_refers_to_does_not_wait_for_the_next_import(tree: Tree) -> None:
    tree({"em_a.py": "", "em_b.py": ""})
    module = weakref.ref(importlib.import_module("em_a"))
    importlib.import_module("em_b")
    del sys.modules["em_a"]
    gc.collect()
    assert module() is None
