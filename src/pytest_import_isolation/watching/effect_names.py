"""What an effect is called, with the functions and classes in it; no code of what is named is run."""

from __future__ import annotations

from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, Final

from pytest_import_isolation.machinery.modules import class_home, class_name, top_level
from pytest_import_isolation.machinery.named_tuples import NamedTuple

# What these packages put anywhere is the test run's own doing, and nobody's effect.
_RUNNERS: Final = frozenset(
    ("_pytest", "pytest", "pluggy", "xdist", "execnet", "coverage", "pytest_import_isolation")
)


class Effect(NamedTuple):
    """One change: the name of what was changed, and a sentence. It never holds a variable's value."""

    name: str
    sentence: str


def describe(thing: object) -> str:
    """Name a function or class; of anything else, name its class."""
    if thing is None:
        return "None"
    if type(thing) is partial:
        return f"a functools.partial of {describe(thing.func)}"
    return name_of(thing) if _is_named(thing) else f"an object of {class_name(type(thing))}"


def _is_named(thing: object) -> bool:
    return issubclass(type(thing), (FunctionType, BuiltinFunctionType, MethodType, type))


def name_of(thing: Any) -> str:
    """Return the full name of a function or class, or say of what class anything else is."""
    kind = type(thing)
    if kind is MethodType:
        return name_of(thing.__func__)
    if issubclass(kind, type):
        return class_name(thing)
    name = thing.__qualname__ if issubclass(kind, (FunctionType, BuiltinFunctionType)) else None
    if type(name) is not str:
        return f"an object of {class_name(kind)}"
    home = home_of(thing)
    return name if not home or home == "builtins" else f"{home}.{name}"


def home_of(thing: Any) -> str:
    """Return the name of the module in which a function or class stands, or the class of anything else."""
    kind = type(thing)
    if kind is MethodType:
        return home_of(thing.__func__)
    if kind is partial:
        return home_of(thing.func)
    if issubclass(kind, type):
        return class_home(thing)
    if not issubclass(kind, (FunctionType, BuiltinFunctionType)):
        return class_home(kind)
    home = thing.__module__
    return home if type(home) is str else ""


def is_runners(thing: object) -> bool:
    """Tell whether pytest, a plugin of it or coverage defines something, or its class."""
    package = top_level(home_of(thing))
    return package in _RUNNERS or package.startswith("pytest_")
