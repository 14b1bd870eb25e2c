"""The fixtures that trace and guard imports, and the command ``trace``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pytest_import_isolation.__main__ import main

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite


def test_the_fixtures_trace_and_guard_and_leave_nothing(suite: Suite) -> None:
    run = suite.run(
        {
            "app/__init__.py": "import app.core",
            "app/core.py": "import wave",
            "test_it.py": """
                import sys
                import app
                import pytest

                def test_trace(trace_imports):
                    with trace_imports(unloaded="*", fresh="app") as trace:
                        import app
                    assert list(trace)[:3] == ["app", "app.core", "wave"]
                    trace.assert_only("app")
                    trace.assert_not_imported("xmlrpc")

                def test_what_a_trace_loads_is_undone(trace_imports):
                    with trace_imports() as trace:
                        import netrc
                    assert "netrc" in trace

                @pytest.mark.isolated_imports(unloaded="*")
                def test_beside_the_marker(trace_imports):
                    with trace_imports() as trace:
                        import app
                    assert trace["app"].how == "executed"
                    assert trace["wave"].how == "parked"

                def test_guards(import_budget, assert_importable):
                    assert "netrc" not in sys.modules
                    import_budget("app", max_modules=100, forbid="xmlrpc")
                    assert assert_importable("app", missing="xmlrpc") == ("app", "app.core")

                def test_beyond(import_budget):
                    import_budget("app", forbid="wave", process=False)

                def test_not_importable(assert_importable):
                    assert_importable("app", missing="wave", process=False)
            """,
        },
    )
    assert run.outcomes == {"passed": 4, "failed": 2}
    assert "E       AssertionError: importing app is beyond its budget" in run.output
    assert "guards.py" not in run.output  # the failure is shown at the test's own statement
    assert "app/core.py:1 imports wave" in run.output
    assert "app, app.core, without wave" in run.output
    assert run.leaks == []


def test_the_command_prints_the_tree_and_json(suite: Suite) -> None:
    suite.write({"shop/__init__.py": "import shop.cart\nprint('noise')", "shop/cart.py": "import nosuch_a"})
    failed = suite.tool("-m", "pytest_import_isolation", "trace", "shop")
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr == (
        "ERROR: trace: a new interpreter cannot import shop: ModuleNotFoundError: No module named 'nosuch_a'; "
        "name a module that this Python can import\n"
    )
    suite.write({"shop/cart.py": "try: import nosuch_a\nexcept ImportError: pass"})
    printed = suite.tool("-m", "pytest_import_isolation", "trace", "shop").stdout.splitlines()
    assert printed[0].split() == ["total", "ms", "own", "ms"]
    assert [line[18:].strip() for line in printed[1:4]] == [
        "shop",
        "shop.cart",
        "nosuch_a  (failed: it was not loaded afterwards)",
    ]
    assert printed[4].startswith("shop loads 2 modules in ")
    written = json.loads(suite.tool("-m", "pytest_import_isolation", "trace", "shop", "--json").stdout)
    assert (written["package"], written["modules"]) == ("shop", 2)
    assert [(entry["name"], entry["line"]) for entry in written["entries"]] == [
        ("shop", 0), ("shop.cart", 1), ("nosuch_a", 1),
    ]  # fmt: skip


def test_the_command_refuses_what_is_no_module(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "a-b"]) == 2
    assert capsys.readouterr().err == (
        "ERROR: trace: 'a-b' is no module name; give a dotted name such as 'package.module'\n"
    )


def test_the_command_runs_in_this_process_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "keyword"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("keyword loads ")
    assert main(["trace", "keyword", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["package"] == "keyword"
    assert main(["trace", "pii_nosuch"]) == 2
