"""Write the table of modules in CONTRIBUTING.md: every module by layer, with the head of its docstring.

Usage: module_map.py [--check]
"""

from __future__ import annotations

import ast
import configparser
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "pytest_import_isolation"
PAGE = ROOT / ".github" / "CONTRIBUTING.md"
BEGIN, END = "<!-- modules: written by .ci/module_map.py -->\n", "<!-- end of modules -->\n"


def idea(file: Path) -> str:
    """Return the first paragraph of a module's docstring; without one there is no table."""
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    if not text:
        sys.exit(f"{file.relative_to(ROOT)}: has no docstring, so nobody can tell what belongs into it")
    return " ".join(text.split("\n\n")[0].split())


def layers() -> list[list[str]]:
    """Return the names beside each other in every layer, the highest layer first."""
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter", encoding="utf-8")
    return [
        [name.strip() for name in line.split("|")]
        for line in contracts["importlinter:contract:layers"]["layers"].split("\n")
        if line.strip()
    ]


def rows() -> list[str]:
    """Return the lines of the table."""
    lines = ["| module | idea |", "|---|---|"]
    files = [SOURCE / "__init__.py"]
    for layer in layers():
        for name in layer:
            place = SOURCE / name
            files += sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    forgotten = set(SOURCE.rglob("*.py")) - set(files)
    if forgotten:
        sys.exit(f"in no layer of .importlinter: {', '.join(sorted(file.name for file in forgotten))}")
    for file in files:
        name = file.relative_to(SOURCE).as_posix()
        lines.append(
            f"| [`{name}`](../src/{SOURCE.name}/{name}) | {idea(file).replace('|', chr(92) + '|')} |"
        )
    return lines


def main() -> None:
    """Write the table, or with ``--check`` fail if it is another one."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not after:
        sys.exit(f"{PAGE.name} lacks the lines {BEGIN.strip()} and {END.strip()}")
    gone = [
        name
        for name in re.findall(r"`([\w/]+\.py)`", before)
        if not any((place / name).is_file() for place in (SOURCE, ROOT))
    ]
    if gone:
        sys.exit(f"{PAGE.name} names modules that do not exist: {', '.join(gone)}")
    wanted = f"{before}{BEGIN}\n" + "\n".join(rows()) + f"\n\n{END}{after}"
    if wanted == page:
        return
    if "--check" in sys.argv:
        sys.exit(f"the table of modules in {PAGE.name} is out of date: run `python .ci/module_map.py`")
    PAGE.write_text(wanted, encoding="utf-8")


if __name__ == "__main__":
    main()
