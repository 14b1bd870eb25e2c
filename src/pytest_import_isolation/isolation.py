"""IsolatedImportContext: the one primitive that the fixtures and the marker are doors to."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, NoReturn, TypeVar, Union

from pytest_import_isolation.changes import Changes
from pytest_import_isolation.errors import ParameterError, WindowOrderError
from pytest_import_isolation.machinery import Importer
from pytest_import_isolation.origins import Origins
from pytest_import_isolation.parameters import Parameters, check_fakes, check_path
from pytest_import_isolation.patterns import Patterns
from pytest_import_isolation.window import Window

#: An entry of ``sys.path``, as it is given.
Entry = Union[str, "os.PathLike[str]"]

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


class IsolatedImportContext:
    """Undo what a block does to the import system, exactly and safely.

    A context manager, a decorator for functions, coroutine functions and test classes, and a pair of
    methods, :meth:`start` and :meth:`stop`. When the block is over, ``sys.modules``, ``sys.path``,
    ``sys.meta_path``, ``sys.path_hooks``, ``sys.path_importer_cache``, ``builtins.__import__`` and the
    attributes that bind submodules to packages hold what they held before, and are the same objects. Of
    the modules that were loaded in the block, first-party ones and fakes are *forgotten* (the next import
    executes them anew), foreign ones are *parked* (the next import gives the same object), and those that
    must stay are *kept*; :attr:`changes` says which and why.

    Args:
        fresh: patterns of modules that are executed anew on their next import; the old copies come back
            at the end.
        unloaded: patterns of modules that are absent at the beginning and can be imported as ever, as if
            nobody had imported them yet. ``"*"`` gives the state of a cold start.
        missing: patterns of modules that behave as if they were not installed.
        fakes: maps module names to modules, to mappings of attributes, or to any object.
        path: entries put before ``sys.path``.
        keep: patterns of modules that stay loaded at the end.

    A pattern is a dotted name, which covers its submodules too, or a glob.

    Raises:
        ParameterError: a parameter does not exist or is of an unusable type.
        PatternError: a pattern or module name cannot mean anything.
    """

    #: What messages call a window of this class.
    _title = "IsolatedImportContext"

    def __init__(
        self,
        fresh: str | Iterable[str] = (),
        unloaded: str | Iterable[str] = (),
        missing: str | Iterable[str] = (),
        fakes: Mapping[str, object] | None = None,
        path: Entry | Iterable[Entry] = (),
        keep: str | Iterable[str] = (),
        **misspelt: NoReturn,
    ) -> None:
        """Check the parameters; nothing is changed before the block is entered."""
        given = {
            "fresh": fresh,
            "unloaded": unloaded,
            "missing": missing,
            "fakes": fakes,
            "path": path,
            "keep": keep,
        }
        self._parameters = Parameters.parse(self._title, {**given, **misspelt})
        self._origins = Origins.usual()
        self._windows: list[Window] = []
        #: What the last block that ended undid, and what it kept and why.
        self.changes: Changes = Changes()

    def start(self) -> IsolatedImportContext:
        """Open a window.

        Returns:
            This context.

        Raises:
            ExtensionModuleError: ``fresh`` covers an extension module.
        """
        window = Window(self._parameters, self._origins, self.reason_to_stay, self._title)
        window.open()
        self._windows.append(window)
        return self

    def stop(self) -> Changes:
        """Close the window that :meth:`start` opened last.

        Returns:
            The changes, as in :attr:`changes`.

        Raises:
            WindowOrderError: the context is not started, or a window inside it is still open. Nothing
                was changed then.
        """
        window = self.window
        self.changes = window.close()
        self._windows.pop()
        return self.changes

    def __enter__(self) -> IsolatedImportContext:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def __call__(self, decorated: _Decorated) -> _Decorated:
        """Run a function, coroutine function or every test method of a class in a window of its own."""
        if isinstance(decorated, type):
            for name, value in list(vars(decorated).items()):
                if name.startswith("test") and callable(value):
                    setattr(decorated, name, self(value))
            return decorated
        import inspect

        if inspect.isasyncgenfunction(decorated) or inspect.isgeneratorfunction(decorated):
            raise ParameterError(
                f"{self._title} cannot decorate the generator {decorated.__qualname__}(): its body does not "
                "run when it is called; use a with statement inside"
            )
        if inspect.iscoroutinefunction(decorated):

            @functools.wraps(decorated)
            async def isolated(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return await decorated(*args, **kwargs)

        else:

            @functools.wraps(decorated)
            def isolated(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return decorated(*args, **kwargs)

        return isolated  # type: ignore[return-value]

    # Changing a running window

    def unload(self, *patterns: str) -> None:
        """Let modules be absent from now on, importable as ever (as ``unloaded=``)."""
        self.window.unload(Patterns(patterns, "unload"))

    def refresh(self, *patterns: str) -> None:
        """Let modules be executed anew on their next import (as ``fresh=``).

        Raises:
            ExtensionModuleError: an extension module is among them.
        """
        self.window.refresh(Patterns(patterns, "refresh"))

    def block(self, *patterns: str) -> None:
        """Let modules behave as not installed from now on (as ``missing=``)."""
        self.window.block(Patterns(patterns, "block"))

    def fake(self, fakes: Mapping[str, object]) -> dict[str, object]:
        """Plant fakes (as ``fakes=``).

        Returns:
            What stands in ``sys.modules`` now under each name.
        """
        return self.window.fake(check_fakes(fakes, "fake"))

    def add_path(self, *entries: Entry) -> None:
        """Put entries before ``sys.path`` (as ``path=``)."""
        self.window.add_path(check_path(entries, "add_path"))

    @property
    def window(self) -> Window:
        """The window that is open now.

        Raises:
            WindowOrderError: none is.
        """
        if not self._windows:
            raise WindowOrderError(
                f"this {self._title} is not open: use it as a context manager, or call start() first"
            )
        return self._windows[-1]

    def reason_to_stay(self, name: str, module: object, importer: Importer | None) -> str | None:
        """Give a reason to keep a module that the window loaded; for subclasses."""
        return None
