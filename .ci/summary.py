"""Say what all runs of the tests came to: one line for each, and one for all of them.

Usage: summary.py README TOX.JSON STATUS

README is what the command of README.md printed, TOX.JSON the results of tox, STATUS its exit status.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path

#: How pytest counts.
_WORDS = ("failed", "errors", "passed", "skipped", "deselected", "xfailed")


def closing_lines(output: str) -> list[str]:
    """Return the lines with which runs of pytest ended."""
    plain = re.sub(r"\x1b\[[\d;]*m", "", output)
    return re.findall(r"^=* ?(\d+ \w+.* in \d+\.\d+s(?: \([\d:]+\))?)[ =]*$", plain, re.M)


def numbers(line: str) -> Counter[str]:
    """Return the numbers of a closing line by word."""
    found = re.findall(r"(\d+) (\w+)", line.partition(" in ")[0])
    return Counter({"errors" if word == "error" else word: int(number) for number, word in found})


def main(readme: str, tox: str, status: str) -> None:
    """Print the lines."""
    lines = [("README", line) for line in closing_lines(Path(readme).read_text(encoding="utf-8"))]
    environments = json.loads(Path(tox).read_text(encoding="utf-8"))["testenvs"] if Path(tox).exists() else {}
    for name, environment in environments.items():
        for command in environment.get("test", []):
            lines += [(name, line) for line in closing_lines(command["output"])]
    print("== The runs of the tests")
    for name, line in lines:
        print(f"{name:>16}: {line}")
    total = Counter({"failed": 0})
    for _, line in lines:
        total.update(numbers(line))
    told = ", ".join(f"{total[word]} {word}" for word in _WORDS if word in total)
    print(f"== {told}" + (f"; tox ended with status {status}, see above" if status != "0" else ""))


if __name__ == "__main__":
    main(*sys.argv[1:])
