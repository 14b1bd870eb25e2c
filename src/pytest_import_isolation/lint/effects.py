"""What calls of known functions do: the methods of ``sys.modules``, reloads, imports, attributes."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Final

from pytest_import_isolation.lint.events import (
    ATTRIBUTE,
    ENTRIES,
    HIDE,
    IMPORT,
    ITEM,
    OBJECT,
    PATCH,
    PATH,
    REBIND,
    RELOAD,
    REMOVE,
    WINDOW,
    WRITE,
    Guard,
)
from pytest_import_isolation.lint.run import Run
from pytest_import_isolation.lint.scopes import Scope, statement_text
from pytest_import_isolation.lint.values import (
    ANY,
    UNKNOWN,
    Arguments,
    Copy,
    Fake,
    Items,
    Patcher,
    Real,
    Saved,
    Table,
    Text,
    Thing,
    Value,
    is_entries,
    names_of,
    pairs_of,
)

#: What of ``sys`` must stay the same object.
CONTAINERS: Final = frozenset(("modules", "path", "meta_path", "path_hooks"))
_EVERY: Final = Text((ANY,))
_Handler = Callable[[Run, Arguments, ast.Call, Scope], Value]


def write_entry(run: Run, key: Value, value: Value, node: ast.AST, scope: Scope, *, is_literal: bool) -> None:
    """Write an entry of ``sys.modules``."""
    names = tuple(name for name in names_of(key) if name != "__name__")
    if names:
        run.emit(WRITE, names, node, scope, value, is_literal=is_literal)


def write_table(run: Run, table: Value, node: ast.AST, scope: Scope) -> None:
    """Write entries of ``sys.modules``, as ``update`` does."""
    is_literal = isinstance(node, ast.Call) and any(isinstance(one, ast.Dict) for one in node.args)
    for key, value in pairs_of(table):
        write_entry(run, key, value, node, scope, is_literal=is_literal)


def write_attribute(run: Run, owner: Value, name: str, value: Value, node: ast.AST, scope: Scope) -> None:
    """Write an attribute of what may be a module."""
    if isinstance(owner, Thing) and owner.path == "sys" and name in CONTAINERS:
        run.emit(REBIND, (name,), node, scope, value)
    elif isinstance(owner, Thing) and owner.is_known:
        run.emit(
            ATTRIBUTE, (f"{owner.path}.{name}",), node, scope, value, is_literal=scope.source.is_module(owner)
        )


def entries_method(run: Run, method: str, arguments: Arguments, node: ast.Call, scope: Scope) -> Value:
    """Call a method of ``sys.modules``."""
    key, is_literal = arguments.get(0, "key"), bool(node.args) and isinstance(node.args[0], ast.Constant)
    if method in ("setdefault", "__setitem__"):
        write_entry(run, key, arguments.get(1, "default"), node, scope, is_literal=is_literal)
    elif method == "update":
        for value in arguments.positional:
            write_table(run, value, node, scope)
        for name, value in arguments.named:
            write_entry(run, Text((name,)), value, node, scope, is_literal=True)
    elif method in ("pop", "__delitem__"):
        run.emit(REMOVE, names_of(key), node, scope, is_literal=is_literal)
        return Saved()
    elif method in ("clear", "popitem"):
        run.emit(REMOVE, (ANY,), node, scope)
    elif method in ("get", "copy"):
        return Saved()
    elif method in ("keys", "__iter__"):
        return Items((_EVERY,))
    elif method == "items":
        return Items((Items((_EVERY, Saved())),))
    elif method == "values":
        return Items((Saved(),))
    return UNKNOWN


def list_method(
    run: Run, container: str, method: str, arguments: Arguments, node: ast.Call, scope: Scope
) -> Value:
    """Call a method of ``sys.path`` or another list of ``sys``."""
    if container == "path" and method in ("insert", "append", "extend"):
        added = arguments.get(len(arguments.positional) - 1, "object")
        run.emit(PATH, names_of(added), node, scope)
    return Copy(f"sys.{container}") if method == "copy" else UNKNOWN


def _reload(run: Run, arguments: Arguments, node: ast.Call, scope: Scope) -> Value:
    module = arguments.get(0, "module")
    name = module.path if isinstance(module, Thing) else module.name if isinstance(module, Real) else ANY
    if name.startswith("?") or is_entries(module):
        name = ANY
    if name == ANY and node.args and isinstance(node.args[0], ast.Subscript):
        key = node.args[0].slice  # reload(sys.modules["shop"])
        name = key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else ANY
    run.emit(RELOAD, (name,), node, scope, is_literal=name != ANY, value=module)
    return module


def _import(run: Run, arguments: Arguments, node: ast.Call, scope: Scope) -> Value:
    names = names_of(arguments.get(0, "name"))
    run.emit(IMPORT, names, node, scope, value=Thing("importlib.import_module"))
    return Thing(names[0], is_module=True) if len(names) == 1 and "*" not in names[0] else Real()


def _spec(run: Run, arguments: Arguments, node: ast.Call, scope: Scope) -> Value:
    name, file = names_of(arguments.get(0, "name")), names_of(arguments.get(1, "location"))
    return Real(name[0] if len(name) == 1 else ANY, file[0])


def _module_from_spec(run: Run, arguments: Arguments, node: ast.Call, scope: Scope) -> Value:
    spec = arguments.get(0, "spec")
    return spec if isinstance(spec, Real) else Real()


def _load_source(run: Run, arguments: Arguments, node: ast.Call, scope: Scope) -> Value:
    value = _spec(run, arguments, node, scope)
    write_entry(run, arguments.get(0, "name"), value, node, scope, is_literal=False)
    return value


def _setattr(run: Run, arguments: Arguments, node: ast.Call, scope: Scope) -> Value:
    for name in names_of(arguments.get(1, "name")):
        write_attribute(run, arguments.get(0, "object"), name, arguments.get(2, "value"), node, scope)
    return UNKNOWN


def _operator(method: str) -> _Handler:
    """Return what calls a method of the first argument, if that is ``sys.modules``."""

    def function(run: Run, arguments: Arguments, node: ast.Call, scope: Scope) -> Value:
        if not is_entries(arguments.get(0, "a")):
            return UNKNOWN
        others = Arguments(arguments.positional[1:], arguments.named)
        return entries_method(run, method, others, node, scope)

    return function


def _fake(run: Run, arguments: Arguments, node: ast.Call, scope: Scope) -> Value:
    names = names_of(arguments.get(0, "name"))
    return Fake(statement_text(node, 40), names[0] if len(names) == 1 else ANY)


#: By the canonical name of the function.
FUNCTIONS: Final[dict[str, _Handler]] = {
    "importlib.reload": _reload,
    "imp.reload": _reload,
    "six.moves.reload_module": _reload,
    "importlib.import_module": _import,
    "builtins.__import__": _import,
    "importlib.util.spec_from_file_location": _spec,
    "importlib.util.spec_from_loader": _spec,
    "importlib.machinery.ModuleSpec": _spec,
    "importlib.util.find_spec": _spec,
    "importlib.util.module_from_spec": _module_from_spec,
    "imp.load_source": _load_source,
    **{
        f"builtins.dict.{method}": _operator(method)
        for method in ("__setitem__", "__delitem__", "clear", "pop", "setdefault", "update")
    },
    "operator.setitem": _operator("__setitem__"),
    "operator.delitem": _operator("__delitem__"),
    "builtins.setattr": _setattr,
    "builtins.delattr": _setattr,
    "types.ModuleType": _fake,
    "types.SimpleNamespace": _fake,
    "imp.new_module": _fake,
}

#: Classes and functions of unittest.mock that make a fake, wherever they are imported from.
_MOCKS: Final = frozenset(
    [
        "Mock",
        "MagicMock",
        "AsyncMock",
        "NonCallableMock",
        "NonCallableMagicMock",
        "PropertyMock",
        "create_autospec",
        "ModuleType",
        "SimpleNamespace",
    ]
)


def known_names(module: str) -> list[str]:
    """Return the names of a module that mean something here, for an import of all."""
    if module == "sys":
        return sorted(CONTAINERS)
    if module in ("unittest.mock", "mock"):
        return sorted({*_MOCKS, "patch"})
    return [name.rpartition(".")[2] for name in FUNCTIONS if name.rpartition(".")[0] == module]


def makes_fake(function: str) -> bool:
    """Tell whether a function, by its canonical name, makes a fake."""
    return function.rpartition(".")[2] in _MOCKS


def patcher_of(function: str, arguments: Arguments, node: ast.AST | None) -> Patcher | None:
    """Return the context manager that a call makes, if it puts import state back at its end."""
    path = function.lstrip("?")
    first = arguments.get(0, "in_dict" if path.endswith("dict") else "target")
    is_entries_named = is_entries(first) or first == Text(("sys.modules",))
    if path == "patch.dict" or path.endswith(".patch.dict"):
        return Patcher(PATCH, _patched(arguments), node) if is_entries_named else None
    if path == "patch" or path.endswith(".patch"):
        named = names_of(first)[0]
        if named in {f"sys.{name}" for name in CONTAINERS}:
            return Patcher(OBJECT, Text((named[4:],)), node)
        return None
    if path.endswith("patch.object") and first == Thing("sys", is_module=True):
        return Patcher(OBJECT, arguments.get(1, "attribute"), node)
    if path.endswith("MonkeyPatch.context"):
        return Patcher(ENTRIES, node=node)
    last = path.rpartition(".")[2]
    if names_entries(last):
        return Patcher(ENTRIES, node=node)
    if last in _OWN or _PROCESS_WORDS.intersection(last.split("_")):
        return Patcher(WINDOW, node=node)
    if is_entries_named and is_entries(first) and not path.startswith(("sys.", "builtins.", "copy.")):
        return Patcher(
            ENTRIES, node=node
        )  # takes sys.modules, and can be entered: that is for putting it back
    return None


def _patched(arguments: Arguments) -> Value:
    """Return what ``patch.dict`` puts into a dictionary; it takes entries by their names, too."""
    is_given = len(arguments.positional) > 1 or any(
        name in ("values", "clear", "**") for name, _ in arguments.named
    )
    values = arguments.get(1, "values") if is_given else Table(())
    named = [pair for pair in arguments.named if pair[0] not in ("in_dict", "values", "clear", "**")]
    if not named:
        return values
    return Table((*pairs_of(values), *((Text((name,)), value) for name, value in named)))


#: Contexts, marks and fixtures of this package.
_OWN: Final = frozenset(
    ("IsolatedImportContext", "isolated_imports", "fresh_import", "fake_module", "missing_modules")
)
#: In the name of a mark, decorator or context: what is in it has a process, or an import state, of its own.
_PROCESS_WORDS: Final = frozenset(("subprocess", "forked", "isolated"))


def names_entries(name: str) -> bool:
    """Tell whether a fixture or context of an unknown text says by its name that it keeps ``sys.modules``."""
    return "sys_modules" in name.lower() or "sysmodules" in name.lower()


def is_own(name: str) -> bool:
    """Tell whether a fixture isolates imports: one of ours."""
    return name in _OWN


def monkeypatch_method(run: Run, method: str, arguments: Arguments, node: ast.Call, scope: Scope) -> bool:
    """Call what may be a method of pytest's ``monkeypatch``; tell whether it was one for import state."""
    first, second = arguments.get(0, "dic"), arguments.get(1, "name")
    if method in ("setitem", "delitem") and (is_entries(first) or first == Text(("sys.modules",))):
        names = names_of(second)
        if method == "delitem":
            raising = next((one.value for one in node.keywords if one.arg == "raising"), None)
            raising = raising or next(iter(node.args[2:]), None)
            lenient = isinstance(raising, ast.Constant) and raising.value is False
            # In the body of a file nobody undoes it at the end of a test.
            kind = REMOVE if run.is_module else HIDE
            run.emit(kind, names, node, scope, Text(("lenient",)) if lenient else UNKNOWN)
        elif run.is_module:
            write_entry(run, second, arguments.get(2, "value"), node, scope, is_literal=True)
        if not run.is_module:  # nobody undoes it at the end of a file
            run.lasting += (Guard(ITEM, names),)
        return True
    if method in ("setattr", "delattr"):
        named = isinstance(first, Text)
        path = names_of(first)[0] if named else f"{getattr(first, 'path', '?')}.{names_of(second)[0]}"
        if path.startswith("sys."):
            run.lasting += (Guard(OBJECT, (path[4:],)),)
        elif not run.is_module:
            run.emit(ATTRIBUTE, (path,), node, scope)
        return True
    if method == "undo" and run.is_module:
        run.emit(WRITE, (ANY,), node, scope, Saved())
        return True
    return False
