"""From changes of the import state to leaks: every change is judged alone, by the rules for what changed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType, ModuleType
from typing import Any, Final

from pytest_import_isolation.leaks.attributes import displaced_by, is_bound, judge_attribute, lacks_attribute
from pytest_import_isolation.leaks.containers import judge_import_function, judge_item, judge_rebinding
from pytest_import_isolation.leaks.entries import (
    has_private_name,
    is_first_import,
    is_second_name,
    judge_entry,
)
from pytest_import_isolation.leaks.findings import Finding
from pytest_import_isolation.leaks.first_imports import FirstImports
from pytest_import_isolation.leaks.places import Places
from pytest_import_isolation.machinery.modules import ABSENT, file_of, top_level
from pytest_import_isolation.machinery.source_text import text_of
from pytest_import_isolation.parking.belongings import holds
from pytest_import_isolation.parking.installed_entries import InstalledEntries
from pytest_import_isolation.parking.ownership import Ownership, says
from pytest_import_isolation.report.records import Leak, Polluter, make_leak
from pytest_import_isolation.state.differences import items_of
from pytest_import_isolation.state.list_changes import LISTS
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.state.single_changes import SingleChange
from pytest_import_isolation.watching.executed_modules import EXECUTED
from pytest_import_isolation.watching.import_log import ImportLog
from pytest_import_isolation.watching.makers import Maker

#: What a text says that executes a module by hand.
_EXECUTING: Final = ("exec_module", "load_module", "exec(")


class Judge:
    """Turns single changes into leaks.

    Args:
        origins: gives the verdicts on modules.
        log: who imported what first.
        places: finds the statements.
        at_start: finders and hooks that were there before all others; who puts them back is no polluter.
    """

    def __init__(
        self,
        origins: Origins,
        log: ImportLog,
        places: Places,
        at_start: Mapping[str, Sequence[object]] = MappingProxyType({}),
    ) -> None:
        self._origins = origins
        self._places = places
        self._ownership = Ownership(origins)
        self._installed = InstalledEntries(self._ownership, origins)
        self._first_imports = FirstImports(origins, log, self._places)
        self._at_start = at_start

    def leak(self, change: SingleChange, polluter: Polluter, *, by_fixture: bool = False) -> Leak | None:
        """Return the leak that a change is, or None for a change that harms nobody.

        Args:
            change: what is different.
            polluter: who did it.
            by_fixture: whether a fixture of a wider scope did.
        """
        if is_first_import(change, self._origins):
            return self._first_imports.leak(change.key, polluter)
        self._note_installed(change, polluter)
        maker = self._ownership.blameless_maker(change) or self._replacer(change, polluter)
        if maker is not None:
            return self._first_imports.leak_of_made(change, polluter, maker)
        if self._was_installed_by_a_library(change, polluter):
            return None
        if self._was_executed_by_a_tool(change, polluter):
            return None if change.after is ABSENT else self._first_imports.leak(change.key, polluter)
        found = None if self._was_rebound_by_a_plugin(change, polluter) else self._judge(change)
        if found is None:
            return None
        name = found.name
        if name is None:
            name = change.key if type(change.key) is str else repr(change.key)
        location, chain = self._places.of(change, polluter, name)
        return make_leak(
            found.kind,
            name,
            polluter,
            found.detail,
            location=location,
            chain=chain,
            severity=found.severity,
            case=found.case,
            by_fixture=by_fixture,
        )

    def unbound(
        self, changes: Iterable[SingleChange], polluter: Polluter
    ) -> list[tuple[SingleChange, SingleChange]]:
        """Return that packages lack new submodules, or hold other copies of them, by the hand of test code.

        Args:
            changes: among them those of entries.
            polluter: who made them.

        Returns:
            For each the change of the attribute, and that of the entry.
        """
        changes = [
            change
            for change in changes
            if change.what == "entry"
            and change.before is ABSENT
            and not is_bound(change.key, change.after)  # nearly all are
        ]
        return [*self._lacking(changes), *self._displaced(changes, polluter)]

    def _lacking(self, changes: list[SingleChange]) -> list[tuple[SingleChange, SingleChange]]:
        return [
            (SingleChange("attribute", change.key, change.after, ABSENT), change)
            for change in changes
            if lacks_attribute(change.key, change.after)
            and is_first_import(change, self._origins)
            # Others stay loaded for everybody as long as anybody refers to them.
            and self._origins.is_first_party(change.key, change.after)
            and self._is_entered_by_tests(change)
        ]

    def _displaced(
        self, changes: list[SingleChange], polluter: Polluter
    ) -> list[tuple[SingleChange, SingleChange]]:
        found = [
            (change._replace(what="attribute", before=change.after, after=bound), change)
            for change in changes
            if (bound := displaced_by(change.key, change.after)) is not ABSENT
        ]
        if not found:
            return []
        # Libraries exchange modules of others, too, for purposes of their own.
        text = self._places.text_of(polluter)
        return [
            (change, cause)
            for change, cause in found
            if self._origins.is_first_party(cause.key, cause.after)
            or (says(text, "entry") and top_level(cause.key) in text)
        ]

    def _is_entered_by_tests(self, change: SingleChange) -> bool:
        maker = EXECUTED.maker(change)
        file = self._places.file_that_says(change, "modules")
        if maker is None or maker.is_import or file is not None:
            return file is not None and self._origins.is_test_code(file)
        if maker.file is None or not self._ownership.is_test_code(maker):
            return False
        # A function of an application may have done it while the body of the file ran.
        text = text_of(maker.file)
        return says(text, "entry") and any(word in text for word in _EXECUTING)

    def _note_installed(self, change: SingleChange, polluter: Polluter) -> None:
        """Let a library answer for an entry that it made when one of its functions was called."""
        if change.what != "entry" or change.after is ABSENT:
            return
        if change.before is not ABSENT:
            maker = EXECUTED.maker(change._replace(before=ABSENT, after=change.before))
            if maker is None or not maker.is_call:
                return  # else it makes again what it had made
        file = self._places.file_that_says(change, "modules")
        if file is None or not self._origins.is_test_code(file):
            self._installed.note({change.key: change.after}, lambda: [str(self._places.file_of(polluter))])

    def _replacer(self, change: SingleChange, polluter: Polluter) -> Maker | None:
        """Return the library that put something into the place of an entry when it was executed.

        That was not seen, but its text can do it, and that of the polluter's file cannot.
        """
        if (
            change.what != "entry"
            or type(change.key) is not str
            or change.before is ABSENT
            or change.after is ABSENT
        ):
            return None
        if "modules" in self._places.text_of(polluter):
            return None
        return self._ownership.able_library(change.key)

    def _was_installed_by_a_library(self, change: SingleChange, polluter: Polluter) -> bool:
        """Tell whether a library put an item into a list, or took it away, when it was called.

        Isolation leaves it so: the library remembers what it has done.
        """
        if change.what not in (*LISTS, "import_function") or change.key == "order":
            return False
        if change.before is ABSENT and self._is_put_back(change.what, change.after):
            return True
        modules, texts = sys.modules.copy(), [self._places.text_of(polluter)]
        owner = self._owner_of_item(change, modules, texts)
        if owner is None:
            return False
        word = "__import__" if change.what == "import_function" else change.what
        file = self._places.file_that_says(change, word)
        if file is None or not self._origins.is_first_party(owner, modules.get(owner)):
            return file is None
        # The lines of an application are seen.
        own = (
            module
            for name, module in modules.items()
            if type(name) is str and top_level(name) == top_level(owner)
        )
        return file in map(file_of, own)

    def _is_put_back(self, list_name: str, item: object) -> bool:
        """Tell whether a finder, hook or function stood there at the start, and stands there once."""
        if not any(item is other for other in self._at_start.get(list_name, ())):
            return False
        return list_name not in LISTS or sum(item is other for other in items_of(list_name)) == 1

    def _owner_of_item(
        self, change: SingleChange, modules: Mapping[Any, object], texts: list[str]
    ) -> str | None:
        if change.before is ABSENT:
            return self._ownership.installer(change.what, change.after, modules, texts)
        # Libraries put something into the place of all finders that asks those itself.
        wrappers = (item for item in items_of(change.what) if holds(item, change.before))
        owners = (self._ownership.installer(change.what, item, modules, texts) for item in wrappers)
        owner = next(filter(None, owners), None)
        return owner or self._ownership.remover(change.what, change.before, modules, texts)

    def _was_executed_by_a_tool(self, change: SingleChange, polluter: Polluter) -> bool:
        """Tell whether code that is not the user's executed a user's file under a private name of its own."""
        modules = [module for module in (change.before, change.after) if module is not ABSENT]
        return (
            change.what == "entry"
            and all(issubclass(type(module), ModuleType) for module in modules)
            and all(has_private_name(change.key, module) for module in modules)
            and not is_second_name(change.key, change.after)
            and self._places.file_that_says(change, "modules") is None
            and "modules" not in self._places.text_of(polluter)
        )

    def _was_rebound_by_a_plugin(self, change: SingleChange, polluter: Polluter) -> bool:
        """Tell whether it was a plugin that put another object in place of a container of ``sys``.

        It runs something that is no Python code, such as an example for a type checker, between two of them.
        """
        if change.what != "rebound" or "::" not in polluter.nodeid:
            return False
        word = change.key.rpartition(".")[2]
        return (
            self._places.file_of(polluter).suffix != ".py"
            and word not in self._places.text_of(polluter)
            and self._places.file_that_says(change, word) is None
        )

    def _judge(self, change: SingleChange) -> Finding | None:
        if change.what == "entry":
            return judge_entry(change, self._origins)
        if change.what == "attribute":
            return judge_attribute(change)
        if change.what == "rebound":
            return judge_rebinding(change)
        if change.what == "import_function":
            return judge_import_function(change)
        return judge_item(change, self._places.is_of_project)
