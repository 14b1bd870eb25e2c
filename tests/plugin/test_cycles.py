"""Circular imports: the fixture and the command."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_import_isolation.__main__ import main

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

_CIRCLE = {
    "app/__init__.py": "print('noise')",
    "app/a.py": "from app.b import y\nx = 1",
    "app/b.py": "from app.a import x\ny = 1",
    "clean/__init__.py": "",
}


@pytest.fixture
def tree(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    suite.write(_CIRCLE)
    monkeypatch.chdir(suite.root)
    before = sys.path.copy()
    yield suite.root
    sys.path[:] = before


def test_the_fixture_fails_a_test_with_the_chain_and_leaves_nothing(suite: Suite) -> None:
    run = suite.run(
        {
            **_CIRCLE,
            "test_it.py": """
                import sys

                def test_circle(assert_no_circular_imports):
                    assert_no_circular_imports("app")

                def test_allowed(assert_no_circular_imports):
                    import app
                    assert_no_circular_imports("app", allow=["app.a -> app.b"])
                    assert sys.modules["app"] is app
                    assert [name for name in sys.modules if name.startswith("app.")] == []

                def test_function():
                    from pytest_import_isolation import assert_no_circular_imports
                    assert_no_circular_imports("clean", exhaustive=True)
            """,
        },
        "--tb=short",
        env={"PYTHONPATH": suite.python_path},
    )
    assert run.outcomes == {"failed": 1, "passed": 2}
    assert "E   AssertionError: app: 1 circular import in 3 modules, each imported first" in run.output
    assert "E       app/a.py:1  from app.b import y" in run.output
    assert "cycles.py" not in run.output  # the frames of the plugin are hidden
    assert run.leaks == []


def test_the_fixture_finds_circles_in_an_isolated_suite(suite: Suite) -> None:
    search = """
        import app.a
        def test_circle(assert_no_circular_imports):
            try:
                assert_no_circular_imports("app")
            except AssertionError as error:
                assert "app.a -> app.b -> app.a: works in every order" in str(error)
            else:
                raise RuntimeError
        def test_same():
            import app.b, sys
            assert app.b.a is app.a is sys.modules["app.a"]
    """
    files = {
        "test_a.py": search,
        "test_b.py": search,
        "test_c.py": f"{search}\n        import sys\n        sys.modules['wave'] = None\n",
    }
    run = suite.run(
        {"app/__init__.py": "", "app/a.py": "import app.b", "app/b.py": "import app.a as a", **files},
        "--isolate-imports=test",
        env={"PYTHONPATH": suite.python_path},
    )
    assert run.outcomes == {"passed": 6}


@pytest.mark.parametrize(
    ("arguments", "status", "out", "err"),
    [
        (["clean"], 0, "clean: 0 circular imports in 1 module, each imported first\n", ""),
        (["app", "--allow", "app.a -> app.b"], 0, "allowed: app.a -> app.b -> app.a\n", "noise"),
        (["app"], 1, "app.a -> app.b -> app.a: fails\n    app/a.py:1  from app.b import y\n", "noise"),
        (["clean", "--allow", "clean.a->clean.b"], 1, "allow='clean.a->clean.b': no longer a cycle; remove the entry\n", ""),
        (["nothing"], 2, "", "ERROR: find_import_cycles('nothing'): there is no such module on sys.path; give the name of a package whose source is there\n"),
        (["app", "--allow", "a b"], 2, "", "ERROR: allow: 'a b' is no module name; give a dotted name such as 'package.module'\n"),
        ([], 2, "", "the following arguments are required: PACKAGE"),
    ],
)  # fmt: skip
def test_the_status_of_the_command(
    arguments: list[str], status: int, out: str, err: str, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        given = main(["cycles", *arguments, "--path", "."])
    except SystemExit as stopped:  # argparse
        given = int(str(stopped.code))
    printed = capsys.readouterr()
    assert given == status
    assert out in printed.out
    assert err in printed.err
    assert "noise" not in printed.out


def test_the_command_prints_json(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cycles", "app", "--path", str(tree), "--json", "--exhaustive"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert [cycle["name"] for cycle in printed["cycles"]] == ["app.a -> app.b -> app.a"]
    assert printed["tried"] == ["app", "app.a", "app.b"]
