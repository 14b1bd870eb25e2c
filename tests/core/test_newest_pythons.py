"""What came with CPython 3.14 and 3.15: interpreters, code sent into a run, forkserver by default, lazy
annotations, options of the interpreter, .start files."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

pytestmark = [
    pytest.mark.skipif(sys.version_info < (3, 14), reason="this came with Python 3.14"),
    pytest.mark.skipif(sys.platform == "emscripten", reason="WebAssembly has not processes"),
]

Run = Callable[..., str]

since_3_15 = pytest.mark.skipif(sys.version_info < (3, 15), reason="this came with Python 3.15")


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


def test_string_annotations_of_a_dataclass_are_read_in_the_copy_of_its_window(run_script: Run) -> None:
    run_script(
        """
        import dataclasses, sys, typing
        from pytest_import_isolation import IsolatedImportContext

        with open("own_data.py", "w") as file:
            file.write(
                "from __future__ import annotations\\n"
                "import dataclasses\\n"
                "from typing import ClassVar\\n"
                "def make():\\n"
                "    @dataclasses.dataclass\\n"
                "    class Made:\\n"
                "        shared: ClassVar[int] = 1\\n"
                "        own: Later = None\\n"
                "    return Made\\n"
                "class Later: pass\\n"
            )
        sys.path.insert(0, "")
        import own_data as first
        for options in ({}, {"fresh": "own_data"}, {"unloaded": "own_data"}):
            with IsolatedImportContext(**options):
                import own_data
                made = own_data.make()
                assert [field.name for field in dataclasses.fields(made)] == ["own"]
                assert typing.get_type_hints(made)["own"] is own_data.Later
        assert typing.get_type_hints(first.make())["own"] is first.Later
        """
    )


@pytest.mark.parametrize(
    "option",
    ["context_aware_warnings=1", "importtime=2", pytest.param("lazy_imports=all", marks=since_3_15)],
)
def test_windows_are_the_same_under_an_option_of_the_interpreter(run_script: Run, option: str) -> None:
    run_script(
        """
        import sys, warnings
        from pytest_import_isolation import ImportIsolationWarning, IsolatedImportContext

        with open("own_old.py", "w") as file:
            file.write("import warnings\\nwarnings.warn('old')\\nimport own_new\\ndef use(): return own_new.VALUE\\n")
        with open("own_new.py", "w") as file:
            file.write("VALUE = 1\\n")
        sys.path.insert(0, "")

        def load():
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                import own_old
                assert own_old.use() in (1, 2)
                import colorsys
            assert [str(warning.message) for warning in caught] == ["old"]
            return own_old, colorsys

        with IsolatedImportContext():
            old, parked = load()
        assert not {"own_old", "own_new", "colorsys"} & sys.modules.keys()
        with IsolatedImportContext(fakes={"own_new": {"VALUE": 2}}):
            again, same = load()
            assert again is not old and again.use() == 2
        assert same is parked and old.use() == 1
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            import own_old
            assert own_old.use() == 1
            with IsolatedImportContext(fakes={"own_new": {"VALUE": 2}}):
                pass
        assert [warning.category for warning in caught] == [UserWarning, ImportIsolationWarning]
        """,
        "-X",
        option,
    )


@since_3_15
def test_what_start_files_do_belongs_to_the_window_that_reads_them(run_script: Run) -> None:
    run_script(
        """
        import os, site, sys, types
        from pytest_import_isolation import IsolatedImportContext

        os.makedirs("own_site/own_more")
        files = {
            "own.start": "own_started:main\\n",
            "own.pth": "own_more\\n",
            "own_started.py": "import sys, types\\nCALLS = []\\ndef main():\\n    CALLS.append(1)\\n"
            "    sys.modules['own_alias'] = types.ModuleType('own_alias')\\n",
            "own_more/own_deep.py": "",
        }
        for name, text in files.items():
            with open(f"own_site/{name}", "w") as file:
                file.write(text)
        path = list(sys.path)
        for _ in range(2):
            with IsolatedImportContext():
                site.addsitedir(os.path.abspath("own_site"))
                import own_alias, own_deep, own_started
                assert own_started.CALLS == [1]
            assert sys.path == path
            assert not [name for name in sys.modules if name.startswith("own_")]
        """
    )
