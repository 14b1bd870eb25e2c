#!/usr/bin/env bash
# Importing hy executes the standard library's runpy.py a second time and leaves the new module in sys.modules.
# Code that had imported runpy before holds another module than code that imports it later.
#
# Seen with CPython 3.12.1 and hy==1.3.1:
#     the same module: False
#     the same file: True
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check hy==1.3.1

cat >"$folder/program.py" <<'PYTHON'
import runpy
import sys

import hy

print("the same module:", sys.modules["runpy"] is runpy)
print("the same file:", sys.modules["runpy"].__spec__.origin == runpy.__spec__.origin)
PYTHON

cat >"$folder/expected.txt" <<'TEXT'
the same module: False
the same file: True
TEXT

"$folder/venv/bin/python" -W ignore "$folder/program.py" >"$folder/seen.txt"
cat "$folder/seen.txt"
diff -u "$folder/expected.txt" "$folder/seen.txt"
