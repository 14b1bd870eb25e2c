"""Finding circular imports: every module that can be in a circle is imported first once."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from pytest_import_isolation.cycles.circles import Attempt, ImportCycles, allowances, judge, meets_circle
from pytest_import_isolation.cycles.import_graph import ImportGraph
from pytest_import_isolation.cycles.text import render_cycles
from pytest_import_isolation.cycles.trials import covered_by
from pytest_import_isolation.cycles.ways import Ahead, a_window, ways_of_trying
from pytest_import_isolation.errors import ParameterError
from pytest_import_isolation.machinery.modules import top_level
from pytest_import_isolation.machinery.paths import working_directory
from pytest_import_isolation.machinery.source_text import text_of
from pytest_import_isolation.patterns import check_module_name
from pytest_import_isolation.state.origins import Origin, Origins

_OWN_PACKAGE: Final = top_level(__name__)


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
    with a_window(Origins.usual()):  # looking for the files of modules changes sys.path_importer_cache
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
    with _without_collections():
        graph = ImportGraph(
            top,
            lambda name, file: origins.of_file(name, file) is Origin.FIRST_PARTY,
            text_of,
        )
    if package not in graph.modules:
        where = "on sys.path" if top not in graph.modules else f"in {top}"
        raise ParameterError(
            f"{who}: there is no such module {where}; give the name of a package whose source is there"
        )
    return graph


@contextmanager
def _without_collections() -> Iterator[None]:
    """Do not look for garbage: syntax trees are many objects, and none of them is in a cycle."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


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
    # A package goes before what is below it, and all of one top-level package together.
    order = sorted(wanted, key=lambda name: (top_level(name), name.count("."), name))
    attempts: dict[str, Attempt] = {}
    proven: dict[str, Attempt] = {}
    tried: list[str] = []
    with ways_of_trying(graph, tops, is_alone=exhaustive) as trials, ExitStack() as standing:
        ahead = Ahead(trials.attempt, order, graph.modules)
        base: Attempt | None = None
        for name in order:
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
                attempts[name] = done = ahead.attempt(name, proven).after(base)
                if not exhaustive and done.problem is None and not meets_circle(done, graph.modules):
                    proven.update((other, Attempt(other)) for other in heard.intersection(done.loaded))
                    ahead.hesitate()
    return [*attempts.values(), *(p for name, p in proven.items() if name not in attempts)], tried
