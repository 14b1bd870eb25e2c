from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_import_isolation.errors import ReportError
from pytest_import_isolation.report.annotations import annotate
from pytest_import_isolation.report.merging import merge
from pytest_import_isolation.report.policy import Policy, judge, parse_allowance
from pytest_import_isolation.report.records import (
    KINDS,
    SEVERITIES,
    Event,
    Exposure,
    History,
    Leak,
    Link,
    Location,
    Polluter,
    Report,
    first_import_detail,
    make_leak,
    more_of_first_import,
    parse_report,
)
from pytest_import_isolation.report.text import render
from pytest_import_isolation.report.who import who

_TEXT = st.text(max_size=8)
_LINE = st.integers(0, 10**6)
_POLLUTERS = st.builds(Polluter, _TEXT, st.sampled_from(["collect", "setup", "call", "teardown", "session"]))
_EXPOSURES = st.builds(Exposure, _TEXT, _TEXT, _TEXT, _LINE, _TEXT)
_LEAKS = st.builds(
    Leak,
    kind=st.sampled_from(sorted(KINDS)),
    severity=st.sampled_from(SEVERITIES),
    name=_TEXT,
    polluter=_POLLUTERS,
    location=st.none() | st.builds(Location, _TEXT, _LINE, st.booleans()),
    chain=st.lists(st.builds(Link, _TEXT, _TEXT, _LINE), max_size=3).map(tuple),
    detail=_TEXT,
    advice=_TEXT,
    allowed=st.booleans(),
    contained=st.booleans(),
    exposed=st.lists(_EXPOSURES, max_size=3, unique=True).map(tuple),
)
_REPORTS = st.builds(
    Report,
    st.lists(_LEAKS, max_size=4).map(tuple),
    st.booleans(),
    st.dictionaries(_TEXT, _TEXT, max_size=2),
    st.just(History()),
)


_SECONDS = st.floats(0, 1e6)
_EVENTS = st.builds(Event, _TEXT, _TEXT, _TEXT, _SECONDS, _SECONDS, _TEXT)
_HISTORIES = st.builds(
    History,
    st.lists(_EVENTS, max_size=3).map(tuple),
    st.dictionaries(_TEXT, _SECONDS, max_size=3),
)


def _leak(name: str = "boto", nodeid: str = "test_a.py::test", **more: Any) -> Leak:
    return make_leak("fake-left", name, Polluter(nodeid, "call"), "It was left.")._replace(**more)


@given(_REPORTS)
def test_a_report_is_the_same_after_a_trip_through_json(report: Report) -> None:
    data = report.as_builtins()
    assert Report.from_builtins(json.loads(json.dumps(data))) == report
    assert parse_report(json.dumps(data)) == report
    assert list(data) == ["version", "complete", "workers", "summary", "leaks"]


@given(_HISTORIES)
def test_the_history_of_a_run_survives_json_and_is_left_out_where_there_is_none(history: History) -> None:
    data = json.loads(json.dumps(Report(history=history).as_builtins()))
    assert Report.from_builtins(data).history == history
    assert ("events" in data, "imports" in data) == (bool(history.events), bool(history.imports))


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), True, "1", None])
def test_times_that_are_none_are_refused(seconds: object) -> None:
    data = Report(history=History((Event("a", "test", "passed", 0, 0, ""),), {"wave": 1})).as_builtins()
    data["events"][0]["seconds"] = seconds
    with pytest.raises(ReportError) as caught:
        Report.from_builtins(data)
    assert str(caught.value) == f"this is no import leak report: seconds is {seconds!r}"
    data["events"][0]["seconds"] = 1
    assert Report.from_builtins(data).history.imports == {"wave": 1}
    data["imports"]["wave"] = seconds
    with pytest.raises(ReportError) as caught:
        Report.from_builtins(data)
    assert str(caught.value) == "the imports of an import leak report are names and seconds"


def _event(nodeid: str, worker: str = "", start: float = 0) -> Event:
    return Event(nodeid, "test", "passed", start, 1, worker)


def test_shards_keep_their_events_apart_and_the_same_report_counts_once() -> None:
    one = Report(history=History((_event("a"), _event("b", start=1)), {"wave": 1.0, "gzip": 0.0}))
    two = Report(history=History((_event("c"),), {"wave": 0.5, "gzip": 2}))
    merged = merge([one, two, one, Report(history=History((_event("d"),)))]).history
    assert [(event.nodeid, event.worker) for event in merged.events] == [
        ("a", ""),
        ("b", ""),
        ("c", "run #2"),
        ("d", "run #3"),
    ]
    assert merged.imports == {"wave": 1.0, "gzip": 2}
    workers = [Report(history=History((_event("a", name),))) for name in ("gw0", "gw1", "gw0")]
    workers[2] = Report(history=History((_event("b", "gw0"),)))
    assert [event.worker for event in merge(workers).history.events] == ["gw0", "gw1", "gw0 #2"]
    alike = History((_event("e"), _event("f", "run"), _event("g")))
    others = merge([Report(history=History((_event("a"), _event("b", "run")))), Report(history=alike)])
    assert [event.worker for event in others.history.events] == ["", "run", "run #2", "run #3", "run #2"]


@given(_REPORTS)
def test_the_summary_counts_every_leak_once(report: Report) -> None:
    assert sum(report.summary.values()) == len(report.leaks)


def test_the_summary_counts_allowed_and_contained_leaks_apart() -> None:
    leaks = (
        _leak(),
        _leak(allowed=True),
        _leak(contained=True),
        _leak(severity="warning"),
        _leak(severity="info", contained=True),
        _leak(allowed=True, contained=True),
    )
    assert Report(leaks).summary == {"error": 1, "warning": 1, "info": 1, "allowed": 2, "contained": 1}
    assert [leak.is_harmful for leak in leaks] == [True, False, False, True, False, False]


@pytest.mark.parametrize("data", [{}, {"version": 2}, {"version": "1"}])
def test_another_version_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="this is no import leak report of version 1"):
        Report.from_builtins(data)


_OTHER = [
    ("", "this is no JSON: Expecting value: line 1 column 1 (char 0)"),
    ("[]", "this is no import leak report"),
    ("null", "this is no import leak report"),
    ('{"version": 1}', "this is no import leak report: KeyError: 'workers'"),
    ('{"version": 2}', "this is no import leak report of version 1 (its version is 2)"),
    (
        '{"version": 1, "workers": {"gw0": 1}, "complete": true, "leaks": []}',
        "the workers of an import leak report are names and sentences",
    ),
    (
        '{"version": 1, "workers": {}, "complete": true, "leaks": [3]}',
        "this is no import leak report: TypeError: 'int' object is not subscriptable",
    ),
]


@pytest.mark.parametrize(("text", "sentence"), _OTHER)
def test_a_text_that_is_no_report_is_refused_in_one_line(text: str, sentence: str) -> None:
    with pytest.raises(ReportError) as caught:
        parse_report(text)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("severity", "bad", "there is no severity 'bad'"),
        ("name", 3, "name is 3"),
        ("allowed", "no", "allowed is 'no'"),
        ("location", {"file": "a.py", "line": True, "exact": True}, "line is True"),
        ("exposed", [{"nodeid": "a"}], "KeyError: 'phase'"),
    ],
)
def test_a_field_of_another_type_is_refused_and_an_unknown_one_passed_over(
    field: str, value: object, sentence: str
) -> None:
    data = Report((_leak(),)).as_builtins()
    data["new"] = data["leaks"][0]["new"] = "a field of a later release"
    assert Report.from_builtins(data) == Report((_leak(),))
    data["leaks"][0][field] = value
    with pytest.raises(ReportError) as caught:
        parse_report(json.dumps(data))
    assert str(caught.value) == f"this is no import leak report: {sentence}"


@given(_REPORTS, st.integers(-3, 2), st.integers(0, 120))
def test_every_report_can_be_told(report: Report, verbosity: int, width: int) -> None:
    lines = list(render(report, verbosity=verbosity, width=width))
    assert all(isinstance(line.text, str) for line in lines)
    assert bool(lines) or verbosity < -1
    assert sum(leak.is_harmful for leak in report.leaks) == len(list(annotate(report)))
    for leak in report.leaks:
        assert list(who(report, leak.name))
    judged = judge(report, Policy((parse_allowance("*:*", ""),), fails=True), "/", lambda file: True)
    assert not [leak for leak in judged.report.leaks if leak.is_harmful]


def test_every_kind_has_a_severity_and_an_advice_that_can_name_the_leak() -> None:
    assert set(KINDS) == {
        *("fake-left", "replaced", "removed", "blocked-left", "name-clash", "stale-attribute", "rebound"),
        *("tainted", "path-added", "path-removed", "path-moved", "finder-added", "finder-removed"),
        *("hook-added", "hook-removed", "evicted", "reloaded", "twice-loaded", "effect", "loaded"),
        *("attribute-left", "class-attribute-left"),
    }
    for kind, known in KINDS.items():
        leak = make_leak(kind, "some.name", Polluter("test_a.py", "collect"), "Detail.")
        assert leak.severity == known.severity
        assert "{name}" not in leak.advice
        assert leak.advice.endswith((".", "outer object"))
    assert make_leak("reloaded", "x", Polluter("", "call"), "", severity="error").severity == "error"


def test_advice_for_a_fake_can_be_copied() -> None:
    assert '@pytest.mark.isolated_imports(fakes={"boto": {...}})' in _leak().advice


@given(st.lists(_REPORTS, max_size=3))
def test_merging_is_idempotent_and_says_every_leak_once(reports: list[Report]) -> None:
    merged = merge(reports)
    assert merge([merged]) == merged
    assert merge([merged, merged]) == merged
    keys = [(leak.kind, leak.name, leak.polluter, leak.contained) for leak in merged.leaks]
    assert len(keys) == len(set(keys))
    every = [(leak.kind, leak.name, leak.polluter, leak.contained) for r in reports for leak in r.leaks]
    assert keys == list(dict.fromkeys(every))
    assert merged.complete is all(report.complete for report in reports)


def test_merging_takes_the_better_place_and_the_worse_severity() -> None:
    exact, inferred = Location("a.py", 1, exact=True), Location("b.py", 2, exact=False)
    chain = (Link("stubs", "stubs.py", 7),)
    for order in (1, -1):
        none, guessed, seen = _leak(), _leak(location=inferred), _leak(location=exact, chain=chain)
        leaks = [none, guessed, seen][::order]
        (merged,) = merge(Report((leak,)) for leak in leaks).leaks
        assert (merged.location, merged.chain) == (exact, chain)
        (merged,) = merge(Report((leak,)) for leak in (none, guessed)[::order]).leaks
        assert merged.location == inferred
        pair = (_leak(severity="warning", allowed=True), _leak())
        (merged,) = merge(Report((leak,)) for leak in pair[::order]).leaks
        assert (merged.severity, merged.allowed) == ("error", False)


def test_a_worker_that_failed_in_one_shard_is_not_lost_among_those_of_another() -> None:
    reports = [Report(workers={"gw0": state}) for state in ("ok", "sent no report", "ok")]
    assert merge(reports).workers == {"gw0": "sent no report"}


def test_merging_unites_who_was_exposed_and_what_became_of_the_workers() -> None:
    one, two, three = (Exposure(f"test_{n}.py", "call", "", 1, "failed") for n in "abc")
    merged = merge(
        [
            Report((_leak(exposed=(one, two)),), workers={"gw0": "ok"}),
            Report((_leak(exposed=(two, three)), _leak(contained=True)), workers={"gw1": "crashed"}),
        ]
    )
    assert [leak.exposed for leak in merged.leaks] == [(one, two, three), ()]
    assert merged.workers == {"gw0": "ok", "gw1": "crashed"}
    assert merge([]) == Report()


@pytest.mark.parametrize("more", ["", ", by the thread 'T'", ", which resolved the lazy import at app.py:1"])
def test_what_is_known_of_a_first_import_is_told_apart_from_that_it_is_one(more: str) -> None:
    detail = first_import_detail("app", more)
    assert detail == f"app was imported for the first time{more}."
    assert more_of_first_import(make_leak("loaded", "app", Polluter("", "configure"), detail)) == more
    assert more_of_first_import(make_leak("loaded", "app", Polluter("", "configure"), "Other words.")) == ""
