"""Finding circular imports: every module that can be in a circle is imported first once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from pytest_import_isolation.cycles.circles import Attempt, ImportCycles, allowances, judge, meets_circle
from pytest_import_isolation.cycles.import_graph import ImportGraph
from pytest_import_isolation.cycles.text import render_cycles
from pytest_import_isolation.cycles.trials import attempt, attempt_in_fresh_interpreter, covered_by
from pytest_import_isolation.errors import ImportIsolationError, ParameterError
from pytest_import_isolation.machinery.frames import packages_on_the_stack
from pytest_import_isolation.machinery.modules import top_level
from pytest_import_isolation.machinery.paths import working_directory
from pytest_import_isolation.machinery.platform import has_processes
from pytest_import_isolation.machinery.source_text import text_of
from pytest_import_isolation.patterns import Patterns, check_module_name
from pytest_import_isolation.state.origins import Origin, Origins
from pytest_import_isolation.window.alterations import refresh
from pytest_import_isolation.window.closing import close_window
from pytest_import_isolation.window.opening import open_window
from pytest_import_isolation.window.parameters import Parameters
from pytest_import_isolation.window.window import Window
from pytest_import_isolation.wording import listing

_OWN_PACKAGE: Final = top_level(__name__)
# Errors that do not come from an earlier execution in the same process.
_SURE_ERRORS: Final = ("ModuleNotFoundError", "ImportError", "SyntaxError", "IndentationError")


def find_import_cycles(
    package: str, *, allow: str | Iterable[str] = (), exhaustive: bool = False
) -> ImportCycles:
    """Find the modules of a package that import each other in a circle.

    A circle can work or fail, which may depend on the module that is imported first. So modules are
    imported first, each in a window of its own in which the package is not loaded, and their imports are
    watched. Only modules that can be in a circle as far as the source tells are tried, and the package
    itself. Afterwards ``sys.modules`` is as it was.

    Args:
        package: the name of a package, not of an object; it need not be imported.
        allow: circles that are known: ``"app.a -> app.b"``, or a pattern of modules, which covers the
            circles between such modules.
        exhaustive: import every module first, for a package whose imports the source does not tell.

    Returns:
        The circles, with what else is worth to be known.

    Raises:
        ParameterError: there is no such package, or its modules cannot be tried.
        PatternError: a name or pattern cannot mean anything.
    """
    check_module_name(package, "find_import_cycles")
    accepted = allowances(allow)
    with _window(Origins.usual()):  # looking for the files of modules changes sys.path_importer_cache
        graph = _graph(package)
    attempts, tried = _try_all(package, graph, exhaustive=exhaustive)
    known = [name for name in graph.modules if _is_below(name, package)]
    found, broken = judge(attempts, top_level(package), graph.modules, graph.binds)
    found = [cycle for cycle in found if any(_is_below(name, package) for name in cycle.modules)]
    allowed = [cycle for cycle in found if any(entry.covers(cycle) for entry in accepted)]
    return ImportCycles(
        package=package,
        modules=len({*known, *tried}),
        tried=tuple(tried),
        cycles=tuple(cycle for cycle in found if cycle not in allowed),
        allowed=tuple(allowed),
        outdated=tuple(entry.text for entry in accepted if not any(map(entry.covers, found))),
        broken=tuple(broken),
    )


def assert_no_circular_imports(
    package: str, *, allow: str | Iterable[str] = (), exhaustive: bool = False
) -> None:
    """Fail if modules of a package import each other in a circle.

    Args:
        package: as for :func:`find_import_cycles`.
        allow: circles that are known. One that is gone fails, too, so that the list stays true.
        exhaustive: as for :func:`find_import_cycles`.

    Raises:
        AssertionError: there are circles, or the package cannot be imported; the message tells all.
        ParameterError: there is no such package, or its modules cannot be tried.
        PatternError: a name or pattern cannot mean anything.
    """
    __tracebackhide__ = True
    found = find_import_cycles(package, allow=allow, exhaustive=exhaustive)
    if not found.is_clean:
        raise AssertionError("\n".join(render_cycles(found, working_directory())))


def _is_below(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def _graph(package: str) -> ImportGraph:
    top = top_level(package)
    who = f"find_import_cycles({package!r})"
    if top == _OWN_PACKAGE:
        raise ParameterError(f"{who}: this package cannot search itself while it runs")
    if top in sys.stdlib_module_names:
        raise ParameterError(
            f"{who}: {top} belongs to the standard library, which must not be executed twice; "
            "name a package of your own, or an installed one"
        )
    origins = Origins.usual()
    graph = ImportGraph(
        top,
        lambda name, file: origins.of_file(name, file) is Origin.FIRST_PARTY,
        lambda file: text_of(Path(file)),
    )
    if package not in graph.modules:
        where = "on sys.path" if top not in graph.modules else f"in {top}"
        raise ParameterError(
            f"{who}: there is no such module {where}; give the name of a package whose source is there"
        )
    return graph


def _try_all(package: str, graph: ImportGraph, *, exhaustive: bool) -> tuple[list[Attempt], list[str]]:
    """Import first each module for which that can matter.

    Returns:
        What happened, for each of these modules; and those that had to be tried: a module that a package
        above it imports goes as that package goes, and if an import meets no circle, none of the modules
        that it loads is in one.
    """
    circles = [part for part in graph.circles() if any(_is_below(name, package) for name in part)]
    wanted = {package, *(name for part in circles for name in part)}
    if exhaustive:
        wanted.update(name for name in graph.modules if _is_below(name, package))
    tops = tuple(sorted({*map(top_level, wanted)}))
    heard = {name for part in circles if not graph.has_implied_edges(part) for name in part}
    attempts: dict[str, Attempt] = {}
    proven: dict[str, Attempt] = {}
    tried: list[str] = []
    with _put_away(graph, tops) as trials, ExitStack() as standing:
        base: Attempt | None = None
        # A package goes before what is below it, and all of one top-level package together.
        for name in sorted(wanted, key=lambda name: (top_level(name), name.count("."), name)):
            if base is not None and top_level(name) != base.entry:
                standing.close()
                base = None
            same = None if exhaustive else covered_by(name, attempts)
            if same is not None:
                attempts[name] = same._replace(entry=name)
            elif name not in proven:
                found = None if exhaustive else attempts.get(top_level(name))
                if base is None and found is not None and trials.standing_on is not None:
                    standing.enter_context(trials.standing_on(found.entry))
                    base = found
                tried.append(name)
                attempts[name] = done = trials.attempt(name).after(base)
                if not exhaustive and done.problem is None and not meets_circle(done, graph.modules):
                    proven.update((other, Attempt(other)) for other in heard.intersection(done.loaded))
    return [*attempts.values(), *(p for name, p in proven.items() if name not in attempts)], tried


class _Trials(NamedTuple):
    """The ways of trying the modules of a package."""

    #: Tries one module.
    attempt: Callable[[str], Attempt]
    #: Imports a top-level package and lets it stay loaded, since importing a module below it does no more at
    #: first: what it loads need not be executed again for each of its modules. None in other interpreters.
    standing_on: Callable[[str], AbstractContextManager[None]] | None = None


@contextmanager
def _put_away(graph: ImportGraph, tops: tuple[str, ...]) -> Iterator[_Trials]:
    """Let packages be executed anew until the block is over.

    Yields:
        The ways of trying. Each attempt takes a fresh interpreter if the packages must not be executed twice
        in one process: those with extension modules, and installed ones that run now.
    """
    has_extensions = any(
        source.is_extension and top_level(source.name) in tops for source in graph.modules.values()
    )
    if has_extensions or any(_is_running_library(top, graph) for top in tops):
        if not has_processes():
            why = "it holds extension modules" if has_extensions else "it is running now"
            raise ImportIsolationError(
                f"{listing(tops)} must be tried in new interpreters, because {why}, and {sys.platform} has "
                "no processes: search on another platform"
            )
        yield _Trials(lambda name: attempt_in_fresh_interpreter(name, graph.modules))
        return
    # Whatever lies here is forgotten and not parked: the next attempt executes it anew.
    origins = Origins(Patterns(tops))
    with _window(origins) as window:
        # The attempts import the same modules again and again, which is nobody's eviction.
        window.log.once_more = lambda name: None
        refresh(window, Patterns(tops))
        yield _Trials(
            lambda name: _attempt_here(name, graph, origins), lambda top: _standing_on(top, graph, origins)
        )


@contextmanager
def _standing_on(top: str, graph: ImportGraph, origins: Origins) -> Iterator[None]:
    with _window(origins) as window:
        window.log.once_more = lambda name: None
        attempt(top, graph.modules)
        yield


def _is_running_library(top: str, graph: ImportGraph) -> bool:
    file = graph.modules[top].file or ""
    return top in packages_on_the_stack() and Origins.usual().of_file(top, file) is Origin.FOREIGN


def _attempt_here(name: str, graph: ImportGraph, origins: Origins) -> Attempt:
    with _window(origins):
        here = attempt(name, graph.modules)
    if here.problem is None or here.end is not None or here.problem.error.startswith(_SURE_ERRORS):
        return here
    if not has_processes():
        return here
    # It may fail because it was executed before in this process, and registers itself somewhere.
    anew = attempt_in_fresh_interpreter(name, graph.modules)
    return here if anew.problem is not None and anew.end is None else anew


@contextmanager
def _window(origins: Origins) -> Iterator[Window]:
    window = Window(
        Parameters.parse("find_import_cycles", {}), origins, title="find_import_cycles", is_alone=True
    )
    open_window(window)
    try:
        yield window
    finally:
        close_window(window)
