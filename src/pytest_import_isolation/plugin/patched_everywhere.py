"""Tests in which something goes through all loaded modules and patches them."""

from __future__ import annotations

import sys

import pytest

from pytest_import_isolation.machinery.modules import class_home, mro_of
from pytest_import_isolation.parking.finder import FINDER

_FAKE_FILE_SYSTEMS = frozenset(("fs", "fs_class", "fs_module", "fs_session"))


def bring_back_for(item: pytest.Item) -> None:
    """Let all parked modules return before a test that may patch whatever is loaded.

    A fake file system puts its ``os``, and a frozen clock its ``datetime``, into every module that has the
    real one. A parked module would return with the real one, and write to the real disk.
    """
    if FINDER.lot and _is_patched_everywhere(item):
        FINDER.lot.bring_all_back()


def _is_patched_everywhere(item: pytest.Item) -> bool:
    if "freezegun" in sys.modules or not _FAKE_FILE_SYSTEMS.isdisjoint(getattr(item, "fixturenames", ())):
        return True
    cls = getattr(item, "cls", None)
    # A metaclass may have code of its own for these attributes.
    return cls is not None and any(class_home(base).startswith("pyfakefs.") for base in mro_of(cls))
