"""Which statement changed the import state, as it was observed."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import pytest

from pytest_import_isolation.machinery.modules import ABSENT
from pytest_import_isolation.state.single_changes import SingleChange
from pytest_import_isolation.watching import lines as linewatch
from pytest_import_isolation.watching.statements import Statements, Step, Trail

_NAME = "observed_statement"


class Observed:
    """Statements of files in one directory, and what their callback was told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: list[tuple[list[SingleChange], Trail]] = []
        here = str(folder)
        self.statements = Statements(
            lambda file: file.startswith(here),
            lambda module, file: file.startswith(here),
            lambda changes, trail: self.told.append((changes, trail)),
        )

    def define(self, source: str, **space: Any) -> Callable[[], Any]:
        """Return the function ``f`` of a text."""
        file = str(self.folder / "test_a.py")
        space = {"__name__": "test_a", "__file__": file, "sys": sys, **space}
        exec(compile(dedent(source), file, "exec"), space)
        function: Callable[[], Any] = space["f"]
        return function

    def lines_of(self, change: SingleChange) -> list[int] | None:
        """Return the lines of the steps that led to a change."""
        trail = self.statements.find(change)
        return None if trail is None else [step.line for step in trail.steps]


@pytest.fixture(params=["monitoring", "settrace"])
def observed(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Observed]:
    """Observe in one of the two ways; the trace function of a measured run comes back."""
    if request.param == "monitoring" and not hasattr(sys, "monitoring"):
        pytest.skip("sys.monitoring came with Python 3.12")
    if request.param == "settrace":
        monkeypatch.setattr(linewatch, "_MONITORING", None)
    around, path = sys.gettrace(), list(sys.path)
    sys.settrace(None)
    made = Observed(tmp_path)
    assert made.statements.start()
    yield made
    made.statements.stop()
    sys.settrace(around)
    sys.path[:] = path
    for name in [name for name in sys.modules if name.startswith(_NAME)]:
        del sys.modules[name]


def _entry(name: str = _NAME) -> SingleChange:
    return SingleChange("entry", name, ABSENT, sys.modules.get(name, ABSENT))


def test_the_trail_leads_from_the_outermost_statement_to_the_one_that_did_it(observed: Observed) -> None:
    observed.define(
        """\
        def f():
            x = 1
            plant()
            y = 2
        def plant():
            sys.modules["observed_statement"] = object()
        """
    )()
    trail = observed.statements.find(_entry())
    file = str(observed.folder / "test_a.py")
    assert trail == Trail(
        (Step("test_a", file, 3, "f", is_entry=True), Step("test_a", file, 6, "plant")), exact=True
    )
    assert observed.told == [([_entry()], trail)]


def test_a_comprehension_and_a_class_body_are_parts_of_the_statement_around_them(observed: Observed) -> None:
    observed.define(
        """\
        def f():
            class Body:
                sys.modules["observed_statement"] = 1
            [sys.path.append(x) for x in ["/observed"]]
        """
    )()
    trail = observed.statements.find(_entry())
    assert trail is not None
    assert [(step.line, step.is_inline) for step in trail.steps] == [(2, False), (3, True)]
    added = observed.statements.find(SingleChange("path", "/observed", ABSENT, "/observed"))
    assert added is not None
    assert added.steps[-1].line == 4


def test_the_last_change_of_an_entry_counts_and_only_for_what_is_there(observed: Observed) -> None:
    observed.define(
        """\
        def f():
            sys.modules["observed_statement"] = object()
            sys.modules["observed_statement"] = object()
        """
    )()
    assert observed.lines_of(_entry()) == [3]
    sys.modules[_NAME] = object()  # type: ignore[assignment]
    assert observed.lines_of(_entry()) is None


def test_a_removal_is_found_whatever_was_there(observed: Observed) -> None:
    sys.modules[_NAME] = before = object()  # type: ignore[assignment]
    observed.statements.synchronize()
    observed.define(f"def f():\n    x = 1\n    del sys.modules[{_NAME!r}]\n")()
    assert observed.lines_of(SingleChange("entry", _NAME, before, ABSENT)) == [3]
    removal = observed.statements.find_removal(_NAME)
    assert removal is not None
    assert removal.steps[-1].line == 3
    # Who enters it again did not remove it.
    observed.define(f"def f():\n    x = 1\n    sys.modules[{_NAME!r}] = x\n")()
    assert observed.statements.find_removal(_NAME) is None


def test_changes_of_lists_are_found(observed: Observed) -> None:
    observed.define(
        """\
        def f():
            sys.path.append("/observed/one")
            sys.path.insert(0, 5)
            sys.path.remove(5)
            sys.path.reverse()
            sys.path.reverse()
            sys.path = list(sys.path)
        """
    )()
    assert observed.lines_of(SingleChange("path", "/observed/one", ABSENT, "/observed/one")) == [2]
    assert [[(change.what, change.key == "order") for change in changes] for changes, _ in observed.told] == [
        [("path", False)],
        [("path", False)],
        [("path", False)],
        [("path", True)],
        [("path", True)],
        [("rebound", False)],
    ]
    assert observed.lines_of(SingleChange("rebound", "sys.path", ABSENT, sys.path)) == [7]


def test_an_attribute_that_does_not_follow_its_entry_is_found(observed: Observed) -> None:
    from types import ModuleType

    package, child = ModuleType(_NAME), ModuleType(f"{_NAME}.child")
    package.child = child  # type: ignore[attr-defined]
    sys.modules |= {_NAME: package, f"{_NAME}.child": child}
    observed.statements.synchronize()
    observed.define(f"def f():\n    sys.modules['{_NAME}.child'] = object()\n")()
    assert observed.lines_of(SingleChange("attribute", f"{_NAME}.child", child, child)) == [2]


def test_what_changed_before_a_frame_began_is_not_its_own(observed: Observed) -> None:
    function = observed.define("def f():\n    x = 1\n    return x\n")
    sys.modules[_NAME] = object()  # type: ignore[assignment]
    function()
    assert observed.lines_of(_entry()) is None


def test_objects_whose_comparison_raises_are_compared_by_identity(observed: Observed) -> None:
    class Odd:
        def __eq__(self, other: object) -> bool:
            raise RuntimeError("no")

        __hash__ = None  # type: ignore[assignment]

    observed.define(
        """\
        def f():
            sys.modules["observed_statement"] = Odd()
            x = 1
            sys.modules["observed_statement"] = Odd()
        """,
        Odd=Odd,
    )()
    assert observed.lines_of(_entry()) == [4]
    assert observed.statements.failures == (0, None)


def test_a_wrapper_that_poses_as_a_function_of_the_file_is_no_step(observed: Observed) -> None:
    file = str(observed.folder / "test_a.py")
    test = observed.define("def f():\n    x = 1\n    sys.modules['observed_statement'] = x\n")
    wrappers = []
    for home in ({"__file__": "/site-packages/library.py"}, {}):
        space: dict[str, Any] = {"__name__": "library_temporary", "wrapped": test, **home}
        exec(compile("def wrapper(): return wrapped()", file, "exec"), space)
        wrappers.append(space["wrapper"])
    for wrapper in wrappers:
        wrapper()
        assert observed.lines_of(_entry()) == [3]
        del sys.modules[_NAME]
        observed.statements.synchronize()


def test_what_is_taken_out_and_put_back_is_that_of_the_first_statement(observed: Observed) -> None:
    made = ModuleType(_NAME), ModuleType(_NAME), MagicMock(), object(), None, [MagicMock()]
    observed.define(
        f"""\
        def f():
            for place in range(6):
                sys.modules["{_NAME}" + str(place)] = made[place]
            table = dict(sys.modules)
            sys.modules.clear()
            sys.modules.update(table)
            gone = sys.modules.pop("{_NAME}0")
            sys.modules["{_NAME}0"] = gone
            sys.modules.pop("{_NAME}1")
            sys.modules["{_NAME}1"] = other
        """,
        made=made,
        other=ModuleType(_NAME),
    )()
    lines = [observed.lines_of(_entry(f"{_NAME}{place}")) for place in range(6)]
    # Nothing can refer to the last one weakly.
    assert lines == [[3], [10], [3], [3], [3], [3]]


def test_what_is_taken_out_is_not_kept_alive_for_that(observed: Observed) -> None:
    made = [[ModuleType("held")]]
    reference, alive = weakref.ref(made[0][0]), list[bool]()
    observed.define(
        f"""        def f():
            sys.modules["{_NAME}"] = made.pop()
            del sys.modules["{_NAME}"]
            told.clear()
            alive.append(reference() is not None)
            sys.modules["{_NAME}"] = None
        """,
        told=observed.told,
        made=made,
        alive=alive,
        reference=reference,
    )()
    assert alive == [False]
    assert observed.lines_of(_entry()) == [6]
