"""Whether code of the users' own runs in the setup or the teardown of a test.

If none does, nothing can have changed there that is theirs, and nobody has to look at the end of that phase.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

import pytest

from pytest_import_isolation.machinery.functions import function_of
from pytest_import_isolation.machinery.modules import class_home, file_of, top_level
from pytest_import_isolation.plugin.wrapped_functions import users_file
from pytest_import_isolation.state.origins import Origins

#: Hooks that pytest calls before and after each phase.
_BETWEEN: Final = (
    *("pytest_runtest_protocol", "pytest_runtest_logstart", "pytest_runtest_makereport"),
    *("pytest_runtest_logreport", "pytest_report_teststatus"),
)
_IN_SETUP: Final = (*_BETWEEN, "pytest_runtest_setup", "pytest_fixture_setup")
_IN_TEARDOWN: Final = (*_BETWEEN, "pytest_runtest_teardown", "pytest_fixture_post_finalizer")
#: pytest's own fixtures that run no code of others; the argument of ``parametrize()`` is one, too.
_QUIET: Final = frozenset(
    (
        *("cache", "caplog", "capfd", "capfdbinary", "capsys", "capsysbinary", "doctest_namespace"),
        *("monkeypatch", "pytestconfig", "record_property", "record_testsuite_property"),
        *("record_xml_attribute", "recwarn", "subtests", "tmp_path", "tmp_path_factory", "tmpdir"),
        "tmpdir_factory",
    )
)
_OF_PARAMETERS: Final = "get_direct_param_fixture_func"
_OWN: Final = frozenset(("_pytest", "pytest_import_isolation"))


class UsersCode:
    """Follows the fixtures of tests.

    Args:
        manager: has the hooks.
        origins: knows what is installed.
        is_plugins: tells whether a fixture is that of an installed plugin, which answers for itself.
    """

    def __init__(
        self,
        manager: pytest.PytestPluginManager,
        origins: Origins,
        is_plugins: Callable[[pytest.FixtureDef[Any]], object],
    ) -> None:
        self._manager = manager
        self._origins = origins
        #: Tells whether a fixture is that of an installed plugin.
        self.is_plugins = is_plugins
        # By the identity of a class of nodes, which may have a metaclass that compares it: whether it is
        # users' own.
        self._classes: dict[int, tuple[type, bool]] = {}
        # Whether users have some hooks, as far as somebody looked since there is another plugin.
        self._have_users: dict[tuple[str, ...], bool] = {}
        # The node above the running test, whether that or one above it is of a users' class, and whether the
        # test is special itself.
        self._above: object = None
        self._is_below_special = self._is_special = False
        # Whether a fixture that runs users' code was set up or torn down since the test began, and whether
        # one of the test alone was set up; the wider ones that are alive.
        self._has_begun = self._has_own = False
        self._alive: set[int] = set()

    def note_plugin(self) -> None:
        """Take note that there is another plugin."""
        self._have_users.clear()

    def begin_test(self, item: pytest.Item) -> None:
        """Take note that a test begins."""
        self._has_begun = self._has_own = False
        if item.parent is not self._above:
            self._above = item.parent
            self._is_below_special = any(self._is_users(type(node)) for node in item.listchain())
        self._is_special = self._is_below_special or self._is_users(type(item))

    def begin_fixture(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        """Take note that a fixture is set up."""
        if self._runs_users_code(fixturedef):
            self._has_begun = True
            if fixturedef.scope == "function":
                self._has_own = True
            else:
                self._alive.add(id(fixturedef))

    def end_fixture(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        """Take note that a fixture was torn down: a parametrized one is in the setup of a test."""
        if id(fixturedef) in self._alive:
            self._alive.discard(id(fixturedef))
            self._has_begun = True

    @property
    def ran_in_setup(self) -> bool:
        """Whether users' code ran since the test began, if this is the end of its setup."""
        return self._has_begun or self._is_special or self._has_hooks(_IN_SETUP)

    def runs_in_teardown(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """Tell whether users' code will run in the teardown of a test.

        Args:
            item: the test.
            nextitem: the test that runs next, for which wider fixtures stay; None if there is none.
        """
        if self._has_own or self._is_special or self._has_hooks(_IN_TEARDOWN):
            return True
        if self._alive and (nextitem is None or nextitem.parent is not item.parent):
            return True
        # Private; without it any test may ask for these. What a plugin's fixture asks for it uses itself.
        names = getattr(getattr(item, "_fixtureinfo", None), "initialnames", ("request",))
        return "request" in names or "monkeypatch" in names

    def _has_hooks(self, names: tuple[str, ...]) -> bool:
        """Tell whether users have one of some hooks."""
        known = self._have_users.get(names)
        if known is None:
            known = self._have_users[names] = any(
                self._is_of_users(getattr(hook.function, "__module__", ""), hook.function)
                for name in names
                for hook in getattr(self._manager.hook, name).get_hookimpls()
            )
        return known

    def _is_of_users(self, home: object, function: object) -> bool:
        if type(home) is str and top_level(home) in _OWN:
            return False
        return function_of(function) is None or users_file(function, self._origins) is not None

    def _runs_users_code(self, fixturedef: pytest.FixtureDef[Any]) -> bool:
        return not (self.is_plugins(fixturedef) or self._is_quiet(fixturedef))

    @staticmethod
    def _is_quiet(fixturedef: pytest.FixtureDef[Any]) -> bool:
        function = function_of(fixturedef.func)
        home: object = None if function is None else function.__module__
        if function is None or type(home) is not str or top_level(home) != "_pytest":
            return False
        return fixturedef.argname in _QUIET or function.__name__ == _OF_PARAMETERS

    def _is_users(self, kind: type) -> bool:
        """Tell whether a class of nodes is users' own."""
        known = self._classes.get(id(kind))
        if known is None:
            home = class_home(kind)
            file = file_of(sys.modules.get(home))
            is_users = top_level(home) not in _OWN and (file is None or not self._origins.is_installed(file))
            known = self._classes[id(kind)] = kind, is_users
        return known[1]
