"""IL101, IL102, IL103 and IL109: what the body of a test file does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lint.conftest import Lint

_HEAD = """\
import sys, types, importlib, importlib.util
import sys as _sys
from importlib import reload
from sys import modules
from unittest import mock
from unittest.mock import MagicMock, Mock, patch
import shop, shop.prices
import shop.stock as stock
from imp import reload as old_reload
import contextlib
import pytest
"""
#: The line after it.
_FIRST = _HEAD.count("\n") + 1

_WRONG = {
    # rule, names -> source; the finding is in the line with the mark
    "assignment": ("IL101 boto", "sys.modules['boto'] = MagicMock()  #!"),
    "alias of sys": ("IL101 boto", "_sys.modules['boto'] = Mock()  #!"),
    "name from sys": ("IL101 boto", "modules['boto'] = types.ModuleType('boto')  #!"),
    "all names of sys": ("IL101 boto", "from sys import *\nmodules['boto'] = Mock()  #!"),
    "variable for sys.modules": ("IL101 boto", "m = sys.modules\nm['boto'] = object()  #!"),
    "getattr": ("IL101 boto", "getattr(sys, 'modules')['boto'] = 1  #!"),
    "block": ("IL101 boto", "sys.modules['boto'] = None  #!"),
    "fake in a variable": ("IL101 boto", "fake = MagicMock()\nfake.x = 1\nsys.modules['boto'] = fake  #!"),
    "setdefault": ("IL101 boto", "sys.modules.setdefault('boto', MagicMock())  #!"),
    "setitem": ("IL101 boto", "sys.modules.__setitem__('boto', MagicMock())  #!"),
    "update with a dict": ("IL101 a IL101 b", "sys.modules.update({'a': Mock(), 'b': Mock()})  #!"),
    "update with keywords": ("IL101 boto", "sys.modules.update(boto=Mock())  #!"),
    "update with fromkeys": ("IL101 a IL101 b", "sys.modules.update(dict.fromkeys(['a', 'b'], Mock()))  #!"),
    "update with a comprehension": (
        "IL101 a IL101 b",
        "sys.modules.update({name: Mock() for name in ('a', 'b')})  #!",
    ),
    "merged in place": ("IL101 boto", "sys.modules |= {'boto': Mock()}  #!"),
    "name of the fake": (
        "IL101 boto",
        "fake = types.ModuleType('boto')\nsys.modules[fake.__name__] = fake  #!",
    ),
    "function of operator": (
        "IL101 boto",
        "import operator\noperator.setitem(sys.modules, 'boto', Mock())  #!",
    ),
    "method of dict": ("IL101 boto", "dict.update(sys.modules, {'boto': Mock()})  #!"),
    "started patch with keywords": ("IL101 boto", "mock.patch.dict(sys.modules, boto=Mock()).start()  #!"),
    "decorator": (
        "IL101 boto",
        "def stands_in(kind):\n    sys.modules['boto'] = kind  #!\n    return kind\n@stands_in\nclass Boto: pass",
    ),
    "decorator with arguments": (
        "IL101 boto",
        "def stands_in(name):\n    def decorate(kind):\n        sys.modules[name] = kind\n        return kind\n"
        "    return decorate\n@stands_in('boto')  #!\nclass Boto: pass",
    ),
    "item that is deleted for ever": (
        "IL102 shop",
        "patcher = pytest.MonkeyPatch()\npatcher.delitem(sys.modules, 'shop')  #!",
    ),
    "loop over a literal": (
        "IL101 a IL101 b.c",
        "for name in ['a', 'b.c']:\n    sys.modules[name] = Mock()  #!",
    ),
    "loop over a constant": (
        "IL101 a",
        "NAMES = ('a',)\nfor name in NAMES:\n    sys.modules[name] = Mock()  #!",
    ),
    "loop over pairs": (
        "IL101 a",
        "for name, fake in {'a': Mock()}.items():\n    sys.modules[name] = fake  #!",
    ),
    "loop over words": ("IL101 a IL101 b", "for name in 'a b'.split():\n    sys.modules[name] = Mock()  #!"),
    "formatted name": ("IL101 a.x IL101 a.y", "for x in ['x', 'y']:\n    sys.modules[f'a.{x}'] = Mock()  #!"),
    "added name": ("IL101 a.x", "BASE = 'a'\nsys.modules[BASE + '.x'] = Mock()  #!"),
    "unknown name": ("IL101 *", "import os\nsys.modules[os.environ['X']] = Mock()  #!"),
    "in an if": ("IL101 boto", "if 'boto' not in sys.modules:\n    sys.modules['boto'] = Mock()  #!"),
    "in an except": ("IL101 b", "try:\n    import b\nexcept ImportError:\n    sys.modules['b'] = Mock()  #!"),
    "in a class body": ("IL101 boto", "class TestIt:\n    sys.modules['boto'] = Mock()  #!"),
    "in a helper": ("IL101 boto", "def stub():\n    sys.modules['boto'] = Mock()  #!\nstub()"),
    "in a helper with a name": (
        "IL101 a IL101 b",
        "def stub(name):\n    sys.modules[name] = Mock()\nfor n in ['a', 'b']:\n    stub(n)  #!",
    ),
    "in a helper of a helper": (
        "IL101 a",
        "def f(n):\n    sys.modules[n] = 1\ndef g():\n    f('a')\ng()  #!",
    ),
    "helper in an assignment": ("IL101 a", "def f(n):\n    sys.modules[n] = 1\n    return n\nx = f('a')  #!"),
    "method of a class": (
        "IL101 a",
        "class S:\n    def go(self):\n        sys.modules['a'] = 1  #!\nS().go()",
    ),
    "another module under the name": (
        "IL101 boto",
        "import fake_boto\nsys.modules['boto'] = fake_boto.boto  #!",
    ),
    "patch.dict that is started": ("IL101 boto", "patch.dict(sys.modules, {'boto': Mock()}).start()  #!"),
    "patcher that is started": (
        "IL101 b",
        "p = mock.patch.dict('sys.modules', {'b': Mock()})\np.start()  #!",
    ),
    "MonkeyPatch without undo": ("IL101 b", "mp = pytest.MonkeyPatch()\nmp.setitem(sys.modules, 'b', 1)  #!"),
    "undone by tearDownModule": (
        "IL101 boto",
        "sys.modules['boto'] = Mock()  #!\ndef tearDownModule():\n    del sys.modules['boto']",
    ),
    "del": ("IL102 shop", "del sys.modules['shop']  #!"),
    "pop": ("IL102 shop.prices", "sys.modules.pop('shop.prices', None)  #!"),
    "clear": ("IL102 *", "sys.modules.clear()  #!"),
    "pop of a prefix": (
        "IL102 shop.*",
        "for name in list(sys.modules):\n    if name.startswith('shop.'):\n        del sys.modules[name]  #!",
    ),
    "pop of what is no other": (
        "IL102 shop.*",
        "for n in list(sys.modules):\n    if not n.startswith('shop.'):\n        continue\n    del sys.modules[n]  #!",
    ),
    "reload": ("IL102 shop.prices", "importlib.reload(shop.prices)  #!"),
    "reload by an alias": ("IL102 shop.stock", "reload(stock)  #!"),
    "reload of imp": ("IL102 shop", "old_reload(shop)  #!"),
    "reload of an entry": ("IL102 shop", "reload(sys.modules['shop'])  #!"),
    "new list": ("IL103 sys.path", "sys.path = ['lib']  #!"),
    "new sum": ("IL103 sys.path", "sys.path = ['lib'] + sys.path  #!"),
    "new meta_path": ("IL103 sys.meta_path", "sys.meta_path = []  #!"),
    "new path_hooks": ("IL103 sys.path_hooks", "sys.path_hooks = []  #!"),
    "new dictionary": ("IL103 sys.modules", "sys.modules = dict(sys.modules)  #!"),
    "setattr": ("IL103 sys.path", "setattr(sys, 'path', [])  #!"),
    "copy put back": ("IL103 sys.path", "old = sys.path[:]\nsys.path.append('x')\nsys.path = old  #!"),
    "attribute": ("IL109 shop.RATE", "shop.RATE = 3  #!"),
    "attribute by an alias": ("IL109 shop.stock.LEFT", "stock.LEFT = 3  #!"),
    "attribute of a submodule": ("IL109 shop.prices.RATE", "shop.prices.RATE = 3  #!"),
    "attribute by setattr": ("IL109 shop.RATE", "setattr(shop, 'RATE', 3)  #!"),
    "attribute in an if": ("IL109 shop.RATE", "if 1:\n    shop.RATE = 3  #!"),
    "attribute increased": ("IL109 shop.RATE", "shop.RATE += 3  #!"),
}

_RIGHT = {
    "started patch of nothing": "patch.dict(sys.modules).start()",
    "decorator that registers elsewhere": "def known(kind):\n    FAKES['a'] = kind\n    return kind\n@known\nclass A: pass",
    "method of another dict": "import operator\noperator.setitem(FAKES, 'a', Mock())\ndict.update(FAKES, {'a': 1})",
    "import": "import boto",
    "read": "x = sys.modules['boto']\ny = 'boto' in sys.modules",
    "itself": "sys.modules[__name__] = Mock()",
    "for a type checker": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    sys.modules['a'] = 1",
    "as a script": "if __name__ == '__main__':\n    sys.modules['a'] = 1\n    sys.path = []\n    shop.X = 1",
    "never": "if False:\n    sys.modules['a'] = 1",
    "helper that nobody calls": "def stub():\n    monkey = 1\n",
    "helper for scripts": "def stub():\n    sys.modules['a'] = 1\n    del sys.modules['a']\nif __name__ == '__main__':\n    stub()",
    "real module of a file": (
        "spec = importlib.util.spec_from_file_location('tool', 'tool.py')\n"
        "tool = importlib.util.module_from_spec(spec)\nsys.modules['tool'] = tool\nspec.loader.exec_module(tool)"
    ),
    "real module by a helper": (
        "def load(name):\n    spec = importlib.util.spec_from_file_location(name, f'{name}.py')\n"
        "    module = importlib.util.module_from_spec(spec)\n    sys.modules[name] = module\n    return module\n"
        "tool = load('tool')"
    ),
    "real module by names of all": (
        "from importlib.util import *\nspec = spec_from_file_location('tool', 'tool.py')\n"
        "sys.modules['tool'] = module_from_spec(spec)"
    ),
    "real module by an unknown function": (
        "from project.testing import load_script\nsys.modules['tool'] = load_script('tool')"
    ),
    "real module under its own name": "sys.modules['shop.prices'] = shop.prices",
    "taken away again": "sys.modules['boto'] = Mock()\nfrom shop import upload\ndel sys.modules['boto']",
    "popped again": "sys.modules['boto'] = Mock()\nimport shop.upload\nsys.modules.pop('boto')",
    "put back": "old = sys.modules.pop('shop')\nimport shop.upload\nsys.modules['shop'] = old",
    "put back in finally": "old = sys.modules.get('a')\ntry:\n    sys.modules['a'] = 1\nfinally:\n    sys.modules['a'] = old",
    "put back all": "old = dict(sys.modules)\nsys.modules['a'] = 1\nsys.modules.clear()\nsys.modules.update(old)",
    "loop that undoes": (
        "for n in ['a', 'b']:\n    sys.modules[n] = Mock()\nimport shop.x\nfor n in ['a', 'b']:\n    del sys.modules[n]"
    ),
    "in patch.dict": "with patch.dict(sys.modules, {'boto': Mock()}):\n    sys.modules['x'] = 1",
    "in patch.dict by name": "with mock.patch.dict('sys.modules'):\n    del sys.modules['shop']",
    "patcher stopped": "p = patch.dict(sys.modules, {'b': Mock()})\np.start()\nimport shop.b\np.stop()",
    "MonkeyPatch undone": "mp = pytest.MonkeyPatch()\nmp.setitem(sys.modules, 'b', 1)\nmp.undo()",
    "MonkeyPatch context": "with pytest.MonkeyPatch.context() as mp:\n    mp.setitem(sys.modules, 'b', 1)",
    "own context": (
        "from pytest_import_isolation import IsolatedImportContext\n"
        "with IsolatedImportContext():\n    sys.modules['b'] = 1\n    del sys.modules['shop']\n    reload(shop)"
    ),
    "own context manager": (
        "@contextlib.contextmanager\ndef stubs():\n    sys.modules['a'] = 1\n    try:\n        yield\n"
        "    finally:\n        del sys.modules['a']\nwith stubs():\n    import shop.x"
    ),
    "own class with a restore": (
        "class Stubs:\n    def __enter__(self):\n        self.old = dict(sys.modules)\n        sys.modules['a'] = 1\n"
        "    def __exit__(self, *args):\n        sys.modules.clear()\n        sys.modules.update(self.old)\n"
        "with Stubs():\n    import shop.x"
    ),
    "change in place": "sys.path[:] = ['lib']\nsys.path.insert(0, 'x')\nsys.path += ['y']\nsys.meta_path.append(1)",
    "list itself put back": "old = sys.path\nsys.path = []\nsys.path = old",
    "attribute put back": "old = shop.RATE\nshop.RATE = 3\nshop.RATE = old",
    "attribute of an object": "from shop import basket\nbasket.owner = 3",
    "attribute of a class": "shop.prices.Price.total = 3",
    "attribute of a fake": "fake = Mock()\nfake.x = 1",
    "item of an attribute": "shop.TABLE['x'] = 3",
    "text": "TEXT = '''\nsys.modules['a'] = 1\n'''",
    "another modules": "class Registry:\n    modules = {}\nRegistry.modules['a'] = 1",
    "accepted": "sys.modules['a'] = 1  # import-leak: ok IL101",
    "accepted whatever it is": "del sys.modules['a']  # import-leak: ok",
    "accepted with a reason": "reload(shop)  # noqa # import-leak: ok IL101, IL102 everybody needs it",
    "accepted in a statement of lines": "sys.modules.update(\n    {  # import-leak: ok IL101\n        'a': 1,\n    }\n)",
    "accepted in a helper": "def stub(n):\n    sys.modules[n] = 1  # import-leak: ok IL101\nstub('a')",
    "accepted at the call": "def stub():\n    sys.modules['a'] = 1\nstub()  # import-leak: ok IL101",
}


@pytest.mark.parametrize(("expected", "text"), _WRONG.values(), ids=_WRONG)
def test_a_change_that_stays_is_found_at_its_line(expected: str, text: str, findings: Lint) -> None:
    found = findings(_HEAD + text + "\n")
    assert " ".join(f"{one.rule} {one.name}" for one in found) == expected
    line = next(number for number, part in enumerate(text.split("\n"), _FIRST) if "#!" in part)
    assert {one.line for one in found} == {line}
    assert {one.severity for one in found} == {"warning" if "IL109" in expected else "error"}
    assert all(one.file == "test_it.py" and one.column > 0 and one.message for one in found)


@pytest.mark.parametrize("text", _RIGHT.values(), ids=_RIGHT)
def test_nothing_is_found_where_nothing_stays(text: str, findings: Lint) -> None:
    found = [one for one in findings(_HEAD + text + "\n") if one.rule not in ("IL107", "IL108")]
    assert [one for one in found if one.severity != "info"] == []


def test_a_comment_for_another_rule_accepts_nothing(findings: Lint) -> None:
    found = findings(_HEAD + "sys.modules['a'] = 1  # import-leak: ok IL105\n")
    assert [one.rule for one in found] == ["IL101"]


def test_the_messages_say_what_stays_and_what_to_do(findings: Lint) -> None:
    found = findings(
        "import sys, importlib, shop\n"
        "sys.modules['boto'] = object()\nsys.modules['gone'] = None\ndel sys.modules['shop.x']\n"
        "importlib.reload(shop)\nsys.path = []\nshop.RATE = 2\n"
    )
    assert [one.message for one in found] == [
        "sys.modules['boto'] = object(): leaves a fake for boto in place for every file that is collected "
        "later; import what needs it in 'with IsolatedImportContext(fakes={\"boto\": {...}}):'",
        "sys.modules['gone'] = None: leaves a block for gone in place for every file that is collected later; "
        "import what needs it in 'with IsolatedImportContext(missing=\"gone\"):'",
        "del sys.modules['shop.x']: removes shop.x from sys.modules: the next import executes a second copy; "
        "use 'with IsolatedImportContext(fresh=\"shop.x\"):'",
        "importlib.reload(shop): executes shop again, and others hold objects of the first execution; "
        "use 'with IsolatedImportContext(fresh=\"shop\"):'",
        "sys.path = []: makes sys.path another object, and other code goes on with the old one; "
        "use sys.path[:] = ...",
        "shop.RATE = 2: changes shop.RATE for every file; use monkeypatch.setattr in a fixture",
    ]


def test_a_conftest_is_told_for_information(findings: Lint) -> None:
    text = "import sys, shop\nsys.modules['a'] = 1\ndel sys.modules['b']\nsys.path = []\nshop.x = 1\n"
    found = findings(conftest=text)
    assert [(one.rule, one.severity) for one in found] == [
        ("IL101", "info"),
        ("IL102", "info"),
        ("IL103", "info"),
        ("IL109", "info"),
    ]
