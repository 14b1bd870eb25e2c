"""What test code did to the contents of modules between two moments: reloads, and writes to single names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import EllipsisType, NotImplementedType
from typing import Final

from pytest_import_isolation.contents.changes import ContentChange, compare, is_executed_again
from pytest_import_isolation.contents.ledger import CONTENTS
from pytest_import_isolation.contents.looks import State, was_known
from pytest_import_isolation.contents.package_paths import PathSpace
from pytest_import_isolation.contents.restoring import Redo, put_back, redo_of, undo
from pytest_import_isolation.contents.spaces import Copy, Space, copy_of, value_of
from pytest_import_isolation.contents.writers import Writers
from pytest_import_isolation.machinery.frames import Importer
from pytest_import_isolation.machinery.modules import (
    ABSENT,
    is_instance_of_one,
    location_in,
    namespace,
    top_level,
)
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.state.origins import Origin, Origins
from pytest_import_isolation.watching.import_log import Reload


class Reloaded(NamedTuple):
    """A module whose body was executed again in its namespace."""

    space: Space
    #: What it held before that, without what test code had written.
    before: Copy
    #: The statement that asked for it; None if nothing is known of it.
    importer: Importer | None

    @property
    def files(self) -> tuple[object, object]:
        """Where the module lay before, and where it was executed from."""
        now = (self.space.dictionary or {}).get("__spec__")
        return location_in(self.before.value("__spec__", None)), location_in(now)

    @property
    def is_from_elsewhere(self) -> bool:
        """Whether another file was executed in place of the module's own."""
        before, after = self.files
        return type(before) is str and type(after) is str and before != after


class Findings(NamedTuple):
    """What test code did to contents, in order."""

    reloaded: tuple[Reloaded, ...] = ()
    written: tuple[ContentChange, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.reloaded or self.written)


NOTHING = Findings()
#: How a module was changed that was executed again, and an attribute that had another value before.
RELOADED: Final = "reloaded"
ASSIGNED: Final = "assigned"
CHANGED: Final = "changed in place"
ADDED: Final = "added"
REMOVED: Final = "removed"
BOUND: Final = "bound by the import of the submodule"
#: What a body may make again as the very same object.
_CONSTANTS: Final = (
    *(bool, bytes, complex, float, frozenset, int, str, tuple, type(None)),
    *(EllipsisType, NotImplementedType),
)


def find(
    since: State,
    reloads: Iterable[Reload],
    writers: Writers,
    files: Callable[[str], Iterable[str]],
    origins: Origins,
    changes: Iterable[ContentChange],
    *,
    with_hooks: bool = False,
) -> Findings:
    """Return what test code did to contents since a moment.

    Args:
        since: what there was then.
        reloads: the reloads that were seen since.
        writers: judges changes.
        files: returns the test code that was running, given the module that was written to.
        origins: gives the verdicts on modules.
        changes: what is different since, whoever did it.
        with_hooks: see :meth:`.Writers.of_tests`.
    """
    again = _reloaded(since, reloads, writers, files, origins)
    left: list[ContentChange] = []
    for space, some in _by_space(changes).items():
        if space in again:
            continue
        base = since.get(space, space.first)
        if is_executed_again(space, base, space.copy):
            again[space] = Reloaded(space, base, None)
        else:
            left += some
    # A submodule that was loaded before: what was bound to its name meanwhile is gone.
    left = [one for one in left if one.submodule is None or not _was_loaded(one.after, since)]
    reloaded = tuple(found for found in again.values() if found is not None)
    return Findings(reloaded, tuple(writers.of_tests(left, files, with_hooks=with_hooks)))


def _reloaded(
    since: State,
    reloads: Iterable[Reload],
    writers: Writers,
    files: Callable[[str], Iterable[str]],
    origins: Origins,
) -> dict[Space, Reloaded | None]:
    """Return what was seen to be executed again; None for what stays, since an application did it."""
    again: dict[Space, Reloaded | None] = {}
    seen: set[Space] = set()
    for reload in reloads:
        space = CONTENTS.space_of(reload.module)
        if space is None or space in seen:
            continue
        seen.add(space)
        if is_taken_back(reload):
            continue
        if is_by_application(reload, origins) or is_by_library(reload, origins):
            again[space] = None
            continue
        before = copy_of(reload.before)
        # Nobody may have looked before the reload.
        base = since.get(space, before if space.is_late else space.first)
        # What test code had written before that goes too.
        written = writers.of_tests(compare(space, base, before), files)
        _leave_out(before, written)
        _take_back(before, base, space.dictionary or {})
        again[space] = Reloaded(space, space.hold(before), reload.importer)
    return again


def is_by_application(reload: Reload, origins: Origins) -> bool:
    """Tell whether a first-party module that is no test code asked for a reload."""
    importer = reload.importer
    if importer is None or origins.of_file(importer.module, importer.file) is not Origin.FIRST_PARTY:
        return False
    return not origins.is_test_code(importer.file) and bool(origins.test_files)


def is_by_library(reload: Reload, origins: Origins) -> bool:
    """Tell whether an installed package asked for the reload of a module of its own: that is its affair."""
    importer = reload.importer
    if importer is None or top_level(importer.module) != top_level(reload.name):
        return False
    return origins.is_installed(importer.file) and not origins.is_test_file(importer.file)


def _by_space(changes: Iterable[ContentChange]) -> Mapping[Space, list[ContentChange]]:
    found: dict[Space, list[ContentChange]] = {}
    for change in changes:
        found.setdefault(change.space, []).append(change)
    return found


def _leave_out(contents: Copy, written: Iterable[ContentChange]) -> None:
    """Take single changes out of a copy."""
    for change in written:
        if change.before is ABSENT:
            contents.pop(change.name, None)
        else:
            contents[change.name] = copy_of({change.name: change.before})[change.name]


def _take_back(before: Copy, base: Copy, now: Mapping[str, object]) -> None:
    """Take out of a copy what somebody has put back since, as a patch does when it ends.

    A reload makes new functions, classes and other objects. Where that of the beginning stands again, it was
    put there. Of constants nothing is known.

    Args:
        before: what was there before the reload.
        base: what was there at the beginning.
        now: what is there now.
    """
    for name, kept in base.items():
        value = value_of(kept)
        if not _is_constant(value) and now.get(name, ABSENT) is value:
            before[name] = kept


def is_taken_back(reload: Reload) -> bool:
    """Tell whether a module holds again what it held before a reload.

    What a test had written before that may have been undone with it: of constants nothing is asked.
    """
    now = namespace(reload.module) or {}
    return all(_is_constant(value) or now.get(name) is value for name, value in reload.before.items())


def _is_constant(value: object) -> bool:
    return is_instance_of_one(value, _CONSTANTS)


def _was_loaded(module: object, since: State) -> bool:
    space = CONTENTS.space_of(module)
    return space is not None and was_known(space, since)


class Undone(NamedTuple):
    """What was undone: it was compared afterwards, and is as before."""

    reloaded: tuple[Reloaded, ...] = ()
    written: tuple[ContentChange, ...] = ()
    #: How it can be done again.
    again: tuple[Redo, ...] = ()

    def joined(self, later: Undone) -> Undone:
        """Return this and what was undone later."""
        return Undone(self.reloaded + later.reloaded, self.written + later.written, self.again + later.again)

    @property
    def texts(self) -> tuple[str, ...]:
        """In words, one for each."""
        words = [f"{one.space.name}: {RELOADED}" for one in self.reloaded]
        return (*words, *(f"{change.full_name}: {how(change)}" for change in self.written))


def undo_all(findings: Findings) -> Undone:
    """Undo what test code did to contents, and look whether it is undone."""
    reloaded: list[Reloaded] = []
    again: list[Redo] = []
    for one in findings.reloaded:
        after = one.space.hold(copy_of(one.space.dictionary or {}))
        if put_back(one.space, one.before):
            reloaded.append(one)
            again.append(Redo(one.space, one.before, after))
    written = undo(findings.written)
    return Undone(tuple(reloaded), tuple(written), (*again, *redo_of(written)))


def how(change: ContentChange) -> str:
    """Say in a word what was done to a name."""
    if change.submodule is not None:
        return BOUND
    if isinstance(change.space, PathSpace):
        return CHANGED
    if change.before is ABSENT:
        return ADDED
    return REMOVED if change.after is ABSENT else ASSIGNED


def following(state: State, changes: Iterable[ContentChange]) -> State:
    """Return a state to which changes were made."""
    followed = dict(state)
    for space, some in _by_space(changes).items():
        copy = space.hold(Copy(followed.get(space, space.first)))
        for change in some:
            if change.after is ABSENT:
                copy.pop(change.name, None)
            else:
                copy[change.name] = space.copy.get(change.name, change.after)
        followed[space] = copy
    return followed
