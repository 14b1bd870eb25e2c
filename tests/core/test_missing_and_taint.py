"""Modules that look missing, and what was imported meanwhile."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
import threading
import zipfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from pytest_import_isolation import IsolatedImportContext, missing_modules
from pytest_import_isolation.errors import WindowOrderError
from pytest_import_isolation.fakes import missing as blocks
from pytest_import_isolation.fakes.missing import INTERCEPTOR, spec_search_can_be_filtered

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
            assert INTERCEPTOR.refuse("mis_one")
        assert is_missing("mis_one")
        assert not is_missing("mis_two")
    assert not is_missing("mis_one")
    assert not INTERCEPTOR.refuse("mis_one")


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


@pytest.mark.neighbours("yaml")
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


@pytest.mark.neighbours("yaml")
def test_a_package_whose_import_failed_for_want_of_another_can_be_imported_later(
    run_script: Callable[..., str],
) -> None:
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


def test_a_stale_attribute_does_not_answer_for_a_missing_module(tree: Tree, picture: Any) -> None:
    tree({"mis_app/__init__.py": "", "mis_app/a.py": ""})
    app = importlib.import_module("mis_app")
    stale = importlib.import_module("mis_app.a")
    del sys.modules["mis_app.a"]
    before = picture("mis_app")
    with missing_modules("mis_app.a"):
        with pytest.raises(ImportError, match="cannot import name 'a' from 'mis_app'"):
            exec("from mis_app import a", {})
        assert not hasattr(app, "a")
    assert before.differences() == []
    assert app.a is stale


def test_pkgutil_does_not_list_what_is_missing(tree: Tree, tmp_path: Path) -> None:
    root = tree(
        {
            "mis_app/__init__.py": "",
            "mis_app/a.py": "",
            "mis_app/b/__init__.py": "",
            "mis_app/b/c.py": "",
            "mis_single.py": "",
        }
    )
    archive = tmp_path / "mis.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("mis_zipped/__init__.py", "")
        file.writestr("mis_zipped/inner.py", "")
        file.writestr("mis_zip_single.py", "")
    from pkgutil import iter_modules, walk_packages

    with IsolatedImportContext(path=archive):
        path = importlib.import_module("mis_app").__path__
        zipped = importlib.import_module("mis_zipped").__path__

        def names() -> list[str]:
            return [
                *(info.name for info in iter_modules(path)),
                *(info.name for info in walk_packages(path, "mis_app.")),
                *(info.name for info in iter_modules(zipped, "anything.")),
                *(info.name for info in iter_modules([str(root), str(archive)])),
                *(info.name for info in iter_modules() if info.name.startswith("mis_")),
            ]

        # A search fills zipimport's cache, which pkgutil reads and importlib.invalidate_caches() has emptied: the
        # standard library may be an archive, too.
        importlib.util.find_spec("mis_nothing")
        everything = names()
        with missing_modules("mis_app.a", "mis_app.b.c", "mis_zipped.inner", "mis_single", "mis_zip_single"):
            assert names() == [
                "b",
                "mis_app.b",
                "mis_app",
                "mis_zipped",
                "mis_zipped",
                "mis_app",
            ]
        with missing_modules("inner", "a"):
            assert names() == everything


def test_distributions_are_missing_on_request(tree: Tree, tmp_path: Path, picture: Any) -> None:
    root = tree({"mis_space/lib/__init__.py": "", "mis_space/lib/x.py": "", "mis_other.py": ""})

    def install(name: str, files: str, **more: str) -> None:
        folder = root / f"{name.replace('-', '_')}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (folder / "RECORD").write_text("".join(f"{file},,\n" for file in files.split()))
        for file, text in more.items():
            (folder / f"{file}.txt").write_text(text)

    install(
        "mis-dist",
        "mis_space/lib/__init__.py mis_space/lib/x.py mis_data/readme.txt",
        entry_points="[mis.plugins]\nlib = mis_space.lib:x\n",
    )
    install("mis-edit", "__editable__.mis.pth", top_level="mis_edited\n")
    install("mis-named", "mis_named.pth")
    install("mis-odd", "mis_other.py mis-script.py mis_other/__pycache__/y.pyc")
    importlib.invalidate_caches()

    def known() -> set[str]:
        found = {dist.metadata["Name"] for dist in metadata.distributions()}
        return {name for name in found if name and name.startswith("mis-")}

    def version(name: str) -> object:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError as error:
            return error.name

    everything = {"mis-dist", "mis-edit", "mis-named", "mis-odd"}
    assert known() == everything  # loads what reads metadata
    before = picture()
    resolvers = metadata.Distribution.__dict__["_discover_resolvers"]
    with missing_modules("mis_space.lib"):
        assert version("mis-dist") == "1.0"
    with missing_modules("mis_space.lib", distributions=True):
        assert version("mis-dist") == "mis-dist"
        assert not metadata.entry_points(group="mis.plugins")
        assert known() == everything - {"mis-dist"}
        with IsolatedImportContext(missing=["mis_edited", "mis_named", "mis_other"], distributions=True):
            assert known() == set()
        assert known() == everything - {"mis-dist"}
    for unrelated in ("mis_space.lib.x", "mis_data", "mis_script", "lib"):
        with missing_modules(unrelated, distributions=True):
            assert known() == everything
    assert [point.value for point in metadata.entry_points(group="mis.plugins")] == ["mis_space.lib:x"]
    assert metadata.Distribution.__dict__["_discover_resolvers"] is resolvers
    assert before.differences() == []


@pytest.mark.parametrize(
    ("module", "name"),
    [
        pytest.param("numpy", "numpy", marks=pytest.mark.neighbours("numpy")),
        pytest.param("yaml", "PyYAML", marks=pytest.mark.neighbours("yaml")),
        pytest.param("google.protobuf", "protobuf", marks=pytest.mark.neighbours("google.protobuf")),
    ],
)
def test_real_distributions_are_missing(module: str, name: str) -> None:
    assert metadata.version(name)
    with missing_modules(module, distributions=True):
        with pytest.raises(metadata.PackageNotFoundError):
            metadata.version(name)
        assert module.partition(".")[0] not in {
            top for top, names in metadata.packages_distributions().items() if name in names
        }
    assert metadata.version(name)


def test_without_the_private_names_nothing_is_hidden_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(pkgutil, "iter_importer_modules")
    monkeypatch.delattr(metadata.Distribution, "_discover_resolvers")
    with missing_modules("numpy", distributions=True):
        assert importlib.util.find_spec("numpy") is None
    assert not hasattr(pkgutil, "iter_importer_modules")
    assert not hasattr(metadata.Distribution, "_discover_resolvers")


def test_what_hides_modules_is_not_loaded_by_hiding_them(run_script: Callable[..., str]) -> None:
    run_script(
        """
        import sys
        from pytest_import_isolation import missing_modules
        loaded = {"pkgutil", "importlib.metadata"} & set(sys.modules)
        with missing_modules("json", "wave", distributions=True):
            assert {"pkgutil", "importlib.metadata"} & set(sys.modules) == loaded
            import pkgutil, importlib.metadata
            assert "wave" not in {info.name for info in pkgutil.iter_modules()}
        assert {"pkgutil", "importlib.metadata"} & set(sys.modules) == loaded
        import pkgutil
        assert "wave" in {info.name for info in pkgutil.iter_modules()}
        """
    )


def test_a_consumer_named_fresh_sees_the_absence_and_others_keep_what_they_have(tree: Tree) -> None:
    tree(
        {
            "mis_opt.py": "",
            "mis_user.py": "try:\n    import mis_opt\nexcept ImportError:\n    mis_opt = None",
            "mis_second.py": "import mis_user",
        }
    )
    user, second = importlib.import_module("mis_user"), importlib.import_module("mis_second")
    with IsolatedImportContext(missing="mis_opt", fresh="mis_user"):
        assert importlib.import_module("mis_user").mis_opt is None
        assert second.mis_user.mis_opt is not None
    assert importlib.import_module("mis_user") is user


def test_a_module_that_is_not_installed_anyway_is_simply_missing(picture: Any) -> None:
    before = picture()
    with missing_modules("mis_never_heard_of", "mis_never.heard.of", distributions=True):
        assert importlib.util.find_spec("mis_never_heard_of") is None
    assert before.differences() == []


def test_blocks_in_threads_and_interleaved_are_taken_off(tree: Tree, picture: Any) -> None:
    tree({"mis_one.py": "", "mis_two.py": ""})
    before = picture()
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            for _ in range(200):
                assert importlib.util.find_spec("mis_one") is None
        except BaseException as error:
            errors.append(error)

    with missing_modules("mis_one"):
        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(50):
            with missing_modules("mis_two"), pytest.raises(KeyError), missing_modules("mis_one"):
                raise KeyError
        for thread in threads:
            thread.join()
    assert errors == []
    outer, inner = missing_modules("mis_one"), missing_modules("mis_two")
    outer.start()
    inner.start()
    with pytest.raises(WindowOrderError, match="cannot be left before"):
        outer.stop()
    inner.stop()
    outer.stop()
    assert before.differences() == []
    assert importlib.util.find_spec("mis_one") is not None
