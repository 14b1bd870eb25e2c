"""Combine what the measured processes saw, and report it; without that Python there is nothing to say."""

import glob
import os
import subprocess
import sys

data = glob.glob(glob.escape(os.environ["COVERAGE_FILE"]) + ".*")
if not data:
    print("skipped: CPython 3.12 did not run, on which coverage is measured")
    sys.exit()
for arguments in (["combine"], ["report", "--show-missing", "--fail-under=95"]):
    status = subprocess.run([sys.executable, "-m", "coverage", *arguments], check=False).returncode
    if status:
        sys.exit(status)
