"""The search for circles in processes: it finds what it finds in windows, and in one interpreter for each module."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_import_isolation import find_import_cycles
from pytest_import_isolation.cycles import imported_state, interpreters, process_tree, ways
from pytest_import_isolation.cycles.circles import Attempt
from pytest_import_isolation.cycles.process_tree import Shared
from pytest_import_isolation.cycles.trials import Hearing
from pytest_import_isolation.machinery.platform import has_fork

pytestmark = pytest.mark.skipif(not has_fork(), reason="no process can fork here")
Write = Callable[[dict[str, str]], Path]


@pytest.fixture(autouse=True)
def forks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process fork although pytest-xdist has a thread here, and coverage.py measures."""
    monkeypatch.setattr(ways, "may_fork_here", lambda: True)


@pytest.fixture
def write(tmp_path: Path, unchanged: None) -> Iterator[Write]:
    """Return a function that writes the files of an importable package named app."""
    before = sys.path.copy()
    sys.path[:0] = [str(tmp_path)]
    yield lambda files: _write(tmp_path, files)
    sys.path[:] = before
    _forget(tmp_path)


def _write(root: Path, files: dict[str, str]) -> Path:
    for name, text in {"app/__init__.py": "", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
        # A file that is as old as the search itself is read again each time.
        os.utime(path, (1_000_000_000, 1_000_000_000))
    return root


def _forget(root: Path) -> None:
    for entry in [entry for entry in sys.path_importer_cache if str(entry).startswith(str(root))]:
        del sys.path_importer_cache[entry]


def _found(**options: Any) -> dict[str, Any]:
    before, processes = sys.modules.copy(), _processes()
    found = find_import_cycles("app", **options).as_builtins()
    assert sys.modules == before
    assert _processes() == processes
    return found


def _processes() -> list[str]:
    """Return the processes that this thread has begun and that nobody has waited for, where /proc tells."""
    told = Path(f"/proc/self/task/{threading.get_native_id()}/children")
    return told.read_text(encoding="utf-8").split() if told.exists() else []


@pytest.fixture
def in_windows(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Return a function that searches without forks."""

    def search(**options: Any) -> dict[str, Any]:
        with monkeypatch.context() as patched:
            patched.setattr(ways, "may_fork_here", lambda: False)
            patched.setattr(interpreters, "has_fork", lambda: False)
            return _found(**options)

    return search


_MODULES = ("app.a", "app.b", "app.c", "app.sub", "app.sub.d", "app.sub.e")
_STATEMENTS = (
    "import {other}",
    "import {other} as other",
    "import {other} as other\nother.value",
    "from {other} import value",
    "from {other} import later",
    "from {other} import missing",
    "from {other} import *",
    "from {package} import {child}",
    "def call():\n    from {other} import value\ncall()",
    "def call():\n    from {other} import later",
    "try:\n    from {other} import value\nexcept ImportError:\n    pass",
    "import importlib\nimportlib.import_module('{other}')",
    "def __getattr__(name):\n    if name != 'lazy':\n        raise AttributeError(name)\n    import {other} as other\n    return other.value",
    "from {other} import lazy",
    "import colorsys",
    "import sys\nsys.path.append('nowhere')",
    "raise ImportError('no')",
    "raise SystemExit",
    "value = 2",
)


@st.composite
def _packages(draw: st.DrawFn) -> dict[str, str]:
    files = {}
    for name in ("app", *_MODULES):
        lines = []
        for _ in range(draw(st.integers(0, 1 if name == "app" else 3))):
            other = draw(st.sampled_from(_MODULES))
            package, _, child = other.rpartition(".")
            statement = draw(st.sampled_from(_STATEMENTS))
            lines.append(statement.format(other=other, package=package, child=child))
        lines.insert(draw(st.integers(0, len(lines))), "value = 1")
        folder = name.replace(".", "/")
        path = f"{folder}/__init__.py" if name in ("app", "app.sub") else f"{folder}.py"
        files[path] = "\n".join((*lines, "later = 1", ""))
    return files


@given(_packages(), st.booleans())
def test_forks_find_what_windows_find(files: dict[str, str], exhaustive: bool) -> None:
    root = Path(tempfile.mkdtemp())
    _write(root, files)
    sys.path[:0] = [str(root)]
    before, confirmed = ways.may_fork_here, ways._confirmed
    found = []
    try:
        # New interpreters, which both ask in the end, would hide what they do.
        ways._confirmed = lambda here, *_, **__: here
        for may_fork in (before, lambda: False):
            ways.may_fork_here = may_fork
            found.append(_found(exhaustive=exhaustive))
    finally:
        ways.may_fork_here, ways._confirmed = before, confirmed
        sys.path.remove(str(root))
        _forget(root)
        shutil.rmtree(root)
    assert found[0] == found[1]


#: A package of which no module is tried as the others are.
_ODD = {
    "app/__init__.py": "import app.first",
    "app/first.py": "import app.second",
    "app/second.py": "import app.first\nprint('noise')",
    "app/a.py": "from app.b import y\nx = 1",
    "app/b.py": "from app.a import x\ny = 1",
    "app/sub/__init__.py": "import app.sub.e",
    "app/sub/c.py": "import app.sub.d",
    "app/sub/d.py": "import app.sub.c\nimport sys\nassert sys.stdin.read() == ''",
    "app/sub/e.py": "import app.sub\napp.sub.f",
    "app/gone.py": "import os, app.again\nos._exit(3)",
    "app/again.py": "import app.gone",
    "app/stops.py": "import app.raises\nraise SystemExit(1)",
    "app/raises.py": "import app.stops\n1 / 0",
    "app/threads.py": "import app.waits, threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()",
    "app/waits.py": "import app.threads",
}


def test_forks_of_an_interpreter_find_what_one_for_each_module_finds(
    write: Write, in_windows: Callable[..., dict[str, Any]]
) -> None:
    write({**_ODD, f"app/_speed{EXTENSION_SUFFIXES[0]}": ""})
    found = _found()
    assert found == in_windows()
    assert [cycle["name"] for cycle in found["cycles"]] == [
        "app.a -> app.b -> app.a",
        "app.first -> app.second -> app.first",
    ] or found["broken"]


def test_a_module_that_ends_its_process_is_told_and_ends_nothing_else(write: Write) -> None:
    write(
        {
            "app/a.py": "import app.b\nimport os\nos._exit(3)",
            "app/b.py": "import app.a",
            "app/c.py": "import app.d",
            "app/d.py": "import app.c",
        }
    )
    found = _found()
    assert [cycle["name"] for cycle in found["cycles"]] == ["app.c -> app.d -> app.c"]
    assert {broken["error"] for broken in found["broken"]} == {
        "a fresh interpreter that imports it ends with status 3"
    }


def test_what_modules_print_is_printed_in_the_process_that_searches(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write(
        {
            "app/a.py": "import app.b, sys\nprint('one')\nprint('two', file=sys.stderr)",
            "app/b.py": "import app.a",
        }
    )
    assert len(_found()["cycles"]) == 1
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("one\n" * 2, "two\n" * 2)


def test_an_attempt_finds_nothing_that_another_one_changed(write: Write) -> None:
    write(
        {
            "app/a.py": """
                import sys, app
                assert 'nowhere' not in sys.path
                assert not hasattr(app, 'mark')
                assert 'app.fake' not in sys.modules
                sys.path.append('nowhere')
                app.mark = 1
                sys.modules['app.fake'] = None
                import app.b
            """,
            "app/b.py": "import app.c",
            "app/c.py": "import app.a",
        }
    )
    found = _found()
    assert found["broken"] == []
    assert [cycle["works_from"] for cycle in found["cycles"]] == [["app.a", "app.b", "app.c"]]


def test_a_file_that_is_written_during_the_search_is_read_each_time(write: Write) -> None:
    root = write({"app/made.py": "number = 0"})
    writing = dedent(
        f"""
        import sys
        if "app.made" not in sys.modules:
            number = len(__name__)
            with open({str(root / "app" / "made.py")!r}, "w") as file:
                file.write(f"number = {{number}}" + " " * number)
            import app.made
            assert app.made.number == number, app.made.number
        """
    )
    write(
        {
            f"app/{name}.py": f"{writing}\nimport app.{other}"
            for name, other in {"a": "long_name", "long_name": "b", "b": "a"}.items()
        }
    )
    assert _found()["broken"] == []


def test_forks_that_end_leave_the_rest_to_windows(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        {
            "app/a.py": "import app.b",
            "app/b.py": "import app.a",
            "app/c.py": "import app.a",
            "app/d.py": "import app.d",
        }
    )
    attempt = interpreters.Forks.attempt

    def once(self: Any, names: list[str], *, is_alone: bool) -> list[Attempt]:
        done = attempt(self, names, is_alone=is_alone)
        if self._tree is not None:
            os.kill(self._root.process, signal.SIGKILL)
        return done

    monkeypatch.setattr(interpreters.Forks, "attempt", once)
    assert [cycle["name"] for cycle in _found()["cycles"]] == ["app.a -> app.b -> app.a"]


def test_an_interpreter_that_ends_is_replaced_by_one_for_each_module(write: Write) -> None:
    write({"app/a.py": "import app.b", "app/b.py": "import app.a"})
    fresh = interpreters.FreshInterpreters(["app", "app.a", "app.b"], shares=True)
    assert fresh.attempt("app", is_alone=False).problem is None
    os.kill(fresh._process.pid, signal.SIGKILL)
    assert len(fresh.attempt("app.a", is_alone=False).crossings) == 1
    fresh.close()


def test_a_module_that_finds_in_its_package_what_it_takes_is_not_noted(write: Write) -> None:
    write(
        {
            "app/__init__.py": "x = 1\nfrom app import a\ny = 2",
            "app/a.py": "from app import x\nimport app.b\nimport app.c as c",
            "app/b.py": "try:\n    from app import y\nexcept ImportError:\n    pass",
            "app/c.py": "import app.d",
            "app/d.py": "import app.c",
        }
    )
    known = ["app", *(f"app.{name}" for name in "abcd")]
    done = interpreters.attempt_in_fresh_interpreter("app", known)
    assert [(seen.edges[-1].importer, seen.edges[-1].imported, seen.lacking) for seen in done.crossings] == [
        ("app.b", "app", ("y",)),
        ("app.d", "app.c", ()),
    ]


def test_a_process_without_leave_to_fork_tries_in_windows(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write({"app/a.py": "import app.b", "app/b.py": "import app.a"})

    def refuse() -> int:
        raise RuntimeError

    monkeypatch.setattr(process_tree, "fork", refuse)
    assert len(_found()["cycles"]) == 1


def test_nothing_is_forked_beside_threads_and_what_watches_this_process() -> None:
    if not interpreters.may_fork_here():
        pytest.skip("a tool, or a thread, watches this process")
    go = threading.Event()
    thread = threading.Thread(target=go.wait)
    thread.start()
    try:
        assert not interpreters.may_fork_here()
    finally:
        go.set()
        thread.join()
    for setter in (sys.settrace, sys.setprofile):
        setter(lambda *_: None)
        try:
            assert not interpreters.may_fork_here()
        finally:
            setter(None)


@pytest.mark.usefixtures("unchanged")
def test_a_finder_of_a_foreign_module_stays_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = sys.meta_path.copy()
    monkeypatch.setattr(imported_state, "runs_threads", lambda: False)  # pytest-xdist has one
    state = imported_state.ImportedState(lambda name: False, repeats=True)
    finder = type("Finder", (), {"__module__": "json"})()
    try:
        sys.meta_path.append(finder)
        assert state.restore()
        assert finder in sys.meta_path
        sys.meta_path.append(type("Finder", (), {"__module__": "nowhere"})())
        assert not state.restore()
    finally:
        sys.meta_path[:] = before


def test_a_worker_tries_what_it_is_asked_one_by_one(write: Write) -> None:
    write(
        {
            "app/a.py": "import app.b",
            "app/b.py": "import app.a",
            "app/c.py": "import sys\nsys.path.append('x')",
        }
    )
    known = ["app", "app.a", "app.b", "app.c"]
    shared = Shared(
        known, lambda name: name.partition(".")[0] == "app", may_repeat=True, shares=True, hearing=Hearing()
    )
    forks = interpreters.Forks(shared)
    try:
        assert [done.entry for done in forks.attempt(["app"], is_alone=False)] == ["app"]
        done = forks.attempt(["app.a", "app.c", "app.b"], is_alone=False)
        # It changed what the next one would find.
        assert [each.entry for each in done] == ["app.a", "app.c"]
        assert [len(each.crossings) for each in done] == [1, 0]
    finally:
        forks.close()


def test_a_foreign_module_is_executed_once_more_for_all_processes(write: Write) -> None:
    root = write(
        {
            "site-packages/foreign_one.py": """
                import os
                with open(os.path.join(os.path.dirname(__file__), "executions"), "a") as file:
                    file.write("x")
            """,
            "app/a.py": "import foreign_one, app.p, app.q, app.r",
            **{f"app/{name}/__init__.py": "import app.a" for name in "pqr"},
            **{f"app/{name}/below.py": "import app.a" for name in "pqr"},
        }
    )
    sys.path[:0] = [str(root / "site-packages")]
    assert _found()["tried"] == ["app", "app.a", "app.p", "app.q", "app.r"]
    assert (root / "site-packages" / "executions").read_text() == "xx"


def test_a_foreign_module_that_imports_the_package_is_left_to_each_process(write: Write) -> None:
    root = write(
        {
            "site-packages/foreign_two.py": "import app.late",
            "app/late.py": "",
            "app/a.py": "import foreign_two, app.p, app.q",
            **{f"app/{name}/__init__.py": "import app.a" for name in "pq"},
            **{f"app/{name}/below.py": "import app.a" for name in "pq"},
        }
    )
    sys.path[:0] = [str(root / "site-packages")]
    found = _found()
    assert [cycle["name"] for cycle in found["cycles"]] == [
        "app.a -> app.p -> app.a",
        "app.a -> app.q -> app.a",
    ]
    assert found["broken"] == []


def test_what_one_attempt_loads_is_read_once_for_the_next_ones(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write({f"app/{name}.py": text for name, text in {"a": "import app.c", "b": "", "c": ""}.items()})
    log = root / "read.txt"

    def note(name: str, path: str) -> None:
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{name} {path}\n")

    monkeypatch.setattr(process_tree.CODE, "read_ahead", note)
    known = ["app", "app.a", "app.b", "app.c"]
    shared = Shared(known, known.__contains__, may_repeat=False, shares=False, hearing=Hearing())
    forks = interpreters.Forks(shared)
    try:
        for name in ("app", "app.a", "app.b"):
            forks.attempt([name], is_alone=False)
    finally:
        forks.close()
    assert sorted(log.read_text("utf-8").splitlines()) == [
        f"app.{name} {root / 'app' / name}.py" for name in ("a", "c")
    ]
