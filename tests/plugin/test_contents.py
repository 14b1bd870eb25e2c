"""What is in the modules: reloads, attributes, and first imports under a patch are told, and undone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Run, Suite

_SHOP = """
_cache = None
RATE = 5

def load():
    global _cache
    if _cache is None:
        _cache = object()
    return _cache

class Cart:
    def total(self):
        return 1
"""


def _told(run: Run) -> list[tuple[str, str, str, int | None]]:
    """Return severity, kind, name and line of all leaks in contents, with those that are information."""
    kinds = ("attribute-left", "class-attribute-left", "reloaded", "tainted")
    return [
        (leak["severity"], leak["kind"], leak["name"], (leak["location"] or {}).get("line"))
        for leak in run.report["leaks"]
        if leak["kind"] in kinds
    ]


def _flat(run: Run) -> str:
    """Return the output without the places where lines are broken."""
    return " ".join(run.output.split())


def _contained(run: Run) -> set[bool]:
    return {leak["contained"] for leak in run.leaks}


_WRITES = {
    "shop.py": _SHOP,
    "test_a.py": """\
        import shop

        class Odd:
            def _no(self, *args):
                raise RuntimeError
            __class__ = property(_no)
            __eq__ = __hash__ = __bool__ = __repr__ = _no

        def test_cache():
            shop.load()

        def test_three():
            shop.Cart.total = lambda self: 9
            shop.EXTRA = 1
            del shop.load

        def test_odd():
            shop.RATE = Odd()
        """,
    "test_b.py": """
        import shop

        def test_shop():
            assert shop.Cart().total() == 1
            assert not hasattr(shop, "EXTRA")
            assert shop.RATE.__add__(0) == 5
            assert shop.load() is shop.load()
        """,
}


def test_each_write_of_a_test_is_told_with_its_line_and_what_the_application_does_is_not(
    suite: Suite,
) -> None:
    run = suite.run(_WRITES, "--import-leak-report")
    assert run.outcomes == {"passed": 3, "failed": 1}
    assert sorted(_told(run)) == [
        ("error", "attribute-left", "shop.load", 15),
        ("error", "class-attribute-left", "shop.Cart.total", 13),
        ("info", "attribute-left", "shop.EXTRA", 14),
        ("warning", "attribute-left", "shop.RATE", 18),
    ]
    total = run.leak("class-attribute-left", "shop.Cart.total")
    assert total["polluter"] == {"nodeid": "test_a.py::test_three", "phase": "call"}
    assert total["detail"] == "It was the function shop.total, and it is the function test_a.<lambda> now."
    assert [met["nodeid"] for met in total["exposed"]] == ["test_b.py::test_shop"]
    assert run.leak("attribute-left", "shop.RATE")["detail"] == "It was 5, and it is an Odd now."
    assert "class-attribute-left by test_a.py::test_three (call), probably at test_a.py:13" in _flat(run)


@pytest.mark.parametrize("mode", ["file", "test"])
def test_isolation_undoes_them(suite: Suite, mode: str) -> None:
    run = suite.run(_WRITES, f"--isolate-imports={mode}", "--import-leak-fail")
    assert run.outcomes == {"passed": 4}
    assert _contained(run) == {True}
    assert run.status == 0


@pytest.mark.parametrize(("how", "failed"), [("off", 1), ("report", 1), ("undo", 0)])
def test_a_setting_says_what_is_done_about_them(suite: Suite, how: str, failed: int) -> None:
    run = suite.run(
        _WRITES, "--isolate-imports=test", f"--import-isolation-contents={how}", "--import-leak-report"
    )
    assert run.outcomes.get("failed", 0) == failed
    assert bool(_told(run)) == (how != "off")
    assert True not in _contained(run) or how == "undo"


def test_an_unknown_setting_is_a_usage_error(suite: Suite) -> None:
    run = suite.run(_WRITES, "--import-isolation-contents=undoo")
    assert run.status == 4
    assert "expected off, report or undo, not 'undoo'" in run.output


_RELOADS = {
    "shop.py": _SHOP,
    "user.py": "from shop import Cart\n",
    "conftest.py": "import user\n",
    "test_a.py": """\
        import importlib
        import shop

        KEPT = shop.load()

        def test_reload():
            importlib.reload(shop)
            shop.RATE = 9

        def test_next():
            assert shop.load() is KEPT
            assert shop.RATE == 5
            assert shop.__spec__.loader is shop.__loader__
        """,
    "test_b.py": """
        def test_class():
            from user import Cart
            from shop import Cart as now
            assert Cart is now
        """,
}


def test_a_reload_is_one_leak_and_an_error_if_somebody_holds_what_was_replaced(suite: Suite) -> None:
    run = suite.run(_RELOADS, "--import-leak-report")
    assert run.outcomes == {"passed": 1, "failed": 2}
    assert _told(run) == [("error", "reloaded", "shop", 7)]
    leak = run.leak("reloaded", "shop")
    assert leak["polluter"] == {"nodeid": "test_a.py::test_reload", "phase": "call"}
    assert "still held by user.Cart" in leak["detail"]
    assert {met["nodeid"] for met in leak["exposed"]} == {"test_a.py::test_next", "test_b.py::test_class"}
    assert _flat(run).count("reloaded by test_a.py::test_reload (call), at test_a.py:7") == 2


def test_each_test_sees_the_module_as_it_was_before_a_reload(suite: Suite) -> None:
    run = suite.run(_RELOADS, "--isolate-imports=test", "--import-leak-fail")
    assert run.outcomes == {"passed": 3}
    assert run.status == 0
    assert run.leak("reloaded", "shop")["contained"]


def test_each_file_sees_the_module_as_it_was_before_a_reload(suite: Suite) -> None:
    run = suite.run(_RELOADS, "--isolate-imports=file", "--import-leak-fail")
    assert run.outcomes == {"passed": 2, "failed": 1}  # the second one in the file of the reload
    assert run.leak("reloaded", "shop")["contained"]


def test_a_test_that_relies_on_a_reload_is_told_that_it_was_undone(suite: Suite) -> None:
    files = {
        "shop.py": "import os\nURL = os.environ.get('INP_URL', 'live')\n",
        "test_a.py": """
            import importlib
            import shop

            def test_reload(monkeypatch):
                monkeypatch.setenv("INP_URL", "local")
                importlib.reload(shop)

            def test_relies():
                assert shop.URL == "local"
            """,
    }
    run = suite.run(files, "--isolate-imports=test")
    assert run.outcomes == {"passed": 1, "failed": 1}
    assert "shop was reloaded by test_a.py::test_reload, and isolation undid that." in _flat(run)
    assert suite.run(files, "--isolate-imports=test", "--import-isolation-contents=report").outcomes == {
        "passed": 2
    }


def test_a_reload_that_takes_another_file_says_so_in_the_failing_test(suite: Suite) -> None:
    insert = "import sys\nfrom pathlib import Path\nsys.path.insert(0, str(Path(__file__).parent / '{}'))\n"
    files = {
        "one/entry.py": "NAME = 'one'\n",
        "two/entry.py": "NAME = 'two'\n",
        "test_a.py": insert.format("one")
        + "import importlib, entry\ndef test_name():\n    importlib.reload(entry)\n    assert entry.NAME == 'one'\n",
        "test_b.py": insert.format("two") + "def test_two(): pass\n",
    }
    run = suite.run(files, "--import-leak-report")
    leak = run.leak("reloaded", "entry")
    assert leak["severity"] == "error"
    said = "from two/entry.py in place of one/entry.py, because test_b.py put its directory on sys.path"
    assert said in leak["detail"]
    section = _flat(run).partition("import leaks: something imported here had been changed")[2]
    assert said in section.partition("= import leaks =")[0]
    assert suite.run(files, "--isolate-imports=file").outcomes == {"passed": 2}


_COLLECTED = {
    "lib/__init__.py": "",
    "lib/clock.py": "from time import inc_ticks\nSTART = inc_ticks()\n",
    "test_a.py": "import time\ntime.inc_ticks = lambda: 5\nfrom lib import clock\ndef test_clock(): assert clock.START == 5\n",
    "test_b.py": "import time\ndef test_time(): assert not hasattr(time, 'inc_ticks')\n",
}


def test_what_a_file_writes_to_a_real_module_is_its_own_under_file_mode(suite: Suite) -> None:
    plain = suite.run(_COLLECTED, "--import-leak-report")
    assert plain.outcomes == {"passed": 1, "failed": 1}
    assert _told(plain) == [("warning", "attribute-left", "time.inc_ticks", 2)]
    assert plain.blamed("attribute-left", "time.inc_ticks") == ("test_a.py", "collect")
    run = suite.run(_COLLECTED, "--isolate-imports=file", "--import-leak-fail")
    assert run.outcomes == {"passed": 2}
    assert run.leak("attribute-left", "time.inc_ticks")["contained"]


def test_the_import_of_a_submodule_that_rebinds_an_exported_name_is_told_and_contained(suite: Suite) -> None:
    files = {
        "api/__init__.py": "",
        "api/routes/__init__.py": "def answer(): return 'answer'\n",
        "api/routes/answer.py": "def helper(): return 1\n",
        "test_a.py": "from api.routes.answer import helper\ndef test_helper(): assert helper() == 1\n",
        "test_b.py": "def test_answer():\n    from api.routes import answer\n    assert answer() == 'answer'\n",
    }
    run = suite.run(files, "--import-leak-report")
    assert _told(run) == [("error", "attribute-left", "api.routes.answer", 1)]
    assert run.leak("attribute-left", "api.routes.answer")["exposed"][0]["nodeid"] == "test_b.py::test_answer"
    assert suite.run(files, "--isolate-imports=file").outcomes == {"passed": 2}


_WIDE = {
    "shop.py": _SHOP,
    "test_a.py": """\
        import pytest
        import shop

        @pytest.fixture(scope="module", autouse=True)
        def rate():
            shop.RATE = 50
            yield
            shop.RATE = 5

        def test_one():
            assert shop.RATE == 50
            shop.RATE = 51

        def test_two():
            assert shop.RATE == 50
        """,
    "test_b.py": "import shop\ndef test_rate(): assert shop.RATE == 5\n",
}


def test_what_a_wider_fixture_writes_is_the_fixtures(suite: Suite) -> None:
    run = suite.run(_WIDE, "--isolate-imports=test", "--import-leak-report")
    assert run.outcomes == {"passed": 3}
    leak = run.leak("attribute-left", "shop.RATE")
    assert leak["polluter"] == {"nodeid": "test_a.py::test_one", "phase": "call"}
    assert leak["contained"]
    forgets = _WIDE["test_a.py"].replace("shop.RATE = 5\n", "pass\n").replace("shop.RATE = 51", "pass")
    run = suite.run({**_WIDE, "test_a.py": forgets}, "--import-leak-report")
    assert run.outcomes == {"passed": 2, "failed": 1}
    assert run.blamed("attribute-left", "shop.RATE") == ("test_a.py", "setup")
    assert "shop.RATE: It was 5, and it is 50 now." in run.output


_PATCHED = {
    "shop/__init__.py": "",
    "shop/registry.py": "JOBS = {'export': 1}\n",
    "shop/settings.py": "import os\nURL = os.environ.get('INP_URL', 'live')\n",
    "shop/choices.py": "from shop import registry\nCHOICES = sorted(registry.JOBS)\n",
    "shop/plain.py": "import os\nHOME = os.environ.get('INP_OTHER', '')\n",
    "test_a.py": """\
        def test_environment(monkeypatch):
            monkeypatch.setenv("INP_URL", "local")
            from shop import plain, settings
            assert settings.URL == "local"

        def test_attribute(monkeypatch):
            from shop import registry
            monkeypatch.setattr(registry, "JOBS", {"sleep": 1})
            from shop import choices
            assert choices.CHOICES == ["sleep"]
        """,
    "test_b.py": """
        def test_both():
            from shop.choices import CHOICES
            from shop.settings import URL
            assert (URL, CHOICES) == ("live", ["export"])
        """,
}


def test_a_module_that_is_first_imported_under_a_patch_is_told(suite: Suite) -> None:
    run = suite.run(_PATCHED, "--import-leak-report")
    assert _told(run) == [
        ("error", "tainted", "shop.settings", 3),
        ("error", "tainted", "shop.choices", 9),
    ]
    settings = run.leak("tainted", "shop.settings")
    assert (
        settings["detail"]
        == "It was first imported while INP_URL was set by monkeypatch, and it stays loaded."
    )
    assert settings["exposed"][0]["nodeid"] == "test_b.py::test_both"
    assert "shop.registry.JOBS was patched" in run.leak("tainted", "shop.choices")["detail"]
    assert "INP_URL was set by monkeypatch" in run.output.partition("import leaks ===")[0]


def test_nobody_is_told_of_a_module_that_nobody_misses(suite: Suite) -> None:
    files: dict[str, Any] = {**_PATCHED, "test_b.py": "def test_it(): pass\n"}
    run = suite.run(files, "--import-leak-fail")
    assert {severity for severity, *_ in _told(run)} == {"warning"}
    assert run.status == 0
    assert suite.run(_PATCHED, "--isolate-imports=file").outcomes == {"passed": 3}


def test_what_is_no_leak(suite: Suite) -> None:
    run = suite.run(
        {
            "app/__init__.py": "",
            "app/state.py": "COUNT = 0\nseen = []\ndef count():\n    global COUNT\n    COUNT += 1\n",
            "app/other.py": "from app import state\ndef reset():\n    state.seen = ['other']\n",
            "app/lazy.py": "def __getattr__(name):\n    globals()[name] = name\n    return name\n",
            "test_it.py": """
                import copyreg
                from unittest import mock
                import app.lazy, app.other, app.state

                class Local:
                    name = 1

                def test_own_state():
                    app.state.count()

                def test_other_module():
                    app.other.reset()

                def test_lazy():
                    assert app.lazy.anything == "anything"

                def test_put_back(monkeypatch):
                    monkeypatch.setattr(app.state, "seen", 1)
                    with mock.patch("app.state.COUNT", 5):
                        pass
                    Local.name = 2
            """,
        },
        "--import-leak-report",
    )
    assert run.outcomes == {"passed": 4}
    assert _told(run) == []


@pytest.mark.parametrize(
    "options", [("--import-leak-fail",), ("--isolate-imports=file",), ("--isolate-imports=test",)]
)
def test_what_a_class_keeps_under_a_private_name_is_its_own(suite: Suite, options: tuple[str, ...]) -> None:
    run = suite.run(
        {
            "app/__init__.py": "",
            "app/single.py": """
                class Single:
                    __only = None

                    def __new__(cls):
                        is_new = Single.__only is None
                        if is_new:
                            Single.__only = object.__new__(cls)
                        Single.__only.is_new = is_new
                        return Single.__only
            """,
            "test_a.py": "from app.single import Single\ndef test_that_leaves_it():\n    Single()\n",
            "test_b.py": """
                import pytest
                from app.single import Single

                @pytest.fixture(autouse=True)
                def new():
                    yield
                    Single._Single__only = None

                def test_first():
                    Single()

                def test_then():
                    assert Single().is_new
            """,
        },
        *options,
    )
    assert run.outcomes == {"passed": 3}
    assert run.status == 0
    assert _told(run) == []


_MODES = ("--import-leak-fail", "--isolate-imports=file", "--isolate-imports=test")
_SINGLETONS = {
    "a metaclass": "class Meta(type):\n    only = None\n    def of(cls):\n"
    "        cls.only = cls.only or cls()\n        return cls.only\n",
    "a base class": "class Base:\n    __only = None\n    @classmethod\n    def of(cls):\n"
    "        cls.__only = cls.__only or cls()\n        return cls.__only\n",
    "a function": "def of(cls):\n    if getattr(cls, 'only', None) is None:\n"
    "        setattr(cls, 'only', cls())\n    return cls.only\n",
}
_USES = {
    "a metaclass": ("class Single(metaclass=above.Meta): pass", "Single.of()", "only"),
    "a base class": ("class Single(above.Base): pass", "Single.of()", "_Base__only"),
    "a function": ("class Single: pass", "above.of(Single)", "only"),
}


@pytest.mark.parametrize("option", _MODES)
@pytest.mark.parametrize("kind", [*_SINGLETONS])
def test_what_others_stored_and_a_test_takes_out_again_is_no_leak(
    suite: Suite, kind: str, option: str
) -> None:
    definition, use, name = _USES[kind]
    run = suite.run(
        {
            "app/__init__.py": "",
            "app/above.py": _SINGLETONS[kind],
            "app/single.py": f"from app import above\n{definition}\n",
            "test_a.py": f"from app.single import Single, above\ndef test_that_leaves_it():\n    {use}\n",
            "test_b.py": f"""
                import pytest
                from app.single import Single, above

                @pytest.fixture(autouse=True)
                def new():
                    yield
                    Single.{name} = None

                def test_first():
                    {use}.is_known = True

                def test_then():
                    assert not hasattr({use}, "is_known")
            """,
        },
        option,
    )
    assert run.outcomes == {"passed": 3}
    assert run.status == 0
    assert _told(run) == []


@pytest.mark.parametrize(
    "value", [pytest.param("None", id="nobody else can have stored it"), pytest.param("5", id="no reset")]
)
def test_what_a_test_takes_out_that_a_fixture_stored_is_a_leak(suite: Suite, value: str) -> None:
    files = {
        "app/__init__.py": "",
        "app/store.py": "class Store:\n    only = None\n",
        "app/other.py": ""
        if value == "None"
        else "from app.store import Store\ndef open(): Store.only = 1\n",
        "conftest.py": """
            import app.other, app.store, pytest

            @pytest.fixture(scope="session", autouse=True)
            def stored():
                app.store.Store.only = object()
                yield
                app.store.Store.only = None
        """,
        "test_a.py": f"import app.store\ndef test_a():\n    app.store.Store.only = {value}\n",
        "test_b.py": "import app.store\ndef test_b():\n    assert type(app.store.Store.only) is object\n",
    }
    assert suite.run(files, report=False).outcomes == {"passed": 1, "failed": 1}
    assert suite.run({}, "--isolate-imports=test").outcomes == {"passed": 2}


_DISPLACED = {
    "shop_pkg/__init__.py": "from .own import own\n",
    "shop_pkg/own.py": "def own(): return 1\n",
    "shop_pkg/mail.py": "",
    "shop_pkg/bound.py": "",
    "shop_pkg/lazy/__init__.py": "def __getattr__(name):\n    import importlib\n    return importlib.import_module(f'{__name__}.{name}')\n",
    "shop_pkg/lazy/part.py": "",
    "test_a.py": """\
        import shop_pkg.mail, shop_pkg.bound, shop_pkg.lazy.part
        from unittest.mock import Mock
        shop_pkg.mail = Mock()
        import shop_pkg.own

        def test_a():
            assert shop_pkg.own() == 1
    """,
    "test_b.py": """\
        import sys

        def test_b():
            import shop_pkg.mail
            assert shop_pkg.mail is sys.modules["shop_pkg.mail"]
    """,
}


def test_what_takes_the_place_of_a_submodule_that_the_file_itself_imported_first_is_told(
    suite: Suite,
) -> None:
    run = suite.run(_DISPLACED, "-o", "pythonpath=.")
    assert run.outcomes == {"passed": 1, "failed": 1}
    assert [(leak["kind"], leak["name"], leak["location"]["line"]) for leak in run.leaks] == [
        ("attribute-left", "shop_pkg.mail", 3)
    ]


@pytest.mark.parametrize("mode", ["file", "test"])
def test_what_takes_the_place_of_a_submodule_is_contained_with_the_file(suite: Suite, mode: str) -> None:
    run = suite.run(_DISPLACED, f"--isolate-imports={mode}", "-o", "pythonpath=.")
    assert run.outcomes == {"passed": 2}


_AT_THE_TOP = {
    "shop/__init__.py": "",
    "shop/rates.py": "RATE = 5\nclass Rate:\n    limit = 1\n",
    "test_a.py": """
        from shop import rates
        rates.RATE = 50
        rates.Rate.limit = 9

        def test_a():
            assert (rates.RATE, rates.Rate.limit) == (50, 9)
        """,
    "test_b.py": "from shop import rates\ndef test_b(): assert (rates.RATE, rates.Rate.limit) == (5, 1)\n",
}


@pytest.mark.parametrize("mode", ["file", "test"])
def test_what_a_file_writes_at_its_top_is_there_for_its_tests_and_for_no_others(
    suite: Suite, mode: str
) -> None:
    run = suite.run(_AT_THE_TOP, f"--isolate-imports={mode}", "-o", "pythonpath=.")
    assert run.outcomes == {"passed": 2}
    assert _contained(run) == {True}
    assert run.kinds == [
        ("attribute-left", "shop.rates.RATE"),
        ("class-attribute-left", "shop.rates.Rate.limit"),
    ]


_OTHER_WRITERS = {
    "site-packages/fast.py": "import json\ndef dumps(*_): return 'fast'\ndef install(): json.dumps = dumps\n",
    "shop/__init__.py": "",
    "shop/state.py": "current = engine = None\n",
    "shop/context.py": "from shop import state\ndef activate(user): state.current = state.engine = user\n",
    "shop/conf.py": "RATE = 1\ndef configure(**options): globals().update(options)\n",
    "shop/orm.py": """
        class Model: pass

        class cached:
            def __init__(self, function): self.function = function
            def __set_name__(self, owner, name): self.name = name
            def __get__(self, obj, cls):
                setattr(cls, self.name, self.function(cls))
                return getattr(cls, self.name)

        class Lazy:
            @cached
            def table(cls): return "t"

        def setup(*names):
            for name in names:
                setattr(Model, name, name)
    """,
    "shop/plugins.py": "import importlib\nfrom shop import plugin\ndef refresh(): importlib.reload(plugin)\n",
    "shop/plugin.py": "class Plugin: pass\n",
    "tests/conftest.py": "import common\n",
    "tests/common.py": "token = None\n",
    "shop/late.py": "import fast, json, string\njson.loads = fast.dumps\nstring.digits = '01'\n",
    "tests/test_a.py": """
        from unittest import mock
        import fast, json, string
        import common
        from shop import conf, context, orm, plugins, state

        class Row: pass

        class TestState:
            def test_state(self):
                self.current = "me"
                context.activate(self.current)
                assert state.current == "me" and state.engine

            def test_patched(self, monkeypatch):
                monkeypatch.setattr(state, "engine", 1)
                monkeypatch.setattr(conf, "RATE", 3)
                with mock.patch("json.dumps"), mock.patch("json.loads"), mock.patch("string.digits"):
                    pass

        def test_dynamic():
            conf.configure(RATE=2)
            orm.setup("title", "discount")
            row = Row()
            row.title = row.table = row.discount = 1
            assert orm.Lazy.table == "t"

        def test_helper():
            common.token = "abc"
            plugins.refresh()

        def test_library():
            fast.install()
            from shop import late
        """,
    "tests/test_b.py": """
        import common, json, string
        from shop import conf, orm, state

        def test_b():
            assert state.current == state.engine == "me" and conf.RATE == 2
            assert orm.Model.title and orm.Lazy.__dict__["table"] == "t"
            assert json.dumps(1) == json.loads("1") == "fast"
            assert string.digits == "01" and common.token == "abc"
        """,
}


@pytest.mark.parametrize("option", ["--import-leak-report", "--isolate-imports=test"])
def test_what_the_application_or_a_library_can_have_written_is_neither_told_nor_undone(
    suite: Suite, option: str
) -> None:
    environment = {"PYTHONPATH": f"{suite.python_path}:{suite.root / 'site-packages'}"}
    run = suite.run(_OTHER_WRITERS, option, "-o", "pythonpath=.", env=environment)
    assert run.outcomes == {"passed": 6}
    assert _told(run) == []


_PLACES = {
    "api/__init__.py": "",
    "api/routes/__init__.py": "def answer(): return 'answer'\n",
    "api/routes/answer.py": "def helper(): return 1\n",
    "shop/__init__.py": "",
    "shop/core.py": _SHOP + "LIMIT = 1\nNAME = 'n'\nKIND = 'k'\n",
    "shop/again.py": _SHOP,
    "tests/breaking.py": "from shop import core\n\ndef break_it():\n    core.LIMIT = 7\n",
    "tests/test_a.py": """\
        from unittest import mock
        import pytest
        from shop import again, core

        @pytest.fixture
        def kind():
            yield
            core.KIND = "other"

        @pytest.fixture(scope="class")
        def name(request):
            core.NAME = "m"
            request.addfinalizer(lambda: setattr(core, "NAME", "o"))

        def test_string():
            with mock.patch("api.routes.answer.helper"):
                pass

        def test_exec():
            exec("core.RATE = 9")

        def test_again():
            again.__spec__.loader.exec_module(again)

        def test_kind(kind):
            pass

        class TestName:
            def test_name(self, name):
                pass
        """,
    "tests/test_b.py": """
        import breaking, importlib, json, math

        def test_helper(): breaking.break_it()

        def test_reload():
            importlib.reload(math)
            importlib.reload(json)
        """,
}


def test_the_phase_and_the_line_are_those_of_the_project_that_wrote(suite: Suite) -> None:
    run = suite.run(_PLACES, "--import-leak-report", "-o", "pythonpath=.")
    assert run.outcomes == {"passed": 7}
    assert run.leak("reloaded", "json")["severity"] == "warning"  # nobody of the project holds the old one
    found = {
        leak["name"]: (leak["polluter"]["phase"], leak["location"]["file"], leak["location"]["line"])
        for leak in run.leaks
    }
    assert found == {
        "api.routes.answer": ("call", "tests/test_a.py", 16),
        "shop.core.RATE": ("call", "tests/test_a.py", 20),
        "shop.again": ("call", "tests/test_a.py", 23),
        "shop.core.KIND": ("teardown", "tests/test_a.py", 8),
        "shop.core.NAME": ("teardown", "tests/test_a.py", 13),
        "shop.core.LIMIT": ("call", "tests/breaking.py", 4),
        "json": ("call", "tests/test_b.py", 8),
    }
    assert run.leak("attribute-left", "shop.core.NAME")["polluter"]["nodeid"] == "tests/test_a.py::TestName"
    contained = suite.run({}, "--isolate-imports=test", "-o", "pythonpath=.")
    phases = {leak["name"]: leak["polluter"]["phase"] for leak in contained.leaks}
    assert phases == {name: phase for name, (phase, *_) in found.items()}


_FOREIGN = {
    "site-packages/netlib/__init__.py": "",
    "site-packages/netlib/api.py": "class Session:\n    def get(self): return 'got'\n",
    "test_a.py": """\
        from unittest.mock import Mock
        import netlib.api, zipfile
        netlib.api.Session.get = Mock(return_value=1)

        def test_a():
            zipfile.ZipInfo.is_dir = lambda self: True
            assert netlib.api.Session().get() == 1
    """,
    "test_b.py": """
        import netlib.api, zipfile

        def test_b():
            assert not zipfile.ZipInfo("a").is_dir()
            assert netlib.api.Session().get() == "got"
    """,
}


def test_what_tests_write_to_classes_of_libraries_is_told_and_contained(suite: Suite) -> None:
    environment = {"PYTHONPATH": f"{suite.python_path}:{suite.root / 'site-packages'}"}
    run = suite.run(_FOREIGN, "--import-leak-report", env=environment)
    assert run.outcomes == {"passed": 1, "failed": 1}
    assert _told(run) == [
        ("error", "class-attribute-left", "netlib.api.Session.get", 3),
        ("error", "class-attribute-left", "zipfile.ZipInfo.is_dir", 6),
    ]
    for mode in ("file", "test"):
        run = suite.run({}, f"--isolate-imports={mode}", "--import-leak-fail", env=environment)
        assert run.outcomes == {"passed": 2}
        assert _contained(run) == {True}


def test_what_a_fixture_of_several_files_leaves_is_undone_at_its_end(suite: Suite) -> None:
    files = {
        "shop/__init__.py": "",
        "shop/rates.py": "def ship(): return 5\n",
        "tests/__init__.py": "",
        "tests/fast/__init__.py": "",
        "tests/fast/conftest.py": """
            import pytest
            from shop import rates

            @pytest.fixture(scope="package", autouse=True)
            def fast():
                rates.ship = lambda: 1
            """,
        "tests/fast/test_1.py": "from shop import rates\ndef test_1(): assert rates.ship() == 1\n",
        "tests/fast/test_2.py": "from shop import rates\ndef test_2(): assert rates.ship() == 1\n",
        "tests/test_z.py": "from shop import rates\ndef test_z(): assert rates.ship() == 5\n",
    }
    options = ("-o", "pythonpath=.", "tests/fast", "tests/test_z.py")
    run = suite.run(files, "--import-leak-report", *options)
    assert run.outcomes == {"passed": 2, "failed": 1}
    assert run.blamed("attribute-left", "shop.rates.ship") == ("tests/fast/conftest.py", "setup")
    run = suite.run({}, "--isolate-imports=file", *options)
    assert run.outcomes == {"passed": 3}
    assert run.leak("attribute-left", "shop.rates.ship")["contained"]


_NOT_TAINTED = {
    "shop/__init__.py": "import os\nos.environ.setdefault('INP_APP', 'dev')\n",
    "shop/settings.py": "import os\nAPP, RUN = os.environ['INP_APP'], os.environ.get('INP_RUN')\n"
    "TESTING = 'PYTEST_CURRENT_TEST' in os.environ\n",
    "shop/everywhere.py": "import os\nEVERY = os.environ.get('INP_EVERY')\n",
    "shop/copied.py": "import os\nALL, OWN = dict(os.environ), [k for k in os.environ if k.startswith('INP')]\n",
    "shop/log.py": "LOGGER = None\nBACKEND = 'x'\n",
    "shop/retry.py": "import json, time\nfrom shop import log\ndef retry(): time.sleep(log.LOGGER)\n",
    "tests/conftest.py": """
        import os, pytest

        @pytest.fixture(scope="session", autouse=True)
        def run():
            os.environ["INP_RUN"] = "1"
            yield
            del os.environ["INP_RUN"]

        @pytest.fixture(autouse=True)
        def every(monkeypatch):
            monkeypatch.setenv("INP_EVERY", "1")
        """,
    "tests/test_a.py": """
        import json

        def test_settings():
            from shop import settings
            assert settings.RUN and settings.TESTING

        def test_everywhere():
            from shop import everywhere

        def test_called_later(monkeypatch):
            monkeypatch.setattr("time.sleep", print)
            monkeypatch.setattr("shop.log.LOGGER", 1)
            monkeypatch.setattr("shop.log.BACKEND", json)
            from shop import retry

        def test_copied(monkeypatch):
            monkeypatch.setenv("INP_OTHER", "1")
            from shop import copied
        """,
    "tests/test_b.py": "def test_b():\n    import shop.copied, shop.everywhere, shop.retry, shop.settings\n",
}


def test_a_module_is_not_tainted_by_what_is_around_all_tests_or_is_read_later(suite: Suite) -> None:
    run = suite.run(_NOT_TAINTED, "--import-leak-report", "-o", "pythonpath=.")
    assert run.outcomes == {"passed": 5}
    assert _told(run) == []


_WRAPPED_AGAIN = {
    "shop.py": """
        class Cart:
            @staticmethod
            def st(): return 1
            @classmethod
            def cl(cls): return 1
            @property
            def pr(self): return 1
        """,
    "test_a.py": """
        import shop, unittest, pytest
        Cart = shop.Cart

        class Replaced:
            def __init__(self):
                self.old = Cart.st, Cart.cl.__func__, Cart.pr
                Cart.st = staticmethod(lambda: 9)
                Cart.cl = classmethod(lambda cls: 9)
                Cart.pr = property(lambda self: 9)
            def put_back(self):
                Cart.st = staticmethod(self.old[0])
                Cart.cl = classmethod(self.old[1])
                Cart.pr = property(self.old[2].fget)

        def seen():
            return Cart.st(), Cart.cl(), Cart().pr

        def test_inside():
            replaced = Replaced()
            assert seen() == (9, 9, 9)
            replaced.put_back()

        @pytest.fixture(scope="module")
        def replaced():
            replaced = Replaced()
            yield
            replaced.put_back()

        class TestOfClass:
            @classmethod
            def setup_class(cls): cls.replaced = Replaced()
            @classmethod
            def teardown_class(cls): cls.replaced.put_back()
            def test_one(self): assert seen() == (9, 9, 9)
            def test_two(self): assert seen() == (9, 9, 9)

        class TestOfTest(unittest.TestCase):
            def setUp(self): self.replaced = Replaced()
            def tearDown(self): self.replaced.put_back()
            def test_one(self): assert seen() == (9, 9, 9)

        def test_real(): assert seen() == (1, 1, 1)

        def test_fixture(replaced): assert seen() == (9, 9, 9)
        def test_again(replaced): assert seen() == (9, 9, 9)
        """,
    "test_b.py": """
        import shop
        def test_b(): assert (shop.Cart.st(), shop.Cart.cl(), shop.Cart().pr) == (1, 1, 1)
        def test_left(): shop.Cart.st = staticmethod(lambda: 9)
        """,
    "test_c.py": "import shop\ndef test_c(): assert shop.Cart.st() == LEFT\n",
}


@pytest.mark.parametrize("mode", ["off", "file", "test"])
def test_a_descriptor_of_the_same_functions_is_no_change(suite: Suite, mode: str) -> None:
    left = "9" if mode == "off" else "1"
    run = suite.run(
        {name: text.replace("LEFT", left) for name, text in _WRAPPED_AGAIN.items()},
        "--import-leak-report",
        f"--isolate-imports={mode}",
    )
    assert run.outcomes == {"passed": 10}
    assert _told(run) == [("error", "class-attribute-left", "shop.Cart.st", 4)]
    assert run.blamed("class-attribute-left", "shop.Cart.st") == ("test_b.py::test_left", "call")


_ENVIRONMENT = {
    "app.py": "from conf import Conf, DEBUG\n",
    "conf.py": "import os\nDEBUG = os.environ.get('DEBUG', '0')\nclass Conf: pass\n",
    "test_b.py": "import app\ndef test_b():\n    assert app.DEBUG == '0'\n",
}
_RELOADING = {
    "a test": """
        import importlib, app, conf
        def test_a(monkeypatch):
            monkeypatch.setenv("DEBUG", "1")
            importlib.reload(conf)
            importlib.reload(app)
    """,
    "a fixture": """
        import importlib, app, conf, pytest
        @pytest.fixture(scope="module")
        def debugging():
            monkeypatch = pytest.MonkeyPatch()
            monkeypatch.setenv("DEBUG", "1")
            importlib.reload(conf)
            importlib.reload(app)
            yield
            monkeypatch.undo()
        def test_a(debugging): pass
    """,
    "a file": """
        import importlib, app, conf, pytest
        monkeypatch = pytest.MonkeyPatch()
        monkeypatch.setenv("DEBUG", "1")
        importlib.reload(conf)
        importlib.reload(app)
        monkeypatch.undo()
        def test_a(): pass
    """,
}


@pytest.mark.parametrize("mode", ["off", "file", "test"])
@pytest.mark.parametrize("who", _RELOADING)
def test_what_a_body_writes_when_it_runs_again_is_told_as_the_reload_alone(
    suite: Suite, who: str, mode: str
) -> None:
    run = suite.run({**_ENVIRONMENT, "test_a.py": _RELOADING[who]}, f"--isolate-imports={mode}")
    assert "attribute-left" not in [kind for kind, _ in run.kinds]
    if mode == "off":
        assert run.outcomes == {"passed": 1, "failed": 1}
        assert {("reloaded", "app"), ("reloaded", "conf")} <= {*run.kinds}


def test_what_a_test_itself_puts_in_after_a_reload_is_told_beside_it(suite: Suite) -> None:
    run = suite.run(
        {
            "shop.py": "def f(): return 1\ndef g(): return 1\n",
            "test_it.py": """
                import importlib, shop
                def test_it():
                    shop.g = lambda: 2
                    importlib.reload(shop)
                    shop.f = lambda: 2
            """,
        }
    )
    assert sorted(run.kinds) == [("attribute-left", "shop.f"), ("reloaded", "shop")]


def test_a_write_beside_a_reload_that_does_nothing_is_told(suite: Suite) -> None:
    run = suite.run(
        """
        import importlib, math
        def test_it():
            importlib.reload(math)
            math.tau = 6
        """
    )
    assert ("attribute-left", "math.tau") in run.kinds


@pytest.mark.parametrize("name", ["sys", "builtins", "_json"])
def test_a_reload_that_does_nothing_is_no_leak_though_others_write_to_the_module(
    suite: Suite, name: str
) -> None:
    run = suite.run(
        f"""
        import importlib, {name}, sys
        def test_it(capsys):
            importlib.reload({name})
            sys.{name}_counter = 1
            del sys.{name}_counter
        def test_more(): import {name}
        """
    )
    assert run.kinds == []


@pytest.mark.parametrize("value", ["1", "'http://live.example'", "[1]"])
def test_who_puts_back_what_a_leak_had_changed_is_no_polluter(suite: Suite, value: str) -> None:
    run = suite.run(
        {
            "shop.py": f"RATE = {value}\nFIRST = RATE\n",
            "conftest.py": f"""
                import pytest, shop
                @pytest.fixture(scope="module")
                def rate():
                    shop.RATE = 3
                    yield
                    shop.RATE = {value if value != "[1]" else "shop.FIRST"}
            """,
            "test_a.py": "import shop\ndef test_1(): shop.RATE = 5\n",
            "test_b.py": "import shop\ndef test_1(rate): assert shop.RATE == 3\n",
            "test_c.py": "import shop\ndef test_1(): assert shop.RATE == shop.FIRST\n",
            "test_d.py": "import shop\ndef test_1(): shop.RATE = 7\n",
        },
        ini="pythonpath = .",
    )
    assert run.outcomes == {"passed": 4}
    left = [leak["polluter"]["nodeid"] for leak in run.leaks if leak["name"] == "shop.RATE"]
    assert left == ["test_a.py::test_1", "test_d.py::test_1"]


def test_a_patch_that_a_later_test_stops_is_one_change(suite: Suite) -> None:
    run = suite.run(
        {
            "app/__init__.py": "",
            "app/net.py": "def get(): return 'real'\n",
            "test_a.py": """
                from unittest import mock
                import app.net
                patch = mock.patch("app.net.get", return_value="fake")
                def test_start(): patch.start()
                def test_middle(): assert app.net.get() == "fake"
                def test_stop(): patch.stop()
            """,
        },
        "--import-leak-report",
    )
    assert run.outcomes == {"passed": 3}
    assert run.blamed("attribute-left", "app.net.get") == ("test_a.py::test_start", "call")
    assert "such changes" not in run.section


def test_who_changes_what_a_conftest_decided_on_is_told_even_if_it_is_the_original(suite: Suite) -> None:
    run = suite.run(
        {
            "shop.py": "RATE = 1\n",
            "conftest.py": "import shop\nshop.RATE = 5\n",
            "test_a.py": "import shop\ndef test_1(): shop.RATE = 1\n",
            "test_b.py": "import shop\ndef test_1(): assert shop.RATE == 5\n",
        },
        ini="pythonpath = .",
    )
    assert run.outcomes == {"passed": 1, "failed": 1}
    told = [leak["polluter"]["nodeid"] for leak in run.leaks if leak["name"] == "shop.RATE"]
    assert "test_a.py::test_1" in told


# How a module takes something from ``shop.conf``, and its name for it.
_TAKING = {
    "by name": ("from shop.conf import FLAG", "FLAG"),
    "renamed": ("from shop.conf import FLAG as found", "found"),
    "relative": ("from .conf import FLAG", "FLAG"),
    "if it can": ("try:\n    from shop.conf import FLAG\nexcept ImportError:\n    pass", "FLAG"),
    "all": ("from shop.conf import *", "FLAG"),
    "by a dotted name": ("import shop.conf\nVALUE = shop.conf.FLAG", "VALUE"),
    "computed": ("import shop.conf\nif shop.conf.FLAG == PATCHED:\n    VALUE = PATCHED", "VALUE"),
}


@pytest.mark.parametrize("values", [("'live'", "'fake'"), ("True", "False"), ("1", "0"), ("(1,)", "()")])
@pytest.mark.parametrize("how", _TAKING)
def test_a_module_that_takes_a_patched_number_or_text_at_its_import_is_told(
    suite: Suite, how: str, values: tuple[str, str]
) -> None:
    statement, name = _TAKING[how]
    live, patched = values
    run = suite.run(
        {
            "shop/__init__.py": "",
            "shop/conf.py": f"FLAG = {live}\n",
            "shop/client.py": statement.replace("PATCHED", patched) + "\n",
            "test_a.py": f"""
                import shop.conf
                def test_it(monkeypatch):
                    monkeypatch.setattr("shop.conf.FLAG", {patched})
                    import shop.client
            """,
            "test_b.py": f"def test_it():\n    import shop.client\n    assert shop.client.{name} == {live}\n",
        },
        "--import-leak-report",
    )
    assert run.outcomes == {"passed": 1, "failed": 1}
    assert _told(run) == [("error", "tainted", "shop.client", 5)]
    leak = run.leak("tainted", "shop.client")
    assert "shop.conf.FLAG was patched" in leak["detail"]
    assert [exposed["nodeid"] for exposed in leak["exposed"]] == ["test_b.py::test_it"]


@pytest.mark.parametrize(
    "text",
    [
        "from shop.conf import FLAG\nFLAG = False\n",
        "try:\n    from shop.other import FLAG\nexcept ImportError:\n    from shop.conf import FLAG\n",
        "FLAG = False\ndef function():\n    from shop.conf import FLAG\n    return FLAG\n",
        "import shop.conf\nFLAG = False\ndef function(): return shop.conf.FLAG\n",
        "FLAG = False\nif FLAG:\n    from shop.conf import FLAG\n",
        "from shop.conf import OTHER as FLAG\n",
        "from shop.other import *\n",
    ],
)
def test_a_module_that_would_hold_the_same_number_anyway_is_not_tainted(suite: Suite, text: str) -> None:
    run = suite.run(
        {
            "shop/__init__.py": "",
            "shop/conf.py": "FLAG = True\nOTHER = False\n",
            "shop/other.py": "FLAG = False\n",
            "shop/client.py": text,
            "test_a.py": """
                from unittest import mock
                import shop.conf
                def test_it():
                    with mock.patch("shop.conf.FLAG", False):
                        import shop.client
                        assert shop.client.FLAG is False
            """,
            "test_b.py": "def test_it():\n    import shop.client\n    assert 0\n",
        }
    )
    assert run.outcomes == {"passed": 1, "failed": 1}
    assert _told(run) == []


_FLAT = {
    "shop.py": "RATE = 5\ndef pay(): return 2\ndef ship(): return 3\n",
    # The application's own, which lies with the tests, too.
    "setup_shop.py": "import shop\ndef set_up():\n    shop.ship = lambda: 4\n",
    "helpers.py": """
        from unittest import mock
        def no_pay():
            mock.patch("shop.pay", lambda: 9).start()
        def other_rate():
            mock.patch("shop.RATE", 6).start()
    """,
    "test_a.py": """
        import helpers, setup_shop, shop
        def test_pay():
            helpers.no_pay()
            assert shop.pay() == 9
        def test_rate():
            helpers.other_rate()
            assert shop.RATE == 6
        def test_set_up():
            setup_shop.set_up()
    """,
    "test_b.py": """
        import shop
        def test_pay(): assert shop.pay() == 2
        def test_rate(): assert shop.RATE == 5
        def test_ship(): assert shop.ship() == 4
    """,
}


def test_a_helper_with_mocks_is_test_code_also_in_one_folder_with_the_application(suite: Suite) -> None:
    run = suite.run(_FLAT)
    assert run.outcomes == {"passed": 4, "failed": 2}
    told = [(leak["name"], leak["polluter"]["nodeid"], leak["location"]) for leak in run.leaks]
    assert told == [
        ("shop.pay", "test_a.py::test_pay", {"file": "helpers.py", "line": 4, "exact": False}),
        ("shop.RATE", "test_a.py::test_rate", {"file": "helpers.py", "line": 6, "exact": False}),
    ]
    assert suite.run(_FLAT, "--isolate-imports=file").outcomes == {"passed": 6}


@pytest.mark.parametrize("mode", ["off", "file", "test"])
def test_what_a_module_stores_in_its_own_globals_is_its_own_also_if_a_test_handed_it_over(
    suite: Suite, mode: str
) -> None:
    run = suite.run(
        {
            "plugins.py": """
                def base(): return 0
                default = base
                def register(function):
                    global default
                    default = function
                    return function
            """,
            "test_a.py": "import plugins\n@plugins.register\ndef mine(): return 1\ndef test_it(): pass\n",
            "test_b.py": "import plugins\ndef test_it(): assert plugins.default() == 1\n",
        },
        f"--isolate-imports={mode}",
    )
    assert run.outcomes == {"passed": 2}
    assert run.kinds == []


@pytest.mark.parametrize("mode", ["off", "file"])
def test_a_submodule_is_bound_by_whoever_computes_its_name(suite: Suite, mode: str) -> None:
    run = suite.run(
        {
            "app/api/__init__.py": "def walk(): return 1\n",
            "app/api/walk.py": "",
            "app/loading.py": "import importlib\ndef load(name): return importlib.import_module(name)\n",
            "tests/test_a.py": """
                import importlib, pkgutil
                from app import api
                def test_all():
                    for info in pkgutil.iter_modules(api.__path__, "app.api."):
                        importlib.import_module(info.name)
            """,
            "tests/test_b.py": "from app import api\ndef test_b(): assert api.walk() == 1\n",
        },
        "--rootdir=.",
        f"--isolate-imports={mode}",
        "-o",
        "pythonpath=.",
    )
    leak = run.leak("attribute-left", "app.api.walk")
    assert leak["location"] == {"file": "tests/test_a.py", "line": 6, "exact": True}
    assert leak["contained"] is (mode == "file")
    assert run.outcomes == ({"passed": 2} if mode == "file" else {"passed": 1, "failed": 1})


_BY_PLUGIN = {
    "app/__init__.py": "",
    "app/shop.py": "RATE = WIDE = 1\ndef f(): return 1\n",
    "support/plug.py": """
        import pytest
        from app import shop

        def pytest_configure(config):
            shop.CONFIGURED = 1

        def pytest_collection_modifyitems(items):
            shop.f = lambda: 2

        def pytest_runtest_setup(item):
            shop.RUNS = item.name

        @pytest.fixture
        def rate():
            shop.RATE = 7

        @pytest.fixture(scope="module")
        def wide():
            shop.WIDE = 7
    """,
    "tests/test_a.py": """
        from app import shop
        def test_a(rate, wide): assert shop.RATE == shop.WIDE == 7
        def test_wide(wide): assert shop.WIDE == 7
    """,
    "tests/test_b.py": """
        from app import shop
        def test_rate(): assert shop.RATE == shop.WIDE == 1
        def test_hooks(): assert (shop.CONFIGURED, shop.f(), shop.RUNS) == (1, 2, "test_hooks")
    """,
}


@pytest.mark.parametrize("mode", ["off", "file", "test"])
@pytest.mark.parametrize("how", ["conftest", "option"])
def test_a_plugin_of_the_project_is_test_code_as_a_conftest_is(suite: Suite, how: str, mode: str) -> None:
    conftest = {"conftest.py": "pytest_plugins = ['support.plug']\n"} if how == "conftest" else {}
    options = ["-p", "support.plug"] if how == "option" else []
    run = suite.run({**_BY_PLUGIN, **conftest}, f"--isolate-imports={mode}", "-o", "pythonpath=.", *options)
    told = {leak["name"]: (leak["location"], leak["polluter"]["nodeid"]) for leak in run.leaks}
    assert {name: place and (place["file"], place["line"], by) for name, (place, by) in told.items()} == {
        "app.shop.RATE": ("support/plug.py", 16, "tests/test_a.py::test_a"),
        "app.shop.WIDE": ("support/plug.py", 20, "tests/test_a.py"),
    }
    assert _contained(run) == {mode != "off"}
    assert run.outcomes == ({"passed": 3, "failed": 1} if mode == "off" else {"passed": 4})


@pytest.mark.parametrize("scope", ["function", "class", "module", "session"])
def test_a_fixture_takes_away_the_second_name_that_it_gave_to_a_submodule(suite: Suite, scope: str) -> None:
    run = suite.run(
        {
            "drivers/__init__.py": "import json\n",
            "drivers/a.py": "NAME = 'a'\n",
            "drivers/b.py": "NAME = 'b'\n",
            "test_a.py": f"""
                import importlib, pytest, sys

                @pytest.fixture(scope="{scope}", params=["a", "b"])
                def driver(request):
                    import drivers
                    module = importlib.import_module(f"drivers.{{request.param}}")
                    sys.modules["drivers.current"] = drivers.current = module
                    yield request.param
                    del sys.modules["drivers.current"], drivers.current

                class TestIt:
                    def test_it(self, driver):
                        from drivers import current
                        assert current.NAME == driver

                def test_json():
                    import drivers
                    del drivers.json
            """,
        }
    )
    assert run.outcomes == {"passed": 3}
    assert run.kinds == [("attribute-left", "drivers.json")]


@pytest.mark.parametrize("mode", ["off", "file", "test"])
@pytest.mark.parametrize("at_top", [True, False])
def test_a_submodule_that_takes_the_place_of_another_module_is_told_and_contained(
    suite: Suite, mode: str, at_top: bool
) -> None:
    importing = "from api.json import X"
    run = suite.run(
        {
            "api/__init__.py": "import json\ndef load(text): return json.loads(text)\n",
            "api/json.py": "X = 1\n",
            "test_a.py": f"import api\n{importing}\ndef test_a(): pass\n"
            if at_top
            else f"import api\ndef test_a():\n    {importing}\n",
            "test_b.py": "import api\ndef test_b(): assert api.load('1') == 1\n",
        },
        f"--isolate-imports={mode}",
    )
    assert run.outcomes == ({"passed": 1, "failed": 1} if mode == "off" else {"passed": 2})
    leak = run.leak("attribute-left", "api.json")
    assert (leak["severity"], leak["contained"]) == ("warning", mode != "off")
    assert leak["location"] == {"file": "test_a.py", "line": 2 if at_top else 3, "exact": True}
    if mode == "off":
        assert "test_b.py::test_b" in {met["nodeid"] for met in leak["exposed"]}


@pytest.mark.parametrize("mode", ["off", "file", "test"])
def test_a_package_that_needs_the_other_module_at_its_import_alone_loses_nothing(
    suite: Suite, mode: str
) -> None:
    run = suite.run(
        {
            "api/__init__.py": "import logging\nlogging.getLogger('api')\nSTATE = []\n",
            "api/logging.py": "class Formatter: pass\n",
            "test_a.py": "import api\nfrom api.logging import Formatter\ndef test_a(): api.STATE.append(Formatter)\n",
            "test_b.py": "import api\nfrom api.logging import Formatter\ndef test_b(): assert api.STATE == [Formatter]\n",
        },
        f"--isolate-imports={mode}",
    )
    assert run.outcomes == {"passed": 2}
    assert run.leaks == []


@pytest.mark.parametrize("by", ["mock", "monkeypatch"])
def test_a_module_that_was_first_imported_while_a_builtin_was_patched_is_tainted(
    suite: Suite, by: str
) -> None:
    patching = {
        "mock": "with mock.patch('builtins.open', mock.mock_open(read_data='fake')):",
        "monkeypatch": "monkeypatch.setattr(builtins, 'open', lambda *a: io.StringIO('fake'))\n    if True:",
    }[by]
    run = suite.run(
        {
            "conf.py": "with open(__file__) as file:\n    TEXT = file.read()\n",
            "own.py": "def open(name): return name\nNAME = open('a')\n",
            "later.py": "def read(name): return open(name)\n",
            "test_a.py": f"import builtins, io\nfrom unittest import mock\ndef test_a(monkeypatch):\n    {patching}\n"
            "        import conf, own, later\n    assert conf.TEXT == 'fake'\n",
            "test_b.py": "def test_b():\n    import conf\n    assert 'TEXT' in conf.TEXT\n",
        }
    )
    assert _told(run) == [("error", "tainted", "conf", 5 if by == "mock" else 6)]
    leak = run.leak("tainted", "conf")
    assert leak["detail"].startswith("It was first imported while builtins.open was patched")
    assert [met["nodeid"] for met in leak["exposed"]] == ["test_b.py::test_b"]


def test_what_sets_any_name_is_the_place_only_where_no_other_file_says_the_name(suite: Suite) -> None:
    run = suite.run(
        {
            "conftest.py": """
                import colorsys, pytest

                def put(name):
                    setattr(colorsys, name, 1)

                @pytest.fixture
                def mine():
                    put("ONE_THIRD")
            """,
            "test_a.py": """
                import pytest

                @pytest.fixture
                def other(request):
                    setattr(request.node, "said_" + "here", 1)

                def test_it(mine): pass
                def test_other(other): pass
            """,
        }
    )
    (leak,) = [leak for leak in run.leaks if leak["name"] == "colorsys.ONE_THIRD"]
    location = leak["location"]
    assert (location["file"], location["line"], location["exact"]) == ("conftest.py", 9, False)


def test_what_a_test_only_deletes_was_put_there_by_another(suite: Suite) -> None:
    """A module of astroid's tests counts its executions in ``sys``, and the test clears that away."""
    run = suite.run(
        {
            "shop/__init__.py": "",
            "shop/once.py": "import sys\nif not hasattr(sys, 'just_once'):\n    sys.just_once = []\n"
            "sys.just_once.append(1)\n",
            "shop/flags.py": "import sys\nFLAG = getattr(sys, 'flag_of_shop', None)\n",
            "test_a.py": """\
                import sys

                def test_deleted():
                    from shop import once
                    assert sys.just_once == [1]
                    del sys.just_once

                def test_set():
                    sys.flag_of_shop = []
                    from shop import flags
                    del sys.flag_of_shop
                """,
        }
    )
    assert [(leak["kind"], leak["name"]) for leak in run.leaks] == [("tainted", "shop.flags")]


def test_what_a_conftest_only_puts_back_was_taken_away_by_another(suite: Suite) -> None:
    """The application of importlib_metadata does so, and its conftest begins with what was there."""
    run = suite.run(
        {
            "shop/__init__.py": "import colorsys\nif hasattr(colorsys, 'ONE_SIXTH'):\n    del colorsys.ONE_SIXTH\n",
            "conftest.py": """\
                import colorsys

                def pytest_configure():
                    if not hasattr(colorsys, "ONE_SIXTH"):
                        put_back()

                def put_back():
                    colorsys.ONE_SIXTH = 1 / 6
            """,
            "test_a.py": "import shop\n\ndef test_it():\n    pass\n",
            "test_b.py": """\
                def test_it():
                    import colorsys
                    colorsys.ONE_THIRD = 0
            """,
        }
    )
    assert [(leak["kind"], leak["name"]) for leak in run.leaks] == [("attribute-left", "colorsys.ONE_THIRD")]


@pytest.mark.parametrize("mode", ["file", "test"])
def test_a_module_that_a_test_executes_again_is_put_back_with_what_it_stores_itself(
    suite: Suite, mode: str
) -> None:
    run = suite.run(
        {
            "app/__init__.py": "",
            "app/conf.py": """
                class Config: pass
                _config = Config()
                def reset():
                    global _config
                    _config = Config()
                def is_config(): return isinstance(_config, Config)
            """,
            "tests/test_a.py": """
                import pytest, app.conf

                @pytest.mark.parametrize("number", range(3))
                def test_reset(number): app.conf.reset()
                def test_again(): app.conf.__spec__.loader.exec_module(app.conf)
                def test_it(): assert app.conf.is_config()
            """,
            "tests/test_b.py": "import app.conf\ndef test_it(): assert app.conf.is_config()\n",
        },
        f"--isolate-imports={mode}",
        ini="pythonpath = .\n",
    )
    assert run.outcomes == {"passed": 6}


@pytest.mark.parametrize("mode", ["off", "file", "test"])
def test_who_says_a_number_or_text_anew_changes_nothing(suite: Suite, mode: str) -> None:
    run = suite.run(
        {
            "shop.py": "RATE = 0.1\nNAME = 'a shop'\nLONG = 100000\nSIZES = (1.5, 'x y')\nclass Cart:\n    RATE = 0.1\n",
            "test_a.py": """\
                import shop

                class Number(float):
                    def __eq__(self, other):
                        raise RuntimeError
                    __hash__ = float.__hash__

                def setup_function():
                    shop.RATE, shop.NAME, shop.LONG, shop.SIZES = 0.1, "a shop", 100000, (1.5, "x y")
                    shop.Cart.RATE = 0.1

                def test_nothing():
                    assert shop.RATE == 0.1

                def test_something():
                    shop.RATE = 0.1 + 0.2
                    shop.LONG = 100000.0
                    shop.NAME = Number(0.1)
                    shop.SIZES = (Number(1.5), "x y")
            """,
            "test_b.py": "import shop\ndef test_it():\n    assert (shop.RATE, shop.LONG) == (0.1, 100000)\n",
        },
        f"--isolate-imports={mode}",
    )
    assert run.outcomes == ({"passed": 2, "failed": 1} if mode == "off" else {"passed": 3})
    assert [(leak["name"], leak["polluter"]["nodeid"], leak["location"]["line"]) for leak in run.leaks] == [
        (f"shop.{name}", "test_a.py::test_something", line)
        for name, line in (("RATE", 16), ("NAME", 18), ("LONG", 17), ("SIZES", 19))
    ]
