"""Pieces of memory that lie anywhere in this process, read in one call.

A buffer of pointers to its items leads to them, as `PEP 3118 <https://peps.python.org/pep-3118/>`_ has it for
images (``suboffsets``). To join as many objects, each of which reads one piece, takes four times as long.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, Final

from pytest_import_isolation.machinery.named_tuples import NamedTuple

#: The size of a word, in bytes.
WORD: Final = 8
_CDECL, _PYTHON_API = 1, 4


def packed(numbers: Iterable[int]) -> bytes:
    """Return numbers as they stand in memory, each in a word."""
    return b"".join(number.to_bytes(WORD, sys.byteorder) for number in numbers)


def _place_of(data: bytes) -> int:
    return id(data) + bytes.__basicsize__ - 1  # what counts as its size has the zero behind it


class _Machine(NamedTuple):
    """What the interpreter has for it."""

    #: Makes a view of a ``Py_buffer``, given its bytes.
    make_view: Callable[[bytes], memoryview]
    #: Returns where an object of :mod:`ctypes` has its memory.
    address_of: Callable[[Any], int]


def _find_machine() -> _Machine | None:
    if sys.implementation.name != "cpython" or tuple.__itemsize__ != WORD:
        return None
    try:
        import _ctypes  # and not ctypes, which loads more, and which somebody may want to see absent

        foreign: Any = _ctypes
        handle = getattr(sys, "dllhandle", None) or foreign.dlopen(None, 0)
        library = SimpleNamespace(_handle=handle)  # as ctypes.pythonapi has it
        address, result = (type(letter, (foreign._SimpleCData,), {"_type_": letter}) for letter in "PO")
        contents = {"_flags_": _CDECL | _PYTHON_API, "_restype_": result}
        function = type("Function", (foreign.CFuncPtr,), contents)(("PyMemoryView_FromBuffer", library))
        return _Machine(lambda buffer: function(address(_place_of(buffer))), foreign.addressof)
    except Exception:  # it cannot be loaded in this interpreter, or an audit hook forbids it
        return None


_machine: Final = _find_machine()


def address_of(cell: Any) -> int:
    """Return where an object of :mod:`ctypes` has its memory."""
    if _machine is None:
        raise TypeError("the memory of this interpreter cannot be read")
    return _machine.address_of(cell)


class Pieces:
    """Some pieces of memory.

    Args:
        addresses: where they lie, see :func:`packed`. All have to be there whenever they are read.
        size: that of each, in bytes.

    Raises:
        TypeError: this interpreter does not let them be read.
    """

    __slots__ = ("_held", "addresses", "read")

    def __init__(self, addresses: bytes, size: int) -> None:
        if _machine is None:
            raise TypeError("the memory of this interpreter cannot be read")
        #: Where they lie.
        self.addresses = addresses
        number = len(addresses) // WORD
        # How many there are, how far apart their pointers lie, and how far the pieces from where these point;
        # and what each is: so many bytes.
        shape, strides, suboffsets = packed((number,)), packed((WORD,)), packed((0,))
        kind = b"%ds" % size
        dimensions = is_readonly = (1).to_bytes(4, sys.byteorder)
        sizes = packed((_place_of(addresses), 0, number * size, size)) + is_readonly + dimensions
        buffer = sizes + packed((*map(_place_of, (kind, shape, strides, suboffsets)), 0))
        # The view has pointers into these.
        self._held = kind, shape, strides, suboffsets, buffer
        #: Returns what they hold now, joined.
        self.read: Callable[[], bytes] = _machine.make_view(buffer).tobytes if number else bytes


class GatheredWords:
    """The first words of some objects of :mod:`ctypes`.

    Args:
        cells: the objects, which are not kept. Their memory has to be there whenever it is read.
        before: words to read before these.
    """

    __slots__ = ("_pieces", "read")

    def __init__(self, cells: Iterable[Any], before: GatheredWords | None = None) -> None:
        addresses = packed(map(address_of, cells))
        if before is not None:
            addresses = before._pieces.addresses + addresses
        self._pieces: Pieces = Pieces(addresses, WORD)
        #: Returns the words as they are now, joined.
        self.read: Callable[[], bytes] = self._pieces.read

    def extended(self, cells: Iterable[Any]) -> GatheredWords:
        """Return these words, and more behind them."""
        return GatheredWords(cells, self)


def _are_read() -> bool:
    """Try it with what is known to lie there: the pointers of objects to their types."""
    objects = sys, None, (), sys
    try:
        types = Pieces(packed(id(each) + WORD for each in objects), WORD)
        return types.read() == packed(id(type(each)) for each in objects)
    except Exception:  # as above; from Python 3.15 on hooks are asked about each call
        return False


#: Whether they can be read here.
ARE_READ: Final = _are_read()
