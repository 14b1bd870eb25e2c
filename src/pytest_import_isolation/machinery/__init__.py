"""What we know of CPython: its import system, call stack, locks, bytecode and dictionaries.

Every private name of CPython and importlib is read here and nowhere else, each with a fallback: a Python that
renames one of them costs some precision and nothing more.

Enters:
    Module names, frames and objects of any kind, however odd.

Leaves:
    Facts about them. Nothing of the user's is executed, and nothing is changed but importlib's
    own caches and, for the time of a block, one of its functions.

May use:
    Nothing of this package but ``errors`` and ``wording``.
"""
