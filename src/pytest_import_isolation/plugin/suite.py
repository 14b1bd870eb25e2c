"""Isolation of a whole suite: what a test file does to the import state is there for that file alone.

The worlds of a run form chains. A *layer* belongs to a directory whose conftest or package changed the
import state. Inside it is either the world that all harmless files of the directory *share*, or the *own*
world of a file that changed something; and inside that, while tests run, the *run* of their file.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from pytest_import_isolation.contents.writers import Writers
from pytest_import_isolation.machinery.paths import CONFTEST, is_conftest
from pytest_import_isolation.plugin.conftest_worlds import ConftestWorlds
from pytest_import_isolation.plugin.executions import Executions
from pytest_import_isolation.plugin.file_runs import FileRuns
from pytest_import_isolation.plugin.file_worlds import FileWorlds
from pytest_import_isolation.plugin.interruptions import Interruptions
from pytest_import_isolation.plugin.options import Settings
from pytest_import_isolation.plugin.patched_everywhere import bring_back_for
from pytest_import_isolation.plugin.runner import Runner
from pytest_import_isolation.plugin.sources import Sources
from pytest_import_isolation.plugin.suite_worlds import SuiteWorlds
from pytest_import_isolation.state.origins import Origins

if TYPE_CHECKING:
    from pytest_import_isolation.plugin.boundaries import Boundaries


class SuiteIsolation:
    """The hooks that give every file and directory its world.

    Args:
        settings: its options.
        runner: knows the modules of pytest and its plugins.
        origins: gives the verdicts on modules.
        boundaries: is told what the worlds contain, if leaks are reported.
        executions: is told which modules were put away.
        interruptions: tears down what is still set up at the end of the run.
    """

    def __init__(
        self,
        settings: Settings,
        runner: Runner,
        origins: Origins,
        boundaries: Boundaries | None,
        executions: Executions,
        interruptions: Interruptions,
    ) -> None:
        self._interruptions = interruptions
        sources = Sources(Writers.of(origins).sources)
        finds_beside, puts_first = settings.finds_beside, settings.puts_first
        self._suite = suite = SuiteWorlds(settings, runner, origins, boundaries, executions, sources)
        self._files = FileWorlds(
            runner, origins, suite, sources, finds_beside=finds_beside, puts_first=puts_first
        )
        #: The worlds of directories.
        self.conftests = ConftestWorlds(runner, origins, suite, finds_beside=finds_beside)
        #: The worlds in which tests run.
        self.runs = FileRuns(suite, puts_first=puts_first)

    def pytest_plugin_registered(self, plugin: object) -> None:
        """Give a directory its layer if its conftest changed the import state."""
        if not isinstance(plugin, ModuleType):
            return
        file = getattr(plugin, "__file__", None)
        if file and is_conftest(file):
            self._suite.conftest_entry.note(Path(file), plugin)
            self.conftests.loaded(Path(file))

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Put the world in place in which something is collected, and put away what that changes."""
        if isinstance(collector, pytest.Directory):
            return (yield from self.conftests.collect_directory(collector.path / CONFTEST))
        file = collector.getparent(pytest.File)  # type: ignore[type-abstract]
        if file is None:
            return (yield)
        if file is not collector or file.path in self._suite.own:
            self._suite.swap(*self._suite.around(file.path), self._suite.home(file.path))
            try:
                return (yield)
            finally:
                if file.path in self._suite.own:
                    self._suite.record_collection(file.nodeid)
        return (yield from self._files.collect(file))

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, session: pytest.Session) -> None:
        """Let the hooks of conftests that look at all tests see the shared world."""
        self._suite.swap(self._suite.shared(session.path / CONFTEST))
        self.runs.begin_hooks()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Count the tests of each file."""
        self.runs.expect(session.items)

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, Any, None]:
        """Put the world of a test's file in place, and away again if the next test is of another file."""
        self.runs.begin_test(item)
        bring_back_for(item)
        outcome = yield
        if outcome.excinfo is None:  # an interrupted test stays in its world until its fixtures are torn down
            self.runs.end_test(item, nextitem)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Let the hooks of conftests see the shared world."""
        self._interruptions.tear_down(session)
        self.put_away_last(session)

    def put_away_last(self, session: pytest.Session) -> None:
        """Put the world of the last file away: no other file follows that would do so."""
        self._suite.swap(self._suite.shared(session.path / CONFTEST))

    def pytest_unconfigure(self) -> None:
        """End the worlds; what is in place stays, as it does without isolation."""
        self._suite.worlds.close()
