"""Bytes of this process, read at the speed of C and without running any code of an object."""

from __future__ import annotations

import sys
from collections.abc import Callable
from io import BytesIO
from typing import Any, Final

#: Gives bytes for a slice from 0 on. It keeps nothing alive.
Memory = Any


def _memory_reader() -> Callable[[int], Memory] | None:
    """Return what :data:`memory_at` is."""
    if sys.implementation.name != "cpython":
        return None
    try:
        import _ctypes  # and not ctypes, which loads more, and which somebody may want to see absent

        byte = type("Byte", (_ctypes._SimpleCData,), {"_type_": "c"})
        pointer: Any = type("Pointer", (_ctypes._Pointer,), {"_type_": byte})
        size = tuple.__itemsize__

        def memory_at(address: int) -> Memory:
            # The address is written into the pointer's own buffer: `from_address()` asks audit hooks, and
            # from 3.15 on a union of a number and a pointer loads ctypes. One for each place: threads must
            # not write their addresses over each other's.
            memory = pointer()
            BytesIO(address.to_bytes(size, sys.byteorder)).readinto(memory)
            return memory

        # Whoever is known to lie there: the pointer to its type stands at the same place in every object.
        probe = memory_at(id(sys) + size)[:size]
        is_known = probe == id(type(sys)).to_bytes(size, sys.byteorder)
    except Exception:  # Python was built without it, or it cannot be loaded in this interpreter
        return None
    return memory_at if is_known else None


#: Returns the memory that begins at an address; None if this interpreter does not let it be read.
memory_at: Final[Callable[[int], Memory] | None] = _memory_reader()
