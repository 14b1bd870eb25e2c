from __future__ import annotations

from typing import Any

from pytest_import_isolation.report.annotations import annotate
from pytest_import_isolation.report.records import Exposure, Leak, Location, Polluter, Report, make_leak


def _leak(kind: str = "fake-left", name: str = "boto", nodeid: str = "test_a.py", **more: Any) -> Leak:
    return make_leak(kind, name, Polluter(nodeid, "collect"), "Detail.")._replace(advice="Advice.", **more)


def test_every_harmful_leak_has_one_line_at_its_statement() -> None:
    exposed = (Exposure("test_b.py", "collect", "test_b.py", 1, "failed"),)
    report = Report(
        (
            _leak("path-added", "/x", location=Location("conftest.py", 2, exact=False)),
            _leak(name="aws", location=Location("test_a.py", 3, exact=True), exposed=exposed),
            _leak(contained=True),
            _leak(allowed=True),
            _leak("loaded", "wave"),
            _leak("removed", "x", "test_a.py::test"),
            _leak("removed", "y", ""),
        )
    )
    assert list(annotate(report)) == [
        "::error file=test_a.py,line=3,title=import leak%3A fake-left aws::"
        "By test_a.py (collect). Detail. Exposed: 1, failed: 1. Advice.",
        "::error file=test_a.py,title=import leak%3A removed x::By test_a.py::test (collect). Detail. Advice.",
        "::error title=import leak%3A removed y::By the test run (collect). Detail. Advice.",
        "::warning file=conftest.py,line=2,title=import leak%3A path-added /x::"
        "Probably this statement, run by test_a.py (collect). Detail. Advice.",
    ]


def test_texts_are_escaped_as_github_reads_them() -> None:
    leak = _leak(name="a,b:c%d\ne", nodeid="te,st:\r.py", location=Location("C,:%\n.py", 1, exact=True))
    assert list(annotate(Report((leak,)))) == [
        "::error file=C%2C%3A%25%0A.py,line=1,title=import leak%3A fake-left a%2Cb%3Ac%25d%0Ae::"
        "By te,st:%0D.py (collect). Detail. Advice."
    ]


def test_files_are_named_from_the_root_of_the_repository() -> None:
    inside = _leak(location=Location("tests/test_a.py", 1, exact=True))
    outside = _leak(location=Location("/lib/x.py", 1, exact=True))
    lines = list(annotate(Report((inside, outside)), "backend"))
    assert "file=backend/tests/test_a.py," in lines[0]
    assert "file=/lib/x.py," in lines[1]


def test_as_many_as_github_shows_and_the_worst_of_them() -> None:
    met = Exposure("test_b.py", "collect", "test_b.py", 1, "passed")
    leaks = [
        *(_leak(name=f"m{n}") for n in range(12)),
        _leak(name="met", exposed=(met,)),
        _leak(name="worst", exposed=(met._replace(outcome="error"),)),
        *(_leak("path-added", f"/{n}") for n in range(12)),
    ]
    lines = list(annotate(Report(tuple(leaks))))
    assert [line.partition(" ")[0] for line in lines] == ["::error"] * 10 + ["::warning"] * 10
    titles = [line.partition("title=import leak%3A ")[2].partition("::")[0] for line in lines]
    assert titles[:3] == ["fake-left worst", "fake-left met", "fake-left m0"]
