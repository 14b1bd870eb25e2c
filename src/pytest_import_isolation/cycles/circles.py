"""Circular imports as data: what a trial saw, and which circles follow from all trials. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pytest_import_isolation.errors import ParameterError
from pytest_import_isolation.machinery.modules import top_level
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.patterns import Patterns

FAILS: Final = "fails"
LUCK: Final = "works by luck of order"
WORKS: Final = "works in every order"
_ARROW: Final = "->"


class ImportEdge(NamedTuple):
    """One import of a circle."""

    importer: str
    #: Where the importer imports.
    file: str
    line: int
    #: The module that is imported.
    imported: str
    #: The names that the statement asks for, ``("x",)`` for ``from m import x`` and none for ``import m``.
    names: tuple[str, ...]


class Crossing(NamedTuple):
    """An import that met a module whose own import was under way, with the imports that led there from it."""

    edges: tuple[ImportEdge, ...]
    #: Names that were asked for and not there.
    lacking: tuple[str, ...] = ()
    #: Whether the module was not yet an attribute of its package, and that was asked for.
    is_unbound: bool = False


class BrokenModule(NamedTuple):
    """A module that cannot be imported, for another reason than a circle."""

    name: str
    #: The exception, as ``"TypeName: message"``.
    error: str
    file: str | None
    line: int | None


class Attempt(NamedTuple):
    """What happened when a module was imported first."""

    entry: str
    #: The modules of the package that were loaded at the end.
    loaded: tuple[str, ...] = ()
    crossings: tuple[Crossing, ...] = ()
    #: What ended the import, if something did,
    problem: BrokenModule | None = None
    #: and the circle that this exception tells of.
    end: Crossing | None = None

    def after(self, base: Attempt | None) -> Attempt:
        """Return this attempt with what happened in the one that it stands on."""
        if base is None:
            return self
        return self._replace(crossings=(*base.crossings, *self.crossings))


@dataclass(frozen=True)
class ImportCycle:
    """Modules that import each other in a circle."""

    #: The modules in the order of their imports; the last one imports the first.
    modules: tuple[str, ...]
    #: The imports. With the n-th one the n-th module imports the next one.
    edges: tuple[ImportEdge, ...]
    #: What the last import asked for and the first module did not have yet, if it fails.
    lacking: tuple[str, ...]
    #: Whether the first module was asked for as an attribute of its package, and was none yet.
    is_unbound: bool
    #: The modules with which it fails when they are imported first, and those with which it works.
    fails_from: tuple[str, ...]
    works_from: tuple[str, ...]
    #: Whether it fails and a try statement hides that.
    is_swallowed: bool = False

    @property
    def name(self) -> str:
        """The circle in a line, as ``allow=`` takes it: ``"a -> b -> a"``."""
        return f" {_ARROW} ".join((*self.modules, self.modules[0]))

    @property
    def verdict(self) -> str:
        """``"fails"``, ``"works by luck of order"`` or ``"works in every order"``."""
        if not self.fails_from:
            return WORKS
        return LUCK if self.works_from else FAILS

    def as_builtins(self) -> dict[str, Any]:
        """Return it as JSON knows it."""
        return {
            "name": self.name,
            "verdict": self.verdict,
            "modules": list(self.modules),
            "edges": [{**edge._asdict(), "names": list(edge.names)} for edge in self.edges],
            "lacking": list(self.lacking),
            "is_unbound": self.is_unbound,
            "fails_from": list(self.fails_from),
            "works_from": list(self.works_from),
            "is_swallowed": self.is_swallowed,
        }


@dataclass(frozen=True)
class ImportCycles:
    """What a search found. Iteration, ``len()`` and truth are those of ``cycles``."""

    package: str
    #: How many modules the package has, and those that were imported first.
    modules: int
    tried: tuple[str, ...]
    cycles: tuple[ImportCycle, ...] = ()
    #: Circles that ``allow=`` names, and its entries that name none.
    allowed: tuple[ImportCycle, ...] = ()
    outdated: tuple[str, ...] = ()
    #: Modules that cannot be imported for another reason.
    broken: tuple[BrokenModule, ...] = ()

    def __iter__(self) -> Iterator[ImportCycle]:
        return iter(self.cycles)

    def __len__(self) -> int:
        return len(self.cycles)

    @property
    def is_unknown(self) -> bool:
        """Whether the package itself cannot be imported, so that nothing below it can."""
        return any(broken.name == self.package for broken in self.broken)

    @property
    def is_clean(self) -> bool:
        """Whether there is nothing to complain about."""
        return not (self.cycles or self.outdated or self.is_unknown)

    def as_builtins(self) -> dict[str, Any]:
        """Return it as JSON knows it."""
        return {
            "package": self.package,
            "modules": self.modules,
            "tried": list(self.tried),
            "cycles": [cycle.as_builtins() for cycle in self.cycles],
            "allowed": [cycle.as_builtins() for cycle in self.allowed],
            "outdated": list(self.outdated),
            "broken": [broken._asdict() for broken in self.broken],
        }


class Allowance:
    """An entry of ``allow=``.

    Args:
        text: a circle, ``"a -> b"`` or ``"a -> b -> a"``, from whichever of its modules; or a pattern of
            modules, which covers the circles that are made of such modules only.

    Raises:
        ParameterError: it is no string.
        PatternError: a part of it is no module name.
    """

    def __init__(self, text: object) -> None:
        who = "allow"
        if not isinstance(text, str):
            raise ParameterError(
                f"{who}: a circle is a string such as 'app.a -> app.b', or a pattern of modules, "
                f"not {type(text).__name__} ({text!r})"
            )
        self.text = text
        self._parts = [Patterns(part.strip(), who) for part in text.split(_ARROW)]
        first, last = self._parts[0], self._parts[-1]
        if len(self._parts) > 2 and first.texts == last.texts and not first.has_globs:  # noqa: PLR2004
            self._parts.pop()

    def covers(self, cycle: ImportCycle) -> bool:
        """Tell whether the entry names the circle."""
        if len(self._parts) == 1:
            return all(self._parts[0].match(name) for name in cycle.modules)
        if len(self._parts) != len(cycle.modules):
            return False
        return any(
            all(_is_named(part, name) for part, name in zip(self._parts, turned, strict=True))
            for turned in _rotations(cycle.modules)
        )


def _is_named(part: Patterns, name: str) -> bool:
    # As a link of a chain, a name without a star is that module and not what is below it.
    return part.match(name) is not None if part.has_globs else name in part.texts


def allowances(allow: object) -> list[Allowance]:
    """Parse ``allow=``: one entry, or an iterable of entries."""
    if isinstance(allow, str):
        allow = (allow,)
    if not isinstance(allow, Iterable):
        raise ParameterError(
            "allow: expected a list of circles such as 'app.a -> app.b', "
            f"not {type(allow).__name__} ({allow!r})"
        )
    return [Allowance(entry) for entry in allow]


def _rotations(modules: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return ((*modules[start:], *modules[:start]) for start in range(len(modules)))


def _from_the_least(modules: Sequence[str]) -> tuple[str, ...]:
    """Return the modules of a circle, whichever of them came first, beginning with the same one."""
    least = min(modules)
    starts = [start for start, name in enumerate(modules) if name == least]
    return min((*modules[start:], *modules[:start]) for start in starts)


class _Sighting(NamedTuple):
    """A circle, as one attempt met it."""

    attempt: Attempt
    crossing: Crossing
    #: What was lacking and the module has when it is ready.
    lacking: tuple[str, ...]

    @property
    def fails(self) -> bool:
        return bool(self.lacking) or self.crossing.is_unbound

    @property
    def is_end(self) -> bool:
        return self.crossing is self.attempt.end

    @property
    def modules(self) -> tuple[str, ...]:
        return tuple(edge.importer for edge in self.crossing.edges)


def judge(
    attempts: Iterable[Attempt], top: str, modules: Iterable[str], binds: Callable[[str, str], bool]
) -> tuple[list[ImportCycle], list[BrokenModule]]:
    """Find the circles that attempts met.

    Args:
        attempts: what happened when each module was imported first.
        top: the package whose circles count.
        modules: the names of all modules that are known, loaded or not.
        binds: tells whether a module has a name when it is ready. Who asks for a name that never comes
            made a mistake of another kind.

    Returns:
        The circles, and the modules that cannot be imported for another reason.
    """
    known = set(modules)
    sightings: dict[tuple[str, ...], list[_Sighting]] = {}
    broken: dict[object, BrokenModule] = {}
    finished = list(attempts)
    # Attempts that stand on the import of one package share what happened then.
    judged: dict[int, tuple[tuple[str, ...], bool]] = {}
    for attempt in finished:
        explained = False
        for crossing in (*attempt.crossings, *([attempt.end] if attempt.end else ())):
            if id(crossing) not in judged:
                first = _sighting(attempt, crossing, known, binds)
                counts = _is_circle(first) and any(top_level(name) == top for name in first.modules)
                judged[id(crossing)] = first.lacking, counts
            lacking, counts = judged[id(crossing)]
            if counts:
                seen = _Sighting(attempt, crossing, lacking)
                sightings.setdefault(_from_the_least(seen.modules), []).append(seen)
                explained |= seen.is_end and seen.fails
        if attempt.problem is not None and not explained:
            # Who came first may change the words of the exception, but not its place.
            place = attempt.problem._replace(error="") if attempt.problem.file else attempt.problem
            broken.setdefault(place, attempt.problem)
    cycles = [_cycle(sightings[key], finished) for key in sorted(sightings)]
    return cycles, sorted(broken.values(), key=lambda found: (found.name, found.error))


def meets_circle(attempt: Attempt, modules: Collection[str]) -> bool:
    """Tell whether an attempt met a circle that some of these modules belong to, as far as they are known."""
    sightings = (_sighting(attempt, seen, modules, lambda module, name: True) for seen in attempt.crossings)
    return any(_is_circle(seen) and any(name in modules for name in seen.modules) for seen in sightings)


def _sighting(
    attempt: Attempt, crossing: Crossing, modules: Collection[str], binds: Callable[[str, str], bool]
) -> _Sighting:
    target = crossing.edges[-1].imported
    lacking = (name for name in crossing.lacking if f"{target}.{name}" not in modules)
    return _Sighting(attempt, crossing, tuple(name for name in lacking if binds(target, name)))


def _is_circle(seen: _Sighting) -> bool:
    if len(seen.modules) < 2:  # noqa: PLR2004
        return False
    closing = seen.crossing.edges[-1]
    # A package is always there before its submodules: what they find in it does not depend on who was first.
    return seen.fails or not closing.importer.startswith(f"{closing.imported}.")


def _cycle(sightings: Sequence[_Sighting], attempts: Sequence[Attempt]) -> ImportCycle:
    members = set(sightings[0].modules)
    ours = [attempt for attempt in attempts if attempt.entry in members]
    failed = {seen.attempt.entry for seen in sightings if seen.fails}
    fails_from = sorted(failed & members)
    works_from = sorted(a.entry for a in ours if a.entry not in failed and a.problem is None)
    if not fails_from and not works_from:  # from none of its own modules was it reached
        fails_from = sorted(failed)
    shown = min(
        sightings,
        key=lambda seen: (not seen.fails, seen.is_end, seen.attempt.entry not in members, seen.attempt.entry),
    )
    edges = shown.crossing.edges
    if shown.is_end:  # an attribute was lacking: where that was used is not where the module was imported
        same = (seen for seen in sightings if seen.attempt is shown.attempt and seen.modules == shown.modules)
        edges = next(same).crossing.edges
    return ImportCycle(
        modules=shown.modules,
        edges=edges,
        lacking=shown.lacking,
        is_unbound=shown.crossing.is_unbound,
        fails_from=tuple(fails_from),
        works_from=tuple(works_from),
        is_swallowed=any(seen.fails and seen.attempt.problem is None for seen in sightings),
    )
