"""make_package: trees, archives and distributions for one test."""

from __future__ import annotations

import gc
import importlib
import importlib.metadata
import importlib.resources
import pkgutil
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from pytest_import_isolation import ImportIsolationError, make_package
from pytest_import_isolation.helpers.packages import flatten, write_files


@pytest.mark.parametrize("is_zip", [False, True])
def test_a_tree_is_importable_inside_the_block_only(is_zip: bool, tmp_path: Path) -> None:
    tree: dict[str, Any] = {
        "mpbox": {"__init__.py": "", "data.bin": b"\0\xff", "sub/deep.py": "value = 1\n"},
        "mpspace/part.py": "value = 2\n",
        "mpcompiled.pyc": "value = 3\n",
    }
    path = sys.path.copy()
    points = {"mp.group": {"one": "mpbox.sub.deep:value"}}
    with make_package(tree, zip=is_zip, distribution="Mp-Plug", version="2.1", entry_points=points) as root:
        assert sys.path[0] == str(root)
        assert importlib.import_module("mpbox.sub.deep").value == 1
        assert importlib.import_module("mpspace.part").value == 2
        assert importlib.import_module("mpspace").__file__ is None
        assert importlib.import_module("mpcompiled").value == 3
        assert pkgutil.get_data("mpbox", "data.bin") == b"\0\xff"
        assert importlib.resources.files("mpbox").joinpath("data.bin").read_bytes() == b"\0\xff"
        assert importlib.metadata.version("mp-plug") == "2.1"
        (point,) = importlib.metadata.entry_points(group="mp.group")
        assert point.load() == 1
        assert "mpbox/data.bin" in [str(file) for file in importlib.metadata.files("mp-plug") or ()]
        assert importlib.metadata.packages_distributions()["mpspace"] == ["Mp-Plug"]
    assert sys.path == path
    assert not [name for name in sys.modules if name.startswith("mp")]
    assert not importlib.metadata.entry_points(group="mp.group")
    assert not root.exists()
    # On Python 3.10 the standard library leaves archives that it read to the garbage collector.
    del point
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def test_a_rewritten_source_runs_its_new_code(tmp_path: Path) -> None:
    for value in range(3):
        with make_package({"mpbox.py": f"value = {value}\n"}, root=tmp_path):
            assert importlib.import_module("mpbox").value == value
            (tmp_path / "mpbox.py").write_text(f"value = {value + 5}\n", encoding="utf-8")
            del sys.modules["mpbox"]
            assert importlib.import_module("mpbox").value == value + 5
    with make_package({"mpbox.pyc": "value = 9\n"}, root=tmp_path, distribution="mp", version="1"):
        assert importlib.import_module("mpbox").value == 9
    with make_package({}, root=tmp_path, distribution="mp", version="2"):
        assert importlib.metadata.version("mp") == "2"


def test_a_taken_name_is_an_error_that_names_both_places_unless_it_is_shadowed(tmp_path: Path) -> None:
    import json.decoder

    real = json
    for name, place in (("json", real.__file__), ("wave", "wave.py")):
        with pytest.raises(ImportIsolationError) as caught, make_package({f"{name}.py": ""}, root=tmp_path):
            pass
        assert str(caught.value).startswith(f"make_package: {name!r} in {tmp_path} has the name of ")
        assert str(caught.value).endswith(
            f"{place}; choose another name, or pass shadow=True to hide that one until the test is over"
        )
    with make_package({"json.py": "value = 1\n"}, shadow=True):
        assert importlib.import_module("json").value == 1
        assert "json.decoder" not in sys.modules
    assert sys.modules["json"] is real
    assert sys.modules["json.decoder"] is real.decoder
    for name in ("sys", "os"):
        with pytest.raises(ImportIsolationError, match="cannot take the place of"):
            with make_package({f"{name}.py": ""}, shadow=True):
                pass


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "expected a mapping of paths to texts"),
        ({3: ""}, "a path is a string, not int (3)"),
        ({"a\\b.py": ""}, "'a\\\\b.py' holds a backslash; separate folders with '/'"),
        ({"a": {"../b.py": ""}}, "'../b.py' is no relative path below the package's directory"),
        ({"a/b": {"c.py": ""}, "a": {"b/c.py": ""}}, "'a/b/c.py' is given twice"),
        ({"a": "", "a/b.py": ""}, "'a' is a file and also the directory of 'a/b.py'"),
        ({"A/b.py": "", "a/c.py": ""}, "'A' and 'a' differ in case only"),
        ({"a.py": "", "a.pyc": ""}, "'a.pyc' would never be found beside 'a.py'; leave one out"),
        ({"a.pyc": "def"}, "the source of 'a.pyc' cannot be compiled (invalid syntax"),
        ({"a.py": "\ud800"}, "the text of 'a.py' is no UTF-8"),
    ],
)
def test_a_tree_that_cannot_be_is_refused(files: Any, message: str) -> None:
    with pytest.raises(ImportIsolationError, match=re.escape(f"make_package: {message}")):
        flatten(files)


def test_options_that_cannot_be_are_refused() -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"distribution": "../x"}, "'../x' is no name of a distribution"),
        ({"distribution": "x", "version": "1-0"}, "'1-0' is no version"),
        ({"entry_points": {"g": {"a": "b:c"}}}, "entry_points need a distribution"),
        (
            {"distribution": "x", "entry_points": {"g": {"a": "b c"}}},
            "the entry point 'a' of 'g' is 'module:attribute', not 'b c'",
        ),
        ({"zip": True, "root": Path(__file__)}, f"no archive can be written to {__file__}: "),
        ({"distribution": "x", "entry_points": {"g": "b"}}, "entry_points is a mapping such as"),
    ]
    for options, message in cases:
        with pytest.raises(ImportIsolationError, match=f"make_package: {re.escape(message)}"):
            with make_package({}, **options):
                pass


def test_a_file_in_the_way_of_a_directory_is_named(tmp_path: Path) -> None:
    write_files(tmp_path, {"a": "text"})
    with pytest.raises(ImportIsolationError, match=r"make_package: 'a/b\.py' cannot be written"):
        write_files(tmp_path, {"a/b.py": ""})


@pytest.mark.neighbours("numpy")
def test_the_fixture_writes_trees_of_their_own_and_leaves_nothing(suite: Any) -> None:
    run = suite.run(
        """
        import importlib.metadata, sys

        def test_two_roots_do_not_mix(make_package, tmp_path):
            first = make_package({"mpone.py": "value = 1"})
            second = make_package({"mptwo.py": "value = 2"}, root="other")
            assert (first, second) == (tmp_path / "packages", tmp_path / "other")
            assert sys.path[:2] == [str(second), str(first)]
            import mpone, mptwo
            assert (mpone.value, mptwo.value) == (1, 2)

        def test_an_extension_package_is_shadowed_and_comes_back(make_package):
            import numpy
            make_package({"numpy/__init__.py": "value = 1"}, shadow=True)
            for _ in range(2):
                sys.modules.pop("numpy", None)
                import numpy
                assert numpy.value == 1

        def test_archives_and_distributions(make_package):
            for value in (1, 2):
                make_package({"mpzip.py": f"value = {value}"}, zip=True, root=f"zip{value}",
                    distribution="mp", entry_points={"mp": {"it": "mpzip:value"}}, shadow=True)
                (point,) = {p for p in importlib.metadata.entry_points(group="mp")}
                assert point.load() == value

        def test_nothing_is_left():
            import numpy
            assert numpy.array([1]).sum() == 1
            assert not [name for name in sys.modules if name.startswith("mp")]
            assert not importlib.metadata.entry_points(group="mp")
        """,
    )
    assert run.outcomes == {"passed": 4}
    assert [leak for leak in run.leaks if not leak["contained"]] == []
