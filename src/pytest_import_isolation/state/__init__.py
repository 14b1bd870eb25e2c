"""The import state as a value: capture it, compare it with now, take a difference apart, put it back.

``writing`` alone changes ``sys``, for all other wings too.

Enters:
    The live ``sys.modules``, the lists of ``sys`` and the namespaces of packages.

Leaves:
    Snapshots, differences and single changes; the origin of a module (first-party, foreign or
    fake); the references from one module to another; and :class:`.Changes`, which holds strings only.

May use:
    ``machinery``.
"""
