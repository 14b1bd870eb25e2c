from __future__ import annotations

from typing import Any

import pytest

from pytest_import_isolation.errors import ImportIsolationError, ParameterError, PatternError
from pytest_import_isolation.patterns import Patterns, check_module_name


@pytest.mark.parametrize(
    ("patterns", "name", "expected"),
    [
        ("numpy", "numpy", "numpy"),
        ("numpy", "numpy.linalg.lapack", "numpy"),
        ("numpy", "numpylike", None),
        ("numpy.linalg", "numpy", None),
        (["a", "a.b"], "a.b.c", "a.b"),
        ("app.plugins.*", "app.plugins", None),
        ("app.plugins.*", "app.plugins.one.two", "app.plugins.*"),
        ("*", "anything.at.all", "*"),
        ("app.?", "app.x", "app.?"),
        ("app.[ab]", "app.b", "app.[ab]"),
        ("app.[ab]", "app.c", None),
        ("App*", "app", None),
        (["x*", "numpy"], "numpy.core", "numpy"),
        ((), "x", None),
        ("*", 7, None),
        ("*", None, None),
    ],
)
def test_a_name_covers_its_submodules_and_a_glob_what_it_matches(
    patterns: Any, name: object, expected: str | None
) -> None:
    assert Patterns(patterns).match(name) == expected


def test_patterns_are_a_value() -> None:
    patterns = Patterns(iter(["a", "b.*"]))
    assert list(patterns) == ["a", "b.*"]
    assert repr(patterns) == "Patterns(['a', 'b.*'])"
    assert patterns
    assert not Patterns()


def test_adding_patterns_keeps_the_order_and_repeats_nothing() -> None:
    assert (Patterns(["a", "b"]) + Patterns(["b", "c*"])).texts == ("a", "b", "c*")


@pytest.mark.parametrize(
    ("patterns", "error", "message"),
    [
        (None, ParameterError, "keep: expected a pattern or a list of patterns, not NoneType (None)"),
        (
            [None],
            ParameterError,
            "keep: a pattern is a string such as 'numpy' or 'myapp.plugins.*', not NoneType (None)",
        ),
        ("", PatternError, "keep: '' is no module name; give a dotted name such as 'package.module'"),
        ("a..b", PatternError, "keep: 'a..b' is no module name; give a dotted name such as 'package.module'"),
        (".a", PatternError, "keep: '.a' is relative; give the absolute name, such as 'package.module'"),
        (
            "my-app",
            PatternError,
            "keep: 'my-app' is no module name; give a dotted name such as 'package.module'",
        ),
        (
            ".a*",
            PatternError,
            "keep: '.a*' is no usable glob; it is matched against absolute module names, as in 'myapp.plugins.*'",
        ),
    ],
)
def test_a_pattern_that_can_match_nothing_is_refused(
    patterns: Any, error: type[ImportIsolationError], message: str
) -> None:
    with pytest.raises(error) as caught:
        Patterns(patterns, "keep")
    assert str(caught.value) == message


def test_a_module_name_is_checked() -> None:
    assert check_module_name("a.b_1", "fake_module") == "a.b_1"
    with pytest.raises(ParameterError, match=r"^fake_module: a module name is a string, not bytes \(b'a'\)$"):
        check_module_name(b"a", "fake_module")


def test_the_covered_among_many_names_come_with_their_patterns() -> None:
    names = ["a", "ab", "a.b", "b.c", 1, None, "z.plugins.x"]
    assert list(Patterns(["b.c", "a"]).covered(names)) == [("a", "a"), ("a.b", "a"), ("b.c", "b.c")]
    assert list(Patterns(["a", "*.plugins.*"]).covered(names)) == [
        ("a", "a"),
        ("a.b", "a"),
        ("z.plugins.x", "*.plugins.*"),
    ]
    assert list(Patterns().covered(names)) == []
