"""fresh, doors, packages and wording need no pytest run."""

from __future__ import annotations

import importlib
import importlib.util
import pickle
import re
import sys
from pathlib import Path
from textwrap import dedent
from types import ModuleType

import pytest

from pytest_import_isolation import IsolatedImportContext, fake_module, fresh_import, missing_modules
from pytest_import_isolation.contents.source_writes import SourceWrites
from pytest_import_isolation.errors import (
    ExtensionModuleError,
    ParameterError,
    PatternError,
    WindowOrderError,
)
from pytest_import_isolation.helpers.packages import write_files
from pytest_import_isolation.plugin.sources import Sources, mentions_imports
from pytest_import_isolation.wording import count, listing, suggestion

_FILES = {
    "purebox/__init__.py": "",
    "purebox/thing.py": dedent(
        """
        import purebox.part
        class Thing: pass
        try:
            import wave
        except ImportError:
            wave = None
        """
    ),
    "purebox/part.py": "",
}


@pytest.fixture
def box(tmp_path: Path) -> Path:
    write_files(tmp_path, _FILES)
    return tmp_path


def test_fresh_import_outside_of_a_window_says_what_to_do() -> None:
    with pytest.raises(
        WindowOrderError,
        match=re.escape(
            "fresh_import('json') needs an open window to put the old copy back: use it inside "
            "'with IsolatedImportContext():', or take the fresh_import fixture"
        ),
    ):
        fresh_import("json")


def test_fresh_import_stands_for_the_module_until_the_window_closes(box: Path) -> None:
    with IsolatedImportContext(path=str(box)):
        first: ModuleType = importlib.import_module("purebox.thing")
        with IsolatedImportContext():
            copy = fresh_import("purebox.thing")
            assert copy is not first
            assert sys.modules["purebox.thing"] is copy
            assert sys.modules["purebox"].thing is copy
            assert copy.purebox.part is first.purebox.part
            assert type(pickle.loads(pickle.dumps(copy.Thing()))) is copy.Thing
            assert fresh_import("purebox.thing", missing="wave").wave is None
        assert sys.modules["purebox.thing"] is first
        assert sys.modules["purebox"].thing is first
        part = first.purebox.part
        with IsolatedImportContext():
            me = sys.modules.get(__name__)
            deep = fresh_import("purebox.thing", deep=True, fakes={"wave": {"answer": 42}})
            assert deep.wave.answer == 42
            assert sys.modules["purebox.part"] is not part
            assert sys.modules.get(__name__) is me
        assert sys.modules["purebox.part"] is part
    assert "purebox" not in sys.modules


@pytest.mark.skipif(sys.platform == "emscripten", reason="WebAssembly has no extension modules in files")
def test_fresh_import_refuses_extension_modules_and_bad_names(box: Path) -> None:
    with IsolatedImportContext(path=str(box)):
        # A distribution may have built some of them into the interpreter.
        specs = map(importlib.util.find_spec, ("_json", "_queue", "_bz2"))
        extension = next(spec.name for spec in specs if spec is not None and spec.has_location)
        importlib.import_module(extension)
        with pytest.raises(ExtensionModuleError, match="executing those twice in one process fails"):
            fresh_import(extension)
        with pytest.raises(PatternError, match="is relative"):
            fresh_import(".thing")
        with pytest.raises(ParameterError, match="a module name is a string, not int"):
            fresh_import(3)  # type: ignore[arg-type]
        with pytest.raises(ModuleNotFoundError):
            fresh_import("purebox.nothing")


def test_doors_are_contexts_and_decorators() -> None:
    with fake_module("cloudbox.client", answer=42):
        from cloudbox import client  # type: ignore[import-not-found]

        assert client.answer == 42
    assert "cloudbox" not in sys.modules

    @missing_modules("wave", "cloud*")
    def look() -> object:
        return importlib.util.find_spec("wave")

    assert look() is None
    assert importlib.util.find_spec("wave") is not None
    with pytest.raises(PatternError):
        missing_modules("")
    with pytest.raises(PatternError):
        fake_module("not a name")


def test_written_files_lie_below_the_root(tmp_path: Path) -> None:
    root = tmp_path / "new"
    written = write_files(root, {"a/b/c.py": "x = 1", "data.txt": "é"})
    assert written == [root / "a/b/c.py", root / "data.txt"]
    assert written[0].read_text(encoding="utf-8") == "x = 1"
    assert written[1].read_text(encoding="utf-8") == "é"
    for name in ("/etc/x.py", "../x.py", "a/../../x.py", "", "."):
        with pytest.raises(ParameterError, match=re.escape(f"make_package: {name!r} is no relative path")):
            write_files(root, {name: ""})
    with pytest.raises(ParameterError, match=r"the text of 'x\.py' is a string or bytes, not int"):
        write_files(root, {"x.py": 3})  # type: ignore[dict-item]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new"]


def test_bytecode_of_what_is_written_goes_and_other_stays(tmp_path: Path) -> None:
    write_files(tmp_path, {"one.py": "", "two.py": ""})
    caches = {}
    for name in ("one", "two"):
        for optimization in ("", 1, 2):
            path = Path(
                importlib.util.cache_from_source(str(tmp_path / f"{name}.py"), optimization=optimization)
            )
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"")
            caches[name, optimization] = path
    write_files(tmp_path, {"one.py": "", "two.txt": ""})
    assert {key for key, path in caches.items() if path.exists()} == {("two", ""), ("two", 1), ("two", 2)}


def _test_file(folder: Path, text: str) -> Path:
    path = folder / "test_it.py"
    path.write_text(text, encoding="utf-8")
    return path


def test_words() -> None:
    assert listing([]) == ""
    assert listing(["a", "b", "c"]) == "a, b, c"
    assert listing(["a", "b", "c", "d"]) == "a, b, c, ..."
    assert listing(["a", "b"], 1) == "a, ..."
    assert [count(number, "leak") for number in (0, 1, 2)] == ["0 leaks", "1 leak", "2 leaks"]
    assert suggestion("frsh", ["fresh", "keep"]) == " (did you mean 'fresh'?)"
    assert suggestion("xyz", ["fresh", "keep"]) == ""


def test_a_mistake_is_told_without_a_suggestion_where_difflib_is_missing() -> None:
    with IsolatedImportContext(missing=["difflib"]):
        assert suggestion("frsh", ["fresh", "keep"]) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def test_it():\n    assert 1 == 1\n", False),
        ("import app\nx = app.y\nassert app.y == 2\nassert app.y >= 2\n", False),
        ("app.db = None\n", True),
        ("    self.client.name = 1\n", True),
        ("    self.client = cls.count = 1\n", False),
        ("    self.client: Client = Client()\n", False),
        ("    self.clients['a'] = 1\n", True),
        ("    notself.client = 1\n", True),
        ("importlib.import_module('app').db = None\n", True),
        ("apps['one'].db: object = None\n", True),
        ("apps['one'].count += 1\n", True),
        ("assert apps['one'].db == get().db >= 1\n", False),
        ("spec.loader.exec_module(app)\n", True),
        ("importlib.reload(app)\n", True),
        ("exec('db = 1', scope)\n", True),
        ("app.db: object = None\n", True),
        ("(app.db, app.x) = 1, 2\n", True),
        ("del app.db\n", True),
        ("setattr(app, 'db', 1)\n", True),
        ("vars(app)['db'] = 1\n", True),
        ("with patch('app.db'):\n    pass\n", True),
        ("with patch.object(app, 'db'):\n    pass\n", True),
        ("def test_it(monkeypatch):\n    pass\n", True),
        ("def test_it(mocker): mocker.stopall()\n", True),
        ("for app.db in (1,): pass\n", True),
        ("with open('x') as app.db: pass\n", True),
        ("old = app.db = None\n", True),
        ("same = app.y == 2\n", False),
        ("app.delay(2, vary=True)\n", False),
    ],
)
def test_texts_that_could_rebind_an_attribute(tmp_path: Path, text: str, expected: bool) -> None:
    for sources in (Sources(), Sources(SourceWrites())):
        assert sources.may_rebind(_test_file(tmp_path, text)) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import systems\nself.path = 1\npreload()\nx = 'module'\n", False),
        ("import sys\nsys.version\n", False),
        ("sys.modules['x'] = None\n", True),
        ("_system . path_hooks.clear()\n", True),
        ("from sys import modules\n", True),
        ("patch.dict('sys.modules', x=None)\n", True),
        ('getattr(sys, "meta_path")\n', True),
        ("importlib.reload(app)\n", True),
        ("monkeypatch.syspath_prepend('.')\n", True),
        ("site.addsitedir('.')\n", True),
    ],
)
def test_texts_that_could_change_the_import_state(tmp_path: Path, text: str, expected: bool) -> None:
    for sources in (Sources(), Sources(SourceWrites())):
        assert sources.may_write(_test_file(tmp_path, text)) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mysys.modules\nfrom system import path\nxaddsitedir\n", False),
        ("sys . modules\n", True),
        ("from  sys  import path\n", True),
        ("addsitedir('.')\n", True),
        ("builtins.__import__ = None\n", True),
    ],
)
def test_texts_that_name_the_import_state(text: str, expected: bool) -> None:
    assert mentions_imports(text) is expected
