"""Writing what a command was asked for."""

from __future__ import annotations

from pathlib import Path

from pytest_import_isolation.errors import ReportError


def write_text(file: Path, text: str) -> None:
    """Write a text to a file.

    Args:
        file: the file, which is replaced if it is there.
        text: what it shall hold.

    Raises:
        ReportError: the operating system refuses.
    """
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ReportError(f"{file}: it cannot be written: {error.strerror}") from None
