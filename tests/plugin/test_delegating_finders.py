"""Finders that ask all the others and wrap the loader: they are asked for modules that isolation had put away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

_INI: Final = "pythonpath = lib/site-packages\n"
# Calls functions when a module has been imported, as libraries do that patch others.
_HOOKS: Final = """
    import importlib.util, sys
    from importlib.machinery import PathFinder

    _waiting, _asking = {}, set()

    class _Loader:
        def __init__(self, loader):
            self._loader = loader

        def create_module(self, spec):
            return self._loader.create_module(spec)

        def exec_module(self, module):
            self._loader.exec_module(module)
            for function in _waiting.pop(module.__name__, ()):
                function(module)

    class _Finder:
        def find_spec(self, name, path=None, target=None):
            if name not in _waiting or name in _asking:
                return None
            _asking.add(name)
            try:
                %s
            finally:
                _asking.discard(name)

    def when_imported(name, function):
        if not any(type(finder) is _Finder for finder in sys.meta_path):
            sys.meta_path.insert(0, _Finder())
        if name in sys.modules:
            function(sys.modules[name])
        else:
            _waiting.setdefault(name, []).append(function)
"""
_ASKING_ALL: Final = {
    "the same spec": """spec = importlib.util.find_spec(name)
                spec.loader = _Loader(spec.loader)
                return spec""",
    "a spec of its own": """spec = importlib.util.find_spec(name)
                own = importlib.util.spec_from_loader(name, _Loader(spec.loader), origin=spec.origin)
                own.submodule_search_locations = spec.submodule_search_locations
                return own""",
}
_TESTS: Final = """
    import sys
    import pytest
    from hooks import when_imported

    @pytest.mark.parametrize("number", range(3))
    def test_it(number):
        sys.modules.pop("target", None)
        seen = []
        when_imported("target", seen.append)
        import target
        assert seen == [target] and sys.modules["target"] is target
        assert target.__name__ == target.__spec__.name == "target"
        import target.deep
"""


@pytest.mark.parametrize("mode", [(), ("--isolate-imports=file",), ("--isolate-imports=test",)])
@pytest.mark.parametrize("asking", _ASKING_ALL)
def test_functions_that_wait_for_an_import_are_called(
    suite: Suite, asking: str, mode: tuple[str, ...]
) -> None:
    run = suite.run(
        {
            "lib/site-packages/hooks.py": _HOOKS % _ASKING_ALL[asking],
            "lib/site-packages/target/__init__.py": "",
            "lib/site-packages/target/deep.py": "",
            "tests/test_a.py": _TESTS,
            "tests/test_b.py": _TESTS,
        },
        *mode,
        ini=_INI,
    )
    assert run.outcomes == {"passed": 6}


@pytest.mark.parametrize(
    "asking",
    [
        """spec = importlib.util.find_spec(name)
                return importlib.util.spec_from_file_location(name, spec.origin)""",
        "return PathFinder.find_spec(name, path)",
        "raise ImportError(name)",
        "return None",
    ],
    ids=["a file", "the path", "an error", "nothing"],
)
def test_what_was_put_away_is_not_executed_again_for_a_finder_that_wraps_no_loader(
    suite: Suite, asking: str
) -> None:
    run = suite.run(
        {
            "lib/site-packages/hooks.py": _HOOKS % asking,
            "lib/site-packages/target.py": """
                import builtins
                builtins.times = getattr(builtins, "times", 0) + 1
            """,
            "tests/test_a.py": "def test_it(): import target",
            "tests/test_b.py": """
                import builtins
                import hooks

                def test_it():
                    hooks.when_imported("target", print)

                def test_again():
                    import target
                    assert builtins.times == 1
            """,
        },
        "--isolate-imports=test",
        ini=_INI,
    )
    assert run.outcomes == {"passed": 3}
