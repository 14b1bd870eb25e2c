"""The lists in which packages say where their submodules lie: what tests change in them is told, and undone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

_SHOP = {
    "shop/__init__.py": "",
    "shop/core.py": "X = 1\n",
    "extra/core.py": "X = 2\n",
    "extra/plug.py": "Y = 2\n",
}
_EXTRA = 'str(pathlib.Path(__file__).parent / "extra")'
_INSERTING = {
    **_SHOP,
    "test_a.py": f"""\
        import pathlib
        import shop

        def test_plug():
            shop.__path__.insert(0, {_EXTRA})
            import shop.plug as plug
            assert plug.Y == 2
        """,
    "test_b.py": """\
        def test_core():
            import shop.core
            assert shop.core.X == 1
        """,
}


def test_a_folder_that_a_test_adds_to_a_package_is_told_with_its_line_and_its_victims(suite: Suite) -> None:
    run = suite.run(_INSERTING, "--import-leak-report")
    assert run.outcomes == {"passed": 1, "failed": 1}
    leak = run.leak("attribute-left", "shop.__path__")
    assert leak["severity"] == "warning"
    assert leak["polluter"] == {"nodeid": "test_a.py::test_plug", "phase": "call"}
    assert leak["location"] == {"file": "test_a.py", "line": 5, "exact": False}
    assert leak["detail"] == "It says where submodules of shop are looked for: 'extra' was added."
    assert [(met["nodeid"], met["line"]) for met in leak["exposed"]] == [("test_b.py::test_core", 2)]
    assert "imported here at test_b.py:2" in run.output


@pytest.mark.parametrize("mode", ["file", "test"])
def test_isolation_takes_it_out_of_the_list(suite: Suite, mode: str) -> None:
    run = suite.run(_INSERTING, f"--isolate-imports={mode}", "--import-leak-report")
    assert run.outcomes == {"passed": 2}
    assert run.leak("attribute-left", "shop.__path__")["contained"]


@pytest.mark.parametrize(
    "change",
    [
        "shop.__path__.append(EXTRA)",
        "shop.__path__.extend([EXTRA])",
        "shop.__path__[:0] = [EXTRA]",
        "shop.__path__ += [EXTRA]",
        "shop.__path__[0] = EXTRA",
        "shop.__path__ = [EXTRA, *shop.__path__]",
        "shop.__path__ = [EXTRA] + list(shop.__path__)",
        "path = shop.__path__; path.append(EXTRA)",
        "from shop import __path__ as path; path += [EXTRA]",
        "del shop.__path__[0]",
    ],
)
def test_each_way_to_change_it_is_seen(suite: Suite, change: str) -> None:
    test_file = f"""\
        import pathlib
        import shop
        EXTRA = {_EXTRA}
        PATH, BEFORE = shop.__path__, [*shop.__path__]

        def test_first():
            {change}

        def test_second():
            assert shop.__path__ is PATH
            assert [*PATH] == BEFORE
        """
    run = suite.run({**_SHOP, "test_a.py": test_file}, "--isolate-imports=test", "--import-leak-report")
    assert run.outcomes == {"passed": 2}
    assert set(run.kinds) == {("attribute-left", "shop.__path__")}
    assert run.leaks[0]["location"]["line"] == 7


_AT_COLLECTION = {
    **_SHOP,
    "test_a.py": f"""\
        import pathlib
        import shop
        shop.__path__.insert(0, {_EXTRA})

        def test_plug():
            import shop.core
            import shop.plug
            assert shop.core.X == shop.plug.Y
        """,
    "test_b.py": _INSERTING["test_b.py"],
}


def test_what_a_file_adds_at_its_collection_is_there_for_its_own_tests_alone(suite: Suite) -> None:
    plain = suite.run(_AT_COLLECTION, "--import-leak-report")
    assert plain.outcomes == {"passed": 1, "failed": 1}
    assert plain.blamed("attribute-left", "shop.__path__") == ("test_a.py", "collect")
    run = suite.run({}, "--isolate-imports=file", "--import-leak-report")
    assert run.outcomes == {"passed": 2}
    assert run.leak("attribute-left", "shop.__path__")["contained"]


def test_a_package_of_a_library_counts_as_well(suite: Suite) -> None:
    files = {
        "test_a.py": """\
            import json

            def test_first():
                json.__path__.append("/nowhere")
            """,
        "test_b.py": """\
            import json

            def test_second():
                assert "/nowhere" not in json.__path__
            """,
    }
    assert suite.run(files, "--import-leak-report").blamed("attribute-left", "json.__path__") == (
        "test_a.py::test_first",
        "call",
    )
    assert suite.run({}, "--isolate-imports=file").outcomes == {"passed": 2}


def test_a_helper_that_does_it_is_named(suite: Suite) -> None:
    files = {
        **_SHOP,
        "conftest.py": """\
            import pytest

            @pytest.fixture
            def plugged(request):
                import shop
                shop.__path__.append("extra")
            """,
        "test_a.py": "def test_first(plugged): pass\n",
    }
    leak = suite.run(files, "--import-leak-report").leak("attribute-left", "shop.__path__")
    assert leak["location"] == {"file": "conftest.py", "line": 6, "exact": False}


@pytest.mark.parametrize(
    "body",
    [
        "monkeypatch.setattr(shop, '__path__', [EXTRA, *shop.__path__])",
        "shop.__path__.append(EXTRA); shop.__path__.remove(EXTRA)",
        "saved = list(shop.__path__); shop.__path__.append(EXTRA); shop.__path__[:] = saved",
        "saved = list(shop.__path__); shop.__path__.append(EXTRA); shop.__path__ = saved",
        "importlib.invalidate_caches(); assert list(pkgutil.iter_modules(shop.__path__))",
        "shop.plug_in(EXTRA); assert EXTRA in shop.__path__",
        "importlib.reload(shop)",
    ],
)
def test_what_is_put_back_or_is_the_packages_own_doing_is_no_leak(suite: Suite, body: str) -> None:
    files = {
        **_SHOP,
        "shop/__init__.py": "def plug_in(folder):\n    __path__.append(folder)\n",
        "test_a.py": f"""\
            import importlib
            import pathlib
            import pkgutil
            import shop
            EXTRA = {_EXTRA}

            def test_it(monkeypatch):
                {body}
            """,
    }
    run = suite.run(files, "--import-leak-report")
    assert run.outcomes == {"passed": 1}
    assert ("attribute-left", "shop.__path__") not in run.kinds


def test_the_advice_cures_it(suite: Suite) -> None:
    files = {
        **_INSERTING,
        "test_a.py": f"""\
            import pathlib
            import shop

            def test_plug(monkeypatch):
                monkeypatch.setattr("shop.__path__", [{_EXTRA}, *shop.__path__])
                import shop.plug as plug
            """,
    }
    run = suite.run(files, "--import-leak-report")
    assert run.outcomes == {"passed": 2}
    assert run.kinds == []
