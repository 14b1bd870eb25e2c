"""The fakes of a window: placement them, and noticing those that nobody met."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import NamedTuple

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
from pytest_import_isolation.machinery.modules import ancestors, namespace, parent_of
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
        origins: gives the verdicts on modules.
        known: yields what is known to have stood under a name before it was faked.
        load: imports a real module beside everything else.
        among_real: lets the real modules be there in place of the fakes.
        beforehand: is told the name of each fake before the packages above it are touched.
    """

    def __init__(
        self,
        origins: Origins,
        known: Callable[[str], Iterable[object]],
        load: Callable[[str], ModuleType],
        among_real: Callable[[], AbstractContextManager[object]],
        beforehand: Callable[[str], object],
    ) -> None:
        #: What stands in ``sys.modules`` for each fake.
        self.placed: dict[str, object] = {}
        self._origins = origins
        self._known = known
        self._load = load
        self._among_real = among_real
        self._beforehand = beforehand
        self._plantings: list[Placement] = []
        #: The real modules that were looked at.
        self.real: dict[str, object] = {}

    def begin(self) -> Callable[[], None]:
        """Answer for fakes that are reloaded, and for the submodules of autospecs.

        Returns:
            The undo.
        """
        FINDER.fakers.append(self._spec_of)

        def undo() -> None:
            FINDER.fakers.remove(self._spec_of)
            for name in self.placed:
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
            self.placed[name] = sys.modules[name]
        for name in recipes:
            self._bind_to_parent(name, site)
        for name, recipe in recipes.items():
            if not recipe.is_object:
                _fill(self.placed[name])
        self._plantings.append(Placement(tuple(recipes), site, real))

    def unmet(self, asked: Mapping[str, str]) -> Iterator[Unmet]:
        """Yield the fakes that only tests asked for, of modules that something under test still holds.

        Args:
            asked: for each module that asked for something faked or blocked, what that was.
        """
        placed = Patterns(tuple(self.placed))
        # By the namespace: multiprocessing gives __main__ a second name.
        sites = {
            id(namespace(sys.modules.get(placement.site.module)))
            for placement in self._plantings
            if placement.site is not None
        }
        tested = {
            name: module
            for name, module in self._origins.first_party(sys.modules.copy()).items()
            # What pytest's assertion rewriting leaves shows a test module.
            if type(name) is str
            and id(namespace(module)) not in sites
            and "@pytest_ar" not in (namespace(module) or {})
        }
        if any(placed.match(wanted) and asker in tested for asker, wanted in asked.items()):
            return
        for placement in self._plantings:
            replaced = NewModules({n: m for n, m in placement.real.items() if self._is_real(n, m)})
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
        loader = loader_of(self.placed.get(name, sys.modules.get(name)))
        if loader is None:
            above = loader_of(sys.modules.get(parent_of(name)[0]))
            loader = above.child(name) if above is not None else None
        return None if loader is None else make_spec(name, loader, is_package=loader.is_package(name))

    def remember(self, modules: Mapping[str, object]) -> None:
        """Note real modules that were loaded while another was looked at: they are not executed again."""
        for name, module in modules.items():
            if self._is_real(name, module):
                self.real.setdefault(name, module)

    def _real(self, name: str) -> ModuleType:
        """Return the real module that a fake stands for, and leave it as loaded as it was."""
        if name not in self.real:
            found = next((module for module in self._known(name) if self._is_real(name, module)), None)
            self.real[name] = self._load(name) if found is None else found
        return self.real[name]  # type: ignore[return-value]

    def _ask_real(self, name: str, attribute: str) -> object:
        """Return an attribute of the real module that a fake stands for.

        Raises:
            AttributeError: it has none of this name.
        """
        real = self._real(name)
        space = namespace(real) or {}
        if attribute in space or (type(real) is ModuleType and "__getattr__" not in space):
            return getattr(real, attribute)
        with self._among_real():  # what it imports to answer is real too
            return getattr(real, attribute)

    def _is_real(self, name: str, module: object) -> bool:
        # isinstance() would ask the object for its __class__.
        is_module = issubclass(type(module), ModuleType)
        return is_module and self._origins.verdict(name, module).origin is not Origin.FAKE


def _fill(module: object) -> None:
    loader = loader_of(module)
    if loader is not None:
        loader.exec_module(module)  # type: ignore[arg-type]
