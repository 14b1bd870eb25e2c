"""The one setting of pytest that matters here, ``python_files``, read without pytest."""

from __future__ import annotations

import configparser
import os
import re
import shlex
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

#: pytest's own.
DEFAULT: Final = ("test_*.py", "*_test.py")
# In the order in which pytest looks for them; the table or section of each that is for pytest.
_FILES: Final = (
    ("pytest.toml", ("pytest",)),
    (".pytest.toml", ("pytest",)),
    ("pytest.ini", ("pytest",)),
    (".pytest.ini", ("pytest",)),
    ("pyproject.toml", ("tool.pytest", "tool.pytest.ini_options")),
    ("tox.ini", ("pytest",)),
    ("setup.cfg", ("tool:pytest",)),
)


@cache
def python_files(folder: str) -> tuple[str, ...]:
    """Return the patterns by which pytest knows test files.

    Args:
        folder: where to begin; the nearest directory above with settings for pytest decides.
    """
    for name, sections in _FILES:
        file = os.path.join(folder, name)
        if os.path.isfile(file):
            found = _read(file, sections)
            if found is not None:
                return found or DEFAULT
    above = os.path.dirname(folder)
    return DEFAULT if above == folder else python_files(above)


def _read(file: str, sections: Sequence[str]) -> tuple[str, ...] | None:
    """Return the patterns of a file; empty if it has none, None if the file is not for pytest."""
    try:
        with open(file, encoding="utf-8") as opened:
            text = opened.read()
    except (OSError, UnicodeDecodeError):
        return None
    if file.endswith(".toml"):
        return _read_toml(text, sections)
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return None
    section = next((one for one in sections if parser.has_section(one)), None)
    if section is None:
        # A pytest.ini is pytest's, even an empty one.
        return () if os.path.basename(file) in ("pytest.ini", ".pytest.ini") else None
    return _patterns(parser.get(section, "python_files", fallback=""))


def _read_toml(text: str, sections: Sequence[str]) -> tuple[str, ...] | None:
    try:
        import tomllib  # type: ignore[import-not-found, unused-ignore]
    except ImportError:  # Python 3.10
        return _read_toml_text(text, sections)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None
    found = None
    for section in sections:
        table: Any = data
        for key in section.split("."):
            table = table.get(key) if isinstance(table, dict) else None
        if isinstance(table, dict):
            found = _patterns(table["python_files"]) if "python_files" in table else found or ()
    return found


def _read_toml_text(text: str, sections: Sequence[str]) -> tuple[str, ...] | None:
    """Read the one setting without a parser: a string, or a list of strings."""
    for section in reversed(sections):
        table = re.search(rf"^\[{re.escape(section)}\]\s*$(.*?)(?=^\[|\Z)", text, re.M | re.S)
        if table is not None:
            value = re.search(r"""^python_files\s*=\s*(\[.*?\]|"[^"\n]*"|'[^'\n]*')""", table[1], re.M | re.S)
            strings = re.findall(r""""([^"]*)"|'([^']*)'""", value[1]) if value is not None else []
            return _patterns([one or other for one, other in strings])
    return None


def _patterns(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        try:
            return tuple(shlex.split(value, comments=True))
        except ValueError:
            return tuple(value.split())
    if isinstance(value, list):
        return tuple(pattern for one in value if isinstance(one, str) for pattern in _patterns(one))
    return ()
