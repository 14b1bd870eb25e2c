"""Module-name patterns: a dotted name that covers its submodules, or a glob."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from itertools import compress, repeat
from operator import is_, methodcaller

from pytest_import_isolation.errors import ParameterError, PatternError

_GLOB_CHARACTERS = frozenset("*?[")


def check_module_name(name: object, who: str) -> str:
    """Return ``name`` if it can be the absolute name of a module.

    Args:
        name: what the user gave as a module name.
        who: the parameter or function it was given to, for the message.

    Returns:
        The name, unchanged.

    Raises:
        ParameterError: it is not a string.
        PatternError: it is empty, relative, or has a part that no import statement can name.
    """
    if not isinstance(name, str):
        raise ParameterError(f"{who}: a module name is a string, not {type(name).__name__} ({name!r})")
    if name.startswith("."):
        raise PatternError(f"{who}: {name!r} is relative; give the absolute name, such as 'package.module'")
    if not name or not all(part.isidentifier() for part in name.split(".")):
        raise PatternError(f"{who}: {name!r} is no module name; give a dotted name such as 'package.module'")
    return name


def _check_pattern(pattern: object, who: str) -> str:
    if not isinstance(pattern, str):
        raise ParameterError(
            f"{who}: a pattern is a string such as 'numpy' or 'myapp.plugins.*', "
            f"not {type(pattern).__name__} ({pattern!r})"
        )
    if _GLOB_CHARACTERS.isdisjoint(pattern):
        return check_module_name(pattern, who)
    if pattern.startswith(".") or any(character.isspace() for character in pattern):
        raise PatternError(
            f"{who}: {pattern!r} is no usable glob; it is matched against absolute module names, "
            "as in 'myapp.plugins.*'"
        )
    return pattern


class Patterns:
    """A set of module-name patterns, parsed once.

    A pattern without ``*``, ``?`` or ``[`` is a dotted name and covers that module and all below it;
    any other is a glob, in which ``*`` matches dots too (``myapp.plugins.*``; ``*`` alone is everything).
    """

    __slots__ = ("_globs", "_names", "_prefixes", "texts")

    def __init__(self, patterns: str | Iterable[str] = (), who: str = "patterns") -> None:
        """Parse the patterns.

        Args:
            patterns: one pattern, or an iterable of patterns.
            who: the parameter they were given to, for the messages.

        Raises:
            ParameterError: ``patterns`` or one of them is of the wrong type.
            PatternError: a pattern can match no module.
        """
        if isinstance(patterns, str):
            patterns = (patterns,)
        try:
            given = list(patterns)
        except TypeError:
            raise ParameterError(
                f"{who}: expected a pattern or a list of patterns, "
                f"not {type(patterns).__name__} ({patterns!r})"
            ) from None
        #: The patterns as they were given, in order.
        self.texts: tuple[str, ...] = tuple(_check_pattern(pattern, who) for pattern in given)
        self._names = frozenset(text for text in self.texts if _GLOB_CHARACTERS.isdisjoint(text))
        self._globs = tuple(text for text in self.texts if text not in self._names)
        # What is below one of them. Most names that are asked about are not.
        self._prefixes = tuple(f"{name}." for name in self._names)

    def __bool__(self) -> bool:
        return bool(self.texts)

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts)

    def __add__(self, other: Patterns) -> Patterns:
        return Patterns((*self.texts, *(text for text in other.texts if text not in self.texts)))

    def __repr__(self) -> str:
        return f"Patterns({list(self.texts)!r})"

    @property
    def has_globs(self) -> bool:
        """Whether one of the patterns is a glob."""
        return bool(self._globs)

    def is_glob(self, pattern: str) -> bool:
        """Tell whether one of the patterns is a glob."""
        return pattern in self._globs

    def covered(self, names: Iterable[object]) -> Iterator[tuple[str, str]]:
        """Yield those of many names that are covered, each with the first pattern that covers it."""
        if not self._globs:
            # At the speed of C: of thousands of modules few are meant.
            given = [*names]
            strings = compress(given, map(is_, map(type, given), repeat(str)))
            names = filter(methodcaller("startswith", (*self._names,)), strings)
        for name in names:
            pattern = self.match(name)
            if pattern is not None:
                yield name, pattern  # type: ignore[misc]  # only strings are matched

    def match(self, name: object) -> str | None:
        """Return the first pattern that covers the module name, or None.

        Args:
            name: a key of ``sys.modules``; keys that are no strings match nothing.
        """
        if not self.texts or type(name) is not str:
            return None
        if name in self._names:
            return name
        if name.startswith(self._prefixes):
            covering = name.rpartition(".")[0]
            while covering not in self._names:
                covering = covering.rpartition(".")[0]
            return covering
        if self._globs:
            for pattern in self._globs:
                if fnmatchcase(name, pattern):
                    return pattern
        return None
