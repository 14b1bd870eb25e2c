"""Modules as objects: names, namespaces and specs, read without running any code of theirs."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from importlib.machinery import ModuleSpec
from itertools import compress, filterfalse, islice, repeat
from operator import is_, is_not, itemgetter, not_
from types import BuiltinFunctionType, FunctionType, GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any, Final


class _Absent:
    """The type of :data:`ABSENT`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "ABSENT"

    def __bool__(self) -> bool:
        return False


#: The attribute under which a wrapper of this package holds what it wraps.
WRAPPED: Final = "_pytest_import_isolation_wrapped"
#: How often a table that changes at this very moment is looked at again.
_ATTEMPTS: Final = 10
#: Stands for "there was nothing" where ``None`` is a possible value.
ABSENT: Final = _Absent()


#: The types of what C code makes for a class: reading through it runs nothing else.
_MADE_BY_THE_INTERPRETER: Final = (GetSetDescriptorType, MemberDescriptorType)
_class_of_object: Final = object.__dict__["__class__"]
#: What the interpreter says of the namespaces of objects whose classes a statement made.
_OWN_NAMESPACE: Final = type("_Any", (), {}).__dict__["__dict__"].__doc__
#: What the interpreter itself knows of classes and modules.
class_namespace: Final[Callable[[type], Any]] = type.__dict__["__dict__"].__get__
mro_of: Final[Callable[[type], tuple[type, ...]]] = type.__dict__["__mro__"].__get__
_home_of_class: Final[Callable[[type], object]] = type.__dict__["__module__"].__get__
_name_of_class: Final[Callable[[type], str]] = type.__dict__["__qualname__"].__get__
_short_name_of_class: Final[Callable[[type], str]] = type.__dict__["__name__"].__get__
_namespace_of_module: Final[Callable[[object], object]] = vars(ModuleType)["__dict__"].__get__


def namespace(module: object) -> dict[str, Any] | None:
    """Return the module's own ``__dict__``, without running any code of the module.

    Entries of ``sys.modules`` may be anything; a module-level or class-level ``__getattr__`` may import
    or raise, and ``__dict__`` may be a property. Only what the interpreter made for the class is asked.

    Args:
        module: any object.

    Returns:
        The namespace itself (not a copy), or None for an object that has none.
    """
    kind = type(module)
    # Nearly all are plain modules or their specs: for those the interpreter's own attribute comes first.
    if kind is ModuleType or kind is ModuleSpec:
        return module.__dict__
    if issubclass(kind, ModuleType):
        found = _namespace_of_module(module)
    else:
        getter: Any = class_attribute(kind, "__dict__")
        is_own = is_instance_of_one(getter, _MADE_BY_THE_INTERPRETER) and not _is_of_proxy(kind, getter)
        try:
            found = getter.__get__(module) if is_own else None
        except Exception:  # that of an extension may raise anything
            return None
    return found if type(found) is dict else None


def _is_of_proxy(kind: type, getter: Any) -> bool:
    """Tell whether what C code made for a class may read another object's namespace, which can run its code.

    A proxy in C gives the class of what is behind it too. What a class statement made is the object's own.
    """
    return getter.__doc__ != _OWN_NAMESPACE and class_attribute(kind, "__class__") is not _class_of_object


def is_instance_of_one(value: object, kinds: tuple[type, ...]) -> bool:
    """Tell whether the class of a value is one of some classes; its metaclass is not asked."""
    found = type(value)
    return any(found is kind for kind in kinds)


def class_attribute(kind: type, name: str) -> object:
    """Return what a class or one above it holds under a name, ABSENT for nothing; no metaclass is asked."""
    return next((space[name] for cls in mro_of(kind) if name in (space := class_namespace(cls))), ABSENT)


def class_dictionary(cls: Any) -> dict[str, Any] | None:
    """Return the dictionary behind the namespace of a class; None if there is not one."""
    found = gc.get_referents(class_namespace(cls))
    return found[0] if len(found) == 1 and type(found[0]) is dict else None


def class_home(kind: type) -> str:
    """Return the name of the module in which a class was defined, as it says; no metaclass is asked."""
    try:
        home = _home_of_class(kind)
    except AttributeError:  # it was made by code whose namespace has no name
        return ""
    return home if type(home) is str else ""


def class_qualname(kind: type) -> str:
    """Return the name of a class without its module, ``Outer.Inner``; no metaclass is asked."""
    return str.__str__(_name_of_class(kind))


def class_name(kind: type) -> str:
    """Return the name of a class, with its module if that is not ``builtins``; no metaclass is asked."""
    home, name = class_home(kind), class_qualname(kind)
    return name if home in ("", "builtins") else f"{home}.{name}"


def loaded_namespace(name: str) -> dict[str, Any]:
    """Return the namespace of a module if it is loaded, else an empty one. Nothing is imported."""
    return namespace(sys.modules.get(name)) or {}


def is_rewritten(module: object) -> bool:
    """Tell whether pytest rewrote the assertions of a module: a test file, a conftest or a plugin."""
    return "@pytest_ar" in (namespace(module) or {})


def file_of(module: object) -> str | None:
    """Return the file that a module says it was executed from, None if it says none."""
    found = (namespace(module) or {}).get("__file__")
    return found if type(found) is str else None


def executed_file_of(module: object) -> str | None:
    """Return the file that a module was executed from, None if nobody knows.

    A module may say the file of another one, so that readers find the source of what it hands out. What the
    import system executed stands in its spec.
    """
    spec = spec_of(module)
    origin = spec_value(spec, "origin") if issubclass(type(spec), ModuleSpec) else None
    return origin if type(origin) is str and os.path.isabs(origin) else None


def places_executed(modules: Mapping[Any, object]) -> Iterator[tuple[Any, str]]:
    """Yield the keys of the modules of a table, with what their specs say they were executed from.

    At the speed of C for plain modules: there are thousands.
    """
    plain = [*map(is_, map(type, modules.values()), repeat(ModuleType))]
    spaces: Iterator[Any] = map(_namespace_of_module, compress(modules.values(), plain))
    specs: Iterator[object] = map(dict.get, spaces, repeat("__spec__"))
    for name, spec in zip(compress(modules, plain), specs, strict=True):
        if type(spec) is ModuleSpec and type(spec.origin) is str:
            yield name, spec.origin
    # To look a key up would run code of it.
    for name, module in compress(modules.items(), map(not_, plain)):
        if (file := executed_file_of(module)) is not None:
            yield name, file


def spec_of(module: object) -> object:
    """Return the spec of a module, without running code of it; None for anything that has none."""
    own = module.__dict__ if type(module) is ModuleType else namespace(module) or {}
    return own.get("__spec__")


def spec_value(spec: object, name: str) -> Any:
    """Return what a spec holds under a name, without running code of it; None for nothing.

    A plain spec is not asked for its ``__dict__``: CPython would make one, and every garbage collection would
    look at it.
    """
    return getattr(spec, name, None) if type(spec) is ModuleSpec else (namespace(spec) or {}).get(name)


def own_name_of(module: object) -> str:
    """Return the name under which a module was imported, an empty text if it has none.

    A loader may hand out a module that is loaded already, as one of its own: importlib writes another spec
    into it, and leaves the name and the loader that it has.
    """
    own = namespace(module) or {}
    spec = own.get("__spec__")
    name = spec_value(spec, "name")
    given, loader = own.get("__name__"), own.get("__loader__")
    if type(given) is str and loader is not None and loader is not spec_value(spec, "loader"):
        return given if spec is not None else ""
    return name if type(name) is str else ""


def is_module_named(value: object, name: str) -> bool:
    """Tell whether a value is a module that says that it has a name."""
    if not issubclass(type(value), ModuleType):
        return False
    own = (namespace(value) or {}).get("__name__")
    return type(own) is str and own == name


def home_of(value: object) -> tuple[str, str] | None:
    """Return the module and the name that a class or function says that it was defined in and under.

    Args:
        value: anything. A lazy object, asked by ``isinstance()`` for its class, makes what it stands for.

    Returns:
        The names, or None for what is neither a class nor a function, or has no such names.
    """
    kind = type(value)
    if issubclass(kind, type):
        module, name = class_home(value), _short_name_of_class(value)  # type: ignore[arg-type]
    elif kind is FunctionType or kind is BuiltinFunctionType:
        module, name = value.__module__, value.__name__  # type: ignore[attr-defined]
    else:
        return None
    return (module, name) if module and type(module) is str and type(name) is str else None


def module_of_class(cls: type) -> str | None:
    """Return the name of the module in which a class says that it was defined; its metaclass is not asked."""
    found = type.__dict__["__module__"].__get__(cls)
    return found if type(found) is str else None


def modules_among(values: Collection[object]) -> Iterator[Any]:
    """Return those of some values that are plain modules, at the speed of C: few of thousands are."""
    return compress(values, map(is_, map(type, values), repeat(ModuleType)))


def are_strings(keys: Iterable[object]) -> bool:
    """Tell whether all keys are plain strings: the hash of others, or of their classes, is a user's code."""
    return all(map(is_, map(type, keys), repeat(str)))


def reader_of(names: Sequence[str]) -> Callable[[dict[str, Any]], tuple[object, ...]]:
    """Return what reads names of a namespace at the speed of C; it raises KeyError if one is not there."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda space: tuple(space[name] for name in names)  # itemgetter() would give the bare value


def differing_keys(table: Mapping[Any, object], other: Mapping[Any, object]) -> Iterator[Any]:
    """Return the keys of a table under which another one holds nothing, or another object.

    At the speed of C: of thousands, few differ.
    """
    return compress(table, map(is_not, table.values(), map(other.get, table, repeat(ABSENT))))


def loaded_among(names: Iterable[str]) -> Iterator[str]:
    """Return those of some names that have an entry in ``sys.modules``, at the speed of C."""
    is_loaded = _contains()
    return iter(()) if is_loaded is None else filter(is_loaded, names)


def missing_among(names: Iterable[str]) -> Iterator[str]:
    """Return those of some names that have no entry in ``sys.modules``, at the speed of C."""
    is_loaded = _contains()
    return iter(names) if is_loaded is None else filterfalse(is_loaded, names)


def _contains() -> Callable[[object], bool] | None:
    """Return what tells whether ``sys.modules`` has an entry; None if that is no dictionary."""
    table: Any = getattr(sys, "modules", None)
    if type(table) is dict:
        return table.__contains__
    return partial(dict.__contains__, table) if issubclass(type(table), dict) else None


def parent_of(name: str) -> tuple[str, str]:
    """Split a module name into its parent package (``""`` for a top-level name) and its last part."""
    parent, _, child = name.rpartition(".")
    return parent, child


def package_above(package: str, levels: int) -> str:
    """Return the package that is some levels above another, as the dots of a relative import count them."""
    return package.rsplit(".", levels)[0]


def ancestors(name: str) -> Iterator[str]:
    """Yield the packages above a module, the nearest first."""
    parent = name.rpartition(".")[0]
    while parent:
        yield parent
        parent = parent.rpartition(".")[0]


def top_level(name: str) -> str:
    """Return the first part of a module name."""
    return name.partition(".")[0]


def last_keys(table: dict[Any, Any], number: int) -> list[Any]:
    """Return the last keys of a table that other threads may change, the very last one first."""
    for _ in range(_ATTEMPTS):
        try:
            return [*islice(reversed(table), number)]
        except RuntimeError:  # one entered something between the two calls
            continue
    return [*reversed([*table])][:number]  # the copy is made in one go


def is_initializing(module: object) -> bool:
    """Tell whether the import of this module is still under way in some thread."""
    # A Mock in place of a spec would answer with a truthy Mock.
    return spec_value(spec_of(module), "_initializing") is True


def location_in(spec: object) -> object:
    """Return where a spec says that its module lies: a file, or the directories of a namespace package."""
    origin = spec_value(spec, "origin")
    if type(origin) is str and origin != "namespace":
        return origin
    folders = folders_in(spec_value(spec, "submodule_search_locations"))
    return None if folders is None else tuple(folders)


def folders_in(path: object) -> list[str] | None:
    """Return the folders of a path on which modules are looked for, or None for what is no list."""
    # A _NamespacePath computes itself anew when it is iterated; its list does not.
    folders: Any = (namespace(path) or {}).get("_path", path)
    return [each for each in folders if type(each) is str] if type(folders) is list else None
