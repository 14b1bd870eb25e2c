"""In which phase of a test a change was made, whether users' code runs beside the call or not."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

#: Each makes the change in the phase that it says: of the tests named ``test_it``, in files of these names.
_CHANGING: Final = {
    "call": {"test_a.py": "def test_it():\n    change()"},
    "call: parameters": {
        "test_a.py": "@pytest.mark.parametrize('one', [1])\ndef test_it(one, tmp_path, capsys):\n    change()"
    },
    "call: unittest": {
        "test_a.py": """
        class TestIt(unittest.TestCase):
            def test_it(self):
                self.addCleanup(change)
        """
    },
    "call: before a teardown": {
        "test_a.py": """
        @pytest.fixture
        def mine(): yield
        def test_it(mine): change()
        """
    },
    "setup: fixture": {
        "test_a.py": """
        @pytest.fixture
        def mine(): change()
        def test_it(mine): pass
        """
    },
    "setup: fixture of a conftest": {
        "conftest.py": """
        @pytest.fixture(autouse=True)
        def everywhere(request):
            if request.node.name == "test_it": change()
        """,
        "test_a.py": "def test_it(): pass",
    },
    "setup: xunit": {
        "test_a.py": """
        class TestIt:
            def setup_method(self): change()
            def test_it(self): pass
        """
    },
    "setup: hook": {
        "conftest.py": "def pytest_runtest_setup(item): change()",
        "test_a.py": "def test_it(): pass",
    },
    "setup: item": {
        "conftest.py": """
        class Mine(pytest.Function):
            def setup(self):
                super().setup()
                change()

        def pytest_pycollect_makeitem(collector, name, obj):
            if name == "test_it":
                return Mine.from_parent(collector, name=name)
        """,
        "test_a.py": "def test_it(): pass",
    },
    "setup: collector": {
        "conftest.py": """
        class Mine(pytest.Module):
            def setup(self): change()

        def pytest_pycollect_makemodule(module_path, parent):
            return Mine.from_parent(parent, path=module_path)
        """,
        "test_a.py": "def test_it(): pass",
    },
    "teardown: fixture": {
        "test_a.py": """
        @pytest.fixture
        def mine():
            yield
            change()
        def test_it(mine): pass
        """
    },
    "teardown: fixture of a conftest": {
        "conftest.py": """
        @pytest.fixture
        def mine():
            yield
            change()
        """,
        "test_a.py": "def test_it(mine): pass",
    },
    "call: helper beside a fixture of a conftest": {
        "conftest.py": """
        @pytest.fixture
        def mine():
            yield change
        """,
        "test_a.py": "def test_it(mine): mine()",
    },
    "teardown: asked for in the call": {
        "test_a.py": """
        @pytest.fixture
        def mine():
            yield
            change()
        def test_it(request): request.getfixturevalue("mine")
        """
    },
    "teardown: finalizer": {"test_a.py": "def test_it(request):\n    request.addfinalizer(change)"},
    "teardown: monkeypatch": {
        "test_a.py": """
        class Strange:
            def __setattr__(self, name, value):
                change() if value == 1 else None
                object.__setattr__(self, name, value)
        def test_it(monkeypatch):
            strange = Strange()
            object.__setattr__(strange, "x", 1)
            monkeypatch.setattr(strange, "x", 2)
        """
    },
    "teardown: xunit": {
        "test_a.py": """
        class TestIt:
            def teardown_method(self): change()
            def test_it(self): pass
        """
    },
    "teardown: hook": {
        "conftest.py": """
        def pytest_runtest_teardown(item):
            change() if item.name == "test_it" else None
        """,
        "test_a.py": "def test_it(): pass",
    },
    "teardown: fixture of several tests": {
        "conftest.py": """
        @pytest.fixture(scope="module")
        def mine():
            yield
            change()
        """,
        "test_a.py": "def test_other(mine): pass\ndef test_it(): pass",
    },
}
#: What is changed, with a name for whoever looks for it.
_CHANGES: Final = {
    "entry": "sys.modules['planted'] = types.ModuleType('planted')",
    "contents": "colorsys.ONE_THIRD = 0",
}
_BEGIN: Final = """\
import colorsys, sys, types, unittest, pytest
DONE = []
def change():
    if not DONE:
        DONE.append(1)
        {change}
"""


@pytest.mark.parametrize("what", _CHANGES)
@pytest.mark.parametrize("case", _CHANGING)
def test_the_phase_in_which_a_change_was_made_is_told(suite: Suite, case: str, what: str) -> None:
    begin, bare = _BEGIN.format(change=_CHANGES[what]), "of a conftest" in case
    files = {
        f"tests/{file}": dedent(text) if bare and file == "test_a.py" else begin + dedent(text)
        for file, text in _CHANGING[case].items()
    }
    run = suite.run({**files, "tests/test_b.py": "def test_later(): pass"})
    name = {"entry": "planted", "contents": "colorsys.ONE_THIRD"}[what]
    (leak,) = [leak for leak in run.leaks if leak["name"] == name]
    assert leak["polluter"]["phase"] == case.partition(":")[0]


def test_a_test_that_is_run_again_is_looked_at_from_its_setup_on(suite: Suite) -> None:
    run = suite.run(
        {
            "conftest.py": """
                from _pytest.runner import runtestprotocol

                def pytest_runtest_protocol(item, nextitem):
                    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
                    for number in range(2):
                        item.config.number = number
                        runtestprotocol(item, nextitem=nextitem, log=number == 1)
                    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
                    return True
            """,
            "test_a.py": """
                import sys, types

                def test_it(pytestconfig):
                    if pytestconfig.number == 0:
                        sys.modules["planted"] = types.ModuleType("planted")
            """,
        }
    )
    (leak,) = [leak for leak in run.leaks if leak["severity"] == "error"]
    assert (leak["name"], leak["polluter"]["phase"]) == ("planted", "call")


_DECORATORS: Final = """
    import functools

    def said(function):
        @functools.wraps(function)
        def inner(*args, **kwargs):
            return function(*args, **kwargs)
        return inner

    def unsaid(function):
        def inner():
            return function()
        inner.__name__ = function.__name__
        return inner

    def made(function):
        return unsaid(said(function))
"""


@pytest.mark.parametrize("scope", ["function", "module", "session"])
@pytest.mark.parametrize("decorator", ["said", "unsaid", "made"])
def test_a_fixture_in_a_decorator_of_a_library_is_that_of_its_conftest(
    suite: Suite, decorator: str, scope: str
) -> None:
    run = suite.run(
        {
            "pytest.ini": "[pytest]\npythonpath = site-packages\n",
            "site-packages/decorators.py": _DECORATORS,
            "conftest.py": f"""
                import sys, types, pytest, decorators

                @pytest.fixture(scope="{scope}")
                @decorators.{decorator}
                def mine():
                    sys.modules["planted"] = types.ModuleType("planted")
                    return lambda: None
            """,
            "test_a.py": "def test_it(mine): pass",
            "test_b.py": "def test_later(): import planted",
        }
    )
    (leak,) = [leak for leak in run.leaks if leak["name"] == "planted"]
    whose = {"function": "test_a.py::test_it", "module": "test_a.py", "session": "conftest.py"}[scope]
    assert (leak["polluter"]["nodeid"], leak["polluter"]["phase"]) == (whose, "setup")
    assert leak["severity"] == ("warning" if scope == "session" else "error")  # a conftest decides for all


@pytest.mark.parametrize("decorator", ["said", "made"])
def test_a_hook_in_a_decorator_of_a_library_is_that_of_its_conftest(suite: Suite, decorator: str) -> None:
    decorate = {"said": "decorators.said", "made": "functools.partial(decorators.said)"}[decorator]
    run = suite.run(
        {
            "pytest.ini": "[pytest]\npythonpath = site-packages\n",
            "site-packages/decorators.py": _DECORATORS,
            "conftest.py": f"""
                import functools, sys, types, decorators

                @{decorate}
                def pytest_runtest_setup(item):
                    sys.modules["planted"] = types.ModuleType("planted")
            """,
            "test_a.py": "def test_it(): import planted",
        }
    )
    (leak,) = [leak for leak in run.leaks if leak["name"] == "planted"]
    assert leak["polluter"]["phase"] == "setup"
