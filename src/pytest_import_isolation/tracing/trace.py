"""Import traces: which modules a block loads, who asked for each, and how long that took."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Final

from pytest_import_isolation.errors import ParameterError
from pytest_import_isolation.machinery.frames import caller
from pytest_import_isolation.machinery.lazy_imports import lazy_statement, waiting_in
from pytest_import_isolation.machinery.modules import ancestors, namespace, spec_of, spec_value, top_level
from pytest_import_isolation.machinery.threads import thread_name
from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.patterns import Patterns
from pytest_import_isolation.state.references import NewModules
from pytest_import_isolation.tracing.entries import (
    BUILT_IN,
    EXECUTED,
    FAILED,
    IMPLIED,
    LAZY,
    NAMESPACE,
    PARKED,
    RUNNING,
    Node,
    TracedImport,
    chain_to,
    flatten,
)
from pytest_import_isolation.tracing.text import render_chain, render_tree
from pytest_import_isolation.watching.import_log import ImportLog
from pytest_import_isolation.watching.import_watch import (
    imports_can_be_watched,
    is_for_itself,
    watch_imports,
)
from pytest_import_isolation.window.context import Entry, IsolatedImportContext
from pytest_import_isolation.window.window import Older, Unproven
from pytest_import_isolation.wording import listing, suggestion

_MOST_TOLD: Final = 3
# In a container: freezegun replaces such a function where a module holds it by name.
_CLOCK: Final = (time.perf_counter,)


class ImportTrace:
    """The imports of a block, in the order in which they were asked for.

    Iterating gives the names of the modules that were loaded, ``name in trace`` asks for one, and
    ``trace[name]`` gives its entry. :attr:`entries` has failed imports too. While the block runs, the trace
    holds what was imported so far.

    Args:
        entries: the imports.
        before: the modules that were loaded when the trace began: an import of those leaves no entry.
    """

    def __init__(self, entries: Sequence[TracedImport] = (), before: Iterable[str] = ()) -> None:
        self._entries = tuple(entries)
        # Tells which absences prove nothing: now, and after the block what was so at its end.
        self._older: Older | None = None
        self._unproven: Callable[[], Sequence[Unproven]] = tuple
        self._recorder: _Recorder | None = None
        #: The modules that were loaded when the trace began.
        self.before = frozenset(before)

    @property
    def entries(self) -> tuple[TracedImport, ...]:
        """The imports of modules that were not loaded, also those that failed."""
        return self._entries if self._recorder is None else self._recorder.entries()

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(entry.name for entry in self.entries if entry.is_loaded))

    def __len__(self) -> int:
        return len(tuple(iter(self)))

    def __bool__(self) -> bool:
        return True

    def __contains__(self, name: object) -> bool:
        return any(entry.name == name for entry in self.entries if entry.is_loaded)

    def __getitem__(self, name: str) -> TracedImport:
        return self.chain(name)[-1]

    def __repr__(self) -> str:
        return f"<ImportTrace of {listing(tuple(self)) or 'nothing'}>"

    def chain(self, name: str) -> tuple[TracedImport, ...]:
        """Return the imports that led to a module, the outermost first, the module's own last.

        Raises:
            KeyError: the module was not loaded.
        """
        entries = self.entries
        for position, entry in enumerate(entries):
            if entry.is_loaded and entry.name == name:
                return chain_to(entries, position)
        why = "it was loaded before the trace began" if name in self.before else "it was not loaded"
        raise KeyError(f"{name}: {why}{suggestion(name, self)}")

    def tree(self) -> str:
        """Return the imports as text, each indented below the one that led to it, with milliseconds."""
        return render_tree(self.entries)

    @property
    def total_ms(self) -> float:
        """The milliseconds that all imports took."""
        return sum(entry.total_ms or 0.0 for entry in self.entries if entry.parent is None)

    def assert_not_imported(self, *patterns: str) -> None:
        """Fail if a module was loaded; the message is the chain of imports that led there.

        Args:
            patterns: module names, which cover their submodules, or globs.

        Raises:
            AssertionError: one was loaded; or it had been loaded before, or what imports it had been executed
                before, so that nobody can tell.
        """
        __tracebackhide__ = True  # a failure shows the statement of the test
        unwanted = Patterns(patterns, "assert_not_imported")
        if not unwanted:
            raise ParameterError("assert_not_imported: name the modules that must not be imported")
        entries = self.entries
        found = [i for i, entry in enumerate(entries) if entry.is_loaded and unwanted.match(entry.name)]
        if found:
            chain = chain_to(entries, found[0])
            more = [entries[i].name for i in found[1:] if entries[i].name != chain[-1].name]
            also = f"\nand so are {listing(tuple(dict.fromkeys(more)))}" if more else ""
            raise AssertionError(f"{chain[-1].name} is imported:\n{render_chain(chain)}{also}")
        hidden = sorted(name for name in self.before if unwanted.match(name))
        if hidden:
            raise AssertionError(
                f"loaded before the trace began, so that an import leaves no entry: {listing(hidden)}; use"
                ' trace_imports(unloaded="*") to begin cold, or '
                "import_budget(..., forbid=..., process=True) to ask a new interpreter"
            )
        unproven = [one for one in self._unproven() if unwanted.match(one.name)]
        if unproven and self._older is not None:
            raise AssertionError(f"this proves nothing: {self._older.reason(unproven)}")

    def assert_only(self, *patterns: str, standard_library: bool = True) -> None:
        """Fail if anything else was loaded.

        Args:
            patterns: module names, which cover their submodules, or globs.
            standard_library: whether the standard library may be loaded as well.

        Raises:
            AssertionError: something else was loaded; the message has the chains of imports.
        """
        __tracebackhide__ = True
        allowed = Patterns(patterns, "assert_only")
        entries = self.entries
        others: dict[str, int] = {}
        for position, entry in enumerate(entries):
            if not entry.is_loaded or allowed.match(entry.name):
                continue
            if not (standard_library and top_level(entry.name) in sys.stdlib_module_names):
                others.setdefault(top_level(entry.name), position)
        if others:
            told = list(others.values())[:_MOST_TOLD]
            chains = "\n".join(f"{entries[i].name}:\n{render_chain(chain_to(entries, i))}" for i in told)
            more = len(others) - len(told)
            raise AssertionError(
                f"imported, but not in {listing(allowed.texts) or 'the standard library'}: "
                f"{listing(tuple(others))}\n{chains}{f'{chr(10)}and {more} more' if more else ''}"
            )

    def as_builtins(self) -> dict[str, Any]:
        """Return the trace as it is written to JSON."""
        return {
            "modules": len(self),
            "total_ms": self.total_ms,
            "entries": [entry._asdict() for entry in self.entries],
        }


@contextmanager
def trace_imports(
    *,
    fresh: str | Iterable[str] = (),
    unloaded: str | Iterable[str] = (),
    missing: str | Iterable[str] = (),
    fakes: Mapping[str, object] | None = None,
    path: Entry | Iterable[Entry] = (),
    keep: str | Iterable[str] = (),
) -> Iterator[ImportTrace]:
    """Record the imports of a block.

    With parameters, which are those of :class:`~pytest_import_isolation.IsolatedImportContext`, the block
    runs in such a context: ``unloaded="*"`` shows what a cold start imports, and executes first-party modules
    anew. Without any, nothing is undone, and a module that is loaded already leaves no entry.

    Yields:
        The trace.

    Raises:
        ParameterError: a parameter is of an unusable type.
        PatternError: a pattern can match no module.
        ExtensionModuleError: ``fresh`` covers an extension module.
    """
    is_isolated = any((fresh, unloaded, missing, fakes, path, keep))
    context = (
        IsolatedImportContext(fresh, unloaded, missing, fakes, path, keep) if is_isolated else nullcontext()
    )
    with context:
        trace = ImportTrace(before=(name for name in sys.modules.copy() if type(name) is str))
        recorder = _Recorder(trace.before)
        trace._recorder = recorder
        older = context.window.older if isinstance(context, IsolatedImportContext) else None
        if older is not None:
            trace._older, trace._unproven = older, older.unproven
        recorder.start()
        try:
            yield trace
        finally:
            recorder.stop()
            trace._entries, trace._recorder = recorder.entries(), None
            unproven = tuple(trace._unproven())
            trace._unproven = lambda: unproven


class _Recorder:
    """Notes each import of a module that is not loaded, from its begin to its end, thread by thread.

    Where importlib's private lock is not what it was, the finder tells of the begin of imports only: then
    there are no times, and what led to an import is known by the module that asked.

    Args:
        before: the modules that are loaded.
    """

    def __init__(self, before: frozenset[str]) -> None:
        self._before = before
        self._roots: list[Node] = []
        self._under_way: dict[int, list[tuple[Node, float]]] = {}
        self._untimed: dict[str, Node] = {}
        self._log: ImportLog | None = None

    def start(self) -> None:
        """Begin."""
        if imports_can_be_watched():
            self._undo = watch_imports(self)
            return
        self._log = log = ImportLog()
        log.beforehand = self._begin_untimed
        FINDER.listen(log)
        self._undo = lambda: FINDER.unlisten(log)

    def stop(self) -> None:
        """End."""
        self._undo()

    def begin(self, name: str) -> tuple[Node, list[tuple[Node, float]]] | None:
        """Note that an import begins."""
        if is_for_itself():
            return None
        # Not that of machinery: each greenlet has imports under way, too.
        stack = self._under_way.setdefault(threading.get_ident(), [])
        node = self._add(name, stack[-1][0] if stack else None)
        stack.append((node, _CLOCK[0]()))
        return node, stack

    def end(self, token: tuple[Node, list[tuple[Node, float]]], error: BaseException | None) -> None:
        """Note that it is over."""
        now = _CLOCK[0]()
        node, stack = token
        _, began = stack.pop()
        node.elapsed = (now - began) * 1000
        self._conclude(node, "" if error is None else f"{type(error).__name__}: {error}")

    def _add(self, name: str, enclosing: Node | None) -> Node:
        importer, lazy = caller(), lazy_statement(name)
        entry = TracedImport(
            name,
            PARKED if name in FINDER.lot else RUNNING,
            importer=importer.module if importer else "",
            file=importer.file if importer else "",
            line=importer.line if importer else 0,
            thread=thread_name(),
            lazy_file=lazy.file if lazy else "",
            lazy_line=lazy.line if lazy else 0,
        )
        node = Node(entry, enclosing)
        if enclosing is None:
            self._roots.append(node)
        return node

    def _begin_untimed(self, name: str) -> None:
        if is_for_itself():
            return
        importer = caller()
        enclosing = self._untimed.get(importer.module) if importer else None
        self._untimed[name] = self._add(name, enclosing)

    def _conclude(self, node: Node, error: str) -> None:
        if error:
            node.entry = node.entry._replace(how=FAILED, error=error)
        elif node.entry.how == RUNNING:
            node.entry = node.entry._replace(how=_how(sys.modules.get(node.entry.name)))

    def entries(self) -> tuple[TracedImport, ...]:
        """Return what was imported so far."""
        for name, node in self._untimed.items():
            if node.entry.how == RUNNING:
                self._conclude(node, "" if name in sys.modules else "it is not loaded")
        entries = flatten(self._roots, _unused)
        return (*entries, *_implied(entries, self._before))


def _how(module: object) -> str:
    spec = spec_of(module)
    origin = spec_value(spec, "origin")
    if origin in ("built-in", "frozen"):
        return BUILT_IN
    folders = spec_value(spec, "submodule_search_locations")
    return NAMESPACE if origin is None and folders is not None else EXECUTED


def _unused(entry: TracedImport) -> Iterator[TracedImport]:
    """Yield the lazy imports of a module that nobody used."""
    space = namespace(sys.modules.get(entry.name)) if entry.is_loaded else None
    for lazy, statement in waiting_in(space or {}):
        yield TracedImport(
            lazy.target, LAZY, importer=statement.module, file=statement.file, line=statement.line
        )


def _implied(entries: tuple[TracedImport, ...], before: frozenset[str]) -> list[TracedImport]:
    """Return what modules that came back from parking would have imported, had they been executed.

    They were not, and so they asked for nothing. But what a module imported its globals refer to, most often.
    What a container holds does not count: in copyreg's are functions of numpy once that was imported.
    """
    waiting = [(i, entry.name) for i, entry in enumerate(entries) if entry.how == PARKED]
    if not waiting:
        return []
    known = {name: FINDER.lot.module(name) for name in FINDER.lot}
    known.update(
        {n: module for n, module in sys.modules.copy().items() if type(n) is str and n not in before}
    )
    new_modules = NewModules(known)
    seen = {entry.name for entry in entries if entry.is_loaded}
    found: list[TracedImport] = []
    for position, name in waiting:  # grows while it is read
        space = namespace(new_modules.modules.get(name)) or {}
        for home, key in new_modules.references(space):
            if new_modules.home_of(space.get(key)) is None:
                continue
            for wanted in (*ancestors(home), home):
                if wanted in new_modules.modules and wanted not in seen:
                    seen.add(wanted)
                    waiting.append((len(entries) + len(found), wanted))
                    found.append(TracedImport(wanted, IMPLIED, position, importer=name))
    return found
