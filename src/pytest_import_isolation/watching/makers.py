"""Which module made a change of the import state, and what it did to the class of a finder."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from pytest_import_isolation.machinery.finders import class_of, without_own_finder
from pytest_import_isolation.machinery.modules import ABSENT, module_of_class, namespace, spec_value
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.source_text import bytes_of


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


def homes_of_finders() -> frozenset[str]:
    """Return the modules that define the finders which imports ask now."""
    homes = (module_of_class(class_of(finder)) for finder in without_own_finder(sys.meta_path))
    return frozenset(filter(None, homes))


def file_of_loaded(name: str) -> str | None:
    """Return the file that a loaded module says it was executed from, None if it says none."""
    own = namespace(sys.modules.get(name)) or {}
    for file in (own.get("__file__"), spec_value(own.get("__spec__"), "origin")):
        if type(file) is str:
            return file
    return None


def file_of_failed(name: str, error: BaseException) -> str | None:
    """Return the file of a module whose body raised an error, None if it is not known.

    Args:
        name: the module, which has no entry any more.
        error: what was raised.
    """
    traceback = error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        own = dict.get(frame.f_globals, "__name__")
        if frame.f_code.co_name == "<module>" and type(own) is str and own == name:
            return frame.f_code.co_filename
        traceback = traceback.tb_next
    return None


def text_of_loaded(name: str) -> str:
    """Return the source of a loaded module, an empty text if it has none."""
    file = file_of_loaded(name)
    if file is None or not file.endswith(".py"):
        return ""
    try:
        return bytes_of(file).decode("latin-1")  # by its real encoding would import something
    except (OSError, ValueError):
        return ""


def able(executed: Iterable[str], name: str) -> Iterator[Maker]:
    """Yield the modules whose texts can replace an entry of ``sys.modules``.

    Args:
        executed: the modules that come into question.
        name: the entry.
    """
    for other in executed:
        text = text_of_loaded(other)
        if "modules" in text and name in text:
            yield Maker(other, file_of_loaded(other))
