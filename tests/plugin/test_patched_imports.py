"""Modules that are first imported while something is patched for longer than a test, or for good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Run, Suite

_APP: Final = {
    "shop/__init__.py": "",
    "shop/config.py": "MODE = 'live'\n",
    "shop/settings.py": "import os\nURL = os.environ.get('INP_URL', 'live')\n",
    "shop/modes.py": "from shop.config import MODE\n",
    "pytest.ini": "[pytest]\npythonpath = .\n",
    "test_b.py": """
        def test_settings():
            from shop.settings import URL
            assert URL == "live"

        def test_modes():
            from shop.modes import MODE
            assert MODE == "live"
        """,
}
_BLOCK: Final = """
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("INP_URL", "local")
                patch.setattr("shop.config.MODE", "test")
                yield
"""


def _tainted(run: Run) -> list[tuple[str, str, str]]:
    """Return the severity, the module and the polluter of what is tainted."""
    return [
        (leak["severity"], leak["name"], leak["polluter"]["nodeid"])
        for leak in run.leaks
        if leak["kind"] == "tainted"
    ]


def _by(nodeid: str) -> list[tuple[str, str, str]]:
    return [("error", "shop.settings", nodeid), ("error", "shop.modes", nodeid)]


@pytest.mark.parametrize("scope", ["class", "module"])
def test_a_fixture_patches_for_several_tests(suite: Suite, scope: str) -> None:
    files: dict[str, Any] = {
        **_APP,
        "test_a.py": f"""
        import pytest
        import shop.config

        @pytest.fixture(scope="{scope}")
        def patched():{_BLOCK}
        class TestIt:
            def test_first(self, patched):
                pass

            def test_second(self, patched):
                import shop.settings
                import shop.modes
        """,
    }
    run = suite.run(files, "--import-leak-report")
    assert _tainted(run) == _by("test_a.py::TestIt::test_second")
    assert "INP_URL was set by a fixture" in run.leak("tainted", "shop.settings")["detail"]
    assert suite.run(files, "--isolate-imports=file").outcomes == {"passed": 4}


def test_a_class_of_unittest_patches_for_its_tests(suite: Suite) -> None:
    files: dict[str, Any] = {
        **_APP,
        "test_a.py": """
        import os
        import unittest
        from unittest import mock
        import shop.config

        class TestIt(unittest.TestCase):
            @classmethod
            def setUpClass(cls):
                cls.patches = mock.patch.dict(os.environ, INP_URL="local"), mock.patch("shop.config.MODE", "test")
                for patch in cls.patches:
                    patch.start()

            @classmethod
            def tearDownClass(cls):
                for patch in cls.patches:
                    patch.stop()

            def test_first(self):
                pass

            def test_second(self):
                import shop.settings
                import shop.modes
        """,
    }
    assert _tainted(suite.run(files, "--import-leak-report")) == _by("test_a.py::TestIt::test_second")


def test_what_fixtures_inside_of_each_other_set_is_told_apart(suite: Suite) -> None:
    run = suite.run(
        {
            "outer.py": "import os\nMODE = os.environ['INP_MODE']\n",
            "later.py": "import os\nMODE = os.environ.get('INP_MODE')\n",
            "pytest.ini": "[pytest]\npythonpath = .\n",
            "test_a.py": """
            import pytest

            @pytest.fixture(scope="module", autouse=True)
            def module_wide():
                with pytest.MonkeyPatch.context() as patch:
                    patch.setenv("INP_MODE", "module")
                    yield

            class TestIt:
                @pytest.fixture(scope="class", autouse=True)
                def class_wide(self):
                    with pytest.MonkeyPatch.context() as patch:
                        patch.setenv("INP_MODE", "class")
                        yield

                def test_first(self):
                    pass

            def test_outer():
                import outer
                assert outer.MODE == "module"
            """,
            "test_b.py": """
            def test_later():
                import later
                assert later.MODE is None

            def test_outer():
                from outer import MODE
                assert MODE is None
            """,
        },
        "--import-leak-report",
    )
    assert _tainted(run) == [("error", "outer", "test_a.py::test_outer")]


def test_a_fixture_that_all_tests_have_taints_nothing(suite: Suite) -> None:
    files = {name: text for name, text in _APP.items() if not name.startswith("test")}
    test = "def test_first():\n    pass\n\ndef test_second():\n    import shop.settings, shop.modes\n"
    files |= {
        "conftest.py": f"""
        import pytest
        import shop.config

        @pytest.fixture(scope="module", autouse=True)
        def patched():{_BLOCK}""",
        "test_a.py": test,
        "test_b.py": test,
    }
    assert _tainted(suite.run(files, "--import-leak-report")) == []


def test_no_option_is_named_for_a_variable_that_a_test_left(suite: Suite) -> None:
    run = suite.run(
        {
            **_APP,
            "test_a.py": """
            import os

            def test_it():
                os.environ["INP_URL"] = "local"
                import shop.settings
            """,
        },
        "--import-leak-report",
    )
    assert _tainted(run) == [("error", "shop.settings", "test_a.py::test_it")]
    assert "Change the variable with monkeypatch" in run.leak("tainted", "shop.settings")["advice"]
    assert "--isolate-imports" not in run.output


_AT_THE_TOP: Final = """
    import os
    from unittest.mock import patch
    import shop.config

    with patch.dict(os.environ, INP_URL="local"), patch("shop.config.MODE", "test"):
        try:
            import nothing_of_that_name
        except ImportError:
            pass
        import shop.settings
        import shop.modes

    def test_it():
        assert (shop.settings.URL, shop.modes.MODE) == ("local", "test")
"""


@pytest.mark.parametrize("options", [(), ("--import-mode=importlib",)], ids=["prepend", "importlib"])
def test_a_file_patches_while_it_is_imported(suite: Suite, options: tuple[str, ...]) -> None:
    files = {**_APP, "tests/__init__.py": "", "tests/test_a.py": _AT_THE_TOP}
    run = suite.run(files, "--import-leak-report", *options)
    assert _tainted(run) == _by("tests/test_a.py")
    settings = run.leak("tainted", "shop.settings")
    assert (
        settings["detail"] == "It was first imported while INP_URL was set by the file, and it stays loaded."
    )
    assert (settings["polluter"]["phase"], settings["location"]["line"]) == ("collect", 11)
    for text, contained in (
        (_AT_THE_TOP, False),
        (f"{_AT_THE_TOP}\n    sys.modules['smtplib'] = sys\n", True),
    ):
        files["tests/test_a.py"] = f"    import sys\n{text}"
        isolated = suite.run(files, "--isolate-imports=file", *options)
        assert isolated.outcomes == ({"passed": 3} if contained else {"passed": 1, "failed": 2})
        # Others share what it imported, unless the file has a world of its own for another reason.
        told = {leak["contained"] for leak in isolated.report["leaks"] if leak["kind"] == "tainted"}
        assert told == {contained}


def test_what_is_there_for_all_tests_taints_nothing(suite: Suite) -> None:
    run = suite.run(
        {
            **{name: text for name, text in _APP.items() if name != "test_b.py"},
            "loud.py": "import os\nos.environ['INP_LOUD'] = '1'\nLOUD = os.environ['INP_LOUD']\n",
            "test_a.py": """
            import os
            os.environ["INP_URL"] = "local"
            import loud
            from shop import settings, modes

            def test_it():
                assert settings.URL == "local"
            """,
            # Pytest loads it when it collects the directory, after the file.
            "tests/conftest.py": """
            import os
            from unittest.mock import patch

            with patch.dict(os.environ, INP_WORD="word"):
                import word
            """,
            "word.py": "import os\nWORD = os.environ.get('INP_WORD')\n",
            "tests/test_b.py": """
            from shop.settings import URL
            import word

            def test_it():
                assert (URL, word.WORD) == ("local", "word")
            """,
        },
        "--import-leak-report",
    )
    assert run.outcomes == {"passed": 2}
    assert _tainted(run) == []
