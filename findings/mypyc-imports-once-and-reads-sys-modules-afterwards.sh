#!/usr/bin/env bash
# Code that mypyc compiled runs the import of an "import x" inside of a function once per process. After that it
# reads sys.modules["x"] and does not import again: if somebody has removed the entry, the statement raises KeyError,
# and no finder is asked. In interpreted code the same statement imports the module a second time.
#
# Seen with CPython 3.12.1 and mypy==2.4.1:
#     a compiled module: True
#     first call: 0
#     second call, without the entry: KeyError('mypy.main')
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mypy==2.4.1

cat >"$folder/program.py" <<'PYTHON'
import sys

import mypy.api

print("a compiled module:", not mypy.api.__file__.endswith(".py"))
print("first call:", mypy.api.run(["--version"])[2])
del sys.modules["mypy.main"]
try:
    mypy.api.run(["--version"])
except KeyError as error:
    print("second call, without the entry:", repr(error))
PYTHON

cat >"$folder/expected.txt" <<'TEXT'
a compiled module: True
first call: 0
second call, without the entry: KeyError('mypy.main')
TEXT

"$folder/venv/bin/python" -W ignore "$folder/program.py" >"$folder/seen.txt"
cat "$folder/seen.txt"
diff -u "$folder/expected.txt" "$folder/seen.txt"
