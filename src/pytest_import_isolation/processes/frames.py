"""Values on their way from one process to another: a length, and what :mod:`marshal` makes of them."""

from __future__ import annotations

import io
import marshal
import os
import pickle
import sys
from typing import Any, Final

_LENGTH: Final = 4
_SIZE_OF_A_READ: Final = 1 << 16
#: The version of marshal that looks for no object twice, which takes longer than to write it twice.
_VERSION: Final = 2
#: The key of a mapping that holds a pickled value.
_PICKLED: Final = "pytest-import-isolation: pickled"
_DEEPEST: Final = 100


def encode(value: object) -> bytes:
    """Return the bytes of a value.

    What :mod:`marshal` does not know is pickled, and what cannot be pickled becomes a text.

    Args:
        value: builtins as a rule.
    """
    plain: Any = value
    try:
        body = marshal.dumps(plain, _VERSION)
    except ValueError:
        body = marshal.dumps(_plain(plain, _DEEPEST), _VERSION)
    return len(body).to_bytes(_LENGTH, "big") + body


def _plain(value: Any, depth: int) -> Any:
    kind = type(value)
    if depth and (kind is list or kind is tuple):
        return kind([_plain(item, depth - 1) for item in value])
    if depth and kind is dict:
        return {_plain(key, depth - 1): _plain(item, depth - 1) for key, item in value.items()}
    try:
        marshal.dumps(value, _VERSION)
    except ValueError:
        return _pickled(value)
    return value


def _pickled(value: object) -> Any:
    try:
        return (_PICKLED, pickle.dumps(value), _text(value))
    except Exception:  # a class that cannot be pickled may raise anything
        return _text(value)


class _Unpickler(pickle.Unpickler):
    """Imports nothing: what the child alone has loaded must not be loaded here."""

    def find_class(self, module: str, name: str) -> Any:
        """Return something that is in a module that is loaded."""
        found: Any = sys.modules[module]
        for part in name.split("."):
            found = getattr(found, part)
        return found


def unpickled(data: bytes, otherwise: object = None) -> Any:
    """Return the object that was pickled.

    Args:
        data: what :func:`pickle.dumps` gave.
        otherwise: what to return if that cannot be done here.
    """
    try:
        return _Unpickler(io.BytesIO(data)).load()
    except Exception:  # it came from a module that the child alone has, for example
        return otherwise


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:
        return object.__repr__(value)


def _restored(value: Any) -> Any:
    kind = type(value)
    if kind is tuple and len(value) == 3 and value[0] == _PICKLED:  # noqa: PLR2004 - as it is written above
        return unpickled(value[1], value[2])
    if kind in (list, tuple):
        return kind([_restored(item) for item in value])
    if kind is dict:
        return {_restored(key): _restored(item) for key, item in value.items()}
    return value


def decode(body: bytes) -> Any:
    """Return the value whose bytes these are, without the length before them."""
    value = marshal.loads(body)
    return _restored(value) if _PICKLED.encode() in body else value


class Frames:
    """Puts frames together from the parts in which they are read."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def add(self, part: bytes) -> None:
        """Take what was read."""
        self._buffer += part

    def next(self) -> bytes | None:
        """Return the next whole frame, without its length, or None."""
        buffer = self._buffer
        if len(buffer) < _LENGTH:
            return None
        end = _LENGTH + int.from_bytes(buffer[:_LENGTH], "big")
        if len(buffer) < end:
            return None
        frame = bytes(buffer[_LENGTH:end])
        del buffer[:end]
        return frame


def read_some(descriptor: int) -> bytes:
    """Return the next bytes of a pipe, none at its end."""
    return os.read(descriptor, _SIZE_OF_A_READ)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all bytes, however little the pipe takes at once.

    Raises:
        OSError: nobody reads them.
    """
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def read_frame(descriptor: int) -> Any:
    """Return the value of the one frame that comes next, and read nothing behind it.

    Returns:
        The value, or None at the end of the pipe.
    """
    head = _read_exactly(descriptor, _LENGTH)
    if head is None:
        return None
    body = _read_exactly(descriptor, int.from_bytes(head, "big"))
    return None if body is None else decode(body)


def _read_exactly(descriptor: int, size: int) -> bytes | None:
    data = b""
    while len(data) < size:
        part = os.read(descriptor, size - len(data))
        if not part:
            return None
        data += part
    return data
