"""``--isolate-imports=file``: what a test file does to the import state is there for that file alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.conftest import TAKES_LONG

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

_FILE = "--isolate-imports=file"

# colorsys stands for a dependency, app for the code under test.
_APP = {
    "app/__init__.py": "",
    "app/paint.py": """
        import colorsys
        def hue():
            return colorsys.rgb_to_hsv(1, 0, 0)
    """,
}

_POLLUTER = """
    import sys
    from unittest.mock import MagicMock
    fake = MagicMock()
    sys.modules["colorsys"] = fake
    from app import paint

    def test_it_has_its_fake():
        assert paint.colorsys is fake

    def test_it_has_its_fake_at_call_time():
        import colorsys
        from app.paint import colorsys as again
        assert colorsys is again is fake
        assert sys.modules["app.paint"] is paint
"""

_VICTIM = """
    from app import paint

    def test_the_real_module():
        import colorsys
        assert paint.hue() == colorsys.rgb_to_hsv(1, 0, 0) == (0.0, 1.0, 1)
"""


@pytest.mark.parametrize(("polluter", "victim"), [("test_a.py", "test_b.py"), ("test_b.py", "test_a.py")])
def test_a_fake_of_a_file_is_there_for_that_file_alone_in_both_orders(
    suite: Suite, polluter: str, victim: str
) -> None:
    files = {**_APP, polluter: _POLLUTER, victim: _VICTIM}
    assert "failed" in suite.run(files).outcomes
    run = suite.run(files, _FILE, report=True)
    assert run.outcomes == {"passed": 3}
    assert run.report["summary"]["error"] == 0
    # The file that was collected later replaced the real module.
    leak = run.leak("fake-left" if polluter == "test_a.py" else "replaced", "colorsys")
    assert (leak["polluter"], leak["contained"]) == ({"nodeid": polluter, "phase": "collect"}, True)
    assert (leak["location"]["file"], leak["location"]["line"]) == (polluter, 5)


@pytest.mark.parametrize(
    "plant",
    [
        'sys.modules["colorsys"] = ModuleType("colorsys")',
        'sys.modules["colorsys"] = None',
        'sys.modules.pop("colorsys", None); sys.modules.setdefault("colorsys", ModuleType("colorsys"))',
        'for name in ("colorsys", "wave"):\n        sys.modules[name] = ModuleType(name)',
        'sys.modules.update(colorsys=ModuleType("colorsys"))',
        "import stubs",
        'def plant():\n        sys.modules["colorsys"] = ModuleType("colorsys")\n    plant()',
        'patcher = patch.dict("sys.modules", colorsys=ModuleType("colorsys")); patcher.start()',
        'sys.modules["colorsys"] = sys',
        'real = builtins.__import__\n    builtins.__import__ = lambda name, *a, **k: ModuleType(name) if name == "colorsys" else real(name, *a, **k)',
    ],
)
# That a file before the polluter is spared, too, is shown by the first test of this file.
@pytest.mark.parametrize("victim", [pytest.param("test_a.py", marks=TAKES_LONG), "test_z.py"])
def test_every_way_of_planting_is_contained(suite: Suite, plant: str, victim: str) -> None:
    files = {
        "stubs.py": """
            import sys
            from types import ModuleType
            sys.modules["colorsys"] = ModuleType("colorsys")
        """,
        "test_m.py": f"""
    import builtins, sys
    from types import ModuleType
    from unittest.mock import patch
    {plant}

    def test_planted():
        try:
            import colorsys
        except ImportError:
            colorsys = None
        assert not hasattr(colorsys, "rgb_to_hsv")
    """,
        victim: """
    def test_at_call_time():
        import colorsys
        assert colorsys.rgb_to_hsv
    """,
    }
    assert suite.run(files, report=False).outcomes == {"passed": 1, "failed": 1}
    assert suite.run(files, _FILE).outcomes == {"passed": 2}


@pytest.mark.parametrize("mode", ["--isolate-imports=file", "--isolate-imports=test"])
@pytest.mark.parametrize("fake", ["ModuleType('fakedep')", "MagicMock()", "object()", "1", "''"])
def test_what_a_file_executes_with_its_fake_is_thrown_out_by_nobody(
    suite: Suite, fake: str, mode: str
) -> None:
    run = suite.run(
        {
            "lib/site-packages/holder/__init__.py": "from holder import compat, core",
            "lib/site-packages/holder/compat.py": "try: import fakedep\nexcept ImportError: fakedep = 0",
            # Others have the same numbers and texts.
            "lib/site-packages/holder/core.py": "NUMBER, TEXT = 1, ''",
            "test_a.py": f"""
                import sys
                from types import ModuleType
                from unittest.mock import MagicMock
                sys.modules["fakedep"] = {fake}
                import holder

                def test_a():
                    assert holder.compat.fakedep is sys.modules["fakedep"]
                    assert sys.modules["holder.core"] is holder.core
            """,
            "test_b.py": """
                import holder, sys

                def test_b():
                    assert holder.compat.fakedep == 0
                    assert sys.modules["holder.core"] is holder.core
            """,
        },
        mode,
        ini="pythonpath = lib/site-packages",
    )
    assert run.outcomes == {"passed": 2}
    assert [(leak["kind"], leak["contained"]) for leak in run.leaks] == [("fake-left", True)]


@pytest.mark.parametrize("mode", ["--isolate-imports=file", "--isolate-imports=test"])
@pytest.mark.parametrize("module", ["application", "sched"])
@pytest.mark.parametrize("where", ["top", "test"])
def test_a_second_name_that_a_file_gives_to_a_module_is_contained(
    suite: Suite, where: str, module: str, mode: str
) -> None:
    giving = f'sys.modules["other_name"] = {module}'
    run = suite.run(
        {
            "application/__init__.py": "",
            "test_a.py": f"""
                import sys, {module}
                {giving if where == "top" else ""}
                def test_a():
                    {giving if where == "test" else ""}
                    import other_name
                    assert other_name is {module}
            """,
            "test_b.py": """
                import pytest
                def test_b():
                    with pytest.raises(ImportError): import other_name
            """,
        },
        mode,
        ini="pythonpath = .",
    )
    assert run.outcomes == {"passed": 2}
    # Once: nothing brings it back at the end of the run.
    assert [(leak["kind"], leak["name"], leak["contained"]) for leak in run.leaks] == [
        ("fake-left", "other_name", True)
    ]


@pytest.mark.parametrize("mode", ["--isolate-imports=file", "--isolate-imports=test"])
def test_files_that_execute_others_under_one_name_each_have_their_own(suite: Suite, mode: str) -> None:
    test = """
        import importlib.util, os, sys
        spec = importlib.util.spec_from_file_location("plugged", os.path.dirname(__file__) + "/helper.py")
        sys.modules["plugged"] = made = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(made)

        def test_it():
            import plugged
            assert plugged.NAME == "{name}"
    """
    run = suite.run(
        {
            f"{name}/{file}": text
            for name in ("one", "two")
            for file, text in {
                "helper.py": f"NAME = '{name}'",
                f"test_{name}.py": test.format(name=name),
            }.items()
        },
        mode,
    )
    assert run.outcomes == {"passed": 2}
    assert {leak["contained"] for leak in run.leaks} <= {True}


def test_removed_and_replaced_modules_are_back_for_other_files(suite: Suite) -> None:
    files = {
        **_APP,
        "conftest.py": "import json.decoder, app.paint",
        "test_a.py": """
    import importlib, sys
    import app
    old = sys.modules.pop("app.paint")
    from app import paint
    new = importlib.import_module("app.paint")
    del sys.modules["json.decoder"], sys.modules["json"].decoder

    def test_its_own_copy():
        assert new is sys.modules["app.paint"] is app.paint is not old
        assert "json.decoder" not in sys.modules
    """,
        "test_b.py": """
    import sys
    import app, conftest, json
    def test_the_first_copy():
        assert sys.modules["app.paint"] is app.paint is conftest.app.paint
        assert sys.modules["json.decoder"] is json.decoder
    """,
    }
    assert "failed" in suite.run(files).outcomes or suite.run(files).outcomes.get("error")
    assert suite.run(files, _FILE).outcomes == {"passed": 2}


_LAMBDA = """
    {insert}
    import index
    def test_top_level():
        assert index.NAME == "{name}"
    def test_at_call_time():
        import index
        import late
        assert index.NAME == late.NAME == "{name}"
"""
_INSERT = "import sys, pathlib; sys.path.insert(0, str(pathlib.Path(__file__).parent / 'src'))"


def _lambda(name: str) -> dict[str, str]:
    return {
        f"{name}/src/index.py": f"NAME = '{name}'\nimport common",
        f"{name}/src/late.py": "from index import NAME",
        f"{name}/src/common.py": f"NAME = '{name}'",
    }


@pytest.mark.parametrize("mode", ["prepend", "append", "importlib"])
def test_two_files_that_each_insert_a_path_each_get_their_own_index(suite: Suite, mode: str) -> None:
    files = {
        **_lambda("one"),
        **_lambda("two"),
        "one/test_one.py": _LAMBDA.format(insert=_INSERT, name="one"),
        "two/test_two.py": _LAMBDA.format(insert=_INSERT, name="two"),
    }
    plain = suite.run(files, f"--import-mode={mode}")
    assert plain.outcomes["failed"] >= 2
    assert suite.run(files, _FILE, f"--import-mode={mode}").outcomes == {"passed": 4}


@pytest.mark.parametrize("arguments", [[], ["one", "two"], ["two/test_two.py", "one"]])
def test_two_conftests_that_each_insert_a_path_belong_to_their_directories(
    suite: Suite, arguments: list[str]
) -> None:
    files = {
        **_lambda("one"),
        **_lambda("two"),
        "one/conftest.py": _INSERT + "\nimport index",
        "two/conftest.py": _INSERT + "\nimport index",
        "one/test_one.py": _LAMBDA.format(insert="", name="one"),
        "two/test_two.py": _LAMBDA.format(insert="", name="two"),
    }
    assert suite.run(files, *arguments).outcomes["failed"] >= 2
    assert suite.run(files, _FILE, *arguments).outcomes == {"passed": 4}


@pytest.mark.parametrize(
    "options", [[], ["--import-mode=append"], ["--import-mode=append", "--doctest-modules"]]
)
def test_two_files_beside_their_index_each_get_their_own_without_any_insertion(
    suite: Suite, options: list[str]
) -> None:
    files: dict[str, str] = {}
    for name in ("one", "two"):
        files |= {f"{name}/{key.partition('src/')[2]}": text for key, text in _lambda(name).items()}
        files[f"{name}/test_{name}.py"] = _LAMBDA.format(insert="", name=name)
    assert suite.run(files, *options).outcomes.get("passed", 0) < 4
    run = suite.run(files, _FILE, *options, report=False)
    assert run.outcomes == {"passed": 4}
    assert "isolated" not in run.output  # of what pytest itself puts on the path


def test_in_the_append_mode_a_module_beside_a_test_file_hides_no_installed_one(suite: Suite) -> None:
    run = suite.run(
        {
            "one/test_one.py": "def test():\n    pass\n",
            "two/colorsys.py": "1 / 0",
            "two/test_two.py": "def test():\n    import colorsys\n",
        },
        _FILE,
        "--import-mode=append",
    )
    assert run.outcomes == {"passed": 2}


_COUNT = {
    "app/__init__.py": "import os; open(os.environ['COUNT'], 'a').write('app ')",
    "app/db.py": "import os; open(os.environ['COUNT'], 'a').write('app.db ')",
}


def test_what_no_fake_touched_is_executed_once_for_all_files(suite: Suite) -> None:
    insert = "import sys, os; sys.path.insert(0, os.path.join(os.path.dirname(__file__), 'src'))"
    files = {
        **{f"src/{name}": text for name, text in _COUNT.items()},
        "test_a.py": f"{insert}\nfrom app import db\ndef test(): assert sys.modules['app'].db is db",
        "test_b.py": f"{insert}\nfrom app import db\ndef test(): assert sys.modules['app'].db is db",
        "test_c.py": f"{insert}\nimport app.db\ndef test(): import app.db",
    }
    count = suite.root / "count"
    assert suite.run(files, _FILE, env={"COUNT": str(count)}).outcomes == {"passed": 3}
    assert count.read_text().split() == ["app", "app.db"]


def test_harmless_files_share_what_a_polluter_executes_for_itself(suite: Suite) -> None:
    files = {
        **_COUNT,
        "test_a.py": "import app.db\ndef test(): pass",
        "test_b.py": """
            import sys
            sys.modules["colorsys"] = object()
            import app.db
            def test():
                assert sys.modules["app.db"] is app.db
        """,
        "test_c.py": "import app.db, test_a\ndef test(): assert test_a.app is app",
        "test_d.py": "def test():\n    import app.db, test_a\n    assert test_a.app.db is app.db",
    }
    count = suite.root / "count"
    assert suite.run(files, _FILE, env={"COUNT": str(count)}).outcomes == {"passed": 4}
    assert count.read_text().split() == ["app", "app.db"] * 2


@pytest.mark.neighbours("numpy")
def test_an_extension_module_is_the_same_object_in_every_file(suite: Suite) -> None:
    plant = "import sys; sys.modules['boto3'] = object()"
    use = "import numpy\ndef test(): assert numpy.arange(3).sum() == 3 and sys.modules['numpy'] is numpy"
    files = {
        "test_a.py": f"{plant}\n{use}",
        "test_b.py": f"{plant}\n{use}",
        "test_c.py": "import test_a, test_b, numpy\ndef test(): assert test_a.numpy is test_b.numpy is numpy",
    }
    assert suite.run(files, _FILE).outcomes == {"passed": 3}


def test_what_the_init_file_of_a_test_package_does_belongs_to_the_package(suite: Suite) -> None:
    files = {
        "one/__init__.py": "import sys; sys.modules['colorsys'] = fake = object()",
        "one/test_a.py": "import colorsys, one\ndef test(): assert colorsys is one.fake",
        "one/test_b.py": "def test():\n    import colorsys, one\n    assert colorsys is one.fake",
        "two/__init__.py": "",
        "two/test_c.py": "import colorsys\ndef test(): assert colorsys.rgb_to_hsv",
    }
    assert suite.run(files).outcomes == {"passed": 2, "failed": 1}
    assert suite.run(files, _FILE).outcomes == {"passed": 3}


@pytest.mark.parametrize(
    "end", ["1 / 0", "import not_there", "pytest.skip('no', allow_module_level=True)", "def ("]
)
def test_what_a_file_did_that_cannot_be_collected_is_undone(suite: Suite, end: str) -> None:
    files = {
        "test_a.py": f"import sys, pytest\nsys.modules['colorsys'] = None\nsys.path.insert(0, '/a')\n{end}",
        "test_b.py": "import colorsys, sys\ndef test(): assert '/a' not in sys.path",
    }
    run = suite.run(files, _FILE, "--continue-on-collection-errors")
    assert run.outcomes["passed"] == 1


def test_what_tests_leave_is_there_for_the_next_test_of_the_file_and_for_no_other_file(suite: Suite) -> None:
    files = {
        **_APP,
        "test_a.py": """
    import sys
    def test_leaves():
        sys.modules["colorsys"] = sys
        import app.paint
        sys.path.append("/a")
    def test_finds():
        import colorsys
        assert colorsys is sys
        assert "app.paint" in sys.modules
        assert sys.path[-1] == "/a"
    """,
        "test_b.py": """
    import sys
    def test_does_not_find():
        import colorsys
        assert colorsys is not sys
        assert "app.paint" not in sys.modules
        assert sys.path[-1] != "/a"
    """,
    }
    assert suite.run(files).outcomes == {"passed": 2, "failed": 1}
    run = suite.run(files, _FILE, report=True)
    assert run.outcomes == {"passed": 3}
    assert run.report["summary"] == {"error": 0, "warning": 0, "info": 2, "allowed": 0, "contained": 2} | {
        "info": run.report["summary"]["info"]
    }
    assert run.blamed("fake-left", "colorsys") == ("test_a.py::test_leaves", "call")


_INTERLEAVE = """
    def pytest_collection_modifyitems(items):
        items.sort(key=lambda item: item.name)
"""


def test_tests_of_two_files_may_alternate(suite: Suite) -> None:
    one = """
    import sys
    sys.modules["colorsys"] = fake = object()
    def test_1():
        sys.modules["wave"] = fake
    def test_3():
        import colorsys, wave
        assert colorsys is wave is fake
    def test_5():
        import colorsys, wave
        assert colorsys is wave is fake
    """
    other = """
    def test_2():
        import colorsys, wave
        assert colorsys.rgb_to_hsv and wave.open
    def test_4():
        import colorsys, wave
        assert colorsys.rgb_to_hsv and wave.open
    """
    run = suite.run({"test_a.py": one, "test_b.py": other, "conftest.py": _INTERLEAVE}, _FILE, "-v")
    assert run.outcomes == {"passed": 5}
    names = [line.split()[0] for line in run.output.splitlines() if " PASSED " in line]
    assert [name[-1] for name in names] == list("12345")


# One way shows that workers do as one process does; the others give them the tests in another order.
@pytest.mark.parametrize(
    "dist", [*(pytest.param(d, marks=TAKES_LONG) for d in ("loadscope", "loadfile", "worksteal")), "load"]
)
def test_under_xdist_with_every_way_of_distributing(suite: Suite, dist: str) -> None:
    tests = "\n".join(f"def test_{n}():\n    import colorsys\n    assert colorsys is fake" for n in range(6))
    victims = "\n".join(
        f"def test_{n}():\n    import colorsys\n    assert colorsys.rgb_to_hsv" for n in range(6)
    )
    files = {
        "test_a.py": f"import sys\nsys.modules['colorsys'] = fake = object()\n{tests}",
        "test_b.py": f"import colorsys\n{victims}",
        "test_c.py": f"import sys\nsys.modules['colorsys'] = fake = object()\n{tests}",
    }
    run = suite.run(files, _FILE, "-n2", "--dist", dist, plugins=("xdist",), report=True)
    assert run.outcomes == {"passed": 18}
    assert run.report["summary"]["error"] == 0
    assert run.report["complete"]


@pytest.mark.parametrize(
    ("options", "passed"),
    [
        (["-k", "real or call_time"], 2),
        (["test_b.py::test_the_real_module"], 1),
        (["test_a.py::test_it_has_its_fake", "test_b.py", "test_a.py::test_it_has_its_fake_at_call_time"], 3),
        (["test_b.py", "test_a.py"], 3),
        (["test_a.py", "test_a.py", "test_b.py"], 3),
        (["--import-mode=importlib"], 3),
        (["--import-mode=append"], 3),
        (["--doctest-modules"], 3),
    ],
)
def test_with_every_way_of_choosing_tests(suite: Suite, options: list[str], passed: int) -> None:
    run = suite.run(
        {**_APP, "test_a.py": _POLLUTER, "test_b.py": _VICTIM},
        _FILE,
        "-o",
        "pythonpath=.",
        *options,
    )
    assert run.outcomes["passed"] >= passed  # older versions of pytest run a file twice that is named twice
    assert "failed" not in run.outcomes


def test_with_last_failed(suite: Suite) -> None:
    files = {**_APP, "test_a.py": _POLLUTER, "test_b.py": _VICTIM + "\n    def test_fails(): assert False"}
    cache = ["-p", "cacheprovider", "-o", "cache_dir=.cache"]
    assert suite.run(files, _FILE, *cache).outcomes.items() >= {("passed", 3), ("failed", 1)}
    for option in ("--lf", "--ff"):
        outcomes = suite.run({}, _FILE, *cache, option).outcomes
        assert outcomes["failed"] == 1
        assert outcomes.get("passed", 0) == (3 if option == "--ff" else 0)


def test_a_test_file_that_is_imported_by_its_path_finds_what_plain_pytest_finds(suite: Suite) -> None:
    user = """
        from importlib import import_module

        def test_it():
            assert import_module("na" + "mes").HOME == "one"  # which no look at the text sees
    """
    files = {
        "one/names.py": "HOME = 'one'",
        "two/names.py": "HOME = 'two'",
        "one/test_a.py": user,
        "two/test_b.py": user,
    }
    run = suite.run(files, _FILE, "--import-mode=importlib", ini="pythonpath = one two\n")
    assert run.outcomes == {"passed": 2}


def test_the_ini_key_asks_for_it_and_the_option_wins(suite: Suite) -> None:
    files = {**_APP, "test_a.py": _POLLUTER, "test_b.py": _VICTIM}
    ini = "isolate_imports = file"
    assert suite.run(files, ini=ini).outcomes == {"passed": 3}
    assert "failed" in suite.run(files, "--isolate-imports=off", ini=ini).outcomes


@pytest.mark.parametrize(
    ("options", "ini", "message"),
    [
        (
            ["--isolate-imports=files"],
            "",
            "--isolate-imports: expected off, file, test, process or process-file, not 'files' (did you mean 'file'?)",
        ),
        (
            [],
            "isolate_imports = yes",
            "isolate_imports in the ini file: expected off, file, test, process or process-file, not 'yes'",
        ),
    ],
)
def test_a_wrong_mode_is_a_usage_error(suite: Suite, options: list[str], ini: str, message: str) -> None:
    run = suite.run("def test(): pass", *options, ini=ini)
    assert run.status == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: {message}\n" in run.output


def test_a_suite_in_which_nothing_is_wrong_stays_as_it_is(suite: Suite) -> None:
    files = {
        **_APP,
        "conftest.py": """
            import pytest
            @pytest.fixture(scope="session")
            def paint():
                from app import paint
                return paint
        """,
        "test_a.py": "def test(paint):\n    from app import paint as mine\n    assert mine is paint",
        "test_b.py": "from app import paint as mine\ndef test(paint):\n    assert mine is paint",
    }
    for mode in ("off", "file", "test"):
        run = suite.run(files, f"--isolate-imports={mode}", report=True)
        assert run.outcomes == {"passed": 2}
        assert run.leaks == []


@pytest.mark.parametrize("mode", [[], ["--isolate-imports=file"], ["--isolate-imports=test"]])
def test_what_a_module_does_while_it_is_collected_for_its_doctests_stays_done(
    suite: Suite, mode: list[str]
) -> None:
    run = suite.run(
        {
            "rates.py": "class Rates:\n    def rate(self): return 5\n",
            "shop/__init__.py": "from shop.compat import take_off\ntake_off()\n",
            "shop/compat.py": """
                import rates

                def take_off():
                    '''
                    >>> 1 + 1
                    2
                    '''
                    for kind in [rates.Rates]:
                        del kind.rate
                """,
            "conftest.py": """
                import rates

                def restore():
                    rates.Rates.rate = lambda self: 5
                """,
            "tests/test_a.py": """
                import rates, shop

                def test_a():
                    assert not hasattr(rates.Rates, "rate")
                """,
        },
        *("--doctest-modules", "shop", "tests", "--import-leak-report", *mode),
    )
    assert run.outcomes == {"passed": 2}
    assert [kind for kind in run.kinds if kind[0] == "class-attribute-left"] == []


@pytest.mark.parametrize("last", ["test_a.py", "test_z.py"])
@pytest.mark.parametrize("mode", ["file", "test"])
def test_what_the_last_file_has_for_itself_is_contained_as_that_of_any_other(
    suite: Suite, mode: str, last: str
) -> None:
    polluter = """
        import sys
        class Finder:
            @staticmethod
            def find_spec(*_): pass
        sys.path.append("/nowhere")
        sys.meta_path.append(Finder)
        sys.path_hooks.append(lambda entry: exec("raise ImportError"))
        def test_it():
            assert "/nowhere" in sys.path
    """
    victim = """
        import sys
        def test_it():
            assert "/nowhere" not in sys.path
    """
    files = {"test_a.py": victim, "test_z.py": victim, last: polluter}
    run = suite.run(files, f"--isolate-imports={mode}", "--import-leak-report")
    assert run.outcomes == {"passed": 2}
    assert sorted(leak["kind"] for leak in run.leaks) == ["finder-added", "hook-added", "path-added"]
    assert all(leak["contained"] for leak in run.leaks)
    assert "no import leaks (" in run.section


def test_a_path_entry_beside_a_reload_from_elsewhere_is_contained(suite: Suite) -> None:
    files = {
        "one/entry.py": "NAME = 'one'",
        "two/entry.py": "NAME = 'two'",
        "test_a.py": """
            import importlib, os, sys
            sys.path.insert(0, os.path.join(os.path.dirname(__file__), "one"))
            import entry
            def test_name():
                importlib.reload(entry)
                assert entry.NAME == "one"
        """,
        "test_b.py": """
            import os, sys
            sys.path.insert(0, os.path.join(os.path.dirname(__file__), "two"))
            def test_two(): pass
        """,
    }
    run = suite.run(files, "--isolate-imports=file")
    assert run.outcomes == {"passed": 2}
    added = {
        leak["polluter"]["nodeid"]: leak["contained"] for leak in run.leaks if leak["kind"] == "path-added"
    }
    assert added == {"test_a.py": True, "test_b.py": True}


# A helper of the tests keeps what its first copy of the application had; a file then throws that copy out.
_THROWS_OUT = {
    "app/__init__.py": "",
    "app/errors.py": "class Refused(Exception): pass",
    "tests/__init__.py": "",
    "tests/base.py": """
        from app.errors import Refused

        def is_refused(function):
            try:
                function()
            except Refused:
                return True
        """,
    "tests/purge.py": """
        import sys

        def purge():
            for name in [name for name in sys.modules if name.partition(".")[0] == "app"]:
                del sys.modules[name]
        """,
    "tests/test_victim.py": """
        from tests.base import is_refused
        from app.errors import Refused

        def test_victim():
            def refuse(): raise Refused
            assert is_refused(refuse)
        """,
}


@pytest.mark.parametrize("mode", ["file", "test"])
@pytest.mark.parametrize("name", ["a", "z"])
@pytest.mark.parametrize("again", ["", "import app.errors"])
@pytest.mark.parametrize("how", ["import sys; del sys.modules['app.errors'], sys.modules['app']", "purge()"])
def test_what_a_file_imports_and_throws_out_leaves_no_first_copy_to_others(
    suite: Suite, how: str, again: str, name: str, mode: str
) -> None:
    polluter = f"""
        from tests.base import is_refused
        from tests.purge import purge
        {how}
        {again}

        def test_polluter(): pass
        """
    files = {**_THROWS_OUT, f"tests/test_{name}.py": polluter}
    run = suite.run(files, f"--isolate-imports={mode}")
    assert run.outcomes == {"passed": 2}


def test_a_package_that_a_file_threw_out_alone_is_not_missing_above_what_stays(suite: Suite) -> None:
    files = {
        "app/__init__.py": "",
        "app/errors.py": "class Refused(Exception): pass",
        "tests/__init__.py": "import app.errors",
        "tests/test_a.py": "import sys\nsys.modules.pop('app')\n\ndef test_a(): pass\n",
        "tests/test_b.py": "import app.errors\n\ndef test_b(): assert app.errors.Refused\n",
    }
    run = suite.run(files, "--isolate-imports=file")
    assert run.outcomes == {"passed": 2}


def test_a_file_that_imports_in_a_window_of_its_own_still_shares_what_it_imported_outside_of_it(
    suite: Suite,
) -> None:
    files = {
        "app/__init__.py": "",
        "app/core.py": "print('executed app.core')",
        "app/extra.py": "",
        "test_a.py": """
            from pytest_import_isolation import IsolatedImportContext
            import app.core
            with IsolatedImportContext(fakes={"zlib": {}}):
                import app.extra

            def test_a(): pass
            """,
        "test_b.py": "import app.core\n\ndef test_b(): pass\n",
    }
    run = suite.run(files, "--isolate-imports=file", "-s")
    assert run.outcomes == {"passed": 2}
    assert run.output.count("executed app.core") == 1


def test_what_an_application_takes_out_itself_does_not_keep_its_files_apart(suite: Suite) -> None:
    files = {
        "app/__init__.py": """
            import sys
            import app.start
            del sys.modules["app.start"]
            print("executed app")
            """,
        "app/start.py": "",
        **{f"tests/test_{name}.py": f"import app\n\ndef test_{name}(): pass\n" for name in "abc"},
    }
    run = suite.run(files, "--isolate-imports=file", "-s", "-o", "pythonpath=.")
    assert run.outcomes == {"passed": 3}
    assert run.output.count("executed app") == 1


# Each throws out an installed package, to have it executed anew, as it needs it.
_EXECUTES_ANEW = {
    "site-packages/lib/__init__.py": "from lib.part import NAME",
    "site-packages/lib/part.py": "NAME = 'real'",
    "conftest.py": "import lib",
    "helper.py": """
        import sys

        def purge():
            for name in [name for name in sys.modules if name.partition(".")[0] == "lib"]:
                del sys.modules[name]
        """,
    "test_real.py": """
        import helper
        helper.purge()

        def test_real():
            import lib
            assert lib.NAME == "real"
            helper.held = lib

        def test_same_again():
            import lib
            assert lib is getattr(helper, "held", lib)
        """,
    "test_z_fake.py": """
        import sys
        from types import ModuleType
        import helper

        def test_fake():
            helper.purge()
            sys.modules["lib.part"] = ModuleType("lib.part")
            sys.modules["lib.part"].NAME = "fake"
            import lib
            assert lib.NAME == "fake"
        """,
}


@pytest.mark.parametrize("order", [("test_real.py", "test_z_fake.py"), ("test_z_fake.py", "test_real.py")])
@pytest.mark.parametrize("mode", ["off", "file", "test"])
def test_who_throws_out_an_installed_package_does_not_get_the_second_copy_of_another_file(
    suite: Suite, mode: str, order: tuple[str, str]
) -> None:
    env = {"PYTHONPATH": f"{suite.root / 'site-packages'}:{suite.python_path}"}
    run = suite.run(_EXECUTES_ANEW, f"--isolate-imports={mode}", *order, env=env)
    if mode == "off" and order[0] == "test_z_fake.py":
        assert run.outcomes == {"failed": 1, "passed": 2}
    else:
        assert run.outcomes == {"passed": 3}


@pytest.mark.parametrize("mode", ["--isolate-imports=test", "--isolate-imports=file"])
def test_what_a_test_borrows_from_another_file_leaves_with_the_test_where_each_is_isolated(
    suite: Suite, mode: str
) -> None:
    is_test = mode.endswith("test")
    run = suite.run(
        {
            "app/__init__.py": "class Thing: pass",
            "test_a.py": f"""
                import sys
                from unittest import mock

                with mock.patch.dict(sys.modules):
                    import app  # is gone with the block

                def test_first(): assert "app" not in sys.modules

                def test_second(): from app import Thing

                def test_third(): assert ("app" in sys.modules) is {not is_test}
            """,
            "test_b.py": "import app\n\ndef test_b(): assert app.Thing\n",
        },
        mode,
    )
    assert run.outcomes == {"passed": 4}
