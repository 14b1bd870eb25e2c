"""The end of a run that stopped in the middle: fixtures that are still set up when the session ends."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest


class Interruptions:
    """Tears down at the end of a run what is still set up, before windows and worlds are put away.

    After ``KeyboardInterrupt`` and :func:`pytest.exit` pytest tears fixtures down in its own
    ``pytest_sessionfinish``, behind those of all plugins.
    """

    def __init__(self) -> None:
        self._error: BaseException | None = None

    def tear_down(self, session: pytest.Session) -> None:
        """Let pytest tear down what is still set up; an error waits until the other plugins have finished."""
        runner: Any = session.config.pluginmanager.get_plugin("runner")
        if runner is None:
            return
        try:
            runner.pytest_sessionfinish(session)
        except BaseException as error:  # pytest.exit() and Ctrl-C in a fixture's teardown
            self._error = self._error or error

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self) -> Generator[None, Any, Any]:
        """Raise the error of a teardown where pytest itself would have."""
        result = yield
        error, self._error = self._error, None
        if error is not None:
            raise error
        return result
