"""IsolatedImportContext: the one primitive; the fixtures and the marker are shells over it."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from operator import is_
from types import TracebackType
from typing import Any, Final, NoReturn, TypeVar, Union

from pytest_import_isolation.contents.writers import Writers
from pytest_import_isolation.errors import ImportIsolationWarning, ParameterError, WindowOrderError
from pytest_import_isolation.fakes.refusals import unmatched
from pytest_import_isolation.machinery.frames import Importer, caller
from pytest_import_isolation.patterns import Patterns, check_module_name
from pytest_import_isolation.state.changes import NO_CHANGES, Changes
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.state.snapshot import ImportState
from pytest_import_isolation.window.alterations import apply_parameters, block, fake, refresh, unload
from pytest_import_isolation.window.closing import close_window
from pytest_import_isolation.window.opening import open_window
from pytest_import_isolation.window.parameters import (
    NOTHING_ASKED,
    Finder,
    Parameters,
    check_fakes,
    check_path,
)
from pytest_import_isolation.window.window import Window

#: An entry of ``sys.path``, as it is given.
Entry = Union[str, "os.PathLike[str]"]

_NO_PATTERNS: Final = Patterns()
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
            nobody had imported them yet. ``"*"`` gives the state of a cold start, in which first-party
            modules are executed anew; the old copies come back at the end.
        missing: patterns of modules that behave as if they were not installed.
        fakes: maps module names to modules, to mappings of attributes, or to any object.
        path: entries put before ``sys.path``.
        keep: patterns of modules that stay loaded at the end, and are not executed anew.
        distributions: whether importlib.metadata does not know either the distributions that deliver the
            modules of ``missing``.
        finders: meta path finders that are asked before all others.
        path_hooks: path hooks that are asked before all others.

    A pattern is a dotted name, which covers its submodules too, or a glob.

    Raises:
        ParameterError: a parameter does not exist or is of an unusable type.
        PatternError: a pattern or module name cannot mean anything.
    """

    #: What messages call a window of this class.
    _title = "IsolatedImportContext"
    #: What the last block that ended undid, and what it kept and why.
    changes: Changes

    def __init__(
        self,
        fresh: str | Iterable[str] = (),
        unloaded: str | Iterable[str] = (),
        missing: str | Iterable[str] = (),
        fakes: Mapping[str, object] | None = None,
        path: Entry | Iterable[Entry] = (),
        keep: str | Iterable[str] = (),
        distributions: bool = False,
        finders: Iterable[Finder] = (),
        path_hooks: Iterable[Callable[[str], object]] = (),
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
            "distributions": distributions,
            "finders": finders,
            "path_hooks": path_hooks,
        }
        # Most ask for nothing.
        usual = IsolatedImportContext.__init__.__defaults__ or ()
        asks = misspelt or not all(map(is_, given.values(), usual))
        parameters = Parameters.parse(self._title, {**given, **misspelt}) if asks else NOTHING_ASKED
        self._prepare(parameters, Origins.usual())

    def _prepare(
        self,
        parameters: Parameters,
        origins: Origins,
        site: Importer | None = None,
        always_kept: Patterns = _NO_PATTERNS,
    ) -> None:
        #: Patterns of modules that stay loaded in every window.
        self._always_kept = always_kept
        self._parameters = parameters
        self._origins = origins
        #: The line that the warnings are about; by default the one that opens the window.
        self._site = site
        self._windows: list[Window] = []
        # Tells whose doing a change of contents is; None if contents are left as they are.
        self._writers: Writers | None = Writers.of(origins)
        #: The import state of a moment ago, if it is known.
        self._after: ImportState | None = None
        self.changes = NO_CHANGES

    def start(self) -> IsolatedImportContext:
        """Open a window.

        Returns:
            This context.

        Raises:
            ExtensionModuleError: ``fresh`` covers an extension module.
            NotReplaceableError: ``fresh``, ``missing`` or ``fakes`` name a module that the interpreter or
                pytest cannot do without.
            ImportError: the real module that an autospec needs cannot be imported.
            ImportIsolationWarning: a pattern matches nothing, if warnings are errors.
        """
        window = Window(
            self._parameters,
            self._origins,
            self.reason_to_stay,
            self._title,
            site=self._site,
            always_kept=self._always_kept,
        )
        window.writers = self._writers
        after, self._after = self._after, None
        open_window(window, after)
        if self._parameters:
            try:
                apply_parameters(window)
            except BaseException:
                close_window(window)
                raise
        self._windows.append(window)
        try:
            warn_of(window)
        except ImportIsolationWarning:
            self.stop()
            raise
        return self

    def stop(self) -> Changes:
        """Close the window that :meth:`start` opened last.

        Returns:
            The changes, as in :attr:`changes`.

        Raises:
            WindowOrderError: the context is not started, or a window inside it is still open. Nothing
                was changed then.
        """
        window = self._close()
        warn_of(window)
        return self.changes

    def _close(self) -> Window:
        window = self.window
        self.changes = close_window(window)
        self._windows.pop()
        return window

    def __enter__(self) -> IsolatedImportContext:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.stop()
        else:
            self._close()  # a warning that is an error would take the place of this one

    def __call__(self, decorated: _Decorated) -> _Decorated:
        """Run a function, coroutine function or every test method of a class in a window of its own."""
        return run_inside(self, decorated, self._title)

    # Changing a running window

    def unload(self, *patterns: str) -> None:
        """Let modules be absent from now on, importable as ever (as ``unloaded=``)."""
        parsed = Patterns(patterns, "unload")
        self.window.remark(unmatched(parsed, "unloaded"), caller())
        unload(self.window, parsed)
        warn_of(self.window)

    def refresh(self, *patterns: str) -> None:
        """Let modules be executed anew on their next import (as ``fresh=``).

        Raises:
            ExtensionModuleError: an extension module is among them.
        """
        parsed = Patterns(patterns, "refresh")
        self.window.remark(unmatched(parsed, "fresh"), caller())
        refresh(self.window, parsed)
        warn_of(self.window)

    def block(self, *patterns: str, distributions: bool = False) -> None:
        """Let modules behave as not installed from now on (as ``missing=``).

        Args:
            patterns: the modules.
            distributions: as the parameter of this name.

        Raises:
            NotReplaceableError: the interpreter or pytest cannot do without one of them.
        """
        block(self.window, Patterns(patterns, "block"), distributions=distributions)

    def fake(self, fakes: Mapping[str, object]) -> dict[str, object]:
        """Plant fakes (as ``fakes=``).

        Returns:
            What stands in ``sys.modules`` now under each name.
        """
        return fake(self.window, check_fakes(fakes, "fake"))

    def found_by(self, name: str) -> object:
        """Return the finder that answered the last import of a module in this window.

        In a window with ``finders`` or ``path_hooks`` that was noted during the import. In any other window,
        and for a module that was not imported in it, the finders are asked again.

        Args:
            name: the absolute name of the module.

        Returns:
            An entry of ``sys.meta_path``; for a module that a finder of a path hook found, that finder. None
            if no finder knows the module.
        """
        return self.window.own_items.found_by(check_module_name(name, "found_by"))

    def add_path(self, *entries: Entry) -> None:
        """Put entries before ``sys.path`` (as ``path=``)."""
        self.window.own_items.add_path(check_path(entries, "add_path"))

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


def warn_of(window: Window) -> None:
    """Give the warnings that a window has noted, each at the user's line."""
    while window.remarks:
        message, site = window.remarks.pop(0)
        warnings.warn_explicit(
            message,
            ImportIsolationWarning,
            site.file if site else "<unknown>",
            site.line if site else 0,
            site.module if site else None,
        )


def run_inside(context: AbstractContextManager[object], decorated: _Decorated, title: str) -> _Decorated:
    """Return a function, coroutine function or test class whose every run is inside a context.

    Args:
        context: can be entered again and again.
        decorated: the function or class.
        title: what messages call the context.

    Raises:
        ParameterError: a generator, whose body does not run when it is called.
    """
    if isinstance(decorated, type):
        for name, value in list(vars(decorated).items()):
            if name.startswith("test") and callable(value):
                setattr(decorated, name, run_inside(context, value, title))
        return decorated
    import inspect

    if inspect.isasyncgenfunction(decorated) or inspect.isgeneratorfunction(decorated):
        raise ParameterError(
            f"{title} cannot decorate the generator {decorated.__qualname__}(): its body does not "
            "run when it is called; use a with statement inside"
        )
    if inspect.iscoroutinefunction(decorated):

        @functools.wraps(decorated)
        async def isolated(*args: Any, **kwargs: Any) -> Any:
            with context:
                return await decorated(*args, **kwargs)

    else:

        @functools.wraps(decorated)
        def isolated(*args: Any, **kwargs: Any) -> Any:
            with context:
                return decorated(*args, **kwargs)

    return isolated  # type: ignore[return-value]
