"""Tests in processes of their own: the same events as in one process, in the same order, and crashes told."""

from __future__ import annotations

import copy
import json
import os
import random
import re
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import TAKES_LONG

from pytest_import_isolation.processes import randomness

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")

#: Writes what plugins see of each test, and in which process, and the process of each test.
_RECORDER = """
    import json
    import os
    import re

    import pytest

    _FILE = os.path.join(os.path.dirname(__file__), "events.jsonl")
    _PIDS = os.path.join(os.path.dirname(__file__), "pids.txt")

    def _note(*event):
        with open(_FILE, "a") as file:
            text = re.sub(r"0x[0-9a-f]+", "0x", json.dumps([os.getpid(), *event], default=str))
            file.write(text + "\\n")

    def pytest_runtest_logstart(nodeid, location):
        _note("start", nodeid, location)

    def pytest_runtest_logfinish(nodeid, location):
        _note("finish", nodeid, location)

    def pytest_runtest_logreport(report):
        fields = {k: v for k, v in sorted(vars(report).items()) if k not in ("longrepr", "duration", "start", "stop")}
        longrepr = report.longrepr if isinstance(report.longrepr, tuple) else report.longreprtext
        crash = getattr(report.longrepr, "reprcrash", None)
        _note("report", f"{type(report).__name__} {report.nodeid}", fields, longrepr, crash and str(crash))

    def pytest_warning_recorded(warning_message, when, nodeid, location):
        message = warning_message
        _note("warning", message.category.__name__, str(message.message), message.filename, message.lineno, when, nodeid, location)

    def pytest_sessionfinish(session, exitstatus):
        _note("session", session.testsfailed, session.testscollected, int(exitstatus), session.shouldstop)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(item):
        with open(_PIDS, "a") as file:
            file.write(f"{item.nodeid} {os.getpid()}\\n")
        return (yield)
"""
#: Tests of all kinds that pytest has itself.
_KINDS = {
    "conftest.py": _RECORDER
    + """
    import tempfile

    def _log(text):
        with open(os.path.join(os.path.dirname(__file__), "wide.txt"), "a") as file:
            file.write(text + "\\n")

    @pytest.fixture(scope="session")
    def session_wide():
        yield [1]

    @pytest.fixture(scope="package")
    def package_wide(session_wide):
        return session_wide

    @pytest.fixture(scope="session", params=["x", "y"])
    def turned(request):
        return request.param

    @pytest.fixture
    def broken():
        raise RuntimeError("broken setup")

    @pytest.fixture
    def breaks_later():
        yield
        print("in teardown")
        raise RuntimeError("broken teardown")
""",
    "package/__init__.py": "",
    "package/test_kinds.py": '''
    """Doctests are here too.

    >>> 1 + 1
    2
    >>> 1 + 2
    4
    """
    import logging
    import sys
    import unittest
    import warnings

    import pytest

    class Odd:
        def __reduce__(self):
            raise TypeError("no")
        def __repr__(self):
            return "odd"
        __str__ = __repr__

    class Warned(UserWarning):
        def __init__(self, one, two):
            super().__init__(f"{one} and {two}")

    @pytest.fixture(scope="module")
    def module_wide(package_wide):
        print("module up")
        yield package_wide
        print("module down")

    def test_wide(module_wide):
        print("out"); print("err", file=sys.stderr); logging.warning("logged")
        assert module_wide == [1]

    @pytest.fixture(scope="class")
    def of_class(session_wide):
        yield

    @pytest.mark.usefixtures("of_class")
    class TestClass:
        def setup_method(self):
            self.value = 1

        @pytest.mark.parametrize("n", [1, 2, 3])
        def test_numbers(self, n):
            assert n != 2, "it is two"

        @pytest.mark.parametrize("odd", [Odd(), lambda: 1])
        def test_odd(self, odd, record_property):
            record_property("odd", odd if isinstance(odd, Odd) else 1)

    def test_turned(turned):
        assert turned

    class Case(unittest.TestCase):
        @classmethod
        def setUpClass(cls):
            cls.shared = 1

        def setUp(self):
            self.addCleanup(print, "cleaned")

        def test_shared(self):
            self.assertEqual(self.shared, 1)

        def test_subtests(self):
            for n in range(3):
                with self.subTest(n=n):
                    self.assertNotEqual(n, 1)

        @unittest.expectedFailure
        def test_expected(self):
            self.fail()

        @unittest.expectedFailure
        def test_unexpected(self):
            pass

        @unittest.skip("not now")
        def test_skipped(self):
            pass

    class BrokenCase(unittest.TestCase):
        @classmethod
        def setUpClass(cls):
            raise RuntimeError("class")

        def test_one(self): pass
        def test_two(self): pass

    def test_subtests_of_pytest(request):
        try:
            subtests = request.getfixturevalue("subtests")
        except LookupError:
            pytest.skip("this pytest has none")
        for n in range(3):
            with subtests.test(n=n):
                assert n != 1

    @pytest.mark.skip(reason="why not")
    def test_skip(): pass

    def test_skips_itself():
        pytest.skip("inside")

    def test_imports_or_skips():
        pytest.importorskip("no_such_module_anywhere")

    @pytest.mark.xfail(reason="known")
    def test_xfail(): assert 0

    @pytest.mark.xfail
    def test_xpass(): pass

    @pytest.mark.xfail(strict=True, reason="strict")
    def test_strict(): pass

    def test_xfails_itself():
        pytest.xfail("imperative")

    def test_setup_error(broken): pass

    def test_teardown_error(breaks_later): pass

    def test_fails_and_teardown_error(breaks_later): assert 0

    def test_warns():
        warnings.warn("plain")
        warnings.warn(Warned(1, 2))
        warnings.warn("old", DeprecationWarning)

    def test_exits():
        sys.exit(3)

    def test_raises_from():
        try:
            {}["a"]
        except KeyError as error:
            raise ValueError("from") from error

    def test_group():
        raise ExceptionGroup("several", [ValueError(1), TypeError(2)]) if sys.version_info >= (3, 11) else ValueError(1)

    def test_unraisable():
        class Bad:
            def __del__(self):
                raise ValueError("in del")
        Bad()

    def test_property(record_property, record_testsuite_property, record_xml_attribute, tmp_path):
        record_property("key", {"a": (1, 2)})
        record_testsuite_property("suite", "value")
        record_xml_attribute("assertions", 7)
        assert not list(tmp_path.iterdir())

    def test_fails_plainly():
        pytest.fail("plainly", pytrace=False)
''',
    "package/test_more.py": """
    import pytest

    @pytest.fixture(scope="module", autouse=True)
    def broken_late():
        yield
        raise RuntimeError("module teardown")

    def test_one(): pass
    def test_two(session_wide): pass
""",
    "test_text.txt": """
    >>> 'a'
    'b'
""",
}
_WARNINGS = "filterwarnings = default\n"


def _events(suite: Suite) -> list[Any]:
    lines = (suite.root / "events.jsonl").read_text(encoding="utf-8").splitlines()
    (suite.root / "events.jsonl").unlink()
    events = [json.loads(line) for line in lines]
    assert len({event[0] for event in events}) == 1, "the events are seen in one process"
    for event in events:
        if event[1] == "report" and "test_subtests" in event[2] and "sections" in event[3]:
            # Where pytest runs the test itself, it prints the letter of a subtest while it captures.
            event[3]["sections"] = []
    return [event[1:] for event in events]


def _processes(suite: Suite) -> list[tuple[str, str]]:
    text = (suite.root / "pids.txt").read_text(encoding="utf-8")
    (suite.root / "pids.txt").unlink()
    return [(nodeid, pid) for nodeid, _, pid in (line.rpartition(" ") for line in text.splitlines())]


def _assert_same(ours: list[Any], plain: list[Any]) -> None:
    for one, other in zip(ours, plain, strict=False):
        if one != other:
            print("here ", one, "\nplain", other)
        assert one == other
    assert len(ours) == len(plain)


# The same events


def test_each_kind_of_test_gives_the_events_that_it_gives_in_one_process(suite: Suite) -> None:
    options = ("--doctest-modules", "-p", "no:randomly", "--junitxml=junit.xml")
    suite.run(_KINDS, *options, ini=_WARNINGS, report=False)
    plain, junit = _events(suite), _junit(suite)
    assert len({pid for _, pid in _processes(suite)}) == 1
    for mode in ("process", "process-file"):
        run = suite.run({}, *options, f"--isolate-imports={mode}", ini=_WARNINGS, report=False)
        assert run.outcomes
        if mode == "process":
            # A wider fixture is torn down in each process, not after the last test alone.
            _assert_same(_without_wide_teardown(_events(suite)), _without_wide_teardown(plain))
        else:
            _assert_same(_events(suite), plain)
        assert _junit(suite) == junit or mode == "process"
        processes = _processes(suite)
        files = {nodeid.partition("::")[0] for nodeid, _ in processes}
        assert len({pid for _, pid in processes}) == (len(processes) if mode == "process" else len(files))


def _without_wide_teardown(events: list[Any]) -> list[Any]:
    """Return events without what the end of module fixtures adds: here each test is the last one."""
    kept = []
    for event in copy.deepcopy(events):
        if event[0] == "report":
            fields = event[2]
            if fields["when"] == "teardown" and "module teardown" in str(event[3]):
                continue
            if fields["when"] == "teardown" and "test_more" in event[1]:
                continue
            event[2]["sections"] = [s for s in fields["sections"] if "module" not in s[1]]
        if event[0] == "session":
            continue
        kept.append(event)
    return kept


def _junit(suite: Suite) -> str:
    text = (suite.root / "junit.xml").read_text(encoding="utf-8")
    text = re.sub(r'(time|timestamp|hostname)="[^"]*"', "", text)
    return re.sub(r"0x[0-9a-f]+", "0x", text)


# Wider fixtures, marks and crashes

_MIXED = """
    import os, sys, time, types
    import pytest

    MAIN = os.getpid()

    def note(text):
        with open("wide.txt", "a") as file:
            file.write(f"{text} {'here' if os.getpid() == MAIN else 'elsewhere'}\\n")

    @pytest.fixture(scope="session")
    def session_wide():
        note("session up"); yield; note("session down")

    @pytest.fixture(scope="module")
    def module_wide(session_wide):
        note("module up"); yield; note("module down")

    def test_here(module_wide):
        assert os.getpid() == MAIN

    @pytest.mark.isolated_imports(process=True)
    def test_elsewhere(module_wide):
        assert os.getpid() != MAIN
        sys.modules["left"] = types.ModuleType("left")

    def test_here_again(module_wide):
        assert os.getpid() == MAIN and "left" not in sys.modules

    @pytest.mark.isolated_imports(process=True, fakes={"faked": {"a": 1}})
    def test_window():
        import faked
        assert faked.a == 1 and os.getpid() != MAIN

    @pytest.mark.isolated_imports(process=True, timeout=1)
    def test_hangs():
        print("before")
        while True:
            time.sleep(1)

    @pytest.mark.isolated_imports(process="file")
    class TestFile:
        def test_1(self, module_wide): TestFile.pid = os.getpid()
        def test_2(self, module_wide): assert os.getpid() == TestFile.pid != MAIN
        def test_dies(self):
            print("last words")
            os.kill(os.getpid(), 9)
        def test_4(self, module_wide): assert os.getpid() != MAIN and not hasattr(TestFile, "pid")

    @pytest.mark.isolated_imports(process=True)
    class TestCrashes:
        @pytest.fixture
        def dies_up(self): os.abort()

        @pytest.fixture
        def dies_down(self):
            yield
            os._exit(7)

        def test_setup(self, dies_up): pass
        def test_teardown(self, dies_down): print("of the call")

        @pytest.mark.xfail(reason="it crashes")
        def test_expected(self): os.abort()

    @pytest.mark.isolated_imports(process=True)
    def test_last(module_wide): pass
"""


def test_wider_fixtures_are_set_up_and_torn_down_once_and_crashes_are_told(suite: Suite) -> None:
    ini = "import_isolation_process_timeout = 60\n"
    run = suite.run({"test_it.py": _MIXED, "conftest.py": _LEAVES_NOTHING}, "-rfEx", ini=ini)
    assert run.outcomes == {"passed": 9, "failed": 2, "error": 2, "xfailed": 1}
    wide = (suite.root / "wide.txt").read_text(encoding="utf-8").splitlines()
    assert wide == ["session up here", "module up here", "module down here", "session down here"]
    assert "the test timed out: it took longer than 1 s in its call, and was ended by SIGABRT" in run.output
    assert re.search(r'File ".*test_it.py", line \d+ in test_hangs', run.output)
    assert "the process of this test died in its call by SIGKILL" in run.output
    assert re.search(r"Captured stdout call -+\nlast words", run.output)
    assert "the process of this test died in its setup by SIGABRT" in run.output
    assert re.search(r'File ".*test_it.py", line \d+ in dies_up', run.output)
    assert "ended in its teardown with exit status 7, as os._exit(7) does" in run.output
    assert "XFAIL test_it.py::TestCrashes::test_expected - it crashes" in run.output
    assert "pytest_import_isolation/plugin" not in run.output
    assert run.leak("fake-left", "left")["contained"]
    assert "nothing is left" in run.output
    # All others ran in a process in which nothing else had run.
    assert re.findall(r"blame (\S+)", run.output) == ["test_it.py::TestFile::test_dies"]


#: Says at the end whether a process or a pipe is left.
_LEAVES_NOTHING = """
    import os
    import pytest

    def _pipes():
        return sum(os.readlink(f"/proc/self/fd/{n}").startswith(("pipe:", "socket:")) for n in os.listdir("/proc/self/fd")
                   if os.path.lexists(f"/proc/self/fd/{n}")) if os.path.isdir("/proc/self/fd") else 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(session):
        session.pipes = _pipes()

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(config):
        try:
            os.waitpid(-1, os.WNOHANG)
            left = "a process"
        except ChildProcessError:
            left = "nothing"
        session = config.pluginmanager.get_plugin("session")
        print(left if _pipes() == session.pipes else f"a pipe and {left}", "is left")
"""


@pytest.mark.parametrize(
    ("statement", "shown", "status"),
    [
        ("raise KeyboardInterrupt", r"test_it.py:14: KeyboardInterrupt", 2),
        ("pytest.exit('enough', returncode=9)", "Exit: enough", 9),
        ("os.killpg(0, signal.SIGINT); any(_ for _ in iter(int, 1))", "KeyboardInterrupt", 2),
    ],
)
@pytest.mark.parametrize("mode", ["process", "process-file"])
def test_the_end_of_a_run_in_a_child_ends_the_run(
    suite: Suite, mode: str, statement: str, shown: str, status: int
) -> None:
    run = suite.run(
        {
            # A job in the background of a shell begins with Ctrl-C ignored.
            "conftest.py": _LEAVES_NOTHING
            + """
    import signal
    os.setpgrp()
    signal.signal(signal.SIGINT, signal.default_int_handler)
""",
            "test_it.py": f"""
                import os, pytest, signal

                @pytest.fixture(scope="module")
                def wide():
                    yield
                    with open("wide.txt", "a") as file:
                        file.write("down ")

                def test_first(wide):
                    pass

                def test_ends(wide):
                    {statement}

                def test_never():
                    pass
            """,
        },
        f"--isolate-imports={mode}",
        report=False,
    )
    assert run.status == status
    assert re.search(shown, run.output)
    assert run.outcomes == {"passed": 1}
    assert "nothing is left" in run.output
    assert (suite.root / "wide.txt").read_text(encoding="utf-8") == "down " * (2 if mode == "process" else 1)


@pytest.mark.parametrize("mode", ["process", "process-file"])
def test_x_stops_after_the_test_and_its_module_is_torn_down(suite: Suite, mode: str) -> None:
    text = """
        import pytest

        @pytest.fixture(scope="module")
        def wide():
            yield
            raise RuntimeError("late")

        def test_fails(wide): assert 0
        def test_never(wide): pass
    """
    plain = suite.run(text, "-x", report=False)
    run = suite.run({}, "-x", f"--isolate-imports={mode}", report=False)
    assert (run.status, run.outcomes) == (plain.status, plain.outcomes)


def test_pdb_on_a_terminal_shows_what_it_shows_of_one_process(suite: Suite) -> None:
    import pty

    text = """
        import pytest

        @pytest.fixture
        def broken():
            raise RuntimeError("set")

        def test_fails():
            x = 41
            assert x == 42

        def test_broken(broken): pass

        def test_asks():
            breakpoint()
            y = 5
            assert y == 5
    """
    suite.write({"test_it.py": text, "pytest.ini": "[pytest]\n"})
    shown = []
    for mode in ("off", "process"):
        keyboard, terminal = pty.openpty()  # of a pipe a process would read what is meant for the next one
        os.write(keyboard, b"p x + 1\nc\nc\nn\np y\nc\n")
        options = ("-p", "pytest_import_isolation.plugin", "--pdb", f"--isolate-imports={mode}")
        done = suite.tool(
            "-m", "pytest", *options, env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}, stdin=terminal
        )
        os.close(keyboard)
        os.close(terminal)
        assert "(Pdb) 42" in done.stdout
        assert "1 failed, 1 passed, 1 error" in done.stdout
        shown.append(re.sub(r"in [\d.]+s", "", done.stdout))
    assert shown[0] == shown[1]


def test_the_terminal_shows_what_it_shows_of_one_process(suite: Suite) -> None:
    text = """
        import logging, os, sys, threading
        import pytest

        @pytest.fixture
        def wide():
            logging.info("up"); print("out"); yield 1; logging.warning("down")

        def test_fails(wide): logging.error("in it"); assert wide == 2
        def test_shell(): os.system("echo from a shell"); assert 0, "after it"
        def test_finds_no_fixture(absent): pass
        def test_exits(): sys.exit(5)
        def test_thread():
            thread = threading.Thread(target=lambda: 1 / 0)
            thread.start()
            thread.join()
    """
    shown: dict[str, list[str]] = {}
    for mode in ("off", "process", "process-file"):
        for options in (["-vv", "-rA"], ["-o", "log_cli=true", "--log-cli-level=INFO"], ["-s"]):
            run = suite.run(text, *options, f"--isolate-imports={mode}", report=False)
            output = re.sub(r"in [\d.]+s|0x[0-9a-f]+|Thread-\d+", "", run.output)
            shown.setdefault(mode, []).extend(line for line in output.splitlines() if "===" not in line)
    assert shown["process"] == shown["off"]
    assert shown["process-file"] == shown["off"]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="it counts descriptors")
@pytest.mark.parametrize("is_interrupted", [False, True])
@pytest.mark.parametrize("mode", ["process", "process-file"])
def test_children_leave_no_descriptor_and_no_process(suite: Suite, mode: str, is_interrupted: bool) -> None:
    count = 50
    files = {
        "conftest.py": _LEAVES_NOTHING
        + """
    import signal

    signal.signal(signal.SIGINT, signal.default_int_handler)
    NUMBERS = set()
    TESTS = []

    def pytest_runtest_logfinish():
        TESTS.append(1)
        NUMBERS.add(len(os.listdir("/proc/self/fd")))

    def pytest_terminal_summary():
        print(len(TESTS), "tests,", len(NUMBERS), "numbers of descriptors")
""",
        "test_it.py": f"""
            import os, signal
            import pytest

            @pytest.mark.parametrize("n", range({count}))
            def test_it(n):
                if n == 30 and {is_interrupted}:
                    os.kill(os.getppid(), signal.SIGINT)
                    os.kill(os.getpid(), signal.SIGINT)
        """,
    }
    run = suite.run(files, f"--isolate-imports={mode}", report=False)
    assert run.status == (2 if is_interrupted else 0)
    assert f"{30 if is_interrupted else count} tests" in run.output
    assert "tests, 1 numbers of descriptors" in run.output
    assert "nothing is left" in run.output


@pytest.mark.parametrize("mode", ["process", "process-file"])
def test_ctrl_c_at_a_fork_is_not_lost(suite: Suite, mode: str) -> None:
    run = suite.run(
        {
            "conftest.py": _LEAVES_NOTHING
            + """
    import signal

    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Python prints what these functions raise, and goes on.
    os.register_at_fork(before=lambda: len(FORKS) == 1 and os.kill(os.getpid(), signal.SIGINT))
    FORKS = []

    def pytest_runtest_logstart():
        FORKS.append(1)
""",
            "test_a.py": "def test_never(): pass\n",
            "test_b.py": "def test_never(): pass\n",
        },
        f"--isolate-imports={mode}",
        report=False,
    )
    assert run.status == 2
    assert "test_a.py:1: KeyboardInterrupt" in run.output
    assert "test_b.py" not in run.output
    assert "nothing is left" in run.output


@pytest.mark.parametrize("mode", ["process", "process-file", "process -s", "process --runxfail -x"])
@pytest.mark.parametrize(
    ("function", "reason"), [("fork", "Resource temporarily unavailable"), ("pipe", "Too many open files")]
)
def test_a_test_for_which_no_process_can_be_started_fails(
    suite: Suite, mode: str, function: str, reason: str
) -> None:
    run = suite.run(
        {
            "conftest.py": _LEAVES_NOTHING
            + f"""
    import errno
    from unittest import mock

    def pytest_runtest_logstart(nodeid):
        error = OSError(errno.{"EAGAIN" if function == "fork" else "EMFILE"}, {reason!r})
        REFUSING.append(mock.patch("os.{function}", side_effect=error))
        if "refused" in nodeid:
            REFUSING[-1].start()

    def pytest_runtest_logfinish(nodeid):
        if "refused" in nodeid:
            REFUSING[-1].stop()

    REFUSING = []
""",
            "test_a.py": "def test_refused(): pass\n\ndef test_after(): pass\n",
            "test_b.py": "def test_more(): pass\n",
        },
        *f"--isolate-imports={mode}".split(),
        report=False,
    )
    stops = "-x" in mode
    assert run.outcomes == ({"error": 1} if stops else {"passed": 2, "error": 1})
    assert run.status == 1
    assert f"no process could be started for this test: os.{function}: [Errno " in run.output
    assert reason in run.output
    assert "nothing is left" in run.output


def test_an_error_of_a_finalizer_in_the_parent_is_told_once(suite: Suite) -> None:
    warned = []
    for mode in ("off", "process", "process-file"):
        run = suite.run(
            {
                "conftest.py": """
                    class Bad:
                        def __del__(self): raise ValueError("in del")

                    BAD = [Bad()]

                    def pytest_runtest_logfinish(): BAD.clear()
                """,
                "test_it.py": "def test_1(): pass\ndef test_2(): pass\ndef test_3(): pass\n",
                "test_more.py": "def test_4(): pass\ndef test_5(): pass\n",
            },
            f"--isolate-imports={mode}",
            report=False,
        )
        warned.append(run.outcomes)
    keeps = pytest.version_tuple >= (8, 4)  # pytest before that looks at what fails in a phase alone
    assert warned == [{"passed": 5, **({"warning": 1} if keeps else {})}] * 3


@pytest.mark.parametrize("mode", ["process", "process-file"])
def test_a_fork_of_a_test_that_goes_on_takes_nothing_from_its_parent(suite: Suite, mode: str) -> None:
    run = suite.run(
        """
            import os

            def test_forks():
                process = os.fork()
                if process == 0:
                    raise RuntimeError("in the fork of a test")
                os.waitpid(process, 0)

            def test_next(): pass
        """,
        f"--isolate-imports={mode}",
        report=False,
        ini="import_isolation_process_timeout = 60\n",
    )
    assert run.outcomes == {"passed": 2}


def test_a_test_that_closes_the_pipe_to_its_parent_is_told(suite: Suite) -> None:
    run = suite.run(
        """
            import os
            import pytest

            @pytest.fixture
            def closes_down():
                yield
                os.closerange(3, 256)

            @pytest.mark.isolated_imports(process=True)
            class TestAlone:
                def test_closes(self): os.closerange(3, 256)

                def test_takes_the_numbers(self):
                    os.closerange(3, 256)
                    for number in range(100):
                        os.open("taken.txt", os.O_RDWR | os.O_CREAT)

                def test_teardown(self, closes_down): pass

            @pytest.mark.isolated_imports(process="file")
            class TestFile:
                def test_closes_too(self): os.closerange(3, 256)

                def test_next(self): pass

            @pytest.mark.isolated_imports(process="cold")
            def test_cold(): os.closerange(3, 256)

            @pytest.mark.isolated_imports(process=True)
            def test_last(): pass
        """,
        report=False,
        ini="import_isolation_process_timeout = 60\n",
    )
    assert run.outcomes == {"passed": 3, "failed": 4, "error": 1}
    text = (
        "exit status 113, which says that the test closed the pipe to the process that runs pytest, as "
        "os.closerange(3, 256) does"
    )
    assert run.output.count(f"the process of this test ended in its call with {text}\n") == 4
    assert run.output.count(f"the process of this test ended in its teardown with {text}\n") == 1
    assert not (suite.root / "taken.txt").read_bytes()


# How the parent waits, and what both processes keep


_COUNTS_READS = """
    from pytest_import_isolation.processes import child

    READS = []
    read_some = child.read_some

    def counted(descriptor):
        READS.append(descriptor)
        return read_some(descriptor)

    child.read_some = counted
    child._REST = 100  # as if no test were long

    def pytest_sessionfinish():
        print(f"\\nread {len(READS)} times")
"""


@pytest.mark.parametrize("mode", ["process", "process-file"])
def test_the_parent_of_a_short_test_wakes_once_at_its_end(suite: Suite, mode: str) -> None:
    run = suite.run(
        {
            "conftest.py": _COUNTS_READS,
            "test_it.py": "def test_1(): pass\ndef test_2(): assert 0\ndef test_3(): print('more')\n",
        },
        f"--isolate-imports={mode}",
        "-rN",
        report=False,
    )
    assert run.outcomes == {"passed": 2, "failed": 1}
    assert "read 3 times" in run.output


def test_the_parent_is_woken_before_a_pipe_is_full(suite: Suite) -> None:
    began = time.monotonic()
    run = suite.run(
        {
            "conftest.py": _COUNTS_READS,
            "test_it.py": """
                import subprocess
                import sys

                def test_says_much(): print("much " * 100_000)

                def test_crashes():
                    import os
                    os.abort()
            """,
        },
        "--isolate-imports=process",
        report=False,
    )
    assert run.outcomes == {"passed": 1, "failed": 1}
    assert "died in its call by SIGABRT" in run.output
    assert time.monotonic() - began < 50  # half of a rest


def test_a_long_test_shows_its_phases_as_they_end(suite: Suite) -> None:
    run = suite.run(
        {
            "conftest.py": """
                import os

                def pytest_runtest_logreport(report):
                    if report.when == "setup":
                        open("seen.txt", "w").close()
            """,
            "test_it.py": """
                import os
                import time

                def test_waits_for_its_parent():
                    end = time.monotonic() + 30
                    while not os.path.exists("seen.txt"):
                        assert time.monotonic() < end
                        time.sleep(0.01)
            """,
        },
        "--isolate-imports=process",
        report=False,
    )
    assert run.outcomes == {"passed": 1}


@pytest.mark.parametrize("mode", ["process", "process-file"])
def test_random_numbers_go_on_from_those_of_the_parent(suite: Suite, mode: str) -> None:
    run = suite.run(
        {
            "conftest.py": """
                import os
                import random

                # A function that Python calls may use random numbers, in the parent and in a child.
                os.register_at_fork(before=lambda: random.seed(5) or random.gauss(0, 1), after_in_child=random.random)

                def numbers():
                    return random.random(), random.gauss(0, 1), random.gauss(0, 1)

                random.seed(5)
                random.gauss(0, 1)
                STATE = random.getstate()
                NUMBERS = numbers()
                random.setstate(STATE)

                def pytest_sessionfinish():
                    assert type(random._inst) is random.Random
                    assert random.getstate() == STATE
                    print("\\nas it was")
            """,
            "test_it.py": """
                import random

                from conftest import NUMBERS, STATE, numbers

                def test_first():
                    assert type(random._inst) is random.Random
                    random.setstate(STATE)
                    assert numbers() == NUMBERS

                def test_seeds():
                    random.seed(7)
                    first = random.random()
                    random.seed(7)
                    assert random.random() == first
            """,
            "test_more.py": """
                import random

                from conftest import STATE

                def test_state():
                    random.random()  # the second of those that a function of a fork took the first of
                    assert random.getstate()[1] != STATE[1]
            """,
        },
        f"--isolate-imports={mode}",
        "-s",
        report=False,
    )
    assert run.outcomes == {"passed": 3}
    assert "as it was" in run.output


def test_a_child_has_the_random_numbers_that_one_process_has(suite: Suite) -> None:
    runs = [
        suite.run(
            {
                "conftest.py": "import random\n\nrandom.seed(5)\nrandom.gauss(0, 1)\n",
                "test_it.py": """
                    import random

                    def test_numbers():
                        print("numbers:", random.gauss(0, 1), random.gauss(0, 1), random.random())
                """,
            },
            f"--isolate-imports={mode}",
            "-rP",
            report=False,
        )
        for mode in ("off", "process", "process-file")
    ]
    found = [re.findall("numbers: .*", run.output) for run in runs]
    assert len(found[0]) == 1
    assert found == [found[0]] * 3


@pytest.mark.parametrize("wish", ["shouldstop", "shouldfail"])
def test_a_hook_of_a_child_that_asks_the_run_to_stop_is_heard_after_its_test(suite: Suite, wish: str) -> None:
    outcomes = []
    for mode in ("off", "process", "process-file"):
        run = suite.run(
            {
                "conftest.py": f"""
                    def pytest_runtest_teardown(item):
                        if item.name == "test_second":
                            item.session.{wish} = "asked to"
                """,
                "test_it.py": """
                    def test_first(): pass
                    def test_second(): pass
                    def test_third(): pass
                """,
            },
            f"--isolate-imports={mode}",
            report=False,
        )
        assert "asked to" in run.output
        outcomes.append(run.outcomes)
    assert outcomes == [{"passed": 2}] * 3


def test_random_numbers_are_kept_where_the_generator_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    before = random.getstate()
    for generator in (randomness._generator, None):
        monkeypatch.setattr(randomness, "_generator", generator)
        kept = randomness.KeptRandomness()
        kept.prepare()
        if generator is not None:
            monkeypatch.setattr(randomness.KeptRandomness, "process", -1)  # as in a child
        random.seed()
        kept.arrive()
        assert random.getstate() == before
        assert type(random._inst) is random.Random


def test_a_child_has_the_filters_and_the_count_of_failures_that_one_process_has(suite: Suite) -> None:
    told = []
    for mode in ("off", "process", "process-file"):
        run = suite.run(
            {
                "conftest.py": "import threading\n\nTHREAD = threading.Thread(target=threading.Event().wait, daemon=True)\n"
                "THREAD.start()\n",
                "test_it.py": """
                    import warnings
                    import pytest

                    @pytest.fixture
                    def counts(request):
                        yield
                        print("failed so far:", request.session.testsfailed)

                    def test_filters(): print("filters:", warnings.filters)

                    def test_fails(counts): assert 0

                    def test_warns(): warnings.warn("told")

                    def test_fails_again(counts): assert 0
                """,
            },
            f"--isolate-imports={mode}",
            "-rP",
            report=False,
        )
        assert run.outcomes == {"passed": 2, "failed": 2, "warning": 1}
        assert re.findall("failed so far: .*", run.output) == ["failed so far: 1", "failed so far: 2"]
        told += re.findall("filters: .*", run.output)
    assert told == [told[0]] * 3


def test_lines_of_functions_are_found_before_the_first_fork(suite: Suite) -> None:
    run = suite.run(
        {
            "conftest.py": """
                def pytest_runtest_logstart(nodeid):
                    print("\\nknown:", [item.name for item in ITEMS if "location" in vars(item)])

                def pytest_collection_modifyitems(items):
                    ITEMS[:] = items

                ITEMS = []
            """,
            "test_it.py": """
                def test_1(): pass

                class TestOfAnObject:
                    def test_2(self): pass  # to know its line is to make an object

                def test_3(): pass
            """,
        },
        "--isolate-imports=process",
        "-s",
        report=False,
    )
    assert run.outcomes == {"passed": 3}
    known = re.findall("known: .*", run.output)
    assert known[0] == "known: ['test_1', 'test_3']"


def test_reports_of_a_test_share_the_texts_that_they_keep(suite: Suite) -> None:
    run = suite.run(
        {
            "conftest.py": """
                import pytest

                REPORTS = []

                @pytest.hookimpl(trylast=True)
                def pytest_runtest_logreport(report):
                    REPORTS.append(report)

                def pytest_runtest_logfinish():
                    setup, call, teardown = REPORTS[-3:]
                    for other in (call, teardown):
                        assert other.location is setup.location
                        assert other.keywords == setup.keywords
                        assert other.keywords is not setup.keywords
                        assert {*map(id, other.keywords)} == {*map(id, setup.keywords)}
                    # What a plugin adds to one is not in the others.
                    setup.keywords["added"] = 1
                    print("\\nshared")
            """,
            "test_it.py": "def test_1(): pass\ndef test_2(): pass\n",
        },
        "--isolate-imports=process",
        "-s",
        report=False,
    )
    assert run.outcomes == {"passed": 2}
    assert run.output.count("shared") == 2


# Beside xdist, coverage and others


def test_processes_of_xdist_workers_fork_too(suite: Suite) -> None:
    files = {
        f"test_{n}.py": "import os\n\ndef test_dies(): os.abort()\n\ndef test_runs(): pass\n" for n in "ab"
    }
    run = suite.run(
        {"conftest.py": _RECORDER, **files}, "-n2", "--isolate-imports=process-file", plugins=("xdist",)
    )
    assert run.outcomes == {"passed": 2, "failed": 2}
    assert run.report["workers"] == {"gw0": "ok", "gw1": "ok"}
    assert len({pid for _, pid in _processes(suite)}) == 4  # a test that dies takes its process with it


@TAKES_LONG
@pytest.mark.parametrize("dist", ["load", "loadfile", "loadscope", "worksteal"])
def test_outcomes_are_the_same_however_xdist_deals_tests_out(suite: Suite, dist: str) -> None:
    text = """
        import sys, types, unittest
        import pytest

        @pytest.fixture(scope="module")
        def wide(): yield 1

        class TestClass:
            @pytest.mark.parametrize("n", [1, 2, 3])
            def test_numbers(self, n, wide): assert n != 2

        class Case(unittest.TestCase):
            @unittest.expectedFailure
            def test_expected(self): self.fail()

        def test_skips(): pytest.skip("now")
        def test_leaves(): sys.modules["left_" + __name__] = types.ModuleType("left")
        def test_broken(absent): pass
    """
    suite.write({f"test_{name}.py": text for name in "abc"})
    outcomes = []
    for mode in ("off", "process", "process-file"):
        run = suite.run({}, "-n2", f"--dist={dist}", f"--isolate-imports={mode}", plugins=("xdist",))
        outcomes.append(run.outcomes)
        assert run.report["workers"] == {"gw0": "ok", "gw1": "ok"}
        left = {leak["name"]: leak["contained"] for leak in run.leaks}
        assert left == {f"left_test_{name}": mode != "off" for name in "abc"}
    assert outcomes[0] == outcomes[1] == outcomes[2]


def test_a_process_that_pytest_timeout_ended_is_told_from_others(suite: Suite) -> None:
    run = suite.run(
        """
            import os

            def test_it(request):
                # As its thread does, of which no test is left that could say it.
                terminal = request.config.get_terminal_writer()
                terminal.sep("+", title="Timeout")
                terminal.flush()
                os._exit(1)
        """,
        "--isolate-imports=process",
        report=False,
    )
    assert run.outcomes == {"failed": 1}
    assert (
        "pytest-timeout ended the process of this test in its call (timeout_method=thread does that)"
        in run.output
    )


_MEASURED = {
    "app.py": """
        def choose(value):
            if value:
                return 1
            return 2

        def loop(number):
            for n in range(number):
                if n > 3:
                    break
    """,
    "late.py": "def f(value):\n    return value or 1\n",
    "conftest.py": "import app\n",
    "test_a.py": """
        import app, pytest

        @pytest.fixture(scope="module")
        def wide():
            yield app.loop(1)
            app.loop(9)

        def test_one(wide): assert app.choose(1) == 1
        def test_two(wide): assert app.choose(0) == 2
    """,
    "test_b.py": """
        import app

        def test_three(): app.loop(2)

        def test_late():
            import late
            assert late.f(0) == 1
    """,
}
_DUMP = """
import coverage, json
data = coverage.CoverageData(); data.read()
files = sorted(data.measured_files())
print(json.dumps({f.rpartition("/")[2]: [sorted(data.lines(f)), sorted(data.arcs(f) or []),
    {n: sorted(c) for n, c in data.contexts_by_lineno(f).items()}] for f in files}, sort_keys=True))
"""


@pytest.mark.neighbours("pytest_cov")
@pytest.mark.parametrize("workers", ["-n0", "-n2"])
@pytest.mark.parametrize("core", ["ctrace", "sysmon"])
def test_coverage_measures_what_it_measures_in_one_process(suite: Suite, core: str, workers: str) -> None:
    if core == "sysmon" and sys.version_info < (3, 12):
        pytest.skip("needs sys.monitoring")
    suite.write(_MEASURED)
    found = {}
    for mode in ("off", "process", "process-file"):
        run = suite.run(
            {}, workers, f"--isolate-imports={mode}", "--cov=app", "--cov=late", "--cov-branch",
            *(["--cov-context=test"] if mode != "process" and workers == "-n0" and core == "ctrace" else []),
            plugins=("cov", "xdist"), report=False, measured=False, env={"COVERAGE_CORE": core},
        )  # fmt: skip
        assert run.outcomes["passed"] == 4
        assert "never imported" not in run.output
        dumped = json.loads(suite.tool("-c", _DUMP).stdout)
        found[mode] = dumped
    for file in ("app.py", "late.py"):
        assert found["process"][file][:2] == found["off"][file][:2]
        assert found["process-file"][file] == found["off"][file]
    assert found["off"]["app.py"][1]


@pytest.mark.neighbours("coverage")
def test_coverage_run_measures_children(suite: Suite) -> None:
    suite.write(
        {
            **_MEASURED,
            ".coveragerc": "[run]\nbranch = true\ndynamic_context = test_function\nsource_pkgs = app, late\n",
        }
    )
    found = []
    for mode in ("off", "process-file"):
        options = ("-m", "pytest", "-p", "no:cacheprovider", f"--isolate-imports={mode}")
        done = suite.tool("-m", "coverage", "run", *options)
        assert "4 passed" in done.stdout
        found.append(suite.tool("-c", _DUMP).stdout)
    assert found[0] == found[1] != ""


@pytest.mark.neighbours("anyio", "pytest_asyncio", "pytest_rerunfailures")
def test_tests_of_other_plugins_give_the_events_that_they_give_in_one_process(suite: Suite) -> None:
    files = {
        "conftest.py": _RECORDER,
        "test_it.py": """
            import asyncio
            import anyio
            import pytest

            @pytest.fixture(scope="module")
            def tries(): return []

            @pytest.mark.flaky(reruns=2)
            def test_again(tries):
                tries.append(1)
                assert len(tries) == 2

            @pytest.mark.flaky(reruns=1)
            def test_never():
                assert 0

            @pytest.mark.asyncio
            async def test_asyncio():
                await asyncio.sleep(0)

            @pytest.mark.anyio
            async def test_anyio():
                await anyio.sleep(0)
                assert 0
        """,
    }
    plugins = ("anyio", "asyncio", "rerunfailures")
    ini = "asyncio_default_fixture_loop_scope = function\nasyncio_mode = strict\n"
    suite.run(files, plugins=plugins, report=False, ini=ini)
    plain = _events(suite)
    _processes(suite)
    for mode in ("process", "process-file"):
        suite.run({}, f"--isolate-imports={mode}", plugins=plugins, report=False, ini=ini)
        _assert_same(_events(suite), plain)
        assert len({pid for _, pid in _processes(suite)}) == (4 if mode == "process" else 1)


# The leak report


def test_a_child_tells_its_leaks_as_contained_and_its_victims_what_they_met(suite: Suite) -> None:
    run = suite.run(
        {
            "test_a.py": "import sys, types\nsys.modules['met'] = types.ModuleType('met')\ndef test_a(): pass\n",
            "test_b.py": """
                import pytest

                @pytest.mark.isolated_imports(process=True)
                def test_victim():
                    import met
                    met.missing

                @pytest.mark.isolated_imports(process=True)
                def test_polluter():
                    import sys, types
                    sys.modules["left"] = types.ModuleType("left")
            """,
        }
    )
    assert run.outcomes == {"failed": 1, "passed": 2}
    assert "imported here at test_b.py:6" in run.output
    met = run.leak("fake-left", "met")
    assert [one["nodeid"] for one in met["exposed"]] == ["test_b.py::test_victim"]
    assert run.leak("fake-left", "left")["contained"]
    assert not met["contained"]


# Mistakes


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        (
            'process="files"',
            'process is True (a process for this test), "file", "cold" or False, not \'files\'',
        ),
        ("process=True, timeout=0", "timeout is a number of seconds above 0, not 0"),
        ("proces=True", "has no parameter 'proces' (did you mean 'process'?)"),
    ],
)
def test_a_mistake_in_a_mark_is_a_usage_error(suite: Suite, mark: str, message: str) -> None:
    run = suite.run(
        f"import pytest\n\n@pytest.mark.isolated_imports({mark})\ndef test_it(): pass\n", report=False
    )
    assert run.status == 4
    assert message in run.output


def test_an_extension_module_that_is_loaded_is_not_executed_anew_in_a_fork(suite: Suite) -> None:
    run = suite.run(
        """
            import pytest
            import _asyncio

            @pytest.mark.isolated_imports(process=True, fresh="_asyncio")
            def test_it(): pass
        """,
        report=False,
    )
    if "_asyncio" in sys.builtin_module_names:
        pytest.skip("it is built in here")
    assert run.status == 4
    assert "fresh='_asyncio' covers the extension module _asyncio, which is loaded already" in run.output
    assert 'process="cold"' in run.output


@pytest.mark.parametrize("option", ["--forked", "--isolate", "--cleanslate"])
def test_other_plugins_that_fork_are_refused(suite: Suite, option: str) -> None:
    run = suite.run(
        {
            "conftest.py": f"def pytest_addoption(parser): parser.addoption({option!r}, action='store_true')\n",
            "test_it.py": "def test_it(): pass\n",
        },
        "--isolate-imports=process",
        option,
        report=False,
    )
    assert run.status == 4
    assert f"both run tests in processes of their own; leave {option} out" in run.output


def test_a_test_stays_here_if_a_plugin_deletes_what_was_asked_for_elsewhere(suite: Suite) -> None:
    files = {
        "conftest.py": """
            import os, pytest

            MAIN = os.getpid()

            def pytest_addoption(parser):
                parser.addoption("--snapshot-update", dest="update_snapshots", action="store_true")

            @pytest.fixture
            def snapshot(): return 1

            @pytest.fixture
            def is_here(): return os.getpid() == MAIN
        """,
        "test_it.py": """
            import pytest

            @pytest.fixture
            def as_json(snapshot): return snapshot

            pytestmark = pytest.mark.isolated_imports(process={process})

            def test_other(is_here): assert not is_here

            def test_compares(is_here, as_json, request): assert is_here is request.config.option.update_snapshots

            def test_another(is_here): assert not is_here
        """,
    }
    for process in ("True", "'file'"):
        marked = {**files, "test_it.py": files["test_it.py"].format(process=process)}
        assert suite.run(marked, "--snapshot-update", report=False).outcomes == {"passed": 3}
        assert suite.run(marked, report=False).outcomes == {"passed": 3}


def test_without_fork_the_message_says_what_else_there_is(suite: Suite) -> None:
    run = suite.run(
        {"conftest.py": "import os\ndel os.fork\n", "test_it.py": "def test_it(): pass\n"},
        "--isolate-imports=process",
        report=False,
    )
    assert run.status == 4
    assert "needs os.fork, which this system lacks" in run.output


def test_an_unusable_timeout_in_the_ini_file_is_a_usage_error(suite: Suite) -> None:
    run = suite.run("def test_it(): pass\n", ini="import_isolation_process_timeout = soon\n", report=False)
    assert run.status == 4
    assert (
        "import_isolation_process_timeout in the ini file is a number of seconds above 0, not 'soon'"
        in run.output
    )
