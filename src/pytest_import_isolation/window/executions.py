"""Which first-party modules code executed and threw out of ``sys.modules`` again."""

from __future__ import annotations

import sys
from types import ModuleType
from weakref import ref

from pytest_import_isolation.machinery.modules import ABSENT, file_of, missing_among
from pytest_import_isolation.parking.ownership import Ownership
from pytest_import_isolation.state.origins import Origin, Origins
from pytest_import_isolation.state.single_changes import SingleChange
from pytest_import_isolation.watching.executed_modules import EXECUTED
from pytest_import_isolation.window.open_windows import open_windows
from pytest_import_isolation.window.window import Window


class WindowExecutions:
    """Notes what is executed in a window, and not in others inside of it: these put away what is theirs.

    What was there neither before nor after is no difference of the import state. But what was executed in
    between may hold the first copy of a module, of which others would import the second one.

    Args:
        origins: gives the verdicts on modules.
    """

    def __init__(self, origins: Origins) -> None:
        self._origins = origins
        self._window: Window | None = None
        # By the names of the modules, their files.
        self._files: dict[str, str | None] = {}
        self._again: set[str] = set()
        # What was loaded under them: its number alone can be that of another one, once it is gone.
        self._modules: dict[str, ref[ModuleType] | None] = {}

    def begin(self, window: Window) -> None:
        """Note what is executed from now on in a window that is open; what was noted is forgotten."""
        self._files, self._again, self._modules = {}, set(), {}
        if self._window is None:
            EXECUTED.when_executed.append(self._note)
        self._window = window

    def end(self) -> None:
        """Note nothing more."""
        if self._window is not None:
            EXECUTED.when_executed.remove(self._note)
            self._window = None

    def have_thrown_out(self) -> bool:
        """Tell whether a first-party module is gone that was executed, or was executed more than once.

        What the application takes out itself when it is executed, it takes out wherever it is imported.
        """
        # Of a copy: other threads may be importing.
        names = [
            name for name in {*missing_among(self._files.copy()), *self._again} if self._is_first_party(name)
        ]
        ownership = Ownership(self._origins)
        changes = (SingleChange("entry", name, ABSENT, sys.modules.get(name, ABSENT)) for name in names)
        return any(ownership.owner(change) is None for change in changes)

    def _is_first_party(self, name: str) -> bool:
        file = self._files[name]
        return file is not None and self._origins.of_file(name, file) is Origin.FIRST_PARTY

    def _note(self, name: str, module: object) -> None:
        if not open_windows or open_windows[-1] is not self._window:
            return
        earlier = self._modules.get(name)
        # A package that imports what is asked for in it ends both imports with the same module.
        if name in self._files and (earlier is None or earlier() is not module):
            self._again.add(name)
        self._files[name] = file_of(module)
        self._modules[name] = ref(module) if type(module) is ModuleType else None
