"""The pytest plugin. Only this package imports pytest, and it loads the rest when a run asks for it."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_import_isolation.plugin.fixtures import (
    fake_module,
    fresh_import,
    isolated_imports,
    make_package,
    missing_modules,
)
from pytest_import_isolation.plugin.marker import DESCRIPTION, parameters_of
from pytest_import_isolation.plugin.options import Settings, add_options, read_settings

if TYPE_CHECKING:
    from pytest_import_isolation.plugin.observer import Observer
    from pytest_import_isolation.plugin.windows import ItemWindows

__all__ = ["fake_module", "fresh_import", "isolated_imports", "make_package", "missing_modules"]

_settings_key = pytest.StashKey[Settings]()
_windows_key = pytest.StashKey["ItemWindows"]()
_OBSERVER = "import-leak-observer"
_MISTAKE = "import_isolation_mistake"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the options."""
    add_options(parser)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, Any, Any]:
    """Begin to watch before the first conftest is loaded."""
    # Only the known arguments are parsed yet. A plugin that is loaded late misses this hook.
    early_config.stash[_settings_key] = read_settings(early_config, early_config.known_args_namespace)
    _start_observer(early_config)
    return (yield)


def pytest_configure(config: pytest.Config) -> None:
    """Describe the marker; begin to watch now if the plugin was loaded too late for the conftests."""
    config.addinivalue_line("markers", DESCRIPTION)
    _start_observer(config)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Generator[None, None, None]:
    """Register the windows if a test asks for one, when conftests have added their marks."""
    yield
    try:
        if any(parameters_of(item) is not None for item in items):
            item_windows(config).prepare(items)
    except pytest.UsageError as error:
        if hasattr(config, "workeroutput"):
            config.workeroutput[_MISTAKE] = str(error)
        raise


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """End the run with the mistake that an xdist worker found in a mark."""
    mistake = getattr(node, "workeroutput", {}).get(_MISTAKE)
    if mistake is not None:
        raise pytest.UsageError(mistake)


def settings_of(config: pytest.Config) -> Settings:
    """Return the parsed options of a run."""
    if _settings_key not in config.stash:
        config.stash[_settings_key] = read_settings(config, config.option)
    return config.stash[_settings_key]


def item_windows(config: pytest.Config) -> ItemWindows:
    """Return the object that opens and closes the windows of this run's tests."""
    if _windows_key not in config.stash:
        from pytest_import_isolation.plugin.runner import Runner
        from pytest_import_isolation.plugin.windows import ItemWindows

        windows = ItemWindows(settings_of(config), Runner(config), config.pluginmanager.get_plugin(_OBSERVER))
        config.stash[_windows_key] = windows
        config.pluginmanager.register(windows, "isolated-import-windows")
    return config.stash[_windows_key]


def _start_observer(config: pytest.Config) -> None:
    if config.pluginmanager.has_plugin(_OBSERVER) or not settings_of(config).report:
        return
    from pytest_import_isolation.plugin.observer import Observer

    observer: Observer = Observer(config, settings_of(config))
    config.pluginmanager.register(observer, _OBSERVER)
