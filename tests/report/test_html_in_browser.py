"""The page in a real browser: Chromium without a window, driven through a pair of pipes."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_import_isolation.report.html import render_page
from pytest_import_isolation.report.records import (
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

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_PROGRAM = next((path for path in map(shutil.which, _NAMES) if path), None)
_PATIENCE = 600.0

pytestmark = [
    pytest.mark.neighbours,
    pytest.mark.skipif(
        not os.environ.get("NEIGHBOURS_ARE_INSTALLED"), reason="a browser is slow: tox runs the tests in one"
    ),
    pytest.mark.skipif(_PROGRAM is None, reason=f"no browser was found: none of {', '.join(_NAMES)}"),
    pytest.mark.skipif(os.name != "posix", reason="the browser's pipes are those of POSIX"),
]

#: Runs a program with two of its file descriptors as 3 and 4, where the browser reads and writes.
_STARTER = """
import fcntl, os, sys
for want, given in enumerate([fcntl.fcntl(int(fd), fcntl.F_DUPFD, 20) for fd in sys.argv[1:3]], 3):
    os.dup2(given, want)
os.execv(sys.argv[3], sys.argv[3:])
"""


class BrowserEndedError(Exception):
    """Nobody is at the other end of the pipes."""


class Browser:
    """A browser with one page.

    Args:
        program: its executable file.
        profile: a directory for what it writes.
    """

    def __init__(self, program: str, profile: Path) -> None:
        reading, self._output = os.pipe()
        self._input, writing = os.pipe()
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        options += ["--no-first-run", "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            [sys.executable, "-ISc", _STARTER, str(reading), str(writing), program, *options],
            pass_fds=(reading, writing),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(reading)
        os.close(writing)
        self._received = b""
        self._number = 0
        self._session: dict[str, str] = {}
        #: What the page said to the console, what it threw, and what it asked the network for.
        self.complaints: list[dict[str, Any]] = []
        self.requests: list[str] = []
        self._is_loaded = False

    def start(self) -> None:
        """Wait for it, and make its page."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._session = {"sessionId": session}
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(_PATIENCE)
        os.close(self._input)
        os.close(self._output)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._received:
            assert select.select([self._input], [], [], _PATIENCE)[0], "the browser does not answer"
            piece = os.read(self._input, 1 << 16)
            if not piece:
                raise BrowserEndedError
            self._received += piece
        text, _, self._received = self._received.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        method, told = message.get("method"), message.get("params", {})
        if method in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
            self.complaints.append(told)
        elif method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif method == "Page.loadEventFired":
            self._is_loaded = True
        return message

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the DevTools protocol."""
        self._number += 1
        command = {"id": self._number, "method": method, "params": parameters, **self._session}
        try:
            os.write(self._output, json.dumps(command).encode() + b"\0")
        except BrokenPipeError:
            raise BrowserEndedError from None
        while (answer := self._receive()).get("id") != self._number:
            pass
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def open(self, file: Path, fragment: str = "", scheme: str = "light", width: int = 1200) -> None:
        """Open a file; from a page of its own, so that a fragment alone makes it load anew."""
        self.call("Page.navigate", url="about:blank")
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
        )
        media = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
        features = [{"name": name, "value": value} for name, value in media.items()]
        self.call("Emulation.setEmulatedMedia", features=features)
        self.complaints.clear()
        self.requests.clear()
        self._is_loaded = False
        self.call("Page.navigate", url=file.as_uri() + fragment)
        while not self._is_loaded or not self.js("document.readyState === 'complete'"):
            self._receive()

    def js(self, expression: str) -> Any:
        """Return the value of an expression, or of what it promises."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def texts(self, selector: str) -> list[str]:
        """Return the texts of elements, as far as they are displayed."""
        found: list[str] = self.js(
            f"[...document.querySelectorAll({json.dumps(selector)})].filter(e => e.checkVisibility())"
            ".map(e => e.innerText.trim())"
        )
        return found

    def click(self, selector: str, number: int = 0) -> None:
        """Click into the middle of an element, as a mouse does."""
        x, y = self.js(
            f"(() => {{ const e = document.querySelectorAll({json.dumps(selector)})[{number}];"
            "e.scrollIntoView({block: 'center'});"
            "const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, *keys: str) -> None:
        """Press keys."""
        codes = {
            "Enter": 13,
            "Escape": 27,
            "Tab": 9,
            "ArrowLeft": 37,
            "ArrowUp": 38,
            "ArrowRight": 39,
            "ArrowDown": 40,
        }
        for key in keys:
            more = {
                "windowsVirtualKeyCode": codes.get(key, ord(key[0])),
                **({"text": "\r"} if key == "Enter" else {}),
            }
            if len(key) == 1:
                more["text"] = key
            self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **more)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def settle(self) -> None:
        """Wait until the page has acted on what was typed."""
        self.js("new Promise(done => setTimeout(done, 150))")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert _PROGRAM is not None
    browser = Browser(_PROGRAM, tmp_path_factory.mktemp("profile"))
    try:
        browser.start()
        yield browser
    except BrowserEndedError:
        pytest.skip(f"the browser does not start: {_PROGRAM}")
    finally:
        browser.close()


# The report

_HOSTILE = "<img src=x onerror='window.pwned=1'></script><script>window.pwned=1</script>\u2028"
_STUB = "tests/stub/test_stub.py"
_MAIL = "tests/mail/test_mail.py"


def _leak(kind: str, name: str, nodeid: str, phase: str = "collect", **more: Any) -> Leak:
    return make_leak(kind, name, Polluter(nodeid, phase), f"{name} was changed.")._replace(**more)


def _met(nodeid: str, outcome: str, phase: str = "call") -> Exposure:
    return Exposure(nodeid, phase, nodeid.partition("::")[0], 2, outcome)


def _loaded(name: str, *chain: str) -> Leak:
    links = tuple(Link(module, f"{module}.py", 1) for module in (*chain, name))
    return _leak("loaded", name, _STUB)._replace(chain=links)


_LEAKS = (
    _leak("path-added", "/srv/vendor", f"{_HOSTILE}.py"),
    _leak(
        "fake-left",
        "smtplib",
        _STUB,
        location=Location(_STUB, 4, exact=True),
        chain=(Link("helper", _STUB, 4), Link("smtplib", "helper.py", 2)),
        exposed=(
            *(_met(f"{_MAIL}::test_{n}", "failed") for n in range(9)),
            _met("tests/test_other.py", "passed", "collect"),
        ),
    ),
    _leak(
        "removed",
        "app.db",
        f"{_MAIL}::test_1",
        "call",
        exposed=(_met("tests/test_other.py::test_last", "passed"),),
    ),
    _leak("fake-left", "boto", "tests/test_allowed.py", allowed=True),
    _leak("fake-left", "torch", "tests/test_contained.py::test", "call", contained=True),
    _leak("path-added", "/opt", "", "session"),
    *(_loaded(name) for name in ("smtplib", "app", "wave")),
    *(_loaded(name, "app") for name in ("app.db", "app.web")),
    _loaded("app.web.views", "app", "app.web"),
)
_EVENTS = tuple(
    Event(nodeid, phase, outcome, start, seconds, worker)
    for worker in ("gw0", "gw1")
    for nodeid, phase, outcome, start, seconds in (
        (_STUB, "collect", "passed", 0.0, 1.0),
        (_MAIL, "collect", "passed", 1.0, 1.0),
        ("tests/test_other.py", "collect", "passed", 2.0, 1.0),
        *((f"{_MAIL}::test_{n}", "test", "failed", 3.0 + n, 1.0) for n in range(9) if worker == "gw0"),
        *((("tests/test_other.py::test_last", "test", "passed", 12.0, 8.0),) if worker == "gw1" else ()),
    )
)
_TIMES = {"smtplib": 0.01, "app": 0.08, "app.db": 0.05, "app.web": 0.02, "app.web.views": 0.01, "wave": 0.01}
_REPORT = Report(_LEAKS, False, {"gw0": "ok", "gw1": f"crashed {_HOSTILE}"}, History(_EVENTS, _TIMES))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    for name in (_STUB, "helper.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("import sys\n\n# <b>\nsys.modules['smtplib'] = None\n", encoding="utf-8")
    path = root / "report with blank.html"
    path.write_text(render_page(_REPORT, root), encoding="utf-8")
    return path


@pytest.fixture
def page(browser: Browser, file: Path) -> Iterator[Browser]:
    browser.open(file)
    yield browser
    assert browser.complaints == []
    assert browser.requests == [file.as_uri()]


def _files(page: Browser) -> list[str]:
    return page.texts(".card .file")


def test_nothing_is_executed_and_the_worst_comes_first(page: Browser) -> None:
    assert page.texts("#verdict") == [
        f"import leaks: 2 errors, 2 warnings (6 first imports)\nThe worst: {_STUB} (9 failed that met it)"
    ]
    assert _files(page) == [_STUB, _MAIL, f"{_HOSTILE}.py", "the test run"]
    assert page.js("[window.pwned === undefined, document.images.length, document.scripts.length]") == [
        True,
        0,
        2,
    ]
    assert page.texts("#gaps p") == [
        f"worker gw1: crashed {_HOSTILE}".strip(),
        "This report is not complete: the run ended before everything was seen.",
    ]
    assert page.texts("#facts span") == [
        "4 polluting files",
        "11 tests and files met a leak",
        "9 of them failed",
        "1 allowed",
        "1 contained by isolation",
        "6 first imports",
    ]


def test_a_card_tells_who_did_what_where_and_who_met_it(page: Browser) -> None:
    text = page.texts(".card")[0]
    assert "\nerror fake-left smtplib\n" in text
    assert f"by {_STUB} (collect), at {_STUB}:4" in text
    assert "smtplib was changed." in text
    assert page.texts(".card .advice")[0].startswith("Import what needs the fake in")
    assert page.texts(".card mark") == ["4sys.modules['smtplib'] = None", "2"]
    assert "3# <b>" in page.texts(".card pre > span")
    assert page.texts(".card .way li") == [f"{_STUB}:4 → helper", "helper.py:2 → smtplib"]
    assert page.texts(".card caption")[0] == "Met by 10 tests or files, of which 9 failed"
    assert len(page.texts(".card tbody tr")) == 7
    page.click(".card .more")
    assert len(page.texts(".card tbody tr")) == 11
    assert page.texts(".card tbody tr")[9].split() == [
        "passed",
        "tests/test_other.py",
        "collect",
        "tests/test_other.py:2",
    ]


def test_filters_narrow_all_sections_and_can_be_reset(page: Browser) -> None:
    assert page.texts("#shown") == ["4 of 6 leaks"]
    page.press("/")
    assert page.js("document.activeElement.id") == "search"
    page.press(*"SMTP mail")
    page.settle()
    assert _files(page) == [_STUB]
    assert page.texts("#shown") == ["1 of 6 leaks"]
    assert page.texts(".matrix tbody th") == ["stub/test_stub.py"]
    assert page.js("document.querySelectorAll('.mark.began').length") == 3  # in both lanes, and in the key
    page.press(*"nothing")
    page.settle()
    assert page.texts(".empty") == [
        "No leak matches the filters.",
        "No test and no file met a leak that is shown.",
    ]
    page.click("#reset")
    page.settle()
    assert len(_files(page)) == 4
    page.click("#severities input[value=error]")
    page.settle()
    assert _files(page) == [f"{_HOSTILE}.py", "the test run"]
    page.click("#severities input[value=allowed]")
    page.click("#severities input[value=contained]")
    page.settle()
    assert page.texts("#shown") == ["4 of 6 leaks"]
    assert page.texts("#severities label") == ["errors (2)", "warnings (2)", "allowed (1)", "contained (1)"]
    page.js("kind.value = 'fake-left'; kind.dispatchEvent(new Event('input', {bubbles: true}))")
    page.settle()
    assert sorted(_files(page)) == ["tests/test_allowed.py", "tests/test_contained.py"]
    assert page.js("[...kind.options].map(o => o.text)") == [
        "all",
        "fake-left (3)",
        "path-added (2)",
        "removed (1)",
    ]


def test_the_filter_by_worker_keeps_what_every_worker_did(page: Browser) -> None:
    page.js("worker.value = 'gw1'; worker.dispatchEvent(new Event('input', {bubbles: true}))")
    page.settle()
    assert _files(page) == [_STUB, f"{_HOSTILE}.py", "the test run"]
    assert page.texts(".lane .who") == ["gw1"]


def test_a_cell_of_the_matrix_leads_to_the_leak(page: Browser) -> None:
    assert page.texts(".matrix thead th") == ["mail/test_mail.py", "test_other.py"]
    assert [row.split() for row in page.texts(".matrix tbody tr")] == [["stub/test_stub.py", "9/9", "1"]]
    assert page.texts("#table > .more") == ["also 1 polluting file without victims"]
    page.click("#table > .more")
    assert [row.split() for row in page.texts(".matrix tbody tr")] == [
        ["stub/test_stub.py", "9/9", "1"],
        ["mail/test_mail.py", "1"],
    ]
    page.click("#close-all")
    assert page.texts(".leak") == []
    page.click(".matrix td button", 2)
    assert page.js("document.activeElement.id") == "leak-2"
    assert len(page.texts(".leak")) == 1
    assert page.js("document.querySelector('.matrix button').getAttribute('aria-label')") == (
        f"{_STUB} to {_MAIL}: met by 9, 9 failed"
    )


def test_the_timeline_shows_where_leaks_began_and_were_met(page: Browser) -> None:
    rows = page.texts("#rows tbody tr")
    assert rows[0].split() == ["1", "gw0", "collect", _STUB, "passed", "fake-left", "smtplib"]
    assert "1 file collected, in which no leak began and none was met" in rows[1]
    assert rows[4].split()[:5] == ["5", "gw0", "test", f"{_MAIL}::test_1", "failed"]
    assert rows[4].split()[5:] == ["removed", "app.db", "smtplib", "of", _STUB]
    assert rows[-1].split() == ["between", "tests,", "or", "at", "the", "end", "path-added", "/opt"]
    assert page.texts(".lane .who") == ["gw0", "gw1"]
    widths = "[...document.querySelectorAll('.lane:nth-child(2) .strip button')].map(e => Math.round(parseFloat(e.style.width)))"
    assert page.js(widths) == [25, 25, 25, 25]
    page.click("#timeline-tools button", 1)
    assert page.js(widths) == [5, 5, 5, 40]
    label = page.js("document.querySelector('.lane:nth-child(2) .strip button:nth-child(4)').ariaLabel")
    assert label == "tests/test_other.py: 1 test, 8.00 s, 1 leak met"
    page.click(".lane:nth-child(2) .strip button", 3)
    assert "tests/test_other.py::test_last" in page.js("document.activeElement.innerText")
    page.click("#rows a")
    assert page.js("[document.activeElement.id, location.hash]") == ["leak-1", "#leak-1"]


def test_the_chart_of_imports_zooms_by_click_and_back(page: Browser) -> None:
    assert page.texts(".icicle div")[:2] == ["the run", _STUB]
    assert page.texts("#crumbs") == ["the run"]
    page.js(
        "window.box = name => [...document.querySelectorAll('.icicle div')].findIndex(e => e.textContent === name)"
    )
    page.click(".icicle div", page.js("box('app')"))
    assert page.texts("#crumbs b") == ["app"]
    assert page.texts("#crumbs button") == ["the run", _STUB]
    assert page.texts(".icicle div") == ["app", "app.db", "app.web", "app.web.views"]
    assert page.js("[...document.querySelectorAll('.icicle div')].map(e => parseFloat(e.style.width))") == [
        100,
        pytest.approx(62.5),
        pytest.approx(25),
        pytest.approx(12.5),
    ]
    assert page.texts("#module") == [
        f"app · 4 modules · 80 ms, of which 10 ms its own · imported at app.py:1 by {_STUB}"
    ]
    page.click("#crumbs button")
    assert page.texts("#crumbs") == ["the run"]
    page.click("#icicle-tools button", 1)
    assert page.js(
        "parseFloat(document.querySelectorAll('.icicle div')[box('app')].style.width)"
    ) == pytest.approx(66.667, abs=0.01)
    assert (
        page.js(
            "document.querySelectorAll('.icicle div')[box('smtplib')].className.split(' ').includes('error')"
        )
        is True
    )


def test_the_chart_of_imports_is_moved_through_by_keys(page: Browser) -> None:
    page.js("document.querySelector('.icicle [tabindex=\"0\"]').focus()")
    at = "document.activeElement.getAttribute('aria-label')"
    assert page.js(at) == "the run, 6 modules, 100 ms"
    page.press("ArrowDown", "ArrowDown")
    assert page.js(at) == "app, 4 modules, 80 ms"
    page.press("ArrowRight")
    assert page.js(at) == "smtplib, 1 module, 10 ms, error"
    page.press("ArrowLeft", "Enter", "ArrowDown", "ArrowRight")
    assert page.js(at) == "app.web, 2 modules, 20 ms"
    page.press("ArrowUp", "Escape")
    assert page.texts("#crumbs b") == [_STUB]
    assert page.js(at) == "app, 4 modules, 80 ms"


def test_an_address_with_a_leak_opens_it(browser: Browser, file: Path) -> None:
    browser.open(file, "#leak-5")
    assert browser.js("document.activeElement.id") == "leak-5"
    browser.open(file, "#leak-99")
    assert browser.js("document.activeElement.tagName") == "BODY"
    assert browser.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_is_that_of_the_system_until_another_is_chosen(
    browser: Browser, file: Path, scheme: str
) -> None:
    browser.open(file, scheme=scheme)
    theme = "document.documentElement.dataset.theme"
    assert browser.js(theme) == scheme
    assert (
        browser.js("getComputedStyle(document.body).backgroundColor")
        == {
            "light": "rgb(247, 247, 248)",
            "dark": "rgb(16, 19, 23)",
        }[scheme]
    )
    seen = []
    for _ in range(3):
        browser.click("#theme")
        seen.append((browser.texts("#theme")[0], browser.js(theme)))
    assert seen == [("Theme: light", "light"), ("Theme: dark", "dark"), ("Theme: auto", scheme)]


def test_every_control_has_a_name_and_can_be_reached_by_key(page: Browser) -> None:
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    roles = {
        "button",
        "link",
        "checkbox",
        "combobox",
        "searchbox",
        "textbox",
        "treeitem",
        "table",
        "tree",
        "region",
    }
    found = [
        (node["role"]["value"], node.get("name", {}).get("value"))
        for node in nodes
        if not node["ignored"] and node["role"]["value"] in roles
    ]
    assert {role for role, _ in found} >= {
        "button",
        "link",
        "checkbox",
        "combobox",
        "searchbox",
        "tree",
        "treeitem",
    }
    assert [role for role, name in found if not name and role != "table"] == []
    reached = set()
    for _ in range(60):
        page.press("Tab")
        reached.add(
            page.js(
                "document.activeElement.id || document.activeElement.className || document.activeElement.tagName"
            )
        )
    assert {"theme", "search", "kind", "worker", "reset", "SUMMARY", "table", "rows"} <= reached
    for many in (".icicle", ".matrix", ".strip"):
        assert page.js(f"document.querySelector('{many}').querySelectorAll('[tabindex=\"0\"]').length") == 1


def test_the_arrow_keys_move_in_the_matrix_and_the_timeline(page: Browser) -> None:
    at = "document.activeElement.getAttribute('aria-label')"
    page.click("#table > .more")
    page.js("document.querySelector('.matrix button').focus()")
    page.press("ArrowRight", "ArrowDown")
    assert page.js(at) == f"{_MAIL} to tests/test_other.py: met by 1, 0 failed"
    page.press("ArrowDown", "ArrowUp", "ArrowLeft")
    assert page.js(at) == f"{_STUB} to {_MAIL}: met by 9, 9 failed"
    page.press("Enter")
    assert page.js("document.activeElement.id") == "leak-1"
    page.js("document.querySelector('.strip button').focus()")
    page.press("ArrowRight", "ArrowDown")
    assert page.js(at) == f"{_MAIL}: collection, 1.00 s"
    assert page.js(
        "document.querySelectorAll('.strip')[0].querySelector('[tabindex=\"0\"]') === document.activeElement"
    )


def test_what_was_opened_and_closed_stays_so_when_the_filters_change(page: Browser) -> None:
    page.click("#close-all")
    page.click(".card summary", 1)
    assert len(page.texts(".leak")) == 1
    page.js("search.focus()")
    page.press(*"tests")
    page.settle()
    assert _files(page) == [_STUB, _MAIL]
    assert len(page.texts(".leak")) == 1


def test_on_paper_all_cards_are_open_and_the_controls_are_gone(page: Browser) -> None:
    page.click("#close-all")
    page.js("dispatchEvent(new Event('beforeprint'))")
    assert len(page.texts(".leak")) == 4
    page.call("Emulation.setEmulatedMedia", media="print")
    assert page.texts("#filters, #theme, #open-all") == []
    page.call("Emulation.setEmulatedMedia", media="")
    page.js("dispatchEvent(new Event('afterprint'))")
    assert page.texts(".leak") == []


@pytest.mark.parametrize("width", [360, 390, 1024, 1600])
def test_the_page_is_not_wider_than_the_window(browser: Browser, file: Path, width: int) -> None:
    browser.open(file, width=width)
    assert browser.js("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    inner = (
        "[...document.querySelectorAll('.card, .source, #rows, td')].filter(e => e.scrollWidth > e.clientWidth + 1"
        " && getComputedStyle(e).overflowX !== 'visible').length"
    )
    assert width > 390 or browser.js(inner) == 0


def test_on_a_phone_cells_stack_and_the_heads_of_the_matrix_are_short(browser: Browser, file: Path) -> None:
    browser.open(file, width=390)
    assert browser.js("getComputedStyle(document.querySelector('#rows td')).display") == "inline-block"
    assert browser.js("getComputedStyle(document.querySelector('#rows thead')).display") == "none"
    assert browser.texts("#rows tbody tr:first-child td") == [
        *("1", "gw0", "collect", f"{_STUB} passed", "fake-left smtplib"),
    ]
    label = "getComputedStyle(document.querySelector('#rows td:nth-child(5)'), '::before').content"
    assert browser.js(label) == '"began here: "'
    assert browser.js("document.querySelector('.matrix tbody th').getBoundingClientRect().width") <= 9 * 16


def test_node_ids_break_after_what_separates_their_parts(page: Browser) -> None:
    parts = page.js(
        "[...document.querySelector('.victims code').childNodes].filter(n => n.nodeType === 3).map(n => n.data)"
    )
    assert parts == ["tests/", "mail/", "test_", "mail.py::", "test_", "0"]
    assert page.js("document.querySelector('.victims code').textContent") == f"{_MAIL}::test_0"


def test_many_leaks_of_a_file_are_grouped_as_in_the_terminal(browser: Browser, tmp_path: Path) -> None:
    leaks = [
        _leak("fake-left", f"m{n}", "test_a.py", location=Location("test_a.py", n, exact=True))
        for n in range(41)
    ]
    leaks[30] = leaks[30]._replace(exposed=(_met("test_b.py::test", "failed"),), count=7)
    leaks += [_leak("reloaded", f"r{n}", "test_a.py")._replace(detail=f"Held by {n}.") for n in range(2)]
    path = tmp_path / "report.html"
    path.write_text(render_page(Report(tuple(leaks)), tmp_path), encoding="utf-8")
    browser.open(path, "#leak-40")
    titles = browser.texts(".leak h3")
    assert titles[0].startswith("error fake-left m30, m0, m1,")
    assert titles[1:] == ["warning reloaded r0", "warning reloaded r1"]
    assert browser.js("document.activeElement.id") == "leak-30"
    assert (
        browser.texts(".leak .by")[0]
        == "by test_a.py (collect), 47 changes in all, at test_a.py:30 and 40 more places"
    )
    assert browser.texts(".leak h3 .more") == ["… and 29 more names"]
    browser.click(".leak h3 .more")
    assert "m40" in browser.texts(".leak h3")[0]
    browser.click(".places summary")
    browser.settle()
    assert len(browser.texts(".places li")) == 40
    assert browser.complaints == []


def test_five_leaks_take_one_page_of_paper(browser: Browser, tmp_path: Path) -> None:
    victims = tuple(_met(f"tests/test_other_things.py::test_{n}", "failed") for n in range(4))
    leaks = tuple(
        _leak(
            "fake-left",
            f"module{n}",
            f"tests/test_{n}.py",
            location=Location("s.py", 9, exact=True),
            exposed=victims,
        )
        for n in range(5)
    )
    (tmp_path / "s.py").write_text("sys.modules['x'] = MagicMock()\n" * 20, encoding="utf-8")
    path = tmp_path / "report.html"
    path.write_text(render_page(_REPORT._replace(leaks=leaks), tmp_path), encoding="utf-8")
    browser.open(path)
    printed = b64decode(browser.call("Page.printToPDF", printBackground=True)["data"])
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1
    assert len(browser.texts(".leak")) == 5  # as before


def test_the_key_of_the_timeline_explains_what_is_hatched_and_no_label_is_cut(page: Browser) -> None:
    assert page.texts("#timeline-tools .key") == [
        *("a leak began", "was met", "was met, and the test failed"),
        *("collection of a file", "its tests", "some of them failed"),
    ]
    narrow = (
        "[...document.querySelectorAll('.strip button:not(:empty)')].filter(e => e.offsetWidth < 50).length"
    )
    assert page.js(narrow) == 0


_NO_EVENTS = "the order is that of the leaks: this report was written without the events of the run"


@pytest.mark.parametrize(
    ("report", "shown"),
    [
        (
            Report(),
            [
                "Nothing was left behind.",
            ],
        ),
        (Report(_LEAKS), [_STUB, _MAIL, f"{_HOSTILE}.py", "the test run", _NO_EVENTS]),
        (
            Report((_leak("fake-left", "x", "", "configure", allowed=True),)),
            ["the test run", _NO_EVENTS],
        ),
    ],
    ids=["empty", "without events", "only allowed"],
)
def test_reports_without_much_in_them_are_shown(
    browser: Browser, tmp_path: Path, report: Report, shown: list[str]
) -> None:
    path = tmp_path / "report.html"
    path.write_text(render_page(report, tmp_path), encoding="utf-8")
    browser.open(path)
    assert browser.complaints == []
    assert browser.texts(".empty, .card .file, #timeline-note") == shown


def test_many_leaks_are_shown_by_and_by(browser: Browser, tmp_path: Path) -> None:
    leaks = tuple(
        _leak(
            "fake-left",
            f"m{n}",
            f"tests/test_{n:03}.py",
            exposed=(_met(f"tests/test_{n + 1:03}.py::test", "failed"),),
        )
        for n in range(300)
    )
    path = tmp_path / "report.html"
    path.write_text(render_page(Report(leaks), tmp_path), encoding="utf-8")
    browser.open(path, "#leak-290")
    assert browser.js("document.activeElement.id") == "leak-290"
    assert len(browser.texts(".card")) == 61  # and the one that was asked for
    browser.click("#cards > .more")
    assert len(browser.texts(".card")) == 300
    assert browser.texts("#table > p") == [
        "The 40 worst; not shown: 260 polluting files, 260 exposed files. Search to narrow it down."
    ]
    assert len(browser.texts("#rows tbody tr")) == 60
    browser.click(".strip button", 299)
    assert len(browser.texts("#rows tbody tr")) == 600
    assert browser.complaints == []
