"""The whole report of one small suite, as a user sees it."""

from __future__ import annotations

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
    head, bracket, tail = text.rpartition("(")
    assert " first import" in tail
    return f"{head}{bracket}N first imports){tail.partition(')')[2]}"


def test_the_whole_report(suite: Suite) -> None:
    run = suite.run(_SUITE, "--import-leak-report", report=False)
    assert run.outcomes == {"passed": 3}
    assert _first_imports(run.section.strip("\n")) == dedent(
        """\
        error: fake-left boto, boto.session
            by test_alarm.py (collect), at test_alarm.py:5
            Its entry in sys.modules is a unittest.mock.MagicMock: every later import
                gets that.
            Fake it for the tests that need it only: mark them with
                @pytest.mark.isolated_imports(fakes={"boto": {...}}), or use the
                fake_module fixture.
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
