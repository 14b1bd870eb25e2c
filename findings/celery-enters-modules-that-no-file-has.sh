#!/usr/bin/env bash
# Importing celery leaves entries in sys.modules for modules that exist in no file and have no spec, and its own
# entry is an instance of a class of its own, and no plain module. Whoever takes an entry
# without a spec for a test double takes these for test doubles, too.
#
# Seen with CPython 3.12.1 and celery==5.7.0:
#     celery.execute is entered, with the spec None
#     celery.registry is entered, with the spec None
#     the class of celery: celery
#     find_spec: celery.registry.__spec__ is None
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check celery==5.7.0

cat >"$folder/program.py" <<'PYTHON'
import importlib.util
import sys

import celery

for name in ("celery.execute", "celery.registry"):
    module = sys.modules[name]
    print(name, "is entered, with the spec", module.__spec__)
print("the class of celery:", type(sys.modules["celery"]).__qualname__)
try:
    importlib.util.find_spec("celery.registry")
except ValueError as error:
    print("find_spec:", error)
PYTHON

cat >"$folder/expected.txt" <<'TEXT'
celery.execute is entered, with the spec None
celery.registry is entered, with the spec None
the class of celery: celery
find_spec: celery.registry.__spec__ is None
TEXT

"$folder/venv/bin/python" -W ignore "$folder/program.py" >"$folder/seen.txt"
cat "$folder/seen.txt"
diff -u "$folder/expected.txt" "$folder/seen.txt"
