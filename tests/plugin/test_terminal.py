"""The whole report of one small suite, as a user sees it."""

from __future__ import annotations

import re
from textwrap import dedent
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

_SUITE = {
    "shop/__init__.py": "",
    "shop/db.py": "class Connection: pass\n",
    "conftest.py": "import sys\nsys.path.append('/vendor')\n",
    "test_alarm.py": """\
        import sys
        from unittest.mock import MagicMock

        for name in ("boto", "boto.session"):
            sys.modules[name] = MagicMock()

        def test_alarm():
            pass
    """,
    "test_shop.py": """\
        import sys
        import pytest
        import shop.db

        def test_reload():
            del sys.modules["shop.db"]

        @pytest.mark.isolated_imports
        def test_isolated():
            sys.modules["undone"] = None
    """,
}


def _first_imports(text: str) -> str:
    # How many modules pytest itself imports differs from version to version.
    return re.sub(r"\d+ first imports?", "N first imports", text.strip("\n"))


def test_the_whole_report(suite: Suite) -> None:
    run = suite.run(_SUITE, "--import-leak-report", report=False)
    assert run.outcomes == {"passed": 3}
    assert _first_imports(run.section) == dedent(
        """\
        error: fake-left boto, boto.session
            by test_alarm.py (collect), at test_alarm.py:5
            Its entry in sys.modules is a unittest.mock.MagicMock: every later import
                gets that.
            Import what needs the fake in "with
                IsolatedImportContext(fakes={"boto": {...}}):". Tests whose code imports
                boto later also need @pytest.mark.isolated_imports(fakes=...).
        error: removed shop.db
            by test_shop.py::test_reload (call), at test_shop.py:6
            It was loaded, and its entry is gone: the next import loads a second copy.
            Use @pytest.mark.isolated_imports(fresh="shop.db") or the fresh_import
                fixture: the first copy comes back after the test.
        warning: path-added /vendor
            by conftest.py (conftest), at conftest.py:2
            It was added to sys.path.
            Use @pytest.mark.isolated_imports(path=["/vendor"]) or
                monkeypatch.syspath_prepend(), or name the directory in the pythonpath
                option of pytest.
        contained: 1 change undone by isolation (blocked-left undone)
        import leaks: 3 errors, 1 warning (N first imports)"""
    )


def test_advice_that_is_followed_cures(suite: Suite) -> None:
    run = suite.run(
        {
            **_SUITE,
            "conftest.py": "",
            "pytest.ini": "",
            "test_alarm.py": """\
                import pytest

                @pytest.mark.isolated_imports(fakes={"boto": {}, "boto.session": {}})
                def test_alarm():
                    import boto.session
            """,
            "test_shop.py": """\
                import sys
                import pytest
                import shop.db

                @pytest.mark.isolated_imports(fresh="shop.db")
                def test_reload():
                    del sys.modules["shop"]
            """,
        }
    )
    assert run.outcomes == {"passed": 2}
    assert [leak for leak in run.leaks if not leak["contained"]] == []
    assert "no import leaks (" in run.section


_MANY = {
    f"test_{n:02}.py": f"import sys\ndef test_it():\n    sys.modules['fake{n}'] = object()\n"
    for n in range(12)
}


def test_many_leaks_fit_on_a_screen_and_the_verdict_names_what_shows_all(suite: Suite) -> None:
    run = suite.run(_MANY, "--import-leak-report", report=False)
    section = run.section.strip("\n").splitlines()
    assert len(section) + 1 <= 24
    assert section[-1].startswith("import leaks: 12 errors, 0 warnings (")
    assert section[-1].endswith("; -v shows all")
    named = [line for line in section if line.startswith("error: ")]
    assert 3 < len(named) < 12
    assert sum(int(line.split()[0]) for line in section if line.split()[0].isdigit()) == 12 - len(named)
    run = suite.run({}, "--import-leak-report", "-v", report=False)
    assert run.section.count("error: fake-left fake") == 12
    assert "shows all" not in run.section


def test_the_width_of_the_terminal_is_respected(suite: Suite) -> None:
    for width in (60, 200):
        run = suite.run(_SUITE, "--import-leak-report", report=False, env={"COLUMNS": str(width)})
        lines = run.section.splitlines()[:-1]  # the verdict is one line
        assert max(map(len, lines)) <= width
        assert any(len(line) > 100 for line in lines) is (width == 200)


def test_colours_are_those_of_the_terminal(suite: Suite) -> None:
    run = suite.run(_SUITE, "--import-leak-report", "--color=yes", report=False)
    assert "\x1b[31m\x1b[1merror: fake-left boto, boto.session\x1b[0m" in run.output
    assert "\x1b[33mwarning: path-added /vendor\x1b[0m" in run.output
    assert "\x1b[31m\x1b[1mimport leaks: 3 errors, 1 warning (" in run.output
    assert "\x1b" not in suite.run({}, "--import-leak-report", "--color=no", report=False).output


def test_quiet_options_shorten_the_report_and_no_header_changes_nothing_of_it(suite: Suite) -> None:
    def told(*options: str) -> list[str]:
        run = suite.run(_SUITE, "--import-leak-report", *options, report=False)
        return _first_imports(run.section).splitlines()

    full = told()
    assert told("--no-header") == full
    assert told("-q") == [
        "error: fake-left boto, boto.session by test_alarm.py (collect), at test_alarm.py:5",
        "error: removed shop.db by test_shop.py::test_reload (call), at test_shop.py:6",
        full[-1],
    ]
    quiet = suite.run({}, "--import-leak-report", "-qq", report=False).output
    assert full[-1] in _first_imports(quiet).splitlines()
    assert "error: " not in quiet
    assert "= import leaks =" not in quiet
