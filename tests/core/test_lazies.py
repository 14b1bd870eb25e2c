"""Lazy imports (PEP 810). What needs them indeed runs on Python 3.15; the rest has a stand-in for their objects."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from pytest_import_isolation import IsolatedImportContext, find_import_cycles, trace_imports
from pytest_import_isolation.contents import changes
from pytest_import_isolation.machinery import lazy_imports as lazies
from pytest_import_isolation.machinery.frames import Importer
from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.watching.effects import Effects
from pytest_import_isolation.watching.import_log import ImportLog
from pytest_import_isolation.window import opening

Tree = Callable[[dict[str, str]], Path]

live = pytest.mark.skipif(lazies.LAZY_TYPE is None, reason="lazy imports come with Python 3.15")


# With a stand-in


class Waiting:
    """Shows its parts to the garbage collector, as a lazy object does."""

    __slots__ = ("attribute", "code", "module", "names", "source")

    def __repr__(self) -> str:
        parts = [getattr(self, name) for name in ("module", "attribute") if hasattr(self, name)]
        return f"<lazy_import {'.'.join(parts)!r}>"


_SOURCE = "import top.heavy\n\nfrom .light import (\n    one,\n    two,\n)\nfrom . import other\n"
_CODE = compile(_SOURCE, "/app/top/user.py", "exec")


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazies, "LAZY_TYPE", Waiting)


def _waiting(module: str, **parts: object) -> Waiting:
    made = Waiting()
    for name, part in {"code": _CODE, "module": module, **parts}.items():
        setattr(made, name, part)
    return made


def _taken(attribute: str, source: Waiting) -> Waiting:
    made = _waiting("", attribute=attribute, source=source)
    del made.module
    return made


@pytest.mark.usefixtures("stand_in")
def test_a_name_that_waits_is_read_without_resolving_it() -> None:
    assert lazies.read_lazy(_waiting("top.heavy")) == ("top.heavy", "", _CODE)
    assert lazies.read_lazy(object()) is None
    assert lazies.read_lazy(Waiting()) is None  # one that shows nothing


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    ("statement", "made", "expected"),
    [
        ("from a.b import c", _waiting("a.b", attribute="c"), ("a.b", "c")),  # before the release of 3.15
        ("from a.b import c, d", _taken("c", _waiting("a.b", names=("c", "d"))), ("a.b", "c")),
        ("import a.b as x", _taken("b", _waiting("a.b")), ("a.b", "")),
        ("import a.b.c as x", _taken("c", _taken("b", _waiting("a.b.c"))), ("a.b.c", "")),
        ("from a import a", _waiting("a", attribute="a"), ("a", "a")),
    ],
)
def test_each_form_of_a_name_that_waits_is_read(
    statement: str, made: Waiting, expected: tuple[str, str]
) -> None:
    assert lazies.read_lazy(made) == (*expected, _CODE), statement


@live
@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("from laz_read.part import VALUE", ("laz_read.part", "VALUE")),
        ("from laz_read.part import VALUE as other", ("laz_read.part", "VALUE")),
        ("from laz_read.part import (first, VALUE)", ("laz_read.part", "VALUE")),
        ("from . import part", ("laz_read", "part")),
        ("import laz_read.part", ("laz_read.part", "")),
        ("import laz_read.part as other", ("laz_read.part", "")),
        ("import laz_read.part.deep as other", ("laz_read.part.deep", "")),
        ("import laz_read as other", ("laz_read", "")),
    ],
)
def test_each_statement_is_read_as_it_is_written(
    statement: str, expected: tuple[str, str], tree: Tree
) -> None:
    tree({"laz_read/__init__.py": "", "laz_read/user.py": f"lazy {statement}"})
    space = importlib.import_module("laz_read.user").__dict__
    *_, made = lazies.lazies_in(space).values()
    lazy = lazies.read_lazy(made)
    assert lazy is not None
    assert lazy.target == ".".join(filter(None, expected))
    # Before the release `import a.b as c` and `from a import b as c` made the same object.
    assert lazy[:2] == expected or (sys.version_info.releaselevel != "final" and " as " in statement)
    assert lazies.statement_of(lazy, space).line == 1


@pytest.mark.usefixtures("stand_in")
def test_the_statements_of_names_that_wait_are_found() -> None:
    space = {
        "__name__": "top.user",
        "__package__": "top",
        "top": _waiting("top.heavy"),
        "gone": _waiting("top.nowhere"),
        "number": 3,
    }
    assert list(lazies.waiting_in(space)) == [
        (("top.heavy", "", _CODE), ("top.user", "/app/top/user.py", 1)),
        (("top.nowhere", "", _CODE), ("top.user", "/app/top/user.py", 1)),  # where the code begins
    ]


@pytest.mark.parametrize(
    ("module", "attribute", "line"),
    [("top.light", "two", 3), ("top", "other", 7), ("top.light", "three", 1)],
)
def test_a_statement_is_found_by_what_it_takes(module: str, attribute: str, line: int) -> None:
    space = {"__name__": "top.user", "__package__": "top"}
    lazy = lazies.LazyName(module, attribute, _CODE)
    assert lazies.statement_of(lazy, space) == Importer("top.user", "/app/top/user.py", line)


def test_what_a_name_needs() -> None:
    lazy = lazies.LazyName("a.b", "c", _CODE)
    assert lazy.target == "a.b.c"
    assert [name for name in ("a", "a.b", "a.b.c", "a.bc", "b", "a.b.c.d") if lazy.needs(name)] == [
        "a",
        "a.b",
        "a.b.c",
    ]


@pytest.mark.usefixtures("stand_in")
def test_only_an_import_without_a_statement_is_a_use(monkeypatch: pytest.MonkeyPatch, tree: Tree) -> None:
    text = "import laz_a\nimport importlib\n__import__('laz_b')\nimportlib.import_module('laz_c')\n"
    tree({"laz_stand.py": text, **{f"laz_{name}.py": "" for name in "abc"}})
    monkeypatch.setitem(sys.modules, "laz_holder", holder := type(sys)("laz_holder"))
    holder.__dict__.update({name: _waiting(f"laz_{name}") for name in "abc"})
    # As getattr(laz_holder, "b") would: a call that imports, and a name that waits for it.
    assert _log_imports("laz_stand").lazily == {"laz_b": Importer("laz_holder", "/app/top/user.py", 1)}


@pytest.mark.usefixtures("stand_in")
def test_code_that_cannot_be_read_breaks_no_import(monkeypatch: pytest.MonkeyPatch, tree: Tree) -> None:
    def name_used(code: CodeType, offset: int) -> None:
        raise IndexError

    tree({"laz_stand.py": "__import__('laz_b')\n", "laz_b.py": ""})
    monkeypatch.setattr(lazies, "name_used", name_used)
    log = _log_imports("laz_stand")
    assert "laz_b" in log.importers
    assert log.lazily == {}


def _log_imports(name: str) -> ImportLog:
    log = ImportLog()
    FINDER.listen(log)
    try:
        importlib.import_module(name)
    finally:
        FINDER.unlisten(log)
    return log


def test_what_waited_waits_again_if_what_it_stood_for_has_left(
    monkeypatch: pytest.MonkeyPatch, stand_in: None, tree: Tree, picture: Any
) -> None:
    tree({"laz_first.py": "", "laz_part.py": "", "laz_stays.py": ""})
    monkeypatch.setattr(opening, "LAZY_TYPE", Waiting)
    monkeypatch.setattr(changes, "LAZY_TYPE", Waiting)
    first = importlib.import_module("laz_first").__dict__
    first.update({name: _waiting(name) for name in ("laz_part", "laz_stays", "laz_never")})
    before = picture()
    part, never = first["laz_part"], first["laz_never"]
    with IsolatedImportContext(keep="laz_stays") as context:
        for name in ("laz_part", "laz_stays"):  # as the interpreter does at the first use
            first[name] = importlib.import_module(name)
    assert first["laz_part"] is part
    assert first["laz_never"] is never
    assert first["laz_stays"] is sys.modules["laz_stays"]
    assert list(context.changes.kept) == ["laz_stays"]
    assert context.changes.attributes == ("laz_first.laz_part",)
    assert [name for name in before.differences() if "laz_part" in str(name)] == []


def test_the_mode_and_the_filter_of_lazy_imports_are_effects(monkeypatch: pytest.MonkeyPatch) -> None:
    state: dict[str, Any] = {"mode": "normal", "filter": None}
    monkeypatch.setattr(sys, "get_lazy_imports", lambda: state["mode"], raising=False)
    monkeypatch.setattr(sys, "get_lazy_imports_filter", lambda: state["filter"], raising=False)
    monkeypatch.setattr(sys, "lazy_modules", {"json"}, raising=False)
    before = Effects.capture()
    state.update(mode="all", filter=_refuse)
    sys.lazy_modules.add("csv")
    after = Effects.capture()
    assert before.differences(after) == [
        ("sys.set_lazy_imports", "The mode of lazy imports is 'all'; it was 'normal'."),
        ("sys.set_lazy_imports_filter", f"The filter of lazy imports is {__name__}._refuse; it was None."),
    ]
    sys.lazy_modules.clear()
    emptied = Effects.capture()
    assert after.differences(emptied) == [("sys.lazy_modules", "sys.lazy_modules was emptied.")]
    monkeypatch.setattr(sys, "lazy_modules", set())
    replaced = Effects.capture()
    assert emptied.differences(replaced) == [("sys.lazy_modules", "sys.lazy_modules is another object.")]
    assert replaced.differences(Effects.capture()) == []


def _refuse(importer: str, name: str, names: object) -> bool:
    return False


# On a Python that has them


USER = """\
lazy import laz_heavy
lazy from laz_pack.part import (
    VALUE,
    OTHER as other,
)
lazy from laz_pack import sub

def use():
    return VALUE

def heavy():
    return laz_heavy.NAME
"""
FILES = {
    "laz_user.py": USER,
    "laz_heavy.py": "NAME = __name__\n",
    "laz_pack/__init__.py": "",
    "laz_pack/part.py": "VALUE = OTHER = 1\n",
    "laz_pack/sub.py": "",
}


def _lazies(module: Any) -> list[str]:
    return sorted(lazies.lazies_in(module.__dict__))


@live
def test_nothing_that_looks_resolves_a_name(tree: Tree, picture: Any) -> None:
    tree(FILES)
    user = importlib.import_module("laz_user")
    names = ["VALUE", "laz_heavy", "other", "sub"]
    assert _lazies(user) == names
    with IsolatedImportContext(unloaded="laz_pack", missing="laz_nothing", fakes={"laz_fake": {}}) as context:
        importlib.import_module("wave")
    assert context.changes
    with IsolatedImportContext(fresh="laz_user"):
        assert _lazies(importlib.import_module("laz_user")) == names
    with trace_imports():
        importlib.import_module("laz_user")
    picture()
    assert _lazies(user) == names
    assert "laz_heavy" not in sys.modules


@live
def test_a_resolved_name_waits_again_after_the_window(tree: Tree, picture: Any) -> None:
    tree(FILES)
    user = importlib.import_module("laz_user")
    before = picture()
    for _ in range(2):
        with IsolatedImportContext() as context:
            assert user.use() == 1
            assert user.heavy() == "laz_heavy"
            assert _lazies(user) == ["other", "sub"]
            first = sys.modules["laz_heavy"]
        assert _lazies(user) == ["VALUE", "laz_heavy", "other", "sub"]
        assert "laz_heavy" not in sys.modules
        assert {"laz_user.VALUE", "laz_user.laz_heavy"} <= set(context.changes.attributes)
        assert context.changes.kept == {}
    assert before.differences() == []
    assert user.heavy() == "laz_heavy"  # outside, for good
    assert user.laz_heavy is sys.modules["laz_heavy"] is not first


@live
def test_a_resolved_name_whose_module_stays_is_left_alone(tree: Tree) -> None:
    tree(FILES)
    user = importlib.import_module("laz_user")
    with IsolatedImportContext(keep="laz_heavy"):
        user.heavy()
    assert user.__dict__["laz_heavy"] is sys.modules["laz_heavy"]


@live
def test_a_name_finds_nothing_while_its_module_is_missing_and_all_of_it_afterwards(tree: Tree) -> None:
    tree(FILES)
    user = importlib.import_module("laz_user")
    with IsolatedImportContext(missing="laz_heavy"):
        with pytest.raises(ModuleNotFoundError, match="laz_heavy"):
            user.heavy()
    with IsolatedImportContext(fakes={"laz_heavy": {"NAME": "fake"}}):
        assert user.heavy() == "fake"
    assert user.heavy() == "laz_heavy"


@live
def test_every_way_of_resolving_a_name_is_attributed_to_both_lines(tree: Tree) -> None:
    ways = {
        "laz_global": ("def use():\n    return name\n", 3),
        "laz_name": ("class Body:\n    it = name\n", 3),
        "laz_attribute": ("", 1),
        "laz_from": ("", 2),
        "laz_getattr": ("", 3),
        "laz_star": ("", 4),
    }
    root = tree(
        {f"{module}.py": f"lazy import {module}_target as name\n{text}" for module, (text, _) in ways.items()}
    )
    tree({f"{module}_target.py": "" for module in ways})
    tree(
        {
            "laz_ways.py": "import laz_attribute; laz_attribute.name\n"
            "from laz_from import name\n"
            "import laz_getattr; getattr(laz_getattr, 'name')\n"
            "from laz_star import *\n"
            "import laz_global; laz_global.use()\n"
            "import laz_name\n"
        }
    )
    log = _log_imports("laz_ways")
    for module, (text, line) in ways.items():
        target, file = f"{module}_target", str(root / f"{module}.py")
        asker = module if text else "laz_ways"
        assert log.importers[target] == (asker, str(root / f"{asker}.py"), line)
        assert log.lazily[target] == (module, file, 1)
    assert not set(log.lazily) - {f"{module}_target" for module in ways}


@live
def test_of_two_statements_the_one_whose_name_was_used_is_told(tree: Tree) -> None:
    root = tree(FILES)
    user = importlib.import_module("laz_user")
    log = ImportLog()
    FINDER.listen(log)
    try:
        assert user.other == 1
    finally:
        FINDER.unlisten(log)
    file = str(root / "laz_user.py")
    assert log.lazily == dict.fromkeys(["laz_pack", "laz_pack.part"], Importer("laz_user", file, 2))


@live
def test_a_trace_shows_what_was_resolved_and_what_was_not(tree: Tree) -> None:
    root = tree(FILES)
    with trace_imports() as trace:
        user = importlib.import_module("laz_user")
        user.heavy()
    user_file, heavy = str(root / "laz_user.py"), trace["laz_heavy"]
    assert (heavy.how, heavy.importer, heavy.line) == ("executed", "laz_user", 12)
    assert (heavy.lazy_file, heavy.lazy_line) == (user_file, 1)
    assert [(e.name, e.parent, e.line) for e in trace.entries if e.how == "lazy"] == [
        ("laz_pack.part.VALUE", 0, 2),
        ("laz_pack.part.OTHER", 0, 2),
        ("laz_pack.sub", 0, 6),
    ]
    assert list(trace) == ["laz_user", "laz_heavy"]
    trace.assert_not_imported("laz_pack")
    with pytest.raises(AssertionError) as caught:
        trace.assert_not_imported("laz_heavy")
    resolved = f"resolves the lazy import at {user_file}:1"
    assert str(caught.value) == f"laz_heavy is imported:\n    {user_file}:12 imports laz_heavy ({resolved})"
    lines = [line[20:] for line in trace.tree().splitlines()[1:]]
    assert lines[1:] == [
        f"  laz_pack.part.VALUE  (a lazy import that is not resolved, {user_file}:2)",
        f"  laz_pack.part.OTHER  (a lazy import that is not resolved, {user_file}:2)",
        f"  laz_pack.sub  (a lazy import that is not resolved, {user_file}:6)",
        f"laz_heavy  ({resolved}, {user_file}:12)",
    ]


@live
@pytest.mark.parametrize(
    ("files", "circles"),
    [
        pytest.param(
            {"a.py": "lazy import laz_app.b as b\ndef f(): b\n", "b.py": "import laz_app.a\n"},
            [],
            id="not used",
        ),
        pytest.param(
            {
                "a.py": "lazy from laz_app.b import Y\nX = 1\nZ = Y\n",
                "b.py": "from laz_app.a import Z\nY = 1\n",
            },
            [("laz_app.a -> laz_app.b -> laz_app.a", "fails", ("Z",))],
            id="used when it is imported",
        ),
        pytest.param(
            {
                "a.py": "lazy from laz_app.c import C\nX = 1\n",
                "b.py": "from laz_app.a import C\n",
                "c.py": "import laz_app.b\nC = 1\n",
            },
            [("laz_app.c -> laz_app.b -> laz_app.c", "works by luck of order", ("C",))],
            id="taken by another module",
        ),
        pytest.param(
            {"a.py": "import laz_app.b\nY = 1\n", "b.py": "lazy from laz_app.a import Y\nX = Y\n"},
            [("laz_app.a -> laz_app.b -> laz_app.a", "works by luck of order", ("Y",))],
            id="lacking what a lazy import takes",
        ),
    ],
)
def test_circles_through_lazy_imports(
    tree: Tree, files: dict[str, str], circles: list[tuple[str, str, tuple[str, ...]]]
) -> None:
    tree({"laz_app/__init__.py": "", **{f"laz_app/{name}": text for name, text in files.items()}})
    found = find_import_cycles("laz_app")
    assert [(cycle.name, cycle.verdict, cycle.lacking) for cycle in found] == circles
    assert found.broken == ()


@live
def test_with_a_filter_lazy_imports_may_be_eager(tree: Tree, eager: None) -> None:
    tree(
        {
            "laz_app/__init__.py": "",
            "laz_app/a.py": "lazy import laz_app.b as b\n",
            "laz_app/b.py": "import laz_app.a\n",
        }
    )
    assert [cycle.name for cycle in find_import_cycles("laz_app")] == ["laz_app.a -> laz_app.b -> laz_app.a"]


@pytest.fixture
def eager() -> Iterator[None]:
    set_filter: Any = vars(sys)["set_lazy_imports_filter"]
    set_filter(_refuse)
    yield
    set_filter(None)


@live
def test_the_real_filter_is_an_effect(request: pytest.FixtureRequest) -> None:
    before = Effects.capture()
    request.getfixturevalue("eager")
    assert before.differences(Effects.capture()) == [
        ("sys.set_lazy_imports_filter", f"The filter of lazy imports is {__name__}._refuse; it was None.")
    ]


@live
@pytest.mark.usefixtures("unchanged")
def test_a_window_puts_the_mode_and_the_filter_back() -> None:
    space: Any = vars(sys)
    with IsolatedImportContext() as outer:
        space["set_lazy_imports"]("all")
        with IsolatedImportContext() as inner:
            space["set_lazy_imports"]("normal")
            space["set_lazy_imports_filter"](_refuse)
        assert (space["get_lazy_imports"](), space["get_lazy_imports_filter"]()) == ("all", None)
    assert (space["get_lazy_imports"](), space["get_lazy_imports_filter"]()) == ("normal", None)
    assert outer.changes.rebound == ("sys.get_lazy_imports()",)
    assert inner.changes.rebound == ("sys.get_lazy_imports()", "sys.get_lazy_imports_filter()")
    assert str(outer.changes) == "put back sys.get_lazy_imports(), which gave something else"


@live
def test_a_filter_that_a_library_set_leaves_and_returns_with_it(tree: Tree) -> None:
    folder = tree(
        {
            "site-packages/laz_sets.py": "import sys\ndef chosen(*asked): return True\n"
            "sys.set_lazy_imports_filter(chosen)\n"
        }
    )
    sys.path.insert(0, str(folder / "site-packages"))
    chosen: Any = vars(sys)["get_lazy_imports_filter"]
    for _ in range(2):
        with IsolatedImportContext():
            library = importlib.import_module("laz_sets")
            assert chosen() is library.chosen
        assert chosen() is None


def test_what_a_descriptor_gave_once_and_for_all_stays(tree: Callable[[dict[str, str]], Path]) -> None:
    tree(
        {
            "lazy_six.py": """
                import sys
                from importlib.machinery import ModuleSpec
                from types import ModuleType

                class Lazy:
                    def __get__(self, package, kind):
                        __import__("lazy_six.moves.parts")
                        del kind.parts
                        return package.parts

                class Moves(ModuleType):
                    __path__ = []
                    parts = Lazy()

                class Finder:
                    def __init__(self):
                        moves, parts = Moves("lazy_six.moves"), ModuleType("lazy_six.moves.parts")
                        self.made = {module.__name__: module for module in (moves, parts)}
                    def find_spec(self, name, path=None, target=None):
                        return ModuleSpec(name, self) if name in self.made else None
                    def create_module(self, spec):
                        return self.made[spec.name]
                    def exec_module(self, module):
                        pass

                __path__ = []
                finder = Finder()
                sys.meta_path.append(finder)
            """
        }
    )
    moves: Any = importlib.import_module("lazy_six.moves")
    try:
        for _ in range(2):
            with IsolatedImportContext():
                assert moves.parts.__name__ == "lazy_six.moves.parts"
    finally:
        sys.meta_path.remove(sys.modules["lazy_six"].finder)  # type: ignore[attr-defined]
