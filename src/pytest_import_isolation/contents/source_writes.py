"""Which names the text of a file can write to: as its own globals, as attributes of others, by strings."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Set
from typing import Final

from pytest_import_isolation.contents.path_changes import PATH, changes_own_path, packages_changed
from pytest_import_isolation.contents.write_targets import NO_TARGETS, OWN, Targets, targets_of
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.regexes import regex
from pytest_import_isolation.machinery.source_text import text_of
from pytest_import_isolation.machinery.syntax import called, parsed, walk

#: A text without any of these writes attributes by statements alone.
_SETTERS: Final = ("setattr", "delattr", "patch", "__dict__", "vars(", "delitem", "setitem")
_UPDATERS: Final = frozenset(("update", "multiple", "configure_mock", "dict"))
_LONGEST_NAME: Final = 300
_WORD: Final = regex(r"\w+")
#: Of so many files the words are kept.
_MOST_FILES: Final = 64
#: A text with one of these may write to any global of its own.
_DYNAMIC: Final = ("globals()", "vars()", "__dict__", "sys.modules[__name__]")

#: Functions that let a module be executed again.
EXECUTERS: Final = ("reload", "exec", "exec_module", "load_module", "load_source", "run_module", "run_path")

# What writes to attributes of others, or lets the body of a module run again. To look for a word takes a
# hundredth of the time of a regular expression, unless that begins with a word.
_BY_NAME: Final = (
    *("setattr", "delattr", "__setattr__", "__delattr__", "__dict__", "vars", "globals", "mocker"),
    *EXECUTERS,
)
_BY_NAME_PATTERN: Final = regex(rf"\b({'|'.join(_BY_NAME)})\b")
# With its names in parentheses, on however many lines.
_IMPORT: Final = regex(r"\b(?:from|\w*import\w*)\b[^\n(]*(?:\([^)]*\))?")
_DELETION: Final = regex(r"del(?<=\bdel)[\s(]")
_BINDING_BLOCK: Final = regex(r"(?:as|for)\s+[(\[]?\s*(?:\w+\s*,\s*)*\w+\s*\.\s*[^\W\d]")
# A target before its sign, wherever the statement begins; then the first of several, or an annotated one.
_TARGET: Final = regex(r"\.\s*\w+\s*(?:<<|>>|//|\*\*|[-+*/%&|^@])?=(?!=)")
_OTHER_TARGET: Final = regex(
    r"(?:(?:^\s*[(\[]?|[=;]|[)\]]:)[^#\n=(]*\w\.\w[^#\n=(]*|[)\]]\.\w+\s*:[^=]*)(?<![!<>=])=(?!=)"
)
# What is written to by plain statements, and before it the name of what has it.
_PLAIN_TARGET: Final = regex(r"\.(\w+)[ \t]*=(?!=)")
_LAST_NAME: Final = regex(r"[^\W\d][\w.]*\Z")
_SETTING: Final = regex(r"setattr\(\s*([\w.]+)\s*,\s*['\"](\w+)['\"]")
#: What a class of tests stores for itself.
_OWN_ATTRIBUTE: Final = regex(r"(?<![\w.])(?:self|cls)\.\w+(?![\w.\[(])")
# What calls for a copy of an attribute, up to its name.
_COPYING: Final = regex(r"\b(?:copy|deepcopy|dict|list|set)\(\s*[\w.]+\.\Z")
#: The kinds of nodes that say what is written to, or by what name something is known.
_TELLING: Final = frozenset(
    (
        *(ast.Global, ast.Attribute, ast.Subscript, ast.Call),
        *(ast.Import, ast.ImportFrom, ast.Assign, ast.arg),
    )
)
# What follows an attribute that a statement stores, be it one of several, or in several lines.
_STORED: Final = r"[ \t]*(?:[-+*/%&|^@<>]*=(?!=)|[:\\]|in\b|,[ \t]*(?:\n|#)|[,)\]][^\n]*(?:=(?!=)|\bin\b|:))"
# One that stands alone in a line, or at its end: the statement goes on in others.
_ALONE: Final = (
    r"(?m)(?:^[ \t(\[*]*[\w.]*\.{word}(?!\w)[ \t]*(?:,.*|[)\]]*)|\b(?:as|for)\b.*\.{word}[ \t]*)(?:#.*)?$"
)
# What may be written to. Each begins with what is rare: to look at each word takes ten times as long.
_SIGN: Final = r"\.\w+[ \t]*(?:[^\w\s.=()]{0,2}=(?!=)|['\"])"
_OWNERS: Final = tuple(
    map(
        regex,
        (
            rf"([A-Z](?<!\w\w)\w*){_SIGN}",
            rf"\.(\w+){_SIGN}",
            r"\((?:\w+\.)*([A-Z]\w*)\s*,\s*['\"]",
            r"vars\((?:\w+\.)*(\w+)\)",
            r"del\s+(?:\w+\.)*(\w+)\.\w+",
        ),
    )
)


class Writes(NamedTuple):
    """What a text can write to."""

    #: Names that a function declares global, and stores.
    own: frozenset[str]
    #: Attributes that statements, ``setattr()`` or ``delattr()`` store or delete.
    attributes: frozenset[str]
    #: Those of them that are not only stored by a class for itself.
    of_others: frozenset[str]
    #: Those of them that statements delete, and do nothing else with.
    deleted: frozenset[str]
    #: Those of them that statements store, and do nothing else with.
    put: frozenset[str]
    #: Names that strings and keywords say, in a text that can set what a string names.
    said: frozenset[str]
    #: Whether it can write to globals whose names it does not say.
    is_dynamic: bool
    #: What its statements write to by themselves, as far as they name it.
    targets: Targets

    @property
    def any(self) -> frozenset[str]:
        """All names that it can write to in other modules."""
        return self.of_others | self.said


_NO_NAMES: Final = frozenset[str]()
_NOTHING: Final = Writes(
    _NO_NAMES, _NO_NAMES, _NO_NAMES, _NO_NAMES, _NO_NAMES, _NO_NAMES, is_dynamic=False, targets=NO_TARGETS
)


class SourceWrites:
    """Reads each file once."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._writes: dict[str, Writes] = {}
        self._may_write: dict[str, bool] = {}
        self._patched: dict[str, tuple[tuple[str, str], ...]] = {}
        self._owners: dict[str, frozenset[str]] = {}
        # By some files and a name: many tests make the same change.
        self._writing: dict[tuple[tuple[str, ...], str, bool], tuple[str, ...]] = {}
        self._copies: dict[tuple[str, str], bool] = {}
        # Of the latest files only: there are many.
        self._words: dict[str, Set[str]] = {}

    def text(self, file: str) -> str:
        """Return the text of a file, nothing if it is no source."""
        found = self._texts.get(file)
        if found is None:
            found = self._texts[file] = text_of(file) if file.endswith(".py") else ""
        return found

    def words(self, file: str) -> Set[str]:
        """Return the words that the text of a file has, those of imports alone if it can write to nothing.

        The import of a submodule may take the place of what a package had exported under its name.
        """
        found = self._words.get(file)
        if found is None:
            if len(self._words) >= _MOST_FILES:
                self._words.clear()
            text = self.text(file)
            if not self.may_write(file):
                text = "\n".join(_IMPORT.findall(text))
            found = self._words[file] = frozenset(_WORD.findall(text))
        return found

    def of(self, file: str) -> Writes:
        """Return what a file can write to."""
        found = self._writes.get(file)
        if found is None:
            found = self._writes[file] = writes_of(self.text(file))
        return found

    def may_write(self, file: str) -> bool:
        """Tell whether a file could write to attributes of others, as far as a look at its text shows."""
        found = self._may_write.get(file)
        if found is None:
            found = not file.endswith(".py") or may_write_attributes(self.text(file))
            self._may_write[file] = found
        return found

    def owners(self, file: str) -> frozenset[str]:
        """Return the last parts of the names of what a file may write to; see :func:`owners_in`."""
        found = self._owners.get(file)
        if found is None:
            found = owners_in(self.text(file)) if self.may_write(file) else frozenset()
            self._owners[file] = found
        return found

    def stores_attribute(self, file: str, name: str) -> bool:
        """Tell whether a statement of a file can store an attribute of that name, be it its own."""
        return name in self.text(file) and name in self.of(file).attributes

    def may_store_attribute(self, file: str, name: str) -> bool:
        """Tell whether a file can store an attribute of that name, maybe by a name that it computes."""
        return self.stores_attribute(file, name) or (
            "setattr" in self.text(file) and self.of(file).targets.is_computed
        )

    def patched(self, file: str) -> tuple[tuple[str, str], ...]:
        """Return the attributes that statements of a file may write to; see :func:`patched_in`."""
        found = self._patched.get(file)
        if found is None:
            found = self._patched[file] = tuple(dict.fromkeys(patched_in(self.text(file))))
        return found

    def writing(self, files: tuple[str, ...], name: str, *, is_there: bool) -> tuple[str, ...]:
        """Return those of some files that can have changed an attribute of that name.

        Args:
            files: the files.
            name: the name of the attribute.
            is_there: whether it is there now. Then it was no file that only deletes it, and else none that
                only stores it.
        """
        found = self._writing.get((files, name, is_there))
        if found is None:
            found = tuple(
                file
                for file in files
                if may_write_to(self.text(file), name)
                and name in self.of(file).any
                and name not in (self.of(file).deleted if is_there else self.of(file).put)
            )
            self._writing[files, name, is_there] = found
        return found

    def copies(self, file: str, name: str) -> bool:
        """Tell whether a file copies what an attribute of that name holds: a dictionary, list or set."""
        found = self._copies.get((file, name))
        if found is None:
            found = self._copies[file, name] = copies_attribute(self.text(file), name)
        return found


def may_write_attributes(source: str) -> bool:
    """Tell whether statements of a text could write to attributes of others by themselves."""
    return bool(
        "patch" in source
        or PATH in source
        or ("del" in source and _DELETION.search(source))
        or (any(word in source for word in _BY_NAME) and _BY_NAME_PATTERN.search(source))
        or ("." in source and (_BINDING_BLOCK.search(source) or _assigns(source)))
    )


def owners_in(source: str) -> frozenset[str]:
    """Return the last parts of the names of classes that a text may write to, and of others.

    ``__path__`` is among them if the text speaks of the lists of packages.
    """
    found = frozenset(name for pattern in _OWNERS for name in pattern.findall(source))
    return found | {PATH} if PATH in source else found


def _assigns(source: str) -> bool:
    """Tell whether a line assigns to an attribute that is not its own class's."""
    if "\\\n" in source:
        source = source.replace("\\\n", " ")
    found = (line for line in source.splitlines() if "." in line.rpartition("=")[0])
    lines = [_OWN_ATTRIBUTE.sub("own", line) for line in found]
    return any(map(_TARGET.search, lines)) or any(map(_OTHER_TARGET.search, lines))


def writes_of(source: str) -> Writes:
    """Return what a text can write to."""
    tree = parsed(source)
    if tree is None:
        return _NOTHING
    everything = [*nodes_of([tree])]
    nodes = [*filter(_tells, everything)]
    own: set[str] = set()
    attributes: set[str] = set()
    of_others: set[str] = set()
    put: set[str] = set()
    deleted: set[str] = set()
    said: set[str] = set()
    sets_by_name = any(word in source for word in _SETTERS)
    looked_up = {id(name) for node in nodes for name in _names_looked_up(node)} if sets_by_name else set()
    for node in nodes:
        if isinstance(node, ast.Global):
            own.update(node.names)
        stored = [*names_stored(node)]
        attributes.update(stored)
        (deleted if isinstance(getattr(node, "ctx", None), ast.Del) else put).update(stored)
        if not is_own_attribute(node):
            of_others.update(stored)
        if sets_by_name and id(node) not in looked_up:
            said.update(names_said(node))
    packages = [*packages_changed(everything)] if PATH in source else []
    if packages:
        for names in (attributes, of_others, put, deleted):
            names.add(PATH)
    if PATH in source and changes_own_path(everything):
        own.add(PATH)
    return Writes(
        frozenset(own),
        frozenset(attributes),
        frozenset(of_others),
        frozenset(of_others - put - said),
        frozenset(of_others - deleted - said),
        frozenset(said),
        is_dynamic=any(word in source for word in _DYNAMIC),
        targets=targets_of(
            nodes, packages, keeps_patches="MonkeyPatch()" in source and ".undo(" not in source
        ),
    )


def _tells(node: ast.AST) -> bool:
    """Tell whether a node can say what is written to; most cannot."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str)
    return type(node) in _TELLING and type(getattr(node, "ctx", None)) is not ast.Load


def may_write_to(source: str, name: str) -> bool:
    """Tell whether a text could write to an attribute of a name, before it is parsed.

    A statement has it behind a dot, and does not go on from it; a string ends with it; a keyword is it. Who
    changes the folders of a package may say that in other words.
    """
    if name not in source or name == PATH:
        return name in source
    word = re.escape(name)
    # It begins with the word: see above.
    is_said = rf"{word}(?<!\w{word})(?:['\"{{]|\s*=(?!=)|(?<=\.{word})(?!\w){_STORED})"
    if re.search(is_said, source) is not None or re.search(_ALONE.format(word=word), source) is not None:
        return True
    return "del" in source and re.search(rf"\bdel\b[^\n]*\.{word}(?![\w(.\[])", source) is not None


def patched_in(source: str) -> Iterator[tuple[str, str]]:
    """Yield the attributes that a text may write to by statements, each with the name of what has it.

    To parse a text takes fifty times as long, and nobody needs more than a guess: what stands there tells.
    """
    yield from _SETTING.findall(source)
    for target in _PLAIN_TARGET.finditer(source):
        start = target.start()
        owner = _LAST_NAME.search(source[source.rfind("\n", 0, start) + 1 : start])
        if owner is not None and owner[0] not in OWN:
            yield owner[0], target[1]


def nodes_of(roots: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield the nodes of trees, with those of texts that they have executed."""
    for root in roots:
        for node in walk(root):
            yield node
            if isinstance(node, ast.Call) and called(node) == "exec" and node.args:
                text = node.args[0]
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    tree = parsed(text.value)
                    yield from () if tree is None else walk(tree)


def is_own_attribute(node: ast.AST) -> bool:
    """Tell whether a node is an attribute that a class has for itself."""
    owner = node.value if isinstance(node, ast.Attribute) else None
    return isinstance(owner, ast.Name) and owner.id in OWN


def names_stored(node: ast.AST) -> Iterator[str]:
    """Yield the names of the attributes that a node stores or deletes, or sets by name."""
    if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
        yield node.attr
    elif isinstance(node, ast.Call) and called(node) in ("setattr", "delattr") and len(node.args) > 1:
        yield from _last_parts(node.args[1])


def names_said(node: ast.AST) -> Iterator[str]:
    """Yield the names that a string of a node says, or the keywords of an update."""
    if isinstance(node, ast.Constant):
        yield from _last_parts(node)
    elif isinstance(node, ast.Call) and called(node) in _UPDATERS:
        yield from (keyword.arg for keyword in node.keywords if keyword.arg)


def _names_looked_up(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the string with which a node reads an attribute: nothing is written by that."""
    if isinstance(node, ast.Call) and called(node) in ("hasattr", "getattr") and len(node.args) > 1:
        yield node.args[1]


def _last_parts(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < _LONGEST_NAME:
        last = node.value.rpartition(".")[2]
        if last.isidentifier():
            yield last


def copies_attribute(source: str, name: str) -> bool:
    """Tell whether a text copies what an attribute of that name holds: a dictionary, list or set."""
    word = re.escape(name)
    # It begins with the word: see above.
    for found in re.finditer(rf"{word}(?<=\.{word})\s*(?:(\.copy\(|\[\s*:\s*\])|\))", source):
        at = found.start()
        if found[1] is not None or _COPYING.search(source, max(0, at - _LONGEST_NAME), at):
            return True
    return False
