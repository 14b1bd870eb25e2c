"""What a source imports, as data; no module is imported here."""

from __future__ import annotations

import ast
from importlib.machinery import ModuleSpec
from pathlib import Path
from textwrap import dedent

import pytest

from pytest_import_isolation.cycles.import_graph import ImportGraph, Source, components, list_modules
from pytest_import_isolation.cycles.source_imports import read_source


def _graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str]) -> ImportGraph:
    for name, text in {"tree/__init__.py": "", **files}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    return ImportGraph(
        "tree", lambda name, file: name == "beside", lambda file: Path(file).read_text("utf-8")
    )


def _edges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, **more: str) -> set[str]:
    files = {f"tree/{name.replace('__', '/')}.py": text for name, text in more.items()}
    everything = {
        "tree/b.py": "",
        "tree/sub/__init__.py": "",
        "tree/sub/c.py": "",
        "tree/a.py": source,
        **files,
    }
    return _graph(tmp_path, monkeypatch, everything).edges["tree.a"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import tree.b as b", {"tree.b"}),
        ("import tree.b", {"tree", "tree.b"}),
        ("from tree import b", {"tree.b"}),
        ("from . import b", {"tree.b"}),
        ("from . import VERSION", {"tree"}),
        ("from .sub.c import x", {"tree.sub", "tree.sub.c"}),
        ("from .sub import *", {"tree.sub", "tree.sub.c"}),
        ("try:\n    import tree.b as b\nexcept ImportError:\n    pass", {"tree.b"}),
        ("if unknown:\n    from . import b", {"tree.b"}),
        ("if TYPE_CHECKING:\n    from . import b\nelse:\n    from . import sub", {"tree.sub"}),
        ("if TYPE_CHECKING():\n    from . import b", {"tree.b"}),
        ("if __name__ == '__main__':\n    from . import b", set()),
        ("class A:\n    from . import b", {"tree.b"}),
        ("def f():\n    from . import b", set()),
        ("def f():\n    from . import b\nf()", {"tree.b"}),
        ("def f():\n    g()\ndef g():\n    from . import b\nhooks = [f]", {"tree.b"}),
        ("class A:\n    def __init__(self):\n        from . import b", set()),
        ("class A:\n    def __init__(self):\n        from . import b\nA()", {"tree.b"}),
        ("class A:\n    def f(self):\n        from . import b\nx.f", {"tree.b"}),
        ("def __getattr__(name):\n    from . import b", {"tree.b"}),
        ("@property\ndef f():\n    from . import b", set()),
        ("@register\ndef f():\n    from . import b", {"tree.b"}),
        ("@register()\nasync def f():\n    from . import b", {"tree.b"}),
        ("def f(x=__import__('tree.b')):\n    pass", {"tree.b", "tree"}),
        ("import_module('tree.b')", {"tree.b", "tree"}),
        ("import_module('.sub.c', __package__)", {"tree", "tree.sub", "tree.sub.c"}),
        ("settings = ['tree.b:thing', 'tree.nothing', 'else.where', 'two words']", {"tree.b", "tree"}),
        ("import_module(name)", {"tree", "tree.b", "tree.sub", "tree.sub.c"}),
        ("exec('import tree')", {"tree", "tree.b", "tree.sub", "tree.sub.c"}),
        ("def f():\n    load('tree.b')\nf()", {"tree.b", "tree"}),
        ("def f(x: 'tree.b'):\n    load('.sub')\nf()", {"tree.sub", "tree"}),
        ("def f(x='tree.b'):\n    pass", {"tree.b", "tree"}),
        ("\x0c\ndef f():\n    from . import b\n\x0c\ndef g():\n    f\ng()", {"tree.b"}),
        ("x: 'tree.b' = 1\ndef f(y: 'tree.b') -> 'tree.b': ...", set()),
        ("import tree.a, os, nothing", {"tree"}),
        ("from .... import b", {"tree.b"}),
        ("this is no Python", set()),
    ],
)
def test_what_a_module_may_import(
    source: str, expected: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _edges(tmp_path, monkeypatch, source) == expected


def test_a_function_counts_that_another_module_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "def load():\n    from . import b"
    assert _edges(tmp_path, monkeypatch, source, b="from .a import load\nload()") == {"tree.b"}


def test_modules_are_those_that_can_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["__main__.py", "a.py", "no-name.py", "notes.txt", "space/d.py", "empty/notes.txt", "__pycache__/e.py",
             "fast.abi3.so", "fast.py"]  # fmt: skip
    graph = _graph(tmp_path, monkeypatch, {f"tree/{name}": "" for name in names})
    found = {name: (source.file is None, source.is_extension) for name, source in graph.modules.items()}
    assert found == {
        "tree": (False, False),
        "tree.a": (False, False),
        "tree.fast": (False, True),
        "tree.space": (True, False),
        "tree.space.d": (False, False),
    }


def test_a_directory_that_is_gone_has_no_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ModuleSpec("gone", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path / "gone")]
    assert list_modules(spec) == {"gone": Source("gone", None, True)}


def test_a_package_that_is_imported_and_belongs_is_read_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = _graph(
        tmp_path,
        monkeypatch,
        {"tree/a.py": "import beside, away", "beside.py": "import tree.a", "away.py": "import tree.a"},
    )
    assert graph.circles() == [["beside", "tree.a"]]
    assert "away" not in graph.modules


def test_nothing_is_found_under_an_unknown_or_odd_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "odd_entry", object())
    for name in ("no_such_package", "odd_entry"):
        assert ImportGraph(name, lambda name, file: False, lambda file: "").modules == {}


@pytest.mark.parametrize(
    ("source", "binds"),
    [
        ("x = 1", True),
        ("x: int = 1", True),
        ("for x in y: pass", True),
        ("import x.y", True),
        ("from y import z as x", True),
        ("def x(): pass", True),
        ("class x: pass", True),
        ("def f():\n    global x\n    x = 1", True),
        ("match y:\n    case [x, *z]: pass", True),
        ("try: pass\nexcept E as x: pass", True),
        ("from y import *", True),
        ("globals()['x'] = 1", True),
        ("def f():\n    globals()['x'] = 1", True),
        ("def load():\n    x = 1", False),
        ("def f():\n    setattr(m, 'x', 1)", True),
        ("this is no Python", True),
        ("y = x", False),
        ("from x import y", False),
        ("import y as z", False),
    ],
)
def test_the_names_that_a_module_may_have(
    source: str, binds: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = _graph(tmp_path, monkeypatch, {"tree/a.py": source})
    assert graph.binds("tree.a", "x") is binds
    assert graph.binds("unknown", "x")


def test_implied_imports_are_those_of_packages_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = _graph(
        tmp_path,
        monkeypatch,
        {
            "tree/a.py": "from tree.sub.c import x",
            "tree/b.py": "import tree.a as a\nimport tree.d as d",
            "tree/d.py": "import tree.b as b",
            "tree/sub/__init__.py": "import tree.a as a",
            "tree/sub/c.py": "",
        },
    )
    assert graph.circles() == [["tree.a", "tree.sub"], ["tree.b", "tree.d"]]
    assert [graph.has_implied_edges(circle) for circle in graph.circles()] == [True, False]


def test_relative_imports_start_from_the_package() -> None:
    (scope,) = read_source("from . import a\nfrom ..b import c", "p.q").scopes
    assert [(statement.module, statement.names) for statement in scope.imports] == [
        ("p.q", ("a",)),
        ("p.b", ("c",)),
    ]


@pytest.mark.parametrize(
    ("edges", "expected"),
    [
        ({"a": "b", "b": "c", "c": "", "d": "a"}, [["a"], ["b"], ["c"], ["d"]]),
        ({"a": "b", "b": "ac", "c": "d", "d": "ce", "e": ""}, [["a", "b"], ["c", "d"], ["e"]]),
        ({"a": "b", "b": "c", "c": "da", "d": "b"}, [["a", "b", "c", "d"]]),
    ],
)
def test_components(edges: dict[str, str], expected: list[list[str]]) -> None:
    assert sorted(sorted(part) for part in components(edges)) == expected


def test_components_of_a_long_chain_need_no_recursion() -> None:
    edges = {str(n): [str((n + 1) % 5000)] for n in range(5000)}
    assert [len(part) for part in components(edges)] == [5000]


@pytest.fixture
def lazy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the statements whose line ends with ``# lazy`` be lazy imports, on a Python that has none too."""
    parse = ast.parse

    def parse_lazily(text: str) -> ast.Module:
        tree, lines = parse(text), text.splitlines()
        for node in tree.body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                node.is_lazy = int(lines[node.lineno - 1].endswith("# lazy"))  # type: ignore[union-attr]
        return tree

    monkeypatch.setattr(ast, "parse", parse_lazily)


@pytest.mark.usefixtures("lazy")
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import tree.b as b  # lazy", set()),
        ("from . import b, sub  # lazy\nprint(b)", {"tree.b"}),
        ("from . import b as other  # lazy\ndef f():\n    import other\n    other.x", set()),
        ("from . import b as other  # lazy\ndef f():\n    import other\n    other.x\nf()", {"tree.b"}),
        ("import tree.b  # lazy\nclass A(tree.b.B): pass", {"tree", "tree.b"}),
        ("from . import b  # lazy\ngetattr(module, 'b')", {"tree.b"}),
        ("from .sub import c  # lazy\nimport tree.b as b", {"tree.b"}),
    ],
)
def test_a_lazy_import_counts_where_its_name_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, expected: set[str]
) -> None:
    assert _edges(tmp_path, monkeypatch, source) == expected


@pytest.mark.usefixtures("lazy")
@pytest.mark.parametrize("taker", ["from tree.a import other", "from tree.a import *"])
def test_who_takes_a_lazy_name_from_a_module_resolves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taker: str
) -> None:
    lazy = "from . import b as other  # lazy"
    assert _edges(tmp_path, monkeypatch, lazy, taker=taker) == {"tree.b"}


@pytest.mark.usefixtures("lazy")
def test_a_filter_may_make_lazy_imports_eager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.get_lazy_imports_filter", lambda: print, raising=False)
    assert _edges(tmp_path, monkeypatch, "import tree.b as b  # lazy") == {"tree.b"}
