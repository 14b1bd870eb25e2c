"""trace_imports: real imports, traced."""

# mypy: disable-error-code="import-not-found, func-returns-value"

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import threading
import traceback
from collections.abc import Callable
from importlib import _bootstrap
from pathlib import Path
from typing import Any

import pytest

from pytest_import_isolation import ImportTrace, IsolatedImportContext, trace_imports
from pytest_import_isolation.errors import ParameterError
from pytest_import_isolation.tracing.text import place
from pytest_import_isolation.watching import import_watch as importwatch

Tree = Callable[[dict[str, str]], Path]

pytestmark = pytest.mark.usefixtures("unchanged_lock")


@pytest.fixture
def unchanged_lock() -> object:
    """Fail a test that leaves one of importlib's locks replaced."""
    before = [getattr(_bootstrap, name, None) for name in importwatch.LOCKS]
    yield
    assert [getattr(_bootstrap, name, None) for name in importwatch.LOCKS] == before


APP = {
    "tra_app/__init__.py": "import tra_app.core\nimport json\ntry:\n    import tra_nosuch\nexcept ImportError:\n    pass\n",
    "tra_app/core.py": "from tra_app import helper\n",
    "tra_app/helper.py": "def late():\n    import tra_app.sub.deep\n",
    "tra_app/sub/deep.py": "",
    "tra_other.py": "import tra_app.core as core\ncore.helper.late()\n",
}


def test_a_trace_tells_what_was_loaded_by_which_statement(tree: Tree) -> None:
    root = tree(APP)
    with trace_imports() as trace:
        import tra_other  # noqa: F401

        assert "tra_app.core" in trace  # it can be asked while it runs
    assert list(trace) == [
        "tra_other", "tra_app", "tra_app.core", "tra_app.helper", "tra_app.sub", "tra_app.sub.deep",
    ]  # fmt: skip
    assert [(e.name, e.how, e.importer, Path(e.file).name, e.line) for e in trace.entries[1:]] == [
        # To import tra_app.core, its package was imported first.
        ("tra_app", "executed", "tra_other", "tra_other.py", 1),
        ("tra_app.core", "executed", "tra_app", "__init__.py", 1),
        ("tra_app.helper", "executed", "tra_app.core", "core.py", 1),
        ("tra_nosuch", "failed", "tra_app", "__init__.py", 4),
        ("tra_app.sub", "namespace package", "tra_app.helper", "helper.py", 2),
        ("tra_app.sub.deep", "executed", "tra_app.helper", "helper.py", 2),
    ]
    # The statement stands in tra_app.helper; what led there is the import of tra_other.
    assert [entry.name for entry in trace.chain("tra_app.sub.deep")] == ["tra_other", "tra_app.sub.deep"]
    assert trace.entries[4].error == "ModuleNotFoundError: No module named 'tra_nosuch'"
    with pytest.raises(AssertionError) as caught:
        trace.assert_not_imported("tra_app.helper")
    assert str(caught.value).splitlines()[1:] == [
        f"    {place(__file__)}:{trace['tra_other'].line} imports tra_other",
        f"    {root}/tra_other.py:1 imports tra_app",
        f"    {root}/tra_app/__init__.py:1 imports tra_app.core",
        f"    {root}/tra_app/core.py:1 imports tra_app.helper",
    ]
    for entry in trace.entries:
        assert entry.total_ms is not None
        assert entry.own_ms is not None
        assert entry.total_ms >= entry.own_ms >= 0
    # Beside what it took to find tra_app.core loaded already.
    assert (trace["tra_other"].total_ms or 0) >= sum(entry.own_ms or 0 for entry in trace.entries) - 1e-6
    assert "json" in trace.before


def test_an_import_of_a_loaded_module_leaves_no_entry_and_does_not_get_to_the_watch(tree: Tree) -> None:
    tree({"tra_once.py": ""})
    asked = []

    class Watcher:
        def begin(self, name: str) -> None:
            asked.append(name)

        def end(self, token: object, error: object) -> None:
            raise AssertionError("no token was given")

    undo = importwatch.watch_imports(Watcher())
    with trace_imports() as trace:
        import tra_once  # noqa: F401

        for _ in range(3):
            from json import loads  # noqa: F401

            importlib.import_module("tra_once")
    undo()
    assert [entry.name for entry in trace.entries] == ["tra_once"]
    assert [name for name in asked if name != "pytest_import_isolation_self_test"] == ["tra_once"]


def test_a_failing_import_keeps_its_traceback_and_its_lock_is_free(tree: Tree) -> None:
    tree({"tra_bad.py": "import tra_worse\n", "tra_worse.py": "1 / 0\n"})
    tracebacks = []
    for tracer in (contextlib.nullcontext(ImportTrace()), trace_imports()):
        with tracer as trace:
            try:
                importlib.import_module("tra_bad")
            except ZeroDivisionError as error:
                tracebacks.append([frame.filename for frame in traceback.extract_tb(error.__traceback__)])
    assert tracebacks[0] == tracebacks[1]
    assert [(entry.name, entry.how, entry.error) for entry in trace.entries] == [
        ("tra_bad", "failed", "ZeroDivisionError: division by zero"),
        ("tra_worse", "failed", "ZeroDivisionError: division by zero"),
    ]
    assert list(trace) == []


def test_a_module_that_fails_first_and_loads_then_is_loaded(tree: Tree) -> None:
    root = tree({})
    with trace_imports() as trace:
        with contextlib.suppress(ImportError):
            importlib.import_module("tra_later")
        tree({"tra_later.py": ""})
        importlib.import_module("tra_later")
    assert root
    assert [entry.how for entry in trace.entries] == ["failed", "executed"]
    assert trace["tra_later"].how == "executed"


def test_a_block_in_the_middle_of_an_import_and_pep_562(tree: Tree) -> None:
    tree(
        {
            "tra_lazy/__init__.py": """
                def __getattr__(name):
                    import importlib
                    return importlib.import_module(f"{__name__}.{name}")
            """,
            "tra_lazy/heavy.py": "",
            "tra_mid.py": """
                from pytest_import_isolation import trace_imports
                with trace_imports() as trace:
                    import tra_lazy
                    before = list(trace)
                    tra_lazy.heavy
            """,
        }
    )
    with trace_imports() as outer:
        import tra_mid

        assert outer["tra_mid"].how == "executed"
    assert tra_mid.before == ["tra_lazy"]
    assert list(tra_mid.trace) == ["tra_lazy", "tra_lazy.heavy"]
    assert list(outer) == ["tra_mid", "tra_lazy", "tra_lazy.heavy"]
    heavy = outer["tra_lazy.heavy"]
    assert (heavy.importer, heavy.line) == ("tra_lazy", 4)
    assert [entry.name for entry in outer.chain("tra_lazy.heavy")] == ["tra_mid", "tra_lazy.heavy"]


def test_an_import_that_is_under_way_says_so(tree: Tree) -> None:
    tree({"tra_way.py": "import builtins\nbuiltins.tra_look()\n"})
    seen = []
    with trace_imports() as trace, pytest.MonkeyPatch.context() as patch:
        patch.setattr("builtins.tra_look", lambda: seen.append(trace["tra_way"]), raising=False)
        import tra_way  # noqa: F401
    assert [(entry.how, entry.total_ms) for entry in seen] == [("running", None)]


def test_threads_have_chains_of_their_own(tree: Tree) -> None:
    tree(
        {
            "tra_main.py": """
                import threading
                thread = threading.Thread(target=__import__, args=("tra_there",), name="importer")
                thread.start()
                thread.join()
                import tra_here
            """,
            "tra_there.py": "import tra_below",
            "tra_below.py": "",
            "tra_here.py": "",
        }
    )
    with trace_imports() as trace:
        import tra_main  # noqa: F401
    threads = {entry.name: entry.thread for entry in trace.entries}
    assert threads == {"tra_main": "", "tra_here": "", "tra_there": "importer", "tra_below": "importer"}
    assert [entry.name for entry in trace.chain("tra_below")] == ["tra_there", "tra_below"]
    assert [entry.name for entry in trace.chain("tra_here")] == ["tra_main", "tra_here"]


def test_a_thread_that_waits_for_the_import_of_another_adds_no_entry(tree: Tree) -> None:
    tree({"tra_slow.py": "import builtins\nbuiltins.tra_gate()\n"})
    entered, go = threading.Event(), threading.Event()
    with trace_imports() as trace, pytest.MonkeyPatch.context() as patch:
        patch.setattr("builtins.tra_gate", lambda: (entered.set(), go.wait(600)), raising=False)
        threads = [threading.Thread(target=importlib.import_module, args=("tra_slow",)) for _ in range(2)]
        threads[0].start()
        assert entered.wait(600)
        threads[1].start()
        go.set()
        for thread in threads:
            thread.join()
    assert [entry.name for entry in trace.entries] == ["tra_slow"]


def test_traces_nest_and_may_end_in_any_order(tree: Tree) -> None:
    tree({f"tra_n{i}.py": "" for i in range(4)})
    first, second = trace_imports(), trace_imports()
    outer = first.__enter__()
    import tra_n0  # noqa: F401

    inner = second.__enter__()
    import tra_n1  # noqa: F401

    first.__exit__(None, None, None)
    import tra_n2  # noqa: F401

    second.__exit__(None, None, None)
    import tra_n3  # noqa: F401

    assert list(outer) == ["tra_n0", "tra_n1"]
    assert list(inner) == ["tra_n1", "tra_n2"]


def test_a_watcher_that_raises_does_not_keep_the_lock(tree: Tree) -> None:
    tree({"tra_int.py": ""})

    class Watcher:
        def begin(self, name: str) -> object:
            raise KeyboardInterrupt

        def end(self, token: object, error: object) -> None: ...

    undo = importwatch.watch_imports(Watcher())
    try:
        with pytest.raises(KeyboardInterrupt):
            importlib.import_module("tra_int")
    finally:
        undo()
    thread = threading.Thread(target=importlib.import_module, args=("tra_int",), daemon=True)
    thread.start()
    thread.join(600)
    assert "tra_int" in sys.modules


def _remove_lock(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(importwatch, "LOCKS", ("_NoSuchLockManager",))


def _ignore_lock(patch: pytest.MonkeyPatch) -> None:
    """Let the lock that is replaced be one that importlib does not ask for."""
    patch.setattr(importwatch, "LOCKS", ("_other_lock",))
    patch.setattr(_bootstrap, "_other_lock", _bootstrap._ModuleLockManager, raising=False)


@pytest.mark.parametrize("break_it", [_remove_lock, _ignore_lock])
def test_without_the_private_lock_there_are_no_times_and_the_rest_is_told(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, break_it: Callable[[pytest.MonkeyPatch], None]
) -> None:
    tree(APP)
    assert importwatch.imports_can_be_watched()
    meta_path = sys.meta_path.copy()
    with monkeypatch.context() as patch:
        break_it(patch)
        assert not importwatch.imports_can_be_watched()
        with trace_imports() as trace:
            import tra_app  # noqa: F401
    assert sys.meta_path == meta_path
    assert [(entry.name, entry.how, entry.parent, entry.total_ms) for entry in trace.entries] == [
        ("tra_app", "executed", None, None),
        ("tra_app.core", "executed", 0, None),
        ("tra_app.helper", "executed", 1, None),
        ("tra_nosuch", "failed", 0, None),
    ]
    assert trace.entries[3].error == "it is not loaded"
    assert " -        -    tra_app.core" in trace.tree()


def test_locks_of_submodules_that_nobody_knows_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_and_load(name: str, import_: Callable[..., object]) -> object:
        if "." not in name:
            return original(name, import_)
        with lock(name):  # the class itself, as if it were another one
            return _bootstrap._find_and_load_unlocked(name, import_)

    lock, original = _bootstrap._ModuleLockManager, _bootstrap._find_and_load
    with monkeypatch.context() as patch:
        patch.setattr(importwatch, "LOCKS", ("_ModuleLockManager",))
        patch.setattr(_bootstrap, "_find_and_load", find_and_load)
        assert not importwatch.imports_can_be_watched()
    assert importwatch.imports_can_be_watched()


def test_a_cold_view_says_what_came_back_from_parking_and_what_that_needs(tree: Tree, picture: Any) -> None:
    tree({"tra_cold.py": "import xmlrpc.client\nimport tra_part\n", "tra_part.py": ""})
    before = picture()
    with IsolatedImportContext():
        import xmlrpc.client

        import tra_cold

        client = xmlrpc.client
        with trace_imports(unloaded="*", fresh=("tra_cold", "tra_part")) as trace:
            import tra_cold as again

            assert again is not tra_cold
            assert sys.modules["xmlrpc.client"] is client
            # It was not executed, and so it asked for nothing; what it refers to is concluded.
            assert trace["gzip"].how == "implied"
            with pytest.raises(AssertionError, match=r"xmlrpc.client refers to gzip \(it came back"):
                trace.assert_not_imported("gzip")
        assert sys.modules["tra_cold"] is tra_cold
    assert trace["tra_cold"].how == "executed"
    assert trace["tra_part"].how == "executed"
    assert trace["xmlrpc.client"].how == "parked"
    assert "came back from parking" in trace.tree()
    assert before.differences() == []


def test_a_window_in_a_trace_and_a_trace_in_a_window(tree: Tree, picture: Any) -> None:
    tree({"tra_w1.py": "", "tra_w2.py": "import tra_w1"})
    before = picture()
    with trace_imports() as outer:
        for _ in range(2):
            with IsolatedImportContext(missing="tra_w1"), pytest.raises(ModuleNotFoundError):
                importlib.import_module("tra_w2")
        with IsolatedImportContext(), trace_imports() as inner:
            importlib.import_module("tra_w2")
    assert list(inner) == ["tra_w2", "tra_w1"]
    assert list(outer) == ["tra_w2", "tra_w1"]
    assert [entry.how for entry in outer.entries] == ["failed"] * 4 + ["executed"] * 2
    assert before.differences() == []


def test_what_the_isolation_imports_for_itself_is_not_traced(run_script: Callable[..., str]) -> None:
    output = run_script(
        """
        import sys
        from pytest_import_isolation import IsolatedImportContext, trace_imports
        from pytest_import_isolation.parking.finder import FINDER
        from pytest_import_isolation.watching import import_watch
        for lock in import_watch.LOCKS, ("_NoSuchLockManager",):
            import_watch.LOCKS = lock
            FINDER.lot.withdraw(lambda name: True)
            assert "pkgutil" not in sys.modules and "importlib.metadata" not in sys.modules
            with trace_imports() as trace:
                with IsolatedImportContext(missing="tra_nosuch", distributions=True):
                    import plain_module
            print([entry.name for entry in trace.entries])
        """
    )
    assert output.splitlines() == ["['plain_module']"] * 2


def test_what_the_running_tool_needs_stays_loaded_and_proves_nothing() -> None:
    with trace_imports(unloaded="*") as trace:
        import _pytest.config  # noqa: F401
    assert "_pytest.config" in trace.before
    with pytest.raises(AssertionError, match=r"loaded before the trace began.*: _pytest\.config, "):
        trace.assert_not_imported("_pytest.config")


def test_extension_and_built_in_modules(run_script: Callable[..., str]) -> None:
    output = run_script(
        """
        import sys
        from pytest_import_isolation import trace_imports
        built_in = next(name for name in sys.builtin_module_names if name not in sys.modules)
        with trace_imports() as trace:
            __import__(built_in)
            import _csv
        print(trace[built_in].how, trace["_csv"].how)
        with trace_imports(unloaded="_csv") as again:
            import _csv
        print(again["_csv"].how, "_csv" in sys.modules)
        """
    )
    assert output.splitlines() == [f"built in {trace_of_csv()}", "parked True"]


def trace_of_csv() -> str:
    return "built in" if "_csv" in sys.builtin_module_names else "executed"


def test_assertions_without_a_name_are_mistakes() -> None:
    with trace_imports() as trace:
        pass
    with pytest.raises(
        ParameterError, match=r"^assert_not_imported: name the modules that must not be imported$"
    ):
        trace.assert_not_imported()
    assert json.loads(json.dumps(trace.as_builtins())) == {"modules": 0, "total_ms": 0, "entries": []}


def test_an_error_in_the_block_ends_the_trace(tree: Tree) -> None:
    tree({"tra_err.py": ""})
    with pytest.raises(KeyError), trace_imports(unloaded="tra_err") as trace:
        import tra_err  # noqa: F401

        raise KeyError
    assert list(trace) == ["tra_err"]


@pytest.mark.neighbours("numpy")
def test_what_a_registry_holds_is_not_concluded() -> None:
    with IsolatedImportContext():
        importlib.import_module("numpy")  # copyreg has functions of it from now on
    with trace_imports(unloaded="*") as trace:
        importlib.import_module("re")
    assert trace["copyreg"].how == "implied"
    assert "numpy" not in trace
