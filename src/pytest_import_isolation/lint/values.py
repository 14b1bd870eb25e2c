"""What an expression stands for, as far as the text tells."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final

#: A name of a module that nobody can tell.
ANY: Final = "*"
#: How many strings one expression may stand for.
_MOST: Final = 400


@dataclass(frozen=True)
class Value:
    """Anything at all."""


UNKNOWN: Final = Value()


@dataclass(frozen=True)
class Thing(Value):
    """What an import and attributes lead to, such as ``sys.modules``."""

    #: Its canonical name; with ``?`` in front, what something unknown leads to.
    path: str
    #: Whether it is a module for certain.
    is_module: bool = False

    @property
    def is_known(self) -> bool:
        """Whether it begins with an import."""
        return not self.path.startswith("?")


@dataclass(frozen=True)
class Text(Value):
    """One of some strings; ``*`` in a string is any text."""

    options: tuple[str, ...]


@dataclass(frozen=True)
class Items(Value):
    """The elements of a list, tuple or set."""

    values: tuple[Value, ...]


@dataclass(frozen=True)
class Table(Value):
    """Keys and values of a dictionary."""

    pairs: tuple[tuple[Value, Value], ...]


@dataclass(frozen=True)
class Fake(Value):
    """An object that is made by hand."""

    #: How the source writes it.
    what: str
    #: What it is told to be named, if it is a module.
    name: str = ANY


@dataclass(frozen=True)
class Real(Value):
    """A module, or the spec of one, that the import system made or will make."""

    name: str = ANY
    file: str = ""


@dataclass(frozen=True)
class Saved(Value):
    """What ``sys.modules`` held: an entry, or a copy of it."""


@dataclass(frozen=True)
class Copy(Value):
    """A copy of a list or dictionary of ``sys``."""

    of: str


@dataclass(frozen=True)
class Patcher(Value):
    """A context manager that puts something back at its end, entered or not."""

    guard: str
    table: Value = UNKNOWN
    node: ast.AST | None = None


@dataclass(frozen=True, eq=False)
class Method(Value):
    """A method of a value that is known."""

    owner: Value
    name: str


@dataclass(frozen=True, eq=False)
class Arguments:
    """The arguments of a call."""

    positional: tuple[Value, ...] = ()
    named: tuple[tuple[str, Value], ...] = ()

    def get(self, index: int, name: str) -> Value:
        """Return an argument by its position or name."""
        if 0 <= index < len(self.positional):
            return self.positional[index]
        return dict(self.named).get(name, UNKNOWN)


def is_unknown(value: Value) -> bool:
    """Tell whether nothing is known of a value."""
    return type(value) is Value or (isinstance(value, Thing) and not value.is_known)


def names_of(value: Value) -> tuple[str, ...]:
    """Return the module names that a key may be."""
    if isinstance(value, Text):
        return value.options
    if isinstance(value, Items):
        return tuple(dict.fromkeys(name for one in value.values for name in names_of(one))) or (ANY,)
    return (ANY,)


def texts(options: Iterable[str]) -> Value:
    """Return one of some strings; unknown if there are none."""
    kept = tuple(dict.fromkeys(options))[:_MOST]
    return Text(kept) if kept else UNKNOWN


def concatenated(parts: Iterable[Value]) -> Value:
    """Return what strings make that are written one after the other."""
    all_options: list[tuple[str, ...]] = []
    size = 1
    for part in parts:
        options = part.options if isinstance(part, Text) else (ANY,)
        size *= len(options)
        all_options.append(options if size <= _MOST else (ANY,))
    joined = ("".join(one) for one in product(*all_options))
    return texts(text.replace("**", "*") for text in joined)


def either(values: Iterable[Value]) -> Value:
    """Return what one of some values is: all strings, tuples column by column, or the first that is known."""
    known = [value for value in values if not is_unknown(value)]
    if not known:
        return UNKNOWN
    if all(isinstance(value, Text) for value in known):
        return texts(option for value in known for option in names_of(value))
    if all(isinstance(value, Items) for value in known):
        rows = [value.values for value in known if isinstance(value, Items)]
        if len({len(row) for row in rows}) == 1:
            return Items(tuple(either(column) for column in zip(*rows, strict=True)))
    return known[0]


def elements(value: Value) -> Value:
    """Return what one element is in an iteration over a value."""
    if isinstance(value, Items):
        return either(value.values)
    if isinstance(value, Table):
        return either(key for key, _ in value.pairs)
    if is_entries(value) or isinstance(value, Saved):
        return Text((ANY,))
    return UNKNOWN


def pairs_of(value: Value) -> Iterator[tuple[Value, Value]]:
    """Yield keys and values of what ``dict.update`` takes."""
    if isinstance(value, Table):
        yield from value.pairs
    elif isinstance(value, Saved) or is_entries(value):
        yield Text((ANY,)), Saved()
    elif isinstance(value, Items):
        yield from (_pair(one) for one in value.values)
    else:
        yield Text((ANY,)), UNKNOWN


def _pair(value: Value) -> tuple[Value, Value]:
    parts = value.values if isinstance(value, Items) else ()
    return (parts[0], parts[1]) if len(parts) > 1 else (Text((ANY,)), UNKNOWN)


def is_entries(value: Value) -> bool:
    """Tell whether it is ``sys.modules`` itself."""
    return isinstance(value, Thing) and value.path == "sys.modules"


def overlap(some: Iterable[str], others: Iterable[str]) -> bool:
    """Tell whether two groups of names, in which ``*`` is any text, may have one in common."""
    second = list(others)
    return any(_meets(one, other) for one in some for other in second)


def _meets(one: str, other: str) -> bool:
    if "*" not in one and "*" not in other:
        return one == other
    first, second = one.partition("*")[0], other.partition("*")[0]
    if "*" in one and "*" in other:
        return first.startswith(second) or second.startswith(first)
    return other.startswith(first) if "*" in one else one.startswith(second)
