"""Packages that look like real ones, as many as are wanted: submodules, functions, classes, specs, bytecode."""

from __future__ import annotations

import importlib
import os
import sys
import time
from pathlib import Path

#: Modules in each generated package, its ``__init__`` among them.
IN_PACKAGE = 10

_MODULE = '''\
"""One of many modules."""

from __future__ import annotations

import functools
import os.path
from typing import Any, NamedTuple

__all__ = ["Record", "Service", "make"]

DEFAULTS = {{"retries": 3, "timeout": 1.5, "names": ["one", "two"]}}
NUMBER = {number}


class Record(NamedTuple):
    name: str
    value: int = NUMBER


class Service:
    registry: dict[str, Any] = {{}}

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, *arguments: Any) -> Record:
        return Record(os.path.join(self.name, *map(str, arguments)))


@functools.lru_cache(maxsize=None)
def make(name: str) -> Service:
    return Service(name)


def find(name: str) -> Any:
    return Service.registry.get(name, DEFAULTS)


def _prepare(values: list[int]) -> list[int]:
    return [value + NUMBER for value in values]
'''


def write_package(folder: Path, name: str, modules: int = IN_PACKAGE) -> None:
    """Write a package whose ``__init__`` imports all its submodules."""
    package = folder / name
    children = [f"part_{number}" for number in range(modules - 1)]
    imports = "".join(f"from {name} import {child}\n" for child in children)
    write(package / "__init__.py", f'"""One of many packages."""\n\n{imports}')
    for number, child in enumerate(children):
        write(package / f"{child}.py", _MODULE.format(number=number))


def write(file: Path, text: str) -> None:
    """Write a source as if it were old: the bytecode of one that was just written is not trusted."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    hour_ago = time.time() - 3600
    os.utime(file, (hour_ago, hour_ago))


def filler(number: int) -> str:
    """Return the name of a package that is there to be loaded and nothing else."""
    return f"filler_{number:04}"


def fill(modules: int) -> None:
    """Import fillers until so many modules are loaded; they must have been written and be on the path."""
    number = 0
    while len(sys.modules) < modules:
        importlib.import_module(filler(number))
        number += 1
