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


_WATCHED = """
import atexit
from pytest_import_isolation.contents.ledger import CONTENTS

atexit.register(lambda: print("watched:", sorted({space.home for space in CONTENTS.take()})))
"""


def test_test_files_are_not_watched_though_they_are_named(suite: Suite) -> None:
    run = suite.run(
        {
            "site-packages/tells.py": _WATCHED,
            "shop.py": "RATE = 5\n",
            "test_a.py": "URLS = 'test_a'\nclass TestA:\n    rate = 5\n    def test_it(self): type(self).rate = 6\n",
            "test_b.py": "import shop, test_a\ndef test_it(): shop.RATE = test_a.TestA.rate = 7\n",
        },
        "-p",
        "tells",
        "--import-leak-report",
        env={"PYTHONPATH": f"{suite.python_path}:{suite.root / 'site-packages'}"},
    )
    watched = run.output.rpartition("watched: ")[2].split("\n")[0]
    assert "'shop'" in watched
    assert "'test_a'" not in watched
    assert run.kinds == [("attribute-left", "shop.RATE")]


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


# The text of the test says neither the name of the module nor that it writes to one; that of the conftest does.
_PATCHING = {
    "shop/__init__.py": "",
    "shop/rates.py": "def rate():\n    return 5\n",
    "tests/test_a.py": """
        class Thing: pass

        def test_thing():
            thing = Thing()
            setattr(thing, "rate", 5)

        def test_other(): pass
        """,
    "tests/test_b.py": """
        def test_rate(request):
            from shop import rates
            assert rates.rate() == (6 if "patching" in request.fixturenames else 5)
        """,
}


@pytest.mark.parametrize(
    "mode", ["--import-leak-report", *(f"--isolate-imports={m}" for m in ("file", "test"))]
)
def test_what_a_fixture_patches_in_a_module_that_it_imports_first_is_no_leak(suite: Suite, mode: str) -> None:
    conftest = """
        import pytest

        @pytest.fixture(autouse=True)
        def patching(monkeypatch):
            from shop import rates
            monkeypatch.setattr(rates, "rate", lambda: 6)
        """
    run = suite.run({**_PATCHING, "tests/conftest.py": conftest}, mode, "-o", "pythonpath=.")
    assert run.outcomes == {"passed": 3}
    assert [leak for leak in run.report["leaks"] if leak["kind"] == "attribute-left"] == []


_HELPERS = {
    "tests/conftest.py": "from helping import patching\n",
    "tests/helping.py": """
        import pytest

        @pytest.fixture(autouse=True)
        def patching(monkeypatch):
            from shop import rates
            monkeypatch.setattr(rates, "rate", lambda: 6)
        """,
}


def test_what_a_helper_patches_in_a_module_that_it_imports_first_is_no_leak(suite: Suite) -> None:
    run = suite.run({**_PATCHING, **_HELPERS}, "--isolate-imports=test", "-o", "pythonpath=. tests")
    assert run.outcomes == {"passed": 3}
    assert [leak for leak in run.report["leaks"] if leak["kind"] == "attribute-left"] == []


def test_what_a_fixture_leaves_in_a_module_that_it_imports_first_is_told(suite: Suite) -> None:
    conftest = """
        import pytest

        @pytest.fixture(scope="module", autouse=True)
        def own(): pass

        @pytest.fixture
        def rude():
            from shop import rates
            rates.rate = lambda: 6
        """
    files = {**_PATCHING, "tests/conftest.py": conftest, "tests/test_a.py": "def test_it(rude): pass\n"}
    run = suite.run(files, "--import-leak-report", "-o", "pythonpath=.")
    assert run.outcomes == {"passed": 1, "failed": 1}
    leak = run.leak("attribute-left", "shop.rates.rate")
    assert leak["polluter"] == {"nodeid": "tests/test_a.py::test_it", "phase": "setup"}
    assert leak["location"]["file"] == "tests/conftest.py"
    assert leak["location"]["line"] == 10
    assert leak["detail"].endswith("it is the function conftest.<lambda> now.")


_TAINTING = {
    "shop/__init__.py": "",
    "shop/rates.py": "def rate():\n    return 5\n",
    "shop/carts.py": "from shop import rates\n\nRATE = rates.rate()\n",
    "tests/test_a.py": "def test_a():\n    import shop.carts\n\ndef test_b(): pass\n",
    "tests/test_b.py": "def test_c(): pass\n",
}
_FIXTURE = """
    import pytest

    @pytest.fixture(autouse={autouse})
    def patching(monkeypatch):
        from shop import rates
        monkeypatch.setattr(rates, "rate", lambda: 6)
    """


def test_what_a_fixture_patches_for_each_test_taints_no_module_that_one_of_them_imports(suite: Suite) -> None:
    files = {**_TAINTING, "tests/conftest.py": _FIXTURE.format(autouse=True)}
    run = suite.run(files, "--import-leak-report", "-o", "pythonpath=.")
    assert run.outcomes == {"passed": 3}
    assert run.leaks == []


def test_what_a_fixture_patches_for_some_tests_taints_a_module_that_one_of_them_imports(suite: Suite) -> None:
    files = {
        **_TAINTING,
        "tests/conftest.py": _FIXTURE.format(autouse=False),
        "tests/test_a.py": "def test_a(patching):\n    import shop.carts\n\ndef test_b(patching): pass\n",
    }
    run = suite.run(files, "--import-leak-report", "-o", "pythonpath=.")
    assert run.outcomes == {"passed": 3}
    assert run.kinds == [("tainted", "shop.carts")]


_NO_VERSIONS = """
    from pytest_import_isolation.machinery import dict_versions

    dict_versions._make_cell = None  # as from CPython 3.14 on
    """


@pytest.mark.parametrize("mode", ["--import-leak-report", "--isolate-imports=file"])
def test_what_a_file_leaves_in_a_library_that_it_names_is_told_without_versions_too(
    suite: Suite, mode: str
) -> None:
    files = {
        "no_versions.py": _NO_VERSIONS,
        "test_a.py": "def test_it(): pass\n",
        "test_b.py": "import json\njson.loads = len\n\ndef test_it(): pass\n",
        "test_c.py": "import json\n\ndef test_it():\n    json.dumps = len\n",
    }
    run = suite.run(files, mode, "-p", "no_versions", env={"PYTHONPATH": suite.python_path})
    assert run.outcomes == {"passed": 3}
    assert {leak["name"]: leak["location"]["line"] for leak in run.leaks} == {
        "json.loads": 2,
        "json.dumps": 4,
    }


_COPIES = {
    "shop.py": "RATES = {'low': 5}\n",
    "test_a.py": """
        import os, shop

        class TestRates:
            def setup_method(self):
                self.rates = shop.RATES.copy()
                self.environ = dict(os.environ)
                shop.RATES["low"] = 1
                os.environ["SHOP"] = "closed"

            def teardown_method(self):
                shop.RATES = self.rates
                os.environ = self.environ

            def test_low(self):
                assert shop.RATES["low"] == 1
        """,
    "test_b.py": """
        import os, shop

        def test_rates():
            assert shop.RATES["low"] == 5
            assert "SHOP" not in os.environ
        """,
}


@pytest.mark.parametrize("mode", ["--import-leak-report", "--isolate-imports=file", "--isolate-imports=test"])
def test_what_a_test_puts_back_as_a_copy_stays(suite: Suite, mode: str) -> None:
    run = suite.run(_COPIES, mode)
    assert run.outcomes == {"passed": 2}
    assert run.kinds == []


def test_what_takes_the_place_of_a_submodule_is_told_once(suite: Suite) -> None:
    # json is loaded long before a test names it, and nobody has looked at what it holds.
    run = suite.run({"test_it.py": "import json\njson.scanner = 1\ndef test_it(): pass\n"})
    assert [(leak["kind"], leak["name"]) for leak in run.leaks if leak["severity"] != "info"] == [
        ("stale-attribute", "json.scanner")
    ]


@pytest.mark.parametrize("mode", [[], ["--isolate-imports=file"], ["--isolate-imports=test"]])
def test_a_library_is_looked_at_before_the_test_file_that_names_it_runs(
    suite: Suite, mode: list[str]
) -> None:
    run = suite.run(
        {
            "conftest.py": "import colorsys, string",
            "test_a.py": "def test_a(): pass\n",
            "test_b.py": "import colorsys\ncolorsys.ONE_THIRD = 1\ndef test_b(): pass\n",
            "test_c.py": """
                import string

                def test_one(): string.digits = "1"

                def test_two(): pass
                """,
            "test_d.py": """
                import colorsys, string

                def test_d(): assert (string.digits, colorsys.ONE_THIRD) == ("0123456789", 1 / 3)
                """,
        },
        *mode,
    )
    assert {leak["name"]: leak["polluter"]["nodeid"] for leak in run.leaks if leak["severity"] != "info"} == {
        "colorsys.ONE_THIRD": "test_b.py",
        "string.digits": "test_c.py::test_one",
    }
    assert run.outcomes == ({"passed": 5} if mode else {"passed": 4, "failed": 1})
