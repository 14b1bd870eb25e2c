"""The worlds of a run: which of them are in place, and what one of them lends to the others."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

from pytest_import_isolation.machinery.finders import find_location, is_own_finder
from pytest_import_isolation.machinery.frames import caller
from pytest_import_isolation.machinery.locks import import_lock
from pytest_import_isolation.machinery.modules import (
    ABSENT,
    location_in,
    namespace,
    parent_of,
    spec_of,
    top_level,
)
from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.parking.lot import ParkedModule
from pytest_import_isolation.state.changes import Changes
from pytest_import_isolation.state.origins import Origin, Origins
from pytest_import_isolation.state.submodule_attributes import bind, parent_namespace
from pytest_import_isolation.state.writing import put_in, take_out
from pytest_import_isolation.window.loan import Loan
from pytest_import_isolation.window.open_windows import with_inner
from pytest_import_isolation.window.world import World


class Worlds:
    """The worlds of a run. A chain of them is in place: those of directories, then that of a file.

    What one world executed without fakes is lent to the others: it is executed once, although no world
    sees it that does not import it.

    Args:
        origins: gives the verdicts on modules.
    """

    def __init__(self, origins: Origins) -> None:
        self._origins = origins
        self._lenders: list[World] = []
        #: The worlds that are in place, the outermost first.
        self.chain: tuple[World, ...] = ()
        FINDER.lend_from(self.lend)

    @property
    def innermost(self) -> World | None:
        """The world that was put in place last."""
        return self.chain[-1] if self.chain else None

    def close(self) -> None:
        """End all worlds that are in place and leave the import state as it is."""
        chain = self.chain
        self._set_chain()
        for world in reversed(chain):
            world.abandon()
        FINDER.stop_lending_from(self.lend)

    def swap(self, *chain: World) -> dict[World, Changes]:
        """Put a chain of worlds in place.

        Args:
            chain: the worlds, the outermost first.

        Returns:
            What became of the modules of the worlds that were left.
        """
        common = 0
        while common < min(len(chain), len(self.chain)) and chain[common] is self.chain[common]:
            common += 1
        left = {}
        while len(self.chain) > common:
            world = self.chain[-1]
            left[world] = self.leave()
        for world in chain[common:]:
            self._put_in(world.borrowed.modules)
            world.enter()
            self._set_chain(*self.chain, world)
        return left

    def begin(self, world: World) -> None:
        """Add a new world to the chain: what is loaded from here on is part of it."""
        world.open()
        self._set_chain(*self.chain, world)

    def leave(self) -> Changes:
        """Leave the innermost world of the chain, whatever is still open inside it.

        Returns:
            What became of the modules that were in place.
        """
        *outer, world = self.chain
        self._set_chain(*outer)
        changes = world.leave()
        take_out(
            name for name, parked in world.borrowed.modules.items() if sys.modules.get(name) is parked.module
        )
        return changes

    def dissolve(self) -> None:
        """End the innermost world of the chain; all that it loaded belongs to what surrounds it."""
        *outer, world = self.chain
        self._set_chain(*outer)
        world.abandon()

    def _set_chain(self, *chain: World) -> None:
        # A world is part of it only while it is in place: a thread that imports may be borrowing for it.
        with import_lock():
            self.chain = chain

    def add_lender(self, world: World) -> None:
        """Let other worlds use the first-party modules that were executed in this one."""
        world.lends = True
        self._lenders.append(world)

    def drop(self, world: World) -> None:
        """Forget a world that is not in place and that nobody needs any more."""
        self._lenders = [lender for lender in self._lenders if lender is not world]
        world.clear()

    # Lending

    def lend(self, name: str) -> ParkedModule | None:
        """Return a module that would be executed a second time without need, or None.

        Threads that import call it, also while worlds are swapped.
        """
        with import_lock():  # what is in the chain is in place
            chain = self.chain
            if not chain:
                return None
            windows, inner = with_inner(chain[0].window), with_inner(chain[-1].window)
        if not all(window.is_plain for window in inner):
            return None  # a test asked for something else than what others executed
        if any(name in window.around.modules for window in windows):
            return None  # somebody removed it, in order to have it executed again
        for loan in self._loans(chain):
            parked = loan.modules.get(name)
            if (
                parked is not None
                and self._origins.is_first_party(name, parked.module)
                and not any(world.has_fakes() for world in chain)
                and self._is_found_alike(loan, name)
            ):
                return self._lend(loan, name, chain)
        self._look_for_fakes(chain[-1])
        return None

    def _loans(self, chain: tuple[World, ...] | None = None) -> Iterator[Loan]:
        """Yield what may be used, by all or in a chain of worlds."""
        for lender in self._lenders:
            if chain is None or all(world in chain for world in lender.lends_inside):
                loan = lender.loan
                if loan is not None:
                    yield loan

    def _look_for_fakes(self, world: World) -> None:
        # Only first-party code plants fakes, and what it imports next could be tainted by them.
        if world.is_watchful:
            importer = caller()
            if importer and self._origins.of_file(importer.module, importer.file) is Origin.FIRST_PARTY:
                world.has_fakes()

    def _is_found_alike(self, loan: Loan, name: str) -> bool:
        """Tell whether an import would find the very files of a module and its needs, as things are now."""
        modules = {needed: loan.modules[needed].module for needed in loan.needs(name)}
        if any(sys.modules.get(name, module) is not module for name, module in modules.items()):
            return False
        return all(
            location_in(spec_of(modules[name])) == find_location(name, is_own_finder)
            for name in {top_level(name) for name in modules}
            if name in modules
        )

    def _lend(self, loan: Loan, name: str, chain: tuple[World, ...]) -> ParkedModule | None:
        with import_lock():
            if self.chain is not chain:
                return None  # other worlds are in place than those that were asked; it is executed
            lent = {n: loan.modules[n] for n in loan.needs(name) if n not in sys.modules}
            asked = loan.modules[name]
            self._put_in({other: parked for other, parked in lent.items() if other != name})
            # importlib is in the middle of importing it, and gets it from the finder.
            bind(parent_namespace(name), parent_of(name)[1], asked.binding)
            self._strip({name: asked}, lent)
            chain[-1].borrow(lent, loan.importers)
            return asked

    def _put_in(self, borrowed: Mapping[str, ParkedModule]) -> None:
        for name in sorted(borrowed, key=lambda name: name.count(".")):
            if name not in sys.modules:
                put_in(name, borrowed[name].module, borrowed[name].binding)
        self._strip(borrowed, borrowed)

    def _strip(self, packages: Mapping[str, ParkedModule], borrowed: Mapping[str, ParkedModule]) -> None:
        """Take off borrowed packages the submodules that were not borrowed with them.

        They get them back when their own world is entered.
        """
        for loan in self._loans():
            for name, (module, *_) in loan.modules.items():
                parent, child = parent_of(name) if type(name) is str else ("", "")
                if parent in packages and name not in borrowed and name not in sys.modules:
                    space = namespace(packages[parent].module)
                    if space is not None and space.get(child, ABSENT) is module:
                        bind(space, child, ABSENT)
