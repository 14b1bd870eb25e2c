"""Which modules a failure touches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import pytest

from pytest_import_isolation.leaks.touched import Touched


@pytest.fixture
def enter() -> Iterator[Callable[[str, Any], None]]:
    """Put something into ``sys.modules``, and take it out after the test."""
    names: list[str] = []

    def put(name: str, module: Any) -> None:
        names.append(name)
        sys.modules[name] = module

    yield put
    for name in names:
        del sys.modules[name]


def _execute(name: str, text: str, **more: object) -> dict[str, Any]:
    space: dict[str, Any] = {"__name__": name, **more}
    exec(text, space)
    return space


def _failing(call: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - any
        call()
    return caught.value


@pytest.mark.parametrize(
    ("text", "touches"),
    [
        ("ImportError: import of touchy.sub halted; None in sys.modules", True),
        ("touchy/sub.py:3: AssertionError", True),
        ("touchy/sub/__init__.py:3: AssertionError", True),
        ("E  no module named 'touchy.sub'", True),
        ("test_touchy.sub.py:3", False),
        ("my.touchy.sub", False),
        ("touchy.submarine", False),
        ("touchy", False),
    ],
)
def test_a_failure_touches_what_it_names(text: str, touches: bool) -> None:
    assert Touched(None, text)("touchy.sub") is touches


def test_source_text_beside_the_failing_code_does_not_count() -> None:
    text = "    import touchy\n>   assert 1 == 2\nE   assert 1 == 2\n\ntest_it.py:3: AssertionError"
    assert not Touched(None, text)("touchy")
    assert Touched(None, f"{text}\nE   no touchy")("touchy")
    assert Touched(None, f"touchy.py:7: in f\n{text}")("touchy")


def test_it_touches_the_modules_that_its_traceback_passes_through() -> None:
    space = _execute("touchy.inner", "def fail():\n    raise ValueError")
    touched = Touched(_failing(space["fail"]), "")
    assert touched("touchy.inner")
    assert touched("touchy")
    assert not touched("touchy.inner.deeper")


def test_it_touches_the_modules_whose_objects_the_failing_code_uses(
    enter: Callable[[str, Any], None],
) -> None:
    used = _execute("touchy_used", "class Thing: pass\ndef make(): pass")
    fake, plain = MagicMock(), ModuleType("touchy_plain")
    enter("touchy_fake", fake)
    enter("touchy_plain", plain)
    enter("touchy_whole", MagicMock())
    text = "def test():\n    thing\n    client()\n    bare\n    assert False"
    test = _execute("test_it", text, thing=used["Thing"](), client=fake.client, bare=plain)
    touched = Touched(_failing(test["test"]), "")
    assert all(map(touched, ("touchy_used", "touchy_fake", "touchy_plain")))
    assert not touched("touchy_whole")


def test_it_touches_what_its_cause_touches() -> None:
    inner = _execute("touchy_cause", "def fail():\n    raise ValueError")

    def outer() -> None:
        try:
            inner["fail"]()
        except ValueError as error:
            raise KeyError from error

    assert Touched(_failing(outer), "")("touchy_cause")


def test_no_code_of_what_failing_code_uses_is_run() -> None:
    class Odd:
        def __eq__(self, other: object) -> bool:
            raise RuntimeError

        def __hash__(self) -> int:
            raise RuntimeError

        @property  # type: ignore[misc]
        def __class__(self) -> Any:
            raise RuntimeError

        def __getattr__(self, name: str) -> Any:
            raise RuntimeError

    test = _execute("test_it", "def test():\n    odd\n    assert False", odd=Odd())
    assert not Touched(_failing(test["test"]), "")("touchy")
