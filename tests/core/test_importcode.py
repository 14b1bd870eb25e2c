"""What the compiled code of import statements says."""

from __future__ import annotations

import sys
from opcode import opmap

import pytest

from pytest_import_isolation.machinery.import_bytecode import lazy_statements, names_asked_for


@pytest.mark.parametrize(
    ("statement", "module", "names"),
    [
        ("from m import p, q", "m", ("p", "q")),
        ("from .m import p", "top.app.m", ("p",)),
        ("from . import p", "top.app", ("p",)),
        ("from .. import p", "top", ("p",)),
        ("from ..m import p", "top.m", ("p",)),
        ("from m import *", "m", ("*",)),
        ("import m.n", "m.n", ()),
        ("import m.n as p", "m.n", ()),
    ],
)
@pytest.mark.parametrize("before", [0, 300])
def test_the_names_of_a_statement_are_read_from_its_code(
    statement: str, module: str, names: tuple[str, ...], before: int
) -> None:
    lines = [f"v{n} = {n + 1000.5}" for n in range(before)]
    code = compile("\n".join([*lines, statement]), "m.py", "exec")
    offset = _offset_of_import(code.co_code)
    assert names_asked_for(code, offset, "top.app") == (module, names)
    assert names_asked_for(code, 0, "top.app") == ("", ())


def _offset_of_import(instructions: bytes) -> int:
    return next(at for at in range(0, len(instructions), 2) if instructions[at] == opmap["IMPORT_NAME"])


def test_statements_that_cannot_be_lazy_are_left_out() -> None:
    source = "import a\n\nfrom .b import (\n    c,\n    d,\n)\ntry:\n    import e\nexcept ImportError: pass\nv = 1\n"
    found = list(lazy_statements(compile(source, "m.py", "exec"), "top"))
    expected = [(("a", ()), 1), (("top.b", ("c", "d")), 3), (("e", ()), 8)]
    # Before Python 3.15 no statement is lazy, and the code of all looks alike.
    assert found == expected[: 2 if sys.version_info >= (3, 15) else 3]
