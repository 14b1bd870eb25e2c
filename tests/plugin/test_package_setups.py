"""What pytest does when it begins with a package of tests, in the window of the first test in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

_USE = "def test_it():\n    import app\n    assert app.RATE == 1\ndef test_again():\n    import app\n"
_FAKE = "import sys, types\nsys.modules['left'] = types.ModuleType('left')\n"
_MARK = "import pytest\npytestmark = pytest.mark.isolated_imports\n"

# The folder above the package is on the path because pytest imports the package before its first test.
_FILES = {
    "pytest.ini": "[pytest]\naddopts = --import-mode=prepend\n",
    "src/app/__init__.py": "RATE = 1\n",
    "src/app/tests/test_a.py": _USE,
    "src/app/tests/test_b.py": _USE,
    "src/app/tests/test_c.py": _USE,
}


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"src/app/tests/test_a.py": _FAKE + _USE},
        {"src/app/tests/test_b.py": _FAKE + _USE},
        {"src/app/tests/test_a.py": _MARK + _USE, "src/app/tests/test_b.py": _MARK + _USE},
        {"src/app/tests/inner/__init__.py": "", "src/app/tests/inner/test_d.py": _USE},
    ],
)
@pytest.mark.parametrize("mode", ["off", "file", "test", "process"])
def test_the_path_entry_of_a_package_is_there_for_all_tests_below_it(
    suite: Suite, mode: str, files: dict[str, str]
) -> None:
    tests = 2 * len([name for name in {**_FILES, **files} if "/test_" in name])
    for report in (False, True):
        run = suite.run({**_FILES, **files}, f"--isolate-imports={mode}", report=report)
        assert run.outcomes == {"passed": tests}
        assert [leak["name"] for leak in run.leaks if leak["name"] != "left"] == [] if report else True
        assert "sys.path" not in run.output  # it is pytest's own


@pytest.mark.parametrize("mode", ["off", "file", "test"])
def test_what_the_functions_of_a_package_change_lasts_as_long_as_the_package(suite: Suite, mode: str) -> None:
    test = "def test_it():\n    import vendored, app\n    assert app.state == ['set up']\n"
    run = suite.run(
        {
            "src/app/__init__.py": """
                import sys
                state = []

                def setup_module():
                    state.append("set up")
                    sys.path.append("vendor")

                def teardown_module():
                    state.append("torn down")
                    sys.path.remove("vendor")
            """,
            "src/app/tests/test_a.py": test,
            "src/app/tests/test_b.py": test,
            "vendor/vendored.py": "",
            "z/test_z.py": """
                import sys

                def test_it_is_over():
                    assert "vendor" not in sys.path
            """,
        },
        f"--isolate-imports={mode}",
    )
    assert run.outcomes == {"passed": 3}


@pytest.mark.parametrize("mode", ["off", "file", "test"])
def test_a_package_that_cannot_be_imported_fails_its_tests_without_a_frame_of_ours(
    suite: Suite, mode: str
) -> None:
    files = {**_FILES, "src/app/__init__.py": "raise ValueError('no app')\n"}
    run = suite.run(files, f"--isolate-imports={mode}", "--tb=long", report=False)
    assert run.outcomes == {"error": 6}
    assert "no app" in run.output
    assert "fixture_adoption" not in run.output
