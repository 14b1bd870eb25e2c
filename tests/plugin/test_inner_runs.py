"""The inner runs of these tests are what users see, although they start in a fork."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import TAKES_LONG

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite
    from tests.plugin.fork_server import ForkServer

_CONFTEST = """
    import json, os, signal, sys, warnings

    def state():
        main = sys.modules["__main__"]
        return {
            "modules": sorted(sys.modules),
            "ours": {
                name: [type(module.__loader__).__name__, sorted(vars(module))]
                for name, module in sys.modules.items()
                if name.startswith("pytest_import_isolation")
            },
            "main": sorted(vars(main)),
            "file": main.__file__,
            "path": sys.path,
            "cache": sorted(sys.path_importer_cache),
            "meta_path": [getattr(finder, "__name__", type(finder).__name__) for finder in sys.meta_path],
            "hooks": len(sys.path_hooks),
            "argv": sys.argv,
            "orig_argv": sys.orig_argv[1:],
            "flags": str(sys.flags),
            "warnings": str(warnings.filters),
            "environment": dict(os.environ),
            "cwd": os.getcwd(),
            "streams": [(s.encoding, s.errors, s.isatty()) for s in (sys.__stdin__, sys.__stdout__, sys.__stderr__)],
            "signals": {str(n): str(signal.getsignal(n)) for n in signal.valid_signals()},
            "files": sorted(map(int, os.listdir("/proc/self/fd"))),
        }

    seen = [state()]

    def pytest_unconfigure():
        seen.append(state())
        with open("seen.json", "w") as file:
            json.dump(seen, file)
"""


@pytest.fixture
def server(fork_server: ForkServer | None) -> ForkServer:
    if fork_server is None:
        pytest.skip("nothing is forked here")
    return fork_server


def _seen(suite: Suite, options: tuple[str, ...], env: Mapping[str, str], *, report: bool) -> Any:
    files = {"conftest.py": _CONFTEST, "test_it.py": "def test_it(): import wave\n"}
    suite.autoloads = True
    suite.run(files, *options, env=env, report=report)
    return json.loads((suite.root / "seen.json").read_text(encoding="utf-8"))


_ISOLATED = ("--isolate-imports=test",)


@pytest.mark.parametrize(
    ("options", "report"),
    [
        (("-s", "--import-leak-fail"), True),
        # Less is imported for these.
        pytest.param(_ISOLATED, True, marks=TAKES_LONG),
        pytest.param(_ISOLATED, False, marks=TAKES_LONG),
        pytest.param((), True, marks=TAKES_LONG),
        pytest.param((), False, marks=TAKES_LONG),
        pytest.param(("-p", "no:pytest_import_isolation"), False, marks=TAKES_LONG),
    ],
    ids=str,
)
def test_a_forked_run_has_what_a_run_has_that_starts_as_users_start_it(
    suite: Suite, server: ForkServer, options: tuple[str, ...], report: bool
) -> None:
    forked = _seen(suite, options, {"IT_IS": "asked for"}, report=report)
    started = _seen(type(suite)(suite.root), options, {"IT_IS": "asked for"}, report=report)
    for one, other in zip(forked, started, strict=True):
        for what, value in other.items():
            assert one[what] == value, what


def test_a_run_is_a_process_of_its_own_that_leaves_nothing_to_the_next(
    suite: Suite, server: ForkServer
) -> None:
    text = (
        "import os, sys\nsys.planted = os.environ['PLANTED'] = str(os.getpid())\ndef test_it(): os._exit(7)\n"
    )
    assert suite.run(text, report=False).status == 7
    text = "import os, sys\ndef test_it():\n    assert not hasattr(sys, 'planted')\n    assert 'PLANTED' not in os.environ\n"
    assert suite.run(text).outcomes == {"passed": 1}


def test_a_run_that_a_signal_ends_has_its_number(suite: Suite, server: ForkServer) -> None:
    assert suite.run("import os\ndef test_it(): os.kill(os.getpid(), 9)\n", report=False).status == -9


def test_what_is_otherwise_before_the_fork_is_not_forked(server: ForkServer) -> None:
    environment = dict(server.environment)
    usual = ["-p", "no:cacheprovider", "-p", "no:xdist", "-v"]
    assert server.can_run(usual, {**environment, "COLUMNS": "60"})
    assert not server.can_run([*usual, "-p", "no:doctest"], environment)
    assert not server.can_run(["-v"], environment)
    assert not server.can_run(usual, {**environment, "PYTHONDEVMODE": "1"})
    assert not server.can_run(usual, {**environment, "LC_ALL": "POSIX"})
    assert not server.can_run(usual, {**environment, "PYTHONPATH": os.sep})
