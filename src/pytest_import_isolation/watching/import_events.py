"""Who asks for a module, also for a loaded one: told by ``sys.monitoring``, from Python 3.12 on.

The interpreter answers ``import a`` for a loaded module by itself: no function is called, and no event tells
of it. But there are events for single instructions of chosen code. So all code is looked at when it starts
for the first time. If it holds an import statement that asks for a wanted name, its instructions are told
of; all but those that import are told of only once. A callback is over before the import begins, and nothing
is replaced: ``builtins.__import__`` and the call stack are as without us.

Calls are told of in the same way, in code that names ``__import__``. What is not loaded, a submodule of a
package, and what ``importlib.import_module()`` asks for goes through functions of importlib, whose starts
are told of.
"""

from __future__ import annotations

import builtins
import sys
import weakref
from collections.abc import Callable, Collection, Iterator
from importlib import _bootstrap
from opcode import opmap
from types import CodeType, FrameType
from typing import Any, Final

from pytest_import_isolation.machinery.frames import get_frame
from pytest_import_isolation.machinery.import_bytecode import import_offsets, names_asked_for
from pytest_import_isolation.machinery.modules import namespace, top_level
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.own_errors import belongs_to_others
from pytest_import_isolation.machinery.platform import TOOL, IsOver, is_finalizing
from pytest_import_isolation.machinery.threads import frames_of_other_threads

# Any: it is there from Python 3.12 on. From 3.15 on a lazy import asks later, by no instruction of its own.
_MONITORING: Final[Any] = getattr(sys, "monitoring", None) if sys.version_info < (3, 15) else None
# Lines are watched as one of the others if that is free.
_TOOL_IDS: Final = (5, 3, 4)
_IMPORT: Final = opmap["IMPORT_NAME"]
# What stands in the place of an instruction that somebody else wants to hear of.
_WATCHED: Final = opmap.get("INSTRUMENTED_INSTRUCTION", _IMPORT)
_CALLED: Final = "__import__"


class _Importer(NamedTuple):
    """Code that imports."""

    code: weakref.ref[CodeType]
    #: The names that its statements ask for, by the offsets of the instructions.
    statements: dict[int, tuple[str, ...]]


class ImportEvents:
    """Hears of imports.

    Args:
        wants: tells whether somebody wants to hear of a name.
        told: called with each name that is asked for, in the importing thread.
    """

    def __init__(self, wants: Callable[[str], object], told: Callable[[str], object]) -> None:
        self._wants = wants
        self._told = told
        self._monitoring = _MONITORING
        self._tool: int | None = None
        self._is_listening = False
        # Code that imports, by its identity: equal code of two modules is different code.
        self._importers: dict[int, _Importer] = {}
        # By the first parts of the names that are asked for, and these: the code that asks.
        self._asking: dict[str, dict[str, set[int]]] = {}
        self._calling: dict[int, weakref.ref[CodeType]] = {}
        self._armed: dict[int, weakref.ref[CodeType]] = {}
        self._functions: dict[int, Callable[[FrameType], Iterator[str]]] = {}
        for name, reader in _READERS.items():
            code = getattr(getattr(_bootstrap, name, None), "__code__", None)
            if code is not None:
                self._functions[id(code)] = reader

    def start(self) -> bool:
        """Listen from now on; tell whether that can be."""
        if self._monitoring is None or not self._take_tool():
            return False
        self._is_listening = True
        return True

    def settle(self, within: Collection[str] | None = ()) -> None:
        """Take the tool back if somebody freed it.

        Args:
            within: the first parts of the names that are wanted beside those of before; None if any may be.
        """
        if self._monitoring.get_tool(self._tool) != TOOL:
            self._tool = None
            self._armed.clear()
            within = None
            if not self._take_tool():
                return
        if within is None:
            within = self._asking.copy()
        if within:
            asking = [item for top in within for item in list(self._asking.get(top, {}).items())]
            wanted = set(self._calling).union(*(idents for name, idents in asking if self._wants(name)))
            for ident in wanted.difference(self._armed):
                self._arm(ident)

    def rest(self) -> None:
        """Listen no more, and be ready to: code that imports what was wanted stays marked."""
        self._is_listening = False

    def stop(self) -> None:
        """Give the tool back."""
        self.rest()
        tool, self._tool = self._tool, None
        if tool is not None and self._monitoring.get_tool(tool) == TOOL:  # a test may have freed it
            for reference in list(self._armed.values()):
                code = reference()
                if code is not None:
                    self._monitoring.set_local_events(tool, code, 0)
            self._monitoring.set_events(tool, 0)
            for event in self._callbacks():
                self._monitoring.register_callback(tool, event, None)
            self._monitoring.free_tool_id(tool)
        self._armed.clear()

    def _callbacks(self) -> dict[int, Callable[..., Any]]:
        events = self._monitoring.events
        return {
            events.PY_START: self._on_start,
            events.INSTRUCTION: self._on_instruction,
            events.CALL: self._on_call,
        }

    def _take_tool(self) -> bool:
        monitoring = self._monitoring
        if self._tool is not None and monitoring.get_tool(self._tool) == TOOL:
            return True
        self._tool = next((tool for tool in _TOOL_IDS if monitoring.get_tool(tool) is None), None)
        if self._tool is None:
            return False
        monitoring.use_tool_id(self._tool, TOOL)
        for event, callback in self._callbacks().items():
            monitoring.register_callback(self._tool, event, callback)
        monitoring.set_events(self._tool, monitoring.events.PY_START)
        # What runs already has started before.
        for top in (get_frame(1), *frames_of_other_threads().values()):
            frame: FrameType | None = top
            while frame is not None:
                self._look_at(frame.f_code, frame)
                frame = frame.f_back
        return True

    # Which code imports

    def _look_at(self, code: CodeType, frame: FrameType) -> None:
        ident = id(code)
        if ident not in self._importers:
            # Not co_code, which would be kept with each code object for ever.
            instructions = code._co_code_adaptive[::2]  # type: ignore[attr-defined]
            if _IMPORT in instructions or _WATCHED in instructions:
                self._remember(code, frame)
        if _CALLED in code.co_names and ident not in self._calling:
            self._calling[ident] = weakref.ref(code, lambda _: self._forget(ident))
            if self._is_listening:
                self._arm(ident)

    def _remember(self, code: CodeType, frame: FrameType) -> None:
        ident = id(code)
        package = frame.f_globals.get("__package__")
        package = package if type(package) is str else ""
        statements: dict[int, tuple[str, ...]] = {}
        for offset in import_offsets(code):
            module, names = names_asked_for(code, offset, package)
            statements[offset] = (module, *(f"{module}.{name}" for name in names if name != "*"))
        if not statements:
            return
        self._importers[ident] = _Importer(weakref.ref(code, lambda _: self._forget(ident)), statements)
        names_of_code = {name for names in statements.values() for name in names}
        for name in names_of_code:
            self._asking.setdefault(top_level(name), {}).setdefault(name, set()).add(ident)
        if self._is_listening and any(map(self._wants, names_of_code)):
            self._arm(ident)

    def _forget(self, ident: int) -> None:
        importer = self._importers.pop(ident, None)
        for names in importer.statements.values() if importer else ():
            for name in names:
                top, _, _ = name.partition(".")  # when Python ends, the functions of other modules are gone
                asking = self._asking.get(top, {})
                asking.get(name, set()).discard(ident)
                if not asking.get(name):
                    asking.pop(name, None)
                    if not asking:
                        self._asking.pop(top, None)
        self._calling.pop(ident, None)
        self._armed.pop(ident, None)

    def _arm(self, ident: int) -> None:
        importer, calling = self._importers.get(ident), self._calling.get(ident)
        reference = importer.code if importer else calling
        code = reference() if reference else None
        if reference is None or code is None:
            return
        events = self._monitoring.events
        wanted = (events.INSTRUCTION if importer else 0) | (events.CALL if calling else 0)
        self._monitoring.set_local_events(self._tool, code, wanted)
        self._armed[ident] = reference

    # The events. When Python ends, what a module holds is gone, and what is called must be an argument.

    def _on_start(self, code: CodeType, offset: int, is_over: IsOver = is_finalizing) -> Any:
        if is_over():
            return None
        try:
            reader = self._functions.get(id(code))
            if reader is None:
                self._look_at(code, get_frame(1))
                return self._monitoring.DISABLE
            if self._is_listening:
                for name in reader(get_frame(1)):
                    self._told(name)
        except (RecursionError, MemoryError):
            return None  # without a call: there may be no room for one
        except BaseException as error:
            if belongs_to_others(error):
                raise
        return None

    def _on_instruction(self, code: CodeType, offset: int, is_over: IsOver = is_finalizing) -> Any:
        if is_over():
            return None
        try:
            importer = self._importers.get(id(code))
            names = importer.statements.get(offset) if importer else None
            if names is None:
                return self._monitoring.DISABLE
            for name in names if self._is_listening else ():
                self._told(name)
        except (RecursionError, MemoryError):
            return None
        except BaseException as error:
            if belongs_to_others(error):
                raise
        return None

    def _on_call(
        self, code: CodeType, offset: int, function: object, argument: object, is_over: IsOver = is_finalizing
    ) -> Any:
        if is_over():
            return None
        try:
            if function is not builtins.__import__:
                return self._monitoring.DISABLE
            if self._is_listening and type(argument) is str:
                self._told(argument)
        except (RecursionError, MemoryError):
            return None
        except BaseException as error:
            if belongs_to_others(error):
                raise
        return None


# What the functions of importlib are asked for, read from their frames.


def _name_alone(frame: FrameType) -> Iterator[str]:
    name = frame.f_locals.get("name")
    if type(name) is str:
        yield name


def name_from_package(frame: FrameType) -> Iterator[str]:
    """Yield what ``_gcd_import(name, package, level)``, or who calls that with such variables, asks for."""
    own = frame.f_locals
    name, package, level = own.get("name"), own.get("package"), own.get("level")
    if type(name) is not str:
        return
    name = name.lstrip(".")
    # A relative name is resolved by importlib's own rules, or refused by them.
    if type(level) is int and level > 0 and type(package) is str:
        base = package.rsplit(".", level - 1)[0]
        name = f"{base}.{name}" if name else base
    yield name


def _names_of_list(frame: FrameType) -> Iterator[str]:
    own = frame.f_locals
    module = (namespace(own.get("module")) or {}).get("__name__")
    names = own.get("fromlist")
    if type(module) is str and (type(names) is list or type(names) is tuple):
        yield from (f"{module}.{name}" for name in names if type(name) is str and name != "*")


_READERS: Final = {
    "_find_and_load": _name_alone,
    "_gcd_import": name_from_package,
    "_handle_fromlist": _names_of_list,
}
