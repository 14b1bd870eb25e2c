"""Inner pytest runs that start in a fork of a process that has imported pytest: that is what takes longest.

A real ``python -m pytest`` imports pytest and the plugins that pytest brings along, and only then looks at its
arguments, its directory and its environment. The server stops there, and each run goes on in a fork of it.
For runs with options of ours there are servers that have also imported what the plugin imports for these, before
it looks at anything: that takes longest of the rest. ``test_inner_runs.py`` compares runs that are forked with
others.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from _pytest.config import default_plugins

#: What the server executes. It loads no module that ``python -m pytest`` would not load: one more, and a test that
#: imports it would not import it first.
_SERVER = """
def wait_for_a_run():
    import gc, marshal, os, runpy, sys

    del sys.path[0]  # of -c
    sys.path_importer_cache.pop(os.getcwd(), None)
    runpy._get_module_details("pytest")  # imports pytest
    plugins, ours = (names.split() for names in sys.argv[1:])
    for name in plugins:
        __import__(f"_pytest.{name}")
    if ours:
        from _pytest.assertion import install_importhook
        from _pytest.config import get_config

        config = get_config(["-p", "no:cacheprovider"])
        vars(config).setdefault("inicfg", {})  # until pytest 8.3 there is none before the file is read
        hook = install_importhook(config)
        hook.mark_rewrite("pytest_import_isolation")
        for name in ours:
            __import__(f"pytest_import_isolation.{name}")
            if name == "plugin":
                from importlib.machinery import PathFinder

                sys.meta_path.insert(0, PathFinder)  # as plain_imports() does for the others
        sys.meta_path.remove(PathFinder)
        sys.meta_path.remove(hook)
    # Its own objects are not searched for garbage: that takes longer than to run a small suite.
    gc.collect()
    gc.freeze()
    while True:
        size = os.read(0, 8)
        if not size:
            os._exit(0)
        text = b""
        while len(text) < int(size):
            text += os.read(0, int(size) - len(text))
        process = os.fork()
        if process == 0:
            break
        os.write(1, b"%8d" % os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
    arguments, folder, environment, *files = marshal.loads(text)
    for number, file in enumerate(files):
        opened = os.open(file, os.O_RDWR)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path.insert(0, os.getcwd())
    sys.argv[:] = ["-m", *arguments]
    sys.orig_argv[1:] = ["-m", "pytest", *arguments]
    return runpy._run_module_as_main

run_module = wait_for_a_run()
del wait_for_a_run
(lambda run: (globals().pop("run_module"), run("pytest")))(run_module)
"""
#: Plugins that pytest imports before anything else, unless an option keeps one away: ``no:cacheprovider`` both of these.
_BEFORE = [name for name in default_plugins if name not in ("cacheprovider", "stepwise")]
#: What the plugin imports as soon as it sees an option, before the first conftest is loaded.
_OURS = {
    "--import-leak-": ("executions", "interruptions", "runner", "observer"),
    "--isolate-imports": ("executions", "interruptions", "runner", "suite", "windows"),
}
#: Variables that Python reads when it starts.
_READ_AT_START = ("PYTHON", "LC_", "LANG", "TZ")


class ForkServer:
    """Runs ``python -m pytest`` again and again, in forks of one process.

    Args:
        environment: the variables of that process.
        folder: an empty one, for what runs print.
    """

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self.environment = dict(environment)
        self._files = [folder / name for name in ("stdout", "stderr")]
        self._folder = folder
        # By what they have imported of ours.
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @staticmethod
    def is_possible() -> bool:
        """Tell whether processes can be forked here, and are measured by nobody."""
        return sys.platform == "linux" and not any(
            name.startswith("COVERAGE_PROCESS_") for name in os.environ
        )

    def can_run(self, arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
        """Tell whether a process with these arguments and variables would come to the fork as the server did."""
        without = {argument.removeprefix("no:") for argument in arguments if argument.startswith("no:")}
        names = environment.keys() | self.environment.keys()
        return without & {*default_plugins} == {"cacheprovider"} and all(
            environment.get(name) == self.environment.get(name)
            for name in names
            if name.startswith(_READ_AT_START)
        )

    def run(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Run pytest with some arguments in a directory.

        Raises:
            subprocess.TimeoutExpired: if it takes too long.
        """
        ours = _imported_for(arguments)
        process = self._processes.get(ours) or self._start(ours)
        assert process.stdin is not None
        assert process.stdout is not None
        for file in self._files:
            file.write_bytes(b"")
        files = [os.devnull, *map(str, self._files)]
        text = marshal.dumps([list(arguments), str(folder), dict(environment), *files])
        process.stdin.write(b"%8d" % len(text) + text)
        process.stdin.flush()
        if not select.select([process.stdout], [], [], timeout)[0]:
            self.stop()
            raise subprocess.TimeoutExpired(list(arguments), timeout)
        status = int(process.stdout.read(8))
        output, errors = (file.read_text() for file in self._files)
        return subprocess.CompletedProcess(list(arguments), status, output, errors)

    def _start(self, ours: str) -> subprocess.Popen[bytes]:
        process = self._processes[ours] = subprocess.Popen(
            [sys.executable, "-c", _SERVER, " ".join(_BEFORE), ours],
            cwd=self._folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        return process

    def stop(self) -> None:
        """End the processes, and a run that has not ended."""
        while self._processes:
            _, process = self._processes.popitem()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def _imported_for(arguments: Sequence[str]) -> str:
    """Return the modules of ours that a run with these arguments imports at its very start."""
    if "no:pytest_import_isolation" in arguments:
        return ""
    names = {
        name: None
        for option, modules in _OURS.items()
        if any(argument.startswith(option) for argument in arguments)
        for name in modules
    }
    return " ".join(["plugin", *(f"plugin.{name}" for name in names)]) if names else ""
