#!/usr/bin/env bash
# A module that warns about itself while it is imported does so with stacklevel=2: Python leaves the frames of the import
# system out, and the line that imports is named. importlib.import_module() is not among what is left out: with it, the
# warning names importlib/__init__.py, and the line that called it appears nowhere. A good guess would be that both ways
# of importing name the importer.
#
# Seen with CPython 3.12.1 (the same with 3.10.13 and 3.13.0) and setuptools==80.9.0, whose pkg_resources warns so:
#     import statement: statement.py
#     import_module(): __init__.py
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check setuptools==80.9.0

cat >"$folder/statement.py" <<'PYTHON'
import pkg_resources
PYTHON
cat >"$folder/called.py" <<'PYTHON'
import importlib

importlib.import_module("pkg_resources")
PYTHON
cat >"$folder/look.py" <<'PYTHON'
import os
import runpy
import sys
import warnings

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    runpy.run_path(sys.argv[1])
print(*[os.path.basename(one.filename) for one in caught if "pkg_resources is deprecated" in str(one.message)])
PYTHON

look() { "$folder/venv/bin/python" "$folder/look.py" "$folder/$1"; }
seen="import statement: $(look statement.py)
import_module(): $(look called.py)"
echo "$seen"
diff -u <(printf 'import statement: statement.py\nimport_module(): __init__.py\n') <(echo "$seen")
