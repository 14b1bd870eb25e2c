"""What the plugin does, tried by inner runs that need no process of their own.

Where Python has no processes (WebAssembly), these run in the process of the outer run. Nothing here depends on
what that has loaded.
"""

from __future__ import annotations

import sys
from typing import Any

import pytest

_APP = {
    "app/__init__.py": "",
    "app/settings.py": "import os\nDEBUG = os.environ.get('INP_DEBUG', '')\n",
    "app/mail.py": "from inp_smtp import SMTP\n",
    "app/numbers.py": "try:\n    import inp_fast\nexcept ImportError:\n    inp_fast = None\n",
    "inp_fast.py": "",
    "inp_smtp.py": "class SMTP: pass\n",
}
_STUBBED = "import sys\nfrom types import ModuleType\nsys.modules['inp_smtp'] = ModuleType('inp_smtp')\ndef test_it(): pass\n"
_VICTIM = "def test_mail():\n    import app.mail\n"


def test_marks_and_fixtures(suite: Any) -> None:
    run = suite.run(
        {
            **_APP,
            "test_it.py": """
            import importlib
            import sys
            import pytest

            @pytest.mark.isolated_imports(fakes={"inp_smtp": {"SMTP": int}})
            def test_fakes():
                from app import mail
                assert mail.SMTP is int

            @pytest.mark.isolated_imports(missing="inp_fast")
            def test_missing():
                from app import numbers
                assert numbers.inp_fast is None

            @pytest.mark.isolated_imports(fresh="app.settings")
            def test_fresh(monkeypatch):
                monkeypatch.setenv("INP_DEBUG", "1")
                from app import settings
                assert settings.DEBUG == "1"

            @pytest.mark.isolated_imports(unloaded="*")
            def test_unloaded():
                assert "json" not in sys.modules
                import json
                assert json.loads("1") == 1

            def test_nothing_is_left():
                from app import mail, numbers, settings
                assert (mail.SMTP.__module__, settings.DEBUG) == ("inp_smtp", "")
                assert numbers.inp_fast is not None

            def test_fixtures(fresh_import, fake_module, missing_modules, make_package, monkeypatch):
                fake = fake_module("inp_smtp", SMTP=float)
                assert fresh_import("app.mail").SMTP is float
                missing_modules("inp_fast")
                with pytest.raises(ModuleNotFoundError):
                    import inp_fast
                make_package({"inp_made/__init__.py": "VALUE = 1", "inp_made/part.py": "from inp_made import VALUE"})
                assert importlib.import_module("inp_made.part").VALUE == 1

            def test_guards(trace_imports, import_budget, assert_importable, assert_no_circular_imports):
                with trace_imports(fresh="app") as trace:
                    import app.mail
                assert list(trace) == ["app", "app.mail"]
                import_budget("app.mail", max_modules=3)
                assert_importable("app")
                assert_no_circular_imports("app")

            def test_nothing_is_left_of_that():
                assert "inp_made" not in sys.modules
                import inp_fast
            """,
        }
    )
    assert run.outcomes == {"passed": 8}
    assert run.kinds == []


@pytest.mark.skipif(sys.platform == "emscripten", reason="the outer run stands on the call stack, too")
def test_a_leak_is_told_with_its_line_and_who_met_it(suite: Any) -> None:
    run = suite.run({**_APP, "test_a.py": _STUBBED, "test_b.py": _VICTIM}, "--import-leak-report")
    assert run.outcomes == {"passed": 1, "failed": 1}
    leak = run.leak("fake-left", "inp_smtp")
    assert leak["polluter"] == {"nodeid": "test_a.py", "phase": "collect"}
    assert leak["location"] == {"file": "test_a.py", "line": 3, "exact": True}
    assert [(met["nodeid"], met["file"], met["outcome"]) for met in leak["exposed"]] == [
        ("test_b.py::test_mail", "app/mail.py", "failed")
    ]
    assert "imported here at app/mail.py:1" in run.output
    assert run.section.startswith("error: fake-left inp_smtp\n    by test_a.py (collect), at test_a.py:3\n")


def test_a_run_fails_for_leaks_that_are_not_known(suite: Any) -> None:
    files = {**_APP, "test_a.py": _STUBBED}
    known = "--import-leak-baseline=known.json"
    assert suite.run(files, "--import-leak-fail").status == 1
    assert suite.run(files, known, "--import-leak-write-baseline").status == 0
    assert suite.run(files, known, "--import-leak-fail").status == 0
    assert suite.run(files, "--import-leak-fail", "--import-leak-allow=fake-left:inp_*").status == 0


@pytest.mark.parametrize("mode", ["file", "test"])
def test_the_same_suite_passes_isolated(suite: Any, mode: str) -> None:
    run = suite.run({**_APP, "test_a.py": _STUBBED, "test_b.py": _VICTIM}, f"--isolate-imports={mode}")
    assert run.outcomes == {"passed": 2}
    assert run.leak("fake-left", "inp_smtp")["contained"]


def test_effects_are_told(suite: Any) -> None:
    run = suite.run("import os\ndef test_it():\n    os.environ['INP_LEFT'] = 'x'\n", "--import-leak-effects")
    assert run.blamed("effect", "os.environ:INP_LEFT") == ("test_it.py::test_it", "call")


_LAZY = {
    "app/__init__.py": "",
    "app/views.py": "lazy import inp_heavy\n\ndef show():\n    return inp_heavy.VALUE\n",
    "inp_heavy.py": "VALUE = 1\n",
    "test_a.py": "import app.views\ndef test_import(): pass\n",
    "test_b.py": """
    import types
    import app.views
    def test_use():
        assert type(app.views.__dict__["inp_heavy"]) is types.LazyImportType
        assert app.views.show() == 1
    def test_again():
        assert app.views.show() == 1
    """,
}

lazy = pytest.mark.skipif(sys.version_info < (3, 15), reason="lazy imports come with Python 3.15")


@lazy
def test_a_lazy_import_that_a_later_test_resolves_is_attributed_to_both_lines(suite: Any) -> None:
    run = suite.run(_LAZY, "--import-leak-report", "-vv")
    assert run.outcomes == {"passed": 3}
    loaded = run.leak("loaded", "inp_heavy")
    assert loaded["polluter"] == {"nodeid": "test_b.py::test_use", "phase": "call"}
    assert loaded["location"] == {"file": "app/views.py", "line": 4, "exact": True}
    resolved = "which resolved the lazy import at app/views.py:1"
    assert loaded["detail"] == f"inp_heavy was imported for the first time, {resolved}."
    told = f"inp_heavy by test_b.py::test_use (call), at app/views.py:4, {resolved}"
    assert told in " ".join(run.section.split())
    assert run.kinds == []


@lazy
def test_a_lazy_import_waits_again_for_each_isolated_test(suite: Any) -> None:
    waits = 'assert type(app.views.__dict__["inp_heavy"]) is types.LazyImportType\n        assert app.views'
    files = {**_LAZY, "test_b.py": _LAZY["test_b.py"].replace("assert app.views", waits)}
    run = suite.run(files, "--isolate-imports=test")
    assert run.outcomes == {"passed": 3}


@lazy
def test_who_resolves_what_is_faked_is_exposed(suite: Any) -> None:
    polluter = "import sys\nfrom types import ModuleType\ndef test_fake():\n    sys.modules['inp_heavy'] = ModuleType('inp_heavy')\n"
    run = suite.run({**_LAZY, "test_a.py": polluter}, "--import-leak-report", "-p", "no:randomly")
    leak = run.leak("fake-left", "inp_heavy")
    assert [(met["nodeid"], met["file"], met["line"]) for met in leak["exposed"]] == [
        ("test_b.py::test_use", "app/views.py", 4)
    ]


@lazy
def test_mode_and_filter_of_lazy_imports_are_effects(suite: Any) -> None:
    run = suite.run(
        """
        import sys
        def test_mode(): sys.set_lazy_imports("all")
        def test_filter(): sys.set_lazy_imports_filter(lambda *asked: True)
        def test_undone():
            sys.set_lazy_imports("normal")
            sys.set_lazy_imports_filter(None)
        """,
        "--import-leak-effects",
    )
    assert [(leak["name"], leak["polluter"]["nodeid"]) for leak in run.leaks] == [
        ("sys.set_lazy_imports", "test_it.py::test_mode"),
        ("sys.set_lazy_imports_filter", "test_it.py::test_filter"),
        ("sys.set_lazy_imports", "test_it.py::test_undone"),
        ("sys.set_lazy_imports_filter", "test_it.py::test_undone"),
    ]


_LAZY_SUITE = {
    "lazy_one.py": "",
    "lazy_two.py": "",
    "sets.py": "import sys\ndef chosen(*asked): return True\nsys.set_lazy_imports_filter(chosen)\n",
    "test_a.py": """
    import sys
    import lazy_one
    sys.set_lazy_imports("all")
    import lazy_two
    ARE_LAZY = [type(globals()[name]).__name__ == "lazy_import" for name in ("lazy_one", "lazy_two")]
    def test_mode():
        assert sys.get_lazy_imports() == "all"
        assert ARE_LAZY == [False, True]
    """,
    "test_b.py": """
    import sys
    import pytest

    @pytest.fixture(scope="module")
    def lazily():
        sys.set_lazy_imports("all")
        yield
        sys.set_lazy_imports("normal")

    def test_mode_of_another_file(): assert sys.get_lazy_imports() == "normal"
    @pytest.mark.parametrize("number", [1, 2])
    def test_wide_fixture(lazily, number): assert sys.get_lazy_imports() == "all"
    @pytest.mark.parametrize("number", [1, 2])
    def test_set_by_a_module(number):
        import sets
        assert sys.get_lazy_imports_filter() is sets.chosen
    """,
    "test_c.py": "import sys\ndef test_filter_of_another_file(): assert sys.get_lazy_imports_filter() is None\n",
}


@lazy
@pytest.mark.parametrize("mode", ["file", "test"])
def test_mode_and_filter_of_lazy_imports_are_those_of_the_file_or_test(suite: Any, mode: str) -> None:
    run = suite.run(_LAZY_SUITE, f"--isolate-imports={mode}")
    assert run.outcomes == {"passed": 7}


@lazy
def test_where_a_conftest_makes_all_imports_lazy_leaks_are_told_and_contained(suite: Any) -> None:
    files = {
        **_APP,
        "conftest.py": "import sys\nsys.set_lazy_imports('all')\n",
        "test_a.py": _STUBBED,
        "test_b.py": "from app import mail\ndef test_mail(): assert mail.SMTP().__module__ == 'inp_smtp'\n",
    }
    run = suite.run(files, "--import-leak-report")
    assert run.outcomes == {"passed": 1, "failed": 1}
    assert run.leak("fake-left", "inp_smtp")["exposed"][0]["nodeid"] == "test_b.py::test_mail"
    for mode in ("file", "test"):
        assert suite.run({}, f"--isolate-imports={mode}").outcomes == {"passed": 2}
