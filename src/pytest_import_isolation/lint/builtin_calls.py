"""Calls of builtins, of string methods and of path functions: no effect, but a value that is known."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from pytest_import_isolation.lint.values import (
    UNKNOWN,
    Arguments,
    Copy,
    Items,
    Saved,
    Table,
    Text,
    Thing,
    Value,
    concatenated,
    elements,
    is_entries,
    names_of,
    pairs_of,
    texts,
)

_Function = Callable[[Arguments], Value]
#: What gives the elements of its argument.
_SAME: Final = frozenset(("list", "tuple", "set", "frozenset", "sorted", "reversed", "iter", "filter"))


def _sequence(arguments: Arguments) -> Value:
    value = arguments.get(len(arguments.positional) - 1, "iterable")
    if isinstance(value, Thing) and value.path.startswith("sys.") and not is_entries(value):
        return Copy(value.path)
    return value if isinstance(value, Items) else Items((elements(value),))


def _dictionary(arguments: Arguments) -> Value:
    value = arguments.get(0, "iterable")
    if is_entries(value) or isinstance(value, Saved):
        return Saved()
    named = tuple((Text((name,)), one) for name, one in arguments.named if name != "**")
    return Table((*(pairs_of(value) if arguments.positional else ()), *named))


def _from_keys(arguments: Arguments) -> Value:
    return Table(((elements(arguments.get(0, "iterable")), arguments.get(1, "value")),))


def _enumerate(arguments: Arguments) -> Value:
    return Items((Items((UNKNOWN, elements(arguments.get(0, "iterable")))),))


def _zip(arguments: Arguments) -> Value:
    return Items((Items(tuple(map(elements, arguments.positional))),))


def _copy(arguments: Arguments) -> Value:
    value = arguments.get(0, "x")
    if is_entries(value):
        return Saved()
    if isinstance(value, Thing) and value.path.startswith("sys."):
        return Copy(value.path)
    return value


def _getattr(arguments: Arguments) -> Value:
    owner, name = arguments.get(0, "object"), names_of(arguments.get(1, "name"))[0]
    return Thing(f"{owner.path}.{name}") if isinstance(owner, Thing) and "*" not in name else UNKNOWN


def _path(change: Callable[[str], str]) -> _Function:
    def function(arguments: Arguments) -> Value:
        value = arguments.get(0, "path")
        if not isinstance(value, Text) or any("*" in one for one in value.options):
            return UNKNOWN
        return texts(map(change, value.options))

    return function


def join_paths(parts: tuple[Value, ...]) -> Value:
    """Return a path made of parts; unknown if one is."""
    known = [part.options[0] for part in parts if isinstance(part, Text) and "*" not in part.options[0]]
    return Text((os.path.normpath(os.path.join(*known)),)) if known and len(known) == len(parts) else UNKNOWN


def _join(arguments: Arguments) -> Value:
    return join_paths(arguments.positional)


_FUNCTIONS: Final[dict[str, _Function]] = {
    **{f"builtins.{name}": _sequence for name in _SAME},
    "builtins.dict": _dictionary,
    "builtins.dict.fromkeys": _from_keys,
    "builtins.enumerate": _enumerate,
    "builtins.zip": _zip,
    "builtins.getattr": _getattr,
    "copy.copy": _copy,
    "copy.deepcopy": _copy,
    "builtins.str": _path(str),
    "os.fspath": _path(str),
    "os.path.dirname": _path(os.path.dirname),
    "os.path.abspath": _path(os.path.normpath),
    "os.path.realpath": _path(os.path.normpath),
    "os.path.normpath": _path(os.path.normpath),
    "os.path.join": _join,
    "pathlib.Path": _join,
    "pathlib.PurePath": _join,
}
_SAME_PATH: Final = frozenset(("resolve", "absolute", "expanduser", "as_posix", "strip", "rstrip"))


def call_builtin(function: str, arguments: Arguments) -> Value | None:
    """Return what a builtin or a function of paths gives; None if it is another function.

    Args:
        function: its canonical name.
        arguments: what it is called with.
    """
    known = _FUNCTIONS.get(function)
    return None if known is None else known(arguments)


def call_method(owner: Value, method: str, arguments: Arguments) -> Value:
    """Return what a method of a known value gives."""
    if isinstance(owner, Text):
        return _text_method(owner, method, arguments)
    if isinstance(owner, Saved):
        if method == "items":
            return Items((Items((Text(("*",)), Saved())),))
        return Items((Text(("*",)),)) if method == "keys" else Saved()
    if isinstance(owner, Table):
        if method == "items":
            return Items(tuple(Items(pair) for pair in owner.pairs))
        if method in ("keys", "values"):
            return Items(tuple(pair[method == "values"] for pair in owner.pairs))
        return owner if method == "copy" else UNKNOWN
    if isinstance(owner, Items):
        return owner if method in ("copy", "union", "difference") else elements(owner)
    return UNKNOWN


def _text_method(owner: Text, method: str, arguments: Arguments) -> Value:
    if method in _SAME_PATH:
        return owner
    if method == "joinpath":
        return join_paths((owner, *arguments.positional))
    if method in ("split", "splitlines") and len(owner.options) == 1 and "*" not in owner.options[0]:
        separator = names_of(arguments.get(0, "sep"))[0] if arguments.positional else None
        separator = separator if method == "split" else "\n"
        words = owner.options[0].split(separator or None)
        return Items(tuple(Text((word,)) for word in words))
    if method == "format" and len(owner.options) == 1:
        parts = owner.options[0].split("{}")
        if len(parts) == len(arguments.positional) + 1:
            mixed: list[Value] = [Text((parts[0],))]
            for value, text in zip(arguments.positional, parts[1:], strict=True):
                mixed += [value, Text((text,))]
            return concatenated(mixed)
    return UNKNOWN
