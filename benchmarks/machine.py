"""On what something was measured: versions and the kind of processor, and nothing that tells whose it is."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path


def processor() -> str:
    """Return the model of the processor and how many cores can be used."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:
        cores = os.cpu_count() or 1
    return f"{_model()}, {cores} core{'s' * (cores > 1)}"


def _model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def versions(distributions: Iterable[str] = ()) -> str:
    """Return the versions of Python and of installed distributions; what is not installed is left out."""
    found = [f"{platform.python_implementation()} {platform.python_version()}"]
    for name in distributions:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def installed(module: str) -> bool:
    """Tell whether a module can be imported, as far as that can be told without importing it."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def measured_on(distributions: Iterable[str]) -> str:
    """Return one line about versions and machine."""
    return f"Measured with {versions(distributions)} on {platform.system()}, {processor()}."
