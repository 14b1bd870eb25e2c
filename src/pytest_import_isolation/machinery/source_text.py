"""What the texts of source files say."""

from __future__ import annotations

import codecs
import os
import re

# By these names, which a test leaves alone that fakes the file system, or forbids to wait for it.
from os import close as _close
from os import open as _open
from os import read as _read
from typing import Final

from pytest_import_isolation.machinery.modules import loaded_namespace
from pytest_import_isolation.machinery.regexes import regex

_DECLARATION: Final = regex(rb"[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
#: The encodings for which the interpreter needs no module.
_BUILT_IN: Final = ("utf-8", "utf8", "utf_8", "ascii", "us-ascii", "latin-1", "latin1", "iso-8859-1")
_FLAGS: Final = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_SIZE_OF_A_READ: Final = 1 << 20
_SIZE_OF_THE_REST: Final = 1 << 16


def bytes_of(path: str | os.PathLike[str]) -> bytes:
    """Return what a file holds, as :meth:`pathlib.Path.read_bytes` does, even while a test has patched that.

    Raises:
        OSError: if it cannot be read.
        ValueError: if this can be no path.
    """
    descriptor = _open(path, _FLAGS)
    try:
        found = _read(descriptor, _SIZE_OF_A_READ)
        # Nearly always that was all: a large buffer for nothing takes longer than to read most files.
        return b"".join((found, *iter(lambda: _read(descriptor, _SIZE_OF_THE_REST), b"")))
    finally:
        _close(descriptor)


def text_of(path: str | os.PathLike[str]) -> str:
    """Return the text of a source file, nothing if it cannot be read."""
    try:
        source = bytes_of(path)
    except (OSError, ValueError):
        return ""
    encoding = _encoding_of(source)
    try:
        text = source.decode(encoding) if encoding else ""
    except (ValueError, LookupError):
        return ""
    # To look for one byte takes a tenth of the time of looking for a text.
    return text.replace("\r\n", "\n").replace("\r", "\n") if b"\r" in source else text


def _encoding_of(source: bytes) -> str | None:
    """Return the encoding that a source declares; None if there is none of that name.

    Latin 1 stands for one by which nobody has decoded anything yet: to look an encoding up imports it, and
    what cannot be imported at that moment is unknown for ever.
    """
    if source.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    lines = [line for line in source.split(b"\n", 2)[:2] if b"coding" in line]
    declared = next(filter(None, map(_DECLARATION.match, lines)), None) if lines else None
    if declared is None:
        return "utf-8"
    name = declared[1].decode("ascii", "replace").lower()
    if name in _BUILT_IN:
        return name
    spelled = name.replace("-", "_")
    known = loaded_namespace("encodings").get("_cache")
    if type(known) is dict and (known.get(name) or known.get(spelled)) is not None:
        return name
    home = loaded_namespace("encodings.aliases").get("aliases", {}).get(spelled, spelled)
    folder = os.path.dirname(str(loaded_namespace("encodings").get("__file__")))
    return "latin-1" if _is_there(os.path.join(folder, f"{home}.py")) else None


def _is_there(path: str) -> bool:
    try:
        _close(_open(path, _FLAGS))
    except (OSError, ValueError):
        return False
    return True


def imports_name(source: str, name: str) -> bool:
    """Tell whether a text has an import statement for a name of the top level, or the name as a text."""
    if name not in source:
        return False
    word = re.escape(name)
    statement = rf"\b(?:from\s+|import\s+(?:[\w. \t]+,)*[ \t]*){word}\b"
    return re.search(rf"{statement}|[\"']{word}[.:\"']", source) is not None
