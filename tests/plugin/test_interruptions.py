"""Ctrl-C, ``pytest.exit()`` and ``stop()`` in the middle of an isolated test: pytest's own words and status."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from tests.conftest import TAKES_LONG

ENDS = {
    "call": "raise KeyboardInterrupt",
    "signal": "import signal\n    signal.signal(signal.SIGINT, signal.default_int_handler)\n    "
    "signal.raise_signal(signal.SIGINT)",
    "exit": "pytest.exit('enough', returncode=7)",
    "inner": "IsolatedImportContext(missing='json').start()\n    raise KeyboardInterrupt",
}
MODES = {
    "report": ("", ()),
    "test": ("", ("--isolate-imports=test",)),
    "marked-in-file": ("isolated_imports", ("--isolate-imports=file",)),
    "missing": ("isolated_imports(missing='json')", ()),
    "fakes": ("isolated_imports(fakes={'json.scanner': object(), 'boto3': object()})", ()),
}
FIXTURES = """
    import sys
    import pytest
    from pytest_import_isolation import IsolatedImportContext

    @pytest.fixture
    def narrow(monkeypatch):
        monkeypatch.setitem(sys.modules, "narrowed", object())
        yield
        assert "narrowed" in sys.modules

    @pytest.fixture(scope="module")
    def wide():
        sys.modules["widened"] = object()
        yield
        del sys.modules["widened"]
        print("torn down in the right order")
"""


@pytest.mark.skipif(sys.platform == "emscripten", reason="it has no signals")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("end", ENDS)
def test_an_interrupted_run_ends_as_without_the_plugin(suite: Any, end: str, mode: str) -> None:
    mark, options = MODES[mode]
    if (end, mode) == ("inner", "report"):
        return  # nobody closes a context of the user's own
    text = f"""{FIXTURES}
    {"@pytest.mark." + mark if mark else ""}
    def test_it(wide, narrow):
        {ENDS[end].replace(chr(10), chr(10) + "    ")}

    def test_never():
        pass
    """
    run = suite.run(text, "-s", *options)
    assert run.status == (7 if end == "exit" else 2)
    words = "Exit: enough" if end == "exit" else "KeyboardInterrupt"
    assert f"{words} !!!!!!" in run.output
    assert "torn down in the right order" in run.output
    assert "WindowOrderError" not in run.output
    assert "AssertionError" not in run.output
    assert "plugin/" not in run.output.replace("tests/plugin", "")
    assert [leak for leak in run.leaks if not leak["contained"]] == []


@pytest.mark.parametrize("options", [("--isolate-imports=test",), ("--isolate-imports=file",)])
@pytest.mark.parametrize(
    "place",
    [
        "@pytest.fixture\n    def there(): raise KeyboardInterrupt",
        "@pytest.fixture\n    def there():\n        yield\n        raise KeyboardInterrupt",
        "@pytest.fixture(scope='module')\n    def there(): raise KeyboardInterrupt",
        "@pytest.fixture(scope='module')\n    def there():\n        yield\n        raise KeyboardInterrupt",
        "there = None\n    raise KeyboardInterrupt",
    ],
    ids=["setup", "teardown", "wide-setup", "wide-teardown", "collection"],
)
def test_ctrl_c_may_come_anywhere(suite: Any, place: str, options: tuple[str, ...]) -> None:
    run = suite.run(
        f"""
    import pytest

    {place}

    @pytest.mark.isolated_imports
    def test_it(there):
        pass
    """,
        *options,
    )
    assert run.status == 2
    assert "KeyboardInterrupt !!!!!!" in run.output
    assert "WindowOrderError" not in run.output


@pytest.mark.parametrize(
    "options",
    [
        *(pytest.param(o, marks=TAKES_LONG) for o in ((), ("--isolate-imports=file",))),
        ("--isolate-imports=test",),
    ],
)
def test_the_end_of_input_ends_the_debugger_and_the_run(suite: Any, options: tuple[str, ...]) -> None:
    run = suite.run(
        """
        import pytest

        @pytest.mark.isolated_imports(missing="json")
        def test_it():
            assert 0
        """,
        "--pdb",
        *options,
        stdin="",
    )
    assert run.status == 2
    assert "Quitting debugger" in run.output
    assert run.leaks == []


def test_the_error_of_a_teardown_after_an_interrupt_is_raised_when_all_is_reported(suite: Any) -> None:
    run = suite.run(
        """
        import pytest

        @pytest.fixture
        def there():
            yield
            raise ValueError("from the teardown")

        def test_it(there):
            raise KeyboardInterrupt
        """,
        "--isolate-imports=test",
    )
    assert run.status != 0
    assert "KeyboardInterrupt !!!!!!" in run.output
    assert "from the teardown" in run.output
    assert run.report


STOPS = {
    "stop": "isolated_imports.stop()",
    "stop-and-start": "isolated_imports.stop(); isolated_imports.start()",
    "start": "isolated_imports.start(); isolated_imports.start()",
    "twice": "isolated_imports.stop()\n    with pytest.raises(WindowOrderError): isolated_imports.stop()",
    "inside": "IsolatedImportContext().start()\n    with pytest.raises(WindowOrderError): isolated_imports.stop()",
    "late": "request.getfixturevalue('isolated_imports').stop()",
}


@pytest.mark.parametrize("options", [(), ("--isolate-imports=test",), ("--isolate-imports=file",)])
@pytest.mark.parametrize("order", STOPS)
def test_start_and_stop_in_any_order_break_no_run(suite: Any, order: str, options: tuple[str, ...]) -> None:
    asks = "request" if order == "late" else "isolated_imports"
    run = suite.run(
        f"""
    import sys
    import pytest
    from pytest_import_isolation import IsolatedImportContext
    from pytest_import_isolation.errors import WindowOrderError
    from pytest_import_isolation.window.open_windows import open_windows

    before = len(open_windows)

    def test_it({asks}):
        {STOPS[order].replace(chr(10), chr(10) + "    ")}
        sys.modules["left"] = object()

    def test_after():
        assert ("left" in sys.modules) is {order in ("stop", "twice", "late")}

    def teardown_module():
        print("open", len(open_windows))
    """,
        "-s",
        *options,
        report=False,
    )
    assert "INTERNALERROR" not in run.output
    assert "Traceback" not in run.output
    assert run.outcomes["passed"] == 2, run.outcomes


@pytest.mark.parametrize("scope", ["class", "module", "session"])
@pytest.mark.parametrize("options", [(), ("--isolate-imports=test",), ("--isolate-imports=file",)])
def test_a_test_that_stopped_its_isolation_may_fail_and_end_wider_fixtures(
    suite: Any, options: tuple[str, ...], scope: str
) -> None:
    run = suite.run(
        {
            "conftest.py": f"""
    import sys
    import pytest

    @pytest.fixture(scope="{scope}")
    def asked_for():
        sys.modules["late"] = object()
        yield
        del sys.modules["late"]

    @pytest.fixture(scope="{scope}", autouse=True)
    def wide():
        yield
        sys.modules.pop("wide", None)
    """,
            "test_fails.py": """
    import sys
    import pytest

    def test_fails(isolated_imports, request):
        isolated_imports.stop()
        request.getfixturevalue("asked_for")
        sys.modules["wide"] = object()
        import absent

    @pytest.mark.isolated_imports
    def test_fails_marked(isolated_imports):
        isolated_imports.stop()
        assert False

    def test_after():
        pass
    """,
        },
        *options,
    )
    assert "INTERNALERROR" not in run.output
    assert "WindowOrderError" not in run.output
    assert run.outcomes == {"failed": 2, "passed": 1}


@pytest.mark.parametrize("error", ["raise SystemExit(3)", "pytest.skip('no')"])
def test_a_module_that_ends_its_import_lets_other_plugins_begin_before_they_end(
    suite: Any, error: str
) -> None:
    run = suite.run(
        f"""
        import pytest

        @pytest.mark.isolated_imports(fakes={{"app": '''import pytest; {error}'''}})
        def test_it(caplog):
            pass

        def test_after(caplog):
            pass
        """,
        report=False,
    )
    assert "INTERNALERROR" not in run.output
    assert "KeyError" not in run.output
    assert run.outcomes["passed"] == 1


def test_a_run_that_ends_with_an_internal_error_is_not_complete(suite: Any) -> None:
    run = suite.run({"test_a.py": "def test(): pass", "test_b.py": "import sys\nsys.exit(5)\n"})
    assert run.report["complete"] is False
