"""Which environment variables modules ask for while they are executed.

Each access by a key goes through ``os.environ.encodekey``, an attribute of that one object. Another function
stands there only while modules are executed and the environment differs from that around the test. Who copies
the environment, or loops over it, asks for no key, and is not seen.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from pytest_import_isolation.watching.process_effects import Variables, read_variables


class EnvironmentReads:
    """Listens to ``os.environ`` while modules are executed.

    Args:
        running: returns the module whose body is running, None if there is none.
    """

    def __init__(self, running: Callable[[], str | None]) -> None:
        self._running = running
        self._around: Variables | None = None
        self._undo: Callable[[], None] | None = None
        #: By module, the keys that its execution asked for.
        self.asked: dict[str, set[str]] = {}

    def set_around(self) -> None:
        """Take the environment of now as what is around a test."""
        self._around = read_variables()
        self.asked.clear()

    def changed(self) -> dict[str, bool]:
        """Return the variables that differ from what is around the test, and whether each is set now."""
        now, around = read_variables(), self._around
        if now is None or around is None or now == around:
            return {}
        different = {key for key in now.keys() | around.keys() if now.get(key) != around.get(key)}
        return {_decoded(key): key in now for key in different}

    def begin(self) -> None:
        """Listen from now on, if the environment is patched."""
        environ: Any = os.environ
        if self._undo is not None or self._around is None or read_variables() == self._around:
            return
        encode = getattr(environ, "encodekey", None)
        if encode is None or type(environ) is not os._Environ:
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

    def end(self) -> None:
        """Listen no more."""
        if self._undo is not None:
            self._undo()
            self._undo = None


def _decoded(key: object) -> str:
    return os.fsdecode(key) if type(key) is bytes else str(key)
