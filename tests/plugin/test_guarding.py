"""What makes a run fail for its leaks, and what is accepted: --import-leak-fail, the allow list, the baseline."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from tests.conftest import TAKES_LONG

if TYPE_CHECKING:
    from tests.plugin.conftest import Run, Suite

_LEAKY = {
    "test_a.py": "import sys\nsys.modules['at_collection'] = object()\ndef test_a(): pass\n",
    "test_b.py": "import sys\ndef test_b():\n    sys.modules['in_test'] = object()\n",
}
_WARNING = {"test_w.py": "import sys\ndef test_w():\n    sys.path.append('/vendor')\n"}
_CLEAN = {"test_c.py": "def test_c(): pass\n"}
_FAIL = "--import-leak-fail"
_BASELINE = "--import-leak-baseline=known.json"
_WRITE = "--import-leak-write-baseline"


def _last(run: Run) -> str:
    """Return the last line of standard output."""
    return [line for line in run.output.splitlines() if line.strip()][-1]


def _known(suite: Suite) -> dict[str, Any]:
    data = json.loads((suite.root / "known.json").read_text(encoding="utf-8"))
    assert list(data) == ["version", "known"]
    assert data["version"] == 1
    known: dict[str, Any] = data["known"]
    return known


# The exit status


def test_an_error_fails_the_run_and_the_last_line_says_so(suite: Suite) -> None:
    run = suite.run(_LEAKY, _FAIL, report=False)
    assert run.status == 1
    assert run.outcomes == {"passed": 2}
    assert "error: fake-left at_collection" in run.section
    assert _last(run) == "import leaks: exit status 1: 2 errors not allowed (--import-leak-fail)"
    run = suite.run({"test_b.py": _CLEAN["test_c.py"]}, report=False, ini="import_leak_fail = true")
    assert run.status == 1
    assert _last(run) == "import leaks: exit status 1: 1 error not allowed (--import-leak-fail)"


@pytest.mark.parametrize(
    "options",
    [("-q",), ("-qq",), ("--no-header",), ("--no-summary",), ("--co",), ("--color=yes",)],
    ids=lambda options: options[0],
)
def test_a_failure_for_leaks_is_the_last_line_in_every_shape_of_output(
    suite: Suite, options: tuple[str, ...]
) -> None:
    run = suite.run(_LEAKY, _FAIL, *options)
    assert run.status == 1
    errors = "1 error" if options == ("--co",) else "2 errors"
    assert f"import leaks: exit status 1: {errors} not allowed (--import-leak-fail)" in _last(run)


def test_without_a_terminal_the_run_fails_all_the_same(suite: Suite) -> None:
    run = suite.run(_LEAKY, _FAIL, "-p", "no:terminal")
    assert run.status == 1
    assert run.output == ""


def test_a_run_that_leaves_nothing_passes(suite: Suite) -> None:
    run = suite.run(_CLEAN, _FAIL, report=False)
    assert run.status == 0
    assert "no import leaks (" in run.section
    assert "keeps it so" not in run.output
    assert "exit status" not in run.output


def test_warnings_and_contained_leaks_do_not_fail(suite: Suite) -> None:
    run = suite.run(_WARNING, _FAIL)
    assert run.status == 0
    assert run.report["summary"]["warning"] == 1
    run = suite.run(_LEAKY, _FAIL, "--isolate-imports=file")
    assert run.status == 0
    assert run.report["summary"] | {"info": 0, "warning": 0} == {
        "error": 0, "warning": 0, "info": 0, "allowed": 0, "contained": 3,
    }  # fmt: skip


_FAILING = {"test_a.py": _LEAKY["test_a.py"], "test_f.py": "def test_f(): assert 0\ndef test_g(): assert 0\n"}


@pytest.mark.parametrize(
    ("files", "options", "status"),
    [
        (_FAILING, (), 1),
        (_FAILING, ("-x",), 1),
        (_FAILING, ("--maxfail=2",), 1),
        ({**_FAILING, "test_f.py": "1/0\n"}, (), 2),
        ({**_FAILING, "test_f.py": "1/0\n"}, ("--continue-on-collection-errors",), 1),
        ({"test_a.py": "import sys\nsys.modules['fake'] = 3\n"}, (), 5),
        (_LEAKY, ("-k", "nothing"), 5),
        (_LEAKY, ("nothing.py",), 4),
        (_LEAKY, ("--no-such-option",), 4),
        ({**_LEAKY, "test_x.py": "def test_x(): raise KeyboardInterrupt\n"}, (), 2),
        ({**_LEAKY, "test_x.py": "import pytest\ndef test_x(): pytest.exit('enough', 7)\n"}, (), 7),
        ({**_LEAKY, "conftest.py": "def pytest_runtest_logreport(report): 1/0\n"}, (), 3),
    ],
    ids=[
        *("failed", "-x", "--maxfail", "collection-error", "continue", "no-tests", "deselected", "no-file"),
        *("usage", "interrupt", "exit", "internal-error"),
    ],
)
def test_an_exit_status_that_is_not_0_stays(
    suite: Suite, files: dict[str, str], options: tuple[str, ...], status: int
) -> None:
    run = suite.run(files, _FAIL, *options, report=False)
    assert run.status == status
    assert "import leaks: exit status" not in run.output


def test_stopping_early_without_a_failure_can_fail_for_leaks(suite: Suite) -> None:
    stop = "import pytest\n@pytest.fixture(autouse=True)\ndef stop(request):\n    request.session.shouldstop = 'x'\n"
    run = suite.run({**_LEAKY, "conftest.py": stop}, _FAIL)
    assert run.status == 2  # pytest takes that for an interruption
    run = suite.run({"conftest.py": "", **_LEAKY}, _FAIL, "-x", "--maxfail=1")
    assert run.status == 1
    assert _last(run).startswith("import leaks: exit status 1: 2 errors")


# The allow list


def test_allowed_leaks_are_marked_and_do_not_fail(suite: Suite) -> None:
    options = ("--import-leak-allow=fake-left:at_*", "--import-leak-allow=*:in_test in test_b.py::*")
    run = suite.run(_LEAKY, _FAIL, *options)
    assert run.status == 0
    assert [leak["allowed"] for leak in run.leaks] == [True, True]
    assert run.report["summary"]["allowed"] == 2
    assert "allowed: 2 changes" in run.section
    assert "no import leaks except the allowed ones (" in run.section
    assert "unused" not in run.section
    run = suite.run({}, _FAIL, ini="import_leak_allow =\n    *:at_collection\n    *:in_test in test_a.py")
    assert run.status == 1
    assert {leak["name"]: leak["allowed"] for leak in run.leaks} == {"at_collection": True, "in_test": False}
    assert "unused: nothing matched the allow entry '*:in_test in test_a.py'" in run.section


def test_entries_of_the_command_line_add_to_those_of_the_ini_file_and_turn_the_report_on(
    suite: Suite,
) -> None:
    ini = "import_leak_allow = *:at_collection"
    run = suite.run(_LEAKY, "--import-leak-allow=*:in_test", report=False, ini=ini)
    assert run.status == 0
    assert "allowed: 2 changes" in run.section
    assert "keeps it so" in run.section


def test_an_entry_for_parameters_takes_brackets_literally(suite: Suite) -> None:
    run = suite.run(
        """
        import sys, pytest
        @pytest.mark.parametrize("name", ["a", "b"])
        def test_it(name):
            sys.modules[name] = object()
        """,
        "--import-leak-allow=*:* in test_it.py::test_it[a]",
    )
    assert {leak["name"]: leak["allowed"] for leak in run.leaks} == {"a": True, "b": False}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), True),
        (("--co",), False),
        ((".",), True),
        (("tests",), False),
        (("test_a.py",), False),
        (("test_a.py::test_a",), False),
        (("-k", "test_a"), False),
        (("--deselect=test_b.py",), False),
        (("-p", "cacheprovider", "--lf"), False),
        (("--ignore=test_b.py",), True),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_unused_entries_are_said_only_if_the_whole_suite_was_run(
    suite: Suite, options: tuple[str, ...], said: bool
) -> None:
    files = {**_LEAKY, "tests/test_c.py": _CLEAN["test_c.py"]}
    ini = "testpaths = . tests" if options == ("tests",) else ""
    run = suite.run(files, "--import-leak-allow=*:serial", *options, report=False, ini=ini)
    assert run.status == 0
    assert ("unused: nothing matched the allow entry '*:serial'" in run.section) is said


@pytest.mark.parametrize(
    "body",
    [
        "import pytest\ndef test_s(): pytest.skip('x')\n",
        "import pytest\npytest.skip('x', allow_module_level=True)\n",
    ],
    ids=["test", "file"],
)
def test_what_was_skipped_may_be_what_an_entry_is_for(suite: Suite, body: str) -> None:
    run = suite.run({**_LEAKY, "test_s.py": body}, "--import-leak-allow=*:serial", report=False)
    assert "unused" not in run.section


@pytest.mark.parametrize("plugins", [(), ("xdist",)], ids=["alone", "xdist"])
def test_entries_that_cannot_be_read_are_usage_errors(suite: Suite, plugins: tuple[str, ...]) -> None:
    options = ("-n2",) if plugins else ()
    run = suite.run(_LEAKY, "--import-leak-allow=fakeleft:x", *options, report=False, plugins=plugins)
    assert run.status == 4
    assert _last(run) == (
        "ERROR: --import-leak-allow: 'fakeleft:x': there is no kind 'fakeleft' (did you mean 'fake-left'?)"
    )
    if plugins:
        return
    run = suite.run(report=False, ini="import_leak_allow = boto")
    assert run.status == 4
    assert _last(run) == (
        "ERROR: import_leak_allow in the ini file: cannot read 'boto': expected kind:name, such as "
        "'fake-left:boto*' or '*:serial', perhaps followed by ' in ' and the node ids of tests or files"
    )


# The baseline


def test_a_baseline_is_written_and_then_only_new_leaks_count(suite: Suite) -> None:
    run = suite.run({**_LEAKY, **_WARNING}, _BASELINE, _WRITE, _FAIL)
    assert run.status == 0
    assert "baseline: 3 known leaks (3 new, 0 fixed)" in run.section
    assert "written to known.json" in run.section
    assert _known(suite) == {
        "test_a.py": {"fake-left": ["at_collection"]},
        "test_b.py": {"fake-left": ["in_test"]},
        "test_w.py": {"path-added": ["/vendor"]},
    }
    text = (suite.root / "known.json").read_bytes()
    run = suite.run({}, _BASELINE, _FAIL)
    assert run.status == 0
    assert run.report["summary"]["allowed"] == 3
    assert "fixed" not in run.section
    assert (suite.root / "known.json").read_bytes() == text
    # Another line, another test of the file and a second time make no new leak.
    moved = (
        "\n\nimport sys\ndef test_b():\n    pass\ndef test_other():\n    sys.modules['in_test'] = object()\n"
    )
    run = suite.run({"test_b.py": moved}, _BASELINE, _FAIL)
    assert run.status == 0
    run = suite.run({"test_n.py": _LEAKY["test_b.py"].replace("in_test", "new")}, _BASELINE, _FAIL)
    assert run.status == 1
    assert [leak["name"] for leak in run.leaks if not leak["allowed"]] == ["new"]
    assert _last(run) == "import leaks: exit status 1: 1 error not allowed (--import-leak-fail)"


def test_known_leaks_that_occur_no_more_are_named_as_fixed(suite: Suite) -> None:
    suite.run({**_LEAKY, **_WARNING}, _BASELINE, _WRITE)
    (suite.root / "test_w.py").unlink()
    run = suite.run({"test_b.py": "def test_b(): pass\n"}, _BASELINE)
    said = run.section.replace("\n   ", "")
    assert (
        "fixed: 2 known leaks no longer occurred (fake-left in_test, by test_b.py, path-added /vendor, by "
        "test_w.py); --import-leak-write-baseline takes them out"
    ) in said
    run = suite.run({}, _BASELINE, _WRITE)
    assert "baseline: 1 known leak (0 new, 2 fixed)" in run.section
    assert "takes them out" not in run.section
    assert _known(suite) == {"test_a.py": {"fake-left": ["at_collection"]}}


@pytest.mark.parametrize(
    "options",
    [
        ("test_c.py",),
        ("-k", "test_c or test_b1"),
        ("test_b.py::test_b1", "test_c.py"),
        ("--co",),
        ("--deselect=test_b.py::test_b2", "--ignore=test_a.py"),
        ("--lf",),
        ("-x", "test_0.py", "test_b.py", "test_c.py"),
    ],
    ids=" ".join,
)
def test_a_partial_run_calls_nothing_fixed_and_keeps_the_entries_of_others(
    suite: Suite, options: tuple[str, ...]
) -> None:
    leaky = "import sys\ndef test_b1(): pass\ndef test_b2():\n    sys.modules['in_test'] = object()\n"
    files = {"test_a.py": _LEAKY["test_a.py"], "test_b.py": leaky, "test_0.py": "", **_CLEAN}
    suite.run(files, _BASELINE, _WRITE)
    before = _known(suite)
    assert sorted(before) == ["test_a.py", "test_b.py"]
    suite.write({"test_a.py": "def test_a(): pass\n", "test_b.py": leaky.replace("sys.modules", "{}")})
    suite.write({"test_0.py": "def test_0(): assert 0\n" if "-x" in options else "def test_0(): pass\n"})
    cache = ("-p", "cacheprovider") if "--lf" in options else ()
    if cache:
        suite.write({"test_0.py": "def test_0(): assert 0\n"})
        suite.run({}, *cache, report=False)
    run = suite.run({}, _BASELINE, _WRITE, *cache, *options)
    assert "baseline: 2 known leaks (0 new, 0 fixed)" in run.section
    assert "no longer occurred" not in run.section
    assert _known(suite) == before


def test_an_interrupted_run_calls_nothing_fixed(suite: Suite) -> None:
    suite.run(_LEAKY, _BASELINE, _WRITE)
    before = _known(suite)
    clean = dict.fromkeys(_LEAKY, _CLEAN["test_c.py"])
    run = suite.run({**clean, "test_z.py": "def test_z(): raise KeyboardInterrupt\n"}, _BASELINE, _WRITE)
    assert run.status == 2
    assert _known(suite) == before


def test_what_conftests_and_the_run_itself_leave_can_be_known_and_fixed(suite: Suite) -> None:
    conftest = """
        import sys
        sys.path.append("/by_conftest")
        def pytest_sessionstart(session):
            sys.path.append("/by_the_run")
    """
    suite.run({"conftest.py": conftest, **_CLEAN}, _BASELINE, _WRITE)
    known = {"conftest.py": {"path-added": ["/by_conftest", "/by_the_run"]}}
    assert _known(suite) == known
    suite.write({"conftest.py": ""})
    # Other tests may call its hooks, or ask for its fixtures.
    suite.run({}, _BASELINE, _WRITE, "test_c.py")
    assert _known(suite) == known
    suite.run({}, _BASELINE, _WRITE)
    assert _known(suite) == {}


@pytest.mark.skipif(sys.version_info < (3, 12), reason="lines are seen only while a file runs")
def test_a_leak_of_a_plugin_of_the_project_is_fixed_by_a_run_of_all_tests(suite: Suite) -> None:
    plugin = "import sys, types\ndef pytest_collect_file(file_path):\n    sys.modules['fake'] = types\n"
    env = {"PYTHONPATH": suite.python_path}
    options = ("-p", "planting", _BASELINE, _WRITE)
    suite.run(
        {"planting.py": plugin, "test_a.py": "import sys\ndef test_a(): sys.modules"}, *options, env=env
    )
    assert _known(suite) == {"planting.py": {"fake-left": ["fake"]}}
    suite.run({"planting.py": "", **_CLEAN}, *options, "test_c.py", env=env)
    assert _known(suite) == {"planting.py": {"fake-left": ["fake"]}}
    suite.run({}, *options, env=env)
    assert _known(suite) == {}


def test_paths_in_a_baseline_are_the_same_on_every_machine(suite: Suite) -> None:
    run = suite.run(
        """
        import os, sys
        def test_it(tmp_path):
            sys.path.append(os.path.abspath("lib"))
            sys.path.append(str(tmp_path))
        """,
        *(_BASELINE, _WRITE),
    )
    assert run.status == 0
    assert _known(suite) == {"test_it.py": {"path-added": ["<tmp>/test_it0", "lib"]}}
    run = suite.run({}, _BASELINE)
    assert run.report["summary"]["allowed"] == 2


def test_a_leak_that_isolation_contains_stays_known(suite: Suite) -> None:
    suite.run(_LEAKY, _BASELINE, _WRITE)
    before = _known(suite)
    run = suite.run({}, _BASELINE, _WRITE, "--isolate-imports=file")
    assert "baseline: 2 known leaks (0 new, 0 fixed)" in run.section
    assert _known(suite) == before


def test_the_ini_key_is_relative_to_the_ini_file_and_the_flag_to_where_pytest_runs(suite: Suite) -> None:
    ini = "import_leak_baseline = known.json"
    run = suite.run({f"sub/{name}": text for name, text in _LEAKY.items()}, _WRITE, "--rootdir=.", ini=ini)
    assert run.status == 0
    assert sorted(_known(suite)) == ["sub/test_a.py", "sub/test_b.py"]
    run = suite.run({}, _WRITE, "--import-leak-baseline=deep/other.json", ini=ini)
    assert (suite.root / "deep/other.json").read_text() == (suite.root / "known.json").read_text()


def test_unusable_baselines_are_usage_errors(suite: Suite) -> None:
    suite.write({"bad.json": "<<<<<<< HEAD\n", "other.json": "{}", "folder/x": ""})
    (suite.root / "binary.json").write_bytes(b"\xff\xfe\xff")
    repair = "repair it, or delete it and write a new one with --import-leak-write-baseline"
    mistakes = {
        "nothing.json": "there is no such file; write it with --import-leak-write-baseline",
        "bad.json": f"it is no JSON (Expecting value: line 1 column 1 (char 0)); {repair}",
        "other.json": f"it is no import leak baseline of version 1; {repair}",
        "folder": "it cannot be read ([Errno 21] Is a directory: ",
        "binary.json": "it cannot be read ('utf-8' codec can't decode byte 0xff in position 0: invalid start byte)",
    }
    for name, sentence in mistakes.items():
        run = suite.run(_LEAKY, f"--import-leak-baseline={name}", report=False)
        assert run.status == 4
        assert _last(run).startswith(f"ERROR: --import-leak-baseline={suite.root}/{name}: {sentence}")
        assert "Traceback" not in run.output
    assert suite.run({}, "--import-leak-baseline=nothing.json", "--help", report=False).status == 0
    run = suite.run({}, "--import-leak-baseline=bad.json", _WRITE, report=False)
    assert run.status == 4
    assert (suite.root / "bad.json").read_text() == "<<<<<<< HEAD\n"
    run = suite.run({}, _WRITE, report=False)
    assert run.status == 4
    assert _last(run) == (
        "ERROR: --import-leak-write-baseline needs the name of the file: add --import-leak-baseline=PATH, "
        "or import_leak_baseline to the ini file"
    )
    run = suite.run({}, "--import-leak-baseline=", report=False)
    assert run.status == 4
    assert _last(run) == "ERROR: --import-leak-baseline: give the name of a file"


def test_names_that_no_encoding_knows_are_written_and_known_again(suite: Suite) -> None:
    text = "import sys\ndef test_it(): sys.path.append('/\\ud800\\u00e9')\n"
    run = suite.run({"test_it.py": text}, _BASELINE, _WRITE, "--junitxml=out.xml")
    assert run.status == 0
    run = suite.run({}, _BASELINE, env={"GITHUB_ACTIONS": "true"})
    assert run.report["summary"]["allowed"] == 1
    assert "INTERNALERROR" not in run.output


def test_a_baseline_that_cannot_be_written_at_the_end_is_said_and_fails_the_run(suite: Suite) -> None:
    run = suite.run(
        {"test_it.py": "import os\ndef test_it(): os.mkdir('known.json')\n"}, _BASELINE, _WRITE, report=False
    )
    assert run.status == 1
    said = f"the baseline could not be written to {suite.root}/known.json: "
    assert f"ERROR: {said}" in run.section
    assert _last(run).startswith(f"import leaks: exit status 1: {said}")


# Elsewhere


def test_annotations_are_printed_on_github_only(suite: Suite) -> None:
    files = {f"backend/{name}": text for name, text in {**_LEAKY, **_WARNING}.items()}
    options = ("--rootdir=backend", "--import-leak-report", "--import-leak-allow=*:in_test", "backend")
    env = {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(suite.root)}
    run = suite.run(files, *options, report=False, env=env)
    found = [line for line in run.output.splitlines() if line.startswith("::")]
    assert [line.partition("::By")[0].partition("::Probably")[0] for line in found] == [
        "::error file=backend/test_a.py,line=2,title=import leak%3A fake-left at_collection",
        "::warning file=backend/test_w.py,line=3,title=import leak%3A path-added /vendor",
    ]
    run = suite.run({}, *options, report=False, env={**env, "GITHUB_WORKSPACE": "/elsewhere"})
    assert "\n::error file=test_a.py,line=2," in run.output
    for other in ({}, {"GITHUB_ACTIONS": "false"}):
        assert "\n::" not in suite.run({}, *options, report=False, env=other).output


@pytest.mark.parametrize("family", ["xunit1", "xunit2"])
# That workers hand over what they found is shown by test_xdist_report.py.
@pytest.mark.parametrize("plugins", [(), pytest.param(("xdist",), marks=TAKES_LONG)], ids=["alone", "xdist"])
def test_junit_has_properties_of_the_suite(suite: Suite, plugins: tuple[str, ...], family: str) -> None:
    options = ("-n2",) if plugins else ()
    run = suite.run(
        {**_LEAKY, **_WARNING},
        *("--import-leak-report", "--junitxml=out.xml", "-o", f"junit_family={family}", *options),
        "--import-leak-allow=*:in_test",
        report=False,
        plugins=plugins,
    )
    assert run.status == 0
    tree = ElementTree.parse(suite.root / "out.xml")
    properties = [(p.get("name"), p.get("value")) for p in tree.findall("testsuite/properties/property")]
    assert [pair for pair in properties if pair[0] != "import_leaks_info"] == [
        ("import_leaks_error", "1"),
        ("import_leaks_warning", "1"),
        ("import_leaks_allowed", "1"),
        ("import_leaks_contained", "0"),
        ("import_leaks_complete", "true"),
        ("import_leak_error", "fake-left at_collection, by test_a.py, at test_a.py:2"),
        ("import_leak_warning", "path-added /vendor, by test_w.py::test_w, at test_w.py:3"),
    ]
    assert len(tree.findall("testsuite/testcase")) == 3


def test_a_pytest_whose_junit_plugin_is_another_one_changes_nothing(suite: Suite) -> None:
    conftest = """
        import _pytest.junitxml
        del _pytest.junitxml.LogXML.add_global_property
    """
    run = suite.run({**_LEAKY, "conftest.py": conftest}, "--junitxml=out.xml")
    assert run.status == 0
    assert "INTERNALERROR" not in run.output
    assert (suite.root / "out.xml").is_file()
    assert len(run.leaks) == 2


def test_without_the_options_nothing_of_this_is_loaded(suite: Suite) -> None:
    run = suite.run(
        """
        import sys
        def test_it():
            loaded = {name for name in sys.modules if name.startswith("pytest_import_isolation.report")}
            assert not loaded
            assert "pytest_import_isolation.plugin.participation" not in sys.modules
        """,
        report=False,
    )
    assert run.outcomes == {"passed": 1}
