"""What a cold process does: it configures a run of one file, collects it, and runs one test of it."""

from __future__ import annotations

import os
import traceback
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from pytest_import_isolation.plugin.processes.child_session import ChildSession
from pytest_import_isolation.plugin.processes.cold_request import COMMAND_LINE
from pytest_import_isolation.plugin.processes.errors import describe
from pytest_import_isolation.plugin.processes.events import Forwarder
from pytest_import_isolation.processes.child import Parent
from pytest_import_isolation.processes.coverage_data import ChildCoverage


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, args: list[str]
) -> Generator[None, object, object]:
    """Let plugins that read the command line themselves read the one of pytest's process."""
    private: Any = early_config
    params = early_config.invocation_params
    typed, given = getattr(early_config.option, COMMAND_LINE)
    private.invocation_params = type(params)(args=typed, plugins=params.plugins, dir=params.dir)
    own, args[:] = args.copy(), given
    try:
        return (yield)
    finally:
        args[:] = own


def run(parent: Parent, request: dict[str, Any], stacks: int) -> None:
    """Run the test that was asked for, and tell its events.

    Args:
        parent: the parent of this process.
        request: see :func:`.cold_request.request_for`.
        stacks: the file to which stacks go if this process crashes.
    """
    try:
        session = _session(parent, request, stacks)
        session.config.hook.pytest_sessionstart(session=session)
        session.config.hook.pytest_collection(session=session)
    except Exception as error:  # a conftest that cannot be imported, for example
        cause = getattr(error, "cause", error)
        parent.tell("uncollected", "".join(traceback.format_exception_only(cause)))
        return
    except KeyboardInterrupt as error:
        parent.tell("raised", *describe(error))
        return
    session.config.hook.pytest_runtestloop(session=session)


def _session(parent: Parent, request: dict[str, Any], stacks: int) -> pytest.Session:
    os.environ.clear()
    os.environ.update(request["environment"])
    started, folder = request["folders"]
    os.chdir(started)
    measured = None if request["coverage"] is None else _measure(request["coverage"][0])
    _allow_loaded_plugins()
    from _pytest.config import Config

    shown = warnings.showwarning
    warnings.showwarning = _show_nothing  # the parent has shown what plugins warn of
    config = Config.fromdictargs(request["options"], ["-p", __name__, *request["arguments"]])
    config.args = [request["path"]]
    silence = _Silence(config)
    private: Any = config
    if request["worker"] is not None:
        private.workerinput = request["worker"]
        private.workeroutput = {}
    config._do_configure()
    if warnings.showwarning is _show_nothing:
        warnings.showwarning = shown
    if request["basetemp"] is not None and hasattr(config, "_tmp_path_factory"):
        config._tmp_path_factory._basetemp = Path(request["basetemp"])
    terminal: Any = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None:
        terminal._tw._file = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - as long as it lives
    if measured is not None and request["coverage"][1]:
        config.pluginmanager.register(_Contexts(measured.running), "_cov_contexts")
    session = pytest.Session.from_config(config)
    loop = _Loop(parent, request, stacks, measured, folder, silence)
    config.pluginmanager.register(loop, "import-isolation-cold-loop")
    return session


def _show_nothing(*_: object, **__: object) -> None:
    """Stand in the place of :func:`warnings.showwarning`."""


class _Silence:
    """Drops what hooks print before the test, unless nothing is captured: they have printed it in the parent.

    Args:
        config: the run.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._capture: Any = config.pluginmanager.get_plugin("capturemanager")
        if self._capture is not None:
            self._capture.resume_global_capture()
            # pytest lets go each time that it has collected something.
            self._capture.suspend_global_capture = self._suspend

    def _suspend(self, in_: bool = False) -> None:
        if in_:  # somebody wants to type, into a debugger
            type(self._capture).suspend_global_capture(self._capture, in_=True)

    def end(self) -> None:
        """Let what is printed be shown, or captured for the test."""
        if self._capture is not None:
            del self._capture.suspend_global_capture
            self._capture.suspend_global_capture()
            self._capture.read_global_capture()


def _allow_loaded_plugins() -> None:
    """Let pytest not warn that plugins are loaded already: the server did that."""
    from _pytest.assertion.rewrite import AssertionRewritingHook

    hook: Any = AssertionRewritingHook
    hook._warn_already_imported = lambda *_: None


def _measure(settings: dict[str, Any]) -> ChildCoverage:
    import coverage

    running = coverage.Coverage(data_file=None, config_file=False)
    vars(running.config).update(settings)
    running.start()
    return ChildCoverage(running)


class _Contexts:
    """The hooks that tell coverage which phase of which test runs, in the words of pytest-cov."""

    def __init__(self, running: Any) -> None:
        self._running = running

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Begin the setup."""
        self._running.switch_context(f"{item.nodeid}|setup")

    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """Begin the call."""
        self._running.switch_context(f"{item.nodeid}|run")

    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        """Begin the teardown."""
        self._running.switch_context(f"{item.nodeid}|teardown")


class _Loop:
    """The hooks that run one test in the place of all that were collected.

    Args:
        parent: the parent of this process.
        request: see :func:`run`.
        stacks: see :func:`run`.
        measured: what coverage measures here.
        folder: the directory in which the test runs.
        silence: ends before the test.
    """

    def __init__(
        self,
        parent: Parent,
        request: dict[str, Any],
        stacks: int,
        measured: ChildCoverage | None,
        folder: str,
        silence: _Silence,
    ) -> None:
        self._parent = parent
        self._request = request
        self._stacks = stacks
        self._measured = measured
        self._folder = folder
        self._silence = silence
        self._failures: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note why a file cannot be collected."""
        if report.failed:
            self._failures.append(report.longreprtext)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Find the test before anybody deselects it."""
        nodeid, number = self._request["nodeid"], self._request["number"]
        found = [item for item in items if item.nodeid == nodeid]
        items[:] = found[number : number + 1] or found[:1]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the test."""
        if not session.items:
            self._parent.tell("uncollected", "\n\n".join(self._failures))
            return True
        os.chdir(self._folder)
        self._silence.end()
        self._parent.tell("begun")
        forwarder = Forwarder(session.config)
        forwarder.choose(session)
        child = ChildSession(session, forwarder, self._stacks)
        child.prepare(self._parent, session.items[0], None)
        child.begin(self._measured)
        child.run_all(session.items[0])
        return True
