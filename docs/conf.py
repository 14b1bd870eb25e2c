"""How the documentation is built: ``tox -e docs``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "pytest-import-isolation"
copyright = "the pytest-import-isolation authors"
_SETTINGS = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
version = release = re.findall(r'^version = "(.+)"', _SETTINGS, re.MULTILINE)[0]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"pytest-import-isolation {release}"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
exclude_patterns = ["_build"]

myst_enable_extensions = ["attrs_block"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_type_aliases = {"Entry": "str | os.PathLike"}
napoleon_google_docstring = True
napoleon_numpy_docstring = False

nitpicky = True
# The build asks no other site, so names of the standard library lead nowhere.
nitpick_ignore_regex = [
    ("py:.*", r"(collections|contextlib|importlib|os|pathlib|types|typing|unittest)(\..*)?"),
    (
        "py:.*",
        r"(Any|Callable|Iterable|Iterator|Mapping|NoReturn|Path|ModuleType|PathLike|Sequence|AbstractContextManager)",
    ),
    (
        "py:class",
        r"(.*\.fake_and_missing\.\w+|Entry|Finder)",
    ),  # private, and two aliases that the text explains
    (
        "py:exc",
        r"(AssertionError|AttributeError|ImportError|KeyError|RuntimeError|TypeError|ValueError|UserWarning)",
    ),
]


def _hide_what_takes_misspelt_names(
    app: object, what: str, name: str, obj: object, options: object, signature: str | None, result: str | None
) -> tuple[str | None, str | None]:
    return (signature or "").replace(", **misspelt)", ")") or signature, result


class _WithoutTypes:
    """Keeps napoleon from reading the first line of an attribute, "The statement: file and line", as its type."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def save(self, app: object, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
        self._lines = lines.copy()

    def restore(
        self, app: object, what: str, name: str, obj: object, options: object, lines: list[str]
    ) -> None:
        if what in ("attribute", "data", "property"):
            lines[:] = self._lines


def setup(app: Sphinx) -> None:
    """Connect what changes texts."""
    app.connect("autodoc-process-signature", _hide_what_takes_misspelt_names)
    around = _WithoutTypes()
    app.connect("autodoc-process-docstring", around.save, priority=100)  # napoleon has 500
    app.connect("autodoc-process-docstring", around.restore, priority=900)
