"""What a first-party module writes to others when it is executed goes with it, and comes back with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

_PATCHING = """
    import functools, json
    _orig = json.dumps

    @functools.wraps(_orig)
    def dumps(*given, **named):
        return _orig(*given, **named)

    dumps.depth = getattr(_orig, "depth", 0) + 1
    json.dumps = dumps
    """
_WRAPPING = {
    "app/__init__.py": "",
    "app/patchjson.py": _PATCHING,
    "test_a.py": """
        import json, pytest

        @pytest.mark.parametrize("number", range(4))
        def test_first(number):
            import app.patchjson
            assert json.dumps.depth == 1
            assert json.dumps is app.patchjson.dumps
        """,
    "test_b.py": """
        import json

        def test_second():
            import app.patchjson
            assert json.dumps.depth == 1
        """,
}
_MODES = pytest.mark.parametrize("mode", ["file", "test"])


@pytest.mark.parametrize("options", [(), ("--isolate-imports=file",), ("--isolate-imports=test",)])
def test_a_function_is_wrapped_once_however_often_the_module_is_executed(
    suite: Suite, options: tuple[str, ...]
) -> None:
    run = suite.run(_WRAPPING, *options)
    assert run.outcomes == {"passed": 5}
    assert run.kinds == []


_WHO_ASKS = """
    import json
    def test_{name}():
        assert hasattr(json.dumps, "depth") is {has}
    """


@_MODES
def test_who_does_not_import_the_module_does_not_meet_it(suite: Suite, mode: str) -> None:
    files = {**_WRAPPING, "test_c.py": _WHO_ASKS.format(name="third", has=False)}
    assert suite.run(files, f"--isolate-imports={mode}").outcomes == {"passed": 6}


@_MODES
@pytest.mark.parametrize(
    "change", ["sys.modules['net'] = types.ModuleType('net')", "sys.path.append('more')"]
)
def test_each_file_that_imports_it_at_its_top_has_it_in_its_tests(
    suite: Suite, mode: str, change: str
) -> None:
    test_file = f"""
        import json, sys, types
        {change}
        import app.patchjson

        def test_one():
            assert json.dumps.depth == 1
            assert json.dumps is app.patchjson.dumps

        def test_two():
            test_one()
        """
    files = {**_WRAPPING, "test_a.py": test_file, "test_b.py": test_file}
    files["test_c.py"] = _WHO_ASKS.format(name="third", has=False)
    assert suite.run(files, f"--isolate-imports={mode}").outcomes == {"passed": 5}


@_MODES
def test_several_modules_that_wrap_one_function_leave_together(suite: Suite, mode: str) -> None:
    files = {
        **_WRAPPING,
        "app/again.py": _PATCHING,
        "test_a.py": """
            import json, pytest

            @pytest.mark.parametrize("number", range(3))
            def test_first(number):
                import app.patchjson, app.again
                assert json.dumps.depth == 2
            """,
    }
    assert suite.run(files, f"--isolate-imports={mode}").outcomes == {"passed": 4}


@_MODES
def test_what_stays_around_a_function_stays(suite: Suite, mode: str) -> None:
    files = {
        **_WRAPPING,
        "conftest.py": _PATCHING,
        "test_a.py": """
            import json, pytest

            @pytest.mark.parametrize("number", range(3))
            def test_first(number):
                import app.patchjson
                assert json.dumps.depth == 2
            """,
        "test_b.py": """
            import json

            def test_second():
                assert json.dumps.depth == 1
            """,
    }
    assert suite.run(files, f"--isolate-imports={mode}").outcomes == {"passed": 4}


@pytest.mark.parametrize(
    "body",
    [
        # A closure, and a function that C code made.
        """
        import time
        def wrap(before):
            def sleep(seconds):
                return before(seconds)
            return sleep
        BEFORE, time.sleep = time.sleep, wrap(time.sleep)
        """,
        """
        import time
        def wrap(before):
            def sleep(seconds):
                return before(seconds)
            return sleep
        time.sleep = wrap(time.sleep)
        """,
        # A class below the one that it takes the place of.
        """
        import json
        class JSONEncoder(json.JSONEncoder):
            pass
        json.JSONEncoder = JSONEncoder
        """,
        # Inside of a function, under another name.
        """
        import time as clock
        def sleep(seconds): _before(seconds)
        def install():
            global _before
            _before = clock.sleep
            clock.sleep = sleep
        install()
        """,
    ],
)
def test_other_ways_to_keep_what_was_there(suite: Suite, body: str) -> None:
    files = {
        "app/__init__.py": "",
        "app/patching.py": body,
        "test_a.py": """
            import json, pytest, time
            BEFORE = time.sleep, json.JSONEncoder

            @pytest.mark.parametrize("number", range(2))
            def test_first(number):
                assert (time.sleep, json.JSONEncoder) == BEFORE
                import app.patching
                assert (time.sleep, json.JSONEncoder) != BEFORE
            """,
    }
    assert suite.run(files, "--isolate-imports=test").outcomes == {"passed": 2}


@pytest.mark.parametrize(
    ("body", "options"),
    [
        ("import json\ndef dumps(*given): return 'fast'\njson.dumps = dumps\n", ()),
        (_PATCHING, ("--import-isolation-contents=report",)),
        (_PATCHING, ("--import-isolation-contents=off",)),
    ],
)
def test_nothing_is_changed_where_nobody_knows_what_was_there_or_contents_are_left_alone(
    suite: Suite, body: str, options: tuple[str, ...]
) -> None:
    files = {
        "app/__init__.py": "",
        "app/patchjson.py": body,
        "test_a.py": """
            import json
            BEFORE = json.dumps

            def test_first():
                import app.patchjson

            def test_second():
                assert json.dumps is not BEFORE
            """,
    }
    assert suite.run(files, "--isolate-imports=test", *options).outcomes == {"passed": 2}


_WRAPPING_A_METHOD = {
    "app/__init__.py": "",
    "app/patching.py": """
        import json
        _orig = json.JSONEncoder.default
        def default(self, given): return _orig(self, given)
        default.depth = getattr(_orig, "depth", 0) + 1
        json.JSONEncoder.default = default
        """,
    "test_a.py": """
        import json, pytest

        @pytest.mark.parametrize("number", range(3))
        def test_first(number):
            import app.patching
            assert json.JSONEncoder.default.depth == 1
        """,
}


@_MODES
def test_what_is_not_undone_is_cured_by_keeping_the_module(suite: Suite, mode: str) -> None:
    run = suite.run(_WRAPPING_A_METHOD, "--isolate-imports=test")
    assert run.outcomes == {"passed": 1, "failed": 2}  # see docs/explanation/cannot-be-undone.md
    kept = suite.run({}, f"--isolate-imports={mode}", ini="import_isolation_keep = app.patching")
    assert kept.outcomes == {"passed": 3}
