"""At which lines the strings in a source file say the names of modules."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from pytest_import_isolation.machinery.syntax import parsed, walk


class SaidNames:
    """Reads each text once: a test may import a thousand modules, and its file may be long."""

    def __init__(self) -> None:
        # By the file: its text, and the lines by what is said there.
        self._known: dict[str, tuple[str, dict[str, list[int]]]] = {}

    def lines(self, file: str, text: str, name: str) -> Sequence[int]:
        """Return the lines of the strings that begin with the name of a module, in order of the syntax tree.

        Args:
            file: the name of the file.
            text: what it holds.
            name: the module; a string may say more behind a dot.
        """
        if name not in text:
            return ()
        known = self._known.get(file)
        if known is None or known[0] != text:
            known = self._known[file] = text, _lines_by_name(text)
        return known[1].get(name, ())


def _lines_by_name(text: str) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    tree = parsed(text)
    # sys.modules["app.db"] = ... imports neither of them.
    keys: set[ast.expr] = set()
    for node in walk(tree) if tree is not None else ():
        if isinstance(node, ast.Subscript):  # comes before what is in it
            keys.add(node.slice)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in keys:
            for name in _names_in(node.value):
                found.setdefault(name, []).append(node.lineno)
    return found


def _names_in(said: str) -> list[str]:
    """Return what a string says up to each of its dots, as long as that may be the name of a module."""
    names: list[str] = []
    parts = said.split(".")
    for number, part in enumerate(parts, start=1):
        if not part or part.split() != [part]:
            break
        names.append(".".join(parts[:number]))
    return names
