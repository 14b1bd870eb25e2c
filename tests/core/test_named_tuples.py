"""The named tuples of this package are those of typing, made faster."""

from __future__ import annotations

import copy
import inspect
import pickle
import typing
from typing import Any

import pytest

from pytest_import_isolation.machinery.named_tuples import NamedTuple


class Fast(NamedTuple):
    """Made fast."""

    name: str
    number: int = 1
    rest: tuple[int, ...] = ()

    @property
    def double(self) -> int:
        """What a method sees."""
        return self.number * 2

    def __str__(self) -> str:
        return f"{self.name}: {super().__repr__()}"


class Usual(typing.NamedTuple):
    """Made as usual."""

    name: str
    number: int = 1
    rest: tuple[int, ...] = ()


@pytest.mark.parametrize(
    ("arguments", "keywords"),
    [(("a",), {}), (("a", 2), {}), (("a",), {"rest": (3,)}), ((), {"number": 4, "name": "b"})],
)
def test_a_fast_one_holds_what_a_usual_one_holds(
    arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> None:
    fast, usual = Fast(*arguments, **keywords), Usual(*arguments, **keywords)
    assert tuple(fast) == tuple(usual)
    assert (fast.name, fast.number, fast.rest) == (usual.name, usual.number, usual.rest)
    assert fast._asdict() == usual._asdict()
    assert repr(fast) == repr(usual).replace("Usual", "Fast")
    assert fast._replace(number=9)._asdict() == usual._replace(number=9)._asdict()


def test_the_classes_say_the_same_of_their_fields() -> None:
    assert Fast._fields == Usual._fields
    assert Fast._field_defaults == Usual._field_defaults
    assert Fast.__match_args__ == Usual.__match_args__
    assert [*inspect.signature(Fast).parameters] == [*inspect.signature(Usual).parameters]
    assert Fast._make(["a", 1, ()]) == Fast("a", 1, ())


@pytest.mark.parametrize(
    ("arguments", "keywords"),
    [((), {}), (("a", 1, (), 4), {}), (("a",), {"name": "b"}), (("a",), {"other": 1})],
)
def test_wrong_arguments_are_refused(arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        Fast(*arguments, **keywords)


def test_a_field_that_does_not_exist_is_not_replaced() -> None:
    with pytest.raises((TypeError, ValueError), match="other"):
        Fast("a")._replace(other=1)  # type: ignore[call-arg]


def test_nothing_can_be_written_to_one() -> None:
    with pytest.raises(AttributeError):
        Fast("a").name = "b"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        Fast("a").other = "b"  # type: ignore[attr-defined]


def test_methods_of_the_class_stay() -> None:
    assert Fast("a").double == 2
    assert str(Fast("a")) == "a: Fast(name='a', number=1, rest=())"
    assert Fast.__doc__ == "Made fast."


def test_one_is_copied_and_pickled() -> None:
    one = Fast("a", 2, (3,))
    for other in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert type(other) is Fast
        assert other == one
