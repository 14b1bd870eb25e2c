"""The platform that this Python runs on, and the names under which this package shows up there."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from typing import Any, Final

#: The name under which this package uses ``sys.monitoring``.
TOOL: Final = "pytest-import-isolation"

IsOver = Callable[[], bool]
#: Tells whether Python is about to end. A callback has it as an argument's default, which lasts longer than
#: what its module holds.
is_finalizing: Final = sys.is_finalizing


def has_processes() -> bool:
    """Tell whether this platform can start another interpreter."""
    return sys.platform not in ("emscripten", "ios", "tvos", "wasi", "watchos")


def has_fork() -> bool:
    """Tell whether a process can go on as two here. On macOS, what the system itself loads forbids it."""
    return hasattr(os, "fork") and sys.platform != "darwin" and has_processes()


def fork() -> int:
    """Fork; the threads of this process are not in the child, which the documentation says."""
    if sys.version_info < (3, 12):  # these warn of nothing
        return os.fork()
    if sys.version_info >= (3, 14):  # the filters in force may be in another place
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return os.fork()
    # All that is written here is written in the child too, and so copied: one entry in place of a new list.
    filters: Any = warnings.filters
    filters.insert(0, _NO_DEPRECATION)
    try:
        return os.fork()
    finally:
        for place, one in enumerate(filters):
            if one is _NO_DEPRECATION:  # Python has an equal one among those that it starts with
                del filters[place]
                break


#: A filter as :func:`warnings.simplefilter` makes it.
_NO_DEPRECATION: Final = ("ignore", None, DeprecationWarning, None, 0)
