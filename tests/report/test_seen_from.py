from __future__ import annotations

from pathlib import Path

from pytest_import_isolation.report.records import Exposure, Link, Location, Polluter, Report, make_leak
from pytest_import_isolation.report.seen_from import relocation, seen_from

_ROOT = Path("/project").absolute()
_SENTENCE = "The import at {}:3 means {} and gets /lib/utils.py (of v1.pyx, x.py.bak)."


def _report() -> Report:
    return Report(
        (
            make_leak(
                "name-clash",
                "utils",
                Polluter("tests/a/conftest.py", "conftest"),
                _SENTENCE.format("tests/b/test_x.py", "b/utils.py"),
                location=Location("tests/a/conftest.py", 3, exact=True),
                chain=[Link("utils", "helper.py", 7)],
            )._replace(
                exposed=(Exposure("tests/b/test_x.py::T::test[a/b]", "call", "/abs.py", 1, "failed"),)
            ),
            make_leak("path-added", "/x", Polluter("", "session"), "It was added."),
        )
    )


def test_paths_of_a_report_are_as_they_are_seen_from_a_directory() -> None:
    leak, run = seen_from(_report(), relocation(_ROOT, _ROOT / "tests" / "b")).leaks
    assert leak.polluter.nodeid == "../a/conftest.py"
    assert leak.location == Location("../a/conftest.py", 3, exact=True)
    assert leak.chain == (Link("utils", "../../helper.py", 7),)
    assert leak.exposed == (Exposure("test_x.py::T::test[a/b]", "call", "/abs.py", 1, "failed"),)
    assert leak.detail == _SENTENCE.format("test_x.py", "../../b/utils.py")
    assert run == _report().leaks[1]


def test_in_the_rootdir_nothing_is_different() -> None:
    assert relocation(_ROOT, _ROOT) is None
    assert seen_from(_report(), None) == _report()
