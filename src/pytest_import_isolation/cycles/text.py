"""Circular imports as text."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from pytest_import_isolation.cycles.circles import BrokenModule, ImportCycle, ImportCycles, ImportEdge
from pytest_import_isolation.machinery.modules import parent_of
from pytest_import_isolation.wording import count, listing, plain


def render_cycles(found: ImportCycles, folder: str = "") -> list[str]:
    """Tell what a search found.

    Args:
        found: the outcome.
        folder: files below it are shown relative to it.
    """
    return list(_lines(found, folder))


def _lines(found: ImportCycles, folder: str) -> Iterator[str]:
    tried = len(found.tried)
    how = "each imported first" if tried == found.modules else f"{tried} of them imported first"
    number = count(len(found), "circular import")
    yield f"{found.package}: {number} in {count(found.modules, 'module')}, {how}"
    for cycle in found.cycles:
        yield ""
        yield from _cycle_lines(cycle, folder)
    if found.cycles:
        yield ""
        yield from _cures(found.cycles[0])
    if found.allowed:
        yield ""
        yield f"allowed: {', '.join(cycle.name for cycle in found.allowed)}"
    for text in found.outdated:
        yield ""
        yield f"allow={text!r}: no longer a cycle; remove the entry"
    if found.broken:
        yield ""
        yield "These cannot be imported for another reason, so their own imports were not seen:"
        yield from (f"    {_broken_line(broken, folder)}" for broken in found.broken)


def _cycle_lines(cycle: ImportCycle, folder: str) -> Iterator[str]:
    yield f"{cycle.name}: {cycle.verdict}"
    places = [f"{_shown(edge.file, folder)}:{edge.line}" for edge in cycle.edges]
    width = max(map(len, places))
    for place, edge in zip(places, cycle.edges, strict=True):
        yield f"    {place:{width}}  {_statement(edge)}"
    why = _why(cycle)
    if why:
        yield f"    {why}"
    if cycle.fails_from:
        how = "A try statement hides that it fails" if cycle.is_swallowed else "It fails"
        when = _when_first(cycle.fails_from) if cycle.works_from else "whichever is imported first"
        yield f"    {how} {when}."
    if cycle.fails_from and cycle.works_from:
        yield f"    It works {_when_first(cycle.works_from)}."


def _when_first(names: Sequence[str]) -> str:
    return (
        f"if {names[0]} is imported first"
        if len(names) == 1
        else f"if one of {listing(names)} is imported first"
    )


def _why(cycle: ImportCycle) -> str | None:
    first, last = cycle.modules[0], cycle.modules[-1]
    if cycle.is_unbound:
        package, child = parent_of(first)
        return f"{package} has no attribute {child} yet when {last} uses it."
    if cycle.lacking:
        return f"{first} has no {listing(cycle.lacking)} yet when {last} asks for it."
    if "*" in cycle.edges[-1].names:
        return f"{last} gets only those names that {first} has at that moment."
    return None


def _statement(edge: ImportEdge) -> str:
    # "from . import b" imports the package's submodule.
    package, child = parent_of(edge.imported)
    if not edge.names:
        return f"import {edge.imported}"
    if child in edge.names:
        return f"from {package} import {child}"
    return f"from {edge.imported} import {', '.join(edge.names)}"


def _cures(cycle: ImportCycle) -> Iterator[str]:
    edges = (*cycle.edges[-1:], *cycle.edges)
    edge = next((edge for edge in edges if _takes_names(edge)), edges[0])
    name = edge.names[0] if _takes_names(edge) else (*cycle.lacking, "name")[0]
    yield "Three cures, the best first:"
    yield "    Move what both need into a module of its own, which imports neither."
    yield f"    Import inside the function that needs it: '{_statement(edge)}' in {edge.importer}."
    yield (
        f"    Import the module in place of names, 'import {edge.imported}', and use "
        f"'{edge.imported}.{name}' inside functions only."
    )
    yield "        The circle remains, but works in every order: allow= accepts it."


def _takes_names(edge: ImportEdge) -> bool:
    return bool(edge.names) and "*" not in edge.names and parent_of(edge.imported)[1] not in edge.names


def _broken_line(broken: BrokenModule, folder: str) -> str:
    place = f" ({_shown(broken.file, folder)}:{broken.line})" if broken.file else ""
    return f"{broken.name}: {plain(broken.error)}{place}"


def _shown(file: str, folder: str) -> str:
    prefix = os.path.join(folder, "") if folder else ""
    return file[len(prefix) :] if prefix and file.startswith(prefix) else file
