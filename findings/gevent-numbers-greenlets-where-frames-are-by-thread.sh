#!/usr/bin/env bash
# After gevent's monkey.patch_all() threading.get_ident() and _thread.get_ident() return a number of the running
# greenlet. sys._current_frames() goes on to number real threads: the documented way to find one's own frame there,
# sys._current_frames()[threading.get_ident()], raises KeyError.
#
# Seen with CPython 3.12.1 and gevent==26.9.0:
#     both functions agree: True
#     threads with frames: 1
#     KeyError for the own thread
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check gevent==26.9.0

cat >"$folder/program.py" <<'PYTHON'
from gevent import monkey

monkey.patch_all()

import _thread
import sys
import threading

print("both functions agree:", threading.get_ident() == _thread.get_ident())
print("threads with frames:", len(sys._current_frames()))
try:
    sys._current_frames()[threading.get_ident()]
except KeyError:
    print("KeyError for the own thread")
PYTHON

cat >"$folder/expected.txt" <<'TEXT'
both functions agree: True
threads with frames: 1
KeyError for the own thread
TEXT

"$folder/venv/bin/python" -W ignore "$folder/program.py" >"$folder/seen.txt"
cat "$folder/seen.txt"
diff -u "$folder/expected.txt" "$folder/seen.txt"
