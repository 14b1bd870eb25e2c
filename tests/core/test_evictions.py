"""Modules that somebody else throws out of ``sys.modules`` are not executed a second time."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.mark.neighbours("numpy")
def test_what_patch_dict_evicted_in_a_window_comes_back_as_the_same_object(
    run_script: Callable[..., str],
) -> None:
    run_script(
        """
        import sys
        from unittest.mock import patch

        from pytest_import_isolation import IsolatedImportContext

        seen = set()
        for _ in range(3):
            before = dict(sys.modules)
            with IsolatedImportContext():
                with patch.dict(sys.modules):
                    import numpy

                    seen.add(id(numpy))
                    assert numpy.arange(3).sum() == 3
            assert dict(sys.modules) == before
        import numpy

        seen.add(id(numpy))
        assert len(seen) == 1
        # Some submodule of numpy is loaded only now, and takes numpy's own ones from where they waited.
        assert numpy.random.rand(2).shape == (2,)
        """,
        "-W",
        "ignore",
    )


def test_a_module_that_was_freed_after_its_eviction_is_executed_again(run_script: Callable[..., str]) -> None:
    run_script(
        """
        import sys

        from pytest_import_isolation import IsolatedImportContext

        with IsolatedImportContext() as context:
            import wave

            del sys.modules["wave"], wave
        import wave

        assert wave.__name__ == "wave"
        """
    )


_USES = {
    "email": "import email.mime.text\nemail.mime.text.MIMEText('a').as_string()",
    "logging": "import logging.config, logging.handlers\nlogging.handlers.SysLogHandler",
    "urllib": "import urllib.request, urllib.robotparser\nurllib.robotparser.RobotFileParser",
    "xml": "import xml.dom.minidom\nxml.dom.minidom.parseString('<a/>').toxml()",
}
_ALL = (
    "for name in [name for name in sys.modules if name.partition('.')[0] == package]: del sys.modules[name]"
)
_UNBOUND = (
    "for name in [name for name in sys.modules if name.startswith(f'{package}.')]:\n"
    "    above, _, child = name.rpartition('.')\n"
    "    vars(sys.modules[above]).pop(child, None)\n"
)


@pytest.mark.parametrize(
    "steps",
    [
        ("use", _ALL),
        ("use", _UNBOUND + _ALL),
        (_ALL, "use"),
        (_ALL, "use", _ALL),
        (_UNBOUND + _ALL, "use", _UNBOUND + _ALL),
        ("del sys.modules[package]", "use"),
        (_ALL, "with patch.dict(sys.modules): use()", _ALL),
    ],
    ids=[
        "used",
        "used and unbound",
        "again",
        "again and thrown out",
        "unbound",
        "the package alone",
        "in patch.dict",
    ],
)
def test_a_package_works_whatever_was_thrown_out_in_a_window_before(
    run_script: Callable[..., str], steps: tuple[str, ...]
) -> None:
    lines = "\n".join("use()" if step == "use" else step for step in steps)
    run_script(
        f"""
import email, logging, sys, urllib, xml
from unittest.mock import patch

from pytest_import_isolation import IsolatedImportContext

for package, code in {_USES!r}.items():
    use = lambda: exec(code, {{}})
    before = sys.modules[package]
    for _ in range(2):
        with IsolatedImportContext():
            with IsolatedImportContext():
{textwrap.indent(lines, " " * 16)}
            use()
        with IsolatedImportContext():
            use()
    assert sys.modules[package] is before
    use()
"""
    )


def test_a_module_that_was_renamed_is_executed_anew_under_its_old_name(
    run_script: Callable[..., str],
) -> None:
    """eventlet imports modules with its own ones in place of others, and keeps what it gets under new names."""
    run_script(
        """
        import sys

        from pytest_import_isolation import IsolatedImportContext

        with IsolatedImportContext():
            import wave

            sys.modules["renamed_wave"] = sys.modules.pop("wave")
            renamed = wave
        import wave

        assert wave is not renamed
        """
    )


_ENTERING = """
    import sys
    from types import ModuleType

    for name in ("lib.made", "lib.made.deep", "apart"):
        sys.modules[name] = ModuleType(name)
    made, made.deep, apart = (sys.modules[name] for name in ("lib.made", "lib.made.deep", "apart"))
"""


@pytest.mark.parametrize("asked", ["lib", "lib.made", "lib.made.deep"])
@pytest.mark.parametrize("thrown_out", [True, False])
def test_what_a_module_had_entered_by_hand_comes_back_with_it(
    run_script: Callable[..., str], tmp_path: Path, asked: str, thrown_out: bool
) -> None:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "lib.py").write_text(textwrap.dedent(_ENTERING))
    run_script(
        f"""
        import sys

        from pytest_import_isolation import IsolatedImportContext

        sys.path.append({str(folder)!r})
        seen = set()
        for _ in range(3):
            with IsolatedImportContext():
                before = dict(sys.modules)
                import {asked}
                import lib.made.deep, apart

                seen.add((lib, lib.made, lib.made.deep, apart))
                for name in set(sys.modules) - set(before) if {thrown_out} else ():
                    del sys.modules[name]
            assert not {{"lib", "lib.made", "lib.made.deep", "apart"}} & set(sys.modules)
        import lib

        assert lib.made is sys.modules["lib.made"] and lib.apart is sys.modules["apart"]
        import lib.made.deep

        assert len(seen) == 1
        """
    )


@pytest.mark.neighbours("hypothesis._native")
def test_what_an_extension_module_had_entered_comes_back_with_it(run_script: Callable[..., str]) -> None:
    run_script(
        """
        import sys

        from pytest_import_isolation import IsolatedImportContext

        for _ in range(2):
            with IsolatedImportContext():
                before = dict(sys.modules)
                for _ in range(2):  # also before the window ends
                    import hypothesis._native.internal.floats

                    for name in set(sys.modules) - set(before):
                        del sys.modules[name]
            assert "hypothesis._native" not in sys.modules
        import hypothesis._native.internal.floats
        """
    )
