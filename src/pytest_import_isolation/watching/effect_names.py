"""What an effect is called, with the functions and classes in it; no code of what is named is run."""

from __future__ import annotations

from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, Final, NamedTuple

from pytest_import_isolation.machinery.modules import top_level

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
    if isinstance(thing, (FunctionType, BuiltinFunctionType, MethodType, type)):
        return name_of(thing)
    if type(thing) is partial:
        return f"a functools.partial of {describe(thing.func)}"
    name = name_of(type(thing))
    return f"an object of {name}"


def name_of(thing: Any) -> str:
    """Return the full name of a function or class, or say of what class anything else is."""
    if isinstance(thing, MethodType):
        return name_of(thing.__func__)
    home, name = home_of(thing), getattr(thing, "__qualname__", None)
    if not isinstance(name, str):
        return f"an object of {name_of(type(thing))}"
    return name if not home or home == "builtins" else f"{home}.{name}"


def home_of(thing: Any) -> str:
    """Return the name of the module in which a function or class stands, or the class of anything else."""
    if isinstance(thing, MethodType):
        thing = thing.__func__
    elif type(thing) is partial:
        return home_of(thing.func)
    elif not isinstance(thing, (FunctionType, BuiltinFunctionType, type)):
        thing = type(thing)
    home = thing.__module__
    return home if isinstance(home, str) else ""


def is_runners(thing: object) -> bool:
    """Tell whether pytest, a plugin of it or coverage defines something, or its class."""
    package = top_level(home_of(thing))
    return package in _RUNNERS or package.startswith("pytest_")
