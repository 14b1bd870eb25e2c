"""Whose a change of the import state is: that of a library, which may do what it likes, or a test's.

A module answers for what it did when it was executed. A library also answers for what it installs later, when
one of its functions is called. Nobody sees which code runs then, so it is asked what its code can do.
"""

from __future__ import annotations

import keyword
import os
import sys
import weakref
from collections.abc import Collection, Iterable, Mapping
from importlib.machinery import EXTENSION_SUFFIXES
from opcode import opmap
from types import FunctionType, ModuleType
from typing import Any, Final

from pytest_import_isolation.machinery.finders import class_of
from pytest_import_isolation.machinery.functions import codes_in
from pytest_import_isolation.machinery.modules import (
    ABSENT,
    class_namespace,
    file_of,
    namespace,
    top_level,
)
from pytest_import_isolation.machinery.regexes import regex
from pytest_import_isolation.parking.able_code import (
    WORDS,
    codes_of,
    names_change,
    packages_in,
    second_names,
)
from pytest_import_isolation.parking.belongings import folder_of, homes_of, owner_of
from pytest_import_isolation.parking.text_writes import writes
from pytest_import_isolation.state.origins import Origin, Origins
from pytest_import_isolation.state.single_changes import SingleChange
from pytest_import_isolation.watching.executed_modules import EXECUTED
from pytest_import_isolation.watching.makers import Maker, able

_NO_FILES: Final = ("built-in", "frozen")
#: What makes hooks and finders for others.
IMPORT_SYSTEM: Final = (
    "builtins",
    "importlib",
    "_frozen_importlib",
    "_frozen_importlib_external",
    "zipimport",
)
_WORD: Final = regex(r"\w+")
#: The lists of what finds modules.
_FINDING: Final = ("meta_path", "path_hooks")
_RAISE: Final = opmap["RAISE_VARARGS"]
_ERRORS: Final = frozenset(("ImportError", "ModuleNotFoundError"))


def can_be_imported(name: object) -> bool:
    """Tell whether an import statement can have a name."""
    if type(name) is not str:
        return False
    # At the speed of C: each module is asked about.
    parts = name.split(".")
    return all(map(str.isidentifier, parts)) and not any(map(keyword.iskeyword, parts))


def _is_no_folder(entry: str) -> bool:
    """Tell whether a path entry is made for a hook: many texts have the name of some folder in them."""
    is_name = not entry or all(part.isidentifier() for part in entry.split("/") if part)
    return not is_name and not os.path.isabs(entry) and not os.path.exists(entry)


class Ownership:
    """Tells whose changes are.

    Args:
        origins: gives the verdicts on modules, and knows the test code.
    """

    def __init__(self, origins: Origins) -> None:
        self._origins = origins
        self._able: dict[tuple[int, str], tuple[weakref.ref[Any], bool]] = {}

    # What modules did when they were executed

    def is_foreign(self, maker: Maker) -> bool:
        """Tell whether a module that made something is no first-party module."""
        if maker.file is None or maker.file in _NO_FILES:
            module = sys.modules.get(maker.module)
            return (
                module is None or self._origins.verdict(maker.module, module).origin is not Origin.FIRST_PARTY
            )
        return self._origins.of_file(maker.module, maker.file) is Origin.FOREIGN

    def blameless_maker(self, change: SingleChange) -> Maker | None:
        """Return the module that made a change when it was executed, if that is nobody's leak.

        What an installed package does then is its own affair, and so is what a first-party module does under
        names of its own, or lets a finder of its own do. Test code may do the former, but for test files.

        Args:
            change: what is different.
        """
        maker = EXECUTED.maker(change)
        if maker is None:
            return None
        if maker.is_import:
            by_tests = any(self._is_of_test_code(home) for home in maker.finders)
            return None if by_tests or self._origins.is_test_file(maker.file) else maker
        if self.is_foreign(maker):
            return maker
        if change.what in _FINDING:
            return maker if self._is_own_finder(change, maker) else None
        if change.what != "entry" or type(change.key) is not str or self._origins.is_test_file(maker.file):
            return None
        if self._origins.is_test_code(maker.file):
            return maker if f"{change.key}.".startswith(f"{maker.module}.") else None
        own = top_level(maker.module)
        is_own = top_level(change.key) == own or (change.before is ABSENT and _is_of(own, change.after))
        return maker if is_own else None

    def _is_own_finder(self, change: SingleChange, maker: Maker) -> bool:
        """Tell whether an application installed a finder or path hook of its own when it was executed."""
        if change.before is not ABSENT or maker.is_call or self._origins.is_test_code(maker.file):
            return False
        home = next(iter(homes_of(change.after)), "")
        return top_level(home) == top_level(maker.module) and not refuses(change.after)

    def able_library(self, name: str) -> Maker | None:
        """Return a library whose text can put something into the place of an entry when it is executed."""
        return next(filter(self.is_foreign, able(EXECUTED.executed, name)), None)

    def owner(self, change: SingleChange) -> Maker | None:
        """Return the module that made a change when it was executed, if that is no test code.

        What it made goes where it goes.
        """
        maker = EXECUTED.maker(change)
        return None if maker is None or self.is_test_code(maker) else maker

    def owner_of_entry(self, name: str, module: object) -> str | None:
        """Return the name of the other module that made an entry; see :meth:`owner`."""
        owner = self.owner(SingleChange("entry", name, ABSENT, module))
        return None if owner is None or owner.module == name else owner.module

    def is_test_code(self, maker: Maker) -> bool:
        """Tell whether a module that made something is test code."""
        return self._origins.is_test_code(maker.file) and not self.is_foreign(maker)

    def _is_of_test_code(self, module: str) -> bool:
        return self._origins.is_test_code(file_of(sys.modules.get(module)))

    # What they install later

    def installer(
        self, list_name: str, item: object, modules: Mapping[Any, object], texts: Collection[str] = ()
    ) -> str | None:
        """Return the module that can have installed an item itself, when one of its functions was called.

        Args:
            list_name: ``"path"``, ``"meta_path"``, ``"path_hooks"``, ``"path_importer_cache"`` or
                ``"import_function"``.
            item: what was found there.
            modules: those among which it is looked for.
            texts: of the test files that may have done it in its stead.

        Returns:
            Its name, or None if it is test code or of the standard library, or cannot have done it.
        """
        if list_name == "path":
            return self._installer_of_path(item, modules, texts)
        is_said = any(says(text, list_name) for text in texts)
        homes = [*homes_of(item)]
        for home in homes:
            module = modules.get(home)
            if module is None or not self.may_own(home, module):
                continue
            if not self.can_change(home, list_name, modules) and not self._has_changed(
                home, list_name, homes
            ):
                other = None if is_said else self._other_installer(home, list_name, modules)
                if other is not None:
                    return other
                continue
            # A test may have made the object itself, and put a function of a library into it.
            is_sure = top_level(homes[0]) in (top_level(home), *IMPORT_SYSTEM)
            if is_said and (not is_sure or self._origins.is_first_party(home, module)):
                continue
            return home
        is_plain = list_name == "path_hooks" and all(top_level(home) in IMPORT_SYSTEM for home in homes)
        return self._user(list_name, modules, texts) if is_plain and not is_said else None

    def remover(
        self, list_name: str, item: object, modules: Mapping[Any, object], texts: Collection[str] = ()
    ) -> str | None:
        """Return the module that can have taken an item of its own away; see :meth:`installer`.

        A test can do so too, and then its text says it.
        """
        if any(says(text, list_name) for text in texts):
            return None
        return self.installer(list_name, item, modules, texts)

    def _user(self, list_name: str, modules: Mapping[Any, object], texts: Iterable[str]) -> str | None:
        """Return the library that some texts name, if it can install what nobody's code is a part of."""
        words = {word for text in texts for word in _WORD.findall(text)}
        for name, module in modules.items():
            if (
                type(name) is str
                and name in words
                and self.may_own(name, module)
                and self.can_change(name, list_name, modules)
            ):
                return name
        return None

    def _installer_of_path(
        self, item: object, modules: Mapping[Any, object], texts: Iterable[str]
    ) -> str | None:
        if type(item) is not str:
            return None
        owners = {
            name: module
            for name, module in modules.items()
            if type(name) is str and self.may_own(name, module)
        }
        found = [
            name
            for name, module in owners.items()
            if (folder := folder_of(module)) is not None
            and item.startswith(folder)
            and owner_of("path", item, {name: module})
        ]
        able = (name for name in sorted(found, key=len) if self.can_change(name, "path", modules))
        home = next(able, None)
        if home is None and _is_no_folder(item):
            home = self._adder_of(item, owners)
        if home is not None and self._origins.is_first_party(home, modules[home]):
            # Who adds a folder has its name, as a rule.
            name = os.path.basename(item.rstrip(os.sep))
            return None if any(name in text and says(text, "path") for text in texts) else home
        return home

    def _adder_of(self, entry: str, modules: Mapping[str, object]) -> str | None:
        """Return the module whose code can add to the path, and has a certain entry in its text."""
        for name, module in modules.items():
            if self._can(module, "path") and any(
                entry in part.co_consts and names_change(part, "path", second_names(space, "path"))
                for space in (namespace(module) or {},)
                for code in codes_of(space)
                for part in codes_in(code)
            ):
                return name
        return None

    def may_own(self, name: str, module: object) -> bool:
        """Tell whether a module can be a library's, which may install things."""
        file = file_of(module)
        if file is None or self._origins.is_test_code(file):
            return False
        # The standard library owns nothing: what is made of it alone was made by somebody else.
        return self._origins.is_installed(file) or self._origins.is_first_party(name, module)

    def can_change(self, name: str, list_name: str, modules: Mapping[Any, object]) -> bool:
        """Tell whether functions of a module, or of others of its package, name what is changed.

        Of extension modules it is believed.
        """
        package = top_level(name)
        others = [n for n in modules if type(n) is str and n != name and top_level(n) == package]
        return any(self._can(modules.get(other), list_name) for other in (name, *others))

    def is_able_plugin(self, module: object, what: str) -> bool:
        """Tell whether functions of an installed module can write to what is changed.

        Args:
            module: a plugin.
            what: what is changed: a list's name, ``"entry"`` or ``"import_function"``.
        """
        file = file_of(module)
        if file is None or not self._origins.is_installed(file):
            return False
        return self._can(module, "written entry" if what == "entry" else what)

    def can_throw_out(self, module: object) -> bool:
        """Tell whether functions of a library's module name what takes entries out of ``sys.modules``."""
        file = file_of(module)
        return file is not None and self._origins.is_installed(file) and self._can(module, "eviction")

    def _has_changed(self, name: str, list_name: str, others: Iterable[str]) -> bool:
        """Tell whether functions of a module name another one that can change something in its stead.

        Args:
            name: the module.
            list_name: what is changed.
            others: where the rest of what was installed is defined.
        """
        able = {
            top_level(other)
            for other in others
            if top_level(other) != top_level(name) and self._can(sys.modules.get(other), list_name)
        }
        codes = codes_of(namespace(sys.modules.get(name)) or {}) if able else ()
        return any(not able.isdisjoint(part.co_names) for code in codes for part in codes_in(code))

    def _other_installer(self, home: str, list_name: str, modules: Mapping[Any, object]) -> str | None:
        """Return a library that uses another one, or is used by it, and can install what is of that one.

        Args:
            home: the module in which what was installed is defined.
            list_name: what is changed.
            modules: those among which it is looked for.
        """
        package = top_level(home)
        used = set(packages_in(namespace(modules[home]) or {}))
        for name, module in modules.items():
            if type(name) is not str or top_level(name) == package:
                continue
            is_near = top_level(name) in used or package in packages_in(namespace(module) or {})
            if is_near and self.may_own(name, module) and self._can(module, list_name):
                return name
        return None

    def _can(self, module: object, list_name: str) -> bool:
        known = self._able.get((id(module), list_name))
        if known is not None and known[0]() is module:  # another one may have had the same identity
            return known[1]
        space = namespace(module) or {}
        file = space.get("__file__")
        is_extension = type(file) is str and file.endswith(tuple(EXTENSION_SUFFIXES))
        second = second_names(space, list_name)
        is_able = is_extension or any(names_change(code, list_name, second) for code in codes_of(space))
        if issubclass(type(module), ModuleType):
            self._able[id(module), list_name] = weakref.ref(module), is_able
        return is_able


def _is_of(package: str, value: object) -> bool:
    """Tell whether a value is a module of a package, which may give it a second name."""
    if not issubclass(type(value), ModuleType):
        return False
    name = (namespace(value) or {}).get("__name__")
    return type(name) is str and top_level(name) == package and sys.modules.get(name) is value


def says(text: str, list_name: str) -> bool:
    """Tell whether a text names what is changed, and does more than look at it."""
    if not any(all(word in text for word in words) for words in WORDS[list_name]):
        return False
    return list_name in ("entry", "eviction") or writes(text, list_name)


def refuses(finder: object) -> bool:
    """Tell whether a finder raises ``ImportError`` itself: then nobody finds what others have."""
    finding = class_namespace(class_of(finder)).get("find_spec")
    if type(finding) is staticmethod or type(finding) is classmethod:
        finding = finding.__func__
    if type(finding) is not FunctionType or _ERRORS.isdisjoint(finding.__code__.co_names):
        return False
    code = finding.__code__.co_code
    # To raise nothing is to raise what was caught.
    return any(code[at] == _RAISE and code[at + 1] for at in range(0, len(code), 2))
