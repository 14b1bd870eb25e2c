"""Loaders that hand out a module which is loaded already under a second name, as those of six and setuptools do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

_INI: Final = "pythonpath = app lib/site-packages\n"
_MOVES: Final = """
    import importlib, sys
    from importlib.util import spec_from_loader

    __path__ = []

    class _Finder:
        def find_spec(self, name, path=None, target=None):
            return spec_from_loader(name, self) if name.startswith("moves.") else None

        def create_module(self, spec):
            return importlib.import_module(spec.name.removeprefix("moves."))

        def exec_module(self, module):
            pass

    sys.meta_path.append(_Finder())
"""
_FILES: Final = {
    "lib/site-packages/first.py": "class Thing: pass",
    "lib/site-packages/second.py": "import first\nclass Thing(first.Thing): pass",
    "tests/test_a.py": """
        import sys

        def test_first():
            import moves.first
            assert moves.first is sys.modules["first"]
            assert moves.first.__name__ == "first"

        def test_second():
            import moves.second
            import first
            assert issubclass(moves.second.Thing, first.Thing)

        def test_again():
            import first, second
            assert issubclass(second.Thing, first.Thing)
    """,
}


@pytest.mark.parametrize("mode", [(), ("--isolate-imports=file",), ("--isolate-imports=test",)])
@pytest.mark.parametrize("home", ["lib/site-packages/", "app/"])
def test_a_module_keeps_its_name_though_a_loader_hands_it_out_under_another(
    suite: Suite, home: str, mode: tuple[str, ...]
) -> None:
    run = suite.run({f"{home}moves.py": _MOVES, **_FILES}, *mode, ini=_INI)
    assert run.outcomes == {"passed": 3}
    assert not run.kinds


def test_it_is_the_same_module_for_the_next_test(suite: Suite) -> None:
    run = suite.run(
        {
            "lib/site-packages/moves.py": _MOVES,
            "lib/site-packages/first.py": """
                import builtins
                builtins.times = getattr(builtins, "times", 0) + 1
            """,
            "tests/test_a.py": """
                import builtins
                import pytest

                @pytest.mark.parametrize("number", range(3))
                def test_it(number):
                    import moves.first
                    import first
                    assert builtins.times == 1
            """,
        },
        "--isolate-imports=test",
        ini=_INI,
    )
    assert run.outcomes == {"passed": 3}
