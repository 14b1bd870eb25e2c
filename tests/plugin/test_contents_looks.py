"""When the contents of modules are looked at: not after tests whose code could not write to any."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Run, Suite

_COUNTS = """
import atexit
from pytest_import_isolation.contents.ledger import Contents

original, looks = Contents.take, []

def take(self):
    looks.append(1)
    return original(self)

Contents.take = take
atexit.register(lambda: print(f"\\nlooks: {len(looks)}"))
"""
_TESTS = "import shop\n" + "".join(f"def test_{n}():\n    assert shop.RATE == 5\n" for n in range(50))
_CLASSES = _TESTS + "class TestIt:\n    def test_it(self):\n        self.rate = shop.RATE\n"


def _looks(run: Run) -> int:
    return int(run.output.rpartition("looks: ")[2].split()[0])


@pytest.mark.parametrize(
    "options",
    [
        ("--import-leak-report",),
        ("--isolate-imports=test",),
        ("--isolate-imports=test", "--import-leak-report"),
    ],
)
def test_no_test_is_looked_at_whose_code_cannot_write_to_modules(
    suite: Suite, options: tuple[str, ...]
) -> None:
    files = {
        "site-packages/counts.py": _COUNTS,
        "shop.py": "RATE = 5\n",
        "conftest.py": "import shop\n",
    }
    environment = {"PYTHONPATH": f"{suite.python_path}:{suite.root / 'site-packages'}"}

    def looks(tests: str) -> int:
        return _looks(suite.run({**files, "test_a.py": tests}, "-p", "counts", *options, env=environment))

    assert 0 < looks(_CLASSES) < 40
    assert looks(_CLASSES + "def test_last():\n    shop.RATE = 5\n") > 50


_CONFTEST = {
    "shop.py": "RATE = 5\n",
    "conftest.py": """
        import pytest, shop

        @pytest.fixture
        def cheap():
            shop.RATE = 1
        """,
    "test_a.py": "def test_one(cheap): pass\ndef test_two(): pass\n",
    "test_b.py": "import shop\ndef test_shop(): assert shop.RATE == 5\n",
}


def test_what_a_fixture_of_a_conftest_leaves_is_told_of_the_test_that_used_it(suite: Suite) -> None:
    run = suite.run(_CONFTEST, "--import-leak-report")
    assert run.outcomes == {"passed": 2, "failed": 1}
    assert run.blamed("attribute-left", "shop.RATE") == ("test_a.py::test_one", "setup")
    assert run.leak("attribute-left", "shop.RATE")["location"]["file"] == "conftest.py"


def test_what_a_fixture_of_a_conftest_leaves_is_undone(suite: Suite) -> None:
    run = suite.run(_CONFTEST, "--isolate-imports=test", "--import-leak-fail")
    assert run.outcomes == {"passed": 3}
    assert run.leak("attribute-left", "shop.RATE")["contained"]


_TOOLS = {
    "shop/__init__.py": "",
    "shop/rates.py": "def rate():\n    return 5\n",
    "shop/testing.py": """
        from unittest import TestCase
        from unittest.mock import patch

        class Case(TestCase):
            def setUp(self):
                patch("shop.rates.rate").start()
        """,
    "tests/test_a.py": """
        from shop.testing import Case

        class TestShop(Case):
            def test_shop(self):
                self.assertTrue(self)
        """,
    "tests/test_b.py": """
        from shop import rates

        def test_rate():
            assert rates.rate() == 5
        """,
}


def test_a_mock_that_the_test_tools_of_an_application_leave_is_told(suite: Suite) -> None:
    run = suite.run(_TOOLS, "--import-leak-report", "-o", "pythonpath=.")
    assert run.outcomes == {"passed": 1, "failed": 1}
    assert run.blamed("attribute-left", "shop.rates.rate")[0] == "tests/test_a.py::TestShop::test_shop"


def test_a_mock_that_the_test_tools_of_an_application_leave_is_undone(suite: Suite) -> None:
    run = suite.run(_TOOLS, "--isolate-imports=test", "--import-leak-fail", "-o", "pythonpath=.")
    assert run.outcomes == {"passed": 2}
    assert run.leak("attribute-left", "shop.rates.rate")["contained"]


def test_a_submodule_that_a_fixture_of_a_class_imports_stays_bound_until_its_end(suite: Suite) -> None:
    files = {
        "shop/__init__.py": "def rates():\n    return 5\n",
        "shop/rates.py": "",
        "test_a.py": """
            import pytest, shop

            class TestShop:
                @pytest.fixture(scope="class", autouse=True)
                def bound(self):
                    import shop.rates

                def test_one(self):
                    assert shop.rates.__name__ == "shop.rates"

                def test_two(self):
                    assert shop.rates.__name__ == "shop.rates"
            """,
    }
    assert suite.run(files, "--isolate-imports=test").outcomes["passed"] == 2
