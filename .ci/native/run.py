"""Run the tests on CPython 3.14 and 3.15 as programs of this machine, in a root of a newer Debian.

Usage: run.py [OPTIONS OF PYTEST]

``debootstrap`` makes the root once, outside of the tree, in ``$NATIVE_ROOT``; later runs use it again. The
mirror, the settings of apt and pip, and the certificates are those of this machine. Each program runs there
with mounts of its own, which vanish with it. Where no root can be made there is nothing to run: that is said,
and is no failure.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
ROOT = Path(os.environ.get("NATIVE_ROOT", "/var/cache/pytest-import-isolation/native"))
SUITE = "forky"
PYTHONS = ("3.14", "3.15")
#: The group of pyproject.toml that is installed there.
GROUP = "native"
_PACKAGES = [name for version in PYTHONS for name in (f"python{version}", f"python{version}-venv")]
_PROGRAMS = ("apt-get", "chroot", "dpkg-deb", "mount", "timeout", "unshare", "wget")
#: Seconds for each step of making the root: a mirror that does not answer takes all the time otherwise.
_LIMIT = "300"
#: Where programs see the whole machine that may need it: pip's settings name files and folders of it.
_OUTSIDE = "/outside"
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}


class LackingError(Exception):
    """Something is not there without which no root can be made."""


def main(options: list[str]) -> int:
    """Make what is not there yet, and run the tests on both Pythons at the same time.

    Returns:
        The exit status: the worst one of the two.
    """
    try:
        check()
        ROOT.parent.mkdir(parents=True, exist_ok=True)
        with locked(ROOT.with_suffix(".lock")):
            make_root()
            for version in PYTHONS:
                make_venv(version)
            return run_tests(options)
    except LackingError as error:
        print(f"skipped: CPython {' and '.join(PYTHONS)} are NOT tested natively, {error}")
        return 0


def check() -> None:
    """Say what is not there.

    Raises:
        LackingError: something is not.
    """
    if lacking := what_is_lacking():
        raise LackingError(lacking)


def what_is_lacking() -> str:
    """Say what is not there; nothing if all is, as far as can be told before the root is made."""
    if sys.platform != "linux":
        return "this is not Linux"
    if os.geteuid() != 0:
        return "this user is not root"
    for program in _PROGRAMS:
        if shutil.which(program) is None:
            return f"there is no {program} on the PATH"
    if run(["unshare", "--mount", "true"]).returncode:
        return "this root must not mount"
    if not ROOT.exists() and mirror() is None:
        return "apt knows no mirror of Debian"
    return ""


def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
    """Run a program, and return what it printed."""
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options
    )


def needed(command: list[str], what: str, **options: object) -> str:
    """Run a program without which there is no root.

    Args:
        command: the program.
        what: what it is for.
        options: of :func:`subprocess.run`.

    Returns:
        What it printed.

    Raises:
        LackingError: it failed.
    """
    print(f"== {what}", flush=True)
    done = run(["timeout", "--kill-after=10", _LIMIT, *command], **options)
    if done.returncode:
        print(done.stdout)
        raise LackingError(f"{what} failed, see above")
    return done.stdout


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Wait until no other run uses the root."""
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def mirror() -> str | None:
    """Return the address from which this machine takes the packages of Debian."""
    listed = run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian"]
    )
    # Security updates come from another place, which has no whole suite.
    found = [line for line in listed.stdout.split() if line.rstrip("/").endswith("/debian")]
    return found[0] if found else None


def make_root() -> None:
    """Make the root with both Pythons, unless it is there."""
    if ROOT.exists():
        return
    new = ROOT.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    with debootstrap() as (program, environment):
        # An older debootstrap does not know the suite by name; all newer ones are made as `sid` is.
        folder = environment.get("DEBOOTSTRAP_DIR", "/usr/share/debootstrap")
        command = [program, "--variant=minbase", SUITE, str(new), str(mirror()), f"{folder}/scripts/sid"]
        needed(command, f"debootstrap of {SUITE}", env={**os.environ, **environment})
    settings = run(["apt-config", "dump", "--format", '%f "%v";%n', "Acquire"])
    (new / "etc/apt/apt.conf.d/99outside").write_text(settings.stdout)
    for name in ("resolv.conf", "hosts"):
        shutil.copy(f"/etc/{name}", new / "etc")
    needed(inside(["apt-get", "update"], root=new), "apt-get update")
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *_PACKAGES]
    needed(inside(install, root=new), "apt-get install of both Pythons")
    new.rename(ROOT)


@contextmanager
def debootstrap() -> Iterator[tuple[str, dict[str, str]]]:
    """Find debootstrap, or unpack Debian's package of it beside the root: it is a script.

    Yields:
        The program, and the environment that it needs.
    """
    if (program := shutil.which("debootstrap")) is not None:
        yield program, {}
        return
    folder = ROOT.with_suffix(".debootstrap")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        needed(["apt-get", "download", "debootstrap"], "apt-get download of debootstrap", cwd=folder)
        [package] = folder.glob("*.deb")
        needed(["dpkg-deb", "--extract", str(package), str(folder)], "unpacking debootstrap")
        yield f"{folder}/usr/sbin/debootstrap", {"DEBOOTSTRAP_DIR": f"{folder}/usr/share/debootstrap"}
    finally:
        shutil.rmtree(folder)


def inside(
    command: list[str],
    *,
    root: Path = ROOT,
    environment: Mapping[str, str] = _ENVIRONMENT,
    sees: Iterable[tuple[str, str]] = (),
) -> list[str]:
    """Return a command that runs another one in the root.

    Args:
        command: what is run there, found on the ``PATH`` of its environment.
        root: where the root is.
        environment: all that it gets of environment variables.
        sees: folders of this machine that it sees too, and where.
    """
    # Without /proc, sys.remote_exec() and what measures memory fail; without /dev/shm, multiprocessing.
    mounts = [("/proc", "/proc"), ("/dev", "/dev"), *sees]
    lines = ["set -e"]
    for source, place in mounts:
        target = shlex.quote(f"{root}{place}")
        how = "--bind" if place == _OUTSIDE else "--rbind"
        lines += [f"mkdir -p {target}", f"mount {how} {shlex.quote(source)} {target}"]
    settings = [f"{name}={value}" for name, value in environment.items()]
    words = ["chroot", str(root), "env", "-i", "--", *settings, *command]
    lines.append(f"exec {shlex.join(words)}")
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join(lines)]


def make_venv(version: str) -> None:
    """Make the environment of one Python with all that the tests need, unless it is there and the same."""
    venv = f"/venv/{version}"
    wanted = hashlib.sha256((PROJECT / "pyproject.toml").read_bytes()).hexdigest()
    mark = ROOT / venv[1:] / "made-for"
    if not mark.exists() or mark.read_text() != wanted:
        shutil.rmtree(ROOT / venv[1:], ignore_errors=True)
        needed(inside([f"python{version}", "-m", "venv", venv]), f"a venv of CPython {version}")
        group = f"{PROJECT}/pyproject.toml:{GROUP}"
        needed(pip(version, "install", "--upgrade", "pip"), f"a newer pip for CPython {version}")
        needed(
            pip(version, "install", "--prefer-binary", "--group", group),
            f"what the tests need for CPython {version}",
        )
        mark.write_text(wanted)
    # tox tells which wheel it has built.
    package = os.environ.get("TOX_PACKAGE", str(PROJECT))
    print(f"== {package} for CPython {version}", flush=True)
    # A failure of this is one of ours.
    subprocess.run(pip(version, "install", "--quiet", "--force-reinstall", "--no-deps", package), check=True)


def pip(version: str, *words: str) -> list[str]:
    """Return a command that runs pip in the root, with the settings that it has on this machine."""
    python = f"/venv/{version}/bin/python"
    environment = {
        **_ENVIRONMENT,
        **pip_settings(),
        "PIP_NO_CACHE_DIR": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
    }
    return inside(
        [python, "-m", "pip", *words],
        environment=environment,
        sees=[("/", _OUTSIDE), (str(PROJECT), str(PROJECT))],
    )


def pip_settings() -> dict[str, str]:
    """Return pip's settings as environment variables; files and folders are those that it sees outside."""
    settings = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    listed = run([sys.executable, "-m", "pip", "config", "list"]).stdout
    for section, name, value in re.findall(r"^(\S+?)\.(\S+)='(.*)'$", listed, re.M):
        if section in ("global", "install", ":env:"):
            settings[f"PIP_{name.replace('-', '_').upper().lstrip('_')}"] = _seen_outside(value)
    return settings


def _seen_outside(value: str) -> str:
    words = []
    for word in value.split():
        scheme, _, path = word.rpartition("file://")
        is_there = path.startswith("/") and Path(path).exists()
        words.append(f"{'file://' if 'file://' in word else scheme}{_OUTSIDE}{path}" if is_there else word)
    return " ".join(words)


def run_tests(options: list[str]) -> int:
    """Run pytest on both Pythons at the same time, and print what they say one after the other."""
    runs = {}
    for version in PYTHONS:
        folder = f"/venv/{version}/bin"
        environment = {**_ENVIRONMENT, "PATH": f"{folder}:{_ENVIRONMENT['PATH']}", "TMPDIR": "/tmp"}
        command = [
            "sh",
            "-c",
            f"cd {shlex.quote(str(PROJECT))} && exec {folder}/python -m pytest {shlex.join(options)}",
        ]
        runs[version] = subprocess.Popen(
            inside(command, environment=environment, sees=[(str(PROJECT), str(PROJECT))]),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
    statuses = []
    for version, process in runs.items():
        output, _ = process.communicate()
        print(f"== CPython {version}, native\n{output}", flush=True)
        statuses.append(process.returncode)
    return max(map(abs, statuses))


if __name__ == "__main__":
    if sys.argv[1:] == ["--what-is-lacking"]:
        print(what_is_lacking())
    else:
        sys.exit(main(sys.argv[1:]))
