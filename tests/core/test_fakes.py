"""Fake modules, from what a test gives and from the real module."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import linecache
import pickle
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from tests.conftest import TAKES_LONG

from pytest_import_isolation import IsolatedImportContext, fake_module
from pytest_import_isolation.errors import (
    FakeAttributeError,
    ImportIsolationWarning,
    NotReplaceableError,
    ParameterError,
)
from pytest_import_isolation.machinery.threads import pause

Tree = Callable[[dict[str, str]], Path]


def _here() -> str:
    return f"{__file__}:{inspect.stack()[1].lineno}"


def test_a_fake_is_a_real_module_for_every_way_of_asking(picture: Any) -> None:
    before = picture()
    with fake_module("fk_cloud.storage", {"connect": len}, region="eu") as fake:
        import fk_cloud.storage as alias
        from fk_cloud import storage
        from fk_cloud.storage import connect

        assert alias is storage is fake is sys.modules["fk_cloud.storage"]
        assert type(fake) is ModuleType
        assert (connect, fake.region) == (len, "eu")
        spec = importlib.util.find_spec("fk_cloud.storage")
        assert spec is fake.__spec__
        assert spec is not None
        assert (spec.name, spec.origin, spec.parent) == ("fk_cloud.storage", "fake", "fk_cloud")
        assert importlib.import_module("fk_cloud").__path__ == []
        with pytest.raises(ModuleNotFoundError, match=r"^No module named 'fk_cloud.other'$"):
            importlib.import_module("fk_cloud.other")
        with pytest.raises(ModuleNotFoundError, match=r"'fk_cloud.storage' is not a package"):
            importlib.import_module("fk_cloud.storage.deep")
        fake.region = "us"
        assert importlib.reload(fake) is fake
        assert fake.region == "eu"
        del sys.modules["fk_cloud.storage"]
        assert importlib.import_module("fk_cloud.storage").region == "eu"
    assert before.differences() == []


def test_a_fake_below_a_real_package_is_taken_off_it_again(tree: Tree, picture: Any) -> None:
    tree({"fk_app/__init__.py": "a = 'the package had this name'", "fk_app/b.py": "value = 'real'"})
    app = importlib.import_module("fk_app")
    before = picture("fk_app")
    with fake_module("fk_app.a") as a, fake_module("fk_app.b", value="fake"):
        assert app.a is a
        assert app.b.value == "fake"
    assert before.differences() == []
    assert vars(app)["a"] == "the package had this name"
    assert importlib.import_module("fk_app.b").value == "real"


def test_a_fake_of_a_submodule_makes_a_fake_above_it_a_package() -> None:
    with fake_module("fk_top", x=1) as top:
        assert not hasattr(top, "__path__")
        with fake_module("fk_top.below", y=2):
            from fk_top.below import y

            assert (top.x, y, top.__path__) == (1, 2, [])
            with pytest.raises(ModuleNotFoundError, match=r"^No module named 'fk_top.other'$"):
                importlib.import_module("fk_top.other")


@pytest.mark.parametrize(
    "parent", ["math", pytest.param("numpy.linalg._umath_linalg", marks=pytest.mark.neighbours("numpy"))]
)
def test_a_fake_below_an_extension_module(parent: str, picture: Any) -> None:
    holder = importlib.import_module(parent)
    before = picture(parent)
    with fake_module(f"{parent}.fk_extra", x=1) as fake:
        assert importlib.import_module(f"{parent}.fk_extra") is fake is holder.fk_extra
    assert not hasattr(holder, "fk_extra")
    assert before.differences() == []


def test_no_attribute_springs_into_being() -> None:
    place = _here()
    with fake_module("fk_boto", client=1, resource=2) as fake:
        assert not hasattr(fake, "sessions")
        assert not hasattr(fake, "__wrapped__")
        with pytest.raises(FakeAttributeError) as caught:
            _ = fake.sessions
        with pytest.raises(ImportError, match="cannot import name 'sessions' from 'fk_boto'"):
            from fk_boto import sessions  # noqa: F401
    file, _, line = place.rpartition(":")
    assert str(caught.value) == (
        f"module 'fk_boto' has no attribute 'sessions': it is a fake made at {file}:{int(line) + 1} that has "
        "client, resource; add the attribute to the fake, or pass strict=False"
    )
    assert (caught.value.name, caught.value.obj) == ("sessions", fake)
    with fake_module("fk_boto") as fake, pytest.raises(AttributeError, match="that has no attributes; add"):
        _ = fake.sessions


def test_attributes_spring_into_being_where_that_is_asked_for() -> None:
    with fake_module("fk_boto", {"real": 1}, strict=False) as fake:
        assert fake.real == 1
        assert fake.client("s3") is fake.client.return_value
        assert fake.client is fake.client
        fake.client.assert_called_once_with("s3")
        assert not hasattr(fake, "__path__")


def test_a_fake_of_source_text(tree: Tree) -> None:
    source = """
        import sys
        from dataclasses import dataclass

        @dataclass
        class Point:
            x: int = 0

        me = sys.modules[__name__]

        def fails():
            raise ValueError("from the fake")
    """
    with fake_module("fk_text", source, extra="given") as fake:
        assert fake.me is fake
        assert pickle.loads(pickle.dumps(fake.Point(3))) == fake.Point(3)
        assert fake.extra == "given"
        assert inspect.getsource(fake.fails).startswith("def fails():")
        try:
            fake.fails()
        except ValueError:
            text = traceback.format_exc()
        assert 'File "<fake fk_text>", line 12, in fails\n    raise ValueError("from the fake")' in text
        fake.Point = None
        importlib.reload(fake)
        assert fake.Point(1).x == 1
    assert "<fake fk_text>" not in linecache.cache


def test_source_text_that_fails_passes_on_and_leaves_nothing(picture: Any) -> None:
    before = picture()
    with pytest.raises(SyntaxError, match="<fake fk_text>"):
        fake_module("fk_text", "def").start()
    with pytest.raises(ZeroDivisionError):
        fake_module("fk_text.deep", "1 / 0").start()
    assert before.differences() == []


def test_an_object_stands_there_itself(tree: Tree) -> None:
    thing = SimpleNamespace(value=1)
    with fake_module("fk_thing", thing) as given:
        import fk_thing

        assert given is fk_thing is thing
    by_hand = ModuleType("fk_hand")
    by_hand.x = 1  # type: ignore[attr-defined]
    with fake_module("fk_hand", by_hand):
        assert importlib.util.find_spec("fk_hand") is by_hand.__spec__
        from fk_hand import x

        assert x == 1
    with fake_module("fk_mock", mock.MagicMock(answer=42)):
        from fk_mock import answer

        assert answer == 42


def test_fakes_of_a_context_take_all_forms() -> None:
    with IsolatedImportContext(fakes={"fk_a": "value = 1", "fk_b": {"value": 2}, "fk_c": 3}) as context:
        import fk_a
        import fk_b
        import fk_c

        assert (fk_a.value, fk_b.value, fk_c) == (1, 2, 3)
        assert context.fake({"fk_d": "value = 4"})["fk_d"].value == 4  # type: ignore[attr-defined]


_REAL = {
    "fk_real/__init__.py": """
        from fk_real import sub
        LIMIT = 5
        NAMES = ["a"]
        class Failure(Exception): ...
        class Client:
            def get(self, url, *, timeout=1): return "real"
        def connect(host, port=80): return "real"
        async def wait(seconds): return "real"
        _private = 1
        def __getattr__(name):
            if name == "lazy":
                return len
            raise AttributeError(name)
    """,
    "fk_real/sub.py": "def helper(a): return 'real'",
    "fk_real/later.py": "import fk_real.sub\ndef helper(b): return 'real'",
}


@pytest.mark.parametrize("loaded", [True, False], ids=["loaded", "not-loaded"])
def test_an_autospec_has_what_the_real_module_has(loaded: bool, tree: Tree, picture: Any) -> None:
    importlib.import_module("pytest_import_isolation.fakes.autospec")  # stays, as every part of the isolation
    tree(_REAL)
    if loaded:
        importlib.import_module("fk_real")
    before = picture()
    with fake_module("fk_real", autospec=True, LIMIT=7) as fake:
        assert [name for name in sys.modules if name.startswith("fk_real")] == ["fk_real"]
        assert (fake.LIMIT, fake.NAMES) == (7, ["a"])
        fake.connect("h")
        fake.connect.assert_called_once_with("h")
        with pytest.raises(TypeError, match="missing a required argument: 'host'"):
            fake.connect()
        client = fake.Client()
        client.get("u", timeout=2)
        with pytest.raises(TypeError):
            client.get()
        with pytest.raises(AttributeError):
            _ = client.post
        assert issubclass(fake.Failure, Exception)
        waiting = fake.wait(1)
        assert inspect.iscoroutine(waiting)
        waiting.close()
        assert isinstance(fake.lazy([1]), mock.Mock)
        assert "connect" in dir(fake)
        names: dict[str, Any] = {}
        exec("from fk_real import *", names)
        assert names["connect"] is fake.connect
        assert "_private" not in names

        import fk_real.later
        from fk_real.sub import helper

        assert fake.sub.helper is helper
        fk_real.later.helper(b=1)
        with pytest.raises(TypeError):
            helper()
        with pytest.raises(ModuleNotFoundError, match=r"^No module named 'fk_real.none'$"):
            importlib.import_module("fk_real.none")
        with pytest.raises(FakeAttributeError) as caught:
            _ = fake.conect
    assert str(caught.value).endswith(
        "has no attribute 'conect': the real module 'fk_real' has none of this name"
    )
    assert str(caught.value).startswith("the fake of 'fk_real' made at ")
    assert before.differences() == []
    assert importlib.import_module("fk_real").connect("h") == "real"


@pytest.mark.usefixtures("many_turns")
@pytest.mark.parametrize("loaded", [True, False], ids=["loaded", "not-loaded"])
def test_a_lazy_package_under_an_autospec_answers_from_real_modules(
    loaded: bool, tree: Tree, picture: Any
) -> None:
    importlib.import_module("pytest_import_isolation.fakes.autospec")  # stays, as every part of the isolation
    tree(
        {
            "fk_lazy/__init__.py": """
                import importlib

                RUNS = []

                def __getattr__(name):
                    if name not in ("Thing", "Wrong", "parts"):
                        raise AttributeError(name)
                    parts = importlib.import_module("fk_lazy.parts")
                    globals()[name] = value = parts if name == "parts" else getattr(parts, name)
                    return value
            """,
            "fk_lazy/parts.py": """
                import fk_lazy
                import fk_using

                fk_lazy.RUNS.append(__name__)

                class Thing:
                    def act(self, a): ...

                class Wrong(Exception): ...
            """,
            "fk_lazy/later.py": "import fk_lazy\nfk_lazy.RUNS.append(__name__)",
            "fk_using.py": "",
        }
    )
    if loaded:
        importlib.import_module("fk_lazy.later")
    before = picture("fk_lazy" if loaded else "sys")
    answers: list[object] = []

    def ask() -> None:
        lazy = importlib.import_module("fk_lazy")
        answers.append((lazy.Thing, lazy.Wrong, importlib.import_module("fk_lazy.parts")))

    with fake_module("fk_lazy", autospec=True) as fake, fake_module("fk_using", object()):
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(answers) == {(fake.Thing, fake.Wrong, fake.parts)}
        with pytest.raises(TypeError, match="missing a required argument: 'a'"):
            fake.Thing().act()
        assert fake.parts.Wrong is fake.Wrong
        importlib.import_module("fk_lazy.later")
        assert sorted(fake.RUNS) == ["fk_lazy.later", "fk_lazy.parts"]  # each was executed once
    assert before.differences() == []
    real = importlib.import_module("fk_lazy")
    assert len(real.RUNS) == 2 * loaded
    assert isinstance(real.Thing, type)


def test_who_imports_a_fake_waits_for_a_slow_answer_of_the_real_module(tree: Tree) -> None:
    lines = ["import fk_note, time", "def __getattr__(name):", "    fk_note.asked.append(name)"]
    lines += ["    time.sleep(0.02)"] * 70  # more than a second in all: then waiting ended
    tree({"fk_note.py": "asked = []", "fk_slow.py": "\n".join([*lines, "    return 1"])})
    note = importlib.import_module("fk_note")
    answers: list[object] = []
    with fake_module("fk_slow", autospec=True) as fake:
        threads = [
            threading.Thread(target=lambda: fake.answer),
            threading.Thread(target=lambda: answers.append(importlib.import_module("fk_slow"))),
        ]
        threads[0].start()
        while "answer" not in note.asked:
            pause(0.002)
        threads[1].start()
        for thread in threads:
            thread.join()
        assert answers == [fake]


@pytest.mark.neighbours("numpy", "pandas")
def test_an_autospec_of_what_needs_a_faked_extension_package(run_script: Callable[..., str]) -> None:
    run_script(
        """
        import importlib
        from pytest_import_isolation import fake_module
        numpy = importlib.import_module("numpy")
        with fake_module("numpy", array=1), fake_module("pandas", autospec=True) as pandas:
            assert pandas.DataFrame
        assert importlib.import_module("pandas").DataFrame({"a": [1]}).size == 1
        assert importlib.import_module("numpy") is numpy
        """
    )


def test_an_autospec_sets_up_no_lazy_object(tree: Tree) -> None:
    tree(
        {
            "fk_conf.py": """
                class Lazy:
                    def __getattribute__(self, name):
                        raise RuntimeError("not configured")

                settings = Lazy()
            """
        }
    )
    with fake_module("fk_conf", autospec=True) as fake:
        assert isinstance(fake.settings.DEBUG, mock.Mock)


def test_a_package_made_above_a_fake_can_be_reloaded() -> None:
    with fake_module("fk_above.inner.leaf", x=1) as fake:
        above = importlib.import_module("fk_above")
        assert importlib.reload(above.inner) is above.inner
        assert importlib.reload(above) is above
        assert above.inner.leaf is fake


def test_an_autospec_refuses_attributes_that_the_real_module_lacks(tree: Tree, picture: Any) -> None:
    tree(_REAL)
    before = picture()
    with pytest.raises(FakeAttributeError, match="has no attribute 'conect': the real module 'fk_real' has"):
        fake_module("fk_real", {"conect": 1}, autospec=True).start()
    with pytest.raises(ModuleNotFoundError, match="No module named 'fk_none'"):
        fake_module("fk_none", autospec=True).start()
    assert before.differences() == []


@pytest.mark.parametrize(
    "name",
    [
        "json",
        pytest.param("xml.dom.minidom", marks=TAKES_LONG),
        pytest.param("lxml.etree", marks=pytest.mark.neighbours("lxml")),
        pytest.param("numpy", marks=pytest.mark.neighbours("numpy")),
        pytest.param("sqlalchemy.orm", marks=pytest.mark.neighbours("sqlalchemy")),
    ],
)
def test_autospecs_of_libraries_leave_the_same_objects(name: str, run_script: Callable[..., str]) -> None:
    run_script(
        f"""
        import importlib, sys
        from pytest_import_isolation import IsolatedImportContext, fake_module
        import pytest_import_isolation.fakes.autospec  # it stays loaded, as every part of the isolation
        before = set(sys.modules)
        with fake_module({name!r}, autospec=True) as fake:
            for attribute in dir(fake):
                getattr(fake, attribute)
        assert set(sys.modules) == before, set(sys.modules) - before
        with IsolatedImportContext():
            first = importlib.import_module({name!r})
        with fake_module({name!r}, autospec=True) as fake:
            assert importlib.import_module({name!r}) is fake
        with IsolatedImportContext():
            assert importlib.import_module({name!r}) is first
        assert set(sys.modules) == before, set(sys.modules) - before
        """
    )


def test_a_fake_in_a_fake_and_out_of_order_and_with_an_exception(tree: Tree, picture: Any) -> None:
    importlib.import_module("pytest_import_isolation.fakes.autospec")  # stays, as every part of the isolation
    tree({"fk_inner.py": "value = 'real'"})
    before = picture()
    with fake_module("fk_inner", value="outer") as outer:
        with pytest.raises(KeyError), fake_module("fk_inner", value="inner"):
            assert importlib.import_module("fk_inner").value == "inner"
            raise KeyError
        assert importlib.import_module("fk_inner") is outer
        with fake_module("fk_inner", autospec=True) as spec:
            assert spec.value == "real"
        inner = fake_module("fk_second", x=1)
        inner.start()
        inner.stop()
    assert before.differences() == []
    assert importlib.import_module("fk_inner").value == "real"


def test_a_decorator_plants_the_fake_for_each_call() -> None:
    @fake_module("fk_deco", value=1)
    def value() -> object:
        return importlib.import_module("fk_deco").value

    assert (value(), value()) == (1, 1)
    assert "fk_deco" not in sys.modules

    @fake_module("fk_deco", value=2)
    class Case:
        def test_value(self) -> object:
            return importlib.import_module("fk_deco").value

    assert Case().test_value() == 2
    with pytest.raises(
        ParameterError, match=r"^fake_module cannot decorate the generator .*gen\(\): its body"
    ):

        @fake_module("fk_deco")
        def gen() -> Any:
            yield


_HOLDER = {
    "fk_http.py": "def get(): return 'real'",
    "fk_client.py": "import fk_http\ndef fetch(): return fk_http.get()",
    "fk_late.py": "def fetch():\n    import fk_http\n    return fk_http.get()",
}


def test_a_fake_that_nothing_under_test_met_is_warned_of_at_its_line(tree: Tree) -> None:
    tree(_HOLDER)
    client = importlib.import_module("fk_client")

    def run() -> str:
        with fake_module("fk_http", get=lambda: "fake"):
            importlib.import_module("fk_http")  # the test alone does not count
            return client.fetch()  # type: ignore[no-any-return]

    with pytest.warns(ImportIsolationWarning) as caught:
        assert run() == "real"
    assert [(str(w.message), w.filename, w.lineno) for w in caught] == [
        (
            "nothing under test imported the fake of 'fk_http': fk_client imported the real module before, and "
            "fk_client.fk_http still holds it. Let the fake be there first, and have fk_client executed anew "
            "under it: fresh='fk_client', or fresh_import('fk_client')",
            __file__,
            run.__code__.co_firstlineno + 1,
        )
    ]


def test_a_script_is_not_warned_of_itself_under_its_second_name(run_script: Callable[..., str]) -> None:
    run_script(
        """
        import shutil, sys, warnings
        from pytest_import_isolation import fake_module
        sys.modules["__mp_main__"] = sys.modules["__main__"]  # as multiprocessing does
        warnings.simplefilter("error")
        with fake_module("shutil", x=1):
            pass
        """
    )


def test_no_warning_where_the_fake_was_met(tree: Tree) -> None:
    tree(_HOLDER)
    importlib.import_module("fk_client")
    late = importlib.import_module("fk_late")
    with IsolatedImportContext(fakes={"fk_http": {"get": lambda: "fake"}}, fresh="fk_client"):
        assert importlib.import_module("fk_client").fetch() == "fake"
    with fake_module("fk_http", get=lambda: "fake"):
        assert late.fetch() == "fake"


def test_a_warning_that_is_an_error_does_not_replace_the_error_of_the_body(tree: Tree, picture: Any) -> None:
    tree(_HOLDER)
    importlib.import_module("fk_client")
    before = picture()
    with pytest.raises(ImportIsolationWarning), fake_module("fk_http"):
        pass
    with pytest.raises(KeyError), fake_module("fk_http"):
        raise KeyError
    assert before.differences() == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((("x", None), {}), "'x' is None; to make a module look not installed, use missing='x'"),
        ((("x", {1: 2}), {}), "the attribute 1 of the fake 'x' is no string"),
        (
            (("x", 3), {"a": 1}),
            "'x' is given as an object, which becomes the entry itself; attributes, autospec=",
        ),
        (
            (("x", 3), {"strict": False}),
            "'x' is given as an object, which becomes the entry itself; attributes",
        ),
        ((("x",), {"strict": False, "autospec": True}), "autospec=True lets 'x' have the real module's"),
        (((3,), {}), "a module name is a string, not int (3)"),
    ],
)
def test_what_no_fake_can_be_made_of(arguments: Any, message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        fake_module(*arguments[0], **arguments[1])
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["", ".x", "a..b", "a-b", "a b"])
def test_names_that_no_module_can_have(name: str) -> None:
    with pytest.raises(ValueError, match=r"is relative|is no module name"):
        fake_module(name)


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("sys", "the interpreter"),
        ("builtins", "the interpreter"),
        ("os.path", "the interpreter"),
        ("__main__", "the interpreter"),
        ("importlib._bootstrap", "the interpreter"),
        ("pytest_import_isolation.window.window", "the isolation itself"),
        ("_pytest.runner", "pytest itself"),
        ("pytest", "pytest itself"),
        ("faulthandler", "pytest itself"),
    ],
)
@pytest.mark.parametrize("parameter", ["fakes", "missing", "fresh"])
def test_what_runs_now_cannot_be_replaced(name: str, needs: str, parameter: str, picture: Any) -> None:
    before = picture()
    value: Any = {name: {}} if parameter == "fakes" else name
    with pytest.raises(NotReplaceableError) as caught:
        IsolatedImportContext(**{parameter: value}).start()
    assert str(caught.value) == (
        f"{parameter}={name!r}: {needs} needs this module while the test runs. To change single functions of it, "
        "use monkeypatch.setattr or unittest.mock.patch on the module that calls them; for anything more, run "
        "the test in a subprocess"
    )
    assert before.differences() == []
