"""Modules that were loaded in a window and thrown out of ``sys.modules`` behind our back."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from operator import methodcaller
from types import MappingProxyType
from typing import Final

from pytest_import_isolation.machinery.modules import (
    ABSENT,
    ancestors,
    loaded_among,
    missing_among,
    namespace,
    parent_of,
    top_level,
)
from pytest_import_isolation.machinery.regexes import regex
from pytest_import_isolation.machinery.source_text import text_of
from pytest_import_isolation.parking.belongings import Belonging
from pytest_import_isolation.parking.evicted import evicted_modules
from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.parking.lot import ParkedModule
from pytest_import_isolation.state.origins import Origin
from pytest_import_isolation.state.submodule_attributes import bind, bound_value
from pytest_import_isolation.watching.executed_modules import EXECUTED
from pytest_import_isolation.window.open_windows import home_of_copy, open_windows
from pytest_import_isolation.window.removal import package_holding
from pytest_import_isolation.window.window import Window

#: What takes an entry out of ``sys.modules``.
_EVICTION: Final = regex(r"\bdel\b.*modules\[|modules\.pop\(|delitem\(.*modules")
#: So many lines before it may say which: a loop, and conditions.
_LINES_BEFORE: Final = 3


def parked(
    window: Window, name: str, module: object, others: Mapping[str, object] = MappingProxyType({})
) -> ParkedModule:
    """Return what to park of a module that is not loaded any more, or in whose place something else stands.

    It returns bound, as after an import: its attribute may have been deleted, or the package above it may
    have been thrown out, too.

    Args:
        window: where it was loaded.
        name: its name.
        module: the module.
        others: what was thrown out with it.
    """
    is_meant_here = home_of_copy(name, module)
    package = package_holding(name, module, window.around.modules, others)
    if package is not ABSENT:
        return ParkedModule(module, module, package, is_meant_here)
    parent, child = parent_of(name)
    # A package may delete the attribute itself.
    bound = (namespace(others[parent]) or {}).get(child, ABSENT) if parent in others else bound_value(name)
    binding = module if bound is ABSENT and parent not in others else bound
    return ParkedModule(module, binding, is_meant_here=is_meant_here)


def bring_evicted_back(window: Window, name: str) -> None:
    """Park a package with extension modules that was thrown out, before it is executed a second time.

    A pure Python package may be executed again: somebody removed it for that. What is shadowed must
    stay away.

    Args:
        window: where it was loaded.
        name: the module of it that is asked for again.
    """
    # What is parked is there; what was first-party is executed again.
    if name in FINDER.lot or window.origins.was_first_party(name):
        return
    if any(each.shadowed.match(name) for each in open_windows):
        return
    package = top_level(name)
    if package not in window.log.packages_of_c:
        return
    # At the speed of C: hundreds were asked for.
    asked = [*missing_among(window.asked_for())]
    gone = [*filter(package.__eq__, asked), *filter(methodcaller("startswith", f"{package}."), asked)]
    evicted = evicted_modules(gone, window.log, window.origins)
    if any(window.origins.verdict(other, module).is_extension for other, module in evicted.items()):
        FINDER.lot.park({other: parked(window, other, module, evicted) for other, module in evicted.items()})
        _park_entered(window, evicted)


def _park_entered(window: Window, makers: Mapping[str, object]) -> None:
    """Park what modules that were thrown out had entered when they were executed, and was thrown out, too.

    Nobody imported it, and no import finds it: an extension module enters the modules that it consists of.
    """
    entered = {
        name: found
        for name, found in EXECUTED.makers.entered_by(makers).items()
        if name not in sys.modules and name not in FINDER.lot and name not in window.around.modules
    }
    together = {**makers, **{name: module for name, (module, _) in entered.items()}}
    for name, (module, maker) in entered.items():
        FINDER.lot.park({name: parked(window, name, module, together)})
        if top_level(maker) != top_level(name):
            FINDER.lot.entrust(top_level(maker), Belonging("entry", name))


def covered_modules(window: Window) -> dict[str, object]:
    """Return the foreign modules that were loaded in a window and in whose place a fake stands now."""
    asked = [*loaded_among(window.asked_for())]
    covered = [name for name in asked if _is_covered(window, name)]
    if not covered:
        return {}
    asked = [name for name in asked if name not in window.tainted]
    executed = window.log.executed_among(asked)
    return {
        name: executed[name]
        for name in covered
        if name in executed
        and sys.modules.get(name) is not executed[name]
        and window.origins.verdict(name, executed[name]).origin is Origin.FOREIGN
    }


def _is_covered(window: Window, name: str) -> bool:
    """Tell whether somebody put a fake into the place of what had been loaded in a window."""
    return (
        window.origins.verdict(name, sys.modules.get(name)).origin is Origin.FAKE
        and name not in window.tainted
        and name not in FINDER.lot
        and name not in window.around.modules
        and name not in window.placed
        and not window.absent.hides(name)
    )


def park_evicted(window: Window) -> None:
    """Park the foreign modules that were loaded in a window and thrown out.

    Without this the next import would execute them a second time. Where test code has thrown them out by
    name, that is what it wants, and pure Python is not parked.
    """
    makers: dict[str, object] = {}
    came: dict[str, object] = dict(evicted_modules(window.asked_for(), window.log, window.origins))
    returned = {
        name: FINDER.lot.returned(name)
        for name in window.returned.names.copy()  # other threads add to it
        if name not in sys.modules and name not in FINDER.lot and name not in window.around.modules
    }
    again = _wanted_again(window, {**came, **returned})
    for name, module in returned.items():
        if name not in again and window.origins.verdict(name, module).origin is Origin.FOREIGN:
            FINDER.lot.park_as_before(name)
            came.pop(name, None)
            makers[name] = module
    for name, module in came.items():
        verdict = window.origins.verdict(name, module)
        if verdict.origin is not Origin.FOREIGN:  # a first-party one may have come back after unloaded=
            continue
        if name in window.around.modules or (not verdict.is_extension and _is_of_copy(window, name, came)):
            # The first copy comes back with the window's end. C code may still point to what this one made.
            FINDER.lot.retire([module])
        elif name not in again:
            FINDER.lot.park({name: parked(window, name, module, came)})
            makers[name] = module
    for module in again.values():
        FINDER.lot.forget(module)
    if makers:
        _park_entered(window, makers)


def _wanted_again(window: Window, evicted: Mapping[str, object]) -> Mapping[str, object]:
    """Return those of some modules that test code has thrown out by name, so that they are executed again.

    Those of packages with extension modules are not among them, as in :func:`bring_evicted_back`.
    """
    files = window.writing_files() if evicted else ()
    statements = [statement for file in files for statement in _evictions_in(text_of(file))]
    named = {
        name: module
        for name, module in evicted.items()
        if any(_is_quoted(part, text) for text in statements for part in (name, *ancestors(name)))
    }
    if not named:
        return named
    packages = {*map(top_level, named)}
    loaded = [(n, m) for n, m in sys.modules.copy().items() if type(n) is str and top_level(n) in packages]
    of_c = {top_level(n) for n, m in (*evicted.items(), *loaded) if window.origins.verdict(n, m).is_extension}
    of_c |= window.log.packages_of_c
    return {name: module for name, module in named.items() if top_level(name) not in of_c}


def _evictions_in(text: str) -> Iterator[str]:
    """Yield the lines of a text that take entries out of ``sys.modules``, each with those before it."""
    for found in _EVICTION.finditer(text):
        start = found.start()
        for _ in range(1 + _LINES_BEFORE):
            start = max(text.rfind("\n", 0, start), 0)
        end = text.find("\n", found.end())
        yield text[start : end if end != -1 else None]


def _is_quoted(name: str, text: str) -> bool:
    """Tell whether a text has a name, or the begin of one, between quotes."""
    return name in text and re.search(rf"""['"]{re.escape(name)}['".]""", text) is not None


def _is_of_copy(window: Window, name: str, came: Mapping[str, object]) -> bool:
    """Tell whether a module belongs to a package that was executed again, and whose first copy comes back."""
    parent, child = parent_of(name)
    while parent:
        if parent in came and parent in window.around.modules:
            return (namespace(window.around.modules[parent]) or {}).get(child) is not came.get(
                f"{parent}.{child}"
            )
        parent, child = parent_of(parent)
    return False


def unbind_evicted(window: Window) -> None:
    """Take modules that were thrown out off the packages that stay, or that came back."""
    # Of a copy: other threads add to it.
    staying = {
        parent: image
        for parent, image in window.log.images.copy().items()
        if namespace(window.around.modules.get(parent)) is image[0]
    }
    for name in missing_among(window.asked_for() if staying else ()):
        parent, child = parent_of(name)
        if parent not in staying:
            continue
        space, before = staying[parent]
        module, earlier = space.get(child, ABSENT), before.get(child, ABSENT)
        if module is not earlier and (namespace(module) or {}).get("__name__") == name:
            bind(space, child, earlier)
