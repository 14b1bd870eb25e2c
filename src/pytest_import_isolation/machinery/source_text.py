"""What the texts of source files say."""

from __future__ import annotations

import re
from importlib.util import decode_source
from pathlib import Path


def text_of(path: Path) -> str:
    """Return the text of a source file, nothing if it cannot be read."""
    try:
        source = path.read_bytes()
    except (OSError, ValueError):
        return ""
    try:
        return decode_source(source)  # by the encoding that it declares
    except (ValueError, SyntaxError):
        return ""
    except Exception:  # it imports tokenize, and a test may have left no way to import
        return source.decode("utf-8", "replace")


def imports_name(source: str, name: str) -> bool:
    """Tell whether a text has an import statement for a name of the top level, or the name as a text."""
    word = re.escape(name)
    return re.search(rf"\b(?:import|from)\s+{word}\b|[\"']{word}[.\"']", source) is not None
