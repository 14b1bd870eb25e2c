"""Rules and findings as data."""

from __future__ import annotations

from typing import Final

from pytest_import_isolation.machinery.named_tuples import NamedTuple

ERROR: Final = "error"
WARNING: Final = "warning"
INFO: Final = "info"
#: The worst first.
SEVERITIES: Final = (ERROR, WARNING, INFO)


class Rule(NamedTuple):
    """A rule: how bad a finding of it is, and what it is about."""

    severity: str
    title: str


#: By id.
RULES: Final = {
    "IL101": Rule(ERROR, "A test file leaves a fake in sys.modules when it is collected"),
    "IL102": Rule(ERROR, "A test file removes or reloads a module when it is collected"),
    "IL103": Rule(ERROR, "A container of the import system becomes another object"),
    "IL104": Rule(WARNING, "Two files give one name to different modules"),
    "IL105": Rule(WARNING, "A change of sys.modules, or a reload, is not undone for certain"),
    "IL106": Rule(WARNING, "An entry of sys.modules is put back, the attribute of its package is not"),
    "IL107": Rule(WARNING, "An import inside of patch.dict(sys.modules) is thrown out at its end"),
    "IL108": Rule(INFO, "What is imported stays if the module was not loaded before"),
    "IL109": Rule(WARNING, "A test file changes an attribute of a module when it is collected"),
}


class Finding(NamedTuple):
    """What a rule found at one place."""

    file: str
    line: int
    column: int
    rule: str
    severity: str
    #: The module, or what of ``sys`` is meant; ``*`` stands for any text.
    name: str
    #: What happens, and what to do.
    message: str


class Located(NamedTuple):
    """A finding before comments are asked: with the lines that may hold one."""

    finding: Finding
    #: File, first and last line of each statement that leads there.
    spans: tuple[tuple[str, int, int], ...]


class Problem(NamedTuple):
    """A file that could not be linted."""

    file: str
    line: int
    reason: str
