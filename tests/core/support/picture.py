"""The import state as the tests see it; written without any code of the package under test.

Loaded by the tests themselves, and copied beside every script that a test runs.
"""

from __future__ import annotations

import builtins
import sys
from typing import Any

_LISTS = ("path", "meta_path", "path_hooks")
_NOTHING = object()


def _space(module: object) -> dict[str, Any]:
    try:
        found = object.__getattribute__(module, "__dict__")
    except AttributeError:
        return {}
    return found if isinstance(found, dict) else {}


def _items(container: object) -> list[object]:
    """Return the items without the package's own finder; what is no list has none."""
    if not isinstance(container, list):
        return []
    return [item for item in container if type(item).__name__ != "ParkedModuleFinder"]


class Picture:
    """What the import system held at one moment.

    Args:
        packages: packages whose whole namespaces belong to the picture.
    """

    def __init__(self, *packages: str) -> None:
        self.modules_object: Any = sys.modules
        self.modules: dict[Any, object] = dict(sys.modules.items())
        self.lists = {name: (found := getattr(sys, name, None), _items(found)) for name in _LISTS}
        self.cache_object: Any = sys.path_importer_cache
        self.cache: dict[Any, object] = dict(sys.path_importer_cache.items())
        self.import_function = builtins.__import__
        self.bindings: list[tuple[str, dict[str, Any], str, object]] = []
        for name in self.modules:
            if type(name) is str and "." in name:
                parent, _, child = name.rpartition(".")
                space = _space(self.modules.get(parent))
                self.bindings.append((name, space, child, space.get(child, _NOTHING)))
        self.spaces = {
            name: (_space(sys.modules[name]), _space(sys.modules[name]).copy()) for name in packages
        }

    def differences(self) -> list[str]:
        """Return what is not as it was, by identity, in sentences."""
        found = list(self._of_modules())
        for name, (container, items) in self.lists.items():
            now = getattr(sys, name, None)
            if now is not container:
                found.append(f"sys.{name} is another object: {now!r:.200}")
            left = _items(container)
            if len(left) != len(items) or any(a is not b for a, b in zip(left, items, strict=True)):
                found.append(f"sys.{name} held {items!r:.2000} and holds {left!r:.2000}")
        if sys.path_importer_cache is not self.cache_object:
            found.append("sys.path_importer_cache is another object")
        found += _compare("sys.path_importer_cache", self.cache, self.cache_object)
        if builtins.__import__ is not self.import_function:
            found.append("builtins.__import__ is another function")
        for name, space, child, value in self.bindings:
            if space.get(child, _NOTHING) is not value:
                found.append(
                    f"the attribute {name} is {type(space.get(child, _NOTHING))}, and was {type(value)}"
                )
        for name, (space, before) in self.spaces.items():
            found += _compare(f"the namespace of {name}", before, space)
        return found

    def _of_modules(self) -> list[str]:
        found = []
        if sys.modules is not self.modules_object:
            found.append(f"sys.modules is another object, a {type(sys.modules)}")
        return found + _compare("sys.modules", self.modules, self.modules_object)


def _compare(what: str, before: dict[Any, Any], now: dict[Any, Any]) -> list[str]:
    found = [f"{what} lost {key!r}" for key in before if key not in now]
    found += [f"{what} gained {key!r}" for key in list(now) if key not in before]
    found += [f"{what} holds another {key!r}" for key in before if key in now and before[key] is not now[key]]
    return found
