"""Entries of ``sys.modules`` that a library made by hand below its own name when it was called.

What a module enters when it is executed is seen; which code runs later is not. So it is asked whether the
code of the package can have done it, and whether the text of a user's file says that it did. What a library
enters under other names is the doing of who called it: a stand-in for somebody else is wanted there and then.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

from pytest_import_isolation.machinery.modules import (
    ABSENT,
    ancestors,
    class_home,
    file_of,
    namespace,
    top_level,
)
from pytest_import_isolation.machinery.paths import is_conftest
from pytest_import_isolation.machinery.regexes import regex
from pytest_import_isolation.machinery.source_text import text_of
from pytest_import_isolation.parking.ownership import Ownership
from pytest_import_isolation.state.origins import Origin, Origins
from pytest_import_isolation.state.single_changes import SingleChange
from pytest_import_isolation.watching.executed_modules import EXECUTED
from pytest_import_isolation.watching.makers import Maker

_CONTAINER: Final = "modules"
#: Forms in which a text only reads the table.
_READS: Final = regex(
    r"\bin\s+(?:sys\.)?modules\b"
    r"|\bmodules\s*\.\s*(?:get|keys|items|values|copy|pop)\b"
    r"|\bmodules\s*\[[^\]\n]*\](?!\s*=(?!=))"
)
#: Forms in which it writes under a name that is in a variable.
_ANY: Final = regex(
    r"\bmodules\s*(?:\[\s*[^\W\d]|,\s*[^\W\d]|\.\s*(?:setdefault|update|__setitem__)\s*\(\s*[^\W\d])"
)


class InstalledEntries:
    """Puts hand-made entries down to the libraries that made them when they were called.

    Args:
        ownership: tells what the code of modules can do.
        origins: gives the verdicts on modules.
    """

    def __init__(self, ownership: Ownership, origins: Origins) -> None:
        self._ownership = ownership
        self._origins = origins

    def note(
        self, entries: Mapping[Any, object], files: Callable[[], Iterable[str]] = tuple
    ) -> dict[str, object]:
        """Let the libraries answer for those of some new entries that are theirs.

        Args:
            entries: what was not in ``sys.modules`` before.
            files: returns files of users that may have made them.

        Returns:
            Those that look made by hand, whoever made them.
        """
        made = {
            name: module
            for name, module in entries.items()
            if type(name) is str and self._origins.verdict(name, module).origin is Origin.FAKE
        }
        for name, module in made.items():
            if self._is_candidate(module) and self._may_be_called(name, module):
                self._note(name, module, files)
        return made

    def _may_be_called(self, name: str, module: object) -> bool:
        """Tell whether no module was seen to make an entry, or one whose body may have called a library."""
        maker = EXECUTED.maker(SingleChange("entry", name, ABSENT, module))
        if maker is None:
            return True
        is_body = not (maker.is_call or maker.is_import or self._ownership.is_foreign(maker))
        return is_body and top_level(maker.module) != top_level(name) and not _claims_in(maker.file, name)

    def _is_candidate(self, module: object) -> bool:
        """Tell whether what looks made by hand is made by something else than a test's own tools."""
        home = class_home(type(module))
        if top_level(home) == "unittest" or home.startswith("pytest_import_isolation."):
            return False
        return not self._origins.is_test_code(file_of(sys.modules.get(home)))

    def _note(self, name: str, module: object, files: Callable[[], Iterable[str]]) -> None:
        modules = sys.modules.copy()
        maker = self._maker_above(name, modules)
        body = EXECUTED.maker(SingleChange("entry", name, ABSENT, module))
        asking = {*files(), *([body.file] if body is not None and body.file else [])}
        if maker is None or self._is_claimed(name, maker, modules, asking):
            return
        EXECUTED.makers.note_entry(name, module, Maker(maker, file_of(modules.get(maker)), is_call=True))

    def _maker_above(self, name: str, modules: Mapping[Any, object]) -> str | None:
        """Return the package in which an entry lies, if it has no such file and its code can enter it."""
        for package in ancestors(name):
            if package not in modules:
                continue
            if not self._ownership.may_own(package, modules[package]) or _has_file(modules[package], name):
                return None
            return package if self._ownership.can_change(package, "entry", modules) else None
        return None

    def _is_claimed(
        self, name: str, maker: str, modules: Mapping[Any, object], files: Collection[str]
    ) -> bool:
        """Tell whether the text of a user's file says that it makes an entry."""
        is_first_party = self._origins.is_first_party(maker, modules[maker])
        helpers = {
            file
            for home, module in self._origins.first_party(modules).items()
            if (file := file_of(module)) is not None
            and (not self._origins.is_test_file(file) or is_conftest(file))
            # The other modules of a first-party package may do what they like in it.
            and not (is_first_party and top_level(home) == top_level(maker))
        }
        if any(_claims_in(file, name) for file in sorted({*helpers, *files})):
            return True
        # A helper of the tests is told the name.
        last, texts = name.rpartition(".")[2], [*map(text_of, files)]
        return any(
            last in text and (is_conftest(helper) or _stem(helper) in text)
            for helper in helpers
            if self._origins.is_test_code(helper) and _enters_any(text_of(helper))
            for text in texts
        )


def _stem(file: str) -> str:
    return os.path.splitext(os.path.basename(file))[0]


def _enters_any(text: str) -> bool:
    """Tell whether a text enters something under a name that it does not say."""
    return _CONTAINER in text and _ANY.search(_READS.sub("", text)) is not None


def _claims_in(file: str | None, name: str) -> bool:
    """Tell whether the text of a file may enter something under a name."""
    text = "" if file is None else text_of(file)
    return _CONTAINER in text and name.rpartition(".")[2] in text and _CONTAINER in _READS.sub("", text)


def _has_file(package: object, name: str) -> bool:
    """Tell whether a package has a file for a submodule: then a hand-made one is a fake."""
    path = (namespace(package) or {}).get("__path__")
    last = name.rpartition(".")[2]
    for folder in path if type(path) is list else ():
        try:
            found = os.listdir(folder) if type(folder) is str else []
        except OSError:
            continue
        if any(entry.partition(".")[0] == last for entry in found):
            return True
    return False
