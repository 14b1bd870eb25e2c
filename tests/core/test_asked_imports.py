"""Hearing of imports of loaded modules: by the events of ``sys.monitoring``, and by functions that are replaced."""

from __future__ import annotations

import builtins
import gc
import importlib
import pickle
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from importlib import _bootstrap
from pathlib import Path
from textwrap import dedent
from types import BuiltinFunctionType, ModuleType
from typing import Any

import pytest

from pytest_import_isolation.watching import import_events
from pytest_import_isolation.watching.asked_imports import AskedImports

Tree = Callable[[dict[str, str]], Path]

_EVENTS, _REPLACED = "events", "replaced"


@pytest.fixture(params=[_EVENTS, _REPLACED])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return by which way imports are heard of."""
    if request.param == _EVENTS and import_events._MONITORING is None:
        pytest.skip("the events came with Python 3.12")
    if request.param == _REPLACED:
        monkeypatch.setattr(import_events, "_MONITORING", None)
    way: str = request.param
    return way


@pytest.fixture
def asked(way: str) -> Iterator[AskedImports]:
    """Return what listens; nothing of it stays."""
    before = _places()
    yield AskedImports()
    assert _places() == before


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load two modules, one of them in a package."""
    package = ModuleType("asked_pkg")
    package.__path__ = []
    for name, module in (
        ("asked_top", ModuleType("asked_top")),
        ("asked_pkg", package),
        ("asked_pkg.sub", ModuleType("asked_pkg.sub")),
    ):
        monkeypatch.setitem(sys.modules, name, module)
    package.sub = sys.modules["asked_pkg.sub"]  # type: ignore[attr-defined]


def _places() -> list[object]:
    monitoring: Any = getattr(sys, "monitoring", None)
    tools = map(monitoring.get_tool, range(6)) if monitoring else ()
    return [builtins.__import__, getattr(_bootstrap, "_gcd_import"), *tools]  # noqa: B009 - it is private


def _define(source: str, name: str = "f", **space: object) -> Callable[..., Any]:
    space = {"__name__": "asker", "importlib": importlib, **space}
    exec(compile(dedent(source), "/asker.py", "exec"), space)
    function: Any = space[name]
    return function  # type: ignore[no-any-return]


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize(
    ("statement", "names"),
    [
        ("import asked_top", {"asked_top"}),
        ("import asked_top as other", {"asked_top"}),
        ("import asked_pkg.sub", {"asked_pkg.sub"}),
        ("from asked_pkg import sub", {"asked_pkg", "asked_pkg.sub"}),
        ("from asked_pkg.sub import __name__", {"asked_pkg.sub", "asked_pkg.sub.__name__"}),
        ("from . import sub", {"asked_pkg", "asked_pkg.sub"}),
        ("from .sub import __name__", {"asked_pkg.sub", "asked_pkg.sub.__name__"}),
        ("importlib.import_module('asked_top')", {"asked_top"}),
        ("importlib.import_module('.sub', 'asked_pkg')", {"asked_pkg.sub"}),
        ("importlib.__import__('asked_top')", {"asked_top"}),
        ("importlib.__import__('sub', globals(), {}, ['x'], 1)", {"asked_pkg.sub"}),
        ("importlib.util.find_spec('asked_pkg.other')", {"asked_pkg"}),
        ("__import__('asked_top')", {"asked_top"}),
        ("__import__(name='asked_top')", {"asked_top"}),
        ("__import__(*['asked_top'])", {"asked_top"}),
        ("__import__('asked_pkg', fromlist=['sub'])", {"asked_pkg", "asked_pkg.sub"}),
        ("__import__('asked_pkg.sub', fromlist=['x'])", {"asked_pkg.sub"}),
        ("exec('import asked_top')", {"asked_top"}),
        ("[__import__(name) for name in ['asked_top']]", {"asked_top"}),
    ],
)
def test_each_way_of_asking_is_heard(asked: AskedImports, statement: str, names: set[str]) -> None:
    function = _define(f"def f():\n    {statement}", __package__="asked_pkg")
    heard: list[tuple[str, int]] = []
    undo = asked.observe(
        lambda name: name.startswith("asked_"),
        lambda name: heard.append((name, _line_of("/asker.py", "<string>"))),
    )
    function()
    undo()
    function()
    assert names <= {name for name, _ in heard}
    assert {line for _, line in heard} <= {1, 2}
    assert {name for name, _ in heard} - names <= {"asked_pkg.sub.x", "asked_pkg.__path__"}


def _line_of(*files: str) -> int:
    frame = sys._getframe(1)
    while frame.f_back and frame.f_code.co_filename not in files:
        frame = frame.f_back
    return frame.f_lineno


@pytest.mark.usefixtures("loaded")
def test_each_statement_is_heard_when_it_runs_and_not_before(asked: AskedImports) -> None:
    source = """\
    def f(log, yes):
        log.append(1)
        if yes: import asked_top; log.append(2); from asked_pkg import sub
        log.append(3)
    """
    log: list[object] = []
    function = _define(source)
    undo = asked.observe(lambda name: name in ("asked_top", "asked_pkg"), log.append)
    function(log, False)
    assert log == [1, 3]
    log.clear()
    function(log, True)
    undo()
    assert [entry for at, entry in enumerate(log) if entry not in log[:at]] == [
        *(1, "asked_top", 2, "asked_pkg", 3)
    ]


_WITNESS = """\
import sys, warnings
warnings.warn("old", DeprecationWarning, stacklevel=2)
frames, frame = [], sys._getframe(1)
while frame and frame.f_code.co_name != "ask":
    frames.append((frame.f_code.co_filename, frame.f_code.co_name))
    frame = frame.f_back
"""


@pytest.mark.parametrize(
    "statement",
    [
        "import asked_witness",
        "from asked_witness import frames",
        "importlib.import_module('asked_witness')",
        "import asked_around",
        "__import__('asked_witness')",
    ],
)
def test_there_is_no_frame_of_ours_between_importer_and_module(
    asked: AskedImports, tree: Tree, statement: str, way: str
) -> None:
    tree({"asked_witness.py": _WITNESS, "asked_around.py": "import asked_witness"})

    function = _define(f"def f():\n    {statement}")

    def ask() -> tuple[object, object]:
        for name in ("asked_witness", "asked_around"):
            sys.modules.pop(name, None)
        with pytest.warns(DeprecationWarning, match="old") as warned:
            function()
        return (warned[0].filename, warned[0].lineno), sys.modules["asked_witness"].frames

    heard: list[str] = []
    expected = ask()
    undo = asked.observe(lambda name: name.startswith("asked_"), heard.append)
    found = ask()
    undo()
    assert heard
    if way == _REPLACED and statement.startswith("__import__"):
        # Only its arguments say what is asked for, and only a function sees them.
        assert len(found[1]) == len(expected[1]) + 1  # type: ignore[arg-type]
    else:
        assert found == expected


@pytest.mark.parametrize(
    "statement", ["import asked_not_there", "import asked_fails", "importlib.import_module('asked_fails')"]
)
def test_a_failing_import_has_the_traceback_that_it_has_without_us(
    asked: AskedImports, tree: Tree, statement: str
) -> None:
    tree({"asked_fails.py": "1 / 0"})

    function = _define(f"def f():\n    {statement}")

    def ask() -> list[tuple[str, int]]:
        with pytest.raises((ImportError, ZeroDivisionError)) as caught:
            function()
        return [(entry.frame.code.path.__str__(), entry.lineno) for entry in caught.traceback][1:]

    expected = ask()
    heard: list[str] = []
    undo = asked.observe(lambda name: name.startswith("asked_"), heard.append)
    found = ask()
    undo()
    assert heard
    assert found == expected


def test_the_import_function_is_the_real_one_or_looks_so(asked: AskedImports, way: str) -> None:
    real = builtins.__import__
    undo = asked.observe(lambda name: False, lambda name: None)
    try:
        shown = builtins.__import__
        assert isinstance(shown, BuiltinFunctionType)
        assert callable(shown)
        assert (shown.__name__, shown.__module__, repr(shown)) == ("__import__", "builtins", repr(real))
        assert (shown is real) == (way == _EVENTS)
    finally:
        undo()
    assert builtins.__import__ is real


@pytest.mark.usefixtures("loaded")
def test_code_that_runs_already_is_heard(asked: AskedImports) -> None:
    source = """\
    def f(begin):
        undo = begin()
        import asked_top
        for name in ("asked_top",):
            __import__(name)
        undo()
    """
    heard: list[str] = []
    _define(source)(lambda: asked.observe(lambda name: name == "asked_top", heard.append))
    assert heard == ["asked_top", "asked_top"]


@pytest.mark.usefixtures("loaded")
def test_a_thread_that_runs_already_is_heard(asked: AskedImports) -> None:
    source = """\
    def f(begun, go):
        begun.set()
        go.wait()
        import asked_top
    """
    begun, go = threading.Event(), threading.Event()
    thread = threading.Thread(target=_define(source), args=(begun, go))
    thread.start()
    begun.wait()
    heard: list[str] = []
    undo = asked.observe(lambda name: name == "asked_top", heard.append)
    go.set()
    thread.join()
    undo()
    assert heard == ["asked_top"]


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("within", [None, ["asked_pkg"]])
def test_what_a_name_is_added_for_later_is_heard_after_it_was_told(
    asked: AskedImports, within: list[str] | None
) -> None:
    covered, heard = {"asked_top"}, list[str]()
    functions = [_define(f"def f():\n    import {name}") for name in ("asked_top", "asked_pkg")]
    undo = asked.observe(covered.__contains__, heard.append)

    def call() -> list[str]:
        heard.clear()
        for function in functions:
            function()
        return heard

    assert call() == ["asked_top"]
    covered.add("asked_pkg")
    asked.settle(within)
    assert call() == ["asked_top", "asked_pkg"]
    undo()
    assert call() == []


@pytest.mark.skipif(not hasattr(sys, "monitoring"), reason="the events came with Python 3.12")
@pytest.mark.usefixtures("loaded")
def test_only_names_are_looked_at_again_that_can_have_come_to_be_wanted() -> None:
    asked, questions = AskedImports(), list[str]()
    undo = asked.observe(questions.append, list, ())
    functions = [
        _define(f"def f():\n    import {name}") for name in ("asked_top", "asked_pkg.sub", "asked_pkg")
    ]
    for function in functions:
        function()
    questions.clear()
    asked.settle(["asked_pkg"])
    undo()
    assert sorted(questions) == ["asked_pkg", "asked_pkg.sub"]


@pytest.mark.skipif(not hasattr(sys, "monitoring"), reason="the events came with Python 3.12")
@pytest.mark.usefixtures("loaded")
def test_code_whose_instructions_another_tool_hears_of_is_heard(asked: AskedImports) -> None:
    monitoring: Any = getattr(sys, "monitoring")  # noqa: B009 - not on the oldest Python
    event = monitoring.events.INSTRUCTION
    function = _define("def f():\n    import asked_top\n    __import__('asked_top')")
    tool = next(tool for tool in range(6) if monitoring.get_tool(tool) is None)
    monitoring.use_tool_id(tool, "another")
    met: list[int] = []
    heard: list[str] = []
    try:
        monitoring.register_callback(tool, event, lambda code, offset: met.append(offset))
        monitoring.set_local_events(tool, function.__code__, event)
        function()
        undo = asked.observe(lambda name: name == "asked_top", heard.append)
        function()
        undo()
    finally:
        monitoring.set_local_events(tool, function.__code__, 0)
        monitoring.register_callback(tool, event, None)
        monitoring.free_tool_id(tool)
    assert heard == ["asked_top", "asked_top"]
    assert met


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("held", [False, True])
def test_listening_begins_again(asked: AskedImports, held: bool) -> None:
    heard: list[str] = []
    function = _define("def f():\n    import asked_top\n    __import__('asked_top')")
    release = asked.hold() if held else lambda: None
    for _ in range(3):
        undo = asked.observe(lambda name: name == "asked_top", heard.append)
        function()
        undo()
        function()
        assert heard == ["asked_top"] * 2
        heard.clear()
        late = _define("def f():\n    import asked_top\n    __import__('asked_top')")
        late()
        undo = asked.observe(lambda name: name == "asked_top", heard.append)
        late()
        undo()
        assert heard == ["asked_top"] * 2
        heard.clear()
    release()


@pytest.mark.usefixtures("loaded")
def test_who_listens_fails_and_the_import_does_not(asked: AskedImports) -> None:
    def told(name: str) -> None:
        raise OSError(name)

    statements = ["import asked_top", "__import__('asked_top')", "importlib.import_module('asked_top')"]
    function = _define("def f():\n    " + "\n    ".join(statements) + "\n    return asked_top")
    undo = asked.observe(lambda name: name == "asked_top", told)
    try:
        assert function() is sys.modules["asked_top"]
    finally:
        undo()


@pytest.mark.usefixtures("loaded")
def test_an_import_at_the_end_of_the_stack_works(asked: AskedImports) -> None:
    source = """\
    def f():
        try:
            return f() + 1
        except RecursionError:
            pass
        import asked_top
        return 1
    """
    function = _define(source)
    function()
    heard: list[str] = []
    undo = asked.observe(lambda name: name == "asked_top", heard.append)
    try:
        assert function() > 100
    finally:
        undo()


@pytest.mark.usefixtures("loaded")
def test_another_replacement_of_the_import_function_stays_and_imports_are_heard(
    asked: AskedImports, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__
    function = _define("def f():\n    import asked_top")

    def theirs(*args: Any, **more: Any) -> Any:
        return real(*args, **more)

    heard: list[str] = []
    undo = asked.observe(lambda name: name == "asked_top", heard.append)
    with monkeypatch.context() as patches:
        patches.setattr(builtins, "__import__", theirs)
        if import_events._MONITORING is not None:
            function()
        asked.settle()
        assert builtins.__import__ is theirs
    asked.settle()
    function()
    undo()
    assert heard == ["asked_top"] * (1 if import_events._MONITORING is None else 2)


@pytest.mark.usefixtures("loaded")
def test_code_that_imports_is_held_by_nobody(asked: AskedImports) -> None:
    undo = asked.observe(lambda name: name == "asked_top", lambda name: None)
    events = asked._events
    try:
        function = _define("def f():\n    import asked_top\n    __import__('asked_top')")
        function()
        code = weakref.ref(function.__code__)
        del function
        gc.collect()
        assert code() is None or asked._statements  # where functions are replaced, until the end
        # Other code may have begun meanwhile: what is remembered is alive.
        assert all(importer.code() is not None for importer in events._importers.values())
        assert all(reference() is not None for reference in events._calling.values())
        assert "asked_top" not in events._asking or _is_asked_for_here(events, "asked_top")
    finally:
        undo()


def _is_asked_for_here(events: Any, name: str) -> bool:
    return all(ident in events._importers for ident in events._asking[name])


@pytest.mark.skipif(import_events._MONITORING is None, reason="the events came with Python 3.12")
@pytest.mark.usefixtures("loaded")
def test_where_all_tools_are_taken_functions_are_replaced() -> None:
    monitoring: Any = import_events._MONITORING
    before = _places()
    mine = [tool for tool in import_events._TOOL_IDS if monitoring.get_tool(tool) is None]
    for tool in mine:
        monitoring.use_tool_id(tool, "other")
    try:
        heard: list[str] = []
        undo = AskedImports().observe(lambda name: name == "asked_top", heard.append)
        assert _places() != before
        _define("def f():\n    import asked_top\n    __import__('asked_top')")()
        undo()
        assert heard == ["asked_top"] * 2
    finally:
        for tool in mine:
            monitoring.free_tool_id(tool)
    assert _places() == before


@pytest.mark.skipif(import_events._MONITORING is None, reason="the events came with Python 3.12")
@pytest.mark.usefixtures("loaded")
def test_a_tool_that_a_test_freed_is_taken_again() -> None:
    monitoring: Any = import_events._MONITORING
    before = [monitoring.get_tool(tool) for tool in range(6)]
    heard: list[str] = []
    asked = AskedImports()
    function = _define("def f():\n    import asked_top")
    undo = asked.observe(lambda name: name == "asked_top", heard.append)
    function()
    tool = next(tool for tool in range(6) if monitoring.get_tool(tool) != before[tool])
    monitoring.set_events(tool, 0)
    monitoring.free_tool_id(tool)
    asked.settle()
    function()
    undo()
    assert heard == ["asked_top"] * 2
    assert [monitoring.get_tool(tool) for tool in range(6)] == before


@pytest.mark.usefixtures("loaded")
def test_what_pickle_imports_is_heard_where_functions_are_replaced(asked: AskedImports, way: str) -> None:
    module: Any = sys.modules["asked_top"]
    exec("class Item: pass", module.__dict__)
    module.Item.__module__ = "asked_top"
    heard: list[str] = []
    undo = asked.observe(lambda name: name == "asked_top", heard.append)
    pickle.loads(pickle.dumps(module.Item))
    undo()
    # C code that imports what is loaded makes no event.
    assert bool(heard) == (way == _REPLACED)
