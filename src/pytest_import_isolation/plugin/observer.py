"""Watches the import state at every boundary of a run and says who changed it.

What happens between two boundaries is seen by the :class:`.LeakWatch`. Nothing is undone and no outcome is
changed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_import_isolation.contents.writers import Writers
from pytest_import_isolation.leaks.containers import items_of_lists
from pytest_import_isolation.leaks.leak_watch import LeakWatch
from pytest_import_isolation.leaks.loaded_before import LoadedBefore
from pytest_import_isolation.leaks.module_contents import ContentLeaks
from pytest_import_isolation.machinery.functions import function_of
from pytest_import_isolation.machinery.modules import ABSENT, top_level
from pytest_import_isolation.machinery.paths import is_conftest
from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.plugin.blame_hint import BlameHint, explains_all_failures
from pytest_import_isolation.plugin.boundaries import Boundaries
from pytest_import_isolation.plugin.content_boundaries import ContentBoundaries, note_lines
from pytest_import_isolation.plugin.fixture_changes import FixtureChanges
from pytest_import_isolation.plugin.fixture_functions import fixture_functions
from pytest_import_isolation.plugin.interruptions import Interruptions
from pytest_import_isolation.plugin.leak_sections import LeakSections
from pytest_import_isolation.plugin.options import Settings
from pytest_import_isolation.plugin.output import Output
from pytest_import_isolation.plugin.phases import Phases
from pytest_import_isolation.plugin.plugin_fixtures import PluginFixtures
from pytest_import_isolation.plugin.runner import Runner
from pytest_import_isolation.plugin.sources import Sources, import_root
from pytest_import_isolation.plugin.users_code import UsersCode
from pytest_import_isolation.report.records import ERROR, INFO, WARNING, Polluter, Report
from pytest_import_isolation.report.seen_from import relocation
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.watching.executed_modules import EXECUTED
from pytest_import_isolation.watching.import_log import ImportLog
from pytest_import_isolation.wording import count

_OWN = "pytest_import_isolation"


class Observer:
    """The hooks that watch.

    Args:
        config: the run.
        settings: its options.
        runner: knows the modules of pytest and its plugins.
        origins: gives the verdicts on modules.
        interruptions: tears down what is still set up at the end of the run.
        plugin_fixtures: knows the fixtures for which plugins answer.
    """

    #: Puts away what the last file has for itself; only worlds do that.
    put_away_last: Callable[[pytest.Session], None] | None = None

    def __init__(
        self,
        config: pytest.Config,
        settings: Settings,
        runner: Runner,
        origins: Origins,
        interruptions: Interruptions,
        plugin_fixtures: PluginFixtures,
    ) -> None:
        self._runner = runner
        self._interruptions = interruptions
        self._log = ImportLog()
        sources, isolates = Sources(Writers.of(origins).sources), settings.isolate is not None
        self._leak_watch = watch = LeakWatch(
            config.rootpath,
            origins,
            self._log,
            may_write=sources.may_write,
            is_own=runner.is_own,
            is_of_the_run=runner.is_test_file,
            entry_before=lambda name: self.boundaries.base.modules.get(name, ABSENT),
            exposes=not isolates,
        )
        self._interrupted = False
        self._output = Output(config, settings)
        self._start(config)
        self._items_at_start = items_of_lists()
        #: Judges what is different.
        self.boundaries = Boundaries(
            runner, origins, self._log, watch, self._watch_contents(config, settings, origins)
        )
        plugin_fixtures.kept = lambda: self.boundaries.base
        self._users_code = users_code = UsersCode(config.pluginmanager, origins, plugin_fixtures.plugin_of)
        fixture_changes = self._fixture_changes = self._follow_fixtures(origins, isolates=isolates)
        self._blame_hint = BlameHint(config)
        # The node id of the test that was reported first.
        self._first = ""
        self._phases = Phases(sources, self.boundaries, watch, fixture_changes, users_code, isolates=isolates)
        self._sections = self._tell_failures(config, settings, origins)
        config.pluginmanager.register(self._sections, "import-leak-sections")
        watch.statements.start()
        config.pluginmanager.register(fixture_changes, "import-leaks-of-fixtures")
        taken_back = self.boundaries.contents.of_fixtures.taken_back
        config.pluginmanager.register(taken_back, "import-leaks-taken-back")

    def _place_in_test(self, name: str) -> tuple[str, int] | None:
        """Return where the running test, or file, says the name of a module, or else where it begins."""
        here, places = self._leak_watch.here, self._leak_watch.places
        if here is None or not here.nodeid:
            return None
        if self.boundaries.test is not None:
            note_lines(places, self.boundaries.test)
        said, lines = places.of_text(here, name), places.lines_of(here.nodeid)
        if said is not None and (lines is None or said.line in lines):
            return str(places.file_of(here)), said.line
        return str(places.file_of(here)), 1 if lines is None else lines.start

    def _watch_contents(
        self, config: pytest.Config, settings: Settings, origins: Origins
    ) -> ContentBoundaries:
        watch = self._leak_watch
        return ContentBoundaries(
            config,
            origins,
            ContentLeaks(origins, watch.places, Writers.of(origins)),
            watch.found,
            lambda: watch.here,
            lambda: self._log.reloads,
            is_on=settings.contents != "off",
            is_undone=settings.isolate is not None and settings.contents == "undo",
        )

    def _follow_fixtures(self, origins: Origins, *, isolates: bool) -> FixtureChanges:
        watch = self._leak_watch
        return FixtureChanges(
            self._runner,
            origins,
            watch.judge,
            watch.found,
            watch.tainted,
            self.boundaries.contents,
            self.boundaries.originals,
            self._users_code,
            isolates=isolates,
        )

    def _tell_failures(self, config: pytest.Config, settings: Settings, origins: Origins) -> LeakSections:
        watch = self._leak_watch
        loaded_before = LoadedBefore(
            origins,
            watch.code,
            watch.found,
            is_of_the_run=self._runner.is_test_file,
            entry_before=lambda name: self.boundaries.base.modules.get(name, ABSENT),
            must_stay=settings.keep.match,
        )
        relocate = relocation(config.rootpath, config.invocation_params.dir)
        around = (self._blame, self._hint)
        return LeakSections(watch.found, loaded_before, lambda: self.boundaries.test, around, relocate)

    def _start(self, config: pytest.Config) -> None:
        self._leak_watch.code.place_in_test = self._place_in_test
        FINDER.listen(self._log)
        EXECUTED.start()
        self._log.hear_ends(EXECUTED)
        config.add_cleanup(self._stop)

    def _stop(self) -> None:
        FINDER.unlisten(self._log)
        self._log.hear_no_ends(EXECUTED)
        EXECUTED.stop()
        self._leak_watch.stop()

    # The hooks of conftests and of collection

    def pytest_plugin_registered(self, plugin: object) -> None:
        """Attribute what changed to a conftest that was just loaded."""
        self._users_code.note_plugin()
        file = getattr(plugin, "__file__", None) if isinstance(plugin, ModuleType) else None
        if file and is_conftest(file):
            self._expect(Path(file), file)
            self.boundaries.cut(Polluter(self._leak_watch.places.shorten(file), "conftest"), worst=WARNING)

    def pytest_sessionstart(self) -> None:
        """What happened before belongs to the configuration of the run."""
        self._leak_watch.stop_tracing()
        self.boundaries.cut(Polluter("", "configure"), worst=WARNING)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Generator[None, Any, Any]:
        """Attribute to a file what its collection changes."""
        boundaries, around = self.boundaries, self._leak_watch.here
        here = Polluter(collector.nodeid, "collect")
        is_part = isinstance(collector, pytest.Class) and boundaries.begin_part(here)
        if not is_part:
            boundaries.cut_between()
        self._leak_watch.here = here
        if not is_part:
            boundaries.contents.begin_file()
        if isinstance(collector, (pytest.Module, pytest.Package)):
            is_package = isinstance(collector, pytest.Package)
            imported = collector.path / "__init__.py" if is_package else collector.path
            self._expect(imported, str(collector.path))
            mode = collector.config.getoption("importmode", "prepend")
            # A package is not imported when it is collected, and a test file under a name of its own then.
            if not is_package and mode != "importlib":
                self._leak_watch.clashes.expect_package(collector.path, comes_first=mode == "prepend")
            if not is_package:
                boundaries.contents.begin_collection()
        is_folder = isinstance(collector, pytest.Directory)
        if is_folder and (conftest := collector.path / "conftest.py").is_file():
            self._runner.expect_entry_for(conftest)  # also if it raises
        with self._leak_watch.watching(collector.path / "conftest.py" if is_folder else collector.path):
            try:
                report: pytest.CollectReport = yield
                if report.failed:
                    self._blame()
            finally:
                boundaries.take_patched_imports()
                boundaries.contents.patched.imports.end_collection()
                if not is_part or boundaries.has_changes():
                    boundaries.cut(here)
                    boundaries.note_collected(here)
                self._leak_watch.here = around
        self._sections.note_collection(report)
        return report

    def _expect(self, path: Path, adder: str) -> None:
        """Expect that pytest puts the directory of a test file or conftest on the path."""
        self._runner.expect_entry_for(path)
        self._leak_watch.clashes.expect(import_root(path), adder, is_kept=True)

    # The hooks of tests

    # Users' code may raise here: a wrapper of the new style is a frame in its traceback.
    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, None]:
        """Attribute to a test what is different after it."""
        self._phases.begin_test(item)
        if self._leak_watch.statements.is_always_on:
            outcome = yield
        else:
            with self._leak_watch.watching(item.path, *_files_of(item)):
                outcome = yield
        if outcome.excinfo is None:  # an interrupted test ends when its fixtures are torn down
            self._phases.end_test(item)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Note what a test changed up to now that is run again."""
        self._phases.begin_again(item)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self) -> None:
        """Note what the setup of a test changed."""
        self._phases.begin_call()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        """Note what the call of a test changed."""
        self._phases.begin_teardown(item, nextitem)
        self._fixture_changes.begin_teardowns(item)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Tell a failing test which leaks it met."""
        if not self._first:
            self._first = report.nodeid
        if report.outcome == "passed" and not self._leak_watch.exposures:
            return
        # With xdist the controller sees the reports of its workers, which have told their tests already.
        self._sections.note_test(report)
        self._blame_hint.add(report, self._first, is_logged=True)

    def _blame(self) -> None:
        """Say who made the changes that a failing test may have met."""
        self._leak_watch.blame_for_evictions()
        here, tainted = self._leak_watch.here, self._leak_watch.tainted
        if here is not None:
            if tainted.holds_any:
                self._fixture_changes.note_user(self.boundaries.test)
                tainted.blame(here.nodeid)
            self.boundaries.contents.blame_for_reloads(self._log.reloads, here)

    def _hint(self, report: pytest.TestReport) -> None:
        """Name the command for a failure that nothing explains, before it is logged."""
        self._blame_hint.add(report, self._first or report.nodeid, is_logged=False)

    # The end

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Remember that the user, or pytest.exit(), ended the run; errors at collection do not count."""
        self._interrupted = not isinstance(excinfo.value, pytest.Session.Interrupted)

    def pytest_internalerror(self) -> None:
        """Remember that the run ended early, as with a file that calls sys.exit() when it is imported."""
        self._interrupted = True

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, Any, Any]:
        """Judge the rest, and hand the report over before the terminal's summary."""
        self._interruptions.tear_down(session)
        if self.boundaries.test is not None:  # the run was interrupted in a test
            self._phases.end_test(self.boundaries.test)
        self._fixture_changes.end_rest()
        self._leak_watch.tainted.end_all()
        # Fixtures may have been torn down after the last test.
        self.boundaries.cut_between(self._fixture_changes.explained)
        if self.put_away_last is not None:
            self.put_away_last(session)
        # Isolation keeps what is a library's, although a test had it installed.
        self.boundaries.found.uncontain(items_of_lists() - self._items_at_start)
        failures, failure = self._leak_watch.statements.failures
        if failures:
            looks = count(failures, "look")
            self._output.remark(f"{looks} at lines failed, and what changed there is inferred: {failure}")
        # Nobody asks who imported this plugin.
        excused = self.boundaries.contents.patched.excused
        of_fixtures = self.boundaries.contents.of_fixtures
        taken_back = of_fixtures.reloads.taken_back
        undone = self.boundaries.undone.numbers | of_fixtures.taken_back.numbers
        leaks = tuple(
            leak
            for number, leak in enumerate(self.boundaries.found.with_exposures())
            if (leak.severity != INFO or top_level(leak.name) != _OWN)
            and (leak.severity == ERROR or number not in excused)
            and (leak.exposed or number not in undone)
            and (number not in taken_back or any(met.outcome != "passed" for met in leak.exposed))
        )
        report = Report(leaks, complete=not self._interrupted)
        self._output.finish(session, report, is_explained=explains_all_failures(session))
        return (yield)


def _files_of(item: pytest.Item) -> list[Path]:
    """Return the files of a test's fixtures."""
    functions = map(function_of, fixture_functions(item))
    return sorted({Path(function.__code__.co_filename) for function in functions if function is not None})
