"""What a fixture of a wider scope loads in a window, which stays when the window ends."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pytest_import_isolation.contents.ledger import CONTENTS
from pytest_import_isolation.contents.looks import State
from pytest_import_isolation.machinery.finders import is_own_finder
from pytest_import_isolation.machinery.modules import ABSENT, ancestors, namespace, parent_of
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.state.differences import Difference
from pytest_import_isolation.state.list_changes import key_of
from pytest_import_isolation.state.origins import Origin, Origins
from pytest_import_isolation.state.references import NewModules
from pytest_import_isolation.state.snapshot import ImportState
from pytest_import_isolation.watching.asked_imports import ASKED
from pytest_import_isolation.window.module_contents import WindowContents
from pytest_import_isolation.window.open_windows import open_windows, tainted_in, with_inner
from pytest_import_isolation.window.window import Window


@contextmanager
def adopting(window: Window) -> Iterator[dict[str, str]]:
    """Adopt, after the block, what is loaded in a window and in the windows inside it.

    What else the block changes, such as ``sys.path``, belongs to the surrounding state too.

    Yields:
        A dictionary that is filled at the end: the modules that the block loaded or asked for and that
        were not adopted, with the reason.
    """
    loaded = {inner: inner.around.added() for inner in with_inner(window)}
    known = {name for inner, modules in loaded.items() for name in _sort(inner, modules)[1]}
    there = known.union(*loaded.values())
    asked: set[str] = set()
    unwatch = ASKED.watch(there.__contains__, lambda asker, name: asked.add(name)) if there else None
    refused: dict[str, str] = {}
    inside = window.all_differences()
    before, held = ImportState.capture(), contents_now(window)
    opened = len(open_windows)
    try:
        yield refused
    finally:
        follow_contents(window, held)
        if unwatch is not None:
            unwatch()
        change = before.differences(is_own_finder)
        _move_outside(window, open_windows[opened:], inside)
        if change or asked:
            for inner in reversed(with_inner(window)):
                declined = adopt(inner, change.added, asked)
                new = {n: why for n, why in declined.items() if n in asked or n not in known}
                followed = _follow(inner, change, before)
                refused.update({name: why for name, why in new.items() if name not in followed})


def adopt(window: Window, loaded: Collection[Any], asked: Collection[str]) -> dict[str, str]:
    """Let what a fixture of a wider scope loaded belong to the surrounding state: it stays at the end.

    Fakes, fresh copies and tainted modules are not adopted.

    Args:
        window: the window.
        loaded: what was not there before.
        asked: what the fixture imported that was there.

    Returns:
        The modules that were not adopted, with the reason.
    """
    difference = window.all_differences()
    adopted, refused = _sort(window, difference.added)
    if window.is_long:
        if window.is_alone and not window.is_for_all:
            reason = f"it belongs to {window.title}, which changed what it imports"
            refused.update({name: reason for name in adopted if name in asked and name not in loaded})
            wanted = set(loaded)
        else:
            wanted = {*loaded, *_closure(difference.added, asked, window.origins)}
        adopted = {name: module for name, module in adopted.items() if name in wanted}
    window.admit(adopted, difference)
    return refused


class HeldThen(NamedTuple):
    """What modules held at a moment."""

    #: None if no window had test code that could write to them: looking costs.
    state: State | None
    #: How many reloads each window had seen that was open.
    reloads: Mapping[WindowContents, int]


def contents_now(window: Window) -> HeldThen:
    """Return what modules hold."""
    contents = [inner.contents for inner in with_inner(window) if inner.contents is not None]
    is_harmless = all(each.is_harmless for each in contents)
    return HeldThen(None if is_harmless else CONTENTS.take(), {each: each.reloads for each in contents})


def follow_contents(window: Window, before: HeldThen) -> None:
    """Let what modules hold else since a moment belong to what is around a window and those inside it.

    Args:
        window: the window.
        before: what :func:`contents_now` returned at that moment.
    """
    for inner in with_inner(window):
        # One that was opened since undoes what was written in it.
        if inner.contents is not None and inner.contents in before.reloads:
            inner.contents.follow_from(before.state, before.reloads[inner.contents])


def follow_from(window: Window, before: ImportState) -> None:
    """Let what changed since a snapshot belong to the state around a window and the windows inside it.

    A second copy does not, which was imported since because the window's test had taken the first one out.
    """
    change = before.differences(is_own_finder)
    if change:
        for inner in with_inner(window):
            copies = _second_copies(inner, change)
            added = {name: module for name, module in change.added.items() if name not in copies}
            bindings = {name: binding for name, binding in change.bindings.items() if name not in copies}
            _follow(inner, change._replace(added=added, bindings=bindings), before)


def _second_copies(window: Window, change: Difference) -> set[Any]:
    return {
        name
        for name, module in change.added.items()
        if window.around.modules.get(name, module) is not module
        and window.origins.verdict(name, module).origin is not Origin.FAKE
    }


def follow_decisions(window: Window, before: ImportState) -> None:
    """Do what :func:`follow_from` does, except for what was imported since: that is where it was imported."""
    change = before.differences(is_own_finder)
    if not change:
        return
    added = {n: m for n, m in change.added.items() if window.origins.verdict(n, m).origin is Origin.FAKE}
    names = {*added, *change.replaced, *change.removed}
    bindings = {name: binding for name, binding in change.bindings.items() if name in names}
    for inner in with_inner(window):
        _follow(inner, change._replace(added=added, bindings=bindings), before)


def follow_exchanged(window: Window, before: ImportState) -> None:
    """Do what :func:`follow_from` does for what was exchanged or taken away, except for the windows' own.

    What was loaded since is left out too.
    """
    change = before.differences(is_own_finder)
    if change:
        for inner in with_inner(window):
            _follow(inner, _of_around(inner.around, change), before)


def _of_around(around: ImportState, change: Difference) -> Difference:
    """Return what of a change was made to what is around a window, and not to what the window put there."""
    held = around.modules
    replaced = {n: both for n, both in change.replaced.items() if held.get(n, ABSENT) is both[0]}
    removed = {name: entry for name, entry in change.removed.items() if held.get(name, ABSENT) is entry}
    names = {*replaced, *removed}
    return change._replace(
        added={},
        replaced=replaced,
        removed=removed,
        bindings={
            name: binding
            for name, binding in change.bindings.items()
            if name in names or parent_of(name)[0] in names
        },
        lists={
            name: items
            for name, items in change.lists.items()
            if not items.removed
            or not {*map(key_of, items.removed)}.isdisjoint(map(key_of, around.contents(name)))
        },
    )


def _move_outside(window: Window, opened: list[Window], inside: Difference) -> None:
    """Let windows that a fixture of a wider scope opened surround the one that ends before it does.

    Args:
        window: that one.
        opened: what the fixture opened inside of it.
        inside: what was different in it before that.
    """
    if opened:
        del open_windows[-len(opened) :]
        place = open_windows.index(window)
        open_windows[place:place] = opened
    for outer in opened:
        outer.is_wide = True
        if inside:
            outer.around.follow(inside.undone(), ImportState.capture())


def _sort(window: Window, loaded: Mapping[Any, object]) -> tuple[dict[Any, object], dict[str, str]]:
    """Return those of the loaded modules that can be adopted now, and the others with the reason."""
    refused: dict[str, str] = {}
    adopted: dict[Any, object] = {}
    tainted = tainted_in(with_inner(window))  # what is tainted by a fake outside is at home there
    for name, module in loaded.items():
        is_placed = window.placed.get(name, ABSENT) is module
        if is_placed or window.origins.verdict(name, module).origin is Origin.FAKE:
            refused[name] = "it is a fake"
        elif name in tainted:
            refused[name] = f"it was first imported while {tainted[name]} was faked or blocked"
        elif window.absent.hides(name):
            refused[name] = "it is a fresh copy"
        else:
            adopted[name] = module
    return adopted, refused


def _follow(window: Window, change: Difference, before: ImportState) -> set[Any]:
    """Let a change belong to the surrounding state, except for what must not be adopted.

    Returns:
        The modules that are part of it.
    """
    tainted = tainted_in(with_inner(window))

    def belongs(name: Any, module: object) -> bool:
        return (
            window.placed.get(name, ABSENT) is not module
            and name not in tainted
            and not window.absent.hides(name)
        )

    change = change._replace(
        added={n: m for n, m in change.added.items() if belongs(n, m)},
        replaced={n: pair for n, pair in change.replaced.items() if belongs(n, pair[1])},
        removed={n: m for n, m in change.removed.items() if belongs(n, m)},
        bindings={n: binding for n, binding in change.bindings.items() if belongs(n, binding.after)},
    )
    window.around.follow(change, before)
    return {*change.added, *change.replaced}


def _closure(modules: Mapping[Any, object], names: Iterable[str], origins: Origins) -> set[str]:
    """Return those of the modules that others of them refer to, the packages above included."""
    new_modules = NewModules(
        {name: module for name, module in modules.items() if type(name) is str}, origins.was_first_party
    )
    waiting, found = list(names), set[str]()
    while waiting:
        name = waiting.pop()
        if name in new_modules.modules and name not in found:
            found.add(name)
            waiting += ancestors(name)
            waiting += (home for home, _ in new_modules.references(namespace(modules[name]) or {}))
    return found
