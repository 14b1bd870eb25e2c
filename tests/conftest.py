"""What all tests share: the same environment on every machine, and what is skipped where something is not there."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterable, Iterator
from importlib.util import find_spec
from typing import Any

import pytest

# Some machines set these, and they change what tests see of Python: whether .pyc files are written, for one.
for _name in ("PYTHONDONTWRITEBYTECODE", "PYTHONSAFEPATH", "PYTHONWARNINGS"):
    os.environ.pop(_name, None)
sys.dont_write_bytecode = False

#: Whether this run has time: tox sets it where all neighbours are installed, and more examples are tried then.
THOROUGH = bool(os.environ.get("NEIGHBOURS_ARE_INSTALLED"))
#: For what takes long and varies what another test shows, which the test names.
TAKES_LONG = pytest.mark.skipif(not THOROUGH, reason="it takes long: tox runs it")
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


def lack(names: Iterable[str]) -> None:
    """Skip a test that needs what is not installed, or fail it where everything has to be there."""
    # A skip would hide there that a test never runs.
    end = pytest.fail if os.environ.get("NEIGHBOURS_ARE_INSTALLED") else pytest.skip
    end(f"not installed: {', '.join(names)}")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what only runs where there is time, so that one environment of tox can run that and no more."""
    for item in items:
        if any("tox runs" in mark.kwargs.get("reason", "") for mark in item.iter_markers("skipif")):
            item.add_marker("long")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose neighbours are not installed, and say which ones these are."""
    needed = [name for mark in item.iter_markers("neighbours") for name in mark.args]
    # Of a submodule the parents would be imported.
    missing = [name for name in needed if find_spec(name.partition(".")[0]) is None]
    if missing:
        lack(missing)


if find_spec("hypothesis") is not None:
    import hypothesis

    # No verdict depends on the speed of the machine, and no run on luck: each run tries the same examples.
    hypothesis.settings.register_profile(
        "everywhere",
        max_examples=10 if sys.platform == "emscripten" else 100 if THOROUGH else 30,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large],
    )
    hypothesis.settings.load_profile("everywhere")


if sys.platform == "emscripten":
    from pytest_import_isolation.window.closing import close_window
    from pytest_import_isolation.window.open_windows import innermost_window

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
