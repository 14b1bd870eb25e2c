"""The real modules that fakes and blocks were left in the place of: later changes are compared with them."""

from __future__ import annotations

import weakref
from contextlib import suppress
from typing import Any

from pytest_import_isolation.leaks.entries import is_real
from pytest_import_isolation.machinery.modules import ABSENT
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.state.single_changes import SingleChange


class Originals:
    """Remembers the modules that something was left in the place of, and keeps none of them alive.

    Args:
        origins: gives the verdicts on modules.
    """

    def __init__(self, origins: Origins) -> None:
        self._origins = origins
        self._by_key: dict[Any, weakref.ref[Any]] = {}

    def note(self, change: SingleChange) -> None:
        """Remember the module in the place of which somebody left a fake who answers for that elsewhere."""
        if change.what != "entry" or type(change.key) is not str:
            return
        if change.after is ABSENT:
            self._by_key.pop(change.key, None)
        elif not self._is_real(change.key, change.after):
            self.compared(change)

    def compared(self, change: SingleChange) -> SingleChange:
        """Return a change of an entry as it is for those who hold the original.

        A second copy that takes the place of a fake harms whoever holds the first copy, and so does a removal
        of the fake.

        Args:
            change: any change; it is remembered.
        """
        if change.what != "entry" or type(change.key) is not str:
            return change
        if change.before is ABSENT and change.key not in self._by_key:
            return change  # as nearly always
        original = self._by_key.get(change.key, lambda: None)()
        if original is not None and not self._is_real(change.key, change.before):
            if change.after is not ABSENT and not self._is_real(change.key, change.after):
                return change  # another fake
            del self._by_key[change.key]
            return change if change.after is original else change._replace(before=original)
        if self._is_real(change.key, change.before) and change.after is not ABSENT:
            if not self._is_real(change.key, change.after):
                with suppress(TypeError):  # a library's own stand-in, which can have no weak reference
                    self._by_key[change.key] = weakref.ref(change.before)
            else:
                self._by_key.pop(change.key, None)
        return change

    def _is_real(self, key: str, entry: object) -> bool:
        return entry is not ABSENT and entry is not None and is_real(key, entry, self._origins)
