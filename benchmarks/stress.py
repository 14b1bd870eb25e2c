"""Two things that must not happen, looked for hard: harm to importing threads, and memory that grows.

Run it as ``python benchmarks/stress.py threads`` or ``python benchmarks/stress.py memory``.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import random
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from pathlib import Path

from pytest_import_isolation import IsolatedImportContext
from pytest_import_isolation.state.differences import Overlay
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.window.world import World
from pytest_import_isolation.window.worlds import Worlds

_HUNDREDTH = 100
# How long a thread runs before another may, in seconds: a thousandth of what the interpreter takes otherwise.
_OFTEN = 5e-6
# A world removes it. Whoever imports it then executes it again, so it counts nothing.
_REMOVED = ("stress_gone", "stress_gone.part")
_COUNT = "import builtins\nbuiltins.stress_executed[__name__] += 1\n"


def threads(seconds: float, modules: int, least: int = 0, workers: int = 3) -> list[str]:
    """Let threads import while windows open and close and worlds are swapped.

    Args:
        seconds: how long, unless too little has happened by then.
        modules: how many foreign modules there are, each of which counts its executions. Every twentieth is a
            package with a submodule.
        least: how many windows there are at least; more than half of the modules are imported by then.
        workers: how many threads import.

    Returns:
        What went wrong.
    """
    names = [f"stress_{number}{'' if number % 20 else '.part'}" for number in range(modules)]
    errors: list[str] = []
    executed: Counter[str] = Counter()
    windows = 0
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "site-packages"
        folder.mkdir()
        for number, name in enumerate(names):
            needs = f"import {names[number - 1]}\n" if number % 3 else ""
            _write(folder, name, f"{needs}{_COUNT}", _COUNT)
        _write(folder, _REMOVED[1], "", "")
        importlib.import_module("builtins").stress_executed = executed  # type: ignore[attr-defined]
        sys.path.insert(0, str(folder))
        until = time.monotonic() + seconds
        over = threading.Event()
        interval = sys.getswitchinterval()
        sys.setswitchinterval(_OFTEN)

        def load() -> None:
            while not over.is_set():
                name = random.choice((*names, _REMOVED[1]))
                try:
                    importlib.import_module(name)
                except BaseException:
                    errors.append(
                        f"{threading.current_thread().name}: {name}: {traceback.format_exc(limit=-3)}"
                    )

        pool = [threading.Thread(target=load, name=f"importer-{number}") for number in range(workers)]
        for thread in pool:
            thread.start()
        worlds = Worlds(Origins())
        made = [World(str(number), Origins(), lambda name, module, importer: None) for number in range(2)]
        try:
            while time.monotonic() < until or windows < least or (least and len(executed) <= modules // 2):
                if not made[1].is_in_place:
                    made[1].overlay = Overlay(removed=_REMOVED)
                worlds.swap(*random.choice(([], made[:1], made[1:])))
                with IsolatedImportContext(unloaded=random.choice((["json", "stress_1"], [], "stress_*"))):
                    importlib.import_module(random.choice(names))
                windows += 1
        finally:
            over.set()
            sys.setswitchinterval(interval)
            worlds.swap()
            worlds.close()
        for thread in pool:
            thread.join()
        sys.path.remove(str(folder))
    errors += [f"{name} was executed {times} times" for name, times in executed.items() if times > 1]
    imported = sum("." not in name for name in executed)
    print(f"{windows} windows, {imported} of {modules} modules imported, {len(errors)} errors")
    return errors


def _write(folder: Path, name: str, source: str, package_source: str) -> None:
    package, _, child = name.partition(".")
    if child:
        (folder / package).mkdir()
        (folder / package / "__init__.py").write_text(package_source, encoding="utf-8")
    (folder / f"{name.replace('.', os.sep)}.py").write_text(source, encoding="utf-8")


def memory(windows: int, modules: int = 30) -> float:
    """Execute a first-party package in one window after the other.

    Args:
        windows: how many.
        modules: how many modules the package has.

    Returns:
        By how many megabytes the resident memory grew after the hundredth window.
    """
    early = 0.0
    with tempfile.TemporaryDirectory() as root:
        package = Path(root) / "stress_app"
        package.mkdir()
        children = [f"part_{number}" for number in range(modules - 1)]
        (package / "__init__.py").write_text("".join(f"from stress_app import {c}\n" for c in children))
        for child in children:
            (package / f"{child}.py").write_text(
                "class Thing:\n    data = list(range(1000))\n\ndef make():\n    return Thing\n" * 3
            )
        sys.path.insert(0, root)
        for number in range(windows):
            with IsolatedImportContext():
                importlib.import_module("stress_app")
            if number + 1 == _HUNDREDTH:
                early = _resident()
        grown = _resident() - early
        sys.path.remove(root)
    print(f"{windows} windows of {modules} modules: {early:.1f} MB after 100, {grown:+.1f} MB since")
    return grown


def _resident() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> int:
    """Run what the command line names; the exit status says whether something went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["threads", "memory"])
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--modules", type=int, default=200)
    parser.add_argument("--windows", type=int)
    given = parser.parse_args()
    if given.what == "memory":
        return int(memory(given.windows or 1_000) > 10)
    errors = threads(given.seconds, given.modules, given.windows or 0)
    print(*errors[:5], sep="\n")
    return int(bool(errors))


if __name__ == "__main__":
    raise SystemExit(main())
