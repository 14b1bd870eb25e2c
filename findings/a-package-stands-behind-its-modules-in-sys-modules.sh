#!/usr/bin/env bash
# importlib enters a module into sys.modules before it executes it, and once more when it has been executed: it takes
# the entry out and puts it back. So the order of sys.modules is that in which executions ended. A package stands
# behind the modules that its __init__ imports, and a loop over sys.modules that expects parents first meets the
# children first. A reload, which keeps the module object, moves the entry to the end all the same. A module that was
# put in by hand stands where it was put.
#
# Seen with CPython 3.10.13, 3.12.1 and 3.13.0, and flask==3.1.3:
#     flask stands behind all of its modules that it imports: True
#     after a reload its module stands last: True
#     put in by hand, a package stands before its module: True
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check flask==3.1.3

cat >"$folder/looking.py" <<'PYTHON'
import importlib
import sys
import types

import flask

order = list(sys.modules)
below = [name for name in order if name.startswith("flask.")]
behind = all(order.index(name) < order.index("flask") for name in below)
print("flask stands behind all of its modules that it imports:", behind and len(below) > 10)

importlib.reload(flask.json)
print("after a reload its module stands last:", list(sys.modules)[-1] == "flask.json" != order[-1])

for name in ("by_hand", "by_hand.module"):
    sys.modules[name] = types.ModuleType(name)
order = list(sys.modules)
print("put in by hand, a package stands before its module:", order.index("by_hand") < order.index("by_hand.module"))
PYTHON

"$folder/venv/bin/python" "$folder/looking.py" >"$folder/seen.txt"
cat "$folder/seen.txt"
diff -u - "$folder/seen.txt" <<'TEXT'
flask stands behind all of its modules that it imports: True
after a reload its module stands last: True
put in by hand, a package stands before its module: True
TEXT
