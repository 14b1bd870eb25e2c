"""Regular expressions that are compiled when they are used first: a run uses few of them."""

from __future__ import annotations

import re

# By this name, which a test that patches the module leaves alone.
from re import compile as _compile
from typing import TYPE_CHECKING, Any, AnyStr, Final

if TYPE_CHECKING:

    def regex(pattern: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
        """Return a regular expression, as :func:`re.compile` does."""

else:
    _METHODS: Final = ("match", "fullmatch", "search", "finditer", "findall", "split", "sub")

    class regex:  # noqa: N801 - a function for all who use it
        """Stands for a regular expression until one of its methods is asked for."""

        def __init__(self, pattern: AnyStr, flags: int = 0) -> None:
            self._source = pattern, flags

        def __getattr__(self, name: str) -> Any:
            compiled = _compile(*self._source)
            # From now on nobody comes by here.
            vars(self).update((method, getattr(compiled, method)) for method in _METHODS)
            return getattr(compiled, name)
