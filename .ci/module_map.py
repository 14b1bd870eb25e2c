"""Write the tables of modules in CONTRIBUTING.md: each wing by layer, with the head of each docstring.

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
HEAD = ["| module | idea |", "|---|---|"]
BEGIN, END = "<!-- modules: written by .ci/module_map.py -->\n", "<!-- end of modules -->\n"


def idea(file: Path) -> str:
    """Return the first paragraph of a module's docstring; without one there is no table."""
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    if not text:
        sys.exit(f"{file.relative_to(ROOT)}: has no docstring, so nobody can tell what belongs into it")
    return " ".join(text.split("\n\n")[0].split())


def layers(contract: str) -> list[str]:
    """Return the names in the layers of a contract, the highest layer first."""
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter", encoding="utf-8")
    lines = contracts[f"importlinter:contract:{contract}"]["layers"].split("\n")
    return [name.strip() for line in lines for name in line.split("|") if name.strip()]


def row(file: Path) -> str:
    """Return the line of a module."""
    name = file.relative_to(SOURCE).as_posix()
    return f"| [`{name}`](../src/{SOURCE.name}/{name}) | {idea(file).replace('|', chr(92) + '|')} |"


def table(wing: Path, seen: set[Path]) -> list[str]:
    """Return the lines of a wing, and of the folders in it: a folder's contract is named with a hyphen."""
    name = wing.relative_to(SOURCE).as_posix()
    inside = layers(name.replace("/", "-"))
    files = [wing / f"{module}.py" for module in inside if not (wing / module).is_dir()]
    seen.update(files, [wing / "__init__.py"])
    lines = ["", f"**`{name}/`** {idea(wing / '__init__.py')}", "", *HEAD, *map(row, files)]
    for module in inside:
        if (wing / module).is_dir():
            lines += table(wing / module, seen)
    return lines


def rows() -> list[str]:
    """Return the lines of the tables: one for the top, and one for each wing."""
    top = [SOURCE / "__init__.py"]
    lines: list[str] = []
    seen: set[Path] = set()
    for name in layers("layers"):
        wing = SOURCE / name
        if not wing.is_dir():
            top.append(wing.with_suffix(".py"))
            continue
        lines += table(wing, seen)
    seen.update(top)
    forgotten = set(SOURCE.rglob("*.py")) - seen
    if forgotten:
        sys.exit(f"in no layer of .importlinter: {', '.join(sorted(file.name for file in forgotten))}")
    return [*HEAD, *map(row, top), *lines]


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
