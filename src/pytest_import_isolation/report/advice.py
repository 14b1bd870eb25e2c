"""What somebody who meets a leak should do, by the kind of the leak and by who made it.

Nothing is advised that cannot help: a mark isolates a test, and not the file around it. No fixture of a wider
scope can ask for ``monkeypatch``, and none is in place yet when a file is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_FAKES: Final = (
    "Fake it for the tests that need it only: mark them with "
    '@pytest.mark.isolated_imports(fakes={{"{name}": {{...}}}}), or use the fake_module fixture.'
)
_MISSING: Final = 'Use @pytest.mark.isolated_imports(missing="{name}") or the missing_modules fixture.'
# The mark with fresh= fails a test that goes on to reload the copy which its file has imported, or to delete
# the entry.
_FRESH: Final = (
    "Mark the test with @pytest.mark.isolated_imports: the first copy comes back after it. "
    'Or, in place of throwing it out or reloading it, use fresh="{name}" in the mark '
    "or the fresh_import fixture."
)
_PATH: Final = (
    'Use @pytest.mark.isolated_imports(path=["{name}"]) or monkeypatch.syspath_prepend(), '
    "or name the directory in the pythonpath option of pytest."
)
_RELOADED_BY_PATH: Final = (
    "Run with --isolate-imports=file: each file finds what lies in the directories that it adds itself. "
    "Or give the two files different names."
)
_ATTRIBUTE: Final = (
    'Use monkeypatch.setattr("{name}", ...) or mock.patch("{name}"), which put back what was there. '
    "Or mark the test with @pytest.mark.isolated_imports."
)
# Both refuse a name that is not there.
_ATTRIBUTE_ADDED: Final = (
    'Use monkeypatch.setattr("{name}", ..., raising=False) or mock.patch("{name}", create=True), '
    "which take it away again. Or mark the test with @pytest.mark.isolated_imports."
)
_ATTRIBUTE_REMOVED: Final = (
    'Use monkeypatch.delattr("{name}"), which puts back what was there. '
    "Or mark the test with @pytest.mark.isolated_imports."
)
_ATTRIBUTE_BY_IMPORT: Final = (
    "Import the submodule in the tests that need it, and mark them with @pytest.mark.isolated_imports."
)
_CONTEXT: Final = "Mark the test with @pytest.mark.isolated_imports: the change is undone after it."

#: For what a test did, by kind. A text may name the leak with ``{name}``.
FOR_TESTS: Final[Mapping[str, str]] = {
    "fake-left": _FAKES,
    "fake-left-by-key": _CONTEXT,
    "replaced": _FRESH,
    "replaced-by-fake": _FAKES,
    "removed": _FRESH,
    "blocked-left": _MISSING,
    "name-clash": (
        "Give the two modules different names, put each into a package, or run with --isolate-imports=file."
    ),
    "name-clash-by-path": "Give the two modules different names, or put each into a package.",
    "stale-attribute": _CONTEXT,
    "rebound": "Change the contents of {name} and leave the object in place.",
    "tainted": (
        "Import {name} before the fake is there, or make the fake with "
        "@pytest.mark.isolated_imports(fakes=...), which "
        "forgets {name} after the test."
    ),
    "tainted-by-stand-in": (
        "Make the fake with @pytest.mark.isolated_imports(fakes=...), which forgets {name} after the test."
    ),
    "tainted-by-block": (
        "Import {name} before anything is blocked, or block it with "
        "@pytest.mark.isolated_imports(missing=...), which forgets {name} after the test."
    ),
    "tainted-by-patch": (
        "Import {name} before it is patched, or mark the test with "
        '@pytest.mark.isolated_imports(fresh="{name}"): its copy goes with the test.'
    ),
    "tainted-by-variable": (
        "Change the variable with monkeypatch, which puts it back. And import {name} before that, or mark "
        'the test with @pytest.mark.isolated_imports(fresh="{name}"): its copy goes with the test.'
    ),
    "tainted-by-others": (
        "Contain the change of what {name} asked for, which another test or file left: "
        "{name} gets the real module then."
    ),
    "tainted-by-decision": (
        "Run with --isolate-imports=file: what a conftest fakes is there for the tests below it alone. "
        "Or fake it in a fixture whose teardown takes {name} out of sys.modules, too."
    ),
    "tainted-by-mark": (
        "Name what refers to {name} in fresh= of the same mark, too: "
        "then both are executed anew, and both are forgotten after the test."
    ),
    "path-added": _PATH,
    "path-added-by-temporary": (
        "Use monkeypatch.syspath_prepend(), which takes it away after the test. "
        "No mark can name the directory: in each run it is another one."
    ),
    "path-removed": _CONTEXT,
    "path-moved": _CONTEXT,
    "finder-added": _CONTEXT,
    "finder-removed": _CONTEXT,
    "hook-added": _CONTEXT,
    "hook-removed": _CONTEXT,
    "evicted": (
        "Import {name} before the mock.patch.dict(sys.modules) block, "
        "or use fakes= or missing= of the marker instead."
    ),
    "evicted-by-hand": (
        "Leave {name} in sys.modules. To have it executed anew, use the fresh_import fixture: the first copy "
        "comes back after the test."
    ),
    "reloaded": _FRESH,
    "reloaded-by-path": _RELOADED_BY_PATH,
    "rebound-by-function": _ATTRIBUTE,
    "attribute-left": _ATTRIBUTE,
    "attribute-left-by-adding": _ATTRIBUTE_ADDED,
    "attribute-left-by-removing": _ATTRIBUTE_REMOVED,
    "attribute-left-by-import": _ATTRIBUTE_BY_IMPORT,
    "class-attribute-left": _ATTRIBUTE,
    "class-attribute-left-by-adding": _ATTRIBUTE_ADDED,
    "class-attribute-left-by-removing": _ATTRIBUTE_REMOVED,
    "twice-loaded": "Import the file under one name everywhere; check sys.path and pythonpath.",
    "effect": "Isolation does not undo this. Undo it in the test, with a fixture or monkeypatch.",
    "loaded": "Nothing to do: a first import is no leak.",
}

_FAKES_IN_FILE: Final = (
    'Import what needs the fake in "with IsolatedImportContext(fakes={{"{name}": {{...}}}}):". '
    "Tests whose code imports {name} later also need @pytest.mark.isolated_imports(fakes=...)."
)
_FRESH_IN_FILE: Final = (
    'Import it again in "with IsolatedImportContext(fresh="{name}"):": '
    "the first copy comes back after the block."
)
_CONTEXT_IN_FILE: Final = 'Make the change in "with IsolatedImportContext():": it is undone after the block.'
_CONTEXT_IN_FILE_BY_IMPORT: Final = (
    'Import the submodule in "with IsolatedImportContext():": what it bound is undone after the block.'
)
# What a file imports is executed before any fixture runs.
_NEEDED_IN_FILE: Final = (
    ' What needs it when it is imported: make the change and import that in "with IsolatedImportContext():".'
)
_ATTRIBUTE_IN_FILE: Final = (
    'Do it in a fixture, with monkeypatch.setattr("{name}", ...), which puts back what was there.'
    + _NEEDED_IN_FILE
)
_ATTRIBUTE_ADDED_IN_FILE: Final = (
    'Do it in a fixture, with monkeypatch.setattr("{name}", ..., raising=False), which takes it away again.'
    + _NEEDED_IN_FILE
)
_ATTRIBUTE_REMOVED_IN_FILE: Final = (
    'Do it in a fixture, with monkeypatch.delattr("{name}"), which puts back what was there.'
    + _NEEDED_IN_FILE
)

#: For what is done outside of all tests, where a mark cannot help: what differs.
_FOR_FILES: Final[Mapping[str, str]] = {
    "fake-left": _FAKES_IN_FILE,
    "fake-left-by-key": _CONTEXT_IN_FILE,
    "replaced": _FRESH_IN_FILE,
    "replaced-by-fake": _FAKES_IN_FILE,
    "removed": _FRESH_IN_FILE,
    "blocked-left": (
        'Import what shall miss it in "with IsolatedImportContext(missing="{name}"):". '
        "Tests whose code imports {name} later also need @pytest.mark.isolated_imports(missing=...)."
    ),
    "stale-attribute": _CONTEXT_IN_FILE,
    "tainted": (
        "Import {name} before the fake is there, or make the fake with "
        '"with IsolatedImportContext(fakes=...):", which forgets {name} after the block.'
    ),
    "tainted-by-stand-in": (
        'Make the fake with "with IsolatedImportContext(fakes=...):", which forgets {name} after the block.'
    ),
    "tainted-by-block": (
        "Import {name} before anything is blocked, or block it with "
        '"with IsolatedImportContext(missing=...):", which forgets {name} after the block.'
    ),
    "tainted-by-patch": (
        "Import {name} before it is patched, or do both, to patch and to import it, in "
        '"with IsolatedImportContext():", which forgets {name} after the block.'
    ),
    "path-added-by-temporary": _CONTEXT_IN_FILE,
    "path-removed": _CONTEXT_IN_FILE,
    "path-moved": _CONTEXT_IN_FILE,
    "finder-added": _CONTEXT_IN_FILE,
    "finder-removed": _CONTEXT_IN_FILE,
    "hook-added": _CONTEXT_IN_FILE,
    "hook-removed": _CONTEXT_IN_FILE,
    "evicted": "Import {name} before the mock.patch.dict(sys.modules) block.",
    "evicted-by-hand": "Leave {name} in sys.modules.",
    "reloaded": _FRESH_IN_FILE,
    "rebound-by-function": _ATTRIBUTE_IN_FILE,
    "attribute-left": _ATTRIBUTE_IN_FILE,
    "attribute-left-by-adding": _ATTRIBUTE_ADDED_IN_FILE,
    "attribute-left-by-removing": _ATTRIBUTE_REMOVED_IN_FILE,
    "attribute-left-by-import": _CONTEXT_IN_FILE_BY_IMPORT,
    "class-attribute-left": _ATTRIBUTE_IN_FILE,
    "class-attribute-left-by-adding": _ATTRIBUTE_ADDED_IN_FILE,
    "class-attribute-left-by-removing": _ATTRIBUTE_REMOVED_IN_FILE,
}

#: For what is done outside of all tests, by kind.
FOR_FILES: Final[Mapping[str, str]] = {**FOR_TESTS, **_FOR_FILES}

# The teardown may be that of a fixture, or tearDownClass() and its like.
_YIELD: Final = 'Undo it in the teardown, or do it in a fixture that yields in "with IsolatedImportContext('
_FAKES_IN_FIXTURE: Final = f'{_YIELD}fakes={{{{"{{name}}": {{{{...}}}}}}}}):".'
_FRESH_IN_FIXTURE: Final = f'{_YIELD}fresh="{{name}}"):".'
_CONTEXT_IN_FIXTURE: Final = f'{_YIELD}):".'
# To reload once more gives no old object back that somebody holds.
_RELOADED_IN_FIXTURE: Final = (
    'Reload it in a fixture that yields in "with IsolatedImportContext():": '
    "what the module held comes back after the block."
)
_PATCH: Final = (
    "Undo it in the teardown, or do it in a fixture that yields in "
    '"with pytest.MonkeyPatch.context() as patch:", after patch.'
)
_ATTRIBUTE_IN_FIXTURE: Final = f'{_PATCH}setattr("{{name}}", ...).'
_ATTRIBUTE_ADDED_IN_FIXTURE: Final = f'{_PATCH}setattr("{{name}}", ..., raising=False).'
_ATTRIBUTE_REMOVED_IN_FIXTURE: Final = f'{_PATCH}delattr("{{name}}").'

#: For what a fixture of a wider scope does: what differs from :data:`FOR_FILES`.
_FOR_FIXTURES: Final[Mapping[str, str]] = {
    "fake-left": _FAKES_IN_FIXTURE,
    "fake-left-by-key": _CONTEXT_IN_FIXTURE,
    "replaced": _FRESH_IN_FIXTURE,
    "replaced-by-fake": _FAKES_IN_FIXTURE,
    "removed": _FRESH_IN_FIXTURE,
    "blocked-left": f'{_YIELD}missing="{{name}}"):".',
    "reloaded": _RELOADED_IN_FIXTURE,
    "stale-attribute": _CONTEXT_IN_FIXTURE,
    "path-added": f'{_YIELD}path=["{{name}}"]):".',
    "path-added-by-temporary": f"{_PATCH}syspath_prepend(...).",
    "path-removed": _CONTEXT_IN_FIXTURE,
    "path-moved": _CONTEXT_IN_FIXTURE,
    "finder-added": _CONTEXT_IN_FIXTURE,
    "finder-removed": _CONTEXT_IN_FIXTURE,
    "hook-added": _CONTEXT_IN_FIXTURE,
    "hook-removed": _CONTEXT_IN_FIXTURE,
    "rebound-by-function": _ATTRIBUTE_IN_FIXTURE,
    "attribute-left": _ATTRIBUTE_IN_FIXTURE,
    "attribute-left-by-adding": _ATTRIBUTE_ADDED_IN_FIXTURE,
    "attribute-left-by-removing": _ATTRIBUTE_REMOVED_IN_FIXTURE,
    "class-attribute-left": _ATTRIBUTE_IN_FIXTURE,
    "class-attribute-left-by-adding": _ATTRIBUTE_ADDED_IN_FIXTURE,
    "class-attribute-left-by-removing": _ATTRIBUTE_REMOVED_IN_FIXTURE,
    "effect": (
        "Isolation does not undo this. Undo it in the teardown; "
        "a fixture can use pytest.MonkeyPatch.context()."
    ),
}

#: For what a fixture of a wider scope does, by kind.
FOR_FIXTURES: Final[Mapping[str, str]] = {**FOR_FILES, **_FOR_FIXTURES}


def advise(case: str, nodeid: str, *, by_fixture: bool = False) -> str:
    """Return the advice for a leak, in which ``{name}`` stands for its name.

    Args:
        case: its kind, or a special case of that.
        nodeid: who made it.
        by_fixture: whether a fixture of a wider scope did.
    """
    return (FOR_FIXTURES if by_fixture else FOR_TESTS if "::" in nodeid else FOR_FILES)[case]


def templates(kind: str) -> list[str]:
    """Return all that is advised for a kind."""
    cases = [case for case in FOR_TESTS if case == kind or case.startswith(f"{kind}-by-")]
    return [table[case] for case in cases for table in (FOR_TESTS, FOR_FILES, FOR_FIXTURES)]
