#!/usr/bin/env bash
# `import six.moves.configparser` hands out the module of the standard library, which may be loaded already. importlib
# then gives that module the spec of the name that was asked for, as it does with each module that a loader creates. From
# there on configparser says that it is six.moves.configparser, by a spec without an origin, although its name and its
# loader are as before. And importlib.reload(configparser), which asks the spec for the name and its loader for the code,
# executes nothing, and says nothing: what was changed in the module stays.
#
# Seen with CPython 3.10.13, 3.12.1 and 3.13.0, and six==1.17.0:
#     a reload puts back what was changed: True
#     the name by which six hands it out stands for the same module: True
#     its spec says: six.moves.configparser, at None
#     it says itself: configparser
#     a reload puts back what was changed: False
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check six==1.17.0

cat >"$folder/reloading.py" <<'PYTHON'
import configparser
import importlib
import sys


def reload_puts_back():
    configparser.MAX_INTERPOLATION_DEPTH = None
    importlib.reload(configparser)
    return configparser.MAX_INTERPOLATION_DEPTH is not None


print("a reload puts back what was changed:", reload_puts_back())

import six.moves.configparser

is_same = sys.modules["six.moves.configparser"] is configparser
print("the name by which six hands it out stands for the same module:", is_same)
print(f"its spec says: {configparser.__spec__.name}, at {configparser.__spec__.origin}")
print("it says itself:", configparser.__name__)
print("a reload puts back what was changed:", reload_puts_back())
PYTHON

"$folder/venv/bin/python" "$folder/reloading.py" >"$folder/seen.txt"
cat "$folder/seen.txt"
diff -u - "$folder/seen.txt" <<'TEXT'
a reload puts back what was changed: True
the name by which six hands it out stands for the same module: True
its spec says: six.moves.configparser, at None
it says itself: configparser
a reload puts back what was changed: False
TEXT
