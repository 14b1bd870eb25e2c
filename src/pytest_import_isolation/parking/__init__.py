"""Where foreign modules wait outside of ``sys.modules``, and the finder through which they return.

A foreign module is never executed twice in one process: the next import gets the same object back.

Enters:
    Modules that leave ``sys.modules``, with what their packages had installed.

Leaves:
    The same objects, on their next import.

May use:
    ``watching``, ``state`` and ``machinery``.
"""
