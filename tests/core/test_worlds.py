"""Worlds: what is put away comes back as it was, and what was executed once is lent."""

from __future__ import annotations

import builtins
import importlib
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_import_isolation import IsolatedImportContext
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.window.world import World
from pytest_import_isolation.window.worlds import Worlds

Tree = Callable[[dict[str, str]], Path]


@pytest.fixture
def worlds(tree: Tree) -> Iterator[Worlds]:
    # After the tree, so that what is in place leaves before its files do.
    worlds = Worlds(Origins())
    yield worlds
    worlds.swap()
    worlds.close()


def make(name: str = "a world", **options: Any) -> World:
    return World(name, Origins(), lambda name, module, importer: None, **options)


def loaded(*names: str) -> dict[str, object]:
    return {name: sys.modules[name] for name in names if name in sys.modules}


def test_what_a_world_did_to_every_part_of_the_state_is_put_away_and_comes_back(
    worlds: Worlds, tree: Tree, picture: Any
) -> None:
    tree({"wd_pkg/__init__.py": "", "wd_pkg/sub.py": "", "wd_pkg/gone.py": "", "wd_new.py": ""})
    package: Any = importlib.import_module("wd_pkg.sub")
    importlib.import_module("wd_pkg.gone")
    before = picture()
    original = builtins.__import__
    fake, finder, imports = MagicMock(), object(), lambda *args, **kwargs: original(*args, **kwargs)
    world = make()
    worlds.begin(world)
    new = importlib.import_module("wd_new")
    sys.modules["wd_pkg.sub"] = sys.modules["wd_fake"] = fake
    package = sys.modules["wd_pkg"]
    package.sub = fake
    del sys.modules["wd_pkg.gone"]
    sys.path.insert(0, "/wd/front")
    sys.path.append("/wd/back")
    sys.meta_path.append(finder)
    builtins.__import__ = imports
    worlds.leave()
    assert before.differences() == []

    for _ in range(2):
        worlds.swap(world)
        assert loaded("wd_new", "wd_pkg.sub", "wd_fake", "wd_pkg.gone") == {
            "wd_new": new,
            "wd_pkg.sub": fake,
            "wd_fake": fake,
        }
        assert package.sub is fake
        assert (sys.path[0], sys.path[-1]) == ("/wd/front", "/wd/back")
        assert sys.meta_path[-1] is finder
        assert builtins.__import__ is imports
        worlds.swap()
        assert before.differences() == []
        assert sys.modules["wd_pkg.sub"] is package.sub is not fake


def test_what_changes_while_a_world_is_in_place_belongs_to_it(worlds: Worlds, tree: Tree) -> None:
    tree({"wd_late.py": ""})
    world = make()
    worlds.swap(world)
    sys.modules["wd_fake"] = fake = MagicMock()
    worlds.swap()
    worlds.swap(world)
    late = importlib.import_module("wd_late")
    del sys.modules["wd_fake"]
    worlds.swap()
    assert loaded("wd_fake", "wd_late") == {}
    worlds.swap(world)
    assert loaded("wd_fake", "wd_late") == {"wd_late": late}
    assert fake is not None


def test_each_of_two_worlds_finds_its_own_module_of_a_name(worlds: Worlds, tmp_path: Path) -> None:
    found = {}
    chain = {}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "wd_index.py").write_text(f"NAME = {name!r}")
        (tmp_path / name / "wd_late.py").write_text(f"NAME = {name!r}")
        world = chain[name] = make(name)
        worlds.swap()
        worlds.begin(world)
        sys.path.insert(0, str(tmp_path / name))
        found[name] = importlib.import_module("wd_index")
        worlds.leave()
        worlds.add_lender(world)
    for name in ("one", "two", "one"):
        worlds.swap(chain[name])
        assert importlib.import_module("wd_index") is found[name]
        assert {module.NAME for module in (found[name], importlib.import_module("wd_late"))} == {name}


def test_worlds_nest_and_leave_in_the_reverse_order(worlds: Worlds) -> None:
    outer, inner, other = make("outer"), make("inner"), make("other")
    worlds.swap(outer)
    sys.modules["wd_outer"] = ModuleType("wd_outer")
    worlds.swap(outer, inner)
    sys.modules["wd_inner"] = ModuleType("wd_inner")
    worlds.swap(outer, other)
    assert set(loaded("wd_outer", "wd_inner")) == {"wd_outer"}
    worlds.swap(outer, inner)
    assert set(loaded("wd_outer", "wd_inner")) == {"wd_outer", "wd_inner"}
    worlds.swap(other)
    assert loaded("wd_outer", "wd_inner") == {}


def test_a_dissolved_world_leaves_everything_in_place(worlds: Worlds, tree: Tree, picture: Any) -> None:
    tree({"wd_plain.py": ""})
    outer = make("outer")
    worlds.swap(outer)
    before = picture()
    worlds.begin(make("trial"))
    module = importlib.import_module("wd_plain")
    worlds.dissolve()
    assert sys.modules["wd_plain"] is module
    worlds.swap()
    assert "wd_plain" not in sys.modules
    assert before.differences() == []


def test_windows_that_were_forgotten_inside_are_closed_with_the_world(worlds: Worlds, picture: Any) -> None:
    before = picture()
    worlds.swap(make())
    context = IsolatedImportContext().start()
    sys.modules["wd_fake"] = ModuleType("wd_fake")
    worlds.swap()
    assert before.differences() == []
    del context


# Lending


def counting(tree: Tree) -> None:
    tree(
        {
            "wd_count.py": "executed = []",
            "wd_app/__init__.py": "import wd_count; wd_count.executed.append(__name__)",
            "wd_app/db.py": "import wd_count; wd_count.executed.append(__name__)\nclass Base: pass",
            "wd_app/aws.py": """
                import wd_count; wd_count.executed.append(__name__)
                import wd_app.db
                try:
                    import wd_boto
                except ImportError:
                    wd_boto = None
            """,
        }
    )
    importlib.import_module("wd_count")


def executed() -> list[str]:
    return list(sys.modules["wd_count"].executed)


def lender_of(worlds: Worlds, *names: str) -> World:
    world = make("the lender")
    worlds.begin(world)
    for name in names:
        importlib.import_module(name)
    worlds.leave()
    worlds.add_lender(world)
    return world


def test_a_module_that_was_executed_in_one_world_is_lent_to_another(worlds: Worlds, tree: Tree) -> None:
    counting(tree)
    lender = lender_of(worlds, "wd_app.aws")
    borrower = make("the borrower")
    worlds.begin(borrower)
    aws: Any = importlib.import_module("wd_app.aws")
    assert executed() == ["wd_app", "wd_app.aws", "wd_app.db"]
    assert loaded("wd_app", "wd_app.aws", "wd_app.db") == lender.overlay.entries
    assert aws.wd_app.db is sys.modules["wd_app.db"]
    assert aws.__spec__.origin == aws.__file__
    worlds.leave()
    assert borrower.overlay.entries == {}  # nothing of it is its own
    assert loaded("wd_app", "wd_app.aws", "wd_app.db") == {}
    worlds.swap(borrower)
    assert loaded("wd_app", "wd_app.aws", "wd_app.db") == lender.overlay.entries
    assert sys.modules["wd_app"].aws is aws


def test_only_what_a_module_needs_is_lent_with_it(worlds: Worlds, tree: Tree) -> None:
    counting(tree)
    lender = lender_of(worlds, "wd_app.aws")
    aws = lender.overlay.entries["wd_app.aws"]
    borrower = make("the borrower")
    worlds.begin(borrower)
    importlib.import_module("wd_app.db")
    assert "wd_app.aws" not in sys.modules
    assert not hasattr(sys.modules["wd_app"], "aws")  # from wd_app import aws would find it without asking
    worlds.leave()
    worlds.swap(lender)
    assert sys.modules["wd_app"].aws is aws


def test_nothing_is_lent_while_a_fake_is_in_place(worlds: Worlds, tree: Tree) -> None:
    counting(tree)
    lender = lender_of(worlds, "wd_app.aws")
    world = make(is_watchful=True)
    worlds.begin(world)
    db = importlib.import_module("wd_app.db")
    sys.modules["wd_boto"] = fake = MagicMock()
    # As a file does it: what first-party code imports.
    aws = importlib.import_module("wd_app.aws")
    assert aws.wd_boto is fake
    worlds.leave()
    worlds.swap(lender)
    assert sys.modules["wd_app.aws"].wd_boto is None
    assert sys.modules["wd_app"].aws is sys.modules["wd_app.aws"]
    assert sys.modules["wd_app.db"] is db
    worlds.swap(world)
    assert sys.modules["wd_app"].aws is sys.modules["wd_app.aws"] is aws


def test_a_module_of_the_same_name_in_another_directory_is_not_lent(worlds: Worlds, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "wd_clash.py").write_text("")
    sys.path.insert(0, str(tmp_path / "one"))
    try:
        lender_of(worlds, "wd_clash")
        worlds.begin(make("the borrower"))
        sys.path.insert(0, str(tmp_path / "two"))
        assert importlib.import_module("wd_clash").__file__ == str(tmp_path / "two" / "wd_clash.py")
        worlds.leave()
        worlds.begin(make("another"))
        assert importlib.import_module("wd_clash").__file__ == str(tmp_path / "one" / "wd_clash.py")
        worlds.leave()
    finally:
        sys.path.remove(str(tmp_path / "one"))


@pytest.mark.usefixtures("many_turns")
def test_a_thread_may_borrow_while_worlds_are_swapped(worlds: Worlds, tree: Tree) -> None:
    counting(tree)
    lender_of(worlds, "wd_app.aws")
    chains: list[list[World]] = [[], [make("one")], [make("two", is_watchful=True), make("three")]]
    errors: list[list[str]] = []
    over = threading.Event()

    def borrow() -> None:
        while not over.is_set():
            try:
                worlds.lend("wd_app.db")
                worlds.lend("wd_app.absent")
            except BaseException as error:
                errors.append(traceback.format_exception(error))

    threads = [threading.Thread(target=borrow) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(100):
            worlds.swap(*chains[number % 3])
    finally:  # else they go on for ever
        over.set()
        for thread in threads:
            thread.join()
    worlds.swap()
    assert errors == []
    assert loaded("wd_app", "wd_app.aws", "wd_app.db") == {}


def test_a_module_that_was_removed_on_purpose_is_executed_again(worlds: Worlds, tree: Tree) -> None:
    counting(tree)
    lender_of(worlds, "wd_app.db")
    shared, run = make("shared"), make("run")
    worlds.swap(shared)
    first = importlib.import_module("wd_app.db")
    worlds.swap(shared, run)
    del sys.modules["wd_app.db"]
    assert importlib.import_module("wd_app.db") is not first
    assert executed().count("wd_app.db") == 2
    worlds.swap(shared)
    assert sys.modules["wd_app.db"] is first


def test_a_window_that_asks_for_fresh_or_faked_modules_borrows_nothing(worlds: Worlds, tree: Tree) -> None:
    counting(tree)
    lender = lender_of(worlds, "wd_app.aws")
    lent = lender.overlay.entries["wd_app.aws"]
    worlds.swap(make())
    with IsolatedImportContext(fakes={"wd_boto": {}}):
        assert importlib.import_module("wd_app.aws") is not lent
    with IsolatedImportContext(fresh="wd_app"):
        assert importlib.import_module("wd_app.aws") is not lent
    with IsolatedImportContext():
        assert importlib.import_module("wd_app.aws") is lent


@pytest.mark.parametrize("holds", [False, True])
def test_what_is_borrowed_in_a_window_leaves_with_it_unless_that_made_a_reference(
    worlds: Worlds, tree: Tree, holds: bool
) -> None:
    counting(tree)
    tree({"wd_user.py": "def hold(what):\n    global also\n    also = what\n"})
    user: Any = importlib.import_module("wd_user")
    lent: Any = lender_of(worlds, "wd_app.aws").overlay.entries
    user.app, user.Base = lent["wd_app"], lent["wd_app.db"].Base  # as a file that was collected there
    borrower = make("the borrower", is_alone=False)
    worlds.begin(borrower)
    stay = {"wd_app", "wd_app.db"} if holds else set()
    for _ in range(2):
        with IsolatedImportContext() as context:
            db = importlib.import_module("wd_app.db")
            assert db is lent["wd_app.db"]
            if holds:  # as a cache does
                user.hold(db)
        assert loaded("wd_app", "wd_app.db").keys() == stay
        assert {*context.changes.forgotten} == (set() if holds else {"wd_app", "wd_app.db"})
    worlds.leave()
    assert loaded("wd_app", "wd_app.db") == {}
    worlds.swap(borrower)
    assert loaded("wd_app", "wd_app.db").keys() == stay
    assert executed() == ["wd_app", "wd_app.aws", "wd_app.db"]


def test_the_shared_world_takes_over_the_modules_of_a_harmless_one(worlds: Worlds, tree: Tree) -> None:
    counting(tree)
    shared, trial = lender_of(worlds, "wd_app.db"), make("trial")
    worlds.begin(trial)
    aws = importlib.import_module("wd_app.aws")
    worlds.leave()
    assert shared.absorb(trial)
    worlds.swap(shared)
    assert sys.modules["wd_app.aws"] is sys.modules["wd_app"].aws is aws
    assert executed().count("wd_app") == 1


def test_a_world_with_another_module_of_a_name_is_not_taken_over(worlds: Worlds, tree: Tree) -> None:
    tree({"wd_same.py": ""})
    first, second = make("first"), make("second")
    for world in (first, second):
        worlds.begin(world)
        importlib.import_module("wd_same")
        worlds.leave()
    assert not first.absorb(second)
    worlds.swap(first)
    assert sys.modules["wd_same"] is first.overlay.entries["wd_same"]


# Foreign modules


@pytest.mark.neighbours("numpy")
def test_an_extension_module_is_the_same_object_in_all_worlds(run_script: Callable[..., str]) -> None:
    run_script(
        """
        import sys
        from pytest_import_isolation.state.origins import Origins
        from pytest_import_isolation.window.world import World
        from pytest_import_isolation.window.worlds import Worlds

        worlds = Worlds(Origins())
        one, two = (World(name, Origins(), lambda *args: None) for name in ("one", "two"))
        for world in (one, two):
            worlds.begin(world)
            sys.modules["boto3"] = object()
            import numpy
            world.numpy = numpy
            assert numpy.arange(3).sum() == 3
            worlds.leave()
            assert "numpy" not in sys.modules
        assert one.numpy is two.numpy
        for world in (one, two, one):
            worlds.swap(world)
            assert sys.modules["numpy"] is one.numpy
            assert sys.modules["numpy.linalg"] is one.numpy.linalg
        worlds.swap()
        assert "numpy" not in sys.modules
        import numpy
        assert numpy is one.numpy
        """
    )


@pytest.mark.parametrize("plant", ["MagicMock()", "None"])
def test_a_foreign_module_that_holds_a_fake_is_not_shared(run_script: Callable[..., str], plant: str) -> None:
    run_script(
        f"""
        import os, sys
        from unittest.mock import MagicMock
        os.makedirs("site-packages/vendor", exist_ok=True)
        with open("site-packages/vendor/__init__.py", "w") as file:
            file.write("try:\\n    import colorsys\\nexcept ImportError:\\n    colorsys = None\\n")
        sys.path.insert(0, os.path.abspath("site-packages"))
        sys.modules.pop("colorsys", None)
        from pytest_import_isolation.state.origins import Origins
        from pytest_import_isolation.window.world import World
        from pytest_import_isolation.window.worlds import Worlds

        worlds, world = Worlds(Origins()), World("one", Origins(), lambda *args: None, is_watchful=True)
        worlds.begin(world)
        sys.modules["colorsys"] = fake = {plant}
        import vendor
        tainted = vendor
        assert vendor.colorsys is fake
        worlds.leave()
        import vendor
        assert vendor is not tainted
        assert vendor.colorsys.rgb_to_hsv
        """
    )


# Any order


names = st.sampled_from(["wd_x", "wd_y", "wd_p", "wd_p.c"])
operations = st.lists(
    st.one_of(
        st.tuples(st.just("swap"), st.integers(0, 3)),
        st.tuples(st.just("fake"), names),
        st.tuples(st.just("import"), names),
        st.tuples(st.just("remove"), names),
        st.tuples(st.just("path"), st.sampled_from(["/wd/1", "/wd/2"])),
        st.tuples(st.just("unpath"), st.sampled_from(["/wd/1", "/wd/2"])),
    ),
    max_size=25,
)


@settings(
    max_examples=3 * settings().max_examples // 2,
    suppress_health_check=[*settings().suppress_health_check, HealthCheck.function_scoped_fixture],
)
@given(operations)
def test_every_world_holds_what_was_put_into_it_in_any_order(
    worlds: Worlds, tree: Tree, picture: Any, steps: list[tuple[str, Any]]
) -> None:
    tree({"wd_x.py": "", "wd_y.py": "", "wd_p/__init__.py": "", "wd_p/c.py": ""})
    tracked = ("wd_x", "wd_y", "wd_p", "wd_p.c")
    before = picture()
    made = [make(str(number)) for number in range(4)]
    views: dict[int, tuple[Any, ...]] = dict.fromkeys(range(4), ({}, None, []))
    now = 0
    worlds.swap(made[0])

    def view() -> tuple[Any, ...]:
        attribute = getattr(sys.modules.get("wd_p"), "c", None)
        return loaded(*tracked), attribute, [entry for entry in sys.path if entry.startswith("/wd/")]

    for what, argument in steps:
        if what == "swap":
            views[now] = view()
            worlds.swap(made[argument])
            now = argument
            assert view() == views[now]
        elif what == "fake":
            sys.modules[argument] = ModuleType(argument)
        elif what == "import":
            try:
                importlib.import_module(argument)
            except ImportError:
                assert not hasattr(sys.modules.get("wd_p"), "__path__")
        elif what == "remove":
            sys.modules.pop(argument, None)
        elif what == "path":
            sys.path.insert(0, argument)
        elif argument in sys.path:
            sys.path.remove(argument)
    worlds.swap()
    assert before.differences() == []
