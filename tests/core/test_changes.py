from __future__ import annotations

from pytest_import_isolation.state.changes import (
    FORGOTTEN,
    KEPT,
    PARKED,
    PUT_BACK,
    Changes,
    ItemChange,
    ModuleChange,
)


def test_changes_are_sorted_by_outcome() -> None:
    changes = Changes(
        modules=(
            ModuleChange("a", "nothing", "the module of /a.py", FORGOTTEN, "r1"),
            ModuleChange("b", "nothing", "the module of /b.py", PARKED, "r2"),
            ModuleChange("c", "nothing", "the module of /c.py", KEPT, "r3"),
            ModuleChange("d", "the module of /d.py", "None", PUT_BACK, "r4"),
        ),
        items=(ItemChange("path", "/x", "added", "undone"),),
        attributes=("p.q",),
        rebound=("sys.path",),
    )
    assert changes.forgotten == {"a": "r1"}
    assert changes.parked == {"b": "r2"}
    assert changes.kept == {"c": "r3"}
    assert changes.put_back == {"d": "r4"}
    assert str(changes) == (
        "forgotten a: r1\n"
        "parked b: r2\n"
        "kept c: r3\n"
        "put back d: r4\n"
        "undone: '/x' added in sys.path\n"
        "put back the attribute p.q\n"
        "put back sys.path, which was another object"
    )


def test_no_changes_are_false() -> None:
    assert not Changes()
    assert str(Changes()) == "nothing changed"
    assert Changes(attributes=("a.b",))
