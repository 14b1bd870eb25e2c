"""What modules change in the import state while they are executed, and which module did it.

Each import of a module that is not loaded is seen from its begin to its end. What is different at one of
these moments, and was not imported, was changed by the innermost module whose body was running.

At these moments only numbers are compared, which costs about a microsecond; contents are compared where a
number is another one.
"""

from __future__ import annotations

import sys
from _thread import get_ident  # by this name, which a library that patches threads leaves alone
from collections.abc import Callable, Iterable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Final

from pytest_import_isolation.machinery.modules import (
    last_keys,
    missing_among,
    spec_of,
)
from pytest_import_isolation.state.origins import Origin, Origins
from pytest_import_isolation.state.single_changes import SingleChange
from pytest_import_isolation.watching.import_watch import ImportWatch, imports_can_be_watched
from pytest_import_isolation.watching.known_makers import KnownMakers
from pytest_import_isolation.watching.makers import (
    ClassChange,
    Maker,
    file_of_failed,
    file_of_loaded,
    homes_of_finders,
)
from pytest_import_isolation.watching.seen_state import SeenState


class _Body:
    """A module that is being imported.

    Args:
        name: the module.
    """

    #: The key behind which it was entered.
    behind: object = None
    #: Whether importlib has put it into ``sys.modules``.
    is_entered = False
    #: Its file, if its import failed: then the module is gone.
    file: str | None = None
    #: Who answers for what it changes, as soon as its file is known.
    maker: Maker | None = None
    #: Whether it is foreign, as soon as somebody asks.
    foreign: bool | None = None

    def __init__(self, name: str) -> None:
        self.name = name


class ExecutedModules:
    """Remembers which module changed what in the import state while it was executed.

    It is the process's, as ``sys.modules`` is, and on while somebody uses it.
    """

    def __init__(self) -> None:
        self._users = 0
        self._watch: ImportWatch | None = None
        # By thread, the modules that are being imported, the innermost last.
        self._running: dict[int, list[_Body]] = {}
        self._seen: SeenState | None = None
        # How many modules there are, if nobody but importlib has entered any since.
        self._number = 0
        # The key that was entered last.
        self._last: object = None
        # What importlib brought since the outermost import began, by name: the module's identity, 0 for one
        # that is not finished.
        self._imported: dict[str, int] = {}
        # Those of them that were finished since the keys were looked at.
        self._finished: list[str] = []
        self._executed: dict[str, None] = {}
        #: Who made what.
        self.makers = KnownMakers()
        #: The modules whose last import failed.
        self.failed: set[str] = set()
        #: What modules did to the classes of finders, in order.
        self.class_changes: list[ClassChange] = []
        #: Told of each module that is about to be imported, in the importing thread. They raise nothing.
        self.when_begun: list[Callable[[str], object]] = []
        #: Told of each module whose import is over, and did not fail: its name, and what is loaded under it.
        self.when_executed: list[Callable[[str, object], object]] = []
        #: Told of the same, and no sooner than necessary: before any code runs that is not foreign. Each call
        #: costs much more than what it is told of: all is out of the processor's caches.
        self.when_settled: list[Callable[[Sequence[tuple[str, object]]], object]] = []
        self._untold: list[tuple[str, object]] = []
        #: Told when a thread imports nothing any more.
        self.when_finished: list[Callable[[], object]] = []

    def start(self) -> None:
        """Watch from now on; each user of it starts and stops it."""
        self._users += 1
        if self._users > 1:
            return
        if self._watch is None:
            if not imports_can_be_watched():
                return  # then nothing is known
            self._watch = ImportWatch(self)
        self._running.clear()
        self._watch.start()

    def stop(self) -> None:
        """Watch no more, if nobody else wants it."""
        self._users -= 1
        if self._users == 0 and self._watch is not None:
            self._watch.stop()
            self._seen = None

    @property
    def is_on(self) -> bool:
        """Whether imports are watched: somebody wants that, and importlib is one of which it is known how."""
        return self._users > 0 and self._watch is not None

    def running(self, around: int = 0) -> str | None:
        """Return the innermost module whose body runs in this thread, or one around it; None if none."""
        running = self._running.get(get_ident(), ())
        return running[-1 - around].name if len(running) > around else None

    def begin_anew(self) -> None:
        """Forget which modules were executed; what they made stays known."""
        self._executed.clear()

    def synchronize(self) -> None:
        """Take what is there now as nobody's change: a part of this package has changed it."""
        if self._running:
            try:
                self._take()
            except Exception:  # a test may have left anything in sys, or all but used up the stack
                self._seen = None

    # What import_watch tells. Nothing may be raised here: it would be raised in the midst of an import.

    def begin(self, name: str) -> _Body | None:
        """Note that a module is about to be imported."""
        try:
            ident = get_ident()
            running = self._running.get(ident)
            if running:
                self._look(running[-1], name)
            else:
                if not self._running:
                    self._imported.clear()
                    self._take()
                running = self._running[ident] = []
            self._imported[name] = 0
            body = _Body(name)
            running.append(body)
            for told in self.when_begun:
                told(name)
        except Exception:  # as above
            return None
        return body

    def end(self, body: _Body, error: BaseException | None) -> None:
        """Note that the import is over."""
        try:
            running = self._running.get(get_ident(), ())
            # Others are left behind where an import ended unseen; none is there if watching began anew.
            if not running or (running[-1] is not body and body not in running):
                return
            try:
                if error is not None:
                    self._fail(body, error)
                else:
                    self._succeed(body)
            finally:
                while running.pop() is not body:
                    pass
                if self._untold and not (running and self._is_foreign(running[-1])):
                    self.settle()
                if not running:
                    self._finish()
        except Exception:  # as above
            self._seen = None

    def _succeed(self, body: _Body) -> None:
        name = body.name
        if self.failed:
            self.failed.discard(name)
        self._executed[name] = None
        self._look(body)
        module = sys.modules.get(name)
        spec = module.__dict__.get("__spec__") if type(module) is ModuleType else None
        is_usual = type(spec) is ModuleSpec and spec.name == name
        if not is_usual or self.makers.has_entry(name):
            self._note_arrival(name, module, is_usual=is_usual)
        for told in self.when_executed:
            told(name, module)
        self._untold.append((name, module))
        self._imported[name] = id(module)
        self._finished.append(name)

    def _is_foreign(self, body: _Body) -> bool:
        known = body.foreign
        if known is None:
            file = file_of_loaded(body.name)
            known = file is not None and Origins.usual().of_file(body.name, file) is Origin.FOREIGN
            body.foreign = known
        return known

    def settle(self) -> None:
        """Tell now of all modules whose imports are over."""
        if self._untold:
            modules, self._untold = self._untold, []
            for told in self.when_settled:
                told(modules)

    def _fail(self, body: _Body, error: BaseException) -> None:
        self.failed.add(body.name)
        body.file = file_of_failed(body.name, error)
        if body.is_entered and body.name not in sys.modules:
            body.is_entered = False
            self._number -= 1
        self._look(body)

    def _finish(self) -> None:
        """This thread imports nothing any more."""
        del self._running[get_ident()]
        for finished in self.when_finished:
            finished()
        if not self._running and self._seen is not None:
            self._seen.follow()

    def _note_arrival(self, name: str, module: object, *, is_usual: bool) -> None:
        if is_usual:
            self.makers.note_another_copy(name, module)
            return
        if self.makers.is_made_by_another(name, module):
            return
        maker = self._maker(name)._replace(is_import=True, finders=homes_of_finders())
        self.makers.note_entry(name, module, maker)

    # Looking

    def _take(self) -> None:
        seen = self._seen
        if seen is None or not (seen.moment.lasts_for(sys.modules) and seen.shows_same):
            seen = self._seen = SeenState(seen)
        self._number = len(sys.modules)
        self._finished.clear()
        self._last = next(iter(last_keys(sys.modules, 1)), None)
        for running in self._running.copy().values():  # other threads begin and end imports
            for body in running.copy():
                body.is_entered = body.name in sys.modules

    def _look(self, body: _Body, wanted: str = "") -> None:
        """Put down to a module what is different since the last look.

        Args:
            body: the module.
            wanted: what it is about to import, if it is.
        """
        modules, name = sys.modules, body.name
        if not body.is_entered and name in modules:
            body.is_entered = True
            body.behind = self._last
            self._number += 1
        seen = self._seen
        if seen is None:
            self._take()
            return
        try:
            keys = reversed(modules)
            last = next(keys, None)
            # What is entered goes to the end; importlib enters a module once more when it has been executed.
            if last is not name:
                is_same = last is self._last
            else:
                is_same = next(keys, None) is (body.behind if self._last is name else self._last)
        except RuntimeError:  # another thread entered something between two of these calls
            last, is_same = next(iter(last_keys(modules, 1)), None), False
        if is_same and len(modules) == self._number and seen.shows_same:
            self._last = last
        else:
            self._compare(seen, body, wanted)
            self._number, self._last = len(modules), last

    def _compare(self, seen: SeenState, body: _Body, wanted: str) -> None:
        maker = body.maker or self._maker(body.name, body.file)
        if maker.file is not None:
            body.maker = maker
        self._compare_entries(*seen.exchange_keys(wanted), maker)
        if not seen.shows_same:
            self._seen = now = SeenState(seen)
            for what, key, after in seen.changes_to(now):
                self.makers.note(what, key, after, maker)
            for cls, name, before, later in seen.class_changes():
                self.class_changes.append(ClassChange(cls, name, before, later, maker))

    def _compare_entries(self, added: list[str], removed: list[str], maker: Maker) -> None:
        modules, imported, makers = sys.modules, self._imported, self.makers
        for name in added:
            # What took the place of something else may have done so before this module was begun.
            known, module = imported.get(name), modules.get(name)
            # Of what is being imported, a package may enter a part by hand before importlib looks for that.
            is_another = _is_entered_part(name, module, maker) if known == 0 else known != id(module)
            if is_another:
                makers.note_entry(name, module, maker)
        gone = [name for name in removed if not (name in imported and name in self.failed)]
        for name in gone:
            imported.pop(name, None)
        if self._finished:
            gone += [name for name in missing_among(self._finished) if imported.pop(name, None)]
            self._finished.clear()
        if gone:
            makers.note_removals(gone, maker)

    def _maker(self, name: str, file: str | None = None) -> Maker:
        running = [body.name for body in self._running.get(get_ident(), [])]
        around = running[: running.index(name)] if name in running else running
        return Maker(name, file or file_of_loaded(name), around=tuple(around))

    # What is known

    def attribute(self, changes: Iterable[SingleChange], maker: Maker) -> None:
        """Put down to a maker what was seen elsewhere, unless somebody is known who made it.

        Args:
            changes: what is different.
            maker: what made it.
        """
        self._look_now()
        for change in changes:
            self.makers.attribute(change, maker)

    def maker(self, change: SingleChange) -> Maker | None:
        """Return the module that made a change while it was executed; None if none is known.

        What took the place of something else is seen by chance only: see :func:`.able`.

        Args:
            change: what is different now from some earlier moment.
        """
        self._look_now()
        return self.makers.find(change)

    def _look_now(self) -> None:
        running = self._running.get(get_ident())
        if running:
            try:
                self._look(running[-1])
            except Exception:  # as above
                self._seen = None

    @property
    def executed(self) -> list[str]:
        """The modules that were executed since it was on, in order."""
        return [*self._executed]


def _is_entered_part(name: str, module: object, maker: Maker) -> bool:
    """Tell whether a package, while it was executed, entered by hand what no import system made."""
    return name.startswith(f"{maker.module}.") and spec_of(module) is None


#: Of this process, which has one import state.
EXECUTED: Final = ExecutedModules()
