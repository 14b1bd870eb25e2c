"""The JSON Schema of a report."""

from __future__ import annotations

from importlib.resources import files


def read_schema() -> str:
    """Return the text of the JSON Schema (draft 2020-12) of the reports that this release writes."""
    return (files(__package__) / "report.schema.json").read_text(encoding="utf-8")
