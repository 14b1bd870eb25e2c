"""Contexts with one purpose: thin doors to IsolatedImportContext."""

from __future__ import annotations

from pytest_import_isolation.isolation import IsolatedImportContext


def missing_modules(*patterns: str) -> IsolatedImportContext:
    """Return a context, usable as a decorator too, in which modules behave as not installed.

    Args:
        patterns: module names, which cover their submodules, or globs.

    Raises:
        PatternError: a pattern can match no module.
    """
    return IsolatedImportContext(missing=patterns)


def fake_module(name: str, /, **attributes: object) -> IsolatedImportContext:
    """Return a context, usable as a decorator too, in which a module is a fake with these attributes.

    Args:
        name: the absolute name of the module; packages above it are made as needed.
        attributes: what the fake holds.

    Raises:
        PatternError: the name can be no module's.
    """
    return IsolatedImportContext(fakes={name: attributes})
