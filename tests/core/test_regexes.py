"""Regular expressions that wait for their first use."""

from __future__ import annotations

import re

import pytest

from pytest_import_isolation.machinery import regexes
from pytest_import_isolation.machinery.regexes import regex


def test_nothing_is_compiled_before_the_first_use(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []

    def note(pattern: str, flags: int = 0) -> re.Pattern[str]:
        compiled.append(pattern)
        return re.compile(pattern, flags)

    monkeypatch.setattr(regexes, "_compile", note)
    words = regex(r"\w+")
    assert compiled == []
    assert words.findall("a b") == ["a", "b"]
    assert words.match("a")
    assert compiled == [r"\w+"]


def test_flags_and_bytes_count() -> None:
    assert regex(r"^b", re.M).search("a\nb")
    assert regex(rb"a+").fullmatch(b"aa")
