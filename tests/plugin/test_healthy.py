"""What healthy suites do, and no report may call a leak."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite


@pytest.mark.neighbours("cryptography", "lxml", "numpy", "pydantic", "six", "sqlalchemy", "yaml")
def test_libraries_that_change_the_import_system_at_import(suite: Suite) -> None:
    run = suite.run(
        {
            "test_at_collection.py": """
                import six
                from six.moves import urllib

                def test_it():
                    assert six.moves.urllib is urllib
            """,
            "test_in_tests.py": """
                def test_extension_modules():
                    import numpy, yaml, lxml.etree

                def test_modules_made_by_c_code():
                    import cryptography.hazmat.bindings._rust
                    import xml.parsers.expat, pyexpat.errors

                def test_setuptools():
                    import setuptools, pkg_resources if False else setuptools

                def test_registries():
                    import sqlalchemy.orm, pydantic
            """.replace(", pkg_resources if False else setuptools", ""),
        },
    )
    assert run.outcomes == {"passed": 5}
    assert run.kinds == []
    assert run.report["summary"]["info"] > 300


def test_packages_that_put_a_stand_in_for_themselves_into_sys_modules(suite: Suite) -> None:
    run = suite.run(
        {
            "facade/__init__.py": """
                import sys, types

                class Facade(types.ModuleType):
                    answer = 42

                sys.modules[__name__].__class__ = Facade
            """,
            "deprecated/__init__.py": """
                import sys, types

                class Proxy(types.ModuleType):
                    def __init__(self, module):
                        super().__init__(module.__name__)
                        self.__dict__.update(module.__dict__)

                sys.modules[__name__] = Proxy(sys.modules[__name__])
            """,
            "lazy/__init__.py": """
                import sys, types
                made = types.ModuleType("lazy.made")
                made.__class__ = type("Made", (types.ModuleType,), {"__module__": __name__})
                sys.modules["lazy.made"] = made
            """,
            "object_/__init__.py": """
                import sys

                class Settings:
                    answer = 42
                    def __repr__(self):
                        return "settings"

                sys.modules[__name__] = Settings()
            """,
            "late/__init__.py": """
                import sys, types

                class Late(types.ModuleType):
                    pass

                def become_late():
                    sys.modules[__name__] = Late(__name__)
            """,
            "mismatch/__init__.py": "from mismatch._impl import thing\n",
            "mismatch/_impl.py": "class thing: pass\n",
            "mismatch/thing.py": "",
            "test_it.py": """
                import late, sys

                def test_facade():
                    import facade
                    assert facade.answer == 42

                def test_object_in_place_of_its_module():
                    import object_
                    assert object_.answer == 42

                def test_deprecation_proxy():
                    import deprecated

                def test_submodule_made_by_its_package():
                    import lazy.made

                def test_stand_in_after_import():
                    late.become_late()

                def test_a_permanent_mismatch_comes_with_the_import():
                    import mismatch, mismatch._impl
                    mismatch.thing = mismatch._impl.thing
                    import mismatch.thing as module
                    mismatch.thing = mismatch._impl.thing

                def test_and_is_not_reported_later():
                    assert isinstance(sys.modules["mismatch"].thing, type)
            """,
        }
    )
    assert run.outcomes == {"passed": 7}
    assert run.kinds == []


def test_entries_that_vanish_with_a_garbage_collection_and_optional_imports(suite: Suite) -> None:
    run = suite.run(
        """
        import importlib.util, sys, types
        import pytest

        def test_optional():
            with pytest.raises(ImportError):
                import nothing_there
            assert importlib.util.find_spec("nothing_here") is None
            pytest.importorskip("wave")

        def test_cached_path_entries():
            sys.path_importer_cache["/never/there"] = None

        def test_equal_entries_again():
            sys.path[:] = [str(entry) for entry in sys.path]
        """
    )
    assert run.outcomes == {"passed": 3}
    assert run.kinds == []


@pytest.mark.neighbours("pytest_asyncio")
@pytest.mark.parametrize("marked", [False, True])
def test_a_suite_with_every_sort_of_plugin_and_item_is_clean(suite: Suite, marked: bool) -> None:
    mark = "pytestmark = pytest.mark.isolated_imports" if marked else ""
    run = suite.run(
        {
            "documented.py": f'''
                import pytest
                {mark}
                def function():
                    """
                    >>> import wave
                    """
            ''',
            "test_it.py": f"""
                import asyncio, subprocess, sys, threading, unittest
                import pytest
                from hypothesis import HealthCheck, given, settings, strategies
                {mark}

                @settings(deadline=None, suppress_health_check=list(HealthCheck))
                @given(strategies.integers())
                def test_property(number):
                    import colorsys

                @pytest.mark.asyncio
                async def test_async():
                    await asyncio.sleep(0)
                    import netrc

                class TestUnit(unittest.TestCase):
                    def test_subtest(self):
                        with self.subTest(i=1):
                            import netrc

                def test_thread():
                    thread = threading.Thread(target=lambda: __import__("wave"))
                    thread.start()
                    thread.join()

                def test_all_of_it(tmp_path, monkeypatch, capsys, caplog, recwarn, pytestconfig):
                    import json.tool
                    assert [1] == [1]

                @pytest.mark.xfail
                def test_xfail():
                    assert {{"a": 1}} == {{"a": 2}}
            """,
        },
        "--doctest-modules",
        plugins=("asyncio", "hypothesis"),
        ini="asyncio_default_fixture_loop_scope = function",
    )
    assert run.outcomes["passed"] == 6
    assert run.outcomes["xfailed"] == 1
    assert "failed" not in run.outcomes
    assert "warning" not in run.outcomes
    assert [leak for leak in run.leaks if not leak["contained"]] == []


@pytest.mark.neighbours("lxml", "numpy", "orjson", "pydantic", "sqlalchemy", "yaml")
def test_heavy_packages_import_twice_in_isolated_tests(suite: Suite) -> None:
    run = suite.run(
        """
        import sys
        import pytest
        pytestmark = pytest.mark.isolated_imports
        seen = {}

        NAMES = ["numpy", "yaml", "pydantic", "sqlalchemy.orm", "lxml.etree", "orjson"]

        @pytest.mark.parametrize("name", NAMES)
        @pytest.mark.parametrize("attempt", [1, 2])
        def test_import(name, attempt):
            assert name not in sys.modules
            __import__(name)
            assert seen.setdefault(name, id(sys.modules[name])) == id(sys.modules[name])

        def test_exactly_nothing_is_left():
            assert not {name.partition(".")[0] for name in seen} & set(sys.modules)
        """,
    )
    assert run.outcomes == {"passed": 13}
    assert [leak for leak in run.leaks if not leak["contained"]] == []
