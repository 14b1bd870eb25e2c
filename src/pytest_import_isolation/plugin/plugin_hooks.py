"""What installed plugins change in their hooks, while files are collected and tests run.

No code of ours can stand around a hook of theirs without being a frame in its traceback. So a change that no
text of the users says is put down to a plugin whose code can make it, if there is one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from pytest_import_isolation.machinery.modules import ABSENT, file_of, top_level
from pytest_import_isolation.machinery.paths import is_conftest
from pytest_import_isolation.machinery.source_text import text_of
from pytest_import_isolation.parking.ownership import Ownership, says
from pytest_import_isolation.plugin.runner import RUNNERS
from pytest_import_isolation.plugin.sources import Sources
from pytest_import_isolation.state.origins import Origin, Origins
from pytest_import_isolation.state.single_changes import SingleChange
from pytest_import_isolation.watching.executed_modules import EXECUTED
from pytest_import_isolation.watching.makers import Maker

_TOLD: Final = frozenset(("entry", "path", "meta_path", "path_hooks", "import_function"))
#: They run tests, and isolate them.
_OWN: Final = RUNNERS | {"pytest_import_isolation"}
#: Hooks of the begin and the end of a run: what they do is not the doing of a test.
_OUTSIDE: Final = frozenset(
    (
        *("pytest_addoption", "pytest_addhooks", "pytest_plugin_registered", "pytest_configure"),
        *("pytest_cmdline_parse", "pytest_cmdline_main", "pytest_load_initial_conftests"),
        *("pytest_sessionstart", "pytest_sessionfinish", "pytest_unconfigure", "pytest_terminal_summary"),
    )
)


class PluginHooks:
    """Guesses which plugin made a change.

    Args:
        config: the run.
        origins: gives the verdicts on modules.
    """

    def __init__(self, config: pytest.Config, origins: Origins) -> None:
        self._manager = config.pluginmanager
        self._origins = origins
        self._ownership = Ownership(origins)
        # The modules of plugins by what they can change; made again when there is another plugin.
        self._able: dict[str, list[Maker]] = {}
        self._sources = Sources()
        # What is collected or run.
        self._file: Path | None = None
        EXECUTED.makers.guesses.append(self._guess)
        config.add_cleanup(self._stop)

    def _stop(self) -> None:
        EXECUTED.makers.guesses.remove(self._guess)

    @pytest.hookimpl(tryfirst=True)
    def pytest_plugin_registered(self) -> None:
        """Look at the plugins again."""
        self._able.clear()

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        """Take note of what is collected."""
        self._file = getattr(collector, "path", None)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        """Take note of what runs."""
        self._file = item.path

    def _guess(self, change: SingleChange) -> Maker | None:
        if change.what not in _TOLD or change.key == "order":
            return None
        if change.what not in self._able:
            self._able[change.what] = list(self._find_able(change.what))
        able = self._able[change.what]
        if not able or (change.what == "entry" and not self._is_by_hand(change)):
            return None
        return None if self._is_said_by_users(change) else able[0]

    def _find_able(self, what: str) -> Iterator[Maker]:
        for plugin in self._manager.get_plugins():
            for caller in self._manager.get_hookcallers(plugin) or ():
                if caller.name in _OUTSIDE:
                    continue
                for hook in caller.get_hookimpls():
                    name = str(getattr(hook.function, "__module__", ""))
                    if hook.plugin is plugin and top_level(name) not in _OWN:
                        module = sys.modules.get(name)
                        if self._ownership.is_able_plugin(module, what):
                            yield Maker(name, file_of(module), is_call=True)

    def _is_by_hand(self, change: SingleChange) -> bool:
        if type(change.key) is not str or change.after is ABSENT:
            return False
        return self._origins.verdict(change.key, change.after).origin is Origin.FAKE

    def _is_said_by_users(self, change: SingleChange) -> bool:
        """Tell whether a text of the users' own can make a change, as far as it can have run."""
        if self._file is not None and not self._sources.only_reads(self._file):
            return True
        for name, module in sys.modules.copy().items():
            file = file_of(module)
            if type(name) is not str or file is None or not self._origins.is_first_party(name, module):
                continue
            if is_conftest(file):
                if not self._sources.only_reads(Path(file)):
                    return True
            elif not self._origins.is_test_file(file):
                text = text_of(file)
                if says(text, change.what) and (change.what != "entry" or change.key in text):
                    return True
        return False
