"""What a window does about the contents of modules: it undoes what test code wrote to them."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_import_isolation.contents.changes import ContentChange
from pytest_import_isolation.contents.findings import (
    NOTHING,
    Findings,
    Undone,
    find,
    following,
    undo_all,
)
from pytest_import_isolation.contents.ledger import CONTENTS, State
from pytest_import_isolation.contents.restoring import do_again
from pytest_import_isolation.contents.writers import Writers
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.watching.import_log import Reload


class WindowContents:
    """What the modules around a window hold.

    Args:
        origins: gives the verdicts on modules.
        writers: tells whose doing a change is.
    """

    def __init__(self, origins: Origins, writers: Writers) -> None:
        self._origins = origins
        self._writers = writers
        #: What there was when the window was opened.
        self.around: State = CONTENTS.take()
        #: What was undone when it was closed.
        self.undone = Undone()

    def holds_still(self) -> bool:
        """Tell whether nothing at all has changed since."""
        return CONTENTS.take() is self.around

    def find(self, reloads: Iterable[Reload], files: Iterable[str]) -> Findings:
        """Return what test code did up to now.

        Args:
            reloads: those that were seen in the window.
            files: the files of the test code that runs in it.
        """
        if self.holds_still():
            return NOTHING
        code = self._writers.test_code
        return find(
            self.around,
            reloads,
            self._writers,
            lambda home: dict.fromkeys(each for file in files for each in code(file, home)),
            self._origins,
        )

    def undo(self, reloads: Iterable[Reload], files: Iterable[str]) -> None:
        """Undo what test code did; see :meth:`find`."""
        found = self.find(reloads, files)
        if found:
            self.undone = undo_all(found)

    def follow(self, changes: Iterable[ContentChange]) -> None:
        """Let changes belong to what is around the window."""
        self.around = following(self.around, changes)

    def lay(self, undone: Undone) -> None:
        """Do again what was undone, as a part of what is in the window."""
        for redo in undone.again:
            do_again(redo)
