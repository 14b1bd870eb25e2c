"""The words of a text by which modules are known that it may write to."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_import_isolation.contents.source_writes import SourceWrites

_IMPORTS = """\
import pkg.one as short
from pkg.two import (
    three,
    four as other,
)

def test_it():
    module = import_module("pkg.five")
    assert module.six == "seven"
"""


@pytest.mark.parametrize("more", ["", "    module.eight = 1\n"])
def test_only_imports_count_in_a_text_that_writes_to_nothing(tmp_path: Path, more: str) -> None:
    file = tmp_path / "test_it.py"
    file.write_text(_IMPORTS + more, encoding="utf-8")
    words = SourceWrites().words(str(file))
    assert words >= {"pkg", "one", "two", "three", "four", "five"}
    assert words.isdisjoint({"six", "seven"}) is not bool(more)
    assert ("eight" in words) is bool(more)
