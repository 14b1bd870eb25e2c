from __future__ import annotations

from textwrap import dedent
from typing import Any

import pytest

from pytest_import_isolation.report.lines import Line
from pytest_import_isolation.report.records import (
    Exposure,
    Leak,
    Link,
    Location,
    Polluter,
    Report,
    make_leak,
)
from pytest_import_isolation.report.text import render


def _leak(kind: str, name: str, nodeid: str = "test_a.py::test", **more: Any) -> Leak:
    return make_leak(kind, name, Polluter(nodeid, "call"), "Detail.")._replace(advice="Advice.", **more)


def _text(report: Report, **options: Any) -> str:
    return "\n".join(line.text for line in render(report, **options))


def _is(text: str, expected: str) -> None:
    assert text == dedent(expected).strip("\n")


def _exposure(nodeid: str, outcome: str = "failed") -> Exposure:
    return Exposure(nodeid, "call", nodeid.partition("::")[0], 1, outcome)


_MANY = Report(
    (
        *(_leak("fake-left", f"m{n}", f"test_{n:02}.py::test") for n in range(20)),
        _leak("fake-left", "again", "test_15.py::other"),
        _leak("blocked-left", "x", "test_15.py::other"),
        _leak("fake-left", "run", ""),
    )
)


def test_no_leaks() -> None:
    assert _text(Report()) == "no import leaks (0 first imports)"
    assert _text(Report((_leak("loaded", "wave"),))) == "no import leaks (1 first import)"
    assert [line.style for line in render(Report())] == ["good"]


def test_a_clean_run_names_the_guard_unless_it_is_guarded_or_was_interrupted() -> None:
    hinted = "no import leaks (0 first imports); --import-leak-fail keeps it so"
    assert _text(Report(), guards=False) == hinted
    assert "--import-leak-fail" not in _text(Report(complete=False), guards=False)
    assert "--import-leak-fail" not in _text(Report((_leak("removed", "x"),)), guards=False)


def test_beside_a_failure_that_nothing_explains_nothing_is_promised() -> None:
    seen = "no import leaks seen (0 first imports)"
    assert _text(Report(), guards=False, is_explained=False) == seen
    assert _text(Report(), is_explained=False, verbosity=-1) == seen
    allowed = Report((_leak("removed", "x", allowed=True),))
    last = _text(allowed, guards=False, is_explained=False).splitlines()[-1]
    assert last == "no import leaks seen except the allowed ones (0 first imports)"
    leaks = Report((_leak("removed", "x"),))
    assert _text(leaks, is_explained=False) == _text(leaks)


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
            _leak("removed", "unmet", "test_z.py"),
            _leak("removed", "met", "test_y.py", exposed=(_exposure("test_d.py::test", "passed"),)),
            _leak(
                "removed",
                "app.db",
                exposed=(
                    _exposure("test_b.py::test", "passed"),
                    _exposure("test_c.py::test", "failed"),
                    _exposure("test_d.py", "error"),
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
            exposed: 3, of these 2 failed, first: test_c.py::test
            Advice.
        error: removed met
            by test_y.py (call)
            Detail.
            exposed: test_d.py::test (passed)
            Advice.
        error: removed unmet
            by test_z.py (call)
            Detail.
            Advice.
        warning: path-added /x
            by the test run (call)
            Detail.
            Advice.
        warning: reloaded app
            by test_a.py::test (call), at lib.py:4
            Detail.
            Advice.
        import leaks: 3 errors, 2 warnings (0 first imports)
        """,
    )


def test_somebody_who_met_a_leak_several_times_counts_once_and_a_failure_wins() -> None:
    leaks = [
        _leak(
            "fake-left",
            name,
            exposed=(_exposure("test_b.py::test", outcome), _exposure("test_c.py", "passed")),
        )
        for name, outcome in (("aws", "passed"), ("aws.s3", "failed"))
    ]
    assert "    exposed: 2, of these 1 failed, first: test_b.py::test\n" in _text(Report(tuple(leaks)))
    assert "    exposed: 2, none failed, first: test_b.py::test\n" in _text(Report((leaks[0],)))
    verbose = _text(Report((leaks[1],)), verbosity=1)
    assert "        test_b.py::test (call) at test_b.py:1: failed\n" in verbose
    assert "        test_c.py (call) at test_c.py:1: passed\n" in verbose


def test_a_leak_through_a_helper_names_the_helper() -> None:
    at = Location("tests/test_a.py", 3, exact=True)
    chain = (Link("stubs", "tests/test_a.py", 3), Link("stubs.deep", "stubs.py", 7))
    leak = _leak("fake-left", "boto", location=at, chain=chain)
    assert "    by test_a.py::test (call), at tests/test_a.py:3, through stubs.py:7\n" in _text(
        Report((leak,))
    )
    verbose = _text(Report((leak,)), verbosity=1)
    assert "    by way of tests/test_a.py:3 > stubs.py:7\n" in verbose
    alone = leak._replace(location=None)
    assert "    by test_a.py::test (call), through stubs.py:7\n" in _text(Report((alone,)))
    same = leak._replace(chain=(chain[0],))
    assert "through" not in _text(Report((same,)))
    assert "by way of" not in _text(Report((same,)), verbosity=1)


def test_leaks_of_one_kind_and_file_are_told_together() -> None:
    place = Location("test_a.py", 3, exact=True)
    report = Report(
        (
            _leak("fake-left", "aws", location=place),
            _leak("fake-left", "aws.s3", "test_a.py::other", location=place._replace(line=5, exact=False)),
            _leak("fake-left", "boto", location=place._replace(file="lib.py"), detail="Another."),
            *(_leak("fake-left", f"m{number}", location=place._replace(line=number)) for number in range(15)),
            _leak("fake-left", "aws", "test_b.py"),
        )
    )
    _is(
        _text(report),
        """
        error: fake-left aws, aws.s3, boto, m0, m1, m2, m3, m4, m5, m6, m7 and 7 more
            by test_a.py::test (call) and 1 more of this file, probably at test_a.py:3,
                5, 0, 1, 2, 4, ..., lib.py:3
            aws: Detail.
            Advice.
        error: fake-left aws
            by test_b.py (call)
            Detail.
            Advice.
        import leaks: 19 errors, 0 warnings (0 first imports)
        """,
    )
    verbose = _text(report, verbosity=1)
    assert "error: fake-left boto\n    by test_a.py::test (call), at lib.py:3\n    Another.\n" in verbose
    assert "m13, m14\n" in verbose
    assert "more" not in verbose


def test_many_leaks_are_told_on_one_screen_and_counted_by_file_unless_it_is_verbose() -> None:
    text = _text(_MANY)
    _is(
        text,
        """
        error: fake-left m0
            by test_00.py::test (call)
            Detail.
            Advice.
        error: fake-left m1
            by test_01.py::test (call)
        error: fake-left m2
            by test_02.py::test (call)
        error: fake-left m3
            by test_03.py::test (call)
        error: fake-left m4
            by test_04.py::test (call)
        error: fake-left m5
            by test_05.py::test (call)
        error: fake-left m6
            by test_06.py::test (call)
        ... and 16 more leaks, by file:
               3 test_15.py
               1 test_07.py
               1 test_08.py
               1 test_09.py
              10 in 10 more files
        import leaks: 23 errors, 0 warnings (0 first imports); -v shows all
        """,
    )
    assert text.count("\n") + 2 <= 24  # with the rule above it
    verbose = _text(_MANY, verbosity=1)
    assert verbose.count("error: fake-left") == 22
    assert "more leak" not in verbose
    assert "-v shows all" not in verbose


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_thousand_leaks_fit_on_a_screen(width: int) -> None:
    leaks = [
        make_leak(
            "fake-left", f"package{n}.module", Polluter(f"tests/test_{n % 100}.py::test_{n}", "call"), "D."
        )
        for n in range(1000)
    ]
    notes = [Line("unused: x")] * 3
    worker = {"gw0": "sent no report"}
    report = Report((*leaks, _leak("removed", "x", contained=True)), complete=False, workers=worker)
    assert len(list(render(report, width=width, notes=notes))) + 1 <= 24


def test_lines_are_broken_between_words_and_code_stays_in_one_piece() -> None:
    leak = make_leak(
        "fake-left", "boto", Polluter("tests/test_a.py::test_with_a_long_name[a b]", "call"), "Gone."
    )
    _is(
        _text(Report((leak,)), width=61),
        """
        error: fake-left boto
            by tests/test_a.py::test_with_a_long_name[a b] (call)
            Gone.
            Fake it for the tests that need it only: mark them with
                @pytest.mark.isolated_imports(fakes={"boto": {...}}),
                or use the fake_module fixture.
        import leaks: 1 error, 0 warnings (0 first imports)
        """,
    )
    narrow = [line.text for line in render(Report((leak,)), width=30)]
    assert "        tests/test_a.py::test_with_a_long_name[a" in narrow  # too long in any case
    for start in ("see (this", "see f(this"):  # never closed
        lines = _text(Report(), notes=[Line(f"{start} {'x' * 90}")]).splitlines()
        assert lines[:-1] == [start, "    " + "x" * 90]


def test_names_that_do_not_fit_are_counted() -> None:
    report = Report(tuple(_leak("fake-left", name) for name in ("alpha", "beta", "gamma", "alpha")))
    alone = Report((_leak("fake-left", "x" * 90),))
    assert _text(alone).startswith(f"error: fake-left {'x' * 90}\n")
    for width, line in {
        35: "error: fake-left alpha, beta, gamma",
        34: "error: fake-left alpha and 2 more",
        10: "error: fake-left alpha and 2 more",
    }.items():
        assert _text(report, verbosity=-1, width=width).startswith(f"{line} by ")


def test_contained_and_allowed_changes_are_named_shortly_and_listed_if_verbose() -> None:
    report = Report(
        (
            *(_leak("fake-left", name, contained=True) for name in "abcde"),
            _leak("fake-left", "a", "test_b.py::test", contained=True),
            _leak("loaded", "wave", contained=True),
            _leak("fake-left", "accepted", allowed=True),
        )
    )
    _is(
        _text(report, width=200),
        """
        contained: 6 changes undone by isolation (fake-left a, fake-left b, fake-left c, fake-left d, ...)
        allowed: 1 change (fake-left accepted)
        no import leaks except the allowed ones (1 first import)
        """,
    )
    verbose = _text(report, verbosity=1)
    assert "\n  fake-left a, by test_b.py::test (call)\n" in verbose
    assert "\n  fake-left accepted, by test_a.py::test (call)\n" in verbose


def test_first_imports_are_listed_if_it_is_very_verbose() -> None:
    place = Location("app/user.py", 1, exact=True)
    report = Report(tuple(_leak("loaded", f"m{n}", location=place) for n in range(203)))
    lines = _text(report, verbosity=2).splitlines()
    assert lines[0] == "first imports (203):"
    assert lines[1] == "  m0 by test_a.py::test (call), at app/user.py:1"
    assert lines[203:] == [
        "  m202 by test_a.py::test (call), at app/user.py:1",
        "no import leaks (203 first imports)",
    ]
    assert _text(report, verbosity=1) == "no import leaks (203 first imports); -vv lists first imports"
    assert _text(Report(), verbosity=1) == _text(Report(), verbosity=2) == "no import leaks (0 first imports)"


def test_advice_is_given_once_for_each_group_if_verbose() -> None:
    place = Location("test_a.py", 3, exact=True)
    report = Report(
        (
            _leak("fake-left", "aws", "test_a.py::one", location=place),
            _leak("fake-left", "boto", "test_a.py::two", location=place._replace(line=5)),
            _leak("fake-left", "boto", "test_b.py::two"),
        )
    )
    _is(
        _text(report, verbosity=1),
        """
        error: fake-left aws
            by test_a.py::one (call), at test_a.py:3
            Detail.
            Advice.
        error: fake-left boto
            by test_a.py::two (call), at test_a.py:5
            Detail.
        error: fake-left boto
            by test_b.py::two (call)
            Detail.
            Advice.
        import leaks: 3 errors, 0 warnings (0 first imports)
        """,
    )


def test_nobody_is_told_twice_to_be_exposed() -> None:
    met = (_exposure("test_b.py::test"), _exposure("test_c.py::test", "passed"))
    report = Report(
        (
            _leak("fake-left", "aws", "test_a.py::one", exposed=met),
            _leak("fake-left", "boto", "test_a.py::two", exposed=met),
            _leak("fake-left", "cloud", "test_a.py::three", exposed=met[:1]),
        )
    )
    _is(
        _text(report, verbosity=1),
        """
        error: fake-left aws
            by test_a.py::one (call)
            Detail.
            exposed: 2, of these 1 failed:
                test_b.py::test (call) at test_b.py:1: failed
                test_c.py::test (call) at test_c.py:1: passed
            Advice.
        error: fake-left boto
            by test_a.py::two (call)
            Detail.
            exposed: 2, of these 1 failed: the same as above
        error: fake-left cloud
            by test_a.py::three (call)
            Detail.
            exposed: test_b.py::test (call) at test_b.py:1: failed
        import leaks: 3 errors, 0 warnings (0 first imports)
        """,
    )


@pytest.mark.parametrize("kind", ["reloaded", "tainted", "replaced", "stale-attribute", "name-clash"])
def test_a_sentence_that_is_the_message_is_never_left_out(kind: str) -> None:
    leaks = [
        _leak(kind, f"m{n}", f"test_{n:02}.py::test", severity="error")._replace(detail=f"Held by {n}.")
        for n in range(20)
    ]
    leaks.append(leaks[0]._replace(detail="Held by another."))
    lines = _text(Report(tuple(leaks))).splitlines()
    told = [at for at, line in enumerate(lines) if line.startswith("error: ")]
    assert len(told) > 4
    assert all(lines[at + 2].startswith("    Held by ") for at in told)
    verbose = _text(Report(tuple(leaks)), verbosity=1)
    assert all(f"    {leak.detail}\n" in verbose for leak in leaks)


def test_what_explains_most_failures_is_named_first_in_its_group() -> None:
    quiet = [_leak("fake-left", f"m{n}") for n in range(30)]
    needed = _leak("fake-left", "needed", exposed=(_exposure("test_b.py::test"),))._replace(detail="Needed.")
    text = _text(Report((*quiet, needed, quiet[0])))
    assert text.startswith("error: fake-left needed, m0, m1,")
    assert "\n    needed: Needed.\n" in text


def test_a_leak_that_stands_for_many_says_how_many() -> None:
    leak = _leak("fake-left", "boto", location=Location("conftest.py", 3, exact=True), count=122)
    first = "by test_a.py::test (call), the first of 122 such changes, at conftest.py:3"
    assert f"    {first}\n" in _text(Report((leak,)))
    other = _leak("fake-left", "aws", "test_a.py::other")
    assert "by test_a.py::test (call) and 1 more of this file, 123 changes in all, at" in _text(
        Report((leak, other)), width=200
    )


def test_an_incomplete_report_says_so_and_names_the_workers() -> None:
    report = Report((), complete=False, workers={"gw1": "sent no report (crashed)", "gw0": "ok"})
    expected = """
        worker gw1: sent no report (crashed)
        this report is not complete: the run ended before everything was seen
        no import leaks seen (0 first imports)
        """
    _is(_text(report), expected)
    _is(_text(report, verbosity=-1), expected)
    _is(_text(report, verbosity=-2), expected.rpartition("no import")[0])
    assert [line.style for line in render(report)] == ["error", "error", "good"]


def test_warnings_alone_make_a_yellow_verdict() -> None:
    assert [line.style for line in render(Report((_leak("path-added", "/x"),)))][-1] == "warning"


def test_quiet_is_a_line_for_the_worst_leaks_and_the_verdict() -> None:
    place = Location("test_a.py", 3, exact=True)
    report = Report(
        (
            _leak("fake-left", "aws", location=place),
            _leak("fake-left", "boto", location=place),
            _leak("path-added", "/x"),
            _leak("fake-left", "accepted", allowed=True),
        )
    )
    verdict = "import leaks: 2 errors, 1 warning (0 first imports)"
    line = "error: fake-left aws, boto by test_a.py::test (call), at test_a.py:3"
    assert _text(report, verbosity=-1) == f"{line}\n{verdict}"
    assert _text(report, verbosity=-2) == verdict
    met = report._replace(leaks=(report.leaks[0]._replace(exposed=(_exposure("test_b.py::test"),)),))
    assert "test_a.py:3; exposed: test_b.py::test (failed)\n" in _text(met, verbosity=-1)
    assert _text(Report(), verbosity=-2) == ""
    assert _text(_MANY, verbosity=-1).splitlines() == [
        "error: fake-left m0 by test_00.py::test (call)",
        "import leaks: 23 errors, 0 warnings (0 first imports)",
    ]
    undone = Report((_leak("path-added", "/x"), _leak("removed", "x", contained=True)))
    assert _text(undone, verbosity=-1).splitlines() == [
        "warning: path-added /x by test_a.py::test (call)",
        "import leaks: 0 errors, 1 warning, 1 contained (0 first imports)",
    ]
    clean = undone._replace(leaks=undone.leaks[1:])
    assert _text(clean, verbosity=-1) == "no import leaks, 1 contained (0 first imports)"
