"""What extension modules asked for when executed, and may look up in ``sys.modules`` from then on."""

from __future__ import annotations

from types import FrameType

from pytest_import_isolation.machinery.frames import extension_asking


class LookedUp:
    """Remembers for each extension module what it asked for; it does so once in a process."""

    def __init__(self) -> None:
        self._by: dict[str, set[str]] = {}

    def note(self, name: str, loading: FrameType) -> None:
        """Take note of an import, if it is an extension module that asks.

        Args:
            name: the module that is asked for.
            loading: the frame in which importlib loads it.
        """
        extension = extension_asking(loading)
        if extension is not None:
            self._by.setdefault(extension, set()).add(name)

    def by(self, extension: str) -> list[str]:
        """Return what an extension module asked for; nothing for any other module."""
        return [*self._by.get(extension, ())]
