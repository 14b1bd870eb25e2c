"""Where a module comes from: first-party, foreign or fake, and why that is the verdict."""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Mapping
from enum import Enum
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, Final

from pytest_import_isolation.machinery.modules import (
    ABSENT,
    ancestors,
    class_home,
    class_name,
    class_namespace,
    namespace,
    spec_value,
    top_level,
)
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.paths import is_conftest
from pytest_import_isolation.patterns import Patterns
from pytest_import_isolation.state.differences import items_in
from pytest_import_isolation.state.odd_keys import OddKey


class Origin(Enum):
    """The three sorts of entries in ``sys.modules``."""

    FIRST_PARTY = "first-party"
    FOREIGN = "foreign"
    FAKE = "fake"


class Verdict(NamedTuple):
    """What a module is, and the reason in a few words."""

    origin: Origin
    reason: str
    is_extension: bool = False


_BLOCK: Final = Verdict(Origin.FAKE, "the entry is None, which blocks the import")
_LIBRARY_PARTS: Final = frozenset(("site-packages", "dist-packages"))
_EXTENSION_SUFFIXES: Final = tuple(EXTENSION_SUFFIXES)
_OWN_PACKAGE: Final = top_level(__name__)
# One for many modules: every garbage collection looks at each.
_OWN_PART: Final = Verdict(Origin.FOREIGN, "a part of the isolation itself")
_BY_EXTENSION: Final = Verdict(Origin.FOREIGN, "made by an extension module", is_extension=True)
_EXTENSION: Final = Verdict(Origin.FOREIGN, "an extension module", is_extension=True)
_STANDARD: Final = Verdict(Origin.FOREIGN, "the standard library")
_OUTSIDE: Final = Verdict(Origin.FIRST_PARTY, "its source lies outside of all installed packages")
_IN_LIBRARY: Final = {part: Verdict(Origin.FOREIGN, f"it lies in {part}") for part in _LIBRARY_PARTS}
_WITHOUT_FILE: Final = {kind: Verdict(Origin.FOREIGN, f"a {kind} module") for kind in ("built-in", "frozen")}
_PYTEST_FILLER: Final = "Empty module created by pytest"
# Made by C code through PyImport_AddModule, without spec or file, next to an extension module.
_MADE_BY_C: Final = ("cython_runtime", "_cython_", "_openssl", "__mp_main__")


def _standard_library() -> tuple[str, ...]:
    folder = os.path.dirname(os.path.realpath(os.__file__))
    as_named = os.path.dirname(os.path.abspath(os.__file__))
    zipped = f"python{sys.version_info[0]}{sys.version_info[1]}.zip"
    return tuple({folder + os.sep, as_named + os.sep, os.path.join(os.path.dirname(folder), zipped)})


def describe(module: object) -> str:
    """Say in a few words what an entry of ``sys.modules`` is, without running code of it."""
    kind = type(module)
    if kind is ModuleType and type(file := module.__dict__.get("__file__")) is str:  # nearly always
        return f"the module of {file}"
    if module is ABSENT:
        return "nothing"
    if module is None:
        return "None"
    if not issubclass(kind, ModuleType) or class_home(kind) == "unittest.mock":
        named = class_name(kind)
        return f"an {named}" if named[:1].lower() in "aeio" else f"a {named}"
    own = namespace(module) or {}
    file = own.get("__file__")
    if type(file) is str:
        return f"the module of {file}"
    spec = _real_spec(own)
    if spec is not None:
        origin = spec_value(spec, "origin")
        if type(origin) is str and origin in ("built-in", "frozen"):
            return f"a {origin} module"
        return "a namespace package" if own.get("__path__") is not None else "a module without a file"
    return "a bare ModuleType()"


def describe_beside(module: object, other: object) -> str:
    """Say what :func:`describe` says; of two things of which it says the same, that they are two.

    Args:
        module: what is described.
        other: another object, which was described a moment ago.
    """
    said = describe(module)
    if module is other or said != describe(other):
        return said
    return "another copy of it" if said.startswith("the module of ") else f"another {said.partition(' ')[2]}"


def is_made_by_hand(description: str) -> bool:
    """Tell whether :func:`describe` said this of a thing that no import makes, and that others would meet."""
    return not description.startswith(
        (
            *("the module of ", "a built-in module", "a frozen module", "a namespace package"),
            *("a module without", "a weakref.ProxyType"),  # the latter is gone with what it refers to
        )
    )


def _no_module() -> None:
    """Stand for a reference to a module that is no more."""


def is_pytest_filler(space: Mapping[str, object]) -> bool:
    """Tell whether a namespace is that of an empty module that pytest puts between rootdir and a test."""
    text = space.get("__doc__")
    return type(text) is str and text.startswith(_PYTEST_FILLER)


class _KnownFiles:
    """Verdicts of the past on files: they depend on patterns, and on nothing that changes."""

    def __init__(self) -> None:
        self.files: dict[tuple[str, str], Verdict] = {}
        #: Of files to which no pattern applies, by their directories.
        self.folders: dict[str, Verdict] = {}


class Origins:
    """Gives verdicts, and remembers them by (name, identity).

    Args:
        first_party: patterns of modules that are first-party wherever their files lie.
    """

    _usual: Origins | None = None
    # Of all that have no patterns: a run and the windows in it ask about the same files.
    _known_to_all: Final = _KnownFiles()

    def __init__(self, first_party: Patterns | None = None) -> None:
        self._first_party = first_party or Patterns()
        self._has_patterns = bool(self._first_party)
        self._standard = _standard_library()
        # By the key: the verdict, and about which module it is. Two tables, since every garbage collection
        # would look at each pair. They are not shared: a module may be judged too early, by what watches it.
        self._verdicts: dict[str, Verdict] = {}
        self._judged: dict[str, weakref.ref[Any]] = {}
        known = _KnownFiles() if self._has_patterns else self._known_to_all
        self._files, self._folders = known.files, known.folders
        #: The collected test files and the conftests, in order; there are never fewer.
        self.test_files: dict[str, None] = {}
        #: Those of them that are conftests.
        self.conftests: list[str] = []
        self._test_folders: set[str] = set()
        #: The modules of the project that are plugins of the test run. Beside them may lie the application.
        self.plugin_files: frozenset[str] = frozenset()
        #: Namespaces of objects that last for the whole run, by what these are called.
        self.holders: dict[str, Mapping[str, object]] = {}

    @classmethod
    def usual(cls) -> Origins:
        """Return the one that knows no extra patterns; its verdicts are shared by all who use it."""
        if cls._usual is None:
            cls._usual = cls()
        return cls._usual

    def verdict(self, name: object, module: object, modules: Mapping[Any, object] | None = None) -> Verdict:
        """Say what an entry of ``sys.modules`` is.

        Args:
            name: the key.
            module: the value.
            modules: the table in which parents of the module are looked up; ``sys.modules`` by default.

        Returns:
            The verdict. It is computed once for each pair of key and identity.
        """
        if type(name) is not str:
            name = name.text if type(name) is OddKey else None
            if name is None:
                return _BLOCK if module is None else Verdict(Origin.FAKE, "its key is no string")
        known = self._verdicts.get(name)
        if known is not None and module is not None and self._judged.get(name, _no_module)() is module:
            return known
        verdict = self._judge(name, module, sys.modules if modules is None else modules)
        # What is told by the name alone needs no reference to what it was told of.
        if type(module) is ModuleType and verdict is not _OWN_PART:
            # In this order: another thread may read the verdict before it reads about what it is.
            self._judged.pop(name, None)
            self._verdicts[name] = verdict
            self._judged[name] = weakref.ref(module)
        return verdict

    def is_installed(self, file: str) -> bool:
        """Tell whether a file belongs to an installed package, and not to the standard library."""
        return not _LIBRARY_PARTS.isdisjoint(file.replace("\\", "/").split("/"))

    def of_file(self, name: str, file: str) -> Origin:
        """Say where code comes from, by the name of its module and its file alone."""
        known = self._folders.get(file.rpartition(os.sep)[0])
        if known is not None and known.origin is Origin.FOREIGN and not self._has_patterns:
            return Origin.FOREIGN  # as for nearly all that is asked about at each import
        return self._judge_file(name, file).origin

    def note_test_file(self, file: str) -> None:
        """Take note of a collected test file or a conftest: what lies beside it is test code too."""
        if file in self.test_files:
            return
        self.test_files[file] = None
        self._test_folders.add(os.path.dirname(file))
        if is_conftest(file):
            self.conftests.append(file)

    def note_plugin(self, file: str) -> None:
        """Take note of a module of the project that a conftest, or the command line, made a plugin."""
        self.plugin_files |= {file}

    def is_test_file(self, file: str | None) -> bool:
        """Tell whether a file is a collected test file or a conftest."""
        return file in self.test_files

    def is_of_tests(self, file: str) -> bool:
        """Tell whether a file is a collected test file, a conftest, or a plugin of the project."""
        return file in self.test_files or file in self.plugin_files

    def is_test_code(self, file: str | None) -> bool:
        """Tell whether a file is a test file or lies beside one."""
        return file is not None and os.path.dirname(file) in self._test_folders

    def first_party(self, modules: Mapping[Any, object]) -> dict[Any, object]:
        """Return those modules of a table that are first-party, and whose keys are strings."""
        return {
            name: module
            for name, module in modules.items()
            if type(name) is str and self.is_first_party(name, module)
        }

    def is_first_party(self, name: object, module: object) -> bool:
        """Tell whether an entry is a first-party module."""
        return self.verdict(name, module).origin is Origin.FIRST_PARTY

    def was_first_party(self, name: str) -> bool:
        """Tell whether the module of this name that was judged last, gone or not, was first-party."""
        known = self._verdicts.get(name)
        return known is not None and known.origin is Origin.FIRST_PARTY

    def _judge(self, name: str, module: object, modules: Mapping[Any, object]) -> Verdict:
        if top_level(name) == _OWN_PACKAGE:
            return _OWN_PART
        if module is None:
            return _BLOCK
        own = namespace(module)
        if self._is_made_by_c(name, own or {}, modules):
            return _BY_EXTENSION
        # isinstance() would ask the object for its __class__.
        if own is None or not issubclass(type(module), ModuleType):
            return self._judge_odd_object(name, module, own, modules)
        file = own.get("__file__")
        if type(file) is not str or not file:
            return self._judge_without_file(name, module, own, modules)
        return self._judge_file(name, file)

    def _judge_file(self, name: str, file: str) -> Verdict:
        # Many copies of a module may come from one file.
        verdict = self._files.get((name, file))
        if verdict is None:
            verdict = _EXTENSION if file.endswith(_EXTENSION_SUFFIXES) else self._judge_path(name, file)
            self._files[name, file] = verdict
        return verdict

    def _judge_path(self, name: str, path: str) -> Verdict:
        pattern = self._first_party.match(name)
        if pattern:
            return Verdict(Origin.FIRST_PARTY, f"named first-party by {pattern!r}")
        folder = path.rpartition(os.sep)[0]
        verdict = self._folders.get(folder)
        if verdict is None:
            verdict = self._folders[folder] = self._judge_folder(path)
        return verdict

    def _judge_folder(self, path: str) -> Verdict:
        for part in path.replace("\\", "/").split("/"):
            if part in _LIBRARY_PARTS:
                return _IN_LIBRARY[part]
        if path.startswith(self._standard):
            return _STANDARD
        return _OUTSIDE

    def _judge_without_file(
        self, name: str, module: object, own: dict[str, Any], modules: Mapping[Any, object]
    ) -> Verdict:
        spec = _real_spec(own)
        if spec is not None:
            origin, loader = spec_value(spec, "origin"), spec_value(spec, "loader")
            if type(origin) is str and origin in _WITHOUT_FILE:
                return _WITHOUT_FILE[origin]
            locations = _path_entries(own.get("__path__"))
            if loader is None or class_name(type(loader)).endswith("NamespaceLoader"):
                if locations:
                    return self._judge_path(name, locations[0] + os.sep)
                # A hand-made spec, ModuleSpec(name, None), is the politer half of all stubs.
                return Verdict(Origin.FAKE, "it has neither a file nor a loader")
            return self._judge_loader(loader, modules)
        if name in sys.builtin_module_names or name == "__main__":
            return Verdict(Origin.FOREIGN, "a part of the interpreter")
        if is_pytest_filler(own):
            return Verdict(Origin.FIRST_PARTY, "made by pytest between rootdir and a test module")
        if type(module) is not ModuleType:
            return self._judge_odd_object(name, module, own, modules)
        return Verdict(Origin.FAKE, "a bare ModuleType() without spec and file")

    def _judge_loader(self, loader: object, modules: Mapping[Any, object]) -> Verdict:
        kind = type(loader)
        home = class_home(loader if issubclass(kind, type) else kind)  # type: ignore[arg-type]
        if home == "pytest_import_isolation.fakes.fake_modules":
            return Verdict(Origin.FAKE, "made by fake_module")
        maker = modules.get(home)
        if maker is None or top_level(home) == "importlib" or home.startswith("_frozen_importlib"):
            # zipimport, frozen and custom loaders without a file: trust the import system's own record.
            return Verdict(Origin.FOREIGN, f"loaded by {_last_name(kind)}, without a file")
        origin = self.verdict(home, maker, modules).origin
        if origin is Origin.FAKE:
            origin = Origin.FOREIGN
        return Verdict(origin, f"made by the loader {home}.{_last_name(kind)}")

    def _judge_odd_object(
        self, name: str, module: object, own: dict[str, Any] | None, modules: Mapping[Any, object]
    ) -> Verdict:
        """Judge what is no plain module: a stand-in that a library put there for itself, or a fake."""
        kind = type(module)
        if kind is weakref.ProxyType:
            # Whoever put it there has the module, and it is gone when that is.
            return Verdict(Origin.FIRST_PARTY, "a weak reference to a module that somebody holds")
        home = class_home(kind)
        if home and not home.startswith("unittest.mock"):
            file = (own or {}).get("__file__")
            if type(file) is str and _real_spec(own or {}) is not None:
                return self._judge_file(name, file)
            maker = modules.get(home)
            if home == name and maker is module:
                # It took the place of the module in which its class is defined; ask the package above.
                above = (modules.get(ancestor) for ancestor in ancestors(name))
                home, maker = next(
                    (
                        (its_name, real)
                        for real in above
                        if type(its_name := (namespace(real) or {}).get("__name__")) is str
                    ),
                    (home, None),
                )
            if top_level(home) == top_level(name) and maker is not None and maker is not module:
                return Verdict(
                    self.verdict(home, maker, modules).origin, f"put there by its own package ({home})"
                )
            if home == name:
                # A module of the top level that put an instance of its own class into its place.
                file = _file_of_class(kind)
                if file is None:
                    return Verdict(Origin.FOREIGN, "put there by its own code")
                return self._judge_path(name, file)
        return Verdict(Origin.FAKE, f"it is {describe(module)}")

    def _is_made_by_c(self, name: str, own: dict[str, Any], modules: Mapping[Any, object]) -> bool:
        """Tell whether C code made an entry without spec and file, next to an extension module."""
        if own.get("__file__") is not None or own.get("__spec__") is not None:
            return False
        if name.startswith(_MADE_BY_C):
            return True
        # pyexpat's children are entered a second time, below xml.parsers.
        given = own.get("__name__")
        names = (name, given) if type(given) is str else (name,)
        for ancestor in (above for either in names for above in ancestors(either)):
            file = (namespace(modules.get(ancestor)) or {}).get("__file__")
            if ancestor in sys.builtin_module_names:
                return True
            if type(file) is str and file.endswith(_EXTENSION_SUFFIXES):
                return True
        public = [value for key, value in list(own.items()) if type(key) is str and not key.startswith("__")]
        return bool(public) and all(type(value) is BuiltinFunctionType for value in public)


def _real_spec(own: Mapping[str, Any]) -> object:
    """Return the spec in a namespace, None if there is no real one in it."""
    spec = own.get("__spec__")
    return spec if issubclass(type(spec), ModuleSpec) else None


def _last_name(kind: type) -> str:
    return class_name(kind).rpartition(".")[2]


def _file_of_class(cls: type) -> str | None:
    """Return the file of a class's first method."""
    for value in class_namespace(cls).values():
        if type(value) is FunctionType:
            return value.__code__.co_filename
    return None


def _path_entries(path: object) -> list[str]:
    # A _NamespacePath computes itself anew when it is iterated, which asks finders; its list does not.
    if not issubclass(type(path), (list, tuple)):
        path = (namespace(path) or {}).get("_path")
    return [entry for entry in items_in(path) if type(entry) is str]
