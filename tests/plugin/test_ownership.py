"""What libraries and applications do to the import system is theirs: it stays with them and is no leak."""

from __future__ import annotations

from textwrap import dedent, indent
from typing import TYPE_CHECKING, Final

import pytest
from tests.conftest import TAKES_LONG

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

_INSTALLED: Final = "lib/site-packages/"
_FIRST_PARTY: Final = "app/"
_INI: Final = "pythonpath = app lib/site-packages\n"
_MODES: Final = ((), ("--isolate-imports=file",), ("--isolate-imports=test",))

# The end of a library that has _install().
_INSTALLING_ONCE: Final = """
        def use(name):
            global _done
            _names.add(name)
            if not _done:
                _done = True
                _install()

        def is_used(name):
            return name not in _names
"""
# Each has use(name), which installs something once for the process, and is_used(name) for what was imported
# later. The libraries remember that they have done it.
_LATER: Final = {
    "a finder": """
        import sys
        _names, _done = set(), False

        class _Finder:
            def find_spec(self, name, path=None, target=None):
                _names.discard(name)

        def use(name):
            global _done
            _names.add(name)
            if not _done:
                _done = True
                sys.meta_path.insert(0, _Finder())

        def is_used(name):
            return name not in _names
    """,
    "a class, by a list that was imported": """
        from sys import meta_path
        _names, _done = set(), []

        class _Finder:
            @classmethod
            def find_spec(cls, name, path=None, target=None):
                _names.discard(name)

        def use(name):
            _names.add(name)
            if not _done:
                _done.append(True)
                meta_path.insert(0, _Finder)

        def is_used(name):
            return name not in _names
    """,
    "a finder, by a method of the list": """
        import sys as _sys
        _names, _done = set(), False
        _put_first = _sys.meta_path.insert

        class _Finder:
            def find_spec(self, name, path=None, target=None):
                _names.discard(name)

        def _install():
            _put_first(0, _Finder())
    """
    + _INSTALLING_ONCE,
    "a path entry, by another name of sys": """
        import os, sys as _sys
        _done = False
        _extra = os.path.join(os.path.dirname(__file__), "_extra")

        def use(name):
            global _done
            if not _done:
                _done = True
                _sys.path.append(_extra)

        def is_used(name):
            return _extra in _sys.path
    """,
    "a path entry, by another name of the list": """
        import os
        from sys import path as _searched
        _done = False
        _extra = os.path.join(os.path.dirname(__file__), "_extra")

        def use(name):
            global _done
            if not _done:
                _done = True
                _searched.append(_extra)

        def is_used(name):
            return _extra in _searched
    """,
    "a namespace with a function": """
        import sys
        from types import SimpleNamespace
        _names, _done = set(), False

        def _find(name, path=None, target=None):
            _names.discard(name)

        def use(name):
            global _done
            _names.add(name)
            if not _done:
                _done = True
                sys.meta_path.insert(0, SimpleNamespace(find_spec=_find))

        def is_used(name):
            return name not in _names
    """,
    "a class that says that it is of another module and that cannot be hashed": """
        import sys
        _names, _done = set(), False

        class _Meta(type):
            __hash__ = None

            def __eq__(cls, other):
                raise RuntimeError(other)

        def _install():
            class Finder(metaclass=_Meta):
                __module__ = "elsewhere"

                def find_spec(self, name, path=None, target=None):
                    _names.discard(name)

            sys.meta_path.insert(0, Finder())
    """
    + _INSTALLING_ONCE,
    "a path hook that the import system made of itself": """
        import sys
        from importlib.machinery import FileFinder, SourceFileLoader
        _hook = None

        def use(name):
            global _hook
            if _hook is None:
                _hook = FileFinder.path_hook((SourceFileLoader, [".src"]))
                sys.path_hooks.append(_hook)

        def is_used(name):
            return any(hook is _hook for hook in sys.path_hooks)
    """,
    "a path hook that holds a loader": """
        import sys
        from importlib.machinery import FileFinder, SourceFileLoader
        _names, _done = set(), False

        class _Loader(SourceFileLoader):
            def exec_module(self, module):
                super().exec_module(module)
                _names.discard(module.__name__)

        def use(name):
            global _done
            _names.add(name)
            if not _done:
                _done = True
                sys.path_hooks.insert(0, FileFinder.path_hook((_Loader, [".py"])))
                sys.path_importer_cache.clear()

        def is_used(name):
            return name not in _names
    """,
    "a path hook that is a bound method in a partial": """
        import functools, sys
        _names, _done = set(), False

        class _Hook:
            def look(self, names, entry):
                self.seen = True
                raise ImportError(entry)

        _hook = _Hook()

        def use(name):
            global _done
            _hook.seen = False
            if not _done:
                _done = True
                sys.path_hooks.insert(0, functools.partial(_hook.look, _names))
            sys.path_importer_cache.clear()

        def is_used(name):
            return _hook.seen
    """,
    "the import function": """
        import builtins
        _names, _done = set(), False

        def _install():
            before = builtins.__import__

            def __import__(name, *rest, **more):
                _names.discard(name)
                return before(name, *rest, **more)

            builtins.__import__ = __import__
    """
    + _INSTALLING_ONCE,
    "a path entry that is no folder": """
        import sys
        _names, _done = set(), False

        class _Finder:
            def find_spec(self, name, target=None):
                _names.discard(name)

        def _install():
            sys.path.insert(0, "hooklib://entry")
            sys.path_importer_cache["hooklib://entry"] = _Finder()
    """
    + _INSTALLING_ONCE,
    "the finder of a folder": """
        import os, pkgutil, sys
        _names, _done = set(), False

        class _Finder:
            def __init__(self, before):
                self._before = before

            def find_spec(self, name, target=None):
                _names.discard(name)
                return self._before.find_spec(name, target)

        def _install():
            folder = os.path.abspath("app")
            sys.path_importer_cache[folder] = _Finder(pkgutil.get_importer(folder))
    """
    + _INSTALLING_ONCE,
}
# Enters modules below its own name, once for the process.
_LATER_ENTRIES: Final = """
    import sys
    from types import ModuleType
    _done = False

    def use(name):
        global _done
        if not _done:
            _done = True
            for each in ("first", "second"):
                sys.modules[f"hooklib.{each}"] = ModuleType(f"hooklib.{each}")

    def is_used(name):
        return True
"""
_USING: Final = """
    import hooklib
    {mark}
    def test_{name}():
        hooklib.use("{name}")
        import {name}
        assert hooklib.is_used("{name}")
"""


def _later(home: str, text: str, mark: str = "") -> dict[str, str]:
    return {
        f"{home}hooklib/__init__.py": text,
        "app/first.py": "",
        "app/second.py": "",
        "tests/test_a.py": _USING.format(name="first", mark=mark),
        "tests/test_b.py": _USING.format(name="second", mark=mark),
    }


@pytest.mark.parametrize("mode", _MODES[1:])
@pytest.mark.parametrize("home", [_INSTALLED, _FIRST_PARTY])
@pytest.mark.parametrize("what", _LATER)
def test_what_a_library_installs_when_it_is_called_stays_as_long_as_it_does(
    suite: Suite, what: str, home: str, mode: tuple[str, ...]
) -> None:
    run = suite.run(_later(home, _LATER[what]), *mode, ini=_INI)
    assert run.outcomes == {"passed": 2}
    assert run.kinds == []  # what stays is not contained


@pytest.mark.parametrize("mode", _MODES[1:])
@pytest.mark.parametrize(
    "what",
    [
        "a path hook that the import system made of itself",
        "a namespace with a function",
        "the finder of a folder",
    ],
)
def test_and_returns_with_it(suite: Suite, what: str, mode: tuple[str, ...]) -> None:
    files = _later(_INSTALLED, _LATER[what])
    for name in ("tests/test_a.py", "tests/test_b.py"):
        head, test, *rest = (line.strip() for line in files[name].splitlines() if line.strip())
        files[name] = "\n    ".join((test, head, *rest))
    run = suite.run(files, *mode, ini=_INI)
    assert run.outcomes == {"passed": 2}
    assert run.kinds == []


# Imports the library that installs something when it is called first, and never again.
_BY_WAY_OF: Final = """
    _other = None

    def _get():
        global _other
        if _other is None:
            import otherlib
            _other = otherlib
        return _other

    def use(name):
        _get().use(name)

    def is_used(name):
        return _get().is_used(name)
"""


@pytest.mark.parametrize("mode", _MODES)
@pytest.mark.parametrize(
    ("what", "look"),
    [
        ("a finder", "any(type(f) is hooklib._Finder for f in sys.meta_path)"),
        ("a path hook that holds a loader", "sys.path_hooks[0] and len(sys.path_hooks) > 2"),
        ("the import function", "builtins.__import__.__module__ == 'hooklib'"),
        ("a path entry that is no folder", "'hooklib://entry' in sys.path"),
        ("the finder of a folder", "hooklib._Finder in map(type, sys.path_importer_cache.values())"),
    ],
)
def test_also_if_the_tests_of_an_application_look_at_it(
    suite: Suite, what: str, look: str, mode: tuple[str, ...]
) -> None:
    files = _later(_FIRST_PARTY, _LATER[what])
    for name in ("tests/test_a.py", "tests/test_b.py"):
        files[name] = f"{dedent(files[name])}\n    import builtins, sys\n    assert {look}\n"
    run = suite.run(files, *mode, ini=_INI)
    assert run.outcomes == {"passed": 2}
    assert run.kinds == [] or not mode  # what stays is not contained


@pytest.mark.parametrize("mode", _MODES[1:])
@pytest.mark.parametrize("what", ["a finder", "a namespace with a function"])
def test_also_if_another_library_holds_on_to_it(suite: Suite, what: str, mode: tuple[str, ...]) -> None:
    files = {**_later(_INSTALLED, _BY_WAY_OF), f"{_INSTALLED}otherlib.py": _LATER[what]}
    files["conftest.py"] = "import hooklib"
    run = suite.run(files, *mode, ini=_INI)
    assert run.outcomes == {"passed": 2}
    assert run.kinds == []


@pytest.mark.parametrize("mode", _MODES[1:])
def test_also_if_a_library_gives_its_function_to_one_that_nobody_holds(
    suite: Suite, mode: tuple[str, ...]
) -> None:
    library = """
        _names, _done = set(), False

        def _find(name, path=None, target=None):
            _names.discard(name)

        def _install():
            import otherlib
            otherlib.register(_find)
    """
    other = """
        import sys

        class Finder:
            def __init__(self, find):
                self.find_spec = find

        def register(find):
            sys.meta_path.insert(0, Finder(find))
    """
    files = {**_later(_INSTALLED, library + _INSTALLING_ONCE), f"{_INSTALLED}otherlib.py": other}
    run = suite.run(files, *mode, ini=_INI)
    assert run.outcomes == {"passed": 2}
    assert run.kinds == []


# Each is a library hooklib/ of several packages: one defines the finder, another one can install it.
_APART: Final = {
    "the finder of another library": (
        """
            import sys
            from otherlib import Finder, _names
            _done = False

            def _install():
                sys.meta_path.insert(0, Finder())
        """,
        """
            _names = set()

            class Finder:
                def find_spec(self, name, path=None, target=None):
                    _names.discard(name)
        """,
    ),
    "by a function of another library": (
        """
            import otherlib
            _names, _done = set(), False

            class Finder:
                def find_spec(self, name, path=None, target=None):
                    _names.discard(name)

            def _install():
                otherlib.put_first(Finder())
        """,
        """
            import sys

            def put_first(finder):
                sys.meta_path.insert(0, finder)
        """,
    ),
}


@pytest.mark.parametrize("mode", _MODES)
@pytest.mark.parametrize("home", [_INSTALLED, _FIRST_PARTY])
@pytest.mark.parametrize("what", _APART)
def test_also_if_one_library_installs_what_another_one_defines(
    suite: Suite, what: str, home: str, mode: tuple[str, ...]
) -> None:
    library, other = _APART[what]
    files = {**_later(home, dedent(library) + dedent(_INSTALLING_ONCE)), f"{home}otherlib.py": other}
    run = suite.run(files, *mode, ini=_INI)
    assert run.outcomes == {"passed": 2}
    assert run.kinds == []


@pytest.mark.parametrize("mode", _MODES)
@pytest.mark.parametrize(
    "what",
    [
        "a finder",
        "a path hook that holds a loader",
        "the import function",
        "a path entry, by another name of sys",
        "entries below its own name",
    ],
)
def test_also_if_the_body_of_an_application_calls_it(suite: Suite, what: str, mode: tuple[str, ...]) -> None:
    files = _later(_INSTALLED, _LATER.get(what, _LATER_ENTRIES))
    for test, name in (("a", "first"), ("b", "second")):
        # Its own modules are forgotten, and the library is parked: it remembers what it has done.
        files[f"app/using_{name}.py"] = f'import hooklib\nhooklib.use("{name}")\n'
        asked = f"hooklib.{name}" if what not in _LATER else name
        files[f"tests/test_{test}.py"] = (
            f"def test_it():\n    import hooklib, using_{name}\n"
            f"    import {asked}\n    assert hooklib.is_used({name!r})\n"
        )
    run = suite.run(files, *mode, ini=_INI)
    assert run.outcomes == {"passed": 2}
    assert run.kinds == []


@pytest.mark.parametrize("mode", _MODES)
@pytest.mark.parametrize("is_held", [True, False])
def test_also_a_change_of_a_finder_s_class(suite: Suite, is_held: bool, mode: tuple[str, ...]) -> None:
    files = _later(
        _INSTALLED,
        """
        from importlib.machinery import PathFinder
        _names, _done = set(), False
        _real = PathFinder.find_spec

        def _find(name, path=None, target=None):
            _names.discard(name)
            return _real(name, path, target)

        def _install():
            PathFinder.find_spec = staticmethod(_find)
    """
        + _INSTALLING_ONCE,
    )
    for test, name in (("a", "first"), ("b", "second")):
        files[f"app/using_{name}.py"] = f'import hooklib\nhooklib.use("{name}")\n'
        files[f"tests/test_{test}.py"] = (
            f"def test_it():\n    import hooklib, using_{name}, {name}\n    assert hooklib.is_used({name!r})\n"
        )
    if is_held:
        files["conftest.py"] = "import hooklib\n"
    run = suite.run(files, *mode, ini=_INI)
    assert run.outcomes == {"passed": 2}
    assert run.kinds == []


@pytest.mark.parametrize("mode", _MODES)
def test_but_what_the_body_of_an_application_installs_itself_goes_with_it(
    suite: Suite, mode: tuple[str, ...]
) -> None:
    files = _later(_INSTALLED, _LATER["a finder"])
    files["app/using.py"] = "import sys, hooklib\nsys.meta_path.insert(0, hooklib._Finder())\n"
    files["tests/test_a.py"] = "def test_it():\n    import using\n"
    files["tests/test_b.py"] = (
        "import sys\n\n\ndef test_it():\n    import hooklib\n"
        f"    assert any(type(f) is hooklib._Finder for f in sys.meta_path) is {not mode}\n"
    )
    run = suite.run(files, *mode, ini=_INI)
    assert run.outcomes == {"passed": 2}


_PLANTING_ANY: Final = """
    import sys, types, pytest

    def plant(name):
        sys.modules[name] = types.ModuleType(name)

    @pytest.fixture(name="plant")
    def give():
        return plant
"""


@pytest.mark.parametrize("mode", _MODES)
@pytest.mark.parametrize("where", ["a helper", "a helper, for the file", "a fixture"])
def test_a_helper_of_the_tests_that_enters_what_it_is_told_makes_no_library_s_entry(
    suite: Suite, where: str, mode: tuple[str, ...]
) -> None:
    polluter = {
        "a helper": "import hooklib, planting\n\ndef test_a():\n    planting.plant('hooklib.extra')\n",
        "a helper, for the file": (
            "import hooklib, planting\nplanting.plant('hooklib.extra')\n\ndef test_a(): pass\n"
        ),
        "a fixture": "import hooklib\n\ndef test_a(plant):\n    plant('hooklib.extra')\n",
    }[where]
    files = {
        f"{_INSTALLED}hooklib/__init__.py": "import sys\n\ndef loaded(): return sorted(sys.modules)\n",
        f"tests/{'conftest' if where == 'a fixture' else 'planting'}.py": _PLANTING_ANY,
        "tests/test_a.py": polluter,
        "tests/test_b.py": (
            "import pytest, hooklib\n\ndef test_b():\n"
            "    with pytest.raises(ImportError): import hooklib.extra\n"
        ),
    }
    run = suite.run(files, *mode, ini=_INI)
    assert run.outcomes == ({"passed": 2} if mode else {"passed": 1, "failed": 1})
    assert run.kinds == [("fake-left", "hooklib.extra")]
    assert run.leak("fake-left", "hooklib.extra")["contained"] is bool(mode)


@pytest.mark.parametrize("mode", _MODES)
def test_but_a_library_that_a_file_calls_at_its_top_makes_its_own(
    suite: Suite, mode: tuple[str, ...]
) -> None:
    files = {f"{_INSTALLED}hooklib/__init__.py": _LATER_ENTRIES}
    for test, name in (("a", "first"), ("b", "second")):
        files[f"tests/test_{test}.py"] = (
            f"import hooklib\nhooklib.use({name!r})\nimport hooklib.{name}\n\ndef test_it(): pass\n"
        )
    run = suite.run(files, *mode, ini=_INI)
    assert run.outcomes == {"passed": 2}
    assert run.kinds == []


@pytest.mark.parametrize("mode", _MODES)
def test_but_what_a_test_makes_and_hands_to_a_library_is_its_own(suite: Suite, mode: tuple[str, ...]) -> None:
    files = _later(_INSTALLED, _APART["by a function of another library"][1])
    for name in ("tests/test_a.py", "tests/test_b.py"):
        files[name] = """
            import hooklib

            class Finder:
                def find_spec(self, name, path=None, target=None):
                    return None

            def test_it():
                hooklib.put_first(Finder())
        """
    run = suite.run(files, *mode, ini=_INI)
    assert run.outcomes == {"passed": 2}
    assert [kind for kind, _ in run.kinds] == ["finder-added", "finder-added"]


_REMEMBERS_ALL: Final = """
    import sys

    class Patcher:
        SEEN = set()

        def note(self):
            self.SEEN.update(sys.modules.values())
"""


@pytest.mark.parametrize("mode", _MODES[1:])
def test_what_an_application_installs_leaves_with_it_whoever_remembers_its_modules(
    suite: Suite, mode: tuple[str, ...]
) -> None:
    files = {
        f"{_INSTALLED}keeplib.py": _REMEMBERS_ALL,
        "conftest.py": "import keeplib",
        f"{_FIRST_PARTY}shop.py": """
            import sys

            class Finder:
                @staticmethod
                def find_spec(name, path=None, target=None):
                    return None

            sys.meta_path.append(Finder())
        """,
    }
    for name in ("one", "two"):
        files[f"test_{name}.py"] = """
            import sys
            sys.modules["backend"] = sys
            import shop
            import keeplib

            def test_it():
                keeplib.Patcher().note()
                assert [type(each) for each in sys.meta_path if type(each).__name__ == "Finder"] == [shop.Finder]
        """
    assert suite.run(files, *mode, ini=_INI).outcomes == {"passed": 2}


@pytest.mark.parametrize("what", _LATER)
def test_also_if_a_marked_test_calls_it(suite: Suite, what: str) -> None:
    mark = "import pytest\n    @pytest.mark.isolated_imports"
    run = suite.run(_later(_INSTALLED, _LATER[what], mark), ini=_INI, report=False)
    assert run.outcomes == {"passed": 2}


@pytest.mark.parametrize("mode", _MODES)
@pytest.mark.parametrize(
    "decorated",
    [
        "@functools.lru_cache(maxsize=None)",
        "@once",
        "@Command",
        "@functools.partial(functools.partial)",
    ],
)
def test_also_if_something_else_was_made_of_its_function(
    suite: Suite, decorated: str, mode: tuple[str, ...]
) -> None:
    lib = f"""
        import functools, sys
        _names = set()

        def once(function):
            done = []
            def call():
                if not done:
                    done.append(function())
                return done[0]
            return call

        class Command:
            def __init__(self, callback):
                self.callback = once(callback)
            def __call__(self):
                return self.callback()

        class _Finder:
            def find_spec(self, name, path=None, target=None):
                _names.discard(name)

        {decorated}
        def _install():
            if "_finder" not in globals():
                globals()["_finder"] = _Finder()
                sys.meta_path.insert(0, _finder)

        def use(name):
            _names.add(name)
            _install()

        def is_used(name):
            return name not in _names
    """
    run = suite.run(_later(_INSTALLED, lib), *mode, ini=_INI)
    assert run.outcomes == {"passed": 2}
    assert run.kinds == []


@pytest.mark.parametrize("mode", _MODES)
@pytest.mark.parametrize("home", [_INSTALLED, _FIRST_PARTY])
def test_what_a_library_takes_away_again_is_gone(suite: Suite, home: str, mode: tuple[str, ...]) -> None:
    test = """
        import hooklib

        def test_before(): assert hooklib.state() == [{before}] * 3

        # To call a function is not to replace it.
        def test_called(): assert __import__("hooklib") is hooklib

        def test_switch(): hooklib.switch()

        def test_after(): assert hooklib.state() == [{after}] * 3
    """
    run = suite.run(
        {
            f"{home}hooklib.py": """
                import builtins, sys

                class _Finder:
                    def find_spec(self, name, path=None, target=None): pass

                def _hook(path): raise ImportError

                _finder, _before = _Finder(), []

                def switch():
                    before = builtins.__import__
                    if _before:
                        sys.meta_path.remove(_finder)
                        sys.path_hooks.remove(_hook)
                        builtins.__import__ = _before.pop()
                    else:
                        _before.append(before)
                        sys.meta_path.append(_finder)
                        sys.path_hooks.append(_hook)
                        builtins.__import__ = lambda *args, **more: before(*args, **more)

                def state():
                    replaced = bool(_before) and builtins.__import__ is not _before[0]
                    return [_finder in sys.meta_path, _hook in sys.path_hooks, replaced]
            """,
            "tests/test_a.py": test.format(before=False, after=True),
            "tests/test_b.py": test.format(before=True, after=False),
            "tests/test_c.py": test.format(before=False, after=True),
        },
        *mode,
        ini=_INI,
    )
    assert run.outcomes == {"passed": 12}
    assert run.kinds == []


# Puts something of its own into the place of all finders and hooks, and asks those.
_WRAPPING: Final = """
    import sys
    _saved, _names = [], set()

    class _Finder:
        def __init__(self, wrapped):
            self._wrapped = wrapped

        def find_spec(self, name, path=None, target=None):
            _names.add(name)
            return self._wrapped.find_spec(name, path, target)

    def _hook(wrapped):
        def look(entry):
            return wrapped(entry)
        return look

    def switch():
        if _saved:
            sys.meta_path[:], sys.path_hooks[:] = _saved.pop()
        else:
            _saved.append((sys.meta_path[:], sys.path_hooks[:]))
            sys.meta_path[:] = [*map(_Finder, sys.meta_path)]
            sys.path_hooks[:] = [*map(_hook, sys.path_hooks)]
        sys.path_importer_cache.clear()

    def state():
        finders = [type(finder) is _Finder for finder in sys.meta_path[-3:]]
        hooks = [hook.__name__ == "look" for hook in sys.path_hooks]
        return {*finders, *hooks}

    def has_seen(name):
        return name in _names
"""


@pytest.mark.parametrize("mode", _MODES)
@pytest.mark.parametrize("home", [_INSTALLED, _FIRST_PARTY])
def test_what_a_library_puts_into_the_place_of_all_finders_is_the_librarys(
    suite: Suite, home: str, mode: tuple[str, ...]
) -> None:
    test = """
        import hooklib
        {switch}
        def test_after():
            import {name}
            assert hooklib.state() == {{{is_on}}}
            assert hooklib.has_seen("{name}") is {is_on}
    """
    switch = "def test_switch(): hooklib.switch()"
    run = suite.run(
        {
            f"{home}hooklib.py": _WRAPPING,
            **{f"app/{name}.py": "" for name in ("first", "second", "third", "fourth")},
            "tests/test_a.py": test.format(switch=switch, name="first", is_on=True),
            "tests/test_b.py": test.format(switch="", name="second", is_on=True),
            "tests/test_c.py": test.format(switch=switch, name="third", is_on=False),
            "tests/test_d.py": test.format(switch="", name="fourth", is_on=False),
        },
        *mode,
        ini=_INI,
    )
    assert run.outcomes == {"passed": 6}
    assert run.kinds == []  # they stay, so nothing is contained


@pytest.mark.parametrize("mode", _MODES[1:])
def test_a_test_that_wraps_all_finders_itself_answers_for_it(suite: Suite, mode: tuple[str, ...]) -> None:
    run = suite.run(
        {
            "tests/test_a.py": """
                import sys
                from importlib.machinery import PathFinder

                class Finder:
                    def __init__(self, wrapped):
                        self.find_spec = wrapped.find_spec
                        self.wrapped = wrapped

                def test_it(): sys.meta_path[:] = [*map(Finder, sys.meta_path)]
            """,
            "tests/test_b.py": """
                import sys
                from importlib.machinery import PathFinder

                def test_it(): assert PathFinder in sys.meta_path
            """,
        },
        *mode,
        ini=_INI,
    )
    assert run.outcomes == {"passed": 2}
    assert {leak["contained"] for leak in run.leaks} == {True}
    assert {kind for kind, _ in run.kinds} == {"finder-added", "finder-removed"}


@pytest.mark.parametrize("mode", [_MODES[0], *(pytest.param(m, marks=TAKES_LONG) for m in _MODES[1:])])
def test_also_in_the_workers_of_xdist(suite: Suite, mode: tuple[str, ...]) -> None:
    files = {**_later(_INSTALLED, _LATER["a finder"]), "app/third.py": "", "app/fourth.py": ""}
    for name in ("third", "fourth"):
        files[f"tests/test_{name}.py"] = _USING.format(name=name, mark="")
    run = suite.run(files, *mode, "-n2", plugins=("xdist",), ini=_INI)
    assert run.outcomes == {"passed": 4}
    assert run.kinds == []


@pytest.mark.parametrize("mode", _MODES)
def test_also_if_the_tests_of_an_application_add_others(suite: Suite, mode: tuple[str, ...]) -> None:
    test = """
        import sys, shop

        def test_own(monkeypatch, tmp_path):
            sys.path.insert(0, str(tmp_path))
            sys.path.remove(str(tmp_path))
            monkeypatch.syspath_prepend(tmp_path)

        def test_it():
            shop.use()
            import extra_{n}
    """
    run = suite.run(
        {
            "app/shop/__init__.py": """
                import os, sys
                _done = []
                def use():
                    if not _done:
                        _done.append(1)
                        sys.path.append(os.path.join(os.path.dirname(__file__), "_extra"))
            """,
            "app/shop/_extra/extra_1.py": "",
            "app/shop/_extra/extra_2.py": "",
            "tests/test_a.py": test.format(n=1),
            "tests/test_b.py": test.format(n=2),
        },
        *mode,
        ini=_INI,
    )
    assert run.outcomes == {"passed": 4}
    assert run.kinds == []


@pytest.mark.parametrize("way", ["sys.path.append", "__import__('site').addsitedir"])
@pytest.mark.parametrize("mode", _MODES)
def test_a_path_entry_inside_of_a_library_is_the_librarys(
    suite: Suite, mode: tuple[str, ...], way: str
) -> None:
    test = "import vendored\ndef test_it():\n    vendored.use()\n    import extra_{n}"
    run = suite.run(
        {
            "lib/site-packages/vendored/__init__.py": f"""
                import os, sys
                _done = []
                def use():
                    if not _done:
                        _done.append(1)
                        {way}(os.path.join(os.path.dirname(__file__), "_extra"))
            """,
            "lib/site-packages/vendored/_extra/extra_1.py": "",
            "lib/site-packages/vendored/_extra/extra_2.py": "",
            "tests/test_a.py": test.format(n=1),
            "tests/test_b.py": test.format(n=2),
        },
        *mode,
        ini=_INI,
    )
    assert run.outcomes == {"passed": 2}
    assert run.kinds == []


# What a library enters by hand when it is called, and remembers.
_ENTERED: Final = {
    "below it": ("lib.moved", "sys.modules[f'{__name__}.moved'] = ModuleType('moved')"),
    "below a package of it": ("lib.part.moved", "sys.modules[__name__ + '.part.moved'] = object()"),
    "a block": ("lib.blocked", "sys.modules[f'{__name__}.blocked'] = None"),
}


def _entering(home: str, what: str) -> dict[str, str]:
    name, statement = _ENTERED[what]
    library = f"""
        import sys
        from types import ModuleType
        import lib.part
        _done = []

        def use():
            if not _done:
                {statement}
                _done.append(sys.modules[{name!r}])
            return sys.modules.get({name!r}, 7) is _done[0]
    """
    test = "import lib\ndef test_it(): assert lib.use()\ndef test_again(): test_it()"
    return {
        f"{home}lib/__init__.py": library,
        f"{home}lib/part.py": "",
        "tests/test_a.py": test,
        "tests/test_b.py": test,
    }


@pytest.mark.parametrize("mode", _MODES)
@pytest.mark.parametrize("home", [_INSTALLED, _FIRST_PARTY])
@pytest.mark.parametrize("what", _ENTERED)
def test_an_entry_that_a_library_makes_when_it_is_called_stays_as_long_as_it_does(
    suite: Suite, what: str, home: str, mode: tuple[str, ...]
) -> None:
    run = suite.run(_entering(home, what), *mode, ini=_INI)
    assert run.outcomes == {"passed": 4}
    assert run.kinds == []


_COPYING: Final = """
    import importlib, sys

    def copy(name):
        kept = sys.modules.pop(name)
        made = importlib.import_module(name)
        sys.modules[name] = kept
        return made
"""


@pytest.mark.parametrize("mode", _MODES)
def test_a_package_that_holds_the_copy_which_a_library_made_when_it_was_executed_is_no_leak(
    suite: Suite, mode: tuple[str, ...]
) -> None:
    run = suite.run(
        {
            f"{_INSTALLED}copying.py": _COPYING,
            f"{_INSTALLED}lib.py": "from copying import copy\nmade = copy('xml.dom.minidom')\n",
            "tests/test_a.py": """
                import xml.dom.minidom

                def test_it():
                    import lib
                    assert lib.made is not sys.modules["xml.dom.minidom"]

                import sys
            """,
            "tests/test_b.py": "import xml.dom.minidom\n\ndef test_it(): import lib",
        },
        *mode,
        ini=_INI,
    )
    assert run.outcomes == {"passed": 2}
    assert run.kinds == []


def test_also_if_a_test_imports_it_for_the_first_time(suite: Suite) -> None:
    run = suite.run(
        {
            f"{_INSTALLED}copying.py": _COPYING,
            f"{_INSTALLED}lib.py": "import xml.sax\nfrom copying import copy\nmade = copy('xml.sax')\n",
            "tests/test_a.py": """
                import sys

                def test_it():
                    import lib
                    assert lib.made is not sys.modules["xml.sax"]
            """,
        },
        ini=_INI,
    )
    assert run.outcomes == {"passed": 1}
    assert run.kinds == []


def test_a_package_that_holds_the_copy_which_a_test_had_made_is_a_leak(suite: Suite) -> None:
    run = suite.run(
        {
            f"{_INSTALLED}copying.py": _COPYING,
            "tests/test_a.py": """
                import xml.dom.minidom
                from copying import copy

                def test_it():
                    copy("xml.dom.minidom")
            """,
        },
        ini=_INI,
    )
    assert run.outcomes == {"passed": 1}
    assert run.kinds == [("stale-attribute", "xml.dom.minidom")]


@pytest.mark.parametrize("mode", _MODES[1:])
def test_a_library_that_holds_an_entry_which_it_made_is_executed_once(
    suite: Suite, mode: tuple[str, ...]
) -> None:
    test = """
        import counter

        def test_it():
            import lib
            from lib.sub import part
            assert part is lib.part
            assert counter.executions == ["lib", "lib.sub"]
    """
    run = suite.run(
        {
            f"{_INSTALLED}counter.py": "executions = []\n",
            f"{_INSTALLED}lib/__init__.py": """
                import sys, counter
                from types import ModuleType

                class Part:
                    pass

                counter.executions.append("lib")
                part = sys.modules["lib.part"] = Part()
                moved = sys.modules["libmoved"] = ModuleType("libmoved")
            """,
            f"{_INSTALLED}lib/sub.py": """
                import counter
                from lib import part
                counter.executions.append("lib.sub")
            """,
            "tests/test_a.py": test,
            "tests/test_b.py": test,
        },
        *mode,
        ini=_INI,
        report=False,
    )
    assert run.outcomes == {"passed": 2}
    assert "isolated" not in run.output


@pytest.mark.parametrize("what", ["below it", "a block"])
def test_an_entry_that_a_library_makes_in_a_window_returns_with_it(suite: Suite, what: str) -> None:
    files = _entering(_INSTALLED, what)
    files["tests/test_a.py"] = files["tests/test_b.py"] = """
        def test_it():
            import lib
            assert lib.use()

        def test_again(): test_it()
    """
    files["tests/test_c.py"] = f"""
        import sys
        from pytest_import_isolation import IsolatedImportContext

        def test_it():
            import lib
            with IsolatedImportContext():
                assert lib.use()
            assert lib.use()
            assert {_ENTERED[what][0]!r} in sys.modules
    """
    for mode in (("--isolate-imports=file",), ("--isolate-imports=test",)):
        run = suite.run(files, *mode, ini=_INI)
        assert run.outcomes == {"passed": 5}
        assert run.kinds == []


def test_what_a_helper_of_the_tests_enters_below_a_library_is_a_fake(suite: Suite) -> None:
    run = suite.run(
        {
            "lib/site-packages/lib/__init__.py": "import sys\ndef use(): return sys.modules[__name__]",
            "lib/site-packages/lib/real.py": "",
            "lib/site-packages/other.py": "import sys\ndef use(): return 'elsewhere' in sys.modules",
            "tools/stubs.py": """
                import sys
                from types import ModuleType

                def plant():
                    for name in ("lib.made", "elsewhere"):
                        sys.modules[name] = ModuleType(name)
            """,
            "tests/test_a.py": """
                import lib, other, stubs
                from unittest.mock import MagicMock, patch

                def test_it():
                    stubs.plant()

                def test_mock(monkeypatch):
                    patch.dict("sys.modules", {"lib.mocked": MagicMock()}).start()

                def test_real():
                    stubs.sys.modules["lib.real"] = stubs.ModuleType("lib.real")
            """,
        },
        ini=f"{_INI[:-1]} tools\n",
    )
    assert run.kinds == [
        ("fake-left", "lib.made"),
        ("fake-left", "elsewhere"),
        ("fake-left", "lib.mocked"),
        ("fake-left", "lib.real"),
    ]


@pytest.mark.parametrize(
    "library",
    [
        "class Finder:\n    @staticmethod\n    def find_spec(*_): pass",
        # It could do it, and did not.
        "import sys\nclass Finder:\n    @staticmethod\n    def find_spec(*_): pass\n"
        "def install(): sys.meta_path.append(Finder)",
    ],
)
@pytest.mark.parametrize("home", [_INSTALLED, _FIRST_PARTY])
def test_a_test_that_installs_the_finder_of_a_library_itself_answers_for_it(
    suite: Suite, home: str, library: str
) -> None:
    files = {
        f"{home}shop.py": library,
        "tests/test_a.py": "import sys, shop\ndef test_it():\n    sys.meta_path.insert(0, shop.Finder())",
        "tests/test_b.py": "import sys, shop\ndef test_it(): pass",
    }
    run = suite.run(files, ini=_INI)
    assert run.kinds == [("finder-added", "shop.Finder")]
    assert run.leak("finder-added", "shop.Finder")["location"]["line"] == 3


@pytest.mark.parametrize("home", [_INSTALLED, _FIRST_PARTY])
def test_and_it_is_undone(suite: Suite, home: str) -> None:
    files = {
        f"{home}shop.py": "class Finder:\n    @staticmethod\n    def find_spec(*_): pass",
        "tests/test_a.py": "import sys, shop\ndef test_it():\n    sys.meta_path.insert(0, shop.Finder())",
        "tests/test_b.py": """
            import sys, shop
            def test_it():
                assert not [finder for finder in sys.meta_path if type(finder) is shop.Finder]
        """,
    }
    for mode in _MODES[1:]:
        run = suite.run(files, *mode, ini=_INI)
        assert run.outcomes == {"passed": 2}
        assert run.leak("finder-added", "shop.Finder")["contained"]


@pytest.mark.parametrize("mode", _MODES[1:])
@pytest.mark.parametrize("home", [_INSTALLED, _FIRST_PARTY])
def test_what_stays_because_a_library_may_have_installed_it_is_not_called_contained(
    suite: Suite, home: str, mode: tuple[str, ...]
) -> None:
    finder = "class {}:\n    @staticmethod\n    def find_spec(*_): pass\n"
    run = suite.run(
        {
            f"{home}shop.py": f"import sys\n{finder.format('Shop')}def install(): sys.meta_path.append(Shop())",
            "tests/helpers.py": """
                import sys, shop
                def install(finder): sys.meta_path.append(finder)
            """,
            "tests/own.py": finder.format("Own"),
            "tests/test_a.py": """
                import helpers, own, shop
                def test_it(): helpers.install(shop.Shop())
                def test_own(): helpers.install(own.Own())
            """,
            "tests/test_b.py": """
                import own, shop, sys
                def test_it():
                    kinds = [type(finder) for finder in sys.meta_path]
                    assert shop.Shop in kinds and own.Own not in kinds
            """,
        },
        *mode,
        ini=_INI,
    )
    assert run.outcomes == {"passed": 3}
    assert not run.leak("finder-added", "shop.Shop")["contained"]
    assert run.leak("finder-added", "own.Own")["contained"]


_OWN_FINDERS: Final = {
    "finder": """
        import sys
        class Finder:
            def find_spec(self, name, path=None, target=None): return None
        sys.meta_path.append(Finder())
    """,
    "finder class first of all": """
        import sys
        class Finder:
            @staticmethod
            def find_spec(name, path=None, target=None): return None
        sys.meta_path.insert(0, Finder)
    """,
    "hook": """
        import sys
        def hook(entry): raise ImportError
        sys.path_hooks.append(hook)
    """,
}


@pytest.mark.parametrize("where", ["tests/conftest.py", "tests/test_a.py", "in the test"])
@pytest.mark.parametrize("mode", _MODES)
@pytest.mark.parametrize("what", _OWN_FINDERS)
def test_an_application_may_install_a_finder_of_its_own_when_it_is_imported(
    suite: Suite, what: str, mode: tuple[str, ...], where: str
) -> None:
    files = {
        f"{_FIRST_PARTY}shop/__init__.py": "from shop import finding",
        f"{_FIRST_PARTY}shop/finding.py": _OWN_FINDERS[what],
        "tests/conftest.py": "",
        "tests/test_a.py": "def test_it():\n    import shop",
        "tests/test_b.py": "def test_it(): pass",
    }
    run = suite.run(
        files | ({} if where == "in the test" else {where: "import shop\ndef test_it(): pass"}),
        *mode,
        ini=_INI,
    )
    assert run.outcomes == {"passed": 2}
    assert not run.kinds


_FINDING: Final = {
    "raise ImportError(name)": True,
    "raise ModuleNotFoundError(name)": True,
    "if name in ('wave',): raise ImportError": True,
    "try: import absent\n        except ImportError: return None": False,
    "try: import csv\n        except ImportError: raise": False,
    "raise KeyError(name)\n        __import__('csv')": False,
}


@pytest.mark.parametrize("finding", _FINDING)
@pytest.mark.parametrize("kind", ["", "@staticmethod", "@classmethod"])
def test_it_answers_for_a_finder_of_its_own_that_refuses_modules(
    suite: Suite, kind: str, finding: str
) -> None:
    names = {"": "self, name", "@staticmethod": "name", "@classmethod": "cls, name"}[kind]
    files = {
        f"{_FIRST_PARTY}shop.py": "import sys\nclass Finder:\n"
        f"    {kind}\n    def find_spec({names}, path=None, target=None):\n        {finding}\n"
        f"sys.meta_path.append(Finder{'' if kind else '()'})",
        "tests/test_a.py": "def test_it(): import shop",
    }
    run = suite.run(files, ini=_INI)
    assert [told for told, _ in run.kinds] == ["finder-added"] * _FINDING[finding]


@pytest.mark.parametrize(
    ("finding", "kind"),
    [
        ("from types import SimpleNamespace as Finder", "types.SimpleNamespace"),
        ("from helpers import Finder", "helpers.Finder"),
    ],
)
def test_but_it_answers_for_one_that_is_not_its_own(suite: Suite, finding: str, kind: str) -> None:
    files = {
        "tests/helpers.py": "class Finder:\n    def find_spec(self, *_): return None",
        f"{_FIRST_PARTY}shop.py": f"import sys\n{finding}\nsys.meta_path.append(Finder())",
        "tests/test_a.py": "import sys\ndef test_it():\n    import shop\n    sys.meta_path[-1].find_spec = lambda *_: None",
    }
    run = suite.run(files, ini=_INI)
    assert [kind for kind, _ in run.kinds] == ["finder-added"]


# What a library does when it is imported, and what a test can see of it.
_AT_IMPORT: Final = {
    "an entry below it": (
        "sys.modules['lib.moved'] = ModuleType('lib.moved')",
        "'lib.moved' in sys.modules",
    ),
    "an entry elsewhere": (
        "sys.modules['elsewhere'] = ModuleType('elsewhere')",
        "'elsewhere' in sys.modules",
    ),
    "a block": ("sys.modules['elsewhere'] = None", "'elsewhere' in sys.modules"),
    "an object": ("sys.modules['lib.thing'] = object()", "'lib.thing' in sys.modules"),
    "a name that cannot be imported": ("sys.modules['$lib$'] = object()", "'$lib$' in sys.modules"),
    "a path entry": ("sys.path.append('/lib/somewhere')", "'/lib/somewhere' in sys.path"),
    "a finder": ("sys.meta_path.append(Finder)", "lib.Finder in sys.meta_path"),
    "a finder of somebody else's class": (
        "sys.meta_path.append(f := type('F', (), dict(find_spec=lambda *_: None, __module__='x')))",
        "lib.f in sys.meta_path",
    ),
    "a path hook": ("sys.path_hooks.append(hook)", "lib.hook in sys.path_hooks"),
    "the import function": ("builtins.__import__ = function", "builtins.__import__ is lib.function"),
    "a method of a finder's class": (
        "PathFinder.find_distributions = staticmethod(found := lambda *_: [])",
        "PathFinder.find_distributions is lib.found",
    ),
    "no method of a finder's class": (
        "del PathFinder.find_distributions",
        "not hasattr(PathFinder, 'find_distributions')",
    ),
    "a new method of a finder's class": (
        "PathFinder.find_lib = found = 1",
        "hasattr(PathFinder, 'find_lib')",
    ),
}
_LIB: Final = """
    import builtins, sys
    from importlib.machinery import PathFinder
    from types import ModuleType

    class Finder:
        @staticmethod
        def find_spec(*_): pass

    def hook(entry):
        raise ImportError(entry)

    before = builtins.__import__

    def function(*args, **more):
        return before(*args, **more)

    {}
"""


def _tests_of(seen: str) -> str:
    return f"""
        import builtins, sys
        from importlib.machinery import PathFinder

        def test_one():
            import lib
            assert {seen}

        def test_two():
            import lib
            assert {seen}

        def test_three():
            import outer
            import lib
            assert {seen}
    """


@pytest.mark.parametrize("mode", _MODES)
@pytest.mark.parametrize("what", _AT_IMPORT)
def test_what_a_library_does_when_it_is_imported_goes_and_returns_with_it(
    suite: Suite, what: str, mode: tuple[str, ...]
) -> None:
    done, seen = _AT_IMPORT[what]
    run = suite.run(
        {
            "lib/site-packages/lib/__init__.py": _LIB.format(done),
            "lib/site-packages/outer.py": "import lib",
            "tests/test_a.py": _tests_of(seen),
        },
        *mode,
        ini=_INI,
    )
    assert run.outcomes == {"passed": 3}
    assert run.kinds == []


@pytest.mark.parametrize("what", _AT_IMPORT)
def test_a_test_that_does_not_import_it_sees_nothing_of_it(suite: Suite, what: str) -> None:
    done, seen = _AT_IMPORT[what]
    run = suite.run(
        {
            "lib/site-packages/lib/__init__.py": _LIB.format(done),
            "tests/test_a.py": f"""
                import builtins, sys
                from importlib.machinery import PathFinder
                import pytest

                class Before: pass

                @pytest.fixture(autouse=True)
                def between():
                    lib = Before
                    if vars(Before).keys() >= {{"hook"}}:
                        assert not ({seen})

                @pytest.mark.parametrize("number", [1, 2, 3])
                def test_uses(number):
                    import lib
                    assert {seen}
                    for key in ("Finder", "hook", "function", "found", "f"):
                        setattr(Before, key, staticmethod(vars(lib).get(key)))
            """,
        },
        "--isolate-imports=test",
        ini=_INI,
    )
    assert run.outcomes == {"passed": 3}


def test_a_hook_returns_with_a_package_that_had_imported_its_owner(suite: Suite) -> None:
    run = suite.run(
        {
            "lib/site-packages/inner.py": """
                import sys
                class Finder:
                    @staticmethod
                    def find_spec(*_): pass
                sys.meta_path.append(Finder)
                sys.modules["apart"] = Finder
            """,
            "lib/site-packages/outer/__init__.py": "from outer import deep",
            "lib/site-packages/outer/deep.py": "import inner",
            "tests/test_a.py": """
                import sys, pytest

                @pytest.mark.parametrize("number", [1, 2, 3])
                def test_it(number):
                    import outer
                    assert outer.deep.inner.Finder in sys.meta_path
                    assert sys.modules["apart"] is outer.deep.inner.Finder
            """,
        },
        "--isolate-imports=test",
        ini=_INI,
    )
    assert run.outcomes == {"passed": 3}
    assert run.kinds == []


@pytest.mark.parametrize("mode", _MODES)
def test_a_library_that_executes_another_module_again_replaced_nothing(
    suite: Suite, mode: tuple[str, ...]
) -> None:
    run = suite.run(
        {
            "lib/site-packages/green/__init__.py": """
                import sys
                sys.modules.pop("colorsys")
                import colorsys
                sys.modules["green_colorsys"] = colorsys
                try:
                    import green.broken
                except ZeroDivisionError:
                    pass
                import green.thrown
                del sys.modules["green.thrown"]
                sys.modules["green.kept"] = sys
            """,
            "lib/site-packages/green/broken.py": "import wave\n1 / 0",
            "lib/site-packages/green/thrown.py": "import stringprep",
            "tests/test_a.py": "import colorsys\ndef test_it(): import green",
            "tests/test_b.py": "import green\nfrom colorsys import rgb_to_hsv\ndef test_it(): pass",
        },
        *mode,
        ini=_INI,
    )
    assert run.outcomes == {"passed": 2}
    assert run.kinds == []


@pytest.mark.parametrize("mode", _MODES)
def test_an_application_may_register_names_of_its_own(suite: Suite, mode: tuple[str, ...]) -> None:
    run = suite.run(
        {
            "app/shed/__init__.py": """
                import sys, types
                sys.modules["shed.moved"] = types.ModuleType("shed.moved")
                sys.modules["hut"] = sys.modules[__name__]  # its name of before
                import shed.proxy
            """,
            "app/shed/proxy.py": "import sys\nsys.modules[__name__] = object()",
            "tests/test_a.py": "import shed.moved\ndef test_it(): import hut, shed.moved, shed.proxy",
            "tests/test_b.py": "def test_it():\n    import hut, shed.moved",
        },
        *mode,
        ini=_INI,
    )
    assert run.outcomes == {"passed": 2}
    assert run.kinds == []


def test_an_application_that_plants_other_names_answers_for_them(suite: Suite) -> None:
    run = suite.run(
        {
            "app/shed.py": "import sys, types\nsys.modules['colorsys'] = types.ModuleType('colorsys')",
            "tests/test_a.py": "import shed\ndef test_it(): pass",
        },
        ini=_INI,
    )
    assert run.kinds == [("fake-left", "colorsys")]


_PRIVATE: Final = """
    import importlib.util
    import sys

    def load(path):
        spec = importlib.util.spec_from_file_location("user_private", path)
        sys.modules["user_private"] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)

    def load_and_forget(path):
        load(path)
        del sys.modules["user_private"]
"""


def test_a_file_that_a_tool_executes_under_a_private_name_is_information(suite: Suite) -> None:
    using = """
        import tool

        def test_one(tmp_path):
            for name in ("one", "two"):
                (tmp_path / f"{name}.py").write_text("import wave")
                tool.load(tmp_path / f"{name}.py")

        def test_other(tmp_path):
            (tmp_path / "three.py").write_text("")
            tool.load(tmp_path / "three.py")

        def test_forgotten(tmp_path):
            (tmp_path / "four.py").write_text("")
            tool.load_and_forget(tmp_path / "four.py")
    """
    run = suite.run({"lib/site-packages/tool.py": _PRIVATE, "tests/test_a.py": using}, ini=_INI)
    assert run.outcomes == {"passed": 3}
    assert run.kinds == []
    assert {leak["severity"] for leak in run.report["leaks"] if leak["name"] == "user_private"} == {"info"}
    own = suite.run({"lib/site-packages/tool.py": "", "tests/tool.py": _PRIVATE}, ini="pythonpath = tests\n")
    assert own.outcomes == {"passed": 3}
    assert ("replaced", "user_private") in own.kinds


def test_test_code_answers_for_what_it_plants_at_import_and_by_a_library(suite: Suite) -> None:
    run = suite.run(
        {
            "lib/site-packages/stubs.py": """
                import sys, types
                def stub(name):
                    sys.modules[name] = types.ModuleType(name)
            """,
            "tests/helpers.py": "import sys\nsys.modules['by_helper'] = object()",
            "tests/test_a.py": """
                import sys, helpers, stubs
                sys.modules["by_file"] = object()
                stubs.stub("by_library")

                def test_it():
                    stubs.stub("in_test")
            """,
        },
        ini=_INI,
    )
    assert sorted(run.kinds) == [
        ("fake-left", name) for name in ("by_file", "by_helper", "by_library", "in_test")
    ]


@pytest.mark.parametrize("mode", _MODES)
def test_the_place_of_what_a_library_plants_is_the_line_that_calls_it(
    suite: Suite, mode: tuple[str, ...]
) -> None:
    run = suite.run(
        {
            "lib/site-packages/stubs.py": """
                import sys, types
                def stub(): sys.modules["elsewhere"] = types.ModuleType("elsewhere")
            """,
            "tests/test_a.py": """
                from stubs import stub

                def test_it():
                    pass

                def test_call():
                    stub()
            """,
        },
        *mode,
        ini=_INI,
    )
    place = run.leak("fake-left", "elsewhere")["location"]
    assert place == {"file": "tests/test_a.py", "line": 8, "exact": False}


def test_nothing_is_tainted_by_what_a_library_makes(suite: Suite) -> None:
    run = suite.run(
        {
            "lib/site-packages/lib/__init__.py": """
                import sys, types
                sys.modules["lib.virtual"] = types.ModuleType("lib.virtual")
                import lib.user
            """,
            "lib/site-packages/lib/user.py": "import lib.virtual",
            "tests/test_a.py": "import sys\nimport lib\nassert sys.path_hooks\ndef test_it(): pass",
            "tests/test_b.py": "import lib.virtual\ndef test_it(): pass",
        },
        ini=_INI,
    )
    assert run.kinds == []


def test_what_a_library_made_is_told_with_the_first_imports(suite: Suite) -> None:
    run = suite.run(
        {
            "lib/site-packages/lib.py": "import sys, types\nsys.modules['odd'] = types.ModuleType('odd')",
            "tests/test_a.py": "def test_it(): import lib",
        },
        "-vv",
        "--import-leak-report",
        ini=_INI,
    )
    assert run.leak("loaded", "odd")["detail"].endswith(", made by lib when that was executed.")
    assert "made by lib when that was executed" in " ".join(run.output.split())


@pytest.mark.parametrize("mode", _MODES)
@pytest.mark.parametrize("import_mode", ["prepend", "importlib"])
def test_a_module_that_is_collected_for_its_doctests_is_everybodys(
    suite: Suite, mode: tuple[str, ...], import_mode: str
) -> None:
    use = """
        import sys
        import shop
        assert "shop.moved" in sys.modules

        def test_it():
            import shop.moved
            assert shop.is_installed()
    """
    run = suite.run(
        {
            "shop/__init__.py": '''
                import sys, types

                class Finder:
                    @staticmethod
                    def find_spec(*_): pass

                sys.meta_path.append(Finder)
                sys.path.append("/shop/somewhere")
                sys.modules["shop.moved"] = types.ModuleType("shop.moved")

                def is_installed():
                    """
                    >>> is_installed()
                    True
                    """
                    return Finder in sys.meta_path and "/shop/somewhere" in sys.path
            ''',
            "tests/test_a.py": use,
            "tests/test_b.py": use,
        },
        *mode,
        f"--import-mode={import_mode}",
        "--doctest-modules",
        "shop",
        "tests",
        ini="pythonpath = .\n",
    )
    assert run.outcomes == {"passed": 3}
    assert not [leak for leak in run.leaks if leak["severity"] == "error"]


def test_a_module_that_pytest_executes_by_its_path_answers_for_itself_also_if_it_raises(suite: Suite) -> None:
    run = suite.run(
        {
            "lib.d/shop.py": """
                import sys, types
                sys.modules["lib_d.shop.moved"] = types.ModuleType("lib_d.shop.moved")
            """,
            "lib.d/broken.py": """
                import sys, types
                sys.modules["lib_d.broken.part"] = types.ModuleType("lib_d.broken.part")
                1 / 0
            """,
            "tests/test_a.py": "def test_it(): pass",
        },
        "--import-mode=importlib",
        *("--doctest-modules", "--continue-on-collection-errors"),
        *("lib.d", "tests"),
    )
    assert run.outcomes == {"error": 1, "passed": 1}
    assert not run.kinds


def test_what_the_fixture_of_an_installed_plugin_leaves_is_the_plugins(suite: Suite) -> None:
    run = suite.run(
        {
            "lib/site-packages/plug.py": """
                import sys, types, pytest

                @pytest.fixture
                def patched():
                    sys.modules["by_setup"] = types.ModuleType("by_setup")
                    yield
                    sys.modules["by_teardown"] = types.ModuleType("by_teardown")

                @pytest.fixture
                def around(mine):
                    pass
            """,
            "tests/test_a.py": """
                import sys, types, pytest

                @pytest.fixture
                def mine():
                    sys.modules["by_mine"] = types.ModuleType("by_mine")

                def test_it(patched):
                    sys.modules["by_test"] = types.ModuleType("by_test")

                def test_around(around): pass
            """,
        },
        "-p",
        "plug",
        env={"PYTHONPATH": f"{suite.python_path}:{suite.root / 'lib' / 'site-packages'}"},
    )
    assert run.kinds == [("fake-left", "by_test"), ("fake-left", "by_mine")]


def test_what_a_fixture_did_before_it_asked_for_a_plugins_is_its_own(suite: Suite) -> None:
    run = suite.run(
        {
            "lib/site-packages/plug.py": """
                import pytest

                @pytest.fixture
                def first(): pass

                @pytest.fixture
                def second(): pass
            """,
            "tests/test_a.py": """
                import sys, types, pytest

                @pytest.fixture
                def mine(first, request):
                    sys.modules["by_mine"] = types.ModuleType("by_mine")
                    request.getfixturevalue("second")

                def test_it(mine): pass
            """,
        },
        "-p",
        "plug",
        env={"PYTHONPATH": f"{suite.python_path}:{suite.root / 'lib' / 'site-packages'}"},
    )
    assert run.kinds == [("fake-left", "by_mine")]


def test_what_the_fixture_of_a_plugin_did_before_it_asked_for_another_is_the_plugins(suite: Suite) -> None:
    run = suite.run(
        {
            "lib/site-packages/plug.py": """
                import sys, types, pytest

                @pytest.fixture
                def inner():
                    yield
                    sys.modules["after_inner"] = types.ModuleType("after_inner")

                @pytest.fixture
                def outer(request):
                    sys.modules["before_inner"] = types.ModuleType("before_inner")
                    request.getfixturevalue("inner")
                    sys.modules["behind_inner"] = types.ModuleType("behind_inner")
            """,
            "tests/test_a.py": """
                import sys, types

                def test_it(outer):
                    sys.modules["by_test"] = types.ModuleType("by_test")

                def test_finalizer(request, outer):
                    request.node.addfinalizer(lambda: sys.modules.update(late=types.ModuleType("late")))
            """,
        },
        "-p",
        "plug",
        env={"PYTHONPATH": f"{suite.python_path}:{suite.root / 'lib' / 'site-packages'}"},
    )
    assert run.kinds == [("fake-left", "by_test"), ("fake-left", "late")]


#: Where users' code runs beside the fixtures of a plugin, and rebinds an attribute or enters a fake.
_BESIDE_PLUGINS: Final = {
    "test that asks for them": """
        def test_it(request):
            request.getfixturevalue("first")
            {change}
            request.getfixturevalue("second")
    """,
    "fixture that asks for one": """
        @pytest.fixture
        def mine(request):
            request.getfixturevalue("first")
            {change}

        def test_it(mine, second): pass
    """,
    "setup between them": """
        @pytest.fixture
        def mine(first):
            {change}

        def test_it(first, mine, second): pass
    """,
    "teardown between them": """
        @pytest.fixture
        def mine(first):
            yield
            {change}

        @pytest.fixture
        def last(mine, second): pass

        def test_it(last): pass
    """,
    "teardown of a wider fixture": """
        @pytest.fixture(scope="module")
        def mine():
            yield
            {change}

        def test_it(mine, first): pass
    """,
}


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("app.sub = types.ModuleType('app.sub')", ("stale-attribute", "app.sub")),
        ("sys.modules['fake'] = types.ModuleType('fake')", ("fake-left", "fake")),
    ],
)
@pytest.mark.parametrize("where", _BESIDE_PLUGINS)
@pytest.mark.parametrize("used_before", [0, 10])
def test_what_users_code_does_beside_the_fixtures_of_a_plugin_is_its_own(
    suite: Suite, where: str, change: str, kind: tuple[str, str], used_before: int
) -> None:
    run = suite.run(
        {
            "tests/test_0.py": f"""
                import pytest

                @pytest.mark.parametrize("number", range({used_before}))
                def test_it(number, first, second): pass
            """,
            "app/__init__.py": "",
            "app/sub.py": "",
            "lib/site-packages/plug.py": """
                import pytest

                @pytest.fixture
                def first(): yield

                @pytest.fixture
                def second(): yield

                @pytest.fixture(autouse=True)
                def everywhere(): yield
            """,
            "tests/test_a.py": "import sys, types, pytest, app.sub\n"
            + dedent(_BESIDE_PLUGINS[where]).format(change=change),
        },
        "-p",
        "plug",
        env={
            "PYTHONPATH": f"{suite.python_path}:{suite.root}:{suite.root / 'lib' / 'site-packages'}",
        },
    )
    assert run.kinds == [kind]


@pytest.mark.parametrize("when", ["setup", "teardown"])
def test_what_one_of_several_fixtures_of_plugins_does_to_a_package_is_the_plugins(
    suite: Suite, when: str
) -> None:
    change = "app.sub = types.ModuleType('app.sub')"
    run = suite.run(
        {
            "lib/site-packages/app/__init__.py": "",
            "lib/site-packages/app/sub.py": "",
            "lib/site-packages/plug.py": f"""
                import types, pytest, app.sub

                @pytest.fixture
                def first(): yield

                @pytest.fixture
                def second(first):
                    {change if when == "setup" else "pass"}
                    yield
                    {change if when == "teardown" else "pass"}

                @pytest.fixture
                def third(second): yield
            """,
            "tests/test_a.py": "def test_it(third): pass",
        },
        "-p",
        "plug",
        env={"PYTHONPATH": f"{suite.python_path}:{suite.root / 'lib' / 'site-packages'}"},
    )
    assert not run.kinds


@pytest.mark.parametrize("when", ["setup", "teardown"])
@pytest.mark.parametrize("mode", _MODES)
@pytest.mark.parametrize(
    "what",
    ["sys.modules.update(one=types.ModuleType('one'))", "setattr(app, 'sub', types.ModuleType('app.sub'))"],
)
def test_also_what_it_does_after_many_tests_in_which_it_did_nothing(
    suite: Suite, when: str, mode: tuple[str, ...], what: str
) -> None:
    change = f"number == 9 and {what}"
    run = suite.run(
        {
            "lib/site-packages/app/__init__.py": "",
            "lib/site-packages/app/sub.py": "",
            "lib/site-packages/plug.py": f"""
                import sys, types, pytest, app.sub
                sys.modules["one"] = types.ModuleType("one")

                @pytest.fixture(autouse=True)
                def everywhere(number):
                    {change if when == "setup" else "pass"}
                    yield
                    {change if when == "teardown" else "pass"}
            """,
            "tests/test_a.py": """
                import sys, types, pytest

                @pytest.mark.parametrize("number", range(10))
                def test_it(number): pass

                @pytest.mark.parametrize("number", [10])
                def test_own(number): sys.modules["two"] = types.ModuleType("two")
            """,
        },
        "-p",
        "plug",
        *mode,
        env={"PYTHONPATH": f"{suite.python_path}:{suite.root / 'lib' / 'site-packages'}"},
    )
    assert run.outcomes == {"passed": 11}
    assert run.kinds == [("fake-left", "two")]


_PLUGIN: Final = """
    import sys, types, pytest
    done = []
    def plant_once():
        if not done:
            done.append(1)
            sys.modules["planted"] = types.ModuleType("planted")
            sys.path.append("planted-by-plug")
"""
_PLANTING: Final = {
    "function fixture": "@pytest.fixture(autouse=True)\ndef plants(): plant_once()",
    "class fixture": "@pytest.fixture(autouse=True, scope='class')\ndef plants(): plant_once()",
    "setup": "def pytest_runtest_setup(item): plant_once()",
    "call": "def pytest_pyfunc_call(pyfuncitem): plant_once()",
    "wrapper": (
        "@pytest.hookimpl(hookwrapper=True)\ndef pytest_runtest_protocol(item):\n    plant_once()\n    yield"
    ),
    "collection": "def pytest_pycollect_makeitem(name): plant_once()",
}


@pytest.mark.parametrize("what", _PLANTING)
@pytest.mark.parametrize("mode", _MODES)
def test_what_an_installed_plugin_does_when_pytest_calls_it_stays(
    suite: Suite, what: str, mode: tuple[str, ...]
) -> None:
    test = """
        import sys
        def test_one(): import planted
        def test_two(): assert "planted-by-plug" in sys.path
    """
    files = {
        "lib/site-packages/plug.py": f"{dedent(_PLUGIN)}\n{_PLANTING[what]}\n",
        "test_a.py": test,
        "test_b.py": test,
    }
    env = {"PYTHONPATH": f"{suite.python_path}:{suite.root / 'lib' / 'site-packages'}"}
    run = suite.run(files, *mode, "-p", "plug", env=env)
    assert run.outcomes == {"passed": 4}
    assert run.kinds == []
    # The same is done where nothing is reported.
    run = suite.run({}, *mode, "-p", "plug", env=env, report=False)
    assert run.outcomes == {"passed": 4}
    assert "isolated" not in run.output


def test_a_test_answers_for_what_its_text_says_beside_such_a_plugin(suite: Suite) -> None:
    run = suite.run(
        {
            "lib/site-packages/plug.py": f"{dedent(_PLUGIN)}\n{_PLANTING['setup']}\n",
            "app/stubs.py": "import sys, types\ndef plant(): sys.modules['other'] = types.ModuleType('other')",
            "test_a.py": "import stubs\ndef test_a(): stubs.plant()",
            "test_b.py": """
                import sys, types
                def test_b(): sys.modules["own"] = types.ModuleType("own")
            """,
        },
        "-p",
        "plug",
        ini=_INI,
        env={"PYTHONPATH": f"{suite.python_path}:{suite.root / 'lib' / 'site-packages'}"},
    )
    assert run.outcomes == {"passed": 2}
    assert {
        (leak["name"], leak["polluter"]["nodeid"]) for leak in run.leaks if leak["severity"] == "error"
    } == {
        ("other", "test_a.py::test_a"),
        ("own", "test_b.py::test_b"),
    }


def test_the_directory_of_a_conftest_that_raises_is_pytests(suite: Suite) -> None:
    run = suite.run({"sub/conftest.py": "1 / 0", "sub/test_b.py": "", "test_a.py": "def test_it(): pass"})
    assert run.kinds == []


# Its hooks could make any change.
_ABLE: Final = """
    import sys, types
    def pytest_runtest_setup(item):
        if item.name == "nothing":
            sys.modules["planted"] = types.ModuleType("planted")
            sys.path.insert(0, "planted")
            sys.meta_path.insert(0, item)
            sys.path_hooks.insert(0, item)
"""
_ASKING: Final = {
    "make_package": """
        def test_ask(make_package): make_package({"made/__init__.py": ""})
        def test_again(make_package): make_package({"made/__init__.py": ""})
    """,
    "a block": """
        from pytest_import_isolation import IsolatedImportContext
        def test_ask():
            with IsolatedImportContext(path=["/asked"]) as context:
                context.add_path("/added")
    """,
    "a fixture of the file": """
        import pytest
        from pytest_import_isolation import IsolatedImportContext
        @pytest.fixture(scope="module")
        def asks():
            with IsolatedImportContext(path=["/asked"], fakes={"above.fake": {}}): yield
        def test_ask(asks): import above.fake
        def test_again(asks): import above.fake
    """,
    **{
        argument: f"""
            import pytest, hooks
            @pytest.mark.isolated_imports({argument})
            def test_ask(): pass
            @pytest.mark.isolated_imports({argument})
            def test_import():
                import colorsys
        """
        for argument in (
            'path=["/asked"]',
            "finders=[hooks.Finder()]",
            "path_hooks=[hooks.hook]",
            'fakes={"colorsys": {}, "above.fake": {}}',
            'fresh="wave"',
            'missing="wave"',
        )
    },
}


@pytest.mark.parametrize("what", _ASKING)
@pytest.mark.parametrize(("mode", "report"), [((), False), *((mode, True) for mode in _MODES)])
def test_what_a_window_makes_itself_is_no_plugins_and_goes_with_it(
    suite: Suite, what: str, mode: tuple[str, ...], report: bool
) -> None:
    look = """
        import sys
        def test_nothing_is_left():
            for entry in sys.path: assert not entry.endswith(("/asked", "/added", "0/packages"))
            for item in [*sys.meta_path, *sys.path_hooks]:
                assert "hooks" not in (type(item).__module__, item.__module__)
            assert sys.modules.keys().isdisjoint(("above", "above.fake", "made"))
    """
    run = suite.run(
        {
            "lib/site-packages/plug.py": _ABLE,
            "hooks.py": """
                class Finder:
                    def find_spec(self, name, path=None, target=None): return None
                def hook(entry): raise ImportError
            """,
            "test_a.py": _ASKING[what],
            "test_b.py": look,
        },
        *mode,
        "-p",
        "plug",
        env={"PYTHONPATH": f"{suite.python_path}:{suite.root / 'lib' / 'site-packages'}"},
        report=report,
    )
    assert "failed" not in run.outcomes
    assert "error" not in run.outcomes
    assert not report or run.kinds == []


def test_nor_is_what_a_world_has_in_front(suite: Suite) -> None:
    files = {
        f"{folder}/{name}": text
        for folder in ("one", "two")
        for name, text in {
            "helper.py": f"HOME = '{folder}'",
            f"test_{folder}.py": f"""
                import helper
                def test_first():
                    import helper
                    assert helper.HOME == "{folder}"
                def test_second():
                    import later
                    assert later.HOME == "{folder}"
            """,
            "later.py": f"HOME = '{folder}'",
        }.items()
    }
    files["lib/site-packages/plug.py"] = _ABLE
    files["test_z.py"] = "import sys\ndef test_path(): print('PATH', sys.path)"
    env = {"PYTHONPATH": f"{suite.python_path}:{suite.root / 'lib' / 'site-packages'}"}
    alone, beside = (
        suite.run(files, "--isolate-imports=file", "-s", *options, env=env)
        for options in ((), ("-p", "plug"))
    )
    assert alone.outcomes == beside.outcomes == {"passed": 5}
    paths = [
        line
        for run in (alone, beside)
        for line in run.output.splitlines()
        if line.startswith("test_z.py PATH")
    ]
    assert paths[0] == paths[1]


@pytest.mark.parametrize("mode", _MODES)
@pytest.mark.parametrize(
    "look",
    [
        # Each says the name in a string, in a text that could set what a string names.
        "assert hasattr(colorsys, 'patched_yiq')",
        "from patchlib import patch\n    assert getattr(colorsys, 'rgb_to_yiq').__module__ == 'patchlib'",
        "import patchlib\n    patchlib.patch('rgb_to_yiq')\n    assert patchlib.is_patched('rgb_to_yiq')",
    ],
)
def test_what_a_library_writes_to_another_module_when_it_is_called_is_the_librarys(
    suite: Suite, look: str, mode: tuple[str, ...]
) -> None:
    library = """
        import colorsys
        _done = set()

        def rgb_to_yiq(r, g, b):
            return 0, 0, 0

        def patched_yiq():
            return True

        def is_patched(name):
            return name in _done and getattr(colorsys, name) is globals()[name]

        def patch(*names):
            for name in names:
                if name not in _done:
                    _done.add(name)
                    setattr(colorsys, name, globals()[name])
    """
    files = {
        f"{_INSTALLED}patchlib.py": library,
        "tests/test_a.py": f"""
import colorsys, patchlib

def test_patches():
    patchlib.patch("rgb_to_yiq", *vars(patchlib).keys() & {{"patched" + "_yiq"}})

def test_uses():
    {look}
""",
        "tests/test_b.py": f"import colorsys, patchlib\n\ndef test_uses_too():\n    {look}\n",
    }
    run = suite.run(files, *mode, ini=_INI)
    assert run.outcomes == {"passed": 3}
    assert run.kinds == []


@pytest.mark.parametrize("mode", _MODES)
def test_a_test_that_says_where_it_puts_a_librarys_function_answers_for_it(
    suite: Suite, mode: tuple[str, ...]
) -> None:
    files = {
        f"{_INSTALLED}patchlib.py": "def rgb_to_yiq(*_): return 0\ndef set_all(o, **m):\n    for n in m: setattr(o, n, m[n])\n",
        "tests/test_a.py": "import colorsys, patchlib\n\ndef test_a(): colorsys.rgb_to_yiq = patchlib.rgb_to_yiq\n",
        "tests/test_b.py": "import colorsys\n\ndef test_b(): assert colorsys.rgb_to_yiq(0, 0, 0)\n",
    }
    run = suite.run(files, *mode, ini=_INI)
    assert run.outcomes == ({"passed": 2} if mode else {"passed": 1, "failed": 1})
    assert run.kinds == [("attribute-left", "colorsys.rgb_to_yiq")]


@pytest.mark.parametrize("mode", _MODES)
def test_what_a_library_put_into_another_package_stays_if_it_has_imported_something_below_that(
    suite: Suite, mode: tuple[str, ...]
) -> None:
    library = """
        import logging, logging.config
        _before = []

        def _factory(*args, **more):
            record = _before[0](*args, **more)
            record.seen = True
            return record

        def instrument():
            if not _before:
                _before.append(logging.getLogRecordFactory())
                logging.setLogRecordFactory(_factory)
    """
    test = """
        import logging

        def test_it(caplog):
            import patchlib
            patchlib.instrument()
            logging.error("x")
            assert caplog.records[0].seen
    """
    files = {f"{_INSTALLED}patchlib.py": library, **{f"tests/test_{name}.py": test for name in "abc"}}
    run = suite.run(files, *mode, ini=_INI)
    assert run.outcomes == {"passed": 3}
    assert run.kinds == []


@pytest.mark.parametrize("mode", _MODES)
@pytest.mark.parametrize("at_top", [False, True])
def test_a_library_that_adds_a_suffix_of_source_finds_such_files_when_it_has_returned(
    suite: Suite, at_top: bool, mode: tuple[str, ...]
) -> None:
    library = """
        import importlib.machinery, sys
        importlib.machinery.SOURCE_SUFFIXES.append(".sfx")
        sys.path_importer_cache.clear()
    """
    head = "import suffixlib\n" if at_top else ""
    files = {f"{_INSTALLED}suffixlib.py": library, "app/other.py": ""}
    for name in "abc":
        files[f"app/{name}_module.sfx"] = "VALUE = 1\n"
        files[f"tests/test_{name}.py"] = (
            f"{head}def test_it():\n    import other, suffixlib\n    import {name}_module\n"
            f"    assert {name}_module.VALUE\n"
        )
    run = suite.run(files, *mode, ini=_INI)
    assert run.outcomes == {"passed": 3}
    assert run.kinds == []


@pytest.mark.parametrize("mode", _MODES)
def test_a_library_that_reloads_a_module_of_its_own_when_it_is_called_left_nothing(
    suite: Suite, mode: tuple[str, ...]
) -> None:
    test = """
        import reloadlib

        def test_resets(): reloadlib.reset()

        def test_uses(): assert reloadlib.routes.TIMES == reloadlib.expected()
    """
    files = {
        f"{_INSTALLED}reloadlib/__init__.py": """
            from importlib import reload
            from reloadlib import routes
            _count = 1

            def reset():
                global _count
                _count += 1
                reload(routes)

            def expected():
                return _count
        """,
        f"{_INSTALLED}reloadlib/routes.py": """
            class Route: pass
            TIMES = globals().get("TIMES", 0) + 1
        """,
        "app/shop.py": "from reloadlib.routes import Route\n",
        "tests/test_a.py": f"import shop\n{dedent(test)}",
        "tests/test_b.py": f"import shop\n{dedent(test)}",
    }
    run = suite.run(files, *mode, ini=_INI)
    assert run.outcomes == {"passed": 4}
    assert run.kinds == []


@pytest.mark.parametrize("mode", _MODES)
@pytest.mark.parametrize("home", [_INSTALLED, _FIRST_PARTY])
@pytest.mark.parametrize("item", ["Finder", "Finder()"])
def test_a_library_may_put_what_it_derived_from_a_finder_into_its_place(
    suite: Suite, item: str, home: str, mode: tuple[str, ...]
) -> None:
    library = f"""
        import sys
        from importlib.machinery import PathFinder
        SEEN = []

        class Finder(PathFinder):
            @classmethod
            def find_spec(cls, name, *rest, **more):
                SEEN.append(name)
                return super().find_spec(name, *rest, **more)

        _ITEM = {item}

        def activate():
            if _ITEM not in sys.meta_path:
                sys.meta_path[sys.meta_path.index(PathFinder)] = _ITEM

        def deactivate():
            sys.meta_path[sys.meta_path.index(_ITEM)] = PathFinder
    """
    test = """
        from importlib.machinery import PathFinder
        {first}
        def test_uses():
            import {name}, exchanging, sys
            assert ("{name}" in exchanging.SEEN) is {is_on}
            assert sys.meta_path.count(PathFinder) == {number}
    """
    files = {
        f"{home}exchanging.py": library,
        **{f"app/{name}.py": "" for name in ("first", "second", "third")},
    }
    on, off = (
        f"import exchanging\n\n        def test_it(): exchanging.{name}()\n"
        for name in ("activate", "deactivate")
    )
    files["tests/test_a.py"] = test.format(first=on, name="first", is_on=True, number=0)
    files["tests/test_b.py"] = test.format(first="import exchanging", name="second", is_on=True, number=0)
    files["tests/test_c.py"] = test.format(first=off, name="third", is_on=False, number=1)
    run = suite.run(files, *mode, ini=_INI)
    assert run.outcomes == {"passed": 5}
    assert run.kinds == []


_THROWN_OUT: Final = {
    "popped": "sys.modules.pop('envlib', None)",
    "deleted": "del sys.modules['envlib']",
    "found by the begin of its name": "for name in list(sys.modules):\n"
    "    if name == 'envlib' or name.startswith('envlib.'):\n"
    "        del sys.modules[name]",
    "patched": "__import__('pytest').MonkeyPatch().delitem(sys.modules, 'envlib')",
}


@pytest.mark.parametrize("mode", _MODES)
@pytest.mark.parametrize("how", _THROWN_OUT)
def test_a_library_that_a_fixture_throws_out_by_name_is_executed_again(
    suite: Suite, how: str, mode: tuple[str, ...]
) -> None:
    files = {
        f"{_INSTALLED}envlib.py": "import os\n\nMODE = os.environ['MODE_OF_LIB']\n",
        "test_it.py": f"""
            import sys
            import pytest

            @pytest.fixture(autouse=True)
            def _anew():
                yield
                {indent(_THROWN_OUT[how], " " * 16).strip()}

            @pytest.mark.parametrize("mode", ["one", "two", "three"])
            def test_it(monkeypatch, mode):
                monkeypatch.setenv("MODE_OF_LIB", mode)
                import envlib
                assert envlib.MODE == mode
        """,
    }
    assert suite.run(files, *mode, ini=_INI).outcomes == {"passed": 3}


@pytest.mark.neighbours("numpy")
def test_and_comes_back_if_it_is_compiled(suite: Suite) -> None:
    run = suite.run(
        """
        import sys
        import pytest

        _seen = set()

        @pytest.fixture(autouse=True)
        def _anew():
            yield
            for name in list(sys.modules):
                if name.startswith("numpy."):
                    del sys.modules[name]
            del sys.modules["numpy"]

        @pytest.mark.parametrize("number", range(3))
        def test_it(number):
            import numpy
            _seen.add(id(numpy))
            assert len(_seen) == 1 and numpy.arange(3).sum() == 3
        """,
        "--isolate-imports=test",
    )
    assert run.outcomes == {"passed": 3}
