"""What the tests of the core share: scripts in interpreters of their own, source trees, pictures."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import pytest

from pytest_import_isolation.machinery import dict_versions as versions
from pytest_import_isolation.state.submodule_attributes import BindingIndex

SUPPORT = Path(__file__).parent / "support"


def _load(name: str) -> ModuleType:
    # Not through sys.path: with --import-mode=importlib a test directory is not on it.
    spec = importlib.util.spec_from_file_location(name, SUPPORT / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_picture = _load("picture")


@pytest.fixture(scope="session")
def picture() -> Any:
    """Return the class that records the import state, independent of the code under test."""
    return _picture.Picture


@pytest.fixture
def unchanged() -> Iterator[None]:
    """Fail a test that leaves the import state of this process changed."""
    before = _picture.Picture()
    yield
    assert before.differences() == []


@pytest.fixture
def many_turns() -> Iterator[None]:
    """Let another thread run after a thousandth of the usual time: what may go wrong between two is met."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.fixture
def no_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let dictionaries have no versions, as from CPython 3.14 on."""
    monkeypatch.setattr(versions, "_make_cell", None)
    monkeypatch.setattr(BindingIndex, "_last", None)


@pytest.fixture(params=["versions", "no_versions"])
def with_and_without_versions(request: pytest.FixtureRequest) -> None:
    """Run a test twice: as dictionaries are here, and as they are from CPython 3.14 on."""
    if request.param == "no_versions":
        request.getfixturevalue("no_versions")


@pytest.fixture
def run_script(tmp_path: Path) -> Callable[..., str]:
    """Return a function that runs a script in a new interpreter and gives its output.

    The script can import everything in ``support``, and ``pytest.fail`` shows its stderr if it fails.
    """

    def run(source: str, *options: str) -> str:
        folder = tmp_path / "script"
        folder.mkdir(exist_ok=True)
        for helper in SUPPORT.glob("*.py"):
            shutil.copy(helper, folder)
        script = folder / "script.py"
        script.write_text(dedent(source), encoding="utf-8")
        # The environment as it is: PYTHONPATH and coverage's settings pass through to the script.
        done = subprocess.run(
            [sys.executable, "-W", "error", *options, str(script)],
            cwd=folder,
            env=os.environ,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        if done.returncode != 0:
            pytest.fail(
                f"the script ended with {done.returncode}\n{done.stdout}\n{done.stderr}", pytrace=False
            )
        return done.stdout

    return run


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Callable[[dict[str, str]], Path]]:
    """Return a function that writes source files into a directory that is first on ``sys.path``.

    What a test imported from there, and the directory itself, are gone after the test.
    """
    root = tmp_path / "tree"
    root.mkdir()
    sys.path.insert(0, str(root))

    def write(files: dict[str, str]) -> Path:
        for name, source in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(source), encoding="utf-8")
        importlib.invalidate_caches()
        return root

    before = dict(sys.modules)
    yield write
    sys.path.remove(str(root))
    for name in sorted(sys.modules.keys() - before.keys(), key=str):
        own = getattr(sys.modules[name], "__dict__", {})
        if str(root) in f"{own.get('__file__')}{own.get('__path__')}":
            del sys.modules[name]
    for entry in [entry for entry in sys.path_importer_cache if str(entry).startswith(str(root))]:
        del sys.path_importer_cache[entry]
