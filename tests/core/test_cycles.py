"""find_import_cycles and assert_no_circular_imports, on packages that are really imported."""

from __future__ import annotations

import builtins
import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace

import pytest

from pytest_import_isolation import (
    ImportCycle,
    ImportCycles,
    assert_no_circular_imports,
    find_import_cycles,
)
from pytest_import_isolation.cycles import trials as importtrials
from pytest_import_isolation.errors import ImportIsolationError, ParameterError, PatternError
from pytest_import_isolation.machinery import locks
from pytest_import_isolation.machinery.finders import import_function
from pytest_import_isolation.parking.finder import FINDER

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, unchanged: None) -> Iterator[Write]:
    """Return a function that writes files of an importable package named app."""

    def write(files: dict[str, str], where: str = "tree") -> Path:
        root = tmp_path / where
        for name, text in {"app/__init__.py": "", **files}.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text), encoding="utf-8")
        sys.path[:0] = [str(root)]
        return root

    before = sys.path.copy()
    yield write
    sys.path[:] = before
    for entry in [entry for entry in sys.path_importer_cache if str(entry).startswith(str(tmp_path))]:
        del sys.path_importer_cache[entry]


_A_USES_B = {"app/a.py": "from app.b import y\nx = 1"}

#: Files, then each circle with its verdict.
FOUND = {
    "names, both ways": (
        {**_A_USES_B, "app/b.py": "from app.a import x\ny = 1"},
        [("app.a -> app.b -> app.a", "fails")],
    ),
    "only one order fails": (
        {"app/a.py": "x = 1\nfrom app.b import y", "app/b.py": "from app.a import x\ny = 1"},
        [("app.b -> app.a -> app.b", "works by luck of order")],
    ),
    "an attribute too early": (
        {"app/a.py": "import app.b as b\nx = 1", "app/b.py": "import app.a as a\na.x"},
        [("app.a -> app.b -> app.a", "works by luck of order")],
    ),
    "an attribute of the package too early": (
        {"app/a.py": "import app.b\nx = 1", "app/b.py": "import app.a\napp.a.x"},
        [("app.a -> app.b -> app.a", "works by luck of order")],
    ),
    "an attribute too early, in an exception of its own": (
        {
            "app/a.py": "import app.b as b\nx = 1",
            "app/b.py": "import app.a as a\ntry:\n    a.x\nexcept AttributeError:\n    raise RuntimeError('no')",
        },
        [("app.a -> app.b -> app.a", "works by luck of order")],
    ),
    "siblings": (
        {"app/a.py": "from . import b", "app/b.py": "from . import a"},
        [("app.a -> app.b -> app.a", "works in every order")],
    ),
    "siblings that use their package's name": (
        # Neither asks the other for anything but to be there.
        {"app/a.py": "from app import b\nname = 1", "app/b.py": "from app import a\nb = 1"},
        [("app.a -> app.b -> app.a", "works in every order")],
    ),
    "import_module": (
        {
            "app/a.py": "import importlib\nimportlib.import_module('app.b')\nx = 1",
            "app/b.py": "from importlib import import_module\nimport_module('.a', __package__).x",
        },
        [("app.a -> app.b -> app.a", "works by luck of order")],
    ),
    "import_module of a name that is computed": (
        {
            "app/a.py": "import importlib\nfor name in 'bc':\n    importlib.import_module(f'app.{name}')",
            "app/b.py": "import app.a",
            "app/c.py": "",
        },
        [("app.a -> app.b -> app.a", "works in every order")],
    ),
    "import as": (
        {"app/a.py": "import app.b as b", "app/b.py": "import app.a as a"},
        [("app.a -> app.b -> app.a", "works in every order")],
    ),
    "stars": (
        {"app/a.py": "from app.b import *\nx = 1", "app/b.py": "from app.a import *"},
        [("app.a -> app.b -> app.a", "works in every order")],
    ),
    "three": (
        {**_A_USES_B, "app/b.py": "from app.c import z\ny = 1", "app/c.py": "from app.a import x\nz = 1"},
        [("app.a -> app.b -> app.c -> app.a", "fails")],
    ),
    "four, and two of them": (
        {
            "app/a.py": "import app.b",
            "app/b.py": "import app.c",
            "app/c.py": "import app.d",
            "app/d.py": "import app.a, app.c",
        },
        [
            ("app.a -> app.b -> app.c -> app.d -> app.a", "works in every order"),
            ("app.c -> app.d -> app.c", "works in every order"),
        ],
    ),
    "the package itself": (
        {"app/__init__.py": "from .a import x\nV = 1", "app/a.py": "from . import V\nx = 1"},
        [("app -> app.a -> app", "fails")],
    ),
    "a package below": (
        {
            "app/db/__init__.py": "from app.m import M\nX = 1",
            "app/m.py": "from app.db.x import X\nM = 1",
            "app/db/x.py": "X = 1",
        },
        [("app.m -> app.db -> app.m", "works by luck of order")],
    ),
    "a package below, by its name": (
        {"app/db/__init__.py": "from app.m import M\nX = 1", "app/m.py": "from app.db import X\nM = 1"},
        [("app.db -> app.m -> app.db", "fails")],
    ),
    "hidden by a try statement": (
        {
            "app/a.py": "try:\n    from app.b import y\nexcept ImportError:\n    y = None\nx = 1",
            "app/b.py": "from app.a import x\ny = 1",
        },
        [("app.a -> app.b -> app.a", "fails")],
    ),
    "in a function that is called at import": (
        {
            "app/a.py": "def f():\n    from app.b import y\nx = 1\nf()",
            "app/b.py": "from app.a import x\ny = 1",
        },
        [("app.b -> app.a -> app.b", "works by luck of order")],
    ),
    "through a function of another module": (
        {
            "app/util.py": "def load(name):\n    import importlib\n    importlib.import_module(name)",
            "app/a.py": "from app.util import load\nload('app.b')",
            "app/b.py": "import app.a",
        },
        [("app.a -> app.b -> app.a", "works in every order")],
    ),
    "in a class body": (
        {"app/a.py": "class A:\n    from app.b import y\nx = 1", "app/b.py": "from app.a import x\ny = 1"},
        [("app.a -> app.b -> app.a", "fails")],
    ),
    "with a name from below a package that is being imported": (
        {
            "app/__init__.py": "import app.a\nx = 1",
            "app/a.py": "from app.sub.b import x",
            "app/sub/__init__.py": "",
            "app/sub/b.py": "import app.a\nx = 1",
        },
        [("app.a -> app.sub.b -> app.a", "works in every order")],
    ),
    "a lazy attribute that is not there yet": (
        {
            "app/a.py": "def __getattr__(name):\n    raise AttributeError(name)\nfrom app.b import y\nx = 1",
            "app/b.py": "from app.a import x\ny = 1",
        },
        [("app.b -> app.a -> app.b", "fails")],
    ),
    "through a lazy attribute that is used at import": (
        {
            "app/__init__.py": "def __getattr__(name):\n    if name != 'y':\n        raise AttributeError(name)\n    from app import b\n    return b.y",
            "app/a.py": "from app import y\nx = 1",
            "app/b.py": "from app.a import x\ny = 1",
        },
        [("app.a -> app.b -> app.a", "fails")],
    ),
    "through a module outside": (
        {"app/a.py": "import helper\nq = 1", "helper.py": "import app.a"},
        [("app.a -> helper -> app.a", "works in every order")],
    ),
}

NOT_FOUND = {
    "TYPE_CHECKING": {
        "app/a.py": "import typing\nif typing.TYPE_CHECKING:\n    from app.b import y\nelse:\n    y = 1\nx = 1",
        "app/b.py": "from app.a import x\ny = 1",
    },
    "in a function": {
        "app/a.py": "def f():\n    from app.b import y\nx = 1",
        "app/b.py": "from app.a import x\ny = 1",
    },
    "a package and its submodules": {
        "app/__init__.py": "V = 1\nfrom . import a\nfrom .b import y\nimport app.c",
        "app/a.py": "from app import V\nfrom . import b\nimport app.b",
        "app/b.py": "import app\nfrom . import V\ny = app.V",
        "app/c.py": "from importlib import import_module\nimport_module('app')",
    },
    "a package below and its submodules": {
        "app/__init__.py": "from app import sub",
        "app/sub/__init__.py": "from . import x\nfrom . import y",
        "app/sub/x.py": "import app",
        "app/sub/y.py": "",
    },
    "a lazy attribute": {
        "app/__init__.py": "def __getattr__(name):\n    from app import b\n    return b.y",
        "app/b.py": "import app\ny = 1",
    },
    "a lazy module that is not used": {
        "app/a.py": """
            import importlib.util, sys
            spec = importlib.util.find_spec("app.b")
            spec.loader = importlib.util.LazyLoader(spec.loader)
            b = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(b)
        """,
        "app/b.py": "import app.a",
    },
    "the program": {
        "app/a.py": "x = 1\nif __name__ == '__main__':\n    import app.b",
        "app/b.py": "import app.a",
    },
}


def _names(found: ImportCycles) -> list[tuple[str, str]]:
    return [(cycle.name, cycle.verdict) for cycle in found]


def _search_twice(package: str = "app") -> ImportCycles:
    before = sys.modules.copy()
    found = find_import_cycles(package)
    full = find_import_cycles(package, exhaustive=True)
    assert sys.modules == before
    assert (found.cycles, found.modules) == (full.cycles, full.modules)
    assert len(found.tried) <= len(full.tried)
    return found


@pytest.fixture(params=["heard", "watched"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Try a test with the private function of importlib, and with what takes its place."""
    if request.param == "watched":
        monkeypatch.setattr(importtrials, "reentries_can_be_heard", lambda: False)


@pytest.mark.parametrize("case", FOUND)
@pytest.mark.usefixtures("way")
def test_a_circle_is_found(case: str, write: Write) -> None:
    files, expected = FOUND[case]
    write(files)
    assert _names(_search_twice()) == expected


@pytest.mark.parametrize("case", NOT_FOUND)
@pytest.mark.usefixtures("way")
def test_no_circle_is_found_where_none_is(case: str, write: Write) -> None:
    write(NOT_FOUND[case])
    found = _search_twice()
    assert (_names(found), found.broken, found.is_clean) == ([], (), True)


def test_a_circle_is_data(write: Write) -> None:
    root = write(FOUND["three"][0])
    (cycle,) = find_import_cycles("app")
    assert isinstance(cycle, ImportCycle)
    assert cycle.modules == ("app.a", "app.b", "app.c")
    assert [edge._asdict() for edge in cycle.edges] == [
        {"importer": "app.a", "file": f"{root}/app/a.py", "line": 1, "imported": "app.b", "names": ("y",)},
        {"importer": "app.b", "file": f"{root}/app/b.py", "line": 1, "imported": "app.c", "names": ("z",)},
        {"importer": "app.c", "file": f"{root}/app/c.py", "line": 1, "imported": "app.a", "names": ("x",)},
    ]
    assert (cycle.lacking, cycle.fails_from, cycle.works_from) == (("x",), ("app.a", "app.b", "app.c"), ())


def test_a_name_that_a_module_never_has_is_no_circle(write: Write) -> None:
    write({"app/__init__.py": "from .a import x", "app/a.py": "from app import nothing\nx = 1"})
    found = find_import_cycles("app")
    assert _names(found) == []
    assert [(broken.name, broken.line) for broken in found.broken] == [("app.a", 1)]
    assert found.is_unknown is False  # the package's own file is all right, and says why the other is not


def test_what_cannot_be_imported_is_told_apart_and_hides_nothing(write: Write) -> None:
    root = write(
        {
            **FOUND["names, both ways"][0],
            "app/c.py": "import no_such_module",
            "app/d.py": "import app.e\n1 / 0",
            "app/e.py": "import app.c\nimport app.d",
            "app/f.py": "raise SystemExit",
            "app/g.py": "a b",
        }
    )
    found = find_import_cycles("app", exhaustive=True)
    assert _names(found) == [("app.a -> app.b -> app.a", "fails")]
    assert [tuple(broken) for broken in found.broken] == [
        ("app.c", "ModuleNotFoundError: No module named 'no_such_module'", f"{root}/app/c.py", 1),
        ("app.f", "SystemExit", f"{root}/app/f.py", 1),
        ("app.g", "SyntaxError: invalid syntax (g.py, line 1)", f"{root}/app/g.py", 1),
    ]


def test_an_exception_that_is_none_of_the_circle_is_told_beside_it(write: Write) -> None:
    write({"app/a.py": "import app.b", "app/b.py": "import app.a\n{}.x"})
    found = find_import_cycles("app")
    assert _names(found) == [("app.a -> app.b -> app.a", "works in every order")]
    assert [broken.error for broken in found.broken] == ["AttributeError: 'dict' object has no attribute 'x'"]


def test_an_import_error_that_somebody_raises_is_none_of_the_circle(write: Write) -> None:
    write({"app/a.py": "import app.b", "app/b.py": "import app.a\nraise ImportError('no', name='app.a')"})
    found = find_import_cycles("app")
    assert _names(found) == [("app.a -> app.b -> app.a", "works in every order")]
    assert [broken.error for broken in found.broken] == ["ImportError: no"]


def test_an_interrupt_ends_the_search_and_leaves_nothing(write: Write) -> None:
    write({"app/__init__.py": "raise KeyboardInterrupt"})
    before = sys.modules.copy()
    with pytest.raises(KeyboardInterrupt):
        find_import_cycles("app")
    assert sys.modules == before


def test_an_import_of_what_is_gone_or_of_another_thread_is_not_noted() -> None:
    listener = importtrials._Listener(importtrials.Hearing())
    listener.told("no_such_module")
    thread = threading.Thread(target=listener.told, args=(__name__,))
    thread.start()
    thread.join()
    assert listener.crossings == []


@pytest.mark.skipif(sys.platform == "emscripten", reason="WebAssembly has not processes")
def test_a_module_that_can_be_executed_once_only_is_tried_in_a_fresh_interpreter(write: Write) -> None:
    once = "import decimal\nassert not hasattr(decimal, 'seen')\ndecimal.seen = 1\n"
    write({"app/a.py": f"{once}import app.b", "app/b.py": "import app.a"})
    try:
        found = find_import_cycles("app")
    finally:
        decimal = (
            importlib.import_module("decimal") if "decimal" in sys.modules else FINDER.lot.module("decimal")
        )
        vars(decimal).pop("seen", None)
    assert (_names(found), found.broken) == ([("app.a -> app.b -> app.a", "works in every order")], ())


def test_a_package_with_extension_modules_is_tried_in_fresh_interpreters(write: Write) -> None:
    write(
        {
            **FOUND["only one order fails"][0],
            f"app/_speed{EXTENSION_SUFFIXES[0]}": "",
            "app/noise.py": "import os\nprint('noise')\nimport app.a, app.crash",
            "app/crash.py": "import app.noise\nos = __import__('os')\nos._exit(3)",
        }
    )
    found = find_import_cycles("app")
    assert _names(found) == [("app.b -> app.a -> app.b", "works by luck of order")]
    assert [tuple(broken) for broken in found.broken] == [
        (name, "a fresh interpreter that imports it ends with status 3", None, None)
        for name in ("app.crash", "app.noise")
    ]


def test_an_installed_package_that_runs_now_is_tried_in_fresh_interpreters() -> None:
    before = sys.modules.copy()
    assert find_import_cycles("pluggy").tried
    assert sys.modules == before


def test_an_installed_package_is_neither_loaded_nor_parked_afterwards(write: Write) -> None:
    write({**FOUND["three"][0], "app/d.py": "import netrc"}, "site-packages")
    before, parked = sys.modules.copy(), set(FINDER.lot)
    assert len(find_import_cycles("app", exhaustive=True)) == 1
    assert sys.modules == before
    assert set(FINDER.lot) - parked <= {"netrc"}


def test_loaded_modules_are_the_same_objects_afterwards(write: Write) -> None:
    write({"app/a.py": "import app.b as b", "app/b.py": "import app.a as a"})
    a = importlib.import_module("app.a")
    before = sys.modules.copy()
    try:
        assert len(find_import_cycles("app")) == 1
        assert sys.modules == before
        assert sys.modules["app.a"] is a is a.b.a
        assert sys.modules["app"].a is a
    finally:
        for name in ("app.a", "app.b", "app"):
            del sys.modules[name]


def test_an_import_in_another_thread_is_no_circle(write: Write) -> None:
    write(
        {
            "app/a.py": "import slow",
            "slow.py": "import sys\nsys.slow_started.set()\nsys.slow_go.wait(0.3)",
        }
    )
    sys.slow_started, sys.slow_go = threading.Event(), threading.Event()
    thread = threading.Thread(target=importlib.import_module, args=("slow",))
    try:
        thread.start()
        sys.slow_started.wait(600)
        found = find_import_cycles("app", exhaustive=True)
    finally:
        thread.join()
        del sys.slow_started, sys.slow_go
        sys.modules.pop("slow", None)
    assert (_names(found), found.broken) == ([], ())


def test_a_module_that_its_package_imports_is_not_tried_again(write: Write) -> None:
    write(
        {
            "app/__init__.py": "import app.a",
            "app/a.py": "import app.b",
            "app/b.py": "import app.a",
            "app/c.py": "",
        }
    )
    found = _search_twice()
    assert (found.modules, found.tried, len(found)) == (4, ("app",), 1)


def test_circles_of_a_package_below_are_those_that_touch_it(write: Write) -> None:
    write(
        {
            "app/a.py": "import app.b",
            "app/b.py": "import app.a",
            "app/sub/__init__.py": "",
            "app/sub/c.py": "import app.d",
            "app/d.py": "import app.sub.c",
        }
    )
    assert _names(_search_twice("app.sub")) == [("app.d -> app.sub.c -> app.d", "works in every order")]


def test_cached_imports_cost_nothing_while_a_search_runs(write: Write) -> None:
    write(
        {
            "app/__init__.py": """
                import builtins
                assert type(builtins.__import__) is type(len), builtins.__import__
            """
        }
    )
    original = builtins.__import__
    builtins.__import__ = import_function()
    try:
        assert find_import_cycles("app").is_clean
    finally:
        builtins.__import__ = original


def test_the_function_of_importlib_is_back_after_a_search(write: Write) -> None:
    before = importlib._bootstrap._lock_unlock_module
    write({"app/__init__.py": "1 / 0"})
    assert find_import_cycles("app").is_unknown
    assert importlib._bootstrap._lock_unlock_module is before


@pytest.mark.parametrize("bootstrap", [SimpleNamespace(), SimpleNamespace(_lock_unlock_module=len)])
def test_the_self_test_sees_that_the_function_is_gone_or_not_called(
    bootstrap: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert importtrials.reentries_can_be_heard()
    monkeypatch.setattr(locks, "_bootstrap", bootstrap)
    assert not importtrials.reentries_can_be_heard()


def test_who_wrapped_the_function_after_the_search_began_keeps_the_wrapper(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bootstrap = SimpleNamespace(_lock_unlock_module=len)
    monkeypatch.setattr(locks, "_bootstrap", bootstrap)
    with locks.hear_reentries(lambda name: None):
        bootstrap._lock_unlock_module = other = lambda name: None
    assert bootstrap._lock_unlock_module is other


def test_without_processes_what_must_not_be_executed_twice_is_refused(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "emscripten")
    write(
        {"app/_speed" + EXTENSION_SUFFIXES[0]: "", "app/a.py": "import app.b\n", "app/b.py": "import app.a\n"}
    )
    with pytest.raises(ImportIsolationError) as caught:
        find_import_cycles("app")
    assert str(caught.value) == (
        "app must be tried in new interpreters, because it holds extension modules, and emscripten has no "
        "processes: search on another platform"
    )
    with pytest.raises(
        ImportIsolationError, match="_pytest must be tried in new interpreters, because it is running"
    ):
        find_import_cycles("_pytest")


def test_without_processes_an_error_counts_as_it_is(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "emscripten")
    write({"app/a.py": "import app.b\nraise ValueError('no')\n", "app/b.py": "import app.a\n"})
    found = find_import_cycles("app")
    assert "ValueError: no" in [broken.error for broken in found.broken]


# Allowances and the assertion


def test_allowed_circles_are_set_apart_and_old_allowances_told(write: Write) -> None:
    write(FOUND["three"][0])
    for allow in (
        "app.b -> app.c->app.a",
        ["app.a -> app.b -> app.c -> app.a"],
        "app.?",
        "app",
        "app.* -> app.* -> app.*",
    ):
        found = find_import_cycles("app", allow=allow)
        assert (len(found), len(found.allowed), found.outdated, found.is_clean) == (0, 1, (), True), allow
    for allow in ("app.a -> app.b", "app.b -> app.a -> app.c", "app.a"):
        found = find_import_cycles("app", allow=[allow, "app.*"])
        assert (len(found), found.outdated, found.is_clean) == (0, (allow,), False), allow


def test_the_assertion_passes_without_circles_and_with_allowed_ones(write: Write) -> None:
    write(FOUND["siblings"][0])
    assert_no_circular_imports("app", allow=["app.b -> app.a"])
    (Path(sys.path[0]) / "app" / "b.py").write_text("", encoding="utf-8")
    assert_no_circular_imports("app")
    with pytest.raises(AssertionError) as failure:
        assert_no_circular_imports("app", allow=["app.b -> app.a"])
    assert str(failure.value) == (
        "app: 0 circular imports in 3 modules, 1 of them imported first\n\n"
        "allow='app.b -> app.a': no longer a cycle; remove the entry"
    )


def test_the_assertion_tells_all(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write(FOUND["names, both ways"][0]))
    with pytest.raises(AssertionError) as failure:
        assert_no_circular_imports("app")
    assert str(failure.value) == dedent(
        """\
        app: 1 circular import in 3 modules, each imported first

        app.a -> app.b -> app.a: fails
            app/a.py:1  from app.b import y
            app/b.py:1  from app.a import x
            app.a has no x yet when app.b asks for it.
            It fails whichever is imported first.

        Three cures, the best first:
            Move what both need into a module of its own, which imports neither.
            Import inside the function that needs it: 'from app.a import x' in app.b.
            Import the module in place of names, 'import app.a', and use 'app.a.x' inside functions only.
                The circle remains, but works in every order: allow= accepts it."""
    )


def test_the_assertion_fails_for_a_package_that_cannot_be_imported(write: Write) -> None:
    root = write({"app/__init__.py": "1 / 0"})
    with pytest.raises(AssertionError) as failure:
        assert_no_circular_imports("app")
    assert str(failure.value) == (
        "app: 0 circular imports in 1 module, each imported first\n\n"
        "These cannot be imported for another reason, so their own imports were not seen:\n"
        f"    app: ZeroDivisionError: division by zero ({root}/app/__init__.py:1)"
    )


@pytest.mark.parametrize(
    ("package", "allow", "error", "message"),
    [
        (".app", (), PatternError, "find_import_cycles: '.app' is relative; give the absolute name, such as 'package.module'"),
        ("app.nothing", (), ParameterError, "find_import_cycles('app.nothing'): there is no such module in app; give the name of a package whose source is there"),
        ("nothing", (), ParameterError, "find_import_cycles('nothing'): there is no such module on sys.path; give the name of a package whose source is there"),
        ("json", (), ParameterError, "find_import_cycles('json'): json belongs to the standard library, which must not be executed twice; name a package of your own, or an installed one"),
        ("pytest_import_isolation", (), ParameterError, "find_import_cycles('pytest_import_isolation'): this package cannot search itself while it runs"),
        ("app", 3, ParameterError, "allow: expected a list of circles such as 'app.a -> app.b', not int (3)"),
        ("app", [3], ParameterError, "allow: a circle is a string such as 'app.a -> app.b', or a pattern of modules, not int (3)"),
        ("app", ["app.a ->"], PatternError, "allow: '' is no module name; give a dotted name such as 'package.module'"),
    ],
)  # fmt: skip
def test_a_mistake_is_told(
    package: str, allow: object, error: type[Exception], message: str, write: Write
) -> None:
    write({})
    with pytest.raises(error) as raised:
        find_import_cycles(package, allow=allow)
    assert str(raised.value) == message
