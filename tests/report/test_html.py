"""The page without a browser: what it holds, and that nothing of it is taken for markup."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_import_isolation.report import html
from pytest_import_isolation.report.html import page_data, render_page
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

_NOWHERE = Path("/nowhere")
#: Elements without an end tag.
_VOID = {"meta", "input", "br", "link", "img", "hr"}
_HOSTILE = [
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "<!--",
    "-->",
    "]]>",
    "<!--<script>",
    "\u2028\u2029",
    "\"'`",
    "&lt;&amp",
    "${data}$data$$",
    "\udcff\x00\x1b",
    "javascript:alert(1)",
    "\\u003c",
    "🙂é",
]
_TEXT = st.text(max_size=6) | st.sampled_from(_HOSTILE)
_LINE = st.integers(-5, 10**9)
_LEAKS = st.builds(
    Leak,
    kind=st.sampled_from(sorted(KINDS)) | _TEXT,
    severity=st.sampled_from(SEVERITIES),
    name=_TEXT,
    polluter=st.builds(Polluter, _TEXT, st.sampled_from(["collect", "call", "session"]) | _TEXT),
    location=st.none() | st.builds(Location, _TEXT, _LINE, st.booleans()),
    chain=st.lists(st.builds(Link, _TEXT, _TEXT, _LINE), max_size=3).map(tuple),
    detail=_TEXT,
    advice=_TEXT,
    allowed=st.booleans(),
    contained=st.booleans(),
    exposed=st.lists(st.builds(Exposure, _TEXT, _TEXT, _TEXT, _LINE, _TEXT), max_size=3).map(tuple),
)
_SECONDS = st.floats(0, 1e6)
_HISTORIES = st.builds(
    History,
    st.lists(st.builds(Event, _TEXT, _TEXT, _TEXT, _SECONDS, _SECONDS, _TEXT), max_size=3).map(tuple),
    st.dictionaries(_TEXT, _SECONDS, max_size=3),
)
_REPORTS = st.builds(
    Report,
    st.lists(_LEAKS, max_size=4).map(tuple),
    st.booleans(),
    st.dictionaries(_TEXT, _TEXT, max_size=2),
    _HISTORIES,
)


class _Page(HTMLParser):
    """A page as a parser sees it."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text = text
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.mistakes: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        self.mistakes += [f"<{tag}> is not closed" for tag in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.texts.setdefault(tag, []).append("")
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.mistakes.append(f"</{tag}> closes another")

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open[-1]][-1] += data

    @property
    def data(self) -> Any:
        return json.loads(self.texts["script"][0])

    @property
    def shape(self) -> list[tuple[str, list[str]]]:
        return [(tag, sorted(attributes)) for tag, attributes in self.tags]


def _leaks_of(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the leaks of the page as its script reads them."""
    text, exposures = data["text"], data["exposures"]

    def place(values: Any) -> Any:
        return [text[values[0]], values[1], bool(values[2])] if values else None

    return [
        {
            "kind": text[row[0]],
            "severity": SEVERITIES[row[1]],
            "name": text[row[2]],
            "polluter": [text[row[3]], text[row[4]]],
            "location": place(row[5]),
            "chain": [[text[module], text[file], line] for module, file, line in row[6]],
            "detail": text[row[7]].replace("\0", text[row[2]]),
            "advice": text[row[8]].replace("\0", text[row[2]]),
            "state": ["", "allowed", "contained"][row[9]],
            "exposed": [
                [text[nodeid], text[phase], text[file], line, text[outcome]]
                for nodeid, phase, file, line, outcome in (exposures[number] for number in row[10])
            ],
        }
        for row in data["leaks"]
    ]


def _leak(kind: str = "fake-left", name: str = "boto", nodeid: str = "test_a.py::test", **more: Any) -> Leak:
    return make_leak(kind, name, Polluter(nodeid, "call"), f"{name} was left.")._replace(**more)


_EMPTY = _Page(render_page(Report(), _NOWHERE))


@given(_REPORTS)
def test_no_text_of_a_report_becomes_markup(report: Report) -> None:
    page = _Page(render_page(report, _NOWHERE))
    assert page.mistakes == []
    assert page.shape == _EMPTY.shape
    assert page.texts["script"][1:] == _EMPTY.texts["script"][1:]
    assert not set(page.texts["script"][0]) & set("<>&\u2028\u2029")
    assert page.data == json.loads(json.dumps(page_data(report, _NOWHERE)))


@given(_REPORTS)
def test_the_page_holds_what_the_report_holds(report: Report) -> None:
    leaks = [leak for leak in report.leaks if leak.kind != "loaded"]
    found = _leaks_of(page_data(report, _NOWHERE))
    assert [leak["name"] for leak in found] == [leak.name for leak in leaks]
    assert [leak["polluter"] for leak in found] == [list(leak.polluter) for leak in leaks]
    assert [leak["exposed"] for leak in found] == [list(map(list, leak.exposed)) for leak in leaks]
    assert [leak["chain"] for leak in found] == [list(map(list, leak.chain)) for leak in leaks]
    for shown, leak in zip(found, leaks, strict=True):
        if "\0" not in f"{leak.detail}{leak.advice}":
            assert (shown["detail"], shown["advice"]) == (leak.detail, leak.advice)


def test_a_leak_is_told_in_full() -> None:
    leak = _leak(
        location=Location("test_a.py", 3, exact=False),
        chain=(Link("stub", "test_a.py", 3), Link("boto", "stub.py", 9)),
        exposed=(Exposure("test_b.py::test", "call", "test_b.py", 7, "failed"),),
    )
    (shown,) = _leaks_of(page_data(Report((leak,)), _NOWHERE))
    assert shown == {
        "kind": "fake-left",
        "severity": "error",
        "name": "boto",
        "polluter": ["test_a.py::test", "call"],
        "location": ["test_a.py", 3, False],
        "chain": [["stub", "test_a.py", 3], ["boto", "stub.py", 9]],
        "detail": "boto was left.",
        "advice": leak.advice,
        "state": "",
        "exposed": [["test_b.py::test", "call", "test_b.py", 7, "failed"]],
    }
    assert '{"boto": {...}}' in leak.advice


def test_an_advice_and_a_detail_are_said_once_for_all_names() -> None:
    report = Report(tuple(_leak(name=f"module{n}") for n in range(3)))
    data = page_data(report, _NOWHERE)
    assert len({row[7] for row in data["leaks"]}) == 1
    assert len({row[8] for row in data["leaks"]}) == 1
    other = page_data(Report((_leak(advice="Ask Ann."), _leak())), _NOWHERE)
    assert [leak["advice"] for leak in _leaks_of(other)] == ["Ask Ann.", _leak().advice]


def test_accepted_leaks_are_counted_apart_as_in_the_summary() -> None:
    leaks = (_leak(), _leak(allowed=True), _leak(contained=True), _leak(allowed=True, contained=True))
    data = page_data(Report(leaks), _NOWHERE)
    assert [leak["state"] for leak in _leaks_of(data)] == ["", "allowed", "contained", "allowed"]
    assert data["summary"] == {"error": 1, "warning": 0, "info": 0, "allowed": 2, "contained": 1}


@pytest.mark.parametrize(
    ("report", "level", "verdict"),
    [
        (Report(), "good", "no import leaks (0 first imports)"),
        (Report((_leak(),)), "error", "import leaks: 1 error, 0 warnings (0 first imports)"),
        (Report((_leak("path-added"),)), "warning", "import leaks: 0 errors, 1 warning (0 first imports)"),
        (Report(complete=False), "good", "no import leaks seen (0 first imports)"),
    ],
)
def test_the_verdict_is_the_title_and_the_first_line(report: Report, level: str, verdict: str) -> None:
    page = _Page(render_page(report, _NOWHERE))
    assert page.texts["title"] == [verdict]
    assert page.texts["p"][0] == verdict
    assert next(attributes for tag, attributes in page.tags if tag == "p")["class"] == f"verdict {level}"


# The template


def test_the_page_is_well_formed_and_every_control_has_a_label() -> None:
    assert _EMPTY.mistakes == []
    assert _EMPTY.text.startswith("<!doctype html>\n<html lang=")
    ids = [attributes["id"] for _, attributes in _EMPTY.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in _EMPTY.tags:
        named = attributes.get("aria-labelledby")
        assert named is None or named in ids
        if tag == "a":
            assert str(attributes["href"]).removeprefix("#") in ids
    script = _EMPTY.texts["script"][1]
    assert set(re.findall(r'\$\("([\w-]+)"\)', script)) <= set(ids)
    for control in re.findall(r"<label[^>]*>.*?</label>", _EMPTY.text):
        assert re.search(r"<(input|select)\b", control)


def test_the_page_asks_the_network_for_nothing() -> None:
    assert "://" not in _EMPTY.text
    assert not {"src", "srcset", "action", "background"} & {
        name for _, attributes in _EMPTY.tags for name in attributes
    }
    assert not {"link", "img", "iframe", "object", "base"} & {tag for tag, _ in _EMPTY.tags}
    for word in (
        "@import",
        "url(",
        "fetch(",
        "XMLHttpRequest",
        "innerHTML",
        "outerHTML",
        "eval(",
        "document.write",
    ):
        assert word not in _EMPTY.text


def test_the_policy_of_the_page_allows_its_own_script_and_style_alone() -> None:
    def digest(text: str) -> str:
        return b64encode(sha256(text.encode()).digest()).decode()

    policy = next(a["content"] for tag, a in _EMPTY.tags if tag == "meta" and "http-equiv" in a)
    script, style = _EMPTY.texts["script"][1], _EMPTY.texts["style"][0]
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest(style)}'; script-src 'sha256-{digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


# Sources


def _shown(root: Path, file: str, line: int) -> dict[str, dict[int, str]]:
    data = page_data(Report((_leak(location=Location(file, line, exact=True)),)), root)
    return {data["text"][number]: lines for number, lines in data["sources"].items()}


def test_the_lines_around_a_statement_are_shown(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text("".join(f"line{n}\n" for n in range(1, 21)), encoding="utf-8")
    numbers = [2, 3, 4, 5, 6, 7, 8]
    assert _shown(tmp_path, "test_a.py", 5) == {"test_a.py": {n: f"line{n}" for n in numbers}}
    assert list(_shown(tmp_path, "test_a.py", 1)["test_a.py"]) == [1, 2, 3, 4]
    assert list(_shown(tmp_path, "test_a.py", 20)["test_a.py"]) == [17, 18, 19, 20]
    assert _shown(tmp_path, "test_a.py", 10**9) == {}
    assert _shown(tmp_path, "test_a.py", -(10**9)) == {}
    absolute = str(tmp_path / "test_a.py")
    assert list(_shown(_NOWHERE, absolute, 2)) == [absolute]


def test_the_lines_that_a_statement_led_to_are_shown_too(tmp_path: Path) -> None:
    (tmp_path / "stub.py").write_text("a\nb\nc\nd\n", encoding="utf-8")
    leak = _leak(location=Location("gone.py", 3, exact=True), chain=(Link("boto", "stub.py", 3),))
    data = page_data(Report((leak,)), tmp_path)
    assert list(data["sources"].values()) == [{2: "b", 3: "c", 4: "d"}]


def test_a_line_is_read_by_its_encoding_and_cut_where_it_is_long(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"# coding: latin-1\nx = '\xe9'\ny = '" + b"z" * 999 + b"'\n")
    lines = _shown(tmp_path, "a.py", 2)["a.py"]
    assert lines[2] == "x = 'é'"
    assert len(lines[3]) == 200


def test_nothing_is_read_but_python_files_of_a_usual_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret.txt").write_text("secret\n", encoding="utf-8")
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "binary.py").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "large.py").write_text("x\n" * 50, encoding="utf-8")
    monkeypatch.setattr(html, "_LARGEST_FILE", 50)
    files = (
        "secret.txt",
        "folder.py",
        "binary.py",
        "large.py",
        "gone.py",
        "",
        "\0.py",
        "\udcff.py",
        "a" * 999 + ".py",
    )
    for file in files:
        assert _shown(tmp_path, file, 1) == {}


# The tree of imports


def _loaded(name: str, *chain: str, nodeid: str = "test_a.py") -> Leak:
    links = tuple(Link(module, f"{module}.py", number) for number, module in enumerate((*chain, name), 1))
    place = Location("test_a.py", 1, exact=True)
    return make_leak("loaded", name, Polluter(nodeid, "collect"), "First.", location=place)._replace(
        chain=links
    )


def _tree(report: Report) -> dict[str, tuple[str | None, str, str, int, float]]:
    data = page_data(report, _NOWHERE)
    text, rows = data["text"], data["imports"]
    return {
        text[name]: (text[rows[parent][0]] if parent >= 0 else None, text[by], text[file], line, took)
        for name, parent, by, file, line, took in rows
    }


def test_a_module_hangs_below_the_one_that_imported_it_first() -> None:
    leaks = (
        _loaded("app"),
        _loaded("app.db", "app"),
        _loaded("deep", "app", "gone"),
        _loaded("app", nodeid="test_b.py"),
    )
    assert _tree(Report(leaks, history=History((), {"app": 0.25, "app.db": 0.0012}))) == {
        "app": (None, "test_a.py", "app.py", 1, 250),
        "app.db": ("app", "test_a.py", "app.db.py", 2, 1.2),
        "deep": ("app", "test_a.py", "deep.py", 3, -1),
    }
    assert page_data(Report(leaks), _NOWHERE)["leaks"] == []


def test_a_module_without_a_chain_hangs_below_its_file() -> None:
    bare = _loaded("wave")._replace(chain=(), location=None)
    placed = _loaded("gzip")._replace(chain=())
    assert _tree(Report((bare, placed))) == {
        "wave": (None, "test_a.py", "", 0, -1),
        "gzip": (None, "test_a.py", "test_a.py", 1, -1),
    }


def test_modules_that_imported_each_other_make_no_circle() -> None:
    circle = (_loaded("a", "b"), _loaded("b", "a"), _loaded("c", "c"))
    tree = _tree(Report(circle))
    assert {name: above for name, (above, *_) in tree.items()} == {"a": "b", "b": None, "c": None}


# The order of the run


def _events(report: Report) -> list[tuple[Any, ...]]:
    data = page_data(report, _NOWHERE)
    return [
        (data["text"][e[0]], e[1], data["text"][e[2]], e[3], e[4], data["text"][e[5]]) for e in data["events"]
    ]


def test_events_are_told_in_milliseconds() -> None:
    events = (
        Event("test_a.py", "collect", "passed", 0.5, 0.0304, "gw0"),
        Event("test_a.py::test", "test", "failed", 1.0, 2, "gw0"),
    )
    report = Report(history=History(events))
    assert _events(report) == [
        ("test_a.py", 0, "passed", 500, 30, "gw0"),
        ("test_a.py::test", 1, "failed", 1000, 2000, "gw0"),
    ]
    assert page_data(report, _NOWHERE)["timed"] is True


def test_without_events_those_of_the_leaks_stand_in_files_first() -> None:
    met = (
        Exposure("test_b.py::test", "call", "test_b.py", 1, "failed"),
        Exposure("test_c.py", "collect", "test_c.py", 1, "passed"),
    )
    leaks = (
        _leak(exposed=met),
        make_leak("removed", "x", Polluter("test_a.py", "collect"), "Detail."),
        make_leak("removed", "y", Polluter("", "session"), "Detail."),
        make_leak("removed", "z", Polluter("conftest.py", "conftest"), "Detail."),
    )
    report = Report(leaks)
    assert _events(report) == [
        ("test_c.py", 0, "passed", 0, 0, ""),
        ("test_a.py", 0, "unknown", 0, 0, ""),
        ("test_a.py::test", 1, "unknown", 0, 0, ""),
        ("test_b.py::test", 1, "failed", 0, 0, ""),
    ]
    assert page_data(report, _NOWHERE)["timed"] is False


# The size


def test_a_thousand_leaks_are_less_than_a_megabyte(tmp_path: Path) -> None:
    leaks = []
    for number in range(1000):
        file = f"tests/unit/package/test_something_{number % 50:03}.py"
        nodeid = f"{file}::TestSomething::test_of_the_case_{number}"
        exposed = [
            Exposure(
                f"tests/unit/other/test_victim_{n}.py::test_case[{n}]",
                "call",
                f"tests/unit/other/test_victim_{n}.py",
                n,
                "failed",
            )
            for n in range(number % 20)
        ]
        place = Location(file, number % 300 + 1, exact=True)
        leaks.append(
            _leak(
                name=f"package.subpackage.module_{number}",
                nodeid=nodeid,
                location=place,
                exposed=tuple(exposed),
            )
        )
    leaks += [
        _loaded(f"package.subpackage.module_{n}", *([f"package.subpackage.module_{n - 1}"] if n % 9 else []))
        for n in range(1000)
    ]
    for number in range(50):
        path = tmp_path / f"tests/unit/package/test_something_{number:03}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            "    some_call_with(several, arguments, of_a_usual_length, on_every_line)\n" * 300,
            encoding="utf-8",
        )
    page = render_page(Report(tuple(leaks)), tmp_path)
    assert len(page.encode()) < 1_000_000
    assert len(_Page(page).data["sources"]) == 50


# Colours


def _luminance(colour: str) -> float:
    digits = colour.removeprefix("#")
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    parts = (int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4))
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", [":root", ':root[data-theme="dark"]', ':root, :root[data-theme="dark"]'])
def test_texts_stand_out_from_what_is_behind_them(theme: str) -> None:
    style = _EMPTY.texts["style"][0]
    block = style.partition(f"{theme} {{")[2].partition("}")[0]
    colours = dict(re.findall(r"--([\w-]+): (#\w+)", block))
    pairs = [
        (text, behind)
        for text in ("text", "muted", "error", "warning", "good", "accent")
        for behind in ("bg", "panel")
    ]
    pairs += [
        (name, f"{name}-soft") for name in ("error", "warning", "good", "accent") if f"{name}-soft" in colours
    ]
    pairs += [
        ("text", "soft"),
        ("muted", "soft"),
        ("bar-text", "bar"),
        ("bar-text", "bar-2"),
        ("text", "warning-soft"),
    ]
    for text, behind in pairs:
        light, dark = sorted((_luminance(colours[text]), _luminance(colours[behind])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, behind)
