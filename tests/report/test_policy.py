from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_import_isolation.errors import ReportError
from pytest_import_isolation.report.policy import (
    Key,
    Parts,
    Policy,
    Verdict,
    join_parts,
    judge,
    key_of,
    parse_allowance,
    portable_name,
    read_baseline,
    write_baseline,
)
from pytest_import_isolation.report.records import Leak, Polluter, Report, make_leak


def _leak(kind: str = "fake-left", name: str = "boto", nodeid: str = "test_a.py", **more: Any) -> Leak:
    return make_leak(kind, name, Polluter(nodeid, "collect"), "Detail.")._replace(**more)


def _covers(entry: str, leak: Leak) -> bool:
    return parse_allowance(entry, "").covers(leak, portable_name(leak.name, "/root"))


def _judge(
    *leaks: Leak, allow: tuple[str, ...] = (), took_part: tuple[str, ...] = (), **policy: Any
) -> Verdict:
    entries = tuple(parse_allowance(text, "") for text in allow)
    return judge(Report(leaks), Policy(entries, **policy), "/root", took_part.__contains__)


# The allow list


@pytest.mark.parametrize(
    "entry",
    [
        "fake-left:boto",
        "*:boto",
        "fake-*:b?to",
        "*:*",
        "  fake-left : boto  ",
        "fake-left:boto in test_a.py",
        "fake-left:boto in *",
        "*:bot* in  test_*",
    ],
)
def test_entries_that_cover_a_leak(entry: str) -> None:
    assert _covers(entry, _leak())


@pytest.mark.parametrize(
    "entry",
    [
        "removed:boto",
        "*:bot",
        "*:oto",
        "fake-left:boto in test_b.py",
        "*:boto in test_a",
        "*:boto.s3",
        "*:BOTO",
    ],
)
def test_entries_that_do_not(entry: str) -> None:
    assert not _covers(entry, _leak())


def test_the_name_of_a_module_covers_its_submodules() -> None:
    assert _covers("*:boto", _leak(name="boto.session"))
    assert not _covers("*:boto", _leak(name="boto3"))
    assert not _covers("*:/vendor", _leak("path-added", "/vendor.d"))


def test_brackets_are_literal() -> None:
    leak = _leak(nodeid="test_a.py::test[1-[x]]")
    assert _covers("*:boto in test_a.py::test[1-[x]]", leak)
    assert _covers("*:boto in *::test[*]", leak)
    assert not _covers("*:boto in test_a.py::test[[]1-x]", leak)
    assert not _covers("*:boto in test_a.py::tes[t]*", leak)
    assert _covers("*:boto in *[a in b]", _leak(nodeid="test_a.py::test[a in b]"))


def test_a_path_below_the_rootdir_is_covered_by_its_relative_name_too() -> None:
    leak = _leak("path-added", "/root/src/lib")
    assert _covers("path-added:src/lib", leak)
    assert _covers("path-added:/root/src/lib", leak)
    assert not _covers("path-added:src", leak)


@pytest.mark.parametrize(
    "entry",
    ["", "boto", "fake-left", "fake-left:", ":boto", "fake-left:boto in", "fake-left:boto in ", " in x", ":"],
)
def test_entries_of_another_shape_are_refused(entry: str) -> None:
    with pytest.raises(ReportError) as caught:
        parse_allowance(entry, "--import-leak-allow")
    assert str(caught.value) == (
        f"--import-leak-allow: cannot read {entry!r}: expected kind:name, such as 'fake-left:boto*' or "
        "'*:serial', perhaps followed by ' in ' and the node ids of tests or files"
    )


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("fake-lef:boto", "there is no kind 'fake-lef' (did you mean 'fake-left'?)"),
        ("xyz:boto", "there is no kind 'xyz'"),
        ("zzz*:boto", "there is no kind 'zzz*'"),
        ("Fake-left:boto", "there is no kind 'Fake-left' (did you mean 'fake-left'?)"),
    ],
)
def test_an_unknown_kind_is_refused(entry: str, sentence: str) -> None:
    with pytest.raises(ReportError) as caught:
        parse_allowance(entry, "import_leak_allow in the ini file")
    assert str(caught.value) == f"import_leak_allow in the ini file: {entry!r}: {sentence}"


def test_what_is_allowed_is_marked_and_an_entry_that_matches_nothing_is_named() -> None:
    leaks = (_leak(), _leak(name="aws"), _leak("loaded", "boto"), _leak("removed", "x", contained=True))
    verdict = _judge(*leaks, allow=("*:boto", "removed:x", "*:serial", "*:serial"))
    assert [leak.allowed for leak in verdict.report.leaks] == [True, False, False, False]
    assert [entry.text for entry in verdict.unused] == ["*:serial"]
    assert verdict.report.summary == {"error": 1, "warning": 0, "info": 1, "allowed": 1, "contained": 1}


# Failing


def test_only_errors_that_are_neither_allowed_nor_contained_fail() -> None:
    harmless = (_leak("path-added", "/x"), _leak(contained=True), _leak("loaded", "x"), _leak(name="ok"))
    assert _judge(*harmless, allow=("*:ok",), fails=True).failures == ()
    assert _judge(*harmless, _leak(name="a"), allow=("*:ok",), fails=True).failures == (
        "1 error not allowed",
    )
    assert _judge(_leak(), _leak(name="b"), fails=True).failures == ("2 errors not allowed",)
    assert _judge(_leak(), fails=False).failures == ()


def test_tests_are_accepted_one_by_one_and_what_the_others_repeat_is_one_error() -> None:
    leaks = [_leak(nodeid=f"test_a.py::test[{number}]") for number in range(9)]
    verdict = _judge(*leaks, allow=("*:boto in test_a.py::test[3]",), fails=True)
    assert [(leak.polluter.nodeid, leak.count, leak.allowed) for leak in verdict.report.leaks] == [
        ("test_a.py::test[0]", 8, False),
        ("test_a.py::test[3]", 1, True),
    ]
    assert verdict.failures == ("1 error not allowed",)


def test_a_worker_that_sent_nothing_fails() -> None:
    report = Report((_leak(),), complete=False, workers={"gw1": "sent no report", "gw0": "ok"})
    verdict = judge(report, Policy(fails=True), "/root", lambda file: False)
    assert verdict.failures == ("1 error not allowed", "worker gw1 sent no report")


# The baseline


_NAMES = st.text(max_size=5)


@given(st.sets(st.builds(Key, _NAMES, _NAMES, _NAMES)))
def test_a_baseline_is_the_same_after_a_trip_through_its_text(keys: set[Key]) -> None:
    text = write_baseline(keys)
    assert read_baseline(text) == keys
    assert write_baseline(sorted(keys, reverse=True)) == text


def test_the_text_of_a_baseline_is_sorted_with_one_name_a_line() -> None:
    keys = [
        Key("test_b.py", "removed", "é"),
        Key("test_a.py", "removed", "b"),
        Key("test_a.py", "removed", "a"),
    ]
    assert write_baseline([*keys, keys[0], Key("", "fake-left", "x")]) == (
        "{\n"
        '  "version": 1,\n'
        '  "known": {\n'
        '    "": {\n      "fake-left": [\n        "x"\n      ]\n    },\n'
        '    "test_a.py": {\n      "removed": [\n        "a",\n        "b"\n      ]\n    },\n'
        '    "test_b.py": {\n      "removed": [\n        "\\u00e9"\n      ]\n    }\n'
        "  }\n}\n"
    )
    assert write_baseline([]) == '{\n  "version": 1,\n  "known": {}\n}\n'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "it is no JSON (Expecting value: line 1 column 1 (char 0))"),
        ("<<<<<<<", "it is no JSON (Expecting value: line 1 column 1 (char 0))"),
        ("[]", "it is no import leak baseline of version 1"),
        ('{"version": 2, "known": {}}', "it is no import leak baseline of version 1"),
        ('{"version": 1, "leaks": []}', "it is no import leak baseline of version 1"),
        ('{"version": 1, "known": {"a.py": 3}}', "its entry 'a.py' is no table of kinds and lists of names"),
        (
            '{"version": 1, "known": {"a.py": {"removed": "x"}}}',
            "its entry 'a.py' is no table of kinds and lists of names",
        ),
        (
            '{"version": 1, "known": {"a.py": {"removed": [1]}}}',
            "its entry 'a.py' is no table of kinds and lists of names",
        ),
    ],
)
def test_a_text_that_is_no_baseline_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(ReportError) as caught:
        read_baseline(text)
    assert str(caught.value) == (
        f"{sentence}; repair it, or delete it and write a new one with --import-leak-write-baseline"
    )


def test_a_leak_is_known_by_file_kind_and_name_wherever_it_was_written() -> None:
    assert key_of(_leak(nodeid="tests/test_a.py::Test::test[x]"), "/root") == (
        "tests/test_a.py",
        "fake-left",
        "boto",
    )
    assert str(key_of(_leak(), "/root")) == "fake-left boto, by test_a.py"
    assert str(key_of(_leak(nodeid=""), "/root")) == "fake-left boto, by the test run"
    for name, portable in {
        "/root/src": "src",
        "/root": ".",
        "/other/src": "/other/src",
        "relative/src": "relative/src",
        "/tmp/pytest-of-me/pytest-12/test_x0/lib": "<tmp>/test_x0/lib",
        "/tmp/pytest-of-me/pytest-3/popen-gw1/test_x0/lib": "<tmp>/test_x0/lib",
        "boto.session": "boto.session",
    }.items():
        assert portable_name(name, "/root") == portable


def test_known_leaks_are_allowed_and_those_that_occur_no_more_are_fixed_if_their_file_took_part() -> None:
    known = frozenset(
        {
            Key("test_a.py", "fake-left", "boto"),
            Key("test_a.py", "fake-left", "gone"),
            Key("test_b.py", "fake-left", "unknown"),
            Key("test_c.py", "removed", "undone"),
        }
    )
    leaks = (_leak(), _leak(name="new"), _leak("removed", "undone", "test_c.py", contained=True))
    verdict = _judge(*leaks, known=known, took_part=("test_a.py", "test_c.py"), fails=True)
    assert [leak.allowed for leak in verdict.report.leaks] == [True, False, False]
    assert verdict.fixed == (Key("test_a.py", "fake-left", "gone"),)
    assert verdict.failures == ("1 error not allowed",)


def test_a_baseline_written_now_keeps_what_did_not_take_part_and_leaves_out_what_is_allowed() -> None:
    known = frozenset(
        {
            Key("test_a.py", "fake-left", "gone"),
            Key("test_a.py", "removed", "undone"),
            Key("test_b.py", "fake-left", "elsewhere"),
        }
    )
    leaks = (
        _leak(),
        _leak(),
        _leak(name="accepted"),
        _leak("loaded", "wave"),
        _leak("path-added", "/root/x"),
        _leak("removed", "undone", contained=True),
        _leak("removed", "undone too", contained=True),
    )
    verdict = _judge(
        *leaks, known=known, took_part=("test_a.py",), allow=("*:accepted",), writes=True, fails=True
    )
    assert verdict.baseline == {
        Key("test_a.py", "fake-left", "boto"),
        Key("test_a.py", "path-added", "x"),
        Key("test_a.py", "removed", "undone"),
        Key("test_b.py", "fake-left", "elsewhere"),
    }
    assert verdict.failures == ()
    assert not [leak for leak in verdict.report.leaks if leak.is_harmful]


# What took part


def test_a_file_took_part_if_it_was_collected_and_all_of_its_tests_ran_in_some_process() -> None:
    one = Parts({"a.py": 3, "b.py": 2}, {"a.py": 1, "b.py": 1}, {"a.py", "b.py", "empty.py", "bad.py"})
    two = Parts({"a.py": 3, "b.py": 2}, {"a.py": 2}, {"a.py", "b.py", "empty.py"}, {"bad.py"})
    both = join_parts(Parts.from_builtins(json.loads(json.dumps(part.as_builtins()))) for part in (one, two))
    files = ("a.py", "b.py", "empty.py", "bad.py", "never.py")
    assert [both.took_part(file) for file in files] == [True, False, True, False, False]
    assert not both.is_whole
    assert Parts({"a.py": 1}, {"a.py": 1}, {"a.py"}).is_whole
    assert not Parts({"a.py": 1}, {"a.py": 1}, {"a.py"}, {"b.py"}).is_whole
    assert join_parts([]).is_whole
