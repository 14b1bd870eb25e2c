"""Hides the versions of dictionaries, as on CPython 3.14 and later. Imported before all that asks for them."""

from __future__ import annotations

from pytest_import_isolation.machinery import dict_versions, key_tables

# Before all that asks for them is imported.
if key_tables.ARE_KNOWN:
    dict_versions._make_cell, dict_versions.read_cells = key_tables.KeyTable, key_tables.read_tables
    dict_versions._gather = key_tables.GatheredTables
else:
    dict_versions._make_cell = None
