"""A place in the report is a line of the user's project, and the one that was executed at that time."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Run, Suite


def _place(leak: dict[str, Any]) -> tuple[str, int, str]:
    return leak["location"]["file"], leak["location"]["line"], leak["polluter"]["phase"]


def _met(leak: dict[str, Any]) -> list[tuple[str, str, int]]:
    return [(met["nodeid"], met["file"], met["line"]) for met in leak["exposed"]]


def _imported_here(run: Run) -> list[str]:
    return [line.strip() for line in run.output.splitlines() if line.startswith("    imported here at ")]


def test_a_library_that_imports_for_a_test_leaves_the_place_to_the_test(suite: Suite) -> None:
    run = suite.run(
        {
            "app/__init__.py": "",
            "app/db.py": "X = 1",
            "app/svc.py": "from app.db import X",
            "test_a.py": "from unittest.mock import patch\n\ndef test_a(): pass",
            "test_b.py": """\
                import pkgutil
                from unittest.mock import patch

                def _of_the_project(name):
                    return pkgutil.resolve_name(name)

                def test_b():
                    with patch("app.svc.X", 2):
                        pass

                def test_helper():
                    _of_the_project("wave:open")
            """,
            "test_c.py": """\
                import sys
                from unittest.mock import MagicMock
                sys.modules["app.db"] = MagicMock()

                def test_c(): pass
            """,
        },
    )
    tainted = run.leak("tainted", "app.svc")
    assert tainted["polluter"] == {"nodeid": "test_b.py::test_b", "phase": "call"}
    assert _place(tainted) == ("test_b.py", 8, "call")
    assert tainted["chain"] == [{"module": "app.svc", "file": "test_b.py", "line": 8}]
    assert tainted["detail"] == (
        "It was first imported while app.db was a unittest.mock.MagicMock, left by test_c.py, "
        "and still depends on that."
    )
    wave = run.leak("loaded", "wave")
    assert _place(wave) == ("test_b.py", 5, "call")
    assert wave["chain"] == [
        {"module": "test_b", "file": "test_b.py", "line": 12},
        {"module": "wave", "file": "test_b.py", "line": 5},
    ]


def test_what_only_libraries_import_has_the_place_of_the_project_that_led_there(suite: Suite) -> None:
    run = suite.run("def test_it():\n    import xml.dom.minidom\n")
    assert _place(run.leak("loaded", "xml.dom.domreg")) == ("test_it.py", 2, "call")
    for leak in run.report["leaks"]:
        assert leak["location"] is None or leak["location"]["file"] == "test_it.py", leak


def test_a_file_is_loaded_twice_by_the_line_and_in_the_phase_of_the_second_import(suite: Suite) -> None:
    run = suite.run(
        {
            "app/__init__.py": "",
            "app/engine.py": "",
            "app/main.py": "__path__ = [__file__.rpartition('/')[0]]\nfrom app import engine",
            "test_it.py": """\
                from unittest import mock
                from app import main

                def test_it():
                    with mock.patch("app.main.engine.start", create=True):
                        pass
            """,
        },
    )
    assert _place(run.leak("twice-loaded", "app.main.engine")) == ("test_it.py", 5, "call")


def test_a_second_execution_under_a_fake_is_tainted_at_the_second_import(suite: Suite) -> None:
    run = suite.run(
        {
            "lib/__init__.py": "",
            "lib/model.py": """\
                try:
                    from engine import Engine
                except ImportError:
                    Engine = None
                class Model: pass
            """,
            "lib/provider.py": "from lib.model import Model",
            "test_it.py": """\
                import importlib, sys, types

                def test_primer():
                    from lib.provider import Model

                def test_polluter(monkeypatch):
                    fake = types.ModuleType("engine")
                    fake.Engine = type("Engine", (), {})
                    sys.modules.pop("lib.model")
                    monkeypatch.setitem(sys.modules, "engine", fake)
                    importlib.import_module("lib.model")

                def test_victim():
                    from lib.model import Model
                    from lib.provider import Model as held
                    assert held is Model
            """,
        },
    )
    assert _place(run.leak("tainted", "lib.model")) == ("test_it.py", 11, "call")
    assert run.leak("tainted", "lib.model")["chain"][-1]["line"] == 11
    replaced = run.leak("replaced", "lib.model")
    assert _met(replaced) == [("test_it.py::test_victim", "test_it.py", 14)]
    assert "    replaced by test_it.py::test_polluter (call), at test_it.py:11\n" in run.output


def test_an_exposure_has_the_statement_that_asked_for_the_very_name(suite: Suite) -> None:
    run = suite.run(
        {
            "app/__init__.py": "",
            "app/pins.py": "def pins(): return 1",
            "app/wires.py": "from app.pins import pins",
            "app/gui.py": """\
                import app.wires

                def handle():
                    from app.pins import pins
                    return pins()
            """,
            "test_a.py": """\
                def test_one():
                    from app.gui import handle
                    assert handle() == 1

                def test_two():
                    from app.gui import handle
                    assert handle() == 1
            """,
            "test_b.py": """\
                import sys
                from unittest.mock import MagicMock
                sys.modules.setdefault("app.pins", MagicMock())

                def test_b(): pass
            """,
        },
    )
    assert _met(run.leak("fake-left", "app.pins")) == [
        ("test_a.py::test_one", "app/gui.py", 4),
        ("test_a.py::test_two", "app/gui.py", 4),
    ]
    assert _imported_here(run)[0] == "imported here at app/gui.py:4"


@pytest.mark.parametrize("mode", ["off", "test"])
def test_what_a_library_or_a_thread_reloads_has_a_place_in_the_project(suite: Suite, mode: str) -> None:
    run = suite.run(
        {
            "lib/site-packages/reloader.py": "import importlib\ndef again(module): importlib.reload(module)\n",
            "shop.py": "",
            "stock.py": "",
            "test_it.py": """\
                import importlib, threading
                import reloader, shop, stock

                def test_library():
                    reloader.again(shop)

                def test_thread():
                    thread = threading.Thread(target=importlib.reload, args=(stock,))
                    thread.start()
                    thread.join()
            """,
        },
        f"--isolate-imports={mode}",
        ini="pythonpath = lib/site-packages\n",
    )
    assert run.leak("reloaded", "shop")["location"] == {"file": "test_it.py", "line": 5, "exact": True}
    place = run.leak("reloaded", "stock")["location"]
    # The main thread was at one of these when the other one reloaded.
    assert (place["file"], place["exact"]) == ("test_it.py", False)
    assert place["line"] in (9, 10)


def test_a_fake_that_a_thread_imports_is_met_in_the_project(suite: Suite) -> None:
    run = suite.run(
        """\
        import importlib, sys, threading, types

        def test_fake():
            sys.modules["fake"] = types.ModuleType("fake")

        def test_thread():
            thread = threading.Thread(target=importlib.import_module, args=("fake",))
            thread.start()
            thread.join()
        """
    )
    [(nodeid, file, line)] = _met(run.leak("fake-left", "fake"))
    assert (nodeid, file) == ("test_it.py::test_thread", "test_it.py")
    assert line in (8, 9)


_BY_DECORATOR = {
    "app/__init__.py": "from app.core import answer\n",
    "app/core.py": "import os\nURL = os.environ.get('URL9')\ndef answer(): return 42\n",
    "app/answer.py": "X = 1\n",
    "app/svc.py": "from app.db import X\n",
    "app/conf.py": "import os\nURL = os.environ.get('URL9', '')\n",
    "app/main.py": "__path__ = [__file__.rpartition('/')[0]]\n",
    "app/db.py": "X = 1\n",
}


@pytest.mark.parametrize(
    ("decorator", "kind", "name"),
    [
        ("@mock.patch('app.svc.X', 2)", "tainted", "app.svc"),
        ("@mock.patch.dict(os.environ, URL9='x')\n@mock.patch('app.conf.URL', 2)", "tainted", "app.conf"),
        ("@mock.patch('app.main.core.URL', 2)", "twice-loaded", "app.main.core"),
        pytest.param(
            *("@mock.patch('app.answer.X', 2)", "attribute-left", "app.answer"),
            marks=pytest.mark.skipif(
                sys.version_info < (3, 11), reason="mock takes the attribute, and imports nothing"
            ),
        ),
    ],
)
@pytest.mark.parametrize("place", ["a function", "a method", "a setUp"])
def test_what_a_decorator_imports_has_the_line_of_the_decorator(
    suite: Suite, place: str, decorator: str, kind: str, name: str
) -> None:
    head = """
import os, unittest
from unittest import mock

def test_first():
    assert "app.svc.X", "app.conf.URL"
    assert "app.main.core.URL", "app.answer.X"

"""
    bodies = {
        "a function": f"{decorator}\ndef test_it(): pass\n",
        "a method": f"class TestIt:\n{indent(decorator)}\n    def test_it(self): pass\n",
        "a setUp": f"class TestIt(unittest.TestCase):\n{indent(decorator)}\n"
        "    def setUp(self): pass\n    def test_it(self): pass\n",
    }
    if place == "a setUp":
        head = head.replace(', "app', ' or "other').replace('"app', '"other')
    text = head.lstrip() + bodies[place]
    run = suite.run(
        {
            **_BY_DECORATOR,
            "test_0.py": "import sys\nfrom unittest import mock\nsys.modules['app.db'] = mock.MagicMock()\n"
            "def test_0(): pass\n",
            "test_a.py": text,
        }
    )
    line = next(n for n, written in enumerate(text.splitlines(), 1) if "patch('app" in written)
    assert run.leak(kind, name)["location"] == {"file": "test_a.py", "line": line, "exact": False}


def indent(text: str) -> str:
    """Return a text as the body of a class has it."""
    return "    " + text.replace("\n", "\n    ")


def test_a_frozen_module_of_the_standard_library_is_no_place(suite: Suite) -> None:
    run = suite.run(
        {
            "app/__init__.py": "import flag\nON = flag.ON\n",
            "app/main.py": "",
            "flag.py": "import os\nON = os.environ.get('ON9')\n",
            "test_a.py": """
                import runpy

                def test_a(monkeypatch):
                    monkeypatch.setenv("ON9", "1")
                    runpy.run_module("app.main")
            """,
            "test_b.py": "def test_b():\n    import app\n    assert not app.ON\n",
        }
    )
    assert _place(run.leak("tainted", "flag"))[:2] == ("app/__init__.py", 1)
    leaks = [leak for leak in run.report["leaks"] if leak["name"] == "app"]
    assert [_place(leak)[:2] for leak in leaks] == [("test_a.py", 6)]


def test_who_meets_a_leak_through_a_decorator_is_told_the_decorator(suite: Suite) -> None:
    run = suite.run(
        {
            "app/__init__.py": "",
            "app/core.py": "LIMIT = 5\n",
            "test_a.py": """
                import sys, types, app.core

                def test_a():
                    app.core.LIMIT = 6
                    sys.modules["app.other"] = types.ModuleType("app.other")
                    sys.modules["app.other"].x = 1
            """,
            "test_b.py": """
                from unittest import mock

                @mock.patch("app.core.LIMIT", 7)
                def test_contents(): assert 0

                @mock.patch("app.other.x", 7)
                def test_entry(): assert 0

                unsaid = "app." + "other.x"

                @mock.patch(unsaid, 7)
                def test_unsaid(): assert 0

                @mock.patch("app.other.x", 7)
                class TestIt:
                    def test_it(self): assert 0
            """,
        }
    )
    assert run.outcomes == {"passed": 1, "failed": 4}
    met = {one["nodeid"].rpartition("::")[2]: one for leak in run.leaks for one in leak["exposed"]}
    lines = {name: (one["file"], one["line"]) for name, one in met.items()}
    assert lines == {
        "test_contents": ("test_b.py", 4),
        "test_entry": ("test_b.py", 7),
        "test_unsaid": ("test_b.py", 12),
        "test_it": ("test_b.py", 17),
    }
    assert "imported here at test_b.py:4" in run.output


@pytest.mark.parametrize("is_watched", [False, True])
def test_a_line_is_not_claimed_for_code_that_is_called_too_often_to_be_watched(
    suite: Suite, is_watched: bool
) -> None:
    run = suite.run(
        {
            "app.py": """
                import sys

                def load(extra):
                    if extra:
                        sys.path.insert(0, extra)

                def late():
                    return len(sys.path)

                def run(extra=None):
                    load(extra)
                    if extra:
                        late()
            """,
            "test_a.py": f"""
                import app, sys

                def test_often():
                    for _ in range(300):
                        app.run()

                def test_path():
                    app.run("/folder")
                    {"assert sys.path" if is_watched else "assert app"}
            """,
        }
    )
    assert run.outcomes == {"passed": 2}
    leak = run.leak("path-added", "/folder")
    assert (leak["location"]["file"], leak["location"]["line"]) == ("test_a.py", 9)
    # The statement of a file that is watched was seen to begin.
    assert leak["location"]["exact"] is is_watched
    assert leak["chain"] == []


@pytest.mark.parametrize("mode", ["off", "test"])
def test_what_a_thread_imports_that_executes_installed_code_only_has_no_place(
    suite: Suite, mode: str
) -> None:
    run = suite.run(
        {
            "lib/site-packages/loading.py": "def load():\n    import loaded\n",
            "lib/site-packages/loaded.py": "import within\n",
            "lib/site-packages/within.py": "",
            "test_it.py": """\
                import loading, threading

                def test_thread():
                    thread = threading.Thread(target=loading.load)
                    thread.start()
                    thread.join()
            """,
        },
        f"--isolate-imports={mode}",
        ini="pythonpath = lib/site-packages\n",
    )
    assert run.outcomes == {"passed": 1}
    found = {leak["name"]: leak for leak in run.report["leaks"]}
    for name in ("loaded", "within"):
        assert (found[name]["kind"], found[name]["location"], found[name]["chain"]) == ("loaded", None, [])
        assert found[name]["polluter"]["nodeid"] == "test_it.py::test_thread"
