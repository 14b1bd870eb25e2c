"""python -m pytest_import_isolation blame: ten files of five tests each, and one test that fails in the whole run."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pytest
from tests.conftest import TAKES_LONG
from tests.plugin.conftest import Suite

pytestmark = pytest.mark.skipif(sys.platform == "emscripten", reason="WebAssembly has no processes")


FILE = "--isolate-imports=file"
PROCESS = "--isolate-imports=process"

Files = Mapping[str, str]


class Case(NamedTuple):
    """What stands in some files in the place of tests that do nothing, and what is found."""

    files: Files
    victim: str
    verdict: str
    polluters: list[str]
    #: Options that work.
    cures: Sequence[str] = ()
    more: Mapping[str, Any] = {}


def _text(head: str = "", bodies: Mapping[int, str] = {}) -> str:
    """Return a file of five tests, of which some do something."""
    tests = [f"def test_{n}():\n    {bodies.get(n, 'pass')}\n" for n in range(5)]
    return "\n".join([head, *tests])


#: What the suite has in all cases.
_PLAIN: Files = {f"test_f{n}.py": _text() for n in range(10)}


def _with(**files: str) -> Files:
    return {f"{name}.py": text for name, text in files.items()}


_IMPORT_OS = "import os"
_SHOP = "carts = []\nclass Cart:\n    limit = 3\n"

CASES: dict[str, Case] = {
    "an environment variable that a test leaves": Case(
        _with(
            test_f2=_text(_IMPORT_OS, {1: "os.environ['LEFT'] = 'here'"}),
            test_f7=_text(_IMPORT_OS, {3: "assert 'LEFT' not in os.environ"}),
        ),
        "test_f7.py::test_3",
        "polluted",
        ["test_f2.py::test_1"],
        [PROCESS],
        {"by": "suspect", "runs": 6},
    ),
    "an environment variable that a file leaves when it is collected": Case(
        _with(
            test_f2=_text("import os\nos.environ['LEFT'] = 'here'"),
            test_f7=_text(_IMPORT_OS, {3: "assert 'LEFT' not in os.environ"}),
        ),
        "test_f7.py::test_3",
        "polluted",
        ["test_f2.py"],
        more={"by": "suspect", "cures": []},
    ),
    "a list of a module that is appended to": Case(
        _with(
            shop=_SHOP,
            test_f3=_text("import shop", {4: "shop.carts.append(1)"}),
            test_f6=_text("import shop", {0: "assert shop.carts == []"}),
        ),
        "test_f6.py::test_0",
        "polluted",
        ["test_f3.py::test_4"],
        more={"by": "bisection"},
    ),
    "logging that is disabled": Case(
        _with(
            test_f1=_text("import logging", {0: "logging.disable(logging.CRITICAL)"}),
            test_f9=_text(
                "import logging",
                {4: "assert logging.getLogger('x').isEnabledFor(logging.ERROR)"},
            ),
        ),
        "test_f9.py::test_4",
        "polluted",
        ["test_f1.py::test_0"],
        [PROCESS],
    ),
    "the working directory": Case(
        _with(
            test_f4=_text(_IMPORT_OS, {2: "os.chdir('/')"}),
            test_f5=_text(_IMPORT_OS, {2: "assert os.path.exists('test_f5.py')"}),
        ),
        "test_f5.py::test_2",
        "polluted",
        ["test_f4.py::test_2"],
        [PROCESS],
        {"by": "suspect"},
    ),
    "a class attribute": Case(
        _with(
            shop=_SHOP,
            test_f0=_text("import shop", {2: "shop.Cart.limit = 0"}),
            test_f8=_text("import shop", {1: "assert shop.Cart.limit == 3"}),
        ),
        "test_f8.py::test_1",
        "polluted",
        ["test_f0.py::test_2"],
    ),
    "a singleton within one file": Case(
        _with(test_f5=_text("made = []", {1: "made.append(1)", 3: "assert not made"})),
        "test_f5.py::test_3",
        "polluted",
        ["test_f5.py::test_1"],
        more={"by": "bisection"},
    ),
    "a stub of a file that is collected after the victim": Case(
        _with(
            test_f3=_text("", {2: "from csv import reader"}),
            test_f8=_text("import sys, types\nsys.modules['csv'] = types.ModuleType('csv')"),
        ),
        "test_f3.py::test_2",
        "polluted",
        ["test_f8.py"],
        [FILE],
        {"by": "suspect", "location": {"file": "test_f8.py", "line": 2}, "runs": 6},
    ),
    "a conftest of a folder beside": Case(
        {
            "a/test_victim.py": _text(_IMPORT_OS, {2: "assert 'LEFT' not in os.environ"}),
            "b/conftest.py": "import os\nos.environ['LEFT'] = 'here'",
            "b/test_beside.py": _text(),
        },
        "a/test_victim.py::test_2",
        "polluted",
        ["b/conftest.py"],
    ),
    "two tests together": Case(
        _with(
            shop=_SHOP,
            test_f1=_text("import shop", {3: "shop.carts.append(1)"}),
            test_f6=_text("import shop", {2: "shop.carts.append(2)"}),
            test_f8=_text("import shop", {0: "assert len(shop.carts) < 2"}),
        ),
        "test_f8.py::test_0",
        "polluted",
        ["test_f1.py::test_3", "test_f6.py::test_2"],
        more={"by": "bisection"},
    ),
    "a helper that the victim needs": Case(
        _with(
            shop=_SHOP,
            test_f2=_text("import shop", {2: "shop.carts.append(1)"}),
            test_f4=_text("import shop", {4: "assert shop.carts"}),
        ),
        "test_f4.py::test_4",
        "needs-others",
        ["test_f2.py::test_2"],
        more={"cures": []},
    ),
    "two other tests that fail by themselves": Case(
        _with(
            shop=_SHOP,
            test_f1=_text("", {0: "assert False", 4: "raise ValueError"}),
            test_f3=_text("import shop", {4: "shop.carts.append(1)"}),
            test_f6=_text("import shop", {0: "assert shop.carts == []"}),
        ),
        "test_f6.py::test_0",
        "polluted",
        ["test_f3.py::test_4"],
    ),
    "a later test that undoes the damage": Case(
        _with(
            test_f3=_text(_IMPORT_OS, {4: "os.environ['LEFT'] = 'here'"}),
            test_f5=_text(_IMPORT_OS, {0: "assert 'LEFT' not in os.environ"}),
            test_f6=_text(_IMPORT_OS, {0: "os.environ.pop('LEFT', None)"}),
        ),
        "test_f5.py::test_0",
        "polluted",
        ["test_f3.py::test_4"],
    ),
    "a test between that undoes the damage of a first": Case(
        _with(
            shop=_SHOP,
            test_f1=_text("import shop", {1: "shop.carts.append(1)"}),
            test_f2=_text("import shop", {1: "shop.carts.clear()"}),
            test_f3=_text("import shop", {4: "shop.carts.append(1)"}),
            test_f6=_text("import shop", {0: "assert shop.carts == []"}),
        ),
        "test_f6.py::test_0",
        "polluted",
        ["test_f3.py::test_4"],
    ),
    "a module fixture that two tests share": Case(
        _with(
            shop=_SHOP,
            test_f3="""
                import pytest, shop

                @pytest.fixture(scope="module")
                def opened():
                    shop.carts.append(1)

                def test_one(opened): pass
                def test_other(opened): pass
                def test_neither(): pass
            """,
            test_f6=_text("import shop", {0: "assert shop.carts == []"}),
        ),
        "test_f6.py::test_0",
        "polluted",
        ["test_f3.py::test_one", "test_f3.py::test_other"],
    ),
    "a module that a test pops and imports again": Case(
        _with(
            shop=_SHOP,
            test_f4=_text("import sys", {2: "sys.modules.pop('shop', None); import shop"}),
            test_f7=_text("import shop", {2: "import shop as now; assert now is shop"}),
        ),
        "test_f7.py::test_2",
        "polluted",
        ["test_f4.py::test_2"],
        [FILE],
        {"by": "suspect"},
    ),
    "a test that fails alone, too": Case(
        _with(test_f4=_text("", {2: "assert 1 == 2"})),
        "test_f4.py::test_2",
        "fails-alone",
        [],
        more={"by": None, "cures": [], "runs": 4, "same_error": True, "location": None},
    ),
    "a test that fails alone by another error": Case(
        _with(
            shop=_SHOP,
            test_f2=_text("import shop", {2: "shop.carts.append(1)"}),
            test_f4=_text("import shop", {2: "shop.carts[0]; assert not shop.carts"}),
        ),
        "test_f4.py::test_2",
        "fails-alone",
        [],
        more={"same_error": False},
    ),
    "a test that passes in the whole": Case(
        {}, "test_f4.py::test_2", "passes-in-whole", [], more={"command": None}
    ),
    "a test that fails every second time": Case(
        _with(
            test_f4=_text(
                "import pathlib",
                {2: "p = pathlib.Path('n'); p.exists() and (p.unlink() or 1) or (p.touch(), 1 / 0)"},
            )
        ),
        "test_f4.py::test_2",
        "flaky",
        [],
    ),
    "a file that cannot be collected": Case(
        _with(
            test_f3=_text("import sys, types\nsys.modules['csv'] = types.ModuleType('csv')"),
            test_f8=_text("from csv import reader"),
        ),
        "test_f8.py",
        "polluted",
        ["test_f3.py"],
        [FILE],
        {"by": "suspect", "location": {"file": "test_f3.py", "line": 2}},
    ),
}

#: Those that every run of the tests has.
QUICK = {
    "a helper that the victim needs",
}


class Blame(NamedTuple):
    """What the command said."""

    status: int
    output: str
    verdict: dict[str, Any]


class Blamer:
    """Writes a suite and asks about it.

    Args:
        suite: where it is.
    """

    def __init__(self, suite: Suite) -> None:
        self.suite = suite

    def write(self, files: Files) -> None:
        self.suite.write({"pytest.ini": "[pytest]\n", **_PLAIN, **files})

    def ask(self, *arguments: str, plugins: tuple[str, ...] = (), env: Mapping[str, str] = {}) -> Blame:
        given = list(arguments)
        place = given.index("--") if "--" in given else len(given)
        loaded = [part for plugin in plugins for part in ("-p", plugin)]
        done = self.suite.tool(
            "-m",
            "pytest_import_isolation",
            "blame",
            "--json",
            "verdict.json",
            *given[:place],
            "--",
            *loaded,
            *given[place + 1 :],
            # Loading all that is installed beside takes longer than a run.
            env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **env},
        )
        print(done.stdout + done.stderr)
        written = self.suite.root / "verdict.json"
        verdict = json.loads(written.read_text(encoding="utf-8")) if written.exists() else {}
        return Blame(done.returncode, done.stdout + done.stderr, verdict)

    def failed(self, command: str) -> bool:
        """Tell whether a test fails by a command that was printed."""
        program, *arguments = shlex.split(command)
        assert program == "pytest"
        done = self.suite.tool("-m", "pytest", *arguments, env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})
        print(done.stdout + done.stderr)
        return done.returncode != 0


@pytest.fixture
def blamer(suite: Suite) -> Blamer:
    return Blamer(suite)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else [TAKES_LONG]) for name in CASES]
)
def test_the_reason_is_found(name: str, blamer: Blamer) -> None:
    case = CASES[name]
    blamer.write(case.files)
    answer = blamer.ask(case.victim)
    verdict = answer.verdict
    assert list(verdict) == [
        "victim",
        "verdict",
        "polluters",
        "by",
        "location",
        "command",
        "cures",
        "same_error",
        "runs",
    ]
    assert (verdict["victim"], verdict["verdict"], verdict["polluters"]) == (
        case.victim,
        case.verdict,
        case.polluters,
    )
    assert {name: verdict[name] for name in case.more} == dict(case.more)
    if case.cures:
        assert [cure["option"] for cure in verdict["cures"] if cure["works"]] == list(case.cures)
    proven = case.verdict in ("polluted", "needs-others")
    assert answer.status == (0 if proven else 1)
    lines = answer.output.splitlines()
    assert sum(line.startswith("run ") for line in lines) == verdict["runs"]
    if verdict["command"] is not None:
        assert blamer.failed(verdict["command"]) is (case.verdict != "needs-others")


def _small(blamer: Blamer, **files: str) -> None:
    """Write a suite of three files, in which what test_a leaves makes a test of test_b fail."""
    blamer.suite.write(
        {
            "pytest.ini": "[pytest]\n",
            "test_a.py": _text(_IMPORT_OS, {1: "os.environ['LEFT'] = 'here'"}),
            "test_b.py": _text(_IMPORT_OS, {1: "assert 'LEFT' not in os.environ"}),
            **_with(**files),
        }
    )


def test_the_order_is_the_runs_own_even_if_workers_share_the_tests(blamer: Blamer) -> None:
    _small(blamer)
    answer = blamer.ask("test_b.py::test_1", "--", "-n", "2", "-x", plugins=("xdist",))
    assert answer.verdict["polluters"] == ["test_a.py::test_1"]
    assert answer.verdict["command"] == (
        "pytest -p xdist -n 2 -x -n0 --maxfail=0 test_a.py::test_1 test_b.py::test_1"
    )


@TAKES_LONG
def test_the_order_that_a_conftest_gives_to_the_tests_holds(blamer: Blamer) -> None:
    _small(
        blamer,
        conftest="def pytest_collection_modifyitems(items): items.reverse()",
        test_c=_text(_IMPORT_OS, {3: "os.environ['LEFT'] = 'here'"}),
    )
    answer = blamer.ask("test_b.py::test_1")
    assert answer.verdict["polluters"] == ["test_c.py::test_3"]


@pytest.mark.neighbours("pytest_randomly")
def test_a_plugin_that_shuffles_does_so_only_if_its_seed_is_named(blamer: Blamer) -> None:
    _small(blamer)
    answer = blamer.ask("test_b.py::test_1", plugins=("randomly",))
    assert answer.verdict["polluters"] == ["test_a.py::test_1"]
    assert answer.verdict["command"] == (
        "pytest -p randomly --randomly-dont-reorganize test_a.py::test_1 test_b.py::test_1"
    )
    seen = set()
    for seed in range(20):
        shuffled = blamer.ask("test_b.py::test_1", "--", f"--randomly-seed={seed}", plugins=("randomly",))
        seen.add(shuffled.verdict["verdict"])
        if len(seen) > 1:
            break
    assert seen == {"polluted", "passes-in-whole"}


def test_a_report_names_the_suspects_and_the_runs_are_limited(blamer: Blamer) -> None:
    _small(blamer)
    blamer.suite.run({}, "--import-leak-effects", "-p", "no:cacheprovider")
    answer = blamer.ask("test_b.py::test_1", "--report", "report.json")
    assert (answer.verdict["by"], answer.verdict["polluters"]) == ("suspect", ["test_a.py::test_1"])
    limited = blamer.ask("test_b.py::test_1", "--max-runs", "3")
    assert (limited.status, limited.verdict["verdict"], limited.verdict["runs"]) == (1, "unproven", 3)
    assert "There were as many runs as --max-runs allows." in limited.output


def test_mistakes_are_told_and_nothing_is_written(blamer: Blamer) -> None:
    _small(blamer)
    for arguments, said in {
        (
            "test_b.py::test_l",
        ): "the whole run has no such test and no such file (did you mean 'test_b.py::test_",
        ("test_b.py::test_1", "--", "--no-such-option"): "unrecognized arguments: --no-such-option",
        ("test_b.py::test_1", "--max-runs", "0"): "--max-runs",
        ("test_b.py::test_1", "--report", "none.json"): "none.json: it cannot be read",
    }.items():
        answer = blamer.ask(*arguments)
        assert (answer.status, answer.verdict) == (2, {})
        assert said in answer.output
        assert "Traceback" not in answer.output


@TAKES_LONG
def test_the_users_cache_and_reports_stay_as_they_are(blamer: Blamer) -> None:
    _small(blamer)
    blamer.suite.write({"pytest.ini": "[pytest]\naddopts = --junitxml=out.xml --lf\n"})
    blamer.ask("test_b.py::test_1")
    assert not (blamer.suite.root / ".pytest_cache").exists()
    assert not (blamer.suite.root / "out.xml").exists()


# The search is the same, and the runs are those of blame's other tests.
@TAKES_LONG
def test_without_forks_each_run_is_a_process(blamer: Blamer) -> None:
    _small(blamer)
    blamer.suite.write(
        {
            "src/ask.py": """
        import sys
        from pytest_import_isolation.blame import runner
        from pytest_import_isolation.__main__ import main

        plain = runner.Runner.__init__
        runner.Runner.__init__ = lambda self, arguments: plain(self, arguments, forks=False)
        sys.exit(main(sys.argv[1:]))
        """
        }
    )
    done = blamer.suite.tool(
        "src/ask.py", "blame", "test_b.py::test_1", env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "    test_a.py::test_1\n" in done.stdout


@pytest.mark.parametrize("forks", [True, False])
@TAKES_LONG
def test_a_part_that_does_not_end_is_ended(blamer: Blamer, forks: bool) -> None:
    blamer.suite.write(
        {
            "pytest.ini": "[pytest]\n",
            "shop.py": _SHOP,
            "test_a.py": _text(
                "import shop, threading",
                {1: "shop.carts.append(1)", 3: "shop.carts or threading.Event().wait()"},
            ),
            "test_b.py": _text("import shop", {1: "assert shop.carts"}),
            "src/ask.py": f"""
        import sys
        from pytest_import_isolation.blame import runner
        from pytest_import_isolation.__main__ import main

        runner._LEAST = 0
        plain = runner.Runner.__init__
        runner.Runner.__init__ = lambda self, arguments: plain(self, arguments, forks={forks})
        sys.exit(main(sys.argv[1:]))
        """,
        }
    )
    done = blamer.suite.tool(
        "src/ask.py", "blame", "test_b.py::test_1", env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "    test_a.py::test_1\n" in done.stdout
    assert ": hung\n" in done.stdout


_HINT = "Then this proves what changes its outcome:"


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "workers"])
def test_the_first_failure_that_nothing_explains_names_the_command_once(
    suite: Suite, options: tuple[str, ...]
) -> None:
    run = suite.run(
        {
            "test_a.py": "def test_a(): pass",
            "test_b.py": "def test_b(): assert 0\ndef test_c(): assert 0",
            "test_d.py": "def test_d(): assert 0",
        },
        *options,
        plugins=("xdist",) if options else (),
    )
    assert run.output.count(_HINT) == 1
    assert "python -m pytest_import_isolation blame test_" in run.output
    assert "--import-leak" not in run.output.partition(_HINT)[2].partition("\n")[2].partition("\n")[0]


def test_a_failure_that_a_leak_explains_and_one_of_the_first_test_name_no_command(suite: Suite) -> None:
    run = suite.run(
        {
            "test_a.py": "import sys, types\nsys.modules['csv'] = types.ModuleType('csv')\ndef test_a(): assert 0",
            "test_b.py": "def test_b(): from csv import reader",
        }
    )
    assert run.outcomes == {"failed": 2}
    assert _HINT not in run.output
