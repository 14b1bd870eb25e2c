"""What the hooks of conftests write to modules: for all tests, or for each one."""

from __future__ import annotations

from pytest_import_isolation.contents.changes import ContentChange
from pytest_import_isolation.contents.source_writes import SourceWrites
from pytest_import_isolation.contents.write_statements import PossibleWrite, hooks_in, possible_writes
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.paths import is_conftest
from pytest_import_isolation.state.origins import Origins


class Hooks(NamedTuple):
    """Hooks of a conftest that can have made a change."""

    file: str
    #: Whether none of them is called for each test.
    are_of_the_run: bool


class HookWrites:
    """Knows what hooks can write.

    Args:
        sources: reads files.
        origins: knows the plugins of the project.
    """

    def __init__(self, sources: SourceWrites, origins: Origins) -> None:
        self._sources = sources
        self._origins = origins
        # Of the files that were asked for: the statements that can write.
        self._possible: dict[str, list[PossibleWrite]] = {}
        # By a file and a name, the hooks of it that alone write to that.
        self._known: dict[tuple[str, str], Hooks | None] = {}

    def of(self, change: ContentChange, files: tuple[str, ...]) -> Hooks | None:
        """Return the hooks that alone can have made a change, None if other code can, or nobody.

        Args:
            change: the change.
            files: the test code that was running.
        """
        is_open = change.submodule is None
        written = self._sources.writing(files, change.name, is_there=change.is_there) if is_open else ()
        found = [self._hooks_of(file, change.name) for file in written]
        if not found or None in found:
            return None
        return Hooks(written[0], all(hooks is not None and hooks.are_of_the_run for hooks in found))

    def possible_writes(self, file: str) -> list[PossibleWrite]:
        """Return the statements of a file that can write to attributes of others."""
        found = self._possible.get(file)
        if found is None:
            found = self._possible[file] = possible_writes(self._sources.text(file))
        return found

    def _hooks_of(self, file: str, name: str) -> Hooks | None:
        """Return the hooks of a conftest in which all statements stand that write to a name."""
        if (file, name) not in self._known:
            found: Hooks | None = None
            has_hooks = is_conftest(file) or file in self._origins.plugin_files
            hooks = hooks_in(self._sources.text(file)) if has_hooks else []
            lines = [one.line for one in self.possible_writes(file) if name in one.stored | one.said]
            around = [next((hook for hook in hooks if line in hook.lines), None) for line in lines]
            if around and None not in around:
                found = Hooks(file, not any(hook is not None and hook.is_of_tests for hook in around))
            self._known[file, name] = found
        return self._known[file, name]
