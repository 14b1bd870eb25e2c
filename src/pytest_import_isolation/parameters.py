"""The parameters of a window, parsed once at the border, for the context and for the marker alike."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from pytest_import_isolation.errors import ParameterError
from pytest_import_isolation.patterns import Patterns, check_module_name
from pytest_import_isolation.wording import suggestion

#: The parameters in the order of the signature.
NAMES: Final = ("fresh", "unloaded", "missing", "fakes", "path", "keep")


class Parameters(NamedTuple):
    """What shall be different inside a window."""

    fresh: Patterns
    unloaded: Patterns
    missing: Patterns
    fakes: Mapping[str, object]
    path: tuple[str, ...]
    keep: Patterns

    @classmethod
    def parse(cls, who: str, given: Mapping[str, Any]) -> Parameters:
        """Check and parse parameters.

        Args:
            who: what they were given to, for the messages.
            given: values by parameter name; those not given are empty.

        Raises:
            ParameterError: a parameter does not exist or is of an unusable type.
            PatternError: a pattern or module name cannot mean anything.
        """
        for name in given:
            if name not in NAMES:
                raise ParameterError(
                    f"{who} has no parameter {name!r}{suggestion(name, NAMES)}; it takes {', '.join(NAMES)}"
                )
        return cls(
            fresh=Patterns(given.get("fresh", ()), f"{who}: fresh"),
            unloaded=Patterns(given.get("unloaded", ()), f"{who}: unloaded"),
            missing=Patterns(given.get("missing", ()), f"{who}: missing"),
            fakes=check_fakes(given.get("fakes"), f"{who}: fakes"),
            path=check_path(given.get("path", ()), f"{who}: path"),
            keep=Patterns(given.get("keep", ()), f"{who}: keep"),
        )

    def under(self, outer: Parameters) -> Parameters:
        """Return these parameters combined with those of an enclosing scope.

        Patterns add up; for a name that both fake, the nearer fake wins; the nearer path entries go first.
        """
        return Parameters(
            fresh=self.fresh + outer.fresh,
            unloaded=self.unloaded + outer.unloaded,
            missing=self.missing + outer.missing,
            fakes={**outer.fakes, **self.fakes},
            path=(*self.path, *(entry for entry in outer.path if entry not in self.path)),
            keep=self.keep + outer.keep,
        )


def check_fakes(fakes: object, who: str) -> dict[str, object]:
    """Return the fakes as a dictionary of module names.

    Raises:
        ParameterError: not a mapping, or a value is None.
        PatternError: a key is no module name.
    """
    if fakes is None:
        return {}
    if not isinstance(fakes, Mapping):
        raise ParameterError(
            f"{who}: expected a mapping of module names to fakes, such as {{'boto3': {{'client': ...}}}}, "
            f"not {type(fakes).__name__} ({fakes!r})"
        )
    checked = {check_module_name(name, who): fake for name, fake in fakes.items()}
    for name, fake in checked.items():
        if fake is None:
            raise ParameterError(
                f"{who}: {name!r} is None; to make a module look not installed, use missing={name!r}"
            )
    return checked


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
