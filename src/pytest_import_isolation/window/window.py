"""A window: what belongs to the time from the capture of the import state to the moment it is put back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Protocol

from pytest_import_isolation.contents.findings import NOTHING, Findings
from pytest_import_isolation.contents.writers import Writers
from pytest_import_isolation.fakes.fake_modules import loader_of
from pytest_import_isolation.fakes.placed_fakes import PlacedFakes
from pytest_import_isolation.machinery.finders import is_own_finder
from pytest_import_isolation.machinery.frames import Importer, calling_frame, importer_at
from pytest_import_isolation.machinery.modules import ABSENT, namespace, top_level
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.parking.returned_modules import ReturnedModules
from pytest_import_isolation.patterns import Patterns
from pytest_import_isolation.state.differences import Difference
from pytest_import_isolation.state.origins import Origin, Origins
from pytest_import_isolation.state.single_changes import SingleChange
from pytest_import_isolation.state.snapshot import ImportState
from pytest_import_isolation.watching.asked_imports import ASKED
from pytest_import_isolation.watching.import_log import ImportLog
from pytest_import_isolation.window.absent_modules import AbsentModules
from pytest_import_isolation.window.installations import Installations
from pytest_import_isolation.window.lazy_names import Waiting
from pytest_import_isolation.window.module_contents import WindowContents
from pytest_import_isolation.window.open_windows import open_windows
from pytest_import_isolation.window.outcomes import Decision, Outcome
from pytest_import_isolation.window.own_items import OwnItems
from pytest_import_isolation.window.parameters import Parameters

_OWN_PACKAGE: Final = top_level(__name__)
_NO_PATTERNS: Final = Patterns()

#: Gives the reason to keep a module at the end of a window, or None.
MustStay = Callable[[str, object, Importer | None], str | None]


class Unproven(NamedTuple):
    """An unloaded module whose absence proves nothing: what imports it was executed before."""

    name: str
    #: The first-party module that was asked for.
    importer: str


class Older(Protocol):
    """Knows what was executed before a window; see :class:`.cold_views.OlderExecutions`."""

    def unproven(self) -> list[Unproven]:
        """Return the unloaded modules that are absent although somebody asked for what imports them."""

    def reason(self, unproven: Sequence[Unproven]) -> str:
        """Say why absences prove nothing."""

    def remark(self) -> str | None:
        """Return a warning if the absence of something proves nothing."""


class Remark(NamedTuple):
    """A warning for the user."""

    message: str
    site: Importer | None


class Window:
    """What is known of one running window. The modules beside this one open, change and close it.

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
        always_kept: patterns of modules that stay loaded in every window.
    """

    #: The import state around it, which is in place again when it is closed.
    around: ImportState
    #: What came back from the parking lot.
    returned: ReturnedModules
    #: What modules installed in the import system.
    installations: Installations
    #: How many modules had been asked for when it was opened: the log may be older.
    asked_before: int
    #: Whether nothing in it differs from elsewhere: what a wider fixture asked for may be given to all.
    is_for_all = False
    #: Tells whose doing a change of contents is; None if contents are left as they are.
    writers: Writers | None = None
    #: The files of the test code that runs in it, if that is not the code that opened it.
    test_code: Sequence[str] | None = None
    #: What modules hold around it; None if nobody looks at that.
    contents: WindowContents | None = None
    #: Tells what the unloading proves; None if nothing was unloaded.
    older: Older | None = None
    #: Tainted modules that stayed after it since something refers to them: what they asked for, and why.
    kept_taints: Mapping[str, tuple[str, str]] = MappingProxyType({})
    #: Whether a fixture of a wider scope opened it: then it may be closed in the window of a test.
    is_wide = False

    #: What modules did when they were executed that is nobody's leak, found when the window is closed.
    blameless: frozenset[tuple[str, str]] = frozenset()

    def __init__(
        self,
        parameters: Parameters,
        origins: Origins,
        must_stay: MustStay = lambda name, module, importer: None,
        title: str = "window",
        log: ImportLog | None = None,
        is_alone: bool = False,
        is_long: bool = False,
        site: Importer | None = None,
        always_kept: Patterns = _NO_PATTERNS,
    ) -> None:
        self.parameters, self._asks = parameters, bool(parameters)
        self.origins = origins
        self._must_stay = must_stay
        self.title = title
        self.log = ImportLog(with_images=True) if log is None else log
        #: Patterns of modules that stay loaded, and are not executed anew.
        self.kept = [patterns for patterns in (parameters.keep, always_kept) if patterns]
        self.is_alone = is_alone
        self.is_long = is_long
        frame = calling_frame()
        #: Where it was opened.
        self.opened_by = site or importer_at(frame)
        # A block at the top level of a module binds what it imports in that module: what the block
        # itself did there does not count as something that survives it.
        at_top_level = frame is not None and frame.f_code.co_name == "<module>"
        #: Identities of the namespaces whose references do not count.
        self.disregarded = {id(frame.f_globals)} if frame is not None and at_top_level else set()
        self._test_files: list[str] = []
        #: What takes off the import system what blocks modules and watches who asks for them.
        self.undo: list[Callable[[], object]] = []
        self.absent = AbsentModules(origins)
        self.own_items = OwnItems(self.undo)
        #: What stands in ``sys.modules`` for each fake.
        self.placed: dict[str, object] = {}
        #: Makes the fakes; None as long as none was asked for.
        self.fakes: PlacedFakes | None = None
        #: The real modules that were looked at for the sake of fakes.
        self.real_modules: dict[str, object] = {}
        #: Modules in front of which others of the same names were put on the path.
        self.shadowed = _NO_PATTERNS
        #: Modules that asked for something faked or blocked while they were executed, and what that was.
        self.tainted: dict[str, str] = {}
        #: Names of first-party modules that waited for their first use when it was opened.
        self.waiting: Waiting = {}
        #: What a user should hear about it, and at which line.
        self.remarks: list[Remark] = []
        #: First-party packages of the top level that the closing of the window forgot.
        self.forgotten_packages: dict[str, object] = {}

    def __str__(self) -> str:
        if self.opened_by is None:
            return f"the {self.title}"
        return f"the {self.title} opened at {self.opened_by.file}:{self.opened_by.line}"

    @property
    def is_plain(self) -> bool:
        """Whether nothing was asked for but to undo what happens: no fakes, no fresh or missing modules."""
        return not (self.absent.hidden or self.absent.taken or self.placed)

    @property
    def is_pristine(self) -> bool:
        """Whether nothing was asked for, and nothing was imported in it."""
        return self.is_plain and not (
            self._asks
            or self.log.importers
            or self.log.images
            or self.log.reloads
            or self.tainted
            or self.remarks
            or self.shadowed
            or self.own_items.items
            or self.forgotten_packages
            or self.returned.is_out_of_date
        )

    def remark(self, messages: Iterable[str], site: Importer | None) -> None:
        """Note what a user should hear about, and the line that it is about."""
        self.remarks += (Remark(message, site) for message in messages)

    def written(self) -> Findings:
        """Return what test code did to the contents of modules."""
        if self.contents is None:
            return NOTHING
        return self.contents.find()

    def undo_written(self) -> None:
        """Undo what test code did to the contents of modules."""
        if self.contents is not None:
            self.contents.undo()

    def writing_files(self) -> Sequence[str]:
        """Return the files of the test code that runs in it."""
        return self.test_files() if self.test_code is None else self.test_code

    def disregard(self, module: object) -> None:
        """Let references of a surviving module be no reason to keep what it refers to."""
        self.disregarded.add(id(namespace(module)))
        file = (namespace(module) or {}).get("__file__")
        if type(file) is str:
            self._test_files.append(file)

    def test_files(self) -> list[str]:
        """Return the files whose code runs in it in its own name."""
        return self._test_files if self.opened_by is None else [self.opened_by.file, *self._test_files]

    def is_test_code(self, module: object) -> bool:
        """Tell whether a module is a test file, a conftest, or the file that opened this window."""
        file = (namespace(module) or {}).get("__file__")
        return type(file) is str and (file in self.test_files() or self.origins.is_test_file(file))

    def note_kept_taints(self, modules: Mapping[Any, object], decisions: Mapping[Any, Decision]) -> None:
        """Take note of modules that stay although they hold what this window faked or blocked.

        Args:
            modules: that were loaded in it.
            decisions: what becomes of them.
        """
        self.kept_taints = {
            name: (taint, decisions[name].reason)
            for name, taint in self.tainted.items()
            if name in decisions
            and decisions[name].outcome is Outcome.KEEP
            and not self.reason_to_stay(name, modules[name])  # else somebody asked for it
        }

    def admit(self, modules: Mapping[Any, object], difference: Difference) -> None:
        """Let modules belong to the state around it, with what they installed.

        Args:
            modules: the modules.
            difference: tells what is new.
        """
        self.around.admit(modules)
        self.installations.settle(difference, dict.fromkeys(modules, Outcome.KEEP))

    def admit_installed_later(self) -> None:
        """Let what surviving modules installed when they were called belong to the state around it."""
        self.installations.admit_installed_later(self.without_installed_entries(self.all_differences()))

    def without_installed_entries(self, difference: Difference) -> Difference:
        """Let entries that libraries made when they were called follow these; return what else differs."""
        new = {n: m for n, m in difference.added.items() if n not in self.placed}
        admitted = self.installations.note_entries(new)
        if not admitted:
            return difference
        return difference._replace(added={n: m for n, m in difference.added.items() if n not in admitted})

    def mistrust(self, covers: Callable[[str], object]) -> None:
        """Take note, as long as the window is open, of the modules that ask for certain names: tainted."""
        self.undo.append(ASKED.watch(covers, self.tainted.setdefault))

    def stop_watching(self) -> None:
        """Take off the import system what blocks modules and watches who asks for them."""
        while self.undo:
            self.undo.pop()()

    def all_differences(self) -> Difference:
        """Return what changed so far, whoever asked for it."""
        return self.around.differences(is_own_finder)

    def differences(self) -> Difference:
        """Return what the code inside changed so far; what the parameters ask for does not count."""
        return self.without_own(self.all_differences())

    def without_own(self, difference: Difference) -> Difference:
        """Return a difference without what the parameters ask for."""
        own = self.absent.taken.union(self.placed)
        return difference._replace(
            # Packages that were made above a fake are not placed.
            added={n: m for n, m in difference.added.items() if n not in self.placed and not loader_of(m)},
            removed={n: m for n, m in difference.removed.items() if n not in own},
            replaced={n: pair for n, pair in difference.replaced.items() if n not in own},
            bindings={n: binding for n, binding in difference.bindings.items() if n not in own},
            lists=self.own_items.without_own(difference.lists),
        )

    def has_made(self, change: SingleChange) -> bool:
        """Tell whether the window itself made a change, which goes with it whoever else could make it."""
        if change.what != "entry":
            return self.own_items.holds(change.what, change.key)
        if change.after is ABSENT:
            return False
        return self.placed.get(change.key, ABSENT) is change.after or loader_of(change.after) is not None

    def asked_for(self) -> list[str]:
        """Return the modules that were asked for in this window."""
        return list(self.log.importers)[self.asked_before :]

    def first_party_survivors(self) -> dict[Any, object]:
        """Return the first-party modules that were loaded when it was opened."""
        return self.around.derive((self.origins, "first-party"), self.origins.first_party)

    def referrers(self) -> dict[Any, object]:
        """Return those of them whose references are a reason to keep what was loaded in it."""
        survivors = self.first_party_survivors().items()
        return {name: module for name, module in survivors if id(namespace(module)) not in self.disregarded}

    def reason_to_stay(self, name: str, module: object) -> str | None:
        """Return why a module stays loaded at the end of this window, or None."""
        if top_level(name) == _OWN_PACKAGE:
            return "it is a part of the isolation itself"
        pattern = self.parameters.keep.match(name)
        if pattern:
            return f"keep={pattern!r}"
        importer = self.log.importers.get(name)
        if self._is_looked_up(name, module, importer):
            return "compiled code imported it, which does so once and looks it up from then on"
        return self._must_stay(name, module, importer)

    def _is_looked_up(self, name: str, module: object, importer: Importer | None) -> bool:
        """Tell whether compiled code that was called, by code that stays, will look for a module."""
        survivors = self.around.modules
        if importer is not None and not (name in self.log.compiled and importer.module in survivors):
            return False
        verdict = self.origins.verdict(name, module)
        if verdict.origin is not Origin.FOREIGN or name in self.tainted:
            return False
        if importer is None:  # an extension module entered another one by itself, without a finder
            own = namespace(module) or {}
            # What has neither (pyexpat.errors) is a part of what made it, and nobody asks for it.
            is_module = own.get("__file__") is not None or own.get("__spec__") is not None
            is_new = is_module and name not in self.returned.names and FINDER.lot.returned(name) is ABSENT
            return is_new and verdict.is_extension and top_level(name) in survivors
        return True

    def is_kept(self, name: object) -> bool:
        """Tell whether a pattern keeps a module loaded, of this window or of one around it."""
        for window in (self, *open_windows):  # nearly always none keeps any
            for keep in window.kept:
                if keep.match(name):
                    return True
        return False

    def recurs(self, name: str, file: str) -> bool:
        """Tell whether a module will be executed again: in a later window, or by the next fresh import."""
        if self.absent.hidden and self.absent.hides(name):
            return True
        return self.origins.of_file(name, file) is Origin.FIRST_PARTY
