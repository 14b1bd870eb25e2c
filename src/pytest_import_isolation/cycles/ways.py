"""The ways of importing a module first: in a window, in a fork of this process, in a new interpreter."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from itertools import islice, takewhile
from typing import Final

from pytest_import_isolation.cycles.circles import Attempt
from pytest_import_isolation.cycles.import_graph import ImportGraph
from pytest_import_isolation.cycles.interpreters import Forks, FreshInterpreters, may_fork_here
from pytest_import_isolation.cycles.process_tree import Shared
from pytest_import_isolation.cycles.trials import Hearing, attempt
from pytest_import_isolation.errors import ImportIsolationError
from pytest_import_isolation.machinery.frames import packages_on_the_stack
from pytest_import_isolation.machinery.modules import parent_of, top_level
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.platform import has_processes
from pytest_import_isolation.patterns import Patterns
from pytest_import_isolation.state.origins import Origin, Origins
from pytest_import_isolation.window.alterations import refresh
from pytest_import_isolation.window.closing import close_window
from pytest_import_isolation.window.opening import open_window
from pytest_import_isolation.window.parameters import NOTHING_ASKED
from pytest_import_isolation.window.window import Window
from pytest_import_isolation.wording import listing

# Errors that do not come from an earlier execution in the same process.
_SURE_ERRORS: Final = ("ModuleNotFoundError", "ImportError", "SyntaxError", "IndentationError")
#: How many modules are tried at once, at most.
_MOST_AHEAD: Final = 16


class Trials(NamedTuple):
    """The ways of trying the modules of a package."""

    #: Tries modules one by one, and returns what happened to the first ones.
    attempt: Callable[[Sequence[str]], Sequence[Attempt]]
    #: Imports a top-level package and lets it stay loaded, since importing a module below it does no more at
    #: first: what it loads need not be executed again for each of its modules. None in other interpreters.
    standing_on: Callable[[str], AbstractContextManager[None]] | None = None


@contextmanager
def ways_of_trying(graph: ImportGraph, tops: tuple[str, ...], *, is_alone: bool) -> Iterator[Trials]:
    """Let packages be executed anew until the block is over.

    Yields:
        The ways of trying. Each attempt takes a fresh interpreter if the packages must not be executed twice
        in one process: those with extension modules, and installed ones that run now.
    """
    has_extensions = any(
        source.is_extension and top_level(source.name) in tops for source in graph.modules.values()
    )
    is_once = has_extensions or any(_is_running_library(top, graph) for top in tops)
    with closing(FreshInterpreters(graph.modules, shares=not is_once)) as fresh:
        if is_once:
            if not has_processes():
                why = "it holds extension modules" if has_extensions else "it is running now"
                raise ImportIsolationError(
                    f"{listing(tops)} must be tried in new interpreters, because {why}, and {sys.platform} "
                    "has no processes: search on another platform"
                )
            yield Trials(lambda names: [fresh.attempt(names[0], is_alone=is_alone)])
            return
        # Whatever lies here is forgotten and not parked: the next attempt executes it anew.
        origins = Origins(Patterns(tops))
        with a_window(origins) as window:
            # The attempts import the same modules again and again, which is nobody's eviction.
            window.log.once_more = lambda name: None
            refresh(window, Patterns(tops))
            with _here(graph, tops, origins, is_alone=is_alone) as trials:

                def try_all(names: Sequence[str]) -> list[Attempt]:
                    return [_confirmed(here, fresh, is_alone=is_alone) for here in trials.attempt(names)]

                yield trials._replace(attempt=try_all)


@contextmanager
def _here(graph: ImportGraph, tops: tuple[str, ...], origins: Origins, *, is_alone: bool) -> Iterator[Trials]:
    """Yield the ways of trying modules as this process would import them: in forks of it, or in windows."""
    in_windows = Trials(
        lambda names: [_attempt_in_window(names[0], graph, origins)],
        lambda top: _standing_on(top, graph, origins),
    )
    if not may_fork_here():
        yield in_windows
        return
    shared = Shared(
        graph.modules, lambda name: top_level(name) in tops, may_repeat=True, shares=True, hearing=Hearing()
    )
    with closing(Forks(shared)) as forks:
        yield Trials(lambda names: forks.attempt(names, is_alone=is_alone) or in_windows.attempt(names))


@contextmanager
def _standing_on(top: str, graph: ImportGraph, origins: Origins) -> Iterator[None]:
    with a_window(origins) as window:
        window.log.once_more = lambda name: None
        attempt(top, graph.modules)
        yield


def _is_running_library(top: str, graph: ImportGraph) -> bool:
    file = graph.modules[top].file or ""
    return top in packages_on_the_stack() and Origins.usual().of_file(top, file) is Origin.FOREIGN


def _attempt_in_window(name: str, graph: ImportGraph, origins: Origins) -> Attempt:
    with a_window(origins):
        return attempt(name, graph.modules)


def _confirmed(here: Attempt, fresh: FreshInterpreters, *, is_alone: bool) -> Attempt:
    if here.problem is None or here.end is not None or here.problem.error.startswith(_SURE_ERRORS):
        return here
    if not has_processes():
        return here
    # It may fail because it was executed before in this process, and registers itself somewhere.
    anew = fresh.attempt(here.entry, is_alone=is_alone)
    return here if anew.problem is not None and anew.end is None else anew


class Ahead:
    """Lets modules be tried some at once, in a process that is asked for each of them otherwise.

    Those that an earlier one makes needless are left out afterwards: what is tried is the same in the end.

    Args:
        attempt: tries modules, and returns what happened to the first ones.
        order: all modules, in the order in which they are asked for.
        known: the modules of the package.
    """

    def __init__(
        self,
        attempt: Callable[[Sequence[str]], Sequence[Attempt]],
        order: Sequence[str],
        known: Collection[str],
    ) -> None:
        self._attempt = attempt
        self._order = order
        self._packages = {parent_of(name)[0] for name in known}
        self._positions = {name: position for position, name in enumerate(order)}
        self._size = 1
        self._found: dict[str, Attempt] = {}

    def attempt(self, name: str, needless: Collection[str]) -> Attempt:
        """Return what happened when a module was imported first."""
        if name not in self._found:
            names = [name, *islice(self._following(name, needless), self._size - 1)]
            self._found = {done.entry: done for done in self._attempt(names)}
            self._size = min(2 * self._size, _MOST_AHEAD)
        return self._found.pop(name)

    def hesitate(self) -> None:
        """Take note that modules have become needless: so may others."""
        self._size = 1

    def _following(self, name: str, needless: Collection[str]) -> Iterator[str]:
        package, _ = parent_of(name)
        if name in self._packages:
            return
        following = islice(self._order, self._positions[name] + 1, None)
        for other in takewhile(lambda other: parent_of(other)[0] == package, following):
            if other not in self._packages and other not in needless:
                yield other


@contextmanager
def a_window(origins: Origins) -> Iterator[Window]:
    """Undo at the end what the import system has come to hold."""
    window = Window(NOTHING_ASKED, origins, title="find_import_cycles", is_alone=True)
    open_window(window)
    try:
        yield window
    finally:
        close_window(window)
