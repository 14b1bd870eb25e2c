"""Small pieces of sentences that messages share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def listing(names: Sequence[str], most: int = 3) -> str:
    """Return names separated by commas, with dots in place of those beyond the first few."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def plain(text: str) -> str:
    """Return a line of text with what cannot be printed, such as a line break in a name, escaped."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def count(number: int, what: str) -> str:
    """Return a number with its noun, in the plural where it is not one."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def suggestion(wrong: str, names: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for a name that is close to one of the names, else nothing."""
    try:
        import difflib  # a large module that only a mistake needs
    except Exception:  # a test has it missing, or the import system in pieces
        return ""
    close = difflib.get_close_matches(wrong, list(names), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
