"""Code that a program made, and that has no lines or no file, in reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite


def test_code_without_lines_is_reported_with_line_zero(suite: Suite) -> None:
    run = suite.run(
        """
        import sys

        def test_leak():
            bare("import colorsys, sys; sys.modules['smtplib'] = object()")

        def test_met():
            bare("import smtplib")

        def bare(source):
            code = compile(source, "made.py", "exec")
            exec(code.replace(co_linetable=b""), {"__name__": "made"})
        """
    )
    assert run.outcomes == {"passed": 2}
    assert run.leak("loaded", "colorsys")["location"] == {"file": "made.py", "line": 0, "exact": True}
    leak = run.leak("fake-left", "smtplib")
    assert leak["location"]["file"] == "test_it.py"
    assert [exposure["nodeid"] for exposure in leak["exposed"]] == ["test_it.py::test_met"]
    shown = suite.tool(
        "-m", "pytest_import_isolation", "show", "report.json", env={"PYTHONPATH": suite.python_path}
    )
    assert (shown.returncode, shown.stderr) == (0, "")
