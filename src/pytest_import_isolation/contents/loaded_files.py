"""The files of the loaded first-party modules, and which of them are test code; found once for each state."""

from __future__ import annotations

import os
import sys
from itertools import compress, filterfalse
from operator import ne
from typing import Any

from pytest_import_isolation.contents.values import uses_mocks
from pytest_import_isolation.contents.versions import Beginning
from pytest_import_isolation.machinery.dict_versions import Moment
from pytest_import_isolation.machinery.modules import are_strings, file_of, is_rewritten
from pytest_import_isolation.machinery.paths import is_conftest
from pytest_import_isolation.state.origins import Origins


class LoadedFiles:
    """Knows them until other modules are loaded, or other test files are collected.

    Args:
        origins: gives the verdicts on modules, and knows the test files.
    """

    def __init__(self, origins: Origins) -> None:
        self._origins = origins
        self._moment = Moment(None)
        # What was loaded at the last look: in order, and by name, with the identities of the modules.
        self._beginning = Beginning({})
        self._modules: dict[str, int] = {}
        # Those of them that say a file.
        self._files: dict[str, str] = {}
        self._test_files: frozenset[str] = frozenset()
        self._test_folders: set[str] = set()
        self._first_party: dict[str, str] = {}
        # All that were first-party at some time: what they wrote stays where they do not.
        self._once_first_party: dict[str, None] = {}
        # With plugins of the project. Test files may lie where nothing is first-party.
        self._conftests: dict[str, str] = {}
        self._around: dict[tuple[str, str | None], tuple[str, ...]] = {}
        # Beside which files others were looked for.
        self._folders: set[str] = set()
        # First-party modules that are no test code and hold something of a library for mocks.
        self._mocking: set[str] = set()

    def first_party(self) -> tuple[str, ...]:
        """Return the files of all first-party modules that are or were loaded."""
        self._refresh()
        return tuple(self._once_first_party)

    def is_apart(self, file: str) -> bool:
        """Tell whether the application lies elsewhere, and neither beside a file nor below it."""
        self._refresh()
        folder, prefix = os.path.dirname(file), os.path.join(os.path.dirname(file), "")
        others = [other for other in self._once_first_party if os.path.dirname(other) != folder]
        application = [other for other in others if not self._origins.is_test_code(other)]
        return bool(application) and not any(other.startswith(prefix) for other in application)

    def around(self, file: str, target: str | None) -> tuple[str, ...]:
        """Return the conftests, and the helpers that lie beside test files.

        Args:
            file: that of the test, or of who opened a window; it is left out.
            target: that of the module that was written to: where it lies beside the tests, only what makes
                mocks is a helper.
        """
        self._refresh()
        found = self._around.get((file, target))
        if found is None:
            self._folders.add(os.path.dirname(file))
            found = self._around[file, target] = self._look_around(file, target)
        return found

    def has_mocking_code(self) -> bool:
        """Tell whether a first-party module that is no test code uses a library for mocks."""
        self._refresh()
        return bool(self._mocking)

    def _look_around(self, file: str, target: str | None) -> tuple[str, ...]:
        origins = self._origins
        folder, other_folder = os.path.dirname(file), None if target is None else os.path.dirname(target)
        others = [pair for pair in self._first_party.items() if not origins.is_test_file(pair[1])]
        if origins.is_test_code(target):
            # Among modules that lie with the application, what makes mocks is a helper all the same.
            helpers = [
                other
                for name, other in others
                if origins.is_test_code(other) and uses_mocks(sys.modules.get(name))
            ]
        else:
            helpers = [
                other
                for _, other in others
                if origins.is_test_code(other) or (os.path.dirname(other) == folder != other_folder)
            ]
        both = dict.fromkeys((*self._conftests.values(), *helpers))
        return tuple(other for other in both if other not in (file, target))

    def _refresh(self) -> None:
        test_files = self._origins.test_files
        if test_files is self._test_files and self._moment.lasts_for(sys.modules):
            return
        again: set[str] = set()
        if test_files is not self._test_files:
            new = test_files - self._test_files  # there are never fewer
            new |= self._origins.plugin_files
            again.update(name for name, file in self._files.items() if file in new)
            folders = {*map(os.path.dirname, new - self._origins.plugin_files)} - self._test_folders
            if folders:  # what lies beside them is test code now
                again.update(n for n, file in self._first_party.items() if os.path.dirname(file) in folders)
            self._test_files = test_files
            self._test_folders |= folders
            self._around.clear()
        table: Any = sys.modules
        self._moment = Moment(table)
        before, self._beginning = self._beginning, Beginning(table)
        # Nearly always what is new or gone stands at the end.
        if self._beginning.goes_on_from(before):
            others = [*self._beginning.names.behind(before.names)]
        elif before.goes_on_from(self._beginning):
            others = [*before.names.behind(self._beginning.names)]
        else:
            others = self._changed_names()
        for name in again.union(name for name in others if type(name) is str):
            if name in table:
                self._modules[name] = id(table[name])
            else:
                self._modules.pop(name, None)
            self._note(name, table.get(name))

    def _changed_names(self) -> list[str]:
        """Return the names under which something else stands than before."""
        modules = sys.modules.copy()
        if not are_strings(modules):
            modules = {name: module for name, module in modules.items() if type(name) is str}
        now = dict(zip(modules, map(id, modules.values()), strict=True))
        others = compress(now, map(ne, now.values(), map(self._modules.get, now)))
        return [*others, *filterfalse(now.__contains__, self._modules)]

    def _note(self, name: str, module: object) -> None:
        """Take note of what stands under a name now."""
        before = self._first_party.pop(name, None), self._conftests.pop(name, None)
        self._mocking.discard(name)
        file = file_of(module)
        if file is None:
            self._files.pop(name, None)
        else:
            self._files[name] = file
            if self._origins.is_first_party(name, module):
                self._first_party[name] = file
                if not is_rewritten(module):  # a test file, noted or not
                    self._once_first_party[file] = None
                if not self._origins.is_test_code(file) and uses_mocks(module):
                    self._mocking.add(name)
            if file in self._origins.plugin_files or (self._origins.is_test_file(file) and is_conftest(file)):
                self._conftests[name] = file
        now = self._first_party.get(name), self._conftests.get(name)
        if before != now and any(map(self._matters, (*before, *now))):
            self._around.clear()

    def _matters(self, file: str | None) -> bool:
        """Tell whether a file may be a conftest or a helper of those that were asked about."""
        return file is not None and (
            self._origins.is_test_code(file) or os.path.dirname(file) in self._folders
        )
