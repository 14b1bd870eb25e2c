"""The promise: after the block the import state is what it was, and so is every container."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

import pytest

from pytest_import_isolation import IsolatedImportContext

Script = Callable[..., str]


def test_a_module_imported_in_the_block_is_gone_after_it(run_script: Script) -> None:
    run_script(
        """
        import sys
        from picture import Picture
        from pytest_import_isolation import IsolatedImportContext

        def run():
            before = Picture()
            assert "csv" not in sys.modules
            with IsolatedImportContext():
                import csv
                assert sys.modules["csv"] is csv
            assert "csv" not in sys.modules
            assert dict(sys.modules) == before.modules
            assert before.differences() == []

        run()
        run()
        """
    )


def test_a_block_at_module_level_counts_too(run_script: Script) -> None:
    run_script(
        """
        import sys
        from picture import Picture
        from pytest_import_isolation import IsolatedImportContext

        before = Picture()
        with IsolatedImportContext() as ctx:
            import csv
            import plain_module
        assert "csv" not in sys.modules
        assert "plain_module" not in sys.modules, ctx.changes
        assert before.differences() == []
        assert ctx.changes.parked["csv"] == "the standard library"
        """
    )


def test_a_block_at_module_level_of_an_imported_module_counts_too(
    tree: Callable[..., Any], picture: Any
) -> None:
    tree(
        {
            "letter_block.py": """
                from pytest_import_isolation import IsolatedImportContext
                with IsolatedImportContext() as ctx:
                    import letter_inside
                """,
            "letter_inside.py": "",
        }
    )
    module = importlib.import_module("letter_block")
    assert "letter_inside" not in sys.modules
    assert list(module.ctx.changes.forgotten) == ["letter_inside"]


def test_the_letter_holds_in_the_middle_of_a_test_process(picture: Any) -> None:
    before = picture()
    with IsolatedImportContext():
        for name in ("csv", "wave", "xml.dom.minidom", "email.mime.text", "concurrent.futures.process"):
            importlib.import_module(name)
        sys.path.append("/nowhere")
        sys.path_hooks.clear()
    assert before.differences() == []


def test_the_second_import_gives_the_same_object_and_executes_nothing(run_script: Script) -> None:
    run_script(
        """
        import sys
        from pytest_import_isolation import IsolatedImportContext

        seen = []
        for _ in range(3):
            with IsolatedImportContext():
                import email.mime.text as text
                seen.append((text, sys.modules["email"], sys.modules["email.mime"], text.MIMEText))
                assert sys.modules["email"].mime is sys.modules["email.mime"]
                assert sys.modules["email.mime"].text is text
            assert "email" not in sys.modules
        assert len({tuple(map(id, each)) for each in seen}) == 1
        """
    )


def test_a_module_used_only_inside_comes_back_for_code_outside(run_script: Script) -> None:
    run_script(
        """
        import sys
        from pytest_import_isolation import IsolatedImportContext

        def inside():
            with IsolatedImportContext():
                import colorsys
                return colorsys

        parked = inside()
        assert "colorsys" not in sys.modules
        import colorsys
        assert colorsys is parked
        assert sys.modules["colorsys"] is parked
        assert colorsys.__spec__.name == "colorsys"
        assert colorsys.__spec__.origin != "parked"
        """
    )


def test_a_window_that_changed_nothing_reports_nothing(picture: Any) -> None:
    before = picture()
    with IsolatedImportContext() as context:
        pass
    assert before.differences() == []
    assert not context.changes
    assert str(context.changes) == "nothing changed"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_exception_in_the_block_passes_and_the_state_is_restored(
    error: type[BaseException], picture: Any, tree: Callable[..., Any]
) -> None:
    tree({"letter_raises.py": ""})
    before = picture()
    raised = error("in the body")
    with pytest.raises(error) as caught, IsolatedImportContext() as context:
        importlib.import_module("letter_raises")
        sys.path.append("/nowhere")
        raise raised
    assert caught.value is raised
    assert before.differences() == []
    assert list(context.changes.forgotten) == ["letter_raises"]


def test_first_party_modules_are_executed_anew_in_each_block(tree: Callable[..., Any], picture: Any) -> None:
    tree({"letter_state.py": "values = []"})
    before = picture()
    for _ in range(3):
        with IsolatedImportContext():
            module = importlib.import_module("letter_state")
            assert module.values == []
            module.values.append(1)
    assert before.differences() == []


def test_nested_contexts_restore_in_reverse_order(tree: Callable[..., Any], picture: Any) -> None:
    tree({"letter_outer.py": "", "letter_inner.py": ""})
    before = picture()
    with IsolatedImportContext():
        outer = importlib.import_module("letter_outer")
        between = picture()
        with IsolatedImportContext():
            importlib.import_module("letter_inner")
            del sys.modules["letter_outer"]
        assert between.differences() == []
        assert sys.modules["letter_outer"] is outer
    assert before.differences() == []
