"""Cold views: first-party modules are executed anew in them, and guards that prove nothing say so."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_import_isolation.fakes.refusals import is_loaded_by_pytest
from pytest_import_isolation.machinery.frames import namespaces_on_the_stack
from pytest_import_isolation.machinery.modules import ancestors, is_initializing, namespace, top_level
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.state.origins import is_pytest_filler
from pytest_import_isolation.state.references import NewModules
from pytest_import_isolation.watching.asked_imports import ASKED
from pytest_import_isolation.window.window import Unproven, Window
from pytest_import_isolation.wording import listing


class FirstPartyModules(NamedTuple):
    """The first-party modules that a cold view executes anew."""

    #: Those that are loaded or parked.
    names: frozenset[str]
    #: Tells whether a name is one of them, or of one of their packages.
    covers: Callable[[object], bool]


def first_party_modules(window: Window) -> FirstPartyModules:
    """Return the first-party modules that can be executed anew in a window.

    What pytest has loaded itself it goes on using, what is running cannot be replaced, and no package with
    extension modules can be executed twice.
    """
    known: dict[Any, object] = {name: FINDER.lot.module(name) for name in FINDER.lot}
    known.update(sys.modules.copy())
    origins, running = window.origins, namespaces_on_the_stack()
    own = {name: module for name, module in known.items() if origins.is_first_party(name, module)}
    tops = {top_level(name) for name in own}
    of_theirs = {n: m for n, m in known.items() if type(n) is str and top_level(n) in tops}
    compiled = {top_level(n) for n, m in of_theirs.items() if origins.verdict(n, m).is_extension}
    names = frozenset(
        name
        for name, module in own.items()
        if top_level(name) not in compiled
        and not _must_stay(window, name, module)
        and id(namespace(module)) not in running
    )
    tops = {top_level(name) for name in names}

    def covers(name: object) -> bool:
        is_known = name in names
        return is_known or (type(name) is str and top_level(name) in tops and name not in of_theirs)

    return FirstPartyModules(names, covers)


def _must_stay(window: Window, name: str, module: object) -> bool:
    space = namespace(module) or {}
    return (
        name == "__main__"
        or is_loaded_by_pytest(module)
        or is_pytest_filler(space)
        or is_initializing(module)
        or window.reason_to_stay(name, module) is not None
    )


class OlderExecutions:
    """Watches who asks for first-party modules that were executed before and refer to unloaded modules.

    Args:
        window: the modules were unloaded in it.
    """

    def __init__(self, window: Window) -> None:
        self._window = window
        # For each of the first-party modules, the unloaded ones that it refers to, itself or through others.
        self._held = _unloaded_behind(window)
        self._asked: set[str] = set()
        if self._held:
            window.undo.append(ASKED.observe(self._held.__contains__, self._asked.add))

    def unproven(self) -> list[Unproven]:
        """Return the unloaded modules that are absent although somebody asked for what imports them."""
        return [
            Unproven(name, importer)
            for importer in sorted(self._asked)
            for name in sorted(self._held[importer])
            if name not in sys.modules
        ]

    def remark(self) -> str | None:
        """Return a warning if an absence proves nothing, unless the importer is kept on purpose."""
        unproven = [one for one in self.unproven() if not self._window.is_kept(one.importer)]
        if not unproven:
            return None
        names = {one.name: None for one in unproven}
        told = [name for name in names if not any(above in names for above in ancestors(name))]
        return f"that {listing(told)} stayed absent proves nothing: {self.reason(unproven)}"

    def reason(self, unproven: Sequence[Unproven]) -> str:
        """Say why an absence proves nothing, and what would prove it.

        Args:
            unproven: some of :meth:`unproven`.
        """
        importers = list(dict.fromkeys(one.importer for one in unproven))
        said = (
            "was executed before and is not executed again by importing it"
            if len(importers) == 1
            else "were executed before and are not executed again by importing them"
        )
        text = f"{listing(importers)} {said}. "
        # What a cold view has parked and not hidden cannot be executed anew, or is kept.
        parked = self._window.absent.unloaded
        if any(name in parked or self._window.is_kept(name) for name in importers):
            return f"{text}Ask a new interpreter: import_budget(..., forbid=..., process=True)"
        tops = list(dict.fromkeys(map(top_level, importers)))
        fresh = repr(tops[0]) if len(tops) == 1 else repr(tops)
        return f"{text}Add fresh={fresh}, or take unloaded='*', which executes first-party modules anew"


def _unloaded_behind(window: Window) -> dict[str, set[str]]:
    unloaded = {name: FINDER.lot.module(name) for name in window.absent.unloaded}
    older: dict[str, object] = {
        name: module
        for name, module in {**unloaded, **sys.modules.copy()}.items()
        if type(name) is str
        and window.origins.is_first_party(name, module)
        and not is_loaded_by_pytest(module)
    }
    if not older or not unloaded:
        return {}
    others = NewModules({name: module for name, module in unloaded.items() if name not in older})
    behind = {
        name: {home for home, _ in others.references(namespace(module) or {})}
        for name, module in older.items()
    }
    for found in behind.values():
        # ``import xmlrpc.client`` makes a name for the package alone.
        found.update([name for name in others.modules if any(above in found for above in ancestors(name))])
    if any(behind.values()):
        _spread(behind, older)
    return {name: found for name, found in behind.items() if found}


def _spread(behind: Mapping[str, set[str]], older: Mapping[str, object]) -> None:
    """Add to each module what is behind the modules that it refers to."""
    new_modules = NewModules(older)
    users: dict[str, set[str]] = {}
    for name, module in older.items():
        for home, _ in new_modules.references(namespace(module) or {}):
            users.setdefault(home, set()).add(name)
    waiting = [name for name, found in behind.items() if found]
    while waiting:
        name = waiting.pop()
        for user in users.get(name, ()):
            if not behind[name] <= behind[user]:
                behind[user].update(behind[name])
                waiting.append(user)
