"""Suites that abuse the import state at random: what holds for them whatever they do.

The report changes no outcome, and tells what was planted and left with its test and line. With an isolating mode
a file, or each test, meets nothing of others.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.conftest import TAKES_LONG
from tests.plugin.conftest import Run, Suite

if TYPE_CHECKING:
    from tests.plugin.fork_server import ForkServer

#: HOSTILE_SUITES=300 searches longer.
_EXAMPLES: Final = int(os.environ.get("HOSTILE_SUITES", "4"))

_APP: Final = {
    "fzapp/__init__.py": "",
    "fzapp/core.py": "class Thing: pass\n",
    "fzapp/user.py": "from fzapp.core import Thing\nimport colorsys\n",
}

#: What every file begins with. A test sees the names of others only in the scope that is asked for.
_HEAD: Final = """\
import builtins, importlib, os, sys, types, unittest
from unittest import mock
import pytest

SCOPE = os.environ["FZ_SCOPE"]

class Odd:  # pytest itself asks it for attributes, and for its class
    __hash__ = None
    def __eq__(self, other): pytest.fail("eq")
    def __bool__(self): pytest.fail("bool")
    def __repr__(self): pytest.fail("repr")

class Finder:
    def __init__(self, name): self.name = name
    def find_spec(self, name, path=None, target=None): return None

def refuse(entry): raise ImportError(entry)

def look(file, own):
    allowed = {"none": ("fz_",), "file": (f"fz_{file}_",), "test": (f"fz_{file}_top", f"fz_{file}_wide", own)}[SCOPE]
    names = [*filter(lambda name: type(name) is str, sys.modules)]
    names += [entry[1:] for entry in sys.path if type(entry) is str and entry.startswith("/fz_")]
    names += [finder.name for finder in sys.meta_path if type(finder).__name__ == "Finder"]
    assert [name for name in names if name.startswith("fz_") and not name.startswith(allowed)] == []
"""


class _Step(NamedTuple):
    """A statement in which ``{n}`` stands for a name of its own."""

    text: str
    #: The kind under which the name is told if it is left, if it is.
    kind: str | None = None
    #: Whether it needs the fixture ``monkeypatch``.
    in_test: bool = False


_STEPS: Final = [
    _Step("sys.modules['{n}'] = types.ModuleType('{n}')", "fake-left"),
    _Step("sys.modules['{n}'] = mock.MagicMock()", "fake-left"),
    _Step("sys.modules.update({{'{n}': object()}})", "fake-left"),
    _Step("sys.modules.setdefault('{n}', Odd())", "fake-left"),
    _Step("sys.modules['{n}'] = None", "blocked-left"),
    _Step("sys.modules['{n}'] = sys", "fake-left"),
    _Step("sys.path.insert(0, '/{n}')", "path-added"),
    _Step("sys.path.append('/{n}')", "path-added"),
    _Step("sys.meta_path.append(Finder('{n}'))"),
    _Step("sys.modules[7] = Odd()"),
    _Step("sys.path_hooks.append(lambda entry: refuse(entry))"),
    _Step("sys.path_importer_cache['/{n}'] = None"),
    _Step("sys.path = [*sys.path]"),
    _Step("import fzapp.user; assert fzapp.user.Thing"),
    _Step("import fzapp.core; sys.modules.pop('fzapp.core'); import fzapp.core"),
    _Step("import fzapp.core; importlib.reload(fzapp.core)"),
    _Step("import fzapp.core; fzapp.core.{n} = Odd()"),
    _Step("import colorsys; assert colorsys.rgb_to_hsv(1, 0, 0)"),
    _Step("import wave; del sys.modules['wave']"),
    _Step("import wave; sys.modules['wave'] = mock.MagicMock()"),
    _Step("with mock.patch.dict(sys.modules, {{'{n}': object()}}): import fzapp.user, colorsys"),
    _Step("with mock.patch.dict(sys.modules, {{'{n}': None}}): importlib.import_module('xml.dom.minidom')"),
    _Step("pytest.MonkeyPatch().setitem(sys.modules, '{n}', Odd())", "fake-left"),
    _Step("monkeypatch.setitem(sys.modules, '{n}', Odd())", in_test=True),
    _Step("monkeypatch.syspath_prepend('/{n}')", in_test=True),
    _Step("real = builtins.__import__; builtins.__import__ = lambda *a, **k: real(*a, **k); import sched"),
]
_ENDS: Final = ["pass", "pass", "pass", "assert 0", "pytest.skip('enough')", "pytest.xfail('so')", "{}['no']"]


class _Planted(NamedTuple):
    """Something that is left, with who left it where."""

    kind: str
    name: str
    nodeid: str
    line: int


class _Project:
    """A suite that is written from what Hypothesis draws.

    Args:
        draw: draws.
    """

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._numbers = count()
        self.files: dict[str, str] = {}
        self.planted: list[_Planted] = []
        for letter in "abc"[: draw(st.integers(2, 3))]:
            self._write_file(letter)

    def __repr__(self) -> str:
        return "\n".join(f"# {name}\n{text}" for name, text in self.files.items()).replace(_HEAD, "# ...\n")

    def _write_file(self, letter: str) -> None:
        file, lines = f"test_{letter}.py", _HEAD.splitlines()
        lines += self._steps(letter, "top", file, "", len(lines), most=1)
        fixture = self._draw(st.sampled_from(["", "function", "class", "module"]))
        if fixture:
            lines += ["", f"@pytest.fixture(scope={fixture!r}, autouse=True)", "def around():"]
            entered = f"fz_{letter}_wide{next(self._numbers)}"
            lines += [f"    sys.modules[{entered!r}] = types.ModuleType('fz')", "    yield"]
            lines += [f"    del sys.modules[{entered!r}]"]
        is_class = self._draw(st.booleans())
        lines += ["", "class TestIt:"] if is_class else []
        indent = "    " if is_class else ""
        for number in range(self._draw(st.integers(1, 3))):
            name = f"test_{number}"
            nodeid = f"{file}::TestIt::{name}" if is_class else f"{file}::{name}"
            own = f"fz_{letter}_{number}_"
            lines += ["", f"{indent}def {name}({'self, ' if is_class else ''}monkeypatch):"]
            lines += [f"{indent}    look({letter!r}, {own!r})"]
            lines += self._steps(letter, f"{number}_", nodeid, f"{indent}    ", len(lines), most=3)
            lines += [f"{indent}    {self._draw(st.sampled_from(_ENDS))}"]
        self.files[file] = "\n".join(lines) + "\n"

    def _steps(
        self, letter: str, part: str, nodeid: str, indent: str, above: int, *, most: int
    ) -> Iterator[str]:
        in_test = bool(indent)
        steps = [step for step in _STEPS if in_test or not step.in_test]
        for step in self._draw(st.lists(st.sampled_from(steps), max_size=most)):
            above += 1
            name = f"fz_{letter}_{part}{next(self._numbers)}"
            if step.kind is not None:
                shown = f"/{name}" if step.kind == "path-added" else name
                self.planted.append(_Planted(step.kind, shown, nodeid, above))
            yield indent + step.text.format(n=name)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield new directories."""
    return (tmp_path_factory.mktemp("hostile") for _ in count())


def _outcomes(run: Run) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for outcome, nodeid in re.findall(r"^(PASSED|FAILED|ERROR|XFAIL|XPASS) (\S+)", run.output, re.MULTILINE):
        found.setdefault(nodeid, []).append(outcome)
    return found


@TAKES_LONG
# To make a failing suite smaller takes minutes.
@settings(max_examples=_EXAMPLES, phases=[Phase.generate])
@given(data=st.data())
def test_whatever_a_suite_does(data: Any, places: Iterator[Path], fork_server: ForkServer | None) -> None:
    project = data.draw(st.composite(_Project)())
    suite = Suite(next(places), fork_server)

    def run(scope: str, *options: str, report: bool = False) -> Run:
        done = suite.run(
            {**_APP, **project.files}, "-rA", "--tb=short", *options, report=report, env={"FZ_SCOPE": scope}
        )
        assert "INTERNALERROR" not in done.output
        assert not re.search(r"pytest_import_isolation/\w+/\w+\.py", done.output)
        assert done.status in (0, 1)
        return done

    for scope in ("none", "test"):
        plain = run(scope)
        watched = run(scope, report=True)
        assert (watched.status, _outcomes(watched)) == (plain.status, _outcomes(plain))
        for kind, name, nodeid, line in project.planted if scope == "none" else ():
            leak = watched.leak(kind, name)
            assert leak["polluter"]["nodeid"] == nodeid
            assert (leak["location"]["file"], leak["location"]["line"]) == (nodeid.partition("::")[0], line)
    for scope in ("file", "test"):
        for kind in ("FAILED", "ERROR"):
            failures = re.findall(
                rf"^{kind} .*\bassert \[.*\] == \[\]", run(scope, f"--isolate-imports={scope}").output, re.M
            )
            assert failures == []
