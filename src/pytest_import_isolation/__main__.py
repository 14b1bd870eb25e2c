"""The commands on reports: ``python -m pytest_import_isolation``."""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from pytest_import_isolation.errors import ReportError
from pytest_import_isolation.report.merging import merge
from pytest_import_isolation.report.records import Report, parse_report
from pytest_import_isolation.report.text import Line, render
from pytest_import_isolation.report.who import who
from pytest_import_isolation.wording import count

_COLOURS: Final = {"error": "31;1", "warning": "33", "good": "32", "advice": "36"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: those of the command line by default.

    Returns:
        The exit status: 2 for a user's mistake, else 0, whatever the reports say.
    """
    options = _parser().parse_args(arguments)
    try:
        command: str = options.command
        if command == "merge":
            _merge(options.reports, options.output)
        elif command == "show":
            width = shutil.get_terminal_size().columns
            _print(render(_read_all(options.reports), verbosity=options.verbose, width=width))
        else:
            _print(who(_read_all(options.reports), options.name))
        sys.stdout.flush()
    except ReportError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Somebody read enough (`| head`). What is left in the buffer has nowhere to go at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pytest_import_isolation",
        description="Read import leak reports that pytest --import-leak-file=report.json wrote.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    merging = commands.add_parser("merge", help="make one report of several, such as those of CI shards")
    showing = commands.add_parser("show", help="print reports as pytest does at the end of a run")
    asking = commands.add_parser(
        "who", help="tell who imported a module first, who left something in its place, and who met that"
    )
    asking.add_argument("name", metavar="NAME", help="a module, such as torch or app.db")
    for command in (merging, showing, asking):
        command.add_argument("reports", metavar="report.json", nargs="+", type=Path)
    merging.add_argument("-o", "--output", metavar="all.json", required=True, type=Path)
    showing.add_argument(
        "-v", "--verbose", action="count", default=0, help="tell every leak, and list first imports"
    )
    return parser


def _read_all(files: Iterable[Path]) -> Report:
    return merge(map(_read, files))


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
    try:
        output.write_text(json.dumps(report.as_builtins(), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ReportError(f"{output}: it cannot be written: {error.strerror}") from None
    summary = report.summary
    print(
        f"{output}: {count(len(files), 'report')}, {count(summary['error'], 'error')}, "
        f"{count(summary['warning'], 'warning')}"
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
