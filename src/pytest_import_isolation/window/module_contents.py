"""What a window does about the contents of modules: it undoes what test code wrote to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from pytest_import_isolation.contents.body_writes import writes_of_bodies
from pytest_import_isolation.contents.changes import ContentChange
from pytest_import_isolation.contents.findings import (
    NOTHING,
    Findings,
    Undone,
    find,
    following,
    undo_all,
)
from pytest_import_isolation.contents.ledger import CONTENTS
from pytest_import_isolation.contents.looks import State
from pytest_import_isolation.contents.restoring import do_again
from pytest_import_isolation.contents.spaces import Space
from pytest_import_isolation.contents.watched_modules import Wanting
from pytest_import_isolation.contents.writers import Writers
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.watching.import_log import ImportLog, Reload


class WindowContents:
    """What the modules around a window hold.

    Args:
        origins: gives the verdicts on modules.
        writers: tells whose doing a change is.
        files: returns the files of the test code that runs in the window.
        log: what is imported in the window.
        is_long: whether it is open for a whole file, or longer.
    """

    def __init__(
        self,
        origins: Origins,
        writers: Writers,
        files: Callable[[], Sequence[str]],
        log: ImportLog,
        *,
        is_long: bool,
    ) -> None:
        self._origins = origins
        self._writers = writers
        self._files = files
        self._log = log
        self._wanting = Wanting(
            writers.words, files, lambda given: writers.with_conftests(self._test_code(given)), origins
        )
        self._is_harmless = not is_long and writers.is_harmless(files())
        self.start()
        if not self._is_harmless:
            for file in self._test_code(files()):
                CONTENTS.name(writers.owners(file, with_helpers=True))
            CONTENTS.begin_anew()
        #: What there was when the window was opened.
        self.around: State = CONTENTS.take()
        #: What was undone when it was closed.
        self.undone = Undone()
        # How many of the reloads are undone.
        self._settled = 0
        # The reloads that belong to what is around the window, by identity: nobody undoes them here.
        self._followed: set[int] = set()
        # Names that were judged while all modules of the window were loaded, whose texts are needed for that.
        self._judged: frozenset[tuple[Space, str]] = frozenset()

    def start(self) -> None:
        """Look at what modules hold from now on."""
        CONTENTS.start(self._wanting)

    def start_again(self) -> bool:
        """Look from now on again, as long as the same test code runs, unless something was undone before.

        Modules may have changed what is their own meanwhile: that is what there is around the window now.
        """
        if self._judged:
            return False
        self.start()
        if not self.is_harmless:
            self.around = CONTENTS.take()
        return True

    def stop(self) -> None:
        """Look no more."""
        CONTENTS.stop(self._wanting)

    def _test_code(self, files: Iterable[str]) -> list[str]:
        # A plugin that opened the window, as pytest's hooks do, writes nothing in the name of a test.
        origins = self._origins
        return [f for f in files if not origins.is_installed(f) or origins.is_test_file(f)]

    @property
    def is_harmless(self) -> bool:
        """Whether nobody needs to look: no text says anything that could write, and nothing was imported."""
        return self._is_harmless and not (self._log.importers or self._log.reloads)

    def is_left_alone(self) -> bool:
        """Tell whether nothing has to be undone: modules may have changed what is theirs, as caches are."""
        return not self.find()

    def find(self) -> Findings:
        """Return what test code did up to now."""
        return self._look(self._log.reloads)[0]

    def _look(self, reloads: Iterable[Reload]) -> tuple[Findings, list[ContentChange]]:
        """Return what test code did, and all that has changed, whoever did it."""
        if self.is_harmless or (now := CONTENTS.take()) is self.around:
            return NOTHING, []
        changes = CONTENTS.changes(self.around, now)
        code, files = self._writers.test_code, self._files()
        found = find(
            self.around,
            [reload for reload in reloads if id(reload) not in self._followed],
            self._writers,
            lambda home: (each for file in files for each in code(file, home)),
            self._origins,
            changes,
        )
        return found, changes

    def undo(self) -> None:
        """Undo what test code did; see :meth:`find`. What was judged or undone before is let be."""
        reloads = self._log.reloads
        found, changes = self._look(reloads[self._settled :])
        self._settled = len(reloads)
        left = tuple(one for one in found.written if (one.space, one.name) not in self._judged)
        self._judged |= {(one.space, one.name) for one in changes}
        if found.reloaded or left:
            self.undone = self.undone.joined(undo_all(found._replace(written=left)))

    def undo_bodies(self, leaving: Mapping[str, object]) -> None:
        """Undo what first-party modules did to others when they were executed, since they leave now."""
        changes = tuple(writes_of_bodies(leaving, self._writers.sources)) if leaving else ()
        if changes:
            self.undone = self.undone.joined(undo_all(Findings((), changes)))

    @property
    def reloads(self) -> int:
        """How many reloads were seen in the window."""
        return len(self._log.reloads)

    def follow_from(self, before: State | None, reloads: int) -> None:
        """Let what has changed since a moment belong to what is around the window.

        Args:
            before: what there was at that moment; None if nobody looked then, since test code that could
                write to modules was not running.
            reloads: how many reloads there had been.
        """
        again = {id(reload.module) for reload in self._log.reloads[reloads:]}
        # With those of the same modules before that: their contents are what the later one made.
        self._followed |= {id(reload) for reload in self._log.reloads if id(reload.module) in again}
        if before is None:
            if self.is_harmless:
                return
            before = self.around
        changes = CONTENTS.changes(before)
        if changes:
            self.around = following(self.around, changes)

    def lay(self, undone: Undone) -> None:
        """Do again what was undone, as a part of what is in the window."""
        if undone.again:
            CONTENTS.take()  # a module that came back with the window is known again from here on
        for redo in undone.again:
            do_again(redo)
