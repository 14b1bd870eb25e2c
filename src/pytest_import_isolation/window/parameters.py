"""The parameters of a window, parsed once at the border, for the context and for the marker alike."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final, Protocol

from pytest_import_isolation.errors import ParameterError
from pytest_import_isolation.fakes.fake_modules import check_fake
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.patterns import Patterns, check_module_name
from pytest_import_isolation.wording import suggestion

#: The parameters in the order of the signature.
NAMES: Final = (
    "fresh", "unloaded", "missing", "fakes", "path", "keep", "distributions", "finders", "path_hooks"
)  # fmt: skip


class Finder(Protocol):
    """What may stand in ``sys.meta_path``: an object, or a class with a class method."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = ..., /
    ) -> ModuleSpec | None:
        """Return the spec of a module, or None."""
        ...


class Parameters(NamedTuple):
    """What shall be different inside a window."""

    fresh: Patterns
    unloaded: Patterns
    missing: Patterns
    fakes: Mapping[str, object]
    path: tuple[str, ...]
    keep: Patterns
    distributions: bool
    finders: tuple[object, ...]
    path_hooks: tuple[object, ...]

    def __bool__(self) -> bool:
        """Whether anything is to be different."""
        return any(self)

    @classmethod
    def parse(cls, who: str, given: Mapping[str, Any], others: Sequence[str] = ()) -> Parameters:
        """Check and parse parameters.

        Args:
            who: what they were given to, for the messages.
            given: values by parameter name; those not given are empty.
            others: names of what else it takes, parsed elsewhere.

        Raises:
            ParameterError: a parameter does not exist or is of an unusable type.
            PatternError: a pattern or module name cannot mean anything.
        """
        for name in given:
            if name not in NAMES:
                names = (*NAMES, *others)
                raise ParameterError(
                    f"{who} has no parameter {name!r}{suggestion(name, names)}; it takes {', '.join(names)}"
                )
        fresh, keep = (Patterns(given.get(name, ()), f"{who}: {name}") for name in ("fresh", "keep"))
        text = contradiction(fresh, keep)
        if text:
            raise ParameterError(f"{who}: {text}")
        return cls(
            fresh=fresh,
            unloaded=Patterns(given.get("unloaded", ()), f"{who}: unloaded"),
            missing=Patterns(given.get("missing", ()), f"{who}: missing"),
            fakes=check_fakes(given.get("fakes"), f"{who}: fakes"),
            path=check_path(given.get("path", ()), f"{who}: path"),
            keep=keep,
            distributions=_check_distributions(given, who),
            finders=_check_finders(given.get("finders", ()), f"{who}: finders"),
            path_hooks=_check_hooks(given.get("path_hooks", ()), f"{who}: path_hooks"),
        )

    def under(self, outer: Parameters) -> Parameters:
        """Return these parameters combined with those of an enclosing scope.

        Patterns add up; for a name that both fake, the nearer fake wins; the nearer path entries, finders and
        hooks go first.
        """
        return Parameters(
            fresh=self.fresh + outer.fresh,
            unloaded=self.unloaded + outer.unloaded,
            missing=self.missing + outer.missing,
            fakes={**outer.fakes, **self.fakes},
            path=(*self.path, *(entry for entry in outer.path if entry not in self.path)),
            keep=self.keep + outer.keep,
            distributions=self.distributions or outer.distributions,
            finders=_joined(self.finders, outer.finders),
            path_hooks=_joined(self.path_hooks, outer.path_hooks),
        )


def contradiction(fresh: Patterns, keep: Patterns) -> str | None:
    """Say that all that a pattern wants to be executed anew is to be kept; None if that is not so.

    A part of it may be kept: that comes back as it is.
    """
    for pattern in fresh:
        kept = pattern if pattern in keep.texts else keep.match(pattern)
        if kept:
            return (
                f"fresh={pattern!r} and keep={kept!r} contradict each other: what is kept, there or by "
                "import_isolation_keep, is not executed anew. Keep the smallest module that can be executed "
                "only once, or leave one of the two out"
            )
    return None


def check_fakes(fakes: object, who: str) -> dict[str, object]:
    """Return the fakes as a dictionary of module names.

    Raises:
        ParameterError: not a mapping, or of a value no fake can be made.
        PatternError: a key is no module name.
    """
    if fakes is None:
        return {}
    if not isinstance(fakes, Mapping):
        raise ParameterError(
            f"{who}: expected a mapping of module names to fakes, such as {{'boto3': {{'client': ...}}}}, "
            f"not {type(fakes).__name__} ({fakes!r})"
        )
    return {check_module_name(name, who): check_fake(name, fake, who) for name, fake in fakes.items()}


def _joined(nearer: tuple[object, ...], outer: tuple[object, ...]) -> tuple[object, ...]:
    return (*nearer, *(item for item in outer if not any(item is other for other in nearer)))


def _check_distributions(given: Mapping[str, Any], who: str) -> bool:
    value = given.get("distributions", False)
    if type(value) is not bool:
        raise ParameterError(
            f"{who}: distributions is True or False, not {value!r}; the plugin finds the "
            "distributions that deliver the modules of missing="
        )
    return value


def _check_finders(finders: object, who: str) -> tuple[object, ...]:
    given = _items(finders, who, "meta path finders")
    for finder in given:
        # As importlib asks it: a class with a class method is a finder too.
        if not callable(getattr(finder, "find_spec", None)):
            raise ParameterError(
                f"{who}: {finder!r} is no meta path finder: it has no method find_spec(name, path, target)"
            )
    return given


def _check_hooks(hooks: object, who: str) -> tuple[object, ...]:
    given = _items(hooks, who, "path hooks")
    for hook in given:
        if not callable(hook):
            raise ParameterError(
                f"{who}: {hook!r} is no path hook: that is called with an entry of sys.path, and returns a "
                "finder for it or raises ImportError"
            )
    return given


def _items(given: object, who: str, what: str) -> tuple[object, ...]:
    try:
        return tuple(given)  # type: ignore[arg-type]
    except TypeError:
        raise ParameterError(f"{who}: expected a list of {what}, not {given!r}") from None


def check_path(path: object, who: str) -> tuple[str, ...]:
    """Return path entries as strings, as they are: an entry need not be a directory.

    Raises:
        ParameterError: not a path or an iterable of paths.
    """
    if isinstance(path, (str, os.PathLike)):
        path = (path,)
    try:
        return tuple(os.fsdecode(entry) for entry in path)  # type: ignore[attr-defined]
    except TypeError:
        raise ParameterError(f"{who}: expected a path or a list of paths, not {path!r}") from None


#: As most windows have it.
NOTHING_ASKED: Final = Parameters.parse("", {})
