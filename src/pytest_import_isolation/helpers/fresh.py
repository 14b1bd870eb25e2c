"""Fresh imports: a second execution of a module, for the life of a window."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType

from pytest_import_isolation.errors import ParameterError, WindowOrderError
from pytest_import_isolation.fakes.irreplaceable import refuse_irreplaceable
from pytest_import_isolation.fakes.refusals import refuse_fresh
from pytest_import_isolation.machinery.frames import namespaces_on_the_stack
from pytest_import_isolation.machinery.modules import ancestors, namespace
from pytest_import_isolation.patterns import Patterns, check_module_name
from pytest_import_isolation.window.alterations import block, fake, refresh
from pytest_import_isolation.window.open_windows import innermost_window
from pytest_import_isolation.window.parameters import check_fakes
from pytest_import_isolation.window.window import Window


def fresh_import(
    name: str,
    *,
    deep: bool = False,
    missing: str | tuple[str, ...] = (),
    fakes: Mapping[str, object] | None = None,
    env: Mapping[str, str | None] | None = None,
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
        env: environment variables while the module is executed, and no longer; None takes one away.

    Returns:
        The new module.

    Raises:
        WindowOrderError: no window is open.
        ExtensionModuleError: the module is an extension module, or a package that holds one.
        NotReplaceableError: the module is a test module, a conftest or a plugin, or one that the
            interpreter or pytest needs, or its import is still under way.
        ImportError: the module cannot be imported.
    """
    check_module_name(name, "fresh_import")
    window = innermost_window()
    if window is None:
        raise WindowOrderError(
            f"fresh_import({name!r}) needs an open window to put the old copy back: use it inside "
            "'with IsolatedImportContext():', or take the fresh_import fixture"
        )
    environment = _check_environment(env)
    refuse_fresh(name)
    refuse_irreplaceable(Patterns((name,)), "fresh_import")
    block(window, Patterns(missing, "fresh_import: missing"))
    fake(window, check_fakes(fakes, "fresh_import: fakes"))
    refresh(window, Patterns((name,)))
    if deep:
        refresh(window, Patterns(_first_party_names(window)))
    with _changed(environment):
        return importlib.import_module(name)


def _check_environment(env: object) -> dict[str, str | None]:
    if env is None:
        return {}
    if not isinstance(env, Mapping):
        raise ParameterError(
            f"fresh_import: env: expected a mapping such as {{'DEBUG': '1', 'TOKEN': None}}, not {env!r}"
        )
    for key, value in env.items():
        if not isinstance(key, str) or not (value is None or isinstance(value, str)):
            raise ParameterError(
                f"fresh_import: env: {key!r} is {value!r}; names and values are strings, and None takes a "
                "variable away"
            )
    return dict(env)


@contextmanager
def _changed(environment: Mapping[str, str | None]) -> Iterator[None]:
    """Change environment variables, and put back those that were changed, and no others."""
    before = {key: os.environ.get(key) for key in environment}
    _set(environment)
    try:
        yield
    finally:
        # What the module itself set meanwhile stays: it is no part of the request.
        _set({key: value for key, value in before.items() if os.environ.get(key) == environment[key]})


def _set(environment: Mapping[str, str | None]) -> None:
    for key, value in environment.items():
        if value is None:
            os.environ.pop(key, None)
        else:
            os.environ[key] = value


def _first_party_names(window: Window) -> tuple[str, ...]:
    """Return the loaded first-party modules, without those that are running and those that must stay.

    Without the packages above those either: the name of a package covers all that is below it.
    """
    running = namespaces_on_the_stack()
    names: list[str] = []
    staying: set[str] = set()
    for name, module in sys.modules.copy().items():
        if type(name) is not str or not window.origins.is_first_party(name, module):
            continue
        if id(namespace(module)) in running or window.reason_to_stay(name, module) is not None:
            staying.update(ancestors(name))
        elif all(part.isidentifier() for part in name.split(".")):
            names.append(name)
    return tuple(name for name in names if name not in staying)
