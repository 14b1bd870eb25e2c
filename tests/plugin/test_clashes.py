"""Modules of one name in several directories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite


@pytest.fixture(autouse=True)
def _wide(suite: Suite) -> None:
    """Let no line of a section be wrapped."""
    suite.columns = 1000


_ORDERS = {
    "orders/utils.py": "name = 'orders'\n",
    "orders/test_orders.py": """\
        import utils

        def test_orders():
            assert utils.name == "orders"
    """,
}
_PAYMENTS = {
    "payments/utils.py": "name = 'payments'\n",
    "payments/test_payments.py": """\
        import pytest

        def test_payments():
            from utils import name
            assert name == "payments"
    """,
}


def test_modules_beside_test_files(suite: Suite) -> None:
    run = suite.run({**_ORDERS, **_PAYMENTS})
    assert run.outcomes == {"passed": 1, "failed": 1}
    assert run.kinds == [("name-clash", "utils")]
    leak = run.leak("name-clash", "utils")
    assert leak["severity"] == "error"
    assert leak["polluter"] == {"nodeid": "orders/test_orders.py", "phase": "collect"}
    assert leak["location"] == {"file": "orders/test_orders.py", "line": 1, "exact": True}
    assert leak["detail"] == (
        "The import at payments/test_payments.py:4 means payments/utils.py and gets orders/utils.py, "
        "which is loaded already."
    )
    assert leak["advice"] == (
        "Give the two modules different names, put each into a package, or run with --isolate-imports=file."
    )
    assert leak["exposed"] == [
        {
            "nodeid": "payments/test_payments.py::test_payments",
            "phase": "call",
            "file": "payments/test_payments.py",
            "line": 4,
            "outcome": "failed",
        }
    ]
    assert (
        f"utils: sys.modules['utils'] is the module of {suite.root}/orders/utils.py.\n"
        "    name-clash by orders/test_orders.py (collect), at orders/test_orders.py:1\n"
        "    imported here at payments/test_payments.py:4\n"
        "    The import at payments/test_payments.py:4 means payments/utils.py and gets orders/utils.py, "
        "which is loaded already.\n"
    ) in run.output


def test_directories_that_the_test_files_insert(suite: Suite) -> None:
    files = {f"lambdas/{name}/index.py": f"import helper\nname = '{name}'\n" for name in ("first", "second")}
    files |= {f"lambdas/{name}/helper.py": f"name = '{name}'\n" for name in ("first", "second")}
    files |= {
        f"tests/test_{name}.py": f"""\
            import os, sys
            sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lambdas/{name}"))
            import index

            def test_{name}():
                assert index.name == index.helper.name == "{name}"
        """
        for name in ("first", "second")
    }
    run = suite.run(files)
    assert run.outcomes == {"passed": 1, "failed": 1}
    clashes = [leak for leak in run.leaks if leak["kind"] == "name-clash"]
    assert [(leak["name"], leak["polluter"]["nodeid"]) for leak in clashes] == [
        ("index", "tests/test_first.py")
    ]
    assert [one["nodeid"] for one in clashes[0]["exposed"]] == [
        "tests/test_second.py",
        "tests/test_second.py::test_second",
    ]
    assert run.leaks[0]["kind"] == "path-added"


def test_a_directory_that_comes_first_though_it_was_added_for_another_file(suite: Suite) -> None:
    run = suite.run(
        {
            **_PAYMENTS,
            "orders/utils.py": "name = 'orders'\n",
            "orders/test_orders.py": """\
                def test_orders():
                    import utils
                    assert utils.name == "orders"
            """,
            "payments/test_payments.py": "def test_payments():\n    import utils\n",
        }
    )
    assert run.outcomes == {"passed": 1, "failed": 1}
    leak = run.leak("name-clash", "utils")
    assert leak["detail"] == (
        "The import at orders/test_orders.py:2 means orders/utils.py and gets payments/utils.py, "
        "which lies before it on sys.path."
    )
    assert leak["polluter"] == {"nodeid": "payments/test_payments.py", "phase": "collect"}
    assert [one["outcome"] for one in leak["exposed"]] == ["failed"]


@pytest.mark.parametrize(
    "change",
    [
        {"orders/__init__.py": "", "payments/__init__.py": ""},
        {"payments/test_payments.py": "def test_payments(): 'utils are not imported'"},
        {"payments/utils.py": "", "orders/test_orders.py": "def test_orders(): pass"},
    ],
)
def test_no_clash(suite: Suite, change: dict[str, str]) -> None:
    run = suite.run({**_ORDERS, **_PAYMENTS, **change})
    assert [kind for kind in run.kinds if kind[0] == "name-clash"] == []


def test_no_clash_with_what_a_directory_above_is_meant_to_give(suite: Suite) -> None:
    run = suite.run(
        {
            "conftest.py": "import utils",
            "utils.py": "name = 'root'\n",
            "tests/helpers.py": "import utils\n",
            "tests/test_it.py": """\
                import utils, helpers

                def test_it():
                    assert utils.name == "root" and helpers.utils is utils
            """,
        }
    )
    assert run.outcomes == {"passed": 1}
    assert run.kinds == []


def test_no_clash_if_the_path_has_the_other_one_first(suite: Suite) -> None:
    run = suite.run(
        {
            "utils.py": "name = 'root'\n",
            "conftest.py": "import utils",
            "tests/utils.py": "name = 'tests'\n",
            "tests/test_it.py": """\
                import utils

                def test_it():
                    assert utils.name == "root"
            """,
        },
        "--import-mode=append",
    )
    assert run.outcomes == {"passed": 1}
    assert run.kinds == []


def test_isolated_files_do_not_clash(suite: Suite) -> None:
    run = suite.run({**_ORDERS, **_PAYMENTS}, "--isolate-imports=file")
    assert run.outcomes == {"passed": 2}
    assert [kind for kind in run.kinds if kind[0] == "name-clash"] == []


_CONFTESTS = {
    "tests/conftest.py": "CONTRACTS = ['a']\n",
    "tests/e2e/conftest.py": "BROWSER = 'x'\n",
    "tests/e2e/test_browser.py": """\
        from conftest import BROWSER

        def test_browser():
            from conftest import BROWSER as again
            assert again is BROWSER
    """,
    "tests/test_deps.py": """\
        from conftest import CONTRACTS

        def test_contracts():
            from conftest import CONTRACTS as again
            assert again is CONTRACTS
    """,
}


def test_conftests_of_one_name_are_told_as_a_warning_with_a_hint(suite: Suite) -> None:
    run = suite.run(_CONFTESTS, "--continue-on-collection-errors", "--import-leak-fail")
    assert run.outcomes == {"passed": 1, "error": 1}
    assert run.kinds == [("name-clash", "conftest")]
    leak = run.leak("name-clash", "conftest")
    assert (leak["severity"], leak["polluter"]) == (
        "warning",
        {"nodeid": "tests/e2e/conftest.py", "phase": "conftest"},
    )
    assert leak["detail"] == (
        "The import at tests/test_deps.py:1 means tests/conftest.py and gets tests/e2e/conftest.py, "
        "which is loaded already."
    )
    assert leak["advice"] == (
        "Move what is imported from it into a module of another name, or run with --isolate-imports=file."
    )
    assert [(one["nodeid"], one["outcome"]) for one in leak["exposed"]] == [("tests/test_deps.py", "error")]
    assert "something imported here had been changed" in run.output


@pytest.mark.parametrize("mode", ["file", "test"])
@pytest.mark.parametrize(
    "order", [(), ("tests/test_deps.py", "tests/e2e"), ("tests/e2e", "tests/test_deps.py")]
)
def test_each_isolated_file_gets_the_conftest_nearest_above_it(
    suite: Suite, mode: str, order: tuple[str, ...]
) -> None:
    deeper = {
        "tests/unit/deep/test_deep.py": "def test_deep():\n    from conftest import CONTRACTS\n",
        "tests/packed/__init__.py": "",
        "tests/packed/conftest.py": "PACKED = 1\n",
        "tests/packed/test_packed.py": """\
            def test_packed():
                from packed.conftest import PACKED
                from conftest import CONTRACTS
        """,
    }
    run = suite.run({**_CONFTESTS, **(deeper if not order else {})}, f"--isolate-imports={mode}", *order)
    assert run.outcomes == {"passed": 2 if order else 4}
    assert run.kinds == []


_PACKAGES = {
    "cli/tests/__init__.py": "",
    "cli/tests/util.py": "VALUE = 'cli'\n",
    "cli/tests/test_cli.py": """\
        from tests.util import VALUE

        def test_value():
            assert VALUE == "cli"
    """,
    "tests/__init__.py": "",
    "tests/util.py": "VALUE = 'main'\n",
    "tests/test_main.py": """\
        from tests.util import VALUE

        def test_value():
            assert VALUE == "main"
    """,
}
_ADVICE = "Give one of the two packages another name, or put an __init__.py into cli too and import from cli.tests there."


@pytest.mark.parametrize("mode", ["prepend", "append", "importlib"])
def test_two_packages_of_one_name_are_told_with_advice_that_cures(suite: Suite, mode: str) -> None:
    run = suite.run(_PACKAGES, f"--import-mode={mode}")
    assert set(run.outcomes) & {"failed", "error"}
    leak = run.leak("name-clash", "tests")
    assert leak["advice"] == _ADVICE
    assert leak["location"] is None  # pytest imports the packages
    assert leak["exposed"][0]["outcome"] != "passed" or mode == "importlib"
    assert f"To cure it:\n    {_ADVICE}" in run.output
    assert "--isolate-imports=file" not in run.output
    # What it says cures.
    cure = {
        "cli/__init__.py": "",
        "cli/tests/test_cli.py": _PACKAGES["cli/tests/test_cli.py"].replace("tests.", "cli.tests."),
    }
    run = suite.run(cure, f"--import-mode={mode}")
    assert run.outcomes == {"passed": 2}
    assert run.kinds == []


def test_a_package_in_a_folder_that_can_be_none_is_to_be_renamed(suite: Suite) -> None:
    files = {name.replace("cli/tests", "my-cli/tests"): text for name, text in _PACKAGES.items()}
    run = suite.run({**files, "my-cli/__init__.py": ""})
    assert run.leak("name-clash", "tests")["advice"] == "Give one of the two packages another name."
    renamed = {name.replace("my-cli/tests", "my-cli/checks"): text for name, text in files.items()}
    checks = renamed["my-cli/checks/test_cli.py"].replace("tests.", "checks.")
    (suite.root / "my-cli" / "tests").rename(suite.root / "my-cli" / "checks")
    run = suite.run({**renamed, "my-cli/checks/test_cli.py": checks})
    assert run.outcomes == {"passed": 2}
    assert run.kinds == []


@pytest.mark.parametrize("mode", ["prepend", "append"])
def test_a_package_that_is_not_collected_is_met_only_where_it_comes_first(suite: Suite, mode: str) -> None:
    files = {
        "cli/checks/__init__.py": "",
        "cli/checks/test_cli.py": "def test_it(): pass\n",
        **{name: text for name, text in _PACKAGES.items() if name != "cli/tests/test_cli.py"},
    }
    run = suite.run(files, "cli/checks", "tests", f"--import-mode={mode}", ini="pythonpath = .")
    assert run.outcomes == {"passed": 2}
    assert run.kinds == []


def test_a_package_that_no_test_imports_by_name_is_told_too(suite: Suite) -> None:
    files = {
        name: text if name.endswith("__init__.py") else "def test_it(): pass\n"
        for name, text in _PACKAGES.items()
        if not name.endswith("util.py")
    }
    run = suite.run(files)
    assert run.outcomes == {"error": 1}
    assert run.leak("name-clash", "tests")["detail"] == (
        "The import at tests/test_main.py:1 means tests/__init__.py and gets cli/tests/__init__.py, "
        "which is loaded already."
    )


_BOARD = {
    "board/__init__.py": "SIDE = 'app'\n",
    "tests/board/__init__.py": "SIDE = 'tests'\n",
    "tests/test_a.py": """\
        import sys
        from pathlib import Path
        sys.path.insert(0, str(Path(__file__).parent.parent))

        def test_side():
            import board
            assert board.SIDE == "app"
    """,
}


def test_a_clash_that_a_conftest_made_is_a_warning_and_hinted(suite: Suite) -> None:
    run = suite.run({**_BOARD, "tests/conftest.py": "import board\n"}, "--import-leak-fail")
    assert run.outcomes == {"failed": 1}
    leak = run.leak("name-clash", "board")
    assert (leak["severity"], leak["polluter"]["phase"]) == ("warning", "conftest")
    assert "means board/__init__.py and gets tests/board/__init__.py" in leak["detail"]
    assert "something imported here had been changed" in run.output
    assert suite.run({"tests/conftest.py": ""}).outcomes == {"passed": 1}


def test_the_directory_of_a_conftest_beside_that_comes_first(suite: Suite) -> None:
    files = {
        "a/conftest.py": "",
        "a/helper.py": "name = 'a'\n",
        "a/test_a.py": "def test_a():\n    import helper\n    assert helper.name == 'a'\n",
        "b/conftest.py": "",
        "b/helper.py": "name = 'b'\n",
        "b/test_b.py": "def test_b(): pass\n",
    }
    run = suite.run(files, "a", "b")
    assert run.outcomes == {"passed": 1, "failed": 1}
    leak = run.leak("name-clash", "helper")
    assert leak["severity"] == "warning"
    assert leak["polluter"] == {"nodeid": "b/conftest.py", "phase": "conftest"}
    assert suite.run({}, "a").outcomes == {"passed": 1}


def test_symbolic_links_make_no_clash(suite: Suite) -> None:
    suite.write({"real/app/__init__.py": "from app import part\n", "real/app/part.py": ""})
    (suite.root / "link").symlink_to(suite.root / "real", target_is_directory=True)
    run = suite.run(
        {
            "real/app/test_it.py": "def test_it():\n    import app.part\n",
            "conftest.py": "import os, sys\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), 'link'))\n",
        },
        "real",
    )
    assert run.outcomes == {"passed": 1}
    assert [kind for kind in run.kinds if kind[0] == "name-clash"] == []


def test_a_directory_that_a_test_file_inserts_hides_a_module_of_the_project(suite: Suite) -> None:
    inserting = """
        import os, sys
        sys.path.insert(0, os.path.join(os.path.dirname(__file__), "other"))
        import settings

        def test_own():
            assert settings.SIDE == "other"
            import shop
            assert shop.SIDE == "other"
    """
    files = {
        "app/settings.py": "SIDE = 'app'\n",
        "app/shop.py": "from settings import SIDE\n",
        "other/settings.py": "SIDE = 'other'\n",
        "test_a.py": inserting,
        "test_b.py": """
            import settings

            def test_b():
                assert settings.SIDE == "app"
        """,
    }
    run = suite.run(files, ini="pythonpath = app\n")
    assert run.outcomes == {"passed": 1, "failed": 1}
    leak = run.leak("name-clash", "settings")
    assert leak["detail"] == (
        "The import at test_b.py:2 means app/settings.py and gets other/settings.py, which is loaded already."
    )
    assert (leak["polluter"], leak["severity"]) == ({"nodeid": "test_a.py", "phase": "collect"}, "error")
    assert [kind for kind, _ in run.kinds].count("name-clash") == 1
    assert "name-clash by test_a.py (collect), at test_a.py:4" in run.output
    isolated = suite.run({}, "--isolate-imports=file", ini="pythonpath = app\n")
    assert isolated.outcomes == {"passed": 2}


def test_what_a_conftest_puts_before_the_project_is_a_decision(suite: Suite) -> None:
    run = suite.run(
        {
            "app/settings.py": "SIDE = 'app'\n",
            "app/shop.py": "from settings import SIDE\n",
            "tests/stubs/settings.py": "SIDE = 'stub'\n",
            "tests/conftest.py": """
                import os, sys
                sys.path.insert(0, os.path.join(os.path.dirname(__file__), "stubs"))
            """,
            "tests/test_a.py": "import shop\ndef test_a(): assert shop.SIDE == 'stub'\n",
        },
        ini="pythonpath = app\n",
    )
    assert run.outcomes == {"passed": 1}
    assert [kind for kind, _ in run.kinds if kind == "name-clash"] == []


def test_each_test_that_gets_the_module_of_another_directory_is_exposed(suite: Suite) -> None:
    run = suite.run(
        {
            "a/helpers/__init__.py": "",
            "a/helpers/more.py": "WHO = 'a'\n",
            "a/test_a.py": "import helpers.more\ndef test_a(): pass\n",
            "b/helpers/__init__.py": "",
            "b/helpers/more.py": "WHO = 'b'\n",
            "b/test_b.py": """
                import pytest

                def who():
                    from helpers.more import WHO
                    return WHO

                def test_import():
                    import helpers.more
                    assert helpers.more.WHO == "b"

                def test_from():
                    from helpers import more
                    assert more.WHO == "b"

                @pytest.mark.parametrize("n", [1, 2])
                def test_by_function(n):
                    assert who() == "b"
            """,
        }
    )
    leak = run.leak("name-clash", "helpers")
    names = ["import", "from", "by_function[1]", "by_function[2]"]
    assert [met["nodeid"] for met in leak["exposed"]] == [f"b/test_b.py::test_{name}" for name in names]
    assert run.output.count("name-clash by a/test_a.py (collect), at a/test_a.py:1") == 4
    assert "modules that were executed before" not in run.output


def test_a_function_that_imports_at_each_call_has_the_finders_asked_once(suite: Suite) -> None:
    conftest = """
        import sys
        asked = []
        class Finder:
            @staticmethod
            def find_spec(name, path=None, target=None):
                asked.append(name)
        sys.meta_path.insert(0, Finder)
        import pytest
        @pytest.fixture
        def count():
            return lambda: asked.count("utils")
    """
    orders = """
        import utils
        def use():
            import utils
            return utils.name
        def test_orders(count):
            use()
            before = count()
            assert {use() for _ in range(50)} == {"orders"}
            assert count() <= before + 1
    """
    payments = {
        "payments/utils.py": "",
        "payments/test_payments.py": "def test_payments():\n    import utils",
    }
    run = suite.run({**_ORDERS, "conftest.py": conftest, "orders/test_orders.py": orders, **payments})
    assert run.outcomes == {"passed": 2}
    assert ("name-clash", "utils") in run.kinds


def test_the_same_import_is_told_if_the_module_was_changed_since_it_was_well(suite: Suite) -> None:
    orders = """
        import os, sys
        def use():
            import utils
            return utils.name
        def test_orders():
            assert use() == "orders"
            del sys.modules["utils"]
            sys.path.insert(0, os.path.abspath("payments"))
            assert use() == "payments"
            assert use() == "payments"
            del sys.path[0], sys.modules["utils"]
    """
    payments = {
        "payments/utils.py": "name = 'payments'",
        "payments/test_payments.py": "def test_payments():\n    import utils",
    }
    run = suite.run({**_ORDERS, "orders/test_orders.py": orders, **payments})
    assert ("name-clash", "utils") in run.kinds


_WITHOUT_OPTION = "Give the two modules different names, or put each into a package."
_ABOVE = {
    "tests/conftest.py": "",
    "tests/helpers.py": "A = 1\n",
    "tests/other/helpers.py": "B = 1\n",
    "tests/other/test_other.py": "import helpers\n\ndef test_other(): pass\n",
}


@pytest.mark.parametrize(
    ("files", "polluter"),
    [
        # Pytest keeps the directory of the other file on the path, before the one above this file.
        (
            {**_ABOVE, "tests/zeta/test_z.py": "def test_z():\n    import os, helpers\n    helpers.A\n"},
            "other",
        ),
        (
            {
                **_ABOVE,
                "tests/zeta/test_z.py": """\
                    def test_z():
                        import pkgutil
                        pkgutil.resolve_name("helpers:A")
                """,
            },
            "other",
        ),
        # A conftest above the file loaded the other one: it is there for the file alone, too.
        (
            {
                "conftest.py": """\
                    import sys, pathlib
                    sys.path.insert(0, str(pathlib.Path(__file__).parent / "vendor"))
                    import helpers
                """,
                "vendor/helpers.py": "",
                "tests/helpers.py": "A = 1\n",
                "tests/test_z.py": "def test_z():\n    from helpers import A\n",
            },
            "conftest.py",
        ),
    ],
)
def test_no_option_is_advised_that_does_not_cure(suite: Suite, files: dict[str, str], polluter: str) -> None:
    run = suite.run(files)
    assert run.outcomes["failed"] == 1
    leak = run.leak("name-clash", "helpers")
    assert polluter in leak["polluter"]["nodeid"]
    assert leak["advice"] == _WITHOUT_OPTION
    assert f"To cure it:\n    {_WITHOUT_OPTION}" in run.output
    assert suite.run({}, "--isolate-imports=file").outcomes["failed"] == 1
    # What it says cures.
    renamed = {name: text.replace("helpers", "of_tests") for name, text in files.items() if "_z" in name}
    run = suite.run({**renamed, "tests/of_tests.py": "A = 1\n"})
    assert "failed" not in run.outcomes
    assert ("name-clash", "helpers") not in run.kinds


@pytest.mark.parametrize("folder", ["tests/alpha", "tests/zeta"])
def test_a_conftest_above_that_is_imported_in_a_test_alone(suite: Suite, folder: str) -> None:
    of_test = "tests" if folder == "tests/zeta" else "tests/beta"
    files = {
        "tests/conftest.py": "A = 1\n",
        f"{folder}/conftest.py": "B = 1\n",
        f"{folder}/test_other.py": "def test_other(): pass\n",
        f"{of_test}/test_above.py": "def test_above():\n    from conftest import A\n",
    }
    run = suite.run(files)
    assert run.outcomes == {"passed": 1, "failed": 1}
    leak = run.leak("name-clash", "conftest")
    assert leak["polluter"] == {"nodeid": f"{folder}/conftest.py", "phase": "conftest"}
    assert leak["detail"] == (
        f"The import at {of_test}/test_above.py:2 means tests/conftest.py and gets {folder}/conftest.py, "
        "which is loaded already."
    )
    assert "something imported here had been changed" in run.output
    assert suite.run({}, "--isolate-imports=file").outcomes == {"passed": 2}


def test_a_package_of_tests_is_imported_by_the_files_in_it(suite: Suite) -> None:
    files = {f"{name}/tests/__init__.py": "" for name in ("first", "second")}
    files |= {"first/tests/test_a.py": "def test_a(): pass\n", "second/tests/sub/__init__.py": ""}
    run = suite.run({**files, "second/tests/sub/test_b.py": "def test_b(): pass\n"})
    assert run.outcomes == {"error": 1}
    leak = run.leak("name-clash", "tests")
    assert "The import at second/tests/sub/test_b.py:1 means second/tests/__init__.py" in leak["detail"]
    assert [one["file"] for one in leak["exposed"]] == ["second/tests/sub/test_b.py"]
