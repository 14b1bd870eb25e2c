"""Of which objects the statements of a text write attributes, by the last parts of their names."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from pytest_import_isolation.contents.path_changes import PATH
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.syntax import called, owner_of_namespace

_SETTERS: Final = ("setattr", "delattr", "__setattr__", "__delattr__")
_UPDATERS: Final = ("update", "setdefault", "pop", "__setitem__", "__delitem__")
#: The names by which a class has its own attributes.
OWN: Final = ("self", "cls")


class Targets(NamedTuple):
    """What the statements of a text write to by themselves: a patch that ends by itself is none."""

    #: Last parts of the names of objects, each with an attribute that is written.
    named: frozenset[tuple[str, str]]
    #: Last parts of the names of objects with attributes that are written under computed names.
    computed: frozenset[str]
    #: As ``named``, but for parameters and variables by their own names: a fixture may return a module.
    likely: frozenset[tuple[str, str]]

    def has(self, owner: str, attribute: str) -> bool:
        """Tell whether an attribute of an object is written under its name."""
        return (owner, attribute) in self.named

    def may_have(self, owner: str, attribute: str) -> bool:
        """Tell whether what is written may be an attribute of an object, by the name of a variable."""
        return (owner, attribute) in self.likely

    @property
    def is_computed(self) -> bool:
        """Whether attributes of others are written whose names the text does not say."""
        return bool(self.computed.difference(("self",)))


NO_TARGETS: Final = Targets(frozenset(), frozenset(), frozenset())


def targets_of(
    nodes: Iterable[ast.AST], packages: Iterable[ast.expr | str] = (), *, keeps_patches: bool = False
) -> Targets:
    """Return what statements write to.

    Args:
        nodes: those of the text.
        packages: those whose lists of folders it changes in place.
        keeps_patches: whether patches of ``MonkeyPatch`` are never undone.
    """
    nodes = list(nodes)
    names = dict(_names(nodes))
    named: set[tuple[str, str]] = set()
    computed: set[str] = set()
    likely: set[tuple[str, str]] = set()
    written = [each for node in nodes for each in _written(node, keeps_patches=keeps_patches)]
    for owner, attribute in (*written, *((package, PATH) for package in packages)):
        last = _last_part(owner, names)
        if attribute is None:
            computed.add(last)
        else:
            named.add((last, attribute))
            likely.update(((last, attribute), (_last_part(owner, {}), attribute)))
    return Targets(frozenset(named), frozenset(computed), frozenset(likely))


def _names(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, str]]:
    """Yield the names that a text gives to something, each with the last part of its other name, if any."""
    for node in nodes:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                if alias.asname:
                    yield alias.asname, alias.name.rpartition(".")[2]
        elif isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
            if isinstance(target, ast.Name):
                yield target.id, _last_part(node.value, {})
        elif isinstance(node, ast.arg):  # of a fixture, say
            yield node.arg, node.arg if node.arg in OWN else ""


def _written(node: ast.AST, *, keeps_patches: bool) -> Iterator[tuple[ast.expr | str, str | None]]:
    """Yield the objects of which a node writes an attribute, each with its name, None for a computed one."""
    if isinstance(node, (ast.Attribute, ast.Subscript)) and not isinstance(node.ctx, ast.Load):
        if isinstance(node, ast.Attribute):
            yield node.value, node.attr
        elif (owner := owner_of_namespace(node.value)) is not None:
            yield owner, _text(node.slice)
    elif isinstance(node, ast.Call):
        name, arguments = called(node), node.args
        is_plain = isinstance(node.func, ast.Name) or name.startswith("__") or keeps_patches
        if name in _SETTERS and is_plain and len(arguments) > 1:
            yield arguments[0], _text(arguments[1])
        elif name in _UPDATERS and isinstance(node.func, ast.Attribute):
            owner = owner_of_namespace(node.func.value)
            if owner is not None:
                yield owner, None
        if name in ("start", *(("setattr", "delattr") if keeps_patches else ())):
            yield from _named_by_strings(node)


def _named_by_strings(node: ast.Call) -> Iterator[tuple[str, str]]:
    """Yield what the first argument of a call, or of the call that made its object, names by a string."""
    made = node.func.value if isinstance(node.func, ast.Attribute) else None
    for call in (node, made):
        if isinstance(call, ast.Call) and call.args and (text := _text(call.args[0])):
            owner, _, attribute = text.rpartition(".")
            yield owner, attribute


def _text(node: ast.AST) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _last_part(owner: ast.expr | str, names: Mapping[str, str]) -> str:
    """Return the last part of an object's name; nothing if it has none."""
    if isinstance(owner, str):
        return owner.rpartition(".")[2]
    if isinstance(owner, ast.Name):
        return names.get(owner.id, owner.id)
    if isinstance(owner, ast.Attribute):
        return owner.attr
    # A module may be looked up, or imported, by its name in a string.
    key = owner.slice if isinstance(owner, ast.Subscript) else None
    if isinstance(owner, ast.Call) and called(owner) in ("import_module", "__import__") and owner.args:
        key = owner.args[0]
    return (_text(key) or "").rpartition(".")[2] if key is not None else ""
