"""The events of a test: told by the child, and seen by the plugins of the parent."""

from __future__ import annotations

import contextlib
import logging
import pickle
import sys
import warnings
from collections.abc import Callable, Collection
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
#: --stepwise, and which phase a live log belongs to.
_NEED_THEM: Final = frozenset(("stepwiseplugin", "logging-plugin"))
#: What is not extra in a report. pytest has the node id under another name too.
_FIELDS: Final = frozenset(
    (
        *("nodeid", "_id", "location", "keywords", "outcome", "longrepr", "when", "sections"),
        *("duration", "start", "stop", "user_properties"),
    )
)
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
        self._session: pytest.Session | None = None
        self._is_begun = ""
        self._names_told: Collection[str] = ()
        self._kept: list[_Seen] = []
        self._writer: Any = None
        self._diverted: Any = None
        #: What writes the file of ``--junitxml``, if something does.
        self.junit: Any = None
        self._failed_subtests: dict[Any, int] = {}
        config.pluginmanager.register(self, "import-isolation-event-forwarder")

    def prepare(self, parent: Parent) -> None:
        """Tell all events from now on, and let nobody else in this process see them.

        This is done before a fork, and undone in the parent: what a child writes to is copied.
        """
        self._parent = parent
        # Not twice, if the parent did not undo it.
        if self._writer is not None and self._writer._file is not self._diverted:
            self._diverted.file = self._writer._file
            self._writer._file = self._diverted
        for seen in self._kept:
            # Its own list: to unregister plugins would be events, and slow.
            seen.all = seen.caller._hookimpls
            seen.caller._hookimpls = seen.kept

    def stay(self) -> None:
        """Be in the parent, after a fork."""
        self._parent = None
        if self._writer is not None:
            self._writer._file = self._diverted.file
        for seen in self._kept:
            seen.caller._hookimpls = seen.all

    def divert_junit(self) -> None:
        """Tell what a test adds to the file of ``--junitxml``, in the child."""
        if self.junit is not None and self._parent is not None:
            _divert_junit(self._parent, self.junit)

    def choose(self, session: pytest.Session) -> None:
        """Choose who sees the events in a child, and find what is diverted there: in the parent, once."""
        self._session = session
        for name in _TOLD:
            caller: Any = getattr(self._config.hook, name)
            kept = [one for one in caller.get_hookimpls() if self._needs(one.plugin)]
            self._kept.append(_Seen(caller, kept))
        terminal: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        writer: Any = getattr(terminal, "_tw", None)
        if hasattr(writer, "_file"):
            self._writer, self._diverted = writer, _TerminalFile(writer._file, self)
        self.junit = junit_of(self._config)
        self._failed_subtests = _failed_subtests(self._config)

    def _needs(self, plugin: object) -> bool:
        """Tell whether a plugin must see the events in a child."""
        name = self._config.pluginmanager.get_name(plugin)
        if name == "logging-plugin" and isinstance(
            getattr(plugin, "log_cli_handler", None), logging.NullHandler
        ):
            return False  # no live log shows which phase a record belongs to
        return type(plugin).__module__.startswith(_OURS) or name in _NEED_THEM

    def tell(self, *message: object) -> None:
        """Tell the parent something that is no event of a hook."""
        if self._parent is not None:
            self._parent.tell(*message)

    def expect(self, nodeid: str) -> None:
        """Let the next event be the begin of a test, which the parent has told already."""
        self._is_begun = nodeid

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
        if report.outcome == "failed" and self._session is not None:
            self._session.pytest_runtest_logreport(report)  # it counts failures, and does nothing else
        if type(report) is pytest.TestReport and (report.longrepr is None or type(report.longrepr) is tuple):
            # As it is: most reports have nothing that pytest would have to make another form of.
            extra = {name: value for name, value in vars(report).items() if name not in _FIELDS}
            self._names_told = (*_FIELDS, *extra)
            # A crash after a setup or a call must be told as one of the next phase; after a teardown, nothing
            # but plugins could crash.
            tell = self._parent.tell_soon if report.when == "teardown" else self._parent.tell
            subtests = self._failed_subtests
            tell("plain", _values_of(report), extra, subtests.get(_key(report), 0) if subtests else 0)
        else:
            self._names_told = frozenset(vars(report))
            data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
            failed = self._failed_subtests.get(_key(report), 0)
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


def _values_of(report: Any) -> tuple[Any, ...]:
    """Return what makes a report, in the order in which its type takes it. Names would cost more."""
    return (
        report.nodeid,
        report.location,
        report.keywords,
        report.outcome,
        report.longrepr,
        report.when,
        report.sections,
        report.duration,
        report.start,
        report.stop,
        report.user_properties,
    )


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


class _Seen:
    """Who sees an event.

    Args:
        caller: calls the hook.
        kept: what it calls in a child.
    """

    def __init__(self, caller: Any, kept: list[Any]) -> None:
        self.caller = caller
        self.kept = kept
        #: What it calls in the parent.
        self.all: list[Any] = caller._hookimpls


class _TerminalFile:
    """What the terminal of a child writes to; all else that is asked of the file is the file's."""

    def __init__(self, file: Any, forwarder: Forwarder) -> None:
        self.file = file
        self._forwarder = forwarder

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def write(self, text: str) -> int:
        self._forwarder.tell("terminal", text)
        return len(text)

    def flush(self) -> None:
        """Do nothing: what was told is on its way."""


def _divert_junit(parent: Parent, junit: Any) -> None:
    junit.add_global_property = lambda name, value: parent.tell("property", name, value)
    junit.node_reporter = lambda report: _JunitReporter(parent, str(getattr(report, "nodeid", report)))


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
        hook: calls the hooks for it.
    """

    def __init__(self, config: pytest.Config, item: pytest.Item, hook: Any) -> None:
        self._config = config
        self._hook = hook
        # What the reports of the test share.
        self._same: tuple[Any, Any, Any] = item.nodeid, item.location, {}
        #: The phase that runs as far as it is known.
        self.phase = "setup"
        #: Whether the end of the test was told.
        self.is_finished = False
        #: What the terminal of the child printed.
        self.printed = ""
        self._report_told: Any = None

    def handle(self, kind: str, values: tuple[Any, ...]) -> bool:
        """Take an event; tell whether it was one."""
        handler = _HANDLERS.get(kind)
        if handler is None:
            return False
        handler(self, *values)
        return True

    def _start(self, nodeid: str, location: Any) -> None:
        self._hook.pytest_runtest_logstart(nodeid=nodeid, location=location)

    def _report(self, data: Any, whole: bytes, failed_subtests: int) -> None:
        report = unpickled(whole) if whole else None
        if report is None:
            report = self._config.hook.pytest_report_from_serializable(config=self._config, data=data)
        if report is not None:
            self._log(report, failed_subtests)

    def _plain(self, values: tuple[Any, ...], extra: dict[str, Any], failed_subtests: int) -> None:
        # Reports are kept: with each page of memory, each further fork takes longer.
        nodeid, location, names = self._same
        keywords = values[2]
        if type(keywords) is dict and values[:2] == (nodeid, location):
            if keywords.keys() != names.keys():
                names = {sys.intern(name) if type(name) is str else name: 1 for name in keywords}
                self._same = nodeid, location, names
            values = nodeid, location, {**names, **keywords}, *values[3:]
        self._log(pytest.TestReport(*values, **extra), failed_subtests)

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


#: What takes an event, by its kind.
_HANDLERS: Final[dict[str, Callable[..., None]]] = {
    "start": Replay._start,
    "report": Replay._report,
    "plain": Replay._plain,
    "amended": Replay._amend,
    "finish": Replay._finish,
    "warning": Replay._warn,
    "terminal": Replay._print,
    "property": Replay._add_property,
    "attribute": Replay._add_attribute,
}
