"""Import traces: what an import loads, who asked for it and how long it took; and guards over that.

Enters:
    A block of code, or the name of a package.

Leaves:
    Traces as data (``entries``), as text (``text``), and failures that show the costliest chain
    (``guards``).

May use:
    ``cycles`` for the list of a package's modules, ``window`` and what it may use.
"""
