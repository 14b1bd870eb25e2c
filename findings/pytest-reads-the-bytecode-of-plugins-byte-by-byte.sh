#!/usr/bin/env bash
# pytest loads all modules of an installed plugin's distribution by its own import hook, also those without an
# assertion, and their cached bytecode does not come in one piece as importlib reads it: marshal.load() asks the
# file for each object again, for a few bytes each time. A plugin of many modules starts several times slower
# than the same modules imported by a program.
#
# Seen with CPython 3.12.1, pytest==9.2.0 and pytest-cov==7.1.0:
#     pytest_cov.engine is loaded by AssertionRewritingHook
#     its cached bytecode is read more than a thousand times
#     bytes in a read, on average: fewer than 20
#     read by importlib, it comes in 1 piece
set -euo pipefail
unset PYTHONDONTWRITEBYTECODE

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pytest==9.2.0 pytest-cov==7.1.0

cat >"$folder/counting.py" <<'PYTHON'
import importlib
import marshal

sizes = {}
load = marshal.load


class Counting:
    def __init__(self, file):
        self.file, self.sizes = file, sizes.setdefault(file.name.rsplit("/", 1)[-1].partition(".")[0], [])

    def read(self, number=-1):
        found = self.file.read(number)
        self.sizes.append(len(found))
        return found

    def readinto(self, buffer):
        number = self.file.readinto(buffer)
        self.sizes.append(number)
        return number


marshal.load = lambda file: load(Counting(file))


def told():
    import pytest_cov.engine

    loader = type(pytest_cov.engine.__loader__).__name__
    print("pytest_cov.engine is loaded by", loader)
    reads = sizes.get("engine", [])
    print("its cached bytecode is read", "more than a thousand times" if len(reads) > 1_000 else f"{len(reads)} times")
    average = sum(reads) / max(len(reads), 1)
    print("bytes in a read, on average:", "fewer than 20" if average < 20 else round(average))


def told_of_importlib():
    pieces = []
    loads = marshal.loads
    marshal.loads = lambda data: pieces.append(data) or loads(data)
    import pytest_cov

    pieces.clear()
    importlib._bootstrap_external.SourceFileLoader("engine", pytest_cov.__path__[0] + "/engine.py").get_code("engine")
    print("read by importlib, it comes in", len(pieces), "piece")
PYTHON

cat >"$folder/test_it.py" <<'PYTHON'
def test_it():
    import pytest_cov.engine
PYTHON

cd "$folder"
run() {
    "$folder/venv/bin/python" -c "import counting, sys, pytest; status = pytest.main(['-q', '--cov=.', 'test_it.py'], plugins=[]); sys.stdout.flush(); counting.told(); sys.exit(status)"
}
run >/dev/null # the bytecode is written
cat >"$folder/expected.txt" <<'TEXT'
pytest_cov.engine is loaded by AssertionRewritingHook
its cached bytecode is read more than a thousand times
bytes in a read, on average: fewer than 20
read by importlib, it comes in 1 piece
TEXT

{
    run | grep -E "^(pytest_cov|its|bytes)"
    "$folder/venv/bin/python" -c "import pytest_cov.engine"
    "$folder/venv/bin/python" -c "import counting; counting.told_of_importlib()"
} >"$folder/seen.txt"
cat "$folder/seen.txt"
diff -u "$folder/expected.txt" "$folder/seen.txt"
