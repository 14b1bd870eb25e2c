"""Packages that resist a second execution, each really used, each time as the same object."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import pytest

# What a package is called by pip, in support/real_packages.py, and by an import statement.
PACKAGES = {
    "csv": "csv",
    "numpy": "numpy",
    "pandas": "pandas",
    "pydantic": "pydantic",
    "yaml": "yaml",
    "sqlalchemy": "sqlalchemy",
    "cryptography": "cryptography",
    "orjson": "orjson",
    "lxml": "lxml",
    "protobuf": "google.protobuf",
    "six": "six",
    "setuptools": "setuptools",
}

Script = Callable[..., str]


def is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


# Deprecations of the packages themselves are not what these tests are about.
QUIET = ("-W", "ignore")


@pytest.mark.parametrize(
    "name",
    [
        "csv",
        *(
            pytest.param(name, marks=pytest.mark.neighbours(module))
            for name, module in PACKAGES.items()
            if name != "csv"
        ),
    ],
)
def test_a_package_works_in_five_windows_and_after_them_as_the_same_object(
    name: str, run_script: Script
) -> None:
    run_script(
        f"""
        import sys
        from picture import Picture
        from real_packages import USES
        from pytest_import_isolation import IsolatedImportContext

        use = USES[{name!r}]
        before = Picture()
        seen = []
        for _ in range(5):
            with IsolatedImportContext() as context:
                seen.append(use())
            assert before.differences() == [], context.changes
            assert "{PACKAGES[name]}" in context.changes.parked
        assert all(each is seen[0] for each in seen)
        assert use() is seen[0]
        inside = Picture()
        with IsolatedImportContext() as context:
            assert use() is seen[0]
        assert inside.differences() == [], context.changes
        """,
        *QUIET,
    )


@pytest.mark.neighbours  # with those that are installed
def test_packages_nested_in_each_others_windows_work(run_script: Script) -> None:
    installed = [name for name, module in PACKAGES.items() if is_installed(module)]
    run_script(
        f"""
        from picture import Picture
        from real_packages import USES
        from pytest_import_isolation import IsolatedImportContext

        def main(names):
            # Not a global: what a global of a surviving module refers to is kept.
            seen = {{}}

            def use(name):
                found = USES[name]()
                assert seen.setdefault(name, found) is found, name

            def nest(names):
                if names:
                    before = Picture()
                    with IsolatedImportContext() as context:
                        use(names[0])
                        nest(names[1:])
                        use(names[0])
                        for name in names:
                            use(name)
                    assert before.differences() == [], (before.differences(), context.changes)

            before = Picture()
            nest(names)
            nest(names[::-1])
            for name in names:
                with IsolatedImportContext():
                    use(name)
            assert before.differences() == []
            for name in names:
                use(name)

        main({installed!r})
        """,
        *QUIET,
    )


@pytest.mark.neighbours
def test_packages_come_back_after_unloading_everything(run_script: Script) -> None:
    installed = [name for name, module in PACKAGES.items() if is_installed(module)]
    run_script(
        f"""
        import sys
        from picture import Picture
        from real_packages import USES
        from pytest_import_isolation import IsolatedImportContext

        names = {installed!r}
        seen = {{name: USES[name]() for name in names}}
        before = Picture()
        with IsolatedImportContext(unloaded="*"):
            assert "csv" not in sys.modules
            assert {{name: USES[name]() for name in names}} == seen
        assert before.differences() == []
        assert {{name: USES[name]() for name in names}} == seen
        """,
        *QUIET,
    )
