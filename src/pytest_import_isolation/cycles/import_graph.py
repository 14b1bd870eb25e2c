"""Which modules of a package may import which when they are imported, as far as the source tells.

Pure reading: nothing is imported. What is counted is more than what happens, never less, as far as
imports are written as statements or as names in literal strings: a module that is in no circle here is in
none at all.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, ModuleSpec
from typing import Final, NamedTuple

from pytest_import_isolation.machinery.modules import ancestors, location_in, parent_of, top_level

# Calls that may import what no literal says: who makes one when it is imported may import any module.
_BLIND_CALLS: Final = frozenset(
    {"__import__", "exec", "exec_module", "import_module", "load_module", "run_module"}
)
# Who uses one of these may bind names that no statement binds.
_BLIND_BINDERS: Final = frozenset({"__dict__", "exec", "globals", "setattr", "vars"})
# Decorators that do not call what they decorate.
_QUIET_DECORATORS: Final = frozenset(
    {
        "abstractmethod", "asynccontextmanager", "cache", "cached_property", "classmethod", "contextmanager",
        "deleter", "final", "fixture", "lru_cache", "no_type_check", "overload", "override", "property",
        "setter", "staticmethod", "wraps",
    }
)  # fmt: skip
# A function without any of these imports nothing and binds nothing for the module.
_WORTH_READING: Final = ("exec", "global", "import", "load", "run_module", "setattr", "vars")
_Function = (ast.FunctionDef, ast.AsyncFunctionDef)


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


class _Import(NamedTuple):
    """An import statement: ``from module import names``, or ``import module`` without names."""

    module: str
    names: tuple[str, ...]
    #: Whether the statement binds the topmost package: ``import a.b`` without ``as``.
    binds_top: bool


class _Scope:
    """Code that runs together: a module's body with its class bodies, or the body of a function."""

    def __init__(self, name: str | None, *, is_reached: bool) -> None:
        self.name = name
        #: Whether it runs at import, whoever names it.
        self.is_reached = is_reached
        self.imports: list[_Import] = []
        #: Names of variables and attributes that it reads: who is named may be called.
        self.reads: set[str] = set()
        #: Names that its import statements take from modules; a lazy one there is resolved by that.
        self.takes: set[str] = set()
        #: Literal strings that could name a module.
        self.strings: set[str] = set()
        #: Whether it is a lazy import: code that "runs" when somebody uses the name that it binds.
        self.is_lazy = False
        self.is_blind = False


class _Reading(NamedTuple):
    """What one module's source says."""

    scopes: list[_Scope]
    #: The names that it binds for others, or None if that cannot be known.
    bound: set[str] | None


def read_source(text: str, package: str) -> _Reading:
    """Read what a source imports.

    Args:
        text: the source; one that cannot be parsed imports nothing.
        package: what relative imports start from.
    """
    reader = _Reader(package, text)
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return _Reading([], None)
    body = _Scope(None, is_reached=True)
    reader.scopes.append(body)
    reader.read_all(tree.body, body)
    reads = set[str]().union(*(scope.reads for scope in reader.scopes))
    is_known = reader.bound_is_known and _BLIND_BINDERS.isdisjoint(reads)
    return _Reading(reader.scopes, reader.bound if is_known else None)


class _Reader:
    def __init__(self, package: str, text: str) -> None:
        self._package = package
        self._lines = text.splitlines()
        #: The class whose body is being read.
        self._class: str | None = None
        self.scopes: list[_Scope] = []
        self.bound: set[str] = set()
        self.bound_is_known = True

    def read_all(self, nodes: Iterable[ast.AST | None], scope: _Scope) -> None:
        for node in nodes:
            if node is not None:
                self._read(node, scope)

    def _read(self, node: ast.AST, scope: _Scope) -> None:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            self._read_import(node, scope)
        elif isinstance(node, _Function):
            self._read_function(node, scope)
        elif isinstance(node, ast.ClassDef):
            self._read_class(node, scope)
        elif isinstance(node, ast.If):
            self._read_condition(node, scope)
        elif isinstance(node, ast.AnnAssign):
            self.read_all((node.target, node.value), scope)
        elif isinstance(node, ast.arg):
            pass  # its annotation
        else:
            self._read_other(node, scope)
            self.read_all(ast.iter_child_nodes(node), scope)

    def _read_other(self, node: ast.AST, scope: _Scope) -> None:
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Load):
                scope.reads.add(node.id)
            else:
                self.bound.add(node.id)
        elif isinstance(node, ast.Attribute):
            scope.reads.add(node.attr)
        elif isinstance(node, ast.Global):
            self.bound.update(node.names)
        elif isinstance(node, (ast.MatchAs, ast.MatchStar, ast.ExceptHandler)):
            self.bound.update(filter(None, (node.name,)))
        elif isinstance(node, ast.Constant):
            if isinstance(node.value, str) and _looks_like_a_module(node.value):
                scope.strings.add(node.value)
        elif isinstance(node, ast.Call) and _last_name(node.func) in _BLIND_CALLS:
            first = node.args[0] if node.args else None
            scope.is_blind |= not (isinstance(first, ast.Constant) and _last_name(node.func) != "exec")

    def _read_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: _Scope) -> None:
        self.bound.add(node.name)
        decorators = {_last_name(decorator) for decorator in node.decorator_list}
        is_special = node.name.startswith("__") and node.name.endswith("__")
        # Who makes an object names its class; the package's own __getattr__ needs nobody who names it.
        name = self._class if is_special else node.name
        inner = _Scope(name, is_reached=name is None or not decorators <= _QUIET_DECORATORS)
        self.scopes.append(inner)
        self.read_all((*node.decorator_list, node.args), scope)
        text = "\n".join(self._lines[node.lineno - 1 : node.end_lineno])
        if any(word in text for word in _WORTH_READING):
            outer, self._class = self._class, None
            self.read_all(node.body, inner)
            self._class = outer
        else:  # most functions, and most of the time
            inner.reads.update(re.findall(r"\w+", text))

    def _read_class(self, node: ast.ClassDef, scope: _Scope) -> None:
        self.bound.add(node.name)
        self.read_all((*node.decorator_list, *node.bases, *node.keywords), scope)
        outer, self._class = self._class, node.name
        self.read_all(node.body, scope)
        self._class = outer

    def _read_condition(self, node: ast.If, scope: _Scope) -> None:
        self._read(node.test, scope)
        if not _is_never_true_at_import(node.test):
            self.read_all(node.body, scope)
        self.read_all(node.orelse, scope)

    def _read_import(self, node: ast.Import | ast.ImportFrom, scope: _Scope) -> None:
        for alias in node.names:
            if alias.name == "*":
                self.bound_is_known = False
            self.bound.add(alias.asname or top_level(alias.name))
        if getattr(node, "is_lazy", 0) and not _lazy_imports_are_filtered():
            for alias in node.names:
                lazy = _Scope(alias.asname or top_level(alias.name), is_reached=False)
                lazy.is_lazy = True
                self.scopes.append(lazy)
                self._note_import(node, [alias], lazy)
        else:
            self._note_import(node, node.names, scope)

    def _note_import(
        self, node: ast.Import | ast.ImportFrom, names: Sequence[ast.alias], scope: _Scope
    ) -> None:
        if isinstance(node, ast.Import):
            scope.imports += (_Import(alias.name, (), alias.asname is None) for alias in names)
            return
        module = node.module or ""
        if node.level:
            base = _above(self._package, node.level - 1)
            module = f"{base}.{module}" if module else base
        taken = tuple(alias.name for alias in names)
        scope.takes.update(taken)
        scope.imports.append(_Import(module, taken, False))


def _lazy_imports_are_filtered() -> bool:
    """Tell whether a function decides which lazy imports are lazy indeed."""
    get_filter = getattr(sys, "get_lazy_imports_filter", None)
    return get_filter is not None and get_filter() is not None


def _above(package: str, levels: int) -> str:
    return package.rsplit(".", levels)[0]


def _last_name(node: ast.AST) -> str:
    if isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _looks_like_a_module(text: str) -> bool:
    return all(part.isidentifier() for part in text.lstrip(".").replace(":", ".").split("."))


def _is_never_true_at_import(test: ast.expr) -> bool:
    if _last_name(test) == "TYPE_CHECKING":
        return not isinstance(test, ast.Call)
    return (
        isinstance(test, ast.Compare)
        and _last_name(test.left) == "__name__"
        and len(test.ops) == 1
        and isinstance(test.ops[0], ast.Eq)
    )


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
        self._readings: dict[str, _Reading] = {}
        self._tops: set[str] = {package}
        #: All modules by name.
        self.modules: dict[str, Source] = {}
        spec = _find(package)
        self.modules.update(list_modules(spec) if spec is not None else {})
        self._read_what_is_imported()
        #: The edges to packages that are imported only because they are above what a statement names.
        self._implied: set[tuple[str, str]] = set()
        #: For each module, what it may import when it is imported.
        self.edges = self._make_edges()

    def binds(self, module: str, name: str) -> bool:
        """Tell whether a module has a name when it is ready, as far as its source tells."""
        reading = self._readings.get(module)
        return reading is None or reading.bound is None or name in reading.bound

    def circles(self) -> list[list[str]]:
        """Return the strongly connected components of more than one module, each sorted."""
        return sorted(sorted(part) for part in components(self.edges) if len(part) > 1)

    def has_implied_edges(self, circle: Iterable[str]) -> bool:
        """Tell whether a circle may lead through an import that nobody hears.

        ``import a.b.c`` makes no noise if ``a.b`` is in the middle of its import.
        """
        names = set(circle)
        return any(importer in names and imported in names for importer, imported in self._implied)

    def _read_what_is_imported(self) -> None:
        while waiting := [name for name in self.modules if name not in self._readings]:
            for name in waiting:
                source = self.modules[name]
                text = "" if source.file is None or source.is_extension else self._read(source.file)
                package = name if source.is_package else parent_of(name)[0]
                reading = self._readings[name] = read_source(text, package)
                if source.is_extension:
                    self._readings[name] = _Reading([], None)
                for scope in reading.scopes:
                    for statement in scope.imports:
                        self._consider(top_level(statement.module))

    def _consider(self, top: str) -> None:
        if top in self._tops or not top:
            return
        self._tops.add(top)
        spec = None if top in sys.stdlib_module_names else _find(top)
        if spec is not None and self._belongs(top, str(location_in(spec))):
            self.modules.update(list_modules(spec))

    def _make_edges(self) -> dict[str, set[str]]:
        reached = self._reached_scopes()
        edges: dict[str, set[str]] = {name: set() for name in self.modules}
        for name in self._readings:
            for scope in reached[name]:
                edges[name].update(self._targets(name, scope))
            edges[name].discard(name)
        return edges

    def _reached_scopes(self) -> dict[str, list[_Scope]]:
        """Return, for each module, the code that may run when some module of the graph is imported.

        A function may be called if code that runs reads its name, in whatever module. So may a lazy import be
        resolved, also if the name is imported or stands in a literal string (``getattr(module, "name")``).
        """
        functions: dict[str, list[_Scope]] = {}
        lazies: dict[str, list[_Scope]] = {}
        waiting: list[_Scope] = []
        for reading in self._readings.values():
            for scope in reading.scopes:
                if scope.is_reached:
                    waiting.append(scope)
                else:
                    (lazies if scope.is_lazy else functions).setdefault(str(scope.name), []).append(scope)
        found = {id(scope) for scope in waiting}
        while waiting:
            running = waiting.pop()
            reached = [scope for name in running.reads for scope in functions.pop(name, ())]
            if lazies:
                used = (
                    lazies.keys() if "*" in running.takes else running.reads | running.takes | running.strings
                )
                reached += (scope for name in list(used) for scope in lazies.pop(name, ()))
            found.update(map(id, reached))
            waiting += reached
        return {
            name: [scope for scope in reading.scopes if id(scope) in found]
            for name, reading in self._readings.items()
        }

    def _targets(self, importer: str, scope: _Scope) -> Iterator[str]:
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

    def _named_by(self, statement: _Import) -> Iterator[str]:
        module = statement.module
        below = [f"{module}.{name}" for name in statement.names]
        if "*" in statement.names:  # __all__ may name submodules
            below = [name for name in self.modules if parent_of(name)[0] == module]
        return (name for name in (*ancestors(module), module, *below) if name in self.modules)

    def _asks(self, statement: _Import, package: str) -> bool:
        if statement.module == package and statement.names:
            return any(f"{package}.{name}" not in self.modules for name in statement.names)
        return statement.module == package or statement.binds_top

    def _named_by_string(self, text: str, package: str) -> Iterator[str]:
        name = text.replace(":", ".")
        if name.startswith("."):
            dots = len(name) - len(name.lstrip("."))
            name = f"{_above(package, dots - 1)}.{name[dots:]}".rstrip(".")
        while name and name not in self.modules:
            name = parent_of(name)[0]
        if name:
            yield from (name, *(above for above in ancestors(name) if above in self.modules))


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
