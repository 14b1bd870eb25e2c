"""Lazy imports (PEP 810): the names that wait for their first use, and the statements that made them.

Such a name stands in a module's namespace as an object that Python replaces at the first use. To read the
namespace shows the object; ``getattr()``, or a global variable that holds it, would resolve it.
"""

from __future__ import annotations

import gc
import sys
import types
from collections.abc import Iterator, Mapping
from types import CodeType, FrameType
from typing import Any, Final

from pytest_import_isolation.machinery.frames import Importer, calling_frame, get_frame
from pytest_import_isolation.machinery.import_bytecode import is_instruction, lazy_statements, name_used
from pytest_import_isolation.machinery.modules import namespace
from pytest_import_isolation.machinery.named_tuples import NamedTuple

#: The type of the names that wait; None before Python 3.15.
LAZY_TYPE: Final[Any] = getattr(types, "LazyImportType", None)


class LazyName(NamedTuple):
    """What a name waits for."""

    #: The absolute name of the module, and the name that is taken from it; empty for the module itself.
    module: str
    attribute: str
    #: The code that holds the statement.
    code: CodeType

    @property
    def target(self) -> str:
        """What it stands for: ``"package.module"``, or ``"package.module.attribute"``."""
        return f"{self.module}.{self.attribute}" if self.attribute else self.module

    def needs(self, name: str) -> bool:
        """Tell whether a module may be imported to resolve it."""
        return f"{self.target}.".startswith(f"{name}.")


def lazies_in(space: Mapping[str, object]) -> dict[str, object]:
    """Return the names of a namespace that wait, with the objects that stand for them."""
    if LAZY_TYPE is None:
        return {}
    return {key: value for key, value in list(space.items()) if type(value) is LAZY_TYPE}


def read_lazy(value: object) -> LazyName | None:
    """Return what a name waits for, without resolving it; None for any other object."""
    if LAZY_TYPE is None or type(value) is not LAZY_TYPE:
        return None
    # It shows these to the garbage collector, and to nobody else.
    parts = gc.get_referents(value)
    texts = [part for part in parts if type(part) is str]
    codes = [part for part in parts if type(part) is CodeType]
    if not texts or not codes:
        return None
    sources = [part for part in parts if type(part) is LAZY_TYPE]
    if sources:
        # 3.15: a name that is taken from what another lazy object stands for. `from a.b import c` names what
        # it takes there in a tuple; without one this is `import a.b as c`, which takes `b` from `a`.
        source = read_lazy(sources[0])
        takes = any(type(part) is tuple for part in gc.get_referents(sources[0]))
        return source and LazyName(source.module, texts[0] if takes else "", codes[0])
    # Before the release both texts stood in one object, whose repr tells which is which.
    if len(texts) > 1 and f"'{texts[1]}.{texts[0]}'" in repr(value):
        texts.reverse()
    return LazyName(texts[0], "".join(texts[1:2]), codes[0])


def statement_of(lazy: LazyName, space: Mapping[str, object]) -> Importer:
    """Return the statement that made a name wait.

    Args:
        lazy: the name.
        space: the namespace that it stands in.
    """
    package = space.get("__package__")
    for asked, line in lazy_statements(lazy.code, package if type(package) is str else ""):
        if asked.module == lazy.module and (
            lazy.attribute in asked.names or not (lazy.attribute or asked.names)
        ):
            return Importer(str(space.get("__name__")), lazy.code.co_filename, line or 0)
    return Importer(str(space.get("__name__")), lazy.code.co_filename, lazy.code.co_firstlineno)


def waiting_in(space: Mapping[str, object]) -> Iterator[tuple[LazyName, Importer]]:
    """Yield the names of a namespace that wait, with the statements that made them."""
    for value in lazies_in(space).values():
        lazy = read_lazy(value)
        if lazy is not None:
            yield lazy, statement_of(lazy, space)


def lazy_statement(name: str) -> Importer | None:
    """Return the lazy import statement that is being resolved by the import that is under way.

    Args:
        name: the module that is about to be imported.

    Returns:
        None for all other imports, and before Python 3.15.
    """
    if LAZY_TYPE is None:
        return None
    frame = calling_frame()
    if frame is None or is_instruction(frame.f_code, frame.f_lasti, "IMPORT_NAME") or _calls_importlib(frame):
        return None
    try:
        return next(
            (statement_of(lazy, space) for lazy, space in _used(frame, frame.f_lasti) if lazy.needs(name)),
            None,
        )
    except (IndexError, KeyError):  # a later Python compiles otherwise, and an import must not fail for that
        return None


def lazies_used(frame: FrameType, offset: int) -> Iterator[LazyName]:
    """Yield the names that wait and that an instruction of a frame may have tried to resolve."""
    return (lazy for lazy, _ in _used(frame, offset)) if LAZY_TYPE is not None else iter(())


def _used(frame: FrameType, offset: int) -> Iterator[tuple[LazyName, Mapping[str, Any]]]:
    """Yield the waiting names that an instruction may use, each with its namespace."""
    used = name_used(frame.f_code, offset)
    spaces: Iterator[dict[str, Any]] = iter([frame.f_globals])
    if used is None or not used.is_global:  # of whatever module
        spaces = (space for module in list(sys.modules.values()) if (space := namespace(module)) is not None)
    for space in spaces:
        values = lazies_in(space).values() if used is None else [space.get(used.name)]
        for value in values:
            lazy = read_lazy(value)
            if lazy is not None:
                yield lazy, space


def _calls_importlib(caller: FrameType) -> bool:
    """Tell whether the import is a call of ``importlib.import_module()`` or the like."""
    frame: FrameType | None = get_frame(1)
    while frame is not None and frame is not caller:
        if frame.f_globals.get("__name__") in ("importlib", "importlib.util"):
            return True
        frame = frame.f_back
    return False
