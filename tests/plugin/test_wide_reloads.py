"""A reload in the setup of a fixture of a wider scope: it lasts until the teardown, and may be put back."""

from __future__ import annotations

import pytest
from tests.plugin.conftest import Suite

_CONF = {
    "conf.py": "import os\nMODE = os.environ.get('MODE9', 'prod')\nclass Conf: pass\n",
    "user.py": "from conf import Conf\n",
}
_RELOAD = """
            os.environ["MODE9"] = "debug"
            importlib.reload(conf)
            del os.environ["MODE9"]
"""
_SETUPS = {
    "fixture": f"""
        import importlib, os, conf, pytest, user

        @pytest.fixture(scope="SCOPE", autouse=True)
        def debugging():{_RELOAD}
            yield
            importlib.reload(conf)

        class TestIt:
            def test_1(self): assert conf.MODE == "debug"
            def test_2(self): assert conf.MODE == "debug"
    """,
    "unittest": f"""
        import importlib, os, conf, unittest, user

        def debug():{_RELOAD}
        class TestIt(unittest.TestCase):
            @classmethod
            def setUpClass(cls):
                debug()
            @classmethod
            def tearDownClass(cls): importlib.reload(conf)
            def test_1(self): assert conf.MODE == "debug"
            def test_2(self): assert conf.MODE == "debug"
    """,
}


@pytest.mark.parametrize("mode", ["off", "file", "test"])
@pytest.mark.parametrize("scope", ["class", "module", "session", "unittest"])
def test_what_a_wide_fixture_reloads_lasts_until_its_teardown(suite: Suite, scope: str, mode: str) -> None:
    text = _SETUPS["unittest" if scope == "unittest" else "fixture"].replace("SCOPE", scope)
    after = "import conf, user\ndef test_b():\n    assert conf.MODE == 'prod'\n"
    if mode != "off":
        after += "    assert conf.Conf is user.Conf\n"
    elif scope == "session":
        after = after.replace("prod", "debug")  # it is torn down later
    run = suite.run(
        {**_CONF, "test_a.py": text, "test_b.py": after}, "--import-leak-report", f"--isolate-imports={mode}"
    )
    assert run.outcomes == {"passed": 3}


def test_a_test_reloads_what_a_wide_fixture_reloaded(suite: Suite) -> None:
    run = suite.run(
        {
            **_CONF,
            "test_a.py": _SETUPS["fixture"]
            .replace("SCOPE", "class")
            .replace(
                'def test_1(self): assert conf.MODE == "debug"',
                'def test_1(self):\n                importlib.reload(conf)\n                assert conf.MODE == "prod"',
            ),
        },
        "--isolate-imports=test",
    )
    assert run.outcomes == {"passed": 2}


_PUT_BACK = {
    "by hand": """
            saved = dict(conf.__dict__)
            importlib.reload(conf)
            yield
            conf.__dict__.update(saved)
    """,
    "a context": """
            with IsolatedImportContext():
                conf.MODE = "test"
                importlib.reload(conf)
                yield
    """,
}


@pytest.mark.parametrize("mode", ["off", "file", "test"])
@pytest.mark.parametrize("scope", ["function", "class", "module", "session"])
@pytest.mark.parametrize("way", _PUT_BACK)
def test_a_reload_that_its_fixture_puts_back_is_no_leak(
    suite: Suite, way: str, scope: str, mode: str
) -> None:
    run = suite.run(
        {
            **_CONF,
            "test_a.py": f"""
        import importlib, conf, pytest, user
        from pytest_import_isolation import IsolatedImportContext

        @pytest.fixture(scope="{scope}")
        def again():{_PUT_BACK[way]}

        class TestIt:
            def test_1(self, again): assert conf.Conf is not user.Conf
            def test_2(self, again): assert conf.Conf is not user.Conf
            """,
        },
        f"--isolate-imports={mode}",
    )
    assert run.outcomes == {"passed": 2}
    assert run.leaks == []


@pytest.mark.parametrize("mode", ["off", "file", "test"])
def test_a_reload_that_its_test_puts_back_is_no_leak(suite: Suite, mode: str) -> None:
    run = suite.run(
        {
            **_CONF,
            "test_a.py": """
                import importlib, conf, user

                def test_a():
                    saved = dict(conf.__dict__)
                    importlib.reload(conf)
                    conf.__dict__.update(saved)
            """,
            "test_b.py": "import conf, user\ndef test_b(): assert conf.Conf is user.Conf\n",
        },
        f"--isolate-imports={mode}",
    )
    assert run.outcomes == {"passed": 2}
    assert run.leaks == []


def test_a_reload_of_a_conftests_fixture_is_undone_at_its_teardown_where_that_is_said(suite: Suite) -> None:
    run = suite.run(
        {
            **_CONF,
            "conftest.py": """
                import importlib, conf, pytest, user

                @pytest.fixture(scope="session", autouse=True)
                def outer():
                    yield
                    print("same:", conf.Conf is user.Conf)

                @pytest.fixture(scope="session")
                def again(outer):
                    importlib.reload(conf)
            """,
            "test_a.py": "import conf, user\ndef test_a(again): assert conf.Conf is not user.Conf\n",
            "test_b.py": "import conf, user\ndef test_b(): assert conf.Conf is not user.Conf\n",
        },
        "--isolate-imports=file",
        "-s",
    )
    assert run.outcomes == {"passed": 2}
    assert [(leak["kind"], leak["contained"]) for leak in run.leaks] == [("reloaded", True)]
    assert "same: True" in run.output


def test_a_reload_that_somebody_failed_for_stays_a_leak_although_it_is_put_back(suite: Suite) -> None:
    run = suite.run(
        {
            **_CONF,
            "test_a.py": """
                import importlib, conf, pytest, user

                @pytest.fixture(scope="session")
                def again():
                    saved = dict(conf.__dict__)
                    importlib.reload(conf)
                    yield
                    conf.__dict__.update(saved)

                def test_a(again): pass
            """,
            "test_b.py": "import conf, user\ndef test_b(): assert conf.Conf is user.Conf\n",
        }
    )
    assert run.outcomes == {"passed": 1, "failed": 1}
    assert [met["nodeid"] for met in run.leak("reloaded", "conf")["exposed"]] == ["test_b.py::test_b"]


@pytest.mark.parametrize("when", ["setup", "teardown"])
def test_no_mode_is_advised_for_a_test_of_the_file_whose_fixture_reloaded(suite: Suite, when: str) -> None:
    reload = "            importlib.reload(conf)\n"
    before, after = (reload, "") if when == "setup" else ("", reload)
    run = suite.run(
        {
            **_CONF,
            "test_a.py": f"""
        import importlib, conf, pytest, user

        @pytest.fixture(scope="class")
        def again():
{before}            yield
{after}
        class TestIt:
            def test_1(self, again): pass
            def test_2(self, again): pass

        def test_victim(): assert conf.Conf is user.Conf
            """,
            "test_b.py": "import conf, user\ndef test_victim(): assert conf.Conf is user.Conf\n",
        }
    )
    assert run.outcomes == {"passed": 2, "failed": 2}
    own, other = run.output.split("test_victim ___")[1:]
    assert "To cure it:" in own
    assert "To contain it, run pytest with --isolate-imports=file" in other
    for mode, passed in ("file", 3), ("test", 3):
        assert suite.run({}, f"--isolate-imports={mode}", report=False).outcomes == {
            "passed": passed,
            "failed": 4 - passed,
        }


@pytest.mark.parametrize("scope", ["class", "module"])
def test_a_second_reload_in_the_teardown_does_not_bring_back_what_others_hold(
    suite: Suite, scope: str
) -> None:
    run = suite.run(
        {
            **_CONF,
            "test_a.py": _SETUPS["fixture"].replace("SCOPE", scope),
            "test_b.py": "import conf, user\ndef test_victim(): assert conf.Conf is user.Conf\n",
        }
    )
    assert run.outcomes == {"passed": 2, "failed": 1}
    leaks = {leak["polluter"]["phase"]: leak for leak in run.leaks if leak["name"] == "conf"}
    assert {phase: leak["severity"] for phase, leak in leaks.items()} == {
        "setup": "error",
        "teardown": "error",
    }
    assert [met["nodeid"] for met in leaks["teardown"]["exposed"]] == ["test_b.py::test_victim"]
    assert "held by user.Conf" in " ".join(run.output.split("test_victim ___")[1].split())


def test_what_is_advised_for_a_reload_in_a_wide_fixture_brings_back_what_others_hold(suite: Suite) -> None:
    fixture = """\
        import importlib, pytest
        import conf
        from pytest_import_isolation import IsolatedImportContext

        @pytest.fixture(scope="module")
        def again():
            {}importlib.reload(conf)
            {}yield

        MARK
        def test_a(again): pass
    """
    victim = "import conf, user\ndef test_victim(): assert conf.Conf is user.Conf\n"
    files = {**_CONF, "test_b.py": victim, "test_0.py": "import user\ndef test_0(): pass\n"}
    for mark in ("", "@pytest.mark.isolated_imports"):  # which is no cure
        run = suite.run({**files, "test_a.py": fixture.format("", "").replace("MARK", mark)})
        assert run.outcomes == {"passed": 2, "failed": 1}
        advice = run.leak("reloaded", "conf")["advice"]
        assert advice.startswith('Reload it in a fixture that yields in "with IsolatedImportContext():"')
    cured = fixture.format("with IsolatedImportContext():\n                ", "    ").replace("MARK", "")
    run = suite.run({"test_a.py": cured})
    assert run.outcomes == {"passed": 3}
    assert [leak for leak in run.leaks if not leak["contained"]] == []
