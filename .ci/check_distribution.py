"""Check what is published: the sdist, the wheel made of it, and the tests with nothing else installed.

Usage: check_distribution.py FOLDER [PYTEST ARGUMENT...]

FOLDER gets the two files. The tests are those of the sdist, run in a venv that has the wheel and pytest
alone: so without pytest-xdist, and with no source of the package in reach. With a tag in RELEASE_TAG, the
version must be that of the tag.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from email.parser import Parser
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "pytest_import_isolation"
#: Files of the repository that no user of an sdist needs.
NOT_PUBLISHED = re.compile(
    r"\.gitignore|\.pre-commit-config\.yaml|\.changelog\.d/.*|\.github/(?!CONTRIBUTING\.md).*"
)


def run(*command: str | Path, folder: Path = ROOT) -> None:
    """Run a command; end this program if it fails."""
    # These would put other modules, or other settings, under what is checked.
    hidden = ("PYTHONPATH", "PYTHONHOME", "PYTEST_ADDOPTS", "PYTEST_PLUGINS", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    print("$", *command, flush=True)
    status = subprocess.run(list(map(str, command)), cwd=folder, env=environment, check=False).returncode
    if status:
        sys.exit(f"failed with status {status}: {' '.join(map(str, command))}")


def require(problem: str, found: object) -> None:
    """End this program if something was found."""
    if found:
        sys.exit(f"{problem}: {found}")


def contents(wheel: Path) -> dict[str, bytes]:
    """Return the files of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def tracked() -> set[str]:
    """Return the files of the repository; none where this is no repository."""
    if not (ROOT / ".git").exists():
        return set()
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines())


def check_wheel(files: dict[str, bytes]) -> None:
    """Check that a wheel holds the whole package and nothing else, and that its page has no dead links."""
    source = ROOT / "src" / PACKAGE
    wanted = {
        f"{PACKAGE}/{path.relative_to(source).as_posix()}"
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    held = {name for name in files if ".dist-info/" not in name}
    require("the wheel lacks, or has beside the package", wanted ^ held)
    require("without it nobody sees the types", {f"{PACKAGE}/py.typed"} - held)
    [name] = (name for name in files if name.endswith(".dist-info/METADATA"))
    metadata = Parser().parsestr(files[name].decode())
    tag = os.environ.get("RELEASE_TAG") or f"v{metadata['Version']}"
    require(
        f"the version is {metadata['Version']}, and the tag", tag if tag != f"v{metadata['Version']}" else ""
    )
    needs = [need for need in metadata.get_all("Requires-Dist", []) if "extra ==" not in need]
    require("the wheel needs more than pytest", [need for need in needs if not need.startswith("pytest>=")])
    page = str(metadata.get_payload())
    # PyPI has no other file beside the page.
    require("links of the page on PyPI that lead nowhere", re.findall(r"\]\((?!https?://|#)[^)]*\)", page))


def check_reproducible(wheel: Path, sdist: Path, place: Path) -> None:
    """Check that another build, of the same files at another place and time, is the same byte by byte."""
    tree = place / "tree"
    tree.mkdir(parents=True)
    with tarfile.open(sdist) as archive:
        archive.extractall(tree, filter="data")
    [copy] = tree.iterdir()
    for path in copy.rglob("*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", place, folder=copy)
    for file in (wheel, sdist):
        require(
            "another build differs",
            [] if (place / file.name).read_bytes() == file.read_bytes() else file.name,
        )


def main(folder: Path, arguments: list[str]) -> None:
    """Build, compare, and test."""
    for old in [*folder.glob(f"{PACKAGE}-*.whl"), *folder.glob(f"{PACKAGE}-*.tar.gz")]:
        old.unlink()
    # Without --wheel, `build` makes the wheel of the sdist, as package indexes' users do.
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder)
    run(sys.executable, "-m", "twine", "check", "--strict", *folder.glob(f"{PACKAGE}-*"))
    [wheel], [sdist] = folder.glob(f"{PACKAGE}-*.whl"), folder.glob(f"{PACKAGE}-*.tar.gz")
    with TemporaryDirectory() as name:
        place = Path(name).resolve()
        run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", place / "tree")
        [other] = (place / "tree").glob("*.whl")
        require(
            "the wheel of the sdist is another one than that of the tree", contents(wheel) != contents(other)
        )
        check_wheel(contents(wheel))
        check_reproducible(wheel, sdist, place / "again")

        with tarfile.open(sdist) as archive:
            archive.extractall(place, filter="data")
        [unpacked] = place.glob(f"{PACKAGE}-*")
        held = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
        require(
            "the sdist lacks",
            sorted(file for file in tracked() - held if not NOT_PUBLISHED.fullmatch(file)),
        )
        shutil.rmtree(unpacked / "src")

        venv.create(place / "venv", with_pip=True)
        python = place / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
        run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
        run(python, "-c", "import importlib.util as u, sys; sys.exit(u.find_spec('xdist') is not None)")
        run(python, "-m", "pytest", *arguments, folder=unpacked)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2:])
