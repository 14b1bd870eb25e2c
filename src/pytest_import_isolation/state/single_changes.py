"""Differences of the import state taken apart into single changes of single things.

A change can be compared with another, so that a fixture's own change is recognised, and can be looked up
later: is it still so?
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from pytest_import_isolation.machinery.finders import import_function
from pytest_import_isolation.machinery.modules import ABSENT
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.state.differences import Difference, items_of
from pytest_import_isolation.state.list_changes import LISTS, key_of
from pytest_import_isolation.state.odd_keys import entry_in
from pytest_import_isolation.state.submodule_attributes import bound_value


class _SameContents:
    """The type of :data:`SAME_CONTENTS`."""

    __slots__ = ()


#: Stands for a list of ``sys`` that was another object with equal contents.
SAME_CONTENTS = _SameContents()


class SingleChange(NamedTuple):
    """One change of one thing."""

    #: ``"entry"``, ``"attribute"``, ``"path"``, ``"meta_path"``, ``"path_hooks"``, ``"rebound"``, or
    #: ``"import_function"`` for ``builtins.__import__``.
    what: str
    #: The module name, the name of the container, or what an item is compared by.
    key: Any
    before: object
    after: object

    @property
    def place(self) -> tuple[str, object]:
        """What was changed, as a key by which the same change can be found among thousands."""
        return self.what, self.key

    def same(self, other: SingleChange) -> bool:
        """Tell whether another change is the same change."""
        if (self.what, self.key) != (other.what, other.key):
            return False
        return self.after is other.after or (self.key == "order" and self.after == other.after)

    @property
    def is_in_place(self) -> bool:
        """Whether what was changed is still so."""
        if self.what == "entry":
            return entry_of(self.key) is self.after
        if self.what == "attribute":
            return bound_value(self.key) is self.after
        if self.what == "rebound":
            return container(self.key) is self.after
        if self.what == "import_function":
            return import_function() is self.after
        if self.key == "order":
            return _order(self.what) == self.after
        return (self.key in _order(self.what)) is (self.before is ABSENT)


def single_changes(difference: Difference) -> Iterator[SingleChange]:
    """Take a difference apart."""
    for name, module in difference.added.items():
        yield SingleChange("entry", name, ABSENT, module)
    for name, module in difference.removed.items():
        yield SingleChange("entry", name, module, ABSENT)
    for name, (before, after) in difference.replaced.items():
        yield SingleChange("entry", name, before, after)
    for name, binding in difference.bindings.items():
        yield SingleChange("attribute", name, binding.before, binding.after)
    for list_name, change in difference.lists.items():
        for item in change.added:
            yield SingleChange(list_name, key_of(item), ABSENT, item)
        for item in change.removed:
            yield SingleChange(list_name, key_of(item), item, ABSENT)
        if change.moved:
            yield SingleChange(list_name, "order", ABSENT, _order(list_name))
    for rebound in difference.rebound:
        name = rebound.rpartition(".")[2]
        same = name in LISTS and name not in difference.lists
        yield SingleChange("rebound", rebound, SAME_CONTENTS if same else ABSENT, container(rebound))
    if difference.import_function:
        yield SingleChange("import_function", "", ABSENT, import_function())


def entry_of(name: object) -> object:
    """Return what ``sys.modules`` holds under a name, ABSENT for nothing."""
    return entry_in(getattr(sys, "modules", None), name)


def container(name: str) -> object:
    """Return what stands in ``sys`` under the name of a container, such as ``"sys.path"``."""
    return getattr(sys, name.rpartition(".")[2], ABSENT)


def _order(list_name: str) -> tuple[object, ...]:
    return tuple(map(key_of, items_of(list_name)))
