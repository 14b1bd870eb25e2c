"""The call stack: who asks for an import, and whose code is running."""

from __future__ import annotations

import builtins
import os
import sys
from collections.abc import Iterator
from importlib import _bootstrap
from importlib.machinery import ExtensionFileLoader, SourceFileLoader
from types import BuiltinFunctionType, FrameType, FunctionType, ModuleType
from typing import Any, Final

from pytest_import_isolation.machinery.import_bytecode import import_of, is_instruction
from pytest_import_isolation.machinery.modules import WRAPPED, namespace, top_level
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.threads import frame_of_main_thread, frames_of_other_threads

#: Kept, because a test may take it away to try what happens without it.
get_frame: Final = sys._getframe
_PACKAGE_DIRECTORY: Final = os.path.dirname(os.path.dirname(__file__)) + os.sep
# A shell around importlib, up to Python 3.11; later ones may have a module of that name.
_IMP_FILE: Final = os.path.join(os.path.dirname(os.__file__), "imp.py")
_IMPORTLIB_FILES: Final = (
    *("<frozen importlib", "<frozen zipimport"),
    *((_IMP_FILE,) if sys.version_info < (3, 12) else ()),
)
_IMPORTLIB_MODULES: Final = ("importlib", "importlib.util")
#: Calls the hooks of pytest: who called that asked for nothing.
HOOK_CALLER: Final = "pluggy._callers"
_MACHINERY_FILES: Final = (*_IMPORTLIB_FILES, _PACKAGE_DIRECTORY)
_FUNCTIONS: Final = (BuiltinFunctionType, FunctionType)
#: Of a code's flags (``co_flags``): its variables are no mapping of the user's, as in the body of a class.
CO_OPTIMIZED: Final = 1
_find_and_load_code = getattr(getattr(_bootstrap, "_find_and_load_unlocked", None), "__code__", None)
_import_code = getattr(getattr(_bootstrap, "_find_and_load", None), "__code__", None)
_find_spec_code = getattr(getattr(_bootstrap, "_find_spec", None), "__code__", None)
_exec_module_code = getattr(SourceFileLoader.exec_module, "__code__", None)
_calling_code = getattr(getattr(_bootstrap, "_call_with_frames_removed", None), "__code__", None)
# In these importlib runs the code of an extension module.
_creating_code = getattr(ExtensionFileLoader.create_module, "__code__", None)
_executing_code = getattr(ExtensionFileLoader.exec_module, "__code__", None)


def loading_frame(name: str) -> FrameType | None:
    """Return the frame in which importlib loads a module for which it asks the finder that calls this.

    ``importlib.util.find_spec`` asks the same finders, and so do other finders that delegate: what counts
    is whether importlib's loading of this very name is on the call stack.

    Returns:
        The frame, None if there is none; that of the finder's caller where importlib is another one.
    """
    frame: FrameType | None = get_frame(1).f_back
    if _find_and_load_code is None or frame is None:
        return frame
    outer = frame.f_back
    if frame.f_code is _find_spec_code and outer is not None and outer.f_code is _find_and_load_code:
        return outer  # nearly always: it asks for nothing else
    for _ in range(16):
        if frame is None:
            break
        if frame.f_code is _find_and_load_code and frame.f_locals.get("name") == name:
            return frame
        frame = frame.f_back
    return None


def extension_asking(loading: FrameType) -> str | None:
    """Return the extension module that asks for another one while it is executed; None for all else.

    Args:
        loading: the frame in which importlib loads what is asked for.
    """
    frame = loading.f_back
    if frame is not None and frame.f_code is _import_code:
        frame = frame.f_back
    if frame is None or frame.f_code is not _calling_code:
        return None
    frame = frame.f_back
    if frame is None or (frame.f_code is not _creating_code and frame.f_code is not _executing_code):
        return None
    loader = frame.f_locals.get("self")
    name = loader.name if type(loader) is ExtensionFileLoader else None
    return name if type(name) is str else None


def module_being_executed() -> ModuleType | None:
    """Return the module that importlib executes and asks the calling function for its code, or None."""
    asking = get_frame(2)
    return asking.f_locals.get("module") if asking.f_code is _exec_module_code else None


class Importer(NamedTuple):
    """Who asked for a module: the first frame outside the import machinery."""

    module: str
    file: str
    line: int


def is_machinery(frame: FrameType) -> bool:
    """Tell whether a frame belongs to importlib or to this package."""
    # import_module() and reload() stand in a file of their own, which nobody means who asks who imported.
    return (
        frame.f_code.co_filename.startswith(_MACHINERY_FILES)
        or frame.f_globals.get("__name__") in _IMPORTLIB_MODULES
    )


def is_importlib(frame: FrameType) -> bool:
    """Tell whether a frame belongs to importlib, and its variables are what they are there."""
    return (
        frame.f_code.co_filename.startswith(_IMPORTLIB_FILES)
        or frame.f_globals.get("__name__") in _IMPORTLIB_MODULES
    )


def calling_frame(within: FrameType | None = None) -> FrameType | None:
    """Return the first frame on the stack that belongs neither to importlib nor to this package.

    Args:
        within: where to begin; the frame of the caller by default.
    """
    frame: FrameType | None = within or get_frame(1)
    if frame is not None and frame.f_code is _import_code:
        frame = frame.f_back  # each import comes through it
    while frame is not None and (
        # is_machinery(), written out: each import goes through some frames.
        frame.f_code.co_filename.startswith(_MACHINERY_FILES)
        or frame.f_globals.get("__name__") in _IMPORTLIB_MODULES
    ):
        frame = frame.f_back
    return frame


def caller() -> Importer | None:
    """Return who called, as :func:`calling_frame` sees it."""
    return importer_at(calling_frame())


def callers() -> Iterator[Importer]:
    """Yield who called, the innermost first, as far as pytest called a hook of its own."""
    return _statements(calling_frame())


def callers_beside() -> Iterator[Importer]:
    """Yield the statements that the main thread executes, if this is another one: it waits, as a rule."""
    return _statements(frame_of_main_thread())


def _statements(frame: FrameType | None) -> Iterator[Importer]:
    while frame is not None and frame.f_globals.get("__name__") != HOOK_CALLER:
        importer = importer_at(frame)
        if importer is not None:
            yield importer
        frame = calling_frame(frame.f_back) if frame.f_back is not None else None


def importer_at(frame: FrameType | None) -> Importer | None:
    """Return the line at which a frame is."""
    if frame is None:
        return None
    name = frame.f_globals.get("__name__")
    # Code that was made by a program may have no lines: None.
    return Importer(name if type(name) is str else "?", frame.f_code.co_filename, frame.f_lineno or 0)


def is_compiled_code_importing(calling: FrameType) -> bool:
    """Tell whether neither a statement nor a function of Python's asks for a module: compiled code does.

    Args:
        calling: what :func:`calling_frame` returns.
    """
    if "__import__" in calling.f_code.co_names:
        return False
    inner: FrameType | None = get_frame(1)
    frame = inner
    while frame is not None and frame.f_code.co_filename.startswith(_MACHINERY_FILES):
        frame = frame.f_back
    if frame is None or import_of(frame.f_code, frame.f_lasti) is not None or is_machinery(frame):
        return False
    if _may_call_import(frame):
        return False
    while inner is not None and inner is not frame:
        if import_of(inner.f_code, inner.f_lasti) is not None:
            return False  # importlib has statements of its own
        inner = inner.f_back
    # A function in the place of __import__ is called by the statement, and passes on what that asks.
    while frame is not None and not is_machinery(frame):
        if is_instruction(frame.f_code, frame.f_lasti, "IMPORT_NAME"):
            return False
        frame = frame.f_back
    return True


def _may_call_import(frame: FrameType) -> bool:
    """Tell whether running code has ``__import__`` in one of its variables."""
    code = frame.f_code
    variables: list[Any] = [frame.f_globals.get(name) for name in code.co_names]
    if code.co_flags & CO_OPTIMIZED:
        local = frame.f_locals
        variables += [local.get(name) for name in (*code.co_varnames, *code.co_freevars)]
    # What this package has put into the place of the function stands for it in variables, too.
    variables += [space[WRAPPED] for found in variables if WRAPPED in (space := namespace(found) or {})]
    return any(
        found is builtins.__import__
        or (any(type(found) is kind for kind in _FUNCTIONS) and found.__name__ == "__import__")
        for found in variables
    )


def modules_in_execution() -> set[str]:
    """Return the names of the modules whose body is running in this thread."""
    names: set[str] = set()
    frame: FrameType | None = get_frame(1)
    while frame is not None:
        if frame.f_code.co_name == "<module>":
            name = frame.f_globals.get("__name__")
            if type(name) is str:
                names.add(name)
        frame = frame.f_back
    return names


def namespaces_on_the_stack() -> dict[int, dict[str, Any]]:
    """Return the global namespaces of all code on the call stack of any thread, by identity."""
    found: dict[int, dict[str, Any]] = {}
    for top in (get_frame(1), *frames_of_other_threads().values()):
        frame: FrameType | None = top
        while frame is not None:
            found[id(frame.f_globals)] = frame.f_globals
            frame = frame.f_back
    return found


def packages_on_the_stack() -> set[str]:
    """Return the top-level packages of all code that is on the call stack of any thread."""
    names = (space.get("__name__") for space in namespaces_on_the_stack().values())
    return {top_level(name) for name in names if type(name) is str}
