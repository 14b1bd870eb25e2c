"""What cannot be executed anew, and patterns that cannot have been meant."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from pytest_import_isolation.errors import NotReplaceableError
from pytest_import_isolation.machinery.finders import find_spec, is_own_finder
from pytest_import_isolation.machinery.modules import (
    is_initializing,
    is_rewritten,
    namespace,
    spec_of,
    spec_value,
)
from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.patterns import Patterns


def refuse_fresh(name: str) -> None:
    """Refuse to execute a module anew that cannot be executed twice.

    Extension modules are refused where patterns are applied.

    Args:
        name: the module.

    Raises:
        NotReplaceableError: it is a test module, conftest or plugin, or its import is still under way.
    """
    module = sys.modules.get(name)
    if is_initializing(module):
        raise NotReplaceableError(
            f"fresh_import({name!r}): its import is still under way, so this call comes from its own top "
            "level or from a module that it imports. Call it when the import is over: in a test or a fixture",
            name=name,
        )
    if is_loaded_by_pytest(module):
        raise NotReplaceableError(
            f"fresh_import({name!r}): pytest has loaded this test module, conftest or plugin, and keeps "
            "using it. Move the code that you need fresh into a separate module",
            name=name,
        )


def is_loaded_by_pytest(module: object) -> bool:
    """Tell whether pytest loaded a module itself: a test file, a conftest or a plugin."""
    loader = spec_value(spec_of(module), "loader")
    # What its assertion rewriting leaves in it; an empty conftest has only the loader.
    return is_rewritten(module) or type(loader).__module__ == "_pytest.assertion.rewrite"


def unmatched(patterns: Patterns, parameter: str) -> Iterator[str]:
    """Yield a message for each pattern that covers no module that is loaded, parked or can be imported.

    Nothing is imported to find out.

    Args:
        patterns: the value of a parameter.
        parameter: its name.
    """
    there: tuple[Any, ...] | None = None
    for pattern in patterns:
        if pattern in sys.modules or pattern in FINDER.lot:
            continue
        there = (*sys.modules.copy(), *FINDER.lot) if there is None else there
        single = Patterns(pattern)
        if any(single.match(name) for name in there):
            continue
        literal = ".".join(_literal_parts(pattern))
        if patterns.is_glob(pattern) and (not literal or _can_be_found(literal)):
            continue  # it may cover what is imported later
        if not patterns.is_glob(pattern) and _can_be_found(pattern):
            continue
        from pytest_import_isolation.wording import suggestion

        names = [name for name in there if type(name) is str]
        yield (
            f"{parameter}={pattern!r} covers no module that is loaded or can be imported"
            f"{suggestion(pattern, names)}, so it changes nothing"
        )


def _literal_parts(pattern: str) -> Iterator[str]:
    for part in pattern.split("."):
        if not part.isidentifier():
            return
        yield part


def _can_be_found(name: str) -> bool:
    """Tell whether the finders know a module, as far as that can be seen without importing its package."""
    path: object = None
    known = ""
    for part in name.split("."):
        known = f"{known}.{part}" if known else part
        loaded = namespace(sys.modules.get(known))
        if loaded is not None:
            path = loaded.get("__path__")
        else:
            spec = find_spec(known, path, is_own_finder)
            if spec is None:
                return False
            path = getattr(spec, "submodule_search_locations", None)
        if path is None:
            # No package: nothing is below it, or it makes submodules by itself (six.moves).
            return loaded is not None or known == name
    return True
