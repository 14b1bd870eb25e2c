"""Import traces as text, and the messages of those who judge them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from pytest_import_isolation.machinery.paths import working_directory
from pytest_import_isolation.tracing.entries import (
    BUILT_IN,
    EXECUTED,
    FAILED,
    IMPLIED,
    LAZY,
    NAMESPACE,
    PARKED,
    RUNNING,
    TracedImport,
)
from pytest_import_isolation.wording import plain

_REMARKS = {
    EXECUTED: "",
    BUILT_IN: "built in",
    NAMESPACE: "namespace package",
    PARKED: "came back from parking: a cold start costs more",
    IMPLIED: "inferred: a module that came back from parking refers to it",
    RUNNING: "under way",
    LAZY: "a lazy import that is not resolved",
}


def render_tree(entries: Sequence[TracedImport]) -> str:
    """Return a line for each import, indented below the one that led to it, with milliseconds."""
    depths: list[int] = []
    lines = [f"{'total ms':>9} {'own ms':>8}"] if entries else []
    for entry in entries:
        depths.append(0 if entry.parent is None else depths[entry.parent] + 1)
        remarks = ", ".join(_remarks(entry, depths[-1] == 0))
        text = f"{'  ' * depths[-1]}{entry.name}{f'  ({remarks})' if remarks else ''}"
        lines.append(f"{_ms(entry.total_ms):>9} {_ms(entry.own_ms):>8}  {plain(text)}")
    return "\n".join(lines)


def render_chain(chain: Sequence[TracedImport], weights: Sequence[str] = ()) -> str:
    """Return a line for each import of a chain, the outermost first.

    Args:
        chain: the imports.
        weights: what stands before each line.
    """
    lines = []
    for index, entry in enumerate(chain):
        weight = f"{weights[index]:>12}  " if weights else ""
        if entry.how == IMPLIED:
            lines.append(f"    {weight}{entry.importer} refers to {entry.name} (it came back from parking)")
        elif entry.file:
            lazily = f" ({_lazily(entry)})" if entry.lazy_file else ""
            lines.append(f"    {weight}{place(entry.file)}:{entry.line} imports {entry.name}{lazily}")
        else:
            by = f"{entry.importer} imports" if entry.importer else "import"
            lines.append(f"    {weight}{by} {entry.name}")
    return "\n".join(map(plain, lines))


def place(file: str) -> str:
    """Return a path, relative to the working directory if it lies below."""
    here = working_directory() + os.sep
    return file[len(here) :] if len(here) > 1 and file.startswith(here) else file


def _remarks(entry: TracedImport, is_root: bool) -> Iterator[str]:
    if entry.how == FAILED:
        yield f"failed: {entry.error}"
    elif _REMARKS[entry.how]:
        yield _REMARKS[entry.how]
    if entry.lazy_file:
        yield _lazily(entry)
    if entry.file and (is_root or entry.lazy_file or entry.how == LAZY):
        yield f"{place(entry.file)}:{entry.line}"
    if entry.thread:
        yield f"in {entry.thread}"


def _lazily(entry: TracedImport) -> str:
    return f"resolves the lazy import at {place(entry.lazy_file)}:{entry.lazy_line}"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
