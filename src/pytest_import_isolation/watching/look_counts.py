"""How often lines and functions are looked at: no longer than it pays."""

from __future__ import annotations

from typing import Final

#: After so many times a line is no longer looked at: it stands in a loop, and every look costs.
_OFTEN: Final = 40
#: After so many looks a function is no longer watched: what it calls, and who calls it, may be.
_TOO_OFTEN: Final = 200
#: So many looks that find something do not count: each takes some hundred times as long as one that does not.
_ENOUGH: Final = 1_000


class LookCounts:
    """Counts the looks at code objects, by their identities.

    A function that changes something is looked at longer, as a fixture is that hundreds of tests have.
    """

    def __init__(self) -> None:
        self._looks: dict[int, int] = {}
        # By code object and line.
        self._times: dict[int, dict[int, int]] = {}
        # How often looks found something, in all and since the last boundary.
        self._finds: dict[int, int] = {}
        self._finds_here: dict[int, int] = {}

    def begin_anew(self) -> None:
        """Take note that another test begins, or another file."""
        if self._finds_here:
            self._finds_here.clear()

    def look(self, code: int) -> None:
        """Count a look."""
        self._looks[code] = self._looks.get(code, 0) + 1

    def find(self, code: int) -> None:
        """Take note that a look found something: until that is often, in one test or in all, none counts."""
        finds = self._finds[code] = self._finds.get(code, 0) + 1
        here = self._finds_here[code] = self._finds_here.get(code, 0) + 1
        if finds < _ENOUGH and here < _OFTEN:
            self._looks[code] = 0
            self._times.pop(code, None)

    def pass_line(self, code: int, line: int) -> bool:
        """Count a line, and return whether it is looked at again."""
        times = self._times.setdefault(code, {})
        times[line] = times.get(line, 0) + 1
        return times[line] < _OFTEN

    def wants_line(self, code: int, line: int) -> bool:
        """Tell whether a line is looked at."""
        return self._times.get(code, {}).get(line, 0) < _OFTEN

    def wants(self, code: int) -> bool:
        """Tell whether a function is watched on."""
        return self._looks[code] < _TOO_OFTEN
