"""The pytest plugin. Only this package imports pytest, and it loads the rest when a run asks for it.

Enters:
    Options, marks and pytest's hooks.

Leaves:
    Windows around tests and files, and the report on the terminal and in files.

May use:
    Every other part of this package.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from pytest_import_isolation.plugin.loading import plain_imports

with plain_imports():
    from pytest_import_isolation.plugin.fixtures import (
        assert_importable,
        assert_no_circular_imports,
        fake_module,
        fresh_import,
        import_budget,
        isolated_imports,
        make_package,
        missing_modules,
        trace_imports,
    )
    from pytest_import_isolation.plugin.marker import DESCRIPTION, asked_by
    from pytest_import_isolation.plugin.options import Settings, add_options, give_back_path, read_settings

if TYPE_CHECKING:
    from pytest_import_isolation.plugin.boundaries import Boundaries
    from pytest_import_isolation.plugin.executions import Executions
    from pytest_import_isolation.plugin.interruptions import Interruptions
    from pytest_import_isolation.plugin.observer import Observer
    from pytest_import_isolation.plugin.plugin_fixtures import PluginFixtures
    from pytest_import_isolation.plugin.processes.parent_session import ProcessTests
    from pytest_import_isolation.plugin.runner import Runner
    from pytest_import_isolation.plugin.suite import SuiteIsolation
    from pytest_import_isolation.plugin.windows import ItemWindows
    from pytest_import_isolation.state.origins import Origins

__all__ = [
    "assert_importable",
    "assert_no_circular_imports",
    "fake_module",
    "fresh_import",
    "import_budget",
    "isolated_imports",
    "make_package",
    "missing_modules",
    "trace_imports",
]

#: ``sys.path`` before the suite changed it.
_path_at_start = sys.path.copy()

_settings_key = pytest.StashKey[Settings]()
_windows_key = pytest.StashKey["ItemWindows"]()
_parts_key = pytest.StashKey["_Parts"]()
_OBSERVER = "import-leak-observer"
_SUITE = "import-isolation-of-the-suite"
_PROCESSES = "import-isolation-processes"
#: An option that a process has which runs a test for another one.
_IN_CHILD = "import_isolation_in_child"
_MISTAKE = "import_isolation_mistake"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the options."""
    add_options(parser)


@pytest.hookimpl(
    hookwrapper=True
)  # one of the new style is a frame in the traceback of a conftest that fails
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> Generator[None, Any, None]:
    """Begin to watch, and to isolate, before the first conftest is loaded."""
    # Only the known arguments are parsed yet. A plugin that is loaded late misses this hook.
    option = early_config.known_args_namespace
    give_back_path(args, option)
    early_config.stash[_settings_key] = read_settings(early_config, option)
    suite = _start(early_config)
    if suite is None:
        yield
        return
    from pytest_import_isolation.plugin.sources import initial_conftests

    arguments = option.file_or_dir or early_config.getini("testpaths")
    suite.conftests.begin_initial(initial_conftests(early_config.invocation_params.dir, arguments))
    try:
        yield
    finally:
        suite.conftests.end_initial()


def pytest_configure(config: pytest.Config) -> None:
    """Describe the marker; begin now if the plugin was loaded too late for the conftests."""
    config.addinivalue_line("markers", DESCRIPTION)
    _start(config)
    settings = settings_of(config)
    if (settings.report or settings.isolate) and not settings.finds_beside:
        with plain_imports():
            from pytest_import_isolation.plugin.collected_modules import CollectedModules

        # After all others, so that it stands inside of them.
        config.pluginmanager.register(CollectedModules(_parts(config).origins), "import-isolation-collected")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Generator[None, None, None]:
    """Register the windows if a test asks for one, when conftests have added their marks."""
    yield
    try:
        asked = asked_by(items)
        if asked.windows or settings_of(config).isolate is not None:
            item_windows(config).prepare(items)
        if getattr(config.option, _IN_CHILD, False):
            return
        process = config.pluginmanager.get_plugin(_PROCESSES)
        if process is None and asked.processes:
            process = _start_processes(config)
        if process is not None:
            process.prepare(items)
    except pytest.UsageError as error:
        if hasattr(config, "workeroutput"):
            config.workeroutput[_MISTAKE] = [*map(str, error.args)]
        raise


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """End the run with the mistakes that an xdist worker found in marks."""
    mistakes = getattr(node, "workeroutput", {}).get(_MISTAKE)
    if mistakes is not None:
        raise pytest.UsageError(*mistakes)


def settings_of(config: pytest.Config) -> Settings:
    """Return the parsed options of a run."""
    if _settings_key not in config.stash:
        config.stash[_settings_key] = read_settings(config, config.option)
    return config.stash[_settings_key]


def item_windows(config: pytest.Config) -> ItemWindows:
    """Return the object that opens and closes the windows of this run's tests."""
    if _windows_key not in config.stash:
        with plain_imports():
            from pytest_import_isolation.fakes.missing import INTERCEPTOR
            from pytest_import_isolation.plugin.fixture_adoption import FixtureAdoption
            from pytest_import_isolation.plugin.window_hooks import OtherPlugins, ReportHooks, WindowHooks
            from pytest_import_isolation.plugin.windows import ItemWindows
            from pytest_import_isolation.watching.asked_imports import ASKED

        # Each window with a fake listens, and to begin costs as much as a short test.
        config.add_cleanup(ASKED.hold())
        parts = _parts(config)
        suite: SuiteIsolation | None = config.pluginmanager.get_plugin(_SUITE)
        windows = ItemWindows(
            config.pluginmanager,
            settings_of(config),
            parts.runner,
            parts.origins,
            _boundaries(config),
            parts.executions,
            parts.interruptions,
        )
        windows.hooks_of_tests, windows.hooks_of_reports = WindowHooks(windows), ReportHooks(windows)
        windows.hooks_of_others = OtherPlugins(windows, config.pluginmanager)
        INTERCEPTOR.listeners.append(windows.watch_reports)
        config.add_cleanup(partial(INTERCEPTOR.listeners.remove, windows.watch_reports))
        config.stash[_windows_key] = windows
        config.pluginmanager.register(windows, "isolated-import-windows")
        if settings_of(config).isolate == "test":
            windows.watch_tests()  # before conftests are loaded, so that their hooks are around them
        adoption = FixtureAdoption(windows.open, None if suite is None else suite.runs)
        config.pluginmanager.register(adoption, "isolated-imports-of-fixtures")
    return config.stash[_windows_key]


def _boundaries(config: pytest.Config) -> Boundaries | None:
    """Return what takes the changes that windows and worlds undo, if leaks are reported."""
    observer: Observer | None = config.pluginmanager.get_plugin(_OBSERVER)
    return None if observer is None else observer.boundaries


class _Parts(NamedTuple):
    """What the observer, the windows and the isolation of the suite share."""

    origins: Origins
    runner: Runner
    executions: Executions
    interruptions: Interruptions
    plugin_fixtures: PluginFixtures


def _parts(config: pytest.Config) -> _Parts:
    if _parts_key not in config.stash:
        with plain_imports():
            from pytest_import_isolation.plugin.executions import Executions
            from pytest_import_isolation.plugin.interruptions import Interruptions
            from pytest_import_isolation.plugin.plugin_fixtures import PluginFixtures
            from pytest_import_isolation.plugin.plugin_hooks import PluginHooks
            from pytest_import_isolation.plugin.runner import Runner
            from pytest_import_isolation.plugin.sections import SectionStyle
            from pytest_import_isolation.state.origins import Origins

        origins = Origins(settings_of(config).first_party)
        executions = Executions(config.pluginmanager, config.rootpath)
        interruptions = Interruptions()
        config.pluginmanager.register(interruptions, "import-isolation-interruptions")
        config.pluginmanager.register(SectionStyle(), "import-isolation-section-style")
        plugin_fixtures = PluginFixtures(config.pluginmanager, origins)
        config.pluginmanager.register(plugin_fixtures, "import-isolation-plugin-fixtures")
        config.pluginmanager.register(PluginHooks(config, origins), "import-isolation-plugin-hooks")
        runner = Runner(config, origins)
        config.stash[_parts_key] = _Parts(origins, runner, executions, interruptions, plugin_fixtures)
    return config.stash[_parts_key]


def _start(config: pytest.Config) -> SuiteIsolation | None:
    """Register the observer and the isolation of the suite, if the run asks for them."""
    settings, manager = settings_of(config), config.pluginmanager
    if settings.report and not manager.has_plugin(_OBSERVER):
        with plain_imports():
            from pytest_import_isolation.plugin.observer import Observer

        parts = _parts(config)
        observer = Observer(
            config, settings, parts.runner, parts.origins, parts.interruptions, parts.plugin_fixtures
        )
        manager.register(observer, _OBSERVER)
        if settings.effects:
            with plain_imports():
                from pytest_import_isolation.plugin.effects import EffectsObserver

            manager.register(
                EffectsObserver(config, parts.origins, observer.boundaries.found), "import-leak-effects"
            )
    if settings.isolate is None or manager.has_plugin(_SUITE):
        return None
    with plain_imports():
        from pytest_import_isolation.plugin.suite import SuiteIsolation

    parts = _parts(config)
    if not settings.report:
        with plain_imports():
            from pytest_import_isolation.plugin.contained import Contained

        parts.executions.contained = contained = Contained(config, parts.runner)
        manager.register(contained, "import-isolation-contained")
    suite = SuiteIsolation(
        settings,
        parts.runner,
        parts.origins,
        _boundaries(config),
        parts.executions,
        parts.interruptions,
    )
    manager.register(suite, _SUITE)
    watching: Observer | None = manager.get_plugin(_OBSERVER)
    if watching is not None:
        watching.put_away_last = suite.put_away_last
    item_windows(config)
    if settings.isolate.startswith("process"):
        _start_processes(config)
    return suite


def _start_processes(config: pytest.Config) -> ProcessTests:
    """Register what runs tests in processes of their own."""
    with plain_imports():
        from pytest_import_isolation.plugin.processes.parent_session import ProcessTests

    suite: SuiteIsolation | None = config.pluginmanager.get_plugin(_SUITE)
    runs = None if suite is None else suite.runs
    tests = ProcessTests(config, settings_of(config), runs, _path_at_start)
    config.pluginmanager.register(tests, _PROCESSES)
    return tests
