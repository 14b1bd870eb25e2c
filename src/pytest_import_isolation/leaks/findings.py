"""What a single change was judged to be, before anybody knows the statement that made it."""

from __future__ import annotations

from pytest_import_isolation.machinery.named_tuples import NamedTuple


class Finding(NamedTuple):
    """A leak without its place."""

    #: A key of ``KINDS``.
    kind: str
    detail: str
    #: What changed, as the report calls it; None for the key of the change.
    name: str | None = None
    #: In place of the kind's own.
    severity: str | None = None
    #: A special case of the kind, which has an advice of its own.
    case: str | None = None
