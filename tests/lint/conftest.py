"""What the tests of the linter share: files that are written to a folder, linted, and never imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from pytest_import_isolation.lint.findings import Finding
from pytest_import_isolation.lint.linter import lint

Lint = Callable[..., list[Finding]]


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text).lstrip("\n"), encoding="utf-8")


def _path(name: str) -> str:
    """Return the path that a keyword stands for: ``a__test_b`` is ``a/test_b.py``."""
    return name.replace("____init__", "/!").replace("__", "/").replace("!", "__init__") + ".py"


@pytest.fixture
def findings(tmp_path: Path) -> Lint:
    """Lint files; a text alone is that of ``test_it.py``."""

    def findings(text: str = "", **files: str) -> list[Finding]:
        named = {_path(name): source for name, source in files.items()}
        write(tmp_path, {**({"test_it.py": text} if text else {}), **named})
        return list(lint([str(tmp_path)], str(tmp_path)).findings)

    return findings


def brief(found: list[Finding]) -> list[str]:
    """Return rule, name and line of findings, with the severity where it is not the rule's own."""
    return [f"{one.rule} {one.name} {one.line}" for one in found if one.severity != "info"]
