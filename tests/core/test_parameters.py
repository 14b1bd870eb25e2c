from __future__ import annotations

from pathlib import Path

import pytest

from pytest_import_isolation.errors import ParameterError
from pytest_import_isolation.window.parameters import Parameters, check_path


def test_parameters_of_an_inner_scope_add_up_with_those_outside() -> None:
    outer = Parameters.parse(
        "outer",
        {"fresh": "a", "missing": ["m", "n"], "fakes": {"f": 1, "g": 2}, "path": ["/x", "/y"], "keep": "k"},
    )
    inner = Parameters.parse(
        "inner",
        {"fresh": ["b", "a"], "unloaded": "u*", "fakes": {"f": 3}, "path": ["/y", "/z"], "missing": "m"},
    )
    both = inner.under(outer)
    assert both.fresh.texts == ("b", "a")
    assert both.unloaded.texts == ("u*",)
    assert both.missing.texts == ("m", "n")
    assert both.fakes == {"f": 3, "g": 2}
    assert both.path == ("/y", "/z", "/x")
    assert both.keep.texts == ("k",)
    assert outer.fakes == {"f": 1, "g": 2}


def test_no_parameters_are_empty() -> None:
    parsed = Parameters.parse("x", {})
    assert not any(parsed)
    assert Parameters.parse("x", {"fakes": None}).fakes == {}


@pytest.mark.parametrize(
    ("given", "expected"), [("x", ("x",)), (Path("/a"), ("/a",)), ([b"b", ""], ("b", "")), ((), ())]
)
def test_path_entries_stay_as_they_are(given: object, expected: tuple[str, ...]) -> None:
    assert check_path(given, "path") == expected


def test_the_message_names_whom_the_parameter_was_given_to() -> None:
    with pytest.raises(ParameterError) as caught:
        Parameters.parse("@isolated_imports", {"mising": "x"})
    assert str(caught.value) == (
        "@isolated_imports has no parameter 'mising' (did you mean 'missing'?); "
        "it takes fresh, unloaded, missing, fakes, path, keep, distributions, finders, path_hooks"
    )
