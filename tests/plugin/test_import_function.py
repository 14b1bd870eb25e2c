"""What is left in the place of ``builtins.__import__`` is told, contained, and named to its victims."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

_FAKE = """\
import builtins
from unittest import mock

real = builtins.__import__

def fake(name, *args, **more):
    if name == "colorsys":
        raise ImportError("no colorsys")
    return real(name, *args, **more)
"""
_LEAVING = {
    "test_a.py": f"""{_FAKE}
def test_first():
    builtins.__import__ = fake
""",
    "test_b.py": """
        def test_second():
            import colorsys

        def test_third():
            assert False
        """,
}


def test_it_is_told_with_its_line_and_to_the_failing_test_that_called_it(suite: Suite) -> None:
    run = suite.run(_LEAVING, "--import-leak-fail", "--import-leak-effects")
    assert run.outcomes == {"passed": 1, "failed": 2}
    leak = run.leak("rebound", "builtins.__import__")
    assert run.kinds == [("rebound", "builtins.__import__")]  # and not as an effect
    assert leak["severity"] == "error"
    assert leak["polluter"] == {"nodeid": "test_a.py::test_first", "phase": "call"}
    assert (leak["location"]["file"], leak["location"]["line"]) == ("test_a.py", 12)
    assert leak["detail"] == "Every import statement calls the function test_a.fake now."
    assert [(met["nodeid"], met["file"], met["line"]) for met in leak["exposed"]] == [
        ("test_b.py::test_second", "test_b.py", 3)
    ]
    assert "rebound by test_a.py::test_first (call)" in run.output
    assert run.output.count("imported here at test_b.py:3") == 1


@pytest.mark.parametrize("mode", ["file", "test"])
def test_isolation_contains_it(suite: Suite, mode: str) -> None:
    files = {**_LEAVING, "test_b.py": "def test_second():\n    import colorsys\n"}
    run = suite.run(files, f"--isolate-imports={mode}", "--import-leak-fail")
    assert (run.status, run.outcomes) == (0, {"passed": 2})
    assert run.leak("rebound", "builtins.__import__")["contained"]


@pytest.mark.parametrize(
    ("statement", "line"),
    [
        ("setattr(builtins, '__import__', fake)", 12),
        ("mock.patch('builtins.__import__', side_effect=fake).start()", 12),
    ],
)
def test_other_ways_to_leave_it_are_seen(suite: Suite, statement: str, line: int) -> None:
    files = {**_LEAVING, "test_a.py": f"{_FAKE}\ndef test_first():\n    {statement}\n"}
    leak = suite.run(files).leak("rebound", "builtins.__import__")
    assert leak["location"]["line"] == line
    assert [met["nodeid"] for met in leak["exposed"]] == ["test_b.py::test_second"]


def test_what_a_file_leaves_at_its_collection_is_told_to_the_file_that_cannot_be_collected(
    suite: Suite,
) -> None:
    files = {
        "test_a.py": f"{_FAKE}\nbuiltins.__import__ = fake\n\ndef test_first(): pass\n",
        "test_b.py": "import colorsys\n\ndef test_second(): pass\n",
    }
    run = suite.run(files)
    assert run.blamed("rebound", "builtins.__import__") == ("test_a.py", "collect")
    assert run.leak("rebound", "builtins.__import__")["exposed"][0]["nodeid"] == "test_b.py"
    assert suite.run({}, "--isolate-imports=file").outcomes == {"passed": 2}


@pytest.mark.parametrize(
    "body",
    [
        "monkeypatch.setattr('builtins.__import__', fake)",
        "with mock.patch('builtins.__import__', fake): pass",
        "builtins.__import__ = fake; builtins.__import__ = real",
    ],
)
def test_what_is_put_back_is_no_leak(suite: Suite, body: str) -> None:
    test_file = f"{_FAKE}\ndef test_first(monkeypatch):\n    {body}\n"
    run = suite.run(
        {**_LEAVING, "test_a.py": test_file, "test_b.py": "def test_second():\n    import colorsys\n"}
    )
    assert run.outcomes == {"passed": 2}
    assert run.kinds == []


def test_who_puts_it_back_later_is_no_polluter(suite: Suite) -> None:
    files = {
        **_LEAVING,
        "test_b.py": """
            import builtins

            def test_second():
                builtins.__import__ = __import__("test_a").real
            """,
    }
    run = suite.run(files)
    assert run.blamed("rebound", "builtins.__import__") == ("test_a.py::test_first", "call")


def test_what_an_installed_library_does_is_no_leak(suite: Suite) -> None:
    library = """
        import builtins
        def install():
            before = builtins.__import__
            def around(name, *args, **more):
                return before(name, *args, **more)
            builtins.__import__ = around
        """
    called = {
        "site-packages/hooklib.py": library,
        "site-packages/hooked.py": f"{library}\n        install()\n",
        "test_a.py": """
            def test_called():
                import hooklib
                hooklib.install()

            def test_imported():
                import hooked
            """,
    }
    run = suite.run(called, ini="pythonpath = site-packages")
    assert run.outcomes == {"passed": 2}
    assert run.kinds == []


def test_a_decision_of_a_conftest_is_a_warning(suite: Suite) -> None:
    files = {"conftest.py": f"{_FAKE}\nbuiltins.__import__ = fake\n", "test_a.py": "def test_first(): pass\n"}
    run = suite.run(files, "--import-leak-fail")
    assert run.status == 0
    assert run.leak("rebound", "builtins.__import__")["severity"] == "warning"


_FEATURE = """
    try:
        from colorsys import rgb_to_hsv
    except ImportError:
        rgb_to_hsv = None
"""
_REFUSING = {
    "monkeypatch": """
        def test_first(monkeypatch):
            monkeypatch.setattr(builtins, "__import__", fake)
            import feature
            assert feature.rgb_to_hsv is None
    """,
    "mock": """
        def test_first():
            with mock.patch("builtins.__import__", side_effect=fake):
                import feature
            assert feature.rgb_to_hsv is None
    """,
    "a finder": """
        import sys

        class Refusing:
            def find_spec(self, name, path=None, target=None):
                if name == "colorsys":
                    raise ImportError(name)

        def test_first(monkeypatch):
            monkeypatch.setattr(sys, "meta_path", [Refusing(), *sys.meta_path])
            import feature
            assert feature.rgb_to_hsv is None
    """,
}
_VICTIM = "def test_second():\n    import feature\n    assert feature.rgb_to_hsv\n"


@pytest.mark.parametrize("way", _REFUSING)
def test_a_module_that_goes_on_without_what_a_test_refused_is_tainted(suite: Suite, way: str) -> None:
    files = {
        "feature.py": _FEATURE,
        "test_a.py": _FAKE + dedent(_REFUSING[way]),
        "test_b.py": _VICTIM,
    }
    run = suite.run(files)
    assert run.kinds == [("tainted", "feature")]
    leak = run.leak("tainted", "feature")
    assert leak["severity"] == "error"
    assert leak["polluter"] == {"nodeid": "test_a.py::test_first", "phase": "call"}
    assert [met["nodeid"] for met in leak["exposed"]] == ["test_b.py::test_second"]
    assert suite.run(files, "--isolate-imports=file").outcomes == {"passed": 2}
    marked = "import pytest\npytestmark = pytest.mark.isolated_imports(fresh='feature')\n"
    cured = suite.run({**files, "test_a.py": marked + files["test_a.py"]})
    assert cured.outcomes == {"passed": 2}


def test_a_module_that_got_all_it_asked_for_is_not(suite: Suite) -> None:
    feature = """
        try:
            import os.path, xml.sax as sax
            from json import dumps
            from xml import dom
        except ImportError:
            sax = None
    """
    victim = "def test_second():\n    import feature\n    assert 0\n"
    test = _FAKE + dedent(_REFUSING["monkeypatch"]).replace("feature.rgb_to_hsv is None", "feature.sax")
    assert suite.run({"feature.py": feature, "test_a.py": test, "test_b.py": victim}).kinds == []


def test_nor_is_one_that_goes_on_without_what_is_not_installed(suite: Suite) -> None:
    feature = """
        try:
            import xml.etree.cElementTree as tree
        except ImportError:
            import xml.etree.ElementTree as tree
        try:
            import gone_for_long as gone
            from json import faster
        except ImportError:
            gone = None
    """
    victim = "def test_second():\n    import feature\n    assert feature.gone\n"
    test = _FAKE + dedent(_REFUSING["monkeypatch"]).replace("feature.rgb_to_hsv is None", "feature.tree")
    assert suite.run({"feature.py": feature, "test_a.py": test, "test_b.py": victim}).kinds == []


def test_nor_is_one_that_goes_on_without_what_a_library_refuses(suite: Suite) -> None:
    library = _FAKE + "def use():\n    builtins.__import__ = fake\n"
    test = "import library\ndef test_first():\n    library.use()\n    import feature\n"
    files = {
        "lib/site-packages/library.py": library,
        "feature.py": _FEATURE,
        "test_a.py": test,
        "test_b.py": _VICTIM,
    }
    assert suite.run(files, ini="pythonpath = . lib/site-packages\n").kinds == []
