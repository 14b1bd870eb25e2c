"""Whatever a test leaves in the import system, the run goes on and says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

_ODD = """
import sys, types
from unittest import mock
import pytest
{mark}

class Angry:
    def __getattr__(self, name):
        raise RuntimeError(name)
    def __eq__(self, other):
        raise RuntimeError("eq")
    def __hash__(self):
        raise RuntimeError("hash")
    def __bool__(self):
        raise RuntimeError("bool")
    def __repr__(self):
        raise RuntimeError("repr")

class Liar:
    @property
    def __class__(self):
        raise RuntimeError("class")
    @property
    def __dict__(self):
        raise RuntimeError("dict")
    __module__ = 3

class Posing:
    __class__ = types.ModuleType
    __name__ = 7
    __spec__ = mock.MagicMock()
    __path__ = 3

class ModuleLike(types.ModuleType):
    def __getattribute__(self, name):
        raise RuntimeError(name)

odd_module = types.ModuleType("odd")
odd_module.__dict__.update(__file__=3, __spec__=mock.MagicMock(), __path__=mock.MagicMock(), __doc__=b"")
no_file = types.ModuleType("no_file")
no_file.__dict__.clear()

ODD = {{
    "int": 1, "str": "text", "bytes": b"", "none": None, "false": False, "ellipsis": ..., "type": int,
    "mock": mock.Mock(), "magic": mock.MagicMock(), "any": mock.ANY, "mock.sub": mock.sentinel.x,
    "angry": Angry(), "angry.sub": Angry(), "liar": Liar(), "posing": Posing(),
    "module_like": ModuleLike("module_like"), "odd": odd_module, "odd.child": odd_module, "no_file": no_file,
    "no.parent.at.all": 1, "": 2, ".": 3, "..dots..": 4, "json.odd": Angry(),
    3: "int key", None: "none key", (1, 2): "tuple key", b"bytes": "bytes key", float("nan"): "nan",
}}

@pytest.mark.parametrize("index", range(len(ODD)))
def test_entry(index):
    key = list(ODD)[index]
    sys.modules[key] = ODD[key]

def test_replaced_by_odd_things():
    import wave, json.tool
    sys.modules["wave"] = Angry()
    sys.modules["json.tool"] = mock.ANY
    json.tool = Liar()

def test_after():
    import colorsys

def test_removed():
    for key in ODD:
        sys.modules.pop(key, None)
"""


@pytest.mark.parametrize("mark", ["", "pytestmark = pytest.mark.isolated_imports"], ids=["plain", "marked"])
def test_odd_entries_are_reported_and_break_nothing(suite: Suite, mark: str) -> None:
    run = suite.run(_ODD.format(mark=mark))
    assert "INTERNALERROR" not in run.output
    assert run.status == 0
    assert list(run.outcomes) == ["passed"]
    named = {leak["name"]: leak["kind"] for leak in run.leaks}
    some = ("int", "none", "magic", "angry", "liar", "odd", "3", "None", "(1, 2)", "")
    assert {name: named.get(name) for name in some} == {
        "int": "fake-left",
        "none": "blocked-left",
        "magic": "fake-left",
        "angry": "fake-left",
        "liar": "fake-left",
        "odd": "fake-left",
        "3": "fake-left",
        "None": "fake-left",
        "(1, 2)": "fake-left",
        "": None,  # no import statement can spell it
    }
    assert ("fake-left", "wave") in run.kinds  # it was not loaded before the test
    assert all(leak["contained"] is bool(mark) for leak in run.leaks)


_CONTEXT = "from pytest_import_isolation import IsolatedImportContext\nwith IsolatedImportContext():\n    "
_KEY = "sys.modules[7] = None\n"
_FIXTURE = '@pytest.fixture(scope="module", autouse=True)\ndef wide():\n    '


@pytest.mark.parametrize(
    ("left", "cured", "advice"),
    [
        (
            f"def test_it():\n    {_KEY}",
            f"@pytest.mark.isolated_imports\ndef test_it():\n    {_KEY}",
            "Mark the",
        ),
        (
            f"{_KEY}def test_it(): pass\n",
            f"{_CONTEXT}{_KEY}def test_it(): pass\n",
            "IsolatedImportContext():",
        ),
        (
            f"{_FIXTURE}{_KEY}    yield\ndef test_it(): pass\n",
            f"{_FIXTURE}{_CONTEXT.replace('    ', '        ').replace('with', '    with')}{_KEY}"
            "        yield\ndef test_it(): pass\n",
            'yields in "with IsolatedImportContext():',
        ),
    ],
)
def test_what_is_advised_for_a_key_that_is_no_string_cures(
    suite: Suite, left: str, cured: str, advice: str
) -> None:
    head = "import sys\nimport pytest\n"
    run = suite.run({"test_it.py": f"{head}{left}"})
    (leak,) = run.leaks
    assert (leak["kind"], leak["name"]) == ("fake-left", "7")
    assert leak["detail"].startswith("Its key in sys.modules is no string:")
    assert advice in leak["advice"]
    assert "fakes=" not in leak["advice"]
    run = suite.run({"test_it.py": f"{head}{cured}"})
    assert run.outcomes == {"passed": 1}
    assert [one for one in run.leaks if not one["contained"]] == []


_LISTS = """
import sys
import pytest
{mark}

class DictSubclass(dict):
    def __getitem__(self, key):
        return super().__getitem__(key)

class Finder:
    def __getattr__(self, name):
        if name == "find_spec":
            raise AttributeError(name)
        raise RuntimeError(name)
    __eq__ = None

def hook(entry):
    raise ImportError

def test_modules_rebound_to_a_subclass():
    sys.modules = DictSubclass(sys.modules)
    sys.modules["in_subclass"] = object()

def test_path_with_odd_items():
    sys.path.extend([None, 3, b"bytes", object()])
    sys.path.insert(0, "")

def test_path_is_a_tuple():
    sys.path = tuple(sys.path)

def test_path_is_a_list_again():
    sys.path = list(sys.path)

def test_meta_path_with_odd_items():
    sys.meta_path.append(Finder())
    sys.meta_path.extend([3, "text"])

def test_meta_path_cleared():
    sys.meta_path.clear()

def test_path_hooks_cleared():
    sys.path_hooks[:] = [hook, None]

def test_import_function():
    import builtins
    original = builtins.__import__
    builtins.__import__ = lambda *args, **kwargs: original(*args, **kwargs)
"""

_GONE = {
    "meta_path is None": "sys.meta_path = None",
    "meta_path is deleted": "del sys.meta_path",
    "path is None": "sys.path = None",
    "path is deleted": "del sys.path",
    "path_hooks is deleted": "del sys.path_hooks",
    "path_importer_cache": "sys.path_importer_cache = {}",
    "path_importer_cache cleared": "sys.path_importer_cache.clear()",
    "modules cleared of tests": "[sys.modules.pop(n) for n in [*sys.modules] if n.startswith('test_')]",
}


@pytest.mark.parametrize("mark", ["", "pytestmark = pytest.mark.isolated_imports"], ids=["plain", "marked"])
def test_odd_lists_are_reported_and_break_nothing(suite: Suite, mark: str) -> None:
    run = suite.run(_LISTS.format(mark=mark), measured=bool(mark))
    assert "INTERNALERROR" not in run.output
    assert run.outcomes == {"passed": 8}
    kinds = {leak["kind"] for leak in run.leaks}
    assert {"rebound", "path-added", "finder-added", "finder-removed", "hook-added", "hook-removed"} <= kinds
    assert ("rebound", "sys.modules") in run.kinds
    assert ("fake-left", "in_subclass") in run.kinds
    assert all(leak["contained"] is bool(mark) for leak in run.leaks)


@pytest.mark.parametrize("what", list(_GONE))
@pytest.mark.parametrize("marked", [False, True], ids=["plain", "marked"])
def test_missing_parts_of_sys_end_no_run_with_an_internal_error(
    suite: Suite, what: str, marked: bool
) -> None:
    mark = "@pytest.mark.isolated_imports" if marked else ""
    run = suite.run(
        f"""
        import sys
        import pytest

        {mark}
        def test_it():
            {_GONE[what]}

        def test_after():
            assert {marked} is False or sys.path and sys.meta_path and sys.path_hooks
            if {marked}:
                import wave
        """,
        measured=marked,
    )
    assert "INTERNALERROR" not in run.output
    assert run.outcomes == {"passed": 2}
    if what.endswith(("None", "deleted")):
        name = what.partition(" ")[0]
        assert ("rebound", f"sys.{name}") in run.kinds


_FORBIDDEN = """
import sys, traceback

calls = []

def forbid(what):
    # Whoever asks: importlib and pytest may.
    asker = next(f for f, line in reversed([*map(tuple_of, traceback.extract_stack())]) if f != __file__)
    if "pytest_import_isolation" in asker:
        calls.append(what)
    raise SystemExit(what)

def tuple_of(entry):
    return entry.filename, entry.lineno

class Meta(type):
    def __hash__(cls): forbid("hash of a class")
    def __eq__(cls, other): forbid("eq of a class")
    def __getattribute__(cls, name):
        return type.__getattribute__(cls, name) if name in ("__new__", "__init__") else forbid(name)

class Value(metaclass=Meta):
    def __hash__(self): forbid("hash")
    def __eq__(self, other): forbid("eq")
    def __bool__(self): forbid("bool")
    def __len__(self): forbid("len")
    def __iter__(self): forbid("iter")
    def __repr__(self): forbid("repr")
    def __str__(self): forbid("str")
    def __format__(self, text): forbid("format")
    def __getattribute__(self, name): forbid(name)

class Key:
    armed = False
    def __hash__(self): return forbid("hash of a key") if Key.armed else 5
    def __eq__(self, other): forbid("eq of a key")
    def __repr__(self): forbid("repr of a key")
"""

_PLACED = """
import sys, types
import json.scanner
import forbidden
from forbidden import calls

def place():
    odd = types.ModuleType("odd")
    for name in ("__file__", "__spec__", "__path__", "__loader__", "__doc__", "value"):
        setattr(odd, name, forbidden.Value())
    sys.modules["odd"] = odd
    sys.modules["odd_value"] = sys.modules["odd_package.child"] = forbidden.Value()
    sys.modules["odd_class"] = forbidden.Meta("Made", (), {{}})
    sys.modules[forbidden.Key()] = sys.modules["a", forbidden.Key()] = forbidden.Value()
    sys.modules[odd] = sys.modules[7] = sys.modules[b"x"] = sys.modules[None] = forbidden.Value()
    json.scanner = forbidden.Value()
    forbidden.Key.armed = True

{at_collection}

{mark}
def test_it():
    {in_test}

def test_again():
    import wave
    sys.modules["wave"] = forbidden.Value()

def test_nothing_was_asked():
    assert calls == []
"""


@pytest.mark.parametrize("mode", ["", "--isolate-imports=file", "--isolate-imports=test", "mark"])
@pytest.mark.parametrize("where", ["collection", "test"])
def test_the_code_of_no_object_that_a_test_leaves_is_run(suite: Suite, mode: str, where: str) -> None:
    text = _PLACED.format(
        at_collection="place()" if where == "collection" else "",
        in_test="place()" if where == "test" else "pass",
        mark="@__import__('pytest').mark.isolated_imports" if mode == "mark" else "",
    )
    run = suite.run(
        {"forbidden.py": _FORBIDDEN, "test_it.py": text, "test_other.py": "def test_other(): pass"},
        *([mode] if mode.startswith("--") else []),
    )
    assert "INTERNALERROR" not in run.output
    assert run.outcomes == {"passed": 4}
    named = {leak["name"]: leak["kind"] for leak in run.leaks}
    for name in ("odd", "odd_value", "odd_class", "7", "b'x'", "None", "<a key of forbidden.Key>"):
        assert named[name] == "fake-left"
    assert run.status == 0


@pytest.mark.parametrize("mode", ["--isolate-imports=file", "--isolate-imports=test"])
def test_a_key_that_is_no_string_is_of_its_file(suite: Suite, mode: str) -> None:
    run = suite.run(
        {
            "test_a.py": """
                import sys
                sys.modules[7] = sys.modules["seven", 7] = one = object()
                def test_a(): assert sys.modules[7] is sys.modules["seven", 7] is one
                """,
            "test_b.py": """
                import sys
                def test_b(): assert 7 not in sys.modules and ("seven", 7) not in sys.modules
                """,
        },
        mode,
    )
    assert run.outcomes == {"passed": 2}
    assert {leak["name"]: leak["contained"] for leak in run.leaks} == {"7": True, "('seven', 7)": True}


def test_none_is_a_key_like_any_other_that_is_no_string(suite: Suite) -> None:
    run = suite.run(
        {
            "shop.py": "RATE = 5\n",
            "conftest.py": "import sys, types\nsys.modules[None] = types.ModuleType('x')\n",
            "test_a.py": "import shop\ndef test_one(): shop.RATE = 4\n",
            "test_b.py": """
                import sys, types
                def test_two(): sys.modules[None] = types.ModuleType("y")
                def test_three(monkeypatch): monkeypatch.setattr("shop.RATE", 3)
                """,
        },
        "--import-leak-report",
        "--isolate-imports=test",
    )
    assert run.outcomes == {"passed": 3}
    assert run.blamed("attribute-left", "shop.RATE") == ("test_a.py::test_one", "call")


def test_who_enters_a_key_of_its_own_class_into_another_table_is_named(suite: Suite) -> None:
    run = suite.run(
        {
            "test_a.py": """
                import sys, types

                class Table(dict): pass

                class Key(str):
                    __eq__ = str.__eq__
                    __hash__ = str.__hash__

                sys.modules = Table(sys.modules)

                def test_plants(): sys.modules[Key("fake")] = types.ModuleType("fake")

                def test_exchanges(): sys.modules = dict(sys.modules)
                """,
        }
    )
    assert run.outcomes == {"passed": 2}
    assert run.blamed("fake-left", "fake") == ("test_a.py::test_plants", "call")
    assert run.leak("fake-left", "fake")["location"]["exact"]


_CALLABLE = """
import functools
import sys

CALLERS = []

class Callable:
    def __init__(self, function):
        functools.update_wrapper(self, function)
    def __call__(self):
        return self.__wrapped__()
    def __getattribute__(self, name):
        CALLERS.append(sys._getframe(1).f_globals["__name__"])
        return object.__getattribute__(self, name)

class Meta(type):
    def __getattribute__(self, name):
        CALLERS.append(sys._getframe(1).f_globals["__name__"])
        return type.__getattribute__(self, name)
"""


@pytest.mark.parametrize("mode", ["", "--isolate-imports=file", "--isolate-imports=test"])
def test_no_attribute_of_a_test_or_fixture_that_is_an_object_is_asked_for(suite: Suite, mode: str) -> None:
    run = suite.run(
        {
            "callables.py": _CALLABLE,
            "test_it.py": """
                import sys
                import callables
                import pytest

                sys.modules["faked"] = object()

                @pytest.fixture
                @callables.Callable
                def one(): return 1

                @pytest.fixture(scope="module")
                @callables.Callable
                def wide(): return sys.modules["faked_by_it"]

                @callables.Callable
                def test_object(): sys.modules["left"] = object()

                @pytest.mark.isolated_imports(fakes={"faked_by_it": {}})
                def test_it(one, wide): assert one == 1

                @pytest.mark.isolated_imports
                @callables.Callable
                def test_marked(): pass

                class TestIt(metaclass=callables.Meta):
                    @pytest.fixture(autouse=True)
                    def own(self): sys.modules["of_the_class"] = object()

                    @pytest.mark.isolated_imports
                    def test_method(self): sys.modules["of_the_method"] = object()

                    def test_parked(self):
                        import wave
                        assert wave

                def test_fails(one):
                    import left
                    assert left is one

                def test_callers():
                    assert len(callables.CALLERS) > 3
                    own = {name for name in callables.CALLERS if name.startswith("pytest_import_isolation")}
                    assert own == set()
                """,
        },
        *([mode] if mode else []),
    )
    assert "INTERNALERROR" not in run.output
    assert run.outcomes == {"passed": 6, "failed": 1}


@pytest.mark.parametrize("mode", ["", "--isolate-imports=file", "--isolate-imports=test"])
def test_a_real_module_under_a_key_of_a_class_of_strings_is_nobodys_leak(suite: Suite, mode: str) -> None:
    text = """
        import sys

        class Key(str): pass

        sys.modules[Key("other")] = sys

        def test_it():
            import other
            sys.modules[Key("another")] = sys
            assert other is sys
    """
    run = suite.run({"test_it.py": text}, *filter(None, [mode]))
    assert run.outcomes == {"passed": 1}
    assert "INTERNALERROR" not in run.output
