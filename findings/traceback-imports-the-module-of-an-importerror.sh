#!/usr/bin/env bash
# From CPython 3.12 on, formatting an ImportError imports the module that it names, to look for a name that was meant.
# If that module has left sys.modules since, it is executed once more, by whoever prints the error: here by pytest,
# for the report on a failed test. A good guess would be that printing an error executes nothing.
#
# Seen with CPython 3.13.0 and pytest==9.0.2 (with 3.10 and 3.11 it is executed once):
#     executed: 2 times
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pytest==9.0.2

mkdir "$folder/suite"
cat >"$folder/suite/shop.py" <<'PYTHON'
with open("executed.txt", "a", encoding="utf-8") as log:
    log.write("once\n")
PYTHON
cat >"$folder/suite/test_shop.py" <<'PYTHON'
import sys


def test_shop():
    try:
        from shop import basket
    finally:
        del sys.modules["shop"]
PYTHON

cd "$folder/suite"
"$folder/venv/bin/python" -m pytest -q -p no:cacheprovider >"$folder/output.txt" || true
grep -q "ImportError: cannot import name 'basket'" "$folder/output.txt"
seen="executed: $(wc -l <executed.txt | tr -d ' ') times"
echo "$seen"
newer="$("$folder/venv/bin/python" -c 'import sys; print(sys.version_info >= (3, 12))')"
[[ "$newer" == True ]] && expected="executed: 2 times" || expected="executed: 1 times"
diff -u <(echo "$expected") <(echo "$seen")
