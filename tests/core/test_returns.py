"""Foreign modules that come back in one window after another, and leave again without being judged anew."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_import_isolation import IsolatedImportContext
from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.parking.lot import ParkedModule, ParkingLot
from pytest_import_isolation.parking.returned_modules import Image, ReturnedModules

Tree = Callable[[dict[str, str]], Path]

PACKAGE = {
    "site-packages/flockpkg/__init__.py": "executed = []\n",
    "site-packages/flockpkg/sub/__init__.py": "",
    "site-packages/flockpkg/sub/deep.py": "import flockpkg\nflockpkg.executed.append(1)\n\nclass Thing:\n    pass\n",
    # What a test writes to a module is undone; this is the module's own doing.
    "flockuser.py": "held = None\nbox = {}\n\ndef take(name, value):\n    globals()[name] = value\n",
}


@pytest.fixture
def foreign(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Write a package that counts as installed, and a first-party module; nothing of it waits afterwards."""
    root = tree(PACKAGE)
    monkeypatch.syspath_prepend(str(root / "site-packages"))
    yield root
    FINDER.lot.drop(lambda name: name.startswith("leaving_again"))
    FINDER.settle()


def visit() -> tuple[Any, Any]:
    """Import the package in a window; return what it is, and what the window says of it."""
    with IsolatedImportContext() as context:
        importlib.import_module("flockpkg.sub.deep")
        there = {n: m for n, m in sys.modules.items() if n.partition(".")[0] == "flockpkg"}
    return there, context.changes


def test_each_window_gets_the_same_objects_and_says_the_same(foreign: Path) -> None:
    first, changes = visit()
    assert set(first) == {"flockpkg", "flockpkg.sub", "flockpkg.sub.deep"}
    for _ in range(3):
        again, same_changes = visit()
        assert again == first
        assert all(again[name] is first[name] for name in first)
        assert same_changes.parked == changes.parked
        assert {c.name: c.after for c in same_changes.modules} == {c.name: c.after for c in changes.modules}
        assert not set(first) & set(sys.modules)
        assert set(first) <= set(FINDER.lot)
    assert first["flockpkg"].executed == [1]
    assert first["flockpkg"].sub is first["flockpkg.sub"], "the packages left together, with their attributes"


def test_a_package_that_stayed_loses_the_attribute_each_time(foreign: Path) -> None:
    flockpkg = importlib.import_module("flockpkg")
    first, _ = visit()
    for _ in range(2):
        assert "sub" not in vars(flockpkg)
        again, changes = visit()
        assert again["flockpkg.sub"] is first["flockpkg.sub"]
        assert changes.attributes == ("flockpkg.sub",)


@pytest.mark.parametrize(
    ("hold", "where"),
    [
        (lambda user, deep: user.take("held", deep), "held"),
        (lambda user, deep: user.take("held", deep.Thing()), "held"),
        (lambda user, deep: user.box.update(one=deep.Thing), "box"),
        (lambda user, deep: user.take("new", deep.Thing), "new"),
    ],
    ids=["module", "instance", "container", "new-name"],
)
def test_what_a_survivor_took_in_a_later_window_stays(
    foreign: Path, hold: Callable[[Any, Any], object], where: str
) -> None:
    user = importlib.import_module("flockuser")
    visit()
    if where == "box":
        user.box = {}  # a container that was there before is not looked into again
    with IsolatedImportContext() as context:
        deep = importlib.import_module("flockpkg.sub.deep")
        if where == "box":
            user.take("box", {})
        hold(user, deep)
    assert context.changes.kept["flockpkg.sub.deep"] == f"flockuser.{where} refers to it"
    assert sys.modules["flockpkg.sub.deep"] is deep


def test_a_reference_of_an_earlier_window_is_no_reason_in_the_next(foreign: Path) -> None:
    user = importlib.import_module("flockuser")
    first, _ = visit()
    user.held = first["flockpkg.sub.deep"]
    _, changes = visit()
    assert "flockpkg.sub.deep" in changes.parked
    user.held = None


def test_keep_is_heard_although_it_was_parked_before(foreign: Path) -> None:
    visit()
    with IsolatedImportContext(keep="flockpkg.sub") as context:
        importlib.import_module("flockpkg.sub.deep")
    assert context.changes.kept["flockpkg.sub.deep"] == "keep='flockpkg.sub'"
    assert {"flockpkg", "flockpkg.sub"} <= set(sys.modules)


def test_what_a_kept_first_party_module_needs_stays_with_it(tree: Tree, foreign: Path) -> None:
    tree({"flockneeds.py": "from flockpkg.sub.deep import Thing\n"})
    user = importlib.import_module("flockuser")
    visit()
    with IsolatedImportContext() as context:
        user.take("held", importlib.import_module("flockneeds"))
    assert context.changes.kept["flockpkg.sub.deep"].startswith("flockneeds.Thing refers to it")
    assert user.held.Thing is sys.modules["flockpkg.sub.deep"].Thing


def test_a_module_that_is_new_beside_what_came_back_is_judged(foreign: Path, tree: Tree) -> None:
    visit()
    tree({"site-packages/flockpkg/late.py": "", "flockapp.py": "import flockpkg.late\n"})
    with IsolatedImportContext() as context:
        importlib.import_module("flockapp")
    assert set(context.changes.parked) >= {"flockpkg", "flockpkg.late"}
    assert set(context.changes.forgotten) == {"flockapp"}
    assert "flockpkg.late" in FINDER.lot


def test_an_image_is_not_misled_by_what_cannot_be_compared() -> None:
    class Hostile:
        def __eq__(self, other: object) -> bool:
            raise RuntimeError

        __hash__ = None  # type: ignore[assignment]

    one, other = Hostile(), Hostile()
    image = Image({"a": one}, [one])
    assert image.is_of({"a": one})
    assert not image.is_of({"a": other})
    assert not image.is_of({"a": one, "b": 1})


def test_images_are_taken_again_only_of_what_changed() -> None:
    lot, module, images = ParkingLot(), ModuleType("survivor"), {}  # type: ignore[var-annotated]
    module.value = 1
    lot.park({"parked": ParkedModule(ModuleType("parked"), None)})
    for expected in (1, 1, 2):
        module.value = expected
        before = images.get("survivor")
        returns = ReturnedModules(lot, lambda: {"survivor": module}, lambda: images)
        returns.begin("parked")
        assert returns.names == {"parked"}
        assert returns.before["survivor"]["value"] == expected
        assert (images["survivor"] is before) is (before is not None and before.space["value"] == expected)


def test_what_a_statement_of_importlib_imports_is_undone(run_script: Callable[..., str]) -> None:
    # Its frames are those of no file, as if compiled code had asked.
    run_script(
        """
        import importlib.resources, sys, wave
        from pytest_import_isolation import IsolatedImportContext

        def main():
            sys.modules.pop("importlib.readers", None)
            with IsolatedImportContext() as context:
                wave.__spec__.loader.get_resource_reader("wave")
                assert "importlib.readers" in sys.modules
            assert "importlib.readers" not in sys.modules
            assert context.changes.kept == {}

        main()
        """
    )
