"""What can be known of a test file before it is imported: from its text, and from what lies beside it."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_import_isolation.contents.source_writes import SourceWrites, may_write_attributes
from pytest_import_isolation.machinery.paths import packages_of
from pytest_import_isolation.machinery.regexes import regex
from pytest_import_isolation.machinery.source_text import imports_name, text_of
from pytest_import_isolation.machinery.syntax import called, parsed, walk

if TYPE_CHECKING:
    from _typeshed import StrPath

_NAMES: Final = frozenset(
    ("modules", "path", "meta_path", "path_hooks", "path_importer_cache", "addsitedir", "__import__")
)
# To look for a word takes a hundredth of the time of a regular expression, unless that begins with a word. A
# suite's own package may have thousands of files.
_CONTAINER_OF_SYS: Final = r"\s*\.\s*(modules|path|meta_path|path_hooks|path_importer_cache)\b"
_FROM_SYS: Final = regex(r"from(?<=\bfrom)\s+sys\s+import\b")
_SYS: Final = regex(r"sys(?<=\bsys)" + _CONTAINER_OF_SYS)
_SITE: Final = regex(r"addsitedir(?<=\baddsitedir)\b")
_IMPORT: Final = regex(r"builtins(?<=\bbuiltins)\s*\.\s*__import__")
# Looser: a file that has none of these cannot be the one whose lines change the import state.
_LIKE_SYS: Final = regex(r"sys\w*" + _CONTAINER_OF_SYS)
_QUOTED: Final = tuple(
    f"{quote}{name}{quote}" for quote in "\"'" for name in ("modules", "meta_path", "path_hooks")
)
_WRITERS: Final = ("syspath_prepend", "addsitedir", "reload")
_WRITER: Final = regex(rf"\b({'|'.join(_WRITERS)})\b")
_READERS: Final = frozenset(("get", "keys", "items", "values", "copy", "index", "count", "__contains__"))
#: No file without one of these can write, however it is written: to look for each takes time.
_ANY_WRITER: Final = ("sys", "modules", "meta_path", "path_hooks", "addsitedir", "reload", "__import__")
_SOURCE: Final = ".py"
_Function = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class Sources:
    """Reads files and directories once.

    Args:
        texts: has the texts of source files that others read, too.
    """

    def __init__(self, texts: SourceWrites | None = None) -> None:
        self._texts = texts
        # By texts: a Path has three objects more, and every garbage collection would look at them.
        self._changing: dict[str, bool] = {}
        self._mentioning: dict[str, bool] = {}
        self._writing: dict[str, bool] = {}
        self._rebinding: dict[str, bool] = {}
        self._names: dict[str, frozenset[str]] = {}
        # The file that was read last: one question about it follows another.
        self._last = "", ""

    def _text(self, file: str) -> str:
        if self._texts is not None and file.endswith(_SOURCE):
            return self._texts.text(file)
        return self._passing_text(file)

    def _passing_text(self, file: str) -> str:
        """Return a text that is not kept: nearly all files of an application are asked about once."""
        if file != self._last[0]:
            self._last = file, text_of(file)
        return self._last[1]

    def changes_imports(self, path: StrPath) -> bool:
        """Tell whether importing a file may change the import state; see :func:`changes_imports`."""
        file = os.fspath(path)
        if file not in self._changing:
            self._changing[file] = file.endswith(_SOURCE) and changes_imports(self._text(file))
        return self._changing[file]

    def mentions_imports(self, path: StrPath) -> bool:
        """Tell whether a file names one of the containers of the import state at all."""
        file = os.fspath(path)
        if file not in self._mentioning:
            self._mentioning[file] = mentions_imports(self._text(file))
        return self._mentioning[file]

    def imports_something(self, path: StrPath) -> bool:
        """Tell whether a file seems to import anything."""
        return "import" in self._text(os.fspath(path))

    def may_write(self, path: StrPath) -> bool:
        """Tell whether statements of a file could change the import state by themselves."""
        file = os.fspath(path)
        if file not in self._writing:
            self._writing[file] = _writes(self._passing_text(file))
        return self._writing[file]

    def only_reads(self, path: StrPath) -> bool:
        """Tell whether the text of a file that may write to the import state does nothing but look at it."""
        return not self.may_write(path) or only_reads(self._text(os.fspath(path)))

    def may_rebind(self, path: StrPath) -> bool:
        """Tell whether statements of a file could write to attributes of others by themselves."""
        file = os.fspath(path)
        if file not in self._rebinding:
            if self._texts is not None and file.endswith(_SOURCE):
                self._rebinding[file] = self._texts.may_write(file)
            else:
                self._rebinding[file] = may_write_attributes(self._text(file))
        return self._rebinding[file]

    def imports(self, path: StrPath, name: str) -> bool:
        """Tell whether a file seems to import a module of the top level."""
        return imports_name(self._text(os.fspath(path)), name)

    def names_in(self, path: StrPath) -> frozenset[str]:
        """Return the names of the modules and packages that lie in a directory."""
        folder = os.fspath(path)
        if folder not in self._names:
            try:
                found = [entry.name for entry in os.scandir(folder)]
            except (OSError, ValueError):  # any text may be a path entry
                found = []
            self._names[folder] = frozenset(
                name.removesuffix(_SOURCE) for name in found if name.endswith(_SOURCE) or "." not in name
            )
        return self._names[folder]


def _writes(source: str) -> bool:
    return _has_any(_ANY_WRITER, source) and bool(
        _has_any(_QUOTED, source)
        or ("sys" in source and (_LIKE_SYS.search(source) or _FROM_SYS.search(source)))
        or (_has_any(_WRITERS, source) and _WRITER.search(source))
        or ("__import__" in source and "builtins" in source)
    )


def _has_any(words: Iterable[str], source: str) -> bool:
    return any(word in source for word in words)


def import_root(path: Path) -> Path:
    """Return the directory from which pytest imports a test file or conftest: that above its packages."""
    packages = packages_of(path)
    return Path(packages[-1]).parent if packages else path.parent


def imported_with(path: Path) -> list[tuple[str, Path]]:
    """Return the names under which the packages above a test file, and the file, are imported.

    Returns:
        Each name with its file, the outermost package first and the test file last.
    """
    root = import_root(path)
    if root == path.parent:
        return [(path.stem, path)]
    parts = path.relative_to(root).with_suffix("").parts
    names = [".".join(parts[: i + 1]) for i in range(len(parts))]
    files = [root.joinpath(*parts[: i + 1], "__init__.py") for i in range(len(parts) - 1)]
    return list(zip(names, [*files, path], strict=True))


def initial_conftests(start: Path, arguments: Iterable[str]) -> list[Path]:
    """Return the directories whose conftests pytest loads before it collects anything.

    Args:
        start: where pytest was started.
        arguments: its files and directories, perhaps with node ids.
    """
    anchors = [start / argument.partition("::")[0] for argument in arguments]
    found: list[Path] = []
    for existing in [anchor for anchor in anchors if anchor.exists()] or [start]:
        anchor = Path(os.path.abspath(existing))
        below = (
            sorted(folder for folder in anchor.glob("test*") if folder.is_dir()) if anchor.is_dir() else []
        )
        found += [
            folder for folder in (anchor, *anchor.parents, *below) if (folder / "conftest.py").is_file()
        ]
    return list(dict.fromkeys(found))


def mentions_imports(source: str) -> bool:
    """Tell whether a text names one of the containers of the import state at all."""
    return any(pattern.search(source) for pattern in (_SYS, _FROM_SYS, _SITE, _IMPORT))


def changes_imports(source: str) -> bool:
    """Tell whether the code that runs when a file is imported may change the import state itself.

    What functions do counts if the file calls them at its top level. Reading does not count.

    Args:
        source: the text of the file.
    """
    if not mentions_imports(source):
        return False
    tree = parsed(source)
    if tree is None:
        return False
    functions = {node.name: node for node in walk(tree) if isinstance(node, _Function[:2])}
    bodies: list[ast.AST] = [tree]
    seen: set[str] = set()
    while bodies:
        for node, parent in _running(bodies.pop()):
            if _is_mention(node) and not _only_reads(node, parent):
                return True
            name = called(node)
            if name in functions and name not in seen:
                seen.add(name)
                bodies += functions[name].body
    return False


def only_reads(source: str) -> bool:
    """Tell whether the code of a file, and of its functions, looks at the import state and no more."""
    if _WRITER.search(source) or _FROM_SYS.search(source):
        return False
    tree = parsed(source)
    if tree is None:
        return False
    names = {name.asname for node in walk(tree) if isinstance(node, ast.Import) for name in node.names}
    mentions = [
        (node, parent) for parent in walk(tree) for node in ast.iter_child_nodes(parent) if _is_mention(node)
    ]
    return names <= {None} and all(_only_reads(*each) for each in mentions)


def _running(root: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    """Yield the nodes that run with a node, each with its parent; bodies of functions do not run."""
    waiting: list[tuple[ast.AST, ast.AST]] = [(root, root)]
    while waiting:
        node, parent = waiting.pop()
        yield node, parent
        if not isinstance(node, _Function):
            waiting += ((child, node) for child in ast.iter_child_nodes(node))


def _is_mention(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute):
        return (
            node.attr in _NAMES
            and isinstance(node.value, ast.Name)
            and node.value.id in ("sys", "site", "builtins")
        )
    if isinstance(node, ast.ImportFrom):
        return node.module in ("sys", "site") and any(alias.name in _NAMES for alias in node.names)
    return isinstance(node, ast.Constant) and node.value in ("sys.modules", "sys.path")


def _only_reads(node: ast.AST, parent: ast.AST) -> bool:
    if isinstance(parent, ast.Subscript):
        return parent.value is node and isinstance(parent.ctx, ast.Load)
    if isinstance(parent, ast.Attribute):
        return parent.attr in _READERS
    return isinstance(parent, (ast.Compare, ast.For, ast.comprehension))
