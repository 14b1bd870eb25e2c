"""Modules that stay loaded, that count as first-party, and that fail when they are executed again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

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
    import_isolation_keep = app
"""


@pytest.fixture(params=["file", "test"])
def mode(request: pytest.FixtureRequest) -> str:
    """Return each mode in turn."""
    return str(request.param)


def _sections(run: Run) -> list[str]:
    """Return the texts of all sections of failure reports that the isolation added."""
    rule = re.compile(r"^-+ import isolation -+\n(.*?)(?=^[-_=]{3,}|\Z)", re.MULTILINE | re.DOTALL)
    return [text.rstrip() + "\n" for text in rule.findall(run.output)]


@pytest.mark.parametrize("processes", ["-n0", "-n1"])
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
    assert _sections(run) == [_SENTENCE.format(name="app.metrics", who=who)]
    # What it says helps.
    run = suite.run({}, *options, plugins=("xdist",), report=False, ini="import_isolation_keep = app")
    assert run.outcomes == {"passed": 2, "failed": 1}
    assert _sections(run) == []


@pytest.mark.parametrize("processes", ["-n0", "-n1"])
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
    assert _sections(run) == [_SENTENCE.format(name="app.metrics", who="test_a.py")]
    run = suite.run({}, *options, plugins=("xdist",), report=False, ini="import_isolation_keep = app")
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
    assert _sections(run) == [_SENTENCE.format(name="app.metrics", who="another test file")]


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


@pytest.mark.parametrize("pattern", ["", "wave"])
def test_first_party_patterns_have_installed_modules_executed_again(
    suite: Suite, mode: str, pattern: str
) -> None:
    use = """
        def test_it():
            import wave
            assert hasattr(wave, "mine") is {found}
            wave.mine = True
    """
    run = suite.run(
        {"test_a.py": use.format(found=False), "test_b.py": use.format(found=not pattern)},
        f"--isolate-imports={mode}",
        report=False,
        ini=f"import_isolation_first_party = {pattern}",
    )
    assert run.outcomes == {"passed": 2}
