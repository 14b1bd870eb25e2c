from __future__ import annotations

import ast
from textwrap import dedent

import pytest

from pytest_import_isolation.leaks import guessed_lines
from pytest_import_isolation.leaks.guessed_lines import guess_line
from pytest_import_isolation.machinery.syntax import parsed

_SHAPES = {
    "assignment": ('sys.modules["boto"] = 1', "modules"),
    "chained assignment": ('fake = sys.modules["boto"] = 1', "modules"),
    "annotated": ('sys.modules["boto"]: object = 1', "modules"),
    "setdefault": ('sys.modules.setdefault("boto", 1)', "modules"),
    "update": ('sys.modules.update({"boto": 1})', "modules"),
    "setitem": ('monkeypatch.setitem(sys.modules, "boto", 1)', "modules"),
    "delitem": ('monkeypatch.delitem(sys.modules, "boto")', "modules"),
    "delete": ('del sys.modules["boto"]', "modules"),
    "pop": ('old = sys.modules.pop("boto")', "modules"),
    "patch.dict": ('with mock.patch.dict(sys.modules, {"boto": 1}):\n        pass', "modules"),
    "patch.dict by name": ('with patch.dict("sys.modules", {"boto": 1}):\n        pass', "modules"),
    "started patch": ('patch.dict("sys.modules", {"boto": 1}).start()', "modules"),
    "other spelling": ('modules = __import__("sys").modules; mock.modules["boto"] = 1', "modules"),
    "return": ('return sys.modules.setdefault("boto", 1)', "modules"),
    "insert": ('sys.path.insert(0, "boto")', "path"),
    "append": ('sys.path.append("boto")', "path"),
    "extend": ('sys.path.extend(["boto"])', "path"),
    "augmented": ('sys.path += ["boto"]', "path"),
    "slice": ('sys.path[:0] = ["boto"]', "path"),
    "remove": ('sys.path.remove("boto")', "path"),
    "rebound": ('sys.path = ["boto"]', "path"),
    "syspath_prepend": ('monkeypatch.syspath_prepend("boto")', "path"),
    "finder": ('sys.meta_path.insert(0, "boto")', "meta_path"),
    "hook": ('sys.path_hooks.append("boto")', "path_hooks"),
}


@pytest.mark.parametrize("shape", list(_SHAPES))
def test_every_shape_of_a_write_is_found_among_others(shape: str) -> None:
    statement, container = _SHAPES[shape]
    source = f"""\
import sys
def function(monkeypatch):
    sys.{container}["other"] = 2
    print(sys.{container}, "boto")
    {statement}
    sys.{container}["another"] = 2
"""
    assert guess_line(source, container, "boto") == 5


def _guess(text: str, name: str = "boto", lines: range | None = None) -> int | None:
    return guess_line(dedent(text).lstrip("\n"), "modules", name, lines)


def test_reading_is_no_writing() -> None:
    assert _guess('x = sys.modules["boto"]\nassert "boto" in sys.modules\nsys.modules.get("boto")\n') is None
    assert _guess("sys.path.append('boto')\n") is None
    assert _guess("modules = 'boto'\n") is None


def test_a_single_write_under_a_variable_is_told_and_several_are_not() -> None:
    loop = 'for name in ("boto", "aws"):\n    sys.modules[name] = 1\n'
    assert _guess(loop) == 2
    assert _guess(f"{loop}sys.modules[other] = 2\n") == 2  # the loop says the name
    assert _guess(f"{loop}sys.modules[other] = 2\n", "unknown") is None
    assert _guess(f"{loop}sys.modules['boto'] = 2\n") == 3


def test_the_lines_of_the_test_go_before_the_rest_of_the_file() -> None:
    text = """
        sys.modules["boto"] = 1

        def test_it():
            sys.modules["boto"] = 2

        def helper():
            sys.modules["aws"] = 1
    """
    assert _guess(text) == 1
    assert _guess(text, lines=range(3, 5)) == 4
    assert _guess(text, "aws", lines=range(3, 5)) == 7
    # The only one that writes there says another name; a variable may hold any.
    assert _guess(text, "unknown", lines=range(3, 5)) is None
    assert _guess(text.replace('"boto"] = 2', "name] = 2"), "unknown", lines=range(3, 5)) == 4
    assert _guess(text, "unknown") is None
    assert _guess(text, "unknown", lines=range(100, 200)) is None


def test_of_several_statements_that_name_it_the_first_is_told() -> None:
    assert _guess('if a:\n    sys.modules["boto"] = 1\nelse:\n    sys.modules["boto"] = 2\n') == 2


@pytest.mark.parametrize("source", ["", "def broken(:", "x = '\0'", "pass"])
def test_a_text_without_an_answer_gives_none(source: str) -> None:
    assert guess_line(source, "modules", "boto") is None


def test_only_an_assignment_puts_another_object_there() -> None:
    source = "import sys\n\ndel sys.path_importer_cache['a']\n"
    assert guess_line(source, "path_importer_cache", "sys.path_importer_cache") is None
    source += "sys.path_importer_cache = {}\n"
    assert guess_line(source, "path_importer_cache", "sys.path_importer_cache") == 4


def test_a_text_is_parsed_once_for_all_names(monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []

    def parse(source: str) -> ast.Module | None:
        texts.append(source)
        return parsed(source)

    monkeypatch.setattr(guessed_lines, "parsed", parse)
    source = 'import sys\n\n\ndef test_once_for_all():\n    sys.modules["a"] = sys.modules["b"] = 1\n'
    assert [guess_line(source, "modules", name) for name in ("a", "b", "a", "c")] == [5, 5, 5, None]
    assert texts == [source]
