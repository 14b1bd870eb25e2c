"""The commands: ``python -m pytest_import_isolation``."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from pytest_import_isolation.errors import ImportIsolationError, ParameterError, ReportError
from pytest_import_isolation.report.files import write_text
from pytest_import_isolation.report.folding import fold
from pytest_import_isolation.report.lines import Line
from pytest_import_isolation.report.merging import merge
from pytest_import_isolation.report.records import Report, parse_report
from pytest_import_isolation.report.text import render
from pytest_import_isolation.report.who import who
from pytest_import_isolation.wording import count

_COLOURS: Final = {"error": "31;1", "warning": "33", "good": "32", "advice": "36"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: those of the command line by default.

    Returns:
        The exit status: 2 for a user's mistake, 1 if ``cycles`` or ``lint`` find some or ``blame`` proves
        nothing, else 0, whatever reports say.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    # What follows is pytest's, and argparse would take options of the same names for ours.
    place = given.index("--") if given[:1] == ["blame"] and "--" in given else len(given)
    options, rest = _parser().parse_args(given[:place]), given[place + 1 :]
    status = 0
    try:
        command: str = options.command
        if command == "merge":
            _merge(options.reports, options.output)
        elif command == "show":
            width = shutil.get_terminal_size().columns
            _print(render(_read_all(options.reports), verbosity=options.verbose, width=width))
        elif command == "cycles":
            status = _find_cycles(options)
        elif command == "trace":
            _trace(options)
        elif command == "lint":
            status = _lint(options)
        elif command == "blame":
            status = _blame(options, rest)
        elif command == "schema":
            from pytest_import_isolation.report.schema import read_schema

            print(read_schema(), end="")
        else:
            _print(who(_read_all(options.reports), options.name))
        sys.stdout.flush()
    except ImportIsolationError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Somebody read enough (`| head`). What is left in the buffer has nowhere to go at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pytest_import_isolation",
        description="Read import leak reports that pytest --import-leak-file=report.json wrote, find "
        "circular imports, and trace the modules that an import loads.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    merging = commands.add_parser("merge", help="make one report of several, such as those of CI shards")
    showing = commands.add_parser("show", help="print reports as pytest does at the end of a run")
    asking = commands.add_parser(
        "who", help="name the first importer of a module, the leaks in its place, and the tests that met them"
    )
    asking.add_argument("name", metavar="NAME", help="a module, such as torch or app.db")
    for command in (merging, showing, asking):
        command.add_argument("reports", metavar="report.json", nargs="+", type=Path)
    merging.add_argument(
        "-o",
        "--output",
        metavar="all.json",
        required=True,
        type=Path,
        help="what to write: JSON, or a page for the browser if the name ends in .html",
    )
    showing.add_argument(
        "-v", "--verbose", action="count", default=0, help="tell every leak; -vv lists first imports, too"
    )
    _add_cycles(commands)
    tracing = commands.add_parser(
        "trace", help="show what importing a package loads in a new interpreter, and how long it takes"
    )
    tracing.add_argument("package", metavar="PACKAGE", help="a module name, such as app")
    tracing.add_argument("--json", action="store_true", help="print JSON")
    _add_lint(commands)
    _add_blame(commands)
    commands.add_parser("schema", help="print the JSON Schema of the reports")
    return parser


def _add_cycles(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    finding = commands.add_parser(
        "cycles", help="find the modules of a package that import each other in a circle"
    )
    finding.add_argument("package", metavar="PACKAGE", help="a module name, such as app")
    finding.add_argument(
        "--allow",
        metavar="CYCLE",
        action="append",
        default=[],
        help="a circle that is known, as 'app.a -> app.b', or a pattern of modules; may repeat",
    )
    finding.add_argument(
        "--path", metavar="DIR", action="append", default=[], help="put before sys.path; may repeat"
    )
    finding.add_argument(
        "--exhaustive", action="store_true", help="import every module first, not only those that can matter"
    )
    finding.add_argument("--json", action="store_true", help="print JSON")


def _add_lint(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    linting = commands.add_parser(
        "lint", help="tell what test files will do to the import state, without executing them"
    )
    linting.add_argument("paths", metavar="PATH", nargs="+", help="a test file, or a folder")
    linting.add_argument(
        "--format", choices=("text", "json", "github", "sarif"), default="text", help="how to print findings"
    )
    linting.add_argument(
        "--baseline", metavar="known.json", type=Path, help="findings that are known: only others count"
    )
    linting.add_argument(
        "--write-baseline", action="store_true", help="write what is found into the file of --baseline"
    )
    linting.add_argument("--strict", action="store_true", help="exit status 1 for warnings too")
    linting.add_argument(
        "--from-report",
        metavar="report.json",
        type=Path,
        help="raise what a run confirmed, as the report of pytest --import-leak-file tells it",
    )


def _add_blame(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    blaming = commands.add_parser(
        "blame",
        help="prove why a test has another outcome in the whole run than alone",
        usage="%(prog)s [-h] [--report FILE] [--json FILE] [--max-runs N] NODEID [-- PYTEST ARGUMENTS]",
    )
    blaming.add_argument("nodeid", metavar="NODEID", help="a test, or a file that cannot be collected")
    blaming.add_argument(
        "--report", metavar="FILE", type=Path, help="take the suspects from this report of an earlier run"
    )
    blaming.add_argument("--json", metavar="FILE", type=Path, help="also write the verdict to this file")
    blaming.add_argument(
        "--max-runs", metavar="N", type=_positive, default=100, help="give up after N runs (default: 100)"
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _read_all(files: Iterable[Path]) -> Report:
    return fold(merge(map(_read, files)))


def _read(file: Path) -> Report:
    try:
        return parse_report(file.read_text(encoding="utf-8"))
    except ReportError as error:
        raise ReportError(f"{file}: {error}; name a file that pytest --import-leak-file wrote") from None
    except UnicodeDecodeError:
        raise ReportError(
            f"{file}: this is no text; name a file that pytest --import-leak-file wrote"
        ) from None
    except OSError as error:
        raise ReportError(f"{file}: it cannot be read: {error.strerror}") from None


def _merge(files: Sequence[Path], output: Path) -> None:
    report = _read_all(files)
    if output.suffix == ".html":
        from pytest_import_isolation.report.html import render_page

        text = render_page(report, Path.cwd())
    else:
        text = json.dumps(report.as_builtins(), indent=2) + "\n"
    write_text(output, text)
    summary = report.summary
    print(
        f"{output}: {count(len(files), 'report')}, {count(summary['error'], 'error')}, "
        f"{count(summary['warning'], 'warning')}"
    )


def _find_cycles(options: argparse.Namespace) -> int:
    from pytest_import_isolation.cycles.search import find_import_cycles
    from pytest_import_isolation.cycles.text import render_cycles

    sys.path[:0] = [os.path.abspath(entry) for entry in options.path]
    with contextlib.redirect_stdout(sys.stderr):  # what the modules print
        found = find_import_cycles(options.package, allow=options.allow, exhaustive=options.exhaustive)
    if options.json:
        print(json.dumps(found.as_builtins(), indent=2))
    else:
        _print(map(Line, render_cycles(found, os.getcwd())))
    return 0 if found.is_clean else 1


def _blame(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    from pytest_import_isolation.blame.investigation import Investigation
    from pytest_import_isolation.blame.runner import Runner
    from pytest_import_isolation.blame.suite import Suite
    from pytest_import_isolation.blame.text import render_verdict

    report = None if options.report is None else _read(options.report)

    def tell(line: str) -> None:
        _print([Line(line)])
        sys.stdout.flush()

    with Runner(arguments) as runner:
        suite = Suite(runner, options.nodeid, options.max_runs, tell)
        verdict = Investigation(suite, arguments, report).run()
    _print(render_verdict(verdict))
    if options.json is not None:
        write_text(options.json, json.dumps(verdict.as_builtins(), indent=2) + "\n")
    return 0 if verdict.is_proven else 1


def _trace(options: argparse.Namespace) -> None:
    from pytest_import_isolation.patterns import check_module_name
    from pytest_import_isolation.tracing.interpreters import measure
    from pytest_import_isolation.tracing.trace import ImportTrace

    package = check_module_name(options.package, "trace")
    try:
        measured = measure(package)
    except ImportError as error:
        raise ParameterError(f"trace: {error}; name a module that this Python can import") from None
    trace = ImportTrace(measured.entries, measured.before)
    if options.json:
        print(json.dumps({"package": package, **trace.as_builtins()}, indent=2))
        return
    _print(map(Line, trace.tree().splitlines()))
    _print([Line(f"{package} loads {count(len(trace), 'module')} in {measured.times[0]:.0f} ms", "good")])


def _lint(options: argparse.Namespace) -> int:
    from pytest_import_isolation.lint.command import run

    report = None if options.from_report is None else _read(options.from_report)
    return run(
        options,
        report,
        lambda text, style: _print([Line(text, style)]),
        lambda text, style: print(text, file=sys.stderr),
    )


def _print(lines: Iterable[Line]) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path may have what no terminal can show
    colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    for line in lines:
        code = _COLOURS.get(line.style) if colours else None
        print(f"\x1b[{code}m{line.text}\x1b[0m" if code else line.text)


if __name__ == "__main__":
    sys.exit(main())
