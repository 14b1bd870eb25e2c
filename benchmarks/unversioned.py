"""A pytest plugin that hides the versions of dictionaries, as on a Python that has none."""

from __future__ import annotations

from pytest_import_isolation.machinery import dict_versions

# Before all that asks for them is imported.
dict_versions._make_cell = None  # as where the probe of them fails
