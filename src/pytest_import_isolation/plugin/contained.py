"""What isolation undid in a run without a report: one line at the end of the run."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator
from typing import Any, Final

import pytest

from pytest_import_isolation.machinery.source_text import text_of
from pytest_import_isolation.parking.ownership import can_be_imported
from pytest_import_isolation.plugin.runner import Runner
from pytest_import_isolation.state.changes import FORGOTTEN, PUT_BACK, Changes
from pytest_import_isolation.state.origins import is_made_by_hand
from pytest_import_isolation.wording import listing

_KEY: Final = "import_isolation_contained"
_MOST_FILES: Final = 3
#: What pytest exchanges, and what runs a file as a script.
_OWN: Final = ("conftest", "__main__")
_MOST_NAMES: Final = 2


class Contained:
    """Takes note of what would have been left, by file.

    Args:
        config: the run.
        runner: knows what pytest itself puts on the path.
    """

    def __init__(self, config: pytest.Config, runner: Runner) -> None:
        self._config = config
        self._runner = runner
        self._names: dict[str, dict[str, None]] = {}

    def note(self, changes: Changes, who: str, blameless: Container[tuple[str, str]]) -> None:
        """Take note of what was undone after a test or file.

        Args:
            changes: what became of its modules.
            who: the test or file.
            blameless: what of it is nobody's leak, which the report does not tell either.
        """
        file = who.partition("::")[0]
        if os.path.isabs(file):
            file = os.path.relpath(file, self._config.rootpath)
        self._add(
            file,
            (
                told
                for what, told in self._undone(changes)
                if what not in blameless
                and (("replaced", what[1]) not in blameless or self._says_modules(file))
            ),
        )

    def _says_modules(self, file: str) -> bool:
        return "modules" in text_of(self._config.rootpath / file)

    def _add(self, file: str, names: Iterable[str]) -> None:
        for name in names:
            self._names.setdefault(file, {})[name] = None

    def _undone(self, changes: Changes) -> Iterator[tuple[tuple[str, str], str]]:
        """Yield what others would have met, and how it is told; a first import harms nobody."""
        for name, _, after, outcome, _ in changes.modules:
            is_told = name not in _OWN and can_be_imported(name)
            if is_told and (outcome == PUT_BACK or (outcome == FORGOTTEN and is_made_by_hand(after))):
                yield ("entry", name), name
        for where, item, change, outcome in changes.items:
            is_order_of_others = change == "moved" and where != "path"  # which harms nobody
            if outcome == "undone" and not is_order_of_others and not self._runner.is_own_entry(item):
                yield (where, item), f"sys.{where}"
        for name in changes.rebound:
            yield ("rebound", name), name

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Send what a worker knows to the controller: builtins only."""
        output = getattr(self._config, "workeroutput", None)
        if output is not None:
            output[_KEY] = {file: list(names) for file, names in self._names.items()}

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take what a worker sent."""
        for file, names in (getattr(node, "workeroutput", None) or {}).get(_KEY, {}).items():
            self._add(file, names)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say in one line what was contained."""
        if not self._names or self._config.get_verbosity() < -1:
            return
        told = [f"{file} ({listing(list(names), _MOST_NAMES)})" for file, names in self._names.items()]
        verb = "file was" if len(told) == 1 else "files were"
        terminalreporter.write_line(
            f"{len(told)} {verb} isolated: {listing(told, _MOST_FILES)}; --import-leak-report names the lines"
        )
