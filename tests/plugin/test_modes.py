"""The report in every mode of pytest: without the plugin, with xdist, interrupted, with unusable files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

_LEAKY = {
    "test_a.py": "import sys\nsys.modules['at_collection'] = object()\ndef test_a(): pass\n",
    "test_b.py": "import sys\ndef test_b():\n    sys.modules['in_test'] = object()\n",
    "test_c.py": "def test_c1(): pass\ndef test_c2(): pass\n",
}


def test_without_flags_the_plugin_loads_little_and_watches_nothing(suite: Suite) -> None:
    run = suite.run(
        """
        import importlib.machinery, sys

        def test_it():
            own = {name for name in sys.modules if name.startswith("pytest_import_isolation")}
            for rest in ("plugin.observer", "plugin.windows", "plugin.output", "report", "window", "state", "fakes"):
                assert f"pytest_import_isolation.{rest}" not in own, own
            assert not [f for f in sys.meta_path if type(f).__module__.startswith("pytest_import_isolation")]
            assert type(__import__).__name__ == "builtin_function_or_method"
            assert len(own) < 9
            # pytest's hook would rewrite the assertions of what it loads.
            loaders = {type(sys.modules[f"pytest_import_isolation.plugin.{name}"].__loader__) for name in ("options", "fixtures")}
            assert loaders == {importlib.machinery.SourceFileLoader}
            assert sys.meta_path.count(importlib.machinery.PathFinder) == 1

        def test_leak():
            sys.modules["fake"] = object()
        """,
        report=False,
    )
    assert run.outcomes == {"passed": 2}
    assert "import leaks" not in run.output


def test_without_the_plugin_its_options_do_not_exist(suite: Suite) -> None:
    suite.autoloads = True
    run = suite.run(_LEAKY, "-p", "no:pytest_import_isolation", load=False, report=False)
    assert run.outcomes == {"passed": 4}
    assert "import leaks" not in run.output
    run = suite.run({}, "-p", "no:pytest_import_isolation", load=False)
    assert run.status == 4
    assert "unrecognized arguments: --import-leak-file=report.json" in run.output


def test_the_flag_prints_and_the_exit_status_stays(suite: Suite) -> None:
    run = suite.run(_LEAKY, "--import-leak-report", report=False)
    assert run.status == 0
    assert "error: fake-left at_collection" in run.section
    assert "error: fake-left in_test" in run.section
    assert "written to" not in run.output


def test_ini_keys(suite: Suite) -> None:
    run = suite.run(_LEAKY, report=False, ini="import_leak_report = true")
    assert "import leaks: 2 errors, 0 warnings" in run.output
    run = suite.run({}, report=False, ini="import_leak_file =\n    one.json\n    deep/two.json")
    assert "import leaks: 2 errors, 0 warnings" in run.output
    assert (suite.root / "one.json").read_text() == (suite.root / "deep/two.json").read_text()
    assert "written to deep/two.json\n" in run.output
    run = suite.run({}, report=True, ini="import_leak_file = other.json")  # the flag wins
    assert not (suite.root / "other.json").exists()
    assert len(run.leaks) == 2
    for key in ("import_isolation_keep", "import_isolation_first_party"):
        run = suite.run({}, report=False, ini=f"{key} = .relative")
        assert run.status == 4
        assert f"ERROR: {key}: '.relative' is relative; give the absolute name" in run.output
        assert "Traceback" not in run.output


def test_ini_patterns_keep_modules_and_make_them_first_party(suite: Suite) -> None:
    run = suite.run(
        {
            "app/__init__.py": "",
            "app/kept.py": "",
            "other.py": "",
            "test_it.py": """
                import sys
                import pytest
                pytestmark = pytest.mark.isolated_imports

                def test_one():
                    import app.kept, other, wave
                    wave.mine = True

                def test_two():
                    assert "app.kept" in sys.modules
                    assert "other" not in sys.modules
                    import wave
                    assert not hasattr(wave, "mine")
            """,
        },
        ini="import_isolation_keep = app.kept\nimport_isolation_first_party = wave",
    )
    assert run.outcomes == {"passed": 2}


def test_several_files(suite: Suite) -> None:
    run = suite.run(_LEAKY, "--import-leak-file=a.json", f"--import-leak-file={suite.root}/new/folder/b.json")
    assert run.status == 0
    written = [suite.root / name for name in ("report.json", "a.json", "new/folder/b.json")]
    assert len({file.read_text() for file in written}) == 1
    for file in written:
        assert f"written to {file.relative_to(suite.root)}\n" in run.output


@pytest.mark.parametrize("plugins", [(), ("xdist",)])
def test_unusable_file_names_are_usage_errors(suite: Suite, plugins: tuple[str, ...]) -> None:
    suite.write({"folder.json/x": "", "file": "", **_LEAKY})
    mistakes = {
        "report.txt": "the report is written as JSON or HTML, so give a name that ends in .json or .html",
        "report": "the report is written as JSON or HTML, so give a name that ends in .json or .html",
        "folder.json": "that is a directory",
        "file/report.json": f"{suite.root}/file is not a directory",
    }
    options = ("-n2",) if plugins else ()
    for name, sentence in mistakes.items() if not plugins else list(mistakes.items())[:1]:
        run = suite.run({}, f"--import-leak-file={name}", *options, report=False, plugins=plugins)
        assert run.status == 4
        assert f"ERROR: --import-leak-file={name}: {sentence}\n" in run.output
        assert "Traceback" not in run.output


def test_a_file_that_cannot_be_written_at_the_end_is_said_and_fails_the_run(suite: Suite) -> None:
    text = """
        import os, sys

        def test_it():
            os.mkdir("report.json")
            sys.modules["fake"] = object()
            assert {result}
    """
    run = suite.run(text.format(result=True))
    assert run.status == 1
    assert run.outcomes == {"passed": 1}
    assert "error: fake-left fake" in run.section
    assert f"ERROR: the import leak report could not be written to {suite.root}/report.json: " in run.section
    assert "written to /" not in run.section.replace("could not be written to", "")
    (suite.root / "report.json").rmdir()
    run = suite.run(text.format(result=False))
    assert run.status == 1
    assert run.outcomes == {"failed": 1}


@pytest.mark.parametrize("processes", ["-n0", "-n2"])
def test_under_xdist_every_leak_is_said_once(suite: Suite, processes: str) -> None:
    run = suite.run(_LEAKY, processes, plugins=("xdist",))
    assert run.outcomes == {"passed": 4}
    assert run.status == 0
    assert sorted(run.kinds) == [("fake-left", "at_collection"), ("fake-left", "in_test")]
    assert run.blamed("fake-left", "at_collection") == ("test_a.py", "collect")
    assert run.blamed("fake-left", "in_test") == ("test_b.py::test_b", "call")
    assert run.report["complete"] is True
    assert run.report["workers"] == ({"gw0": "ok", "gw1": "ok"} if processes == "-n2" else {})
    assert run.report["summary"]["error"] == 2
    assert "import leaks: 2 errors, 0 warnings" in run.section
    loaded = [leak["name"] for leak in run.report["leaks"] if leak["kind"] == "loaded"]
    if processes == "-n0":
        assert len(loaded) == len(set(loaded))


def test_marked_tests_are_isolated_in_xdist_workers(suite: Suite) -> None:
    run = suite.run(
        {
            "app.py": "state = []",
            "test_it.py": """
                import sys, pytest
                pytestmark = pytest.mark.isolated_imports

                @pytest.mark.parametrize("number", range(8))
                def test_it(number):
                    import app
                    assert app.state == []
                    app.state.append(1)
                    sys.modules["fake"] = object()
            """,
        },
        "-n2",
        plugins=("xdist",),
    )
    assert run.outcomes == {"passed": 8}
    assert {leak["kind"] for leak in run.leaks} == {"fake-left"}
    assert all(leak["contained"] for leak in run.leaks)
    assert sum(leak.get("count", 1) for leak in run.leaks) == 8


def test_a_crashed_worker_is_named_and_the_report_incomplete(suite: Suite) -> None:
    run = suite.run(
        {
            **_LEAKY,
            "test_crash.py": "import os\ndef test_crash():\n    os._exit(3)\n",
        },
        "-n2",
        "--max-worker-restart=1",
        plugins=("xdist",),
    )
    assert run.status == 1
    assert run.report["complete"] is False
    states = run.report["workers"]
    assert sorted(states)[:2] == ["gw0", "gw1"]
    crashed = [worker for worker, state in states.items() if state != "ok"]
    assert len(crashed) == 1
    assert states[crashed[0]].startswith("sent no report")
    assert ("fake-left", "at_collection") in run.kinds
    assert f"worker {crashed[0]}: sent no report" in run.section
    assert "this report is not complete: the run ended before everything was seen" in run.section


@pytest.mark.parametrize("raising", ["KeyboardInterrupt", "SystemExit", "pytest.exit('enough')"])
def test_an_interrupted_run_reports_what_was_seen(suite: Suite, raising: str) -> None:
    run = suite.run(
        {
            "test_a.py": "import sys\ndef test_it():\n    sys.modules['before'] = object()\n",
            "test_b.py": f"""
                import sys
                import pytest

                @pytest.mark.isolated_imports
                def test_contained():
                    sys.modules['undone'] = object()

                def test_interrupted():
                    sys.modules['interrupted'] = object()
                    raise {raising}

                def test_never():
                    pass
            """,
        }
    )
    found = {(leak["name"], leak["polluter"]["nodeid"], leak["contained"]) for leak in run.leaks}
    assert found == {
        ("before", "test_a.py::test_it", False),
        ("undone", "test_b.py::test_contained", True),
        ("interrupted", "test_b.py::test_interrupted", False),
    }
    stopped = raising != "SystemExit"  # pytest takes that for a failure of the test
    assert run.report["complete"] is not stopped
    assert run.status == (2 if stopped else 1)
    assert "fake-left interrupted" in run.section
    assert ("this report is not complete" in run.section) is stopped


def test_an_interrupt_in_an_isolated_test_restores_and_reports(suite: Suite) -> None:
    run = suite.run(
        {
            "conftest.py": """
                import sys

                def pytest_unconfigure(config):
                    print("left:", "fake" in sys.modules, "wave" in sys.modules)
            """,
            "test_it.py": """
                import sys
                import pytest

                @pytest.mark.isolated_imports
                def test_it():
                    sys.modules["fake"] = object()
                    import wave
                    raise KeyboardInterrupt
            """,
        },
        "-s",
    )
    assert run.status == 2
    assert run.report["complete"] is False
    assert ("fake-left", "fake") in run.kinds
    assert "INTERNALERROR" not in run.output


def test_stopping_early_collecting_only_and_collecting_nothing(suite: Suite) -> None:
    run = suite.run(
        {
            "test_it.py": """
                import sys
                def test_fails():
                    sys.modules["fake"] = object()
                    assert False
                def test_never():
                    sys.modules["other"] = object()
            """,
        },
        "-x",
    )
    assert run.status == 1
    assert run.kinds == [("fake-left", "fake")]
    assert run.report["complete"] is True
    run = suite.run(
        {"test_it.py": "import sys\nsys.modules['fake'] = object()\ndef test_it(): 1/0\n"}, "--collect-only"
    )
    assert run.status == 0
    assert run.kinds == [("fake-left", "fake")]
    assert run.report["complete"] is True
    run = suite.run({"test_it.py": ""})
    assert run.status == 5
    assert run.report["leaks"] is not None
    assert run.kinds == []
    assert "no import leaks (" in run.section


@pytest.mark.parametrize(
    "options",
    [("-p", "no:terminal"), ("-q",), ("-qq",), ("-vv",), ("-p", "no:doctest", "-p", "no:logging"), ("-s",)],
    ids=" ".join,
)
def test_other_options_of_pytest(suite: Suite, options: tuple[str, ...]) -> None:
    run = suite.run(_LEAKY, *options)
    assert run.status == 0
    assert sorted(run.kinds) == [("fake-left", "at_collection"), ("fake-left", "in_test")]
    assert "INTERNALERROR" not in run.output
    assert ("import leaks: 2 errors, 0 warnings" in run.output) is ("no:terminal" not in options)
    assert ("first imports (" in run.output) is ("-vv" in options)


def test_a_plugin_loaded_by_a_conftest_watches_from_then_on(suite: Suite) -> None:
    run = suite.run(
        {"conftest.py": 'pytest_plugins = ["pytest_import_isolation.plugin"]\n', **_LEAKY},
        report=False,
        ini="import_leak_file = report.json",
        load=False,
        env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    assert run.outcomes == {"passed": 4}
    assert sorted(run.kinds) == [("fake-left", "at_collection"), ("fake-left", "in_test")]
    run = suite.run(
        {
            "test_m.py": """
                import pytest

                @pytest.mark.isolated_imports(fakes={"f": {}})
                def test_m():
                    import f
            """
        },
        "--strict-markers",
        "test_m.py",
        report=False,
        load=False,
        env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    assert run.outcomes == {"passed": 1}


def test_warnings_as_errors_and_python_development_mode(suite: Suite) -> None:
    run = suite.run(
        {
            **_LEAKY,
            "test_marked.py": """
                import sys
                import pytest
                pytestmark = pytest.mark.isolated_imports(missing="wave")

                @pytest.fixture(scope="session")
                def session():
                    import colorsys

                def test_it(session):
                    import netrc
            """,
        },
        *("-W", "error", "--strict-markers", "--strict-config"),
        env={"PYTHONDEVMODE": "1", "PYTHONWARNINGS": "error"},
    )
    assert run.outcomes == {"passed": 5}
    assert "Warning" not in run.output


@pytest.mark.parametrize("mode", ["off", "file", "test", "process"])
def test_a_suite_of_text_files_can_do_without_pytests_collection_of_python_files(
    suite: Suite, mode: str
) -> None:
    run = suite.run(
        {
            "test_a.txt": ">>> import sys, types\n>>> sys.modules['plum'] = types.ModuleType('plum')\n",
            "test_b.txt": ">>> 'plum' in __import__('sys').modules\nFalse\n",
        },
        *("-p", "no:python", f"--isolate-imports={mode}"),
    )
    assert run.outcomes == ({"passed": 1, "failed": 1} if mode == "off" else {"passed": 2})
    (leak,) = run.leaks
    assert (leak["kind"], leak["name"], leak["contained"]) == ("fake-left", "plum", mode != "off")


_DOCUMENT = {
    "app/__init__.py": "",
    "app/part.py": "class Part: pass\n",
    "conftest.py": """
        import pytest

        class Example(pytest.Item):
            def __init__(self, *, text, space, **kwargs):
                super().__init__(**kwargs)
                self.text, self.space = text, space

            def runtest(self):
                exec(self.text, self.space)

            def getparent(self, cls):  # sybil's has one of its own
                return self.parent if cls is pytest.Module else None

        class Document(pytest.File):
            def collect(self):
                space = {}
                for number, text in enumerate(self.path.read_text().split("---"), 1):
                    yield Example.from_parent(self, name=f"example {number}", text=text, space=space)

        def pytest_collect_file(file_path, parent):
            if file_path.suffix == ".doc":
                return Document.from_parent(parent, path=file_path)
    """,
    "a.doc": (
        "import sys, app.part\nPart = app.part.Part\nsys.modules['plum'] = sys"
        "\n---\nimport plum\n---\nassert isinstance(Part(), app.part.Part)"
    ),
    "b.doc": "import sys\nassert 'plum' not in sys.modules",
}


@pytest.mark.parametrize("mode", ["off", "file", "process-file"])
def test_the_examples_of_a_document_rely_on_each_other(suite: Suite, mode: str) -> None:
    run = suite.run(_DOCUMENT, f"--isolate-imports={mode}")
    assert run.outcomes == ({"passed": 3, "failed": 1} if mode == "off" else {"passed": 4})
    leak = run.leak("fake-left", "plum")
    assert (leak["polluter"]["nodeid"], leak["contained"]) == ("a.doc::example 1", mode != "off")


@pytest.mark.parametrize("mode", ["off", "file", "test"])
def test_a_plugin_that_rebinds_the_containers_of_sys_around_its_tests_is_no_polluter(
    suite: Suite, mode: str
) -> None:
    run = suite.run(
        {
            **_DOCUMENT,
            "conftest.py": f"\n        pytest_plugins = ['checking']{_DOCUMENT['conftest.py']}",
            "lib/site-packages/checking.py": """
                import pytest, sys

                class Case(pytest.Item):
                    def runtest(self):
                        sys.path, sys.modules = sys.path[:], sys.modules.copy()

                class Cases(pytest.File):
                    def collect(self):
                        yield Case.from_parent(self, name="case")

                def pytest_collect_file(file_path, parent):
                    if file_path.suffix == ".yml":
                        return Cases.from_parent(parent, path=file_path)
            """,
            "a.yml": "case: x: int = 'a'",
            "a.doc": "import sys\n---\nsys.path = sys.path[:]",
        },
        f"--isolate-imports={mode}",
        ini="pythonpath = lib/site-packages\n",
    )
    assert run.outcomes == {"passed": 4}
    (leak,) = run.leaks
    assert (leak["kind"], leak["name"]) == ("rebound", "sys.path")
    assert (leak["polluter"]["nodeid"], leak["contained"]) == ("a.doc::example 2", mode != "off")
