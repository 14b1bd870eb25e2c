"""What can differ between two import states, and how parts of them are compared."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from pytest_import_isolation.machinery.lazy_settings import LazySettings
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.state.list_changes import ListChange

# Stands behind the items of each list.
_END: Final = object()


class Binding(NamedTuple):
    """The attribute by which a package holds a submodule."""

    before: object
    after: object


class Difference(NamedTuple):
    """How the import state differs from a captured one. Values are the objects themselves."""

    added: dict[Any, object]
    removed: dict[Any, object]
    replaced: dict[Any, tuple[object, object]]
    bindings: dict[str, Binding]
    lists: dict[str, ListChange]
    rebound: tuple[str, ...]
    import_function: bool
    importer_cache: bool
    #: What decides which imports are lazy, before and after.
    lazy_imports: tuple[LazySettings, LazySettings] | None = None

    def __bool__(self) -> bool:
        return any(self)

    def undone(self) -> Difference:
        """Return the change that undoes this one."""
        return self._replace(
            added=self.removed,
            removed=self.added,
            replaced={name: (now, before) for name, (before, now) in self.replaced.items()},
            bindings={n: Binding(binding.after, binding.before) for n, binding in self.bindings.items()},
            lists={
                name: ListChange(change.removed, change.added, change.moved)
                for name, change in self.lists.items()
            },
            lazy_imports=self.lazy_imports and self.lazy_imports[::-1],
        )


#: What is found where nothing has changed.
NO_DIFFERENCE: Final = Difference({}, {}, {}, {}, {}, (), import_function=False, importer_cache=False)


class Overlay(NamedTuple):
    """Changes of the import state as they can be laid over it again. Values are the objects themselves."""

    #: What stands in ``sys.modules``.
    entries: Mapping[str, object] = MappingProxyType({})
    #: What is not there.
    removed: tuple[str, ...] = ()
    #: What packages hold under the last names of these modules; ABSENT for nothing.
    bindings: Mapping[str, object] = MappingProxyType({})
    #: For lists of ``sys``, what they held before and after the changes.
    lists: Mapping[str, tuple[tuple[object, ...], tuple[object, ...]]] = MappingProxyType({})
    #: What stands in the place of ``builtins.__import__``.
    import_function: Callable[..., Any] | None = None
    #: What decides which imports are lazy.
    lazy_imports: LazySettings | None = None

    def __bool__(self) -> bool:
        return any(self)


def items_in(value: object) -> tuple[object, ...]:
    """Return the items of what should be a list in ``sys`` and may be anything; nothing if it is no list."""
    kind = type(value)
    # A subclass may iterate over something else.
    for known in (list, tuple):
        if issubclass(kind, known):
            return tuple(known.__iter__(value))  # type: ignore[arg-type]
    return ()


def same_items(found: object, items: tuple[object, ...]) -> bool:
    """Tell whether a list holds the very same objects in the same order."""
    return type(found) is list and len(found) == len(items) and all(map(operator.is_, found, items))


def items_of(list_name: str) -> tuple[object, ...]:
    """Return what one of the lists of ``sys`` holds now; nothing if something else stands there."""
    return items_in(getattr(sys, list_name, None))


class Lists:
    """What the lists of ``sys`` held, for looks that compare them at the speed of C.

    Args:
        lists: the lists themselves, each with its items, in the order of :data:`LISTS`.
    """

    __slots__ = ("_are_lists", "_found", "_items", "_numbers")

    def __init__(self, lists: Iterable[tuple[object, tuple[object, ...]]]) -> None:
        # Written out: every window makes one.
        (path, paths), (meta_path, finders), (path_hooks, hooks) = lists
        self._found = path, meta_path, path_hooks
        self._are_lists = type(path) is list and type(meta_path) is list and type(path_hooks) is list
        self._items = *paths, _END, *finders, _END, *hooks, _END
        self._numbers = len(paths), len(finders), len(hooks)

    def show_same_numbers(self) -> bool:
        """Tell whether they hold as many items.

        Raises:
            AttributeError: somebody deleted one, here as below.
        """
        found: Any = self._found
        path, meta_path, path_hooks = found
        if (
            self._are_lists
            and sys.path is path
            and sys.meta_path is meta_path
            and sys.path_hooks is path_hooks
        ):
            return (len(path), len(meta_path), len(path_hooks)) == self._numbers
        return self.are_same()

    def are_same(self) -> bool:
        """Tell whether they are the very same lists, with the very same items."""
        path: Any = sys.path
        meta_path: Any = sys.meta_path
        path_hooks: Any = sys.path_hooks
        was_path, was_meta_path, were_path_hooks = self._found
        if path is not was_path or meta_path is not was_meta_path or path_hooks is not were_path_hooks:
            return False
        if not self._are_lists:
            path, meta_path, path_hooks = map(items_in, self._found)
        # An end that stands somewhere else is a difference too.
        return all(map(operator.is_, (*path, _END, *meta_path, _END, *path_hooks, _END), self._items))
