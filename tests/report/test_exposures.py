"""Who met a leak: what is noted, and what is told, without pytest."""

from __future__ import annotations

import builtins
import importlib
import sys
from collections.abc import Iterator
from importlib import _bootstrap
from typing import Any

import pytest

from pytest_import_isolation.leaks import exposures
from pytest_import_isolation.leaks.exposures import Exposures
from pytest_import_isolation.leaks.user_code import UserCode
from pytest_import_isolation.leaks.watched_changes import WatchedChange
from pytest_import_isolation.machinery.modules import ABSENT
from pytest_import_isolation.report.records import Exposure, Polluter
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.state.single_changes import SingleChange
from pytest_import_isolation.watching import import_events
from pytest_import_isolation.watching.asked_imports import AskedImports

_NAME = "exposed_fake"
_BY = Polluter("test_a.py", "collect")


class Run:
    """Exposures, and who is running."""

    def __init__(self) -> None:
        self.here: Polluter | None = Polluter("test_b.py::test_b", "call")
        self.exposures = Exposures(lambda: self.here, UserCode(Origins()), lambda module: False)

    def leak(self, name: str = _NAME, value: object = None) -> WatchedChange:
        """Plant something that was judged to be a leak."""
        sys.modules[name] = value = value or object()  # type: ignore[assignment]
        watched = self.exposures.watch(SingleChange("entry", name, ABSENT, value), _BY)
        watched.confirm(0, _BY)
        return watched

    def met(self) -> list[tuple[str, str, str]]:
        """Return who met the leak, when, and with which outcome."""
        return [(one.nodeid, one.phase, one.outcome) for one in self.exposures.by_leak().get(0, ())]


@pytest.fixture(params=["events", "replaced functions"])
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Watch in one of the two ways, and leave neither replaced functions, nor a tool, nor entries."""
    if request.param == "events" and import_events._MONITORING is None:
        pytest.skip("the events came with Python 3.12")
    if request.param != "events":
        monkeypatch.setattr(import_events, "_MONITORING", None)
    monkeypatch.setattr(exposures, "ASKED", AskedImports())
    before = _what_hears()
    made = Run()
    yield made
    made.exposures.stop()
    for name in [name for name in sys.modules if name.startswith("exposed_")]:
        del sys.modules[name]
    assert _what_hears() == before


def _what_hears() -> list[object]:
    """Return what hears of imports: the functions of the import system, and the tools of sys.monitoring."""
    monitoring: Any = getattr(sys, "monitoring", None)
    tools = map(monitoring.get_tool, range(6)) if monitoring else ()
    return [builtins.__import__, getattr(_bootstrap, "_gcd_import"), *tools]  # noqa: B009 - it is private


@pytest.mark.parametrize(
    "statement",
    [
        f"import {_NAME}",
        f"import {_NAME} as other",
        f"from {_NAME} import __class__",
        f"importlib.import_module({_NAME!r})",
        f"__import__({_NAME!r})",
    ],
)
def test_each_way_of_importing_is_noted_with_its_statement(run: Run, statement: str) -> None:
    run.leak()
    exec(compile(f"\n\n{statement}", "/b.py", "exec"), {"__name__": "b", "importlib": importlib})
    (met,) = run.exposures.by_leak()[0]
    assert met == Exposure("test_b.py::test_b", "call", "/b.py", 3, "unknown")


def test_a_submodule_of_what_leaked_is_met_too(run: Run) -> None:
    run.leak()
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(f"{_NAME}.sub")
    assert run.met() == [("test_b.py::test_b", "call", "unknown")]


def test_a_name_that_only_begins_alike_is_another(run: Run) -> None:
    run.leak()
    sys.modules[f"{_NAME}d"] = object()  # type: ignore[assignment]
    importlib.import_module(f"{_NAME}d")
    assert run.met() == []


def test_nothing_hears_while_nothing_is_leaked(run: Run) -> None:
    before = _what_hears()
    run.leak()
    importlib.import_module(_NAME)
    assert _what_hears() != before
    del sys.modules[_NAME]
    run.exposures.drop_undone()
    assert _what_hears()[:2] == before[:2]
    # The tool stays for the next leak, and hears nothing.
    sys.modules[_NAME] = object()  # type: ignore[assignment]
    run.here = Polluter("test_c.py", "call")
    importlib.import_module(_NAME)
    exec(f"import {_NAME}")
    assert run.met() == [("test_b.py::test_b", "call", "unknown")]
    run.exposures.stop()
    assert _what_hears() == before


def test_the_second_leak_is_heard_of_too(run: Run) -> None:
    space: dict[str, Any] = {"__name__": "b"}
    exec("def f():\n    import exposed_second", space)
    sys.modules["exposed_second"] = object()  # type: ignore[assignment]
    run.leak()
    space["f"]()
    assert run.met() == []
    run.leak("exposed_second", sys.modules["exposed_second"])
    space["f"]()
    assert run.met() == [("test_b.py::test_b", "call", "unknown")]


@pytest.mark.parametrize("nodeid", ["test_a.py", "test_a.py::test_a", "test_a.py::T::test[x::y]"])
def test_the_polluter_and_what_belongs_to_it_are_not_exposed(run: Run, nodeid: str) -> None:
    run.leak()
    run.here = Polluter(nodeid, "call")
    importlib.import_module(_NAME)
    run.exposures.note_outcome(nodeid, "call", "failed")
    assert run.met() == []


def test_between_the_tests_nobody_is_exposed(run: Run) -> None:
    run.leak()
    run.here = None
    importlib.import_module(_NAME)
    assert run.met() == []


def test_what_was_undone_before_it_was_judged_exposed_nobody(run: Run) -> None:
    sys.modules[_NAME] = value = object()  # type: ignore[assignment]
    run.exposures.watch(SingleChange("entry", _NAME, ABSENT, value), _BY)
    importlib.import_module(_NAME)
    del sys.modules[_NAME]
    run.exposures.drop_undone()
    assert list(run.exposures.met_by("test_b.py::test_b")) == []


def test_the_first_meeting_and_the_worst_outcome_are_told(run: Run) -> None:
    run.leak()
    for phase, outcome in (("setup", "passed"), ("call", "failed"), ("teardown", "passed")):
        run.here = Polluter("test_b.py::test_b", phase)
        importlib.import_module(_NAME)
        run.exposures.note_outcome("test_b.py::test_b", phase, outcome)
    assert run.met() == [("test_b.py::test_b", "setup", "failed")]


@pytest.mark.parametrize(
    ("nodeid", "exposed"),
    [
        ("test_b.py::test_b", True),
        ("test_b.py::T::test_b[a::b[c]]", True),
        ("test_b.py::test_b[test_c.py::x]", True),
        ("test_bb.py::test_b", False),
        ("test_c.py::test_c[test_b.py::x]", False),
    ],
)
@pytest.mark.parametrize("outcome", ["failed", "error", "passed", "skipped", "xfailed"])
def test_a_test_that_fails_was_exposed_to_what_its_file_imported(
    run: Run, nodeid: str, exposed: bool, outcome: str
) -> None:
    run.leak()
    run.here = Polluter("test_b.py", "collect")
    importlib.import_module(_NAME)
    run.exposures.note_outcome("test_b.py", "collect", "passed")
    run.exposures.note_outcome(nodeid, "call", outcome)
    own = [(nodeid, "call", outcome)] if exposed and outcome in ("failed", "error") else []
    assert run.met() == [("test_b.py", "collect", "passed"), *own]


def test_what_was_removed_is_met_until_it_is_back_itself(run: Run) -> None:
    before: Any = object()
    watched = WatchedChange(SingleChange("entry", _NAME, before, ABSENT), _BY, taints=False)
    assert watched.is_in_place
    sys.modules[_NAME] = object()  # type: ignore[assignment]
    assert watched.is_in_place
    sys.modules[_NAME] = before
    assert not watched.is_in_place


def test_a_test_that_shares_the_fixture_which_left_it_is_not_exposed(run: Run) -> None:
    watched = run.leak()
    importlib.import_module(_NAME)
    watched.confirm(0, Polluter("test_b.py", "setup"))
    assert run.met() == []
