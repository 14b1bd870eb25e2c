"""What stands in the middle of ``sys.path``, ``sys.meta_path`` and ``sys.path_hooks`` comes back to its place."""

from __future__ import annotations

import pytest
from tests.plugin.conftest import Suite

_MODES = ("--import-leak-report", "--isolate-imports=file", "--isolate-imports=test")
_SECOND = "import sys, pathlib\nsys.path.insert(1, str(pathlib.Path(__file__).parent / 'lib'))\n"
_WAVE = "def {name}():\n    import wave\n    assert wave.MINE\n"
#: The standard library has a module of that name.
_LIB = {"a/lib/wave.py": "MINE = 1\n"}
_FIXTURE = """
    import pathlib, sys, pytest

    @pytest.fixture(scope={scope!r}, autouse=True)
    def path():
        sys.path.insert(1, str(pathlib.Path(__file__).parent / "a" / "lib"))
"""
_PATHS = {
    "a test file": {
        **_LIB,
        "a/test_a.py": _SECOND + _WAVE.format(name="test_1"),
        "b/test_b.py": "def test_2(): pass\n",
    },
    "a conftest": {
        **_LIB,
        "a/conftest.py": _SECOND,
        "a/test_a.py": _WAVE.format(name="test_1"),
        "b/conftest.py": "import sys\nsys.path.append('/q')\n",
        "b/test_b.py": "def test_2(): pass\n",
    },
    "a fixture of the module": {
        **_LIB,
        "conftest.py": _FIXTURE.format(scope="module"),
        "a/test_a.py": _WAVE.format(name="test_1") + _WAVE.format(name="test_2"),
    },
    "a fixture of the session": {
        **_LIB,
        "conftest.py": _FIXTURE.format(scope="session"),
        "a/test_a.py": _WAVE.format(name="test_1"),
        "b/test_b.py": _WAVE.format(name="test_2"),
    },
    "an entry that stands further back": {
        "conftest.py": """
            import pathlib, sys
            here = pathlib.Path(__file__).parent
            sys.path += [str(here / "old"), str(here / "new")]
        """,
        "old/engine.py": "VERSION = 'old'\n",
        "new/engine.py": "VERSION = 'new'\n",
        "a/test_a.py": """
            import pathlib, sys
            sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "new"))

            def test_1():
                import engine
                assert engine.VERSION == "new"
        """,
        "b/test_b.py": "def test_2(): pass\n",
    },
}


@pytest.mark.parametrize("mode", _MODES)
@pytest.mark.parametrize("who", _PATHS)
def test_a_path_entry(suite: Suite, who: str, mode: str) -> None:
    run = suite.run({"pytest.ini": "[pytest]\n", **_PATHS[who]}, mode)
    assert run.outcomes == {"passed": 2}


_SEEING = """
    import sys
    from importlib.machinery import FileFinder, PathFinder, SourceFileLoader

    class Loader(SourceFileLoader):
        def exec_module(self, module):
            super().exec_module(module)
            module.SEEN = True

    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            spec = PathFinder.find_spec(name, path, target) if name.startswith("app.") else None
            if spec is not None:
                spec.loader = Loader(name, spec.origin)
            return spec

    def put_finder():
        sys.meta_path.insert(sys.meta_path.index(PathFinder), Finder)

    def put_hook():
        sys.path_hooks.insert(1, FileFinder.path_hook((Loader, [".py"])))
        sys.path_importer_cache.clear()

    installed = False

    def install(put):
        global installed
        if not installed:
            installed = True
            put()
"""
_TEST = """
    def test_{name}():
        import seeing
        seeing.install(seeing.{put})
        import app.{name}
        assert app.{name}.SEEN
"""


@pytest.mark.parametrize("mode", _MODES)
@pytest.mark.parametrize("when", ["at its import", "later", "later, by who imported it before"])
@pytest.mark.parametrize("put", ["put_finder", "put_hook"])
def test_what_an_installed_library_puts_before_that_of_python(
    suite: Suite, put: str, when: str, mode: str
) -> None:
    first = "\n    import seeing\n" if when == "later, by who imported it before" else ""
    run = suite.run(
        {
            "site-packages/seeing.py": _SEEING + (f"    install({put})\n" if when == "at its import" else ""),
            "app/__init__.py": "",
            "app/one.py": "",
            "app/two.py": "",
            "test_a.py": first + _TEST.format(name="one", put=put),
            "test_b.py": first + _TEST.format(name="two", put=put),
        },
        mode,
        env={"PYTHONPATH": f"{suite.python_path}:{suite.root / 'site-packages'}"},
    )
    assert run.outcomes == {"passed": 2}
    assert run.kinds == []
