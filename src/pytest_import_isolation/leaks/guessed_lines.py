"""Read from the source text which statement probably changed the import system."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, lru_cache

from pytest_import_isolation.machinery.syntax import called, parsed, walk

_WRITERS = frozenset(
    ("__setitem__", "setdefault", "update", "pop", "clear", "insert", "append", "extend", "remove", "reload",
     "setitem", "delitem", "dict", "syspath_prepend", "addsitedir")
)  # fmt: skip


_WRITING = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.Delete, ast.With, ast.Return)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
#: A statement, or a decorator.
_Node = ast.stmt | ast.expr
# Calls that are given a module's name and write nothing into sys.modules.
_READERS = frozenset(
    (
        "append",
        "insert",
        "get",
        "import_module",
        "__import__",
        "importorskip",
        "find_spec",
        "print",
        "getattr",
        "hasattr",
        "raises",
    )
)


def guess_line(source: str, container: str, name: str, lines: range | None = None) -> int | None:
    """Return the line that probably changed an entry of a container of ``sys``.

    Args:
        source: the text of the file that made the change.
        container: ``"modules"``, ``"path"``, ``"meta_path"`` or ``"path_hooks"``; ``"attribute"`` for that of
            a package.
        name: the module name or path entry that was changed.
        lines: the lines to look at first, such as those of one test function; the whole file if None.

    Returns:
        The line number of the best candidate, or None if nothing in the text points to one.
    """
    text = _read(source)
    if text is None:
        return None
    if container == "attribute":
        child = name.rpartition(".")[2]
        binding = [node.lineno for node in text.nodes if _binds(node, child)]
        return next((line for line in binding if lines is None or line in lines), None) or (
            binding[0] if binding else guess_line(source, "modules", name, lines)
        )
    writes = text.writes(container)
    near = [node for node in writes if lines is None or node.lineno in lines]
    if name in text.says:
        looping = text.loops_over(name)
        # A test may write through a helper of its file, which then must say the name.
        for candidates in (near, writes):
            for naming in (lambda s: _names(s, name), looping.__contains__):
                found = [statement.lineno for statement in candidates if naming(statement)]
                if found:
                    return found[0]
    if name == f"sys.{container}" and container != "path":  # the object itself; the path may only be sorted
        near = writes = [node for node in writes if _assigns(node, container) or _names(node, name)]
    # A helper writes under a variable; one candidate alone is worth telling, unless it says another name.
    if len(near) == 1 and not (container == "modules" and _says_a_key(near[0])):
        return near[0].lineno
    # A helper of another file is given the name, exec() a text that holds it.
    told = [line for line, given in text.given if any(_is_told(value, name) for value in given)]
    return next((line for line in told if lines is None or line in lines), None)


class _SourceText:
    """What is asked of a text for each name: a statement may change a hundred modules.

    Args:
        tree: the syntax tree of the text.
    """

    def __init__(self, tree: ast.Module) -> None:
        self._all = list(walk(tree))
        #: The statements that can write, and decorators, in the order of the text.
        self.nodes = _statements(self._all)
        #: All texts that it says.
        self.says = {value for node in self._all if (value := _text_of(node)) is not None}
        self._writes: dict[str, list[_Node]] = {}

    @cached_property
    def given(self) -> list[tuple[int, list[str]]]:
        """The lines of calls that may write, with the texts that these are given."""
        found = ((node.lineno, _given_texts(node)) for node in self.nodes)
        return [(line, texts) for line, texts in found if texts]

    def writes(self, container: str) -> list[_Node]:
        """Return the statements that write to a container of ``sys``."""
        if container not in self._writes:
            self._writes[container] = [
                node for node in self.nodes if _mentions(node, container) and _writes(node)
            ]
        return self._writes[container]

    def loops_over(self, name: str) -> set[ast.AST]:
        """Return the nodes inside of loops over literals, or over names of literals, that hold the name."""

        def holds(node: ast.AST) -> bool:
            return any(_text_of(part) == name for part in walk(node))

        lists = {
            target.id
            for node in self._all
            if isinstance(node, ast.Assign) and holds(node.value)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        return {
            inner
            for node in self._all
            if isinstance(node, (ast.For, ast.AsyncFor))
            if holds(node.iter)
            or any(isinstance(part, ast.Name) and part.id in lists for part in walk(node.iter))
            for inner in walk(node)
        }


# A file and a few modules that it imported are asked for name after name.
@lru_cache(maxsize=16)
def _read(source: str) -> _SourceText | None:
    tree = parsed(source)
    return None if tree is None else _SourceText(tree)


def _statements(tree: Iterable[ast.AST]) -> list[_Node]:
    """Return the statements that can write, and decorators, in the order of the text."""
    nodes: list[_Node] = []
    for node in tree:
        if isinstance(node, _DEFINITIONS):
            nodes += node.decorator_list
        elif isinstance(node, _WRITING):
            nodes.append(node)
    return sorted(nodes, key=lambda node: node.lineno)


def _binds(node: _Node, child: str) -> bool:
    """Tell whether a statement assigns or deletes an attribute of that name."""
    targets: list[ast.expr] = []
    if isinstance(node, (ast.Assign, ast.Delete)):
        targets = node.targets
    if any(isinstance(target, ast.Attribute) and target.attr == child for target in targets):
        return True
    return _any_node(
        node,
        lambda part: (
            isinstance(part, ast.Call)
            and called(part) in ("setattr", "delattr")
            and any(_is_text_of(argument, child) for argument in part.args)
        ),
    )


def _is_text_of(node: ast.AST, child: str) -> bool:
    text = _text_of(node)
    return text is not None and text.rpartition(".")[2] == child


def _says_a_key(node: _Node) -> bool:
    """Tell whether a statement writes under a key that stands in the text."""
    targets = node.targets if isinstance(node, (ast.Assign, ast.Delete)) else []
    return any(isinstance(t, ast.Subscript) and isinstance(t.slice, ast.Constant) for t in targets)


def _given_texts(node: _Node) -> list[str]:
    """Return the texts that the calls of a statement are given, if the calls may write."""
    return [
        value
        for part in _own_nodes(node)
        if isinstance(part, ast.Call) and called(part) not in _READERS
        for argument in part.args
        for inner in walk(argument)
        if (value := _text_of(inner)) is not None
    ]


def _is_told(value: str, name: str) -> bool:
    """Tell whether a text is a name, or code that writes it."""
    return value == name or ("sys." in value and repr(name)[1:-1] in value)


def _text_of(node: ast.AST) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _own_nodes(statement: _Node) -> Iterator[ast.AST]:
    if isinstance(statement, ast.With):
        for item in statement.items:
            yield from walk(item)
    else:
        yield from walk(statement)


def _any_node(statement: _Node, test: Callable[[ast.AST], bool]) -> bool:
    return any(test(node) for node in _own_nodes(statement))


def _mentions(statement: _Node, container: str) -> bool:
    return _any_node(
        statement,
        lambda node: (
            (isinstance(node, ast.Attribute) and node.attr == container)
            or (isinstance(node, ast.Constant) and node.value == f"sys.{container}")
            or (container == "path" and isinstance(node, ast.Attribute) and node.attr == "syspath_prepend")
        ),
    )


def _writes(statement: _Node) -> bool:
    targets: list[ast.expr] = []
    if isinstance(statement, (ast.Assign, ast.Delete)):
        targets = statement.targets
    elif isinstance(statement, (ast.AugAssign, ast.AnnAssign)):
        targets = [statement.target]
    if any(isinstance(target, (ast.Subscript, ast.Attribute)) for target in targets):
        return True
    return _any_node(
        statement,
        lambda node: (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _WRITERS
        ),
    )


def _assigns(statement: _Node, container: str) -> bool:
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    return any(ast.unparse(target) == f"sys.{container}" for target in targets)


def _names(statement: _Node, name: str) -> bool:
    return _any_node(statement, lambda node: isinstance(node, ast.Constant) and node.value == name)
