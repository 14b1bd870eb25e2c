"""The JSON Schema that is shipped with the package, against reports and against what is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pytest_import_isolation.__main__ import main
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
    make_leak,
)
from pytest_import_isolation.report.schema import read_schema

_SCHEMA: dict[str, Any] = json.loads(read_schema())
_REPORT = Report(
    leaks=(
        make_leak(
            "fake-left",
            "boto",
            Polluter("tests/test_a.py", "collect"),
            "It was left.",
            location=Location("tests/test_a.py", 3, exact=True),
            chain=(Link("helpers", "tests/test_a.py", 3), Link("boto", "helpers.py", 9)),
        )._replace(exposed=(Exposure("tests/test_b.py::test[1]", "call", "tests/test_b.py", 2, "failed"),)),
        make_leak("effect", "cwd", Polluter("", "session"), "It was changed."),
        make_leak("loaded", "wave", Polluter("tests/test_a.py::test", "setup"), "It was imported."),
    ),
    complete=False,
    workers={"gw0": "ok", "gw1": "sent no report"},
    history=History((Event("tests/test_a.py", "collect", "passed", 0, 0.5, "gw0"),), {"wave": 0.01}),
)


@pytest.fixture(scope="module")
def errors() -> Callable[[object], list[str]]:
    # By name: it has no types.
    validator = pytest.importorskip("jsonschema").Draft202012Validator(_SCHEMA)
    return lambda data: sorted({error.json_path for error in validator.iter_errors(data)})


def test_the_schema_is_one_itself() -> None:
    pytest.importorskip("jsonschema").Draft202012Validator.check_schema(_SCHEMA)
    assert _SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("report", [_REPORT, Report()], ids=["full", "empty"])
def test_reports_are_valid(errors: Callable[[object], list[str]], report: Report) -> None:
    assert errors(report.as_builtins()) == []


def test_the_schema_has_the_fields_of_the_records_in_their_order_and_no_others() -> None:
    definitions = _SCHEMA["$defs"]
    fields: dict[str, Any] = {
        "leak": Leak,
        "location": Location,
        "link": Link,
        "exposure": Exposure,
        "event": Event,
    }
    for name, record in fields.items():
        assert tuple(definitions[name]["properties"]) == record._fields
        optional = {"count"} if record is Leak else set()
        assert tuple(definitions[name]["required"]) == tuple(f for f in record._fields if f not in optional)
        assert definitions[name]["additionalProperties"] is False
    assert tuple(definitions["leak"]["properties"]["polluter"]["properties"]) == Polluter._fields
    assert tuple(_SCHEMA["properties"]["summary"]["properties"]) == tuple(Report().summary)
    assert list(_SCHEMA["properties"]) == list(_REPORT.as_builtins())
    assert definitions["leak"]["properties"]["kind"]["enum"] == list(KINDS)
    assert definitions["leak"]["properties"]["severity"]["enum"] == list(SEVERITIES)


def _set(*path: str | int, to: object) -> Callable[[Any], None]:
    def change(data: Any) -> None:
        for key in path[:-1]:
            data = data[key]
        data[path[-1]] = to

    return change


def _without(*path: str | int) -> Callable[[Any], None]:
    def change(data: Any) -> None:
        for key in path[:-1]:
            data = data[key]
        del data[path[-1]]

    return change


_LEAK = ("leaks", 0)
_MUTATIONS: list[tuple[Callable[[Any], None], str]] = [
    (_set("version", to=2), "$.version"),
    (_set("version", to="1"), "$.version"),
    (_set("complete", to=None), "$.complete"),
    (_set("workers", to={"gw0": ""}), "$.workers.gw0"),
    (_set("workers", to={"gw0": True}), "$.workers.gw0"),
    (_set("summary", "error", to=-1), "$.summary.error"),
    (_set("summary", "error", to=0.5), "$.summary.error"),
    (_set("summary", "fatal", to=0), "$.summary"),
    (_without("summary", "allowed"), "$.summary"),
    (_set("leaks", to={}), "$.leaks"),
    (_set("more", to=1), "$"),
    (_without("leaks"), "$"),
    (_set(*_LEAK, "kind", to="leaked"), "$.leaks[0].kind"),
    (_set(*_LEAK, "severity", to="fatal"), "$.leaks[0].severity"),
    (_set(*_LEAK, "severity", to="info"), "$.leaks[0].severity"),
    (_set("leaks", 2, "severity", to="error"), "$.leaks[2].severity"),
    (_set(*_LEAK, "name", to=None), "$.leaks[0].name"),
    (_set(*_LEAK, "polluter", to="tests/test_a.py"), "$.leaks[0].polluter"),
    (_set(*_LEAK, "polluter", "phase", to="import"), "$.leaks[0].polluter.phase"),
    (_without(*_LEAK, "polluter", "nodeid"), "$.leaks[0].polluter"),
    (_set(*_LEAK, "location", to={}), "$.leaks[0].location"),
    (_set(*_LEAK, "location", "line", to=None), "$.leaks[0].location"),
    (_set(*_LEAK, "location", "exact", to=1), "$.leaks[0].location"),
    (_set(*_LEAK, "chain", 0, "line", to="3"), "$.leaks[0].chain[0].line"),
    (_without(*_LEAK, "chain", 1, "module"), "$.leaks[0].chain[1]"),
    (_set(*_LEAK, "allowed", to=0), "$.leaks[0].allowed"),
    (lambda data: data["leaks"][0].update(allowed=True, contained=True), "$.leaks[0]"),
    (_set(*_LEAK, "exposed", 0, "outcome", to=""), "$.leaks[0].exposed[0].outcome"),
    (_set(*_LEAK, "exposed", 0, "phase", to=""), "$.leaks[0].exposed[0].phase"),
    (lambda data: data["leaks"][0]["exposed"].append(data["leaks"][0]["exposed"][0]), "$.leaks[0].exposed"),
    (_without(*_LEAK, "advice"), "$.leaks[0]"),
    (_set(*_LEAK, "hint", to=""), "$.leaks[0]"),
    (_set("events", to=[]), "$.events"),
    (_set("events", 0, "phase", to="call"), "$.events[0].phase"),
    (_set("events", 0, "seconds", to=-0.1), "$.events[0].seconds"),
    (_set("imports", to={}), "$.imports"),
    (_set("imports", "wave", to="fast"), "$.imports.wave"),
]


@pytest.mark.parametrize(
    ("mutate", "place"), _MUTATIONS, ids=[f"{place}-{at}" for at, (_, place) in enumerate(_MUTATIONS)]
)
def test_what_is_no_report_is_refused_at_its_place(
    errors: Callable[[object], list[str]], mutate: Callable[[Any], None], place: str
) -> None:
    data = json.loads(json.dumps(_REPORT.as_builtins()))
    mutate(data)
    assert errors(data) == [place]


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == _SCHEMA
