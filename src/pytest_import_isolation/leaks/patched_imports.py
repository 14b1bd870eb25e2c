"""First-party modules that were executed for the first time while something was patched, and stay loaded."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Set
from functools import cache
from types import ModuleType
from typing import Final

from pytest_import_isolation.contents.changes import ContentChange
from pytest_import_isolation.contents.read_names import (
    modules_in_imports,
    names_read_at_import,
    taken_at_import,
    tried_imports,
)
from pytest_import_isolation.contents.spaces import Space
from pytest_import_isolation.machinery.finders import import_function
from pytest_import_isolation.machinery.modules import ABSENT, file_of, namespace, top_level
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.on_disk import lies_on_disk
from pytest_import_isolation.machinery.source_text import text_of
from pytest_import_isolation.parking.belongings import homes_of
from pytest_import_isolation.parking.ownership import refuses
from pytest_import_isolation.report.records import Polluter
from pytest_import_isolation.state.differences import items_of
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.watching.environment_reads import EnvironmentReads, decoded
from pytest_import_isolation.watching.executed_modules import EXECUTED
from pytest_import_isolation.watching.process_effects import Variables, read_variables
from pytest_import_isolation.wording import listing

# There is one of each, and many names hold it.
# By identity: a metaclass may hash and compare as it likes.
_COMMON: Final = frozenset(
    map(id, (type(None), bool, int, float, str, bytes, tuple, type(Ellipsis), type(NotImplemented)))
)
_MOST: Final = 3
#: The phases in which a test may patch something for a while, and that in which the text of a file may.
_TESTING: Final = ("setup", "call")
_COLLECTING: Final = ("collect",)


class PatchedImport(NamedTuple):
    """A module that read something patched while it was executed for the first time."""

    name: str
    #: What was patched, each with what became of it.
    patched: tuple[str, ...]
    by: Polluter
    #: The variables of the environment that it read, None for each that was not set.
    variables: Variables
    #: The patched attributes that it read.
    attributes: tuple[ContentChange, ...]
    #: Whether something that refuses imports was in place, and it takes a refusal.
    is_refused: bool = False
    #: Whether a test left a variable that it read as it was then: isolation does not undo that.
    has_left_variables: bool = False


class PatchedImports:
    """Listens to executions during tests, and during the collection of test files.

    Args:
        origins: gives the verdicts on modules.
        here: returns the test that is running, and its phase.
        contents: returns what test code has written to modules since the test began, as far as that may
            concern a module that has to do with objects of these identities.
        setters: returns, for a key of the environment, what set it as far as that is known.
    """

    def __init__(
        self,
        origins: Origins,
        here: Callable[[], Polluter | None],
        contents: Callable[[Callable[[], Set[int]]], Collection[ContentChange]],
        setters: Callable[[], Mapping[str, str]],
    ) -> None:
        self._origins = origins
        self._here = here
        self._contents = contents
        self._setters = setters
        #: Is told of the fixtures of several tests.
        self.environment = EnvironmentReads(EXECUTED.running)
        self._found: dict[str, PatchedImport] = {}
        # Where fixtures of the whole run are being set up: the environment before.
        self._setting_up: list[Variables | None] = []
        # What imports called and asked when the test began.
        self._function: object = import_function()
        # Whether a test file is being collected, and no test runs.
        self._is_collection = False
        self._finders: tuple[object, ...] = ()

    def start(self) -> None:
        """Listen from now on."""
        EXECUTED.when_begun.append(self._begun)
        EXECUTED.when_executed.append(self._executed)
        EXECUTED.when_finished.append(self.environment.end)

    def stop(self) -> None:
        """Listen no more."""
        EXECUTED.when_begun.remove(self._begun)
        EXECUTED.when_executed.remove(self._executed)
        EXECUTED.when_finished.remove(self.environment.end)
        self.environment.end()

    def begin(self, *, is_collection: bool = False) -> None:
        """Take the environment of now as what is around a test, or the collection of a test file."""
        self._is_collection = is_collection
        self.environment.set_around()
        self._function, self._finders = import_function(), items_of("meta_path")
        self._found.clear()

    def end_collection(self) -> None:
        """Listen to no more of what is collected, until another test file is."""
        self._is_collection = False

    def _begun(self, name: str) -> None:
        """Note that a module is about to be imported."""
        if self._listens_to(self._here()):
            if self._setting_up:
                self._adopt()
            if self._is_collection and self._is_by_test_file():
                self.environment.begin_anew()
            else:
                self.environment.begin()

    def _listens_to(self, here: Polluter | None) -> bool:
        return here is not None and here.phase in (_COLLECTING if self._is_collection else _TESTING)

    def _is_by_test_file(self) -> bool:
        """Tell whether a test file does the innermost import, while it is imported itself."""
        importer = EXECUTED.running(1)
        file = None if importer is None else file_of(sys.modules.get(importer))
        return file is not None and self._origins.is_test_file(file)

    def _executed(self, name: str, module: object) -> None:
        """Note that a module was imported."""
        here = self._here()
        if here is not None and self._listens_to(here):
            self._judge(name, module, here)
            if self._is_collection and self._is_by_test_file():
                self.environment.end()

    def _judge(self, name: str, module: object, here: Polluter) -> None:
        if not self._origins.is_first_party(name, module) or name in self._found:
            return
        file = file_of(module)
        if file is None or self._origins.is_test_file(file):
            return
        variables = self._variables(name, file)
        attributes = () if self._setting_up else (*self._attributes(module, file),)
        refusing = [] if self._is_collection else [*self._refusing(module, file)]
        if variables or attributes or refusing:
            patched = (f"{full_name} was patched" for full_name in (*map(_full_name, attributes), *refusing))
            told = (*self._told(variables), *patched)
            is_refused = bool(refusing)
            self._found[name] = PatchedImport(name, told, here, variables, attributes, is_refused=is_refused)

    def _refusing(self, module: object, file: str) -> Iterator[str]:
        """Yield by what test code refused imports to a module, which goes on without them."""
        function = import_function()
        is_patched = function is not self._function
        added = [one for one in items_of("meta_path") if not any(one is other for other in self._finders)]
        if not (is_patched or added) or not _was_refused(text_of(file), namespace(module) or {}):
            return
        if is_patched and self._is_of_tests(function):
            yield "builtins.__import__"
        if any(refuses(finder) and self._is_of_tests(finder) for finder in added):
            yield "sys.meta_path"

    def _is_of_tests(self, item: object) -> bool:
        """Tell whether test code defines a function or finder, or it is a mock."""
        home = next(homes_of(item), "")
        is_mock = top_level(home) == "unittest"
        return is_mock or self._origins.is_test_code(file_of(sys.modules.get(home)))

    def begin_session_fixture(self) -> None:
        """Note that a fixture of the whole run is about to be set up: what it does is around all tests."""
        self._setting_up.append(read_variables())

    def end_session_fixture(self) -> None:
        """See :meth:`begin_session_fixture`."""
        self._adopt()
        self._setting_up.pop()

    def _adopt(self) -> None:
        self.environment.adopt(self._setting_up[-1])
        self._setting_up[-1] = read_variables()

    def _variables(self, name: str, file: str) -> Variables:
        asked = self.environment.asked.get(name)
        changed = self.environment.changed() if asked else {}
        if asked and changed and all(decoded(key) in asked for key in read_variables() or ()):
            # It copied the environment, or looked through it: what counts is what it says.
            asked = {key for key in asked if key in text_of(file)}
        return Variables({key: value for key, value in changed.items() if asked and decoded(key) in asked})

    def _told(self, variables: Variables) -> Iterator[str]:
        setters = self._setters() if variables else {}
        for key, value in sorted(variables.items(), key=lambda pair: decoded(pair[0])):
            name = decoded(key)
            who = "a fixture" if self.environment.is_by_fixture(key, value) else self._who
            yield f"{name} was {'removed' if value is None else 'set'} by {setters.get(name, who)}"

    @property
    def _who(self) -> str:
        return "the file" if self._is_collection else "the test"

    def _attributes(self, module: object, file: str) -> Iterator[ContentChange]:
        space = namespace(module) or {}
        held = {id(value) for value in list(space.values()) if id(type(value)) not in _COMMON}
        builtin = space.get("__builtins__")
        if type(builtin) is dict:  # the interpreter gives the same one to all modules
            held.discard(id(builtin))
        held.add(id(builtins))  # no module says that it asks there
        text = cache(lambda: text_of(file))
        for change in self._contents(cache(lambda: held | _imported(text(), space))):
            # Another name may stand for the same object.
            is_taken = id(change.after) in held and (change.name in text() or "import *" in text())
            is_own = change.space.owner() is builtins and change.name in space
            is_read = id(change.space.owner()) in held and change.name in text() and not is_own
            if (
                is_taken
                or (is_read and change.name in names_read_at_import(text()))
                or _says_that_it_takes(text(), space, change)
            ):
                yield change

    def take(self) -> Iterator[tuple[PatchedImport, str]]:
        """Yield the modules that stay loaded at the end, each with the sentence about it.

        What a file leaves as a module met it when it was collected is there for all tests.
        """
        found, self._found = self._found, {}
        for patched in found.values():
            is_there = self._is_collection and (
                self._are_left(patched.variables) or any(one.is_in_place for one in patched.attributes)
            )
            if not is_there and sys.modules.get(patched.name, ABSENT) is not ABSENT:
                yield (
                    patched._replace(has_left_variables=self._are_left(patched.variables)),
                    f"It was first imported while {listing(patched.patched, _MOST)}, and it stays loaded.",
                )

    def _are_left(self, variables: Variables) -> bool:
        """Tell whether a variable has the same value now, and no fixture that lives gave it that."""
        now = read_variables() if variables else None
        return now is not None and any(
            now.get(key) == value and not self.environment.is_by_fixture(key, value)
            for key, value in variables.items()
        )


def _full_name(change: ContentChange) -> str:
    return change.full_name


def _imported(text: str, space: Mapping[str, object]) -> set[int]:
    """Return the identities of the modules that the import statements of a module name."""
    return {
        id(sys.modules[name]) for name in modules_in_imports(text, _package(space)) if name in sys.modules
    }


def _was_refused(text: str, space: Mapping[str, object]) -> bool:
    """Tell whether a module that has just been executed goes on without something that it imports."""
    if "try" not in text:
        return False
    for name, home, key in tried_imports(text, _package(space)):
        there = sys.modules.get(home, ABSENT)
        is_part = key and there is not ABSENT
        if is_part:
            there = (namespace(there) or {}).get(key, ABSENT)
        if there is ABSENT:
            # What is not installed at all was not refused.
            is_missed = lies_on_disk(f"{home}.{key}" if is_part else home)
        else:
            is_missed = space.get(name, ABSENT) is not there
        if is_missed:
            return True
    return False


def _says_that_it_takes(text: str, space: Mapping[str, object], change: ContentChange) -> bool:
    """Tell whether the text of a module says that it took, or read, what stands under a name elsewhere.

    Many names hold the same number or text: here nothing else than an import can have bound the name.
    """
    owner = change.space.owner()
    if owner is None or change.after is ABSENT or (change.name not in text and "import *" not in text):
        return False
    taken = taken_at_import(text, _package(space))
    names = [
        name
        for name, (module, imported) in taken.imported.items()
        if imported == change.name and sys.modules.get(module) is owner
    ]
    if change.name not in taken.bound and sys.modules.get(taken.all_from) is owner:
        names.append(change.name)
    return any(space.get(name, ABSENT) is change.after for name in names) or any(
        parts[-1] == change.name and _found(space, parts[:-1]) is owner for parts in taken.read
    )


def _found(space: Mapping[str, object], parts: tuple[str, ...]) -> object:
    """Return what a dotted name leads to in a module, through modules alone; ABSENT if that is not known."""
    found: object = ABSENT
    inside: Mapping[str, object] | None = space
    for part in parts:
        if inside is None:
            return ABSENT
        found = inside.get(part, ABSENT)
        inside = namespace(found) if issubclass(type(found), ModuleType) else None
    return found


def _package(space: Mapping[str, object]) -> str:
    package = space.get("__package__")
    return package if type(package) is str else ""


class SharedEnvironments:
    """Knows which modules read what is around all later tests, too: variables, and patched attributes."""

    def __init__(self) -> None:
        # By the numbers of the leaks: what the module read, and whether a test came after it.
        self._alike: dict[int, tuple[Variables, tuple[_Patched, ...], bool]] = {}

    def note(self, number: int, patched: PatchedImport) -> None:
        """Take note of a leak, and of what its module read."""
        attributes = tuple(map(_patched, patched.attributes))
        self._alike[number] = patched.variables, attributes, False

    def begin_call(self) -> None:
        """Look whether what is around a test, which was set up, is the same."""
        now = read_variables() if self._alike else None
        if now is not None:
            self._alike = {
                number: (variables, attributes, True)
                for number, (variables, attributes, _) in self._alike.items()
                if all(now.get(key) == value for key, value in variables.items())
                and all(one.is_patched for one in attributes)
            }

    def shared(self) -> list[int]:
        """Return the numbers of the leaks after which all tests had the same around them, and one came."""
        return [number for number, (_, _, has_followers) in self._alike.items() if has_followers]


class _Patched(NamedTuple):
    """An attribute that was patched; a fixture may patch it for each test anew, with another value."""

    space: Space
    name: str
    #: The identity of what stood there before: to hold that could hold a module alive.
    before: int

    @property
    def is_patched(self) -> bool:
        dictionary = self.space.dictionary
        return dictionary is not None and id(dictionary.get(self.name, ABSENT)) != self.before


def _patched(change: ContentChange) -> _Patched:
    return _Patched(change.space, change.name, id(change.before))
