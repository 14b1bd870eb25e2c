"""The watching is not seen by the code that is watched, and nothing in that code ends it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

_MODES = [
    ("--import-leak-report",),
    ("--isolate-imports=file",),
    ("--import-leak-report", "--import-leak-effects", "--isolate-imports=test"),
]

_CONFTEST = """\
import json, os, sys
import pytest

OUT = os.path.join(os.path.dirname(__file__), "seen.jsonl")

def frame_names(frame, last):
    found = []
    while frame is not None and frame.f_code.co_name != last:
        found.append((os.path.basename(frame.f_code.co_filename), frame.f_code.co_name))
        frame = frame.f_back
    return found

@pytest.fixture
def see(request):
    def see(*values):
        with open(OUT, "a") as file:
            file.write(json.dumps([request.node.name, *values], default=str) + "\\n")
    return see

def pytest_exception_interact(node, call):
    # How many frames pytest itself has is its own matter.
    trace = [
        (os.path.basename(entry.path), entry.lineno)
        for entry in call.excinfo.traceback
        if not {"_pytest", "pluggy"}.intersection(str(entry.path).replace(os.sep, "/").split("/"))
    ]
    with open(OUT, "a") as file:
        file.write(json.dumps([node.name, call.when, trace]) + "\\n")

@pytest.fixture
def fails_after():
    yield
    1 / 0

@pytest.fixture(scope="module")
def fails_wide():
    yield 1 / 0

@pytest.fixture(scope="module")
def fails_wide_after():
    yield
    1 / 0

@pytest.fixture
def fails():
    yield 1 / 0
"""

_POLLUTER = """\
import sys, types

def test_leaves_fakes():
    for name in ("dustpan", "fake_pkg"):
        sys.modules[name] = types.ModuleType(name)
"""

_WITNESS = """\
import builtins, importlib, inspect, os, sys, traceback, types, warnings
import pytest

def body_frames(module):
    return [(os.path.basename(i.filename), i.lineno, i.function) for i in module.STACK if "test_2" in i.filename][:1]

@pytest.mark.parametrize("how", ["import", "from", "import_module", "nested"])
def test_import(how, see):
    for name in ("pail", "around"):
        sys.modules.pop(name, None)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        if how == "import":
            import pail
        elif how == "from":
            from pail import FRAMES
        elif how == "import_module":
            importlib.import_module("pail")
        else:
            import around
    try:
        import dustpan  # it is there unless it is isolated
    except ImportError:
        pass
    sys.modules.pop("around", None)
    pail = sys.modules.pop("pail")
    see([(os.path.basename(w.filename), w.lineno, str(w.message)) for w in warned])
    see(pail.FRAMES)

def test_missing(see):
    for statement in ("import bucket_not_there", "importlib.import_module('bucket_not_there')",
                      "import json.not_there", "__import__('bucket_not_there')"):
        try:
            exec(statement)
        except ImportError as error:
            frames = [(os.path.basename(f.filename), f.lineno, f.name) for f in traceback.extract_tb(error.__traceback__)]
            # Below 3.11 what is raised again has its frames again; below 3.12 a call, unlike a statement, has ours.
            see([frame for frame in frames if sys.version_info >= (3, 11) or frame[0] != "asked_imports.py"])
            see(str(error))

def test_functions(see):
    see(isinstance(builtins.__import__, types.BuiltinFunctionType), builtins.__import__.__name__)
    if (3, 12) <= sys.version_info < (3, 15):
        see(type(builtins.__import__) is types.BuiltinFunctionType, sys.gettrace() is None)
        see(type(importlib._bootstrap._gcd_import) is types.FunctionType)

def test_depth(see):
    depth = 0
    def deeper():
        nonlocal depth
        depth += 1
        deeper()
    with pytest.raises(RecursionError):
        deeper()
    # Below 3.12 the trace function is called for every call.
    see(depth if hasattr(sys, "monitoring") else "?")
    sys.modules["x_depth"] = None
    del sys.modules["x_depth"]

def test_low_limit(see):
    frame, depth = sys._getframe(), 0
    while frame:
        frame, depth = frame.f_back, depth + 1
    limit = sys.getrecursionlimit()
    def leaf():
        x = 1
        y = 2
        return x + y
    # Below 3.12 the trace function is called for every call, importlib's too.
    sys.setrecursionlimit(depth + (20 if hasattr(sys, "monitoring") else 100))
    try:
        see_nothing = [leaf() for _ in range(3)]
        import json
        import dustpan_or_not
    except ImportError as error:
        text = str(error)
    finally:
        sys.setrecursionlimit(limit)
    see(see_nothing, text)

def test_settrace(see):
    if not (3, 12) <= sys.version_info < (3, 15):  # else a trace function sees what answers for __call__
        return
    traced = []
    def trace(frame, event, argument):
        traced.append((frame.f_code.co_name, event))
        return trace
    def asks():
        import json
        import os.path as p
        return p
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        asks()
    finally:
        sys.settrace(before)
    see(traced)

def test_deleted_directory(tmp_path, monkeypatch, see):
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "path", [""])
        see("" in sys.path)
        try:
            import bucket_not_there
        except ImportError as error:
            see(str(error))

def test_signal(see):
    import signal, time
    if not hasattr(signal, "setitimer"):
        return
    def handler(number, frame):
        raise TimeoutError("too late")
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        while True:
            sys.modules.get("x")
            leaf = 1
    except TimeoutError as error:
        files = {f.filename for f in traceback.extract_tb(error.__traceback__)}
        if sys.version_info < (3, 11):  # what is raised again has its frames again
            files = {file for file in files if "pytest_import_isolation" not in file}
        see(str(error), sorted(map(os.path.basename, files)))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

def test_a(fails_after): pass
def test_b(fails_wide): pass
def test_c(fails): pass
def test_d(fails_wide_after): pass
def test_e(): raise KeyError
"""

_LATER = """\
import sys, types

def test_leaves_another():
    sys.modules["later"] = types.ModuleType("later")
"""

_SUITE = {
    "conftest.py": _CONFTEST,
    "pail.py": """\
        import sys, warnings
        from conftest import frame_names
        warnings.warn("pail is old", DeprecationWarning, stacklevel=2)
        warnings.warn("pail is old, says its importer's importer", DeprecationWarning, stacklevel=3)
        FRAMES = frame_names(sys._getframe(), "pytest_pyfunc_call")
    """,
    "around.py": "import pail\n",
    "test_1_polluter.py": _POLLUTER,
    "test_2_witness.py": _WITNESS,
    "test_3_later.py": _LATER,
}


def _seen(suite: Suite) -> list[Any]:
    written = suite.root / "seen.jsonl"
    found = [json.loads(line) for line in written.read_text().splitlines()]
    written.unlink()
    return found


@pytest.mark.parametrize("options", _MODES, ids=" ".join)
def test_the_code_of_tests_sees_what_it_sees_without_the_plugin(
    suite: Suite, options: tuple[str, ...]
) -> None:
    plain = suite.run(_SUITE, load=False, report=False, measured=False)
    expected = _seen(suite)
    assert len(expected) > 25
    run = suite.run({}, *options, measured=False)
    assert run.outcomes == plain.outcomes
    assert _seen(suite) == expected
    if "--isolate-imports" not in "".join(options):
        assert run.leak("fake-left", "later")["location"] == {
            "file": "test_3_later.py",
            "line": 4,
            "exact": True,
        }
        assert "at lines failed" not in run.section


@pytest.mark.parametrize(
    ("options", "style"), [*((mode, "--full-trace") for mode in _MODES), (_MODES[-1], "--tb=native")]
)
def test_no_traceback_has_a_frame_of_the_plugin(suite: Suite, options: tuple[str, ...], style: str) -> None:
    run = suite.run(_SUITE, *options, style, "-k", "test_a or test_b or test_c or test_d", measured=False)
    assert run.outcomes["error"] == 4
    frames = [
        line for line in run.output.splitlines() if "pytest_import_isolation/" in line and ".py" in line
    ]
    assert [line for line in frames if "plugin=<" not in line] == []


_MET = {
    "test_1_polluter.py": _POLLUTER,
    "test_2_meets.py": """\
        def test_meets():
            import dustpan
            import fake_pkg
            assert False
    """,
}


@pytest.mark.skipif(not hasattr(sys, "monitoring"), reason="sys.monitoring came with Python 3.12")
def test_where_all_tools_are_taken_exposures_are_found_all_the_same(suite: Suite) -> None:
    take = """\
        import sys
        for tool in range(6):
            if sys.monitoring.get_tool(tool) is None:
                sys.monitoring.use_tool_id(tool, "theirs")

        def pytest_unconfigure():
            names = [sys.monitoring.get_tool(tool) for tool in range(6)]
            assert names.count("theirs") >= 4, names
    """
    run = suite.run(
        {**_MET, "taker.py": take}, "-p", "taker", measured=False, env={"PYTHONPATH": suite.python_path}
    )
    assert run.outcomes == {"passed": 1, "failed": 1}
    for name in ("dustpan", "fake_pkg"):
        exposed = run.leak("fake-left", name)["exposed"]
        assert [one["nodeid"] for one in exposed] == ["test_2_meets.py::test_meets"]


@pytest.mark.skipif(not hasattr(sys, "monitoring"), reason="sys.monitoring came with Python 3.12")
def test_a_test_that_frees_every_tool_ends_no_watching(suite: Suite) -> None:
    frees = """\
        import sys

        def test_frees():
            sys.modules["before"] = object()
            for tool in range(6):
                if sys.monitoring.get_tool(tool) is not None:
                    sys.monitoring.set_events(tool, 0)
                    sys.monitoring.free_tool_id(tool)
    """
    run = suite.run(
        {**_MET, "test_0_frees.py": frees, "test_3_later.py": _LATER}, measured=False, report=True
    )
    assert run.outcomes == {"passed": 3, "failed": 1}
    assert run.leak("fake-left", "later")["location"] == {"file": "test_3_later.py", "line": 4, "exact": True}
    exposed = run.leak("fake-left", "dustpan")["exposed"]
    assert [one["nodeid"] for one in exposed] == ["test_2_meets.py::test_meets"]
