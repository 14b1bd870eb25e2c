#!/usr/bin/env bash
# Importing the backport importlib_metadata changes a class of the standard library: it deletes
# PathFinder.find_distributions and puts a finder of its own on sys.meta_path. If that finder is taken away again,
# as tools do that restore sys.meta_path, the standard library's importlib.metadata finds no distribution any more.
# A good guess would be that a backport adds a finder and leaves the classes of the standard library as they are.
#
# Seen with CPython 3.12.1 and importlib_metadata==10.2.0:
#     PathFinder has find_distributions: True
#     pip is found: True
#     and after importing the backport: False
#     pip is found: True
#     and with sys.meta_path as before: PackageNotFoundError
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check importlib_metadata==10.2.0

cat >"$folder/program.py" <<'PYTHON'
import importlib.metadata
import sys
from importlib.machinery import PathFinder

finders = sys.meta_path.copy()
print("PathFinder has find_distributions:", hasattr(PathFinder, "find_distributions"))
print("pip is found:", bool(importlib.metadata.version("pip")))

import importlib_metadata

print("and after importing the backport:", hasattr(PathFinder, "find_distributions"))
print("pip is found:", bool(importlib.metadata.version("pip")))
sys.meta_path[:] = finders
try:
    importlib.metadata.version("pip")
except importlib.metadata.PackageNotFoundError:
    print("and with sys.meta_path as before: PackageNotFoundError")
PYTHON

cat >"$folder/expected.txt" <<'TEXT'
PathFinder has find_distributions: True
pip is found: True
and after importing the backport: False
pip is found: True
and with sys.meta_path as before: PackageNotFoundError
TEXT

"$folder/venv/bin/python" -W ignore "$folder/program.py" >"$folder/seen.txt"
cat "$folder/seen.txt"
diff -u "$folder/expected.txt" "$folder/seen.txt"
