"""Sections that are added to the report of a failure, and how the terminal shows them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_import_isolation.machinery.regexes import regex

if TYPE_CHECKING:
    from pytest_import_isolation.report.lines import Line

#: A title and a text.
Section = tuple[str, str]

#: What the titles of all sections begin with, and what those say that are the most likely reason.
_TITLES: Final = ("import leaks", "import isolation", "modules that were ")
_LIKELY: Final = "import leaks:"
#: An attribute of the report of a test whose process died: whether no other test had run in that process.
RAN_ALONE: Final = "_import_isolation_ran_alone"
_INDENT: Final = "    "
#: The terminal's categories of what passed, which has no section of ours: setups and teardowns, and tests.
_PASSED: Final = ("", "passed")
#: A line that says what is in the place of something, after its name.
_STATE: Final = regex(r"[^\s:]+: \S")
#: How the styles of the report look.
MARKUP: Final[dict[str, dict[str, bool]]] = {
    "error": {"red": True, "bold": True},
    "warning": {"yellow": True},
    "good": {"green": True},
    "advice": {"cyan": True},
}


def add_section(report: pytest.TestReport | pytest.CollectReport, title: str, text: str) -> None:
    """Add a section to the failure itself, where that takes one: other sections may be switched off.

    A failure that says the same already is left as it is, however another plugin has put that.

    Args:
        report: of a test or file that failed.
        title: the heading.
        text: what it says.
    """
    if any(section[:2] == (title, text) for section in sections_in(report)) or text in report.longreprtext:
        return
    add = getattr(report.longrepr, "addsection", None)
    if add is not None:
        add(title, text, "-")
    else:  # a collection error is a plain text, and --show-capture=no hides what is added beside it
        report.sections.append((title, text))


def sections_in(report: pytest.TestReport | pytest.CollectReport) -> list[tuple[str, ...]]:
    """Return the sections of a report and of the failure in it."""
    return [*getattr(report.longrepr, "sections", ()), *report.sections]


def has_section(report: pytest.TestReport | pytest.CollectReport, titles: Collection[str]) -> bool:
    """Tell whether a report has a section of one of some titles.

    Args:
        report: of a test or file that failed.
        titles: the headings.
    """
    if any(section[0] in titles for section in sections_in(report)):
        return True
    # Of a failure in another process, or one that another plugin has changed, there may be but the text.
    text = report.longreprtext
    return any(f"- {title} -" in text for title in titles)


def may_be_expected(item: pytest.Item, call: pytest.CallInfo[Any]) -> bool:
    """Tell whether pytest may still take a failure for an expected one.

    Args:
        item: the test that failed.
        call: of the phase that failed.
    """
    error = None if call.excinfo is None else call.excinfo.value
    return issubclass(type(error), pytest.xfail.Exception) or item.get_closest_marker("xfail") is not None


class SectionStyle:
    """Wraps and colours the sections for the terminal; files get them as they are."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> Generator[None, object, object]:
        """Give the sections their colours while the failures are printed."""
        writer = getattr(terminalreporter, "_tw", None)
        if writer is None:  # that of another pytest
            return (yield)
        undo = []
        for sections in _sections_of(terminalreporter):
            for at, (title, text, *more) in enumerate(sections):
                if title.startswith(_TITLES):
                    undo.append((sections, at, sections[at]))
                    styled = style(text, writer.fullwidth, writer.markup, is_likely=title.startswith(_LIKELY))
                    sections[at] = (title, styled, *more)
        try:
            return (yield)
        finally:
            for sections, at, before in undo:
                sections[at] = before


def _sections_of(terminalreporter: pytest.TerminalReporter) -> Iterator[list[tuple[str, ...]]]:
    told = (reports for category, reports in terminalreporter.stats.items() if category not in _PASSED)
    for reports in [*told]:
        for report in reports:
            for owner in (getattr(report, "longrepr", None), report):
                sections = getattr(owner, "sections", None)
                if type(sections) is list:
                    yield sections


def style(text: str, width: int, markup: Callable[..., str], *, is_likely: bool) -> str:
    """Return the text of a section, wrapped and coloured.

    Args:
        text: what it says.
        width: of the terminal.
        markup: colours a text, or leaves it as it is.
        is_likely: whether it is the most likely reason of the failure.
    """
    from pytest_import_isolation.report.lines import wrapped  # this module is loaded without the report, too

    return "\n".join(
        markup(part.text, **MARKUP.get(part.style, {}))
        for line in _styled(text, "error" if is_likely else "warning")
        for part in wrapped(line, width, _INDENT * (2 if line.text.startswith(_INDENT) else 1))
    )


def _styled(text: str, state: str) -> Iterator[Line]:
    from pytest_import_isolation.report.lines import Line

    is_advice = False
    for line in text.split("\n"):
        is_fact = line.startswith(_INDENT)
        if _STATE.match(line):
            yield Line(line, state)
        else:
            yield Line(line, "advice" if is_advice and is_fact else "")
        if not is_fact:
            is_advice = line.endswith(":")
