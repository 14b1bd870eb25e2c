"""The garbage collector of a forked process.

A collection writes to every object that it looks at, and so copies what the process shares with its parent.
So what was there before the fork is frozen, until somebody asks the collector for objects or for garbage:
without isolation these would be found.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping
from typing import Final

from pytest_import_isolation.machinery.frames import get_frame

_LOOKS: Final = frozenset(("gc.get_objects", "gc.get_referrers", "gc.get_referents"))
_OLDEST: Final = 2


class _SharedObjects:
    """What a process shares with its parent."""

    def __init__(self) -> None:
        self._is_watching = False

    def freeze(self) -> None:
        """Let the collector leave alone all that there is now, for as long as nobody looks."""
        if not self._is_watching:
            try:
                sys.addaudithook(self._thaw_for_a_look)
                gc.get_referents()  # a hook of the users forbids others, and nothing says so
            except Exception:  # or it forbids to look
                return
        if self._is_watching:
            if _thaw_for_a_collection not in gc.callbacks:
                gc.callbacks.append(_thaw_for_a_collection)
            gc.freeze()

    def _thaw_for_a_look(self, event: str, _arguments: object) -> None:
        if event in _LOOKS:
            self._is_watching = True
            gc.unfreeze()


def _thaw_for_a_collection(phase: str, info: Mapping[str, int]) -> None:
    """Let a full collection that a call asks for look at everything, and none that the interpreter begins.

    Which it is nobody says. The code that calls ``gc.collect()`` has that word among its names.
    """
    if phase == "start" and info["generation"] == _OLDEST:
        frame = get_frame(0).f_back  # C code may begin a collection in a thread that runs no Python
        if frame is not None and "collect" in frame.f_code.co_names:
            gc.unfreeze()


freeze_shared_objects: Final = _SharedObjects().freeze
