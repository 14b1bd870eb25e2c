"""Which modules a failing test wanted absent, or executed, that were loaded and executed before it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Final

from pytest_import_isolation.leaks.absences import absent_names
from pytest_import_isolation.leaks.failed_statements import failed_statements
from pytest_import_isolation.leaks.found_leaks import FoundLeaks
from pytest_import_isolation.leaks.reachable_imports import has_effects, imported_at_top, reachable_imports
from pytest_import_isolation.leaks.user_code import UserCode
from pytest_import_isolation.machinery.modules import ancestors, namespace
from pytest_import_isolation.report.records import Leak, Polluter, make_leak
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.state.references import NewModules

#: Kinds that say what stands in an entry.
_OF_ENTRIES: Final = frozenset(("fake-left", "replaced", "blocked-left"))
#: Phases in which something is executed that a test alone would execute too.
_ALWAYS: Final = ("configure", "conftest", "session")


class LoadedBefore:
    """Finds them from the failure, when it is there; nothing is watched for it.

    Args:
        origins: gives the verdicts on modules.
        code: the users' own code.
        found: knows who imported what first.
        is_of_the_run: tells whether a module is a test file or conftest.
        entry_before: returns what an entry of ``sys.modules`` was when the test began.
        must_stay: tells whether a module is never executed anew.
    """

    def __init__(
        self,
        origins: Origins,
        code: UserCode,
        found: FoundLeaks,
        *,
        is_of_the_run: Callable[[object], bool],
        entry_before: Callable[[str], object],
        must_stay: Callable[[str], object],
    ) -> None:
        self._origins = origins
        self._code = code
        self._found = found
        self._is_of_the_run = is_of_the_run
        self._entry_before = entry_before
        self._must_stay = must_stay

    def wanted_absent(self, error: BaseException, nodeid: str) -> list[Leak]:
        """Return who first imported, or left there, the modules of which a failure says that they are loaded.

        Args:
            error: the failure.
            nodeid: of the test or file that failed.
        """
        found: list[Leak] = []
        for name in dict.fromkeys(absent_names(error, self._code.has_source)):
            if name in self._found.first_importers:
                found += self._first_imports([name], nodeid)
            elif self._entry_before(name) is sys.modules.get(name):
                before_anybody_watched = make_leak("loaded", name, Polluter("", "configure"), "")
                found.append(self._left_under(name) or before_anybody_watched)
        return found

    def users_of(self, names: Iterable[str]) -> list[str]:
        """Return the loaded first-party modules that refer to modules, or to something that is below them."""
        names = list(names)
        wanted = tuple(f"{name}." for name in names)
        # "import a.b" binds a.
        above = {ancestor for name in names for ancestor in ancestors(name)}
        modules = {
            name: module
            for name, module in sys.modules.copy().items()
            if type(name) is str and (f"{name}.".startswith(wanted) or name in above)
        }
        new_modules = NewModules(modules)
        return [
            name
            for name, module in sys.modules.copy().items()
            if self._is_under_test(name, module) and any(new_modules.references(namespace(module) or {}))
        ]

    def wanted_executed(
        self, error: BaseException, functions: Iterable[object], file: str, nodeid: str
    ) -> list[Leak]:
        """Return the first imports, by other tests, of first-party modules that a test imports while it runs.

        Args:
            error: how the test failed.
            functions: the test and its fixtures.
            file: the name of the test's module.
            nodeid: of the test.
        """
        frames = [statement.frame for statement in failed_statements(error, self._code.has_source)]
        names = [
            name
            for name in reachable_imports(functions, frames, self._code.has_source)
            if self._is_older(name, nodeid)
        ]
        # Asked first: what is executed with the file takes a look at all texts of the application.
        if not self._first_imports(names, nodeid):
            return []
        alone = imported_at_top(file, self._code.has_source)
        names = [name for name in names if name not in alone and not self._must_stay(name)]
        return self._first_imports(_to_be_executed(names), nodeid)

    def _first_imports(self, names: Iterable[str], nodeid: str) -> list[Leak]:
        """Return the last records of those modules that somebody else than this test imported first."""
        first = self._found.first_importers
        wanted = {name for name in names if name in first and first[name].nodeid != nodeid}
        found: dict[str, Leak] = {}
        for leak in self._found.leaks:
            if leak.kind == "loaded" and leak.name in wanted and leak.polluter.nodeid != nodeid:
                found[leak.name] = leak  # a module that was forgotten is imported for the first time again
        return list(found.values())

    def _left_under(self, name: str) -> Leak | None:
        """Return the last leak that left an entry under a name, as far as it was not contained."""
        left = (leak for leak in reversed(self._found.leaks) if leak.name == name and not leak.contained)
        return next((leak for leak in left if leak.kind in _OF_ENTRIES), None)

    def _is_under_test(self, name: object, module: object) -> bool:
        return self._origins.is_first_party(name, module) and not self._is_of_the_run(module)

    def _is_older(self, name: str, nodeid: str) -> bool:
        """Tell whether a first-party module was executed in another test or file, which this one may lack."""
        module, first = sys.modules.get(name), self._found.first_importers.get(name)
        if first is None or first.phase in _ALWAYS or nodeid == first.nodeid:
            return False
        is_own_file = first.phase == "collect" and nodeid.startswith(f"{first.nodeid}::")
        return not is_own_file and self._entry_before(name) is module and self._is_under_test(name, module)


def _to_be_executed(names: list[str]) -> list[str]:
    """Return what has to be executed anew, without packages that only hold others and what is below one."""
    chosen = [
        name for name in names if has_effects(name) or not any(name in ancestors(other) for other in names)
    ]
    return [name for name in chosen if not any(above in chosen for above in ancestors(name))]
