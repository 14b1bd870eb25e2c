"""What a failing test is told of modules that were loaded, or executed, before it."""

from __future__ import annotations

import re
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from tests.conftest import TAKES_LONG

if TYPE_CHECKING:
    from tests.plugin.conftest import Run, Suite


@pytest.fixture(autouse=True)
def _wide(suite: Suite) -> None:
    """Let no line of a section be wrapped."""
    suite.columns = 1000


_EXECUTED = "modules that were executed before"
_LOADED = "modules that were loaded before"


def _sections(run: Run, title: str) -> list[str]:
    """Return the texts of all sections of failure reports with a title."""
    rule = re.compile(rf"^-+ {title} -+\n(.*?)(?=^[-_=]{{3,}}|\Z)", re.MULTILINE | re.DOTALL)
    return [text.rstrip() for text in rule.findall(run.output)]


_PLUG = {
    "plug/__init__.py": "",
    "plug/registry.py": """\
        TASKS = {}

        def task(name):
            def register(cls):
                TASKS[name] = cls
                return cls
            return register

        def load_all():
            import importlib
            import pkgutil
            from plug import tasks
            for info in pkgutil.iter_modules(tasks.__path__, "plug.tasks."):
                importlib.import_module(info.name)

        def get(name):
            if name not in TASKS:
                load_all()
            return TASKS[name]
    """,
    "plug/tasks/__init__.py": "",
    "plug/tasks/sums.py": """\
        from plug.registry import task

        @task("sums")
        class Sums:
            pass
    """,
    "test_a_sums.py": "from plug.tasks.sums import Sums\n\ndef test_sums(): pass\n",
    "test_b_registry.py": """\
        import pytest
        from plug import registry

        @pytest.fixture(autouse=True)
        def clean():
            saved = dict(registry.TASKS)
            registry.TASKS.clear()
            yield
            registry.TASKS.clear()
            registry.TASKS.update(saved)

        {mark}
        def test_recovery():
            assert registry.get("sums").__name__ == "Sums"
    """,
}


def _plug(mark: str = "") -> dict[str, str]:
    return {**_PLUG, "test_b_registry.py": _PLUG["test_b_registry.py"].replace("{mark}", mark)}


@pytest.mark.parametrize("options", [(), pytest.param(("-n1",), marks=TAKES_LONG), ("--tb=short",)])
def test_a_registry_that_was_filled_before_is_told_with_what_executes_it_anew(
    suite: Suite, options: tuple[str, ...]
) -> None:
    run = suite.run(_plug(), *options, plugins=("xdist",))
    assert run.outcomes == {"passed": 1, "failed": 1}
    remedy = '@pytest.mark.isolated_imports(fresh="plug.tasks.sums")'
    assert _sections(run, _EXECUTED) == [
        "plug.tasks.sums was first executed by test_a_sums.py (collect), at test_a_sums.py:1; to import it again "
        "executes nothing.\n"
        "If the test needs what that did, such as a registration, have it executed anew:\n"
        f"    {remedy}"
    ]
    # What it says cures.
    assert suite.run(_plug(remedy), *options, plugins=("xdist",)).outcomes == {"passed": 2}
    assert suite.run(_plug(), "test_b_registry.py", *options, plugins=("xdist",)).outcomes == {"passed": 1}


def test_a_test_of_which_nothing_ran_misses_no_module(suite: Suite) -> None:
    files = _plug()
    files["test_b_registry.py"] += """
        def test_misspelt(unkown):
            assert registry.get("sums").__name__ == "Sums"
    """
    run = suite.run(files)
    assert run.outcomes == {"passed": 1, "failed": 1, "error": 1}
    assert len(_sections(run, _EXECUTED)) == 1


_SHOP = {
    "shop/__init__.py": """\
        routes = None

        def create_app():
            global routes
            routes = {}
            from shop import views
            return routes
    """,
    "shop/views.py": "from shop import routes\nroutes['/'] = 'hello'\n",
    "test_site.py": """\
        import pytest
        from shop import create_app

        {mark}

        @pytest.fixture
        def client():
            return create_app()

        def test_index(client):
            assert client.get("/") == "hello"

        @pytest.mark.parametrize("number", [1, 2])
        def test_index_again(client, number):
            assert client.get("/") == "hello"
    """,
}


def _shop(mark: str = "") -> dict[str, str]:
    return {**_SHOP, "test_site.py": _SHOP["test_site.py"].replace("{mark}", mark)}


def test_routes_that_a_fixture_of_another_test_registered_are_told(suite: Suite) -> None:
    run = suite.run(_shop())
    assert run.outcomes == {"passed": 1, "failed": 2}
    remedy = '@pytest.mark.isolated_imports(fresh="shop.views")'
    told = _sections(run, _EXECUTED)
    assert len(told) == 2
    assert told[0].startswith(
        "shop.views was first executed by test_site.py::test_index (setup), at shop/__init__.py:6; "
    )
    assert told[0].endswith(remedy)
    assert suite.run(_shop(f"pytestmark = {remedy[1:]}")).outcomes == {"passed": 3}


def test_a_module_that_was_forgotten_in_between_is_told_once_by_its_last_execution(suite: Suite) -> None:
    imports = "def test_it():\n    import settings\n"
    debug = """
        {mark}
        def test_debug(monkeypatch):
            monkeypatch.setenv("SHOP_DEBUG", "1")
            from settings import DEBUG
            assert DEBUG
    """
    files = {
        "settings.py": "import os\nDEBUG = os.environ.get('SHOP_DEBUG') == '1'\n",
        "test_a.py": imports,
        "test_b.py": imports + dedent(debug.format(mark="")),
    }
    run = suite.run(files, "--isolate-imports=file")
    (told,) = _sections(run, _EXECUTED)
    assert told.splitlines()[0] == (
        "settings was first executed by test_b.py::test_it (call), at test_b.py:2; to import it again executes "
        "nothing."
    )
    remedy = '@pytest.mark.isolated_imports(fresh="settings")'
    assert told.splitlines()[-1] == f"    {remedy}"
    cured = {"test_b.py": "import pytest\n" + imports + dedent(debug.format(mark=remedy))}
    assert suite.run(cured, "--isolate-imports=file").outcomes == {"passed": 3}


def test_settings_that_were_read_before_are_told(suite: Suite) -> None:
    test = """\
        import pytest

        {mark}
        def test_debug(monkeypatch):
            monkeypatch.setenv("SHOP_DEBUG", "1")
            from shop.settings import DEBUG
            assert DEBUG
    """
    files = {
        "shop/__init__.py": "",
        "shop/settings.py": "import os\nDEBUG = os.environ.get('SHOP_DEBUG') == '1'\n",
        "test_a.py": "def test_a():\n    import shop.settings\n",
    }
    run = suite.run({**files, "test_b.py": test.replace("{mark}", "")})
    remedy = '@pytest.mark.isolated_imports(fresh="shop.settings")'
    assert [told.splitlines()[0] for told in _sections(run, _EXECUTED)] == [
        "shop.settings was first executed by test_a.py::test_a (call), at test_a.py:2; to import it again "
        "executes nothing."
    ]
    assert remedy in run.output
    assert suite.run({**files, "test_b.py": test.replace("{mark}", remedy)}).outcomes == {"passed": 2}


@pytest.mark.parametrize(
    "test",
    [
        "def test_b():\n    assert False",  # imports nothing
        "import shop.views\n\ndef test_b():\n    import shop.views\n    assert False",  # would execute it itself
        "import user\n\ndef test_b():\n    import shop.views\n    assert False",  # so it would here
        "def test_b():\n    import only_here\n    assert False",
        "def test_b():\n    import from_conftest\n    assert False",
        "def test_b():\n    import wave\n    assert False",
        "import pytest\n\n@pytest.mark.xfail\ndef test_b():\n    import shop.views\n    assert False",
    ],
)
def test_nothing_is_told_that_does_not_differ_when_the_test_is_run_alone(suite: Suite, test: str) -> None:
    files = {
        "conftest.py": "import from_conftest\n",
        "from_conftest.py": "",
        "only_here.py": "print()\n",
        "user.py": "import shop.views\n",
        "shop/__init__.py": "",
        "shop/views.py": "print()\n",
        "test_a.py": "import shop.views, wave\n\ndef test_a(): pass\n",
        "test_b.py": test,
    }
    run = suite.run(files)
    assert run.outcomes["passed"] == 1
    assert _EXECUTED not in run.output


_GUARDS = """\
    import sys
    import unittest
    import pytest

    HEAVY = {"xmlrpc"}
    {mark}

    @pytest.fixture
    def checked():
        assert HEAVY.isdisjoint(sys.modules)

    def test_fixture(checked):
        pass

    @pytest.mark.parametrize("name", ["xmlrpc.client"])
    def test_parameter(name):
        assert name not in sys.modules

    def test_fail():
        if "xmlrpc" in sys.modules:
            pytest.fail("too early")

    class TestIt(unittest.TestCase):
        def test_method(self):
            self.assertNotIn("xmlrpc", sys.modules)
"""


def test_who_loaded_what_should_be_absent_is_told_with_a_mark_that_cures(suite: Suite) -> None:
    files = {"test_a.py": "import xmlrpc.client\n\ndef test_a(): pass\n"}
    run = suite.run({**files, "test_b.py": _GUARDS.replace("{mark}", "")})
    assert run.outcomes == {"passed": 1, "failed": 3, "error": 1}
    told = _sections(run, _LOADED)
    assert len(told) == 4
    assert {text.splitlines()[0] for text in told} == {
        "xmlrpc was first imported by test_a.py (collect), at test_a.py:1.",
        "xmlrpc.client was first imported by test_a.py (collect), at test_a.py:1.",
    }
    mark = told[0].splitlines()[-1].strip()
    assert mark == '@pytest.mark.isolated_imports(unloaded="xmlrpc")'
    assert suite.run(
        {**files, "test_b.py": _GUARDS.replace("{mark}", f"pytestmark = {mark[1:]}")}
    ).outcomes == {"passed": 5}


@pytest.mark.parametrize("alone", [True, False])
def test_the_advised_guard_fails_in_the_whole_run_where_it_fails_alone(suite: Suite, alone: bool) -> None:
    test = """\
        import sys
        import pytest

        {mark}
        def test_{name}_does_not_load_xmlrpc():
            import {name}
            assert "xmlrpc.client" not in sys.modules
    """
    files = {
        "heavy.py": "import xmlrpc.client\n",
        "light.py": "def export():\n    import xmlrpc.client\n",
        "test_a.py": "import heavy, light\n\ndef test_a(): pass\n",
        **{
            f"test_{name}.py": test.replace("{name}", name).replace("{mark}", "")
            for name in ("heavy", "light")
        },
    }
    mark = '@pytest.mark.isolated_imports(unloaded="*")'
    if not alone:
        run = suite.run(files)
        assert run.outcomes == {"passed": 1, "failed": 2}
        told = _sections(run, _LOADED)
        assert [text.splitlines()[-1].strip() for text in told] == [mark, mark]
        assert (
            "heavy refers to it and was executed before, so that importing it again proves nothing."
            in told[0]
        )
    files.update(
        {f"test_{n}.py": test.replace("{name}", n).replace("{mark}", mark) for n in ("heavy", "light")}
    )
    run = suite.run(files, *(["test_heavy.py", "test_light.py"] if alone else []))
    assert run.outcomes == {"passed": 1 if alone else 2, "failed": 1}
    assert "FAILED test_heavy.py" in run.output


def test_a_guard_that_looks_for_an_attribute_of_the_package_is_told_a_mark_that_cures(suite: Suite) -> None:
    files = {
        "app/__init__.py": "",
        "app/part.py": "",
        "test_a.py": "def test_a():\n    import app.part\n",
        "test_b.py": """\
            import pytest

            {mark}
            def test_b():
                import app
                assert not hasattr(app, "part")
        """,
    }
    guard = files["test_b.py"]
    run = suite.run({**files, "test_b.py": guard.replace("{mark}", "")})
    assert run.outcomes == {"passed": 1, "failed": 1}
    (told,) = _sections(run, _LOADED)
    first, *_, mark = map(str.strip, told.splitlines())
    assert first == "app.part was first imported by test_a.py::test_a (call), at test_a.py:2."
    assert suite.run({**files, "test_b.py": guard.replace("{mark}", mark)}).outcomes == {"passed": 2}


def test_a_test_that_only_writes_to_the_table_is_told_of_no_guard(suite: Suite) -> None:
    run = suite.run(
        {
            "app.py": "",
            "test_a.py": "import app\n\ndef test_a(): pass\n",
            "test_b.py": """\
                import sys
                import types

                def test_b(monkeypatch):
                    monkeypatch.setitem(sys.modules, "app", types.ModuleType("app"))
                    assert len("answer") == 42
            """,
        }
    )
    assert run.outcomes == {"passed": 1, "failed": 1}
    assert _sections(run, _LOADED) == []


def test_a_mark_that_proves_nothing_warns_at_the_test(suite: Suite) -> None:
    run = suite.run(
        {
            "heavy.py": "import xmlrpc.client\n",
            "test_a.py": "import heavy\n\ndef test_a(): pass\n",
            "test_b.py": """\
                import sys
                import pytest

                @pytest.mark.isolated_imports(unloaded="xmlrpc")
                def test_lazy():
                    import heavy
                    assert "xmlrpc.client" not in sys.modules
            """,
        }
    )
    assert run.outcomes == {"passed": 2, "warning": 1}
    assert (
        "test_b.py:4: ImportIsolationWarning: that xmlrpc stayed absent proves nothing: heavy was executed"
        in (run.output)
    )


def test_who_left_a_fake_is_named_to_a_test_that_asserts_that_nothing_is_there(suite: Suite) -> None:
    run = suite.run(
        {
            "test_a.py": """\
                import sys
                import types
                def test_leaves(): sys.modules["plug_fake"] = types.ModuleType("plug_fake")
                def test_asserts(): assert "plug_fake" not in sys.modules
            """
        },
        "--import-leak-report",
    )
    assert _sections(run, _LOADED) == [
        "plug_fake was left there by test_a.py::test_leaves (call), at test_a.py:3.\n"
        "To test as if nobody had imported it yet, mark the test:\n"
        '    @pytest.mark.isolated_imports(unloaded="plug_fake")'
    ]


def test_no_object_that_a_failing_test_uses_is_asked_for_its_class(suite: Suite) -> None:
    run = suite.run(
        {
            "app/__init__.py": "",
            "app/plug.py": "",
            "test_a.py": "def test_first(): import app.plug",
            "test_b.py": """
                class Odd:
                    @property
                    def __class__(self):
                        raise AssertionError("it was asked")

                odd = Odd()

                def test_fails():
                    import app.plug
                    assert odd is None
            """,
        },
        "--tb=line",
        ini="pythonpath = .",
    )
    assert run.outcomes == {"passed": 1, "failed": 1}
    assert "INTERNALERROR" not in run.output
