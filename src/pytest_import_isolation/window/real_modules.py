"""The search among real modules: what stands under a name when the fakes are away."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any, Final

from pytest_import_isolation.fakes.fake_modules import loader_of
from pytest_import_isolation.fakes.placed_fakes import is_real
from pytest_import_isolation.machinery.locks import quiet_import_lock
from pytest_import_isolation.machinery.modules import ABSENT, namespace, parent_of
from pytest_import_isolation.machinery.progress_lock import ProgressLock
from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.parking.lot import ParkedModule
from pytest_import_isolation.patterns import Patterns
from pytest_import_isolation.state.submodule_attributes import bind, depth, parent_namespace
from pytest_import_isolation.state.writing import put_in, take_out, take_out_idle
from pytest_import_isolation.watching.asked_imports import ASKED
from pytest_import_isolation.window.closing import close_window
from pytest_import_isolation.window.open_windows import open_windows
from pytest_import_isolation.window.opening import open_window
from pytest_import_isolation.window.parameters import NOTHING_ASKED
from pytest_import_isolation.window.removal import as_bound
from pytest_import_isolation.window.window import Window

# Held while the real modules are in the place of fakes: a thing of the process, as sys.modules is.
_SEARCH: Final = ProgressLock()
_PATIENCE: Final = 1.0  # seconds


class RealModules:
    """Finds the real modules whose place the fakes of a window take.

    Args:
        window: the window.
    """

    def __init__(self, window: Window) -> None:
        self._window = window

    def get(self, name: str) -> ModuleType:
        """Return the real module that a fake stands for, and leave it as loaded as it was.

        Raises:
            ImportError: it cannot be imported.
        """
        real = self._window.real_modules
        if name not in real:
            known = (module for module in _known(name) if is_real(self._window.origins, name, module))
            found = next(known, None)
            real[name] = self.load_beside(name) if found is None else found
        return real[name]  # type: ignore[return-value]

    def ask(self, name: str, attribute: str) -> object:
        """Return an attribute of the real module that a fake stands for.

        Raises:
            AttributeError: it has none of this name.
        """
        real = self.get(name)
        space = namespace(real) or {}
        if attribute in space or (type(real) is ModuleType and "__getattr__" not in space):
            return getattr(real, attribute)
        with self._in_place():  # what it imports to answer is real too
            return getattr(real, attribute)

    def load_beside(self, name: str) -> ModuleType:
        """Execute a real module beside its fake; nothing of it is loaded afterwards."""
        with self._in_place():
            return importlib.import_module(name)

    @contextmanager
    def _in_place(self) -> Iterator[None]:
        """Let the real modules be there in place of the fakes; what is loaded meanwhile does not stay.

        A real module that imports something when it is asked for a name gets that from real modules too,
        and a real package is not executed a second time for the sake of a submodule.
        """
        with ExitStack() as stack:
            with _SEARCH:  # else another search has the fakes
                loaded = _loaded_fakes()
            covers = Patterns(tuple(loaded)).match
            # Other threads that import a faked module are to get the fake. Who begins now waits before it is
            # taken away. Who has begun is waited for: it looks for the fake, or wants to search itself.
            stack.callback(ASKED.observe(covers, lambda _: _SEARCH.wait()))
            with quiet_import_lock(lambda: loaded, _PATIENCE, _SEARCH, _SEARCH.waiting) as busy:
                stack.enter_context(_SEARCH)
                fakers, FINDER.fakers = FINDER.fakers, []
                faked: dict[str, ParkedModule] = {}
                take_out_idle(loaded, busy, lambda leaving: faked.update(as_bound(leaving)))
            real = {name: module for name, module in _all_real(covers).items() if name not in sys.modules}
            bound = [name for name in sorted(real, key=depth) if _put_in_place(name, real[name])]
            lazy = [space for space in map(namespace, real.values()) if space and "__getattr__" in space]
            known = [set(space) for space in lazy]
            inner = Window(NOTHING_ASKED, self._window.origins, title="search for a real module")
            open_window(inner)
            try:
                yield
            finally:
                self._remember(covers)
                close_window(inner)
                # Its __getattr__ computes them again, from modules that are there then.
                for space, names in zip(lazy, known, strict=True):
                    for key in set(space).difference(names):
                        del space[key]
                for name in bound:
                    bind(parent_namespace(name), parent_of(name)[1], ABSENT)
                take_out(real)
                for name in sorted(faked, key=depth):
                    put_in(name, faked[name].module, faked[name].binding)
                FINDER.fakers = fakers
                # What was parked must not come back beside the fake.
                self._window.absent.hide_parked()

    def _remember(self, covers: Callable[[str], object]) -> None:
        """Note real modules that were loaded while another was looked at: they are not executed again."""
        for name, module in sys.modules.copy().items():
            if type(name) is str and covers(name) and is_real(self._window.origins, name, module):
                self._window.real_modules.setdefault(name, module)


def _loaded_fakes() -> list[str]:
    modules = sys.modules.copy().items()
    return [name for name, module in modules if type(name) is str and loader_of(module) is not None]


def _known(name: str) -> Iterator[object]:
    """Yield what stood under a name before it was faked, the innermost window first."""
    for window in reversed(open_windows):
        parked = window.absent.aside.get(name)
        if parked is not None:
            yield parked.module
        yield window.around.modules.get(name)
    yield sys.modules.get(name)
    yield FINDER.lot.module(name)


def _all_real(covers: Callable[[str], object]) -> dict[str, object]:
    """Return the real modules that stood, or were loaded, under names that are faked now."""
    found: dict[Any, object] = {}
    for window in reversed(open_windows):
        aside = {name: parked.module for name, parked in window.absent.aside.items()}
        for source in (window.real_modules, aside, window.around.modules):
            for name, module in source.items():
                # What an inner window found may be the fake of an outer one.
                if type(name) is str and covers(name) and loader_of(module) is None:
                    found.setdefault(name, module)
    return found


def _put_in_place(name: str, module: object) -> bool:
    """Enter a module, and bind it to its package if that holds nothing else; tell whether it was bound."""
    parent, child = parent_of(name)
    space = namespace(sys.modules.get(parent)) if parent else None
    is_free = space is not None and child not in space
    put_in(name, module, module if is_free else ABSENT)
    return is_free
