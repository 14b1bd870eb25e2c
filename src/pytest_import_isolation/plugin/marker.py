"""The marker ``isolated_imports``: from the marks of a test to the parameters of its window.

What parses them is loaded with the first test that has one: this module is loaded in every run.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import pytest
from _pytest import nodes

from pytest_import_isolation.errors import ImportIsolationError

if TYPE_CHECKING:
    from pytest_import_isolation.window.parameters import Parameters

MARKER = "isolated_imports"
#: The parameters that are about the process of a test, and open no window by themselves.
PROCESS_NAMES = ("process", "timeout")
FIXTURE = "isolated_imports"

DESCRIPTION = (
    f"{MARKER}(fresh=..., unloaded=..., missing=..., fakes=..., path=..., keep=..., distributions=..., "
    "finders=..., path_hooks=..., process=..., timeout=...): undo the changes that the test makes to "
    "sys.modules, sys.path and the import hooks. Every parameter is optional. "
    "fresh: modules that are executed anew on their next import; unloaded: modules that are absent at first "
    "and can be imported as usual ('*' means all, and executes first-party modules anew); missing: modules "
    "that look as if they were not installed; keep: modules that stay loaded after the test; of these four "
    "each is a module name, which covers its submodules, a glob such as 'myapp.plugins.*', or a list of "
    "them. "
    "fakes: a mapping of module names to attributes, source text or objects; path: directories to put before "
    "sys.path; distributions: True also hides, from importlib.metadata, the distributions that deliver the "
    "missing modules; "
    "finders, path_hooks: lists of import hooks that are asked before all others; "
    "process: True runs the test in a process of its own, 'file' all tests of the file that have this in one "
    "process, 'cold' in one in which nothing of the suite was imported yet; timeout: seconds after which "
    "that process is ended. With these two alone imports are not undone: they go with the process."
)


class Asked(NamedTuple):
    """What the marks of some tests ask for."""

    #: Whether a test is isolated on its own.
    windows: bool
    #: Whether a mark is about the process of a test.
    processes: bool


def asked_by(items: Iterable[pytest.Item]) -> Asked:
    """Return what the marks of some tests ask for.

    Most runs have none, and thousands of tests: each file and class is asked once.
    """
    marks: list[pytest.Mark] = []
    seen: set[int] = set()
    uses_fixture = False
    for item in items:
        node: nodes.Node | None = item
        while node is not None and id(node) not in seen:
            seen.add(id(node))
            marks += [mark for mark in node.own_markers if mark.name == MARKER]
            node = node.parent
        uses_fixture = uses_fixture or FIXTURE in getattr(item, "fixturenames", ())
    return Asked(
        windows=uses_fixture or bool(marks),
        processes=any(name in mark.kwargs for mark in marks for name in PROCESS_NAMES),
    )


def parameters_of(item: pytest.Item, mistakes: dict[object, str]) -> Parameters | None:
    """Return the combined parameters of all ``isolated_imports`` marks of a test, or None without a mark.

    The nearest mark wins for each fake; patterns add up.

    Args:
        item: the test.
        mistakes: takes what is wrong with a mark, such as a parameter that does not exist.
    """
    combined: Parameters | None = None
    for node, mark in item.iter_markers_with_node(MARKER):
        if id(mark) in mistakes:  # which other tests have too
            continue
        if mark.kwargs and not mark.args and mark.kwargs.keys() <= set(PROCESS_NAMES):
            continue
        try:
            parameters = _parse(node, mark)
        except pytest.UsageError as error:
            mistakes[id(mark)] = str(error)
            continue
        combined = parameters if combined is None else combined.under(parameters)
    if combined is None and FIXTURE in getattr(item, "fixturenames", ()):
        from pytest_import_isolation.window.parameters import NOTHING_ASKED

        return NOTHING_ASKED
    return combined


def _parse(node: nodes.Node, mark: pytest.Mark) -> Parameters:
    from pytest_import_isolation.fakes.irreplaceable import refuse_irreplaceable
    from pytest_import_isolation.patterns import Patterns
    from pytest_import_isolation.window.parameters import Parameters

    who = f"{node.nodeid}: @pytest.mark.{MARKER}"
    if mark.args:
        raise pytest.UsageError(
            f"{who} takes keyword arguments only, not {mark.args[0]!r}; "
            f'for example @pytest.mark.{MARKER}(fresh="myapp.settings")'
        )
    try:
        given = {name: value for name, value in mark.kwargs.items() if name not in PROCESS_NAMES}
        parameters = Parameters.parse(who, given, PROCESS_NAMES)
    except ImportIsolationError as error:
        raise pytest.UsageError(str(error)) from None
    try:
        refuse_irreplaceable(parameters.fresh, "fresh")
        refuse_irreplaceable(parameters.missing, "missing")
        refuse_irreplaceable(Patterns(tuple(parameters.fakes)), "fakes")
    except ImportIsolationError as error:
        raise pytest.UsageError(f"{who}: {error}") from None
    return parameters
