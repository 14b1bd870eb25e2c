from __future__ import annotations

import builtins
import sys
import weakref
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import pytest

from pytest_import_isolation.leaks.entries import is_real
from pytest_import_isolation.leaks.first_imports import FirstImports
from pytest_import_isolation.leaks.judging import Judge
from pytest_import_isolation.leaks.module_contents import leak_of_reload
from pytest_import_isolation.leaks.places import Places
from pytest_import_isolation.machinery.frames import Importer
from pytest_import_isolation.machinery.modules import ABSENT
from pytest_import_isolation.report.records import Leak, Location, Polluter
from pytest_import_isolation.state.differences import Binding, Difference
from pytest_import_isolation.state.list_changes import ListChange
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.state.single_changes import SingleChange, single_changes
from pytest_import_isolation.watching.import_log import ImportLog, Reload

_BY = Polluter("test_a.py::test", "call")


@pytest.fixture
def log() -> ImportLog:
    return ImportLog()


@pytest.fixture
def judge(log: ImportLog) -> Judge:
    origins = Origins()
    origins.note_test_file(__file__)
    return Judge(origins, log, Places(Path()))


@pytest.fixture
def entries() -> Iterator[dict[str, Any]]:
    """``sys.modules``, of which entries below ``judged`` are taken out after the test."""
    yield sys.modules
    for name in [name for name in sys.modules if name.startswith("judged")]:
        del sys.modules[name]


def _real(name: str, file: str) -> ModuleType:
    module = ModuleType(name)
    module.__file__ = file
    return module


def _difference(**parts: Any) -> Difference:
    empty = Difference({}, {}, {}, {}, {}, (), import_function=False, importer_cache=False)
    return empty._replace(**parts)


def _kind(leak: Leak | None) -> str | None:
    return None if leak is None else leak.kind


def test_a_difference_is_taken_apart() -> None:
    a, b, finder = ModuleType("a"), ModuleType("b"), object()
    difference = _difference(
        added={"new": a},
        removed={"gone": b},
        replaced={"other": (a, b)},
        bindings={"p.c": Binding(a, ABSENT)},
        lists={
            "path": ListChange(("/x",), ("/y",), moved=False),
            "meta_path": ListChange((finder,), (), moved=True),
        },
        rebound=("sys.path",),
        import_function=True,
        importer_cache=True,
    )
    assert list(single_changes(difference)) == [
        SingleChange("entry", "new", ABSENT, a),
        SingleChange("entry", "gone", b, ABSENT),
        SingleChange("entry", "other", a, b),
        SingleChange("attribute", "p.c", a, ABSENT),
        SingleChange("path", "/x", ABSENT, "/x"),
        SingleChange("path", "/y", "/y", ABSENT),
        SingleChange("meta_path", id(finder), ABSENT, finder),
        SingleChange("meta_path", "order", ABSENT, tuple(map(id, sys.meta_path))),
        SingleChange("rebound", "sys.path", ABSENT, sys.path),
        SingleChange("import_function", "", ABSENT, builtins.__import__),
    ]
    assert list(single_changes(_difference())) == []


def test_single_changes_are_compared_by_identity() -> None:
    one, two = mock.MagicMock(), mock.MagicMock()
    added = SingleChange("entry", "x", ABSENT, one)
    assert added.same(SingleChange("entry", "x", two, one))
    assert not added.same(SingleChange("entry", "x", ABSENT, two))
    assert not added.same(SingleChange("entry", "y", ABSENT, one))
    assert not added.same(SingleChange("attribute", "x", ABSENT, one))


def test_entries(judge: Judge) -> None:
    real, again = _real("judged", "/src/judged.py"), _real("judged", "/src/judged.py")
    fake = ModuleType("judged")

    def kind(before: object, after: object) -> str | None:
        return _kind(judge.leak(SingleChange("entry", "judged", before, after), _BY))

    assert kind(ABSENT, real) == "loaded"
    assert kind(ABSENT, fake) == "fake-left"
    assert kind(ABSENT, None) == "blocked-left"
    assert kind(real, None) == "blocked-left"
    assert kind(real, ABSENT) == "removed"
    assert kind(real, again) == "replaced"
    assert kind(real, fake) == "replaced"
    assert kind(real, mock.Mock()) == "replaced"
    assert kind(fake, mock.Mock()) == "fake-left"
    assert kind(fake, ABSENT) is None
    assert kind(None, ABSENT) is None
    assert kind(fake, real) is None
    assert kind(None, real) is None
    odd = judge.leak(SingleChange("entry", (1, 2), ABSENT, 3), _BY)
    assert odd is not None
    assert odd.name == "(1, 2)"


def test_a_stand_in_of_the_same_package_is_no_replacement(judge: Judge, entries: dict[str, Any]) -> None:
    real = _real("judged", "/src/judged.py")
    entries["judged"] = real
    proxy_class = type("Proxy", (ModuleType,), {"__module__": "judged"})
    proxy = proxy_class("judged")
    proxy.__file__ = "/src/judged.py"
    assert judge.leak(SingleChange("entry", "judged", real, proxy), _BY) is None


def test_attributes_count_only_when_they_part_from_the_entry(judge: Judge, entries: dict[str, Any]) -> None:
    before, after = _real("judged.sub", "/src/a.py"), ModuleType("judged.sub")
    entries["judged.sub"] = before

    def kind(old: object, new: object) -> str | None:
        return _kind(judge.leak(SingleChange("attribute", "judged.sub", old, new), _BY))

    assert kind(before, after) == "stale-attribute"
    assert kind(before, ABSENT) == "stale-attribute"
    assert kind(after, ABSENT) is None  # was stale before
    assert kind(after, before) is None  # was mended
    entries["judged.sub"] = after
    assert kind(before, after) is None  # the entry went the same way


def test_items_of_lists(judge: Judge) -> None:
    class Finder:
        pass

    def leak(what: str, before: object, after: object, key: object = 1) -> tuple[str, str] | None:
        found = judge.leak(SingleChange(what, key, before, after), _BY)
        return None if found is None else (found.kind, found.name)

    assert leak("path", ABSENT, "/x") == ("path-added", "/x")
    assert leak("path", "/x", ABSENT) == ("path-removed", "/x")
    assert leak("path", "", "", "order") == ("path-moved", "sys.path")
    assert leak("meta_path", "", "", "order") is None
    assert leak("path", ABSENT, 3) == ("path-added", "builtins.int")
    finder = Finder()
    name = f"{__name__}.{Finder.__qualname__}"
    assert leak("meta_path", ABSENT, finder) == ("finder-added", name)
    assert leak("meta_path", finder, ABSENT) == ("finder-removed", name)
    assert leak("path_hooks", ABSENT, Finder) == ("hook-added", name)
    assert leak("path_hooks", Finder, ABSENT) == ("hook-removed", name)
    installed = type("Installed", (), {"__module__": "json.hooks"})()
    assert leak("meta_path", ABSENT, installed) == ("finder-added", "json.hooks.Installed")
    assert leak("meta_path", installed, ABSENT) == ("finder-removed", "json.hooks.Installed")
    assert leak("rebound", ABSENT, "sys.path", "sys.path") == ("rebound", "sys.path")


def test_the_finder_of_an_installed_package_is_no_leak_if_the_package_can_have_installed_it(
    judge: Judge, entries: dict[str, Any]
) -> None:
    def installs() -> None:
        sys.meta_path.append(None)  # type: ignore[arg-type]

    package, hooks = (_real(f"judged{rest}", "/site-packages/judged.py") for rest in ("", ".hooks"))
    entries["judged"], entries["judged.hooks"] = package, hooks
    finder = type("Installed", (), {"__module__": "judged.hooks"})()
    change = SingleChange("meta_path", id(finder), ABSENT, finder)
    assert _kind(judge.leak(change, _BY)) == "finder-added"
    package.installs = installs  # type: ignore[attr-defined]
    assert _kind(Judge(Origins(), ImportLog(), Places(Path())).leak(change, _BY)) is None


def test_whether_a_change_is_still_in_place(judge: Judge, entries: dict[str, Any]) -> None:
    fake, angry = ModuleType("judged"), mock.MagicMock(__eq__=mock.Mock(side_effect=RuntimeError))
    entries["judged"] = fake
    assert SingleChange("entry", "judged", ABSENT, fake).is_in_place
    assert not SingleChange("entry", "judged", ABSENT, ModuleType("judged")).is_in_place
    assert SingleChange("entry", "judged_gone", fake, ABSENT).is_in_place
    entries["judged.sub"] = ModuleType("judged.sub")
    assert SingleChange("attribute", "judged.sub", fake, ABSENT).is_in_place
    assert not SingleChange("path", "/x", ABSENT, "/x").is_in_place
    assert SingleChange("path", "/x", "/x", ABSENT).is_in_place
    sys.path_hooks.append(angry)
    try:
        other = object()
        assert SingleChange("path_hooks", id(angry), ABSENT, angry).is_in_place
        assert SingleChange("path_hooks", id(other), other, ABSENT).is_in_place
    finally:
        sys.path_hooks.pop()


def test_what_was_put_back_is_no_longer_in_place(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    order = [*reversed(sys.path)]
    monkeypatch.setattr(sys, "path", order)
    moved = _difference(lists={"path": ListChange((), (), moved=True)}, rebound=("sys.path",))
    now, again = list(single_changes(moved)), list(single_changes(moved))
    assert all(change.is_in_place for change in now)
    assert [one.same(other) for one, other in zip(now, again, strict=True)] == [True, True]
    monkeypatch.undo()
    assert not any(change.is_in_place for change in now)
    monkeypatch.delattr(sys, "path_hooks")
    assert not SingleChange("path_hooks", 3, ABSENT, 3).is_in_place


def test_the_chain_of_a_first_import_leads_from_the_statement_to_the_module(log: ImportLog) -> None:
    log.importers["judged.db"] = Importer("judged.user", "/root/judged/user.py", 3)
    log.importers["judged.user"] = Importer("test_a", "/root/test_a.py", 5)
    first_imports = FirstImports(Origins(), log, Places(Path("/root")))
    leak = first_imports.leak("judged.db", _BY)
    assert leak.location == Location("judged/user.py", 3, exact=True)
    assert [tuple(link) for link in leak.chain] == [
        ("judged.user", "test_a.py", 5),
        ("judged.db", "judged/user.py", 3),
    ]
    unknown = first_imports.leak("judged.other", _BY)
    assert (unknown.location, unknown.chain) == (None, ())


def test_at_most_five_holders_of_an_old_execution_are_named(entries: dict[str, Any]) -> None:
    module = _real("judged", "/src/judged.py")
    old = type("Thing", (), {"__module__": "judged"})
    before: dict[str, object] = {"Thing": old, "limit": 3, "imported": ModuleType}
    module.__dict__.update(before, Thing=type("Thing", (), {"__module__": "judged"}))
    entries["judged"] = module
    leak = leak_of_reload(Reload("judged", None, module, before), _BY, Places(Path())).leak
    assert (leak.severity, leak.location) == ("warning", None)
    for number in range(6):
        holder = entries[f"judged{number}"] = ModuleType(f"judged{number}")
        holder.__dict__["held"] = old
    by = Importer("t", "/t.py", 7)
    reload = Reload("judged", by, module, before, (by,))
    leak = leak_of_reload(reload, _BY, Places(Path())).leak
    assert leak.severity == "error"
    assert leak.location == Location("/t.py", 7, exact=True)
    assert leak.detail == (
        "judged was executed again in place, but objects of the old execution are still held by "
        "judged0.held, judged1.held, judged2.held, judged3.held, judged4.held, ...."
    )


def test_the_second_name_that_cython_gives_a_module_is_no_fake(entries: dict[str, Any]) -> None:
    extension = _real("judged.judged_c", f"/site-packages/judged/judged_c{EXTENSION_SUFFIXES[0]}")
    extension.__spec__ = ModuleSpec("judged.judged_c", None)
    entries["judged.judged_c"] = entries["judged_c"] = extension
    assert is_real("judged_c", extension, Origins())
    entries["judged_other"] = extension
    assert not is_real("judged_other", extension, Origins())


@pytest.mark.parametrize(
    ("name", "phase", "kind"),
    [
        ("$coverage.debug.the_one", "configure", None),
        ("$coverage.debug.the_one", "call", None),
        ("judged.class", "call", None),
        ("judged.fake", "configure", "fake-left"),
    ],
)
def test_what_a_plugin_keeps_under_a_name_that_cannot_be_imported_is_no_fake(
    judge: Judge, name: str, phase: str, kind: str | None
) -> None:
    assert _kind(judge.leak(SingleChange("entry", name, ABSENT, (1, 2)), Polluter("", phase))) == kind


def test_a_weak_reference_to_a_module_is_no_fake_and_may_go_with_the_module(entries: dict[str, Any]) -> None:
    module = ModuleType("judged_weak")
    entries["judged_weak"] = proxy = weakref.proxy(module)
    assert is_real("judged_weak", proxy, Origins())
    del entries["judged_weak"]
    change = SingleChange("entry", "judged_weak", proxy, ABSENT)
    assert _kind(Judge(Origins(), ImportLog(), Places(Path())).leak(change, _BY)) is None
