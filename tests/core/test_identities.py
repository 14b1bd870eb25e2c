"""Objects compared by identity: exactly, and without any code of theirs."""

from __future__ import annotations

from collections.abc import Callable
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_import_isolation.machinery import identities
from pytest_import_isolation.machinery.identities import Identities


class Forbidden:
    """Has no code that may run, and ends the run if it does: SystemExit is no Exception."""

    def __eq__(self, other: object) -> bool:
        raise SystemExit("eq")

    def __hash__(self) -> int:
        raise SystemExit("hash")

    def __bool__(self) -> bool:
        raise SystemExit("bool")


@pytest.fixture(params=["pointers", "one by one"])
def how(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare as this interpreter can, and as one that keeps its tuples in another way."""
    if request.param == "one by one":
        monkeypatch.setattr(identities, "_reader", None)


@pytest.mark.usefixtures("how")
@pytest.mark.parametrize("number", [0, 1, 40, 41, 500])
def test_only_the_very_same_objects_in_the_same_order_are_the_same(number: int) -> None:
    objects: list[object] = [Forbidden() for _ in range(number)]
    known = Identities(objects)
    assert len(known) == number
    assert known.are_those_of(objects)
    assert known.are_those_of(dict(enumerate(objects)).values())
    assert not known.are_those_of([*objects, Forbidden()])
    if objects:
        assert not known.are_those_of(objects[1:])
        for other in (Forbidden(), mock.ANY, None):
            for position in (0, number // 2, -1):
                changed = objects.copy()
                changed[position] = other
                assert not known.are_those_of(changed)
                assert known.are_those_of(objects)
    if number > 1:
        assert not known.are_those_of(objects[::-1])


@given(st.lists(st.integers(0, 3), min_size=38, max_size=50), st.lists(st.integers(0, 3), max_size=50))
def test_both_ways_of_comparing_give_one_answer(one: list[int], other: list[int]) -> None:
    objects = [object() for _ in range(4)]
    before, now = [objects[i] for i in one], [objects[i] for i in other]
    assert Identities(before).are_those_of(before)
    assert Identities(before).are_those_of(now) is (one == other)


def test_no_audit_hook_is_asked_whether_memory_may_be_read(run_script: Callable[..., str]) -> None:
    run_script(
        """
        import sys
        from pytest_import_isolation.machinery.identities import Identities
        objects = [object() for _ in range(100)]
        known = Identities(objects)
        heard = []
        sys.addaudithook(lambda event, arguments: heard.append(event))
        assert known.are_those_of(objects)
        assert not known.are_those_of(objects[::-1])
        assert not [event for event in heard if event.startswith("ctypes")]
        """
    )


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(0, 60), st.booleans())
def test_others_begin_with_the_same_or_not(numbers: list[int], length: int, is_other: bool) -> None:
    objects = [object() for _ in range(6)]
    given = [objects[number] for number in numbers]
    first = given[:length]
    if is_other and first:
        first[-1] = object()
    expected = all(one is another for one, another in zip(first, given, strict=False))
    assert Identities(first).are_first_of(Identities(given)) is expected
    assert not Identities([*given, objects[0]]).are_first_of(Identities(given))
