"""Where the statement stands that changed the import system: observed, or else read from the source text.

What is only read is an inference, and reported as such.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from pytest_import_isolation.leaks.failed_statements import tree_of
from pytest_import_isolation.leaks.guessed_lines import guess_line
from pytest_import_isolation.leaks.said_names import SaidNames
from pytest_import_isolation.machinery.frames import Importer
from pytest_import_isolation.machinery.modules import namespace
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.paths import CONFTEST
from pytest_import_isolation.machinery.source_text import text_of
from pytest_import_isolation.machinery.syntax import walk
from pytest_import_isolation.report.records import Link, Location, Polluter
from pytest_import_isolation.state.single_changes import SingleChange
from pytest_import_isolation.watching.import_log import ImportLog
from pytest_import_isolation.watching.statements import Statements, Step, Trail


class Place(NamedTuple):
    """The statement of the polluter, and how it led to the one that did it."""

    location: Location | None = None
    chain: tuple[Link, ...] = ()


class Places:
    """Finds the statements of polluters.

    Args:
        root: the directory to which file names are relative.
        statements: what was observed, if anything was.
        log: who imported what first.
    """

    def __init__(
        self, root: Path, statements: Statements | None = None, log: ImportLog | None = None
    ) -> None:
        self._root = root
        self._prefix = os.path.join(root, "")
        self._statements = statements
        self._log = log
        self._items: dict[str, range] = {}
        # The last file that was asked for, by its node id: a statement may throw out a thousand modules.
        self._file: tuple[str | None, Path] = None, root
        self._files: tuple[str | None, list[str]] = None, []
        self._text: tuple[Path | None, str] = None, ""
        self._said = SaidNames()

    def shorten(self, file: str) -> str:
        """Return a file's name, relative to the root where it lies below it."""
        # Path.relative_to() takes thirty times as long, and every first import has a file.
        return file[len(self._prefix) :].replace(os.sep, "/") if file.startswith(self._prefix) else file

    def is_of_project(self, path: str) -> bool:
        """Tell whether a file or directory lies below the root."""
        return path.startswith(self._prefix)

    def note_lines(self, nodeid: str, lines: range) -> None:
        """Take note of the lines of a test, among which its statements are looked for first."""
        self._items[nodeid] = lines

    def lines_of(self, nodeid: str) -> range | None:
        """Return the lines of a test, if they are known."""
        return self._items.get(nodeid)

    def of_first_import(self, name: str) -> Location | None:
        """Return the statement of the users' own that made a module be imported first, if there is one."""
        by = self._importer_of(name)
        return None if by is None else Location(self.shorten(by.file), by.line, exact=True)

    def file_of_import(self, name: str) -> str | None:
        """Return the file of that statement."""
        by = self._importer_of(name)
        return None if by is None else by.file

    def _importer_of(self, name: str) -> Importer | None:
        log = self._log
        way = () if log is None else (by for _, by in log.way(name))
        return next((by for by in way if log is None or log.is_users is None or log.is_users(by.file)), None)

    def of_text(self, polluter: Polluter, name: str) -> Location | None:
        """Return the statement or decorator of a polluter that says the name of a module in a text.

        What a decorator such as ``mock.patch()`` makes imports it: no line of the users' own runs then.
        """
        path = self.file_of(polluter)
        if path.suffix != ".py":
            return None
        found = self._said.lines(str(path), self.text_of(polluter), name)
        lines = self._items.get(polluter.nodeid, range(0))
        line = next((line for line in found if line in lines), min(found, default=0))
        return Location(self.shorten(str(path)), line, exact=False) if line else None

    def of_way(self, way: Iterable[Importer], *, exact: bool) -> Location | None:
        """Return the first of some statements that is the users' own: a library asks in the name of somebody.

        Args:
            way: the statements, the innermost first.
            exact: whether they led to what was seen.
        """
        is_users = self._log.is_users if self._log is not None else None
        for by in way:
            if is_users is None or is_users(by.file):
                return Location(self.shorten(by.file), by.line, exact)
        return None

    def of(self, change: SingleChange, polluter: Polluter, name: str) -> Place:
        """Return where a polluter made a change.

        Args:
            change: the change.
            polluter: who made it.
            name: what changed, as the report calls it.
        """
        seen = self._statements
        trail = None if seen is None else seen.find(change) or seen.find_exchange(change)
        if trail is not None:
            return self._of_trail(trail, polluter, name)
        last = name.rpartition(".")[2]
        containers = {"entry": "modules", "rebound": last, "import_function": last}
        container = containers.get(change.what, change.what)
        location = self.guess(polluter, container, name)
        return self._guess_module(polluter, container, name) if location is None else Place(location)

    def _guess_module(self, polluter: Polluter, container: str, name: str) -> Place:
        """Guess which module did it that the polluter's file imported first."""
        file = str(self.file_of(polluter))
        for module, importer in list(self._log.importers.items()) if self._log and polluter.nodeid else []:
            its_file = (namespace(sys.modules.get(module)) or {}).get("__file__")
            if importer.file == file and type(its_file) is str and its_file.endswith(".py"):
                text = text_of(its_file)
                line = guess_line(text, container, name) if name in text else None
                if line is not None:
                    short = self.shorten(file)
                    lines = self._items.get(polluter.nodeid)
                    # A test called what its file had imported.
                    at = importer.line if lines is None else _use_of_import(file, importer.line, lines)
                    chain = (Link(module, short, at), Link(name, self.shorten(its_file), line))
                    return Place(Location(short, at, exact=False), chain)
        return Place()

    def text_of(self, polluter: Polluter) -> str:
        """Return the text of a polluter's file."""
        if not polluter.nodeid:
            return ""
        file = self.file_of(polluter)
        if self._text[0] != file:  # each first import by a library asks
            self._text = file, text_of(file)
        return self._text[1]

    def file_that_says(self, change: SingleChange, word: str) -> str | None:
        """Return the file of the line that was seen to make a change, if that line has a word."""
        trail = self._statements.find(change) if self._statements else None
        if trail is None or not trail.steps:
            return None
        at = trail.steps[-1]
        lines = text_of(at.file).splitlines()
        return at.file if any(word in line for line in lines[at.line - 1 : at.line]) else None

    def entry_of(self, change: SingleChange) -> Step | None:
        """Return what pytest, or a library, called that was seen to make a change."""
        trail = self._statements.find(change) if self._statements else None
        entries = [] if trail is None else [step for step in trail.steps if step.is_entry]
        return entries[-1] if entries else None

    def removal(self, name: str) -> Trail | None:
        """Return the statement that was seen to take out the entry of a module that has none now."""
        return self._statements.find_removal(name) if self._statements else None

    def of_removal(self, polluter: Polluter, name: str, trail: Trail | None) -> Place:
        """Return where the entry of a module was taken out.

        Args:
            polluter: who did it.
            name: the module.
            trail: the statement that was seen to do it, if one was.
        """
        if trail is not None:
            return self._of_trail(trail, polluter, name)
        return Place(self.guess(polluter, "modules", name))

    def _of_trail(self, trail: Trail, polluter: Polluter, name: str) -> Place:
        steps = trail.steps
        file = str(self.file_of(polluter))
        # The statement of the polluter's own file; or else the one that pytest, or a library, called.
        first = next((i for i, step in enumerate(steps) if step.file == file), None)
        if first is None:
            first = max((i for i, step in enumerate(steps) if step.is_entry), default=0)
        while (
            first + 1 < len(steps)
            and steps[first + 1].is_inline
            and steps[first + 1].file == steps[first].file
        ):
            first += 1
        at = steps[first]
        entered = [*(step.module for step in steps[first + 1 :]), name]
        links = [
            Link(module, self.shorten(step.file), step.line)
            for module, step in zip(entered, steps[first:], strict=True)
        ]
        return Place(
            Location(self.shorten(at.file), at.line, trail.exact), tuple(links) if len(links) > 1 else ()
        )

    def file_of(self, polluter: Polluter) -> Path:
        """Return the file of a polluter."""
        if self._file[0] != polluter.nodeid:
            path = self._root / polluter.nodeid.partition("::")[0]
            self._file = polluter.nodeid, path if path.suffix else path / "__init__.py"
        return self._file[1]

    def files_of(self, polluter: Polluter) -> list[str]:
        """Return the file of a polluter, and the conftest that is loaded when a directory is collected."""
        if self._files[0] != polluter.nodeid:  # each import asks
            file = self.file_of(polluter)
            beside = [file.with_name(CONFTEST)] if file.name == "__init__.py" else []
            self._files = polluter.nodeid, [str(one) for one in (file, *beside)]
        return self._files[1]

    def guess(self, polluter: Polluter, container: str, name: str) -> Location | None:
        """Guess the statement from the text of the polluter's file; see :func:`guess_line`."""
        path = self.file_of(polluter)
        if not polluter.nodeid or path.suffix != ".py":
            return None
        line = guess_line(text_of(path), container, name, self._items.get(polluter.nodeid))
        return None if line is None else Location(self.shorten(str(path)), line, exact=False)


def _use_of_import(file: str, line: int, lines: range) -> int:
    """Return the first of some lines that uses what another line imported, and that line if none does."""
    tree = None if line in lines else tree_of(file)
    if tree is None:
        return line
    bound: set[str] = set()
    for node in walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)) and node.lineno == line:
            bound.update(alias.asname or alias.name.partition(".")[0] for alias in node.names)
    uses = (node.lineno for node in walk(tree) if isinstance(node, ast.Name) and node.id in bound)
    return min((at for at in uses if at in lines), default=line)
