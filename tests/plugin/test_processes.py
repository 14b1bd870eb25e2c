"""Tests in processes of their own: the same events as in one process, in the same order, and crashes told."""

from __future__ import annotations

import copy
import json
import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Run, Suite

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
