"""How a window is opened, and opened again."""

from __future__ import annotations

import functools

from pytest_import_isolation.machinery.code_cache import CODE
from pytest_import_isolation.machinery.frames import Importer
from pytest_import_isolation.machinery.lazy_imports import LAZY_TYPE
from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.parking.returned_modules import ReturnedModules
from pytest_import_isolation.state.snapshot import ImportState
from pytest_import_isolation.watching.executed_modules import EXECUTED
from pytest_import_isolation.window.evictions import bring_evicted_back
from pytest_import_isolation.window.installations import Installations
from pytest_import_isolation.window.lazy_names import waiting_names
from pytest_import_isolation.window.module_contents import WindowContents
from pytest_import_isolation.window.open_windows import open_windows
from pytest_import_isolation.window.window import Window


def open_window(window: Window, after: ImportState | None = None) -> None:
    """Capture the import state, and begin to note what happens.

    Args:
        window: a new window.
        after: see :meth:`.ImportState.capture`.
    """
    FINDER.listen(window.log)
    window.asked_before = len(window.log.importers)
    around = window.around = ImportState.capture(after)
    window.installations = Installations(window.origins, around, window.test_files, window.own_items)
    window.returned = ReturnedModules(
        FINDER.lot, window.first_party_survivors, lambda: around.derive("images", lambda modules: {})
    )
    if LAZY_TYPE is not None:
        # A name that has been resolved since the last look is resolved to the same again.
        window.waiting = around.derive(
            (window.origins, "waiting"), lambda modules: waiting_names(window.first_party_survivors())
        )
    # Before the look at contents: to start it writes to a module, and the look at the end sees it started.
    EXECUTED.start()
    window.log.hear_ends(EXECUTED)
    if window.writers is not None:
        window.contents = WindowContents(
            window.origins, window.writers, window.writing_files, window.log, is_long=window.is_long
        )
    window.log.once_more = functools.partial(bring_evicted_back, window)
    # Needs the state, and other threads import already.
    window.log.beforehand = functools.partial(_remember_references, window.returned)
    _join_the_others(window)


def reopen_window(window: Window, site: Importer | None) -> bool:
    """Open a window again that was closed a moment ago, if nothing was undone, and no import state is new.

    Args:
        window: the window.
        site: the line that asks for it.

    Returns:
        Whether it is open.
    """
    if not window.is_pristine:
        return False
    FINDER.listen(window.log)
    if not window.around.holds_still() or (window.contents and not window.contents.start_again()):
        FINDER.unlisten(window.log)
        return False
    window.opened_by = site or window.opened_by
    EXECUTED.start()
    window.log.hear_ends(EXECUTED)
    _join_the_others(window)
    return True


def _join_the_others(window: Window) -> None:
    open_windows.append(window)
    EXECUTED.makers.own.append(window.has_made)
    CODE.begin(window.recurs)


def _remember_references(returned: ReturnedModules, name: str) -> None:
    if name in FINDER.lot:
        returned.begin(name)
