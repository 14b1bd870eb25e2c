"""HAZARDS 18, 20 and 21: other threads import while a window closes."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytest_import_isolation import IsolatedImportContext
from pytest_import_isolation.machinery import (
    names_being_imported,
    namespaces_on_other_threads,
    quiet_import_lock,
)

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
            file.write("import gate\\ngate.entered.set()\\ngate.go.wait(30)\\nfrom slowpkg import tail\\n")
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
                assert gate.entered.wait(30)
            assert "wave" not in sys.modules
            assert set(context.changes.kept) == {"slowpkg", "slowpkg.slow"}, context.changes
            assert context.changes.kept["slowpkg.slow"] == "thread 'the-loader' is still importing it"
            gate.go.set()
            thread.join(30)
            assert errors == []
            assert sys.modules["slowpkg.slow"].tail.VALUE == 1
        run()
        """
    )


def test_a_module_whose_code_another_thread_executes_is_kept(tree: Tree) -> None:
    tree(
        {
            "thr_running.py": """
                def run(entered, go):
                    entered.set()
                    go.wait(30)
                """
        }
    )
    entered, go = threading.Event(), threading.Event()
    with IsolatedImportContext() as context:
        thread = threading.Thread(
            target=importlib.import_module("thr_running").run, args=(entered, go), name="the-runner"
        )
        thread.start()
        assert entered.wait(30)
    go.set()
    thread.join(30)
    assert context.changes.kept == {"thr_running": "thread 'the-runner' is still executing it"}


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
            for _ in range(60):
                with IsolatedImportContext(unloaded="xml"):
                    import sched, xml.dom
            stop.set()
            for thread in threads:
                thread.join(30)
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
            "thr_pkg/slow.py": "from thr_pkg import gate\ngate.entered.set()\ngate.go.wait(30)",
        }
    )
    gate: Any = importlib.import_module("thr_pkg.gate")
    thread = threading.Thread(target=importlib.import_module, args=("thr_pkg.slow",), name="the-slow-one")
    thread.start()
    try:
        assert gate.entered.wait(30)
        busy = names_being_imported()
        assert busy["thr_pkg.slow"] == busy["thr_pkg"] == "the-slow-one"
        with quiet_import_lock(lambda: ["thr_pkg.slow", "json"], patience=0.01) as stuck:
            assert stuck == {"thr_pkg.slow": "the-slow-one"}
        with quiet_import_lock(lambda: ["json"], patience=60) as stuck:
            assert stuck == {}
        assert "the-slow-one" in namespaces_on_other_threads().values()
    finally:
        gate.go.set()
        thread.join(30)
    assert "thr_pkg.slow" in sys.modules
