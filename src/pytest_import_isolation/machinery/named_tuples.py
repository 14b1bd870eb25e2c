"""Named tuples that are made fast: more than fifty of them are made when a run starts.

:class:`typing.NamedTuple` compiles each annotation and evaluates source for each class, which was a quarter
of what loading this package costs. Here the source is evaluated once for each number of fields. The few
modules that a run without our options loads have typing's: that is loaded already.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

__all__ = ["NamedTuple"]

if TYPE_CHECKING:
    from typing import NamedTuple
else:
    # What a named tuple reads its fields with; the public name makes a whole class.
    from collections import _tuplegetter
    from types import FunctionType

    _GLOBALS = {"__builtins__": {}, "new": tuple.__new__}

    @cache
    def _code_of_new(number):
        fields = ", ".join(f"field{at}" for at in range(number))
        return eval(f"lambda cls, {fields}: new(cls, ({fields},))", _GLOBALS).__code__

    @cache
    def _getter(at):
        return _tuplegetter(at, None)  # without a name: one for all that have such a field

    class _Tuple(tuple):
        """What all named tuples have in common; as :func:`collections.namedtuple` has it."""

        __slots__ = ()

        @classmethod
        def _make(cls, values):
            return tuple.__new__(cls, values)

        def _replace(self, /, **changes):
            result = self._make(map(changes.pop, self._fields, self))
            if changes:
                raise ValueError(f"{type(self).__name__} has no fields {[*changes]!r}")
            return result

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        def __repr__(self):
            values = ", ".join(f"{name}={value!r}" for name, value in self._asdict().items())
            return f"{type(self).__name__}({values})"

        def __getnewargs__(self):
            return tuple(self)

    class _Maker(type):
        def __new__(cls, name, bases, members):
            if not bases:
                return super().__new__(cls, name, bases, members)
            fields = tuple(members["__annotations__"])
            defaults = {field: members[field] for field in fields if field in members}
            code = _code_of_new(len(fields)).replace(co_name="__new__", co_varnames=("_cls", *fields))
            members |= {
                "__slots__": (),
                "__match_args__": fields,
                "_fields": fields,
                "_field_defaults": defaults,
                "__new__": FunctionType(code, _GLOBALS, "__new__", tuple(defaults.values())),
                **{field: _getter(at) for at, field in enumerate(fields)},
            }
            return type(name, (_Tuple,), members)

    class NamedTuple(metaclass=_Maker):
        """Makes a named tuple of a class below it, as :class:`typing.NamedTuple` does."""
