"""Which environment variables modules ask for while they are executed.

Each access by a key goes through ``os.environ.encodekey``, an attribute of that one object. Another function
stands there only while modules are executed and the environment differs from that around the test. Who copies
the environment, or loops over it, asks for no key, and is not seen.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

from pytest_import_isolation.watching.process_effects import (
    ENVIRONMENT,
    Variables,
    copy_environment,
    read_variables,
    variables_in,
)

_OF_PYTEST: Final = ("PYTEST_CURRENT_TEST", b"PYTEST_CURRENT_TEST")


class EnvironmentReads:
    """Listens to ``os.environ`` while modules are executed.

    Args:
        running: returns the module whose body is running, None if there is none.
    """

    def __init__(self, running: Callable[[], str | None]) -> None:
        self._running = running
        self._known: Variables | None = None
        # The copy from which it is made when it is asked for: most tests import nothing.
        self._copy: list[Any] | None = None
        # The environment when the import began that is not over.
        self._then: Variables | None = None
        self._undo: Callable[[], None] | None = None
        # By the identities of fixtures that are alive: the variables they changed, before and after.
        self._fixtures: dict[int, dict[Any, tuple[Any, Any]]] = {}
        # Those that were alive when the test began, the last one first.
        self._alive: list[dict[Any, tuple[Any, Any]]] = []
        #: By module, the keys that its execution asked for.
        self.asked: dict[str, set[str]] = {}

    def set_around(self) -> None:
        """Take the environment of now as what is around a test."""
        self._known, self._copy = None, copy_environment()
        self._alive = [*self._fixtures.values()][::-1]
        self.asked.clear()

    def end_fixture(self, key: int, before: Variables | None) -> None:
        """Take note of what the setup of a fixture did that several tests have, but not all.

        That is not around tests, as long as the fixture lives.

        Args:
            key: its identity.
            before: the environment before its setup.
        """
        now = read_variables()
        if now is None or before is None or now == before:
            return
        self._fixtures[key] = {
            name: (before.get(name), now.get(name))
            for name in now.keys() | before.keys()
            if before.get(name) != now.get(name)
        }

    def finish_fixture(self, key: int) -> None:
        """Forget a fixture, which is torn down."""
        self._fixtures.pop(key, None)

    def is_by_fixture(self, key: Any, value: Any) -> bool:
        """Tell whether a fixture of several tests gave a variable its value, None if it removed it."""
        return any(key in changes and changes[key][1] == value for changes in self._fixtures.values())

    @property
    def _around(self) -> Variables | None:
        copy, self._copy = self._copy, None
        if copy is not None:
            self._known = around = _without_pytests(copy)
            for key, (before, after) in (pair for one in self._alive for pair in one.items()):
                if around.get(key) == after:
                    around.pop(key, None)
                    around.update({} if before is None else {key: before})
        return self._known

    def adopt(self, before: Variables | None) -> None:
        """Let what has changed since a moment belong to what is around a test.

        Args:
            before: the environment at that moment.
        """
        now, around = _variables(), self._around
        if now is None or before is None or around is None or now == before:
            return
        for key in now.keys() | before.keys():
            if now.get(key) != before.get(key):
                around.pop(key, None)
                around.update({key: now[key]} if key in now else {})

    def changed(self) -> Variables:
        """Return the variables that differed from what is around the test when the import began.

        What a module sets itself, or what it imports, is no patch. A variable that is gone is None.
        """
        now, then, around = _variables(), self._then, self._around
        if now is None or then is None or around is None or then == around:
            return Variables()
        different = {key for key in then.keys() | around.keys() if then.get(key) != around.get(key)}
        return Variables({key: then.get(key) for key in different if now.get(key) == then.get(key)})

    def begin(self) -> None:
        """Note that a module is about to be imported; listen from now on, if the environment is patched."""
        if self._then is not None:
            return
        environ: Any = os.environ
        self._then = then = _variables()
        if then is None or self._around is None or then == self._around:
            return
        encode = getattr(environ, "encodekey", None)
        if encode is None or type(environ) is not ENVIRONMENT:
            return

        def encodekey(key: Any) -> Any:
            if type(key) is str:
                name = self._running()
                if name is not None:
                    self.asked.setdefault(name, set()).add(key)
            return encode(key)

        def undo() -> None:
            if environ.encodekey is encodekey:
                environ.encodekey = encode

        environ.encodekey = encodekey
        self._undo = undo

    def begin_anew(self) -> None:
        """Note the same for an import that a test file does while it is imported itself."""
        self._listen_no_more()
        self._then = None
        self.begin()

    def end(self) -> None:
        """Note that no module is being imported any more: what the imports set is around the test now."""
        self._listen_no_more()
        then, self._then = self._then, None
        self.adopt(then)

    def _listen_no_more(self) -> None:
        if self._undo is not None:
            self._undo()
            self._undo = None


def _variables() -> Variables | None:
    copy = copy_environment()
    return None if copy is None else _without_pytests(copy)


def _without_pytests(copy: list[Any]) -> Variables:
    """Return what a copy of the environment holds, without what pytest sets in each phase of a test."""
    found = variables_in(copy)
    for key in _OF_PYTEST:
        found.pop(key, None)
    return found


def decoded(key: object) -> str:
    """Return the name of a variable as text."""
    return os.fsdecode(key) if type(key) is bytes else str(key)
