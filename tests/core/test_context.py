"""IsolatedImportContext: its parameters, its doors, its order and its messages."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_import_isolation import (
    ImportIsolationError,
    IsolatedImportContext,
    fake_module,
    fresh_import,
    missing_modules,
)
from pytest_import_isolation.errors import ParameterError, PatternError, WindowOrderError
from pytest_import_isolation.window.closing import close_window

Tree = Callable[[dict[str, str]], Path]
HERE = re.escape(__file__)


def test_fresh_executes_a_module_anew_and_gives_the_old_copy_back(tree: Tree, picture: Any) -> None:
    tree({"ctx_app/__init__.py": "", "ctx_app/a.py": "class A: pass", "ctx_app/b.py": ""})
    old = importlib.import_module("ctx_app.a")
    other = importlib.import_module("ctx_app.b")
    before = picture("ctx_app")
    with IsolatedImportContext(fresh="ctx_app.a") as context:
        assert "ctx_app.a" not in sys.modules
        new = importlib.import_module("ctx_app.a")
        assert new.A is not old.A
        assert sys.modules["ctx_app"].a is new
        assert sys.modules["ctx_app.b"] is other
    assert before.differences() == []
    assert sys.modules["ctx_app.a"] is old
    assert not context.changes.put_back


def test_fresh_executes_a_foreign_pure_python_module_anew_and_forgets_the_copy(picture: Any) -> None:
    import colorsys

    before = picture()
    with IsolatedImportContext(fresh="colorsys"):
        assert importlib.import_module("colorsys") is not colorsys
    assert before.differences() == []
    with IsolatedImportContext():
        assert importlib.import_module("colorsys") is colorsys


def test_fresh_of_a_parked_module_gives_the_parked_one_back_later(run_script: Callable[..., str]) -> None:
    run_script(
        """
        from pytest_import_isolation import IsolatedImportContext
        def run():
            def load():
                import sched
                return sched
            with IsolatedImportContext():
                first = load()
            with IsolatedImportContext(fresh="sched"):
                assert load() is not first
            with IsolatedImportContext():
                assert load() is first
        run()
        """
    )


def test_unloaded_modules_are_absent_and_come_back_as_the_same_objects(tree: Tree, picture: Any) -> None:
    tree({"ctx_app/__init__.py": "", "ctx_app/a.py": ""})
    old = importlib.import_module("ctx_app.a")
    before = picture("ctx_app")
    with IsolatedImportContext(unloaded=["ctx_app.*"]):
        assert "ctx_app.a" not in sys.modules
        assert not hasattr(sys.modules["ctx_app"], "a")
        assert importlib.import_module("ctx_app.a") is old
        assert sys.modules["ctx_app"].a is old
    assert before.differences() == []
    with IsolatedImportContext(unloaded="ctx_app"):
        pass
    assert before.differences() == []


def test_unloading_everything_gives_the_state_of_a_cold_start(run_script: Callable[..., str]) -> None:
    run_script(
        """
        import sys
        import csv, json, email.mime.text
        from picture import Picture
        from pytest_import_isolation import IsolatedImportContext
        before = Picture()
        with IsolatedImportContext(unloaded="*"):
            left = set(sys.modules)
            assert not left & {"csv", "json", "email", "re", "enum"}
            assert {"sys", "builtins", "os", "os.path", "__main__", "pytest_import_isolation.window.window"} <= left
            import csv as again
            assert again is csv
        assert before.differences() == []
        """
    )


def test_path_entries_come_first_and_go_again(tmp_path: Path, picture: Any) -> None:
    folder = tmp_path / "more"
    folder.mkdir()
    (folder / "ctx_more.py").write_text("VALUE = 1")
    before = picture()
    with IsolatedImportContext(path=[folder, sys.path[-1]]) as context:
        assert sys.path[:2] == [str(folder), sys.path[-1]]
        assert importlib.import_module("ctx_more").VALUE == 1
    assert before.differences() == []
    assert not context.changes.items


def test_a_directory_that_was_made_after_it_was_looked_at_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    with IsolatedImportContext(path=folder):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("ctx_later")
        folder.mkdir()
        (folder / "ctx_later.py").write_text("")
        with IsolatedImportContext(path=str(folder)):
            importlib.import_module("ctx_later")


def test_fakes_may_be_modules_mappings_and_any_object(picture: Any) -> None:
    thing = object()
    before = picture()
    with IsolatedImportContext(fakes={"ctx_fake.sub": {"VALUE": 1}, "ctx_thing": thing}) as context:
        package: Any = importlib.import_module("ctx_fake")
        sub: Any = importlib.import_module("ctx_fake.sub")
        assert sub.VALUE == package.sub.VALUE == 1
        assert sub.__spec__.name == "ctx_fake.sub"
        assert importlib.import_module("ctx_thing") is thing
        assert importlib.util.find_spec("ctx_fake.sub") is sub.__spec__
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("ctx_fake.other")
    assert before.differences() == []
    assert "ctx_thing" not in str(context.changes)


def test_a_fake_of_a_loaded_submodule_stands_on_its_real_package_too(tree: Tree, picture: Any) -> None:
    tree({"ctx_app/__init__.py": "", "ctx_app/a.py": "VALUE = 'real'"})
    importlib.import_module("ctx_app.a")
    before = picture("ctx_app")
    with IsolatedImportContext(fakes={"ctx_app.a": {"VALUE": "fake"}}):
        assert sys.modules["ctx_app"].a.VALUE == "fake"
    assert before.differences() == []


def test_keep_names_what_stays(tree: Tree) -> None:
    tree({"ctx_kept.py": "", "ctx_left.py": ""})
    with IsolatedImportContext(keep=["ctx_k*"]) as context:
        kept = importlib.import_module("ctx_kept")
        importlib.import_module("ctx_left")
    assert sys.modules["ctx_kept"] is kept
    assert "ctx_left" not in sys.modules
    assert context.changes.kept == {"ctx_kept": "keep='ctx_k*'"}


def test_a_running_window_takes_the_same_parameters(tree: Tree, picture: Any) -> None:
    root = tree({"ctx_app/__init__.py": "", "ctx_app/a.py": "", "more/ctx_more.py": ""})
    old = importlib.import_module("ctx_app.a")
    before = picture("ctx_app")
    with IsolatedImportContext() as context:
        context.unload("ctx_app.a")
        assert importlib.import_module("ctx_app.a") is old
        context.refresh("ctx_app.a")
        assert importlib.import_module("ctx_app.a") is not old
        context.block("ctx_app.a")
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("ctx_app.a")
        planted = context.fake({"ctx_planted": {"x": 1}})
        assert importlib.import_module("ctx_planted") is planted["ctx_planted"]
        context.add_path(str(root / "more"))
        importlib.import_module("ctx_more")
    assert before.differences() == []


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (
            {"frehs": "x"},
            ParameterError,
            "IsolatedImportContext has no parameter 'frehs' (did you mean 'fresh'?); "
            "it takes fresh, unloaded, missing, fakes, path, keep, distributions, finders, path_hooks",
        ),
        (
            {"zzz": "x"},
            ParameterError,
            "IsolatedImportContext has no parameter 'zzz'; "
            "it takes fresh, unloaded, missing, fakes, path, keep, distributions, finders, path_hooks",
        ),
        (
            {"fresh": 7},
            ParameterError,
            "IsolatedImportContext: fresh: expected a pattern or a list of patterns, not int (7)",
        ),
        (
            {"missing": [7]},
            ParameterError,
            "IsolatedImportContext: missing: a pattern is a string such as 'numpy' or 'myapp.plugins.*', not int (7)",
        ),
        (
            {"keep": ".x"},
            PatternError,
            "IsolatedImportContext: keep: '.x' is relative; give the absolute name, such as 'package.module'",
        ),
        (
            {"unloaded": "a b*"},
            PatternError,
            "IsolatedImportContext: unloaded: 'a b*' is no usable glob; it is matched against absolute module names, "
            "as in 'myapp.plugins.*'",
        ),
        (
            {"fakes": ["boto3"]},
            ParameterError,
            "IsolatedImportContext: fakes: expected a mapping of module names to fakes, such as "
            "{'boto3': {'client': ...}}, not list (['boto3'])",
        ),
        (
            {"fakes": {"boto3": None}},
            ParameterError,
            "IsolatedImportContext: fakes: 'boto3' is None; to make a module look not installed, use missing='boto3'",
        ),
        (
            {"fakes": {"boto-3": {}}},
            PatternError,
            "IsolatedImportContext: fakes: 'boto-3' is no module name; give a dotted name such as 'package.module'",
        ),
        (
            {"fakes": {3: {}}},
            ParameterError,
            "IsolatedImportContext: fakes: a module name is a string, not int (3)",
        ),
        (
            {"path": 7},
            ParameterError,
            "IsolatedImportContext: path: expected a path or a list of paths, not 7",
        ),
    ],
)
def test_a_mistake_in_the_parameters_says_what_to_give(
    given: dict[str, Any], error: type[ImportIsolationError], message: str, unchanged: None
) -> None:
    with pytest.raises(error) as caught:
        IsolatedImportContext(**given)
    assert str(caught.value) == message
    assert isinstance(caught.value, ImportIsolationError)


def test_start_and_stop_are_the_halves_of_the_block(tree: Tree, picture: Any) -> None:
    tree({"ctx_half.py": ""})
    before = picture()
    context = IsolatedImportContext()
    assert context.start() is context
    importlib.import_module("ctx_half")
    changes = context.stop()
    assert changes is context.changes
    assert list(changes.forgotten) == ["ctx_half"]
    assert before.differences() == []


def test_a_stop_without_start_says_what_to_do() -> None:
    context = IsolatedImportContext()
    message = "this IsolatedImportContext is not open: use it as a context manager, or call start() first"
    for call in (context.stop, lambda: context.block("x")):
        with pytest.raises(WindowOrderError, match=re.escape(message)):
            call()
    context.start()
    context.stop()
    with pytest.raises(WindowOrderError, match=re.escape(message)):
        context.stop()


def test_windows_left_out_of_order_name_both_places_and_lose_nothing(tree: Tree, picture: Any) -> None:
    tree({"ctx_order_a.py": "", "ctx_order_b.py": ""})
    before = picture()
    outer, inner = IsolatedImportContext(), IsolatedImportContext()
    outer.start()
    first_line = sys._getframe().f_lineno - 1
    importlib.import_module("ctx_order_a")
    between = picture()
    inner.start()
    importlib.import_module("ctx_order_b")
    with pytest.raises(WindowOrderError) as caught:
        outer.stop()
    assert str(caught.value) == (
        f"the IsolatedImportContext opened at {__file__}:{first_line} cannot be left before "
        f"the IsolatedImportContext opened at {__file__}:{first_line + 4}, which is inside it: "
        "leave windows in the reverse order of entering them"
    )
    assert "ctx_order_b" in sys.modules
    inner.stop()
    assert between.differences() == []
    outer.stop()
    assert before.differences() == []


def test_a_window_is_closed_once() -> None:
    context = IsolatedImportContext()
    context.start()
    window = context.window
    context.stop()
    with pytest.raises(WindowOrderError, match=f"opened at {HERE}:[0-9]+ is closed already; every start"):
        close_window(window)


def test_the_same_context_can_be_entered_twice_and_again(tree: Tree, picture: Any) -> None:
    tree({"ctx_twice_a.py": "", "ctx_twice_b.py": ""})
    before = picture()
    context = IsolatedImportContext()
    for _ in range(2):
        with context:
            importlib.import_module("ctx_twice_a")
            with context:
                importlib.import_module("ctx_twice_b")
            assert list(context.changes.forgotten) == ["ctx_twice_b"]
            assert "ctx_twice_a" in sys.modules
        assert list(context.changes.forgotten) == ["ctx_twice_a"]
        assert before.differences() == []


def test_a_failure_while_opening_leaves_nothing_changed_and_no_window_open(
    tmp_path: Path, picture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import xml.dom.minidom  # noqa: F401

    before = picture()
    context = IsolatedImportContext(
        fakes={"ctx_broken": {}}, path=tmp_path, unloaded="xml.dom", missing="ctx_none"
    )
    with monkeypatch.context() as patches:
        patches.setattr("pytest_import_isolation.fakes.placed_fakes.make_module", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            context.start()
    with pytest.raises(WindowOrderError):
        context.stop()
    assert before.differences() == []
    # No window of it is open: an outer one can be left.
    with IsolatedImportContext():
        pass
    assert before.differences() == []


def _interrupt(*args: object, **kwargs: object) -> None:
    raise KeyboardInterrupt


# As a decorator


def test_a_decorated_function_runs_in_a_window_each_time(tree: Tree, picture: Any) -> None:
    tree({"ctx_called.py": ""})
    before = picture()

    @IsolatedImportContext()
    def load(value: int, *, key: str) -> tuple[int, str]:
        """Load."""
        importlib.import_module("ctx_called")
        return value, key

    assert load(1, key="x") == (1, "x")
    assert load(2, key="y") == (2, "y")
    assert load.__name__ == "load"
    assert before.differences() == []


@pytest.mark.skipif(sys.platform == "emscripten", reason="WebAssembly has not asyncio.run()")
def test_a_decorated_coroutine_function_runs_in_a_window(tree: Tree, picture: Any) -> None:
    tree({"ctx_awaited.py": ""})

    @missing_modules("ctx_awaited")
    async def load() -> str:
        await asyncio.sleep(0)
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("ctx_awaited")
        return "done"

    assert asyncio.run(load()) == "done"
    importlib.import_module("ctx_awaited")


def test_a_generator_function_is_refused() -> None:
    def generate() -> Iterator[int]:
        yield 1

    async def generate_async() -> AsyncIterator[int]:
        yield 1

    for function in (generate, generate_async):
        with pytest.raises(ParameterError) as caught:
            IsolatedImportContext()(function)
        assert str(caught.value) == (
            f"IsolatedImportContext cannot decorate the generator {function.__qualname__}(): its body does not run "
            "when it is called; use a with statement inside"
        )


def test_a_decorated_class_runs_every_test_method_in_a_window(tree: Tree) -> None:
    tree({"ctx_method.py": ""})

    @fake_module("ctx_method", VALUE="fake")
    class Tests:
        test_data = "not callable"

        def test_value(self) -> object:
            return importlib.import_module("ctx_method").VALUE

        def helper(self) -> bool:
            return "ctx_method" in sys.modules

    assert Tests().test_value() == "fake"
    assert not Tests().helper()
    assert Tests.test_data == "not callable"


# What it tells


def test_changes_say_what_was_undone_and_why(tree: Tree) -> None:
    tree(
        {
            "ctx_app/__init__.py": "",
            "ctx_app/a.py": "",
            "ctx_app/b.py": "",
            "ctx_gone.py": "",
            "ctx_kept.py": "",
        }
    )
    package = importlib.import_module("ctx_app")
    importlib.import_module("ctx_gone")
    a = importlib.import_module("ctx_app.a")
    sys.modules.pop("wave", None)
    original = sys.modules
    with IsolatedImportContext(keep="ctx_kept") as context:
        importlib.import_module("ctx_app.b")
        importlib.import_module("ctx_kept")
        importlib.import_module("wave")
        sys.modules["ctx_none"] = None  # type: ignore[assignment]
        sys.modules["ctx_number"] = 7  # type: ignore[assignment]
        del sys.modules["ctx_gone"]
        sys.modules["ctx_app.a"] = "other"  # type: ignore[assignment]
        sys.path.append("/ctx")
        sys.path_hooks.reverse()
        sys.modules = dict(sys.modules)
    sys.modules.pop("ctx_kept")
    changes = context.changes
    assert sys.modules is original
    assert changes
    assert changes.forgotten == {
        "ctx_app.b": "its source lies outside of all installed packages",
        "ctx_none": "the entry is None, which blocks the import",
        "ctx_number": "it is an int",
    }
    assert changes.kept == {"ctx_kept": "keep='ctx_kept'"}
    assert changes.parked["wave"] == "the standard library"
    assert changes.put_back == {
        "ctx_app.a": "it had been replaced by a str",
        "ctx_gone": "it had been removed",
    }
    assert ("path", "/ctx", "added", "undone") in changes.items
    assert ("path_hooks", "sys.path_hooks", "moved", "undone") in changes.items
    assert changes.attributes == ("ctx_app.b",)
    assert changes.rebound == ("sys.modules",)
    text = str(changes).splitlines()
    assert "forgotten ctx_number: it is an int" in text
    assert "undone: '/ctx' added in sys.path" in text
    assert "put back the attribute ctx_app.b" in text
    assert "put back sys.modules, which was another object" in text
    assert package.a is a


def test_what_a_window_asked_for_itself_is_no_change(tree: Tree) -> None:
    tree({"ctx_app/__init__.py": "", "ctx_app/a.py": "", "ctx_z.py": ""})
    importlib.import_module("ctx_app.a")
    with IsolatedImportContext(
        fakes={"ctx_x": {}}, missing="ctx_y", unloaded="ctx_app.a", path=os.getcwd(), fresh="ctx_z"
    ) as context:
        pass
    assert not context.changes.modules
    assert not context.changes.items


def test_fresh_import_needs_a_window_and_says_so() -> None:
    with pytest.raises(WindowOrderError, match=r"fresh_import\('json'\) needs an open window"):
        fresh_import("json")


def test_fresh_import_installs_the_copy_for_the_life_of_the_window(tree: Tree, picture: Any) -> None:
    tree({"ctx_app/__init__.py": "", "ctx_app/a.py": "from ctx_app import b", "ctx_app/b.py": ""})
    old = importlib.import_module("ctx_app.a")
    before = picture("ctx_app")
    with IsolatedImportContext():
        new = fresh_import("ctx_app.a")
        assert new is not old
        assert new.b is old.b
        assert sys.modules["ctx_app.a"] is new
        assert sys.modules["ctx_app"].a is new
        assert importlib.reload(new) is new
        assert fresh_import("ctx_app.a", deep=True).b is not old.b
    assert before.differences() == []


def test_a_process_that_ends_in_a_context_ends_in_silence(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import builtins, sys\n"
        "from pytest_import_isolation import IsolatedImportContext\n"
        "IsolatedImportContext().start()\n"
        "import json.tool\n"
    )
    done = subprocess.run([sys.executable, script], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
