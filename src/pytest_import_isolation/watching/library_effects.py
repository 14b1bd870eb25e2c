"""Effects on what the standard library keeps: warnings, logging, copyreg, asyncio and multiprocessing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pytest_import_isolation.machinery.modules import loaded_namespace
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.watching.effect_names import Effect, describe, is_runners, name_of
from pytest_import_isolation.wording import listing

_MOST_LOGGERS: Final = 5


class Logging(NamedTuple):
    """The states of the loggers that have handlers or are disabled."""

    #: For each logger that has handlers: the identities and classes of these.
    handlers: dict[str, tuple[tuple[int, type], ...]]
    disabled: frozenset[str]
    level: object
    #: What ``logging.disable()`` set.
    manager: object


def read_filters() -> tuple[Any, ...]:
    """Return the filters of warnings."""
    return tuple(loaded_namespace("warnings")["filters"])


def tell_filters(old: tuple[Any, ...], new: tuple[Any, ...]) -> Iterator[Effect]:
    """Tell which filters were added and removed."""
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
    text = ":".join((str(action), parts[0], name_of(category), parts[1], str(line or "")))
    return f"'{text.rstrip(':')}'"


def read_logging() -> Logging | None:
    """Return the handlers and states of loggers, or None if logging is not loaded."""
    space = loaded_namespace("logging")
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
    return Logging(handlers, disabled, root.level, root.manager.disable)


def _handlers(logger: Any) -> tuple[tuple[int, type], ...]:
    return tuple([(id(handler), type(handler)) for handler in logger.handlers])


def tell_logging(old: Logging, new: Logging) -> Iterator[Effect]:
    """Tell which handlers were added and removed, which loggers disabled, and which levels set."""
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
            if handler not in other and not is_runners(kind) and kind.__name__ != "NullHandler":
                yield Effect(f"logging:{name}", f"A {name_of(kind)} was {what} the logger {name}.")


def _level(level: object) -> str:
    names = loaded_namespace("logging").get("_levelToName") or {}
    return str(names.get(level, level))


def read_reducers() -> dict[Any, Any]:
    """Return the functions that copyreg pickles with."""
    return dict(loaded_namespace("copyreg")["dispatch_table"])


def tell_reducers(old: Mapping[Any, Any], new: Mapping[Any, Any]) -> Iterator[Effect]:
    """Tell which classes are pickled with something else."""
    for kind in [*new, *(kind for kind in old if kind not in new)]:
        earlier, later = old.get(kind), new.get(kind)
        if earlier is later:
            continue
        name = name_of(kind)
        if later is None:
            text = f"Objects of {name} are no longer pickled with {describe(earlier)}."
        else:
            text = f"Objects of {name} are pickled with {describe(later)}."
        yield Effect(f"copyreg:{name}", text)


def read_policy() -> type | None:
    """Return the class of asyncio's policy; the default one counts before it is made, at its first use."""
    events = loaded_namespace("asyncio.events")
    if not events:
        return None
    policy = events["_event_loop_policy"]
    return _default_policy() if policy is None else type(policy)


def _default_policy() -> type | None:
    # From 3.14 on only the module of the platform has it, under a private name.
    for home in ("asyncio", "asyncio.unix_events", "asyncio.windows_events"):
        space = loaded_namespace(home)
        default = space.get("DefaultEventLoopPolicy") or space.get("_DefaultEventLoopPolicy")
        if issubclass(type(default), type):
            return default
    return None


def tell_policy(old: type, new: type) -> Iterator[Effect]:
    """Tell which event loop policy asyncio has now."""
    if not is_runners(new) and not (is_runners(old) and new is _default_policy()):
        text = f"The event loop policy of asyncio is {name_of(new)}; it was {name_of(old)}."
        yield Effect("asyncio.policy", text)


def read_start_method() -> str | None:
    """Return the start method of multiprocessing, or None if that is not loaded."""
    context = loaded_namespace("multiprocessing.context").get("_default_context")
    if context is None:
        return None
    own = context.__dict__
    name: str = (own["_actual_context"] or own["_default_context"])._name
    return name


def tell_start_method(old: str, new: str) -> Iterator[Effect]:
    """Tell which start method multiprocessing has now."""
    text = f"The start method of multiprocessing is {new}; it was {old}."
    yield Effect("multiprocessing.start_method", text)
