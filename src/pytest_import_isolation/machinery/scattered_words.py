"""Words that lie anywhere in the memory of this process, read in one call.

A buffer of pointers to its items leads to them, as `PEP 3118 <https://peps.python.org/pep-3118/>`_ has it for
images (``suboffsets``). To join as many objects, each of which reads a word, takes four times as long.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, Final

from pytest_import_isolation.machinery.named_tuples import NamedTuple

_WORD: Final = 8
#: Of a buffer: items that are numbers of one word, by the letter that :mod:`struct` has for them.
_FORMAT: Final = b"Q"
_CDECL, _PYTHON_API = 1, 4


def _packed(numbers: Iterable[int]) -> bytes:
    """Return numbers as they stand in memory, each in a word."""
    return b"".join(number.to_bytes(_WORD, sys.byteorder) for number in numbers)


def _place_of(data: bytes) -> int:
    return id(data) + bytes.__basicsize__ - 1  # what counts as its size has the zero behind it


class _Machine(NamedTuple):
    """What the interpreter has for it."""

    #: Makes a view of a ``Py_buffer``, given its bytes.
    make_view: Callable[[bytes], memoryview]
    #: Returns where an object of :mod:`ctypes` has its memory.
    address_of: Callable[[Any], int]


def _find_machine() -> _Machine | None:
    if sys.implementation.name != "cpython" or tuple.__itemsize__ != _WORD:
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


class ScatteredWords:
    """Some words.

    Args:
        cells: objects of :mod:`ctypes`, whose first words are read. Their memory has to be there whenever
            that is done; they themselves are not kept.
        before: words to read before these.

    Raises:
        TypeError: this interpreter does not let them be read, or something else is among the cells.
    """

    __slots__ = ("_addresses", "_held", "read")

    def __init__(self, cells: Iterable[Any], before: ScatteredWords | None = None) -> None:
        if _machine is None:
            raise TypeError("the memory of this interpreter cannot be read")
        addresses = _packed(map(_machine.address_of, cells))
        if before is not None:
            addresses = before._addresses + addresses
        self._addresses: bytes = addresses
        number = len(addresses) // _WORD
        # How many there are, how far apart their pointers lie, and how far the words from where these point.
        shape, strides, suboffsets = _packed((number,)), _packed((_WORD,)), _packed((0,))
        dimensions = is_readonly = (1).to_bytes(4, sys.byteorder)
        sizes = _packed((_place_of(addresses), 0, len(addresses), _WORD)) + is_readonly + dimensions
        buffer = sizes + _packed((*map(_place_of, (_FORMAT, shape, strides, suboffsets)), 0))
        # The view has pointers into these.
        self._held = shape, strides, suboffsets, buffer
        #: Returns the words as they are now.
        self.read: Callable[[], bytes] = _machine.make_view(buffer).tobytes if number else bytes


def _are_read() -> bool:
    """Try it with what is known to lie there: the pointers of objects to their types."""
    objects = sys, None, (), sys
    try:
        import _ctypes

        word: Any = type("Word", (_ctypes._SimpleCData,), {"_type_": "Q"})
        cells = [word.from_address(id(each) + _WORD) for each in objects]
        words = ScatteredWords(cells[2:], ScatteredWords(cells[:2]))
        return words.read() == _packed(id(type(each)) for each in objects)
    except Exception:
        return False


#: Whether they can be read here.
ARE_READ: Final = _are_read()
