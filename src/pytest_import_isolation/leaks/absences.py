"""Which modules a failing test asserts to be absent from ``sys.modules``.

The names are read from the statement that failed and the values that its names had; nothing is evaluated.
"""

from __future__ import annotations

import ast
import fnmatch
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from types import CodeType
from typing import Final

from pytest_import_isolation.leaks.failed_statements import FailedStatement, attribute_of, failed_statements
from pytest_import_isolation.leaks.table_reads import TableReads, is_listing, texts_in
from pytest_import_isolation.machinery.functions import codes_in, function_in
from pytest_import_isolation.machinery.modules import ABSENT, ancestors
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.regexes import regex
from pytest_import_isolation.machinery.syntax import called, walk

_LARGEST_CONTAINER: Final = 100_000
_NAME: Final = regex(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*\.?")
_GLOB: Final = regex(r"[\w.]+[*?][\w.*?]*")
_TRUTH: Final = frozenset(("any", "bool", "len", "set", "frozenset", "list", "tuple", "sorted", "filter"))
_PRESENT: Final = frozenset(
    (
        *("issubset", "issuperset", "__contains__", "get", "startswith", "intersection"),
        *("hasattr", "getattr"),
    )
)
#: How pytest and unittest begin to tell of a name that is there.
_FOUND: Final = regex(r"(?:assert )?'([\w.]+)' (?:not in|unexpectedly found in) ")
_args_of: Final = BaseException.__dict__["args"].__get__
_mro_of_type: Final = type.__dict__["__mro__"].__get__
_module_of_type: Final = type.__dict__["__module__"].__get__
_LIKE_ASSERT_IN: Final = frozenset(("assertIn", "assertIsNotNone", "assertHasAttr", "assert_in"))


class _Text(NamedTuple):
    """A text that may name modules."""

    text: str
    #: Whether names that begin with it are meant.
    is_prefix: bool = False


def absent_names(error: BaseException, is_user_code: Callable[[str], bool]) -> list[str]:
    """Return the loaded modules of which a failure says that they should not be loaded.

    A package stands for its submodules.

    Args:
        error: the failure.
        is_user_code: tells whether a file is the users' own.
    """
    statements = list(failed_statements(error, is_user_code))
    looking = [(statement, reads) for statement in statements if (reads := TableReads(statement))]
    if not looking or not _is_failure(error, statements[0]):
        return []
    found = _known_before(*looking[0])
    if found or not _is_complaint(*looking[0]):
        return found
    for statement, reads in looking:
        for nodes in (reads.checked, reads.sources):
            found = [*dict.fromkeys(reads.submodules(nodes))] or _named_in(nodes, statement)
            if found:
                return _without_parts(found)
    return [*_loaded_among(_told_in(error))]


def _is_failure(error: BaseException, innermost: FailedStatement) -> bool:
    kinds = _mro_of_type(type(error))
    is_failure = AssertionError in kinds or any(_module_of_type(kind) == "_pytest.outcomes" for kind in kinds)
    return is_failure or isinstance(innermost.nodes[0], ast.Raise)


def _known_before(statement: FailedStatement, reads: TableReads) -> list[str]:
    """Return the modules that are looked for among those that have come since, and had come before."""
    listings = [frozenset(texts_in(listing) or ()) for listing in reads.subtracted()]
    if not listings:
        return []
    named = _named_in([*reads.checked, *reads.sources], statement)
    return _without_parts([name for name in named if any(name in listing for listing in listings)])


def _named_in(nodes: Iterable[ast.AST], statement: FailedStatement) -> list[str]:
    return [*_loaded_among(text for node in nodes for text in _texts_of(node, statement))]


def _without_parts(names: list[str]) -> list[str]:
    """Leave out submodules of packages that are named, too."""
    return [name for name in names if not any(above in names for above in ancestors(name))]


def _told_in(error: BaseException) -> Iterator[_Text]:
    """Yield the name that the text of a failure begins with: what gave it may be used up."""
    arguments = _args_of(error)
    text = arguments[0] if arguments else None
    match = _FOUND.match(text) if type(text) is str else None
    if match is not None:
        yield _Text(match[1])


def _is_complaint(looking: FailedStatement, reads: TableReads) -> bool:
    """Tell whether a failure can be about something that is there and should not be.

    Args:
        looking: the innermost statement in a function that looks at ``sys.modules``.
        reads: how it does so.
    """
    statement = looking.nodes[0]
    if any(_wants_absence(test) is was_true for test, was_true in reads.guards):
        return False  # what is missing led there
    if isinstance(statement, ast.Assert):
        return _wants_absence(statement.test) is not False
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        return _call_wants_absence(statement.value) is not False
    return True


def _call_wants_absence(call: ast.Call) -> bool | None:
    name = called(call)
    if name in _LIKE_ASSERT_IN:
        return False
    wanted = [
        want for argument in call.args if (want := _wants_absence(argument, is_truth=False)) is not None
    ]
    if name == "assertFalse":
        return _inverted(_wants_absence(call.args[0])) if call.args else None
    if name == "assertTrue":
        return _wants_absence(call.args[0]) if call.args else None
    return any(wanted) if wanted else None


def _wants_absence(node: ast.expr, *, is_truth: bool = True) -> bool | None:
    """Tell whether an expression is true if modules are absent; None if that cannot be told.

    Args:
        node: the expression.
        is_truth: whether its truth is what counts, so that something empty is false.
    """
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return _inverted(_wants_absence(node.operand))
    if isinstance(node, ast.BoolOp):
        wanted = [want for value in node.values if (want := _wants_absence(value)) is not None]
        return any(wanted) if wanted else None
    if isinstance(node, ast.Compare):
        return _comparison_wants_absence(node)
    if isinstance(node, ast.Call):
        name = called(node)
        if name == "all" and node.args and isinstance(node.args[0], (ast.GeneratorExp, ast.ListComp)):
            return _wants_absence(node.args[0].elt)
        if is_truth and (name in _PRESENT or name in _TRUTH):
            return False
        return True if name == "isdisjoint" else None
    is_value = isinstance(node, (ast.Name, ast.Attribute, ast.Subscript, ast.BinOp, ast.NamedExpr))
    return False if is_truth and (is_value or isinstance(node, (ast.ListComp, ast.SetComp))) else None


def _comparison_wants_absence(node: ast.Compare) -> bool | None:
    operator, other = node.ops[0], node.comparators[0]
    if isinstance(operator, (ast.Is, ast.IsNot, ast.Eq, ast.NotEq)) and isinstance(other, ast.Constant):
        wants = _wants_absence(node.left)  # if it is true
        is_truth = bool(other.value) is isinstance(operator, (ast.Is, ast.Eq))
        return is_truth is (wants is True)
    if isinstance(operator, ast.Is):
        return _is_default(other, node.left)  # else it asks which object is loaded
    if isinstance(operator, (ast.IsNot, ast.NotEq)):
        return isinstance(operator, ast.NotEq) and not _is_nothing(other)
    if isinstance(operator, (ast.Lt, ast.LtE)):
        return _is_number(other)  # else: a subset of what is loaded
    if isinstance(operator, (ast.Gt, ast.GtE)):
        return not _is_number(other)
    return not isinstance(operator, ast.In)


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, (int, float))


def _is_default(node: ast.expr, read: ast.expr) -> bool:
    """Tell whether an expression gives another one as what stands for something absent."""
    return isinstance(read, ast.Call) and any(ast.dump(one) == ast.dump(node) for one in read.args[1:])


def _is_nothing(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return not node.value
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return not node.elts
    return isinstance(node, ast.Call) and not node.args


def _inverted(wants: bool | None) -> bool | None:
    return None if wants is None else not wants


# The names


def _texts_of(node: ast.AST, statement: FailedStatement) -> Iterator[_Text]:
    prefixes = {
        id(part)
        for call in walk(node)
        if isinstance(call, ast.Call) and called(call) == "startswith"
        for argument in call.args
        for part in (argument, *(argument.elts if isinstance(argument, ast.Tuple) else ()))
    }
    waiting = [node]
    while waiting:
        part = waiting.pop(0)
        is_prefix = id(part) in prefixes
        text = _assembled(part, statement)
        if text is not None:
            yield _Text(text, is_prefix)
            continue
        if isinstance(part, (ast.Name, ast.Attribute)):
            owner = statement.value(part.value) if isinstance(part, ast.Attribute) else ABSENT
            texts = _texts_of_value(statement.value(part), owner)
            yield from (_Text(text, is_prefix) for text in texts)
        elif isinstance(part, ast.Call):
            owner = statement.value(part.func)
            yield from map(_Text, _texts_of_function(attribute_of(owner, "__call__"), owner))
        waiting += ast.iter_child_nodes(part)


def _assembled(node: ast.AST, statement: FailedStatement) -> str | None:
    """Return the text of a constant, and what is put together of texts; None if that takes running code."""
    if isinstance(node, ast.Constant):
        return node.value if type(node.value) is str else None
    if isinstance(node, (ast.Name, ast.Attribute)):
        value = statement.value(node)
        return value if type(value) is str else None
    if isinstance(node, ast.FormattedValue):
        is_plain = node.format_spec is None and node.conversion in (-1, ord("s"))
        return _assembled(node.value, statement) if is_plain else None
    if isinstance(node, ast.JoinedStr):
        texts = [_assembled(part, statement) for part in node.values]
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        texts = [_assembled(part, statement) for part in (node.left, node.right)]
    else:
        return None
    known = [text for text in texts if text is not None]
    return "".join(known) if len(known) == len(texts) else None


def _texts_of_value(value: object, owner: object) -> Iterator[str]:
    if type(value) is str:
        yield value
    elif type(value) is re.Pattern:
        if type(value.pattern) is str:
            yield value.pattern
    elif function_in(value) is not None:
        yield from _texts_of_function(value, owner)
    else:
        yield from _texts_of_container(value)


def _texts_of_function(value: object, owner: object) -> Iterator[str]:
    """Yield the texts in a function's code, and those in what it names: by itself, or as a method."""
    function = function_in(value)
    if function is not None:
        for code in codes_in(function.__code__):
            yield from _constants_of(code)
            for name in code.co_names:
                yield from _texts_of_container(function.__globals__.get(name, ABSENT))
                yield from _texts_of_container(attribute_of(owner, name))


def _texts_of_container(value: object) -> Iterator[str]:
    texts = texts_in(value)
    if texts is not None and len(texts) <= _LARGEST_CONTAINER and not is_listing(value):
        yield from texts


def _constants_of(code: CodeType) -> Iterator[str]:
    waiting: list[object] = list(code.co_consts)
    while waiting:
        constant = waiting.pop()
        if type(constant) is str:
            yield constant
        elif type(constant) is tuple or type(constant) is frozenset:
            waiting += constant


def _loaded_among(texts: Iterable[_Text]) -> dict[str, None]:
    """Return the loaded modules that texts mean, in order: names, globs, prefixes and simple expressions."""
    loaded = [name for name in list(sys.modules) if type(name) is str]
    found: dict[str, None] = {}
    for text, is_prefix in dict.fromkeys(texts):
        if text in sys.modules:
            found[text] = None
        elif _GLOB.fullmatch(text):
            found.update(dict.fromkeys(fnmatch.filter(loaded, text)))
        else:
            match = _NAME.match(text.removeprefix("^").replace("\\.", "."))
            name = match[0] if match else ""
            if name and (is_prefix or name.endswith(".")):
                found.update(dict.fromkeys(other for other in loaded if other.startswith(name)))
            elif name and name != text and name in sys.modules and " " not in text:
                found[name] = None
    return found
