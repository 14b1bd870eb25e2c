"""How a window is closed: what becomes of the modules that it loaded, and how the state is put back."""

from __future__ import annotations

import sys
from collections import ChainMap
from collections.abc import Mapping, Set
from types import MappingProxyType
from typing import Any

from pytest_import_isolation.errors import WindowOrderError
from pytest_import_isolation.machinery.code_cache import CODE
from pytest_import_isolation.machinery.finders import is_own_finder
from pytest_import_isolation.machinery.locks import quiet_import_lock
from pytest_import_isolation.machinery.modules import is_initializing
from pytest_import_isolation.machinery.threads import namespaces_on_other_threads, runs_threads
from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.parking.lot import lie_apart
from pytest_import_isolation.parking.ownership import Ownership
from pytest_import_isolation.state.changes import NO_CHANGES, Changes
from pytest_import_isolation.state.differences import Difference
from pytest_import_isolation.state.entries import Entries
from pytest_import_isolation.state.referrers import Referrers
from pytest_import_isolation.state.restoring import restore
from pytest_import_isolation.watching.executed_modules import EXECUTED
from pytest_import_isolation.window.evictions import covered_modules, park_evicted, parked, unbind_evicted
from pytest_import_isolation.window.lazy_names import lazy_names, let_wait_again
from pytest_import_isolation.window.open_windows import innermost_window, open_windows, tainted_in
from pytest_import_isolation.window.outcomes import Circumstances, Decision, Outcome, decide
from pytest_import_isolation.window.removal import Removal
from pytest_import_isolation.window.summary import Summary, blameless
from pytest_import_isolation.window.window import Window


def close_window(window: Window) -> Changes:
    """Put the import state back.

    Args:
        window: the innermost one.

    Returns:
        What was undone and what was kept.

    Raises:
        WindowOrderError: another window was opened in this one and is still open.
    """
    if innermost_window() is not window and not (window.is_wide and window in open_windows):
        raise _wrong_order(window)
    _remark(window)
    changes = NO_CHANGES
    try:
        window.stop_watching()
        # Held for all who look at it now.
        loaded = Entries.of(getattr(sys, "modules", None))
        window.undo_written()
        difference = window.around.differences(is_own_finder)
        if difference.added and runs_threads():
            # What another thread is importing gets a second to be finished; then it stays.
            with quiet_import_lock(lambda: difference.added):
                pass
            difference = window.all_differences()
        park_evicted(window)  # they leave no difference
        if difference or window.absent.hidden:
            covered = covered_modules(window)
            changes, stuck = _put_back(window, difference)
            # Now the last references to what left are dropped, and destructors run, which may import.
            del difference, loaded
            window.placed.clear()
            if not stuck and window.all_differences():
                restore(window.around, _removal(window).leave)
            FINDER.lot.park({name: parked(window, name, module) for name, module in covered.items()})
            window.undo_written()  # to names of submodules, which are no such names any more
        unbind_evicted(window)
    except BaseException:  # also Ctrl-C
        window.stop_watching()
        restore(window.around, _removal(window).leave)
        raise
    finally:
        # Not before they are back: a thread that asks in between would execute them again. So would one
        # that is looking for a module now: that module is not put back, and stays parked.
        if window.absent.unloaded:
            window.absent.withdraw_unloaded()
        _leave_the_others(window)
    return _with_contents(changes, window)


def _remark(window: Window) -> None:
    if window.fakes is not None:
        for unmet in window.fakes.unmet(window.tainted):
            window.remark([str(unmet)], unmet.site)
    remark = window.older.remark() if window.older is not None else None
    window.remark([remark] if remark else [], window.opened_by)


def _with_contents(changes: Changes, window: Window) -> Changes:
    undone = window.contents.undone.texts if window.contents is not None else ()
    return changes._replace(contents=undone) if undone else changes


def close_untouched(window: Window) -> bool:
    """Close a window if nothing in it has to be undone, as in most tests; tell whether that was so."""
    if innermost_window() is not window or not window.is_pristine or window.older is not None:
        return False
    if window.all_differences() or not (window.contents is None or window.contents.is_left_alone()):
        return False
    window.stop_watching()
    _leave_the_others(window)
    return True


def close_with_inner(window: Window) -> tuple[Changes, list[Window]]:
    """Close a window, and before it those inside it that somebody forgot to close.

    Returns:
        What the window itself undid, and the forgotten windows.
    """
    forgotten: list[Window] = []
    while window in open_windows and innermost_window() is not window:
        forgotten.append(open_windows[-1])
        close_window(open_windows[-1])
    return close_window(window), forgotten


def abandon_window(window: Window) -> None:
    """End a window and leave everything as it is now, part of the surrounding state.

    Foreign modules that somebody threw out of ``sys.modules`` behind our back are parked all the same.
    """
    try:
        window.stop_watching()
        park_evicted(window)
    finally:
        _leave_the_others(window)


def _wrong_order(window: Window) -> WindowOrderError:
    if window not in open_windows:
        return WindowOrderError(f"{window} is closed already; every start() takes one stop()")
    return WindowOrderError(
        f"{window} cannot be left before {open_windows[-1]}, which is inside it: "
        "leave windows in the reverse order of entering them"
    )


def _leave_the_others(window: Window) -> None:
    open_windows.remove(window)
    EXECUTED.makers.own.remove(window.has_made)
    if window.contents is not None:
        window.contents.stop()
    window.log.hear_no_ends(EXECUTED)
    EXECUTED.stop()
    CODE.end(window.recurs)
    FINDER.unlisten(window.log)


def _removal(window: Window) -> Removal:
    return Removal(window.origins, window.around.modules, window.absent.hides)


def _put_back(window: Window, difference: Difference) -> tuple[Changes, dict[Any, str]]:
    difference = window.without_installed_entries(difference)
    new_modules = {**difference.added, **{name: now for name, (_, now) in difference.replaced.items()}}
    removal = _removal(window)
    leaving_again = _leaving_again(window, new_modules)
    try:
        others = (
            {n: m for n, m in new_modules.items() if n not in leaving_again} if leaving_again else new_modules
        )
        installing = window.installations.packages_installing(difference, new_modules)
        decisions = _decide(window, others, installing, beside=leaving_again)
        if leaving_again and any(decision.outcome is Outcome.KEEP for decision in decisions.values()):
            # What is kept may need what came back.
            leaving_again, decisions = {}, _decide(window, new_modules, installing)
        removal.decisions.update(decisions)
        outcomes = {name: decision.outcome for name, decision in removal.decisions.items()}
        window.note_kept_taints(new_modules, removal.decisions)
        window.around.admit({n: new_modules[n] for n, o in outcomes.items() if o is Outcome.KEEP})
        outcomes = {**dict.fromkeys(leaving_again, Outcome.PARK), **outcomes}
        seen = window.without_own(difference)
        installed = window.installations.installed_by_themselves(seen, new_modules)
        window.blameless = blameless(seen, outcomes, Ownership(window.origins), installed)
        window.installations.settle(difference, outcomes)
        window.installations.settle_entries(outcomes)
        window.installations.settle_classes(outcomes)
        if leaving_again:
            removal.leave_again(leaving_again)
    finally:
        restored = restore(window.around, removal.leave)
        window.absent.show_again(window.around.modules)
    if window.contents is not None:
        window.contents.undo_bodies(removal.forgotten())
    window.forgotten_packages.update(removal.forgotten_packages())
    attributes = removal.clean_packages(window.log.images)
    attributes += let_wait_again(window.waiting, window.around.modules, removal.left)
    removal.remove_young_bytecode()
    account = Summary(
        seen=seen,
        removal=removal,
        placed=window.placed,
        stuck=restored.stuck,
        attributes=tuple(attributes),
        contents=window.around.contents,
    )
    return account.changes(), restored.stuck


def _leaving_again(window: Window, new_modules: Mapping[Any, object]) -> Mapping[str, object]:
    """Return what came back from the parking lot and can leave again without being judged one by one."""
    if not window.returned.names or window.absent.hidden or runs_threads():
        return {}
    leaving_again = window.returned.among(new_modules)
    tainted = tainted_in(open_windows)
    if (
        not leaving_again
        or not tainted.keys().isdisjoint(leaving_again)
        or not window.placed.keys().isdisjoint(leaving_again)
        or any(window.reason_to_stay(name, module) for name, module in leaving_again.items())
        or any(is_initializing(leaving_again[name]) for name in window.log.importers if name in leaving_again)
        or window.returned.is_referred_to(leaving_again, window.disregarded)
    ):
        return {}
    return leaving_again


def _decide(
    window: Window,
    new_modules: Mapping[Any, object],
    installing: Set[str],
    beside: Mapping[str, object] = MappingProxyType({}),
) -> dict[Any, Decision]:
    """Decide what becomes of modules.

    Args:
        window: where they were loaded.
        new_modules: the modules.
        installing: the packages of the top level that installed something in the import system.
        beside: others that were loaded, and are parked again.
    """
    if not new_modules:
        return {}
    survivors, second_copies = window.around.modules, _second_copies(new_modules)
    referrers = window.referrers()
    return decide(
        new_modules,
        Circumstances(
            origins=window.origins,
            survivors=ChainMap(dict(beside), survivors) if beside else survivors,
            referrers=referrers,
            remembered=Referrers.among(referrers),
            must_stay=window.reason_to_stay,
            placed=window.placed,
            tainted=tainted_in(open_windows),
            own_taint=window.tainted.keys(),
            is_test_code=window.is_test_code,
            running=namespaces_on_other_threads(),
            lazy_names=lambda survivor: lazy_names(survivor, window.log.images, window.waiting),
            is_superseded=lambda name: (
                name in survivors or name in window.absent.aside or name in second_copies
            ),
            returned=window.returned.among(new_modules).keys(),
            lent=window.returned.lent,
            before_return=window.returned.before,
            importer_of=lambda name: _importer_of(window, name),
            maker_of=Ownership(window.origins).owner_of_entry,
            looked_up_by=FINDER.lot.looked_up.by,
            is_parked=lambda name: name in beside or (name in FINDER.lot and name not in new_modules),
            installing=installing,
            holders=window.origins.holders,
            is_alone=window.is_alone,
        ),
    )


def _importer_of(window: Window, name: str) -> str | None:
    importer = window.log.importers.get(name)
    return None if importer is None else importer.module


def _second_copies(modules: Mapping[Any, object]) -> set[Any]:
    """Return the names of modules that a finder under test executed although they are parked.

    What is coming back at this moment, in another thread, is the parked object itself.
    """
    return {
        name
        for name, module in modules.items()
        if name in FINDER.lot
        and (parked := FINDER.lot.module(name)) is not module
        and not lie_apart(module, parked)
    }
