"""One base exception and one base warning, and what is derived from them."""

from __future__ import annotations


class ImportIsolationError(Exception):
    """Base of all errors that this package raises for a user's mistake."""


class PatternError(ImportIsolationError, ValueError):
    """A module-name pattern, or a module name, that cannot mean anything."""


class ParameterError(ImportIsolationError, TypeError):
    """A parameter that does not exist or has a value of an unusable type."""


class ExtensionModuleError(ImportIsolationError, ImportError):
    """A request to execute an extension module a second time in one process."""


class FakeAttributeError(ImportIsolationError, AttributeError):
    """An attribute that a fake module was not given, or that the real module does not have."""


class NotReplaceableError(ImportIsolationError, ImportError):
    """A request to fake, hide or execute anew a module that what runs now cannot do without."""


class WindowOrderError(ImportIsolationError, RuntimeError):
    """A window was left, entered or used at a moment when that cannot work."""


class ReportError(ImportIsolationError, ValueError):
    """A report, a baseline or an entry of an allow list that cannot be read."""


class BlameError(ImportIsolationError, RuntimeError):
    """A question about a test that no run of pytest can answer."""


class ImportIsolationWarning(UserWarning):
    """Base of all warnings that this package gives."""
