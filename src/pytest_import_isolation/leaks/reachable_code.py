"""The code that functions can call while they run, themselves or through what they call, by names alone.

Nothing is executed. What a call stands for is taken from namespaces, so some calls are not followed, and a
branch that was not taken counts too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, ModuleType
from typing import Any, Final

from pytest_import_isolation.leaks.failed_statements import attribute_of, value_of
from pytest_import_isolation.machinery.frames import CO_OPTIMIZED
from pytest_import_isolation.machinery.functions import function_in
from pytest_import_isolation.machinery.import_bytecode import names_read
from pytest_import_isolation.machinery.modules import ABSENT, class_home, namespace
from pytest_import_isolation.machinery.named_tuples import NamedTuple

_MOST_CODE: Final = 300
_MOST_VALUES: Final = 500
#: Code that runs where it stands, and is a code object of its own before Python 3.12 (the last one: always).
_COMPREHENSIONS: Final = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")
#: Types whose attributes lead to no code of the users', by their identities.
_WITHOUT_ATTRIBUTES: Final = frozenset(
    map(
        id,
        (FunctionType, BuiltinFunctionType, type(None), bool, int, float, str, bytes, tuple, list, dict, set),
    )
)


class ReachedCode(NamedTuple):
    """Code, and where its names are looked up."""

    code: CodeType
    space: Mapping[str, Any]
    frame: FrameType | None = None
    #: What calls it; None where it began.
    caller: ReachedCode | None = None

    @property
    def is_top_level(self) -> bool:
        """Whether it is the body of a module that was running, or of a class in that."""
        frame = self.frame
        return frame is not None and _is_body(frame.f_code) and not self.code.co_flags & CO_OPTIMIZED

    def parts(self) -> Iterator[ReachedCode]:
        """Yield the code inside of it; what a module defines has not run for that."""
        is_top_level = self.is_top_level
        for part in self.code.co_consts:
            if type(part) is CodeType and (
                not is_top_level or not part.co_flags & CO_OPTIMIZED or part.co_name in _COMPREHENSIONS
            ):
                yield ReachedCode(part, self.space, self.frame, self.caller)

    def value(self, name: str) -> object:
        """Return what a name stands for, or ABSENT."""
        return self.space.get(name, ABSENT) if self.frame is None else value_of(name, self.frame)

    def values(self) -> Iterator[object]:
        """Yield what its names stand for, and what they do as attributes of that."""
        code = self.code
        local = () if self.frame is None else (*code.co_varnames, *code.co_freevars)
        names = [*names_read(code)] if self.is_top_level else (*code.co_names, *local)
        found = {id(value): value for name in names if (value := self.value(name)) is not ABSENT}
        waiting = [*found.values()]
        for value in waiting:  # it grows: package.module.function, test.shop.total
            yield value
            if id(type(value)) not in _WITHOUT_ATTRIBUTES and len(waiting) < _MOST_VALUES:
                new = {id(one): one for one in self._attributes_of(value) if id(one) not in found}
                found.update(new)
                waiting += new.values()

    def _attributes_of(self, value: object) -> Iterator[object]:
        called = ("__init__", "__call__") if issubclass(type(value), type) else ()
        found = (attribute_of(value, name) for name in (*self.code.co_names, *called))
        return (attribute for attribute in found if attribute is not ABSENT)


def _is_body(code: CodeType) -> bool:
    return code.co_name == "<module>"


def reachable_code(
    functions: Iterable[object],
    frames: Iterable[FrameType],
    is_user_code: Callable[[str], bool],
    *,
    with_bodies: bool = False,
) -> Iterator[ReachedCode]:
    """Yield the code of functions and frames and what that can call, the nearest first, each once.

    Args:
        functions: where to begin; what is no function of Python is passed over.
        frames: code that was running, with the values that it had.
        is_user_code: tells whether a file is the users' own; other code is not followed.
        with_bodies: whether the top level of a file counts, as far as it reads names.
    """
    waiting = [ReachedCode(frame.f_code, frame.f_globals, frame) for frame in frames]
    waiting += (ReachedCode(f.__code__, f.__globals__) for f in filter(None, map(function_in, functions)))
    seen: set[int] = set()
    for one in waiting:  # it grows
        if len(seen) >= _MOST_CODE:
            return
        # A user's own mapping may be what names are looked up in.
        if id(one.code) in seen or type(one.space) is not dict or not is_user_code(one.code.co_filename):
            continue
        seen.add(id(one.code))
        if with_bodies or not _is_body(one.code):
            yield one
            waiting += one.parts()
            called = filter(None, map(function_in, one.values()))
            waiting += (ReachedCode(f.__code__, f.__globals__, None, one) for f in called)


class Use(NamedTuple):
    """Some code, and what it uses."""

    #: The nearer the code is, the smaller.
    number: int
    code: ReachedCode
    value: object = ABSENT

    def reads(self, names: frozenset[str]) -> bool:
        """Tell whether the code says one of some names."""
        return not names.isdisjoint(self.code.code.co_names)


class Reach:
    """Finds the code that uses something, among that which functions and frames can call.

    Args:
        functions: where to begin; see :func:`reachable_code`.
        frames: code that was running.
        is_user_code: tells whether a file is the users' own.
    """

    def __init__(
        self, functions: Iterable[object], frames: Iterable[FrameType], is_user_code: Callable[[str], bool]
    ) -> None:
        # By identity, the nearest use of each value, and of each class of which one is an instance.
        self._by_value: dict[int, Use] = {}
        # By the identities of modules' namespaces, the code that is in them, or uses the module; by the names
        # of modules, what uses classes of theirs.
        self._by_module: dict[int | str, list[Use]] = {}
        reached = reachable_code(functions, frames, is_user_code, with_bodies=True)
        for number, code in enumerate(reached):
            self._by_module.setdefault(id(code.space), []).append(Use(number, code))
            for value in code.values():
                self._note(value, Use(number, code, value))

    def _note(self, value: Any, use: Use) -> None:
        kind = type(value)
        self._by_value.setdefault(id(value), use)
        self._by_value.setdefault(id(kind), use._replace(value=kind))
        if issubclass(kind, type):
            self._by_module.setdefault(class_home(value), []).append(use)
        elif issubclass(kind, ModuleType):
            self._by_module.setdefault(id(namespace(value)), []).append(use)

    def uses_among(self, identities: Set[int]) -> Iterator[Use]:
        """Yield the nearest uses of values, and of instances of classes, given by their identities."""
        return (self._by_value[identity] for identity in identities & self._by_value.keys())

    def reads_of(self, module: str) -> list[Use]:
        """Return the code of a module, and what uses the module or a class of it."""
        space = namespace(sys.modules.get(module))
        return [*self._by_module.get(id(space), ()), *self._by_module.get(module, ())]
