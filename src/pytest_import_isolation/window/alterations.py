"""What a window is asked for: modules that are unloaded, fresh, missing, faked or shadowed in it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Final

from pytest_import_isolation.errors import ExtensionModuleError, ParameterError
from pytest_import_isolation.fakes.hidden_listings import hide_distributions, hide_from_listings
from pytest_import_isolation.fakes.irreplaceable import refuse_irreplaceable
from pytest_import_isolation.fakes.missing import INTERCEPTOR
from pytest_import_isolation.fakes.placed_fakes import PlacedFakes
from pytest_import_isolation.fakes.refusals import unmatched
from pytest_import_isolation.machinery.frames import Importer, caller, packages_on_the_stack
from pytest_import_isolation.machinery.modules import ABSENT, namespace, parent_of, top_level
from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.patterns import Patterns
from pytest_import_isolation.state.submodule_attributes import bind
from pytest_import_isolation.watching.import_watch import for_itself
from pytest_import_isolation.window.cold_views import OlderExecutions, first_party_modules
from pytest_import_isolation.window.parameters import contradiction
from pytest_import_isolation.window.real_modules import RealModules
from pytest_import_isolation.window.window import Window
from pytest_import_isolation.wording import listing

# What a bare interpreter has loaded when it starts, and what its C code looks up by name.
_START_UP: Final = Patterns(
    (
        "__main__", "_abc", "_codecs", "_collections_abc", "_frozen_importlib", "_frozen_importlib_external",
        "_imp", "_io", "_signal", "_sitebuiltins", "_stat", "_thread", "_warnings", "_weakref", "abc",
        "builtins", "codecs", "encodings", "genericpath", "importlib", "io", "marshal", "nt", "ntpath", "os",
        "posix", "posixpath", "pytest_import_isolation", "site", "stat", "sys", "threading", "time",
        "warnings", "winreg", "zipimport",
    )
)  # fmt: skip


def apply_parameters(window: Window) -> None:
    """Make different in a window what its parameters ask for."""
    parameters = window.parameters
    window.own_items.add_path(parameters.path)
    window.remark(unmatched(parameters.unloaded, "unloaded"), window.opened_by)
    window.remark(unmatched(parameters.fresh, "fresh"), window.opened_by)
    unload(window, parameters.unloaded)
    block(window, parameters.missing, distributions=parameters.distributions)
    refresh(window, parameters.fresh)
    fake(window, parameters.fakes, window.opened_by)
    window.own_items.put_first("path_hooks", parameters.path_hooks)
    window.own_items.put_first("meta_path", parameters.finders)


def unload(window: Window, patterns: Patterns) -> None:
    """Let modules look as if nobody had imported them yet: the next import gives the same object.

    If everything is unloaded, as in a cold start, first-party modules are executed anew.
    """
    if not patterns:
        return
    if any(set(pattern) == {"*"} for pattern in patterns):
        own = first_party_modules(window)
        window.absent.hide(own.covers, own.names)
    covers = _covering(patterns)
    window.absent.unload([n for n in list(sys.modules) if covers(n) and not _START_UP.match(n)])
    window.older = OlderExecutions(window)


def refresh(window: Window, patterns: Patterns) -> None:
    """Let modules be executed anew on their next import. Those that are kept come back as they are.

    Raises:
        ParameterError: one of the patterns covers only what is kept.
        ExtensionModuleError: one of them is an extension module, or belongs to the same pattern as one.
    """
    if not patterns:
        return
    refuse_irreplaceable(patterns, "fresh")
    _refuse_kept(window, patterns)
    covers = _covering(patterns)
    names, kept = _refuse_extensions(window, patterns)
    window.absent.hide(lambda name: covers(name) and not window.is_kept(name), filter(covers, names))
    # Else the new package would not have them as attributes.
    window.absent.unload([name for name in kept if name in sys.modules])


def block(window: Window, patterns: Patterns, *, distributions: bool = False) -> None:
    """Let modules look as if they were not installed.

    Args:
        window: until its end.
        patterns: the modules.
        distributions: hide from importlib.metadata the distributions that deliver them, too.

    Raises:
        NotReplaceableError: what runs now cannot do without one of them.
    """
    if not patterns:
        return
    refuse_irreplaceable(patterns, "missing")
    covers = _covering(patterns)
    # Before anything is hidden that they need themselves (3.13's importlib.metadata imports json).
    pkgutil = _load_aside(window, "pkgutil")
    metadata = [_load_aside(window, "importlib.metadata")] if distributions else []
    if distributions and "importlib_metadata" in sys.modules:
        metadata.append(sys.modules["importlib_metadata"])
    window.absent.hide(covers)
    for name in patterns:
        _take_off_parent(window, name)
    window.undo.append(INTERCEPTOR.block(covers, window.tainted.setdefault))
    window.undo.append(hide_from_listings(pkgutil, covers))
    window.undo += (hide_distributions(module, covers) for module in metadata)


def hide_shadowed(window: Window, patterns: Patterns) -> None:
    """Hide modules until the end of a window: others of the same names come first on the path."""
    window.shadowed += patterns
    window.absent.hide(patterns.match)
    window.mistrust(patterns.match)


def fake(window: Window, fakes: Mapping[str, object], site: Importer | None = None) -> dict[str, object]:
    """Place fakes, with the packages above them.

    Args:
        window: until its end.
        fakes: what they are made of, by name.
        site: who asked for it.

    Returns:
        The objects that stand in ``sys.modules`` now, by name.

    Raises:
        NotReplaceableError: what runs now cannot do without one of the modules.
        FakeAttributeError: an autospec was given an attribute that the real module lacks.
        ImportError: the real module that an autospec needs cannot be imported.
    """
    if not fakes:
        return {}
    covered = Patterns(tuple(fakes))
    refuse_irreplaceable(covered, "fakes")
    if window.fakes is None:
        real = RealModules(window)
        window.fakes = PlacedFakes(
            window.placed, window.origins, real.get, real.ask, window.log.picture_packages
        )
    if not window.placed:
        window.undo.append(window.fakes.begin())
    window.fakes.prepare(fakes)
    window.fakes.put_in_place(fakes, window.absent.hide(covered.match), site or caller())
    window.mistrust(covered.match)
    return {name: window.placed[name] for name in fakes}


def _refuse_kept(window: Window, patterns: Patterns) -> None:
    for keep in window.kept:
        text = contradiction(patterns, keep)
        if text:
            raise ParameterError(text)


def _refuse_extensions(window: Window, patterns: Patterns) -> tuple[list[str], list[str]]:
    """Return the loaded and parked modules that patterns cover, if none is an extension module.

    Returns:
        Those that are not kept, and those that are.
    """
    found: dict[str, list[str]] = {}
    loaded = sys.modules.copy()
    names, kept = list[str](), list[str]()
    for name, pattern in dict(patterns.covered((*FINDER.lot, *loaded))).items():
        if window.is_kept(name):
            kept.append(name)
            continue
        names.append(name)
        module = loaded[name] if name in loaded else FINDER.lot.module(name)
        if window.origins.verdict(name, module).is_extension:
            found.setdefault(pattern, []).append(name)
    for pattern, names in found.items():
        raise ExtensionModuleError(
            f"fresh={pattern!r} covers extension modules ({listing(sorted(names))}), and executing those "
            f"twice in one process fails or crashes. Use unloaded={pattern!r} to have them absent until "
            "they are imported again (the same objects come back), or name the pure Python modules that "
            "you need fresh."
        )
    return names, kept


def _load_aside(window: Window, name: str) -> ModuleType:
    """Return a module of the standard library, and leave it as loaded as it was."""
    there = sys.modules.get(name) or FINDER.lot.module(name)
    if type(there) is ModuleType:
        return there
    with for_itself():
        return RealModules(window).load_beside(name)


def _take_off_parent(window: Window, name: str) -> None:
    """Take a module off the package above it that has no entry any more."""
    parent, child = parent_of(name)
    space = namespace(sys.modules.get(parent)) if parent else None
    if space is None or (namespace(space.get(child)) or {}).get("__name__") != name:
        return
    stale = space[child]
    bind(space, child, ABSENT)
    window.undo.append(lambda: bind(space, child, stale))


def _covering(patterns: Patterns) -> Callable[[object], bool]:
    """Return a test for the modules that patterns mean.

    A glob means neither the interpreter's own modules nor the code that is running now: the test runner
    imports some of its modules when it needs them.
    """
    stay = packages_on_the_stack() if patterns.has_globs else frozenset()

    def covers(name: object) -> bool:
        pattern = patterns.match(name)
        if pattern is None or not issubclass(type(name), str):
            return False
        name = str.__str__(name)
        needed = _START_UP.match(name) is not None or top_level(name) in stay
        return not (needed and patterns.is_glob(pattern))

    return covers
