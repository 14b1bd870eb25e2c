"""What a window costs: medians of paired runs, as ratios to a bare copy of a table of modules.

Run it with the package installed: ``python benchmarks/window.py [number of modules]``. Machines are noisy and
differ; each figure is measured in turn with the one it is compared with, and only the ratios mean something.
"""

from __future__ import annotations

import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from unittest import mock

from pytest_import_isolation import IsolatedImportContext

ROUNDS = 200


@contextmanager
def naive() -> Iterator[None]:
    """What people write by hand: copy, delete what is new, put the old back."""
    before = dict(sys.modules)
    try:
        yield
    finally:
        for name in list(sys.modules):
            if name not in before:
                del sys.modules[name]
        sys.modules.update(before)


def fill(number: int) -> None:
    """Load as many modules as a large suite has, most of them in packages, with their attributes."""
    number -= len(sys.modules)
    package = None
    for index in range(max(number, 0)):
        name = f"filler{index // 10}" if index % 10 == 0 else f"filler{index // 10}.m{index}"
        module = ModuleType(name)
        module.__file__ = f"/site-packages/{name.replace('.', '/')}.py"
        sys.modules[name] = module
        if index % 10 == 0:
            package, module.__path__ = module, []
        else:
            setattr(package, name.rpartition(".")[2], module)


def paired(
    one: Callable[[], object], other: Callable[[], object], rounds: int = ROUNDS
) -> tuple[float, float]:
    """Return the median seconds of one, and the median of its ratios to the other, run in turn."""
    times: list[float] = []
    ratios: list[float] = []
    for _ in range(rounds):
        measured = []
        for function in (one, other):
            start = time.perf_counter()
            function()
            measured.append(time.perf_counter() - start)
        times.append(measured[0])
        ratios.append(measured[0] / measured[1])
    return statistics.median(times), statistics.median(ratios)


def in_context(context: Callable[[], object], body: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        with context():  # type: ignore[attr-defined]
            body()

    return run


def report(what: str, seconds: float, ratio: float) -> None:
    print(f"{what:50} {seconds * 1e6:8.0f} us {ratio:8.1f} x")


def main() -> None:
    fill(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000)
    with tempfile.TemporaryDirectory() as folder:
        for index in range(20):
            Path(folder, f"first_party_{index}.py").write_text("value = 1\n", encoding="utf-8")
        sys.path.insert(0, folder)
        print(f"Python {platform.python_version()}, {len(sys.modules)} modules loaded, {ROUNDS} pairs\n")

        # Not sys.modules itself: copying a table from which keys were deleted costs five times more.
        compact = sys.modules.copy()

        def copy() -> object:
            return dict(compact)

        def nothing() -> None:
            pass

        def foreign() -> None:
            import xml.dom.minidom
            import xml.etree.ElementTree
            import xml.sax.handler  # noqa: F401

        def first_party() -> None:
            for index in range(20):
                __import__(f"first_party_{index}")

        def patched() -> object:
            return mock.patch.dict(sys.modules)

        # The naive context goes first: it would throw out what comes back from the parking lot.
        print("beside a bare dict() of a compact table of that size")
        report("nothing changed: naive context", *paired(in_context(naive, nothing), copy))
        report("nothing changed: mock.patch.dict(sys.modules)", *paired(in_context(patched, nothing), copy))
        report("xml.* imported: naive context", *paired(in_context(naive, foreign), copy))
        report("20 first-party modules: naive context", *paired(in_context(naive, first_party), copy))
        window = IsolatedImportContext
        report("nothing changed: window", *paired(in_context(window, nothing), copy))
        report("xml.* imported: window", *paired(in_context(window, foreign), copy))
        report("20 first-party modules: window", *paired(in_context(window, first_party), copy))
        print()
        for package in ("numpy", "pandas", "sqlalchemy", "pydantic"):
            second_import(package)


def second_import(package: str) -> None:
    """Compare the first import of an installed package with its return from the parking lot."""
    times = []
    for _ in range(20):
        with IsolatedImportContext():
            start = time.perf_counter()
            try:
                __import__(package)
            except ImportError:
                print(f"{package} is not installed: left out")
                return
            times.append(time.perf_counter() - start)
    again = statistics.median(times[1:])
    print(
        f"first import of {package}: {times[0] * 1e3:.0f} ms; from the parking lot {again * 1e3:.2f} ms, "
        f"{times[0] / again:.0f} times faster"
    )


if __name__ == "__main__":
    main()
