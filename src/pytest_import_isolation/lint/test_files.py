"""Which files are test code, and which part each has: test file, conftest, or a module that they import."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from pytest_import_isolation.errors import ParameterError
from pytest_import_isolation.lint.ini_files import python_files
from pytest_import_isolation.machinery.paths import is_conftest

TEST: Final = "test file"
CONFTEST: Final = "conftest"
#: A module in a folder of test files, or below; not beside the few test files of a product's own folder.
HELPER: Final = "helper"

#: Folders that hold nobody's tests, as pytest's ``norecursedirs`` has them.
_SKIPPED: Final = frozenset(
    ("CVS", "_darcs", "build", "dist", "node_modules", "venv", "__pycache__", "site-packages")
)


def find_files(paths: Iterable[str]) -> dict[str, str]:
    """Return the files of test code with the part of each.

    Args:
        paths: files and folders.

    Raises:
        ParameterError: one does not exist.
    """
    found: dict[str, str] = {}
    for path in paths:
        whole = os.path.abspath(path)
        if os.path.isdir(whole):
            found.update(_walk(whole))
        elif os.path.exists(whole):
            found.update(_file(whole))
        else:
            raise ParameterError(f"lint: {path}: there is no such file or folder")
    return found


def _file(path: str) -> Iterator[tuple[str, str]]:
    """Yield a file that somebody named, with its part."""
    if not path.endswith(".py"):
        return
    part = _part(path)
    if part is not None:
        yield path, part
    else:
        folder = os.path.dirname(path)
        if _has_helpers(folder, {entry: _part(entry) for entry in _entries(folder) if entry.endswith(".py")}):
            yield path, HELPER


def _has_helpers(folder: str, parts: Mapping[str, str | None]) -> bool:
    """Tell whether the other modules of a folder are helpers of its test files."""
    return TEST in parts.values() and (_is_for_tests(folder) or _is_mostly_tests(parts))


def _entries(folder: str) -> list[str]:
    try:
        return [os.path.join(folder, name) for name in os.listdir(folder)]
    except OSError:
        return []


def _walk(root: str) -> Iterator[tuple[str, str]]:
    inherited: set[str] = set()
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not _is_skipped(os.path.join(folder, name)))
        files = [os.path.join(folder, name) for name in sorted(names) if name.endswith(".py")]
        parts = {file: _part(file) for file in files}
        is_below = folder in inherited
        if is_below or (TEST in parts.values() and _is_for_tests(folder)):
            inherited.update(os.path.join(folder, name) for name in folders)
        has_helpers = is_below or _has_helpers(folder, parts)
        for file, part in parts.items():
            if part is not None or has_helpers:
                yield file, part or HELPER


def _is_mostly_tests(parts: Mapping[str, str | None]) -> bool:
    """Tell whether a folder has more test files than modules, which are the product's own elsewhere."""
    modules = [file for file, part in parts.items() if part is None and not file.endswith("__init__.py")]
    return sum(part == TEST for part in parts.values()) >= len(modules)


def _is_for_tests(folder: str) -> bool:
    """Tell whether a folder holds nothing but tests and what they need, by its name."""
    name = os.path.basename(folder).lower()
    return (
        name in ("test", "tests", "testing")
        or name.endswith(("_test", "_tests"))
        or name.startswith("tests_")
    )


def _is_skipped(folder: str) -> bool:
    name = os.path.basename(folder)
    return (
        name in _SKIPPED
        or name.startswith(".")
        or name.endswith(".egg")
        or os.path.exists(os.path.join(folder, "pyvenv.cfg"))
        or os.path.isdir(os.path.join(folder, "conda-meta"))
    )


def _part(path: str) -> str | None:
    if is_conftest(path):
        return CONFTEST
    return TEST if _is_test_file(path) else None


def _is_test_file(path: str) -> bool:
    if not path.endswith(".py"):
        return False
    name = os.path.basename(path)
    return any(_matches(path, name, pattern) for pattern in python_files(os.path.dirname(path)))


def _matches(path: str, name: str, pattern: str) -> bool:
    if "/" not in pattern:
        return fnmatch.fnmatchcase(name, pattern)
    return fnmatch.fnmatchcase(path.replace(os.sep, "/"), f"*/{pattern}")
