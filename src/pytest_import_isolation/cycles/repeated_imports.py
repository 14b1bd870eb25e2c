"""Importing the same source files again and again in a process that is there for nothing else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from importlib import _bootstrap
from importlib.machinery import ModuleSpec, SourceFileLoader

# By these names, which a module that patches os.stat or the clock leaves alone.
from os import stat
from time import time
from types import CodeType, ModuleType
from typing import Any, Final

from pytest_import_isolation.machinery.modules import namespace, parent_of
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.threads import count_threads

_ATTRIBUTES: Final = frozenset(("name", "path"))
#: Where a spec holds submodules whose imports are under way, from Python 3.12 on.
_CHILDREN: Final = "_uninitialized_submodules"
# The function of importlib that executes a module, of which tracebacks do not tell.
_EXECUTOR: Final = "<frozen importlib._bootstrap>", "_call_with_frames_removed"


class _Kept(NamedTuple):
    #: The path on which it was found.
    path: list[str]
    #: The package above it, and what it is called there.
    package: str
    child: str
    #: The attributes of its spec, when its import had begun.
    spec: dict[str, Any]
    #: What importlib has put into its namespace.
    attributes: dict[str, object]
    code: CodeType


class RepeatedImports:
    """Imports modules as importlib does, without looking for them and reading their code once more.

    Only modules that the finders and the loader of importlib load are executed so: each time with a spec and
    a loader of its own, of the usual classes. All others are left to importlib, and so are all as long as
    there is another finder in front, or a thread, since no locks are taken.

    Args:
        names: the modules that are imported again and again.
    """

    def __init__(self, names: Collection[str]) -> None:
        self._names = names
        self._kept: dict[str, _Kept] = {}
        self._began = time()

    def install(self) -> None:
        """Begin."""
        sys.meta_path.insert(0, self)
        original: Callable[..., Any] | None = getattr(_bootstrap, "_find_and_load", None)
        # The interpreter's C code and importlib alike call this private function for what is not loaded yet.
        # One that does not has all modules looked for.
        if original is not None:
            _bootstrap._find_and_load = _replacement(self, original)  # type: ignore[attr-defined]

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Answer importlib: with what the other finders answer."""
        if name not in self._names or target is not None:
            return None
        for finder in tuple(sys.meta_path):
            find_spec = getattr(finder, "find_spec", None)
            if finder is self or find_spec is None:
                continue
            spec: ModuleSpec | None = find_spec(name, path, None)
            if spec is not None:
                self._keep_code(spec, sys.path if path is None else path)
                return spec
        return None

    def invalidate_caches(self) -> None:
        """Look for everything again."""
        self._kept.clear()

    def _keep_code(self, spec: ModuleSpec, path: object) -> None:
        loader = spec.loader
        if type(spec) is not ModuleSpec or type(loader) is not SourceFileLoader or type(path) is not list:
            return
        if vars(loader).keys() != _ATTRIBUTES or loader.path != spec.origin:
            return
        attributes, copied = vars(spec).copy(), path.copy()

        def get_code(fullname: str) -> CodeType | None:
            del loader.get_code
            space = namespace(sys.modules.get(spec.name))
            before = None if space is None else space.copy()
            code = loader.get_code(fullname)
            # A file that was written meanwhile may be written again.
            if code is not None and before is not None and stat(loader.path).st_mtime < self._began:
                given = {**attributes, "_initializing": True}
                self._kept[spec.name] = _Kept(copied, *parent_of(spec.name), given, before, code)
            return code

        loader.get_code = get_code  # type: ignore[method-assign]

    def known(self, name: str) -> _Kept | None:
        """Return what is needed to execute a module that is not loaded, if all of that is known."""
        kept = self._kept.get(name)
        if kept is None or name in sys.modules or count_threads():
            return None
        if not sys.meta_path or sys.meta_path[0] is not self:
            return None
        path: object = sys.path
        if kept.package:
            above = sys.modules.get(kept.package)
            # What it is bound to may have code of its own for that.
            path = above.__dict__.get("__path__") if type(above) is ModuleType else None
        return kept if type(path) is list and path == kept.path else None


def _made(name: str, kept: _Kept) -> tuple[ModuleType, Any]:
    """Return a module that is to be executed now, and its spec."""
    spec: Any = ModuleSpec.__new__(ModuleSpec)
    given = spec.__dict__
    given.update(kept.spec)
    given["loader"] = loader = SourceFileLoader(name, given["origin"])
    module = ModuleType(name)
    space = module.__dict__
    space.update(kept.attributes)
    space["__spec__"] = spec
    space["__loader__"] = loader
    if given["submodule_search_locations"] is not None:
        space["__path__"] = given["submodule_search_locations"] = [*given["submodule_search_locations"]]
    if _CHILDREN in given:
        given[_CHILDREN] = []
    return module, spec


def _replacement(imports: RepeatedImports, original: Callable[..., Any]) -> Callable[..., Any]:
    """Return what stands in the place of importlib's function; its steps are those of importlib."""
    known, make = imports.known, _made

    def _find_and_load(name: str, import_: Callable[..., Any], **options: Any) -> Any:
        # Python 3.15 gives one for a lazy import.
        kept = None if options else known(name)
        if kept is None:
            return original(name, import_, **options)
        package, child = kept.package, kept.child
        above = sys.modules.get(package) if package else None
        others = getattr(above.__dict__.get("__spec__"), _CHILDREN, None) if above is not None else None
        if others is not None:
            others.append(child)
        made, spec = make(name, kept)
        try:
            sys.modules[name] = made
            try:
                exec(kept.code, made.__dict__)
            except BaseException:
                sys.modules.pop(name, None)
                raise
            module = sys.modules.pop(name)
            sys.modules[name] = module
        finally:
            spec._initializing = False
            if others is not None:
                others.pop()
        if above is not None:
            try:  # noqa: SIM105 - suppress() takes as long as all that is above
                setattr(sys.modules[package], child, module)
            except AttributeError:  # importlib warns
                pass
        # Of an entry that says that there is no such module, importlib tells.
        return original(name, import_) if module is None else module

    _find_and_load.__code__ = _find_and_load.__code__.replace(co_filename=_EXECUTOR[0], co_name=_EXECUTOR[1])
    return _find_and_load
