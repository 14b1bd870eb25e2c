"""Whose doing a change of contents is: told from the texts of those who could have made it.

What test code did to a module is a leak. What the application did to itself is its own state. Where neither
is certain, nothing is said.
"""

from __future__ import annotations

import os
import re
import sys
import weakref
from collections.abc import Iterable, Iterator
from typing import ClassVar, Final, NamedTuple

from pytest_import_isolation.contents.changes import ContentChange
from pytest_import_isolation.contents.source_writes import SourceWrites, Statement, statements_writing
from pytest_import_isolation.contents.values import is_mock
from pytest_import_isolation.machinery.modules import namespace
from pytest_import_isolation.state.origins import Origin, Origins

#: Test code did it: a leak.
TEST: Final = "test"
#: A first-party module did it to another one: information.
APPLICATION: Final = "application"
#: A module did it to itself, or nobody knows who did it.
NOBODY: Final = "nobody"


class Writer(NamedTuple):
    """A statement of test code that can have made a change."""

    file: str
    statement: Statement


class Writers:
    """Judges changes of contents.

    Args:
        origins: gives the verdicts on modules, and knows the test files.
    """

    # What a file says is read once for all windows.
    _by_origins: ClassVar[weakref.WeakKeyDictionary[Origins, Writers]] = weakref.WeakKeyDictionary()

    def __init__(self, origins: Origins) -> None:
        self._origins = origins
        self._sources = SourceWrites()

    @classmethod
    def of(cls, origins: Origins) -> Writers:
        """Return the one for these verdicts, which all share that ask with them."""
        found = cls._by_origins.get(origins)
        if found is None:
            found = cls._by_origins[origins] = cls(origins)
        return found

    def verdict(self, change: ContentChange, files: Iterable[str]) -> str:
        """Tell whose doing a change is.

        Args:
            change: the change.
            files: the test code that was running: a test file, and what it calls beside it.

        Returns:
            :data:`TEST`, :data:`APPLICATION` or :data:`NOBODY`.
        """
        if self._is_of_a_test(change) or self._is_own_state(change):
            return NOBODY
        if is_mock(change.after):
            return TEST
        if change.submodule is not None:
            return (
                TEST
                if any(_imports(self._sources.text(file), change.submodule) for file in files)
                else NOBODY
            )
        written = [file for file in files if self._sources.writes_attribute(file, change.name)]
        if not written:
            return NOBODY
        if self._other_writer(change) is None and not self._may_write_by_itself(change):
            return TEST
        # Both could: a statement that stores the very attribute of the module's own name decides.
        return TEST if any(self._says_home(file, change) for file in written) else APPLICATION

    def _is_of_a_test(self, change: ContentChange) -> bool:
        """Tell whether a namespace is that of a test file or conftest, which may do with it what it likes."""
        own = namespace(sys.modules.get(change.space.home)) or {}
        file = own.get("__file__")
        return "@pytest_ar" in own or (type(file) is str and self._origins.is_test_file(file))

    def _is_own_state(self, change: ContentChange) -> bool:
        """Tell whether the code of the module itself stores that name."""
        file = _file_of(change.space.home)
        if file is None or change.submodule is not None or change.name not in self._sources.text(file):
            return False
        writes = self._sources.of(file)
        if change.space.is_class:
            return change.name in writes.attributes
        return change.name in writes.own

    def _may_write_by_itself(self, change: ContentChange) -> bool:
        """Tell whether the module can write to globals whose names it does not say."""
        file = _file_of(change.space.home)
        return file is not None and not change.space.is_class and self._sources.of(file).is_dynamic

    def _other_writer(self, change: ContentChange) -> str | None:
        """Return a file of the application's that can write to an attribute of that name."""
        home = _file_of(change.space.home)
        for name, module in sys.modules.copy().items():
            if type(name) is not str or not self._origins.is_first_party(name, module):
                continue
            file = _file_of(name)
            if file is None or file == home or self._is_test_code(file, home):
                continue
            text = self._sources.text(file)
            if change.name in text and change.name in self._sources.of(file).attributes:
                return file
        return None

    def _is_test_code(self, file: str, home: str | None) -> bool:
        if self._origins.is_test_file(file):
            return True
        # Where application and tests lie in one folder, nothing tells a helper from the application.
        return self._origins.is_test_code(file) and not self._origins.is_test_code(home)

    def _says_home(self, file: str, change: ContentChange) -> bool:
        last = change.space.home.rpartition(".")[2]
        text = self._sources.text(file)
        return f"{last}.{change.name}" in text or (
            change.space.is_class and f"{change.space.name.rpartition('.')[2]}.{change.name}" in text
        )

    def test_code(self, file: str, home: str) -> Iterator[str]:
        """Yield the files of test code that may have run: a file, conftests, and helpers beside it.

        Args:
            file: that of the test, or of who opened a window.
            home: the module that was written to: where that lies beside the tests, it is no helper.
        """
        yield file
        target = _file_of(home)
        folder = os.path.dirname(file)
        is_flat = target is not None and self._origins.is_test_code(target)
        for name, module in sys.modules.copy().items():
            other = _file_of(name) if type(name) is str else None
            if other is None or other in (file, target):
                continue
            if self._origins.is_test_file(other):
                if os.path.basename(other) == "conftest.py":
                    yield other
            elif (
                not is_flat
                and (self._origins.is_test_code(other) or _is_beside(other, folder, target))
                and self._origins.verdict(name, module).origin is Origin.FIRST_PARTY
            ):
                yield other

    def may_write(self, files: Iterable[str], module: str) -> bool:
        """Tell whether the text of one of some files says the last part of a module's name."""
        last = module.rpartition(".")[2]
        return any(last in self._sources.text(file) for file in files)

    def statement(
        self, change: ContentChange, files: Iterable[str], lines: range | None = None
    ) -> Writer | None:
        """Return the statement that probably made a change.

        Args:
            change: the change.
            files: the test code that was running, the likeliest first.
            lines: those of the first file to look at first.
        """
        for number, file in enumerate(files):
            found = statements_writing(self._sources.text(file), change.name)
            near = [one for one in found if lines is not None and number == 0 and one.line in lines]
            direct = [one for one in found if one.is_direct]
            best = near or direct or found
            if best:
                return Writer(file, best[0])
        return None


def _imports(text: str, submodule: str) -> bool:
    """Tell whether a text imports a submodule, or something from it, by its full name."""
    package, _, name = submodule.rpartition(".")
    return (
        submodule in text
        or re.search(rf"from\s+{re.escape(package)}\s+import\b.*\b{name}\b", text) is not None
    )


def _is_beside(file: str, folder: str, target: str | None) -> bool:
    """Tell whether a file lies in a folder in which that of the module that was written to does not lie."""
    return os.path.dirname(file) == folder and (target is None or os.path.dirname(target) != folder)


def _file_of(name: str) -> str | None:
    own = namespace(sys.modules.get(name)) or {}
    file = own.get("__file__")
    return file if type(file) is str else None
