"""Which module made a change of the import state, and what it did to the class of a finder."""

from __future__ import annotations

from typing import NamedTuple

from pytest_import_isolation.machinery.modules import ABSENT


class Maker(NamedTuple):
    """The module that made a change while it was executed, or later when it was called."""

    module: str
    #: Where its source lies, if it has one.
    file: str | None = None
    #: Whether what was made is what the import of this very module gave: a finder's or its own doing.
    is_import: bool = False
    #: For such: the modules that define the finders that were asked.
    finders: frozenset[str] = frozenset()
    #: The modules whose bodies ran around it: what imported it, the outermost first.
    around: tuple[str, ...] = ()
    #: Whether one of its functions was called, at an unknown time after it was executed.
    is_call: bool = False


class ClassChange(NamedTuple):
    """What a module did to the class of a finder while it was executed."""

    cls: type
    name: str
    #: ABSENT for nothing, here and below.
    before: object
    after: object
    maker: Maker

    def undo(self) -> None:
        """Put back what was there, unless something else is there by now."""
        self._write(self.after, self.before)

    def redo(self) -> None:
        """Make the change again."""
        self._write(self.before, self.after)

    def _write(self, before: object, after: object) -> None:
        if type.__dict__["__dict__"].__get__(self.cls).get(self.name, ABSENT) is not before:
            return
        # Not setattr(): the class of the class may have a __setattr__.
        if after is ABSENT:
            type.__delattr__(self.cls, self.name)
        else:
            type.__setattr__(self.cls, self.name, after)
