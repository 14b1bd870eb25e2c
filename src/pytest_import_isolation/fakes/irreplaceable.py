"""What runs now and cannot be replaced: the interpreter, pytest, and this package."""

from __future__ import annotations

from typing import Final

from pytest_import_isolation.errors import NotReplaceableError
from pytest_import_isolation.machinery.frames import packages_on_the_stack
from pytest_import_isolation.machinery.modules import top_level
from pytest_import_isolation.patterns import Patterns

# What the interpreter looks up by name, or cannot run without.
_INTERPRETER: Final = frozenset(
    (
        "__main__", "_abc", "_codecs", "_frozen_importlib", "_frozen_importlib_external", "_imp", "_io",
        "_thread", "_warnings", "abc", "builtins", "codecs", "encodings", "genericpath", "importlib",
        "importlib._bootstrap", "importlib._bootstrap_external", "importlib.machinery", "importlib.util",
        "io", "marshal", "nt", "ntpath", "os", "os.path", "posix", "posixpath", "sys",
        "warnings", "zipimport",
    )
)  # fmt: skip
# faulthandler: pytest imports it after each failure.
_RUNNER: Final = frozenset(("_pytest", "faulthandler", "pluggy", "pytest"))
_OWN_PACKAGE: Final = top_level(__name__)


def is_needed_by_the_interpreter(name: str) -> bool:
    """Tell whether the interpreter looks a module up by name, or cannot run without it."""
    return name in _INTERPRETER


def refuse_irreplaceable(patterns: Patterns, parameter: str) -> None:
    """Refuse to replace a module that what runs now cannot do without.

    Args:
        patterns: what is to be replaced; a glob does not mean such modules.
        parameter: for what, for the message.

    Raises:
        NotReplaceableError: one of the patterns names such a module.
    """
    running: set[str] | None = None
    for name in patterns:
        if patterns.is_glob(name):
            continue
        if is_needed_by_the_interpreter(name):
            needs = "the interpreter"
        elif top_level(name) == _OWN_PACKAGE:
            needs = "the isolation itself"
        elif top_level(name) in _RUNNER:
            running = packages_on_the_stack() if running is None else running
            if _RUNNER.isdisjoint(running):
                continue
            needs = "pytest itself"
        else:
            continue
        raise NotReplaceableError(
            f"{parameter}={name!r}: {needs} needs this module while the test runs. To change single "
            "functions of it, use monkeypatch.setattr or unittest.mock.patch on the module that calls them; "
            "for anything more, run the test in a subprocess",
            name=name,
        )
