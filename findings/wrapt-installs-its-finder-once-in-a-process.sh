#!/usr/bin/env bash
# wrapt puts its import hook finder on sys.meta_path at the first register_post_import_hook(), remembers that it did,
# and never looks whether the finder is still there. After somebody restored sys.meta_path, further hooks are accepted
# and never called, without a word. A good guess would be that each registration makes sure that the finder is there.
#
# Seen with CPython 3.12.1 and wrapt==2.5.2:
#     hooks that were called: ['wave']
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check wrapt==2.5.2

cat >"$folder/program.py" <<'PYTHON'
import sys

import wrapt

finders = sys.meta_path.copy()
seen = []
wrapt.register_post_import_hook(lambda module: seen.append(module.__name__), "wave")
import wave

sys.meta_path[:] = finders
wrapt.register_post_import_hook(lambda module: seen.append(module.__name__), "stringprep")
import stringprep

print("hooks that were called:", seen)
PYTHON

cat >"$folder/expected.txt" <<'TEXT'
hooks that were called: ['wave']
TEXT

"$folder/venv/bin/python" -W ignore "$folder/program.py" >"$folder/seen.txt"
cat "$folder/seen.txt"
diff -u "$folder/expected.txt" "$folder/seen.txt"
