"""What the source of one module imports, and in which of its code, read from its syntax tree.

Nothing is imported, and what is found is more than what happens, never less, as far as imports are written as
statements or as names in literal strings.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from pytest_import_isolation.cycles.short_texts import ShortText, is_suspect, is_worth_reading
from pytest_import_isolation.machinery.modules import package_above, top_level
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.regexes import regex

# Calls that may import what no literal says: who makes one when it is imported may import any module.
_BLIND_CALLS: Final = frozenset(
    {"__import__", "exec", "exec_module", "import_module", "load_module", "run_module"}
)
# Who uses one of these may bind names that no statement binds.
_BLIND_BINDERS: Final = frozenset({"__dict__", "exec", "globals", "setattr", "vars"})
# Decorators that do not call what they decorate.
_QUIET_DECORATORS: Final = frozenset(
    {
        "abstractmethod", "asynccontextmanager", "cache", "cached_property", "classmethod", "contextmanager",
        "deleter", "final", "fixture", "lru_cache", "no_type_check", "overload", "override", "property",
        "setter", "staticmethod", "wraps",
    }
)  # fmt: skip
_WORDS: Final = regex(r"\w+")
#: What stands between quotes, or between them and a brace in a formatted string.
_LITERALS: Final = regex(r"[\"'}]([.:\w]+)(?=[\"'{])")
#: Nodes that say something themselves, beside what is in them.
_TELLING: Final = frozenset(
    (ast.Attribute, ast.Global, ast.MatchAs, ast.MatchStar, ast.ExceptHandler, ast.Constant, ast.Call)
)
#: Fields of nodes in which nothing is read.
_MUTE: Final = frozenset(("ctx", "op", "ops"))
#: The other fields, by the kind of a node.
_FIELDS: Final = {
    kind: tuple(field for field in kind._fields if field not in _MUTE)
    for kind in vars(ast).values()
    if type(kind) is type(ast.AST) and issubclass(kind, ast.AST)
}


class Import(NamedTuple):
    """An import statement: ``from module import names``, or ``import module`` without names."""

    module: str
    names: tuple[str, ...]
    #: Whether the statement binds the topmost package: ``import a.b`` without ``as``.
    binds_top: bool


class Scope:
    """Code that runs together: a module's body with its class bodies, or the body of a function."""

    def __init__(self, name: str | None, *, is_reached: bool) -> None:
        self.name = name
        #: Whether it runs at import, whoever names it.
        self.is_reached = is_reached
        self.imports: list[Import] = []
        #: Names of variables and attributes that it reads: who is named may be called.
        self.reads: set[str] = set()
        #: Names that its import statements take from modules; a lazy one there is resolved by that.
        self.takes: set[str] = set()
        #: Literal strings that could name a module.
        self.strings: set[str] = set()
        #: Whether it is a lazy import: code that "runs" when somebody uses the name that it binds.
        self.is_lazy = False
        self.is_blind = False


class Reading(NamedTuple):
    """What one module's source says."""

    scopes: list[Scope]
    #: The names that it binds for others, or None if that cannot be known.
    bound: set[str] | None


def read_source(text: str, package: str) -> Reading:
    """Read what a source imports.

    Args:
        text: the source; one that cannot be parsed imports nothing, as far as that is seen: most functions
            are not parsed.
        package: what relative imports start from.
    """
    lines = text.split("\n")
    for short in (ShortText(lines), None):
        try:
            tree = ast.parse(text if short is None else short.text)
        except (SyntaxError, ValueError, RecursionError):
            continue
        reading = _Reader(package, lines, short).read(tree)
        if short is None or short.is_right:
            return reading
    return Reading([], None)


class _Reader:
    """Reads one syntax tree.

    Args:
        package: what relative imports start from.
        lines: the source.
        short: what was parsed in its place.
    """

    def __init__(self, package: str, lines: Sequence[str], short: ShortText | None) -> None:
        self._package = package
        self._lines = lines
        self._short = short
        #: The class whose body is being read.
        self._class: str | None = None
        self.scopes: list[Scope] = []
        self.bound: set[str] = set()
        self.bound_is_known = True
        #: What reads nodes with all that is in them.
        self._whole: dict[type[ast.AST], Callable[[Any, Scope], None]] = {
            ast.Import: self._read_import,
            ast.ImportFrom: self._read_import,
            ast.FunctionDef: self._read_function,
            ast.AsyncFunctionDef: self._read_function,
            ast.Pass: self._read_pass,
            ast.ClassDef: self._read_class,
            ast.If: self._read_condition,
            ast.AnnAssign: self._read_annotated,
            ast.arguments: self._read_arguments,
        }

    def read(self, tree: ast.Module) -> Reading:
        body = Scope(None, is_reached=True)
        self.scopes.append(body)
        self.read_all(tree.body, body)
        is_known = self.bound_is_known and all(
            _BLIND_BINDERS.isdisjoint(scope.reads) for scope in self.scopes
        )
        return Reading(self.scopes, self.bound if is_known else None)

    def read_all(self, nodes: Iterable[ast.AST | None], scope: Scope) -> None:
        for node in nodes:
            if node is not None:
                self._read(node, scope)

    def _read(self, node: ast.AST, scope: Scope) -> None:
        # By exact type, and not by isinstance(): a large package has millions of nodes.
        kind = type(node)
        if kind is ast.Name:
            self._read_name(node, scope)
            return
        read = self._whole.get(kind)
        if read is not None:
            read(node, scope)
            return
        if kind in _TELLING:
            self._read_other(node, scope)
        for field in _FIELDS[kind]:
            value = getattr(node, field, None)
            if type(value) is list:
                for item in value:
                    if isinstance(item, ast.AST):
                        self._read(item, scope)
            elif isinstance(value, ast.AST):
                self._read(value, scope)

    def _read_arguments(self, node: ast.arguments, scope: Scope) -> None:
        self.read_all((*node.defaults, *node.kw_defaults), scope)

    def _read_annotated(self, node: ast.AnnAssign, scope: Scope) -> None:
        self.read_all((node.target, node.value), scope)

    def _read_name(self, node: Any, scope: Scope) -> None:
        if type(node.ctx) is ast.Load:
            scope.reads.add(node.id)
        else:
            self.bound.add(node.id)

    def _read_other(self, node: ast.AST, scope: Scope) -> None:
        if isinstance(node, ast.Attribute):
            scope.reads.add(node.attr)
        elif isinstance(node, ast.Global):
            self.bound.update(node.names)
        elif isinstance(node, (ast.MatchAs, ast.MatchStar, ast.ExceptHandler)):
            self.bound.update(filter(None, (node.name,)))
        elif isinstance(node, ast.Constant):
            if isinstance(node.value, str) and _looks_like_a_module(node.value):
                scope.strings.add(node.value)
        elif isinstance(node, ast.Call) and _last_name(node.func) in _BLIND_CALLS:
            first = node.args[0] if node.args else None
            scope.is_blind |= not (isinstance(first, ast.Constant) and _last_name(node.func) != "exec")

    def _read_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope) -> None:
        decorators = {_last_name(decorator) for decorator in node.decorator_list}
        inner = self._add_function(node.name, is_quiet=decorators <= _QUIET_DECORATORS)
        self.read_all((*node.decorator_list, node.args), scope)
        left_out = None if self._short is None else self._short.left_out(node)
        if left_out is not None:
            _read_words(inner, left_out.text, left_out.telling)
            return
        text = self._text(node.lineno, node.end_lineno)
        if is_worth_reading(text):
            outer, self._class = self._class, None
            self.read_all(node.body, inner)
            self._class = outer
        else:
            body = self._text(_first_line(node.body[0]), node.end_lineno)
            _read_words(inner, text, body if is_suspect(text) else "")
            self._pass_over(node.body)

    def _read_pass(self, node: ast.Pass, scope: Scope) -> None:
        left_out = None if self._short is None else self._short.left_out(node)
        if left_out is not None:
            inner = self._add_function(left_out.name, is_quiet=True)
            _read_words(inner, left_out.text, left_out.telling)

    def _add_function(self, name: str, *, is_quiet: bool) -> Scope:
        self.bound.add(name)
        # Who makes an object names its class; the package's own __getattr__ needs nobody who names it.
        known_as = self._class if name.startswith("__") and name.endswith("__") else name
        scope = Scope(known_as, is_reached=known_as is None or not is_quiet)
        self.scopes.append(scope)
        return scope

    def _text(self, begin: int, end: int | None) -> str:
        return "\n".join(self._lines[begin - 1 : end])

    def _read_class(self, node: ast.ClassDef, scope: Scope) -> None:
        self.bound.add(node.name)
        self.read_all((*node.decorator_list, *node.bases, *node.keywords), scope)
        outer, self._class = self._class, node.name
        self.read_all(node.body, scope)
        self._class = outer

    def _read_condition(self, node: ast.If, scope: Scope) -> None:
        self._read(node.test, scope)
        if not _is_never_true_at_import(node.test):
            self.read_all(node.body, scope)
        else:
            self._pass_over(node.body)
        self.read_all(node.orelse, scope)

    def _pass_over(self, nodes: Iterable[ast.stmt]) -> None:
        if self._short is not None:
            self._short.pass_over(nodes)

    def _read_import(self, node: ast.Import | ast.ImportFrom, scope: Scope) -> None:
        for alias in node.names:
            if alias.name == "*":
                self.bound_is_known = False
            self.bound.add(alias.asname or top_level(alias.name))
        if getattr(node, "is_lazy", 0) and not _lazy_imports_are_filtered():
            for alias in node.names:
                lazy = Scope(alias.asname or top_level(alias.name), is_reached=False)
                lazy.is_lazy = True
                self.scopes.append(lazy)
                self._note_import(node, [alias], lazy)
        else:
            self._note_import(node, node.names, scope)

    def _note_import(
        self, node: ast.Import | ast.ImportFrom, names: Sequence[ast.alias], scope: Scope
    ) -> None:
        if isinstance(node, ast.Import):
            scope.imports += (Import(alias.name, (), alias.asname is None) for alias in names)
            return
        module = node.module or ""
        if node.level:
            base = package_above(self._package, node.level - 1)
            module = f"{base}.{module}" if module else base
        taken = tuple(alias.name for alias in names)
        scope.takes.update(taken)
        scope.imports.append(Import(module, taken, False))


def _lazy_imports_are_filtered() -> bool:
    """Tell whether a function decides which lazy imports are lazy indeed."""
    get_filter = getattr(sys, "get_lazy_imports_filter", None)
    return get_filter is not None and get_filter() is not None


def _read_words(scope: Scope, text: str, telling: str) -> None:
    """Read a function whose words are enough: most are such, and take most of the time.

    Args:
        scope: what it does.
        text: its text.
        telling: the part of it that may name modules.
    """
    scope.reads.update(_WORDS.findall(text))
    if telling:
        scope.strings.update(filter(_looks_like_a_module, _LITERALS.findall(telling)))


def _first_line(node: ast.stmt) -> int:
    decorators: Sequence[ast.expr] = getattr(node, "decorator_list", ())
    return min((node.lineno, *(decorator.lineno for decorator in decorators)))


def _last_name(node: ast.AST) -> str:
    if isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _looks_like_a_module(text: str) -> bool:
    return all(part.isidentifier() for part in text.lstrip(".").replace(":", ".").split("."))


def _is_never_true_at_import(test: ast.expr) -> bool:
    if _last_name(test) == "TYPE_CHECKING":
        return not isinstance(test, ast.Call)
    return (
        isinstance(test, ast.Compare)
        and _last_name(test.left) == "__name__"
        and len(test.ops) == 1
        and isinstance(test.ops[0], ast.Eq)
    )
