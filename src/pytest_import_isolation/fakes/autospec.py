"""What stands in a fake module for an attribute of the real one. Loads unittest.mock."""

from __future__ import annotations

from enum import Enum
from types import ModuleType
from typing import Any, Final
from unittest import mock

from pytest_import_isolation.machinery.modules import is_instance_of_one

#: Values that cannot do anything: the fake has the same.
_DATA: Final = (bool, bytes, complex, float, frozenset, int, str, tuple, type(None), type(...))
#: Containers of which the fake has a copy.
_CONTAINERS: Final = (dict, list, set)


def imitation(value: object, name: str) -> object:
    """Return what a fake has in place of an attribute of the real module.

    Functions and classes become autospecs, which refuse calls that the real ones refuse. Plain data stay,
    and so do exceptions, which must be raised and caught, and enumerations.

    Args:
        value: the attribute of the real module.
        name: what it is called, with its module.
    """
    kind = type(value)
    if is_instance_of_one(value, _DATA):
        return value
    if is_instance_of_one(value, _CONTAINERS):
        return value.copy()  # type: ignore[attr-defined]
    # isinstance() would ask a lazy object for its class, and so set it up.
    if issubclass(kind, type) and issubclass(value, (BaseException, Enum)):  # type: ignore[arg-type]
        return value
    if issubclass(kind, ModuleType):
        return mock.NonCallableMagicMock(spec=value, name=name)
    try:
        return mock.create_autospec(value, _name=name)
    except Exception:  # some metaclasses and descriptors raise when they are looked at
        return mock.MagicMock(name=name)


def anything(name: str) -> Any:
    """Return what stands for an attribute that nobody described."""
    return mock.MagicMock(name=name)
