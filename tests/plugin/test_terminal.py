"""The whole report of one small suite, as a user sees it."""

from __future__ import annotations

import json
import re
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

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
            Mark the test with @pytest.mark.isolated_imports: the first copy comes back
                after it. Or, in place of throwing it out or reloading it, use
                fresh="shop.db" in the mark or the fresh_import fixture.
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
        full[-1].replace("1 warning", "1 warning, 1 contained"),
    ]
    quiet = suite.run({}, "--import-leak-report", "-qq", report=False).output
    assert "import leaks: 3 errors, 1 warning, 1 contained (" in quiet
    assert "error: " not in quiet
    assert "= import leaks =" not in quiet


def test_without_a_value_each_file_is_isolated_and_the_last_line_says_what_was_contained(
    suite: Suite,
) -> None:
    files = {f"tests/{name}": text for name, text in _SUITE.items() if name != "conftest.py"}
    run = suite.run(files, "--isolate-imports", "tests", report=False)
    assert (run.status, run.outcomes) == (0, {"passed": 3})
    assert (
        "\n2 files were isolated: tests/test_alarm.py (boto, boto.session), tests/test_shop.py (undone, shop.db); "
        "--import-leak-report names the lines\n"
    ) in run.output


@pytest.mark.parametrize("mode", ["file", "test"])
def test_the_last_line_names_no_file_for_what_a_library_does_when_it_is_imported(
    suite: Suite, mode: str
) -> None:
    files = {
        "pytest.ini": "[pytest]\npythonpath = app lib/site-packages\n",
        "lib/site-packages/rebinding.py": """
            import sys, types, wave
            sys.path = [*sys.path]
            sys.modules["chunk"] = types.ModuleType("chunk")
            sys.modules["colorsys"] = wave
            sys.path_hooks.reverse()
        """,
        "app/shop/__init__.py": """
            import sys, types
            sys.modules["shop.moves"] = types.ModuleType("shop.moves")
        """,
        "test_lib.py": """
            import colorsys

            def test_it():
                import rebinding, shop

            def test_again():
                import rebinding, shop
        """,
        "test_script.py": """
            import sys, types
            def test_script():
                sys.modules["__main__"] = types.ModuleType("__main__")
                sys.modules["no-name"] = None
        """,
        "test_own.py": "def test_it(): import sys; sys.path = [*sys.path]\n",
    }
    run = suite.run(files, f"--isolate-imports={mode}", "test_lib.py", "test_script.py", report=False)
    assert run.outcomes == {"passed": 3}
    assert "isolated" not in run.output
    ini = {"pytest.ini": files["pytest.ini"]}
    run = suite.run(ini, f"--isolate-imports={mode}", report=False)
    assert (
        "\n1 file was isolated: test_own.py (sys.path); --import-leak-report names the lines\n" in run.output
    )
    run = suite.run(ini, f"--isolate-imports={mode}", "--import-leak-report", report=False)
    assert "contained: 1 change undone by isolation (rebound sys.path)\n" in run.output


def test_paths_are_those_from_where_one_stands_and_a_statement_in_many_tests_is_told_once(
    suite: Suite,
) -> None:
    run = suite.run(
        {
            "part/pytest.ini": "[pytest]",
            "part/conftest.py": """\
                import sys
                import pytest

                @pytest.fixture
                def fake():
                    sys.modules["boto"] = object()
            """,
            "part/test_many.py": """\
                import sys
                import pytest
                from unittest.mock import patch

                @pytest.mark.parametrize("number", range(9))
                def test_it(fake, number):
                    import colorsys
                    assert sys.modules.pop("boto") and colorsys
                    sys.modules["boto"] = object()

                def test_meets():
                    import boto

                def test_block():
                    import types
                    with patch.dict(sys.modules):
                        import wave, chunked
                    import held

                def test_fails():
                    import boto
                    assert boto.loads
            """,
            "part/chunked.py": "",
            "part/held.py": "",
        },
        *("--rootdir=part", "-c", "part/pytest.ini", "-vv", "--import-leak-file=part/report.json", "part"),
        report=False,
        env={"COLUMNS": "200"},
    )
    report = json.loads((suite.root / "part" / "report.json").read_text(encoding="utf-8"))
    leaks = [leak for leak in report["leaks"] if leak["severity"] != "info"]
    assert [
        (leak["kind"], leak["name"], leak.get("count"), leak["location"]["file"]) for leak in leaks[:1]
    ] == [("fake-left", "boto", 9, "test_many.py")]
    assert leaks[0]["polluter"]["nodeid"] == "test_many.py::test_it[0]"
    section = run.section
    assert (
        "by part/test_many.py::test_it[0] (call), the first of 9 such changes, at part/test_many.py:9"
        in section
    )
    assert "part/test_many.py::test_meets (call) at part/test_many.py:12: passed" in section
    assert "colorsys by part/test_many.py::test_it[0] (call), at part/test_many.py:7" in section
    assert "pytest_import_isolation." not in section
    assert (
        "python -m pytest_import_isolation who boto part/report.json tells who imported it first"
        in run.output
    )


_FAILURES = {
    "call": "def test_it(): assert 0\n",
    "setup": "import pytest\n@pytest.fixture\ndef f(): 1/0\ndef test_it(f): pass\n",
    "collect": "1/0\n",
}


@pytest.mark.parametrize("options", [(), ("-n1",)], ids=["alone", "xdist"])
@pytest.mark.parametrize("phase", _FAILURES)
def test_beside_failures_that_nothing_explains_the_last_line_promises_nothing(
    suite: Suite, phase: str, options: tuple[str, ...]
) -> None:
    files = {"test_it.py": _FAILURES[phase], "test_more.py": "def test_more(): pass\n"}
    plugins = ("xdist",) if options else ()
    run = suite.run(files, "--import-leak-report", *options, report=False, plugins=plugins)
    assert "no import leaks seen (" in run.section
    assert "keeps it so" not in run.section


def test_where_failures_are_expected_or_explained_the_last_line_promises_as_ever(suite: Suite) -> None:
    files = {
        "test_it.py": """
            import sys, pytest

            def test_first():
                import wave

            def test_lazy():
                assert "wave" not in sys.modules

            @pytest.mark.xfail
            def test_expected():
                assert 0
        """
    }
    run = suite.run(files, "--import-leak-report", report=False)
    assert run.outcomes["failed"] == 1
    assert "modules that were loaded before" in run.output
    assert "no import leaks (" in run.section
    assert "keeps it so" in run.section


def test_the_page_promises_as_little_as_the_terminal(suite: Suite) -> None:
    suite.run("def test_it(): assert 0\n", "--import-leak-file=page.html", report=False)
    page = (suite.root / "page.html").read_text(encoding="utf-8")
    assert "<title>no import leaks seen (" in page


_INSTALLING = """
    import builtins, os, sys
    DONE = {}

    class Finder:
        @classmethod
        def find_spec(cls, name, path=None, target=None): pass

    def into_meta_path():
        if DONE.setdefault("finder", Finder) not in sys.meta_path:
            sys.meta_path.append(Finder)

    def into_path():
        folder = os.path.join(os.path.dirname(__file__), "vendored")
        if folder not in sys.path:
            sys.path.append(folder)

    def around_import():
        if "import" not in DONE:
            known = DONE["import"] = builtins.__import__
            def asked(name, *args, **kwargs):
                return known(name, *args, **kwargs)
            builtins.__import__ = asked
"""


@pytest.mark.parametrize("mode", ["file", "test"])
@pytest.mark.parametrize("folder", ["", "site-packages/"])
@pytest.mark.parametrize("what", ["into_meta_path", "into_path", "around_import"])
def test_what_the_called_code_under_test_installs_is_not_told_as_isolated(
    suite: Suite, what: str, folder: str, mode: str
) -> None:
    files = {
        "pytest.ini": "[pytest]\npythonpath = . site-packages\n",
        f"{folder}lib/__init__.py": _INSTALLING,
        "tests/test_it.py": f"""
            def use():
                import lib
                lib.{what}()

            def test_one(): use()
            def test_two(): use()
        """,
    }
    run = suite.run(files, f"--isolate-imports={mode}", report=False)
    assert run.outcomes == {"passed": 2}
    assert "isolated" not in run.output
    run = suite.run({"pytest.ini": files["pytest.ini"]}, f"--isolate-imports={mode}", "tests")
    assert [leak for leak in run.leaks if leak["severity"] != "info"] == []


@pytest.mark.parametrize("mode", ["file", "test"])
def test_what_a_test_installs_with_a_class_of_the_code_under_test_is_told_as_isolated(
    suite: Suite, mode: str
) -> None:
    files = {
        "pytest.ini": "[pytest]\npythonpath = .\n",
        "lib/__init__.py": _INSTALLING,
        "tests/test_it.py": """
            def test_it():
                import sys, lib
                sys.meta_path.append(lib.Finder)
        """,
    }
    run = suite.run(files, f"--isolate-imports={mode}", report=False)
    assert "\n1 file was isolated: tests/test_it.py (sys.meta_path);" in run.output
