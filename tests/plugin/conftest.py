"""What the tests of the plugin share: inner pytest runs, each in a process of its own."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent
from typing import Any, Final, NamedTuple

import pytest
from tests.conftest import THOROUGH, lack
from tests.plugin.fork_server import ForkServer

from pytest_import_isolation.report.schema import read_schema

#: Plugins that are not loaded unless an inner run asks for them: loading all takes longer than the run.
_OPTIONAL = {
    "asyncio": ("asyncio",),
    "hypothesis": ("hypothesispytest",),
    "rerunfailures": ("rerunfailures",),
    "xdist": ("xdist", "xdist.looponfail"),
    "cov": ("pytest_cov",),
    "anyio": ("anyio",),
    "mock": ("pytest_mock",),
    "pyfakefs": ("fakefs",),
    "randomly": ("randomly",),
    "time-machine": ("time_machine",),
    "django": ("django",),
    "missing-modules": ("pytest_missing_modules",),
}

#: Those of the group `test`, with which all tests run.
_INSTALLED = {"hypothesis", "xdist"}

#: What changes the output of pytest: with CI or BUILD_NUMBER it does not shorten the lines of its summary.
_OF_THE_MACHINE = ("BUILD_NUMBER", "CI", "COLUMNS", "FORCE_COLOR", "LINES", "NO_COLOR", "PY_COLORS")

#: How an inner run says what WebAssembly lacks.
_LACKING = re.compile(
    "No module named '(numpy|yaml|lxml|sqlalchemy)|emscripten does not support processes|can't start new thread"
)

#: Seconds after which a run hangs. A run takes one; a busy machine can make a minute of it.
_TIMEOUT = 600

#: The fields of a leak in the JSON report, in order.
FIELDS = [
    "kind",
    "severity",
    "name",
    "polluter",
    "location",
    "chain",
    "detail",
    "advice",
    "allowed",
    "contained",
    "exposed",
]


class Run(NamedTuple):
    """What an inner run came to."""

    status: int
    #: Standard output and, after it, standard error.
    output: str
    #: Numbers by word: ``{"passed": 2}``.
    outcomes: dict[str, int]
    #: The parsed JSON report, empty if none was written.
    report: dict[str, Any]

    @property
    def leaks(self) -> list[dict[str, Any]]:
        """All leaks that are more than a first import."""
        return [leak for leak in self.report["leaks"] if leak["severity"] != "info"]

    @property
    def kinds(self) -> list[tuple[str, str]]:
        """Kind and name of all leaks that are more than a first import."""
        return [(leak["kind"], leak["name"]) for leak in self.leaks]

    def leak(self, kind: str, name: str) -> dict[str, Any]:
        """Return the one leak of a kind and a name."""
        found = [leak for leak in self.report["leaks"] if (leak["kind"], leak["name"]) == (kind, name)]
        assert len(found) == 1, (kind, name, self.kinds)
        leak: dict[str, Any] = found[0]
        return leak

    def blamed(self, kind: str, name: str) -> tuple[str, str]:
        """Return node id and phase of the polluter of the one leak of a kind and a name."""
        polluter = self.leak(kind, name)["polluter"]
        return polluter["nodeid"], polluter["phase"]

    @property
    def section(self) -> str:
        """The lines of the report in the terminal, without the rule above and below."""
        _, _, after = self.output.partition(" import leaks ===")
        lines = after.splitlines()[1:]
        end = next((i for i, line in enumerate(lines) if re.match(r"=+ |\d+ \w+.* in ", line)), len(lines))
        return "\n".join(lines[:end])


class Suite:
    """Writes a small suite, and runs it.

    Args:
        root: its rootdir.
        server: starts what can start in a fork; None if each run is to be a program of its own.
        marked: whether the test is one that needs neighbours.
    """

    def __init__(self, root: Path, server: ForkServer | None = None, *, marked: bool = False) -> None:
        self.root = root
        self._server = server
        self._marked = marked
        #: Whether the runs look for installed plugins, which takes longer than most of them: as a user's do.
        self.autoloads = False
        #: How wide the terminal of the runs is, if that matters.
        self.columns: int | None = None

    @property
    def python_path(self) -> str:
        """A PYTHONPATH that has the rootdir beside what it has now."""
        return os.pathsep.join(filter(None, (str(self.root), _environment().get("PYTHONPATH"))))

    @property
    def must_load(self) -> bool:
        """Whether the plugin must be named with ``-p``: it is not installed, and has no entry point."""
        return "pytest_import_isolation" not in _entry_points()

    def write(self, files: Mapping[str, str]) -> None:
        """Write files; their texts may be indented as a whole."""
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text), encoding="utf-8")

    def run(
        self,
        files: Mapping[str, str] | str = {},
        *options: str,
        report: bool = True,
        plugins: tuple[str, ...] = (),
        ini: str = "",
        env: Mapping[str, str] = {},
        load: bool = True,
        measured: bool = True,
        interpreter: tuple[str, ...] = (),
        stdin: str | None = None,
    ) -> Run:
        """Run pytest in a process of its own.

        Args:
            files: what to write first; a string is the text of ``test_it.py``.
            options: more options of the inner run.
            report: whether to write the JSON report.
            plugins: which optional plugins it has; the test is skipped where one is not installed.
            ini: lines for ``pytest.ini``.
            env: more environment variables.
            load: whether the plugin is loaded.
            measured: false where the suite breaks what coverage itself needs in that process.
            interpreter: what stands between the interpreter and ``-m pytest``.
            stdin: what is typed into the run.
        """
        _require(plugins, marked=self._marked)
        self.write({"pytest.ini": "[pytest]\n" + dedent(ini)})
        self.write({"test_it.py": files} if isinstance(files, str) else files)
        arguments = ["-p", "no:cacheprovider"]
        alone = {} if plugins or self.autoloads else {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        for name, modules in _OPTIONAL.items():
            if not alone and name not in plugins:
                arguments += [part for module in modules for part in ("-p", f"no:{module}")]
        if load and (alone or self.must_load):
            arguments += ["-p", "pytest_import_isolation.plugin"]
        written = self.root / "report.json"
        if written.is_file():
            written.unlink()
        if report:
            arguments.append("--import-leak-file=report.json")
        arguments += options
        width = {} if self.columns is None else {"COLUMNS": str(self.columns)}
        environment = {**_environment(measured=measured), **alone, **width, **env}
        if sys.platform == "emscripten":
            if plugins or interpreter or stdin is not None:
                pytest.skip("WebAssembly has not processes")
            done = _run_in_process(arguments, self.root, environment)
        elif (
            self._server is not None
            and not interpreter
            and stdin is None
            and self._server.can_run(arguments, environment)
        ):
            done = self._server.run(arguments, self.root, environment, _TIMEOUT)
        else:
            done = subprocess.run(
                [sys.executable, *interpreter, "-m", "pytest", *arguments],
                cwd=self.root,
                env=environment,
                capture_output=True,
                input=stdin,
                text=True,
                timeout=_TIMEOUT,
                check=False,
            )
        output = done.stdout + done.stderr
        print(output)  # for the outer run to show if the test fails
        found = json.loads(written.read_text(encoding="utf-8")) if written.is_file() else {}
        if found:
            assert _mistakes(found) == []
        return Run(done.returncode, output, _outcomes(done.stdout), found)

    def tool(
        self, *arguments: str, env: Mapping[str, str] = {}, stdin: int | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the interpreter with some arguments in the directory of the suite; ``stdin`` may be a terminal."""
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.root,
            env={**_environment(measured=False), **env},
            stdin=stdin,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )


def _run_in_process(
    arguments: list[str], root: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run pytest in this process, and put back afterwards what the run changed."""
    output, errors = io.StringIO(), io.StringIO()
    modules, directory, variables = sys.modules.copy(), os.getcwd(), dict(os.environ)
    containers: list[list[Any]] = [sys.path, sys.meta_path, sys.path_hooks]
    contents = [container[:] for container in containers]
    os.chdir(root)
    os.environ.clear()
    os.environ.update(environment)
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            status = pytest.main(arguments)
    finally:
        os.chdir(directory)
        os.environ.clear()
        os.environ.update(variables)
        for container, items in zip(containers, contents, strict=True):
            container[:] = items
        sys.modules.update(modules)
        for name in sys.modules.keys() - modules.keys():
            own = vars(sys.modules[name])
            places = str((own.get("__file__"), own.get("__path__")))
            # What was installed stays loaded: it may be built in, and then it cannot be loaded twice.
            if str(root) in places or own.get("__spec__") is None:
                del sys.modules[name]
        sys.path_importer_cache.clear()
        importlib.invalidate_caches()
    lacking = _LACKING.search(output.getvalue())
    if lacking is not None:
        pytest.skip(f"WebAssembly has not this: {lacking[0]}")
    return subprocess.CompletedProcess(arguments, int(status), output.getvalue(), errors.getvalue())


def _require(plugins: tuple[str, ...], *, marked: bool) -> None:
    if not marked:
        others = {*plugins} - _INSTALLED
        assert not others, f"a test that needs {others} is marked: pytest.mark.neighbours"
    missing = [name for name in plugins if _OPTIONAL[name][0] not in _entry_points()]
    if missing:
        lack(missing)


@cache
def _entry_points() -> frozenset[str]:
    return frozenset(entry_points(group="pytest11").names)


def _environment(*, measured: bool = True) -> dict[str, str]:
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in _OF_THE_MACHINE
        and not key.startswith(("PYTEST_", "GITHUB_", *([] if measured else ["COVERAGE_"])))
    }
    if environment.get("PYTHONPATH"):  # the inner run starts in another directory
        entries = environment["PYTHONPATH"].split(os.pathsep)
        environment["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, entries))
    return environment


@cache
def _validator() -> Any:
    """Return what checks reports, or None where it cannot be installed: a file of its own tests the schema."""
    if find_spec("jsonschema") is None:
        return None
    return import_module("jsonschema").Draft202012Validator(json.loads(read_schema()))


#: Leaks in which no mistake was found: most runs tell the same first imports, and to check these takes longest.
_RIGHT_LEAKS: set[str] = set()
#: So many are enough to trust other first imports, unless this run has time.
_MANY: Final = sys.maxsize if THOROUGH else 300


def _mistakes(report: dict[str, Any]) -> list[str]:
    """Return what is wrong with a report by its schema, which says nothing of how its leaks go together."""
    validator = _validator()
    if validator is None:
        return []
    unseen = {
        text: leak
        for leak in report["leaks"]
        if leak.get("severity") != "info" or len(_RIGHT_LEAKS) < _MANY
        if (text := json.dumps(leak)) not in _RIGHT_LEAKS
    }
    mistakes = [str(error) for error in validator.iter_errors({**report, "leaks": [*unseen.values()]})]
    if not mistakes:
        _RIGHT_LEAKS.update(unseen)
    return mistakes


def _outcomes(output: str) -> dict[str, int]:
    for line in reversed(output.splitlines()):
        if re.search(r" in \d+\.\d+s", line):
            found = re.findall(r"(\d+) (\w+)", line.partition(" in ")[0])
            return {{"errors": "error", "warnings": "warning"}.get(w, w): int(n) for n, w in found}
    return {}


@pytest.fixture(scope="session")
def fork_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer | None]:
    """Return what starts inner runs quickly, or None where each of them has to start as users start pytest."""
    if not ForkServer.is_possible():
        yield None
        return
    server = ForkServer(_environment(), tmp_path_factory.mktemp("fork_server"))
    yield server
    server.stop()


@pytest.fixture
def suite(tmp_path: Path, fork_server: ForkServer | None, request: pytest.FixtureRequest) -> Suite:
    """Return what writes and runs a small suite in a directory of its own."""
    root = tmp_path / "suite"
    root.mkdir()
    return Suite(root, fork_server, marked=request.node.get_closest_marker("neighbours") is not None)


@pytest.fixture(scope="session")
def fields() -> list[str]:
    """Return the names of the fields of a leak in the JSON report."""
    return FIELDS
