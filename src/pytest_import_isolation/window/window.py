"""A window: from the moment the import state is captured to the moment it is put back."""

from __future__ import annotations

import importlib
import sys
import threading
from collections import ChainMap
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType, ModuleType
from typing import Any, Final, NamedTuple

from pytest_import_isolation.errors import ExtensionModuleError, WindowOrderError
from pytest_import_isolation.fakes.fake_modules import loader_of
from pytest_import_isolation.fakes.hidden_listings import hide_distributions, hide_from_listings
from pytest_import_isolation.fakes.irreplaceable import refuse_irreplaceable
from pytest_import_isolation.fakes.missing import INTERCEPTOR
from pytest_import_isolation.fakes.placed_fakes import PlacedFakes
from pytest_import_isolation.fakes.refusals import unmatched
from pytest_import_isolation.machinery.code_cache import CODE
from pytest_import_isolation.machinery.finders import (
    ask_finders,
    import_function,
    is_own_finder,
    without_own_finder,
)
from pytest_import_isolation.machinery.frames import (
    Importer,
    caller,
    calling_frame,
    importer_at,
    packages_on_the_stack,
)
from pytest_import_isolation.machinery.lazy_imports import LAZY_TYPE, lazies_in, read_lazy
from pytest_import_isolation.machinery.locks import quiet_import_lock
from pytest_import_isolation.machinery.modules import (
    ABSENT,
    ancestors,
    is_initializing,
    namespace,
    parent_of,
    top_level,
)
from pytest_import_isolation.machinery.threads import namespaces_on_other_threads
from pytest_import_isolation.parking.belongings import Belonging, owner_of
from pytest_import_isolation.parking.evicted import evicted_modules
from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.parking.lot import ParkedModule, lie_apart
from pytest_import_isolation.parking.returned_modules import ReturnedModules
from pytest_import_isolation.patterns import Patterns
from pytest_import_isolation.state.changes import NO_CHANGES, Changes
from pytest_import_isolation.state.differences import Difference, Overlay, beyond, items_of, stands_in_front
from pytest_import_isolation.state.origins import Origin, Origins
from pytest_import_isolation.state.references import NewModules
from pytest_import_isolation.state.restoring import restore
from pytest_import_isolation.state.snapshot import ImportState
from pytest_import_isolation.state.submodule_attributes import bind, bound_value, depth, parent_namespace
from pytest_import_isolation.state.writing import prepend_path, put_first, put_in, take_out
from pytest_import_isolation.watching.finder_log import FinderLog
from pytest_import_isolation.watching.import_log import ImportLog
from pytest_import_isolation.window.outcomes import Circumstances, Decision, Outcome, decide
from pytest_import_isolation.window.parameters import Parameters
from pytest_import_isolation.window.removal import Removal, park
from pytest_import_isolation.window.summary import Summary
from pytest_import_isolation.wording import listing

# The open windows, the innermost last. Like sys.modules they belong to the process: an inner pytest run
# must close its windows before the outer run can.
_open_windows: Final[list[Window]] = []

_OWN_PACKAGE: Final = top_level(__name__)
# Held while the real modules are in the place of fakes: a thing of the process, as sys.modules is.
_SEARCH: Final = threading.RLock()
_PATIENCE: Final = 1.0  # seconds
_NOTHING: Final = Parameters.parse("nothing", {})
_NO_PATTERNS: Final = Patterns()

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


def innermost_window() -> Window | None:
    """Return the window that was opened last and is still open."""
    return _open_windows[-1] if _open_windows else None


class Remark(NamedTuple):
    """A warning for the user."""

    message: str
    site: Importer | None


class Window:
    """The running half of an IsolatedImportContext: one for each time that it is entered.

    Args:
        parameters: what is different inside.
        origins: gives the verdicts on modules.
        must_stay: gives the reason to keep a module at the end, or None.
        title: what the messages call it.
        log: where the imports are noted; a new one by default.
        is_alone: whether what it loads is for itself alone: then a surviving reference is no reason to
            keep a first-party or tainted module.
        is_long: whether it is there for several tests: then a fixture of a wider scope takes over only what
            it loads or asks for itself.
        site: the line that asked for it; where it is made by default.
        after: see :meth:`.ImportState.capture`.
    """

    def __init__(
        self,
        parameters: Parameters,
        origins: Origins,
        must_stay: Callable[[str, object, Importer | None], str | None] = lambda name, module, importer: None,
        title: str = "window",
        log: ImportLog | None = None,
        is_alone: bool = False,
        is_long: bool = False,
        site: Importer | None = None,
        after: ImportState | None = None,
    ) -> None:
        self.parameters = parameters
        self._after = after
        self.log = ImportLog(with_images=True) if log is None else log
        frame = calling_frame()
        #: Where it was opened.
        self.opened_by = site or importer_at(frame)
        # A block at the top level of a module binds what it imports in that module: what the block
        # itself did there does not count as something that survives it.
        at_top_level = frame is not None and frame.f_code.co_name == "<module>"
        self._disregarded = {id(frame.f_globals)} if frame is not None and at_top_level else set()
        self._is_alone = is_alone
        #: Whether nothing in it differs from elsewhere: what a wider fixture asked for may be given to all.
        self.is_for_all = False
        self._is_long = is_long
        self._origins = origins
        self._must_stay = must_stay
        self._title = title
        self._superseding: list[Callable[[Any], object]] = []
        self._put_aside: dict[str, ParkedModule] = {}
        self._undo: list[Callable[[], object]] = []
        self._taken_by_us: set[str] = set()
        self._unloaded: set[str] = set()
        self._own_path: list[str] = []
        self._own_items: dict[str, tuple[object, ...]] = {}
        self._finder_log: FinderLog | None = None
        #: What a user should hear about it, and at which line.
        self.remarks: list[Remark] = []
        #: The fakes that were asked for.
        self.placed_fakes = PlacedFakes(
            origins, self._known, self._load_beside, self._among_real_ones, self.log.picture_packages
        )
        self._shadowed = _NO_PATTERNS
        #: Modules that asked for something faked or blocked while they were executed, and what that was.
        self.tainted: dict[str, str] = {}
        # Names of first-party modules that waited for their first use (PEP 810), with what stood for them.
        self._waiting: Mapping[Any, dict[str, object]] = {}
        #: First-party packages of the top level that the closing of the window forgot.
        self.forgotten_packages: dict[str, object] = {}

    def __str__(self) -> str:
        if self.opened_by is None:
            return f"the {self._title}"
        return f"the {self._title} opened at {self.opened_by.file}:{self.opened_by.line}"

    # Opening

    def open(self) -> None:
        """Capture the import state and apply the parameters.

        If one of them cannot be applied, everything is put back and the error passes on.
        """
        FINDER.listen(self.log)
        # A log may be older than the window.
        self._asked_before = len(self.log.importers)
        self._state, self._after = ImportState.capture(self._after), None
        self._returned = ReturnedModules(
            FINDER.lot, self._first_party_survivors, lambda: self._state.derive("images", lambda modules: {})
        )
        if LAZY_TYPE is not None:
            # A name that has been resolved since the last look is resolved to the same again.
            self._waiting = self._state.derive((self._origins, "waiting"), self._find_waiting)
        self.log.once_more = self._bring_evicted_back
        self.log.beforehand = self._remember_references  # needs the state, and other threads import already
        self._join_the_others()
        try:
            if self.parameters:
                self._apply(self.parameters)
        except BaseException:
            self.close()
            raise

    def reopen(self, site: Importer | None) -> bool:
        """Open the window again that was closed a moment ago, if nothing ever happened in it, or since.

        Args:
            site: the line that asks for it.

        Returns:
            Whether it is open.
        """
        if not self._is_pristine:
            return False
        FINDER.listen(self.log)
        if not self._state.holds_still():
            FINDER.unlisten(self.log)
            return False
        self.opened_by = site
        self._join_the_others()
        return True

    @property
    def _is_pristine(self) -> bool:
        """Whether nothing was asked for and nothing was imported."""
        return self.is_plain and not (
            self.parameters
            or self.log.importers
            or self.log.images
            or self.log.reloads
            or self.tainted
            or self.remarks
            or self._shadowed
            or self._own_path
            or self._own_items
            or self.forgotten_packages
            or self._returned.is_out_of_date
        )

    def _apply(self, parameters: Parameters) -> None:
        self.add_path(parameters.path)
        self.remark(unmatched(parameters.unloaded, "unloaded"), self.opened_by)
        self.remark(unmatched(parameters.fresh, "fresh"), self.opened_by)
        self.unload(parameters.unloaded)
        self.block(parameters.missing, distributions=parameters.distributions)
        self.refresh(parameters.fresh)
        self.fake(parameters.fakes, self.opened_by)
        self.put_first("path_hooks", parameters.path_hooks)
        self.put_first("meta_path", parameters.finders)

    @property
    def is_plain(self) -> bool:
        """Whether nothing was asked for but to undo what happens: no fakes, no fresh or missing modules."""
        return not (self._superseding or self._taken_by_us or self.placed_fakes.placed)

    @property
    def around(self) -> ImportState:
        """The import state around it, which is in place again when it is closed."""
        return self._state

    def began_with(self, name: str) -> bool:
        """Tell whether a module was there when the window was opened, or has been admitted since."""
        return name in self._state.modules

    @property
    def is_innermost(self) -> bool:
        """Whether no other window was opened in this one and is still open."""
        return bool(_open_windows) and _open_windows[-1] is self

    def add_path(self, entries: tuple[str, ...]) -> None:
        """Put entries before ``sys.path``."""
        if entries:
            prepend_path(entries)
            self._own_path.extend(entries)

    def unload(self, patterns: Patterns) -> None:
        """Let modules look as if nobody had imported them yet: the next import gives the same object."""
        if not patterns:
            return
        covers = _covering(patterns)
        taken = take_out([n for n in list(sys.modules) if covers(n) and not _START_UP.match(n)], park)
        self._taken_by_us.update(taken)
        self._unloaded.update(taken)

    def refresh(self, patterns: Patterns) -> None:
        """Let modules be executed anew on their next import.

        Raises:
            ExtensionModuleError: one of them is an extension module, or belongs to the same pattern as one.
        """
        if not patterns:
            return
        refuse_irreplaceable(patterns, "fresh")
        self._set_aside(_covering(patterns), self._refuse_extensions(patterns))

    def _refuse_extensions(self, patterns: Patterns) -> list[str]:
        """Return the loaded and parked modules that patterns cover, if none is an extension module."""
        found: dict[str, list[str]] = {}
        loaded = sys.modules.copy()
        covered = dict(patterns.covered((*FINDER.lot, *loaded)))
        for name, pattern in covered.items():
            module = loaded[name] if name in loaded else FINDER.lot.module(name)
            if self._origins.verdict(name, module).is_extension:
                found.setdefault(pattern, []).append(name)
        for pattern, names in found.items():
            raise ExtensionModuleError(
                f"fresh={pattern!r} covers extension modules ({listing(sorted(names))}), and executing those "
                f"twice in one process fails or crashes. Use unloaded={pattern!r} to have them absent until "
                "they are imported again (the same objects come back), or name the pure Python modules that "
                "you need fresh."
            )
        return list(covered)

    def block(self, patterns: Patterns, *, distributions: bool = False) -> None:
        """Let modules look as if they were not installed.

        Args:
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
        pkgutil = self._load_aside("pkgutil")
        metadata = [self._load_aside("importlib.metadata")] if distributions else []
        if distributions and "importlib_metadata" in sys.modules:
            metadata.append(sys.modules["importlib_metadata"])
        self._set_aside(covers)
        for name in patterns:
            self._take_off_parent(name)
        self._undo.append(INTERCEPTOR.block(covers, self.tainted.setdefault))
        self._undo.append(hide_from_listings(pkgutil, covers))
        self._undo += (hide_distributions(module, covers) for module in metadata)

    def _load_aside(self, name: str) -> ModuleType:
        """Return a module of the standard library, and leave it as loaded as it was."""
        there = sys.modules.get(name) or FINDER.lot.module(name)
        return there if type(there) is ModuleType else self._load_beside(name)

    def put_first(self, list_name: str, items: tuple[object, ...]) -> None:
        """Put finders (``"meta_path"``) or path hooks (``"path_hooks"``) before all others."""
        if not items:
            return
        if list_name == "meta_path":
            FINDER.ahead[:0] = items
            self._undo.append(lambda: _remove_all(FINDER.ahead, items))
        self._own_items[list_name] = items
        put_first(list_name, items)
        if self._finder_log is None:
            self._finder_log = FinderLog()
            self._undo.append(self._finder_log.begin())

    def found_by(self, name: str) -> object:
        """Return the finder that answered the last import of a module, or that would answer one now."""
        found = self._finder_log.found.get(name, ABSENT) if self._finder_log else ABSENT
        if found is ABSENT or is_own_finder(found):
            # What came back from where it was parked was found by nobody under test.
            path = (namespace(sys.modules.get(parent_of(name)[0])) or {}).get("__path__")
            found, _ = ask_finders(
                name, path, lambda f: is_own_finder(f) or (found is not ABSENT and f in FINDER.ahead)
            )
        return found

    def remark(self, messages: Iterable[str], site: Importer | None) -> None:
        """Note what a user should hear about, and the line that it is about."""
        self.remarks += (Remark(message, site) for message in messages)

    def _take_off_parent(self, name: str) -> None:
        """Take a module off the package above it that has no entry any more."""
        parent, child = parent_of(name)
        space = namespace(sys.modules.get(parent)) if parent else None
        if space is None or (namespace(space.get(child)) or {}).get("__name__") != name:
            return
        stale = space[child]
        bind(space, child, ABSENT)
        self._undo.append(lambda: bind(space, child, stale))

    def fake(self, fakes: Mapping[str, object], site: Importer | None = None) -> dict[str, object]:
        """Plant fakes, with the packages above them.

        Args:
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
        if not self.placed_fakes.placed:
            self._undo.append(self.placed_fakes.begin())
        self.placed_fakes.prepare(fakes)
        self.placed_fakes.put_in_place(fakes, self._set_aside(covered.match), site or caller())
        self.mistrust(covered.match)
        return {name: self.placed_fakes.placed[name] for name in fakes}

    def _known(self, name: str) -> Iterator[object]:
        """Yield what stood under a name before it was faked, the innermost window first."""
        for window in reversed(_open_windows):
            parked = window._put_aside.get(name)
            if parked is not None:
                yield parked.module
            yield window._state.modules.get(name)
        yield sys.modules.get(name)
        yield FINDER.lot.module(name)

    def _load_beside(self, name: str) -> ModuleType:
        """Execute a real module beside its fake; nothing of it is loaded afterwards."""
        with self._among_real_ones():
            return importlib.import_module(name)

    @contextmanager
    def _among_real_ones(self) -> Iterator[None]:
        """Let the real modules be there in place of the fakes; what is loaded meanwhile does not stay.

        A real module that imports something when it is asked for a name gets that from real modules too,
        and a real package is not executed a second time for the sake of a submodule.
        """
        with _SEARCH:
            loaded = [name for name in list(sys.modules) if loader_of(sys.modules.get(name)) is not None]
            covers = Patterns(tuple(loaded)).match
            # Other threads that import a faked module are to get the fake: they wait before it is taken away.
            unwatch = INTERCEPTOR.observe(covers, _wait_for_search)
            fakers, FINDER.fakers = FINDER.fakers, []
            faked: dict[str, ParkedModule] = {}
            take_out(
                loaded, lambda name, module: faked.update({name: ParkedModule(module, bound_value(name))})
            )
            real = {
                name: module for name, module in self._all_real(covers).items() if name not in sys.modules
            }
            bound = [name for name in sorted(real, key=depth) if _put_in_place(name, real[name])]
            lazy = [space for space in map(namespace, real.values()) if space and "__getattr__" in space]
            known = [set(space) for space in lazy]
            inner = Window(_NOTHING, self._origins, title="search for a real module")
            inner.open()
            try:
                yield
            finally:
                self.placed_fakes.remember(
                    {n: m for n, m in sys.modules.copy().items() if type(n) is str and covers(n)}
                )
                inner.close()
                # Its __getattr__ computes them again, from modules that are there then.
                for space, names in zip(lazy, known, strict=True):
                    for key in set(space).difference(names):
                        del space[key]
                for name in bound:
                    bind(parent_namespace(name), parent_of(name)[1], ABSENT)
                take_out(real)
                for name in sorted(faked, key=depth):
                    put_in(name, faked[name].module, faked[name].binding)
                unwatch()
                FINDER.fakers = fakers
                # What was parked must not come back beside the fake.
                self._put_aside.update(FINDER.lot.withdraw(self._is_superseded))

    def _all_real(self, covers: Callable[[str], object]) -> dict[str, object]:
        """Return the real modules that stood, or were loaded, under names that are faked now."""
        found: dict[Any, object] = {}
        for window in reversed(_open_windows):
            aside = {name: parked.module for name, parked in window._put_aside.items()}
            for source in (window.placed_fakes.real, aside, window._state.modules):
                for name, module in source.items():
                    # What an inner window found may be the fake of an outer one.
                    if type(name) is str and covers(name) and loader_of(module) is None:
                        found.setdefault(name, module)
        return found

    def shadow(self, patterns: Patterns) -> None:
        """Hide modules until the end of the window: others of the same names are first on the path."""
        self._shadowed += patterns
        self._set_aside(patterns.match)
        self.mistrust(patterns.match)

    def mistrust(self, covers: Callable[[str], object]) -> None:
        """Take note, as long as the window is open, of the modules that ask for certain names: tainted."""
        self._undo.append(INTERCEPTOR.watch(covers, self.tainted.setdefault))

    def _is_superseded(self, name: object) -> bool:
        """Tell whether the window hides the module that usually has this name."""
        return any(covers(name) for covers in self._superseding)

    def _set_aside(
        self, covers: Callable[[str], object], among: Iterable[str] | None = None
    ) -> dict[str, object]:
        """Hide loaded and parked modules until the end of the window.

        Args:
            covers: tells which.
            among: all that can be meant, where that is known.

        Returns:
            Those that were loaded.
        """
        self._superseding.append(covers)
        aside: dict[str, ParkedModule] = {}
        names = [name for name in (list(sys.modules) if among is None else among) if covers(name)]
        self._taken_by_us.update(
            take_out(names, lambda n, module: aside.update({n: ParkedModule(module, bound_value(n))}))
        )
        for name, parked in aside.items():
            # A foreign module that this window itself had loaded must not be executed again after it.
            if self._origins.verdict(name, parked.module).origin is Origin.FOREIGN:
                self._put_aside.setdefault(name, parked)
        self._put_aside.update(FINDER.lot.withdraw(covers))
        return {name: parked.module for name, parked in aside.items()}

    # Closing

    def is_first_party(self, name: object, module: object) -> bool:
        """Tell whether a module is first-party in the eyes of this window."""
        return self._origins.is_first_party(name, module)

    def differences(self) -> Difference:
        """Return what the code inside changed so far; what the parameters ask for does not count."""
        return self._without_own(self._state.differences(is_own_finder))

    def _without_own(self, difference: Difference) -> Difference:
        own = self._taken_by_us.union(self.placed_fakes.placed)
        path = difference.lists.get("path")
        lists = dict(difference.lists)
        if path is not None and self._own_path:
            lists["path"] = path._replace(added=tuple(beyond(path.added, self._own_path)))
        for list_name, items in self._own_items.items():
            if list_name in lists:
                change = lists[list_name]
                lists[list_name] = change._replace(added=tuple(beyond(change.added, items)))
        return difference._replace(
            added={n: m for n, m in difference.added.items() if n not in self.placed_fakes.placed},
            removed={n: m for n, m in difference.removed.items() if n not in own},
            replaced={n: pair for n, pair in difference.replaced.items() if n not in own},
            bindings={n: binding for n, binding in difference.bindings.items() if n not in own},
            lists={name: change for name, change in lists.items() if change},
        )

    def all_differences(self) -> Difference:
        """Return what changed so far, whoever asked for it."""
        return self._state.differences(is_own_finder)

    def overlay(self, difference: Difference) -> Overlay:
        """Return changes in the form in which they can be laid over the import state again.

        Args:
            difference: those of :meth:`all_differences` that are meant.
        """
        entries = {**difference.added, **{name: now for name, (_, now) in difference.replaced.items()}}
        bindings = {name: binding.after for name, binding in difference.bindings.items()}
        bound = {name: bound_value(name) for name in entries if type(name) is str}
        bindings.update({name: value for name, value in bound.items() if value is not ABSENT})
        return Overlay(
            entries,
            tuple(difference.removed),
            bindings,
            {
                name: (without_own_finder(self._state.contents(name)), without_own_finder(items_of(name)))
                for name in difference.lists
            },
            import_function() if difference.import_function else None,
        )

    def admit(self, entries: Mapping[Any, object], difference: Difference | None = None) -> None:
        """Let modules belong to the surrounding state.

        Args:
            entries: the modules.
            difference: where to look for what their packages put into the lists of ``sys``.
        """
        self._state.admit(entries)
        if difference is not None:
            self._admit_items(difference, dict.fromkeys(entries, Outcome.KEEP))

    def admit_item(self, list_name: str, item: object) -> None:
        """Let an item of a list of ``sys`` belong to the surrounding state."""
        self._state.admit_item(list_name, item, in_front=self._is_in_front(list_name, item))

    def disregard(self, module: object) -> None:
        """Let references of a surviving module be no reason to keep what it refers to."""
        self._disregarded.add(id(namespace(module)))

    def adopt(self, loaded: Collection[Any], asked: Collection[str]) -> dict[str, str]:
        """Let what a fixture of a wider scope loaded belong to the surrounding state: it stays at the end.

        Fakes, fresh copies and tainted modules are not adopted.

        Args:
            loaded: what was not there before.
            asked: what the fixture imported that was there.

        Returns:
            The modules that were not adopted, with the reason.
        """
        difference = self._state.differences(is_own_finder)
        adopted, refused = self._sort_for_adoption(difference.added)
        if self._is_long:
            if self._is_alone and not self.is_for_all:
                reason = f"it belongs to {self._title}, which changed what it imports"
                refused.update({name: reason for name in adopted if name in asked and name not in loaded})
                wanted = set(loaded)
            else:
                wanted = {*loaded, *_closure(difference.added, asked)}
            adopted = {name: module for name, module in adopted.items() if name in wanted}
        self.admit(adopted, difference)
        return refused

    def loaded(self) -> dict[Any, object]:
        """Return the modules that were loaded so far."""
        return self._state.added()

    def refused(self, loaded: Mapping[Any, object]) -> dict[str, str]:
        """Return those of the loaded modules that :meth:`adopt` would refuse now, with the reason."""
        return self._sort_for_adoption(loaded)[1]

    def _sort_for_adoption(self, loaded: Mapping[Any, object]) -> tuple[dict[Any, object], dict[str, str]]:
        refused: dict[str, str] = {}
        adopted: dict[Any, object] = {}
        tainted = _tainted_in(with_inner(self))  # what is tainted by a fake outside is at home there
        for name, module in loaded.items():
            is_placed = self.placed_fakes.placed.get(name, ABSENT) is module
            if is_placed or self._origins.verdict(name, module).origin is Origin.FAKE:
                refused[name] = "it is a fake"
            elif name in tainted:
                refused[name] = f"it was first imported while {tainted[name]} was faked or blocked"
            elif self._is_superseded(name):
                refused[name] = "it is a fresh copy"
            else:
                adopted[name] = module
        return adopted, refused

    def follow(self, change: Difference) -> set[Any]:
        """Let a change belong to the surrounding state, except for what :meth:`adopt` must not take over.

        Returns:
            The modules that are part of it.
        """
        tainted = _tainted_in(with_inner(self))

        def belongs(name: Any, module: object) -> bool:
            return (
                self.placed_fakes.placed.get(name, ABSENT) is not module
                and name not in tainted
                and not self._is_superseded(name)
            )

        change = change._replace(
            added={n: m for n, m in change.added.items() if belongs(n, m)},
            replaced={n: pair for n, pair in change.replaced.items() if belongs(n, pair[1])},
            removed={n: m for n, m in change.removed.items() if belongs(n, m)},
            bindings={n: binding for n, binding in change.bindings.items() if belongs(n, binding.after)},
        )
        self._state.follow(change)
        return {*change.added, *change.replaced}

    def close(self) -> Changes:
        """Put the import state back.

        Returns:
            What was undone and what was kept.

        Raises:
            WindowOrderError: another window was opened in this one and is still open.
        """
        if not self.is_innermost:
            if self not in _open_windows:
                raise WindowOrderError(f"{self} is closed already; every start() takes one stop()")
            raise WindowOrderError(
                f"{self} cannot be left before {_open_windows[-1]}, which is inside it: "
                "leave windows in the reverse order of entering them"
            )
        self._remark_unmet_fakes()
        self.stop_watching()
        changes = NO_CHANGES
        try:
            difference = self._state.differences(is_own_finder)
            if difference.added and threading.active_count() > 1:
                # What another thread is importing gets a second to be finished; then it stays.
                with quiet_import_lock(lambda: difference.added):
                    pass
                difference = self._state.differences(is_own_finder)
            self._park_evicted()  # they leave no difference
            if difference or self._superseding:
                changes, stuck = self._put_back(difference)
                # Now the last references to what left are dropped, and destructors run, which may import.
                del difference
                self.placed_fakes.placed.clear()
                if not stuck and self._state.differences(is_own_finder):
                    restore(
                        self._state, Removal(self._origins, self._state.modules, self._is_superseded).leave
                    )
        finally:
            # Not before they are back: a thread that asks in between would execute them again. So would one
            # that is looking for a module now, which is not put back under its hands.
            if self._unloaded:
                FINDER.lot.withdraw(lambda name: name in self._unloaded and name in sys.modules)
            self._leave_the_others()
        return changes

    def stop_watching(self) -> None:
        """Take off the import system what blocks modules and watches who asks for them."""
        while self._undo:
            self._undo.pop()()

    def _remark_unmet_fakes(self) -> None:
        if self.placed_fakes.placed:
            for unmet in self.placed_fakes.unmet(self.tainted):
                self.remark([str(unmet)], unmet.site)

    def abandon(self) -> None:
        """End the window and leave everything as it is now, part of the surrounding state.

        Foreign modules that somebody threw out of ``sys.modules`` behind our back are parked all the same.
        """
        self.stop_watching()
        self._park_evicted()
        self._leave_the_others()

    def _join_the_others(self) -> None:
        _open_windows.append(self)
        CODE.begin(self._recurs)

    def _leave_the_others(self) -> None:
        _open_windows.remove(self)
        CODE.end(self._recurs)
        FINDER.unlisten(self.log)

    def _recurs(self, name: str, file: str) -> bool:
        """Tell whether a module will be executed again: in a later window, or by the next fresh import."""
        return self._is_superseded(name) or self._origins.of_file(name, file) is Origin.FIRST_PARTY

    def _put_back(self, difference: Difference) -> tuple[Changes, dict[Any, str]]:
        new_modules = {**difference.added, **{name: now for name, (_, now) in difference.replaced.items()}}
        removal = Removal(self._origins, self._state.modules, self._is_superseded)
        leaving_again = self._leaving_again(new_modules)
        try:
            others = (
                {n: m for n, m in new_modules.items() if n not in leaving_again}
                if leaving_again
                else new_modules
            )
            decisions = self._decide(others, beside=leaving_again)
            if leaving_again and any(decision.outcome is Outcome.KEEP for decision in decisions.values()):
                # What is kept may need what came back.
                leaving_again, decisions = {}, self._decide(new_modules)
            removal.decisions.update(decisions)
            kept = {
                n: new_modules[n]
                for n, decision in removal.decisions.items()
                if decision.outcome is Outcome.KEEP
            }
            self._state.admit(kept)
            outcomes = {name: decision.outcome for name, decision in removal.decisions.items()}
            self._admit_items(difference, {**dict.fromkeys(leaving_again, Outcome.PARK), **outcomes})
            if leaving_again:
                removal.leave_again(leaving_again)
        finally:
            restored = restore(self._state, removal.leave)
            self._restore_lot()
        self.forgotten_packages.update(removal.forgotten_packages())
        attributes = removal.clean_packages(self.log.images)
        attributes += self._let_wait_again(removal.left)
        removal.remove_young_bytecode()
        account = Summary(
            seen=self._without_own(difference),
            removal=removal,
            placed=self.placed_fakes.placed,
            stuck=restored.stuck,
            attributes=tuple(attributes),
            contents=self._state.contents,
        )
        return account.changes(), restored.stuck

    def _leaving_again(self, new_modules: Mapping[Any, object]) -> Mapping[str, object]:
        """Return what came back from the parking lot and can leave again without being judged one by one."""
        if not self._returned.names or self._superseding or threading.active_count() > 1:
            return {}
        leaving_again = self._returned.among(new_modules)
        tainted = _tainted_in(_open_windows)
        if (
            not leaving_again
            or not tainted.keys().isdisjoint(leaving_again)
            or not self.placed_fakes.placed.keys().isdisjoint(leaving_again)
            or any(self.reason_to_stay(name, module) for name, module in leaving_again.items())
            or any(
                is_initializing(leaving_again[name]) for name in self.log.importers if name in leaving_again
            )
            or self._returned.is_referred_to(leaving_again, self._disregarded)
        ):
            return {}
        return leaving_again

    def _decide(
        self, new_modules: Mapping[Any, object], beside: Mapping[str, object] = MappingProxyType({})
    ) -> dict[Any, Decision]:
        """Decide what becomes of modules.

        Args:
            new_modules: the modules.
            beside: others that were loaded, and are parked again.
        """
        if not new_modules:
            return {}
        # A finder under test may have executed a module that is parked. What is coming back at this moment,
        # in another thread, is the parked object itself.
        second_copies = {
            name
            for name, module in new_modules.items()
            if name in FINDER.lot
            and (parked := FINDER.lot.module(name)) is not module
            and not lie_apart(module, parked)
        }
        return decide(
            new_modules,
            Circumstances(
                origins=self._origins,
                survivors=ChainMap(dict(beside), self._state.modules) if beside else self._state.modules,
                referrers={
                    name: module
                    for name, module in self._first_party_survivors().items()
                    if id(namespace(module)) not in self._disregarded
                },
                must_stay=self.reason_to_stay,
                placed=self.placed_fakes.placed,
                tainted=_tainted_in(_open_windows),
                running=namespaces_on_other_threads(),
                lazy_names=self._lazy_names,
                is_superseded=lambda name: (
                    name in self._state.modules or name in self._put_aside or name in second_copies
                ),
                returned=self._returned.among(new_modules).keys(),
                before_return=self._returned.before,
                importer_of=self._importer_of,
                is_alone=self._is_alone,
            ),
        )

    def reason_to_stay(self, name: str, module: object) -> str | None:
        """Return why a module stays loaded at the end of this window, or None."""
        if top_level(name) == _OWN_PACKAGE:
            return "it is a part of the isolation itself"
        pattern = self.parameters.keep.match(name)
        if pattern:
            return f"keep={pattern!r}"
        return self._must_stay(name, module, self.log.importers.get(name))

    def _importer_of(self, name: str) -> str | None:
        importer = self.log.importers.get(name)
        return None if importer is None else importer.module

    def _first_party_survivors(self) -> dict[Any, object]:
        return self._state.derive((self._origins, "first-party"), self._origins.first_party)

    def _remember_references(self, name: str) -> None:
        if name in FINDER.lot:
            self._returned.begin(name)

    def _lazy_names(self, package: str) -> Iterable[str]:
        """Return the names of a survivor that cache an import.

        They appeared in a package with a module-level ``__getattr__``, or stood for a lazy import.
        """
        space, before = self.log.images.get(package, ({}, {}))
        names = [key for key in list(space) if key not in before] if "__getattr__" in space else []
        return [*names, *self._waiting.get(package, ())]

    def _find_waiting(self, modules: Mapping[Any, object]) -> dict[Any, dict[str, object]]:
        found = {
            name: lazies_in(namespace(module) or {}) for name, module in self._first_party_survivors().items()
        }
        return {name: lazies for name, lazies in found.items() if lazies}

    def _let_wait_again(self, gone: Iterable[Any]) -> Iterator[str]:
        """Let lazy names that were resolved wait again, if what they stand for has left.

        Yields:
            Each of them.
        """
        left = [name for name in gone if type(name) is str]
        for survivor, lazies in self._waiting.items():
            space = namespace(self._state.modules.get(survivor)) or {}
            for key, value in lazies.items():
                lazy = read_lazy(value)
                if space.get(key, value) is not value and lazy is not None and any(map(lazy.needs, left)):
                    bind(space, key, value)
                    yield f"{survivor}.{key}"

    def _admit_items(self, difference: Difference, outcomes: Mapping[Any, Outcome]) -> None:
        """Sort new finders, hooks and path entries: they stay, or leave and return, with their package."""
        packages: dict[str, Outcome] = {}
        for name, outcome in outcomes.items():
            if type(name) is str:
                package = top_level(name)
                packages[package] = max(outcome, packages.get(package, Outcome.FORGET))
        known = {package: FINDER.lot.module(package) or sys.modules.get(package) for package in packages}
        for list_name, change in difference.lists.items():
            for item in change.added:
                owner = owner_of(list_name, item, known)
                if owner is None:
                    continue
                if packages[owner] is Outcome.KEEP:
                    self._state.admit_item(list_name, item, in_front=self._is_in_front(list_name, item))
                elif packages[owner] is Outcome.PARK:
                    in_front = self._is_in_front(list_name, item)
                    FINDER.lot.entrust(owner, Belonging(list_name, item, in_front))

    def _is_in_front(self, list_name: str, item: object) -> bool:
        now, before = (
            without_own_finder(items)  # what comes back stands behind the finder
            for items in (getattr(sys, list_name), self._state.contents(list_name))
        )
        return stands_in_front(item, now, before)

    def _bring_evicted_back(self, name: str) -> None:
        """Park a package with extension modules that was thrown out, before it is executed a second time.

        A pure Python package may be executed again: somebody removed it for that. What is shadowed must
        stay away.
        """
        # What is parked is there; what was first-party is executed again.
        if name in FINDER.lot or self._origins.was_first_party(name):
            return
        if any(window._shadowed.match(name) for window in _open_windows):
            return
        package = top_level(name)
        asked = [other for other in self._asked_for() if top_level(other) == package]
        evicted = evicted_modules(asked, self.log, self._origins)
        if any(self._origins.verdict(other, module).is_extension for other, module in evicted.items()):
            FINDER.lot.park({other: ParkedModule(module, ABSENT) for other, module in evicted.items()})

    def _asked_for(self) -> list[str]:
        """Return the modules that were asked for in this window."""
        return list(self.log.importers)[self._asked_before :]

    def _park_evicted(self) -> None:
        """Park the foreign modules that were loaded here and thrown out behind our back.

        Without this the next import would execute them a second time.
        """
        came: dict[str, object] = dict(evicted_modules(self._asked_for(), self.log, self._origins))
        for name in self._returned.names.copy():  # other threads add to it
            if name not in sys.modules and name not in FINDER.lot and name not in self._state.modules:
                came[name] = FINDER.lot.returned(name)
        for name, module in came.items():
            # A first-party one may have come back after unloaded=.
            if self._origins.verdict(name, module).origin is Origin.FOREIGN:
                FINDER.lot.park({name: ParkedModule(module, ABSENT)})

    def _restore_lot(self) -> None:
        if not self._superseding:
            return
        FINDER.lot.drop(
            lambda name: (
                (name in self._put_aside or name in self._state.modules) and self._is_superseded(name)
            )
        )
        FINDER.lot.park({n: parked for n, parked in self._put_aside.items() if n not in self._state.modules})


@contextmanager
def adopting(window: Window) -> Iterator[dict[str, str]]:
    """Adopt, after the block, what is loaded in a window and in the windows inside it.

    What else the block changes, such as ``sys.path``, belongs to the surrounding state too.

    Yields:
        A dictionary that is filled at the end: the modules that the block loaded or asked for and that
        were not adopted, with the reason.
    """
    loaded = {inner: inner.loaded() for inner in with_inner(window)}
    known = {name for inner, modules in loaded.items() for name in inner.refused(modules)}
    there = known.union(*loaded.values())
    asked: set[str] = set()
    unwatch = INTERCEPTOR.watch(there.__contains__, lambda asker, name: asked.add(name)) if there else None
    refused: dict[str, str] = {}
    before = ImportState.capture()
    try:
        yield refused
    finally:
        if unwatch is not None:
            unwatch()
        change = before.differences(is_own_finder)
        if change or asked:
            for inner in reversed(with_inner(window)):
                declined = inner.adopt(change.added, asked)
                new = {n: why for n, why in declined.items() if n in asked or n not in known}
                followed = inner.follow(change)
                refused.update({name: why for name, why in new.items() if name not in followed})


def follow_from(window: Window, before: ImportState) -> None:
    """Let what changed since a snapshot belong to the state around a window and the windows inside it."""
    change = before.differences(is_own_finder)
    if change:
        for inner in with_inner(window):
            inner.follow(change)


def _closure(modules: Mapping[Any, object], names: Iterable[str]) -> set[str]:
    """Return those of the modules that others of them refer to, the packages above included."""
    new_modules = NewModules({name: module for name, module in modules.items() if type(name) is str})
    waiting, found = list(names), set[str]()
    while waiting:
        name = waiting.pop()
        if name in new_modules.modules and name not in found:
            found.add(name)
            waiting += ancestors(name)
            waiting += (home for home, _ in new_modules.references(namespace(modules[name]) or {}))
    return found


def _tainted_in(windows: Iterable[Window]) -> dict[str, str]:
    merged: dict[str, str] = {}
    for window in windows:
        merged.update(window.tainted)
    return merged


def with_inner(window: Window) -> list[Window]:
    """Return an open window and those that were opened inside it."""
    return _open_windows[_open_windows.index(window) :]


def close_with_inner(window: Window) -> tuple[Changes, list[Window]]:
    """Close a window, and before it those inside it that somebody forgot to close.

    Returns:
        What the window itself undid, and the forgotten windows.
    """
    forgotten: list[Window] = []
    while window in _open_windows and _open_windows[-1] is not window:
        forgotten.append(_open_windows[-1])
        _open_windows[-1].close()
    return window.close(), forgotten


def _wait_for_search(name: str) -> None:
    # Not for ever: the search may want a module that the waiting thread is executing.
    if _SEARCH.acquire(timeout=_PATIENCE):
        _SEARCH.release()


def _put_in_place(name: str, module: object) -> bool:
    """Enter a module, and bind it to its package if that holds nothing else; tell whether it was bound."""
    parent, child = parent_of(name)
    space = namespace(sys.modules.get(parent)) if parent else None
    is_free = space is not None and child not in space
    put_in(name, module, module if is_free else ABSENT)
    return is_free


def _remove_all(items: list[object], leaving: Iterable[object]) -> None:
    """Remove objects from a list by their identity, each once."""
    for item in leaving:
        place = next((place for place, other in enumerate(items) if other is item), None)
        if place is not None:
            del items[place]


def _covering(patterns: Patterns) -> Callable[[object], bool]:
    """Return a test for the modules that patterns mean.

    Who writes a glob does not mean the interpreter's own modules, nor the code that is running now: the
    test runner imports some of its modules when it needs them.
    """
    stay = packages_on_the_stack() if patterns.has_globs else frozenset()

    def covers(name: object) -> bool:
        pattern = patterns.match(name)
        if pattern is None or not isinstance(name, str):
            return False
        needed = _START_UP.match(name) is not None or top_level(name) in stay
        return not (needed and patterns.is_glob(pattern))

    return covers
