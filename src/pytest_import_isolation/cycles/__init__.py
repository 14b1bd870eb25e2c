"""Circular imports: reading which modules can be in a circle, importing each first, and telling the chains.

Enters:
    The name of a package.

Leaves:
    Circles as data (``circles``), and as text (``text``).

May use:
    ``window`` and what it may use.
"""
