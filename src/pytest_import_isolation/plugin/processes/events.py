"""The events of a test: told by the child, and seen by the plugins of the parent."""

from __future__ import annotations

import contextlib
import pickle
import sys
import warnings
from collections.abc import Callable
from typing import Any, Final

import pytest
from _pytest._code.code import ExceptionRepr

from pytest_import_isolation.processes.child import Parent
from pytest_import_isolation.processes.frames import unpickled

try:
    from _pytest.subtests import failed_subtests_key

    _subtests_key: Any = failed_subtests_key
except ImportError:  # this pytest has no subtests, or counts them elsewhere
    _subtests_key = None

#: The hooks whose events are told. In the child only those see them who need them there.
_TOLD: Final = (
    "pytest_runtest_logstart",
    "pytest_runtest_logreport",
    "pytest_runtest_logfinish",
    "pytest_warning_recorded",
)
#: Plugins of pytest that take note of an event for what comes next in the same process: whether to stop with
#: --stepwise, and which phase a live log belongs to. So does the session, with --maxfail.
_NEED_THEM: Final = frozenset(("stepwiseplugin", "logging-plugin"))
_OURS: Final = __name__.partition(".")[0] + "."


class Forwarder:
    """The hooks that tell the events of a test to the parent of this process.

    It is registered before any process is forked: a plugin that is registered later is told all warnings
    that there were before.

    Args:
        config: the run.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._parent: Parent | None = None
        self._is_begun = ""
        self._names_told: frozenset[str] = frozenset()
        self._kept: dict[str, list[Any]] = {}
        self._old: list[Any] = []
        self._writer: Any = None
        self._junit: Any = None
        config.pluginmanager.register(self, "import-isolation-event-forwarder")

    def begin(self, parent: Parent) -> None:
        """Tell all events from now on, and let nobody else in this process see them."""
        self._parent = parent
        for name, kept in (self._kept or self.choose()).items():
            caller = getattr(self._config.hook, name)
            # Its own list: to unregister plugins would be events, and slow. The old one stays alive, since to
            # free it is to write to all that is in it.
            self._old.append(caller._hookimpls)
            caller._hookimpls = kept
        if self._writer is not None:
            self._writer._file = _TerminalFile(self._writer._file, parent)
        if self._junit is not None:
            self._divert_junit(parent, self._junit)

    def choose(self) -> dict[str, list[Any]]:
        """Choose who sees the events in a child, and find what is diverted there: in the parent, once."""
        hook, manager = self._config.hook, self._config.pluginmanager
        self._kept = {
            name: [
                one
                for one in getattr(hook, name).get_hookimpls()
                if isinstance(one.plugin, pytest.Session)
                or type(one.plugin).__module__.startswith(_OURS)
                or manager.get_name(one.plugin) in _NEED_THEM
            ]
            for name in _TOLD
        }
        writer = getattr(manager.get_plugin("terminalreporter"), "_tw", None)
        self._writer = writer if hasattr(writer, "_file") else None
        self._junit = junit_of(self._config)
        return self._kept

    def expect(self, nodeid: str) -> None:
        """Let the next event be the begin of a test, which the parent has told already."""
        self._is_begun = nodeid

    def _divert_junit(self, parent: Parent, junit: Any) -> None:
        junit.add_global_property = lambda name, value: parent.tell("property", name, value)
        junit.node_reporter = lambda report: _JunitReporter(parent, str(getattr(report, "nodeid", report)))

    # The hooks

    def pytest_runtest_logstart(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        """Tell that a test begins again; its first begin is known."""
        if self._parent is None:
            return
        if self._is_begun == nodeid:
            self._is_begun = ""
            return
        self._parent.tell("start", nodeid, location)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Tell what a phase came to."""
        if self._parent is None:
            return
        self._names_told = frozenset(vars(report))
        if type(report) is pytest.TestReport and (report.longrepr is None or type(report.longrepr) is tuple):
            # As it is: most reports have nothing that pytest would have to make another form of.
            fields = {**vars(report), "nodeid": report.nodeid}
            fields.pop("_id", None)
            # A crash after a setup or a call must be told as one of the next phase; after a teardown, nothing
            # but plugins could crash.
            tell = self._parent.tell_soon if report.when == "teardown" else self._parent.tell
            tell("plain", fields, _failed_subtests(self._config).get(_key(report), 0))
        else:
            data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
            failed = _failed_subtests(self._config).get(_key(report), 0)
            self._parent.tell("report", data, _whole(report), failed)

    @pytest.hookimpl(trylast=True)
    def pytest_exception_interact(self, report: object) -> None:
        """Tell what plugins did to a report that was told, as the one for ``--pdb`` does that shows it."""
        if self._parent is not None and isinstance(report, pytest.TestReport):
            added = {name: value for name, value in vars(report).items() if name not in self._names_told}
            if added:
                self._parent.tell("amended", added)

    def pytest_runtest_logfinish(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        """Tell that a test is over."""
        if self._parent is not None:
            self._parent.tell_soon("finish", nodeid, location)

    def pytest_warning_recorded(
        self,
        warning_message: warnings.WarningMessage,
        when: str,
        nodeid: str,
        location: tuple[str, int, str] | None,
    ) -> None:
        """Tell a warning."""
        if self._parent is not None:
            self._parent.tell("warning", *_warning_as_builtins(warning_message), when, nodeid, location)


def _whole(report: Any) -> bytes:
    """Return a report as a whole, as far as that can be done, if pytest would make another one of it.

    So it does with reports of other types than its own, and with failures that are not tracebacks: those of
    doctests, or a fixture that it does not find.
    """
    kind = type(report.longrepr)
    if type(report) is not pytest.TestReport or not (kind is str or issubclass(kind, ExceptionRepr)):
        with contextlib.suppress(Exception):  # it may hold anything
            return pickle.dumps(report)
    return b""


class _TerminalFile:
    """What the terminal of a child writes to; all else that is asked of the file is the file's."""

    def __init__(self, file: Any, parent: Parent) -> None:
        self._file = file
        self._parent = parent

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, text: str) -> int:
        self._parent.tell("terminal", text)
        return len(text)

    def flush(self) -> None:
        """Do nothing: what was told is on its way."""


class _JunitReporter:
    """Takes the attributes that a test gives itself in the file of ``--junitxml``."""

    def __init__(self, parent: Parent, nodeid: str) -> None:
        self._parent = parent
        self._nodeid = nodeid

    def add_attribute(self, name: str, value: object) -> None:
        self._parent.tell("attribute", self._nodeid, name, value)


def junit_of(config: pytest.Config) -> Any:
    """Return what writes the file of ``--junitxml``, or None."""
    try:
        from _pytest.junitxml import xml_key

        return config.stash.get(xml_key, None)
    except ImportError:
        return None


def _warning_as_builtins(recorded: warnings.WarningMessage) -> tuple[Any, ...]:
    kind, message = type(recorded.message), recorded.message
    return (
        kind.__module__,
        kind.__qualname__,
        str(message),
        getattr(message, "args", ()),
        recorded.filename,
        recorded.lineno,
        recorded.line,
    )


def _warning(module: str, name: str, text: str, args: tuple[Any, ...], *place: Any) -> Any:
    """Return a warning that was recorded in a child, as the same type if this process has it too."""
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    message: Warning | None = None
    if isinstance(found, type) and issubclass(found, Warning):
        try:
            message = found(*args)
            message = message if str(message) == text else None
        except Exception:  # its constructor may want something else than what is in args
            message = None
    if message is None:
        kind: Any = type(name.rpartition(".")[2], (Warning,), {"__module__": module})
        message = kind(text)
    return warnings.WarningMessage(message, type(message), *place)


def _failed_subtests(config: pytest.Config) -> dict[Any, int]:
    """Return how many subtests of each test failed: pytest asks for that where it shows the test."""
    if _subtests_key is None:
        return {}
    failed: dict[Any, int] = config.stash.get(_subtests_key, {})
    return failed


def _key(report: Any) -> Any:
    return getattr(report, "id", report.nodeid)


class Replay:
    """Lets the plugins of this process see the events that a child tells.

    Args:
        config: the run.
        item: the test.
    """

    def __init__(self, config: pytest.Config, item: pytest.Item) -> None:
        self._config = config
        self._item = item
        self._hook = item.ihook
        #: The phase that runs as far as it is known.
        self.phase = "setup"
        #: Whether the end of the test was told.
        self.is_finished = False
        #: What the terminal of the child printed.
        self.printed = ""
        self._report_told: Any = None
        self._handlers: dict[str, Callable[..., None]] = {
            "start": self._start,
            "report": self._report,
            "plain": self._plain,
            "amended": self._amend,
            "finish": self._finish,
            "warning": self._warn,
            "terminal": self._print,
            "property": self._add_property,
            "attribute": self._add_attribute,
        }

    def handle(self, kind: str, values: tuple[Any, ...]) -> bool:
        """Take an event; tell whether it was one."""
        handler = self._handlers.get(kind)
        if handler is None:
            return False
        handler(*values)
        return True

    def _start(self, nodeid: str, location: Any) -> None:
        self._hook.pytest_runtest_logstart(nodeid=nodeid, location=location)

    def _report(self, data: Any, whole: bytes, failed_subtests: int) -> None:
        report = unpickled(whole) if whole else None
        if report is None:
            report = self._config.hook.pytest_report_from_serializable(config=self._config, data=data)
        if report is not None:
            self._log(report, failed_subtests)

    def _plain(self, fields: dict[str, Any], failed_subtests: int) -> None:
        self._log(pytest.TestReport(**fields), failed_subtests)

    def _log(self, report: Any, failed_subtests: int) -> None:
        vars(report).pop("$report_type", None)  # pytest leaves it there
        if failed_subtests:
            _failed_subtests(self._config)[_key(report)] = failed_subtests
        self._note_phase(report)
        self._report_told = report
        self._hook.pytest_runtest_logreport(report=report)

    def _amend(self, fields: dict[str, Any]) -> None:
        if self._report_told is not None:
            vars(self._report_told).update(fields)

    def _note_phase(self, report: Any) -> None:
        if type(report) is not pytest.TestReport:  # a subtest's, for example
            return
        if report.when == "setup":
            self.phase = "call" if report.outcome == "passed" else "teardown"
        elif report.when == "call":
            self.phase = "teardown"
        elif report.when == "teardown":
            self.phase = "end"

    def _finish(self, nodeid: str, location: Any) -> None:
        self.is_finished = True
        self._hook.pytest_runtest_logfinish(nodeid=nodeid, location=location)

    def _warn(self, *values: Any) -> None:
        *recorded, when, nodeid, location = values
        self._hook.pytest_warning_recorded.call_historic(
            kwargs={
                "warning_message": _warning(*recorded),
                "when": when,
                "nodeid": nodeid,
                "location": location,
            }
        )

    def _print(self, text: str) -> None:
        self.printed += text
        terminal: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None:
            # What it printed is marked up already.
            terminal.write(text, flush=True)

    def _add_property(self, name: str, value: object) -> None:
        junit = junit_of(self._config)
        if junit is not None:
            junit.add_global_property(name, value)

    def _add_attribute(self, nodeid: str, name: str, value: object) -> None:
        junit = junit_of(self._config)
        if junit is not None:
            junit.node_reporter(nodeid).add_attribute(name, value)
