#!/usr/bin/env bash
# A usage error that a hook raises behind syrupy's own, while the tests are chosen, ends the run before any test. With
# --snapshot-update syrupy then takes every snapshot for unused, and deletes the files. Raised before its hook, the
# same error leaves them alone.
#
# Seen with CPython 3.12.1, pytest==9.2.0 and syrupy==7.0.2:
#     written: test_total.ambr
#     after an error before syrupy's hook, exit status 4: test_total.ambr
#     after an error behind syrupy's hook, exit status 4: nothing
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pytest==9.2.0 syrupy==7.0.2

suite="$folder/suite"
mkdir "$suite"
cat >"$suite/test_total.py" <<'PYTHON'
def test_total(snapshot):
    assert {"total": 3} == snapshot
PYTHON
touch "$suite/pytest.ini"
cd "$suite"

run() {
    local status=0
    "$folder/venv/bin/python" -m pytest -q -p no:cacheprovider --snapshot-update >"$folder/output.txt" 2>&1 || status=$?
    echo "$status"
}

snapshots() {
    local found
    found="$(find . -name '*.ambr' -exec basename {} \;)"
    echo "${found:-nothing}"
}

conftest() {
    cat >conftest.py <<PYTHON
import pytest


@pytest.hookimpl($1=True)
def pytest_collection_modifyitems(items):
    raise pytest.UsageError("two options that exclude each other")
PYTHON
}

{
    run >/dev/null
    echo "written: $(snapshots)"
    conftest tryfirst
    status="$(run)"
    echo "after an error before syrupy's hook, exit status $status: $(snapshots)"
    conftest trylast
    status="$(run)"
    echo "after an error behind syrupy's hook, exit status $status: $(snapshots)"
} >"$folder/seen.txt"

cat >"$folder/expected.txt" <<'TEXT'
written: test_total.ambr
after an error before syrupy's hook, exit status 4: test_total.ambr
after an error behind syrupy's hook, exit status 4: nothing
TEXT
cat "$folder/seen.txt"
diff -u "$folder/expected.txt" "$folder/seen.txt"
