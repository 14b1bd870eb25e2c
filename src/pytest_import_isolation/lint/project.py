"""The files that are linted, and what they know of each other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property

from pytest_import_isolation.lint.definitions import Kind, Routine
from pytest_import_isolation.lint.scopes import Scope
from pytest_import_isolation.lint.sources import Source, UnreadableError, folders_for
from pytest_import_isolation.lint.test_files import CONFTEST, HELPER, TEST
from pytest_import_isolation.lint.values import Thing, Value


class Project:
    """The files of test code, read and parsed when they are asked for."""

    def __init__(self, files: dict[str, str], root: str, load: Callable[[Source], Scope]) -> None:
        """Know the files.

        Args:
            files: absolute paths with the part of each.
            root: the folder relative to which files are named.
            load: executes the body of a file in the mind, and returns its names.
        """
        self._load = load
        self.sources = {path: Source(path, _name(path, root), part, self) for path, part in files.items()}
        self._found: dict[tuple[str, str], Value | None] = {}
        self._conftests: dict[str, Source | None] = {}

    def worth_parsing(self) -> Iterator[Source]:
        """Yield the files that may change import state; those that cannot be read come too."""
        for source in self.sources.values():
            try:
                if source.has_words or (source.role == TEST and self._calls_helper(source)):
                    yield source
            except UnreadableError:
                yield source

    def _calls_helper(self, source: Source) -> bool:
        words = source.import_words
        return any(
            not names.isdisjoint(words) or (module in words and any(name in source.text for name in names))
            for module, names in self._helpers.items()
        )

    @cached_property
    def _helpers(self) -> dict[str, frozenset[str]]:
        """The functions of helpers that change import state, by the name of the module."""
        found: dict[str, frozenset[str]] = {}
        for source in self.sources.values():
            with suppress(UnreadableError):
                if source.role == HELPER and source.has_words:
                    name = os.path.basename(source.path)[:-3]
                    names = {one for one in source.interesting if not one.startswith(("__", "test"))}
                    found[name] = found.get(name, frozenset()) | names
        return found

    def interesting_names(self, source: Source) -> frozenset[str]:
        """Return the names of functions in other files that change import state."""
        if source.role == HELPER:
            return frozenset()
        found = {name for names in self._helpers.values() for name in names}
        for conftest in self.conftests(source):
            if conftest is not source:
                found |= {member.node.name for member in conftest.members} & conftest.interesting
        return frozenset(found)

    def conftests(self, source: Source) -> list[Source]:
        """Return the conftests whose fixtures a file can use, the nearest first."""
        found = []
        folder = source.folder
        while True:
            conftest = self._conftest_in(folder)
            if conftest is not None:
                found.append(conftest)
            above = os.path.dirname(folder)
            if above == folder:
                return found
            folder = above

    def _conftest_in(self, folder: str) -> Source | None:
        if folder not in self._conftests:
            path = os.path.join(folder, "conftest.py")
            source = self.sources.get(path)
            if source is None and os.path.isfile(path):
                source = Source(path, path, CONFTEST, self)
            try:
                if source is not None and not source.has_words:
                    source = None
                elif source is not None:
                    self.names_of(source)
            except (UnreadableError, RecursionError):
                source = None
            self._conftests[folder] = source
        return self._conftests[folder]

    def names_of(self, source: Source) -> Scope:
        """Return what the names of a file stand for once its body was executed."""
        return self._load(source)

    def is_imported(self, helper: Source) -> bool:
        """Tell whether a test file, or a conftest, imports a helper by its name."""
        name = os.path.basename(helper.path)[:-3]
        if name == "__init__":  # pytest imports it with the first file beside it
            return any(source.folder == helper.folder for source in self._users)
        return name in self._imported_words

    @cached_property
    def _imported_words(self) -> frozenset[str]:
        return frozenset(word for source in self._users for word in source.import_words)

    @cached_property
    def _users(self) -> list[Source]:
        found = []
        for source in self.sources.values():
            try:
                if source.role != HELPER and source.text:
                    found.append(source)
            except UnreadableError:
                continue
        return found

    def find(self, source: Source, path: str) -> Value | None:
        """Return a function or class of another file that is linted; None if there is no such thing.

        Args:
            source: the file that names it.
            path: its dotted path, with dots in front as in a relative import.
        """
        key = (source.folder, path)
        if key not in self._found:
            self._found[key] = None  # while it is looked for: files may import each other
            with suppress(UnreadableError, RecursionError):
                self._found[key] = self._find(source, path)
        return self._found[key]

    def _find(self, source: Source, path: str) -> Value | None:
        other = self.module_file(source, path.rpartition(".")[0] or path)
        if other is None or other is source or not other.has_words:
            return None
        value = self.names_of(other).names.get(path.rpartition(".")[2])
        if isinstance(value, Thing) and value.is_known:
            return self.find(other, value.path)
        return value if isinstance(value, (Routine, Kind)) else None

    def module_file(self, source: Source, module: str) -> Source | None:
        """Return the linted file that an import of a module gives."""
        for base in folders_for(source.folder, module):
            parts = module.lstrip(".").split(".") if module.strip(".") else []
            for file in (os.path.join(base, *parts) + ".py", os.path.join(base, *parts, "__init__.py")):
                if file in self.sources:
                    return self.sources[file]
        return None


def _name(path: str, root: str) -> str:
    """Return how findings name a file: relative to the root if it lies below."""
    try:
        relative = os.path.relpath(path, root)
    except ValueError:  # another drive
        return path.replace(os.sep, "/")
    return (path if relative.startswith("..") else relative).replace(os.sep, "/")
