"""What values are, in words, without running any code of theirs."""

from __future__ import annotations

from collections.abc import Callable
from itertools import compress, repeat
from operator import attrgetter, is_
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any, Final

from pytest_import_isolation.machinery.modules import (
    ABSENT,
    class_home,
    class_name,
    class_namespace,
    class_qualname,
    home_of,
    is_instance_of_one,
    mro_of,
    namespace,
)
from pytest_import_isolation.state.origins import describe

#: What descriptors are made of, and the names that they copy from it.
_PARTS: Final = {
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
    property: ("fget", "fset", "fdel", "__doc__"),
}
_COPIED: Final = frozenset(
    (
        *("__module__", "__name__", "__qualname__", "__doc__", "__wrapped__"),
        *("__annotations__", "__annotate__", "__type_params__"),
    )
)
#: By identity: a metaclass may compare and hash as it likes.
_CONSTANTS: Final = frozenset(map(id, (int, float, complex, str, bytes, tuple)))
_MOCKS: Final = frozenset(("unittest.mock", "mock", "mock.mock"))
_home_of_function: Final[Callable[[Any], object]] = attrgetter("__module__")
_LARGEST: Final = 10**9
_FUNCTIONS: Final = (FunctionType, BuiltinFunctionType)
_DESCRIPTORS: Final = (
    *(staticmethod, classmethod, property, ClassMethodDescriptorType, GetSetDescriptorType),
    *(MemberDescriptorType, MethodDescriptorType, WrapperDescriptorType),
)


def is_mock(value: object) -> bool:
    """Tell whether a value is a Mock of any sort."""
    kinds = mro_of(type(value))
    return any(class_home(kind) in _MOCKS and "Mock" in class_qualname(kind) for kind in kinds)


def uses_mocks(module: object) -> bool:
    """Tell whether a module holds a library for mocks, or something from one."""
    # At the speed of C: each module of a suite's own is asked once, and has many values.
    values: list[Any] = list((namespace(module) or {}).values())
    kinds = [*map(type, values)]
    classes = compress(values, map(issubclass, kinds, repeat(type)))
    modules = compress(values, map(issubclass, kinds, repeat(ModuleType)))
    functions = compress(values, map(is_, kinds, repeat(FunctionType)))
    homes = [*map(class_home, classes), *map(_name_of, modules), *map(_home_of_function, functions)]
    return not _MOCKS.isdisjoint(compress(homes, map(is_, map(type, homes), repeat(str))))


def _name_of(module: object) -> object:
    return (namespace(module) or {}).get("__name__")


def is_same(value: object, other: object) -> bool:
    """Tell whether one value does as well as another: the same object, or a descriptor of the same functions.

    What reads a static method of a class gets its function, and has to wrap that again to put it back.
    """
    if value is other:
        return True
    kind = type(value)
    parts = _PARTS.get(kind)
    # Exactly these types: a subclass may compute its parts.
    if parts is None or kind is not type(other):
        return False
    return all(getattr(value, part) is getattr(other, part) for part in parts) and (
        kind is property or _has_same_attributes(value.__dict__, other.__dict__)
    )


def _has_same_attributes(own: dict[Any, object], others: dict[Any, object]) -> bool:
    if any(type(name) is not str for name in (*own, *others)):  # it may have a __hash__ of its own
        return False
    names = (own.keys() | others.keys()) - _COPIED
    return all(own.get(name, ABSENT) is others.get(name, ABSENT) for name in names)


def is_same_constant(value: object, other: object) -> bool:
    """Tell whether two values are equal, and of types of which no object can be told from an equal one.

    Who sets a number or a text to what it was makes another object of it. No code of users compares these.
    """
    kind = type(value)
    if kind is not type(other) or id(kind) not in _CONSTANTS:
        return False
    if kind is tuple:
        both: tuple[Any, Any] = (value, other)
        return len(both[0]) == len(both[1]) and all(
            one is another or (type(one) is not tuple and is_same_constant(one, another))
            for one, another in zip(*both, strict=True)
        )
    return value == other


def is_definition(value: object) -> bool:
    """Tell whether a value is a function, a method of a class, or a class."""
    kind = type(value)
    return is_instance_of_one(value, (*_FUNCTIONS, *_DESCRIPTORS)) or issubclass(kind, type)


def file_of_code(value: object) -> str | None:
    """Return the file in which a function, or a class by one of its functions, was defined."""
    kind = type(value)
    if kind is FunctionType:
        return str(value.__code__.co_filename)  # type: ignore[attr-defined]
    if not issubclass(kind, type):
        return None
    for each in list(class_namespace(value).values()):  # type: ignore[arg-type]
        if type(each) is FunctionType and each.__module__ == class_home(value):  # type: ignore[arg-type]
            return each.__code__.co_filename
    return None


def kind_of(value: object) -> str:
    """Say what a value is: a number or a constant itself, of all else the kind."""
    if value is ABSENT:
        return "nothing"
    kind = type(value)
    if value is None or kind is bool:
        return str(value)
    if (kind is int and -_LARGEST < value < _LARGEST) or kind is float:  # type: ignore[operator]
        return repr(value)
    if issubclass(kind, ModuleType) and not is_mock(value):
        return describe(value)
    if issubclass(kind, type):
        return f"the class {class_name(value)}"  # type: ignore[arg-type]
    if is_instance_of_one(value, _FUNCTIONS):
        home = home_of(value)
        return f"the function {home[0]}.{home[1]}" if home else "a function"
    named = class_qualname(kind)
    return f"an {named}" if named[:1].lower() in "aeio" else f"a {named}"
