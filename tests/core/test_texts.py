"""The texts of source files, in the encoding that each declares."""

from __future__ import annotations

import ast
import builtins
import io
import os
import sys
from pathlib import Path

import pytest

from pytest_import_isolation.machinery.source_text import text_of


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"x = '\xc3\xa9'\r\n", "x = 'é'\n"),
        (b"\xef\xbb\xbfx = 1\n", "x = 1\n"),
        (b"# coding: latin-1\nx = '\xe9'\n", "# coding: latin-1\nx = 'é'\n"),
        (b"x = '\xe9'\n", ""),
        (b"# coding: none-such\nx = 1\n", ""),
    ],
    ids=["utf-8", "byte order mark", "latin-1", "not what it declares", "unknown encoding"],
)
def test_a_source_is_read_as_python_reads_it(tmp_path: Path, content: bytes, text: str) -> None:
    file = tmp_path / "a.py"
    file.write_bytes(content)
    assert text_of(file) == text
    ast.parse(text_of(file))


@pytest.mark.skipif(sys.platform == "emscripten", reason="its encodings are not all there")
def test_an_encoding_that_cannot_be_imported_now_is_known_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.py"
    file.write_bytes(b"# coding: mac-iceland\nx = 1\n")
    with monkeypatch.context() as patching:
        patching.setattr(sys, "meta_path", [])
        assert text_of(file) == "# coding: mac-iceland\nx = 1\n"
    assert "x".encode("mac-iceland") == b"x"
    assert text_of(file) == "# coding: mac-iceland\nx = 1\n"


def test_what_cannot_be_read_has_no_text(tmp_path: Path) -> None:
    assert text_of(tmp_path) == ""
    assert text_of(tmp_path / "none.py") == ""
    assert text_of(Path("nul\0.py")) == ""


def test_a_source_is_read_whatever_a_test_has_put_into_the_place_of_what_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.py"
    file.write_text("x = 1\n")

    def forbidden(*args: object, **options: object) -> object:
        raise RuntimeError("nobody waits for a disk here")

    with monkeypatch.context() as patching:
        for owner, name in ((Path, "read_bytes"), (Path, "open"), (builtins, "open"), (io, "open")):
            patching.setattr(owner, name, forbidden)
        for name in ("open", "read", "close", "stat", "fstat"):
            patching.setattr(os, name, forbidden)
        text = text_of(file)
    assert text == "x = 1\n"
