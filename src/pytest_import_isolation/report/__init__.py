"""The leak report as data: records, merging, what is accepted, and rendering as text, JSON and HTML.

Records hold strings, numbers and booleans; merging and rendering read them and nothing else.

Enters:
    Leaks that ``leaks`` found, and reports of other runs.

Leaves:
    Lines for a terminal, JSON, a page for the browser, annotations, and what is not accepted.

May use:
    ``machinery`` for the text of sources.
"""
