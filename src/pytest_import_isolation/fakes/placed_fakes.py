"""The fakes of a window: placing them, and noticing those that nobody met."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.machinery import ModuleSpec
from types import ModuleType

from pytest_import_isolation.fakes.fake_modules import (
    Fake,
    FakeLoader,
    forget_source,
    give_spec,
    loader_of,
    make_module,
    make_spec,
    open_for_submodules,
)
from pytest_import_isolation.machinery.frames import Importer
from pytest_import_isolation.machinery.modules import ancestors, is_rewritten, namespace, parent_of
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.patterns import Patterns
from pytest_import_isolation.state.origins import Origin, Origins
from pytest_import_isolation.state.references import NewModules
from pytest_import_isolation.state.submodule_attributes import bind, depth
from pytest_import_isolation.state.writing import put_in


class Placement(NamedTuple):
    """Fakes that were placed together."""

    names: tuple[str, ...]
    site: Importer | None
    #: The modules whose place they took.
    real: Mapping[str, object]


class Unmet(NamedTuple):
    """A fake that nothing under test imported, although something holds the real module."""

    name: str
    site: Importer | None
    #: A first-party module that imported the real one before, and where it holds it.
    holder: str
    key: str

    def __str__(self) -> str:
        return (
            f"nothing under test imported the fake of {self.name!r}: {self.holder} imported the real module "
            f"before, and {self.holder}.{self.key} still holds it. Let the fake be there first, and have "
            f"{self.holder} executed anew under it: fresh={self.holder!r}, or fresh_import({self.holder!r})"
        )


class PlacedFakes:
    """The fakes of one window.

    Args:
        placed: what stands in ``sys.modules`` for each fake; filled here.
        origins: gives the verdicts on modules.
        real: returns the real module that a fake stands for.
        ask_real: returns an attribute of it.
        beforehand: is told the name of each fake before the packages above it are touched.
    """

    def __init__(
        self,
        placed: dict[str, object],
        origins: Origins,
        real: Callable[[str], ModuleType],
        ask_real: Callable[[str, str], object],
        beforehand: Callable[[str], object],
    ) -> None:
        self._placed = placed
        self._origins = origins
        self._real = real
        self._ask_real = ask_real
        self._beforehand = beforehand
        self._placements: list[Placement] = []

    def begin(self) -> Callable[[], None]:
        """Answer for fakes that are reloaded, and for the submodules of autospecs.

        Returns:
            The undo.
        """
        FINDER.fakers.append(self._spec_of)

        def undo() -> None:
            FINDER.fakers.remove(self._spec_of)
            for name in self._placed:
                forget_source(name)

        return undo

    def prepare(self, fakes: Mapping[str, object]) -> None:
        """Look for the real modules of autospecs, as long as they are not hidden.

        Raises:
            ImportError: one cannot be imported.
        """
        for name, value in fakes.items():
            if Fake.of(value).autospec:
                self._real(name)

    def put_in_place(
        self, fakes: Mapping[str, object], real: Mapping[str, object], site: Importer | None
    ) -> None:
        """Enter fakes, with the packages above them, and fill them.

        Args:
            fakes: what they are made of, by name.
            real: the loaded modules whose place they take.
            site: who asked for it.
        """
        recipes = {name: Fake.of(fakes[name]) for name in sorted(fakes, key=depth)}
        for name, recipe in recipes.items():
            is_package = any(other.startswith(f"{name}.") for other in recipes)
            put_in(name, self._make(name, recipe, site, is_package=is_package))
            self._placed[name] = sys.modules[name]
        for name in recipes:
            self._bind_to_parent(name, site)
        for name, recipe in recipes.items():
            if not recipe.is_object:
                _fill(self._placed[name])
        self._placements.append(Placement(tuple(recipes), site, real))

    def unmet(self, asked: Mapping[str, str]) -> Iterator[Unmet]:
        """Yield the fakes that only tests asked for, of modules that something under test still holds.

        Args:
            asked: for each module that asked for something faked or blocked, what that was.
        """
        placed = Patterns(tuple(self._placed))
        # By the namespace: multiprocessing gives __main__ a second name.
        sites = {
            id(namespace(sys.modules.get(placement.site.module)))
            for placement in self._placements
            if placement.site is not None
        }
        tested = {
            name: module
            for name, module in self._origins.first_party(sys.modules.copy()).items()
            # What pytest's assertion rewriting leaves shows a test module.
            if type(name) is str and id(namespace(module)) not in sites and not is_rewritten(module)
        }
        if any(placed.match(wanted) and asker in tested for asker, wanted in asked.items()):
            return
        for placement in self._placements:
            replaced = NewModules({n: m for n, m in placement.real.items() if is_real(self._origins, n, m)})
            for holder, module in tested.items():
                if replaced.modules and not any(
                    name in (holder, *ancestors(holder)) for name in replaced.modules
                ):
                    for name, key in replaced.references(namespace(module) or {}):
                        if f"{holder}.{key}" != name:
                            yield Unmet(name, placement.site, holder, key)
                            break

    def _make(self, name: str, recipe: Fake, site: Importer | None, *, is_package: bool) -> object:
        if recipe.is_object:
            give_spec(name, recipe.content)
            return recipe.content
        loader = FakeLoader(name, recipe, site, self._real, self._ask_real)
        return make_module(name, loader, is_package=is_package or loader.is_package(name))

    def _bind_to_parent(self, name: str, site: Importer | None) -> None:
        parent, child = parent_of(name)
        if not parent:
            return
        if parent not in sys.modules:
            try:
                importlib.import_module(parent)
            except Exception:  # whatever is wrong with the real package, it cannot be the parent
                put_in(parent, self._make(parent, Fake(), site, is_package=True))
                _fill(sys.modules[parent])
                self._bind_to_parent(parent, site)
        self._beforehand(name)
        open_for_submodules(sys.modules.get(parent))
        bind(namespace(sys.modules.get(parent)), child, sys.modules.get(name))

    def _spec_of(self, name: str) -> ModuleSpec | None:
        # A package that was made above a fake is not placed, and can be reloaded all the same.
        loader = loader_of(self._placed.get(name, sys.modules.get(name)))
        if loader is None:
            above = loader_of(sys.modules.get(parent_of(name)[0]))
            loader = above.child(name) if above is not None else None
        return None if loader is None else make_spec(name, loader, is_package=loader.is_package(name))


def is_real(origins: Origins, name: str, module: object) -> bool:
    """Tell whether what stands under a name is a module and no fake."""
    # isinstance() would ask the object for its __class__.
    is_module = issubclass(type(module), ModuleType)
    return is_module and origins.verdict(name, module).origin is not Origin.FAKE


def _fill(module: object) -> None:
    loader = loader_of(module)
    if loader is not None:
        loader.exec_module(module)  # type: ignore[arg-type]
