"""New interpreters: what an import costs where nothing is loaded, as ``-X importtime`` tells it."""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from pytest_import_isolation.errors import ImportIsolationError
from pytest_import_isolation.machinery.frames import Importer
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.platform import has_processes
from pytest_import_isolation.tracing.entries import BUILT_IN, EXECUTED, FAILED, Node, TracedImport, flatten

if TYPE_CHECKING:
    import subprocess

_LINE: Final = re.compile(r"import time:\s*(\d+) \|\s*(\d+) \| ( *)(\S.*)")
_BEGIN: Final = "import isolation: the imports begin here"
_END: Final = "import isolation: the imports end here"

# Needs no module but sys: what it loaded for itself would be missing from the measurement.
_SCRIPT: Final = f"""
import sys
_, package, noting, *sys.path = sys.argv
asked = {{}}
class Finder:
    def find_spec(name, path=None, target=None):
        frame = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename.startswith("<frozen "):
            frame = frame.f_back
        if frame is not None:
            module = frame.f_globals.get("__name__")
            asked.setdefault(name, (str(module), frame.f_code.co_filename, frame.f_lineno or 0))
if noting:
    sys.meta_path.insert(0, Finder)
before = set(sys.modules)
sys.argv = [""]
stream = sys.stderr
print("\\n{_BEGIN}", file=stream, flush=True)
__import__(package)
print("\\n{_END}", file=stream, flush=True)
if noting:
    origins = {{}}
    for name, module in list(sys.modules.items()):
        if name not in before and type(name) is str:
            origins[name] = str(getattr(getattr(module, "__spec__", None), "origin", None))
    asked.pop(package, None)
    before = [name for name in before if type(name) is str]
    print(ascii((asked, origins, before)), file=stream, flush=True)
"""


class TimedLine(NamedTuple):
    """A line of ``-X importtime``."""

    name: str
    depth: int
    own_ms: float
    total_ms: float


class Measurement(NamedTuple):
    """What importing a package does in a new interpreter."""

    entries: tuple[TracedImport, ...]
    before: frozenset[str]
    #: The milliseconds of each run.
    times: tuple[float, ...]


def parse_import_times(text: str) -> list[TimedLine]:
    """Return the lines of ``-X importtime`` that lie between the marks, in the order of the output.

    What the imported modules print to the same stream is passed over.
    """
    _, _, text = text.rpartition(_BEGIN)
    text = text.partition(_END)[0]
    found = []
    for own, total, indent, name in _LINE.findall(text):
        found.append(TimedLine(name.strip(), len(indent) // 2, int(own) / 1000, int(total) / 1000))
    return found


def total_of(lines: Iterable[TimedLine]) -> float:
    """Return the milliseconds of all imports that no other led to."""
    lines = list(lines)
    outermost = min((line.depth for line in lines), default=0)
    return sum(line.total_ms for line in lines if line.depth == outermost)


def build_entries(
    lines: Sequence[TimedLine], asked: dict[str, Importer], origins: dict[str, str]
) -> tuple[TracedImport, ...]:
    """Return the entries of a trace.

    Args:
        lines: a line for each import, behind the lines of what it imported.
        asked: who asked for each module first.
        origins: where each module that is loaded now comes from.
    """
    roots: list[Node] = []
    stack: list[tuple[int, Node]] = []
    for line in reversed(lines):  # so that each stands before what it imported
        while stack and stack[-1][0] >= line.depth:
            stack.pop()
        how = BUILT_IN if origins.get(line.name) in ("built-in", "frozen") else EXECUTED
        importer = asked.get(line.name)
        entry = TracedImport(
            line.name,
            how if line.name in origins else FAILED,
            importer=importer.module if importer else "",
            file=importer.file if importer else "",
            line=importer.line if importer else 0,
            error="" if line.name in origins else "it was not loaded afterwards",
        )
        node = Node(entry, stack[-1][1] if stack else None)
        node.elapsed = line.total_ms
        if not stack:
            roots.append(node)
        stack.append((line.depth, node))
    for node in roots:
        _reverse(node)
    return flatten(reversed(roots))


def _reverse(node: Node) -> None:
    waiting = [node]
    for current in waiting:  # grows while it is read
        current.children.reverse()
        current.above.reverse()
        waiting += [*current.above, *current.children]


def measure(package: str, runs: int = 1) -> Measurement:
    """Import a package in new interpreters, one after the other, with the ``sys.path`` of this one.

    Args:
        package: the module to import.
        runs: how many measure the time, beside the one that notes who imported what.

    Raises:
        ImportError: it cannot be imported there.
    """
    output = _run(package, "noting")
    asked, origins, before = ast.literal_eval(output.partition(_END)[2].splitlines()[1])
    importers = {name: Importer(*importer) for name, importer in asked.items()}
    entries = build_entries(parse_import_times(output), importers, origins)
    times = tuple(total_of(parse_import_times(_run(package, ""))) for _ in range(runs))
    return Measurement(entries, frozenset(before), times)


def _run(package: str, noting: str) -> str:
    """Return what a new interpreter that imports the package prints to its standard error."""
    done = run_python(["-X", "importtime", "-c", _SCRIPT, package, noting, *search_path()])
    if done.returncode or _END not in done.stderr:
        raise ImportError(
            f"a new interpreter cannot import {package}: {last_line(done.stderr, done.returncode)}",
            name=package,
        )
    return done.stderr


def search_path() -> list[str]:
    """Return what a new interpreter needs as ``sys.path`` to find what this one finds."""
    return [os.fspath(entry) for entry in sys.path if issubclass(type(entry), (str, os.PathLike))]


def refuse_without_processes() -> None:
    """Raise the error of a new interpreter that cannot be had.

    Raises:
        ImportIsolationError: the platform has no processes.
    """
    if not has_processes():
        raise ImportIsolationError(
            f"this needs a new interpreter, and {sys.platform} has no processes; "
            "process=False takes a cold view of this one"
        )


def run_python(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run this Python with some arguments, and return what it came to.

    Raises:
        ImportIsolationError: the platform has no processes.
    """
    import subprocess

    refuse_without_processes()
    return subprocess.run(
        [sys.executable, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        encoding="utf-8",
        errors="replace",
    )


def last_line(output: str, status: int) -> str:
    """Return the last line that says something about an error, or the exit status."""
    lines = [line.strip() for line in output.splitlines() if line.strip() and "import time:" not in line]
    lines = [line for line in lines if line not in (_BEGIN, _END)]
    return lines[-1] if lines else f"it ended with status {status}"
