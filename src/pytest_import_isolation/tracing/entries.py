"""The entries of an import trace, as strings and numbers: a trace must not keep modules alive."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from pytest_import_isolation.machinery.modules import ancestors
from pytest_import_isolation.machinery.named_tuples import NamedTuple

#: What became of an import.
EXECUTED: Final = "executed"
BUILT_IN: Final = "built in"
NAMESPACE: Final = "namespace package"
PARKED: Final = "parked"
IMPLIED: Final = "implied"
FAILED: Final = "failed"
LAZY: Final = "lazy"
RUNNING: Final = "running"


class TracedImport(NamedTuple):
    """One import of a module that was not loaded."""

    #: The module; for a lazy import that nobody used also the name that it would take from one.
    name: str
    #: ``"executed"``; ``"built in"`` into the interpreter; a ``"namespace package"``; ``"parked"``: it was
    #: executed earlier in the process and came back; ``"implied"``: a module that came back refers to it, so
    #: that a cold start most likely loads it; ``"lazy"``: a lazy import made a name for it that nobody used;
    #: ``"failed"``; or still ``"running"``.
    how: str
    #: The position in the trace of the import that was under way when this one was asked for, or None.
    parent: int | None = None
    #: Where the statement stands that asked, as module (``""`` if nothing is known), file and line.
    importer: str = ""
    file: str = ""
    line: int = 0
    #: With what it imported in turn, and without that; None if it was not measured.
    total_ms: float | None = None
    own_ms: float | None = None
    #: Why it failed.
    error: str = ""
    #: The name of the thread, if it was not the main thread.
    thread: str = ""
    #: The lazy import statement whose name was used, if that asked for the module: file and line.
    lazy_file: str = ""
    lazy_line: int = 0

    @property
    def is_loaded(self) -> bool:
        """Whether the module was there afterwards, or is about to be."""
        return self.how not in (FAILED, LAZY)

    @property
    def is_certain(self) -> bool:
        """Whether the import was seen, and is not only concluded from references."""
        return self.how != IMPLIED


def children_of(entries: Sequence[TracedImport]) -> dict[int | None, list[int]]:
    """Return the positions of the imports that each one led to; under None those that no other led to."""
    found: dict[int | None, list[int]] = {}
    for position, entry in enumerate(entries):
        found.setdefault(entry.parent, []).append(position)
    return found


def chain_to(entries: Sequence[TracedImport], position: int) -> tuple[TracedImport, ...]:
    """Return the imports that led to one of them, the outermost first, with itself at the end."""
    chain: list[TracedImport] = []
    current: int | None = position
    while current is not None:
        chain.append(entries[current])
        current = entries[current].parent
    return tuple(reversed(chain))


def sizes_of(entries: Sequence[TracedImport]) -> list[int]:
    """Return for each import how many modules it loaded, with itself."""
    sizes = [0] * len(entries)
    seen: set[str] = set()
    for position, entry in enumerate(entries):
        if entry.is_loaded and entry.name not in seen:
            seen.add(entry.name)
            sizes[position] = 1
    for position in reversed(range(len(entries))):  # each stands behind its parent
        parent = entries[position].parent
        if parent is not None:
            sizes[parent] += sizes[position]
    return sizes


def costliest_chain(entries: Sequence[TracedImport], weights: Sequence[float]) -> list[int]:
    """Return the positions from the heaviest outermost import down to where its weight comes from.

    Args:
        entries: the trace.
        weights: what each import weighs, with what it led to.
    """
    children = children_of(entries)
    path: list[int] = []
    current, weight = None, 0.0
    while True:
        below = children.get(current, ())
        heaviest = max(below, key=lambda position: weights[position], default=None)
        # A chain ends where the weight spreads over many.
        if heaviest is None or not weights[heaviest] or weights[heaviest] < weight / 3:
            return path
        path.append(heaviest)
        current, weight = heaviest, weights[heaviest]


class Node:
    """An import under way: an entry that may still find its place.

    Args:
        entry: what is known.
        enclosing: the import that was under way in the same thread when it was asked for.
    """

    def __init__(self, entry: TracedImport, enclosing: Node | None) -> None:
        self.entry = entry
        #: In the order in which they were asked for.
        self.children: list[Node] = []
        #: Packages above this module that its own import had to load first.
        self.above: list[Node] = []
        self.elapsed: float | None = None
        if enclosing is not None:
            # `import a.b` loads `a` for itself: nothing that `a.b` does.
            is_above = entry.name in ancestors(enclosing.entry.name)
            (enclosing.above if is_above else enclosing.children).append(self)

    @property
    def total(self) -> float | None:
        """The milliseconds with what it imported in turn, without the packages above."""
        if self.elapsed is None:
            return None
        return max(0.0, self.elapsed - sum(node.elapsed or 0.0 for node in self.above))

    @property
    def own(self) -> float | None:
        """The milliseconds without what it imported in turn."""
        if self.elapsed is None:
            return None
        inside = sum(node.elapsed or 0.0 for node in (*self.above, *self.children))
        return max(0.0, self.elapsed - inside)

    def was_loaded_above(self) -> bool:
        """Tell whether a package above had loaded the module when it was looked for at last."""
        waiting = [*self.above]
        for node in waiting:  # grows while it is read
            if node.entry.name == self.entry.name and node.entry.is_loaded:
                return True
            waiting += [*node.above, *node.children]
        return False


def flatten(
    roots: Iterable[Node], more: Callable[[TracedImport], Iterable[TracedImport]] = lambda entry: ()
) -> tuple[TracedImport, ...]:
    """Return the entries of a tree, each behind the one that led to it, in the order of the imports.

    Args:
        roots: the entries that no other led to.
        more: gives the entries to put behind those that an entry led to.
    """
    entries: list[TracedImport] = []
    waiting: list[tuple[Node, int | None, bool]] = [(node, None, False) for node in reversed(list(roots))]
    while waiting:
        node, parent, has_place = waiting.pop()
        if node.above and not has_place:
            if not node.was_loaded_above():
                waiting.append((node, parent, True))
            waiting += [(above, parent, False) for above in reversed(node.above)]
            continue
        position = len(entries)
        entries.append(node.entry._replace(parent=parent, total_ms=node.total, own_ms=node.own))
        children = [*node.children, *(Node(entry, None) for entry in more(node.entry))]
        waiting += [(child, position, False) for child in reversed(children)]
    return tuple(entries)
