"""Package trees written for one test."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from pytest_import_isolation.errors import ParameterError


def write_files(root: Path, files: Mapping[str, str]) -> list[Path]:
    """Write source files below a directory, so that the next import runs them and no older bytecode.

    A bytecode file stores the time of its source in whole seconds, and the size: a source rewritten within
    the second and with the same size would run its old code. So the bytecode of what is written goes.

    Args:
        root: the directory; made if it is not there.
        files: texts by relative path, with forward slashes, such as ``{"app/__init__.py": ""}``.

    Returns:
        The paths that were written.

    Raises:
        ParameterError: a path is absolute or leads out of the directory, or a text is no string.
    """
    written: list[Path] = []
    for name, source in files.items():
        relative = PurePosixPath(name)
        if relative.is_absolute() or ".." in relative.parts or not relative.parts:
            raise ParameterError(f"make_package: {name!r} is no relative path below the package's directory")
        if not isinstance(source, str):
            raise ParameterError(
                f"make_package: the text of {name!r} is a string, not {type(source).__name__}"
            )
        path = root.joinpath(*relative.parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
        if path.suffix == ".py":
            _remove_bytecode(path)
        written.append(path)
    return written


def _remove_bytecode(source: Path) -> None:
    for optimization in ("", 1, 2):
        cached = importlib.util.cache_from_source(os.fspath(source), optimization=optimization)
        Path(cached).unlink(missing_ok=True)
