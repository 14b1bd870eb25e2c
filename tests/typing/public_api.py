"""What type checkers must see in the public interface; mypy and pyright read it, and nothing runs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from typing_extensions import assert_type

from pytest_import_isolation import (
    Changes,
    IsolatedImportContext,
    fake_module,
    fresh_import,
    make_package,
    missing_modules,
)


class Finder:
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return None


def hook(entry: str) -> object:
    raise ImportError


context = IsolatedImportContext(
    fresh="app",
    unloaded=["torch", "tensorflow.*"],
    missing=("numpy",),
    fakes={"boto3": {"client": None}, "cloud": "region = 'eu'"},
    path=[Path("src"), "lib"],
    keep="registry",
    distributions=True,
    finders=[Finder(), PathFinder],
    path_hooks=[hook],
)
with context as running:
    assert_type(running, IsolatedImportContext)
    assert_type(running.found_by("app"), object)
    assert_type(running.fake({"thing": object()}), dict[str, object])
assert_type(context.start(), IsolatedImportContext)
assert_type(context.stop(), Changes)
assert_type(context.changes, Changes)


@context
def isolated(number: int, *, flag: bool = False) -> str:
    return str(number)


@missing_modules("numpy", distributions=True)
async def waiting(number: int) -> str:
    return str(number)


async def waits() -> None:
    assert_type(await waiting(1), str)


@fake_module("boto3", client=None)
class TestCase:
    def test_it(self) -> None: ...


assert_type(isolated(1, flag=True), str)
assert_type(TestCase(), TestCase)

with missing_modules("numpy") as missing:
    assert_type(missing, IsolatedImportContext)

with fake_module("boto3", {"client": None}, autospec=True) as from_mapping:
    assert_type(from_mapping, ModuleType)
with fake_module("boto3", "def client(): ...", region="eu") as from_source:
    assert_type(from_source, ModuleType)
with fake_module("boto3", Finder()) as from_object:
    assert_type(from_object, Finder)
assert_type(fake_module("boto3").start(), ModuleType)
assert_type(fake_module("boto3").stop(), Changes)

copy = fresh_import("app", deep=True, missing="numpy", fakes={"boto3": {}}, env={"DEBUG": "1", "TOKEN": None})
assert_type(copy, ModuleType)

with make_package({"app/__init__.py": "", "app": {"data.bin": b""}}, zip=True) as root:
    assert_type(root, Path)

# Mistakes that a checker must find: an unused ignore is an error.
IsolatedImportContext(fesh="app")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
IsolatedImportContext(finders=[object()])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
missing_modules(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
fake_module("boto3", Finder(), autospec=True)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
fresh_import("app", env={"DEBUG": 1})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]

checked: Callable[[int], str] = isolated
