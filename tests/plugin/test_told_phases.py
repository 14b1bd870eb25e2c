"""The phase that is told of a leak: that of the statement whose line is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite


def _test_that_runs(statement: str, phase: str, imports: str) -> str:
    """Return a test file that runs a statement in one phase of its test."""
    return f"""
        import pytest, {imports}

        def run_in(phase):
            if phase == "{phase}":
                {statement}

        @pytest.fixture
        def around():
            run_in("setup")
            yield
            run_in("teardown")

        def test_it(around):
            run_in("call")
    """


def test_a_fake_that_a_finalizer_puts_back_is_the_teardown_s(suite: Suite) -> None:
    run = suite.run(
        {
            "conftest.py": """
                import sys
                from contextlib import contextmanager
                from types import ModuleType
                import pytest

                def stubbed(name):
                    before = sys.modules.get(name)
                    sys.modules[name] = ModuleType(name)
                    try:
                        yield
                    finally:
                        if before is None:
                            sys.modules.pop(name, None)
                        else:
                            sys.modules[name] = before

                @pytest.fixture
                def stub():
                    yield from stubbed("radio")

                @pytest.fixture
                def stub_more(request):
                    def add(name):
                        context = contextmanager(stubbed)(name)
                        context.__enter__()
                        request.addfinalizer(lambda: context.__exit__(None, None, None))
                    return add
            """,
            "test_it.py": "def test_it(stub_more, stub): stub_more('radio')",
        }
    )
    assert run.outcomes == {"passed": 1}
    leak = run.leak("fake-left", "radio")
    assert (leak["polluter"]["phase"], leak["location"]["line"]) == ("teardown", 16)


def test_a_second_copy_that_a_teardown_imports_is_the_teardown_s(suite: Suite) -> None:
    run = suite.run(
        {
            "store.py": "",
            "pytest.ini": "[pytest]\npythonpath = .\n",
            "helper.py": "import sys\ndef forget(name): sys.modules.pop(name, None)\n",
            "conftest.py": """
                import helper, pytest

                @pytest.fixture
                def loads():
                    yield
                    import store

                @pytest.fixture
                def clean():
                    yield
                    helper.forget("store")
            """,
            "test_it.py": "import store\ndef test_it(loads, clean): pass\n",
        }
    )
    assert run.outcomes == {"passed": 1}
    assert run.blamed("replaced", "store") == ("test_it.py::test_it", "teardown")


@pytest.mark.parametrize("phase", ["setup", "call", "teardown"])
def test_called_code_that_enters_as_much_as_it_takes_out_did_so_in_the_phase_of_the_call(
    suite: Suite, phase: str
) -> None:
    run = suite.run(
        {
            "pytest.ini": "[pytest]\npythonpath = app\n",
            "app/gone.py": "",
            "app/shop.py": """
                import sys, types
                def exchange(old, new):
                    del sys.modules[old]
                    sys.modules[new] = types.ModuleType(new)
                    sys.path.remove(old)
                    sys.path.append(new)
            """,
            "conftest.py": "import sys\nsys.path.append('gone')\n",
            "test_it.py": _test_that_runs("shop.exchange('gone', 'new')", phase, "gone, shop"),
        }
    )
    assert run.outcomes == {"passed": 1}
    found = {leak["kind"]: leak["polluter"] for leak in run.leaks if leak["polluter"]["phase"] != "conftest"}
    assert found.keys() == {"removed", "fake-left", "path-added", "path-removed"}
    assert [*found.values()] == [{"nodeid": "test_it.py::test_it", "phase": phase}] * 4


@pytest.mark.neighbours("pytest_rerunfailures")
def test_the_setup_of_a_rerun_is_a_setup(suite: Suite) -> None:
    run = suite.run(
        """
        import sys
        import pytest
        attempts = []

        @pytest.fixture
        def fake():
            attempts.append(1)
            if len(attempts) == 2:
                sys.modules["fake"] = object()

        @pytest.mark.flaky(reruns=2)
        def test_it(fake):
            assert len(attempts) == 2
        """,
        plugins=("rerunfailures",),
    )
    assert run.outcomes == {"passed": 1, "rerun": 1}
    assert run.blamed("fake-left", "fake") == ("test_it.py::test_it", "setup")


@pytest.mark.parametrize("phase", ["setup", "call", "teardown"])
@pytest.mark.parametrize("statement", ["del app.db", "app.db = None"])
def test_an_attribute_that_statements_of_the_file_take_away_is_told_of_their_phase(
    suite: Suite, phase: str, statement: str
) -> None:
    run = suite.run(
        {
            "pytest.ini": "[pytest]\npythonpath = .\n",
            "app/__init__.py": "",
            "app/db.py": "",
            "test_it.py": _test_that_runs(statement, phase, "app.db"),
        }
    )
    assert run.outcomes == {"passed": 1}
    assert run.blamed("stale-attribute", "app.db") == ("test_it.py::test_it", phase)


def test_an_attribute_that_called_code_takes_away_is_told_of_the_call(suite: Suite) -> None:
    run = suite.run(
        {
            "pytest.ini": "[pytest]\npythonpath = .\n",
            "app/__init__.py": "",
            "app/db.py": "",
            "shop.py": "import app.db\ndef close():\n    del app.db\n",
            "test_it.py": "import shop\ndef test_it(): shop.close()\n",
        }
    )
    assert run.outcomes == {"passed": 1}
    assert run.blamed("stale-attribute", "app.db")[1] == "call"


def test_an_eviction_by_a_fixture_that_takes_all_new_modules_out_is_the_teardown_s(suite: Suite) -> None:
    run = suite.run(
        {
            "test_it.py": """
                import sys, pytest

                @pytest.fixture(autouse=True)
                def cleaned():
                    before = set(sys.modules)
                    yield
                    for name in set(sys.modules) - before:
                        del sys.modules[name]

                def test_first(): import wave, colorsys
                def test_second(): import wave
            """
        }
    )
    assert run.outcomes == {"passed": 2}
    (leak,) = [leak for leak in run.leaks if leak["kind"] == "evicted"]
    assert leak["polluter"] == {"nodeid": "test_it.py::test_first", "phase": "teardown"}
    assert leak["location"] == {"file": "test_it.py", "line": 9, "exact": True}
    # Of several modules, too, it is advised what cures: there is no block.
    assert leak["advice"].startswith("Leave ")
    assert "mock.patch.dict" not in run.output
