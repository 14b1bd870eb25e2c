"""From files to findings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from pytest_import_isolation.lint.across_files import clashes
from pytest_import_isolation.lint.at_collection import attributes, fakes, rebound, removals
from pytest_import_isolation.lint.comments import is_accepted
from pytest_import_isolation.lint.events import IMPORT, PATCH, candidates_of
from pytest_import_isolation.lint.findings import Finding, Located, Problem
from pytest_import_isolation.lint.in_tests import evicted, lenient_removals, not_undone, stale_attributes
from pytest_import_isolation.lint.project import Project
from pytest_import_isolation.lint.scopes import Scope
from pytest_import_isolation.lint.sources import Source, UnreadableError
from pytest_import_isolation.lint.test_files import HELPER, find_files
from pytest_import_isolation.lint.traces import Trace, trace_body, trace_functions
from pytest_import_isolation.machinery.named_tuples import NamedTuple

_FOR_BODIES: Final = (fakes, removals, rebound, attributes, stale_attributes, evicted, lenient_removals)
_FOR_FUNCTIONS: Final = (not_undone, rebound, stale_attributes, evicted, lenient_removals)


class Result(NamedTuple):
    """What linting gives."""

    #: By file, line and rule.
    findings: tuple[Finding, ...]
    problems: tuple[Problem, ...]
    #: The files that were read, as findings name them.
    files: frozenset[str]


def lint(paths: Iterable[str], root: str) -> Result:
    """Lint files and folders.

    Args:
        paths: what to lint.
        root: the folder relative to which findings name files.

    Raises:
        ParameterError: a path does not exist.
    """
    return _Linter(find_files(paths), root).result()


class _Linter:
    def __init__(self, files: dict[str, str], root: str) -> None:
        self._bodies: dict[Source, Trace] = {}
        self._problems: dict[str, Problem] = {}
        self._project = Project(files, root, self._load)

    def _load(self, source: Source) -> Scope:
        self._body(source)
        return source.scope

    def _body(self, source: Source) -> Trace:
        if source not in self._bodies:
            self._bodies[source] = Trace(source, None, ())  # while it is executed
            self._bodies[source] = body = trace_body(source)
            source.imported |= {
                name
                for event in body.events
                if event.kind == IMPORT and not any(guard.kind == PATCH for guard in event.guards)
                for base in event.names
                for name in candidates_of(event, base)
            }
        return self._bodies[source]

    def result(self) -> Result:
        """Lint everything."""
        sources = list(self._project.worth_parsing())
        found = [one for source in sources for one in self._lint(source)]
        bodies = [self._bodies[source] for source in sources if source in self._bodies]
        found += clashes(body for body in bodies if body.source.role != HELPER)
        known = {source.name for source in self._project.sources.values()}
        lines = {source.name: source.lines for source in sources if source.name not in self._problems}
        findings = {one.finding for one in found if one.finding.file in known and not is_accepted(one, lines)}
        return Result(
            tuple(_nearest(sorted(findings))),
            tuple(self._problems.values()),
            frozenset(known),
        )

    def _lint(self, source: Source) -> list[Located]:
        try:
            body = self._body(source)
            if source.role == HELPER and not self._is_imported(source):
                return []
            traces = [(body, _FOR_BODIES), *((trace, _FOR_FUNCTIONS) for trace in trace_functions(source))]
            return [one for trace, rules in traces for rule in rules for one in rule(trace)]
        except UnreadableError as error:
            self._problems[source.name] = Problem(source.name, error.line, error.reason)
        except RecursionError:
            self._problems[source.name] = Problem(source.name, 1, "it is nested too deeply")
        return []

    def _is_imported(self, source: Source) -> bool:
        """Tell whether a test file or a conftest imports a helper by its name."""
        return self._project.is_imported(source)


def _nearest(findings: list[Finding]) -> Iterator[Finding]:
    """Leave out what is told twice of one place, with another severity or message: the worst is kept."""
    seen: set[tuple[str, int, int, str, str]] = set()
    order = {"error": 0, "warning": 1, "info": 2}
    for finding in sorted(findings, key=lambda one: (*one[:4], one.name, order[one.severity])):
        key = (finding.file, finding.line, finding.column, finding.rule, finding.name)
        if key not in seen:
            seen.add(key)
            yield finding
