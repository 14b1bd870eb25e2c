"""Modules that look missing, and what was imported meanwhile."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_import_isolation import IsolatedImportContext, blocks, missing_modules
from pytest_import_isolation.blocks import TOLL, spec_search_can_be_filtered

Tree = Callable[[dict[str, str]], Path]


def answers(name: str) -> list[tuple[object, ...]]:
    """Ask for a module in nine ways; return what came, with the module's own name taken out."""
    parent, _, child = name.rpartition(".")

    def statement(text: str) -> Callable[[], object]:
        return lambda: exec(text, {})

    ways: list[Callable[[], object]] = [
        statement(f"import {name}"),
        statement(f"from {name} import x"),
        statement(f"import {name}.sub"),
        statement(f"from {parent} import {child}") if parent else statement(f"from {name} import *"),
        lambda: importlib.import_module(name),
        lambda: importlib.util.find_spec(name),
        lambda: pkgutil.resolve_name(f"{name}:x"),
        lambda: pytest.importorskip(name),
        lambda: __import__(name, {}, {}, ["x"]),
    ]
    found: list[tuple[object, ...]] = []
    for way in ways:
        try:
            found.append(("value", way()))
        except BaseException as error:
            message = str(error).replace(child or name, "<child>")
            found.append(
                (type(error), message, str(getattr(error, "name", "")).replace(child or name, "<child>"))
            )
    return found


@pytest.mark.parametrize("loaded", [True, False], ids=["loaded", "not-loaded"])
@pytest.mark.parametrize("name", ["mis_top", "mis_pkg.inner"])
def test_a_missing_module_answers_as_one_that_is_not_installed(
    name: str, loaded: bool, tree: Tree, picture: Any
) -> None:
    tree(
        {
            "mis_top/__init__.py": "x = 1",
            "mis_top/sub.py": "",
            "mis_pkg/__init__.py": "",
            "mis_pkg/inner/__init__.py": "x = 1",
            "mis_pkg/inner/sub.py": "",
        }
    )
    importlib.import_module("mis_pkg")
    if loaded:
        importlib.import_module(f"{name}.sub")
    really_missing = f"{name.rpartition('.')[0]}.mis_really".lstrip(".")
    expected = answers(really_missing)
    before = picture("mis_pkg")
    with missing_modules(name):
        assert answers(name) == expected
    assert before.differences() == []
    importlib.import_module(f"{name}.sub")


def test_a_pattern_may_block_the_submodules_alone(tree: Tree) -> None:
    tree({"mis_app/__init__.py": "", "mis_app/plugins/__init__.py": "", "mis_app/plugins/one.py": ""})
    with missing_modules("mis_app.plugins.*"):
        importlib.import_module("mis_app.plugins")
        with pytest.raises(ModuleNotFoundError) as caught:
            importlib.import_module("mis_app.plugins.one")
        assert caught.value.name == "mis_app.plugins.one"


def test_a_sibling_of_the_same_last_name_is_not_blocked(tree: Tree) -> None:
    tree(
        {
            "mis_app/__init__.py": "from . import mis_json",
            "mis_app/mis_json.py": "VALUE = 1",
            "mis_json.py": "",
        }
    )
    with missing_modules("mis_json"):
        assert importlib.import_module("mis_app").mis_json.VALUE == 1


def test_blocks_nest(tree: Tree) -> None:
    tree({"mis_one.py": "", "mis_two.py": ""})

    def is_missing(name: str) -> bool:
        return importlib.util.find_spec(name) is None

    with missing_modules("mis_one"):
        with missing_modules("mis_two"):
            assert is_missing("mis_one")
            assert is_missing("mis_two")
            assert TOLL.refuse("mis_one")
        assert is_missing("mis_one")
        assert not is_missing("mis_two")
    assert not is_missing("mis_one")
    assert not TOLL.refuse("mis_one")


def test_a_parked_module_can_be_missing_and_comes_back(run_script: Callable[..., str]) -> None:
    run_script(
        """
        from pytest_import_isolation import IsolatedImportContext, missing_modules
        def run():
            def load():
                import decimal
                return decimal
            with IsolatedImportContext():
                first = load()
            with missing_modules("decimal"):
                try:
                    load()
                except ModuleNotFoundError as error:
                    assert error.name == "decimal"
                else:
                    raise AssertionError
            with IsolatedImportContext():
                assert load() is first
        run()
        """
    )


def test_the_self_test_finds_the_hook_on_this_python() -> None:
    assert spec_search_can_be_filtered()


@pytest.mark.parametrize("module", ["_bootstrap", "importlib.util"])
def test_without_the_private_hook_a_finder_takes_its_place(
    module: str, tree: Tree, monkeypatch: pytest.MonkeyPatch, picture: Any
) -> None:
    tree({"mis_app/__init__.py": "", "mis_app/a.py": ""})
    monkeypatch.setattr(blocks, "spec_search_can_be_filtered", lambda: False)
    before = picture()
    with missing_modules("mis_app.a", "mis_none"):
        importlib.import_module("mis_app")
        with pytest.raises(ModuleNotFoundError, match=r"^No module named 'mis_app.a'$") as caught:
            importlib.import_module("mis_app.a")
        assert caught.value.name == "mis_app.a"
        with missing_modules("json"), pytest.raises(ModuleNotFoundError):
            importlib.import_module("json")
    assert before.differences() == []
    importlib.import_module("mis_app.a")


def test_the_self_test_tells_when_the_hook_is_gone_or_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    original = importlib.util._find_spec  # type: ignore[attr-defined]
    with monkeypatch.context() as patches:
        patches.delattr(importlib.util, "_find_spec")
        assert not spec_search_can_be_filtered()
    with monkeypatch.context() as patches:
        patches.setattr(importlib.util, "find_spec", lambda name: None)
        assert not spec_search_can_be_filtered()
    assert importlib.util._find_spec is original  # type: ignore[attr-defined]


def test_a_wrapper_that_somebody_put_around_the_hook_later_stays_and_works(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree({"mis_wrapped.py": ""})
    bootstrap = importlib._bootstrap  # type: ignore[attr-defined]
    original = bootstrap._find_spec
    context = missing_modules("mis_wrapped")
    context.start()
    wrapped = bootstrap._find_spec

    def theirs(*args: Any) -> Any:
        return wrapped(*args)

    bootstrap._find_spec = theirs
    try:
        context.stop()
        assert bootstrap._find_spec is theirs
        importlib.import_module("mis_wrapped")
    finally:
        bootstrap._find_spec = original


def test_a_module_imported_while_another_is_missing_is_forgotten(tree: Tree, picture: Any) -> None:
    tree(
        {
            "mis_opt.py": "",
            "mis_user.py": "try:\n    import mis_opt\n    HAS = True\nexcept ImportError:\n    HAS = False",
        }
    )
    before = picture()
    with missing_modules("mis_opt"):
        assert not importlib.import_module("mis_user").HAS
    assert before.differences() == []
    with IsolatedImportContext():
        assert importlib.import_module("mis_user").HAS


@pytest.mark.parametrize("how", ["missing", "fakes"])
def test_a_foreign_module_imported_under_a_fake_or_block_is_not_parked_as_if_clean(
    how: str, run_script: Callable[..., str]
) -> None:
    run_script(
        f"""
        import os, sys
        from pytest_import_isolation import IsolatedImportContext

        folder = os.path.join(os.getcwd(), "site-packages")
        os.makedirs(folder, exist_ok=True)
        with open(folder + "/mis_opt.py", "w") as file:
            file.write("REAL = True")
        with open(folder + "/mis_user.py", "w") as file:
            file.write("try:\\n    from mis_opt import REAL as HAS\\nexcept ImportError:\\n    HAS = False")
        with open(folder + "/mis_clean.py", "w") as file:
            file.write("")
        sys.path.insert(0, folder)
        given = {{"missing": {{"missing": "mis_opt"}}, "fakes": {{"fakes": {{"mis_opt": {{"REAL": False}}}}}}}}[{how!r}]

        def run():
            with IsolatedImportContext(**given) as context:
                import mis_user, mis_clean
                assert not mis_user.HAS
            wanted = {{"mis_opt", "mis_opt.REAL"}}
            tainted = context.changes.forgotten["mis_user"]
            assert tainted in {{f"first imported while {{name}} was faked or blocked" for name in wanted}}, tainted
            assert "mis_clean" in context.changes.parked
            with IsolatedImportContext() as context:
                import mis_user
                assert mis_user.HAS
            assert "mis_user" in context.changes.parked
        run()
        """
    )


def test_the_taint_of_a_package_with_extension_modules_is_said_and_it_is_parked(
    run_script: Callable[..., str],
) -> None:
    if importlib.util.find_spec("yaml._yaml") is None:
        pytest.skip("yaml with its extension module is not installed")
    run_script(
        """
        from pytest_import_isolation import missing_modules
        def run():
            with missing_modules("optional_thing") as context:
                import yaml
                exec("try:\\n    import optional_thing\\nexcept ImportError: pass", {"__name__": "yaml.nodes"})
            reason = context.changes.parked["yaml.nodes"]
            assert reason == "tainted by optional_thing, but its package holds extension modules", reason
            with missing_modules("other_thing"):
                import yaml as again
            assert again is yaml
        run()
        """
    )


def test_a_package_whose_import_failed_for_want_of_another_can_be_imported_later(
    run_script: Callable[..., str],
) -> None:
    if importlib.util.find_spec("yaml") is None:
        pytest.skip("yaml is not installed")
    run_script(
        """
        import sys
        from pytest_import_isolation import missing_modules
        def run():
            with missing_modules("base64"):
                try:
                    import yaml
                except ModuleNotFoundError as error:
                    assert error.name == "base64"
                else:
                    raise AssertionError
            assert not [name for name in sys.modules if name.startswith("yaml")]
            import yaml
            assert yaml.safe_load("[1]") == [1]
            assert yaml.reader is sys.modules["yaml.reader"]
        run()
        """
    )
