"""Says which test, file or conftest left side effects beside the import system."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Generator, Iterable
from itertools import starmap
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

from pytest_import_isolation.leaks.containers import IMPORT_FUNCTION
from pytest_import_isolation.leaks.found_leaks import FoundLeaks
from pytest_import_isolation.machinery.modules import namespace, top_level
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.paths import is_conftest
from pytest_import_isolation.machinery.source_text import bytes_of
from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.report.records import Polluter, make_leak
from pytest_import_isolation.state.origins import Origin, Origins
from pytest_import_isolation.watching.effect_names import Effect
from pytest_import_isolation.watching.effects import Effects, is_thread
from pytest_import_isolation.watching.import_log import ImportLog

_FILTERS: Final = "warnings.filters"
#: What packages do when they are imported, and the word that code holds which does it by itself.
_LIBRARIES_DO: Final = {_FILTERS: "warnings", "copyreg": "copyreg"}
#: How often, and how long, the end of the run waits for threads that are about to end.
_LOOKS: Final = 20
_PAUSE: Final = 0.01  # seconds


class _Moment(NamedTuple):
    """What there is at a boundary."""

    effects: Effects
    #: How many modules were imported until then.
    imported: int
    #: Whether pytest has made the directory of ``tmp_path``, which it removes at exit.
    has_basetemp: bool


class _Found(NamedTuple):
    """Effects that count only if they are still there later."""

    polluter: Polluter
    effects: list[Effect]
    before: Effects
    after: Effects
    #: Who did it, if that says more than the polluter.
    fixture: str = ""

    def reduced_to(self, now: Effects) -> _Found:
        """Return it with those that are still there."""
        there = Counter(self.before.differences(now))
        return self._replace(effects=[effect for effect in self.effects if _take(there, effect)])


class EffectsObserver:
    """The hooks that watch side effects.

    Args:
        config: the run.
        origins: gives the verdicts on modules.
        found_leaks: takes the leaks.
    """

    def __init__(self, config: pytest.Config, origins: Origins, found_leaks: FoundLeaks) -> None:
        self._config = config
        self._origins = origins
        self._found_leaks = found_leaks
        self._log = ImportLog()
        FINDER.listen(self._log)
        config.add_cleanup(lambda: FINDER.unlisten(self._log))
        # What fixtures of a wider scope did: no leak as long as the fixture is alive.
        self._pending: dict[int, _Found] = {}
        # What such fixtures did and undid during the running test, and those that were torn down in it.
        self._explained: list[Effect] = []
        self._torn_down: list[_Found] = []
        # The end of each phase of the running test.
        self._phases: list[tuple[str, Effects]] = []
        # A thread may be about to end.
        self._threads: list[_Found] = []
        self._base = self._now()

    def _now(self) -> _Moment:
        factory = namespace(getattr(self._config, "_tmp_path_factory", None)) or {}
        return _Moment(Effects.capture(), len(self._log.importers), factory.get("_basetemp") is not None)

    # The hooks of conftests and of collection

    def pytest_plugin_registered(self, plugin: object) -> None:
        """Attribute what changed to a conftest that was just loaded."""
        file = getattr(plugin, "__file__", None) if isinstance(plugin, ModuleType) else None
        if file and is_conftest(file):
            self._cut(Polluter(self._shorten(file), "conftest"))

    def pytest_sessionstart(self) -> None:
        """What the configuration of the run does is nobody's effect."""
        self._base = self._now()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Generator[None, Any, Any]:
        """Attribute to a file what its collection does."""
        self._base = self._now()
        try:
            return (yield)
        finally:
            self._cut(Polluter(collector.nodeid, "collect"))

    def _cut(self, polluter: Polluter) -> None:
        before, now = self._base, self._now()
        self._base = now
        self._report(_Found(polluter, self._effects(before, now, polluter), before.effects, now.effects))

    # The hooks of tests

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, None]:
        """Attribute to a test what it did and did not undo."""
        self._phases, self._explained, self._torn_down = [], [], []
        before = self._now()
        try:
            yield
        finally:
            self._end(item.nodeid, before)

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_setup(self) -> Generator[None, Any, None]:
        """Look at what the setup of a test left."""
        try:
            yield
        finally:
            self._phases.append(("setup", Effects.capture()))

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_call(self) -> Generator[None, Any, None]:
        """Look at what the call of a test left."""
        try:
            yield
        finally:
            self._phases.append(("call", Effects.capture()))

    def _end(self, nodeid: str, before: _Moment) -> None:
        now, explained = self._now(), Counter(self._explained)
        effects = [
            effect
            for effect in self._effects(before, now, Polluter(nodeid, "teardown"))
            if not _take(explained, effect)
        ]
        if not effects:
            return
        phases = [(phase, Counter(before.effects.differences(seen))) for phase, seen in self._phases]
        by_phase: dict[str, list[Effect]] = {}
        torn_down = {effect.name for found in self._torn_down for effect in found.effects}
        for effect in effects:
            # Every later phase has it, too.
            having = [phase for phase, there in phases if _take(there, effect)]
            if having:
                by_phase.setdefault(having[0], []).append(effect)
            elif effect.name not in torn_down:  # else it is what such a fixture put back
                by_phase.setdefault("teardown", []).append(effect)
        for phase, found in by_phase.items():
            self._report(_Found(Polluter(nodeid, phase), found, before.effects, now.effects))

    # The hooks of fixtures of a wider scope

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, Any, None]:
        """Attribute to a fixture of a wider scope what its setup does, until it is torn down."""
        if fixturedef.scope == "function":
            yield
            return
        before, others = self._now(), set(self._pending)
        try:
            yield
        finally:
            now, polluter = self._now(), Polluter(request.node.nodeid, "setup")
            # The fixtures that it asked for answer for themselves.
            inner = [found.effects for key, found in self._pending.items() if key not in others]
            known = Counter(effect for effects in inner for effect in effects)
            effects = [effect for effect in self._effects(before, now, polluter) if not _take(known, effect)]
            if effects:
                self._pending[id(fixturedef)] = _Found(
                    polluter, effects, before.effects, now.effects, fixturedef.argname
                )
                self._explained += effects

    def pytest_fixture_post_finalizer(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        """Tell what a fixture of a wider scope did not undo."""
        found = self._pending.pop(id(fixturedef), None)
        if found is not None:
            self._explained += found.after.differences(found.before)
            self._torn_down.append(found)
            if fixturedef.scope != "session":  # nobody comes after it
                self._report(found.reduced_to(Effects.capture()))

    # What counts

    def _effects(self, before: _Moment, now: _Moment, polluter: Polluter) -> list[Effect]:
        """Return what changed, without what an installed package does when it is first imported."""
        found = before.effects.differences(now.effects)
        if not found:
            return found
        imports = _Imports(list(self._log.importers)[before.imported : now.imported], self._origins)
        file = self._config.rootpath / polluter.nodeid.partition("::")[0]
        if polluter.phase == "conftest":
            # Plugins read files of variables before the first conftest is loaded.
            found = [
                effect
                for effect in found
                if not effect.name.startswith("os.environ:")
                or imports.are_asked_by(effect.name.partition(":")[2], file)
            ]
        return [effect for effect in found if self._counts(effect, before, now, imports, file)]

    def _counts(self, effect: Effect, before: _Moment, now: _Moment, imports: _Imports, file: Path) -> bool:
        what, _, key = effect.name.partition(":")
        if what == IMPORT_FUNCTION:
            return False  # that is a leak, and isolation undoes it
        if what == "atexit":
            # Only their number can be seen, and it does not shrink when one is unregistered.
            if before.has_basetemp is not now.has_basetemp or imports.are_asked_by("unregister", file):
                return False
            return (imports.are_asked_by if imports.foreign else imports.anybody_says)("atexit", file)
        if what == _FILTERS and self._config.pluginmanager.has_plugin("warnings"):
            # pytest puts them back after the conftests, after the collection and after every test.
            return False
        if is_thread(effect):
            return not any(
                thread.daemon and thread.effect == effect and self._is_installed(thread.home)
                for thread in now.effects.threads or ()
            )
        if what in _LIBRARIES_DO:
            return not imports.foreign or imports.are_asked_by(_LIBRARIES_DO[what], file)
        if what == "os.environ" and key and imports.has_installed:
            # A package may set variables that its own libraries read; no first-party file names these then.
            return imports.anybody_says(key, file)
        return what != "logging" or top_level(key) not in map(top_level, imports.foreign)

    def _is_installed(self, name: str) -> bool:
        """Tell whether a module is one of an installed package, which keeps threads for its own use."""
        file = (namespace(sys.modules.get(name)) or {}).get("__file__")
        return type(file) is str and self._origins.is_installed(file)

    # Handing over

    def _report(self, found: _Found) -> None:
        threads = [effect for effect in found.effects if is_thread(effect)]
        if threads:
            self._threads.append(found._replace(effects=threads))
        others = [effect for effect in found.effects if not is_thread(effect)]
        self._hand_over(found._replace(effects=others))

    def _hand_over(self, found: _Found) -> None:
        """Make one leak of all that is known by one name."""
        sentences: dict[str, Counter[str]] = {}
        for effect in found.effects:
            sentences.setdefault(effect.name, Counter())[effect.sentence] += 1
        # Those that pytest makes for setup_module() and its like have names that say nothing.
        is_named = found.fixture and not found.fixture.startswith("_")
        by_fixture = [f"The fixture {found.fixture} did it."] if is_named else []
        self._found_leaks.leaks.extend(
            make_leak(
                "effect",
                name,
                found.polluter,
                " ".join([*starmap(_times, counts.items()), *by_fixture]),
                by_fixture=bool(found.fixture),
            )
            for name, counts in sentences.items()
        )

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, Any, Any]:
        """Tell which threads do not end, before the observer hands its report over."""
        for _ in range(_LOOKS):
            now = Effects.capture()
            self._threads = [found.reduced_to(now) for found in self._threads]
            if not any(found.effects for found in self._threads):
                break
            threading.Event().wait(_PAUSE)
        for found in self._threads:
            self._hand_over(found)
        return (yield)

    def _shorten(self, file: str) -> str:
        try:
            return Path(file).relative_to(self._config.rootpath).as_posix()
        except ValueError:
            return file


class _Imports:
    """What was imported first between two moments.

    Args:
        names: the modules that were asked for.
        origins: gives the verdicts on them.
    """

    def __init__(self, names: Iterable[str], origins: Origins) -> None:
        self._origins = origins
        self.foreign: list[str] = []
        #: Whether an installed package is among them; the standard library sets no variables.
        self.has_installed = False
        self._files: list[Path] = []
        for name in names:
            # An isolated test's modules wait in the lot.
            module = FINDER.lot.module(name) if name in FINDER.lot else sys.modules.get(name)
            if module is None:
                continue
            file = (namespace(module) or {}).get("__file__")
            if origins.verdict(name, module).origin is Origin.FOREIGN:
                self.foreign.append(name)
                self.has_installed |= type(file) is str and origins.is_installed(file)
            elif type(file) is str:
                self._files.append(Path(file))

    def are_asked_by(self, word: str, file: Path) -> bool:
        """Tell whether this file, or a first-party one that was imported, holds a word."""
        return any(_holds(each, word) for each in (file, *self._files))

    def anybody_says(self, word: str, file: Path) -> bool:
        """Tell whether this file, or any first-party one that is loaded, holds a word."""
        loaded = self._origins.first_party(sys.modules.copy()).values()
        files = [(namespace(module) or {}).get("__file__") for module in loaded]
        return self.are_asked_by(word, file) or any(
            _holds(Path(each), word) for each in files if type(each) is str
        )


def _holds(file: Path, word: str) -> bool:
    try:
        return word.encode() in bytes_of(file)
    except (OSError, ValueError):
        return False


def _take(counts: Counter[Effect], effect: Effect) -> bool:
    """Take one of an effect, if there is one."""
    if counts[effect] <= 0:
        return False
    counts[effect] -= 1
    return True


def _times(sentence: str, number: int) -> str:
    return sentence if number == 1 else f"{sentence[:-1]} ({number} times)."
