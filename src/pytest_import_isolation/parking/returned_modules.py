"""What came back from the parking lot since a window was opened, and may leave again as it came."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pytest_import_isolation.machinery.modules import namespace
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.parking.lot import ParkingLot
from pytest_import_isolation.state.references import NewModules, changed_values


class Image(NamedTuple):
    """A copy of a module's namespace."""

    space: dict[str, Any]
    #: Two lists are compared at a third of the cost of their items one by one.
    values: list[object]

    def is_of(self, space: Mapping[str, object]) -> bool:
        """Tell whether a namespace looks the same; a value that claims to equal another is believed."""
        try:
            return [*space.values()] == self.values
        except Exception:  # what is true of two arrays is no bool, and any __eq__ may raise
            return False


class ReturnedModules:
    """The parked modules that came back in a window.

    A test that imports pandas brings a thousand modules back, and each test of a file may. So they are not
    judged one by one each time: what was parked before is parked again, unless something speaks against it.

    Args:
        lot: where they come from.
        survivors: returns the modules whose references are a reason to keep what came back.
        images: what those held when somebody looked last, kept as long as the same modules are loaded.
    """

    def __init__(
        self,
        lot: ParkingLot,
        survivors: Callable[[], Mapping[Any, object]],
        images: Callable[[], dict[Any, Image]],
    ) -> None:
        self._lot = lot
        self._survivors = survivors
        self._images = images
        self._since = lot.clock
        #: The names that came back, whatever is loaded under them now.
        self.names: set[str] = set()
        #: The names of modules that came from another world, which has them still.
        self.lent: set[str] = set()
        #: What survivors held before the first of them came back. They may refer to it since an earlier
        #: window (or since before ``unloaded=``), and only a reference that is new is a reason to keep it.
        self.before: dict[Any, dict[str, Any]] = {}

    @property
    def is_out_of_date(self) -> bool:
        """Whether something came back, or was parked, since the window was opened."""
        return bool(self.names) or self._lot.clock != self._since

    def begin(self, name: str) -> None:
        """Take note that a parked module, with its package, is about to come back."""
        self._remember()
        self.names.update(self._lot.companions(name))

    def begin_lent(self, names: Iterable[str]) -> None:
        """Take note of modules that another world lends."""
        self._remember()
        self.lent.update(names)

    def _remember(self) -> None:
        if self.names or self.lent:
            return
        images = self._images()
        for survivor, module in self._survivors().items():
            space = namespace(module) or {}
            image = images.get(survivor)
            if image is None or not image.is_of(space):
                image = images[survivor] = Image(space.copy(), [*space.values()])
            self.before[survivor] = image.space

    def among(self, modules: Mapping[Any, object]) -> dict[str, object]:
        """Return those modules that were parked when the window was opened."""
        was_parked = self._lot.was_parked
        return {name: module for name, module in modules.items() if was_parked(name, module, self._since)}

    def is_referred_to(self, modules: Mapping[str, object], disregarded: set[int]) -> bool:
        """Tell whether a survivor refers to one of the modules, or to something of it, since they came back.

        Args:
            modules: what came back.
            disregarded: identities of namespaces whose references do not count.
        """
        images = self._images()
        new_modules: NewModules | None = None
        for survivor, module in self._survivors().items():
            space = namespace(module) or {}
            image = images.get(survivor)
            if image is not None and image.space is self.before.get(survivor) and image.is_of(space):
                continue
            images.pop(survivor, None)  # nothing that it holds no more shall be kept alive
            changed = changed_values(self.before.get(survivor, {}), space)
            if changed and id(space) not in disregarded:
                new_modules = new_modules or NewModules(modules)
                if any(f"{survivor}.{key}" != home for home, key in new_modules.references(changed)):
                    return True
        return False
