"""Every advice of the report cures: a suite that has the leak passes without leaks once it is followed."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import dedent
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest
from tests.conftest import TAKES_LONG

from pytest_import_isolation.report.advice import FOR_FILES, FOR_FIXTURES, FOR_TESTS

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

_PROJECT: Final = {
    "net.py": "def send(): return 'real'\n",
    "shop/__init__.py": "",
    "shop/cart.py": "class Cart:\n    @staticmethod\n    def count(): return 1\n",
    "shop/safe.py": "try:\n    from net import send\nexcept ImportError:\n    send = None\n",
    "shop/mail.py": "import net\ndef send(): return net.send()\n",
    "shop/late.py": "def send():\n    import net\n    return net.send()\n",
    "shop/copy.py": "from net import send\n",
    "shop/settings.py": "import os\nURL = os.environ.get('SHOP_URL', 'real')\n",
    "shop/pins.py": "from board import PIN\n",
    "exports/__init__.py": "def part(): return 'real'\n",
    "exports/part.py": "",
    "test_a.py": "",
}
_HEAD: Final = """\
    import importlib
    import sys
    import types
    from unittest.mock import MagicMock, patch
    import pytest
    from pytest_import_isolation import IsolatedImportContext

"""
_SEND: Final = "import net\n\ndef test_victim():\n    assert net.send() == 'real'\n"


class _Case(NamedTuple):
    """A leak, and what it advises.

    Attributes:
        name: what is leaked.
        leaks: the body of the polluting test, or the head of the polluting file.
        cured: the same, with the advice followed.
        advised: what the advice must say for that.
        victim: the text of a test file that fails before, and passes after; empty for none.
        mark: of the test, with the advice followed.
        options: of the run.
    """

    name: str
    leaks: str
    cured: str
    advised: str
    victim: str = ""
    mark: str = ""
    options: tuple[str, ...] = ()


_MAIL: Final = "import shop.mail\n\ndef test_victim():\n    assert shop.mail.send() == 'real'\n"
_FAKE: Final = 'sys.modules["net"] = MagicMock()'
_MARKED: Final = "Mark the test with @pytest.mark.isolated_imports:"
_MARK: Final = "@pytest.mark.isolated_imports"
_MARK_FAKES: Final = '@pytest.mark.isolated_imports(fakes={"net": {"send": None}})'
_CLASS: Final = "type('F', (), {'find_spec': classmethod(lambda *given: None)})"
_OPEN: Final = "with IsolatedImportContext():"

_TOTAL: Final = "import shop.cart\nshop.cart.Cart.total = MagicMock()"
_NO_TOTAL: Final = "import shop.cart\n\ndef test_victim():\n    assert not hasattr(shop.cart.Cart, 'total')\n"
_COUNT: Final = "import shop.cart\nshop.cart.Cart.count = MagicMock()"
_NO_COUNT: Final = "import shop.cart\ndel shop.cart.Cart.count"
_REAL_COUNT: Final = "import shop.cart\n\ndef test_victim():\n    assert shop.cart.Cart.count() == 1\n"
_EXTRA: Final = "import net\nnet.extra = MagicMock()"
_NO_EXTRA: Final = "import net\n\ndef test_victim():\n    assert not hasattr(net, 'extra')\n"
_SAFE: Final = "def test_victim():\n    import shop.safe\n    assert shop.safe.send() == 'real'\n"
_NO_PINS: Final = (
    "import pytest\n\ndef test_victim():\n    with pytest.raises(ImportError):\n        import shop.pins\n"
)
_PART: Final = "import exports\n\ndef test_victim():\n    assert exports.part() == 'real'\n"
_IMPORTING: Final = (
    "import builtins\nreal = builtins.__import__\n"
    "fake = lambda name, *args: types.ModuleType(name) if name == 'net' else real(name, *args)\n"
)
_IMPORT_FUNCTION: Final = f"{_IMPORTING}builtins.__import__ = fake"
_LATER: Final = "def test_victim():\n    import net\n    assert net.send() == 'real'\n"
_PATCHING: Final = "with pytest.MonkeyPatch.context() as patch:"
_DELETING: Final = (
    "@pytest.fixture(autouse=True)\ndef _patched(monkeypatch):\n    import net, shop.cart\n"
    '    monkeypatch.delattr("{}")'
)
_FIXTURE: Final = "@pytest.fixture(autouse=True)\ndef _patched(monkeypatch):\n    monkeypatch.setattr"

#: By what the advice is for: a test's own doing.
_IN_TESTS: Final[Mapping[str, _Case]] = {
    "fake-left": _Case(
        "net", _FAKE, "import net", '(fakes={"net": {...}})', "def test_victim():\n    import net\n"
        "    assert net.send() == 'real'\n", _MARK_FAKES,
    ),
    "replaced": _Case(
        "net", 'sys.modules.pop("net")\nimport net', 'sys.modules.pop("net")\nimport net', _MARKED,
        "import net\nimport sys\n\ndef test_victim():\n    assert sys.modules['net'] is net\n", _MARK,
    ),
    "replaced-by-fake": _Case(
        "net", _FAKE, "import net", '(fakes={"net": {...}})',
        "import net\n\ndef test_victim():\n    import net\n    assert net.send() == 'real'\n", _MARK_FAKES,
    ),
    "removed": _Case(
        "net", 'del sys.modules["net"]', 'import net\ndel sys.modules["net"]', _MARKED,
        "import net as held\n\ndef test_victim():\n    import net\n    assert net is held\n", _MARK,
    ),
    "blocked-left": _Case(
        "net", 'sys.modules["net"] = None', "with pytest.raises(ImportError):\n    import net",
        '(missing="net")', "def test_victim():\n    import net\n",
        '@pytest.mark.isolated_imports(missing="net")',
    ),
    "stale-attribute": _Case(
        "shop.cart",
        'with patch.dict(sys.modules):\n    sys.modules.pop("shop.cart")\n    import shop.cart',
        'with patch.dict(sys.modules):\n    sys.modules.pop("shop.cart")\n    import shop.cart',
        _MARKED, "import shop.cart, sys\n\ndef test_victim():\n"
        "    assert shop.cart is sys.modules['shop.cart']\n", _MARK,
    ),
    "rebound": _Case("sys.path", "sys.path = [*sys.path]", "sys.path[:] = [*sys.path]", "contents of sys.path"),
    "tainted": _Case(
        "shop.mail", 'with patch.dict(sys.modules):\n    pass\nmonkeypatch.setitem(sys.modules, "net", '
        "MagicMock())\nimport shop.mail", "import shop.mail", "@pytest.mark.isolated_imports(fakes=...)",
        "def test_victim():\n    import shop.mail\n    assert shop.mail.send() == 'real'\n", _MARK_FAKES,
    ),
    # Nothing of that name is installed, so that nothing can be imported before the fake is there.
    "tainted-by-stand-in": _Case(
        "shop.pins", 'monkeypatch.setitem(sys.modules, "board", MagicMock())\nimport shop.pins',
        "import shop.pins", "Make the fake with @pytest.mark.isolated_imports(fakes=...)", _NO_PINS,
        '@pytest.mark.isolated_imports(fakes={"board": {"PIN": 1}})',
    ),
    "path-added": _Case(
        "/vendor", 'sys.path.append("/vendor")', "assert '/vendor' in sys.path", '(path=["/vendor"])',
        mark='@pytest.mark.isolated_imports(path=["/vendor"])',
    ),
    "path-removed": _Case("", "del sys.path[-1]", "del sys.path[-1]", _MARKED, mark=_MARK),
    "path-moved": _Case("", "sys.path.reverse()", "sys.path.reverse()", _MARKED, mark=_MARK),
    "finder-added": _Case(
        "", f"sys.meta_path.append({_CLASS})", f"sys.meta_path.append({_CLASS})", _MARKED, mark=_MARK
    ),
    "finder-removed": _Case("", "del sys.meta_path[-1]", "del sys.meta_path[-1]", _MARKED, mark=_MARK),
    "hook-added": _Case(
        "", "sys.path_hooks.append(open)", "sys.path_hooks.append(open)", _MARKED, mark=_MARK
    ),
    "hook-removed": _Case("", "del sys.path_hooks[0]", "del sys.path_hooks[0]", _MARKED, mark=_MARK),
    "evicted": _Case(
        "wsgiref", "with patch.dict(sys.modules):\n    import wsgiref.util\nsys.held = wsgiref",
        "import wsgiref.util\nwith patch.dict(sys.modules):\n    import wsgiref.util",
        "Import wsgiref before the mock.patch.dict(sys.modules) block",
    ),
    "evicted-by-hand": _Case(
        "wsgiref", "import wsgiref.util\nsys.held = wsgiref\ndel sys.modules['wsgiref']", "import wsgiref.util",
        "Leave wsgiref in sys.modules",
    ),
    "reloaded": _Case(
        "net", "import net\nimportlib.reload(net)", "import net\nimportlib.reload(net)", _MARKED, mark=_MARK
    ),
    "rebound-by-function": _Case(
        "builtins.__import__", _IMPORT_FUNCTION, f'{_IMPORTING}monkeypatch.setattr("builtins.__import__", fake)',
        'monkeypatch.setattr("builtins.__import__", ...)', _LATER,
    ),
    "attribute-left": _Case(
        "net.send", "import net\nnet.send = MagicMock()", 'monkeypatch.setattr("net.send", MagicMock())',
        'monkeypatch.setattr("net.send", ...)', _SEND,
    ),
    "attribute-left-by-adding": _Case(
        "net.extra", _EXTRA, 'with patch("net.extra", create=True):\n    pass\n'
        'monkeypatch.setattr("net.extra", MagicMock(), raising=False)',
        'monkeypatch.setattr("net.extra", ..., raising=False)', _NO_EXTRA,
    ),
    "attribute-left-by-removing": _Case(
        "net.send", "import net\ndel net.send", 'monkeypatch.delattr("net.send")',
        'monkeypatch.delattr("net.send")', _SEND,
    ),
    "attribute-left-by-import": _Case(
        "exports.part", "import exports.part", "import exports.part",
        "mark them with @pytest.mark.isolated_imports", _PART, _MARK,
    ),
    "class-attribute-left": _Case(
        "shop.cart.Cart.count", _COUNT, 'monkeypatch.setattr("shop.cart.Cart.count", MagicMock())',
        'monkeypatch.setattr("shop.cart.Cart.count", ...)', _REAL_COUNT,
    ),
    "class-attribute-left-by-adding": _Case(
        "shop.cart.Cart.total", _TOTAL,
        'with patch("shop.cart.Cart.total", create=True):\n    pass\n'
        'monkeypatch.setattr("shop.cart.Cart.total", MagicMock(), raising=False)',
        'mock.patch("shop.cart.Cart.total", create=True)', _NO_TOTAL,
    ),
    "class-attribute-left-by-removing": _Case(
        "shop.cart.Cart.count", _NO_COUNT, 'monkeypatch.delattr("shop.cart.Cart.count")',
        'monkeypatch.delattr("shop.cart.Cart.count")', _REAL_COUNT,
    ),
    "tainted-by-block": _Case(
        "shop.safe", 'monkeypatch.setitem(sys.modules, "net", None)\nimport shop.safe', "import shop.safe",
        "@pytest.mark.isolated_imports(missing=...)", _SAFE, '@pytest.mark.isolated_imports(missing="net")',
    ),
    "tainted-by-patch": _Case(
        "shop.copy", 'import net\nmonkeypatch.setattr(net, "send", lambda: "fake")\nimport shop.copy',
        'import net\nmonkeypatch.setattr(net, "send", lambda: "fake")\nimport shop.copy',
        '(fresh="shop.copy")', "def test_victim():\n    from shop.copy import send\n    assert send() == 'real'\n",
        '@pytest.mark.isolated_imports(fresh="shop.copy")',
    ),
    "tainted-by-variable": _Case(
        "shop.settings", 'import os\nos.environ["SHOP_URL"] = "fake"\nimport shop.settings',
        'monkeypatch.setenv("SHOP_URL", "fake")\nimport shop.settings',
        "Change the variable with monkeypatch",
        "def test_victim():\n    from shop.settings import URL\n    assert URL == 'real'\n",
        '@pytest.mark.isolated_imports(fresh="shop.settings")',
    ),
    "twice-loaded": _Case(
        "cart", 'import shop.cart\nsys.path.append("shop")\nimport cart\nsys.path.remove("shop")',
        "import shop.cart", "under one name everywhere",
    ),
    "effect": _Case(
        "os.environ:SHOP", 'import os\nos.environ["SHOP"] = "1"', 'monkeypatch.setenv("SHOP", "1")',
        "with a fixture or monkeypatch", options=("--import-leak-effects",),
    ),
}  # fmt: skip

#: The same, for what a file does outside of its tests.
_IN_FILES: Final[Mapping[str, _Case]] = {
    "fake-left": _Case(
        "net", f"{_FAKE}\nfrom shop import mail, late",
        'with IsolatedImportContext(fakes={"net": {"send": None}}):\n    from shop import mail, late',
        'with IsolatedImportContext(fakes={"net": {...}}):', _MAIL,
    ),
    "replaced": _Case(
        "net", 'import net\nsys.modules.pop("net")\nimport net',
        'with IsolatedImportContext(fresh="net"):\n    import net',
        'with IsolatedImportContext(fresh="net"):',
    ),
    "replaced-by-fake": _Case(
        "net", f"{_FAKE}\nimport shop.mail",
        'with IsolatedImportContext(fakes={"net": {"send": None}}):\n    import shop.mail',
        'with IsolatedImportContext(fakes={"net": {...}}):',
    ),
    "removed": _Case(
        "net", 'sys.modules.pop("net")', 'with IsolatedImportContext(fresh="net"):\n    pass',
        'with IsolatedImportContext(fresh="net"):',
    ),
    "blocked-left": _Case(
        "net", 'sys.modules["net"] = None',
        'with IsolatedImportContext(missing="net"):\n    pass', 'with IsolatedImportContext(missing="net"):',
        _SEND,
    ),
    "stale-attribute": _Case(
        "shop.cart",
        'import shop.cart\nwith patch.dict(sys.modules):\n    sys.modules.pop("shop.cart")\n'
        "    import shop.cart",
        f"import shop.cart\n{_OPEN}\n    with patch.dict(sys.modules):\n"
        '        sys.modules.pop("shop.cart")\n        import shop.cart',
        f'"{_OPEN}"', "import sys\nimport shop.cart\n\ndef test_victim():\n"
        "    assert shop.cart is sys.modules['shop.cart']\n",
    ),
    "tainted": _Case(
        "shop.mail", f"{_FAKE}\nimport shop.mail\ndel sys.modules['net']",
        'with IsolatedImportContext(fakes={"net": {"send": None}}):\n    import shop.mail',
        "with IsolatedImportContext(fakes=...):", _MAIL,
    ),
    "tainted-by-stand-in": _Case(
        "shop.pins", 'sys.modules["board"] = MagicMock()\nimport shop.pins\ndel sys.modules["board"]',
        'with IsolatedImportContext(fakes={"board": {"PIN": 1}}):\n    import shop.pins',
        'Make the fake with "with IsolatedImportContext(fakes=...):"', _NO_PINS,
    ),
    "path-removed": _Case("", "del sys.path[-1]", f"{_OPEN}\n    del sys.path[-1]", f'"{_OPEN}"'),
    "path-moved": _Case("", "sys.path.reverse()", f"{_OPEN}\n    sys.path.reverse()", f'"{_OPEN}"'),
    "finder-added": _Case(
        "", f"sys.meta_path.append({_CLASS})", f"{_OPEN}\n    sys.meta_path.append({_CLASS})", f'"{_OPEN}"'
    ),
    "finder-removed": _Case("", "del sys.meta_path[-1]", f"{_OPEN}\n    del sys.meta_path[-1]", f'"{_OPEN}"'),
    "hook-added": _Case(
        "", "sys.path_hooks.append(open)", f"{_OPEN}\n    sys.path_hooks.append(open)", f'"{_OPEN}"'
    ),
    "hook-removed": _Case("", "del sys.path_hooks[0]", f"{_OPEN}\n    del sys.path_hooks[0]", f'"{_OPEN}"'),
    "tainted-by-patch": _Case(
        "shop.copy", 'import net\nwith patch("net.send", lambda: "fake"):\n    import shop.copy',
        'import net\nwith IsolatedImportContext(), patch("net.send", lambda: "fake"):\n    import shop.copy',
        '"with IsolatedImportContext():"',
        "def test_victim():\n    from shop.copy import send\n    assert send() == 'real'\n",
    ),
    "evicted": _Case(
        "wsgiref", "with patch.dict(sys.modules):\n    import wsgiref.util",
        "import wsgiref.util\nwith patch.dict(sys.modules):\n    import wsgiref.util",
        "Import wsgiref before the mock.patch.dict(sys.modules) block",
    ),
    "evicted-by-hand": _Case(
        "wsgiref", "import wsgiref.util\nsys.held = wsgiref\ndel sys.modules['wsgiref']", "import wsgiref.util",
        "Leave wsgiref in sys.modules",
    ),
    "reloaded": _Case(
        "net", "import net\nimportlib.reload(net)", 'with IsolatedImportContext(fresh="net"):\n    import net',
        'with IsolatedImportContext(fresh="net"):',
    ),
    "rebound-by-function": _Case(
        "builtins.__import__", _IMPORT_FUNCTION,
        f'{_IMPORTING}{_FIXTURE}("builtins.__import__", fake)',
        'monkeypatch.setattr("builtins.__import__", ...)', _LATER,
    ),
    "attribute-left": _Case(
        "net.send", "import net\nnet.send = MagicMock()", f'{_FIXTURE}("net.send", MagicMock())',
        'monkeypatch.setattr("net.send", ...)', _SEND,
    ),
    "attribute-left-by-adding": _Case(
        "net.extra", _EXTRA, f'{_FIXTURE}("net.extra", MagicMock(), raising=False)',
        'monkeypatch.setattr("net.extra", ..., raising=False)', _NO_EXTRA,
    ),
    "attribute-left-by-removing": _Case(
        "net.send", "import net\ndel net.send", _DELETING.format("net.send"),
        'monkeypatch.delattr("net.send")', _SEND,
    ),
    "attribute-left-by-import": _Case(
        "exports.part", "import exports.part", f"{_OPEN}\n    import exports.part", f'"{_OPEN}"', _PART
    ),
    "class-attribute-left": _Case(
        "shop.cart.Cart.count", _COUNT, f'{_FIXTURE}("shop.cart.Cart.count", MagicMock())',
        'monkeypatch.setattr("shop.cart.Cart.count", ...)', _REAL_COUNT,
    ),
    "class-attribute-left-by-adding": _Case(
        "shop.cart.Cart.total", _TOTAL,
        f'{_FIXTURE}("shop.cart.Cart.total", MagicMock(), raising=False)',
        'monkeypatch.setattr("shop.cart.Cart.total", ..., raising=False)', _NO_TOTAL,
    ),
    "class-attribute-left-by-removing": _Case(
        "shop.cart.Cart.count", _NO_COUNT, _DELETING.format("shop.cart.Cart.count"),
        'monkeypatch.delattr("shop.cart.Cart.count")', _REAL_COUNT,
    ),
    "tainted-by-block": _Case(
        "shop.safe", 'sys.modules["net"] = None\nimport shop.safe\ndel sys.modules["net"]',
        'with IsolatedImportContext(missing="net"):\n    import shop.safe',
        '"with IsolatedImportContext(missing=...):"', _SAFE,
    ),
}  # fmt: skip

#: The same, for what a fixture of a wider scope does.
_IN_FIXTURES: Final[Mapping[str, _Case]] = {
    "fake-left": _Case(
        "net", f"{_FAKE}\nyield", 'with IsolatedImportContext(fakes={"net": {}}):\n    yield',
        '"with IsolatedImportContext(fakes={"net": {...}}):"',
        "def test_victim():\n    import net\n    assert net.send() == 'real'\n",
    ),
    "replaced": _Case(
        "net", 'sys.modules.pop("net")\nimport net\nyield',
        'with IsolatedImportContext(fresh="net"):\n    import net\n    yield',
        '"with IsolatedImportContext(fresh="net"):"',
        "import net\nimport sys\n\ndef test_victim():\n    assert sys.modules['net'] is net\n",
    ),
    "reloaded": _Case(
        "net", "import net\nimportlib.reload(net)\nyield",
        f"{_OPEN}\n    import net\n    importlib.reload(net)\n    yield", f'"{_OPEN}"',
        "import net\nimport sys\n\ndef test_victim():\n    assert sys.modules['net'] is net\n",
    ),
    "replaced-by-fake": _Case(
        "net", f"{_FAKE}\nyield", 'with IsolatedImportContext(fakes={"net": {}}):\n    yield',
        '"with IsolatedImportContext(fakes={"net": {...}}):"',
        "import net\n\ndef test_victim():\n    import net\n    assert net.send() == 'real'\n",
    ),
    "removed": _Case(
        "net", 'del sys.modules["net"]\nyield', 'with IsolatedImportContext(fresh="net"):\n    yield',
        '"with IsolatedImportContext(fresh="net"):"',
        "import net as held\n\ndef test_victim():\n    import net\n    assert net is held\n",
    ),
    "blocked-left": _Case(
        "net", 'sys.modules["net"] = None\nyield',
        'with IsolatedImportContext(missing="net"):\n    yield', '"with IsolatedImportContext(missing="net"):"',
        "def test_victim():\n    import net\n",
    ),
    "stale-attribute": _Case(
        "shop.cart",
        'with patch.dict(sys.modules):\n    sys.modules.pop("shop.cart")\n    import shop.cart\nyield',
        f'{_OPEN}\n    with patch.dict(sys.modules):\n        sys.modules.pop("shop.cart")\n'
        "        import shop.cart\n    yield",
        f'"{_OPEN}"', "import shop.cart, sys\n\ndef test_victim():\n"
        "    assert shop.cart is sys.modules['shop.cart']\n",
    ),
    "path-added": _Case(
        "/vendor", 'sys.path.append("/vendor")\nyield',
        'with IsolatedImportContext(path=["/vendor"]):\n    yield',
        '"with IsolatedImportContext(path=["/vendor"]):"',
    ),
    **{
        kind: _Case("", f"{change}\nyield", f"{_OPEN}\n    {change}\n    yield", f'"{_OPEN}"')
        for kind, change in (
            ("path-removed", "del sys.path[-1]"),
            ("path-moved", "sys.path.reverse()"),
            ("finder-added", f"sys.meta_path.append({_CLASS})"),
            ("finder-removed", "del sys.meta_path[-1]"),
            ("hook-added", "sys.path_hooks.append(open)"),
            ("hook-removed", "del sys.path_hooks[0]"),
        )
    },
    **{
        kind: _Case(
            name, f"{change}\nyield", f"{_PATCHING}\n    patch.{method}\n    yield",
            f'"{_PATCHING}", after patch.{method.replace("MagicMock()", "...")}', victim,
        )
        for kind, name, change, method, victim in (
            ("attribute-left", "net.send", "import net\nnet.send = MagicMock()",
             'setattr("net.send", MagicMock())', _SEND),
            ("attribute-left-by-adding", "net.extra", _EXTRA,
             'setattr("net.extra", MagicMock(), raising=False)', _NO_EXTRA),
            ("attribute-left-by-removing", "net.send", "import net\ndel net.send", 'delattr("net.send")', _SEND),
            ("class-attribute-left", "shop.cart.Cart.count", _COUNT,
             'setattr("shop.cart.Cart.count", MagicMock())', _REAL_COUNT),
            ("class-attribute-left-by-adding", "shop.cart.Cart.total", _TOTAL,
             'setattr("shop.cart.Cart.total", MagicMock(), raising=False)', _NO_TOTAL),
            ("class-attribute-left-by-removing", "shop.cart.Cart.count", _NO_COUNT,
             'delattr("shop.cart.Cart.count")', _REAL_COUNT),
        )
    },
    "rebound-by-function": _Case(
        "builtins.__import__", f"{_IMPORT_FUNCTION}\nyield",
        f'{_IMPORTING}{_PATCHING}\n    patch.setattr("builtins.__import__", fake)\n    yield',
        'after patch.setattr("builtins.__import__", ...)', _LATER,
    ),
    "effect": _Case(
        "os.environ:SHOP", 'import os\nos.environ["SHOP"] = "1"\nyield',
        f'{_PATCHING}\n    patch.setenv("SHOP", "1")\n    yield', "pytest.MonkeyPatch.context()",
        options=("--import-leak-effects",),
    ),
}  # fmt: skip

#: What other tests show: a name clash, a key that is no string, a reload of another file, a module that another
#: file's fake tainted, or a conftest's, what other code holds of a fake of a mark, no advice at all.
_ELSEWHERE: Final = {
    *("name-clash", "name-clash-by-path", "fake-left-by-key", "reloaded-by-path", "loaded"),
    *("tainted-by-others", "tainted-by-decision", "tainted-by-mark", "path-added-by-temporary"),
}
#: What must have been loaded before for a leak of that kind.
_LOADED: Final = {"replaced", "replaced-by-fake", "removed"}


def _polluter(case: _Case, body: str, mark: str = "", *, in_test: bool) -> str:
    head = dedent(_HEAD)
    if in_test:
        lines = body.replace("\n", "\n    ")
        return f"{head}{mark}\ndef test_polluter(monkeypatch):\n    {lines}\n"
    return f"{head}{body}\n\ndef test_polluter(): pass\n"


@pytest.mark.parametrize(
    ("kind", "in_test"),
    [
        *((kind, True) for kind in _IN_TESTS),
        # What cures a file is shown by the test of a tainted module below, too.
        *(pytest.param(kind, False, marks=TAKES_LONG) for kind in _IN_FILES),
    ],
)
def test_an_advice_that_is_followed_cures(suite: Suite, kind: str, in_test: bool) -> None:
    case = (_IN_TESTS if in_test else _IN_FILES)[kind]
    files = {**_PROJECT, "test_c.py": case.victim}
    if kind in _LOADED:
        files["test_a.py"] = "import net\n\ndef test_first(): pass\n"
    if kind == "stale-attribute" and not in_test:
        # What a package holds when it is imported first is its own affair.
        files["test_a.py"] = "import shop.cart\n\ndef test_first(): pass\n"
    run = suite.run({**files, "test_b.py": _polluter(case, case.leaks, in_test=in_test)}, *case.options)
    found = kind.partition("-by-")[0]
    [leak, *_] = [one for one in run.leaks if one["kind"] == found and one["name"].startswith(case.name)]
    assert leak["polluter"]["nodeid"] == ("test_b.py::test_polluter" if in_test else "test_b.py")
    assert leak["advice"] == (FOR_TESTS if in_test else FOR_FILES)[kind].format(name=leak["name"])
    assert case.advised in leak["advice"]
    assert bool(run.status) is bool(case.victim)
    cured = suite.run({"test_b.py": _polluter(case, case.cured, case.mark, in_test=in_test)}, *case.options)
    assert cured.status == 0, cured.output
    assert [one for one in cured.leaks if not one["contained"]] == []


@pytest.mark.parametrize("kind", ["replaced", "removed", "reloaded"])
def test_a_fresh_copy_in_place_of_what_the_test_did_cures(suite: Suite, kind: str) -> None:
    assert 'in place of throwing it out or reloading it, use fresh="{name}"' in FOR_TESTS[kind]
    case = _IN_TESTS[kind]
    for head, body in (('(fresh="net")', "import net"), ("", "get('fresh_import')('net')")):
        mark = f"@pytest.mark.isolated_imports{head}" if head else ""
        polluter = _polluter(case, body.replace("get(", "request.getfixturevalue("), mark, in_test=True)
        files = {**_PROJECT, "test_a.py": "import net\n\ndef test_first(): pass\n", "test_c.py": case.victim}
        run = suite.run({**files, "test_b.py": polluter.replace("(monkeypatch)", "(request)")})
        assert run.status == 0, run.output
        assert [one for one in run.leaks if not one["contained"]] == []


@pytest.mark.parametrize("where", ["test", "fixture", "file"])
def test_no_mark_is_advised_for_a_temporary_directory(suite: Suite, where: str) -> None:
    case = "path-added-by-temporary"
    advice = {"test": FOR_TESTS, "fixture": FOR_FIXTURES, "file": FOR_FILES}[where][case]
    text = """
        import sys, tempfile, pytest
        from pytest_import_isolation import IsolatedImportContext

        @pytest.fixture(scope="module")
        def added(tmp_path_factory):
            {in_fixture}

        def test_it(tmp_path, monkeypatch, added):
            {in_test}

        {in_file}
    """
    nothing = {"in_fixture": "yield", "in_test": "pass", "in_file": ""}
    leaks = {
        "test": "sys.path.append(str(tmp_path))",
        "fixture": "sys.path.append(str(tmp_path_factory.mktemp('x'))); yield",
        "file": "sys.path.append(tempfile.mkdtemp())",
    }[where]
    cured = {
        "test": "monkeypatch.syspath_prepend(tmp_path)",
        "fixture": "with pytest.MonkeyPatch.context() as patch: "
        "patch.syspath_prepend(tmp_path_factory.mktemp('x')); yield",
        "file": "with IsolatedImportContext(): sys.path.append(tempfile.mkdtemp())",
    }[where]
    run = suite.run({"test_a.py": dedent(text).format(**nothing | {f"in_{where}": leaks})})
    [leak] = [one for one in run.leaks if one["severity"] != "info"]
    assert (leak["kind"], leak["advice"]) == ("path-added", advice)
    run = suite.run({"test_a.py": dedent(text).format(**nothing | {f"in_{where}": cured})})
    assert run.outcomes == {"passed": 1}
    assert not run.leaks


def test_the_mark_alone_cures_a_reload_of_what_the_file_has_imported(suite: Suite) -> None:
    text = (
        "import importlib, net, pytest\n@pytest.mark.isolated_imports\ndef test_it(): importlib.reload(net)\n"
    )
    run = suite.run({**_PROJECT, "test_b.py": text, "test_c.py": _SEND})
    assert run.status == 0, run.output
    assert [one for one in run.leaks if not one["contained"]] == []


@pytest.mark.parametrize(
    ("kind", "scope"),
    [
        *((kind, "class") for kind in _IN_FIXTURES),
        *(pytest.param(kind, "module", marks=TAKES_LONG) for kind in _IN_FIXTURES),
        *((kind, "session") for kind in ("fake-left", "path-added", "finder-added")),
    ],
)
def test_also_in_a_fixture_of_a_wider_scope(suite: Suite, kind: str, scope: str) -> None:
    case = _IN_FIXTURES[kind]
    files = {**_PROJECT, "test_c.py": case.victim}
    if kind in _LOADED | {"stale-attribute", "reloaded"}:
        files["test_a.py"] = "import net, shop.cart\n\ndef test_first(): pass\n"
    head = dedent(_HEAD)

    def polluter(body: str) -> str:
        lines = body.replace("\n", "\n    ")
        return (
            f"{head}@pytest.fixture(scope='{scope}')\ndef changes():\n    {lines}\n\n"
            "class TestIt:\n    def test_polluter(self, changes): pass\n"
        )

    run = suite.run({**files, "test_b.py": polluter(case.leaks)}, *case.options)
    found = kind.partition("-by-")[0]
    [leak, *_] = [one for one in run.leaks if one["kind"] == found and one["name"].startswith(case.name)]
    by = "test_b.py::TestIt" if scope == "class" else "test_b.py"
    if kind == "reloaded":  # of a reload that test is told in whose setup it was
        by = "test_b.py::TestIt::test_polluter"
    assert leak["polluter"] == {"nodeid": by, "phase": "setup"}
    assert leak["advice"] == FOR_FIXTURES[kind].format(name=leak["name"])
    assert case.advised in leak["advice"]
    cured = suite.run({"test_b.py": polluter(case.cured)}, *case.options)
    # A session fixture is there until the end of the run, for other files too.
    assert cured.status == 0 or scope == "session", cured.output
    assert [one for one in cured.leaks if not one["contained"]] == []


def test_what_a_file_needs_at_its_import_is_cured_by_a_block(suite: Suite) -> None:
    run = suite.run(
        {
            "firmware/__init__.py": "",
            "firmware/clock.py": "from time import ticks_ms\nSTART = ticks_ms()\n",
            "test_a.py": "import time\ntime.ticks_ms = lambda: 5\nfrom firmware import clock\n\n"
            "def test_clock(): assert clock.START == 5\n",
            "test_b.py": "def test_b():\n    import time\n    assert not hasattr(time, 'ticks_ms')\n",
        }
    )
    assert run.status == 1
    assert (
        'import that in "with IsolatedImportContext():"'
        in run.leak("attribute-left", "time.ticks_ms")["advice"]
    )
    cured = suite.run(
        {
            "test_a.py": "import time\nfrom pytest_import_isolation import IsolatedImportContext\n"
            "with IsolatedImportContext():\n    time.ticks_ms = lambda: 5\n    from firmware import clock\n\n"
            "def test_clock(): assert clock.START == 5\n",
        }
    )
    assert (cured.status, cured.leaks) == (0, [])


def test_every_advice_is_tried() -> None:
    assert {*_IN_TESTS} | _ELSEWHERE == {*FOR_TESTS}
    in_fixtures = {kind for kind in FOR_FILES if FOR_FIXTURES[kind] != FOR_FILES[kind]}
    assert {*_IN_FIXTURES} == in_fixtures - _ELSEWHERE
    in_files = {kind for kind in FOR_TESTS if FOR_FILES[kind] != FOR_TESTS[kind]}
    assert {*_IN_FILES} == in_files - _ELSEWHERE


def test_a_module_that_the_fake_of_another_file_tainted_is_cured_there(suite: Suite) -> None:
    files = {
        **_PROJECT,
        "test_b.py": "import sys\nfrom unittest.mock import MagicMock\n"
        "sys.modules['net'] = MagicMock()\n\ndef test_b(): pass\n",
        "test_c.py": _MAIL,
    }
    run = suite.run(files)
    tainted = run.leak("tainted", "shop.mail")
    assert tainted["polluter"]["nodeid"] == "test_c.py"
    assert tainted["advice"].startswith("Contain the change of what shop.mail asked for")
    assert run.status == 1
    cured = suite.run(
        {
            "test_b.py": "from pytest_import_isolation import IsolatedImportContext\n"
            "with IsolatedImportContext(fakes={'net': {}}):\n    import net\n\ndef test_b(): pass\n"
        }
    )
    assert (cured.status, cured.leaks) == (0, [])


def test_what_a_test_met_of_its_own_file_is_contained_by_isolating_tests(suite: Suite) -> None:
    run = suite.run(
        {
            **_PROJECT,
            "test_it.py": """\
                import sys
                from unittest import mock
                import shop.cart

                def test_import_again():
                    with mock.patch.dict(sys.modules):
                        sys.modules.pop("shop.cart")
                        import shop.cart

                def test_victim():
                    import shop.cart
                    assert shop.cart is sys.modules["shop.cart"]
            """,
        }
    )
    assert "To contain it, run pytest with --isolate-imports=test, or change" in run.output
    assert "--isolate-imports=file" not in run.output
    cured = suite.run({}, "--isolate-imports=test")
    assert cured.outcomes == {"passed": 2}


@pytest.mark.parametrize("mode", ["off", "test"])
def test_what_a_fixture_of_a_class_left_is_contained_by_no_option(suite: Suite, mode: str) -> None:
    run = suite.run(
        {
            **_PROJECT,
            "test_it.py": """\
                import pytest, net
                @pytest.fixture(scope="class")
                def changes():
                    net.send = lambda: "other"
                    yield
                class TestA:
                    def test_a(self, changes): pass
                class TestB:
                    def test_victim(self): assert net.send() == "real"
            """,
        },
        f"--isolate-imports={mode}",
    )
    assert run.outcomes == {"passed": 1, "failed": 1}
    assert mode == "test" or "To cure it:\n    Undo it in the teardown, or do it in a fixture" in run.output
    assert "To contain it" not in run.output
