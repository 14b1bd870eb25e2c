"""Command line and ini options, parsed once into a frozen value."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import pytest

from pytest_import_isolation.errors import ImportIsolationError
from pytest_import_isolation.patterns import Patterns
from pytest_import_isolation.wording import suggestion

_SUFFIXES = (".json",)
_MODES = ("off", "file", "test")


class Settings(NamedTuple):
    """What the user asked for."""

    report: bool
    files: tuple[Path, ...]
    keep: Patterns
    first_party: Patterns
    #: ``"file"``, ``"test"`` or, for neither, None.
    isolate: str | None = None


def add_options(parser: pytest.Parser) -> None:
    """Register the options and ini keys."""
    group = parser.getgroup("import isolation")
    group.addoption(
        "--import-leak-report",
        action="store_true",
        default=None,
        help="Watch sys.modules, sys.path and the import hooks, and report at the end which test or test "
        "file left what in them.",
    )
    group.addoption(
        "--import-leak-file",
        action="append",
        default=None,
        metavar="PATH",
        help="Also write the import leak report to this file, as JSON (PATH ends in .json). "
        "May be given several times.",
    )
    group.addoption(
        "--isolate-imports",
        default=None,
        metavar="off|file|test",
        help="file: what collecting a test file and running its tests does to sys.modules, sys.path and the "
        "import hooks is there for that file alone. test: besides, every test is undone by itself, as if it "
        "were marked with isolated_imports.",
    )
    parser.addini(
        "isolate_imports", "Isolate the imports of the whole suite: off, file or test.", default="off"
    )
    parser.addini("import_leak_report", "Report import leaks at the end (bool).", type="bool", default=False)
    parser.addini(
        "import_leak_file", "Files to write the import leak report to.", type="linelist", default=[]
    )
    parser.addini(
        "import_isolation_keep",
        "Patterns of modules that isolation always keeps loaded.",
        type="linelist",
        default=[],
    )
    parser.addini(
        "import_isolation_first_party",
        "Patterns of modules that count as first-party wherever they are installed.",
        type="linelist",
        default=[],
    )


def read_settings(config: pytest.Config, option: argparse.Namespace) -> Settings:
    """Parse the options.

    Args:
        config: the run, for its ini file.
        option: its command line, as far as it is parsed.

    Raises:
        pytest.UsageError: one of them cannot be used.
    """
    asked = option.import_leak_report
    names = option.import_leak_file or config.getini("import_leak_file")
    try:
        keep = Patterns(config.getini("import_isolation_keep"), "import_isolation_keep")
        first_party = Patterns(config.getini("import_isolation_first_party"), "import_isolation_first_party")
    except ImportIsolationError as error:
        raise pytest.UsageError(str(error)) from None
    files = tuple(_usable_file(config, name) for name in names)
    report = bool(config.getini("import_leak_report") if asked is None else asked)
    return Settings(report or bool(files), files, keep, first_party, _mode(config, option))


def _mode(config: pytest.Config, option: argparse.Namespace) -> str | None:
    given = option.isolate_imports
    mode = str(config.getini("isolate_imports") if given is None else given).strip()
    if mode not in _MODES:
        who = "isolate_imports in the ini file" if given is None else "--isolate-imports"
        raise pytest.UsageError(f"{who}: expected off, file or test, not {mode!r}{suggestion(mode, _MODES)}")
    return None if mode == "off" else mode


def _usable_file(config: pytest.Config, name: str) -> Path:
    path = config.invocation_params.dir / name
    if path.suffix not in _SUFFIXES:
        raise pytest.UsageError(
            f"--import-leak-file={name}: the report is written as JSON, so give a name that ends in .json"
        )
    if path.is_dir():
        raise pytest.UsageError(f"--import-leak-file={name}: that is a directory")
    existing = next(parent for parent in path.parents if parent.exists())
    if not existing.is_dir():
        raise pytest.UsageError(f"--import-leak-file={name}: {existing} is not a directory")
    return path
