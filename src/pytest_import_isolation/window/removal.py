"""How modules leave ``sys.modules`` when a window closes, and what is tidied behind them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from importlib.machinery import ModuleSpec
from types import MappingProxyType
from typing import Any, Final

from pytest_import_isolation.machinery.modules import (
    ABSENT,
    ancestors,
    namespace,
    own_name_of,
    parent_of,
    top_level,
)
from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.parking.lot import ParkedModule
from pytest_import_isolation.state.changes import PARKED, ModuleChange
from pytest_import_isolation.state.origins import Origin, Origins, describe
from pytest_import_isolation.state.references import NewModules, stale_names
from pytest_import_isolation.state.submodule_attributes import bind, bound_value
from pytest_import_isolation.window.open_windows import home_of_copy
from pytest_import_isolation.window.outcomes import WAS_PARKED, Decision, Outcome

# The namespaces of packages, each with a copy of what it held before something below it was imported.
Images = Mapping[str, tuple[dict[str, Any], dict[str, Any]]]

# A source file younger than this may be rewritten within the same second and with the same size, and
# Python would then run the old bytecode.
_YOUNG_SOURCE_SECONDS: Final = 2.0
_OF_SECOND_COPY: Final = Decision(Outcome.FORGET, "the earlier copy of its package comes back")
_AGAIN: Final = Decision(Outcome.PARK, WAS_PARKED)


class Removal:
    """Sees every entry leave, under the import lock, and parks what has to be parked before it is gone.

    Between the decision and the moment of leaving, other threads may have imported more: those modules
    are judged here by their origin alone.

    Args:
        origins: gives the verdicts on modules.
        old: the entries with which the window began, and which come back.
        is_refreshed: tells whether a new copy of a module was asked for.
    """

    def __init__(
        self, origins: Origins, old: Mapping[Any, object], is_refreshed: Callable[[Any], bool]
    ) -> None:
        self._is_refreshed = is_refreshed
        self.decisions: dict[Any, Decision] = {}
        self.left: dict[Any, object] = {}
        self._origins = origins
        self._old = old
        # Whether a package, or one above it, is a copy in whose place the first one comes back.
        self._copies: dict[str, bool] = {"": False}

    def leave(self, leaving: Mapping[Any, object]) -> None:
        """Take note of entries that are about to leave."""
        park({name: module for name, module in leaving.items() if self._is_to_park(name, module)}, self._old)
        self.left.update(leaving)

    def _is_to_park(self, name: Any, module: object) -> bool:
        """Tell whether to park what is about to leave; if not, do what has to be done in place of that."""
        verdict = self._origins.verdict(name, module)
        decision = self.decisions.get(name)
        if decision is None:
            outcome = Outcome.PARK if verdict.origin is Origin.FOREIGN else Outcome.FORGET
            decision = self.decisions[name] = Decision(
                outcome, "imported by another thread while the window was closed"
            )
        if name in self._old:
            # A second copy, whose place the first one takes again. C code may still point to what it made
            # (multiprocessing crashes on 3.10 and 3.11 when a copy is freed), so it stays alive; but not
            # if it was asked for with fresh=, or every test would leave a copy.
            if verdict.is_extension or not self._is_refreshed(name):
                FINDER.lot.retire([module] if verdict.origin is Origin.FOREIGN else [])
        elif decision.outcome is Outcome.PARK:
            if type(name) is not str or verdict.is_extension or not self._is_of_second_copy(name):
                return True
            self.decisions[name] = _OF_SECOND_COPY
            FINDER.lot.retire([module])
        elif verdict.origin is Origin.FOREIGN:
            FINDER.lot.forget(module)
        return False

    def _is_of_second_copy(self, name: str) -> bool:
        """Tell whether a package above a module is a copy, in whose place the first one comes back."""
        parent = parent_of(name)[0]
        is_copy = self._copies.get(parent)
        if is_copy is None:
            above = (package for package in (parent, *ancestors(parent)) if package in self._old)
            is_copy = self._copies[parent] = any(
                sys.modules.get(package, self._old[package]) is not self._old[package] for package in above
            )
        return is_copy and top_level(name) not in self._packages_of_c

    @cached_property
    def _packages_of_c(self) -> frozenset[str]:
        """The packages of the top level of which extension modules came: they return as a whole."""
        return frozenset(
            top_level(name)
            for name in self.decisions
            if type(name) is str and name not in self._old and self._is_extension(name)
        )

    def _is_extension(self, name: str) -> bool:
        # Some may have left already.
        return self._origins.verdict(name, self.left.get(name, sys.modules.get(name))).is_extension

    def leave_again(self, leaving_again: Mapping[str, object]) -> None:
        """Park modules that came back from the parking lot, without another look at each."""
        FINDER.lot.park_again(leaving_again)
        self.left.update(leaving_again)
        self.decisions.update(dict.fromkeys(leaving_again, _AGAIN))

    def told_again(self, name: Any) -> ModuleChange | None:
        """Return the words for a module that was parked again; None for any other."""
        return FINDER.lot.told(name, self._tell) if self.decisions[name] is _AGAIN else None

    def _tell(self, name: str, module: object) -> ModuleChange:
        verdict = self._origins.verdict(name, module)
        reason = verdict.reason if verdict.origin is Origin.FOREIGN else WAS_PARKED
        return ModuleChange(name, "nothing", describe(module), PARKED, reason)

    def is_old(self, name: Any) -> bool:
        """Tell whether the window began with an entry of this name, which comes back."""
        return name in self._old

    def leave_together(self, child: str, parent: str) -> bool:
        """Tell whether a package and its submodule shared their decision, so that the attribute may stay."""
        return parent in self.left and self.decisions[parent].outcome is self.decisions[child].outcome

    def clean_packages(self, images: Images) -> list[str]:
        """Take what left off the packages that did not, and give those back what they held before.

        Args:
            images: what packages held before something below them was imported.

        Returns:
            The attributes that were put back or removed, as ``"package.name"``.
        """
        cleaned: list[str] = []
        for name, module in self.left.items():
            if type(name) is not str or "." not in name or self.is_old(name):
                continue
            parent, child = parent_of(name)
            if self.leave_together(name, parent):
                continue
            space = namespace(self.left.get(parent, sys.modules.get(parent)))
            if space is not None and space.get(child, ABSENT) is module:
                bind(space, child, images.get(parent, ({}, {}))[1].get(child, ABSENT))
                cleaned.append(name)
        leaving: NewModules | None = None
        for package, (space, before) in list(images.items()):  # other threads add to it
            if namespace(self._old.get(package)) is space:
                leaving = leaving or NewModules({n: m for n, m in self.left.items() if type(n) is str})
                for key, is_new in list(stale_names(space, before, leaving)):
                    if not is_new and _is_of_parked(leaving.home_of(space.get(key)), package):
                        continue
                    bind(space, key, ABSENT if is_new else before[key])
                    cleaned.append(f"{package}.{key}")
        return cleaned

    def forgotten_packages(self) -> dict[str, object]:
        """Return the first-party packages of the top level that left and will be executed anew."""
        return {
            name: module
            for name, module in self.left.items()
            if type(name) is str
            and "." not in name
            and self.decisions[name].outcome is Outcome.FORGET
            and "__path__" in (namespace(module) or {})
            and own_name_of(module) in ("", name)  # what it was called besides goes for good
            and self._origins.is_first_party(name, module)
        }

    def forgotten(self) -> dict[str, object]:
        """Return the first-party modules that left and will be executed anew."""
        return {
            name: module
            for name, module in self.left.items()
            if type(name) is str
            and self.decisions[name].outcome is Outcome.FORGET
            and self._origins.is_first_party(name, module)
        }

    def remove_young_bytecode(self) -> None:
        """Let the sources of forgotten modules that were written a moment ago be compiled again."""
        for name, module in self.left.items():
            if self.decisions[name].outcome is Outcome.FORGET:
                _remove_young_bytecode(module)


def park(modules: Mapping[Any, object], old: Mapping[Any, object] = MappingProxyType({})) -> None:
    """Put modules that are about to leave into the parking lot, with their packages' attributes for them.

    Args:
        modules: the modules.
        old: the entries that come back.
    """
    packages = _Packages(old)
    FINDER.lot.park({name: packages.parked(name, m) for name, m in modules.items() if type(name) is str})
    # No import asks for the others, but C code may still point to them.
    FINDER.lot.retire(module for name, module in modules.items() if type(name) is not str)


def as_bound(modules: Mapping[Any, object]) -> dict[str, ParkedModule]:
    """Return modules that are about to leave, with what their packages hold under their names."""
    return {name: ParkedModule(module, bound_value(name)) for name, module in modules.items()}


class _Packages:
    """The packages above modules that are about to leave, each looked at once.

    Args:
        old: the entries that come back.
    """

    def __init__(self, old: Mapping[Any, object]) -> None:
        self._old = old
        # What is loaded under their names, and its namespace.
        self._known: dict[str, tuple[object, dict[str, Any] | None]] = {"": (ABSENT, None)}

    def parked(self, name: str, module: object) -> ParkedModule:
        """Return what to park of a module, with its package's attribute for it."""
        parent, child = parent_of(name)
        known = self._known.get(parent)
        if known is None:
            package: object = sys.modules.get(parent, ABSENT)
            known = self._known[parent] = (package, namespace(package))
        package, space = known
        # Where a package failed to import, its submodules are left without it: the next package gets them.
        binding = module if space is None else space.get(child, ABSENT)
        if package is ABSENT:  # it was taken out, and comes back
            package = package_holding(name, module, self._old) if parent else ABSENT
        elif self._old.get(parent, package) is not package:
            package = ABSENT  # the first copy gets it
        return ParkedModule(module, binding, package, home_of_copy(name, module))


def package_holding(name: str, module: object, *tables: Mapping[Any, object]) -> object:
    """Return the first package in some tables that has a module as its submodule; ABSENT for none."""
    parent, child = parent_of(name)
    packages = (table.get(parent, ABSENT) for table in tables)
    return next((one for one in packages if (namespace(one) or {}).get(child, ABSENT) is module), ABSENT)


def _is_of_parked(home: str | None, package: str) -> bool:
    """Tell whether what a package holds in the place of something is of another one, which is parked.

    That remembers what it did, and does not do it again when it returns.
    """
    return home is not None and top_level(home) != top_level(package) and home in FINDER.lot


def _remove_young_bytecode(module: object) -> None:
    """Let a source that was written a moment ago be compiled again.

    The bytecode file stores the source's time in whole seconds and its size: a source that is rewritten
    within the second and with the same size would run its old code.
    """
    own = namespace(module) or {}
    file, spec = own.get("__file__"), own.get("__spec__")
    # The spec's: Python 3.15 gives modules no __cached__.
    cached = spec.cached if type(spec) is ModuleSpec else None
    if type(file) is not str or type(cached) is not str:
        return
    try:
        if time.time() - os.stat(file).st_mtime >= _YOUNG_SOURCE_SECONDS:
            return
    except OSError:
        return  # the source has gone already
    cache = (namespace(sys.modules.get("linecache")) or {}).get("cache")
    if type(cache) is dict:
        cache.pop(file, None)
    with suppress(OSError):  # never written, gone already, or not ours to delete
        os.unlink(cached)
