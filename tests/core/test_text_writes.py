"""Whether a text changes the import system itself, or only looks at it."""

from __future__ import annotations

import pytest

from pytest_import_isolation.parking.text_writes import writes

_LOOKS = [
    "assert finder in sys.meta_path",
    "assert sys.meta_path[0] is not finder",
    "assert [f for f in sys.meta_path if f is finder] == []",
    "before = list(sys.meta_path), sys.meta_path[:], [*sys.meta_path], sys.meta_path.copy()",
    "for finder in sys.meta_path: print(finder)",
    "assert sys.meta_path.count(finder) == len(sys.meta_path) and before == sys.meta_path",
    "print(f'{sys.meta_path}')",
]
_CHANGES = [
    "sys.meta_path.append(finder)",
    "sys.meta_path = []",
    "sys.meta_path += [finder]",
    "sys.meta_path[:] = []",
    "del sys.meta_path[0]",
    "from sys import meta_path",
    "finders = sys.meta_path",
    "helper(sys.meta_path)",
    "helper(*sys.meta_path)",
    "monkeypatch.setattr(sys, 'meta_path', [])",
    "mock.patch('sys.meta_path', [])",
    "exec('import sys; sys.meta_path.clear()')",
    "sys.meta_path.list(finder)",
    "cannot be parsed: sys.meta_path",
]


@pytest.mark.parametrize("what", ["meta_path", "path_hooks", "path", "path_importer_cache"])
@pytest.mark.parametrize("text", _LOOKS)
def test_a_text_that_looks_at_a_list(text: str, what: str) -> None:
    assert not writes(text.replace("meta_path", what), what)


@pytest.mark.parametrize("what", ["meta_path", "path_hooks", "path", "path_importer_cache"])
@pytest.mark.parametrize("text", _CHANGES)
def test_a_text_that_may_change_a_list(text: str, what: str) -> None:
    assert writes(text.replace("meta_path", what), what)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("__import__('json')", False),
        ("assert builtins.__import__ is before", False),
        ("before = builtins.__import__", False),
        ("builtins.__import__ = before", True),
        ("del builtins.__import__", True),
        ("monkeypatch.setattr(builtins, '__import__', before)", True),
        ("from builtins import __import__", True),
        ("print(1)", False),
    ],
)
def test_a_text_that_replaces_the_import_function(text: str, expected: bool) -> None:
    assert writes(text, "import_function") is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("site.addsitedir(folder)", True),
        ("from site import addsitedir", True),
        ("monkeypatch.syspath_prepend(folder)", True),
        ("os.path.join(folder, 'a path')", False),
        ("tmp_path.joinpath('sys')", False),
    ],
)
def test_other_ways_to_the_path(text: str, expected: bool) -> None:
    assert writes(text, "path") is expected
