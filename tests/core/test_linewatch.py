"""Calls back at every line of chosen files: by ``sys.monitoring`` and, forced, by ``sys.settrace``."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from textwrap import dedent
from types import CodeType, FrameType
from typing import Any

import pytest

from pytest_import_isolation.watching import lines as linewatch
from pytest_import_isolation.watching.lines import LineWatch
from pytest_import_isolation.watching.watched_threads import WatchedThreads

_FILE = "/watched/file.py"
_MONITORING = getattr(sys, "monitoring", None)


class Looks:
    """Remembers the looks: the function, its line, whether that is exact."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int, bool]] = []

    def __call__(self, frame: FrameType, line: int, *, exact: bool) -> None:
        self.seen.append((frame.f_code.co_name, line, exact))

    @property
    def lines(self) -> list[tuple[str, int]]:
        """The functions and lines alone."""
        return [(name, line) for name, line, _ in self.seen]


def _define(source: str, name: str = "f", file: str = _FILE) -> Callable[..., Any]:
    space: dict[str, Any] = {}
    exec(compile(dedent(source), file, "exec"), space)
    function: Callable[..., Any] = space[name]
    return function


@pytest.fixture(params=["monitoring", "settrace"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Take one of the two ways to the lines; the trace function of a measured run comes back."""
    way: str = request.param
    if way == "monitoring" and _MONITORING is None:
        pytest.skip("sys.monitoring came with Python 3.12")
    if way == "settrace":
        monkeypatch.setattr(linewatch, "_MONITORING", None)
    around = sys.gettrace()
    sys.settrace(None)
    yield way
    sys.settrace(around)


@pytest.fixture
def looks() -> Looks:
    return Looks()


@pytest.fixture
def watch(way: str, looks: Looks) -> Iterator[LineWatch]:
    """Return a watch that has begun."""
    watch = LineWatch(lambda file: file == _FILE, looks)
    assert watch.start()
    yield watch
    watch.stop()


@pytest.mark.usefixtures("watch")
def test_each_line_is_looked_at_when_it_is_over(looks: Looks) -> None:
    _define("def f():\n    x = 1\n    y = 2\n    return x + y")()
    assert ("f", 0) in looks.lines
    assert [line for name, line in looks.lines if name == "f"] == [0, 2, 3, 4]
    assert {exact for _, _, exact in looks.seen} == {True}


def test_code_that_runs_while_python_ends_hears_of_nothing(way: str) -> None:
    # A run that crashed has not stopped the watch; the names of modules are gone before the last destructors.
    script = f"""
        import sys
        from pytest_import_isolation.watching import lines
        if {way!r} == "settrace":
            lines._MONITORING = None
        watch = lines.LineWatch(lambda file: file == "/watched/file.py", lambda frame, line, *, exact: None)
        assert watch.start()
        space = {{}}
        exec(compile("def f(): return 42", "/watched/file.py", "exec"), space)
        for name in [*vars(lines)]:
            setattr(lines, name, None)
        print(space["f"]())
    """
    done = subprocess.run([sys.executable, "-c", dedent(script)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("42\n", "")


@pytest.mark.usefixtures("watch")
def test_other_files_are_not_looked_at(looks: Looks) -> None:
    _define("def f():\n    return 1", file="/other/file.py")()
    assert looks.seen == []


@pytest.mark.usefixtures("watch")
def test_a_generator_is_looked_at_where_it_yields_and_not_for_what_happened_meanwhile(looks: Looks) -> None:
    steps = _define("def f():\n    x = 1\n    yield x\n    yield 2")()
    next(steps)
    assert looks.lines[-1] == ("f", 3)
    looks.seen.clear()
    next(steps)
    assert looks.lines == [("f", 0), ("f", 4)]
    steps.close()


@pytest.mark.usefixtures("watch")
def test_an_exception_that_leaves_a_function_is_looked_at(looks: Looks) -> None:
    fails = _define("def f():\n    g()\ndef g():\n    raise KeyError")
    with pytest.raises(KeyError):
        fails()
    assert looks.lines[-2:] == [("g", 4), ("f", 2)]


@pytest.mark.usefixtures("watch")
def test_each_frame_of_a_recursion_is_at_its_own_line(looks: Looks) -> None:
    recurs = _define("def f(n):\n    if n:\n        f(n - 1)\n    return n")
    looks.seen.clear()
    recurs(1)
    assert [line for _, line in looks.lines] == [0, 2, 0, 2, 4, 3, 4]


@pytest.mark.usefixtures("watch")
def test_after_a_line_in_a_loop_nothing_is_claimed_in_its_function(looks: Looks) -> None:
    _define("def f():\n    for i in range(300):\n        x = i\n    return x")()
    assert looks.seen[0][2] is True
    assert looks.seen[-1] == ("f", looks.seen[-1][1], False)
    assert len(looks.seen) < 210


@pytest.mark.usefixtures("watch")
def test_a_function_that_is_called_often_is_watched_no_more(looks: Looks) -> None:
    calls = _define("def f():\n    return 1")
    for _ in range(2000):
        calls()
    assert len([name for name, _ in looks.lines if name == "f"]) == 200


def test_the_trace_function_is_given_up_after_many_calls_of_anything(
    monkeypatch: pytest.MonkeyPatch, looks: Looks
) -> None:
    monkeypatch.setattr(linewatch, "_MONITORING", None)
    monkeypatch.setattr(linewatch, "_MANY_CALLS", 10)
    other = _define("def f():\n    return 1", file="/other/file.py")
    around = sys.gettrace()
    sys.settrace(None)
    watch = LineWatch(lambda file: file == _FILE, looks)
    try:
        assert watch.start()
        for _ in range(10):
            other()
        still_there = sys.gettrace()
        other()
        given_up = sys.gettrace()
        watch.stop()
        assert watch.start()
        again = sys.gettrace()
    finally:
        watch.stop()
        sys.settrace(around)
    assert still_there is not None
    assert given_up is None
    assert again is not None


def test_nothing_is_looked_at_after_the_end(watch: LineWatch, looks: Looks) -> None:
    function = _define("def f():\n    return 1")
    function()
    watch.stop()
    looks.seen.clear()
    function()
    assert looks.seen == []


def test_it_can_begin_again(watch: LineWatch, looks: Looks) -> None:
    function = _define("def f():\n    return 1")
    function()
    watch.stop()
    looks.seen.clear()
    assert watch.start()
    function()
    assert looks.lines == [("f", 0), ("f", 2)]


@pytest.mark.usefixtures("way")
def test_a_look_that_fails_raises_nothing_and_the_next_ones_are_seen(looks: Looks) -> None:
    failing = {2, 3}

    def look(frame: FrameType, line: int, *, exact: bool) -> None:
        if line in failing:
            raise OSError(f"no {line}")
        looks(frame, line, exact=exact)

    watch = LineWatch(lambda file: file == _FILE, look)
    function = _define("def f():\n    x = 1\n    y = 2\n    z = 3\n    return x")
    assert watch.start()
    try:
        assert function() == 1
    finally:
        watch.stop()
    assert (watch.failure, watch.failures) == ("OSError: no 2", 2)
    # What was missed may be seen after the next line, which did not do it.
    assert looks.seen == [("f", 0, True), ("f", 4, False), ("f", 5, True)]


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("error", [RecursionError, MemoryError])
def test_a_look_without_room_is_missed_and_not_told(looks: Looks, error: type[Exception]) -> None:
    def look(frame: FrameType, line: int, *, exact: bool) -> None:
        if line == 2:
            raise error
        looks(frame, line, exact=exact)

    watch = LineWatch(lambda file: file == _FILE, look)
    function = _define("def f():\n    x = 1\n    y = 2\n    return x")
    assert watch.start()
    try:
        assert function() == 1
    finally:
        watch.stop()
    assert (watch.failure, watch.failures) == (None, 0)
    assert looks.seen == [("f", 0, True), ("f", 3, False), ("f", 4, True)]


class _ThrownInError(Exception):
    pass


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, _ThrownInError])
def test_what_others_raise_during_a_look_passes_without_a_frame_of_ours(
    error: type[BaseException], way: str
) -> None:
    def look(frame: FrameType, line: int, *, exact: bool) -> None:
        if line == 2:
            raise error

    watch = LineWatch(lambda file: file == _FILE, look)
    function = _define("def f():\n    x = 1\n    y = 2\n    return x")
    assert watch.start()
    try:
        with pytest.raises(error) as caught:
            function()
    finally:
        watch.stop()
    names = [entry.name for entry in caught.traceback]
    if way == "monitoring" or sys.version_info >= (
        3,
        11,
    ):  # before, what is raised again has its frames again
        assert names[1:] == ["f"]
    assert watch.failures == 0


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no alarms here")
@pytest.mark.parametrize("handler", ["function", "method", "partial", "object"])
def test_a_signal_that_arrives_during_a_look_reaches_the_code_that_runs(way: str, handler: str) -> None:
    class Handler:
        def __call__(self, number: int, frame: object) -> None:
            raise TimeoutError("too late")

        def method(self, number: int, frame: object) -> None:
            raise TimeoutError("too late")

    def function(number: int, frame: object) -> None:
        raise TimeoutError("too late")

    handlers: dict[str, Any] = {
        "function": function,
        "method": Handler().method,
        "partial": partial(function),
        "object": Handler(),
    }

    def look(frame: FrameType, line: int, *, exact: bool) -> None:
        if line == 2:
            signal.raise_signal(signal.SIGALRM)

    watch = LineWatch(lambda file: file == _FILE, look)
    code = _define("def f():\n    x = 1\n    y = 2\n    return x")
    before = signal.signal(signal.SIGALRM, handlers[handler])
    try:
        assert watch.start()
        with pytest.raises(TimeoutError, match="too late"):
            code()
    finally:
        watch.stop()
        signal.signal(signal.SIGALRM, before)
    assert watch.failures == 0


def test_a_function_that_calls_itself_to_the_limit_gets_as_deep_as_without_us(way: str) -> None:
    source = """\
    depth = 0
    def f():
        global depth
        depth += 1
        f()
    def g():
        h()
    def h():
        global depth
        depth += 1
        g()
    """
    depths = []
    for watched in (False, True):
        watch = LineWatch(lambda file: file == _FILE, lambda frame, line, *, exact: None)
        for name in ("f", "g"):
            function = _define(source, name)
            if watched:
                assert watch.start()
            with pytest.raises(RecursionError):
                function()
            watch.stop()
            depths.append(function.__globals__["depth"])
        assert watch.failures == 0
    # The trace function is called for every call of anything.
    lost = 0 if way == "monitoring" else 1
    assert depths[2] == depths[0] - lost
    assert depths[3] >= depths[1] - lost


@pytest.mark.usefixtures("watch")
def test_a_line_during_which_another_thread_ran_is_not_exact(looks: Looks) -> None:
    source = """\
    import threading
    def f(begun, go):
        thread = threading.Thread(target=g, args=(begun, go))
        thread.start()
        begun.wait()
        go.set()
        thread.join()
        x = 1
        return x
    def g(begun, go):
        begun.set()
        go.wait()
    """
    _define(source)(threading.Event(), threading.Event())
    exact = {line: exact for name, line, exact in looks.seen if name == "f"}
    assert (exact[3], exact[5], exact[6], exact[7]) == (True, False, False, False)
    assert exact[9] is True
    assert "g" not in [name for name, _, _ in looks.seen]


@pytest.mark.skipif(_MONITORING is None, reason="a trace function sees its own thread alone")
def test_code_in_which_another_thread_runs_for_long_is_watched_no_more(
    looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """
    def f(times):
        for _ in range(times):
            pass
    """
    function, heard = _define(source), list[int]()
    execute_often = WatchedThreads.execute_often

    def count(self: Any, code: CodeType, line: int) -> bool:
        heard.append(line)
        return execute_often(self, code, line)

    monkeypatch.setattr(WatchedThreads, "execute_often", count)
    watch = LineWatch(_FILE.__eq__, looks)
    watch.start()
    try:
        for times in (10, 100_000, 100_000):
            thread = threading.Thread(target=function, args=(times,))
            thread.start()
            thread.join()
            if times == 10:  # a few lines of another thread leave it watched
                function(1)
                assert ("f", 4) in looks.lines
    finally:
        watch.stop()
    assert 1_000 < len(heard) < 2_100


def test_a_debugger_that_traces_already_keeps_the_trace_function(
    looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linewatch, "_MONITORING", None)

    def debugger(frame: FrameType, event: str, argument: object) -> None:
        return None

    around = sys.gettrace()
    sys.settrace(debugger)
    try:
        watch = LineWatch(lambda file: True, looks)
        assert not watch.start()
        watch.stop()
        assert sys.gettrace() is debugger
    finally:
        sys.settrace(around)


@pytest.mark.skipif(_MONITORING is None, reason="sys.monitoring came with Python 3.12")
def test_where_both_tool_ids_are_taken_no_lines_are_seen_and_the_ids_stay_theirs(looks: Looks) -> None:
    monitoring: Any = _MONITORING
    mine = [tool for tool in (3, 4) if monitoring.get_tool(tool) is None]
    for tool in mine:
        monitoring.use_tool_id(tool, "other")
    try:
        watch = LineWatch(lambda file: True, looks)
        assert not watch.start()
        watch.stop()
        assert [monitoring.get_tool(tool) for tool in mine] == ["other"] * len(mine)
    finally:
        for tool in mine:
            monitoring.free_tool_id(tool)


@pytest.mark.skipif(_MONITORING is None, reason="sys.monitoring came with Python 3.12")
@pytest.mark.parametrize("takes", [False, True])
def test_a_tool_id_that_somebody_freed_is_not_freed_again(looks: Looks, takes: bool) -> None:
    monitoring: Any = _MONITORING
    watch = LineWatch(lambda file: file == _FILE, looks)
    before = [monitoring.get_tool(tool) for tool in range(6)]
    assert watch.start()
    tool = next(tool for tool in range(6) if monitoring.get_tool(tool) != before[tool])
    _define("def f():\n    return 1")()
    monitoring.set_events(tool, 0)
    monitoring.free_tool_id(tool)
    if takes:
        monitoring.use_tool_id(tool, "other")
    watch.stop()
    assert monitoring.get_tool(tool) == ("other" if takes else None)
    if takes:
        monitoring.free_tool_id(tool)


@pytest.mark.skipif(_MONITORING is None, reason="sys.monitoring came with Python 3.12")
@pytest.mark.parametrize("what", ["tool", "events"])
def test_a_watch_that_a_test_has_disarmed_goes_on(looks: Looks, what: str) -> None:
    monitoring: Any = _MONITORING
    watch = LineWatch(lambda file: file == _FILE, looks)
    before = [monitoring.get_tool(tool) for tool in range(6)]
    function = _define("def f():\n    return 1")
    assert watch.start()
    try:
        tool = next(tool for tool in range(6) if monitoring.get_tool(tool) != before[tool])
        function()
        monitoring.set_events(tool, 0)
        if what == "tool":
            monitoring.free_tool_id(tool)
        looks.seen.clear()
        watch.go_on()
        function()
        _define("def f():\n    return 1")()
        assert looks.lines.count(("f", 2)) == 2
    finally:
        watch.stop()


@pytest.mark.skipif(_MONITORING is None, reason="sys.monitoring came with Python 3.12")
@pytest.mark.parametrize("way", ["monitoring"], indirect=True)
@pytest.mark.usefixtures("watch")
def test_a_watch_goes_on_as_it_began(monkeypatch: pytest.MonkeyPatch, looks: Looks) -> None:
    monkeypatch.setattr(linewatch, "_MONITORING", None)  # as a test of the other way does
    _define("def f():\n    return 1")()
    assert ("f", 2) in looks.lines
