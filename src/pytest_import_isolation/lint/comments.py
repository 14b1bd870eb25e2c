"""``# import-leak: ok IL101``: what a comment accepts at its line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from pytest_import_isolation.lint.findings import Located

_COMMENT: Final = re.compile(r"#\s*import-leak:\s*ok\b(?P<rest>[^#]*)")
_RULE: Final = re.compile(r"\bIL\d+\b")


def is_accepted(found: Located, lines_of: Mapping[str, Sequence[str]]) -> bool:
    """Tell whether a comment in the lines of a finding accepts it.

    Args:
        found: the finding.
        lines_of: the lines of the files.
    """
    for file, first, last in found.spans:
        for line in lines_of.get(file, ())[first - 1 : last]:
            for comment in _COMMENT.finditer(line):
                rules = _RULE.findall(comment["rest"])
                if not rules or found.finding.rule in rules:
                    return True
    return False
