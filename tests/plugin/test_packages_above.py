"""``--isolate-imports=file`` where tests lie in the package under test: what that imported stays bound in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

_USE = "import app\napp.core\ndef test_it_is_bound(): assert app.core.RATE == 1"
_FAKE = "import sys, types\nsys.modules['left'] = types.ModuleType('left')\n"
_PATH = "import sys\nsys.path.append('nowhere')\n"
_PLAIN = "from . import core"

_FILES = {
    "app/__init__.py": _PLAIN,
    "app/core.py": "RATE = 1",
    "app/extra.py": "",
    "app/tests/__init__.py": "",
    "app/tests/test_b.py": _USE,
    "vendor/vendored.py": "",
}


@pytest.mark.parametrize(
    "files",
    [
        {"app/tests/test_a.py": _PATH + _USE},
        {"app/tests/test_a.py": _FAKE + _USE},
        {"app/tests/test_a.py": _USE, "app/tests/test_b.py": _FAKE + _USE},
        {
            "app/tests/test_a.py": _FAKE + _USE,
            "app/tests/deeper/__init__.py": "",
            "app/tests/deeper/test_c.py": _USE,
        },
        {"app/tests/test_a.py": "import app", "app/__init__.py": _PATH + _PLAIN},
        {"app/tests/test_a.py": "import app", "app/__init__.py": _FAKE + _PLAIN},
        # It imports the package of its tests itself, while it is not done.
        {"app/tests/test_a.py": _FAKE, "app/__init__.py": "from . import tests\n" + _PLAIN},
        # Another file imported the package before.
        {"a/test_a.py": "import app.extra\n" + _USE, "app/tests/test_a.py": _FAKE + _USE},
        {"a/test_a.py": _FAKE + "import app.extra\n" + _USE, "app/tests/test_a.py": _USE},
        # What it imports raises: the tests are not collected, the package is imported all the same.
        {"app/tests/test_a.py": _PATH + "raise KeyError"},
    ],
)
@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_the_package_keeps_its_submodules_for_each_file_in_it(
    suite: Suite, files: dict[str, str], mode: str
) -> None:
    files = {**_FILES, **files}
    arguments = (f"--import-mode={mode}", "--continue-on-collection-errors")
    plain = suite.run(files, *arguments).outcomes
    assert plain["passed"] >= 1
    assert suite.run(files, *arguments, "--isolate-imports=file").outcomes == plain


@pytest.mark.parametrize("more", ["", _PATH])
def test_a_path_entry_of_the_package_is_there_for_each_file_in_it(suite: Suite, more: str) -> None:
    files = {
        **_FILES,
        "app/__init__.py": "import sys\nsys.path.append('vendor')",
        "app/tests/test_a.py": "import app",
        "app/tests/test_b.py": more + "import vendored\ndef test_it_is_found(): pass",
    }
    assert suite.run(files, "--isolate-imports=file").outcomes == {"passed": 1}


def test_what_a_file_in_the_package_fakes_is_still_its_own(suite: Suite) -> None:
    files = {
        **_FILES,
        "app/tests/test_a.py": _FAKE + "import left\ndef test_it_has_its_fake(): import left",
        "app/tests/test_b.py": _USE
        + "\ndef test_it_has_none():\n    import sys\n    assert 'left' not in sys.modules",
    }
    run = suite.run(files, "--isolate-imports=file", report=True)
    assert run.outcomes == {"passed": 3}
    leak = run.leak("fake-left", "left")
    assert (leak["polluter"]["nodeid"], leak["contained"]) == ("app/tests/test_a.py", True)
    assert (leak["location"]["file"], leak["location"]["line"]) == ("app/tests/test_a.py", 2)


_CLONE = {
    # A clone that is a package for the program that loads it as a plug-in.
    "my-clone/__init__.py": "",
    "my-clone/test_top.py": "import beside\ndef test_it_is_found(): pass",
    "my-clone/beside.py": "",
    "my-clone/app/__init__.py": "",
    "my-clone/app/tests/__init__.py": "import os, sys\nsys.path.append(os.path.dirname(__file__) + '/stubs')",
    "my-clone/app/tests/stubs/vendored.py": "",
    "my-clone/app/tests/test_a.py": "import vendored\ndef test_it_is_found(): pass",
    "my-clone/app/tests/test_b.py": "import vendored\ndef test_it_is_found(): pass",
    "my-clone/app/tests/test_c.py": "def test_it_is_found(): import vendored",
}


@pytest.mark.parametrize("mode", ["prepend", "append", "importlib"])
@pytest.mark.parametrize("isolation", ["off", "file", "test"])
def test_a_folder_whose_name_no_statement_can_spell_is_no_package(
    suite: Suite, mode: str, isolation: str
) -> None:
    files = {
        name: text for name, text in _CLONE.items() if mode != "importlib" or name.count("/") > 1
    }  # beside.py is not found there
    run = suite.run(files, f"--import-mode={mode}", f"--isolate-imports={isolation}", report=True)
    assert run.outcomes == {"passed": 3 if mode == "importlib" else 4}
    # What pytest adds is nobody's leak.
    assert [(leak["kind"], leak["name"].rpartition("/")[2]) for leak in run.leaks] == [
        ("path-added", "stubs")
    ]
    assert run.leaks[0]["location"] == {"file": "my-clone/app/tests/__init__.py", "line": 2, "exact": True}
