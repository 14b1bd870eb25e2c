"""What became of a list of ``sys``, and where in it things stand."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_import_isolation.state.list_changes import (
    _MOST,
    beyond,
    compare_lists,
    edited,
    place_of,
)

#: Few letters: there are equal items.
ITEMS = st.lists(st.sampled_from("abcd"), max_size=6)


@pytest.mark.parametrize(
    ("before", "after", "now", "expected"),
    [
        pytest.param("ab", "xab", "cab", "xcab", id="in front of all"),
        pytest.param("ab", "abx", "abc", "abcx", id="behind all"),
        pytest.param("ab", "axb", "cabd", "caxbd", id="between two"),
        pytest.param("ab", "axb", "ac", "axc", id="behind the one if the other has gone"),
        pytest.param("ab", "axyb", "cab", "caxyb", id="two together"),
        pytest.param("ab", "xyab", "cab", "xycab", id="two together in front"),
        pytest.param("ab", "bab", "cab", "bcab", id="one that stands further back, too"),
        pytest.param("ba", "bab", "bac", "bacb", id="one that stands further ahead, too"),
        pytest.param("bab", "ab", "cbab", "cab", id="the first of two"),
        pytest.param("bab", "ba", "cbab", "cba", id="the last of two"),
        pytest.param("bab", "ba", "cb", "c", id="the one that is left"),
        pytest.param("ab", "abx", "abxc", "abxc", id="what somebody else has added, too"),
        pytest.param("abc", "cab", "abcd", "abcd", id="what has only moved"),
        pytest.param("abc", "xcab", "abcd", "xabcd", id="what has moved beside what is new"),
        pytest.param("", "x", "a", "xa", id="the first item of all"),
    ],
)
def test_a_change_is_made_to_another_version(before: str, after: str, now: str, expected: str) -> None:
    assert "".join(edited(now, before, after)) == expected  # type: ignore[arg-type]


@given(ITEMS, ITEMS)
def test_a_change_that_is_made_to_what_it_was_made_to_gives_the_same(
    before: list[str], after: list[str]
) -> None:
    assert edited(before, before, after) == after


@given(ITEMS, ITEMS)
def test_items_are_counted(before: list[str], after: list[str]) -> None:
    change = compare_lists(before, after)
    assert Counter(change.added) == Counter(after) - Counter(before) == Counter(beyond(after, before))
    assert Counter(change.removed) == Counter(before) - Counter(after) == Counter(beyond(before, after))
    assert bool(change) == (before != after)


@given(ITEMS, ITEMS, ITEMS)
def test_nothing_is_lost_and_nothing_is_made(before: list[str], after: list[str], now: list[str]) -> None:
    found = Counter(edited(now, before, after))
    assert found <= Counter(now) + (Counter(after) - Counter(before))
    assert found >= Counter(now) - (Counter(before) - Counter(after))


@given(st.permutations("abcdefg"), st.integers(0, 6), st.sets(st.sampled_from("abcdefg")))
def test_a_place_is_found_again_among_those_that_are_left(items: list[str], at: int, gone: set[str]) -> None:
    item = items[at]
    left = [other for other in items if other not in gone and other != item]
    place = place_of(item, items).position_in(left)
    assert [*left[:place], item, *left[place:]] == [
        other for other in items if other in left or other == item
    ]


def test_what_stands_in_no_list_stands_behind_all() -> None:
    assert place_of("x", ["a", "b"]).position_in(["b", "c"]) == 2


def test_of_equal_texts_the_one_is_meant_that_is_new() -> None:
    old, new = "".join(("/", "lib")), "".join(("/", "lib"))
    assert old is not new
    assert compare_lists([old, "/a"], [new, "/a", old]).added[0] in (old, new)
    (added,) = compare_lists(["/a", old], [new, "/a", old]).added
    assert added is new


def test_lists_that_have_little_in_common_are_only_counted() -> None:
    before = [f"/{number}" for number in range(_MOST)]
    after = ["/x", *reversed(before)]
    assert compare_lists(before, after).added == ("/x",)
    assert edited([*before, "/y"], before, after) == ["/x", *before, "/y"]
