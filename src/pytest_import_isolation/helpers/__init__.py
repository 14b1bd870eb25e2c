"""Functions for one purpose each, over the context: fakes, missing modules, fresh imports, package trees.

Enters:
    What users write in their tests.

Leaves:
    Contexts, modules and folders. Each function is a thin shell.

May use:
    ``window`` and what it may use.
"""
