"""Modules of one name in several directories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

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
