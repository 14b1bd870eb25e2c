"""Which modules a function imports while it runs, itself or through what it calls, by its code alone."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from types import FrameType, ModuleType
from typing import Final

from pytest_import_isolation.leaks.failed_statements import attribute_of, tree_of
from pytest_import_isolation.leaks.reachable_code import ReachedCode, reachable_code
from pytest_import_isolation.machinery.import_bytecode import imports_in
from pytest_import_isolation.machinery.modules import ancestors, namespace
from pytest_import_isolation.machinery.source_text import text_of
from pytest_import_isolation.machinery.syntax import parsed, walk

_BY_NAME: Final = frozenset(("import_module", "__import__"))
_LISTERS: Final = frozenset(("iter_modules", "walk_packages"))
_CONTAINERS: Final = (set, frozenset, list, tuple, dict)
_LARGEST_CONTAINER: Final = 1_000


def reachable_imports(
    functions: Iterable[object], frames: Iterable[FrameType], is_user_code: Callable[[str], bool]
) -> list[str]:
    """Return the loaded modules that functions import while they run, in the order in which they are found.

    Args:
        functions: where to begin; what is no function of Python is passed over.
        frames: code that was running, with the values that it had.
        is_user_code: tells whether a file is the users' own; other code is not followed.
    """
    found: dict[str, None] = {}
    for one in reachable_code(functions, frames, is_user_code):
        found.update(dict.fromkeys(_imported_by(one)))
    return [name for name in found if name in sys.modules]


def _imported_by(one: ReachedCode) -> Iterator[str]:
    package = one.space.get("__package__")
    package = package if type(package) is str else ""
    statements = list(imports_in(one.code, package))
    for module, names in statements:
        yield from (*reversed(list(ancestors(module))), module)
        yield from (f"{module}.{name}" for name in names)
    if not _BY_NAME.isdisjoint(one.code.co_names):
        yield from _imported_by_name(one, package, [module for module, _ in statements])


def _imported_by_name(one: ReachedCode, package: str, imported: list[str]) -> Iterator[str]:
    """Yield the loaded modules that a function can mean which imports modules by their names."""
    texts = [constant for constant in one.code.co_consts if type(constant) is str]
    packages = [package] if any(text.startswith(".") for text in texts) else []
    for name in one.code.co_names:
        value = one.value(name)
        texts += _texts_in(value)
        texts += (text for other in one.code.co_names for text in _texts_in(attribute_of(value, other)))
        packages += _packages_meant(one, value)
    if not _LISTERS.isdisjoint(one.code.co_names):
        packages += (f"{module}.{name}" for module in imported for name in one.code.co_names)
        packages += imported
    loaded = [name for name in list(sys.modules) if type(name) is str]
    for text in texts:
        if text in sys.modules:
            yield text
        elif text.endswith(".") and len(text) > 1:
            yield from (name for name in loaded if name.startswith(text))
    for above in dict.fromkeys(packages):
        yield from (name for name in loaded if above and name.startswith(f"{above}."))


def _packages_meant(one: ReachedCode, value: object) -> Iterator[str]:
    """Yield the package that a value is, for a function that lists what packages hold."""
    if not _LISTERS.isdisjoint(one.code.co_names) and type(value) is ModuleType:
        name = value.__dict__.get("__name__")
        if type(name) is str and "__path__" in value.__dict__:
            yield name


def _texts_in(value: object) -> list[str]:
    if type(value) is str:
        return [value]
    if not any(type(value) is kind for kind in _CONTAINERS):
        return []
    items: list[object] = list(value)  # type: ignore[call-overload]
    return [item for item in items[:_LARGEST_CONTAINER] if type(item) is str]


# What is executed together with a file


def imported_at_top(name: str, is_user_code: Callable[[str], bool]) -> set[str]:
    """Return the modules that are imported when a loaded one is executed, by statements outside of functions.

    Args:
        name: the module.
        is_user_code: tells whether a file is the users' own; of others it is not known what they import.
    """
    found: set[str] = set()
    waiting = [name]
    while waiting:
        name = waiting.pop()
        space = namespace(sys.modules.get(name)) or {}
        file, package = space.get("__file__"), space.get("__package__")
        if name in found or type(file) is not str or not is_user_code(file):
            found.add(name)
            continue
        found.add(name)
        waiting += ancestors(name)
        waiting += _imports_at_top(text_of(file), package if type(package) is str else "")
    return found


def importers_at_top(name: str, among: Iterable[str], is_user_code: Callable[[str], bool]) -> list[str]:
    """Return the loaded modules that import one when they are executed, themselves or through each other.

    Args:
        name: the module.
        among: the modules that are asked.
        is_user_code: tells whether a file is the users' own; of others it is not known what they import.
    """
    waiting: dict[str, tuple[str, ...]] = {}
    for other in among:
        space = namespace(sys.modules.get(other)) or {}
        file, package = space.get("__file__"), space.get("__package__")
        if other != name and type(file) is str and is_user_code(file):
            waiting[other] = _imports_at_top(text_of(file), package if type(package) is str else "")
    found = [name]
    for one in found:  # it grows
        new = [other for other, imported in waiting.items() if one in imported]
        found += new
        for other in new:
            del waiting[other]
    return found[1:]


# Of each failing test that no leak explains hundreds of files may be asked, of which few trees are kept.
@functools.lru_cache(maxsize=1_000)
def _imports_at_top(source: str, package: str) -> tuple[str, ...]:
    tree = parsed(source)
    return () if tree is None else tuple(_names_at_top(tree, package))


def _names_at_top(node: ast.AST, package: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            above = package.rsplit(".", child.level - 1)[0] if child.level else ""
            module = ".".join(filter(None, (above, child.module or "")))
            yield module
            yield from (f"{module}.{alias.name}" for alias in child.names)
        elif not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from _names_at_top(child, package)


def has_effects(name: str) -> bool:
    """Tell whether executing a module seems to do more than to define: it calls something, or decorates."""
    file = (namespace(sys.modules.get(name)) or {}).get("__file__")
    tree = tree_of(file) if type(file) is str else None
    return tree is None or any(map(_does_something, tree.body))


def _does_something(statement: ast.stmt) -> bool:
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return bool(statement.decorator_list or getattr(statement, "bases", ()))
    return not isinstance(statement, (ast.Import, ast.ImportFrom)) and any(
        isinstance(part, ast.Call) for part in walk(statement)
    )
