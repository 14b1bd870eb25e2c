"""Tests in processes of their own: ``--isolate-imports=process``, and the parameter ``process`` of a mark.

The parent forks at the test. The child runs pytest's whole protocol for it and tells each event; the parent
lets its plugins see the same events, in the same order.

Enters:
    Options and marks, parsed once by ``modes``.

Leaves:
    The reports, warnings, measured lines and leaks of tests that ran elsewhere, and reports of crashes.

May use:
    The wing ``processes``, which forks and measures, and what the plugin itself may use.
"""
