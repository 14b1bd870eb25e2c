"""Run the tests that can be run in one process on CPython 3.14 and 3.15, as WebAssembly in Node.

Both come from the npm package pyodide, pinned by package-lock.json beside this file. Without Node or npm
there is nothing to run: that is said, and is no failure.
"""

import json
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
_OLDEST_NODE = 20


def main(work: Path, options: list[str]) -> int:
    """Install both Pythons below a folder, and run the tests on both at the same time.

    Returns:
        The exit status: the worst one of the two.
    """
    lacking = what_is_lacking()
    if lacking:
        print(f"skipped: CPython 3.14 and 3.15 are NOT tested, {lacking}")
        return 0
    work.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, work)
    npm = str(shutil.which("npm"))  # on Windows it is npm.cmd
    subprocess.run([npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=work, check=True)
    dependencies = json.loads((HERE / "package.json").read_text(encoding="utf-8"))["dependencies"]
    runs = {name: start(work / "node_modules" / name, options) for name in dependencies}
    statuses = []
    for name, process in runs.items():
        output, _ = process.communicate()
        print(f"== {name}\n{output}", flush=True)
        statuses.append(process.returncode)
    return max(map(abs, statuses))


def what_is_lacking() -> str:
    """Say which program is not there; nothing if all are."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            return f"there is no {program} on the PATH"
    version = subprocess.run(
        ["node", "--version"], capture_output=True, text=True, check=False
    ).stdout.strip()
    major = re.match(r"v(\d+)\.", version)
    if major is None or int(major[1]) < _OLDEST_NODE:
        return f"they need Node {_OLDEST_NODE}, and this is {version or 'broken'}"
    return ""


def start(pyodide: Path, options: list[str]) -> "subprocess.Popen[str]":
    """Begin to run pytest in one Python."""
    command = [
        "node",
        str(HERE / "python.mjs"),
        str(pyodide),
        str(ROOT),
        sysconfig.get_path("purelib"),
        *options,
    ]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8"
    )


if __name__ == "__main__":
    if sys.argv[1:] == ["--what-is-lacking"]:
        print(what_is_lacking())
    else:
        sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
