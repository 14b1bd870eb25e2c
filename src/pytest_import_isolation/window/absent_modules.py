"""The modules that a window itself takes out of ``sys.modules``: hidden until its end, or only unloaded."""

from __future__ import annotations

import sys
from collections.abc import Callable, Container, Iterable
from typing import Any

from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.parking.lot import ParkedModule
from pytest_import_isolation.state.origins import Origin, Origins
from pytest_import_isolation.state.writing import take_out
from pytest_import_isolation.window.removal import as_bound, park


class AbsentModules:
    """What is absent in a window because it was asked for.

    A hidden module cannot be imported before the window ends: another one may take its name. The next import
    of an unloaded module gives the same object.

    Args:
        origins: gives the verdicts on modules.
    """

    __slots__ = ("_origins", "aside", "hidden", "taken", "unloaded")

    def __init__(self, origins: Origins) -> None:
        self._origins = origins
        #: Tests for the names of the modules that are hidden, loaded or not.
        self.hidden: list[Callable[[Any], object]] = []
        #: The names of the entries that were unloaded.
        self.unloaded: set[str] = set()
        #: Foreign modules that are hidden, and that can be imported again after the window.
        self.aside: dict[str, ParkedModule] = {}
        #: The names of all entries that the window took out.
        self.taken: set[str] = set()

    def hides(self, name: object) -> bool:
        """Tell whether the window hides the module that usually has this name."""
        return bool(self.hidden) and any(covers(name) for covers in self.hidden)

    def hide(self, covers: Callable[[str], object], among: Iterable[str] | None = None) -> dict[str, object]:
        """Hide loaded and parked modules until the end of the window.

        Args:
            covers: tells which.
            among: those of them that are loaded or parked, where they are known.

        Returns:
            Those that were loaded.
        """
        self.hidden.append(covers)
        left: dict[str, ParkedModule] = {}
        if among is None:
            among = [name for name in sys.modules.copy() if type(name) is str and covers(name)]
        self.taken.update(take_out(among, lambda leaving: left.update(as_bound(leaving))))
        for name, parked in left.items():
            # A foreign module that this window itself had loaded must not be executed again after it.
            if self._origins.verdict(name, parked.module).origin is Origin.FOREIGN:
                self.aside.setdefault(name, parked)
        self.aside.update(FINDER.lot.withdraw(covers))
        return {name: parked.module for name, parked in left.items()}

    def hide_parked(self) -> None:
        """Hide what was parked since under a name that is hidden."""
        self.aside.update(FINDER.lot.withdraw(self.hides))

    def show_again(self, around: Container[object]) -> None:
        """Park again what was hidden, in the place of what was loaded in the window under the same names.

        Args:
            around: the names of the modules that are loaded around the window.
        """
        if not self.hidden:
            return
        FINDER.lot.drop(lambda name: (name in self.aside or name in around) and self.hides(name))
        FINDER.lot.park({n: parked for n, parked in self.aside.items() if n not in around})

    def unload(self, names: Iterable[str]) -> None:
        """Park modules, so that they look as if nobody had imported them yet."""
        taken = take_out(names, park)
        self.taken.update(taken)
        self.unloaded.update(taken)

    def withdraw_unloaded(self) -> None:
        """Let the parking lot forget the unloaded modules that are loaded again."""
        FINDER.lot.withdraw(lambda name: name in self.unloaded and name in sys.modules)
