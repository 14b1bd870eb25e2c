"""Other threads: whether there are any, and what they execute."""

from __future__ import annotations

import _thread
import sys
import threading
from types import FrameType
from typing import Final

#: Returns how many threads Python code has started that still run.
count_threads: Final = _thread._count


def runs_threads() -> bool:
    """Tell whether Python code has started a thread that still runs."""
    return count_threads() > 0


def namespaces_on_other_threads() -> dict[int, str]:
    """Return the identities of the global namespaces that other threads execute, with the thread's name."""
    if threading.active_count() == 1:
        return {}
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    found: dict[int, str] = {}
    for ident, top in frames_of_other_threads().items():
        frame: FrameType | None = top
        while frame is not None:
            found.setdefault(id(frame.f_globals), names.get(ident, f"thread {ident}"))
            frame = frame.f_back
    return found


def frames_of_other_threads() -> dict[int, FrameType]:
    """Return what every other thread executes now, by the thread's identity."""
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return {}  # they go on to run while their frames are read, which can crash the interpreter
    # A frame that holds itself in a variable is a cycle, which keeps the variables of all its callers
    # alive until the garbage collector runs: the modules that have just left among them.
    frames = sys._current_frames()
    del frames[threading.get_ident()]
    return frames
