"""What a failing test or file is told of the leaks that it met."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from pytest_import_isolation.machinery.modules import ABSENT, home_of, namespace
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.report.advice import FOR_TESTS
from pytest_import_isolation.report.records import MODULE_KINDS, Exposure, Leak
from pytest_import_isolation.report.seen_from import Relocate, leaks_seen_from
from pytest_import_isolation.state.origins import describe, describe_beside
from pytest_import_isolation.state.submodule_attributes import bound_value
from pytest_import_isolation.wording import count, listing, plain

TITLE: Final = "import leaks: something imported here had been changed"
#: Where neither the traceback nor the error touches what had been changed.
SOFT_TITLE: Final = "import leaks that may matter: something imported here had been changed"
GUARD_TITLE: Final = "modules that were loaded before"
EXECUTED_TITLE: Final = "modules that were executed before"

#: How many leaks are explained, the others being named.
_FULL: Final = 2
#: How many modules that were loaded, or executed, before a failing test are told.
_MOST_LOADED: Final = 3
_NAMES: Final = 6
_UNTOUCHED: Final = "Neither the traceback nor the error touches what had been changed."
_WORDS: Final = (
    "The words are explained at https://github.com/pytest-import-isolation/pytest-import-isolation/blob/main/"
    "docs/reference/glossary.md"
)
_CONTAIN: Final = "--isolate-imports=file"
_CONTAIN_IN_FILE: Final = "--isolate-imports=test"
_MOST_HOLDINGS: Final = 3
#: Kinds of which what is in ``sys.modules`` says all; the sentence of any other kind is told.
_SAID_BY_THE_STATE: Final = frozenset(
    ("fake-left", "removed", "blocked-left", "evicted", "replaced", "stale-attribute", "twice-loaded")
)


class Met(NamedTuple):
    """A leak, and how a failing test or file met it."""

    leak: Leak
    exposure: Exposure
    #: Whether it is a test, and its file or class met the leak when it was collected.
    through_file: bool
    #: What stands in ``sys.modules``, and on the package above it, at the moment of the failure.
    state: str
    #: Whether the failure touches it: its traceback passes through the module, uses it, or names it.
    touched: bool = False
    #: How many tests and files met it that failed.
    failures: int = 0
    #: If it outlasts the test that left it where each is isolated: whether it ends with the file.
    ends_with_file: bool | None = None

    def seen_from(self, relocate: Relocate | None) -> Met:
        """Return the same with other paths."""
        if relocate is None:
            return self
        (leak,) = leaks_seen_from([self.leak], relocate)
        return self._replace(leak=leak, exposure=self.exposure._replace(file=relocate(self.exposure.file)))


def state_of(name: str) -> str:
    """Say what an import of a module gives at this moment."""
    entry = sys.modules.get(name, ABSENT)
    said = f"sys.modules[{name!r}] is {describe(entry)}"
    if "." not in name:
        return said
    bound = bound_value(name)
    if bound is entry:
        return said
    return f"{said}, and {name!r} as an attribute of its package is {describe_beside(bound, entry)}"


def old_objects(name: str, holders: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[str]:
    """Yield what is held of another execution of a module than the one that is loaded.

    Args:
        name: the module.
        holders: names of modules with their namespaces.
    """
    now = namespace(sys.modules.get(name)) or {}
    for holder, space in holders:
        for key, value in list(space.items()):
            home = home_of(value)
            if home is not None and home[0] == name and now.get(home[1], value) is not value:
                yield f"{holder}.{key}"


def state_with_holdings(name: str, holders: Iterable[tuple[str, dict[str, Any]]]) -> str:
    """Return :func:`state_of`, and after it what is held of an older execution."""
    held = list(old_objects(name, holders))
    if not held:
        return state_of(name)
    return f"{state_of(name)}; {listing(held, _MOST_HOLDINGS)} came from another execution of it"


def title_of(met: Sequence[Met]) -> str:
    """Return the title of the section."""
    return TITLE if any(one.touched for one in met) else SOFT_TITLE


def hint(met: Sequence[Met]) -> str:
    """Return the text of the section.

    Args:
        met: the leaks that were met; those that the failure touches come first.
    """
    # What it imported itself comes before what its file imported, the fake before what took it over.
    ordered = sorted(
        met,
        key=lambda one: (
            not one.touched,
            one.through_file,
            one.leak.kind == "tainted",
            -one.failures,
        ),
    )
    lines: list[str] = [] if ordered[0].touched else [_UNTOUCHED]
    for leak, exposure, _, state, *_ in ordered[:_FULL]:
        is_module = leak.kind in MODULE_KINDS
        lines += [
            f"{leak.name}: {state}." if is_module else f"{leak.name}: {leak.detail}",
            f"    {leak.kind} by {leak.polluter.nodeid} ({leak.polluter.phase}){_place(leak)}",
            f"    imported here at {exposure.file}:{exposure.line}",
        ]
        lines += [f"    {leak.detail}"] if is_module and leak.kind not in _SAID_BY_THE_STATE else []
    told = {one.leak.name for one in ordered[:_FULL]}
    names = list(dict.fromkeys(one.leak.name for one in ordered[_FULL:] if one.leak.name not in told))
    if names:
        lines.append(f"... and {count(len(names), 'more leaked name')}: {listing(names, _NAMES)}")
    how = _containing(ordered[0])
    lines.append(
        "To cure it:"
        if how is None
        else f"To contain it, run pytest with {how}, or change the file that left it:"
    )
    lines += [f"    {ordered[0].leak.advice}", _WORDS]
    return "\n".join(map(plain, lines))


def _containing(met: Met) -> str | None:
    """Return the option with which a test does not meet a leak any more; None if there is none."""
    leak, polluter, nodeid = met.leak, met.leak.polluter.nodeid, met.exposure.nodeid
    if leak.kind == "name-clash" and _CONTAIN not in leak.advice:
        return None  # packages of one name clash there too
    if leak.kind == "tainted" and leak.advice == FOR_TESTS["tainted-by-variable"].format(name=leak.name):
        return None  # a module that is executed anew reads the variable anew
    # Nothing isolates a test from itself, or from what is there for the whole run.
    if polluter in ("", nodeid) or met.ends_with_file is False:
        return None
    if polluter.partition("::")[0] != nodeid.partition("::")[0]:
        return _CONTAIN
    # What a fixture of the file leaves, say, stays until the last test of the file.
    return _CONTAIN_IN_FILE if met.ends_with_file is None else None


def guard_hint(loaded: Sequence[Leak], users: Sequence[str] = ()) -> str:
    """Return the text for a test that asserts that modules are not loaded, and comes too late.

    Args:
        loaded: the records of their first imports.
        users: loaded first-party modules that refer to them: to import these again loads nothing.
    """
    told = loaded[:_MOST_LOADED]
    lines = [_first_import(leak, "imported") + "." for leak in told]
    if users:
        verbs, them = ("refers to it and was", "it") if len(users) == 1 else ("refer to it and were", "them")
        lines.append(
            f"{listing(users, _MOST_LOADED)} {verbs} executed before, so that importing {them} again proves "
            "nothing. To execute first-party modules anew, mark the test:"
        )
        lines.append('    @pytest.mark.isolated_imports(unloaded="*")')
    else:
        lines.append("To test as if nobody had imported it yet, mark the test:")
        lines.append(f"    @pytest.mark.isolated_imports(unloaded={_names(told)})")
    return "\n".join(map(plain, lines))


def executed_hint(executed: Sequence[Leak]) -> str:
    """Return the text for a test that imports modules which were executed before.

    Args:
        executed: the records of their first imports.
    """
    told = executed[:_MOST_LOADED]
    lines = [f"{_first_import(leak, 'executed')}; to import it again executes nothing." for leak in told]
    more = len(executed) - len(told)
    lines += [f"... and {count(more, 'more module')}"] if more else []
    lines.append("If the test needs what that did, such as a registration, have it executed anew:")
    lines.append(f"    @pytest.mark.isolated_imports(fresh={_names(told)})")
    return "\n".join(map(plain, lines))


def _first_import(leak: Leak, verb: str) -> str:
    by = leak.polluter.nodeid or "the test run"
    how = f"first {verb}" if leak.kind == "loaded" else "left there"
    return f"{leak.name} was {how} by {by} ({leak.polluter.phase}){_place(leak)}"


def _names(leaks: Sequence[Leak]) -> str:
    names = ", ".join(f'"{leak.name}"' for leak in leaks)
    return names if len(leaks) == 1 else f"[{names}]"


def _place(leak: Leak) -> str:
    if leak.location is None:
        return ""
    probably = "" if leak.location.exact else "probably "
    return f", {probably}at {leak.location.file}:{leak.location.line}"
