"""What a window undid and what it kept, as strings: a report must not keep modules alive."""

from __future__ import annotations

from typing import Final

from pytest_import_isolation.machinery.named_tuples import NamedTuple

FORGOTTEN: Final = "forgotten"
PARKED: Final = "parked"
KEPT: Final = "kept"
PUT_BACK: Final = "put back"


class ModuleChange(NamedTuple):
    """What happened to one entry of ``sys.modules``."""

    name: str
    #: What the entry was when the window opened, and what it was when the window closed, in words.
    before: str
    after: str
    #: ``"forgotten"``, ``"parked"`` or ``"kept"`` for a module that was loaded in the window; ``"put back"``
    #: for one that was removed or replaced in it.
    outcome: str
    reason: str


class ItemChange(NamedTuple):
    """What happened to an entry of ``sys.path``, ``sys.meta_path`` or ``sys.path_hooks``."""

    #: ``"path"``, ``"meta_path"`` or ``"path_hooks"``.
    where: str
    item: str
    #: ``"added"``, ``"removed"`` or ``"moved"`` in the window.
    change: str
    #: ``"undone"``, ``"parked"`` (it returns with its package) or ``"kept"``.
    outcome: str


class Changes(NamedTuple):
    """What a window undid, and what it kept and why. Empty (and false) if nothing had changed."""

    modules: tuple[ModuleChange, ...] = ()
    items: tuple[ItemChange, ...] = ()
    #: Attributes of packages that were put back, as ``"package.submodule"``.
    attributes: tuple[str, ...] = ()
    #: Containers and functions that had been another object, such as ``"sys.modules"``, and settings that
    #: had been other ones, such as ``"sys.get_lazy_imports()"``.
    rebound: tuple[str, ...] = ()
    #: What test code had done to the contents of modules: ``"shop.RATE: assigned"``, ``"shop: reloaded"``.
    contents: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any(self)

    def _of(self, outcome: str) -> dict[str, str]:
        return {change.name: change.reason for change in self.modules if change.outcome == outcome}

    @property
    def forgotten(self) -> dict[str, str]:
        """Modules that will be executed anew on their next import, with the reason."""
        return self._of(FORGOTTEN)

    @property
    def parked(self) -> dict[str, str]:
        """Modules that come back as the same object on their next import, with the reason."""
        return self._of(PARKED)

    @property
    def kept(self) -> dict[str, str]:
        """Modules that stay loaded, with the reason."""
        return self._of(KEPT)

    @property
    def put_back(self) -> dict[str, str]:
        """Modules that had been removed or replaced, with what stood in their place."""
        return self._of(PUT_BACK)

    def __str__(self) -> str:
        lines = [f"{c.outcome} {c.name}: {c.reason}" for c in self.modules]
        lines += [f"{c.outcome}: {c.item!r} {c.change} in sys.{c.where}" for c in self.items]
        lines += [f"put back the attribute {name}" for name in self.attributes]
        lines += [
            f"put back {name}, which {'gave something else' if name.endswith('()') else 'was another object'}"
            for name in self.rebound
        ]
        lines += [f"restored {what}" for what in self.contents]
        return "\n".join(lines) or "nothing changed"


#: What a window gives in which nothing had changed.
NO_CHANGES: Final = Changes()
