"""The linter: what the text of test code will do to the import state, told before it is run.

Nothing of the project is imported, and pytest is not needed. Text becomes events (``statements``, ``calls``),
events of one order of execution become a trace (``traces``), rules read traces and give findings.

Enters:
    Paths of test files, perhaps a baseline and a report.

Leaves:
    Findings as data, and as text, JSON, GitHub annotations and SARIF.

May use:
    ``report`` for its records.
"""
