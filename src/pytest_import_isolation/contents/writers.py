"""Whose doing a change of contents is: told from the texts of those who could have made it.

What test code did to a module is a leak. What the application did to itself is its own state. Where neither
is certain, nothing is said.
"""

from __future__ import annotations

import re
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator, Set
from typing import ClassVar

from pytest_import_isolation.contents.changes import ContentChange
from pytest_import_isolation.contents.loaded_files import LoadedFiles
from pytest_import_isolation.contents.source_writes import SourceWrites, Statement, statements_writing
from pytest_import_isolation.contents.values import is_mock
from pytest_import_isolation.machinery.modules import file_of, loaded_namespace
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.state.origins import Origins


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
        self._code = LoadedFiles(origins)

    @classmethod
    def of(cls, origins: Origins) -> Writers:
        """Return the one for these verdicts, which all share that ask with them."""
        found = cls._by_origins.get(origins)
        if found is None:
            found = cls._by_origins[origins] = cls(origins)
        return found

    def of_tests(
        self, changes: Iterable[ContentChange], files: Callable[[str], Iterable[str]]
    ) -> list[ContentChange]:
        """Return those of some changes that are test code's doing.

        Args:
            changes: the changes.
            files: returns the test code that was running, a test file and what it calls beside it, given the
                module that was written to.
        """
        return [change for change in changes if self._is_of_tests(change, files(change.space.home))]

    def _is_of_tests(self, change: ContentChange, files: Iterable[str]) -> bool:
        is_certain = is_mock(change.after) or self._is_imported(change, files)
        written: list[str] = []
        if not is_certain and change.submodule is None:
            written = [file for file in files if self._sources.writes_attribute(file, change.name)]
        if not (is_certain or written):
            return False
        # The text of the module itself may be long: it is read last.
        if self._is_in_a_test(change) or self._is_own_state(change):
            return False
        if is_certain:
            return True
        if not self._has_other_writer(change) and not self._may_write_by_itself(change):
            return True
        # The application could, too: a statement that says the module's own name and the attribute decides.
        return any(self._says_home(file, change) for file in written)

    def _is_imported(self, change: ContentChange, files: Iterable[str]) -> bool:
        """Tell whether one of some files imports the submodule that was bound to a name."""
        submodule = change.submodule
        return submodule is not None and any(_imports(self._sources.text(file), submodule) for file in files)

    def _is_in_a_test(self, change: ContentChange) -> bool:
        """Tell whether a namespace is that of a test file or conftest, which may do with it what it likes."""
        own = loaded_namespace(change.space.home)
        return "@pytest_ar" in own or self._origins.is_test_file(file_of(sys.modules.get(change.space.home)))

    def _is_own_state(self, change: ContentChange) -> bool:
        """Tell whether the code of the module itself stores that name."""
        file = file_of(sys.modules.get(change.space.home))
        if file is None or change.submodule is not None or change.name not in self._sources.text(file):
            return False
        writes = self._sources.of(file)
        if change.space.is_class:
            return change.name in writes.attributes
        return change.name in writes.own

    def _may_write_by_itself(self, change: ContentChange) -> bool:
        """Tell whether the module can write to globals whose names it does not say."""
        file = file_of(sys.modules.get(change.space.home))
        return file is not None and not change.space.is_class and self._sources.of(file).is_dynamic

    def _has_other_writer(self, change: ContentChange) -> bool:
        """Tell whether a file of the application's can write to an attribute of that name."""
        home = file_of(sys.modules.get(change.space.home))
        for file in self._code.first_party():
            if file == home or self._is_test_code(file, home):
                continue
            if change.name in self._sources.text(file) and change.name in self._sources.of(file).attributes:
                return True
        return False

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
        yield from self._code.around(file, file_of(sys.modules.get(home)))

    def words(self, file: str) -> Set[str]:
        """Return the words that the text of a file has: the last parts of the names of modules among them."""
        return self._sources.words(file)

    def is_harmless(self, files: Iterable[str]) -> bool:
        """Tell whether nothing in the texts of the test code that may run could write to a module.

        Only then is there no need to look after each test what modules hold.

        Args:
            files: those of the test, or of who opened a window.
        """
        own = [*files]
        if not own or not self._origins.test_files or any(map(self._sources.may_write, own)):
            return False  # without pytest nobody knows what is test code; to go on costs more than a look
        if self._code.has_mocking_code():
            return False  # the helpers of an application's own test tools may leave a mock anywhere
        return not any(self._sources.may_write(each) for file in own for each in self.test_code(file, ""))

    def statement(
        self, change: ContentChange, files: Iterable[str], lines: range | None = None
    ) -> Writer | None:
        """Return the statement that probably made a change.

        Args:
            change: the change.
            files: the test code that was running, the likeliest first.
            lines: those of the first file to look at first.
        """
        others: list[Writer] = []
        for number, file in enumerate(files):
            text = self._sources.text(file)
            if number and change.name not in text:
                continue  # what it writes may be named elsewhere, but the test's own file is likelier then
            found = statements_writing(text, change.name)
            near = [one for one in found if lines is not None and number == 0 and one.line in lines]
            direct = [one for one in found if one.is_direct]
            if near or direct:
                return Writer(file, (near or direct)[0])
            others += (Writer(file, one) for one in found[:1])
        return others[0] if others else None


def _imports(text: str, submodule: str) -> bool:
    """Tell whether a text imports a submodule, or something from it, by its full name."""
    package, _, name = submodule.rpartition(".")
    return (
        submodule in text
        or re.search(rf"from\s+{re.escape(package)}\s+import\b.*\b{name}\b", text) is not None
    )
