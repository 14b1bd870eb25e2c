"""Why a test has another outcome in the whole run than alone: proven by runs of parts of the suite.

Enters:
    A node id, the arguments of pytest, and a report that names suspects.

Leaves:
    A verdict as data (``verdicts``) and as text (``text``). ``search`` knows nothing of tests and of runs.

May use:
    ``report`` and what it may use. The part that runs inside of pytest is ``plugin.partial_run``.
"""
