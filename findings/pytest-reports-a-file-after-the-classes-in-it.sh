#!/usr/bin/env bash
# pytest calls pytest_collectreport for a file after it has collected and reported the classes in it, and for a
# directory after all its files. What a conftest takes out of sys.modules in that hook is still there while the
# classes of the file are collected. pytest_make_collect_report has the other order, and so has the session's report.
#
# Seen with CPython 3.12.1 and pytest==9.2.0:
#     reported: the session
#     collected: tests/test_it.py
#     collected: tests/test_it.py::TestIt
#     reported: tests/test_it.py::TestIt
#     reported: tests/test_it.py
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pytest==9.2.0

mkdir -p "$folder/suite/tests"
printf '[pytest]\n' >"$folder/suite/pytest.ini"
cat >"$folder/suite/conftest.py" <<'PYTHON'
import pytest

@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    if "test_it" in collector.nodeid:
        print("collected:", collector.nodeid)
    return report

def pytest_collectreport(report):
    if "test_it" in report.nodeid or not report.nodeid:
        print("reported:", report.nodeid or "the session")
PYTHON
cat >"$folder/suite/tests/test_it.py" <<'PYTHON'
class TestIt:
    def test_it(self): pass
PYTHON

cat >"$folder/expected.txt" <<'TEXT'
reported: the session
collected: tests/test_it.py
collected: tests/test_it.py::TestIt
reported: tests/test_it.py::TestIt
reported: tests/test_it.py
TEXT

cd "$folder/suite"
"$folder/venv/bin/python" -m pytest -q -s -p no:cacheprovider | grep ed: >"$folder/seen.txt"
cat "$folder/seen.txt"
diff -u "$folder/expected.txt" "$folder/seen.txt"
