"""What all tests share: where Python runs as WebAssembly, those are skipped that need what is not there."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from typing import Any

import pytest

#: How Python says what WebAssembly lacks, and what that is.
_LACKING = {
    "emscripten does not support processes": "processes",
    "emscripten has no processes": "processes",
    "can't start new thread": "threads",
    "Resource busy": "working directories that can be removed",
}
#: Packages with compiled code, of which there is none for it.
_COMPILED = ("google", "lxml", "numpy", "protobuf", "pydantic", "PyYAML", "sqlalchemy", "yaml")


def _errors(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _lacking(error: BaseException) -> str | None:
    """Return what is not there that a test failed for, or None if it failed for another reason."""
    for each in _errors(error):
        for text, what in _LACKING.items():
            if text in str(each):
                return what
        if isinstance(each, ModuleNotFoundError) and str(each.name).partition(".")[0] in _COMPILED:
            return f"the package {each.name}"
    return None


if sys.platform == "emscripten":
    import hypothesis

    from pytest_import_isolation.window.closing import close_window
    from pytest_import_isolation.window.window import innermost_window

    # A tenth of the speed: a few examples, and no clock.
    hypothesis.settings.register_profile("few", max_examples=10, deadline=None)
    hypothesis.settings.load_profile("few")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call() -> Generator[None, Any, Any]:
        """Skip a test that fails for what WebAssembly lacks, and say what that is."""
        try:
            return (yield)
        except Exception as error:
            lacking = _lacking(error)
            if lacking is None:
                raise
            while (window := innermost_window()) is not None:  # it was about to close it
                close_window(window)
            pytest.skip(f"WebAssembly has not {lacking}")
