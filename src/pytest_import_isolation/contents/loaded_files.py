"""The files of the loaded first-party modules, and which of them are test code; found once for each state."""

from __future__ import annotations

import os
import sys
from collections.abc import Set
from itertools import islice

from pytest_import_isolation.contents.values import uses_mocks
from pytest_import_isolation.machinery.modules import file_of, is_rewritten
from pytest_import_isolation.machinery.paths import is_conftest
from pytest_import_isolation.state.loaded_names import LoadedNames
from pytest_import_isolation.state.origins import Origins


class LoadedFiles:
    """Knows them until other modules are loaded, or other test files are collected.

    Args:
        origins: gives the verdicts on modules, and knows the test files.
    """

    def __init__(self, origins: Origins) -> None:
        self._origins = origins
        self._names = LoadedNames()
        # The files of loaded modules that say one, and all that were said at some time.
        self._files: dict[str, str] = {}
        self._once_said: set[str] = set()
        # How many test files there were, and the plugins of the project.
        self._number = 0
        self._plugin_files: Set[str] = frozenset()
        self._test_folders: set[str] = set()
        self._first_party: dict[str, str] = {}
        # All that were first-party at some time: what they wrote stays where they do not.
        self._once_first_party: dict[str, None] = {}
        # With plugins of the project. Test files may lie where nothing is first-party.
        self._conftests: dict[str, str] = {}
        # By a folder and the file of a module: the conftests, and the helpers beside what lies in the folder.
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
        folder = os.path.dirname(file)
        found = self._around.get((folder, target))
        if found is None:
            self._folders.add(folder)
            found = self._around[folder, target] = self._look_around(folder, target)
        return tuple(other for other in found if other != file) if file in found else found

    def has_mocking_code(self) -> bool:
        """Tell whether a first-party module that is no test code uses a library for mocks."""
        self._refresh()
        return bool(self._mocking)

    def _look_around(self, folder: str, target: str | None) -> tuple[str, ...]:
        origins = self._origins
        other_folder = None if target is None else os.path.dirname(target)
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
        return tuple(other for other in both if other != target)

    def _refresh(self) -> None:
        test_files, plugin_files = self._origins.test_files, self._origins.plugin_files
        is_same = len(test_files) == self._number and plugin_files is self._plugin_files
        if is_same and self._names.are_same:
            return
        again: set[str] = set()
        if not is_same:
            new = [*islice(test_files, self._number, None)]
            again = self._note_test_files(new, plugin_files - self._plugin_files)
            self._number, self._plugin_files = len(test_files), plugin_files
        for name in again.union(self._names.changed()):
            self._note(name, sys.modules.get(name))

    def _note_test_files(self, new: list[str], plugin_files: Set[str]) -> set[str]:
        """Take note of more test files and plugins; return the names of loaded modules to ask about again."""
        again: set[str] = set()
        # Nearly always one is noted before it is loaded.
        loaded = self._once_said.intersection([*new, *plugin_files])
        if loaded:
            again.update(name for name, file in self._files.items() if file in loaded)
            self._around.clear()
        folders = {*map(os.path.dirname, new)} - self._test_folders
        if folders:  # what lies beside them is test code now
            again.update(n for n, file in self._first_party.items() if os.path.dirname(file) in folders)
            self._test_folders |= folders
            self._around.clear()
        return again

    def _note(self, name: str, module: object) -> None:
        """Take note of what stands under a name now."""
        file = file_of(module)
        if file is None:
            self._files.pop(name, None)
        else:
            self._files[name] = file
            self._once_said.add(file)
        is_first_party = file is not None and self._origins.is_first_party(name, module)
        is_known = name in self._first_party or name in self._conftests
        if is_first_party or is_known or (file is not None and self._origins.is_of_tests(file)):
            self._note_own(name, module, file if is_first_party else None, file)

    def _note_own(self, name: str, module: object, own: str | None, file: str | None) -> None:
        """Take note of what stands under a name that a first-party module or conftest has, or had.

        Args:
            name: the name.
            module: what stands there.
            own: its file, if it is first-party.
            file: its file.
        """
        before = self._first_party.pop(name, None), self._conftests.pop(name, None)
        self._mocking.discard(name)
        if own is not None:
            self._first_party[name] = own
            if not is_rewritten(module):  # a test file, noted or not
                self._once_first_party[own] = None
            if not self._origins.is_test_code(own) and uses_mocks(module):
                self._mocking.add(name)
        if file is not None and self._is_for_others(file):
            self._conftests[name] = file
        now = self._first_party.get(name), self._conftests.get(name)
        is_helper = before[0] != now[0] and any(map(self._may_be_helper, (before[0], now[0])))
        if is_helper or before[1] != now[1]:
            self._around.clear()

    def _is_for_others(self, file: str) -> bool:
        if file in self._origins.plugin_files:
            return True
        return self._origins.is_test_file(file) and is_conftest(file)

    def _may_be_helper(self, file: str | None) -> bool:
        """Tell whether a file may be a helper of those that were asked about."""
        if file is None or self._origins.is_test_file(file):
            return False
        return self._origins.is_test_code(file) or os.path.dirname(file) in self._folders
