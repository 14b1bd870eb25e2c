"""What the code of a module can change in the import system, read from its functions without running any."""

from __future__ import annotations

import gc
import sys
from collections.abc import Collection, Iterator, Mapping
from opcode import opmap
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Final

from pytest_import_isolation.machinery.functions import codes_in, values_in_closure
from pytest_import_isolation.machinery.modules import ABSENT, class_home, namespace, top_level

#: By what is changed, sets of names: the code that can do it has all of one of them.
WORDS: Final[Mapping[str, tuple[frozenset[str], ...]]] = {
    "path": (frozenset(("sys", "path")), frozenset(("addsitedir",))),
    "meta_path": (frozenset(("meta_path",)),),
    "path_hooks": (frozenset(("path_hooks",)),),
    "path_importer_cache": (frozenset(("path_importer_cache",)),),
    "import_function": (frozenset(("__import__",)),),
    "entry": (frozenset(("modules",)),),
    "eviction": (frozenset(("modules", "clear")), frozenset(("modules", "pop"))),
}
#: What is changed, by its name in ``sys`` where that is another one.
_IN_SYS: Final = {"entry": "modules", "written entry": "modules", "eviction": "modules"}
#: Methods with which entries are written.
_WRITERS: Final = frozenset(("setdefault", "update", "pop", "popitem", "clear", "__setitem__", "__delitem__"))

#: The types of what holds no function of a module. By identity: a metaclass may compare and hash as it likes.
_DATA: Final = frozenset(
    map(
        id, (type(None), bool, int, float, str, bytes, tuple, list, dict, set, frozenset, BuiltinFunctionType)
    )
)
#: The instructions that write to some table.
_STORES: Final = frozenset((opmap["STORE_SUBSCR"], opmap["DELETE_SUBSCR"]))


def codes_of(space: Mapping[str, Any]) -> Iterator[CodeType]:
    """Yield the code of a module's functions and methods."""
    seen: set[int] = set()
    waiting: list[object] = [*space.values()]
    own = space.get("__name__")
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        kind = type(value)
        if kind is FunctionType:
            yield value.__code__  # type: ignore[attr-defined]
            waiting.append((namespace(value) or {}).get("__wrapped__"))
            waiting += (held for held in values_in_closure(value) if type(held) is FunctionType)
        elif kind is staticmethod or kind is classmethod:
            waiting.append(value.__func__)  # type: ignore[attr-defined]
        elif kind is property:
            waiting += (value.fget, value.fset, value.fdel)  # type: ignore[attr-defined]
        elif issubclass(kind, type) and type.__dict__["__module__"].__get__(value) == own:
            waiting += type.__dict__["__dict__"].__get__(value).values()
        elif not issubclass(kind, (ModuleType, type)) and id(kind) not in _DATA:
            waiting += _functions_of(value)


def packages_in(space: Mapping[Any, object]) -> Iterator[str]:
    """Yield the packages of the modules, functions and classes that a module holds."""
    for value in [*space.values()]:
        kind = type(value)
        home: object = None
        if kind is ModuleType:
            home = value.__dict__.get("__name__")
        elif kind is FunctionType:
            home = dict.get(value.__globals__, "__name__")  # type: ignore[attr-defined]
        elif issubclass(kind, type):
            home = class_home(value)  # type: ignore[arg-type]
        if type(home) is str:
            yield top_level(home)


def _functions_of(value: object) -> Iterator[object]:
    """Yield the functions that an object holds, as what a decorator makes of one does.

    The garbage collector knows what it holds; none of its code runs.
    """
    for part in gc.get_referents(value):
        held = [*part.values()] if type(part) is dict else [part]
        for each in held:
            if type(each) is FunctionType:
                yield each
            elif type(each) is MethodType:
                yield each.__func__


def second_names(space: Mapping[str, object], list_name: str) -> dict[str, tuple[str, ...]]:
    """Return under which other names a module has ``sys``, what is changed, or a method of that.

    Args:
        space: the module's namespace.
        list_name: what is changed.

    Returns:
        For each name what code says that uses it.
    """
    own_name = _IN_SYS.get(list_name, list_name)
    changed = vars(sys).get(own_name, ABSENT)
    found: dict[str, tuple[str, ...]] = {}
    for name, value in [*space.items()]:
        if type(name) is not str:
            continue
        if value is sys:
            found[name] = ("sys",)
        elif value is changed or (type(value) is BuiltinFunctionType and value.__self__ is changed):
            found[name] = ("sys", own_name)
    return found


def names_change(code: CodeType, list_name: str, second: Mapping[str, Collection[str]]) -> bool:
    """Tell whether code, or code inside of it, names what is changed; see :func:`second_names`."""
    is_entry = list_name == "written entry"
    for part in codes_in(code):
        said = {*part.co_names, *_texts(part)}
        said.update(word for name in second if name in said for word in second[name])
        is_said = any(words <= said for words in WORDS["entry" if is_entry else list_name])
        if is_said and (not is_entry or _writes(part)):
            return True
    return False


def _writes(code: CodeType) -> bool:
    """Tell whether code writes to some table."""
    return not _WRITERS.isdisjoint(code.co_names) or not _STORES.isdisjoint(code.co_code[::2])


def _texts(code: CodeType) -> list[str]:
    return [constant for constant in code.co_consts if type(constant) is str]
