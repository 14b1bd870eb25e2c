"""The reference says all that there is, and nothing that is not: messages, options, parameters, kinds, effects."""

from __future__ import annotations

import ast
import inspect
import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest

import pytest_import_isolation
from pytest_import_isolation import errors, plugin
from pytest_import_isolation.__main__ import main
from pytest_import_isolation.machinery.modules import ABSENT
from pytest_import_isolation.report.records import KINDS
from pytest_import_isolation.tracing import entries as traceentries
from pytest_import_isolation.window.parameters import NAMES

_ROOT = Path(__file__).parents[2]
_SOURCES = sorted((_ROOT / "src").rglob("*.py"))
_ERRORS = {name for name in vars(errors) if name.endswith(("Error", "Warning"))} | {
    "UsageError",
    "AssertionError",
}


def _page(name: str) -> str:
    return (_ROOT / "docs" / "reference" / f"{name}.md").read_text(encoding="utf-8")


def _first_column(text: str) -> Iterator[str]:
    """Yield what stands as code in the first column of the tables."""
    for row in re.findall(r"^\| (`.*?`) \|", text, re.MULTILINE):
        yield from re.findall(r"`([^`]+)`", row)


def _template(node: ast.AST) -> str | None:
    """Return a string of the source with ``…`` for what is put in, None if it is something else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.replace("{}", "…")
    if isinstance(node, ast.JoinedStr):
        return "".join(_template(part) or "…" for part in node.values)
    return None


def _raised() -> Iterator[tuple[str, str]]:
    """Yield file and line with the text of each error that is made."""
    for file in _SOURCES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args:
                name = (
                    node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                )
                text = node.args[0]
                for part in (text.body, text.orelse) if isinstance(text, ast.IfExp) else (text,):
                    template = _template(part) if name in _ERRORS else None
                    if template is not None and re.search(r"\w{2}", template):
                        yield f"{file.name}:{node.lineno}", template


_MESSAGES = list(_first_column(_page("messages")))
_STRINGS = [
    template
    for file in _SOURCES
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    if (template := _template(node)) is not None
]


@pytest.mark.parametrize("message", _MESSAGES)
def test_a_message_of_the_page_is_in_the_source(message: str) -> None:
    assert any(message in text for text in _STRINGS)


def test_the_page_has_each_message_once_and_every_error_is_on_it() -> None:
    assert len(_MESSAGES) == len(set(_MESSAGES))
    assert len(list(_raised())) > 50  # they are found
    untold = [
        (place, template) for place, template in _raised() if not any(told in template for told in _MESSAGES)
    ]
    assert untold == []


def test_the_pages_have_all_options_and_ini_keys_parameters_and_kinds() -> None:
    source = (_ROOT / "src/pytest_import_isolation/plugin/options.py").read_text(encoding="utf-8")
    known = set(re.findall(r'addoption\(\s*"(--[\w-]+)', source)) | set(
        re.findall(r'addini\(\s*"(\w+)', source)
    )
    table = _page("options").partition("\n## ")[0]
    told = set(re.findall(r"`(--(?:import|isolate)-[a-z-]+)|`(\w+)` \|", table))
    assert {option or key for option, key in told} - {"", "test", "false", "undo"} == known
    assert tuple(_first_column(_page("marker").partition("## Patterns")[0])) == NAMES
    rows = re.findall(r"^\| ((?:`[a-z-]+`(?:, )?)+) \| (error|warning|info)\b", _page("kinds"), re.MULTILINE)
    severities = {kind: severity for kinds, severity in rows for kind in re.findall(r"`([a-z-]+)`", kinds)}
    assert severities == {kind: record.severity for kind, record in KINDS.items()}


def test_the_page_of_the_interface_has_all_public_names() -> None:
    documented = set(re.findall(r"^\.\. auto\w+:: (\w+)", _page("api"), re.MULTILINE))
    assert set(pytest_import_isolation.__all__) <= documented
    assert documented <= set(pytest_import_isolation.__all__) | set(vars(errors)) | {
        "ModuleChange",
        "ItemChange",
        "ImportEdge",
        "BrokenModule",
    }


def test_the_pages_have_all_fixtures_with_the_signatures_of_their_functions() -> None:
    names = [name for name in plugin.__all__ if name != "isolated_imports"]
    rows = re.findall(r"^\| \[?`(\w+)`", _page("fixtures").partition("\n## ")[0], re.MULTILINE)
    assert sorted(rows) == sorted(plugin.__all__)
    text = _page("fixtures") + _page("tracing") + _page("circular-imports")
    for name in names:
        parameters = inspect.signature(getattr(pytest_import_isolation, name)).parameters.values()
        if name == "trace_imports":
            continue  # those of the context
        bare = [
            one.replace(annotation=one.empty, default=one.empty if one.default is ABSENT else one.default)
            for one in parameters
        ]
        assert f"`{name}{inspect.Signature(bare)}`".replace("'1.0'", '"1.0"') in text


def test_the_page_about_traces_has_all_fields_and_outcomes_of_an_entry() -> None:
    page = _page("tracing")
    for field in traceentries.TracedImport._fields:
        assert f"`{field}`" in page, field
    outcomes = {
        value for name, value in vars(traceentries).items() if name.isupper() and isinstance(value, str)
    }
    assert set(_first_column(page.partition("| `how` |")[2].partition("\n\n")[0])) == outcomes


def test_the_page_of_kinds_has_all_side_effects() -> None:
    calls = [
        node.args[0]
        for file in _SOURCES
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Effect"
    ]
    names = {name for name in map(_template, calls) if name}
    told = [re.sub(r"NAME|CLASS|SIGTERM", "…", name) for name in _first_column(_page("kinds"))]
    assert len(names) > 10
    untold = [name for name in names if not any(_fits(one, name) or _fits(name, one) for one in told)]
    assert untold == []


def _fits(template: str, text: str) -> bool:
    return re.fullmatch(re.escape(template).replace("…", ".+"), text) is not None


def test_the_page_of_the_commands_has_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    known = re.findall(r"^    ([a-z]+) ", capsys.readouterr().out, re.MULTILINE)
    assert re.findall(r"^## `([a-z]+)`", _page("commands"), re.MULTILINE) == known


def test_each_word_of_the_glossary_is_in_its_index_and_has_an_example() -> None:
    index, *words = re.split(r"^### ", _page("glossary"), flags=re.MULTILINE)
    titles = [word.partition("\n")[0] for word in words]
    assert sorted(re.findall(r"\[([\w -]+)\]\(#", index)) == sorted(title.lower() for title in titles)
    without = [
        title for title, word in zip(titles, words, strict=True) if "```" not in word.partition("\n## ")[0]
    ]
    assert without == []


def test_the_page_of_other_plugins_has_those_that_are_tried_and_how() -> None:
    tried = runpy.run_path(str(_ROOT / ".ci" / "neighbours" / "run.py"))["NEIGHBOURS"]
    _, *rows = re.findall(r"^\| (.*) \|$", _page("neighbours"), re.MULTILINE)
    cells = [row.split(" | ") for row in rows]
    assert [(name, use) for name, _, _, use, *_ in cells] == [(one.name, one.use) for one in tried]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", day) for *_, day in cells)


def test_the_links_of_the_readme_lead_somewhere() -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", (_ROOT / "README.md").read_text(encoding="utf-8"))
    assert targets
    assert [target for target in targets if not (_ROOT / target).exists()] == []
