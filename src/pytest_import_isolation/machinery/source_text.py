"""What the texts of source files say."""

from __future__ import annotations

import re
from importlib.util import decode_source
from pathlib import Path


def text_of(path: Path) -> str:
    """Return the text of a source file, nothing if it cannot be read."""
    try:
        return decode_source(path.read_bytes())  # by the encoding that it declares
    except (OSError, ValueError, SyntaxError):
        return ""


def imports_name(source: str, name: str) -> bool:
    """Tell whether a text has an import statement for a name of the top level, or the name as a text."""
    word = re.escape(name)
    return re.search(rf"\b(?:import|from)\s+{word}\b|[\"']{word}[.\"']", source) is not None
