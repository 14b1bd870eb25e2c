"""What --help, --markers, --fixtures and shell completion tell somebody who knows nothing of this plugin."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

_OPTIONS = (
    "--import-leak-report Report import leaks at the end of the run: changes of sys.modules, sys.path "
    "and the import hooks that outlive the test or test file that made them. The report names that "
    "test or file, the line, and the tests that met the leak. Undoes nothing and changes no outcome. "
    "Default: off. Ini key: import_leak_report. "
    "--import-leak-file=PATH Write the report of import leaks to this file, too: as JSON if PATH ends "
    "in .json, as a page for the browser if it ends in .html. May be given several times. Turns the "
    "report on. Default: no file. Ini key: import_leak_file, which the option overrules. "
    "--import-leak-fail Fail a run that would have passed (exit status 1 in place of 0) for import "
    "leaks of severity error that are neither accepted nor undone by isolation. Turns the report on. "
    "Default: off. Ini key: import_leak_fail. "
    "--import-leak-allow=KIND:NAME Accept import leaks whose kind and name match these globs, such as "
    "'fake-left:torch*'; with ' in ' and a glob behind it, only those of tests or files whose node id "
    "matches, such as '*:serial in tests/hardware/*'. May be given several times. Turns the report on. "
    "Default: none. Ini key: import_leak_allow, which the option adds to. "
    "--import-leak-baseline=PATH Accept the import leaks that this JSON file knows, so that only new "
    "ones count. Turns the report on. Default: no file. Ini key: import_leak_baseline. "
    "--import-leak-write-baseline Write the import leaks of this run to the file of "
    "--import-leak-baseline. Default: off. No ini key. "
    "--import-leak-effects Also report changes that tests and test files leave outside of the import "
    "system: environment variables, the working directory, logging, warnings filters, signal handlers, "
    "threads and more. Turns the report on. Default: off. Ini key: import_leak_effects. "
    "--isolate-imports=[off|file|test|process|process-file] Isolate all tests. file, or no value: only a "
    "test file itself sees the changes that its collection and its tests make to sys.modules, sys.path "
    "and the import hooks. test: in addition, each test is undone on its own, as if it were marked with "
    "isolated_imports. process: as file, and each test runs in a process of its own; process-file: one "
    "process for each file. off: only marked tests are isolated. Default: off. Ini key: isolate_imports. "
    "--import-isolation-contents=off|report|undo Choose what happens to changes that tests make inside of "
    "modules: reloads, and attributes of modules and classes. undo: report them, and undo them in isolated "
    "tests and files. report: report them only. off: do not look at them. Default: undo. Ini key: "
    "import_isolation_contents."
)

_INI_KEYS = (
    "import_isolation_contents (string): What happens to changes that tests make inside of modules: off, "
    "report or undo, as --import-isolation-contents does. Default: undo. "
    "isolate_imports (string): Isolate all tests: off, file, test, process or process-file, as "
    "--isolate-imports does. Default: off. "
    "import_isolation_process_timeout (string): How many seconds a test may take that runs in a process "
    "of its own. Then that process is ended, and the test fails with its stacks. Default: any number. No "
    "option; a mark's timeout overrules it. "
    "import_leak_report (bool): Whether to report import leaks, as --import-leak-report does. Default: "
    "false. "
    "import_leak_effects (bool): Whether to report effects beside the import system, as "
    "--import-leak-effects does. Default: false. "
    "import_leak_file (linelist): Files to write the report to, one a line, each ending in .json or "
    ".html, as --import-leak-file does. Default: none. "
    "import_leak_fail (bool): Whether import leaks fail the run, as --import-leak-fail does. Default: "
    "false. "
    "import_leak_allow (linelist): Import leaks that are accepted, one entry a line: 'kind:name' or "
    "'kind:name in node id', with globs, as --import-leak-allow does. Default: none. "
    "import_leak_baseline (string): JSON file of import leaks that are accepted, relative to the ini "
    "file, as --import-leak-baseline does. Default: no file. "
    "import_isolation_keep (linelist): Modules that stay loaded when isolation undoes what was "
    "imported, one pattern a line: a name, which covers its submodules, or a glob such as "
    "'myapp.plugins.*'. Default: none. No option. "
    "import_isolation_first_party (linelist): Installed modules to treat as your own source: isolation "
    "forgets them, and their next import executes them anew. One pattern on each line, a name or a "
    "glob. Default: none. No option."
)


def test_the_marker_is_described(suite: Suite) -> None:
    run = suite.run("", "--markers", report=False)
    assert (
        "@pytest.mark.isolated_imports(fresh=..., unloaded=..., missing=..., fakes=..., path=..., keep=..., "
        "distributions=..., finders=..., path_hooks=..., process=..., timeout=...): undo the changes that the test makes to "
        "sys.modules, sys.path and the import hooks. Every parameter is optional. fresh: modules that are executed anew "
        "on their next import; unloaded: modules that are absent at first and can be imported as usual ('*' means all, "
        "and executes first-party modules anew); "
        "missing: modules that look as if they were not installed; keep: modules that stay loaded after the "
        "test; of these four each is a module name, which covers its submodules, a glob such as "
        "'myapp.plugins.*', or a list of them. fakes: a mapping of module names to attributes, source text or "
        "objects; path: directories to put before sys.path; distributions: True also hides, from "
        "importlib.metadata, the distributions that deliver the missing modules; finders, path_hooks: lists of import hooks that are asked "
        "before all others; process: True runs the test in a process of its own, 'file' all tests of the file that "
        "have this in one process, 'cold' in one in which nothing of the suite was imported yet; timeout: seconds "
        "after which that process is ended. With these two alone imports are not undone: they go with the process.\n"
    ) in run.output


def test_each_fixture_is_described_in_one_line(suite: Suite) -> None:
    run = suite.run("", "--fixtures", report=False)
    described = {
        "isolated_imports": "Undo after the test what it does to sys.modules, sys.path and the import hooks.",
        "fresh_import": 'Execute a module anew, fresh_import("myapp.settings"); '
        "the old copy comes back after the test.",
        "fake_module": 'Fake a module for the rest of the test, fake_module("boto3", client=...), '
        "and return the fake.",
        "missing_modules": 'Let modules look as if they were not installed, missing_modules("numpy"), '
        "for the rest of the test.",
        "make_package": "Write a package tree that can be imported in the test, "
        'make_package({"app/__init__.py": "..."}).',
        "assert_no_circular_imports": "Fail if modules of a package import each other in a circle, "
        'assert_no_circular_imports("myapp").',
        "trace_imports": "Record which modules a block loads, with trace_imports() as trace: ...; "
        "undone after the test.",
        "import_budget": "Fail if an import loads too much or takes too long, "
        'import_budget("myapp", max_modules=150).',
        "assert_importable": "Fail if a module of a package cannot be imported on its own, "
        'assert_importable("myapp").',
    }
    for name, sentence in described.items():
        assert f"\n{name} -- " in run.output
        assert f"\n    {sentence}\n" in run.output
    [ours] = re.findall(
        r"\n-+ fixtures defined from pytest_import_isolation\S* -+\n(.*?)\n\n\n", run.output, re.S
    )
    assert set(re.findall(r"^(\w+) -- ", ours, re.M)) == set(described)


def test_each_option_says_what_it_does_its_default_and_its_ini_key(suite: Suite) -> None:
    output = suite.run("", "--help", report=False).output
    options = output.partition("\nimport isolation:\n")[2].partition("\n\n")[0]
    assert " ".join(options.split()) == _OPTIONS
    keys = output.partition("\n  import_isolation_contents (string):")
    keys_text = " ".join((keys[1] + keys[2]).split())
    assert keys_text.startswith(_INI_KEYS)


@pytest.mark.neighbours("argcomplete")
@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        (
            "pytest --import-leak-",
            ["allow", "baseline", "effects", "fail", "file", "report", "write-baseline"],
        ),
        ("pytest --import-leak-report --isolate-imports=file --import-leak-a", ["allow"]),
    ],
)
def test_a_shell_completes_the_options_and_nothing_is_printed(
    suite: Suite, typed: str, completed: list[str]
) -> None:
    load = ("-p", "pytest_import_isolation.plugin") if suite.must_load else ()
    answers = suite.root / "completions"
    done = suite.tool(
        *("-m", "pytest", *load),
        env={
            "_ARGCOMPLETE": "1",
            "_ARGCOMPLETE_COMP_WORDBREAKS": "=:",
            "_ARGCOMPLETE_IFS": "\n",
            "_ARGCOMPLETE_STDOUT_FILENAME": str(answers),
            "COMP_LINE": typed,
            "COMP_POINT": str(len(typed)),
            "COMP_TYPE": "9",
        },
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    found = answers.read_text(encoding="utf-8").split()
    assert sorted(found) == [f"--import-leak-{name}" for name in completed]
