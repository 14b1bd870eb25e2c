"""Random sequences of everything that can be done to the import state, in random nests of windows.

Each window has a picture of its own, taken just before it opens, and after its end nothing may differ.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import importlib
import importlib.machinery
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import pytest

hypothesis = pytest.importorskip("hypothesis")
from hypothesis import strategies as st  # noqa: E402
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule  # noqa: E402
from tests.conftest import THOROUGH  # noqa: E402

from pytest_import_isolation import IsolatedImportContext  # noqa: E402
from pytest_import_isolation.parking.finder import FINDER  # noqa: E402

# Hypothesis writes sequences as source when it likes, which loads more modules from Python 3.15 on; and whoever
# formats an exception loads textwrap. What they load between two rules would be a difference.
ast.unparse(ast.Pass())
traceback.format_exception_only(ImportError("first use"))

#: Set in the process that runs one of these tests.
_CHILD = "STATE_MACHINE_CHILD"

TREE = {
    "smt_app/__init__.py": "",
    "smt_app/a.py": "class A: pass",
    "smt_app/b.py": "from smt_app import a\nfrom smt_app.a import A",
    "smt_app/sub/__init__.py": "from smt_app.sub import x",
    "smt_app/sub/x.py": "import smt_app.a\nregistry = {}",
    "smt_app/sub/y.py": "from . import x\nfrom .. import b",
    "smt_ns/part/deep.py": "import smt_ns.part\nclass Deep: pass",
    "smt_lazy/__init__.py": (
        "def __getattr__(name):\n"
        "    if name.startswith('__'): raise AttributeError(name)\n"
        "    import importlib\n"
        "    globals()[name] = module = importlib.import_module(f'smt_lazy.{name}')\n"
        "    return module\n"
    ),
    "smt_lazy/late.py": "class Late: pass",
    "smt_twin/__init__.py": "from ._impl import b",
    "smt_twin/_impl.py": "def b(): pass",
    "smt_twin/b.py": "",
    "smt_self.py": "import sys\nclass Self:\n    def method(self): pass\nsys.modules[__name__] = Self()",
    "smt_number.py": "import sys\nsys.modules[__name__] = 42",
    "smt_raises.py": "import smt_app.b\nraise RuntimeError('while it was executed')",
    "smt_finder.py": (
        "import sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None): return None\n"
        "sys.meta_path.insert(0, Finder())\n"
        "sys.path.append('/smt_nowhere')\n"
    ),
}
OWN = tuple(sorted({name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in TREE}))
OWN_AND_ABOVE = tuple(sorted({*OWN, "smt_ns", "smt_ns.part"}))
HARMLESS = (
    "wave",
    "colorsys",
    "sched",
    "netrc",
    "xml.dom.minidom",
    "email.mime.text",
    "html.entities",
    "json.tool",
)
NAMES = (*OWN_AND_ABOVE, *HARMLESS)
PACKAGES = tuple(sorted({name.rpartition(".")[0] for name in NAMES if "." in name}))


class Hostile:
    """Raises, or lies, whenever it is asked something."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("do not compare me")

    __hash__ = None  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        if name == "__file__":  # hypothesis asks all modules for it, to find the user's
            raise AttributeError(name)
        raise RuntimeError("do not ask me")

    def __bool__(self) -> bool:
        raise RuntimeError("do not test me")


class Importing:
    """Imports when it is asked for an attribute."""

    asked = False

    def __getattr__(self, name: str) -> Any:
        # importlib asks the very object again, without end; __file__ is as in Hostile.
        if not Importing.asked and name != "__file__":
            Importing.asked = True
            try:
                importlib.import_module("smt_app.b")
            finally:
                Importing.asked = False
        raise AttributeError(name)


class Table(dict):  # type: ignore[type-arg]
    """A dict subclass in the place of ``sys.modules``."""


def fake(n: int) -> Any:
    with_spec = ModuleType("smt_fake")
    with_spec.__spec__ = importlib.machinery.ModuleSpec("smt_fake", None)
    makers: tuple[Callable[[], object], ...] = (
        lambda: None,
        lambda: 7,
        lambda: "value = 1",  # as a fake: source text
        Hostile,
        Importing,
        mock.MagicMock,
        lambda: mock.ANY,
        lambda: ModuleType("smt_fake"),
        lambda: with_spec,
        lambda: sys.modules.get("smt_app"),
    )
    return makers[n % len(makers)]()


OPERATIONS: list[Callable[[int], object]] = []


def operation(function: Callable[[int], object]) -> Callable[[int], object]:
    OPERATIONS.append(function)
    return function


def space_of(name: str) -> dict[str, Any]:
    try:
        found = object.__getattribute__(sys.modules.get(name), "__dict__")
    except AttributeError:
        return {}
    return found if isinstance(found, dict) else {}


def own_loaded() -> list[str]:
    return [name for name in list(sys.modules) if type(name) is str and name in NAMES]


@operation
def import_own(n: int) -> None:
    importlib.import_module(OWN[n % len(OWN)])


@operation
def import_harmless(n: int) -> None:
    importlib.import_module(HARMLESS[n % len(HARMLESS)])


@operation
def import_by_statement(n: int) -> None:
    __import__(NAMES[n % len(NAMES)], {}, {}, ["x", "a", "late"])


@operation
def ask_lazy_package(n: int) -> None:
    assert importlib.import_module("smt_lazy").late is not None


@operation
def reload(n: int) -> None:
    # Of a module that imports nothing: one that does would get hold of new modules, which are kept for it.
    importlib.reload(sys.modules[("smt_app.a", "smt_lazy.late", "smt_twin._impl")[n % 3]])


@operation
def plant(n: int) -> None:
    sys.modules[NAMES[n % len(NAMES)]] = fake(n // 2)


@operation
def plant_new(n: int) -> None:
    sys.modules[f"smt_fake{n % 3}"] = fake(n)


@operation
def plant_odd_key(n: int) -> None:
    sys.modules[(n, None, ("a", n), 1.5, b"smt")[n % 5]] = fake(n)  # type: ignore[index]


@operation
def delete(n: int) -> None:
    names = own_loaded()
    del sys.modules[names[n % len(names)]]


@operation
def delete_package(n: int) -> None:
    package = PACKAGES[n % len(PACKAGES)]
    for name in own_loaded():
        if name == package or name.startswith(f"{package}."):
            del sys.modules[name]


@operation
def execute_again(n: int) -> None:
    names = own_loaded()
    name = names[n % len(names)]
    del sys.modules[name]
    importlib.import_module(name)


@operation
def move_to_another_name(n: int) -> None:
    names = [name for name in own_loaded() if name in OWN]
    sys.modules["smt_moved"] = sys.modules.pop(names[n % len(names)])


@operation
def swap(n: int) -> None:
    one, other = OWN[n % len(OWN)], OWN[n // 2 % len(OWN)]
    sys.modules[one], sys.modules[other] = sys.modules[other], sys.modules[one]


@operation
def change_attribute(n: int) -> None:
    loaded = [name for name in own_loaded() if "." in name]
    parent, _, child = loaded[n % len(loaded)].rpartition(".")
    space_of(parent)[child] = fake(n)


@operation
def delete_attribute(n: int) -> None:
    loaded = [name for name in own_loaded() if "." in name]
    parent, _, child = loaded[n % len(loaded)].rpartition(".")
    del space_of(parent)[child]


@operation
def change_path(n: int) -> None:
    entry: Any = ("/smt_nowhere", "", ".", 7, None, Path("/smt"), b"/smt", "/smt/../smt/", Hostile())[n % 9]
    (
        lambda: sys.path.append(entry),
        lambda: sys.path.insert(0, entry),
        lambda: sys.path.insert(n % (len(sys.path) + 1), entry),
        lambda: sys.path.append(sys.path[n % len(sys.path)]),
        lambda: sys.path.pop(n % len(sys.path)),
        sys.path.reverse,
        sys.path.clear,
        lambda: sys.path.sort(key=str),
    )[n // 2 % 8]()


@operation
def change_finders(n: int) -> None:
    if n % 10 == 4:
        return  # a finder that imports when it is asked to drop its caches has no end
    (
        lambda: sys.meta_path.append(fake(n)),
        lambda: sys.meta_path.insert(0, fake(n)),
        lambda: sys.meta_path.pop(0),
        lambda: sys.meta_path.pop(),
        sys.meta_path.reverse,
        sys.meta_path.clear,
        lambda: sys.meta_path.remove(importlib.machinery.PathFinder),
    )[n % 7]()


@operation
def change_hooks(n: int) -> None:
    (
        lambda: sys.path_hooks.append(fake(n)),
        lambda: sys.path_hooks.insert(0, fake(n)),
        sys.path_hooks.clear,
        sys.path_hooks.reverse,
        sys.path_hooks.pop,
    )[n % 5]()


@operation
def change_importer_cache(n: int) -> None:
    cache: Any = sys.path_importer_cache
    if n % 10 == 4:
        return  # as in change_finders
    key = list(cache)[n % len(cache)]
    (
        lambda: cache.update({"/smt_new": fake(n)}),
        lambda: cache.update({("odd", n): None}),
        lambda: cache.pop(key),
        lambda: cache.update({key: None}),
        lambda: cache.clear(),
        sys.path_importer_cache.clear,
        importlib.invalidate_caches,
    )[n % 7]()


@operation
def rebind(n: int) -> None:
    name = ("path", "meta_path", "path_hooks", "path_importer_cache")[n % 4]
    found = getattr(sys, name)
    setattr(sys, name, type(found)(found))


@operation
def rebind_to_nonsense(n: int) -> None:
    name = ("path", "meta_path", "path_hooks")[n % 3]
    setattr(sys, name, (None, (), 7, Hostile(), ["/smt"])[n // 3 % 5])


@operation
def delete_list(n: int) -> None:
    delattr(sys, ("path_hooks", "path", "meta_path")[n % 3])


@operation
def rebind_modules(n: int) -> None:
    # A copy: hypothesis and pytest run on while it is in place.
    sys.modules = (dict, Table)[n % 2](sys.modules)


@operation
def patch_dict(n: int) -> None:
    with mock.patch.dict(sys.modules, {"smt_patched": fake(n)}):
        importlib.import_module(NAMES[n % len(NAMES)])


@operation
def replace_import(n: int) -> None:
    original = builtins.__import__

    def __import__(*args: Any, **kwargs: Any) -> Any:
        return original(*args, **kwargs)

    builtins.__import__ = __import__


some = st.lists(
    st.sampled_from(("smt_app", "smt_app.sub", "smt_app.a", "smt_*", "smt_lazy", "smt_ns", "smt_*.*")),
    max_size=2,
)
optional: dict[str, st.SearchStrategy[Any]] = {
    "fresh": some,
    "unloaded": some | st.just(["xml", "email"]),
    "missing": some | st.just(["wave", "xml.dom"]),
    "fakes": st.dictionaries(
        st.sampled_from(("smt_app", "smt_app.a", "smt_app.sub.x", "smt_none.x.y", "wave", "xml.dom")),
        # Numbers: hypothesis would ask a hostile fake for its attributes.
        st.integers(1, 9),
        max_size=2,
    ),
    "path": st.sampled_from((["/smt_first"], ["", "/smt_first"])),
}
parameters = st.fixed_dictionaries({}, optional=optional)


# hypothesis and pytest run between two rules, and import: what would break that runs within one rule. What the
# compiled code of hypothesis imports, and keeps, would stay loaded, as it must.
parameters_of_a_block = st.fixed_dictionaries(
    {}, optional={**optional, "unloaded": optional["unloaded"] | st.just(["*"])}
)
HARMLESS_OPERATIONS = [
    import_own, import_harmless, import_by_statement, ask_lazy_package, reload, plant, plant_new, plant_odd_key,
    delete, delete_package, execute_again, move_to_another_name, swap, change_attribute, delete_attribute,
    rebind, rebind_modules, patch_dict, replace_import,
]  # fmt: skip
Block = tuple[Any, list[Any]]
blocks: st.SearchStrategy[Block] = st.deferred(
    lambda: st.tuples(
        parameters_of_a_block,
        st.lists(st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 99)) | blocks, max_size=6),
    )
)


def context_of(given: dict[str, Any]) -> IsolatedImportContext:
    fakes = {name: fake(n) or {"value": n} for name, n in given.get("fakes", {}).items() if n not in (3, 4)}
    return IsolatedImportContext(
        **{**given, "fakes": {**fakes, **{f"smt_hostile{n}": fake(n) for n in (3, 4)}}}
    )


class ImportStateMachine(RuleBasedStateMachine):
    """The stack of windows, each with the picture of what must be there after it."""

    root = ""
    picture: Any = None

    def __init__(self) -> None:
        super().__init__()
        self.windows: list[tuple[IsolatedImportContext, Any]] = []
        self.lists = [(container, list(container)) for container in (sys.path, sys.meta_path)]
        sys.path.insert(0, self.root)
        importlib.invalidate_caches()
        self.outside = set(sys.modules)

    @initialize(names=st.sets(st.sampled_from(OWN), max_size=4))
    def load_before(self, names: set[str]) -> None:
        for name in sorted(names - {"smt_raises"}):
            importlib.import_module(name)
        self.base = self.picture()

    @rule(given=parameters)
    def open(self, given: dict[str, Any]) -> None:
        if len(self.windows) == 4:
            return
        before = self.picture()
        context = context_of(given)
        try:
            context.start()
        except (TypeError, AttributeError):
            # path= cannot be put before a sys.path that a test deleted or made an int of.
            assert "path" in given
            assert before.differences() == []
        else:
            self.windows.append((context, before))

    @precondition(lambda self: self.windows)
    @rule(todo=st.sampled_from(HARMLESS_OPERATIONS), n=st.integers(0, 99))
    def change(self, todo: Callable[[int], object], n: int) -> None:
        with contextlib.suppress(Exception):
            todo(n)

    @rule(block=blocks)
    def run_block(self, block: Block) -> None:
        given, steps = block
        before = self.picture()
        # TypeError and AttributeError: see open().
        with contextlib.suppress(ZeroDivisionError, TypeError, AttributeError), context_of(given):
            for step, argument in steps:
                if isinstance(argument, list):
                    self.run_block((step, argument))
                else:
                    self.change(step, argument)
            raise ZeroDivisionError
        assert before.differences() == []

    @precondition(lambda self: self.windows)
    @rule()
    def close(self) -> None:
        context, before = self.windows.pop()
        context.stop()
        assert before.differences() == [], str(context.changes)

    def teardown(self) -> None:
        try:
            while self.windows:
                self.close()
            assert [name for name in FINDER.lot if name.startswith("smt_")] == []
            if hasattr(self, "base"):
                assert self.base.differences() == []
        finally:
            for container, items in self.lists:
                container[:] = items  # type: ignore[index]
            for name in set(sys.modules) - self.outside:
                del sys.modules[name]


@pytest.fixture
def machine(tmp_path: Path, picture: Any) -> Iterator[type[ImportStateMachine]]:
    for name, source in TREE.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    ImportStateMachine.root = str(tmp_path)
    ImportStateMachine.picture = picture
    yield ImportStateMachine
    ImportStateMachine.root = ""


# What is asked for may be absent in the windows around it, which is worth a warning.
@pytest.mark.filterwarnings("ignore::pytest_import_isolation.ImportIsolationWarning")
@pytest.mark.usefixtures("with_and_without_versions")
def test_after_the_last_window_everything_is_as_before(
    machine: type[ImportStateMachine], request: pytest.FixtureRequest
) -> None:
    if _CHILD not in os.environ:
        _run_in_a_process_of_its_own(request)
        return
    # Set STATE_MACHINE_EXAMPLES to search longer, and then at random, and to have a failure made smaller.
    wanted = os.environ.get("STATE_MACHINE_EXAMPLES")
    phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
    settings = hypothesis.settings(
        max_examples=int(wanted or hypothesis.settings().max_examples // (2 if THOROUGH else 8)),
        stateful_step_count=25,
        derandomize=wanted is None,
        phases=[*phases, hypothesis.Phase.shrink] if wanted else phases,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    try:
        hypothesis.stateful.run_state_machine_as_test(machine, settings=settings)
    except hypothesis.errors.Flaky:
        # The sequence passed when it was repeated: hypothesis runs in this process too, and what it imports
        # or asks while sys is in pieces is not ours. A fault of the code fails each time.
        hypothesis.stateful.run_state_machine_as_test(machine, settings=settings)


def _run_in_a_process_of_its_own(request: pytest.FixtureRequest) -> None:
    """Run this test alone: what thousands of tests left in a process is no part of its sequences, and a failure,
    which leaves sys in pieces, fails no other test.
    """
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", request.node.nodeid],
        check=False,
        cwd=request.config.rootpath,
        env={name: value for name, value in os.environ.items() if "PYTEST" not in name} | {_CHILD: "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
