"""Other threads: whether there are any, and what they execute.

gevent and eventlet replace functions of ``threading`` and ``_thread`` by others that speak of greenlets, and
a test may empty ``threading._active``: only the interpreter itself knows the threads.
"""

from __future__ import annotations

import _thread
import sys
import threading
from collections.abc import Iterator

# By this name, which a test that patches os.listdir leaves alone.
from os import listdir
from types import BuiltinFunctionType, FrameType
from typing import Any, Final


def _sees_frames() -> bool:
    """Tell whether other threads stand still while their frames are read."""
    # Without the lock they go on to run, which can crash the interpreter.
    is_enabled: bool = getattr(sys, "_is_gil_enabled", lambda: True)()
    return is_enabled


def _count_frames() -> int:
    return len(sys._current_frames()) - 1 if _sees_frames() else threading.active_count() - 1


def _find_ident() -> int:
    """Return which of all threads executes this very frame."""
    frames = sys._current_frames()
    for ident in frames:
        if frames[ident] is sys._getframe():  # in no variable, or it would hold itself
            break
    frames.clear()
    return ident


def _is_builtin(function: object) -> bool:
    return type(function) is BuiltinFunctionType


#: Returns how many threads Python code has started that still run. In a process that was forked they may be
#: fewer.
count_threads: Final = _thread._count if _is_builtin(_thread._count) else _count_frames
#: Returns the identity of the running thread, also in a greenlet.
get_ident: Final = _thread.get_ident if _is_builtin(_thread.get_ident) else _find_ident
_MAIN: Final = threading.main_thread().ident if _is_builtin(threading.get_ident) else get_ident()


def runs_threads() -> bool:
    """Tell whether a thread beside this one still runs."""
    return count_threads() > 0 and _count_frames() > 0


def runs_native_threads() -> bool:
    """Tell whether a thread beside this one still runs, one that compiled code has started included.

    Where the system does not say that, only threads count that Python knows.
    """
    if runs_threads():
        return True
    try:
        return len(listdir("/proc/self/task")) > 1
    except OSError:
        return False


def is_main_thread() -> bool:
    """Tell whether this is the main thread, in one of its greenlets or not."""
    ident = get_ident()
    if ident == _MAIN or not _is_builtin(threading.get_ident):
        return ident == _MAIN
    return ident == threading.main_thread().ident  # a fork may have made another thread the main one


def frame_of_main_thread() -> FrameType | None:
    """Return what the main thread executes; None if this is the main thread, or if nobody can tell."""
    ident = threading.main_thread().ident
    return None if ident is None or is_main_thread() else frames_of_other_threads().get(ident)


def known_threads() -> dict[int, threading.Thread]:
    """Return the threads that ``threading`` knows, by their identities. None is made, no lock is taken."""
    active: Any = getattr(threading, "_active", None)
    return dict(active) if type(active) is dict else {}


def own_idents() -> frozenset[int]:
    """Return the numbers under which this thread may own a lock of importlib.

    importlib asks ``_thread`` each time, which may have begun to count greenlets since.
    """
    return frozenset((get_ident(), _thread.get_ident()))


def thread_name() -> str:
    """Return the name of this thread; nothing for the main one."""
    if is_main_thread():
        return ""
    thread = known_threads().get(get_ident())
    return f"thread {get_ident()}" if thread is None else thread.name


def pause(seconds: float) -> None:
    """Let other threads, or greenlets, run for a moment."""
    # A whole suite may replace time.sleep() by something that does not wait.
    lock = _thread.allocate_lock()
    lock.acquire()
    lock.acquire(True, seconds)


def namespaces_on_other_threads() -> dict[int, str]:
    """Return the identities of the global namespaces that other threads execute, with the thread's name."""
    names = {ident: thread.name for ident, thread in known_threads().items()}
    found: dict[int, str] = {}
    for ident, frame in stacks_of_other_threads():
        found.setdefault(id(frame.f_globals), names.get(ident, f"thread {ident}"))
    return found


def stacks_of_other_threads() -> Iterator[tuple[int, FrameType]]:
    """Yield every frame of every other thread, from the innermost outwards, with the thread's identity."""
    for ident, top in frames_of_other_threads().items():
        frame: FrameType | None = top
        while frame is not None:
            yield ident, frame
            frame = frame.f_back


def frames_of_other_threads() -> dict[int, FrameType]:
    """Return what every other thread executes now, by the thread's identity."""
    if not _sees_frames():
        return {}
    # A frame that holds itself in a variable is a cycle, which keeps the variables of all its callers
    # alive until the garbage collector runs: the modules that have just left among them.
    frames = sys._current_frames()
    frames.pop(get_ident(), None)
    return frames
