"""Modules that were executed, forgotten, and are executed again: a failure of theirs says so."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Generator, Iterator
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import pytest

from pytest_import_isolation.contents.findings import ASSIGNED, RELOADED
from pytest_import_isolation.fakes.missing import INTERCEPTOR
from pytest_import_isolation.leaks.touched import Touched
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.paths import absolute
from pytest_import_isolation.plugin.sections import add_section
from pytest_import_isolation.state.changes import FORGOTTEN, Changes
from pytest_import_isolation.state.origins import is_made_by_hand
from pytest_import_isolation.state.writing import put_in

if TYPE_CHECKING:
    from pytest_import_isolation.plugin.contained import Contained
    from pytest_import_isolation.window.parameters import Parameters
    from pytest_import_isolation.window.window import Window
    from pytest_import_isolation.window.world import World

TITLE = "import isolation"
_FRESH = (
    "{name} failed in its second execution in this process: this test executes it anew. If it can be "
    "executed only once, for example because it registers itself somewhere, keep it loaded:\n\n{remedy}"
)
_RESTORED = (
    "{name} was {how} by {who}, and isolation undid that. If this test relies on it, do it in a fixture of "
    "this test, or let such changes last:\n\n    [pytest]\n    import_isolation_contents = report\n"
)
_PLACED = (
    "{name} is not found: {who} put it into sys.modules, and isolation took that back. If what fails here "
    "relies on it, it fails alone, too. Let a conftest.py above both put it there."
)
_REACHED = (
    "{name} is not found: {who} found it by what was added to sys.path there, and isolation took that back. "
    "If what fails here relies on it, it fails alone, too. Let pytest add it for both:\n\n"
    "    [pytest]\n    pythonpath = {added}\n"
)
_HOOKS_OF_TESTS = "import-executions-in-tests"


class _Lost(NamedTuple):
    """A module that is found without isolation, because somebody did what isolation took back."""

    name: str
    who: str
    #: Folders that had been added to ``sys.path``; none if it was put into ``sys.modules``.
    added: tuple[str, ...] = ()

    def is_of(self, nodeid: str) -> bool:
        """Tell whether a test or file did it itself, or the file of a test did."""
        return self.who in (nodeid, nodeid.partition("::")[0])

    @property
    def sentence(self) -> str:
        """What has become of it, and how it is found by all."""
        if not self.added:
            return _PLACED.format(name=self.name, who=self.who)
        return _REACHED.format(name=self.name, who=self.who, added=shlex.join(self.added))


class Executions:
    """Remembers which modules the isolation forgot, and explains failures of their second execution.

    Args:
        manager: where the hooks are registered; those of tests once something was forgotten.
        root: the directory of the run.
    """

    def __init__(self, manager: pytest.PytestPluginManager, root: Path) -> None:
        self._manager = manager
        self._root = root
        #: Takes what was undone, if that is told.
        self.contained: Contained | None = None
        manager.register(self, "import-executions")
        self._forgotten: dict[str, str] = {}
        # What is found without isolation, and not with it: why, by the names of the modules.
        self._lost: dict[str, _Lost] = {}
        self._packages: dict[str, object] = {}
        # What test code did to the contents of modules and isolation undid, by name: how, and who did it.
        self._restored: dict[str, tuple[str, str]] = {}

    def note(self, changes: Changes, who: str, left: Window | World) -> None:
        """Take note of the modules that were forgotten after a test or file.

        Args:
            changes: what became of its modules.
            who: the test or file.
            left: what was closed, or left: it knows which packages it forgot, and what is nobody's leak.
        """
        if not changes:
            return
        if self.contained is not None:
            self.contained.note(changes, who, left.blameless)
        for name in changes.forgotten:
            self._forgotten.setdefault(name, who)
        for lost in _lost_of(changes, who, self._root):
            self._lost.setdefault(lost.name, lost)
        self._packages.update(left.forgotten_packages)
        for text in changes.contents:
            name, _, how = text.partition(": ")
            self._restored.setdefault(name, (how, who))
        if (self._forgotten or self._restored) and not self._manager.has_plugin(_HOOKS_OF_TESTS):
            self._manager.register(_HooksOfTests(self.explain), _HOOKS_OF_TESTS)

    def put_packages_back(self) -> None:
        """Let packages be there at the end as they are without isolation.

        Coverage looks up where the packages lie that it measures, to find the files that nobody imported.
        """
        for name, package in self._packages.items():
            if name not in sys.modules:
                put_in(name, package)

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Add to the report of a file that cannot be collected which module failed again."""
        report = yield
        call = getattr(report, "call", None)
        if report.failed and call is not None:
            self.explain(report, call.excinfo)
        return report

    def explain(
        self,
        report: pytest.TestReport | pytest.CollectReport,
        failure: pytest.ExceptionInfo[BaseException] | None,
    ) -> None:
        """Add to a report of a failure the reason, if a module failed that was executed before.

        Args:
            report: of a test or file.
            failure: what was raised.
        """
        if failure is None or report.outcome != "failed":
            return
        missed = map(self._lost.get, _missed_in(failure.value) if self._lost else ())
        lost = next(filter(None, missed), None)
        if lost is not None and not lost.is_of(report.nodeid):
            add_section(report, TITLE, lost.sentence)
            return
        for name in _modules_in(failure.value) if self._forgotten else ():
            if name in self._forgotten:
                add_section(report, TITLE, _sentence(name, self._forgotten[name]))
                return
        text = str(report.longrepr) if self._restored else ""
        touches = Touched(failure.value, text) if self._restored else bool
        meant = [
            (_how_clearly(text, name, how, touches), (name, how, who))
            for name, (how, who) in self._restored.items()
            if who != report.nodeid
        ]
        clearness, told = max(meant, key=itemgetter(0), default=((-1, 0), ("", "", "")))
        if clearness[0] >= 0:
            name, how, who = told
            add_section(report, TITLE, _RESTORED.format(name=name, how=how, who=who))

    def explain_fresh(
        self, report: pytest.TestReport, failure: pytest.ExceptionInfo[BaseException], window: Window
    ) -> None:
        """Add to a report of a failure the reason, if a module failed that a window had executed anew.

        Args:
            report: of a test.
            failure: what was raised.
            window: of the test, still open.
        """
        for name in _modules_in(failure.value):
            if window.absent.hides(name) and name in window.around.modules and name not in window.placed:
                remedy = _remedy(name, window.parameters)
                if remedy:
                    add_section(report, TITLE, _FRESH.format(name=name, remedy=remedy))
                return


class _HooksOfTests:
    """Explains the failures of tests; a hook that is called for each phase of each test has its price.

    Args:
        explain: adds the reason to the report.
    """

    def __init__(
        self, explain: Callable[[pytest.TestReport, pytest.ExceptionInfo[BaseException] | None], None]
    ) -> None:
        self._explain = explain

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Add to the report of a failing test which module failed when it was executed again.

        That is there before the wrappers of other plugins see the report: they may read its text.
        """
        report = yield
        if call.excinfo is not None:
            self._explain(report, call.excinfo)
        return report


def _how_clearly(text: str, name: str, how: str, touches: Callable[[str], bool]) -> tuple[int, int]:
    """Return the more, the more clearly a failure speaks of what was done; first a negative if it does not.

    Args:
        text: of the failure.
        name: a module that was executed again, or an attribute that was written to.
        how: what was done to it.
        touches: tells whether the failure touches a module.
    """

    def says(words: str) -> bool:
        return re.search(rf"\b{re.escape(words)}\b", text) is not None

    owner, _, last = name.rpartition(".")
    if how == RELOADED:
        return (1, len(name)) if says(name) else (0 if says(last) else -1, len(last))
    if says(last):
        return 2 if says(owner.rpartition(".")[2]) else 1, len(last)
    # What the code of a module reads need not be in the text, but what it misses is.
    return 1 if how == ASSIGNED and touches(owner) else -1, len(owner)


def _sentence(name: str, who: str) -> str:
    return (
        f"{name} failed in its second execution in this process: {who} imported it first, and isolation "
        "forgot it after that. If it can be executed only once, for example because it registers itself "
        "somewhere, keep it loaded:\n\n"
        f"    [pytest]\n    import_isolation_keep = {name}\n"
    )


def _lost_of(changes: Changes, who: str, root: Path) -> Iterator[_Lost]:
    """Yield what others find without isolation because somebody put it there, or added to ``sys.path``."""
    entries = (
        Path(absolute(item.item))
        for item in changes.items
        if item.where == "path" and item.change == "added" and item.outcome == "undone"
    )
    # A temporary folder is for one test.
    added = tuple(str(entry.relative_to(root)) for entry in entries if entry.is_relative_to(root))
    for name, _, after, outcome, _ in changes.modules:
        if outcome == FORGOTTEN and is_made_by_hand(after):
            yield _Lost(name, who)
        elif outcome == FORGOTTEN and added:
            yield _Lost(name, who, added)


def _missed_in(error: BaseException | None) -> Iterator[str]:
    """Yield the modules that were not found, when an exception was raised, and that nobody hides now."""
    for one in _errors_in(error):
        if type(one) is not ModuleNotFoundError or type(one.name) is not str or len(one.args) != 1:
            continue
        name, said = one.name, one.args[0]
        # A None in sys.modules, or code that raises the error itself, has other words.
        if type(said) is str and said == f"No module named {name!r}" and not INTERCEPTOR.hides(name):
            yield name


def _remedy(name: str, parameters: Parameters) -> str | None:
    """Return what lets a module stay loaded that was executed anew, or None if just that was asked for."""
    if name in parameters.fresh.texts:
        return None
    given = [
        f'{parameter}="{patterns.texts[0]}"' if len(patterns.texts) == 1 else f"{parameter}={list(patterns)}"
        for parameter, patterns in (("fresh", parameters.fresh), ("unloaded", parameters.unloaded))
        if patterns
    ]
    if not given:
        return f"    [pytest]\n    import_isolation_keep = {name}\n"
    return f'    @pytest.mark.isolated_imports({", ".join(given)}, keep="{name}")\n'


def _modules_in(error: BaseException | None) -> Iterator[str]:
    """Yield the modules whose body was running when an exception was raised, the innermost first."""
    for one in _errors_in(error):
        names = list(_modules_on(one.__traceback__))
        yield from reversed(names)


def _errors_in(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and those that led to it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _modules_on(traceback: TracebackType | None) -> Iterator[str]:
    while traceback is not None:
        frame = traceback.tb_frame
        name = frame.f_globals.get("__name__")
        if frame.f_code.co_name == "<module>" and type(name) is str:
            yield name
        traceback = traceback.tb_next
