"""Calls back at every line that code of chosen files executes, beside debuggers and coverage.

From Python 3.12 on by ``sys.monitoring``, where code of other files runs at full speed after its first call
and every tool has its own events. Below, by ``sys.settrace`` while nobody else uses it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Set
from types import CodeType, FrameType
from typing import Any, Final, Protocol

from pytest_import_isolation.machinery.code_cache import CODE
from pytest_import_isolation.machinery.frames import get_frame
from pytest_import_isolation.machinery.own_errors import belongs_to_others
from pytest_import_isolation.machinery.platform import TOOL
from pytest_import_isolation.watching.look_counts import LookCounts
from pytest_import_isolation.watching.watched_threads import WatchedThreads

#: Among so many callers a function that calls itself through others is found.
_CIRCLE: Final = 4
#: After so many calls of anything ``sys.settrace`` is given up until the next start: it sees them all.
_MANY_CALLS: Final = 100_000
# Any: it is there from Python 3.12 on.
_MONITORING: Final[Any] = getattr(sys, "monitoring", None)
# 0, 1, 2 and 5 are meant for debuggers, coverage, profilers and optimizers.
_TOOL_IDS: Final = (4, 3)


class Look(Protocol):
    """What is called back."""

    def __call__(self, frame: FrameType, line: int, *, exact: bool) -> object:
        """Look at what happened since the last call.

        Args:
            frame: the frame that runs.
            line: the line of it that has just been executed; 0 if its execution has only begun.
            exact: whether nothing else of the frame, and no other thread, ran since the last call.

        Returns:
            What is true if something was different.
        """


def _recurs(frame: FrameType) -> bool:
    """Tell whether a function calls itself, maybe until there is no room for more.

    Then a callback would be one call too many, sooner than the function itself is.
    """
    caller = frame.f_back
    for _ in range(_CIRCLE):
        if caller is None:
            return False
        if caller.f_code is frame.f_code:
            return True
        caller = caller.f_back
    return False


def _certain(
    frame: FrameType, line: int, files: Mapping[str, bool], lines: Mapping[int, int], loose: Set[int]
) -> tuple[FrameType, int, bool]:
    """Return in which frame and at which line a change was made that a look has found.

    Code that is not looked at any more may have made it, and be over, or go on.

    Args:
        frame: the frame that was looked at.
        line: the line of it that was executed; 0 if its execution has only begun.
        files: which files are watched.
        lines: the lines of the frames that are looked at, by identity.
        loose: the code of which not all lines are looked at, by identity.

    Returns:
        The frame, the line, and whether that is certain.
    """

    def nearest(at: FrameType | None) -> FrameType | None:
        while at is not None and not files.get(at.f_code.co_filename):
            at = at.f_back
        return at

    def is_seen(at: FrameType) -> bool:
        return id(at) in lines and id(at.f_code) not in loose

    if line and id(frame.f_code) not in loose:
        return frame, line, True
    at, last = nearest(frame.f_back), None
    if not line and (at is None or is_seen(at)):
        return frame, line, True
    while at is not None and not is_seen(at):
        at, last = nearest(at.f_back), at
    if at is not None:
        return at, at.f_lineno, True
    return (frame, line, True) if last is None else (last, last.f_lineno, False)


class LineWatch:
    """Watches the thread that it is made in.

    Args:
        is_watched: tells whether the code of a file is looked at; asked once for each code object.
        look: called before each line, and before a frame returns or yields. Where it fails, a change is
            missed, and no line is claimed for it exactly; nothing is raised in the code that runs.
    """

    def __init__(self, is_watched: Callable[[str], bool], look: Look) -> None:
        self._is_watched = is_watched
        self._look = look
        self._threads = WatchedThreads()
        # The line that each running frame of a watched file is at, by the frame's identity.
        self._lines: dict[int, int] = {}
        # Code objects go by their identities: equal ones, of two copies of a file, are different code.
        self._watched: dict[int, CodeType] = {}
        #: Of the files whose code has run, whether it is watched.
        self.files: dict[str, bool] = {}
        #: How often what was looked at.
        self.counts = LookCounts()
        self._loose: set[int] = set()
        self._dropped: dict[int, CodeType] = {}
        # Whether the last look did not come to its end.
        self._has_missed = False
        #: Why a look failed for the first time, if not for want of stack or memory.
        self.failure: str | None = None
        #: How many looks failed so.
        self.failures = 0
        # For the whole life: a callback that raised would raise in every function of the process.
        self._monitoring = _MONITORING
        self._tool: int | None = None
        self._is_tracing, self._calls = False, 0

    @property
    def is_always_on(self) -> bool:
        """Whether watching costs nothing where nothing is watched, so that it can go on for the whole run."""
        return self._monitoring is not None

    def start(self) -> bool:
        """Watch from now on.

        Returns:
            Whether lines are seen: not if another tool holds the only way to them.
        """
        if self.is_always_on:
            return self._has_tool() or self._start_monitoring()
        if sys.gettrace() is not None:
            return False
        self._is_tracing = True
        self._calls = 0
        self._threads.begin()
        sys.settrace(self._trace)
        return True

    def go_on(self) -> None:
        """Watch again if a test has taken away what lines are watched with."""
        if self._tool is None:
            return
        monitoring = self._monitoring
        if not self._has_tool():
            self._tool = None
            self._watched.clear()
            if self._start_monitoring():
                monitoring.restart_events()  # each function's first call was seen before
        elif not monitoring.get_events(self._tool) & monitoring.events.PY_START:
            monitoring.set_events(self._tool, monitoring.events.PY_START | monitoring.events.PY_UNWIND)

    def stop(self) -> None:
        """Watch no more."""
        monitoring = self._monitoring
        if self._has_tool():
            for code in self._watched.values():
                monitoring.set_local_events(self._tool, code, 0)
            monitoring.set_events(self._tool, 0)
            monitoring.free_tool_id(self._tool)
        self._tool = None
        if self._is_tracing:
            self._is_tracing = False
            if sys.gettrace() == self._trace:  # a test may have set another one
                sys.settrace(None)
        self._watched.clear()
        self._lines.clear()

    def certain(self, frame: FrameType, line: int) -> tuple[FrameType, int, bool]:
        """Return in which frame and at which line a change was made; see :func:`_certain`."""
        return _certain(frame, line, self.files, self._lines, self._loose)

    # What both ways share

    def _watches(self, code: CodeType) -> bool:
        watched = self.files.get(code.co_filename)
        if watched is None:
            watched = self.files[code.co_filename] = self._is_watched(code.co_filename)
            if watched:
                # What was seen often enough in one execution of it has to be seen in the next.
                CODE.leave_alone(code.co_filename)
        return watched

    def _look_at(self, frame: FrameType, line: int) -> None:
        code = frame.f_code
        self.counts.look(id(code))
        exact = (
            not self._has_missed
            and self._threads.were_silent(sees_all=self._tool is not None)
            and id(code) not in self._loose
        )
        self._has_missed = True
        if self._look(frame, line, exact=exact):
            self.counts.find(id(code))
        self._has_missed = False

    def _is_others(self, error: BaseException) -> bool:
        """Tell whether an exception has to pass on; note that a look failed if not."""
        try:
            if belongs_to_others(error):
                return True
        except TypeError:  # Python ends: what modules hold was cleared, and code goes on in destructors
            return False
        # The error itself would hold frames, and by them modules.
        self.failure = self.failure or f"{type(error).__name__}: {error}"
        self.failures += 1
        return False

    def _drop(self, code: CodeType) -> None:
        self._loose.add(id(code))
        self._dropped[id(code)] = code
        if self._watched.pop(id(code), None) is not None and self._tool is not None:
            self._monitoring.set_local_events(self._tool, code, 0)

    def _begin(self, frame: FrameType) -> None:
        # What happened before is not this frame's.
        self._lines[id(frame)] = 0

    def _line(self, frame: FrameType, line: int) -> bool:
        """Look, and return whether this line is looked at again."""
        code = id(frame.f_code)
        before, self._lines[id(frame)] = self._lines.get(id(frame), 0), line
        self._look_at(frame, before)
        if self.counts.pass_line(code, line):
            return True
        self._loose.add(code)
        return False

    def _end(self, frame: FrameType) -> None:
        self._look_at(frame, self._lines.pop(id(frame), 0))
        # Not in the middle: who saw it make a change has to see it take that back.
        code = frame.f_code
        if not self.counts.wants(id(code)):
            self._drop(code)

    # sys.monitoring. In each callback: without a call where there may be no room for one; a bare `raise` adds
    # no frame to the traceback.

    def _has_tool(self) -> bool:
        return self._tool is not None and self._monitoring.get_tool(self._tool) == TOOL

    def _start_monitoring(self) -> bool:
        monitoring = self._monitoring
        for tool in _TOOL_IDS:
            if monitoring.get_tool(tool) is None:
                break
        else:
            return False
        monitoring.use_tool_id(tool, TOOL)
        self._tool = tool
        events = monitoring.events
        monitoring.register_callback(tool, events.PY_START, self._on_start)
        monitoring.register_callback(tool, events.PY_RESUME, self._on_resume)
        monitoring.register_callback(tool, events.LINE, self._on_line)
        monitoring.register_callback(tool, events.PY_RETURN, self._on_end)
        monitoring.register_callback(tool, events.PY_YIELD, self._on_end)
        monitoring.register_callback(tool, events.PY_UNWIND, self._on_unwind)
        # Only the first call of every other function is seen: its event is disabled then.
        monitoring.set_events(tool, events.PY_START)
        return True

    def _see_unwinding(self) -> None:
        # An exception that leaves a function cannot be watched for chosen code.
        events = self._monitoring.events
        if not self._monitoring.get_events(self._tool) & events.PY_UNWIND:
            self._monitoring.set_events(self._tool, events.PY_START | events.PY_UNWIND)

    def _on_start(self, code: CodeType, offset: int) -> Any:
        if self.files.get(code.co_filename) is False:  # as for nearly all, some two thousand in a small run
            return self._monitoring.DISABLE
        try:
            return self._start_of(code)
        except (RecursionError, MemoryError):
            self._has_missed = True
        except BaseException as error:
            if self._is_others(error):
                raise
        return None

    def _start_of(self, code: CodeType) -> Any:
        if self._tool is None:
            return None
        frame = get_frame(2)
        if id(code) not in self._watched:
            if id(code) in self._dropped or not self._watches(code):
                return self._monitoring.DISABLE
            self._see_unwinding()
            self._watched[id(code)] = code
            events = self._monitoring.events
            wanted = events.LINE | events.PY_RESUME | events.PY_RETURN | events.PY_YIELD
            self._monitoring.set_local_events(self._tool, code, wanted)
        elif id(code) in self._loose and _recurs(frame):
            self._drop(code)
            return self._monitoring.DISABLE
        if self._threads.is_mine():
            self._begin(frame)
        return None

    def _on_resume(self, code: CodeType, offset: int) -> None:
        try:
            if self._threads.is_mine():
                self._begin(get_frame(1))
        except (RecursionError, MemoryError):
            self._has_missed = True
        except BaseException as error:
            if self._is_others(error):
                raise

    def _on_line(self, code: CodeType, line: int) -> Any:
        try:
            if self._threads.is_mine():
                return None if self._line(get_frame(1), line) else self._monitoring.DISABLE
            if self._threads.execute_often(code, line):
                self._drop(code)
        except (RecursionError, MemoryError):
            self._has_missed = True
        except BaseException as error:
            if self._is_others(error):
                raise
        return None

    def _on_end(self, code: CodeType, offset: int, value: object) -> None:
        try:
            if self._threads.is_mine():
                self._end(get_frame(1))
        except (RecursionError, MemoryError):
            self._has_missed = True
        except BaseException as error:
            if self._is_others(error):
                raise

    def _on_unwind(self, code: CodeType, offset: int, raised: BaseException) -> None:
        try:
            if id(code) in self._watched and self._threads.is_mine():
                self._end(get_frame(1))
        except (RecursionError, MemoryError):
            self._has_missed = True
        except BaseException as error:
            if self._is_others(error):
                raise

    # sys.settrace

    def _trace(self, frame: FrameType, event: str, argument: object) -> Any:
        try:
            return self._trace_call(frame, event)
        except (RecursionError, MemoryError):
            self._has_missed = True
        except BaseException as error:  # the interpreter would trace no more
            if self._is_others(error):
                raise
        return None

    def _trace_call(self, frame: FrameType, event: str) -> Any:
        if event != "call" or not self._is_tracing or not self._threads.is_mine():
            return None
        self._calls += 1
        if self._calls > _MANY_CALLS:
            sys.settrace(None)
            return None
        if id(frame.f_code) in self._dropped or not self._watches(frame.f_code):
            return None
        if id(frame.f_code) in self._loose and _recurs(frame):
            self._drop(frame.f_code)
            return None
        self._watched[id(frame.f_code)] = frame.f_code
        self._begin(frame)
        return self._trace_lines

    def _trace_lines(self, frame: FrameType, event: str, argument: object) -> Any:
        try:
            if id(frame.f_code) in self._dropped:
                return None
            if event == "line":
                if self.counts.wants_line(id(frame.f_code), frame.f_lineno):
                    self._line(frame, frame.f_lineno)
            elif event == "return":
                self._end(frame)
        except (RecursionError, MemoryError):
            self._has_missed = True
        except BaseException as error:
            if self._is_others(error):
                raise
        return self._trace_lines
