"""First-party modules that were executed for the first time while something was patched, and stay loaded."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Set
from pathlib import Path
from typing import Any, Final

from pytest_import_isolation.contents.changes import ContentChange
from pytest_import_isolation.machinery.modules import ABSENT, file_of, namespace
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.source_text import text_of
from pytest_import_isolation.report.records import Polluter
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.watching.environment_reads import EnvironmentReads
from pytest_import_isolation.watching.executed_modules import EXECUTED
from pytest_import_isolation.wording import listing

# There is one of each, and many names hold it.
# By identity: a metaclass may hash and compare as it likes.
_COMMON: Final = frozenset(
    map(id, (type(None), bool, int, float, str, bytes, tuple, type(Ellipsis), type(NotImplemented)))
)
_MOST: Final = 3


class PatchedImport(NamedTuple):
    """A module that read something patched while it was executed for the first time."""

    name: str
    #: What was patched, each with what became of it.
    patched: tuple[str, ...]
    by: Polluter


class PatchedImports:
    """Listens to executions during tests.

    Args:
        origins: gives the verdicts on modules.
        here: returns the test that is running, and its phase.
        contents: returns what test code has written to modules since the test began, as far as that may
            concern a module that holds objects of these identities.
        setters: returns, for a key of the environment, what set it as far as that is known.
    """

    def __init__(
        self,
        origins: Origins,
        here: Callable[[], Polluter | None],
        contents: Callable[[Set[int]], Collection[ContentChange]],
        setters: Callable[[], Mapping[str, str]],
    ) -> None:
        self._origins = origins
        self._here = here
        self._contents = contents
        self._setters = setters
        self._environment = EnvironmentReads(EXECUTED.running)
        self._found: dict[str, PatchedImport] = {}
        # Modules that were there when the test began.
        self._loaded: frozenset[Any] = frozenset()

    def start(self) -> None:
        """Listen from now on."""
        EXECUTED.listeners.append(self)

    def stop(self) -> None:
        """Listen no more."""
        EXECUTED.listeners.remove(self)
        self._environment.end()

    def begin_test(self) -> None:
        """Take the environment of now as what is around a test."""
        self._environment.set_around()
        self._found.clear()

    def begun(self, name: str) -> None:
        """Note that a module is about to be imported."""
        here = self._here()
        if here is not None and here.phase in ("setup", "call"):
            self._environment.begin()

    def finished(self) -> None:
        """Note that no module is being imported any more."""
        self._environment.end()

    def executed(self, name: str) -> None:
        """Note that a module was imported."""
        here, module = self._here(), sys.modules.get(name)
        if here is None or here.phase not in ("setup", "call"):
            return
        if not self._origins.is_first_party(name, module) or name in self._found:
            return
        file = file_of(module)
        if file is None or self._origins.is_test_file(file):
            return
        patched = [*self._variables(name), *self._attributes(module, file)]
        if patched:
            self._found[name] = PatchedImport(name, tuple(patched), here)

    def _variables(self, name: str) -> Iterator[str]:
        asked = self._environment.asked.get(name)
        changed = self._environment.changed() if asked else {}
        setters = self._setters() if asked else {}
        for key in sorted((asked or set()) & changed.keys()):
            yield f"{key} was {'set' if changed[key] else 'removed'} by {setters.get(key, 'the test')}"

    def _attributes(self, module: object, file: str) -> Iterator[str]:
        space = namespace(module) or {}
        held = {id(value) for value in list(space.values()) if id(type(value)) not in _COMMON}
        builtin = space.get("__builtins__")
        if type(builtin) is dict:  # the interpreter gives the same one to all modules
            held.discard(id(builtin))
        for change in self._contents(held):
            owner = change.space.owner()
            is_taken = id(change.after) in held
            if is_taken or (id(owner) in held and change.name in text_of(Path(file))):
                yield f"{change.full_name} was patched"

    def take(self) -> Iterator[tuple[PatchedImport, str]]:
        """Yield the modules that stay loaded at the end of a test, each with the sentence about it."""
        found, self._found = self._found, {}
        for patched in found.values():
            if sys.modules.get(patched.name, ABSENT) is not ABSENT:
                yield (
                    patched,
                    f"It was first imported while {listing(patched.patched, _MOST)}, and it stays loaded.",
                )
