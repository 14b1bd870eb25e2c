"""What happens to the modules that a window loaded: forget, park or keep, each with its reason.

Pure: it looks at modules and decides; nothing is changed here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from enum import IntEnum
from types import MappingProxyType, ModuleType
from typing import Any, Final

from pytest_import_isolation.machinery.modules import (
    ABSENT,
    ancestors,
    class_home,
    file_of,
    is_initializing,
    namespace,
    own_name_of,
    spec_of,
    spec_value,
    top_level,
)
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.state.origins import Origin, Origins, Verdict
from pytest_import_isolation.state.references import NewModules, changed_values
from pytest_import_isolation.state.referrers import Referrers

#: Why what came back is parked again, if its origin is no reason.
WAS_PARKED: Final = "it was parked when the window opened"


#: They hold what others have loaded and installed, or are anybody's.
_OF_THE_INTERPRETER: Final = frozenset(("sys", "builtins", "__main__"))


class Outcome(IntEnum):
    """The three things that can happen to a module; a later one overrules an earlier one."""

    FORGET = 1
    PARK = 2
    KEEP = 3


class Decision(NamedTuple):
    """What happens to a module when its window closes, and why."""

    outcome: Outcome
    reason: str


class Circumstances(NamedTuple):
    """What :func:`decide` must know about the window beside the modules themselves."""

    #: Verdicts on modules.
    origins: Origins
    #: The modules that stay loaded because they were there before.
    survivors: Mapping[Any, object]
    #: Those of them whose references count: the first-party ones.
    referrers: Mapping[Any, object]
    #: What is remembered of what these refer to.
    remembered: Referrers
    #: Gives the reason to keep a module on request (``keep=``, plugins of the test runner), or None.
    must_stay: Callable[[str, object], str | None]
    #: What the window itself placed: fakes, whatever they are (``{"ujson": json}`` puts a real module there).
    placed: Mapping[Any, object]
    #: Modules that asked for something faked or blocked while they were executed, and what they asked for.
    tainted: Mapping[str, str]
    #: Those that asked for what this window itself faked or blocked.
    own_taint: Set[str]
    #: Tells whether a module is a test file or a conftest.
    is_test_code: Callable[[object], bool]
    #: Namespaces that other threads are executing, by identity, with the thread's name.
    running: Mapping[int, str]
    #: For a survivor, the names that importlib or a lazy ``__getattr__`` put there, which do not count.
    lazy_names: Callable[[str], Iterable[str]]
    #: Tells whether a name's older copy comes back: a newer one cannot be kept beside it.
    is_superseded: Callable[[Any], bool]
    #: Names of modules that came back from the parking lot in the window.
    returned: Set[str]
    #: Names of modules that came from another world, to which its own modules refer.
    lent: Set[str]
    #: What first-party survivors held before the first of those came.
    before_return: Mapping[Any, Mapping[str, object]]
    #: Returns the name of the module that imported an arrival, if that is known.
    importer_of: Callable[[str], str | None]
    #: Returns the name of the module that made an entry when it was executed, if one did.
    maker_of: Callable[[str, object], str | None] = lambda name, module: None
    #: Returns the names of the modules that an extension module looks up, which it asked for once.
    looked_up_by: Callable[[str], Iterable[str]] = lambda name: ()
    #: Tells whether a module that is not judged is parked, or will be.
    is_parked: Callable[[str], bool] = lambda name: False
    #: The packages of the top level that put something into the lists of ``sys``, or have an import function
    #: of theirs in place.
    installing: Set[str] = frozenset()
    #: Namespaces of objects that outlive the window, by what they are called: these keep what they refer to.
    holders: Mapping[str, Mapping[str, object]] = MappingProxyType({})
    #: Whether the window's first-party and tainted modules are for itself alone, whoever refers to them.
    is_alone: bool = False


def decide(modules: Mapping[Any, object], circumstances: Circumstances) -> dict[Any, Decision]:
    """Decide what becomes of every module that a window loaded.

    Args:
        modules: the entries of ``sys.modules`` that are not what they were when the window opened.
        circumstances: what else matters.

    Returns:
        A decision for each entry.
    """
    return _Deciding(modules, circumstances).run()


class _Deciding:
    def __init__(self, modules: Mapping[Any, object], circumstances: Circumstances) -> None:
        self.given = circumstances
        self.all = modules
        self.verdicts: dict[Any, Verdict] = {
            name: circumstances.origins.verdict(name, module) for name, module in modules.items()
        }
        for name, module in modules.items():
            if circumstances.placed.get(name, ABSENT) is module:
                self.verdicts[name] = Verdict(Origin.FAKE, "it was placed by fakes")
        self.real = {
            name: module
            for name, module in modules.items()
            if self.verdicts[name].origin is not Origin.FAKE and type(name) is str
        }
        for name, own_name in self._second_names().items():
            # Whoever refers to the module does not refer to this name of it.
            del self.real[name]
            if not self._is_foreign_package(top_level(name)):
                self.verdicts[name] = Verdict(Origin.FAKE, f"it is another name for {own_name}")
        self.new_modules = NewModules(self.real)
        # Of a project's own modules that hold some of them, more is looked at.
        self.held_modules = NewModules(self.real, circumstances.origins.was_first_party)
        self.decisions: dict[Any, Decision] = {}
        self.unclean = self._unclean()

    def run(self) -> dict[Any, Decision]:
        for name in self.all:
            self.decisions[name] = self._by_origin(name)
        for name, module in self.real.items():
            reason = self._reason_to_stay(name, module)
            if reason:
                self._raise(name, Outcome.KEEP, reason)
        self._keep_what_survivors_refer_to()
        self._keep_what_libraries_use()
        self._pin_extension_modules()
        self._park_what_tainted_extensions_need()
        self._spread()
        self._let_made_entries_follow()
        return self.decisions

    def _let_made_entries_follow(self) -> None:
        """Let an entry that a module made by hand when it was executed share what becomes of the module."""
        for name, module in self.all.items():
            if type(name) is not str or self.verdicts[name].origin is not Origin.FAKE:
                continue
            if name in self.given.returned or self.given.is_superseded(name):
                continue
            maker = self.given.maker_of(name, module)
            if maker is not None and self.given.is_parked(maker):
                self.decisions[name] = Decision(Outcome.PARK, f"{maker} made it")
            elif maker in self.decisions:
                self.decisions[name] = Decision(self.decisions[maker].outcome, f"{maker} made it")

    def _second_names(self) -> dict[str, str]:
        """Return the entries that are a second name for a loaded module, with the module's own name.

        ``sys.modules["ujson"] = json`` is a fake made of a real module: it must neither be parked nor kept
        because somebody refers to json. Only what a foreign package makes below itself (``six.moves``,
        ``py.error``) is parked with the package.
        """
        second: dict[str, str] = {}
        for name, module in self.real.items():
            own_name = own_name_of(module)
            if own_name not in ("", name):
                tables = (self.all, self.given.survivors)
                # The import system gives a top-level module no name but its own, loaded under that or not.
                if "." not in name or any(table.get(own_name, ABSENT) is module for table in tables):
                    second[name] = own_name
        return second

    def _is_foreign_package(self, name: str) -> bool:
        if name in self.real:
            return self.verdicts[name].origin is Origin.FOREIGN
        module = self.given.survivors.get(name)
        return module is not None and self.given.origins.verdict(name, module).origin is Origin.FOREIGN

    def _by_origin(self, name: Any) -> Decision:
        verdict = self.verdicts[name]
        if name in self.given.returned:
            # Also what looks like a fake now that the extension module which made it is not loaded.
            foreign = verdict.origin is Origin.FOREIGN
            return Decision(Outcome.PARK, verdict.reason if foreign else WAS_PARKED)
        if verdict.origin is Origin.FOREIGN:
            if name in self.given.tainted:
                return Decision(
                    Outcome.FORGET, f"first imported while {self.given.tainted[name]} was faked or blocked"
                )
            if self.given.is_superseded(name) and not verdict.is_extension:
                return Decision(Outcome.FORGET, "the earlier copy comes back")
            return Decision(Outcome.PARK, verdict.reason)
        return Decision(Outcome.FORGET, verdict.reason)

    def _reason_to_stay(self, name: str, module: object) -> str | None:
        running = self.given.running
        thread = running.get(id(namespace(module))) if running else None
        if thread is not None and not (self._is_for_itself(name) and not is_initializing(module)):
            doing = "importing" if is_initializing(module) else "executing"
            return f"thread {thread!r} is still {doing} it"
        if is_initializing(module):
            return "its import is still under way"
        return self.given.must_stay(name, module)

    def _raise(self, name: str, outcome: Outcome, reason: str) -> bool:
        """Raise a module to a stronger outcome; tell whether that changed anything."""
        if self.given.is_superseded(name) or name not in self.real or self.decisions[name].outcome >= outcome:
            return False
        self.decisions[name] = Decision(outcome, reason)
        return True

    def _keep_what_survivors_refer_to(self) -> None:
        if all(map(self._is_for_itself, self.real)):
            return
        # Only a reference that is made in the window counts for what was parked before it.
        all_returned = self.real.keys() <= self.given.returned
        for name, module in self.given.referrers.items():
            space: Mapping[str, object] = namespace(module) or {}
            if all_returned:
                space = changed_values(self.given.before_return.get(name, {}), space)
                if not space:
                    continue
                found = self.held_modules.references(space)
            else:
                found = self.given.remembered.references(name, module, self.held_modules)
            lazy: frozenset[str] | None = None
            # A test holds what it saw with its fake; nobody else shall get that.
            not_kept = self.unclean if self.unclean and self.given.is_test_code(module) else ()
            for home, key in found:
                if f"{name}.{key}" == home and not self._is_handed_out(module, home):
                    continue  # the attribute that importlib writes for a submodule
                if lazy is None:
                    lazy = frozenset(self.given.lazy_names(name))
                if self._was_elsewhere(home) and self._is_old(name, space, key.partition(".")[0]):
                    continue
                if key not in lazy and home not in not_kept and not self._is_for_itself(home):
                    self._raise(home, Outcome.KEEP, f"{name}.{key} refers to it")

        self._keep_what_holders_refer_to()

    def _keep_what_holders_refer_to(self) -> None:
        for name, space in self.given.holders.items():
            for home, key in self.new_modules.references(space):
                is_old_or_fake = self._was_elsewhere(home) or home in self.unclean
                if not is_old_or_fake and not self._is_for_itself(home):
                    self._raise(home, Outcome.KEEP, f"{name}.{key} refers to it")

    def _keep_what_libraries_use(self) -> None:
        """Keep a library that installed something, if another one that stays holds on to it.

        That one has imported it, does not import it again, and goes on without what was installed.
        """
        if not self.given.installing:
            return
        wanted = {
            name
            for name in self.real
            if top_level(name) in self.given.installing
            # What an application installed leaves with it, whoever remembers its modules.
            and self.verdicts[name].origin is Origin.FOREIGN
            and name not in self.given.tainted
        }
        for name, module in self.given.survivors.items():
            if type(name) is not str or name in _OF_THE_INTERPRETER:
                continue
            if self.given.origins.verdict(name, module).origin is not Origin.FOREIGN:
                continue
            for home, key in self.new_modules.references(namespace(module) or {}):
                if home in wanted and top_level(home) != top_level(name):
                    self._raise(home, Outcome.KEEP, f"{name}.{key} refers to it, and it installed a hook")

    def _is_handed_out(self, package: object, name: str) -> bool:
        """Tell whether a first-party finder hands out the same submodule each time.

        The class of its package, as of six.moves, may have had a descriptor that the first use took away.
        """
        if type(package) is ModuleType or file_of(self.real[name]) is not None:
            return False
        home = class_home(type(spec_value(spec_of(self.real[name]), "loader")))
        return self.given.origins.is_first_party(home, self.given.survivors.get(home))

    def _unclean(self) -> Set[str]:
        """Return the modules that hold something of what this window faked or blocked."""
        found = {name for name in self.given.own_taint if name in self.real}
        waiting = bool(found)
        while waiting:
            more = {
                name
                for name, module in self.real.items()
                if name not in found
                and self.verdicts[name].origin is Origin.FIRST_PARTY
                and any(
                    home in found and (f"{name}.{key}" != home or self._is_part(home, name))
                    for home, key in self.new_modules.references(namespace(module) or {})
                )
            }
            found |= more
            waiting = bool(more)
        return found

    def _is_for_itself(self, name: str) -> bool:
        """Tell whether no reference is a reason to keep a module."""
        return self.given.is_alone and (
            self.verdicts[name].origin is not Origin.FOREIGN or name in self.given.tainted
        )

    def _was_elsewhere(self, name: str) -> bool:
        """Tell whether others may have referred to a module before it came."""
        return name in self.given.returned or name in self.given.lent

    def _is_old(self, survivor: Any, space: Mapping[str, object], key: str) -> bool:
        """Tell whether a name held the same before any such module came."""
        return self.given.before_return.get(survivor, {}).get(key, ABSENT) is space.get(key, None)

    def _pin_extension_modules(self) -> None:
        """Park a project's own extension modules, with the packages above and what they refer to."""
        pinned = [
            name
            for name, verdict in self.verdicts.items()
            if verdict.is_extension and self._has_first_party_parent(name)
        ]
        while pinned:
            name = pinned.pop()
            above = [ancestor for ancestor in ancestors(name) if ancestor in self.real]
            below = {home for home, _ in self.new_modules.references(namespace(self.real[name]) or {})}
            for other in (*above, *below):
                holder = f"the extension module {name}" if self.verdicts[name].is_extension else name
                if self._raise(other, Outcome.PARK, f"{holder} holds on to it"):
                    pinned.append(other)

    def _has_first_party_parent(self, name: Any) -> bool:
        return any(
            ancestor in self.real and self.verdicts[ancestor].origin is Origin.FIRST_PARTY
            for ancestor in ancestors(name)
        )

    def _park_what_tainted_extensions_need(self) -> None:
        """Never forget the Python half of a package whose extension modules stay in the process.

        A tainted foreign module that a parked one refers to is parked too: a second execution would give
        two copies of its classes. The reason says that it is tainted.
        """
        tainted = [
            name
            for name in self.real
            if name in self.given.tainted and self.verdicts[name].origin is Origin.FOREIGN
        ]
        if not tainted:
            return
        with_extension = {top_level(name) for name in self.real if self.verdicts[name].is_extension}
        wanted: dict[str, str] = {
            name: "its package holds extension modules"
            for name in tainted
            if top_level(name) in with_extension
        }
        for name, module in self.real.items():
            if self.decisions[name].outcome >= Outcome.PARK and top_level(name) not in with_extension:
                for home, _ in self.new_modules.references(namespace(module) or {}):
                    if home in tainted and top_level(home) != top_level(name):
                        wanted.setdefault(home, f"{name} refers to it")
        for name, reason in wanted.items():
            self._raise(name, Outcome.PARK, f"tainted by {self.given.tainted[name]}, but {reason}")

    def _spread(self) -> None:
        """Keep the packages above a kept module, and all that it refers to."""
        kept = [name for name, decision in self.decisions.items() if decision.outcome is Outcome.KEEP]
        while kept:
            name = kept.pop()
            for ancestor in ancestors(name):
                if self._raise(ancestor, Outcome.KEEP, f"{name} is kept"):
                    kept.append(ancestor)
            for asked in self.given.looked_up_by(name):
                if asked not in self.real or self._is_for_itself(asked):
                    continue
                if self._raise(asked, Outcome.KEEP, f"{name} looks it up, and {name} is kept"):
                    kept.append(asked)
            is_own = self.verdicts[name].origin is Origin.FIRST_PARTY
            modules = self.held_modules if is_own else self.new_modules
            for home, key in modules.references(namespace(self.real[name]) or {}):
                reason = f"{name}.{key} refers to it, and {name} is kept"
                if f"{name}.{key}" == home:
                    if not self._is_part(home, name):
                        continue  # the attribute that importlib writes leaves with the submodule
                    reason = f"it is a part of {name}, which is kept"
                # Of first-party modules only those are kept in a world that must be, with all they need.
                if self._is_for_itself(home) and self.verdicts[name].origin is Origin.FOREIGN:
                    continue
                if self._raise(home, Outcome.KEEP, reason):
                    kept.append(home)

    def _is_part(self, submodule: str, package: str) -> bool:
        """Tell whether a package that stays would be incomplete without a submodule.

        Its code, which is not executed again, may have imported it, and who uses it need not import it.
        """
        is_foreign = self.verdicts[package].origin is Origin.FOREIGN
        return is_foreign or self.given.importer_of(submodule) == package
