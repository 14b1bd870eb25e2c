"""import_budget and assert_importable, in this process and in new interpreters."""

# mypy: disable-error-code="import-not-found, func-returns-value"

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from traceback import format_exception_only
from typing import Any

import pytest
from tests.conftest import TAKES_LONG

from pytest_import_isolation import IsolatedImportContext, assert_importable, import_budget
from pytest_import_isolation.errors import (
    ExtensionModuleError,
    ImportIsolationError,
    ParameterError,
    PatternError,
)
from pytest_import_isolation.tracing import guards
from pytest_import_isolation.tracing.entries import TracedImport
from pytest_import_isolation.tracing.interpreters import Measurement

needs_processes = pytest.mark.skipif(sys.platform == "emscripten", reason="WebAssembly has not processes")

Tree = Callable[[dict[str, str]], Path]
ADVICE = (
    "Import what costs most inside of the functions that need it, or raise the budget. All imports: "
    "python -m pytest_import_isolation trace "
)


@pytest.fixture
def no_interpreters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that starts a new interpreter."""
    monkeypatch.setattr(guards, "measure", None)
    monkeypatch.setattr(guards, "run_python", None)


@pytest.mark.usefixtures("no_interpreters")
def test_a_cold_view_is_enough_to_pass(tree: Tree, picture: Any) -> None:
    tree({"gua_a/__init__.py": "import gua_a.b", "gua_a/b.py": ""})
    import gua_a

    before = picture()
    trace = import_budget("gua_a", max_modules=2, forbid="xmlrpc")
    assert [(entry.name, entry.how) for entry in trace.entries] == [
        ("gua_a", "executed"),
        ("gua_a.b", "executed"),
    ]
    assert before.differences() == []
    assert sys.modules["gua_a"] is gua_a
    import_budget("gua_a", max_ms=100_000, process=False)
    assert assert_importable("gua_a", missing="gua_nosuch") == ("gua_a", "gua_a.b")
    assert before.differences() == []
    with pytest.raises(AssertionError) as caught:
        import_budget("gua_a", max_modules=1, process=False)
    lines = str(caught.value).splitlines()
    assert lines[:2] == [
        "importing gua_a is beyond its budget",
        "it loads 2 modules, and 1 are allowed; most of them:",
    ]
    assert [line.split()[0] for line in lines[2:4]] == ["2", "1"]
    assert before.differences() == []


@needs_processes
def test_what_a_new_interpreter_measures_is_shown_with_the_statements(tree: Tree, picture: Any) -> None:
    root = tree(
        {
            "gua_c/__init__.py": "import sys\nprint('out'); sys.stderr.write('no end')\nimport gua_c.slow",
            "gua_c/slow.py": "import time\ntime.sleep(0.05)\ntry:\n    import gua_none\nexcept ImportError: pass",
        }
    )
    before = picture()
    with pytest.raises(AssertionError) as caught:
        import_budget("gua_c", max_modules=1, max_ms=20, forbid="gua_c.slow", runs=1)
    lines = str(caught.value).splitlines()
    chain = f"{root}/gua_c/__init__.py:3 imports gua_c.slow"
    assert lines[0] == "importing gua_c is beyond its budget"
    assert lines[1] == "it loads 2 modules, and 1 are allowed; most of them:"
    assert lines[2:4] == ["       2 modules  import gua_c", f"        1 module  {chain}"]
    assert lines[4].startswith("it takes ")
    assert lines[4].endswith(" ms (the median of 1 new interpreter), and 20 ms are allowed; most of it:")
    assert lines[5].endswith(" ms  import gua_c")
    assert lines[6].endswith(f" ms  {chain}")
    assert lines[7:] == ["it imports gua_c.slow:", "    import gua_c", f"    {chain}", f"{ADVICE}gua_c"]
    trace = import_budget("gua_c", forbid=("gua_none", "numpy"), process=True)
    assert [(entry.name, entry.how) for entry in trace.entries] == [
        ("gua_c", "executed"),
        ("gua_c.slow", "executed"),
        ("gua_none", "failed"),
    ]
    assert "sys" in trace.before
    assert before.differences() == []


@needs_processes
def test_what_came_back_from_parking_is_judged_by_a_new_interpreter(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree({"gua_d.py": "import gua_lazy_user\n", "gua_lazy_user.py": "import xmlrpc.client"})
    with IsolatedImportContext():
        import xmlrpc.client

        xmlrpc.client.gua_extra = sys.modules["csv"] = importlib.import_module("csv")
        asked = []
        measured = Measurement((TracedImport("gua_d", "executed"),), frozenset(), ())
        monkeypatch.setattr(guards, "measure", lambda *given: asked.append(given) or measured)
        import_budget("gua_d", forbid="torch")
        assert asked == []
        # The cold view says so, because what was parked refers to it; the new interpreter knows.
        trace = import_budget("gua_d", forbid="csv")
        assert asked == [("gua_d", 0)]
        assert list(trace) == ["gua_d"]
        with pytest.raises(
            AssertionError, match=r"xmlrpc\.client refers to csv \(it came back from parking\)"
        ):
            import_budget("gua_d", forbid="csv", process=False)
        del xmlrpc.client.gua_extra
        # What the tool needs could not be put away.
        import_budget("gua_d", forbid="_pytest")
        assert asked == [("gua_d", 0)] * 2
        with pytest.raises(AssertionError, match=r"^loaded before the trace began"):
            import_budget("gua_d", forbid="_pytest", process=False)


@needs_processes
def test_a_package_that_cannot_be_executed_twice_is_judged_by_a_new_interpreter(tree: Tree) -> None:
    tree({"gua_e.py": "import sys\nif hasattr(sys, 'gua_e'): raise ValueError('twice')\nsys.gua_e = True\n"})
    try:
        import gua_e  # noqa: F401

        assert list(import_budget("gua_e", max_modules=5)) == ["gua_e"]
        assert assert_importable("gua_e") == ("gua_e",)
        with pytest.raises(ValueError, match=r"^twice$"):
            import_budget("gua_e", max_modules=5, process=False)
        with pytest.raises(AssertionError, match="in a cold view of this process"):
            assert_importable("gua_e", process=False)
    finally:
        del sys.gua_e


@needs_processes
def test_a_package_that_cannot_be_imported_is_no_matter_of_budget(tree: Tree) -> None:
    tree({"gua_f.py": "import gua_nosuch"})
    with pytest.raises(ImportError) as caught:
        import_budget("gua_f", max_modules=1)
    assert str(caught.value) == (
        "a new interpreter cannot import gua_f: ModuleNotFoundError: No module named 'gua_nosuch'"
    )
    assert caught.value.name == "gua_f"


@pytest.mark.neighbours("numpy")
def test_packages_with_extension_modules_are_judged_as_well() -> None:
    numpy = importlib.import_module("numpy")
    trace = import_budget("numpy", max_modules=5000)
    assert trace["numpy"].how == "parked"
    assert sys.modules["numpy"] is numpy
    with pytest.raises(ExtensionModuleError, match=r"fresh='numpy' covers extension modules"):
        assert_importable("numpy.version", process=False)
    assert assert_importable("numpy.version") == ("numpy.version",)


@TAKES_LONG
@needs_processes
def test_every_module_is_imported_on_its_own(tree: Tree, picture: Any) -> None:
    root = tree(
        {
            "gua_g/__init__.py": "",
            "gua_g/__main__.py": "raise SystemExit('not to be run')",
            "gua_g/first.py": "import gua_g.second",
            "gua_g/second.py": "import gua_g\ngua_g.first_was_here = True",
            "gua_g/third.py": "import gua_g\ngua_g.first_was_here",
            "gua_g/script.py": "raise SystemExit(3)",
            "gua_g/optional.py": "import csv",
            "gua_g/careful.py": "try:\n    import csv\nexcept ImportError:\n    csv = None\n",
        }
    )
    before = picture()
    with pytest.raises(AssertionError) as here:
        assert_importable("gua_g", missing=["csv", "gua_none"], process=False)
    with pytest.raises(AssertionError) as there:
        assert_importable("gua_g", missing=["csv", "gua_none"])
    # From 3.15 on, the traceback of a new interpreter says more of a module of the standard library.
    (absent,) = format_exception_only(ModuleNotFoundError("No module named 'csv'", name="csv"))
    told, confirmed = str(here.value).splitlines(), str(there.value).splitlines()
    assert told[:7] == [
        "3 of 7 modules of gua_g cannot be imported on their own",
        "    gua_g.script",
        f"        SystemExit: 3, at {root}/gua_g/script.py:1",
        "    gua_g.third",
        f"        AttributeError: module 'gua_g' has no attribute 'first_was_here', at {root}/gua_g/third.py:2",
        "    gua_g.optional, without csv",
        f"        ModuleNotFoundError: No module named 'csv', at {root}/gua_g/optional.py:1",
    ]
    assert told[-1].startswith("Each was executed in a cold view of this process")
    # A new interpreter says nothing when a script exits.
    assert [line for line in confirmed if "script" not in line and "ended with" not in line] == [
        line.replace("ModuleNotFoundError: No module named 'csv'", absent.strip())
        for line in told[:-1]
        if "script" not in line
    ]
    assert "        it ended with status 3" in confirmed
    names = assert_importable("gua_g", missing="csv", exclude=["gua_g.script", "*.third", "gua_g.optional"])
    assert names == ("gua_g", "gua_g.careful", "gua_g.first", "gua_g.second")
    assert before.differences() == []


def test_an_interruption_ends_everything(tree: Tree, monkeypatch: pytest.MonkeyPatch, picture: Any) -> None:
    tree({"gua_h.py": "raise KeyboardInterrupt"})
    before = picture()
    with pytest.raises(KeyboardInterrupt):
        assert_importable("gua_h")

    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(guards, "run_python", interrupt)
    with pytest.raises(KeyboardInterrupt):
        assert_importable("gua_h", process=True)
    # Ctrl-C meets the thread that waits.
    monkeypatch.setattr(threading.Thread, "join", interrupt)
    with pytest.raises(KeyboardInterrupt):
        assert_importable("json", process=True)
    monkeypatch.undo()
    assert before.differences() == []


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({}, ParameterError, "import_budget: give a limit: max_modules=, max_ms= or forbid="),
        ({"max_ms": 0}, ParameterError, "import_budget: max_ms is a number above 0, not 0"),
        ({"max_ms": "1"}, ParameterError, "import_budget: max_ms is a number above 0, not '1'"),
        ({"max_modules": True}, ParameterError, "import_budget: max_modules is a number above 0, not True"),
        ({"max_ms": 1, "runs": 1.5}, ParameterError, "import_budget: runs is a whole number, not 1.5"),
        (
            {"forbid": "a b"},
            PatternError,
            "import_budget: forbid: 'a b' is no module name; give a dotted name such as 'package.module'",
        ),
    ],
)
def test_budgets_that_cannot_be(given: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        import_budget("json", **given)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("package", "given", "message"),
    [
        ("gua_none", {}, "assert_importable('gua_none'): no such module is on sys.path"),
        (
            "gua_none.sub",
            {},
            "assert_importable('gua_none.sub'): it cannot be found: "
            "ModuleNotFoundError: No module named 'gua_none'",
        ),
        ("json", {"exclude": "json"}, "assert_importable('json'): exclude=['json'] leaves nothing of it"),
        ("json.tool", {"missing": "json"}, "assert_importable: 'json.tool' itself is among what is missing"),
        (
            "../json",
            {},
            "assert_importable: '../json' is relative; give the absolute name, such as 'package.module'",
        ),
    ],
)
def test_packages_that_cannot_be_tried(package: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises((ParameterError, PatternError)) as caught:
        assert_importable(package, **given)
    assert str(caught.value) == message


def test_without_processes_a_cold_view_decides(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree({"gua_plain/__init__.py": "", "gua_plain/part.py": "import gua_absent\n"})
    monkeypatch.setattr(sys, "platform", "emscripten")
    import_budget("gua_plain", max_modules=1, max_ms=60_000)
    with pytest.raises(AssertionError, match="it imports gua_plain"):
        import_budget("gua_plain", forbid="gua_plain")
    with pytest.raises(AssertionError, match="Each was executed in a cold view of this process"):
        assert_importable("gua_plain")
    for call in (lambda: import_budget("gua_plain", max_modules=1, process=True), _import_all_in_processes):
        with pytest.raises(ImportIsolationError) as caught:
            call()
        assert str(caught.value) == (
            "this needs a new interpreter, and emscripten has no processes; "
            "process=False takes a cold view of this one"
        )


def _import_all_in_processes() -> None:
    assert_importable("gua_plain", process=True)
