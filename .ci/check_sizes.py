"""Fail if a file, class or function of the package is too long to hold one idea.

Usage: check_sizes.py
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
SOURCE: Final = ROOT / "src" / "pytest_import_isolation"
FILE_LINES: Final = 450
CLASS_LINES: Final = 300
FUNCTION_LINES: Final = 50
#: What may be longer, as ``file:name``, with the reason.
EXCEPTIONS: Final = {
    "plugin/options.py:add_options": "a table: one call for each option",
}


def definitions(tree: ast.Module) -> Iterator[tuple[str, int, int]]:
    """Yield the classes and functions of a module: the name, the lines, and how many there may be."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            limit = CLASS_LINES if isinstance(node, ast.ClassDef) else FUNCTION_LINES
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1, limit


def too_long(file: Path) -> Iterator[tuple[str, str]]:
    """Yield what is too long in a file: its name as in :data:`EXCEPTIONS`, and a sentence."""
    name = file.relative_to(SOURCE).as_posix()
    text = file.read_text(encoding="utf-8")
    measured = [(name, len(text.splitlines()), FILE_LINES)]
    measured += [(f"{name}:{part}", lines, limit) for part, lines, limit in definitions(ast.parse(text))]
    for what, lines, limit in measured:
        if lines > limit:
            yield what, f"{what} has {lines} lines; {limit} are allowed"


def main() -> None:
    """Print what is too long, and exceptions that are none, and fail if there are any."""
    found = dict(pair for file in sorted(SOURCE.rglob("*.py")) for pair in too_long(file))
    problems = [sentence for what, sentence in found.items() if what not in EXCEPTIONS]
    problems += [
        f"{what} is an exception in {Path(__file__).name}, but not too long"
        for what in EXCEPTIONS
        if what not in found
    ]
    if problems:
        sys.exit("\n".join([*problems, "find the two ideas in it, and give each a place of its own"]))


if __name__ == "__main__":
    main()
