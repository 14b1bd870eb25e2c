"""The data and the text of import traces, and the output of ``-X importtime``, without importing anything."""

from __future__ import annotations

import os

import pytest

from pytest_import_isolation.machinery.frames import Importer
from pytest_import_isolation.patterns import Patterns
from pytest_import_isolation.tracing.entries import Node, TracedImport, costliest_chain, flatten, sizes_of
from pytest_import_isolation.tracing.guards import Budget, ImportFailure, render_excess, render_failures
from pytest_import_isolation.tracing.interpreters import (
    build_entries,
    last_line,
    parse_import_times,
    total_of,
)
from pytest_import_isolation.tracing.text import place, render_chain, render_tree
from pytest_import_isolation.tracing.trace import ImportTrace

ENTRIES = (
    TracedImport("app", "executed", None, "__main__", "run.py", 1, 100.0, 5.0),
    TracedImport("app.core", "executed", 0, "app", "app/__init__.py", 3, 90.0, 10.0),
    TracedImport("numpy", "parked", 1, "app.core", "app/core.py", 7, 80.0, 80.0),
    TracedImport("yaml", "failed", 0, "app", "app/__init__.py", 4, 5.0, 5.0, "ModuleNotFoundError: no yaml"),
    TracedImport("late", "executed", None, "worker", "worker.py", 9, None, None, thread="Thread-1"),
    TracedImport("math", "implied", 2, "numpy"),
)
TRACE = ImportTrace(ENTRIES, before=("sys", "json"))


def test_a_trace_has_the_loaded_modules_in_order() -> None:
    assert list(TRACE) == ["app", "app.core", "numpy", "late", "math"]
    assert len(TRACE) == 5
    assert "numpy" in TRACE
    assert "yaml" not in TRACE
    assert TRACE["numpy"] is ENTRIES[2]
    assert [entry.name for entry in TRACE.chain("math")] == ["app", "app.core", "numpy", "math"]
    assert TRACE.total_ms == 100.0
    assert ENTRIES[2].is_certain
    assert not ENTRIES[5].is_certain
    assert repr(TRACE) == "<ImportTrace of app, app.core, numpy, ...>"
    assert repr(ImportTrace()) == "<ImportTrace of nothing>"
    assert ImportTrace()
    assert TRACE.as_builtins()["entries"][5] == {
        "name": "math", "how": "implied", "parent": 2, "importer": "numpy", "file": "", "line": 0,
        "total_ms": None, "own_ms": None, "error": "", "thread": "", "lazy_file": "", "lazy_line": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("json", "json: it was loaded before the trace began"),
        ("nunpy", "nunpy: it was not loaded (did you mean 'numpy'?)"),
    ],
)
def test_the_chain_of_what_was_not_loaded_is_an_error(name: str, why: str) -> None:
    with pytest.raises(KeyError) as caught:
        TRACE.chain(name)
    assert caught.value.args == (why,)


def test_the_tree_is_indented_and_says_what_was_not_executed() -> None:
    assert render_tree(ENTRIES).splitlines() == [
        " total ms   own ms",
        "    100.0      5.0  app  (run.py:1)",
        "     90.0     10.0    app.core",
        "     80.0     80.0      numpy  (came back from parking: a cold start costs more)",
        "      5.0      5.0    yaml  (failed: ModuleNotFoundError: no yaml)",
        "        -        -  late  (worker.py:9, in Thread-1)",
        "        -        -        math  (inferred: a module that came back from parking refers to it)",
    ]
    lazily = [
        ENTRIES[0]._replace(lazy_file="lib.py", lazy_line=7),
        TracedImport("json.loads", "lazy", 0, "app", "app.py", 8),
    ]
    assert render_tree(lazily).splitlines()[1:] == [
        "    100.0      5.0  app  (resolves the lazy import at lib.py:7, run.py:1)",
        "        -        -    json.loads  (a lazy import that is not resolved, app.py:8)",
    ]
    assert render_tree(()) == ""
    assert TRACE.tree() == render_tree(ENTRIES)


def test_a_chain_names_the_statements() -> None:
    assert render_chain(TRACE.chain("math")).splitlines() == [
        "    run.py:1 imports app",
        "    app/__init__.py:3 imports app.core",
        "    app/core.py:7 imports numpy",
        "    numpy refers to math (it came back from parking)",
    ]
    unknown = [TracedImport("a", "executed"), TracedImport("b", "executed", 0, "a")]
    assert render_chain(unknown) == "    import a\n    a imports b"


def test_paths_are_relative_below_the_working_directory() -> None:
    assert place(os.path.join(os.getcwd(), "app.py")) == "app.py"
    assert place("/elsewhere/app.py") == "/elsewhere/app.py"


def test_a_path_is_as_it_is_where_there_is_no_working_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> str:
        raise FileNotFoundError

    monkeypatch.setattr(os, "getcwd", gone)
    assert place("/elsewhere/app.py") == "/elsewhere/app.py"


def test_an_unwanted_module_is_shown_with_the_chain_that_led_to_it() -> None:
    TRACE.assert_not_imported("yaml", "torch")
    with pytest.raises(AssertionError) as caught:
        TRACE.assert_not_imported("torch", "num*", "math")
    assert str(caught.value).splitlines() == [
        "numpy is imported:",
        "    run.py:1 imports app",
        "    app/__init__.py:3 imports app.core",
        "    app/core.py:7 imports numpy",
        "and so are math",
    ]


def test_what_was_loaded_before_proves_nothing() -> None:
    with pytest.raises(AssertionError) as caught:
        TRACE.assert_not_imported("json")
    assert str(caught.value) == (
        "loaded before the trace began, so that an import leaves no entry: json; use "
        'trace_imports(unloaded="*") to begin cold, or import_budget(..., forbid=..., process=True) to ask a '
        "new interpreter"
    )


def test_assert_only_shows_what_else_is_imported() -> None:
    TRACE.assert_only("app", "numpy", "late")
    with pytest.raises(AssertionError) as caught:
        TRACE.assert_only("app", standard_library=False)
    assert str(caught.value).splitlines() == [
        "imported, but not in app: numpy, late, math",
        "numpy:",
        "    run.py:1 imports app",
        "    app/__init__.py:3 imports app.core",
        "    app/core.py:7 imports numpy",
        "late:",
        "    worker.py:9 imports late",
        "math:",
        *(f"{line}" for line in render_chain(TRACE.chain("math")).splitlines()),
    ]
    with pytest.raises(
        AssertionError, match=r"^imported, but not in the standard library: a, b, c, \.\.\.\n"
    ):
        ImportTrace([TracedImport(name, "executed") for name in "abcde"]).assert_only()
    with pytest.raises(AssertionError, match=r"\nand 2 more$"):
        ImportTrace([TracedImport(name, "executed") for name in "abcde"]).assert_only()


def test_a_module_counts_once() -> None:
    twice = (*ENTRIES, TracedImport("numpy", "executed", 0))
    assert sizes_of(twice) == [4, 3, 2, 0, 1, 1, 0]


def test_the_costliest_chain_ends_where_the_weight_spreads() -> None:
    assert costliest_chain(ENTRIES, [100, 90, 80, 5, 0, 0]) == [0, 1, 2]
    assert costliest_chain(ENTRIES, [100, 30, 20, 5, 0, 0]) == [0]
    assert costliest_chain((), []) == []


def test_a_package_above_is_beside_what_needed_it() -> None:
    root = Node(TracedImport("a.b.c", "executed"), None)
    root.elapsed = 10.0
    above = Node(TracedImport("a", "executed"), root)
    above.elapsed = 4.0
    inside = Node(TracedImport("x", "executed"), above)
    inside.elapsed = 1.0
    assert [(e.name, e.parent, e.total_ms, e.own_ms) for e in flatten([root])] == [
        ("a", None, 4.0, 3.0),
        ("x", 0, 1.0, 1.0),
        ("a.b.c", None, 6.0, 6.0),
    ]
    untimed = Node(TracedImport("u", "running"), None)
    assert (untimed.total, untimed.own) == (None, None)


OUTPUT = """\
import time: self [us] | cumulative | imported package
import time:       500 |        500 | site

import isolation: the imports begin here
import time:       100 |        100 |       app.deep
a warning without an endimport time:       200 |        300 |     app
import time: this is no line of it
import time:        50 |         50 |     other
import time:       150 |        500 |   app.core
import isolation: the imports end here
import time:         9 |          9 | atexit
"""


def test_import_times_are_read_between_what_modules_print() -> None:
    lines = parse_import_times(OUTPUT)
    assert [(line.name, line.own_ms, line.total_ms) for line in lines] == [
        ("app.deep", 0.1, 0.1),
        ("app", 0.2, 0.3),
        ("other", 0.05, 0.05),
        ("app.core", 0.15, 0.5),
    ]
    assert total_of(lines) == 0.5
    assert total_of([]) == 0
    assert parse_import_times("nothing of the kind") == []
    entries = build_entries(
        lines,
        {"other": Importer("app.core", "app/core.py", 2)},
        {"app": "app.py", "app.deep": "frozen", "app.core": "x"},
    )
    assert [(e.name, e.how, e.parent, e.file) for e in entries] == [
        ("app", "executed", None, ""),
        ("app.deep", "built in", 0, ""),
        ("app.core", "executed", None, ""),
        ("other", "failed", 2, "app/core.py"),
    ]
    assert [round(entry.total_ms or 0, 3) for entry in entries] == [0.3, 0.1, 0.2, 0.05]


def test_the_last_line_of_an_error_is_not_a_time() -> None:
    assert last_line("KeyError: 'x'\nimport time:  9 |  9 | traceback\n\n", 1) == "KeyError: 'x'"
    assert last_line("import isolation: the imports begin here\n", -11) == "it ended with status -11"


def _excess(max_modules: int | None, max_ms: float | None, *forbid: str) -> list[str]:
    budget = Budget(max_modules, max_ms, Patterns(forbid))
    return render_excess("app", TRACE, budget, 100.0, "the median of 3 new interpreters").splitlines()


ADVICE = (
    "Import what costs most inside of the functions that need it, or raise the budget. All imports: "
    "python -m pytest_import_isolation trace app"
)


def test_within_a_budget_nothing_is_said() -> None:
    assert _excess(5, 100, "torch") == []


def test_what_is_beyond_a_budget_is_said_with_the_costliest_chain() -> None:
    assert _excess(2, 50, "numpy") == [
        "importing app is beyond its budget",
        "it loads 5 modules, and 2 are allowed; most of them:",
        "       4 modules  run.py:1 imports app",
        "       3 modules  app/__init__.py:3 imports app.core",
        "       2 modules  app/core.py:7 imports numpy",
        "        1 module  numpy refers to math (it came back from parking)",
        "it takes 100 ms (the median of 3 new interpreters), and 50 ms are allowed; most of it:",
        "        100.0 ms  run.py:1 imports app",
        "         90.0 ms  app/__init__.py:3 imports app.core",
        "         80.0 ms  app/core.py:7 imports numpy",
        "it imports numpy:",
        "    run.py:1 imports app",
        "    app/__init__.py:3 imports app.core",
        "    app/core.py:7 imports numpy",
        ADVICE,
    ]
    many = _excess(None, None, "app.core", "numpy", "late", "math")
    assert [line for line in many if line.startswith("it imports")] == [
        "it imports app.core:", "it imports numpy:", "it imports late:",
    ]  # fmt: skip
    assert many[-2:] == ["and it imports math", ADVICE]


def test_modules_that_fail_for_one_reason_are_told_together() -> None:
    failures = [ImportFailure(f"app.m{i}", "", "KeyError: 'x'", "app/base.py:2") for i in range(4)]
    failures.append(ImportFailure("app.extra", "numpy", "ModuleNotFoundError: No module named 'numpy'", ""))
    assert render_failures("app", 9, failures, is_cold_view=True).splitlines() == [
        "5 of 9 modules of app cannot be imported on their own",
        "    app.m0, app.m1, app.m2, ... (4 modules)",
        "        KeyError: 'x', at app/base.py:2",
        "    app.extra, without numpy",
        "        ModuleNotFoundError: No module named 'numpy'",
        "Import an optional dependency in 'try: ... except ImportError:', or inside of the functions that "
        "need it. Name a module that cannot do without it in exclude=.",
        "Each was executed in a cold view of this process; process=True takes a new interpreter for each.",
    ]
    assert render_failures("app", 1, failures[:1]).splitlines() == [
        "1 of 1 module of app cannot be imported on their own",
        "    app.m0",
        "        KeyError: 'x', at app/base.py:2",
    ]
