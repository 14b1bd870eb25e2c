"""The pages with examples that are run: what hand-made forms leave, and that ours do what is said."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

_DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(r"<!-- (file|before|after|run)(?:: (\S+))? -->\n\n```python\n(.*?)```", re.S)


# Its fixture has the name of one of ours.
_PEER = """\
import pytest
from pytest_missing_modules.plugin import MissingModulesContextGenerator

@pytest.fixture
def missing_modules(monkeypatch):
    return MissingModulesContextGenerator(monkeypatch)
"""


class Section(NamedTuple):
    """A hand-made form and what takes its place."""

    title: str
    before: str
    #: A module without which the old form cannot be tried.
    needs: str
    leaves: list[tuple[str, str]]
    after: str


def _project(text: str) -> dict[str, str]:
    return {name: source for kind, name, source in _BLOCK.findall(text) if kind == "file"}


def _sections(text: str) -> list[Section]:
    found: list[Section] = []
    for part in text.split("\n## ")[1:]:
        blocks = {kind: (needs, source) for kind, needs, source in _BLOCK.findall(part)}
        [line] = re.findall(r"\*\*Leaves:\*\* (.*)\.", part)
        leaves = re.findall(r"`(\S+)` ([\w.]+)", line)
        needs, before = blocks["before"]
        found.append(Section(part.partition("\n")[0], before, needs, leaves, blocks["after"][1]))
    return found


_TEXT = (_DOCS / "migrating.md").read_text(encoding="utf-8")
_SECTIONS = _sections(_TEXT)


def test_the_page_has_a_section_for_each_form() -> None:
    assert len(_SECTIONS) == 6
    assert [len(section.leaves) for section in _SECTIONS] == [2, 1, 1, 0, 1, 1]


@pytest.mark.parametrize("section", _SECTIONS, ids=lambda section: section.title)
def test_the_old_form_leaves_what_the_page_says(suite: Suite, section: Section) -> None:
    if section.needs and importlib.util.find_spec(section.needs.partition(".")[0]) is None:
        pytest.skip(f"{section.needs} is not there")
    conftest = _PEER if section.needs == "pytest_missing_modules" else ""
    run = suite.run(
        {**_project(_TEXT), "conftest.py": conftest, "test_it.py": section.before},
        measured=False,  # coverage would have loaded some of it
    )
    assert set(run.outcomes) == {"passed"}
    errors = {(leak["kind"], leak["name"]) for leak in run.leaks if leak["severity"] == "error"}
    assert set(section.leaves) <= errors
    assert {kind for kind, _ in errors - set(section.leaves)} <= {"evicted"}  # of a package, all modules


def test_the_new_forms_leave_nothing_in_any_order(suite: Suite) -> None:
    files = {f"test_{number}.py": section.after for number, section in enumerate(_SECTIONS)}
    run = suite.run({**_project(_TEXT), **files}, measured=False)
    assert set(run.outcomes) == {"passed"}
    assert [leak for leak in run.leaks if not leak["contained"]] == []
    reverse = sorted(files, reverse=True)
    run = suite.run({}, *reverse, measured=False)
    assert set(run.outcomes) == {"passed"}
    assert [leak for leak in run.leaks if not leak["contained"]] == []


def test_the_examples_on_fakes_and_fresh_imports_pass_and_leave_nothing(suite: Suite) -> None:
    text = (_DOCS / "fakes-and-fresh-imports.md").read_text(encoding="utf-8")
    examples = [source for kind, _, source in _BLOCK.findall(text) if kind == "run"]
    files = {f"test_{number}.py": source for number, source in enumerate(examples)}
    run = suite.run({**_project(text), **files}, measured=False)
    assert run.outcomes == {"passed": 9, "skipped": 1}
    assert [leak for leak in run.leaks if not leak["contained"]] == []
