"""Fresh copies: what they see, how many there may be, and what cannot be had anew."""

from __future__ import annotations

import importlib
import os
import pickle
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_import_isolation import IsolatedImportContext, fresh_import
from pytest_import_isolation.errors import (
    ExtensionModuleError,
    ImportIsolationWarning,
    NotReplaceableError,
    ParameterError,
)

Tree = Callable[[dict[str, str]], Path]

_SETTINGS = {
    "fr_settings.py": """
        import os
        DEBUG = os.environ.get("FR_DEBUG")
        TOKEN = os.environ.get("FR_TOKEN")
        os.environ["FR_SET_HERE"] = "1"

        def now():
            return os.environ.get("FR_DEBUG")
    """
}


def test_the_environment_holds_while_the_module_is_executed(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(_SETTINGS)
    monkeypatch.setenv("FR_TOKEN", "secret")
    monkeypatch.delenv("FR_DEBUG", raising=False)
    monkeypatch.setenv("FR_SET_HERE", "0")
    before = dict(os.environ)
    with IsolatedImportContext():
        plain = fresh_import("fr_settings")
        debug = fresh_import("fr_settings", env={"FR_DEBUG": "1", "FR_TOKEN": None})
        again = fresh_import("fr_settings")
        assert [(m.DEBUG, m.TOKEN) for m in (plain, debug, again)] == [
            (None, "secret"),
            ("1", None),
            (None, "secret"),
        ]
        assert debug.now() is None
    assert dict(os.environ) == {**before, "FR_SET_HERE": "1"}


def test_a_module_that_sets_the_variable_itself_keeps_it(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree({"fr_sets.py": "import os\nos.environ['FR_DEBUG'] = 'by the module'"})
    monkeypatch.setenv("FR_DEBUG", "before")
    with IsolatedImportContext():
        fresh_import("fr_sets", env={"FR_DEBUG": "given"})
    assert os.environ["FR_DEBUG"] == "by the module"


def test_the_environment_is_put_back_when_the_import_fails(tree: Tree) -> None:
    tree({"fr_fails.py": "1 / 0"})
    before = dict(os.environ)
    with IsolatedImportContext(), pytest.raises(ZeroDivisionError):
        fresh_import("fr_fails", env={"FR_DEBUG": "1", "PATH": None})
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ("DEBUG", "fresh_import: env: expected a mapping such as {'DEBUG': '1', 'TOKEN': None}, not 'DEBUG'"),
        ({"DEBUG": 1}, "fresh_import: env: 'DEBUG' is 1; names and values are strings, and None takes a"),
        ({1: "x"}, "fresh_import: env: 1 is 'x'; names and values are strings"),
    ],
)
def test_what_is_no_environment(env: Any, message: str) -> None:
    with IsolatedImportContext(), pytest.raises(ParameterError) as caught:
        fresh_import("json", env=env)
    assert message in str(caught.value)


def test_several_copies_in_one_window(tree: Tree, picture: Any) -> None:
    tree(
        {
            "fr_app/__init__.py": "",
            "fr_app/models.py": "class Model: ...",
            "fr_app/views.py": "from fr_app.models import Model",
        }
    )
    first = importlib.import_module("fr_app.views")
    models = importlib.import_module("fr_app.models")
    before = picture("fr_app")
    with IsolatedImportContext():
        second = fresh_import("fr_app.views")
        third = fresh_import("fr_app.models")
        fourth = fresh_import("fr_app", deep=True)
        assert second.Model is models.Model
        assert third.Model is not models.Model
        assert sys.modules["fr_app"] is fourth
        views = importlib.import_module("fr_app.views")
        assert len({id(module) for module in (first, second, views)}) == 3
        assert views.Model is importlib.import_module("fr_app.models").Model is not third.Model
        assert type(pickle.loads(pickle.dumps(views.Model()))) is views.Model
        assert importlib.reload(views) is views
    assert before.differences() == []
    assert first.Model is models.Model


def test_what_cannot_be_had_anew_says_what_to_do(tree: Tree) -> None:
    tree(
        {
            "fr_self.py": """
                from pytest_import_isolation import fresh_import
                fresh_import("fr_self")
            """
        }
    )
    with IsolatedImportContext():
        with pytest.raises(NotReplaceableError, match=r"'__main__': the interpreter needs this module"):
            fresh_import("__main__")
        with pytest.raises(NotReplaceableError) as caught:
            fresh_import(__name__)
        assert str(caught.value) == (
            f"fresh_import({__name__!r}): pytest has loaded this test module, conftest or plugin, and keeps "
            "using it. Move the code that you need fresh into a separate module"
        )
        # An empty conftest, of which assertion rewriting changes nothing.
        empty = ModuleType("fr_conftest")
        empty.__spec__ = ModuleSpec(empty.__name__, sys.modules[__name__].__spec__.loader)  # type: ignore[union-attr]
        sys.modules[empty.__name__] = empty
        with pytest.raises(NotReplaceableError, match="this test module, conftest or plugin"):
            fresh_import(empty.__name__)
        with pytest.raises(NotReplaceableError) as caught:
            importlib.import_module("fr_self")
        assert str(caught.value) == (
            "fresh_import('fr_self'): its import is still under way, so this call comes from its own top level "
            "or from a module that it imports. Call it when the import is over: in a test or a fixture"
        )
        with pytest.raises(ModuleNotFoundError):
            fresh_import("fr_none")


@pytest.mark.neighbours("numpy")
def test_an_extension_package_cannot_be_had_anew() -> None:
    with IsolatedImportContext():
        importlib.import_module("numpy")
        with pytest.raises(ExtensionModuleError, match="Use unloaded='numpy' to have them absent"):
            fresh_import("numpy")


@pytest.mark.neighbours("numpy")
def test_an_extension_package_that_was_never_loaded_is_refused_too(run_script: Callable[..., str]) -> None:
    run_script(
        """
        from pytest_import_isolation import IsolatedImportContext, fresh_import
        with IsolatedImportContext():
            numpy = fresh_import("numpy")
            assert numpy.array([1]).sum() == 1
            try:
                fresh_import("numpy")
            except ImportError as error:
                assert "covers extension modules" in str(error)
            else:
                raise AssertionError
        with IsolatedImportContext():
            import numpy as again
            assert again is numpy
        """
    )


@pytest.mark.parametrize("parameter", ["fresh", "unloaded"])
@pytest.mark.parametrize(
    ("pattern", "warns"),
    [
        ("fr_app", False),
        ("fr_app.models", False),  # can be imported
        ("fr_app.mod*", False),
        ("fr_unloaded.views", False),
        ("fr_unloaded.views*", False),
        ("*_app", False),
        ("xml.dom.minidom", False),
        ("fr_modles", True),
        ("fr_app.modles", True),
        ("fr_unloaded.viewz", True),
        ("fr_app.models.below", True),
        ("fr_nothing.*", True),
    ],
)
def test_a_pattern_that_can_match_nothing_is_warned_of(
    parameter: str, pattern: str, warns: bool, tree: Tree, picture: Any
) -> None:
    tree(
        {
            "fr_app/__init__.py": "",
            "fr_app/models.py": "",
            "fr_unloaded/__init__.py": "raise SystemExit('nobody may import it to look')",
            "fr_unloaded/views.py": "",
        }
    )
    importlib.import_module("fr_app")
    before = picture("fr_app")
    context = IsolatedImportContext(**{parameter: pattern})  # type: ignore[arg-type]
    if not warns:
        with context:
            pass
        return
    with pytest.warns(ImportIsolationWarning) as caught:
        context.start()
    context.stop()
    [warning] = caught
    message = str(warning.message)
    assert message.startswith(f"{parameter}={pattern!r} covers no module that is loaded or can be imported")
    assert message.endswith(", so it changes nothing")
    assert warning.filename == __file__
    with pytest.raises(ImportIsolationWarning):  # as an error it leaves nothing open
        context.start()
    assert before.differences() == []


def test_a_misspelt_name_is_suggested_and_running_windows_warn_too(tree: Tree) -> None:
    tree({"fr_models.py": ""})
    importlib.import_module("fr_models")
    with IsolatedImportContext() as context:
        with pytest.warns(
            ImportIsolationWarning, match=r"fresh='fr_modles' .* \(did you mean 'fr_models'\?\)"
        ):
            context.refresh("fr_modles")
        with pytest.warns(ImportIsolationWarning, match="unloaded='fr_modles' covers no module"):
            context.unload("fr_modles")


def test_what_a_fresh_copy_and_a_reload_keep(tree: Tree) -> None:
    # The table of docs/reference/fixtures.md, row by row.
    tree(
        {
            "fr_app/__init__.py": "class Model: ...",
            "fr_app/part.py": "",
            "fr_by_name.py": "import fr_app",
            "fr_by_attribute.py": "from fr_app import Model",
        }
    )
    app = importlib.import_module("fr_app")
    part = importlib.import_module("fr_app.part")
    by_name, by_attribute = (importlib.import_module(f"fr_by_{how}") for how in ("name", "attribute"))
    old, instance, app.extra = app.Model, app.Model(), "set from outside"
    with IsolatedImportContext():
        fresh = fresh_import("fr_app")
        assert fresh is not app
        assert not hasattr(fresh, "extra")
        assert fresh.Model is not old
        assert not isinstance(instance, fresh.Model)
        assert by_name.fr_app is app
        assert by_attribute.Model is old
        assert importlib.import_module("fr_app.part") is not part
        assert type(pickle.loads(pickle.dumps(fresh.Model()))) is fresh.Model
    assert importlib.import_module("fr_app") is app
    assert type(pickle.loads(pickle.dumps(instance))) is old
    assert importlib.reload(app) is app
    assert app.extra == "set from outside"
    assert app.Model is not old
    assert not isinstance(instance, app.Model)
    assert by_name.fr_app.Model is app.Model
    assert by_attribute.Model is old
    assert importlib.import_module("fr_app.part") is part
    assert type(pickle.loads(pickle.dumps(app.Model()))) is app.Model
    with pytest.raises(pickle.PicklingError):
        pickle.dumps(instance)


def test_what_is_executed_anew_on_request_needs_no_look_at_texts_when_it_goes(
    run_script: Callable[..., str],
) -> None:
    said = run_script("""
        import os, sys
        from pathlib import Path
        from pytest_import_isolation import IsolatedImportContext, fresh_import

        for name in ("fr_first", "fr_second"):
            Path(f"{name}.py").write_text("import sys\\nloaded = sys.modules", encoding="utf-8")
        import fr_first, fr_second

        opened = None
        sys.addaudithook(lambda event, given: opened is not None and event == "open" and opened.append(given[0]))
        with IsolatedImportContext() as window:
            copies = fresh_import("fr_first"), fresh_import("fr_second")
            opened = []
        read = [os.path.basename(path) for path in opened if str(path).endswith(".py")]
        print(read, sys.modules["fr_first"] is fr_first, copies[0] is fr_first)
    """)
    assert said.split("\n")[0] == "[] True False"
