"""The fixtures. Each is a thin shell over the running context of the test."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from pytest_import_isolation.errors import ImportIsolationError

if TYPE_CHECKING:
    from pytest_import_isolation.window.context import IsolatedImportContext

_Fixture = TypeVar("_Fixture", bound=Callable[..., Any])


def _plainly(function: _Fixture) -> _Fixture:
    """Let a user's mistake end the traceback at the user's line, with what is wrong and nothing of ours."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        try:
            return function(*args, **kwargs)
        except ImportIsolationError as error:
            raise error.with_traceback(None)  # noqa: B904 - it is the same exception

    return call  # type: ignore[return-value]


@pytest.fixture
def isolated_imports(request: pytest.FixtureRequest) -> Iterator[IsolatedImportContext]:
    """Undo after the test what it does to sys.modules, sys.path and the import hooks.

    The value is the running IsolatedImportContext.
    """
    from pytest_import_isolation.plugin import item_windows
    from pytest_import_isolation.plugin.windows import context_key

    running = request.node.stash.get(context_key, None)
    if running is not None:
        yield running
        return
    # Asked for with request.getfixturevalue(): the test has no window yet.
    from pytest_import_isolation.window.parameters import NOTHING_ASKED

    windows = item_windows(request.config)
    context = windows.context(NOTHING_ASKED)
    windows.enter(context)
    request.node.stash[context_key] = context
    yield context
    if request.node.stash.get(context_key, None) is context:
        del request.node.stash[context_key]
        windows.leave(context, request.node.nodeid)


@pytest.fixture
def fresh_import(isolated_imports: IsolatedImportContext) -> Callable[..., ModuleType]:
    """Execute a module anew, fresh_import("myapp.settings"); the old copy comes back after the test.

    Call it as fresh_import(name, *, deep=False, missing=(), fakes=None, env=None).
    """
    from pytest_import_isolation.helpers.fresh import fresh_import

    return _plainly(fresh_import)


@pytest.fixture
def fake_module(isolated_imports: IsolatedImportContext) -> Callable[..., Any]:
    """Fake a module for the rest of the test, fake_module("boto3", client=...), and return the fake.

    Call it as fake_module(name, content, /, *, autospec=False, strict=True, **attributes), where the
    content is a mapping of attributes, source text, or any object.
    """
    from pytest_import_isolation.fakes.fake_modules import Fake
    from pytest_import_isolation.machinery.modules import ABSENT

    def fake(
        name: str,
        content: object = ABSENT,
        /,
        *,
        autospec: bool = False,
        strict: bool = True,
        **attributes: object,
    ) -> object:
        return isolated_imports.fake({name: Fake(content, attributes, autospec, strict)})[name]

    return _plainly(fake)


@pytest.fixture
def missing_modules(isolated_imports: IsolatedImportContext) -> Callable[..., None]:
    """Let modules look as if they were not installed, missing_modules("numpy"), for the rest of the test.

    Call it as missing_modules(*patterns, distributions=False).
    """
    return _plainly(isolated_imports.block)


@pytest.fixture
def make_package(isolated_imports: IsolatedImportContext, tmp_path: Path) -> Callable[..., Path]:
    """Write a package tree that can be imported in the test, make_package({"app/__init__.py": "..."}).

    Call it as make_package({"app/__init__.py": "..."}, *, root=None, zip=False, shadow=False,
    distribution=None, version="1.0", entry_points=None); it returns the directory or archive, which is
    first on sys.path. Calls with the same root add to the same tree.
    """
    from pytest_import_isolation.helpers.packages import put_package

    def make(files: Mapping[str, Any], *, root: str | os.PathLike[str] | None = None, **options: Any) -> Path:
        place = tmp_path / ("packages" if root is None else root)
        return put_package(isolated_imports.window, place, files, **options)

    return _plainly(make)


@pytest.fixture
def assert_no_circular_imports() -> Callable[..., None]:
    """Fail if modules of a package import each other in a circle, assert_no_circular_imports("myapp").

    Call it as assert_no_circular_imports(package, *, allow=(), exhaustive=False).
    """
    from pytest_import_isolation.cycles.search import assert_no_circular_imports

    return _plainly(assert_no_circular_imports)


@pytest.fixture
def trace_imports(isolated_imports: IsolatedImportContext) -> Callable[..., Any]:
    """Record which modules a block loads, with trace_imports() as trace: ...; undone after the test.

    Use it as with trace_imports(unloaded="*") as trace: ..., with the parameters of IsolatedImportContext.
    """
    from pytest_import_isolation.tracing.trace import trace_imports

    return trace_imports


@pytest.fixture
def import_budget() -> Callable[..., Any]:
    """Fail if an import loads too much or takes too long, import_budget("myapp", max_modules=150).

    Call it as import_budget(package, *, max_modules=None, max_ms=None, forbid=(), runs=3, process=None).
    """
    from pytest_import_isolation.tracing.guards import import_budget

    return _plainly(import_budget)


@pytest.fixture
def assert_importable() -> Callable[..., tuple[str, ...]]:
    """Fail if a module of a package cannot be imported on its own, assert_importable("myapp").

    Call it as assert_importable(package, *, missing=(), exclude=(), process=None).
    """
    from pytest_import_isolation.tracing.guards import assert_importable

    return _plainly(assert_importable)
