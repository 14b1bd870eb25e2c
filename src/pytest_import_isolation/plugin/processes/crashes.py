"""The report of a test whose process ended before the test did."""

from __future__ import annotations

import time
from typing import Any

import pytest

from pytest_import_isolation.plugin.processes.modes import FILE, mode_key
from pytest_import_isolation.plugin.sections import RAN_ALONE
from pytest_import_isolation.processes.endings import Place, place_in


class Crash:
    """A test whose process ended too early.

    Args:
        item: the test.
        phase: the one that ran.
        began: when the test began, in seconds of :func:`time.time`.
    """

    def __init__(self, item: pytest.Item, phase: str, began: float) -> None:
        self._item = item
        self._phase = phase
        self._began = began
        #: What the process printed, by title.
        self._sections: list[tuple[str, str]] = []

    def _take_output(self) -> None:
        """Read what the process printed; with ``--capture=sys`` it took that with it."""
        manager: Any = self._item.config.pluginmanager.get_plugin("capturemanager")
        if manager is None or not manager.is_globally_capturing():
            return
        for name, text in zip(("stdout", "stderr"), manager.read_global_capture(), strict=True):
            if text:
                self._sections.append((f"Captured {name} {self._phase}", text))

    def reports(self, words: str, stacks: str) -> list[pytest.TestReport]:
        """Return the reports of the test from the phase on that was not finished.

        Args:
            words: what happened.
            stacks: what faulthandler wrote.
        """
        self._take_output()
        place = place_in(stacks, (str(self._item.path),))
        text = f"{words}\n\n{stacks}" if stacks else words
        crashed = self._report(self._phase, "failed", self._longrepr(words, text, place))
        mode = self._item.stash.get(mode_key, None)
        setattr(crashed, RAN_ALONE, mode is not None and mode.kind != FILE)
        self._allow(crashed, words)
        if self._phase == "teardown":
            return [crashed]
        # Plugins wait for the last phase, such as the writer of --junitxml. What it would have done is done.
        return [crashed, self._report("teardown", "passed", None)]

    def _report(self, when: str, outcome: Any, longrepr: Any) -> pytest.TestReport:
        item, now = self._item, time.time()
        return pytest.TestReport(
            item.nodeid,
            item.location,
            dict.fromkeys(item.keywords, 1),
            outcome,
            longrepr,
            when,  # type: ignore[arg-type]
            sections=self._sections,
            duration=now - self._began if outcome == "failed" else 0,
            start=self._began if outcome == "failed" else now,
            stop=now,
            user_properties=item.user_properties,
        )

    def _longrepr(self, words: str, text: str, place: Place | None) -> Any:
        """Return what pytest shows, with the line of the test's file at which it crashed."""
        from _pytest._code.code import ReprEntryNative, ReprExceptionInfo, ReprFileLocation, ReprTraceback

        file, line = place or Place(str(self._item.path), (self._item.location[1] or 0) + 1)
        return ReprExceptionInfo(
            reprtraceback=ReprTraceback([ReprEntryNative([f"{text}\n"])], None, style="native"),
            reprcrash=ReprFileLocation(file, line, words),
        )

    def _allow(self, report: pytest.TestReport, words: str) -> None:
        """Let a test that is expected to fail do so in this way too."""
        try:
            from _pytest.skipping import evaluate_xfail_marks

            expected = evaluate_xfail_marks(self._item)
        except Exception:  # its condition is the user's code, or pytest has another name for it
            return
        if expected is not None and expected.raises is None and self._phase != "teardown":
            report.outcome = "skipped"
            report.wasxfail = expected.reason or words
