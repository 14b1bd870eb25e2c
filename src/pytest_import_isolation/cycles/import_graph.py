"""Which modules of a package may import which when they are imported, as far as the source tells.

Pure reading: nothing is imported. What is counted is more than what happens, never less: a module that is in
no circle here is in none at all.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, ModuleSpec
from itertools import chain

from pytest_import_isolation.cycles.source_imports import Import, Reading, Scope, read_source
from pytest_import_isolation.machinery.modules import (
    ancestors,
    location_in,
    package_above,
    parent_of,
    top_level,
)
from pytest_import_isolation.machinery.named_tuples import NamedTuple


class Source(NamedTuple):
    """A module that lies in a directory."""

    name: str
    #: None for a directory without ``__init__.py``.
    file: str | None
    is_package: bool
    is_extension: bool = False


def _find(name: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):  # an entry without a spec, such as a fake
        return None


def list_modules(spec: ModuleSpec) -> dict[str, Source]:
    """Return the modules of a top-level package, or the one module.

    ``__main__`` is left out: it runs the program.
    """
    name = spec.name
    file = spec.origin if spec.has_location else None
    folders = spec.submodule_search_locations
    root = Source(name, file, folders is not None, _is_extension(file or ""))
    return {name: root, **{s.name: s for folder in folders or () for s in _modules_in(folder, name)}}


def _is_extension(file: str) -> bool:
    return file.endswith(tuple(EXTENSION_SUFFIXES))


def _modules_in(folder: str, package: str) -> Iterator[Source]:
    try:
        # Of a source and an extension module of one name the latter is imported: it comes last, and stays.
        entries = sorted(os.scandir(folder), key=lambda entry: (_is_extension(entry.name), entry.name))
    except OSError:
        return
    for entry in entries:
        if entry.is_dir():
            if entry.name.isidentifier() and entry.name != "__pycache__":
                name = f"{package}.{entry.name}"
                found = list(_modules_in(entry.path, name))
                init = os.path.join(entry.path, "__init__.py")
                has_init = os.path.isfile(init)
                if found or has_init:
                    yield Source(name, init if has_init else None, is_package=True)
                    yield from found
            continue
        for suffix in (*EXTENSION_SUFFIXES, *SOURCE_SUFFIXES):
            stem = entry.name[: -len(suffix)]
            if entry.name.endswith(suffix) and stem.isidentifier():
                if stem not in ("__init__", "__main__"):
                    yield Source(f"{package}.{stem}", entry.path, False, suffix in EXTENSION_SUFFIXES)
                break


class ImportGraph:
    """The modules of a package, and of what it imports that may import it in turn, with their imports.

    Args:
        package: the name of the top level.
        belongs: tells of another top-level package, by its name and file, whether to read it too: installed
            packages and the standard library do not import the package.
        read: returns the text of a file.
    """

    def __init__(self, package: str, belongs: Callable[[str, str], bool], read: Callable[[str], str]) -> None:
        self._belongs = belongs
        self._read = read
        self._tops: set[str] = {package}
        #: All modules by name.
        self.modules: dict[str, Source] = {}
        spec = _find(package)
        self.modules.update(list_modules(spec) if spec is not None else {})
        readings = self._read_what_is_imported()
        #: For each module, the names that it binds, or None if that cannot be known.
        self._bound = {name: reading.bound for name, reading in readings.items()}
        #: The edges to packages that are imported only because they are above what a statement names.
        self._implied: set[tuple[str, str]] = set()
        #: For each module, what it may import when it is imported.
        self.edges = self._make_edges({name: reading.scopes for name, reading in readings.items()})

    def binds(self, module: str, name: str) -> bool:
        """Tell whether a module has a name when it is ready, as far as its source tells."""
        bound = self._bound.get(module)
        return bound is None or name in bound

    def circles(self) -> list[list[str]]:
        """Return the strongly connected components of more than one module, each sorted."""
        return sorted(sorted(part) for part in components(self.edges) if len(part) > 1)

    def has_implied_edges(self, circle: Iterable[str]) -> bool:
        """Tell whether a circle may lead through an import that nobody hears.

        ``import a.b.c`` makes no noise if ``a.b`` is in the middle of its import.
        """
        names = set(circle)
        return any(importer in names and imported in names for importer, imported in self._implied)

    def _read_what_is_imported(self) -> dict[str, Reading]:
        readings: dict[str, Reading] = {}
        while waiting := [name for name in self.modules if name not in readings]:
            for name in waiting:
                source = self.modules[name]
                text = "" if source.file is None or source.is_extension else self._read(source.file)
                package = name if source.is_package else parent_of(name)[0]
                reading = readings[name] = read_source(text, package)
                if source.is_extension:
                    readings[name] = Reading([], None)
                for scope in reading.scopes:
                    for statement in scope.imports:
                        self._consider(top_level(statement.module))
        return readings

    def _consider(self, top: str) -> None:
        if top in self._tops or not top:
            return
        self._tops.add(top)
        spec = None if top in sys.stdlib_module_names else _find(top)
        if spec is not None and self._belongs(top, str(location_in(spec))):
            self.modules.update(list_modules(spec))

    def _make_edges(self, scopes: Mapping[str, list[Scope]]) -> dict[str, set[str]]:
        reached = _reached_scopes(scopes)
        edges: dict[str, set[str]] = {name: set() for name in self.modules}
        for name, running in reached.items():
            for scope in running:
                if scope.imports or scope.strings or scope.is_blind:
                    edges[name].update(self._targets(name, scope))
            edges[name].discard(name)
        return edges

    def _targets(self, importer: str, scope: Scope) -> Iterator[str]:
        if scope.is_blind:
            yield from (name for name in self.modules if top_level(name) == top_level(importer))
        own = (importer, *ancestors(importer))
        for statement in scope.imports:
            for name in self._named_by(statement):
                # A package that is above the importer is being imported already, or is ready. It matters if
                # something is asked of it that is not a submodule.
                if name not in own or self._asks(statement, name):
                    yield name
                if name not in own and statement.module.startswith(f"{name}."):
                    self._implied.add((importer, name))
        package = importer if self.modules[importer].is_package else parent_of(importer)[0]
        for text in scope.strings:
            for name in self._named_by_string(text, package):
                yield name
                if name not in own and text != name:
                    self._implied.add((importer, name))

    def _named_by(self, statement: Import) -> Iterator[str]:
        module = statement.module
        below = [f"{module}.{name}" for name in statement.names]
        if "*" in statement.names:  # __all__ may name submodules
            below = [name for name in self.modules if parent_of(name)[0] == module]
        return (name for name in (*ancestors(module), module, *below) if name in self.modules)

    def _asks(self, statement: Import, package: str) -> bool:
        if statement.module == package and statement.names:
            return any(f"{package}.{name}" not in self.modules for name in statement.names)
        return statement.module == package or statement.binds_top

    def _named_by_string(self, text: str, package: str) -> Iterator[str]:
        name = text.replace(":", ".")
        if name.startswith("."):
            dots = len(name) - len(name.lstrip("."))
            name = f"{package_above(package, dots - 1)}.{name[dots:]}".rstrip(".")
        while name and name not in self.modules:
            name = parent_of(name)[0]
        if name:
            yield from (name, *(above for above in ancestors(name) if above in self.modules))


def _reached_scopes(scopes: Mapping[str, list[Scope]]) -> dict[str, list[Scope]]:
    """Return, for each module, the code that may run when some module of the graph is imported.

    A function may be called if code that runs reads its name, in whatever module. So may a lazy import be
    resolved, also if the name is imported or stands in a literal string (``getattr(module, "name")``).
    """
    functions: dict[str, list[Scope]] = {}
    lazies: dict[str, list[Scope]] = {}
    waiting: list[Scope] = []
    for scope in chain.from_iterable(scopes.values()):
        if scope.is_reached:
            waiting.append(scope)
        else:
            (lazies if scope.is_lazy else functions).setdefault(str(scope.name), []).append(scope)
    found = {id(scope) for scope in waiting}
    unread = set(functions)
    while waiting:
        running = waiting.pop()
        read = running.reads & unread
        unread -= read
        reached = [scope for name in read for scope in functions[name]]
        if lazies:
            used = lazies.keys() if "*" in running.takes else running.reads | running.takes | running.strings
            reached += (scope for name in list(used) for scope in lazies.pop(name, ()))
        found.update(map(id, reached))
        waiting += reached
    return {name: [scope for scope in within if id(scope) in found] for name, within in scopes.items()}


def components(edges: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the strongly connected components of a graph (Tarjan's algorithm, without recursion)."""
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    found: list[list[str]] = []
    for root in edges:
        if root in index:
            continue
        work: list[tuple[str, Iterator[str]]] = [(root, iter(edges[root]))]
        index[root] = lowest[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, following = work[-1]
            for target in following:
                if target not in index:
                    index[target] = lowest[target] = len(index)
                    stack.append(target)
                    on_stack.add(target)
                    work.append((target, iter(edges[target])))
                    break
                if target in on_stack:
                    lowest[node] = min(lowest[node], index[target])
            else:
                work.pop()
                if work:
                    lowest[work[-1][0]] = min(lowest[work[-1][0]], lowest[node])
                if lowest[node] == index[node]:
                    part: list[str] = []
                    while not part or part[-1] != node:
                        part.append(stack.pop())
                        on_stack.discard(part[-1])
                    found.append(part)
    return found
