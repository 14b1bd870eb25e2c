"""The texts about circular imports, from literals."""

from __future__ import annotations

import json
from textwrap import dedent

import pytest

from pytest_import_isolation.cycles.circles import (
    Attempt,
    BrokenModule,
    Crossing,
    ImportCycle,
    ImportCycles,
    ImportEdge,
    judge,
)
from pytest_import_isolation.cycles.text import render_cycles


def _edge(importer: str, imported: str, *names: str) -> ImportEdge:
    return ImportEdge(importer, f"/src/{importer.replace('.', '/')}.py", 3, imported, names)


def _cycle(*edges: ImportEdge, **more: object) -> ImportCycle:
    given = {"lacking": (), "is_unbound": False, "fails_from": (), "works_from": (), **more}
    return ImportCycle(tuple(edge.importer for edge in edges), edges, **given)  # type: ignore[arg-type]


def _text(*cycles: ImportCycle, **more: object) -> str:
    found = ImportCycles("app", 9, ("app", "app.a"), cycles, **more)  # type: ignore[arg-type]
    return "\n".join(render_cycles(found, "/src"))


_BOTH = (_edge("app.a", "app.b", "y"), _edge("app.b", "app.a", "x", "z"))


def test_a_circle_that_works_by_luck() -> None:
    cycle = _cycle(*_BOTH, lacking=("x",), fails_from=("app.a",), works_from=("app.b",))
    assert _text(cycle) == dedent(
        """\
        app: 1 circular import in 9 modules, 2 of them imported first

        app.a -> app.b -> app.a: works by luck of order
            app/a.py:3  from app.b import y
            app/b.py:3  from app.a import x, z
            app.a has no x yet when app.b asks for it.
            It fails if app.a is imported first.
            It works if app.b is imported first.

        Three cures, the best first:
            Move what both need into a module of its own, which imports neither.
            Import inside the function that needs it: 'from app.a import x, z' in app.b.
            Import the module in place of names, 'import app.a', and use 'app.a.x' inside functions only.
                The circle remains, but works in every order: allow= accepts it."""
    )


@pytest.mark.parametrize(
    ("cycle", "expected"),
    [
        (
            _cycle(_edge("app.a", "app.b"), _edge("app.b", "app.a"), works_from=("app.a", "app.b")),
            ["    app/a.py:3  import app.b", "    app/b.py:3  import app.a"],
        ),
        (
            _cycle(_edge("app.a", "app.b", "b"), _edge("app.b", "app.a", "a", "c"), works_from=("app.a",)),
            ["    app/a.py:3  from app import b", "    app/b.py:3  from app import a"],
        ),
        (
            _cycle(_edge("app.a", "app.b", "*"), _edge("app.b", "app.a", "*"), works_from=("app.a",)),
            [
                "    app/a.py:3  from app.b import *",
                "    app/b.py:3  from app.a import *",
                "    app.b gets only those names that app.a has at that moment.",
            ],
        ),
        (
            _cycle(_edge("app.a", "b"), _edge("b", "app.a"), is_unbound=True, fails_from=("app.a", "b"), works_from=("c",)),
            [
                "    app/a.py:3  import b",
                "    b.py:3      import app.a",
                "    app has no attribute a yet when b uses it.",
                "    It fails if one of app.a, b is imported first.",
                "    It works if c is imported first.",
            ],
        ),
        (
            _cycle(*_BOTH, lacking=("x", "z"), fails_from=("app.a", "app.b"), is_swallowed=True),
            [
                "    app/a.py:3  from app.b import y",
                "    app/b.py:3  from app.a import x, z",
                "    app.a has no x, z yet when app.b asks for it.",
                "    A try statement hides that it fails whichever is imported first.",
            ],
        ),
    ],
)  # fmt: skip
def test_the_lines_of_a_circle(cycle: ImportCycle, expected: list[str]) -> None:
    lines = _text(cycle).splitlines()
    assert lines[3 : lines.index("", 3)] == expected


def test_the_third_cure_is_about_a_statement_that_takes_names() -> None:
    third = _text(_cycle(_BOTH[0], _edge("app.b", "app.a"))).splitlines()[-2]
    assert (
        third
        == "    Import the module in place of names, 'import app.b', and use 'app.b.y' inside functions only."
    )
    third = _text(_cycle(_edge("app.a", "app.b"), _edge("app.b", "app.a"), lacking=("q",))).splitlines()[-2]
    assert (
        third
        == "    Import the module in place of names, 'import app.a', and use 'app.a.q' inside functions only."
    )


def test_what_is_told_beside_circles() -> None:
    broken = (
        BrokenModule("app.c", "ValueError: a\x1bb", "/src/app/c.py", 4),
        BrokenModule("app.d", "KeyboardError", None, None),
    )
    text = _text(allowed=(_cycle(*_BOTH),), outdated=("app.x -> app.y",), broken=broken)
    assert text == dedent(
        """\
        app: 0 circular imports in 9 modules, 2 of them imported first

        allowed: app.a -> app.b -> app.a

        allow='app.x -> app.y': no longer a cycle; remove the entry

        These cannot be imported for another reason, so their own imports were not seen:
            app.c: ValueError: a\\x1bb (app/c.py:4)
            app.d: KeyboardError"""
    )


def test_all_is_known_to_json() -> None:
    cycle = _cycle(*_BOTH, lacking=("x",), fails_from=("app.a",))
    found = ImportCycles(
        "app", 2, ("app",), (cycle,), (cycle,), ("old",), (BrokenModule("b", "E", None, None),)
    )
    builtins = found.as_builtins()
    assert json.loads(json.dumps(builtins)) == builtins
    assert list(builtins) == ["package", "modules", "tried", "cycles", "allowed", "outdated", "broken"]
    assert builtins["cycles"] == [
        {
            "name": "app.a -> app.b -> app.a",
            "verdict": "fails",
            "modules": ["app.a", "app.b"],
            "edges": [
                {
                    "importer": "app.a",
                    "file": "/src/app/a.py",
                    "line": 3,
                    "imported": "app.b",
                    "names": ["y"],
                },
                {
                    "importer": "app.b",
                    "file": "/src/app/b.py",
                    "line": 3,
                    "imported": "app.a",
                    "names": ["x", "z"],
                },
            ],
            "lacking": ["x"],
            "is_unbound": False,
            "fails_from": ["app.a"],
            "works_from": [],
            "is_swallowed": False,
        }
    ]


def test_a_circle_that_no_member_of_it_meets_when_it_is_first_fails_from_where_it_was_met() -> None:
    met = Attempt("app.z", (), (Crossing(_BOTH, ("x",)),), BrokenModule("app.b", "ImportError", "b.py", 1))
    (cycle,), broken = judge([met], "app", {"app.a", "app.b", "app.z"}, lambda module, name: True)
    assert (cycle.fails_from, cycle.works_from, len(broken)) == (("app.z",), (), 1)


def test_circles_of_other_packages_are_not_told() -> None:
    crossing = Crossing((_edge("lib.a", "lib.b"), _edge("lib.b", "lib.a")))
    assert judge([Attempt("app", (), (crossing,))], "app", (), lambda module, name: True) == ([], [])
