"""What coverage.py measures in a child, brought to the data of its parent."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeAlias

#: ``lines``, ``arcs`` or ``tracers``, the context, and values by file.
Measured: TypeAlias = tuple[str, str | None, dict[str, Any]]


def running_coverage() -> Any:
    """Return the object that measures in this process, or None."""
    coverage: Any = sys.modules.get("coverage")
    try:
        running = coverage.Coverage.current()
        return None if running._collector is None else running
    except AttributeError:  # there is none, or it is another module of this name
        return None


class _Recorder:
    """Stands in the place of coverage's data, and keeps what it is given.

    Args:
        context: the one that is measured at first.
    """

    def __init__(self, context: str | None) -> None:
        self._current_context = context
        self.measured: list[Measured] = []

    def set_context(self, context: str | None) -> str | None:
        before, self._current_context = self._current_context, context
        return before

    def add_lines(self, lines: Mapping[str, Collection[int]]) -> None:
        self._add("lines", {file: list(numbers) for file, numbers in lines.items()})

    def add_arcs(self, arcs: Mapping[str, Collection[tuple[int, int]]]) -> None:
        self._add("arcs", {file: list(pairs) for file, pairs in arcs.items()})

    def add_file_tracers(self, tracers: Mapping[str, str]) -> None:
        self._add("tracers", dict(tracers))

    def touch_file(self, *_: object) -> None:
        """Do nothing: the parent touches the files that nobody executed."""

    touch_files = touch_file

    def _add(self, what: str, values: dict[str, Any]) -> None:
        if values:
            self.measured.append((what, self._current_context, values))


class ChildCoverage:
    """Keeps what is measured in this process from now on, in place of the parent's data.

    Args:
        running: what :func:`running_coverage` returned.
    """

    def __init__(self, running: Any) -> None:
        #: The object that measures.
        self.running = running
        self._collector = collector = running._collector
        for measured in list(collector.data.values()):  # the parent has it
            measured.clear()
        self._recorder = _Recorder(getattr(collector.covdata, "_current_context", None))
        collector.covdata = self._recorder

    def gather(self) -> tuple[list[Measured], list[str]]:
        """Return what was measured, and the packages that are measured and were not met."""
        self._collector.flush_data()
        unmatched = getattr(getattr(self.running, "_inorout", None), "source_pkgs_unmatched", ())
        return self._recorder.measured, list(unmatched)


class ParentCoverage:
    """Adds what children measured to the data of this process."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str | None], dict[str, set[Any]]] = {}
        self._tracers: dict[str, str] = {}
        self._unmatched: set[str] | None = None

    def add(self, measured: Iterable[Measured], unmatched: Iterable[str]) -> None:
        """Take what :meth:`ChildCoverage.gather` returned; to write it each time takes longer than a test."""
        for what, context, values in measured:
            if what == "tracers":
                self._tracers.update(values)
                continue
            known = self._values.setdefault((what, context), {})
            for file, items in values.items():
                known.setdefault(file, set()).update(items)
        left = set(unmatched)
        self._unmatched = left if self._unmatched is None else self._unmatched & left

    def write(self) -> None:
        """Put all that was added into the data of coverage."""
        running = running_coverage()
        values, self._values = self._values, {}
        if running is None or not (values or self._tracers):
            return
        collector = running._collector
        data = collector.covdata
        own = getattr(data, "_current_context", None)
        collector.flush_data()
        for (what, context), by_file in values.items():
            data.set_context(context)
            (data.add_lines if what == "lines" else data.add_arcs)(by_file)
        data.set_context(own)
        if self._tracers:
            data.add_file_tracers(self._tracers)
        self._forget_met(running)

    def _forget_met(self, running: Any) -> None:
        """Let coverage not warn of a package that was imported in children only."""
        pending = getattr(getattr(running, "_inorout", None), "source_pkgs_unmatched", None)
        if type(pending) is list and self._unmatched is not None:
            pending[:] = [name for name in pending if name in self._unmatched]
