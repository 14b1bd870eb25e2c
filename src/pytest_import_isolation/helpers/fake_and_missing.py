"""Contexts with one purpose: thin shells over IsolatedImportContext."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType, TracebackType
from typing import Any, Generic, TypeVar, overload

from pytest_import_isolation.fakes.fake_modules import Fake
from pytest_import_isolation.machinery.modules import ABSENT
from pytest_import_isolation.state.changes import Changes
from pytest_import_isolation.window.context import IsolatedImportContext, run_inside

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])
_Fake = TypeVar("_Fake")


def missing_modules(*patterns: str, distributions: bool = False) -> IsolatedImportContext:
    """Return a context, usable as a decorator too, in which modules behave as not installed.

    Args:
        patterns: module names, which cover their submodules, or globs.
        distributions: whether importlib.metadata does not know either the distributions that deliver them.

    Raises:
        PatternError: a pattern can match no module.
    """
    return IsolatedImportContext(missing=patterns, distributions=distributions)


class FakeModuleContext(Generic[_Fake]):
    """What :func:`fake_module` returns: a context manager that gives the fake, and a decorator.

    Args:
        name: the module.
        fake: what it is made of.
    """

    def __init__(self, name: str, fake: Fake) -> None:
        self._name = name
        self._context = IsolatedImportContext(fakes={name: fake})

    def start(self) -> _Fake:
        """Plant the fake.

        Returns:
            What stands in ``sys.modules`` now.
        """
        self._context.start()
        return self._context.window.placed[self._name]  # type: ignore[return-value]

    def stop(self) -> Changes:
        """Take the fake away, and all that was imported meanwhile; see :class:`IsolatedImportContext`."""
        return self._context.stop()

    def __enter__(self) -> _Fake:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._context.__exit__(kind, error, traceback)

    def __call__(self, decorated: _Decorated) -> _Decorated:
        """Run a function, coroutine function or every test method of a class with the fake in place."""
        return run_inside(self, decorated, "fake_module")


@overload
def fake_module(
    name: str,
    content: Mapping[str, object] | str = ...,
    /,
    *,
    autospec: bool = ...,
    strict: bool = ...,
    **attributes: object,
) -> FakeModuleContext[ModuleType]: ...


@overload
def fake_module(name: str, content: _Fake, /) -> FakeModuleContext[_Fake]: ...


def fake_module(
    name: str,
    content: object = ABSENT,
    /,
    *,
    autospec: bool = False,
    strict: bool = True,
    **attributes: object,
) -> FakeModuleContext[Any]:
    """Return a context, usable as a decorator too, in which a module is a fake.

    The fake is a real module with a spec and a loader: ``importlib.util.find_spec`` finds it and
    ``importlib.reload`` fills it anew. Packages above it are the real ones, or made as needed.

    Args:
        name: the absolute name of the module.
        content: a mapping of attributes, source text, or any object, which is entered as it is.
        autospec: build from the real module what is not given: functions and classes become autospecs of
            :func:`unittest.mock.create_autospec`, and a name that the real module lacks raises
            AttributeError. The real module is executed for that if it is not loaded, and not left loaded.
        strict: raise AttributeError for an attribute that was not given; else a ``MagicMock`` springs into
            being.
        attributes: what else the fake holds.

    Raises:
        PatternError: the name can be no module's.
        ParameterError: an object was given together with attributes, ``autospec`` or ``strict``.
    """
    return FakeModuleContext(name, Fake(content, attributes, autospec, strict))
