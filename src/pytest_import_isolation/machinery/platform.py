"""The platform that this Python runs on, and the names under which this package shows up there."""

from __future__ import annotations

import sys
from typing import Final

#: The name under which this package uses ``sys.monitoring``.
TOOL: Final = "pytest-import-isolation"


def has_processes() -> bool:
    """Tell whether this platform can start another interpreter."""
    return sys.platform not in ("emscripten", "ios", "tvos", "wasi", "watchos")
