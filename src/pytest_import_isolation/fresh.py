"""Fresh imports: a second execution of a module, for the life of a window."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from types import ModuleType

from pytest_import_isolation.errors import WindowOrderError
from pytest_import_isolation.machinery import ancestors, namespace, namespaces_on_the_stack
from pytest_import_isolation.parameters import check_fakes
from pytest_import_isolation.patterns import Patterns, check_module_name
from pytest_import_isolation.window import Window, innermost_window


def fresh_import(
    name: str,
    *,
    deep: bool = False,
    missing: str | tuple[str, ...] = (),
    fakes: Mapping[str, object] | None = None,
) -> ModuleType:
    """Execute a module anew and return the new copy.

    Until the innermost open window closes, the copy stands in ``sys.modules`` and on its package, so that
    it can be pickled, reloaded and imported by others; then the old copy comes back. The submodules of
    ``name`` are executed anew as well when they are imported.

    Args:
        name: the absolute name of a pure Python module.
        deep: execute all first-party modules anew, not only this one.
        missing: patterns of modules that look as if they were not installed until the window closes.
        fakes: module names and what stands for them until the window closes.

    Returns:
        The new module.

    Raises:
        WindowOrderError: no window is open.
        ExtensionModuleError: the module is an extension module, or a package that holds one.
        ImportError: the module cannot be imported.
    """
    check_module_name(name, "fresh_import")
    window = innermost_window()
    if window is None:
        raise WindowOrderError(
            f"fresh_import({name!r}) needs an open window to put the old copy back: use it inside "
            "'with IsolatedImportContext():', or take the fresh_import fixture"
        )
    window.block(Patterns(missing, "fresh_import: missing"))
    window.fake(check_fakes(fakes, "fresh_import: fakes"))
    window.refresh(Patterns((name,)))
    if deep:
        window.refresh(Patterns(_first_party_names(window)))
    return importlib.import_module(name)


def _first_party_names(window: Window) -> tuple[str, ...]:
    """Return the loaded first-party modules, without those that are running and those that must stay.

    Without the packages above those either: the name of a package covers all that is below it.
    """
    running = namespaces_on_the_stack()
    names: list[str] = []
    staying: set[str] = set()
    for name, module in sys.modules.copy().items():
        if not window.is_first_party(name, module):
            continue
        if id(namespace(module)) in running or window.reason_to_stay(name, module) is not None:
            staying.update(ancestors(name))
        elif all(part.isidentifier() for part in name.split(".")):
            names.append(name)
    return tuple(name for name in names if name not in staying)
