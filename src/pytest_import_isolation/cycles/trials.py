"""Importing a module first, and seeing the circles that this closes."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.machinery import ModuleSpec
from types import CodeType, FrameType, ModuleType, TracebackType
from typing import Any, Final

from pytest_import_isolation.cycles.circles import Attempt, BrokenModule, Crossing, ImportEdge
from pytest_import_isolation.machinery.frames import get_frame, is_machinery
from pytest_import_isolation.machinery.import_bytecode import import_of, is_lazy_statement, names_asked_for
from pytest_import_isolation.machinery.lazy_imports import lazies_used
from pytest_import_isolation.machinery.locks import hear_reentries
from pytest_import_isolation.machinery.modules import (
    ancestors,
    is_initializing,
    loaded_among,
    namespace,
    parent_of,
)
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.threads import get_ident
from pytest_import_isolation.state.writing import put_in, take_out
from pytest_import_isolation.watching.asked_imports import ASKED

Told = Callable[[str], object]
_Edges = dict[tuple[object, ...], tuple[CodeType, ImportEdge]]
_SELF_TEST: Final = "pytest_import_isolation_self_test"
_LONGEST_CAUSES: Final = 20
_BODY: Final = "<module>"


def reentries_can_be_heard() -> bool:
    """Tell whether both ways of importing call the private function that :func:`hear_reentries` replaces.

    Tried live, once for each search, on a module that seems to be in the middle of its import.
    """
    module = ModuleType(_SELF_TEST)
    module.__spec__ = ModuleSpec(_SELF_TEST, None)
    module.__spec__._initializing = True  # type: ignore[attr-defined]
    heard: list[str] = []
    put_in(_SELF_TEST, module)
    try:
        with hear_reentries(heard.append):
            __import__(_SELF_TEST)
            importlib.import_module(_SELF_TEST)
    except AttributeError:
        return False
    finally:
        module.__spec__._initializing = False  # type: ignore[attr-defined]
        take_out([_SELF_TEST])
    return heard.count(_SELF_TEST) == 2  # noqa: PLR2004 - the two ways


class Hearing:
    """How a process hears of imports that find a module whose own import is under way.

    Where the private function cannot be replaced, all imports of the modules that are searched are watched;
    cached ones cost more then.
    """

    def __init__(self) -> None:
        self._hear = (lambda told, covers: hear_reentries(told)) if reentries_can_be_heard() else _watching
        #: The edges that statements have made, with their code: a circle is met from each of its modules.
        self.edges: _Edges = {}
        #: Code of the import machinery that was met on the stack, by its identity: nothing else gets that.
        self.machinery: dict[int, CodeType] = {}

    def listen(self, told: Told, covers: Callable[[str], object]) -> AbstractContextManager[None]:
        """Call back for such imports of the modules for which ``covers`` is true, and maybe of others."""
        return self._hear(told, covers)


@contextmanager
def _watching(told: Told, covers: Callable[[str], object]) -> Iterator[None]:
    undo = ASKED.observe(covers, lambda name: told(name) if is_initializing(sys.modules.get(name)) else None)
    try:
        yield
    finally:
        undo()


class _Step(NamedTuple):
    """Where a frame stands; a traceback knows it as it was."""

    frame: FrameType
    offset: int
    line: int


def _body_of(frame: FrameType) -> str | None:
    """Return the name of the module whose body a frame executes."""
    name = frame.f_globals.get("__name__")
    is_body = frame.f_code.co_name == _BODY and "__spec__" in frame.f_globals
    return name if is_body and isinstance(name, str) else None


def _names_taken(step: _Step, offset: int, module: str) -> tuple[tuple[str, ...], bool]:
    """Return the names of a statement that imports a module, and whether they are that module's own.

    importlib asks for the packages above, too: the statement's names are none of theirs. A submodule that
    the statement takes from its package is asked for nothing.
    """
    package = step.frame.f_globals.get("__package__")
    base, names = names_asked_for(step.frame.f_code, offset, package if isinstance(package, str) else "")
    parent, child = parent_of(module)
    return (names if module == base or (parent == base and child in names) else ()), module == base


def _edges(steps: Sequence[_Step], known: _Edges) -> tuple[ImportEdge, ...]:
    """Return the imports on a part of the call stack.

    Args:
        steps: from the body of the module that is met again to the statement that meets it.
        known: edges that were made before.
    """
    edges: list[ImportEdge] = []
    target = here = str(_body_of(steps[0].frame))
    at = steps[0]

    def edge(imported: str) -> ImportEdge:
        code = at.frame.f_code
        key = (id(code), at.offset, at.line, here, imported, at.frame.f_globals.get("__package__"))
        found = known.get(key)
        if found is None:
            names = _names_taken(at, at.offset, imported)[0]
            # The code is kept, so nothing else gets its identity.
            found = known[key] = code, ImportEdge(here, code.co_filename, at.line, imported, names)
        return found[1]

    for step in steps:
        body = _body_of(step.frame)
        if body is not None and body != here:
            edges.append(edge(body))
            here, at = body, step
        elif step.frame.f_globals is at.frame.f_globals:
            at = step  # functions of other modules that are called on the way import on its behalf
    return (*edges, edge(target))


class _Listener:
    """Notes the circles that imports of this thread close.

    Args:
        hearing: how this process hears.
    """

    def __init__(self, hearing: Hearing) -> None:
        self.crossings: list[Crossing] = []
        self._edges = hearing.edges
        self._machinery = hearing.machinery
        self._thread = get_ident()

    def told(self, name: str) -> None:
        """Note an import of a module whose own import is under way: here, or in another thread."""
        space = namespace(sys.modules.get(name))
        if space is None or get_ident() != self._thread:
            return
        steps: list[_Step] = []
        importer: str | None = None
        frame: FrameType | None = get_frame(1)
        machinery = self._machinery
        while frame is not None:
            if id(frame.f_code) in machinery:  # most frames of a long chain
                pass
            elif is_machinery(frame):
                machinery[id(frame.f_code)] = frame.f_code
            else:
                steps.append(_Step(frame, frame.f_lasti, frame.f_lineno))
                if frame.f_globals is space and _body_of(frame) is not None:
                    break
                if importer is None:
                    importer = _body_of(frame)
                    if importer is not None and _finds_its_package(importer, name, steps, space):
                        return
            frame = frame.f_back
        if frame is None or importer is None:
            return  # another thread imports it, or it asks for itself
        if is_lazy_statement(steps[0].frame.f_code, steps[0].offset):
            return  # it looks whether the module is there already, and needs nothing of it yet
        edges = _edges(steps[::-1], self._edges)
        closing = steps[0]  # a function of another module may import on behalf of the last one
        is_own = _names_taken(closing, closing.offset, name)[1]
        crossing = Crossing(edges, _lacking(name, space, edges[-1].names) if is_own else ())
        if crossing not in self.crossings:
            self.crossings.append(crossing)


def _finds_its_package(importer: str, name: str, steps: Sequence[_Step], space: dict[str, Any]) -> bool:
    """Tell whether a statement imports a package above its module, and finds in it what it takes.

    Most imports that are heard of are such, and they are in no circle that counts.

    Args:
        importer: the module.
        name: what is imported.
        steps: from the statement to the body of the module.
        space: the namespace of what is imported.
    """
    closing = steps[0]
    if not importer.startswith(f"{name}.") or closing.frame.f_globals is not steps[-1].frame.f_globals:
        return False
    names, is_own = _names_taken(closing, closing.offset, name)
    return space.get("__name__") == name and not (is_own and _lacking(name, space, names))


def _lacking(module: str, space: dict[str, Any], names: tuple[str, ...]) -> tuple[str, ...]:
    if "__getattr__" in space:  # whether that has an answer is seen when it is asked
        return ()
    return tuple(
        name for name in names if name != "*" and name not in space and f"{module}.{name}" not in sys.modules
    )


def _end(error: BaseException) -> Crossing | None:
    """Return the circle that an exception tells of: by the module that it names, not by its message."""
    seen: BaseException | None = error
    stack: list[_Step] = []
    for _ in range(_LONGEST_CAUSES):
        if seen is None:
            break
        stack = _stack_of(seen.__traceback__, stack)
        crossing = _circle_in(seen, stack)
        if crossing is not None:
            return crossing
        seen = seen.__cause__ or seen.__context__
    return None


def _stack_of(traceback: TracebackType | None, outer: Sequence[_Step]) -> list[_Step]:
    """Return the frames of a traceback, after those that lead to where the exception was caught.

    Args:
        traceback: begins where its exception was caught.
        outer: the frames of the exception that was raised in its place.
    """
    steps: list[_Step] = []
    while traceback is not None:
        if not is_machinery(traceback.tb_frame):
            steps.append(_Step(traceback.tb_frame, traceback.tb_lasti, traceback.tb_lineno))
        traceback = traceback.tb_next
    caught_in = steps[0].frame if steps else None
    at = next((at for at, step in enumerate(outer) if step.frame is caught_in), 0)
    return [*outer[:at], *steps]


def _circle_in(error: BaseException, stack: Sequence[_Step]) -> Crossing | None:
    if isinstance(error, AttributeError):
        space = namespace(error.obj) if issubclass(type(error.obj), ModuleType) else None
        if space is None or not isinstance(error.name, str):
            return None
        # A package has no attribute for a submodule before the submodule's import is over.
        below = _steps_from(stack, f"{space.get('__name__')}.{error.name}")
        if below:
            return Crossing(_edges(below, {}), is_unbound=True)
        steps = _steps_from(stack, space.get("__name__"))
        if steps and steps[0].frame.f_globals is space:
            return Crossing(_edges(steps, {}), (error.name,))
    elif isinstance(error, ImportError) and not isinstance(error, ModuleNotFoundError):
        steps = _steps_from(stack, error.name)
        if steps:
            names = _names_being_taken(steps[-1], str(error.name))
            *edges, last = _edges(steps, {})
            space = steps[0].frame.f_globals
            lacking = tuple(name for name in names if name not in space)
            return Crossing((*edges, last._replace(names=names)), lacking)
    return None


def _steps_from(stack: Sequence[_Step], target: object) -> Sequence[_Step]:
    """Return the part of a stack that begins with a module's body; nothing if that is not there.

    The module is no longer in ``sys.modules``: its import failed.
    """
    found = [at for at, step in enumerate(stack) if _body_of(step.frame) == target]
    return stack[found[-1] :] if found else ()


def _names_being_taken(step: _Step, module: str) -> tuple[str, ...]:
    """Return the names of the import statement that is taking one of them, or that is being resolved."""
    at = import_of(step.frame.f_code, step.offset)
    names = _names_taken(step, at, module)[0] if at is not None and at != step.offset else ()
    lazily = (lazy.attribute for lazy in lazies_used(step.frame, step.offset) if lazy.module == module)
    return names or tuple(filter(None, lazily))


def _broken(error: BaseException, entry: str, covers: Callable[[str], object]) -> BrokenModule:
    """Say which module an exception was raised in, and where."""
    name, file, line = entry, None, None
    traceback = error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        running = frame.f_globals.get("__name__")
        if isinstance(running, str) and covers(running) and not is_machinery(frame):
            name, file, line = running, frame.f_code.co_filename, traceback.tb_lineno
        traceback = traceback.tb_next
    if isinstance(error, SyntaxError) and error.filename:
        file, line = error.filename, error.lineno
    text = str(error).strip().partition("\n")[0]
    kind = type(error).__name__
    return BrokenModule(name, f"{kind}: {text}" if text else kind, file, line)


def attempt(entry: str, known: Collection[str], hearing: Hearing | None = None) -> Attempt:
    """Import a module, and take note of what happens.

    Args:
        entry: the module; neither it nor others of its package are loaded.
        known: the modules of the package.
        hearing: how this process hears; tried out by default.
    """
    hearing = hearing or Hearing()
    listener = _Listener(hearing)
    problem = end = None
    with hearing.listen(listener.told, known.__contains__), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # each import-time warning would come once for every attempt
        try:
            importlib.import_module(entry)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a module may exit, or skip itself as a test does
            problem, end = _broken(error, entry, known.__contains__), _end(error)
    loaded = tuple(sorted(loaded_among(known)))
    return Attempt(entry, loaded, tuple(listener.crossings), problem, end)


def covered_by(entry: str, attempts: dict[str, Attempt]) -> Attempt | None:
    """Return the attempt that went as one with this module would go, if there is one.

    Importing a module imports the packages above it before. If one of these imports the module, or fails,
    nothing else happens.
    """
    for package in ancestors(entry):
        known = attempts.get(package)
        if known is not None and (entry in known.loaded or package not in known.loaded):
            return known
    return None
