"""The functions behind objects that can be called, found without running any code of theirs."""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType, FunctionType, MethodType
from typing import Any, Final

from pytest_import_isolation.machinery.modules import is_instance_of_one, namespace

#: So many wrappers are looked into.
_MOST: Final = 10


def function_of(value: object) -> FunctionType | None:
    """Return a function, or that of a method; None for any other object, whose attributes may do anything."""
    if type(value) is MethodType:
        value = value.__func__
    return value if type(value) is FunctionType else None


def values_in_closure(function: Any) -> Iterator[object]:
    """Yield what a function holds of those around it: a decorator need not say what it wraps."""
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # the variable has no value yet
            continue


def codes_in(code: CodeType) -> Iterator[CodeType]:
    """Yield some code, and that of the functions and generator expressions in it."""
    yield code
    for constant in code.co_consts:
        if type(constant) is CodeType:
            yield from codes_in(constant)


def function_in(value: Any) -> FunctionType | None:
    """Return the function of Python that is called when a value is, as far as that can be seen."""
    for _ in range(_MOST):
        kind = type(value)
        if kind is FunctionType:
            function: FunctionType = value
            wrapped = function.__dict__.get("__wrapped__")
            if wrapped is None:
                return function
            value = wrapped
        elif is_instance_of_one(value, (MethodType, staticmethod, classmethod)):
            value = value.__func__
        elif kind is property:
            value = value.fget
        else:
            value = (namespace(value) or {}).get("__wrapped__")  # functools.lru_cache
    return None
