#!/usr/bin/env bash
# PYTEST_DISABLE_PLUGIN_AUTOLOAD keeps pytest from loading installed plugins, and so from asking importlib.metadata
# what is installed. One `-p NAME`, or a name in PYTEST_PLUGINS, or in `pytest_plugins` of a conftest, brings that
# back: the name may be that of an entry point, so pytest reads the entry points of every distribution of the
# environment before it imports the module. What is compared with a run that names no plugin is charged with that.
#
# Seen with CPython 3.12.1 and pytest==9.2.0, beside flask==3.1.3:
#     no plugin: 0 files of entry points read
#     -p mine: those of all distributions that have some, or look for them
#     PYTEST_PLUGINS=mine: those of all distributions that have some, or look for them
#     pytest_plugins of a conftest: those of all distributions that have some, or look for them
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pytest==9.2.0 flask==3.1.3

cd "$folder"
echo '"""A plugin without hooks."""' >mine.py
echo 'def test_it(): pass' >test_it.py
cat >counting.py <<'PYTHON'
import importlib.metadata
import sys

asked = set()
read_text = importlib.metadata.PathDistribution.read_text


def reading(self, name):
    if name == "entry_points.txt":
        asked.add(str(self._path))
    return read_text(self, name)


importlib.metadata.PathDistribution.read_text = reading
everything = {str(each._path) for each in importlib.metadata.distributions()}

import pytest

status = pytest.main(["-q", "test_it.py", *sys.argv[1:]])
word = "those of all distributions that have some, or look for them" if asked == everything else None
print("SEEN", word or f"{len(asked)} files of entry points read")
sys.exit(status)
PYTHON

export PYTEST_DISABLE_PLUGIN_AUTOLOAD=1
seen() { "$folder/venv/bin/python" counting.py "${@:2}" | sed -n "s/^SEEN/$1/p"; }
{
    seen "no plugin:"
    seen "-p mine:" -p mine
    PYTEST_PLUGINS=mine seen "PYTEST_PLUGINS=mine:"
    echo 'pytest_plugins = ["mine"]' >conftest.py
    seen "pytest_plugins of a conftest:"
} >seen.txt
cat seen.txt
diff -u - seen.txt <<'TEXT'
no plugin: 0 files of entry points read
-p mine: those of all distributions that have some, or look for them
PYTEST_PLUGINS=mine: those of all distributions that have some, or look for them
pytest_plugins of a conftest: those of all distributions that have some, or look for them
TEXT
