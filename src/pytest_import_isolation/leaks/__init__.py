"""From changes of the import state to leaks: who made each, on which line, and who met it.

Enters:
    Single changes at the boundaries of a run, and what happens between them.

Leaves:
    Leaks as records of ``report``, and hints for failures.

May use:
    ``report``, ``fakes``, ``parking``, ``watching``, ``state`` and ``machinery``.
"""
