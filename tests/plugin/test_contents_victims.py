"""Victims that import nothing of what was changed: the code that they call does, or holds what was replaced."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Run, Suite

_SHOP = {
    "shop/__init__.py": "",
    "shop/marks.py": """
        class Unset: pass
        UNSET = Unset()

        def is_set(value):
            return value is not UNSET
        """,
    "shop/carts.py": """
        from shop import marks

        def discount(rate=marks.UNSET):
            return rate / 2 if marks.is_set(rate) else 0
        """,
    "tests/test_a.py": """
        from importlib import reload
        from shop import marks

        def test_first():
            reload(marks)

        def test_second():
            reload(marks)
        """,
    "tests/test_b.py": """
        from shop.carts import discount

        def test_discount():
            assert discount() == 0
        """,
}


def _hint(run: Run) -> str:
    """Return the section of the failure, without the places where lines are broken."""
    _, title, after = run.output.partition("import leaks: something imported here had been changed")
    return " ".join(f"{title}{after}".partition("The words are explained")[0].split())


def test_a_victim_is_told_what_was_done_to_a_module_that_its_traceback_passes_through(suite: Suite) -> None:
    run = suite.run(_SHOP, "--import-leak-report", "-o", "pythonpath=.")
    assert run.outcomes == {"passed": 2, "failed": 1}
    hint = _hint(run)
    assert "shop.marks was executed again in place." in hint
    assert "reloaded by tests/test_a.py::test_second (call), at tests/test_a.py:9" in hint
    assert "imported here at shop/carts.py:2" in hint
    assert "--isolate-imports=file" in hint
    leaks = {leak["polluter"]["nodeid"]: leak for leak in run.leaks}
    exposed = leaks["tests/test_a.py::test_second"]["exposed"]
    assert [(met["nodeid"], met["outcome"]) for met in exposed] == [
        ("tests/test_b.py::test_discount", "failed")
    ]


def test_the_remedy_cures_it(suite: Suite) -> None:
    run = suite.run(_SHOP, "--isolate-imports=file", "-o", "pythonpath=.")
    assert run.outcomes == {"passed": 3}


def test_a_class_of_the_first_execution_is_what_the_first_of_two_reloads_replaced(suite: Suite) -> None:
    files = {
        **_SHOP,
        "shop/carts.py": """
            from shop.marks import Unset, UNSET

            def kind(value=None):
                assert type(value) is Unset, "Unset"
            """,
        "tests/test_b.py": """
            from shop.carts import kind

            def test_kind():
                import shop.marks
                kind(shop.marks.UNSET)
            """,
    }
    run = suite.run(files, "--import-leak-report", "-o", "pythonpath=.")
    assert run.outcomes == {"passed": 2, "failed": 1}
    leaks = {leak["polluter"]["nodeid"]: leak for leak in run.leaks}
    first, second = leaks["tests/test_a.py::test_first"], leaks["tests/test_a.py::test_second"]
    assert (first["severity"], second["severity"]) == ("error", "warning")
    assert [met["nodeid"] for met in first["exposed"]] == ["tests/test_b.py::test_kind"]


def test_the_caller_of_a_changed_module_is_where_a_victim_met_it(suite: Suite) -> None:
    files = {
        "shop/__init__.py": "",
        "shop/rates.py": "RATE = 5\n\ndef double():\n    assert RATE == 5\n    return 2 * RATE\n",
        "shop/carts.py": "import shop.rates\n\ndef total():\n    return shop.rates.double()\n",
        "tests/test_a.py": "from shop import rates\n\ndef test_rate():\n    rates.RATE = 6\n",
        "tests/test_b.py": "from shop.carts import total\n\ndef test_total():\n    assert total() == 10\n",
    }
    run = suite.run(files, "--import-leak-report", "-o", "pythonpath=.")
    assert run.outcomes == {"passed": 1, "failed": 1}
    hint = _hint(run)
    assert "shop.rates.RATE: It was 5, and it is 6 now." in hint
    assert "imported here at shop/carts.py:1" in hint


def test_a_failure_is_told_nothing_of_a_library_that_its_traceback_merely_uses(suite: Suite) -> None:
    files = {
        "shop.py": "import json\n\ndef total():\n    raise ValueError(json.dumps('no json'))\n",
        "tests/test_a.py": "import json\n\ndef test_it():\n    json.loads = len\n",
        "tests/test_b.py": "from shop import total\n\ndef test_total():\n    assert total() == 10\n",
    }
    run = suite.run(files, "--import-leak-report", "-o", "pythonpath=.")
    assert run.outcomes == {"passed": 1, "failed": 1}
    assert run.leak("attribute-left", "json.loads")["exposed"] == []


# The application stores it, under a name that no text of a test says.
_HANDED = {
    "shop/__init__.py": "",
    "shop/rates.py": "def rate():\n    return 5\n",
    "shop/shim.py": """
        from shop import rates

        def offer(name, function):
            setattr(rates, name, function)

        def observe(function):
            rates.observer = function
        """,
    "tests/test_a.py": """
        from shop import shim

        def test_rate():
            def mine():
                return 6
            shim.offer("".join(("ra", "te")), mine)
            shim.observe(mine)

        def test_other(tmp_path):
            tmp_path.__class__.seen = tmp_path  # a file that writes to nothing is not looked at
            del tmp_path.__class__.seen
        """,
    "tests/test_b.py": """
        from shop import rates

        def test_rate():
            assert rates.rate() == 5
        """,
}


def test_what_a_test_file_defines_is_a_leak_where_the_application_put_it_into_the_place_of_its_own(
    suite: Suite,
) -> None:
    run = suite.run(_HANDED, "--import-leak-report", "-o", "pythonpath=.")
    assert run.outcomes == {"passed": 2, "failed": 1}
    leak = run.leak("attribute-left", "shop.rates.rate")
    assert leak["severity"] == "error"
    assert leak["polluter"] == {"nodeid": "tests/test_a.py::test_rate", "phase": "call"}
    assert leak["location"] == {"file": "tests/test_a.py", "line": 5, "exact": False}
    assert [met["outcome"] for met in leak["exposed"]] == ["failed"]
    # What it stores in an attribute that is meant for that is its own state.
    assert [one["name"] for one in run.leaks] == ["shop.rates.rate"]


@pytest.mark.parametrize("mode", ["file", "test"])
def test_isolation_undoes_it(suite: Suite, mode: str) -> None:
    run = suite.run(_HANDED, f"--isolate-imports={mode}", "-o", "pythonpath=.")
    assert run.outcomes == {"passed": 3}


def test_a_test_that_relied_on_what_was_undone_is_told_of_that_and_not_of_a_reload_above_it(
    suite: Suite,
) -> None:
    files = {
        "shop/__init__.py": "",
        "shop/rates.py": "RATE = 5\n\ndef is_cheap():\n    return RATE < 5\n",
        "tests/test_a.py": "from importlib import reload\nimport shop\n\ndef test_it():\n    reload(shop)\n",
        "tests/test_b.py": """
            from shop import rates

            def test_first():
                rates.RATE = 1

            def test_second():
                assert rates.is_cheap()
            """,
    }
    run = suite.run(files, "--isolate-imports=test", "-o", "pythonpath=.")
    assert run.outcomes == {"passed": 2, "failed": 1}
    told = " ".join(run.output.split())
    assert "shop.rates.RATE was assigned by tests/test_b.py::test_first, and isolation undid that." in told


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="it has no imp")
def test_the_line_of_a_reload_by_the_module_imp_is_the_one_that_calls_it(suite: Suite) -> None:
    files = {
        "shop.py": "RATE = 5\n",
        "test_a.py": "import imp\nimport shop\n\ndef test_it():\n    imp.reload(shop)\n",
    }
    run = suite.run(files, "--import-leak-report")
    assert run.leak("reloaded", "shop")["location"] == {"file": "test_a.py", "line": 5, "exact": True}


_BELOW = {
    "shop/__init__.py": "from shop import rates\n",
    "shop/rates.py": "def ship(): return 1\n",
    "test_a.py": """
        import os, shop
        def test_path(): os.path.exists = lambda path: True
        def test_rates(): shop.rates.ship = lambda: 9
    """,
    "test_b.py": """
        import os
        import shop as application

        def test_path():
            assert not os.path.exists("/nowhere")

        def test_rates():
            assert application.rates.ship() == 1
    """,
    "test_c.py": """
        import os
        import shop

        def exists(): return False

        def test_other():
            assert exists(), (os, shop)
    """,
}


def test_a_victim_that_reaches_a_module_as_an_attribute_of_its_package_is_told(suite: Suite) -> None:
    run = suite.run(_BELOW, "--import-leak-report")
    assert run.outcomes == {"passed": 2, "failed": 3}
    met = {
        leak["name"]: [(one["nodeid"], one["line"]) for one in leak["exposed"] if one["outcome"] == "failed"]
        for leak in run.leaks
    }
    assert met == {
        "os.path.exists": [("test_b.py::test_path", 2)],
        "shop.rates.ship": [("test_b.py::test_rates", 3)],
    }
    told = run.output.partition("import leaks ===")[0]
    assert told.count("import leaks: something imported here had been changed") == 2


# The reload gives a constant another value, and the application holds a function of the first execution.
_SETTINGS = {
    "app/__init__.py": "",
    "app/settings.py": """
        import os

        LIMIT = int(os.environ.get("LIMIT", "3"))

        def limit(): return LIMIT

        class Settings:
            def __init__(self): self.most = LIMIT
        """,
    "app/shop.py": """
        from app.settings import Settings as Own, limit as most

        def total(): return most()

        class Shop:
            def __init__(self): self.settings = Own()

            def most(self): return self.settings.most

        def name(): return "shop"
        """,
    "test_a.py": """
        import importlib
        import app.settings

        def test_limit(monkeypatch):
            monkeypatch.setenv("LIMIT", "5")
            importlib.reload(app.settings)
            assert app.settings.limit() == 5
        """,
    "test_b.py": """
        import pytest
        import app.shop
        from app.shop import Shop, name, total

        @pytest.fixture
        def shop():
            return Shop()

        def test_function():
            assert total() == 3

        def test_module():
            assert app.shop.total() == 3

        def test_fixture(shop):
            assert shop.most() == 3

        def test_other():
            assert name() == "store"
        """,
}
_MAY_MATTER = "import leaks that may matter: something imported here had been changed"


def _failed_who_met(run: Run, leak: dict[str, Any]) -> list[str]:
    return [met["nodeid"].partition("::")[2] for met in leak["exposed"] if met["outcome"] == "failed"]


def test_a_victim_whose_code_reaches_a_function_of_the_old_execution_is_told_without_certainty(
    suite: Suite,
) -> None:
    run = suite.run(_SETTINGS, "--import-leak-report")
    assert run.outcomes == {"passed": 1, "failed": 4}
    leak = run.leak("reloaded", "app.settings")
    assert _failed_who_met(run, leak) == ["test_function", "test_module", "test_fixture"]
    assert {(met["file"], met["line"]) for met in leak["exposed"]} == {("app/shop.py", 2)}
    # The one that fails for another reason is told nothing.
    assert run.output.count(f"- {_MAY_MATTER} -") == 3
    assert "- import leaks: something imported here" not in run.output
    told = " ".join(run.output.split())
    assert (
        told.count("Neither the traceback nor the error touches what had been changed. app.settings: ") == 3
    )
    assert "reloaded by test_a.py::test_limit (call), at test_a.py:7" in told
    # It is not known to be the reason, so that the command which proves it is told, too.
    assert "blame test_b.py::test_function" in told


def test_isolation_cures_it_and_the_other_one_fails_as_before(suite: Suite) -> None:
    run = suite.run(_SETTINGS, "--isolate-imports=file")
    assert run.outcomes == {"passed": 4, "failed": 1}


def test_a_victim_that_calls_a_function_of_the_old_execution_by_another_name_is_told(suite: Suite) -> None:
    test = "from app.settings import limit as most\n\ndef test_it():\n    assert most() == 3\n"
    run = suite.run({**_SETTINGS, "test_b.py": test}, "--import-leak-report")
    assert run.outcomes == {"passed": 1, "failed": 1}
    assert "imported here at test_b.py:1" in _hint(run)
    assert "test_b.most came from another execution of it" in _hint(run)


def test_a_reload_that_gave_the_same_values_is_met_by_nobody_who_holds_the_module_alone(suite: Suite) -> None:
    files = {
        **_SETTINGS,
        "app/shop.py": "import app.settings\n\ndef total(): return app.settings.limit()\n",
        "test_a.py": "import importlib, app.settings\n\ndef test_a(): importlib.reload(app.settings)\n",
        "test_b.py": "from app.shop import total\n\ndef test_total(): assert total() == 4\n",
    }
    run = suite.run(files, "--import-leak-report")
    assert run.outcomes == {"passed": 1, "failed": 1}
    assert run.leak("reloaded", "app.settings")["exposed"] == []
    assert "something imported here" not in run.output


def test_a_victim_whose_code_reads_what_was_assigned_elsewhere_is_told_without_certainty(
    suite: Suite,
) -> None:
    files = {
        "app/__init__.py": "",
        "app/rates.py": "RATE = 5\n\ndef double(): return 2 * RATE\n\ndef label(): return 'rate'\n",
        "app/shop.py": """
            import app.rates

            def total(): return app.rates.double()

            def name(): return app.rates.label()
            """,
        "test_a.py": "from app import rates\n\ndef test_rate(): rates.RATE = 6\n",
        "test_b.py": """
            from app.shop import name, total

            def test_total():
                assert total() == 10

            def test_name():
                assert name() == "price"
            """,
    }
    run = suite.run(files, "--import-leak-report")
    assert run.outcomes == {"passed": 1, "failed": 2}
    assert _failed_who_met(run, run.leak("attribute-left", "app.rates.RATE")) == ["test_total"]
    assert run.output.count(f"- {_MAY_MATTER} -") == 1
    assert "imported here at app/shop.py:2" in run.output


def test_no_code_of_what_a_failing_test_uses_is_run_when_its_code_is_followed(suite: Suite) -> None:
    files = {
        **_SETTINGS,
        "test_b.py": """
            import pytest

            class Kind(type):
                def __getattribute__(cls, name): pytest.exit(f"asked for {name}")
                def __eq__(cls, other): pytest.exit("compared")
                def __hash__(cls): pytest.exit("hashed")

            class Hostile(metaclass=Kind):
                def __getattribute__(self, name): pytest.exit(f"asked for {name}")
                def __eq__(self, other): pytest.exit("compared")
                def __hash__(self): pytest.exit("hashed")
                def __bool__(self): pytest.exit("tested")

            HOSTILE = object.__new__(Hostile)

            def test_it():
                own = HOSTILE
                assert True and 3 == 4, [type(Hostile), type(own), own is HOSTILE, app_total()]

            from app.shop import total as app_total
            """,
    }
    run = suite.run(files, "--import-leak-report")
    assert run.outcomes == {"passed": 1, "failed": 1}
    assert _failed_who_met(run, run.leak("reloaded", "app.settings")) == ["test_it"]


def test_a_victim_that_writes_to_what_a_body_made_anew_and_reads_what_it_made_before_is_told(
    suite: Suite,
) -> None:
    files = {
        "app/__init__.py": "",
        "app/config.py": """
            import os

            options = {"limit": int(os.environ.get("LIMIT", "3"))}
            PAIR = ("a", 1)
            """,
        "app/admin.py": """
            import app.config

            def change(limit): app.config.options["limit"] = limit
            """,
        "app/shop.py": """
            from app.config import PAIR, options

            def limit(): return options["limit"]

            def pair(): return PAIR
            """,
        "test_a.py": """
            import importlib, app.config

            def test_limit(monkeypatch):
                monkeypatch.setenv("LIMIT", "5")
                importlib.reload(app.config)
                assert app.config.options["limit"] == 5
            """,
        "test_b.py": """
            from app import shop
            from app.admin import change

            def test_limit():
                change(9)
                assert shop.limit() == 9

            def test_pair():
                assert shop.pair() == ()
            """,
    }
    run = suite.run(files, "--import-leak-report")
    assert run.outcomes == {"passed": 1, "failed": 2}
    leak = run.leak("reloaded", "app.config")
    # Nobody holds a class or function of it.
    assert leak["severity"] == "warning"
    assert _failed_who_met(run, leak) == ["test_limit"]
    assert run.output.count(f"- {_MAY_MATTER} -") == 1


def test_what_a_conftest_decides_is_no_error_for_a_failure_that_says_nothing_of_it(suite: Suite) -> None:
    files = {
        "app/__init__.py": "",
        "app/rates.py": "def rate(): return 5\n\ndef double(): return 2 * rate()\n",
        "one/__init__.py": "",
        "one/conftest.py": """
            import pytest
            from app import rates

            @pytest.fixture(scope="package", autouse=True)
            def changed():
                rates.rate = lambda: 6
            """,
        "one/test_a.py": "def test_a(): pass\n",
        "two/test_b.py": """
            from app.rates import double

            def test_b():
                assert double() == 10
            """,
    }
    run = suite.run(files, "--import-leak-report", "-o", "pythonpath=.")
    assert run.outcomes == {"passed": 1, "failed": 1}
    leak = run.leak("attribute-left", "app.rates.rate")
    assert leak["severity"] == "warning"
    assert _failed_who_met(run, leak) == ["test_b"]


_OF_COLLECTION = {
    "app/__init__.py": "",
    "app/settings.py": "import os\n\nLIMIT = int(os.environ.get('LIMIT_OF_TEST', '5'))\n\ndef limit(): return LIMIT\n",
    "app/api.py": """
        import app.settings as settings

        class Api:
            def get(self): return settings.LIMIT

        def get(): return Api().get()
    """,
    "test_a.py": """
        import importlib, os, app.settings

        {0}

        def test_a(): pass
    """,
}
_RELOADS = (
    "os.environ['LIMIT_OF_TEST'] = '9'; importlib.reload(app.settings); del os.environ['LIMIT_OF_TEST']"
)


@pytest.mark.parametrize(
    ("change", "kind"),
    [("app.settings.LIMIT = 9", "attribute-left"), (_RELOADS, "reloaded")],
)
@pytest.mark.parametrize(
    ("body", "is_told"),
    [
        ("assert get() == 5", True),
        ("assert Api().get() == 5", True),
        ("class Holder:\n    assert [Api().get() for _ in 'a'] == [5]", True),
        ("import app\nassert app.api.get() == 5", True),
        ("assert len('abc') == 5", False),
        ("def test_it(): assert get() == 5\n\nassert 1 == 5", False),
    ],
)
def test_a_file_that_cannot_be_collected_is_told_what_its_top_level_calls_was_changed(
    suite: Suite, change: str, kind: str, body: str, is_told: bool
) -> None:
    files = {name: text.replace("{0}", change) for name, text in _OF_COLLECTION.items()}
    # Another file imports what it uses first, so that no import of its own meets the change.
    files["test_0.py"] = "import app.api\n\ndef test_0(): pass\n"
    files["test_b.py"] = f"from app.api import Api, get\n{body}\n"
    run = suite.run(files, "--continue-on-collection-errors")
    assert run.outcomes == {"passed": 2, "error": 1}
    (leak,) = [one for one in run.leaks if one["kind"] == kind]
    assert [met["nodeid"] for met in leak["exposed"]] == (["test_b.py"] if is_told else [])
    assert (f"    {kind} by test_a.py (collect)" in run.output) is is_told
    if is_told:
        assert suite.run(files, "--isolate-imports=file").outcomes == {"passed": 2}
