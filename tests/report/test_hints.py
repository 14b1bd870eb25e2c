"""The texts that a failing test or file is given, as literals."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from textwrap import dedent
from types import ModuleType
from typing import Any

import pytest

from pytest_import_isolation.leaks.hints import (
    SOFT_TITLE,
    TITLE,
    Met,
    executed_hint,
    guard_hint,
    hint,
    old_objects,
    state_of,
    title_of,
)
from pytest_import_isolation.report.records import Exposure, Leak, Location, Polluter, make_leak

_BY = Polluter("test_a.py::test_a", "call")
_CONTAIN = "To contain it, run pytest with --isolate-imports=file, or change the file that left it:"
_WORDS = (
    "The words are explained at https://github.com/pytest-import-isolation/pytest-import-isolation/blob/main/"
    "docs/reference/glossary.md"
)
_FAKES = (
    "Fake it for the tests that need it only: mark them with "
    '@pytest.mark.isolated_imports(fakes={"%s": {...}}), or use the fake_module fixture.'
)


def _met(
    name: str,
    kind: str = "fake-left",
    *,
    line: int = 3,
    through_file: bool = False,
    touched: bool = True,
    failures: int = 0,
    **parts: Any,
) -> Met:
    leak = make_leak(kind, name, _BY, "What happened.", **parts)
    exposure = Exposure("test_b.py::t", "call", "test_b.py", line, "failed")
    return Met(leak, exposure, through_file, f"<{name}>", touched, failures)


@pytest.fixture
def entries() -> Iterator[dict[str, Any]]:
    """``sys.modules``, of which entries below ``hinted`` are taken out after the test."""
    yield sys.modules
    for name in [name for name in sys.modules if name.startswith("hinted")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("location", "place"),
    [
        (None, ""),
        (Location("test_a.py", 5, exact=True), ", at test_a.py:5"),
        (Location("test_a.py", 5, exact=False), ", probably at test_a.py:5"),
    ],
)
def test_one_leak(location: Location | None, place: str) -> None:
    assert hint([_met("torchy", location=location)]) == "\n".join(
        [
            "torchy: <torchy>.",
            f"    fake-left by test_a.py::test_a (call){place}",
            "    imported here at test_b.py:3",
            _CONTAIN,
            f"    {_FAKES % 'torchy'}",
            _WORDS,
        ]
    )


@pytest.mark.parametrize("kind", ["tainted", "name-clash", "reloaded"])
def test_kinds_that_need_it_are_explained(kind: str) -> None:
    assert hint([_met("torchy", kind)]).splitlines()[3] == "    What happened."


def test_two_leaks_are_explained_and_the_others_named() -> None:
    text = hint([_met(f"m{number}", line=number) for number in range(1, 10)])
    assert text == dedent(f"""\
        m1: <m1>.
            fake-left by test_a.py::test_a (call)
            imported here at test_b.py:1
        m2: <m2>.
            fake-left by test_a.py::test_a (call)
            imported here at test_b.py:2
        ... and 7 more leaked names: m3, m4, m5, m6, m7, m8, ...
        {_CONTAIN}
            {_FAKES % "m1"}
        {_WORDS}""")


def test_what_the_failure_touches_comes_first_then_what_was_imported_here_then_the_fake_itself() -> None:
    met = [
        _met("far", through_file=True, touched=False),
        _met("keeper", "tainted", touched=False),
        _met("rare", touched=False, failures=1),
        _met("near", touched=False, failures=2),
        _met("named.sub", through_file=True),
    ]
    assert title_of(met) == TITLE
    text = hint(met)
    assert [line for line in text.splitlines() if line.endswith(">.")] == [
        "named.sub: <named.sub>.",
        "near: <near>.",
    ]
    assert "... and 3 more leaked names: rare, keeper, far" in text
    assert text.endswith(f"{_FAKES % 'named.sub'}\n{_WORDS}")


def test_where_the_failure_touches_nothing_the_section_is_softer() -> None:
    met = [_met("torchy", touched=False)]
    assert title_of(met) == SOFT_TITLE
    assert "may matter" in SOFT_TITLE
    assert hint(met).splitlines()[:2] == [
        "Neither the traceback nor the error touches what had been changed.",
        "torchy: <torchy>.",
    ]


def test_a_kind_that_is_no_change_of_a_module_is_told_with_its_sentence() -> None:
    met = _met("path", "path-added")
    assert hint([met]).splitlines()[0] == "path: What happened."
    assert "<path>" not in hint([met])


@pytest.mark.parametrize(
    ("polluter", "ends_with_file", "option"),
    [
        ("test_a.py::t", None, "--isolate-imports=file"),
        ("test_a.py", None, "--isolate-imports=file"),
        ("test_a.py::T", True, "--isolate-imports=file"),
        ("test_b.py::other", None, "--isolate-imports=test"),
        ("test_b.py::t", None, None),
        ("test_b.py::T", True, None),
        ("test_b.py", True, None),
        ("folder", False, None),
        ("", False, None),
        ("", None, None),
    ],
)
def test_an_option_is_named_only_where_it_cures(
    polluter: str, ends_with_file: bool | None, option: str | None
) -> None:
    met = _met("torchy")
    met = met._replace(
        leak=met.leak._replace(polluter=Polluter(polluter, "setup")), ends_with_file=ends_with_file
    )
    how = "To cure it:" if option is None else f"To contain it, run pytest with {option}, or change the file"
    (line,) = (line for line in hint([met]).splitlines() if line.startswith("To "))
    assert line.startswith(how)


def test_paths_are_those_that_the_user_sees() -> None:
    met = _met("torchy", location=Location("test_a.py", 5, exact=True)).seen_from(lambda path: f"../{path}")
    assert hint([met]).splitlines()[1:3] == [
        "    fake-left by ../test_a.py::test_a (call), at ../test_a.py:5",
        "    imported here at ../test_b.py:3",
    ]


def test_the_state_says_what_an_import_gives(entries: dict[str, Any]) -> None:
    assert state_of("hinted") == "sys.modules['hinted'] is nothing"
    entries["hinted"] = None
    assert state_of("hinted") == "sys.modules['hinted'] is None"
    entries["hinted"] = package = ModuleType("hinted")
    entries["hinted.sub"] = package.sub = ModuleType("hinted.sub")  # type: ignore[attr-defined]
    assert state_of("hinted.sub") == "sys.modules['hinted.sub'] is a bare ModuleType()"
    for name in ("hinted", "hinted.sub"):
        entries[name].__file__ = f"/{name}.py"
    package.sub = ModuleType("hinted.sub")  # type: ignore[attr-defined]
    package.sub.__file__ = "/hinted.sub.py"
    assert state_of("hinted.sub") == (
        "sys.modules['hinted.sub'] is the module of /hinted.sub.py, "
        "and 'hinted.sub' as an attribute of its package is another copy of it"
    )
    del entries["hinted.sub"].__file__
    del package.sub
    assert state_of("hinted.sub") == (
        "sys.modules['hinted.sub'] is a bare ModuleType(), "
        "and 'hinted.sub' as an attribute of its package is nothing"
    )


def _execute(name: str) -> ModuleType:
    module = ModuleType(name)
    exec("class Connection: pass\ndef connect(): pass\nlimit = 5", module.__dict__)
    return module


def test_objects_of_another_execution_are_found_in_the_file_that_holds_them(entries: dict[str, Any]) -> None:
    old, entries["hinted"] = _execute("hinted"), _execute("hinted")
    space = {
        "C": old.Connection,
        "connect": old.connect,
        "limit": old.limit,
        "new": entries["hinted"].connect,
    }
    assert list(old_objects("hinted", [("test_b", space)])) == ["test_b.C", "test_b.connect"]


def test_no_code_of_what_a_file_holds_is_run(entries: dict[str, Any]) -> None:
    class Lazy:
        @property  # type: ignore[misc]
        def __class__(self) -> Any:
            raise RuntimeError("not set up")

    class Meta(type):
        @property
        def __module__(cls) -> Any:  # type: ignore[override]
            raise RuntimeError("no module")

    class Odd(metaclass=Meta):
        pass

    def function() -> None:
        pass

    function.__module__ = 7  # type: ignore[assignment]
    entries["hinted"] = _execute("hinted")
    space = {"lazy": Lazy(), "Odd": Odd, "function": function, "len": len}
    assert list(old_objects("hinted", [("test_b", space)])) == []


def test_whoever_asserts_too_late_that_a_module_is_not_loaded_is_told_how() -> None:
    first = make_leak("loaded", "torch", _BY, "", location=Location("app.py", 2, exact=True))
    second = make_leak("loaded", "numpy", Polluter("", "configure"), "")
    assert guard_hint([first]) == dedent("""\
        torch was first imported by test_a.py::test_a (call), at app.py:2.
        To test as if nobody had imported it yet, mark the test:
            @pytest.mark.isolated_imports(unloaded="torch")""")
    assert guard_hint([first, second]).splitlines()[1:] == [
        "numpy was first imported by the test run (configure).",
        "To test as if nobody had imported it yet, mark the test:",
        '    @pytest.mark.isolated_imports(unloaded=["torch", "numpy"])',
    ]


def test_where_a_loaded_module_refers_to_what_should_be_absent_a_cold_view_is_advised() -> None:
    first = make_leak("loaded", "torch", _BY, "")
    assert guard_hint([first], ["app", "app.nets"]).splitlines()[1:] == [
        "app, app.nets refer to it and were executed before, so that importing them again proves nothing. "
        "To execute first-party modules anew, mark the test:",
        '    @pytest.mark.isolated_imports(unloaded="*")',
    ]


def test_who_imports_what_was_executed_before_is_told_how_to_execute_it_anew() -> None:
    first = make_leak("loaded", "app.views", _BY, "", location=Location("app/__init__.py", 9, exact=True))
    assert executed_hint([first]) == dedent("""\
        app.views was first executed by test_a.py::test_a (call), at app/__init__.py:9; to import it again executes nothing.
        If the test needs what that did, such as a registration, have it executed anew:
            @pytest.mark.isolated_imports(fresh="app.views")""")
    several = [make_leak("loaded", f"app.m{number}", _BY, "") for number in range(5)]
    assert executed_hint(several).splitlines()[2:] == [
        "app.m2 was first executed by test_a.py::test_a (call); to import it again executes nothing.",
        "... and 2 more modules",
        "If the test needs what that did, such as a registration, have it executed anew:",
        '    @pytest.mark.isolated_imports(fresh=["app.m0", "app.m1", "app.m2"])',
    ]


def test_a_leak_has_all_that_a_hint_says() -> None:
    leak: Leak = _met("torchy").leak
    assert (leak.severity, leak.advice) == ("error", _FAKES % "torchy")
