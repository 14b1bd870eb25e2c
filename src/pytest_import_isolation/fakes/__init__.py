"""Fake modules, and modules that look as if they were not installed.

Enters:
    What a test gives for a fake, and the patterns of missing modules.

Leaves:
    Entries of ``sys.modules`` with a spec and a loader; answers as for a module that is not
    installed; refusals of what cannot be replaced or executed anew.

May use:
    ``parking``, ``watching``, ``state`` and ``machinery``.
"""
