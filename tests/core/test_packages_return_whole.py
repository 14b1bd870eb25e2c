"""A package object and its submodules come back together, and nothing that was thrown out stays on a package."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_import_isolation import IsolatedImportContext
from pytest_import_isolation.parking.finder import FINDER

Tree = Callable[[dict[str, str]], Path]
NAMES = ("herdpkg", "herduser", "herdother")


@pytest.fixture
def herd(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Write packages that count as installed; nothing of them waits, or is loaded, afterwards."""
    root = tree(
        {
            "site-packages/herdpkg/__init__.py": "executed = []\n",
            "site-packages/herdpkg/link.py": "from . import util\n",
            "site-packages/herdpkg/util.py": "import herdpkg\nherdpkg.executed.append(1)\nVALUE = 1\n",
            "site-packages/herdpkg/user.py": "import herdpkg\n\ndef use():\n    return herdpkg.util.VALUE\n",
            "site-packages/herduser/__init__.py": (
                "import herdpkg, herdpkg.link\n\ndef use():\n    return herdpkg.util.VALUE\n"
            ),
            "site-packages/herdother/__init__.py": "import herdpkg.util\n",
            "herdown/__init__.py": "",
            "herdown/spade.py": "",
        }
    )
    monkeypatch.syspath_prepend(str(root / "site-packages"))
    monkeypatch.syspath_prepend(str(root))
    yield root
    for name in [name for name in sys.modules if name.partition(".")[0] in (*NAMES, "herdown")]:
        del sys.modules[name]
    FINDER.lot.drop(lambda name: name.partition(".")[0] in NAMES)
    FINDER.settle()


@pytest.mark.parametrize("first", ["herduser", "herdother"])
@pytest.mark.parametrize("unloaded", ["", "herdpkg"])
def test_what_uses_a_submodule_of_another_package_returns_with_it(
    herd: Path, first: str, unloaded: str
) -> None:
    package = importlib.import_module("herdpkg")
    for _ in range(3):
        with IsolatedImportContext(unloaded=unloaded or ()):
            importlib.import_module(first)
            importlib.import_module("herduser")
            assert sys.modules["herduser"].use() == 1
        assert package.executed == [1]
        assert not hasattr(package, "util")
        assert "herdpkg.util" not in sys.modules


@pytest.mark.parametrize("popped_first", [True, False])
def test_a_parked_submodule_does_not_return_to_a_package_that_is_executed_anew(
    herd: Path, popped_first: bool
) -> None:
    package = importlib.import_module("herdpkg")

    def popping() -> None:
        with IsolatedImportContext():
            del sys.modules["herdpkg"]
            importlib.import_module("herdpkg.util")
            user = importlib.import_module("herdpkg.user")
            assert user.herdpkg is sys.modules["herdpkg"] is not package
            assert user.use() == 1

    def plain() -> None:
        with IsolatedImportContext():
            importlib.import_module("herdpkg.util")
            user = importlib.import_module("herdpkg.user")
            assert user.herdpkg is package
            assert user.use() == 1

    steps = [popping, plain] if popped_first else [plain, popping]
    for step in steps * 2:
        step()
        assert sys.modules["herdpkg"] is package
        assert not hasattr(package, "util")
    assert package.executed == [1]


@pytest.mark.parametrize("popped", [("herdown.spade", "herdown"), ("herdown.spade",)])
def test_a_submodule_that_was_thrown_out_leaves_its_package(herd: Path, popped: tuple[str, ...]) -> None:
    package = importlib.import_module("herdown")
    for earlier in ({}, {"spade": 7}):
        vars(package).update(earlier)
        with IsolatedImportContext():
            importlib.import_module("herdown.spade")
            for name in popped:
                del sys.modules[name]
        assert vars(package).get("spade") == earlier.get("spade")
        assert sys.modules["herdown"] is package
