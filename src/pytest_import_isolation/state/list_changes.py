"""What became of one of the lists of ``sys``, and where in it things stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from pytest_import_isolation.machinery.named_tuples import NamedTuple

#: So many pairs of items are compared.
_MOST: Final = 100_000
#: The lists of the import state, by their names in ``sys``.
LISTS: Final = ("path", "meta_path", "path_hooks")


class ListChange(NamedTuple):
    """What became of one list of ``sys``."""

    added: tuple[object, ...]
    removed: tuple[object, ...]
    moved: bool

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.moved)


def key_of(item: object) -> object:
    """Return what an item of a list of ``sys`` is compared by.

    Path entries are compared by value, because pytest and users insert equal strings again; finders, hooks
    and odd path entries by identity, because their ``__eq__`` is not ours to call.
    """
    return item if type(item) is str else id(item)


def keys_of(items: Sequence[object]) -> list[object]:
    """Return what items are compared by."""
    return list(map(key_of, items))


class Place(NamedTuple):
    """Where an item stands, by the keys of what stands around it: nothing is kept alive."""

    #: What stands before it, the nearest first.
    before: tuple[object, ...]
    #: What stands behind it, the nearest first.
    behind: tuple[object, ...]

    def position_in(self, items: Sequence[object]) -> int:
        """Return where it belongs in another version of the list.

        It stands in front of all, or behind all, if it does so here; else between the same neighbours, as far
        as these are there.
        """
        keys = keys_of(items)
        start = next((keys.index(key) + 1 for key in self.before if key in keys), 0)
        if not start or not self.behind:
            return len(keys) if start else 0
        return next((keys.index(key, start) for key in self.behind if key in keys[start:]), start)


def place_of(item: object, items: Sequence[object]) -> Place:
    """Return where an item of a list stands; behind all others if it is none of them."""
    at = next((at for at, other in enumerate(items) if other is item), len(items))
    return _place(keys_of(items), at)


def _place(keys: Sequence[object], at: int) -> Place:
    return Place(tuple(keys[:at][::-1]), tuple(keys[at + 1 :]))


def compare_lists(before: Sequence[object], after: Sequence[object]) -> ListChange:
    """Compare two versions of a list of ``sys`` as multisets and, if those are equal, by order."""
    keys_before, keys_after = keys_of(before), keys_of(after)
    if keys_before == keys_after:
        return ListChange((), (), moved=False)
    gone, new = _gone_and_new(keys_before, keys_after)
    return ListChange(
        tuple(after[at] for at in new), tuple(before[at] for at in gone), moved=not gone and not new
    )


def beyond(items: Sequence[object], others: Sequence[object]) -> list[object]:
    """Return the items that are more than those of another list, each as often as it is one more."""
    left = keys_of(others)
    more = []
    for item in items:
        try:
            left.remove(key_of(item))
        except ValueError:
            more.append(item)
    return more


def edited(now: Sequence[object], before: Sequence[object], after: Sequence[object]) -> list[object]:
    """Make to a list the change that was made to an earlier version of it.

    Args:
        now: the list.
        before: what it held when the change was made.
        after: what it held then.

    Returns:
        ``after`` where the list is as it was; else what was removed goes, and what was added stands where it
        stood then. What had only moved stays where it is.
    """
    keys_before, keys_after = keys_of(before), keys_of(after)
    if keys_of(now) == keys_before:
        return list(after)
    gone, new = _gone_and_new(keys_before, keys_after)
    result = list(now)
    for at in gone:
        _remove(result, keys_before[at], earlier=keys_before[:at].count(keys_before[at]))
    known = keys_of(beyond(now, before))
    inserted, position = -1, 0
    for at in new:
        # What was added together stays together.
        position = position + 1 if inserted == at - 1 >= 0 else _place(keys_after, at).position_in(result)
        if not position or keys_after[at] not in known:
            result.insert(position, after[at])
            inserted = at
    return result


def _remove(items: list[object], key: object, *, earlier: int) -> None:
    """Remove one of the items with a key: the first that has so many of them before it, else the last."""
    places = [at for at, item in enumerate(items) if key_of(item) == key]
    if places:
        del items[places[min(earlier, len(places) - 1)]]


def _gone_and_new(before: Sequence[object], after: Sequence[object]) -> tuple[list[int], list[int]]:
    """Return the positions of what is there no more, and of what was not there.

    Of several equal items those are meant that make the others stay in place.

    Args:
        before: the keys of the items.
        after: the keys later.
    """
    gone, new = _unmatched(before, after)
    moved: Counter[Any] = Counter(before[at] for at in gone) & Counter(after[at] for at in new)
    return _without(gone, before, moved.copy()), _without(new, after, moved)


def _without(places: list[int], keys: Sequence[object], moved: Counter[Any]) -> list[int]:
    left = []
    for at in places:
        if moved[keys[at]]:
            moved[keys[at]] -= 1
        else:
            left.append(at)
    return left


def _unmatched(before: Sequence[object], after: Sequence[object]) -> tuple[list[int], list[int]]:
    """Return the positions in two lists that do not belong to their longest common subsequence."""
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    old, now = range(start, len(before) - end), range(start, len(after) - end)
    if len(old) * len(now) > _MOST:
        return [*old], [*now]
    # How long that of the rests is which begin at two positions.
    lengths = {(i, j): 0 for i in (*old, old.stop) for j in (*now, now.stop)}
    for i in reversed(old):
        for j in reversed(now):
            longer = max(lengths[i + 1, j], lengths[i, j + 1])
            lengths[i, j] = 1 + lengths[i + 1, j + 1] if before[i] == after[j] else longer
    gone, new = [], []
    i, j = start, start
    while i in old and j in now:
        if before[i] == after[j]:
            i, j = i + 1, j + 1
        elif lengths[i + 1, j] >= lengths[i, j + 1]:
            gone.append(i)
            i += 1
        else:
            new.append(j)
            j += 1
    return [*gone, *range(i, old.stop)], [*new, *range(j, now.stop)]
