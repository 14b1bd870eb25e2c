"""Seeing what running code does: imports, lines, statements, and effects outside of the import system.

It looks and calls back; nothing is judged and nothing is undone.

Enters:
    Callbacks of those who want to know.

Leaves:
    Who imported a module first, which finder answered, which statement changed what, and what
    else of the process is different.

May use:
    ``state`` and ``machinery``.
"""
