"""Imports that are answered by a module of the same name from another directory."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Set
from pathlib import Path
from typing import Final

from pytest_import_isolation.leaks.first_imports import FirstImports
from pytest_import_isolation.leaks.places import Places
from pytest_import_isolation.machinery.finders import find_location, is_own_finder
from pytest_import_isolation.machinery.frames import Importer, caller
from pytest_import_isolation.machinery.modules import executed_file_of, top_level
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.paths import absolute, is_conftest, packages_of, working_directory
from pytest_import_isolation.machinery.source_text import imports_name, text_of
from pytest_import_isolation.report.records import WARNING, Leak, Polluter, make_leak
from pytest_import_isolation.state.differences import items_of
from pytest_import_isolation.state.loaded_names import NamesInFolders
from pytest_import_isolation.state.origins import Origin, Origins
from pytest_import_isolation.watching.asked_imports import ASKED

_CONFTEST: Final = "conftest"
_CONFTEST_ADVICE: Final = (
    "Move what is imported from it into a module of another name, or run with --isolate-imports=file."
)


class Clash(NamedTuple):
    """A name of which a file got another module than the one that lies beside it."""

    name: str
    #: The file of the module that it got.
    got: str
    #: The file that it would have got alone.
    meant: str
    importer: Importer
    #: The file for which the directory was added that comes first; empty if it was there from the beginning,
    #: None if the module was loaded already.
    adder: str | None = None
    #: Whether the importing file lies in the package that it means.
    is_own_package: bool = False


class Clashes:
    """Looks for names that lie in several directories of ``sys.path`` when a directory is added.

    Args:
        origins: gives the verdicts on modules.
        find_importer: returns the statement that imports, given the frame's own answer.
        is_of_the_run: tells whether a module is a test file or conftest, which pytest imports by itself.
        who: returns the node id of the test or file that runs.
        found: called once for each name, importing file, and test or file that runs then.
    """

    def __init__(
        self,
        origins: Origins,
        find_importer: Callable[[Importer], Importer],
        is_of_the_run: Callable[[object], bool],
        who: Callable[[], str],
        found: Callable[[Clash], object],
    ) -> None:
        self._origins = origins
        self._find_importer = find_importer
        self._is_of_the_run = is_of_the_run
        self._who = who
        self._found = found
        # The directories, with the file for which each was added last, and the modules in them.
        self._roots: dict[str, str] = {}
        self._modules: dict[str, dict[str, str]] = {}
        # Those that statements inserted, and the modules in other directories on the path.
        self._inserted: set[str] = set()
        self._on_path: dict[str, dict[str, str]] = {}
        self._names = NamesInFolders(self._is_from_elsewhere)
        # By directory: whether a file in it imports a name. Every file of a directory asks.
        self._imports: dict[str, dict[str, bool]] = {}
        # By a file that added a directory: whether it imports a name itself.
        self._imports_of: dict[str, dict[str, bool]] = {}
        self._candidates: set[str] = set()
        # Whether the files that were there before the second conftest were asked if they import one.
        self._asked_for_conftests = False
        self._told_of: set[tuple[str, str, str]] = set()
        # Who asked last, and the states in which all was well for it: a function imports at each call.
        self._asking = ""
        self._well: set[tuple[object, ...]] = set()
        self._undo: Callable[[], None] | None = None

    def expect(self, root: Path, adder: str, *, is_kept: bool = False) -> None:
        """Take note of a directory from which imports are answered from now on.

        Args:
            root: the directory.
            adder: the file for which it was added: a test file beside it, or one that inserted it.
            is_kept: whether it stays where it is if it is on the path.
        """
        folder = absolute(root)
        self._well.clear()
        is_known = folder in self._roots and folder in sys.path
        if not (is_known and is_kept):
            self._roots.pop(folder, None)  # the last one is found first
            self._roots[folder] = adder
        if folder not in self._modules:
            self._modules[folder] = _modules_in(folder)
            self._names.add(folder, self._modules[folder])
        shared = self._names.shared(folder) | self._names.from_elsewhere(folder)
        if not is_kept:
            self._inserted.add(folder)
            own = self._modules[folder]
            shared.update(name for modules in self._others_on_path() for name in modules if name in own)
        package = own_package(adder)
        if package is not None and not _is_same(_location(package[0]), package[1]):
            shared.add(package[0])
        new = self._imported_among(shared - self._candidates, folder, adder)
        if _CONFTEST not in self._candidates and self._names.lie_in_several(_CONFTEST):
            new |= self._conftest_among(folder, adder)
        self._candidates |= new
        if new and self._undo is None:
            self._undo = ASKED.observe(lambda wanted: top_level(wanted) in self._candidates, self._ask, new)
        elif new:
            ASKED.settle(new)

    def _others_on_path(self) -> Iterator[dict[str, str]]:
        """Yield the modules in the users' directories on the path that nobody is known to have added."""
        for entry in items_of("path"):
            if type(entry) is not str or (folder := absolute(entry)) in self._roots:
                continue
            if folder not in self._on_path:
                is_users = self._origins.of_file("", os.path.join(folder, "x.py")) is Origin.FIRST_PARTY
                self._on_path[folder] = _modules_in(folder) if is_users else {}
            yield self._on_path[folder]

    def expect_package(self, path: Path, *, comes_first: bool) -> None:
        """Look at the package through which pytest is about to import a test file.

        Args:
            path: of the test file.
            comes_first: whether pytest puts the directory before all others, though it may be on the path.
        """
        package = own_package(str(path))
        if package is None:
            return
        name, meant = package
        if name in sys.modules:
            got, adder = self._loaded_file(name), None
        elif comes_first:
            return
        else:
            got = _location(name)
            adder = self._roots.get(_root_of(got or ""), "")
        if got is not None and not _is_same(got, meant):
            self._tell(Clash(name, got, meant, Importer(name, str(path), 1), adder, is_own_package=True))

    def stop(self) -> None:
        """Look no more."""
        if self._undo is not None:
            self._undo()
            self._undo = None

    def _imported_among(self, names: Set[str], folder: str, adder: str) -> set[str]:
        """Return the names that a file of a directory, or the one that added it, imports at all."""
        known = self._imports.setdefault(folder, {})
        unknown = names - known.keys()
        known.update(dict.fromkeys(unknown, False))
        for file in self._modules[folder].values() if unknown else ():
            text = text_of(file)
            found = {name for name in unknown if imports_name(text, name)}
            known.update(dict.fromkeys(found, True))
            unknown -= found
            if not unknown:
                break
        own = self._imports_of.setdefault(adder, {})
        if unasked := names - own.keys():  # a file may insert a directory in each of its tests
            text = text_of(adder)
            own.update((name, imports_name(text, name)) for name in unasked)
        return {name for name in names if known[name] or own[name]}

    def _conftest_among(self, folder: str, adder: str) -> set[str]:
        """Return the name of all conftests if somebody imports it.

        Pytest loads them, whether a file imports one or not, and a file may mean one that lies above it.

        Args:
            folder: a directory that came to the others.
            adder: the file for which it did.
        """
        name = {_CONFTEST}
        if self._asked_for_conftests:
            return self._imported_among(name, folder, adder)
        self._asked_for_conftests = True
        of_folders = (self._imported_among(name, each, adder) for each in list(self._modules))
        of_adders = (self._imported_among(name, folder, each) for each in [adder, *self._imports_of])
        return name if any(of_folders) or any(of_adders) else set()

    def _is_from_elsewhere(self, name: str, folder: str) -> bool:
        loaded = self._loaded_file(name)
        return loaded is not None and loaded != self._modules[folder][name]

    def _loaded_file(self, name: str) -> str | None:
        """Return the file of a loaded module, if that is no fake, no test file and no part of Python."""
        module = sys.modules.get(name)
        file = executed_file_of(module)
        # A file that imports a conftest by its name means the one beside it, and gets the last one.
        if file is None or (self._is_of_the_run(module) and not is_conftest(file)):
            return None
        verdict = self._origins.verdict(name, module)
        usable = verdict.origin is Origin.FIRST_PARTY or self._origins.is_installed(file)
        return absolute(file) if usable else None

    def _ask(self, wanted: str) -> None:
        name, asker = top_level(wanted), caller()
        if asker is None:
            return
        importer, who = self._find_importer(asker), self._who()
        if (name, importer.file, who) in self._told_of:
            return
        if who != self._asking:
            self._asking, self._well = who, set()
        state = (name, importer.file, executed_file_of(sys.modules.get(name)), *_path())
        # What is not loaded yet may be written at any time.
        if name not in sys.modules or state not in self._well:
            told = len(self._told_of)
            self._look(name, importer)
            if len(self._told_of) == told:
                self._well.add(state)

    def _look(self, name: str, importer: Importer) -> None:
        file = absolute(importer.file)
        package = own_package(file)
        is_own = package is not None and package[0] == name
        meant = package[1] if package is not None and is_own else self._meant(name, file)
        meant = meant or self._meant_before(name)
        if meant is None:
            return
        found = _location(name)
        if name in sys.modules:
            got = self._loaded_file(name)
            # Alone, it gets what lies first on the path.
            is_sure = is_own or _is_same(found, meant) or not self._is_there_alone(found, file)
            if got is not None and not _is_same(got, meant) and is_sure:
                self._tell(Clash(name, got, meant, importer, is_own_package=is_own))
        elif found is not None and not _is_same(found, meant):
            adder = self._roots.get(_root_of(found), "")
            if is_own or not self._is_there_alone(found, file):
                self._tell(Clash(name, found, meant, importer, adder, is_own_package=is_own))

    def _is_there_alone(self, found: str | None, importer: str) -> bool:
        """Tell whether a module's directory would be on the path if only the importing file was run."""
        root = _root_of(found or "")
        adder = self._roots.get(root)
        if adder is None or absolute(adder) == importer or importer.startswith(root + os.sep):
            return True
        return is_conftest(adder) and importer.startswith(os.path.dirname(absolute(adder)) + os.sep)

    def ends_apart(self, clash: Clash, file: str) -> bool:
        """Tell whether a test file gets the module that it means when it is isolated from the others.

        What pytest puts on the path for other files stays there, before what lies above the file.

        Args:
            clash: what was found.
            file: the test file.
        """
        got, meant = _root_of(clash.got), _root_of(clash.meant)
        if meant == _import_root(file) or self._roots.get(meant) == file:
            return True
        return got in self._inserted and not is_conftest(self._roots.get(got, ""))

    def _tell(self, clash: Clash) -> None:
        self._told_of.add((clash.name, clash.importer.file, self._who()))
        self._found(clash)

    def _meant(self, name: str, importer: str) -> str | None:
        """Return the file of that name that lies nearest above a file, or in a directory that it added."""
        added = [root for root in reversed(self._roots) if self._roots[root] == importer]
        near = [root for root in self._roots if importer.startswith(root + os.sep) and root not in added]
        near.sort(key=len, reverse=True)
        entries = {absolute(entry) for entry in items_of("path") if type(entry) is str}
        # Which directory a file inserts says more of what it means than the one it lies in.
        for root in (*added, *near):
            if name in self._modules[root] and root in entries:
                return self._modules[root][name]
        return None

    def _meant_before(self, name: str) -> str | None:
        """Return the file of that name in a directory of the project, if what is got was inserted later."""
        got = self._loaded_file(name) if name in sys.modules else _location(name)
        root = _root_of(got or "")
        if root not in self._inserted or is_conftest(self._roots.get(root, "")):
            return None  # what a conftest inserts is a decision
        return next((modules[name] for modules in self._others_on_path() if name in modules), None)


def leak_of_clash(
    clash: Clash, polluter: Polluter, places: Places, first_imports: FirstImports, *, ends_apart: bool
) -> Leak:
    """Return the record of an import that got a module of the same name from another directory.

    Args:
        clash: what was found.
        polluter: who loaded the other module, or put its directory on the path.
        places: shortens file names.
        first_imports: tells where the other module was imported.
        ends_apart: whether the file gets the module that it means when it is isolated from the others.
    """
    got, meant = (places.shorten(file) for file in (clash.got, clash.meant))
    how = "is loaded already" if clash.adder is None else "lies before it on sys.path"
    importer = f"{places.shorten(clash.importer.file)}:{clash.importer.line}"
    detail = f"The import at {importer} means {meant} and gets {got}, which {how}."
    first = first_imports.leak(clash.name, polluter)
    severity = WARNING if polluter.phase in ("configure", "conftest") else None
    leak = make_leak(
        "name-clash",
        clash.name,
        polluter,
        detail,
        location=first_imports.location_in_tests(clash.name),
        chain=first.chain,
        severity=severity,
        case=None if ends_apart else "name-clash-by-path",
    )
    if clash.is_own_package:
        return leak._replace(advice=_advice_for_packages(clash.name, got, meant))
    if is_conftest(clash.got):
        return leak._replace(advice=_CONFTEST_ADVICE)
    return leak


def _advice_for_packages(name: str, got: str, meant: str) -> str:
    """Say how two packages of one name, as they are told, can be loaded side by side."""
    deepest = sorted((got, meant), key=lambda file: file.count("/"), reverse=True)
    folders = (os.path.dirname(os.path.dirname(file)) for file in deepest)
    # pytest takes no folder for a package whose name no statement can spell.
    folder = next((folder for folder in folders if os.path.basename(folder).isidentifier()), None)
    rename = "Give one of the two packages another name"
    if folder is None:
        return f"{rename}."
    full = f"{os.path.basename(folder)}.{name}"
    return f"{rename}, or put an __init__.py into {folder} too and import from {full} there."


def own_package(file: str) -> tuple[str, str] | None:
    """Return the name of the outermost package in which a file lies, and its ``__init__.py``."""
    packages = packages_of(absolute(file))
    return (os.path.basename(packages[-1]), os.path.join(packages[-1], "__init__.py")) if packages else None


def _import_root(file: str) -> str:
    """Return the directory from which pytest imports a test file."""
    package = own_package(file)
    return os.path.dirname(absolute(file)) if package is None else _root_of(package[1])


def _path() -> list[str]:
    """Return the working directory and the path, without what is no text: that may compare itself."""
    return [working_directory(), *(entry for entry in items_of("path") if type(entry) is str)]


def _root_of(file: str) -> str:
    """Return the directory from which a module or package of the top level is imported."""
    return os.path.dirname(file.removesuffix(os.sep + "__init__.py"))


def _location(name: str) -> str | None:
    found = find_location(name, is_own_finder)
    return absolute(found) if type(found) is str else None


def _is_same(file: str | None, other: str) -> bool:
    return file == other or (file is not None and os.path.realpath(file) == os.path.realpath(other))


def _modules_in(folder: str) -> dict[str, str]:
    """Return the files of the modules and packages that lie in a directory, by name."""
    found: dict[str, str] = {}
    try:
        entries = list(os.scandir(folder))
    except (OSError, ValueError):  # a path entry may hold any text
        return found
    for entry in entries:
        if entry.name.endswith(".py"):
            found.setdefault(entry.name.removesuffix(".py"), entry.path)
        elif "." not in entry.name and os.path.isfile(os.path.join(entry.path, "__init__.py")):
            found[entry.name] = os.path.join(entry.path, "__init__.py")
    return found
