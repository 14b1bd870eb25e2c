"""The pages of the documentation are run: what they show is what happens.

A file of a page's project is a block of code below its name, `` `tests/test_it.py` ``, or the name of an empty one,
`` `app/__init__.py` (empty)``. A comment before any other block says what it is for:

- ``shell``: commands, run in the directory of the project; after a colon perhaps ``exit 1``, and plugins
- ``shows``: lines that the commands before it print; a line of dots stands for any lines. After a colon perhaps
  the name of a file: what it holds then
- ``elsewhere: FILE``: those tests run it
- ``before``, ``after``: a hand-made form and what takes its place, see the tests of that page
- ``not run: REASON``
"""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests.conftest import TAKES_LONG

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

_DOCS = Path(__file__).parents[2] / "docs"
_PAGES = {page.relative_to(_DOCS).as_posix(): page for page in sorted(_DOCS.rglob("*.md"))}
_BLOCK = re.compile(
    r"^`(?P<empty>[\w./-]+)` \(empty\)$"
    r"|(?:^`(?P<file>[\w./-]+)`\n\n|^<!-- (?P<kind>\w[\w ]*?)(?:: (?P<argument>.+?))? -->\n\n)?"
    r"^```(?P<language>[^\n{]+)\n(?P<text>.*?)^```$",
    re.S | re.M,
)
_KINDS = ("file", "shell", "shows", "elsewhere", "before", "after", "not run")
#: What differs from run to run, and from one Python to the next.
_VARYING = (
    (re.compile(r"\d+\.\d+s\b"), "0.00s"),
    (re.compile(r"\d+(?:\.\d+)? ms\b"), "0 ms"),
    (re.compile(r"\(\d+ first imports?\)"), "(0 first imports)"),
    (re.compile(r"\bloads \d+ modules\b"), "loads 0 modules"),
    (re.compile(r"={2,}"), "=="),
)

# Its fixture has the name of one of ours.
_PEER = """\
import pytest
from pytest_missing_modules.plugin import MissingModulesContextGenerator

@pytest.fixture
def missing_modules(monkeypatch):
    return MissingModulesContextGenerator(monkeypatch)
"""


class Block(NamedTuple):
    """A block of code, and what it is for."""

    kind: str
    argument: str
    language: str
    text: str


def _blocks(text: str) -> list[Block]:
    found = []
    for block in _BLOCK.finditer(text):
        parts = block.groupdict(default="")
        file = parts["empty"] or parts["file"]
        kind, argument = ("file", file) if file else (parts["kind"], parts["argument"])
        found.append(Block(kind, argument, parts["language"], parts["text"]))
    return found


def _texts() -> Iterator[tuple[str, str]]:
    for name, page in _PAGES.items():
        yield name, page.read_text(encoding="utf-8")


_TEXTS = dict(_texts())
_STORIES = sorted(name for name, text in _TEXTS.items() if "<!-- shell" in text)
#: What the examples of a page import that is not there everywhere.
_NEEDS = {
    "how-to/xdist.md": "xdist",
    "reference/report-format.md": "jsonschema",
}
#: These show one command after the other, each of which starts pytest.
_WITH_MANY_RUNS = {
    "how-to/blame.md",
    "how-to/heavy-imports.md",
    "how-to/xdist.md",
    "reference/commands.md",
    "reference/glossary.md",
    "reference/lint.md",
}
_NEIGHBOURS = {
    "how-to/django.md": "pytest_django",
    "how-to/fakes-and-fresh-imports.md": "numpy",
}


def _beside(*names: str) -> tuple[pytest.MarkDecorator, ...]:
    return tuple(pytest.mark.neighbours(name) for name in names if name)


def test_every_block_of_every_page_says_what_it_is_for() -> None:
    untold = [
        (name, block.text.partition("\n")[0])
        for name, text in _TEXTS.items()
        for block in _blocks(text)
        if block.kind not in _KINDS or (block.kind in ("file", "not run") and not block.argument)
    ]
    assert untold == []
    # None is overlooked: as many as there are fences, but for directives.
    for name, text in _TEXTS.items():
        blocks = [block for block in _blocks(text) if block.language]
        assert len(blocks) == len(re.findall(r"^```(?![{\s]|$)", text, re.M)), name
    # What is a file or is shown, but belongs to no story, would be run by nothing.
    idle = [
        name
        for name, text in _TEXTS.items()
        if name not in (*_STORIES, "how-to/migrating.md")
        and any(block.kind not in ("not run", "elsewhere") for block in _blocks(text))
    ]
    assert idle == []
    for name, text in _TEXTS.items():
        for block in _blocks(text):
            if block.kind == "elsewhere":
                assert f"docs/{name}" in (Path(__file__).parent / block.argument).read_text(encoding="utf-8")


def _execute(suite: Suite, line: str, plugins: tuple[str, ...]) -> tuple[int, str]:
    program, *arguments = shlex.split(line)
    if program == "rm":
        for name in arguments:
            (suite.root / name).unlink()
        return 0, ""
    if program == "pytest":
        settings = suite.root / "pytest.ini"
        ini = settings.read_text(encoding="utf-8").removeprefix("[pytest]\n") if settings.exists() else ""
        suite.autoloads = True
        run = suite.run({}, *arguments, report=False, plugins=plugins, ini=ini, measured=False)
        return run.status, run.output
    assert (program, arguments[:2]) == ("python", ["-m", "pytest_import_isolation"])
    done = suite.tool(*arguments, env={"PYTHONPATH": suite.python_path})
    return done.returncode, done.stdout + done.stderr


def _evened(text: str, root: Path) -> str:
    text = text.replace(str(root), "/home/me/shop")
    text = re.sub(r"(No module named '[\w.]+')\. Did you mean: '[\w.]+'\?", r"\1", text)  # of Python 3.15
    for pattern, same in _VARYING:
        text = pattern.sub(same, text)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def _is_shown(expected: str, output: str) -> bool:
    """Tell whether an output has these lines one after the other."""
    lines = ("(?:.*\n)*?" if line == "..." else re.escape(f"{line}\n") for line in expected.splitlines())
    return re.search("^" + "".join(lines), output, re.M) is not None


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(
            page,
            marks=[*_beside(_NEIGHBOURS.get(page, "")), *([TAKES_LONG] if page in _WITH_MANY_RUNS else [])],
        )
        for page in _STORIES
    ],
)
def test_what_a_page_does_and_shows_is_what_happens(suite: Suite, page: str) -> None:
    needed = _NEEDS.get(page)
    if needed and importlib.util.find_spec(needed) is None:
        pytest.skip(f"{needed} is not there")
    output = ""
    for block in _blocks(_TEXTS[page]):
        if block.kind == "file":
            suite.write({block.argument: block.text})
        elif block.kind == "shell":
            words = block.argument.replace(",", " ").split()
            status = int(words[1]) if words[:1] == ["exit"] else 0
            plugins = tuple(word for word in words if word != "exit" and not word.isdigit())
            output = ""
            for command in block.text.splitlines():
                done, told = _execute(suite, command, plugins)
                assert done == status, (command, told)
                output += told
        elif block.kind == "shows":
            if block.argument:
                assert (suite.root / block.argument).read_text(encoding="utf-8") == block.text
                continue
            told = _evened(output, suite.root)
            assert _is_shown(_evened(block.text, suite.root), told), f"{block.text}\nis not in\n{told}"


def test_what_is_shown_must_be_there() -> None:
    output = "one\ntwo\nthree\n"
    assert _is_shown("one\ntwo\n", output)
    assert _is_shown("one\n...\nthree\n", output)
    assert not _is_shown("one\nthree\n", output)
    assert not _is_shown("tw\n", output)
    assert not _is_shown("...\nfour\n", output)


# Coming from hand-made isolation


class Section(NamedTuple):
    """A hand-made form and what takes its place."""

    title: str
    before: str
    #: A module without which the old form cannot be tried.
    needs: str
    leaves: list[tuple[str, str]]
    after: str


def _project(text: str) -> dict[str, str]:
    return {block.argument: block.text for block in _blocks(text) if block.kind == "file"}


def _sections(text: str) -> list[Section]:
    found: list[Section] = []
    for part in text.split("\n## ")[1:]:
        blocks = {block.kind: block for block in _blocks(part)}
        [line] = re.findall(r"\*\*Leaves:\*\* (.*)\.", part)
        leaves = re.findall(r"`(\S+)` ([\w.]+)", line)
        before = blocks["before"]
        found.append(
            Section(part.partition("\n")[0], before.text, before.argument, leaves, blocks["after"].text)
        )
    return found


_TEXT = _TEXTS["how-to/migrating.md"]
_SECTIONS = _sections(_TEXT)


def test_the_page_has_a_section_for_each_form() -> None:
    assert len(_SECTIONS) == 6
    assert [len(section.leaves) for section in _SECTIONS] == [2, 1, 1, 0, 1, 1]


@pytest.mark.parametrize(
    "section",
    [
        pytest.param(
            section,
            id=section.title,
            marks=_beside(section.needs, *(name for _, name in section.leaves if name == "numpy")),
        )
        for section in _SECTIONS
    ],
)
def test_the_old_form_leaves_what_the_page_says(suite: Suite, section: Section) -> None:
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
