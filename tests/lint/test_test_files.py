"""Which files are linted: what pytest collects, conftests, and what lies beside them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.lint.conftest import write

from pytest_import_isolation.errors import ParameterError
from pytest_import_isolation.lint import ini_files
from pytest_import_isolation.lint.ini_files import python_files
from pytest_import_isolation.lint.test_files import find_files


@pytest.fixture(autouse=True)
def _forget_ini_files() -> None:
    python_files.cache_clear()


def _parts(root: Path, *paths: str) -> dict[str, str]:
    found = find_files([str(root / path) for path in paths] or [str(root)])
    return {Path(path).relative_to(root).as_posix(): part for path, part in found.items()}


def test_names_and_folders_decide_what_is_test_code(tmp_path: Path) -> None:
    names = (
        "test_a.py b_test.py conftest.py app.py src/app.py src/test_beside.py src/lib/deep.py tests/test_c.py "
        "tests/helpers.py tests/support/stubs.py tests/__init__.py docs/conf.py .hidden/test_x.py build/test_x.py "
        "node_modules/test_x.py env/pyvenv.cfg env/lib/test_x.py tests/data.txt testing/notes.py"
    )
    write(tmp_path, dict.fromkeys(names.split(), ""))
    assert _parts(tmp_path) == {
        "test_a.py": "test file",
        "b_test.py": "test file",
        "conftest.py": "conftest",
        "app.py": "helper",
        "src/app.py": "helper",
        "src/test_beside.py": "test file",
        "tests/__init__.py": "helper",
        "tests/helpers.py": "helper",
        "tests/support/stubs.py": "helper",
        "tests/test_c.py": "test file",
    }


def test_a_file_that_is_named_has_the_same_part(tmp_path: Path) -> None:
    write(tmp_path, dict.fromkeys(("tests/test_a.py", "tests/helpers.py", "src/app.py", "tests/a.txt"), ""))
    assert _parts(tmp_path, "tests/test_a.py", "tests/helpers.py", "src/app.py", "tests/a.txt") == {
        "tests/test_a.py": "test file",
        "tests/helpers.py": "helper",
    }


def test_modules_beside_few_test_files_are_the_products_own(tmp_path: Path) -> None:
    names = ("pkg/utils_test.py", "pkg/utils.py", "pkg/core.py", "unit/test_a.py", "unit/stubs.py")
    write(tmp_path, dict.fromkeys(names, ""))
    found = {"pkg/utils_test.py": "test file", "unit/test_a.py": "test file", "unit/stubs.py": "helper"}
    assert _parts(tmp_path) == _parts(tmp_path, *names) == found


def test_a_path_that_does_not_exist_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"lint: .*nowhere: there is no such file or folder"):
        find_files([str(tmp_path / "nowhere")])


_INI = {
    "pytest.ini": "[pytest]\npython_files = check_*.py\n    *_spec.py\n",
    ".pytest.ini": "[pytest]\npython_files = check_*.py *_spec.py\n",
    "tox.ini": "[tox]\n[pytest]\npython_files = check_*.py '*_spec.py'\n",
    "setup.cfg": "[tool:pytest]\npython_files =\n    check_*.py\n    *_spec.py\n",
    "pyproject.toml": "[project]\nname = 'x'\n[tool.pytest.ini_options]\npython_files = ['check_*.py', \"*_spec.py\"]\n[tool.x]\n",
    "pytest.toml": "[pytest]\npython_files = [\n    'check_*.py',\n    '*_spec.py',\n]\n",
}


@pytest.mark.parametrize("name", _INI)
@pytest.mark.parametrize("has_toml", [True, False])
def test_the_nearest_ini_file_of_pytest_decides(
    name: str, has_toml: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_toml:  # Python 3.10
        monkeypatch.setattr(ini_files, "_read_toml", ini_files._read_toml_text)
    write(tmp_path, {name: _INI[name], "a/b/check_x.py": ""})
    assert python_files(str(tmp_path / "a" / "b")) == ("check_*.py", "*_spec.py")
    assert _parts(tmp_path) == {"a/b/check_x.py": "test file"}


@pytest.mark.parametrize("has_toml", [True, False])
@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "pyproject.toml",
            "[tool.pytest.ini_options]\npython_files = 'a_*.py b_*.py'\n",
            ("a_*.py", "b_*.py"),
        ),
        ("pyproject.toml", "[tool.pytest.ini_options]\naddopts = '-q'\n", ini_files.DEFAULT),
        ("pyproject.toml", "[tool.other]\npython_files = 'a.py'\n", ("above_*.py",)),
        ("pyproject.toml", "[broken", ("above_*.py",)),
        ("pytest.ini", "", ini_files.DEFAULT),
        ("tox.ini", "[tox]\n", ("above_*.py",)),
        ("setup.cfg", "no section", ("above_*.py",)),
    ],
)
def test_a_file_without_settings_for_pytest_is_passed_over(
    name: str,
    text: str,
    expected: tuple[str, ...],
    has_toml: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not has_toml:
        monkeypatch.setattr(ini_files, "_read_toml", ini_files._read_toml_text)
    write(tmp_path, {"pytest.ini": "[pytest]\npython_files = above_*.py\n", f"below/{name}": text})
    assert python_files(str(tmp_path / "below")) == expected


def test_a_pattern_with_a_folder_is_matched_against_the_path(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"pytest.ini": "[pytest]\npython_files = tests/*.py\n", "tests/any.py": "", "src/any.py": ""},
    )
    assert _parts(tmp_path) == {"tests/any.py": "test file"}
