"""What code changes in the process beside the import system, as far as it can be seen cheaply.

No window undoes any of it. Nothing is imported in order to look at it: what was never loaded was not changed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from operator import eq, is_
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, Final, NamedTuple, TypeVar

from pytest_import_isolation.machinery.modules import namespace, top_level
from pytest_import_isolation.wording import listing

_T = TypeVar("_T")

# What these packages put anywhere is the test run's own doing, and nobody's effect.
_RUNNERS: Final = frozenset(
    ("_pytest", "pytest", "pluggy", "xdist", "execnet", "coverage", "pytest_import_isolation")
)
_RUNNERS_VARIABLES: Final = (
    "PYTEST_CURRENT_TEST",
    "PYTEST_VERSION",
    "PYTEST_XDIST_",
    "COV_CORE_",
    "COVERAGE_",
)
_HOOKS: Final = ("excepthook", "displayhook", "unraisablehook", "breakpointhook")
_STREAMS: Final = ("stdin", "stdout", "stderr")
_MOST_LOGGERS: Final = 5
_MOST_CATEGORIES: Final = 3
_THREADS: Final = "threads"


class Effect(NamedTuple):
    """One change: the name of what was changed, and a sentence. It never holds a variable's value."""

    name: str
    sentence: str


class _Variables(dict[Any, Any]):
    """A copy of the environment that does not show its values, which may be secrets."""

    def __repr__(self) -> str:
        return f"<{len(self)} environment variables>"


class _Logging(NamedTuple):
    #: For each logger that has handlers: the identities and classes of these.
    handlers: dict[str, tuple[tuple[int, type], ...]]
    disabled: frozenset[str]
    level: object
    #: What ``logging.disable()`` set.
    manager: object


class _Thread(NamedTuple):
    # Its identity only: a thread must not live longer because somebody looks at it.
    identity: int
    name: str
    daemon: bool
    kind: type
    #: Names what it runs, if that is no method of its class, and the module where that stands.
    runs: str
    home: str

    @property
    def effect(self) -> Effect:
        """What there is to tell about it."""
        what = f"thread {self.name!r}" + (f" of {self.runs}" if self.runs else "")
        if self.daemon:
            return Effect(_THREADS, f"The daemon {what} is still running.")
        return Effect(_THREADS, f"The {what} is still running, and the process waits for it at exit.")


class _LazyImports(NamedTuple):
    """What decides which imports are lazy (PEP 810, from Python 3.15 on)."""

    mode: str
    filter: object
    #: The identity of ``sys.lazy_modules``, and whether it is empty. Each lazy import adds to it: no effect.
    names: int
    is_empty: bool


class Effects(NamedTuple):
    """The side effects of code, at one moment. A member is None if it could not be seen."""

    #: The identity and class of ``os.environ``; the object would show all values.
    environ: tuple[int, type]
    variables: _Variables | None
    directory: str | None
    #: The number of functions that run at exit, without the one of ``weakref.finalize``.
    at_exit: int | None
    filters: tuple[Any, ...] | None
    logging: _Logging | None
    signals: tuple[object, ...] | None
    threads: frozenset[_Thread] | None
    hooks: tuple[object, ...]
    tracers: tuple[object, ...]
    reducers: dict[Any, Any] | None
    locale: str | None
    policy: type | None
    start_method: str | None
    lazy_imports: _LazyImports | None

    @classmethod
    def capture(cls) -> Effects:
        """Look at all of it."""
        return cls(
            (id(os.environ), type(os.environ)),
            _seen(_variables),
            _seen(os.getcwd),
            _seen(_at_exit),
            _seen(_filters),
            _seen(_logging),
            _seen(_signals),
            _seen(_threads),
            _hooks(),
            (sys.gettrace(), sys.getprofile()),
            _seen(_reducers),
            _seen(_locale),
            _seen(_policy),
            _seen(_start_method),
            _seen(_lazy_imports),
        )

    def differences(self, after: Effects) -> list[Effect]:
        """Tell what changed until a later moment.

        Args:
            after: what was captured then.

        Returns:
            The changes, without what the test run itself does. A thread that ended is none.
        """
        found: list[Effect] = []
        for old, new, same, tell in zip(self, after, _SAME, _TELLERS, strict=True):
            if old is None or new is None:
                continue
            try:
                if not same(old, new):
                    found += tell(old, new)
            except Exception:
                continue  # what was put there may compare itself with nothing
        return found


def is_thread(effect: Effect) -> bool:
    """Tell whether an effect is a thread, which may be about to end by itself."""
    return effect.name == _THREADS


# Looking


def _seen(look: Callable[[], _T | None]) -> _T | None:
    """Return what can be seen, or None: other code may have put anything anywhere."""
    try:
        return look()
    except Exception:
        return None


def _space(name: str) -> dict[str, Any]:
    return namespace(sys.modules.get(name)) or {}


def _variables() -> _Variables | None:
    # Its own dictionary of bytes: copying that one decodes nothing.
    data = getattr(os.environ, "_data", os.environ)
    return _Variables(data) if isinstance(data, dict) else None


def _at_exit() -> int:
    number: int = _space("atexit")["_ncallbacks"]()
    # Registers itself when the first finalizer is made, be it by a temporary directory.
    return number - bool(_space("weakref")["finalize"]._registered_with_atexit)


def _filters() -> tuple[Any, ...]:
    return tuple(_space("warnings")["filters"])


def _logging() -> _Logging | None:
    space = _space("logging")
    if not space:
        return None
    root, placeholder = space["root"], space["PlaceHolder"]
    # Most loggers have neither: there may be hundreds, and this is the slowest part of the look.
    told = [
        (name, logger)
        for name, logger in list(root.manager.loggerDict.items())
        if type(logger) is not placeholder and (logger.handlers or logger.disabled)
    ]
    handlers = {name: _handlers(logger) for name, logger in [("root", root), *told]}
    disabled = frozenset([name for name, logger in told if logger.disabled])
    return _Logging(handlers, disabled, root.level, root.manager.disable)


def _handlers(logger: Any) -> tuple[tuple[int, type], ...]:
    return tuple([(id(handler), type(handler)) for handler in logger.handlers])


@cache
def _signal_numbers() -> dict[str, int]:
    numbers: dict[int, str] = {}
    for name, number in _space("_signal").items():
        if name.startswith("SIG") and not name.startswith("SIG_") and isinstance(number, int):
            numbers.setdefault(number, name)
    return {name: number for number, name in numbers.items()}


def _signals() -> tuple[object, ...]:
    return tuple(map(_space("_signal")["getsignal"], _signal_numbers().values()))


def _threads() -> frozenset[_Thread]:
    return frozenset(
        [
            _Thread(id(thread), thread.name, thread.daemon, type(thread), *_task(thread))
            for thread in _space("threading")["enumerate"]()
        ]
    )


def _task(thread: Any) -> tuple[str, str]:
    target = thread.__dict__.get("_target")  # none if its class has a run()
    return ("", _home(thread)) if target is None else (describe(target), _home(target))


def _hooks() -> tuple[object, ...]:
    space, builtins = sys.__dict__, _space("builtins")
    return (
        *map(space.get, _HOOKS),
        _space("threading").get("excepthook"),
        builtins.get("open"),
        builtins.get("__import__"),
        *map(space.get, _STREAMS),
    )


_HOOK_NAMES: Final = (
    *(f"sys.{name}" for name in _HOOKS),
    "threading.excepthook",
    "builtins.open",
    "builtins.__import__",
    *(f"sys.{name}" for name in _STREAMS),
)
# The test run itself puts these on and off at any time.
_SWAPPED: Final = frozenset(("builtins.__import__", *(f"sys.{name}" for name in _STREAMS)))


def _reducers() -> dict[Any, Any]:
    return dict(_space("copyreg")["dispatch_table"])


def _locale() -> str:
    space = _space("_locale")
    current: str = space["setlocale"](space["LC_ALL"], None)
    return current


def _policy() -> type | None:
    """Return the class of asyncio's policy; the default one counts before it is made, at its first use."""
    events = _space("asyncio.events")
    if not events:
        return None
    policy = events["_event_loop_policy"]
    return _default_policy() if policy is None else type(policy)


def _default_policy() -> type | None:
    space = _space("asyncio")
    default = space.get("DefaultEventLoopPolicy") or space.get("_DefaultEventLoopPolicy")
    return default if isinstance(default, type) else None


def _start_method() -> str | None:
    context = _space("multiprocessing.context").get("_default_context")
    if context is None:
        return None
    own = context.__dict__
    name: str = (own["_actual_context"] or own["_default_context"])._name
    return name


def _lazy_imports() -> _LazyImports | None:
    get_mode, get_filter = map(sys.__dict__.get, ("get_lazy_imports", "get_lazy_imports_filter"))
    if get_mode is None or get_filter is None:
        return None
    names = sys.__dict__.get("lazy_modules")
    return _LazyImports(get_mode(), get_filter(), id(names), not names)


# Telling


def _tell_environ(old: tuple[int, type], new: tuple[int, type]) -> Iterator[Effect]:
    now, then = _name_of(new[1]), _name_of(old[1])
    yield Effect("os.environ", f"os.environ is another object, of {now}; it was one of {then}.")


def _tell_variables(old: Mapping[Any, Any], new: Mapping[Any, Any]) -> Iterator[Effect]:
    for key in sorted({*old, *new}, key=str):
        name = os.fsdecode(key) if isinstance(key, (str, bytes)) else repr(key)
        if old.get(key) == new.get(key) or name.startswith(_RUNNERS_VARIABLES):
            continue
        verb = "set" if key not in old else "removed" if key not in new else "changed"
        yield Effect(f"os.environ:{name}", f"The environment variable {name} was {verb}.")


def _tell_directory(old: str, new: str) -> Iterator[Effect]:
    yield Effect("cwd", f"The working directory is {new}; it was {old}.")


def _tell_at_exit(old: int, new: int) -> Iterator[Effect]:
    more = "more" if new > old else "less"
    for _ in range(abs(new - old)):
        yield Effect("atexit", f"One function {more} will run at exit.")


def _tell_filters(old: tuple[Any, ...], new: tuple[Any, ...]) -> Iterator[Effect]:
    added = [item for item in new if item not in old]
    removed = [item for item in old if item not in new]
    for item in added:
        yield Effect("warnings.filters", f"The filter {_filter_text(item)} was added.")
    for item in removed:
        yield Effect("warnings.filters", f"The filter {_filter_text(item)} was removed.")
    if not added and not removed:
        yield Effect("warnings.filters", "The filters were put into another order.")


def _filter_text(item: Any) -> str:
    action, message, category, module, line = item
    parts = [str(getattr(part, "pattern", part) or "") for part in (message, module)]
    text = ":".join((str(action), parts[0], _name_of(category), parts[1], str(line or "")))
    return f"'{text.rstrip(':')}'"


def _tell_logging(old: _Logging, new: _Logging) -> Iterator[Effect]:
    for name in sorted({*old.handlers, *new.handlers}):
        earlier, later = old.handlers.get(name, ()), new.handlers.get(name, ())
        if earlier != later:
            yield from _tell_handlers(name, earlier, later)
    for names, what in (
        (new.disabled - old.disabled, "disabled"),
        (old.disabled - new.disabled, "enabled again"),
    ):
        if names:
            text = listing(sorted(names), _MOST_LOGGERS)
            yield Effect(
                "logging",
                f"{len(names)} loggers were {what}: {text}."
                if len(names) > 1
                else f"The logger {text} was {what}.",
            )
    if old.level != new.level:
        yield Effect(
            "logging:root",
            f"The level of the root logger is {_level(new.level)}; it was {_level(old.level)}.",
        )
    if old.manager != new.manager:
        yield Effect(
            "logging", f"logging.disable() is at {_level(new.manager)}; it was at {_level(old.manager)}."
        )


def _tell_handlers(
    name: str, old: tuple[tuple[int, type], ...], new: tuple[tuple[int, type], ...]
) -> Iterator[Effect]:
    for one, other, what in ((new, old, "added to"), (old, new, "removed from")):
        for handler in one:
            kind = handler[1]
            if handler not in other and not _is_runners(kind) and kind.__name__ != "NullHandler":
                yield Effect(f"logging:{name}", f"A {_name_of(kind)} was {what} the logger {name}.")


def _level(level: object) -> str:
    names = _space("logging").get("_levelToName") or {}
    return str(names.get(level, level))


def _originals() -> tuple[object, ...]:
    """Return what the hooks are at the start, in their order; None where nobody keeps it."""
    return (
        *(sys.__dict__.get(f"__{name}__") for name in _HOOKS),
        _space("threading").get("__excepthook__"),
        _space("_io").get("open"),
        *(None for _ in _SWAPPED),
    )


def _tell_signals(old: tuple[object, ...], new: tuple[object, ...]) -> Iterator[Effect]:
    for name, earlier, later in zip(_signal_numbers(), old, new, strict=True):
        if earlier is later or earlier is None or later is None or _is_runners(later):
            continue
        if _is_runners(earlier) and isinstance(later, int):  # it took its handler away
            continue
        text = f"The handler of {name} is {_handler(later)}; it was {_handler(earlier)}."
        yield Effect(f"signal:{name}", text)


def _handler(handler: object) -> str:
    if isinstance(handler, int):
        return {0: "SIG_DFL", 1: "SIG_IGN"}.get(handler, str(handler))
    return describe(handler)


def _tell_threads(old: frozenset[_Thread], new: frozenset[_Thread]) -> Iterator[Effect]:
    for thread in sorted(new - old, key=lambda thread: thread.name):
        # A dummy stands for a thread that Python did not start; it is never taken away.
        if thread.kind.__name__ == "_DummyThread" or _is_runners(thread.kind):
            continue
        yield thread.effect


def _tell_hooks(old: tuple[object, ...], new: tuple[object, ...]) -> Iterator[Effect]:
    for name, earlier, later, original in zip(_HOOK_NAMES, old, new, _originals(), strict=True):
        if earlier is later or _is_runners(later):
            continue
        if not _is_runners(earlier) or (name not in _SWAPPED and later is not original):
            now, then = (
                "the interpreter's own" if hook is original else describe(hook) for hook in (later, earlier)
            )
            yield Effect(name, f"{name} is {now}; it was {then}.")


def _tell_tracers(old: tuple[object, ...], new: tuple[object, ...]) -> Iterator[Effect]:
    for name, earlier, later in zip(("settrace", "setprofile"), old, new, strict=True):
        if (earlier is None) is (later is None) or (later is not None and _is_runners(later)):
            continue
        if later is None:
            yield Effect(f"sys.{name}", f"sys.{name}() took {describe(earlier)} away.")
        else:
            yield Effect(f"sys.{name}", f"sys.{name}() is at {describe(later)}.")


def _tell_reducers(old: Mapping[Any, Any], new: Mapping[Any, Any]) -> Iterator[Effect]:
    for kind in [*new, *(kind for kind in old if kind not in new)]:
        earlier, later = old.get(kind), new.get(kind)
        if earlier is later:
            continue
        name = _name_of(kind)
        if later is None:
            text = f"Objects of {name} are no longer pickled with {describe(earlier)}."
        else:
            text = f"Objects of {name} are pickled with {describe(later)}."
        yield Effect(f"copyreg:{name}", text)


def _tell_locale(old: str, new: str) -> Iterator[Effect]:
    earlier, later = _categories(old), _categories(new)
    if len(earlier) != len(later):  # one of them is the same in all categories
        earlier = earlier if len(earlier) > 1 else dict.fromkeys(later, old)
        later = later if len(later) > 1 else dict.fromkeys(earlier, new)
    changed = [key for key in later if later[key] != earlier.get(key)]
    now, then = (
        listing([key + of.get(key, "") for key in changed], _MOST_CATEGORIES) for of in (later, earlier)
    )
    yield Effect("locale", f"The locale is {now}; it was {then}.")


def _categories(text: str) -> dict[str, str]:
    """Take ``LC_CTYPE=C.UTF-8;LC_NUMERIC=C`` apart; what is the same in all categories is one value."""
    if ";" not in text:
        return {"": text}
    pairs = (part.partition("=") for part in text.split(";"))
    return {name + sign: value for name, sign, value in pairs}


def _tell_policy(old: type, new: type) -> Iterator[Effect]:
    if not _is_runners(new) and not (_is_runners(old) and new is _default_policy()):
        text = f"The event loop policy of asyncio is {_name_of(new)}; it was {_name_of(old)}."
        yield Effect("asyncio.policy", text)


def _tell_start_method(old: str, new: str) -> Iterator[Effect]:
    text = f"The start method of multiprocessing is {new}; it was {old}."
    yield Effect("multiprocessing.start_method", text)


def _tell_lazy_imports(old: _LazyImports, new: _LazyImports) -> Iterator[Effect]:
    if old.mode != new.mode:
        text = f"The mode of lazy imports is {new.mode!r}; it was {old.mode!r}."
        yield Effect("sys.set_lazy_imports", text)
    if old.filter is not new.filter:
        text = f"The filter of lazy imports is {describe(new.filter)}; it was {describe(old.filter)}."
        yield Effect("sys.set_lazy_imports_filter", text)
    if old.names != new.names:
        yield Effect("sys.lazy_modules", "sys.lazy_modules is another object.")
    elif new.is_empty and not old.is_empty:
        yield Effect("sys.lazy_modules", "sys.lazy_modules was emptied.")


def _same_objects(old: tuple[object, ...], new: tuple[object, ...]) -> bool:
    return all(map(is_, old, new))  # what was put there may compare itself with anything


#: How each member is compared, and told if it differs; in the order of the members.
_MEMBERS: Final[Mapping[str, tuple[Callable[[Any, Any], bool], Callable[[Any, Any], Iterator[Effect]]]]] = {
    "environ": (eq, _tell_environ),
    "variables": (eq, _tell_variables),
    "directory": (eq, _tell_directory),
    "at_exit": (eq, _tell_at_exit),
    "filters": (eq, _tell_filters),
    "logging": (eq, _tell_logging),
    "signals": (_same_objects, _tell_signals),
    "threads": (eq, _tell_threads),
    "hooks": (_same_objects, _tell_hooks),
    "tracers": (_same_objects, _tell_tracers),
    "reducers": (eq, _tell_reducers),
    "locale": (eq, _tell_locale),
    "policy": (is_, _tell_policy),
    "start_method": (eq, _tell_start_method),
    "lazy_imports": (_same_objects, _tell_lazy_imports),
}
_SAME: Final = tuple(same for same, _ in map(_MEMBERS.__getitem__, Effects._fields))
_TELLERS: Final = tuple(tell for _, tell in map(_MEMBERS.__getitem__, Effects._fields))


# Naming, without running code of what is named


def describe(thing: object) -> str:
    """Name a function or class; of anything else, name its class."""
    if thing is None:
        return "None"
    if isinstance(thing, (FunctionType, BuiltinFunctionType, MethodType, type)):
        return _name_of(thing)
    if type(thing) is partial:
        return f"a functools.partial of {describe(thing.func)}"
    name = _name_of(type(thing))
    return f"an object of {name}"


def _name_of(thing: Any) -> str:
    if isinstance(thing, MethodType):
        return _name_of(thing.__func__)
    home, name = _home(thing), getattr(thing, "__qualname__", None)
    if not isinstance(name, str):
        return f"an object of {_name_of(type(thing))}"
    return name if not home or home == "builtins" else f"{home}.{name}"


def _home(thing: Any) -> str:
    """Return the name of the module in which a function or class stands, or the class of anything else."""
    if isinstance(thing, MethodType):
        thing = thing.__func__
    elif type(thing) is partial:
        return _home(thing.func)
    elif not isinstance(thing, (FunctionType, BuiltinFunctionType, type)):
        thing = type(thing)
    home = thing.__module__
    return home if isinstance(home, str) else ""


def _is_runners(thing: object) -> bool:
    package = top_level(_home(thing))
    return package in _RUNNERS or package.startswith("pytest_")
