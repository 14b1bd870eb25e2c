"""Command line and ini options, parsed once into a frozen value."""

from __future__ import annotations

import argparse
import itertools
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from pytest_import_isolation.errors import ImportIsolationError
from pytest_import_isolation.patterns import Patterns

if TYPE_CHECKING:
    from pytest_import_isolation.report.policy import Allowance

_SUFFIXES = (".json", ".html")
_MODES = ("off", "file", "test", "process", "process-file")
_CONTENTS = ("off", "report", "undo")
#: The mode of ``--isolate-imports`` without a value.
_BARE = "file"


class Settings(NamedTuple):
    """What the user asked for."""

    report: bool
    files: tuple[Path, ...]
    keep: Patterns
    first_party: Patterns
    #: One of the modes, None for ``off``.
    isolate: str | None = None
    #: How many seconds a test may take that runs in another process, None for any number.
    process_timeout: float | None = None
    #: Whether a leak of severity error that is not allowed fails the run.
    fail: bool = False
    #: Leaks that are accepted.
    allow: tuple[Allowance, ...] = ()
    #: The file of known leaks, and whether to write it.
    baseline: Path | None = None
    write_baseline: bool = False
    #: Whether side effects beside the import system are watched too.
    effects: bool = False
    #: How pytest imports test files: ``"prepend"``, ``"append"`` or ``"importlib"``.
    import_mode: str = "prepend"
    #: What is done about contents of modules: ``"off"``, ``"report"`` or ``"undo"``.
    contents: str = "undo"

    @property
    def finds_beside(self) -> bool:
        """Whether pytest imports test files by their names, so that they find what lies beside them."""
        return self.import_mode != "importlib"

    @property
    def puts_first(self) -> bool:
        """Whether the directory of a test file is put first for that, and not last."""
        return self.import_mode == "prepend"


def add_options(parser: pytest.Parser) -> None:
    """Register the options and ini keys."""
    group = parser.getgroup("import isolation")
    group.addoption(
        "--import-leak-report",
        action="store_true",
        default=None,
        help="Report import leaks at the end of the run: changes of sys.modules, sys.path and the import "
        "hooks that outlive the test or test file that made them. The report names that test or file, the "
        "line, and the tests that met the leak. Undoes nothing and changes no outcome. Default: off. Ini "
        "key: import_leak_report.",
    )
    group.addoption(
        "--import-leak-file",
        action="append",
        default=None,
        metavar="PATH",
        help="Write the report of import leaks to this file, too: as JSON if PATH ends in .json, as a page "
        "for the browser if it ends in .html. May be given several times. Turns the report on. Default: no "
        "file. Ini key: import_leak_file, which the option overrules.",
    )
    group.addoption(
        "--import-leak-fail",
        action="store_true",
        default=None,
        help="Fail a run that would have passed (exit status 1 in place of 0) for import leaks of severity "
        "error that are neither accepted nor undone by isolation. Turns the report on. Default: off. Ini "
        "key: import_leak_fail.",
    )
    group.addoption(
        "--import-leak-allow",
        action="append",
        default=None,
        metavar="KIND:NAME",
        help="Accept import leaks whose kind and name match these globs, such as 'fake-left:torch*'; with "
        "' in ' and a glob behind it, only those of tests or files whose node id matches, such as "
        "'*:serial in tests/hardware/*'. May be given several times. Turns the report on. Default: none. "
        "Ini key: import_leak_allow, which the option adds to.",
    )
    group.addoption(
        "--import-leak-baseline",
        default=None,
        metavar="PATH",
        help="Accept the import leaks that this JSON file knows, so that only new ones count. Turns the "
        "report on. Default: no file. Ini key: import_leak_baseline.",
    )
    group.addoption(
        "--import-leak-write-baseline",
        action="store_true",
        default=False,
        help="Write the import leaks of this run to the file of --import-leak-baseline. Default: off. No ini "
        "key.",
    )
    group.addoption(
        "--import-leak-effects",
        action="store_true",
        default=None,
        help="Also report changes that tests and test files leave outside of the import system: environment "
        "variables, the working directory, logging, warnings filters, signal handlers, threads and more. "
        "Turns the report on. Default: off. Ini key: import_leak_effects.",
    )
    group.addoption(
        "--isolate-imports",
        nargs="?",
        const=_BARE,
        default=None,
        metavar="off|file|test|process|process-file",
        help="Isolate all tests. file, or no value: only a test file itself sees the changes that its "
        "collection and its tests make to sys.modules, sys.path and the import hooks. test: in addition, "
        "each test is undone on its own, as if it were marked with isolated_imports. process: as file, and "
        "each test runs in a process of its own; process-file: one process for each file. off: only marked "
        "tests are isolated. Default: off. Ini key: isolate_imports.",
    )
    group.addoption(
        "--import-isolation-contents",
        default=None,
        metavar="off|report|undo",
        help="Choose what happens to changes that tests make inside of modules: reloads, and attributes of "
        "modules and classes. undo: report them, and undo them in isolated tests and files. report: report "
        "them only. off: do not look at them. Default: undo. Ini key: import_isolation_contents.",
    )
    parser.addini(
        "import_isolation_contents",
        "What happens to changes that tests make inside of modules: off, report or undo, as "
        "--import-isolation-contents does. Default: undo.",
        default="undo",
    )
    parser.addini(
        "isolate_imports",
        "Isolate all tests: off, file, test, process or process-file, as --isolate-imports does. Default: "
        "off.",
        default="off",
    )
    parser.addini(
        "import_isolation_process_timeout",
        "How many seconds a test may take that runs in a process of its own. Then that process is ended, and "
        "the test fails with its stacks. Default: any number. No option; a mark's timeout overrules it.",
        default="",
    )
    parser.addini(
        "import_leak_report",
        "Whether to report import leaks, as --import-leak-report does. Default: false.",
        type="bool",
        default=False,
    )
    parser.addini(
        "import_leak_effects",
        "Whether to report effects beside the import system, as --import-leak-effects does. Default: false.",
        type="bool",
        default=False,
    )
    parser.addini(
        "import_leak_file",
        "Files to write the report to, one a line, each ending in .json or .html, as --import-leak-file "
        "does. Default: none.",
        type="linelist",
        default=[],
    )
    parser.addini(
        "import_leak_fail",
        "Whether import leaks fail the run, as --import-leak-fail does. Default: false.",
        type="bool",
        default=False,
    )
    parser.addini(
        "import_leak_allow",
        "Import leaks that are accepted, one entry a line: 'kind:name' or 'kind:name in node id', with "
        "globs, as --import-leak-allow does. Default: none.",
        type="linelist",
        default=[],
    )
    parser.addini(
        "import_leak_baseline",
        "JSON file of import leaks that are accepted, relative to the ini file, as --import-leak-baseline "
        "does. Default: no file.",
        default="",
    )
    parser.addini(
        "import_isolation_keep",
        "Modules that stay loaded when isolation undoes what was imported, one pattern a line: a name, which "
        "covers its submodules, or a glob such as 'myapp.plugins.*'. Default: none. No option.",
        type="linelist",
        default=[],
    )
    parser.addini(
        "import_isolation_first_party",
        "Installed modules to treat as your own source: isolation forgets them, and their next import "
        "executes them anew. One pattern on each line, a name or a glob. Default: none. No option.",
        type="linelist",
        default=[],
    )


def give_back_path(args: list[str], option: argparse.Namespace) -> None:
    """Let a path follow ``--isolate-imports`` without a value; argparse takes it for the value.

    Args:
        args: the arguments, which are parsed once more after this.
        option: what they were parsed to.
    """
    taken = option.isolate_imports
    if taken is None or taken in _MODES or not os.path.exists(taken.partition("::")[0]):
        return
    for at, pair in enumerate(itertools.pairwise(args)):
        if pair == ("--isolate-imports", taken):
            args[at] = f"--isolate-imports={_BARE}"
            option.isolate_imports = _BARE
            option.file_or_dir.insert(0, taken)


def read_settings(config: pytest.Config, option: argparse.Namespace) -> Settings:
    """Parse the options.

    Args:
        config: the run, for its ini file.
        option: its command line, as far as it is parsed.

    Raises:
        pytest.UsageError: one of them cannot be used.
    """
    names = option.import_leak_file or config.getini("import_leak_file")
    try:
        keep = Patterns(config.getini("import_isolation_keep"), "import_isolation_keep")
        first_party = Patterns(config.getini("import_isolation_first_party"), "import_isolation_first_party")
        allow = _allowances(config, option)
    except ImportIsolationError as error:
        raise pytest.UsageError(str(error)) from None
    files = tuple(_usable_file(config, name) for name in names)
    fail = _switch(config, option, "import_leak_fail")
    baseline = _baseline(config, option)
    asked = _switch(config, option, "import_leak_report")
    effects = _switch(config, option, "import_leak_effects")
    return Settings(
        report=bool(asked or files or fail or allow or baseline or effects),
        files=files,
        keep=keep,
        first_party=first_party,
        isolate=_mode(config, option),
        process_timeout=_process_timeout(config),
        fail=fail,
        allow=allow,
        baseline=baseline,
        write_baseline=option.import_leak_write_baseline,
        effects=effects,
        import_mode=getattr(option, "importmode", "prepend"),
        contents=_choice(config, option, "import_isolation_contents", _CONTENTS),
    )


def _switch(config: pytest.Config, option: argparse.Namespace, name: str) -> bool:
    given = getattr(option, name)
    return bool(config.getini(name) if given is None else given)


def _allowances(config: pytest.Config, option: argparse.Namespace) -> tuple[Allowance, ...]:
    named = [("import_leak_allow in the ini file", text) for text in config.getini("import_leak_allow")]
    named += [("--import-leak-allow", text) for text in option.import_leak_allow or ()]
    if not named:
        return ()
    from pytest_import_isolation.report.policy import parse_allowance  # runs without entries do not need it

    return tuple(parse_allowance(text, who) for who, text in named)


def _baseline(config: pytest.Config, option: argparse.Namespace) -> Path | None:
    """Return the file of known leaks; only a controller of xdist reads it, so that is done later."""
    given: str | None = option.import_leak_baseline
    path: Path | None = None
    if given is not None:
        path = config.invocation_params.dir / given
    elif config.getini("import_leak_baseline"):
        given = config.getini("import_leak_baseline")
        path = (config.inipath.parent if config.inipath else config.rootpath) / given
    if path is None or not given:
        if option.import_leak_write_baseline or given is not None:
            raise pytest.UsageError(
                "--import-leak-write-baseline needs the name of the file: add --import-leak-baseline=PATH, "
                "or import_leak_baseline to the ini file"
                if option.import_leak_write_baseline
                else "--import-leak-baseline: give the name of a file"
            )
        return None
    return path


def _mode(config: pytest.Config, option: argparse.Namespace) -> str | None:
    mode = _choice(config, option, "isolate_imports", _MODES)
    return None if mode == "off" else mode


def _choice(config: pytest.Config, option: argparse.Namespace, name: str, choices: tuple[str, ...]) -> str:
    given = getattr(option, name)
    chosen = str(config.getini(name) if given is None else given).strip()
    if chosen not in choices:
        from pytest_import_isolation.wording import suggestion

        who = f"{name} in the ini file" if given is None else f"--{name.replace('_', '-')}"
        *others, last = choices
        expected = f"{', '.join(others)} or {last}"
        raise pytest.UsageError(f"{who}: expected {expected}, not {chosen!r}{suggestion(chosen, choices)}")
    return chosen


def _process_timeout(config: pytest.Config) -> float | None:
    text = str(config.getini("import_isolation_process_timeout")).strip()
    try:
        seconds = float(text) if text else None
    except ValueError:
        seconds = 0.0
    if seconds is not None and not 0 < seconds < math.inf:
        raise pytest.UsageError(
            f"import_isolation_process_timeout in the ini file is a number of seconds above 0, not {text!r}"
        )
    return seconds


def _usable_file(config: pytest.Config, name: str) -> Path:
    path = config.invocation_params.dir / name
    if path.suffix not in _SUFFIXES:
        raise pytest.UsageError(
            f"--import-leak-file={name}: the report is written as JSON or HTML, so give a name that ends in "
            ".json or .html"
        )
    if path.is_dir():
        raise pytest.UsageError(f"--import-leak-file={name}: that is a directory")
    existing = next(parent for parent in path.parents if parent.exists())
    if not existing.is_dir():
        raise pytest.UsageError(f"--import-leak-file={name}: {existing} is not a directory")
    return path
