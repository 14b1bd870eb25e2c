"""Whose doing a change of contents is: told from the texts of those who could have made it.

What test code did to a module is a leak. What the application did to itself is its own state. Where neither
is certain, nothing is said.
"""

from __future__ import annotations

import os
import re
import sys
import weakref
from collections.abc import Callable, Collection, Iterable, Set
from types import FunctionType
from typing import ClassVar

from pytest_import_isolation.contents.changes import ContentChange
from pytest_import_isolation.contents.hook_writes import HookWrites
from pytest_import_isolation.contents.loaded_files import LoadedFiles
from pytest_import_isolation.contents.own_state import OwnState, home_file
from pytest_import_isolation.contents.path_changes import PATH
from pytest_import_isolation.contents.resets import is_reset, names_in_code
from pytest_import_isolation.contents.source_writes import SourceWrites
from pytest_import_isolation.contents.values import file_of_code, is_definition, is_mock
from pytest_import_isolation.contents.write_statements import (
    Statement,
    statements_executing,
    statements_writing,
)
from pytest_import_isolation.machinery.modules import ABSENT, file_of, home_of, is_rewritten, top_level
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.watching.process_effects import ENVIRONMENT


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
        #: Reads texts.
        self.sources = SourceWrites()
        #: Knows what hooks of conftests write.
        self.hooks = HookWrites(self.sources, origins)
        self._code = LoadedFiles(origins)
        #: Returns the file of the users' statement that made a module be imported, as far as that was seen.
        self.file_of_import: Callable[[str], str | None] = lambda name: None
        self._own_state = OwnState(origins, self._is_own_state)

    @classmethod
    def of(cls, origins: Origins) -> Writers:
        """Return the one for these verdicts, which all share that ask with them."""
        found = cls._by_origins.get(origins)
        if found is None:
            found = cls._by_origins[origins] = cls(origins)
        return found

    def of_tests(
        self,
        changes: Iterable[ContentChange],
        files: Callable[[str], Iterable[str]],
        *,
        with_hooks: bool = False,
    ) -> list[ContentChange]:
        """Return those of some changes that are test code's doing.

        Args:
            changes: the changes.
            files: returns the test code that was running, a test file and what it calls beside it, given the
                module that was written to.
            with_hooks: whether what hooks of conftests alone can have written for the run counts, which
                nobody undoes.
        """
        by_home: dict[str, tuple[str, ...]] = {}
        found: list[ContentChange] = []
        for change in changes:
            if self._own_state.is_known(change):
                continue
            home = change.space.home
            if home not in by_home:
                by_home[home] = tuple(files(home))
            hooks = None if with_hooks else self.hooks.of(change, by_home[home])
            is_for_all = hooks is not None and hooks.are_of_the_run
            if not is_for_all and self._is_of_tests(change, by_home[home]):
                found.append(change)
        return found

    def _is_of_tests(self, change: ContentChange, files: tuple[str, ...]) -> bool:
        is_certain = self._is_stand_in(change) or self._is_imported(change, files)
        is_open = not is_certain and change.submodule is None
        written = self.sources.writing(files, change.name, is_there=change.is_there) if is_open else ()
        if not (is_certain or written):
            return False
        # The text of the module itself may be long: it is read last.
        if self._is_in_a_test(change) or self._is_own_state(change):
            return False
        if is_reset(change, lambda: self._others(change.space.home, files), self.sources):
            return False
        if _may_be_put_back(change) and any(self.sources.copies(file, change.name) for file in written):
            return False
        if is_certain or any(self._names_target(file, change) for file in written):
            return True
        # Where others could have done it too, nothing is said.
        others = self._others(change.space.home, files)
        if (
            self._may_write_by_itself(change)
            or self._is_of_library(change)
            or self._has_other_writer(change, others)
        ):
            return False
        return not self._may_be_computed(others) or any(
            self.sources.of(file).targets.may_have(change.space.name.rpartition(".")[2], change.name)
            for file in written
        )

    def _is_stand_in(self, change: ContentChange) -> bool:
        """Tell whether test code gave what took the place of something, whoever put it there.

        That is a Mock, or what a test file defines in the place of a function or class: code of the
        application that stores what a test hands to it means it for that test.
        """
        if is_mock(change.after):
            return True
        file = file_of_code(change.after) if is_definition(change.before) else None
        return file is not None and self._origins.is_of_tests(file)

    def puts_in_by_name(self, change: ContentChange, files: Iterable[str]) -> bool:
        """Tell whether test code gave what took the place of something, and says the name that it wrote to.

        No body of a module that runs again binds that, unless it imports it.
        """
        owner = change.space.name.rpartition(".")[2]
        return self._is_stand_in(change) and any(
            self.sources.of(file).targets.has(owner, change.name) for file in files
        )

    def _is_imported(self, change: ContentChange, files: Iterable[str]) -> bool:
        """Tell whether one of some files imports the submodule that was bound to a name."""
        submodule = change.submodule
        return submodule is not None and (
            any(_imports(self.sources.text(file), submodule) for file in files)
            or self.file_of_import(submodule) in {*files}  # the text may compute the name
        )

    def _is_in_a_test(self, change: ContentChange) -> bool:
        """Tell whether a namespace is test code's own: tests may do with it what they like."""
        file = home_file(change)
        if is_rewritten(sys.modules.get(change.space.home)) or self._origins.is_test_file(file):
            return True
        return self._origins.is_test_code(file) and self._code.is_apart(str(file))

    def _is_own_state(self, change: ContentChange) -> bool:
        """Tell whether the code of the module itself stores that name."""
        file, names = home_file(change), names_in_code(change)
        if file is None or change.submodule is not None:
            return False
        text = self.sources.text(file)
        if not any(name in text for name in names):
            return False
        writes = self.sources.of(file)
        return not (writes.attributes if change.space.is_class else writes.own).isdisjoint(names)

    def _may_write_by_itself(self, change: ContentChange) -> bool:
        """Tell whether the module can write to globals whose names it does not say."""
        file = home_file(change)
        return file is not None and not change.space.is_class and self.sources.of(file).is_dynamic

    def _others(self, home: str, files: Collection[str]) -> list[str]:
        """Return the files of the application, given the module that was written to and the test code."""
        own = file_of(sys.modules.get(home))
        first_party = self._code.first_party()
        return [file for file in first_party if file not in files and not self._is_test_code(file, own)]

    def _has_other_writer(self, change: ContentChange, others: Iterable[str]) -> bool:
        """Tell whether another file of the application's can write to an attribute of that name."""
        home = home_file(change)
        return any(self.sources.stores_attribute(file, change.name) for file in others if file != home)

    def _may_be_computed(self, others: Iterable[str]) -> bool:
        """Tell whether a file of the application's can write to attributes whose names it does not say."""
        return any(
            self.sources.of(file).targets.is_computed
            for file in others
            if any(word in self.sources.text(file) for word in ("setattr", "__dict__", "vars("))
        )

    def _is_of_library(self, change: ContentChange) -> bool:
        """Tell whether a new value is an installed library's, in which a text can write to the name."""
        value = change.after
        own = value is not ABSENT and (file_of_code(value) or file_of_code(type(value)))  # that is ours
        if not own or not self._origins.is_installed(own) or self._origins.is_test_file(own):
            return False
        home = home_of(value) or home_of(type(value))
        package = top_level(home[0]) if home is not None else ""
        loaded = (
            file_of(module)
            for name, module in sys.modules.copy().items()
            if type(name) is str and top_level(name) == package
        )
        return any(
            self.sources.may_store_attribute(file, change.name)
            for file in (own, *loaded)  # it may be loaded no more
            if file is not None
        )

    def _is_test_code(self, file: str, home: str | None) -> bool:
        if self._origins.is_of_tests(file):
            return True
        # Where application and tests lie in one folder, nothing tells a helper from the application.
        return self._origins.is_test_code(file) and not self._origins.is_test_code(home)

    def _names_target(self, file: str, change: ContentChange) -> bool:
        """Tell whether a statement of a file writes to the name of what says the name of its owner."""
        owner = change.space.name.rpartition(".")[2]
        writes = self.sources.of(file)
        return writes.targets.has(owner, change.name) or (
            owner in writes.targets.computed and change.name in writes.any
        )

    def test_code(self, file: str, home: str) -> tuple[str, ...]:
        """Return the files of test code that may have run: a file, conftests, and helpers beside it.

        Args:
            file: that of the test, or of who opened a window.
            home: the module that was written to: where that lies beside the tests, it is no helper.
        """
        return (file, *self._code.around(file, file_of(sys.modules.get(home))))

    def with_conftests(self, files: Iterable[str]) -> list[str]:
        """Return some test files, and the conftests whose fixtures run for their tests."""
        files = [*files]
        above = [
            conftest
            for conftest in self._origins.conftests
            if any(file.startswith(os.path.join(os.path.dirname(conftest), "")) for file in files)
        ]
        return [*dict.fromkeys((*files, *above, *self._origins.plugin_files))]

    def words(self, file: str) -> Set[str]:
        """Return words of a file, the last parts of the names of modules to which it may write among them."""
        return self.sources.words(file)

    def owners(self, file: str, *, with_helpers: bool = False) -> frozenset[str]:
        """Return the last parts of the names of what a file of test code writes to.

        Args:
            file: the file.
            with_helpers: whether conftests and helpers count, too.
        """
        files = self.test_code(file, "") if with_helpers else (file,)
        return frozenset().union(*map(self.sources.owners, files))

    def is_harmless(self, files: Iterable[str]) -> bool:
        """Tell whether nothing in the texts of the test code that may run could write to a module.

        Only then is there no need to look after each test what modules hold.

        Args:
            files: those of the test, or of who opened a window.
        """
        own = [*files]
        if not own or not self._origins.test_files or any(map(self.sources.may_write, own)):
            return False  # without pytest nobody knows what is test code; to go on costs more than a look
        if self._code.has_mocking_code():
            return False  # the helpers of an application's own test tools may leave a mock anywhere
        return not any(self.sources.may_write(each) for file in own for each in self.test_code(file, ""))

    def execution(self, file: str, module: str, lines: range | None = None) -> Writer | None:
        """Return the statement that probably let the body of a module run again.

        Args:
            file: that of the test code that was running.
            module: the name of the module.
            lines: those of it to look at.
        """
        found = statements_executing(self.sources.text(file), module)
        return next((Writer(file, one) for one in found if lines is None or one.line in lines), None)

    def statement(
        self,
        change: ContentChange,
        files: Iterable[str],
        lines: range | None = None,
        *,
        is_teardown: bool = False,
    ) -> Writer | None:
        """Return the statement that probably made a change.

        Args:
            change: the change.
            files: the test code that was running, the likeliest first.
            lines: those of the first file to look at first.
            is_teardown: whether it was made in a teardown, which follows what was set up.
        """
        others: list[Writer] = []  # setters of any name: likelier where the file says this one
        for number, file in enumerate(files):
            text = self.sources.text(file)
            if number and change.name not in text:
                continue  # what it writes may be named elsewhere, but the test's own file is likelier then
            found = statements_writing(self.hooks.possible_writes(file), change.name)
            near = [one for one in found if lines is not None and number == 0 and one.line in lines]
            made = None if number or near else _definition(change.after, file, lines)
            if made is not None:
                return Writer(file, made)  # code of the application stored what the test handed to it
            direct = [one for one in found if one.is_direct]
            if near or direct:
                return Writer(file, (near or direct)[-1 if is_teardown else 0])
            others += (Writer(file, one) for one in found[:1])
        return min(others, key=lambda one: change.name not in self.sources.text(one.file), default=None)


def _definition(value: object, file: str, lines: range | None) -> Statement | None:
    """Return the statement in some lines of a file that defines a function, None if it is not there."""
    if lines is None or type(value) is not FunctionType or value.__code__.co_filename != file:
        return None
    line = value.__code__.co_firstlineno
    return Statement(line, 0, is_direct=False) if line in lines else None


def _may_be_put_back(change: ContentChange) -> bool:
    """Tell whether what was left may be a copy of what stood there, made to be put back later.

    What stood there was changed in place meanwhile: to put that back would bring these changes back.
    """
    sort = _sort_of_container(change.before)
    return (
        sort is not None
        and change.name != PATH  # which is another one only if it says other folders
        and sort is _sort_of_container(change.after)
    )


def _sort_of_container(value: object) -> type | None:
    kind = type(value)
    if kind is ENVIRONMENT:
        return dict
    return next((sort for sort in (dict, list, set) if issubclass(kind, sort)), None)


def _imports(text: str, submodule: str) -> bool:
    """Tell whether a text imports a submodule, or something from it, by its full name."""
    package, _, name = submodule.rpartition(".")
    return (
        submodule in text
        or re.search(rf"from\s+{re.escape(package)}\s+import\b.*\b{name}\b", text) is not None
    )
