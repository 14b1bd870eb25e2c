from __future__ import annotations

from textwrap import dedent
from typing import Any

from pytest_import_isolation.report.records import Exposure, Leak, Location, Polluter, Report, make_leak
from pytest_import_isolation.report.text import render


def _leak(kind: str, name: str, nodeid: str = "test_a.py::test", **more: Any) -> Leak:
    return make_leak(kind, name, Polluter(nodeid, "call"), "Detail.")._replace(advice="Advice.", **more)


def _text(report: Report, **options: bool) -> str:
    return "\n".join(line.text for line in render(report, **options))


def _is(text: str, expected: str) -> None:
    assert text == dedent(expected).strip("\n")


def test_no_leaks() -> None:
    assert _text(Report()) == "no import leaks (0 first imports)"
    assert _text(Report((_leak("loaded", "wave"),))) == "no import leaks (1 first import)"
    assert [line.style for line in render(Report())] == ["good"]


def test_one_leak() -> None:
    leak = _leak("fake-left", "boto", location=Location("test_a.py", 3, exact=False))
    report = Report((leak, _leak("loaded", "wave")))
    _is(
        _text(report),
        """
        error: fake-left boto
            by test_a.py::test (call), probably at test_a.py:3
            Detail.
            Advice.
        import leaks: 1 error, 0 warnings (1 first import)
        """,
    )
    assert [line.style for line in render(report)] == ["error", "", "", "advice", "error"]


def test_the_worst_come_first_and_an_exact_place_is_said_without_probably() -> None:
    report = Report(
        (
            _leak("path-added", "/x", ""),
            _leak("reloaded", "app", location=Location("lib.py", 4, exact=True)),
            _leak(
                "removed",
                "app.db",
                exposed=(
                    Exposure("test_b.py", "call", "test_b.py", 1, "failed"),
                    Exposure("test_c.py", "call", "test_c.py", 1, "passed"),
                    Exposure("test_d.py", "call", "test_d.py", 1, "error"),
                ),
            ),
        )
    )
    _is(
        _text(report),
        """
        error: removed app.db
            by test_a.py::test (call)
            Detail.
            3 exposed, 2 failed
            Advice.
        warning: path-added /x
            by the test run (call)
            Detail.
            Advice.
        warning: reloaded app
            by test_a.py::test (call), at lib.py:4
            Detail.
            Advice.
        import leaks: 1 error, 2 warnings (0 first imports)
        """,
    )


def test_leaks_of_one_statement_are_told_together_and_those_of_several_files_apart() -> None:
    place = Location("test_a.py", 3, exact=False)
    report = Report(
        (
            _leak("fake-left", "aws", location=place),
            _leak("fake-left", "aws.s3", location=place._replace(line=5)),
            _leak("fake-left", "boto", location=place._replace(file="lib.py")),
            *(_leak("fake-left", f"m{number}", location=place._replace(line=number)) for number in range(9)),
        )
    )
    _is(
        _text(report),
        """
        error: fake-left aws, aws.s3, m0, m1, m2, m3, ...
            by test_a.py::test (call), probably at test_a.py:3, 5, 0, 1, 2, 4, 6, 7, ...
            Detail.
            Advice.
        error: fake-left boto
            by test_a.py::test (call), probably at lib.py:3
            Detail.
            Advice.
        import leaks: 12 errors, 0 warnings (0 first imports)
        """,
    )
    assert "m7, m8\n" in _text(report, verbose=True)


def test_many_leaks_are_counted_by_file_unless_it_is_verbose() -> None:
    leaks = [_leak("fake-left", f"m{n}", f"test_{n:02}.py::test") for n in range(20)]
    more = _leak("fake-left", "again", "test_15.py::other")
    report = Report((*leaks, more, _leak("fake-left", "run", "")))
    text = _text(report)
    assert text.count("error: fake-left") == 6
    _, _, rest = text.partition("... and ")
    _is(
        rest,
        """
        16 more leaks (-v shows all), by file:
               2 test_15.py
               1 test_06.py
               1 test_07.py
               1 test_08.py
               1 test_09.py
               1 test_10.py
               1 test_11.py
               1 test_12.py
               1 test_13.py
               1 test_14.py
        import leaks: 22 errors, 0 warnings (0 first imports)
        """,
    )
    verbose = _text(report, verbose=True)
    assert verbose.count("error: fake-left") == 22
    assert "more leak" not in verbose


def test_contained_changes_are_named_shortly_and_listed_if_verbose() -> None:
    report = Report(
        (
            *(_leak("fake-left", name, contained=True) for name in "abcde"),
            _leak("fake-left", "a", "test_b.py::test", contained=True),
            _leak("loaded", "wave", contained=True),
            _leak("fake-left", "accepted", allowed=True),
        )
    )
    _is(
        _text(report),
        """
        contained: 6 changes undone by isolation (fake-left a, fake-left b, fake-left c, fake-left d, ...)
        no import leaks (1 first import)
        """,
    )
    assert "\n  fake-left a, by test_b.py::test (call)\n" in _text(report, verbose=True)


def test_first_imports_are_listed_if_verbose_up_to_a_number() -> None:
    place = Location("app/user.py", 1, exact=True)
    report = Report(tuple(_leak("loaded", f"m{n}", location=place) for n in range(203)))
    lines = _text(report, verbose=True).splitlines()
    assert lines[0] == "first imports (203):"
    assert lines[1] == "  m0 by test_a.py::test (call), at app/user.py:1"
    assert lines[200] == "  m199 by test_a.py::test (call), at app/user.py:1"
    assert lines[201:] == [
        "  ... and 3 more, all of them in the file of --import-leak-file",
        "no import leaks (203 first imports)",
    ]
    assert _text(Report(), verbose=True) == "no import leaks (0 first imports)"


def test_an_incomplete_report_says_so_and_names_the_workers() -> None:
    report = Report((), complete=False, workers={"gw1": "sent no report (crashed)", "gw0": "ok"})
    _is(
        _text(report),
        """
        worker gw1: sent no report (crashed)
        this report is not complete: the run ended before everything was seen
        no import leaks seen (0 first imports)
        """,
    )
    assert [line.style for line in render(report)] == ["error", "error", "good"]


def test_warnings_alone_make_a_yellow_verdict() -> None:
    assert [line.style for line in render(Report((_leak("path-added", "/x"),)))][-1] == "warning"
