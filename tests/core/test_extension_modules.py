"""Extension modules and what leans on them."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_import_isolation import ImportIsolationError, IsolatedImportContext
from pytest_import_isolation.parking.finder import FINDER

Script = Callable[..., str]


def extension_file(*names: str) -> tuple[str, Path]:
    """Return the name and file of an extension module that is installed, and fit to be copied."""
    for name in names:
        spec = importlib.util.find_spec(name)
        if spec is not None and (spec.origin or "").endswith(tuple(importlib.machinery.EXTENSION_SUFFIXES)):
            return name, Path(str(spec.origin))
    pytest.skip(f"none of {names} is an extension module in a file of its own")


@pytest.fixture
def speed(tree: Callable[[dict[str, str]], Path]) -> Iterator[str]:
    """Put an extension module into a first-party package; return its last name.

    A copy of an existing one: users have no compiler. PyInit_<name> needs the last name to be the same.
    """
    name, file = extension_file("_csv", "_bisect", "_heapq", "_struct")
    root = tree(
        {
            "ext_proj/__init__.py": "",
            "ext_proj/core.py": (
                f"from ext_proj import registry\nfrom ext_proj import {name}\nclass Core: pass\n"
                f"def give(): {name}.Core = Core\n"
            ),
            "ext_proj/registry.py": "classes = []",
            "ext_proj/plain.py": "",
        }
    )
    shutil.copy(file, root / "ext_proj" / file.name)
    yield name
    # It would come back in the next test, from a directory that is not that test's.
    FINDER.lot.drop(lambda name: name.startswith("ext_proj"))


def test_a_projects_own_extension_module_is_parked_with_the_packages_above(speed: str, picture: Any) -> None:
    before = picture()
    seen = []
    for _ in range(3):
        with IsolatedImportContext() as context:
            core = importlib.import_module("ext_proj.core")
            seen.append((sys.modules["ext_proj"], getattr(core, speed), core))
        assert before.differences() == []
        # The code of a package may use what importlib bound in it, so its submodules stay with it.
        assert (
            context.changes.parked
            == {
                "ext_proj": f"the extension module ext_proj.{speed} holds on to it",
                f"ext_proj.{speed}": "an extension module",
                "ext_proj.core": "ext_proj holds on to it",
                "ext_proj.registry": "ext_proj holds on to it",
            }
            or len(seen) > 1
        )
        assert len(context.changes.parked) == 4
    assert all(one is other for each in seen for one, other in zip(each, seen[0], strict=True))


def test_what_an_extension_module_refers_to_is_parked_with_it(speed: str, picture: Any) -> None:
    before = picture()
    with IsolatedImportContext() as context:
        core = importlib.import_module("ext_proj.core")
        # As an extension module does that imports Python code of its own package when it is initialised.
        core.give()
    assert before.differences() == []
    assert context.changes.parked["ext_proj.core"].endswith(" holds on to it")
    with IsolatedImportContext():
        assert importlib.import_module("ext_proj.core") is core
    assert before.differences() == []
    delattr(getattr(core, speed), "Core")


def test_fresh_refuses_a_package_that_holds_extension_modules(speed: str, picture: Any) -> None:
    importlib.import_module("ext_proj.core")
    before = picture()
    with pytest.raises(ImportIsolationError) as caught, IsolatedImportContext(fresh="ext_proj"):
        pass
    assert str(caught.value) == (
        f"fresh='ext_proj' covers extension modules (ext_proj.{speed}), and executing those twice in one process "
        "fails or crashes. Use unloaded='ext_proj' to have them absent until they are imported "
        "again (the same objects come back), or name the pure Python modules that you need fresh."
    )
    assert before.differences() == []
    # Nothing of the failed attempt is open.
    with IsolatedImportContext():
        pass


@pytest.mark.neighbours("numpy")
def test_fresh_refuses_parked_extension_modules_too(run_script: Script) -> None:
    run_script(
        """
        import sys
        from picture import Picture
        from pytest_import_isolation import ImportIsolationError, IsolatedImportContext

        with IsolatedImportContext():
            import numpy
        del numpy
        before = Picture()
        try:
            IsolatedImportContext(fresh="numpy").start()
        except ImportIsolationError as error:
            assert isinstance(error, ImportError)
            message = str(error)
        assert message.startswith("fresh='numpy' covers extension modules (numpy.")
        assert "Use unloaded='numpy' to have them absent until they are imported again" in message
        assert before.differences() == []
        """
    )


def test_entries_made_by_c_code_are_parked_with_their_extension(run_script: Script) -> None:
    run_script(
        """
        import sys
        from pytest_import_isolation import IsolatedImportContext

        def run():
            seen = []
            for _ in range(3):
                with IsolatedImportContext() as context:
                    import pyexpat
                    import xml.parsers.expat
                    seen.append((pyexpat.errors, xml.parsers.expat.errors, sys.modules["pyexpat.errors"]))
                assert "pyexpat.errors" in context.changes.parked, context.changes
                assert "xml.parsers.expat.errors" in context.changes.parked, context.changes
                assert not context.changes.forgotten
                assert "pyexpat.errors" not in sys.modules
                # Comes back without pyexpat, which alone tells that the entries below it are none of a fake.
                with IsolatedImportContext() as context:
                    import xml.parsers.expat
                    seen.append((xml.parsers.expat.errors,))
                assert not context.changes.forgotten, context.changes
            assert len({id(each) for group in seen for each in group}) == 1
        run()
        """
    )


def test_a_package_comes_back_as_a_whole_and_alone(run_script: Script) -> None:
    run_script(
        """
        import sys
        from pytest_import_isolation import IsolatedImportContext

        def first():
            with IsolatedImportContext():
                import email.mime.text
                import wave
        first()
        import email
        assert "email.mime.text" in sys.modules
        assert email.mime.text is sys.modules["email.mime.text"]
        assert "wave" not in sys.modules
        """
    )


# The module itself does it: what a test writes to a module is undone.
_KEEPS = "cached = None\ndef keep(value):\n    global cached\n    cached = value\n"


def test_a_foreign_module_that_a_survivor_refers_to_is_kept_with_the_reason(
    tree: Callable[[dict[str, str]], Path],
) -> None:
    tree({"ext_cache.py": _KEEPS})
    cache = importlib.import_module("ext_cache")
    for name in ("colorsys", "sched"):
        sys.modules.pop(name, None)
    with IsolatedImportContext() as context:
        importlib.import_module("colorsys")
        cache.keep(importlib.import_module("sched").scheduler)
    assert context.changes.kept["sched"] == "ext_cache.cached refers to it"
    assert "sched" in sys.modules
    assert "colorsys" not in sys.modules
    cache.keep(None)


def test_a_reference_that_is_older_than_the_window_keeps_no_returning_module(
    tree: Callable[[dict[str, str]], Path], picture: Any
) -> None:
    tree(
        {
            "ext_block.py": "from pytest_import_isolation import IsolatedImportContext\n"
            "with IsolatedImportContext():\n    import colorsys\n"
            f"{_KEEPS}"
        }
    )
    sys.modules.pop("colorsys", None)  # another test may have loaded it
    block = importlib.import_module("ext_block")
    before = picture()
    with IsolatedImportContext() as context:
        assert importlib.import_module("colorsys") is block.colorsys
    assert before.differences() == []
    with IsolatedImportContext() as context:
        block.keep(importlib.import_module("colorsys"))
    assert context.changes.kept["colorsys"] == "ext_block.cached refers to it"
    del sys.modules["colorsys"]


def test_a_window_inside_one_that_unloaded_everything_restores_exactly(picture: Any) -> None:
    with IsolatedImportContext(unloaded="*"):
        before = picture()
        with IsolatedImportContext():
            importlib.import_module("collections.abc")
        assert before.differences() == []


def test_parked_packages_still_reach_their_submodules(run_script: Script) -> None:
    # Code of a parked package may run on: somebody holds its functions. re reads its attribute _compiler.
    run_script(
        """
        import re, json
        from pytest_import_isolation import IsolatedImportContext
        search, loads = re.search, json.loads
        with IsolatedImportContext(unloaded="*"):
            assert search("[a-c]{3}x?", "zzabc")
            assert loads("[1]") == [1]
        """
    )


def test_a_second_copy_of_a_foreign_module_is_never_freed(run_script: Script) -> None:
    run_script(
        """
        import sys, weakref, gc
        import colorsys
        from pytest_import_isolation import IsolatedImportContext

        def inside():
            with IsolatedImportContext():
                del sys.modules["colorsys"]
                import colorsys as second
                return weakref.ref(second)

        second = inside()
        gc.collect()
        assert sys.modules["colorsys"] is colorsys
        assert second() is not None
        """
    )


def test_a_module_thrown_out_by_patch_dict_comes_back_as_the_same_object(run_script: Script) -> None:
    run_script(
        """
        import sys
        from unittest import mock
        from pytest_import_isolation import IsolatedImportContext

        def run():
            with IsolatedImportContext():
                import decimal
            with IsolatedImportContext():
                with mock.patch.dict(sys.modules):
                    import decimal as evicted
                assert evicted is decimal
            with IsolatedImportContext():
                import decimal as third
            assert third is decimal
        run()
        """
    )


def test_odd_objects_are_parked_and_come_back_unchanged(run_script: Script) -> None:
    run_script(
        """
        import sys
        import importlib, os
        from pytest_import_isolation import IsolatedImportContext

        folder = os.path.join(os.getcwd(), "site-packages")
        os.makedirs(folder + "/oddlib", exist_ok=True)
        with open(folder + "/oddlib/__init__.py", "w") as file:
            file.write("from oddlib import number, proxy, lazy\\n")
        with open(folder + "/oddlib/number.py", "w") as file:
            file.write("import sys\\nsys.modules[__name__] = 42\\n")
        with open(folder + "/oddlib/proxy.py", "w") as file:
            file.write("import sys\\nclass Proxy:\\n    __slots__ = ()\\nsys.modules[__name__] = Proxy()\\n")
        with open(folder + "/oddlib/lazy.py", "w") as file:
            file.write(
                "import sys, types\\nclass Lazy(types.ModuleType):\\n"
                "    def __getattr__(self, name): raise RuntimeError(name)\\n"
                "sys.modules[__name__].__class__ = Lazy\\n"
            )
        sys.path.insert(0, folder)
        seen = []
        def run():
            with IsolatedImportContext() as context:
                import oddlib, oddlib.proxy, oddlib.lazy
                names = ("oddlib", "oddlib.proxy", "oddlib.lazy")
                seen.append((oddlib, sys.modules["oddlib.proxy"], oddlib.proxy, oddlib.lazy, oddlib.__spec__))
            assert not [name for name in sys.modules if name.startswith("oddlib")]
            assert {"oddlib", "oddlib.proxy", "oddlib.lazy"} <= set(context.changes.parked), context.changes
        for _ in range(3):
            run()
        for each in seen:
            assert all(one is other for one, other in zip(each, seen[0]))
        # Asking for the odd ones first brings the package back as well.
        import oddlib.proxy
        assert sys.modules["oddlib"] is seen[0][0]
        """
    )


def test_a_hand_made_second_name_of_a_real_module_is_neither_parked_nor_kept(picture: Any) -> None:
    before = picture()
    alias: Any = "ext_no_such_json"
    with IsolatedImportContext() as context:
        sys.modules[alias] = importlib.import_module("json")
    assert before.differences() == []
    assert context.changes.forgotten == {alias: "it is another name for json"}
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(alias)


def test_a_real_module_given_as_a_fake_is_gone_after_the_window(picture: Any) -> None:
    json: ModuleType = importlib.import_module("json")
    before = picture()
    with IsolatedImportContext(fakes={"ext_no_such_json": json}):
        assert importlib.import_module("ext_no_such_json") is json
    assert before.differences() == []
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("ext_no_such_json")


def test_a_module_that_is_a_number_does_not_pass_for_one_that_was_parked(
    tree: Callable[[dict[str, str]], Path],
) -> None:
    tree({"ext_number.py": "import sys\nsys.modules[__name__] = 42"})
    with IsolatedImportContext():
        importlib.import_module("ext_number")
        with IsolatedImportContext(unloaded="ext_number"):
            importlib.import_module("ext_number")
    with IsolatedImportContext() as context:
        importlib.import_module("ext_number")
    assert context.changes.forgotten == {"ext_number": "it is an int"}
    assert "ext_number" not in FINDER.lot


def test_what_an_outer_window_loaded_is_forgotten_though_an_inner_one_executed_it_anew(
    tree: Callable[[dict[str, str]], Path], picture: Any
) -> None:
    tree({"ext_plain.py": ""})
    before = picture()
    with IsolatedImportContext() as context:
        first = importlib.import_module("ext_plain")
        with IsolatedImportContext(unloaded="*"):
            assert importlib.import_module("ext_plain") is not first
        assert importlib.import_module("ext_plain") is first
    assert before.differences() == []
    assert list(context.changes.forgotten) == ["ext_plain"]
    assert "ext_plain" not in FINDER.lot


def test_a_fake_with_the_file_of_an_installed_package_is_not_parked(picture: Any) -> None:
    module = ModuleType("ext_planted")
    module.__file__ = "/v/site-packages/ext_planted.py"
    before = picture()
    with IsolatedImportContext(fakes={"ext_planted": module}):
        assert importlib.import_module("ext_planted") is module
    assert before.differences() == []
    assert "ext_planted" not in FINDER.lot


def test_a_hand_made_module_that_was_unloaded_comes_back_a_second_time() -> None:
    made = sys.modules["ext_made"] = ModuleType("ext_made")
    try:
        with IsolatedImportContext(unloaded="ext_made"):
            with IsolatedImportContext() as context:
                assert importlib.import_module("ext_made") is made
            assert context.changes.parked == {"ext_made": "it was parked when the window opened"}
            assert importlib.import_module("ext_made") is made
        assert sys.modules["ext_made"] is made
    finally:
        del sys.modules["ext_made"]


@pytest.mark.neighbours("numpy")
def test_what_an_outer_window_loaded_does_not_come_back_in_place_of_its_shadow(
    run_script: Callable[..., str],
) -> None:
    run_script(
        """
        import importlib
        from pytest_import_isolation import IsolatedImportContext, make_package
        with IsolatedImportContext():
            with IsolatedImportContext():
                real = importlib.import_module("numpy")
            with make_package({"numpy/__init__.py": "value = 1"}, shadow=True):
                assert importlib.import_module("numpy").value == 1
            assert importlib.import_module("numpy") is real
        """
    )


def test_what_compiled_code_imports_by_itself_stays_with_what_called_it(run_script: Script) -> None:
    """Compiled code may ask once in a process, and look in sys.modules from then on, as that of mypyc does."""
    out = run_script(
        """
        import datetime, sys
        from pytest_import_isolation import IsolatedImportContext
        from pytest_import_isolation.parking.finder import FINDER

        with IsolatedImportContext():
            import _strptime
        assert "_strptime" not in sys.modules  # a statement will ask again
        FINDER.lot.drop(lambda name: True)
        with IsolatedImportContext() as context:
            datetime.datetime.strptime("2000", "%Y")
        assert "_strptime" in sys.modules
        print(context.changes)
        """
    )
    assert "kept _strptime" in out
    assert "compiled code imported it, which does so once" in out


@pytest.mark.parametrize(
    "way",
    [
        """
        def _import(*args, **kwargs):
            return original(*args, **kwargs)

        builtins.__import__ = _import
        ask = lambda: exec("import json.tool")
        """,
        """
        def _deeper(*args):
            return original(*args)

        builtins.__import__ = lambda *args: _deeper(*args)
        ask = lambda: exec("import json.tool")
        """,
        """
        ask = lambda: original("json.tool")
        """,
        """
        def ask(function=original):
            function("json.tool")
        """,
        """
        ask = lambda load=importlib.import_module: load("json.tool")
        """,
    ],
    ids=["replaced", "replaced-twice", "in-a-global", "in-an-argument", "import_module"],
)
def test_a_function_that_python_calls_is_no_compiled_code(run_script: Script, way: str) -> None:
    run_script(
        f"""
        import builtins, importlib, json, sys
        from pytest_import_isolation import IsolatedImportContext

        def prepare(original):
            {textwrap.indent(textwrap.dedent(way), " " * 12).strip()}
            return ask

        original = builtins.__import__
        ask = prepare(original)
        with IsolatedImportContext():
            ask()
            assert "json.tool" in sys.modules
        assert "json.tool" not in sys.modules
        builtins.__import__ = original
        # Here something of ours stands in the place of the function.
        with IsolatedImportContext(missing="absent"):
            ask = prepare(builtins.__import__)
            with IsolatedImportContext():
                ask()
            assert "json.tool" not in sys.modules
        """
    )


@pytest.mark.neighbours("mypy")
def test_a_package_that_is_compiled_as_a_whole_works_in_one_window_after_the_other(
    run_script: Script,
) -> None:
    out = run_script(
        """
        from mypy import api  # compiled, as mypy.main is, which it asks for when it is called
        from pytest_import_isolation import IsolatedImportContext

        for _ in range(2):
            with IsolatedImportContext():
                print(api.run(["--version"])[0])
        """
    )
    assert out.count("compiled: yes") == 2


@pytest.mark.neighbours("mypy")
@pytest.mark.parametrize(
    "first", ["import mypy.build, mypy.main", "from mypy import api; api.run(['--version'])"]
)
def test_what_compiled_code_looks_up_comes_and_goes_with_it(run_script: Script, first: str) -> None:
    """The packages of mypyc ask for a module beside them when they are executed, and look it up ever after."""
    run_script(
        f"""
        import sys
        from pytest_import_isolation import IsolatedImportContext

        def is_whole():
            return ("mypy" in sys.modules) is any(name.endswith("__mypyc") for name in sys.modules)

        with IsolatedImportContext():
            {first}
        assert is_whole()
        for _ in range(2):
            with IsolatedImportContext():
                from mypy import api
                assert is_whole()
                found = api.run(["-c", "x: int = 1", "--no-incremental", "--cache-dir=/dev/null"])
                assert found[2] == 0, found
            assert is_whole()
        """
    )


@pytest.mark.parametrize("throws_out", [False, True])
def test_a_package_with_extension_modules_returns_as_a_whole_to_whatever_package_is_there(
    tree: Callable[[dict[str, str]], Path], monkeypatch: pytest.MonkeyPatch, throws_out: bool
) -> None:
    whole = f"ext_whole_{throws_out}"  # the first test's waits in its directory if this run is isolated
    name, file = extension_file("_csv", "_bisect", "_heapq", "_struct")
    root = tree(
        {
            f"site-packages/{whole}/__init__.py": "",
            f"site-packages/{whole}/core.py": f"from {whole} import {name}\nclass Core: pass\n",
        }
    )
    shutil.copy(file, root / f"site-packages/{whole}" / file.name)
    monkeypatch.syspath_prepend(str(root / "site-packages"))
    package = importlib.import_module(whole)
    cores: list[ModuleType] = []
    try:
        for _ in range(3):
            with IsolatedImportContext():
                del sys.modules[whole]
                cores.append(importlib.import_module(f"{whole}.core"))
                if throws_out:
                    for each in [each for each in sys.modules if each.startswith(whole)]:
                        del sys.modules[each]
            assert sys.modules[whole] is package
        assert cores[0] is cores[1] is cores[2]
        with IsolatedImportContext():
            assert importlib.import_module(f"{whole}.core") is package.core is cores[0]
    finally:
        FINDER.lot.drop(lambda name: name.startswith(whole))
