"""What the compiled code of an import statement says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from opcode import EXTENDED_ARG, opmap
from types import CodeType, FrameType
from typing import Final

from pytest_import_isolation.machinery.named_tuples import NamedTuple

# From Python 3.15 on the two lowest bits of the argument say whether the statement is lazy, and whether it
# stands where none can be: in a function, a class or a try statement.
_FLAGS: Final = 2 if sys.version_info >= (3, 15) else 0
_LAZY: Final = 1 if _FLAGS else 0
_EAGER: Final = 2 if _FLAGS else 0
_SIZE: Final = 2  # bytes of an instruction
_IMPORT_NAME: Final = opmap["IMPORT_NAME"]
_IMPORT_FROM: Final = opmap["IMPORT_FROM"]
_HAS_ADAPTIVE: Final = hasattr(CodeType, "_co_code_adaptive")  # from Python 3.11 on
# Instructions that read a name, whether they read a global variable, and how many flags their argument has.
_READERS: Final = (
    ("LOAD_GLOBAL", True, int(sys.version_info >= (3, 11))),
    ("LOAD_NAME", True, 0),
    ("LOAD_ATTR", False, int(sys.version_info >= (3, 12))),
    ("IMPORT_FROM", False, 0),
)


class Asked(NamedTuple):
    """What an import statement asks for."""

    #: The absolute name of the module; empty for code that is no import statement.
    module: str
    #: The names that it takes from the module.
    names: tuple[str, ...] = ()


class Used(NamedTuple):
    """A name that an instruction reads."""

    name: str
    #: Whether it is a global variable, and no attribute of some object.
    is_global: bool


def is_instruction(code: CodeType, offset: int, name: str) -> bool:
    """Tell whether the instruction at an offset (``f_lasti``) is the one of that name."""
    return code.co_code[offset] == opmap.get(name)


def import_of(code: CodeType, offset: int) -> int | None:
    """Return where the statement imports that takes a name at an offset, or imports there itself."""
    # Nearly always there. co_code is made anew for each code object, and kept with it for ever.
    if _HAS_ADAPTIVE and code._co_code_adaptive[offset] == _IMPORT_NAME:  # type: ignore[attr-defined]
        return offset
    instructions = code.co_code
    found = instructions[offset]
    if found == _IMPORT_NAME:
        return offset
    if found != _IMPORT_FROM:
        return None
    return next(at for at in range(offset, -1, -_SIZE) if instructions[at] == _IMPORT_NAME)


def is_lazy_statement(code: CodeType, offset: int) -> bool:
    """Tell whether the instruction at an offset belongs to a lazy import."""
    at = import_of(code, offset) if _LAZY else None
    return at is not None and bool(code.co_code[at + 1] & _LAZY)


def names_asked_for(code: CodeType, offset: int, package: str = "") -> Asked:
    """Return the module that an import statement names, and the names that it takes from that.

    Args:
        code: the code that is running.
        offset: where it stands: at the instruction that imports (``f_lasti``).
        package: the package from which relative names count (``__package__``).

    Returns:
        ``("m", ("x", "y"))`` for ``from m import x, y``; no names for ``import m``; an empty module name for
        a function call.
    """
    instructions = code.co_code
    if instructions[offset] != _IMPORT_NAME:
        return Asked("")
    index, at = _argument(instructions, offset)
    # The names are a constant, which the instruction before has loaded, and the one before that the level.
    names, at = _constant(code, instructions, at - _SIZE)
    level, _ = _constant(code, instructions, at - _SIZE)
    above = package.rsplit(".", level - 1)[0] if type(level) is int and level else ""
    base = ".".join(filter(None, (above, code.co_names[index >> _FLAGS])))
    return Asked(base, names if type(names) is tuple else ())


def names_of_statement(frame: FrameType) -> tuple[str, ...]:
    """Return the absolute names that the import statement asks for at which a frame is; none for a call.

    Args:
        frame: any frame; what it calls may be on the way.

    Returns:
        ``("m", "m.x", "m.y")`` for ``from m import x, y``.
    """
    code, offset = frame.f_code, frame.f_lasti
    if offset < 0:
        return ()
    package = frame.f_globals.get("__package__")
    module, names = names_asked_for(code, offset, package if type(package) is str else "")
    return (module, *(f"{module}.{name}" for name in names)) if module else ()


def name_used(code: CodeType, offset: int) -> Used | None:
    """Return the global variable or the attribute that an instruction reads; None for a call, say."""
    instructions = code.co_code
    for name, is_global, flags in _READERS:
        if instructions[offset] == opmap.get(name):
            index, _ = _argument(instructions, offset)
            return Used(code.co_names[index >> flags], is_global)
    return None


def names_read(code: CodeType) -> Iterator[str]:
    """Yield the variables that the body of a module or class reads, without those of its functions."""
    used = (name_used(code, offset) for offset in range(0, len(code.co_code), _SIZE))
    yield from (one.name for one in used if one is not None and one.is_global)


def imports_in(code: CodeType, package: str) -> Iterator[Asked]:
    """Yield what the import statements of some code ask for, without those of functions that it makes.

    Args:
        code: the code.
        package: the package from which relative names count (``__package__``).
    """
    for offset in import_offsets(code):
        yield names_asked_for(code, offset, package)


def import_offsets(code: CodeType) -> Iterator[int]:
    """Yield where the instructions of some code are that import, without those of functions that it makes."""
    # At the speed of C: most instructions do something else.
    operations = code.co_code[::_SIZE]
    at = operations.find(_IMPORT_NAME)
    while at >= 0:
        yield at * _SIZE
        at = operations.find(_IMPORT_NAME, at + 1)


def lazy_statements(code: CodeType, package: str) -> Iterator[tuple[Asked, int | None]]:
    """Yield what those import statements of a module's body ask for that can be lazy, with their lines.

    Args:
        code: the module's code.
        package: the package from which relative names count (``__package__``).
    """
    instructions = code.co_code
    for begin, end, line in code.co_lines():
        for offset in range(begin, end, _SIZE):
            if instructions[offset] == _IMPORT_NAME and not instructions[offset + 1] & _EAGER:
                yield names_asked_for(code, offset, package), line


def _constant(code: CodeType, instructions: bytes, at: int) -> tuple[object, int]:
    """Return what an instruction loads, if that is a number or a constant, and where it begins."""
    argument, begin = _argument(instructions, at)
    if instructions[at] == opmap.get("LOAD_SMALL_INT"):
        return argument, begin
    # None is loaded by an instruction of its own from Python 3.15 on.
    return (code.co_consts[argument] if instructions[at] == opmap["LOAD_CONST"] else None), begin


def _argument(instructions: bytes, at: int) -> tuple[int, int]:
    """Return an instruction's argument, and where its prefixes begin: a large argument has some."""
    argument, shift = instructions[at + 1], 8
    while at >= _SIZE and instructions[at - _SIZE] == EXTENDED_ARG:
        at -= _SIZE
        argument |= instructions[at + 1] << shift
        shift += 8
    return argument, at
