"""Other threads import while a window closes."""

from __future__ import annotations

import _thread
import builtins
import importlib
import sys
import threading
import time
from collections.abc import Callable
from importlib import _bootstrap
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import pytest
from tests.conftest import TAKES_LONG

from pytest_import_isolation import IsolatedImportContext
from pytest_import_isolation.machinery import locks, threads
from pytest_import_isolation.machinery.locks import names_being_imported, quiet_import_lock
from pytest_import_isolation.machinery.modules import is_initializing
from pytest_import_isolation.machinery.threads import namespaces_on_other_threads
from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.state.differences import Overlay
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.watching.import_log import ImportLog
from pytest_import_isolation.window.world import World
from pytest_import_isolation.window.worlds import Worlds

Tree = Callable[[dict[str, str]], Path]


def test_a_module_in_the_middle_of_its_import_stays_and_names_the_thread(
    run_script: Callable[..., str],
) -> None:
    run_script(
        """
        import sys, threading, types, os
        from pytest_import_isolation import IsolatedImportContext

        gate = types.ModuleType("gate")
        gate.entered, gate.go = threading.Event(), threading.Event()
        sys.modules["gate"] = gate
        os.makedirs("slowpkg", exist_ok=True)
        open("slowpkg/__init__.py", "w").close()
        with open("slowpkg/slow.py", "w") as file:
            file.write("import gate\\ngate.entered.set()\\ngate.go.wait(600)\\nfrom slowpkg import tail\\n")
        with open("slowpkg/tail.py", "w") as file:
            file.write("VALUE = 1\\n")
        errors = []

        def load():
            try:
                import slowpkg.slow
            except BaseException as error:
                errors.append(error)

        def run():
            thread = threading.Thread(target=load, name="the-loader")
            with IsolatedImportContext() as context:
                import wave
                thread.start()
                assert gate.entered.wait(600)
            assert "wave" not in sys.modules
            assert set(context.changes.kept) == {"slowpkg", "slowpkg.slow"}, context.changes
            assert context.changes.kept["slowpkg.slow"] == "thread 'the-loader' is still importing it"
            gate.go.set()
            thread.join(600)
            assert errors == []
            assert sys.modules["slowpkg.slow"].tail.VALUE == 1
        run()
        """
    )


def test_an_import_that_another_thread_finishes_in_time_is_undone(tree: Tree, picture: Any) -> None:
    tree(
        {
            "thr_gate.py": "import threading\nentered, go = threading.Event(), threading.Event()",
            "thr_slow.py": "import thr_gate\nthr_gate.entered.set()\nthr_gate.go.wait(600)",
        }
    )
    gate: Any = importlib.import_module("thr_gate")
    before = picture()
    context = IsolatedImportContext().start()
    thread = threading.Thread(target=importlib.import_module, args=("thr_slow",))
    thread.start()
    assert gate.entered.wait(600)
    # Goes on while stop() waits, and not earlier: it takes the time that stop() takes to look.
    releaser = threading.Timer(0.1, gate.go.set)
    releaser.start()
    try:
        context.stop()
    finally:
        thread.join(600)
        releaser.join(600)
    assert list(context.changes.forgotten) == ["thr_slow"]
    assert before.differences() == []


def test_a_module_whose_code_another_thread_executes_is_kept(tree: Tree) -> None:
    tree(
        {
            "thr_running.py": """
                def run(entered, go):
                    entered.set()
                    go.wait(600)
                """
        }
    )
    entered, go = threading.Event(), threading.Event()
    with IsolatedImportContext() as context:
        thread = threading.Thread(
            target=importlib.import_module("thr_running").run, args=(entered, go), name="the-runner"
        )
        thread.start()
        assert entered.wait(600)
    go.set()
    thread.join(600)
    assert context.changes.kept == {"thr_running": "thread 'the-runner' is still executing it"}


@pytest.mark.parametrize("folder", ["", "site-packages/"])
def test_a_package_that_a_thread_keeps_stays_whole(folder: str, tree: Tree) -> None:
    # As trio, whose worker threads wait for ten seconds, and whose users write trio.from_thread.run().
    sources = {
        "__init__.py": "from . import helper, worker",
        "helper.py": "",
        "worker.py": (
            "import threading\n"
            "started, may_end = threading.Event(), threading.Event()\n"
            "def run():\n    started.set()\n    may_end.wait()\n"
        ),
        "unused.py": "",
    }
    root = tree({f"{folder}thr_whole/{name}": source for name, source in sources.items()})
    context = IsolatedImportContext(path=str(root / folder))
    thread = None
    try:
        with context:
            package = importlib.import_module("thr_whole")
            importlib.import_module("thr_whole.unused")
            thread = threading.Thread(target=package.worker.run, name="the-worker")
            thread.start()
            assert package.worker.started.wait(600)
        assert sys.modules["thr_whole"] is package
        assert package.helper is sys.modules["thr_whole.helper"]
        # What only the block imported leaves, unless the next import brings the same object back anyway.
        assert ("thr_whole.unused" in sys.modules) is bool(folder)
        assert hasattr(package, "unused") is bool(folder)
        assert context.changes.kept["thr_whole.helper"] == "it is a part of thr_whole, which is kept"
    finally:
        if thread is not None:
            package.worker.may_end.set()
            thread.join()
        for name in [name for name in sys.modules if name.partition(".")[0] == "thr_whole"]:
            del sys.modules[name]


def test_other_threads_import_while_windows_open_and_close(run_script: Callable[..., str]) -> None:
    run_script(
        """
        import importlib, sys, threading, os
        from pytest_import_isolation import IsolatedImportContext

        os.makedirs("many", exist_ok=True)
        open("many/__init__.py", "w").close()
        for n in range(30):
            with open(f"many/m{n}.py", "w") as file:
                file.write("import colorsys, wave\\nVALUE = 1\\n")
        stop = threading.Event()
        errors = []

        def load(k):
            n = k
            while not stop.is_set():
                n += 1
                try:
                    assert importlib.import_module(f"many.m{n % 30}").VALUE == 1
                    import json.decoder, colorsys
                except BaseException as error:
                    errors.append(repr(error))

        def run():
            kept = sys
            threads = [threading.Thread(target=load, args=(k * 7,)) for k in range(3)]
            for thread in threads:
                thread.start()
            try:
                for _ in range(60):
                    with IsolatedImportContext(unloaded="xml"):
                        import sched, xml.dom
            finally:
                stop.set()
            for thread in threads:
                thread.join(600)
            assert errors == [], errors[:3]
            assert sys.modules["sys"] is kept
        run()
        """
    )


def test_a_thread_that_imports_makes_its_names_busy(tree: Tree) -> None:
    tree(
        {
            "thr_pkg/__init__.py": "",
            "thr_pkg/gate.py": "import threading\nentered, go = threading.Event(), threading.Event()",
            "thr_pkg/slow.py": "from thr_pkg import gate\ngate.entered.set()\ngate.go.wait(600)",
        }
    )
    gate: Any = importlib.import_module("thr_pkg.gate")
    thread = threading.Thread(target=importlib.import_module, args=("thr_pkg.slow",), name="the-slow-one")
    thread.start()
    try:
        assert gate.entered.wait(600)
        busy = names_being_imported()
        assert busy["thr_pkg.slow"] == "the-slow-one"
        # Its code may use any module of its package that was imported before.
        with quiet_import_lock(lambda: ["thr_pkg", "thr_pkg.gate", "json"], patience=0.01) as stuck:
            assert stuck == {"thr_pkg": "the-slow-one", "thr_pkg.gate": "the-slow-one"}
        with quiet_import_lock(lambda: ["json"], patience=60) as stuck:
            assert stuck == {}
        assert "the-slow-one" in namespaces_on_other_threads().values()
    finally:
        gate.go.set()
        thread.join(600)
    assert "thr_pkg.slow" in sys.modules


@pytest.mark.parametrize(
    "statement", ["import thr_asked.part", "from thr_asked import part", "from .thr_asked import part"]
)
def test_a_thread_at_an_import_statement_asks_for_a_module_though_it_is_loaded(statement: str) -> None:
    at_it, may_go = threading.Event(), threading.Event()

    def __import__(*_: object) -> SimpleNamespace:
        at_it.set()
        may_go.wait(600)
        return SimpleNamespace(part=1)

    space = {"__builtins__": {"__import__": __import__}, "__package__": "thr_top"}
    thread = threading.Thread(target=exec, args=(statement, space))
    thread.start()
    at_it.wait(600)
    name = "thr_top.thr_asked.part" if ".thr" in statement else "thr_asked.part"
    waiting: set[int | None] = set()
    try:
        with quiet_import_lock(lambda: [name, "json"], 0.01, waiting=waiting) as busy:
            assert list(busy) == [name]
        with quiet_import_lock(lambda: [name], 60) as busy:
            assert busy == {}  # it is not in the middle of the module's import
        waiting.add(thread.ident)
        with quiet_import_lock(lambda: [name], 60, waiting=waiting) as busy:
            assert busy == {}
    finally:
        may_go.set()
        thread.join(600)


def test_a_lock_that_nobody_will_take_makes_nothing_busy(tree: Tree) -> None:
    # In Python 3.15 the traceback of a failed import keeps the locks of its module, which nobody owns any more.
    tree({"thr_top/__init__.py": "", "thr_top/fails.py": "1 / 0"})
    may_end = threading.Event()
    thread = threading.Thread(target=may_end.wait, args=(600,))
    thread.start()
    try:
        with pytest.raises(ZeroDivisionError) as kept:
            importlib.import_module("thr_top.fails")
        lock = _bootstrap._get_module_lock("thr_top")
        with locks.import_lock():
            assert names_being_imported() == {}
        assert kept.tb is not None
        assert lock.owner is None
    finally:
        may_end.set()
        thread.join(600)


class _Stopped:
    """A thread that imports a module, and waits before it asks for the lock of one."""

    def __init__(self, module: str, before: str) -> None:
        self._module, self._before = module, before
        self.is_there, self.may_go = threading.Event(), threading.Event()
        self.asked_for: list[str] = []
        self.errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, name="the-stopped-one")

    def _run(self) -> None:
        sys.settrace(self._trace)
        try:
            importlib.import_module(self._module)
        except BaseException as error:
            self.errors.append(error)
        finally:
            sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, argument: object) -> None:
        if frame.f_code is _bootstrap._get_module_lock.__code__:
            self.asked_for.append(name := frame.f_locals["name"])
            if name == self._before:
                self.is_there.set()
                assert self.may_go.wait(600)

    def start(self) -> None:
        self._thread.start()
        assert self.is_there.wait(600)

    def finish(self) -> None:
        self.may_go.set()
        self._thread.join(600)


locks_parents = pytest.mark.skipif(
    locks._takes_all_locks is None, reason="the locks of parents are taken from Python 3.15 on"
)
_COUNTED = {"thr_top/__init__.py": "", "thr_top/part.py": ""}


@locks_parents
def test_a_window_waits_for_a_thread_that_has_seen_a_package_loaded(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(_COUNTED)
    package = importlib.import_module("thr_top")
    waited = []
    stopped = _Stopped("thr_top.part", before="thr_top.part")

    def pause(seconds: float) -> None:
        waited.append(sys.modules["thr_top"])
        stopped.finish()

    monkeypatch.setattr(locks, "pause", pause)
    stopped.start()
    try:
        with IsolatedImportContext(unloaded="thr_top"):
            assert "thr_top" not in sys.modules
    finally:
        stopped.finish()
    assert waited == [package]
    assert stopped.errors == []
    assert stopped.asked_for[0] == "thr_top.part"


@locks_parents
def test_a_world_that_removed_a_package_waits_for_a_thread_that_has_seen_it_loaded(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(_COUNTED)
    package = importlib.import_module("thr_top")
    world = World("a world", Origins(), lambda name, module, importer: None)
    world.overlay = Overlay(removed=("thr_top",))
    worlds = Worlds(Origins())
    waited = []
    stopped = _Stopped("thr_top.part", before="thr_top.part")

    def pause(seconds: float) -> None:
        waited.append(sys.modules["thr_top"])
        stopped.finish()

    monkeypatch.setattr(locks, "pause", pause)
    stopped.start()
    try:
        worlds.swap(world)
        assert "thr_top" not in sys.modules
    finally:
        stopped.finish()
        worlds.swap()
        worlds.close()
    assert waited == [package]
    assert stopped.errors == []
    assert sys.modules["thr_top"] is package


def test_a_world_that_removed_a_module_lets_another_thread_end_its_import(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(
        {
            "thr_pkg/__init__.py": "",
            "thr_pkg/slow.py": "import thr_gate\nthr_gate.entered.set()\nthr_gate.go.wait(600)\n",
            "thr_gate.py": "import threading\nentered, go = threading.Event(), threading.Event()\n",
        }
    )
    gate: Any = importlib.import_module("thr_gate")
    errors: list[BaseException] = []

    def load() -> None:
        try:
            importlib.import_module("thr_pkg.slow")
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=load)
    world = World("a world", Origins(), lambda name, module, importer: None)
    world.overlay = Overlay(removed=("thr_pkg",))
    worlds = Worlds(Origins())

    def pause(seconds: float) -> None:
        gate.go.set()
        thread.join(600)

    monkeypatch.setattr(locks, "pause", pause)
    thread.start()
    assert gate.entered.wait(600)
    try:
        worlds.swap(world)
        assert "thr_pkg" not in sys.modules
    finally:
        gate.go.set()
        thread.join(600)
        worlds.swap()
        worlds.close()
    assert errors == []
    assert {"thr_pkg", "thr_pkg.slow"} <= sys.modules.keys()


@locks_parents
def test_a_thread_locks_the_packages_too_that_are_about_to_leave(tree: Tree) -> None:
    # Else it holds the lock of the module alone, and waits for that of a package whose owner waits for it.
    tree(_COUNTED)
    package: Any = importlib.import_module("thr_top")
    ended = threading.Event()
    other = threading.Thread(target=ended.wait, args=(600,))
    other.start()  # without another thread nobody has to be told
    stopped = _Stopped("thr_top.part", before="thr_top")
    try:
        with quiet_import_lock(lambda: ["thr_top"]) as busy:
            assert busy == {}
            assert not is_initializing(package)
            stopped.start()
            del sys.modules["thr_top"]
    finally:
        ended.set()
        other.join(600)
        stopped.finish()
    assert stopped.errors == []
    assert stopped.asked_for[:2] == ["thr_top", "thr_top.part"]
    assert package.__spec__._initializing is False


# test_stress.py does so too, with fewer windows.
@TAKES_LONG
def test_threads_that_import_what_windows_unload_see_no_error_and_no_second_copy(
    run_script: Callable[..., str],
) -> None:
    run_script(
        """
        import importlib
        import random
        import sys
        import threading

        from pytest_import_isolation import IsolatedImportContext

        names = (
            "json json.decoder xml.dom.minidom xml.sax.handler email.mime.text csv decimal colorsys wave "
            "difflib html.parser http.client logging.handlers concurrent.futures.thread urllib.parse"
        ).split()
        # Executed before, and parked: two threads that execute one package for the first time can meet a
        # half imported module, or a deadlock error below 3.12, without any window (python/cpython#82272).
        with IsolatedImportContext():
            for name in names:
                importlib.import_module(name)
        failed, seen, over = [], {}, threading.Event()

        def import_all_the_time(seed):
            choice = random.Random(seed).choice
            while not over.is_set():
                name = choice(names)
                try:
                    seen.setdefault(name, set()).add(importlib.import_module(name))
                except BaseException as error:
                    failed.append((name, error))

        threads = [threading.Thread(target=import_all_the_time, args=(n,), daemon=True) for n in range(3)]
        for thread in threads:
            thread.start()
        choice = random.Random(7).choice
        for _ in range(150):
            with IsolatedImportContext(unloaded=choice([(), ("json", "xml"), "*"])):
                importlib.import_module(choice(names))
        over.set()
        for thread in threads:
            thread.join()
        assert failed == [], failed[:3]
        assert {name for name, modules in seen.items() if len(modules) > 1} == set()
        """,
        "-W",
        "ignore",
    )


def count_greenlets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the functions that number threads number greenlets, as gevent and eventlet do."""
    for module in (threading, _thread):
        monkeypatch.setattr(module, "get_ident", lambda: 140_000_000_000_000_017)


@pytest.mark.parametrize("active", ["kept", "emptied"])
def test_a_greenlet_number_is_not_taken_for_a_thread(monkeypatch: pytest.MonkeyPatch, active: str) -> None:
    done, entered = threading.Event(), threading.Event()

    def wait() -> None:
        entered.set()
        done.wait(600)

    thread = threading.Thread(target=wait)
    thread.start()
    log = ImportLog()
    try:
        assert entered.wait(600)
        with monkeypatch.context() as patch:
            count_greenlets(patch)
            if active == "emptied":
                patch.setattr(threading, "_active", {})
            known = threading._active.copy()  # type: ignore[attr-defined]
            others = threads.frames_of_other_threads()
            FINDER.listen(log)
            with IsolatedImportContext(unloaded="colorsys") as context:
                importlib.import_module("colorsys")
            FINDER.unlisten(log)
            assert threading._active == known, "no dummy was made"  # type: ignore[attr-defined]
    finally:
        done.set()
        thread.join()
    assert thread.ident in others
    assert threading.get_ident() not in others
    assert log.threads == {}
    assert not context.changes.kept


def test_the_thread_is_found_where_every_function_that_numbers_them_was_replaced() -> None:
    assert threads._find_ident() == threading.get_ident()
    # A thread that was not started by threading has frames, too: one of the test runner's, under xdist.
    assert threads._count_frames() >= threading.active_count() - 1
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(threads._find_ident() == threading.get_ident()))
    thread.start()
    thread.join()
    assert found == [True]


def test_a_window_waits_for_an_import_where_sleep_was_replaced(
    monkeypatch: pytest.MonkeyPatch, tree: Tree
) -> None:
    root = tree(
        {"slowmod.py": "import builtins\nbuiltins.slowmod_entered.set()\nbuiltins.slowmod_go.wait(600)\n"}
    )
    monkeypatch.syspath_prepend(str(root))
    entered, go = threading.Event(), threading.Event()
    monkeypatch.setattr(builtins, "slowmod_entered", entered, raising=False)
    monkeypatch.setattr(builtins, "slowmod_go", go, raising=False)
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        go.set()
        thread.join(600)

    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("nobody sleeps"))
    monkeypatch.setattr(locks, "pause", pause)
    thread = threading.Thread(target=importlib.import_module, args=("slowmod",))
    with IsolatedImportContext():
        thread.start()
        assert entered.wait(600)
    assert pauses
    assert "slowmod" not in sys.modules
