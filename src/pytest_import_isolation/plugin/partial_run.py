"""Inside of pytest: runs a part of a suite in a given order, and writes what became of one test.

A plugin of its own, which the command ``blame`` loads. With pipes in place of a request, one process that is
about to load the first conftest runs each request in a fork.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

from pytest_import_isolation.blame.requests import ABSENT, CRASHED, Answer, Failure, Outcome, Request
from pytest_import_isolation.blame.runner import OPTION, PIPES, REFUSED, TOO_LONG
from pytest_import_isolation.machinery.paths import is_conftest
from pytest_import_isolation.machinery.threads import pause
from pytest_import_isolation.plugin import options as own_options
from pytest_import_isolation.wording import suggestion

_request_key = pytest.StashKey[Request]()
_ordering_key = pytest.StashKey["_Ordering"]()
_DESTINATION: Final = "import_isolation_partial_run"

#: Options of pytest and of plugins that would stop a run, choose or spread its tests, or write over files
#: of the user's own runs.
_QUIET: Final = {
    "collectonly": False,
    "continue_on_collection_errors": True,
    "dist": "no",
    "distload": False,
    "failedfirst": False,
    "last_failed": False,
    "lf": False,
    "looponfail": False,
    "maxfail": 0,
    "newfirst": False,
    "no_cov": True,
    "numprocesses": None,
    "pyargs": False,
    "stepwise": False,
    "stepwise_skip": False,
    "trace": False,
    "tx": [],
    "usepdb": False,
    "xmlpath": None,
}
#: Options that choose an order by chance: the value that they have if nobody asked for it, and then what
#: switches the order off.
_ORDERS: Final = {"randomly_seed": ("default", {"randomly_reorganize": False})}
#: Options that hold what was drawn by chance.
_SEEDS: Final = ("randomly_seed", "random_order_seed")
#: Seconds between two looks at a fork: nothing waits for a process and a time at once on every platform.
_SHORTEST: Final = 0.002
_LONGEST: Final = 0.05
_WORST: Final = ("passed", "xpassed", "xfailed", "skipped", "failed", "error")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the option that names the request."""
    parser.getgroup("import isolation").addoption(
        OPTION, dest=_DESTINATION, help="Internal: a request of blame."
    )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    """Take the request, in a fork if many are to come; nothing of the user's code was loaded yet."""
    known = early_config.known_args_namespace
    request = _request(getattr(known, _DESTINATION))
    if request is not None:
        early_config.stash[_request_key] = request
        ordering = _Ordering(known)
        early_config.stash[_ordering_key] = ordering
        _set(known, request)
        if request.collect is not None:
            # Conftests of other files are loaded when these are collected, as in a run of everything.
            known.file_or_dir = list(request.first)
    yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, Any, Any]:
    """Set the options again, which are parsed anew after the conftests."""
    request = config.stash.get(_request_key, None)
    if request is not None:
        named = list(getattr(config.option, "file_or_dir", []) or [])
        _set(config.option, request)
        if request.collect is not None:
            config.args = list(request.collect)
            config.args_source = pytest.Config.ArgsSource.ARGS
        config.pluginmanager.register(_PartialRun(config, request, named), "import-isolation-partial-run")
    return (yield)


class _Ordering:
    """What the run would do to the order of its tests.

    Args:
        option: the command line of the user.
    """

    def __init__(self, option: Any) -> None:
        self.arguments: list[str] = []
        if getattr(option, "numprocesses", None) or getattr(option, "distload", False):
            self.arguments.append("-n0")
        if getattr(option, "maxfail", 0):
            self.arguments.append("--maxfail=0")
        if getattr(option, "randomly_reorganize", False):
            self.arguments.append("--randomly-dont-reorganize")
        if getattr(option, "random_order_enabled", False):
            self.arguments.append("--random-order-bucket=none")


def _request(value: str | None) -> Request | None:
    if not value:
        return None
    if not value.startswith(f"{PIPES}:"):
        return Request.load(Path(value).read_text(encoding="utf-8"))
    _, requests, statuses = value.split(":")
    return _serve(int(requests), int(statuses))


def _serve(requests: int, statuses: int) -> Request:
    """Run each request in a fork; return in the forks only."""
    buffer = b""
    while True:
        chunk = os.read(requests, 1 << 16)
        if not chunk:
            os._exit(0)
        buffer += chunk
        while b"\n" in buffer:
            line, _, buffer = buffer.partition(b"\n")
            if threading.active_count() > 1:  # a fork would lack them, and whatever they hold stays locked
                os.write(statuses, b"%d\n" % REFUSED)
                continue
            process = os.fork()
            if process == 0:
                os.close(requests)
                os.close(statuses)
                request = Request.load(line.decode())
                log = os.open(request.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                os.dup2(log, 1)
                os.dup2(log, 2)
                os.close(log)
                return request
            limit = Request.load(line.decode()).limit
            os.write(statuses, b"%d\n" % _wait(process, limit))


def _wait(process: int, limit: float | None) -> int:
    """Return the exit status of a fork, which is ended after so many seconds."""
    end = None if limit is None else time.monotonic() + limit
    seconds = _SHORTEST
    while end is not None:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return TOO_LONG
        pause(seconds)
        seconds = min(2 * seconds, _LONGEST)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _set(option: Any, request: Request) -> None:
    """Change options that exist."""
    for name, (plain, changes) in _ORDERS.items():
        if getattr(option, name, None) == plain:
            _change(option, changes)
    _change(option, _QUIET)
    _change(option, request.options)
    _change(option, request.seeds)


def _change(option: Any, values: Any) -> None:
    for name, value in values.items():
        if hasattr(option, name):
            setattr(option, name, value)


class _PartialRun:
    """Selects the tests of a request, and takes note of what the run does.

    Args:
        config: the run.
        request: what is asked for.
        named: files and folders of the command line.
    """

    def __init__(self, config: pytest.Config, request: Request, named: Sequence[str]) -> None:
        self._config = config
        self._request = request
        self._names = _names(request.victim, config)
        self._answer = Answer(
            Outcome(CRASHED),
            name=self._names[0],
            file=self._names[0].partition("::")[0],
            rootdir=str(config.rootpath),
            named=tuple(named),
            modes=_modes(),
            ordering=tuple(config.stash[_ordering_key].arguments),
        )
        self._executed: dict[str, None] = {}
        self._selected: list[pytest.Item] | None = None
        self._outcomes: list[Outcome] = []
        # Of the victim, by phase.
        self._errors: dict[str, str] = {}
        self._files = frozenset(map(Path, request.files))
        folders = [Path(name) for name in request.collect or () if Path(name).is_dir()]
        inner = [*self._files, *folders]
        self._needed = {*inner, *(parent for path in inner for parent in path.parents)}

    # What is collected

    @pytest.hookimpl(tryfirst=True)
    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Leave out what is not asked for."""
        if self._request.collect is None or collection_path in self._needed:
            return None
        return True

    def pytest_plugin_registered(self, plugin: object) -> None:
        """Take note of a conftest that was loaded; pytest also names those that were loaded before."""
        file = plugin.__dict__.get("__file__") if isinstance(plugin, ModuleType) else None
        if isinstance(file, str) and is_conftest(file):
            self._executed[self._shorten(Path(file))] = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Take note of a file that is collected, and of what comes of the victim's own."""
        if isinstance(collector, pytest.File):
            self._executed[self._shorten(collector.path)] = None
        report = yield
        if report.failed and collector.nodeid and self._is_in_victims_way(collector.nodeid):
            excinfo = getattr(getattr(report, "call", None), "excinfo", None)
            error = getattr(getattr(excinfo, "type", None), "__name__", "")
            failure = _failure(error, report, self._shorten)
            self._outcomes.append(Outcome("error", failure))
            if self._request.tests is None:
                collector.session.shouldstop = "the victim cannot be collected"
        return report

    def _is_in_victims_way(self, nodeid: str) -> bool:
        return any(name == nodeid or name.startswith(f"{nodeid}::") for name in self._names)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None, None, None]:
        """Select the tests and order them, after all others."""
        yield
        victims = [item for item in items if self._is_victim(item.nodeid)]
        tests = [(item.nodeid, self._shorten(item.path)) for item in items]
        if self._request.tests is None:
            last = max((items.index(item) for item in victims), default=-1)
            items[:] = items[: last + 1]
        else:
            by_id: dict[str, list[pytest.Item]] = {}
            for item in items:
                by_id.setdefault(item.nodeid, []).append(item)
            items[:] = [item for nodeid in self._request.tests for item in by_id.get(nodeid, ())]
        for item in items:
            if item.nodeid in self._request.marked:
                item.add_marker("isolated_imports")
        self._selected = items[:]
        self._answer = self._answer._replace(tests=tests, victims=[item.nodeid for item in victims])
        if not victims and not self._outcomes:
            near = suggestion(self._names[0], [nodeid for nodeid, _ in tests])
            self._answer = self._answer._replace(outcome=Outcome(ABSENT), similar=near)
        self._write()

    def _is_victim(self, nodeid: str) -> bool:
        return any(nodeid == name or nodeid.startswith((f"{name}::", f"{name}[")) for name in self._names)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, Any, Any]:
        """Put back the selection, if somebody changed it since."""
        if self._selected is not None:
            session.items[:] = self._selected
        return (yield)

    # What comes of the victim

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Take note of the error of the victim; in a process of its own, only the report comes here."""
        if call.excinfo is not None and self._is_victim(item.nodeid):
            self._errors[call.when] = call.excinfo.type.__name__
        return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take note of how a phase of the victim ended."""
        if self._is_victim(report.nodeid):
            failure = _failure(self._errors.get(str(report.when), ""), report, self._shorten)
            self._outcomes.append(Outcome(_word(report), failure))

    def _expects_victims(self) -> bool:
        return any(self._is_victim(nodeid) for nodeid in self._request.tests or ())

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self) -> Generator[None, Any, Any]:
        """Write the answer."""
        try:
            return (yield)
        finally:
            if self._outcomes:
                self._answer = self._answer._replace(outcome=_worst(self._outcomes))
            elif self._answer.victims and self._request.tests is not None and not self._expects_victims():
                # It is a file that could not be collected in the whole run, and can be now.
                self._answer = self._answer._replace(outcome=Outcome("passed"))
            seeds = {
                name: getattr(self._config.option, name)
                for name in _SEEDS
                if hasattr(self._config.option, name)
            }
            self._answer = self._answer._replace(executed=list(self._executed), seeds=seeds)
            self._write()

    def _write(self) -> None:
        # As a whole: a process that is killed meanwhile leaves the answer before it.
        part = Path(f"{self._request.answer}.part")
        part.write_text(self._answer.dump(), encoding="utf-8")
        part.replace(self._request.answer)

    def _shorten(self, path: Path) -> str:
        try:
            return path.relative_to(self._config.rootpath).as_posix()
        except ValueError:
            return path.as_posix()


def _names(victim: str, config: pytest.Config) -> list[str]:
    """Return node ids that the user may mean: from rootdir, or from the current directory."""
    file, separator, test = victim.replace(os.sep, "/").partition("::")
    path = Path(os.path.normpath(config.invocation_params.dir / file))
    names = [victim]
    if path.exists():
        with suppress(ValueError):  # outside of rootdir, node ids are what pytest makes of the path
            names.insert(0, f"{path.relative_to(config.rootpath).as_posix()}{separator}{test}")
    return list(dict.fromkeys(names))


def _modes() -> tuple[str, ...]:
    """Return the values of ``--isolate-imports``."""
    return tuple(own_options._MODES)


def _word(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return "xfailed" if report.skipped else "xpassed" if report.passed else str(report.outcome)
    return "error" if report.failed and report.when != "call" else str(report.outcome)


def _worst(outcomes: Sequence[Outcome]) -> Outcome:
    return max(outcomes, key=lambda outcome: _WORST.index(outcome.word))


def _failure(error: str, report: Any, shorten: Callable[[Path], str]) -> Failure | None:
    if not report.failed:
        return None
    crash = getattr(report.longrepr, "reprcrash", None)
    place, message = "", str(report.longrepr)
    if crash is not None:
        place, message = f"{shorten(Path(crash.path))}:{crash.lineno}", crash.message
    lines = message.strip().splitlines() or [""]
    # A collection error is a long text, of which the last line tells most.
    line = lines[0] if crash is not None else lines[-1]
    return Failure(error or line.partition(":")[0], line, place)
