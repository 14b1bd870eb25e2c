"""A window: from the capture of the import state to the moment when it is put back.

``context`` has :class:`.IsolatedImportContext`, the one primitive. ``window`` has what is known of one
window, and ``open_windows`` lists the open ones. ``opening``, ``alterations``, ``real_modules``,
``adoption`` and ``closing`` do what happens to it, in this order. ``outcomes`` decides what becomes of each
module that was loaded inside: forget, park or keep.

Enters:
    Parameters, parsed once by ``parameters``.

Leaves:
    The import state as it was, and :class:`.Changes`, which tell what was undone and kept.

May use:
    ``fakes``, ``parking``, ``watching``, ``state`` and ``machinery``.
"""
