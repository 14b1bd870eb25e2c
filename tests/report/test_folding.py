from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_import_isolation.report.folding import fold
from pytest_import_isolation.report.merging import merge
from pytest_import_isolation.report.records import (
    Exposure,
    Leak,
    Location,
    Polluter,
    Report,
    eviction_detail,
    make_leak,
    parse_report,
)

_PLACE = Location("test_a.py", 3, exact=True)


def _leak(kind: str, name: str, nodeid: str, phase: str = "call", **more: Any) -> Leak:
    detail = eviction_detail("It was") if kind == "evicted" else "Detail."
    return make_leak(kind, name, Polluter(nodeid, phase), detail)._replace(**more)


def _fold(*leaks: Leak) -> list[Leak]:
    return list(fold(Report(leaks)).leaks)


def _met(nodeid: str, outcome: str = "failed") -> Exposure:
    return Exposure(nodeid, "call", "test_z.py", 1, outcome)


@pytest.mark.parametrize("place", [_PLACE, None])
def test_one_statement_in_many_parametrised_tests_is_one_leak(place: Location | None) -> None:
    leaks = [_leak("fake-left", "boto", f"test_a.py::test[{n}]", location=place) for n in range(122)]
    other = _leak("fake-left", "aws", "test_a.py::test[0]", location=place)
    folded = _fold(leaks[0], other, *leaks[1:])
    assert [(leak.name, leak.polluter.nodeid, leak.count) for leak in folded] == [
        ("boto", "test_a.py::test[0]", 122),
        ("aws", "test_a.py::test[0]", 1),
    ]


def test_a_fixture_of_many_files_is_one_leak_with_all_who_met_it() -> None:
    place = Location("conftest.py", 5, exact=True)
    leaks = [
        _leak(
            "replaced",
            "shop",
            f"test_{n}.py::test",
            "setup",
            location=place,
            exposed=(_met(f"test_{n}.py::next"), _met("test_z.py::last")),
        )
        for n in range(3)
    ]
    (folded,) = _fold(*leaks)
    assert folded.count == 3
    assert [met.nodeid for met in folded.exposed] == [
        "test_0.py::next",
        "test_z.py::last",
        "test_1.py::next",
        "test_2.py::next",
    ]


def test_the_same_statement_with_another_directory_for_each_test_is_one_leak() -> None:
    leaks = [
        _leak(
            "path-added",
            f"/tmp/pytest-of-me/pytest-3/test_it_{n}0/lib",
            f"test_a.py::it[{n}]",
            location=_PLACE,
        )
        for n in range(5)
    ]
    (folded,) = _fold(*leaks)
    assert (folded.name, folded.count) == (leaks[0].name, 5)
    assert len(_fold(*(leak._replace(name=f"/lib/{n}") for n, leak in enumerate(leaks)))) == 5


@pytest.mark.parametrize(
    "change",
    [
        {"location": _PLACE._replace(line=4)},
        {"allowed": True},
        {"contained": True},
        {"polluter": Polluter("test_a.py::test", "setup")},
        {"kind": "replaced"},
    ],
)
def test_leaks_that_differ_in_more_than_the_test_stay_apart(change: dict[str, Any]) -> None:
    leak = _leak("fake-left", "boto", "test_a.py::test", location=_PLACE)
    other = leak._replace(**{"polluter": Polluter("test_a.py::other", "call"), **change})
    assert _fold(leak, other) == [leak, other]


def test_another_value_before_is_the_same_leak_and_the_worst_severity_counts() -> None:
    leak = _leak("attribute-left", "shop.RATE", "test_a.py::test[0]", location=_PLACE)
    second = leak._replace(
        polluter=Polluter("test_a.py::test[1]", "call"), detail="It was 50.", severity="error"
    )
    (folded,) = _fold(leak, second)
    assert (folded.detail, folded.severity, folded.count) == ("Detail.", "error", 2)


@pytest.mark.parametrize("kind", ["reloaded", "tainted", "name-clash"])
def test_sentences_that_say_who_holds_what_stay_apart(kind: str) -> None:
    leaks = [
        _leak(kind, "shop", f"test_a.py::test[{n}]", location=_PLACE, detail=f"Held by {n}.")
        for n in range(2)
    ]
    assert _fold(*leaks) == leaks


def test_tests_whose_statements_are_unknown_stay_apart() -> None:
    leaks = [_leak("fake-left", "boto", f"test_a.py::test_{n}") for n in range(2)]
    assert _fold(*leaks) == leaks


def test_first_imports_are_never_folded() -> None:
    leaks = [_leak("loaded", "boto", f"test_a.py::test[{n}]", location=_PLACE) for n in range(2)]
    assert _fold(*leaks) == leaks


def test_all_that_one_block_evicts_is_one_leak_and_the_module_that_failures_needed_comes_first() -> None:
    leaks = [_leak("evicted", name, "test_a.py::test", location=_PLACE) for name in "abcde"]
    leaks[3] = leaks[3]._replace(exposed=(_met("test_b.py::test"),))
    (folded,) = _fold(*leaks)
    assert (folded.name, folded.count, folded.exposed) == ("d", 5, leaks[3].exposed)
    assert folded.detail == eviction_detail("It and a, b, c, e were")
    assert folded.advice.startswith("Import d, a, b, c, e before the mock.patch.dict(sys.modules) block")
    elsewhere = leaks[0]._replace(location=_PLACE._replace(line=9))
    own_victim = leaks[0]._replace(detail="It was thrown out.")
    assert len(_fold(*leaks, elsewhere, own_victim)) == 3


def test_reports_of_shards_add_up_and_the_same_report_twice_does_not() -> None:
    one, other = (
        fold(
            Report(tuple(_leak("fake-left", "boto", f"test_a.py::t[{n}]", location=_PLACE) for n in numbers))
        )
        for numbers in (range(3), range(3, 5))
    )
    assert [leak.count for leak in fold(merge([one, other])).leaks] == [5]
    assert [leak.count for leak in fold(merge([one, one])).leaks] == [3]


def test_a_count_is_in_the_json_only_if_there_is_one() -> None:
    leak = _leak("fake-left", "boto", "test_a.py::test")
    once, often = (Report((one,)).as_builtins()["leaks"][0] for one in (leak, leak._replace(count=7)))
    assert "count" not in once
    assert often["count"] == 7
    report = Report((leak, leak._replace(count=7)))
    assert parse_report(json.dumps(report.as_builtins())) == report
