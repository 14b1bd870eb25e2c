"""How the terminal shows the sections of a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_import_isolation.plugin.sections import style

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

_TEXT = """\
boto: sys.modules['boto'] is a unittest.mock.MagicMock and this goes on.
    fake-left by test_alarm.py (collect), at test_alarm.py:5
shop.RATE: It was 3.
To contain it, run pytest with --isolate-imports=file, or change the file:
    Use @pytest.mark.isolated_imports(fakes={"boto": {...}}).
The words are explained."""


def _marked(text: str, **markup: bool) -> str:
    return f"<{'+'.join(markup)}>{text}" if markup else text


def test_a_section_is_wrapped_and_coloured_as_the_report_is() -> None:
    assert style(_TEXT, 62, _marked, is_likely=True).splitlines() == [
        "<red+bold>boto: sys.modules['boto'] is a unittest.mock.MagicMock and",
        "<red+bold>    this goes on.",
        "    fake-left by test_alarm.py (collect), at test_alarm.py:5",
        "<red+bold>shop.RATE: It was 3.",
        "To contain it, run pytest with --isolate-imports=file, or",
        "    change the file:",
        '<cyan>    Use @pytest.mark.isolated_imports(fakes={"boto": {...}}).',
        "The words are explained.",
    ]
    assert style(_TEXT, 60, _marked, is_likely=False).startswith("<yellow>boto: ")


def test_the_section_of_a_failure_is_wrapped_and_coloured_on_the_terminal_only(suite: Suite) -> None:
    run = suite.run(
        {
            "test_a.py": "import sys\nfrom unittest.mock import MagicMock\n"
            "sys.modules['boto'] = sys.modules['other'] = MagicMock()\ndef test(): pass\n",
            "test_b.py": "def test_touches():\n    import boto\n    assert boto.x == 1\n"
            "def test_may_matter():\n    import other as o\n    del o\n    assert 1 == 2\n",
        },
        *("--color=yes", "--junitxml=junit.xml", "-n2"),
        plugins=("xdist",),
        env={"COLUMNS": "100"},
    )
    assert run.outcomes["failed"] == 2
    assert "- import leaks: something imported here had been changed -" in run.output
    assert "- import leaks that may matter: something imported here had been changed -" in run.output
    assert "\n\x1b[31m\x1b[1mboto: sys.modules['boto'] is a unittest.mock.MagicMock.\x1b[0m\n" in run.output
    assert "\n\x1b[33mother: sys.modules['other'] is a unittest.mock.MagicMock.\x1b[0m\n" in run.output
    assert (
        '\x1b[36m        @pytest.mark.isolated_imports(fakes={"' not in run.output
    )  # as a test's file left it
    assert (
        '\x1b[36m    Import what needs the fake in "with IsolatedImportContext(fakes={"boto": {...}}):".'
        in run.output
    )
    junit = (suite.root / "junit.xml").read_text(encoding="utf-8")
    assert "boto: sys.modules['boto'] is a unittest.mock.MagicMock.\n" in junit.replace("&apos;", "'")
    assert "\x1b" not in junit
    assert "#x1B[36" not in junit


def test_a_failure_at_the_statement_that_imports_what_was_changed_touches_it(suite: Suite) -> None:
    run = suite.run(
        {
            "plum.py": "number = 1",
            "test_a.py": "import sys, types\ndef test(): sys.modules['plum'] = types.SimpleNamespace()\n",
            # The error names no module: the fake has no name.
            "test_b.py": "def test_imports():\n    from plum import number\n",
        }
    )
    assert run.outcomes == {"passed": 1, "failed": 1}
    assert "- import leaks: something imported here had been changed -" in run.output
    assert "Neither the traceback nor the error touches" not in run.output
