"""Modules that stay loaded, that count as first-party, and that fail when they are executed again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from tests.conftest import TAKES_LONG

if TYPE_CHECKING:
    from tests.plugin.conftest import Run, Suite

# A module that can be executed once per process: it registers itself in a module that stays.
_ONCE = {
    "app/__init__.py": "",
    "app/metrics.py": """
        import wave  # foreign: it is parked, and comes back as the same object
        if hasattr(wave, "registered"):
            raise ValueError("duplicated metric")
        wave.registered = True
    """,
}

_SENTENCE = """\
{name} failed in its second execution in this process: {who} imported it first, and isolation forgot it after that. If it can be executed only once, for example because it registers itself somewhere, keep it loaded:

    [pytest]
    import_isolation_keep = app.metrics
"""


@pytest.fixture(params=["file", "test"])
def mode(request: pytest.FixtureRequest) -> str:
    """Return each mode in turn."""
    return str(request.param)


def _sections(run: Run) -> list[str]:
    """Return the texts of all sections of failure reports that the isolation added, unwrapped."""
    rule = re.compile(
        r"^-+ import isolation -+\n(.*?)(?=^[-_=]{3,}|^\d+ files? (?:was|were) isolated: |\Z)",
        re.MULTILINE | re.DOTALL,
    )
    return [_unwrapped(text) for text in rule.findall(run.output)]


def _unwrapped(text: str) -> str:
    """Return the text on one line: the width of the terminal decides where lines break."""
    return " ".join(text.split())


@pytest.mark.parametrize("processes", ["-n0", pytest.param("-n1", marks=TAKES_LONG)])
def test_a_test_that_executes_a_module_again_says_so_and_names_the_option(
    suite: Suite, mode: str, processes: str
) -> None:
    files = {
        **_ONCE,
        "test_a.py": "def test_it():\n    import app.metrics\n",
        "test_b.py": "def test_it():\n    import app.metrics\n",
        "test_other.py": "def test_it():\n    raise OSError('of its own')\n",
    }
    options = (f"--isolate-imports={mode}", processes)
    run = suite.run(files, *options, plugins=("xdist",), report=False)
    assert run.outcomes == {"passed": 1, "failed": 2}
    who = "test_a.py" if mode == "file" else "test_a.py::test_it"
    assert _sections(run) == [_unwrapped(_SENTENCE.format(name="app.metrics", who=who))]
    # What it says helps.
    run = suite.run({}, *options, plugins=("xdist",), report=False, ini="import_isolation_keep = app.metrics")
    assert run.outcomes == {"passed": 2, "failed": 1}
    assert _sections(run) == []


@pytest.mark.parametrize("processes", ["-n0", pytest.param("-n1", marks=TAKES_LONG)])
def test_a_file_that_executes_a_module_again_says_so_when_it_cannot_be_collected(
    suite: Suite, mode: str, processes: str
) -> None:
    plant = """
        import sys
        sys.modules["fake"] = object()
        import app.metrics

        def test_it():
            pass
    """
    files = {**_ONCE, "test_a.py": plant, "test_b.py": plant}
    options = (f"--isolate-imports={mode}", processes, "--continue-on-collection-errors")
    run = suite.run(files, *options, plugins=("xdist",), report=False)
    assert run.outcomes == {"passed": 1, "error": 1}
    assert _sections(run) == [_unwrapped(_SENTENCE.format(name="app.metrics", who="test_a.py"))]
    run = suite.run({}, *options, plugins=("xdist",), report=False, ini="import_isolation_keep = app.metrics")
    assert run.outcomes == {"passed": 2}


def test_a_file_with_fakes_says_so_too_if_a_file_without_executed_the_module_first(
    suite: Suite, mode: str
) -> None:
    run = suite.run(
        {
            **_ONCE,
            "test_a.py": "import app.metrics\ndef test_it(): pass\n",
            "test_b.py": "import sys\nsys.modules['fake'] = object()\nimport app.metrics\n",
        },
        f"--isolate-imports={mode}",
        "--continue-on-collection-errors",
        report=False,
    )
    assert run.outcomes == {"passed": 1, "error": 1}
    assert _sections(run) == [_unwrapped(_SENTENCE.format(name="app.metrics", who="another test file"))]


def test_setups_teardowns_and_unittest_methods_say_so_too(suite: Suite, mode: str) -> None:
    run = suite.run(
        {
            **_ONCE,
            "test_a.py": "def test_it():\n    import app.metrics\n",
            "test_b.py": """
                import pytest

                @pytest.fixture
                def failing_in_setup():
                    import app.metrics

                @pytest.fixture
                def failing_in_teardown():
                    yield
                    import app.metrics

                def test_setup(failing_in_setup):
                    pass

                def test_teardown(failing_in_teardown):
                    pass

                def test_with_a_cause():
                    try:
                        import app.metrics
                    except ValueError as error:
                        raise RuntimeError("cannot start") from error

                def test_that_expects_it():
                    with pytest.raises(ValueError):
                        import app.metrics
            """,
            "test_c.py": """
                import unittest

                class TestIt(unittest.TestCase):
                    def test_method(self):
                        import app.metrics
            """,
        },
        f"--isolate-imports={mode}",
        report=False,
    )
    assert run.outcomes == {"passed": 3, "error": 2, "failed": 2}
    assert len(_sections(run)) == 4
    assert len(set(_sections(run))) == 1


def test_a_module_that_fails_at_its_first_execution_is_not_said_to_be_executed_again(
    suite: Suite, mode: str
) -> None:
    run = suite.run(
        {
            "app/__init__.py": "",
            "app/metrics.py": "raise ValueError('always')",
            "app/other.py": "",
            "test_a.py": "def test_it():\n    import app.metrics\n",
            "test_b.py": "def test_it():\n    import app.other, app.metrics\n",
            "test_c.py": "def test_it():\n    import app.other\n    assert False\n",
        },
        f"--isolate-imports={mode}",
        report=False,
    )
    assert run.outcomes == {"failed": 3}
    assert "always" in run.output
    assert _sections(run) == []


def test_keep_holds_modules_across_tests_and_files(suite: Suite, mode: str) -> None:
    use = """
        import sys

        def test_it():
            import app.kept, app.other
            assert app.kept.uses == list(range(len(app.kept.uses)))
            app.kept.uses.append(len(app.kept.uses))
            app.other.uses.append(1)
            assert len(app.kept.uses) == {number}
            assert app.other.uses == [1]
            assert sys.modules["app"].kept is app.kept
    """
    run = suite.run(
        {
            "app/__init__.py": "",
            "app/kept.py": "uses = []",
            "app/other.py": "uses = []",
            "test_a.py": use.format(number=1),
            # One with a world of its own, which imports both with a fake in place.
            "test_b.py": "import sys\nsys.modules['fake'] = object()\n" + _dedented(use.format(number=2)),
            "test_c.py": use.format(number=3),
        },
        f"--isolate-imports={mode}",
        report=False,
        ini="import_isolation_keep =\n    app.kept\n    nothing.*",
    )
    assert run.outcomes == {"passed": 3}


def _dedented(text: str) -> str:
    return text.replace("\n        ", "\n")


@pytest.mark.parametrize("pattern", ["", "mimetypes"])
def test_first_party_patterns_have_installed_modules_executed_again(
    suite: Suite, mode: str, pattern: str
) -> None:
    # The module itself sets its global: isolation undoes what a test writes into a module.
    use = """
        def test_it():
            import mimetypes
            assert mimetypes.inited is {found}
            mimetypes.init()
            assert mimetypes.inited is True
    """
    run = suite.run(
        {"test_a.py": use.format(found=False), "test_b.py": use.format(found=not pattern)},
        f"--isolate-imports={mode}",
        report=False,
        ini=f"import_isolation_first_party = {pattern}",
    )
    assert run.outcomes == {"passed": 2}


_FRESH_SENTENCE = """\
app.metrics failed in its second execution in this process: this test executes it anew. \
If it can be executed only once, for example because it registers itself somewhere, keep it loaded:

    {remedy}
"""
_FRESH_TEST = """
    import pytest
    import app.metrics, app.debug

    @pytest.mark.isolated_imports({parameters})
    def test_it(monkeypatch):
        monkeypatch.setenv("APP_DEBUG", "1")
        from app.debug import DEBUG
        assert DEBUG
"""
_DEBUG = {"app/debug.py": "import os\nfrom app import metrics\nDEBUG = 'APP_DEBUG' in os.environ\n"}


@pytest.mark.parametrize("parameters", ['fresh="app"', 'unloaded="*"', 'fresh=["app", "x"], unloaded="*"'])
def test_a_module_that_a_mark_executed_a_second_time_is_named_with_the_mark_that_keeps_it(
    suite: Suite, parameters: str
) -> None:
    files = {**_ONCE, **_DEBUG, "x.py": "", "test_it.py": _FRESH_TEST.format(parameters=parameters)}
    run = suite.run(files, report=False)
    assert run.outcomes == {"failed": 1}
    given = parameters.replace('["app", "x"]', "['app', 'x']")
    remedy = f'@pytest.mark.isolated_imports({given}, keep="app.metrics")'
    assert _sections(run) == [_unwrapped(_FRESH_SENTENCE.format(remedy=remedy))]
    # What it says helps.
    kept = _FRESH_TEST.format(parameters=f'{parameters}, keep="app.metrics"')
    assert suite.run({"test_it.py": kept}, report=False).outcomes == {"passed": 1}
    again = {"test_it.py": _FRESH_TEST.format(parameters=parameters)}
    run = suite.run(again, report=False, ini="import_isolation_keep = app.metrics")
    assert run.outcomes == {"passed": 1}


def test_a_fixture_that_executed_a_module_a_second_time_is_told_the_key_that_keeps_it(suite: Suite) -> None:
    test = """
        import app.debug

        def test_it(fresh_import):
            assert fresh_import("app.debug", env={"APP_DEBUG": "1"}, deep=True).DEBUG

        def test_what_fails_was_asked_for(fresh_import):
            fresh_import("app.metrics")
    """
    run = suite.run({**_ONCE, **_DEBUG, "test_it.py": test}, report=False)
    assert run.outcomes == {"failed": 2}
    ini = "[pytest]\n    import_isolation_keep = app.metrics"
    assert _sections(run)[0] == _unwrapped(_FRESH_SENTENCE.format(remedy=ini))
    run = suite.run({}, report=False, ini="import_isolation_keep = app.metrics")
    assert run.outcomes == {"passed": 1, "failed": 1}
    assert "ParameterError: fresh='app.metrics' and keep='app.metrics' contradict each other" in run.output


@pytest.mark.parametrize(
    ("parameters", "ini", "said"),
    [
        ('fresh="app.debug", keep="app"', "", "fresh='app.debug' and keep='app'"),
        ('fresh="app.*", keep="app.*"', "", "fresh='app.*' and keep='app.*'"),
        ('fresh="app.debug"', "import_isolation_keep = app", "fresh='app.debug' and keep='app'"),
    ],
)
def test_a_mark_that_keeps_all_that_it_wants_fresh_is_a_usage_error(
    suite: Suite, parameters: str, ini: str, said: str
) -> None:
    files = {**_ONCE, **_DEBUG, "test_it.py": _FRESH_TEST.format(parameters=parameters)}
    run = suite.run(files, report=False, ini=ini)
    assert run.status == 4
    assert f"test_it.py::test_it: @pytest.mark.isolated_imports: {said} contradict each other" in run.output


_RELIES_ON_HW = {
    "driver.py": "import hw\n",
    "test_a.py": "import sys\nsys.modules['hw'] = object()\nimport driver\ndef test_it(): pass\n",
    "test_b.py": "def test_it():\n    import driver\ndef test_directly():\n    import hw\n",
    "test_c.py": "import driver\ndef test_it(): pass\n",
    "test_d.py": """
        import pytest, sys

        def test_that_does_without_it():
            with pytest.raises(ImportError):
                import hw

        @pytest.mark.isolated_imports(missing="hw")
        def test_that_hides_it():
            import hw

        def test_that_blocks_it(monkeypatch):
            monkeypatch.setitem(sys.modules, "hw", None)
            import hw

        def test_that_raises_it():
            raise ModuleNotFoundError("no hw here", name="hw")

        class Named:
            def __repr__(self):
                open("code_of_a_user_ran", "w").close()
                return "hw"

        def test_that_names_no_text():
            raise ModuleNotFoundError("No module named 'hw'", name=Named())
    """,
}


@pytest.mark.parametrize("processes", ["-n0", pytest.param("-n1", marks=TAKES_LONG)])
def test_who_relies_on_the_fake_of_another_file_is_told_whose_it_was(
    suite: Suite, mode: str, processes: str
) -> None:
    options = (f"--isolate-imports={mode}", processes, "--continue-on-collection-errors")
    run = suite.run(_RELIES_ON_HW, *options, plugins=("xdist",), report=False)
    assert run.outcomes == {"passed": 2, "failed": 6, "error": 1}
    assert not (suite.root / "code_of_a_user_ran").exists()
    said = (
        "hw is not found: test_a.py put it into sys.modules, and isolation took that back. If what fails here "
        "relies on it, it fails alone, too. Let a conftest.py above both put it there."
    )
    assert _sections(run) == [said] * 3  # of test_b.py and test_c.py
    # What it says is so, and helps.
    assert suite.run({}, "test_b.py", *options, report=False, plugins=("xdist",)).outcomes == {"failed": 2}
    conftest = {"conftest.py": "import sys\nsys.modules['hw'] = object()\n"}
    run = suite.run(
        conftest, "test_a.py", "test_b.py", "test_c.py", *options, plugins=("xdist",), report=False
    )
    assert run.outcomes == {"passed": 4}


def test_who_relies_on_the_path_of_another_file_is_told_which_it_was(suite: Suite, mode: str) -> None:
    files = {
        "a lib/found.py": "",
        "test_a.py": """
            import os, sys
            sys.path.insert(0, os.path.join(os.path.dirname(__file__), "a lib"))
            import found
            def test_it(): pass
        """,
        "test_b.py": "def test_it():\n    import found\n",
        # Its folder is for nobody else.
        "test_c.py": """
            import sys
            def test_it(tmp_path):
                (tmp_path / "in_folder.py").touch()
                sys.path.insert(0, str(tmp_path))
                import in_folder
        """,
        "test_d.py": "def test_it():\n    import in_folder\n",
    }
    run = suite.run(files, f"--isolate-imports={mode}", report=False)
    assert run.outcomes == {"passed": 2, "failed": 2}
    assert _sections(run) == [
        "found is not found: test_a.py found it by what was added to sys.path there, and isolation took that "
        "back. If what fails here relies on it, it fails alone, too. Let pytest add it for both: "
        "[pytest] pythonpath = 'a lib'"
    ]
    run = suite.run(
        {}, "test_a.py", "test_b.py", f"--isolate-imports={mode}", report=False, ini="pythonpath = 'a lib'"
    )
    assert run.outcomes == {"passed": 2}
