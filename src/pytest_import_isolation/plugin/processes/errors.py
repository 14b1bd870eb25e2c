"""Errors that end a run: told by the child in which they were raised, and raised again in the parent."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

import pytest

_OWN_FOLDER: Final = f"{os.sep}pytest_import_isolation{os.sep}"
_MOST_LINES: Final = 1_000_000


def describe(error: BaseException) -> tuple[str, str, int | None, str, int]:
    """Return what the parent needs to raise an error again: kind, text, exit status, file and line."""
    file, line = "<unknown>", 1
    traceback = error.__traceback__
    while traceback is not None:
        name = traceback.tb_frame.f_code.co_filename
        if _OWN_FOLDER not in name:  # Ctrl-C may come up in what is called around a test
            file, line = name, traceback.tb_lineno
        traceback = traceback.tb_next
    if isinstance(error, pytest.exit.Exception):
        return "exit", str(error.msg), error.returncode, file, line
    for kind, type_ in _TYPES.items():
        if isinstance(error, type_):
            return kind, str(error), None, file, line
    return "error", f"{type(error).__name__}: {error}", None, file, line


_TYPES: Final = {
    "failed": pytest.Session.Failed,
    "interrupted": pytest.Session.Interrupted,
    "interrupt": KeyboardInterrupt,
}
_MADE: Final[dict[str, Callable[[str, int | None], BaseException]]] = {
    "interrupt": lambda text, code: KeyboardInterrupt(*([text] if text else [])),
    "exit": pytest.exit.Exception,
    "failed": lambda text, code: pytest.Session.Failed(text),
    "interrupted": lambda text, code: pytest.Session.Interrupted(text),
    "error": lambda text, code: RuntimeError(text),
}


def raised_again(kind: str, text: str, code: int | None, file: str, line: int) -> BaseException:
    """Return an error as if it had been raised here at the line where it was raised in the child."""
    error = _MADE[kind](text, code)
    # pytest shows the last line of the traceback, and nothing that does not raise is in one.
    source = "\n" * (min(line, _MOST_LINES) - 1) + "raise error"
    try:
        exec(compile(source, file, "exec"), {"error": error})
    except BaseException as raised:
        here = raised.__traceback__
        return raised.with_traceback(None if here is None else here.tb_next)
    return error


def interrupted_in(item: pytest.Item) -> BaseException:
    """Return Ctrl-C as if it had been typed at the first line of a test, which runs in another process."""
    return raised_again("interrupt", "", None, str(item.path), (item.location[1] or 0) + 1)
