"""What is in the modules: copies of namespaces, what test code did to them, and how that is undone.

Enters:
    The loaded modules and their classes, and the texts of the files that may have written to them.

Leaves:
    Changes of single names, each with whose doing it is; namespaces as they were before.

May use:
    ``state``, ``watching`` and ``machinery``.
"""
