"""Which modules a failing test asserts to be absent from ``sys.modules``.

The names are read from the statement that failed and the values that its names had; nothing is evaluated.
"""

from __future__ import annotations

import ast
import fnmatch
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FunctionType
from typing import Final

from pytest_import_isolation.leaks.failed_statements import FailedStatement, failed_statements
from pytest_import_isolation.machinery.modules import ABSENT, ancestors
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.regexes import regex
from pytest_import_isolation.machinery.syntax import called

_LARGEST_CONTAINER: Final = 100_000
_CONTAINERS: Final = (set, frozenset, list, tuple, dict)
#: What every listing of the loaded modules has.
_ALWAYS_LOADED: Final = ("sys", "builtins")
_NAME: Final = regex(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*\.?")
_GLOB: Final = regex(r"[\w.]+[*?][\w.*?]*")
_TRUTH: Final = frozenset(("any", "bool", "len", "set", "frozenset", "list", "tuple", "sorted", "filter"))
_PRESENT: Final = frozenset(("issubset", "issuperset", "__contains__", "get", "startswith", "intersection"))
_mro_of_type: Final = type.__dict__["__mro__"].__get__
_module_of_type: Final = type.__dict__["__module__"].__get__
_LIKE_ASSERT_IN: Final = frozenset(("assertIn", "assertIsNotNone", "assert_in"))


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
    looking = [statement for statement in statements if _looks_at_modules(statement)]
    if not looking or not _is_complaint(error, statements[0], looking[0]):
        return []
    for statement in looking:
        for texts in (_texts_at(statement), _texts_around(statement)):
            found = list(_loaded_among(texts))
            if found:
                return [name for name in found if not any(above in found for above in ancestors(name))]
    return []


def _is_complaint(error: BaseException, innermost: FailedStatement, looking: FailedStatement) -> bool:
    """Tell whether a failure can be about something that is there and should not be.

    Args:
        error: the failure.
        innermost: the users' own statement that failed.
        looking: the innermost one in a function that looks at ``sys.modules``.
    """
    kinds = _mro_of_type(type(error))
    is_failure = AssertionError in kinds or any(_module_of_type(kind) == "_pytest.outcomes" for kind in kinds)
    if not (is_failure or isinstance(innermost.nodes[0], ast.Raise)):
        return False
    statement = looking.nodes[0]
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
        return _comparison_wants_absence(node.ops[0], node.comparators[0])
    if isinstance(node, ast.Call):
        name = called(node)
        if name == "all" and node.args and isinstance(node.args[0], (ast.GeneratorExp, ast.ListComp)):
            return _wants_absence(node.args[0].elt)
        if is_truth and (name in _PRESENT or name in _TRUTH):
            return False
        return True if name == "isdisjoint" else None
    is_value = isinstance(node, (ast.Name, ast.Attribute, ast.Subscript, ast.BinOp, ast.NamedExpr))
    return False if is_truth and (is_value or isinstance(node, (ast.ListComp, ast.SetComp))) else None


def _comparison_wants_absence(operator: ast.cmpop, other: ast.expr) -> bool:
    is_number = isinstance(other, ast.Constant) and isinstance(other.value, (int, float))
    is_nothing = _is_nothing(other)
    if isinstance(operator, (ast.IsNot, ast.NotEq)):
        return not is_nothing
    if isinstance(operator, (ast.Lt, ast.LtE)):
        return is_number  # else: a subset of what is loaded
    if isinstance(operator, (ast.Gt, ast.GtE)):
        return not is_number
    return not isinstance(operator, ast.In)


def _is_nothing(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return not node.value
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return not node.elts
    return isinstance(node, ast.Call) and not node.args


def _inverted(wants: bool | None) -> bool | None:
    return None if wants is None else not wants


# Where sys.modules is looked at


def _looks_at_modules(statement: FailedStatement) -> bool:
    """Tell whether a function looks at ``sys.modules``, itself or through what its statement calls."""
    for node in ast.walk(statement.function):
        if isinstance(node, ast.Attribute) and node.attr == "modules":
            return True
        if isinstance(node, ast.Name) and _is_listing(statement.value(node)):
            return True
    functions = (statement.value(node) for part in statement.nodes[:1] for node in ast.walk(part))
    return any(type(f) is FunctionType and "modules" in f.__code__.co_names for f in functions)


def _is_listing(value: object) -> bool:
    """Tell whether a value is ``sys.modules``, or lists what it holds."""
    if value is sys.modules:
        return True
    texts = _texts_in(value)
    return texts is not None and all(name in texts for name in _ALWAYS_LOADED)


def _texts_in(value: object) -> list[str] | None:
    """Return the texts in a builtin container, or None for anything else."""
    if not any(type(value) is kind for kind in _CONTAINERS):
        return None
    items: Iterable[object] = list(value)  # type: ignore[call-overload]
    return [item for item in items if type(item) is str]


# The names


def _texts_at(statement: FailedStatement) -> Iterator[_Text]:
    """Yield the texts in the statement that failed: in the condition of an ``if`` if it is below one."""
    innermost, *around = statement.nodes
    yield from _texts_of(innermost.test if isinstance(innermost, ast.Assert) else innermost, statement)
    if not isinstance(innermost, ast.Assert):
        for node in around:
            if isinstance(node, ast.If):
                yield from _texts_of(node.test, statement)


def _texts_around(statement: FailedStatement) -> Iterator[_Text]:
    """Yield the texts in those statements of the function that look at ``sys.modules``."""
    for node in ast.walk(statement.function):
        if isinstance(node, ast.stmt) and not hasattr(node, "body"):
            inner = list(ast.walk(node))
            if any(isinstance(part, ast.Attribute) and part.attr == "modules" for part in inner):
                yield from _texts_of(node, statement)


def _texts_of(node: ast.AST, statement: FailedStatement) -> Iterator[_Text]:
    prefixes = {
        id(argument)
        for call in ast.walk(node)
        if isinstance(call, ast.Call) and called(call) == "startswith"
        for argument in call.args
    }
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield _Text(part.value, id(part) in prefixes)
        elif isinstance(part, (ast.Name, ast.Attribute)):
            value = statement.value(part)
            is_prefix = id(part) in prefixes
            yield from (_Text(text, is_prefix) for text in _texts_of_value(value))


def _texts_of_value(value: object) -> Iterator[str]:
    if type(value) is str:
        yield value
    elif type(value) is re.Pattern:
        if type(value.pattern) is str:
            yield value.pattern
    elif type(value) is FunctionType:
        yield from _constants_of(value.__code__)
        for name in value.__code__.co_names:
            yield from _texts_of_container(value.__globals__.get(name, ABSENT))
    else:
        yield from _texts_of_container(value)


def _texts_of_container(value: object) -> Iterator[str]:
    texts = _texts_in(value)
    if texts is not None and len(texts) <= _LARGEST_CONTAINER and not _is_listing(value):
        yield from texts


def _constants_of(code: CodeType) -> Iterator[str]:
    waiting: list[object] = list(code.co_consts)
    while waiting:
        constant = waiting.pop()
        if type(constant) is str:
            yield constant
        elif type(constant) is tuple or type(constant) is frozenset:
            waiting += constant
        elif type(constant) is CodeType:
            waiting += constant.co_consts


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
