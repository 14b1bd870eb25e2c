#!/usr/bin/env bash
# jinja2's ModuleLoader enters the package of its compiled templates into sys.modules as a weak proxy. The entry is no
# module, an import statement gives the proxy, and it vanishes from sys.modules by itself when the loader is collected.
# A good guess would be that what stands in sys.modules is a module, and stays there until somebody takes it out.
#
# Seen with CPython 3.12.1 and jinja2==3.1.6:
#     type of the entry: weakref.ProxyType
#     an import gives: weakref.ProxyType
#     entries after the loader is gone: 0
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check jinja2==3.1.6

cat >"$folder/program.py" <<'PYTHON'
import gc
import importlib
import sys
import tempfile

import jinja2

folder = tempfile.mkdtemp()
source = jinja2.Environment(loader=jinja2.DictLoader({"hello.html": "hello"}))
source.compile_templates(folder, zip=None)


def entries():
    return [name for name in sys.modules if name.startswith("_jinja2_module_templates_")]


def kind(value):
    return f"{type(value).__module__ if type(value).__module__ != 'builtins' else 'weakref'}.{type(value).__name__}"


environment = jinja2.Environment(loader=jinja2.ModuleLoader(folder))
[name] = entries()
print("type of the entry:", kind(sys.modules[name]))
print("an import gives:", kind(importlib.import_module(name)))
del environment
gc.collect()
print("entries after the loader is gone:", len(entries()))
PYTHON

cat >"$folder/expected.txt" <<'TEXT'
type of the entry: weakref.ProxyType
an import gives: weakref.ProxyType
entries after the loader is gone: 0
TEXT

"$folder/venv/bin/python" -W ignore "$folder/program.py" >"$folder/seen.txt"
cat "$folder/seen.txt"
diff -u "$folder/expected.txt" "$folder/seen.txt"
