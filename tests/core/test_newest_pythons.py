"""What came with CPython 3.14: interpreters, code sent into a run, forkserver by default, lazy annotations."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

pytestmark = [
    pytest.mark.skipif(sys.version_info < (3, 14), reason="this came with Python 3.14"),
    pytest.mark.skipif(sys.platform == "emscripten", reason="WebAssembly has not processes"),
]

Run = Callable[..., str]


def test_another_interpreter_imports_while_a_window_is_open(run_script: Run) -> None:
    run_script(
        """
        import sys
        from concurrent import interpreters
        from pytest_import_isolation import IsolatedImportContext

        other = interpreters.create()
        other.exec("import wave")
        with IsolatedImportContext(unloaded="json") as context:
            import colorsys
            other.exec("import sys, colorsys, json; assert 'wave' in sys.modules")
        assert "colorsys" not in sys.modules
        other.exec("assert sys.modules['colorsys'] is colorsys and 'json' in sys.modules")
        # And the other way round: a window there, imports here.
        other.exec(f"sys.path[:] = {sys.path!r}")
        other.exec(
            "from pytest_import_isolation import IsolatedImportContext\\n"
            "context = IsolatedImportContext().start()\\n"
            "import sched"
        )
        import sched
        other.exec("context.stop(); assert 'sched' not in sys.modules")
        assert sys.modules["sched"] is sched
        other.close()
        """
    )


def test_code_that_is_sent_into_a_run_imports_in_its_window(run_script: Run) -> None:
    run_script(
        """
        import os, sys
        from pytest_import_isolation import IsolatedImportContext

        with open("sent.py", "w") as file:
            file.write("import colorsys, sys\\nsys.sent_has = colorsys\\n")
        with IsolatedImportContext() as context:
            try:
                sys.remote_exec(os.getpid(), os.path.abspath("sent.py"))
            except (PermissionError, RuntimeError) as error:
                print("not allowed here:", error)
                raise SystemExit(0)
            while not hasattr(sys, "sent_has"):
                pass
            assert sys.modules["colorsys"] is sys.sent_has
        assert "colorsys" not in sys.modules
        assert "colorsys" in {**context.changes.parked, **context.changes.forgotten}, context.changes
        import colorsys
        assert colorsys is sys.sent_has  # parked: never executed twice
        """
    )


def test_objects_of_forgotten_and_parked_modules_go_to_a_fork_server(run_script: Run) -> None:
    run_script(
        """
        import multiprocessing, sys
        from pytest_import_isolation import IsolatedImportContext

        def main():
            assert multiprocessing.get_start_method() == "forkserver"
            with open("own_thing.py", "w") as file:
                file.write("class Thing:\\n    value = 3\\ndef double(thing):\\n    return thing.value * 2\\n")
            sys.path.insert(0, "")
            with IsolatedImportContext():
                import own_thing, fractions
                with multiprocessing.Pool(1) as pool:
                    assert pool.apply(own_thing.double, [own_thing.Thing()]) == 6
                    assert pool.apply(fractions.Fraction, [1, 2]) == fractions.Fraction(1, 2)
            with IsolatedImportContext(fresh="own_thing"):
                import own_thing as again
                assert again is not own_thing
                with multiprocessing.Pool(1) as pool:
                    assert pool.apply(again.double, [again.Thing()]) == 6
            assert "own_thing" not in sys.modules

        if __name__ == "__main__":
            main()
        """
    )


def test_annotations_of_a_forgotten_module_are_still_computed(run_script: Run) -> None:
    run_script(
        """
        import annotationlib, sys
        from pytest_import_isolation import IsolatedImportContext

        with open("own_notes.py", "w") as file:
            file.write(
                "import colorsys\\n"
                "def convert(how: colorsys.rgb_to_hsv, thing: Later): ...\\n"
                "class Later:\\n    kept: Later\\n"
            )
        sys.path.insert(0, "")
        with IsolatedImportContext():
            import own_notes
        assert "own_notes" not in sys.modules
        notes = own_notes.convert.__annotations__
        assert notes == {"how": own_notes.colorsys.rgb_to_hsv, "thing": own_notes.Later}
        assert annotationlib.get_annotations(own_notes.Later) == {"kept": own_notes.Later}
        """
    )
