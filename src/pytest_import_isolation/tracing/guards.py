"""Guards of what importing a package does: what it loads, what it costs, and whether it works at all."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Final

from pytest_import_isolation.cycles.import_graph import list_modules
from pytest_import_isolation.errors import ExtensionModuleError, ParameterError
from pytest_import_isolation.machinery.frames import is_machinery
from pytest_import_isolation.machinery.modules import top_level
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.platform import has_processes
from pytest_import_isolation.patterns import Patterns, check_module_name
from pytest_import_isolation.tracing.entries import TracedImport, chain_to, costliest_chain, sizes_of
from pytest_import_isolation.tracing.interpreters import (
    last_line,
    measure,
    refuse_without_processes,
    run_python,
    search_path,
)
from pytest_import_isolation.tracing.text import place, render_chain
from pytest_import_isolation.tracing.trace import ImportTrace, trace_imports
from pytest_import_isolation.window.context import IsolatedImportContext
from pytest_import_isolation.wording import count, listing, plain

_MOST_TOLD: Final = 3
_FILE: Final = re.compile(r'^  File "(.+)", line (\d+)', re.MULTILINE)
_IMPORT: Final = """
import sys
_, name, missing, *sys.path = sys.argv
sys.argv = [""]
if missing:
    from pytest_import_isolation import IsolatedImportContext
    IsolatedImportContext(missing=missing.split(",")).start()
__import__(name)
"""


class Budget(NamedTuple):
    """What an import may cost."""

    max_modules: int | None
    max_ms: float | None
    forbid: Patterns


def import_budget(
    package: str,
    *,
    max_modules: int | None = None,
    max_ms: float | None = None,
    forbid: str | Iterable[str] = (),
    runs: int = 3,
    process: bool | None = None,
) -> ImportTrace:
    """Fail if importing a package, where nothing is loaded, loads too much or takes too long.

    Args:
        package: the module to import.
        max_modules: how many modules may be loaded, the package's own and the standard library's included.
        max_ms: how many milliseconds it may take.
        forbid: patterns of modules that must not be loaded.
        runs: how many new interpreters measure the time; their median counts.
        process: True measures in new interpreters; False looks at a cold view in this process, where what
            other tests loaded comes back from parking, much faster than it is executed. By default a cold
            view is enough to pass, and what it finds wrong, and times, are for new interpreters to judge.

    Returns:
        The trace of the import.

    Raises:
        AssertionError: it is beyond its budget; the message shows the chain of imports that costs most.
        ParameterError: no limit is given, or one cannot be used.
        ImportError: the package cannot be imported.
    """
    __tracebackhide__ = True  # a failure shows the statement of the test
    check_module_name(package, "import_budget")
    budget = Budget(max_modules, max_ms, Patterns(forbid, "import_budget: forbid"))
    _check_numbers(budget, runs)
    if not (process or has_processes()):
        process = False
    if process or (process is None and max_ms is not None):
        return _judge_in_new_interpreters(package, budget, runs)
    trace = _judge_in_cold_view(package, budget, is_final=process is False)
    return _judge_in_new_interpreters(package, budget, runs) if trace is None else trace


def _judge_in_cold_view(package: str, budget: Budget, *, is_final: bool) -> ImportTrace | None:
    """Return the trace of the import in a cold view, or None if new interpreters must judge.

    Args:
        package: the module to import.
        budget: what is allowed.
        is_final: whether nobody else judges.
    """
    __tracebackhide__ = True
    try:
        trace = _cold_view(package)
    except Exception:  # a second execution may fail where the first does not
        if is_final:
            raise
        return None
    excess = render_excess(package, trace, budget, trace.total_ms, "in a cold view of this process")
    hidden = any(budget.forbid.match(name) for name in trace.before)
    if not is_final:
        return None if excess or hidden else trace
    if excess:
        raise AssertionError(excess)
    if hidden:
        trace.assert_not_imported(*budget.forbid)
    return trace


def _judge_in_new_interpreters(package: str, budget: Budget, runs: int) -> ImportTrace:
    __tracebackhide__ = True
    measured = measure(package, 0 if budget.max_ms is None else runs)
    trace = ImportTrace(measured.entries, measured.before)
    times = sorted(measured.times or (trace.total_ms,))
    time = (times[(len(times) - 1) // 2] + times[len(times) // 2]) / 2
    excess = render_excess(package, trace, budget, time, f"the median of {count(runs, 'new interpreter')}")
    if excess:
        raise AssertionError(excess)
    return trace


def _check_numbers(budget: Budget, runs: int) -> None:
    for name, value in (("max_modules", budget.max_modules), ("max_ms", budget.max_ms), ("runs", runs)):
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0
        ):
            raise ParameterError(f"import_budget: {name} is a number above 0, not {value!r}")
    if not isinstance(runs, int):
        raise ParameterError(f"import_budget: runs is a whole number, not {runs!r}")
    if budget.max_modules is None and budget.max_ms is None and not budget.forbid:
        raise ParameterError("import_budget: give a limit: max_modules=, max_ms= or forbid=")


def _cold_view(package: str) -> ImportTrace:
    try:
        with trace_imports(unloaded="*", fresh=top_level(package)) as trace:
            importlib.import_module(package)
    except ExtensionModuleError:
        with trace_imports(unloaded="*") as trace:
            importlib.import_module(package)
    return trace


def render_excess(package: str, trace: ImportTrace, budget: Budget, time: float, how: str) -> str:
    """Say what is beyond a budget, nothing if nothing is.

    Args:
        package: what was imported.
        trace: how that went.
        budget: what is allowed.
        time: the milliseconds that it took.
        how: where the time was measured.
    """
    entries = trace.entries
    parts: list[str] = []
    names = tuple(trace)
    if budget.max_modules is not None and len(names) > budget.max_modules:
        sizes = sizes_of(entries)
        parts += [
            f"it loads {count(len(names), 'module')}, and {budget.max_modules} are allowed; most of them:",
            _costliest(entries, sizes, [f"{count(size, 'module')}" for size in sizes]),
        ]
    if budget.max_ms is not None and time > budget.max_ms:
        costs = [entry.total_ms or 0.0 for entry in entries]
        parts += [
            f"it takes {time:.0f} ms ({how}), and {budget.max_ms:g} ms are allowed; most of it:",
            _costliest(entries, costs, [f"{cost:.1f} ms" for cost in costs]),
        ]
    forbidden: dict[str, int] = {}
    for position, entry in enumerate(entries):
        pattern = budget.forbid.match(entry.name) if entry.is_loaded else None
        if pattern:
            forbidden.setdefault(pattern, position)
    for position in list(forbidden.values())[:_MOST_TOLD]:
        parts += [f"it imports {entries[position].name}:", render_chain(chain_to(entries, position))]
    if len(forbidden) > _MOST_TOLD:
        parts.append(f"and it imports {listing(list(forbidden)[_MOST_TOLD:])}")
    if not parts:
        return ""
    advice = (
        "Import what costs most inside of the functions that need it, or raise the budget. All imports: "
        f"python -m pytest_import_isolation trace {package}"
    )
    return "\n".join((f"importing {package} is beyond its budget", *parts, advice))


def _costliest(entries: Sequence[TracedImport], weights: Sequence[float], texts: Sequence[str]) -> str:
    positions = costliest_chain(entries, weights)
    return render_chain([entries[i] for i in positions], [texts[i] for i in positions])


class ImportFailure(NamedTuple):
    """A module that cannot be imported."""

    module: str
    #: What was declared missing, separated by commas; nothing if all was there.
    missing: str
    error: str
    #: The statement that raised it: ``"file:line"``, or nothing if that is not known.
    where: str


def assert_importable(
    package: str,
    *,
    missing: str | Iterable[str] = (),
    exclude: str | Iterable[str] = (),
    process: bool | None = None,
) -> tuple[str, ...]:
    """Fail if a module of a package cannot be imported on its own, where nothing else is loaded.

    Args:
        package: a package, or a module. ``__main__`` modules are left out: importing one runs the program.
        missing: patterns of optional dependencies. Everything is imported once with all that is installed,
            and once more without each of them.
        exclude: patterns of modules that need not be importable.
        process: True imports each module in a new interpreter, several at once; False in a cold view of this
            process, where what other tests loaded comes back from parking. By default a cold view is enough
            to pass, and new interpreters judge what fails in it. They import everything if the package holds
            extension modules, which cannot be executed twice in one process.

    Returns:
        The names of the modules.

    Raises:
        AssertionError: some cannot be imported; the message says which and why.
        ParameterError: there is no such package, or nothing is left of it to import.
    """
    __tracebackhide__ = True  # a failure shows the statement of the test
    check_module_name(package, "assert_importable")
    absent = Patterns(missing, "assert_importable: missing")
    if absent.match(package):
        raise ParameterError(f"assert_importable: {package!r} itself is among what is missing")
    names = _modules_to_try(package, Patterns(exclude, "assert_importable: exclude"))
    tasks = [(name, without) for without in ("", *absent) for name in names]
    failures: list[ImportFailure] = []
    if not (process or has_processes()):
        process = False
    if not process:
        try:
            failures = list(_try_here(tasks, package))
        except ExtensionModuleError:
            if process is False:
                raise
            process = True
    if process is None:
        tasks = [(failure.module, failure.missing) for failure in failures]
    if process is not False:
        failures = _try_in_processes(tasks)
    if failures:
        raise AssertionError(render_failures(package, len(names), failures, is_cold_view=process is False))
    return names


def _modules_to_try(package: str, left_out: Patterns) -> tuple[str, ...]:
    __tracebackhide__ = True
    names = tuple(name for name in _modules_of(package) if not left_out.match(name))
    if not names:
        why = (
            f"exclude={list(left_out)} leaves nothing of it" if left_out else "no such module is on sys.path"
        )
        raise ParameterError(f"assert_importable({package!r}): {why}")
    return names


def _modules_of(package: str) -> Iterable[str]:
    try:
        with IsolatedImportContext():  # to find a subpackage imports the packages above
            spec = importlib.util.find_spec(package)
    except Exception as error:  # a package above may raise anything; a fake has no spec
        raise ParameterError(
            f"assert_importable({package!r}): it cannot be found: {type(error).__name__}: {error}"
        ) from None
    return () if spec is None else list_modules(spec)


def _try_here(tasks: Iterable[tuple[str, str]], package: str) -> Iterator[ImportFailure]:
    for name, without in tasks:
        # The whole distribution: a package that registers itself with another half of it must find that new.
        with IsolatedImportContext(unloaded="*", fresh=top_level(package), missing=without or ()):
            try:
                importlib.import_module(name)
            except (KeyboardInterrupt, GeneratorExit):
                raise
            except BaseException as error:  # a script may exit, a test module may skip itself
                text = f"{type(error).__name__}: {error}".strip()
                yield ImportFailure(name, without, text, _place_of(error.__traceback__))


def _place_of(traceback: TracebackType | None) -> str:
    """Return the last statement that is not the import system's own."""
    found = ""
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not is_machinery(traceback.tb_frame):
            found = f"{place(code.co_filename)}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return found


def _try_in_processes(tasks: Sequence[tuple[str, str]]) -> list[ImportFailure]:
    """Try each module in a new interpreter, as many at once as there are processors."""
    refuse_without_processes()  # nor are there threads
    found: dict[int, ImportFailure] = {}
    waiting = iter(list(enumerate(tasks)))
    problems: list[BaseException] = []
    taking = threading.Lock()

    def work() -> None:
        while not problems:
            with taking:
                position, task = next(waiting, (-1, None))
            if task is None:
                return
            try:
                failure = _try_in_process(*task)
            except BaseException as error:  # for the thread that waits
                problems.append(error)
            else:
                found.update({} if failure is None else {position: failure})

    threads = [threading.Thread(target=work) for _ in range(min(len(tasks), os.cpu_count() or 1))]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException as error:  # Ctrl-C: nothing more is begun
        problems.append(error)
        raise
    if problems:
        raise problems[0]
    return [found[position] for position in sorted(found)]


def _try_in_process(name: str, without: str) -> ImportFailure | None:
    done = run_python(["-c", _IMPORT, name, without, *search_path()])
    if done.returncode == 0:
        return None
    places = [(file, line) for file, line in _FILE.findall(done.stderr) if not file.startswith("<")]
    where = f"{place(places[-1][0])}:{places[-1][1]}" if places else ""
    return ImportFailure(name, without, last_line(done.stderr, done.returncode), where)


def render_failures(
    package: str, modules: int, failures: Sequence[ImportFailure], *, is_cold_view: bool = False
) -> str:
    """Say which modules cannot be imported and why.

    Args:
        package: what was tried.
        modules: how many modules it has.
        failures: those that failed, those of the same reason together.
        is_cold_view: whether they were imported in this process.
    """
    groups: dict[tuple[str, str, str], list[str]] = {}
    for failure in failures:
        groups.setdefault((failure.missing, failure.error, failure.where), []).append(failure.module)
    failed = len({failure.module for failure in failures})
    lines = [f"{failed} of {count(modules, 'module')} of {package} cannot be imported on their own"]
    for (missing, error, where), names in groups.items():
        without = f", without {missing}" if missing else ""
        number = f" ({len(names)} modules)" if len(names) > _MOST_TOLD else ""
        lines.append(f"    {listing(names)}{number}{without}")
        lines.append(f"        {error}{f', at {where}' if where else ''}")
    if any(failure.missing for failure in failures):
        lines.append(
            "Import an optional dependency in 'try: ... except ImportError:', or inside of the functions "
            "that need it. Name a module that cannot do without it in exclude=."
        )
    if is_cold_view:
        lines.append(
            "Each was executed in a cold view of this process; process=True takes a new interpreter for each."
        )
    return "\n".join(map(plain, lines))
