"""Modules that callers make themselves from the spec of a parked one, and load under its name.

``importlib.util.find_spec``, ``module_from_spec``, an entry of ``sys.modules``, ``exec_module``: so lazy
imports are made, and so ``pkgutil.get_data`` loads a package. Such callers ask ``sys.modules`` first, and
without isolation they would find the module there. A second execution breaks packages with compiled parts.
So what they make gets what the parked module holds.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.machinery import ExtensionFileLoader, ModuleSpec, SourceFileLoader, SourcelessFileLoader
from types import CodeType, ModuleType
from typing import Any, Final

from pytest_import_isolation.machinery.frames import module_being_executed
from pytest_import_isolation.machinery.modules import is_instance_of_one, namespace, spec_of, spec_value
from pytest_import_isolation.state.single_changes import entry_of
from pytest_import_isolation.state.writing import put_in

# FileFinder makes a new one of these for each spec. Other loaders may belong to several.
_SOURCE_LOADERS: Final = (SourceFileLoader, SourcelessFileLoader)
# What importlib wrote into the module that was made.
_WRITTEN: Final = ("__name__", "__loader__", "__package__", "__spec__", "__path__")
# The key under which a spec holds the parked module.
_PARKED: Final = "_parked_by_import_isolation"


def original(module: object) -> object:
    """Return the parked module from whose spec a caller made this one, or this module itself."""
    parked = spec_value(spec_of(module), _PARKED)
    return module if parked is None else parked


def prepare(spec: ModuleSpec, parked: object, arrive: Callable[[], object]) -> None:
    """Let a module that is made from a spec, and loaded under its name, get what a parked one holds.

    A module that is made for another purpose is executed, as without isolation.

    Args:
        spec: as finders have just made it.
        parked: the module that waits.
        arrive: brings it back, with its package.
    """
    loader: Any = spec.loader
    kind = type(loader)
    if type(parked) is not ModuleType:  # its code may have put another object into its place
        return
    if is_instance_of_one(loader, _SOURCE_LOADERS):

        def get_code(name: str) -> CodeType | None:
            # Not exec_module(): no frame of ours may lie between the caller and the code of a module.
            module = module_being_executed()
            if module is not None and _is_loaded_by(module, spec):
                _fill(module, parked, spec.name, arrive)
                return compile("", spec.origin or "", "exec", dont_inherit=True)
            code: CodeType | None = kind.get_code(loader, name)
            return code

        loader.__dict__["get_code"] = get_code
    elif kind is ExtensionFileLoader:

        def exec_module(module: ModuleType) -> None:
            if _is_loaded_by(module, spec):
                _fill(module, parked, spec.name, arrive)
            else:
                kind.exec_module(loader, module)

        loader.__dict__["exec_module"] = exec_module
    else:
        return
    spec.__dict__[_PARKED] = parked


def _is_loaded_by(module: object, spec: ModuleSpec) -> bool:
    """Tell whether a module is loaded under the name in its spec, at once or lazily."""
    if entry_of(spec.name) is module:
        return True
    state = spec_value(spec, "loader_state")
    # That of importlib.util.LazyLoader. The entry may have been taken away before the first use.
    return type(state) is dict and "__class__" in state


def _fill(module: ModuleType, parked: object, name: str, arrive: Callable[[], object]) -> None:
    """Give a module what a parked one holds, and its place."""
    arrive()
    own = namespace(module)
    if own is not None:
        own.update({key: value for key, value in (namespace(parked) or {}).items() if key not in _WRITTEN})
    put_in(name, module)
