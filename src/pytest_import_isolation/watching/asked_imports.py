"""Hearing of every import of chosen names, also of modules that are loaded.

A fake in ``sys.modules`` is found by the interpreter without asking any finder. From Python 3.12 on the
events of ``sys.monitoring`` tell of it (:mod:`.import_events`). Below, and where all tools of that are
taken, ``builtins.__import__`` and the function below ``importlib.import_module`` are replaced as long as
anybody listens, by objects that leave no frame on the stack (:mod:`..machinery.frameless`).
"""

from __future__ import annotations

import builtins
import threading
from collections.abc import Callable, Collection
from importlib import _bootstrap
from types import CodeType, FrameType
from typing import Any, Final

from pytest_import_isolation.machinery.frameless import Replacement, without_own_frame
from pytest_import_isolation.machinery.frames import caller, is_importlib, modules_in_execution
from pytest_import_isolation.machinery.import_bytecode import names_of_statement
from pytest_import_isolation.machinery.own_errors import belongs_to_others
from pytest_import_isolation.watching.import_events import ImportEvents, name_from_package

Covers = Callable[[str], object]
Note = Callable[[str, str], object]


class AskedImports:
    """Tells who asks for which names."""

    def __init__(self) -> None:
        self._watches: list[tuple[Covers, Callable[[str], object]]] = []
        self._events = ImportEvents(self._wants, self._tell)
        self._has_events = False
        self._replacements: list[Replacement] = []
        # What the statements ask for that were executed, by the identity of their code and the offset in it.
        self._statements: dict[tuple[int, int], tuple[CodeType, tuple[str, ...]]] = {}
        self._holders = 0
        # Threads may begin and end side by side: the first one installs, and the last one takes off.
        self._lock = threading.RLock()

    def watch(self, covers: Covers, note: Note) -> Callable[[], None]:
        """Note the modules that ask for names for which ``covers`` is true.

        Args:
            covers: tells whether a module name is meant.
            note: called with the name of a module that asks, and the name it asks for.

        Returns:
            The undo.
        """
        return self.observe(covers, lambda wanted: tell_of_askers(note, wanted))

    def observe(
        self, covers: Covers, told: Callable[[str], object], within: Collection[str] | None = None
    ) -> Callable[[], None]:
        """Call back, in the importing thread, for every import of a name for which ``covers`` is true.

        Args:
            covers: tells whether a module name is meant. Call :meth:`settle` when it means more than before.
            told: called with the name, before it is imported.
            within: the first parts of all names that are meant now; None if they are not known.

        Returns:
            The undo.
        """
        entry = (covers, told)
        with self._lock:
            self._watches.append(entry)
            if not self._replacements:
                self._has_events = self._events.start()
            if not self._has_events and not self._replacements:
                self._replacements = [
                    Replacement(builtins, "__import__", self._at_import),
                    Replacement(_bootstrap, "_gcd_import", self._at_import_module),
                ]
            self.settle(within)

        def undo() -> None:
            with self._lock:
                self._watches.remove(entry)
                if not self._watches:
                    self._end()

        return undo

    def hold(self) -> Callable[[], None]:
        """Stay prepared between two times of listening, which are many in a run; return the undo."""
        self._holders += 1

        def undo() -> None:
            with self._lock:
                self._holders -= 1
                if not self._holders and not self._watches:
                    self._events.stop()

        return undo

    def settle(self, within: Collection[str] | None = ()) -> None:
        """Take places again that somebody else has taken.

        Args:
            within: the first parts of the names that an observer covers beside those that it covered before;
                None if they are not known. All code that imports anything is looked through then.
        """
        if self._has_events:
            self._events.settle(within)
        for replacement in self._replacements:
            replacement.install()

    def _end(self) -> None:
        for replacement in self._replacements:
            replacement.remove()
        self._replacements = []
        self._statements.clear()
        self._has_events = False
        if self._holders:
            self._events.rest()
        else:
            self._events.stop()

    def _wants(self, name: str) -> bool:
        return any(covers(name) for covers, _ in tuple(self._watches))

    def _tell(self, wanted: str) -> None:
        for covers, told in tuple(self._watches):
            if covers(wanted):
                told(wanted)

    # Where functions are replaced

    def _at_import(self, frame: FrameType, original: Callable[..., Any]) -> Callable[..., Any]:
        code, offset = frame.f_code, frame.f_lasti
        known = self._statements.get((id(code), offset))
        if known is None:
            known = self._statements[id(code), offset] = code, names_of_statement(frame)
        if not known[1]:
            return self._with_arguments(original)
        for name in known[1]:
            self._tell(name)
        return original

    def _with_arguments(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Return what is called by a function call, which only its arguments tell about; it has a frame."""

        def __import__(  # noqa: N807 - what it replaces is called so
            name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
        ) -> Any:
            __tracebackhide__ = True  # pytest leaves this frame out of tracebacks
            absolute = name
            if level:
                package = (globals or {}).get("__package__") or ""
                base = package.rsplit(".", level - 1)[0]
                absolute = f"{base}.{name}" if name else base
            self._tell_safely(absolute, *(f"{absolute}.{item}" for item in fromlist or ()))
            try:
                return original(name, globals, locals, fromlist, level)
            except BaseException as error:
                without_own_frame(error)
                raise

        return __import__

    def _tell_safely(self, *names: str) -> None:
        try:
            for name in names:
                self._tell(name)
        except BaseException as error:
            if belongs_to_others(error):
                raise

    def _at_import_module(self, frame: FrameType, original: Callable[..., Any]) -> Callable[..., Any]:
        if is_importlib(frame):
            arguments = frame.f_locals.get("args")  # of the function through which importlib calls it
            names = arguments[:1] if type(arguments) is tuple else tuple(name_from_package(frame))
            for name in names:
                self._tell(name)
        return original


def tell_of_askers(note: Note, wanted: str) -> None:
    """Report every module whose body is running, and the one that asked."""
    asker = caller()
    for name in {*modules_in_execution(), *([asker.module] if asker else [])}:
        note(name, wanted)


#: The process's one listener: it listens to the interpreter, of which there is one in a process.
ASKED: Final = AskedImports()
